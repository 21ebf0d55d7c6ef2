"""Run an outer loop until it ends: by itself, by the budget, or by Ctrl-C."""

from dataclasses import dataclass, field

import numpy as np
from sklearn.utils import gen_batches

from .._oracle import OracleBudgetExceeded
from ._surrogate_design import CenteredDesign
from ._surrogate_objective import TargetObjective
from ._surrogate_outer import StepSizes, closed_loop, lbfgs, momentum, open_loop
from ._surrogate_projection import make_projection

CLOSED_LOOP = ("adaptive", "armijo")
OPEN_LOOP = ("constant", "sqrt", "exponential", "adagrad")


@dataclass(frozen=True)
class SurrogateOptions:
    """Parameters of the estimators that the solvers need; see there."""

    inner: str
    outer: str
    step_rule: str
    eta: float
    boost: float
    inner_steps: int
    alpha: float
    fit_intercept: bool
    max_oracle_calls: int
    tol: float


@dataclass
class SurrogateFit:
    """What a run has found, until now or at its end.

    Attributes
    ----------
    coef : ndarray of shape (n_outputs, n_features)
        Coefficients.
    intercept : ndarray of shape (n_outputs,)
        Intercepts.
    eta : float
        Last step in target space.
    loss_curve : list of float
        Objective after each step, the start first where it is known.
    n_iter, n_calls, n_inner : int
        Outer steps, oracle calls, inner steps.
    converged : bool
        Whether the loop ended by itself at a stationary model.
    ended_by : {"loop", "budget", "callback"}
        What ended it, if no interrupt did.
    interrupt : KeyboardInterrupt or None
        The interrupt that ended it.
    """

    coef: np.ndarray
    intercept: np.ndarray
    eta: float
    loss_curve: list = field(default_factory=list)
    n_iter: int = 0
    n_calls: int = 0
    n_inner: int = 0
    converged: bool = False
    ended_by: str = "loop"
    interrupt: KeyboardInterrupt | None = None


def fit_surrogate(X, y, sample_weight, oracle, start, options, on_iteration=None):
    """Fit a linear model to all data at once.

    Parameters
    ----------
    X : {ndarray, CSR matrix} of shape (n_samples, n_features)
        Data.
    y : ndarray
        Passed to the oracle.
    sample_weight : ndarray of shape (n_samples,) or None
        Weights.
    oracle : callable
        ``oracle(Z, y, sample_weight)``.
    start : tuple of (coef, intercept)
        Start.
    options : SurrogateOptions
        How.
    on_iteration : callable or None, default=None
        Called with the `SurrogateFit` after each outer step; stops the run by True.

    Returns
    -------
    SurrogateFit
        The last iterate of steps given beforehand, else the best at which the oracle
        was called; after a KeyboardInterrupt the best.
    """
    design = CenteredDesign(X, sample_weight, options.fit_intercept)
    objective = _objective(design, oracle, y, sample_weight, options)
    objective.max_calls, objective.tol = options.max_oracle_calls, options.tol
    theta = design.encode(*start)
    known_start = not (options.outer == "plain" and options.step_rule in OPEN_LOOP)
    fit = SurrogateFit(*start, options.eta)

    def store(iterate, steps):
        fit.coef, fit.intercept = design.decode(iterate.theta)
        fit.eta, fit.n_iter = iterate.eta, steps
        fit.loss_curve.append(iterate.value)
        _count(fit, objective)

    _run(
        _outer_loop(objective, theta, options),
        fit,
        store,
        on_iteration,
        first=-1 if known_start else 0,
    )
    _count(fit, objective)
    if objective.best is None:
        # Not even one call came back: there is nothing to keep.
        raise fit.interrupt or OracleBudgetExceeded(
            f"oracle {objective.name} refused its first call"
        )
    if known_start or fit.interrupt is not None:
        fit.coef, fit.intercept = design.decode(objective.best.theta)
    return fit


def _count(fit, objective):
    fit.n_calls, fit.n_inner = objective.n_calls, objective.project.n_steps


def _objective(design, oracle, y, sample_weight, options):
    ridge = options.alpha * options.eta
    project = make_projection(design, options.inner, ridge, options.inner_steps)
    return TargetObjective(
        design, project, oracle, y, sample_weight, alpha=options.alpha, ridge=ridge
    )


