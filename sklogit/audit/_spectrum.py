"""Right singular vectors of rows that come in blocks, in bounded memory."""

import math

import numpy as np
from scipy import linalg

# Products over this many columns at a time: float32 blocks are never copied as a whole.
_COLUMNS = 4096
# A Gram matrix in float64 shows values down to 1e-8 of the largest; where smaller ones
# may matter, triangular factors show them down to 1e-16.
_GRAM_RESOLUTION = 1e-6
_ENERGY_ROUND_OFF = 1e-12


class SpectrumStream:
    r"""Spectrum of all rows so far, after centring.

    It keeps a factor B with orthogonal rows :math:`s_i v_i^\top` such that
    :math:`B^\top B = L^\top L` for the centred rows L, as long as there are at most
    twice `max_directions` of them; after that, only that many of the largest
    directions, and the energy of what was left out.

    Parameters
    ----------
    n_columns : int
        Number of outputs.
    dtype : dtype
        Float32 or float64; of the factor. Sums are in float64.
    center_rows, center_columns : bool
        What to subtract.
    max_directions : int
        Directions that are kept at least.
    precise : bool
        Whether values below a millionth of the largest matter.
    """

    def __init__(
        self, n_columns, dtype, *, center_rows, center_columns, max_directions, precise
    ):
        self.center_rows, self.center_columns = center_rows, center_columns
        self.max_directions = max_directions
        self.precise = precise
        self.n_rows = 0
        self.mean = np.zeros(n_columns)
        self.factor = np.empty((0, n_columns), dtype=dtype)
        self.s = np.empty(0)
        self.dropped = 0.0
        self.largest_row = 0.0
        self.column_squares = np.zeros(n_columns)

    @property
    def shape(self):
        """Independent rows and columns that centring leaves."""
        n_columns = self.factor.shape[1]
        return (
            max(0, self.n_rows - self.center_columns),
            max(0, n_columns - self.center_rows),
        )

    @property
    def energy(self):
        """Sum of squares of all centred rows."""
        return float(self.s @ self.s) + self.dropped

    def add(self, X):
        """Add rows; X is not changed."""
        if not len(X):
            return self
        step = 2 * self.max_directions
        for start in range(0, len(X), step):
            self._add_block(X[start : start + step])
        return self

    def centred(self, X):
        """Return rows of the same model, centred like those of the stream."""
        X = np.array(X, dtype=self.factor.dtype)
        if self.center_rows:
            X -= X.mean(axis=1, keepdims=True, dtype=np.float64).astype(X.dtype)
        if self.center_columns:
            X -= self.mean.astype(X.dtype)
        return X

    def directions(self, rank):
        """First right singular vectors, (rank, n_columns), in the factor's type."""
        scale = self.s[:rank, np.newaxis].astype(self.factor.dtype)
        return self.factor[:rank] / scale

    def column_spectrum(self, columns):
        """Singular values of some of the columns, and their whole energy."""
        part = self.factor[:, columns]
        s = singular_values(part)
        share = part.shape[1] / self.factor.shape[1]
        return s, float(s @ s) + self.dropped * share

    def _add_block(self, X):
        n_old, n_new = self.n_rows, len(X)
        rows = np.array(X, dtype=self.factor.dtype)
        self._measure(rows)
        if self.center_rows:
            # Twice: the mean of large constants is rounded, and what it leaves in
            # each row would be a direction of its own.
            for _ in range(2):
                mean = rows.mean(axis=1, keepdims=True, dtype=np.float64)
                rows -= mean.astype(rows.dtype)
        parts = [self.factor, rows]
        if self.center_columns:
            # Chan's update: two centred blocks, and one row for the distance of means.
            # Subtracting n mean^2 from a Gram matrix would cancel digits.
            mean = rows.mean(axis=0, dtype=np.float64)
            rows -= mean.astype(rows.dtype)
            weight = math.sqrt(n_old * n_new / (n_old + n_new))
            step = (weight * (mean - self.mean)).astype(rows.dtype)
            parts += [step[np.newaxis]] if n_old else []
            self.mean = self.mean + (mean - self.mean) * (n_new / (n_old + n_new))
        self.n_rows = n_old + n_new
        before = sum(_energy(part) for part in parts)
        # Centred rows depend on each other: the row for the means adds none.
        rank = min(*self.shape, len(self.factor) + n_new)
        if rank > 2 * self.max_directions:
            rank = self.max_directions
        self.s, self.factor = compress(parts, rank, self.precise)
        left = before - float(self.s @ self.s)
        # A difference of energies: below this it is round-off itself.
        if len(self.s) < min(self.shape) and left > _ENERGY_ROUND_OFF * before:
            self.dropped += left

    def _measure(self, rows):
        """Measure rows and columns as they came: rounding errors are in proportion."""
        squares = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
        self.largest_row = max(self.largest_row, math.sqrt(squares.max()))
        columns = np.einsum("ij,ij->j", rows, rows, dtype=np.float64)
        self.column_squares = self.column_squares + columns


