"""Value and slopes of a confusion-matrix metric at counts that are tensors."""

import torch

from ..metrics._confusion_metric import NamedMetric

# (true positive rate, false positive rate) where a metric of the user is probed; not
# round, so that the counts are not where rounding jumps.
_PROBES = ((0.5117, 0.4919), (0.8123, 0.3041), (0.6071, 0.1013), (0.9507, 0.5519))


def values_and_slopes(metric, counts):
    """Evaluate a metric and how it grows with what is predicted positive.

    The named metrics stay on the device of the counts, without waiting for it. Those of
    users are differentiated by torch, and where they do not take tensors, as NumPy's.

    Parameters
    ----------
    metric : ConfusionMetric
        The metric.
    counts : Tensor of shape (4,) or (4, n_classes)
        The tn, fp, fn and tp, without a graph.

    Returns
    -------
    values : Tensor of shape () or (n_classes,)
        Values of the metric.
    slopes : Tensor of shape (2,) or (2, n_classes)
        Derivatives by tp at constant tp + fn, and by fp at constant tn + fp.

    Raises
    ------
    ValueError
        If a metric of the user is not finite.
    """
    if isinstance(metric, NamedMetric) and counts.device.type != "cpu":
        values, partials = of_tensors(metric, counts)
    else:
        values, partials = _of_numbers(metric, counts)
    by_tn, by_fp, by_fn, by_tp = partials
    slopes = torch.stack([by_tp - by_fn, by_fp - by_tn])
    return values.to(counts.dtype), slopes.to(counts.dtype)


def of_tensors(metric, counts):
    """Values and partial derivatives of a named metric, on the device of the counts."""
    counts = _exact(counts)
    # Some derivatives are plain numbers.
    partials = [counts[0] * 0 + partial for partial in metric.partials(*counts)]
    return metric.function(*counts), torch.stack(partials)


def _of_numbers(metric, counts):
    of_class = _of_named if isinstance(metric, NamedMetric) else _of_user
    columns = counts.reshape(4, -1).unbind(dim=1)
    values, partials = zip(*(of_class(metric, column) for column in columns))
    values = _exact(counts).new_tensor(values).reshape(counts.shape[1:])
    return values, values.new_tensor(partials).T.reshape(counts.shape)


def _exact(counts):
    return counts if counts.device.type == "mps" else counts.double()


def _of_named(metric, counts):
    """Value and partial derivatives as numbers, many times faster than as tensors."""
    numbers = counts.tolist()
    return metric.function(*numbers), metric.partials(*numbers)


def _of_user(metric, counts):
    """Value and partial derivatives of a metric, as numbers."""
    counts = _exact(counts)
    numbers = counts.tolist()
    if metric.gradient is not None:
        return metric.value(*numbers), metric.partials(*numbers)
    try:
        return _by_autograd(metric, counts)
    except Exception as error:  # of any kind: it is the user's function
        try:
            return metric.value(*numbers), metric.partials(*numbers)
        except (AttributeError, TypeError):  # a function that wants tensors
            raise error from None


def _by_autograd(metric, counts):
    leaves = [count.clone().requires_grad_() for count in counts]
    with torch.enable_grad():
        value = metric.function(*leaves)
        partials = torch.autograd.grad(value, leaves, materialize_grads=True)
    numbers = [float(value), *(float(partial) for partial in partials)]
    if not torch.tensor(numbers).isfinite().all():
        raise ValueError(
            f"metric {metric.name!r} must be finite, with finite derivatives, got "
            f"{numbers[0]} and {numbers[1:]} at (tn, fp, fn, tp) = {counts.tolist()}."
        )
    return numbers[0], numbers[1:]


def check_differentiable(metric, n_positive, n_negative):
    """Raise a ValueError if a metric has no slope wherever it is probed.

    Parameters
    ----------
    metric : ConfusionMetric
        The metric.
    n_positive, n_negative : float
        Weights of the classes.
    """
    recall, fall_out = torch.tensor(_PROBES, dtype=torch.float64).T
    fp, tp = n_negative * fall_out, n_positive * recall
    counts = torch.stack([n_negative - fp, fp, n_positive - tp, tp])
    _, slopes = values_and_slopes(metric, counts)
    if not slopes.any():
        raise ValueError(
            f"metric {metric.name!r} is not differentiable: its derivatives by the "
            "counts are zero at all probes, as those of a metric that rounds or "
            "thresholds the counts."
        )
