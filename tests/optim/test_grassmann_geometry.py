"""Geometry of subspaces as functions of tensors."""

import math

import numpy as np
import pytest
import torch

from sklogit.optim._grassmann_geometry import (
    _by_eigenvectors,
    angle_functions,
    geodesic,
    polar_step,
    project_tangent,
)
from sklogit.subspace import _geometry as arrays


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def bases(*shape, dtype=torch.float64):
    return torch.linalg.qr(torch.randn(*shape, dtype=dtype))[0]


def tangents(S):
    return project_tangent(S, torch.randn_like(S))


def by_svd(S, M, t):
    """The geodesic and the transport along it, by the decomposition of M."""
    U, s, Vh = torch.linalg.svd(M, full_matrices=False)
    cos, sin = torch.cos(t * s).unsqueeze(-2), torch.sin(t * s).unsqueeze(-2)
    V = Vh.mT
    end = ((S @ V) * cos + U * sin) @ Vh
    carried = (-(S @ V) * sin + U * cos) * s.unsqueeze(-2) @ Vh
    return end, carried


def test_projected_matrix_is_tangent_and_nearest():
    S, D = bases(5, 9, 3), torch.randn(5, 9, 3, dtype=torch.float64)
    G = project_tangent(S, D)
    assert (S.mT @ G).abs().max() < 1e-14
    # The rest is orthogonal to every tangent.
    assert ((D - G) * tangents(S)).sum(dim=(1, 2)).abs().max() < 1e-13


@pytest.mark.parametrize("t", [-0.001, -0.01, -1.0, -30.0, 0.3, 0.0])
@pytest.mark.parametrize("k", [1, 3])
def test_geodesic_is_that_of_the_svd(t, k):
    S = bases(6, 11, k)
    M = tangents(S)
    for found, expected in zip(geodesic(S, M, t), by_svd(S, M, t)):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("t", [-0.01, -0.3, -5.0])
def test_carried_tangent_keeps_its_length_and_is_tangent_at_the_end(t):
    S = bases(6, 11, 3)
    M = tangents(S)
    S_new, M_new = geodesic(S, M, t)
    torch.testing.assert_close(M_new.mT @ M_new, M.mT @ M, rtol=0, atol=1e-12)
    torch.testing.assert_close(
        M_new.norm(dim=(1, 2)), M.norm(dim=(1, 2)), rtol=1e-13, atol=0
    )
    assert (S_new.mT @ M_new).abs().max() < 1e-13
    assert (S_new.mT @ S_new - torch.eye(3)).abs().max() < 1e-13


def test_carried_tangent_is_the_derivative_of_the_geodesic():
    S = bases(2, 7, 3)
    M = tangents(S)
    h = 1e-5
    slope = (geodesic(S, M, 0.4 + h)[0] - geodesic(S, M, 0.4 - h)[0]) / (2 * h)
    torch.testing.assert_close(geodesic(S, M, 0.4)[1], slope, rtol=0, atol=1e-8)


def test_geodesic_travels_the_angles_of_its_tangent():
    S = bases(4, 10, 3)
    M = tangents(S)
    t = 1.4 / torch.linalg.matrix_norm(M, 2).max().item()
    angles = arrays.principal_angles(S.numpy(), geodesic(S, M, t)[0].numpy())
    expected = t * np.linalg.svd(M.numpy(), compute_uv=False)[:, ::-1]
    np.testing.assert_allclose(angles, expected, rtol=1e-10)


def test_geodesic_back_returns_to_its_start():
    S = bases(4, 10, 3)
    S_new, M_new = geodesic(S, tangents(S), -0.7)
    back, _ = geodesic(S_new, M_new, 0.7)
    torch.testing.assert_close(back, S, rtol=0, atol=1e-13)


def test_two_short_steps_are_one_long_step():
    S = bases(4, 10, 3)
    M = tangents(S)
    middle = geodesic(S, M, -0.4)
    for found, expected in zip(geodesic(*middle, -0.6), geodesic(S, M, -1.0)):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)


