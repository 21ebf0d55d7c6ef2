"""Rows of a regression, summed over in blocks that fit the cache."""

import threading
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from joblib import effective_n_jobs
from scipy import sparse
from sklearn.utils import assert_all_finite
from sklearn.utils.parallel import Parallel, delayed

from .._blas_threads import one_blas_thread

# A block is used several times: for a copy of it, for its Gram matrix, for scores and
# gradient. At this size the later times come from the cache.
_BLOCK_BYTES = 2 << 20
# With many columns a Gram matrix is as large as a block and has to be added to a total:
# longer blocks make that rare. They may leave the cache, as the product is slower.
_LARGEST_BLOCK_BYTES = 32 << 20
# A block of a sparse matrix becomes dense where its Gram matrix is made.
_SPARSE_BLOCK_ROWS = 4096

_local = threading.local()


def workspace(name, shape, dtype, order="C"):
    """Return an array to write to, the same memory in each call of a thread.

    A new array of this size would come from the system, page by page, and cost as much
    as reading the data.
    """
    size = int(np.prod(shape))
    kept = vars(_local).setdefault("arrays", {})
    key = name, np.dtype(dtype)
    if key not in kept or kept[key].size < size:
        kept[key] = np.empty(size, dtype=dtype)
    return kept[key][:size].reshape(shape, order=order)


def release_workspace():
    """Give back what `workspace` keeps for this thread."""
    vars(_local).pop("arrays", None)


