"""Torch optimisers."""

from sklogit._optional import import_optional

import_optional("torch", "sklogit.optim")

__all__ = []
