"""Block-Toeplitz covariances in the Siegel disk against definitions, closed forms."""

import warnings

import numpy as np
import pytest
from scipy import linalg, optimize
from scipy.signal import butter, sosfiltfilt
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import check_estimator

from sklogit.covariance import AugmentedMDM, augmented_covariance, riemannian_distances
from sklogit.covariance import _siegel as module
from sklogit.covariance._siegel import (
    SiegelMDM,
    _LocalModel,
    block_toeplitz,
    disk_automorphism,
    reflection_coefficients,
    siegel_distance,
    siegel_mean,
)
from sklogit.datasets import make_bci_epochs


def contractions(*shape, radius=1.0, seed=0):
    """Random matrices with hyperbolic singular values up to `radius`."""
    A = np.random.default_rng([*shape, seed]).standard_normal(shape)
    U, s, Vt = np.linalg.svd(A)
    theta = radius * s / s.max(initial=1e-9)
    return (U * np.tanh(theta)[..., np.newaxis, :]) @ Vt


def spd(n, c, seed=0):
    A = np.random.default_rng([n, c, seed]).standard_normal((n, c, 2 * c))
    return A @ A.mT / (2 * c)


def pairs(n, order, c, radius=1.0, seed=0):
    return spd(n, c, seed), contractions(n, order - 1, c, c, radius=radius, seed=seed)


def rotation(c, seed=0):
    A = np.random.default_rng([c, seed]).standard_normal((c, c))
    return np.linalg.qr(A)[0]


def power(M, exponent):
    values, vectors = np.linalg.eigh(M)
    return (vectors * values**exponent) @ vectors.T


def toeplitz_covariances(order=4, lag=2, estimator="oas", n_channels=3, n_epochs=8):
    X = np.random.default_rng(0).standard_normal((n_epochs, n_channels, 150))
    X[..., 1:] += 0.6 * X[..., :-1]
    X[:, 0, 2:] -= 0.7 * X[:, -1, :-2]
    return augmented_covariance(X, order, lag, estimator, structure="toeplitz")


def one_pair(coefficient):
    """P0 = 1 and one coefficient, of 1 x 1 or c x c matrices."""
    coefficient = np.atleast_2d(coefficient)
    return np.eye(len(coefficient))[np.newaxis], coefficient[np.newaxis, np.newaxis]


def disk_distance(A, B):
    return siegel_distance(one_pair(A), one_pair(B))[0, 0]


def moved_to_zero(Omega, P):
    """The textbook automorphism, with the roots on the other sides."""
    eye = np.eye(len(P))
    return (
        power(eye - P @ P.T, -0.5)
        @ (Omega - P)
        @ linalg.inv(eye - P.T @ Omega)
        @ power(eye - P.T @ P, 0.5)
    )


# Coefficients


@pytest.mark.parametrize("estimator", ["cov", "scm", "oas", "lwf", "corr"])
def test_coefficients_equal_their_definition_by_inverses(estimator):
    order, c = 5, 3
    C = toeplitz_covariances(order, 2, estimator, c)
    P0, Omega = reflection_coefficients(C, order)
    np.testing.assert_allclose(P0, C[:, :c, :c], rtol=1e-14)
    for matrix, coefficients in zip(C, Omega, strict=True):
        for l in range(order - 1):  # noqa: E741
            # x(t), the samples between, x(t + l + 1)
            first, last = slice(0, c), slice((l + 1) * c, (l + 2) * c)
            between = slice(c, (l + 1) * c)
            inverse = np.linalg.inv(matrix[between, between])
            L, D, K = (
                matrix[a, b] - matrix[a, between] @ inverse @ matrix[between, b]
                for a, b in ((first, first), (first, last), (last, last))
            )
            expected = power(L, -0.5) @ D @ power(K, -0.5)
            np.testing.assert_allclose(coefficients[l], expected, atol=1e-12)


