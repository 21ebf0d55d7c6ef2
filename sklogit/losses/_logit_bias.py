"""Two cross-entropies: that of fused logits, and that of the bias alone."""

from functools import partial
from numbers import Real

import torch
from torch import nn
from torch.nn import functional as F

from ._row_weights import weighted_mean

REDUCTIONS = ("mean", "sum", "none")


class LogitBiasLoss(nn.Module):
    r"""Cross-entropy of fused logits, and of the bias that was added to make them.

    .. math:: \lambda\, \mathrm{CE}(z + \alpha f b, y)
        + (1 - \lambda)\, \mathrm{CE}(b, y)

    The second term keeps the bias a classifier of its own, also for rows that the
    prior logits z have right already [1]_.

    Parameters
    ----------
    lambda_merge : float, default=0.35
        Share of the first term, from 0 to 1.
    label_smoothing : float, default=0.0
        Part of the target that is spread over all classes, in both terms.
    reduction : {"mean", "sum", "none"}, default="mean"
        "mean" divides by the total weight.

    Attributes
    ----------
    needs_head : bool
        True: it is called with the head.

    Raises
    ------
    ValueError
        If a number is not between 0 and 1, or there is no such reduction.

    See Also
    --------
    sklogit.heads.LogitBiasHead : The head that makes both.
    sklogit.few_shot.LogitBiasClassifier : Minimises it over arrays.

    References
    ----------
    .. [1] "AMU-Tuning: Effective Logit Bias for CLIP-based Few-shot Learning",
       arXiv:2404.08958.

    Examples
    --------
    >>> import torch
    >>> from sklogit.heads import LogitBiasHead
    >>> from sklogit.losses import LogitBiasLoss
    >>> from sklogit.neural import LogitClassifier
    >>> y = torch.arange(60) % 3
    >>> z, a = torch.randn(60, 3), torch.eye(3)[y] + 0.1 * torch.randn(60, 3)
    >>> net = LogitClassifier(
    ...     head=LogitBiasHead, loss=LogitBiasLoss, lr=0.1, random_state=0
    ... )
    >>> _ = net.fit(torch.cat([z, a], dim=1), y)
    >>> losses = net.history_[:, "train_loss"]
    >>> bool(losses[-1] < losses[0])
    True
    """

    needs_head = True

    def __init__(self, lambda_merge=0.35, *, label_smoothing=0.0, reduction="mean"):
        super().__init__()
        _check_share("lambda_merge", lambda_merge)
        _check_share("label_smoothing", label_smoothing)
        if reduction not in REDUCTIONS:
            raise ValueError(
                f"reduction must be one of {REDUCTIONS}, got {reduction!r}."
            )
        self.lambda_merge = lambda_merge
        self.label_smoothing = label_smoothing
        self.reduction = reduction

    def forward(self, features, target, *, head=None, sample_weight=None):
        """Compute the loss.

        Parameters
        ----------
        features : Tensor of shape (n, in_features)
            Prior logits, then auxiliary features.
        target : Tensor of shape (n,)
            Class indices.
        head : LogitBiasHead
            The head.
        sample_weight : Tensor of shape (n,), default=None
            Weights of the rows.

        Returns
        -------
        Tensor of shape (), or (n,) for ``reduction="none"``
            The loss.

        Raises
        ------
        ValueError
            If there is no such head.
        """
        self.check_head(head)
        fused = head.fuse(*head.split(features))
        of_rows = partial(
            F.cross_entropy, reduction="none", label_smoothing=self.label_smoothing
        )
        losses = self.lambda_merge * of_rows(fused.logits, target)
        losses = losses + (1 - self.lambda_merge) * of_rows(fused.bias, target)
        if sample_weight is None:
            sample_weight = torch.ones_like(losses)
        sample_weight = sample_weight.to(losses)
        if self.reduction == "mean":
            return weighted_mean(losses, sample_weight)
        losses = sample_weight * losses
        return losses.sum() if self.reduction == "sum" else losses

    def check_head(self, head):
        """Raise an error if a head has no bias.

        Parameters
        ----------
        head : object
            The head.

        Raises
        ------
        ValueError
            If it is no `LogitBiasHead`, nor has its methods ``split`` and ``fuse``.
        """
        if not (hasattr(head, "fuse") and hasattr(head, "split")):
            raise ValueError(
                "head must be a LogitBiasHead, or have its methods split and fuse, got "
                f"{type(head).__name__}."
            )

    def extra_repr(self):
        """Show the parameters.

        Returns
        -------
        str
            The parameters.
        """
        return (
            f"lambda_merge={self.lambda_merge}, "
            f"label_smoothing={self.label_smoothing}, reduction={self.reduction!r}"
        )


def _check_share(name, value):
    if not (isinstance(value, Real) and 0 <= value <= 1):
        raise ValueError(f"{name} must be a number from 0 to 1, got {value!r}.")
