import matplotlib as mpl
import numpy as np
import pytest
from scipy import stats

from sklogit.choice import (
    AuctionOutcomeDisplay,
    PositionAuction,
    WelfareRevenueDisplay,
)

P = np.array([[0.30, 0.10], [0.40, 0.35], [0.20, 0.50]])
V = np.array([3.0, 2.0, 1.0])


@pytest.fixture(autouse=True)
def no_window():
    plt = pytest.importorskip("matplotlib.pyplot")
    with mpl.rc_context({"backend": "agg"}):
        yield
    plt.close("all")


def test_bars_are_values_and_payments_in_rendering_order():
    outcome = PositionAuction("cascade").run(V[::-1], ctr=P[::-1])
    display = AuctionOutcomeDisplay(outcome).plot()
    assert list(outcome.order) == [2, 1]
    values = [bar.get_width() for bar in display.value_bars_]
    np.testing.assert_allclose(values, (outcome.bids * outcome.ctr)[[2, 1]])
    assert sum(values) == pytest.approx(outcome.welfare)
    payments = [bar.get_width() for bar in display.payment_bars_]
    assert sum(payments) == pytest.approx(outcome.revenue)
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert labels == ["ad 2\nposition 0", "ad 1\nposition 1"]
    assert "clicked 30.0%" in display.texts_[0].get_text()
    assert "of 3 a click" in display.texts_[0].get_text()


def test_outcome_is_drawn_from_an_auction_into_given_axes():
    import matplotlib.pyplot as plt

    ax = plt.figure().add_subplot()
    names = ["tea", "cake", "milk"]
    display = AuctionOutcomeDisplay.from_auction(
        PositionAuction(), V, ctr=P, names=names, ax=ax
    )
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    assert ax.get_yticklabels()[1].get_text().startswith("cake")


def test_an_auction_that_shows_nothing_is_drawn_empty():
    outcome = PositionAuction().run(np.zeros(3), ctr=P)
    assert len(AuctionOutcomeDisplay(outcome).plot().value_bars_) == 0


def test_outcome_of_a_batch_and_wrong_names_are_refused():
    batch = PositionAuction().run([V, V], ctr=P)
    with pytest.raises(ValueError, match="one auction, got 2"):
        AuctionOutcomeDisplay(batch).plot()
    outcome = PositionAuction().run(V, ctr=P)
    with pytest.raises(ValueError, match="names must be those of 3 ads, got 1"):
        AuctionOutcomeDisplay(outcome, names=["tea"]).plot()


def test_frontier_goes_from_most_welfare_to_most_revenue():
    bids = np.random.default_rng(0).random((200, 3))
    auction = PositionAuction(prior=stats.uniform())
    display = WelfareRevenueDisplay.from_auction(
        auction, bids, ctr=P, shares=(0.0, 0.5, 1.0)
    )
    assert auction.objective == "welfare"
    assert (np.diff(display.welfare_) < 0).all()
    assert (np.diff(display.revenue_) > 0).all()
    plain = auction.run(bids, ctr=P)
    assert display.welfare_[0] == pytest.approx(plain.welfare.mean())
    assert display.revenue_[0] == pytest.approx(plain.revenue.mean())
    points = display.line_.lines[0].get_xydata()
    np.testing.assert_allclose(points[:, 1], display.revenue_)
    # Crosses are those of differences between the same auctions.
    last = auction.set_params(objective="revenue").run(bids, ctr=P)
    error = 2 * (last.revenue - plain.revenue).std() / np.sqrt(200)
    ends = display.line_.lines[2][1].get_segments()[2][:, 1]
    np.testing.assert_allclose(ends, display.revenue_[2] + error * np.array([-1, 1]))


def test_lines_of_the_frontier_may_be_styled():
    outcome = PositionAuction().run([V, V], ctr=P)
    display = WelfareRevenueDisplay([0.0], [outcome]).plot(color="k", elinewidth=3)
    assert display.line_.lines[0].get_color() == "k"
    assert display.line_.lines[2][0].get_linewidth() == 3


def test_frontier_needs_batches_one_for_each_share():
    outcome = PositionAuction().run(V, ctr=P)
    with pytest.raises(ValueError, match="batch of auctions"):
        WelfareRevenueDisplay([0.0], [outcome]).plot()
    with pytest.raises(ValueError, match="each of 2 shares, got 1"):
        WelfareRevenueDisplay([0.0, 1.0], [outcome]).plot()