def test_slope_of_a_function_is_the_inner_product_with_its_gradient():
    S, x = bases(10, 3), torch.randn(10, dtype=torch.float64)

    def f(S):
        return (S.mT @ x).norm()

    D = torch.func.grad(f)(S)
    G, h = project_tangent(S, D), 1e-5
    slope = (f(geodesic(S, G, -h)[0]) - f(geodesic(S, G, h)[0])) / (2 * h)
    torch.testing.assert_close(slope, -(G**2).sum(), rtol=1e-8, atol=0)


@pytest.mark.parametrize("t", [-0.2, -40.0])
def test_geodesic_is_that_of_arrays(t):
    S = bases(6, 11, 3)
    M = 0.1 * tangents(S)
    for found, expected in zip(
        geodesic(S, M, t), arrays.geodesic(S.numpy(), M.numpy(), t)
    ):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("square", [1e-12, 1e-4, 0.02, 0.3, 1.0])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_series_and_eigenvectors_give_the_same(square, dtype):
    M = torch.randn(5, 8, 4, dtype=torch.float64)
    A = M.mT @ M
    A *= square / A.abs().sum(dim=-1).max()
    A = A.to(dtype)
    found = angle_functions(A, -1.0)
    tolerance = 20 * torch.finfo(dtype).eps
    for one, other in zip(found, _by_eigenvectors(A.double(), -1.0)):
        assert one.dtype == dtype
        torch.testing.assert_close(one.double(), other, rtol=0, atol=tolerance)


def test_repeated_singular_values_and_zeros_are_no_trouble():
    S = torch.eye(8, 3, dtype=torch.float64)
    M = torch.zeros(8, 3, dtype=torch.float64)
    M[5, 0] = M[6, 1] = 2.0  # twice the same, and a zero
    S_new, M_new = geodesic(S, M, math.pi / 4)
    expected = torch.zeros_like(S)
    expected[5, 0] = expected[6, 1] = expected[2, 2] = 1.0
    torch.testing.assert_close(S_new, expected, rtol=0, atol=1e-15)
    assert M_new.isfinite().all()


def test_no_motion_leaves_the_basis_as_it_is():
    S = bases(4, 10, 3)
    S_new, M_new = geodesic(S, torch.zeros_like(S), -1.0)
    assert torch.equal(S_new, S)
    assert torch.equal(M_new, torch.zeros_like(S))


@pytest.mark.parametrize("M", [1e30, math.inf, math.nan])
def test_angles_without_meaning_are_refused(M):
    with pytest.raises(FloatingPointError, match="rad"):
        angle_functions(torch.full((1, 2, 2), M), -0.1)


@pytest.mark.parametrize("error", [1e-5, 1e-1])
def test_polar_step_keeps_subspaces_and_signs(error):
    S = bases(4, 10, 3)
    disturbed = S @ (torch.eye(3) + error * torch.randn(4, 3, 3, dtype=torch.float64))
    mended = polar_step(disturbed)
    assert (mended.mT @ mended - torch.eye(3)).abs().max() < max(1e-9, error**2 / 1e4)
    projector = S @ S.mT
    torch.testing.assert_close(mended @ mended.mT, projector, rtol=0, atol=1e-9)
    assert ((mended * S).sum(dim=1) > 0.5).all()


def test_polar_step_and_qr_with_signs_give_the_same_subspace():
    S = bases(4, 10, 3)
    disturbed = S + 1e-6 * torch.randn_like(S)
    by_qr = torch.from_numpy(arrays.orthonormalize(disturbed.numpy()))
    mended = polar_step(disturbed)
    torch.testing.assert_close(mended @ mended.mT, by_qr @ by_qr.mT, rtol=0, atol=1e-10)
    torch.testing.assert_close(mended, by_qr, rtol=0, atol=1e-5)
