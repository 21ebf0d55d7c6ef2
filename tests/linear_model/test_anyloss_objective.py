import tracemalloc
from functools import partial

import numpy as np
import pytest
import torch
from scipy.optimize import check_grad, minimize
from scipy.sparse import csr_array

from sklogit.linear_model import _anyloss_start, _rows
from sklogit.linear_model._anyloss_objective import (
    BinaryObjective,
    MeanOverClasses,
    MulticlassObjective,
    WholeMatrix,
    multiclass_soft,
)
from sklogit.linear_model._rows import Rows
from sklogit.metrics import amplify, confusion_metric_names, get_confusion_metric

AMPLIFIERS = [("logit", 1.0), ("probability", 9.0)]


@pytest.fixture(params=[False, True], ids=["plain", "weighted"])
def data(request):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 4))
    y = X[:, 0] + rng.standard_normal(60) > 0.7
    return X, y, rng.random(60) + 0.1 if request.param else None


def binary(X, y, weight, metric, amplifier="logit", L=1.0, alpha=2.0, intercept=True):
    soft = partial(amplify, amplifier=amplifier, L=L)
    anchor = np.linspace(-1, 1, X.shape[1])[np.newaxis]
    rows = Rows(X, y, weight)
    return BinaryObjective(
        rows, get_confusion_metric(metric), soft, alpha, anchor, intercept
    )


def multiclass(X, y, weight, metric, amplifier="logit", L=1.0, whole=False):
    soft = partial(multiclass_soft, amplifier=amplifier, L=L)
    metric = get_confusion_metric(metric)
    n_positive = np.bincount(y, weight).astype(float)
    of_matrix = MeanOverClasses(metric, n_positive, np.array([0.2, 0.3, 0.5]))
    if whole:
        of_matrix = WholeMatrix(metric)
    anchor = np.linspace(-1, 1, 3 * X.shape[1]).reshape(3, -1)
    return MulticlassObjective(
        Rows(X, y, weight), metric, soft, 2.0, anchor, True, of_matrix=of_matrix
    )


def three_classes(X):
    return np.digitize(X[:, 0] + 0.5 * X[:, 1], [-0.5, 0.8])


# -- an independent implementation: torch and autograd, only the metric is shared ------


def torch_soft(z, amplifier, L):
    if z.ndim == 1:
        inner = L * z if amplifier == "logit" else L * (torch.sigmoid(z) - 0.5)
        return torch.sigmoid(inner)
    if amplifier == "logit":
        return torch.softmax(L * z, 1)
    return torch.sigmoid(L * (torch.softmax(z, 1) - 0.5))


def torch_counts(y, a, s):
    return (
        (s * (1 - y) * (1 - a)).sum(),
        (s * (1 - y) * a).sum(),
        (s * y * (1 - a)).sum(),
        (s * y * a).sum(),
    )


def torch_of_matrix(name, C):
    """Metrics of many classes, by their definitions as correlations and shares."""
    P = C / C.sum()
    row, column, agreed = P.sum(1), P.sum(0), P.diagonal().sum()
    if name == "accuracy":
        return agreed
    if name == "balanced_accuracy":
        return (P.diagonal() / row).mean()
    chance = (row * column).sum()
    if name == "cohen_kappa":
        return (agreed - chance) / (1 - chance)
    spread = (1 - (row**2).sum()) * (1 - (column**2).sum())
    return (agreed - chance) / spread**0.5