@pytest.mark.parametrize(("order", "c"), [(1, 3), (2, 1), (4, 2), (6, 5)])
def test_coefficients_are_contractions_and_give_the_determinant(order, c):
    C = toeplitz_covariances(order, 1, n_channels=c)
    P0, Omega = reflection_coefficients(C, order)
    assert Omega.shape == (len(C), order - 1, c, c)
    logdet = order * np.linalg.slogdet(P0)[1]
    if order > 1:
        assert (np.linalg.norm(Omega, 2, axis=(2, 3)) < 1).all()
        gaps = np.linalg.slogdet(np.eye(c) - Omega @ Omega.mT)[1]
        logdet = logdet + gaps @ np.arange(order - 1, 0, -1)
    np.testing.assert_allclose(np.linalg.slogdet(C)[1], logdet, rtol=1e-12)


def test_first_block_rows_suffice():
    C = toeplitz_covariances(4)
    for expected, found in zip(
        reflection_coefficients(C, 4), reflection_coefficients(C[:, :3], 4), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_coefficients_of_an_autoregression_vanish_after_its_order():
    A, c = 0.8 * rotation(3), 3
    gamma0 = linalg.solve_discrete_lyapunov(A, np.eye(c))
    # R_k = E[x(t) x(t + k)^T] = Gamma (A^T)^k
    row = np.hstack([gamma0 @ np.linalg.matrix_power(A.T, k) for k in range(5)])
    _, Omega = reflection_coefficients(row[np.newaxis], 5)
    assert np.linalg.norm(Omega[0, 0], 2) > 0.5
    np.testing.assert_allclose(Omega[0, 1:], 0, atol=1e-12)


def test_scalar_coefficients_are_the_partial_autocorrelations():
    r = np.array([1.0, 0.7, 0.3, 0.1, -0.1])
    _, Omega = reflection_coefficients(r.reshape(1, 1, -1), 5)
    # The last coefficient of the Yule-Walker equations of each order.
    expected = [linalg.solve_toeplitz(r[:k], r[1 : k + 1])[-1] for k in range(1, 5)]
    np.testing.assert_allclose(Omega.ravel(), expected, rtol=1e-12)


@pytest.mark.parametrize(("order", "c"), [(1, 2), (2, 3), (5, 1), (6, 4)])
def test_round_trip_from_coefficients(order, c):
    P0, Omega = pairs(7, order, c, radius=1.5)
    C = block_toeplitz(P0, Omega)
    assert (np.linalg.eigvalsh(C) > 0).all()
    np.testing.assert_array_equal(C, C.mT)
    for expected, found in zip(
        (P0, Omega), reflection_coefficients(C, order), strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=1e-9)


def test_round_trip_from_covariances():
    C = toeplitz_covariances(5)
    found = block_toeplitz(*reflection_coefficients(C, 5))
    np.testing.assert_allclose(found, C, atol=1e-13 * np.abs(C).max())


def test_rotation_of_the_channels_rotates_the_coefficients():
    C, Q = toeplitz_covariances(4), rotation(3)
    big = np.kron(np.eye(4), Q)
    P0, Omega = reflection_coefficients(C, 4)
    rotated = reflection_coefficients(big @ C @ big.T, 4)
    np.testing.assert_allclose(rotated[0], Q @ P0 @ Q.T, atol=1e-12)
    np.testing.assert_allclose(rotated[1], Q @ Omega @ Q.T, atol=1e-12)


def test_nearly_predictable_signals_give_contractions_or_an_error():
    noise = np.random.default_rng(0).standard_normal((10, 4, 400))
    X = sosfiltfilt(butter(4, [8, 32], "bandpass", fs=250, output="sos"), noise)
    for order in (4, 6):
        C = augmented_covariance(X, order, 1, "scm", structure="toeplitz")
        P0, Omega = reflection_coefficients(C, order)
        assert (np.linalg.norm(Omega, 2, axis=(2, 3)) < 1).all()
        np.testing.assert_allclose(
            block_toeplitz(P0, Omega), C, atol=1e-10 * np.abs(C).max()
        )
    wave = np.cos(0.3 * np.arange(8))
    with pytest.raises(ValueError, match="estimator='oas'"):
        reflection_coefficients(linalg.toeplitz(wave)[np.newaxis], 8)


def not_toeplitz(C):
    C[2, 3:6, 3:6] *= 1.1


def not_symmetric(C):
    C[2, 0, 7] += 1.0


def not_definite(C):
    C[2] -= 0.5 * np.trace(C[2]) * np.eye(len(C[2]))


def not_finite(C):
    C[2, 0, 0] = np.nan


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (not_toeplitz, "block Toeplitz.*matrix 2"),
        (not_symmetric, "symmetric.*matrix 2"),
        (not_definite, "positive definite"),
        (not_finite, "NaN"),
    ],
)
def test_bad_matrices_are_refused(change, message):
    C = toeplitz_covariances(4)
    change(C)
    with pytest.raises(ValueError, match=message):
        reflection_coefficients(C, 4)


