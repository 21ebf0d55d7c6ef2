"""Linear logits: solvers that promise separation, or few calls of the loss."""

from ._normalized import BatchPerceptron, NormalizedLogisticRegression
from ._path import normalized_gd_path

__all__ = ["BatchPerceptron", "NormalizedLogisticRegression", "normalized_gd_path"]
