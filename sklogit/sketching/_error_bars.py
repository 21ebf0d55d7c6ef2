"""How far the solution of a sketched problem may be from that of all rows."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigvalsh
from scipy.stats import norm, t

from ._rank import column_norms

# These take rows of an orthogonal matrix without replacement. The variance of what they
# leave out is that of a finite population.
WITHOUT_REPLACEMENT = {"block_srht", "srht", "dct"}


def quantile(degrees_of_freedom, delta, n_comparisons=1):
    """Return how many standard errors all of some estimates are at most off.

    Parameters
    ----------
    degrees_of_freedom : int
        Rows of the sketch minus columns.
    delta : float
        Probability that one of them is further away.
    n_comparisons : int, default=1
        How many estimates (Bonferroni).

    Returns
    -------
    float
        Quantile of Student's t.
    """
    if not degrees_of_freedom:
        return np.inf
    return float(t.isf(delta / (2 * n_comparisons), degrees_of_freedom))


def finite_population(sketch, sketch_size, n_rows, block_size):
    """Factor of the variance: 1 - m / N for rows drawn without replacement.

    N is the number of rows in whole blocks. Of B independent blocks of c rows each
    contributes a share of 1 / B to the variance that draws without replacement make
    smaller by m / c; what two blocks have in common is not made smaller.
    """
    if sketch not in WITHOUT_REPLACEMENT:
        return 1.0
    n_padded = -(-n_rows // block_size) * block_size
    return max(0.0, 1.0 - sketch_size / n_padded)


def implied_eps(n_columns, sketch_size, delta):
    """Return the eps whose sketch has this size, by the rule of `sketch_size`."""
    z = norm.isf(delta / (2 * n_columns))
    return float(z * np.sqrt(n_columns / (sketch_size - n_columns)))


def spectral_norm(P):
    """Largest singular value, by one eigenvalue instead of a decomposition."""
    size = np.abs(P).max(initial=0.0)
    if size == 0 or not np.isfinite(size):
        return size
    gram = (P / size).T @ (P / size)
    last = len(gram) - 1
    return size * np.sqrt(eigvalsh(gram, subset_by_index=[last, last])[0])


@dataclass
class ErrorBars:
    """Errors of coefficients and predictions.

    Attributes
    ----------
    coef_error : ndarray of shape (n_features, n_targets)
        Half widths with respect to exact least squares.
    coef_std_error : ndarray of shape (n_features, n_targets)
        Standard errors of least squares itself.
    linf_bound : ndarray of shape (n_targets,)
        Bound on all coefficients.
    row_error : ndarray of shape (n_targets,)
        Half width of a prediction, over the norm of its row times the root P.
    """

    coef_error: np.ndarray
    coef_std_error: np.ndarray
    linf_bound: np.ndarray
    row_error: np.ndarray


def error_bars(solution, fit_intercept, delta, n_rows):
    """Return the errors of a solution.

    Parameters
    ----------
    solution : Solution
        The solution.
    fit_intercept : bool
        Whether the intercept is a column.
    delta : float
        Probability with which a bar of one pass may fail.
    n_rows : int
        Rows of positive weight.

    Returns
    -------
    ErrorBars
        The errors.
    """
    lengths = column_norms(solution.root[1:].T)[:, np.newaxis]
    p, n_columns = len(lengths), solution.rank + fit_intercept
    freedom, m = solution.degrees_of_freedom, solution.sketch_size
    simultaneous = single = shrunk = 1.0
    if freedom is not None:
        simultaneous = quantile(freedom, delta, p)
        single = quantile(freedom, delta)
    if solution.root_is_sketched:
        # The inverse of a sketched covariance is larger on average than that of all.
        shrunk = max(m - n_columns - 1, 0) / m
    left = n_rows - n_columns
    deviation = solution.residual_norm / left**0.5 if left > 0 else np.nan
    with np.errstate(over="ignore", invalid="ignore"):
        coef_error = simultaneous * solution.error * lengths + solution.null_error
    coef_error[np.isnan(coef_error)] = np.inf
    bound = coef_error.max(axis=0, initial=0.0)
    if freedom and n_columns:
        eps = implied_eps(n_columns, m, delta)
        size = spectral_norm(solution.root)
        bound = eps / np.sqrt(n_columns) * solution.residual_norm * size
    return ErrorBars(
        coef_error=coef_error,
        coef_std_error=deviation * shrunk**0.5 * lengths,
        linf_bound=bound,
        row_error=single * solution.error,
    )
