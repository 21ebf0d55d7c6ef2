"""Logits of a prior model plus a learnt bias of other features."""

import math
from numbers import Real
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from ._checks import check_positive, check_sizes

KINDS = ("kurtosis", "entropy", "max", "margin", None)
NORMALIZATIONS = ("auto", "row", "scale", None)
# Least deviation of a row, to divide by.
_TINY = 1e-12


class FusedLogits(NamedTuple):
    """What `LogitBiasHead.fuse` makes.

    Attributes
    ----------
    logits : Tensor of shape (..., num_classes)
        Prior logits plus the weighed bias.
    bias : Tensor of shape (..., num_classes)
        The bias alone.
    factor : Tensor of shape (...)
        Factor of the bias from the prior's uncertainty, without a graph.
    """

    logits: torch.Tensor
    bias: torch.Tensor
    factor: torch.Tensor


class LogitBiasHead(nn.Module):
    r"""Adds to the logits of a frozen model a linear bias of other features.

    .. math:: \ell = z + \alpha\, f(z)\, b, \qquad
        b = \mathrm{norm}\!\left(W \frac{a}{\|a\|}\right)

    Features are the prior logits z and the auxiliary features a side by side, as
    :class:`~sklogit.few_shot.LogitBiasClassifier` takes them. The bias is weaker where
    z is sure [1]_, see :func:`~sklogit.few_shot.uncertainty_factor`. Only W is learnt,
    and what makes a: neither z nor the factor has a gradient.

    Parameters
    ----------
    in_features : int
        Number of features, those of a and the logits z together.
    num_classes : int
        Number of classes.
    n_logits : int, default=None
        How many of the features, the first ones, are prior logits: ``num_classes``,
        which is the default, or 0 for none. Then z = 0 and f = 1.
    alpha : float, default=0.5
        Strength of the bias.
    uncertainty : {"kurtosis", "entropy", "max", "margin"} or None, default="kurtosis"
        Kind of the factor; None is 1. Of two classes "kurtosis" is "entropy".
    power : float, default=0.4
        Its exponent.
    kurtosis_ref : "auto" or float, default="auto"
        Kurtosis at which the factor is 1; "auto" is a quarter of the number of classes.
    normalize : {"auto", "row", "scale"} or None, default="auto"
        What makes a bias of the scores: "row" standardises those of each row, which
        needs three classes; "scale" divides by `scale`; None does nothing. "auto" is
        "row", and "scale" for two classes.
    scale : float, default=1.0
        What "scale" divides by.
    weight : array-like of shape (num_classes, in_features - n_logits), default=None
        Initial weights, such as ``coef_`` of a
        :class:`~sklogit.few_shot.LogitBiasClassifier`. By default they are drawn as
        those of :class:`torch.nn.Linear`; `set_class_means` makes better ones.

    Attributes
    ----------
    weight : Parameter of shape (num_classes, in_features - n_logits)
        Weights W.

    Raises
    ------
    ValueError
        If a parameter is not allowed, or shapes do not fit.

    See Also
    --------
    sklogit.losses.LogitBiasLoss : Trains the fused logits and the bias together.
    sklogit.few_shot.LogitBiasClassifier : The same for arrays, by a convex solver.

    Notes
    -----
    With features that are fixed, the estimator is faster and has no learning rate to
    choose. The head is for auxiliary features that are trained, or for augmented
    images.

    References
    ----------
    .. [1] "AMU-Tuning: Effective Logit Bias for CLIP-based Few-shot Learning",
       arXiv:2404.08958.

    Examples
    --------
    >>> import torch
    >>> from sklogit.heads import LogitBiasHead
    >>> z, a = torch.randn(40, 10), torch.randn(40, 16)
    >>> head = LogitBiasHead(26, 10)
    >>> features = torch.cat([z, a], dim=1)
    >>> head.set_class_means(features, torch.arange(40) % 10)
    >>> head(features).shape
    torch.Size([40, 10])
    >>> logits, bias, factor = head.fuse(z, a)
    >>> torch.allclose(logits, z + 0.5 * factor[:, None] * bias)
    True
    """

    def __init__(
        self,
        in_features,
        num_classes,
        *,
        n_logits=None,
        alpha=0.5,
        uncertainty="kurtosis",
        power=0.4,
        kurtosis_ref="auto",
        normalize="auto",
        scale=1.0,
        weight=None,
    ):
        super().__init__()
        check_sizes(in_features=in_features, num_classes=num_classes)
        n_logits = num_classes if n_logits is None else n_logits
        _check_layout(in_features, num_classes, n_logits)
        _check_options(num_classes, uncertainty, normalize)
        for name, value in (("alpha", alpha), ("power", power)):
            _check_not_negative(name, value)
        if kurtosis_ref != "auto":
            check_positive("kurtosis_ref", kurtosis_ref)
        check_positive("scale", scale)
        self.in_features, self.num_classes = in_features, num_classes
        self.n_logits = n_logits
        self.alpha, self.uncertainty, self.power = alpha, uncertainty, power
        self.kurtosis_ref = kurtosis_ref
        if normalize == "auto":
            normalize = "row" if num_classes > 2 else "scale"
        self.normalize, self.scale = normalize, scale
        self.weight = nn.Parameter(self._initial_weight(weight))
        if weight is None:
            self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self):
        """Draw the weights as those of :class:`torch.nn.Linear`."""
        bound = 1 / math.sqrt(self.weight.shape[1])
        self.weight.uniform_(-bound, bound)

    def forward(self, features):
        """Compute the fused logits.

        Parameters
        ----------
        features : Tensor of shape (..., in_features)
            Prior logits, then auxiliary features.

        Returns
        -------
        Tensor of shape (..., num_classes)
            The logits.
        """
        return self.fuse(*self.split(features)).logits

    def split(self, features):
        """Part features into prior logits and auxiliary features.

        Parameters
        ----------
        features : Tensor of shape (..., in_features)
            Both, side by side.

        Returns
        -------
        prior : Tensor of shape (..., num_classes)
            Logits; zeros if there are none.
        auxiliary : Tensor of shape (..., in_features - n_logits)
            The rest.

        Raises
        ------
        ValueError
            If there are not ``in_features`` of them.
        """
        if features.shape[-1] != self.in_features:
            raise ValueError(
                f"features must have {self.in_features} columns, the {self.n_logits} "
                f"logits and the auxiliary features, got {features.shape[-1]}."
            )
        auxiliary = features[..., self.n_logits :]
        if self.n_logits:
            return features[..., : self.n_logits], auxiliary
        return auxiliary.new_zeros((*auxiliary.shape[:-1], self.num_classes)), auxiliary

    def fuse(self, prior, auxiliary):
        """Compute the fused logits, the bias and its factor.

        Parameters
        ----------
        prior : Tensor of shape (..., num_classes)
            Logits of the prior model.
        auxiliary : Tensor of shape (..., in_features - n_logits)
            Features of the other one.

        Returns
        -------
        FusedLogits
            Logits, bias and factor.
        """
        prior = prior.detach()
        bias = self.bias_logits(auxiliary)
        factor = self._factor(prior)
        gain = (self.alpha * factor).unsqueeze(-1).to(bias.dtype)
        return FusedLogits(prior + gain * bias, bias, factor)

    def bias_logits(self, auxiliary):
        """Compute the bias, before it is weighed and added.

        Parameters
        ----------
        auxiliary : Tensor of shape (..., in_features - n_logits)
            Features.

        Returns
        -------
        Tensor of shape (..., num_classes)
            Their logits.
        """
        u = F.linear(_unit(auxiliary), self.weight)
        if self.normalize == "row":
            return _standardise(u)
        return u / self.scale if self.normalize == "scale" else u

    @torch.no_grad()
    def set_class_means(self, features, target, sample_weight=None):
        """Set the weights to the class means of the directions of features.

        Parameters
        ----------
        features : Tensor of shape (n, in_features)
            Prior logits, then auxiliary features, of labelled rows.
        target : Tensor of shape (n,)
            Class indices. The weights of a class that has no row become zero.
        sample_weight : Tensor of shape (n,), default=None
            Weights of the rows.
        """
        auxiliary = _unit(self.split(features)[1]).to(self.weight)
        target = target.to(self.weight.device)
        shares = F.one_hot(target.long(), self.num_classes).to(self.weight)
        if sample_weight is not None:
            shares = shares * sample_weight.to(self.weight)[:, None]
        shares = shares / shares.sum(dim=0).clamp_min(_TINY)
        self.weight.copy_(shares.T @ auxiliary)

    def extra_repr(self):
        """Show the sizes and how the bias is added.

        Returns
        -------
        str
            The parameters.
        """
        return (
            f"in_features={self.in_features}, num_classes={self.num_classes}, "
            f"n_logits={self.n_logits}, alpha={self.alpha}, "
            f"uncertainty={self.uncertainty!r}, power={self.power}, "
            f"normalize={self.normalize!r}"
        )

    # -- steps -------------------------------------------------------------------------

    def _initial_weight(self, weight):
        shape = self.num_classes, self.in_features - self.n_logits
        if weight is None:
            return torch.empty(shape)
        weight = torch.as_tensor(weight).detach().clone()
        if weight.is_floating_point() and not torch.isfinite(weight).all():
            raise ValueError("weight must be finite, found NaN or infinity.")
        if tuple(weight.shape) != shape:
            raise ValueError(
                f"weight must have shape {shape}, a row for each class, got "
                f"{tuple(weight.shape)}."
            )
        return weight if weight.is_floating_point() else weight.float()

    def _factor(self, prior):
        if self.n_logits == 0:
            return prior.new_ones(prior.shape[:-1])
        return uncertainty_factor(
            prior, self.uncertainty, self.power, self.kurtosis_ref
        )


