"""Streams of tasks in which classes arrive over time."""

from numbers import Integral

import numpy as np
from sklearn.utils import check_random_state, column_or_1d

from ._labels import check_labels


def class_incremental_splits(y, n_tasks=5, *, shuffle=True, random_state=None):
    """Split rows into tasks that have different classes.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels.
    n_tasks : int, default=5
        Number of tasks. If it does not divide the number of classes, the first tasks
        have one class more.
    shuffle : bool, default=True
        Whether classes come to the tasks in random order; else in sorted order.
    random_state : int, RandomState instance or None, default=None
        Draws that order. The same integer gives training and test data that have the
        same classes the same tasks.

    Returns
    -------
    generator of ndarray of int, of shape (n_rows,)
        Rows of each task, in increasing order.

    Raises
    ------
    ValueError
        If there are not as many classes as tasks, or y are no class labels.

    See Also
    --------
    sklogit.metrics.continual_accuracy_matrix : Trains on tasks one after the other.
    UnbiasedReplayClassifier : Learns from such streams.

    Examples
    --------
    >>> from sklogit.continual import class_incremental_splits
    >>> y = ["a", "b", "c", "d", "a", "c"]
    >>> splits = class_incremental_splits(y, n_tasks=2, shuffle=False)
    >>> [rows.tolist() for rows in splits]
    [[0, 1, 4], [2, 3, 5]]
    """
    y = column_or_1d(y)
    check_labels(y)
    classes = np.unique(y)
    whole = isinstance(n_tasks, Integral) and not isinstance(n_tasks, bool)
    if not whole or not 1 <= n_tasks <= len(classes):
        raise ValueError(
            f"n_tasks must be an integer from 1 to {len(classes)}, the number of "
            f"classes, got {n_tasks!r}."
        )
    if shuffle:
        classes = check_random_state(random_state).permutation(classes)
    # A generator of its own, so that errors come with the call and not with the first
    # task.
    parts = np.array_split(classes, n_tasks)
    return (np.flatnonzero(np.isin(y, part)) for part in parts)
