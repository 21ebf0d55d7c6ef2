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
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from sklogit.choice import ConditionalLogit, PositionAuction, VirtualValue
from sklogit.datasets import make_click_log

from .brute_force import best_cascade, best_mnl
from .priors import TwoGroups

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


def test_coarse_placements_are_not_called_truthful():
    assert PositionAuction(tol=1e-9).run(V, ctr=P).is_truthful
    assert not PositionAuction(tol=1e-3).run(V, ctr=P).is_truthful
    assert PositionAuction("independent", tol=1e-3).run(V, ctr=P).is_truthful


# -- revenue ---------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_revenue_of_identical_values_is_the_externality_payment(model):
    # A virtual value that is the value itself, through the code of virtual values.
    class Identity(VirtualValue):
        revenue_weight, is_monotone, flats = 1.0, True, ()

        def __init__(self):
            pass

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
    # All values of the flat tie, whoever wins, at a level that is positive.
    prior = VirtualValue(TwoGroups(), revenue_weight=0.5)
    ((low, high, level),) = prior.flats
    assert level > 0.1
    values = np.array([low + 0.2 * (high - low), low + 0.6 * (high - low)])
    auction = PositionAuction(objective=0.5, prior=prior)
    ctr = [[0.3], [0.3]]
    for i in range(2):
        honest = utility(auction, values, values, i, ctr)
        assert honest >= -1e-12
        for bid in (0.9 * low, values[0], values[1], 1.1 * high, 1.4 * high):
            bids = values.copy()
            bids[i] = bid
            assert utility(auction, values, bids, i, ctr) <= honest + 1e-9


def test_ends_of_ironed_intervals_are_truthful():
    prior = VirtualValue(TwoGroups(), revenue_weight=0.5)
    low, _, level = prior.flats[0]
    other = VirtualValue(stats.uniform(0, 2), revenue_weight=0.5)  # 1.5 v - 1
    auction = PositionAuction(objective=0.5, prior=[prior, other])
    ctr = [[0.3], [0.3]]
    for rival in level + np.array([-1e-4, 1e-4, 2e-4, 1e-3]):
        value, bid = low * (1 + 1e-4), (rival + 1) / 1.5
        honest = utility(auction, np.array([value]), [value, bid], 0, ctr)
        lies = low * (1 + np.linspace(-1e-3, 1e-3, 41))
        lied = auction.run(np.column_stack([lies, np.full(41, bid)]), ctr=ctr)
        assert (value * lied.ctr[:, 0] - lied.payments[:, 0]).max() <= honest + 1e-9


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


def test_progress_of_a_batch_is_printed_on_demand(capsys):
    bids = np.random.default_rng(0).random((300, 3))
    PositionAuction().run(bids, ctr=P)
    silent = capsys.readouterr()
    assert silent.out + silent.err == ""
    PositionAuction(verbose=10).run(bids, ctr=P)
    loud = capsys.readouterr()
    assert "300 out of 300" in loud.out + loud.err


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
    auction = PositionAuction(model, click_model=ConditionalLogit()).fit(X, y, groups)
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


@pytest.mark.parametrize("model", MODELS)
def test_the_default_model_recovers_how_such_users_judge_an_ad(model):
    log = make_click_log(8000, user_model=model, intercept=0.0, random_state=0)
    fitted = PositionAuction(model).fit(log.X, log.y, log.groups).click_model_
    error = np.append(fitted.coef_ - log.coef, fitted.intercept_ - log.intercept)
    assert (np.abs(error) < 4 * np.sqrt(np.diag(fitted.covariance_))).all()


