"""Checks of what the loss is called with."""

import math
from dataclasses import dataclass
from numbers import Integral, Real

import torch

from ._task import IGNORED, Task

IMPLEMENTATIONS = ("auto", "chunk", "recompute", "reference", "triton")
_REDUCTIONS = ("mean", "sum", "none")
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
# Logits divided by smaller or greater caps leave the range of single precision.
_CAPS = 1e-10, 1e10
_INT64 = torch.iinfo(torch.int64)


@dataclass(frozen=True)
class Options:
    """Parameters of `linear_cross_entropy` that are no tensors, checked.

    Attributes
    ----------
    ignore_index, reduction, label_smoothing, z_loss, softcap, filter_eps, \
    max_dropped_mass, chunk_size, impl
        As there.
    """

    ignore_index: int = -100
    reduction: str = "mean"
    label_smoothing: float = 0.0
    z_loss: float = 0.0
    softcap: float | None = None
    filter_eps: float | str | None = None
    max_dropped_mass: float = 2**-7
    chunk_size: int | str = "auto"
    impl: str = "auto"

    def __post_init__(self):
        _check_choice("reduction", self.reduction, _REDUCTIONS)
        _check_choice("impl", self.impl, IMPLEMENTATIONS)
        _check_integer("ignore_index", self.ignore_index)
        _check_number("label_smoothing", self.label_smoothing, 0, 1, "[]")
        _check_number("z_loss", self.z_loss, 0, math.inf, "[)")
        _check_number("max_dropped_mass", self.max_dropped_mass, 0, 1, "[]")
        if self.softcap is not None:
            _check_number("softcap", self.softcap, *_CAPS, "[]")
        if self.filter_eps is not None and self.filter_eps != "auto":
            _check_number("filter_eps", self.filter_eps, 0, 1, "[)")
        if self.chunk_size != "auto":
            _check_integer("chunk_size", self.chunk_size, 1)
        self._check_combinations()

    def _check_combinations(self):
        if not self.filter_eps:
            return
        if self.impl == "reference":
            raise ValueError(
                f"filter_eps={self.filter_eps!r} cannot be used with impl='reference', "
                "which leaves nothing out."
            )
        if self.softcap is not None and self.label_smoothing:
            raise ValueError(
                f"filter_eps={self.filter_eps!r} cannot be used with both softcap and "
                "label_smoothing: then no entry of the gradient is negligible."
            )

    def filter_eps_of(self, dtype):
        """Return the threshold for features of a dtype.

        Parameters
        ----------
        dtype : torch.dtype
            The dtype.

        Returns
        -------
        float or None
            The threshold; None if nothing is to be left out.
        """
        if self.filter_eps == "auto":
            return torch.finfo(dtype).eps / 32
        return self.filter_eps or None


def _check_choice(name, value, allowed):
    if value not in allowed:
        raise ValueError(f"{name} must be one of {allowed}, got {value!r}.")


def _check_integer(name, value, least=None):
    good = isinstance(value, Integral) and not isinstance(value, bool)
    floor = _INT64.min if least is None else least
    if not (good and floor <= value <= _INT64.max):
        bound = " of 64 bits" if least is None else f" >= {least}"
        also = " or 'auto'" if name == "chunk_size" else ""
        raise ValueError(f"{name} must be an integer{bound}{also}, got {value!r}.")


def _check_number(name, value, least, most, closed):
    good = isinstance(value, Real) and not isinstance(value, bool)
    good = good and (least <= value if closed[0] == "[" else least < value)
    good = good and (value <= most if closed[1] == "]" else value < most)
    if not good:
        raise ValueError(
            f"{name} must be a number in {closed[0]}{least}, {most}{closed[1]}, "
            f"got {value!r}."
        )


def check_tensors(input, weight, target, bias):
    """Raise an error if the tensors do not fit together.

    Parameters
    ----------
    input, weight, target, bias
        As of `linear_cross_entropy`.

    Raises
    ------
    TypeError
        If one is no tensor, or has the wrong dtype.
    ValueError
        If shapes or devices do not fit.
    """
    for name, tensor in (("input", input), ("weight", weight), ("bias", bias)):
        if tensor is None and name == "bias":
            continue
        _check_is_tensor(name, tensor)
        if tensor.layout != torch.strided:
            raise TypeError(f"{name} must be a dense tensor, got {tensor.layout}.")
        if tensor.dtype not in _FLOATS:
            raise TypeError(f"{name} must hold real numbers, got {tensor.dtype}.")
        if tensor.dtype != input.dtype:
            raise TypeError(
                f"{name} must have the dtype of input, {input.dtype}, got "
                f"{tensor.dtype}."
            )
        _check_device(name, tensor, input)
    _check_shapes(input, weight, bias)
    _check_target(target, input)


