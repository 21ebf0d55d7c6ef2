"""A linear head that also gives logits of the angle alone."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ._checks import check_positive, check_sizes
from ._cosine import LinearForm
from ._linear import linear_topk

MODES = ("dot", "angle")
# Shorter vectors count as zero: the derivative of a direction grows as the inverse of
# the length.
_EPSILON = 1e-6


class AngleNormLinear(nn.Linear):
    r"""Linear head whose logits are taken of norm and angle, or of the angle alone.

    .. math:: \mathrm{dot}(h)_c = w_c^\top h + b_c , \qquad
        \mathrm{angle}(h)_c = \frac{\cos(h, w_c)}{\tau}

    Both share the weights. Gradients of angle logits are orthogonal to h and to
    :math:`w_c`, so that they turn the rows of a class without pulling at their norms
    [1]_.

    Parameters
    ----------
    in_features : int
        Number of features.
    out_features : int
        Number of classes.
    bias : bool, default=True
        Whether logits of norm and angle have biases.
    temperature : float, default=0.09
        The divisor :math:`\tau` of cosines.
    mode : {"dot", "angle"}, default="dot"
        Logits where `forward` is not told which.

    Attributes
    ----------
    weight : Parameter of shape (out_features, in_features)
        Weights, drawn with mean 0 and variance 1 / in_features.
    bias : Parameter of shape (out_features,) or None
        Biases, at first 0.

    Raises
    ------
    ValueError
        If a size is no positive integer, `temperature` not positive, or there is no
        such mode.

    See Also
    --------
    CosineHead : Angles alone, with a scale that is learnt.
    sklogit.neural.UERNetClassifier : Trains new rows by angle, replayed ones by both.

    Notes
    -----
    Features and weights of norm below 1e-6 have angle logits of 0, and gradients of 0.

    References
    ----------
    .. [1] "UER: A Heuristic Bias Addressing Approach for Online Continual Learning",
       arXiv:2309.04081.

    Examples
    --------
    >>> import torch
    >>> from sklogit.heads import AngleNormLinear
    >>> head = AngleNormLinear(16, 10)
    >>> features = torch.randn(5, 16)
    >>> angle = head(features, mode="angle")
    >>> torch.allclose(head(3 * features, mode="angle"), angle, atol=1e-4)
    True
    >>> torch.allclose(head(3 * features), head(features))
    False
    """

    def __init__(
        self, in_features, out_features, bias=True, temperature=0.09, mode="dot"
    ):
        check_sizes(in_features=in_features, out_features=out_features)
        check_positive("temperature", temperature)
        super().__init__(in_features, out_features, bias)
        self.temperature = temperature
        self.mode = _checked_mode(mode)

    def reset_parameters(self):
        """Draw the weights, and set biases to 0."""
        nn.init.normal_(self.weight, std=self.in_features**-0.5)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, features, mode=None):
        """Compute the logits.

        Parameters
        ----------
        features : Tensor of shape (..., in_features)
            Features.
        mode : {"dot", "angle"} or None, default=None
            Which logits; None takes those of the attribute `mode`.

        Returns
        -------
        Tensor of shape (..., out_features)
            The logits.

        Raises
        ------
        ValueError
            If there is no such mode.
        """
        features, form = self.linear_form(features, mode)
        return F.linear(features, form.weight, form.bias)

    def linear_form(self, features, mode=None):
        """Return features and weights of which the logits are the inner products.

        Parameters
        ----------
        features : Tensor of shape (..., in_features)
            Features.
        mode : {"dot", "angle"} or None, default=None
            Which logits; None takes those of the attribute `mode`.

        Returns
        -------
        features : Tensor of shape (..., in_features)
            The features, or their directions divided by the temperature.
        form : LinearForm
            With ``weight`` and ``bias``.

        Raises
        ------
        ValueError
            If there is no such mode.
        """
        if _checked_mode(self.mode if mode is None else mode) == "dot":
            return features, LinearForm(self.weight, self.bias)
        return directions(features) / self.temperature, LinearForm(
            directions(self.weight)
        )

    def predict_topk(self, features, k):
        """Find the classes with the greatest logits, without forming all of them.

        Parameters
        ----------
        features : Tensor of shape (n, in_features)
            Features.
        k : int
            Number of classes to return, at most out_features.

        Returns
        -------
        logits : Tensor of shape (n, k)
            Logits of the attribute `mode`, the greatest first.
        classes : Tensor of shape (n, k)
            Their class indices; of equal logits any may come, for k = 1 the first.

        Raises
        ------
        ValueError
            If k is not between 1 and out_features.
        """
        features, form = self.linear_form(features)
        return linear_topk(features, form.weight, form.bias, k)

    def insert_classes(self, places):
        """Make room for new classes; logits of the others stay as they are.

        The parameters stay the same objects, so that an optimiser keeps them; what it
        remembers of them has the old shapes.

        Parameters
        ----------
        places : array-like of int, of shape (n_new,)
            Rows that new classes have in the larger head, all different.

        Raises
        ------
        ValueError
            If they are no such rows.
        """
        places = np.unique(np.asarray(places, dtype=int))
        n_classes = self.out_features + len(places)
        if len(places) and not 0 <= places[0] <= places[-1] < n_classes:
            raise ValueError(
                f"places must be from 0 to {n_classes - 1}, got {places.tolist()}."
            )
        new = AngleNormLinear(self.in_features, n_classes, self.bias is not None)
        new.to(self.weight)
        old = np.delete(np.arange(n_classes), places)
        with torch.no_grad():
            for name, values in self.named_parameters():
                grown = new.get_parameter(name).data
                grown[old] = values
                values.data, values.grad = grown, None
        self.out_features = n_classes

    def extra_repr(self):
        """Show the sizes.

        Returns
        -------
        str
            The parameters.
        """
        return (
            f"{super().extra_repr()}, temperature={self.temperature}, "
            f"mode={self.mode!r}"
        )


def directions(A):
    """Divide vectors by their norms; those shorter than 1e-6 become 0.

    Parameters
    ----------
    A : Tensor of shape (..., n_features)
        Vectors.

    Returns
    -------
    Tensor of shape (..., n_features)
        Their directions.
    """
    norms = torch.linalg.vector_norm(A, dim=-1, keepdim=True)
    long = norms > _EPSILON
    return torch.where(long, A / torch.where(long, norms, 1), 0)


def _checked_mode(mode):
    if mode not in MODES:
        raise ValueError(f"mode must be one of {list(MODES)}, got {mode!r}.")
    return mode
