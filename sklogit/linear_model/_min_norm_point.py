"""Point of least norm in the convex hull of rows: the exact answer on separability."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import qr_delete
from scipy.linalg.lapack import dtrtrs

from ._hull_rows import BinaryRows, MulticlassRows

__all__ = ["BinaryRows", "MinNormPoint", "MulticlassRows", "min_norm_point"]

# A row is in the span of others, and a point is zero, below this part of the radius.
RANK_TOL = 1e-11
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
        Its norm: an upper bound of the margin, reached when separable.
    lower : float
        Least product of a row with the direction of the point: the margin that it has;
        -inf if no direction is left.
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
        Ends when :math:`\min_i \langle b_i, x\rangle \ge (1 - tol) \|x\|^2`.
    max_iter : int, default=10_000
        Most rows taken up.
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
    sought among those that an earlier pass over all of them found low; a new pass is
    made when these have no more to give, and ends the search when it finds none.

    References
    ----------
    .. [1] P. Wolfe, "Finding the nearest point in a polytope", Mathematical
       Programming 11, 1976.
    """
    return _Search(oracle, tol, max_iter).run(start)


class _Search:
    def __init__(self, oracle, tol, max_iter):
        self.oracle, self.tol, self.max_iter = oracle, tol, max_iter
        self.radius = oracle.radius or 1.0
        self.size = max(50, min(oracle.n_coordinates, 400))
        self.corral = Corral(oracle.n_coordinates)
        self.n_iter = self.n_passes = 0

    def run(self, start):
        """Alternate between passes over all rows and cycles over the lowest."""
        self.pool, self.pool_rows = np.empty(0, int), np.empty((0, len(self.corral.x)))
        lower = -np.inf
        self.add_lowest(self.oracle.mean() if start is None else start)
        status = self.exhaust_pool()
        while status is None:
            values, n_new = self.add_lowest(self.corral.x)
            lower = values / self.corral.norm
            if values >= (1 - self.tol) * self.corral.norm**2:
                status = "separable"
            elif n_new == 0:
                status = "undecided"
            else:
                status = self.exhaust_pool()
        return self.result(status, lower)

    def add_lowest(self, theta):
        indices, values = self.oracle.lowest(theta, self.size)
        self.n_passes += 1
        new = indices[~np.isin(indices, self.pool)]
        self.pool = np.concatenate([self.pool, new])
        rows = self.oracle.rows(new) / self.radius
        self.pool_rows = np.concatenate([self.pool_rows, rows])
        return values[0] / self.radius, len(new)

    def exhaust_pool(self):
        corral, stuck = self.corral, 0
        while True:
            values = self.pool_rows @ corral.x
            lowest = values.argmin()
            if (
                len(corral.keys)
                and values[lowest] >= (1 - self.tol / 2) * corral.norm**2
            ):
                return None
            if self.n_iter == self.max_iter:
                return "undecided"
            self.n_iter += 1
            before = corral.norm
            key = self.pool[lowest]
            if key in corral.keys or not corral.take_up(key, self.pool_rows[lowest]):
                return "undecided"
            if corral.norm <= RANK_TOL:
                return "not separable"
            stuck = stuck + 1 if corral.norm >= before else 0
            if stuck > _PATIENCE:
                return "undecided"

    def result(self, status, lower):
        keys = np.array(self.corral.keys)
        weights = self.corral.weights
        theta = weights @ self.oracle.rows(keys)
        if status != "not separable":
            theta = self.corral.x * self.radius
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


class Corral:
    """Independent rows whose hull holds the least-norm point of their affine hull.

    Parameters
    ----------
    n_coordinates : int
        Length of a row.

    Attributes
    ----------
    keys : list
        Names of the rows.
    weights : ndarray
        Their positive weights, of sum 1.
    x : ndarray of shape (n_coordinates,)
        The point, zero at first.
    norm : float
        Its norm, inf at first.
    """

    def __init__(self, n_coordinates):
        self.keys, self.weights = [], np.empty(0)
        self.x, self.norm = np.zeros(n_coordinates), np.inf
        # Factors Q R of the matrix with the rows as columns. Solving with R leaves the
        # products with x equal to a relative error that the Gram matrix, whose
        # condition is the square, would not.
        self._Q = np.empty((n_coordinates, 0), order="F")
        self._R = np.empty((0, 0), order="F")
        self._k = 0

    @property
    def Q(self):
        return self._Q[:, : self._k]

    @property
    def R(self):
        return self._R[: self._k, : self._k]

    def take_up(self, key, row):
        """Add a row, drop others until all weights are positive; False if it fails."""
        self.keys.append(key)
        self.weights = np.append(self.weights, 0.0 if len(self.weights) else 1.0)
        while True:
            outside = len(self.keys) > len(self.R)
            if outside:
                outside = not self._insert(row)
            target = self._zero_weights(row) if outside else self._least_norm_weights()
            if target is None:
                return False
            if (target > 0).all():
                self.weights = target
                if outside:
                    self.x, self.norm = np.zeros_like(self.x), 0.0
                return True
            self._move_towards(target)

    def _insert(self, row):
        """Append a row to the factors unless it is in the span of theirs."""
        k, size = self._k, np.linalg.norm(row)
        coef = self.Q.T @ row
        rest = row - self.Q @ coef
        norm = np.linalg.norm(rest)
        if norm < 0.7 * size:  # what is left has lost digits: once more
            again = self.Q.T @ rest
            coef += again
            rest -= self.Q @ again
            norm = np.linalg.norm(rest)
        if norm <= RANK_TOL * size or k == len(row):
            return False
        self._reserve(k + 1)
        self._k += 1
        self.Q[:, k] = rest / norm
        self.R[:k, k], self.R[k, :k], self.R[k, k] = coef, 0.0, norm
        return True

    def _reserve(self, k):
        if k > len(self._R):
            Q, R, room = self.Q, self.R, min(2 * k + 8, len(self.x))
            self._Q = np.empty((len(self.x), room), order="F")
            self._R = np.empty((room, room), order="F")
            self.Q[:], self.R[:] = Q, R

    def _least_norm_weights(self):
        """Weights of the point of least norm in the affine hull; sets the point."""
        v = dtrtrs(self.R, np.ones(len(self.R)), trans=1)[0]
        square = v @ v
        self.x, self.norm = self.Q @ v / square, 1 / np.sqrt(square)
        return dtrtrs(self.R, v)[0] / square

    def _zero_weights(self, row):
        """Weights of zero, which is in the affine hull with a row of the span."""
        beta = dtrtrs(self.R, self.Q.T @ row)[0] if len(self.R) else np.empty(0)
        scale = 1 - beta.sum()
        return np.append(-beta, 1.0) / scale if scale > 0 else None

    def _move_towards(self, target):
        """Move until a weight is zero, and drop its row."""
        falling = np.flatnonzero(target <= 0)
        fall = self.weights[falling] - target[falling]
        steps = np.divide(
            self.weights[falling], fall, out=np.zeros(len(fall)), where=fall > 0
        )
        first = falling[steps.argmin()]
        weights = self.weights + steps.min() * (target - self.weights)
        self.weights = np.delete(weights, first).clip(0)
        del self.keys[first]
        # In place: the factors stay where they are, in the first columns.
        qr_delete(
            self.Q, self.R, first, which="col", overwrite_qr=True, check_finite=False
        )
        self._k -= 1
