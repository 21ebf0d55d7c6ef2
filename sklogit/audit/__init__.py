"""What published logits give away of a model: audits for those who own it."""

from ._audit_exposures import audit_callable, audit_exposures
from ._auditor import LogitLeakageAuditor
from ._exposure import LogitExposure
from ._frontier_display import LeakageFrontierDisplay
from ._identifiability import queries_required, topk_identifiable, topk_tv_diameter
from ._random_matrix import gavish_donoho_threshold, marchenko_pastur_median
from ._rank import RankEstimate, estimate_rank
from ._similarity import hidden_geometry_match, principal_cosines
from ._spectrum_display import SingularValueDisplay
from ._student import SubspaceStudent

__all__ = [
    "LeakageFrontierDisplay",
    "LogitExposure",
    "LogitLeakageAuditor",
    "RankEstimate",
    "SingularValueDisplay",
    "SubspaceStudent",
    "audit_callable",
    "audit_exposures",
    "estimate_rank",
    "gavish_donoho_threshold",
    "hidden_geometry_match",
    "marchenko_pastur_median",
    "principal_cosines",
    "queries_required",
    "topk_identifiable",
    "topk_tv_diameter",
]
