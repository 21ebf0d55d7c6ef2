"""The start of training for a metric: logistic regression and its best threshold."""

import warnings

import numpy as np
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from ..metrics._threshold import best_cut

# So many rows of a class tell the scale of the scores well enough. Fewer rows are read
# so fast that finding the scale first saves nothing.
ROWS_FOR_SCALE = 10_000
_MAX_ITER = 1000


def logistic_start(rows, labels, C, balanced, fit_intercept):
    """Fit a logistic regression.

    Parameters
    ----------
    rows : Rows
        Rows.
    labels : ndarray of shape (n_rows,)
        Bool, or class indices.
    C : float
        Inverse strength of its penalty.
    balanced : bool
        Whether to balance the classes.
    fit_intercept : bool
        Whether it has an intercept.

    Returns
    -------
    coef : ndarray of shape (n_outputs, n_features)
        Coefficients, in float64.
    intercept : ndarray of shape (n_outputs,)
        Intercepts.
    """
    model = LogisticRegression(
        C=C,
        class_weight="balanced" if balanced else None,
        fit_intercept=fit_intercept,
        max_iter=_MAX_ITER,
    )
    # Its own warnings are let through: filters of warnings belong to the process, so
    # that fits in several threads would leave them changed.
    model.fit(rows.X, labels, sample_weight=rows.weight)
    if np.max(model.n_iter_) >= _MAX_ITER:
        warnings.warn(
            f"The logistic regression of init did not converge in {_MAX_ITER} "
            "iterations: scale the data.",
            ConvergenceWarning,
            stacklevel=2,
        )
    intercept = np.broadcast_to(model.intercept_, len(model.coef_))
    return model.coef_.astype(np.float64), intercept.astype(np.float64)


def scores_of_start(rows, coef, intercept):
    """Scores of all rows, (n_rows,), of a binary start."""
    return np.asarray(rows.X @ coef[0].astype(rows.X.dtype), np.float64) + intercept[0]


def best_threshold(rows, scores, metric):
    """Threshold of training scores that is best for the metric."""
    threshold, _ = best_cut(rows.y, scores, metric, rows.weight)
    return threshold


def rescaled(objective, rows, scores, coef, intercept):
    """Stretch and shift the scores of a start so that the loss is least.

    A search in two dimensions that reads no features: the loss of soft predictions
    asks for other scales than the likelihood, and finding them in all dimensions takes
    half of all iterations.

    Parameters
    ----------
    objective : BinaryObjective
        The objective.
    rows : Rows
        Rows.
    scores : ndarray of shape (n_rows,)
        Their scores.
    coef, intercept : ndarray
        The start.

    Returns
    -------
    coef, intercept : ndarray
        A start whose loss is not greater.
    """
    chosen, weight = _evenly_of_both_classes(rows)
    positive = rows.y[chosen]
    plain = scores[chosen] - intercept[0]  # without the intercept
    square = np.vdot(coef, coef)
    moved_free = objective.fit_intercept

    def reduced(parameters):
        scale, shift = parameters
        predictions, slopes = objective.soft(scale * plain + shift)
        predictions, slopes = predictions * weight, slopes * weight
        tp = predictions[positive].sum()
        counts = objective.counts(tp, predictions.sum() - tp)
        by_tp, by_fp = objective.metric.slopes(*counts)
        by_score = -slopes * np.where(positive, by_tp, by_fp)
        value = 1 - objective.metric.value(*counts)
        value += objective.penalty / 2 * square * (scale - 1) ** 2
        by_scale = by_score @ plain + objective.penalty * square * (scale - 1)
        return value, np.array([by_scale, by_score.sum() if moved_free else 0.0])

    start = np.array([1.0, intercept[0]])
    try:
        found = minimize(
            reduced, start, jac=True, method="L-BFGS-B", options={"gtol": 1e-4}
        ).x
    except ValueError:  # a metric that is not finite somewhere on the way
        return coef, intercept
    scale, shift = found
    if not np.isfinite(found).all() or scale <= 0:
        return coef, intercept
    return scale * coef, np.array([shift])


def _evenly_of_both_classes(rows):
    """Choose rows, and weights with which they stand for their class."""
    weight = np.ones(rows.n_rows) if rows.weight is None else rows.weight
    chosen, shares = [], []
    for members in (np.flatnonzero(rows.y), np.flatnonzero(~rows.y)):
        some = members[:: -(-len(members) // ROWS_FOR_SCALE)]
        share = weight[some].astype(np.float64)
        chosen.append(some)
        shares.append(share * (weight[members].sum(dtype=np.float64) / share.sum()))
    return np.concatenate(chosen), np.concatenate(shares)
