"""Influence by distance and time, beside brute force over all pairs."""

import numpy as np
import pytest
from sklearn.metrics.pairwise import haversine_distances
from sklearn.neighbors import BallTree

from sklogit.triage import _neighbours as neighbours
from sklogit.triage import neighbour_influence
from sklogit.triage._geometry import EARTH_RADIUS_KM
from sklogit.triage._kernel import Kernel
from sklogit.triage._neighbours import Places, influence_sums, nearest_reference

RNG = np.random.default_rng(0)
# Around 48 degrees north, some of them at one address, and around the globe.
NEAR = np.column_stack([RNG.uniform(47.5, 48.5, 200), RNG.uniform(-123, -122, 200)])
NEAR[10:20] = NEAR[9]
GLOBE = np.column_stack([RNG.uniform(-90, 90, 150), RNG.uniform(-180, 180, 150)])
DAYS = np.round(RNG.uniform(0, 100, 200))


def km_between(a, b):
    return EARTH_RADIUS_KM * haversine_distances(np.radians(a), np.radians(b))


SHAPES = {
    "exponential": lambda u: np.exp(-u),
    "gaussian": lambda u: np.exp(-(u**2) / 2),
    "tophat": lambda u: (u <= 1).astype(float),
}


@pytest.mark.parametrize("spatial", [*SHAPES])
@pytest.mark.parametrize("temporal", [*SHAPES])
def test_influence_equals_brute_force(spatial, temporal):
    F = neighbour_influence(
        NEAR,
        time_a=DAYS,
        length_km=8.0,
        length_days=20.0,
        radius_km=30.0,
        spatial=spatial,
        temporal=temporal,
    )
    km, lag = km_between(NEAR, NEAR), np.abs(DAYS[:, np.newaxis] - DAYS)
    expected = SHAPES[spatial](km / 8.0) * SHAPES[temporal](lag / 20.0) * (km <= 30.0)
    np.testing.assert_allclose(F.toarray(), expected, rtol=0, atol=1e-12)
    assert F.nnz == np.count_nonzero(expected)


def test_influence_around_the_globe_equals_brute_force():
    F = neighbour_influence(GLOBE, radius_km=np.inf, length_km=3000.0)
    expected = np.exp(-km_between(GLOBE, GLOBE) / 3000.0)
    np.testing.assert_allclose(F.toarray(), expected, atol=1e-11)


def test_neighbours_are_those_of_a_ball_tree():
    F = neighbour_influence(NEAR, radius_km=20.0)
    tree = BallTree(np.radians(NEAR), metric="haversine")
    found = tree.query_radius(np.radians(NEAR), 20.0 / EARTH_RADIUS_KM)
    for row, expected in enumerate(found):
        assert set(F[[row]].indices.tolist()) == set(expected.tolist())


def test_influence_is_symmetric_and_one_on_itself():
    F = neighbour_influence(NEAR, time_a=DAYS).toarray()
    np.testing.assert_array_equal(F, F.T)
    np.testing.assert_array_equal(np.diag(F), 1.0)


def test_longitudes_meet_at_the_antimeridian():
    F = neighbour_influence([[0.0, 180.0]], [[0.0, -180.0], [0.0, -179.9]])
    km = 0.1 * np.pi / 180 * EARTH_RADIUS_KM
    np.testing.assert_allclose(F.toarray(), [[1.0, np.exp(-km / 10.0)]], rtol=1e-12)


def test_longitude_is_idle_at_a_pole():
    F = neighbour_influence([[90.0, 10.0]], [[90.0, -120.0], [89.9, 70.0]])
    km = 0.1 * np.pi / 180 * EARTH_RADIUS_KM
    np.testing.assert_allclose(F.toarray(), [[1.0, np.exp(-km / 10.0)]], rtol=1e-12)


def test_radius_is_included_and_nothing_beyond():
    km = km_between([[48.0, -122.0]], [[48.0, -122.5]]).item()
    places = [[48.0, -122.0]], [[48.0, -122.5]]
    assert neighbour_influence(*places, radius_km=km * (1 + 1e-12)).nnz == 1
    assert neighbour_influence(*places, radius_km=km * (1 - 1e-9)).nnz == 0


