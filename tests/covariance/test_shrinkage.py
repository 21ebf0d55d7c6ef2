"""Shrinkage intensities from covariance matrices against scikit-learn's."""

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf, oas

from sklogit.covariance._shrinkage import (
    ledoit_wolf_shrinkage,
    oas_shrinkage,
    shrink_,
)


def _samples(n_features, n_samples, n_matrices=4):
    """Centred samples of increasingly unequal features, (n, N, f)."""
    rng = np.random.default_rng([n_features, n_samples])
    scales = np.logspace(0, np.arange(n_matrices), n_features, axis=1)
    x = rng.standard_normal((n_matrices, n_samples, n_features)) * scales[:, np.newaxis]
    return x - x.mean(axis=1, keepdims=True)


def _empirical(x):
    return x.transpose(0, 2, 1) @ x / x.shape[1]


def _ours(name, x):
    S = _empirical(x)
    if name == "oas":
        return S, oas_shrinkage(S, x.shape[1])
    norm4 = np.sum(np.sum(x**2, axis=2) ** 2, axis=1)
    return S, ledoit_wolf_shrinkage(S, x.shape[1], norm4)


@pytest.mark.parametrize("shape", [(1, 10), (2, 3), (5, 200), (20, 8), (12, 13)])
@pytest.mark.parametrize(
    ("name", "reference"), [("oas", oas), ("lwf", ledoit_wolf)], ids=["oas", "lwf"]
)
def test_intensity_and_covariance_equal_scikit_learn(name, reference, shape):
    x = _samples(*shape)
    S, rho = _ours(name, x)
    expected = [reference(matrix, assume_centered=True) for matrix in x]
    np.testing.assert_allclose(rho, [r for _, r in expected], rtol=1e-12)
    shrink_(S, rho)
    np.testing.assert_allclose(S, [C for C, _ in expected], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("scale", [1e-12, 1e12])
@pytest.mark.parametrize("name", ["oas", "lwf"])
def test_intensity_does_not_depend_on_the_unit(name, scale):
    x = _samples(5, 40)
    np.testing.assert_allclose(_ours(name, scale * x)[1], _ours(name, x)[1], rtol=1e-12)


@pytest.mark.parametrize("name", ["oas", "lwf"])
def test_intensity_stays_between_zero_and_one_on_few_samples(name):
    for n_samples in (2, 3, 4, 6):
        rho = _ours(name, _samples(10, n_samples))[1]
        assert (rho >= 0).all()
        assert (rho <= 1).all()


def test_flat_epochs_have_the_intensity_that_scikit_learn_gives_them():
    # 0 / 0 in both formulas.
    flat = np.zeros((1, 10, 3))
    assert _ours("oas", flat)[1] == oas(flat[0], assume_centered=True)[1] == 1.0
    assert _ours("lwf", flat)[1] == ledoit_wolf(flat[0], assume_centered=True)[1] == 0.0


def test_ledoit_wolf_of_the_identity_shrinks_nothing():
    # The distance to the target is 0: scikit-learn gives 0 too.
    x = np.array([[[1.0, 0], [-1, 0], [0, 1], [0, -1]]])
    assert _ours("lwf", x)[1] == ledoit_wolf(x[0], assume_centered=True)[1] == 0.0


def test_shrunk_matrix_keeps_trace_and_eigenvectors():
    S = _empirical(_samples(6, 30))
    rho = np.array([0.0, 0.3, 0.7, 1.0])
    values, vectors = np.linalg.eigh(S)
    means = values.mean(axis=1)
    shrunk = S.copy()
    shrink_(shrunk, rho)
    values = (1 - rho[:, None]) * values + (rho * means)[:, None]
    expected = (vectors * values[:, None, :]) @ vectors.transpose(0, 2, 1)
    np.testing.assert_allclose(shrunk, expected, rtol=1e-10, atol=1e-10)
    np.testing.assert_array_equal(shrunk[0], S[0])
