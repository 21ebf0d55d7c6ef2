"""From a trained linear layer to a head of codes, and back."""

import torch
from torch import nn

from ._checks import check_positive
from ._code_mapping import checked_counts, number_of_codes
from ._feature_moments import FeatureMoments
from ._linear_parameters import linear_parameters, rows_of_features
from ._vq_conversion import (
    calibrated_bias,
    conversion_report,
    expected_counts,
    quantize_linear,
)
from ._within_code import KINDS

_CONVERTED_KINDS = ("bias", *KINDS)


class LinearConversionMixin:
    """A head of codes that is made of a linear layer, compared with it, and back."""

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
        check_positive("smoothing", smoothing)
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
            counts, added = checked_counts(class_counts, num_classes), smoothing
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
