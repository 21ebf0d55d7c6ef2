import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import t as student_t
from scipy.stats import ttest_rel

from sklogit.model_selection import (
    bayesian_correlated_ttest,
    corrected_resampled_ttest,
)
from sklogit.model_selection._paired_tests import holm_adjusted

A = np.array([0.9, 0.8, 0.85, 0.95, 0.9])
B = np.array([0.88, 0.79, 0.86, 0.9, 0.85])


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    return rng.uniform(0.7, 0.9, 30), rng.uniform(0.7, 0.9, 30)


# -- corrected t-test ------------------------------------------------------------------


def test_worked_example():
    result = corrected_resampled_ttest(A, B, n_train=80, n_test=20)
    assert result.mean_difference == pytest.approx(0.024, abs=1e-12)
    assert result.statistic == pytest.approx(1.371989, abs=5e-7)
    assert result.pvalue == pytest.approx(0.241982, abs=5e-7)
    assert result.df == 4
    naive = corrected_resampled_ttest(A, B, rho=0)
    assert naive.statistic == pytest.approx(2.057983, abs=5e-7)
    assert naive.pvalue == pytest.approx(0.108701, abs=5e-7)


@pytest.mark.parametrize("alternative", ["two-sided", "less", "greater"])
def test_without_correction_it_is_the_paired_t_test(scores, alternative):
    expected = ttest_rel(*scores, alternative=alternative)
    result = corrected_resampled_ttest(
        *scores, rho=0, alternative=alternative, confidence_level=0.9
    )
    assert result.statistic == pytest.approx(expected.statistic, abs=1e-12)
    assert result.pvalue == pytest.approx(expected.pvalue, abs=1e-12)
    np.testing.assert_allclose(
        result.confidence_interval, expected.confidence_interval(0.9), atol=1e-12
    )


@pytest.mark.parametrize("rho", [0.05, 1 / 9, 1.0])
def test_correction_shrinks_the_statistic_by_the_ratio_of_errors(scores, rho):
    naive = corrected_resampled_ttest(*scores, rho=0)
    corrected = corrected_resampled_ttest(*scores, rho=rho)
    n = len(scores[0])
    ratio = np.sqrt((1 / n) / (1 / n + rho))
    assert corrected.statistic == pytest.approx(ratio * naive.statistic, abs=1e-12)


def test_interval_at_the_level_of_the_p_value_ends_at_zero(scores):
    result = corrected_resampled_ttest(*scores, rho=0.1)
    at_p = corrected_resampled_ttest(
        *scores, rho=0.1, confidence_level=1 - result.pvalue
    )
    assert np.abs(at_p.confidence_interval).min() == pytest.approx(0, abs=1e-10)


def test_swapping_the_models_flips_the_sign_and_keeps_the_p_value(scores):
    a, b = scores
    one = corrected_resampled_ttest(a, b, rho=0.1)
    other = corrected_resampled_ttest(b, a, rho=0.1)
    assert other.statistic == -one.statistic
    assert other.pvalue == one.pvalue
    low, high = one.confidence_interval
    assert other.confidence_interval == pytest.approx((-high, -low))


def test_shift_of_both_changes_nothing_and_scale_keeps_the_statistic(scores):
    a, b = scores
    expected = corrected_resampled_ttest(a, b, rho=0.1).statistic
    for moved in ((a + 5, b + 5), (3 * a, 3 * b)):
        result = corrected_resampled_ttest(*moved, rho=0.1)
        assert result.statistic == pytest.approx(expected, rel=1e-10)


def test_one_sided_p_values_add_up_to_one(scores):
    less, greater = (
        corrected_resampled_ttest(*scores, rho=0.1, alternative=side)
        for side in ("less", "greater")
    )
    assert less.pvalue + greater.pvalue == pytest.approx(1)
    assert less.confidence_interval[0] == -np.inf
    assert greater.confidence_interval[1] == np.inf


def test_equal_scores_are_no_difference_without_a_warning(recwarn):
    result = corrected_resampled_ttest(A, A, rho=0.25)
    assert (result.statistic, result.pvalue) == (0.0, 1.0)
    assert result.confidence_interval == (0.0, 0.0)
    assert not recwarn


@pytest.mark.parametrize("sign", [1, -1])
def test_constant_difference_is_infinitely_significant_with_a_warning(sign):
    with pytest.warns(RuntimeWarning, match="infinite"):
        result = corrected_resampled_ttest(A + sign * 0.1, A, rho=0.25)
    assert result.statistic == sign * np.inf
    assert result.pvalue == 0


