import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import stats
from scipy.special import expit, logit
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklogit.choice import ConditionalLogit, PositionAuction, VirtualValue

from .brute_force import best_cascade, best_mnl

P = np.array([[0.30, 0.10], [0.40, 0.35], [0.20, 0.50]])
V = np.array([3.0, 2.0, 1.0])
MODELS = ["mnl", "cascade", "independent"]


def auctions(n_cases, seed=0, n_max=5, m_max=3):
    rng = np.random.default_rng(seed)
    for _ in range(n_cases):
        n, m = int(rng.integers(1, n_max + 1)), int(rng.integers(1, m_max + 1))
        ctr = rng.random((n, m)) * 0.9
        ctr[rng.random((n, m)) < 0.15] = 0.0
        yield rng.lognormal(size=n), ctr, int(rng.integers(1, m + 1))


def utility(auction, values, bids, i, ctr):
    outcome = auction.run(bids, ctr=ctr)
    return values[i] * outcome.ctr[i] - outcome.payments[i]


# -- welfare ---------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["mnl", "cascade"])
def test_payments_are_what_an_ad_costs_the_others(model):
    def best(bids, ctr, k):
        if model == "mnl":
            with np.errstate(divide="ignore"):
                return best_mnl(bids, logit(ctr), k)
        return best_cascade(bids, ctr, k)

    for bids, ctr, k in auctions(60, n_max=4):
        outcome = PositionAuction(model, max_ads=k).run(bids, ctr=ctr)
        assert outcome.welfare == pytest.approx(best(bids, ctr, k), abs=1e-12)
        for i in range(len(bids)):
            without = bids.copy()
            without[i] = 0.0
            others = outcome.welfare - bids[i] * outcome.ctr[i]
            expected = best(without, ctr, k) - others
            assert outcome.payments[i] == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("model", MODELS)
def test_no_bid_is_better_than_the_true_value(model):
    for values, ctr, k in auctions(25, seed=1):
        auction = PositionAuction(model, max_ads=k)
        for i, value in enumerate(values):
            honest = utility(auction, values, values, i, ctr)
            assert honest >= -1e-12
            for bid in np.linspace(0.0, 2.5 * value, 12):
                bids = values.copy()
                bids[i] = bid
                assert utility(auction, values, bids, i, ctr) <= honest + 1e-9


@pytest.mark.parametrize("model", MODELS)
def test_click_probability_rises_with_the_bid(model):
    for bids, ctr, k in auctions(20, seed=2):
        auction = PositionAuction(model, max_ads=k)
        clicks = []
        for bid in np.linspace(0.0, 4.0, 25):
            bids[0] = bid
            clicks.append(auction.run(bids, ctr=ctr).ctr[0])
        assert (np.diff(clicks) >= -1e-12).all()


@pytest.mark.parametrize("model", MODELS)
def test_prices_are_between_nothing_and_the_bid_and_losers_pay_nothing(model):
    for bids, ctr, k in auctions(60, seed=3):
        outcome = PositionAuction(model, max_ads=k).run(bids, ctr=ctr)
        assert (outcome.payments >= 0).all()
        assert (outcome.price_per_click <= bids * (1 + 1e-12)).all()
        losers = outcome.assignment < 0
        assert not outcome.payments[losers].any()
        assert not outcome.price_per_click[losers].any()
        np.testing.assert_allclose(
            outcome.price_per_click * outcome.ctr, outcome.payments, atol=1e-14
        )
        assert outcome.revenue == pytest.approx(outcome.payments.sum())
        assert outcome.welfare == pytest.approx(bids @ outcome.ctr)
        assert outcome.is_truthful


def test_worked_example_with_users_who_see_all():
    outcome = PositionAuction(max_ads=2).run(V, ctr=P)
    np.testing.assert_allclose(
        outcome.payments, [0.32751397, 0.28754519, 0.0], atol=1e-8
    )
    assert list(outcome.order) == [0, 1]
    assert outcome.welfare == pytest.approx(1.2011173184, abs=1e-10)


def test_worked_example_of_the_cascade():
    outcome = PositionAuction("cascade", max_ads=2).run(V, ctr=P)
    np.testing.assert_allclose(outcome.payments, [0.61, 0.35, 0.0], atol=1e-12)
    np.testing.assert_allclose(outcome.ctr, [0.3, 0.245, 0.0], atol=1e-12)
    assert outcome.welfare == pytest.approx(1.39)