def compress(parts, rank, precise):
    """Largest singular values of stacked blocks of rows, and rows s_i v_i of them."""
    n_rows, n_columns = sum(len(part) for part in parts), parts[0].shape[1]
    if n_rows > n_columns:
        return _compress_tall(np.concatenate(parts), rank, precise)
    gram = _gram(parts)
    values, vectors = linalg.eigh(gram, overwrite_a=True, check_finite=False)
    if precise and values[0] < _GRAM_RESOLUTION**2 * values[-1]:
        # Householder's R of the transpose; its singular vectors rotate the rows.
        R = linalg.qr(np.concatenate(parts).T, mode="r", check_finite=False)[0]
        vectors = linalg.svd(R[:n_rows].T, check_finite=False)[0]
    else:
        vectors = vectors[:, ::-1]
    return _rotate(parts, vectors[:, :rank], precise)


def singular_values(A, precise=False):
    """Singular values of a matrix, from a Gram matrix unless precise."""
    if min(A.shape) == 0:
        return np.empty(0)
    if precise:
        return linalg.svdvals(A.astype(np.float64), check_finite=False)
    gram = _gram([A]) if len(A) <= A.shape[1] else _gram([A.T])
    values = linalg.eigvalsh(gram, overwrite_a=True, check_finite=False)
    return np.sqrt(np.maximum(values[::-1], 0.0))


def _rotate(parts, vectors, precise):
    """Rows of the left singular vectors' combinations, and their lengths."""
    dtype, n_columns = parts[0].dtype, parts[0].shape[1]
    factor = np.empty((vectors.shape[1], n_columns), dtype=dtype)
    squares = np.zeros(len(factor))
    for start in range(0, n_columns, _COLUMNS):
        chunk = slice(start, start + _COLUMNS)
        stacked = np.concatenate([part[:, chunk] for part in parts])
        rotated = vectors.T.astype(np.float64) @ stacked.astype(np.float64)
        squares += np.einsum("ij,ij->i", rotated, rotated)
        factor[:, chunk] = rotated
    order = np.argsort(-squares, kind="stable")
    if (np.diff(order) < 0).any():  # round-off, in the smallest ones
        factor = factor[order]
    return np.sqrt(squares[order]), factor


def _compress_tall(A, rank, precise):
    if not precise:
        values, vectors = linalg.eigh(_gram([A.T]), check_finite=False)
        s = np.sqrt(np.maximum(values[::-1][:rank], 0.0))
        V = vectors[:, ::-1][:, :rank].T
        return s, (s[:, np.newaxis] * V).astype(A.dtype)
    R = linalg.qr(A.astype(np.float64), mode="r", check_finite=False)[0]
    _, s, V = linalg.svd(R[: A.shape[1]], check_finite=False)
    return s[:rank], (s[:rank, np.newaxis] * V[:rank]).astype(A.dtype)


def _gram(parts):
    """Product A A^T of stacked blocks of rows, summed in float64."""
    n_rows, n_columns = sum(len(part) for part in parts), parts[0].shape[1]
    gram = np.zeros((n_rows, n_rows))
    for start in range(0, n_columns, _COLUMNS):
        chunk = slice(start, start + _COLUMNS)
        stacked = np.concatenate([part[:, chunk] for part in parts])
        stacked = stacked.astype(np.float64, copy=False)
        gram += stacked @ stacked.T
    return gram


def _energy(A):
    """Sum of squares, in float64, without a copy of A."""
    return float(sum(np.vdot(r, r) for r in (row.astype(np.float64) for row in A)))
