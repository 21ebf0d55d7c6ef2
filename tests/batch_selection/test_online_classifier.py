"""Selection around classifiers that learn by partial_fit."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn import config_context
from sklearn.callback import ScoringMonitor
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.linear_model import Perceptron, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import scale

from sklogit.batch_selection import (
    OnlineBatchSelectionClassifier,
    UtilityDiversitySelector,
)


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return scale(X)[:500], y[:500]


@pytest.fixture(scope="module")
def binary():
    X, y = load_breast_cancer(return_X_y=True)
    return scale(X)[:200], np.array(["no", "yes"])[y[:200]]


class Recorder(SGDClassifier):
    """Keeps what it was trained on."""

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        self.batches_ = [*getattr(self, "batches_", []), (X, y, sample_weight)]
        return super().partial_fit(X, y, classes, sample_weight)


def online(**kwargs):
    return OnlineBatchSelectionClassifier(**{"random_state": 0} | kwargs)


def recorder():
    return Recorder(loss="log_loss", random_state=0)


@pytest.mark.parametrize("data", ["digits", "binary"])
def test_full_budget_is_plain_partial_fit(request, data):
    X, y = request.getfixturevalue(data)
    clf = online(
        estimator=recorder(),
        selector=UtilityDiversitySelector(1.0),
        shuffle=False,
        max_iter=2,
    ).fit(X, y)
    plain = SGDClassifier(loss="log_loss", random_state=0)
    for start in [*range(0, len(y), 32)] * 2:
        rows = slice(start, start + 32)
        plain.partial_fit(X[rows], y[rows], classes=np.unique(y))
    np.testing.assert_array_equal(clf.estimator_.coef_, plain.coef_)
    np.testing.assert_array_equal(clf.predict(X), plain.predict(X))


@pytest.mark.parametrize("data", ["digits", "binary"])
def test_rows_are_those_that_the_selector_keeps_by_decision_values(request, data):
    X, y = request.getfixturevalue(data)
    rule = UtilityDiversitySelector(8, utility="loss", alpha=0.05, random_state=0)
    clf = online(estimator=recorder(), selector=rule, shuffle=False, max_iter=1)
    batches = clf.fit(X, y).estimator_.batches_

    plain = SGDClassifier(loss="log_loss", random_state=0)
    labels = np.unique(y)
    for i, (X_kept, y_kept, _) in enumerate(batches):
        rows = slice(32 * i, 32 * i + 32)
        logits = np.zeros((len(y[rows]), len(labels)))
        if i:
            logits = plain.decision_function(X[rows])
        if logits.ndim == 1:
            logits = np.column_stack([-logits / 2, logits / 2])
        kept = np.sort(rule.select(logits, np.searchsorted(labels, y[rows])))
        np.testing.assert_array_equal(X_kept, X[rows][kept])
        np.testing.assert_array_equal(y_kept, y[rows][kept])
        plain.partial_fit(X_kept, y_kept, classes=labels)
    assert len(batches) == -(-len(y) // 32)
    # The selector that was given is a parameter, and has seen nothing of it.
    assert clf.selector_.n_seen_ == len(y)


def test_logits_of_two_classes_are_half_of_the_decision_value_each(binary):
    X, y = binary
    seen = []

    def utility(logits, y):
        seen.append(logits[:, 0])
        return np.ones(len(logits))

    rule = UtilityDiversitySelector(1.0, alpha=0, utility=utility)
    online(selector=rule, shuffle=False).partial_fit(X[:64], y[:64])
    plain = SGDClassifier(loss="log_loss", random_state=0)
    plain.partial_fit(X[:32], y[:32], classes=["no", "yes"])
    z = plain.decision_function(X[32:64])
    np.testing.assert_array_equal(seen[0], 0)
    np.testing.assert_allclose(seen[1], np.column_stack([-z / 2, z / 2]))


def test_learns_from_a_quarter_of_the_rows(digits):
    clf = online().fit(*digits)
    assert clf.selector_.n_seen_ == 2500
    assert clf.selector_.n_selected_ == 5 * (15 * 8 + 5)
    assert clf.score(*digits) > 0.9
    assert clf.n_iter_ == 5


def test_callbacks_follow_the_passes(digits):
    monitor = ScoringMonitor(scoring="accuracy")
    clf = online(max_iter=3).set_callbacks(monitor).fit(*digits)
    log = [row for row in monitor.get_logs().data if row["task_name"] == "pass"]
    assert len(log) == clf.n_iter_ == 3
    assert log[-1]["accuracy"] == pytest.approx(clf.score(*digits))
    alone = online(max_iter=3).fit(*digits)
    np.testing.assert_array_equal(clf.estimator_.coef_, alone.estimator_.coef_)


class Interrupted(Recorder):
    """Ctrl-C in the third pass."""

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        if len(getattr(self, "batches_", [])) == 40:
            raise KeyboardInterrupt
        return super().partial_fit(X, y, classes, sample_weight)


def test_interrupt_keeps_what_was_learnt(digits):
    clf = online(estimator=Interrupted(loss="log_loss", random_state=0))
    with pytest.raises(KeyboardInterrupt):
        clf.fit(*digits)
    assert clf.n_iter_ == 2
    assert clf.score(*digits) > 0.8


def test_repeats_crowd_out_less_than_at_random(digits):
    X, y = digits
    # Half of the rows are the same one.
    X, y = np.vstack([X, np.repeat(X[:1], 500, axis=0)]), np.append(y, [y[0]] * 500)

    def share(selector):
        clf = online(estimator=recorder(), selector=selector, max_iter=1).fit(X, y)
        rows = np.concatenate([rows for rows, _, _ in clf.estimator_.batches_])
        return (rows == X[0]).all(axis=1).mean()

    at_random = share(UtilityDiversitySelector(utility="random", alpha=0))
    assert share(None) < 0.5 * at_random


@pytest.mark.parametrize(
    "estimator",
    [
        MLPClassifier((8,), learning_rate_init=0.01, random_state=0),
        GaussianNB(),
        Perceptron(),
    ],
)
def test_any_classifier_with_partial_fit(binary, estimator):
    clf = online(estimator=estimator).fit(*binary)
    assert clf.score(*binary) > 0.85
    for method in ("decision_function", "predict_proba"):
        assert hasattr(clf, method) == hasattr(estimator, method)


def test_sparse_rows(digits):
    X, y = digits
    clf = online(estimator=MLPClassifier((8,), random_state=0), max_iter=1)
    expected = clf.fit(X, y).predict_proba(X)
    np.testing.assert_allclose(clf.fit(csr_array(X), y).predict_proba(X), expected)
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        online(estimator=GaussianNB()).fit(csr_array(X), y)


def test_weights_are_passed_on_for_the_rows_kept(digits):
    X, y = digits
    weight = np.random.default_rng(0).uniform(size=len(y))
    weight[::2] = 0
    clf = online(estimator=recorder(), shuffle=False, max_iter=1)
    clf.set_params(selector=UtilityDiversitySelector(0.5, alpha=0, utility="loss"))
    for X_kept, _, given in clf.fit(X, y, sample_weight=weight).estimator_.batches_:
        rows = [np.flatnonzero((row == X).all(axis=1))[0] for row in X_kept]
        np.testing.assert_array_equal(given, weight[rows])
        assert (given > 0).all()


@pytest.mark.parametrize("budget", [0.25, 1.0])
def test_batches_without_any_weight_are_left_out(digits, budget):
    X, y = digits
    weight = np.ones(len(y))
    weight[:64] = 0
    rule = UtilityDiversitySelector(budget, utility="loss")
    kwargs = {"selector": rule, "shuffle": False, "max_iter": 1}
    clf = online(estimator=recorder(), **kwargs).fit(X, y, sample_weight=weight)
    alone = online(estimator=recorder(), **kwargs).fit(X[64:], y[64:])
    assert len(clf.estimator_.batches_) == 14
    np.testing.assert_allclose(clf.estimator_.coef_, alone.estimator_.coef_)


def test_weights_rank_for_classifiers_that_take_none(digits):
    X, y = digits
    weight = (np.arange(len(y)) % 2).astype(float)
    clf = online(estimator=MLPClassifier((8,), random_state=0), max_iter=1)
    assert clf.fit(X, y, sample_weight=weight).selector_.n_selected_ == 125


class Grouped(SGDClassifier):
    """Takes something more, and keeps it."""

    def partial_fit(self, X, y, classes=None, sample_weight=None, group=None):
        self.groups_ = [*getattr(self, "groups_", []), (X, group)]
        return super().partial_fit(X, y, classes, sample_weight)


def test_metadata_are_routed_for_the_rows_kept(digits):
    X, y = digits
    group = np.arange(len(y))
    with config_context(enable_metadata_routing=True):
        inner = Grouped(loss="log_loss", random_state=0)
        inner.set_partial_fit_request(group=True, sample_weight=False)
        clf = online(estimator=inner, max_iter=1)
        clf.set_fit_request(sample_weight=True).fit(
            X, y, sample_weight=np.ones(len(y)), group=group
        )
        clf.set_partial_fit_request(sample_weight=True)
        clf.partial_fit(X, y, group=group)
    assert len(clf.estimator_.groups_) == 2 * 16
    for X_kept, kept in clf.estimator_.groups_:
        np.testing.assert_array_equal(X_kept, X[kept])
    with pytest.raises(ValueError, match="enable_metadata_routing=True"):
        clf.fit(X, y, group=group)


def test_default_classifier_requests_weights_where_they_are_routed(digits):
    X, y = digits
    weight = np.random.default_rng(0).uniform(size=len(y))
    expected = online(max_iter=1).fit(X, y, sample_weight=weight)
    with config_context(enable_metadata_routing=True):
        clf = online(max_iter=1).fit(X, y, sample_weight=weight)
        search = GridSearchCV(
            online(max_iter=1)
            .set_fit_request(sample_weight=True)
            .set_score_request(sample_weight=False),
            {"candidate_batch_size": [16, 32]},
            cv=3,
            error_score="raise",
        )
        search.fit(X, y, sample_weight=weight)
    np.testing.assert_array_equal(clf.estimator_.coef_, expected.estimator_.coef_)
    assert search.best_score_ > 0.7


def test_selector_without_a_random_state_gets_that_of_the_classifier(digits):
    rule = UtilityDiversitySelector(utility="random", alpha=0)
    first, second, other = (
        online(estimator=recorder(), selector=rule, random_state=seed, shuffle=False)
        .fit(*digits)
        .estimator_.coef_
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, second)
    assert abs(first - other).max() > 0.01
    assert rule.random_state is None


def test_generator_as_random_state_decides_all(digits):
    first, second, other = (
        online(random_state=np.random.RandomState(seed), max_iter=1).fit(*digits)
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first.estimator_.coef_, second.estimator_.coef_)
    assert abs(first.estimator_.coef_ - other.estimator_.coef_).max() > 0.01


def test_frames_and_single_precision(digits):
    X, y = digits
    frame, labels = pd.DataFrame(X).add_prefix("p"), pd.Series(y).map(str)
    clf = online().partial_fit(frame, labels).partial_fit(frame, labels)
    assert clf.feature_names_in_[0] == "p0"
    plain = online().partial_fit(X, y).partial_fit(X, y)
    np.testing.assert_array_equal(clf.predict(frame), plain.predict(X).astype(str))
    single = online().partial_fit(X.astype(np.float32), y)
    assert single.estimator_.coef_.dtype == np.float32


# -- streams ---------------------------------------------------------------------------


def stream(X, y, size=50):
    return [(X[i : i + size], y[i : i + size]) for i in range(0, len(y), size)]


@pytest.mark.parametrize("random_state", [0, None])
def test_stream_interrupted_by_pickling_goes_on_identically(digits, random_state):
    parts = stream(*digits)
    clf = online(random_state=random_state)
    for X, y in parts[:5]:
        clf.partial_fit(X, y, classes=range(10))
    copy = pickle.loads(pickle.dumps(clf))
    for X, y in parts[5:]:
        clf.partial_fit(X, y)
        copy.partial_fit(X, y)
    np.testing.assert_array_equal(clf.estimator_.coef_, copy.estimator_.coef_)
    np.testing.assert_array_equal(clf.selector_.buffer_, copy.selector_.buffer_)


def test_stream_in_order_is_fit_without_shuffling(digits):
    X, y = digits
    clf = online()
    for start in range(0, len(y), 64):
        rows = slice(start, start + 64)
        clf.partial_fit(X[rows], y[rows], classes=range(10))
    once = online(shuffle=False, max_iter=1).fit(X, y)
    np.testing.assert_array_equal(clf.estimator_.coef_, once.estimator_.coef_)


def test_stream_takes_one_row_one_class_and_rows_of_zeros(digits):
    X, y = digits
    clf = online().partial_fit(X[:1], y[:1], classes=range(10))
    clf.partial_fit(X[y == 3], y[y == 3]).partial_fit(0 * X[:40], y[:40])
    assert np.isfinite(clf.decision_function(X)).all()


def test_failed_partial_fit_leaves_the_classifier_as_it_was(digits):
    X, y = digits
    clf = online().partial_fit(X[:100], y[:100], classes=range(10))
    before = pickle.dumps(clf)

    with pytest.raises(ValueError, match=r"labels that are in classes.*\[11\]"):
        clf.partial_fit(X, np.full(500, 11))
    with pytest.raises(ValueError, match="NaN"):
        clf.partial_fit(np.full_like(X, np.nan), y)
    assert pickle.dumps(clf) == before


class Fragile(Recorder):
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        if len(getattr(self, "batches_", [])) == 5:
            raise RuntimeError("no more memory")
        return super().partial_fit(X, y, classes, sample_weight)


def test_partial_fit_that_fails_midway_leaves_the_classifier_as_it_was(digits):
    X, y = digits
    clf = online(estimator=Fragile(loss="log_loss", random_state=0))
    clf.partial_fit(X[:100], y[:100], classes=range(10))
    before = clf.estimator_.coef_.copy(), clf.selector_.n_seen_
    with pytest.raises(RuntimeError, match="no more memory"):
        clf.partial_fit(X, y)
    np.testing.assert_array_equal(clf.estimator_.coef_, before[0])
    assert clf.selector_.n_seen_ == before[1]


def test_other_classes_than_in_the_first_call_are_refused(digits):
    X, y = digits
    clf = online().partial_fit(X, y)
    with pytest.raises(ValueError, match="classes must be those of the first call"):
        clf.partial_fit(X, y, classes=range(11))


def test_wrong_estimators_are_refused(digits):
    with pytest.raises(ValueError, match="estimator"):
        online(estimator=KNeighborsClassifier()).fit(*digits)

    class LabelsOnly(SGDClassifier):
        @property
        def decision_function(self):
            raise AttributeError

        predict_proba = decision_function

    with pytest.raises(TypeError, match="decision_function or predict_proba"):
        online(estimator=LabelsOnly()).fit(*digits)
