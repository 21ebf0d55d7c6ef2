"""Matchings of ads and positions, with a bound on their number."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

# From this many rows a position on, choosing the best costs less than matching all.
_PRUNED_FROM = 3
# Fewer rows are matched sooner than counted.
_UNPRUNED_ROWS = 200


@dataclass(frozen=True)
class AssignmentResult:
    """Which ads are shown where, and how often they are clicked.

    Attributes
    ----------
    rows : ndarray of shape (n_shown,)
        Ads that are shown, in rendering order.
    cols : ndarray of shape (n_shown,)
        Their positions.
    ctr : ndarray of shape (n_ads,)
        Click probability of each ad in this assignment; 0 if not shown.
    value : float
        Weighted sum of the click probabilities.
    n_iter : int
        Matchings solved, or sets and orders visited.
    exact : bool
        Whether no assignment has a larger value.
    """

    rows: np.ndarray
    cols: np.ndarray
    ctr: np.ndarray
    value: float
    n_iter: int
    exact: bool = True

    @property
    def positions(self):
        """Position of each ad, (n_ads,); -1 if not shown."""
        positions = np.full(len(self.ctr), -1)
        positions[self.rows] = self.cols
        return positions


def at_most_k_matching(gains, k):
    """Find the matching of at most k edges of the largest gain.

    Parameters
    ----------
    gains : ndarray of shape (n_rows, n_cols)
        Gains; edges that are not positive are never taken.
    k : int
        Most edges.

    Returns
    -------
    rows, cols : ndarray of shape (n_edges,)
        The edges, by increasing row.
    """
    n, m = gains.shape
    kept = None
    if n > max(_PRUNED_FROM * m, _UNPRUNED_ROWS):
        kept = _rows_that_may_win(gains)
        gains = gains[kept]
    gains = np.maximum(gains, 0.0)
    rows, cols = linear_sum_assignment(_padded(gains, k), maximize=True)
    if k < min(n, m):  # dummies follow the real rows
        rows, cols = rows[rows < len(gains)], cols[rows < len(gains)]
    taken = gains[rows, cols] > 0
    rows, cols = rows[taken], cols[taken]
    return rows if kept is None else kept[rows], cols


def _rows_that_may_win(gains):
    """Rows that are among the m best of a column.

    Others are in no need: of m better rows, m - 1 columns leave one free.
    """
    n, m = gains.shape
    best = np.argpartition(gains, n - m, axis=0)[-m:]
    return np.unique(best)


def _padded(gains, k):
    """Append rows that take columns away until k are left."""
    n, m = gains.shape
    if k >= min(n, m):
        return gains
    # With as many rows as columns every column is matched, and a gain above all others
    # makes every dummy take one: k are left, those without gain are dropped later.
    return np.vstack([gains, np.full((m - k, m), 2.0 * gains.max())])
