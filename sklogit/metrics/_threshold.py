"""The threshold of scores that is best for a metric."""

import numpy as np
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    column_or_1d,
)

from ._confusion_metric import get_confusion_metric


def optimal_threshold(
    y_true, y_score, metric, *, beta=1.0, pos_label=None, sample_weight=None
):
    """Find the threshold of scores at which a metric is largest.

    All cuts between different scores are evaluated, in O(n log n).

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels of two classes.
    y_score : array-like of shape (n_samples,)
        Scores, larger for the positive class.
    metric : str, callable or ConfusionMetric
        See `get_confusion_metric`.
    beta : float, default=1.0
        For "fbeta".
    pos_label : label, default=None
        The positive class; by default the greater label.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights.

    Returns
    -------
    threshold : float
        Scores *above* it count as positive. It lies in the middle between two
        scores; if all are best on one side, at or just below the extreme score.
    value : float
        Value of the metric there. Of equal values the largest threshold wins.

    Raises
    ------
    ValueError
        If y has not two classes of positive weight, or a score is not finite.

    See Also
    --------
    sklearn.model_selection.TunedThresholdClassifierCV : Tunes on held-out data.

    Notes
    -----
    The value is optimistic for the data that chose the threshold.

    Examples
    --------
    >>> from sklogit.metrics import optimal_threshold
    >>> optimal_threshold([0, 0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4, 0.9], "f1")
    (0.25, 0.8)
    """
    metric = get_confusion_metric(metric, beta)
    y_score = checked_scores("y_score", y_score)
    positive, weight = positive_rows(y_true, y_score, pos_label, sample_weight)
    return best_cut(positive, y_score, metric, weight)


def checked_scores(name, scores):
    """Return scores as an array of shape (n_samples,), finite and in float64."""
    scores = column_or_1d(scores, dtype=np.float64)
    if not np.isfinite(scores).all():
        raise ValueError(f"{name} must be finite.")
    return scores


def positive_rows(y_true, scores, pos_label, sample_weight):
    """Check labels of two classes and weights.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels.
    scores : ndarray of shape (n_samples,)
        Scores.
    pos_label : label or None
        The positive class; None is the greater label.
    sample_weight : array-like of shape (n_samples,) or None
        Weights.

    Returns
    -------
    positive : ndarray of bool, of shape (n_samples,)
        Whether a row is of the positive class.
    weight : ndarray of shape (n_samples,) or None
        Weights.
    """
    y_true = column_or_1d(y_true)
    check_consistent_length(y_true, scores)
    weight = None
    if sample_weight is not None:
        weight = _check_sample_weight(
            sample_weight, scores, dtype=np.float64, ensure_non_negative=True
        )
    labels = np.unique(y_true if weight is None else y_true[weight > 0])
    if len(labels) != 2:
        raise ValueError(
            f"y_true must have two classes of positive weight, found {labels}."
        )
    if pos_label is not None and pos_label not in labels:
        raise ValueError(f"pos_label={pos_label!r} is not in the labels {labels}.")
    return y_true == (labels[1] if pos_label is None else pos_label), weight


def best_cut(positive, y_score, metric, weight=None):
    """`optimal_threshold` of validated data.

    Parameters
    ----------
    positive : ndarray of bool, of shape (n_samples,)
        Whether a row is positive.
    y_score : ndarray of shape (n_samples,)
        Scores.
    metric : ConfusionMetric
        The metric.
    weight : ndarray of shape (n_samples,), default=None
        Weights.

    Returns
    -------
    threshold, value : float
        The best cut.
    """
    cuts, counts = cut_counts(positive, y_score, weight)
    values = metric.values(*counts)
    best = int(np.argmax(values))
    return float(cuts[best]), float(values[best])


def cut_counts(positive, y_score, weight=None):
    """Confusion matrices of all cuts between different scores.

    Parameters
    ----------
    positive : ndarray of bool, of shape (n_samples,)
        Whether a row is positive.
    y_score : ndarray of shape (n_samples,)
        Scores.
    weight : ndarray of shape (n_samples,), default=None
        Weights.

    Returns
    -------
    cuts : ndarray of shape (n_cuts,)
        Thresholds, falling: nothing is above the first, everything above the last.
    counts : tuple of 4 ndarrays of shape (n_cuts,)
        tn, fp, fn and tp.
    """
    if weight is not None and not weight.all():
        # A row without weight is no row: cuts beside it would be other ones.
        counts = weight > 0
        positive, y_score, weight = positive[counts], y_score[counts], weight[counts]
    order = np.argsort(-y_score)
    sorted_scores = y_score[order]
    hits, alarms = positive[order], ~positive[order]
    if weight is not None:
        hits, alarms = hits * weight[order], alarms * weight[order]
    # Sums up to the last of equal scores; before them the empty sum.
    last = np.append(np.flatnonzero(np.diff(sorted_scores)), len(order) - 1)
    tp, fp = (np.append(0.0, np.cumsum(part)[last]) for part in (hits, alarms))
    found = sorted_scores[last]
    cuts = np.concatenate(
        [found[:1], _middle(found[:-1], found[1:]), [np.nextafter(found[-1], -np.inf)]]
    )
    return cuts, (fp[-1] - fp, fp, tp[-1] - tp, tp)


def _middle(above, below):
    """Middle of two scores, below the upper one even if they are neighbours."""
    middle = below + (above - below) / 2
    return np.where(middle < above, middle, below)
