"""Torch optimisers."""

from sklogit._optional import import_optional

import_optional("torch", "sklogit.optim")

from .._oracle import (  # noqa: E402 - after the check for torch
    OracleBudgetExceeded,
    expensive_oracle,
)
from ._aligned_gradients import aligned_gradients  # noqa: E402
from ._grassmann_adamw import GrassmannAdamW  # noqa: E402
from ._grassmann_sgd import GrassmannSGD  # noqa: E402
from ._mixed_optimizer import MixedOptimizer  # noqa: E402
from ._step_rules import eta_from_official  # noqa: E402
from ._target_surrogate import SSO, TargetSurrogate  # noqa: E402

__all__ = [
    "SSO",
    "GrassmannAdamW",
    "GrassmannSGD",
    "MixedOptimizer",
    "OracleBudgetExceeded",
    "TargetSurrogate",
    "aligned_gradients",
    "eta_from_official",
    "expensive_oracle",
]
