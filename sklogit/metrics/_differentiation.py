"""Derivatives of functions of a confusion matrix that come without them."""

import warnings

import numpy as np

# A complex step has no cancellation: it can be as small as it likes.
_COMPLEX_STEP = 1e-30
# Central differences, relative to the sum of the counts.
_REAL_STEP = 1e-6
# Two ways to differentiate that differ by more than this part of the gradient do not
# differentiate the same function.
_AGREEMENT = 1e-3
# (true positive rate, false positive rate) where a metric is probed; not round, lest a
# metric that rounds be met just where it jumps.
_PROBES = ((0.5137, 0.4871), (0.8119, 0.3041), (0.6023, 0.1093), (0.9467, 0.5513))


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
            with np.errstate(all="ignore"), warnings.catch_warnings():
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
    wrong, slopes = [], []
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
    if not np.any(slopes):
        raise ValueError(
            f"metric {metric.name!r} is not differentiable: its derivatives by the "
            "counts are zero at all probes, as those of a metric that rounds or "
            "thresholds the counts."
        )
    if all(wrong):
        raise ValueError(
            f"metric {metric.name!r}: its gradient is not that of its values."
        )
