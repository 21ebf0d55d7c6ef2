"""Polynomial kernel features: error, time and accuracy beside count sketches.

Claims: `TensorSRHT` takes less time than scikit-learn's `PolynomialCountSketch` in
every measured cell, dense or sparse; as published, with complex products, its kernel
has the smaller error from degree 2 to 4, with real ones only for degree 2; with the
direction of the mean taken out the error is several times smaller where the data have
one. A sketch of a single Kronecker product does not pay, one of very many side by side
does.

Tables (benchmarks/results/):

- tensor_srht_errors.csv: relative Frobenius error of the kernel matrix, mean of seeds.
- tensor_srht_time_dense.csv and ..._sparse.csv: CPU time of fit and transform.
- tensor_srht_accuracy.csv: linear classifiers and ridge regression on the features.
- tensor_srht_kronecker.csv: least squares with a Kronecker product.
- tensor_srht_guarantee.csv: error of the coefficients against the bound.

    python benchmarks/bench_tensor_srht.py [--only NAME] [--quick]
"""

import argparse
from functools import partial
from itertools import product

import numpy as np
from _common import cpu_times, report
from scipy import sparse
from sklearn.datasets import load_digits, make_friedman1
from sklearn.kernel_approximation import (
    Nystroem,
    PolynomialCountSketch,
    RBFSampler,
)
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import RidgeClassifierCV, RidgeCV
from sklearn.metrics.pairwise import polynomial_kernel
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import normalize
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from sklogit.sketching import TensorSRHT, kronecker_sketch

ALPHAS = np.logspace(-8, 2, 11)


def nystroem(m, degree, coef0, seed):
    return Nystroem(
        kernel="poly",
        gamma=1.0,
        degree=degree,
        coef0=coef0,
        n_components=m,
        random_state=seed,
    )


def count_sketch(m, degree, coef0, seed):
    return PolynomialCountSketch(
        n_components=m, degree=degree, coef0=coef0, random_state=seed
    )


def published(m, degree, coef0, seed, is_complex=True):
    return TensorSRHT(
        m,
        degree=degree,
        coef0=coef0,
        exact_mean=False,
        complex_to_real=is_complex,
        random_state=seed,
    )


def real(m, degree, coef0, seed):
    return published(m, degree, coef0, seed, is_complex=False)


def default(m, degree, coef0, seed):
    return TensorSRHT(m, degree=degree, coef0=coef0, random_state=seed)


FEATURES = {
    "count_sketch": count_sketch,
    "real": real,
    "complex": published,
    "default": default,
    "nystroem": nystroem,
}


# -- data ------------------------------------------------------------------------------


def digits():
    X, y = load_digits(return_X_y=True)
    return normalize(X), y


def gaussian(n=600, d=64):
    """Make unit rows without a preferred direction."""
    return normalize(np.random.default_rng(0).standard_normal((n, d)))


def documents(n, d, n_words=100, seed=0):
    """Make weighted counts of words with Zipf's law, of twenty topics; unit rows."""
    rng = np.random.default_rng(seed)
    common = 1 / np.arange(1, d + 1)
    topics = common * rng.gamma(0.1, size=(20, d))
    p = common / common.sum() + topics / topics.sum(axis=1, keepdims=True)
    p /= p.sum(axis=1, keepdims=True)
    rows, columns = [], []
    for row, topic in enumerate(rng.integers(20, size=n)):
        columns.append(np.unique(rng.choice(d, size=n_words, p=p[topic])))
        rows.append(np.full(len(columns[-1]), row))
    rows, columns = np.concatenate(rows), np.concatenate(columns)
    seen = np.bincount(columns, minlength=d)
    values = np.log(n / seen[columns])
    return normalize(sparse.csr_array((values, (rows, columns)), shape=(n, d)))


# -- errors ----------------------------------------------------------------------------


# The errors of degree 4 on rows in the same direction vary much from seed to seed.
N_SEEDS = {"digits": 100, "gaussian": 10, "documents": 10}


def errors(quick):
    sets = {
        "digits": digits()[0][::6],
        "gaussian": gaussian(),
        "documents": documents(600, 2000),
    }
    rows = []
    for (name, X), coef0, degree in product(sets.items(), (0.0, 1.0), (2, 3, 4)):
        K = polynomial_kernel(X, degree=degree, gamma=1.0, coef0=coef0)
        for m in (256, 1024):
            row = {"data": name, "coef0": coef0, "degree": degree, "m": m}
            for label, make in FEATURES.items():
                row[label] = "-"  # not more landmarks than rows
                if label != "nystroem" or m <= X.shape[0]:
                    make_seeded = partial(make, m, degree, coef0)
                    row[label] = mean_error(
                        make_seeded, X, K, 2 if quick else N_SEEDS[name]
                    )
            rows.append(row)
            print(row, flush=True)
    return rows