def _check_shapes(input, weight, bias):
    if weight.ndim != 2 or len(weight) == 0:
        raise ValueError(
            "weight must have shape (num_classes, in_features) with one class at "
            f"least, got {tuple(weight.shape)}."
        )
    if input.ndim == 0 or input.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"input must have shape (..., {weight.shape[1]}) for a weight of shape "
            f"{tuple(weight.shape)}, got {tuple(input.shape)}."
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(
            f"bias must have shape ({len(weight)},) for a weight of shape "
            f"{tuple(weight.shape)}, got {tuple(bias.shape)}."
        )


def _check_target(target, input):
    _check_is_tensor("target", target)
    is_index = not (target.is_floating_point() or target.is_complex())
    if not is_index or target.dtype == torch.bool:
        raise TypeError(f"target must be class indices, integers, got {target.dtype}.")
    if target.shape != input.shape[:-1]:
        raise ValueError(
            f"target must have shape {tuple(input.shape[:-1])} for an input of shape "
            f"{tuple(input.shape)}, got {tuple(target.shape)}."
        )
    _check_device("target", target, input)


def checked_weights(name, values, shape, input):
    """Check weights of rows or of classes.

    Parameters
    ----------
    name : str
        Their name.
    values : Tensor or None
        The weights.
    shape : tuple of int or None
        Shape that they must have; None for any.
    input : Tensor
        On its device they must be.

    Returns
    -------
    Tensor or None
        The weights, flat, in the dtype of the sums.

    Raises
    ------
    TypeError, ValueError
        If they are no such weights.
    """
    if values is None:
        return None
    _check_is_tensor(name, values)
    shape = values.shape if shape is None else shape
    if values.is_complex() or values.shape != shape:
        raise ValueError(
            f"{name} must have shape {tuple(shape)}, got {tuple(values.shape)} of "
            f"{values.dtype}."
        )
    _check_device(name, values, input)
    if values.requires_grad and torch.is_grad_enabled():
        raise ValueError(
            f"{name} must not require a gradient, as none is computed: use "
            "reduction='none' and multiply, or detach it."
        )
    values = values.reshape(-1).to(torch.promote_types(input.dtype, torch.float32))
    if values.device.type == "cpu" and not torch.compiler.is_compiling():
        wrong = ~((values >= 0) & (values < math.inf))
        if wrong.any():
            raise ValueError(
                f"{name} must be finite and not negative, found "
                f"{values[wrong][0].item()}."
            )
    return values


def _check_is_tensor(name, value):
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"{name} must be a tensor, got {type(value).__name__}.")


def _check_device(name, tensor, input):
    if tensor.device != input.device:
        raise ValueError(
            f"{name} must be on the device of input, {input.device}, got "
            f"{tensor.device}."
        )


def make_task(options, dtype, n_classes, target, sample_weight, class_weight):
    """Make the task of a loss.

    Parameters
    ----------
    options : Options
        Parameters.
    dtype : torch.dtype
        That of the features.
    n_classes : int
        Number of classes.
    target : Tensor of shape (N,)
        Class indices, or the ignored one.
    sample_weight : Tensor of shape (N,) or None
        Weights of the rows, in the dtype of the sums.
    class_weight : Tensor of shape (V,) or None
        Those of the classes.

    Returns
    -------
    task : Task
        The task.
    total : Tensor of shape ()
        Weight of all rows. By it the losses are divided if their mean is asked for,
        unless it is zero.
    """
    target = target.long()
    counts = target != options.ignore_index
    # NaN becomes the smallest integer, which is ours for rows that do not count.
    target = torch.where(counts, target.clamp(min=IGNORED + 1), IGNORED)
    of_row = counts.to(torch.promote_types(dtype, torch.float32))
    if sample_weight is not None:
        of_row = of_row * sample_weight
    g = of_row
    if class_weight is not None:
        # Targets out of range have their error later.
        g = of_row * class_weight[target.clamp(0, n_classes - 1)]
    total = g.sum()
    if options.reduction == "mean":
        divisor = total.masked_fill(total == 0, 1)
        g, of_row = g / divisor, of_row / divisor
    smoothing = smoothing_weight = None
    if options.label_smoothing:
        per_class = of_row.new_ones(1) if class_weight is None else class_weight
        smoothing = per_class * (options.label_smoothing / n_classes)
        smoothing_weight = of_row
    task = Task(
        target,
        g * (1 - options.label_smoothing),
        smoothing,
        smoothing_weight,
        options.z_loss * g if options.z_loss else None,
        options.softcap,
        options.filter_eps_of(dtype),
        options.max_dropped_mass,
        None if options.chunk_size == "auto" else options.chunk_size,
    )
    return task, total
