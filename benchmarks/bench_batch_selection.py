"""Online batch selection on character windows, at equal numbers of backward passes.

A GRU, warmed up on a few windows, gets a pass over a pool of windows, eight candidates
a step of which two are kept. The pools: text polluted with windows that repeat one or
two characters, text polluted with copies of a few windows, and clean text. "full"
trains on all eight, four times as many backward passes. Claims: utility with diversity
beats random choice in both polluted pools, and is no better on clean text; scoring
costs a quarter of a step of the rows kept at most.

    python benchmarks/bench_batch_selection.py [head | rows | epochs | text [SEEDS]]

"head" compares nuclear norms with and without the logits of 50,000 classes; "text"
is the above; "epochs" are the times of a pass with larger batches and nets, where a
step costs in proportion to its rows; "rows" is digits and other tables, where a sample
has one position.
The text are the descriptions of the data sets in scikit-learn.
"""

import copy
import statistics
import sys
from pathlib import Path

import numpy as np
import sklearn
import torch
from _common import cpu_times, report
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import TensorDataset

from sklogit.batch_selection import (
    BilinearRandomProjection,
    OnlineBatchSelectionClassifier,
    UtilityDiversitySelector,
    head_factor,
    nuclear_norm,
    nuclear_norm_from_head,
)
from sklogit.neural import LogitClassifier, OnlineSelection, OnlineSelectionClassifier

LENGTH, WIDTH = 48, 96
N_TEST, N_WARM = 120, 200
CANDIDATES, KEPT = 8, 2
PROJECTION = BilinearRandomProjection((8, 16), kind="gaussian")

# -- text ------------------------------------------------------------------------------


def characters():
    """Return the characters of the text as indices, and how many there are."""
    folder = Path(sklearn.__file__).parent / "datasets" / "descr"
    text = "\n".join(p.read_text("utf8") for p in sorted(folder.glob("*.rst")))
    alphabet, indices = np.unique(list(text), return_inverse=True)
    return indices, len(alphabet)


def pools(seed):
    """Windows for testing and for the warm-up, and the pools, with what is real."""
    rng = np.random.default_rng(seed)
    indices, n_characters = characters()
    n_windows = len(indices) // (LENGTH + 1)
    windows = indices[: n_windows * (LENGTH + 1)].reshape(n_windows, LENGTH + 1)
    windows = rng.permutation(windows)
    test, warm, clean = np.split(windows, [N_TEST, N_TEST + N_WARM])
    pairs = rng.integers(n_characters, size=(800, 2))
    pattern = np.arange(LENGTH + 1) % 2
    degenerate = np.where(pattern, pairs[:, 1:], pairs[:, :1])
    degenerate[::2] = pairs[::2, :1]
    copies = np.repeat(warm[:10], 80, axis=0)
    return (
        n_characters,
        test,
        warm,
        {
            "degenerate": (clean, degenerate),
            "duplicates": (clean, copies),
            "clean": (clean, clean[:0]),
        },
    )


class Characters(nn.Module):
    """Features of each position from those before it."""

    def __init__(self, n_characters, width=WIDTH):
        super().__init__()
        self.table = nn.Embedding(n_characters, width)
        self.gru = nn.GRU(width, width, batch_first=True)

    def forward(self, X):
        """Compute features (n, LENGTH, WIDTH) of indices (n, LENGTH)."""
        return self.gru(self.table(X))[0]


class Counted(OnlineSelection):
    """Counts the rows kept that are none of the pollution."""

    def __init__(self, pollution, **parameters):
        super().__init__(**parameters)
        self.pollution = {row.tobytes() for row in pollution}
        self.n_kept = self.n_real = 0

    def select(self, net, batch):
        """Choose rows, and count them."""
        batch = super().select(net, batch)
        self.n_kept += len(batch[0])
        for row in batch[0].numpy():
            self.n_real += row.tobytes() not in self.pollution
        return batch


RULES = {
    "full": {"budget": 1.0},
    "random": {"utility": "random", "alpha": 0.0},
    "max loss": {"utility": "loss", "alpha": 0.0},
    "nuclear only": {"alpha": 0.0},
    "frobenius only": {"utility": "frobenius", "alpha": 0.0},
    "diversity only": {"alpha": 1e6},
    "uds, alpha 1": {"alpha": 1.0},
    "uds, alpha 4": {"alpha": 4.0},
    "uds, zscore": {"normalize": "zscore"},
}


def pairs_of(windows):
    tensor = torch.as_tensor(np.ascontiguousarray(windows))
    return TensorDataset(tensor[:, :-1].clone(), tensor[:, 1:].clone())


def warmed_up(warm, n_characters, seed):
    net = LogitClassifier(
        Characters,
        module__n_characters=n_characters,
        classes=np.arange(n_characters),
        lr=3e-3,
        max_epochs=8,
        batch_size=CANDIDATES,
        random_state=seed,
    )
    return net.fit(pairs_of(warm)).module_


