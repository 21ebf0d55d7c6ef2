"""Coordinates in which sums over rows are computed without loss."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from scipy.linalg.blas import dtrmm

from ._blocks import workspace

# A column whose mean is more than this many standard deviations is shifted: centring
# the Gram matrix afterwards cancels the square of it.
_LARGE_MEAN = 4.0
# Squares and sums of columns beyond these sizes overflow or vanish.
_LARGE = {np.dtype(np.float64): 1e70, np.dtype(np.float32): 1e8}


@dataclass
class Frame:
    """Columns [1, Z] with Z = (X - shift) scale M, and targets (y - y_shift) y_scale.

    Scales are powers of two, so that they round nothing.

    Attributes
    ----------
    shift, scale : ndarray of shape (n_features,) or None
        Rough centre and scale of the columns of X.
    y_shift, y_scale : ndarray of shape (n_targets,)
        Those of the targets.
    transform : ndarray of shape (n_features, rank) or None
        The matrix M.
    is_triangular : bool
        Whether M is upper triangular.
    """

    shift: np.ndarray | None
    scale: np.ndarray | None
    y_shift: np.ndarray
    y_scale: np.ndarray
    transform: np.ndarray | None = None
    is_triangular: bool = False

    def with_transform(self, transform, is_triangular=False):
        """Return the frame with another matrix M."""
        return replace(self, transform=transform, is_triangular=is_triangular)

    def columns(self, X, root=None, dtype=None):
        """Return (X - shift) scale for a block of rows, multiplied by `root`.

        It is X itself, or memory that the next call overwrites.
        """
        dtype = X.dtype if dtype is None else np.dtype(dtype)
        if sparse.issparse(X) and self.shift is not None:
            X = X.toarray()  # shifted rows are not sparse
        if sparse.issparse(X):
            if root is not None:
                X = sparse.dia_array((root[np.newaxis], 0), shape=(len(root),) * 2) @ X
            X = X if self.scale is None else X * self.scale
            return X.astype(dtype, copy=False)
        if X.dtype == dtype and self.shift is self.scale is root is None:
            return X
        order = "C" if X.flags.c_contiguous or not X.flags.f_contiguous else "F"
        if X.ndim == 2 and X.strides[0] < X.strides[1]:
            order = "F"  # a block of a matrix in F order
        several = self.shift is not None or root is not None
        if self.scale is not None and several and dtype == np.float32:
            # What is not yet scaled may be too large or small for float32.
            return self._rounded(self.columns(X, root, np.float64), order)
        Z = workspace("columns", X.shape, dtype, order)
        steps = [
            (np.subtract, self.shift),
            (np.multiply, self.scale),
            (np.multiply, None if root is None else root[:, np.newaxis]),
        ]
        for operation, operand in steps:
            if operand is not None:
                X = operation(X, operand, out=Z, casting="same_kind")
        if X is not Z:
            Z[...] = X
        return Z

    def unscaled(self):
        """Return a frame without scales, and the scales, or (self, None).

        Scales cost a copy of each block. Products with vectors do not need them, unless
        they would overflow.
        """
        large = _LARGE[np.dtype(np.float64)]
        scale = self.scale
        if scale is None or (scale > large).any() or (scale < 1 / large).any():
            return self, None
        return replace(self, scale=None), scale

    def transformed(self, Z):
        """Return the product with M of what `columns` returned."""
        if self.transform is None:
            return Z
        if sparse.issparse(Z):
            return Z @ self.transform
        if self.is_triangular and Z.flags.c_contiguous:
            product = workspace("product", Z.shape, Z.dtype)
            product[...] = Z
            # Half the operations of a product with a full matrix.
            dtrmm(1.0, self.transform.T, product.T, lower=1, overwrite_b=1)
            return product
        shape = len(Z), self.transform.shape[1]
        return np.matmul(Z, self.transform, out=workspace("product", shape, Z.dtype))

    def targets(self, y):
        """Return the targets of a block as float64."""
        return (y - self.y_shift) * self.y_scale

    def gradient(self, columns, coef, alpha):
        """Return the gradient in transformed coordinates, the penalty included.

        Parameters
        ----------
        columns : ndarray of shape (n_features, n_targets)
            Products of what `columns` returns with residuals.
        coef : ndarray of shape (n_features, n_targets)
            Coefficients of what `columns` returns.
        alpha : float
            Penalty of squared coefficients of X.
        """
        if alpha:
            scale = 1.0 if self.scale is None else self.scale[:, np.newaxis]
            columns = columns - alpha * (scale * (scale * coef))
        return columns if self.transform is None else self.transform.T @ columns

    def to_coef(self, coef, constant):
        """Return coefficients and intercepts for X and y from those of `columns`."""
        if self.scale is not None:
            coef = coef * self.scale[:, np.newaxis]
        coef = coef / self.y_scale
        intercept = self.y_shift + constant / self.y_scale
        if self.shift is not None:
            intercept = intercept - self.shift @ coef
        return coef, intercept

    def to_columns(self, u):
        """Return coefficients of what `columns` returns from transformed ones."""
        return u if self.transform is None else self.transform @ u

    def _rounded(self, Z, order):
        rounded = workspace("columns", Z.shape, np.float32, order)
        rounded[...] = Z
        return rounded


def make_frame(sample, dtype, fit_intercept, is_sparse=False):
    """Choose shifts and scales from a sample of rows.

    They are exact as they stand, whatever the other rows are; a bad choice costs
    accuracy, and that is noticed when the Gram matrix is factored.

    Parameters
    ----------
    sample : tuple of ndarray
        X, y and weights of some rows.
    dtype : dtype
        Type in which squares are going to be summed.
    fit_intercept : bool
        Whether targets may be shifted, and columns unless they are sparse.
    is_sparse : bool, default=False
        Whether the rows are sparse.

    Returns
    -------
    Frame
        The frame; shift and scale are None where the columns are well as they are.
    """
    X, y, _ = sample
    shift, spread = _centre(X)
    y_shift, y_spread = _centre(y)
    if is_sparse or not fit_intercept:
        shift, spread = np.zeros_like(shift), np.abs(shift) + spread
    if not fit_intercept:
        y_shift, y_spread = np.zeros_like(y_shift), np.abs(y_shift) + y_spread
    # Of a column that is constant here nothing is known: it may be as the others are.
    scale = powers_of_two(np.where(spread > 0, spread, spread.max(initial=0.0)))
    large = _LARGE[np.dtype(dtype)]
    needs_scale = (scale > large).any() or (scale < 1 / large).any()
    return Frame(
        shift=shift if (np.abs(shift) > _LARGE_MEAN * spread).any() else None,
        scale=scale if needs_scale else None,
        y_shift=y_shift,
        y_scale=powers_of_two(y_spread),
    )


def rescaled(frame, sizes, y_sizes):
    """Return a frame whose scales come from the sizes of columns in all rows."""
    return replace(frame, scale=powers_of_two(sizes), y_scale=powers_of_two(y_sizes))


def powers_of_two(size):
    """Powers of two near 1 / size; 1 where the size is zero."""
    size = np.where((size > 0) & np.isfinite(size), size, 1.0)
    return np.ldexp(1.0, np.clip(-np.frexp(size)[1], -1000, 1000))


def _centre(X):
    """Centre and spread of columns; a constant column is centred exactly."""
    least, most = X.min(axis=0).astype(float), X.max(axis=0).astype(float)
    with np.errstate(over="ignore", invalid="ignore"):
        size = powers_of_two(np.maximum(np.abs(least), np.abs(most)))
        scaled = X * size
        mean = scaled.mean(axis=0, dtype=float)
        spread = np.sqrt(np.mean((scaled - mean) ** 2, axis=0, dtype=float)) / size
        centre = np.where(least == most, least, mean / size)
    # So that the shift of float32 data is exact.
    return centre.astype(X.dtype).astype(float), np.where(least == most, 0.0, spread)