@torch.no_grad()
def uncertainty_factor(z, kind, power, ref):
    """Compute the factor of the bias.

    Parameters
    ----------
    z : Tensor of shape (..., n_classes)
        Logits.
    kind : {"kurtosis", "entropy", "max", "margin"} or None
        Which factor.
    power : float
        Its exponent.
    ref : "auto" or float
        Kurtosis at which it is 1.

    Returns
    -------
    Tensor of shape (...)
        The factors, at least in single precision.
    """
    n_classes = z.shape[-1]
    log_p = F.log_softmax(z.to(torch.promote_types(z.dtype, torch.float32)), dim=-1)
    if kind is None:
        return log_p.new_ones(log_p.shape[:-1])
    if kind == "kurtosis" and n_classes > 2:
        ref = n_classes / 4 if ref == "auto" else ref
        return (ref / _kurtosis(log_p)) ** power
    if kind in ("kurtosis", "entropy"):
        entropy = -(log_p.exp() * log_p).sum(dim=-1) / math.log(n_classes)
        return (power * entropy).exp()
    first, second = log_p.exp().topk(2, dim=-1).values.unbind(dim=-1)
    if kind == "max":
        return first**-power
    return (first - second).clamp_min(1 / n_classes) ** -power


def _kurtosis(log_p):
    n_classes = log_p.shape[-1]
    # Relative deviations from the mean 1 / C, precise also where they are small.
    deviation = torch.expm1(log_p + math.log(n_classes))
    variance = deviation.square().sum(dim=-1) / (n_classes - 1)
    least = ((n_classes - 1) / n_classes) ** 2
    # Deviations of rounding alone are none.
    equal = variance < (64 * torch.finfo(log_p.dtype).eps) ** 2
    fourth = deviation.pow(4).mean(dim=-1) / torch.where(equal, 1, variance) ** 2
    return torch.where(equal, least, fourth.clamp_min(least))


