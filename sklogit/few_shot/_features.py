"""Auxiliary features: class means, and coordinates of few rows."""

import numpy as np
from scipy import linalg, sparse

# Weight of what rows share; 10 and 100 need up to 40 % more evaluations of the loss.
_BALANCE = 30.0
# Coordinates for each class up to which balancing them costs less than it saves.
_MOST_COORDINATES = 16


def class_means(A, y, weight, n_classes):
    """Average the rows of each class.

    Parameters
    ----------
    A : ndarray or sparse matrix of shape (n_rows, n_features)
        Rows.
    y : ndarray of shape (n_rows,)
        Class indices.
    weight : ndarray of shape (n_rows,)
        Weights.
    n_classes : int
        Number of classes.

    Returns
    -------
    ndarray of shape (n_classes, n_features)
        Weighted means; zeros for a class without rows.
    """
    mass = np.bincount(y, weight, minlength=n_classes)
    shares = weight / mass[y]
    members = sparse.csr_array(
        (shares.astype(A.dtype), (y, np.arange(len(y)))), shape=(n_classes, len(y))
    )
    means = members @ A
    return means.toarray() if sparse.issparse(means) else means


class Span:
    r"""Coordinates in the span of few rows, in which lengths are kept.

    Of :math:`A A^T = Q \Lambda Q^T` the coordinates of the rows are
    :math:`R = Q \Lambda^{1/2}`, and coefficients :math:`V_r` of the coordinates stand
    for :math:`V = V_r \Lambda^{-1/2} Q^T A`: scores :math:`A V^T = R V_r^T` and lengths
    :math:`\|V\| = \|V_r\|` are the same. A penalised fit to the rows never leaves their
    span, so that n of these coordinates replace D features.

    Parameters
    ----------
    A : ndarray or sparse matrix of shape (n_rows, n_features)
        The rows.

    Attributes
    ----------
    rows : ndarray of shape (n_rows, rank)
        The coordinates R, float64.
    """

    balance = 0.0

    def __init__(self, A):
        gram = A @ A.T
        gram = gram.toarray() if sparse.issparse(gram) else gram
        values, vectors = linalg.eigh(gram.astype(np.float64), overwrite_a=True)
        kept = values > len(values) * np.finfo(A.dtype).eps * max(values[-1], 0)
        root = np.sqrt(values[kept])
        self.rows = vectors[:, kept] * root
        self._A, self._to_rows = A, (vectors[:, kept] / root).astype(A.dtype)

    def coefficients(self, V):
        """Coefficients of the features, of those of the coordinates."""
        of_rows = self._to_rows @ V.T.astype(self._to_rows.dtype)
        return np.asarray(self._A.T @ of_rows).T


class Features:
    """The features themselves as coordinates, where `Span` would save little."""

    balance = 0.0

    def __init__(self, A):
        self.rows = A

    def coefficients(self, V):
        """Return the same coefficients."""
        return V


class Balanced:
    r"""Coordinates in which what most rows share does not outweigh the rest.

    Unit features of a frozen encoder have a large part in common. Along it the loss is
    by far the steepest, so that L-BFGS needs many iterations for all else. Of the
    second moments :math:`S = \sum_i w_i r_i r_i^T` of the rows r of R, and
    :math:`(I + k S) / (1 + k) = L L^T`, the new coordinates are :math:`R L^{-T}`.
    Coefficients :math:`V L` of these stand for V: scores are the same, and

    .. math:: \|V\|^2 = (1 + k)\, \|V L\|^2 - k \sum_i w_i \|V r_i\|^2 .

    As S is at most I, a gradient becomes no shorter: a tolerance is no easier to reach.

    Parameters
    ----------
    coordinates : Span or Features
        Coordinates R of unit rows.
    weight : ndarray of shape (n_rows,)
        Weights w, which sum to one.

    Attributes
    ----------
    rows : ndarray of shape (n_rows, n_coordinates)
        The new coordinates.
    balance : float
        The number k; 0 for coordinates that keep lengths.
    """

    balance = _BALANCE

    def __init__(self, coordinates, weight):
        R, k = coordinates.rows, self.balance
        R = R.toarray() if sparse.issparse(R) else R
        weighted = R * np.sqrt(weight)[:, np.newaxis].astype(R.dtype)
        moments = k * (weighted.T @ weighted)
        moments.flat[:: len(moments) + 1] += 1
        self._factor = linalg.cholesky(moments / (1 + k), lower=True)
        self._coordinates = coordinates
        rows = linalg.solve_triangular(self._factor, R.T, lower=True)
        self.rows = np.ascontiguousarray(rows.T)

    def coefficients(self, V):
        """Coefficients of the features, of those of the coordinates."""
        V = linalg.solve_triangular(self._factor, V.T, trans=1, lower=True).T
        return self._coordinates.coefficients(V)


def coordinates_of(A, weight, n_classes):
    """Coordinates in which a fit to the rows is cheap.

    Parameters
    ----------
    A : ndarray or sparse matrix of shape (n_rows, n_features)
        The rows, of length one.
    weight : ndarray of shape (n_rows,)
        Their weights, which sum to one.
    n_classes : int
        Number of classes.

    Returns
    -------
    Span, Features or Balanced
        The span of the rows if there are more than two features a row; balanced where
        coordinates are few beside the classes.
    """
    n_rows, n_features = A.shape
    coordinates = Span(A) if n_features > 2 * n_rows else Features(A)
    few = coordinates.rows.shape[1] <= _MOST_COORDINATES * n_classes
    return Balanced(coordinates, weight) if few else coordinates
