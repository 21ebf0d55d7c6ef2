"""Point of least norm in the convex hull of rows: the exact answer on separability."""

from dataclasses import dataclass

import numpy as np

from ._corral import RANK_TOL, Corral
from ._hull_rows import BinaryRows, MulticlassRows

__all__ = ["BinaryRows", "MinNormPoint", "MulticlassRows", "min_norm_point"]

# Rows kept from a pass over all of them. Many save passes; few are visited faster.
_POOL_ROWS = (50, 400)
# Beyond this size of a corral, taking up rows in blocks is worth its failures.
_BLOCK_CORRAL = 100
# Cycles without a smaller norm, after which rounding is taken to be the reason.
_PATIENCE = 20


@dataclass
class MinNormPoint:
    """Point of least norm in the hull of rows, and the few rows that give it.

    Attributes
    ----------
    theta : ndarray of shape (n_coordinates,)
        The point. If separable, its direction has the largest margin.
    norm : float
        Its norm, an upper bound of the margin; reached up to ``tol`` when separable.
    lower : float
        Least product of a row with the direction of the point, the margin that it has;
        -inf if the point is zero.
    indices : ndarray of int
        Samples of the rows whose combination the point is.
    weights : ndarray
        Their positive weights, of sum 1.
    n_iter : int
        Rows taken up, with repetition.
    n_passes : int
        Passes over all rows.
    status : str
        "separable", "not separable", or "undecided" if `max_iter` or the precision of
        the numbers was not enough.
    """

    theta: np.ndarray
    norm: float
    lower: float
    indices: np.ndarray
    weights: np.ndarray
    n_iter: int
    n_passes: int
    status: str


def min_norm_point(oracle, *, tol=1e-6, max_iter=10_000, start=None):
    r"""Find the point of least norm in the convex hull of rows by Wolfe's algorithm.

    The norm is the largest margin of separable data; for others the point is zero, and
    at most one more row than coordinates proves it (Gordan, Caratheodory).

    Parameters
    ----------
    oracle : BinaryRows or MulticlassRows
        The rows.
    tol : float, default=1e-6
        Ends when :math:`\min_i \langle b_i, x\rangle \ge (1 - tol) \|x\|^2`. Where only
        the answer counts, 0.5 saves some iterations.
    max_iter : int, default=10_000
        Rows to take up before the search ends undecided.
    start : ndarray of shape (n_coordinates,), default=None
        Guess of the direction; None is the mean row.

    Returns
    -------
    MinNormPoint
        The point.

    Notes
    -----
    The algorithm keeps a corral: independent rows with the point of least norm of their
    affine hull inside their convex hull. It takes up the row with the least product
    with the point, and drops rows until the least norm is inside again. Rows are
    sought in a pool of those that passes over all of them found low; the next pass is
    made when the pool has no more to give, and ends the search when it finds none.

    References
    ----------
    .. [1] P. Wolfe, "Finding the nearest point in a polytope", Mathematical
       Programming 11, 1976.
    """
    return _Search(oracle, tol, max_iter).run(start)


class _Search:
    def __init__(self, oracle, tol, max_iter):
        self.oracle, self.tol, self.max_iter = oracle, tol, max_iter
        d = oracle.n_coordinates
        self.radius = oracle.radius or 1.0
        self.corral = Corral(d)
        self.pool, self.pool_rows = np.empty(0, dtype=int), np.empty((0, d))
        self.pool_size = int(np.clip(d, *_POOL_ROWS))
        self.block = 2
        self.n_iter = self.n_passes = 0

    def run(self, start):
        """Alternate between passes over all rows and cycles over the pool."""
        self.fill_pool(self.oracle.mean() if start is None else start)
        while True:
            end = self.exhaust_pool()
            if end == "not separable":
                return self.result(end, -np.inf)
            lowest, n_new = self.fill_pool(self.corral.x)
            reached = lowest >= (1 - self.tol) * self.corral.norm**2
            if reached or n_new == 0 or end == "stuck":
                status = "separable" if lowest > 0 else "undecided"
                return self.result(status, lowest / self.corral.norm)

    def fill_pool(self, theta):
        """Add the lowest of all rows; their least value, and how many are new."""
        indices, values = self.oracle.lowest(theta, self.pool_size)
        self.n_passes += 1
        if len(self.pool) > 4 * self.pool_size:
            # No row is lost: a pass that finds it low brings it back.
            keep = np.isin(self.pool, self.corral.keys)
            keep[np.argsort(self.pool_rows @ theta)[: 2 * self.pool_size]] = True
            self.pool, self.pool_rows = self.pool[keep], self.pool_rows[keep]
        new = indices[~np.isin(indices, self.pool)]
        self.pool = np.concatenate([self.pool, new])
        self.pool_rows = np.concatenate(
            [self.pool_rows, self.oracle.rows(new) / self.radius]
        )
        return values[0] / self.radius, len(new)

    def exhaust_pool(self):
        """Take up rows until none is too low.

        Returns
        -------
        str or None
            "not separable" once the point is zero, "stuck" at the limit of iterations
            or of the precision, otherwise None.
        """
        corral, idle = self.corral, 0
        while True:
            values = self.pool_rows @ corral.x
            bound = (1 - self.tol / 2) * corral.norm**2
            low = np.flatnonzero(values < bound)
            if len(low) == 0:
                return None
            low = low[np.argsort(values[low])]
            before = corral.norm
            if self.n_iter >= self.max_iter or not self.take_up(low):
                return "stuck"
            if corral.norm <= RANK_TOL:
                return "not separable"
            idle = idle + 1 if corral.norm >= before else 0
            if idle > _PATIENCE:
                return "stuck"

    def take_up(self, low):
        """Take up the lowest row, and more with it if the last block did well."""
        key, row = self.pool[low[0]], self.pool_rows[low[0]]
        if key in self.corral.keys:  # whose products are equal, but for rounding
            return False
        if len(self.corral.keys) >= _BLOCK_CORRAL and len(low) > 1:
            low = low[: self.block]
            n_new = self.corral.take_up_block(self.pool[low], self.pool_rows[low])
            good = n_new > 0.75 * len(low)
            self.block = 2 * self.block if good else max(self.block // 2, 2)
            self.n_iter += n_new
            if n_new:
                return True
        self.n_iter += 1
        return self.corral.take_up(key, row)

    def result(self, status, lower):
        """Return the point in the units of the rows."""
        keys, weights = np.array(self.corral.keys), self.corral.weights
        theta = self.corral.x * self.radius
        if status == "not separable":  # how far from zero the combination really is
            theta = weights @ self.oracle.rows(keys)
        return MinNormPoint(
            theta=theta,
            norm=float(np.linalg.norm(theta)),
            lower=float(lower * self.radius),
            indices=self.oracle.samples(keys),
            weights=weights,
            n_iter=self.n_iter,
            n_passes=self.n_passes,
            status=status,
        )
