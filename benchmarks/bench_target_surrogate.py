"""Oracle calls and wall clock of target-based surrogates for linear models.

Claims: with its defaults `TargetSurrogateClassifier` needs at most a fifth of the
oracle calls of L-BFGS in parameter space to come within 0.1 % of the minimum on the two
ill-conditioned problems, and a fiftieth of those of gradient descent to 10 %; and no
first-order method, nor L-BFGS in parameter space, is faster by the clock as soon as a
call takes 10 ms. L-BFGS on whitened features ties on most problems.

A call is one evaluation of loss and gradient, whoever asks for it. Rows give the calls
until h - h* <= 10, 1 and 0.1 % of h(0) - h*; "-" is not within the cap. For Adam and
SGD (all rows at once, with and without momentum) each number is that of the best
learning rate for it: nobody could know it beforehand. Peers get the features and a
column of ones; "whitened" L-BFGS gets centred whitened features and the ones, which is
what ours does without being told.

    python benchmarks/bench_target_surrogate.py
"""

import argparse
import os
import time
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
from _common import report
from scipy.linalg import svd
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, softmax
from sklearn.datasets import (
    load_breast_cancer,
    load_digits,
    load_svmlight_file,
    load_wine,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from sklogit.linear_model import (
    OracleBudgetExceeded,
    TargetSurrogateClassifier,
    expensive_oracle,
)

GAPS = (0.1, 0.01, 0.001)
RATES = (0.01, 0.1, 1.0, 10.0, 100.0)  # of SGD, as multiples of 1/L
ADAM_RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
LARGEST = 10_000  # rows taken of a LIBSVM set
DELAYS = (0.0, 0.001, 0.01, 0.1)  # seconds


# -- problems --------------------------------------------------------------------------


class Problem:
    """Data, the loss as an oracle of targets, and the minimum."""

    def __init__(self, name, X, y):
        self.name, self.X = name, np.ascontiguousarray(X, dtype=float)
        self.y = np.unique(y, return_inverse=True)[1]
        n_classes = self.y.max() + 1
        self.n_outputs = 1 if n_classes == 2 else n_classes
        self.loss = binary_loss if n_classes == 2 else multinomial_loss
        # 1/L of a sample's loss by its targets.
        self.eta = 4.0 if n_classes == 2 else 2.0
        self.start = self.loss(np.zeros((len(X), self.n_outputs)), self.y)[0]
        self.best = self._minimum()

    @property
    def with_ones(self):
        """Features and a column of ones."""
        return np.column_stack([self.X, np.ones(len(self.X))])

    def _minimum(self):
        """Least loss of two long runs; 0 if the data turn out separable."""
        least = np.inf
        plain = self.with_ones
        scaled = plain / np.maximum(np.abs(plain).max(axis=0), 1e-12)
        for B in (whitened(self.X), scaled):
            result = minimize(
                parameter_objective(self, B, self.loss),
                np.zeros(B.shape[1] * self.n_outputs),
                jac=True,
                method="L-BFGS-B",
                options={"maxiter": 1500, "maxfun": 1500, "ftol": 0, "gtol": 1e-10},
            )
            least = min(least, result.fun)
        return 0.0 if least < 1e-4 else least


def binary_loss(Z, y, sample_weight=None):
    sign = np.where(y == 1, 1.0, -1.0)[:, np.newaxis]
    return np.logaddexp(0, -sign * Z).mean(), -sign * expit(-sign * Z)


def multinomial_loss(Z, y, sample_weight=None):
    rows = np.arange(len(y))
    G = softmax(Z, axis=1)
    G[rows, y] -= 1
    return -log_softmax(Z, axis=1)[rows, y].mean(), G


def ill_conditioned(seed=0):
    """2000 x 50 of condition 100, labels with noise in every direction alike."""
    rng = np.random.default_rng(seed)
    white = rng.standard_normal((2000, 50))
    turn, _ = np.linalg.qr(rng.standard_normal((50, 50)))
    y = white @ rng.standard_normal(50) > 0
    y ^= rng.random(2000) < 0.1
    return white * np.logspace(0, -2, 50) @ turn, y


def problems():
    yield Problem("ill-conditioned", *ill_conditioned())
    X, y = load_digits(return_X_y=True)
    yield Problem("digits parity", X / 16, y % 2)
    X, y = load_breast_cancer(return_X_y=True)
    yield Problem("breast cancer", StandardScaler().fit_transform(X), y)
    X, y = load_wine(return_X_y=True)
    yield Problem("wine, 3 classes", StandardScaler().fit_transform(X), y)
    X, y = load_digits(return_X_y=True)
    yield Problem("digits, 10 classes", X / 16, y)
    folder = Path(os.environ.get("SKLOGIT_DATA", "missing")) / "libsvm_binary"
    for path in sorted(folder.glob("*.svm.gz")):
        X, y = load_svmlight_file(str(path))
        X = X[:LARGEST].toarray()
        varies = X.std(axis=0) > 0
        yield Problem(path.name.removesuffix(".svm.gz"), X[:, varies], y[:LARGEST])


def whitened(X):
    """Centred features in white coordinates, and a column of ones."""
    n = len(X)
    U, s, _ = svd(X - X.mean(axis=0), full_matrices=False)
    kept = s > max(X.shape) * np.finfo(float).eps * s[0]
    return np.column_stack([U[:, kept] * np.sqrt(n), np.ones(n)])


def parameter_objective(problem, B, oracle):
    """Loss and gradient as functions of flat parameters of the features B."""

    def objective(w):
        loss, G = oracle(B @ w.reshape(-1, problem.n_outputs), problem.y)
        return loss, (B.T @ G).ravel() / len(B)

    return objective


# -- methods: each calls oracle(Z, y) until it refuses ---------------------------------


def gradient_descent(problem, oracle, rate=1.0, momentum=0.0):
    """Take steps of `rate` times 1/L, L the smoothness in the parameters."""
    B = problem.with_ones
    size = rate * problem.eta * len(B) / np.linalg.norm(B, 2) ** 2
    objective = parameter_objective(problem, B, oracle)
    w = np.zeros(B.shape[1] * problem.n_outputs)
    velocity = np.zeros_like(w)
    while True:
        velocity = momentum * velocity - size * objective(w)[1]
        w = w + velocity


def armijo_descent(problem, oracle):
    objective = parameter_objective(problem, problem.with_ones, oracle)
    w = np.zeros(problem.with_ones.shape[1] * problem.n_outputs)
    (f, g), size = objective(w), 1.0
    while True:
        new = w - size * g
        f_new, g_new = objective(new)
        if f_new <= f - size / 2 * (g @ g):
            w, f, g, size = new, f_new, g_new, 2 * size
        else:
            size /= 2


def adam(problem, oracle, rate):
    objective = parameter_objective(problem, problem.with_ones, oracle)
    w = np.zeros(problem.with_ones.shape[1] * problem.n_outputs)
    m, v, t = np.zeros_like(w), np.zeros_like(w), 0
    while True:
        _, g = objective(w)
        t += 1
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        w = w - rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)


