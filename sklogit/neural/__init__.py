"""Estimators whose module is trained by torch, through skorch."""

from sklogit._optional import import_optional

import_optional("torch", "sklogit.neural")
import_optional("skorch", "sklogit.neural")

from ._augmented_covariance import (  # noqa: E402 - after the checks for the extra
    AugmentedCovarianceNetClassifier,
)
from ._surrogate import (  # noqa: E402
    SurrogateNetClassifier,
    SurrogateNetRegressor,
)

__all__ = [
    "AugmentedCovarianceNetClassifier",
    "SurrogateNetClassifier",
    "SurrogateNetRegressor",
]
