"""Means of SPD matrices against pyRiemann, closed forms and derivatives."""

import warnings

import numpy as np
import pytest
from pyriemann.geometry.distance import distance_riemann
from pyriemann.geometry.geodesic import geodesic_riemann
from pyriemann.geometry.mean import mean_kullback_sym, mean_logeuclid, mean_riemann
from scipy import linalg
from scipy.signal import butter, sosfiltfilt
from sklearn.exceptions import ConvergenceWarning

from sklogit.covariance import _mean as module
from sklogit.covariance import (
    arithmetic_harmonic_mean,
    augmented_covariance,
    log_euclidean_mean,
    riemannian_mean,
)
from sklogit.covariance._mean import (
    _LocalModel,
    check_spd,
    normalized_weight,
    spd_function,
    symmetrize,
)
from sklogit.covariance._threads import threads_over_matrices


def random_spd(n, d, dispersion=1.0, seed=0):
    """Exponentials of random symmetric matrices of the given norm, (n, d, d)."""
    A = np.random.default_rng([n, d, seed]).standard_normal((n, d, d))
    A = A + A.transpose(0, 2, 1)
    A *= dispersion / np.linalg.norm(A, axis=(1, 2), keepdims=True)
    C = np.stack([linalg.expm(a) for a in A])
    return (C + C.transpose(0, 2, 1)) / 2


def rooted(M, power):
    values, vectors = np.linalg.eigh(M)
    return (vectors * values**power) @ vectors.T


def gradient_norm(C, M, weight=None):
    """Norm at M of the gradient of half the mean squared distance.

    From generalised eigenvectors, so that nothing is whitened: with C V = M V diag(l)
    and V^T M V = I, the gradient is minus the mean of M V diag(log l) V^T M.
    """
    parts = []
    for c in C:
        values, V = linalg.eigh(c, M)
        parts.append((V * np.log(values)) @ V.T)
    J = np.average(parts, axis=0, weights=weight) @ M
    return np.sqrt(np.trace(J @ J))


def band_passed(order, n_epochs=20, n_channels=6, seed=0):
    """Augmented covariances of band-passed noise: nearly predictable signals."""
    noise = np.random.default_rng(seed).standard_normal((n_epochs, n_channels, 1000))
    mixing = np.random.default_rng(seed + 1).standard_normal((n_channels, n_channels))
    sos = butter(4, [8, 32], "bandpass", fs=250, output="sos")
    return augmented_covariance(mixing @ sosfiltfilt(sos, noise), order, 1)


# Against references


@pytest.mark.parametrize("dispersion", [0.1, 1.0, 4.0])
@pytest.mark.parametrize(("n", "d"), [(1, 3), (2, 1), (7, 4), (40, 10)])
@pytest.mark.parametrize("init", ["ahm", "euclid"])
def test_mean_equals_pyriemann(n, d, dispersion, init):
    C = random_spd(n, d, dispersion)
    expected = mean_riemann(C, tol=1e-12, maxiter=500)
    assert distance_riemann(riemannian_mean(C, init=init), expected) < 1e-7


@pytest.mark.parametrize("dispersion", [0.5, 5.0])
def test_mean_of_two_matrices_is_the_midpoint_of_their_geodesic(dispersion):
    A, B = random_spd(2, 6, dispersion)
    found = riemannian_mean([A, B])
    assert distance_riemann(found, geodesic_riemann(A, B, 0.5)) < 1e-7
    found = riemannian_mean([A, B], [3.0, 1.0])
    assert distance_riemann(found, geodesic_riemann(A, B, 0.25)) < 1e-7


def test_mean_of_commuting_matrices_is_the_exponential_of_the_mean_logarithm():
    rng = np.random.default_rng(0)
    Q = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    logs = rng.standard_normal((9, 5))
    weight = rng.uniform(1, 2, 9)
    C = symmetrize((Q * np.exp(logs)[:, None, :]) @ Q.T)
    expected = (Q * np.exp(np.average(logs, axis=0, weights=weight))) @ Q.T
    np.testing.assert_allclose(riemannian_mean(C, weight), expected, atol=1e-8)


