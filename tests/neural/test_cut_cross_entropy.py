"""CutCrossEntropyClassifier, beside scikit-learn's LogisticRegression."""

import itertools
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from scipy.optimize import check_grad
from sklearn.base import clone
from sklearn.callback import ScoringMonitor
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklogit.kernels import _chunked
from sklogit.neural import CutCrossEntropyClassifier
from sklogit.neural._lbfgs import minimise
from sklogit.neural._softmax_objective import softmax_objective

EXACT = {"tol": 1e-9, "max_iter": 2000}
CONTAINERS = [np.asarray, sparse.csr_matrix, sparse.csc_array]


@pytest.fixture(scope="module")
def rare():
    """Classes of unequal frequency; features correlated, of unequal scale."""
    X, y = make_classification(
        400,
        12,
        n_informative=8,
        n_classes=7,
        weights=[0.4, 0.25, 0.15, 0.1, 0.05, 0.03, 0.02],
        random_state=0,
    )
    X[:, ::3] *= 10
    X[np.abs(X) < 0.3] = 0
    return X + (X != 0) * 0.5, y


def two_of(data):
    X, y = data
    return X[y < 2], y[y < 2]


def logistic_regression(X, y, weight=None, **kwargs):
    clf = LogisticRegression(tol=1e-10, max_iter=10_000, **kwargs)
    return clf.fit(X, y, sample_weight=weight)


def assert_same_model(clf, expected, atol=1e-4):
    assert clf.coef_.shape == expected.coef_.shape
    np.testing.assert_allclose(clf.coef_, expected.coef_, atol=atol)
    np.testing.assert_allclose(clf.intercept_, expected.intercept_, atol=atol)


def objective(clf, X, y):
    penalty = (clf.coef_**2).sum() / (2 * clf.C * len(y))
    return log_loss(y, clf.predict_proba(X)) + penalty


# -- the optimum -----------------------------------------------------------------------


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("C", [0.01, 1.0])
@pytest.mark.parametrize("two", [False, True])
def test_optimum_is_that_of_logistic_regression(rare, two, C, fit_intercept, container):
    X, y = two_of(rare) if two else rare
    clf = CutCrossEntropyClassifier(C, fit_intercept=fit_intercept, **EXACT)
    expected = logistic_regression(X, y, C=C, fit_intercept=fit_intercept)
    assert_same_model(clf.fit(container(X), y), expected)
    np.testing.assert_allclose(
        clf.decision_function(container(X)), expected.decision_function(X), atol=1e-3
    )


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 3.0, 5: 0.5}])
def test_weights_are_those_of_logistic_regression(rare, class_weight, container):
    X, y = rare
    weight = np.random.default_rng(0).uniform(0, 2, len(y))
    weight[::5] = 0
    clf = CutCrossEntropyClassifier(class_weight=class_weight, **EXACT)
    clf.fit(container(X), y, sample_weight=weight)
    expected = logistic_regression(X, y, weight, class_weight=class_weight)
    assert_same_model(clf, expected, atol=1e-3)


@pytest.mark.parametrize("container", CONTAINERS)
def test_float32_comes_as_near_as_it_can_and_stays(rare, container):
    X, y = rare
    clf = CutCrossEntropyClassifier(**EXACT).fit(container(X.astype(np.float32)), y)
    assert clf.coef_.dtype == clf.intercept_.dtype == np.float32
    assert clf.predict_proba(X.astype(np.float32)).dtype == np.float32
    expected = logistic_regression(X, y)
    np.testing.assert_allclose(
        clf.predict_proba(X), expected.predict_proba(X), atol=2e-3
    )
    # A dtype that is asked for overrides that of the data.
    other = CutCrossEntropyClassifier(dtype="float32", max_iter=1).fit
    with pytest.warns(ConvergenceWarning):
        assert other(X, y).coef_.dtype == np.float32


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("chunk_size", ["auto", 1, 7])
def test_gradient_is_that_of_finite_differences(
    rare, container, fit_intercept, smoothing, chunk_size
):
    X, y = rare[0][:30, :4], rare[1][:30] % 3
    X = container(X)
    X = X.tocsr() if sparse.issparse(X) else X
    weight = np.linspace(0, 2, 30)
    smooth = softmax_objective(
        X,
        y,
        weight,
        3,
        0.1,
        fit_intercept=fit_intercept,
        label_smoothing=smoothing,
        chunk_size=chunk_size,
    )
    rng = np.random.default_rng(0)
    theta = rng.standard_normal(15 if fit_intercept else 12)
    error = check_grad(
        lambda t: smooth(torch.tensor(t))[0],
        lambda t: smooth(torch.tensor(t))[1].numpy(),
        theta,
    )
    assert error < 1e-5


