"""Tests of paired scores from overlapping training sets."""

import warnings
from dataclasses import dataclass
from numbers import Real

import numpy as np
from scipy.stats import t as student_t
from sklearn.utils._param_validation import Interval, StrOptions, validate_params

# Variances of scores below this are rounding of differences that are all the same.
_ZERO_VARIANCE = 1e-24

_SIDES = ("two-sided", "less", "greater")


@dataclass(frozen=True)
class PairedTestResult:
    """Answer of `corrected_resampled_ttest`.

    Attributes
    ----------
    statistic : float
        Mean difference over its standard error.
    pvalue : float
        Probability of a statistic as extreme if the two models were equally good.
    df : int
        Degrees of freedom, one less than the number of resamples.
    mean_difference : float
        Mean of ``scores_a - scores_b``.
    standard_error : float
        Standard error of the mean difference, corrected by `rho`.
    confidence_interval : tuple of float
        Lower and upper end; one of them is infinite in a one-sided test.
    """

    statistic: float
    pvalue: float
    df: int
    mean_difference: float
    standard_error: float
    confidence_interval: tuple[float, float]


@validate_params(
    {
        "scores_a": ["array-like"],
        "scores_b": ["array-like"],
        "n_train": [Interval(Real, 0, None, closed="neither"), None],
        "n_test": [Interval(Real, 0, None, closed="neither"), None],
        "rho": [Interval(Real, 0, None, closed="left"), None],
        "alternative": [StrOptions(set(_SIDES))],
        "confidence_level": [Interval(Real, 0, 1, closed="neither")],
    },
    prefer_skip_nested_validation=True,
)
def corrected_resampled_ttest(
    scores_a,
    scores_b,
    *,
    n_train=None,
    n_test=None,
    rho=None,
    alternative="two-sided",
    confidence_level=0.95,
):
    r"""Compare two models by their scores on the same resamples of one data set.

    The training sets of cross-validation overlap, so the scores of its folds are
    correlated and the usual paired t-test takes noise for a difference. The correction
    [1]_ enlarges the variance of the mean of the J differences :math:`d_j`,

    .. math:: t = \frac{\bar d}{\sqrt{v \, (1/J + \rho)}}, \qquad
        v = \frac{1}{J-1} \sum_j (d_j - \bar d)^2, \qquad
        \rho = \frac{n_\text{test}}{n_\text{train}},

    and compares t with Student's distribution of J - 1 degrees of freedom.

    Parameters
    ----------
    scores_a : array-like of shape (n_resamples,)
        Scores of the first model, higher is better. The resamples can be those of a
        repeated k-fold [2]_, or random splits.
    scores_b : array-like of shape (n_resamples,)
        Scores of the second model on the same resamples, in the same order.
    n_train : float, default=None
        Mean number of training rows. Give it with `n_test`, or give `rho`.
    n_test : float, default=None
        Mean number of test rows.
    rho : float, default=None
        Ratio of test to training rows: ``1 / (k - 1)`` for k folds. Zero is the usual
        paired t-test, which is not valid here.
    alternative : {"two-sided", "less", "greater"}, default="two-sided"
        Whether the first model differs, is worse, or is better.
    confidence_level : float, default=0.95
        Level of the confidence interval.

    Returns
    -------
    PairedTestResult
        Statistic, p-value and confidence interval of the mean difference.

    Raises
    ------
    ValueError
        If the scores differ in length, are fewer than two or not finite, or if
        neither `rho` nor both row counts are given.

    Warns
    -----
    RuntimeWarning
        If all differences are the same and not zero: the statistic is infinite.

    See Also
    --------
    bayesian_correlated_ttest : Probabilities of a relevant difference.
    compare_classifiers : Makes the scores, and tests several models.

    References
    ----------
    .. [1] C. Nadeau and Y. Bengio, "Inference for the Generalization Error", Machine
       Learning 52, 2003.
    .. [2] R. R. Bouckaert and E. Frank, "Evaluating the Replicability of Significance
       Tests for Comparing Learning Algorithms", PAKDD 2004.

    Examples
    --------
    >>> from sklogit.model_selection import corrected_resampled_ttest
    >>> a, b = [0.9, 0.8, 0.85, 0.95, 0.9], [0.88, 0.79, 0.86, 0.9, 0.85]
    >>> result = corrected_resampled_ttest(a, b, n_train=80, n_test=20)
    >>> round(result.statistic, 3), round(result.pvalue, 3)
    (1.372, 0.242)
    >>> naive = corrected_resampled_ttest(a, b, rho=0)
    >>> round(naive.statistic, 3), round(naive.pvalue, 3)
    (2.058, 0.109)
    """
    differences = paired_differences(scores_a, scores_b)
    rho = _check_rho(rho, n_train, n_test)
    mean, error, df = mean_and_error(differences, rho)
    if error == 0 and mean != 0:
        warnings.warn(
            f"All {df + 1} differences of the scores are {mean:.6g}: the statistic is "
            "infinite. Check that the resamples differ.",
            RuntimeWarning,
            stacklevel=2,
        )
    return PairedTestResult(
        statistic=float(_ratio(mean, error)),
        pvalue=float(p_value(mean, error, df, alternative)),
        df=df,
        mean_difference=float(mean),
        standard_error=float(error),
        confidence_interval=_interval(mean, error, df, alternative, confidence_level),
    )


