"""Logits of norm and angle, and their gradients."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from sklearn.metrics import log_loss

from sklogit.continual._angle_norm import (
    angle_logits,
    angle_loss,
    cross_entropy,
    dot_logits,
)


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    H, W = rng.standard_normal((5, 4)), rng.standard_normal((3, 4))
    return H, W, np.array([0, 2, 1, 1, 0])


def test_angle_logits_are_cosines_over_the_temperature(problem):
    H, W, _ = problem
    cosines = [[h @ w / np.sqrt(h @ h * (w @ w)) for w in W] for h in H]
    np.testing.assert_allclose(angle_logits(H, W, 0.09), np.array(cosines) / 0.09)


def test_angle_logits_know_no_norms(problem):
    H, W, _ = problem
    longer = angle_logits(3 * H, np.array([[2], [0.1], [50]]) * W, 0.1)
    np.testing.assert_allclose(longer, angle_logits(H, W, 0.1))
    assert not np.allclose(dot_logits(3 * H, W), dot_logits(H, W))


@pytest.mark.parametrize("weight", [None, np.array([1.0, 2.0, 0.5, 1.0, 3.0])])
def test_angle_gradients_equal_finite_differences(problem, weight):
    H, W, y = problem

    def loss(values):
        H, W = np.split(values.reshape(-1, 4), [5])
        return cross_entropy(angle_logits(H, W, 0.3), y, weight)[0]

    start = np.concatenate([H, W]).ravel()
    value, *gradients = angle_loss(H, W, y, weight, 0.3)
    assert value == pytest.approx(loss(start))
    expected = approx_fprime(start, loss, 1e-7)
    found = np.concatenate(gradients).ravel()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_angle_gradients_are_orthogonal_to_features_and_weights(problem):
    H, W, y = problem
    _, dH, dW = angle_loss(H, W, y, None, 0.09)
    np.testing.assert_allclose(np.vecdot(dH, H), 0, atol=1e-13)
    np.testing.assert_allclose(np.vecdot(dW, W), 0, atol=1e-13)


def test_a_step_by_angle_lengthens_rows_as_pythagoras_says(problem):
    H, W, y = problem
    dW = angle_loss(H, W, y, None, 0.09)[2]
    after = W - 0.1 * dW
    np.testing.assert_allclose(
        np.vecdot(after, after), np.vecdot(W, W) + 0.01 * np.vecdot(dW, dW), rtol=1e-13
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_features_of_zeros_have_logits_and_gradients_of_zero(dtype):
    H, W = np.zeros((2, 3), dtype), np.eye(3, dtype=dtype)
    W[2] = 0
    Z = angle_logits(H, W, 0.09)
    assert Z.dtype == dtype
    np.testing.assert_array_equal(Z, 0)
    for gradient in angle_loss(H, W, np.array([0, 2]), None, 0.09)[1:]:
        assert gradient.dtype == dtype
        np.testing.assert_array_equal(gradient, 0)


def test_norms_beyond_the_range_of_squares_are_right():
    H = np.array([[3e30, 4e30]], dtype=np.float32)
    Z = angle_logits(H, np.eye(2, dtype=np.float32), 1.0)
    np.testing.assert_allclose(Z, [[0.6, 0.8]], rtol=1e-6)


def test_cross_entropy_equals_log_loss_of_scikit_learn(problem):
    H, W, y = problem
    weight = np.array([1.0, 2.0, 0.5, 1.0, 3.0])
    Z = dot_logits(H, W, np.array([0.1, 0.2, 0.3]))
    P = np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)
    expected = log_loss(y, P, sample_weight=weight)
    assert cross_entropy(Z, y, weight)[0] == pytest.approx(expected)
    assert cross_entropy(Z + 1e4, y, weight)[0] == pytest.approx(expected)


@pytest.mark.parametrize("scale", [1e308, 5e-324])
def test_only_ratios_of_weights_count(problem, scale):
    H, W, y = problem
    Z, weight = dot_logits(H, W), np.array([0.5, 1.0, 1.0, 0.5, 0.5])
    loss, gradient = cross_entropy(Z, y, np.full(5, scale))
    expected, slope = cross_entropy(Z, y)
    assert loss == pytest.approx(expected)
    np.testing.assert_allclose(gradient, slope)
    if scale > 1:
        loss, _ = cross_entropy(Z, y, scale * weight)
        assert loss == pytest.approx(cross_entropy(Z, y, weight)[0])
