"""Coordinates in which rows are separated: centred, scaled or whitened, never copied.

A right multiplication of all rows by an invertible matrix keeps what is separable; with
a free intercept, so does a shift. The transformed row is ``[(a - mean) T, c]`` with the
constant c of the intercept, and the coefficients map back: ``w = T w'``.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import sparse
from scipy.linalg import eigh

# Squares of float32 numbers leave the range of float32 long before the numbers do.
_SMALL_SQUARE = 1e-30


@dataclass
class Coordinates:
    """Affine coordinates of the rows, with a constant for the intercept.

    Attributes
    ----------
    constant : float
        Value of the constant feature; 0 without an intercept.
    mean : ndarray of shape (n_features,) or None
        Subtracted from the rows.
    matrix : ndarray of shape (n_features,) or (n_features, n_new) or None
        Diagonal or matrix that multiplies the rows from the right.
    """

    constant: float
    mean: np.ndarray | None = None
    matrix: np.ndarray | None = None

    @property
    def is_plain(self):
        """Whether the rows are taken as they are."""
        return self.matrix is None

    def n_coordinates(self, n_features):
        """Size of a row in these coordinates."""
        whitened = self.matrix is not None and self.matrix.ndim == 2
        return (self.matrix.shape[1] if whitened else n_features) + bool(self.constant)

    def to_coef(self, theta):
        """Coefficients (n_features, k) and intercepts (k,) of theta."""
        if not self.constant:
            return self._times_matrix(theta), np.zeros(theta.shape[1])
        coef = self._times_matrix(theta[:-1])
        intercept = self.constant * theta[-1]
        if self.mean is not None:
            intercept = intercept - self.mean @ coef
        return coef, intercept

    def from_coef(self, coef, intercept):
        """Return the theta of coefficients (n_features, k) and intercepts (k,)."""
        if self.mean is not None:
            intercept = intercept + self.mean @ coef
        if self.matrix is not None and self.matrix.ndim == 2:
            coef = np.linalg.lstsq(self.matrix, coef, rcond=None)[0]
        elif self.matrix is not None:
            coef = coef / self.matrix[:, np.newaxis]
        if not self.constant:
            return np.array(coef, dtype=np.float64)
        return np.vstack([coef, intercept / self.constant])

    def from_sums(self, rows, constant):
        """Sum of transformed rows, given the sums of plain rows and of weights."""
        if self.mean is not None:
            rows = rows - self.mean[:, np.newaxis] * constant
        if self.matrix is not None and self.matrix.ndim == 2:
            rows = self.matrix.T @ rows
        elif self.matrix is not None:
            rows = self.matrix[:, np.newaxis] * rows
        if not self.constant:
            return rows
        return np.vstack([rows, self.constant * constant])

    def squared_norms(self, X):
        """Squared norms of transformed rows."""
        if self.is_plain:
            return _squared_norms(X) + self.constant**2
        if sparse.issparse(X):
            return self._squared_norms_sparse(X)
        return _squared_norms(self.transform(X)) + self.constant**2

    def transform(self, X):
        """Dense rows in these coordinates, without the constant."""
        if self.mean is not None:
            X = X - self.mean.astype(X.dtype)
        if self.matrix is None:
            return X
        matrix = self.matrix.astype(X.dtype)
        return X * matrix if matrix.ndim == 1 else X @ matrix

    def _squared_norms_sparse(self, X):
        scale = self.matrix**2
        mean = np.zeros_like(scale) if self.mean is None else self.mean
        X = X.astype(np.float64)
        squares = X.multiply(X) @ scale
        rest = (scale * mean) @ mean + self.constant**2
        norms = squares - 2 * (X @ (scale * mean)) + rest
        # What cancelled must not end below zero; norms may be a little too large.
        return norms + 1e-12 * (squares + rest)

    def _times_matrix(self, coef):
        if self.matrix is None:
            return coef
        if self.matrix.ndim == 2:
            return self.matrix @ coef
        return self.matrix[:, np.newaxis] * coef


def _squared_norms(X):
    with np.errstate(over="ignore", under="ignore"):
        if sparse.issparse(X):
            squares = np.asarray(X.multiply(X).sum(axis=1)).ravel()
        else:
            squares = np.einsum("ij,ij->i", X, X)
    if X.dtype == np.float32 and not _SMALL_SQUARE < squares.max() < np.inf:
        return _squared_norms(X.astype(np.float64))
    return squares


def make_coordinates(rows, preconditioner, constant):
    """Coordinates for a preconditioner.

    Parameters
    ----------
    rows : Rows or DaskRows
        The rows.
    preconditioner : {None, "diag", "whiten"}
        Unit variance of every feature, or identity covariance. With an intercept the
        variance is about the mean, else about zero.
    constant : float
        Value of the constant feature, 0 without an intercept.

    Returns
    -------
    Coordinates
        The coordinates; directions without variance are left out.
    """
    if preconditioner is None:
        return Coordinates(constant)
    mean = _mean(rows) if constant else None
    variance = _average(rows, partial(_sum_of_squares, mean=mean))
    # A constant feature of large mean has a variance by rounding alone.
    floor = 0.0 if mean is None else (8 * np.finfo(rows.X.dtype).eps * mean) ** 2
    scale = np.zeros_like(variance)
    np.divide(1.0, np.sqrt(variance), out=scale, where=variance > floor)
    if preconditioner == "diag":
        # Zero would lose what a warm start or another chunk knows of the feature.
        return Coordinates(constant, mean, np.where(scale > 0, scale, 1.0))
    correlation = _average(rows, partial(_gram, mean=mean, scale=scale))
    values, vectors = eigh(correlation)
    kept = values > len(values) * np.finfo(np.float64).eps * values[-1]
    matrix = scale[:, np.newaxis] * vectors[:, kept] / np.sqrt(values[kept])
    return Coordinates(constant, mean, matrix)


def _average(rows, function):
    total, weight = 0.0, 0.0
    for part, part_weight in rows.map(function):
        total, weight = total + part, weight + part_weight
    return total / weight


def _mean(rows):
    return _average(rows, _sum)


def _sum(X, y, weight):
    if weight is None:
        return np.asarray(X.sum(axis=0, dtype=np.float64)).ravel(), X.shape[0]
    return np.asarray(weight.astype(np.float64) @ X).ravel(), weight.sum()


def _sum_of_squares(X, y, weight, mean):
    if sparse.issparse(X):
        return _sum_of_squares_sparse(X, weight, mean)
    X = X.astype(np.float64) if mean is None else X - mean
    if weight is None:
        return np.einsum("ij,ij->j", X, X), len(X)
    return np.einsum("i,ij,ij->j", weight, X, X), weight.sum()


def _sum_of_squares_sparse(X, weight, mean):
    if weight is None:
        weight = np.ones(X.shape[0])
    X = X.tocsr().astype(np.float64)
    X.sum_duplicates()
    if mean is None:
        return np.asarray(weight @ X.multiply(X)).ravel(), weight.sum()
    # Stored values about the mean, and what is not stored counts as zero.
    centred = X.copy()
    centred.data = (X.data - mean[X.indices]) ** 2
    stored = X.copy()
    stored.data = np.ones_like(X.data)
    missing = weight.sum() - np.asarray(weight @ stored).ravel()
    return np.asarray(weight @ centred).ravel() + missing * mean**2, weight.sum()


def _gram(X, y, weight, mean, scale):
    X = X.astype(np.float64) if mean is None else X - mean
    X *= scale
    if weight is None:
        return X.T @ X, len(X)
    return (X.T * weight) @ X, weight.sum()
