"""Losses of logits, for torch."""

from sklogit._optional import import_optional

import_optional("torch", "sklogit.losses")

from ._anyloss import AnyLoss  # noqa: E402 - after the check for torch
from ._binary_kl import (  # noqa: E402
    BinaryKLLoss,
    BinaryKLNormLoss,
    KDLoss,
    binary_kl_loss,
    binary_kl_norm_loss,
    kd_loss,
)
from ._graph_logit_loss import (  # noqa: E402
    GraphLogitDistillationLoss,
    graph_logit_loss,
)
from ._linear_cross_entropy import (  # noqa: E402
    CutCrossEntropyLoss,
    LinearCrossEntropyLoss,
)
from ._logit_bias import LogitBiasLoss  # noqa: E402
from ._logit_graph import (  # noqa: E402
    coactivation_graph,
    graph_features,
    gw_sorted,
    gw_sorted_bounds,
)
from ._memory_display import LossMemoryDisplay  # noqa: E402
from ._top_logits import (  # noqa: E402
    top_logits,
)
from ._uer import UERLoss  # noqa: E402
from ._uld import (  # noqa: E402
    ULDLoss,
    uld_loss,
)

__all__ = [
    "AnyLoss",
    "BinaryKLLoss",
    "BinaryKLNormLoss",
    "CutCrossEntropyLoss",
    "GraphLogitDistillationLoss",
    "KDLoss",
    "LinearCrossEntropyLoss",
    "LogitBiasLoss",
    "LossMemoryDisplay",
    "UERLoss",
    "ULDLoss",
    "binary_kl_loss",
    "binary_kl_norm_loss",
    "coactivation_graph",
    "graph_features",
    "graph_logit_loss",
    "gw_sorted",
    "gw_sorted_bounds",
    "kd_loss",
    "top_logits",
    "uld_loss",
]
