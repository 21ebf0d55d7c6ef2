"""Checks of what users give to `TargetSurrogate`, except the oracle."""

import math
from collections.abc import Callable, Mapping
from numbers import Integral, Real

import torch

from ._inner import check_inner
from ._step_rules import STEP_RULES


def check_config(config):
    """Raise ValueError for a parameter that is not allowed.

    Parameters
    ----------
    config : dict
        Parameters of `TargetSurrogate` by name.
    """
    check_inner(config["inner_optimizer"])
    for name, allowed in (("step_rule", STEP_RULES), ("reduction", ("mean", "sum"))):
        if config[name] not in allowed:
            raise ValueError(f"{name} must be among {allowed}, got {config[name]!r}.")
    for name in ("lr", "eta", "min_eta", "max_eta"):
        _check_positive(name, config[name], math.inf)
    if config["min_eta"] > config["max_eta"]:
        raise ValueError(
            f"max_eta must be at least min_eta={config['min_eta']!r}, got "
            f"{config['max_eta']!r}."
        )
    _check_count("inner_steps", config["inner_steps"], 1)
    if config["max_oracle_calls"] is not None:
        _check_count("max_oracle_calls", config["max_oracle_calls"], 0)
    if config["inner_tol"] is not None:
        _check_positive("inner_tol", config["inner_tol"], 1.0)
    for name, kind in (("metric", Callable), ("inner_kwargs", Mapping)):
        if not isinstance(config[name], kind | None):
            raise TypeError(
                f"{name} must be None or a {kind.__name__.lower()}, got "
                f"{type(config[name]).__name__}."
            )
    if config["total_steps"] is not None:
        _check_count("total_steps", config["total_steps"], 1)
    elif config["step_rule"] == "exponential":
        raise ValueError("step_rule='exponential' needs total_steps, got None.")


def _check_positive(name, value, below):
    if not isinstance(value, Real | torch.Tensor):
        raise TypeError(f"{name} must be a number, got {value!r}.")
    if not 0 < value < below:
        allowed = "positive" if below == math.inf else f"between 0 and {below:g}"
        raise ValueError(f"{name} must be {allowed}, got {value!r}.")


def _check_count(name, value, least):
    if not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} must be an integer >= {least}, got {value!r}.")


def detached_targets(targets):
    """Check targets; return a detached copy, of float32 if they are of less.

    Parameters
    ----------
    targets : Tensor of shape (n_samples, ...)
        What forward() returned.

    Returns
    -------
    Tensor
        The copy.

    Raises
    ------
    TypeError, ValueError
        If they are no finite real numbers with a graph.
    """
    if not isinstance(targets, torch.Tensor) or not targets.is_floating_point():
        found = getattr(targets, "dtype", type(targets).__name__)
        raise TypeError(f"forward() must return a tensor of real numbers, got {found}.")
    if targets.ndim == 0 or len(targets) == 0:
        raise ValueError(
            "forward() must return targets of shape (n_samples, ...), got shape "
            f"{tuple(targets.shape)}."
        )
    if not targets.requires_grad:
        raise ValueError(
            "forward() returned targets that do not depend on the parameters."
        )
    # Half precision is too coarse for the differences that the surrogate is made of.
    z = targets.detach().to(
        torch.promote_types(targets.dtype, torch.float32), copy=True
    )
    if not math.isfinite(float(z.sum())) and not torch.isfinite(z).all():
        raise ValueError(
            "forward() returned targets that are not finite; if they were, the inner "
            "steps diverge: try a smaller lr."
        )
    return z


def metric_weights(metric, z, gradient):
    """Weights of the quadratic term of the surrogate.

    Parameters
    ----------
    metric : callable or None
        Takes targets and gradient.
    z, gradient : Tensor of shape (n_samples, ...)
        Targets and gradient.

    Returns
    -------
    Tensor of shape (n_samples, ...) or None
        Positive weights; None stands for ones.

    Raises
    ------
    ValueError
        If the metric returns something else.
    """
    if metric is None:
        return None
    weight = metric(z, gradient)
    if not (isinstance(weight, torch.Tensor) and weight.shape == z.shape):
        found = getattr(weight, "shape", type(weight).__name__)
        raise ValueError(
            f"metric must return a tensor of shape {tuple(z.shape)}, got {found}."
        )
    if not ((weight > 0) & torch.isfinite(weight)).all():
        raise ValueError("metric must return positive finite weights.")
    return weight.detach()
