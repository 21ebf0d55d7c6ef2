"""The factored search against GridSearchCV over the pipeline of MOABB."""

import warnings

import numpy as np
import pytest
from joblib import parallel_config
from moabb.pipelines.features import AugmentedDataset
from pyriemann.estimation import Covariances
from pyriemann.tangentspace import TangentSpace
from sklearn.callback import ScoringMonitor
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.metrics import make_scorer, matthews_corrcoef
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    StratifiedKFold,
    StratifiedShuffleSplit,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from sklogit.covariance import (
    AugmentedCovarianceClassifier,
    AugmentedCovarianceClassifierCV,
    AugmentedCovariances,
    LagStatistics,
    SPDTangentSpace,
)
from sklogit.covariance import _search as module
from sklogit.datasets import make_bci_epochs

GRID = {
    "orders": [1, 2, 3],
    "lags": [1, 3],
    "Cs": [0.5, 1.5],
    "kernels": ["linear", "rbf"],
}
SMALL = {"orders": [1, 2], "lags": [1, 2], "Cs": [1.0], "kernels": ["linear"]}


@pytest.fixture(scope="module")
def two_classes():
    return make_bci_epochs(42, 3, 150, noise=1.0, random_state=0)


@pytest.fixture(scope="module")
def three_classes():
    X, y = make_bci_epochs(42, 3, 150, freqs=(9, 10, 11), noise=1.0, random_state=0)
    return X, np.array(["left", "right", "feet"])[y]


def peer_search(grid=GRID, estimator="cov", **options):
    """GridSearchCV over the pipeline that MOABB's configuration describes."""
    pipeline = make_pipeline(
        AugmentedDataset(), Covariances(estimator), TangentSpace("riemann"), SVC()
    )
    grid = {
        "augmenteddataset__order": grid["orders"],
        "augmenteddataset__lag": grid["lags"],
        "svc__C": grid["Cs"],
        "svc__kernel": grid["kernels"],
    }
    return GridSearchCV(pipeline, grid, **options)


def without_prefix(name):
    head, _, parameter = name.partition("__")
    return f"param_{parameter}" if parameter and head.startswith("param_") else name


def same_scores(ours, peer):
    names = [n for n in peer.cv_results_ if n.endswith("test_score")]
    assert len(names) == peer.n_splits_ + 3
    for name in names:
        np.testing.assert_allclose(
            ours.cv_results_[name], peer.cv_results_[name], atol=1e-12, err_msg=name
        )


# Equality with GridSearchCV


@pytest.mark.parametrize("estimator", ["cov", "oas"])
@pytest.mark.parametrize("scoring", [None, "roc_auc"])
def test_scores_and_choice_equal_grid_search_over_moabb(
    two_classes, estimator, scoring
):
    X, y = two_classes
    peer = peer_search(GRID, estimator, cv=3, scoring=scoring).fit(X, y)
    ours = AugmentedCovarianceClassifierCV(
        **GRID, estimator=estimator, scoring=scoring, tol=1e-8
    ).fit(X, y)
    same_scores(ours, peer)
    assert ours.best_index_ == peer.best_index_
    expected = {name.partition("__")[2]: v for name, v in peer.best_params_.items()}
    assert ours.best_params_ == expected
    np.testing.assert_allclose(ours.best_score_, peer.best_score_)
    np.testing.assert_array_equal(ours.predict(X), peer.predict(X))
    np.testing.assert_allclose(ours.score(X, y), peer.score(X, y))
    assert ours.n_splits_ == peer.n_splits_


def test_default_tolerance_gives_the_same_scores(two_classes):
    X, y = two_classes
    same_scores(
        AugmentedCovarianceClassifierCV(**GRID).fit(X, y),
        peer_search(cv=3).fit(X, y),
    )


def test_three_classes_of_strings_equal_grid_search(three_classes):
    X, y = three_classes
    peer = peer_search(cv=3).fit(X, y)
    ours = AugmentedCovarianceClassifierCV(**GRID).fit(X, y)
    same_scores(ours, peer)
    np.testing.assert_array_equal(ours.classes_, ["feet", "left", "right"])
    np.testing.assert_array_equal(ours.predict(X), peer.predict(X))
    np.testing.assert_allclose(
        ours.decision_function(X), peer.decision_function(X), atol=1e-3
    )