@pytest.mark.parametrize("container", CONTAINERS)
def test_smoothed_objective_is_that_of_torch(rare, container):
    X, y = rare
    clf = CutCrossEntropyClassifier(label_smoothing=0.3, C=0.1, **EXACT)
    clf.fit(container(X), y)

    def value(coef, intercept):
        logits = torch.tensor(X @ coef.T + intercept)
        loss = torch.nn.functional.cross_entropy(
            logits, torch.tensor(y), label_smoothing=0.3
        )
        return loss.item() + (coef**2).sum() / (2 * 0.1 * len(y))

    best = value(clf.coef_, clf.intercept_)
    assert clf.loss_curve_[-1] == pytest.approx(best, rel=1e-10)
    rng = np.random.default_rng(0)
    for _ in range(10):
        step = 1e-3 * rng.standard_normal((7, 12))
        assert value(clf.coef_ + step, clf.intercept_) > best


def test_rows_that_are_sure_keep_their_gradient():
    # 1 - p of these rows is below the rounding of 1.
    X = np.array([[40.0], [-40.0], [45.0], [-41.0]])
    y = np.array([0, 1, 0, 1])
    of_rows = [
        softmax_objective(rows, y, None, 2, 1e-300, fit_intercept=False)
        for rows in (X, sparse.csr_array(X))
    ]
    theta = torch.tensor([0.5, -0.5], dtype=torch.float64)
    for of_kind in of_rows:
        value, gradient = of_kind(theta)
        expected = np.exp(-np.abs(X[:, 0])).mean()
        assert value == pytest.approx(expected, rel=1e-6)
        slope = (np.abs(X[:, 0]) * np.exp(-np.abs(X[:, 0]))).mean()
        np.testing.assert_allclose(gradient, [-slope, slope], rtol=1e-6)


def test_one_vector_on_all_rows_is_left_out(rare):
    clf = CutCrossEntropyClassifier().fit(*rare)
    np.testing.assert_allclose(clf.coef_.sum(axis=0), 0, atol=1e-12)
    assert clf.intercept_.sum() == pytest.approx(0, abs=1e-12)


def test_curve_falls_to_the_objective(rare):
    X, y = rare
    clf = CutCrossEntropyClassifier(C=0.1).fit(X, y)
    assert clf.n_iter_ == len(clf.loss_curve_) - 1
    assert (np.diff(clf.loss_curve_) < 0).all()
    assert clf.loss_curve_[0] == pytest.approx(np.log(7))
    penalty = (clf.coef_**2).sum() / (2 * 0.1 * len(y))
    assert clf.loss_curve_[-1] == pytest.approx(clf.log_loss(X, y) + penalty, rel=1e-6)


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("most_rotated", [3, 4])
def test_preconditioner_inverts_the_guess_at_the_hessian(
    rare, container, fit_intercept, most_rotated, monkeypatch
):
    monkeypatch.setattr("sklogit.neural._softmax_objective._MOST_ROTATED", most_rotated)
    X, y = rare[0][:, :4], rare[1]
    weight = np.random.default_rng(0).uniform(0, 2, len(y))
    rows = container(X)
    rows = rows.tocsr() if sparse.issparse(rows) else rows
    smooth = softmax_objective(rows, y, weight, 7, 0.01, fit_intercept=fit_intercept)
    share = weight / weight.sum()
    mean = X.T @ share if fit_intercept else np.zeros(4)
    covariance = (X - mean).T @ ((X - mean) * share[:, None])
    if most_rotated < 4:
        covariance = np.diag(np.diag(covariance))
    curvature = np.sqrt(np.bincount(y, share) / 7)
    rng = np.random.default_rng(1)
    W, b = rng.standard_normal((7, 4)), rng.standard_normal(7)
    # Of the weights, and of the intercepts of centred features.
    of_W = curvature[:, None] * (W @ covariance) + 0.01 * W
    of_b = curvature * (b + W @ mean)
    product = smooth.precondition(
        smooth.join(of_W + of_b[:, None] * mean, of_b).float()
    )
    expected = smooth.join(W, b)
    np.testing.assert_allclose(product, expected, rtol=2e-3, atol=2e-3)