def mean_error(make, X, K, n_seeds):
    found = []
    for seed in range(n_seeds):
        Z = make(seed).fit_transform(X)
        found.append(np.linalg.norm(Z @ Z.T - K) / np.linalg.norm(K))
    return float(np.mean(found))


# -- time ------------------------------------------------------------------------------

DENSE = [*((5000, d) for d in (4, 16, 64, 256, 784)), (2000, 4000)]
SPARSE = [(5000, 64), (5000, 784), (2000, 4000), (1000, 20000)]
CELLS = [(2, 256), (2, 1024), (2, 4096), (3, 1024), (4, 1024)]


def dense(n, d, rng):
    return rng.uniform(size=(n, d))


def csr(n, d, rng):
    density = max(0.01, 5 / d)
    return sparse.random_array((n, d), density=density, format="csr", rng=rng)


def time(make_data, shapes, quick):
    rows = []
    for (n, d), (degree, m) in product(shapes, CELLS):
        X = make_data(n, d, np.random.default_rng(0))
        params = m, degree, 1.0, 0
        calls = [
            partial(count_sketch(*params).fit_transform, X),
            partial(default(*params).fit_transform, X),
            partial(published(*params).fit_transform, X),
            partial(default(*params).fit_transform, X.astype(np.float32)),
            partial(RBFSampler(n_components=m, random_state=0).fit_transform, X),
        ]
        if m <= 1024 and make_data is dense and degree == 2:
            calls.append(partial(nystroem(*params).fit_transform, X))
        times, _ = cpu_times(*calls, repeats=1 if quick or d >= 4000 else 2)
        milliseconds = [1e3 * t for t in times]
        cell = {"n": n, "d": d, "degree": degree, "m": m}
        names = ["count_sketch", "default", "complex", "default_float32", "rbf_sampler"]
        cell |= {f"{label}_ms": t for label, t in zip(names, milliseconds)}
        cell["nystroem_ms"] = milliseconds[5] if len(calls) > 5 else "-"
        rows.append(cell | {"ratio": times[0] / times[1]})
        print(rows[-1], flush=True)
    return rows


# -- accuracy --------------------------------------------------------------------------


def accuracy(quick):
    n_splits = 2 if quick else 5
    rows = []
    X, y = digits()
    for degree in (2, 3, 4):
        exact = SVC(kernel="poly", degree=degree, gamma=1.0, coef0=0.0, C=100.0)
        data = "digits", X, y, degree, 0.0
        rows += accuracy_rows(data, RidgeClassifierCV(ALPHAS), exact, n_splits)
    X, y = make_friedman1(4000, n_features=20, noise=0.5, random_state=0)
    X /= np.sqrt(20)
    for degree in (2, 3, 4):
        exact = KernelRidge(kernel="poly", degree=degree, gamma=1.0, coef0=1.0)
        exact.set_params(alpha=1e-5)
        data = "friedman1", X, y, degree, 1.0
        rows += accuracy_rows(data, RidgeCV(ALPHAS), exact, n_splits)
    return rows


def accuracy_rows(data, linear, exact, n_splits):
    name, X, y, degree, coef0 = data
    score = partial(mean_score, X, y, n_splits)
    shared = {
        "linear": f"{score(lambda seed: linear):.4f}",
        "exact_kernel": f"{score(lambda seed: exact):.4f}",
    }
    rows = []
    for m in (128, 512):
        row = {"data": name, "degree": degree, "m": m}
        for label, make in FEATURES.items():
            features = partial(make, m, degree, coef0)
            row[label] = f"{score(partial(pipeline, features, linear)):.4f}"
        rows.append(row | shared)
        print(rows[-1], flush=True)
    return rows


def pipeline(features, model, seed):
    return make_pipeline(features(seed), model)


def mean_score(X, y, n_splits, make):
    """Mean over random halves of the score on the other half."""
    scores = []
    for seed in range(n_splits):
        parts = train_test_split(X, y, test_size=0.5, random_state=seed)
        X_train, X_test, y_train, y_test = parts
        scores.append(make(seed).fit(X_train, y_train).score(X_test, y_test))
    return float(np.mean(scores))


# -- Kronecker products ----------------------------------------------------------------


def solve_by_qr(terms, B):
    """Solve exactly, with as many rows as the columns of all factors span."""
    firsts, seconds = zip(*terms)
    Q1, R1 = np.linalg.qr(np.hstack(firsts))
    Q2, R2 = np.linalg.qr(np.hstack(seconds))
    ends1 = np.cumsum([A.shape[1] for A in firsts])[:-1]
    ends2 = np.cumsum([A.shape[1] for A in seconds])[:-1]
    parts = zip(np.split(R1, ends1, axis=1), np.split(R2, ends2, axis=1))
    design = np.hstack([np.kron(P1, P2) for P1, P2 in parts])
    return np.linalg.lstsq(design, (Q1.T @ B @ Q2).ravel())[0]


