"""Cross-entropy of a stream: new rows by one kind of logits, replayed by another."""

import torch
from torch import nn
from torch.nn import functional as F

from ..heads import AngleNormLinear
from ._row_weights import weighted_mean

_IGNORED = -100  # the target of what is not to be learnt
_LOGITS = {
    "current_logits": ("angle", "dot", "masked"),
    "replay_logits": ("angle", "dot"),
}


class UERLoss(nn.Module):
    r"""Cross-entropy of new rows by one kind of logits, of replayed ones by another.

    Parameters
    ----------
    current_logits : {"angle", "dot", "masked"}, default="angle"
        Logits for rows of the stream: of the angle; of norm and angle; or those of
        norm and angle for the classes of the batch only.
    replay_logits : {"angle", "dot"}, default="dot"
        Logits for replayed rows.
    replay_weight : float, default=1.0
        Weight of the replayed rows' mean.

    Attributes
    ----------
    n_current : int or None
        Rows from the stream, the first ones; None takes all rows by the logits that
        predict. :class:`~sklogit.neural.UERNetClassifier` sets it.

    See Also
    --------
    sklogit.neural.UERNetClassifier : Trains by it.
    sklogit.heads.AngleNormLinear : The head that it needs.

    References
    ----------
    .. [1] "UER: A Heuristic Bias Addressing Approach for Online Continual Learning",
       arXiv:2309.04081.

    Examples
    --------
    >>> import torch
    >>> from sklogit.heads import AngleNormLinear
    >>> from sklogit.losses import UERLoss
    >>> head, features = AngleNormLinear(4, 3), torch.randn(5, 4)
    >>> loss = UERLoss()
    >>> loss.n_current = 3  # the other two are replayed
    >>> loss(features, torch.tensor([0, 1, 1, 2, 0]), head=head).shape
    torch.Size([])
    """

    needs_head = True

    def __init__(self, current_logits="angle", replay_logits="dot", replay_weight=1.0):
        super().__init__()
        given = {"current_logits": current_logits, "replay_logits": replay_logits}
        for name, value in given.items():
            if value not in _LOGITS[name]:
                raise ValueError(
                    f"{name} must be one of {list(_LOGITS[name])}, got {value!r}."
                )
        if not replay_weight >= 0:
            raise ValueError(f"replay_weight must be >= 0, got {replay_weight!r}.")
        self.current_logits = current_logits
        self.replay_logits = replay_logits
        self.replay_weight = replay_weight
        self.n_current = None

    def check_head(self, head):
        """Refuse a head that cannot tell norm and angle apart.

        Parameters
        ----------
        head : torch.nn.Module
            The head.

        Raises
        ------
        ValueError
            If it is no AngleNormLinear.
        """
        if not isinstance(head, AngleNormLinear):
            raise ValueError(
                "head must be an AngleNormLinear for this loss, got "
                f"{type(head).__name__}."
            )

    def forward(self, features, target, head, sample_weight=None):
        """Compute the loss.

        Parameters
        ----------
        features : Tensor of shape (n, in_features)
            Features.
        target : Tensor of shape (n,)
            Class indices; -100 for rows that do not count.
        head : AngleNormLinear
            The head.
        sample_weight : Tensor of shape (n,), default=None
            Weights.

        Returns
        -------
        Tensor of shape ()
            Mean over the rows of the stream, and `replay_weight` times that over the
            others.
        """
        if self.n_current is None:
            return _mean_loss(head(features), target, sample_weight)
        new, old = slice(self.n_current), slice(self.n_current, None)
        loss = self._part(
            new, self.current_logits, features, target, head, sample_weight
        )
        if self.n_current < len(target):
            part = self._part(
                old, self.replay_logits, features, target, head, sample_weight
            )
            loss = loss + self.replay_weight * part
        return loss

    @staticmethod
    def _part(rows, kind, features, target, head, weight):
        target = target[rows]
        logits = head(features[rows], mode="angle" if kind == "angle" else "dot")
        if kind == "masked":
            logits = logits.masked_fill(_absent(target, logits), -torch.inf)
        return _mean_loss(logits, target, None if weight is None else weight[rows])


def _absent(target, logits):
    """Whether each class is that of no row."""
    n_classes = logits.shape[1]
    absent = logits.new_ones(n_classes + 1, dtype=torch.bool)
    absent[torch.where(target == _IGNORED, n_classes, target)] = False
    return absent[:n_classes]


def _mean_loss(logits, target, weight):
    counts = target != _IGNORED  # of no such rows the mean is 0
    if weight is None:
        total = F.cross_entropy(logits, target, reduction="sum")
        return total / counts.sum().clamp_min(1)
    losses = F.cross_entropy(logits, target, reduction="none")
    return weighted_mean(losses, weight * counts)
