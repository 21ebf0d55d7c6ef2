"""Comparison of models by valid tests, and the simplest that is good enough."""

from ._coefficients import coefficient_report
from ._compare_classifiers import compare_classifiers
from ._comparison import ModelComparison
from ._comparison_display import ModelComparisonDisplay
from ._complexity import n_parameters
from ._forward_chaining import ForwardChainingSplit
from ._paired_tests import (
    PairedTestResult,
    bayesian_correlated_ttest,
    corrected_resampled_ttest,
)
from ._rules import one_standard_error
from ._simplest import SimplestModelSelector

__all__ = [
    "ForwardChainingSplit",
    "ModelComparison",
    "ModelComparisonDisplay",
    "PairedTestResult",
    "SimplestModelSelector",
    "bayesian_correlated_ttest",
    "coefficient_report",
    "compare_classifiers",
    "corrected_resampled_ttest",
    "n_parameters",
    "one_standard_error",
]
