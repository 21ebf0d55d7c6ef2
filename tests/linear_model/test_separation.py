"""Single steps and their certificates, by brute force."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.special import expit

from sklogit.linear_model import NormalizedLogisticRegression
from sklogit.linear_model._gram import GramProblem
from sklogit.linear_model._preconditioning import Coordinates, make_coordinates
from sklogit.linear_model._rows import Rows
from sklogit.linear_model._separation import (
    DualMomentum,
    GradientStep,
    Problem,
    Stopping,
    separate,
)
from sklogit.linear_model._verification import verify

from .common import clusters, largest_margin, separable, signed_rows

STEPS = {
    "logistic": lambda: GradientStep(0.7),
    "plain": lambda: GradientStep(0.7, normalize=False),
    "perceptron": lambda: GradientStep(1.0, weighting="perceptron"),
    "dual_momentum": lambda: DualMomentum(0.1),
}
each_step = pytest.mark.parametrize("step", STEPS)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def make_problem(X, y, kind, constant=1.0, preconditioner=None, weight=None):
    """A problem of class indices; a binary one gets their signs."""
    n_outputs = 1 if kind == "binary" else int(np.max(y)) + 1
    labels = (2.0 * y - 1).astype(X.dtype) if kind == "binary" else np.asarray(y)
    rows = Rows(X, labels, weight)
    coordinates = make_coordinates(rows, preconditioner, constant)
    return Problem(rows, coordinates, kind, n_outputs)


def iterate(problem, step, n_iter, start=None):
    return separate(problem, step, Stopping("max_iter", max_iter=n_iter), start=start)


# -- weights of one step --------------------------------------------------------------


def pair_weights(Z, y, weighting):
    """Weights of all pairs (row, wrong class), by their formulas, one by one."""
    weights = np.zeros(Z.shape)
    for i, k in enumerate(y):
        others = [j for j in range(Z.shape[1]) if j != k]
        if weighting == "logistic":
            for j in others:
                weights[i, j] = np.exp(Z[i, j]) / np.exp(Z[i]).sum()
        elif weighting == "exponential":
            for j in others:
                weights[i, j] = np.exp(Z[i, j] - Z[i, k])
        elif max(Z[i, others]) >= Z[i, k]:
            weights[i, max(others, key=lambda j: Z[i, j])] = 1.0
    return weights


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("weighting", ["logistic", "exponential", "perceptron"])
def test_multinomial_direction_is_the_mean_of_weighted_pairs(rng, weighting, weighted):
    X, y = rng.standard_normal((12, 3)), np.arange(12) % 4
    weight = rng.uniform(0.5, 2, 12) if weighted else None
    W = rng.standard_normal((3, 4))
    problem = make_problem(X, y, "multinomial", constant=0.0, weight=weight)
    evaluation = problem.evaluate(W, weighting, None)

    pairs = pair_weights(X @ W, y, weighting)
    if weighted:
        pairs *= weight[:, np.newaxis]
    direction = np.zeros_like(W)
    for i, j in np.argwhere(pairs > 0):
        direction[:, y[i]] += pairs[i, j] * X[i]
        direction[:, j] -= pairs[i, j] * X[i]
    np.testing.assert_allclose(evaluation.direction, direction / pairs.sum())
    np.testing.assert_allclose(evaluation.total, pairs.sum() / problem.total_weight)
    Z = X @ W
    margins = [z[k] - np.delete(z, k).max() for z, k in zip(Z, y)]
    assert evaluation.margin == pytest.approx(min(margins))
    assert evaluation.n_errors == np.count_nonzero(np.array(margins) <= 0)


@pytest.mark.parametrize("weighted", [False, True])
def test_one_versus_rest_directions_are_those_of_binary_problems(rng, weighted):
    X, y = rng.standard_normal((12, 3)), np.arange(12) % 4
    weight = rng.uniform(0.5, 2, 12) if weighted else np.ones(12)
    W = rng.standard_normal((3, 4))
    problem = make_problem(X, y, "ovr", constant=0.0, weight=weight)
    evaluation = problem.evaluate(W, "logistic", np.arange(4))
    for k in range(4):
        signs = np.where(y == k, 1.0, -1.0)
        s = weight * expit(-signs * (X @ W[:, k]))
        expected = X.T @ (s * signs) / s.sum()
        np.testing.assert_allclose(evaluation.direction[:, k], expected)


@pytest.mark.parametrize("weighting", ["logistic", "exponential", "perceptron"])
@pytest.mark.parametrize("kind", ["multinomial", "ovr"])
@pytest.mark.parametrize("weighted", [False, True])
def test_first_direction_needs_no_special_case(rng, kind, weighting, weighted):
    # At zero the means of classes stand for their rows; nearly zero, rows do.
    X, y = rng.standard_normal((15, 3)), rng.integers(0, 4, 15)
    weight = rng.uniform(0.5, 2, 15) if weighted else None
    problem = make_problem(X, y, kind, weight=weight)
    zero = np.zeros((4, y.max() + 1))
    at_zero = problem.evaluate(zero, weighting, np.arange(y.max() + 1))
    if weighting == "perceptron":
        # All wrong classes tie: the mean of all corrections.
        expected = problem.evaluate(zero, "logistic", np.arange(y.max() + 1))
    else:
        expected = problem.evaluate(zero + 1e-12, weighting, np.arange(y.max() + 1))
    np.testing.assert_allclose(at_zero.direction, expected.direction, atol=1e-10)
    assert (at_zero.n_errors == 15).all()
    assert at_zero.error_weight == pytest.approx(problem.total_weight)


def test_two_softmax_classes_are_the_binary_problem_with_a_doubled_step(rng):
    X, y = rng.standard_normal((20, 3)), np.arange(20) % 2
    two = iterate(make_problem(X, y, "multinomial"), GradientStep(1.5), 6).theta
    one = iterate(make_problem(X, y, "binary"), GradientStep(3.0), 6).theta
    np.testing.assert_allclose(two[:, 1] - two[:, 0], one[:, 0], rtol=1e-10)


@pytest.mark.parametrize("weighting", ["logistic", "exponential"])
@pytest.mark.parametrize("kind", ["binary", "multinomial", "ovr"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_direction_far_beyond_separation_is_finite(rng, kind, weighting, dtype):
    X, y = separable(rng) if kind == "binary" else clusters(rng)
    problem = make_problem(X.astype(dtype), y, kind)
    theta = iterate(problem, GradientStep(100.0), 200).best
    active = np.arange(problem.n_outputs)
    for size in (1e2, 1e5, 1e10):
        evaluation = problem.evaluate(size * theta, weighting, active)
        assert (evaluation.margin > 40).all()
        norms = problem.norm(evaluation.direction)
        # A mean of rows, neither 0 / 0 nor empty.
        assert (norms > 0).all()
        assert (norms <= np.sqrt(2) * problem.radius * (1 + 1e-5)).all()


# -- certificates at every iterate -----------------------------------------------------


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("kind", ["binary", "multinomial", "ovr"])
@each_step
def test_bounds_hold_at_every_iterate(rng, kind, step, warm):
    X, y = separable(rng) if kind == "binary" else clusters(rng)
    problem = make_problem(X, y, kind)
    if kind == "ovr":
        mu = np.array([largest_margin(signed_rows(X, y == k)) for k in range(3)])
    else:
        mu = np.atleast_1d(largest_margin(signed_rows(X, y, kind)))
    start = None
    if warm:
        start = 0.3 * rng.standard_normal((problem.n_coordinates, problem.n_outputs))
    bounds = []

    def record(solution):
        bounds.append((solution.lower.copy(), solution.upper.copy()))

    stopping = Stopping("max_iter", max_iter=60)
    separate(problem, STEPS[step](), stopping, start=start, on_iteration=record)
    lower, upper = np.array(bounds).transpose(1, 0, 2)
    assert len(bounds) >= 1
    assert (lower <= mu * (1 + 1e-7)).all()
    assert (upper >= mu * (1 - 1e-7)).all()
    assert (np.diff(upper[1:], axis=0) <= 0).all()


def test_refutation_is_certified_by_a_point_near_zero_in_the_hull(rng):
    X, y = rng.standard_normal((200, 3)), rng.integers(0, 2, 200)
    problem = make_problem(X, y, "binary")
    stopping = Stopping(separability_tol=1e-3, max_iter=5000)
    solution = separate(problem, DualMomentum(1 / problem.radius**2), stopping)
    assert solution.refuted.all()
    assert solution.n_iter < 5000
    assert solution.upper[0] < 1e-3 * problem.radius


def test_stopped_iterations_evaluate_their_last_iterate(rng):
    X, y = separable(rng)
    problem = make_problem(X, y, "binary")
    full = separate(problem, GradientStep(100.0), Stopping())
    stopped = separate(
        problem,
        GradientStep(100.0),
        Stopping("max_iter", max_iter=100),
        on_iteration=lambda solution: solution.n_iter == full.n_iter,
    )
    assert stopped.n_iter == full.n_iter
    assert stopped.n_errors == 0
    np.testing.assert_array_equal(stopped.best, full.best)
    assert stopped.errors_path == full.errors_path


# -- one-versus-rest -------------------------------------------------------------------


@pytest.mark.parametrize("acceleration", [None, "dual_momentum"])
def test_one_versus_rest_equals_independent_binary_fits(rng, acceleration):
    X, y = clusters(rng, spread=[[0.1, 0.7, 0.7, 0.7]])
    params = {"acceleration": acceleration}
    clf = NormalizedLogisticRegression(multi_class="ovr", **params).fit(X, y)
    single = [NormalizedLogisticRegression(**params).fit(X, y == k) for k in range(3)]
    counts = [binary.n_iter_ for binary in single]
    assert len(set(counts)) > 1  # else nothing is dropped
    assert clf.n_iter_ == max(counts)
    for k, binary in enumerate(single):
        np.testing.assert_allclose(clf.coef_[k], binary.coef_[0], rtol=1e-6)
        np.testing.assert_allclose(clf.intercept_[k], binary.intercept_[0], rtol=1e-6)
    assert clf.margin_ == pytest.approx(min(b.margin_ for b in single), rel=1e-6)
    upper = min(b.margin_upper_bound_ for b in single)
    assert clf.margin_upper_bound_ == pytest.approx(upper, rel=1e-6)


def test_finished_columns_are_no_longer_multiplied(rng, monkeypatch):
    X, y = clusters(rng, spread=[[0.1, 0.7, 0.7, 0.7]])
    n_columns, evaluate = [], Problem.evaluate

    def record(self, theta, weighting, active):
        n_columns.append(theta.shape[1])
        assert len(active) == theta.shape[1]
        return evaluate(self, theta, weighting, active)

    monkeypatch.setattr(Problem, "evaluate", record)
    NormalizedLogisticRegression(multi_class="ovr").fit(X, y)
    assert n_columns[0] == 3
    assert n_columns[-1] < 3
    assert n_columns == sorted(n_columns, reverse=True)


# -- the Gram form ---------------------------------------------------------------------


@pytest.mark.parametrize("preconditioner", [None, "diag"])
@pytest.mark.parametrize("constant", [0.0, 2.0])
@pytest.mark.parametrize("kind", ["binary", "multinomial", "ovr"])
@each_step
def test_gram_form_takes_the_same_steps(
    rng, monkeypatch, step, kind, constant, preconditioner
):
    # Nearly equal pairs of rows in different classes: not separated soon.
    X = np.repeat(rng.standard_normal((6, 40)), 2, axis=0)
    X += 0.01 * rng.standard_normal(X.shape)
    y = np.arange(12) % (2 if kind == "binary" else 3)
    weight = rng.uniform(0.5, 2, 12)
    args = (X, y, kind, constant, preconditioner, weight)
    start = rng.standard_normal((40 + bool(constant), 1 if kind == "binary" else 3))

    def solve(change):
        calls = []

        def pays(problem, n_iter):
            calls.append(n_iter)
            return change and n_iter >= 3

        monkeypatch.setattr(GramProblem, "pays", staticmethod(pays))
        solution = iterate(make_problem(*args), STEPS[step](), 12, start)
        return solution, calls

    plain, _ = solve(False)
    gram, calls = solve(True)
    assert calls == [1, 2, 3]
    for name in ("theta", "best", "mean", "lower", "upper"):
        np.testing.assert_allclose(
            getattr(gram, name), getattr(plain, name), rtol=1e-7, atol=1e-9
        )
    assert gram.errors_path == plain.errors_path


def test_gram_form_is_for_wide_dense_data(rng):
    wide, tall = rng.standard_normal((20, 60)), rng.standard_normal((60, 20))
    y = np.arange(60) % 2
    assert GramProblem.pays(make_problem(wide, y[:20], "binary"), 20)
    assert not GramProblem.pays(make_problem(wide, y[:20], "binary"), 2)
    assert not GramProblem.pays(make_problem(tall, y, "binary"), 100)
    sparse = make_problem(csr_array(wide), y[:20], "binary")
    assert not GramProblem.pays(sparse, 20)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("params", [{}, {"acceleration": "dual_momentum"}])
@pytest.mark.parametrize("multi_class", ["multinomial", "ovr"])
def test_wide_data_are_separated_in_the_end(rng, params, multi_class, dtype):
    # Nearly equal pairs of rows in different classes: many iterations.
    X = rng.standard_normal((20, 400))
    X = np.vstack([X, X + 0.05 * rng.standard_normal((20, 400))]).astype(dtype)
    y = np.arange(40) % 4
    y[20:] = (y[20:] + 1) % 4
    clf = NormalizedLogisticRegression(
        multi_class=multi_class, max_iter=20_000, **params
    ).fit(X, y)
    assert clf.n_iter_ > 20
    assert clf.separable_ is True
    assert clf.score(X, y) == 1.0
    assert 0 < clf.margin_ <= clf.margin_upper_bound_ * (1 + 1e-6)


@each_step
def test_bound_holds_from_a_start_in_the_wrong_direction(rng, step):
    X, y = separable(rng)
    mu = largest_margin(signed_rows(X, y))
    wrong = iterate(make_problem(X, 1 - y, "binary"), STEPS[step](), 20).theta
    # Back through zero: the iterates are short, but what they moved is not.
    for n_iter in range(1, 60):
        solution = iterate(make_problem(X, y, "binary"), STEPS[step](), n_iter, wrong)
        assert solution.upper[0] >= mu * (1 - 1e-6), n_iter


# -- verification ----------------------------------------------------------------------


def orthogonal_rows(rng, n=2000, d=50):
    """float32 rows whose scores are nothing but rounding errors."""
    coef = rng.standard_normal(d).astype(np.float32)
    X = rng.standard_normal((n, d))
    X -= np.outer(X @ coef, coef) / (np.float64(coef) @ np.float64(coef))
    return X.astype(np.float32), coef[np.newaxis]


@pytest.mark.parametrize("container", [np.asarray, csr_array])
@pytest.mark.parametrize("preconditioner", [None, "diag"])
def test_binary_errors_are_counted_in_float64(rng, preconditioner, container):
    X, coef = orthogonal_rows(rng)
    y = rng.integers(0, 2, len(X))
    signs = np.float32(2 * y - 1)
    exact = signs * (X.astype(np.float64) @ coef[0].astype(np.float64))
    n_errors = np.count_nonzero(exact <= 0)
    assert n_errors != np.count_nonzero(signs * (X @ coef[0]) <= 0)

    rows = Rows(container(X), signs)
    coordinates = make_coordinates(rows, preconditioner, 0.0)
    problem = Problem(rows, coordinates, "binary", 1)
    found, margins = verify(problem, coef, np.zeros(1, np.float32))
    assert found == n_errors
    norm = np.linalg.norm(coef.astype(np.float64))
    np.testing.assert_allclose(margins, exact.min() / norm, rtol=1e-6)


@pytest.mark.parametrize("kind", ["multinomial", "ovr"])
def test_multiclass_errors_are_counted_in_float64(rng, kind):
    X, coef = orthogonal_rows(rng)
    coef = np.vstack([coef, 2 * coef, -coef])
    y, intercept = rng.integers(0, 3, len(X)), np.zeros(3, np.float32)
    problem = Problem(Rows(X, y), Coordinates(1.0), kind, 3)
    Z = X.astype(np.float64) @ coef.T.astype(np.float64)
    margins = np.array([z[k] - np.delete(z, k).max() for z, k in zip(Z, y)])
    n_errors, geometric = verify(problem, coef, intercept)
    assert n_errors == np.count_nonzero(margins <= 0)
    if kind == "multinomial":
        expected = margins.min() / np.linalg.norm(coef)
    else:
        signed = np.where(y[:, np.newaxis] == np.arange(3), Z, -Z)
        expected = signed.min(axis=0) / np.linalg.norm(coef, axis=1)
    np.testing.assert_allclose(geometric, expected, rtol=1e-5)
