"""Weights of rows from their margins, and the sums that all solvers are made of.

A linear classifier has scores z = X W. The binary margin of row i is y_i z_i, that of
a multiclass problem z_{i,y_i} - max_{j != y_i} z_ij; a margin of 0 is an error.
Three weightings tell how much a row counts in the next step:

=============== ==================== =======================================
weighting       binary               multinomial, for each class j != y_i
=============== ==================== =======================================
``logistic``    1 / (1 + exp(m_i))   softmax(z_i)_j
``exponential`` exp(-m_i)            exp(z_ij - z_{i,y_i})
``perceptron``  1 if m_i <= 0        1 / n_ties if j is the largest and wrong
=============== ==================== =======================================

Once all rows are right the first two vanish, in the end below the smallest float. Sums
are therefore kept as value * exp(-shift): with the shift at 0 while some margin is
small, else at the least margin. So their ratios never become 0 / 0.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ._rows import scores_of, sum_of_rows

# Beyond this margin 1 / (1 + exp(m)) is exp(-m) to the last bit of a float64.
_LARGE_MARGIN = 40.0


@dataclass
class Sums:
    """Sums over rows: everything an iteration needs to know of the data.

    Attributes
    ----------
    rows : ndarray of shape (n_features, n_outputs)
        Sum of the rows with their signed weights, the direction of the next step.
    constant : ndarray of shape (n_outputs,)
        Sum of the signed weights, the direction for the intercept.
    total : ndarray of shape (n_problems,)
        Sum of the weights.
    shift : ndarray of shape (n_problems,)
        The three sums above are to be multiplied by exp(-shift).
    n_errors : ndarray of shape (n_problems,)
        Rows whose margin is not positive.
    error_weight : ndarray of shape (n_problems,)
        Their weight.
    margin : ndarray of shape (n_problems,)
        Least margin.
    """

    rows: np.ndarray
    constant: np.ndarray
    total: np.ndarray
    shift: np.ndarray
    n_errors: np.ndarray
    error_weight: np.ndarray
    margin: np.ndarray

    @classmethod
    def merge(cls, parts):
        """Add up the sums of several blocks."""
        parts = list(parts)
        if len(parts) == 1:
            return parts[0]
        shift = np.min([part.shift for part in parts], axis=0)
        scales = [np.exp(shift - part.shift) for part in parts]
        return cls(
            rows=sum(part.rows * scale for part, scale in zip(parts, scales)),
            constant=sum(part.constant * scale for part, scale in zip(parts, scales)),
            total=sum(part.total * scale for part, scale in zip(parts, scales)),
            shift=shift,
            n_errors=sum(part.n_errors for part in parts),
            error_weight=sum(part.error_weight for part in parts),
            margin=np.min([part.margin for part in parts], axis=0),
        )


@dataclass
class WeighBlock:
    """Sums over a block of rows, at given coefficients; picklable, for Dask.

    Attributes
    ----------
    problem : {"binary", "ovr", "multinomial"}
        Kind of margin.
    weighting : {"logistic", "exponential", "perceptron"}
        See above.
    coef : ndarray of shape (n_features, n_outputs) or None
        Coefficients, of the dtype of the rows; None stands for zeros.
    intercept : ndarray of shape (n_outputs,)
        Added to the scores.
    classes : ndarray of shape (n_outputs,) or None
        Class of each output; of a one-versus-rest problem, those still to be solved.
    """

    problem: str
    weighting: str
    coef: np.ndarray | None
    intercept: np.ndarray
    classes: np.ndarray | None = None

    def __call__(self, X, y, weight):
        """Return the `Sums` of a block."""
        if self.coef is None and self.problem != "binary" and not self.intercept.any():
            return self._at_zero(X, y, weight)
        scores = self._scores(X)
        D, sums = weigh(self.problem, self.weighting, scores, y, weight, self.classes)
        sums.rows = sum_of_rows(X, D).reshape(X.shape[1], -1)
        return sums

    def _at_zero(self, X, y, weight):
        """Return the sums at zero, where the mean of a class stands for its rows."""
        n = len(y)
        weight = np.ones(n, dtype=X.dtype) if weight is None else weight
        mass = np.bincount(y, weights=weight)
        found = np.flatnonzero(mass)
        of_class = sparse.csc_array((weight, y, np.arange(n + 1)), (len(mass), n))
        totals = (of_class @ X)[found]
        zeros = np.zeros((len(found), len(self.intercept)))
        D, sums = weigh(
            self.problem, self.weighting, zeros, found, mass[found], self.classes
        )
        sums.rows = np.asarray(totals.T @ (D / mass[found, np.newaxis]))
        sums.n_errors = np.full_like(sums.n_errors, n)
        return sums

    def _scores(self, X):
        binary = self.problem == "binary"
        shape = X.shape[:1] if binary else (X.shape[0], len(self.intercept))
        if self.coef is None:
            scores = np.zeros(shape, dtype=X.dtype)
        else:
            scores = scores_of(X, self.coef.ravel() if binary else self.coef)
        if self.intercept.any():
            scores += self.intercept[0] if binary else self.intercept
        return scores


@dataclass
class Evaluation:
    """What is known of an iterate; arrays have one entry a problem.

    Attributes
    ----------
    direction : ndarray of shape (n_coordinates, n_outputs)
        Weighted mean of the signed rows.
    total : ndarray
        Sum of the weights divided by that of the sample weights; it may underflow.
    n_errors : ndarray
        Rows whose margin is not positive.
    error_weight : ndarray
        Their weight.
    margin : ndarray
        Least margin, not divided by the norm of the coefficients.
    """

    direction: np.ndarray
    total: np.ndarray
    n_errors: np.ndarray
    error_weight: np.ndarray
    margin: np.ndarray


def make_evaluation(direction, sums, total_weight):
    """Make the evaluation of sums whose direction is given in some coordinates."""
    total = np.where(sums.total > 0, sums.total, 1.0)
    mean_weight = sums.total / total_weight
    if sums.shift.any():
        with np.errstate(under="ignore"):
            mean_weight = mean_weight * np.exp(-sums.shift)
    return Evaluation(
        direction / total, mean_weight, sums.n_errors, sums.error_weight, sums.margin
    )


def weigh(problem, weighting, scores, y, weight, classes):
    """Signed weights D of all scores, and their `Sums` but those of the rows.

    Parameters
    ----------
    problem, weighting : str
        See `WeighBlock`.
    scores : ndarray of shape (n_rows,) or (n_rows, n_outputs)
        Scores; overwritten.
    y : ndarray of shape (n_rows,)
        Signs or class indices.
    weight : ndarray of shape (n_rows,) or None
        Weights of the rows.
    classes : ndarray of shape (n_outputs,) or None
        Class of each output, of a one-versus-rest problem.
    """
    if problem == "multinomial":
        D, row_totals, margins, least, shift = _multinomial(scores, y, weighting)
        if weight is not None:
            D *= weight[:, np.newaxis]
            row_totals *= weight
        total = row_totals.sum(dtype=np.float64, keepdims=True)
    else:
        signs = y if problem == "binary" else _one_vs_rest_signs(y, classes)
        D, margins, least, shift = _binary(scores, signs, weighting)
        if weight is not None:
            D *= weight if problem == "binary" else weight[:, np.newaxis]
        total = _column_sums(D)
        D *= signs
    n_errors, error_weight = _count_errors(margins, least, weight)
    sums = Sums(None, _column_sums(D), total, shift, n_errors, error_weight, least)
    return D, sums


def _column_sums(D):
    return D.sum(axis=0, dtype=np.float64, keepdims=D.ndim == 1)


def _count_errors(margins, least, weight):
    """Count margins that are not positive, and add up their weights."""
    if least.min() > 0:
        n_errors = np.zeros(len(least), dtype=int)
        return n_errors, n_errors
    wrong = margins <= 0
    if wrong.ndim == 1:  # without an axis NumPy counts several times as fast
        n_errors = np.array([np.count_nonzero(wrong)])
    else:
        n_errors = np.count_nonzero(wrong, axis=0)
    return n_errors, n_errors if weight is None else np.atleast_1d(weight @ wrong)


def _one_vs_rest_signs(y, classes):
    return np.where(y[:, np.newaxis] == classes, 1.0, -1.0)


def _shift(weighting, least):
    """Exponent to keep out of the weights, given the least margin."""
    if weighting == "perceptron":
        return np.zeros_like(least)
    if weighting == "exponential":
        return least
    return np.where(least > _LARGE_MARGIN, least, 0.0)


def _largest_exponent(dtype):
    # Weights below exp(-this) count nothing, and as denormal numbers would be slow.
    return 80.0 if dtype == np.float32 else 600.0


def _binary(scores, signs, weighting):
    """Weights, margins, least margins and shift of independent binary problems."""
    margins = np.multiply(scores, signs, out=scores, casting="same_kind")
    least = margins.min(axis=0, keepdims=margins.ndim == 1).astype(np.float64)
    shift = _shift(weighting, least)
    if weighting == "perceptron":
        return (margins <= 0).astype(margins.dtype), margins, least, shift
    weights = margins
    if shift.any():
        weights = margins - shift.astype(margins.dtype)
    weights = np.minimum(weights, _largest_exponent(weights.dtype))
    np.exp(weights, out=weights)
    if weighting == "logistic":
        weights += (shift == 0).astype(weights.dtype)
    np.divide(1, weights, out=weights)  # np.reciprocal is not vectorised
    return weights, margins, least, shift


def _multinomial(scores, y, weighting):
    """Weights (negative but at the true class), row sums, margins, least, shift."""
    rows = np.arange(len(y))
    scores -= scores[rows, y][:, np.newaxis]
    scores[rows, y] = -np.inf
    largest = scores.max(axis=1)
    margins = -largest
    least = margins.min(keepdims=True).astype(np.float64)
    shift = _shift(weighting, least)
    if weighting == "perceptron":
        ties = (scores == largest[:, np.newaxis]).astype(scores.dtype)
        wrong = (margins <= 0).astype(scores.dtype)
        D = ties * (wrong / ties.sum(axis=1))[:, np.newaxis]
    elif weighting == "exponential" or shift[0]:
        np.add(scores, scores.dtype.type(shift[0]), out=scores)
        D = np.exp(scores, out=scores)
    else:
        largest = np.maximum(largest, 0)
        scores -= largest[:, np.newaxis]
        D = np.exp(scores, out=scores)
        D /= (D.sum(axis=1) + np.exp(-largest))[:, np.newaxis]
    row_totals = D.sum(axis=1)
    np.negative(D, out=D)
    D[rows, y] = row_totals
    return D, row_totals, margins, least, shift
