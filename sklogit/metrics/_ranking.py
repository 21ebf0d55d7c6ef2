"""Rankings in the units of those who inspect: visits, and what they find."""

from numbers import Integral, Real

import numpy as np
from sklearn.utils.validation import check_consistent_length, column_or_1d

from ._threshold import checked_scores

_TIES = ("expected", "stable")


def precision_at_k(y_true, y_score, k, *, ties="expected", pos_label=1):
    r"""Compute the share of positives among the k rows of highest score.

    .. math:: \frac{1}{k} \sum_{r \le k} \mathrm{E}\, y_{(r)}

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels.
    y_score : array-like of shape (n_samples,)
        Scores; the highest is inspected first.
    k : int or float
        Number of rows inspected, at most n_samples; a float between 0 and 1 is a share
        of them, rounded up.
    ties : {"expected", "stable"}, default="expected"
        Rows of equal scores are inspected in random order, of which the expected value
        is returned; or in the order in which they stand.
    pos_label : label, default=1
        The positive class.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    ValueError
        If labels are of more than two kinds or lack `pos_label`, scores not finite, or
        k out of range.

    See Also
    --------
    recall_at_k : Share of all positives that is found.
    lift_at_k : How many times better than random order.

    Examples
    --------
    >>> from sklogit.metrics import precision_at_k
    >>> precision_at_k([1, 0, 1, 0], [0.9, 0.8, 0.8, 0.1], 2)
    0.75
    """
    hits, k, _ = _hits_at_k(y_true, y_score, k, ties, pos_label, need_positive=False)
    return float(hits / k)


def recall_at_k(y_true, y_score, k, *, ties="expected", pos_label=1):
    r"""Compute the share of all positives that is among the k rows of highest score.

    .. math:: \frac{1}{n_1} \sum_{r \le k} \mathrm{E}\, y_{(r)}

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels, at least one of them positive.
    y_score : array-like of shape (n_samples,)
        Scores; the highest is inspected first.
    k : int or float
        Number of rows inspected, at most n_samples; a float between 0 and 1 is a share
        of them, rounded up.
    ties : {"expected", "stable"}, default="expected"
        As for `precision_at_k`.
    pos_label : label, default=1
        The positive class.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    ValueError
        If there is no positive, labels are of more than two kinds or lack `pos_label`,
        scores not finite, or k out of range.

    See Also
    --------
    precision_at_k : Share of positives among what is inspected.

    Examples
    --------
    >>> from sklogit.metrics import recall_at_k
    >>> recall_at_k([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1], 0.5)
    0.5
    """
    hits, _, y = _hits_at_k(y_true, y_score, k, ties, pos_label)
    return float(hits / y.sum())


def lift_at_k(y_true, y_score, k, *, ties="expected", pos_label=1):
    """Compute `precision_at_k`, divided by what random order has on average.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels, at least one of them positive.
    y_score : array-like of shape (n_samples,)
        Scores; the highest is inspected first.
    k : int or float
        Number of rows inspected, at most n_samples; a float between 0 and 1 is a share
        of them, rounded up.
    ties : {"expected", "stable"}, default="expected"
        As for `precision_at_k`.
    pos_label : label, default=1
        The positive class.

    Returns
    -------
    float
        1 for an order that is no better than random.

    Raises
    ------
    ValueError
        If there is no positive, labels are of more than two kinds or lack `pos_label`,
        scores not finite, or k out of range.

    See Also
    --------
    precision_at_k : The numerator.

    Examples
    --------
    >>> from sklogit.metrics import lift_at_k
    >>> lift_at_k([1, 0, 0, 0], [0.9, 0.2, 0.1, 0.3], 2)
    2.0
    """
    hits, k, y = _hits_at_k(y_true, y_score, k, ties, pos_label)
    return float(hits / k * len(y) / y.sum())


