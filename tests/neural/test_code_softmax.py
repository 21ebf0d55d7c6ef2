"""The objective of the codes, and its rounds, against closed forms and brute force."""

import numpy as np
import pytest
from scipy.optimize import check_grad
from scipy.sparse import csr_array
from scipy.special import log_softmax

from sklogit.heads._code_mapping import log_shares
from sklogit.heads._vq_conversion import LinearCodes
from sklogit.neural import _code_softmax
from sklogit.neural._code_softmax import Rows, fit_codes, mapping_rounds
from sklogit.neural._code_start import comparable_means

N, D, V, K = 60, 4, 9, 3
CODES = np.arange(V) % K


def make_rows(weighted=False, as_sparse=False, n=N, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    X = (rng.standard_normal((n, D)) * [10.0, 1.0, 1.0, 0.0] + 5.0).astype(dtype)
    X[:, 3] = 2.0  # a constant feature
    weight = rng.uniform(0, 2, n).astype(dtype) if weighted else None
    y = rng.integers(V, size=n)
    return Rows(csr_array(X) if as_sparse else X, y, weight, V)


def dense(X):
    return X.toarray() if isinstance(X, csr_array) else X


def expected_value(rows, codebook, bias, strength):
    weight = np.ones(len(rows.y)) if rows.weight is None else rows.weight
    log_p = log_softmax(dense(rows.X) @ codebook.T + bias, axis=1)
    loss = -np.average(log_p[np.arange(len(rows.y)), CODES[rows.y]], weights=weight)
    return loss + strength * (codebook**2).sum() / (2 * weight.sum())


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("as_sparse", [False, True])
@pytest.mark.parametrize("most_features", [2048, 1])
@pytest.mark.parametrize("strength", [0.0, 2.0])
def test_value_and_gradient(weighted, as_sparse, most_features, strength, monkeypatch):
    monkeypatch.setattr("sklogit.heads._feature_moments.MOST_FEATURES", most_features)
    monkeypatch.setattr(_code_softmax, "_BLOCK_ENTRIES", 1)  # blocks of 64 rows
    rows = make_rows(weighted, as_sparse, n=150)
    objective = rows.objective(CODES, K, strength)
    rng = np.random.default_rng(1)
    codebook, bias = rng.standard_normal((K, D)), rng.standard_normal(K)
    theta = objective.join(codebook, bias)
    found = objective.split(theta)
    np.testing.assert_allclose(found[0], codebook, atol=1e-10)
    np.testing.assert_allclose(found[1], bias, atol=1e-8)
    value = objective(theta)[0]
    assert value == pytest.approx(expected_value(rows, codebook, bias, strength))
    size = np.linalg.norm(objective(theta)[1])
    error = check_grad(lambda t: objective(t)[0], lambda t: objective(t)[1], theta)
    assert error < 1e-4 * max(size, 1)
    loss = objective.loss(codebook, bias)
    assert loss == pytest.approx(expected_value(rows, codebook, bias, 0.0))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_scores_are_exact_and_do_not_overflow(dtype):
    rows = make_rows(dtype=dtype)
    objective = rows.objective(CODES, K, 0.0)
    codebook = 1e3 * np.random.default_rng(0).standard_normal((K, D))
    value, gradient = objective(objective.join(codebook, np.zeros(K)))
    expected = expected_value(rows, codebook, np.zeros(K), 0.0)
    assert expected > 1e3
    assert value == pytest.approx(expected, rel=1e-4)
    assert np.isfinite(gradient).all()


def test_without_iterations_the_start_is_the_result():
    objective = make_rows().objective(CODES, K, 1.0)
    start = np.random.default_rng(0).standard_normal(K * (D + 1))
    fit = fit_codes(objective, start, max_iter=0, tol=1e-4)
    assert fit.parameters is start
    assert fit.loss_curve == [objective(start)[0]]


def test_rows_of_each_class():
    rows = make_rows(weighted=True)
    sums = rows.class_sums()
    for v in range(V):
        own = rows.y == v
        np.testing.assert_allclose(sums[v], rows.weight[own] @ rows.X[own])
        assert rows.counts[v] == pytest.approx(rows.weight[own].sum())
    sparse = make_rows(weighted=True, as_sparse=True).class_sums()
    np.testing.assert_allclose(sparse.toarray(), sums)


@pytest.mark.parametrize("smoothing", [None, 0.5])
def test_objective_never_rises_over_the_rounds(smoothing):
    rng = np.random.default_rng(0)
    y = rng.integers(V, size=600)
    X = 3 * rng.standard_normal((K, D))[y % K] + rng.standard_normal((600, D))
    rows = Rows(X, y, None, V)
    start = LinearCodes(rng.permutation(CODES), np.zeros((K, D)), np.zeros(K), None)

    def mass_of(counts):
        return np.ones(V) if smoothing is None else counts + smoothing

    options = {"strength": 1.0, "max_iter": 500, "tol": 1e-9}
    rounds = list(mapping_rounds(rows, rows, start, mass_of, 6, **options))
    objectives = [r.objective for r in rounds]
    assert len(rounds) > 2
    assert (np.diff(objectives) <= 1e-6).all()
    assert objectives[-1] < objectives[0] - 0.1
    for r in rounds:
        log_p = log_softmax(X @ r.codebook.T + r.bias, axis=1)
        shares = log_shares(r.codes, mass_of(rows.counts))
        nll = -(log_p[np.arange(600), r.codes[y]] + shares[y]).mean()
        assert r.held_out == pytest.approx(nll)
        penalty = (r.codebook**2).sum() / 1200
        assert r.objective == pytest.approx(nll + penalty)


def test_rounds_end_where_nothing_moves():
    rows = make_rows(n=300)
    start = LinearCodes(np.zeros(V, int), np.zeros((1, D)), np.zeros(1), None)
    options = {"strength": 1.0, "max_iter": 50, "tol": 1e-4}
    rounds = mapping_rounds(
        rows, rows, start, lambda counts: counts + 0.5, 5, **options
    )
    assert len(list(rounds)) == 1


# -- means of classes ------------------------------------------------------------------


def test_means_are_drawn_together_as_far_as_they_are_noise():
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((50, 3)) * [1.0, 10.0, 100.0]
    y = np.concatenate([np.arange(50), np.repeat(np.arange(25), 40)])
    X = centres[y] + rng.standard_normal((len(y), 3)) * [1.0, 10.0, 100.0] + 7.0
    rows = Rows(X, y, None, 50)
    means = comparable_means(rows, 0)
    plain = np.array([X[y == v].mean(axis=0) for v in range(50)]) - X.mean(axis=0)
    within = np.array([X[y == v] - X[y == v].mean(axis=0) for v in range(25)]).reshape(
        -1, 3
    )
    ratio = means / (plain / within.std(axis=0))
    # The same factor for all features of a class, close to 1 with 41 rows.
    np.testing.assert_allclose(ratio, ratio[:, :1].repeat(3, axis=1), rtol=0.15)
    assert (ratio[:25] > 0.9).all()
    assert (ratio[25:] < 0.75).all()


def test_a_class_without_rows_is_at_the_mean():
    rows = make_rows()
    rows.counts[:] = np.bincount(rows.y, minlength=V)
    empty = Rows(rows.X, np.minimum(rows.y, V - 2), None, V)
    assert not comparable_means(empty, 0)[V - 1].any()


@pytest.mark.parametrize("as_sparse", [False, True])
def test_many_features_are_projected(as_sparse):
    rng = np.random.default_rng(0)
    X = (rng.uniform(size=(200, 2500)) < 0.02).astype(np.float32)
    y = np.arange(200) % V
    X[y == 0, :300] += 1
    means = comparable_means(Rows(csr_array(X) if as_sparse else X, y, None, V), 0)
    assert means.shape == (V, 512)
    assert means.dtype == np.float32
    distances = np.linalg.norm(means - means[1], axis=1)
    assert distances[0] > 1.5 * distances[2:].max()
