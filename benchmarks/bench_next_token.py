"""Next tokens of real text, 50,257 classes: full softmax, without logits, and codes.

The same small net, trained by LogitClassifier for the same number of steps on the same
windows of GSM8K, with each head and loss; its held-out loss is that of the text's
own test part. Claims: the loss without logits gives the numbers of the full softmax
in less time and memory; codes cost a fraction of its time, and quality at equal steps.

    SKLOGIT_DATA=... python benchmarks/bench_next_token.py [VARIANT ...]

Each variant has a process of its own, so that its memory can be told. What was measured
is kept in the folder of temporary files, and the table is made of all of it: variants
may be measured one by one. "times" are CPU times of a step, in turns in one process;
it, "converted" and what is "trained on" need "linear_cross_entropy" before them.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from _common import cpu_times, report
from skorch.callbacks import Callback, LRScheduler
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from sklogit.datasets import load_next_tokens
from sklogit.heads import LinearHead, VQLogitsHead
from sklogit.neural import LogitClassifier

V, CONTEXT, D = 50_257, 8, 128
N_STEPS, BATCH, LR = 250, 1024, 4e-3
N_CODES = 512
N_HELD_OUT = 20_000
N_FEATURES = 10_000  # rows that tell the conversion what features are like
KEPT = Path(tempfile.gettempdir()) / f"sklogit_next_token_{N_STEPS}x{BATCH}"


class WindowNet(nn.Module):
    """Embeddings of the tokens before, and two layers."""

    def __init__(self, width=64, n_hidden=256):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Embedding(V, width),
            nn.Flatten(),
            nn.Linear(CONTEXT * width, n_hidden),
            nn.GELU(),
            nn.Linear(n_hidden, D),
            nn.LayerNorm(D),
        )

    def forward(self, tokens):
        """Compute features (n, D) of windows (n, CONTEXT)."""
        return self.layers(tokens)


# -- heads ---------------------------------------------------------------------------


def linear_head(in_features, num_classes, class_counts):
    """Make a linear head that starts from the shares of the classes, as codes do."""
    head = LinearHead(in_features, num_classes)
    with torch.no_grad():
        head.bias.copy_(torch.as_tensor(log_shares(class_counts)))
    return head


class LowRankHead(nn.Module):
    """A linear head of which the weight is a product of two."""

    def __init__(self, in_features, num_classes, class_counts, rank=16):
        super().__init__()
        self.down = nn.Linear(in_features, rank, bias=False)
        self.up = linear_head(rank, num_classes, class_counts)

    def forward(self, features):
        """Compute logits."""
        return self.up(self.down(features))

    def linear_form(self, features):
        """Return what "linear_cross_entropy" multiplies."""
        return self.down(features), self.up


class AdaptiveHead(nn.Module):
    """Torch's adaptive softmax, for classes in any order."""

    def __init__(self, in_features, num_classes, class_counts, cutoffs=(2000, 10_000)):
        super().__init__()
        rank = np.argsort(np.argsort(-class_counts, kind="stable"))
        self.register_buffer("rank", torch.as_tensor(rank))
        self.softmax = nn.AdaptiveLogSoftmaxWithLoss(
            in_features, num_classes, list(cutoffs), div_value=4
        )

    def forward(self, features):
        """Compute log-probabilities of all classes."""
        return self.softmax.log_prob(features)[:, self.rank]

    def nll(self, features, target):
        """Compute -log p of each row; most need the logits of one cluster only."""
        return -self.softmax(features, self.rank[target]).output


def log_shares(counts, smoothing=0.5):
    mass = np.asarray(counts, dtype=np.float64) + smoothing
    return np.log(mass / mass.sum())


