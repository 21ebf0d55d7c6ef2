"""Output layer whose classes share a few code vectors."""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ._checks import check_k, check_positive, check_sizes
from ._code_mapping import checked_counts, log_shares, starting_codes
from ._cosine import LinearForm
from ._top_classes import member_table, top_classes
from ._vq_from_linear import LinearConversionMixin
from ._vq_mapping_update import MappingUpdateMixin
from ._within_code import (
    KINDS,
    CountedShares,
    FixedShares,
    LearnedShares,
    in_single_at_least,
)

_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


class VQLogitsHead(LinearConversionMixin, MappingUpdateMixin, nn.Module):
    r"""Output layer of many classes that share a few code vectors.

    Class v has the code M(v), and every class the score of its code [1]_:

    .. math:: p(v \mid h) = p(k \mid h)\, q(v \mid k), \qquad k = M(v), \qquad
        p(\cdot \mid h) = \mathrm{softmax}(C h + \beta)

    for features h, with the codebook C of K rows, K much smaller than the number V of
    classes. The loss is that of K classes,

    .. math:: -\log p(v \mid h) = \mathrm{CE}(C h + \beta, M(v)) - \log q(v \mid M(v)),

    so training never makes logits for all classes, and the most probable classes are
    found among the members of the most probable codes.

    Parameters
    ----------
    in_features : int
        Number of features.
    num_classes : int
        Number of classes.
    n_codes : int or float, default=None
        Number of codes, or a part of the classes; None is the smaller of 256 and
        `num_classes`.
    mapping : str or array-like of shape (num_classes,), default=None
        Code of each class, or how to choose it. "frequency" cuts the classes, sorted by
        `class_counts`, into codes of about equal counts; "random" makes codes of equal
        size, by torch's random numbers. None is "frequency" where there are counts,
        else "random". Codes of a mapping that have no class are left out. Better ones
        come from a trained layer (`from_linear`), or from `update_mapping` during
        training.
    within : {"prior", "uniform", "learned"}, default="prior"
        Shares q of the classes in a code: by their counts, equal as in the paper, or a
        trained parameter for each class.
    class_counts : array-like of shape (num_classes,), default=None
        Rows of each class, for "frequency", "prior" and the start of "learned". Without
        them "prior" counts the targets that `nll` sees in training mode.
    smoothing : float, default=0.5
        Added to the counts; positive.
    bias : bool, default=True
        Whether :math:`\beta` is trained. If not, it is the logarithm of the mass of the
        code: with "uniform" of its number of classes, which is the paper's model.
    device : torch.device or None, default=None
        Device of the parameters.
    dtype : torch.dtype or None, default=None
        Their dtype.

    Attributes
    ----------
    codebook : Parameter of shape (n_codes, in_features)
        Code vectors.
    code_bias : Parameter or Tensor of shape (n_codes,)
        Biases of the codes.
    codes : Tensor of shape (num_classes,)
        Code of each class, int32.

    See Also
    --------
    sklogit.neural.VQLogitsClassifier : Fits codes to arrays, by an exact solver.
    torch.nn.AdaptiveLogSoftmaxWithLoss : Classes sorted by frequency, rare ones with
        vectors of low rank.

    Notes
    -----
    The paper's is the shared score of the classes of a code, k-means of a trained layer
    as the start, and training of the codebook. Ours are the loss without logits for the
    classes, the shares by counts, k-means in the metric of the logits, the updates of
    the mapping, and the way to the most probable classes. It is a softmax over classes
    of words [2]_ whose words do not depend on the features: two classes of one code
    are never told apart, see `sklogit.neural.VQLogitsClassifier.upper_bound_score_`.

    `nll` and the other methods take features of any leading shape. Half-precision
    scores become single ones before they are normalised.

    References
    ----------
    .. [1] "VQ-Logits: Compressing the Output Bottleneck of Large Language Models via
       Vector Quantized Logits", arXiv:2505.10202.
    .. [2] "Classes for Fast Maximum Entropy Training", arXiv:cs/0108006.

    Examples
    --------
    >>> import torch
    >>> from sklogit.heads import VQLogitsHead
    >>> head = VQLogitsHead(8, 1000, n_codes=20)
    >>> features, target = torch.zeros(4, 8), torch.tensor([3, 1, 4, 999])
    >>> head.nll(features, target).shape
    torch.Size([4])
    >>> head(features).shape, head.predict_topk(features, 5)[1].shape
    (torch.Size([4, 1000]), torch.Size([4, 5]))
    """

    def __init__(
        self,
        in_features,
        num_classes,
        *,
        n_codes=None,
        mapping=None,
        within="prior",
        class_counts=None,
        smoothing=0.5,
        bias=True,
        device=None,
        dtype=None,
    ):
        super().__init__()
        check_sizes(in_features=in_features, num_classes=num_classes)
        if within not in KINDS:
            raise ValueError(f"within must be one of {KINDS}, got {within!r}.")
        check_positive("smoothing", smoothing)
        if class_counts is not None:
            class_counts = checked_counts(class_counts, num_classes)
        codes = starting_codes(
            mapping, n_codes, num_classes, class_counts, _random_permutation
        )
        self.in_features, self.num_classes = in_features, num_classes
        self.kind, self.smoothing = within, smoothing
        self._build(codes, class_counts, bias, {"device": device, "dtype": dtype})
        self.reset_parameters()

    def _build(self, codes, counts, bias, options):
        """Make parameters and buffers, without values of the codebook."""
        n_codes = int(codes.max()) + 1
        mass = np.ones(len(codes))
        if counts is not None and self.kind != "uniform":
            mass = counts + self.smoothing
        self._log_code_share = np.log(np.bincount(codes, mass) / mass.sum())
        self.codebook = nn.Parameter(torch.empty(n_codes, self.in_features, **options))
        code_bias = self._like(self._log_code_share)
        if bias:
            self.code_bias = nn.Parameter(code_bias)
        else:
            self.register_buffer("code_bias", code_bias)
        # 0, or -inf for a code that update_mapping has left without classes.
        self.register_buffer("code_mask", self.codebook.new_zeros(n_codes))
        index = torch.as_tensor(codes, dtype=torch.int32, device=self.codebook.device)
        self.register_buffer("codes", index)
        if self.kind == "learned":
            self.within = LearnedShares(self._like(np.log(mass)), n_codes)
        elif self.kind == "prior" and counts is None:
            self.within = self._counting()
        else:
            self.within = FixedShares(self._like(log_shares(codes, mass)))
        self._members = None

    def _counting(self):
        """Shares by the targets that training will show."""
        n_codes = len(self.codebook)
        return CountedShares(self.num_classes, n_codes, self.smoothing, self.codebook)

    def _like(self, values):
        """Values of an array as a tensor like the codebook."""
        return torch.as_tensor(values).to(self.codebook)

    @torch.no_grad()
    def reset_parameters(self):
        """Draw the codebook as :class:`torch.nn.Linear` its weight; reset the bias."""
        bound = 1 / math.sqrt(self.in_features)
        self.codebook.uniform_(-bound, bound)
        self.code_bias.copy_(self._like(self._log_code_share))

    @property
    def weight(self):
        """Rows of all classes (num_classes, in_features), made anew at each access."""
        return self.codebook.index_select(0, self.codes)

    @property
    def bias(self):
        """Biases (num_classes,) that belong to `weight`."""
        return self._masked_bias().index_select(0, self.codes) + self._log_shares()

    def linear_form(self, features):
        """Return features and weights of which the logits are the inner products.

        It lets losses that take the weights of a linear layer train the codes, at the
        cost of a linear layer.

        Parameters
        ----------
        features : Tensor of shape (..., in_features)
            Features.

        Returns
        -------
        features : Tensor of shape (..., in_features)
            The same.
        form : LinearForm
            Code vector and bias of each class as ``weight`` and ``bias``.
        """
        return features, LinearForm(self.weight, self.bias)

    # -- scores ------------------------------------------------------------------------

    def _masked_bias(self):
        return self.code_bias + self.code_mask

    def _log_shares(self):
        """Logarithms of the shares of the classes, (num_classes,)."""
        return self.within(self.codes).to(self.codebook)

    def code_logits(self, features):
        """Compute scores of the codes.

        Parameters
        ----------
        features : Tensor of shape (..., in_features)
            Features.

        Returns
        -------
        Tensor of shape (..., n_codes)
            Logits whose softmax are the probabilities of the codes; -inf for a code
            without classes.

        Raises
        ------
        ValueError
            If there is another number of features.
        """
        if features.shape[-1:] != (self.in_features,):
            raise ValueError(
                f"features must have the shape (..., {self.in_features}), got "
                f"{tuple(features.shape)}."
            )
        return F.linear(features, self.codebook, self._masked_bias())

    def _code_log_prob(self, features):
        logits = in_single_at_least(self.code_logits(features))
        return logits.log_softmax(dim=-1)

    def forward(self, features):
        """Compute logits of all classes, which `nll` does without.

        Parameters
        ----------
        features : Tensor of shape (..., in_features)
            Features.

        Returns
        -------
        Tensor of shape (..., num_classes)
            Logits whose softmax are the probabilities of the classes.
        """
        logits = self.code_logits(features).index_select(-1, self.codes)
        return logits + self._log_shares()

    def log_prob(self, features):
        """Compute log-probabilities of all classes.

        Parameters
        ----------
        features : Tensor of shape (..., in_features)
            Features.

        Returns
        -------
        Tensor of shape (..., num_classes)
            Log-probabilities; single precision if the parameters have half.
        """
        codes = self._code_log_prob(features).index_select(-1, self.codes)
        return codes + self.within(self.codes)

    def nll(self, features, target, *, ignore_index=-100):
        """Compute the negative log-likelihood, at the cost of the codes alone.

        In training mode a head that counts (``within="prior"`` without `class_counts`)
        counts the targets.

        Parameters
        ----------
        features : Tensor of shape (..., in_features)
            Features.
        target : Tensor of shape (...)
            Class indices.
        ignore_index : int, default=-100
            Target of rows that are left out: their value is 0.

        Returns
        -------
        Tensor of shape (...)
            Values in nats; single precision if the parameters have half.

        Raises
        ------
        TypeError, ValueError
            If the targets are no integers, or have another shape; on the CPU also if
            they are out of range. Other devices raise their own error for that.
        """
        target = self._checked_target(target, features, ignore_index).reshape(-1)
        logits = self.code_logits(features).reshape(len(target), len(self.codebook))
        logits = in_single_at_least(logits)
        kept = target != ignore_index
        index = target.where(kept, 0).long()
        if self.training:
            self.within.observe(target[kept].long(), self.codes)
        of_codes = F.cross_entropy(
            logits, self.codes[index].long().where(kept, -100), reduction="none"
        )
        shares = self.within.of(index, self.codes).where(kept, 0.0)
        return (of_codes - shares).reshape(features.shape[:-1])

    @torch.no_grad()
    def predict(self, features):
        """Predict the most probable class of each row, at the cost of the codes alone.

        Parameters
        ----------
        features : Tensor of shape (..., in_features)
            Features.

        Returns
        -------
        Tensor of shape (...)
            Class indices. Of equal ones, the lowest code and then the lowest class.
        """
        members, shares = self._best_members(1)
        code = (self._code_log_prob(features) + shares[:, 0]).argmax(dim=-1)
        return members[code, 0]

    @torch.no_grad()
    def predict_topk(self, features, k):
        """Predict the most probable classes, without scores of all classes.

        Parameters
        ----------
        features : Tensor of shape (..., in_features)
            Features.
        k : int
            Number of classes.

        Returns
        -------
        log_probabilities : Tensor of shape (..., k)
            Their log-probabilities, in descending order.
        classes : Tensor of shape (..., k)
            Their indices.

        Raises
        ------
        ValueError
            If k is not between 1 and the number of classes.
        """
        check_k(k, self.num_classes)
        log_p = self._code_log_prob(features).reshape(-1, len(self.codebook))
        found = top_classes(log_p, *self._best_members(k), k)
        shape = (*features.shape[:-1], k)
        return tuple(values.reshape(shape) for values in found)

    def _best_members(self, width):
        """Table of the best classes of each code; kept while nothing changes."""
        source = next(iter(self.within.state_dict(keep_vars=True).values()))
        stamp = (width, _stamp(self.codes), _stamp(source))
        if self._members is None or self._members[0] != stamp:
            table = member_table(
                self.codes, self.within(self.codes), len(self.codebook), width
            )
            self._members = stamp, table
        return self._members[1]

    def _load_from_state_dict(self, state_dict, prefix, *args):
        # Whether counts were given decides how shares are kept. A net that loads what
        # was saved has seen no data, so it has no counts; it takes the kind that comes.
        if self.kind != "learned" and f"{prefix}within.log_shares" in state_dict:
            self.within = FixedShares(self.codebook.new_zeros(self.num_classes))
        elif self.kind == "prior" and f"{prefix}within.class_counts" in state_dict:
            self.within = self._counting()
        self._members = None
        super()._load_from_state_dict(state_dict, prefix, *args)

    def __getstate__(self):
        return {**super().__getstate__(), "_members": None}

    def _checked_target(self, target, features, ignore_index=None):
        kind = getattr(target, "dtype", type(target).__name__)
        if kind not in _INTEGERS:
            raise TypeError(f"target must be a tensor of class indices, got {kind}.")
        if target.shape != features.shape[:-1]:
            raise ValueError(
                f"target must have the shape {tuple(features.shape[:-1])} of the rows "
                f"of features, got {tuple(target.shape)}."
            )
        if target.device.type == "cpu" and target.numel():
            wrong = (target < 0) | (target >= self.num_classes)
            if ignore_index is not None:
                wrong &= target != ignore_index
            if wrong.any():
                raise ValueError(
                    f"target must be in [0, {self.num_classes}), got "
                    f"{target[wrong][0].item()}."
                )
        return target

    def extra_repr(self):
        """Return the sizes, for the representation of the module."""
        return (
            f"in_features={self.in_features}, num_classes={self.num_classes}, "
            f"n_codes={len(self.codebook)}, within={self.kind!r}"
        )


def _stamp(tensor):
    """Return what changes when a tensor is changed in place, or replaced."""
    version = None if tensor.is_inference() else tensor._version
    return tensor.data_ptr(), version


def _random_permutation(n):
    return torch.randperm(n).numpy()