def test_payments_scale_with_bids():
    once = PositionAuction().run(V, ctr=P)
    for scale in (1e-9, 1e9):
        scaled = PositionAuction().run(scale * V, ctr=P)
        np.testing.assert_allclose(scaled.payments, scale * once.payments, rtol=1e-10)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
def test_fixed_order_of_reading_is_truthful_too(order):
    rng = np.random.default_rng(4)
    values, ctr = rng.lognormal(size=4), rng.random((4, 3))
    auction = PositionAuction("cascade", order=order)
    outcome = auction.run(values, ctr=ctr)
    assert outcome.welfare == pytest.approx(best_cascade(values, ctr, 3, order))
    for i in range(4):
        honest = utility(auction, values, values, i, ctr)
        for bid in np.linspace(0.0, 3.0, 8):
            bids = values.copy()
            bids[i] = bid
            assert utility(auction, values, bids, i, ctr) <= honest + 1e-9


def test_greedy_placements_are_not_called_truthful():
    outcome = PositionAuction("cascade", solver="greedy").run(V, ctr=P)
    assert not outcome.is_truthful
    assert (outcome.payments <= V * outcome.ctr + 1e-12).all()


# -- revenue ---------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_revenue_of_identical_values_is_the_externality_payment(model):
    # A virtual value that is the value itself, through the code of virtual values.
    class Identity(VirtualValue):
        revenue_weight = 1.0

        def __init__(self):
            pass

        flats = ()

        def __call__(self, values):
            return np.asarray(values)

        def inverse(self, levels, side="left"):
            return np.asarray(levels)

    for bids, ctr, k in auctions(40, seed=5):
        plain = PositionAuction(model, max_ads=k).run(bids, ctr=ctr)
        virtual = PositionAuction(model, "revenue", max_ads=k, prior=Identity())
        found = virtual.run(bids, ctr=ctr)
        np.testing.assert_allclose(found.payments, plain.payments, atol=1e-11)
        np.testing.assert_array_equal(found.assignment, plain.assignment)


@pytest.mark.parametrize("model", MODELS)
def test_one_uniform_bidder_meets_the_reserve_of_one_half(model):
    auction = PositionAuction(model, "revenue", prior=stats.uniform())
    sold = auction.run([0.8], ctr=[[0.4]])
    assert sold.price_per_click[0] == pytest.approx(0.5)
    unsold = auction.run([0.49], ctr=[[0.4]])
    assert unsold.assignment[0] == -1
    assert unsold.revenue == 0


@pytest.mark.parametrize("model", ["mnl", "cascade"])
@pytest.mark.parametrize("objective", ["revenue", 0.4])
def test_no_bid_is_better_than_the_true_value_for_revenue(model, objective):
    rng = np.random.default_rng(6)
    share = 1.0 if objective == "revenue" else objective
    priors = [
        VirtualValue(dist, revenue_weight=share)
        for dist in (
            stats.uniform(),
            stats.expon(),
            stats.uniform(0.2, 2),
            stats.lognorm(1),
        )
    ]
    for _ in range(8):
        ctr, values = rng.random((4, 2)) * 0.9, rng.random(4) * 1.5
        auction = PositionAuction(model, objective, prior=priors)
        for i, value in enumerate(values):
            honest = utility(auction, values, values, i, ctr)
            assert honest >= -1e-12
            for bid in np.linspace(0.0, 2 * value, 8):
                bids = values.copy()
                bids[i] = bid
                assert utility(auction, values, bids, i, ctr) <= honest + 1e-9


def test_ties_of_ironed_values_are_truthful():
    # All values below the flat's end tie, whoever wins.
    prior = VirtualValue(stats.lognorm(2.5, scale=3))
    prior.flats[:, 2] = 1.0  # a positive level, so that the tied ones are shown
    low, high, _ = prior.flats[0]
    values = np.array([low + 0.2 * (high - low), low + 0.6 * (high - low)])
    auction = PositionAuction(objective="revenue", prior=prior)
    ctr = [[0.3], [0.3]]
    for i in range(2):
        honest = utility(auction, values, values, i, ctr)
        assert honest >= -1e-12
        for bid in (0.9 * low, values[0], values[1], 1.1 * high, 5 * high):
            bids = values.copy()
            bids[i] = bid
            assert utility(auction, values, bids, i, ctr) <= honest + 1e-9