def test_rows_after_a_click_of_the_cascade_are_not_learnt_from():
    X = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]})
    y = np.array([0, 0, 1, 0, 0, 1, 0])
    groups = np.array(["u", "v", "u", "v", "u", "v", "v"])
    weight = np.array([1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 2.0])
    found = PositionAuction("cascade").fit(X, y, groups, weight).click_model_
    read = [0, 1, 2, 3, 5]
    expected = ConditionalLogit().fit(X.iloc[read], y[read], None, weight[read])
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=1e-12)
    np.testing.assert_allclose(found.intercept_, expected.intercept_, rtol=1e-12)
    y[4] = 1
    with pytest.raises(ValueError, match="more than one chosen row"):
        PositionAuction("cascade").fit(X, y, groups)


def test_weights_of_impressions_reach_the_click_model():
    X, y, groups = click_log()
    weight = np.where(groups % 2, 2.0, 1.0)
    expected = ConditionalLogit().fit(X, y, groups, weight)
    plain = PositionAuction().fit(X, y, groups, weight)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = PositionAuction().fit(X, y, groups, sample_weight=weight)
    for auction in (plain, routed):
        np.testing.assert_array_equal(auction.click_model_.coef_, expected.coef_)


def test_models_without_outside_option_are_refused():
    X, y, groups = click_log()
    bare = ConditionalLogit(outside_option=False)
    for model in (bare, make_pipeline(StandardScaler(), bare)):
        with pytest.raises(ValueError, match="must have an outside option"):
            PositionAuction(click_model=model).fit(X, y, groups)


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


class Scores(LogisticRegression):
    """A classifier whose scores are not log odds, though they rank alike."""

    def decision_function(self, X):
        return 3.0 * super().decision_function(X)

    def predict_proba(self, X):
        proba = expit(super().decision_function(X))
        return np.column_stack([1 - proba, proba])


@pytest.mark.parametrize("model", MODELS)
def test_scores_that_are_no_log_odds_give_way_to_probabilities(model):
    X, y, _ = click_log()
    bids, pairs = V, X[:6]
    found = PositionAuction(model, click_model=Scores()).fit(X, y).run(bids, pairs)
    plain = PositionAuction(model, click_model=LogisticRegression()).fit(X, y)
    expected = plain.run(bids, pairs).payments
    np.testing.assert_allclose(found.payments, expected, rtol=1e-9)


def test_models_without_probabilities_are_refused():
    X, y, _ = click_log()
    for model in (LinearSVC(), make_pipeline(StandardScaler(), LinearSVC())):
        with pytest.raises(ValueError, match="click_model must have predict_proba"):
            PositionAuction(click_model=model).fit(X, y)


def test_more_than_two_labels_are_refused_and_leave_an_earlier_fit():
    X, y, _ = click_log()
    auction = PositionAuction(click_model=LogisticRegression()).fit(X, y)
    before = auction.run(V, X[:6]).payments
    with pytest.raises(ValueError, match=r"y must have two labels.*got 3"):
        auction.fit(X, np.arange(len(y)) % 3)
    np.testing.assert_array_equal(auction.run(V, X[:6]).payments, before)


def test_a_model_may_be_certain_of_clicks_that_do_not_exclude_each_other():
    X, y = np.arange(20.0)[:, np.newaxis], np.arange(20) >= 10
    pairs = [[0.0], [19.0]]  # one position, and click probabilities of 0 and 1
    trees = DecisionTreeClassifier()
    for model in ("cascade", "independent"):
        auction = PositionAuction(model, click_model=trees).fit(X, y)
        np.testing.assert_array_equal(auction.run([2.0, 1.0], pairs).ctr, [0.0, 1.0])
    with pytest.raises(ValueError, match="no finite utility"):
        PositionAuction(click_model=trees).fit(X, y).run([2.0, 1.0], pairs)


@pytest.mark.parametrize("model", MODELS)
def test_groups_must_fit_the_rows(model):
    X, y, groups = click_log()
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        PositionAuction(model).fit(X, y, groups[1:])


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
    falling = VirtualValue(stats.lognorm(2.5), ironing="never")
    with pytest.raises(ValueError, match="prior has a virtual value that falls"):
        PositionAuction(objective="revenue", prior=falling).run(V, ctr=P)
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