def test_results_have_the_names_types_and_order_of_grid_search(two_classes):
    X, y = two_classes
    peer = peer_search(cv=3).fit(X, y).cv_results_
    ours = AugmentedCovarianceClassifierCV(**GRID).fit(X, y).cv_results_
    peer = {without_prefix(name): column for name, column in peer.items()}
    assert set(ours) == set(peer)
    stripped = [
        {name.partition("__")[2]: value for name, value in row.items()}
        for row in peer["params"]
    ]
    assert ours["params"] == stripped
    for name in set(peer) - {"params"}:
        assert type(ours[name]) is type(peer[name]), name
        assert ours[name].dtype == peer[name].dtype, name
        assert ours[name].shape == peer[name].shape, name
    for name in ("param_order", "param_lag", "param_C", "param_kernel"):
        np.testing.assert_array_equal(ours[name], peer[name])
    for name in ("mean_fit_time", "mean_score_time"):
        assert (ours[name] > 0).all()


def test_weights_reach_the_means_and_the_svm_of_each_fold(two_classes):
    X, y = two_classes
    weight = np.random.default_rng(0).uniform(0.1, 4, 42)
    ours = AugmentedCovarianceClassifierCV(**GRID, tol=1e-8).fit(X, y, weight)
    scores = []
    for train, test in StratifiedKFold(3).split(X, y):
        space = SPDTangentSpace()
        C = AugmentedCovariances(3, 3).fit_transform(X)
        space.fit(C[train], sample_weight=weight[train])
        features = space.transform(C)
        svc = SVC(C=0.5, kernel="rbf").fit(features[train], y[train], weight[train])
        scores.append(svc.score(features[test], y[test]))
    row = ours.cv_results_["params"].index(
        {"order": 3, "lag": 3, "C": 0.5, "kernel": "rbf"}
    )
    found = [ours.cv_results_[f"split{k}_test_score"][row] for k in range(3)]
    np.testing.assert_allclose(found, scores)
    refit = AugmentedCovarianceClassifier(
        ours.best_params_["order"],
        ours.best_params_["lag"],
        "cov",
        classifier=SVC(C=ours.best_params_["C"], kernel=ours.best_params_["kernel"]),
        tol=1e-8,
    ).fit(X, y, weight)
    np.testing.assert_array_equal(ours.decision_function(X), refit.decision_function(X))


@pytest.mark.parametrize(
    "options",
    [
        {"structure": "toeplitz"},
        {"trim": "full"},
        {"reference": "euclid"},
        {"estimator": "sch"},
    ],
    ids=lambda option: "-".join(next(iter(option.items()))),
)
def test_options_of_the_classifier_reach_every_candidate(two_classes, options):
    X, y = two_classes
    grid = {"order": [2, 3], "lag": [1, 3]}
    classifier = AugmentedCovarianceClassifier(**{"estimator": "cov"} | options)
    peer = GridSearchCV(classifier, grid, cv=3).fit(X, y)
    ours = AugmentedCovarianceClassifierCV([2, 3], [1, 3], [1], ["linear"], **options)
    same_scores(ours.fit(X, y), peer)


# Rows that coincide


def test_rows_of_order_one_are_the_same_for_every_lag(two_classes):
    search = AugmentedCovarianceClassifierCV([2, 1], [1, 2, 5]).fit(*two_classes)
    results = search.cv_results_
    names = ["C", "kernel", *(f"split{k}_test_score" for k in range(3))]
    columns = [results.get(f"param_{name}", results.get(name)) for name in names]
    rows = [list(zip(*(c[results["param_order"] == 1] for c in columns)))]
    first, *others = np.array_split(np.array(rows[0], dtype=object), 3)
    for other in others:
        np.testing.assert_array_equal(other, first)


def test_first_of_equal_candidates_is_the_best(two_classes):
    # Every candidate scores the same; GridSearchCV takes its first row too.
    def constant(estimator, X, y):
        return 0.5

    X, y = two_classes
    search = AugmentedCovarianceClassifierCV(**GRID, scoring=constant).fit(X, y)
    assert search.best_index_ == 0
    assert search.best_params_ == {"order": 1, "lag": 1, "C": 0.5, "kernel": "linear"}
    assert (search.cv_results_["rank_test_score"] == 1).all()
    peer = peer_search(cv=3, scoring=constant).fit(X, y)
    same_scores(search, peer)
    assert peer.best_index_ == 0


