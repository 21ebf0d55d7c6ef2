"""One minus a metric of soft predictions, and its gradient by the coefficients."""

from functools import partial

import numpy as np
from scipy import sparse
from scipy.special import softmax

from ..metrics import amplify
from ._rows import scores_of, sum_of_rows

# Copying fewer sparse rows than this part is faster than multiplying all of them.
_PART_COPIED = 1 / 8


class AnyLossObjective:
    r"""Penalised loss of a linear classifier, as a function of its parameters.

    .. math:: J(W) = \sum_k \omega_k \left(1 - M(c_k(W))\right)
        + \frac{\alpha}{2S} \|W - W_0\|^2

    with the soft counts c_k of class k against the others. Two numbers a class, the
    slopes of the metric by its true and its false positives, carry everything of the
    metric into the gradient.

    Parameters
    ----------
    rows : Rows
        Rows; their y is a bool (two classes) or a class index.
    metric : ConfusionMetric
        The metric M.
    soft : callable
        Turns scores into soft predictions and their slopes.
    alpha : float
        Strength of the penalty, finite.
    anchor : ndarray of shape (n_outputs, n_features)
        The W_0.
    fit_intercept : bool
        Whether the parameters have a last column, the intercepts, without penalty.
    """

    def __init__(self, rows, metric, soft, alpha, anchor, fit_intercept):
        self.rows, self.metric, self.soft = rows, metric, soft
        self.anchor, self.fit_intercept = anchor.astype(np.float64), fit_intercept
        self.total = float(
            rows.n_rows if rows.weight is None else rows.weight.sum(dtype=np.float64)
        )
        self.penalty = alpha / self.total
        self.shape = (len(anchor), anchor.shape[1] + fit_intercept)

    def __call__(self, parameters):
        """Evaluate the objective.

        Parameters
        ----------
        parameters : ndarray of shape (n_outputs * n_columns,)
            Coefficients and intercepts.

        Returns
        -------
        objective : float
            The value.
        gradient : ndarray of the shape of the parameters
            Its gradient.
        """
        coef, intercept = self.split(parameters)
        loss, by_coef, by_intercept = self.loss_and_gradient(coef, intercept)
        moved = coef - self.anchor
        gradient = by_coef + self.penalty * moved
        if self.fit_intercept:
            gradient = np.column_stack([gradient, by_intercept])
        return loss + self.penalty / 2 * np.vdot(moved, moved), gradient.ravel()

    def metric_value(self, parameters, objective):
        """Metric of the soft predictions, given the value of the objective."""
        moved = self.split(parameters)[0] - self.anchor
        return 1 - (objective - self.penalty / 2 * np.vdot(moved, moved))

    def split(self, parameters):
        """Coefficients and intercepts of flat parameters."""
        W = parameters.reshape(self.shape)
        if not self.fit_intercept:
            return W, np.zeros(len(W))
        return W[:, :-1], W[:, -1]

    def join(self, coef, intercept):
        """Flat parameters of coefficients and intercepts."""
        if not self.fit_intercept:
            return coef.astype(np.float64).ravel()
        return np.column_stack([coef, intercept]).astype(np.float64).ravel()


class BinaryObjective(AnyLossObjective):
    """The objective for two classes; rows are read once an evaluation."""

    def __init__(self, rows, *args, **kwargs):
        super().__init__(rows, *args, **kwargs)
        weight = rows.y if rows.weight is None else rows.weight * rows.y
        self.n_positive = float(weight.sum(dtype=np.float64))
        self.n_negative = self.total - self.n_positive

    def loss_and_gradient(self, coef, intercept):
        """Loss without penalty, and its gradients."""
        dtype = self.rows.X.dtype
        block = partial(
            _binary_sums,
            soft=self.soft,
            coef=coef[0].astype(dtype),
            intercept=intercept,
        )
        parts = list(self.rows.map(block))
        tp, fp = np.sum([part[0] for part in parts], axis=0)
        counts = self.counts(tp, fp)
        loss = 1 - self.metric.value(*counts)
        # The gradient of a class is its slope times what its rows add up to.
        slopes = np.array(self.metric.slopes(*counts), dtype=np.float64)
        of_rows = sum(part[1] for part in parts)
        of_constant = sum(part[2] for part in parts)
        return loss, -(slopes @ of_rows)[np.newaxis], -slopes @ of_constant

    def counts(self, tp, fp):
        """Soft confusion matrix, without the negative numbers that rounding makes."""
        tn, fn = max(self.n_negative - fp, 0.0), max(self.n_positive - tp, 0.0)
        return tn, max(fp, 0.0), fn, max(tp, 0.0)


def _binary_sums(X, positive, weight, *, soft, coef, intercept):
    """Sum (tp, fp) over a block, and the rows and slopes of both classes."""
    scores = np.asarray(scores_of(X, coef), dtype=np.float64)
    scores += intercept
    predictions, slopes = soft(scores)
    if weight is not None:
        predictions, slopes = predictions * weight, slopes * weight
    members = np.flatnonzero(positive)
    tp, constant = predictions[members].sum(), slopes[members].sum()
    rows = _sum_of_members(X, slopes, members)
    return (
        np.array([tp, predictions.sum() - tp]),
        np.array([rows, sum_of_rows(X, slopes.astype(X.dtype)) - rows]),
        np.array([constant, slopes.sum() - constant]),
    )


