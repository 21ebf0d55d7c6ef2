"""Rows that belong together: the alternatives shown in one impression."""

import numpy as np
from sklearn.utils.validation import check_consistent_length, column_or_1d


class Impressions:
    """Rows sorted by impression, and sums over them without a loop.

    Parameters
    ----------
    starts : ndarray of shape (n_groups,)
        Where each impression starts, in the sorted rows.
    n_rows : int
        Number of rows.
    order : ndarray of shape (n_rows,) or None
        Rows in sorted order; None if they are sorted as they are.

    Attributes
    ----------
    sizes : ndarray of shape (n_groups,)
        Number of rows of each impression.
    """

    def __init__(self, starts, n_rows, order=None):
        self.starts = starts
        self.n_rows = n_rows
        self.order = order
        self.sizes = np.diff(starts, append=n_rows)

    @classmethod
    def from_labels(cls, groups, n_rows):
        """Find the impressions of labels; None makes every row its own.

        Impressions are numbered as they first appear.
        """
        if groups is None:
            return cls(np.arange(n_rows), n_rows)
        codes = _codes_of(groups, n_rows)
        starts = _starts_of(codes)
        # Logs are written impression by impression: these are not sorted again.
        if len(np.unique(codes[starts])) == len(starts):
            return cls(starts, n_rows)
        order, starts = _sort_by_first_appearance(codes)
        return cls(starts, n_rows, order)

    @property
    def n_groups(self):
        """Number of impressions."""
        return len(self.starts)

    def sorted(self, values):
        """Return values of the rows, (n_rows, ...), in sorted order."""
        return values if self.order is None else values[self.order]

    def unsorted(self, values):
        """Undo `sorted`."""
        if self.order is None:
            return values
        result = np.empty_like(values)
        result[self.order] = values
        return result

    def sum(self, values):
        """Sum sorted values, (n_rows,), over each impression."""
        return np.add.reduceat(values, self.starts)

    def max(self, values):
        """Largest of sorted values, (n_rows,), in each impression."""
        return np.maximum.reduceat(values, self.starts)

    def spread(self, values):
        """Give values of impressions, (n_groups,), to their sorted rows."""
        return np.repeat(values, self.sizes)

    def value_of(self, values, name):
        """Return the value of each impression, of sorted rows that must agree."""
        first = values[self.starts]
        differs = np.flatnonzero(values != self.spread(first))
        if len(differs):
            i = differs[0]
            raise ValueError(
                f"{name} must be the same for all rows of an impression, got "
                f"{self.spread(first)[i]:g} and {values[i]:g} in one."
            )
        return first


def _codes_of(groups, n_rows):
    """Labels as an array that NumPy can sort and compare."""
    labels = column_or_1d(groups, warn=False)
    if len(labels) != n_rows:
        check_consistent_length(np.empty(n_rows), labels)
    if labels.dtype.kind == "f" and np.isnan(labels).any():
        raise ValueError("groups must not be NaN.")
    if labels.dtype.kind != "O":
        return labels
    numbers = {}  # labels of any kind, such as tuples, need only be hashable
    return np.array([numbers.setdefault(label, len(numbers)) for label in labels])


def _starts_of(codes):
    return np.concatenate([[0], np.flatnonzero(codes[1:] != codes[:-1]) + 1])


def _sort_by_first_appearance(codes):
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    order = np.argsort(first[inverse], kind="stable")
    return order, _starts_of(inverse[order])