def test_each_distinct_pair_is_computed_once(two_classes, monkeypatch):
    pairs = []
    covariance = LagStatistics.covariance

    def count(self, order, lag, *args, **kwargs):
        pairs.append((order, lag))
        return covariance(self, order, lag, *args, **kwargs)

    monkeypatch.setattr(LagStatistics, "covariance", count)
    AugmentedCovarianceClassifierCV(**GRID, refit=False, cv=4).fit(*two_classes)
    assert sorted(pairs) == [(1, 1), (2, 1), (2, 3), (3, 1), (3, 3)]


# Folds


def test_random_state_shuffles_the_folds_and_repeats(two_classes):
    X, y = two_classes
    first, again, other, plain = (
        AugmentedCovarianceClassifierCV(**SMALL, random_state=seed).fit(X, y)
        for seed in (42, 42, 1, None)
    )
    same_scores(again, first)
    folds = StratifiedKFold(3, shuffle=True, random_state=42)
    same_scores(first, peer_search(SMALL, cv=folds).fit(X, y))
    same_scores(plain, peer_search(SMALL, cv=3).fit(X, y))
    assert not np.array_equal(
        first.cv_results_["split0_test_score"], other.cv_results_["split0_test_score"]
    )


@pytest.mark.parametrize(
    "cv",
    [
        StratifiedShuffleSplit(2, random_state=0),
        [(np.arange(30), np.arange(30, 42)), (np.arange(12, 42), np.arange(12))],
    ],
    ids=["splitter", "iterable"],
)
def test_any_splitter_equals_grid_search(two_classes, cv):
    X, y = two_classes
    ours = AugmentedCovarianceClassifierCV(**SMALL, cv=cv).fit(X, y)
    same_scores(ours, peer_search(SMALL, cv=cv).fit(X, y))


def test_groups_reach_the_splitter(two_classes):
    X, y = two_classes
    groups = np.arange(42) // 7
    cv = GroupKFold(3)
    ours = AugmentedCovarianceClassifierCV(**SMALL, cv=cv).fit(X, y, groups=groups)
    same_scores(ours, peer_search(SMALL, cv=cv).fit(X, y, groups=groups))
    with pytest.raises(ValueError, match="groups"):
        AugmentedCovarianceClassifierCV(**SMALL, cv=cv).fit(X, y)


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_two_jobs_give_the_same_scores_under_any_backend(two_classes, backend):
    X, y = two_classes
    one = AugmentedCovarianceClassifierCV(**GRID).fit(X, y)
    with parallel_config(backend):
        two = AugmentedCovarianceClassifierCV(**GRID, n_jobs=2).fit(X, y)
    same_scores(two, one)
    assert two.best_params_ == one.best_params_
    np.testing.assert_array_equal(two.predict(X), one.predict(X))


def test_nested_cross_validation_equals_nested_grid_search(two_classes):
    X, y = two_classes
    ours = cross_val_score(AugmentedCovarianceClassifierCV(**SMALL), X, y, cv=2)
    peer = cross_val_score(peer_search(SMALL, cv=3), X, y, cv=2)
    np.testing.assert_allclose(ours, peer)


# Scoring and refit


def test_score_uses_the_scorer_of_the_search(two_classes):
    X, y = two_classes
    scorer = make_scorer(matthews_corrcoef)
    search = AugmentedCovarianceClassifierCV(**SMALL, scoring=scorer).fit(X, y)
    expected = matthews_corrcoef(y, search.predict(X))
    np.testing.assert_allclose(search.score(X, y), expected)
    assert search.scorer_ is scorer


def test_refitted_estimator_is_the_best_candidate_on_all_data(two_classes):
    X, y = two_classes
    search = AugmentedCovarianceClassifierCV(**GRID, trim="full", max_iter=9).fit(X, y)
    best = search.best_estimator_
    found = best.get_params()
    expected = {
        "order": search.best_params_["order"],
        "lag": search.best_params_["lag"],
    }
    expected |= {"estimator": "cov", "trim": "full", "tol": 1e-4, "max_iter": 9}
    expected |= {
        f"classifier__{name}": search.best_params_[name] for name in ("C", "kernel")
    }
    assert found | expected == found
    np.testing.assert_array_equal(search.predict(X), best.predict(X))
    np.testing.assert_array_equal(
        search.decision_function(X), best.decision_function(X)
    )
    assert search.refit_time_ > 0