def test_preconditioner_saves_iterations(rare, monkeypatch):
    X, y = rare
    n_iter = CutCrossEntropyClassifier(**EXACT).fit(X, y).n_iter_
    assert n_iter < 0.5 * logistic_regression(X, y).n_iter_[0]
    # Of more features than the covariance is decomposed for, it is diagonal.
    monkeypatch.setattr("sklogit.neural._softmax_objective._MOST_ROTATED", 5)
    expected = logistic_regression(X, y)
    for container in CONTAINERS:
        clf = CutCrossEntropyClassifier(**EXACT).fit(container(X), y)
        assert_same_model(clf, expected)
        assert clf.n_iter_ > n_iter


@pytest.mark.parametrize("most_rotated", [3, 2048])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("extra", ["constant", "zero", "twice", "large constant"])
def test_features_that_say_nothing_new_without_a_penalty(
    rare, extra, dtype, most_rotated, monkeypatch
):
    # Their variance is zero, or what rounding has left of it.
    monkeypatch.setattr("sklogit.neural._softmax_objective._MOST_ROTATED", most_rotated)
    X, y = StandardScaler().fit_transform(rare[0])[:, :5], rare[1] % 3
    values = {"constant": 1.0, "zero": 0.0, "large constant": 1e4}.get(extra, X[:, :1])
    wide = np.hstack([X, np.broadcast_to(values, (len(X), 1))])
    clf = CutCrossEntropyClassifier(np.inf, dtype=dtype, tol=1e-6, max_iter=1000)
    expected = logistic_regression(X, y, C=np.inf)
    clf.fit(wide, y)
    loss = log_loss(y, expected.predict_proba(X))
    assert clf.log_loss(wide, y) == pytest.approx(loss, rel=1e-4)


def test_no_penalty_is_an_infinite_C(rare):
    X, y = rare[0], rare[1] % 3
    clf = CutCrossEntropyClassifier(np.inf, **EXACT).fit(X, y)
    assert_same_model(clf, logistic_regression(X, y, C=np.inf))


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(("dtype", "size"), [(np.float32, 1e25), (np.float64, 1e200)])
def test_features_too_large_to_be_squared_are_refused(rare, container, dtype, size):
    X = container((size * rare[0]).astype(dtype))
    with pytest.raises(ValueError, match=r"X must have features whose mean square"):
        CutCrossEntropyClassifier().fit(X, rare[1])


def test_numbers_that_overflow_are_no_optimum():
    def overflowing(theta):
        return np.inf, torch.full_like(theta, torch.nan)

    overflowing.precondition = torch.clone
    found = minimise(overflowing, torch.zeros(2), 5, 1e-4)
    assert not found.converged


def test_end_of_the_iterations(rare):
    X, y = rare
    with pytest.warns(ConvergenceWarning, match="max_iter=3"):
        clf = CutCrossEntropyClassifier(max_iter=3).fit(X, y)
    assert clf.n_iter_ == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Where rounding hides any progress it has converged, whatever tol is.
        CutCrossEntropyClassifier(tol=0, max_iter=5000).fit(X, y)
        CutCrossEntropyClassifier(tol=0, max_iter=5000, dtype="float32").fit(X, y)
        # At the optimum there is nothing to do.
        clf.set_params(max_iter=1000, warm_start=True).fit(X, y)
        assert clf.fit(X, y).n_iter_ == 0


