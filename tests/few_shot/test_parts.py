"""Features, bias, objective, AdamW and folds, each against a reference of its own."""

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.optimize import approx_fprime
from sklearn.utils import check_random_state

from sklogit.few_shot._adamw import adamw
from sklogit.few_shot._bias import standardise_rows, standardise_rows_backward
from sklogit.few_shot._features import (
    Balanced,
    Features,
    Span,
    class_means,
    coordinates_of,
)
from sklogit.few_shot._folds import folds_of_shots
from sklogit.few_shot._objective import BiasObjective

from .common import mean_log_loss, random_shots, unit


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# -- features --------------------------------------------------------------------------


@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array])
def test_class_means_are_weighted_means(rng, convert):
    A, y = rng.normal(size=(9, 4)), np.array([0, 0, 0, 0, 0, 2, 2, 3, 3])
    weight = rng.uniform(0.5, 2, size=9)
    means = class_means(convert(A), y, weight, 5)
    for c in (0, 2, 3):
        own = y == c
        expected = np.average(A[own], axis=0, weights=weight[own])
        np.testing.assert_allclose(means[c], expected)
    np.testing.assert_array_equal(means[[1, 4]], 0)


@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array])
def test_span_keeps_scores_and_lengths(rng, convert):
    A = convert(rng.normal(size=(6, 40)))
    span = Span(A)
    V = rng.normal(size=(3, span.rows.shape[1]))
    W = span.coefficients(V)
    np.testing.assert_allclose(A @ W.T, span.rows @ V.T, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(W), np.linalg.norm(V))


def test_span_of_repeated_rows_has_their_rank(rng):
    A = np.repeat(rng.normal(size=(3, 40)), 2, axis=0)
    assert Span(A).rows.shape == (6, 3)


def test_span_is_for_more_than_two_features_a_row(rng):
    weight = np.full(5, 0.2)
    assert isinstance(coordinates_of(rng.normal(size=(5, 11)), weight, 0), Span)
    assert isinstance(coordinates_of(rng.normal(size=(5, 10)), weight, 0), Features)


@pytest.mark.parametrize("kind", [Span, Features])
@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array])
def test_balanced_coordinates_keep_scores_and_tell_lengths(rng, kind, convert):
    A, weight = convert(unit(rng.normal(size=(6, 13)))), rng.dirichlet(np.ones(6))
    balanced = Balanced(kind(A), weight)
    V = rng.normal(size=(3, balanced.rows.shape[1]))
    W, k = balanced.coefficients(V), balanced.balance
    scores = A @ W.T
    np.testing.assert_allclose(balanced.rows @ V.T, scores, atol=1e-12)
    shared = weight @ (scores**2).sum(axis=1)
    np.testing.assert_allclose((W**2).sum(), (1 + k) * (V**2).sum() - k * shared)


def test_balanced_coordinates_weaken_what_all_rows_share(rng):
    A, weight = unit(rng.normal(size=(60, 8)) + 3), np.full(60, 1 / 60)
    before, after = (
        np.linalg.eigvalsh(rows.T @ rows)[[-2, -1]]
        for rows in (A, Balanced(Features(A), weight).rows)
    )
    assert after[1] / after[0] < 0.1 * before[1] / before[0]


def test_a_gradient_by_balanced_coordinates_is_no_shorter(rng):
    A, weight = unit(rng.normal(size=(9, 4)) + 1), rng.dirichlet(np.ones(9))
    slope = rng.normal(size=(9, 3))
    plain = A.T @ slope
    balanced = Balanced(Features(A), weight).rows.T @ slope
    assert (np.linalg.norm(balanced, axis=0) >= np.linalg.norm(plain, axis=0)).all()


@pytest.mark.parametrize(("n_features", "kind"), [(48, Balanced), (49, Features)])
def test_coordinates_are_balanced_if_they_are_few_beside_the_classes(
    rng, n_features, kind
):
    A, weight = unit(rng.normal(size=(40, n_features))), np.full(40, 1 / 40)
    assert isinstance(coordinates_of(A, weight, 3), kind)


# -- bias and loss ---------------------------------------------------------------------


def test_standardised_rows_and_their_backward_equal_autograd(rng):
    u, g = rng.normal(size=(8, 5)), rng.normal(size=(8, 5))
    tensor = torch.tensor(u, requires_grad=True)
    centred = tensor - tensor.mean(dim=1, keepdim=True)
    expected = centred / tensor.std(dim=1, keepdim=True)
    expected.backward(torch.tensor(g))
    b, std = standardise_rows(u)
    np.testing.assert_allclose(b, expected.detach(), atol=1e-14)
    slope = standardise_rows_backward(g, b, std)
    np.testing.assert_allclose(slope, tensor.grad, atol=1e-14)


