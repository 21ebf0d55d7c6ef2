"""Online batch selection for next-token nets on real text, at equal backward passes.

A GRU, warmed up on a few windows of a text, gets one pass over a pool of windows,
sixteen candidates a step of which four are kept: every rule trains on the same number,
"full" on four times as many. The pools are clean windows of the text, alone or with as
many others: windows that repeat one or two symbols, copies of ten windows of the
warm-up, or a third of each and of scrambled windows. Claims: utility with diversity
beats random choice where the pool is polluted, in whichever way, and does not on clean
text; with the mean distance it does not beat it where copies of characters prevail.

    SKLOGIT_DATA=... python benchmarks/bench_batch_selection_text.py [tables | confirm]

Seeds 0 to 4 make the tables. They were in view when the nearest distance, with alpha 1,
became the default; so "confirm" repeats everything with five others, 100 to 104, that
were first used when all was settled. Alpha 4 for the mean distance is from trials on
another text. Learning rates and passes are the same for each rule.

Texts are Shakespeare and GSM8K by characters, and WikiText-2 by words, of which the
most frequent 3,999 are kept. "selective backprop" is a rule by others
(arXiv:1910.00762): rows are drawn with a probability that is a power of the rank of
their loss. Runs that are done are kept in the folder of temporary files, for tables
that are made in pieces: remove the file whenever code has changed.
"""

import copy
import json
import statistics
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from _common import report
from torch import nn
from torch.utils.data import TensorDataset

from sklogit.datasets import load_text_corpus
from sklogit.neural import LogitClassifier, OnlineSelection, OnlineSelectionClassifier

WIDTH = 96
N_TEST, N_WARM, N_CLEAN, N_OTHERS = 200, 200, 400, 400
CANDIDATES, KEPT = 16, 4
N_WORDS = 4000
TEXTS = {"tinyshakespeare": 48, "gsm8k_train": 48, "wikitext2_valid": 24}  # positions
KEPT_RUNS = Path(tempfile.gettempdir()) / "sklogit_batch_selection_text.jsonl"

# -- text ------------------------------------------------------------------------------


def tokens(name):
    """Return a text as indices, and how many symbols there are."""
    text = load_text_corpus(name)
    if name != "wikitext2_valid":
        text = text[:300_000]
        alphabet, indices = np.unique(list(text), return_inverse=True)
        return indices, len(alphabet)
    words = text.split()
    frequent = [word for word, _ in Counter(words).most_common(N_WORDS - 1)]
    index = {word: i + 1 for i, word in enumerate(frequent)}
    return np.array([index.get(word, 0) for word in words]), N_WORDS