@pytest.mark.parametrize(
    ("shape", "order", "message"),
    [
        ((2, 6, 6), 4, r"order|\(2, 6, 6\)"),
        ((2, 2, 8), 2, r"\(2, 2, 8\)"),
        ((6, 6), 2, r"\(6, 6\)"),
        ((2, 6, 6), 0, "order must be an integer >= 1, found 0"),
        ((2, 6, 6), 2.0, "order must be an integer"),
    ],
)
def test_shape_that_does_not_fit_the_order_is_refused(shape, order, message):
    with pytest.raises(ValueError, match=message):
        reflection_coefficients(np.ones(shape), order)


def test_inverse_map_refuses_what_is_no_pair():
    P0, Omega = pairs(3, 3, 2)
    with pytest.raises(ValueError, match="below 1"):
        block_toeplitz(P0, 1.1 * Omega / np.tanh(1.0))
    with pytest.raises(ValueError, match="P0 must be positive definite"):
        block_toeplitz(-P0, Omega)
    with pytest.raises(ValueError, match=r"shapes.*\(2, 2, 2\)"):
        block_toeplitz(P0[:2], Omega)
    with pytest.raises(ValueError, match="shapes"):
        block_toeplitz(P0, Omega[:, 0])


# Automorphisms and distances


@pytest.mark.parametrize("c", [1, 2, 5])
def test_automorphism_equals_the_textbook_form_and_has_its_inverse(c):
    Omega, P = contractions(c, c, seed=1), contractions(c, c, seed=2)
    moved = disk_automorphism(Omega, P)
    np.testing.assert_allclose(moved, moved_to_zero(Omega, P), atol=1e-13)
    np.testing.assert_allclose(disk_automorphism(moved, -P), Omega, atol=1e-13)
    np.testing.assert_allclose(disk_automorphism(P, P), 0)


def test_distance_equals_the_sum_of_its_definition():
    order, c = 4, 3
    A, B = pairs(5, order, c, seed=1), pairs(2, order, c, seed=2)
    found = siegel_distance(A, B)
    assert found.shape == (5, 2)
    eye = np.eye(c)
    for i in range(5):
        for k in range(2):
            values = linalg.eigvalsh(A[0][i], B[0][k])
            total = order * np.sum(np.log(values) ** 2)
            for lag in range(order - 1):
                psi, om = A[1][i, lag], B[1][k, lag]
                right = linalg.inv(eye - om.T @ psi) @ (psi - om).T
                cross = (psi - om) @ right @ linalg.inv(eye - om @ psi.T)
                s = np.sqrt(np.linalg.eigvals(cross).real)
                total += (order - 1 - lag) * np.sum(np.arctanh(s) ** 2)
            np.testing.assert_allclose(found[i, k], np.sqrt(total), rtol=1e-12)


def test_order_one_is_the_affine_invariant_distance():
    A, B = spd(4, 3, seed=1), spd(2, 3, seed=2)
    found = siegel_distance((A, np.empty((4, 0, 3, 3))), (B, np.empty((2, 0, 3, 3))))
    np.testing.assert_allclose(found, riemannian_distances(A, B), rtol=1e-14)


