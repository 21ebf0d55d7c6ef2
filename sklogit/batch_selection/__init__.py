"""Which samples of a batch are worth training on: online selection from logits."""

from ._head import FactoredLogits, head_factor, nuclear_norm_from_head
from ._nuclear_norm import nuclear_norm
from ._online_classifier import OnlineBatchSelectionClassifier
from ._projection import BilinearRandomProjection
from ._selector import UtilityDiversitySelector

__all__ = [
    "BilinearRandomProjection",
    "FactoredLogits",
    "OnlineBatchSelectionClassifier",
    "UtilityDiversitySelector",
    "head_factor",
    "nuclear_norm",
    "nuclear_norm_from_head",
]
