"""Checks of the parameters that heads share."""

import math
from numbers import Integral, Real


def check_sizes(**sizes):
    """Raise an error if a size is no positive integer.

    Parameters
    ----------
    **sizes : object
        The sizes, under the names of the parameters.

    Raises
    ------
    ValueError
        If one is none.
    """
    for name, size in sizes.items():
        if not _is_integer(size) or size < 1:
            raise ValueError(f"{name} must be an integer >= 1, got {size!r}.")


def check_positive(name, value, *, or_none=False):
    """Raise an error if a parameter is no positive, finite number.

    Parameters
    ----------
    name : str
        Name of the parameter.
    value : object
        Its value.
    or_none : bool, default=False
        Whether None is allowed.

    Raises
    ------
    ValueError
        If it is none.
    """
    if or_none and value is None:
        return
    if not (isinstance(value, Real) and 0 < value < math.inf):
        allowed = "None, or " * or_none + "positive and finite"
        raise ValueError(f"{name} must be {allowed}, got {value!r}.")


def check_k(k, num_classes):
    """Raise an error if there are no k most probable classes.

    Parameters
    ----------
    k : object
        How many are asked for.
    num_classes : int
        Number of classes.

    Raises
    ------
    ValueError
        If it is no integer, or there are not as many.
    """
    if not (_is_integer(k) and 1 <= k <= num_classes):
        raise ValueError(
            f"k must be an integer from 1 to {num_classes}, the number of classes, got "
            f"{k!r}."
        )


def _is_integer(value):
    return isinstance(value, Integral) and not isinstance(value, bool)