def hit_ranks(y_true, y_score, *, ties="expected", pos_label=1):
    r"""Compute the number of inspections until each positive is found.

    A group of g equal scores with p positives that stands behind b other rows has its
    j-th positive, in random order, after :math:`b + j (g + 1) / (p + 1)` inspections on
    average.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels, at least one of them positive.
    y_score : array-like of shape (n_samples,)
        Scores; the highest is inspected first.
    ties : {"expected", "stable"}, default="expected"
        As for `precision_at_k`.
    pos_label : label, default=1
        The positive class.

    Returns
    -------
    ndarray of shape (n_positives,)
        Ranks from 1 on, rising. For constant scores, random order, the j-th is
        :math:`j (n + 1) / (n_1 + 1)`.

    Raises
    ------
    ValueError
        If there is no positive, labels are of more than two kinds or lack `pos_label`,
        or scores are not finite.

    See Also
    --------
    first_hit_rank : The first of them.
    inspections_to_recall : The one at which a share is found.

    Examples
    --------
    >>> from sklogit.metrics import hit_ranks
    >>> hit_ranks([1, 0, 1, 0], [0.9, 0.8, 0.8, 0.1])
    array([1. , 2.5])
    """
    y, y_score = _checked(y_true, y_score, pos_label, ties)
    return _hit_ranks(*_tie_groups(y, y_score, ties))


def first_hit_rank(y_true, y_score, *, ties="expected", pos_label=1):
    """Compute the number of inspections until the first positive is found.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels, at least one of them positive.
    y_score : array-like of shape (n_samples,)
        Scores; the highest is inspected first.
    ties : {"expected", "stable"}, default="expected"
        As for `precision_at_k`.
    pos_label : label, default=1
        The positive class.

    Returns
    -------
    float
        1 if the highest score is that of a positive.

    Raises
    ------
    ValueError
        If there is no positive, labels are of more than two kinds or lack `pos_label`,
        or scores are not finite.

    See Also
    --------
    hit_ranks : All of them.

    Examples
    --------
    >>> from sklogit.metrics import first_hit_rank
    >>> first_hit_rank([0, 1, 0], [0.9, 0.8, 0.1])
    2.0
    """
    return float(hit_ranks(y_true, y_score, ties=ties, pos_label=pos_label)[0])


def inspections_to_recall(y_true, y_score, recall=1.0, *, ties="expected", pos_label=1):
    """Compute the number of inspections until a share of the positives is found.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels, at least one of them positive.
    y_score : array-like of shape (n_samples,)
        Scores; the highest is inspected first.
    recall : float, default=1.0
        Share of the positives, above 0 and at most 1; rounded up to a number of them.
    ties : {"expected", "stable"}, default="expected"
        As for `precision_at_k`.
    pos_label : label, default=1
        The positive class.

    Returns
    -------
    float
        Inspections.

    Raises
    ------
    ValueError
        If there is no positive, labels are of more than two kinds or lack `pos_label`,
        scores not finite, or the recall out of range.

    See Also
    --------
    hit_ranks : For each positive.
    inspection_curve : The other way round.

    Examples
    --------
    >>> from sklogit.metrics import inspections_to_recall
    >>> inspections_to_recall([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1])
    3.0
    """
    if not isinstance(recall, Real) or not 0 < recall <= 1:
        raise ValueError(f"recall must be above 0 and at most 1, got {recall!r}.")
    ranks = hit_ranks(y_true, y_score, ties=ties, pos_label=pos_label)
    return float(ranks[_rounded_up(recall * len(ranks)) - 1])