def by_autograd(objective, w, amplifier, L, share=None):
    X, y, weight = objective.rows.X, objective.rows.y, objective.rows.weight
    s = torch.tensor(np.ones(len(X)) if weight is None else weight)
    w = torch.tensor(w, requires_grad=True)
    W = w.reshape(objective.shape)
    coef, intercept = (W[:, :-1], W[:, -1]) if objective.fit_intercept else (W, 0.0)
    Z = torch.tensor(X) @ coef.T + intercept
    metric = objective.metric
    if share is None:
        a = torch_soft(Z[:, 0], amplifier, L)
        loss = 1 - metric(*torch_counts(torch.tensor(y * 1.0), a, s))
    elif share == "whole":
        own = torch.tensor(np.eye(3)[y]) * s[:, None]
        loss = 1 - torch_of_matrix(metric.name, own.T @ torch_soft(Z, amplifier, L))
    else:
        A = torch_soft(Z, amplifier, L)
        own = torch.tensor(np.eye(3)[y])
        loss = sum(
            share[k] * (1 - metric(*torch_counts(own[:, k], A[:, k], s)))
            for k in range(3)
        )
    moved = coef - torch.tensor(objective.anchor)
    loss = loss + 2.0 / (2 * s.sum()) * (moved**2).sum()
    loss.backward()
    return float(loss.detach()), w.grad.numpy()


@pytest.mark.parametrize(("amplifier", "L"), AMPLIFIERS)
@pytest.mark.parametrize("name", confusion_metric_names())
def test_binary_objective_equals_autograd(data, name, amplifier, L):
    objective = binary(*data, name, amplifier, L)
    w = np.random.default_rng(1).standard_normal(5) / 2
    value, gradient = objective(w)
    expected, expected_gradient = by_autograd(objective, w, amplifier, L)
    assert value == pytest.approx(expected, rel=1e-10)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("amplifier", "L"), AMPLIFIERS)
@pytest.mark.parametrize("name", confusion_metric_names())
def test_multiclass_objective_equals_autograd(data, name, amplifier, L):
    X, _, weight = data
    objective = multiclass(X, three_classes(X), weight, name, amplifier, L)
    w = np.random.default_rng(1).standard_normal(15) / 2
    value, gradient = objective(w)
    expected, expected_gradient = by_autograd(
        objective, w, amplifier, L, (0.2, 0.3, 0.5)
    )
    assert value == pytest.approx(expected, rel=1e-10)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("amplifier", "L"), AMPLIFIERS)
@pytest.mark.parametrize(
    "name", ["accuracy", "balanced_accuracy", "cohen_kappa", "matthews_corrcoef"]
)
def test_objective_of_the_whole_matrix_equals_autograd(data, name, amplifier, L):
    X, _, weight = data
    objective = multiclass(X, three_classes(X), weight, name, amplifier, L, whole=True)
    w = np.random.default_rng(1).standard_normal(15) / 2
    value, gradient = objective(w)
    expected, expected_gradient = by_autograd(objective, w, amplifier, L, "whole")
    assert value == pytest.approx(expected, rel=1e-10)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-9, atol=1e-12)


def test_gradient_without_intercept(data):
    objective = binary(*data, "f1", intercept=False)
    w = np.random.default_rng(1).standard_normal(4)
    assert check_grad(lambda w: objective(w)[0], lambda w: objective(w)[1], w) < 1e-6


def test_gradient_of_a_function_of_the_user(data):
    def benefit(tn, fp, fn, tp):
        return (tp - fp**1.5 / 9) / (tn + fp + fn + tp)

    objective = binary(*data, benefit)
    w = np.random.default_rng(1).standard_normal(5)
    assert check_grad(lambda w: objective(w)[0], lambda w: objective(w)[1], w) < 1e-6


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy"])
def test_metrics_linear_in_the_predictions_have_constant_slopes(name):
    metric = get_confusion_metric(name)
    first = metric.slopes(70.0, 30.0, 5.0, 15.0)
    np.testing.assert_allclose(first, metric.slopes(40.0, 60.0, 12.0, 8.0), rtol=1e-12)


@pytest.mark.parametrize("make", [binary, multiclass])
def test_blocks_and_sparse_rows_make_no_difference(data, make, monkeypatch):
    X, y, weight = data
    y = y if make is binary else three_classes(X)
    X = np.where(np.abs(X) < 0.5, 0.0, X)
    w = np.random.default_rng(1).standard_normal(5 if make is binary else 15)
    whole = make(X, y, weight, "mcc")(w)
    csr = make(csr_array(X), y, weight, "mcc")(w)
    monkeypatch.setattr(_rows, "_SINGLE_BLOCK_BYTES", 0)
    monkeypatch.setattr(_rows, "_BLOCK_BYTES", 7 * 4 * 8)
    for found in (csr, make(X, y, weight, "mcc")(w)):
        assert found[0] == pytest.approx(whole[0], rel=1e-12)
        np.testing.assert_allclose(found[1], whole[1], rtol=1e-10, atol=1e-13)