def test_mean_revenue_is_mean_virtual_welfare_and_above_that_of_welfare():
    rng = np.random.default_rng(7)
    table = rng.random((4, 3)) * 0.6
    bids = rng.random((800, 4))
    best = PositionAuction(objective="revenue", max_ads=2, prior=stats.uniform())
    revenue = best.run(bids, ctr=table)
    virtual = ((2 * bids - 1) * revenue.ctr).sum(axis=1)
    difference = revenue.revenue - virtual
    assert abs(difference.mean()) < 3 * difference.std() / np.sqrt(len(bids))
    welfare = PositionAuction(max_ads=2).run(bids, ctr=table)
    gain = revenue.revenue - welfare.revenue
    assert gain.mean() > 3 * gain.std() / np.sqrt(len(bids))
    assert (welfare.welfare >= revenue.welfare - 1e-12).all()


def test_virtual_welfare_is_the_best_of_all_placements():
    for bids, ctr, k in auctions(40, seed=8, n_max=4):
        with np.errstate(divide="ignore"):
            best = best_mnl(bids - 1.0, logit(ctr), k)  # exponential values
        auction = PositionAuction(objective="revenue", max_ads=k, prior=stats.expon())
        outcome = auction.run(bids, ctr=ctr)
        assert (bids - 1.0) @ outcome.ctr == pytest.approx(best, abs=1e-12)


def test_objectives_between_go_from_welfare_to_revenue():
    rng = np.random.default_rng(9)
    bids, table = rng.random((300, 4)), rng.random((4, 2))
    outcomes = [
        PositionAuction(objective=share, prior=stats.uniform()).run(bids, ctr=table)
        for share in (0.0, 0.5, 1.0)
    ]
    assert (np.diff([o.welfare.mean() for o in outcomes]) <= 1e-12).all()
    assert (np.diff([o.revenue.mean() for o in outcomes]) > 0).all()


# -- batches, models and logs ----------------------------------------------------------


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_a_batch_is_its_auctions_one_by_one(n_jobs):
    rng = np.random.default_rng(10)
    bids, utilities = rng.random((6, 4)), rng.normal(size=(6, 4, 3))
    auction = PositionAuction(max_ads=2, n_jobs=n_jobs)
    batch = auction.run(bids, utilities=utilities)
    assert batch.assignment.shape == batch.payments.shape == (6, 4)
    assert batch.order.shape == (6, 2)
    assert batch.welfare.shape == batch.revenue.shape == (6,)
    for a in range(6):
        one = auction.run(bids[a], utilities=utilities[a])
        np.testing.assert_array_equal(batch.assignment[a], one.assignment)
        np.testing.assert_allclose(batch.payments[a], one.payments)
        assert batch.welfare[a] == one.welfare
    placed = auction.allocate(bids, utilities=utilities)
    np.testing.assert_array_equal([p.positions for p in placed], batch.assignment)


def test_methods_agree_with_the_outcome():
    auction, options = PositionAuction(max_ads=2), {"ctr": P}
    outcome = auction.run(V, **options)
    placed = auction.allocate(V, **options)
    np.testing.assert_array_equal(placed.positions, outcome.assignment)
    np.testing.assert_array_equal(auction.payments(V, **options), outcome.payments)
    np.testing.assert_array_equal(
        auction.price_per_click(V, **options), outcome.price_per_click
    )


@pytest.mark.parametrize("model", MODELS)
def test_utilities_and_click_probabilities_say_the_same(model):
    auction = PositionAuction(model)
    by_ctr = auction.run(V, ctr=P)
    by_utility = auction.run(V, utilities=logit(P))
    np.testing.assert_allclose(by_ctr.payments, by_utility.payments, atol=1e-12)


def click_log(seed=0, n_groups=300):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_groups), 3)
    X = rng.normal(size=(len(groups), 2))
    noisy = (X @ [1.0, -1.0] - 0.5 + rng.gumbel(size=len(groups))).reshape(-1, 3)
    y = np.zeros_like(noisy, dtype=int)
    clicked = noisy.max(axis=1) > rng.gumbel(size=n_groups)
    y[clicked, noisy.argmax(axis=1)[clicked]] = 1
    return X, y.ravel(), groups


@pytest.mark.parametrize("model", MODELS)
def test_features_are_scored_by_the_model_learnt_from_the_log(model):
    X, y, groups = click_log()
    auction = PositionAuction(model).fit(X, y, groups)
    logit_model = ConditionalLogit().fit(X, y, groups)
    pairs = np.random.default_rng(1).normal(size=(2 * 3 * 2, 2))
    utilities = logit_model.decision_function(pairs).reshape(2, 3, 2)
    bids = np.array([V, V[::-1]])
    from_rows = auction.run(bids, pairs)
    if model == "mnl":
        expected = PositionAuction(model).run(bids, utilities=utilities)
    else:
        expected = PositionAuction(model).run(bids, ctr=expit(utilities))
    np.testing.assert_allclose(from_rows.payments, expected.payments, rtol=1e-10)


