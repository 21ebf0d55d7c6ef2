"""Derivatives of functions of a confusion matrix that come without them."""

import threading
import warnings

import numpy as np

# A complex step has no cancellation: it can be as small as it likes.
_COMPLEX_STEP = 1e-30
# Central differences, relative to the sum of the counts.
_REAL_STEP = 1e-6
# A function that rounds counts looks smooth to steps as large as its own; not to these.
_FINE_STEP = 1e-9
# Relative error of a value, with room to spare.
_ROUNDING = 64 * np.finfo(np.float64).eps
# Two ways to differentiate that differ by more than this part of the gradient do not
# differentiate the same function.
_AGREEMENT = 1e-3
# (true positive rate, false positive rate) where a metric is probed; not round, lest a
# metric that rounds be met just where it jumps, whatever the size of the classes.
_PROBES = (
    (0.51372641, 0.48711727),
    (0.81193189, 0.30411473),
    (0.60237823, 0.10932961),
    (0.94678239, 0.55132937),
)
# Filters of warnings belong to the process: threads that change them take turns, else
# the last one restores what the first one had set.
_FILTERS = threading.RLock()


def partials_of(metric, counts):
    """Differentiate ``metric.function``, by complex steps or central differences.

    Parameters
    ----------
    metric : ConfusionMetric
        The metric.
    counts : tuple of 4 floats
        tn, fp, fn and tp.

    Returns
    -------
    tuple of 4 floats
        The derivatives.

    Raises
    ------
    ValueError
        If one is not finite.
    """
    counts = np.array([float(count) for count in counts])
    real = _central_differences(metric, counts)
    found = _complex_steps(metric.function, counts)
    # Functions like abs or max drop the imaginary part, without a word.
    if found is None or not _agree(found, real):
        found = real
    if not np.isfinite(found).all():
        raise ValueError(
            f"metric {metric.name!r} has no finite derivative at (tn, fp, fn, tp) = "
            f"{tuple(counts.round(6).tolist())}: give its gradient."
        )
    return tuple(found)


def _complex_steps(function, counts):
    """Differentiate by complex steps; None if the function does not take them."""
    derivatives = np.empty(4)
    for k in range(4):
        moved = counts.astype(complex)
        moved[k] += 1j * _COMPLEX_STEP
        try:
            with _FILTERS, np.errstate(all="ignore"), warnings.catch_warnings():
                # float() of a complex number only warns that it drops what counts.
                warnings.simplefilter("error", np.exceptions.ComplexWarning)
                value = complex(function(*moved))
        except Exception:  # of any kind: it is the user's function
            return None
        derivatives[k] = value.imag / _COMPLEX_STEP
    return derivatives if np.isfinite(derivatives).all() else None


def _central_differences(metric, counts):
    """Differentiate by differences, one-sided where a count would be negative."""
    step = _REAL_STEP * counts.sum()
    derivatives = np.empty(4)
    for k in range(4):
        below, above = counts.copy(), counts.copy()
        below[k] = max(counts[k] - step, 0.0)
        above[k] += step
        difference = metric.value(*above) - metric.value(*below)
        derivatives[k] = difference / (above[k] - below[k])
    return derivatives


def _is_flat(metric, counts):
    """Whether predictions that move by a fine step change no value beyond rounding."""
    step = _FINE_STEP * counts.sum()
    for move in ((0, 0, -step, step), (-step, step, 0, 0)):  # within a class
        below, above = metric.value(*(counts - move)), metric.value(*(counts + move))
        if abs(above - below) > _ROUNDING * max(abs(above), abs(below)):
            return False
    return True


def _agree(first, second):
    size = max(np.abs(second).max(), np.abs(first).max())
    return np.abs(first - second).max() <= _AGREEMENT * size


def check_differentiable(metric, n_positive, n_negative):
    """Raise a ValueError if no probe finds a slope, or all find a wrong one.

    Parameters
    ----------
    metric : ConfusionMetric
        The metric.
    n_positive, n_negative : float
        Weights of the classes.
    """
    wrong, slopes, flat = [], [], []
    for recall, fall_out in _PROBES:
        counts = np.array(
            [
                n_negative * (1 - fall_out),
                n_negative * fall_out,
                n_positive * (1 - recall),
                n_positive * recall,
            ]
        )
        partials = np.array(metric.partials(*counts), dtype=np.float64)
        wrong.append(not _agree(partials, _central_differences(metric, counts)))
        slopes += [partials[3] - partials[2], partials[1] - partials[0]]
        flat.append(_is_flat(metric, counts))
    if not np.any(slopes) or all(flat):
        raise ValueError(
            f"metric {metric.name!r} is not differentiable: its derivatives by the "
            "counts are zero at all probes, as those of a metric that rounds or "
            "thresholds the counts."
        )
    if all(wrong):
        raise ValueError(
            f"metric {metric.name!r}: its gradient is not that of its values."
        )