def _sum_of_members(X, slopes, members):
    """Sum of the rows of the positive class with their slopes."""
    if not sparse.issparse(X) or len(members) < _PART_COPIED * X.shape[0]:
        # Positives are mostly few: they are copied, and the negatives are what is left.
        return sum_of_rows(X[members], slopes[members].astype(X.dtype))
    # A block of sparse rows may be all of X: reading it twice is faster, and copies
    # nothing.
    own = np.zeros(X.shape[0], dtype=X.dtype)
    own[members] = slopes[members]
    return sum_of_rows(X, own)


class MulticlassObjective(AnyLossObjective):
    """The objective for more classes.

    Parameters
    ----------
    rows, metric, soft, alpha, anchor, fit_intercept
        As of `AnyLossObjective`; `soft` returns the predictions and a function that
        carries derivatives by them back to the scores.
    of_matrix : callable
        Takes the soft confusion matrix of all classes to the value that is maximised,
        and its derivatives by the entries: `MeanOverClasses` or `WholeMatrix`.
    """

    def __init__(self, rows, *args, of_matrix, **kwargs):
        super().__init__(rows, *args, **kwargs)
        self.of_matrix = of_matrix

    def loss_and_gradient(self, coef, intercept):
        """Loss without penalty, and its gradients."""
        dtype = self.rows.X.dtype
        block = partial(
            _multiclass_predictions,
            soft=self.soft,
            coef=coef.T.astype(dtype),
            intercept=intercept,
        )
        blocks = list(self.rows.map(block, len(coef)))
        value, derivatives = self.of_matrix(sum(C for C, _ in blocks))
        back = (back for _, back in blocks)
        parts = list(
            self.rows.map(
                lambda X, y, weight: _multiclass_sums(X, next(back)(-derivatives)),
                len(coef),
            )
        )
        by_coef, by_intercept = (sum(part[i] for part in parts) for i in (0, 1))
        return 1 - value, by_coef, by_intercept


class MeanOverClasses:
    """Mean of the metric of each class against the others.

    Parameters
    ----------
    metric : ConfusionMetric
        The metric.
    n_positive : ndarray of shape (n_classes,)
        Weights of the classes.
    share : ndarray of shape (n_classes,)
        Their shares in the mean, which sum to one.
    """

    def __init__(self, metric, n_positive, share):
        self.metric, self.n_positive, self.share = metric, n_positive, share

    def __call__(self, C):
        """Value, and derivatives by the soft confusion matrix."""
        tp = np.diag(C)
        fp = C.sum(axis=0) - tp
        tn, fn = self.n_positive.sum() - self.n_positive - fp, self.n_positive - tp
        counts = np.maximum([tn, fp, fn, tp], 0.0).T
        values = np.array([self.metric.value(*of_class) for of_class in counts])
        slopes = [self.metric.slopes(*of_class) for of_class in counts]
        by_tp, by_fp = self.share * np.array(slopes, dtype=np.float64).T
        derivatives = np.tile(by_fp, (len(C), 1))
        np.fill_diagonal(derivatives, by_tp)
        return float(self.share @ values), derivatives


class WholeMatrix:
    """Metric of the confusion matrix of all classes.

    Parameters
    ----------
    metric : ConfusionMetric
        A metric with a form for many classes.
    """

    def __init__(self, metric):
        self.form = metric.multiclass_form()

    def __call__(self, C):
        """Value, and derivatives by the soft confusion matrix."""
        return self.form.value(C), self.form.partials(C)


def _multiclass_predictions(X, y, weight, *, soft, coef, intercept):
    """Count predictions of a block; return what takes derivatives to its scores."""
    scores = np.asarray(X @ coef, dtype=np.float64) + intercept
    predictions, to_scores = soft(scores)
    n_classes, counted = predictions.shape[1], np.ones(len(y))
    if weight is not None:
        counted = weight.astype(np.float64)
    # One-hot labels, sparse: their product with the predictions is the matrix.
    one_hot = sparse.csr_array(
        (counted, (y, np.arange(len(y)))), shape=(n_classes, len(y))
    )

    def back(derivatives):
        return to_scores(derivatives[y] * counted[:, np.newaxis])

    return one_hot @ predictions, back


def _multiclass_sums(X, D):
    return sum_of_rows(X, D.astype(X.dtype)).T, D.sum(axis=0)


def multiclass_soft(scores, amplifier, L):
    """Soft predictions of several classes.

    Parameters
    ----------
    scores : ndarray of shape (n_samples, n_classes)
        Scores.
    amplifier : {"logit", "probability"}
        The softmax of L times the scores, or the amplified probabilities of each class.
    L : float
        Steepness.

    Returns
    -------
    predictions : ndarray of shape (n_samples, n_classes)
        Soft predictions; those of "probability" need not sum to one.
    to_scores : callable
        Takes derivatives by the predictions to derivatives by the scores.
    """
    P = softmax(L * scores if amplifier == "logit" else scores, axis=1)
    if amplifier == "logit":
        return P, lambda D: L * _softmax_back(P, D)
    # Of the probability p: the logistic function of L (p - 1/2).
    predictions, slopes = amplify(P - 0.5, "logit", L)
    return predictions, lambda D: _softmax_back(P, D * slopes)


def _softmax_back(P, D):
    return P * (D - (P * D).sum(axis=1, keepdims=True))
