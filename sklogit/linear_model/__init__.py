"""Linear logits: solvers that promise separation, or few calls of the loss."""

__all__ = []
