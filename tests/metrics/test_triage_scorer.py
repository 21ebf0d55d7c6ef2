"""Scorers that rank as an estimator of triage does."""

import pickle

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklogit.metrics import (
    first_hit_rank,
    inspections_to_recall,
    lift_at_k,
    make_triage_scorer,
    precision_at_k,
    recall_at_k,
)


class Ranker(ClassifierMixin, BaseEstimator):
    """Priority is the first column, probability the second."""

    def __init__(self, positive_label=1):
        self.positive_label = positive_label

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def priority(self, X):
        return X[:, 0]

    def predict_proba(self, X):
        return np.column_stack([1 - X[:, 1], X[:, 1]])


class Probable(Ranker):
    priority = property()  # hasattr is False


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return rng.random((30, 2)), (rng.random(30) < 0.3).astype(int)


@pytest.mark.parametrize(
    ("name", "function", "params", "sign"),
    [
        ("average_precision", average_precision_score, {}, 1),
        ("first_hit_rank", first_hit_rank, {}, -1),
        ("inspections_to_recall", inspections_to_recall, {"recall": 0.5}, -1),
        ("lift_at_k", lift_at_k, {"k": 5}, 1),
        ("precision_at_k", precision_at_k, {"k": 5}, 1),
        ("recall_at_k", recall_at_k, {"k": 0.2}, 1),
    ],
)
def test_score_is_the_metric_of_the_priority(data, name, function, params, sign):
    X, y = data
    score = make_triage_scorer(name, **params)(Ranker().fit(X, y), X, y)
    assert score == pytest.approx(sign * function(y, X[:, 0], **params))


def test_without_priority_the_probability_ranks(data):
    X, y = data
    score = make_triage_scorer("average_precision")(Probable().fit(X, y), X, y)
    assert score == pytest.approx(average_precision_score(y, X[:, 1]))


def test_decision_function_of_the_lesser_label_is_turned(data):
    X, y = data
    names = np.where(y == 1, "a hit", "nothing")
    clf = LogisticRegression().fit(X, names)
    score = make_triage_scorer("average_precision", pos_label="a hit")(clf, X, names)
    assert score == pytest.approx(average_precision_score(y, -clf.decision_function(X)))


def test_positive_label_of_the_estimator_is_known(data):
    X, y = data
    names = np.where(y == 1, "hit", "nothing")
    clf = Ranker(positive_label="hit").fit(X, names)
    score = make_triage_scorer("first_hit_rank")(clf, X, names)
    assert score == -first_hit_rank(y, X[:, 0])


def test_the_greater_class_is_positive_by_default(data):
    X, y = data
    names = np.where(y == 1, "true", "false")
    clf = LogisticRegression().fit(X, names)
    score = make_triage_scorer("first_hit_rank")(clf, X, names)
    assert score == -first_hit_rank(y, clf.decision_function(X))
    ranker = Ranker(positive_label=None).fit(X, names)
    score = make_triage_scorer("first_hit_rank")(ranker, X, names)
    assert score == -first_hit_rank(y, X[:, 0])


@pytest.mark.parametrize("positive_label", ["hit", "nothing"])
def test_priority_and_label_are_found_in_pipelines_and_searches(data, positive_label):
    X, y = data
    names = np.where(y == 1, "hit", "nothing")
    turned = FunctionTransformer(np.negative)
    pipeline = make_pipeline(turned, Ranker(positive_label=positive_label))
    search = GridSearchCV(pipeline, {}, cv=2, scoring=lambda *_: 0.0)
    expected = first_hit_rank((names == positive_label).astype(int), -X[:, 0])
    scorer = make_triage_scorer("first_hit_rank")
    for estimator in (pipeline, search):
        assert scorer(estimator.fit(X, names), X, names) == -expected


def test_pipelines_without_priority_rank_by_their_probability(data):
    X, y = data
    pipeline = make_pipeline(FunctionTransformer(np.square), Probable()).fit(X, y)
    score = make_triage_scorer("average_precision")(pipeline, X, y)
    assert score == pytest.approx(average_precision_score(y, X[:, 1]))


def test_rows_without_label_are_ranked_but_do_not_count(data):
    X, y = data

    class SeesPool(Ranker):
        def priority(self, X):
            seen.append(len(X))
            return X[:, 0]

    seen = []
    unlabeled = np.where(np.arange(30) % 3 == 0, -1, y)
    score = make_triage_scorer("precision_at_k", k=4)(SeesPool(), X, unlabeled)
    rows = unlabeled != -1
    assert seen == [30]
    assert score == precision_at_k(y[rows], X[rows, 0], 4)


def test_minus_one_may_be_the_negative_class(data):
    X, y = data
    signs = 2 * y - 1
    scorer = make_triage_scorer("first_hit_rank", unlabeled_label=None)
    assert scorer(Ranker(), X, signs) == -first_hit_rank(y, X[:, 0])


def test_functions_are_metrics(data):
    X, y = data

    def half(y_true, y_score, factor):
        return factor * precision_at_k(y_true, y_score, 0.5)

    clf = Ranker()
    expected = precision_at_k(y, X[:, 0], 0.5)
    assert make_triage_scorer(half, factor=2)(clf, X, y) == 2 * expected
    negative = make_triage_scorer(half, greater_is_better=False, factor=1)
    assert negative(clf, X, y) == -expected


def test_searches_take_the_scorer():
    X, y = make_classification(300, weights=[0.9], random_state=0)
    scorer = make_triage_scorer("inspections_to_recall", recall=0.8)
    search = GridSearchCV(LogisticRegression(), {"C": [1e-4, 1.0]}, scoring=scorer)
    search.fit(X, y)
    by_hand = cross_val_score(search.best_estimator_, X, y, scoring=scorer).mean()
    assert search.best_score_ == pytest.approx(by_hand)
    assert search.best_score_ < -1


def test_scorer_can_be_pickled_and_tells_what_it_is(data):
    X, y = data
    scorer = make_triage_scorer("first_hit_rank", ties="stable")
    again = pickle.loads(pickle.dumps(scorer))
    assert again(Ranker(), X, y) == scorer(Ranker(), X, y)
    assert repr(scorer) == (
        "make_triage_scorer(first_hit_rank, greater_is_better=False, ties='stable')"
    )


def test_unknown_metric_is_refused():
    with pytest.raises(ValueError, match="metric must be a function or one of"):
        make_triage_scorer("roc")
