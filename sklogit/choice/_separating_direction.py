"""Directions of the coefficients along which the likelihood only rises."""

import numpy as np

# What a direction takes from a choice, as a part of what it gives to another.
_TOLERANCE = 1e-6


def separates(objective, direction):
    """Tell whether utilities along a direction rank each choice first.

    If no choice falls behind an alternative, and one gets ahead, the likelihood rises
    along the direction for ever: there is no finite maximum without a penalty.

    Parameters
    ----------
    objective : ChoiceObjective
        The choices.
    direction : ndarray of shape (n_coefs,)
        Change of the coefficients.

    Returns
    -------
    bool
        Whether the direction separates the choices; false says nothing about others.
    """
    impressions, chosen = objective.impressions, objective.chosen > 0
    utilities = objective.design @ direction
    of_chosen = impressions.sum(np.where(chosen, utilities, 0.0))
    rivals = impressions.max(np.where(chosen, -np.inf, utilities))
    if objective.outside_option:
        picked = impressions.sum(chosen.astype(np.float64)) > 0
        rivals = np.where(picked, np.maximum(rivals, 0.0), rivals)
    lead = (of_chosen - rivals)[objective.weight > 0]
    lead = lead[np.isfinite(lead)]  # of one alternative alone
    # Features that are the same in an impression leave round-off.
    most, size = lead.max(initial=0.0), np.abs(utilities).max()
    return bool(most > _TOLERANCE * size and lead.min() >= -_TOLERANCE * most)
