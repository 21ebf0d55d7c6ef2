"""The best placement when users choose at most one of all they see."""

import numpy as np

from ._checks import check_max_ads, check_utilities, check_weights
from ._matching import AssignmentResult, at_most_k_matching

# Each matching raises the value, and there are few; this many only for broken input.
_MOST_MATCHINGS = 1000


def mnl_assignment(weights, utilities, max_ads=None, *, tol=1e-12):
    r"""Place ads for users who see all and click at most one, exactly.

    .. math:: \max_x \frac{\sum_{ij} w_i e^{\rho_{ij}} x_{ij}}
        {1 + \sum_{ij} e^{\rho_{ij}} x_{ij}}

    over matchings x of at most `max_ads` edges. A value :math:`\lambda` is the maximum
    if and only if the matching of weights :math:`(w_i - \lambda) e^{\rho_{ij}}` has the
    value :math:`\lambda`; Dinkelbach's iteration finds it after a few matchings.

    Parameters
    ----------
    weights : array-like of shape (n_ads,)
        Value of a click on each ad, of any sign.
    utilities : array-like of shape (n_ads, n_positions)
        Utilities :math:`\rho`, the log odds of a click if the pair is shown alone;
        -inf for pairs that are not eligible.
    max_ads : int, default=None
        Most ads to show; None for as many as there are positions.
    tol : float, default=1e-12
        Relative increase of the value at which to stop.

    Returns
    -------
    AssignmentResult
        The placement. Ads whose weight is not above its value are not shown, because
        they would take more clicks from the others than they bring. Of equals, which
        one is shown is the same in each call.

    Raises
    ------
    ValueError
        If weights are not finite, utilities NaN or inf, or `max_ads` negative.

    See Also
    --------
    independent_assignment : Users who judge each ad on its own.
    cascade_assignment : Users who read from top to bottom.

    References
    ----------
    .. [1] "Position Auctions in AI-Generated Content", arXiv:2506.03309.
    .. [2] W. Dinkelbach, "On nonlinear fractional programming", Management Science 13,
       1967.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.choice import mnl_assignment
    >>> p = np.array([[0.30, 0.10], [0.40, 0.35], [0.20, 0.50]])
    >>> best = mnl_assignment([3.0, 2.0, 1.0], np.log(p / (1 - p)))
    >>> best.positions, round(best.value, 6)
    (array([ 0,  1, -1]), 1.201117)
    """
    utilities = check_utilities(utilities)
    weights = check_weights(weights, len(utilities))
    max_ads = check_max_ads(max_ads, utilities.shape[1])
    return mnl_matching(weights, odds_of(utilities), max_ads, tol)


def odds_of(utilities):
    """Return the odds of pairs and of no click, both scaled so that none overflows."""
    shift = max(0.0, utilities.max(initial=0.0))
    return np.exp(utilities - shift), np.exp(-shift)


def mnl_matching(weights, table, max_ads, tol=1e-12, *, start=0.0):
    """`mnl_assignment` of checked input, the odds and a value that is reachable."""
    rows, cols, n_iter = best_pairs(weights, table, max_ads, tol, start)
    order = np.argsort(cols, kind="stable")
    odds, outside = table
    ctr = np.zeros(len(weights))
    shown = odds[rows, cols]
    ctr[rows] = shown / (outside + shown.sum()) if len(rows) else 0.0
    return AssignmentResult(rows[order], cols[order], ctr, float(weights @ ctr), n_iter)


def best_value(weights, table, max_ads, tol, start):
    """Value of the best placement, given that `start` is the value of some."""
    none = np.zeros(0, dtype=np.intp)
    rows, cols, _ = _improve(weights, table, max_ads, tol, start, (none, none))
    return max(start, _ratio(weights, table, rows, cols))


def best_pairs(weights, table, max_ads, tol, start):
    """Find the best placement by Dinkelbach's iteration.

    A start above the best pair alone must be the value of some placement.
    """
    single = _best_single(weights, table, max_ads)
    return _improve(weights, table, max_ads, tol, start, single)


def _improve(weights, table, max_ads, tol, start, pairs):
    odds, _ = table
    rows, cols = pairs
    value = _ratio(weights, table, rows, cols)
    bound = max(value, start)
    n_iter = 0
    while n_iter < _MOST_MATCHINGS:
        n_iter += 1
        above = np.flatnonzero(weights > bound)  # others would lower the value
        gains = (weights[above] - bound)[:, np.newaxis] * odds[above]
        new_rows, new_cols = at_most_k_matching(gains, max_ads)
        new_rows = above[new_rows]
        new_value = _ratio(weights, table, new_rows, new_cols)
        if new_value > value:
            rows, cols, value = new_rows, new_cols, new_value
        if new_value <= bound + tol * bound:
            break
        bound = new_value
    return rows, cols, n_iter


def _best_single(weights, table, max_ads):
    """Best pair alone, from which fewer matchings are left than from nothing."""
    odds, outside = table
    none = np.zeros(0, dtype=np.intp)
    if not odds.size or max_ads == 0:
        return none, none
    best = odds.max(axis=1)
    values = np.divide(
        weights * best, outside + best, out=np.zeros_like(best), where=best > 0
    )
    i = int(np.argmax(values))
    if values[i] <= 0:
        return none, none
    return np.array([i]), np.array([np.argmax(odds[i])])


def _ratio(weights, table, rows, cols):
    if not len(rows):
        return 0.0  # the outside option may have underflown
    odds, outside = table
    shown = odds[rows, cols]
    return float(weights[rows] @ shown / (outside + shown.sum()))
