"""Scorers that rank as an estimator of triage does."""

import numpy as np
from sklearn.metrics import average_precision_score
from sklearn.pipeline import Pipeline
from sklearn.utils._response import _get_response_values
from sklearn.utils.validation import column_or_1d

from ._ranking import (
    first_hit_rank,
    inspections_to_recall,
    lift_at_k,
    precision_at_k,
    recall_at_k,
)

# Metrics by name, and whether larger is better.
_METRICS = {
    "average_precision": (average_precision_score, True),
    "first_hit_rank": (first_hit_rank, False),
    "inspections_to_recall": (inspections_to_recall, False),
    "lift_at_k": (lift_at_k, True),
    "precision_at_k": (precision_at_k, True),
    "recall_at_k": (recall_at_k, True),
}


def make_triage_scorer(
    metric,
    *,
    greater_is_better=None,
    pos_label=None,
    unlabeled_label=-1,
    **metric_params,
):
    """Make a scorer of the order in which an estimator would have reports inspected.

    The order is that of ``estimator.priority(X)`` if the estimator has that method, or
    is a pipeline or a search whose last step or best estimator has; else of its
    decision function or its probabilities. All rows are ranked together, as in a pool
    of open reports; rows without a label then do not count.

    Parameters
    ----------
    metric : str or callable
        "average_precision", "first_hit_rank", "inspections_to_recall", "lift_at_k",
        "precision_at_k" or "recall_at_k"; or a function of (y_true, y_score), with 1
        for positives and 0 for others.
    greater_is_better : bool, default=None
        Whether a larger value is better; where not, the score is its negative. ``None``
        knows it for names, and takes True for functions.
    pos_label : label, default=None
        The positive class; ``None`` takes ``estimator.positive_label`` if there is such
        a parameter that is set, else the greater of the classes of the estimator.
    unlabeled_label : label or None, default=-1
        Label of rows that are left out of the metric; ``None`` leaves out none.
    **metric_params
        Further arguments of the metric, such as ``k=20``.

    Returns
    -------
    callable
        Scorer of the signature (estimator, X, y), for `cross_validate`, searches and
        others.

    Raises
    ------
    ValueError
        If the metric is unknown.

    See Also
    --------
    sklogit.model_selection.ForwardChainingSplit : Folds in order of time.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklogit.metrics import make_triage_scorer
    >>> X, y = make_classification(500, weights=[0.9], random_state=0)
    >>> scorer = make_triage_scorer("precision_at_k", k=10)
    >>> bool(cross_val_score(LogisticRegression(), X, y, scoring=scorer).mean() > 0.5)
    True
    """
    if callable(metric):
        function, default = metric, True
    elif metric in _METRICS:
        function, default = _METRICS[metric]
    else:
        raise ValueError(
            f"metric must be a function or one of {[*_METRICS]}, got {metric!r}."
        )
    larger = default if greater_is_better is None else greater_is_better
    return _TriageScorer(
        function, 1 if larger else -1, pos_label, unlabeled_label, metric_params
    )


class _TriageScorer:
    """What `make_triage_scorer` returns; a class, so that it can be pickled."""

    def __init__(self, function, sign, pos_label, unlabeled_label, metric_params):
        self.function = function
        self.sign = sign
        self.pos_label = pos_label
        self.unlabeled_label = unlabeled_label
        self.metric_params = metric_params

    def __call__(self, estimator, X, y_true):
        pos_label = self.pos_label
        if pos_label is None:
            pos_label = positive_label(estimator)
        y_true = column_or_1d(y_true)
        scores = triage_scores(estimator, X, pos_label)
        counts = np.full(len(y_true), True)
        if self.unlabeled_label is not None:
            counts &= y_true != self.unlabeled_label
        positive = (y_true[counts] == pos_label).astype(int)
        value = self.function(positive, scores[counts], **self.metric_params)
        return self.sign * value

    def __repr__(self):
        params = "".join(
            f", {key}={value!r}" for key, value in self.metric_params.items()
        )
        sign = "" if self.sign > 0 else ", greater_is_better=False"
        return f"make_triage_scorer({self.function.__name__}{sign}{params})"


def _innermost(estimator, X=None):
    """Return what ranks in a pipeline or a search, and X as it sees it."""
    if hasattr(estimator, "best_estimator_"):
        return _innermost(estimator.best_estimator_, X)
    if isinstance(estimator, Pipeline):
        before, last = estimator[:-1], estimator[-1]
        if X is not None and len(before):
            X = before.transform(X)
        return _innermost(last, X)
    return estimator, X


def positive_label(estimator):
    """Return the label of true reports that an estimator has or was fitted to."""
    label = getattr(_innermost(estimator)[0], "positive_label", None)
    if label is None and hasattr(estimator, "classes_"):
        label = estimator.classes_[-1]
    return 1 if label is None else label


def triage_scores(estimator, X, pos_label=None):
    """Return what an estimator ranks by, the highest first.

    Parameters
    ----------
    estimator : fitted estimator
        With `priority`, or a pipeline or search that ends in one; or else a classifier
        with `decision_function` or `predict_proba`.
    X : array-like or DataFrame, of n_samples rows
        Reports.
    pos_label : label, default=None
        The positive class; None as for `make_triage_scorer`.

    Returns
    -------
    ndarray of shape (n_samples,)
        Scores.
    """
    if hasattr(_innermost(estimator)[0], "priority"):
        inner, X = _innermost(estimator, X)
        return np.asarray(inner.priority(X), dtype=np.float64)
    scores, _ = _get_response_values(
        estimator,
        X,
        response_method=["decision_function", "predict_proba"],
        pos_label=positive_label(estimator) if pos_label is None else pos_label,
    )
    return np.asarray(scores, dtype=np.float64)