def solve_sketched(terms, B, m, seed=0):
    sketch = partial(kronecker_sketch, sketch_size=m, random_state=seed)
    SA = np.hstack([sketch(A1, A2, None)[0] for A1, A2 in terms])
    Sb = sketch(*terms[0], B)[1]
    return np.linalg.lstsq(SA, Sb)[0]


def solve_explicitly(terms, B):
    A = np.hstack([np.kron(A1, A2) for A1, A2 in terms])
    return np.linalg.lstsq(A, B.ravel())[0]


# Rows of each factor, its columns, number of terms side by side.
DESIGNS = [
    (128, 4, 1),
    (512, 4, 1),
    (512, 8, 1),
    (2048, 8, 1),
    (256, 2, 8),
    (256, 2, 32),
    (512, 2, 128),
]
_MOST_ENTRIES = 1 << 25


def kronecker(quick):
    rng = np.random.default_rng(0)
    rows = []
    for n, d, n_terms in DESIGNS[: 5 if quick else None]:
        terms = [rng.standard_normal((2, n, d)) for _ in range(n_terms)]
        B = sum(A1 @ rng.standard_normal((d, d)) @ A2.T for A1, A2 in terms)
        B += rng.standard_normal((n, n))
        n_columns = n_terms * d * d
        m = 16 * n_columns
        calls = [
            partial(solve_by_qr, terms, B),
            partial(solve_sketched, terms, B, m),
            partial(solve_explicitly, terms, B),
        ]
        feasible = n * n * n_columns <= _MOST_ENTRIES
        times, found = cpu_times(*calls[: 3 if feasible else 2], repeats=1)
        error = np.linalg.norm(found[1] - found[0]) / np.linalg.norm(found[0])
        rows.append(
            {
                "rows": n * n,
                "terms": n_terms,
                "columns": n_columns,
                "qr_rows": min(n, n_terms * d) ** 2,
                "m": m,
                "qr_ms": 1e3 * times[0],
                "sketch_ms": 1e3 * times[1],
                "explicit_lstsq_ms": 1e3 * times[2] if feasible else "-",
                "relative_error": float(error),
            }
        )
        print(rows[-1], flush=True)
    return rows


def guarantee(quick):
    """Measure sqrt(d) |x' - x*|_inf / (|r| |A^+|), at most eps: 95 % quantiles."""
    n, d, m, n_draws = 64, 4, 512, 20 if quick else 200
    rng = np.random.default_rng(0)
    designs = {
        "gaussian": lambda: rng.standard_normal((n, d)),
        "identity": lambda: np.eye(n)[rng.permutation(n)][:, :d],
        "student_t": lambda: rng.standard_t(1.5, size=(n, d)),
    }
    rows = []
    for name, draw in designs.items():
        ratios = {"kronecker_sketch": [], "gaussian_sketch": []}
        for seed in range(n_draws):
            A1, A2 = draw(), draw()
            B = rng.standard_normal((n, n))
            A, b = np.kron(A1, A2), B.ravel()
            exact = solve_by_qr([(A1, A2)], B)
            bound = np.linalg.norm(b - A @ exact) / np.linalg.svdvals(A).min() / d
            S = rng.standard_normal((m, n * n)) / np.sqrt(m)
            found = {
                "kronecker_sketch": solve_sketched([(A1, A2)], B, m, seed),
                "gaussian_sketch": np.linalg.lstsq(S @ A, S @ b)[0],
            }
            for label, x in found.items():
                ratios[label].append(np.abs(x - exact).max() / bound)
        rows.append(
            {"design": name}
            | {label: float(np.quantile(r, 0.95)) for label, r in ratios.items()}
        )
    return rows


TABLES = {
    "errors": errors,
    "time_dense": partial(time, dense, DENSE),
    "time_sparse": partial(time, csr, SPARSE),
    "accuracy": accuracy,
    "kronecker": kronecker,
    "guarantee": guarantee,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=TABLES, help="make one table")
    parser.add_argument("--quick", action="store_true", help="few repeats, no files")
    args = parser.parse_args()
    for name, make in TABLES.items():
        if args.only in (None, name):
            with threadpool_limits(1):
                rows = make(args.quick)
            if args.quick:
                print(name, *rows, sep="\n")
            else:
                report(f"tensor_srht_{name}", rows)


if __name__ == "__main__":
    main()