def test_another_click_model_may_be_given_and_is_not_changed():
    X, y, groups = click_log()
    model = LogisticRegression()
    auction = PositionAuction(click_model=model).fit(
        pd.DataFrame(X, columns=list("ab")), y
    )
    assert list(auction.feature_names_in_) == ["a", "b"]
    assert not hasattr(model, "coef_")
    assert isinstance(auction.click_model_, LogisticRegression)
    with pytest.raises(ValueError, match="LogisticRegression takes no groups"):
        clone(auction).fit(X, y, groups)


def test_groups_are_routed_to_pipelines():
    X, y, groups = click_log()
    expected = PositionAuction().fit(X, y, groups).click_model_
    with sklearn.config_context(enable_metadata_routing=True):
        default = PositionAuction().fit(X, y, groups)
        step = ConditionalLogit().set_fit_request(groups=True)
        scaled = PositionAuction(click_model=make_pipeline(StandardScaler(), step))
        scaled.fit(X, y, groups)
    np.testing.assert_allclose(default.click_model_.coef_, expected.coef_)
    step = scaled.click_model_[-1]
    assert step.n_groups_ == 300
    np.testing.assert_allclose(
        step.coef_ / scaled.click_model_[0].scale_, expected.coef_, atol=5e-3
    )


# -- bad input -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bids", "message"),
    [
        ([1.0, -1.0, 2.0], "bids must not be negative, got -1"),
        ([1.0, np.nan, 2.0], "bids"),
        ([1.0, np.inf, 2.0], "bids"),
        ([1.0, 2.0], "each of 2 bids"),
        ([[1.0, 2.0, -3.0]], "negative"),
        ([[[1.0, 2.0, 3.0]]], "bids must have shape"),
    ],
)
def test_bad_bids_are_refused(bids, message):
    with pytest.raises(ValueError, match=message):
        PositionAuction().run(bids, ctr=P)


def test_one_table_must_be_given():
    with pytest.raises(ValueError, match=r"Exactly one of X, utilities and ctr.*got 0"):
        PositionAuction().run(V)
    with pytest.raises(ValueError, match="got 2"):
        PositionAuction().run(V, ctr=P, utilities=P)
    with pytest.raises(ValueError, match="one for each of 2 auctions, got 3"):
        PositionAuction().run([V, V], ctr=[P, P, P])


def test_certain_clicks_are_for_the_cascade_only():
    certain = P.copy()
    certain[0, 0] = 1.0
    assert PositionAuction("cascade").run(V, ctr=certain).ctr[0] == 1.0
    with pytest.raises(ValueError, match="no finite utility"):
        PositionAuction().run(V, ctr=certain)


def test_revenue_needs_priors_that_fit():
    with pytest.raises(ValueError, match="needs a prior"):
        PositionAuction(objective="revenue").run(V, ctr=P)
    two = PositionAuction(objective="revenue", prior=[stats.uniform()] * 2)
    with pytest.raises(ValueError, match="each of 3 ads, got 2"):
        two.run(V, ctr=P)
    with pytest.raises(ValueError, match="dist must be"):
        PositionAuction(objective="revenue", prior="uniform").run(V, ctr=P)
    greedy = PositionAuction(
        "cascade", "revenue", prior=stats.uniform(), solver="greedy"
    )
    with pytest.raises(ValueError, match="no truthful payments"):
        greedy.run(V, ctr=P)


def test_rows_must_fit_the_bids_and_need_a_fit():
    X, y, groups = click_log()
    with pytest.raises(NotFittedError):
        PositionAuction().run(V, X[:6])
    with pytest.raises(ValueError, match="got 7 rows"):
        PositionAuction().fit(X, y, groups).run(V, X[:7])


def test_bad_parameters_are_refused():
    for options in (
        {"user_model": "nested"},
        {"objective": "profit"},
        {"objective": 1.5},
        {"max_ads": -1},
        {"solver": "fast"},
    ):
        with pytest.raises(ValueError, match=f"'{next(iter(options))}' parameter"):
            PositionAuction(**options).run(V, ctr=P)
    with pytest.raises(ValueError, match="16 positions at most"):
        PositionAuction("cascade").run(V, ctr=np.full((3, 17), 0.1))
