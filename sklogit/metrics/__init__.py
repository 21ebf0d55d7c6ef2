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
from ._ranking import (
    first_hit_rank,
    hit_ranks,
    inspection_curve,
    inspections_to_recall,
    lift_at_k,
    precision_at_k,
    recall_at_k,
)
from ._soft_confusion import amplify, soft_confusion
from ._soft_metric_display import SoftMetricDisplay
from ._threshold import optimal_threshold
from ._threshold_display import MetricThresholdDisplay
from ._triage_scorer import make_triage_scorer

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
    "first_hit_rank",
    "get_confusion_metric",
    "hit_ranks",
    "inspection_curve",
    "inspections_to_recall",
    "lift_at_k",
    "make_triage_scorer",
    "metric_objective",
    "optimal_threshold",
    "precision_at_k",
    "recall_at_k",
    "soft_confusion",
]
