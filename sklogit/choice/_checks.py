"""Checks of what an assignment is asked for."""

from numbers import Integral

import numpy as np


def check_weights(weights, n_ads=None, name="weights", *, non_negative=False):
    """Return finite weights of ads, (n_ads,), as float64."""
    weights = _as_float(weights, name)
    if weights.ndim != 1:
        raise ValueError(f"{name} must have shape (n_ads,), got {weights.shape}.")
    if n_ads is not None and len(weights) != n_ads:
        raise ValueError(
            f"{name} must have a value for each of {n_ads} ads, got {len(weights)}."
        )
    if not np.isfinite(weights).all():
        raise ValueError(
            f"{name} must be finite, got {weights[~np.isfinite(weights)][0]}."
        )
    if non_negative and (weights < 0).any():
        raise ValueError(f"{name} must not be negative, got {weights.min():g}.")
    return weights


def check_utilities(utilities):
    """Return utilities, (n_ads, n_positions); minus infinity marks ineligible pairs."""
    utilities = _table(utilities, "utilities")
    bad = np.isnan(utilities) | (utilities == np.inf)
    if bad.any():
        raise ValueError(
            "utilities must be finite, or -inf for pairs that are not eligible, got "
            f"{utilities[bad][0]} (a click probability of 1 has no finite utility)."
        )
    return utilities


def check_ctr(ctr):
    """Return click probabilities, (n_ads, n_positions), between 0 and 1."""
    ctr = _table(ctr, "ctr")
    bad = ~((ctr >= 0) & (ctr <= 1))
    if bad.any():
        raise ValueError(f"ctr must be between 0 and 1, got {ctr[bad][0]}.")
    return ctr


def check_max_ads(max_ads, n_positions):
    """Return how many ads may be shown."""
    if max_ads is None:
        return n_positions
    if isinstance(max_ads, bool) or not isinstance(max_ads, Integral) or max_ads < 0:
        raise ValueError(f"max_ads must be None or an integer >= 0, got {max_ads!r}.")
    return min(int(max_ads), n_positions)


def utilities_of(ctr):
    """Utilities of pairs shown alone with these click probabilities."""
    with np.errstate(divide="ignore"):
        return np.log(ctr) - np.log1p(-ctr)


def _table(values, name):
    values = _as_float(values, name)
    if values.ndim != 2:
        raise ValueError(
            f"{name} must have shape (n_ads, n_positions), got {values.shape}."
        )
    return values


def _as_float(values, name):
    # Without check_array, which takes as long as a placement.
    values = np.asarray(values)
    if values.dtype.kind not in "fiub":
        raise ValueError(f"{name} must be real numbers, got dtype {values.dtype}.")
    return values.astype(np.float64, copy=False)
