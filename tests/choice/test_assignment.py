import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.special import expit, logit

from sklogit.choice import cascade_assignment, independent_assignment, mnl_assignment

from .brute_force import (
    best_cascade,
    best_mnl,
    cascade_value,
    mnl_value,
    placements,
    random_auction,
)

P = np.array([[0.30, 0.10], [0.40, 0.35], [0.20, 0.50]])
V = np.array([3.0, 2.0, 1.0])


def cases(n_cases, n_max=5, m_max=4, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(n_cases):
        n, m = rng.integers(1, n_max + 1), rng.integers(1, m_max + 1)
        k = int(rng.integers(0, m + 1))
        yield (*random_auction(rng, n, m), k)


def linear_programme(weights, utilities, k):
    """Optimum of the Charnes-Cooper form, y = x t, which has integral vertices."""
    n, m = utilities.shape
    odds = np.exp(utilities)
    rows = np.kron(np.eye(n), np.ones(m))
    cols = np.kron(np.ones(n), np.eye(m))
    sums = np.vstack([rows, cols, np.ones(n * m)])
    limits = -np.append(np.ones(n + m), k)
    result = linprog(
        -np.append((weights[:, np.newaxis] * odds).ravel(), 0.0),
        A_ub=np.column_stack([sums, limits]),
        b_ub=np.zeros(n + m + 1),
        A_eq=np.append(odds.ravel(), 1.0)[np.newaxis],
        b_eq=[1.0],
    )
    return -result.fun


# -- users who see all -----------------------------------------------------------------


def test_mnl_equals_brute_force():
    for weights, utilities, k in cases(1000):
        found = mnl_assignment(weights, utilities, k)
        np.testing.assert_allclose(
            found.value, best_mnl(weights, utilities, k), atol=1e-12
        )


def test_mnl_equals_the_linear_programme():
    for weights, utilities, k in cases(40, n_max=8, m_max=5, seed=1):
        found = mnl_assignment(weights, utilities, k)
        expected = linear_programme(weights, utilities, k)
        np.testing.assert_allclose(found.value, expected, atol=1e-9)


def test_mnl_value_and_ctr_are_those_of_its_placement():
    for weights, utilities, k in cases(100, seed=2):
        found = mnl_assignment(weights, utilities, k)
        pairs = list(zip(found.rows, found.cols))
        assert len(pairs) <= k
        assert len(set(found.rows)) == len(set(found.cols)) == len(pairs)
        odds = np.exp([utilities[pair] for pair in pairs])
        expected = np.zeros(len(weights))
        expected[found.rows] = odds / (1 + odds.sum())
        np.testing.assert_allclose(found.ctr, expected, atol=1e-14)
        np.testing.assert_allclose(
            found.value, mnl_value(weights, utilities, pairs), atol=1e-13
        )
        assert (found.positions[found.rows] == found.cols).all()
        assert np.count_nonzero(found.positions >= 0) == len(pairs)


def test_mnl_winners_are_worth_more_than_the_whole():
    for weights, utilities, k in cases(100, seed=3):
        found = mnl_assignment(weights, utilities, k)
        assert (weights[found.rows] > found.value).all()


def test_mnl_leaves_a_place_empty_rather_than_lose_better_clicks():
    found = mnl_assignment([10.0, 1.0], np.zeros((2, 2)))
    assert list(found.rows) == [0]
    assert found.value == pytest.approx(5.0)


def test_mnl_of_the_worked_example():
    found = mnl_assignment(V, logit(P), 2)
    assert list(found.positions) == [0, 1, -1]
    assert found.value == pytest.approx(1.2011173184, abs=1e-10)
    np.testing.assert_allclose(found.ctr, [0.21787709, 0.27374302, 0], atol=1e-8)


def test_mnl_permutes_with_ads_and_positions():
    rng = np.random.default_rng(4)
    weights, utilities = random_auction(rng, 7, 4)
    rows, cols = rng.permutation(7), rng.permutation(4)
    found = mnl_assignment(weights, utilities, 3)
    permuted = mnl_assignment(weights[rows], utilities[np.ix_(rows, cols)], 3)
    np.testing.assert_allclose(permuted.ctr, found.ctr[rows], atol=1e-14)
    shown = permuted.positions >= 0
    np.testing.assert_array_equal(
        cols[permuted.positions[shown]], found.positions[rows][shown]
    )


def test_mnl_value_scales_with_weights():
    weights, utilities = random_auction(np.random.default_rng(5), 7, 4)
    once = mnl_assignment(weights, utilities, 3)
    for scale in (1e-20, 3.0, 1e20):
        scaled = mnl_assignment(scale * weights, utilities, 3)
        np.testing.assert_array_equal(scaled.positions, once.positions)
        assert scaled.value == pytest.approx(scale * once.value, rel=1e-13)


def test_mnl_ignores_an_ad_that_is_not_eligible():
    weights, utilities = random_auction(np.random.default_rng(6), 6, 3)
    more = mnl_assignment(
        np.append(weights, 100.0), np.vstack([utilities, np.full(3, -np.inf)])
    )
    np.testing.assert_array_equal(
        more.ctr, np.append(mnl_assignment(weights, utilities).ctr, 0.0)
    )


def test_mnl_survives_utilities_that_overflow():
    utilities = np.array([[1000.0, -1000.0], [999.0, 998.0], [-np.inf, 0.0]])
    found = mnl_assignment([1.0, 2.0, 3.0], utilities)
    # Only differences count: one utility of 1000 leaves no user without a click.
    assert found.value == pytest.approx(2.0)
    assert list(found.rows) == [1]


def test_mnl_of_many_ads_equals_that_of_all_without_pruning():
    rng = np.random.default_rng(7)
    weights, utilities = random_auction(rng, 60, 3)
    kept = rng.permutation(60)[:8]  # few enough that none is left out
    few = np.full((60, 3), -np.inf)
    few[kept] = utilities[kept]
    for k in (1, 2, 3):
        assert mnl_assignment(weights, few, k).value == pytest.approx(
            mnl_assignment(weights[kept], utilities[kept], k).value, rel=1e-13
        )
        expected = linear_programme(weights, np.maximum(utilities, -60), k)
        found = mnl_assignment(weights, utilities, k).value
        assert found == pytest.approx(expected, abs=1e-9)


def test_mnl_of_small_clicks_is_plain_matching():
    rng = np.random.default_rng(8)
    weights, utilities = random_auction(rng, 6, 4)
    utilities -= 25
    mnl = mnl_assignment(weights, utilities, 3)
    plain = independent_assignment(weights, expit(utilities), 3)
    np.testing.assert_array_equal(mnl.positions, plain.positions)
    assert mnl.value == pytest.approx(plain.value, rel=1e-8)


def test_separable_small_clicks_are_sorted_by_value_times_quality():
    rng = np.random.default_rng(9)
    values, quality = rng.lognormal(size=6), rng.random(6)
    slots = np.array([1.0, 0.7, 0.4, 0.2])
    found = mnl_assignment(values, logit(1e-9 * np.outer(quality, slots)))
    np.testing.assert_array_equal(found.rows, np.argsort(-values * quality)[:4])
    np.testing.assert_array_equal(found.cols, np.arange(4))


def test_position_free_utilities_show_a_prefix_by_value():
    rng = np.random.default_rng(10)
    values = np.sort(rng.lognormal(sigma=1.0, size=6))[::-1]
    odds = rng.lognormal(size=6)
    prefixes = [
        values[:s] @ odds[:s] / (1 + odds[:s].sum()) for s in range(len(values) + 1)
    ]
    found = mnl_assignment(values, np.tile(np.log(odds)[:, np.newaxis], 6))
    assert found.value == pytest.approx(max(prefixes), rel=1e-14)


@pytest.mark.parametrize("place", [mnl_assignment, independent_assignment])
def test_one_place_goes_to_the_best_product(place):
    table = logit(P) if place is mnl_assignment else P
    found = place(V, table, 1)
    i, j = np.unravel_index(np.argmax(V[:, np.newaxis] * P), P.shape)
    assert (found.rows[0], found.cols[0]) == (i, j)
    assert found.value == pytest.approx(V[i] * P[i, j])


@pytest.mark.parametrize(
    "place", [mnl_assignment, independent_assignment, cascade_assignment]
)
@pytest.mark.parametrize(("weights", "k"), [(V, 0), (-V, 0), (-V, 2)])
def test_nothing_is_shown_without_place_or_value(place, weights, k):
    table = logit(P) if place is mnl_assignment else P
    found = place(weights, table, k)
    assert found.value == 0
    assert len(found.rows) == 0
    assert not found.ctr.any()


def test_plain_matching_equals_brute_force():
    for weights, utilities, k in cases(100, seed=11):
        p = expit(utilities)
        expected = max(
            sum(weights[i] * p[i, j] for i, j in pairs)
            for pairs in placements(*p.shape, k)
        )
        found = independent_assignment(weights, p, k).value
        assert found == pytest.approx(expected, abs=1e-13)


# -- users who read in order -----------------------------------------------------------


@pytest.mark.parametrize("solver", ["exact", "brute"])
def test_cascade_equals_brute_force_over_all_orders(solver):
    for weights, utilities, k in cases(150, n_max=4, m_max=3, seed=12):
        p = expit(utilities)
        found = cascade_assignment(weights, p, k, solver=solver)
        assert found.exact
        assert found.value == pytest.approx(best_cascade(weights, p, k), abs=1e-13)
        pairs = list(zip(found.rows, found.cols))
        assert len(pairs) <= k
        assert found.value == pytest.approx(cascade_value(weights, p, pairs), abs=1e-13)


@pytest.mark.parametrize("solver", ["exact", "brute"])
def test_cascade_in_a_fixed_order_equals_brute_force(solver):
    rng = np.random.default_rng(13)
    for weights, utilities, k in cases(200, n_max=5, m_max=4, seed=13):
        p = expit(utilities)
        order = rng.permutation(p.shape[1])
        found = cascade_assignment(weights, p, k, order=order, solver=solver)
        expected = best_cascade(weights, p, k, order)
        assert found.value == pytest.approx(expected, abs=1e-13)
        places = [list(order).index(j) for j in found.cols]
        assert places == sorted(places)
        pairs = list(zip(found.rows, found.cols))
        assert found.value == pytest.approx(cascade_value(weights, p, pairs), abs=1e-13)


def test_cascade_is_read_by_decreasing_weight():
    weights, utilities = random_auction(np.random.default_rng(14), 9, 5)
    found = cascade_assignment(weights, expit(utilities))
    assert (np.diff(weights[found.rows]) <= 0).all()


def test_cascade_takes_certain_clicks():
    found = cascade_assignment([1.0, 2.0], [[1.0, 1.0], [0.5, 0.0]])
    assert list(found.rows) == [1, 0]
    assert found.value == pytest.approx(1.5)


def test_cascade_of_the_worked_example():
    found = cascade_assignment(V, P, 2)
    assert list(found.positions) == [0, 1, -1]
    assert found.value == pytest.approx(1.39)
    np.testing.assert_allclose(found.ctr, [0.3, 0.245, 0.0])


def test_greedy_cascade_is_near_the_best_and_says_that_it_is_not_exact():
    shares = []
    for weights, utilities, _ in cases(60, n_max=12, m_max=6, seed=15):
        p = expit(utilities)
        greedy = cascade_assignment(weights, p, solver="greedy")
        assert not greedy.exact
        best = cascade_assignment(weights, p).value
        if best > 0:
            shares.append(greedy.value / best)
            pairs = zip(greedy.rows, greedy.cols)
            assert greedy.value == pytest.approx(cascade_value(weights, p, pairs))
    assert max(shares) <= 1 + 1e-12
    assert min(shares) > 0.9
    assert np.mean(shares) > 0.99


def test_sixteen_positions_are_exact_and_more_are_refused():
    rng = np.random.default_rng(16)
    p = rng.random((3, 17))
    found = cascade_assignment(V, p[:, :16])
    # Three ads use three places: their best columns are enough for brute force.
    best = np.unique(np.argsort(-p[:, :16], axis=1)[:, :3])
    assert found.value == pytest.approx(
        cascade_assignment(V, p[:, best], solver="brute").value
    )
    with pytest.raises(ValueError, match=r"16 positions at most, got 17.*greedy"):
        cascade_assignment(V, p)
    assert cascade_assignment(V, p, solver="greedy").value > 0


# -- bad input -------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_mnl_refuses_utilities_that_are_no_numbers_or_certain(bad):
    utilities = logit(P)
    utilities[1, 1] = bad
    with pytest.raises(ValueError, match="utilities"):
        mnl_assignment(V, utilities)


@pytest.mark.parametrize("place", [independent_assignment, cascade_assignment])
@pytest.mark.parametrize("bad", [-0.1, 1.1, np.nan])
def test_ctr_outside_its_range_is_refused(place, bad):
    p = P.copy()
    p[0, 1] = bad
    with pytest.raises(ValueError, match="ctr must be between 0 and 1"):
        place(V, p)


@pytest.mark.parametrize(
    "place", [mnl_assignment, independent_assignment, cascade_assignment]
)
def test_bad_weights_and_bounds_are_refused(place):
    with pytest.raises(ValueError, match="weights"):
        place([1.0, np.nan, 2.0], P)
    with pytest.raises(ValueError, match="each of 3 ads, got 2"):
        place([1.0, 2.0], P)
    with pytest.raises(ValueError, match=r"shape \(n_ads,\)"):
        place(np.ones((3, 1)), P)
    with pytest.raises(ValueError, match=r"shape \(n_ads, n_positions\)"):
        place(V, P[0])
    for bad in (-1, 1.5, True):
        with pytest.raises(ValueError, match="max_ads"):
            place(V, P, bad)


def test_bad_orders_and_solvers_are_refused():
    with pytest.raises(ValueError, match="permutation"):
        cascade_assignment(V, P, order=[0, 0])
    with pytest.raises(ValueError, match="order must be 'value'"):
        cascade_assignment(V, P, order="best")
    with pytest.raises(ValueError, match="solver must be one of"):
        cascade_assignment(V, P, solver="fast")
    with pytest.raises(ValueError, match="needs order='value'"):
        cascade_assignment(V, P, order=[0, 1], solver="greedy")
