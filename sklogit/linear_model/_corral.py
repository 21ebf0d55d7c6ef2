"""The corral of Wolfe's algorithm: independent rows, and their least-norm point."""

import numpy as np
from scipy.linalg import qr, qr_delete
from scipy.linalg.lapack import dtrtrs

# A row whose part outside the span of others is below this part of it is in the span.
RANK_TOL = 1e-11
# Rows taken up together must be further from it: one by one they are checked better.
_BLOCK_RANK_TOL = 1e-6


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
        # products with x equal up to a relative error that the Gram matrix, whose
        # condition is the square, would not give.
        self._Q = np.empty((n_coordinates, 0), order="F")
        self._R = np.empty((0, 0), order="F")
        self._k = 0

    @property
    def Q(self):
        """Orthonormal basis of the rows' span, as columns."""
        return self._Q[:, : self._k]

    @property
    def R(self):
        """Coordinates of the rows in the basis, an upper triangle."""
        return self._R[: self._k, : self._k]

    def take_up(self, key, row):
        """Add a row, and drop rows until all weights are positive.

        Parameters
        ----------
        key : object
            Name of the row.
        row : ndarray of shape (n_coordinates,)
            Row with a smaller product with the point than the rows here.

        Returns
        -------
        bool
            False if rounding makes it impossible.
        """
        self.keys.append(key)
        self.weights = np.append(self.weights, 0.0 if len(self.weights) else 1.0)
        return self._settle(row)

    def take_up_block(self, keys, rows):
        """Add those rows that get positive weights together.

        Parameters
        ----------
        keys : sequence
            Names of the rows.
        rows : ndarray of shape (n_rows, n_coordinates)
            Rows with smaller products with the point than the rows here.

        Returns
        -------
        int
            Number of rows added. After 0, the corral is as before.
        """
        n_old = self._k
        if not self._insert_block(rows):
            return 0
        x, norm = self.x, self.norm
        self.keys += list(keys)
        self.weights = np.append(self.weights, np.zeros(len(rows)))
        while self._k > n_old:
            target = self._least_norm_weights()
            useless = n_old + np.flatnonzero(target[n_old:] <= 0)
            if len(useless) == 0:
                n_new = self._k - n_old
                self._settle()
                return n_new
            for i in useless[::-1]:
                self._drop(i)
        self.x, self.norm = x, norm
        return 0

    def _settle(self, row=None):
        """Drop rows until all weights are positive; `row` is not yet in the factors."""
        while True:
            outside = len(self.keys) > self._k and not self._insert(row)
            target = self._zero_weights(row) if outside else self._least_norm_weights()
            if target is None:
                return False
            if (target > 0).all():
                self.weights = target
                if outside:
                    self.x, self.norm = np.zeros_like(self.x), 0.0
                return True
            self._move_towards(target)

    def _least_norm_weights(self):
        """Weights of the affine hull's point of least norm; makes it the point."""
        v = dtrtrs(self.R, np.ones(self._k), trans=1)[0]
        square = v @ v
        self.x, self.norm = self.Q @ v / square, 1 / np.sqrt(square)
        return dtrtrs(self.R, v)[0] / square

    def _zero_weights(self, row):
        """Weights of zero, which a row of the span brings into the affine hull."""
        beta = dtrtrs(self.R, self.Q.T @ row)[0] if self._k else np.empty(0)
        scale = 1 - beta.sum()
        return np.append(-beta, 1.0) / scale if scale > 0 else None

    def _move_towards(self, target):
        """Move until a weight is zero, and drop its row."""
        falling = np.flatnonzero(target <= 0)
        old = self.weights[falling]
        # A weight that is zero already allows no move; 0 / 0 is one too.
        steps = old / np.maximum(old - target[falling], np.finfo(float).tiny)
        first = steps.argmin()
        self.weights += steps[first] * (target - self.weights)
        self.weights = self.weights.clip(0)
        self._drop(falling[first])

    def _insert(self, row):
        """Append a row to the factors; False if it is in the span of the others."""
        k, size = self._k, np.linalg.norm(row)
        coef = self.Q.T @ row
        rest = row - self.Q @ coef
        norm = np.linalg.norm(rest)
        if norm < 0.7 * size:  # the difference has lost digits
            again = self.Q.T @ rest
            coef += again
            rest -= self.Q @ again
            norm = np.linalg.norm(rest)
        if norm <= RANK_TOL * size or k == len(row):
            return False
        self._append(coef[:, np.newaxis], rest[:, np.newaxis] / norm, norm)
        return True

    def _insert_block(self, rows):
        """Append rows to the factors, all or none; False if they may be dependent."""
        if self._k + len(rows) > rows.shape[1]:
            return False
        coef = self.Q.T @ rows.T
        rest = rows.T - self.Q @ coef
        again = self.Q.T @ rest
        Q, R = qr(rest - self.Q @ again, mode="economic", check_finite=False)
        sizes = np.linalg.norm(rows, axis=1)
        if (abs(np.diagonal(R)) <= _BLOCK_RANK_TOL * sizes).any():
            return False
        self._append(coef + again, Q, R)
        return True

    def _append(self, coef, Q, R):
        old, self._k = self._k, self._k + Q.shape[1]
        if self._k > len(self._R):
            size = min(2 * self._k + 8, len(Q))
            larger_Q = np.empty((len(Q), size), order="F")
            larger_R = np.empty((size, size), order="F")
            larger_Q[:, :old], larger_R[:old, :old] = (
                self._Q[:, :old],
                self._R[:old, :old],
            )
            self._Q, self._R = larger_Q, larger_R
        self.Q[:, old:] = Q
        self.R[:old, old:], self.R[old:, :old], self.R[old:, old:] = coef, 0.0, R

    def _drop(self, i):
        self.weights = np.delete(self.weights, i)
        del self.keys[i]
        Q, R = qr_delete(
            self.Q, self.R, i, which="col", overwrite_qr=True, check_finite=False
        )
        self._k -= 1
        # Overwriting is allowed, not promised. Of square factors, Q comes back square.
        if not np.shares_memory(Q, self._Q):
            self.Q[:], self.R[:] = Q[:, : self._k], R[: self._k]
