"""Position auctions: exactness, speed, and what models of choices are worth.

Claims: placements and payments are those of brute force; a placement of 100 ads in 20
positions costs at most 12 matchings of SciPy, all payments at most 10 placements, and
10,000 auctions are one call; a conditional logit recovers what users like where
row-wise logistic regression does not; auctions with a fitted model keep 99 % of the
best welfare from 2000 impressions on, more than with row-wise models and far more than
if substitution is ignored; virtual values earn more than the welfare auction.

    python benchmarks/bench_position_auction.py

with `exactness`, `estimation`, `welfare`, `small_clicks`, `revenue`, `speed` or `batch`
for a part.
"""

import argparse
import time
from itertools import permutations

import numpy as np
from _common import cpu_times, report
from scipy import stats
from scipy.optimize import linear_sum_assignment
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from sklogit.choice import (
    ConditionalLogit,
    PositionAuction,
    VirtualValue,
    cascade_assignment,
    choice_log_likelihood,
    independent_assignment,
    mnl_assignment,
)
from sklogit.datasets import make_click_log


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
            likelihood = choice_log_likelihood(
                log.y[~half],
                model.decision_function(log.X[~half]),
                groups=log.groups[~half],
            )
            rows.append(
                {
                    "seed": seed,
                    "model": name,
                    "largest error": float(np.abs(found - truth).max()),
                    "intercept": float(found[-1]),
                    "test log-likelihood": f"{likelihood:.5f}",
                    "CPU s": seconds,
                }
            )
    report("position_auction_estimation", rows)


def random_auctions(n_auctions, n_ads, n_positions, seed):
    """Click probabilities with pairs that are not eligible."""
    rng = np.random.default_rng(seed)
    ctr = 0.9 * rng.random((n_auctions, n_ads, n_positions))
    ctr[rng.random(ctr.shape) < 0.15] = 0.0
    return rng, ctr


def placements(n_ads, n_positions, k):
    """Placements of at most k ads, as tuples of pairs in all orders of reading."""
    for size in range(k + 1):
        for rows in permutations(range(n_ads), size):
            for cols in permutations(range(n_positions), size):
                yield tuple(zip(rows, cols))


def all_clicks(ctr, k, user_model):
    """Click probabilities of all placements, (n_auctions, n_placements, n_ads)."""
    found = list(placements(*ctr.shape[1:], k))
    clicks = np.zeros((len(ctr), len(found), ctr.shape[1]))
    for p, pairs in enumerate(found):
        read, odds = np.ones(len(ctr)), np.ones(len(ctr))
        for i, j in pairs:
            if user_model == "cascade":
                clicks[:, p, i] = read * ctr[:, i, j]
                read = read * (1 - ctr[:, i, j])
            else:
                clicks[:, p, i] = ctr[:, i, j] / (1 - ctr[:, i, j])
                odds = odds + clicks[:, p, i]
        if user_model == "mnl":
            clicks[:, p] /= odds[:, np.newaxis]
    return clicks


def exactness(n_auctions, n_ads=4, n_positions=3, k=2):
    """Largest difference from brute force, and largest gain of an untrue bid."""
    rows = []
    for user_model in ("mnl", "cascade"):
        rng, ctr = random_auctions(n_auctions, n_ads, n_positions, seed=0)
        clicks = all_clicks(ctr, k, user_model)

        def best(weights, clicks=clicks):
            return np.einsum("api,ai->ap", clicks, weights).max(axis=1)

        for objective, dist, slope in (
            ("welfare", None, 1.0),
            ("revenue", stats.uniform(scale=2), 2.0),
            ("revenue", stats.expon(), 1.0),
        ):
            auction = PositionAuction(user_model, objective, max_ads=k, prior=dist)
            bids = rng.lognormal(size=(n_auctions, n_ads))
            weights = bids
            if dist is not None:
                bids = dist.ppf(rng.random((n_auctions, n_ads)))
                weights = bids - dist.sf(bids) / dist.pdf(bids)
            outcome = auction.run(bids, ctr=ctr)
            value = best(weights)
            payments = np.empty_like(bids)
            for i in range(n_ads):
                alone = weights.copy()
                alone[:, i] = 0.0
                payments[:, i] = (
                    bids[:, i] * outcome.ctr[:, i] - (value - best(alone)) / slope
                )
            utility = bids * outcome.ctr - outcome.payments
            gain, n_lies = -np.inf, n_auctions // 5
            for share in (0.0, 0.3, 0.6, 0.9, 0.99, 1.01, 1.1, 1.5, 2.0, 4.0):
                other = bids[:n_lies].copy()
                other[:, 0] *= share
                lied = auction.run(other, ctr=ctr[:n_lies])
                gained = bids[:n_lies, 0] * lied.ctr[:, 0] - lied.payments[:, 0]
                gain = max(gain, float((gained - utility[:n_lies, 0]).max()))
            found = np.einsum("ai,ai->a", weights, outcome.ctr)
            rows.append(
                {
                    "users": user_model,
                    "objective": objective,
                    "values": "lognormal" if dist is None else dist.dist.name,
                    "auctions": n_auctions,
                    "value, largest difference": float(np.abs(found - value).max()),
                    "payment, largest difference": float(
                        np.abs(outcome.payments - payments).max()
                    ),
                    "largest gain of a lie": gain,
                    "least utility": float(utility.min()),
                }
            )
    report("position_auction_exactness", rows)


