"""Kernels of one sweep over dense rows: NumPy, blocked NumPy, Numba, PyTorch.

A sweep is what every iteration needs: margins m = y (X w), weights 1 / (1 + exp(m)),
their sum and the weighted sum of the rows. Compared are two matrix-vector products, the
blocked sweep of the library (which also counts errors and finds the least margin), a
loop compiled by Numba and PyTorch on the CPU, as far as they are installed.

    python benchmarks/study_separation_kernels.py

The rule was: a compiled loop earns its place at 1.5 times the speed of NumPy.
"""

import argparse

import numpy as np
from _common import cpu_times, report
from scipy.special import expit

from sklogit.linear_model._rows import Rows
from sklogit.linear_model._weighing import Sums, WeighBlock

SIZES = [(200_000, 100), (300_000, 20), (20_000, 784)]
CALLS = 5


def two_products(X, y, w):
    """Read the matrix twice from memory."""
    weights = expit(-y * (X @ w))
    return (weights * y) @ X / weights.sum()


def blocked(X, y, w):
    """Read it once, in blocks of the size of the cache."""
    block = WeighBlock("binary", "logistic", w[:, np.newaxis], np.zeros(1, w.dtype))
    sums = Sums.merge(Rows(X, y).map(block))
    return sums.rows.ravel() / sums.total


def numba_kernel():
    """Return the loop over rows, compiled, or None."""
    try:
        import numba
    except ImportError:
        return None

    @numba.njit(fastmath=True)
    def fused(X, y, w):
        n, d = X.shape
        total, rows = 0.0, np.zeros_like(w)
        for i in range(n):
            score = w[0] * 0
            for j in range(d):
                score += X[i, j] * w[j]
            weight = 1 / (1 + np.exp(y[i] * score))
            total += weight
            signed = weight * y[i]
            for j in range(d):
                rows[j] += signed * X[i, j]
        return rows / total

    return fused


def torch_kernel():
    """Return the sweep by two products of PyTorch, or None."""
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(1)

    def products(X, y, w):
        X, y, w = torch.from_numpy(X), torch.from_numpy(y), torch.from_numpy(w)
        weights = torch.sigmoid(-y * (X @ w))
        return ((weights * y) @ X / weights.sum()).numpy()

    return products


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    kernels = {
        "two products": two_products,
        "blocked": blocked,
        "numba": numba_kernel(),
        "torch": torch_kernel(),
    }
    kernels = {name: kernel for name, kernel in kernels.items() if kernel is not None}
    rows = []
    for n, d in SIZES:
        for dtype in (np.float64, np.float32):
            rng = np.random.default_rng(0)
            X = rng.standard_normal((n, d), dtype=dtype)
            y = np.where(rng.random(n) < 0.5, -1, 1).astype(dtype)
            # Scores of size 1 leave no weight so small that its row can be left out.
            w = (rng.standard_normal(d) / np.sqrt(d)).astype(dtype)
            rows.append(_compare(kernels, X, y, w, args.repeats))
    report("study_separation_kernels", rows)


def _compare(kernels, X, y, w, repeats):
    def several(kernel):
        for _ in range(CALLS):
            found = kernel(X, y, w)
        return found

    expected = two_products(X.astype(float), y.astype(float), w.astype(float))
    for kernel in kernels.values():  # the first call compiles
        difference = np.linalg.norm(kernel(X, y, w) - expected)
        assert difference < 1e-3 * np.linalg.norm(expected)
    times, _ = cpu_times(
        *[lambda kernel=kernel: several(kernel) for kernel in kernels.values()],
        repeats=repeats,
    )
    row = {"n": X.shape[0], "d": X.shape[1], "dtype": X.dtype.name}
    row |= {f"{name} (ms)": 1e3 * t / CALLS for name, t in zip(kernels, times)}
    for name in ("numba", "torch"):
        if f"{name} (ms)" in row:
            row[f"blocked / {name}"] = row["blocked (ms)"] / row[f"{name} (ms)"]
    return row


if __name__ == "__main__":
    main()
