"""Output layer whose classes share a few code vectors."""

import math
from numbers import Integral

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ._code_mapping import (
    ascend,
    frequency_codes,
    given_codes,
    log_shares,
    number_of_codes,
)
from ._cosine import LinearForm
from ._feature_moments import FeatureMoments
from ._top_classes import member_table, top_classes
from ._vq_conversion import (
    calibrated_bias,
    conversion_report,
    expected_counts,
    linear_parameters,
    quantize_linear,
    rows_of_features,
)
from ._within_code import (
    KINDS,
    CountedShares,
    FixedShares,
    LearnedShares,
    in_single_at_least,
)

_CONVERTED_KINDS = ("bias", *KINDS)


class VQLogitsHead(nn.Module):
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
        _check_sizes(in_features=in_features, num_classes=num_classes)
        if within not in KINDS:
            raise ValueError(f"within must be one of {KINDS}, got {within!r}.")
        if not 0 < smoothing < math.inf:
            raise ValueError(f"smoothing must be positive, got {smoothing!r}.")
        if class_counts is not None:
            class_counts = _checked_counts(class_counts, num_classes)
        codes = _starting_codes(mapping, n_codes, num_classes, class_counts)
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
            self.within = CountedShares(
                self.num_classes, n_codes, self.smoothing, index.device
            )
        else:
            self.within = FixedShares(self._like(log_shares(codes, mass)))
        self._members = None

    def _like(self, values):
        """Values of an array as a tensor like the codebook."""
        return torch.as_tensor(values).to(self.codebook)

    @torch.no_grad()
    def reset_parameters(self):
        """Draw the codebook as :class:`torch.nn.Linear` its weight; reset the bias."""
        bound = 1 / math.sqrt(self.in_features)
        self.codebook.uniform_(-bound, bound)
        self.code_bias.copy_(self._like(self._log_code_share))

    # -- from and to linear layers -----------------------------------------------------

    @classmethod
    def from_linear(
        cls,
        linear,
        bias=None,
        *,
        n_codes=None,
        mapping="weighted_kmeans",
        within=None,
        class_counts=None,
        features=None,
        smoothing=0.5,
        random_state=None,
    ):
        r"""Make a head of codes out of a trained linear classifier.

        The code vector is the mean of the rows of its classes, weighted by their
        counts. Without `class_counts` a layer whose rows take no more values than there
        are codes loses nothing.

        Parameters
        ----------
        linear : torch.nn.Linear, classifier or array-like
            The layer; a fitted linear classifier of scikit-learn; or weights of shape
            (num_classes, in_features).
        bias : array-like of shape (num_classes,), default=None
            Biases, if `linear` are weights.
        n_codes : int or float, default=None
            As of the class; not used with codes in `mapping`.
        mapping : str or array-like, default="weighted_kmeans"
            Code of each class, or how to choose it. "kmeans" clusters the rows as they
            are, "weighted_kmeans" with the classes' counts as weights, in the metric of
            the error of the logits that occur; "frequency" and "random" are as of the
            class.
        within : {"prior", "bias", "uniform", "learned"}, default=None
            Shares of the classes in their codes: by their counts, by their biases,
            equal, or trained from the first possible of these on. None is "prior" where
            counts are known, else "bias".
        class_counts : array-like of shape (num_classes,), default=None
            Rows of each class in the training data. None takes those that the layer
            expects for the features; without features they are not known.
        features : array-like or Tensor of shape (n_rows, in_features), default=None
            Features, some 10 000 rows of the training data. They give the metric, and
            the biases with which each code is as probable, on average, as its classes
            are by the layer. Without them all directions count the same.
        smoothing : float, default=0.5
            Added to given counts for "prior".
        random_state : int, RandomState or None, default=None
            For k-means and random codes.

        Returns
        -------
        VQLogitsHead
            The head, with dtype and device of the layer.

        Raises
        ------
        TypeError, ValueError
            If the layer is no linear one or not finite, or an argument does not fit it.

        See Also
        --------
        VQLogitsHead.conversion_report : What was lost.

        Examples
        --------
        >>> from sklearn.datasets import load_digits
        >>> from sklearn.linear_model import LogisticRegression
        >>> from sklogit.heads import VQLogitsHead
        >>> X, y = load_digits(return_X_y=True)
        >>> clf = LogisticRegression(C=0.01).fit(X / 16, y)
        >>> head = VQLogitsHead.from_linear(clf, n_codes=8, features=X / 16)
        >>> report = head.conversion_report(clf, X / 16)
        >>> report.n_codes, report.kl_divergence < 0.1
        (8, True)
        """
        if within not in (None, *_CONVERTED_KINDS):
            raise ValueError(
                f"within must be None or one of {_CONVERTED_KINDS}, got {within!r}."
            )
        weight, bias = linear_parameters(linear, bias)
        num_classes, in_features = weight.shape
        counts = expected = moments = None
        added = 0.0
        if features is not None:
            features = rows_of_features(features, in_features, weight)
            moments = FeatureMoments(features.double().cpu().numpy())
            expected = expected_counts(weight, bias, features)
            counts = expected.cpu().numpy()
        if class_counts is not None:
            counts, added = _checked_counts(class_counts, num_classes), smoothing
        known = "bias" if counts is None else "prior"
        if within == "prior" != known:
            raise ValueError("within='prior' needs class_counts, or features.")
        parts = quantize_linear(
            weight.double().cpu().numpy(),
            bias.double().cpu().numpy(),
            number_of_codes(n_codes, num_classes),
            mapping=mapping,
            within=known if within in (None, "learned") else within,
            counts=counts,
            moments=moments,
            smoothing=added,
            random_state=random_state,
        )
        kind = known if within is None else within
        head = cls._of_parts(parts, weight, kind=kind, smoothing=smoothing)
        if features is not None:
            head._calibrate(features, expected)
        return head

    @torch.no_grad()
    def _calibrate(self, features, class_counts):
        """Set the biases so that the codes have the counts of their classes."""
        counts = class_counts.new_zeros(len(self.codebook))
        counts.index_add_(0, self.codes, class_counts)
        self.code_bias.copy_(
            calibrated_bias(self.codebook, self.code_bias, features, counts)
        )

    @classmethod
    def _of_parts(cls, parts, like, *, kind, smoothing):
        """Make a head of given codes and their values (`LinearCodes`)."""
        head = cls(
            parts.codebook.shape[1],
            len(parts.codes),
            mapping=parts.codes,
            within="learned" if kind == "learned" else "uniform",
            smoothing=smoothing,
            device=like.device,
            dtype=like.dtype,
        )
        head.kind = kind
        learned = kind == "learned"
        shares = head.within.log_mass if learned else head.within.log_shares
        with torch.no_grad():
            head.codebook.copy_(head._like(parts.codebook))
            head.code_bias.copy_(head._like(parts.code_bias))
            shares.copy_(head._like(parts.log_shares))
        return head

    def to_linear(self):
        """Return a linear layer with the same probabilities.

        Returns
        -------
        torch.nn.Linear
            Layer with the code vector of each class as its row; a copy.
        """
        linear = nn.Linear(
            self.in_features,
            self.num_classes,
            device=self.codebook.device,
            dtype=self.codebook.dtype,
        )
        with torch.no_grad():
            linear.weight.copy_(self.weight)
            linear.bias.copy_(self.bias)
        return linear

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

    def conversion_report(self, linear, features, target=None, *, bias=None):
        """Compare the head with the linear classifier it was made from.

        Parameters
        ----------
        linear : torch.nn.Linear, classifier or array-like
            As of `from_linear`.
        features : array-like or Tensor of shape (n_rows, in_features)
            Features, better those of data that neither has seen.
        target : array-like or Tensor of shape (n_rows,), default=None
            Class indices, for the negative log-likelihoods.
        bias : array-like of shape (num_classes,), default=None
            Biases, if `linear` are weights.

        Returns
        -------
        VQConversionReport
            The errors.

        Raises
        ------
        TypeError, ValueError
            As of `from_linear`, and if a shape or a target does not fit.
        """
        weight, bias = linear_parameters(linear, bias)
        shape = self.num_classes, self.in_features
        if weight.shape != shape:
            raise ValueError(
                f"linear must have weights of shape {shape}, got {tuple(weight.shape)}."
            )
        features = rows_of_features(features, self.in_features, weight)
        if target is not None:
            target = torch.as_tensor(target, device=weight.device)
            target = self._checked_target(target, features).long()
        return conversion_report(self, weight, bias, features, target)

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
        """
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
        if not 1 <= k <= self.num_classes:
            raise ValueError(f"k must be between 1 and {self.num_classes}, got {k!r}.")
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

    def __getstate__(self):
        return {**super().__getstate__(), "_members": None}

    def _checked_target(self, target, features, ignore_index=None):
        if target.is_floating_point() or target.is_complex():
            raise TypeError(f"target must hold class indices, got {target.dtype}.")
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

    # -- mapping -----------------------------------------------------------------------

    @torch.no_grad()
    def update_mapping(self, batches):
        """Move classes to codes under which the data are more likely.

        One round of coordinate ascent: with the codebook as it is, classes move one
        after the other where the exact gain is largest, so that the likelihood of the
        data does not fall. Call it between epochs. It needs a temporary matrix of shape
        (num_classes, in_features), for the mean features of the classes.

        Parameters
        ----------
        batches : iterable of (features, target)
            Features (..., in_features) and class indices (...), as of `nll`.

        Returns
        -------
        int
            Number of classes that were moved.

        Raises
        ------
        TypeError, ValueError
            As of `nll`; if there is no row; or if the biases are not trained.

        Notes
        -----
        Shares by counts or biases become those by the counts of these data. A code may
        lose all its classes; it then stays as a candidate for the next round. After a
        few rounds the likelihood of other data may fall while that of these rises.
        """
        if not isinstance(self.code_bias, nn.Parameter):
            raise ValueError("update_mapping needs trained biases: bias=True.")
        sums, counts = self._class_sums(batches)
        host_counts = counts.cpu().numpy()
        if self.kind == "uniform":
            mass = np.ones(self.num_classes)
        elif self.kind == "learned":
            mass = self.within.log_mass.double().cpu().numpy()
            mass = np.exp(mass - mass.max())
        else:
            mass = host_counts + self.smoothing
        means = sums / counts.clamp(min=1).unsqueeze(1).to(sums)

        def scores(block):
            rows = means[torch.as_tensor(block, device=means.device)]
            scores = F.linear(rows, self.codebook, self.code_bias)
            return scores.double().cpu().numpy()

        n_codes = len(self.codebook)
        codes, n_moved = ascend(
            self.codes.cpu().numpy(), host_counts, mass, scores, n_codes
        )
        self.codes.copy_(torch.as_tensor(codes))
        empty = np.bincount(codes, minlength=n_codes) == 0
        self.code_mask.copy_(self._like(np.where(empty, -np.inf, 0.0)))
        if isinstance(self.within, FixedShares):
            self.within.log_shares.copy_(self._like(log_shares(codes, mass)))
        return n_moved

    def _class_sums(self, batches):
        """Sum of the features and number of the rows of each class."""
        sums = torch.zeros_like(self.weight)
        counts = torch.zeros(self.num_classes, dtype=torch.int64, device=sums.device)
        for features, target in batches:
            target = self._checked_target(target, features).reshape(-1).long()
            sums.index_add_(0, target, features.reshape(len(target), -1).to(sums))
            counts.index_add_(0, target, torch.ones_like(target))
        if not counts.any():
            raise ValueError("batches must hold at least one row, got none.")
        return sums, counts

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


def _check_sizes(**sizes):
    for name, size in sizes.items():
        if not isinstance(size, Integral) or size < 1:
            raise ValueError(f"{name} must be an integer >= 1, got {size!r}.")


def _checked_counts(counts, num_classes):
    """Return counts (num_classes,) as float64, or raise ValueError."""
    if isinstance(counts, torch.Tensor):
        counts = counts.detach().cpu()
    counts = np.asarray(counts, dtype=np.float64)
    if counts.shape != (num_classes,):
        raise ValueError(
            f"class_counts must have the shape ({num_classes},), got {counts.shape}."
        )
    if not (np.isfinite(counts).all() and (counts >= 0).all() and counts.any()):
        raise ValueError("class_counts must be finite, not negative and not all zero.")
    return counts


def _starting_codes(mapping, n_codes, num_classes, counts):
    """Code of each class, (num_classes,), for a head without a trained layer."""
    known = mapping is None or isinstance(mapping, str)
    if not known:
        if isinstance(mapping, torch.Tensor):
            mapping = mapping.cpu()
        codes = given_codes(mapping, num_classes)
        if n_codes is not None and n_codes != codes.max() + 1:
            raise ValueError(
                f"n_codes must be None or that of the mapping, {codes.max() + 1}, got "
                f"{n_codes!r}."
            )
        return codes
    n_codes = number_of_codes(n_codes, num_classes)
    if mapping is None:
        mapping = "random" if counts is None else "frequency"
    if mapping not in ("frequency", "random"):
        raise ValueError(
            "mapping must be 'frequency', 'random' or an array without a trained layer "
            f"(see from_linear), got {mapping!r}."
        )
    if mapping == "frequency" and counts is None:
        raise ValueError("mapping='frequency' needs class_counts.")
    if n_codes == num_classes:
        return np.arange(num_classes)
    if mapping == "frequency":
        return frequency_codes(counts, n_codes)
    return (torch.randperm(num_classes) % n_codes).numpy()
