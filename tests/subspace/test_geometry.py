import numpy as np
import pytest
from scipy.linalg import expm, subspace_angles

from sklogit.subspace._geometry import (
    geodesic,
    orthonormality_error,
    orthonormalize,
    polar_step,
    principal_angles,
    project_tangent,
)

STACK, N, K = (4,), 12, 3
dtypes = pytest.mark.parametrize(
    ("dtype", "eps"), [(np.float64, 1e-13), (np.float32, 1e-5)]
)


def subspaces(seed=0, stack=STACK, n=N, k=K):
    rng = np.random.default_rng(seed)
    return np.linalg.qr(rng.standard_normal((*stack, n, k)))[0]


def tangents(S, seed=1):
    D = np.random.default_rng(seed).standard_normal(S.shape)
    return D - S @ (S.swapaxes(-1, -2) @ D)


def projector(S):
    return S @ S.swapaxes(-1, -2)


def by_singular_values(S, M, t):
    """The exponential map and the transport of M in their usual form."""
    U, s, Vt = np.linalg.svd(M, full_matrices=False)
    V, cos, sin = Vt.swapaxes(-1, -2), np.cos(t * s), np.sin(t * s)
    cos, sin = cos[..., np.newaxis, :], sin[..., np.newaxis, :]
    S_new = (S @ V * cos + U * sin) @ Vt
    M_new = (U * cos - S @ V * sin) * s[..., np.newaxis, :] @ Vt
    return S_new, M_new


# -- tangents --------------------------------------------------------------------------


@dtypes
def test_projection_is_tangent_and_keeps_tangents(dtype, eps):
    S = subspaces().astype(dtype)
    D = np.random.default_rng(2).standard_normal(S.shape).astype(dtype)
    G = project_tangent(S, D)
    assert G.dtype == dtype
    np.testing.assert_allclose(S.mT @ G, 0.0, atol=10 * eps)
    np.testing.assert_allclose(project_tangent(S, G), G, atol=10 * eps)
    np.testing.assert_allclose(G, D - projector(S) @ D, atol=10 * eps)


# -- geodesics -------------------------------------------------------------------------


@dtypes
@pytest.mark.parametrize("t", [-0.01, -1.0, 30.0])
def test_geodesic_is_that_of_the_singular_value_decomposition(dtype, eps, t):
    S, M = subspaces(), tangents(subspaces())
    expected = by_singular_values(S, M, t)
    found = geodesic(S.astype(dtype), M.astype(dtype), t)
    for a, b in zip(found, expected):
        assert a.dtype == dtype
        np.testing.assert_allclose(a, b, atol=30 * abs(t) * eps)


def test_geodesic_is_that_of_the_matrix_exponential():
    # The geodesic from the first coordinates: exp of the skew matrix of the direction.
    S, M = np.eye(N, K), np.zeros((N, K))
    M[K:] = np.random.default_rng(0).standard_normal((N - K, K))
    skew = np.zeros((N, N))
    skew[:, :K] = M
    skew[:K] -= M.T
    turn = expm(0.7 * skew)
    S_new, M_new = geodesic(S, M, 0.7)
    np.testing.assert_allclose(S_new, turn @ S, atol=1e-13)
    # Parallel transport along the geodesic turns the tangent by the same rotation.
    np.testing.assert_allclose(M_new, turn @ M, atol=1e-13)


@pytest.mark.parametrize("t", [0.3, -2.0])
def test_transported_direction_is_tangent_as_long_and_the_derivative(t):
    S, M = subspaces(), tangents(subspaces())
    S_new, M_new = geodesic(S, M, t)
    np.testing.assert_allclose(S_new.mT @ M_new, 0.0, atol=1e-13)
    np.testing.assert_allclose(
        np.linalg.norm(M_new, axis=(1, 2)), np.linalg.norm(M, axis=(1, 2)), rtol=1e-13
    )
    h = 1e-5
    slope = (geodesic(S, M, t + h)[0] - geodesic(S, M, t - h)[0]) / (2 * h)
    np.testing.assert_allclose(M_new, slope, atol=1e-7)