def windows(indices, length, rng):
    """Windows of a text for testing, for the warm-up and for the pool, in any order."""
    rows = indices[: len(indices) // (length + 1) * (length + 1)]
    rows = rng.permutation(rows.reshape(-1, length + 1))
    ends = np.cumsum([N_TEST, N_WARM, N_CLEAN])
    return np.split(rows[: ends[-1]], ends[:-1])


def pollutions(warm, clean, n_symbols, rng):
    """Make what is added to the clean windows."""
    length = clean.shape[1]
    pairs = rng.integers(n_symbols, size=(N_OTHERS, 2))
    repeats = np.where(np.arange(length) % 2, pairs[:, 1:], pairs[:, :1])
    repeats[::2] = pairs[::2, :1]
    copies = np.repeat(warm[:10], N_OTHERS // 10, axis=0)
    third = N_OTHERS // 3
    scrambled = rng.choice(clean.ravel(), size=(third, length))
    return {
        "clean": clean[:0],
        "repeats": repeats,
        "copies": copies,
        "all": np.concatenate([repeats[:third], copies[::3], scrambled]),
    }


# -- rules -----------------------------------------------------------------------------


class SelectiveBackprop:
    """Draws rows with a probability that is a power of the rank of their loss.

    Ranks are among the losses seen last. The keys u^(1 / p), the greatest first, are
    draws without replacement with probabilities in proportion to p.
    """

    def __init__(self, power=2.0, n_remembered=1024, seed=0):
        self.power, self.n_remembered = power, n_remembered
        self.rng, self.losses = np.random.default_rng(seed), np.empty(0)

    def __call__(self, logits, y):
        """Compute the keys."""
        flat = nn.functional.cross_entropy(
            logits.flatten(0, 1), y.flatten(), reduction="none"
        )
        losses = flat.reshape(y.shape).mean(1).cpu().numpy()
        self.losses = np.append(self.losses, losses)[-self.n_remembered :]
        rank = (self.losses <= losses[:, None]).mean(axis=1)
        return self.rng.uniform(size=len(losses)) ** (1 / rank**self.power)


RULES = {
    "full": {"budget": 1.0},
    "random": {"utility": "random", "alpha": 0.0},
    "max loss": {"utility": "loss", "alpha": 0.0},
    "selective backprop": {"utility": SelectiveBackprop(), "alpha": 0.0},
    "nuclear only": {"alpha": 0.0},
    "diversity only, mean": {"alpha": 1e6, "distance": "mean"},
    "uds, mean, alpha 4": {"alpha": 4.0, "distance": "mean"},
    "uds, nearest, alpha 1": {},
}

# -- nets ------------------------------------------------------------------------------


class Recurrent(nn.Module):
    """Features of each position from those before it."""

    def __init__(self, n_symbols, width=WIDTH):
        super().__init__()
        self.table = nn.Embedding(n_symbols, width)
        self.gru = nn.GRU(width, width, batch_first=True)

    def forward(self, X):
        """Compute features (n, length, width) of indices (n, length)."""
        return self.gru(self.table(X))[0]


class Counted(OnlineSelection):
    """Counts the rows kept that are none of the pollution."""

    def __init__(self, pollution, **parameters):
        super().__init__(**parameters)
        self.pollution = {row.tobytes() for row in pollution}
        self.n_kept = self.n_clean = 0

    def select(self, net, batch):
        """Choose rows, and count them."""
        batch = super().select(net, batch)
        self.n_kept += len(batch[0])
        for row in batch[0].numpy():
            self.n_clean += row.tobytes() not in self.pollution
        return batch


def pairs_of(rows):
    tensor = torch.as_tensor(np.ascontiguousarray(rows))
    return TensorDataset(tensor[:, :-1].clone(), tensor[:, 1:].clone())


def warmed_up(warm, n_symbols, seed):
    net = LogitClassifier(
        Recurrent,
        module__n_symbols=n_symbols,
        classes=np.arange(n_symbols),
        lr=3e-3,
        max_epochs=8,
        batch_size=8,
        random_state=seed,
    )
    return net.fit(pairs_of(warm)).module_


def trained(model, clean, pollution, rule, n_symbols, seed):
    """One pass over a pool; the net."""
    model = copy.deepcopy(model)
    net = OnlineSelectionClassifier(
        model.module,
        head=model.head,
        batch_policy=Counted(pollution[:, :-1], **{"budget": KEPT} | rule),
        classes=np.arange(n_symbols),
        lr=2e-3,
        max_epochs=1,
        batch_size=CANDIDATES,
        random_state=seed,
    )
    return net.fit(pairs_of(np.concatenate([clean, pollution])))


def cross_entropy(module, test):
    X, y = pairs_of(test).tensors
    with torch.no_grad():
        logits = module.eval()(X)
    return nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten()).item()


# -- runs ------------------------------------------------------------------------------


def done():
    """Read the runs that are kept, by what they are of."""
    lines = KEPT_RUNS.read_text().splitlines() if KEPT_RUNS.exists() else []
    return {tuple(key): run for key, run in map(json.loads, lines)}


def run(name, seed):
    """Run all rules in all pools of a text, and keep what came of it."""
    kept = done()
    rng = np.random.default_rng(seed)
    indices, n_symbols = tokens(name)
    test, warm, clean = windows(indices, TEXTS[name], rng)
    model = None
    for pool, pollution in pollutions(warm, clean, n_symbols, rng).items():
        for rule, parameters in RULES.items():
            key = name, pool, rule, seed
            if key in kept:
                continue
            model = model or warmed_up(warm, n_symbols, seed)
            net = trained(model, clean, pollution, parameters, n_symbols, seed)
            policy = net.batch_policy_
            values = {
                "before": cross_entropy(model, test),
                "loss": cross_entropy(net.module_, test),
                "clean share": policy.n_clean / policy.n_kept,
                "trained on": policy.n_kept,
            }
            with KEPT_RUNS.open("a") as file:
                file.write(json.dumps([key, values]) + "\n")


def table(seeds, file_name):
    """Means over the seeds, and gains on random choice with the same windows."""
    runs, rows = done(), []
    names = {key[0] for key in runs}
    for name in (name for name in TEXTS if name in names):
        for pool in ("clean", "repeats", "copies", "all"):
            at_random = [runs[name, pool, "random", seed]["loss"] for seed in seeds]
            for rule in RULES:
                these = [runs[name, pool, rule, seed] for seed in seeds]
                means = {
                    what: statistics.fmean(run[what] for run in these)
                    for what in ("before", "loss", "clean share", "trained on")
                }
                gains = np.subtract(at_random, [run["loss"] for run in these])
                error = gains.std(ddof=1) / len(seeds) ** 0.5
                rows.append(
                    {
                        "text": name,
                        "pool": pool,
                        "rule": rule,
                        "trained on": int(means["trained on"]),
                        "loss before": f"{means['before']:.3f}",
                        "loss": f"{means['loss']:.3f}",
                        "gain on random": f"{gains.mean():.3f}",
                        "its s.e.": f"{error:.3f}",
                        "clean share": f"{means['clean share']:.2f}",
                    }
                )
    report(file_name, rows)


if __name__ == "__main__":
    torch.set_num_threads(1)
    parts = {
        "tables": (range(5), "batch_selection_text"),
        "confirm": (range(100, 105), "batch_selection_text_confirm"),
    }
    for part in sys.argv[1:] or parts:
        seeds, file_name = parts[part]
        for seed in seeds:
            for name in TEXTS:
                run(name, seed)
        table(seeds, file_name)