def test_distance_is_symmetric_zero_at_itself_and_obeys_the_triangle_inequality():
    A = pairs(6, 4, 3)
    d = siegel_distance(A, A)
    np.testing.assert_allclose(d, d.T, atol=1e-7)
    np.testing.assert_allclose(np.diag(d), 0, atol=1e-7)
    assert (d[~np.eye(6, dtype=bool)] > 0.1).all()
    assert (d[:, :, np.newaxis] <= d[:, np.newaxis] + d.T[np.newaxis] + 1e-12).all()


def test_distance_near_zero_keeps_its_digits():
    P = contractions(3, 3)
    shift = 1e-9 * rotation(3)
    # At 0 the metric is that of Frobenius.
    near = disk_automorphism(shift, -P)
    np.testing.assert_allclose(disk_distance(near, P), np.sqrt(3) * 1e-9, rtol=1e-5)


@pytest.mark.parametrize("radius", [0.1, 1.0, 3.0])
def test_disk_distance_is_invariant_under_isometries(radius):
    A = contractions(3, 3, radius=radius, seed=1)
    B = contractions(3, 3, radius=radius, seed=2)
    expected = disk_distance(A, B)
    U, V = rotation(3, seed=1), rotation(3, seed=2)
    np.testing.assert_allclose(disk_distance(U @ A @ V, U @ B @ V), expected)
    np.testing.assert_allclose(disk_distance(A.T, B.T), expected)
    P = contractions(3, 3, seed=3)
    A, B = moved_to_zero(A, P), moved_to_zero(B, P)
    np.testing.assert_allclose(disk_distance(A, B), expected, rtol=1e-9)


@pytest.mark.parametrize(("a", "b"), [(0.3, -0.5), (0.0, 0.9), (-0.99, 0.999)])
def test_scalar_distance_is_that_of_poincare(a, b):
    expected = np.arctanh(abs((a - b) / (1 - a * b)))
    np.testing.assert_allclose(disk_distance(a, b), expected, rtol=1e-11)


def test_complex_numbers_as_matrices_have_the_distance_of_poincare():
    a, b = 0.3 + 0.6j, -0.5 + 0.2j
    A, B = (np.array([[z.real, -z.imag], [z.imag, z.real]]) for z in (a, b))
    expected = np.sqrt(2) * np.arctanh(abs((a - b) / (1 - np.conj(b) * a)))
    np.testing.assert_allclose(disk_distance(A, B), expected, rtol=1e-13)


def test_distance_close_to_the_boundary():
    # 1 - tanh(9)^2 is 6e-8, which leaves half of the digits.
    U, V = rotation(3, 1), rotation(3, 2)
    A, B = ((U * np.tanh(t)) @ V for t in ([9.0, 1.0, 0.0], [8.0, 3.0, 0.5]))
    np.testing.assert_allclose(disk_distance(A, B), np.sqrt(1 + 4 + 0.25), rtol=1e-6)


def test_distance_refuses_pairs_of_different_orders():
    with pytest.raises(ValueError, match="same order"):
        siegel_distance(pairs(3, 4, 2), pairs(2, 3, 2))


# The mean


def cost(Omega, M, weight):
    distances = [disk_distance(A, M) for A in Omega]
    return 0.5 * np.dot(weight, np.square(distances))


@pytest.mark.parametrize("radius", [0.3, 1.0, 3.0])
def test_cost_is_stationary_at_the_mean(radius):
    Omega = contractions(6, 3, 3, radius=radius)
    weight = np.arange(1.0, 7.0) / 21
    M = siegel_mean(Omega, weight, tol=1e-10)
    step = 1e-4
    gradient = np.empty((3, 3))
    for i, j in np.ndindex(3, 3):
        E = np.zeros((3, 3))
        E[i, j] = step
        # Steps of the same hyperbolic length in all directions.
        above, below = disk_automorphism(E, -M), disk_automorphism(-E, -M)
        difference = cost(Omega, above, weight) - cost(Omega, below, weight)
        gradient[i, j] = difference / (2 * step)
    assert np.linalg.norm(gradient) < 1e-7


