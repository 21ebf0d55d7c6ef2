"""Picture of welfare against revenue, for objectives between the two."""

from copy import copy

import numpy as np

from .._plotting import one_axes


class WelfareRevenueDisplay:
    """Mean welfare and revenue of auctions for several weights of revenue.

    Crosses are two standard errors long in each direction, of the difference from the
    first point: the auctions are the same for all weights.

    Parameters
    ----------
    shares : sequence of float
        Weights of revenue, from 0 for welfare to 1 for revenue.
    outcomes : sequence of AuctionOutcome
        Outcome of the same batch for each.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the picture.
    figure_ : matplotlib Figure
        Its figure.
    welfare_ : ndarray of shape (n_shares,)
        Mean welfare of an impression.
    revenue_ : ndarray of shape (n_shares,)
        Mean revenue of an impression.
    line_ : matplotlib ErrorbarContainer
        The frontier.

    See Also
    --------
    AuctionOutcomeDisplay : One auction.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.stats import uniform
    >>> from sklogit.choice import PositionAuction, WelfareRevenueDisplay
    >>> bids = np.random.default_rng(0).random((50, 3))
    >>> p = [[0.30, 0.10], [0.40, 0.35], [0.20, 0.50]]
    >>> display = WelfareRevenueDisplay.from_auction(
    ...     PositionAuction(prior=uniform()), bids, ctr=p, shares=(0, 1)
    ... )
    >>> bool(display.revenue_[1] > display.revenue_[0])
    True
    """

    def __init__(self, shares, outcomes):
        self.shares = shares
        self.outcomes = outcomes

    @classmethod
    def from_auction(
        cls,
        auction,
        bids,
        X=None,
        *,
        utilities=None,
        ctr=None,
        shares=(0.0, 0.25, 0.5, 0.75, 1.0),
        ax=None,
    ):
        """Run auctions for several weights of revenue and draw the means.

        Parameters
        ----------
        auction : PositionAuction
            The auction, with a prior; its objective does not count.
        bids : array-like of shape (n_auctions, n_ads)
            Bids per click, such as draws of the prior.
        X : array-like of shape (n_pairs, n_features), default=None
            Features of all pairs.
        utilities : array-like of shape (n_ads, n_positions), default=None
            Or log odds of a click.
        ctr : array-like of shape (n_ads, n_positions), default=None
            Or click probabilities.
        shares : sequence of float, default=(0.0, 0.25, 0.5, 0.75, 1.0)
            Weights of revenue.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        WelfareRevenueDisplay
            The picture.
        """
        outcomes = []
        for share in shares:
            one = copy(auction).set_params(objective=float(share))
            outcomes.append(one.run(bids, X, utilities=utilities, ctr=ctr))
        return cls(shares, outcomes).plot(ax=ax)

    def plot(self, *, ax=None, **kwargs):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **kwargs
            Given to ``ax.errorbar``.

        Returns
        -------
        WelfareRevenueDisplay
            This one.

        Raises
        ------
        ValueError
            If an outcome is not that of a batch, or there is not one for each share.
        """
        if len(self.shares) != len(self.outcomes):
            raise ValueError(
                f"There must be an outcome for each of {len(self.shares)} shares, got "
                f"{len(self.outcomes)}."
            )
        if any(np.ndim(outcome.welfare) != 1 for outcome in self.outcomes):
            raise ValueError("outcomes must be those of a batch of auctions.")
        self.ax_ = one_axes(ax, type(self).__name__)
        self.figure_ = self.ax_.figure
        welfare = np.array([outcome.welfare for outcome in self.outcomes])
        revenue = np.array([outcome.revenue for outcome in self.outcomes])
        self.welfare_, self.revenue_ = welfare.mean(axis=1), revenue.mean(axis=1)
        root = np.sqrt(welfare.shape[1])
        style = {"color": "#0072B2", "marker": "o", "linewidth": 1, "elinewidth": 0.5}
        self.line_ = self.ax_.errorbar(
            self.welfare_,
            self.revenue_,
            xerr=2 * (welfare - welfare[0]).std(axis=1) / root,
            yerr=2 * (revenue - revenue[0]).std(axis=1) / root,
            **{**style, **kwargs},
        )
        for share, x, y in zip(self.shares, self.welfare_, self.revenue_):
            self.ax_.annotate(
                f"{share:g}",
                (x, y),
                (5, 5),
                textcoords="offset points",
                fontsize="small",
            )
        self.ax_.set(
            xlabel="mean welfare of an impression",
            ylabel="mean revenue of an impression",
            title="weight of revenue in the objective",
        )
        self.ax_.spines[["top", "right"]].set_visible(False)
        return self
