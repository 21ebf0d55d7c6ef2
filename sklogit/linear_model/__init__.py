"""Linear logits: solvers that promise separation, or few calls of the loss."""

from .._oracle import OracleBudgetExceeded, expensive_oracle
from ._anyloss import AnyLossClassifier
from ._anyloss_cv import AnyLossClassifierCV
from ._normalized import BatchPerceptron, NormalizedLogisticRegression
from ._path import normalized_gd_path
from ._separability import SeparabilityReport, linear_separability
from ._separation_display import SeparationCurveDisplay
from ._surrogate_finite_differences import finite_difference_oracle
from ._target_surrogate_classifier import TargetSurrogateClassifier
from ._target_surrogate_regressor import TargetSurrogateRegressor

__all__ = [
    "AnyLossClassifier",
    "AnyLossClassifierCV",
    "BatchPerceptron",
    "NormalizedLogisticRegression",
    "OracleBudgetExceeded",
    "SeparabilityReport",
    "SeparationCurveDisplay",
    "TargetSurrogateClassifier",
    "TargetSurrogateRegressor",
    "expensive_oracle",
    "finite_difference_oracle",
    "linear_separability",
    "normalized_gd_path",
]