def realised(found, values, truth):
    """Welfare of a placement under the true model."""
    odds = np.exp(truth[found.rows, found.cols])
    return values[found.rows] @ odds / (1 + odds.sum())


def separable(utilities):
    """Utilities of click probabilities that are a quality of the ad times a place's."""
    left, sizes, right = np.linalg.svd(expit(utilities))
    ctr = sizes[0] * np.outer(left[:, 0], right[0])
    return logit(np.clip(ctr, 1e-9, 1 - 1e-9))


def welfare(n_auctions, n_ads=20, n_positions=6):
    """Welfare that is kept by models fitted to logs of several sizes."""
    rows = []
    for n_impressions in (200, 500, 1000, 2000, 5000, 20_000):
        shares = {}
        for seed in range(5):
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
                found = {
                    "conditional logit": mnl_assignment(values, choice),
                    "row-wise logistic regression": mnl_assignment(values, single),
                    "substitution ignored": independent_assignment(
                        values, expit(choice)
                    ),
                    "substitution ignored, separable": independent_assignment(
                        values, expit(separable(choice))
                    ),
                }
                best = mnl_assignment(values, log.utilities).value
                for name, placed in found.items():
                    share = realised(placed, values, log.utilities) / best
                    shares.setdefault(name, []).append(share)
        for name, values in shares.items():
            rows.append(
                {
                    "impressions": n_impressions,
                    "placement": name,
                    "mean share": f"{np.mean(values):.4f}",
                    "least share": f"{np.min(values):.4f}",
                }
            )
    report("position_auction_welfare", rows)


def small_clicks(n_auctions, n_ads=20, n_positions=6):
    """Welfare that is kept without substitution, by how often users click."""
    rows = []
    for mean in (-12, -8, -6, -4, -3, -2, -1, 0):
        rng = np.random.default_rng(0)
        shares = []
        for _ in range(n_auctions):
            values = rng.lognormal(size=n_ads)
            utilities = rng.normal(mean, 1.0, (n_ads, n_positions))
            found = independent_assignment(values, expit(utilities))
            best = mnl_assignment(values, utilities).value
            shares.append(realised(found, values, utilities) / best)
        rows.append(
            {
                "mean utility": mean,
                "mean share": f"{np.mean(shares):.5f}",
                "least share": f"{np.min(shares):.5f}",
            }
        )
    report("position_auction_small_clicks", rows)


def revenue(n_auctions):
    """Revenue and welfare of the revenue-optimal auction, and of that of welfare."""
    rng = np.random.default_rng(0)
    rows = []
    for name, dist in (
        ("uniform", stats.uniform()),
        ("exponential", stats.expon()),
        ("lognormal", stats.lognorm(0.8)),
        ("lognormal, ironed", stats.lognorm(2.0)),
    ):
        phi = VirtualValue(dist)
        bids = dist.ppf(rng.random((n_auctions, 4)))
        table = rng.random((4, 3)) * 0.6
        outcomes = {
            objective: PositionAuction(objective=objective, max_ads=2, prior=phi).run(
                bids, ctr=table
            )
            for objective in ("welfare", 0.5, "revenue")
        }
        plain = outcomes["welfare"]
        for objective, outcome in outcomes.items():
            gain = outcome.revenue - plain.revenue
            virtual = np.einsum("ai,ai->a", np.maximum(phi(bids), -1e9), outcome.ctr)
            rows.append(
                {
                    "values": name,
                    "objective": objective,
                    "revenue": float(outcome.revenue.mean()),
                    "welfare": float(outcome.welfare.mean()),
                    "gain": float(gain.mean()),
                    "its standard error": float(gain.std() / np.sqrt(n_auctions)),
                    "gain %": 100 * float(gain.mean() / plain.revenue.mean()),
                    "mean virtual welfare": float(virtual.mean()),
                }
            )
    report("position_auction_revenue", rows)


