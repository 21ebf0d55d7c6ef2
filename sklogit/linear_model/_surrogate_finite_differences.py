"""Gradients in target space of a loss that gives only values."""

import numpy as np

from .._oracle import oracle_name


class FiniteDifferenceOracle:
    """What `finite_difference_oracle` returns; see there."""

    def __init__(self, loss_values, step=None):
        self.loss_values = loss_values
        self.step = step
        self.n_value_calls = 0
        self.__name__ = oracle_name(loss_values)

    def __call__(self, Z, y, sample_weight=None):
        # Differences of single precision have no correct digit left.
        Z = np.asarray(Z, dtype=np.float64)
        step = np.finfo(np.float64).eps ** (1 / 3) if self.step is None else self.step
        losses = self._values(Z, y)
        G = np.empty_like(Z)
        for j in range(Z.shape[1]):
            shift = np.zeros_like(Z)
            shift[:, j] = step * np.maximum(1.0, np.abs(Z[:, j]))
            above, below = Z + shift, Z - shift
            width = above[:, j] - below[:, j]
            G[:, j] = (self._values(above, y) - self._values(below, y)) / width
        return np.average(losses, weights=sample_weight), G

    def _values(self, Z, y):
        self.n_value_calls += 1
        losses = np.asarray(self.loss_values(Z, y), dtype=np.float64)
        if losses.shape != (len(Z),):
            raise ValueError(
                f"loss_values {self.__name__} must return one loss a sample, shape "
                f"{(len(Z),)}, got {losses.shape}."
            )
        return losses


def finite_difference_oracle(loss_values, *, step=None):
    r"""Make an oracle of a loss that returns values, without gradients.

    Each sample's loss depends on its own targets alone, so one shift of a whole column
    of Z serves all samples: central differences cost :math:`2p + 1` calls of
    `loss_values` for p columns, however many samples and features there are.

    Parameters
    ----------
    loss_values : callable
        ``loss_values(Z, y)`` returns the losses of the samples, shape (n_samples,), for
        targets Z of shape (n_samples, p).
    step : float or None, default=None
        Half the distance of the two values, relative to max(1, abs(z)); None is the
        cubic root of the machine precision, 6e-6. Take more for noisy values.

    Returns
    -------
    oracle : callable
        ``oracle(Z, y, sample_weight)`` for `TargetSurrogateClassifier` and
        `TargetSurrogateRegressor`. Its `n_value_calls` counts the calls of
        `loss_values`.

    Raises
    ------
    TypeError
        If `loss_values` cannot be called.
    ValueError
        If `step` is not positive; or, by the oracle, if the losses have a wrong shape.

    See Also
    --------
    expensive_oracle : Counts and limits the calls of any oracle.

    Notes
    -----
    :math:`G_{ij} = (\ell_i(z_i + h e_j) - \ell_i(z_i - h e_j)) / 2h`.

    Examples
    --------
    A scorer that tells only how bad each answer is:

    >>> import numpy as np
    >>> from sklogit.linear_model import (
    ...     TargetSurrogateRegressor, finite_difference_oracle
    ... )
    >>> def penalties(Z, y):
    ...     return np.log(np.cosh(Z - y)).sum(axis=1)
    >>> X = np.linspace(-1, 1, 20)[:, np.newaxis]
    >>> y = 3 * X[:, 0] - 1
    >>> oracle = finite_difference_oracle(penalties)
    >>> model = TargetSurrogateRegressor(loss=oracle).fit(X, y)
    >>> model.coef_.round(3), oracle.n_value_calls == 3 * model.n_oracle_calls_
    (array([3.]), True)
    """
    if not callable(loss_values):
        raise TypeError(
            f"loss_values must be a callable, got {type(loss_values).__name__}."
        )
    if step is not None and not step > 0:
        raise ValueError(f"step must be positive, got {step!r}.")
    return FiniteDifferenceOracle(loss_values, step)
