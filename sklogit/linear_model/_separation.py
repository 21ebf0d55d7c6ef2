"""Iterations that separate labelled rows, with a certificate of the margin.

With ``b_i = y_i a_i`` the iterates are ``theta_t = theta_0 + sum_i c_i b_i`` with
``c_i >= 0``. The largest margin ``mu`` of a unit vector is the smallest norm in the
convex hull of the ``b_i``, so at every iterate

    min_i <b_i, theta_t> / |theta_t|  <=  mu  <=  |theta_t - theta_0| / sum_i c_i.

A multiclass problem has a row ``a_i (e_y - e_j)`` for every class j that is not y.
"""

from dataclasses import dataclass, field
from functools import partial

import numpy as np

from ._gram import GramProblem
from ._weighing import Evaluation, Sums, WeighBlock, make_evaluation

# Its square is still finite.
_LARGEST_NORM = 1e150


class Problem:
    """Rows, labels and coordinates: evaluates iterates theta.

    Parameters
    ----------
    rows : Rows or DaskRows
        The rows.
    coordinates : Coordinates
        Coordinates of theta.
    kind : {"binary", "ovr", "multinomial"}
        Kind of margin. "ovr" is one independent problem a class.
    n_outputs : int
        Number of scores of a row.
    """

    def __init__(self, rows, coordinates, kind, n_outputs):
        self.rows, self.coordinates, self.kind = rows, coordinates, kind
        self.n_outputs = n_outputs
        self.n_problems = n_outputs if kind == "ovr" else 1
        extents = list(rows.map(partial(_extent, coordinates), n_outputs))
        self.has_zero_row = any(has_zero for _, has_zero in extents)
        squared = max(largest for largest, _ in extents)
        self.radius = _radius(squared, may_be_zero=self.has_zero_row)
        self.n_features = rows.X.shape[1]
        self.dtype = np.dtype(rows.X.dtype)
        weight = rows.weight
        self.total_weight = float(
            rows.n_rows if weight is None else weight.sum(dtype=np.float64)
        )

    @property
    def n_coordinates(self):
        """Size of theta for one output."""
        return self.coordinates.n_coordinates(self.n_features)

    def evaluate(self, theta, weighting, active, *, exactly=False):
        """Evaluate theta for the active problems.

        Parameters
        ----------
        theta : ndarray of shape (n_coordinates, n_active_outputs)
            Coefficients.
        weighting : {"logistic", "exponential", "perceptron"}
            How much rows count.
        active : ndarray of int
            Classes of the outputs, of a one-versus-rest problem.
        exactly : bool, default=False
            Whether to compute in float64 with what coefficients of the dtype of the
            rows are, and not in that dtype.

        Returns
        -------
        Evaluation
            The evaluation.
        """
        coef, intercept = self.coordinates.to_coef(theta)
        coef, intercept = coef.astype(self.dtype), intercept.astype(self.dtype)
        if exactly:
            coef, intercept = coef.astype(np.float64), intercept.astype(np.float64)
        block = WeighBlock(
            self.kind,
            weighting,
            coef if theta.any() else None,
            intercept,
            classes=active,
        )
        sums = Sums.merge(self.rows.map(block, theta.shape[1]))
        direction = self.coordinates.from_sums(sums.rows, sums.constant)
        return make_evaluation(direction, sums, self.total_weight)

    def norm(self, theta):
        """Norm of every problem's theta in these coordinates."""
        squares = np.square(theta).sum(axis=0)
        return np.sqrt(squares if self.kind == "ovr" else squares.sum(keepdims=True))

    def plain_norm(self, theta):
        """Norm of every problem's theta for rows as they are."""
        if self.coordinates.is_plain:
            return self.norm(theta)
        coef, intercept = self.coordinates.to_coef(theta)
        if self.coordinates.constant:
            coef = np.vstack([coef, intercept / self.coordinates.constant])
        return self.norm(coef)


