"""The parts of a LogitClassifier: found by name, and made for the data."""

import inspect

import torch
from torch import nn

from ..heads import CosineHead, GrassmannHead, LinearHead, LogitBiasHead, VQLogitsHead
from ..losses import AnyLoss, LinearCrossEntropyLoss, LogitBiasLoss

HEADS = {
    "linear": LinearHead,
    "cosine": CosineHead,
    "grassmann": GrassmannHead,
    "vq": VQLogitsHead,
    "logit_bias": LogitBiasHead,
}
LOSSES = {
    "cross_entropy": nn.CrossEntropyLoss,
    "linear_cross_entropy": LinearCrossEntropyLoss,
    "anyloss": AnyLoss,
    "logit_bias": LogitBiasLoss,
}
# What a part may call the number of classes in its constructor.
NUMBERS_OF_CLASSES = ("num_classes", "n_classes", "out_features")


class LogitModule(nn.Module):
    """Features by a module, logits by a head.

    Parameters
    ----------
    module : torch.nn.Module
        Makes features.
    head : torch.nn.Module
        Makes logits of them.
    """

    def __init__(self, module, head):
        super().__init__()
        self.module = module
        self.head = head

    def features(self, *args, **kwargs):
        """Compute features.

        Parameters
        ----------
        *args, **kwargs
            Passed to the module.

        Returns
        -------
        Tensor of shape (n, ..., in_features)
            What the module returns, or the first of several things.
        """
        features = self.module(*args, **kwargs)
        return features[0] if isinstance(features, tuple) else features

    def forward(self, *args, **kwargs):
        """Compute logits.

        Parameters
        ----------
        *args, **kwargs
            Passed to the module.

        Returns
        -------
        Tensor of shape (n, ..., num_classes)
            The logits.
        """
        return self.head(self.features(*args, **kwargs))


def part_of_name(role, value, registry):
    """Look up a part that is given by its name.

    Parameters
    ----------
    role : str
        The parameter, for the error.
    value : str or object
        A name, or the part itself.
    registry : dict
        Parts by name.

    Returns
    -------
    object
        The part.

    Raises
    ------
    ValueError
        If the name is unknown.
    TypeError
        If it is no part.
    """
    if not isinstance(value, str):
        check_is_part(role, value)
        return value
    if value not in registry:
        raise ValueError(
            f"{role} must be one of {sorted(registry)}, a class or an instance, got "
            f"{value!r}."
        )
    return registry[value]


def check_is_part(role, value):
    """Raise an error if a parameter can make no module of torch.

    Parameters
    ----------
    role : str
        The parameter, for the error.
    value : object
        The part.

    Raises
    ------
    TypeError
        If it is not callable.
    """
    if not callable(value):
        raise TypeError(
            f"{role} must be a class, a callable or an instance of torch.nn.Module, "
            f"got {value!r}."
        )


def check_is_module(role, made):
    """Raise an error if a part is no module of torch.

    Parameters
    ----------
    role : str
        The parameter, for the error.
    made : object
        The part.

    Raises
    ------
    TypeError
        If it is no module.
    """
    if not isinstance(made, nn.Module):
        raise TypeError(
            f"{role} must make a torch.nn.Module, got {type(made).__name__}."
        )


def parameters_of_head(head, kwargs, in_features, num_classes, class_counts):
    """Complete the parameters of a head by what it asks for of the data.

    Parameters
    ----------
    head : class, callable or instance
        The head.
    kwargs : dict
        Parameters that were given.
    in_features : int or None
        Number of features, None if it is unknown.
    num_classes : int or None
        Number of classes.
    class_counts : ndarray of shape (num_classes,) or None
        Rows of each class.

    Returns
    -------
    dict
        All parameters; none for an instance without new parameters.

    Raises
    ------
    ValueError
        If a size is needed and unknown.
    """
    if isinstance(head, nn.Module):
        if not kwargs:
            return {}
        head = type(head)
    sizes = {"in_features": in_features}
    sizes |= dict.fromkeys(NUMBERS_OF_CLASSES, num_classes)
    try:
        taken = inspect.signature(head).parameters
    except ValueError:  # some classes that are written in C have none
        taken = {}
    filled = dict(kwargs)
    if "class_counts" in taken:
        filled.setdefault("class_counts", class_counts)
    for name, size in sizes.items():
        if name in taken and filled.setdefault(name, size) is None:
            raise ValueError(
                f"head__{name} is unknown: pass it, or call fit instead of initialize."
            )
    return filled


def check_logits(logits, num_classes, head):
    """Raise an error if logits are not one for each class.

    Parameters
    ----------
    logits : Tensor
        Logits of some rows.
    num_classes : int
        Number of classes.
    head : object
        The parameter, for the error.

    Raises
    ------
    ValueError
        If they are not.
    """
    if logits.shape[-1] == num_classes:
        return
    who = "module, with head=None," if head is None else f"head={head!r}"
    raise ValueError(
        f"{who} must return {num_classes} logits a row, one for each class, got shape "
        f"{tuple(logits.shape)}."
    )


def shapes_of(batch):
    """Shapes and dtypes of the rows of a batch.

    Parameters
    ----------
    batch : Tensor, or dict or list of them
        Data.

    Returns
    -------
    tuple, dict or list
        A pair (shape, dtype) for each tensor; None for what is no tensor.
    """
    if isinstance(batch, dict):
        return {name: shapes_of(values) for name, values in batch.items()}
    if isinstance(batch, list):
        return [shapes_of(values) for values in batch]
    if not isinstance(batch, torch.Tensor):
        return None
    return tuple(batch.shape[1:]), batch.dtype


def zeros_of(shapes, n_rows=2):
    """Make a batch of zeros.

    Parameters
    ----------
    shapes : tuple, dict or list
        As `shapes_of` returns them.
    n_rows : int, default=2
        Number of rows.

    Returns
    -------
    Tensor, or dict or list of them
        The zeros.
    """
    if isinstance(shapes, dict):
        return {name: zeros_of(values, n_rows) for name, values in shapes.items()}
    if isinstance(shapes, list):
        return [zeros_of(values, n_rows) for values in shapes]
    return torch.zeros(n_rows, *shapes[0], dtype=shapes[1])