def test_warm_start(rare):
    for X, y in (rare, two_of(rare)):
        for container in CONTAINERS:
            clf = CutCrossEntropyClassifier(warm_start=True, **EXACT)
            clf.fit(container(X), y)
            before = clf.loss_curve_[-1]
            with pytest.warns(ConvergenceWarning):
                clf.set_params(max_iter=1, tol=0).fit(container(X), y)
            assert clf.loss_curve_[0] == pytest.approx(before, rel=1e-12)
    with pytest.raises(ValueError, match=r"warm_start needs .* classes \[0 1\]"):
        clf.fit(*rare)


def test_classes_of_few_rows_are_no_reason_to_warn():
    rng = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf = CutCrossEntropyClassifier(C=0.01)
        clf.fit(rng.standard_normal((60, 3)), np.arange(60) % 40)
    assert clf.coef_.shape == (40, 3)


def test_label_permutation_permutes_coefficients(rare):
    X, y = rare
    order = np.array([3, 0, 6, 1, 5, 2, 4])
    clf = CutCrossEntropyClassifier(**EXACT).fit(X, y)
    other = CutCrossEntropyClassifier(**EXACT).fit(X, order[y])
    np.testing.assert_allclose(other.coef_[order], clf.coef_, atol=1e-5)


# -- outputs ---------------------------------------------------------------------------


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("two", [False, True])
def test_outputs_are_those_of_the_logits(rare, two, container, monkeypatch):
    X, y = two_of(rare) if two else rare
    labels = np.array(list("gfedcba"))[y]
    clf = CutCrossEntropyClassifier().fit(X, labels)
    monkeypatch.setattr("sklogit.neural._block_prediction._LOGITS_AT_ONCE", 40)
    logits = X @ clf.coef_.T + clf.intercept_
    if two:
        logits = np.hstack([np.zeros_like(logits), logits])
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    X = container(X)
    expected = logits[:, 1] if two else logits
    np.testing.assert_allclose(clf.decision_function(X), expected, rtol=1e-9)
    np.testing.assert_allclose(clf.predict_proba(X), p, rtol=1e-9)
    np.testing.assert_allclose(clf.predict_log_proba(X), np.log(p), rtol=1e-7)
    np.testing.assert_array_equal(clf.predict(X), clf.classes_[p.argmax(axis=1)])
    order = np.argsort(-p, axis=1)
    for k in (1, 2):
        top = clf.predict_topk(X, k)
        np.testing.assert_array_equal(top, clf.classes_[order[:, :k]])
    weight = np.linspace(0, 1, len(y))
    assert clf.log_loss(X, labels) == pytest.approx(log_loss(labels, p))
    assert clf.log_loss(X, labels, weight) == pytest.approx(
        log_loss(labels, p, sample_weight=weight)
    )
    assert clf.score(X, labels) == (clf.predict(X) == labels).mean()


def test_logits_are_never_held_for_all_rows(rare, monkeypatch):
    X, y = rare
    clf = CutCrossEntropyClassifier().fit(X, y)
    monkeypatch.setattr("sklogit.neural._block_prediction._LOGITS_AT_ONCE", 100)
    sizes = [logits.size for logits in clf._blocks(X)]
    assert max(sizes) <= 100
    assert sum(sizes) == 7 * len(X)


@pytest.mark.parametrize("k", [0, 8, 1.5])
def test_wrong_k(rare, k):
    clf = CutCrossEntropyClassifier().fit(*rare)
    with pytest.raises(ValueError, match="k must be an integer from 1 to 7"):
        clf.predict_topk(rare[0], k)


def test_views_of_any_strides(rare):
    X, y = rare
    weight = np.linspace(0, 2, len(y))
    expected = CutCrossEntropyClassifier(**EXACT).fit(X, y, sample_weight=weight)
    reversed_rows = np.ascontiguousarray(X[::-1])[::-1], y[::-1].copy()[::-1]
    read_only = X.copy()
    read_only.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for rows in (reversed_rows[0], np.asfortranarray(X), read_only):
            clf = CutCrossEntropyClassifier(**EXACT)
            clf.fit(rows, reversed_rows[1], sample_weight=weight[::-1].copy()[::-1])
            assert_same_model(clf, expected)


