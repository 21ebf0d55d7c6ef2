"""From the losses of rows to what the caller asked for."""

import torch


def mean_of_nothing(loss, total, reduction):
    """Make the mean over no rows NaN, as torch has it.

    Parameters
    ----------
    loss : Tensor of shape ()
        Sum of the weighted losses; for "mean" the weights are already divided by their
        total.
    total : Tensor of shape ()
        The total weight.
    reduction : {"mean", "sum"}
        What the loss is.

    Returns
    -------
    Tensor of shape ()
        The loss.
    """
    return loss if reduction == "sum" else loss.masked_fill(total == 0, torch.nan)


def reduced(terms, task, total, shape, reduction, return_lse):
    """Weigh and reduce the terms of rows.

    Parameters
    ----------
    terms : tuple of Tensor of shape (N,)
        As of `_recompute.forward`.
    task : Task
        Their weights.
    total : Tensor of shape ()
        The total weight.
    shape : tuple of int
        Shape of the targets.
    reduction : {"mean", "sum", "none"}
        How to reduce.
    return_lse : bool
        Whether to return the logarithms of the sums, too.

    Returns
    -------
    Tensor or tuple of Tensor
        As of `linear_cross_entropy`.
    """
    losses = task.row_losses(*terms)
    if reduction == "none":
        loss = losses.reshape(shape)
    else:
        loss = mean_of_nothing(losses.sum(), total, reduction)
    return (loss, terms[1].reshape(shape)) if return_lse else loss
