import numpy as np
import pytest
import scipy.linalg
import torch

from sklogit.heads import spd_log, upper_vector
from sklogit.heads._spd import (
    _log_divided_differences,
    arithmetic_harmonic_mean,
    spd_power,
)


def random_spd(n, d, seed=0):
    generator = torch.Generator().manual_seed(seed)
    A = torch.randn(n, d, 2 * d, dtype=torch.float64, generator=generator)
    return A @ A.mT / d


def close_eigenvalues(gap):
    """A 6 x 6 matrix with eigenvalues in pairs, gap apart."""
    rng = np.random.default_rng(0)
    Q = torch.tensor(np.linalg.qr(rng.standard_normal((6, 6)))[0])
    values = torch.tensor([1.0, 1 + gap, 2.0, 2 + gap, 5.0, 5 + gap]).double()
    return (Q * values) @ Q.T


def test_log_equals_scipy():
    A = random_spd(5, 7)
    expected = np.stack([scipy.linalg.logm(a) for a in A.numpy()])
    np.testing.assert_allclose(spd_log(A).numpy(), expected, atol=1e-12)


def test_log_accepts_a_single_matrix_and_more_batch_dimensions():
    A = random_spd(6, 3)
    torch.testing.assert_close(spd_log(A[0]), spd_log(A)[0])
    nested = spd_log(A.reshape(2, 3, 3, 3))
    torch.testing.assert_close(nested.reshape(6, 3, 3), spd_log(A))


@pytest.mark.parametrize(
    "A",
    [
        random_spd(3, 5),
        2.5 * torch.eye(5, dtype=torch.float64)[None],
        torch.block_diag(*3 * [torch.tensor([[2.0, 1.0], [1.0, 2.0]]).double()]),
        close_eigenvalues(1e-9),
        close_eigenvalues(1e-4),
    ],
    ids=["random", "scaled identity", "repeated blocks", "gap 1e-9", "gap 1e-4"],
)
def test_log_gradient_is_right_for_repeated_and_close_eigenvalues(A):
    assert torch.autograd.gradcheck(spd_log, A.clone().requires_grad_())


def test_log_gradient_equals_scipys_frechet_derivative():
    """The adjoint of the derivative is the derivative: it is that of the inverse of
    expm, for which scipy has the Fréchet derivative."""
    A, E = random_spd(2, 4)
    A.requires_grad_()
    (gradient,) = torch.autograd.grad(spd_log(A), A, grad_outputs=E)
    back = scipy.linalg.expm_frechet(
        spd_log(A).detach().numpy(), gradient.numpy(), compute_expm=False
    )
    np.testing.assert_allclose(back, E.numpy(), rtol=1e-10)


@pytest.mark.parametrize("ratio", [1 + 1e-15, 1 + 1e-8, 1.01, 2.9, 3.1, 1e3, 1e12])
def test_divided_differences_are_exact_to_rounding(ratio):
    a, b = 0.7 * ratio, 0.7
    # log1p of an exact difference: an independent formula good for every ratio >= 1.
    expected = np.log1p((a - b) / b) / (a - b) if a != b else 1 / b
    K = _log_divided_differences(torch.tensor([a, b], dtype=torch.float64))
    np.testing.assert_allclose(K[0, 1].item(), expected, rtol=4e-16 * 4)
    np.testing.assert_allclose(K[1, 0].item(), expected, rtol=4e-16 * 4)
    np.testing.assert_allclose(K.diagonal().numpy(), [1 / a, 1 / b], rtol=1e-15)


def test_log_in_float32_stays_in_float32():
    A = random_spd(3, 4)
    result = spd_log(A.float())
    assert result.dtype == torch.float32
    torch.testing.assert_close(result.double(), spd_log(A), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, -0.25, float("nan")])
def test_log_of_a_matrix_that_is_not_positive_raises(value):
    A = torch.stack([torch.eye(2), torch.diag(torch.tensor([1.0, value]))])
    if np.isnan(value):
        # LAPACK refuses NaN itself on some builds.
        with pytest.raises((ValueError, torch.linalg.LinAlgError)):
            spd_log(A)
        return
    message = rf"1 of 2 matrices.*smallest eigenvalue is {value:.3g}"
    with pytest.raises(ValueError, match=message):
        spd_log(A)


def test_log_without_the_check_is_not_finite():
    A = torch.diag(torch.tensor([1.0, -1.0]))
    assert not spd_log(A, check_positive=False).isfinite().all()


def test_log_refuses_a_second_derivative():
    A = random_spd(1, 3).requires_grad_()
    (gradient,) = torch.autograd.grad(spd_log(A).sum(), A, create_graph=True)
    with pytest.raises(NotImplementedError, match="only once"):
        gradient.sum().backward()


def test_upper_vector_keeps_inner_products():
    A, B = random_spd(4, 5), random_spd(4, 5, seed=1)
    expected = (A * B).sum((-2, -1))
    torch.testing.assert_close((upper_vector(A) * upper_vector(B)).sum(-1), expected)
    assert upper_vector(A).shape == (4, 15)
    assert torch.autograd.gradcheck(upper_vector, A.requires_grad_())


def test_arithmetic_harmonic_mean_of_two_is_the_geodesic_midpoint():
    """Of two matrices A, B it is A # B, since arithmetic and harmonic mean are
    reflections of one another about it."""
    A, B = random_spd(2, 4).numpy()
    root = scipy.linalg.sqrtm(A)
    inverse = np.linalg.inv(root)
    midpoint = root @ scipy.linalg.sqrtm(inverse @ B @ inverse) @ root
    arithmetic = (A + B) / 2
    harmonic = np.linalg.inv((np.linalg.inv(A) + np.linalg.inv(B)) / 2)
    mean = arithmetic_harmonic_mean(torch.tensor(arithmetic), torch.tensor(harmonic))
    np.testing.assert_allclose(mean.numpy(), midpoint, rtol=1e-10)


def test_power_raises_on_a_singular_matrix():
    with pytest.raises(ValueError, match="1 of 1 matrices are not positive definite"):
        spd_power(torch.zeros(2, 2), -1)
