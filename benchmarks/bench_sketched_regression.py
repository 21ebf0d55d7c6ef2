"""Tall least squares: SketchedLinearRegression beside what is used today.

Claims: the default solver gives LAPACK's coefficients in a fraction of the time of
scikit-learn's LinearRegression and of LAPACK's drivers, and is as stable; one pass with
error bars takes less still; files and clusters are read in place.

    python benchmarks/bench_sketched_regression.py [--part NAME]
"""

import argparse
import multiprocessing
import os
import resource
import tempfile
import threading
import time
import warnings
from functools import partial
from pathlib import Path

import _regression_data as data
import numpy as np
from _common import cpu_times, report, versions
from scipy import linalg
from scipy.sparse.linalg import LinearOperator, lsqr
from sklearn.linear_model import LinearRegression, Ridge, SGDRegressor

from sklogit.sketching import (
    SketchedLinearRegression,
    sketch_rows,
    sketch_size,
    sketched_lstsq,
)
from sklogit.sketching._compiled import compiled_kernels


def normal_equations(X, y):
    """Cholesky factor of the Gram matrix; no intercept."""
    return linalg.solve(X.T @ X, X.T @ y, assume_a="pos")


def statsmodels_ols(X, y):
    """OLS of statsmodels by QR; no intercept."""
    from statsmodels.api import OLS

    return OLS(y, X).fit(method="qr").params


def clarkson_woodruff(X, y):
    """SciPy's CountSketch of as many rows as ours has, then LAPACK."""
    Ab = linalg.clarkson_woodruff_transform(
        np.column_stack([X, y]), sketch_size(X.shape[1], eps=0.5), seed=0
    )
    return linalg.lstsq(Ab[:, :-1], Ab[:, -1])[0]


def coef(model):
    """Fit a model and return its coefficients."""
    return lambda X, y: model().fit(X, y).coef_


OURS = {
    "default": coef(partial(SketchedLinearRegression, random_state=0)),
    "sketched_lstsq": lambda X, y: sketched_lstsq(X, y, random_state=0)[0],
}
PEERS = {
    "LinearRegression": coef(LinearRegression),
    "Ridge(cholesky)": coef(partial(Ridge, alpha=1e-12, solver="cholesky")),
    "gelsy": lambda X, y: linalg.lstsq(X, y, lapack_driver="gelsy")[0],
    "gelsd": lambda X, y: linalg.lstsq(X, y, lapack_driver="gelsd")[0],
    "numpy lstsq": lambda X, y: np.linalg.lstsq(X, y, rcond=None)[0],
    "normal equations": normal_equations,
    "statsmodels OLS": statsmodels_ols,
}
ONE_PASS = {
    "one pass": coef(
        partial(SketchedLinearRegression, eps=0.5, solver="sketch", random_state=0)
    ),
    "one pass, eps=1": coef(
        partial(SketchedLinearRegression, eps=1.0, solver="sketch", random_state=0)
    ),
}


def _time(functions, X, y, repeats):
    calls = [partial(function, X, y) for function in functions.values()]
    times, values = cpu_times(*calls, repeats=repeats)
    return dict(zip(functions, times)), dict(zip(functions, values))


