"""Linear logits: solvers that promise separation, or few calls of the loss."""

from ._normalized import BatchPerceptron, NormalizedLogisticRegression
from ._path import normalized_gd_path
from ._separability import SeparabilityReport, linear_separability

__all__ = [
    "BatchPerceptron",
    "NormalizedLogisticRegression",
    "SeparabilityReport",
    "linear_separability",
    "normalized_gd_path",
]
