"""Least squares from one sketch of all rows, with error bars."""

import warnings

import numpy as np
from scipy.linalg import svd
from scipy.linalg.lapack import dtrtri

from ._rank import column_norms, norm, rank_tolerance, smallest_singular_value
from ._solution import Solution
from ._triangular import triangular_root
from ._truncation import is_full_rank

# Their bound on single coefficients fails where few rows matter, as with rare dummies.
_SPARSE_SKETCHES = ("sparse_sign", "countsketch")


def warn_of_sketch(sketch, sketch_size, n_rows):
    """Warn of sketches that promise nothing, or save nothing.

    Parameters
    ----------
    sketch : str
        Name of the sketch.
    sketch_size : int
        Its rows.
    n_rows : int or None
        Rows of the data, if known.
    """
    if sketch in _SPARSE_SKETCHES:
        warnings.warn(
            f"sketch={sketch!r} gives no bound on single coefficients: error bars may "
            "be far too small on tables with rare categories or outliers. Use "
            "'block_srht', or refinement.",
            UserWarning,
            stacklevel=5,
        )
    if n_rows is not None and n_rows / 2 < sketch_size < n_rows:
        warnings.warn(
            f"A sketch of {sketch_size} rows saves no time for {n_rows} rows: leave "
            "eps=None for the exact solution, or increase eps.",
            UserWarning,
            stacklevel=5,
        )


def solve_sketch(SA, n_targets, alpha, fit_intercept, dtype, variance_factor=1.0):
    """Solve the problem of sketched rows.

    Parameters
    ----------
    SA : ndarray of shape (sketch_size, 1 + n_features + n_targets)
        Sketch of [1, X, y] with weighted rows.
    n_targets : int
        Columns of y.
    alpha : float
        Penalty of the squared coefficients.
    fit_intercept : bool
        Whether the first column counts.
    dtype : dtype
        Type of the data, for the rank.
    variance_factor : float, default=1.0
        From `finite_population`.

    Returns
    -------
    Solution
        The solution. Its `error` is the estimated standard deviation s, so that the
        standard error of coefficient j is s times the norm of row j of `root`, with
        respect to the least-squares solution of all rows.

    Notes
    -----
    Given S A, the error of a Gaussian sketch is exactly normal with covariance
    |r|^2 / m ((SA)'SA)^-1: S r is independent of S A, because r is orthogonal to the
    columns of A. For other dense sketches it is so nearly, as measured.
    """
    m, p = len(SA), SA.shape[1] - 1 - n_targets
    R = triangular_root(SA) if np.isfinite(SA).all() else np.full((p, p), np.nan)
    if not np.isfinite(R).all():
        raise ValueError(
            f"Sums of the values of X or y overflow in a sketch of type {SA.dtype}: "
            "divide them by some number."
        )
    first, mean, y_mean = R[0, 0], np.zeros(p), np.zeros(n_targets)
    inner, right = R[:, 1 : 1 + p], R[:, 1 + p :]
    has_intercept = fit_intercept and first != 0
    if has_intercept:
        mean, y_mean = R[0, 1 : 1 + p] / first, R[0, 1 + p :] / first
        inner, right = inner[1:], right[1:]
    tolerance = first**2, mean, rank_tolerance(p, dtype)
    basis, coordinates = _orthonormal_basis(inner, right, alpha, *tolerance)
    coef, rank = basis @ coordinates, basis.shape[1]
    residual = column_norms(right - inner @ coef)
    freedom = max(m - rank - fit_intercept, 0)
    deviation = (
        residual / np.sqrt(freedom) if freedom else np.where(residual, np.inf, 0)
    )
    P = np.zeros((1 + p, 1 + rank))
    P[1:, 1:] = basis
    if has_intercept:
        P[0, 0] = 1 / abs(first)
        P[0, 1:] = -mean @ basis
    return Solution(
        coef=coef,
        intercept=y_mean - mean @ coef,
        residual_norm=np.sqrt(m) * deviation if freedom else residual,
        rank=rank,
        solver="sketch",
        n_iter=1,
        root=P,
        error=deviation * np.sqrt(variance_factor),
        sketch_size=m,
        degrees_of_freedom=freedom,
        root_is_sketched=True,
    )


def _orthonormal_basis(inner, right, alpha, total_weight, mean, tolerance):
    """Return B, with orthonormal columns of [inner; sqrt(alpha) I] B, and u.

    The penalised least-squares solution for the right-hand side is B u.
    """
    p = inner.shape[1]
    rows = np.hstack([inner, right])
    if alpha:
        rows = np.vstack([rows, np.sqrt(alpha) * np.eye(p, rows.shape[1])])
        rows = triangular_root(rows)
    R, right = rows[:p, :p], rows[:p, p:]
    if len(R) == p and not np.tril(R, -1).any():
        noise = smallest_singular_value(norm(R), total_weight, mean, tolerance)
        if is_full_rank(R, noise):
            return dtrtri(R)[0], right
    U, s, Vt = svd(rows[:, :p], full_matrices=False, check_finite=False)
    largest = s.max(initial=0.0)
    kept = s > smallest_singular_value(largest, total_weight, mean, tolerance)
    return Vt[kept].T / s[kept], U[:, kept].T @ rows[:, p:]
