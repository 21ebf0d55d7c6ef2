"""What an oracle of torch tensors must return, and counted calls of it."""

import math
from types import FunctionType, MethodType

import numpy as np
import torch

from .._oracle import OracleBudgetExceeded, oracle_name


def split_closure(closure):
    """Split a closure that returns (targets, loss function) into its two halves.

    Parameters
    ----------
    closure : callable
        Returns a pair.

    Returns
    -------
    forward, oracle : callable
        The first calls the closure; the second is the loss function of that call.

    Raises
    ------
    TypeError
        If the closure returns a loss, as those of other optimisers do.
    """
    oracle = None

    def forward():
        nonlocal oracle
        result = closure()
        if not (isinstance(result, tuple) and len(result) == 2 and callable(result[1])):
            raise TypeError(
                "TargetSurrogate needs the targets and the loss apart: call "
                "step(forward, oracle), where forward() returns the targets and "
                "oracle(targets) their loss, or step(closure) with a closure that "
                f"returns (targets, oracle); the closure returned "
                f"{type(result).__name__}."
            )
        oracle = result[1]
        return result[0]

    return forward, lambda targets: oracle(targets)


def same_oracle_parts(oracle):
    """List what tells whether an oracle computes the same as at an earlier call.

    Training loops make a new function at every step, often with the same data.

    Parameters
    ----------
    oracle : callable
        An oracle.

    Returns
    -------
    list
        Its code and what it refers to now, copies of tensors and arrays, which may
        change in place; or itself, if it is no Python function.
    """
    if not isinstance(oracle, FunctionType):
        return [oracle]
    code, names = oracle.__code__, oracle.__globals__
    parts = [
        code,
        *map(_contents, oracle.__closure__ or ()),
        *(oracle.__defaults__ or ()),
        *(oracle.__kwdefaults__ or {}).values(),
        *(names[n] for n in code.co_names if n in names),
    ]
    return [_snapshot(part) for part in parts]


def _contents(cell):
    try:
        return cell.cell_contents
    except ValueError:  # a variable that has no value yet
        return None


def _snapshot(part):
    if isinstance(part, torch.Tensor):
        return part.detach().clone()
    return part.copy() if isinstance(part, np.ndarray) else part


def are_same(first, second):
    """Whether two lists of `same_oracle_parts` hold the same objects or tensors."""
    return len(first) == len(second) and all(map(_is_same, first, second))


def _is_same(a, b):
    if a is b:
        return True
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return a.shape == b.shape and a.device == b.device and torch.equal(a, b)
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    # Bound methods are made anew at every access.
    return isinstance(a, MethodType) and isinstance(b, MethodType) and a == b


def call_oracle(oracle, targets, reduction, with_gradient=True):
    """Call an oracle once.

    Parameters
    ----------
    oracle : callable
        Takes the targets; returns a loss tensor, which is differentiated, or a pair of
        the loss and its gradient, as tensors or arrays.
    targets : Tensor of shape (n, ...)
        Detached targets.
    reduction : {"mean", "sum"}
        Whether the loss, or the gradient, is that of the mean over the first axis.
    with_gradient : bool
        Whether the gradient is needed.

    Returns
    -------
    loss : float
        Loss as returned.
    gradient : Tensor or None
        Gradient of each sample's own loss, of the shape and dtype of the targets.

    Raises
    ------
    TypeError, ValueError
        If it returns something else; the message names the oracle.
    """
    name = oracle_name(oracle)
    leaf = targets.detach().clone().requires_grad_()
    with torch.enable_grad():
        output = oracle(leaf)
    is_pair = isinstance(output, (tuple, list)) and len(output) == 2
    if not is_pair and not isinstance(output, torch.Tensor):
        raise TypeError(
            f"oracle {name} must return a loss tensor or a pair (loss, gradient), got "
            f"{type(output).__name__}."
        )
    loss = _as_loss(output[0] if is_pair else output, name)
    if not with_gradient:
        return loss, None
    gradient = output[1] if is_pair else _differentiate(output, leaf, name)
    gradient = _as_gradient(gradient, targets, name)
    if reduction == "mean":
        gradient = gradient * len(targets)
    return loss, gradient


def _differentiate(loss, leaf, name):
    if not loss.requires_grad:
        raise ValueError(
            f"the loss of oracle {name} does not depend on the targets in a way that "
            "torch can differentiate; return a pair (loss, gradient)."
        )
    (gradient,) = torch.autograd.grad(
        loss, leaf, torch.ones_like(loss), allow_unused=True
    )
    if gradient is None:
        raise ValueError(f"the gradient of oracle {name} is None: it ignores targets.")
    return gradient


def _as_gradient(gradient, targets, name):
    if not isinstance(gradient, torch.Tensor):
        array = np.asarray(gradient)
        if array.dtype.kind not in "fiub":
            raise TypeError(
                f"the gradient of oracle {name} must hold real numbers, got "
                f"{type(gradient).__name__}."
            )
        gradient = torch.from_numpy(np.array(array, dtype=np.float64))
    if gradient.is_complex() or gradient.layout != torch.strided:
        raise TypeError(
            f"the gradient of oracle {name} must be a dense tensor of real numbers, "
            f"got {gradient.dtype} in the layout {gradient.layout}."
        )
    if gradient.shape != targets.shape:
        raise ValueError(
            f"the gradient of oracle {name} must have the shape {tuple(targets.shape)} "
            f"of the targets, got {tuple(gradient.shape)}."
        )
    gradient = gradient.detach().to(dtype=targets.dtype, device=targets.device)
    finite = torch.isfinite(gradient)
    if not finite.all():
        row = int((~finite).nonzero()[0, 0])
        raise ValueError(
            f"the gradient of oracle {name} must be finite, got "
            f"{gradient[row].tolist()} in row {row}."
        )
    return gradient


def _as_loss(loss, name):
    if isinstance(loss, torch.Tensor):
        loss = loss.detach()
    shape = tuple(getattr(loss, "shape", ()))
    if math.prod(shape) != 1:
        raise ValueError(
            f"the loss of oracle {name} must be one number, got shape {shape}."
        )
    try:
        loss = float(loss)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"the loss of oracle {name} must be one number, got {loss!r}."
        ) from error
    if not np.isfinite(loss):
        raise ValueError(f"the loss of oracle {name} must be finite, got {loss}.")
    return loss


def check_budget(n_calls, max_oracle_calls, oracle):
    """Raise before a call that would exceed the budget."""
    if max_oracle_calls is not None and n_calls >= max_oracle_calls:
        raise OracleBudgetExceeded(
            f"oracle {oracle_name(oracle)}: call {n_calls + 1} refused, "
            f"max_oracle_calls={max_oracle_calls}"
        )
