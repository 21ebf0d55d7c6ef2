"""Metrics of decisions: confusion matrices, soft and hard, and what they are worth."""

from ._confusion_metric import (
    ConfusionMetric,
    confusion_metric_names,
    cost_metric,
    get_confusion_metric,
)
from ._continual import (
    average_forgetting,
    average_incremental_accuracy,
    continual_accuracy_matrix,
)
from ._objective import metric_objective
from ._soft_confusion import amplify, soft_confusion
from ._soft_metric_display import SoftMetricDisplay
from ._threshold import optimal_threshold
from ._threshold_display import MetricThresholdDisplay

__all__ = [
    "ConfusionMetric",
    "MetricThresholdDisplay",
    "SoftMetricDisplay",
    "amplify",
    "average_forgetting",
    "average_incremental_accuracy",
    "confusion_metric_names",
    "continual_accuracy_matrix",
    "cost_metric",
    "get_confusion_metric",
    "metric_objective",
    "optimal_threshold",
    "soft_confusion",
]
