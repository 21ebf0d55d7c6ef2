"""Least squares from second moments that were summed in one pass."""

import numpy as np
from scipy import sparse

from ._blocks import ArrayRows
from ._frame import make_frame
from ._normal_factor import factor_moments
from ._rank import column_norms, rank_tolerance
from ._refinement import EPS, ROUNDING_UNITS, Point, Rounding
from ._solution import Solution
from ._sums import Moments
from ._truncation import without_noise

# Relative error from which on a sketch is preferred: cond^2 eps at cond = 1e7.
_MOST_UNCERTAIN = 1e-2


class MomentStream:
    """Moments of [1, X, y], summed chunk by chunk, centred roughly by the first chunk.

    Parameters
    ----------
    fit_intercept : bool
        Whether columns may be centred.
    """

    def __init__(self, fit_intercept):
        self.fit_intercept = fit_intercept
        self.frame = self.total = None

    def update(self, X, y, weight):
        """Add a chunk."""
        rows = ArrayRows(X, y, weight)
        if self.frame is None:
            self.frame = make_frame(
                rows.sample(1000), np.float64, self.fit_intercept, sparse.issparse(X)
            )
        moments = Moments(self.frame, X.shape[1], y.shape[1], np.dtype(np.float64))
        total = rows.sum(moments)
        if self.total is not None:
            total = tuple(a + b for a, b in zip(self.total, total))
        self.total = total

    def merge(self, other):
        """Add the moments of another stream."""
        moved = _moved(other.total, other.frame, self.frame)
        self.total = tuple(a + b for a, b in zip(self.total, moved))

    def solve(self, alpha, dtype):
        """Return the solution, or None if the columns are too dependent.

        There is no second pass to refine it: its relative error is that of normal
        equations, cond^2 eps, with columns scaled and centred.
        """
        if not all(np.isfinite(m).all() for m in self.total):
            return None
        factor = factor_moments(
            self.total, self.frame, alpha, self.fit_intercept, EPS / 2
        )
        if factor is None or factor.uncertainty > _MOST_UNCERTAIN:
            return None
        tolerance = rank_tolerance(len(factor.mean), dtype)
        factor = without_noise(factor, None, tolerance)
        point, floor, frame = Point(factor), Rounding(factor), factor.frame
        length = np.sqrt(np.diag(self.total[2])[1:])
        error = ROUNDING_UNITS * factor.uncertainty * length
        error += floor.of_residuals(point.coef, length)
        coef, intercept = frame.to_coef(point.coef, point.constant)
        return Solution(
            coef=coef,
            intercept=intercept,
            residual_norm=self._residual(point) / frame.y_scale,
            rank=factor.rank,
            solver="cholesky",
            n_iter=1,
            root=floor.root,
            error=error / frame.y_scale,
            null_error=np.outer(factor.null * np.ones(len(coef)), column_norms(coef)),
        )

    def _residual(self, point):
        """Norms of residuals, from the moments."""
        full, k = _full(self.total), len(point.constant)
        v = np.vstack([-point.constant, np.eye(k), -point.coef])
        return np.sqrt(np.maximum(np.sum(v * (full @ v), axis=0), 0.0))


def _full(moments):
    """Moments of [1, y, Z] as one matrix."""
    gram, cross, small = moments
    return np.block([[small, cross], [cross.T, gram]])


def _moved(moments, old, new):
    """Moments in one frame from those in another."""
    full, k = _full(moments), len(moments[2])
    one = np.ones(1)
    p = len(full) - k
    ones, zeros = np.ones(p), np.zeros(p)
    old_scale = ones if old.scale is None else old.scale
    new_scale = ones if new.scale is None else new.scale
    old_shift = zeros if old.shift is None else old.shift
    new_shift = zeros if new.shift is None else new.shift
    change = np.diag(
        np.concatenate([one, new.y_scale / old.y_scale, new_scale / old_scale])
    )
    change[0, 1:k] = (old.y_shift - new.y_shift) * new.y_scale
    change[0, k:] = (old_shift - new_shift) * new_scale
    full = change.T @ full @ change
    return full[k:, k:], full[:k, k:], full[:k, :k]
