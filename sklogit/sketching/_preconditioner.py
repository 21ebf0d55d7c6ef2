"""A basis in which the columns of a tall matrix are nearly orthogonal."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import svd
from scipy.linalg.lapack import dtrtri

from ._frame import Frame
from ._normal_factor import NormalFactor
from ._rank import column_norms, norm, rank_tolerance, smallest_singular_value
from ._sketch_rows import make_operator
from ._sums import Sketch, SumsOverflow
from ._triangular import triangular_root
from ._truncation import is_full_rank, null_part

# A sketch of m rows distorts norms by 1 +- sqrt(columns / m).
_ROWS_PER_COLUMN = 4
_EXTRA_ROWS = 32
# Directions near the tolerance are kept here; their exact size decides afterwards.
_BELOW_TOLERANCE = 1 / 8


@dataclass
class Preconditioner:
    """Transform M of the columns, from a sketch, and the solution of the sketch.

    Attributes
    ----------
    frame : Frame
        With the transform M.
    inverse : ndarray of shape (rank, n_features)
        Left inverse of M.
    lengths : ndarray of shape (n_features,)
        Norms of the columns of the frame without M.
    sketch_size : int
        Rows of the sketch.
    start : tuple of ndarray
        Solution (u, constant) of the sketched problem.
    mean : ndarray of shape (rank,)
        Estimated mean of the transformed columns.
    total_weight : float
        Estimated sum of the weights.
    null : ndarray of shape (n_features,) or float
        As of `NormalFactor`.
    """

    frame: Frame
    inverse: np.ndarray
    lengths: np.ndarray
    sketch_size: int
    start: tuple
    mean: np.ndarray
    total_weight: float
    null: np.ndarray | float = 0.0

    def factor(self, problem):
        """Return the factor of equations that take the sketch for the data."""
        rank = self.frame.transform.shape[1]
        return NormalFactor(
            frame=self.frame,
            lower=np.eye(rank),
            scale=np.ones(rank),
            mean=self.mean,
            total_weight=self.total_weight,
            live=np.ones(rank, dtype=bool),
            lengths=self.lengths,
            uncertainty=np.sqrt((rank + 1) / self.sketch_size),
            has_intercept=problem.fit_intercept,
            null=self.null,
            start=self.start,
        )


def sketch_preconditioner(problem, frame, sketch_size=None, keep=_BELOW_TOLERANCE):
    """Make the columns of a problem orthogonal from a sketch of them.

    Parameters
    ----------
    problem : Problem
        What to solve.
    frame : Frame
        Shift and scale of its columns.
    sketch_size : int or None
        Rows of the sketch.
    keep : float
        Directions are dropped below the tolerance of ranks times this.

    Returns
    -------
    Preconditioner
        Basis and first solution.
    """
    rows = problem.rows
    m = sketch_size or _ROWS_PER_COLUMN * problem.n_columns + _EXTRA_ROWS
    if m <= problem.n_columns:
        raise ValueError(
            f"sketch_size must exceed the number of columns: got {m} for "
            f"{problem.n_columns}, the intercept included."
        )
    columns = 1 + rows.n_features + rows.n_targets
    operator = make_operator("sparse_sign", m, seed=problem.seed, n_columns=columns)
    dtype = np.dtype(np.float64)
    sketch = Sketch(frame, operator, rows.n_features, rows.n_targets, dtype)
    SA = sketch.joined(rows.sum(sketch))
    if not np.isfinite(SA).all():
        rows.check_finite()
        raise SumsOverflow
    return precondition(problem, frame, SA, keep)


def precondition(problem, frame, SA, keep=_BELOW_TOLERANCE):
    """Return the preconditioner of a sketch of [1, Z, y]."""
    p, m = problem.rows.n_features, len(SA)
    if problem.alpha:
        penalty = np.zeros((p, SA.shape[1]))
        scale = np.ones(p) if frame.scale is None else frame.scale
        penalty[np.arange(p), 1 + np.arange(p)] = np.sqrt(problem.alpha) * scale
        SA = np.vstack([SA, penalty])
    if not problem.fit_intercept:
        SA[:, 0] = 0.0
        SA = np.vstack([np.eye(1, SA.shape[1]), SA])  # orthogonal to all others
    R = triangular_root(SA)
    first, inner, right = R[0, 0], R[1 : 1 + p, 1 : 1 + p], R[: 1 + p, 1 + p :]
    mean = R[0, 1 : 1 + p] / first
    tolerance = rank_tolerance(p, problem.rows.dtype) * keep
    M, inverse, triangular, null = _inverse(inner, frame, first, mean, tolerance)
    coordinates = right[1:] if triangular else (inner @ M).T @ right[1:]
    constant = right[0] / first - mean @ (M @ coordinates)
    return Preconditioner(
        frame=frame.with_transform(M, triangular),
        inverse=inverse,
        lengths=column_norms(R[: 1 + p, 1 : 1 + p]),
        sketch_size=m,
        start=(coordinates, constant if problem.fit_intercept else constant * 0.0),
        mean=mean @ M,
        total_weight=first**2,
        null=null,
    )


def _inverse(R, frame, first, mean, tolerance):
    """Return M with orthonormal R M, its left inverse, its form and what is null."""
    scale = np.ones(len(R)) if frame.scale is None else frame.scale
    shift = np.zeros(len(R)) if frame.shift is None else frame.shift
    unscaled = R / scale
    raw_mean = mean / scale + shift
    noise = smallest_singular_value(norm(unscaled), first**2, raw_mean, tolerance)
    if is_full_rank(unscaled, noise):
        return np.triu(dtrtri(R)[0]), R, True, 0.0
    # Coefficients of columns that are zero must not get rounding of the others.
    live = unscaled.any(axis=0)
    _, s, Vt = svd(unscaled[:, live], full_matrices=False, check_finite=False)
    noise = smallest_singular_value(s.max(initial=0.0), first**2, raw_mean, tolerance)
    kept = s > noise
    V, null = np.zeros((len(R), int(kept.sum()))), np.zeros(len(R))
    V[live] = Vt[kept].T
    null[live] = null_part(Vt[kept], s[kept], noise)
    M = (V / s[kept]) / scale[:, np.newaxis]
    return M, (s[kept, np.newaxis] * V.T) * scale, False, null
