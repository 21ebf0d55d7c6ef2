"""Values and partial derivatives of the named metrics of a confusion matrix.

Everything is arithmetic on the counts (tn, fp, fn, tp), so that floats, arrays of
counts and 0-d tensors are all the same. Where a metric is 0 / 0 it is 0, and so is its
derivative, as with ``zero_division=0`` in scikit-learn.
"""

from dataclasses import dataclass

# Below this a rate counts as this, in the derivative of a root: at zero it is infinite.
_LEAST_RATE = 1e-12


def _dot(coefficients, counts):
    """Sum of coefficients times counts, without the terms that are zero."""
    terms = [k * count for k, count in zip(coefficients, counts) if k]
    return sum(terms[1:], start=terms[0])


def _inverse(denominator):
    """1 / denominator, and 0 where the denominator is zero."""
    return (denominator != 0) / (denominator + (denominator == 0))


@dataclass(frozen=True)
class Ratio:
    """Ratio of two weighted sums of the counts, each of them (tn, fp, fn, tp)."""

    numerator: tuple
    denominator: tuple

    def value(self, *counts):
        """Evaluate the metric."""
        return self.terms(*counts)[0]

    def partials(self, *counts):
        """Differentiate by tn, fp, fn and tp."""
        value, inverse = self.terms(*counts)
        return tuple(
            (n - d * value) * inverse for n, d in zip(self.numerator, self.denominator)
        )

    def terms(self, *counts):
        """Value, and the inverse of the denominator."""
        inverse = _inverse(_dot(self.denominator, counts))
        return _dot(self.numerator, counts) * inverse, inverse


ACCURACY = Ratio((1, 0, 0, 1), (1, 1, 1, 1))
PRECISION = Ratio((0, 0, 0, 1), (0, 1, 0, 1))
NEGATIVE_PREDICTIVE_VALUE = Ratio((1, 0, 0, 0), (1, 0, 1, 0))
RECALL = Ratio((0, 0, 0, 1), (0, 0, 1, 1))
SPECIFICITY = Ratio((1, 0, 0, 0), (1, 1, 0, 0))
JACCARD = Ratio((0, 0, 0, 1), (0, 1, 1, 1))


def fbeta(beta):
    """Weighted harmonic mean of precision and recall."""
    square = float(beta) ** 2
    return Ratio((0, 0, 0, 1 + square), (0, 1, square, 1 + square))


def gain(tn, fp, fn, tp):
    """Mean gain of a row, given the gains of the four outcomes."""
    return Ratio((tn, fp, fn, tp), (1, 1, 1, 1))


@dataclass(frozen=True)
class MeanOfRates:
    """Mean of two ratios, over those that are defined."""

    first: Ratio
    second: Ratio

    def value(self, *counts):
        """Evaluate the metric."""
        a, b = self.first.value(*counts), self.second.value(*counts)
        return (a + b) * self._share(counts)

    def partials(self, *counts):
        """Differentiate by tn, fp, fn and tp."""
        share = self._share(counts)
        pairs = zip(self.first.partials(*counts), self.second.partials(*counts))
        return tuple((a + b) * share for a, b in pairs)

    def _share(self, counts):
        # Adding zero makes numbers of booleans, which torch does not add.
        defined = [0.0 + (_dot(r.denominator, counts) != 0) for r in self._ratios]
        return _inverse(defined[0] + defined[1])

    @property
    def _ratios(self):
        return self.first, self.second


@dataclass(frozen=True)
class SumMinusOne:
    """Sum of two ratios less one, so that guessing has the value zero."""

    first: Ratio
    second: Ratio

    def value(self, *counts):
        """Evaluate the metric."""
        return self.first.value(*counts) + self.second.value(*counts) - 1

    def partials(self, *counts):
        """Differentiate by tn, fp, fn and tp."""
        pairs = zip(self.first.partials(*counts), self.second.partials(*counts))
        return tuple(a + b for a, b in pairs)