def test_without_refit_there_are_results_but_no_predictions(two_classes):
    X, y = two_classes
    search = AugmentedCovarianceClassifierCV(**SMALL, refit=False).fit(X, y)
    assert search.best_params_ in search.cv_results_["params"]
    assert not hasattr(search, "best_estimator_")
    assert not hasattr(search, "predict")
    assert not hasattr(search, "decision_function")
    with pytest.raises(AttributeError) as caught:
        search.predict(X)
    assert "initialized with refit=False" in str(caught.value.__cause__)
    with pytest.raises(AttributeError, match="initialized with refit=False"):
        search.score(X, y)


@pytest.mark.parametrize("method", ["predict", "decision_function"])
def test_unfitted_search_says_so(two_classes, method):
    with pytest.raises(NotFittedError):
        getattr(AugmentedCovarianceClassifierCV(), method)(two_classes[0])


# Failing candidates


@pytest.mark.parametrize("error_score", [np.nan, 0.25])
def test_failing_pairs_score_error_score_and_warn_once(two_classes, error_score):
    X, y = two_classes
    grid = SMALL | {"orders": [2, 40], "lags": [2, 1]}
    search = AugmentedCovarianceClassifierCV(**grid, error_score=error_score)
    with pytest.warns(FitFailedWarning) as caught:
        search.fit(X[..., :60], y)
    (warning,) = [w for w in caught if w.category is FitFailedWarning]
    assert "2 of 4 (order, lag) pairs" in str(warning.message)
    assert f"score {error_score}" in str(warning.message)
    assert warning.filename == __file__
    failed = search.cv_results_["param_order"] == 40
    assert failed.sum() == 2
    for name in ("split0_test_score", "mean_test_score"):
        np.testing.assert_array_equal(search.cv_results_[name][failed], error_score)
        assert np.isfinite(search.cv_results_[name][~failed]).all()
    assert search.best_params_["order"] == 2


def test_ranks_with_failures_equal_those_of_grid_search(two_classes):
    X, y = two_classes
    grid = {"order": [2, 3, 30], "lag": [1, 4]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitFailedWarning)
        peer = GridSearchCV(AugmentedCovarianceClassifier(estimator="cov"), grid, cv=3)
        with pytest.warns(UserWarning, match="non-finite"):
            peer.fit(X[..., :60], y)
        ours = AugmentedCovarianceClassifierCV([2, 3, 30], [1, 4], [1], ["linear"])
        ours.fit(X[..., :60], y)
    same_scores(ours, peer)
    assert ours.best_index_ == peer.best_index_


def test_singular_covariances_are_failures_with_the_advice(two_classes):
    X, y = two_classes
    search = AugmentedCovarianceClassifierCV([1, 5], [5], [1], ["linear"])
    with pytest.warns(FitFailedWarning, match="from 5 samples are singular.*'oas'"):
        search.fit(X[..., :30], y)


@pytest.mark.parametrize(
    ("order", "message"),
    [(40, "n_times=60 leaves -20 embedded"), (19, "size 57 estimated .* from 41")],
)
def test_error_score_raise_raises_the_error_of_the_candidate(
    two_classes, order, message
):
    X, y = two_classes
    search = AugmentedCovarianceClassifierCV(
        [1, order], [2 if order == 40 else 1], [1], ["linear"], error_score="raise"
    )
    with pytest.raises(ValueError, match=message):
        search.fit(X[..., :60], y)


def test_search_without_any_candidate_left_raises(two_classes):
    X, y = two_classes
    search = AugmentedCovarianceClassifierCV([8, 9], [1], [1], ["linear"])
    with pytest.raises(ValueError, match=r"No candidate .* from 12 samples .*'oas'"):
        search.fit(X[..., :20], y)
    search = AugmentedCovarianceClassifierCV([8, 9], [5])
    with pytest.raises(ValueError, match="order=8 and lag=5: n_times=20 leaves -20"):
        search.fit(X[..., :20], y)


# Bad input