def test_causal_counts_strictly_earlier_references_only():
    F = neighbour_influence(NEAR, time_a=DAYS, causal=True, radius_km=100).toarray()
    plain = neighbour_influence(NEAR, time_a=DAYS, radius_km=100).toarray()
    earlier = DAYS[np.newaxis] < DAYS[:, np.newaxis]
    np.testing.assert_array_equal(F, np.where(earlier, plain, 0.0))


def test_self_is_left_out_by_row_and_not_by_distance():
    F = neighbour_influence(NEAR, exclude_self=True).toarray()
    plain = neighbour_influence(NEAR).toarray()
    np.testing.assert_array_equal(F, plain - np.eye(200))
    assert F[9, 10] == 1.0  # another report of the same address


def test_only_the_nearest_neighbours_are_kept():
    F = neighbour_influence(NEAR, max_neighbors=5, radius_km=30.0, exclude_self=True)
    km = km_between(NEAR, NEAR)
    np.fill_diagonal(km, np.inf)
    for row in range(200):
        kept = km[row, F[[row]].indices]
        assert len(kept) == min(5, (km[row] <= 30.0).sum())
        np.testing.assert_allclose(np.sort(kept), np.sort(km[row])[: len(kept)])


@pytest.mark.parametrize("exclude_self", [False, True])
@pytest.mark.parametrize("spatial", ["exponential", "gaussian", "tophat"])
def test_nearest_neighbours_have_the_influence_of_the_whole_matrix(
    spatial, exclude_self
):
    options = {"spatial": spatial, "exclude_self": exclude_self, "radius_km": 8.0}
    F = neighbour_influence(NEAR, time_a=DAYS, **options).toarray()
    few = neighbour_influence(NEAR, time_a=DAYS, max_neighbors=4, **options)
    km = km_between(NEAR, NEAR)
    kept = few.toarray() > 0
    np.testing.assert_array_equal(few.toarray(), np.where(kept, F, 0.0))
    np.testing.assert_array_equal(kept.sum(axis=1), np.minimum((F > 0).sum(axis=1), 4))
    left_out = (F > 0) & ~kept
    nearest_left = np.where(left_out, km, np.inf).min(axis=1)
    assert (np.where(kept, km, 0.0).max(axis=1) <= nearest_left + 1e-9).all()


def test_nearest_neighbours_are_chosen_among_those_that_count():
    F = neighbour_influence(
        NEAR, time_a=DAYS, causal=True, max_neighbors=1, radius_km=1000.0
    )
    km = np.where(DAYS[:, np.newaxis] > DAYS, km_between(NEAR, NEAR), np.inf)
    has = np.isfinite(km).any(axis=1)
    np.testing.assert_array_equal(np.diff(F.indptr), has)
    best = km[np.flatnonzero(has), F.indices]
    np.testing.assert_allclose(best, km.min(axis=1)[has], atol=1e-9)


def test_nearest_neighbours_are_chosen_among_those_of_the_same_time():
    options = {"temporal": "tophat", "length_days": 5.0, "radius_km": 1000.0}
    F = neighbour_influence(
        NEAR, time_a=DAYS, max_neighbors=2, exclude_self=True, **options
    )
    lag = np.abs(DAYS - DAYS[:, np.newaxis])
    km = np.where(lag <= 5.0, km_between(NEAR, NEAR), np.inf)
    np.fill_diagonal(km, np.inf)
    for row in range(200):
        best = np.sort(km[row])[: min(2, np.isfinite(km[row]).sum())]
        np.testing.assert_allclose(np.sort(km[row, F[[row]].indices]), best)


def test_dates_of_all_kinds_are_days():
    days = np.array([18000, 18010])
    kinds = [
        days,
        days.astype("datetime64[D]"),
        days.astype("datetime64[D]").astype(str),
        days.astype("datetime64[D]").astype(object),
    ]
    expected = np.exp(-10 / 30.0)
    for time in kinds:
        F = neighbour_influence([[0, 0], [0, 0]], time_a=time).toarray()
        assert F[0, 1] == pytest.approx(expected, rel=1e-12)


