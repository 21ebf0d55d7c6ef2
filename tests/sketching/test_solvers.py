"""Every solver gives LAPACK's solution, and says how far it may be from it."""

import numpy as np
import pytest
from scipy import sparse
from scipy.linalg import lstsq

from sklogit.sketching import _blocks, _solve
from sklogit.sketching._blocks import ArrayRows
from sklogit.sketching._cholesky import (
    frame_of,
    solve_cholesky,
    solve_preconditioned_cholesky,
)
from sklogit.sketching._error_bars import error_bars
from sklogit.sketching._exact import solve_exactly
from sklogit.sketching._frame import make_frame
from sklogit.sketching._iterative import solve_iteratively
from sklogit.sketching._problem import Problem
from sklogit.sketching._rank import rank_tolerance
from sklogit.sketching._sketch_rows import make_operator
from sklogit.sketching._solve import solve
from sklogit.sketching._sums import Gradient, Moments, Sketch
from sklogit.sketching._triangular import triangular_root

from .regression_common import (
    backward_error,
    conditioned,
    least_squares,
    rational_least_squares,
)


def by_cholesky(problem, dtype):
    return solve_cholesky(problem, frame_of(problem, dtype)[0], dtype)


def by_preconditioned_cholesky(problem, dtype):
    return solve_preconditioned_cholesky(problem, frame_of(problem)[0], dtype)


SOLVERS = {
    "exact": solve_exactly,
    "cholesky32": lambda problem: by_cholesky(problem, np.float32),
    "cholesky64": lambda problem: by_cholesky(problem, np.float64),
    "preconditioned32": lambda problem: by_preconditioned_cholesky(problem, np.float32),
    "preconditioned64": lambda problem: by_preconditioned_cholesky(problem, np.float64),
    "iterative": lambda problem: solve_iteratively(problem, frame_of(problem)[0]),
}
each_solver = pytest.mark.parametrize("solver", SOLVERS)
# Those that solve whatever the columns are.
GENERAL = ["exact", "preconditioned32", "preconditioned64", "iterative"]
each_general_solver = pytest.mark.parametrize("solver", GENERAL)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(_blocks, "_BLOCK_BYTES", 7 * 5 * 8)
    monkeypatch.setattr(_blocks, "_SPARSE_BLOCK_ROWS", 7)


def problem_of(X, y, weight=None, **params):
    return Problem(ArrayRows(X, np.asarray(y).reshape(len(y), -1), weight), **params)


def data(rng, n=400, p=6, k=2):
    X = rng.standard_normal((n, p)) * [1.0, 10.0, 0.1, 1.0, 1.0, 1.0][:p] + 1.0
    y = X @ rng.standard_normal((p, k)) + rng.standard_normal((n, k)) - 2.0
    return X, y, rng.integers(0, 3, n).astype(float)


# -- the solution ----------------------------------------------------------------------


@each_solver
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 3.0])
def test_solution_is_that_of_lapack(rng, solver, weighted, fit_intercept, alpha):
    X, y, weight = data(rng)
    weight = weight if weighted else None
    problem = problem_of(X, y, weight, alpha=alpha, fit_intercept=fit_intercept)
    solution = SOLVERS[solver](problem)
    coef, intercept = least_squares(X, y, weight, alpha, fit_intercept)
    np.testing.assert_allclose(solution.coef, coef, rtol=1e-10)
    np.testing.assert_allclose(solution.intercept, intercept, rtol=1e-10, atol=1e-13)
    assert solution.rank == 6


@each_solver
def test_residual_norm_is_that_of_the_solution(rng, solver):
    X, y, weight = data(rng)
    solution = SOLVERS[solver](problem_of(X, y, weight))
    residual = y - X @ solution.coef - solution.intercept
    expected = np.sqrt(weight @ residual**2)
    np.testing.assert_allclose(solution.residual_norm, expected, rtol=1e-10)


@each_solver
def test_root_is_that_of_the_inverse_moments(rng, solver):
    X, y, weight = data(rng)
    root = SOLVERS[solver](problem_of(X, y, weight)).root
    A = np.column_stack([np.ones(len(X)), X])
    product = root @ root.T @ (A.T * weight) @ A
    # The iterative solver has no other moments than those of its sketch.
    tolerance = 1.5 if solver == "iterative" else 1e-4
    np.testing.assert_allclose(np.linalg.eigvals(product).real, 1, atol=tolerance)


