"""Directions that a factor of normal equations has and least squares leaves out."""

from dataclasses import replace

import numpy as np
from scipy.linalg import solve_triangular, svd
from scipy.linalg.lapack import dtrcon

from ._rank import norm, smallest_singular_value

# LAPACK estimates condition numbers from below, in norms that differ from the spectral
# one by up to the number of columns: this much is left between certain and uncertain.
_DOUBT = 100.0


def without_noise(factor, inverse_transform, tolerance):
    """Drop directions of singular values that are rounding, as LAPACK does.

    The columns of X may be of very different sizes. Scaled, as for the Cholesky factor,
    the equations are well; but a column of rounding size beside another is noise, which
    minimum-norm solutions have to leave out.

    Parameters
    ----------
    factor : NormalFactor
        Factor of the equations.
    inverse_transform : ndarray of shape (rank, n_features) or None
        Left inverse of the transform of its frame.
    tolerance : float
        From `rank_tolerance`.

    Returns
    -------
    NormalFactor
        The same if all counts; else one for an orthonormal basis of what counts.
    """
    if not factor.rank:
        return factor
    R, mean = _in_columns_of_X(factor, inverse_transform)
    spread_of_mean = factor.total_weight, mean, tolerance
    if is_full_rank(R, smallest_singular_value(norm(R), *spread_of_mean)):
        return factor
    U, s, Vt = svd(R, full_matrices=False, check_finite=False)
    noise = smallest_singular_value(s[0], *spread_of_mean)
    kept = s > noise
    if kept.all():
        return factor
    basis = np.zeros((len(factor.mean), int(kept.sum())))
    if inverse_transform is None:
        basis[factor.live] = Vt[kept].T / s[kept]
    else:
        basis = Vt[kept].T / s[kept]
    if factor.frame.scale is not None:
        basis = basis / factor.frame.scale[:, np.newaxis]
    reduced = _in_basis(factor, basis, U[:, kept])
    reduced.null = np.zeros(len(basis))
    columns = factor.live if inverse_transform is None else slice(None)
    reduced.null[columns] = null_part(Vt[kept], s[kept], noise)
    return reduced


def null_part(Vt, s, noise):
    """Part of the norm of a solution that rounding may move to each coefficient.

    Directions that are left out are known up to the angle of noise and what is kept.

    Parameters
    ----------
    Vt : ndarray of shape (rank, n_features)
        Orthonormal rows, the directions that are kept.
    s : ndarray of shape (rank,)
        Their singular values.
    noise : float
        Singular values that are rounding.

    Returns
    -------
    ndarray of shape (n_features,)
        The part.
    """
    left_out = np.sqrt(np.maximum(1.0 - np.sum(Vt**2, axis=0), 0.0))
    return left_out * min(1.0, noise / s.min(initial=np.inf))


def _in_columns_of_X(factor, inverse_transform):
    """Root R of the centred moments of X, as it came, and its mean.

    Without a transform constant columns are left out, so that R is triangular.
    """
    frame, live = factor.frame, factor.live
    R = factor.lower.T * factor.scale
    columns = live
    if inverse_transform is None:
        mean = factor.mean[live]
    else:
        R = R @ inverse_transform[live]
        mean = factor.mean @ inverse_transform
        columns = slice(None)
    if frame.scale is not None:
        R, mean = R / frame.scale[columns], mean / frame.scale[columns]
    if frame.shift is not None:
        mean = mean + frame.shift[columns]
    return R, mean


def _in_basis(factor, basis, rotation):
    """Return the factor for columns Z B that are orthonormal once centred.

    The rotation gives these columns in terms of the old ones, L' diag(d) u.
    """
    centred = solve_triangular(factor.lower, rotation, lower=True, trans="T")
    old = np.zeros((len(factor.mean), rotation.shape[1]))
    old[factor.live] = centred / factor.scale[:, np.newaxis]
    r = rotation.shape[1]
    reduced = replace(
        factor,
        frame=factor.frame.with_transform(basis),
        lower=np.eye(r),
        scale=np.ones(r),
        mean=factor.mean @ old,
        live=np.ones(r, dtype=bool),
    )
    u, constant = factor.start
    fitted = factor.lower.T @ (u[factor.live] * factor.scale[:, np.newaxis])
    start = rotation.T @ fitted
    if factor.has_intercept:
        constant = constant + factor.mean @ u - reduced.mean @ start
    reduced.start = start, constant
    return reduced


def is_full_rank(R, noise):
    """Whether a triangular matrix has no singular value near the noise, for certain."""
    if R.shape[0] < R.shape[1] or not np.array_equal(R, np.triu(R)):
        return False
    reciprocal, _ = dtrcon(R)
    return reciprocal * np.abs(R).sum(axis=0).max() > _DOUBT * noise
