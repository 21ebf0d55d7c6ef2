"""Least squares by normal equations that are checked, and refined to full accuracy."""

import numpy as np

from ._frame import make_frame, rescaled
from ._normal_factor import factor_moments
from ._preconditioner import sketch_preconditioner
from ._rank import rank_tolerance
from ._refinement import EPS, refine
from ._sums import Moments, SumsOverflow
from ._truncation import without_noise

EPS_OF = {np.dtype(t): float(np.finfo(t).eps) / 2 for t in (np.float32, np.float64)}
# Above this relative error of the factored equations refinement is slow or fails.
_MOST_UNCERTAIN = {np.dtype(np.float32): 0.5, np.dtype(np.float64): 0.1}


def solve_cholesky(problem, frame, dtype):
    """Solve by the normal equations of the columns as they are, scaled and centred.

    Parameters
    ----------
    problem : Problem
        What to solve.
    frame : Frame
        Shift and scale of its columns.
    dtype : dtype
        Type in which to multiply for the moments; the solution is that of float64.

    Returns
    -------
    Solution or None
        None if the columns are too dependent for it.
    """
    factor = _factor(problem, frame, dtype)
    if factor is None:
        return None
    factor = without_noise(factor, None, _tolerance(problem))
    return refine(problem, factor, "cholesky")


def solve_preconditioned_cholesky(problem, frame, dtype=np.float32, sketch_size=None):
    """Solve by the normal equations of columns that a sketch has made orthogonal.

    With S A = Q R of a random sketch S A of A = [1, X] the columns of A R^-1 have a
    condition number of at most 3, however dependent those of A are. Their moments take
    a pass, and may be computed in float32.

    Parameters
    ----------
    problem, frame, dtype
        As of `solve_cholesky`.
    sketch_size : int or None
        Rows of the sketch; more than there are columns.

    Returns
    -------
    Solution or None
        None if the sketch was no embedding.
    """
    preconditioner = sketch_preconditioner(problem, frame, sketch_size)
    factor = _factor(problem, preconditioner.frame, dtype, preconditioner.lengths)
    if factor is None:
        return None
    factor.null = preconditioner.null
    factor = without_noise(factor, preconditioner.inverse, _tolerance(problem))
    solution = refine(problem, factor, "preconditioned_cholesky")
    if solution is not None:
        solution.sketch_size = preconditioner.sketch_size
        solution.n_iter += 1
    return solution


def _factor(problem, frame, dtype, lengths=None):
    rows, dtype = problem.rows, np.dtype(dtype)
    n_columns = rows.n_features
    if frame.transform is not None:
        n_columns = frame.transform.shape[1]
    moments = rows.sum(Moments(frame, n_columns, rows.n_targets, dtype))
    if not all(np.isfinite(m).all() for m in moments):
        rows.check_finite()
        raise SumsOverflow
    factor = factor_moments(
        moments, frame, problem.alpha, problem.fit_intercept, EPS_OF[dtype], lengths
    )
    if factor is None or factor.uncertainty > _MOST_UNCERTAIN[dtype]:
        return None
    if frame.transform is not None:
        # Of the products with the transform, whose columns may cancel.
        spread = np.linalg.norm(lengths[:, np.newaxis] * frame.transform)
        factor.uncertainty = max(factor.uncertainty, EPS * spread)
    return factor


def _tolerance(problem):
    return rank_tolerance(problem.rows.n_features, problem.rows.dtype)


def frame_of(problem, dtype=np.float64, size=None):
    """Return a frame chosen from a sample of rows, and the sample."""
    size = size or max(256, 4 * problem.n_columns)
    sample = problem.rows.sample(size)
    is_sparse = problem.rows.density < 1
    frame = make_frame(sample, dtype, problem.fit_intercept, is_sparse)
    if problem.sizes is not None:
        frame = rescaled(frame, *problem.sizes)
    return frame, sample