@pytest.mark.parametrize("residual", [1e-12, 1e-6, 1e-3, 1.0])
@pytest.mark.parametrize("cond", [1e2, 1e5, 1e8, 1e11, 1e14])
@pytest.mark.parametrize("solver", ["auto", "preconditioned_cholesky", "iterative"])
def test_backward_error_is_rounding_for_all_condition_numbers(solver, cond, residual):
    A, b = conditioned(2000, 20, cond, residual)
    x = solve(problem_of(A, b, fit_intercept=False), solver).coef[:, 0]
    lapack = lstsq(A, b, lapack_driver="gelsd", cond=1e-16)[0]
    # Inner iterations multiply with a preconditioner that is rounded itself.
    least = 1e-13 if solver == "iterative" and cond > 1e12 else 2e-15
    assert backward_error(A, b, x) < max(least, 2 * backward_error(A, b, lapack))


@pytest.mark.parametrize("cond", [1e3, 1e5, 1e7])
@pytest.mark.parametrize("solver", ["preconditioned64", "iterative"])
def test_refined_solutions_are_more_accurate_than_those_of_lapack(solver, cond):
    A, b = conditioned(2000, 20, cond, 1e-3)
    x = SOLVERS[solver](problem_of(A, b, fit_intercept=False)).coef[:, 0]
    lapack = lstsq(A, b, lapack_driver="gelsd")[0]
    # Coefficients that were kept in the preconditioned coordinates would have 2e-16.
    assert backward_error(A, b, x) < min(6e-17, backward_error(A, b, lapack))


@pytest.mark.parametrize("cond", [1e7, 3e7, 1e8])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cholesky_is_accurate_or_declines(dtype, cond):
    A, b = conditioned(2000, 20, cond, 1e-9)
    solution = by_cholesky(problem_of(A, b, fit_intercept=False), dtype)
    if solution is not None:
        assert backward_error(A, b, solution.coef[:, 0]) < 1e-15


@pytest.mark.parametrize("cond", [1e2, 1e4, 1e6])
def test_normal_equations_are_refined_to_a_small_backward_error(cond):
    A, b = conditioned(2000, 20, cond, 1e-3)
    problem = problem_of(A, b, fit_intercept=False)
    plain = np.linalg.solve(A.T @ A, A.T @ b)
    x = SOLVERS["cholesky64"](problem).coef[:, 0]
    assert backward_error(A, b, x) < 2e-16
    assert backward_error(A, b, plain) > 5 * backward_error(A, b, x)


def test_products_in_float32_give_a_solution_of_float64():
    A, b = conditioned(2000, 20, 100.0, 1e-3)
    problem = problem_of(A, b, fit_intercept=False)
    gram = A.astype(np.float32).T @ A.astype(np.float32)
    right = A.astype(np.float32).T @ b.astype(np.float32)
    plain = np.linalg.solve(gram.astype(float), right.astype(float))
    x = SOLVERS["cholesky32"](problem).coef[:, 0]
    assert backward_error(A, b, plain) > 1e-9
    assert backward_error(A, b, x) < 2e-16


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cholesky_declines_columns_that_are_too_dependent(dtype):
    A, b = conditioned(2000, 20, 1e9, 1e-3)
    assert by_cholesky(problem_of(A, b), dtype) is None


# -- rank ------------------------------------------------------------------------------


def deficient(rng, kind):
    X = rng.standard_normal((500, 6))
    if kind == "zero":
        X[:, 2] = 0.0
    elif kind == "constant":
        X[:, 2] = 0.1
    elif kind == "duplicate":
        X[:, 2] = X[:, 4]
    elif kind == "combination":
        X[:, 2] = 0.3 * X[:, 4] - X[:, 5] / 7
    elif kind == "dummies":
        X = np.eye(6)[rng.integers(0, 6, 500)]
    elif kind == "hidden by scale":
        X[:, 2] *= 1e-20
    return X, X @ np.arange(6.0) + rng.standard_normal(500)


