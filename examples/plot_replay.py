"""
===========================
Digits, two kinds at a time
===========================

A stream shows the ten digits two at a time and never again. A few rows are kept and
replayed. What is remembered depends on which logits train the new rows, and which the
replayed ones.
"""

# %%
# A stream, and four ways to learn from it
# ----------------------------------------
# The tasks have two digits each, in an order drawn by the seed. The classifier is not
# told where a task ends, nor which digits will come: new labels add rows to its head.

from functools import partial

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sklogit.continual import (
    AccuracyMatrixDisplay,
    UnbiasedReplayClassifier,
    class_incremental_splits,
)
from sklogit.metrics import average_forgetting, continual_accuracy_matrix

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X / 16, y, stratify=y, random_state=0)


def tasks(X, y, seed):
    """Rows and labels of each task."""
    splits = class_incremental_splits(y, 5, random_state=seed)
    return [(X[rows], y[rows]) for rows in splits]


new = partial(UnbiasedReplayClassifier, memory_size=50)
methods = {
    "plain replay (ER)": partial(new, current_logits="dot"),
    "cosine replay": partial(new, replay_logits="angle"),
    "ER-ACE": partial(new, current_logits="masked"),
    "unbiased replay (UER)": new,
}

# %%
# What is known along the way
# ---------------------------
# After every 45 rows each classifier is asked about the digits that it has met. With
# every new pair there is a dip. Plain replay then climbs slowly, as it takes old digits
# for the newest ones; ER-ACE does not let new rows push the old digits down, and needs
# time to see the new ones. On this data cosine replay is the best, unbiased replay the
# next. The mean of ten streams:

N_SEEDS, STEP = 10, 45


def accuracy_on_the_way(clf, seed):
    """Accuracy on the classes so far, after each piece of the stream."""
    X_s, y_s = (np.concatenate(part) for part in zip(*tasks(X, y, seed)))
    scores = []
    for start in range(0, len(y_s) - STEP // 2, STEP):
        rows = slice(start, start + STEP)
        clf.partial_fit(X_s[rows], y_s[rows])
        met = np.isin(y_test, clf.classes_)
        scores.append(clf.score(X_test[met], y_test[met]))
    return scores


curves = {
    name: np.mean(
        [accuracy_on_the_way(make(random_state=s), s) for s in range(N_SEEDS)], axis=0
    )
    for name, make in methods.items()
}
fig, ax = plt.subplots(figsize=(8, 4), layout="constrained")
for name, scores in curves.items():
    wide = "UER" in name or "(ER)" in name
    seen = STEP * np.arange(1, len(scores) + 1)
    ax.plot(seen, scores, label=name, linewidth=2.5 if wide else 1)
for edge in np.cumsum([len(rows) for rows, _ in tasks(X, y, 0)])[:-1]:
    ax.axvline(edge, color="0.8", zorder=0)
ax.set(xlabel="rows seen", ylabel="accuracy on the digits met", ylim=(0.5, 1))
ax.legend(loc="lower left", ncols=2)
plt.show()

# %%
# What is forgotten
# -----------------
# Down a column of the accuracy matrix a task fades. The mean of the same streams, for
# plain and for unbiased replay; forgetting is what each task has lost since its best.

names = "plain replay (ER)", "unbiased replay (UER)"
chosen = {name: methods[name] for name in names}
matrices = {
    name: [
        continual_accuracy_matrix(
            make(random_state=seed), tasks(X, y, seed), tasks(X_test, y_test, seed)
        )
        for seed in range(N_SEEDS)
    ]
    for name, make in chosen.items()
}
fig, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
for ax, (name, found) in zip(axes, matrices.items()):
    AccuracyMatrixDisplay(np.mean(found, axis=0)).plot(ax=ax, vmin=0.5)
    forgotten = np.mean([average_forgetting(A) for A in found])
    ax.set_title(f"{name}: forgetting {forgotten:.2f}")
plt.show()

# %%
# Where the bias is
# -----------------
# A logit is a product of norms and a cosine. Asked by the angle alone at the end of a
# stream, both classifiers take more of the old digits for the newest two than by norm
# and angle: the norms hold against the bias of the angles. In unbiased replay new rows
# only turn the rows of the head. The norms of the newest classes, which have hardly
# been replayed, are still small, and few old digits are taken for them.

fig, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
for shift, (name, make) in zip((-0.2, 0.2), chosen.items()):
    norms, taken = [], {"dot": [], "angle": []}
    for seed in range(N_SEEDS):
        clf = make(random_state=seed)
        stream = tasks(X, y, seed)
        for rows, labels in stream:
            clf.partial_fit(rows, labels)
        newest = np.unique(stream[-1][1])
        pairs = np.concatenate([np.unique(labels) for _, labels in stream])
        norms.append(clf.norms_[np.searchsorted(clf.classes_, pairs)])
        old = ~np.isin(y_test, newest)
        for kind, shares in taken.items():
            clf.set_params(predict_with=kind)
            shares.append(np.isin(clf.predict(X_test[old]), newest).mean())
    by_task = np.mean(norms, axis=0).reshape(5, 2).mean(axis=1)
    axes[0].bar(np.arange(1, 6) + shift, by_task, 0.38, label=name)
    shares = [np.mean(taken[kind]) for kind in ("dot", "angle")]
    axes[1].bar(np.arange(2) + shift, shares, 0.38, label=name)
axes[0].set(xlabel="task of the class", ylabel="norm of its row of the head")
axes[1].set_xticks([0, 1], ["norm and angle", "angle alone"])
axes[1].set(ylabel="old digits taken for the newest two", ylim=(0, 1))
axes[1].legend()
plt.show()
