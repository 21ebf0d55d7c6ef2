"""Estimators whose module is trained by torch, through skorch."""

from sklogit._optional import import_optional

import_optional("torch", "sklogit.neural")
import_optional("skorch", "sklogit.neural")

from ._anyloss import (  # noqa: E402 - after the checks for the extra
    AnyLossNetBinaryClassifier,
)
from ._augmented_covariance import AugmentedCovarianceNetClassifier  # noqa: E402
from ._batch_policy import BatchPolicy  # noqa: E402
from ._cut_cross_entropy import CutCrossEntropyClassifier  # noqa: E402
from ._grassmann import GrassmannNetClassifier  # noqa: E402
from ._logit_classifier import LogitClassifier  # noqa: E402
from ._online_selection import (  # noqa: E402
    OnlineSelection,
    OnlineSelectionClassifier,
    OnlineSelectionMixin,
)
from ._replay import ReplayPolicy  # noqa: E402
from ._row_dataset import RowDataset  # noqa: E402
from ._stratified import StratifiedBatches, StratifiedDataLoader  # noqa: E402
from ._surrogate import (  # noqa: E402
    SurrogateNetClassifier,
    SurrogateNetRegressor,
)
from ._uer_net import UERNetClassifier  # noqa: E402
from ._vq_logits import VQLogitsClassifier  # noqa: E402

__all__ = [
    "AnyLossNetBinaryClassifier",
    "AugmentedCovarianceNetClassifier",
    "BatchPolicy",
    "CutCrossEntropyClassifier",
    "GrassmannNetClassifier",
    "LogitClassifier",
    "OnlineSelection",
    "OnlineSelectionClassifier",
    "OnlineSelectionMixin",
    "ReplayPolicy",
    "RowDataset",
    "StratifiedBatches",
    "StratifiedDataLoader",
    "SurrogateNetClassifier",
    "SurrogateNetRegressor",
    "UERNetClassifier",
    "VQLogitsClassifier",
]