@pytest.mark.parametrize(("c", "radius"), [(1, 1.0), (2, 0.5), (4, 3.0)])
def test_gradient_at_the_mean_is_below_the_tolerance(c, radius):
    Omega = contractions(9, c, c, radius=radius)
    M = siegel_mean(Omega, tol=1e-9)
    logs = []
    for A in Omega:
        U, s, Vt = np.linalg.svd(moved_to_zero(A, M))
        logs.append((U * np.arctanh(s)) @ Vt)
    assert np.linalg.norm(np.mean(logs, axis=0)) < 1e-9


def test_hessian_is_the_derivative_of_the_gradient():
    Omega, weight = contractions(5, 3, 3, radius=2.0), np.full(5, 0.2)
    X = np.random.default_rng(0).standard_normal((3, 3))

    def slope(E, t):
        """Derivative at t of the cost along the geodesic from 0 towards E."""
        ends = []
        for s in (t - 1e-3, t, t + 1e-3):
            U, theta, Vt = np.linalg.svd(s * E)
            ends.append(cost(Omega, (U * np.tanh(theta)) @ Vt, weight))
        return (ends[0] - 2 * ends[1] + ends[2]) / 1e-6

    model = _LocalModel(Omega, weight, np.zeros((3, 3)))
    step = model.newton_step(accuracy=1e-12, max_iter=100)
    # H step = gradient determines the quadratic form along the step itself.
    expected = np.sum(step * model.gradient)
    np.testing.assert_allclose(slope(step, 0.0), expected, rtol=1e-4)
    # And any X is the step of the gradient H X, by linearity of the solve.
    model.gradient = X
    np.testing.assert_allclose(
        slope(model.newton_step(1e-12, 100), 0.0),
        np.sum(model.newton_step(1e-12, 100) * X),
        rtol=1e-4,
    )


def test_scalar_mean_equals_the_brute_force_minimum():
    values = np.array([0.9, -0.3, 0.2, 0.99])
    weight = np.array([0.1, 0.4, 0.3, 0.2])

    def objective(m):
        return weight @ np.arctanh((values - m) / (1 - values * m)) ** 2

    found = siegel_mean(values.reshape(-1, 1, 1), weight)[0, 0]
    brute = optimize.minimize_scalar(
        objective, bounds=(-0.999, 0.999), method="bounded", options={"xatol": 1e-10}
    )
    np.testing.assert_allclose(found, brute.x, atol=1e-7)


def test_mean_of_complex_numbers_equals_the_brute_force_minimum():
    z = np.array([0.8 + 0.1j, -0.3 + 0.7j, 0.2 - 0.9j, 0.5 + 0.5j])

    def objective(m):
        m = complex(*m)
        return np.sum(np.arctanh(np.abs((z - m) / (1 - np.conj(m) * z))) ** 2)

    brute = optimize.minimize(objective, [0.0, 0.0], tol=1e-14, method="Nelder-Mead").x
    blocks = np.array([[z.real, -z.imag], [z.imag, z.real]]).transpose(2, 0, 1)
    M = siegel_mean(blocks)
    np.testing.assert_allclose(M[:, 0], brute, atol=1e-6)
    np.testing.assert_allclose(M[:, 1], [-brute[1], brute[0]], atol=1e-6)


def test_mean_of_matrices_with_common_singular_vectors():
    theta = np.random.default_rng(0).normal(size=(7, 4))
    U, V = rotation(4, 1), rotation(4, 2)
    M = siegel_mean((U * np.tanh(theta)[:, np.newaxis]) @ V)
    expected = (U * np.tanh(theta.mean(axis=0))) @ V
    np.testing.assert_allclose(M, expected, atol=1e-9)


def test_mean_of_two_is_the_midpoint():
    A, B = contractions(2, 3, 3, radius=2.0)
    M = siegel_mean([A, B])
    half = disk_distance(A, B) / 2
    np.testing.assert_allclose([disk_distance(A, M), disk_distance(B, M)], half)


