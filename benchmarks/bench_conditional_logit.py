"""Conditional logits of published surveys, by us and by the packages for them.

Claims: coefficients and log-likelihoods are those of xlogit, statsmodels, pylogit and
choice-learn; from thousands of choices on ours take about a fifth of the CPU time of
the fastest of these, or less; 100,000 impressions of 10 alternatives are fitted in less
than a second. That the estimates are those which were published is tested, in
tests/datasets/test_transport_choices.py.

    python benchmarks/bench_conditional_logit.py

Peers that are not installed are left out; a name of a data set runs it alone.
"""

import argparse
import contextlib
import io
import time
import warnings

import numpy as np
from _choice_peers import PEERS
from _common import cpu_times, report

from sklogit.datasets import load_mode_canada, load_mode_choice, load_swissmetro

# Beyond these rows a fit would take minutes, or more memory than there is.
MOST_ROWS = {"statsmodels": 20_000, "pylogit": 20_000, "choice-learn": 20_000}
# Fits of more CPU seconds than these are timed once more, or count as they are.
SLOW, VERY_SLOW = 0.5, 4.0


def choices(n_groups, n_alternatives, n_features, seed=0):
    """Choices without outside option, of a random model."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_groups * n_alternatives, n_features))
    noisy = X @ rng.standard_normal(n_features) + rng.gumbel(size=len(X))
    y = np.zeros((n_groups, n_alternatives), dtype=int)
    best = noisy.reshape(n_groups, n_alternatives).argmax(axis=1)
    y[np.arange(n_groups), best] = 1
    return X, y.ravel(), np.repeat(np.arange(n_groups), n_alternatives)


def survey(load):
    """Rows of a published survey."""
    data = load()
    return data.X, data.y, data.groups


DATA = {
    "Greene": lambda: survey(load_mode_choice),
    "Mode Canada": lambda: survey(load_mode_canada),
    "Swissmetro": lambda: survey(load_swissmetro),
    "5000 x 10": lambda: choices(5000, 10, 8),
    "100000 x 10": lambda: choices(100_000, 10, 8),
}


def prepared(data, n_rows):
    """Functions (fit, read) of the peers that are installed and take so many rows."""
    found = {}
    for name, prepare in PEERS.items():
        if n_rows > MOST_ROWS.get(name, np.inf):
            continue
        try:
            found[name] = prepare(*data)
        except ImportError as error:
            print(f"without {name}: {error}")
    return found


def quiet(function):
    """Call a function; peers print and warn much."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        return function()


def one(name, repeats):
    """Compare all packages on one data set."""
    data = DATA[name]()
    found = prepared(data, len(data[1]))
    repeats_of, times, models = {}, {}, {}
    for peer, (fit, _) in list(found.items()):
        start = time.process_time()
        try:
            model = quiet(fit)
        except Exception as error:
            print(f"{name}: {peer} failed: {type(error).__name__}: {error}")
            del found[peer]
            continue
        took = time.process_time() - start
        print(f"{name}: {peer} took {took:.3g} CPU s at first", flush=True)
        if took > VERY_SLOW:
            times[peer], models[peer] = took, model
        else:  # without what is loaded or compiled on first use
            repeats_of[peer] = 1 if took > SLOW else repeats
    for number in set(repeats_of.values()):
        peers = [peer for peer in found if repeats_of.get(peer) == number]
        fits = [lambda fit=found[peer][0]: quiet(fit) for peer in peers]
        seconds, fitted = cpu_times(*fits, repeats=number)
        times.update(zip(peers, seconds))
        models.update(zip(peers, fitted))
    estimates = {peer: found[peer][1](models[peer]) for peer in found}
    ours = estimates["sklogit"][0]
    return [
        {
            "data": name,
            "choices": len(np.unique(data[2])),
            "rows": len(data[1]),
            "coefficients": data[0].shape[1],
            "package": peer,
            "log-likelihood": f"{likelihood:.4f}",
            "difference": float(np.abs(coef - ours).max()),
            "CPU ms": 1e3 * times[peer],
            "of ours": times[peer] / times["sklogit"],
        }
        for peer, (coef, likelihood) in estimates.items()
    ]


def main():
    """Run the data sets that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="*", default=list(DATA))
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    rows = []
    for name in args.data:
        rows += one(name, args.repeats)
        report("conditional_logit", rows)


if __name__ == "__main__":
    main()
