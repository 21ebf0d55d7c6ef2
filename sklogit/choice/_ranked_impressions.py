"""Rows of impressions in an order in which sums over them are those of long vectors."""

import numpy as np

# Impressions of more rows than this, or of so different sizes that vectors get short,
# are summed piece by piece.
_MOST_ROWS = 64
_SHORTEST = 64


class RankedImpressions:
    """All first rows of impressions, then all second rows, and so on.

    Larger impressions come first, so that those which have a row of each rank are a
    prefix: a sum over impressions adds a few long vectors. It takes a fifth of the time
    of sums piece by piece, where impressions have three rows.

    Parameters
    ----------
    impressions : Impressions
        Rows sorted by impression.

    Attributes
    ----------
    groups : ndarray of shape (n_groups,)
        Impressions, larger ones first.
    order : ndarray of shape (n_rows,)
        Rows in this order, of the rows as they came.
    """

    def __init__(self, impressions):
        sizes = impressions.sizes
        self.n_groups, self.n_rows = impressions.n_groups, impressions.n_rows
        self.groups = np.argsort(-sizes, kind="stable")
        # Impressions that have a first row, a second row, ...
        self._counts = self.n_groups - np.cumsum(np.bincount(sizes))[:-1]
        starts = impressions.starts[self.groups]
        order = [starts[:n] + rank for rank, n in enumerate(self._counts)]
        self.order = impressions.sorted_rows(np.concatenate(order))

    @staticmethod
    def suits(impressions):
        """Whether vectors are few and long enough."""
        most = impressions.sizes.max()
        return most <= _MOST_ROWS and impressions.n_rows >= _SHORTEST * most

    def sorted(self, values):
        """Return values of the rows, (n_rows, ...), in this order."""
        return values[self.order]

    def first(self, values):
        """Return those of sorted values, (..., n_rows), of the first rows."""
        return values[..., : self.n_groups]

    def sum(self, values):
        """Sum sorted values, (..., n_rows), over each impression."""
        result = self.first(values).copy()
        for part, n in self._later(values):
            result[..., :n] += part
        return result

    def max(self, values):
        """Largest of sorted values, (..., n_rows), in each impression."""
        result = self.first(values).copy()
        for part, n in self._later(values):
            np.maximum(result[..., :n], part, out=result[..., :n])
        return result

    def spread(self, values):
        """Give values of impressions, (..., n_groups), to their sorted rows."""
        return np.concatenate([values[..., :n] for n in self._counts], axis=-1)

    def blocks(self, size):
        """Yield slices of at most so many rows, and of the impressions they are of.

        No two rows of a block are of the same impression.
        """
        start = 0
        for n in self._counts:
            for first in range(0, n, size):
                last = min(first + size, n)
                yield slice(start + first, start + last), slice(first, last)
            start += n

    def _later(self, values):
        """Rows of each rank from the second on, and their number."""
        start = self.n_groups
        for n in self._counts[1:]:
            yield values[..., start : start + n], n
            start += n
