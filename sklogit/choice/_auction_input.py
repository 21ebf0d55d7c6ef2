"""Bids, click probabilities and priors, as an auction is given them."""

import numpy as np
from scipy.special import expit
from sklearn.utils.validation import check_array

from ._checks import check_ctr, check_utilities, check_weights, utilities_of
from ._virtual_value import VirtualValue


def checked_bids(bids):
    """Return bids as float64, (n_ads,) or (n_auctions, n_ads), or raise ValueError."""
    bids = check_array(
        bids, ensure_2d=False, allow_nd=True, dtype=np.float64, input_name="bids"
    )
    if bids.ndim == 1:
        return check_weights(bids, name="bids", non_negative=True)
    if bids.ndim != 2:
        raise ValueError(
            f"bids must have shape (n_ads,) or (n_auctions, n_ads), got {bids.shape}."
        )
    check_weights(bids.ravel(), name="bids", non_negative=True)
    return bids


def tables_of(user_model, utilities, ctr, n_auctions, n_ads):
    """Return the table of each auction: utilities for "mnl", else click probabilities.

    Parameters
    ----------
    user_model : {"mnl", "cascade", "independent"}
        How users click.
    utilities : array-like of shape (n_ads, n_positions) or None
        Log odds of clicks; a batch has a leading axis, or shares one table.
    ctr : array-like of shape (n_ads, n_positions) or None
        Or click probabilities, which count if both are given.
    n_auctions, n_ads : int
        Shape of the bids.

    Returns
    -------
    list of n_auctions ndarray of shape (n_ads, n_positions)
        The tables.
    """
    is_ctr = ctr is not None
    tables = _stacked(ctr if is_ctr else utilities, n_auctions, n_ads)
    tables = [check_ctr(t) if is_ctr else check_utilities(t) for t in tables]
    if is_ctr and user_model == "mnl":
        tables = [check_utilities(utilities_of(t)) for t in tables]
    elif not is_ctr and user_model != "mnl":
        tables = [expit(t) for t in tables]
    return tables * n_auctions if len(tables) < n_auctions else tables


def _stacked(tables, n_auctions, n_ads):
    """One table, or one for each auction."""
    tables = np.asarray(tables, dtype=np.float64)
    tables = tables[np.newaxis] if tables.ndim == 2 else tables
    if tables.ndim != 3 or tables.shape[1] != n_ads:
        raise ValueError(
            f"The table of pairs must have a row for each of {n_ads} bids, got shape "
            f"{tables.shape}."
        )
    if len(tables) not in (1, n_auctions):
        raise ValueError(
            f"There must be one table of pairs, or one for each of {n_auctions} "
            f"auctions, got {len(tables)}."
        )
    return tables


def virtual_values_of(prior, objective, n_ads):
    """Return the virtual value of each ad; None if the objective is welfare.

    Parameters
    ----------
    prior : VirtualValue, distribution, list of n_ads of these, or None
        Distribution of values.
    objective : {"welfare", "revenue"} or float
        What is maximised.
    n_ads : int
        Number of ads.

    Returns
    -------
    list of n_ads VirtualValue, or None
        The virtual values, for this weight of revenue.
    """
    share = {"welfare": 0.0, "revenue": 1.0}.get(objective, objective)
    if share == 0:
        return None
    if prior is None:
        raise ValueError(
            f"objective={objective!r} needs a prior, the distribution of values, got "
            "prior=None."
        )
    if not isinstance(prior, list):
        return [_virtual_value(prior, share)] * n_ads
    if len(prior) != n_ads:
        raise ValueError(
            f"prior must have a distribution for each of {n_ads} ads, got {len(prior)}."
        )
    return [_virtual_value(one, share) for one in prior]


def _virtual_value(prior, share):
    if not isinstance(prior, VirtualValue):
        return VirtualValue(prior, revenue_weight=share)
    if prior.revenue_weight != share:
        prior = VirtualValue(prior.dist, prior.ironing, revenue_weight=share)
    if not prior.is_monotone:
        raise ValueError(
            "prior has a virtual value that falls somewhere, so a higher bid might get "
            "fewer clicks: set ironing='auto'."
        )
    return prior
