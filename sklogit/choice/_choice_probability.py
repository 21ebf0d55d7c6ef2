"""Multinomial-logit probabilities of the rows of impressions."""

import numpy as np
from scipy.special import expit


def choice_probabilities(utilities, impressions, outside_option):
    """Compute the probability of each row, and of choosing none.

    Parameters
    ----------
    utilities : ndarray of shape (n_rows,)
        Utilities, in the sorted order of the impressions.
    impressions : Impressions
        Which rows are shown together.
    outside_option : bool
        Whether nothing may be chosen, at a utility of zero.

    Returns
    -------
    proba : ndarray of shape (n_rows,)
        Probability of each row.
    none : ndarray of shape (n_groups,)
        Probability that no row of the impression is chosen.
    log_sum : ndarray of shape (n_groups,)
        Logarithm of the sum of exp(utility), the outside option included.
    """
    top = impressions.max(utilities)
    if outside_option:
        top = np.maximum(top, 0.0)
    exps = np.exp(utilities - impressions.spread(top))
    sums = impressions.sum(exps)
    outside = np.exp(-top) if outside_option else np.zeros_like(sums)
    sums += outside
    return exps / impressions.spread(sums), outside / sums, top + np.log(sums)


def null_log_likelihood(sizes, n_chosen, weight, intercept, outside_option):
    """Log-likelihood of the model without features.

    Parameters
    ----------
    sizes : ndarray of shape (n_groups,)
        Rows of each impression.
    n_chosen : ndarray of shape (n_groups,)
        Chosen rows of each, 0 or 1.
    weight : ndarray of shape (n_groups,)
        Weights.
    intercept : bool
        Whether the intercept is fitted to the data; otherwise it is zero.
    outside_option : bool
        Whether nothing may be chosen.

    Returns
    -------
    float
        Log-likelihood.
    """
    if not outside_option:
        return -float(weight @ np.log(sizes))
    log_sizes = np.log(sizes)
    utility = _best_intercept(log_sizes, n_chosen, weight) if intercept else 0.0
    log_sums = np.logaddexp(0.0, utility + log_sizes)
    return float(weight @ (n_chosen * utility - log_sums))


def _best_intercept(log_sizes, n_chosen, weight):
    """Solve for the intercept that expects as many choices as there are."""
    wanted = weight @ n_chosen
    share = wanted / weight.sum()
    centre = np.log(share) - np.log1p(-share)
    # The equation is monotone, and its root between those of the extreme sizes.
    low, high = centre - log_sizes.max(), centre - log_sizes.min()
    for _ in range(200):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        if weight @ expit(middle + log_sizes) < wanted:
            low = middle
        else:
            high = middle
    return (low + high) / 2
