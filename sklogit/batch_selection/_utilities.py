"""How useful each sample is, judged by its logits."""

import numpy as np
from scipy.special import logsumexp

from ._arrays import (
    as_double,
    as_floats,
    as_mask,
    as_numpy,
    as_tensor_of,
    is_tensor,
    like,
    namespace,
)
from ._head import FactoredLogits
from ._nuclear_norm import frobenius_norms, nuclear_norm


def utilities(name, logits, y, mask, rng, *, length_norm=False):
    """Compute the utility of each sample.

    Parameters
    ----------
    name : str or callable
        "nuclear", "frobenius", "loss", "random", or ``name(logits, y)``.
    logits : array of shape (n_samples, n_positions, n_classes) or FactoredLogits
        Logits; dense ones are zero where the mask hides them.
    y : array of shape (n_samples,) or (n_samples, n_positions), or None
        Class indices.
    mask : array of shape (n_samples, n_positions) or None
        True for positions that count.
    rng : RandomState
        For "random".
    length_norm : bool, default=False
        Whether to divide norms by the greatest that as many rows of length one have.

    Returns
    -------
    array of shape (n_samples,)
        Utilities, in double precision.

    Raises
    ------
    ValueError
        If labels are needed and missing, or shapes do not fit.
    """
    factored = isinstance(logits, FactoredLogits)
    example = logits.hidden if factored else logits
    if name == "random":
        return like(rng.uniform(size=len(logits)), as_double(example[:0]))
    if callable(name):
        values = as_floats("utility", name(logits, y))
        if tuple(values.shape) != (len(logits),):
            raise ValueError(
                f"utility must return one number a sample, of shape ({len(logits)},), "
                f"got {tuple(values.shape)}."
            )
        return like(values, as_double(example[:0]))
    if name == "loss":
        dense = logits.dense() if factored else logits
        return mean_losses(dense, y, mask)
    if factored:
        norm = logits.nuclear_norms if name == "nuclear" else logits.frobenius_norms
        norms = as_double(norm(mask))
    elif name == "nuclear":
        norms = as_double(nuclear_norm(logits))
    else:
        norms = as_double(frobenius_norms(logits))
    return norms / _greatest_norms(name, logits, mask, norms) if length_norm else norms


def _greatest_norms(name, logits, mask, norms):
    """Greatest norms that as many rows of length one can have."""
    lengths = namespace(norms).ones_like(norms) * logits.shape[1]
    if mask is not None:
        example = logits.hidden if isinstance(logits, FactoredLogits) else logits
        counts = as_mask(mask, example).sum(-1)
        lengths = like(counts, norms)
    xp = namespace(lengths)
    ones = xp.ones_like(lengths)
    lengths = xp.where(lengths > 1, lengths, ones)
    if name == "frobenius":
        return xp.sqrt(lengths)
    ranks = xp.where(lengths < logits.shape[2], lengths, ones * logits.shape[2])
    return xp.sqrt(lengths * ranks)


def mean_losses(logits, y, mask=None):
    """Compute the mean cross-entropy of each sample over its positions.

    Parameters
    ----------
    logits : array of shape (n_samples, n_positions, n_classes)
        Logits.
    y : array of shape (n_samples,) or (n_samples, n_positions)
        Class indices; positions with negative ones do not count.
    mask : array of shape (n_samples, n_positions) or None
        True for positions that count.

    Returns
    -------
    array of shape (n_samples,)
        Losses in nats; 0 if no position counts.

    Raises
    ------
    ValueError
        If there are no labels, their shape does not fit or one is no class.
    """
    if y is None:
        raise ValueError("y must be given for utility='loss', got None.")
    n_classes = logits.shape[2]
    xp = namespace(logits)
    labels = _labels_like(y, logits)
    counts = labels >= 0
    if mask is not None:
        counts = counts & as_mask(mask, logits)
    if bool((labels >= n_classes).any()):
        raise ValueError(
            f"y must be class indices below {n_classes}, the number of logits, got "
            f"{int(labels.max())}."
        )
    index = xp.where(counts, labels, 0 * labels)[..., None]
    if is_tensor(logits):
        losses = logits.logsumexp(-1) - logits.gather(-1, index)[..., 0]
    else:
        chosen = np.take_along_axis(logits, index, axis=-1)[..., 0]
        losses = logsumexp(logits, axis=-1) - chosen
    losses = as_double(losses)
    total = xp.where(counts, losses, 0 * losses).sum(-1)
    number = counts.sum(-1)
    return total / xp.where(number > 0, number, 0 * number + 1)


def _labels_like(y, logits):
    shape = tuple(logits.shape[:2])
    found = tuple(y.shape) if hasattr(y, "shape") else np.shape(y)
    if found == shape[:1] and shape[1] > 1:
        raise ValueError(
            f"y must have the shape {shape}, a class index for each position, got "
            f"{found}."
        )
    if found not in (shape, shape[:1]):
        raise ValueError(f"y must have the shape {shape[:1]} or {shape}, got {found}.")
    if is_tensor(logits):
        y = as_tensor_of(y, logits)
        if y.is_floating_point() or y.is_complex():
            raise ValueError(f"y must be class indices, got dtype {y.dtype}.")
        return y.long().reshape(shape)
    y = as_numpy(y)
    if y.dtype.kind not in "iub":
        raise ValueError(f"y must be class indices, got dtype {y.dtype}.")
    return y.astype(np.int64).reshape(shape)
