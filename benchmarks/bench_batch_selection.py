"""Online batch selection: what scoring costs, what a pass costs, and rows of tables.

    python benchmarks/bench_batch_selection.py [head | epochs | rows] ...

"head" compares nuclear norms with and without the logits of 50,000 classes; claim: from
the head they are many times faster than singular values of the logits, and the same to
1e-5. "epochs" are times of a pass over the data, by nets of which a step costs in
proportion to its rows; claims: scoring costs a quarter of a step of all candidates at
most, and a pass with selection takes less time than one without. Together with the
forward pass of the candidates it costs more than a quarter, a half at worst, unless the
vocabulary is large. "rows" are digits and
other tables, where a sample has one position, clean and polluted, at equal numbers of
rows trained on; claim: none, it shows which rule does what. USPS digits are left out
unless the environment variable SKLOGIT_DATA names the folder of data.

Selection for next-token nets on real text is in bench_batch_selection_text.py.
"""

import statistics
import sys
import time
import warnings

import numpy as np
import torch
from _common import cpu_times, report
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from torch import nn
from torch.utils.data import TensorDataset

from sklogit.batch_selection import (
    OnlineBatchSelectionClassifier,
    UtilityDiversitySelector,
    head_factor,
    nuclear_norm,
    nuclear_norm_from_head,
)
from sklogit.datasets import load_usps
from sklogit.neural import OnlineSelection, OnlineSelectionClassifier

# -- time of a pass --------------------------------------------------------------------


class TimedSelector(UtilityDiversitySelector):
    """Adds up the time of scoring and choosing, without the forward pass."""

    def select(self, *args, **kwargs):
        """Choose rows, and take the time."""
        start = time.process_time()
        rows = super().select(*args, **kwargs)
        taken = time.process_time() - start
        self.seconds_ = getattr(self, "seconds_", 0) + taken
        return rows


class Recurrent(nn.Module):
    """Features of each position from those before it."""

    def __init__(self, n_symbols, width):
        super().__init__()
        self.table = nn.Embedding(n_symbols, width)
        self.gru = nn.GRU(width, width, batch_first=True)

    def forward(self, X):
        """Compute features (n, length, width) of indices (n, length)."""
        return self.gru(self.table(X))[0]


# Name, symbols, positions, width, candidates a step, steps.
NETS = [
    ("GRU of 128, 92 symbols", 92, 48, 128, 64, 6),
    ("GRU of 384, 92 symbols", 92, 48, 384, 64, 4),
    ("GRU of 128, 50,257 symbols", 50_257, 16, 128, 32, 2),
]
POLICIES = [
    ("all", 1.0, {}),
    ("random", 0.25, {"utility": "random", "alpha": 0.0}),
    ("loss", 0.25, {"utility": "loss", "alpha": 0.0}),
    ("utility and diversity", 0.25, {}),
    ("random", 0.125, {"utility": "random", "alpha": 0.0}),
    ("utility and diversity", 0.125, {}),
]


def made(data, n_symbols, width, batch_size, budget, parameters):
    net = OnlineSelectionClassifier(
        Recurrent,
        module__n_symbols=n_symbols,
        module__width=width,
        classes=np.arange(n_symbols),
        max_epochs=1,
        batch_size=batch_size,
        random_state=0,
        batch_policy=OnlineSelection(TimedSelector(budget, **parameters)),
    )
    return net.fit(data)


def measured(net, data):
    """CPU and wall-clock seconds of a pass, and those of choosing and scoring in it."""
    selector = net.batch_policy_.selector_
    before = getattr(selector, "seconds_", 0.0)
    start = time.process_time(), time.perf_counter()
    net.partial_fit(data)
    end = time.process_time(), time.perf_counter()
    return {
        "CPU s": end[0] - start[0],
        "wall-clock s": end[1] - start[1],
        "selection s": sum(net.history[-1, "batches", :, "selection_time"]),
        "scoring s": getattr(selector, "seconds_", 0.0) - before,
    }


def epochs(repeats=3):
    """Compare a pass with selection with one that trains on all rows."""
    rows = []
    for name, n_symbols, length, width, batch_size, n_steps in NETS:
        generator = torch.Generator().manual_seed(0)
        shape = n_steps * batch_size, length + 1
        tokens = torch.randint(n_symbols, shape, generator=generator)
        data = TensorDataset(tokens[:, :-1].clone(), tokens[:, 1:].clone())
        nets = [
            made(data, n_symbols, width, batch_size, budget, parameters)
            for _, budget, parameters in POLICIES
        ]
        runs = [[measured(net, data) for net in nets] for _ in range(repeats)]
        best = [
            {what: min(run[what] for run in of_net) for what in of_net[0]}
            for of_net in zip(*runs)
        ]
        for (rule, budget, _), times in zip(POLICIES, best):
            rows.append(
                {
                    "net": name,
                    "rule": rule,
                    "budget": budget,
                    **times,
                    "CPU, of all": times["CPU s"] / best[0]["CPU s"],
                    "wall-clock, of all": times["wall-clock s"]
                    / best[0]["wall-clock s"],
                    "selection, of all": times["selection s"] / best[0]["wall-clock s"],
                    "scoring, of all": times["scoring s"] / best[0]["CPU s"],
                }
            )
    report("batch_selection_epochs", rows)


