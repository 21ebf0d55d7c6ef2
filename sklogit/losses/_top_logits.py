"""Logits made comparable, the greatest of each row."""

from numbers import Integral, Real

import torch

from ._array_twin import as_tensor, check_finite, is_readable, takes_arrays

TRANSFORMS = ("softmax", "zscore", "center", "none")
# How many are kept where nothing is said.
DEFAULT_K = 10


@takes_arrays
def top_logits(logits, k, *, transform="softmax", temperature=1.0):
    r"""Keep the k greatest logits of each row, as the distillation losses take them.

    The pair is what a teacher of many classes stores: 6k bytes a row in half precision.
    :func:`graph_logit_loss` of it is that of the whole logits.

    Parameters
    ----------
    logits : Tensor or array-like of shape (..., n_classes)
        Logits z of a row in the last dimension.
    k : int
        How many to keep.
    transform : {"softmax", "zscore", "center", "none"}, default="softmax"
        Logits become :math:`\log\mathrm{softmax}(z/T)`, :math:`(z - \bar z)/s_z`,
        :math:`(z - \bar z)/T` or :math:`z/T`, with mean and deviation of *all* logits
        of the row.
    temperature : float, default=1.0
        The temperature T.

    Returns
    -------
    values : Tensor or ndarray of shape (..., k)
        Transformed logits, in decreasing order; for "softmax" their logarithms.
    indices : Tensor or ndarray of shape (..., k)
        Their classes.

    Raises
    ------
    ValueError
        If k is not from 1 to the number of classes, or another value is not allowed.
    TypeError
        If the logits are no real numbers.

    See Also
    --------
    graph_logit_loss, uld_loss : Take such a pair instead of teacher logits.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.losses import top_logits
    >>> values, indices = top_logits(np.log([[0.1, 0.6, 0.3]]), 2)
    >>> np.exp(values).round(1), indices
    (array([[0.6, 0.3]]), array([[1, 2]]))
    """
    check_transform(transform, temperature)
    logits = as_tensor("logits", logits)
    if logits.ndim < 1:
        raise ValueError(f"logits must have shape (..., n_classes), got {logits}.")
    check_k(k, logits.shape[-1], "logits")
    check_finite("logits", logits)
    return _top(logits, k, transform, temperature)


def top_values(name, logits, k, transform, temperature):
    """Return the k greatest transformed logits of each row, and their classes.

    Parameters
    ----------
    name : str
        Of the parameter, for errors.
    logits : Tensor of shape (..., n_classes), or pair of Tensors of shape (..., k')
        Logits, or what `top_logits` has made of them.
    k : int
        How many.
    transform : str
        The transform; of a pair it tells whether the values are logarithms.
    temperature : float
        The temperature.

    Returns
    -------
    values : Tensor of shape (..., k)
        In decreasing order; for "softmax" probabilities.
    indices : Tensor of shape (..., k)
        The classes.
    """
    check_k(k, n_outputs(logits), name)
    if not isinstance(logits, tuple):
        values, indices = _top(logits, k, transform, temperature)
    else:
        values, order = logits[0].sort(dim=-1, descending=True, stable=True)
        indices = logits[1].gather(-1, order)
        values, indices = values[..., :k], indices[..., :k]
    return (values.exp() if transform == "softmax" else values), indices


def as_logits(name, logits, transform, like=None):
    """Check logits, or a pair of values and indices, and make tensors of them.

    Parameters
    ----------
    name : str
        Of the parameter, for errors.
    logits : array-like, Tensor, or tuple of two of them
        Logits of shape (n, n_classes) or (n, n_positions, n_classes), or a pair.
    transform : str
        The transform of a pair's values.
    like : Tensor, default=None
        Its dtype and device are taken.

    Returns
    -------
    Tensor, or tuple of two Tensors
        The logits.
    """
    if not isinstance(logits, tuple):
        logits = as_tensor(name, logits, like)
        _check_shape(name, logits)
        check_finite(name, logits)
        return logits
    if len(logits) != 2:
        raise ValueError(
            f"{name} must be logits or a pair of values and indices, got a tuple of "
            f"{len(logits)}."
        )
    values = as_tensor(f"{name}[0]", logits[0], like)
    _check_shape(f"{name}[0]", values)
    check_finite(f"{name}[0]", values)
    indices = as_indices(f"{name}[1]", logits[1]).to(values.device)
    if indices.shape != values.shape:
        raise ValueError(
            f"{name} must be values and indices of the same shape, got "
            f"{tuple(values.shape)} and {tuple(indices.shape)}."
        )
    if transform == "softmax" and is_readable(values):
        largest = values.detach().logsumexp(dim=-1).max()
        if largest > 0.01:  # half precision rounds by less
            raise ValueError(
                f"{name} must hold logarithms of probabilities if transform='softmax', "
                f"got values whose probabilities sum to {largest.exp():.3g}: make the "
                "pair by top_logits."
            )
    return values, indices


