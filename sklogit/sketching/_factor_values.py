"""Values of the factors of tensor sketches for blocks of rows, and their products."""

import numpy as np
from scipy import sparse
from scipy.linalg import hadamard

# Up to so many values of a factor one matrix product makes those of all factors; beyond
# it fast transforms take less time, with OpenBLAS on AVX2 cores.
_MOST_BY_MATRIX = 64
_RADIX = 8


def factor_values(factors, n_used, mirror, dtype):
    """Return a function of blocks of rows that makes the products of the factors.

    Parameters
    ----------
    factors : TensorFactors
        Random numbers.
    n_used : ndarray of int of shape (degree,)
        Number of leading components that use each factor.
    mirror : Mirror or None
        Reflection of the rows before anything else.
    dtype : dtype
        Float32 or float64.

    Returns
    -------
    MatrixValues or FastValues
        Callable with an array or CSR matrix of shape (n_rows, n_coordinates) and room
        for the products of the factors.
    """
    n_values = min(factors.width, factors.indices.shape[1])
    shares_columns = np.count_nonzero(factors.signs[0]) > factors.width
    fast = shares_columns or n_values > _MOST_BY_MATRIX
    return (FastValues if fast else MatrixValues)(factors, n_used, mirror, dtype)


class _Values:
    def __init__(self, factors, n_used, mirror, dtype):
        self.factors, self.mirror, self.dtype = factors, mirror, np.dtype(dtype)
        indices = [index[:n] for index, n in zip(factors.indices, n_used)]
        if factors.indices.shape[1] <= factors.width:
            self.rows, self._taken = indices, None
        else:  # all values once, from which each component takes its own
            self.rows = [np.arange(factors.width)] * len(indices)
            self._taken = indices

    @property
    def room(self):
        """Numbers held in memory for each row."""
        return 2 * self.factors.width + 2 * sum(map(len, self._taken or self.rows))

    def multiply(self, X, out):
        """Write the products of the factors, (n_rows, n_components), to `out`.

        Leading components have all factors, the others lack some of the last ones.
        """
        factors = self._factors(X)
        first = product = next(factors)
        n_multiplied = 0
        for factor in factors:
            n = factor.shape[1]
            np.multiply(product[:, :n], factor, out=out[:, :n])
            if product is first:
                product, n_multiplied = out, n
        out[:, n_multiplied:] = first[:, n_multiplied:]

    def _factors(self, X):
        for q, values in enumerate(self._real_values(X)):
            if self.factors.is_complex:
                # Real and imaginary parts take turns, as in memory of complex numbers.
                values = values.view(np.result_type(self.dtype, np.complex64))
            yield values if self._taken is None else values.take(self._taken[q], axis=1)


class MatrixValues(_Values):
    """Values of all factors from one matrix product."""

    def __init__(self, factors, n_used, mirror, dtype):
        super().__init__(factors, n_used, mirror, dtype)
        parts = [self._part(q, rows) for q, rows in enumerate(self.rows)]
        matrix = np.concatenate(parts, axis=1)
        if mirror is not None:
            v = mirror.normal
            matrix -= np.outer(mirror.scale * v, v @ matrix)
        self._ends = np.cumsum([part.shape[1] for part in parts])[:-1]
        self._matrix = matrix.astype(self.dtype)

    def _part(self, q, rows):
        columns = self.factors.columns[q][:, np.newaxis]
        part = 1.0 - 2.0 * (np.bitwise_count(columns & rows) & 1)
        part *= self.factors.signs[q][:, np.newaxis]
        if not self.factors.is_complex:
            return part
        imaginary = columns >= self.factors.width // 2
        part = np.stack([part * ~imaginary, part * imaginary], axis=2)
        return part.reshape(len(columns), -1)

    def _real_values(self, X):
        return np.split(X @ self._matrix, self._ends, axis=1)


class FastValues(_Values):
    """Values of the factors from fast Walsh-Hadamard transforms."""

    def __init__(self, factors, n_used, mirror, dtype):
        super().__init__(factors, n_used, mirror, dtype)
        # Of complex factors, rows 2 i and 2 i + 1 are the parts of value i.
        self._n_parts = 2 if factors.is_complex else 1
        self._height = factors.width // self._n_parts
        self._placements = [self._placement(q) for q in range(len(self.rows))]
        self._sources = [self._source(rows) for rows in self.rows]
        self._matrices = hadamard_matrices(self._height, self.dtype)
        self._work = np.empty((factors.width, 0), dtype=self.dtype)
        if mirror is not None:
            normal = mirror.normal.astype(self.dtype)
            self._normals = [P @ normal for P in self._placements]

    def _placement(self, q):
        matrix = self.factors.placement(q, self.dtype)
        part, i = np.divmod(matrix.indices, self._height)
        matrix.indices = (i * self._n_parts + part).astype(np.int32)
        return matrix

    def _source(self, rows):
        """Rows of the transform that make the values, and their signs or None."""
        if not self.factors.is_complex:
            return rows, None
        source = 2 * (rows % self._height)
        signs = np.ones((len(rows), 2), dtype=self.dtype)
        signs[rows >= self._height, 1] = -1  # conjugates
        return np.stack([source, source + 1], axis=1).ravel(), signs.ravel()

    def _make_room(self, n_rows):
        if self._work.shape[1] != n_rows:
            self._work = np.empty((self.factors.width, n_rows), dtype=self.dtype)
            self._values = [
                np.empty((n_rows, len(source)), dtype=self.dtype)
                for source, _ in self._sources
            ]

    def _real_values(self, X):
        self._make_room(X.shape[0])
        columns, shift = X.T, None
        if self.mirror is not None:
            shift = self.mirror.shift(X)
        if not sparse.issparse(X):
            columns = columns.copy(order="C")
            if shift is not None:
                columns -= np.outer(self.mirror.normal.astype(self.dtype), shift)
                shift = None  # done once for all factors
        for q, (source, signs) in enumerate(self._sources):
            values = self._transformed(q, columns, shift)[source].T
            if signs is None:
                np.copyto(self._values[q], values)
            else:
                np.multiply(values, signs, out=self._values[q])
        return self._values

    def _transformed(self, q, columns, shift):
        """Values of factor q in the order of the rows of H, (width, n_rows)."""
        placed = self._placements[q] @ columns
        if sparse.issparse(placed):
            placed = placed.toarray(order="C")
        if shift is not None:
            np.multiply(self._normals[q][:, np.newaxis], shift, out=self._work)
            placed -= self._work
        return transform(placed, self._work, self._matrices)


def hadamard_matrices(order, dtype):
    """Small Hadamard matrices whose Kronecker product is the one of this order."""
    levels = order.bit_length() - 1
    step = _RADIX.bit_length() - 1
    return [
        hadamard(1 << min(step, levels - done), dtype)
        for done in range(0, levels, step)
    ]


def transform(X, work, matrices):
    """Multiply by a Kronecker product of small matrices; both arrays are overwritten.

    For blocks of rows this takes a third of the time of the butterflies of `fwht` in
    NumPy, and twice that of the compiled ones.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        C-contiguous array; n is a multiple of the order of the product.
    work : ndarray of shape (n, d)
        Room for intermediate results.
    matrices : list of ndarray
        The factors of the product.

    Returns
    -------
    ndarray of shape (n, d)
        Result; either X or work.
    """
    outer, inner = 1, X.size
    for matrix in matrices:
        inner //= len(matrix)
        shape = outer, len(matrix), inner
        np.matmul(matrix, X.reshape(shape), out=work.reshape(shape))
        X, work = work, X
        outer *= len(matrix)
    return X
