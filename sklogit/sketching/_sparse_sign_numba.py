"""Sparse sign sketch of sparse rows, compiled; imported only with numba."""

from functools import lru_cache

import numpy as np
from numba import types

from ._compiled import compile_kernel


def _scatter(data, indices, indptr, rows, signs, out):
    """Add each CSR row, times its signs, to its rows of `out`."""
    for i in range(len(indptr) - 1):
        for k in range(rows.shape[1]):
            row, sign = rows[i, k], signs[i, k]
            for p in range(indptr[i], indptr[i + 1]):
                out[row, indices[p]] += sign * data[p]


@lru_cache
def scatter_kernel(dtype):
    """Return the compiled function for float32 or float64 entries."""
    real = types.float64 if dtype == np.float64 else types.float32

    def array(kind, ndim):
        return types.Array(kind, ndim, "C", readonly=True)

    entries = array(real, 1), array(types.int32, 1), array(types.int32, 1)
    random = array(types.int32, 2), array(real, 2)
    return compile_kernel(_scatter, types.void(*entries, *random, real[:, ::1]))
