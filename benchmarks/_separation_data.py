"""Data sets of the benchmarks on linear separation, with their recipes."""

import os
from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn.datasets import (
    load_breast_cancer,
    load_digits,
    load_svmlight_file,
    load_wine,
    make_blobs,
)
from sklearn.preprocessing import StandardScaler, normalize


def worst_case(n):
    """One sample (0.5, -1) against n - 1 samples (-0.5, -1); no intercept."""
    X = np.full((n, 2), -1.0)
    X[:, 0], X[0, 0] = -0.5, 0.5
    return X, np.arange(n) == 0


def digits_pair(first=3, second=5):
    """Two digits, pixels in [0, 1]."""
    X, y = load_digits(return_X_y=True)
    kept = np.isin(y, [first, second])
    return X[kept] / 16, (y[kept] == second).astype(int)


def digits_few_zeros():
    """Take the first 20 zeros against all other digits."""
    X, y = load_digits(return_X_y=True)
    zero = y == 0
    kept = ~zero | (np.cumsum(zero) <= 20)
    return X[kept] / 16, zero[kept].astype(int)


def digits_zero_against_rest():
    """Zero against all other digits."""
    X, y = load_digits(return_X_y=True)
    return X / 16, (y == 0).astype(int)


def tall():
    """Two distant normal clouds, 300000 x 20."""
    return _clouds(300_000, 20, distance=7.0)


def gauss():
    """Two normal clouds that nearly touch, 2000 x 20."""
    return _clouds(2000, 20, distance=3.6)


def _clouds(n, d, distance):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, n)
    centre = np.full(d, distance / np.sqrt(d))
    return rng.standard_normal((n, d)) + np.where(y, 1, -1)[:, np.newaxis] * centre, y


def many_classes():
    """100 distant blobs, 10000 x 256."""
    return make_blobs(10_000, 256, centers=100, cluster_std=1.0, random_state=0)


def rare_class():
    """Move the 0.2 % of normal rows farthest along a direction apart, by 0.2."""
    rng = np.random.default_rng(0)
    X, w = rng.standard_normal((20_000, 50)), rng.standard_normal(50)
    w /= np.linalg.norm(w)
    scores = X @ w
    y = (scores > np.sort(scores)[-41]).astype(int)
    return X + 0.1 * np.where(y, 1, -1)[:, np.newaxis] * w, y


def feature_scales():
    """Labels by a hyperplane of normal rows with a gap; features of scale 1 to 1e-3."""
    rng = np.random.default_rng(0)
    X, w = rng.standard_normal((8000, 60)), rng.standard_normal(60)
    w /= np.linalg.norm(w)
    sign = np.sign(X @ w)
    X += 0.1 * sign[:, np.newaxis] * w
    return X * np.logspace(0, -3, 60), (sign > 0).astype(int)


def wide():
    """Random labels of normal rows, 1000 x 3000: separable, as n < d."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((1000, 3000)), rng.integers(0, 2, 1000)


def text_like():
    """Sparse rows of unit norm with Zipf frequencies; rows near the border left out."""
    rng = np.random.default_rng(0)
    n, d, words = 20_000, 10_000, 80
    frequency = 1 / np.arange(1, d + 1)
    columns = rng.choice(d, n * words, p=frequency / frequency.sum())
    rows = np.repeat(np.arange(n), words)
    X = sparse.csr_array((np.ones(n * words), (rows, columns)), shape=(n, d))
    X.sum_duplicates()
    document_frequency = np.bincount(X.indices, minlength=d)
    X.data = (1 + np.log(X.data)) * np.log(n / (1 + document_frequency))[X.indices]
    X = normalize(X)
    scores = X @ rng.standard_normal(d)
    scores -= np.median(scores)
    kept = np.abs(scores) > np.quantile(np.abs(scores), 0.01)
    X = sparse.csr_array(X[kept])
    X.indices, X.indptr = X.indices.astype(np.int32), X.indptr.astype(np.int32)
    return X, (scores[kept] > 0).astype(int)


def breast_cancer():
    """Breast cancer, standardised: separable with a tiny margin."""
    X, y = load_breast_cancer(return_X_y=True)
    return StandardScaler().fit_transform(X), y


def wine():
    """Three wines, standardised."""
    X, y = load_wine(return_X_y=True)
    return StandardScaler().fit_transform(X), y


def wine_against_rest():
    """Take the second wine, the least separable one, against the others."""
    X, y = wine()
    return X, (y == 1).astype(int)


def random_labels():
    """Random labels of normal rows, 2000 x 20."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((2000, 20)), rng.integers(0, 2, 2000)


def libsvm(name):
    """One of the sets german_scale, a9a, w8a, or None if it is not there."""
    path = Path(os.environ.get("SKLOGIT_DATA", "data"), "libsvm_binary")
    file = path / f"{name}.svm.gz"
    if not file.exists():
        return None
    X, y = load_svmlight_file(str(file))
    X = sparse.csr_array(X)
    X.indices, X.indptr = X.indices.astype(np.int32), X.indptr.astype(np.int32)
    return (X.toarray() if name == "german_scale" else X), (y > 0).astype(int)
