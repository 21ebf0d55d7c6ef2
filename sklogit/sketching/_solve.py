"""Choice of the solver of a least-squares problem, by cost and by what it meets."""

import warnings
from dataclasses import replace

import numpy as np
from scipy.linalg.lapack import dpocon, dpotrf

from ._cholesky import EPS_OF, frame_of, solve_cholesky, solve_preconditioned_cholesky
from ._error_bars import finite_population
from ._exact import solve_exactly
from ._frame import Frame, powers_of_two
from ._iterative import solve_iteratively
from ._one_pass import solve_sketch
from ._sketch_rows import make_operator
from ._sums import Extremes, Sketch, SumsOverflow

# Nanoseconds for each entry of X, measured with one thread; only ratios matter. The
# last two are to be multiplied by the number of columns.
_PASS, _ROUND = 0.4, 0.4
_GRAM32, _GRAM64 = 0.0085, 0.0185
_TRIANGULAR = 0.0165
# Passes of the iterative solver, each of which also multiplies sparse rows twice.
_PASSES = 36
_SPARSE_PASS, _SPARSE_PRODUCT = 2.0, 8.0
# A dense Gram matrix of more columns does not fit.
_MOST_COLUMNS = 8000
# Equations are hopeless for normal equations if a sample of rows is worse than this.
_HOPELESS = 1e-15
_SLOWEST = 0.1
_LARGE_WEIGHT = 1e8
# Of smaller tables the decomposition takes less than a few milliseconds.
_MANY_ENTRIES = 20_000


SOLVERS = ("auto", "exact", "cholesky", "preconditioned_cholesky", "iterative")


# Overflows show in sums that are not finite, and are looked into then.
_checks_overflow = np.errstate(over="ignore", invalid="ignore")


@_checks_overflow
def solve(problem, solver, sketch_size=None):
    """Solve a problem whose rows can be read again.

    Parameters
    ----------
    problem : Problem
        What to solve.
    solver : {"auto", "exact", "cholesky", "preconditioned_cholesky", "iterative"}
        Solver; where it cannot solve the problem another one does.
    sketch_size : int or None
        Rows of the sketch that makes columns orthogonal.

    Returns
    -------
    Solution
        The solution; `solver` tells what made it.
    """
    problem, factor = _with_moderate_weights(problem)
    try:
        solution = _solve(problem, solver, sketch_size)
    except SumsOverflow:
        rows = problem.rows
        extremes = Extremes(rows.n_features, rows.n_targets)
        problem = replace(problem, sizes=extremes.sizes(rows.sum(extremes)))
        try:
            solution = _solve(problem, solver, sketch_size)
        except SumsOverflow:
            solution = solve_exactly(problem)
    return _for_weights_of(solution, factor)


def _solve(problem, solver, sketch_size):
    n_rows = problem.rows.n_rows
    few = n_rows is not None and n_rows <= few_rows(problem)
    if solver == "exact" or few:
        solution = None
        if solver in ("auto", "cholesky") and _repays_products(problem):
            solution = solve_cholesky(problem, frame_of(problem)[0], np.float64)
        return solve_exactly(problem) if solution is None else solution
    frame, sample = frame_of(problem)
    solution = None
    if solver == "cholesky" or (solver == "auto" and _prefers_products(problem)):
        solution = _by_normal_equations(problem, frame, sample)
        if solution is None and solver == "cholesky":
            warnings.warn(
                "The columns of X are too dependent for solver='cholesky', and "
                "'preconditioned_cholesky' was used instead.",
                UserWarning,
                stacklevel=4,
            )
    iterates = solver == "iterative" or (
        solver == "auto" and not _prefers_products(problem, preconditioned=True)
    )
    if solution is None and iterates:
        solution = solve_iteratively(problem, frame, sketch_size)
    for dtype in (np.float32, np.float64):
        if solution is None:
            solution = solve_preconditioned_cholesky(problem, frame, dtype, sketch_size)
    return solve_exactly(problem) if solution is None else solution


@_checks_overflow
def solve_in_one_pass(problem, sketch, sketch_size, block_size=None):
    """Solve the problem of sketched rows.

    Parameters
    ----------
    problem : Problem
        What to solve.
    sketch : str
        Name of the sketch.
    sketch_size : int
        Its rows.
    block_size : int or None
        Rows that it takes at a time.

    Returns
    -------
    Solution
        The solution; of all rows, if they are no more than those of the sketch.
    """
    problem, weights = _with_moderate_weights(problem)
    rows = problem.rows
    if rows.n_rows is not None and rows.n_rows <= sketch_size:
        return _for_weights_of(solve_exactly(problem), weights)
    p, k = rows.n_features, rows.n_targets
    operator = make_operator(
        sketch,
        sketch_size,
        block_size=block_size,
        seed=problem.seed,
        n_columns=1 + p + k,
    )
    frame = Frame(None, None, np.zeros(k), np.ones(k))
    sketched = Sketch(frame, operator, p, k, rows.dtype)
    SA = sketched.joined(rows.sum(sketched))
    if not np.isfinite(SA).all():
        rows.check_finite()
    factor = finite_population(sketch, sketch_size, rows.n_rows, operator.block_size)
    solution = solve_sketch(
        SA, k, problem.alpha, problem.fit_intercept, rows.dtype, factor
    )
    return _for_weights_of(solution, weights)


