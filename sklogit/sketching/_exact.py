"""Least squares by the singular value decomposition of all rows."""

import numpy as np
from scipy.linalg import svd

from ._rank import column_norms, rank_tolerance, smallest_singular_value
from ._solution import Solution


def solve_exactly(problem):
    """Solve with LAPACK; of many solutions that of minimum norm.

    Parameters
    ----------
    problem : Problem
        What to solve; its rows are held as one dense matrix.

    Returns
    -------
    Solution
        The solution, whose error counts as zero.
    """
    X, y, weight = problem.rows.gather()
    X, y = X.astype(np.float64), y.astype(np.float64)
    weight = np.ones(len(X)) if weight is None else weight.astype(np.float64)
    first, mean, y_mean = np.zeros(X.shape[1]), np.zeros(X.shape[1]), 0.0
    if problem.fit_intercept:
        # From the first row on, so that a constant column becomes exactly zero.
        first = X[np.argmax(weight > 0)].copy()
        X -= first
        mean = np.average(X, axis=0, weights=weight)
        X -= mean
        y_mean = np.average(y, axis=0, weights=weight)
        y = y - y_mean
    root = np.sqrt(weight)[:, np.newaxis]
    X, y = X * root, y * root
    # Coefficients of columns that are zero must not get rounding of the others.
    live = X.any(axis=0)
    U, s, Vt = svd(X[:, live], full_matrices=False, check_finite=False)
    tolerance = rank_tolerance(X.shape[1], problem.rows.dtype)
    noise = smallest_singular_value(
        s.max(initial=0.0), weight.sum(), first + mean, tolerance
    )
    # Of X above sqrt(alpha) times the identity; zeros need no division.
    stacked = np.hypot(s, np.sqrt(problem.alpha))
    kept = (stacked > noise) & (s > 0)
    V = np.zeros((X.shape[1], int(kept.sum())))
    V[live] = Vt[kept].T
    U, s, stacked = U[:, kept], s[kept], stacked[kept]
    coef = V @ ((U * (s / stacked)).T @ y / stacked[:, np.newaxis])
    residual = column_norms(y - X @ coef)
    P = np.zeros((1 + len(V), 1 + len(s)))
    P[1:, 1:] = V / stacked
    if problem.fit_intercept:
        P[0, 0] = weight.sum() ** -0.5
        P[0, 1:] = -(first + mean) @ P[1:, 1:]
    return Solution(
        coef=coef,
        intercept=y_mean - (first + mean) @ coef,
        residual_norm=residual,
        rank=X.shape[1] if np.sqrt(problem.alpha) > noise else len(s),
        solver="exact",
        n_iter=1,
        root=P,
        error=np.zeros(y.shape[1]),
    )
