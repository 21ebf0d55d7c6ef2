"""Rows of a regression in a Dask array, visited where they live."""

from itertools import pairwise, repeat

import numpy as np
from sklearn.utils import assert_all_finite

from .._optional import import_optional
from ._blocks import ArrayRows, add_totals

# Totals are added in groups of so many, so that no worker holds them all.
_GROUP = 8


def is_dask(X):
    """Whether X is a Dask array or data frame; does not import Dask."""
    return type(X).__module__.startswith("dask.")


class DaskRows:
    """Rows of a Dask array; only sums of them travel.

    The array is never held as a whole. Unless it was persisted, every pass computes it
    anew.

    Parameters
    ----------
    X : dask.array.Array of shape (n_rows, n_features)
        Rows. Blocks of columns are merged.
    y : dask.array.Array or ndarray of shape (n_rows, n_targets)
        Targets; an array in memory is sent to the blocks, each part once a pass.
    weight : dask.array.Array or ndarray of shape (n_rows,) or None
        Weights.
    """

    density = 1.0
    on_rows = None

    def __init__(self, X, y, weight=None):
        self._dask = import_optional("dask", "A Dask array")
        self.X = X.rechunk({1: -1})
        self.y, self.weight = y, weight
        starts = np.concatenate([[0], np.cumsum(self.X.chunks[0])])
        self._starts = [int(start) for start in starts]
        self._blocks = list(
            zip(
                self.X.to_delayed().ravel(),
                self._parts(y, 1),
                repeat(None) if weight is None else self._parts(weight),
            )
        )
        self._counted = None

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
    def n_counted(self):
        """Number of rows of positive weight."""
        if self.weight is None:
            return self.n_rows
        if self._counted is None:
            self._counted = int((self.weight > 0).sum())
        return self._counted

    def sum(self, reduction):
        """Return the sum of a reduction over all rows, a tuple of arrays."""
        reduction = self._dask.delayed(reduction, pure=False)
        apply = self._dask.delayed(_sum_of_block, pure=False)
        add = self._dask.delayed(add_totals, pure=False)
        tasks = [
            apply(reduction, start, *block)
            for start, block in zip(self._starts, self._blocks)
        ]
        while len(tasks) > 1:
            groups = range(0, len(tasks), _GROUP)
            tasks = [add(tasks[i : i + _GROUP]) for i in groups]
        return self._dask.compute(tasks[0])[0]

    def sample(self, size):
        """Return about `size` rows of the first, middle and last block."""
        blocks = {0, len(self._blocks) // 2, len(self._blocks) - 1}
        take = self._dask.delayed(_sample_of_block, pure=False)
        size = -(-size // len(blocks))
        parts = [take(*self._blocks[b], size) for b in sorted(blocks)]
        X, y, weights = zip(*self._dask.compute(*parts))
        weight = None if self.weight is None else np.concatenate(weights)
        return np.concatenate(X), np.concatenate(y), weight

    def largest_weight(self):
        """Return the largest weight."""
        return 1.0 if self.weight is None else float(self.weight.max())

    def scale_weights(self, factor):
        """Multiply the weights."""
        weight = np.ones(self.n_rows) if self.weight is None else self.weight
        self.__init__(self.X, self.y, weight * factor)

    def check_finite(self):
        """Raise ValueError if X or y has NaN or infinity."""
        check = self._dask.delayed(_check_block, pure=False)
        self._dask.compute(*[check(X, y) for X, y, _ in self._blocks])

    def gather(self):
        """Return all rows as (X, y, weight)."""
        self.check_finite()
        return self._dask.compute(self.X, self.y, self.weight)

    def _parts(self, array, n_more_axes=0):
        if is_dask(array):
            chunks = (self.X.chunks[0], *[-1] * n_more_axes)
            return list(array.rechunk(chunks).to_delayed().ravel())
        return [array[i:j] for i, j in pairwise(self._starts)]


def _sum_of_block(reduction, first_row, X, y, weight):
    # A block of Dask may be much larger than the cache.
    return ArrayRows(X, y, weight).sum(reduction, first_row)


def _sample_of_block(X, y, weight, size):
    return ArrayRows(X, y, weight).sample(size)


def _check_block(X, y):
    assert_all_finite(X, input_name="X")
    assert_all_finite(y, input_name="y")
