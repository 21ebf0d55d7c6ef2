"""Dates of any kind as days: missing ones are NaN, or refused."""

from datetime import date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest

from sklogit._days import checked_days, day_of_year, to_days


def test_days_are_those_of_pandas():
    stamps = pd.date_range("1960-02-27T13:45:30", periods=40, freq="321D")
    expected = (stamps - pd.Timestamp("1970-01-01")) / pd.Timedelta("1D")
    kinds = [
        stamps,
        stamps.to_series(),
        stamps.astype(str).to_numpy(),
        stamps.to_pydatetime(),
        stamps.to_numpy(),
        list(stamps),
        stamps.to_period("s").to_series(),
    ]
    for values in kinds:
        np.testing.assert_allclose(to_days(values), expected, rtol=0, atol=1e-9)


def test_days_of_a_time_zone_are_in_utc():
    zone = timezone(timedelta(hours=-7))
    stamps = pd.date_range("2020-05-27T20:00", periods=2, tz="America/Los_Angeles")
    expected = [to_days(["2020-05-28T03:00"])[0] + i for i in range(2)]
    np.testing.assert_allclose(to_days(stamps.to_series()), expected)
    np.testing.assert_allclose(to_days(stamps), expected)
    one = to_days(np.array([datetime(2020, 5, 27, 20, tzinfo=zone)], dtype=object))
    np.testing.assert_allclose(one, expected[:1])


def test_what_is_no_date_is_missing():
    values = ["2020-05-27", "", None, np.nan, pd.NaT, "May", date(2020, 5, 27), []]
    days = to_days(np.array(values, dtype=object))
    np.testing.assert_array_equal(np.isnan(days), [0, 1, 1, 1, 1, 1, 0, 1])
    assert days[0] == days[6]


def test_numbers_are_days():
    np.testing.assert_array_equal(to_days([1, 2.5, np.nan]), [1, 2.5, np.nan])


def test_part_of_the_year():
    days = to_days(["2020-01-01", "2020-12-31", "1969-07-02", "0515-01-01"])
    np.testing.assert_allclose(
        day_of_year(days), np.array([0, 365, 182, 0]) / 365.25, atol=1e-12
    )


def test_a_column_of_other_things_is_refused():
    with pytest.raises(ValueError, match="no value is one"):
        to_days(np.array([object(), None], dtype=object))


def test_few_values_may_all_be_typing_errors():
    np.testing.assert_array_equal(to_days(["5/27/2020"], some=False), [np.nan])
    np.testing.assert_array_equal(to_days([None, ""]), [np.nan, np.nan])


def test_dates_before_the_year_one_in_utc_are_dates():
    days = to_days(["0001-01-01T00:00+05:00", "0001-01-01"])
    assert days[1] - days[0] == pytest.approx(5 / 24)


def test_lone_dates_of_numpy_may_lie_beyond_those_of_python():
    far = np.array([np.datetime64("20000-01-01"), None], dtype=object)
    expected = np.datetime64("20000-01-01", "D").astype(int)
    np.testing.assert_array_equal(to_days(far), [expected, np.nan])


def test_checked_days_are_days():
    values = ["1970-01-02", "1970-01-03T12:00"]
    np.testing.assert_array_equal(checked_days(values), [1.0, 2.5])
    np.testing.assert_array_equal(checked_days(np.array(values, "M8[m]")), [1.0, 2.5])


@pytest.mark.parametrize("bad", [np.nan, None, pd.NaT, pd.NA, "5/27/2020", "", np.inf])
def test_dates_that_are_none_are_refused(bad):
    values = pd.Series([18262.0, bad], dtype=object, index=[7, 7])
    with pytest.raises(ValueError, match=r"must not be missing.* first in row 1"):
        checked_days(values, "start")


def test_dates_that_are_not_flat_are_refused():
    with pytest.raises(ValueError, match=r"one dimension, got shape \(2, 1\)"):
        checked_days([[1], [2]])
