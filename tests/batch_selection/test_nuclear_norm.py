"""The nuclear norm, of logits and of what a head makes them of."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from scipy.stats import ortho_group

from sklogit.batch_selection import (
    FactoredLogits,
    head_factor,
    nuclear_norm,
    nuclear_norm_from_head,
)

METHODS = ["gram", "svd"]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def reference(logits):
    return np.array([np.linalg.norm(one, "nuc") for one in logits])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "shape", [(4, 5, 9), (4, 9, 5), (4, 6, 6), (3, 1, 7), (3, 7, 1)]
)
def test_is_the_sum_of_the_singular_values(rng, method, shape):
    logits = rng.standard_normal(shape)
    np.testing.assert_allclose(
        nuclear_norm(logits, method=method), reference(logits), rtol=1e-11
    )


@pytest.mark.parametrize("method", METHODS)
def test_known_values(method):
    assert nuclear_norm(np.diag([3.0, 4.0]), method=method) == pytest.approx(7)
    assert nuclear_norm([[3.0, 4.0]], method=method) == pytest.approx(5)


def test_one_sample_gives_a_scalar(rng):
    assert np.ndim(nuclear_norm(rng.standard_normal((3, 4)))) == 0


def test_lies_between_frobenius_norm_and_its_multiple(rng):
    logits = rng.standard_normal((20, 4, 6))
    frobenius = np.linalg.norm(logits, axis=(1, 2))
    norms = nuclear_norm(logits)
    assert (frobenius <= norms).all()
    assert (norms <= 2 * frobenius).all()


def test_does_not_change_by_rotations(rng):
    logits = rng.standard_normal((3, 5, 8))
    left, right = ortho_group(5, seed=0).rvs(), ortho_group(8, seed=1).rvs()
    np.testing.assert_allclose(
        nuclear_norm(left @ logits @ right), nuclear_norm(logits)
    )


def test_is_a_norm(rng):
    first, second = rng.standard_normal((2, 5, 4, 6))
    np.testing.assert_allclose(nuclear_norm(-3 * first), 3 * nuclear_norm(first))
    total = nuclear_norm(first) + nuclear_norm(second)
    assert (nuclear_norm(first + second) <= total).all()
    assert nuclear_norm(0 * first).tolist() == [0] * 5


@pytest.mark.parametrize("method", METHODS)
def test_masked_positions_do_not_count_whatever_they_hold(rng, method):
    logits = rng.standard_normal((2, 6, 5))
    mask = np.arange(6) < np.array([[4], [6]])
    logits[0, 4:] = np.nan
    expected = reference([logits[0, :4], logits[1]])
    np.testing.assert_allclose(nuclear_norm(logits, mask=mask, method=method), expected)


def test_of_low_rank_is_exact_where_roots_of_round_off_would_show(rng):
    logits = rng.standard_normal((3, 64, 1)) * rng.standard_normal((3, 1, 500))
    np.testing.assert_allclose(nuclear_norm(logits), reference(logits), rtol=1e-12)


def test_singular_values_below_the_round_off_of_the_gram_matrix_are_dropped():
    logits = np.diag([1.0] + [9e-8] * 63)
    assert nuclear_norm(logits) == pytest.approx(1, rel=1e-12)
    expected = 1 + 63 * 9e-8
    assert nuclear_norm(logits, method="svd") == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("noise", [0.0, 1e-4, 1.0])
def test_single_precision_loses_little(rng, noise):
    logits = np.ones((2, 16, 200)) + noise * rng.standard_normal((2, 16, 200))
    norms = nuclear_norm(logits.astype(np.float32))
    assert norms.dtype == np.float32
    np.testing.assert_allclose(norms, reference(logits), rtol=1e-4)


def test_half_precision_does_not_overflow():
    logits = np.full((1, 8, 100), 300, dtype=np.float16)
    expected = 300 * np.sqrt(800)
    np.testing.assert_allclose(nuclear_norm(logits), expected, rtol=1e-5)
    tensor = torch.from_numpy(logits)
    assert nuclear_norm(tensor).item() == pytest.approx(expected, rel=1e-5)


def test_chunks_of_samples_give_the_same(rng, monkeypatch):
    logits = rng.standard_normal((7, 4, 6))
    expected = nuclear_norm(logits)
    monkeypatch.setattr("sklogit.batch_selection._nuclear_norm._AT_ONCE", 50)
    np.testing.assert_array_equal(nuclear_norm(logits), expected)


@pytest.mark.parametrize("method", METHODS)
def test_tensors_give_tensors(rng, method):
    logits = rng.standard_normal((3, 4, 6))
    norms = nuclear_norm(torch.from_numpy(logits), method=method)
    np.testing.assert_allclose(norms.numpy(), reference(logits))


@pytest.mark.parametrize("shape", [(2, 4, 6), (2, 6, 4), (2, 1, 6)])
def test_gradient_is_the_polar_factor(rng, shape):
    logits = torch.tensor(rng.standard_normal(shape), requires_grad=True)
    (gradient,) = torch.autograd.grad(nuclear_norm(logits).sum(), logits)
    left, _, right = torch.linalg.svd(logits, full_matrices=False)
    torch.testing.assert_close(gradient, left @ right)


def test_gradient_is_finite_where_the_rank_is_low():
    logits = torch.ones(1, 3, 4, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(nuclear_norm(logits).sum(), logits)
    torch.testing.assert_close(gradient, torch.full_like(logits, 12**-0.5))


def test_no_samples_give_no_norms():
    assert nuclear_norm(np.ones((0, 3, 4))).shape == (0,)


# -- from the head ---------------------------------------------------------------------


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("n_positions", "n_features", "n_classes"),
    [(6, 4, 50), (12, 4, 50), (6, 8, 5), (1, 4, 50), (6, 4, 1)],
)
def test_head_gives_the_norm_of_its_logits(
    rng, bias, n_positions, n_features, n_classes
):
    hidden = rng.standard_normal((3, n_positions, n_features))
    weight = rng.standard_normal((n_classes, n_features))
    b = rng.standard_normal(n_classes) if bias else None
    logits = hidden @ weight.T + (b if bias else 0)
    norms = nuclear_norm_from_head(hidden, weight, b)
    np.testing.assert_allclose(norms, reference(logits), rtol=1e-7)
    factored = FactoredLogits(hidden, weight, b)
    np.testing.assert_allclose(
        factored.frobenius_norms(), np.linalg.norm(logits, axis=(1, 2))
    )
    np.testing.assert_allclose(factored.dense(), logits)
    assert factored.shape == logits.shape


def test_head_whose_weights_have_no_full_rank(rng):
    hidden = rng.standard_normal((3, 6, 5))
    weight = rng.standard_normal((40, 2)) @ rng.standard_normal((2, 5))
    norms = nuclear_norm_from_head(hidden, weight)
    np.testing.assert_allclose(norms, reference(hidden @ weight.T), rtol=1e-6)
    assert nuclear_norm_from_head(hidden, 0 * weight).tolist() == [0, 0, 0]


def test_head_masks_its_bias_too(rng):
    hidden = rng.standard_normal((1, 6, 4))
    weight, bias = rng.standard_normal((50, 4)), rng.standard_normal(50)
    mask = np.arange(6)[None] < 4
    expected = reference(hidden[:, :4] @ weight.T + bias)
    norms = nuclear_norm_from_head(hidden, weight, bias, mask=mask)
    np.testing.assert_allclose(norms, expected)


def test_factor_is_used_and_is_one_of_the_gram_matrix(rng, monkeypatch):
    monkeypatch.setattr("sklogit.batch_selection._head._ROWS_AT_ONCE", 7)
    weight, bias = rng.standard_normal((50, 4)), rng.standard_normal(50)
    factor = head_factor(weight, bias)
    columns = np.column_stack([weight, bias])
    np.testing.assert_allclose(factor @ factor.T, columns.T @ columns)
    hidden = rng.standard_normal((6, 4))
    doubled = nuclear_norm_from_head(hidden, weight, bias, head_factor=2 * factor)
    assert doubled == pytest.approx(2 * nuclear_norm_from_head(hidden, weight, bias))


def test_head_of_torch_in_single_precision(rng):
    head = torch.nn.Linear(4, 300)
    hidden = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0))
    norms = nuclear_norm_from_head(hidden, head.weight, head.bias)
    expected = torch.linalg.svdvals(head(hidden)).sum(-1)
    np.testing.assert_allclose(norms, expected.detach(), rtol=1e-5)


# -- bad input -------------------------------------------------------------------------


def test_sparse_and_complex_logits_are_refused():
    with pytest.raises(TypeError, match="logits must be dense"):
        nuclear_norm(csr_array(np.eye(3)))
    for eye in (np.eye(3), torch.eye(3)):
        with pytest.raises(TypeError, match="logits must be real"):
            nuclear_norm(1j * eye)


@pytest.mark.parametrize("shape", [(3,), (2, 3, 4, 5), (3, 0), (2, 3, 0)])
def test_wrong_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="logits must have the shape"):
        nuclear_norm(np.ones(shape))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_not_finite_are_refused(bad):
    with pytest.raises(ValueError, match="logits must be finite"):
        nuclear_norm(np.array([[1, bad]]))
    with pytest.raises(ValueError, match="hidden must be finite"):
        nuclear_norm_from_head(np.array([[1, bad]]), np.eye(2))
    with pytest.raises(ValueError, match="weight must be finite"):
        head_factor(np.array([[1, bad]]))


@pytest.mark.parametrize("shape", [(2, 3), (3, 2), (1, 3)])
@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor])
def test_logits_whose_squares_overflow_are_refused(make, shape):
    logits = make(np.full(shape, 1e200))
    with pytest.raises(ValueError, match="squares of logits must be finite"):
        nuclear_norm(logits)
    expected = 1e200 * np.sqrt(np.prod(shape))
    assert float(nuclear_norm(logits, method="svd")) == pytest.approx(expected)


def test_mask_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"mask must have the shape \(2, 3\)"):
        nuclear_norm(np.ones((2, 3, 4)), mask=np.ones((2, 4)))


def test_parts_of_a_head_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"hidden must have the shape .* 4\)"):
        FactoredLogits(np.ones((2, 3, 5)), np.ones((9, 4)))
    with pytest.raises(ValueError, match=r"bias must have the shape \(9,\)"):
        head_factor(np.ones((9, 4)), np.ones(4))
    with pytest.raises(ValueError, match=r"head_factor must have the shape \(4, 4\)"):
        FactoredLogits(np.ones((3, 4)), np.ones((9, 4)), head_factor=np.eye(5))
    with pytest.raises(TypeError, match="both be arrays, or both tensors"):
        FactoredLogits(torch.ones(3, 4), np.ones((9, 4)))