def _extent(coordinates, X, y, weight):
    """Largest squared norm of a row, and whether some row is zero."""
    squares = coordinates.squared_norms(X)
    if coordinates.constant or squares.min() > 0:
        return squares.max(), False
    # Squares of small numbers vanish, sums of their absolute values do not.
    sums = abs(X[squares == 0]).sum(axis=1)
    return squares.max(), not np.all(sums)


def _radius(squared, may_be_zero):
    if squared == 0 and may_be_zero:
        return 0.0
    if not np.finfo(np.float64).tiny <= squared < np.inf:
        raise ValueError(
            f"Rows of X have squared norms up to {squared}, outside the range of "
            "float64: scale X."
        )
    return float(np.sqrt(squared))


@dataclass
class GradientStep:
    """Step along the mean of the rows, weighted by how wrong they are.

    With the logistic weighting, gradient descent on the logistic loss: normalised, its
    gradient is divided by the mean weight. With that of the perceptron, the limit of
    both for large steps.
    """

    gamma: float
    normalize: bool = True
    weighting: str = "logistic"

    def __call__(self, theta, evaluation, n_iter):
        """Return the next theta and by how much the sum of the weights has grown."""
        step = np.full(len(evaluation.total), float(self.gamma))
        if self.weighting == "perceptron":
            step[evaluation.total == 0] = 0.0  # nothing is wrong, nothing moves
        if not self.normalize:
            # Zero margins count half at first: so does the limit of the logistic.
            half = self.weighting == "perceptron" and not theta.any()
            step *= evaluation.total * (0.5 if half else 1.0)
        return theta + step * evaluation.direction, step

    def select(self, kept):
        """Keep the state of some problems; there is none."""

    def change_coordinates(self, change):
        """Express the state in other coordinates; there is none."""


@dataclass
class DualMomentum:
    """Momentum on exponential weights, which closes the gap of the margin faster."""

    gamma: float
    weighting: str = "exponential"
    momentum: np.ndarray | None = field(default=None, init=False)
    momentum_weight: float = field(default=0.0, init=False)

    def __call__(self, theta, evaluation, n_iter):
        """Return the next theta and by how much the sum of the weights has grown."""
        if self.momentum is None:
            self.momentum = np.zeros_like(theta)
        decay = n_iter / (n_iter + 1.0)
        self.momentum = decay * (self.momentum + evaluation.direction)
        self.momentum_weight = decay * (self.momentum_weight + 1.0)
        step = self.momentum + evaluation.direction
        growth = self.gamma * (self.momentum_weight + 1.0)
        return theta + self.gamma * step, np.full(len(evaluation.total), growth)

    def select(self, kept):
        """Keep the state of some problems."""
        if self.momentum is not None:
            self.momentum = self.momentum[:, kept]

    def change_coordinates(self, change):
        """Express the state in other coordinates."""
        if self.momentum is not None:
            self.momentum = change(self.momentum)


@dataclass
class Stopping:
    """When to stop: ``rule`` is "separation", "margin" or "max_iter"."""

    rule: str = "separation"
    margin_tol: float = 0.1
    separability_tol: float = 1e-6
    max_iter: int = 1000

    def solved(self, n_errors, lower, upper):
        """Say which problems need no further iteration, for the rule's sake."""
        if self.rule == "separation":
            return n_errors == 0
        if self.rule == "margin":
            known = (lower > 0) & np.isfinite(upper)
            return known & (lower >= (1 - self.margin_tol) * upper)
        return np.zeros(len(n_errors), dtype=bool)


@dataclass
class Solution:
    """Result of `separate`; arrays have one entry a problem, thetas all outputs.

    Attributes
    ----------
    theta, best, mean : ndarray of shape (n_coordinates, n_outputs)
        Last iterate, the best (fewest errors, then largest margin), and their mean.
    n_errors, error_weight, lower : ndarray
        Of the best iterate.
    upper : ndarray
        Certified bound of the margin in the coordinates of the problem.
    solved, refuted : ndarray of bool
        Whether the stopping rule was met; whether there is no margin above the
        tolerance.
    n_iter : int
        Number of steps.
    errors_path : list of int
        Largest number of errors of a problem, at every iterate.
    interrupt : KeyboardInterrupt or None
        What ended the iterations early.
    exact : bool
        Whether n_errors and lower are those of the rows as they are, in float64, so
        that they need no verification.
    """

    theta: np.ndarray
    best: np.ndarray
    mean: np.ndarray
    n_errors: np.ndarray
    error_weight: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    solved: np.ndarray
    refuted: np.ndarray
    n_iter: int = 0
    errors_path: list = field(default_factory=list)
    interrupt: BaseException | None = None
    exact: bool = False


