import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from sklogit.model_selection._calibration import (
    calibration_error,
    calibration_line,
    calibration_measures,
)


@pytest.fixture
def forecasts():
    rng = np.random.default_rng(0)
    z = rng.normal(scale=2, size=1000)
    return rng.uniform(size=1000) < expit(0.5 * z + 0.3), expit(z)


def test_error_with_equal_bins_is_that_of_the_calibration_curve(forecasts):
    y, p = forecasts
    observed, predicted = calibration_curve(y, p, n_bins=10, strategy="quantile")
    expected = np.abs(observed - predicted).mean()
    assert calibration_error(y, p, 10, np.ones(1000)) == pytest.approx(expected)


def test_error_of_one_bin_is_the_gap_of_the_means(forecasts):
    y, p = forecasts
    weight = np.random.default_rng(1).uniform(size=1000)
    expected = abs(np.average(p - y, weights=weight))
    assert calibration_error(y, p, 1, weight) == pytest.approx(expected)


def test_equal_probabilities_stay_in_one_bin():
    p, y = np.full(100, 0.3), np.arange(100) < 30
    assert calibration_error(y, p, 10, np.ones(100)) == pytest.approx(0, abs=1e-12)
    few = calibration_error(y[:3], p[:3], 10, np.ones(3))
    assert few == pytest.approx(0.7)


def test_line_is_the_maximum_of_the_likelihood(forecasts):
    y, p = forecasts
    weight = np.random.default_rng(1).uniform(size=1000)

    def loss(line):
        q = expit(line[0] * logit(p) + line[1])
        return -(weight * np.where(y, np.log(q), np.log1p(-q))).sum()

    expected = minimize(loss, [1, 0], tol=1e-10).x
    np.testing.assert_allclose(calibration_line(y, p, weight), expected, atol=1e-4)


def test_overconfident_forecasts_have_a_slope_below_one(forecasts):
    slope, intercept = calibration_line(*forecasts, np.ones(1000))
    assert slope == pytest.approx(0.5, abs=0.1)
    assert intercept == pytest.approx(0.3, abs=0.2)


@pytest.mark.parametrize(
    ("y", "p", "slope"),
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], np.inf),
        ([0, 0, 1, 1], [0.0, 0.5, 0.5, 1.0], np.inf),
        ([1, 1, 0, 0], [0.1, 0.2, 0.8, 0.9], -np.inf),
        ([0, 1, 0, 1], [0.5, 0.5, 0.5, 0.5], np.nan),
        ([1, 1, 1, 1], [0.1, 0.2, 0.8, 0.9], np.nan),
    ],
)
def test_no_finite_slope_where_nothing_limits_it(y, p, slope):
    found, intercept = calibration_line(np.array(y, bool), np.array(p), np.ones(4))
    np.testing.assert_equal(found, slope)
    assert np.isnan(intercept)


def test_zeros_and_ones_of_trees_have_a_finite_line():
    y = np.array([0, 0, 1, 1, 1, 0], bool)
    p = np.array([0.0, 0.0, 1.0, 1.0, 0.0, 1.0])
    slope, intercept = calibration_line(y, p, np.ones(6))
    # Two thirds are right on either side: logit(2 / 3) at logit(1 - 1e-6).
    assert slope == pytest.approx(np.log(2) / logit(1 - 1e-6))
    assert intercept == pytest.approx(0, abs=1e-6)


def test_measures_of_two_classes_are_those_of_the_second(forecasts):
    y, p = forecasts
    labels = np.where(y, "yes", "no")
    both = np.column_stack([1 - p, p])
    found = calibration_measures(labels, both, np.array(["no", "yes"]))
    assert found["brier_score"] == pytest.approx(brier_score_loss(y, p))
    assert found["log_loss"] == pytest.approx(log_loss(y, p))
    slope, _ = calibration_line(y, p, np.ones(1000))
    assert found["calibration_slope"] == pytest.approx(slope)


def test_measures_of_three_classes_are_means_of_one_against_the_rest():
    rng = np.random.default_rng(0)
    p = rng.dirichlet([1, 1, 1], size=300)
    y = np.array([rng.choice(3, p=row) for row in p])
    found = calibration_measures(y, p, np.arange(3))
    errors = [calibration_error(y == k, p[:, k], 10, np.ones(300)) for k in range(3)]
    slopes = [calibration_line(y == k, p[:, k], np.ones(300))[0] for k in range(3)]
    assert found["calibration_error"] == pytest.approx(np.mean(errors))
    assert found["calibration_slope"] == pytest.approx(np.mean(slopes))
    assert found["brier_score"] == pytest.approx(
        ((p - np.eye(3)[y]) ** 2).sum(axis=1).mean()
    )