def test_frames_and_pickles(rare):
    X, y = rare
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(12)])
    clf = CutCrossEntropyClassifier().fit(frame, pd.Series(y))
    assert list(clf.feature_names_in_) == list(frame.columns)
    copied = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(copied.predict_proba(frame), clf.predict_proba(frame))


# -- minibatches -----------------------------------------------------------------------


def by_adam(**kwargs):
    defaults = {"learning_rate_init": 0.03, "batch_size": 64, "random_state": 0}
    return CutCrossEntropyClassifier(
        **{"solver": "adam", "max_iter": 200} | defaults | kwargs
    )


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("two", [False, True])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_adam_comes_near_the_optimum(rare, container, two, fit_intercept):
    X, y = two_of(rare) if two else rare
    X = StandardScaler().fit_transform(X)
    clf = by_adam(C=0.1, fit_intercept=fit_intercept).fit(container(X), y)
    expected = logistic_regression(X, y, C=0.1, fit_intercept=fit_intercept)
    assert clf.coef_.shape == expected.coef_.shape
    assert objective(clf, X, y) < 1.01 * objective(expected, X, y)
    assert clf.n_iter_ == len(clf.loss_curve_) < 200
    assert clf.coef_.dtype == np.float64
    np.testing.assert_allclose(clf.net_.score(X, y), clf.score(X, y))


