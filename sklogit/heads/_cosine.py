"""The cosine head: logits that compare directions only."""

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from ._checks import check_positive, check_sizes
from ._linear import linear_topk


@dataclass
class LinearForm:
    """Weights of logits that are linear in some features.

    Attributes
    ----------
    weight : Tensor of shape (num_classes, in_features)
        Weights.
    bias : Tensor of shape (num_classes,) or None
        Biases.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None = None


class CosineHead(nn.Module):
    r"""Scaled cosine between the features and a direction for each class.

    .. math:: z_{ij} = s \, \frac{\langle w_j, h_i \rangle}{|w_j| \, |h_i|}

    Frequent classes cannot win by longer weights, which helps with rare classes and
    with classes of few examples.

    Parameters
    ----------
    in_features : int
        Number of features, d.
    num_classes : int
        Number of classes, V.
    scale : float, default=16.0
        The scale s. Probabilities cannot be sharper than
        :math:`\exp(2 s)` to one: let it be :math:`\log V` or more.
    learn_scale : bool, default=True
        Whether s is a parameter, trained by its logarithm.

    Attributes
    ----------
    weight : Parameter of shape (num_classes, in_features)
        Directions, of any length; about one at the start.
    log_scale : Parameter or Tensor of shape ()
        Logarithm of s.

    See Also
    --------
    LinearHead : Whose weights have lengths and biases.

    Notes
    -----
    The logits are linear in the scaled directions of the features, which
    ``linear_form`` returns: so losses that never form the logits, such as
    "linear_cross_entropy", are exact for this head too. Features of length 0 have
    logits of 0.

    References
    ----------
    .. [1] "Dynamic Few-Shot Visual Learning without Forgetting", arXiv:1804.09458.

    Examples
    --------
    >>> import torch
    >>> from sklogit.heads import CosineHead
    >>> head = CosineHead(16, 1000, scale=10.0)
    >>> features = torch.randn(5, 16)
    >>> logits = head(features)
    >>> logits.shape, bool((logits.abs() <= 10.0001).all())
    (torch.Size([5, 1000]), True)
    >>> torch.allclose(head(3 * features), logits, atol=1e-5)
    True
    """

    def __init__(self, in_features, num_classes, scale=16.0, learn_scale=True):
        super().__init__()
        check_sizes(in_features=in_features, num_classes=num_classes)
        check_positive("scale", scale)
        self.in_features = in_features
        self.num_classes = num_classes
        # Of length one, about: an optimiser turns long rows slowly.
        rows = torch.randn(num_classes, in_features) / math.sqrt(in_features)
        self.weight = nn.Parameter(rows)
        log_scale = torch.tensor(math.log(scale))
        if learn_scale:
            self.log_scale = nn.Parameter(log_scale)
        else:
            self.register_buffer("log_scale", log_scale)

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
        directions, form = self.linear_form(features)
        return F.linear(directions, form.weight)

    def linear_form(self, features):
        """Return features and weights of which the logits are the inner products.

        Parameters
        ----------
        features : Tensor of shape (..., in_features)
            Features.

        Returns
        -------
        features : Tensor of shape (..., in_features)
            Their directions, times the scale.
        form : LinearForm
            Directions of the classes as ``weight``; ``bias`` is None.
        """
        directions = self.log_scale.exp() * F.normalize(features, dim=-1)
        return directions, LinearForm(F.normalize(self.weight, dim=-1))

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
        directions, form = self.linear_form(features)
        return linear_topk(directions, form.weight, form.bias, k)

    def extra_repr(self):
        """Show the sizes.

        Returns
        -------
        str
            The parameters.
        """
        return (
            f"in_features={self.in_features}, num_classes={self.num_classes}, "
            f"scale={self.log_scale.exp().item():.4g}"
        )
