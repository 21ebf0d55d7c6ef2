"""What the choice of alpha takes: folds, groups, weights, scorers, interrupts."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.metrics import f1_score, get_scorer
from sklearn.model_selection import GroupKFold, StratifiedKFold

from sklogit.linear_model import AnyLossClassifier, AnyLossClassifierCV


@pytest.fixture(scope="module")
def data():
    return make_classification(300, 4, weights=[0.8], flip_y=0.1, random_state=0)


@pytest.fixture(scope="module")
def weight():
    return np.random.default_rng(0).integers(0, 3, 300).astype(float)


def test_groups_reach_the_splitter(data):
    X, y = data
    groups = np.arange(len(y)) % 7
    clf = AnyLossClassifierCV(cv=GroupKFold(3)).fit(X, y, groups=groups)
    folds = list(GroupKFold(3).split(X, y, groups))
    given = AnyLossClassifierCV(cv=folds).fit(X, y)
    np.testing.assert_array_equal(clf.cv_scores_, given.cv_scores_)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        clf.fit(X, y, groups=groups[1:])


def test_a_scorer_is_weighted_as_the_fits_are(data, weight):
    X, y = data
    folds = list(StratifiedKFold(3).split(X, y))
    clf = AnyLossClassifierCV(alphas=[3.0, 0.3], cv=folds, scoring="f1")
    clf.fit(X, y, sample_weight=weight)
    for alpha, found in zip(clf.alphas_, clf.cv_scores_):
        model = AnyLossClassifier(alpha=alpha)
        expected = [
            f1_score(
                y[test],
                model.fit(X[train], y[train], weight[train]).predict(X[test]),
                sample_weight=weight[test],
            )
            for train, test in folds
        ]
        assert found == pytest.approx(np.mean(expected))


@pytest.mark.parametrize("scoring", [None, "f1"])
def test_integer_weights_repeat_rows_of_the_folds(data, weight, scoring):
    X, y = data
    folds = list(StratifiedKFold(3).split(X, y))
    clf = AnyLossClassifierCV(cv=folds, scoring=scoring, tol=1e-8)
    repeats = np.repeat(np.arange(len(y)), weight.astype(int))
    repeated_folds = [
        [np.flatnonzero(np.isin(repeats, part)) for part in fold] for fold in folds
    ]
    other = clone(clf).set_params(cv=repeated_folds).fit(X[repeats], y[repeats])
    clf.fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(clf.cv_scores_, other.cv_scores_, rtol=1e-10)
    np.testing.assert_allclose(clf.coef_, other.coef_, rtol=1e-3, atol=1e-4)


def test_a_scorer_that_takes_no_weights_is_named(data, weight):
    clf = AnyLossClassifierCV(scoring=lambda estimator, X, y: 1.0)
    assert clf.fit(*data).alpha_ == np.inf
    with pytest.raises(ValueError, match=r"scoring=.* takes no weights"):
        clf.fit(*data, sample_weight=weight)


def test_a_scorer_sees_the_candidate(data):
    def scoring(estimator, X, y):
        return -abs(np.log(estimator.alpha / 3.0)) + 0 * len(estimator.predict(X))

    assert AnyLossClassifierCV(scoring=scoring).fit(*data).alpha_ == 3.0


def test_scores_that_are_nan_are_not_chosen(data):
    def of_finite(estimator, X, y):
        score = get_scorer("f1")(estimator, X, y)
        return np.nan if np.isinf(estimator.alpha) else score

    clf = AnyLossClassifierCV(scoring=of_finite).fit(*data)
    assert np.isnan(clf.cv_scores_[0])
    assert clf.cv_scores_[clf.alphas_ == clf.alpha_] == np.nanmax(clf.cv_scores_)
    with pytest.raises(ValueError, match="is nan for all alphas"):
        AnyLossClassifierCV(scoring=lambda estimator, X, y: np.nan).fit(*data)


@pytest.mark.parametrize("cv", [[], [(np.arange(300), np.arange(0))]])
def test_folds_without_test_rows_are_named(data, cv):
    with pytest.raises(ValueError, match="cv must give at least one fold"):
        AnyLossClassifierCV(cv=cv).fit(*data)


def test_a_start_at_zero_has_no_threshold_to_tune(data):
    clf = AnyLossClassifierCV(init="zeros", alphas=[np.inf]).fit(*data)
    assert clf.cv_scores_ == clf.train_metric_ == 0.0  # nothing is predicted positive
    assert clf.threshold_ == clf.intercept_ == 0.0


@pytest.mark.parametrize("at", range(10, 200, 10))
def test_ctrl_c_in_a_fold_ends_the_choice(data, at):
    calls = []

    def f1(tn, fp, fn, tp):
        calls.append(1)
        if len(calls) == at:
            raise KeyboardInterrupt
        return 2 * tp / (2 * tp + fp + fn)

    clf = AnyLossClassifierCV(f1)
    with pytest.raises(KeyboardInterrupt):
        clf.fit(*data)
    assert len(calls) == at
    assert not hasattr(clf, "coef_")