class UpdateMapping(Callback):
    """Move classes to better codes after a quarter and after half of the steps."""

    def __init__(self, n_steps, n_rows=50_000):
        self.n_steps, self.n_rows = n_steps, n_rows

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Keep some rows."""
        self.data_ = [torch.as_tensor(a[: self.n_rows]) for a in (X, y)]
        self.n_steps_ = 0

    def on_batch_end(self, net, training=False, **kwargs):
        """Move classes, if it is time."""
        self.n_steps_ += training
        if self.n_steps_ in (self.n_steps // 4, self.n_steps // 2):
            with torch.no_grad():
                net.head_.update_mapping(
                    (net.module_.features(rows), target)
                    for rows, target in zip(*(a.split(8192) for a in self.data_))
                )


# -- variants ------------------------------------------------------------------------

VQ = {"head": "vq", "head__n_codes": N_CODES, "head__mapping": "frequency"}
VARIANTS = {
    "full softmax": {"head": linear_head},
    "linear_cross_entropy": {"head": linear_head, "loss": "linear_cross_entropy"},
    "linear_cross_entropy, filtered": {
        "head": linear_head,
        "loss": "linear_cross_entropy",
        "loss__filter_eps": "auto",
    },
    "rank 16": {"head": LowRankHead, "loss": "linear_cross_entropy"},
    "AdaptiveLogSoftmaxWithLoss": {"head": AdaptiveHead},
    f"{N_CODES} codes, random": VQ | {"head__mapping": "random"},
    f"{N_CODES} codes, frequency": VQ,
    f"{N_CODES} codes, frequency, moved twice": VQ
    | {"callbacks": [UpdateMapping(N_STEPS)]},
}
LONGER = 4
LONG = f"{LONGER} times the steps"
VARIANTS[f"{N_CODES} codes, frequency, moved twice, {LONG}"] = VQ | {
    "callbacks": [UpdateMapping(LONGER * N_STEPS)],
    "n_steps": LONGER * N_STEPS,
}


def make_net(n_steps, module=WindowNet, callbacks=(), lr=LR, **parts):
    def decay(step):
        return max(0.0, 1 - step / max(n_steps, 1))

    schedule = LRScheduler(LambdaLR, lr_lambda=decay, step_every="batch")
    return LogitClassifier(
        module,
        lr=lr,
        max_epochs=1,
        batch_size=BATCH,
        classes=np.arange(V),
        callbacks=[("schedule", schedule), *callbacks],
        random_state=0,
        **parts,
    )


def train(name):
    """Train a variant; return what the table says of it."""
    torch.set_num_threads(1)
    parts = {"n_steps": N_STEPS} | VARIANTS[name]
    n_steps = parts["n_steps"]
    X, y, X_test, y_test = data(n_steps)
    warm_up(parts.get("loss", "cross_entropy"))
    net = make_net(**parts)
    before = resident_mib()
    net.fit(X, y)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    if name == "linear_cross_entropy":
        torch.save(net.module_, KEPT / "net.pt")
    of_steps = [batch["train_loss"] for batch in net.history_[-1]["batches"]]
    n_backbone = sum(p.numel() for p in net.module_.module.parameters())
    return quality(net, X_test, y_test) | {
        "MiB": memory,
        "backbone": n_backbone,
        "steps": of_steps,
    }


def warm_up(loss):
    """Let the libraries allocate what they do once: steps of two classes."""
    rows = np.random.default_rng(0).standard_normal((64, 8))
    LogitClassifier(loss=loss, max_epochs=2).fit(rows, np.arange(64) % 2)


def resident_mib():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def continued(n_steps, codes):
    """Go on with the trained net, as it is or with codes made of its head."""
    torch.set_num_threads(1)
    X, y, X_test, y_test = data()
    model = torch.load(KEPT / "net.pt", weights_only=False).eval()
    head, loss = model.head, "linear_cross_entropy"
    if codes:
        with torch.no_grad():
            features = model.module(torch.as_tensor(X[:N_FEATURES]))
        loss = "cross_entropy"
        head = VQLogitsHead.from_linear(
            head,
            n_codes=N_CODES,
            class_counts=np.bincount(y, minlength=V),
            features=features,
            random_state=0,
        )
    net = make_net(n_steps, model.module, lr=LR / 4, head=head, loss=loss)
    if n_steps:
        # Windows that the trained net has not seen.
        X, y = (a[N_STEPS * BATCH :] for a in data(N_STEPS + n_steps)[:2])
    else:
        net.set_params(max_epochs=0)
    net.fit(X, y)
    return quality(net, X_test, y_test)


def quality(net, X, y):
    return {
        "loss": net.log_loss(X, y),
        "top-1": float((net.predict(X) == y).mean()),
        "parameters": sum(p.numel() for p in net.head_.parameters()),
    }


def times():
    """Milliseconds of a step of each variant, in turns; linear heads are trained ones.

    A trained head is peaked, and so the filtered gradient has something to leave out.
    """
    X, y, *_ = data(2)
    trained = torch.load(KEPT / "net.pt", weights_only=False).state_dict()
    batch = torch.as_tensor(X[BATCH:]), torch.as_tensor(y[BATCH:])
    names = [name for name in VARIANTS if LONG not in name]
    steps = []
    for name in names:
        net = make_net(1, **VARIANTS[name] | {"callbacks": []})
        net.fit(X[:BATCH], y[:BATCH])
        if VARIANTS[name]["head"] is linear_head:
            net.module_.load_state_dict(trained)
        steps.append(partial(net.train_step, batch))
    seconds, _ = cpu_times(*steps, repeats=5)
    return {name: 1e3 * s for name, s in zip(names, seconds)}


# -- what needs no net ---------------------------------------------------------------


def unigram():
    _, y, _, y_test = data()
    shares = log_shares(np.bincount(y, minlength=V))
    top = shares.argmax()
    return {
        "loss": float(-shares[y_test].mean()),
        "top-1": float((y_test == top).mean()),
        "parameters": V,
    }


def bigram(weight=20.0):
    """Count pairs; the unigrams add `weight` observations to each row of counts."""
    X, y, X_test, y_test = data()
    shares = np.exp(log_shares(np.bincount(y, minlength=V)))
    pairs, counts = np.unique(X[:, -1] * V + y, return_counts=True)
    before = np.bincount(X[:, -1], minlength=V)
    asked = X_test[:, -1] * V + y_test
    place = np.minimum(np.searchsorted(pairs, asked), len(pairs) - 1)
    n = np.where(pairs[place] == asked, counts[place], 0)
    p = (n + weight * shares[y_test]) / (before[X_test[:, -1]] + weight)
    return {"loss": float(-np.log(p).mean()), "parameters": len(pairs)}


# -- data and table ------------------------------------------------------------------


def data(n_steps=N_STEPS):
    """Windows and next tokens, of training and held out."""
    X, y, X_test, y_test = np.load(KEPT / "windows.npz").values()
    return X[: n_steps * BATCH], y[: n_steps * BATCH], X_test, y_test


def keep_data():
    """Draw the windows: each is seen once in training; the test part is held out."""
    if (KEPT / "windows.npz").exists():
        return
    KEPT.mkdir(exist_ok=True)
    X, y = load_next_tokens("gsm8k_train", CONTEXT)
    X_test, y_test = load_next_tokens("gsm8k_test", CONTEXT)
    rng = np.random.default_rng(0)
    rows = rng.permutation(len(y))[: LONGER * N_STEPS * BATCH]
    held_out = rng.permutation(len(y_test))[:N_HELD_OUT]
    np.savez(KEPT / "windows.npz", X[rows], y[rows], X_test[held_out], y_test[held_out])


CASES = {"unigrams": unigram, "bigrams": bigram}
CASES |= {name: partial(train, name) for name in VARIANTS}
FURTHER = 50  # steps
CASES["linear_cross_entropy, trained on"] = partial(continued, FURTHER, False)
CASES["converted"] = partial(continued, 0, True)
CASES["converted, trained on"] = partial(continued, FURTHER, True)
CASES["times"] = times
NAMES = {
    "linear_cross_entropy, trained on": f"linear_cross_entropy, {FURTHER} more steps",
    "converted": f"{N_CODES} codes of the trained linear head",
    "converted, trained on": f"{N_CODES} codes of it, and {FURTHER} more steps",
}


def file_of(name):
    return KEPT / f"{name.replace(', ', '_').replace(' ', '_')}.json"


def measured(name):
    """Measure a case in a process of its own."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "one", name]
    subprocess.run(command, check=True, env=environment)
    found = json.loads(file_of(name).read_text())
    print(name, {k: v for k, v in found.items() if k != "steps"}, flush=True)