def test_constant_scores_are_standardised_to_zeros():
    b, _ = standardise_rows(np.full((2, 3), 5.0))
    np.testing.assert_array_equal(b, 0)


@pytest.mark.parametrize("balance", [0.0, 3.0])
@pytest.mark.parametrize("by_row", [False, True])
@pytest.mark.parametrize("lambda_merge", [0.0, 0.35, 1.0])
def test_objective_is_the_formula_and_its_gradient_the_difference(
    by_row, lambda_merge, balance
):
    z, A, y = random_shots()
    rng = np.random.default_rng(1)
    start, gain = rng.normal(size=z.shape), rng.uniform(0.1, 3, len(y))
    weight = rng.uniform(size=len(y))
    weight /= weight.sum()
    objective = BiasObjective(
        A, start, z, gain, y, weight, lambda_merge, 0.2, by_row, balance
    )
    V = rng.normal(size=(4, 6))
    b = start + A @ V.T
    if by_row:
        b = (b - b.mean(axis=1, keepdims=True)) / b.std(axis=1, ddof=1, keepdims=True)
    expected = (
        lambda_merge * mean_log_loss(z + gain[:, None] * b, y, weight)
        + (1 - lambda_merge) * mean_log_loss(b, y, weight)
        + 0.1 * (1 + balance) * (V**2).sum()
        - 0.1 * balance * (weight @ (A @ V.T) ** 2).sum()
    )
    value, gradient = objective(V.ravel())
    assert value == pytest.approx(expected)
    differences = approx_fprime(V.ravel(), lambda v: objective(v)[0], 1e-7)
    np.testing.assert_allclose(gradient, differences, atol=1e-6)


# -- AdamW -----------------------------------------------------------------------------


def test_adamw_makes_the_steps_of_torch(rng):
    A, b = rng.normal(size=(20, 3)), rng.normal(size=20)

    def loss_of_batch(w, batch):
        residual = A[batch] @ w - b[batch]
        return (residual**2).mean(), 2 * A[batch].T @ residual / len(batch)

    start = rng.normal(size=3)
    fit = adamw(
        loss_of_batch,
        start,
        20,
        learning_rate=0.05,
        weight_decay=0.1,
        batch_size=8,
        n_epochs=6,
        rng=check_random_state(0),
    )
    w = torch.tensor(start, requires_grad=True)
    optimizer = torch.optim.AdamW([w], lr=0.05, weight_decay=0.1, eps=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 6 * 3)
    order_rng = check_random_state(0)
    for _ in range(6):
        order = order_rng.permutation(20)
        for batch in (order[:8], order[8:16], order[16:]):
            optimizer.zero_grad()
            residual = torch.tensor(A[batch]) @ w - torch.tensor(b[batch])
            (residual**2).mean().backward()
            optimizer.step()
            schedule.step()
    np.testing.assert_allclose(fit.parameters, w.detach(), rtol=1e-10)
    assert len(fit.loss_curve) == fit.n_iter == 6


def test_adamw_leaves_its_start_alone_and_can_be_stopped():
    start = np.ones(2)
    fit = adamw(
        lambda w, batch: (w @ w, 2 * w),
        start,
        4,
        learning_rate=0.1,
        weight_decay=0.0,
        batch_size=2,
        n_epochs=10,
        rng=check_random_state(0),
        on_epoch=lambda fit: fit.n_iter == 3,
    )
    np.testing.assert_array_equal(start, 1)
    assert fit.n_iter == 3
    assert fit.stopped


# -- folds -----------------------------------------------------------------------------


@pytest.mark.parametrize("shuffle", [False, True])
def test_every_class_keeps_rows_to_train_with(shuffle):
    y = np.array([0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 3, 3])
    rng = check_random_state(0) if shuffle else None
    folds = folds_of_shots(y, 5, rng)
    held_out = np.concatenate([test for _, test in folds])
    assert len(folds) == 5
    for train, test in folds:
        assert set(y[train]) == {0, 1, 2, 3}
        assert not set(train) & set(test)
        assert len(train) + len(test) == len(y)
    # All are held out once, but for the only row of class 2.
    np.testing.assert_array_equal(np.sort(held_out), np.flatnonzero(y != 2))


def test_folds_are_of_about_one_size():
    folds = folds_of_shots(np.repeat(np.arange(10), 2), 5)
    sizes = [len(test) for _, test in folds]
    # Never more folds than rows of a class: there would be nothing else to learn from.
    assert sizes == [10, 10]


def test_one_shot_a_class_gives_no_folds():
    assert folds_of_shots(np.arange(5), 5) == []
