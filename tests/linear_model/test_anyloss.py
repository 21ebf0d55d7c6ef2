import pickle
import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csc_array, csr_array
from sklearn.base import clone
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.datasets import load_breast_cancer, load_iris, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, matthews_corrcoef
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklogit._lbfgs import minimise
from sklogit.linear_model import AnyLossClassifier, AnyLossClassifierCV, _anyloss_start
from sklogit.linear_model._anyloss_objective import BinaryObjective
from sklogit.linear_model._rows import Rows
from sklogit.metrics import (
    ConfusionMetric,
    amplify,
    get_confusion_metric,
    optimal_threshold,
    soft_confusion,
)

BOTH = [AnyLossClassifier, AnyLossClassifierCV]
both = pytest.mark.parametrize("cls", BOTH)


@pytest.fixture(scope="module")
def rare():
    """A rare class, with outliers far away on the wrong side."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((600, 3))
    y = X @ [1.0, -1.0, 0.5] + 0.5 * rng.standard_normal(600) > 2.0
    X[np.flatnonzero(y)[::9]] += [-9.0, 9.0, 0.0]
    return X, y.astype(int)


@pytest.fixture(scope="module")
def three_classes():
    X, y = make_classification(
        500,
        6,
        n_informative=4,
        n_classes=3,
        weights=[0.8, 0.15, 0.05],
        random_state=0,
    )
    return X, np.array(["a", "b", "c"])[y]


@parametrize_with_checks(
    [
        AnyLossClassifier("mcc", amplifier="probability", L=5.0),
        AnyLossClassifier("balanced_accuracy", init="balanced", fit_intercept=False),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# -- what it is ------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["f1", "gmean", "mcc", "balanced_accuracy"])
def test_it_beats_the_best_threshold_where_outliers_turn_the_line(rare, metric):
    X, y = rare
    scores = LogisticRegression().fit(X, y).decision_function(X)
    _, best = optimal_threshold(y, scores, metric)
    assert AnyLossClassifier(metric).fit(X, y).train_metric_ > best + 0.02


@pytest.mark.parametrize("alpha", [np.inf, 1e12])
def test_infinite_alpha_is_logistic_regression_with_the_best_threshold(rare, alpha):
    X, y = rare
    model = LogisticRegression(max_iter=1000).fit(X, y)
    scores = model.decision_function(X)
    threshold, value = optimal_threshold(y, scores, "f1")
    clf = AnyLossClassifier(alpha=alpha).fit(X, y)
    np.testing.assert_allclose(clf.coef_, model.coef_, rtol=1e-6)
    if np.isinf(alpha):  # else the intercept, which has no penalty, moves
        np.testing.assert_allclose(clf.decision_function(X), scores - threshold)
        assert clf.train_metric_ == pytest.approx(value)


def test_alpha_pulls_to_the_anchor(rare):
    moved = []
    for alpha in (0.1, 10.0, 1000.0):
        clf = AnyLossClassifier(alpha=alpha).fit(*rare)
        moved.append(np.linalg.norm(clf.coef_ - clf.init_coef_))
    assert moved[0] > moved[1] > moved[2] > 0


def test_anchor_at_zero_pulls_to_zero(rare):
    small = AnyLossClassifier(alpha=1e5, anchor="zero").fit(*rare)
    assert np.linalg.norm(small.coef_) < 0.1 * np.linalg.norm(small.init_coef_)


@pytest.mark.parametrize("metric", ["f1", "gmean", "mcc", "jaccard", "kappa"])
@pytest.mark.parametrize("init", ["logistic", "balanced", "zeros"])
def test_objective_never_rises_above_that_of_the_start(rare, metric, init):
    clf = AnyLossClassifier(metric, init=init).fit(*rare)
    assert (np.diff(clf.loss_curve_) <= 1e-12).all()
    assert clf.loss_ == clf.loss_curve_[-1] < clf.loss_curve_[0]
    assert clf.n_iter_ == len(clf.loss_curve_)


def test_the_end_is_stationary(rare):
    X, y = rare
    clf = AnyLossClassifier("f1", alpha=3.0, L=1.0, tol=1e-7).fit(X, y)
    z = X @ clf.coef_[0] + clf.intercept_[0]

    def objective(w, b):
        a = 1 / (1 + np.exp(-(X @ w + b)))
        f1 = 2 * y @ a / (y.sum() + a.sum())
        return 1 - f1 + 3.0 / (2 * len(y)) * np.sum((w - clf.init_coef_[0]) ** 2)

    w, b, h = clf.coef_[0], clf.intercept_[0], 1e-5
    assert objective(w, b) == pytest.approx(clf.loss_, rel=1e-10)
    for k in range(3):
        step = h * np.eye(3)[k]
        slope = (objective(w + step, b) - objective(w - step, b)) / (2 * h)
        assert abs(slope) < 1e-6
    soft = get_confusion_metric("f1").value(*soft_confusion(y, 1 / (1 + np.exp(-z))))
    assert clf.metric_value_ == pytest.approx(soft)


def test_paper_settings_train_from_zero(rare):
    X, y = StandardScaler().fit_transform(rare[0]), rare[1]
    clf = AnyLossClassifier(amplifier="probability", L=73, init="zeros", alpha=0).fit(
        X, y
    )
    assert not clf.init_coef_.any()
    assert clf.train_metric_ > f1_score(y, LogisticRegression().fit(X, y).predict(X))


@pytest.mark.parametrize("metric", ["mcc", "gmean", "balanced_accuracy"])
def test_swapping_the_classes_mirrors_symmetric_metrics(rare, metric):
    X, y = rare
    one = AnyLossClassifier(metric, tol=1e-7).fit(X, y)
    other = AnyLossClassifier(metric, tol=1e-7).fit(X, 1 - y)
    np.testing.assert_allclose(one.coef_, -other.coef_, rtol=1e-3)
    np.testing.assert_allclose(one.intercept_, -other.intercept_, rtol=1e-3)


def test_pos_label_is_the_other_class(rare):
    X, y = rare
    by_label = AnyLossClassifier("f1", pos_label=0).fit(X, y)
    swapped = AnyLossClassifier("f1").fit(X, 1 - y)
    np.testing.assert_allclose(by_label.coef_, -swapped.coef_)
    np.testing.assert_array_equal(by_label.predict(X), 1 - swapped.predict(X))
    assert by_label.train_metric_ == pytest.approx(
        f1_score(y, by_label.predict(X), pos_label=0)
    )


def test_logit_steepness_is_a_rescaled_penalty(rare):
    # (L, alpha) with scores z is (1, alpha / L^2) with scores L z, around zero.
    options = {"init": "zeros", "anchor": "zero", "tol": 1e-8}
    steep = AnyLossClassifier(L=4.0, alpha=16.0, **options).fit(*rare)
    plain = AnyLossClassifier(L=1.0, alpha=1.0, **options).fit(*rare)
    np.testing.assert_allclose(4 * steep.coef_, plain.coef_, rtol=1e-3)


def test_beta_weighs_recall(rare):
    X, y = rare
    recall = get_confusion_metric("recall")
    low, high = (
        recall.score(y, AnyLossClassifier("fbeta", beta=b).fit(X, y).predict(X))
        for b in (0.3, 3.0)
    )
    assert low < high


def test_probabilities_are_the_logistic_function_of_the_scores(rare):
    X, y = rare
    clf = AnyLossClassifier().fit(X, y)
    expected = 1 / (1 + np.exp(-clf.decision_function(X)))
    np.testing.assert_allclose(clf.predict_proba(X)[:, 1], expected)
    np.testing.assert_allclose(np.exp(clf.predict_log_proba(X)), clf.predict_proba(X))
    np.testing.assert_array_equal(clf.predict(X), expected > 0.5)


# -- more than two classes -------------------------------------------------------------


@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_multiclass_beats_logistic_regression_in_its_metric(three_classes, average):
    X, y = three_classes
    clf = AnyLossClassifier("f1", average=average).fit(X, y)
    plain = LogisticRegression().fit(X, y)
    assert clf.train_metric_ == pytest.approx(
        f1_score(y, clf.predict(X), average=average)
    )
    assert clf.train_metric_ > f1_score(y, plain.predict(X), average=average)
    assert clf.coef_.shape == (3, 6)
    np.testing.assert_allclose(clf.predict_proba(X).sum(axis=1), 1.0)
    np.testing.assert_allclose(np.exp(clf.predict_log_proba(X)), clf.predict_proba(X))


def test_matthews_correlation_of_all_classes_together(three_classes):
    X, y = three_classes
    clf = AnyLossClassifier("mcc", average="multiclass").fit(X, y)
    found = matthews_corrcoef(y, clf.predict(X))
    assert clf.train_metric_ == pytest.approx(found)
    assert found > matthews_corrcoef(y, LogisticRegression().fit(X, y).predict(X))
    scorer = get_confusion_metric("mcc").to_scorer(average="multiclass")
    assert scorer(clf, X, y) == pytest.approx(found)
    with pytest.raises(ValueError, match="average='multiclass' needs a metric of"):
        AnyLossClassifier("f1", average="multiclass").fit(X, y)


def test_multiclass_with_infinite_alpha_is_logistic_regression(three_classes):
    X, y = three_classes
    clf = AnyLossClassifier(alpha=np.inf).fit(X, y)
    plain = LogisticRegression(max_iter=1000).fit(X, y)
    np.testing.assert_allclose(clf.coef_, plain.coef_, rtol=1e-6)


@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_multiclass_loss_is_the_mean_over_classes(three_classes, average):
    X, y = three_classes
    clf = AnyLossClassifier("f1", alpha=np.inf, average=average).fit(X, y)
    f1, predictions = get_confusion_metric("f1"), clf.predict_proba(X)
    of_class = [
        f1.value(*soft_confusion(y == label, predictions[:, k]))
        for k, label in enumerate(clf.classes_)
    ]
    shares = [np.mean(y == label) for label in clf.classes_]
    expected = np.average(of_class, weights=shares if average == "weighted" else None)
    assert clf.metric_value_ == pytest.approx(expected, rel=1e-10)


# -- weights, types, containers --------------------------------------------------------


@pytest.mark.parametrize("data", ["rare", "three_classes"])
def test_integer_weights_repeat_rows(data, request):
    X, y = request.getfixturevalue(data)
    k = np.random.default_rng(0).integers(0, 3, len(y))
    # The same start, so that the tolerance of the logistic regression plays no part.
    options = {"init": "zeros", "tol": 1e-8, "alpha": 1.0}
    weighted = AnyLossClassifier(**options).fit(X, y, sample_weight=k)
    repeated = AnyLossClassifier(**options).fit(
        np.repeat(X, k, axis=0), np.repeat(y, k)
    )
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-4, atol=1e-6)
    assert weighted.train_metric_ == pytest.approx(repeated.train_metric_)


@pytest.mark.parametrize("make", [csr_array, csc_array])
@pytest.mark.parametrize("data", ["rare", "three_classes"])
def test_sparse_equals_dense(make, data, request):
    X, y = request.getfixturevalue(data)
    X = np.where(np.abs(X) < 0.3, 0.0, X)
    dense, sparse = (AnyLossClassifier().fit(A, y) for A in (X, make(X)))
    np.testing.assert_allclose(sparse.coef_, dense.coef_, rtol=1e-4, atol=1e-6)


@both
def test_float32_stays_float32(rare, cls):
    X, y = rare
    clf = cls().fit(X.astype(np.float32), y)
    for name in ("coef_", "intercept_", "init_coef_", "init_intercept_"):
        assert getattr(clf, name).dtype == np.float32
    double = cls().fit(X, y)
    assert clf.train_metric_ == pytest.approx(double.train_metric_, abs=0.03)


@pytest.mark.parametrize("labels", [["no", "yes"], [False, True], [-1, 1], [3.0, 7.0]])
def test_labels_of_any_kind(rare, labels):
    X, y = rare
    clf = AnyLossClassifier().fit(X, np.array(labels)[y])
    reference = AnyLossClassifier().fit(X, y)
    np.testing.assert_allclose(clf.coef_, reference.coef_)
    assert set(clf.predict(X)) == set(labels)


def test_pandas_in_and_names_kept(rare):
    X = pd.DataFrame(rare[0], columns=["a", "b", "c"])
    clf = AnyLossClassifier().fit(X, pd.Series(rare[1]))
    np.testing.assert_array_equal(clf.feature_names_in_, ["a", "b", "c"])
    with pytest.raises(ValueError, match="feature names"):
        clf.predict(X[["b", "a", "c"]])


def test_a_memory_map_is_not_loaded(rare, tmp_path):
    path = tmp_path / "X.npy"
    np.save(path, rare[0])
    mapped = np.load(path, mmap_mode="r")
    np.testing.assert_allclose(
        AnyLossClassifier().fit(mapped, rare[1]).coef_,
        AnyLossClassifier().fit(*rare).coef_,
    )


# -- edges -----------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["f1", "gmean", "mcc", "precision"])
@pytest.mark.parametrize("amplifier", ["logit", "probability"])
def test_separable_data_stay_finite(metric, amplifier):
    X = np.linspace(-1e4, 1e4, 40)[:, np.newaxis]
    clf = AnyLossClassifier(metric, amplifier=amplifier).fit(X, X[:, 0] > 0)
    assert np.isfinite(clf.coef_).all()
    assert clf.train_metric_ == 1.0


def test_one_positive_and_a_constant_feature():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.standard_normal(50), np.ones(50)])
    y = np.arange(50) == X[:, 0].argmax()
    clf = AnyLossClassifier().fit(X, y)
    assert clf.loss_ <= clf.loss_curve_[0]
    assert np.isfinite(clf.coef_).all()
    assert AnyLossClassifier(alpha=np.inf).fit(X, y).train_metric_ == 1.0


def test_features_that_tell_nothing():
    X, y = np.zeros((20, 2)), np.arange(20) % 4 == 0
    clf = AnyLossClassifier().fit(X, y)
    # All positive is the best F1 of equal scores.
    assert clf.train_metric_ == pytest.approx(0.4)


@pytest.mark.parametrize("n", [200, 30_000])
def test_many_rows_start_from_a_rescaled_solution(n):
    # Above 10,000 rows the start is stretched first: it only saves iterations.
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 3))
    y = X @ [1.0, -1.0, 0.5] + rng.standard_normal(n) > 2.0
    clf = AnyLossClassifier("f1", tol=1e-6).fit(X, y)
    direct = AnyLossClassifier("f1", tol=1e-6, init="zeros", anchor="zero", alpha=0)
    free = AnyLossClassifier("f1", tol=1e-6, alpha=0).fit(X, y)
    assert free.loss_ == pytest.approx(direct.fit(X, y).loss_, abs=2e-3)
    assert clf.loss_ <= clf.loss_curve_[0]


# -- state -----------------------------------------------------------------------------


@pytest.mark.parametrize("pos_label", [None, 0])
@pytest.mark.parametrize("sparse", [False, True])
def test_warm_start_continues(rare, pos_label, sparse):
    clf = AnyLossClassifier(warm_start=True, tol=1e-6, pos_label=pos_label).fit(*rare)
    first, anchor = clf.coef_, clf.init_coef_
    clf = clf.sparsify() if sparse else clf
    clf.fit(*rare)
    assert clf.n_iter_ <= 3
    np.testing.assert_allclose(clf.coef_, first, rtol=1e-3)
    np.testing.assert_array_equal(clf.init_coef_, anchor)


def test_warm_start_ends_with_an_infinite_alpha(rare):
    clf = AnyLossClassifier(alpha=0.1, warm_start=True).fit(*rare)
    clf.set_params(alpha=np.inf).fit(*rare)
    cold = AnyLossClassifier(alpha=np.inf).fit(*rare)
    np.testing.assert_array_equal(clf.coef_, cold.coef_)
    np.testing.assert_array_equal(clf.intercept_, cold.intercept_)


def test_warm_start_needs_the_same_problem(rare):
    X, y = rare
    clf = AnyLossClassifier(warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match="warm_start needs the same classes"):
        clf.fit(X, y + 1)
    with pytest.raises(ValueError, match="warm_start needs the same shape"):
        clf.fit(X[:, :2], y)


def test_a_metric_that_fails_on_the_way_keeps_the_start(rare):
    X, y = rare
    start = AnyLossClassifier(alpha=np.inf).fit(X, y)
    counts = soft_confusion(y, start.predict_proba(X)[:, 1])

    def fails_above(tn, fp, fn, tp):
        f1 = 2 * tp / (2 * tp + fp + fn)
        hard = tp == np.round(tp) and fp == np.round(fp)
        return f1 if hard or f1 < start_value + 1e-3 else np.nan

    f1 = get_confusion_metric("f1")
    start_value = f1.value(*counts)
    metric = ConfusionMetric(fails_above, name="brittle", gradient=f1.gradient)
    # The probes of differentiability must not meet the failure.
    metric.check_differentiable = lambda *args: None
    with pytest.warns(ConvergenceWarning, match="the start was kept: metric 'brittle'"):
        clf = AnyLossClassifier(metric, L=1.0).fit(X, y)
    assert clf.fell_back_
    np.testing.assert_array_equal(clf.coef_, clf.init_coef_)
    assert not AnyLossClassifier().fit(X, y).fell_back_


def test_too_few_iterations_warn(rare):
    with pytest.warns(ConvergenceWarning, match="max_iter=2 iterations"):
        AnyLossClassifier(max_iter=2, tol=1e-9).fit(*rare)


def test_a_start_that_does_not_converge_warns(rare, monkeypatch):
    monkeypatch.setattr(_anyloss_start, "_MAX_ITER", 2)
    with pytest.warns(ConvergenceWarning, match="logistic regression of init"):
        AnyLossClassifier().fit(*rare)


def test_fits_leave_the_filters_of_warnings_alone(rare, monkeypatch):
    seen = []

    class Seeing(LogisticRegression):
        def fit(self, X, y, sample_weight=None):
            seen.append(list(warnings.filters))
            return super().fit(X, y, sample_weight)

    monkeypatch.setattr(_anyloss_start, "LogisticRegression", Seeing)
    AnyLossClassifier().fit(*rare)
    # In one thread they would be restored; in several, by the last one to leave.
    assert seen == [list(warnings.filters)]


def test_interrupt_keeps_what_was_reached(rare):
    X, y = rare
    calls = []

    def impatient(tn, fp, fn, tp):
        calls.append(0)
        if len(calls) == 900:
            raise KeyboardInterrupt
        return 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0

    clf = AnyLossClassifier(impatient, tol=0)
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X, y)
    calls.clear()
    assert clf.n_iter_ > 2
    assert clf.loss_ < clf.loss_curve_[0]
    assert clf.predict(X).shape == y.shape


def test_interrupt_before_the_first_iteration_keeps_the_earlier_fit(rare):
    X, y = rare
    clf = AnyLossClassifier().fit(X, y)
    before = clf.coef_

    def stop(tn, fp, fn, tp):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        clf.set_params(metric=stop).fit(X, y)
    assert clf.coef_ is before


@both
def test_pickle_and_clone(rare, cls):
    clf = cls("gmean").fit(*rare)
    copy = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(copy.predict(rare[0]), clf.predict(rare[0]))
    assert not hasattr(clone(clf), "coef_")


def test_verbose_tells_the_objective(rare, capsys):
    AnyLossClassifier(verbose=1).fit(*rare)
    assert capsys.readouterr().out.startswith("iteration 1: objective 0.")


def test_callbacks_follow_the_iterations(rare, capsys):
    monitor = ScoringMonitor(scoring="f1")
    clf = AnyLossClassifier().set_callbacks(ProgressBar(), monitor).fit(*rare)
    log = [row for row in monitor.get_logs().data if row["task_name"] == "iteration"]
    assert len(log) == clf.n_iter_ - 1
    assert log[-1]["f1"] == pytest.approx(clf.train_metric_)


def test_solver_takes_the_better_of_two_starts():
    def bowl(x):
        return float(x @ x), 2 * x

    fit = minimise(bowl, [np.array([3.0]), np.array([1.0])], 50, 1e-8)
    assert fit.loss_curve[0] == 1.0
    np.testing.assert_allclose(fit.parameters, 0.0, atol=1e-6)


def test_solver_returns_to_the_start_from_an_objective_that_fails_later():
    calls = []

    def valley(x):
        calls.append(1)
        if len(calls) > 6:
            raise ValueError("no more")
        return float(x[0] ** 2 + 100 * x[1] ** 2), np.array([2, 200]) * x

    start = np.array([3.0, 1.0])
    fit = minimise(valley, [start], 50, 1e-8)
    assert len(calls) == 7
    assert fit.n_iter > 1
    assert (fit.failure, fit.converged, fit.loss_curve) == ("no more", False, [109.0])
    np.testing.assert_array_equal(fit.parameters, start)


# -- the choice of alpha ---------------------------------------------------------------


def worth_of_a_threshold(X, y, metric, cv, weight=None):
    """Held-out scores, and the metric at thresholds that the other folds choose."""
    scores = cross_val_predict(
        LogisticRegression(max_iter=1000),
        X,
        y,
        cv=cv,
        method="decision_function",
        params=None if weight is None else {"sample_weight": weight},
    )
    predicted = np.empty(len(y), dtype=int)
    for others, own in cv.split(X, y):
        cut, _ = optimal_threshold(
            y[others],
            scores[others],
            metric,
            sample_weight=None if weight is None else weight[others],
        )
        predicted[own] = scores[own] > cut
    value = get_confusion_metric(metric).score(y, predicted, sample_weight=weight)
    return scores, value


@pytest.mark.parametrize("weighted", [False, True])
def test_scores_of_the_choice_are_those_of_cross_validation(rare, weighted):
    X, y = rare
    weight = np.random.default_rng(0).random(len(y)) + 0.5 if weighted else None
    cv = StratifiedKFold(4)
    clf = AnyLossClassifierCV("mcc", alphas=(3.0, np.inf, 0.5), cv=cv)
    clf.fit(X, y, sample_weight=weight)
    params = None if weight is None else {"sample_weight": weight}
    expected = [worth_of_a_threshold(X, y, "mcc", cv, weight)[1]]
    for alpha in (3.0, 0.5):
        predicted = cross_val_predict(
            AnyLossClassifier("mcc", alpha=alpha), X, y, cv=cv, params=params
        )
        expected.append(matthews_corrcoef(y, predicted, sample_weight=weight))
    np.testing.assert_array_equal(clf.alphas_, [np.inf, 3.0, 0.5])
    np.testing.assert_allclose(clf.cv_scores_, expected, rtol=1e-10)
    assert clf.alpha_ == clf.alphas_[np.argmax(expected)]
    final = AnyLossClassifier("mcc", alpha=clf.alpha_).fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(clf.coef_, final.coef_)


def test_infinite_alpha_takes_the_threshold_of_held_out_scores(rare):
    X, y = rare
    clf = AnyLossClassifierCV(alphas=[np.inf], cv=StratifiedKFold(3)).fit(X, y)
    model = LogisticRegression(max_iter=1000)
    scores, value = worth_of_a_threshold(X, y, "f1", StratifiedKFold(3))
    threshold, _ = optimal_threshold(y, scores, "f1")
    assert clf.threshold_ == pytest.approx(threshold, rel=1e-12)
    assert clf.cv_scores_[0] == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(
        clf.decision_function(X), model.fit(X, y).decision_function(X) - threshold
    )


def test_equal_scores_choose_the_largest_alpha():
    X = np.array([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0] * 5)[:, np.newaxis]
    clf = AnyLossClassifierCV(alphas=(0.1, 5.0, 1.0)).fit(X, X[:, 0] > 0)
    np.testing.assert_array_equal(clf.cv_scores_, 1.0)
    assert clf.alpha_ == 5.0
    assert clf.threshold_ is None


def test_scoring_is_averaged_over_folds(rare):
    X, y = rare
    cv = StratifiedKFold(3)
    clf = AnyLossClassifierCV("f1", alphas=(3.0, 0.5), cv=cv, scoring="roc_auc")
    clf.fit(X, y)
    search = GridSearchCV(
        AnyLossClassifier("f1"), {"alpha": [3.0, 0.5]}, cv=cv, scoring="roc_auc"
    ).fit(X, y)
    np.testing.assert_allclose(
        clf.cv_scores_, search.cv_results_["mean_test_score"], rtol=1e-10
    )


def test_choice_with_three_classes_and_two_jobs(three_classes):
    X, y = three_classes
    clf = AnyLossClassifierCV(cv=3, n_jobs=2).fit(X, y)
    alone = AnyLossClassifierCV(cv=3).fit(X, y)
    np.testing.assert_array_equal(clf.cv_scores_, alone.cv_scores_)
    predicted = cross_val_predict(
        AnyLossClassifier(alpha=3.0), X, y, cv=StratifiedKFold(3)
    )
    assert clf.cv_scores_[2] == pytest.approx(f1_score(y, predicted, average="macro"))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"alphas": []}, "alphas must be numbers of at least 0"),
        ({"alphas": [-1.0]}, "alphas must be numbers of at least 0"),
        ({"alphas": [np.nan]}, "alphas must be numbers of at least 0"),
        ({"cv": [(np.arange(3), np.arange(3, 6))]}, "no weight in the training part"),
    ],
)
def test_bad_parameters_of_the_choice(params, message):
    X, y = np.arange(6.0)[:, np.newaxis], [0, 0, 0, 1, 1, 1]
    with pytest.raises(ValueError, match=message):
        AnyLossClassifierCV(**params).fit(X, y)


# -- in company ------------------------------------------------------------------------


def test_search_over_metric_and_steepness():
    X, y = load_breast_cancer(return_X_y=True)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), AnyLossClassifier(amplifier="probability")),
        {
            "anylossclassifier__metric": ["f1", "mcc"],
            "anylossclassifier__L": [2.0, 10.0],
        },
        scoring=get_confusion_metric("mcc").to_scorer(),
        cv=3,
        n_jobs=2,
    ).fit(X, y)
    assert search.best_score_ > 0.9


@pytest.mark.parametrize("name", ["f1", "mcc", "balanced_accuracy", "jaccard"])
def test_hard_limit_of_the_loss_is_one_minus_the_scorer(rare, name):
    # Very steep predictions are hard: loss and scorer of one name agree.
    X, y = rare
    clf = AnyLossClassifier(name, alpha=0).fit(X, y)
    metric = get_confusion_metric(name)
    objective = BinaryObjective(
        Rows(X, y == 1), metric, partial(amplify, L=1e8), 0.0, 0 * clf.coef_, True
    )
    loss, _ = objective(objective.join(clf.coef_, clf.intercept_))
    assert loss == pytest.approx(1 - metric.to_scorer()(clf, X, y), abs=1e-9)


# -- bad input -------------------------------------------------------------------------


@both
@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"metric": "f7"}, "metric must be one of"),
        ({"metric": 3}, "'metric' parameter"),
        ({"beta": 0}, "'beta' parameter"),
        ({"C": 0.0}, "'C' parameter"),
        ({"L": -1}, "'L' parameter"),
        ({"anchor": "here"}, "'anchor' parameter"),
        ({"init": "warm"}, "'init' parameter"),
        ({"amplifier": "relu"}, "'amplifier' parameter"),
        ({"average": "micro"}, "'average' parameter"),
        ({"pos_label": "x"}, "pos_label='x' is not in the classes"),
    ],
)
def test_bad_parameters_are_named(rare, cls, params, message):
    with pytest.raises(ValueError, match=message):
        cls(**params).fit(*rare)


def test_negative_alpha_is_named(rare):
    with pytest.raises(ValueError, match="'alpha' parameter"):
        AnyLossClassifier(alpha=-1).fit(*rare)


@both
def test_bad_data(rare, cls):
    X, y = rare
    with pytest.raises(ValueError, match="only one class"):
        cls().fit(X, np.zeros(len(y)))
    with pytest.raises(ValueError, match="must leave weight in every class"):
        cls().fit(X, y, sample_weight=1.0 - y)
    with pytest.raises(ValueError, match="at least one non-zero number"):
        cls().fit(X, y, sample_weight=np.zeros(len(y)))
    with pytest.raises(ValueError, match=r"[Nn]egative"):
        cls().fit(X, y, sample_weight=-np.ones(len(y)))
    with pytest.raises(ValueError, match="pos_label=1 needs two classes"):
        cls(pos_label=1).fit(X, np.arange(len(y)) % 3)


@both
@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda tn, fp, fn, tp: tp / (tp + fp), "must return a finite number"),
        (lambda tn, fp, fn, tp: float(tp > fp), "is not differentiable"),
        (lambda tn, fp, fn, tp: None, "must return a real number"),
    ],
)
def test_bad_metrics_are_named(rare, cls, function, message):
    metric = ConfusionMetric(function, name="mine")
    with pytest.raises((ValueError, TypeError), match=f"metric 'mine'.*{message}"):
        cls(metric).fit(*rare)


def test_iris_is_where_a_line_is_wrong():
    X, y = load_iris(return_X_y=True)
    clf = AnyLossClassifier().fit(X, y == 1)
    plain = LogisticRegression().fit(X, y == 1)
    assert clf.train_metric_ > f1_score(y == 1, plain.predict(X)) + 0.1
