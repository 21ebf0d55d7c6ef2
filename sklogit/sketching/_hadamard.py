"""Fast Walsh-Hadamard transform of the rows of a matrix."""

import numpy as np

from ._compiled import CompiledKernel

_KERNEL = CompiledKernel("_hadamard_numba", "block_kernel")
# Bytes of the copies of a tile of columns that NumPy works on; it needs long rows more
# than the cache, until the copies take too much memory.
_TILE_BYTES = 1 << 21
_COLUMNS = 32
_MOST_TILE_BYTES = 1 << 27
# Columns of a Fortran-ordered block often start a power of two apart: then more of them
# than a cache set has lines push each other out.
_COLUMNS_COPIED = 8


def hadamard(order, dtype=np.float64):
    """Return Sylvester's Hadamard matrix: entry (i, j) is (-1)^popcount(i & j).

    Parameters
    ----------
    order : int
        Number of rows, a power of two.
    dtype : dtype, default=float64
        Of the entries.

    Returns
    -------
    ndarray of shape (order, order)
        The matrix.
    """
    check_power_of_two(order, "The order")
    index = np.arange(order)
    parity = np.bitwise_count(index[:, np.newaxis] & index) & 1
    return 1 - 2 * parity.astype(dtype)


def fwht(X, axis=0):
    """Multiply by the Hadamard matrix, in c log2(c) additions a column.

    The transform is that of Sylvester's matrix H, whose entry (i, j) is
    (-1)^popcount(i & j). It is not normalised: applied twice it multiplies by c.

    Parameters
    ----------
    X : array-like of shape (c, d) or any other
        Float32 or float64 (anything else is taken as float64); its length along `axis`
        is a power of two.
    axis : int, default=0
        Axis to transform.

    Returns
    -------
    ndarray
        H X along that axis: a new array of the shape of X.

    Raises
    ------
    ValueError
        If the length along `axis` is not a power of two.
    """
    X = np.asarray(X)
    if X.dtype not in (np.float32, np.float64):
        X = X.astype(np.float64)
    c = X.shape[axis]
    check_power_of_two(c, f"The length of axis {axis}")
    Y = np.moveaxis(X, axis, 0)
    columns = Y.reshape(c, -1)
    out = np.zeros(columns.shape, dtype=X.dtype)
    order, ones = np.arange(c, dtype=np.int32), np.ones(c, dtype=X.dtype)
    add_hadamard_rows(
        columns, signs=ones, slots=order, targets=order, weights=ones, out=out
    )
    return np.moveaxis(out.reshape(Y.shape), 0, axis)


def check_power_of_two(value, name):
    """Raise ValueError unless an integer is a power of two."""
    if value < 1 or value & (value - 1):
        raise ValueError(f"{name} must be a power of two; got {value}.")


def add_hadamard_rows(Z, *, signs, slots, targets, weights, out, factor=1, shift=0):
    """Add weighted rows of the transform of a block of signed, permuted rows.

    With pos(j) = slots[(factor j + shift) mod c] and W[pos(j)] = signs[j] Z[j], adds
    weights[i] (H W)[i] to out[targets[i]], for all i that have a target. The block Z
    is read once and not written.

    Parameters
    ----------
    Z : ndarray of shape (n_rows, d)
        Float32 or float64, in any order; n_rows <= c. Missing rows count as zeros.
    signs : ndarray of shape (c,)
        Factors of the rows of Z; c is a power of two.
    slots : ndarray of int32 of shape (c,)
        A permutation of the rows.
    targets : ndarray of int32 of shape (c,)
        Row of `out` that each row of the transform is added to, or -1. Each row of
        `out` is a target.
    weights : ndarray of shape (c,)
        Factors of the rows of the transform.
    out : ndarray of shape (m, d)
        Sum to add to, C-contiguous and of the dtype of Z, as signs and weights.
    factor, shift : int, default=1 and 0
        Another permutation before the first: an odd number, and any.
    """
    Z = _row_by_row(Z)
    kernel = _KERNEL.get(Z.dtype, Z.size)
    if kernel is not None and Z.size:
        kernel(Z, signs, slots, factor, shift, targets, weights, out)
        return
    c, d = len(signs), Z.shape[1]
    places = slots[(factor * np.arange(c) + shift) & (c - 1)]
    sources = np.flatnonzero(targets >= 0)
    sources = sources[np.argsort(targets[sources], kind="stable")]
    groups = np.searchsorted(targets[sources], np.arange(len(out)))
    column_bytes = 2 * c * Z.itemsize
    width = min(_COLUMNS, max(1, _MOST_TILE_BYTES // column_bytes))
    width = max(width, _TILE_BYTES // column_bytes)
    for first in range(0, d, width):
        columns = slice(first, first + width)
        rows = _transform(Z[:, columns], signs, places)[sources]
        rows *= weights[sources, np.newaxis]
        if len(rows) > len(out):
            rows = np.add.reduceat(rows, groups, axis=0)
        out[:, columns] += rows


def _row_by_row(Z):
    """Return Z, or a copy whose rows lie one after the other."""
    rows, columns = Z.strides
    if columns == Z.itemsize and rows >= 0 and Z.flags.aligned:
        return Z
    copy = np.empty(Z.shape, dtype=Z.dtype)
    for first in range(0, Z.shape[1], _COLUMNS_COPIED):
        part = slice(first, first + _COLUMNS_COPIED)
        copy[:, part] = Z[:, part]
    return copy


def _transform(Z, signs, places):
    """Hadamard transform of the signed rows of Z, put where `places` says."""
    c, (n_rows, d) = len(signs), Z.shape
    levels = c.bit_length() - 1
    low = 1 << levels // 2
    high = c // low
    # The lower half of the levels first, with the lower bits of the row's number as
    # the leading axis: NumPy is fast on long runs of numbers only.
    tile, other = np.empty((2, c, d), dtype=Z.dtype)
    np.multiply(Z, signs[:n_rows, np.newaxis], out=other[:n_rows])
    other[n_rows:] = 0
    tile[(places & (low - 1)) * high + places // low] = other
    tile, other = _butterflies(tile, other, low)
    other.reshape(high, low, d)[...] = tile.reshape(low, high, d).swapaxes(0, 1)
    return _butterflies(other, tile, high)[0]


def _butterflies(tile, other, length):
    """Transform along the leading axis, of that length; both arrays are overwritten."""
    c, d = tile.shape
    half = 1
    while half < length:
        pairs = tile.reshape(length // (2 * half), 2, half * c // length * d)
        sums = other.reshape(pairs.shape)
        np.add(pairs[:, 0], pairs[:, 1], out=sums[:, 0])
        np.subtract(pairs[:, 0], pairs[:, 1], out=sums[:, 1])
        tile, other = other, tile
        half *= 2
    return tile, other