# -- nuclear norms with and without logits ---------------------------------------------


def head(n_classes=50_000, n_positions=64, n_samples=4):
    """Singular values of the logits, their Gram matrix, and the head's factor."""
    rows = []
    for width in (32, 64, 128):
        generator = torch.Generator().manual_seed(0)
        hidden = torch.randn(n_samples, n_positions, width, generator=generator)
        weight = torch.randn(n_classes, width, generator=generator) / width**0.5
        bias = torch.randn(n_classes, generator=generator)
        factor = head_factor(weight, bias)

        def logits(hidden=hidden, weight=weight, bias=bias):
            return hidden @ weight.T + bias

        routes = {
            "svdvals of logits": lambda: torch.linalg.svdvals(logits()).sum(-1),
            "Gram matrix of logits": lambda: nuclear_norm(logits()),
            "head, factor anew": lambda h=hidden, w=weight, b=bias: (
                nuclear_norm_from_head(h, w, b)
            ),
            "head, factor held": lambda h=hidden, w=weight, b=bias, f=factor: (
                nuclear_norm_from_head(h, w, b, head_factor=f)
            ),
        }
        times, values = cpu_times(*routes.values(), repeats=3)
        exact = torch.linalg.svdvals(logits().double()).sum(-1)
        for route, seconds, value in zip(routes, times, values):
            rows.append(
                {
                    "features": width,
                    "route": route,
                    "ms": 1e3 * seconds,
                    "times faster": times[0] / seconds,
                    "error": float((value.double() / exact - 1).abs().max()),
                }
            )
    report("batch_selection_head", rows)


# -- rows of tables --------------------------------------------------------------------

RULES = {
    "all rows": {"budget": 1.0},
    "random": {"utility": "random", "alpha": 0.0},
    "max loss": {"utility": "loss", "alpha": 0.0},
    "nuclear only": {"alpha": 0.0},
    "diversity only": {"alpha": 1e6},
    "nuclear and diversity": {"normalize": "zscore"},
    "loss and diversity": {"utility": "loss", "normalize": "zscore"},
}


def pools(X, y, rng):
    """Training rows: as they are, with copies of ten of them, with wrong labels."""
    copied = np.repeat(rng.choice(len(y), 10, replace=False), len(y) // 10)
    wrong = y.copy()
    some = rng.random(len(y)) < 0.2
    wrong[some] = rng.permutation(y[some])
    with_copies = np.concatenate([np.arange(len(y)), copied])
    return {
        "clean": (X, y),
        "half copies": (X[with_copies], y[with_copies]),
        "a fifth of labels mixed": (X, wrong),
    }


def tables():
    """Rows and labels by name."""
    data = {
        "digits": load_digits(return_X_y=True),
        "breast cancer": load_breast_cancer(return_X_y=True),
    }
    try:
        data["USPS"] = load_usps(return_X_y=True)
    except FileNotFoundError:
        print("USPS left out: no data")
    return data


def scored(split, rule, seed):
    """Log loss and accuracy on other rows, and the number of rows trained on."""
    X_train, y_train, X_test, y_test = split
    clf = OnlineBatchSelectionClassifier(
        MLPClassifier((64,), learning_rate_init=3e-3, random_state=seed),
        selector=UtilityDiversitySelector(**rule, random_state=seed),
        random_state=seed,
    ).fit(X_train, y_train)
    loss = log_loss(y_test, clf.predict_proba(X_test), labels=clf.classes_)
    return loss, clf.score(X_test, y_test), clf.selector_.n_selected_


def rows_of_tables(n_seeds=5):
    """Train a small net on a quarter of the rows of each batch, in five passes."""
    runs = {}
    for name, (X, y) in tables().items():
        for seed in range(n_seeds):
            X_train, X_test, y_train, y_test = train_test_split(
                X,
                y,
                random_state=seed,
                stratify=y,
                train_size=min(len(y) * 3 // 4, 3000),
            )
            scaler = StandardScaler().fit(X_train)
            X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)
            rng = np.random.default_rng(seed)
            for pool, rows in pools(X_train, y_train, rng).items():
                for rule, parameters in RULES.items():
                    run = scored((*rows, X_test, y_test), parameters, seed)
                    runs.setdefault((name, pool, rule), []).append(run)
    rows = []
    for (name, pool, rule), these in runs.items():
        losses, accuracies, kept = zip(*these)
        gains = np.subtract([run[0] for run in runs[name, pool, "random"]], losses)
        rows.append(
            {
                "data": name,
                "pool": pool,
                "rule": rule,
                "rows trained on": int(statistics.fmean(kept)),
                "log loss": f"{statistics.fmean(losses):.3f}",
                "gain on random": f"{gains.mean():.3f}",
                "its s.e.": f"{gains.std(ddof=1) / n_seeds**0.5:.3f}",
                "accuracy": f"{statistics.fmean(accuracies):.3f}",
            }
        )
    report("batch_selection_rows", rows)


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message="y_pred values do not sum")
    parts = {"head": head, "epochs": epochs, "rows": rows_of_tables}
    with threadpool_limits(1):
        for part in sys.argv[1:] or parts:
            parts[part]()