def test_back_along_the_transported_direction_is_where_it_began():
    S, M = subspaces(), tangents(subspaces())
    back = geodesic(*geodesic(S, M, 1.3), -1.3)
    np.testing.assert_allclose(back[0], S, atol=1e-12)
    np.testing.assert_allclose(back[1], M, atol=1e-12)


def test_two_steps_are_one_of_their_sum():
    S, M = subspaces(), tangents(subspaces())
    for once, twice in zip(
        geodesic(S, M, 0.9), geodesic(*geodesic(S, M, 0.4), 0.5), strict=True
    ):
        np.testing.assert_allclose(once, twice, atol=1e-13)


def test_distance_is_the_length_of_the_direction():
    S, M = subspaces(), tangents(subspaces())
    s = np.linalg.svd(M, compute_uv=False)
    t = 0.5 / s.max()  # all angles stay below a right one
    S_new, _ = geodesic(S, M, t)
    np.testing.assert_allclose(principal_angles(S, S_new), t * s[:, ::-1], rtol=1e-10)


def test_zero_direction_moves_nothing():
    S = subspaces()
    S_new, M_new = geodesic(S, np.zeros_like(S), -0.1)
    np.testing.assert_allclose(S_new, S, rtol=0, atol=1e-15)
    assert not M_new.any()


def test_direction_of_low_rank_turns_only_what_it_moves():
    S = subspaces(stack=())
    M = np.outer(tangents(S)[:, 0], [1.0, 0.0, 0.0])
    S_new, _ = geodesic(S, M, -0.2)
    np.testing.assert_allclose(S_new[:, 1:], S[:, 1:], atol=1e-14)
    np.testing.assert_allclose(S_new.T @ S_new, np.eye(K), atol=1e-14)


def test_one_dimension_is_a_great_circle():
    S = subspaces(k=1, stack=())
    m = tangents(S)
    size = np.linalg.norm(m)
    S_new, _ = geodesic(S, m, -0.4)
    expected = S * np.cos(0.4 * size) - m / size * np.sin(0.4 * size)
    np.testing.assert_allclose(S_new, expected, atol=1e-14)


@pytest.mark.parametrize(("t", "message"), [(1e5, "10000"), (np.nan, "finite")])
def test_angles_without_meaning_are_refused(t, message):
    S = np.eye(4, 2)
    M = np.eye(4, 2, k=-2) * (t if np.isnan(t) else 1.0)
    with pytest.raises(FloatingPointError, match=message):
        geodesic(S, M, 1.0 if np.isnan(t) else -t)


def test_leading_axes_are_independent():
    S = subspaces(stack=(2, 3))
    M = tangents(S)
    S_new, M_new = geodesic(S, M, -0.3)
    one = geodesic(S[1, 2], M[1, 2], -0.3)
    np.testing.assert_allclose(S_new[1, 2], one[0], atol=1e-14)
    np.testing.assert_allclose(M_new[1, 2], one[1], atol=1e-14)


def test_steps_up_the_mean_square_projection_reach_the_first_eigenvectors():
    # max tr S^T A S over the subspaces is solved by an eigenvalue decomposition.
    rng = np.random.default_rng(3)
    X = rng.standard_normal((200, N)) * np.geomspace(3, 1, N)
    weight = rng.uniform(0.1, 1, 200)
    A = (X.T * weight) @ X / weight.sum()
    S, M = subspaces(stack=()), 0.0
    for _ in range(400):
        M = 0.8 * M + project_tangent(S, -2 * A @ S)
        S, M = geodesic(S, M, -0.05)
        S = polar_step(S)
        np.testing.assert_allclose(S.T @ M, 0.0, atol=1e-12)
    values, vectors = np.linalg.eigh(A)
    assert np.trace(S.T @ A @ S) == pytest.approx(values[-K:].sum(), rel=1e-12)
    np.testing.assert_allclose(subspace_angles(S, vectors[:, -K:]), 0.0, atol=1e-6)


