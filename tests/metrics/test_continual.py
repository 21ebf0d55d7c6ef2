"""Accuracy over tasks, and what is forgotten."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.utils.validation import check_is_fitted

from sklogit.metrics._continual import (
    average_forgetting,
    average_incremental_accuracy,
    continual_accuracy_matrix,
)

FORGETS = [[1, 0], [0.4, 1]]


class LastLabel(ClassifierMixin, BaseEstimator):
    """Knows the labels of the last task only."""

    def partial_fit(self, X, y, classes=None):
        self.classes_given_ = [*getattr(self, "classes_given_", []), classes]
        self.last_ = y[-1]
        return self

    def predict(self, X):
        return np.full(len(X), self.last_)


def tasks():
    return [(np.zeros((3, 1)), np.full(3, label)) for label in "abc"]


def test_matrix_of_a_classifier_that_forgets_all_is_the_identity():
    A = continual_accuracy_matrix(LastLabel(), tasks(), tasks())
    np.testing.assert_array_equal(A, np.eye(3))


def test_rows_are_trained_and_columns_are_tested():
    tested = tasks()
    tested[1] = np.zeros((4, 1)), np.array(list("abbb"))
    A = continual_accuracy_matrix(LastLabel(), tasks(), tested)
    np.testing.assert_array_equal(A, [[1, 0.25, 0], [0, 0.75, 0], [0, 0, 1]])


def test_classes_go_to_the_first_call_only():
    _, clf = continual_accuracy_matrix(
        LastLabel(), tasks(), tasks(), classes=["a", "b", "c"], return_estimator=True
    )
    assert clf.classes_given_ == [["a", "b", "c"], None, None]


def test_a_clone_is_trained():
    clf = GaussianNB()
    X, y = np.array([[0.0], [0.1], [1.0], [1.2]]), np.array([0, 0, 1, 1])
    _, trained = continual_accuracy_matrix(
        clf, [(X, y)], [(X, y)], classes=[0, 1], return_estimator=True
    )
    check_is_fitted(trained)
    with pytest.raises(NotFittedError):
        check_is_fitted(clf)


def test_forgetting_of_a_known_matrix():
    assert average_forgetting(FORGETS) == pytest.approx(0.6)
    assert average_forgetting(FORGETS, include_last=True) == pytest.approx(0.3)


def test_forgetting_counts_from_the_best():
    A = [[0.5, 0, 0], [0.9, 0.8, 0], [0.6, 0.9, 1]]
    assert average_forgetting(A) == pytest.approx((0.3 + 0.0) / 2)


def test_incremental_accuracy_of_a_known_matrix():
    A = [[1, 0, 0], [0.4, 1, 0], [0.1, 0.5, 0.6]]
    assert average_incremental_accuracy(A) == pytest.approx((1 + 0.7 + 0.4) / 3)


@pytest.mark.parametrize("metric", [average_forgetting, average_incremental_accuracy])
def test_accuracy_before_training_does_not_count(metric):
    A = np.array(FORGETS)
    A[0, 1] = np.nan
    assert metric(A) == metric(FORGETS)


def test_a_single_task_cannot_be_forgotten():
    assert average_forgetting([[0.7]]) == 0
    assert average_forgetting([[0.7]], include_last=True) == 0


@pytest.mark.parametrize("metric", [average_forgetting, average_incremental_accuracy])
def test_matrices_that_are_none_are_refused(metric):
    with pytest.raises(ValueError, match=r"square.*\(1, 2\)"):
        metric([[1, 0]])
    with pytest.raises(ValueError, match="finite up to the diagonal"):
        metric([[1, 0], [np.nan, 1]])


@pytest.mark.parametrize("n", [0, 2])
def test_tasks_without_tests_are_refused(n):
    with pytest.raises(ValueError, match=rf"as many tasks.*got {n} and 3"):
        continual_accuracy_matrix(LastLabel(), tasks()[:n], tasks())


def test_classifier_without_partial_fit_is_refused():
    with pytest.raises(TypeError, match=r"partial_fit.*LogisticRegression"):
        continual_accuracy_matrix(LogisticRegression(), tasks(), tasks())
