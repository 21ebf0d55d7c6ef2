"""Torch optimisers."""

from sklogit._optional import import_optional

import_optional("torch", "sklogit.optim")

from .._oracle import (  # noqa: E402 - after the check for torch
    OracleBudgetExceeded,
    expensive_oracle,
)
from ._step_rules import eta_from_official  # noqa: E402
from ._target_surrogate import SSO, TargetSurrogate  # noqa: E402

__all__ = [
    "SSO",
    "OracleBudgetExceeded",
    "TargetSurrogate",
    "eta_from_official",
    "expensive_oracle",
]