def _unit(a):
    """Scale rows to length one; rows of zeros stay zero, in half precision too."""
    return F.normalize(a, dim=-1, eps=max(_TINY, torch.finfo(a.dtype).tiny))


def _standardise(u):
    centred = u - u.mean(dim=-1, keepdim=True)
    variance = centred.square().sum(dim=-1, keepdim=True) / (u.shape[-1] - 1)
    # torch.std has no gradient where it is zero. Half precision has no number so small.
    least = max(_TINY**2, torch.finfo(u.dtype).tiny)
    return centred / variance.clamp_min(least).sqrt()


def _check_layout(in_features, num_classes, n_logits):
    if num_classes < 2:
        raise ValueError(f"num_classes must be at least 2, got {num_classes}.")
    if n_logits not in (0, num_classes):
        raise ValueError(
            f"n_logits must be 0, or num_classes={num_classes}, got {n_logits!r}."
        )
    if in_features <= n_logits:
        raise ValueError(
            f"in_features must be more than the {n_logits} logits, which come first, "
            f"got {in_features}."
        )


def _check_options(num_classes, uncertainty, normalize):
    for name, value, allowed in (
        ("uncertainty", uncertainty, KINDS),
        ("normalize", normalize, NORMALIZATIONS),
    ):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {allowed}, got {value!r}.")
    if normalize == "row" and num_classes == 2:
        raise ValueError(
            "normalize='row' makes +0.707 and -0.707 of any two numbers, so that "
            "nothing can be learnt: use 'scale' or None with two classes."
        )


def _check_not_negative(name, value):
    if not (isinstance(value, Real) and 0 <= value < math.inf):
        raise ValueError(f"{name} must be finite and at least 0, got {value!r}.")
