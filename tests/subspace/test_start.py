import numpy as np
import pytest
from scipy import sparse

from sklogit.subspace import _start
from sklogit.subspace._start import principal_subspaces, random_subspaces


def rng(seed=0):
    return np.random.RandomState(seed)


def projector(S):
    return S @ S.swapaxes(-1, -2)


def reference(X, y, weight, k, constant):
    """First right singular vectors of the unit rows of each class."""
    if constant:
        X = np.column_stack([X, np.full(len(X), constant)])
    X = X / np.linalg.norm(X, axis=1, keepdims=True)
    X = X * np.sqrt(weight)[:, np.newaxis]
    return np.stack([np.linalg.svd(X[y == c])[2][:k].T for c in range(y.max() + 1)])


@pytest.fixture
def data():
    gen = np.random.default_rng(0)
    X = gen.standard_normal((60, 12)) * np.geomspace(4, 1, 12) + gen.standard_normal(12)
    return X, gen.integers(3, size=60), gen.uniform(0.1, 3, 60)


@pytest.mark.parametrize("n_features", [12, 40])  # fewer than rows of a class, and more
@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array])
def test_principal_subspaces_are_those_of_the_singular_vectors(data, n_features, make):
    X, y, weight = data
    X = np.tile(X, 4)[:, :n_features] + np.random.default_rng(1).uniform(
        size=(60, n_features)
    )
    found = principal_subspaces(make(X), y, weight, 3, 4, 1.5, rng())
    expected = reference(X, y, weight, 4, 1.5)
    assert found.shape == (3, n_features + 1, 4)
    np.testing.assert_allclose(projector(found), projector(expected), atol=1e-10)
    # Columns too, in the order of the singular values; the largest entry is positive.
    signs = np.sign((found * expected).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(found, signs * expected, atol=1e-9)
    largest = np.take_along_axis(found, np.abs(found).argmax(1, keepdims=True), 1)
    assert (largest > 0).all()


def test_weights_are_repetitions(data):
    X, y, _ = data
    times = np.random.default_rng(2).integers(1, 4, 60)
    rows = np.repeat(np.arange(60), times)
    np.testing.assert_allclose(
        projector(principal_subspaces(X, y, times, 3, 4, 0.0, rng())),
        projector(principal_subspaces(X[rows], y[rows], None, 3, 4, 0.0, rng())),
        atol=1e-12,
    )


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("n_features", [15, 40])
def test_large_classes_are_decomposed_by_iterations(monkeypatch, make, n_features):
    monkeypatch.setattr(_start, "_LARGEST_GRAM", 10)
    X = np.random.default_rng(3).standard_normal((30, n_features)) + 0.5
    y = np.zeros(30, dtype=int)
    found = principal_subspaces(make(X), y, None, 1, 3, 0.0, rng())
    expected = reference(X, y, np.ones(30), 3, 0.0)
    np.testing.assert_allclose(projector(found), projector(expected), atol=1e-8)


def test_blocks_of_rows_add_up(monkeypatch, data):
    X, y, weight = data
    whole = principal_subspaces(X, y, weight, 3, 4, 1.0, rng())
    monkeypatch.setattr(_start, "_BLOCK_ENTRIES", 13 * 7)
    parts = principal_subspaces(X, y, weight, 3, 4, 1.0, rng())
    np.testing.assert_allclose(parts, whole, atol=1e-12)


@pytest.mark.parametrize("n_features", [3, 12])
def test_missing_directions_are_random_and_seeded(data, n_features):
    X, y, _ = data
    X = X[:, :n_features]
    few = np.concatenate([np.flatnonzero(y == 0)[:1], np.flatnonzero(y == 1)])
    X, y = X[few], y[few]  # one row of class 0, none of class 2
    S = principal_subspaces(X, y, None, 3, 2, 0.0, rng())
    np.testing.assert_allclose(
        S.mT @ S, np.broadcast_to(np.eye(2), (3, 2, 2)), atol=1e-13
    )
    x = X[0] / np.linalg.norm(X[0])
    np.testing.assert_allclose(np.abs(S[0, :, 0]), np.abs(x), atol=1e-12)
    again = principal_subspaces(X, y, None, 3, 2, 0.0, rng())
    other = principal_subspaces(X, y, None, 3, 2, 0.0, rng(1))
    np.testing.assert_array_equal(S, again)
    assert np.abs(S[0, :, 1] - other[0, :, 1]).max() > 1e-3


def test_equal_rows_and_rows_of_zeros_count_once_and_never():
    X = np.zeros((6, 5))
    X[:4, 1] = 2.0
    S = principal_subspaces(X, np.zeros(6, dtype=int), None, 1, 3, 0.0, rng())
    np.testing.assert_allclose(S[0, :, 0], [0, 1, 0, 0, 0], atol=1e-12)
    np.testing.assert_allclose(S[0].T @ S[0], np.eye(3), atol=1e-13)


def test_random_subspaces_are_orthonormal_and_uniform():
    S = random_subspaces(4000, 4, 2, rng())
    np.testing.assert_allclose(
        S.mT @ S, np.broadcast_to(np.eye(2), (4000, 2, 2)), atol=1e-13
    )
    # The mean projector of uniform subspaces is k / n times the identity.
    np.testing.assert_allclose(projector(S).mean(axis=0), np.eye(4) / 2, atol=0.02)
    np.testing.assert_allclose(S.mean(axis=0), 0.0, atol=0.03)
