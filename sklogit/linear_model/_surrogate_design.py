"""A linear model as a map from parameters to targets, with a separate intercept."""

import numpy as np
from scipy import sparse


class CenteredDesign:
    r"""The map from parameters to targets, and its adjoint.

    With weights :math:`\omega_i` of sum 1 and weighted column means :math:`\bar x`, the
    targets are :math:`Z = (X - 1 \bar x^\top) W + 1 c^\top`. In these coordinates
    features and intercept are orthogonal, so that the intercept is as well conditioned
    as it can be. Parameters are stacked in one array ``theta``: the rows of W, and with
    an intercept the row c last.

    Parameters
    ----------
    X : {ndarray, CSR matrix} of shape (n_samples, n_features)
        Data. Dense data are copied, sparse data are centred only implicitly.
    sample_weight : ndarray of shape (n_samples,) or None
        Weights, not all zero.
    fit_intercept : bool
        Whether there is an intercept; without, nothing is centred.
    """

    def __init__(self, X, sample_weight, fit_intercept):
        n, self.n_features = X.shape
        weight = np.ones(n) if sample_weight is None else sample_weight
        weight = weight.astype(np.float64) / weight.sum(dtype=np.float64)
        self.weight = weight.astype(X.dtype)[:, np.newaxis]
        self.fit_intercept = fit_intercept
        self.dtype = X.dtype
        self.sparse = sparse.issparse(X)
        self.X = X
        self.mean = None
        if fit_intercept:
            self.mean = (X.T @ weight).astype(X.dtype)
            if not self.sparse:
                self.X = X - self.mean
        self._check_range()

    def _check_range(self):
        """Raise ValueError if squares of the features overflow."""
        values = self.X.data if self.sparse else self.X
        largest = max(values.max(initial=0.0), -values.min(initial=0.0))
        with np.errstate(over="ignore"):
            square = np.square(largest)
        if not np.isfinite(square):
            raise ValueError(
                f"X has values up to {largest:.3g}, whose squares overflow "
                f"{self.dtype}: scale X."
            )

    def apply(self, theta):
        """Targets of shape (n_samples, n_outputs)."""
        W = theta[: self.n_features]
        Z = self.X @ W
        if self.fit_intercept:
            shift = theta[-1]
            Z += shift - self.mean @ W if self.sparse else shift
        return Z

    def adjoint(self, G):
        """Gradient of the weighted mean of <G_i, z_i> by theta."""
        weighted = self.weight * G
        gradient = self.X.T @ weighted
        if not self.fit_intercept:
            return gradient
        total = weighted.sum(axis=0)
        if self.sparse:
            gradient -= np.outer(self.mean, total)
        return np.vstack([gradient, total])

    def inner(self, A, B):
        """Weighted mean of the rows' scalar products."""
        rows = np.einsum("ij,ij->i", A, B, dtype=np.float64)
        return float(rows @ self.weight[:, 0])

    def gram(self):
        """Weighted mean of the outer products of the centred features' rows."""
        if not self.sparse:
            scaled = self.scaled()
            return scaled.T @ scaled
        gram = (self.X.T @ self.X.multiply(self.weight).tocsr()).toarray()
        if self.fit_intercept:
            gram -= np.outer(self.mean, self.mean)
        return gram

    def diagonal(self):
        """Diagonal of `gram`, without the rest of it."""
        if self.sparse:
            squares = self.X.multiply(self.X).T @ self.weight[:, 0]
            if self.fit_intercept:
                squares -= self.mean**2
            return np.maximum(squares, 0)
        return np.einsum("ij,ij,i->j", self.X, self.X, self.weight[:, 0])

    def scaled(self):
        """Centred dense rows, multiplied by the roots of their weights."""
        return self.X * np.sqrt(self.weight)

    def encode(self, coef, intercept):
        """Stack ``coef_`` and ``intercept_`` of an estimator into theta."""
        W = coef.T.astype(self.dtype)
        if not self.fit_intercept:
            return W
        return np.vstack([W, intercept.astype(self.dtype) + self.mean @ W])

    def decode(self, theta):
        """Unstack theta into ``coef_`` and ``intercept_``."""
        W = theta[: self.n_features]
        coef = np.array(W.T, order="C")
        if not self.fit_intercept:
            return coef, np.zeros(W.shape[1], dtype=self.dtype)
        return coef, theta[-1] - self.mean @ W
