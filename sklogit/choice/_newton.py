"""Damped Newton steps for a convex objective."""

import numpy as np
from scipy import linalg

from ._choice_fit import ChoiceFit

# A step that promises nothing more, yet moves utilities, runs away on separable data.
_LARGEST_LAST_MOVE = 1e-2
# Near a solution one or two of these occur.
_MOST_RUNAWAY_STEPS = 10
_ARMIJO = 1e-4
_SHORTEST_STEP = 2.0**-30
_ROUND_OFF = 64 * np.finfo(np.float64).eps


def newton(objective, start, max_iter, tol, on_iteration=None):
    """Minimise by Newton steps, halved until they descend.

    Ends when a step promises a decrease of `tol` or less. That is measured in units of
    the objective, so that neither the scale nor the origin of the features counts.

    Parameters
    ----------
    objective : ChoiceObjective
        What to minimise.
    start : ndarray of shape (n_coefs,)
        Start.
    max_iter : int
        Most steps.
    tol : float
        Promised decrease at which to end; the step that promised it is taken.
    on_iteration : callable, default=None
        Called with the fit after each step; a true value stops.

    Returns
    -------
    ChoiceFit
        The minimiser, and the Hessian there.
    """
    value, proba = objective.value(start)
    fit = ChoiceFit(start, [value], np.zeros_like(start))
    n_runaway = 0
    try:
        while fit.n_iter < max_iter:
            gradient = objective.gradient(fit.theta, proba)
            step = solve_scaled(objective.hessian(proba), -gradient)
            promised = -float(gradient @ step)
            taken = _line_search(objective, fit.theta, step, value, promised)
            if taken is None:  # no descent is left beyond round-off
                fit.converged = promised <= max(tol, _ROUND_OFF * abs(value))
                break
            theta, value, proba = taken
            if fit.advance(theta, value, on_iteration):
                break
            if promised / 2 > tol:
                continue
            n_runaway += 1
            fit.converged = _move(objective, step) <= _LARGEST_LAST_MOVE
            if fit.converged or n_runaway >= _MOST_RUNAWAY_STEPS:
                break
    except KeyboardInterrupt as interrupt:
        fit.interrupt = interrupt
        proba = objective.value(fit.theta)[1]
    fit.hessian = objective.hessian(proba)
    return fit


def _move(objective, step):
    """Largest change of a utility."""
    return np.abs(objective.design @ step).max()


def _line_search(objective, theta, step, value, promised):
    size = 1.0
    while size >= _SHORTEST_STEP:
        candidate = theta + size * step
        new_value, proba = objective.value(candidate)
        # The decrease of the last steps drowns in the round-off of a large sum.
        least = value - _ARMIJO * size * promised + _ROUND_OFF * abs(value)
        if np.isfinite(new_value) and new_value <= least:
            return candidate, new_value, proba
        size /= 2
    return None


def solve_scaled(hessian, right):
    """Solve with a positive semidefinite matrix, whatever the units of its columns.

    Directions without curvature stay out of the solution.
    """
    scale = scale_of(hessian)
    scaled = hessian * scale[:, np.newaxis] * scale
    factor, solution, failed = linalg.lapack.dposv(scaled, scale * right)
    if not failed and np.diag(factor).min() ** 2 > _flat(len(scaled)):
        return scale * solution
    values, vectors = np.linalg.eigh(scaled)
    curved = values > _flat(len(values))
    vectors = vectors[:, curved]
    return scale * (vectors @ ((vectors.T @ (scale * right)) / values[curved]))


def invert_scaled(hessian):
    """Invert a positive semidefinite matrix, whatever the units of its columns.

    Parameters
    ----------
    hessian : ndarray of shape (n_coefs, n_coefs)
        The matrix.

    Returns
    -------
    inverse : ndarray of shape (n_coefs, n_coefs)
        The inverse, with zeros for directions without curvature.
    flat : ndarray of shape (n_coefs, n_flat)
        A basis of these directions.
    """
    scale = scale_of(hessian)
    values, vectors = np.linalg.eigh(hessian * scale[:, np.newaxis] * scale)
    flat = values <= _flat(len(values))
    inverse = (vectors[:, ~flat] / values[~flat]) @ vectors[:, ~flat].T
    inverse = inverse * scale[:, np.newaxis] * scale
    return (inverse + inverse.T) / 2, scale[:, np.newaxis] * vectors[:, flat]


def _flat(n_coefs):
    """Curvature that is round-off, in a matrix whose diagonal is one."""
    return 1e-12 * n_coefs


def scale_of(hessian):
    """Units of the coefficients in which the diagonal of a Hessian is one."""
    diagonal = np.diag(hessian)
    return 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
