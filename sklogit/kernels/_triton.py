"""Linear cross-entropy by kernels of Triton, which never store the logits.

Needs the extra ``triton``, and imports it with the first call. The kernels were run by
Triton's interpreter and compiled for sm_80 and sm_90, but never run on a GPU.
"""

import torch

from ._autocast import without_autocast
from ._gradients import RowFactors
from ._task import IGNORED, check_finite, check_targets
from ._triton_gradients import Filter, RowGradients, gradients
from ._triton_statistics import Operands, kernels_for, row_statistics
from ._walk import Walk


@without_autocast
def forward(features, weight, bias, task):
    """Compute the terms of each row's loss.

    Parameters
    ----------
    features : Tensor of shape (N, D)
        Features, on a GPU unless Triton's interpreter runs.
    weight : Tensor of shape (V, D)
        Weight of the head.
    bias : Tensor of shape (V,) or None
        Its bias.
    task : Task
        What to compute.

    Returns
    -------
    nll, lse, smooth : Tensor of shape (N,)
        As of `_recompute.forward`.
    """
    kernels_for(features.device)  # Raises what is wrong before anything is computed.
    check_targets(task.target, len(weight))
    walk = Walk(features, weight, bias, task, task.target != IGNORED)
    statistics = row_statistics(operands_of(walk, weight, bias))
    nll, lse, smooth = statistics.nll, statistics.lse, None
    if walk.smoothing is not None:
        wide = walk.features.to(lse.dtype)
        smooth = walk.smoothing.values(lse, wide, statistics.mean_logit)
    check_finite(nll, input=features, weight=weight, bias=bias)
    return tuple(x if x is None else walk.spread(x) for x in (nll, lse, smooth))


@without_autocast
def backward(features, weight, bias, task, terms, derivatives, needs):
    """Compute the gradients, given the derivatives of the loss by the terms.

    Parameters
    ----------
    features, weight, bias, task
        As of `forward`.
    terms : tuple of Tensor of shape (N,)
        What it returned.
    derivatives : tuple of Tensor of shape (N,)
        By nll, by lse, and by smooth (None without label smoothing).
    needs : sequence of bool
        Whether the gradients of features, weight and bias are needed.

    Returns
    -------
    list of Tensor or None
        The gradients, in the dtypes of the inputs.
    """
    walk = Walk(features, weight, bias, task, task.target != IGNORED)
    nll, lse = (walk.pick(term) for term in terms[:2])
    factors = RowFactors.of(*map(walk.pick, derivatives), walk.smoothing)
    return walk.gradients(gradients_of(walk, weight, bias, nll, lse, factors, needs))


def operands_of(walk, weight, bias):
    """Say what the logits of the rows that count are made of.

    Parameters
    ----------
    walk : Walk
        The rows that count, and the classes.
    weight : Tensor of shape (V, D)
        Weight.
    bias : Tensor of shape (V,) or None
        Bias.

    Returns
    -------
    Operands
        With coefficients for label smoothing, if it is not linear.
    """
    coef = None
    if walk.smoothing is not None and not walk.smoothing.is_linear:
        coef = walk.smoothing.factors.expand(len(weight))
    target, softcap = walk.task.target, walk.task.softcap
    return Operands(walk.features, weight, target, bias, coef, softcap)


def gradients_of(walk, weight, bias, nll, lse, factors, needs, wide_features=False):
    """Make the gradients of features, weight and bias.

    Parameters
    ----------
    walk : Walk
        The rows that count, and the classes.
    weight : Tensor of shape (V, D)
        Weight.
    bias : Tensor of shape (V,) or None
        Bias.
    nll, lse : Tensor of shape (n,)
        Negative log-likelihoods and logarithms of the sums, of all ranks' classes.
    factors : RowFactors
        Factors of the rows.
    needs : sequence of bool
        Whether the gradients of features, weight and bias are needed.
    wide_features : bool, default=False
        Whether the one of features is wanted in the dtype of the sums.

    Returns
    -------
    list of Tensor or None
        The gradients.
    """
    task, smoothing = walk.task, walk.smoothing
    linear = smoothing is not None and smoothing.is_linear
    mean = None if smoothing is None or linear else -factors.smooth
    entries = factors.target_entry(nll)
    rows = RowGradients(lse, -torch.expm1(-nll), factors.softmax, entries, mean)
    tile_filter = None
    if task.filter_eps is not None:
        tile_filter = Filter(task.filter_eps, task.max_dropped_mass)
    wide = (wide_features or linear, linear, linear)
    operands = operands_of(walk, weight, bias)
    made = gradients(operands, rows, needs, tile_filter, wide=wide)
    if linear:
        gamma, tile = factors.smooth, slice(None)
        smoothing.take_from_features(made.input, gamma)
        features = walk.features.to(gamma.dtype)
        smoothing.take_from_head(made.weight, made.bias, tile, gamma, features)
    return [made.input, made.weight, made.bias]
