"""What the data of a fit leave open, in words."""

import numpy as np

from ._separating_direction import separates

_MOST_NAMES = 5


def left_open(fit, objective, estimates, names_of):
    """Say why coefficients are not those of a minimum, or not the only ones.

    Parameters
    ----------
    fit : ChoiceFit
        Where the solver ended.
    objective : ChoiceObjective
        What it minimised.
    estimates : Estimates or None
        What the Hessian there tells; None if there is none.
    names_of : callable
        Gives the names of coefficients, of their numbers.

    Returns
    -------
    str or None
        A warning; None if there is nothing to warn of.
    """
    lost = [] if estimates is None else np.flatnonzero(~estimates.identified)
    certain = fit.converged and estimates is not None and not len(lost)
    unpenalised = not objective.penalty.any()
    if unpenalised and not certain and _is_separated(fit, objective, estimates):
        return (
            "The features separate the choices, at least of some impressions: the "
            "likelihood has no maximum, and coefficients grow without bound. They were "
            f"stopped after {fit.n_iter} iterations. Set a finite C, or drop features "
            "that tell the choice."
        )
    if not fit.converged:
        return (
            f"The fit did not converge in {fit.n_iter} iterations: raise max_iter, "
            "scale the features, or lower C."
        )
    if len(lost):
        shown = ", ".join(names_of(lost[:_MOST_NAMES]))
        return (
            f"The choices do not identify {len(lost)} of {len(estimates.identified)} "
            f"coefficients, {shown}{', ...' if len(lost) > _MOST_NAMES else ''}: these "
            "features are constant in impressions, or combinations of each other. "
            "Their covariance is NaN."
        )
    return None


def _is_separated(fit, objective, estimates):
    directions = [fit.theta, fit.step]
    if estimates is not None:
        # Where it has run so far that no curvature is left.
        parts = np.linalg.lstsq(estimates.flat, fit.theta)[0]
        directions.append(estimates.flat @ parts)
    return any(separates(objective, direction) for direction in directions)
