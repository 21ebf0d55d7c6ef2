"""The linear head: logits that are inner products with a row for each class."""

import torch
from torch import nn
from torch.nn import functional as F

from ._checks import check_k, check_positive, check_sizes

# Logits that `linear_topk` holds at once: 16 MiB in float32.
_LOGITS_AT_ONCE = 2**22


def linear_topk(features, weight, bias, k):
    """Find the greatest inner products, block after block of the classes.

    Parameters
    ----------
    features : Tensor of shape (n, in_features)
        Features.
    weight : Tensor of shape (num_classes, in_features)
        A row for each class.
    bias : Tensor of shape (num_classes,) or None
        Biases.
    k : int
        Number of classes to return, at most num_classes.

    Returns
    -------
    values : Tensor of shape (n, k)
        The products, the greatest first.
    indices : Tensor of shape (n, k)
        Their class indices.

    Raises
    ------
    ValueError
        If k is no number of classes.
    """
    check_k(k, len(weight))
    size = max(k, _LOGITS_AT_ONCE // max(1, len(features)))
    parts = []
    for start in range(0, len(weight), size):
        rows = slice(start, start + size)
        logits = F.linear(features, weight[rows], None if bias is None else bias[rows])
        values, indices = _topk(logits, min(k, logits.shape[1]))
        parts.append((values, indices + start))
    if len(parts) == 1:
        return parts[0]
    values, indices = (torch.cat(part, dim=1) for part in zip(*parts))
    values, places = _topk(values, k)
    return values, indices.gather(1, places)


def _topk(values, k):
    # Several times faster on the CPU, and of equal values it takes the first.
    return values.max(dim=1, keepdim=True) if k == 1 else values.topk(k, dim=1)


class LinearHead(nn.Linear):
    r"""Linear map from features to logits, with a row of weights for each class.

    .. math:: z_{ij} = \langle w_j, h_i \rangle + b_j

    It is :class:`torch.nn.Linear` under the names that heads have here, with a top-k
    that goes through the classes block by block.

    Parameters
    ----------
    in_features : int
        Number of features, d.
    num_classes : int
        Number of classes, V.
    bias : bool, default=True
        Whether each class has a bias.
    softcap : float, default=None
        Logits become :math:`c \tanh(z / c)`. A loss that is computed without logits has
        to know of it too.
    device : torch.device or None, default=None
        Device of the parameters.
    dtype : torch.dtype or None, default=None
        Their dtype.

    Attributes
    ----------
    weight : Parameter of shape (num_classes, in_features)
        Weights, drawn as those of :class:`torch.nn.Linear`.
    bias : Parameter of shape (num_classes,) or None
        Biases.

    Raises
    ------
    ValueError
        If a size is no positive integer, or `softcap` neither None nor positive.

    See Also
    --------
    CosineHead : Compares directions only.
    sklogit.neural.LogitClassifier : Trains it, alone or behind a module.

    Examples
    --------
    >>> import torch
    >>> from sklogit.heads import LinearHead
    >>> head = LinearHead(16, 1000)
    >>> features = torch.randn(5, 16)
    >>> head(features).shape
    torch.Size([5, 1000])
    >>> logits, classes = head.predict_topk(features, 3)
    >>> torch.equal(classes[:, 0], head(features).argmax(dim=1))
    True
    """

    def __init__(
        self,
        in_features,
        num_classes,
        bias=True,
        softcap=None,
        device=None,
        dtype=None,
    ):
        check_sizes(in_features=in_features, num_classes=num_classes)
        check_positive("softcap", softcap, or_none=True)
        super().__init__(in_features, num_classes, bias, device, dtype)
        self.softcap = softcap

    @property
    def num_classes(self):
        """Number of classes."""
        return self.out_features

    def forward(self, features):
        """Compute the logits.

        Parameters
        ----------
        features : Tensor of shape (..., in_features)
            Features.

        Returns
        -------
        Tensor of shape (..., num_classes)
            The logits.
        """
        return self._capped(super().forward(features))

    def predict_topk(self, features, k):
        """Find the classes with the greatest logits, without forming all of them.

        Parameters
        ----------
        features : Tensor of shape (n, in_features)
            Features.
        k : int
            Number of classes to return, at most num_classes.

        Returns
        -------
        logits : Tensor of shape (n, k)
            Logits, the greatest first.
        classes : Tensor of shape (n, k)
            Their class indices; of equal logits any may come, for k = 1 the first.

        Raises
        ------
        ValueError
            If k is not between 1 and num_classes.
        """
        logits, classes = linear_topk(features, self.weight, self.bias, k)
        return self._capped(logits), classes

    def _capped(self, logits):
        if self.softcap is None:
            return logits
        return self.softcap * torch.tanh(logits / self.softcap)

    def extra_repr(self):
        """Show the sizes.

        Returns
        -------
        str
            The parameters.
        """
        return (
            f"in_features={self.in_features}, num_classes={self.num_classes}, "
            f"bias={self.bias is not None}"
            + ("" if self.softcap is None else f", softcap={self.softcap}")
        )