def test_sparse_rows_are_not_copied():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20_000, 100))
    y = X[:, 0] > 0
    objective = binary(csr_array(X), y, None, "f1")
    w = np.full(101, 0.1)
    tracemalloc.start()
    objective(w)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * 8 * len(y)  # half of the rows: 75 numbers a row


def test_float32_rows_are_summed_in_float64(data):
    X, y, weight = data
    w = np.random.default_rng(1).standard_normal(5)
    weight32 = None if weight is None else weight.astype(np.float32)
    value, gradient = binary(X.astype(np.float32), y, weight32, "f1")(w)
    expected, expected_gradient = binary(X, y, weight, "f1")(w)
    assert value == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-4, atol=1e-6)
    assert gradient.dtype == np.float64


def test_rounding_makes_no_negative_counts():
    # 0.1 + 0.2 + 0.3 + ... is not the same in every order.
    weight = np.full(60, 0.1)
    y = np.arange(60) % 3 == 0
    objective = binary(np.ones((60, 1)), y, weight, "geometric_mean")
    n_positive, n_negative = objective.n_positive, objective.n_negative
    more = 1 + 1e-15
    counts = objective.counts(n_positive * more, n_negative * more)
    assert min(counts) == 0.0
    assert min(objective.counts(-1e-17, -1e-17)) == 0.0


@pytest.mark.parametrize("rows_for_scale", [100, 10_000], ids=["some", "all"])
def test_rescaled_start_is_the_best_of_its_direction(data, rows_for_scale, monkeypatch):
    monkeypatch.setattr(_anyloss_start, "ROWS_FOR_SCALE", rows_for_scale)
    X, y, weight = data
    X, y = np.tile(X, (30, 1)), np.tile(y, 30)  # evenly spaced rows are like all
    weight = None if weight is None else np.tile(weight, 30)
    objective = binary(X, y, weight, "f1", alpha=200.0)
    coef, intercept = np.array([[0.5, 0.1, -0.1, 0.0]]), np.array([-0.3])
    objective.anchor = coef
    scores = X @ coef[0] + intercept[0]
    made = _anyloss_start.rescaled(objective, objective.rows, scores, coef, intercept)

    def along(parameters):
        scale, shift = parameters
        return objective(objective.join(scale * coef, np.array([shift])))[0]

    found = along([made[0][0, 0] / coef[0, 0], made[1][0]])
    best = minimize(along, [1.0, -0.3], method="Nelder-Mead", options={"fatol": 1e-12})
    assert best.fun < along([1.0, -0.3]) - 1e-2
    tolerance = 1e-6 if rows_for_scale > len(y) else 5e-4
    assert found == pytest.approx(best.fun, abs=tolerance)


def test_a_start_that_points_the_wrong_way_is_not_turned(data):
    X, y, weight = data
    objective = binary(X, y, weight, "mcc", alpha=0.0)
    coef, intercept = np.array([[-1.0, 0.0, 0.0, 0.0]]), np.array([0.3])
    scores = X @ coef[0] + intercept[0]
    made = _anyloss_start.rescaled(objective, objective.rows, scores, coef, intercept)
    np.testing.assert_array_equal(np.column_stack(made), [[-1.0, 0.0, 0.0, 0.0, 0.3]])


def test_metric_value_is_the_objective_without_penalty(data):
    w = np.random.default_rng(1).standard_normal(5)
    plain = binary(*data, "f1", alpha=0.0)(w)[0]
    objective = binary(*data, "f1", alpha=5.0)
    assert objective.metric_value(w, objective(w)[0]) == pytest.approx(1 - plain)
