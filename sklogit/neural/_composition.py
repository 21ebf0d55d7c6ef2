"""The loss of features behind a head: the one place where heads and losses meet."""

import inspect
from functools import cache

import torch
from torch import nn
from torch.nn import functional as F

from ..losses import AnyLoss

# Instead of a weight of zero, to divide by.
_TINY = 1e-30


class HeadOfLoss(nn.Module):
    """The head that a loss owns, for predictions.

    Parameters
    ----------
    loss : torch.nn.Module
        A loss with ``logits(features)``.
    """

    def __init__(self, loss):
        super().__init__()
        self.loss = loss

    def forward(self, features):
        """Compute logits.

        Parameters
        ----------
        features : Tensor of shape (..., in_features)
            Features.

        Returns
        -------
        Tensor of shape (..., num_classes)
            The logits.
        """
        return self.loss.logits(features)


def owns_head(loss):
    """Whether a loss has the weights of the logits itself.

    Parameters
    ----------
    loss : torch.nn.Module
        The loss.

    Returns
    -------
    bool
        Whether it does.
    """
    return hasattr(loss, "logits") and not getattr(loss, "needs_head", False)


def batch_loss(loss, head, features, target, weight=None):
    """Compute the loss of a batch.

    Parameters
    ----------
    loss : torch.nn.Module
        The loss. With an attribute ``needs_head`` that is true, it is called with
        features, and the head as ``head``; else with logits.
    head : torch.nn.Module
        Makes logits of features. Where it has ``nll`` and the loss is the plain
        cross-entropy, that is used.
    features : Tensor of shape (n, ..., in_features)
        Features.
    target : Tensor of shape (n, ...)
        Class indices.
    weight : Tensor of shape (n,), default=None
        Weights: the loss is a weighted mean.

    Returns
    -------
    Tensor of shape ()
        The loss.

    Raises
    ------
    ValueError
        If shapes do not fit, or the loss cannot take weights.
    """
    features, target, weight = as_rows(features, target, weight)
    if weight is not None and not weight.any():
        # The mean of no rows: 0, with gradients that are 0 rather than missing.
        return 0 * batch_loss(loss, head, features, target)
    if getattr(loss, "needs_head", False):
        given = {} if weight is None else {"sample_weight": weight}
        value = loss(features, target, head=head, **given)
    elif isinstance(head, HeadOfLoss):
        value = loss(features, target, sample_weight=weight)
    elif hasattr(head, "nll") and is_plain_cross_entropy(loss):
        features, target, weight = _without_ignored(loss, features, target, weight)
        value = _reduced(loss, head.nll(features, target), weight)
    else:
        value = _loss_of_logits(loss, head(features), target, weight)
    return _checked_scalar(value, loss)


def as_rows(features, target, weight=None):
    """Let positions of sequences be rows.

    Parameters
    ----------
    features : Tensor of shape (n, ..., in_features)
        Features.
    target : Tensor of shape (n, ...)
        Class indices.
    weight : Tensor of shape (n,) or None
        Weights.

    Returns
    -------
    tuple
        All three, of as many rows as there are targets.

    Raises
    ------
    ValueError
        If there are not as many features as targets.
    """
    if features.shape[:-1] != target.shape:
        raise ValueError(
            f"module must return features of shape {(*target.shape, 'in_features')} "
            f"for targets of shape {tuple(target.shape)}, got {tuple(features.shape)}."
        )
    if target.ndim == 1:
        return features, target, weight
    if weight is not None:
        weight = weight.reshape(-1, *[1] * (target.ndim - 1)).expand(target.shape)
        weight = weight.reshape(-1)
    return features.flatten(0, -2), target.reshape(-1), weight


def nll_of_rows(head, features, target):
    """Compute -log p of each target, of logits that are not kept.

    Parameters
    ----------
    head : torch.nn.Module
        The head.
    features : Tensor of shape (n, in_features)
        Features.
    target : Tensor of shape (n,)
        Class indices.

    Returns
    -------
    Tensor of shape (n,)
        The negative log-likelihood.
    """
    if hasattr(head, "nll"):
        return head.nll(features, target)
    return F.cross_entropy(head(features), target, reduction="none")


def check_composition(loss, head):
    """Raise an error if a loss needs more of a head than it has.

    Parameters
    ----------
    loss : torch.nn.Module
        The loss.
    head : torch.nn.Module
        The head.

    Raises
    ------
    ValueError
        If the loss cannot work on the head, or caps logits otherwise.
    """
    if isinstance(head, HeadOfLoss):
        return
    if hasattr(loss, "check_head"):
        loss.check_head(head)
    caps = getattr(loss, "softcap", None), getattr(head, "softcap", None)
    if getattr(loss, "needs_head", False) and caps[0] != caps[1]:
        raise ValueError(
            f"head__softcap must be that of the loss, {caps[0]}, or predictions would "
            f"be of other logits, got {caps[1]}."
        )


def is_plain_cross_entropy(loss):
    """Whether a loss is the mean or sum of -log p, whatever rows it ignores.

    Parameters
    ----------
    loss : torch.nn.Module
        The loss.

    Returns
    -------
    bool
        Whether it is.
    """
    return (
        isinstance(loss, nn.CrossEntropyLoss)
        and loss.weight is None
        and loss.label_smoothing == 0
    )


def _without_ignored(loss, features, target, weight):
    kept = target != loss.ignore_index
    if kept.all():
        return features, target, weight
    return features[kept], target[kept], None if weight is None else weight[kept]


def _loss_of_logits(loss, logits, target, weight):
    if isinstance(loss, AnyLoss) and logits.shape[1] == 2:
        # The metric of the second class, the positive one; of two logits it would be
        # the mean over both classes.
        logits = logits[:, 1] - logits[:, 0]
    if weight is None:
        return loss(logits, target)
    if _takes_weight(type(loss)):
        return loss(logits, target, sample_weight=weight)
    if not hasattr(loss, "reduction"):
        raise ValueError(
            f"sample_weight cannot be used with loss={type(loss).__name__}: its "
            "forward has no parameter sample_weight, and it has no reduction='none'."
        )
    return _reduced(loss, _losses_of_rows(loss, logits, target), weight, target)


@cache  # as looking at a signature takes longer than a small step
def _takes_weight(loss_class):
    return "sample_weight" in inspect.signature(loss_class.forward).parameters


def _losses_of_rows(loss, logits, target):
    reduction = loss.reduction
    loss.reduction = "none"
    try:
        rows = loss(logits, target)
    finally:
        loss.reduction = reduction
    return rows.flatten(1).mean(dim=1) if rows.ndim > 1 else rows


def _reduced(loss, rows, weight, target=None):
    """Mean or sum of the losses of rows, as the loss has it, with weights."""
    if weight is None:
        return rows.sum() if loss.reduction == "sum" else rows.mean()
    total = (weight * rows).sum()
    if loss.reduction == "sum":
        return total
    if isinstance(loss, nn.CrossEntropyLoss) and target is not None:
        # Its mean is over the weights of the classes, of rows that are not ignored.
        kept = target != loss.ignore_index
        weight = weight * kept
        if loss.weight is not None:
            weight = weight * loss.weight[torch.where(kept, target, 0)]
    return total / weight.sum().clamp_min(_TINY)


def _checked_scalar(value, loss):
    if value.ndim:
        raise ValueError(
            f"loss={type(loss).__name__} must return one number, got shape "
            f"{tuple(value.shape)}: use reduction='mean' or 'sum'."
        )
    return value