@dataclass
class ArrayRows:
    """Rows of a regression in memory or in a memory-mapped file; never copied.

    All row sources have these attributes and methods. What is summed is a *reduction*:
    an object with ``zeros()``, which returns a tuple of arrays, with ``add(total,
    index, X, y, weight)``, which adds what a block of rows contributes to such a tuple
    in place, and with ``block_rows``, the number of rows that each block but the last
    must have, or None. Blocks are counted by `index`.

    Attributes
    ----------
    X : ndarray or CSR of shape (n_rows, n_features)
        Float32 or float64.
    y : ndarray of shape (n_rows, n_targets)
        Targets.
    weight : ndarray of shape (n_rows,) or None
        Weights, not negative.
    n_jobs : int or None
        Threads, as in joblib.
    on_rows : callable or None
        Told the number of rows that were read, after each block; there is one thread
        then.
    """

    X: object
    y: np.ndarray
    weight: np.ndarray | None = None
    n_jobs: int | None = None
    on_rows: object = None

    @property
    def n_rows(self):
        """Number of rows."""
        return self.X.shape[0]

    @property
    def n_features(self):
        """Number of columns of X."""
        return self.X.shape[1]

    @property
    def n_targets(self):
        """Number of columns of y."""
        return self.y.shape[1]

    @property
    def dtype(self):
        """Type of X."""
        return self.X.dtype

    @property
    def density(self):
        """Part of the entries of X that are stored."""
        if not sparse.issparse(self.X):
            return 1.0
        return self.X.nnz / max(1, np.prod(self.X.shape, dtype=float))

    @property
    def n_counted(self):
        """Number of rows of positive weight."""
        return self.n_rows if self.weight is None else np.count_nonzero(self.weight)

    def sum(self, reduction, first_row=0):
        """Return the sum of a reduction over all rows, a tuple of arrays.

        Parameters
        ----------
        reduction : object
            What to sum.
        first_row : int, default=0
            Number of the first row in the whole table. Blocks of a given size start at
            multiples of it there.
        """
        step = reduction.block_rows or self.block_rows()
        offset = first_row % step if reduction.block_rows else 0
        stops = np.arange(step - offset, self.n_rows + step, step)
        edges = np.minimum(np.concatenate([[0], stops]), self.n_rows)
        edges = edges[: np.searchsorted(edges, self.n_rows) + 1]
        first_index, n_blocks = first_row // step, len(edges) - 1
        n_parts = max(1, min(effective_n_jobs(self.n_jobs), n_blocks))
        # Products of blocks that fit the cache are too small for more threads of BLAS,
        # which on a busy machine wait for each other a hundred times as long.
        if n_parts == 1 or self.on_rows is not None:
            with one_blas_thread:
                return self._sum_blocks(reduction, edges, first_index, offset)
        cuts = np.linspace(0, n_blocks, n_parts + 1).astype(int)
        with one_blas_thread:
            totals = Parallel(n_jobs=n_parts, require="sharedmem")(
                delayed(self._sum_blocks)(
                    reduction,
                    edges[first : last + 1],
                    first_index + first,
                    offset if first == 0 else 0,
                )
                for first, last in pairwise(cuts)
            )
        return add_totals(totals)

    def block_rows(self):
        """Rows of a block that suits the cache."""
        if sparse.issparse(self.X):
            return _SPARSE_BLOCK_ROWS
        width = max(1, self.n_features)
        rows = _BLOCK_BYTES // (width * self.X.itemsize)
        most = _LARGEST_BLOCK_BYTES // (width * self.X.itemsize)
        return max(1, min(max(rows, 2 * width), most))

    def sample(self, size):
        """Return about `size` evenly spaced rows, dense, as (X, y, weight)."""
        every = slice(None, None, max(1, self.n_rows // size))
        X = self.X[every]
        X = X.toarray() if sparse.issparse(X) else np.asarray(X)
        weight = None if self.weight is None else self.weight[every]
        return X, self.y[every], weight

    def largest_weight(self):
        """Return the largest weight."""
        return 1.0 if self.weight is None else float(self.weight.max())

    def scale_weights(self, factor):
        """Multiply the weights."""
        weight = np.ones(self.n_rows) if self.weight is None else self.weight
        self.weight = weight * factor

    def check_finite(self):
        """Raise ValueError if X has NaN or infinity."""
        assert_all_finite(self.X, input_name="X")

    def gather(self):
        """Return all rows as dense (X, y, weight)."""
        self.check_finite()
        X = self.X.toarray() if sparse.issparse(self.X) else np.asarray(self.X)
        return X, self.y, self.weight

    def _sum_blocks(self, reduction, edges, first_index, offset):
        """Sum over the blocks between edges; the first lacks `offset` rows."""
        total = reduction.zeros()
        try:
            # Sums that are not finite are looked into by whoever asked for them.
            with np.errstate(over="ignore", invalid="ignore"):
                for index, block in enumerate(slice(*edge) for edge in pairwise(edges)):
                    weight = None if self.weight is None else self.weight[block]
                    rows = _rows_of(self.X, block), self.y[block], weight
                    if index == 0 and offset:
                        rows = _after_zeros(offset, *rows)
                    reduction.add(total, first_index + index, *rows)
                    if self.on_rows is not None:
                        self.on_rows(block.stop)
        finally:
            release_workspace()
        return total


def add_totals(totals):
    """Add tuples of arrays; the first one is overwritten."""
    first, *others = totals
    for other in others:
        for into, array in zip(first, other):
            into += array
    return first


def _rows_of(X, block):
    if not sparse.issparse(X):
        return np.asarray(X[block])
    # Slicing would copy the values, and so would the constructor; the array of row
    # starts is enough to copy.
    indptr = X.indptr[block.start : block.stop + 1]
    values = slice(indptr[0], indptr[-1])
    part = type(X)((len(indptr) - 1, X.shape[1]), dtype=X.dtype)
    part.data, part.indices = X.data[values], X.indices[values]
    part.indptr = indptr - indptr[0]
    return part


def _after_zeros(n_zeros, X, y, weight):
    """Return a block that starts with so many rows of weight zero."""
    weight = np.ones(len(y)) if weight is None else weight
    empty = type(X)((n_zeros, X.shape[1])) if sparse.issparse(X) else None
    if empty is None:
        X = np.concatenate([np.zeros((n_zeros, X.shape[1]), dtype=X.dtype), X])
    else:
        X = sparse.csr_array(sparse.vstack([empty, X], format="csr"))
    y = np.concatenate([np.zeros((n_zeros, y.shape[1]), dtype=y.dtype), y])
    return X, y, np.concatenate([np.zeros(n_zeros), weight])
