"""Autocasting: what comes in is cast as torch would, what is computed within is not."""

from functools import wraps

import torch

# Autocasting leaves float64 alone.
_CAST = (torch.float16, torch.bfloat16, torch.float32)


def as_autocast(*tensors):
    """Cast as torch's own linear function would.

    Parameters
    ----------
    *tensors : Tensor or object
        What it would get. The device of the first one counts.

    Returns
    -------
    tuple
        The same; where autocasting is on, tensors are in its dtype.
    """
    if not isinstance(tensors[0], torch.Tensor):
        return tensors
    device = tensors[0].device.type
    if device == "meta" or not torch.is_autocast_enabled(device):
        return tensors
    dtype = torch.get_autocast_dtype(device)
    return tuple(
        x.to(dtype) if isinstance(x, torch.Tensor) and x.dtype in _CAST else x
        for x in tensors
    )


def without_autocast(function):
    """Let a function of features choose its dtypes itself.

    Parameters
    ----------
    function : callable
        Its first argument is a Tensor.

    Returns
    -------
    callable
        The function, with autocasting off while it runs.
    """

    @wraps(function)
    def wrapped(features, *args):
        if features.device.type == "meta":  # which torch cannot autocast on
            return function(features, *args)
        with torch.autocast(features.device.type, enabled=False):
            return function(features, *args)

    return wrapped