KINDS = ["zero", "constant", "duplicate", "combination", "dummies", "hidden by scale"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("solver", [*GENERAL, "auto"])
def test_solution_of_deficient_columns_has_minimum_norm(rng, solver, kind):
    X, y = deficient(rng, kind)
    problem = problem_of(X, y)
    solution = solve(problem, solver) if solver == "auto" else SOLVERS[solver](problem)
    coef, intercept = least_squares(X, y)
    assert solution.rank == 5
    np.testing.assert_allclose(solution.coef, coef, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(solution.intercept, intercept, rtol=1e-9)


@pytest.mark.parametrize("exponent", [-17.0, -16.0, -15.0, -14.5, -14.0, -13.0, -8.0])
@pytest.mark.parametrize("solver", [s for s in SOLVERS if s != "exact"])
def test_rank_is_that_of_the_exact_solver_for_columns_of_any_size(
    rng, solver, exponent
):
    # The scaled columns are well conditioned, and nothing but their size tells.
    X = rng.standard_normal((500, 5))
    X[:, 0] *= 10.0**exponent
    problem = problem_of(X, X.sum(axis=1) + rng.standard_normal(500))
    solution = SOLVERS[solver](problem)
    exact = solve_exactly(problem)
    assert solution.rank == exact.rank == 5 - (exponent < -14.1)
    np.testing.assert_allclose(solution.coef, exact.coef, rtol=1e-9, atol=1e-12)


@each_solver
def test_a_weighted_constant_column_counts_for_nothing(rng, solver):
    # Its weighted mean is not exactly the constant, up to rounding.
    X, y, _ = data(rng)
    X[:, 1] = 0.1
    weight = rng.random(len(X))
    solution = SOLVERS[solver](problem_of(X, y, weight))
    assert solution.rank == 5
    assert np.abs(solution.coef[1]).max() < 1e-12
    np.testing.assert_allclose(
        solution.coef, least_squares(X, y, weight)[0], rtol=1e-9, atol=1e-12
    )


@each_solver
def test_a_penalty_makes_all_columns_count(rng, solver):
    X, y, _ = data(rng)
    X[:, 1] = 0.0
    X[:, 2] = X[:, 3]
    solution = SOLVERS[solver](problem_of(X, y, alpha=1.0))
    assert solution.rank == 6
    np.testing.assert_array_equal(solution.coef[1], 0)
    assert SOLVERS[solver](problem_of(X, y, alpha=1e300)).rank in (5, 6)


@each_general_solver
def test_coefficients_of_zero_columns_are_zero(rng, solver):
    X, _ = conditioned(500, 8, 1e10, 1.0)
    X[:, 3] = 0.0
    y = 1e6 * rng.standard_normal(500)
    solution = SOLVERS[solver](problem_of(X, y, fit_intercept=False))
    assert np.abs(solution.coef).max() > 1e6
    np.testing.assert_array_equal(solution.coef[3], 0)


def test_shift_of_a_constant_column_is_exact():
    for n in range(3, 300):
        X = np.full((n, 1), 0.1)
        assert make_frame((X, X, None), np.float64, True).shift == 0.1


def test_no_rank_is_lost_to_many_rows():
    # max(n, p) eps would drop a direction of 3e-11, with a million rows one of 2e-10.
    assert rank_tolerance(20, np.float64) < 1e-14
    assert rank_tolerance(500, np.float64) < 1e-14


def test_rank_takes_rounding_before_centring_into_account(rng):
    # Beside the mean of 1e4, the third column is the first up to rounding.
    X = rng.standard_normal((500, 3)) + 1e4
    X[:, 2] = X[:, 0] * 1.1 + X[:, 1] * 0.3
    y = X @ [1.0, 1.0, 1.0] + rng.standard_normal(500)
    for solver in [*GENERAL, "auto"]:
        problem = problem_of(X, y)
        if solver == "auto":
            solution = solve(problem, solver)
        else:
            solution = SOLVERS[solver](problem)
        assert solution.rank == 2
        assert np.abs(solution.coef).max() < 3


def test_rows_fewer_than_columns_are_interpolated(rng):
    X, y = rng.standard_normal((10, 30)), rng.standard_normal(10)
    solution = solve(problem_of(X, y), "auto")
    coef, _ = least_squares(X, y)
    assert solution.solver == "exact"
    np.testing.assert_allclose(solution.coef, coef, rtol=1e-9)
    np.testing.assert_allclose(X @ solution.coef[:, 0] + solution.intercept, y)


@pytest.mark.parametrize("solver", SOLVERS)
def test_all_columns_constant_give_the_mean(rng, solver):
    X, y = np.full((300, 2), [3.0, 0.0]), rng.standard_normal(300)
    solution = SOLVERS[solver](problem_of(X, y))
    assert solution.rank == 0
    np.testing.assert_array_equal(solution.coef, 0)
    np.testing.assert_allclose(solution.intercept, y.mean())


# -- sizes -----------------------------------------------------------------------------


@each_solver
@pytest.mark.parametrize("size", [1e-200, 1e-30, 1e30, 1e200])
def test_units_of_all_columns_do_not_matter(rng, solver, size):
    X, y, _ = data(rng)
    expected = SOLVERS[solver](problem_of(X, y))
    found = SOLVERS[solver](problem_of(X * size, y * size**0.5))
    expected_coef = expected.coef / size * size**0.5
    np.testing.assert_allclose(found.coef, expected_coef, rtol=1e-9)
    np.testing.assert_allclose(
        found.residual_norm, expected.residual_norm * size**0.5, rtol=1e-9
    )


@pytest.mark.parametrize("size", [1e-300, 1e-100, 1e-20, 1e100, 1e300])
@pytest.mark.parametrize("alpha", [0.0, 3.0])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("solver", ["auto", "preconditioned_cholesky", "iterative"])
def test_units_of_weights_do_not_matter(rng, solver, size, alpha, dtype):
    X, y, weight = data(rng)
    X = X.astype(dtype)
    expected = solve(problem_of(X, y, weight, alpha=alpha), solver)
    found = solve(problem_of(X, y, weight * size, alpha=alpha * size), solver)
    tolerance = {"rtol": 1e-9 if dtype == np.float64 else 1e-5}
    np.testing.assert_allclose(found.coef, expected.coef, **tolerance)
    np.testing.assert_allclose(
        found.residual_norm, expected.residual_norm * size**0.5, **tolerance
    )
    product = np.linalg.norm(found.root[1:], axis=1) * found.error[0]
    bound = np.linalg.norm(expected.root[1:], axis=1) * expected.error[0]
    np.testing.assert_allclose(np.log10(product), np.log10(bound), atol=1.0)


@pytest.mark.parametrize("size", [1e160, 1e300, 1.7e308])
@pytest.mark.parametrize("place", ["X", "y"])
@pytest.mark.parametrize("solver", ["auto", "cholesky", "preconditioned_cholesky"])
def test_outliers_that_overflow_squares_are_solved(rng, solver, place, size):
    X, y, _ = data(rng, n=2000)
    (X if place == "X" else y)[1235, 1] = size  # not in the sample
    problem = problem_of(X, y)
    with np.errstate(all="ignore"):
        exact = solve_exactly(problem)
    found = solve(problem, solver)
    assert solver in ("auto", found.solver)
    np.testing.assert_allclose(found.coef, exact.coef, rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(found.residual_norm, exact.residual_norm, rtol=1e-7)


@each_solver
def test_large_means_do_not_matter(rng, solver):
    X = np.round(rng.standard_normal((400, 4)) * 2**10) / 2**10
    y = X @ [1.0, 2.0, 3.0, 4.0] + rng.standard_normal(400)
    expected = SOLVERS[solver](problem_of(X, y)).coef
    moved = X + np.array([2.0**30, -(2.0**20), 0.0, 5.0])  # exactly
    found = SOLVERS[solver](problem_of(moved, y))
    np.testing.assert_allclose(found.coef, expected, rtol=1e-9)
    residual = y - moved @ found.coef[:, 0] - found.intercept
    np.testing.assert_allclose(np.linalg.norm(residual), found.residual_norm, rtol=1e-4)


@pytest.mark.parametrize("solver", ["cholesky32", "preconditioned32", "iterative"])
def test_a_misleading_sample_costs_no_accuracy(rng, solver, monkeypatch):
    X, y, _ = data(rng)
    X[1::2] += 1e5  # every other row, and the sample has none of them
    X[0] = 0.0
    problem = problem_of(X, y)
    monkeypatch.setattr(ArrayRows, "sample", lambda self, n: (X[::2], y[::2], None))
    solution = SOLVERS[solver](problem)
    if solution is not None:  # it may decline
        coef, _ = least_squares(X, y)
        np.testing.assert_allclose(solution.coef, coef, rtol=1e-7)
    np.testing.assert_allclose(
        solve(problem, "auto").coef, least_squares(X, y)[0], rtol=1e-7
    )


def test_columns_that_are_missing_in_the_sample_are_scaled_as_the_others(rng):
    # In float32 the squares of this column would be zero.
    X = rng.standard_normal((400, 3)) * 1e-30
    X[::2, 1] = 0.0
    y = X @ np.ones(3)
    frame = make_frame((X[::2], y[::2, None], None), np.float32, True)
    solution = solve_cholesky(problem_of(X, y), frame, np.float32)
    np.testing.assert_allclose(solution.coef, 1.0, rtol=1e-9)


# -- bounds of errors ------------------------------------------------------------------


@pytest.mark.parametrize("cond", [1e1, 1e4, 1e7])
@pytest.mark.parametrize("residual", [1e-8, 1.0])
@pytest.mark.parametrize("solver", [s for s in SOLVERS if s != "exact"])
def test_error_bound_holds_against_rational_arithmetic(solver, cond, residual):
    A, b = conditioned(60, 4, cond, residual)
    exact = rational_least_squares(A, b)
    solution = SOLVERS[solver](problem_of(A, b, fit_intercept=False))
    if solution is None:
        assert solver.startswith("cholesky")
        assert cond > 1e3
        return
    error = np.abs(solution.coef[:, 0] - exact)
    bound = solution.error[0] * np.linalg.norm(solution.root[1:], axis=1)
    assert (error <= bound).all()
    # It is a bound for the worst case: far above rounding, far below what matters.
    assert bound.max() < 1e-12 * cond * (1 + residual * cond)


@pytest.mark.parametrize("solver", ["preconditioned32", "iterative"])
def test_error_bound_holds_for_directions_that_are_left_out(rng, solver):
    # The null direction (1, -1) is only found up to eps times the condition number.
    for seed in range(20):
        A, b = conditioned(300, 6, 1e9, 1e-9, seed)
        A = np.column_stack([A, A[:, 0]])
        problem = problem_of(A, b, fit_intercept=False, seed=seed)
        solution = SOLVERS[solver](problem)
        assert solution.rank == 6
        bars = error_bars(solution, False, 0.05, 300).coef_error[:, 0]
        difference = abs(solution.coef[0, 0] - solution.coef[6, 0])
        assert difference <= bars[0] + bars[6]
        assert bars.max() < 1e-4 * np.abs(solution.coef).max()


def test_an_error_that_overflows_is_infinite(rng):
    X, y, _ = data(rng)
    solution = solve_exactly(problem_of(X, y))
    for error in (np.inf, np.nan):
        solution.error = np.full(2, error)
        bars = error_bars(solution, True, 0.05, len(X))
        assert np.isposinf(bars.coef_error).all()


@pytest.mark.parametrize("tol", [1e-3, 1e-6])
def test_tolerance_ends_iterations_and_shows_in_the_bound(rng, tol):
    X = rng.standard_normal((3000, 20))
    y = X.sum(axis=1) + rng.standard_normal(3000)
    full = SOLVERS["iterative"](problem_of(X, y))
    short = SOLVERS["iterative"](problem_of(X, y, tol=tol))
    assert short.converged
    assert short.n_iter < full.n_iter / 1.5
    error = np.abs(short.coef - full.coef)[:, 0]
    bound = short.error[0] * np.linalg.norm(short.root[1:], axis=1)
    assert (error <= bound).all()
    assert error.max() > 1e-15


@pytest.mark.parametrize("solver", ["iterative", "preconditioned32"])
def test_too_few_iterations_are_told(rng, solver):
    X, y, _ = data(rng)
    solution = SOLVERS[solver](problem_of(X, y, max_iter=1))
    assert not solution.converged


# -- sums over blocks ------------------------------------------------------------------


@pytest.mark.parametrize("container", [np.asarray, np.asfortranarray, sparse.csr_array])
@pytest.mark.parametrize("n_jobs", [None, 2])
@pytest.mark.parametrize("weighted", [False, True])
def test_moments_and_gradient_over_blocks_are_those_of_all_rows(
    rng, small_blocks, container, n_jobs, weighted
):
    X, y, weight = data(rng, n=60, p=5)
    X *= rng.random(X.shape) < 0.5
    weight = weight if weighted else None
    rows = ArrayRows(container(X), y, weight, n_jobs)
    frame = make_frame((X, y, None), np.float64, False)
    W = np.eye(60) if weight is None else np.diag(weight)
    Y = np.column_stack([np.ones(60), y * frame.y_scale])
    gram, cross, small = rows.sum(Moments(frame, 5, 2, np.dtype(np.float64)))
    np.testing.assert_allclose(gram, X.T @ W @ X)
    np.testing.assert_allclose(cross, Y.T @ W @ X, atol=1e-12)
    np.testing.assert_allclose(small, Y.T @ W @ Y, atol=1e-12)
    coef, constant = rng.standard_normal((5, 2)), rng.standard_normal(2)
    gradient, sums, squares = rows.sum(Gradient(frame, coef, constant))
    residual = Y[:, 1:] - X @ coef - constant
    np.testing.assert_allclose(gradient, X.T @ W @ residual, atol=1e-12)
    np.testing.assert_allclose(sums, (W @ residual).sum(axis=0), atol=1e-12)
    np.testing.assert_allclose(squares, (residual * (W @ residual)).sum(axis=0))


def test_blocks_of_a_sketch_start_where_they_do_in_the_whole_table(rng):
    X, y, weight = data(rng, n=3000)
    operator = make_operator("block_srht", 40, block_size=64, seed=0, n_columns=9)
    frame = make_frame((X, y, None), np.float64, False)
    sketch = Sketch(frame, operator, 6, 2, np.dtype(np.float64))
    whole = sketch.joined(ArrayRows(X, y, weight).sum(sketch))
    for n_jobs in (None, 2, 5):
        parts = [
            sketch.joined(
                ArrayRows(X[i:j], y[i:j], weight[i:j], n_jobs).sum(sketch, first_row=i)
            )
            for i, j in [(0, 1000), (1000, 1017), (1017, 3000)]
        ]
        np.testing.assert_allclose(sum(parts), whole, atol=1e-11)


def test_memory_mapped_rows_are_never_copied_as_a_whole(rng, tmp_path, monkeypatch):
    X, y, _ = data(rng, n=2000)
    mapped = np.memmap(tmp_path / "X", dtype=float, shape=X.shape, mode="w+")
    mapped[:] = X
    monkeypatch.setattr(_blocks, "_BLOCK_BYTES", 100 * 6 * 8)
    largest = []
    take = _blocks._rows_of

    def spy(rows, block):
        assert isinstance(rows, np.memmap)
        largest.append(len(take(rows, block)))
        return take(rows, block)

    monkeypatch.setattr(_blocks, "_rows_of", spy)
    solution = solve(problem_of(mapped, y), "auto")
    np.testing.assert_allclose(solution.coef, least_squares(X, y)[0], rtol=1e-10)
    assert max(largest) == 100


@pytest.mark.parametrize("cond", [10.0, 1e12])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_triangular_root_is_that_of_a_qr_decomposition(cond, dtype):
    A = conditioned(300, 8, cond, 1.0)[0].astype(dtype)
    expected = np.linalg.qr(A.astype(np.float64), mode="r")
    R = triangular_root(A)
    assert np.tril(R, -1).max() == 0
    np.testing.assert_allclose(np.abs(R), np.abs(expected), rtol=1e-9, atol=1e-13)
    assert triangular_root(A[:3]).shape == (8, 8)


# -- choice of the solver --------------------------------------------------------------


def chosen(X, y, **params):
    return solve(problem_of(X, y, **params), "auto").solver


def test_auto_takes_what_the_columns_allow(rng):
    X, y, _ = data(rng)
    assert chosen(X, y) == "cholesky"
    assert chosen(X[:20], y[:20]) == "exact"
    A, b = conditioned(500, 6, 1e10, 1.0)
    assert chosen(A, b) == "preconditioned_cholesky"
    assert chosen(A, b, alpha=1e-3) == "cholesky"  # the penalty makes it well


def test_auto_takes_products_for_few_rows_of_many_columns(rng):
    # A singular value decomposition takes ten times as long.
    X, y = rng.standard_normal((250, 100)), rng.standard_normal(250)
    assert chosen(X, y) == "cholesky"
    assert chosen(X[:90], y[:90]) == "exact"
    np.testing.assert_allclose(
        solve(problem_of(X, y), "auto").coef, least_squares(X, y)[0], rtol=1e-9
    )
    X[:, 3] = X[:, 4]
    assert chosen(X, y) == "exact"


def test_steps_that_are_rounding_end_refinement(rng):
    X = rng.standard_normal((2000, 8)) + 1e6 * rng.standard_normal(8)
    X[:, 1] = X[:, 0]
    y = rng.standard_normal(2000) + 1e6
    weight = 10.0 ** rng.uniform(-6, 6, 2000)
    for seed in range(10):
        found = SOLVERS["preconditioned64"](problem_of(X, y, weight, seed=seed))
        assert found.converged
        assert found.n_iter < 20


def test_auto_multiplies_in_float32_only_where_that_saves_passes(rng):
    X = rng.standard_normal((4000, 20))
    problem = problem_of(X, X.sum(axis=1))
    assert _solve._saves_time(problem, reciprocal=0.1)
    assert not _solve._saves_time(problem, reciprocal=1e-6)


@pytest.mark.parametrize("solver", ["auto", *SOLVERS])
def test_sparse_rows_with_large_means_are_solved(rng, solver):
    X, y, weight = data(rng)
    X = X + 100.0 * (np.arange(6) % 2)
    problem = problem_of(sparse.csr_array(X), y, weight)
    found = solve(problem, "auto") if solver == "auto" else SOLVERS[solver](problem)
    coef, intercept = least_squares(X, y, weight)
    np.testing.assert_allclose(found.coef, coef, rtol=1e-9)
    np.testing.assert_allclose(found.intercept, intercept, rtol=1e-9)


def test_iterations_of_few_columns_are_not_many(rng):
    # The distortion of a sketch of few columns varies.
    X, y, _ = data(rng)
    for seed in range(12):
        solution = SOLVERS["iterative"](problem_of(X, y, seed=seed))
        assert solution.converged
        assert solution.n_iter < 60


def test_auto_iterates_for_sparse_rows_of_many_columns(rng):
    X = sparse.random_array((6000, 400), density=0.01, rng=rng, format="csr")
    y = X @ np.ones(400) + rng.standard_normal(6000)
    problem = problem_of(X, y)
    found = solve(problem, "auto")
    np.testing.assert_allclose(found.coef, least_squares(X.toarray(), y)[0], rtol=1e-8)
    assert _solve._prefers_products(problem)
    wide = sparse.random_array((100, 4000), density=0.02, rng=rng, format="csr")
    assert not _solve._prefers_products(problem_of(wide, np.ones(100)))


def test_cholesky_that_cannot_be_falls_back_and_says_so():
    A, b = conditioned(500, 6, 1e12, 1.0)
    with pytest.warns(UserWarning, match="too dependent for solver='cholesky'"):
        solution = solve(problem_of(A, b), "cholesky")
    assert solution.solver == "preconditioned_cholesky"


@pytest.mark.parametrize("solver", ["preconditioned_cholesky", "iterative"])
def test_preconditioner_needs_more_rows_than_columns(rng, solver):
    X, y, _ = data(rng)
    with pytest.raises(ValueError, match=r"sketch_size must exceed .* got 7 for 7"):
        solve(problem_of(X, y), solver, sketch_size=7)
