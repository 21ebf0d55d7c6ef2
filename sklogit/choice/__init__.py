"""Choices of users among shown items, and auctions of the places."""

from ._auction import PositionAuction
from ._cascade import cascade_assignment
from ._choice_score import choice_log_likelihood
from ._conditional_logit import ConditionalLogit
from ._frontier_display import WelfareRevenueDisplay
from ._independent import independent_assignment
from ._matching import AssignmentResult
from ._mnl import mnl_assignment
from ._outcome import AuctionOutcome
from ._outcome_display import AuctionOutcomeDisplay
from ._summary import ChoiceSummary
from ._virtual_value import VirtualValue

__all__ = [
    "AssignmentResult",
    "AuctionOutcome",
    "AuctionOutcomeDisplay",
    "ChoiceSummary",
    "ConditionalLogit",
    "PositionAuction",
    "VirtualValue",
    "WelfareRevenueDisplay",
    "cascade_assignment",
    "choice_log_likelihood",
    "independent_assignment",
    "mnl_assignment",
]
