"""Rates of true reports in the neighbourhood, beside brute force over all pairs."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.special import logit
from sklearn import config_context
from sklearn.base import clone
from sklearn.metrics.pairwise import haversine_distances
from sklearn.utils.estimator_checks import (
    check_fit_check_is_fitted,
    check_fit_idempotent,
    check_n_features_in,
)

from sklogit.triage import SpatioTemporalRateEncoder
from sklogit.triage import _rate_encoder as module
from sklogit.triage._geometry import EARTH_RADIUS_KM


@pytest.fixture
def reports():
    rng = np.random.default_rng(1)
    X = pd.DataFrame(
        {
            "latitude": rng.uniform(47.5, 48.5, 120),
            "longitude": rng.uniform(-123, -122, 120),
            "submitted": np.datetime64("2020-05-01") + rng.integers(0, 60, 120),
        }
    )
    X.iloc[20:25, :2] = X.iloc[19, :2].to_numpy()
    y = (rng.random(120) < 0.25).astype(int)
    return X, y


def all_km(X):
    degrees = X[["latitude", "longitude"]].to_numpy()
    return EARTH_RADIUS_KM * haversine_distances(np.radians(degrees))


def brute_force(X, y, weight, counts, *, km, length, radius, m, rate):
    """Features of each row from the references that count for it."""
    F = np.exp(-km / length) * (km <= radius) * counts
    n_true, n_all = F @ (weight * y), F @ weight
    nearest = np.where(counts & (y == 1) & (weight > 0), km, np.inf).min(axis=1)
    log_odds = logit((n_true + m * rate) / (n_all + m))
    return log_odds, np.log1p(n_all), nearest


@pytest.mark.parametrize("weighted", [False, True])
def test_fit_transform_leaves_the_own_row_out(reports, weighted):
    X, y = reports
    weight = np.random.default_rng(2).uniform(0, 2, 120) if weighted else np.ones(120)
    encoder = SpatioTemporalRateEncoder(
        length_km=7.0, radius_km=25.0, prior_strength=2.0
    )
    out = encoder.fit_transform(X, y, sample_weight=weight if weighted else None)
    km = all_km(X)
    rate = (weight @ y + 0.5) / (weight.sum() + 1)
    log_odds, density, nearest = brute_force(
        X,
        y,
        weight,
        ~np.eye(120, dtype=bool),
        km=km,
        length=7,
        radius=25,
        m=2,
        rate=rate,
    )
    np.testing.assert_allclose(out[:, 0], log_odds, atol=1e-10)
    np.testing.assert_allclose(out[:, 1], density, atol=1e-10)
    np.testing.assert_allclose(out[:, 2], np.log1p(nearest), atol=1e-9)


def test_transform_uses_all_references(reports):
    X, y = reports
    encoder = SpatioTemporalRateEncoder(length_km=7.0, radius_km=25.0)
    out = encoder.fit(X, y).transform(X)
    rate = (y.sum() + 0.5) / 121
    log_odds, density, nearest = brute_force(
        X,
        y,
        np.ones(120),
        np.ones((120, 120), dtype=bool),
        km=all_km(X),
        length=7,
        radius=25,
        m=1,
        rate=rate,
    )
    expected = np.column_stack([log_odds, density, np.log1p(nearest)])
    np.testing.assert_allclose(out, expected, atol=1e-7)


def test_causal_features_use_earlier_references_only(reports):
    X, y = reports
    encoder = SpatioTemporalRateEncoder(causal=True, time="submitted", radius_km=1000.0)
    out = encoder.fit_transform(X, y)
    day = X["submitted"].to_numpy()
    earlier = day[np.newaxis] < day[:, np.newaxis]
    rate = (earlier @ y + 0.5) / (earlier.sum(axis=1) + 1)
    log_odds, density, nearest = brute_force(
        X,
        y,
        np.ones(120),
        earlier,
        km=all_km(X),
        length=10,
        radius=1000,
        m=1,
        rate=rate,
    )
    np.testing.assert_allclose(out[:, 0], log_odds, atol=1e-10)
    np.testing.assert_allclose(out[:, 1], density, atol=1e-10)
    has = np.isfinite(nearest)
    np.testing.assert_allclose(out[has, 2], np.log1p(nearest[has]), atol=1e-9)
    # Without an earlier true report the nearest is as far as the reports reach.
    assert len(np.unique(out[~has, 2])) == 1
    assert np.expm1(out[~has, 2][0]) >= all_km(X).max()


def test_own_verdict_changes_nothing_in_the_own_row(reports):
    X, y = reports
    encoder = SpatioTemporalRateEncoder(base_rate=0.2)
    before = encoder.fit_transform(X, y)
    for row in (0, 19, 57):
        flipped = y.copy()
        flipped[row] = 1 - y[row]
        after = encoder.fit_transform(X, flipped)
        np.testing.assert_array_equal(after[row], before[row])
        assert (after != before).any()


def test_the_only_true_report_is_like_the_mean_of_the_others(reports):
    X, y = reports
    only = np.flatnonzero(y)[3]
    others = np.arange(120) != only
    y = np.where(others, 0, 1)
    encoder = SpatioTemporalRateEncoder()
    out = encoder.fit_transform(X, y)
    np.testing.assert_allclose(out[only, [0, 2]], out[others][:, [0, 2]].mean(axis=0))
    # Its density tells no verdict, and new reports see it as it is.
    assert out[only, 1] < encoder.transform(X)[only, 1]
    assert encoder.transform(X)[only, 2] == 0.0


def test_own_verdict_moves_rows_without_neighbours_all_alike(reports):
    X, y = reports
    encoder = SpatioTemporalRateEncoder(radius_km=1e-6, features=("log_odds",))
    X = X.drop(index=range(19, 25))
    y = np.delete(y, range(19, 25))
    out = encoder.fit_transform(X, y)
    # A rate without the own verdict would tell all true reports from the false.
    assert len(np.unique(out)) == 1


def test_verdicts_of_the_same_address_are_seen(reports):
    X, y = reports
    encoder = SpatioTemporalRateEncoder(base_rate=0.2)
    before = encoder.fit_transform(X, y)
    flipped = y.copy()
    flipped[20] = 1 - y[20]
    after = encoder.fit_transform(X, flipped)
    assert after[19, 0] != before[19, 0]
    new = X.iloc[[20]]
    assert (
        encoder.fit(X, y).transform(new)[0, 0]
        != encoder.fit(X, flipped).transform(new)[0, 0]
    )


def test_causal_features_ignore_verdicts_of_the_same_day_and_later(reports):
    X, y = reports
    encoder = SpatioTemporalRateEncoder(causal=True, time="submitted")
    before = encoder.fit_transform(X, y)
    day = X["submitted"].to_numpy()
    cut = np.sort(day)[60]
    flipped = np.where(day >= cut, 1 - y, y)
    after = encoder.fit_transform(X, flipped)
    np.testing.assert_array_equal(after[day <= cut], before[day <= cut])
    assert (after[day > cut] != before[day > cut]).any()


def test_long_lengths_give_the_rate_of_all_others(reports):
    X, y = reports
    encoder = SpatioTemporalRateEncoder(
        length_km=None, radius_km=np.inf, prior_strength=1e-9, features=("log_odds",)
    )
    out = encoder.fit_transform(X, y)[:, 0]
    np.testing.assert_allclose(out, logit((y.sum() - y) / 119), atol=1e-6)


def test_short_lengths_give_the_prior(reports):
    X, y = reports
    X = X.drop(index=range(20, 25))
    y = np.delete(y, range(20, 25))
    encoder = SpatioTemporalRateEncoder(length_km=1e-6, features=("log_odds",))
    out = encoder.fit_transform(X, y)[:, 0]
    np.testing.assert_allclose(out, logit((y.sum() + 0.5) / (len(y) + 1)), rtol=1e-12)


def test_reports_without_verdict_count_in_the_density_only(reports):
    X, y = reports
    encoder = SpatioTemporalRateEncoder()
    hidden = y.copy()
    hidden[60:] = -1
    out = encoder.fit_transform(X, hidden)[:60]
    alone = encoder.fit_transform(X[:60], y[:60])
    np.testing.assert_allclose(out[:, 0], alone[:, 0])
    everyone = encoder.fit_transform(X, y)[:60]
    np.testing.assert_array_equal(out[:, 1], everyone[:, 1])
    np.testing.assert_allclose(out[:, 2], alone[:, 2])


def test_update_equals_fit_of_all(reports):
    X, y = reports
    encoder = SpatioTemporalRateEncoder(time="submitted", length_days=20.0)
    updated = clone(encoder).fit(X[:80], y[:80])
    updated.update(X[80:100], y[80:100])
    updated.update(X[100:], y[100:], sample_weight=np.ones(20))
    together = clone(encoder).fit(X, y)
    np.testing.assert_array_equal(updated.transform(X), together.transform(X))


def test_update_takes_a_single_class_and_no_strange_label(reports):
    X, y = reports
    encoder = SpatioTemporalRateEncoder().fit(X, y)
    encoder.update(X[:2], [0, 0])
    assert len(encoder.references_.target) == 122
    with pytest.raises(ValueError, match="labels"):
        encoder.update(X[:1], [7])
    assert len(encoder.references_.target) == 122


def test_labels_of_any_kind(reports):
    X, y = reports
    out = SpatioTemporalRateEncoder().fit_transform(X, y)
    words = np.array(["hornet", "other"])[1 - y]
    named = SpatioTemporalRateEncoder(positive_label="hornet").fit_transform(X, words)
    np.testing.assert_array_equal(out, named)
    signs = SpatioTemporalRateEncoder().fit_transform(X, 2 * y - 1)
    np.testing.assert_array_equal(out, signs)


def test_columns_are_found_by_name_in_any_order(reports):
    X, y = reports
    out = SpatioTemporalRateEncoder().fit_transform(X, y)
    other = X.rename(columns={"latitude": "Lat", "longitude": "lng"})
    np.testing.assert_array_equal(
        out, SpatioTemporalRateEncoder().fit_transform(other[["lng", "Lat"]], y)
    )
    array = X[["latitude", "longitude"]].to_numpy()
    np.testing.assert_array_equal(
        out, SpatioTemporalRateEncoder().fit_transform(array, y)
    )
    named = SpatioTemporalRateEncoder(latitude="a", longitude="b")
    other = X.set_axis(["a", "b", "c"], axis=1)
    np.testing.assert_array_equal(out, named.fit_transform(other[["b", "a"]], y))


def test_pandas_comes_out_if_asked_for(reports):
    X, y = reports
    encoder = SpatioTemporalRateEncoder(features=("nearest", "log_odds"))
    out = encoder.set_output(transform="pandas").fit_transform(X, y)
    assert out.columns.tolist() == ["nearest", "log_odds"]
    plain = SpatioTemporalRateEncoder().fit_transform(X, y)
    np.testing.assert_array_equal(out.to_numpy(), plain[:, [2, 0]])


def test_unknown_places_get_the_prior_and_a_mark(reports):
    X, y = reports
    X.loc[5, "latitude"] = np.nan
    encoder = SpatioTemporalRateEncoder(missing_location="impute")
    out = encoder.fit_transform(X, y)
    assert encoder.get_feature_names_out().tolist()[-1] == "location_missing"
    np.testing.assert_array_equal(out[:, 3], np.arange(120) == 5)
    assert out[5, 0] == pytest.approx(logit((y.sum() + 0.5) / 121))
    assert out[5, 1] == 0.0
    assert np.expm1(out[5, 2]) >= np.nanmax(all_km(X.drop(index=5)))
    assert np.isfinite(out).all()


def test_time_of_a_single_report_may_be_a_typing_error(reports):
    X, y = reports
    encoder = SpatioTemporalRateEncoder(time="submitted", length_days=9.0).fit(X, y)
    strange, missing = X[:1].assign(submitted="May 27"), X[:1].assign(submitted=None)
    np.testing.assert_array_equal(
        encoder.transform(strange), encoder.transform(missing)
    )
    with pytest.raises(ValueError, match="time must hold dates in ISO format"):
        encoder.fit(X.assign(submitted="May 27"), y)


@pytest.mark.parametrize(
    "check",
    [check_fit_idempotent, check_fit_check_is_fitted, check_n_features_in],
)
def test_checks_pass_where_their_latitudes_are_let_in(check, monkeypatch):
    # They are around 100 degrees, which the encoder rightly refuses.
    def let_in(latitude, longitude, missing):
        return np.asarray(latitude, float), np.asarray(longitude, float)

    monkeypatch.setattr(module, "check_coordinates", let_in)
    check("SpatioTemporalRateEncoder", SpatioTemporalRateEncoder())


def test_pickled_encoder_gives_the_same(reports):
    X, y = reports
    encoder = SpatioTemporalRateEncoder(time="submitted").fit(X, y)
    copy = pickle.loads(pickle.dumps(encoder))
    np.testing.assert_array_equal(copy.transform(X), encoder.transform(X))


def test_weights_are_routed(reports):
    X, y = reports
    weight = np.linspace(0.1, 2, 120)
    with config_context(enable_metadata_routing=True):
        encoder = SpatioTemporalRateEncoder().set_fit_request(sample_weight=True)
        assert encoder.get_metadata_routing().fit.requests["sample_weight"] is True
    direct = SpatioTemporalRateEncoder().fit_transform(X, y, sample_weight=weight)
    twice = SpatioTemporalRateEncoder().fit_transform(X, y, sample_weight=2 * weight)
    assert not np.allclose(direct, twice)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latitude": 95.0}, "latitude must be between"),
        ({"longitude": -200.0}, "longitude must be between"),
        ({"longitude": np.nan}, "contain NaN"),
    ],
)
def test_impossible_places_are_refused(reports, change, message):
    X, y = reports
    for column, value in change.items():
        X.loc[3, column] = value
    with pytest.raises(ValueError, match=message):
        SpatioTemporalRateEncoder().fit(X, y)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"latitude": "north"}, "no column 'north'"),
        ({"time": 7}, "has 3 columns"),
        ({"causal": True}, "needs the column of the time"),
        ({"features": ("rate",)}, "features must be some of"),
        ({"features": ()}, "features must be some of"),
        ({"base_rate": 0.0}, "base_rate"),
        ({"prior_strength": 0.0}, "prior_strength"),
        ({"positive_label": 2}, "no positive label 2"),
    ],
)
def test_impossible_parameters_are_refused(reports, params, message):
    X, y = reports
    with pytest.raises(ValueError, match=message):
        SpatioTemporalRateEncoder(**params).fit(X, y)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(120), "no positive label"),
        (np.ones(120), "no negative"),
        (np.where(np.arange(120) < 60, 0, -1), "no positive label"),
        (np.full(120, -1), "no report has a verdict"),
        (np.arange(120) % 3, "Only binary classification"),
        (np.linspace(0, 1, 120), "Unknown label type"),
        (np.where(np.arange(120) < 60, 0, np.nan), "y contains NaN, in 60 rows"),
        ([None, *"ab"] * 40, "y contains NaN, in 40 rows"),
    ],
)
def test_verdicts_of_other_than_two_classes_are_refused(reports, y, message):
    X, _ = reports
    with pytest.raises(ValueError, match=message):
        SpatioTemporalRateEncoder().fit(X, y)
