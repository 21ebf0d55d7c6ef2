"""The estimator of triage in folds, scorers, replays and pictures."""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score
from sklearn.model_selection import GridSearchCV, cross_val_score

from sklogit.datasets import load_hornet_reports, make_sightings
from sklogit.metrics import first_hit_rank, inspection_curve, make_triage_scorer
from sklogit.model_selection import ForwardChainingSplit
from sklogit.triage import (
    InspectionCurveDisplay,
    PriorityMapDisplay,
    ReportTriageClassifier,
    simulate_triage,
)

pytestmark = pytest.mark.filterwarnings("ignore:There are .* positive reports")


@pytest.fixture(scope="module")
def reports():
    X, y, _ = make_sightings(1200, 3, prevalence=0.08, random_state=0)
    return X, y


@pytest.fixture(scope="module")
def halves(reports):
    X, y = reports
    return X[:700], y[:700], X[700:], y[700:]


def test_forward_scores_are_those_of_the_priority(reports):
    X, y = reports
    cv = ForwardChainingSplit(3, time="submitted", min_train_positives=10)
    scorer = make_triage_scorer("first_hit_rank")
    scores = cross_val_score(ReportTriageClassifier(), X, y, cv=cv, scoring=scorer)
    for score, (train, test) in zip(scores, cv.split(X, y)):
        clf = ReportTriageClassifier().fit(X.iloc[train], y[train])
        assert score == -first_hit_rank(y[test], clf.priority(X.iloc[test]))


def test_searches_choose_the_rule_of_priority(reports):
    X, y = reports
    search = GridSearchCV(
        ReportTriageClassifier(encoder="drop"),
        {"priority_rule": ["probability", "boost", "sum"]},
        cv=ForwardChainingSplit(2, time="submitted", balance="positives"),
        scoring=make_triage_scorer("average_precision"),
    ).fit(X, y)
    # Notes alone know no places.
    assert search.best_params_ == {"priority_rule": "boost"}


def test_sum_of_probabilities_puts_towns_first():
    X, y, _ = make_sightings(3000, random_state=1)
    notes = ReportTriageClassifier(encoder="drop", priority_rule="probability")
    notes.fit(X[:1500], y[:1500])
    by_notes = average_precision_score(y[1500:], notes.priority(X[1500:]))
    notes.set_params(priority_rule="sum")
    assert average_precision_score(y[1500:], notes.priority(X[1500:])) < by_notes / 2


def test_places_find_more_than_notes(halves):
    X, y, X_test, y_test = halves
    notes = ReportTriageClassifier(encoder="drop", priority_rule="probability")
    by_notes = average_precision_score(y_test, notes.fit(X, y).priority(X_test))
    all_of_it = ReportTriageClassifier().fit(X, y)
    assert average_precision_score(y_test, all_of_it.priority(X_test)) > 2 * by_notes


@pytest.mark.parametrize("refit", [True, False])
def test_replay_uses_no_label_of_reports_that_were_not_inspected(reports, refit):
    X, y = reports
    options = {"budget": 3, "start": "2020-06-01", "period": "14D", "refit": refit}
    time = X["submitted"]
    trace = simulate_triage(ReportTriageClassifier(), X, y, time, **options)
    seen = [row for rows in trace["inspected"] for row in rows]
    unseen = np.setdiff1d(np.flatnonzero(time >= "2020-06-01"), seen)
    changed = y.copy()
    changed[unseen] = 1 - y[unseen]
    other = simulate_triage(ReportTriageClassifier(), X, changed, time, **options)
    pd.testing.assert_frame_equal(trace, other)
    assert len(unseen) > 200


def test_replay_finds_more_than_order_of_arrival(reports):
    X, y = reports
    time = X["submitted"]
    trace = simulate_triage(
        ReportTriageClassifier(), X, y, time, budget=3, start="2020-05-01"
    )
    start = np.flatnonzero(time >= "2020-05-01")
    n_inspected = trace["total_inspected"].iloc[-1]
    arrived = y[start][:n_inspected].sum()
    assert trace["total_found"].iloc[-1] > 2 * arrived


def test_open_reports_may_count_in_the_density(reports):
    X, y = reports
    clf = ReportTriageClassifier(unlabeled="density")
    trace = simulate_triage(
        clf,
        X,
        y,
        X["submitted"],
        budget=5,
        start="2020-07-01",
        period="14D",
        pass_unlabeled=True,
    )
    assert trace["fitted"].all()


def test_pictures_of_the_estimator(halves):
    X, y, X_test, y_test = halves
    clf = ReportTriageClassifier().fit(X, y)
    curve = InspectionCurveDisplay.from_estimator(clf, X_test, y_test)
    expected = inspection_curve(y_test, clf.priority(X_test))[1]
    np.testing.assert_array_equal(curve.lines_[0].get_ydata(), expected)
    picture = PriorityMapDisplay.from_estimator(clf, X_test, confirmed=X[y == 1])
    np.testing.assert_array_equal(
        picture.points_.get_array(), np.sort(clf.priority(X_test))
    )
    plt.close("all")


def test_map_knows_the_columns_of_the_estimator(halves):
    X, y, X_test, _ = halves
    names = {"latitude": "Lat", "longitude": "Lon"}
    clf = ReportTriageClassifier().fit(X.rename(columns=names), y)
    picture = PriorityMapDisplay.from_estimator(clf, X_test.rename(columns=names))
    found = np.sort(picture.points_.get_offsets()[:, 0])
    np.testing.assert_array_equal(found, np.sort(X_test["longitude"]))
    plt.close("all")


@pytest.mark.realdata
def test_first_hornet_of_each_window_is_among_the_first_fifteen(data_home):
    data = load_hornet_reports(data_home=data_home)
    rows = data.target >= 0
    X, y = data.data[rows], data.target[rows]
    cutoffs = ["2020-06-04", "2020-06-14", "2020-08-01", "2020-09-01", "2020-10-01"]
    cv = ForwardChainingSplit(time="submitted", cutoffs=cutoffs)
    n_test, ranks = 0, []
    for train, test in cv.split(X, y):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            clf = ReportTriageClassifier().fit(X.iloc[train], y[train])
        ranks.append(first_hit_rank(y[test], clf.priority(X.iloc[test])))
        n_test += len(test)
    assert n_test == 1867
    assert max(ranks) <= 15