def _outer_loop(objective, theta, options):
    if options.outer == "lbfgs":
        return lbfgs(objective, theta, options.eta, options.boost)
    if options.outer == "momentum":
        return momentum(objective, theta, options.eta, options.step_rule)
    if options.step_rule in CLOSED_LOOP:
        return closed_loop(objective, theta, options.eta, options.step_rule)
    size_of = StepSizes(options.step_rule, options.eta, options.max_oracle_calls)
    return open_loop(objective, theta, size_of)


def _run(loop, fit, store, on_iteration, first=0):
    """Exhaust the loop; what ends it early stands in `fit` afterwards."""
    steps = first
    try:
        while True:
            iterate = next(loop)
            steps += 1
            store(iterate, steps)
            # The evaluation of the start is no step.
            if steps > 0 and on_iteration is not None and on_iteration(fit):
                fit.ended_by = "callback"
                return
    except StopIteration as end:
        fit.converged = bool(end.value)
    except OracleBudgetExceeded:
        fit.ended_by = "budget"
    except KeyboardInterrupt as interrupt:
        fit.interrupt = interrupt


def fit_minibatches(
    X, y, sample_weight, oracle, start, options, batch_size, rng, on_iteration=None
):
    """Fit a linear model, each outer step on another batch, until the budget ends.

    Parameters
    ----------
    X : {ndarray, CSR matrix} of shape (n_samples, n_features)
        Data.
    y : ndarray
        Passed to the oracle.
    sample_weight : ndarray of shape (n_samples,) or None
        Weights; rows of weight zero are left out.
    oracle : callable
        ``oracle(Z, y, sample_weight)``.
    start : tuple of (coef, intercept)
        Start.
    options : SurrogateOptions
        How.
    batch_size : int
        Rows of a batch.
    rng : RandomState
        Shuffles each epoch.
    on_iteration : callable or None, default=None
        Called with the `SurrogateFit` after each outer step; stops the run by True.

    Returns
    -------
    SurrogateFit
        The last iterate: losses of different batches cannot be compared.
    """
    rows = np.arange(X.shape[0])
    if sample_weight is not None:
        rows = np.flatnonzero(sample_weight)
    size_of = StepSizes(options.step_rule, options.eta, options.max_oracle_calls)
    fit = SurrogateFit(*start, options.eta)

    def steps():
        while True:
            order = rng.permutation(rows)
            for batch in gen_batches(len(order), batch_size):
                if fit.n_calls >= options.max_oracle_calls:
                    return False
                batch = np.sort(order[batch])
                weight = None if sample_weight is None else sample_weight[batch]
                outer_step(fit, X[batch], y[batch], weight, oracle, size_of, options)
                yield fit

    _run(steps(), fit, lambda *_: None, on_iteration)
    if fit.interrupt is not None and fit.n_iter == 0:
        raise fit.interrupt
    if fit.ended_by == "budget" and fit.n_iter == 0:
        raise OracleBudgetExceeded("the oracle refused its first call")
    return fit


def outer_step(fit, X, y, sample_weight, oracle, size_of, options):
    """Take one outer step on some rows, at the cost of one oracle call.

    Parameters
    ----------
    fit : SurrogateFit
        Changed in place.
    X : {ndarray, CSR matrix} of shape (n_rows, n_features)
        Rows.
    y : ndarray
        Passed to the oracle.
    sample_weight : ndarray of shape (n_rows,) or None
        Weights.
    oracle : callable
        ``oracle(Z, y, sample_weight)``.
    size_of : StepSizes
        Step sizes.
    options : SurrogateOptions
        How.
    """
    design = CenteredDesign(X, sample_weight, options.fit_intercept)
    objective = _objective(design, oracle, y, sample_weight, options)
    theta = design.encode(fit.coef, fit.intercept)
    try:
        iterate = next(open_loop(objective, theta, size_of), None)
    finally:  # an interrupted call was paid for as well
        fit.n_calls += objective.n_calls
    fit.n_iter += 1
    fit.n_inner += objective.project.n_steps
    fit.loss_curve.append(objective.best.value)
    if iterate is not None:  # None: the gradient vanished, there is no step to take
        fit.coef, fit.intercept = design.decode(iterate.theta)
        fit.eta = iterate.eta
