import numpy as np
import pytest
from scipy.linalg import subspace_angles

from sklogit.subspace import _descent
from sklogit.subspace._descent import (
    EarlyStopping,
    GrassmannDescent,
    LabelledRows,
    block_lengths,
    descend,
    learning_rates,
)
from sklogit.subspace._geometry import geodesic, principal_angles, project_tangent
from sklogit.subspace._logits import cross_entropy

C, N, K, GAMMA = 3, 7, 2, 10.0


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    y = np.arange(60) % C
    X = rng.standard_normal((60, N)) + 2 * np.eye(C, N)[y]
    return LabelledRows(X, y, rng.uniform(0.5, 2, 60), 0.0)


@pytest.fixture
def S():
    return np.linalg.qr(np.random.default_rng(1).standard_normal((C, N, K)))[0]


def usual_step(S, M, rows, lr, mu):
    """A step by a singular value decomposition of the direction."""
    X = rows.X / np.linalg.norm(rows.X, axis=1, keepdims=True)
    _, D = cross_entropy(X, rows.y, rows.weight, S, GAMMA)
    M = mu * M + D - S @ (S.mT @ D)
    U, s, Vt = np.linalg.svd(M, full_matrices=False)
    cos, sin = np.cos(-lr * s)[:, np.newaxis], np.sin(-lr * s)[:, np.newaxis]
    moved = (S @ Vt.mT * cos + U * sin) @ Vt
    return moved, (U * cos - S @ Vt.mT * sin) * s[:, np.newaxis] @ Vt


def test_steps_are_those_of_the_singular_value_decomposition(S, rows):
    descent = GrassmannDescent(S, GAMMA, 0.9)
    expected, M = S, np.zeros_like(S)
    for _ in range(5):
        descent.step(rows, 0.1)
        expected, M = usual_step(expected, M, rows, 0.1, 0.9)
    np.testing.assert_allclose(descent.S, expected, atol=1e-12)
    np.testing.assert_allclose(descent.M, M, atol=1e-12)


def test_without_momentum_each_step_follows_its_own_gradient(S, rows):
    descent = GrassmannDescent(S, GAMMA, 0.0)
    for _ in range(3):
        descent.step(rows, 0.1)
        S, _ = usual_step(S, 0.0, rows, 0.1, 0.0)
    np.testing.assert_allclose(descent.S, S, atol=1e-12)


def test_loss_falls_along_the_gradient_by_its_squared_length(S, rows):
    X = rows.unit()
    _, D = cross_entropy(X, rows.y, rows.weight, S, GAMMA)
    G = project_tangent(S, D)

    def loss(t):
        moved, _ = geodesic(S, G, t)
        return cross_entropy(X, rows.y, rows.weight, moved, GAMMA)[0]

    h = 1e-4
    slope = (loss(h) - loss(-h)) / (2 * h)
    assert slope == pytest.approx(np.vdot(G, G), rel=1e-6)


def test_a_small_step_lowers_the_loss(S, rows):
    descent = GrassmannDescent(S, GAMMA, 0.0)
    before = descent.step(rows, 1e-3)
    assert before == pytest.approx(GrassmannDescent(S, GAMMA, 0.0).loss(rows))
    assert descent.loss(rows) < before


def test_one_step_turns_each_subspace_by_the_length_of_its_gradient(S, rows):
    _, D = cross_entropy(rows.unit(), rows.y, rows.weight, S, GAMMA)
    s = np.linalg.svd(project_tangent(S, D), compute_uv=False)
    descent = GrassmannDescent(S, GAMMA, 0.9)
    descent.step(rows, 0.1)
    np.testing.assert_allclose(
        principal_angles(S, descent.S), 0.1 * s[:, ::-1], rtol=1e-8
    )


def test_the_basis_of_a_subspace_does_not_matter(S, rows):
    Q = np.linalg.qr(np.random.default_rng(2).standard_normal((C, K, K)))[0]
    first, second = (GrassmannDescent(start, GAMMA, 0.9) for start in (S, S @ Q))
    for _ in range(10):
        first.step(rows, 0.1)
        second.step(rows, 0.1)
    for a, b in zip(first.S, second.S):
        np.testing.assert_allclose(subspace_angles(a, b), 0.0, atol=1e-6)


