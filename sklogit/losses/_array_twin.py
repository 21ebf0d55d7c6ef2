"""Functions of tensors that also take arrays, and then return arrays."""

from functools import wraps

import numpy as np
import torch


def takes_arrays(function):
    """Let a function of tensors take NumPy arrays, and return them.

    Parameters
    ----------
    function : callable
        Of tensors and arrays; it makes tensors of the arrays by `as_tensor`.

    Returns
    -------
    callable
        The same function. Without a tensor among its arguments it records no graph,
        and returns arrays, or numbers for what has no dimensions.
    """

    @wraps(function)
    def twin(*args, **kwargs):
        if any(map(_holds_tensor, (*args, *kwargs.values()))):
            return function(*args, **kwargs)
        with torch.no_grad():
            return _as_array(function(*args, **kwargs))

    return twin


def as_tensor(name, values, like=None):
    """Make a tensor of real numbers, in single precision or better.

    Parameters
    ----------
    name : str
        What it is, for the error.
    values : Tensor or array-like
        The numbers.
    like : Tensor, default=None
        Its dtype and device are taken.

    Returns
    -------
    Tensor
        The numbers.

    Raises
    ------
    TypeError
        If they are no real numbers.
    """
    if not isinstance(values, torch.Tensor):
        values = np.asarray(values)
        if values.dtype.kind not in "fiub":
            raise TypeError(f"{name} must be real numbers, got dtype {values.dtype}.")
        # A tensor shares the memory, which it may only of arrays one can write to, of
        # numbers that torch has too: of at most 8 bytes, in the machine's order.
        dtype = np.float64 if values.dtype.itemsize > 8 else values.dtype
        dtype = np.dtype(dtype).newbyteorder("=")
        values = torch.from_numpy(np.require(values, dtype, ["C", "W"]))
    if values.is_complex():
        raise TypeError(f"{name} must be real numbers, got dtype {values.dtype}.")
    if like is not None:
        return values.to(like)
    if not values.is_floating_point():
        return values.double()
    return values.to(torch.promote_types(values.dtype, torch.float32))


def check_finite(name, values):
    """Raise an error if numbers are not finite, where looking at them costs little.

    Parameters
    ----------
    name : str
        What they are, for the error.
    values : Tensor
        The numbers.

    Raises
    ------
    ValueError
        If there is NaN or infinity.
    """
    # The sum is the fastest look at all of them; it may itself overflow.
    values = values.detach()
    if not is_readable(values) or values.sum().isfinite():
        return
    wrong = ~values.isfinite()
    if wrong.any():
        rows = wrong.reshape(-1, values.shape[-1]).any(dim=1).nonzero()[:, 0]
        raise ValueError(
            f"{name} must be finite, found NaN or infinity in {len(rows)} rows, the "
            f"first of them {rows[:5].tolist()}."
        )


def is_readable(values):
    """Whether looking at values costs little.

    Parameters
    ----------
    values : Tensor
        The values.

    Returns
    -------
    bool
        False elsewhere than on the CPU, where that would wait for all that is under
        way, and while a function is compiled, where it would break the graph.
    """
    return values.device.type == "cpu" and not torch.compiler.is_compiling()


def _holds_tensor(value):
    if isinstance(value, tuple | list):
        return any(map(_holds_tensor, value))
    return isinstance(value, torch.Tensor)


def _as_array(result):
    if isinstance(result, tuple):
        return tuple(map(_as_array, result))
    return result.numpy() if result.ndim else result.item()
