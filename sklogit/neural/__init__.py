"""Estimators whose module is trained by torch, through skorch."""

from sklogit._optional import import_optional

import_optional("torch", "sklogit.neural")
import_optional("skorch", "sklogit.neural")

from ._anyloss import (  # noqa: E402 - after the checks for the extra
    AnyLossNetBinaryClassifier,
)
from ._augmented_covariance import AugmentedCovarianceNetClassifier  # noqa: E402
from ._stratified import StratifiedBatches, StratifiedDataLoader  # noqa: E402
from ._surrogate import (  # noqa: E402
    SurrogateNetClassifier,
    SurrogateNetRegressor,
)

__all__ = [
    "AnyLossNetBinaryClassifier",
    "AugmentedCovarianceNetClassifier",
    "StratifiedBatches",
    "StratifiedDataLoader",
    "SurrogateNetClassifier",
    "SurrogateNetRegressor",
]