def test_mean_of_equal_matrices_is_that_matrix():
    C = random_spd(1, 4)
    M, info = riemannian_mean(np.repeat(C, 5, axis=0), return_info=True)
    np.testing.assert_allclose(M, C[0], rtol=1e-12)
    assert info.n_iter == 1


# What a mean obeys


@pytest.mark.parametrize(
    "mean", [riemannian_mean, mean_riemann], ids=["ours", "pyriemann"]
)
def test_weights_equal_replication(mean):
    C = random_spd(4, 5, 2.0)
    repeated = np.repeat(C, [1, 3, 2, 1], axis=0)
    found = riemannian_mean(C, [0.5, 1.5, 1.0, 0.5])
    assert distance_riemann(found, mean(repeated)) < 1e-7


def test_zero_weight_equals_removal():
    C = random_spd(5, 4, 2.0)
    found = riemannian_mean(C, [1.0, 0.0, 2.0, 1.0, 0.0])
    expected = riemannian_mean(C[[0, 2, 3]], [1.0, 2.0, 1.0])
    np.testing.assert_array_equal(found, expected)


def test_zero_weight_costs_no_eigendecomposition(monkeypatch):
    sizes = []

    def count(C, *args):
        sizes.append(len(C))
        return original(C, *args)

    original = module._spectrum
    monkeypatch.setattr(module, "_spectrum", count)
    riemannian_mean(random_spd(5, 4, 2.0), [1.0, 0.0, 2.0, 1.0, 0.0])
    assert set(sizes) == {3}


def test_mean_does_not_depend_on_the_order_of_the_matrices():
    C = random_spd(30, 5, 2.0)
    found = riemannian_mean(C[np.random.default_rng(0).permutation(30)])
    assert distance_riemann(found, riemannian_mean(C)) < 1e-9


@pytest.mark.parametrize("dispersion", [1.0, 4.0])
def test_mean_is_equivariant_to_congruence(dispersion):
    C = random_spd(8, 5, dispersion)
    A = np.random.default_rng(0).standard_normal((5, 5))
    found = riemannian_mean(symmetrize(A @ C @ A.T))
    expected = symmetrize(A @ riemannian_mean(C) @ A.T)
    assert distance_riemann(found, expected) < 1e-7


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_mean_does_not_depend_on_the_unit(scale):
    # Squares of volts are 1e-12 of squares of microvolts.
    C = random_spd(10, 6)
    found, info = riemannian_mean(scale * C, return_info=True)
    expected, expected_info = riemannian_mean(C, return_info=True)
    np.testing.assert_allclose(found / scale, expected, rtol=1e-10)
    assert info.n_iter == expected_info.n_iter


def test_mean_of_the_inverses_is_the_inverse_of_the_mean():
    C = random_spd(10, 5, 3.0)
    found = riemannian_mean(symmetrize(np.linalg.inv(C)))
    assert distance_riemann(found, np.linalg.inv(riemannian_mean(C))) < 1e-7


def test_float32_matrices_have_a_float64_mean():
    C = random_spd(10, 5)
    found = riemannian_mean(C.astype(np.float32))
    assert found.dtype == np.float64
    assert distance_riemann(found, riemannian_mean(C)) < 1e-5


@pytest.mark.parametrize("n", [1, 2, 9])
def test_two_threads_give_the_same_mean(n):
    C = random_spd(n, 6, 2.0)
    found = riemannian_mean(C, n_jobs=2)
    assert distance_riemann(found, riemannian_mean(C)) < 1e-9


def test_matrices_are_not_changed():
    C = random_spd(5, 4)
    before = C.copy()
    riemannian_mean(C, np.ones(5), init=C[0])
    np.testing.assert_array_equal(C, before)


# Convergence


