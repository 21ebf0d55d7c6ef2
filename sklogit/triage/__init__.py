"""Triage of reports by the public: which to inspect first, and why."""

from ._date_features import DateFeatures
from ._influence import neighbour_influence
from ._inspection_curve_display import InspectionCurveDisplay
from ._priority_map_display import PriorityMapDisplay
from ._rate_encoder import SpatioTemporalRateEncoder
from ._report_classifier import ReportTriageClassifier
from ._simulation import simulate_triage

__all__ = [
    "DateFeatures",
    "InspectionCurveDisplay",
    "PriorityMapDisplay",
    "ReportTriageClassifier",
    "SpatioTemporalRateEncoder",
    "neighbour_influence",
    "simulate_triage",
]