def separate(problem, step, stopping, *, start=None, on_iteration=None):
    """Iterate until the rows are separated, or as the stopping rule says.

    Parameters
    ----------
    problem : Problem
        What to separate.
    step : GradientStep or DualMomentum
        The update; its state is consumed.
    stopping : Stopping
        When to stop.
    start : ndarray of shape (n_coordinates, n_outputs), default=None
        First iterate, zero by default.
    on_iteration : callable, default=None
        Called with the current `Solution` after each step; a true value stops.

    Returns
    -------
    Solution
        The iterates; after a KeyboardInterrupt, those until then.
    """
    run = _Run(problem, step, stopping, start)
    try:
        while run.advance():
            if on_iteration is not None and on_iteration(run.solution):
                run.evaluate()  # the last iterate may be the best
                break
    except KeyboardInterrupt as interrupt:
        run.solution.interrupt = interrupt
    return run.finish()


class _Run:
    """State of one call of `separate`."""

    def __init__(self, problem, step, stopping, start):
        self.problem, self.step, self.stopping = problem, step, stopping
        k, p = problem.n_outputs, problem.n_problems
        theta = np.zeros((problem.n_coordinates, k)) if start is None else start.copy()
        self.active = np.arange(p)
        self.theta, self.start = theta, theta.copy()
        self.weight = np.zeros(p)
        self.solution = Solution(
            theta=theta.copy(),
            best=theta.copy(),
            mean=np.zeros_like(theta),
            n_errors=np.full(p, problem.rows.n_rows),
            error_weight=np.full(p, np.inf),
            lower=np.full(p, -np.inf),
            upper=np.full(p, np.inf),
            solved=np.zeros(p, dtype=bool),
            refuted=np.full(p, problem.radius == 0.0),
        )
        self.gram = None

    @property
    def columns(self):
        """Outputs of the active problems."""
        return self.active if self.problem.kind == "ovr" else slice(None)

    def evaluate(self):
        """Evaluate the current iterate, and record what it says."""
        problem = self.problem if self.gram is None else self.gram
        evaluation = problem.evaluate(self.theta, self.step.weighting, self.active)
        if self._is_doubtful(evaluation):
            evaluation = problem.evaluate(
                self.theta, self.step.weighting, self.active, exactly=True
            )
        self._record(problem, evaluation)
        return evaluation

    def _is_doubtful(self, evaluation):
        """Whether single precision may call a row right that is not.

        On integers of single precision a margin of zero easily comes out positive, and
        the iterations would end at an error.
        """
        if self.stopping.rule != "separation" or self.gram is not None:
            return False
        problem = self.problem
        eps = np.finfo(problem.dtype).eps
        if eps == np.finfo(np.float64).eps:
            return False
        # Errors of sums of d terms grow like the root of d.
        rounding = 8 * eps * np.sqrt(problem.n_coordinates) * problem.radius
        near = evaluation.margin <= rounding * problem.norm(self.theta)
        return bool((near & (evaluation.n_errors == 0)).any())

    def advance(self):
        """Evaluate the current iterate and step to the next; say whether it did."""
        solution, stopping = self.solution, self.stopping
        evaluation = self.evaluate()
        done = (solution.solved | solution.refuted)[self.active]
        if done.all() or solution.n_iter == stopping.max_iter:
            return False
        if done.any():
            evaluation = self._drop(done, evaluation)
        theta, growth = self.step(self.theta, evaluation, solution.n_iter)
        if not growth.any():
            return False
        self._check_reach(self.weight + growth)
        # In one go: an interrupt must not tear the iterate from its certificate.
        self.theta, self.weight = theta, self.weight + growth
        solution.n_iter += 1
        if self.gram is None and GramProblem.pays(self.problem, solution.n_iter):
            self._change_to_gram()
        self._store()
        return True

    def finish(self):
        """Return the solution in the coordinates of the problem."""
        solution, problem = self.solution, self.problem
        solution.mean /= max(solution.n_iter, 1)
        if problem.has_zero_row:  # zero is in the convex hull
            solution.refuted[:], solution.upper[:] = True, 0.0
        one_problem = problem.kind != "ovr"  # whose margins are those of the classes
        as_they_are = self.gram is None and problem.coordinates.is_plain
        solution.exact = one_problem and as_they_are and problem.dtype == np.float64
        if solution.interrupt is not None:  # perhaps in the middle of a record
            solution.exact = False
        return solution

    def _check_reach(self, weight):
        """Raise before scores leave the range of their dtype."""
        radius, dtype = self.problem.radius, self.problem.dtype
        norm = weight.max() * radius
        if norm * max(radius, 1.0) > np.finfo(dtype).max or norm > _LARGEST_NORM:
            reason = "step_size is too large"
            if self.step.weighting == "perceptron":  # which has none
                reason = f"rows of norm {radius:.3g} are too large, scale X"
            raise ValueError(
                f"{reason}: scores can overflow {dtype} after "
                f"{self.solution.n_iter + 1} iterations."
            )

    def _record(self, problem, evaluation):
        """Update certificates and the best iterate of the active problems."""
        solution, a = self.solution, self.active
        norm = problem.plain_norm(self.theta)
        lower = np.full(len(a), -np.inf)
        np.divide(evaluation.margin, norm, out=lower, where=norm > 0)
        if self.weight.all():
            moved = problem.norm(self.theta - self.start) / self.weight
            solution.upper[a] = np.minimum(solution.upper[a], moved)
        errors, best = evaluation.error_weight, solution.error_weight[a]
        better = (errors < best) | ((errors == best) & (lower > solution.lower[a]))
        if better.any():
            self._store_best(better)
            solution.error_weight[a[better]] = errors[better]
            solution.n_errors[a[better]] = evaluation.n_errors[better]
            solution.lower[a[better]] = lower[better]
        solution.errors_path.append(int(evaluation.n_errors.max()))
        upper = np.full(len(a), np.inf)
        if self.problem.coordinates.is_plain:
            upper = solution.upper[a]
        solution.solved[a] = self.stopping.solved(
            solution.n_errors[a], solution.lower[a], upper
        )
        if self.stopping.rule != "max_iter":
            small = self.stopping.separability_tol * self.problem.radius
            refuted = solution.upper[a] < small * (
                np.sqrt(2.0) if self.problem.kind == "multinomial" else 1.0
            )
            solution.refuted[a] |= refuted & (solution.n_errors[a] > 0)

    def _drop(self, done, evaluation):
        """Leave out the problems that are done."""
        kept = ~done
        self.active, self.weight = self.active[kept], self.weight[kept]
        self.theta, self.start = self.theta[:, kept], self.start[:, kept]
        self.step.select(kept)
        return Evaluation(
            evaluation.direction[:, kept],
            evaluation.total[kept],
            evaluation.n_errors[kept],
            evaluation.error_weight[kept],
            evaluation.margin[kept],
        )

    def _plain(self):
        return self.theta if self.gram is None else self.gram.to_theta(self.theta)

    def _store(self):
        theta = self._plain()
        self.solution.theta[:, self.columns] = theta
        self.solution.mean += self.solution.theta

    def _store_best(self, better):
        theta = self._plain()
        if self.problem.kind != "ovr":
            self.solution.best[:] = theta
        else:
            self.solution.best[:, self.active[better]] = theta[:, better]

    def _change_to_gram(self):
        momentum = getattr(self.step, "momentum", None)
        vectors = [v for v in (self.theta, self.start, momentum) if v is not None]
        self.gram = GramProblem(self.problem, vectors)
        change = self.gram.from_theta
        self.theta, self.start = change(self.theta), change(self.start)
        self.step.change_coordinates(change)