@pytest.mark.parametrize("tol", [1e-2, 1e-5, 1e-8])
@pytest.mark.parametrize("dispersion", [0.01, 0.3, 2.0, 6.0])
@pytest.mark.parametrize(("n", "d"), [(3, 2), (12, 5), (40, 12)])
def test_gradient_at_the_result_is_below_tol(n, d, dispersion, tol):
    for seed, init in enumerate(["ahm", "euclid", np.eye(d)]):
        C = random_spd(n, d, dispersion, seed)
        M, info = riemannian_mean(C, init=init, tol=tol, return_info=True)
        assert info.converged
        assert gradient_norm(C, M) <= tol


@pytest.mark.parametrize("dispersion", [10.0, 14.0])
@pytest.mark.parametrize(("n", "d"), [(2, 2), (3, 2), (5, 3), (10, 6)])
def test_gradient_is_below_tol_where_newton_steps_overshoot(n, d, dispersion):
    # Condition numbers up to 1e12; at these distances the Hessian changes so fast that
    # a full Newton step may go uphill.
    for seed in range(5):
        C = random_spd(n, d, dispersion, seed)
        for init in ("ahm", "euclid", np.eye(d)):
            M = riemannian_mean(C, init=init, tol=1e-4)
            assert gradient_norm(C, M) <= 1e-4


def test_weighted_gradient_is_below_tol():
    C = random_spd(12, 5, 3.0)
    weight = np.random.default_rng(0).uniform(0.1, 5, 12)
    M = riemannian_mean(C, weight, tol=1e-7)
    assert gradient_norm(C, M, weight) <= 1e-7


def test_info_tells_the_iterations_and_their_gradients():
    C = random_spd(12, 5, 3.0)
    start = C.mean(axis=0)
    _, info = riemannian_mean(C, init="euclid", return_info=True)
    assert info.converged
    assert info.n_iter == len(info.gradient_norms)
    expected = gradient_norm(C, start)
    np.testing.assert_allclose(info.gradient_norms[0], expected, rtol=1e-10)
    assert (np.diff(info.gradient_norms) < 0).all()


def test_start_at_the_mean_takes_one_iteration():
    C = random_spd(12, 5, 3.0)
    M = riemannian_mean(C, tol=1e-10)
    again, info = riemannian_mean(C, init=M, return_info=True)
    assert info.n_iter == 1
    np.testing.assert_allclose(again, M, rtol=1e-8)


@pytest.mark.parametrize(("order", "condition"), [(4, 1e6), (8, 1e10)])
def test_ill_conditioned_matrices_stop_early_and_silently_at_the_floor(
    order, condition
):
    C = band_passed(order)
    values = np.linalg.eigvalsh(C)
    assert (values[:, -1] / values[:, 0]).max() > condition
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        M, info = riemannian_mean(C, tol=1e-14, return_info=True)
    assert info.n_iter < 20
    # Rounding of a whitened matrix is eps times the condition, before the logarithm.
    W = rooted(M, -0.5)
    Z = symmetrize(W @ C @ W)
    logs = spd_function(Z, np.log)
    dispersion = np.sqrt(np.mean(np.sum(logs**2, axis=(1, 2))))
    assert np.linalg.norm(logs.mean(axis=0)) < 1e-4 * dispersion


@pytest.mark.parametrize("max_iter", [1, 2])
def test_too_few_iterations_warn_with_the_numbers(max_iter):
    C = random_spd(10, 5, 8.0)
    with pytest.warns(ConvergenceWarning, match="did not converge") as caught:
        _, info = riemannian_mean(
            C, init="euclid", max_iter=max_iter, tol=1e-9, return_info=True
        )
    assert info.n_iter == max_iter
    assert not info.converged
    message = str(caught[0].message)
    assert f"after {max_iter} iterations, tol=1e-09" in message
    assert f"{info.gradient_norms[-1]:.3g}" in message
    assert caught[0].filename == __file__


# The Newton model


