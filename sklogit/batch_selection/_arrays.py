"""Arrays of NumPy and tensors of torch, by one set of functions.

torch is never imported: who passes a tensor has done so.
"""

import sys

import numpy as np
from scipy import sparse


def is_tensor(values):
    """Whether values are a tensor of torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(values, torch.Tensor)


def n_dimensions(values):
    """Return the number of dimensions of anything like an array."""
    return values.ndim if hasattr(values, "ndim") else np.asarray(values).ndim


def namespace(values):
    """Return the module whose functions work on values: numpy or torch."""
    return sys.modules["torch"] if is_tensor(values) else np


def as_floats(name, values):
    """Return real numbers, dense, in single precision or better.

    Parameters
    ----------
    name : str
        What they are, for the error.
    values : array-like or Tensor
        The numbers.

    Returns
    -------
    ndarray or Tensor
        The numbers, float32 or float64; half precision overflows in sums.

    Raises
    ------
    TypeError
        If they are sparse, or no real numbers.
    """
    if is_tensor(values):
        torch = namespace(values)
        if values.is_complex():
            raise TypeError(f"{name} must be real numbers, got dtype {values.dtype}.")
        if not values.is_floating_point():
            return values.to(torch.get_default_dtype())
        return values.to(torch.promote_types(values.dtype, torch.float32))
    if sparse.issparse(values):
        raise TypeError(f"{name} must be dense, got a {type(values).__name__}.")
    values = np.asarray(values)
    if values.dtype.kind not in "fiub":
        raise TypeError(f"{name} must be real numbers, got dtype {values.dtype}.")
    if values.dtype.kind != "f":
        return values.astype(np.float64)
    kept = values.dtype in (np.float32, np.float64)
    wide = np.float64 if values.dtype.itemsize > 4 else np.float32
    return values if kept else values.astype(wide)


def as_double(values):
    """Return values in double precision, or the best that their device has."""
    if not is_tensor(values):
        return values.astype(np.float64, copy=False)
    return values.float() if values.device.type == "mps" else values.double()


def like(values, other):
    """Return values as an array of the kind, dtype and device of other."""
    if not is_tensor(other):
        return np.asarray(as_numpy(values), dtype=other.dtype)
    return as_tensor_of(values, other).to(other.dtype)


def as_tensor_of(values, other):
    """Return values as a tensor on the device of another; frames are arrays to it."""
    if not is_tensor(values):
        values = np.require(values, requirements=["C", "W"])
    return namespace(other).as_tensor(values, device=other.device)


def as_numpy(values):
    """Return values as an array of NumPy."""
    return values.detach().cpu().numpy() if is_tensor(values) else np.asarray(values)


def on_cpu(values):
    """Return a tensor where any machine can load it; anything else as it is."""
    return values.detach().cpu() if is_tensor(values) else values


def check_finite(name, values):
    """Raise a ValueError if some values are not finite."""
    xp = namespace(values)
    with np.errstate(over="ignore", invalid="ignore"):
        # The fastest look at all of them; it may itself overflow.
        total = values.sum()
    if not bool(xp.isfinite(total)) and not bool(xp.isfinite(values).all()):
        raise ValueError(f"{name} must be finite, found NaN or infinity.")


def masked(values, mask):
    """Set rows that do not count to zero.

    Parameters
    ----------
    values : array of shape (n_samples, n_positions, ...)
        Rows.
    mask : array-like of shape (n_samples, n_positions) or None
        True for those that count.

    Returns
    -------
    array
        A copy, if there is a mask. What it hides may be NaN.

    Raises
    ------
    ValueError
        If the mask has another shape.
    """
    if mask is None:
        return values
    mask = as_mask(mask, values)
    xp = namespace(values)
    return xp.where(mask[..., None], values, xp.zeros_like(values[..., :1]))


def as_mask(mask, values):
    """Return a mask as an array of bools of the kind of values, checked."""
    if is_tensor(values):
        torch = namespace(values)
        mask = as_tensor_of(mask, values)
        mask = mask if mask.dtype == torch.bool else mask != 0
    else:
        mask = as_numpy(mask).astype(bool)
    if tuple(mask.shape) != tuple(values.shape[:-1]):
        raise ValueError(
            f"mask must have the shape {tuple(values.shape[:-1])}, one value for each "
            f"position, got {tuple(mask.shape)}."
        )
    return mask
