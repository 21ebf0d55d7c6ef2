"""Torch modules that turn features into logits."""

from sklogit._optional import import_optional

import_optional("torch", "sklogit.heads")

from ._angle_norm import AngleNormLinear  # noqa: E402 - after the check for torch
from ._augmented_covariance import (  # noqa: E402
    AugmentedCovarianceNet,
    augmented_covariance_torch,
)
from ._codebook_display import CodebookUsageDisplay  # noqa: E402
from ._cosine import CosineHead  # noqa: E402
from ._dual import DualHead  # noqa: E402
from ._grassmann import GrassmannHead  # noqa: E402
from ._grassmann_parameter import GrassmannParameter  # noqa: E402
from ._linear import LinearHead  # noqa: E402
from ._logit_bias import LogitBiasHead  # noqa: E402
from ._spd import spd_log, upper_vector  # noqa: E402
from ._vector_quantize import vector_quantize_rows  # noqa: E402
from ._vq_conversion import VQConversionReport  # noqa: E402
from ._vq_logits import VQLogitsHead  # noqa: E402

__all__ = [
    "AngleNormLinear",
    "AugmentedCovarianceNet",
    "CodebookUsageDisplay",
    "CosineHead",
    "DualHead",
    "GrassmannHead",
    "GrassmannParameter",
    "LinearHead",
    "LogitBiasHead",
    "VQConversionReport",
    "VQLogitsHead",
    "augmented_covariance_torch",
    "spd_log",
    "upper_vector",
    "vector_quantize_rows",
]
