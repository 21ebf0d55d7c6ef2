"""Triangular factors of tall matrices."""

import numpy as np
from scipy.linalg import qr
from scipy.linalg.lapack import dpocon, dpotrf

# The factor from a Gram matrix has a relative error of the unit roundoff over this, at
# a fifth of the time.
_LEAST_RECIPROCAL = 1e-4


def triangular_root(A):
    """Return the upper triangular R with R'R = A'A.

    Parameters
    ----------
    A : ndarray of shape (n_rows, n_columns)
        Float32 or float64.

    Returns
    -------
    ndarray of shape (n_columns, n_columns)
        The factor R of A = QR, up to the signs of its rows; in float64.
    """
    A = A.astype(np.float64, copy=False)
    d = A.shape[1]
    if len(A) > 2 * d:
        R = _from_gram_matrix(A)
        if R is not None:
            return R
    R = qr(A, mode="r", check_finite=False)[0][:d]
    return np.vstack([R, np.zeros((d - len(R), d))])


def _from_gram_matrix(A):
    with np.errstate(over="ignore", invalid="ignore"):  # then it is not taken
        gram = A.T @ A
    size = np.sqrt(np.diag(gram))
    if not (size > 0).all() or not np.isfinite(gram).all():
        return None
    correlation = gram / np.outer(size, size)
    lower, info = dpotrf(correlation, lower=1, clean=1)
    if info:
        return None
    norm = np.abs(correlation).sum(axis=0).max()
    if dpocon(lower, norm, uplo="L")[0] < _LEAST_RECIPROCAL:
        return None
    return lower.T * size
