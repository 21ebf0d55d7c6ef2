"""Generated sightings, against the model that they come from."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import expit
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss

from sklogit.datasets import make_sightings

KM_PER_DEGREE = 6371.0088 * np.pi / 180


@pytest.fixture(scope="module")
def truth():
    return make_sightings(40_000, return_bunch=True, random_state=0)


def plane(places):
    """Place in km from the centre, each parallel in its true length."""
    north = (places["latitude"] - 48.0) * KM_PER_DEGREE
    east = (places["longitude"] + 122.0) * KM_PER_DEGREE
    east = east * np.cos(np.radians(places["latitude"]))
    return np.column_stack([np.atleast_1d(east), np.atleast_1d(north)])


def offsets_km(X, place):
    return plane(X) - plane(place)


def test_reports_come_in_order_of_submission_and_after_detection(truth):
    X = truth.data
    assert list(X) == ["latitude", "longitude", "submitted", "detected", "notes"]
    assert X["submitted"].is_monotonic_increasing
    assert (X["detected"] <= X["submitted"]).all()
    assert X["submitted"].min() == pd.Timestamp("2020-01-01")
    assert X["submitted"].max() == pd.Timestamp("2020-01-01") + pd.Timedelta("239D")


def test_true_reports_scatter_around_active_nests():
    b = make_sightings(20_000, 1, nest_spread_km=5.0, return_bunch=True, random_state=1)
    nest, true = b.nests.iloc[0], b.data[b.target == 1]
    offsets = offsets_km(true, nest)
    assert offsets.std(axis=0) == pytest.approx([5, 5], rel=0.1)
    assert offsets.mean(axis=0) == pytest.approx([0, 0], abs=1)
    assert true["submitted"].between(nest["active_from"], nest["active_to"]).all()
    assert (nest["active_to"] - nest["active_from"]).days == 119


def test_false_reports_come_from_towns_by_their_share_and_from_anywhere(truth):
    false = truth.data[truth.target == 0]
    # Spread of 8 km: 1.5 % of those of a town are further than 23.2 km away.
    near = [
        np.linalg.norm(offsets_km(false, town), axis=1) < 23.2
        for _, town in truth.towns.iterrows()
    ]
    assert truth.towns["share"].sum() == pytest.approx(0.7)
    for inside, share in zip(near, truth.towns["share"]):
        assert inside.mean() > share * 0.97
    anywhere = ~np.any(near, axis=0)
    assert 0.1 < anywhere.mean() < 0.3


def test_share_of_true_reports_is_the_prevalence(truth):
    spread = np.sqrt(0.03 * 0.97 / 40_000)
    assert truth.target.mean() == pytest.approx(0.03, abs=4 * spread)
    assert truth.probability.mean() == pytest.approx(0.03, abs=4 * spread)


def test_probability_is_calibrated(truth):
    rates, means = calibration_curve(truth.target, truth.probability, n_bins=5)
    np.testing.assert_allclose(rates, means, atol=0.06)


def test_no_other_use_of_place_time_and_words_is_better(truth):
    best = log_loss(truth.target, truth.probability)
    odds = np.log(truth.probability / (1 - truth.probability))
    for slope, shift in ((0.9, 0), (1.1, 0), (1, 0.2), (1, -0.2)):
        other = expit(slope * odds + shift)
        assert log_loss(truth.target, other) > best


def words_log_odds(truth):
    table = truth.word_log_odds
    return np.array([sum(table[w] for w in n.split()) for n in truth.data["notes"]])


def test_words_tell_as_much_as_asked_for(truth):
    log_odds = words_log_odds(truth)
    filled = truth.data["notes"] != ""
    y = truth.target
    divergence = log_odds[filled & (y == 1)].mean() - log_odds[filled & (y == 0)].mean()
    assert divergence == pytest.approx(1.2**2, rel=0.08)
    assert (~filled).mean() == pytest.approx(0.1, abs=0.01)
    assert (truth.data["notes"][filled].str.split().str.len() == 8).all()


def test_log_odds_of_words_are_those_of_their_frequencies(truth):
    words = truth.data["notes"].str.split()
    counts = [
        words[truth.target == label].explode().value_counts(normalize=True)
        for label in (0, 1)
    ]
    for word, expected in truth.word_log_odds.items():
        found = np.log(counts[1][word] / counts[0][word])
        assert found == pytest.approx(expected, abs=0.25)


def test_notes_without_information():
    b = make_sightings(200, text_shift=0, return_bunch=True, random_state=0)
    np.testing.assert_allclose(list(b.word_log_odds.values()), 0, atol=1e-12)


def test_odds_are_those_of_densities_and_words():
    b = make_sightings(
        300, 2, 2, rural_share=0.5, size_km=100.0, return_bunch=True, random_state=4
    )
    X = b.data
    f1 = np.zeros(300)
    for _, nest in b.nests.iterrows():
        active = X["submitted"].between(nest["active_from"], nest["active_to"])
        normal = stats.multivariate_normal(cov=9.0 * np.eye(2))
        f1 += active * normal.pdf(offsets_km(X, nest)) / 120 / 2
    f0 = np.full(300, 0.5 / 100**2)
    for _, town in b.towns.iterrows():
        normal = stats.multivariate_normal(cov=64.0 * np.eye(2))
        f0 += town["share"] * normal.pdf(offsets_km(X, town))
    with np.errstate(divide="ignore"):
        odds = np.log(0.03 / 0.97) + np.log(f1 / f0 * 240) + words_log_odds(b)
    inside = (np.abs(plane(X)) < 50).all(axis=1) & (b.probability > 1e-200)
    assert inside.sum() > 100
    expected = expit(odds[inside])
    np.testing.assert_allclose(b.probability[inside], expected, rtol=1e-6)


def test_short_form_is_the_same_reports():
    X, y, nests = make_sightings(300, random_state=3)
    b = make_sightings(300, return_bunch=True, random_state=3)
    pd.testing.assert_frame_equal(X, b.data)
    np.testing.assert_array_equal(y, b.target)
    pd.testing.assert_frame_equal(nests, b.nests)


def test_longitudes_wrap_around():
    X, _, _ = make_sightings(300, longitude=179.9, random_state=0)
    assert X["longitude"].abs().max() <= 180
    assert X["longitude"].min() < -179
    assert X["longitude"].max() > 179


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_samples": 0}, "n_samples must be a positive integer, got 0"),
        ({"n_nests": 1.5}, "n_nests must be a positive integer"),
        ({"prevalence": 0}, "prevalence must be between 0 and 1"),
        ({"rural_share": 1.1}, "rural_share must be between 0 and 1"),
        ({"empty_text": np.nan}, "empty_text must be between 0 and 1"),
        ({"nest_spread_km": 0}, "nest_spread_km must be positive"),
        ({"size_km": np.inf}, "size_km must be positive"),
        ({"text_shift": -1}, "text_shift must be between 0 and 10"),
        ({"active_days": 300}, "active_days must be at most n_days = 240, got 300"),
        ({"latitude": 89}, "latitude must leave room for 200.0 km to the poles"),
        ({"longitude": 200}, "longitude must be within 180 degrees"),
        ({"n_samples": 5}, "All of the 5 reports are false: prevalence=0.03"),
    ],
)
def test_bad_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make_sightings(**{"random_state": 0, **options})
