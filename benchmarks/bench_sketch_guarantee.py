"""What row sketches promise for every coefficient, and which of them keep it.

Claims: with the number of rows of `sketch_size`, dense sketches keep every coefficient
within eps / sqrt(d) ||r|| ||A^+|| at least as often as promised, on light and heavy
tails and on rare categories; the error bars computed from a sketch alone hold for all
coefficients at once as often as they say; sparse sketches do neither on coherent data.

    python benchmarks/bench_sketch_guarantee.py
"""

import argparse
import warnings

import _regression_data as data
import numpy as np
from _common import report, versions
from scipy.stats import norm

from sklogit.sketching import SketchedLinearRegression, sketch_rows, sketch_size

DENSE = ["gaussian", "gaussian_pooled", "srht", "dct", "block_srht"]
SPARSE = ["sparse_sign", "countsketch"]
TABLES = {
    "normal": data.gaussian,
    "spiky": data.spiky,
    "Student t(1.5)": data.student,
    "rare dummies": data.rare_dummies,
    "digits": data.digit_pixels,
    "health insurance": data.health_insurance,
}


def coefficients(SAb):
    """Least-squares solution of a sketch of [A, b]."""
    return np.linalg.lstsq(SAb[:, :-1], SAb[:, -1], rcond=None)[0]


def counterexample(n_draws, n=8192, d=32, m=2048):
    """Count broken bounds for unit rows beside a target spread over k other rows."""
    rows = []
    eps = np.sqrt(d * _quantile(d, 0.05) ** 2 / (m - d))
    methods = [*DENSE, "countsketch", *(f"sparse_sign, {z}" for z in (2, 4, 8, 32))]
    for k in (16, 32, 64):
        row = {"k": k, "eps": float(eps)}
        for method in methods:
            name, _, nnz = method.partition(", ")
            options = {"nnz": int(nnz)} if nnz else {}
            broken = 0
            for seed in range(n_draws):
                rng = np.random.default_rng(seed)
                Ab = np.zeros((n, d + 1))
                Ab[:d, :d] = np.eye(d)
                Ab[d : d + k, d] = k**-0.5
                Ab = Ab[rng.permutation(n)]
                x = coefficients(
                    sketch_rows(Ab, m, method=name, random_state=seed, **options)
                )
                broken += np.sqrt(d) * np.abs(x).max() > eps
            row[method] = broken / n_draws
        rows.append(row)
    report("sketch_counterexample", rows)


def _quantile(d, delta):
    return norm.ppf(1 - delta / (2 * d))


def size_rule(n_draws, n=4096, delta=0.05):
    """How often the bound breaks with the number of rows of the rule."""
    rows = []
    for name, make in TABLES.items():
        for d in (10,) if name == "health insurance" else (10, 50):
            for eps in (1.0, 0.5, 0.25):
                m = sketch_size(d, eps=eps, delta=delta)
                size = max(n, 4 * m) if name != "health insurance" else 20190
                if 2 * m > size or m > 5000:
                    continue
                rng = np.random.default_rng(d)
                X = make(size, d, rng)
                y = data.target(X, rng)
                exact = np.linalg.lstsq(X, y, rcond=None)[0]
                bound = eps / np.sqrt(d) * np.linalg.norm(y - X @ exact)
                bound *= np.linalg.norm(np.linalg.pinv(X), 2)
                Ab = np.column_stack([X, y])
                row = {"data": name, "d": d, "eps": eps, "m": m, "n": size}
                for method in DENSE[1:] + SPARSE:
                    row[method] = np.mean(
                        [
                            np.abs(
                                coefficients(
                                    sketch_rows(Ab, m, method=method, random_state=seed)
                                )
                                - exact
                            ).max()
                            > bound
                            for seed in range(n_draws)
                        ]
                    )
                rows.append(row)
    report("sketch_size_rule", rows)


def coverage(n_draws, n=5000, d=16):
    """How often the error bars of all coefficients hold at once; 95 % are promised."""
    rows = []
    for name, make in TABLES.items():
        for m in (256, 1024):
            columns = 9 if name == "health insurance" else d
            rng = np.random.default_rng(1)
            X = make(n, columns, rng)
            y = data.target(X, rng)
            design = np.column_stack([np.ones(len(X)), X])
            exact = np.linalg.lstsq(design, y, rcond=None)[0][1:]
            row = {"data": name, "m": m}
            for method in DENSE + SPARSE:
                hits = 0
                for seed in range(n_draws):
                    model = SketchedLinearRegression(
                        sketch_size=m, sketch=method, solver="sketch", random_state=seed
                    ).fit(X, y)
                    hits += (np.abs(model.coef_ - exact) <= model.coef_error_).all()
                row[method] = hits / n_draws
            rows.append(row)
    report("sketch_coverage", rows)


def main():
    """Run all parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--part", choices=["counterexample", "size", "coverage"])
    args = parser.parse_args()
    versions()
    warnings.simplefilter("ignore", UserWarning)  # sparse sketches have no guarantee
    if args.part in (None, "counterexample"):
        counterexample(args.draws)
    if args.part in (None, "size"):
        size_rule(args.draws)
    if args.part in (None, "coverage"):
        coverage(3 * args.draws)


if __name__ == "__main__":
    main()