@pytest.mark.parametrize("name", list(GRID))
def test_empty_grid_is_refused_by_name(two_classes, name):
    search = AugmentedCovarianceClassifierCV(**SMALL | {name: []})
    with pytest.raises(ValueError, match=f"{name} must not be empty"):
        search.fit(*two_classes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"orders": [1, 0]}, "orders must hold integers >= 1, found 0"),
        ({"orders": [2.0]}, "orders must hold integers >= 1, found 2.0"),
        ({"lags": [1, -3]}, "lags must hold integers >= 1, found -3"),
        ({"Cs": [1, 0]}, "Cs must hold numbers > 0, found 0"),
        ({"Cs": ["1"]}, "Cs must hold numbers > 0, found '1'"),
        ({"kernels": ["poly"]}, r"kernels must be among .*, found 'poly'"),
        ({"kernels": "linear"}, "'kernels' parameter"),
        ({"orders": 3}, "'orders' parameter"),
        ({"scoring": "no"}, "'scoring' parameter"),
        ({"error_score": "no"}, "'error_score' parameter"),
        ({"reference": "no"}, "'reference' parameter"),
        ({"cv": 1}, "'cv' parameter"),
        ({"cv": 30}, r"n_splits=30 cannot be greater"),
    ],
    ids=str,
)
def test_bad_parameters_are_refused_before_any_covariance(
    two_classes, change, message, monkeypatch
):
    monkeypatch.setattr(module, "LagStatistics", None)
    with pytest.raises(ValueError, match=message):
        AugmentedCovarianceClassifierCV(**SMALL | change).fit(*two_classes)


def test_one_class_and_bad_weights_are_refused(two_classes):
    X, y = two_classes
    search = AugmentedCovarianceClassifierCV(**SMALL)
    with pytest.raises(ValueError, match=r"at least 2 classes, found 1 class: .*0"):
        search.fit(X, np.zeros(42, dtype=int))
    with pytest.raises(ValueError, match="Negative values"):
        search.fit(X, y, -np.ones(42))
    with pytest.raises(ValueError, match="Unknown label type"):
        search.fit(X, np.linspace(0, 1, 42))


# Interruption and callbacks


@pytest.mark.parametrize("where", ["search", "refit"])
def test_interrupted_fit_keeps_the_earlier_fit(
    two_classes, three_classes, where, monkeypatch
):
    X, y = two_classes
    search = AugmentedCovarianceClassifierCV(**SMALL).fit(X, y)
    before, attributes = search.predict(X), dict(vars(search))

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    if where == "search":
        monkeypatch.setattr(module, "reference_mean", interrupt)
    else:
        monkeypatch.setattr(AugmentedCovarianceClassifier, "fit", interrupt)
    with pytest.raises(KeyboardInterrupt):
        search.fit(three_classes[0][:, :2], three_classes[1])
    assert vars(search) == attributes
    np.testing.assert_array_equal(search.predict(X), before)


class CountingCallback:
    """Records the name of each task at its begin and its end."""

    def __init__(self):
        self.events = []

    def setup(self, estimator, context):
        self.events.append(("setup", context.task_name))

    def teardown(self, estimator, context):
        self.events.append(("teardown", context.task_name))

    def on_fit_task_begin(self, estimator, context, **kwargs):
        self.events.append(("begin", context.task_name))

    def on_fit_task_end(self, estimator, context, **kwargs):
        self.events.append(("end", context.task_name))


@pytest.mark.parametrize("n_jobs", [None, 2])
@pytest.mark.parametrize("refit", [True, False])
def test_callback_sees_each_distinct_pair_begin_and_end_once(
    two_classes, refit, n_jobs
):
    callback = CountingCallback()
    search = AugmentedCovarianceClassifierCV(**GRID, refit=refit, n_jobs=n_jobs)
    search.set_callbacks(callback).fit(*two_classes)
    pairs = [(3, 1), (3, 3), (2, 1), (2, 3), (1, 1)]
    expected = [
        (moment, f"order={order}, lag={lag}")
        for order, lag in pairs
        for moment in ("begin", "end")
    ]
    found = [event for event in callback.events if event[1].startswith("order=")]
    assert found == expected
    others = [event for event in callback.events if event not in found]
    root = others[0][1]
    tasks = [("begin", "search"), ("end", "search")]
    if refit:
        name = "refit-with-best-params"
        tasks += [("begin", name), ("end", name)]
    assert others == [
        ("setup", root),
        ("begin", root),
        *tasks,
        ("end", root),
        ("teardown", root),
    ]


def test_callback_is_torn_down_after_a_failure(two_classes):
    callback = CountingCallback()
    search = AugmentedCovarianceClassifierCV(
        **SMALL | {"orders": [2, 200]}, error_score="raise"
    ).set_callbacks(callback)
    with pytest.raises(ValueError, match="too short"):
        search.fit(*two_classes)
    assert callback.events[-1][0] == "teardown"


