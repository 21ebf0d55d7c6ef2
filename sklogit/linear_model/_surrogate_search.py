"""A line search that wants few calls of the oracle."""

import math

# Constants of the Wolfe conditions as in L-BFGS everywhere: the first trial nearly
# always passes, and costs the only call.
_DECREASE, _CURVATURE = 1e-4, 0.9
_MOST_TRIALS = 30


def wolfe_search(objective, point, descent):
    """Find a step along -D that meets the Wolfe conditions.

    The first trial is the step 1. Steps too long are shortened by cubic interpolation,
    steps too short lengthened as the secant of the slopes says, 2 to 10 times.

    Parameters
    ----------
    objective : TargetObjective
        The objective.
    point : Point
        Start.
    descent : Descent
        Direction; its rate must be positive.

    Returns
    -------
    Point or None
        The new point; None if no trial had a smaller objective.
    """
    slope, rounding = -descent.rate, objective.rounding(point)
    low, high = (0.0, point.value, slope), None
    lowest, t = None, 1.0
    for _ in range(_MOST_TRIALS):
        new = objective.step(point, descent, t)
        trial = (t, new.value, -objective.rate(new, descent))
        if new.value > point.value + _DECREASE * t * slope + rounding:
            high = trial
        elif trial[2] >= _CURVATURE * slope:
            return new
        else:
            low, lowest = trial, new
        if high is None:
            t = _longer(low, slope)
        else:
            if abs(high[0] - low[0]) <= 1e-10 * max(high[0], 1e-10):
                break
            t = _between(low, high)
    return lowest


def _longer(trial, slope):
    """Where the slope would vanish if it went on as until the trial, 2 to 10 t."""
    t, _, slope_there = trial
    bend = slope_there - slope
    zero = -slope * t / bend if bend > 0 else math.inf
    return min(max(zero, 2 * t), 10 * t)


def _between(low, high):
    """Minimum of the cubic through two values and slopes, not close to either end."""
    (a, value_a, slope_a), (b, value_b, slope_b) = low, high
    width = b - a
    d1 = slope_a + slope_b - 3 * (value_b - value_a) / width
    root = d1 * d1 - slope_a * slope_b
    if root >= 0:
        d2 = math.copysign(math.sqrt(root), width)
        denominator = slope_b - slope_a + 2 * d2
        if denominator != 0:
            t = b - width * (slope_b + d2 - d1) / denominator
            if 0.1 <= (t - a) / width <= 0.9:
                return t
    return a + width / 2
