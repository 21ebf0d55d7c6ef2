"""Few-shot learning on top of the logits of a zero-shot model."""

from ._cache import CacheLogits
from ._logit_bias import AMUClassifier, LogitBiasClassifier
from ._logit_bias_cv import LogitBiasClassifierCV
from ._tip_adapter import TipAdapterClassifier
from ._uncertainty import uncertainty_factor
from ._zero_shot import ZeroShotLogits

__all__ = [
    "AMUClassifier",
    "CacheLogits",
    "LogitBiasClassifier",
    "LogitBiasClassifierCV",
    "TipAdapterClassifier",
    "ZeroShotLogits",
    "uncertainty_factor",
]
