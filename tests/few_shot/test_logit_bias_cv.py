import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    LeaveOneOut,
    StratifiedKFold,
)

from sklogit.few_shot import LogitBiasClassifier, LogitBiasClassifierCV
from sklogit.few_shot._folds import folds_of_shots

from .common import mean_log_loss, random_shots, two_views

SMALL = {
    "alphas": (0.0, 0.5, 2.0),
    "lambda_merges": (0.0, 0.5),
    "powers": (0.0, 0.4),
    "l2s": (1e-2, np.inf),
}


@pytest.fixture
def views():
    return two_views()


def scores_of(clf):
    return clf.cv_results_["mean_test_score"]


def held_out_logits(params, X, y, folds):
    """Logits of each row by a classifier that was fitted without its fold."""
    logits = np.full((len(y), 10), np.nan)
    for train, test in folds:
        clf = LogitBiasClassifier(10, classes=np.arange(10), tol=1e-9, **params)
        clf.set_params(max_iter=1000).fit(X[train], y[train])
        logits[test] = clf.decision_function(X[test])
    return logits


@pytest.mark.parametrize("scoring", ["neg_log_loss", "accuracy"])
def test_grid_gives_the_scores_of_separate_fits(views, scoring):
    X, y, *_ = views
    clf = LogitBiasClassifierCV(
        10, search="grid", scoring=scoring, tol=1e-9, max_iter=1000, cv=3, **SMALL
    ).fit(X, y)
    folds, results = folds_of_shots(y, 3), clf.cv_results_
    assert len(results["params"]) == 24
    for i, params in enumerate(results["params"]):
        for name, value in params.items():
            assert results[f"param_{name}"][i] == value
        logits = held_out_logits(params, X, y, folds)
        parts = [np.arange(len(y)), *(test for _, test in folds)]
        names = ["mean", *(f"split{k}" for k in range(3))]
        for name, rows in zip(names, parts):
            if scoring == "accuracy":
                expected = (logits[rows].argmax(axis=1) == y[rows]).mean()
            else:
                expected = -mean_log_loss(logits[rows], y[rows])
            found = results[f"{name}_test_score"][i]
            assert found == pytest.approx(expected, abs=1e-6)
    best = results["rank_test_score"].argmin()
    assert results["rank_test_score"][best] == 1
    assert clf.best_score_ == results["mean_test_score"].max()
    assert clf.best_score_ == results["mean_test_score"][best]
    if scoring == "neg_log_loss":
        for name, value in results["params"][best].items():
            assert getattr(clf, f"{name}_") == value


def test_equal_accuracies_are_decided_by_the_log_loss():
    X, y, *_ = two_views(2)
    params = {"alphas": (0.0, 0.0001, 0.1), "l2s": (np.inf,), "powers": (0,)}
    clf = LogitBiasClassifierCV(10, scoring="accuracy", search="grid", **params)
    clf.set_params(lambda_merges=(0,)).fit(X, y)
    scores = scores_of(clf)
    assert scores[0] == scores[1]  # so small a bias changes no label here
    by_loss = clone(clf).set_params(scoring="neg_log_loss").fit(X, y)
    assert by_loss.alpha_ == 0.1
    assert clf.alpha_ == 0.1 if scores[2] >= scores[0] else 0.0001


def test_coordinate_search_never_gets_worse_and_meets_few_candidates(views):
    X, y, *_ = views
    grid = LogitBiasClassifierCV(10, search="grid").fit(X, y)
    line = LogitBiasClassifierCV(10).fit(X, y)
    scores = scores_of(line)
    assert len(scores_of(grid)) == 180
    assert len(scores) < 40
    assert scores.max() > scores[0]  # that of the start
    assert scores.max() >= scores_of(grid).max() - 0.05
    chosen = [
        line.cv_results_[f"param_{name}"] == getattr(line, f"{name}_")
        for name in ("alpha", "lambda_merge", "power", "l2")
    ]
    assert scores[np.all(chosen, axis=0)] == scores.max()


