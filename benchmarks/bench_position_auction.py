"""Conditional logits from click logs, and the auctions that are built on them.

Claims: a conditional logit recovers what users like where row-wise logistic regression
does not; its coefficients are those of statsmodels, in a fifth of the time or less;
auctions with a fitted model keep 99 % of the best welfare from 2000 impressions on,
more than with row-wise models and far more than if substitution is ignored; a placement
costs at most 12 matchings of SciPy, and all payments at most 10 placements.

    python benchmarks/bench_position_auction.py

with `estimation`, `peers`, `welfare`, `revenue` or `speed` for a part.
"""

import argparse
import time

import numpy as np
from _common import cpu_times, report
from scipy import stats
from scipy.optimize import linear_sum_assignment
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from statsmodels.discrete.conditional_models import ConditionalLogit as Conditional
from threadpoolctl import threadpool_limits

from sklogit.choice import (
    ConditionalLogit,
    PositionAuction,
    VirtualValue,
    independent_assignment,
    mnl_assignment,
)
from sklogit.datasets import load_mode_choice, make_click_log


def estimation(n_impressions):
    """Error of the coefficients, and log-likelihood of new impressions."""
    rows = []
    for seed in range(5):
        log = make_click_log(n_impressions, random_state=seed)
        half = log.groups < n_impressions // 2
        times, models = cpu_times(
            lambda log=log, half=half: ConditionalLogit(C=np.inf).fit(
                log.X[half], log.y[half], log.groups[half]
            ),
            lambda log=log, half=half: LogisticRegression(C=np.inf).fit(
                log.X[half], log.y[half]
            ),
            repeats=1,
        )
        truth = np.append(log.coef, log.intercept)
        for name, seconds, model in zip(("conditional", "row-wise"), times, models):
            found = np.append(model.coef_, model.intercept_)
            choice = ConditionalLogit().fit(log.X[:50], log.y[:50], log.groups[:50])
            choice.coef_, choice.intercept_ = model.coef_, model.intercept_
            likelihood = choice.log_likelihood(
                log.X[~half], log.y[~half], log.groups[~half]
            )
            rows.append(
                {
                    "seed": seed,
                    "model": name,
                    "largest error": float(np.abs(found - truth).max()),
                    "intercept": float(found[-1]),
                    "test log-likelihood": likelihood / (n_impressions // 2),
                    "CPU s": seconds,
                }
            )
    report("position_auction_estimation", rows)


def choices(n_groups, n_alternatives, n_features, seed=0):
    """Choices without outside option, of a random model."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_groups * n_alternatives, n_features))
    noisy = X @ rng.standard_normal(n_features) + rng.gumbel(size=len(X))
    y = np.zeros((n_groups, n_alternatives), dtype=int)
    best = noisy.reshape(n_groups, n_alternatives).argmax(axis=1)
    y[np.arange(n_groups), best] = 1
    return X, y.ravel(), np.repeat(np.arange(n_groups), n_alternatives)


def peers():
    """Agreement with statsmodels, and time of both."""
    travel = load_mode_choice()
    data = {
        "travel modes": (travel.X, travel.y, travel.groups),
        "1000 x 4": choices(1000, 4, 6),
        "5000 x 10": choices(5000, 10, 8),
    }
    rows = []
    for name, (X, y, groups) in data.items():
        times, (ours, theirs) = cpu_times(
            lambda X=X, y=y, g=groups: ConditionalLogit(
                C=np.inf, outside_option=False
            ).fit(X, y, g),
            lambda X=X, y=y, g=groups: Conditional(y, X, groups=g).fit(disp=0),
            repeats=2,
        )
        rows.append(
            {
                "data": name,
                "rows": len(y),
                "largest difference": float(np.abs(ours.coef_ - theirs.params).max()),
                "log-likelihood": ours.log_likelihood_,
                "statsmodels": float(theirs.llf),
                "CPU s": times[0],
                "statsmodels CPU s": times[1],
                "times faster": times[1] / times[0],
            }
        )
    X, y, groups = choices(100_000, 10, 8)
    times, (ours,) = cpu_times(
        lambda: ConditionalLogit(C=np.inf, outside_option=False).fit(X, y, groups),
        repeats=1,
    )
    rows.append(
        dict.fromkeys(rows[0], "")
        | {
            "data": "100000 x 10",
            "rows": len(y),
            "log-likelihood": ours.log_likelihood_,
            "CPU s": times[0],
        }
    )
    report("position_auction_peers", rows)


def realised(place, values, truth, n_shown):
    """Welfare under the true model of a placement, over that of the best."""
    found = place(values)
    odds = np.exp(truth[found.rows, found.cols])
    welfare = values[found.rows] @ odds / (1 + odds.sum())
    return welfare / mnl_assignment(values, truth, n_shown).value


def welfare(n_auctions, n_ads=20, n_positions=6):
    """Welfare that is kept by models fitted to logs of several sizes."""
    rows = []
    for n_impressions in (500, 2000, 20_000):
        shares = {"conditional logit": [], "row-wise": [], "no substitution": []}
        for seed in range(3):
            log = make_click_log(
                n_impressions,
                n_positions,
                n_ads=n_ads,
                n_shown=4,
                position_effect=0.2,
                random_state=seed,
            )
            clf = ConditionalLogit().fit(log.X, log.y, log.groups)
            lr = LogisticRegression().fit(log.X, log.y)
            shape = log.utilities.shape
            choice = clf.decision_function(log.pairs).reshape(shape)
            single = lr.decision_function(log.pairs).reshape(shape)
            rng = np.random.default_rng(seed)
            for values in rng.lognormal(size=(n_auctions, n_ads)):
                places = {
                    "conditional logit": lambda v, u=choice: mnl_assignment(v, u),
                    "row-wise": lambda v, u=single: mnl_assignment(v, u),
                    "no substitution": lambda v, u=choice: independent_assignment(
                        v, expit(u)
                    ),
                }
                for name, place in places.items():
                    share = realised(place, values, log.utilities, n_positions)
                    shares[name].append(share)
        for name, values in shares.items():
            rows.append(
                {
                    "impressions": n_impressions,
                    "placement": name,
                    "mean share": float(np.mean(values)),
                    "least share": float(np.min(values)),
                }
            )
    report("position_auction_welfare", rows)


def revenue(n_auctions):
    """Revenue and welfare of the revenue-optimal auction, and that of welfare."""
    rng = np.random.default_rng(0)
    rows = []
    for name, dist in (("uniform", stats.uniform()), ("exponential", stats.expon())):
        bids = dist.ppf(rng.random((n_auctions, 4)))
        table = rng.random((4, 3)) * 0.6
        for objective in ("welfare", "revenue"):
            auction = PositionAuction(
                objective=objective, max_ads=2, prior=VirtualValue(dist)
            )
            outcome = auction.run(bids, ctr=table)
            rows.append(
                {
                    "values": name,
                    "objective": objective,
                    "revenue": float(outcome.revenue.mean()),
                    "standard error": float(
                        outcome.revenue.std() / np.sqrt(n_auctions)
                    ),
                    "welfare": float(outcome.welfare.mean()),
                }
            )
    report("position_auction_revenue", rows)


def speed():
    """Time of placements in matchings, of payments in placements, and of a batch."""
    rows = []
    rng = np.random.default_rng(0)
    for n in (100, 1000, 5000, 10_000):
        for m in (5, 10, 20):
            values, utilities = rng.lognormal(size=n), rng.normal(-3, 1, (n, m))
            gains = values[:, np.newaxis] * np.exp(utilities)
            auction = PositionAuction(max_ads=8)
            times, (_, placed, _, _) = cpu_times(
                lambda g=gains: linear_sum_assignment(g, maximize=True),
                lambda v=values, u=utilities: mnl_assignment(v, u, 8),
                lambda v=values, u=utilities, a=auction: a.allocate(v, utilities=u),
                lambda v=values, u=utilities, a=auction: a.run(v, utilities=u),
                repeats=5,
            )
            rows.append(
                {
                    "ads": n,
                    "positions": m,
                    "matchings": placed.n_iter,
                    "placement ms": 1e3 * times[1],
                    "over one matching": times[1] / times[0],
                    "with payments ms": 1e3 * times[3],
                    "over allocate": times[3] / times[2],
                }
            )
    report("position_auction_speed", rows)
    bids, utilities = rng.lognormal(size=(10_000, 20)), rng.normal(-2, 1, (20, 6))
    with threadpool_limits(1):
        start = time.process_time()
        PositionAuction(verbose=1).run(bids, utilities=utilities)
        print(f"10,000 auctions in {time.process_time() - start:.3g} CPU s")


def main():
    """Run the parts that are named, or all."""
    parts = ("estimation", "peers", "welfare", "revenue", "speed")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(parts))
    parser.add_argument("--impressions", type=int, default=20_000)
    parser.add_argument("--auctions", type=int, default=200)
    args = parser.parse_args()
    runs = {
        "estimation": lambda: estimation(args.impressions),
        "peers": peers,
        "welfare": lambda: welfare(args.auctions),
        "revenue": lambda: revenue(5 * args.auctions),
        "speed": speed,
    }
    for part in args.parts:
        runs[part]()


if __name__ == "__main__":
    main()
