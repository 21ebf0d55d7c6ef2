"""Rows of a regression that come in chunks."""

import numpy as np

from ._blocks import ArrayRows, add_totals


def refuse_no_weight(n_counted):
    """Raise ValueError if no row has a positive weight; single chunks may have none."""
    if not n_counted:
        raise ValueError("sample_weight must be positive for one row at least.")


class ChunkRows:
    """Rows that a function yields chunk by chunk, as often as it is called.

    Parameters
    ----------
    make_chunks : callable
        Returns an iterator of validated chunks (X, y, weight), with 2-D y.
    n_jobs : int or None
        Threads for each chunk.

    Attributes
    ----------
    n_rows : int or None
        Number of rows, once all chunks were seen.
    """

    on_rows = None

    def __init__(self, make_chunks, n_jobs=None):
        self._make_chunks, self._n_jobs = make_chunks, n_jobs
        self.n_rows, self._factor = None, 1.0
        first = next(self._chunks(), None)
        if first is None:
            raise ValueError("X yields no chunk: it must return a new iterator.")
        self.n_features, self.n_targets = first.n_features, first.n_targets
        self.dtype, self.density = first.dtype, first.density
        self._first = first
        self.n_counted = None

    def sum(self, reduction):
        """Return the sum of a reduction over all rows, a tuple of arrays."""
        total, n_rows, n_counted = reduction.zeros(), 0, 0
        for chunk in self._chunks():
            total = add_totals([total, chunk.sum(reduction, n_rows)])
            n_rows += chunk.n_rows
            n_counted += chunk.n_counted
            if self.on_rows is not None:
                self.on_rows(n_rows)
        if self.n_rows not in (None, n_rows):
            raise ValueError(
                f"X yields {n_rows} rows this time, it was {self.n_rows} before: it "
                "must return a new iterator over the same rows in each call."
            )
        self.n_rows, self.n_counted = n_rows, n_counted
        refuse_no_weight(n_counted)
        return total

    def sample(self, size):
        """Return about `size` rows of the first chunk."""
        return self._first.sample(size)

    def largest_weight(self):
        """Return the largest weight of the first chunk."""
        return self._first.largest_weight()

    def scale_weights(self, factor):
        """Multiply the weights."""
        self._factor = factor

    def check_finite(self):
        """Do nothing: chunks are checked as they come."""

    def gather(self):
        """Return all rows as dense (X, y, weight)."""
        chunks = list(self._chunks())
        self.n_rows = sum(chunk.n_rows for chunk in chunks)
        self.n_counted = sum(chunk.n_counted for chunk in chunks)
        refuse_no_weight(self.n_counted)
        parts = [chunk.gather() for chunk in chunks]
        X, y, weights = zip(*parts)
        if all(w is None for w in weights):
            return np.concatenate(X), np.concatenate(y), None
        weight = [np.ones(len(a)) if w is None else w for a, w in zip(X, weights)]
        return np.concatenate(X), np.concatenate(y), np.concatenate(weight)

    def _chunks(self):
        for X, y, weight in self._make_chunks():
            rows = ArrayRows(X, y, weight, self._n_jobs)
            if self._factor != 1.0:
                rows.scale_weights(self._factor)
            yield rows
