"""Data sets that can, or cannot, be separated, and their margins."""

import numpy as np
from sklearn.svm import SVC


def worst_case(n):
    """One sample (0.5, -1) against n - 1 samples (-0.5, -1)."""
    X = np.full((n, 2), -1.0)
    X[:, 0], X[0, 0] = -0.5, 0.5
    return X, np.arange(n) == 0


def separable(rng, n=30, d=4, gap=0.3):
    """Random samples moved apart along a random direction through zero."""
    w = rng.standard_normal(d)
    w /= np.linalg.norm(w)
    X, y = rng.standard_normal((n, d)), np.arange(n) % 2
    signs = 2.0 * y - 1
    scores = X @ w
    X += np.outer(signs * (np.abs(scores) + gap) - scores, w)
    return X, y


def noise(rng, n=40, d=3):
    """Random samples with labels that have nothing to do with them."""
    return rng.standard_normal((n, d)), np.arange(n) % 2


def clusters(rng, n=45, d=4, n_classes=3, spread=0.3):
    """Clusters of samples, one a class, each separable from all others."""
    y = np.arange(n) % n_classes
    centres = 2.0 * np.eye(n_classes, d)
    return centres[y] + spread * rng.standard_normal((n, d)), y


def signed_rows(X, y, kind="binary", constant=1.0):
    """Rows b whose product with the coefficients is a margin, with a constant column.

    A multiclass problem has the rows a x (e_y - e_j) for j != y, flattened.
    """
    A = np.column_stack([X, np.full(len(X), constant)]) if constant else X
    classes = np.unique(y)
    if kind == "binary":
        return np.where(y == classes[1], 1.0, -1.0)[:, np.newaxis] * A
    unit = np.eye(len(classes))
    y = np.searchsorted(classes, y)
    return np.array(
        [
            np.outer(a, unit[k] - unit[j]).ravel()
            for a, k in zip(A, y)
            for j in range(len(classes))
            if j != k
        ]
    )


def largest_margin(B):
    """Largest min_i <b_i, w> of a unit vector w, by a hard-margin SVM.

    With every row and its mirror image the best intercept of the SVM is zero.
    """
    svm = SVC(kernel="linear", C=1e10, tol=1e-8)
    svm.fit(np.vstack([B, -B]), np.repeat([1, -1], len(B)))
    w = svm.coef_[0]
    return (B @ w).min() / np.linalg.norm(w)
