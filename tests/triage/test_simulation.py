"""Replay of reports: what is ranked, inspected, revealed and learnt."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from sklogit.triage import simulate_triage


@pytest.fixture
def reports():
    """400 reports in random order on 100 days, a fifth of them positive."""
    rng = np.random.default_rng(0)
    y = (rng.random(400) < 0.2).astype(int)
    X = rng.standard_normal((400, 3)) + 1.5 * y[:, None]
    return X, y, rng.integers(0, 100, 400)


class ByFirstColumn(ClassifierMixin, BaseEstimator):
    """Ranks by the first column, and remembers what it was given."""

    fits = []

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.fits.append((np.array(X), np.array(y)))
        return self

    def priority(self, X):
        return np.asarray(X)[:, 0]


class Updated(ByFirstColumn):
    updates = []

    def update(self, X, y):
        self.updates.append((np.array(X), np.array(y)))


@pytest.fixture(autouse=True)
def _forget():
    ByFirstColumn.fits.clear()
    Updated.updates.clear()


def rows(trace):
    return [row for inspected in trace["inspected"] for row in inspected]


@pytest.mark.parametrize("refit", [True, False])
@pytest.mark.parametrize("estimator", [LogisticRegression(), GaussianNB()])
def test_labels_of_reports_that_are_not_inspected_are_never_used(
    reports, estimator, refit
):
    X, y, days = reports
    options = {"budget": 3, "start": 20, "refit": refit}
    trace = simulate_triage(estimator, X, y, days, **options)
    unseen = np.setdiff1d(np.flatnonzero(days >= 20), rows(trace))
    assert len(unseen) > 200
    changed = y.copy()
    changed[unseen] = 1 - y[unseen]
    pd.testing.assert_frame_equal(
        trace, simulate_triage(estimator, X, changed, days, **options)
    )


def test_labels_before_the_start_are_known(reports):
    X, y, days = reports
    trace = simulate_triage(ByFirstColumn(), X, y, days, budget=3, start=20)
    known_X, known_y = ByFirstColumn.fits[0]
    np.testing.assert_array_equal(known_X, X[days < 20])
    np.testing.assert_array_equal(known_y, y[days < 20])
    assert (days[rows(trace)] >= 20).all()
    assert trace["fitted"].all()


def test_the_first_of_the_open_reports_are_inspected(reports):
    X, y, days = reports
    trace = simulate_triage(ByFirstColumn(), X, y, days, budget=4, start=20, period=10)
    done = np.zeros(400, dtype=bool)
    assert len(trace) == 8
    for k, line in enumerate(trace.itertuples()):
        end = 30 + 10 * k
        is_open = (days >= 20) & (days < end) & ~done
        best = np.flatnonzero(is_open)[np.argsort(-X[is_open, 0])][:4]
        assert line.inspected == tuple(best)
        assert line.n_open == is_open.sum()
        assert line.n_new == ((days >= end - 10) & (days < end)).sum()
        assert line.n_found == y[best].sum()
        assert line.end == end
        done[best] = True


def test_sums_are_those_since_the_start(reports):
    trace = simulate_triage(ByFirstColumn(), *reports, budget=4, start=20)
    np.testing.assert_array_equal(
        trace["total_inspected"], np.cumsum(trace["n_inspected"])
    )
    np.testing.assert_array_equal(trace["total_found"], np.cumsum(trace["n_found"]))
    assert len(set(rows(trace))) == trace["n_inspected"].sum()


def test_budget_for_all_finds_everything_in_the_first_period(reports):
    X, y, days = reports
    trace = simulate_triage(
        GaussianNB(), X, y, days, budget=len(y), period=101, start=0
    )
    assert len(trace) == 1
    assert trace["n_found"][0] == y.sum()
    assert trace["n_open"][0] == trace["n_inspected"][0] == 400


def test_verdicts_are_learnt_before_the_next_ranking(reports):
    X, y, days = reports
    trace = simulate_triage(ByFirstColumn(), X, y, days, budget=4, start=20, period=10)
    known = set(np.flatnonzero(days < 20))
    for (fitted_X, fitted_y), inspected in zip(ByFirstColumn.fits, trace["inspected"]):
        expected = sorted(known)
        np.testing.assert_array_equal(fitted_X, X[expected])
        np.testing.assert_array_equal(fitted_y, y[expected])
        known |= set(inspected)
    assert len(ByFirstColumn.fits) == 8


def test_without_refit_verdicts_go_to_update(reports):
    X, y, days = reports
    options = {"budget": 4, "start": 20, "period": 10, "refit": False}
    trace = simulate_triage(Updated(), X, y, days, **options)
    assert len(ByFirstColumn.fits) == 1
    assert len(Updated.updates) == 7
    for (new_X, new_y), inspected in zip(Updated.updates, trace["inspected"]):
        np.testing.assert_array_equal(new_X, X[list(inspected)])
        np.testing.assert_array_equal(new_y, y[list(inspected)])


def test_without_refit_partial_fit_learns_on(reports):
    X, y, days = reports
    options = {"budget": 4, "start": 20, "refit": False}
    trace = simulate_triage(GaussianNB(), X, y, days, **options)
    clf = GaussianNB().fit(X[days < 20], y[days < 20])
    for line in trace.itertuples():
        is_open = (days >= 20) & (days < line.end) & ~np.isin(range(400), rows(trace))
        inspected = list(line.inspected)
        least = clf.predict_proba(X[inspected])[:, 1].min()
        assert (clf.predict_proba(X[is_open])[:, 1] <= least).all()
        clf.partial_fit(X[inspected], y[inspected])


def test_without_a_model_reports_are_inspected_as_they_came(reports):
    X, y, days = reports
    y = np.where(np.arange(400) == np.argsort(days, kind="stable")[11], 1, 0)
    trace = simulate_triage(ByFirstColumn(), X, y, days, budget=5, period=10)
    np.testing.assert_array_equal(trace["fitted"], [False] * 3 + [True] * 7)
    assert rows(trace)[:15] == np.argsort(days, kind="stable")[:15].tolist()
    assert trace["total_found"].tolist() == [0, 0, *[1] * 8]


def test_order_of_the_rows_does_not_count(reports):
    X, y, days = reports
    days = np.argsort(np.argsort(days, kind="stable")) / 4.0  # no ties
    order = np.random.default_rng(1).permutation(400)
    options = {"budget": 3, "start": 20.0}
    trace = simulate_triage(GaussianNB(), X, y, days, **options)
    other = simulate_triage(GaussianNB(), X[order], y[order], days[order], **options)
    assert order[rows(other)].tolist() == rows(trace)


def test_reports_of_unknown_truth_are_not_inspected(reports):
    X, y, days = reports
    y = np.where(np.arange(400) % 2, -1, y)
    trace = simulate_triage(ByFirstColumn(), X, y, days, budget=3, start=20)
    assert not np.any(np.array(rows(trace)) % 2)
    assert all(set(y) == {0, 1} for _, y in ByFirstColumn.fits)


def test_fit_gets_open_reports_if_asked_for(reports):
    X, y, days = reports
    options = {"budget": 4, "start": 20, "period": 10, "pass_unlabeled": True}
    trace = simulate_triage(ByFirstColumn(), X, y, days, **options)
    fitted_X, fitted_y = ByFirstColumn.fits[1]
    np.testing.assert_array_equal(fitted_X, X[days < 40])
    known = (days < 20) | np.isin(np.arange(400), trace["inspected"][0])
    np.testing.assert_array_equal(fitted_y, np.where(known, y, -1)[days < 40])


def test_labels_of_any_kind_may_be_unknown(reports):
    X, y, days = reports
    y = np.where(np.arange(400) % 2, -1, y)
    names = np.array(["no", "yes", "?"])[y]
    options = {"budget": 4, "start": 20, "pass_unlabeled": True}
    plain = simulate_triage(ByFirstColumn(), X, y, days, **options)
    known = [labels for _, labels in ByFirstColumn.fits]
    ByFirstColumn.fits.clear()
    named = simulate_triage(
        ByFirstColumn(),
        X,
        names,
        days,
        pos_label="yes",
        unlabeled_label="?",
        **options,
    )
    pd.testing.assert_frame_equal(plain, named)
    for (_, labels), expected in zip(ByFirstColumn.fits, known):
        np.testing.assert_array_equal(labels, np.array(["no", "yes", "?"])[expected])


def test_dates_and_names_of_labels(reports):
    X, y, days = reports
    dates = pd.Series(pd.Timestamp("2020-03-01") + pd.to_timedelta(days, unit="D"))
    names = np.where(y == 1, "true", "false")
    trace = simulate_triage(
        ByFirstColumn(),
        pd.DataFrame(X),
        names,
        dates,
        budget=4,
        period="10D",
        start="2020-03-21",
        pos_label="true",
    )
    plain = simulate_triage(ByFirstColumn(), X, y, days, budget=4, period=10, start=20)
    assert rows(trace) == rows(plain)
    np.testing.assert_array_equal(trace["n_found"], plain["n_found"])
    assert trace["end"][0] == pd.Timestamp("2020-03-31")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": 0}, "budget must be a positive integer, got 0"),
        ({"budget": 2.5}, "budget must be a positive integer"),
        ({"period": 0}, "period must be a positive length of time"),
        ({"period": "-3D"}, "period must be a positive length"),
        ({"period": None}, "period must be a positive length"),
        ({"start": 100}, "No report comes in after start=100"),
        ({"start": np.nan}, "start must not be missing"),
    ],
)
def test_bad_parameters_are_refused(reports, options, message):
    with pytest.raises(ValueError, match=message):
        simulate_triage(ByFirstColumn(), *reports, **{"budget": 1, **options})


def test_bad_rows_are_refused(reports):
    X, y, days = reports
    with pytest.raises(ValueError, match="equally many rows, got 400, 399 and 400"):
        simulate_triage(ByFirstColumn(), X, y[1:], days, budget=1)
    with pytest.raises(ValueError, match="none is pos_label='hornet'"):
        simulate_triage(ByFirstColumn(), X, y, days, budget=1, pos_label="hornet")
    with pytest.raises(ValueError, match="time must not be missing"):
        simulate_triage(
            ByFirstColumn(), X, y, np.where(days > 5, days, np.nan), budget=1
        )
