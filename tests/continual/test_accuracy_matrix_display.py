"""The picture of the accuracy matrix."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from sklogit.continual import AccuracyMatrixDisplay
from sklogit.metrics._continual import continual_accuracy_matrix

from .common import blobs, small

MATRIX = [[1.0, 0.2, 0.0], [0.4, 0.9, 0.1], [0.3, 0.5, 0.8]]


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def test_it_shows_the_matrix_up_to_its_diagonal():
    display = AccuracyMatrixDisplay(MATRIX).plot()
    shown = display.image_.get_array()
    below = np.tril(np.ones((3, 3), bool))
    np.testing.assert_array_equal(np.ma.getmaskarray(shown), ~below)
    np.testing.assert_array_equal(shown[below].data, np.array(MATRIX)[below])
    numbers = [text.get_text() for text in display.text_]
    assert numbers == ["1.00", "0.40", "0.90", "0.30", "0.50", "0.80"]
    assert [text.get_position() for text in display.text_][1] == (0, 1)


def test_the_title_tells_the_figures():
    display = AccuracyMatrixDisplay(MATRIX, estimator_name="ER").plot()
    assert display.ax_.get_title() == "ER: final accuracy 0.53, forgetting 0.55"


def test_it_draws_on_given_axes_with_given_names():
    ax = plt.subplots()[1]
    display = AccuracyMatrixDisplay(MATRIX, task_names=list("abc")).plot(ax=ax, vmin=-1)
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    assert [label.get_text() for label in ax.get_xticklabels()] == list("abc")
    assert display.image_.norm.vmin == -1


def test_from_estimator_measures_the_matrix():
    X, y = blobs()
    tasks = [(X[y < 2], y[y < 2]), (X[y >= 2], y[y >= 2])]
    display = AccuracyMatrixDisplay.from_estimator(small(), tasks, tasks)
    expected = continual_accuracy_matrix(small(), tasks, tasks)
    np.testing.assert_array_equal(display.accuracies, expected)
    assert display.ax_.get_title().startswith("UnbiasedReplayClassifier: ")


def test_wrong_number_of_names_is_refused():
    with pytest.raises(ValueError, match=r"task_names must be 3 names.*got 2"):
        AccuracyMatrixDisplay(MATRIX, task_names=["a", "b"]).plot()
