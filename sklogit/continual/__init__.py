"""Streams in which classes arrive over time: learning, memories, tasks."""

from ._accuracy_matrix_display import AccuracyMatrixDisplay
from ._classifier import UnbiasedReplayClassifier
from ._memory import ReplayMemory
from ._splits import class_incremental_splits

__all__ = [
    "AccuracyMatrixDisplay",
    "ReplayMemory",
    "UnbiasedReplayClassifier",
    "class_incremental_splits",
]