def _table(n, d, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    X += rng.standard_normal(d)
    return X, X @ rng.standard_normal(d) + rng.standard_normal(n)


def speed(largest):
    """Default solver; nanoseconds of CPU time for each entry of X."""
    rows = []
    for d in (50, 100, 200, 500):
        for log_n in (17, 18, 19, 20):
            n = 2**log_n
            if n * d > largest:
                continue
            X, y = _table(n, d)
            peers = dict(PEERS)
            if n * d > 2e7:
                for name in ("gelsd", "numpy lstsq", "statsmodels OLS"):
                    del peers[name]
            for function in OURS.values():  # compile, and wake the caches
                function(X[:4096], y[:4096])
            times, values = _time(OURS | peers, X, y, 3 if n * d < 2e7 else 1)
            exact = LinearRegression(tol=1e-15).fit(X, y) if n * d < 3e7 else None
            reference = exact.coef_ if exact else values["LinearRegression"]
            row = {"n": f"2^{log_n}", "d": d}
            for name in OURS | PEERS:
                row[name] = times[name] / (n * d) * 1e9 if name in times else ""
            row["LR / default"] = times["LinearRegression"] / times["default"]
            row["gelsy / lstsq"] = times["gelsy"] / times["sketched_lstsq"]
            row["difference"] = float(np.abs(values["default"] - reference).max())
            rows.append(row)
            print({k: v if isinstance(v, str) else f"{v:.3g}" for k, v in row.items()})
    report("sketched_speed", rows)


def ill_conditioned():
    """Default solver at condition 1e9; nanoseconds of CPU time for each entry of X."""
    peers = {name: PEERS[name] for name in ("LinearRegression", "gelsy", "gelsd")}
    rows = []
    for n, d in ((2**18, 50), (2**17, 100), (2**17, 200), (2**17, 500)):
        X, y = data.of_condition(n, d, 1e9, 1.0, np.random.default_rng(0))
        functions = {"sketched_lstsq": OURS["sketched_lstsq"]} | peers
        functions["sketched_lstsq"](X[:4096], y[:4096])
        times, _ = _time(functions, X, y, 3 if n * d < 2e7 else 1)
        row = {"n": n, "d": d, "solver": sketched_lstsq(X, y)[1].solver}
        row |= {name: t / (n * d) * 1e9 for name, t in times.items()}
        for name in peers:
            row[f"{name} / ours"] = times[name] / times["sketched_lstsq"]
        rows.append(row)
    report("sketched_speed_ill", rows)


def one_pass():
    """One pass with eps = 0.5 and 1, beside LinearRegression and one-pass peers."""
    rows = []
    for d in (50, 100, 200):
        for log_n in (17, 18, 19):
            n = 2**log_n
            if n * d > 6e7:
                continue
            X, y = _table(n, d)
            peers = {
                "LinearRegression": PEERS["LinearRegression"],
                "normal equations": normal_equations,
                "Clarkson-Woodruff": clarkson_woodruff,
                "SGDRegressor, 1 epoch": coef(
                    partial(SGDRegressor, max_iter=1, tol=None, random_state=0)
                ),
            }
            warnings.simplefilter("ignore")
            with compiled_kernels(True):  # else NumPy handles the first 2^27 entries
                for function in ONE_PASS.values():
                    function(X[:4096], y[:4096])
            times, values = _time(ONE_PASS | peers, X, y, 3)
            exact = values["LinearRegression"]
            row = {"n": f"2^{log_n}", "d": d}
            row |= {name: t / (n * d) * 1e9 for name, t in times.items()}
            for name in ONE_PASS:
                row[f"LR / {name}"] = times["LinearRegression"] / times[name]
            for name in ("one pass", "Clarkson-Woodruff", "SGDRegressor, 1 epoch"):
                row[f"error, {name}"] = float(np.abs(values[name] - exact).max())
            rows.append(row)
    report("sketched_one_pass", rows)


def backward_error(X, y, x):
    """Optimal relative backward error of a least-squares solution, by its formula.

    The smallest ||[dX, dy]||_F / ||[X, y]||_F for which x is exact is at most this
    estimate of Karlson and Walden, and at least a third of it.
    """
    r = y - X @ x
    size = np.sqrt(np.linalg.norm(X) ** 2 + np.linalg.norm(y) ** 2)
    if not np.isfinite(x).all():
        return np.inf
    U, s, _ = np.linalg.svd(X, full_matrices=False)
    theta2 = 1.0 / (1.0 + x @ x)
    # Norm of (X'X + eta^2 I)^-1/2 X' r, with eta^2 = ||r||^2 theta^2.
    eta2 = (r @ r) * theta2
    weights = s / np.sqrt(s**2 + eta2)
    return float(np.sqrt(theta2) * np.linalg.norm(weights * (U.T @ r)) / size)


def lsqr_from_zero(X, y):
    """LSQR on the columns that a sketch made well conditioned, started at zero."""
    R = np.linalg.qr(sketch_rows(X, 8 * X.shape[1], random_state=0), mode="r")
    A = LinearOperator(
        X.shape,
        matvec=lambda v: X @ linalg.solve_triangular(R, v),
        rmatvec=lambda v: linalg.solve_triangular(R, X.T @ v, trans="T"),
    )
    u = lsqr(A, y, atol=1e-16, btol=1e-16, iter_lim=200)[0]
    return linalg.solve_triangular(R, u)


def stability(n=4000, d=50):
    """Backward error over condition numbers and norms of the residual."""
    functions = {
        "default": lambda X, y: sketched_lstsq(X, y, random_state=0)[0],
        "preconditioned_cholesky": lambda X, y: sketched_lstsq(
            X, y, solver="preconditioned_cholesky", random_state=0
        )[0],
        "iterative": lambda X, y: sketched_lstsq(
            X, y, solver="iterative", random_state=0
        )[0],
        "gelsd": PEERS["gelsd"],
        "gelsy": PEERS["gelsy"],
        "LinearRegression": coef(partial(LinearRegression, fit_intercept=False)),
        "normal equations": normal_equations,
        "LSQR from 0": lsqr_from_zero,
    }
    rows = []
    warnings.simplefilter("ignore")
    for condition in (1e2, 1e4, 1e6, 1e8, 1e10, 1e12, 1e14):
        for residual in (1e-12, 1e-6, 1e-3, 1.0):
            rng = np.random.default_rng(0)
            X, y = data.of_condition(n, d, condition, residual, rng)
            row = {"condition": f"{condition:.0e}", "residual": f"{residual:.0e}"}
            for name, function in functions.items():
                try:
                    row[name] = backward_error(X, y, function(X, y))
                except linalg.LinAlgError:
                    row[name] = "fails"
            row["solver"] = sketched_lstsq(X, y, random_state=0)[1].solver
            rows.append(row)
    report("sketched_stability", rows)


def _peak_anonymous(stop, peak):
    status = Path("/proc/self/status")
    while not stop.is_set():
        for line in status.read_text().splitlines():
            if line.startswith("RssAnon"):
                peak[0] = max(peak[0], int(line.split()[1]) / 1024)
        time.sleep(0.005)


def _fit_file(path, shape, parameters, limit_mb, queue):
    resource.setrlimit(resource.RLIMIT_DATA, (limit_mb << 20, limit_mb << 20))
    table = np.memmap(path, dtype=np.float64, mode="r", shape=shape)
    model = SketchedLinearRegression(random_state=0, **parameters)
    model.fit(np.asarray(table[:2048, :-1]), np.asarray(table[:2048, -1]))
    stop, peak = threading.Event(), [0.0]
    watcher = threading.Thread(target=_peak_anonymous, args=(stop, peak))
    watcher.start()
    time.sleep(0.05)
    before = peak[0]
    start = time.process_time()
    model.fit(table[:, :-1], table[:, -1])
    seconds = time.process_time() - start
    stop.set()
    watcher.join()
    queue.put((seconds, peak[0] - before, peak[0], model.solver_, model.coef_))


def streaming(limit_mb=400, d=50):
    """File of three times the memory that the process may have."""
    n = 3 * (limit_mb << 20) // (8 * (d + 1))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "table.bin")
        rng = np.random.default_rng(0)
        coefficients = rng.standard_normal(d)
        with open(path, "wb") as file:
            for start in range(0, n, 65536):
                X = rng.standard_normal((min(65536, n - start), d))
                y = X @ coefficients + rng.standard_normal(len(X))
                np.column_stack([X, y]).tofile(file)
        for name, parameters in {
            "default": {},
            "one pass, eps=0.5": {"eps": 0.5, "solver": "sketch"},
        }.items():
            context = multiprocessing.get_context("spawn")
            queue = context.Queue()
            arguments = (path, (n, d + 1), parameters, limit_mb, queue)
            process = context.Process(target=_fit_file, args=arguments)
            process.start()
            seconds, fit_mb, peak_mb, solver, coef_ = queue.get(timeout=600)
            process.join()
            rows.append(
                {
                    "fit": name,
                    "solver": solver,
                    "file MB": n * (d + 1) * 8 / 2**20,
                    "limit MB": limit_mb,
                    "CPU s": seconds,
                    "MB of the fit": fit_mb,
                    "peak MB of the process": peak_mb,
                    "largest error": float(np.abs(coef_ - coefficients).max()),
                }
            )
    report("sketched_streaming", rows)


def cluster(n=400_000, d=50, n_blocks=16):
    """Two workers: ours beside dask-ml on the same Dask array. Wall times."""
    import dask.array as da
    from dask.distributed import Client, LocalCluster
    from dask_ml.linear_model import LinearRegression as DaskLinearRegression

    rows = []
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as c,
        Client(c),
    ):
        X, y = _table(n, d)
        exact = LinearRegression(tol=1e-15).fit(X, y).coef_
        chunks = n // n_blocks
        X, y = da.from_array(X, chunks=(chunks, d)), da.from_array(y, chunks=chunks)
        X, y = X.persist(), y.persist()
        models = {
            "default": partial(SketchedLinearRegression, random_state=0),
            "one pass, eps=0.5": partial(
                SketchedLinearRegression, eps=0.5, solver="sketch", random_state=0
            ),
            "dask-ml, admm": partial(DaskLinearRegression, solver="admm"),
            "dask-ml, lbfgs": partial(DaskLinearRegression, solver="lbfgs"),
            "dask-ml, newton": partial(DaskLinearRegression, solver="newton"),
        }
        for name, model in models.items():
            seconds, error = np.inf, ""
            try:
                for _ in range(3):
                    start = time.perf_counter()
                    fitted = model().fit(X, y)
                    seconds = min(seconds, time.perf_counter() - start)
                error = float(np.abs(fitted.coef_ - exact).max())
            except Exception as problem:
                error = f"{type(problem).__name__}"
            rows.append({"fit": name, "wall s": seconds, "largest error": error})
    for row in rows:
        row["ratio to default"] = row["wall s"] / rows[0]["wall s"]
    report("sketched_dask", rows)


def main():
    """Run all parts, or one."""
    parts = {
        "ill_conditioned": ill_conditioned,
        "stability": stability,
        "one_pass": one_pass,
        "streaming": streaming,
        "cluster": cluster,
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=["speed", *parts])
    parser.add_argument("--largest", type=float, default=1.4e8, help="entries of X")
    args = parser.parse_args()
    versions()
    if args.part in (None, "speed"):
        speed(args.largest)
    for name, part in parts.items():
        if args.part in (None, name):
            part()


if __name__ == "__main__":
    main()