def test_epoch_visits_every_row_once(S, rows, monkeypatch):
    seen = []

    def step(self, batch, learning_rate):
        seen.append(batch.X)
        return float(len(batch.y))

    monkeypatch.setattr(GrassmannDescent, "step", step)
    descent = GrassmannDescent(S, GAMMA, 0.9)
    descent.epoch(rows, 16, 0.1, np.random.RandomState(0))
    assert [len(X) for X in seen] == [15, 15, 15, 15]  # rather than 16, 16, 16, 12
    order = np.lexsort(np.concatenate(seen).T)
    np.testing.assert_array_equal(
        np.concatenate(seen)[order], rows.X[np.lexsort(rows.X.T)]
    )
    assert not np.array_equal(np.concatenate(seen), rows.X)


def test_loss_of_an_epoch_is_the_weighted_mean_of_the_batches(S, rows):
    descent = GrassmannDescent(S, GAMMA, 0.0)
    loss = descent.epoch(rows, 7, 1e-12, np.random.RandomState(0))
    assert loss == pytest.approx(descent.loss(rows), rel=1e-8)


def test_one_batch_of_all_rows_draws_no_random_numbers(S, rows):
    descent = GrassmannDescent(S, GAMMA, 0.9)
    descent.epoch(rows, 60, 0.1, None)
    assert descent.M is not None


def test_overflowing_step_is_refused_and_changes_nothing(S, rows):
    descent = GrassmannDescent(S.astype(np.float32), GAMMA, 0.9)
    rows.X = rows.X.astype(np.float32)
    before = descent.S
    descent.M = np.full_like(before, np.float32(1e38))
    with pytest.raises(FloatingPointError):
        descent.step(rows, 1e300)
    assert descent.S is before


def test_blocks_of_rows_have_the_same_lengths(S, rows, monkeypatch):
    whole = block_lengths(rows.X, S, 0.0)
    monkeypatch.setattr(_descent, "_BLOCK_ENTRIES", 7 * N)
    np.testing.assert_allclose(block_lengths(rows.X, S, 0.0), whole, rtol=1e-14)


# -- the course of a training ----------------------------------------------------------


class Scripted:
    """A descent with given losses."""

    def __init__(self, losses):
        self.losses, self.S = iter(losses), 0

    def loss(self, rows):
        return 10.0

    def epoch(self, *args):
        self.S += 1
        loss = next(self.losses)
        if loss is None:
            raise KeyboardInterrupt
        return loss


def train(losses, stopping=None, report=None):
    descent = Scripted(losses)
    result = descend(descent, None, [0.1] * len(losses), 1, None, stopping, report)
    return descent, result


def test_training_ends_when_the_loss_has_stopped_falling():
    stopping = EarlyStopping(tol=0.5, n_iter_no_change=2)
    _, result = train([5.0, 4.0, 3.8, 3.9, 1.0], stopping)
    assert result.converged
    assert result.loss_curve == [10.0, 5.0, 4.0, 3.8, 3.9]
    _, result = train([5.0, 4.0, 3.8, 3.0, 2.0], EarlyStopping(0.5, 2))
    assert not result.converged


def test_best_subspaces_on_other_rows_are_kept():
    class Validated(Scripted):
        def loss(self, rows):
            return {0: 5.0, 1: 3.0, 2: 4.0, 3: 2.5, 4: 2.6, 5: 2.7}[self.S]

    descent = Validated([1.0] * 5)
    stopping = EarlyStopping(1e-4, 2, rows=object())
    result = descend(descent, None, [0.1] * 5, 1, None, stopping, None)
    assert stopping.losses == [5.0, 3.0, 4.0, 2.5, 2.6, 2.7]
    assert (stopping.best, stopping.best_S) == (2.5, 3)
    assert result.converged


def test_falls_below_tol_add_up():
    stopping = EarlyStopping(tol=0.5, n_iter_no_change=3)
    _, result = train([9.8, 9.6, 9.4, 9.2, 9.0, 8.8, 8.6, 8.4], stopping)
    assert not result.converged


def test_interrupt_keeps_what_was_reached():
    _, result = train([5.0, 4.0, None, 1.0])
    assert isinstance(result.interrupt, KeyboardInterrupt)
    assert result.loss_curve == [10.0, 5.0, 4.0]


def test_report_can_stop():
    _, result = train([5.0, 4.0, 3.0], report=lambda descent, losses: len(losses) == 3)
    assert result.stopped
    assert result.loss_curve == [10.0, 5.0, 4.0]


def test_learning_rates():
    np.testing.assert_allclose(learning_rates(0.2, "constant", 3), 0.2)
    rates = learning_rates(0.2, "cosine", 4)
    np.testing.assert_allclose(rates[[0, 2]], [0.2, 0.1])
    assert (np.diff(rates) < 0).all()
    assert rates[-1] > 0
    assert len(learning_rates(0.2, "cosine", 0)) == 0