def table():
    found = {
        name: json.loads(file_of(name).read_text())
        for name in CASES
        if file_of(name).exists()
    }
    milliseconds = found.pop("times", {})
    full = found.get("full softmax", {}).get("steps")
    rows = []
    for name, values in found.items():
        row = {"head and loss": NAMES.get(name, name)}
        row["held-out loss"] = f"{values['loss']:.4f}"
        row["perplexity"] = f"{np.exp(values['loss']):.2f}"
        row["top-1"] = f"{values['top-1']:.3f}" if "top-1" in values else ""
        row["loss, most off full softmax"] = ""
        if name.startswith("linear_cross") and full and "steps" in values:
            off = np.abs(np.subtract(values["steps"], full)).max()
            row["loss, most off full softmax"] = f"{off:.1e}"
        ms = milliseconds.get(name.removesuffix(f", {LONG}"))
        row["ms a step"] = "" if ms is None else f"{ms:.0f}"
        row["MiB"] = f"{values['MiB']:.0f}" if "MiB" in values else ""
        row["parameters of the head"] = values["parameters"]
        rows.append(row)
    report("next_token", rows)


def main(arguments):
    if arguments[:1] == ["one"]:
        file_of(arguments[1]).write_text(json.dumps(CASES[arguments[1]]()))
        return
    keep_data()
    for name in arguments or CASES:
        measured(name)
    table()


if __name__ == "__main__":
    main(sys.argv[1:])