def scipy_lbfgs(problem, oracle, features):
    B = features(problem)
    minimize(
        parameter_objective(problem, B, oracle),
        np.zeros(B.shape[1] * problem.n_outputs),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 10**5, "maxfun": 10**6, "ftol": 0, "gtol": 1e-12},
    )


def in_parameters(problem, oracle):
    scipy_lbfgs(problem, oracle, lambda p: p.with_ones)


def in_white_parameters(problem, oracle):
    scipy_lbfgs(problem, oracle, lambda p: whitened(p.X))


def ours(problem, oracle, eta=1.0, **options):
    """`eta` in multiples of 1/L; the named losses start L-BFGS from twice that."""
    if eta is not None:
        options["eta"] = eta * problem.eta
    model = TargetSurrogateClassifier(oracle, max_oracle_calls=10**6, tol=0, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(problem.X, problem.y)


def single(method, *args, **kwargs):
    return [lambda problem, oracle: method(problem, oracle, *args, **kwargs)]


# name -> runs, of which each number is the best; the default stands first
METHODS = {
    "sklogit default (target-space L-BFGS)": single(ours, 2.0),
    "sklogit, L unknown": single(ours, None),
    "sklogit inner=cg": single(ours, 2.0, inner="cg"),
    "sklogit inner=armijo": single(ours, 2.0, inner="armijo"),
    "sklogit momentum": single(ours, outer="momentum"),
    "sklogit plain adaptive": single(ours, outer="plain"),
    "sklogit plain constant": single(ours, outer="plain", step_rule="constant"),
    "sklogit plain, 10 gradient steps": single(
        ours, outer="plain", step_rule="constant", inner="armijo", inner_steps=10
    ),
    "L-BFGS in parameters": single(in_parameters),
    "L-BFGS in whitened parameters": single(in_white_parameters),
    "gradient descent 1/L": single(gradient_descent),
    "gradient descent, Armijo": single(armijo_descent),
    "SGD, best of grid": [
        run
        for rate in RATES
        for beta in (0.0, 0.9)
        for run in single(gradient_descent, rate, beta)
    ],
    "Adam, best of grid": [run for rate in ADAM_RATES for run in single(adam, rate)],
}
DEFAULT, PEER, WHITE = (
    next(iter(METHODS)),
    "L-BFGS in parameters",
    ("L-BFGS in whitened parameters"),
)
DESCENT = "gradient descent 1/L"


def losses_of(run, problem, cap):
    """Losses of all calls until the cap, or until the run ends by itself."""
    losses = []

    def recorded(Z, y, sample_weight=None):
        loss, G = problem.loss(Z, y)
        losses.append(loss)
        if not np.isfinite(loss):
            raise OracleBudgetExceeded("diverged")
        if loss - problem.best <= GAPS[-1] * (problem.start - problem.best):
            raise OracleBudgetExceeded("done")
        return loss, G

    oracle = expensive_oracle(recorded, max_oracle_calls=cap)
    with suppress(OracleBudgetExceeded):
        run(problem, oracle)
    return np.array(losses)


def calls_to_gaps(losses, problem):
    gap = np.fmin.accumulate(losses) - problem.best
    within = [gap <= g * (problem.start - problem.best) for g in GAPS]
    return [1 + int(np.argmax(w)) if w.any() else np.inf for w in within]


def count_calls(problem, cap, descent_cap):
    """Return the calls to each gap, by method."""
    found = {}
    for name, runs in METHODS.items():
        this_cap = descent_cap if name == DESCENT else cap
        with np.errstate(over="ignore", invalid="ignore"):
            calls = [
                calls_to_gaps(losses_of(run, problem, this_cap), problem)
                for run in runs
            ]
        found[name] = np.min(calls, axis=0)
    return found


def call_table(cap):
    rows, counts = [], {}
    for problem in problems():
        named = len(problem.X) <= 2000 and problem.n_outputs == 1
        found = counts[problem.name] = count_calls(problem, cap, 3000 if named else cap)
        for name, calls in found.items():
            rows.append(
                {
                    "problem": problem.name,
                    "shape": "x".join(map(str, problem.X.shape)),
                    "method": name,
                    **{
                        f"calls to {100 * g:g} %": "-" if np.isinf(c) else int(c)
                        for g, c in zip(GAPS, calls)
                    },
                }
            )
        print(f"{problem.name}: done", flush=True)
    report("target_surrogate_calls", rows)
    for name in list(counts)[:2]:
        ours_, peer = counts[name][DEFAULT][2], counts[name][PEER][2]
        peer = min(peer, cap)
        descent = min(counts[name][DESCENT][0], 3000)
        print(
            f"{name}: {ours_ / peer:.3f} of the calls of L-BFGS at 0.1 % (claim 0.2), "
            f"1/{descent / counts[name][DEFAULT][0]:.0f} of gradient descent at 10 % "
            f"(claim 1/50)"
        )
    ties = [n for n, c in counts.items() if c[WHITE][2] <= 1.2 * c[DEFAULT][2]]
    print(f"whitened L-BFGS is within 20 % of the default, or better, on: {ties}")


# -- wall clock ------------------------------------------------------------------------

CLOCKED = (DEFAULT, PEER, WHITE, "Adam, best of grid")


def seconds_to_gap(run, problem, delay, cap=300):
    """Seconds and calls until 0.1 %, set-up (whitening, factor) included."""
    start = time.perf_counter()
    hit = [np.nan]

    def recorded(Z, y, sample_weight=None):
        loss, G = problem.loss(Z, y)
        if loss - problem.best <= GAPS[-1] * (problem.start - problem.best):
            hit[0] = time.perf_counter() - start
            raise OracleBudgetExceeded("done")
        return loss, G

    oracle = expensive_oracle(recorded, cost_s=delay, max_oracle_calls=cap)
    with suppress(OracleBudgetExceeded):
        run(problem, oracle)
    return hit[0], oracle.n_calls


def fastest_adam(problem):
    """Choose the Adam run with the fewest calls to the last gap."""
    runs = METHODS["Adam, best of grid"]
    return min(
        runs, key=lambda r: calls_to_gaps(losses_of(r, problem, 300), problem)[-1]
    )


def clock_table(repeats):
    X, y = load_digits(return_X_y=True)
    rows, means = [], {}
    for problem in (
        Problem("digits parity", X / 16, y % 2),
        Problem("digits, 10 classes", X / 16, y),
    ):
        runs = {name: METHODS[name][0] for name in CLOCKED}
        runs["Adam, best of grid"] = fastest_adam(problem)
        for delay in DELAYS:
            times = {name: [] for name in runs}
            for _ in range(repeats if delay < 0.1 else 1):
                for name, run in runs.items():
                    if np.isnan(means.get((problem.name, name, 0.0), (0.0,))[0]):
                        continue  # it never arrived without delay either
                    seconds, calls = seconds_to_gap(run, problem, delay)
                    times[name].append(seconds)
                    means[problem.name, name, delay] = np.median(times[name]), calls
        for name in runs:
            calls = means[problem.name, name, 0.0][1]
            reached = np.isfinite(means[problem.name, name, 0.0][0])
            rows.append(
                {
                    "problem": problem.name,
                    "method": name,
                    "calls to 0.1 %": calls if reached else "-",
                    **{
                        f"s at {1000 * d:g} ms": seconds_or_dash(
                            means, problem.name, name, d
                        )
                        for d in DELAYS
                    },
                    "sklogit faster from (ms)": crossover(means, problem.name, name),
                }
            )
    report("target_surrogate_wall_clock", rows)


def seconds_or_dash(means, problem, name, delay):
    seconds = means.get((problem, name, delay), (np.nan,))[0]
    return float(seconds) if np.isfinite(seconds) else "-"


def crossover(means, problem, name):
    """Delay from which ours wins: times are own work plus calls times the delay."""
    (t, calls), (peer, peer_calls) = (means[problem, m, 0.0] for m in (DEFAULT, name))
    if name == DEFAULT or not np.isfinite(peer):
        return "-"
    if peer_calls <= calls:
        return "always" if (peer > t and peer_calls == calls) else "never"
    return float(max(0.0, 1000 * (t - peer) / (peer_calls - calls)))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cap", type=int, default=300, help="most calls of a run")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    with threadpool_limits(1):
        call_table(args.cap)
        clock_table(args.repeats)


if __name__ == "__main__":
    main()
