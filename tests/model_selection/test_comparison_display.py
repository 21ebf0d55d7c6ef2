import sys
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.exceptions import FitFailedWarning
from sklearn.naive_bayes import GaussianNB

from sklogit.model_selection import ModelComparisonDisplay, compare_classifiers

from .common import Failing, small_data, small_models


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def comparison():
    models = [*small_models(), ("nb", GaussianNB())]
    return compare_classifiers(
        models, *small_data(), cv=5, random_state=0, reference="lr"
    )


def points(containers):
    return [
        (bar.lines[0].get_xdata()[0], bar.lines[0].get_ydata()[0]) for bar in containers
    ]


def ends(bar):
    (segments,) = bar.lines[2][0].get_segments()
    return segments[:, 0]


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_intervals_are_those_of_the_table(comparison):
    display = comparison.plot(confidence_level=0.9)
    table = comparison.tests(confidence_level=0.9)
    assert isinstance(display, ModelComparisonDisplay)
    np.testing.assert_allclose(
        points(display.intervals_), list(zip(table["difference"], [1, 2]))
    )
    for bar, row in zip(display.intervals_, table.itertuples()):
        np.testing.assert_allclose(ends(bar), [row.ci_low, row.ci_high])


def test_times_are_medians_with_quartiles_on_a_log_axis(comparison):
    display = comparison.plot()
    low, median, high = np.percentile(comparison.fit_times_, [25, 50, 75], axis=1)
    np.testing.assert_allclose(points(display.times_), list(zip(median, range(3))))
    for m, bar in enumerate(display.times_):
        np.testing.assert_allclose(ends(bar), [low[m], high[m]])
    assert display.axes_[1].get_xscale() == "log"


def test_models_stand_in_their_order_from_the_top(comparison):
    left, right = comparison.plot().axes_
    assert [label.get_text() for label in left.get_yticklabels()] == ["lr", "dt", "nb"]
    low, high = left.get_ylim()
    assert low > high
    assert left.get_shared_y_axes().joined(left, right)


def test_reference_and_adjusted_p_values_are_written_down(comparison):
    found = texts(comparison.plot().axes_[0])
    p = comparison.tests()["p_holm"]
    assert "reference" in found
    assert f"{p.iloc[0]:.3f}"[:4] in " ".join(found)
    assert "reference" in texts(comparison.plot(reference="nb").axes_[0])


def test_labels_name_score_reference_level_and_unreliable_times(comparison):
    left, right = comparison.plot().axes_
    assert "accuracy minus that of lr" in left.get_xlabel()
    assert "95 %" in left.get_xlabel()
    assert "parallel" not in right.get_xlabel()
    parallel = compare_classifiers(small_models(), *small_data(), cv=3, n_jobs=2)
    assert "parallel" in parallel.plot().axes_[1].get_xlabel()


def test_band_is_the_rope_and_can_be_left_out(comparison):
    display = comparison.plot(rope=0.03)
    labels = [text.get_text() for text in display.figure_.legends[0].get_texts()]
    assert "within ±0.03" in labels
    (band,) = display.axes_[0].patches
    assert band.get_x() == -0.03
    assert band.get_width() == pytest.approx(0.06)
    assert not comparison.plot(rope=0).axes_[0].patches


@pytest.mark.parametrize(
    ("difference", "verdict"),
    [(-0.1, "worse"), (0.1, "better"), (0.01, "no difference shown")],
)
def test_colour_says_on_which_side_of_zero_the_interval_lies(difference, verdict):
    display = ModelComparisonDisplay(
        ["a", "b"],
        np.array([0.0, difference]),
        np.array([0.0, 0.05]),
        np.ones((2, 3)),
        reference="a",
    ).plot()
    labels = [text.get_text() for text in display.figure_.legends[0].get_texts()]
    assert labels == [verdict, "within ±0.01"]


def test_a_failed_model_is_named_so():
    X, y = small_data()
    X[0, 0] = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitFailedWarning)
        failed = compare_classifiers(
            [("bad", Failing()), *small_models()], X, y, cv=3, error_score=np.nan
        )
    display = failed.plot(reference="lr")
    assert "failed" in texts(display.axes_[0])
    assert len(display.intervals_) == 1


def test_given_axes_are_used_and_their_number_checked(comparison):
    _, axes = plt.subplots(1, 2)
    display = comparison.plot(ax=axes, color="k")
    assert list(display.axes_) == list(axes)
    assert display.intervals_[0].lines[0].get_color() == "k"
    assert [t.get_text() for t in axes[1].get_yticklabels()] == ["lr", "dt", "nb"]
    with pytest.raises(ValueError, match="2 Axes for ModelComparisonDisplay"):
        comparison.plot(ax=axes[0])


def test_it_needs_no_pandas_but_matplotlib(monkeypatch, comparison):
    monkeypatch.setitem(sys.modules, "pandas", None)
    comparison.plot()
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"ModelComparisonDisplay needs.*\[plot\]"):
        comparison.plot()
