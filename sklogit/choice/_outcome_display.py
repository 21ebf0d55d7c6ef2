"""Picture of one auction: who is shown, clicked and pays what."""

import numpy as np

from .._plotting import one_axes

_WELFARE = "#9ecae1"
_PAYMENT = "#0072B2"


class AuctionOutcomeDisplay:
    """Shown ads in rendering order, what their clicks are worth and what they pay.

    The light bars add up to the welfare of an impression and the dark ones to its
    revenue; what is left of a light bar stays with the advertiser.

    Parameters
    ----------
    outcome : AuctionOutcome
        Outcome of one auction.
    names : sequence of str, default=None
        Names of the ads; None numbers them.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the picture.
    figure_ : matplotlib Figure
        Its figure.
    value_bars_ : matplotlib BarContainer
        Values of clicks per impression.
    payment_bars_ : matplotlib BarContainer
        Payments per impression.
    texts_ : list of matplotlib Text
        Click probability, price and bid of each shown ad.

    See Also
    --------
    PositionAuction : Runs the auction.
    WelfareRevenueDisplay : What the choice of an objective trades.

    Examples
    --------
    >>> from sklogit.choice import AuctionOutcomeDisplay, PositionAuction
    >>> p = [[0.30, 0.10], [0.40, 0.35], [0.20, 0.50]]
    >>> outcome = PositionAuction().run([3.0, 2.0, 1.0], ctr=p)
    >>> display = AuctionOutcomeDisplay(outcome, names=["tea", "cake", "milk"]).plot()
    >>> len(display.value_bars_), len(display.texts_)
    (2, 2)
    """

    def __init__(self, outcome, *, names=None):
        self.outcome = outcome
        self.names = names

    @classmethod
    def from_auction(
        cls, auction, bids, X=None, *, utilities=None, ctr=None, names=None, ax=None
    ):
        """Run an auction and draw its outcome.

        Parameters
        ----------
        auction : PositionAuction
            The auction; fitted if X is given.
        bids : array-like of shape (n_ads,)
            Bids per click.
        X : array-like of shape (n_pairs, n_features), default=None
            Features of all pairs.
        utilities : array-like of shape (n_ads, n_positions), default=None
            Or log odds of a click.
        ctr : array-like of shape (n_ads, n_positions), default=None
            Or click probabilities.
        names : sequence of str, default=None
            Names of the ads; None numbers them.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        AuctionOutcomeDisplay
            The picture.
        """
        outcome = auction.run(bids, X, utilities=utilities, ctr=ctr)
        return cls(outcome, names=names).plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        AuctionOutcomeDisplay
            This one.

        Raises
        ------
        ValueError
            If the outcome is that of a batch, or names do not fit.
        """
        outcome = self.outcome
        if outcome.ctr.ndim != 1:
            raise ValueError(
                f"outcome must be that of one auction, got {len(outcome.ctr)}."
            )
        n_ads = len(outcome.ctr)
        names = [f"ad {i}" for i in range(n_ads)] if self.names is None else self.names
        if len(names) != n_ads:
            raise ValueError(f"names must be those of {n_ads} ads, got {len(names)}.")
        self.ax_ = one_axes(ax, type(self).__name__)
        self.figure_ = self.ax_.figure
        shown = outcome.order[outcome.order >= 0]
        y, values = np.arange(len(shown)), (outcome.bids * outcome.ctr)[shown]
        self.value_bars_ = self.ax_.barh(
            y, values, color=_WELFARE, label=f"value of clicks, {outcome.welfare:.3g}"
        )
        self.payment_bars_ = self.ax_.barh(
            y,
            outcome.payments[shown],
            color=_PAYMENT,
            height=0.4,
            label=f"payment, {outcome.revenue:.3g}",
        )
        self.texts_ = [
            self.ax_.text(
                value,
                row,
                f" clicked {outcome.ctr[i]:.1%}\n pays {outcome.price_per_click[i]:.3g}"
                f" of {outcome.bids[i]:.3g} a click",
                va="center",
                fontsize="small",
            )
            for row, i, value in zip(y, shown, values)
        ]
        labels = [f"{names[i]}\nposition {outcome.assignment[i]}" for i in shown]
        self.ax_.set_yticks(y, labels)
        self.ax_.set_ylim(max(len(shown), 3) - 0.5, -0.5)  # the first on top
        # Room for the text beside the longest bar, and for a legend above them.
        self.ax_.set_xlim(0, 1.6 * values.max(initial=0.0) or 1.0)
        self.ax_.set_xlabel("per impression")
        self.ax_.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
        self.ax_.spines[["top", "right"]].set_visible(False)
        return self
