import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_expit, log_softmax
from sklearn.linear_model import LogisticRegression

from sklogit._probability import fit_scale
from sklogit.linear_model import NormalizedLogisticRegression

from .linear_model.common import clusters, noise, separable


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def smooth_targets(y, weight, n_classes):
    mass = np.bincount(y, weights=weight, minlength=n_classes)
    return ((mass + 1) / (mass + n_classes))[y]


def minimise(loss):
    found = minimize_scalar(
        lambda log: loss(np.exp(log)), bounds=(-15, 15), options={"xatol": 1e-10}
    )
    return np.exp(found.x)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("gap", [-0.5, 0.5])
def test_binary_factor_minimises_the_smoothed_log_loss(rng, gap, weighted):
    y = np.arange(60) % 2
    signs = 2 * y - 1
    margins = 3 * (np.abs(rng.standard_normal(60)) + gap)
    margins[rng.random(60) < 0.5] += 4
    weight = rng.uniform(0.5, 2, 60) if weighted else np.ones(60)
    t = smooth_targets(y, weight, 2)

    def loss(a):
        log = t * log_expit(a * margins) + (1 - t) * log_expit(-a * margins)
        return -weight @ log

    factor = fit_scale("binary", margins, y, weight if weighted else None, 2)
    assert factor == pytest.approx(minimise(loss), rel=1e-4)

    # The same by scikit-learn: both answers of every row, weighted by the targets.
    scores = (signs * margins)[:, np.newaxis]
    reference = LogisticRegression(
        C=1e12, fit_intercept=False, tol=1e-10, solver="newton-cholesky"
    ).fit(
        np.vstack([scores, scores]),
        np.concatenate([y, 1 - y]),
        np.concatenate([weight * t, weight * (1 - t)]),
    )
    assert factor == pytest.approx(reference.coef_[0, 0], rel=1e-4)


@pytest.mark.parametrize("weighted", [False, True])
def test_softmax_factor_minimises_the_smoothed_log_loss(rng, weighted):
    y = np.arange(60) % 4
    scores = 5 * rng.standard_normal((60, 4))
    scores[np.arange(60), y] += 6
    weight = rng.uniform(0.5, 2, 60) if weighted else np.ones(60)
    t = smooth_targets(y, weight, 4)
    targets = np.repeat(((1 - t) / 3)[:, np.newaxis], 4, axis=1)
    targets[np.arange(60), y] = t
    np.testing.assert_allclose(targets.sum(axis=1), 1)

    def loss(a):
        return -weight @ (targets * log_softmax(a * scores, axis=1)).sum(axis=1)

    factor = fit_scale("multinomial", scores, y, weight if weighted else None, 4)
    assert factor == pytest.approx(minimise(loss), rel=1e-4)


def test_one_versus_rest_factor_minimises_the_sum_of_binary_losses(rng):
    y = rng.integers(0, 3, 60)
    scores = 2 * rng.standard_normal((60, 3)) - 1
    scores[np.arange(60), y] += 4
    t = smooth_targets(y, np.ones(60), 3)
    targets = np.repeat(((1 - t) / 2)[:, np.newaxis], 3, axis=1)
    targets[np.arange(60), y] = t

    def loss(a):
        log = targets * log_expit(a * scores) + (1 - targets) * log_expit(-a * scores)
        return -log.sum()

    factor = fit_scale("ovr", scores, y, None, 3)
    assert factor == pytest.approx(minimise(loss), rel=1e-4)


@pytest.mark.parametrize("size", [1e-200, 1e-8, 1e8, 1e200])
def test_factor_undoes_the_size_of_the_scores(rng, size):
    y = np.arange(30) % 2
    margins = rng.standard_normal(30) + 1
    factor = fit_scale("binary", margins, y, None, 2)
    scaled = fit_scale("binary", size * margins, y, None, 2)
    assert scaled * size == pytest.approx(factor, rel=1e-6)


@pytest.mark.parametrize("kind", ["binary", "multinomial", "ovr"])
def test_factor_is_positive_where_scores_are_no_better_than_chance(kind):
    y = np.arange(40) % (2 if kind == "binary" else 4)
    scores = -np.ones(40) if kind == "binary" else -np.eye(4)[y]
    factor = fit_scale(kind, scores, y, None, y.max() + 1)
    assert 0 < factor < 1e-3
    assert np.allclose(expit(factor * scores), 0.5, atol=1e-3)


def test_factor_of_zero_scores_is_one():
    assert fit_scale("binary", np.zeros(4), np.arange(4) % 2, None, 2) == 1.0


# -- the estimator ---------------------------------------------------------------------


@pytest.mark.parametrize("multi_class", ["multinomial", "ovr"])
@pytest.mark.parametrize("data", [separable, clusters, noise])
def test_probabilities_agree_with_predictions(rng, data, multi_class):
    X, y = data(rng)
    clf = NormalizedLogisticRegression(
        multi_class=multi_class, max_iter=20, on_nonseparable="ignore"
    ).fit(X, y)
    P = clf.predict_proba(X)
    np.testing.assert_allclose(P.sum(axis=1), 1)
    assert ((P >= 0) & (P <= 1)).all()
    np.testing.assert_array_equal(clf.classes_[P.argmax(axis=1)], clf.predict(X))
    np.testing.assert_allclose(clf.predict_log_proba(X), np.log(P))


def test_probabilities_of_separated_data_are_not_certain(rng):
    X, y = separable(rng)
    P = NormalizedLogisticRegression(step_size=1e8).fit(X, y).predict_proba(X)
    assert P.max() < 1
    # The smoothed targets are 16/17 for 15 rows a class.
    assert 0.6 < P.max(axis=1).mean() < 0.99


def test_probabilities_do_not_depend_on_the_step_size(rng):
    # One step from zero: the coefficients are proportional to it.
    X, y = separable(rng)
    P = [
        NormalizedLogisticRegression(
            step_size=c, max_iter=1, stopping="max_iter", on_nonseparable="ignore"
        )
        .fit(X, y)
        .predict_proba(X)
        for c in (1.0, 1e6)
    ]
    np.testing.assert_allclose(P[0], P[1], rtol=1e-6)


def test_scale_of_many_rows_comes_from_a_sample_that_stands_for_all(rng):
    X = rng.standard_normal((30_001, 2))
    y = (X[:, 0] + rng.standard_normal(30_001) > 0).astype(int)
    clf = NormalizedLogisticRegression(max_iter=5, on_nonseparable="ignore").fit(X, y)
    margins = (2 * y - 1) * clf.decision_function(X)
    assert clf.probability_scale_ == pytest.approx(
        fit_scale("binary", margins, y, None, 2), rel=0.1
    )