@validate_params(
    {
        "scores_a": ["array-like"],
        "scores_b": ["array-like"],
        "rho": [Interval(Real, 0, None, closed="left")],
        "rope": [Interval(Real, 0, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def bayesian_correlated_ttest(scores_a, scores_b, *, rho, rope=0.01):
    r"""Give the probabilities that a model is worse, equivalent, or better.

    The posterior of the mean difference of J scores is Student's distribution of
    J - 1 degrees of freedom around :math:`\bar d` with the scale
    :math:`\sqrt{v \, (1/J + \rho)}` [1]_. Differences up to `rope` (the region of
    practical equivalence) count as none.

    Parameters
    ----------
    scores_a : array-like of shape (n_resamples,)
        Scores of the first model, higher is better.
    scores_b : array-like of shape (n_resamples,)
        Scores of the second model on the same resamples.
    rho : float
        Correlation of the resamples, as in `corrected_resampled_ttest`: the ratio of
        test to training rows, ``1 / (k - 1)`` for k folds.
    rope : float, default=0.01
        Largest difference that does not matter, in the unit of the scores.

    Returns
    -------
    p_left : float
        Probability that the first model is worse by more than `rope`.
    p_rope : float
        Probability that the difference is within `rope`.
    p_right : float
        Probability that the first model is better by more than `rope`.

    Raises
    ------
    ValueError
        If the scores differ in length, are fewer than two or not finite.

    See Also
    --------
    corrected_resampled_ttest : The test with the same standard error.

    References
    ----------
    .. [1] G. Corani and A. Benavoli, "A Bayesian approach for comparing cross-validated
       algorithms on multiple data sets", Machine Learning 100, 2015.

    Examples
    --------
    >>> from sklogit.model_selection import bayesian_correlated_ttest
    >>> a, b = [0.9, 0.8, 0.85, 0.95, 0.9], [0.88, 0.79, 0.86, 0.9, 0.85]
    >>> [round(p, 3) for p in bayesian_correlated_ttest(a, b, rho=1 / 4)]
    [0.062, 0.172, 0.766]
    """
    differences = paired_differences(scores_a, scores_b)
    return rope_probabilities(*mean_and_error(differences, rho), rope)


def paired_differences(scores_a, scores_b):
    """Return the differences of two checked vectors of scores, in float64."""
    a, b = (np.asarray(scores, dtype=np.float64) for scores in (scores_a, scores_b))
    for name, scores in (("scores_a", a), ("scores_b", b)):
        if scores.ndim != 1:
            raise ValueError(
                f"{name} must have one dimension, found shape {scores.shape}."
            )
        if not np.isfinite(scores).all():
            raise ValueError(f"{name} must be finite, found {scores}.")
    if len(a) != len(b):
        raise ValueError(
            "scores_a and scores_b must have the same length, found "
            f"{len(a)} and {len(b)}."
        )
    if len(a) < 2:
        raise ValueError(f"scores_a must hold at least 2 resamples, found {len(a)}.")
    return a - b


def _check_rho(rho, n_train, n_test):
    sizes = n_train is not None and n_test is not None
    if rho is None and sizes:
        return n_test / n_train
    if rho is None:
        raise ValueError(
            "rho, or n_train and n_test, must be given: the correction needs the ratio "
            f"of test to training rows, found rho=None, n_train={n_train}, "
            f"n_test={n_test}."
        )
    if n_train is not None or n_test is not None:
        raise ValueError(
            "rho must be given without n_train and n_test, found "
            f"rho={rho}, n_train={n_train}, n_test={n_test}."
        )
    return rho


def mean_and_error(values, rho):
    """Return mean, corrected standard error and degrees of freedom, by the last axis.

    ``rho=0`` gives the naive standard error.
    """
    n = values.shape[-1]
    mean = values.mean(axis=-1)
    variance = values.var(axis=-1, ddof=1)
    constant = variance < _ZERO_VARIANCE
    # Rounding of the mean of equal values is no difference.
    mean = np.where(constant & (np.abs(mean) < np.sqrt(_ZERO_VARIANCE)), 0.0, mean)
    variance = np.where(constant, 0.0, variance)
    return mean[()], np.sqrt(variance * (1.0 / n + rho))[()], n - 1


def _ratio(mean, error):
    """Return mean / error, with 0 / 0 = 0 and x / 0 infinite."""
    mean, error = np.broadcast_arrays(mean, error)
    safe = np.divide(mean, error, out=np.zeros(mean.shape), where=error > 0)
    with np.errstate(invalid="ignore"):
        infinite = (error == 0) & (mean != 0)
    return np.where(infinite, np.copysign(np.inf, mean), safe)[()]


def p_value(mean, error, df, alternative="two-sided"):
    """Return the p-value of a mean difference; 1 where both are zero."""
    statistic = _ratio(mean, error)
    if alternative == "two-sided":
        return 2 * student_t.sf(np.abs(statistic), df)
    return student_t.cdf(statistic if alternative == "less" else -statistic, df)


def _interval(mean, error, df, alternative, level):
    if alternative == "two-sided":
        half = student_t.ppf((1 + level) / 2, df) * error
        return float(mean - half), float(mean + half)
    half = student_t.ppf(level, df) * error
    if alternative == "less":
        return -np.inf, float(mean + half)
    return float(mean - half), np.inf


def interval_half_width(error, df, level):
    """Return half the width of the two-sided confidence interval."""
    return student_t.ppf((1 + level) / 2, df) * error


def rope_probabilities(mean, error, df, rope):
    """Return P(difference < -rope), P(within rope) and P(difference > rope)."""
    if error == 0:  # all the mass at the mean
        left, right = float(mean < -rope), float(mean > rope)
    else:
        left = float(student_t.cdf((-rope - mean) / error, df))
        right = float(student_t.sf((rope - mean) / error, df))
    return left, max(0.0, 1.0 - left - right), right


def holm_adjusted(pvalues):
    """Adjust p-values for their number by Holm's step-down method; nan stays nan."""
    pvalues = np.asarray(pvalues, dtype=np.float64)
    adjusted = np.full(pvalues.shape, np.nan)
    given = np.flatnonzero(~np.isnan(pvalues))
    order = given[np.argsort(pvalues[given], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(
        np.maximum.accumulate(factors * pvalues[order]) if len(order) else [], 1.0
    )
    return adjusted
