"""Folds that train on the past and test on what came next."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import TimeSeriesSplit, cross_val_score

from sklogit.model_selection import ForwardChainingSplit


@pytest.fixture
def data():
    """300 rows in random order on 120 days, one in ten positive."""
    rng = np.random.default_rng(0)
    days = rng.integers(0, 120, 300)
    return np.zeros((300, 1)), (rng.random(300) < 0.1).astype(int), days


def folds(cv, X, y, days):
    return list(cv.split(X, y, days))


@pytest.mark.parametrize("balance", ["rows", "positives"])
@pytest.mark.parametrize("gap_days", [0, 5, 2.5])
def test_training_lies_before_the_test_and_the_gap(data, balance, gap_days):
    X, y, days = data
    cv = ForwardChainingSplit(4, gap_days=gap_days, balance=balance)
    splits = folds(cv, X, y, days)
    assert len(splits) == cv.get_n_splits() == 4
    for train, test in splits:
        assert days[train].max() < days[test].min() - gap_days
        assert y[train].sum() >= 3


@pytest.mark.parametrize("balance", ["rows", "positives"])
def test_windows_are_disjoint_and_cover_the_time_after_the_first(data, balance):
    X, y, days = data
    splits = folds(ForwardChainingSplit(4, balance=balance), X, y, days)
    tests = np.concatenate([test for _, test in splits])
    assert len(set(tests)) == len(tests)
    np.testing.assert_array_equal(
        np.sort(tests), np.flatnonzero(days >= days[splits[0][1]].min())
    )
    for (_, test), (train, _) in pairwise(splits):
        assert set(test) <= set(train)


def test_first_window_begins_as_soon_as_enough_positives_are_known(data):
    X, y, days = data
    for n in (1, 3, 8):
        cv = ForwardChainingSplit(2, min_train_positives=n, gap_days=4)
        (_, test), _ = folds(cv, X, y, days)
        known = np.sort(days[y == 1])[n - 1]
        assert days[test].min() == days[days > known + 4].min()


@pytest.mark.parametrize("balance", ["rows", "positives"])
def test_order_of_the_rows_does_not_count(data, balance):
    X, y, days = data
    order = np.argsort(days, kind="stable")
    cv = ForwardChainingSplit(3, balance=balance)
    for unsorted, by_time in zip(
        folds(cv, X, y, days), folds(cv, X, y[order], days[order])
    ):
        for rows, sorted_rows in zip(unsorted, by_time):
            np.testing.assert_array_equal(rows, np.sort(order[sorted_rows]))


def test_windows_have_equally_many_rows():
    n = 103
    rng = np.random.default_rng(0)
    days = rng.permutation(n).astype(float)
    y = (days < 3).astype(int)
    splits = folds(ForwardChainingSplit(5), np.zeros((n, 1)), y, days)
    assert [len(test) for _, test in splits] == [20] * 5
    assert len(splits[0][0]) == 3


def test_equal_spacing_gives_the_folds_of_scikit_learn():
    X, y, days = np.zeros((24, 1)), np.arange(24) == 3, np.arange(24)
    ours = folds(ForwardChainingSplit(5, min_train_positives=1), X, y, days)
    theirs = TimeSeriesSplit(5).split(X)
    for (train, test), (their_train, their_test) in zip(ours, theirs):
        np.testing.assert_array_equal(train, their_train)
        np.testing.assert_array_equal(test, their_test)


def test_windows_have_equally_many_positives(data):
    X, y, days = data
    cv = ForwardChainingSplit(4, balance="positives")
    found = [y[test].sum() for _, test in folds(cv, X, y, days)]
    assert min(found) >= 1
    # Days may hold several positives.
    assert max(found) - min(found) <= 4


def test_each_late_positive_gets_a_window_of_its_own():
    days, y = np.arange(100), np.zeros(100)
    y[[1, 4, 9, 50, 91]] = 1
    cv = ForwardChainingSplit(2, balance="positives")
    (_, first), (_, second) = folds(cv, np.zeros((100, 1)), y, days)
    # In the middle between days 50 and 91.
    assert (first[0], first[-1], second[0], second[-1]) == (10, 70, 71, 99)


def test_rows_of_one_time_stay_together():
    days = np.repeat(np.arange(6), [10, 50, 10, 1, 100, 4])
    y = np.zeros(175)
    y[[0, 1, 2]] = 1
    for train, test in folds(ForwardChainingSplit(4), np.zeros((175, 1)), y, days):
        assert not set(days[train]) & set(days[test])
        for day in set(days[test]):
            assert np.isin(np.flatnonzero(days == day), test).all()


def test_window_limits_the_days_of_training(data):
    X, y, days = data
    whole = folds(ForwardChainingSplit(3), X, y, days)
    cv = ForwardChainingSplit(3, window=20, gap_days=2, min_train_positives=0)
    for train, test in folds(cv, X, y, days):
        start = days[test].min()
        np.testing.assert_array_equal(
            train, np.flatnonzero((days >= start - 22) & (days < start - 2))
        )
    assert max(len(train) for train, _ in whole) > 60


def test_cutoffs_are_the_beginnings_of_windows(data):
    X, y, days = data
    dates = np.datetime64("2020-01-01") + days
    cv = ForwardChainingSplit(cutoffs=["2020-02-01", "2020-03-01"])
    (train, test), (_, last) = folds(cv, X, y, dates)
    assert cv.get_n_splits() == 2
    np.testing.assert_array_equal(train, np.flatnonzero(days < 31))
    np.testing.assert_array_equal(test, np.flatnonzero((days >= 31) & (days < 60)))
    np.testing.assert_array_equal(last, np.flatnonzero(days >= 60))


def test_all_kinds_of_times_give_the_same_folds(data):
    X, y, days = data
    dates = np.datetime64("2020-01-01") + days
    expected = folds(ForwardChainingSplit(3), X, y, days)
    kinds = [
        dates,
        dates.astype(str),
        pd.Series(dates),
        pd.Series(dates).dt.tz_localize("UTC"),
        pd.DatetimeIndex(dates),
        list(pd.Series(dates).dt.to_pydatetime()),
        days.astype(float).tolist(),
    ]
    for times in kinds:
        for (train, test), fold in zip(
            folds(ForwardChainingSplit(3), X, y, times), expected
        ):
            np.testing.assert_array_equal(train, fold[0])
            np.testing.assert_array_equal(test, fold[1])


def test_times_may_be_a_column_or_a_parameter(data):
    X, y, days = data
    expected = folds(ForwardChainingSplit(3), X, y, days)
    table = pd.DataFrame({"x": 0.0, "submitted": days})
    for cv, given in (
        (ForwardChainingSplit(3, time="submitted"), table),
        (ForwardChainingSplit(3, time=1), table.to_numpy()),
        (ForwardChainingSplit(3, time=days), X),
    ):
        for fold, other in zip(cv.split(given, y), expected):
            np.testing.assert_array_equal(fold[1], other[1])


def test_rows_without_label_are_in_the_folds_but_are_no_positives(data):
    X, y, days = data
    partly = np.where((days % 2 == 1) & (y == 0), -1, y)
    for fold, other in zip(
        folds(ForwardChainingSplit(3), X, partly, days),
        folds(ForwardChainingSplit(3), X, y, days),
    ):
        np.testing.assert_array_equal(fold[0], other[0])
        np.testing.assert_array_equal(fold[1], other[1])


def test_no_labels_are_needed_where_no_positives_are_asked_for(data):
    X, _, days = data
    cv = ForwardChainingSplit(3, min_train_positives=0)
    for train, test in cv.split(X, groups=days):
        assert days[train].max() < days[test].min()
    with pytest.raises(ValueError, match="y must be given"):
        next(ForwardChainingSplit(3).split(X, groups=days))


def test_scikit_learn_takes_it_as_cv(data):
    X, y, days = data
    cv = ForwardChainingSplit(3, time=days)
    scores = cross_val_score(DummyClassifier(), X, y, cv=cv)
    expected = [np.mean(y[test] == 0) for _, test in cv.split(X, y)]
    np.testing.assert_allclose(scores, expected)
    assert "ForwardChainingSplit" in repr(cv)


def test_groups_are_routed_to_it(data):
    X, y, days = data
    with config_context(enable_metadata_routing=True):
        scores = cross_val_score(
            DummyClassifier(),
            X,
            y,
            cv=ForwardChainingSplit(3),
            params={"groups": days},
        )
    assert len(scores) == 3


@pytest.mark.parametrize(
    "missing", [np.datetime64("NaT"), pd.NaT, None], ids=["numpy", "pandas", "none"]
)
def test_a_missing_time_is_refused(data, missing):
    X, y, days = data
    dates = list(np.datetime64("2020-01-01") + days)
    dates[17] = missing
    with pytest.raises(ValueError, match=r"missing.*1 of 300 rows, first in row 17"):
        next(ForwardChainingSplit().split(X, y, dates))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_splits": 0}, "n_splits must be at least 1, got 0"),
        ({"n_splits": 2.0}, "n_splits must be an integer"),
        ({"min_train_positives": -1}, "min_train_positives must be at least 0"),
        ({"min_train_positives": 400}, "y has only"),
        ({"gap_days": -1}, "gap_days must be 0 or more"),
        ({"gap_days": 500}, "n_splits=5 windows need as many different times"),
        ({"window": 0}, "window must be positive or None"),
        ({"window": 2}, "A training set has . positives"),
        ({"balance": "days"}, "balance must be one of"),
        ({"cutoffs": [60, 30]}, "cutoffs must rise"),
        ({"cutoffs": [60, 500]}, "0 to test"),
        ({"n_splits": 200}, "n_splits=200 windows need"),
        ({"n_splits": 60, "balance": "positives"}, "times of positives"),
        ({"time": [1, 2]}, "time must have a value for each of 300 rows, got 2"),
        ({"time": [["a"]]}, "time must have one dimension"),
        ({"time": ["a"] * 300}, "time must .*ISO"),
    ],
)
def test_bad_parameters_are_refused(data, options, message):
    X, y, days = data
    with pytest.raises(ValueError, match=message):
        list(ForwardChainingSplit(**options).split(X, y, days))


def test_times_must_be_given(data):
    X, y, _ = data
    with pytest.raises(ValueError, match="time must be given, or groups=times"):
        next(ForwardChainingSplit().split(X, y))
