"""Labels of a stream, and all those that there will be."""

import warnings

import numpy as np
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.multiclass import check_classification_targets


def check_labels(y):
    """Raise an error if y are no class labels.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Labels.

    Raises
    ------
    ValueError
        If they are numbers that are not whole, or of no kind of label.
    """
    with warnings.catch_warnings():
        # A call may bring a few rows of many classes.
        warnings.filterwarnings("ignore", "The number of unique classes is greater")
        check_classification_targets(y)


def checked_classes(classes):
    """Check the labels of which a user says that there will be no others.

    Parameters
    ----------
    classes : array-like of shape (n_classes,)
        Labels.

    Returns
    -------
    ndarray of shape (n_classes,)
        The same, sorted, each of them once.

    Raises
    ------
    ValueError
        If they are not in one row, missing, or no class labels.
    """
    classes = column_or_1d(classes, input_name="classes")
    assert_all_finite(classes, input_name="classes")
    check_labels(classes)
    return np.unique(classes)
