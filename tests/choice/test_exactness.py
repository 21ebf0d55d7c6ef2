"""A thousand random auctions each, against all placements at once.

Placements are rows of a matrix of pairs, so that one product has the values of all of
them in all auctions.
"""

from itertools import combinations, permutations

import numpy as np
import pytest
from scipy import stats

from sklogit.choice import PositionAuction, cascade_assignment, mnl_assignment

N_AUCTIONS, N_ADS, N_POSITIONS = 1000, 4, 3


def sequences(k, *, orders):
    """Placements of at most k ads, as tuples of pairs; in all orders of reading."""
    for size in range(k + 1):
        for cols in permutations(range(N_POSITIONS), size):
            if orders:
                yield from (
                    tuple(zip(rows, cols)) for rows in permutations(range(N_ADS), size)
                )
            else:
                yield from (
                    tuple(zip(rows, cols)) for rows in combinations(range(N_ADS), size)
                )


def clicks_mnl(ctr, k):
    """Click probabilities (n_auctions, n_placements, n_ads)."""
    pairs = list(sequences(k, orders=False))
    shown = np.zeros((len(pairs), N_ADS, N_POSITIONS))
    for placement, found in zip(shown, pairs):
        for i, j in found:
            placement[i, j] = 1.0
    odds = ctr / (1 - ctr)
    of_ads = np.einsum("pij,aij->api", shown, odds)
    return of_ads / (1 + of_ads.sum(axis=2, keepdims=True))


def clicks_cascade(ctr, k):
    found = list(sequences(k, orders=True))
    clicks = np.zeros((len(ctr), len(found), N_ADS))
    for p, pairs in enumerate(found):
        read = np.ones(len(ctr))
        for i, j in pairs:
            clicks[:, p, i] = read * ctr[:, i, j]
            read = read * (1 - ctr[:, i, j])
    return clicks


def best(clicks, weights):
    """Best value of each auction, (n_auctions,)."""
    return np.einsum("api,ai->ap", clicks, weights).max(axis=1)


def without_each(clicks, weights):
    """Best value with the weight of an ad put to zero, (n_auctions, n_ads)."""
    values = np.empty_like(weights)
    for i in range(N_ADS):
        alone = weights.copy()
        alone[:, i] = 0.0
        values[:, i] = best(clicks, alone)
    return values


@pytest.fixture(params=["mnl", "cascade"])
def case(request):
    """User model, most ads, click probabilities of pairs and of all placements."""
    rng = np.random.default_rng(0)
    ctr = 0.9 * rng.random((N_AUCTIONS, N_ADS, N_POSITIONS))
    ctr[rng.random(ctr.shape) < 0.15] = 0.0
    clicks = {"mnl": clicks_mnl, "cascade": clicks_cascade}[request.param](ctr, 2)
    return request.param, ctr, clicks, rng


def test_placements_are_the_best_for_weights_of_both_signs(case):
    model, ctr, clicks, rng = case
    weights = rng.normal(0.5, 1.0, (N_AUCTIONS, N_ADS))
    with np.errstate(divide="ignore"):
        utilities = np.log(ctr / (1 - ctr))
    if model == "mnl":
        placed = [mnl_assignment(w, u, 2) for w, u in zip(weights, utilities)]
    else:
        placed = [cascade_assignment(w, p, 2) for w, p in zip(weights, ctr)]
    values = np.array([p.value for p in placed])
    np.testing.assert_allclose(values, best(clicks, weights), atol=1e-13)


def test_welfare_and_payments_are_those_of_the_best_placements(case):
    model, ctr, clicks, rng = case
    bids = rng.lognormal(size=(N_AUCTIONS, N_ADS))
    outcome = PositionAuction(model, max_ads=2).run(bids, ctr=ctr)
    np.testing.assert_allclose(outcome.welfare, best(clicks, bids), rtol=1e-12)
    others = outcome.welfare[:, np.newaxis] - bids * outcome.ctr
    expected = without_each(clicks, bids) - others
    np.testing.assert_allclose(outcome.payments, expected, atol=1e-10)
    np.testing.assert_allclose(outcome.revenue, expected.sum(axis=1), atol=1e-10)


@pytest.mark.parametrize(
    ("dist", "slope"), [(stats.uniform(scale=2), 2.0), (stats.expon(), 1.0)]
)
def test_revenue_and_its_payments_are_those_of_the_best_placements(case, dist, slope):
    model, ctr, clicks, rng = case
    bids = dist.ppf(rng.random((N_AUCTIONS, N_ADS)))
    auction = PositionAuction(model, "revenue", max_ads=2, prior=dist)
    outcome = auction.run(bids, ctr=ctr)
    # The virtual value is linear, so that the integral of the click probability over
    # lower bids is that of the best value's slope over its own slope.
    weights = bids - dist.sf(bids) / dist.pdf(bids)
    value = best(clicks, weights)
    found = np.einsum("ai,ai->a", weights, outcome.ctr)
    np.testing.assert_allclose(found, value, atol=1e-12)
    gain = value[:, np.newaxis] - without_each(clicks, np.maximum(weights, 0.0))
    expected = bids * outcome.ctr - gain / slope
    np.testing.assert_allclose(outcome.payments, expected, atol=1e-10)


def test_no_bid_of_a_grid_is_better_than_the_value_and_clicks_never_fall(case):
    model, ctr, _, rng = case
    ctr, values = ctr[:100], rng.lognormal(size=(100, N_ADS))
    auction = PositionAuction(model, max_ads=2)
    honest = auction.run(values, ctr=ctr)
    assert honest.is_truthful
    utility = values * honest.ctr - honest.payments
    assert utility.min() >= -1e-13
    before = np.zeros(100)
    for share in np.linspace(0.0, 3.0, 10):
        bids = values.copy()
        bids[:, 0] *= share
        outcome = auction.run(bids, ctr=ctr)
        gain = values[:, 0] * outcome.ctr[:, 0] - outcome.payments[:, 0] - utility[:, 0]
        assert gain.max() <= 1e-9
        assert (outcome.ctr[:, 0] >= before - 1e-12).all()
        before = outcome.ctr[:, 0]
