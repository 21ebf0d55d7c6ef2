"""Damped Newton steps for a convex objective."""

from dataclasses import dataclass

import numpy as np
from scipy import linalg

# A step that promises nothing more, yet moves utilities, runs away on separable data.
_LARGEST_LAST_MOVE = 1e-2
# Near a solution one or two of these occur.
_MOST_RUNAWAY_STEPS = 10
_ARMIJO = 1e-4
_SHORTEST_STEP = 2.0**-30
_ROUND_OFF = 64 * np.finfo(np.float64).eps


@dataclass
class NewtonResult:
    """What `newton` found.

    Attributes
    ----------
    theta : ndarray of shape (n_coefs,)
        The minimiser.
    hessian : ndarray of shape (n_coefs, n_coefs)
        Hessian there.
    curve : list of float
        The objective at the start and after each step.
    converged : bool
        Whether the last step promised less than the tolerance.
    """

    theta: np.ndarray
    hessian: np.ndarray
    curve: list
    converged: bool


def newton(objective, theta, max_iter, tol):
    """Minimise by Newton steps, halved until they descend.

    Ends when a step promises a decrease of `tol` or less. That is measured in units of
    the objective, so that neither the scale nor the origin of the features counts.

    Parameters
    ----------
    objective : ChoiceObjective
        What to minimise.
    theta : ndarray of shape (n_coefs,)
        Start.
    max_iter : int
        Most steps.
    tol : float
        Promised decrease at which to end; the step that promised it is taken.

    Returns
    -------
    NewtonResult
        The minimiser.
    """
    value, proba = objective.value(theta)
    curve, converged, n_runaway = [value], False, 0
    for _ in range(max_iter):
        gradient = objective.gradient(theta, proba)
        step = solve_scaled(objective.hessian(proba), -gradient)
        promised = -float(gradient @ step)
        taken = _line_search(objective, theta, step, value, promised)
        if taken is None:  # no descent is left beyond round-off
            converged = promised <= max(tol, _ROUND_OFF * abs(value))
            break
        theta, value, proba = taken
        curve.append(value)
        move = np.abs(objective.design @ step).max()
        if promised / 2 <= tol:
            converged = move <= _LARGEST_LAST_MOVE
            n_runaway += 1
            if converged or n_runaway >= _MOST_RUNAWAY_STEPS:
                break
    return NewtonResult(theta, objective.hessian(proba), curve, converged)


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
    scale = _scale(hessian)
    scaled = hessian * scale[:, np.newaxis] * scale
    try:
        factor = linalg.cho_factor(scaled)
        regular = np.diag(factor[0]).min() ** 2 > _flat(len(scaled))
    except linalg.LinAlgError:
        regular = False
    if regular:
        return scale * linalg.cho_solve(factor, scale * right)
    values, vectors = linalg.eigh(scaled)
    curved = values > _flat(len(values))
    vectors = vectors[:, curved]
    return scale * (vectors @ ((vectors.T @ (scale * right)) / values[curved]))


def invert_scaled(hessian):
    """Return the inverse, and which coefficients have one.

    Those that lie in a direction without curvature are not identified; their rows are
    NaN.
    """
    scale = _scale(hessian)
    values, vectors = linalg.eigh(hessian * scale[:, np.newaxis] * scale)
    flat = values <= _flat(len(values))
    inverse = (vectors[:, ~flat] / values[~flat]) @ vectors[:, ~flat].T
    identified = (np.abs(vectors[:, flat]) < 1e-6).all(axis=1)
    inverse = inverse * scale[:, np.newaxis] * scale
    inverse[~identified] = np.nan
    inverse[:, ~identified] = np.nan
    return (inverse + inverse.T) / 2, identified


def _flat(n_coefs):
    """Curvature that is round-off, in a matrix whose diagonal is one."""
    return 1e-12 * n_coefs


def _scale(hessian):
    diagonal = np.diag(hessian)
    return 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