def test_mean_moves_with_isometries():
    Omega, P = contractions(6, 3, 3), contractions(3, 3, seed=1)
    U, V = rotation(3, 1), rotation(3, 2)
    moved = np.array([U @ moved_to_zero(A, P) @ V for A in Omega])
    expected = U @ moved_to_zero(siegel_mean(Omega), P) @ V
    np.testing.assert_allclose(siegel_mean(moved), expected, atol=1e-8)


def test_integer_weights_of_the_mean_equal_replication():
    Omega, weight = contractions(4, 3, 3), np.array([1, 0, 3, 2])
    replicated = np.repeat(Omega, weight, axis=0)
    np.testing.assert_allclose(
        siegel_mean(Omega, weight), siegel_mean(replicated), atol=1e-9
    )


def test_mean_of_one_is_itself():
    Omega = contractions(1, 3, 3, radius=3.0)
    np.testing.assert_allclose(siegel_mean(Omega), Omega[0], atol=1e-14)


@pytest.mark.parametrize("radius", [0.1, 1.0, 4.0, 8.0])
@pytest.mark.parametrize("c", [1, 3, 8])
def test_a_few_iterations_suffice(radius, c):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, info = siegel_mean(
            contractions(20, c, c, radius=radius), return_info=True, tol=1e-8
        )
    assert info.converged
    assert info.n_iter == len(info.gradient_norms) <= 8


def test_unreachable_tolerance_ends_at_the_floor_of_rounding():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, info = siegel_mean(contractions(9, 3, 3), tol=1e-300, return_info=True)
    assert info.converged
    assert info.n_iter < 15


def test_too_few_iterations_warn():
    Omega = contractions(3, 4, 4, radius=6.0)
    with pytest.warns(ConvergenceWarning, match="siegel_mean did not converge"):
        siegel_mean(Omega, max_iter=1)


@pytest.mark.parametrize(
    ("Omega", "message"),
    [
        (np.eye(2)[np.newaxis], "below 1"),
        (1.5 * np.eye(2)[np.newaxis], r"1 \+ 0.5"),
        (np.zeros((3, 2)), "square"),
        (np.full((1, 2, 2), np.nan), "NaN"),
    ],
)
def test_mean_refuses_what_is_outside_the_disk(Omega, message):
    with pytest.raises(ValueError, match=message):
        siegel_mean(Omega)


# SiegelMDM


@pytest.fixture(scope="module")
def two_classes():
    return make_bci_epochs(60, 4, 300, random_state=0)


TRAIN, TEST = slice(0, 40), slice(40, 60)


def test_distances_are_those_of_the_parts(two_classes):
    X, y = two_classes
    clf = SiegelMDM(3, 2).fit(X[TRAIN], y[TRAIN])
    C = augmented_covariance(X, 3, 2, "oas", structure="toeplitz")
    P0, Omega = reflection_coefficients(C, 3)
    for k in range(2):
        rows = np.flatnonzero(y[TRAIN] == k)
        for lag in range(2):
            np.testing.assert_allclose(
                clf.mean_coefficients_[k, lag], siegel_mean(Omega[rows, lag])
            )
    expected = siegel_distance(
        (P0[TEST], Omega[TEST]), (clf.mean_covariances_, clf.mean_coefficients_)
    )
    np.testing.assert_allclose(clf.transform(X[TEST]), expected, rtol=1e-12)
    np.testing.assert_array_equal(clf.predict(X[TEST]), expected.argmin(axis=1))
    odds = np.log(clf.predict_proba(X[TEST]))
    np.testing.assert_allclose(
        odds[:, 1] - odds[:, 0], expected[:, 0] ** 2 - expected[:, 1] ** 2
    )


