"""
==========================================
Train on the rows of a batch that are news
==========================================

A next-token net gets a pool of text of which half is useless: windows that repeat one
or two characters, copies of windows that it knows, and scrambled text. Of each batch of
eight candidates it may train on two. Which ones?
"""

# %%
# A polluted pool
# ---------------
# The text are the descriptions of the data sets in scikit-learn. The net, a small GRU,
# has seen 150 windows of it before.

import copy
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import sklearn
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import TensorDataset

from sklogit.neural import LogitClassifier, OnlineSelection, OnlineSelectionClassifier

torch.set_num_threads(1)  # More lose time on a net this small.

folder = Path(sklearn.__file__).parent / "datasets" / "descr"
text = "\n".join(path.read_text("utf8") for path in sorted(folder.glob("*.rst")))
alphabet, characters = np.unique(list(text), return_inverse=True)
n_characters, length = len(alphabet), 48

rng = np.random.default_rng(0)
windows = characters[: len(characters) // (length + 1) * (length + 1)]
windows = rng.permutation(windows.reshape(-1, length + 1))
known, test, news = np.split(windows[:800], [150, 300])

pairs = rng.integers(n_characters, size=(170, 2))
pool = {
    "news": news,
    "repeats": np.where(np.arange(length + 1) % 2, pairs[:, 1:], pairs[:, :1]),
    "copies": np.repeat(known[:10], 17, axis=0),
    "scrambled": rng.choice(characters, size=(160, length + 1)),
}
for kind, rows in pool.items():
    print(f"{kind:>9}: {''.join(alphabet[rows[1]])!r}")


# %%
# The net, and a policy that tells what it chose
# ----------------------------------------------
# :class:`~sklogit.neural.OnlineSelection` chooses rows of each batch; a few lines more
# write down of which kind candidates and chosen rows are.


class Recurrent(nn.Module):
    """Features of each position from those before it."""

    def __init__(self, width=96):
        super().__init__()
        self.table = nn.Embedding(n_characters, width)
        self.gru = nn.GRU(width, width, batch_first=True)

    def forward(self, X):
        """Compute features (n, length, width) of indices (n, length)."""
        return self.gru(self.table(X))[0]


class Recorded(OnlineSelection):
    """Writes down the kinds of rows."""

    kind_of = {row[:-1].tobytes(): kind for kind, rows in pool.items() for row in rows}

    def select(self, net, batch):
        """Choose rows, and write down their kinds."""
        chosen = super().select(net, batch)
        candidates, kept = (
            [self.kind_of[row.numpy().tobytes()] for row in X]
            for X in (batch[0], chosen[0])
        )
        record = {"candidates": candidates, "kept": kept}
        for name in ("utility_", "diversity_"):
            record[name] = getattr(self.selector_, name, None)
        self.records = [*getattr(self, "records", []), record]
        return chosen


def dataset(rows):
    rows = torch.as_tensor(rows)
    return TensorDataset(rows[:, :-1].clone(), rows[:, 1:].clone())


def test_loss(net):
    X, y = dataset(test).tensors
    with torch.no_grad():
        logits = net.module_.eval()(X)
    return float(cross_entropy(logits.flatten(0, 1), y.flatten()))


settings = {
    "classes": range(n_characters),
    "batch_size": 8,
    "random_state": 0,
    "verbose": 0,
}
start = LogitClassifier(Recurrent, lr=3e-3, max_epochs=8, **settings)
start.fit(dataset(known))
print(f"loss before: {test_loss(start):.2f}")

# %%
# Four rules
# ----------
# Each gets the same pool in the same order, a tenth at a time. "all rows" trains on
# eight rows a step, the others on two.

rules = {
    "all rows": {"budget": 1.0},
    "random": {"budget": 2, "utility": "random", "alpha": 0.0},
    "greatest loss": {"budget": 2, "utility": "loss", "alpha": 0.0},
    "utility and diversity": {"budget": 2},
}
everything = rng.permutation(np.concatenate(list(pool.values())))
curves, records = {}, {}
for name, rule in rules.items():
    model = copy.deepcopy(start.module_)
    net = OnlineSelectionClassifier(
        model.module,
        head=model.head,
        lr=2e-3,
        max_epochs=1,
        batch_policy=Recorded(**rule, random_state=0),
        iterator_train__shuffle=False,
        **settings,
    )
    losses, n_rows = [test_loss(start)], [0]
    for part in np.array_split(everything, 10):
        net.partial_fit(dataset(part))
        losses.append(test_loss(net))
        records[name] = net.batch_policy_.records
        n_rows.append(sum(len(record["kept"]) for record in records[name]))
    curves[name] = n_rows, losses

# %%
# What it comes to
# ----------------
# The loss on other text of the same kind, against the number of rows that went through
# the backward pass, and which rows these were.

colours = dict(zip(pool, ["tab:green", "tab:red", "tab:orange", "tab:purple"]))
fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
styles = ["0.6", "black", "tab:brown", "tab:blue"]
for (name, (n_rows, losses)), colour in zip(curves.items(), styles):
    left.plot(n_rows, losses, marker=".", color=colour, label=name)
left.set(xlabel="rows trained on", ylabel="test loss, nats a character")
left.set_ylim(2.37, 2.56)
left.grid(alpha=0.3)
left.legend()

bottom = np.zeros(len(rules))
for kind, colour in colours.items():
    kept = [[k for record in records[name] for k in record["kept"]] for name in rules]
    share = np.array([row.count(kind) / len(row) for row in kept])
    right.barh(list(rules), share, left=bottom, color=colour, label=kind)
    bottom += share
right.invert_yaxis()
right.set(xlabel="share of the rows trained on")
right.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1))
plt.show()

# %%
# The greatest losses are those of scrambled text and of odd repeats, which nobody can
# predict: training on them makes the net worse, soon beyond the picture. Random choice
# trains on what there is, and so does training on all rows, at four times the cost.
# Only the net that chooses by utility and diversity is better than before.
#
# Why it works
# ------------
# Each term of the score sees other rows. Repeats have logits of low rank, hence a small
# nuclear norm. Copies have large norms, as the net is sure of them, but their logits
# are close to some that were trained on lately. Scrambled text looks like news to both:
# of that the rule takes its share. The candidates of the last third of the pass:

fig, ax = plt.subplots(figsize=(6.5, 4.5), layout="constrained")
last = records["utility and diversity"][-40:]
kinds = np.array([kind for record in last for kind in record["candidates"]])
utility, diversity = (
    np.concatenate([record[name] for record in last])
    for name in ("utility_", "diversity_")
)
for kind, colour in colours.items():
    rows = kinds == kind
    ax.scatter(diversity[rows], utility[rows], s=18, color=colour, label=kind)
ax.set(xlabel="diversity: distance to the nearest row trained on lately")
ax.set(ylabel="utility: nuclear norm of the logits")
ax.legend()
plt.show()
