"""Training gradient boosting for a metric of the confusion matrix."""

import numpy as np
from sklearn.utils.validation import _check_sample_weight, check_consistent_length

from ._confusion_metric import get_confusion_metric
from ._soft_confusion import amplify, soft_confusion

# Largest curvature of the logistic function.
_CURVATURE = 1 / (6 * np.sqrt(3))
# Boosters divide by sums of second derivatives: where a metric does not depend on a
# class, those of its rows must not be zero.
_LEAST_HESSIAN = 1e-6


def metric_objective(metric, *, beta=1.0, amplifier="logit", L=1.0):
    r"""Make an objective for XGBoost or LightGBM of a metric.

    It is :math:`S (1 - M)`, with the metric M of the soft predictions
    :math:`a_i = \sigma(L z_i)` of the raw scores z, and the total weight S. Of row i,
    with the label y and the weight s,

    .. math:: g_i = -S s_i \left(y_i \frac{dM}{d\,\mathrm{tp}} + (1 - y_i)
        \frac{dM}{d\,\mathrm{fp}}\right) \frac{da_i}{dz_i}, \qquad
        h_i = S s_i \left|y_i \frac{dM}{d\,\mathrm{tp}} + (1 - y_i)
        \frac{dM}{d\,\mathrm{fp}}\right| \max_z \left|\frac{d^2a}{dz^2}\right| .

    The second derivatives are bounds of the true ones, which are no good to Newton's
    method: they vanish at the start, z = 0, and are negative for half of the scores.

    Parameters
    ----------
    metric : str, callable or ConfusionMetric
        See `get_confusion_metric`.
    beta : float, default=1.0
        For "fbeta".
    amplifier : {"logit", "probability"}, default="logit"
        See `amplify`.
    L : float, default=1.0
        Its steepness.

    Returns
    -------
    callable
        ``objective(y_true, raw_score, sample_weight=None)`` returns the gradient and
        the second derivatives, two arrays of shape (n_samples,), in float64. It can be
        pickled if the metric can.

    Raises
    ------
    ValueError
        If there is no such metric or amplifier, or `beta` or `L` is not positive; by
        the objective, if labels are not 0 and 1, both of them, or weights negative.

    See Also
    --------
    sklogit.linear_model.AnyLossClassifier : A linear model.
    sklogit.losses.AnyLoss : The loss for nets.

    Notes
    -----
    Pass it as ``objective`` to ``LGBMClassifier`` or ``XGBClassifier``, which encode
    labels of any kind. Positive raw scores are those of the positive class:
    LightGBM returns raw scores from ``predict`` then, XGBoost with
    ``output_margin=True``. They are not calibrated. The metric is that of all rows the
    booster passes at once. Rows count about as much as with the logistic loss, but
    other learning rates may suit.

    References
    ----------
    .. [1] "AnyLoss: Transforming Classification Metrics into Loss Functions",
       arXiv:2405.14745.

    Examples
    --------
    >>> from sklogit.metrics import metric_objective
    >>> objective = metric_objective("f1")
    >>> gradient, hessian = objective([0, 0, 0, 1], [0.0, 0.0, 0.0, 0.0])
    >>> gradient.round(3).tolist()  # the score of the positive shall grow
    [0.111, 0.111, 0.111, -0.556]
    >>> (hessian > 0).all()
    np.True_
    """
    return _MetricObjective(get_confusion_metric(metric, beta), amplifier, L)


class _MetricObjective:
    """One minus a metric, as boosters call it."""

    def __init__(self, metric, amplifier, L):
        amplify([0.0], amplifier, L)  # which checks both
        self.metric, self.amplifier, self.L = metric, amplifier, L

    def __repr__(self):
        return (
            f"metric_objective({self.metric!r}, amplifier={self.amplifier!r}, "
            f"L={self.L!r})"
        )

    def __call__(self, y_true, raw_score, sample_weight=None):
        """Gradient and second derivatives by the raw scores."""
        positive, scores, weight = _checked(y_true, raw_score, sample_weight)
        predictions, slopes = amplify(scores, self.amplifier, self.L)
        counts = soft_confusion(positive, predictions, weight)
        self.metric.value(*counts)  # which raises if it is not finite
        by_tp, by_fp = self.metric.slopes(*counts)
        by_prediction = -sum(counts) * np.where(positive, by_tp, by_fp)
        if weight is not None:
            by_prediction = by_prediction * weight
        hessian = np.abs(by_prediction) * self._curvature()
        return by_prediction * slopes, np.maximum(hessian, _LEAST_HESSIAN)

    def _curvature(self):
        """Bound of the second derivative of a soft prediction."""
        if self.amplifier == "logit":
            return _CURVATURE * self.L**2
        # Of sigmoid(L (p - 1/2)), with p' <= 1/4 and |p''| <= the same constant.
        return _CURVATURE * (self.L**2 / 16 + self.L / 4)


def _checked(y_true, raw_score, sample_weight):
    y_true = np.asarray(y_true)
    scores = np.asarray(raw_score, dtype=np.float64)
    if scores.ndim != 1:
        raise ValueError(
            "raw_score must have shape (n_samples,), as of two classes, got "
            f"{scores.shape}."
        )
    check_consistent_length(y_true, scores)
    labels = np.unique(y_true)
    if not np.array_equal(labels, [0, 1]):
        raise ValueError(f"y_true must have the labels 0 and 1, found {labels}.")
    if sample_weight is not None:
        sample_weight = _check_sample_weight(
            sample_weight, scores, dtype=np.float64, ensure_non_negative=True
        )
    return y_true == 1, scores, sample_weight