def trained(model, pool, rule, n_characters, seed):
    """One pass over a pool; the net."""
    clean, pollution = pool
    rule = {"budget": KEPT, "projection": PROJECTION, "buffer_size": 256} | rule
    model = copy.deepcopy(model)
    net = OnlineSelectionClassifier(
        model.module,
        head=model.head,
        batch_policy=Counted(pollution[:, :-1], **rule),
        classes=np.arange(n_characters),
        lr=2e-3,
        max_epochs=1,
        batch_size=CANDIDATES,
        random_state=seed,
    )
    return net.fit(pairs_of(np.concatenate([clean, pollution])))


def cross_entropy(net, test):
    X, y = pairs_of(test).tensors
    with torch.no_grad():
        logits = net.module_.eval()(X)
    return nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten()).item()


def text(n_seeds):
    """Test loss, share of real text among the rows kept, and time of an epoch."""
    results = {}
    for seed in range(n_seeds):
        n_characters, test, warm, by_name = pools(seed)
        model = warmed_up(warm, n_characters, seed)
        for name, pool in by_name.items():
            for rule, parameters in RULES.items():
                net = trained(model, pool, parameters, n_characters, seed)
                seconds = net.history[-1, "dur"]
                times = net.history[-1, "batches", :, "selection_time"]
                policy = net.batch_policy_
                results.setdefault((name, rule), []).append(
                    {
                        "loss": cross_entropy(net, test),
                        "real": policy.n_real / policy.n_kept,
                        "epoch s": seconds,
                        "selection s": sum(times),
                    }
                )
    rows = []
    for (pool, rule), runs in results.items():
        values = {key: [run[key] for run in runs] for key in runs[0]}
        at_random = [run["loss"] for run in results[pool, "random"]]
        gains = np.subtract(at_random, values["loss"])
        rows.append(
            {
                "pool": pool,
                "rule": rule,
                "seeds": n_seeds,
                **{key: statistics.fmean(v) for key, v in values.items()},
                "gain on random": float(gains.mean()),
                "its s.e.": float(gains.std(ddof=1) / n_seeds**0.5)
                if n_seeds > 1
                else float("nan"),
            }
        )
    report("batch_selection_text", rows)


# -- time of a pass --------------------------------------------------------------------


def epochs(n_rows=256, batch_size=64, widths=(128, 384)):
    """Compare CPU times of a pass over the data, and of its selection."""
    n_characters, _, _, by_name = pools(0)
    data = pairs_of(by_name["clean"][0][:n_rows])
    rows = []
    for width in widths:
        nets = {
            f"{name}, budget {budget}": OnlineSelectionClassifier(
                Characters,
                module__n_characters=n_characters,
                module__width=width,
                classes=np.arange(n_characters),
                max_epochs=1,
                batch_size=batch_size,
                random_state=0,
                batch_policy=OnlineSelection(**{"budget": budget} | RULES[name]),
            ).fit(data)
            for name, budget in (
                ("full", 1.0),
                ("random", 0.25),
                ("uds, alpha 1", 0.25),
                ("random", 0.125),
                ("uds, alpha 1", 0.125),
            )
        }
        times, _ = cpu_times(
            *(lambda net=net: net.partial_fit(data) for net in nets.values())
        )
        for (name, net), seconds in zip(nets.items(), times):
            selection = net.history[-1, "batches", :, "selection_time"]
            rows.append(
                {
                    "width": width,
                    "rule": name,
                    "CPU s": seconds,
                    "of full": seconds / times[0],
                    "selection s": sum(selection),
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
        times, values = cpu_times(*routes.values(), repeats=2)
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


def rows_of_tables(n_seeds=5):
    """Accuracy of a linear model from a quarter of the rows of each batch."""
    rules = {
        "full": {"budget": 1.0},
        "random": {"utility": "random", "alpha": 0.0},
        "max loss": {"utility": "loss", "alpha": 0.0},
        "nuclear": {},
        "loss and diversity": {"utility": "loss", "normalize": "zscore"},
    }
    rows = []
    for load in (load_digits, load_breast_cancer, load_wine):
        X, y = load(return_X_y=True)
        for rule, parameters in rules.items():
            scores, kept = [], []
            for seed in range(n_seeds):
                X_train, X_test, y_train, y_test = train_test_split(
                    X, y, random_state=seed, stratify=y
                )
                scaler = StandardScaler().fit(X_train)
                selector = UtilityDiversitySelector(**parameters, random_state=seed)
                clf = OnlineBatchSelectionClassifier(
                    selector=selector, random_state=seed
                ).fit(scaler.transform(X_train), y_train)
                scores.append(clf.score(scaler.transform(X_test), y_test))
                kept.append(clf.selector_.n_selected_)
            rows.append(
                {
                    "data": load.__name__.removeprefix("load_"),
                    "rule": rule,
                    "rows trained on": int(np.mean(kept)),
                    "accuracy": statistics.fmean(scores),
                    "s.d.": statistics.stdev(scores),
                }
            )
    report("batch_selection_rows", rows)


if __name__ == "__main__":
    torch.set_num_threads(1)
    part, *rest = sys.argv[1:] or ["all"]
    if part in ("head", "all"):
        head()
    if part in ("rows", "all"):
        rows_of_tables()
    if part in ("epochs", "all"):
        epochs()
    if part in ("text", "all"):
        text(int(rest[0]) if rest else 5)
