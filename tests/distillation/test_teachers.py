"""Teachers of all kinds give logits in the order of the student's classes."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
from torch import nn

from sklogit.distillation import _teachers
from sklogit.distillation._teachers import Teacher

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 4))
Y = np.array(["a", "b", "c"])[np.abs(X[:, :3]).argmax(axis=1)]
LOGISTIC = LogisticRegression().fit(X, Y)


def centered(values):
    return values - values.mean(axis=1, keepdims=True)


# -- kinds of teachers ----------------------------------------------------------------


def test_classifier_gives_its_decision_function():
    logits = Teacher(LOGISTIC, ["a", "b", "c"]).logits(X)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, LOGISTIC.decision_function(X), rtol=1e-5)


def test_frozen_classifier_is_a_teacher():
    logits = Teacher(FrozenEstimator(LOGISTIC), ["a", "b", "c"]).logits(X)
    np.testing.assert_allclose(logits, LOGISTIC.decision_function(X), rtol=1e-5)


def test_classifier_without_decision_function_gives_centred_log_probabilities():
    teacher = GaussianNB().fit(X, Y)
    logits = Teacher(teacher, ["a", "b", "c"]).logits(X)
    expected = centered(teacher.predict_log_proba(X))
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", ["predict_log_proba", "predict_proba"])
def test_method_may_be_chosen(method):
    logits = Teacher(LOGISTIC, ["a", "b", "c"], method=method).logits(X)
    # The decision function of softmax regression has a mean of zero too.
    np.testing.assert_allclose(logits, LOGISTIC.decision_function(X), atol=1e-5)


def test_center_may_be_chosen():
    given = RNG.standard_normal((60, 3)) + 5
    as_given = Teacher(given, [0, 1, 2]).logits(X)
    np.testing.assert_allclose(as_given, given, rtol=1e-6)
    middle = Teacher(given, [0, 1, 2], center=True).logits(X)
    np.testing.assert_allclose(middle, centered(given), atol=1e-5)
    kept = Teacher(
        LOGISTIC, ["a", "b", "c"], method="predict_log_proba", center=False
    ).logits(X)
    np.testing.assert_allclose(kept, LOGISTIC.predict_log_proba(X), rtol=1e-5)


def test_a_probability_of_zero_has_a_finite_logarithm():
    forest = RandomForestClassifier(3, random_state=0).fit(X, Y)
    p = forest.predict_proba(X)
    assert (p == 0).any(), "the case under test"
    logits = Teacher(forest, ["a", "b", "c"]).logits(X)
    floored = np.log(np.where(p == 0, np.finfo(np.float32).eps, p))
    np.testing.assert_allclose(logits, centered(floored), atol=1e-4)


def test_two_classes_have_half_the_margin_each():
    y = X[:, 0] > 0
    teacher = SVC().fit(X, y)
    d = teacher.decision_function(X)
    logits = Teacher(teacher, [False, True]).logits(X)
    np.testing.assert_allclose(logits, np.stack([-d / 2, d / 2], axis=1), rtol=1e-5)
    turned = Teacher(teacher, [True, False]).logits(X)
    np.testing.assert_allclose(turned, logits[:, ::-1])


def test_module_is_asked_in_evaluation_mode_and_left_as_it_was():
    module = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5))
    module[0].eval()
    logits = Teacher(module, [0, 1, 2]).logits(X)
    expected = module[0](torch.from_numpy(X).float()).detach().numpy()
    np.testing.assert_allclose(logits, expected, rtol=1e-5)
    assert [m.training for m in module.modules()] == [True, False, True]


def test_module_gets_tokens_as_integers():
    tokens = RNG.integers(0, 7, (5, 6), dtype=np.int32)
    logits = Teacher(nn.Embedding(7, 3), [0, 1, 2], n_label_dims=2).logits(tokens)
    assert logits.shape == (5, 6, 3)


def test_callable_gets_the_rows_as_they_are():
    frame = pd.DataFrame(X, columns=list("pqrs"))
    logits = Teacher(lambda rows: rows[["p", "q", "r"]], [0, 1, 2]).logits(frame)
    np.testing.assert_allclose(logits, X[:, :3], rtol=1e-6)
    of_tensor = Teacher(lambda rows: torch.tensor(rows[:, :3]), [0, 1, 2]).logits(X)
    np.testing.assert_allclose(of_tensor, X[:, :3], rtol=1e-6)


def test_many_rows_are_asked_for_in_parts(monkeypatch):
    monkeypatch.setattr(_teachers, "_ROWS", 25)
    sizes = []

    def teacher(rows):
        sizes.append(len(rows))
        return rows[:, :3]

    np.testing.assert_allclose(Teacher(teacher, [0, 1, 2]).logits(X), X[:, :3], 1e-6)
    assert sizes == [25, 25, 10]
    given = Teacher(X[:, :3], [0, 1, 2]).logits(X)
    np.testing.assert_allclose(given, X[:, :3], rtol=1e-6)


@pytest.mark.parametrize("kind", [np.asarray, torch.tensor, list, pd.DataFrame])
def test_given_logits_may_be_any_array(kind):
    logits = Teacher(kind(X[:, :3]), [0, 1, 2]).logits(X)
    np.testing.assert_allclose(logits, X[:, :3], rtol=1e-6)


# -- classes --------------------------------------------------------------------------


def test_columns_are_put_into_the_order_of_the_student():
    logits = Teacher(LOGISTIC, ["c", "a", "b"]).logits(X)
    expected = LOGISTIC.decision_function(X)[:, [2, 0, 1]]
    np.testing.assert_allclose(logits, expected, rtol=1e-5)


def test_a_teacher_may_know_more_classes():
    logits = Teacher(GaussianNB().fit(X, Y), ["a", "c"]).logits(X)
    expected = GaussianNB().fit(X, Y).predict_log_proba(X)[:, [0, 2]]
    np.testing.assert_allclose(logits, centered(expected), rtol=1e-4, atol=1e-5)


def test_classes_of_given_logits_may_be_named():
    logits = Teacher(X[:, :3], [2, 0], source_classes=[0, 1, 2]).logits(X)
    np.testing.assert_allclose(logits, X[:, [2, 0]], rtol=1e-6)


def test_without_a_student_the_classes_are_those_of_the_teacher():
    teacher = Teacher(LOGISTIC)
    assert teacher.classes.tolist() == ["a", "b", "c"]
    assert teacher.logits(X).shape == (60, 3)
    assert Teacher(X[:, :3]).classes is None


def test_missing_classes_are_named():
    with pytest.raises(ValueError, match=r"lacks \['d'\]: it has \['a', 'b', 'c'\]"):
        Teacher(LOGISTIC, ["a", "b", "c", "d"])


# -- what is refused ------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_not_finite_are_refused(bad, monkeypatch):
    monkeypatch.setattr(_teachers, "_ROWS", 25)
    logits = X[:, :3].copy()
    logits[30:32] = bad
    with pytest.raises(ValueError, match=r"2 of 25 rows, the first of them row 30"):
        Teacher(logits, [0, 1, 2], name="teacher_logits").logits(X)


def test_a_class_that_the_student_does_not_ask_for_may_be_nan():
    logits = np.column_stack([X[:, :2], np.full(60, np.nan)])
    assert Teacher(logits, [0, 1], source_classes=[0, 1, 2]).logits(X).shape == (60, 2)


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"shape \(60, 3\).*got \(60, 2\)"):
        Teacher(nn.Linear(4, 2), [0, 1, 2]).logits(X)
    with pytest.raises(ValueError, match="as many rows as X, 60, got 9"):
        Teacher(X[:9, :3], [0, 1, 2]).logits(X)
    with pytest.raises(ValueError, match=r"\(60, n_positions, 3\)"):
        Teacher(X[:, :3], [0, 1, 2], n_label_dims=2).logits(X)
    with pytest.raises(ValueError, match=r"real numbers, got <U\d"):
        Teacher(np.full((60, 3), "x"), [0, 1, 2]).logits(X)


def test_one_against_one_scores_are_refused_with_the_way_out():
    four = np.repeat(["a", "b", "c", "d"], 15)
    teacher = SVC(decision_function_shape="ovo").fit(X, four)
    with pytest.raises(
        ValueError, match=r"scores of pairs; another method.*teacher_method"
    ):
        Teacher(teacher, ["a", "b", "c", "d"])
    # Of three classes there are as many pairs, and the shape says nothing.
    teacher = make_pipeline(SVC(decision_function_shape="ovo")).fit(X, four == "a")
    assert Teacher(teacher, [False, True]).logits(X).shape == (60, 2)
    with pytest.raises(ValueError, match="scores of pairs"):
        Teacher(teacher.fit(X, np.where(four == "d", "c", four)), ["a", "b", "c"])


def test_unfitted_classifier_is_refused_with_the_way_out():
    with pytest.raises(NotFittedError, match=r"LogisticRegression.*FrozenEstimator"):
        Teacher(LogisticRegression(), ["a", "b"])


def test_classifier_without_the_method_is_refused():
    with pytest.raises(ValueError, match=r"'decision_function'.*GaussianNB has none"):
        Teacher(GaussianNB().fit(X, Y), ["a"], method="decision_function")


@pytest.mark.parametrize("teacher", [None, 3, "svc", LogisticRegression])
def test_what_is_no_teacher_is_refused(teacher):
    with pytest.raises(TypeError, match="teacher must be a classifier"):
        Teacher(teacher, [0, 1])


def test_classes_that_are_repeated_are_refused():
    with pytest.raises(ValueError, match=r"different classes, got \[0, 1, 1\]"):
        Teacher(X[:, :3], [0, 1], source_classes=[0, 1, 1], name="teacher")


@pytest.mark.parametrize("kind", ["given", "called", "module"])
def test_double_precision_is_kept(kind):
    linear = nn.Linear(4, 3).double()
    with torch.no_grad():
        logits = linear(torch.from_numpy(X))
    source = {"given": logits, "called": lambda X: logits, "module": linear}[kind]
    found = Teacher(source, [0, 1, 2]).logits(X, np.float64)
    np.testing.assert_allclose(found, logits.numpy(), rtol=1e-14)


def test_complex_tensors_are_refused():
    with pytest.raises(ValueError, match="real numbers, got complex64"):
        Teacher(torch.zeros(60, 3, dtype=torch.complex64), [0, 1, 2]).logits(X)


def test_a_module_that_does_not_fit_the_rows_is_named():
    with pytest.raises(ValueError, match=r"teacher, a Linear, cannot be run.*\(4,\)"):
        Teacher(nn.Linear(7, 3), [0, 1, 2]).logits(X)
