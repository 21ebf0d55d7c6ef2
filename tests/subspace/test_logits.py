import numpy as np
import pytest
from scipy import sparse
from scipy.special import log_softmax

from sklogit._unit_rows import unit_rows
from sklogit.subspace._logits import (
    cross_entropy,
    lengths,
    projections,
)

B, N, C, K, GAMMA = 30, 8, 4, 3, 25.0


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    rows = unit_rows(rng.standard_normal((B, N)))
    S = np.linalg.qr(rng.standard_normal((C, N, K)))[0]
    return rows, rng.integers(C, size=B), rng.uniform(0.1, 2, B), S


def reference_loss(rows, y, weight, S):
    """The loss written row by row."""
    total = 0.0
    for x, label, w in zip(rows, y, weight):
        logits = [GAMMA * np.linalg.norm(S_c.T @ x) for S_c in S]
        total -= w * log_softmax(logits)[label]
    return total / weight.sum()


# -- logits ----------------------------------------------------------------------------


def test_lengths_are_norms_of_projections(problem):
    rows, _, _, S = problem
    expected = [[np.linalg.norm(S_c.T @ x) for S_c in S] for x in rows]
    np.testing.assert_allclose(lengths(projections(rows, S)), expected, atol=1e-14)


def test_lengths_belong_to_the_subspace_and_not_to_its_basis(problem):
    rows, _, _, S = problem
    Q = np.linalg.qr(np.random.default_rng(1).standard_normal((C, K, K)))[0]
    np.testing.assert_allclose(
        lengths(projections(rows, S @ Q)), lengths(projections(rows, S)), atol=1e-14
    )


def test_length_is_between_zero_and_one_and_one_inside_the_subspace(problem):
    rows, _, _, S = problem
    length = lengths(projections(rows, S))
    assert (length >= 0).all()
    assert (length <= 1 + 1e-14).all()
    inside = unit_rows((S[2] @ [1.0, -2.0, 0.5])[np.newaxis])
    assert lengths(projections(inside, S))[0, 2] == pytest.approx(1)


def test_the_whole_space_tells_nothing_apart(problem):
    rows = problem[0]
    S = np.linalg.qr(np.random.default_rng(2).standard_normal((C, N, N)))[0]
    np.testing.assert_allclose(lengths(projections(rows, S)), 1.0, atol=1e-14)


# -- loss and gradient -----------------------------------------------------------------


def test_loss_is_the_weighted_mean_of_cross_entropies(problem):
    loss, _ = cross_entropy(*problem, GAMMA)
    assert loss == pytest.approx(reference_loss(*problem), rel=1e-13)
    rows, y, _, S = problem
    loss, gradient = cross_entropy(rows, y, None, S, GAMMA)
    same = cross_entropy(rows, y, np.full(B, 3.0), S, GAMMA)
    assert loss == pytest.approx(same[0], rel=1e-13)
    np.testing.assert_allclose(gradient, same[1], atol=1e-14)


def test_gradient_is_that_of_autograd(problem):
    torch = pytest.importorskip("torch")
    rows, y, weight, S = map(torch.as_tensor, problem)
    S.requires_grad_(True)
    logits = GAMMA * torch.linalg.vector_norm(
        torch.einsum("bn,cnk->bck", rows, S), dim=2
    )
    losses = torch.nn.functional.cross_entropy(logits, y, reduction="none")
    (weight @ losses / weight.sum()).backward()
    _, gradient = cross_entropy(*problem, GAMMA)
    np.testing.assert_allclose(gradient, S.grad.numpy(), rtol=0, atol=1e-12)


def test_gradient_is_the_slope_along_every_direction(problem):
    rows, y, weight, S = problem
    _, gradient = cross_entropy(*problem, GAMMA)
    direction = np.random.default_rng(3).standard_normal(S.shape)
    h = 1e-5
    slope = (
        reference_loss(rows, y, weight, S + h * direction)
        - reference_loss(rows, y, weight, S - h * direction)
    ) / (2 * h)
    assert np.vdot(gradient, direction) == pytest.approx(slope, rel=1e-8)


def test_sparse_rows_have_the_same_loss_and_gradient(problem):
    rows, y, weight, S = problem
    dense = cross_entropy(rows, y, weight, S, GAMMA)
    loss, gradient = cross_entropy(sparse.csr_array(rows), y, weight, S, GAMMA)
    assert loss == pytest.approx(dense[0], rel=1e-13)
    np.testing.assert_allclose(gradient, dense[1], atol=1e-14)


def test_row_of_zeros_or_orthogonal_to_a_subspace_has_a_finite_gradient(problem):
    _, _, _, S = problem
    loss, gradient = cross_entropy(np.zeros((2, N)), np.array([0, 1]), None, S, GAMMA)
    assert loss == pytest.approx(np.log(C))
    assert not gradient.any()
    x = np.zeros((1, N))
    x[0, -1] = 1.0
    S = np.broadcast_to(np.eye(N, K), (C, N, K)).copy()
    assert not cross_entropy(x, np.array([0]), None, S, GAMMA)[1].any()


def test_single_precision_stays_single(problem):
    rows, y, weight, S = problem
    args = (rows.astype(np.float32), y, weight.astype(np.float32), S.astype(np.float32))
    loss, gradient = cross_entropy(*args, GAMMA)
    assert gradient.dtype == np.float32
    expected = cross_entropy(*problem, GAMMA)
    assert loss == pytest.approx(expected[0], rel=1e-5)
    np.testing.assert_allclose(gradient, expected[1], atol=1e-4)
