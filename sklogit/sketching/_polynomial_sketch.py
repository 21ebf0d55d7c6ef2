"""Random features of the polynomial kernel, as a function of the rows."""

from dataclasses import dataclass
from math import comb, sqrt

import numpy as np
from scipy import sparse
from sklearn.utils.extmath import row_norms

from ._factor_values import factor_values
from ._mean_direction import Mirror, Split, plain_split, split_by_mean
from ._tensor_factors import TensorFactors, draw_factors

# With more coordinates than so many times the components some share a column: the
# error grows by a few per cent, the time would grow with the coordinates.
_COLUMNS_PER_COMPONENT = 8
_FEWEST_COLUMNS = 1024
# All arrays of a block of rows together: part of the last-level cache.
_BLOCK_BYTES = 1 << 21
_FEWEST_ROWS = 64
# Sparse rows that are narrower or fuller than this take less time as dense ones.
_WIDEST_DENSE = 2048
_DENSE_PART = 0.05


@dataclass(frozen=True)
class PolynomialSketch:
    r"""Features z with :math:`E\, z(x)^\top z(y) = (\gamma x^\top y + c)^p`.

    The coordinates are those of :math:`(\sqrt{\gamma}\, x, \sqrt{c})`.

    Attributes
    ----------
    gamma, coef0 : float
        Parameters of the kernel.
    split : Split
        Which features stand for which power of the deviation from the mean.
    factors : TensorFactors
        Random numbers of the sketched powers; the highest power comes first.
    spare : TensorFactors or None
        Those of the real feature left over.
    """

    gamma: float
    coef0: float
    split: Split
    factors: TensorFactors
    spare: TensorFactors | None

    @property
    def degrees(self):
        """Power of the deviation that every feature stands for."""
        split, unit = self.split, self._unit
        powers = np.arange(split.degree, 0, -1)
        degrees = [np.repeat(powers, unit * split.n_sketched[powers])]
        if split.direction is not None:
            degrees += [[0], np.ones(split.n_linear, dtype=int)]
        return np.concatenate([*degrees, [split.degree] * split.n_spare]).astype(int)

    @property
    def _unit(self):
        return 2 if self.factors.is_complex else 1

    def coordinates(self, X):
        """Return the rows whose scalar products are gamma * <x, y> + coef0."""
        if self.gamma != 1:
            X = X * X.dtype.type(sqrt(self.gamma))
        if not self.coef0:
            return X
        constant = np.full((X.shape[0], 1), sqrt(self.coef0), dtype=X.dtype)
        if sparse.issparse(X):
            return sparse.hstack([X, constant], format="csr", dtype=X.dtype)
        return np.hstack([X, constant])

    def features(self, X):
        """Return the features of all rows, (n_rows, n_components), block by block.

        Parameters
        ----------
        X : {ndarray, CSR matrix} of shape (n_rows, n_features)
            Float32 or float64 rows.
        """
        degrees = self.degrees
        out = np.empty((X.shape[0], len(degrees)), dtype=X.dtype)
        block = _BlockFeatures(self, X.dtype)
        room = X.dtype.itemsize * (len(degrees) + block.values.room)
        step = max(_FEWEST_ROWS, _BLOCK_BYTES // room)
        for start, rows in _row_blocks(X, step):
            block.write(self.coordinates(rows), out[start : start + step])
        return out


def _row_blocks(X, step):
    """Pairs of first index and rows of every block, dense where that is faster."""
    n_rows, n_features = X.shape
    if not sparse.issparse(X):
        for start in range(0, n_rows, step):
            yield start, X[start : start + step]
        return
    dense = n_features <= _WIDEST_DENSE or X.nnz > _DENSE_PART * n_rows * n_features
    # Slices of sparse matrices take long: many rows at once.
    row_bytes = X.dtype.itemsize * n_features
    n_steps = max(1, _BLOCK_BYTES // (row_bytes * step)) if dense else 1
    for first in range(0, n_rows, n_steps * step):
        rows = X[first : first + n_steps * step]
        rows = rows.toarray() if dense else rows
        for start in range(0, rows.shape[0], step):
            yield first + start, rows[start : start + step] if n_steps > 1 else rows


class _BlockFeatures:
    """Writes the features of blocks of rows."""

    def __init__(self, sketch, dtype):
        self.split, self.unit = sketch.split, sketch._unit
        self.mirror = None
        if self.split.direction is not None:
            self.mirror = Mirror.of(self.split.direction)
            self.direction = self.split.direction.astype(dtype)
        n_used = self.split.n_used
        self.values = factor_values(sketch.factors, n_used, self.mirror, dtype)
        self.spare = None
        if sketch.spare is not None:
            once = np.ones(self.split.degree, dtype=int)
            self.spare = factor_values(sketch.spare, once, self.mirror, dtype)

    def write(self, X, out):
        """Write the features of the rows X, (n_rows, n_coordinates), to `out`."""
        n_sketched = self.unit * self.split.n_sketched.sum()
        along = None if self.mirror is None else X @ self.direction
        self._write_sketched(X, along, out[:, :n_sketched])
        if along is not None:
            out[:, n_sketched] = along**self.split.degree
        if self.split.n_linear:
            linear = out[:, n_sketched + 1 :][:, : self.split.n_linear]
            self._write_linear(X, along, linear)
        if self.spare is not None:
            self.spare.multiply(X, out[:, -1:])
            out[:, -1] *= self._weight(self.split.degree, 1)

    def _weight(self, power, unit):
        """Factor that makes the mean of the products of its features the kernel."""
        split = self.split
        n_features = self.unit * split.n_sketched[power]
        if power == split.degree:
            n_features += split.n_spare
        return sqrt(comb(split.degree, power) * unit / n_features)

    def _write_sketched(self, X, along, out):
        if not out.shape[1]:
            return
        split = self.split
        kinds = {1: out.dtype, 2: np.result_type(out.dtype, np.complex64)}
        self.values.multiply(X, out.view(kinds[self.unit]))
        start = 0
        for power in np.flatnonzero(split.n_sketched)[::-1]:
            end = start + self.unit * split.n_sketched[power]
            weight = self._weight(power, self.unit)
            if power < split.degree:
                weight = weight * along[:, np.newaxis] ** (split.degree - power)
            out[:, start:end] *= weight
            start = end

    def _write_linear(self, X, along, out):
        mirror, degree = self.mirror, self.split.degree
        X = X.toarray() if sparse.issparse(X) else X
        mirrored = X - np.outer(mirror.shift(X), mirror.normal.astype(X.dtype))
        weight = sqrt(degree) * along ** (degree - 1)
        kept = np.arange(X.shape[1]) != mirror.axis
        np.multiply(mirrored[:, kept], weight[:, np.newaxis], out=out)


def draw_polynomial_sketch(
    rng, X, n_components, degree, gamma, coef0, *, is_complex, exact_mean
):
    """Draw the random numbers of the features.

    Parameters
    ----------
    rng : RandomState
        Source of random numbers.
    X : {ndarray, CSR matrix} of shape (n_rows, n_features)
        Rows that tell the number of features, and the mean.
    n_components : int
        Number of features to make.
    degree, gamma, coef0 : int and float
        Parameters of the kernel.
    is_complex : bool
        Whether to make the features from complex numbers.
    exact_mean : bool
        Whether to take the direction of the mean out.

    Returns
    -------
    PolynomialSketch
        The features as a function.
    """
    unit = 2 if is_complex else 1
    if exact_mean:
        moments = _moments(X, gamma, coef0)
        split = split_by_mean(*moments, n_components, degree, unit)
    else:
        split = plain_split(n_components, degree, unit)
    kept = np.ones(X.shape[1] + bool(coef0), dtype=bool)
    if split.direction is not None:
        kept[Mirror.of(split.direction).axis] = False
    n_sketched = int(split.n_sketched.sum())
    most = _COLUMNS_PER_COMPONENT << (n_sketched - 1).bit_length()
    factors = draw_factors(
        rng,
        kept,
        n_sketched,
        degree,
        is_complex=is_complex,
        max_width=max(most, _FEWEST_COLUMNS),
    )
    spare = None
    if split.n_spare:
        spare = draw_factors(rng, kept, 1, degree, is_complex=False)
    return PolynomialSketch(gamma, coef0, split, factors, spare)


def _moments(X, gamma, coef0):
    """Mean of the coordinates, and of each row its part along it and squared norm."""
    mean = sqrt(gamma) * np.asarray(X.mean(axis=0, dtype=np.float64)).ravel()
    along = sqrt(gamma) * (X @ mean.astype(X.dtype)).astype(np.float64)
    squared_norms = gamma * row_norms(X, squared=True).astype(np.float64)
    if coef0:
        mean = np.append(mean, sqrt(coef0))
        along, squared_norms = along + coef0, squared_norms + coef0
    return mean, along / (np.linalg.norm(mean) or 1.0), squared_norms
