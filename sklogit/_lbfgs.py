"""L-BFGS that can be watched, interrupted, and never ends worse than it started."""

from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import minimize

_CORRECTIONS = 20
# Relative decrease of the objective, as a part of tol, that counts as none.
_FTOL = 1e-4


@dataclass
class MinimisationResult:
    """Result of `minimise`.

    Attributes
    ----------
    parameters : ndarray
        The best point.
    loss_curve : list of float
        Objective at the start and after each iteration.
    n_iter : int
        Iterations.
    converged : bool
        Whether there was nothing left to gain.
    failure : str or None
        What made the objective fail after the start, if it did.
    interrupt : KeyboardInterrupt or None
        What ended the iterations early.
    stopped : bool
        Whether a callback ended them.
    """

    parameters: np.ndarray
    loss_curve: list = field(default_factory=list)
    n_iter: int = 0
    converged: bool = True
    failure: str | None = None
    interrupt: BaseException | None = None
    stopped: bool = False


class _Failed(Exception):
    """The objective has no value at a point of the search."""


def _attempt(objective, parameters):
    """Value and gradient; infinite if there is no value."""
    try:
        return objective(parameters)
    except ValueError:
        return np.inf, None


def _value(evaluation):
    return evaluation[0]


def minimise(
    objective, starts, max_iter, tol, on_iteration=None, corrections=_CORRECTIONS
):
    """Minimise an objective by L-BFGS from the better of one or two starts.

    Parameters
    ----------
    objective : callable
        Returns value and gradient.
    starts : list of ndarray
        Points to start from; the objective must not fail at the first.
    max_iter : int
        Most iterations.
    tol : float
        Largest derivative at the end.
    on_iteration : callable, default=None
        Called with the fit after each iteration; a true value stops.
    corrections : int, default=20
        Steps that the approximation of the curvature remembers.

    Returns
    -------
    MinimisationResult
        The fit; its objective is not above that of the first start.
    """
    first = objective(starts[0])
    known = min([first, *(_attempt(objective, s) for s in starts[1:])], key=_value)
    best = starts[0] if known is first else starts[1]
    fit = MinimisationResult(best, [known[0]])

    def guarded(parameters):
        if np.array_equal(parameters, best):  # where the search starts
            return known
        try:
            value, gradient = objective(parameters)
        except ValueError as error:  # a metric that is not finite there
            raise _Failed(str(error)) from None
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            raise _Failed(f"the objective is {value}, with gradient {gradient}")
        return value, gradient

    def after_iteration(intermediate_result):
        fit.parameters = intermediate_result.x.copy()
        fit.loss_curve.append(float(intermediate_result.fun))
        fit.n_iter += 1
        if on_iteration is not None and on_iteration(fit):
            fit.stopped = True
            raise StopIteration

    try:
        result = minimize(
            guarded,
            fit.parameters,
            jac=True,
            method="L-BFGS-B",
            callback=after_iteration,
            options={
                "maxcor": corrections,
                "maxiter": max_iter,
                "maxfun": 20 * max_iter,
                "gtol": tol,
                "ftol": _FTOL * tol,
            },
        )
        # Status 2 is a line search that finds nothing: the objective is as low as its
        # rounding allows.
        fit.converged = result.status != 1
    except _Failed as failed:
        fit.failure, fit.converged = str(failed), False
        fit.parameters, fit.loss_curve = starts[0], [first[0]]
    except KeyboardInterrupt as interrupt:
        fit.interrupt, fit.converged = interrupt, False
    return fit
