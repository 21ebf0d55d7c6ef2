"""Season and delay from dates that may be impossible."""

import numpy as np
import pandas as pd
import pytest

from sklogit._days import day_of_year, to_days
from sklogit.triage import DateFeatures


@pytest.fixture
def frame():
    return pd.DataFrame(
        {
            "submitted": ["2020-05-27", "2020-06-01", "2020-06-02", "2020-06-02"],
            "detected": ["2020-05-25", "0515-03-02", "2020-06-12", "<Null>"],
        }
    )


def test_features_are_those_of_the_docstring(frame):
    dates = DateFeatures(harmonics=2).fit(frame)
    out = pd.DataFrame(dates.transform(frame), columns=dates.get_feature_names_out())
    # The second sighting is a millennium ago, the third lies after its report.
    np.testing.assert_array_equal(out["missing_detected"], [0, 1, 1, 1])
    np.testing.assert_array_equal(out["missing_submitted"], 0)
    np.testing.assert_allclose(out["delay_detected"], np.log1p(2.0))
    season = day_of_year(
        to_days(["2020-05-25", "2020-06-01", "2020-06-02", "2020-06-02"])
    )
    for h, number in ((1, ""), (2, "2")):
        angle = 2 * np.pi * h * season
        np.testing.assert_allclose(out[f"season_sin{number}"], np.sin(angle))
        np.testing.assert_allclose(out[f"season_cos{number}"], np.cos(angle))


def test_unknown_delays_are_the_median_of_training(frame):
    train = pd.DataFrame(
        {
            "submitted": ["2020-05-27"] * 3,
            "detected": ["2020-05-26", "2020-05-17", "2020-05-24"],
        }
    )
    out = DateFeatures(harmonics=0).fit(train).transform(frame)
    np.testing.assert_allclose(out[1:, 0], np.log1p(3.0))


def test_a_sighting_shortly_after_its_report_has_no_delay():
    X = [["2020-05-27T00:00", "2020-05-27T22:00"]]
    out = DateFeatures(harmonics=0).fit(X).transform(X)
    np.testing.assert_array_equal(out, [[0.0, 0.0, 0.0]])
    strict = DateFeatures(harmonics=0, slack_days=0.5).fit(X)
    np.testing.assert_array_equal(strict.transform(X)[0, 1:], [0.0, 1.0])


def test_longest_delay_is_a_parameter(frame):
    dates = DateFeatures(harmonics=0, max_delay_days=1).fit(frame)
    np.testing.assert_array_equal(dates.transform(frame)[:, 2], [1, 1, 1, 1])


def test_a_report_without_any_date_has_no_season():
    X = [["", "-"], ["2020-05-27", "2020-05-27"]]
    dates = DateFeatures().fit(X)
    np.testing.assert_array_equal(dates.transform(X)[0], [0, 0, 0, 1, 1])


def test_a_column_in_another_format_is_refused():
    with pytest.raises(ValueError, match="detected must hold dates in ISO format"):
        DateFeatures().fit(
            pd.DataFrame({"submitted": ["2020-05-27"], "detected": ["5/27/2020"]})
        )


def test_typing_errors_in_a_single_report_are_missing(frame):
    dates = DateFeatures(harmonics=0).fit(frame)
    one = frame[:1].assign(submitted="27.5.2020", detected="yesterday")
    out = dates.transform(one)[0]
    np.testing.assert_array_equal(out, [dates.median_delay_[0], 1.0, 1.0])


def test_infinity_is_refused():
    with pytest.raises(ValueError, match="infinity"):
        DateFeatures().fit([[np.inf, 1.0]])


def test_pandas_comes_out_if_asked_for(frame):
    out = DateFeatures().set_output(transform="pandas").fit_transform(frame)
    assert out.columns[-1] == "missing_detected"
