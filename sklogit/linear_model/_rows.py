"""Rows of a data matrix, visited in blocks that fit the cache."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import sparse

from .._optional import import_optional

# A block is read twice, for the scores and for the sum of rows: at this size the second
# time comes from the cache. Below the other size all rows are one block.
_BLOCK_BYTES = 2 << 20
_SINGLE_BLOCK_BYTES = 4 << 20
# From this length of a row on, NumPy's row-wise dot products are faster than gemv.
_LONG_ROW_BYTES = 512
# Copying fewer rows than this part of a block costs less than multiplying them all.
_PART_COPIED = 1 / 8
# Scores of sparse rows are dense: this many at a time.
_SPARSE_BLOCK_SCORES = 1 << 23


@dataclass
class Rows:
    """Labelled rows in memory, or in a memory-mapped file.

    Attributes
    ----------
    X : ndarray or CSR of shape (n_rows, n_features)
        The rows; never copied.
    y : ndarray of shape (n_rows,)
        Signs of the dtype of X (binary) or class indices.
    weight : ndarray of shape (n_rows,) or None
        Positive weights.
    indices : ndarray of shape (n_rows,) or None
        Rows of X to take, where a selection would copy a memory-mapped file.
    """

    X: object
    y: np.ndarray
    weight: np.ndarray | None = None
    indices: np.ndarray | None = None

    @property
    def n_rows(self):
        """Number of rows."""
        return self.X.shape[0] if self.indices is None else len(self.indices)

    def map(self, function, n_outputs=1):
        """Apply a function of (X, y, weight) to all blocks, in their order."""
        step = self._block_rows(n_outputs)
        for start in range(0, self.n_rows, step):
            block = slice(start, start + step)
            weight = None if self.weight is None else self.weight[block]
            yield function(self._rows_of(block), self.y[block], weight)

    @property
    def is_dense_in_memory(self):
        """Whether the rows are an array, and not mapped from a file."""
        array = self.X
        while isinstance(array, np.ndarray):
            if isinstance(array, np.memmap):
                return False
            array = array.base
        return not sparse.issparse(self.X)

    def labelled(self, y):
        """Return the rows with other labels."""
        return Rows(self.X, y, self.weight, self.indices)

    def weighted(self, weight, *, lazily=False):
        """Return the rows of positive weight, with these weights.

        Those of a file are copied, or, lazily, taken from it block by block.
        """
        weight = weight.astype(self.X.dtype)
        kept = weight > 0
        if kept.all():
            return Rows(self.X, self.y, weight, self.indices)
        if not lazily or self.is_dense_in_memory or sparse.issparse(self.X):
            return Rows(self.X[kept], self.y[kept], weight[kept])
        return Rows(self.X, self.y[kept], weight[kept], np.flatnonzero(kept))

    def sample(self, size):
        """Return about `size` evenly spaced rows."""
        every = slice(None, None, -(-self.n_rows // size))
        weight = None if self.weight is None else self.weight[every]
        rows = every if self.indices is None else self.indices[every]
        return Rows(self.X[rows], self.y[every], weight)

    def _block_rows(self, n_outputs):
        n, d = self.n_rows, self.X.shape[1]
        if sparse.issparse(self.X):
            return max(1, _SPARSE_BLOCK_SCORES // n_outputs)
        if self.X.nbytes <= _SINGLE_BLOCK_BYTES:
            return max(1, n)  # a block of Dask may be empty
        return max(1, _BLOCK_BYTES // (d * self.X.itemsize))

    def _rows_of(self, block):
        if self.indices is not None:
            return np.asarray(self.X[self.indices[block]])
        if not sparse.issparse(self.X):
            return np.asarray(self.X[block])
        if block.stop >= self.n_rows and block.start == 0:
            return self.X
        # Slicing would copy the values, and so would the constructor; the array of row
        # starts is enough to copy.
        indptr = self.X.indptr[block.start : block.stop + 1]
        values = slice(indptr[0], indptr[-1])
        part = type(self.X)((len(indptr) - 1, self.X.shape[1]), dtype=self.X.dtype)
        part.data, part.indices = self.X.data[values], self.X.indices[values]
        part.indptr = indptr - indptr[0]
        return part


class DaskRows:
    """Labelled rows of a Dask array, visited where its blocks live.

    Only sums travel; the array is never held as a whole, unless it was persisted.

    Parameters
    ----------
    X : dask.array.Array of shape (n_rows, n_features)
        Rows. Blocks of columns are merged.
    y, weight : ndarray of shape (n_rows,), or None
        As those of `Rows`.
    """

    def __init__(self, X, y, weight=None):
        self._dask = import_optional("dask", "A Dask array")
        self.X = X.rechunk({1: -1})
        self.y, self.weight = y, weight
        self._starts = np.concatenate([[0], np.cumsum(self.X.chunks[0])])

    @property
    def n_rows(self):
        """Number of rows."""
        return self.X.shape[0]

    def map(self, function, n_outputs=1):
        """Apply a function of (X, y, weight) to all blocks, in their order."""
        apply = self._dask.delayed(partial(_on_block, function), pure=False)
        blocks = self.X.to_delayed().ravel()
        tasks = [
            apply(block, self.y[i:j], None if self.weight is None else self.weight[i:j])
            for block, i, j in zip(blocks, self._starts, self._starts[1:])
        ]
        for results in self._dask.compute(*tasks):
            yield from results

    def labelled(self, y):
        """Return the rows with other labels."""
        return DaskRows(self.X, y, self.weight)

    def weighted(self, weight, *, lazily=True):
        """Return the rows of positive weight, with these weights."""
        weight = weight.astype(self.X.dtype)
        kept = weight > 0
        if kept.all():
            return DaskRows(self.X, self.y, weight)
        return DaskRows(self.X[np.flatnonzero(kept)], self.y[kept], weight[kept])

    def sample(self, size):
        """Return about `size` evenly spaced rows."""
        every = slice(None, None, -(-self.n_rows // size))
        weight = None if self.weight is None else self.weight[every]
        return DaskRows(self.X[every], self.y[every], weight)


def _on_block(function, X, y, weight):
    # A block of Dask may be much larger than the cache.
    return list(Rows(X, y, weight).map(function))


def scores_of(X, coef):
    """Scores of a block of rows, (n_rows, n_outputs), or (n_rows,) for 1-D coef."""
    long_rows = not sparse.issparse(X) and X.shape[1] * X.itemsize >= _LONG_ROW_BYTES
    if coef.ndim == 1 and long_rows:
        return np.vecdot(X, coef)
    return X @ coef


def sum_of_rows(X, D):
    """Return the sum X^T D of rows with coefficients D, as float64."""
    if len(D) and not sparse.issparse(X):
        # Weights that vanish beside the largest change nothing: once most rows are
        # right, only the few others are read a second time.
        size = np.abs(D) if D.ndim == 1 else np.abs(D).max(axis=1)
        largest = size.max()
        part = _PART_COPIED * len(D)
        if size.sum() < part * largest:  # else more than that part counts
            counting = size > largest * (np.finfo(D.dtype).eps / len(D))
            if np.count_nonzero(counting) < part:
                X, D = X[counting], D[counting]
        if D.ndim == 1:
            return (D @ X).astype(np.float64)
    return np.asarray(X.T @ D, dtype=np.float64)
