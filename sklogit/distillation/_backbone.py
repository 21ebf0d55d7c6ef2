"""The module of a student, from inputs to features."""

from copy import deepcopy
from functools import partial
from itertools import pairwise
from math import prod
from numbers import Integral

from torch import nn


def make_backbone(backbone, hidden_layer_sizes, shape):
    """Return the module of a student, or what makes it.

    Parameters
    ----------
    backbone : torch.nn.Module, callable or None
        A module, of which a copy is taken, or a function that makes one; None makes
        layers with rectified outputs.
    hidden_layer_sizes : sequence of int
        Their sizes.
    shape : tuple of int
        Shape of the data.

    Returns
    -------
    torch.nn.Module or callable
        Makes features of shape (n, ..., in_features).

    Raises
    ------
    ValueError
        If a size is no integer >= 1.
    """
    if isinstance(backbone, nn.Module):
        return deepcopy(backbone)
    if backbone is not None:
        return backbone
    check_hidden_layer_sizes(hidden_layer_sizes)
    return partial(_perceptron, (prod(shape[1:]), *hidden_layer_sizes))


def check_hidden_layer_sizes(sizes):
    """Raise an error if layers cannot have such sizes.

    Parameters
    ----------
    sizes : sequence of int
        The sizes.

    Raises
    ------
    ValueError
        If a size is no integer >= 1.
    """
    for size in sizes:
        # True is an integer of Python, but no size to torch.
        if isinstance(size, bool) or not isinstance(size, Integral) or size < 1:
            raise ValueError(
                f"hidden_layer_sizes must be integers >= 1, got {sizes!r}."
            )


def _perceptron(sizes):
    """Hidden layers with ReLU behind each."""
    layers = [nn.Flatten()]
    for n_inputs, n_outputs in pairwise(sizes):
        layers += [nn.Linear(n_inputs, n_outputs), nn.ReLU()]
    return nn.Sequential(*layers)
