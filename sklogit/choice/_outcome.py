"""Outcome of position auctions."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class AuctionOutcome:
    """Who is shown where, how often clicked, and what is paid.

    A batch of auctions has a leading axis of length n_auctions in all arrays.

    Attributes
    ----------
    assignment : ndarray of shape (n_ads,)
        Position of each ad; -1 if not shown.
    order : ndarray of shape (n_places,)
        Ads in rendering order, as many as may be shown; -1 after the last.
    ctr : ndarray of shape (n_ads,)
        Click probability of each ad in this assignment.
    bids : ndarray of shape (n_ads,)
        Bids per click.
    payments : ndarray of shape (n_ads,)
        Expected payment of each ad per impression.
    price_per_click : ndarray of shape (n_ads,)
        Price of a click, never above the bid; 0 for ads that are not shown.
    welfare : float or ndarray of shape (n_auctions,)
        Sum of bids times click probabilities.
    revenue : float or ndarray of shape (n_auctions,)
        Sum of payments.
    is_truthful : bool
        Whether bidding the true value is a dominant strategy, given that clicks follow
        the model.
    """

    assignment: np.ndarray
    order: np.ndarray
    ctr: np.ndarray
    bids: np.ndarray
    payments: np.ndarray
    price_per_click: np.ndarray
    welfare: float
    revenue: float
    is_truthful: bool


def make_outcome(placed, bids, payments, n_places, is_truthful):
    """Return the outcome of one placement."""
    order = np.full(n_places, -1)
    order[: len(placed.rows)] = placed.rows
    return AuctionOutcome(
        placed.positions,
        order,
        placed.ctr,
        bids,
        payments,
        price_of_clicks(payments, placed.ctr),
        float(bids @ placed.ctr),
        float(payments.sum()),
        is_truthful,
    )


def stack_outcomes(outcomes):
    """Return the outcome of a batch, with a leading axis."""
    first = outcomes[0]
    arrays = {
        name: np.array([getattr(outcome, name) for outcome in outcomes])
        for name in vars(first)
        if name != "is_truthful"
    }
    return AuctionOutcome(**arrays, is_truthful=first.is_truthful)


def price_of_clicks(payments, ctr):
    """Payments over click probabilities; 0 where there are none."""
    return np.divide(payments, ctr, out=np.zeros_like(payments), where=ctr > 0)
