"""Rows of a click log that tell how a kind of user judges single ads."""

import numpy as np
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_consistent_length, column_or_1d

from ._choice_data import number_of_choices
from ._impressions import Impressions


def rows_that_tell(user_model, X, y, groups, sample_weight):
    """Return the rows of a log that a conditional logit is to learn from.

    Parameters
    ----------
    user_model : {"mnl", "cascade", "independent"}
        How users click.
    X : {array-like, sparse matrix, dataframe} of shape (n_rows, n_features)
        Features of the ads shown; those of an impression stand in the order in which
        they are read.
    y : array-like of shape (n_rows,)
        Two labels; the greater one marks clicks.
    groups : array-like of shape (n_rows,) or None
        Impression of each row.
    sample_weight : array-like of shape (n_rows,) or None
        Weights.

    Returns
    -------
    X, y, groups, sample_weight
        All rows with their impressions for "mnl". Each row alone for the others, who
        judge it so; for "cascade" without those after a click, which were not read.

    Raises
    ------
    ValueError
        If groups do not fit the rows; or if an impression of the cascade has more than
        one click.
    """
    if user_model == "mnl" or groups is None:
        return X, y, groups, sample_weight
    labels = column_or_1d(y)
    check_consistent_length(X, labels)
    impressions = Impressions.from_labels(groups, len(labels))
    if user_model == "independent":
        return X, y, None, sample_weight
    kept = _read(labels == np.unique(labels)[-1], impressions)
    if sample_weight is not None:
        sample_weight = _safe_indexing(sample_weight, kept)
    return _safe_indexing(X, kept), labels[kept], None, sample_weight


def _read(clicked, impressions):
    """Rows up to the click of their impression."""
    clicked = impressions.sorted(clicked)
    number_of_choices(impressions, clicked, outside_option=True)
    before = np.cumsum(clicked) - clicked
    read = before == impressions.spread(before[impressions.starts])
    return np.flatnonzero(impressions.unsorted(read))