def test_result_is_frozen():
    result = corrected_resampled_ttest(A, B, rho=0.25)
    with pytest.raises(AttributeError):
        result.pvalue = 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scores_b": B[:4], "rho": 0.1}, "same length, found 5 and 4"),
        ({"scores_a": [1.0], "scores_b": [0.0], "rho": 0.1}, "at least 2"),
        ({"scores_a": [*A[:4], np.nan], "rho": 0.1}, "scores_a must be finite"),
        ({"scores_b": B[:, None], "rho": 0.1}, "scores_b must have one dimension"),
        ({"rho": -0.1}, "rho"),
        ({}, "rho, or n_train and n_test"),
        ({"n_train": 80}, "n_train=80"),
        ({"rho": 0.1, "n_train": 80, "n_test": 20}, "without n_train"),
        ({"rho": 0.1, "alternative": "more"}, "alternative"),
        ({"rho": 0.1, "confidence_level": 1.0}, "confidence_level"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        corrected_resampled_ttest(**{"scores_a": A, "scores_b": B, **arguments})


def test_naive_test_finds_differences_that_are_not_there():
    # Scores of two equal models on resamples that share noise, as those of k-fold do.
    rng = np.random.default_rng(0)
    rho, n = 1 / 9, 30
    rejected = np.zeros(2)
    for _ in range(400):
        shared = rng.standard_normal() * np.sqrt(rho / (1 + rho))
        d = shared + rng.standard_normal(n) * np.sqrt(1 / (1 + rho))
        for k, value in enumerate((0.0, rho)):
            result = corrected_resampled_ttest(d, np.zeros(n), rho=value)
            rejected[k] += result.pvalue < 0.05
    naive, corrected = rejected / 400
    assert naive > 0.15
    assert corrected <= 0.08


# -- Bayesian test ---------------------------------------------------------------------


@pytest.mark.parametrize("rope", [0.0, 0.01, 0.05])
def test_probabilities_are_integrals_of_the_posterior(rope):
    d, rho = A - B, 1 / 4
    scale = np.sqrt(d.var(ddof=1) * (1 / len(d) + rho))

    def density(x):
        return student_t.pdf((x - d.mean()) / scale, len(d) - 1) / scale

    expected = (
        quad(density, -np.inf, -rope)[0],
        quad(density, -rope, rope)[0],
        quad(density, rope, np.inf)[0],
    )
    found = bayesian_correlated_ttest(A, B, rho=rho, rope=rope)
    np.testing.assert_allclose(found, expected, atol=1e-7)
    assert sum(found) == pytest.approx(1)


def test_without_a_rope_it_is_the_one_sided_p_value(scores):
    left, _, right = bayesian_correlated_ttest(*scores, rho=0.1, rope=0)
    result = corrected_resampled_ttest(*scores, rho=0.1, alternative="greater")
    assert left == pytest.approx(result.pvalue)
    assert left + right == pytest.approx(1)


def test_models_swap_their_probabilities(scores):
    a, b = scores
    assert bayesian_correlated_ttest(a, b, rho=0.1)[::-1] == pytest.approx(
        bayesian_correlated_ttest(b, a, rho=0.1)
    )


def test_constant_differences_have_all_the_mass_in_one_place():
    assert bayesian_correlated_ttest(A, A, rho=0.1) == (0, 1, 0)
    assert bayesian_correlated_ttest(A + 0.1, A, rho=0.1) == (0, 0, 1)
    assert bayesian_correlated_ttest(A, A + 0.1, rho=0.1) == (1, 0, 0)


# -- Holm ------------------------------------------------------------------------------


def test_holm_is_the_closed_bonferroni_test():
    # The adjusted p of a hypothesis is the largest Bonferroni p of all sets with it.
    p = np.random.default_rng(0).uniform(0, 0.3, 6)
    sets = [np.array(bits) for bits in np.ndindex(*(2,) * 6)]
    expected = [
        max(min(1, s.sum() * p[s == 1].min()) for s in sets if s[i]) for i in range(6)
    ]
    np.testing.assert_allclose(holm_adjusted(p), expected)


def test_holm_leaves_out_what_is_nan():
    adjusted = holm_adjusted([0.01, np.nan, 0.04])
    np.testing.assert_allclose(adjusted, [0.02, np.nan, 0.04])
