"""Losses of logits, for torch."""

from sklogit._optional import import_optional

import_optional("torch", "sklogit.losses")

from ._anyloss import AnyLoss  # noqa: E402 - after the check for torch
from ._linear_cross_entropy import (  # noqa: E402
    CutCrossEntropyLoss,
    LinearCrossEntropyLoss,
)
from ._memory_display import LossMemoryDisplay  # noqa: E402

__all__ = [
    "AnyLoss",
    "CutCrossEntropyLoss",
    "LinearCrossEntropyLoss",
    "LossMemoryDisplay",
]