def _with_moderate_weights(problem):
    """Return the problem with weights near one, and the factor they were multiplied by.

    The solution does not depend on it, but squares of very small or large weighted
    values do not exist in floating point. The factor is a power of four, whose root is
    exact too.
    """
    largest = problem.rows.largest_weight()
    if not largest or 1 / _LARGE_WEIGHT <= largest <= _LARGE_WEIGHT:
        return problem, 1.0
    factor = 4.0 ** min(-(np.frexp(largest)[1] // 2), 510)
    problem.rows.scale_weights(factor)
    alpha = min(problem.alpha * factor, np.finfo(np.float64).max)
    return replace(problem, alpha=alpha), factor


def _for_weights_of(solution, factor):
    """Return the solution for weights that were multiplied by a factor."""
    if factor == 1.0:
        return solution
    return replace(
        solution,
        residual_norm=solution.residual_norm / factor**0.5,
        root=solution.root * factor**0.5,
        error=solution.error / factor**0.5,
    )


def few_rows(problem):
    """Return the number of rows up to which a sketch is no smaller than the data."""
    return 4 * problem.n_columns + 32


def _repays_products(problem):
    """Whether a Gram matrix of few rows takes much less time than LAPACK's solvers."""
    n_rows, columns = problem.rows.n_rows, problem.n_columns
    return n_rows > 1.1 * columns and n_rows * columns >= _MANY_ENTRIES


def _prefers_products(problem, preconditioned=False):
    """Whether a Gram matrix costs less than the passes of iterations."""
    rows, p = problem.rows, problem.n_columns
    if rows.density < 1:
        # Nanoseconds a stored entry; one product or the other, whichever is faster.
        entries = max(rows.density * p, 1e-3)
        gram = min(_GRAM64 * p**2 / entries, _SPARSE_PRODUCT * entries)
        if preconditioned:  # the product is dense
            gram = (_GRAM64 + 2 * _TRIANGULAR) * p**2 / entries
        return p <= _MOST_COLUMNS and gram < _PASSES * _SPARSE_PASS
    gram = (_GRAM32 + _TRIANGULAR * preconditioned) * p
    return p <= _MOST_COLUMNS and gram < _PASSES * _PASS


def _by_normal_equations(problem, frame, sample):
    """Try products in float32, if they save more than the passes they cost, then 64."""
    reciprocal = _reciprocal_condition(sample, problem)
    if reciprocal < _HOPELESS:
        return None
    if _saves_time(problem, reciprocal):
        single = frame_of(problem, np.float32)[0]
        solution = solve_cholesky(problem, single, np.float32)
        if solution is not None:
            return solution
    return solve_cholesky(problem, frame, np.float64)


def _saves_time(problem, reciprocal):
    """Whether float32 products with more passes are faster than float64 ones."""
    if problem.rows.density < 1:
        return False
    more = _n_passes(problem, np.float32, reciprocal) - _n_passes(
        problem, np.float64, reciprocal
    )
    return more * _PASS < (_GRAM64 - _GRAM32) * problem.n_columns + _ROUND


def _n_passes(problem, dtype, reciprocal):
    """Return the passes of refinement; each divides errors by the same factor."""
    factor = EPS_OF[np.dtype(dtype)] / reciprocal
    if factor >= _SLOWEST:
        return np.inf if dtype == np.float32 else _PASSES
    return max(1.0, np.ceil(np.log(problem.accuracy) / np.log(factor)) - 1)


def _reciprocal_condition(sample, problem):
    """Reciprocal condition number of the normal equations of a sample of rows.

    It is a guess at that of all rows; which way is right, is checked when it was taken.
    """
    X, _, weight = sample
    scale = powers_of_two(np.abs(X).max(axis=0))
    X = X * scale.astype(np.float64)
    if problem.fit_intercept:
        X -= X.mean(axis=0)
    if weight is not None:
        X *= np.sqrt(weight)[:, np.newaxis]
    gram = X.T @ X
    if problem.alpha and problem.rows.n_rows:
        part = len(X) / problem.rows.n_rows
        gram[np.diag_indices_from(gram)] += problem.alpha * part * scale**2
    size = np.sqrt(np.diag(gram))
    live = size > 0  # a category may be missing in the sample
    if not live.any():
        return 1.0
    correlation = gram[np.ix_(live, live)] / np.outer(size[live], size[live])
    lower, info = dpotrf(correlation, lower=1)
    if info:
        return 0.0
    return dpocon(lower, np.abs(correlation).sum(axis=0).max(), uplo="L")[0]
