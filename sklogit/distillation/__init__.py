"""Students that learn from the logits of teachers."""

from sklogit._optional import import_optional

import_optional("torch", "sklogit.distillation")
import_optional("skorch", "sklogit.distillation")

from ._conflict_display import (  # noqa: E402 - after the checks for the extra
    DistillationHistoryDisplay,
)
from ._dual_head import (  # noqa: E402
    DualHeadDistillationClassifier,
)
from ._fusion import FusionDistillationClassifier  # noqa: E402
from ._gromov_wasserstein import GromovWassersteinLogitDistance  # noqa: E402

__all__ = [
    "DistillationHistoryDisplay",
    "DualHeadDistillationClassifier",
    "FusionDistillationClassifier",
    "GromovWassersteinLogitDistance",
]