def speed():
    """Time of placements in matchings, and of payments in placements."""
    rows = []
    rng = np.random.default_rng(0)
    for n in (100, 1000, 5000, 10_000):
        for m, k in ((5, 5), (10, 10), (20, 20), (20, 8)):
            values, utilities = rng.lognormal(size=n), rng.normal(-3, 1, (n, m))
            gains = values[:, np.newaxis] * np.exp(utilities)
            auction = PositionAuction(max_ads=k)
            times, (_, placed, _, outcome) = cpu_times(
                lambda g=gains: linear_sum_assignment(g, maximize=True),
                lambda v=values, u=utilities, k=k: mnl_assignment(v, u, k),
                lambda v=values, u=utilities, a=auction: a.allocate(v, utilities=u),
                lambda v=values, u=utilities, a=auction: a.run(v, utilities=u),
                repeats=7,
            )
            rows.append(
                {
                    "ads": n,
                    "positions": m,
                    "most ads": k,
                    "winners": int((outcome.assignment >= 0).sum()),
                    "matchings": placed.n_iter,
                    "placement ms": 1e3 * times[1],
                    "of one matching": times[1] / times[0],
                    "with payments ms": 1e3 * times[3],
                    "of allocate": times[3] / times[2],
                }
            )
    report("position_auction_speed", rows)


def batch(n_auctions=10_000):
    """One call for many auctions, with progress."""
    rng = np.random.default_rng(0)
    bids, utilities = rng.lognormal(size=(n_auctions, 20)), rng.normal(-2, 1, (20, 6))
    rows = []
    for user_model, objective, n in (
        ("mnl", "welfare", n_auctions),
        ("independent", "welfare", n_auctions),
        ("cascade", "welfare", n_auctions // 10),
        ("mnl", "revenue", n_auctions // 20),
    ):
        auction = PositionAuction(
            user_model, objective, prior=stats.lognorm(1.0), verbose=1
        )
        with threadpool_limits(1):
            start = time.process_time()
            outcome = auction.run(bids[:n], utilities=utilities)
            seconds = time.process_time() - start
        rows.append(
            {
                "users": user_model,
                "objective": objective,
                "auctions": n,
                "CPU s": seconds,
                "ms an auction": 1e3 * seconds / n,
                "winners": float((outcome.assignment >= 0).sum(axis=1).mean()),
            }
        )
    # The dynamic programme at its limit, and what the greedy placement keeps.
    for n, m in ((1000, 8), (1000, 10), (200, 14), (50, 16)):
        values, ctr = rng.lognormal(size=n), expit(rng.normal(-2, 1, (n, m)))
        times, (exact, greedy) = cpu_times(
            lambda v=values, p=ctr: cascade_assignment(v, p),
            lambda v=values, p=ctr: cascade_assignment(v, p, solver="greedy"),
            repeats=1,
        )
        print(
            f"cascade, {n} ads, {m} positions: {times[0]:.3g} CPU s, greedy "
            f"{times[1]:.3g} CPU s and {greedy.value / exact.value:.4f} of the value"
        )
    report("position_auction_batch", rows)


def main():
    """Run the parts that are named, or all."""
    parts = (
        "exactness",
        "estimation",
        "welfare",
        "small_clicks",
        "revenue",
        "speed",
        "batch",
    )
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(parts))
    parser.add_argument("--impressions", type=int, default=20_000)
    parser.add_argument("--auctions", type=int, default=200)
    args = parser.parse_args()
    runs = {
        "exactness": lambda: exactness(5 * args.auctions),
        "estimation": lambda: estimation(args.impressions),
        "welfare": lambda: welfare(args.auctions),
        "small_clicks": lambda: small_clicks(args.auctions),
        "revenue": lambda: revenue(10 * args.auctions),
        "speed": speed,
        "batch": batch,
    }
    for part in args.parts:
        runs[part]()


if __name__ == "__main__":
    main()
