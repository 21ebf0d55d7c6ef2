"""Classes, weights, kinds of data, bad input, watching and interrupting."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.compose import make_column_transformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklogit.few_shot import (
    AMUClassifier,
    LogitBiasClassifier,
    ZeroShotLogits,
)

from .common import mean_log_loss, random_shots, two_views, unit

EXACT = {"tol": 1e-12, "max_iter": 3000}


@pytest.fixture
def views():
    return two_views()


# -- classes, labels, weights ----------------------------------------------------------


def test_a_class_without_shots_can_still_be_predicted(views):
    X, y, X_test, _ = views
    few = y != 7
    clf = LogitBiasClassifier(10, classes=np.arange(10)).fit(X[few], y[few])
    np.testing.assert_array_equal(clf.init_coef_[7], 0)
    assert np.abs(clf.coef_[7]).max() > 0  # learnt that these rows are not of it
    assert 7 in clf.predict(X_test)


def test_outputs_have_sorted_classes_whatever_the_order_of_the_logits(views):
    X, y, X_test, y_test = views
    names = np.array(list("jihgfedcba"))  # class k has the name that sorts last but k
    sorted_X, sorted_test = X.copy(), X_test.copy()
    sorted_X[:, :10], sorted_test[:, :10] = X[:, 9::-1], X_test[:, 9::-1]
    given = LogitBiasClassifier(10, classes=names).fit(X, names[y])
    plain = LogitBiasClassifier(10).fit(sorted_X, names[y])
    assert given.classes_.tolist() == sorted(names)
    logits = given.decision_function(X_test)
    np.testing.assert_allclose(logits, plain.decision_function(sorted_test))
    np.testing.assert_array_equal(given.zero_shot_logits(X_test), sorted_test[:, :10])
    # So that scikit-learn's metrics, which expect sorted columns, are right.
    loss = log_loss(names[y_test], given.predict_proba(X_test))
    assert loss == pytest.approx(mean_log_loss(logits[:, ::-1], y_test))


def test_classes_count_as_they_were_when_it_was_fitted(views):
    X, y, X_test, _ = views
    clf = LogitBiasClassifier(10, classes=np.arange(10)).fit(X, y)
    expected = clf.decision_function(X_test)
    clf.set_params(classes=np.arange(10)[::-1])
    np.testing.assert_array_equal(clf.decision_function(X_test), expected)


def test_weights_equal_repeats():
    z, A, y = random_shots(n_rows=20)
    X, counts = np.hstack([z, A]), np.random.default_rng(0).integers(0, 4, size=20)
    counts[[0, 1]] = 1, 0
    repeated = np.repeat(np.arange(20), counts)
    params = {"classes": np.arange(4), **EXACT}
    weighted = LogitBiasClassifier(4, **params).fit(X, y, sample_weight=counts)
    plain = LogitBiasClassifier(4, **params).fit(X[repeated], y[repeated])
    np.testing.assert_allclose(weighted.init_coef_, plain.init_coef_)
    assert weighted.scale_ == pytest.approx(plain.scale_)
    np.testing.assert_allclose(weighted.coef_, plain.coef_, atol=1e-6)
    assert weighted.loss_ == pytest.approx(plain.loss_)


# -- data ------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["lbfgs", "adamw"])
def test_sparse_features_give_the_same(views, solver):
    X, y, X_test, _ = views
    X, X_test = X * (X > 0.1), X_test * (X_test > 0.1)
    params = {"solver": solver, "max_iter": 20, "tol": 1e-3, "random_state": 0}
    dense = LogitBiasClassifier(10, **params).fit(X, y)
    for convert in (sparse.csr_array, sparse.csc_matrix):
        clf = LogitBiasClassifier(10, **params).fit(convert(X), y)
        np.testing.assert_allclose(clf.coef_, dense.coef_, atol=1e-8)
        found = clf.decision_function(convert(X_test))
        np.testing.assert_allclose(found, dense.decision_function(X_test), atol=1e-6)


@pytest.mark.parametrize("solver", ["lbfgs", "adamw"])
@pytest.mark.parametrize("n_features", [32, 400])
def test_float32_stays_float32(solver, n_features):
    z, A, y = random_shots(n_features=n_features)
    X = np.hstack([z, A])
    params = {"solver": solver, "max_iter": 30, "tol": 1e-3, "random_state": 0}
    double = LogitBiasClassifier(4, **params).fit(X, y)
    single = LogitBiasClassifier(4, **params).fit(X.astype(np.float32), y)
    X = X.astype(np.float32)
    for values in (
        single.coef_,
        single.init_coef_,
        single.decision_function(X),
        single.bias_logits(X),
        single.predict_proba(X),
        single.uncertainty_factor(X),
    ):
        assert values.dtype == np.float32
    np.testing.assert_allclose(single.coef_, double.coef_, atol=2e-3)


@pytest.mark.parametrize("solver", ["lbfgs", "adamw"])
def test_data_are_left_as_they_are(views, solver):
    X, y, *_ = views
    before = X.tobytes(), y.tobytes()
    clf = LogitBiasClassifier(10, solver=solver, max_iter=3, tol=1.0).fit(X, y)
    clf.predict(X)
    assert (X.tobytes(), y.tobytes()) == before


def test_a_frame_and_a_column_transformer_make_the_layout(views):
    X, y, X_test, _ = views
    names = [f"a{i}" for i in range(32)]
    frame, test = (pd.DataFrame(a[:, 10:], columns=names) for a in (X, X_test))
    weights = np.random.default_rng(0).normal(size=(10, 32))
    model = make_pipeline(
        make_column_transformer(
            (ZeroShotLogits(weights, scale=5.0), names), ("passthrough", names)
        ),
        LogitBiasClassifier(10),
    ).fit(frame, y)
    Z = np.hstack([5 * unit(X[:, 10:]) @ unit(weights).T, X[:, 10:]])
    Z_test = np.hstack([5 * unit(X_test[:, 10:]) @ unit(weights).T, X_test[:, 10:]])
    expected = LogitBiasClassifier(10).fit(Z, y).predict(Z_test)
    np.testing.assert_array_equal(model.predict(test), expected)


def test_grid_search_finds_its_parameters(views):
    X, y, *_ = views
    grid = {"alpha": [0.3, 1.0], "lambda_merge": [0.0, 0.35], "power": [0, 0.4]}
    search = GridSearchCV(LogitBiasClassifier(10), grid, cv=2).fit(X, y)
    assert len(search.cv_results_["params"]) == 8


def test_features_of_zeros_have_no_bias(views):
    X, y, X_test, _ = views
    X_test[:3, 10:] = 0
    clf = LogitBiasClassifier(10).fit(X, y)
    np.testing.assert_array_equal(clf.bias_logits(X_test[:3]), 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_logits": 4}, r"n_logits must be 0, or the number of classes, 10, got 4"),
        ({"classes": np.arange(9)}, r"labels \[9\] that are not in classes"),
        ({"classes": np.arange(11)}, r"number of classes, 11, got 10"),
        ({"classes": [*range(9), 8, 9]}, "different labels"),
        ({"classes": [np.arange(10)]}, "different labels"),
        ({"alpha": -0.1}, "alpha"),
        ({"alpha": np.inf}, "alpha"),
        ({"lambda_merge": 1.1}, "lambda_merge"),
        ({"lambda_merge": -0.1}, "lambda_merge"),
        ({"power": -1}, "power"),
        ({"l2": -1}, "l2"),
        ({"uncertainty": "energy"}, "uncertainty"),
        ({"kurtosis_ref": 0}, "kurtosis_ref"),
        ({"solver": "sgd"}, "solver"),
        ({"n_logits": -1}, "n_logits"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_wrong_parameters_are_named(views, change, message):
    X, y, *_ = views
    clf = LogitBiasClassifier(10).set_params(**change)
    with pytest.raises(ValueError, match=message):
        clf.fit(X, y)


def test_logits_without_features_are_refused(views):
    X, y, *_ = views
    with pytest.raises(ValueError, match="auxiliary features after its n_logits=10"):
        LogitBiasClassifier(10).fit(X[:, :10], y)


def test_one_row_a_class_is_no_reason_to_warn():
    X, y, *_ = two_views(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LogitBiasClassifier(10).fit(X, y)


def test_a_single_label_is_refused_unless_the_classes_are_told(views):
    X, y, *_ = views
    own = y == 3
    with pytest.raises(ValueError, match=r"only one class: \[3\].*pass all as classes"):
        LogitBiasClassifier(10).fit(X[own], y[own])
    clf = LogitBiasClassifier(10, classes=np.arange(10)).fit(X[own], y[own])
    assert np.isfinite(clf.decision_function(X)).all()


@pytest.mark.parametrize("column", [0, -1])
def test_nan_in_logits_or_features_is_refused(views, column):
    X, y, X_test, _ = views
    clf = LogitBiasClassifier(10).fit(X, y)
    X[0, column] = X_test[0, column] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        clf.predict(X_test)
    with pytest.raises(ValueError, match="NaN"):
        clf.fit(X, y)


@pytest.mark.parametrize("weight", [np.zeros(40), np.full(40, -1.0)])
def test_weights_that_are_none_are_refused(views, weight):
    X, y, *_ = views
    with pytest.raises(ValueError, match=r"non-zero|[Nn]egative"):
        LogitBiasClassifier(10).fit(X, y, sample_weight=weight)


# -- watching, interrupting, keeping ---------------------------------------------------


def test_unfinished_minimisation_warns(views):
    X, y, *_ = views
    with pytest.warns(ConvergenceWarning, match="after 2 iterations") as record:
        clf = LogitBiasClassifier(10, max_iter=2).fit(X, y)
    assert record[0].filename == __file__
    assert clf.n_iter_ == 2


def test_loss_falls_from_the_start_to_the_end(views):
    X, y, *_ = views
    clf = LogitBiasClassifier(10).fit(X, y)
    assert len(clf.loss_curve_) == clf.n_iter_ + 1
    assert (np.diff(clf.loss_curve_) < 0).all()
    assert clf.loss_ == clf.loss_curve_[-1]


@pytest.mark.parametrize(
    ("params", "n_rows"),
    [({"tol": 1e-4}, None), ({"solver": "adamw", "max_iter": 5}, 5)],
)
def test_callbacks_follow_the_iterations(views, params, n_rows):
    X, y, *_ = views
    monitor = ScoringMonitor(scoring="accuracy")
    clf = LogitBiasClassifier(10, random_state=0, **params)
    clf.set_callbacks(ProgressBar(), monitor).fit(X, y)
    log = [row for row in monitor.get_logs().data if row["task_name"] == "iteration"]
    assert len(log) == (n_rows or clf.n_iter_)
    assert log[-1]["accuracy"] == pytest.approx(clf.score(X, y))


class _Impatient:
    """A factor of the bias that interrupts the third time the loss is computed."""

    def __init__(self, monkeypatch, module, name):
        original, self.calls = getattr(module, name), 0

        def counted(*args):
            self.calls += 1
            if self.calls == 3:
                raise KeyboardInterrupt
            return original(*args)

        monkeypatch.setattr(module, name, counted)


@pytest.mark.parametrize("solver", ["lbfgs", "adamw"])
def test_interrupt_keeps_what_was_reached(views, solver, monkeypatch):
    from sklogit.few_shot import _objective, _problem

    X, y, X_test, _ = views
    module = _objective if solver == "lbfgs" else _problem
    _Impatient(monkeypatch, module, "two_losses")
    clf = LogitBiasClassifier(10, solver=solver, random_state=0)
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X, y)
    assert clf.predict(X_test).shape == (len(X_test),)


def test_pickle_and_alias(views):
    X, y, X_test, _ = views
    assert AMUClassifier is LogitBiasClassifier
    clf = LogitBiasClassifier(10).fit(X, y)
    copy = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(copy.predict(X_test), clf.predict(X_test))
