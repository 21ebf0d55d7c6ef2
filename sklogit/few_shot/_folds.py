"""Folds of a handful of rows a class."""

import numpy as np


def folds_of_shots(y, n_splits, rng=None):
    """Split so that each class keeps rows to train with, whatever few it has.

    The rows of each class are dealt out to the folds in turns. Those of a class that
    has only one are never held out, as nothing could be learnt of it then.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
        Class indices.
    n_splits : int
        Most folds; there are no more than rows of the largest class.
    rng : RandomState, default=None
        Shuffles the rows of a class; None deals them out as they come.

    Returns
    -------
    list of (train, test)
        Indices; empty if no class has two rows.
    """
    fold, turn = np.full(len(y), -1), 0
    counts = np.bincount(y)
    n_splits = min(n_splits, counts.max())
    if n_splits < 2:
        return []
    for label in np.flatnonzero(counts > 1):
        rows = np.flatnonzero(y == label)
        rows = rows if rng is None else rng.permutation(rows)
        fold[rows] = (turn + np.arange(len(rows))) % n_splits
        turn += len(rows)  # so that folds are of about one size
    return [
        (np.flatnonzero(fold != k), np.flatnonzero(fold == k))
        for k in range(n_splits)
        if (fold == k).any()
    ]
