"""Auxiliary features: class means, and coordinates of few rows."""

import numpy as np
from scipy import linalg, sparse


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
        The coordinates R.
    """

    def __init__(self, A):
        gram = A @ A.T
        gram = gram.toarray() if sparse.issparse(gram) else gram
        values, vectors = linalg.eigh(gram.astype(np.float64), overwrite_a=True)
        kept = values > len(values) * np.finfo(A.dtype).eps * max(values[-1], 0)
        root = np.sqrt(values[kept])
        self.rows = (vectors[:, kept] * root).astype(A.dtype)
        self._A, self._to_rows = A, (vectors[:, kept] / root).astype(A.dtype)

    def coefficients(self, V):
        """Coefficients of the features, of those of the coordinates."""
        of_rows = self._to_rows @ V.T.astype(self._to_rows.dtype)
        return np.asarray(self._A.T @ of_rows).T


class Features:
    """The features themselves as coordinates, where `Span` would save little."""

    def __init__(self, A):
        self.rows = A

    def coefficients(self, V):
        """Return the same coefficients."""
        return V


def coordinates_of(A):
    """Coordinates in which a fit to the rows is cheap.

    Parameters
    ----------
    A : ndarray or sparse matrix of shape (n_rows, n_features)
        The rows.

    Returns
    -------
    Span or Features
        The span of the rows if there are more than two features a row.
    """
    n_rows, n_features = A.shape
    return Span(A) if n_features > 2 * n_rows else Features(A)