def one_thread(function):
    return [function(slice(None))]


def test_gradient_of_the_model_is_the_derivative_of_half_the_mean_squared_distance():
    C = random_spd(6, 4, 2.0)
    weight = np.array([1, 2, 3, 1, 1, 2]) / 10
    F = np.linalg.cholesky(random_spd(1, 4, seed=7)[0])
    model = _LocalModel(C, weight, F, one_thread)

    def objective(P):
        M = F @ linalg.expm(P) @ F.T
        return weight @ distance_riemann(C, M) ** 2 / 2

    rng = np.random.default_rng(0)
    for _ in range(3):
        P = symmetrize(rng.standard_normal((4, 4)))
        step = 1e-5
        derivative = (objective(step * P) - objective(-step * P)) / (2 * step)
        np.testing.assert_allclose(derivative, -np.sum(model.gradient * P), rtol=1e-6)
    expected = np.sqrt(weight @ distance_riemann(C, F @ F.T) ** 2)
    np.testing.assert_allclose(model.dispersion, np.squeeze(expected), rtol=1e-10)


@pytest.mark.parametrize("n_jobs", [None, 2])
@pytest.mark.parametrize("dispersion", [0.5, 6.0])
def test_hessian_of_the_model_is_the_second_derivative(dispersion, n_jobs):
    C = random_spd(6, 4, dispersion)
    weight = np.array([1, 2, 3, 1, 1, 2]) / 10
    F = np.linalg.cholesky(random_spd(1, 4, seed=7)[0])
    with threads_over_matrices(n_jobs, 6, 4) as run:
        model = _LocalModel(C, weight, F, run)
        model.newton_step(0.1)
        _check_second_derivatives(C, weight, F, model)


def _check_second_derivatives(C, weight, F, model):
    def objective(P):
        M = F @ linalg.expm(P) @ F.T
        return weight @ distance_riemann(C, M) ** 2 / 2

    rng = np.random.default_rng(0)
    for _ in range(4):
        P = symmetrize(rng.standard_normal((4, 4)))
        P /= np.linalg.norm(P)
        step = 1e-3
        second = objective(step * P) - 2 * objective(0 * P) + objective(-step * P)
        found = np.sum(P * model._hessian(P))
        np.testing.assert_allclose(found, second / step**2, rtol=1e-4)


def test_newton_step_solves_the_linear_system():
    C = random_spd(10, 6, 4.0)
    F = np.linalg.cholesky(C.mean(axis=0))
    model = _LocalModel(C, np.full(10, 0.1), F, one_thread)
    P = model.newton_step(1e-5)
    residual = model._hessian(P) - model.gradient
    assert np.linalg.norm(residual) < 2e-5 * np.linalg.norm(model.gradient)


# The closed forms


def test_log_euclidean_mean_equals_pyriemann():
    C = random_spd(6, 5, 3.0)
    weight = np.array([1, 2, 3, 1, 1, 2]) / 10
    np.testing.assert_allclose(log_euclidean_mean(C), mean_logeuclid(C), rtol=1e-10)
    expected = mean_logeuclid(C, sample_weight=weight)
    np.testing.assert_allclose(log_euclidean_mean(C, weight), expected, rtol=1e-10)


def test_arithmetic_harmonic_mean_equals_pyriemann():
    C = random_spd(6, 5, 3.0)
    weight = np.array([1, 2, 3, 1, 1, 2]) / 10
    found = arithmetic_harmonic_mean(C)
    np.testing.assert_allclose(found, mean_kullback_sym(C), rtol=1e-10)
    expected = mean_kullback_sym(C, sample_weight=weight)
    found = arithmetic_harmonic_mean(C, weight)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_spd_function_equals_the_matrix_function():
    C = random_spd(3, 4)
    expected = np.stack([linalg.logm(c) for c in C])
    np.testing.assert_allclose(spd_function(C, np.log), expected, atol=1e-12)
    np.testing.assert_allclose(spd_function(C[0], np.log), expected[0], atol=1e-12)


