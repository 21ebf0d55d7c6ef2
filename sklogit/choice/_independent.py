"""The best placement when ads do not compete for clicks."""

import numpy as np

from ._checks import check_ctr, check_max_ads, check_weights
from ._matching import AssignmentResult, at_most_k_matching


def independent_assignment(weights, ctr, max_ads=None):
    r"""Place ads for users who judge each on its own.

    .. math:: \max_x \sum_{ij} w_i p_{ij} x_{ij}

    over matchings x of at most `max_ads` edges. It is what a placement is that ignores
    substitution.

    Parameters
    ----------
    weights : array-like of shape (n_ads,)
        Value of a click on each ad, of any sign.
    ctr : array-like of shape (n_ads, n_positions)
        Click probabilities p of pairs.
    max_ads : int, default=None
        Most ads to show; None for as many as there are positions.

    Returns
    -------
    AssignmentResult
        The placement.

    Raises
    ------
    ValueError
        If weights are not finite, a probability is not between 0 and 1, or `max_ads`
        negative.

    See Also
    --------
    mnl_assignment : Users who click at most one of all they see.

    Examples
    --------
    >>> from sklogit.choice import independent_assignment
    >>> p = [[0.30, 0.10], [0.40, 0.35], [0.20, 0.50]]
    >>> best = independent_assignment([3.0, 2.0, 1.0], p)
    >>> best.positions, round(best.value, 6)
    (array([ 0,  1, -1]), 1.6)
    """
    ctr = check_ctr(ctr)
    weights = check_weights(weights, len(ctr))
    return independent_matching(weights, ctr, check_max_ads(max_ads, ctr.shape[1]))


def independent_matching(weights, ctr, max_ads):
    """`independent_assignment` of checked input."""
    rows, cols = at_most_k_matching(weights[:, np.newaxis] * ctr, max_ads)
    clicked = np.zeros(len(weights))
    clicked[rows] = ctr[rows, cols]
    order = np.argsort(cols, kind="stable")
    value = float(weights @ clicked)
    return AssignmentResult(rows[order], cols[order], clicked, value, 1)
