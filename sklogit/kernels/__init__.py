"""Cross-entropy of linear heads that never forms the matrix of logits, for torch."""

from sklogit._optional import import_optional

import_optional("torch", "sklogit.kernels")

from ._linear_cross_entropy import linear_cross_entropy  # noqa: E402 - after the check

__all__ = ["linear_cross_entropy"]
