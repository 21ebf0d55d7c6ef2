import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from sklogit.heads import CodebookUsageDisplay, VQLogitsHead
from sklogit.neural import VQLogitsClassifier

# Code 0 has the classes of 4 and 0 rows, code 1 those of 3 and 1, code 2 that of 8.
CODES, COUNTS = [0, 1, 1, 2, 0], [4, 3, 1, 8, 0]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_codes_are_sorted_by_their_rows():
    display = CodebookUsageDisplay.from_codes(CODES, COUNTS)
    assert display.row_shares.tolist() == [0.5, 0.25, 0.25]
    assert display.class_counts.tolist() == [1, 2, 2]
    assert display.largest_shares.tolist() == [1.0, 1.0, 0.75]
    assert display.ceiling == 15 / 16


def test_effective_codes_are_the_exponential_of_the_entropy():
    display = CodebookUsageDisplay.from_codes(CODES, COUNTS)
    assert display.effective_codes == pytest.approx(2**1.5)
    even = CodebookUsageDisplay.from_codes([0, 1, 2, 3], [5, 5, 5, 5])
    assert even.effective_codes == pytest.approx(4)


def test_a_line_in_each_panel_over_the_ranks():
    display = CodebookUsageDisplay.from_codes(CODES, COUNTS)
    assert len(display.lines_) == len(display.axes_) == 3
    values = display.row_shares, display.class_counts, display.largest_shares
    for line, panel, expected in zip(display.lines_, display.axes_, values):
        assert line.axes is panel
        assert line.get_xdata().tolist() == [1, 2, 3]
        assert line.get_ydata().tolist() == expected.tolist()
    assert "3 effective codes" in display.axes_[0].get_legend().get_title().get_text()
    assert "94%" in display.axes_[2].get_title()


def test_codes_without_rows_have_no_share():
    display = CodebookUsageDisplay.from_codes([0, 1], [3, 0])
    assert np.isnan(display.largest_shares[1])
    assert np.isnan(display.lines_[0].get_ydata()[1])
    assert display.effective_codes == pytest.approx(1)


def test_of_a_classifier():
    X, y = load_digits(return_X_y=True)
    clf = VQLogitsClassifier(6, random_state=0).fit(X / 16, y)
    display = CodebookUsageDisplay.from_estimator(clf)
    expected = CodebookUsageDisplay.from_codes(clf.codes_, np.bincount(y))
    np.testing.assert_array_equal(display.row_shares, expected.row_shares)
    assert display.ceiling == clf.upper_bound_score_


def test_of_a_head():
    head = VQLogitsHead(3, 5, mapping=CODES)
    head.nll(torch.zeros(16, 3), torch.repeat_interleave(torch.tensor(COUNTS)))
    display = CodebookUsageDisplay.from_estimator(head)
    assert display.row_shares.tolist() == [0.5, 0.25, 0.25]
    given = CodebookUsageDisplay.from_estimator(head, class_counts=[1] * 5)
    assert given.row_shares.tolist() == [0.4, 0.4, 0.2]


def test_given_axes_and_options_are_used():
    _, axes = plt.subplots(3)
    display = CodebookUsageDisplay.from_codes(CODES, COUNTS, ax=axes, color="red")
    assert display.axes_.tolist() == axes.tolist()
    assert all(line.get_color() == "red" for line in display.lines_)


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(TypeError, match=r"estimator must be .*, got Linear"):
        CodebookUsageDisplay.from_estimator(nn.Linear(2, 3))
    with pytest.raises(ValueError, match="class_counts must be given"):
        CodebookUsageDisplay.from_estimator(
            VQLogitsHead(3, 5, n_codes=2, within="uniform")
        )
    with pytest.raises(ValueError, match="class_counts must not be negative"):
        CodebookUsageDisplay.from_codes([0, 1], [0, 0])
    with pytest.raises(ValueError, match="code for each of the 3 classes"):
        CodebookUsageDisplay.from_codes([0, 1], [1, 2, 3])
    with pytest.raises(ValueError, match="ax must be 3 Axes"):
        CodebookUsageDisplay.from_codes([0, 1], [1, 2], ax=plt.gca())
