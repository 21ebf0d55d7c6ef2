"""L-BFGS, where there are too many features for a Hessian."""

import numpy as np
from scipy import optimize

from ._choice_fit import ChoiceFit


def lbfgs(objective, start, max_iter, tol, on_iteration=None):
    """Minimise a `ChoiceObjective` by gradients.

    It works with coefficients of features in units of their root mean square: in units
    as they come a feature of small numbers would have a gradient below any tolerance
    long before its coefficient is found.

    Parameters
    ----------
    objective : ChoiceObjective
        What to minimise.
    start : ndarray of shape (n_coefs,)
        Start.
    max_iter : int
        Most iterations.
    tol : float
        Largest derivative at the end, over the total weight, in these units.
    on_iteration : callable, default=None
        Called with the fit after each iteration; a true value stops.

    Returns
    -------
    ChoiceFit
        The minimiser, without Hessian.
    """
    total = max(objective.weight.sum(), np.finfo(np.float64).tiny)
    units = objective.units()
    fit = ChoiceFit(start, [objective.value(start)[0]], np.zeros_like(start))

    def mean_loss(scaled):
        value, gradient = objective.value_and_gradient(units * scaled)
        return value / total, units * gradient / total

    def after_iteration(intermediate_result):
        theta = units * intermediate_result.x
        if fit.advance(theta, intermediate_result.fun * total, on_iteration):
            raise StopIteration

    try:
        result = optimize.minimize(
            mean_loss,
            start / units,
            jac=True,
            method="L-BFGS-B",
            callback=after_iteration,
            options={"maxiter": max_iter, "gtol": tol, "ftol": 0.0, "maxls": 50},
        )
    except KeyboardInterrupt as interrupt:
        fit.interrupt = interrupt
        return fit
    # A line search that fails has met round-off; far from the minimum it is a failure.
    reached = np.abs(result.jac).max() <= max(tol, 1e-7)
    fit.theta, fit.converged = units * result.x, bool(result.success or reached)
    return fit
