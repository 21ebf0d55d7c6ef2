"""What a linear layer's error in its logits depends on: moments of its features."""

import numpy as np
from scipy import sparse

from ._vector_quantize import metric_root

# A covariance of more features is not formed; rows of the data stand in for it.
MOST_FEATURES = 2048
_ROWS_THAT_STAND_IN = 1024
_ROWS_AT_ONCE = 8192


class FeatureMoments:
    """Weighted mean and covariance of features, in float64.

    Parameters
    ----------
    X : {ndarray, sparse matrix} of shape (n_rows, n_features)
        Features.
    weight : ndarray of shape (n_rows,) or None
        Weights, not all zero.

    Attributes
    ----------
    total : float
        Sum of the weights.
    mean : ndarray of shape (n_features,)
        Weighted mean.
    variance : ndarray of shape (n_features,)
        Weighted variance.
    covariance : ndarray of shape (n_features, n_features) or None
        Weighted covariance; None with more than 2048 features.
    """

    def __init__(self, X, weight=None):
        weight = np.ones(X.shape[0]) if weight is None else weight.astype(np.float64)
        self.total = weight.sum()
        self.mean = np.asarray(weight @ X, dtype=np.float64) / self.total
        self.covariance = self._rows = None
        if X.shape[1] <= MOST_FEATURES:
            self.covariance = self._covariance(X, weight)
            self.variance = np.diag(self.covariance).copy()
        else:
            self.variance = self._variance(X, weight)
            self._rows = _evenly_spaced(X, weight)

    def _covariance(self, X, weight):
        if sparse.issparse(X):
            scaled = X.astype(np.float64).multiply(weight[:, np.newaxis])
            second = np.asarray((X.T @ scaled.tocsr()).todense()) / self.total
            return second - np.outer(self.mean, self.mean)
        second = np.zeros((X.shape[1], X.shape[1]))
        for start in range(0, len(X), _ROWS_AT_ONCE):
            block = slice(start, start + _ROWS_AT_ONCE)
            centred = X[block] - self.mean
            second += (centred * weight[block, np.newaxis]).T @ centred
        return second / self.total

    def _variance(self, X, weight):
        squares = X.multiply(X) if sparse.issparse(X) else X * X
        second = np.asarray(weight @ squares, dtype=np.float64) / self.total
        return np.maximum(second - self.mean**2, 0.0)

    def rows_in_logits(self, W, *, centred):
        r"""Rows whose squared distances are mean squared differences of logits.

        Parameters
        ----------
        W : ndarray of shape (n_classes, n_features)
            Rows of a linear layer.
        centred : bool
            Whether a constant difference of two logits counts for nothing, as where
            each class has an offset of its own.

        Returns
        -------
        ndarray of shape (n_classes, n_dimensions)
            Rows a with :math:`|a_u - a_v|^2 = E\,((W_u - W_v) h)^2`, or the variance
            if `centred`; approximately with more than 2048 features.
        """
        if self.covariance is None:
            X = self._rows
            rows = np.asarray(X @ W.T).T - (W @ self.mean)[:, np.newaxis] * centred
            return rows / np.sqrt(X.shape[0])
        S = self.covariance
        if not centred:
            S = S + np.outer(self.mean, self.mean)
        return W @ metric_root(S).astype(W.dtype)


def _evenly_spaced(X, weight):
    """Rows at equal steps of the cumulated weight."""
    n = min(_ROWS_THAT_STAND_IN, X.shape[0])
    steps = (np.arange(n) + 0.5) / n * weight.sum()
    return X[np.searchsorted(np.cumsum(weight), steps)]
