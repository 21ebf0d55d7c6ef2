"""AdamW with a cosine schedule, in minibatches: the recipe of the papers."""

import numpy as np

from .._lbfgs import MinimisationResult

_BETA1, _BETA2 = 0.9, 0.999
# Of the papers' code. Large: it damps the steps along tiny gradients.
_EPS = 1e-4


def adamw(
    loss_of_batch,
    start,
    n_rows,
    *,
    learning_rate,
    weight_decay,
    batch_size,
    n_epochs,
    rng,
    on_epoch=None,
):
    """Minimise a mean over rows by AdamW.

    The learning rate falls to zero along half a cosine, step by step.

    Parameters
    ----------
    loss_of_batch : callable
        Value and gradient of the mean loss, of parameters and indices of rows.
    start : ndarray
        Where to start; not changed.
    n_rows : int
        Number of rows.
    learning_rate : float
        Of the first step.
    weight_decay : float
        Decoupled pull to zero, relative to the learning rate.
    batch_size : int
        Rows of a step; the last ones of an epoch may be fewer.
    n_epochs : int
        Passes over the rows.
    rng : RandomState
        Draws their order.
    on_epoch : callable, default=None
        Called with the fit after each epoch; a true value stops.

    Returns
    -------
    MinimisationResult
        The parameters after the last step, and the mean loss of the batches of each
        epoch as they were met.
    """
    parameters = start.copy()
    first, second = np.zeros_like(start), np.zeros_like(start)
    n_steps, step = n_epochs * -(-n_rows // batch_size), 0
    fit = MinimisationResult(parameters)
    try:
        for _ in range(n_epochs):
            order, total = rng.permutation(n_rows), 0.0
            for begin in range(0, n_rows, batch_size):
                batch = order[begin : begin + batch_size]
                value, gradient = loss_of_batch(parameters, batch)
                total += value * len(batch)
                lr = learning_rate * 0.5 * (1 + np.cos(np.pi * step / n_steps))
                step += 1
                first += (1 - _BETA1) * (gradient - first)
                second += (1 - _BETA2) * (gradient * gradient - second)
                size = np.sqrt(second / (1 - _BETA2**step)) + _EPS
                parameters *= 1 - lr * weight_decay
                parameters -= lr / (1 - _BETA1**step) * first / size
            fit.loss_curve.append(total / n_rows)
            fit.n_iter += 1
            if on_epoch is not None and on_epoch(fit):
                fit.stopped = True
                break
    except KeyboardInterrupt as interrupt:
        fit.interrupt = interrupt
    return fit