def test_last_fit_is_that_of_the_chosen_candidate(views):
    X, y, X_test, _ = views
    clf = LogitBiasClassifierCV(10).fit(X, y)
    plain = LogitBiasClassifier(
        10,
        alpha=clf.alpha_,
        lambda_merge=clf.lambda_merge_,
        power=clf.power_,
        l2=clf.l2_,
    ).fit(X, y)
    np.testing.assert_array_equal(clf.coef_, plain.coef_)
    expected = plain.decision_function(X_test)
    np.testing.assert_array_equal(clf.decision_function(X_test), expected)
    np.testing.assert_array_equal(
        clf.uncertainty_factor(X_test), plain.uncertainty_factor(X_test)
    )


def test_one_shot_a_class_takes_the_given_numbers_and_says_so():
    X, y, *_ = two_views(1)
    clf = LogitBiasClassifierCV(10, alpha=0.9, l2=0.02)
    with pytest.warns(UserWarning, match="no class has two rows") as record:
        clf.fit(X, y)
    assert record[0].filename == __file__
    assert (clf.alpha_, clf.lambda_merge_, clf.power_, clf.l2_) == (
        0.9,
        0.35,
        0.4,
        0.02,
    )
    assert clf.n_splits_ == 0
    assert np.isnan(clf.best_score_)
    assert len(scores_of(clf)) == 0
    plain = LogitBiasClassifier(10, alpha=0.9, l2=0.02).fit(X, y)
    np.testing.assert_array_equal(clf.coef_, plain.coef_)


def test_a_class_with_one_row_does_not_prevent_the_choice(views):
    X, y, *_ = views
    lone = np.flatnonzero(y == 4)[1:]
    X, y = np.delete(X, lone, axis=0), np.delete(y, lone)
    clf = LogitBiasClassifierCV(10).fit(X, y)
    assert clf.n_splits_ == 4
    assert np.isfinite(scores_of(clf)).all()


def test_a_bias_that_does_not_help_is_switched_off(views):
    X, y, *_ = views
    X[:, 10:] = np.random.default_rng(0).normal(size=(len(y), 32))
    X[:, :10] = 12.0 * (np.arange(10) == y[:, None])  # a prior that is always right
    clf = LogitBiasClassifierCV(10).fit(X, y)
    assert clf.alpha_ <= 0.1


def test_other_labels_than_the_few_shots_are_never_needed(views):
    X, y, X_test, y_test = views
    clf = LogitBiasClassifierCV(10).fit(X, y)
    zero_shot = (X_test[:, :10].argmax(axis=1) == y_test).mean()
    assert clf.score(X_test, y_test) > zero_shot + 0.05


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_parallel_folds_give_the_same(views, n_jobs):
    X, y, *_ = views
    clf = LogitBiasClassifierCV(10, n_jobs=n_jobs, cv=2, **SMALL).fit(X, y)
    again = LogitBiasClassifierCV(10, cv=2, **SMALL).fit(X, y)
    np.testing.assert_allclose(scores_of(clf), again.cv_results_["mean_test_score"])


def test_folds_may_be_given(views):
    X, y, *_ = views
    splitter = StratifiedKFold(4)
    by_splitter = LogitBiasClassifierCV(10, cv=splitter, **SMALL).fit(X, y)
    pairs = list(splitter.split(X, y))
    by_pairs = LogitBiasClassifierCV(10, cv=pairs, **SMALL).fit(X, y)
    assert by_splitter.n_splits_ == by_pairs.n_splits_ == 4
    np.testing.assert_array_equal(
        scores_of(by_splitter),
        scores_of(by_pairs),
    )
    masks = [(~np.isin(np.arange(40), test), test) for _, test in pairs]
    by_masks = LogitBiasClassifierCV(10, cv=masks, **SMALL).fit(X, y)
    np.testing.assert_array_equal(scores_of(by_masks), scores_of(by_pairs))


