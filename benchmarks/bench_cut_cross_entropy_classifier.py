"""CutCrossEntropyClassifier beside scikit-learn's LogisticRegression, for many classes.

    python benchmarks/bench_cut_cross_entropy_classifier.py [run ...]

Each fit runs in a process of its own, on one thread. "peak" is the greatest resident
memory of the fit above what the data took; "objective" is the one that all minimise,
computed afterwards in double precision.
"""

import json
import resource
import subprocess
import sys
import time
import warnings

import numpy as np

# Classes, rows, features of the problem of the table.
N_CLASSES, N_ROWS, N_FEATURES = 8000, 10_000, 64
C = 1.0
RUNS = {
    "LogisticRegression, float64": ("sklearn", "float64", 1e-4),
    "LogisticRegression, float32": ("sklearn", "float32", 1e-4),
    # At the same tol it would stop at a greater objective.
    "CutCrossEntropyClassifier, float64": ("ours", "float64", 7e-5),
    "CutCrossEntropyClassifier, float32": ("ours", "float32", 7e-5),
}


def mixture(n_rows=N_ROWS, n_features=N_FEATURES, n_classes=N_CLASSES, seed=0):
    """Classes of frequencies as of words, with means of their own, in noise.

    Features have variances from 1 to 1/36, as principal components have.
    """
    rng = np.random.default_rng(seed)
    means = 0.7 * rng.standard_normal((n_classes, n_features))
    share = 1 / np.arange(10, n_classes + 10)
    y = rng.choice(n_classes, n_rows, p=share / share.sum())
    y[:n_classes] = np.arange(n_classes)  # every class has a row
    X = means[y] + rng.standard_normal((n_rows, n_features))
    return X * np.linspace(1, 1 / 6, n_features), y


def objective(model, X, y):
    """Mean loss and penalty, block by block."""
    from scipy.special import logsumexp

    coef, total = model.coef_.astype(np.float64), 0.0
    for start in range(0, len(X), 1000):
        rows = slice(start, start + 1000)
        z = X[rows] @ coef.T + model.intercept_
        total += (logsumexp(z, axis=1) - z[np.arange(len(z)), y[rows]]).sum()
    return total / len(X) + (coef**2).sum() / (2 * C * len(X))


def fit(kind, dtype, tol):
    """Fit in this process, and print the figures."""
    import torch
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    from sklogit.neural import CutCrossEntropyClassifier

    torch.set_num_threads(1)
    X, y = mixture()
    model = {
        "sklearn": LogisticRegression(C=C, tol=tol, max_iter=1000),
        "ours": CutCrossEntropyClassifier(C=C, tol=tol, max_iter=1000),
    }[kind]
    # What is loaded at the first fit only.
    small = slice(0, 40)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        type(model)(max_iter=1).fit(X[small].astype(dtype), y[small] % 3)
    data = X.astype(dtype)
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


def main(names):
    from _common import report

    rows = []
    for name in names or RUNS:
        command = [sys.executable, __file__, "--fit", *map(str, RUNS[name])]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        rows.append({"fit": name} | json.loads(run.stdout.splitlines()[-1]))
        print(rows[-1], flush=True)
    base = rows[0]
    for row in rows:
        row["times faster"] = base["seconds"] / row["seconds"]
        row["times less memory"] = base["peak MB"] / row["peak MB"]
        row["objective"] = f"{row['objective']:.6f}"
    report("cut_cross_entropy_classifier", rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--fit"]:
        kind, dtype, tol = sys.argv[2:]
        fit(kind, dtype, float(tol))
    else:
        main(sys.argv[1:])