def as_indices(name, values):
    """Make a tensor of integers that are not negative.

    Parameters
    ----------
    name : str
        Of the parameter, for errors.
    values : array-like or Tensor
        The integers; floats that are some are taken too.

    Returns
    -------
    Tensor of int64
        The integers.

    Raises
    ------
    ValueError
        If one is negative or no integer.
    """
    values = as_tensor(name, values)
    indices = values.long()
    if is_readable(values) and not ((indices >= 0) & (indices == values)).all():
        raise ValueError(f"{name} must be integers >= 0, got other values.")
    return indices


def n_outputs(logits):
    """Count the outputs of a row, or those that a pair has.

    Parameters
    ----------
    logits : Tensor or tuple of two Tensors
        The logits.

    Returns
    -------
    int
        The size of the last dimension.
    """
    return (logits[0] if isinstance(logits, tuple) else logits).shape[-1]


def check_transform(transform, temperature):
    """Raise a ValueError if there is no such transform or temperature.

    Parameters
    ----------
    transform : str
        The name.
    temperature : float
        The temperature.
    """
    if transform not in TRANSFORMS:
        raise ValueError(f"transform must be one of {TRANSFORMS}, got {transform!r}.")
    if not (isinstance(temperature, Real) and 0 < temperature < float("inf")):
        raise ValueError(
            f"temperature must be a finite number > 0, got {temperature!r}."
        )


def check_k(k, n_classes, name, least=1):
    """Raise a ValueError if k entries cannot be kept.

    Parameters
    ----------
    k : int
        How many.
    n_classes : int
        Of how many.
    name : str
        Of the logits, for the error.
    least : int, default=1
        The smallest number allowed.
    """
    if not (_is_integer(k) and least <= k <= n_classes):
        raise ValueError(
            f"k must be an integer from {least} to {n_classes}, the number of outputs "
            f"of {name}, got {k!r}."
        )


def check_least_k(k, least=1):
    """Raise a ValueError if k entries cannot be kept, of however many.

    Parameters
    ----------
    k : int
        How many.
    least : int, default=1
        The smallest number allowed.
    """
    if not (_is_integer(k) and k >= least):
        raise ValueError(f"k must be an integer >= {least}, got {k!r}.")


def _is_integer(k):
    return isinstance(k, Integral) and not isinstance(k, bool)


def _top(logits, k, transform, temperature):
    values, indices = logits.topk(k, dim=-1)
    if transform == "softmax":
        if temperature == 1:
            return values - logits.logsumexp(-1, keepdim=True), indices
        lse = (logits / temperature).logsumexp(-1, keepdim=True)
        return values / temperature - lse, indices
    if transform == "none":
        return values / temperature, indices
    values = values - logits.mean(dim=-1, keepdim=True)
    if transform == "center":
        return values / temperature, indices
    variance = logits.var(dim=-1, correction=0, keepdim=True)
    # Equal logits have no z-scores: all become 0, and the root no infinite slope.
    varies = variance > torch.finfo(logits.dtype).tiny
    return values / torch.where(varies, variance, 1.0).sqrt(), indices


def _check_shape(name, logits):
    if logits.ndim not in (2, 3) or logits.numel() == 0:
        raise ValueError(
            f"{name} must have shape (n, n_classes) or (n, n_positions, n_classes), "
            f"none of them 0, got {tuple(logits.shape)}."
        )