def test_splitters_see_the_data_as_they_are_and_their_groups(views):
    X, y, *_ = views
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])
    names, groups = np.array(list("abcdefghij"))[y], np.arange(40) % 4

    class Witness(GroupKFold):
        def split(self, X, y, groups):
            assert X is frame
            assert y is names
            return super().split(X, y, groups)

    clf = LogitBiasClassifierCV(10, cv=Witness(4), **SMALL)
    clf.fit(frame, names, groups=groups)
    folds = list(GroupKFold(4).split(X, y, groups))
    expected = LogitBiasClassifierCV(10, cv=folds, **SMALL).fit(X, y)
    np.testing.assert_allclose(scores_of(clf), scores_of(expected))
    with pytest.raises(ValueError, match=r"cv must be a splitter.*to heed groups"):
        LogitBiasClassifierCV(10, cv=4).fit(X, y, groups=groups)


def test_groups_and_weights_are_routed(views):
    X, y, *_ = views
    groups, weight = np.arange(40) % 4, np.linspace(1, 2, 40)
    clf = LogitBiasClassifierCV(10, cv=GroupKFold(2), **SMALL)
    with config_context(enable_metadata_routing=True):
        clf.set_fit_request(groups=True, sample_weight=True)
        clf.set_score_request(sample_weight=True)
        search = GridSearchCV(clf, {"uncertainty": [None]}, cv=2)
        search.fit(X, y, groups=groups, sample_weight=weight)
    clf.set_params(uncertainty=None).fit(X, y, weight, groups)
    np.testing.assert_array_equal(search.best_estimator_.coef_, clf.coef_)


def test_rows_without_weight_are_neither_trained_with_nor_judged_by(views):
    X, y, *_ = views
    weight = np.ones(len(y))
    weight[::4] = 0
    kept = weight > 0
    weighted = LogitBiasClassifierCV(10, classes=np.arange(10), **SMALL)
    weighted.fit(X, y, sample_weight=weight)
    plain = LogitBiasClassifierCV(10, classes=np.arange(10), **SMALL)
    plain.fit(X[kept], y[kept])
    np.testing.assert_allclose(
        scores_of(weighted),
        scores_of(plain),
        atol=1e-6,
    )
    left_out = np.flatnonzero(~kept)
    with pytest.raises(ValueError, match="cv must leave rows with a weight"):
        clone(weighted).set_params(cv=LeaveOneOut()).fit(X, y, sample_weight=weight)
    assert len(left_out)


def test_random_state_shuffles_the_folds(views):
    X, y, *_ = views
    scores = [
        LogitBiasClassifierCV(10, random_state=seed, cv=2, **SMALL)
        .fit(X, y)
        .cv_results_["mean_test_score"][0]
        for seed in (None, 0, 0, 1)
    ]
    assert scores[1] == scores[2]
    assert len({scores[0], scores[1], scores[3]}) == 3


def test_without_a_prior_there_is_no_power_to_choose():
    _, A, y = random_shots(n_rows=40)
    clf = LogitBiasClassifierCV(search="grid").fit(A, y)
    assert clf.power_ == 0.4
    assert len(scores_of(clf)) == 90


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alphas": ()}, "alphas must be numbers from 0"),
        ({"alphas": ("much",)}, "alphas must be numbers from 0"),
        ({"alphas": (np.inf,)}, "alphas must be numbers from 0"),
        ({"alphas": (-1.0,)}, "alphas must be numbers from 0"),
        ({"lambda_merges": (0.5, 1.5)}, "lambda_merges must be numbers from 0 to 1"),
        ({"powers": (np.nan,)}, "powers must be numbers from 0"),
        ({"l2s": (-1.0,)}, "l2s must be numbers from 0 on, inf included"),
        ({"cv": 1}, "cv"),
        ({"scoring": "f1"}, "scoring"),
        ({"search": "random"}, "search"),
        ({"cv": []}, "cv must give at least one fold"),
    ],
)
def test_wrong_parameters_are_named(views, change, message):
    X, y, *_ = views
    clf = LogitBiasClassifierCV(10).set_params(**change)
    with pytest.raises(ValueError, match=message):
        clf.fit(X, y)


def test_interrupt_of_the_search_keeps_the_earlier_fit(views, monkeypatch):
    from sklogit.few_shot import _objective

    X, y, *_ = views
    clf = LogitBiasClassifierCV(10, cv=2, **SMALL).fit(X, y)
    before = clf.coef_

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(_objective, "two_losses", interrupt)
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X, y)
    assert clf.coef_ is before