# -- orthonormal bases -----------------------------------------------------------------


@pytest.mark.parametrize("size", [1e-4, 1e-2])
def test_polar_step_keeps_subspaces_and_signs(size):
    S = subspaces()
    noise = np.random.default_rng(4).standard_normal((*STACK, K, K))
    off = S @ (np.eye(K) + size * noise)
    fixed = polar_step(off)
    assert orthonormality_error(fixed) < K * orthonormality_error(off) ** 2
    np.testing.assert_allclose(projector(fixed), projector(S), atol=10 * size**2)
    np.testing.assert_allclose(fixed, S, atol=5 * size)  # no column turned round


def test_polar_step_is_towards_the_polar_factor():
    off = subspaces(stack=()) @ (
        np.eye(K) + 1e-4 * np.random.default_rng(5).standard_normal((K, K))
    )
    U, _, Vt = np.linalg.svd(off, full_matrices=False)
    np.testing.assert_allclose(polar_step(off), U @ Vt, atol=1e-7)
    assert np.abs(off - U @ Vt).max() > 1e-5


def test_polar_step_refuses_what_is_not_finite():
    S = subspaces()
    S[0, 0, 0] = np.nan
    with pytest.raises(FloatingPointError, match="not finite"):
        polar_step(S)


def test_orthonormalize_keeps_subspaces_and_signs():
    S = subspaces()
    R = np.triu(np.random.default_rng(6).uniform(0.5, 2, (K, K)))
    np.testing.assert_allclose(orthonormalize(S @ R), S, atol=1e-13)


def test_a_thousand_steps_in_single_precision_stay_orthonormal_and_tangent():
    rng = np.random.default_rng(7)
    S, M = subspaces(n=20, k=4).astype(np.float32), 0.0
    for _ in range(1000):
        D = rng.standard_normal(S.shape).astype(np.float32)
        M = np.float32(0.9) * M + project_tangent(S, D)
        S, M = geodesic(S, M, -0.05)
        S = polar_step(S)
    assert S.dtype == M.dtype == np.float32
    assert orthonormality_error(S) < 1e-5
    assert np.abs(S.mT @ M).max() < 1e-3 * np.abs(M).max()


# -- angles ----------------------------------------------------------------------------


def test_principal_angles_are_those_of_scipy():
    A, B = subspaces(0), subspaces(1)
    expected = [subspace_angles(a, b)[::-1] for a, b in zip(A, B)]
    np.testing.assert_allclose(principal_angles(A, B), expected, rtol=1e-12)


@pytest.mark.parametrize("angle", [1e-12, 1e-3, 0.8, 1.5])
def test_small_angles_are_as_accurate_as_large_ones(angle):
    S = subspaces(stack=(), k=2)
    M = tangents(S)
    U = np.linalg.qr(M)[0]
    turned = np.column_stack(
        [
            S[:, 0] * np.cos(angle) + U[:, 0] * np.sin(angle),
            S[:, 1] * np.cos(1.2) + U[:, 1] * np.sin(1.2),
        ]
    )
    np.testing.assert_allclose(
        principal_angles(S, turned), sorted([angle, 1.2]), rtol=1e-3, atol=1e-15
    )


def test_angles_of_one_with_many_broadcast():
    A, B = subspaces(stack=()), subspaces(seed=2)
    B[0] = A  # a close pair among others
    angles = principal_angles(A, B)
    assert angles.shape == (*STACK, K)
    np.testing.assert_allclose(angles[0], 0.0, atol=1e-14)
    np.testing.assert_allclose(angles[3], principal_angles(A, B[3]), atol=1e-14)
