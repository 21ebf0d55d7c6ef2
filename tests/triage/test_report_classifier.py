"""Probability, priority and ranking of reports."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.special import expit, logit
from sklearn import config_context
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.semi_supervised import SelfTrainingClassifier

from sklogit.triage import (
    ReportTriageClassifier,
    SpatioTemporalRateEncoder,
    neighbour_influence,
)
from sklogit.triage import _report_model as module
from sklogit.triage._reasons import contributions

pytestmark = pytest.mark.filterwarnings("ignore:There are:UserWarning")

PLACE = ["latitude", "longitude", "submitted"]
NEST = np.array([48.9, -122.7])


def make_reports(n, seed=0):
    """Reports of which those near a nest that speak of hornets are mostly true."""
    rng = np.random.default_rng(seed)
    near = rng.random(n) < 0.25
    places = np.where(
        near[:, np.newaxis],
        NEST + rng.normal(0, 0.04, (n, 2)),
        rng.uniform([47.0, -123.0], [49.0, -121.0], (n, 2)),
    )
    hornet = rng.random(n) < 0.4
    y = (rng.random(n) < np.where(near & hornet, 0.7, 0.02)).astype(int)
    submitted = np.datetime64("2020-05-01") + rng.integers(0, 90, n)
    X = pd.DataFrame(
        {
            "id": [f"r{i}" for i in range(n)],
            "latitude": places[:, 0],
            "longitude": places[:, 1],
            "submitted": submitted,
            "detected": submitted - rng.integers(0, 10, n),
            "notes": np.where(hornet, "orange hornet", "small wasp"),
            "size": rng.normal(2 + hornet, 1.0),
            "channel": rng.choice(["web", "phone"], n),
            "photo": expit(rng.normal(2.0 * y - 1, 1.0)),
        },
        index=np.arange(n) + 1000,
    )
    return X, y


@pytest.fixture(scope="module")
def reports():
    return make_reports(300)


@pytest.fixture(scope="module")
def others():
    return make_reports(200, seed=1)


FULL = {
    "numeric": ["size"],
    "categorical": ["channel"],
    "probabilities": ["photo"],
}


@pytest.fixture(scope="module")
def fitted(reports):
    return ReportTriageClassifier(**FULL).fit(*reports)


# -- probabilities -------------------------------------------------------------------


def test_true_reports_are_found(fitted, others):
    X, y = others
    p = fitted.predict_proba(X)[:, 1]
    assert average_precision_score(y, p) > 5 * y.mean()
    assert average_precision_score(y, fitted.priority(X)) > 5 * y.mean()
    assert log_loss(y, p) < 0.85 * log_loss(y, np.full(len(y), y.mean()))


def test_all_kinds_of_columns_become_features(fitted):
    names = fitted.pipeline_[0].get_feature_names_out().tolist()
    assert names[:4] == [
        "location__log_odds",
        "location__density",
        "location__nearest",
        "dates__season_sin",
    ]
    for name in (
        "dates__delay_detected",
        "text__hornet",
        "note__length",
        "numeric__size",
        "probability__photo",
        "category__channel_web",
    ):
        assert name in names


def test_pipeline_is_that_of_the_features_by_hand(reports, others):
    (X, y), (new, _) = reports, others
    clf = ReportTriageClassifier(
        text=None, columns={"latitude": "latitude", "longitude": "longitude"}
    )
    clf.fit(X, y)
    encoder = SpatioTemporalRateEncoder()
    Z = encoder.fit_transform(X, y)
    mean, std = Z.mean(axis=0), Z.std(axis=0)
    model = LogisticRegression(max_iter=1000).fit((Z - mean) / std, y)
    expected = model.predict_proba((encoder.transform(new) - mean) / std)
    np.testing.assert_allclose(clf.predict_proba(new), expected, atol=1e-7)


def test_a_single_true_report_sends_nobody_elsewhere(reports, others):
    X, y = reports
    only = np.flatnonzero(y)[0]
    clf = ReportTriageClassifier(
        text=None, columns={role: role for role in ("latitude", "longitude")}
    ).fit(X, (np.arange(300) == only).astype(int))
    new, _ = others
    km = clf.rank(new, n_reasons=0)["nearest_km"]
    assert km[:10].max() < km.median() / 2


def test_training_features_leave_the_own_verdict_out(reports):
    X, y = reports
    flipped = y.copy()
    flipped[7] = 1 - y[7]
    encoder = SpatioTemporalRateEncoder(base_rate=0.1)

    class Keep(LogisticRegression):
        def fit(self, Z, y, **params):
            Keep.rows = Z.copy()
            return super().fit(Z, y, **params)

    columns = {"latitude": "latitude", "longitude": "longitude"}
    seen = []
    for labels in (y, flipped):
        clf = ReportTriageClassifier(
            text=None, columns=columns, encoder=encoder, estimator=Keep()
        ).fit(X, labels)
        numbers = clf.pipeline_[0].named_transformers_["location"][-1]
        seen.append(Keep.rows[7] * numbers.scale_ + numbers.mean_)
    np.testing.assert_allclose(*seen, atol=1e-10)


def test_prior_calibration_equals_the_fit_without_weights():
    # Where a logistic model holds, and many reports are known.
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60000, 3))
    y = (rng.random(60000) < expit(X @ [1.0, -0.5, 0.2] - 4.0)).astype(int)
    plain = ReportTriageClassifier().fit(X, y)
    weighted = ReportTriageClassifier(class_weight={1: 30.0}).fit(X, y)
    assert weighted.weight_ == 30.0
    p, q = plain.predict_proba(X)[:, 1], weighted.predict_proba(X)[:, 1]
    assert np.abs(logit(p) - logit(q)).max() < 0.4
    assert q.mean() == pytest.approx(y.mean(), rel=0.1)
    inflated = clone(weighted).set_params(calibration=None).fit(X, y)
    raw = inflated.predict_proba(X)[:, 1]
    assert raw.mean() > 10 * y.mean()
    np.testing.assert_array_equal(np.argsort(raw), np.argsort(q))


def test_balanced_weights_are_those_of_scikit_learn(reports):
    X, y = reports
    size = X[["size"]].to_numpy()
    clf = ReportTriageClassifier(class_weight="balanced", calibration=None)
    z = (size - size.mean()) / size.std()
    expected = LogisticRegression(max_iter=1000, class_weight="balanced").fit(z, y)
    p = clf.fit(size, y).predict_proba(size)
    np.testing.assert_allclose(p, expected.predict_proba(z), atol=1e-6)
    assert clf.weight_ == pytest.approx((y == 0).sum() / y.sum())


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(),
        HistGradientBoostingClassifier(random_state=0),
        GaussianNB(),
    ],
)
def test_class_weights_reach_any_estimator_that_takes_weights(reports, estimator):
    X, y = reports
    size = X[["size", "photo"]].to_numpy()
    raw = {"estimator": estimator, "calibration": None}
    plain = ReportTriageClassifier(**raw).fit(size, y).predict_proba(size)[:, 1]
    heavy = ReportTriageClassifier(class_weight="balanced", **raw).fit(size, y)
    assert heavy.predict_proba(size)[:, 1].mean() > plain.mean() + 0.05


def test_class_weights_of_the_estimator_are_calibrated_too(reports):
    X, y = reports
    size = X[["size", "photo"]].to_numpy()
    own = ReportTriageClassifier(estimator=LogisticRegression(class_weight="balanced"))
    other = ReportTriageClassifier(class_weight="balanced")
    np.testing.assert_allclose(
        own.fit(size, y).predict_proba(size),
        other.fit(size, y).predict_proba(size),
        atol=1e-4,
    )


def test_prediction_follows_the_weights_and_probability_does_not(reports):
    X, y = reports
    size = X[["size", "photo"]].to_numpy()
    clf = ReportTriageClassifier(class_weight={1: 9.0}).fit(size, y)
    p = clf.predict_proba(size)[:, 1]
    np.testing.assert_array_equal(clf.predict(size), (9 * p > 1 - p).astype(int))
    np.testing.assert_allclose(clf.decision_function(size), logit(p) + np.log(9.0))


@pytest.mark.parametrize("calibration", ["sigmoid", "isotonic"])
def test_folds_calibrate_to_the_rate_without_weights(reports, calibration):
    X, y = reports
    clf = ReportTriageClassifier(
        class_weight="balanced", calibration=calibration, random_state=0
    )
    p = clf.fit(X, y).predict_proba(X)[:, 1]
    assert p.mean() == pytest.approx(y.mean(), abs=0.05)


def test_labels_of_any_kind(reports, others):
    (X, y), (new, _) = reports, others
    p = ReportTriageClassifier().fit(X, y).predict_proba(new)[:, 1]
    # The positive label may be the first of the two.
    words = pd.Series(np.array(["other", "hornet"], dtype=object)[y], index=X.index)
    clf = ReportTriageClassifier(positive_label="hornet").fit(X, words)
    assert clf.classes_.tolist() == ["hornet", "other"]
    np.testing.assert_array_equal(clf.predict_proba(new)[:, 0], p)
    np.testing.assert_array_equal(clf.predict(new) == "hornet", p > 0.5)
    np.testing.assert_array_equal(clf.decision_function(new) < 0, p > 0.5)
    np.testing.assert_array_equal(clf.rank(new)["probability"].loc[new.index], p)
    clf.update(new, np.full(len(new), "other", dtype=object))
    assert clf.reference_.target.sum() == y.sum()
    clf.set_params(class_weight={"hornet": 3.0}).fit(X, words)
    assert clf.weight_ == 3.0


def test_seed_of_the_estimator_stays_unless_there_is_another(reports):
    X, y = reports
    forest = RandomForestClassifier(3, random_state=7)
    size = X[["size"]].to_numpy()
    for seed, expected in ((None, 7), (5, 5)):
        clf = ReportTriageClassifier(estimator=forest, random_state=seed).fit(size, y)
        assert clf.pipeline_[-1].random_state == expected


def test_class_weights_of_the_estimator_that_cannot_be_undone_are_refused(reports):
    forest = RandomForestClassifier(3, class_weight="balanced_subsample")
    with pytest.raises(ValueError, match="got 'balanced_subsample'"):
        ReportTriageClassifier(estimator=forest).fit(*reports)


def test_blocks_of_reports_give_the_same(fitted, others, monkeypatch):
    X, _ = others
    whole = fitted.predict_proba(X), fitted.rank(X)
    monkeypatch.setattr(module, "_BLOCK_REPORTS", 7)
    np.testing.assert_allclose(fitted.predict_proba(X), whole[0], rtol=1e-12)
    pd.testing.assert_frame_equal(fitted.rank(X), whole[1])


def test_estimators_of_dense_features_get_them(reports, others, monkeypatch):
    clf = ReportTriageClassifier(estimator=HistGradientBoostingClassifier())
    p = clf.fit(*reports).predict_proba(others[0])
    monkeypatch.setattr(module, "_BLOCK_NUMBERS", 100)
    np.testing.assert_array_equal(clf.predict_proba(others[0]), p)


# -- priorities ----------------------------------------------------------------------


def influences(clf, X, y, new):
    places, day = ["latitude", "longitude"], "submitted"
    pool = neighbour_influence(new[places], time_a=new[day]).toarray()
    known = neighbour_influence(new[places], X[places], new[day], X[day]).toarray()
    return clf.predict_proba(new)[:, 1], pool, known


def test_influence_is_that_of_the_references(fitted, reports, others):
    X, y = reports
    new, _ = others
    F = fitted.influence(new)
    assert sparse.issparse(F)
    assert F.shape == (200, 300)
    np.testing.assert_allclose(F.toarray(), influences(fitted, X, y, new)[2])


@pytest.mark.parametrize("rule", ["boost", "sum", "mean", "probability"])
def test_priority_is_its_formula(reports, others, rule):
    (X, y), (new, _) = reports, others
    clf = ReportTriageClassifier(priority_rule=rule, kappa=0.5).fit(X, y)
    p, pool, known = influences(clf, X, y, new)
    expected = {
        "probability": p,
        "boost": p * (1 + 0.5 * known @ y),
        "sum": pool @ p,
        "mean": (pool @ p + known @ y) / (pool.sum(axis=1) + known.sum(axis=1)),
    }[rule]
    np.testing.assert_allclose(clf.priority(new), expected, rtol=1e-9)


def test_boost_of_zero_is_the_order_of_the_probabilities(reports, others):
    clf = ReportTriageClassifier(kappa=0.0).fit(*reports)
    new, _ = others
    np.testing.assert_array_equal(clf.priority(new), clf.predict_proba(new)[:, 1])


def test_sum_over_reports_far_apart_is_the_probability(reports, others):
    clf = ReportTriageClassifier(priority_rule="sum", radius_km=1e-6).fit(*reports)
    new, _ = others
    np.testing.assert_allclose(clf.priority(new), clf.predict_proba(new)[:, 1])


def test_own_rule_of_priority(reports, others):
    (X, y), (new, _) = reports, others

    def rule(p, F_pool, F_reference, y_reference):
        return p + F_pool.sum(axis=1) + 10 * (F_reference @ y_reference)

    clf = ReportTriageClassifier(priority_rule=rule).fit(X, y)
    p, pool, known = influences(clf, X, y, new)
    expected = p + pool.sum(axis=1) + 10 * known @ y
    np.testing.assert_allclose(clf.priority(new), expected, rtol=1e-9)
    clf.set_params(priority_rule=lambda *_: [1.0])
    with pytest.raises(ValueError, match=r"priority_rule must return .* \(200,\)"):
        clf.priority(new)


# -- ranking -------------------------------------------------------------------------


def test_ranking_is_sorted_and_keeps_the_index(fitted, others):
    X, _ = others
    table = fitted.rank(X)
    assert table.columns.tolist() == [
        "rank",
        "priority",
        "probability",
        "influence",
        "nearest_km",
        "reasons",
    ]
    assert sorted(table.index) == sorted(X.index)
    np.testing.assert_array_equal(table["rank"], np.arange(1, 201))
    assert (np.diff(table["priority"]) <= 0).all()
    rows = X.index.get_indexer(table.index)
    np.testing.assert_array_equal(table["priority"], fitted.priority(X)[rows])
    np.testing.assert_array_equal(
        table["probability"], fitted.predict_proba(X)[rows, 1]
    )


def test_ranking_tells_influence_and_distance_of_true_reports(fitted, reports, others):
    (X, y), (new, _) = reports, others
    table = fitted.rank(new).loc[new.index]
    _, _, known = influences(fitted, X, y, new)
    np.testing.assert_allclose(table["influence"], known @ y)
    places = ["latitude", "longitude"]
    far = neighbour_influence(
        new[places], X[places][y == 1], length_km=1e3, radius_km=np.inf
    )
    km = -1e3 * np.log(far.toarray()).max(axis=1)
    np.testing.assert_allclose(table["nearest_km"], km, rtol=1e-6)


def test_first_rows_are_those_of_the_whole_ranking(fitted, others):
    X, _ = others
    pd.testing.assert_frame_equal(fitted.rank(X, k=9), fitted.rank(X).iloc[:9])
    assert len(fitted.rank(X, k=1000)) == 200
    assert "reasons" not in fitted.rank(X, k=3, n_reasons=0)


def test_reasons_are_the_largest_parts_of_the_log_odds(fitted, others):
    X, _ = others
    first = fitted.rank(X, k=1, n_reasons=2)
    features, classifier = fitted.pipeline_
    row = np.flatnonzero(X.index == first.index[0])
    z = features.transform(X.iloc[row])
    z = z.toarray()[0] if sparse.issparse(z) else z[0]
    parts = z * classifier.coef_[0]
    names = features.get_feature_names_out()
    best = np.argsort(-np.abs(parts))[:2]
    expected = [f"{names[i].replace('__', ': ')} {parts[i]:+.2f}" for i in best]
    assert first["reasons"].iloc[0].split("; ") == expected


@pytest.mark.parametrize("count", [-1, 1.5, True])
def test_numbers_of_rows_and_reasons_are_counted_from_zero(fitted, others, count):
    assert len(fitted.rank(others[0], k=0)) == 0
    with pytest.raises(ValueError, match=r"^k must be"):
        fitted.rank(others[0], k=count)
    with pytest.raises(ValueError, match=r"^n_reasons must be"):
        fitted.rank(others[0], n_reasons=count)


def test_parts_and_intercept_are_the_log_odds(fitted, others):
    X, _ = others
    features, classifier = fitted.pipeline_
    Z = features.transform(X)
    parts, is_linear = contributions(classifier, Z, [])
    assert is_linear
    np.testing.assert_allclose(
        parts.sum(axis=1) + classifier.intercept_[0],
        classifier.decision_function(Z),
        atol=1e-10,
    )


def test_reasons_of_other_estimators_are_groups_of_features(reports, others):
    clf = ReportTriageClassifier(
        estimator=KNeighborsClassifier(15), text_vectorizer=CountVectorizer()
    )
    reasons = clf.fit(*reports).rank(others[0], k=5)["reasons"]
    assert any("location +" in reason for reason in reasons)


def test_coefficients_have_names(fitted):
    table = fitted.coef_report_
    assert (np.diff(table["coef"].abs()) <= 0).all()
    row = table[table["feature"] == "probability__photo"]
    assert row["coef"].item() > 0
    other = ReportTriageClassifier(estimator=GaussianNB())
    other.fit(np.eye(4), [0, 1, 0, 1])
    with pytest.raises(AttributeError, match="linear"):
        _ = other.coef_report_


# -- columns -------------------------------------------------------------------------


def test_columns_of_an_array_are_positions(reports, others):
    (X, y), (new, _) = reports, others
    names = ["latitude", "longitude", "submitted", "notes", "size"]
    frame = ReportTriageClassifier(text="notes", numeric=["size"]).set_params(
        columns={name: name for name in names[:3]}
    )
    array = ReportTriageClassifier(
        columns={name: i for i, name in enumerate(names[:3])}, text=3, numeric=[4]
    )
    p = frame.fit(X[names], y).predict_proba(new[names])
    q = array.fit(X[names].to_numpy(), y).predict_proba(new[names].to_numpy())
    np.testing.assert_allclose(p, q, atol=1e-9)


def test_columns_may_be_named_by_arrays(reports, fitted, others):
    names = {kind: np.array(columns) for kind, columns in FULL.items()}
    names["numeric"] = pd.Index(FULL["numeric"])
    clf = clone(ReportTriageClassifier(**names)).fit(*reports)
    np.testing.assert_array_equal(
        clf.predict_proba(others[0]), fitted.predict_proba(others[0])
    )


def test_lists_of_rows_may_mix_numbers_and_notes(reports, others):
    (X, y), (new, _) = reports, others
    names = ["latitude", "longitude", "notes"]
    clf = ReportTriageClassifier(columns={"latitude": 0, "longitude": 1}, text=2)
    p = clf.fit(X[names].to_numpy(), y).predict_proba(new[names].to_numpy())
    q = clf.fit(X[names].to_numpy().tolist(), y.tolist())
    np.testing.assert_allclose(q.predict_proba(new[names].to_numpy().tolist()), p)


def test_other_columns_do_not_matter(fitted, others):
    X, _ = others
    more = X.assign(extra="x")[["extra", *X.columns[::-1]]]
    np.testing.assert_array_equal(fitted.predict_proba(X), fitted.predict_proba(more))
    np.testing.assert_array_equal(
        fitted.predict_proba(X), fitted.predict_proba(X.drop(columns="id"))
    )


def test_usual_names_are_found(reports):
    X, y = reports
    named = X.rename(
        columns={"latitude": "Lat", "submitted": "Submission Date", "notes": "Text"}
    )
    p = ReportTriageClassifier().fit(X, y).predict_proba(X)
    q = ReportTriageClassifier().fit(named, y).predict_proba(named)
    np.testing.assert_array_equal(p, q)


def test_a_table_of_numbers_has_no_place(reports):
    X, y = reports
    table = X[["size", "photo"]]
    clf = ReportTriageClassifier().fit(table, y)
    ranking = clf.rank(table)
    np.testing.assert_array_equal(ranking["priority"], ranking["probability"])
    assert ranking["nearest_km"].isna().all()
    assert clf.influence(table).nnz == 0
    assert clf.coef_report_["feature"].tolist()[0] == "numeric__photo"
    for rule in ("sum", "mean"):
        again = clone(clf).set_params(priority_rule=rule).fit(table, y)
        np.testing.assert_allclose(again.priority(table), clf.priority(table))


def test_a_table_with_a_time_is_still_a_table(reports):
    X, y = reports
    table = X[["size", "photo"]].assign(time=np.arange(300.0))
    clf = ReportTriageClassifier().fit(table, y)
    assert clf.columns_ == {"numeric": [0, 1, 2]}
    named = ReportTriageClassifier(numeric=["size"]).fit(table, y)
    assert named.columns_ == {"submitted": "time", "numeric": ["size"]}


def test_categories_that_are_new_are_none_of_the_known(fitted, others):
    X, _ = others
    new = X.assign(channel="carrier pigeon")
    assert np.isfinite(fitted.predict_proba(new)).all()


@pytest.mark.parametrize("nothing", [np.nan, None, pd.NA, pd.NaT])
def test_places_are_unknown_by_any_sign_of_it(reports, others, nothing):
    clf = ReportTriageClassifier(missing_location="impute").fit(*reports)
    new = others[0][:9].astype({"latitude": object})
    new.iloc[3, new.columns.get_loc("latitude")] = nothing
    np.testing.assert_array_equal(
        np.flatnonzero(clf.rank(new).loc[new.index, "nearest_km"].isna()), [3]
    )


@pytest.mark.parametrize("nothing", [np.nan, None, pd.NA, 17, True])
def test_categories_of_other_types_are_new_ones(fitted, others, nothing):
    X, _ = others
    np.testing.assert_array_equal(
        fitted.predict_proba(X.assign(channel=nothing)),
        fitted.predict_proba(X.assign(channel="carrier pigeon")),
    )


def test_missing_values_everywhere_but_in_places(reports, others):
    (X, y), (new, _) = reports, others
    X = X.copy()
    X.loc[X.index[:30], ["size", "photo"]] = np.nan
    X.loc[X.index[10:40], ["notes", "channel"]] = None
    X.loc[X.index[20:50], "detected"] = pd.NaT
    clf = ReportTriageClassifier(**FULL).fit(X, y)
    new = new.assign(notes="", size=np.nan, photo=np.nan, channel=None, detected=pd.NaT)
    assert np.isfinite(clf.predict_proba(new)).all()


def test_impossible_dates_do_not_stop_the_fit(reports):
    X, y = reports
    X = X.assign(detected=X["detected"].astype(str))
    X.loc[X.index[:10], "detected"] = ["0515-01-01", "<Null>"] * 5
    clf = ReportTriageClassifier().fit(X, y)
    report = clf.coef_report_.set_index("feature")["coef"]
    assert report["dates__missing_detected"] != 0
    assert np.isfinite(clf.predict_proba(X)).all()


def test_a_single_report_may_have_any_typing_error(fitted, others):
    X, _ = others
    one = X[:1].assign(submitted="today", detected="5/27/20", notes=None, channel=3.5)
    two = pd.concat([one, X[1:]])
    np.testing.assert_allclose(
        fitted.priority(one), fitted.priority(two)[:1], rtol=1e-12
    )


def test_notes_may_all_be_empty(reports):
    X, y = reports
    clf = ReportTriageClassifier().fit(X.assign(notes=""), y)
    assert np.isfinite(clf.predict_proba(X)).all()


def test_unknown_places_are_taken_if_asked_for(reports, others):
    (X, y), (new, _) = reports, others
    X, new = X.copy(), new.copy()
    X.loc[X.index[:20], "latitude"] = np.nan
    new.loc[new.index[:3], "longitude"] = np.nan
    for rule in ("boost", "sum", "mean"):
        clf = ReportTriageClassifier(missing_location="impute", priority_rule=rule)
        ranking = clf.fit(X, y).rank(new).loc[new.index]
        assert ranking["nearest_km"].isna().sum() == 3
        assert (ranking["influence"][:3] == 0).all()
        np.testing.assert_allclose(ranking["priority"][:3], ranking["probability"][:3])
    with pytest.raises(ValueError, match="missing_location"):
        ReportTriageClassifier().fit(X, y)


# -- reports without a verdict -------------------------------------------------------


def test_ignored_reports_leave_no_trace(reports, others):
    (X, y), (new, _) = reports, others
    hidden = np.where(np.arange(300) < 200, y, -1)
    clf = ReportTriageClassifier().fit(X, hidden)
    alone = ReportTriageClassifier().fit(X[:200], y[:200])
    np.testing.assert_allclose(clf.predict_proba(new), alone.predict_proba(new))
    np.testing.assert_array_equal(clf.priority(new), alone.priority(new))


def test_density_counts_reports_without_a_verdict(reports, others):
    (X, y), (new, _) = reports, others
    hidden = np.where(np.arange(300) < 200, y, -1)
    clf = ReportTriageClassifier(unlabeled="density").fit(X, hidden)
    rates = clf.pipeline_[0].named_transformers_["location"][0]
    assert len(rates.references_.target) == 300
    assert len(clf.reference_.target) == 200
    everyone = SpatioTemporalRateEncoder().fit(X, y).transform(new)[:, 1]
    np.testing.assert_array_equal(rates.transform(new[PLACE])[:, 1], everyone)


def test_self_training_is_that_of_scikit_learn(reports):
    X, y = reports
    Z = X[["size", "photo"]].to_numpy()
    hidden = np.where(np.arange(300) < 100, y, -1)
    clf = ReportTriageClassifier(unlabeled="self_training").fit(Z, hidden)
    z = (Z - Z.mean(axis=0)) / Z.std(axis=0)
    other = SelfTrainingClassifier(LogisticRegression(max_iter=1000)).fit(z, hidden)
    np.testing.assert_allclose(clf.predict_proba(Z), other.predict_proba(z), atol=1e-6)
    assert len(clf.coef_report_) == 2


# -- weights -------------------------------------------------------------------------


def test_weights_are_like_repeated_reports(reports, others):
    (X, y), (new, _) = reports, others
    count = np.random.default_rng(0).integers(0, 3, 300)
    # Words are counted without weights, and so are medians of delays: leave them out.
    params = {
        "text": None,
        "columns": {role: role for role in ("latitude", "longitude")},
        "class_weight": "balanced",
        "numeric": ["size"],
        # A repeated report has a neighbour that a weighted one lacks: itself.
        "encoder": SpatioTemporalRateEncoder(features=("density",)),
        "estimator": LogisticRegression(max_iter=1000, tol=1e-10),
    }
    weighted = ReportTriageClassifier(**params).fit(X, y, sample_weight=count)
    rates = weighted.pipeline_[0].named_transformers_["location"][0]
    np.testing.assert_array_equal(rates.references_.weight, count[count > 0])
    np.testing.assert_array_equal(weighted.reference_.weight, count[count > 0])
    params["encoder"] = "drop"
    weighted = ReportTriageClassifier(**params).fit(X, y, sample_weight=count)
    repeated = ReportTriageClassifier(**params)
    repeated.fit(X.loc[X.index.repeat(count)], np.repeat(y, count))
    np.testing.assert_allclose(
        weighted.predict_proba(new), repeated.predict_proba(new), atol=1e-6
    )
    for rule in ("boost", "mean"):
        np.testing.assert_allclose(
            weighted.set_params(priority_rule=rule).priority(new),
            repeated.set_params(priority_rule=rule).priority(new),
            atol=1e-6,
        )


def test_weights_reach_calibration_whether_or_not_metadata_are_routed(reports):
    X, y = reports
    clf = ReportTriageClassifier(calibration="sigmoid", random_state=0)
    weight = np.linspace(0.5, 1.5, 300)
    p = clf.fit(X, y, sample_weight=weight).predict_proba(X)
    assert not np.allclose(p, clf.fit(X, y).predict_proba(X))
    with config_context(enable_metadata_routing=True):
        q = clf.fit(X, y, sample_weight=weight).predict_proba(X)
    np.testing.assert_array_equal(p, q)


def test_weights_need_an_estimator_that_takes_them(reports):
    X, y = reports
    clf = ReportTriageClassifier(estimator=KNeighborsClassifier())
    with pytest.raises(ValueError, match="KNeighborsClassifier does not"):
        clf.fit(X, y, sample_weight=np.ones(300))


# -- verdicts that arrive ------------------------------------------------------------


def test_update_equals_the_references_of_a_fit(reports, others):
    (X, y), (new, _) = reports, others
    clf = ReportTriageClassifier().fit(X[:200], y[:200])
    coef = clf.coef_report_
    clf.update(X[200:], y[200:])
    pd.testing.assert_frame_equal(clf.coef_report_, coef)
    everything = ReportTriageClassifier().fit(X, y)
    for name in ("latitude", "longitude", "days", "target", "weight"):
        np.testing.assert_array_equal(clf.reference_[name], everything.reference_[name])
    np.testing.assert_array_equal(
        clf.influence(new).toarray(), everything.influence(new).toarray()
    )
    ranking, other = (c.rank(new).loc[new.index] for c in (clf, everything))
    for column in ("influence", "nearest_km"):
        np.testing.assert_array_equal(ranking[column], other[column])
    rates = [
        c.pipeline_[0].named_transformers_["location"][0] for c in (clf, everything)
    ]
    np.testing.assert_array_equal(*(r.transform(new[PLACE]) for r in rates))


def test_update_of_reports_without_verdict_changes_nothing(reports, others):
    (X, y), (new, _) = reports, others
    clf = ReportTriageClassifier().fit(X, y)
    before = clf.rank(new)
    clf.update(new, np.full(200, -1))
    pd.testing.assert_frame_equal(clf.rank(new), before)


def test_refit_in_update_equals_a_fit_of_all(reports, others):
    (X, y), (new, _) = reports, others
    weight = np.linspace(0.5, 1.5, 300)
    clf = ReportTriageClassifier(refit="always")
    clf.fit(X[:200], y[:200], sample_weight=weight[:200])
    clf.update(X[200:], y[200:], sample_weight=weight[200:])
    together = ReportTriageClassifier().fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(clf.predict_proba(new), together.predict_proba(new))


def test_refit_of_arrays(reports):
    X, y = reports
    Z = X[["size", "photo"]].to_numpy()
    clf = ReportTriageClassifier(refit="always").fit(Z[:200], y[:200])
    clf.update(Z[200:], y[200:])
    together = ReportTriageClassifier().fit(Z, y)
    np.testing.assert_array_equal(clf.predict_proba(Z), together.predict_proba(Z))


@pytest.mark.parametrize(
    ("policy", "refits"),
    [(None, [0, 0, 0]), ("positive", [0, 1, 0]), ("always", [1, 1, 1]), (9, [0, 1, 0])],
)
def test_policy_says_when_to_refit(reports, policy, refits):
    X, y = reports
    clf = ReportTriageClassifier(refit=policy).fit(X[:200], y[:200])
    rest = np.arange(200, 300)
    false, true = rest[y[rest] == 0][:10], rest[y[rest] == 1]
    for rows, due in zip((false[:5], true[:5], false[5:]), refits):
        coef = clf.coef_report_
        clf.update(X.iloc[rows], y[rows])
        assert coef.equals(clf.coef_report_) != bool(due)


def test_reports_are_kept_for_a_refit_only(reports):
    X, y = reports
    clf = ReportTriageClassifier().fit(X, y)
    assert b"r17" not in pickle.dumps(clf)
    with pytest.raises(ValueError, match="set the parameter refit before fit"):
        clf.update(X[:1], y[:1], refit=True)
    kept = ReportTriageClassifier(refit=1000).fit(X[:200], y[:200])
    kept.update(X[200:250], y[200:250]).update(X[250:], y[250:], refit=True)
    np.testing.assert_allclose(kept.predict_proba(X), clf.predict_proba(X))


def test_reports_for_a_refit_are_copies(reports):
    X, y = reports[0][:200].copy(), reports[1][:200].copy()
    clf = ReportTriageClassifier(refit="always").fit(X, y)
    X["latitude"], y[:] = 47.0, 1 - y
    clf.update(reports[0][200:], reports[1][200:])
    together = ReportTriageClassifier().fit(*reports)
    np.testing.assert_array_equal(
        clf.predict_proba(reports[0]), together.predict_proba(reports[0])
    )


def test_a_policy_that_comes_after_the_fit_has_no_reports(reports):
    X, y = reports
    clf = ReportTriageClassifier(refit="always").fit(X[:100], y[:100])
    clf.set_params(refit=None).fit(X[:200], y[:200]).set_params(refit="always")
    with pytest.raises(ValueError, match="set the parameter refit before fit"):
        clf.update(X[200:], y[200:])


def test_an_interrupted_fit_changes_nothing(reports, others):
    class Interrupted(LogisticRegression):
        def fit(self, X, y):
            raise KeyboardInterrupt

    X, y = reports
    clf = ReportTriageClassifier().fit(X[:200], y[:200])
    before = clf.rank(others[0])
    with pytest.raises(KeyboardInterrupt):
        clf.set_params(estimator=Interrupted()).fit(X, y)
    pd.testing.assert_frame_equal(clf.rank(others[0]), before)


def test_a_failed_update_changes_nothing(reports, others):
    (X, y), (new, _) = reports, others
    clf = ReportTriageClassifier().fit(X, y)
    before = clf.rank(new)
    bad = new.copy()
    bad.loc[bad.index[-1], "latitude"] = 99.0
    for rows, labels in ((bad, np.ones(200)), (new, np.full(200, 5))):
        with pytest.raises(ValueError, match=r"latitude|labels"):
            clf.update(rows, labels)
        pd.testing.assert_frame_equal(clf.rank(new), before)


# -- what is refused, and warned of --------------------------------------------------


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(300), "no positive label"),
        (np.where(np.arange(300) < 9, 0, -1), "no positive label"),
        (np.ones(300), "no negative"),
        (np.full(300, -1), "no report has a verdict"),
        (np.arange(300) % 3, "OneVsRestClassifier"),
        (np.zeros(299), "inconsistent numbers"),
        (np.where(np.arange(300) < 9, 1, np.nan), "NaN, in 291 rows.*label -1"),
        (None, "requires y"),
    ],
)
def test_verdicts_that_teach_nothing_are_refused(reports, y, message):
    with pytest.raises(ValueError, match=message):
        ReportTriageClassifier().fit(reports[0], y)


def test_classes_without_weight_are_refused(reports):
    X, y = reports
    with pytest.raises(ValueError, match="No positive report has a weight"):
        ReportTriageClassifier().fit(X, y, sample_weight=1.0 - y)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"text": "Notes"}, "no column 'Notes'"),
        ({"numeric": ["weight"]}, "no column 'weight'"),
        ({"columns": {"latitude": "latitude"}}, "none of the other coordinate"),
        ({"columns": {"place": "latitude"}}, "got 'place'"),
        ({"columns": {"latitude": 1, "longitude": 99}}, "X has 9 columns"),
        ({"probabilities": ["size"]}, "between 0 and 1"),
        ({"numeric": ["notes"]}, "could not convert"),
        ({"numeric": ["size", "size"]}, "numeric has the column 'size' twice"),
        ({"image": [1.5]}, "image column must be a name or a position, got 1.5"),
        ({"categorical": [["a"]]}, "name or a position, got .'a'."),
        ({"class_weight": {"yes": 2.0}}, "labels .0, 1. as keys, got 'yes'"),
        ({"class_weight": {1: 0.0}}, "class_weight must be positive"),
        ({"positive_label": "yes"}, "no positive label 'yes'"),
        ({"priority_rule": "max"}, "priority_rule"),
        ({"kappa": -1.0}, "kappa"),
        ({"length_km": 0.0}, "length_km"),
        ({"refit": 0}, "refit"),
        ({"unlabeled": "guess"}, "unlabeled"),
        ({"unlabeled": "self_training", "calibration": "sigmoid"}, "self_training"),
        (
            {
                "class_weight": "balanced",
                "calibration": "sigmoid",
                "estimator": GaussianNB(),
            },
            "GaussianNB has none",
        ),
    ],
)
def test_impossible_parameters_are_refused(reports, params, message):
    with pytest.raises(ValueError, match=message):
        ReportTriageClassifier(**params).fit(*reports)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("latitude", 90.5, "latitude must be between"),
        ("longitude", 181.0, "longitude must be between"),
        ("latitude", np.nan, "contain NaN"),
        ("size", np.inf, "infinity"),
    ],
)
def test_impossible_values_are_refused(reports, column, value, message):
    X, y = reports
    X = X.copy()
    X.loc[X.index[3], column] = value
    with pytest.raises(ValueError, match=message):
        ReportTriageClassifier(**FULL).fit(X, y)


def test_columns_of_the_same_name_are_refused(reports):
    X, y = reports
    twice = pd.concat([X, X[["latitude"]]], axis=1)
    with pytest.raises(ValueError, match="several columns 'latitude'"):
        ReportTriageClassifier().fit(twice, y)


def test_a_table_of_words_without_usual_names_is_refused(reports):
    X, y = reports
    with pytest.raises(ValueError, match="none has a usual name"):
        ReportTriageClassifier().fit(X[["id", "channel"]], y)


def test_no_feature_at_all_is_refused(reports):
    X, y = reports
    with pytest.raises(ValueError, match="There is no feature"):
        ReportTriageClassifier(
            encoder="drop", columns={role: role for role in PLACE[:2]}, text=None
        ).fit(X, y)


def test_missing_columns_are_named(fitted, others):
    X, _ = others
    with pytest.raises(ValueError, match="no column 'longitude'"):
        fitted.predict_proba(X.drop(columns="longitude"))
    with pytest.raises(ValueError, match="is an array without names"):
        fitted.predict_proba(X.to_numpy())


def test_calibration_on_folds_needs_two_true_reports(reports):
    X, y = reports
    y = np.where(np.arange(300) == np.flatnonzero(y)[0], 1, 0)
    with pytest.raises(ValueError, match="two reports of each class"):
        ReportTriageClassifier(calibration="sigmoid").fit(X, y)


@pytest.mark.filterwarnings("default:There are:UserWarning")
def test_few_true_reports_are_warned_of(reports):
    X, y = reports
    few = np.where(np.cumsum(y) <= 4, y, 0)
    with pytest.warns(UserWarning, match="There are 4 positive reports"):
        ReportTriageClassifier().fit(X, few)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ReportTriageClassifier().fit(X, y)


def test_columns_that_sound_like_a_verdict_are_warned_of(reports):
    X, y = reports
    X = X.assign(**{"Lab Comments": "none", "n_files": 1})
    with pytest.warns(UserWarning, match="'n_files'.* sound like a verdict"):
        ReportTriageClassifier(numeric=["n_files"]).fit(X, y)
    with pytest.warns(UserWarning, match="'Lab Comments'.* sound like a verdict"):
        ReportTriageClassifier(text="Lab Comments").fit(X, y)


# -- scikit-learn --------------------------------------------------------------------


def test_search_over_parameters_of_all_parts(reports):
    grid = {
        "class_weight": [None, "balanced"],
        "encoder__length_km": [5.0, 20.0],
        "estimator__C": [0.1, 1.0],
    }
    clf = ReportTriageClassifier(
        encoder=SpatioTemporalRateEncoder(), estimator=LogisticRegression()
    )
    search = GridSearchCV(clf, grid, cv=2, scoring="average_precision", n_jobs=1)
    search.fit(*reports)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_global_pandas_output_does_not_matter(fitted, reports, others):
    with config_context(transform_output="pandas"):
        clf = ReportTriageClassifier(**FULL).fit(*reports)
        p = clf.predict_proba(others[0])
    np.testing.assert_allclose(p, fitted.predict_proba(others[0]))


def test_pickled_classifier_ranks_the_same(fitted, others):
    copy = pickle.loads(pickle.dumps(fitted))
    pd.testing.assert_frame_equal(copy.rank(others[0]), fitted.rank(others[0]))


# -- real reports --------------------------------------------------------------------


@pytest.mark.realdata
def test_hornets_are_found_early_in_every_window(data_home):
    from sklogit.datasets import load_hornet_reports

    bunch = load_hornet_reports(data_home=data_home)
    X, y = bunch.data, bunch.target
    # Windows with a true report each; the rest of the pool has none.
    cuts = ["2020-06-04", "2020-06-14", "2020-08-01", "2020-09-01", "2020-10-01"]
    found, p, priority = [], [], []
    for start, stop in zip(cuts, [*cuts[1:], "2021-01-01"]):
        past = (X["submitted"] < start).to_numpy()
        now = (X["submitted"] >= start) & (X["submitted"] < stop) & (y >= 0)
        clf = ReportTriageClassifier().fit(X[past], y[past])
        found.append(y[now])
        p.append(clf.predict_proba(X[now])[:, 1])
        priority.append(clf.priority(X[now]))
        order = np.argsort(-priority[-1], kind="stable")
        assert np.flatnonzero(y[now][order])[0] < 15
    found, p, priority = map(np.concatenate, (found, p, priority))
    assert len(found) == 1867
    assert average_precision_score(found, priority) > 20 * found.mean()
    assert average_precision_score(found, priority) >= average_precision_score(found, p)
    assert log_loss(found, p) < log_loss(found, np.full(len(p), found.mean()))


@pytest.mark.realdata
def test_the_raw_table_of_hornets_needs_no_preparation(data_home):
    path = data_home / "hornet_reports" / "hornet_reports.csv.gz"
    table = pd.read_csv(path, keep_default_na=False)
    verdict = table["Lab Status"].replace("Unprocessed", "Unverified")
    clf = ReportTriageClassifier(
        positive_label="Positive ID", unlabeled_label="Unverified"
    )
    clf.fit(table, verdict)
    names = set(clf.coef_report_["feature"])
    assert {"location__nearest", "dates__delay_Detection Date", "note__length"} <= names
    # Impossible dates are marked, and the comments of the laboratory left out.
    assert "dates__missing_Detection Date" in names
    assert clf.columns_ == {
        "latitude": "Latitude",
        "longitude": "Longitude",
        "submitted": "Submission Date",
        "detected": "Detection Date",
        "text": ["Notes"],
    }
    assert clf.reference_.target.sum() == 14