def test_adam_full_batch_finds_the_weighted_optimum(rare):
    X, y = rare
    X = StandardScaler().fit_transform(X)
    weight = np.random.default_rng(0).uniform(0, 2, len(y))
    clf = by_adam(C=0.1, batch_size=len(y), tol=0, max_iter=1500, label_smoothing=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        clf.fit(X, y, sample_weight=weight)
    exact = CutCrossEntropyClassifier(C=0.1, label_smoothing=0.1, **EXACT)
    assert_same_model(clf, exact.fit(X, y, sample_weight=weight), atol=1e-3)


def test_adam_stops_by_tol_and_says_if_it_does_not(rare):
    X, y = rare
    with pytest.warns(ConvergenceWarning, match=r"solver='adam' .* max_iter=2"):
        clf = by_adam(max_iter=2).fit(X, y)
    assert clf.n_iter_ == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Four times three epochs after the first one.
        assert by_adam(tol=10).fit(X, y).n_iter_ == 13


def test_adam_starts_from_zero_or_warm(rare):
    X, y = rare
    clf = by_adam(batch_size=len(y), tol=10).fit(X, y)
    assert clf.net_.history[0, "train_loss"] == pytest.approx(np.log(7), rel=1e-6)
    loss = clf.log_loss(X, y)
    clf.set_params(warm_start=True).fit(X, y)
    assert clf.net_.history[0, "train_loss"] == pytest.approx(loss, rel=1e-6)


def test_filtering_is_for_adam_only(rare):
    X, y = rare
    with pytest.raises(ValueError, match=r"filter_eps=0\.1 needs solver='adam'"):
        CutCrossEntropyClassifier(filter_eps=0.1).fit(X, y)
    clf = by_adam(filter_eps=1e-4, tol=10).fit(X, y)
    assert clf.net_.loss_.filter_eps == 1e-4


def test_partial_fit_passes_once_and_needs_the_classes(rare):
    X, y = rare
    X = StandardScaler().fit_transform(X)
    clf = by_adam()
    with pytest.raises(ValueError, match="classes must be passed"):
        clone(clf).partial_fit(X, y)
    for _ in range(30):
        clf.partial_fit(X[:200], y[:200], classes=np.arange(7))
        clf.partial_fit(X[200:], y[200:])
    assert clf.score(X, y) > 0.9 * by_adam().fit(X, y).score(X, y)
    assert clf.n_iter_ == 60
    assert clf.weight_seen_ == 60 * 200
    before = clf.coef_
    with pytest.raises(ValueError, match="labels"):
        clf.partial_fit(X, y + 1)
    np.testing.assert_array_equal(clf.coef_, before)
    assert not hasattr(CutCrossEntropyClassifier(), "partial_fit")


def test_partial_fit_after_fit_goes_on(rare):
    X, y = rare
    clf = by_adam(tol=10).fit(X, y)
    loss, n_iter = clf.log_loss(X, y), clf.n_iter_
    for _ in range(5):
        clf.partial_fit(X, y)
    assert clf.log_loss(X, y) < loss
    assert clf.n_iter_ == n_iter + 5  # passes, whatever max_iter is


def test_partial_fit_goes_on_from_the_optimum_of_lbfgs(rare):
    X, y = rare
    X = StandardScaler().fit_transform(X)
    for data in ((X, y), two_of((X, y))):
        clf = CutCrossEntropyClassifier(random_state=0).fit(*data)
        loss = clf.log_loss(*data)
        clf.set_params(solver="adam", learning_rate_init=1e-4).partial_fit(*data)
        assert clf.log_loss(*data) == pytest.approx(loss, rel=1e-3)
        assert clf.n_iter_ == 1
        assert clf.weight_seen_ == len(data[1])


def test_partial_fit_of_weights(rare):
    X, y = rare
    weight = np.where(y == 3, 10.0, 0.1)
    clf, plain = by_adam(), by_adam(class_weight={3: 100.0})
    for _ in range(10):
        clf.partial_fit(X, y, classes=np.arange(7), sample_weight=weight)
        plain.partial_fit(X, y, classes=np.arange(7))
    assert (clf.predict(X) == 3).mean() > 0.3
    assert (plain.predict(X) == 3).mean() > 0.3
    with pytest.raises(ValueError, match="class_weight='balanced' needs all data"):
        by_adam(class_weight="balanced").partial_fit(X, y, classes=np.arange(7))


def test_refit_by_lbfgs_forgets_the_net(rare):
    clf = by_adam(tol=10).fit(*rare)
    clf.set_params(solver="lbfgs").fit(*rare)
    assert not hasattr(clf, "net_")
    assert not hasattr(clf, "weight_seen_")


# -- as scikit-learn has it ------------------------------------------------------------


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_grid_search_with_two_jobs(rare, solver):
    clf = CutCrossEntropyClassifier(
        solver=solver, learning_rate_init=0.1, tol=1e-3, random_state=0
    )
    search = GridSearchCV(
        make_pipeline(StandardScaler(), clf),
        {"cutcrossentropyclassifier__C": [1e-4, 1.0]},
        cv=2,
        n_jobs=2,
        scoring="neg_log_loss",
    )
    search.fit(*rare)
    assert search.best_params_["cutcrossentropyclassifier__C"] == 1.0


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_callbacks_see_each_iteration(rare, solver):
    X, y = rare
    monitor = ScoringMonitor(scoring="neg_log_loss")
    clf = CutCrossEntropyClassifier(solver=solver, tol=1e-3, max_iter=500)
    clf.set_callbacks(monitor).fit(X, y)
    scores = monitor.get_logs(select="most_recent").data_as_pandas["neg_log_loss"]
    assert len(scores) == clf.n_iter_ + 1  # and the end
    assert scores.iloc[-1] == pytest.approx(-clf.log_loss(X, y))
    pickle.loads(pickle.dumps(clf))


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_verbose(rare, solver, capsys):
    CutCrossEntropyClassifier(solver=solver, tol=1, verbose=1).fit(*rare)
    assert capsys.readouterr().out.startswith("iteration 1: objective ")


@pytest.fixture
def interrupt(monkeypatch):
    """Function that lets the loss raise KeyboardInterrupt, in some call from now."""
    original = _chunked.loss_and_gradients

    def interrupt(call):
        n_calls = itertools.count(1)

        def interrupted(*args):
            if next(n_calls) == call:
                raise KeyboardInterrupt
            return original(*args)

        monkeypatch.setattr(_chunked, "loss_and_gradients", interrupted)

    return interrupt


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_interrupted_fit_keeps_what_was_reached(rare, solver, interrupt):
    X, y = rare
    clf = by_adam(solver=solver, batch_size=len(y))
    interrupt(7)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it did not run out of iterations
        with pytest.raises(KeyboardInterrupt):
            clf.fit(X, y)
    assert 1 <= clf.n_iter_ <= 6
    assert len(clf.loss_curve_) == clf.n_iter_ + (solver == "lbfgs")
    assert clf.score(X, y) > 0.4


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
@pytest.mark.parametrize("call", [1, 2])
def test_interrupt_before_anything_is_reached_keeps_the_earlier_fit(
    rare, solver, call, interrupt
):
    X, y = rare
    clf = by_adam(solver=solver, batch_size=len(y) // 2, tol=10)
    clf.fit(X, y).set_params(tol=1e-4)
    before = dict(vars(clf))
    interrupt(call)
    with pytest.raises(KeyboardInterrupt):
        clf.fit(2 * X, y)
    assert vars(clf) == before
    interrupt(call)
    with pytest.raises(KeyboardInterrupt):
        clone(clf).fit(X, y)


def test_interrupted_partial_fit_keeps_what_was_reached(rare, interrupt):
    X, y = rare
    clf = by_adam()
    interrupt(2)
    with pytest.raises(KeyboardInterrupt):
        clf.partial_fit(X, y, classes=np.arange(7))
    assert not hasattr(clf, "coef_")
    interrupt(0)
    clf.partial_fit(X, y, classes=np.arange(7))
    before = clf.coef_
    interrupt(2)
    with pytest.raises(KeyboardInterrupt):
        clf.partial_fit(X, y)
    assert not np.array_equal(clf.coef_, before)
    np.testing.assert_allclose(clf.net_.score(X, y), clf.score(X, y))


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf, "x"])
def test_wrong_class_weights_are_named(rare, container, value):
    clf = CutCrossEntropyClassifier(class_weight={3: value})
    with pytest.raises(ValueError, match=r"class_weight must hold .* for class 3"):
        clf.fit(container(rare[0]), rare[1])


