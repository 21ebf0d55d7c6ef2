"""Sums over rows that least squares needs: moments, gradients, sketches."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ._blocks import workspace
from ._frame import Frame
from ._sparse_sign import SparseSignOperator
from ._srht import BlockSRHTOperator

# A sparse block whose rows have fewer entries than this part is multiplied as it is.
_SPARSE_PRODUCT_DENSITY = 0.02


@dataclass
class Moments:
    """Second moments of [1, Z, y], weighted: G, [1, y]' Z and [1, y]' [1, y].

    The first two may be computed in float32, block by block, and are added in float64.
    """

    frame: Frame
    n_columns: int
    n_targets: int
    dtype: np.dtype
    block_rows = None

    def zeros(self):
        """Return the moments of no rows."""
        r, k = self.n_columns, 1 + self.n_targets
        return np.zeros((r, r)), np.zeros((k, r)), np.zeros((k, k))

    def add(self, total, index, X, y, weight):
        """Add the moments of a block."""
        gram, cross, moments = total
        root = None if weight is None else np.sqrt(weight)
        W = _with_ones(self.frame.targets(y), root)
        if self.frame.transform is None:
            Z = self.frame.columns(X, root, self.dtype)
        else:  # what cancels in the product needs float64; its Gram matrix does not
            Z = self.frame.transformed(self.frame.columns(X, root, np.float64))
            if Z.dtype != self.dtype:
                rounded = workspace("rounded", Z.shape, self.dtype)
                rounded[...] = Z
                Z = rounded
        if sparse.issparse(Z):
            Z = _dense_if_better(Z)
        product = Z.T @ Z
        gram += product.toarray() if sparse.issparse(product) else product
        cross += W.T.astype(self.dtype, copy=False) @ Z
        moments += W.T @ W


@dataclass
class Gradient:
    """Of the residuals r of a solution the sums Z' w r, w r and w r^2, in float64.

    Z are the columns of the frame before its transform. With `only_fitted`, targets are
    taken for zero.
    """

    frame: Frame
    coef: np.ndarray
    constant: np.ndarray
    only_fitted: bool = False
    block_rows = None

    def zeros(self):
        """Return the sums over no rows."""
        k = len(self.constant)
        return np.zeros(self.coef.shape), np.zeros(k), np.zeros(k)

    def add(self, total, index, X, y, weight):
        """Add the gradient of a block."""
        gradient, sums, squares = total
        frame, scale = self.frame.unscaled()
        scale = 1.0 if scale is None else scale[:, np.newaxis]
        Z = frame.columns(X, None, np.float64)
        single = len(self.constant) == 1
        coef = self.coef * scale
        coef = coef[:, 0] if single else coef
        residual = 0.0 if self.only_fitted else self.frame.targets(y)
        residual = residual - ((Z @ coef).reshape(y.shape) + self.constant)
        weighted = residual
        if weight is not None:
            weighted = residual * weight[:, np.newaxis]
        # A vector times a matrix is faster than its transpose times a vector.
        if single:
            gradient += (weighted[:, 0] @ Z)[:, np.newaxis] * scale
        else:
            gradient += (Z.T @ weighted) * scale
        sums += weighted.sum(axis=0)
        squares += np.vecdot(residual.T, weighted.T)


@dataclass
class Sketch:
    """Sketches S [1, y] and S Z of weighted rows, by a block operator."""

    frame: Frame
    operator: object
    n_features: int
    n_targets: int
    dtype: np.dtype

    @property
    def block_rows(self):
        """Rows of a block of the operator."""
        return self.operator.block_size

    def zeros(self):
        """Return the sketch of no rows."""
        m, dtype = self.operator.sketch_size, self.dtype
        small = np.zeros((m, 1 + self.n_targets), dtype=dtype)
        return small, np.zeros((m, self.n_features), dtype=dtype)

    def add(self, total, index, X, y, weight):
        """Add the sketch of a block."""
        root = None if weight is None else np.sqrt(weight)
        W = _with_ones(self.frame.targets(y), root).astype(self.dtype)
        Z = self.frame.columns(X, root, self.dtype)
        if isinstance(self.operator, SparseSignOperator) and not sparse.issparse(Z):
            S = self.operator.matrix(index, len(W), self.dtype)
            for sketch, block in zip(total, (W, Z)):
                sketch += S @ block
        elif isinstance(self.operator, BlockSRHTOperator | SparseSignOperator):
            # To draw the random numbers twice costs less than to copy Z.
            for sketch, block in zip(total, (W, Z)):
                self.operator.apply(index, block, sketch)
        else:
            sketch = np.hstack(total)
            self.operator.apply(index, _side_by_side(W, Z), sketch)
            total[0][...] = sketch[:, : W.shape[1]]
            total[1][...] = sketch[:, W.shape[1] :]

    @staticmethod
    def joined(total):
        """Return S [1, Z, y] as one array."""
        small, large = total
        return np.hstack([small[:, :1], large, small[:, 1:]])


class SumsOverflow(Exception):
    """Sums over rows are not finite, although the rows are."""


# Maxima are added over parts of the rows: they are divided by more than there are.
_PART = 2.0**-20


@dataclass
class Extremes:
    """Sizes of the columns of X and y, up to the number of threads or chunks."""

    n_features: int
    n_targets: int
    block_rows = None

    def zeros(self):
        """Return the sizes of no rows."""
        return np.zeros(self.n_features), np.zeros(self.n_targets)

    def add(self, total, index, X, y, weight):
        """Take the sizes of a block into account."""
        for largest, block in zip(total, (X, y)):
            size = abs(block).max(axis=0)
            size = size.toarray().ravel() if sparse.issparse(size) else size
            np.maximum(largest, size.astype(np.float64) * _PART, out=largest)

    @staticmethod
    def sizes(total):
        """Return the sizes from the sum."""
        most = np.finfo(np.float64).max
        return tuple(np.minimum(sizes, most * _PART) / _PART for sizes in total)


def weighted_block(X, y, weight, dtype):
    """Return [1, X, y] of some rows, times the roots of the weights."""
    root = None if weight is None else np.sqrt(weight)
    W = _with_ones(y, root).astype(dtype)
    if root is not None:
        X = X * root[:, np.newaxis]
    return _side_by_side(W[:, :1], X.astype(dtype, copy=False), W[:, 1:])


def _side_by_side(*blocks):
    if any(sparse.issparse(block) for block in blocks):
        return sparse.csr_array(sparse.hstack(blocks, format="csr"))
    return np.hstack(blocks)


def _with_ones(targets, root):
    """Return [1, targets], multiplied by `root`."""
    W = np.empty((len(targets), 1 + targets.shape[1]))
    W[:, 0] = 1.0
    W[:, 1:] = targets
    if root is not None:
        W *= root[:, np.newaxis]
    return W


def _dense_if_better(Z):
    if Z.nnz < _SPARSE_PRODUCT_DENSITY * np.prod(Z.shape, dtype=float):
        return Z
    dense = workspace("dense", Z.shape, Z.dtype)
    dense[...] = 0
    return Z.toarray(out=dense)
