"""CutCrossEntropyClassifier beside scikit-learn's LogisticRegression, for many classes.

    python benchmarks/bench_cut_cross_entropy_classifier.py [dense] [tall] [sparse]

"tall" has twice the rows of "dense": the matrix of logits grows with them.

Each fit runs in a process of its own, on one thread; seconds are CPU time. "peak" is
the greatest resident memory of the fit above what the data took; "objective" is the one
that all minimise, computed afterwards in double precision.
"""

import json
import resource
import subprocess
import sys
import time
import warnings

import numpy as np
from scipy import sparse

C = 1.0
# Name, dtype, tol. At the same tol CutCrossEntropyClassifier would stop at a greater
# objective, as its gradient falls faster.
RUNS = (
    ("LogisticRegression", "float64", 1e-4),
    ("LogisticRegression", "float32", 1e-4),
    ("CutCrossEntropyClassifier", "float64", 7e-5),
    ("CutCrossEntropyClassifier", "float32", 7e-5),
)


def dense(n_rows=10_000, n_features=64, n_classes=8000):
    """Classes of frequencies as of words, with means of their own, in noise.

    Features have variances from 1 to 1/36, as principal components have.
    """
    rng = np.random.default_rng(0)
    means = 0.7 * rng.standard_normal((n_classes, n_features))
    y = as_words(rng, n_rows, n_classes)
    X = means[y] + rng.standard_normal((n_rows, n_features))
    return X * np.linspace(1, 1 / 6, n_features), y


def sparse_rows(n_rows=8000, n_features=2000, n_classes=2000, n_words=30):
    """Make counts of words, of which each class has favourites."""
    rng = np.random.default_rng(0)
    y = as_words(rng, n_rows, n_classes)
    favourites = rng.integers(0, n_features, (n_classes, 20))
    columns = rng.integers(0, n_features, (n_rows, n_words))
    own = rng.uniform(size=columns.shape) < 0.3
    columns[own] = favourites[y[np.nonzero(own)[0]], rng.integers(0, 20, own.sum())]
    ends = np.arange(0, columns.size + 1, n_words)
    shape = n_rows, n_features
    X = sparse.csr_array((np.ones(columns.size), columns.ravel(), ends), shape=shape)
    X.sum_duplicates()
    return X, y


def as_words(rng, n_rows, n_classes):
    share = 1 / np.arange(10, n_classes + 10)
    y = rng.choice(n_classes, n_rows, p=share / share.sum())
    y[:n_classes] = np.arange(n_classes)  # every class has a row
    return y


def tall():
    return dense(n_rows=20_000)


CASES = {"dense": dense, "tall": tall, "sparse": sparse_rows}


def objective(model, X, y):
    """Mean loss and penalty, block by block."""
    from scipy.special import logsumexp

    coef, total = model.coef_.astype(np.float64), 0.0
    for start in range(0, len(y), 1000):
        rows = slice(start, start + 1000)
        z = X[rows] @ coef.T + model.intercept_
        total += (logsumexp(z, axis=1) - z[np.arange(len(z)), y[rows]]).sum()
    return total / len(y) + (coef**2).sum() / (2 * C * len(y))


def fit(case, name, dtype, tol):
    """Fit in this process, and print the figures."""
    import torch
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    from sklogit.neural import CutCrossEntropyClassifier

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    classes = {c.__name__: c for c in (LogisticRegression, CutCrossEntropyClassifier)}
    X, y = CASES[case]()
    model = classes[name](C=C, tol=tol, max_iter=1000)
    data = X.astype(dtype)
    # What is loaded at the first fit only.
    classes[name](max_iter=1).fit(data[:40], y[:40] % 3)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with threadpool_limits(1):
        start = time.process_time()
        model.fit(data, y)
        seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    found = {
        "iterations": int(np.max(model.n_iter_)),
        "seconds": seconds,
        "peak MB": peak / 1000,
        "objective": objective(model, X, y),
    }
    print(json.dumps(found))


def measure(case, name, dtype, tol):
    """Fit in a process of its own."""
    command = [sys.executable, __file__, "--fit", case, name, dtype, str(tol)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])


def table(case, results):
    """Report the figures of all runs, in their order."""
    from _common import report

    rows = []
    base = results[0]
    for (name, dtype, _), found in zip(RUNS, results):
        row = {"fit": name, "dtype": dtype} | found
        row["objective"] = f"{found['objective']:.5f}"
        row["times faster"] = base["seconds"] / found["seconds"]
        row["times less memory"] = base["peak MB"] / found["peak MB"]
        rows.append(row)
    report(f"cut_cross_entropy_classifier_{case}", rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--fit"]:
        case, name, dtype, tol = sys.argv[2:]
        fit(case, name, dtype, float(tol))
    else:
        for case in sys.argv[1:] or CASES:
            table(case, [measure(case, *run) for run in RUNS])
