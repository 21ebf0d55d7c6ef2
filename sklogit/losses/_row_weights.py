"""Weights of the rows and positions of two models' logits."""

import torch

from ._array_twin import as_tensor, is_readable

# Instead of a weight of zero, to divide by.
_TINY = 1e-30


def row_weights(student, teacher, sample_weight, teacher_weight):
    """Spread weights over the rows, or positions, of both models.

    Parameters
    ----------
    student, teacher : Tensor of shape (n, k) or (n, n_positions, k)
        Logits.
    sample_weight : Tensor or array-like of shape (n,) or (n, n_positions), or None
        Weights of the student's. The teacher's are the same if it has as many, or if
        they are of whole sequences.
    teacher_weight : Tensor or array-like, or None
        Weights of the teacher's.

    Returns
    -------
    tuple of two Tensors of shape (n,) or (n, n_positions)
        Weights; ones by default.

    Raises
    ------
    ValueError
        If a shape does not fit, or a weight is negative or not finite.
    """
    weights = spread("sample_weight", sample_weight, student)
    if teacher_weight is None and sample_weight is not None:
        shape = tuple(as_tensor("sample_weight", sample_weight).shape)
        if shape in (tuple(teacher.shape[:-1]), tuple(teacher.shape[:1])):
            teacher_weight = sample_weight
    return weights, spread("teacher_weight", teacher_weight, teacher)


def spread(name, weight, logits):
    """Make a weight for each row or position.

    Parameters
    ----------
    name : str
        Of the parameter, for errors.
    weight : Tensor or array-like of shape (n,) or (n, n_positions), or None
        Weights.
    logits : Tensor of shape (n, k) or (n, n_positions, k)
        Logits.

    Returns
    -------
    Tensor of shape (n,) or (n, n_positions)
        The weights.
    """
    shape = logits.shape[:-1]
    if weight is None:
        return logits.new_ones(shape)
    weight = as_tensor(name, weight, like=logits.detach()).detach()
    if weight.shape not in (shape, shape[:1]):
        allowed = sorted({tuple(shape[:1]), tuple(shape)}, key=len)
        raise ValueError(
            f"{name} must have shape {' or '.join(map(str, allowed))}, got "
            f"{tuple(weight.shape)}."
        )
    check_weight(name, weight)
    if weight.ndim < len(shape):
        weight = weight[:, None].expand(shape)
    return weight


def check_weight(name, weight):
    """Raise a ValueError if a weight is negative or not finite.

    Parameters
    ----------
    name : str
        Of the parameter, for the error.
    weight : Tensor
        Weights.
    """
    if not weight.numel() or not is_readable(weight):
        return
    least, largest = (extreme.item() for extreme in torch.aminmax(weight))
    if not 0 <= least <= largest < float("inf"):
        raise ValueError(
            f"{name} must be finite and not negative, found values from {least:g} "
            f"to {largest:g}."
        )


def weighted_mean(values, weight):
    """Average what has a weight; of weights of zero alone it is 0, and so the gradient.

    Parameters
    ----------
    values : Tensor
        Numbers.
    weight : Tensor of the same shape
        Weights, not negative.

    Returns
    -------
    Tensor of shape ()
        The mean.
    """
    return (weight * values).sum() / weight.sum().clamp_min(_TINY)
