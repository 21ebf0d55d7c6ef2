"""Torch modules that turn features into logits."""

from sklogit._optional import import_optional

import_optional("torch", "sklogit.heads")

from ._augmented_covariance import (  # noqa: E402 - after the check for torch
    AugmentedCovarianceNet,
    augmented_covariance_torch,
)
from ._spd import spd_log, upper_vector  # noqa: E402

__all__ = [
    "AugmentedCovarianceNet",
    "augmented_covariance_torch",
    "spd_log",
    "upper_vector",
]
