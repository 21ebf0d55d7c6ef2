"""Checks of labels, weights and choices."""

import numpy as np
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _check_sample_weight


def two_labels(y):
    """Return the labels of rows not chosen and chosen, or raise ValueError."""
    classes = _distinct(y)
    if classes.dtype.kind in "iub" and len(classes) == 2:
        return classes
    check_classification_targets(classes)
    kind = type_of_target(classes, input_name="y", raise_unknown=True)
    if kind != "binary":
        raise ValueError(
            "Only binary classification is supported. The type of the target is "
            f"{kind}."
        )
    if len(classes) < 2:
        raise ValueError(
            f"y must have two classes, not chosen and chosen, got one class: {classes}."
        )
    return classes


def _distinct(y):
    """Sorted labels; without sorting all rows where there are two numbers."""
    if y.dtype.kind in "iub" and len(y):
        ends = np.array([y.min(), y.max()])
        if ((y == ends[0]) | (y == ends[1])).all():
            return ends if ends[0] < ends[1] else ends[:1]
    return np.unique(y)


def impression_weights(sample_weight, X, impressions):
    """Return the weights of impressions, (n_groups,), of those of rows in X."""
    if sample_weight is None:
        return np.ones(impressions.n_groups)
    weight = _check_sample_weight(
        sample_weight, X, dtype=np.float64, ensure_non_negative=True
    )
    return impressions.value_of(impressions.sorted(weight), "sample_weight")


def number_of_choices(impressions, chosen, outside_option):
    """Count the chosen rows of impressions, (n_groups,), of sorted rows."""
    counts = impressions.sum(chosen.astype(np.float64))
    if (counts > 1).any():
        raise ValueError(
            f"{np.count_nonzero(counts > 1)} of {len(counts)} impressions have more "
            "than one chosen row; at most one is allowed. Are groups missing?"
        )
    if not outside_option and (counts < 1).any():
        raise ValueError(
            f"{np.count_nonzero(counts < 1)} of {len(counts)} impressions have no "
            "chosen row; with outside_option=False each must have one."
        )
    return counts
