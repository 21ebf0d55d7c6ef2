"""Least-squares problems and independent references for tests of regression."""

from fractions import Fraction

import numpy as np
from scipy.linalg import lstsq


def conditioned(n, p, cond, residual, seed=0):
    """A, b with that condition number, x of norm 1 and residual of that norm."""
    rng = np.random.default_rng(seed)
    U = np.linalg.qr(rng.standard_normal((n, p)))[0]
    V = np.linalg.qr(rng.standard_normal((p, p)))[0]
    A = (U * np.logspace(0, -np.log10(cond), p)) @ V.T
    x = rng.standard_normal(p)
    r = rng.standard_normal(n)
    r -= U @ (U.T @ r)
    return A, A @ (x / np.linalg.norm(x)) + residual * r / np.linalg.norm(r)


def backward_error(A, b, x):
    """Least relative change of A for which x is a solution, to a small factor.

    Estimate of Karlson and Walden, |(A'A + h^2 I)^(-1/2) A'r| / |x|, h = |r| / |x|.
    """
    _, s, Vt = np.linalg.svd(A, full_matrices=False)
    r, size = b - A @ x, np.linalg.norm(x)
    gradient = Vt @ (A.T @ r)
    h = np.linalg.norm(r) / size
    return np.linalg.norm(gradient / np.hypot(s, h)) / (size * s[0])


def least_squares(X, y, weight=None, alpha=0.0, fit_intercept=True):
    """Coefficients (n_features, n_targets) and intercepts, by LAPACK on whole arrays.

    The penalty becomes further rows, and the solution is that of minimum norm.
    """
    X, y = np.asarray(X, dtype=float), np.asarray(y, dtype=float).reshape(len(X), -1)
    weight = np.ones(len(X)) if weight is None else weight
    first, mean, y_mean = 0.0, np.zeros(X.shape[1]), np.zeros(y.shape[1])
    if fit_intercept:
        first = X[np.argmax(weight > 0)]
        mean = np.average(X - first, axis=0, weights=weight)
        y_mean = np.average(y, axis=0, weights=weight)
    root = np.sqrt(weight)[:, np.newaxis]
    A, b = (X - first - mean) * root, (y - y_mean) * root
    if alpha:
        A = np.vstack([A, np.sqrt(alpha) * np.eye(X.shape[1])])
        b = np.vstack([b, np.zeros((X.shape[1], b.shape[1]))])
    coef = lstsq(A, b, cond=1e-14)[0]
    return coef, y_mean - (first + mean) @ coef


def rational_least_squares(A, b):
    """Solution of full-rank least squares in rational numbers, rounded once."""
    A = [[Fraction(float(a)) for a in row] for row in A]
    b = [Fraction(float(v)) for v in b]
    p = len(A[0])
    rows = [
        [sum(r[i] * r[j] for r in A) for j in range(p)]
        + [sum(r[i] * v for r, v in zip(A, b))]
        for i in range(p)
    ]
    for i in range(p):
        for k in range(p):
            if k != i:
                factor = rows[k][i] / rows[i][i]
                rows[k] = [a - factor * c for a, c in zip(rows[k], rows[i])]
    return np.array([float(rows[i][p] / rows[i][i]) for i in range(p)])
