"""What an oracle of torch tensors must return, and counted calls of it."""

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


def call_oracle(oracle, targets, reduction):
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

    Returns
    -------
    loss : float
        Loss as returned.
    gradient : Tensor
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
    if isinstance(output, (tuple, list)) and len(output) == 2:
        loss, gradient = output
    elif isinstance(output, torch.Tensor):
        loss, gradient = output, _differentiate(output, leaf, name)
    else:
        raise TypeError(
            f"oracle {name} must return a loss tensor or a pair (loss, gradient), got "
            f"{type(output).__name__}."
        )
    gradient = _as_gradient(gradient, targets, name)
    if reduction == "mean":
        gradient = gradient * len(targets)
    return _as_loss(loss, name), gradient


def _differentiate(loss, leaf, name):
    if loss.numel() != 1:
        raise ValueError(
            f"the loss of oracle {name} must be one number, got shape "
            f"{tuple(loss.shape)}."
        )
    if not loss.requires_grad:
        raise ValueError(
            f"the loss of oracle {name} does not depend on the targets in a way that "
            "torch can differentiate; return a pair (loss, gradient)."
        )
    (gradient,) = torch.autograd.grad(loss.reshape(()), leaf, allow_unused=True)
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
    if gradient.shape != targets.shape:
        raise ValueError(
            f"the gradient of oracle {name} must have the shape {tuple(targets.shape)} "
            f"of the targets, got {tuple(gradient.shape)}."
        )
    gradient = gradient.detach().to(dtype=targets.dtype, device=targets.device)
    if not torch.isfinite(gradient).all():
        raise ValueError(f"the gradient of oracle {name} must be finite.")
    return gradient


def _as_loss(loss, name):
    if isinstance(loss, torch.Tensor):
        loss = loss.detach()
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