def test_missing_time_does_not_decay_and_is_never_earlier():
    time = ["2020-05-01", "<Null>", "2020-05-31"]
    places = np.zeros((3, 2))
    F = neighbour_influence(places, time_a=time).toarray()
    assert F[0, 1] == F[2, 1] == 1.0
    causal = neighbour_influence(places, time_a=time, causal=True).toarray()
    np.testing.assert_array_equal(causal > 0, [[0, 0, 0], [0, 0, 0], [1, 0, 0]])


def test_infinite_lengths_do_not_decay():
    for none in (None, np.inf):
        F = neighbour_influence(
            NEAR, time_a=DAYS, length_km=none, length_days=none, radius_km=np.inf
        )
        np.testing.assert_array_equal(F.toarray(), 1.0)


def test_unknown_places_have_no_influence_if_asked_for():
    places = [[48.0, -122.0], [np.nan, -122.0], [48.0, -122.0]]
    F = neighbour_influence(places, missing_location="impute").toarray()
    np.testing.assert_array_equal(F, [[1, 0, 1], [0, 0, 0], [1, 0, 1]])


def test_blocks_of_queries_give_the_same(monkeypatch):
    whole = neighbour_influence(NEAR, time_a=DAYS, max_neighbors=7, exclude_self=True)
    monkeypatch.setattr(neighbours, "_BLOCK_PAIRS", 1)
    blocks = neighbour_influence(NEAR, time_a=DAYS, max_neighbors=7, exclude_self=True)
    np.testing.assert_array_equal(whole.toarray(), blocks.toarray())


def test_sums_equal_products_with_the_matrix():
    places = Places.from_degrees(*NEAR.T, DAYS)
    kernel = Kernel(length_km=5.0, length_days=10.0, radius_km=25.0)
    values = [RNG.standard_normal(200), np.ones(200)]
    own = np.arange(200)
    sums = influence_sums(places, places, kernel, values, own)
    F = neighbours.influence_matrix(places, places, kernel, own)
    np.testing.assert_allclose(sums, F @ np.column_stack(values), atol=1e-10)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("leave_out", [False, True])
def test_nearest_reference_equals_brute_force(causal, leave_out):
    queries = Places.from_degrees(*NEAR.T, DAYS)
    own = np.arange(200) if leave_out else None
    km, index = nearest_reference(queries, queries, own, causal=causal)
    counts = DAYS[:, np.newaxis] > DAYS if causal else np.ones((200, 200), dtype=bool)
    if leave_out:
        counts = counts & ~np.eye(200, dtype=bool)
    expected = np.where(counts, km_between(NEAR, NEAR), np.inf)
    np.testing.assert_allclose(km, expected.min(axis=1), atol=1e-9)
    has = np.isfinite(km)
    np.testing.assert_allclose(
        expected[np.flatnonzero(has), index[has]], km[has], atol=1e-9
    )
    np.testing.assert_array_equal(index[~has], -1)


def test_no_reference_is_infinitely_far():
    queries = Places.from_degrees(*NEAR[:3].T)
    km, index = nearest_reference(queries, queries[:0])
    np.testing.assert_array_equal(km, np.inf)
    np.testing.assert_array_equal(index, -1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[91.0, 0.0]],), "latitude must be between -90 and 90"),
        (([[0.0, 180.5]],), "longitude must be between -180 and 180"),
        (([[0.0, np.inf]],), "longitude must be between"),
        (([[np.nan, 0.0]],), "contain NaN"),
        (([[0.0, 0.0, 1.0]],), "columns latitude and longitude, got 3"),
        (([[0.0, 0.0]], None, None, [1.0]), "time_b needs coords_b"),
        (([[0.0, 0.0]], None, [1.0, 2.0]), "inconsistent numbers of samples"),
        (([[0.0, 0.0]], None, ["27/05/2020"]), "ISO format"),
    ],
)
def test_impossible_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        neighbour_influence(*arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"causal": True}, "needs the times"),
        ({"length_km": 0.0}, "length_km"),
        ({"length_km": -1.0}, "length_km"),
        ({"radius_km": 0.0}, "radius_km"),
        ({"spatial": "linear"}, "spatial"),
        ({"max_neighbors": 0}, "max_neighbors"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        neighbour_influence(NEAR, **options)


def test_self_can_be_left_out_of_equally_many_rows_only():
    with pytest.raises(ValueError, match="compares rows"):
        neighbour_influence(NEAR, NEAR[:5], exclude_self=True)