# Bad input


@pytest.mark.parametrize("shape", [(3,), (3, 3), (2, 3, 4), (2, 2, 3, 3)])
def test_other_shapes_than_stacks_of_squares_are_refused(shape):
    with pytest.raises(ValueError, match=r"shape|1D array"):
        riemannian_mean(np.ones(shape))


def test_matrices_that_are_not_definite_are_refused_with_their_eigenvalues():
    C = random_spd(4, 3)
    C[2] = np.diag([1.0, 2.0, -0.5])
    with pytest.raises(ValueError, match=r"matrix 2 of 4 has .* -0.5 to 2\. .*'oas'"):
        riemannian_mean(C)


def test_singular_covariances_are_refused():
    X = np.random.default_rng(0).standard_normal((3, 6, 6))
    C = augmented_covariance(X)
    with pytest.raises(ValueError, match=r"must be positive definite.*estimator='oas'"):
        riemannian_mean(C)


def test_matrices_that_only_rounding_keeps_from_being_singular_are_refused():
    # Cholesky factors them all the same.
    C = np.stack([np.eye(2), np.diag([1.0, 1e-17])])
    np.linalg.cholesky(C)
    with pytest.raises(ValueError, match="matrix 1 of 2 has eigenvalues from 1e-17"):
        check_spd(C)


@pytest.mark.parametrize("scale", [1e-14, 1.0, 1e14])
def test_badly_conditioned_but_definite_matrices_are_accepted(scale):
    C = scale * np.stack([np.diag([1.0, 1e-13]), np.diag([1.0, 1e-12])])
    np.testing.assert_array_equal(check_spd(C), C)


def test_asymmetric_matrices_are_refused_with_the_number():
    C = random_spd(3, 3)
    C[1, 0, 2] += 0.25
    with pytest.raises(ValueError, match=r"symmetric: matrix 1 .* up to 0\.25"):
        riemannian_mean(C)


def test_rounding_of_float32_is_no_asymmetry():
    C = random_spd(5, 8).astype(np.float32)
    C[:, 0, 1] *= 1 + 1e-6
    check_spd(C)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_matrices_that_are_not_finite_are_refused(value):
    C = random_spd(3, 3)
    C[1, 2, 2] = value
    with pytest.raises(ValueError, match=r"C contains|Input C"):
        riemannian_mean(C)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([1.0, -1.0, 1.0], "Negative values"),
        ([0.0, 0.0, 0.0], "positive sum|non-zero"),
        ([1.0, 1.0], r"sample_weight.shape == \(2,\), expected \(3,\)"),
        ([1.0, np.nan, 1.0], "NaN"),
    ],
)
def test_bad_weights_are_refused(weight, message):
    with pytest.raises(ValueError, match=message):
        riemannian_mean(random_spd(3, 3), weight)


@pytest.mark.parametrize(
    ("init", "message"),
    [
        (np.eye(4), r"init must have shape \(3, 3\), found \(4, 4\)"),
        (-np.eye(3), "init must be positive definite"),
        ("no", "'init' parameter"),
    ],
)
def test_bad_starts_are_refused(init, message):
    with pytest.raises(ValueError, match=message):
        riemannian_mean(random_spd(3, 3), init=init)


@pytest.mark.parametrize("option", [{"tol": 0}, {"tol": -1.0}, {"max_iter": 0}])
def test_bad_tolerance_and_iterations_are_refused(option):
    name = next(iter(option))
    with pytest.raises(ValueError, match=f"'{name}' parameter"):
        riemannian_mean(random_spd(3, 3), **option)


def test_weights_are_scaled_to_the_sum_one():
    C = random_spd(4, 2)
    np.testing.assert_allclose(normalized_weight(None, C), np.full(4, 0.25))
    found = normalized_weight([2, 0, 1, 1], C)
    np.testing.assert_allclose(found, [0.5, 0, 0.25, 0.25])
