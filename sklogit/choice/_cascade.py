"""The best placement when users read in order until they click."""

import numpy as np
from sklearn.utils.validation import check_array

from ._cascade_dp import MOST_POSITIONS, best_value_order
from ._cascade_search import best_by_enumeration, best_fixed_order, greedy_value_order
from ._checks import check_ctr, check_max_ads, check_weights
from ._matching import AssignmentResult

_SOLVERS = ("auto", "exact", "greedy", "brute")


def cascade_assignment(weights, ctr, max_ads=None, *, order="value", solver="auto"):
    r"""Place ads for users who read in an order and leave with their first click.

    An ad in position j(i) is clicked with probability

    .. math:: \pi_i = p_{i j(i)} \prod_{k \text{ before } i} (1 - p_{k j(k)})

    and :math:`\sum_i w_i \pi_i` is maximised. If the order of reading is free, it is
    best to read by decreasing weight: to swap neighbours a and b, read in that order,
    changes the sum by :math:`p_a p_b (w_b - w_a)` times the probability to get there.

    Parameters
    ----------
    weights : array-like of shape (n_ads,)
        Value of a click on each ad, of any sign.
    ctr : array-like of shape (n_ads, n_positions)
        Click probabilities p of pairs that are read.
    max_ads : int, default=None
        Most ads to show; None for as many as there are positions.
    order : "value" or array-like of shape (n_positions,), default="value"
        Order in which positions are read: free, or this permutation.
    solver : {"auto", "exact", "greedy", "brute"}, default="auto"
        With free order "exact" is a dynamic programme over ads and sets of positions,
        for 16 positions at most; with a fixed one a search with bounds, whose time may
        grow exponentially. "greedy" adds the pair that gains most, for free order: at
        least a third of the best value, in practice 99 % of it. "brute" enumerates, for
        tests. "auto" is "exact".

    Returns
    -------
    AssignmentResult
        The placement, in the order of reading; `exact` is false for "greedy". Of equals
        the ad of lower index is shown.

    Raises
    ------
    ValueError
        If weights are not finite, a probability is not between 0 and 1, `max_ads` is
        negative, the order no permutation, the solver unknown or not for this order, or
        there are too many positions.

    See Also
    --------
    mnl_assignment : Users who see all at once.

    Notes
    -----
    The paper [1]_ has approximations for cascade users. The dynamic programme, the
    search and the greedy solution are ours.

    References
    ----------
    .. [1] "Position Auctions in AI-Generated Content", arXiv:2506.03309.

    Examples
    --------
    >>> from sklogit.choice import cascade_assignment
    >>> p = [[0.30, 0.10], [0.40, 0.35], [0.20, 0.50]]
    >>> best = cascade_assignment([3.0, 2.0, 1.0], p)
    >>> best.positions, round(best.value, 6)
    (array([ 0,  1, -1]), 1.39)
    """
    ctr = check_ctr(ctr)
    weights = check_weights(weights, len(ctr))
    max_ads = check_max_ads(max_ads, ctr.shape[1])
    order = check_order(order, ctr.shape[1])
    check_solver(solver, order, ctr.shape[1])
    return cascade_placement(weights, ctr, max_ads, order, solver)


def cascade_placement(weights, ctr, max_ads, order=None, solver="auto"):
    """`cascade_assignment` of checked input; order is None if it is free."""
    # Ads without value only take readers away, and pairs that nobody clicks are idle.
    useful = np.flatnonzero((weights > 0) & (ctr > 0).any(axis=1))
    by_weight = useful[np.argsort(-weights[useful], kind="stable")]
    w, p = weights[by_weight], ctr[by_weight]
    if solver == "brute":
        rows, cols, n_iter = best_by_enumeration(w, p, max_ads, order)
    elif order is not None:
        rows, cols, n_iter = best_fixed_order(w, p, max_ads, order)
    elif solver == "greedy":
        rows, cols, n_iter = greedy_value_order(w, p, max_ads)
    else:
        rows, cols, n_iter = best_value_order(w, p, max_ads)
    rows, cols = np.array(rows, dtype=np.intp), np.array(cols, dtype=np.intp)
    clicked = np.zeros(len(weights))
    shown = p[rows, cols]
    read = np.concatenate([[1.0], np.cumprod(1.0 - shown)[:-1]])[: len(shown)]
    clicked[by_weight[rows]] = read * shown
    value = float(weights @ clicked)
    exact = solver != "greedy"
    return AssignmentResult(by_weight[rows], cols, clicked, value, n_iter, exact)


def check_order(order, n_positions):
    """Return None for a free order, or the permutation."""
    if isinstance(order, str):
        if order != "value":
            raise ValueError(f"order must be 'value' or a permutation, got {order!r}.")
        return None
    order = check_array(order, ensure_2d=False, dtype=None, input_name="order")
    if (
        order.shape != (n_positions,)
        or (np.sort(order) != np.arange(n_positions)).any()
    ):
        raise ValueError(
            f"order must be a permutation of the {n_positions} positions, got {order}."
        )
    return order.astype(np.intp)


def check_solver(solver, order, n_positions):
    """Raise ValueError for a solver that is unknown, or not for this order or size."""
    if solver not in _SOLVERS:
        raise ValueError(f"solver must be one of {[*_SOLVERS]}, got {solver!r}.")
    if solver == "greedy" and order is not None:
        raise ValueError("solver='greedy' needs order='value'.")
    if order is None and solver in ("auto", "exact") and n_positions > MOST_POSITIONS:
        raise ValueError(
            f"solver={solver!r} takes {MOST_POSITIONS} positions at most, got "
            f"{n_positions}: solver='greedy' takes any number."
        )
