"""
From a click log to prices
==========================

A page has four places for sponsored items, and a user clicks at most one of those that
he sees: items take clicks from each other. We learn from a log how users choose, sell
the places to the items that are worth most *together*, and see what is lost if a
placement takes the items one by one.
"""

# %%
# The log
# -------
# 5000 impressions show one to four of 20 items at random, which is the experiment that
# a model of choices needs. The log is a simulation, so that we know the truth.

import matplotlib.pyplot as plt
import numpy as np
from scipy import stats
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from sklogit.choice import (
    AuctionOutcomeDisplay,
    ConditionalLogit,
    PositionAuction,
    WelfareRevenueDisplay,
    independent_assignment,
)
from sklogit.datasets import make_click_log

log = make_click_log(
    5000, n_positions=4, n_ads=20, n_features=3, position_effect=0.3, random_state=0
)
print(f"{len(log.y)} rows in {log.groups[-1] + 1} impressions, {log.y.sum()} clicks")

# %%
# How users choose
# ----------------
# A conditional logit compares the rows of an impression, with the choice of none among
# them. Logistic regression takes each row alone. It cannot know that a strong neighbour
# took the click: its intercept is far too low.

model = ConditionalLogit(C=np.inf).fit(log.X, log.y, log.groups)
rows_alone = LogisticRegression(C=np.inf).fit(log.X, log.y)
print(model.summary())
print("truth:           ", np.append(log.coef, log.intercept).round(2))
print("conditional logit", np.append(model.coef_, model.intercept_).round(2))
print("rows alone:      ", np.append(rows_alone.coef_, rows_alone.intercept_).round(2))

# %%
# One auction
# -----------
# Eight advertisers bid for a click. The rows of ``pairs`` are those of each item in
# each place. The auction fits the model, places the items so that welfare is largest,
# and asks of each what its presence costs the others: then the true value is the best
# bid.

shape = (8, 4)
pairs = log.pairs[: shape[0] * shape[1]]
rng = np.random.default_rng(7)
bids = rng.lognormal(size=shape[0])
auction = PositionAuction().fit(log.X, log.y, log.groups)
outcome = auction.run(bids, pairs)

names = ["tea", "cake", "milk", "jam", "salt", "rice", "soup", "figs"]
display = AuctionOutcomeDisplay(outcome, names=names).plot()
display.ax_.set_title("who is shown, from the first read on", pad=30)
display.figure_.set_layout_engine("constrained")

# %%
# A place stays empty though there are items left: what they bring is less than what
# they would take from the others.
#
# Without substitution
# --------------------
# The usual placement multiplies bids and click probabilities, and fills every place. We
# take 256 auctions, whose values are spread evenly over their distribution, and compare
# what users who choose by the true model make of both.

truth = log.utilities[: shape[0]]


def welfare_of(placed, values):
    """Welfare of a placement, if users choose by the true model."""
    odds = np.exp(truth[placed.rows, placed.cols])
    return values[placed.rows] @ odds / (1 + odds.sum())


prior = stats.lognorm(1.0)
even = stats.qmc.Sobol(shape[0], scramble=False).fast_forward(256).random(256)
values = prior.ppf(even)
best = PositionAuction().run(values, utilities=truth).welfare
ctr = expit(model.decision_function(pairs).reshape(shape))
placed = auction.allocate(values, np.tile(pairs, (len(values), 1)))
shares = {
    "conditional logit": [welfare_of(p, v) for p, v in zip(placed, values)] / best,
    "substitution ignored": [
        welfare_of(independent_assignment(v, ctr), v) for v in values
    ]
    / best,
}

fig, ax = plt.subplots(layout="constrained", figsize=(6, 3.2))
bins = np.linspace(min(map(np.min, shares.values())), 1.0 + 1e-9, 31)
for (name, share), color in zip(shares.items(), ("#0072B2", "#D55E00")):
    ax.hist(share, bins, alpha=0.7, color=color, label=f"{name}: {share.mean():.1%}")
ax.set(xlabel="welfare over the best possible", ylabel="auctions")
ax.legend(frameon=False, title="mean", loc="upper left")
ax.spines[["top", "right"]].set_visible(False)

# %%
# Revenue
# -------
# If the distribution of values is known, the auction can aim at revenue instead, with
# reserve prices, or at any mixture of both. Values here are those of a lognormal
# distribution, as above. Crosses are two standard errors of the difference from the
# welfare auction.

frontier = WelfareRevenueDisplay.from_auction(
    PositionAuction(prior=prior), values, utilities=truth
)
frontier.figure_.set_layout_engine("constrained")

plt.show()
