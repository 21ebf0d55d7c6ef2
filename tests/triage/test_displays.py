"""Pictures of triage: what is drawn is what was computed."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy.stats import hypergeom
from sklearn.linear_model import LogisticRegression

from sklogit.metrics import inspection_curve
from sklogit.triage import InspectionCurveDisplay, PriorityMapDisplay


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "latitude": 48 + rng.random(200),
            "longitude": -122 + 2 * rng.random(200),
            "loud": rng.standard_normal(200),
        }
    )
    return X, (X["loud"] + rng.standard_normal(200) > 1.5).to_numpy().astype(int)


# -- curves of inspections -------------------------------------------------------------


def test_curves_are_those_of_the_metric(data):
    X, y = data
    scores = {"loud": X["loud"].round(), "north": X["latitude"]}
    display = InspectionCurveDisplay.from_predictions(y, scores)
    assert [line.get_label() for line in display.lines_] == ["loud", "north"]
    for line, score in zip(display.lines_, scores.values()):
        np.testing.assert_array_equal(
            line.get_xydata(), np.transpose(inspection_curve(y, score))
        )


def test_positive_label_is_that_of_the_estimator(data):
    X, y = data
    names = np.where(y == 1, "a hit", "nothing")
    clf = LogisticRegression().fit(X, names)
    display = InspectionCurveDisplay.from_estimator(clf, X, names)
    expected = inspection_curve(1 - y, clf.decision_function(X))[1]
    np.testing.assert_array_equal(display.lines_[0].get_ydata(), expected)
    display = InspectionCurveDisplay.from_estimator(clf, X, names, pos_label="a hit")
    expected = inspection_curve(y, -clf.decision_function(X))[1]
    np.testing.assert_array_equal(display.lines_[0].get_ydata(), expected)


def test_random_order_is_a_line_to_the_end(data):
    X, y = data
    display = InspectionCurveDisplay.from_predictions(y, X["loud"])
    line = display.random_.get_xydata()
    np.testing.assert_allclose(line[[0, -1]], [[0, 0], [200, y.sum()]])
    np.testing.assert_allclose(line[:, 1], line[:, 0] * y.mean())


def test_band_has_the_quantiles_of_random_orders(data):
    X, y = data
    display = InspectionCurveDisplay.from_predictions(y, X["loud"], band=0.8)
    (path,) = display.band_.get_paths()
    at_60 = path.vertices[path.vertices[:, 0] == 60, 1]
    lower, upper = hypergeom(200, y.sum(), 60).ppf([0.1, 0.9])
    assert (at_60.min(), at_60.max()) == (lower, upper)
    assert InspectionCurveDisplay(display.curves).plot(band=None).band_ is None


def test_estimators_are_ranked_by_name_and_unlabeled_rows_left_out(data):
    X, y = data
    clf = LogisticRegression().fit(X, y)
    partly = np.where(np.arange(200) % 4, y, -1)
    display = InspectionCurveDisplay.from_estimator({"all": clf}, X, partly)
    rows = partly != -1
    expected = inspection_curve(y[rows], clf.decision_function(X)[rows])
    np.testing.assert_array_equal(display.lines_[0].get_ydata(), expected[1])
    single = InspectionCurveDisplay.from_estimator(clf, X, y)
    assert single.lines_[0].get_label() == "LogisticRegression"


def test_budget_is_marked(data):
    X, y = data
    display = InspectionCurveDisplay.from_predictions(y, X["loud"], budget=30)
    assert display.ax_.lines[-1].get_xdata() == [30, 30]


def test_positives_are_counted_in_whole_numbers():
    display = InspectionCurveDisplay.from_predictions([1, 1, 0, 1], [4, 3, 2, 1])
    ticks = display.ax_.get_yticks()
    np.testing.assert_array_equal(ticks, np.round(ticks))


def test_curves_of_other_rows_are_refused(data):
    X, y = data
    one = inspection_curve(y, X["loud"])
    other = inspection_curve(y[1:], X["loud"][1:])
    with pytest.raises(ValueError, match="of the same rows"):
        InspectionCurveDisplay({"one": one, "other": other}).plot()
    with pytest.raises(ValueError, match="one or more"):
        InspectionCurveDisplay({}).plot()
    with pytest.raises(ValueError, match="band must be between 0 and 1"):
        InspectionCurveDisplay({"one": one}).plot(band=95)


# -- map of priorities -----------------------------------------------------------------


def test_urgent_reports_are_drawn_last_and_numbered(data):
    X, y = data
    clf = LogisticRegression().fit(X, y)
    display = PriorityMapDisplay.from_estimator(clf, X, n_ranks=3, norm="linear")
    scores = clf.decision_function(X)
    order = np.argsort(scores)
    np.testing.assert_array_equal(display.points_.get_array(), scores[order])
    np.testing.assert_array_equal(
        display.points_.get_offsets(), X[["longitude", "latitude"]].to_numpy()[order]
    )
    assert [text.get_text() for text in display.texts_] == ["1", "2", "3"]
    place = X.loc[order[-1], ["longitude", "latitude"]]
    assert display.texts_[0].xy == tuple(place)


def test_confirmed_reports_are_drawn(data):
    X, y = data
    clf = LogisticRegression().fit(X, y)
    display = PriorityMapDisplay.from_estimator(clf, X, confirmed=X[y == 1])
    np.testing.assert_array_equal(
        display.confirmed_.get_offsets(),
        X.loc[y == 1, ["longitude", "latitude"]].to_numpy(),
    )
    assert PriorityMapDisplay(X.iloc[:, :2], y).plot().confirmed_ is None


@pytest.mark.parametrize("middle", [0.0, 48.0, -75.0])
def test_a_km_is_as_long_in_both_directions(middle):
    coordinates = [[middle - 1, 10], [middle + 1, 12]]
    display = PriorityMapDisplay(coordinates, [1, 2]).plot()
    ratio = display.ax_.get_aspect()
    assert ratio == pytest.approx(1 / np.cos(np.radians(middle)))


def test_map_is_not_torn_at_the_date_line():
    coordinates = [[0, 179.5], [0, -179.0], [1, 178.0]]
    display = PriorityMapDisplay(coordinates, [1, 2, 3], [[0, -178.0]]).plot()
    x = np.append(
        display.points_.get_offsets()[:, 0], display.confirmed_.get_offsets()[:, 0]
    )
    assert x.max() - x.min() == pytest.approx(4)
    assert display.ax_.xaxis.get_major_formatter()(181.0, 0) == "-179"


def test_reports_west_of_greenwich_keep_their_longitudes():
    coordinates = [[48, -122.0], [48, -123.0], [47, 4.0]]
    display = PriorityMapDisplay(coordinates, [1, 2, 3]).plot()
    found = sorted(display.points_.get_offsets()[:, 0])
    assert found == pytest.approx([-123, -122, 4])


def test_priorities_have_a_logarithmic_scale_where_all_are_positive(data):
    X, _ = data
    places = X[["latitude", "longitude"]]
    assert type(PriorityMapDisplay(places, np.exp(X["loud"])).plot().points_.norm) is (
        plt.matplotlib.colors.LogNorm
    )
    linear = PriorityMapDisplay(places, X["loud"]).plot().points_.norm
    assert type(linear) is plt.matplotlib.colors.Normalize


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[0, 0]], [1, 2]), "1 places and 2 priorities"),
        (([[0, np.nan]], [1]), "coordinates must be finite"),
        (([[0, 0, 0]], [1]), r"shape \(n, 2\)"),
        (([[0, 0]], [np.inf]), "priority must be finite"),
        (([[0, 0]], [1], [[np.nan, 1]]), "confirmed must be finite"),
    ],
)
def test_bad_maps_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        PriorityMapDisplay(*arguments).plot()
