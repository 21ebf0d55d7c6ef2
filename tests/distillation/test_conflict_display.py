"""Picture of the losses and conflicts of a distillation."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from sklogit.distillation import DistillationHistoryDisplay

from .common import LOGITS, X, Y, student

HISTORY = {
    "ce_loss": [2.0, 1.0, 0.5],
    "logit_loss": [4.0, 3.0, np.nan],
    "conflict_rate": [0.5, 0.75, np.nan],
    "head_conflict_rate": [1.0, 1.0, np.nan],
}


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_a_curve_for_each_loss_and_rate():
    display = DistillationHistoryDisplay(HISTORY).plot()
    for name, values in HISTORY.items():
        line = display.lines_[name]
        np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
        np.testing.assert_array_equal(line.get_ydata(), values)
        assert line.axes is display.axes_[int("rate" in name)]
    assert display.axes_[0].get_yscale() == "log"


def test_what_was_not_recorded_is_not_drawn():
    history = {"ce_loss": [2.0, 1.0], "conflict_rate": [np.nan, np.nan]}
    display = DistillationHistoryDisplay(history).plot()
    assert list(display.lines_) == ["ce_loss"]
    assert display.axes_[1].get_legend() is None


def test_an_estimator_is_drawn_with_its_history_and_options():
    model = student().fit(X, Y, teacher_logits=LOGITS)
    axes = plt.subplots(2)[1]
    display = DistillationHistoryDisplay.from_estimator(model, ax=axes, linewidth=3)
    assert display.axes_[0] is axes[0]
    line = display.lines_["conflict_rate"]
    assert line.get_linewidth() == 3
    np.testing.assert_array_equal(line.get_ydata(), model.history_["conflict_rate"])


def test_others_are_refused():
    for wrong in (LogisticRegression(), student()):
        with pytest.raises(TypeError, match="fitted DualHeadDistillationClassifier"):
            DistillationHistoryDisplay.from_estimator(wrong)
    with pytest.raises(ValueError, match="ax must be 2 Axes"):
        DistillationHistoryDisplay(HISTORY).plot(ax=plt.subplots(3)[1])