def inspection_curve(y_true, y_score, *, ties="expected", pos_label=1):
    """Count the positives that are found against the number of inspections.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels.
    y_score : array-like of shape (n_samples,)
        Scores; the highest is inspected first.
    ties : {"expected", "stable"}, default="expected"
        As for `precision_at_k`.
    pos_label : label, default=1
        The positive class.

    Returns
    -------
    n_inspected : ndarray of int, of shape (n_samples + 1,)
        0, 1, ..., n_samples.
    found : ndarray of float, of shape (n_samples + 1,)
        Positives among them, from 0 to all.

    Raises
    ------
    ValueError
        If labels are of more than two kinds or lack `pos_label`, or scores are not
        finite.

    See Also
    --------
    sklogit.triage.InspectionCurveDisplay : Its picture.
    inspections_to_recall : A point of it.

    Examples
    --------
    >>> from sklogit.metrics import inspection_curve
    >>> inspection_curve([1, 0, 1], [0.9, 0.8, 0.8])
    (array([0, 1, 2, 3]), array([0. , 1. , 1.5, 2. ]))
    """
    y, y_score = _checked(y_true, y_score, pos_label, ties, need_positive=False)
    return np.arange(len(y) + 1), _found(*_tie_groups(y, y_score, ties))


def _hits_at_k(y_true, y_score, k, ties, pos_label, need_positive=True):
    """Positives among the first k rows, k as a number, and what is positive."""
    y, y_score = _checked(y_true, y_score, pos_label, ties, need_positive)
    k = _n_inspected(k, len(y))
    return _found(*_tie_groups(y, y_score, ties))[k], k, y


def _tie_groups(y, y_score, ties):
    """Sizes and numbers of positives of groups of equal score, the highest first."""
    order = np.argsort(-y_score, kind="stable")
    if ties == "stable":
        return np.ones(len(y), dtype=np.intp), y[order].astype(np.intp)
    ranked = y_score[order]
    starts = np.append(0, np.flatnonzero(np.diff(ranked)) + 1)
    sizes = np.diff(starts, append=len(y))
    return sizes, np.add.reduceat(y[order].astype(np.intp), starts)


def _before(counts):
    return np.cumsum(counts) - counts


def _found(sizes, positives):
    """Count the positives among the first 0, 1, ..., n rows, as expected."""
    n = sizes.sum()
    within = np.arange(1, n + 1) - np.repeat(_before(sizes), sizes)
    # Multiplied before it is divided: the last row of a group gives a whole number.
    parts = within * np.repeat(positives, sizes) / np.repeat(sizes, sizes)
    return np.append(0.0, np.repeat(_before(positives), sizes) + parts)


def _hit_ranks(sizes, positives):
    behind = np.repeat(_before(sizes), positives)
    j = np.arange(1, positives.sum() + 1) - np.repeat(_before(positives), positives)
    return behind + j * np.repeat((sizes + 1) / (positives + 1), positives)


def _rounded_up(count):
    """Next whole number, where 0.07 * 100 is 7 and not 8."""
    return max(1, int(np.ceil(round(count, 9))))


def _n_inspected(k, n):
    if isinstance(k, Integral) and not isinstance(k, bool) and 1 <= k <= n:
        return int(k)
    if isinstance(k, Real) and not isinstance(k, Integral) and 0 < k < 1:
        return _rounded_up(k * n)
    raise ValueError(
        f"k must be an integer from 1 to the number of rows, {n}, or a share between 0 "
        f"and 1, got {k!r}."
    )


def _checked(y_true, y_score, pos_label, ties, need_positive=True):
    if ties not in _TIES:
        raise ValueError(f"ties must be one of {[*_TIES]}, got {ties!r}.")
    y_score = checked_scores("y_score", y_score)
    y_true = column_or_1d(y_true)
    check_consistent_length(y_true, y_score)
    if not len(y_true):
        raise ValueError("y_true must have at least one row.")
    labels = np.unique(y_true)
    if len(labels) > 2:
        raise ValueError(
            f"y_true must have two kinds of labels, found {labels}; leave out rows "
            "without a label."
        )
    if len(labels) == 2 and pos_label not in labels.tolist():
        raise ValueError(
            f"pos_label must be one of the labels {labels.tolist()}, got {pos_label!r}."
        )
    y = y_true == pos_label
    if need_positive and not np.any(y):
        raise ValueError(f"y_true has no positive: none is {pos_label!r}.")
    return np.broadcast_to(y, y_true.shape), y_score