@dataclass(frozen=True)
class GeometricMean:
    """Root of the product of two ratios."""

    first: Ratio
    second: Ratio

    def value(self, *counts):
        """Evaluate the metric."""
        return (self.first.value(*counts) * self.second.value(*counts)) ** 0.5

    def partials(self, *counts):
        """Differentiate by tn, fp, fn and tp; finite also where a ratio is zero."""
        a, b = (_at_least(r.value(*counts)) for r in (self.first, self.second))
        by_a, by_b = 0.5 * (b / a) ** 0.5, 0.5 * (a / b) ** 0.5
        pairs = zip(self.first.partials(*counts), self.second.partials(*counts))
        return tuple(by_a * da + by_b * db for da, db in pairs)


def _at_least(rate):
    return rate + (rate < _LEAST_RATE) * (_LEAST_RATE - rate)


class MatthewsCorrelation:
    """Correlation of labels and predictions."""

    def value(self, tn, fp, fn, tp):
        """Evaluate the metric."""
        return (tp * tn - fp * fn) * self._inverse_root(tn, fp, fn, tp)

    def partials(self, tn, fp, fn, tp):
        """Differentiate by tn, fp, fn and tp."""
        inverse = self._inverse_root(tn, fp, fn, tp)
        half = 0.5 * (tp * tn - fp * fn) * inverse
        # The logarithm of the denominator is half the sum of those of the marginals.
        p, n, q, r = (_inverse(m) for m in (tp + fn, tn + fp, tp + fp, tn + fn))
        return (
            tp * inverse - half * (n + r),
            -fn * inverse - half * (n + q),
            -fp * inverse - half * (p + r),
            tn * inverse - half * (p + q),
        )

    def _inverse_root(self, tn, fp, fn, tp):
        # Roots before the product: the product of four counts leaves float32.
        root = ((tp + fn) * (tn + fp)) ** 0.5 * ((tp + fp) * (tn + fn)) ** 0.5
        return _inverse(root)


class CohenKappa:
    """Agreement of labels and predictions beyond that of guessing."""

    def value(self, tn, fp, fn, tp):
        """Evaluate the metric."""
        return 2 * (tp * tn - fn * fp) * _inverse(self._denominator(tn, fp, fn, tp))

    def partials(self, tn, fp, fn, tp):
        """Differentiate by tn, fp, fn and tp."""
        inverse = _inverse(self._denominator(tn, fp, fn, tp))
        value = 2 * (tp * tn - fn * fp) * inverse
        by_numerator = (2 * tp, -2 * fn, -2 * fp, 2 * tn)
        by_denominator = (
            fp + tp + tp + fn,  # of tn
            fp + tn + tp + fp,
            fn + tn + tp + fn,
            fp + tn + fn + tn,
        )
        return tuple(
            (n - value * d) * inverse for n, d in zip(by_numerator, by_denominator)
        )

    def _denominator(self, tn, fp, fn, tp):
        return (tp + fp) * (fp + tn) + (tp + fn) * (fn + tn)


NAMED = {
    "accuracy": ACCURACY,
    "balanced_accuracy": MeanOfRates(RECALL, SPECIFICITY),
    "cohen_kappa": CohenKappa(),
    "f1": fbeta(1.0),
    "f2": fbeta(2.0),
    "f0.5": fbeta(0.5),
    "fowlkes_mallows": GeometricMean(PRECISION, RECALL),
    "geometric_mean": GeometricMean(RECALL, SPECIFICITY),
    "informedness": SumMinusOne(RECALL, SPECIFICITY),
    "jaccard": JACCARD,
    "markedness": SumMinusOne(PRECISION, NEGATIVE_PREDICTIVE_VALUE),
    "matthews_corrcoef": MatthewsCorrelation(),
    "negative_predictive_value": NEGATIVE_PREDICTIVE_VALUE,
    "precision": PRECISION,
    "recall": RECALL,
    "specificity": SPECIFICITY,
}
ALIASES = {
    "gmean": "geometric_mean",
    "mcc": "matthews_corrcoef",
    "kappa": "cohen_kappa",
    "youden": "informedness",
}
