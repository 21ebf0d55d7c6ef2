"""Rows that belong together: the alternatives shown in one impression."""

import numpy as np
from sklearn.utils._missing import is_pandas_na, is_scalar_nan
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
        codes, _ = _codes_of(groups, n_rows, "groups")
        starts = _starts_of(codes)
        # Logs are written impression by impression: these are not sorted again.
        first = codes[starts]
        if (first[1:] > first[:-1]).all() or len(np.unique(first)) == len(first):
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

    def sorted_rows(self, rows):
        """Return which rows, as they came, are at these places of the sorted ones."""
        return rows if self.order is None else self.order[rows]

    def unsorted(self, values):
        """Undo `sorted`."""
        if self.order is None:
            return values
        result = np.empty_like(values)
        result[self.order] = values
        return result

    def sum(self, values):
        """Sum sorted values, (..., n_rows), over each impression."""
        return np.add.reduceat(values, self.starts, axis=-1)

    def max(self, values):
        """Largest of sorted values, (..., n_rows), in each impression."""
        return np.maximum.reduceat(values, self.starts, axis=-1)

    def first(self, values):
        """Return those of sorted values, (..., n_rows), of the first rows."""
        return values[..., self.starts]

    def spread(self, values):
        """Give values of impressions, (..., n_groups), to their sorted rows."""
        return np.repeat(values, self.sizes, axis=-1)

    def clusters_of(self, labels):
        """Return the number of the cluster of each impression, of labels of rows."""
        codes, labels = _codes_of(labels, self.n_rows, "clusters")
        numbers = np.unique(codes, return_inverse=True)[1]
        return self.value_of(self.sorted(numbers), "clusters", self.sorted(labels))

    def value_of(self, values, name, shown=None):
        """Return the value of each impression, of sorted rows that must agree.

        An error shows these values, or what else is to be shown for them.
        """
        first = values[self.starts]
        differs = np.flatnonzero(values != self.spread(first))
        if len(differs):
            i = differs[0]
            shown = values if shown is None else shown
            pair = (self.spread(shown[self.starts])[i], shown[i])
            found = " and ".join(
                f"{v:g}" if isinstance(v, float) else f"{v}" for v in pair
            )
            raise ValueError(
                f"{name} must be the same for all rows of an impression, got {found} "
                "in one."
            )
        return first


def _codes_of(labels, n_rows, name):
    """Return labels as an array that NumPy can sort and compare, and as they are."""
    labels = _one_label_a_row(labels)
    if not isinstance(labels, np.ndarray) or labels.ndim != 1:
        shape = np.shape(labels)
        if len(shape) != 1 and shape[1:] != (1,):
            raise ValueError(f"{name} must have shape (n_rows,), got {shape}.")
        labels = column_or_1d(labels, input_name=name, warn=False)
    if len(labels) != n_rows:
        check_consistent_length(np.empty(n_rows), labels)
    if labels.dtype.kind in "fmM" and (labels != labels).any():
        raise ValueError(f"{name} must not be missing, got NaN or NaT.")
    if labels.dtype.kind != "O":
        return labels, labels
    return _numbers_of(labels, name), labels


def _numbers_of(labels, name):
    """Return numbers for labels of any kind that is hashable, such as tuples."""
    numbers = {}
    try:
        codes = np.array([numbers.setdefault(label, len(numbers)) for label in labels])
    except TypeError as error:
        raise ValueError(f"{name} must be hashable labels: {error}.") from None
    for label in numbers:
        if label is None or is_scalar_nan(label) or is_pandas_na(label):
            raise ValueError(f"{name} must not be missing, got {label}.")
    return codes


def _one_label_a_row(labels):
    """Keep labels of a list that NumPy would change.

    It makes a table of tuples, and strings of all labels, a missing one included, where
    some are strings.
    """
    if not isinstance(labels, list | tuple):
        return labels
    kinds = set(map(type, labels))
    if len(kinds) < 2 and tuple not in kinds:
        return labels
    kept = np.empty(len(labels), dtype=object)
    kept[:] = labels
    return kept


def _starts_of(codes):
    return np.concatenate([[0], np.flatnonzero(codes[1:] != codes[:-1]) + 1])


def _sort_by_first_appearance(codes):
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    order = np.argsort(first[inverse], kind="stable")
    return order, _starts_of(inverse[order])