def test_weights_that_leave_no_row_are_refused(rare):
    clf = CutCrossEntropyClassifier(class_weight=dict.fromkeys(range(7), 0.0))
    with pytest.raises(ValueError, match="must leave one row at least"):
        clf.fit(*rare)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"C": 0}, "'C' parameter"),
        ({"solver": "sag"}, "'solver' parameter"),
        ({"chunk_size": 0}, "'chunk_size' parameter"),
        ({"label_smoothing": 1.5}, "'label_smoothing' parameter"),
    ],
)
def test_wrong_parameters(rare, kwargs, message):
    with pytest.raises(ValueError, match=message):
        CutCrossEntropyClassifier(**kwargs).fit(*rare)


def test_wrong_data(rare):
    X, y = rare
    clf = CutCrossEntropyClassifier()
    with pytest.raises(ValueError, match="only one class"):
        clf.fit(X, np.zeros(len(y)))
    with pytest.raises(ValueError, match=r"[Nn]egative"):
        clf.fit(X, y, sample_weight=-np.ones(len(y)))
    with pytest.raises(ValueError, match="inconsistent"):
        clf.fit(X, y[:-1])
    clf.fit(X, y)
    with pytest.raises(ValueError, match="labels"):
        clf.log_loss(X, y + 1)
    with pytest.raises(ValueError, match="inconsistent"):
        clf.log_loss(X, y[:-1])
    with pytest.raises(ValueError, match=r"[Nn]egative"):
        clf.log_loss(X, y, -np.ones(len(y)))
    with pytest.raises(ValueError, match="at least one non-zero"):
        clf.log_loss(X, y, np.zeros(len(y)))


def test_memory_is_not_that_of_all_logits():
    # In a process of its own: peaks of this one have been.
    code = """
import resource
import numpy as np
from sklogit.neural import CutCrossEntropyClassifier
rng = np.random.default_rng(0)
X = rng.standard_normal((6000, 16)).astype(np.float32)
y = np.arange(6000) % 3000
clf = CutCrossEntropyClassifier(max_iter=2, tol=0.1).fit(X[:100], y[:100])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
clf = CutCrossEntropyClassifier(max_iter=2, tol=1e-9).fit(X, y)
clf.predict(X), clf.predict_topk(X, 3), clf.log_loss(X, y)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True
    )
    # All logits are 72 MB, and a loss of them takes three times as much.
    assert int(run.stdout) / 1000 < 60, run.stdout + run.stderr