def test_progress_bar_of_scikit_learn_follows_the_search(two_classes, capsys):
    pytest.importorskip("rich")
    from sklearn.callback import ProgressBar

    search = AugmentedCovarianceClassifierCV(**SMALL).set_callbacks(ProgressBar())
    search.fit(*two_classes)
    assert "100%" in capsys.readouterr().out


def test_a_fold_that_fails_costs_only_its_own_score(two_classes):
    X, y = two_classes
    good = np.arange(len(y))
    one_class = np.flatnonzero(y == y[0])
    cv = [(one_class, good), (good[::2], good[1::2])]
    ours = AugmentedCovarianceClassifierCV(
        [1, 2], [1, 2], [1.0], ["linear"], cv=cv, error_score=0.0
    )
    pipeline = make_pipeline(
        AugmentedCovariances(), SPDTangentSpace(tol=1e-4), SVC(kernel="linear")
    )
    grid = {"augmentedcovariances__lag": [1, 2], "augmentedcovariances__order": [1, 2]}
    peer = GridSearchCV(pipeline, grid, cv=cv, error_score=0.0)
    with pytest.warns(FitFailedWarning, match=r"3 of 6 fits"):
        ours.fit(X, y)
    with pytest.warns(FitFailedWarning):
        peer.fit(X, y)
    for key in ("split0_test_score", "split1_test_score", "rank_test_score"):
        np.testing.assert_array_equal(ours.cv_results_[key], peer.cv_results_[key])


def test_all_scores_nan_rank_first_as_in_grid_search(two_classes):
    search = AugmentedCovarianceClassifierCV(
        [1, 2], [1], [1.0], ["linear"], cv=2, scoring=lambda est, X, y: np.nan
    ).fit(*two_classes)
    assert list(search.cv_results_["rank_test_score"]) == [1, 1]


def test_no_splits_is_refused(two_classes):
    with pytest.raises(ValueError, match="at least one split, found none"):
        AugmentedCovarianceClassifierCV([1], [1], cv=[]).fit(*two_classes)


def test_score_passes_weights_to_the_scorer(two_classes):
    X, y = two_classes
    search = AugmentedCovarianceClassifierCV([1], [1], [1.0], ["linear"], cv=2)
    search.fit(X, y)
    right = search.predict(X) == y
    weight = np.where(right, 1.0, 3.0)
    expected = np.average(right, weights=weight)
    assert search.score(X, y, sample_weight=weight) == pytest.approx(expected)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_scoring_monitor_logs_the_fitted_search(two_classes, n_jobs):
    X, y = two_classes
    monitor = ScoringMonitor(scoring="accuracy")
    search = AugmentedCovarianceClassifierCV(**SMALL, cv=2, n_jobs=n_jobs)
    search.set_callbacks(monitor).fit(X, y)
    scores = monitor.get_logs(select="most_recent").data_as_pandas["accuracy"]
    assert list(scores) == [search.score(X, y)]


def test_an_interrupt_tells_the_threads_to_stop(two_classes, monkeypatch):
    tasks = []

    def recorded(*args):
        tasks.append(original(*args))
        return tasks[-1]

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    original = module._Task
    monkeypatch.setattr(module, "_Task", recorded)
    monkeypatch.setattr(module, "reference_mean", interrupted)
    with pytest.raises(KeyboardInterrupt):
        AugmentedCovarianceClassifierCV(**SMALL, cv=3).fit(*two_classes)
    assert [task.stop.is_set() for task in tasks] == [True]


def test_a_thread_that_is_told_to_stop_begins_no_other_fold(two_classes, monkeypatch):
    tasks, n_means = [], 0

    def recorded(*args):
        tasks.append(original_task(*args))
        return tasks[-1]

    def stopping(*args, **kwargs):
        nonlocal n_means
        n_means += 1
        tasks[0].stop.set()
        return original_mean(*args, **kwargs)

    original_task, original_mean = module._Task, module.reference_mean
    monkeypatch.setattr(module, "_Task", recorded)
    monkeypatch.setattr(module, "reference_mean", stopping)
    AugmentedCovarianceClassifierCV(**SMALL, cv=3, refit=False).fit(*two_classes)
    assert n_means == 1
