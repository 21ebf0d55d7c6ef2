"""Tall least-squares problems for the benchmarks of sketched regression."""

import numpy as np


def gaussian(n, d, rng):
    """Independent normal features: the easiest case."""
    return rng.standard_normal((n, d))


def spiky(n, d, rng):
    """One row in a thousand is a hundred times as large."""
    X = rng.standard_normal((n, d))
    X[rng.random(n) < 1e-3] *= 100.0
    return X


def student(n, d, rng):
    """Tails of Student's t with 1.5 degrees of freedom: infinite variance."""
    return rng.standard_t(1.5, size=(n, d))


def rare_dummies(n, d, rng):
    """Numbers beside indicators of rare categories, as tables have them."""
    X = rng.standard_normal((n, d))
    for j in range(d // 2):
        X[:, j] = rng.random(n) < 2.0 ** -(1 + j % 8)
    return X


def digit_pixels(n, d, rng):
    """Pixels of scikit-learn's digits, rows drawn with replacement, plus noise."""
    from sklearn.datasets import load_digits

    X = load_digits().data
    X = X[:, np.argsort(X.std(axis=0))[::-1][:d]]
    return X[rng.integers(len(X), size=n)] + 1e-3 * rng.standard_normal((n, d))


def health_insurance(n, d, rng):
    """Real table: the RAND health insurance experiment, as statsmodels has it."""
    from statsmodels.datasets import randhie

    data = randhie.load_pandas()
    X = data.exog.to_numpy(dtype=float)
    rows = rng.permutation(len(X))[:n]
    return X[rows, :d]


def target(X, rng, noise=1.0):
    """Linear target; the noise of a row grows with its first feature."""
    coef = rng.standard_normal(X.shape[1])
    size = 1.0 + np.abs(X[:, 0]) / (1.0 + np.abs(X[:, 0]).mean())
    return X @ coef + noise * size * rng.standard_normal(len(X))


def of_condition(n, d, condition, residual, rng):
    """Problem of a given condition number and norm of the residual.

    Singular values fall geometrically from 1 to 1 / condition; the solution has norm 1.
    """
    U = np.linalg.qr(rng.standard_normal((n, d)))[0]
    V = np.linalg.qr(rng.standard_normal((d, d)))[0]
    X = (U * np.geomspace(1.0, 1.0 / condition, d)) @ V.T
    coef = rng.standard_normal(d)
    coef /= np.linalg.norm(coef)
    r = rng.standard_normal(n)
    r -= U @ (U.T @ r)
    return X, X @ coef + residual * r / np.linalg.norm(r)