def test_classifier_of_order_one_is_augmented_mdm(two_classes):
    X, y = two_classes
    siegel = SiegelMDM(order=1).fit(X, y)
    other = AugmentedMDM(order=1, structure="toeplitz").fit(X, y)
    np.testing.assert_allclose(siegel.transform(X), other.transform(X), rtol=1e-9)
    assert siegel.mean_coefficients_.shape == (2, 0, 4, 4)


def test_time_structure_tells_apart_what_covariance_does_not(two_classes):
    X, y = two_classes
    scores = [
        SiegelMDM(order, 2).fit(X[TRAIN], y[TRAIN]).score(X[TEST], y[TEST])
        for order in (1, 4)
    ]
    assert scores[0] < 0.7
    assert scores[1] > 0.85


def test_decisions_do_not_depend_on_a_rotation_of_the_channels(two_classes):
    X, y = two_classes
    rotated = rotation(4) @ X
    np.testing.assert_allclose(
        SiegelMDM(3, 2).fit(X, y).transform(X),
        SiegelMDM(3, 2).fit(rotated, y).transform(rotated),
        rtol=1e-8,
    )


def test_weights_of_epochs_equal_replication(two_classes):
    X, y = two_classes
    weight = np.arange(60) % 3
    weighted = SiegelMDM(3, 2).fit(X, y, sample_weight=weight)
    replicated = SiegelMDM(3, 2).fit(np.repeat(X, weight, 0), np.repeat(y, weight))
    np.testing.assert_allclose(
        weighted.transform(X), replicated.transform(X), rtol=1e-7
    )


def test_labels_may_be_strings_of_three_classes():
    X, y = make_bci_epochs(60, 3, 200, freqs=(8, 12, 17), random_state=0)
    y = np.array(["left", "right", "feet"])[y]
    clf = SiegelMDM(3, 3, n_jobs=2).fit(X, y)
    assert list(clf.classes_) == ["feet", "left", "right"]
    assert clf.transform(X).shape == (60, 3)
    assert clf.score(X, y) > 0.8


def test_float32_epochs_give_the_same_distances(two_classes):
    X, y = two_classes
    low = X.astype(np.float32)
    np.testing.assert_allclose(
        SiegelMDM(3, 2).fit(low, y).transform(low),
        SiegelMDM(3, 2).fit(X, y).transform(X),
        rtol=1e-3,
    )


def test_interrupted_refit_keeps_the_earlier_fit(two_classes, monkeypatch):
    X, y = two_classes
    clf = SiegelMDM(2, 2).fit(X, y)
    before = clf.transform(X)

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "siegel_mean", interrupt)
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X[:, :2], y)
    np.testing.assert_array_equal(clf.transform(X), before)


def test_estimators_without_block_toeplitz_form_are_refused(two_classes):
    with pytest.raises(ValueError, match="estimator"):
        SiegelMDM(estimator="mcd").fit(*two_classes)


def test_flat_channel_is_refused_without_shrinkage(two_classes):
    X, y = two_classes
    X = X.copy()
    X[3, 0] = 1.0
    with pytest.raises(ValueError, match=r"positive definite.*estimator='oas'"):
        SiegelMDM(3, 2, estimator="scm").fit(X, y)
    SiegelMDM(3, 2).fit(X, y)


class TwoDSiegelMDM(SiegelMDM):
    """Takes the tables of scikit-learn's checks as epochs of one channel."""

    def __init__(self, order=1, lag=1, estimator="oas"):
        super().__init__(order, lag, estimator)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        # The variance of a row of unrelated features tells little about its class.
        tags.classifier_tags.poor_score = True
        return tags


@pytest.mark.filterwarnings("ignore")
def test_checks_of_scikit_learn_pass_on_two_d_epochs():
    results = check_estimator(TwoDSiegelMDM(), on_skip=None, on_fail=None)
    failed = [r for r in results if r["status"] == "failed"]
    # Some of their tables have a constant row: an epoch without any variance.
    for result in failed:
        reasons = f"{result['exception']} {result['exception'].__context__}"
        assert "eigenvalues from 0 to 0" in reasons, result["check_name"]
    assert len(failed) < 8 < len(results)
