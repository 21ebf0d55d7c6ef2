"""
=====================================
Teachers whose classes are other ones
=====================================

Two models that name their outputs differently cannot be compared column by column. The
graph of a model's logits, which of its greatest outputs fire together, can: it says
which models are alike, and a student can learn from it.
"""

# %%
# Models that are alike
# ---------------------
#
# Nets of three kinds, five of each: trained on all digits, on digits modulo 5, and on
# only a hundred digits. All see the same test images. No class of one is matched to a
# class of another; the distances are bounds of the Gromov-Wasserstein distance of the
# graphs.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from sklogit.distillation import (
    FusionDistillationClassifier,
    GromovWassersteinLogitDistance,
)
from sklogit.losses import gw_sorted_bounds

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X / 16, y, test_size=600, random_state=0)
few = slice(0, 100)
kinds = {"digits": (X, y), "modulo 5": (X, y % 5), "100 digits": (X[few], y[few])}

models = []
for X_kind, y_kind in kinds.values():
    for seed in range(5):
        net = MLPClassifier((32,), max_iter=30, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # 30 epochs are enough here
            net.fit(X_kind, y_kind)
        models.append(np.log(np.maximum(net.predict_proba(X_test), 1e-12)))

distance = GromovWassersteinLogitDistance()
lower = distance.fit_transform(models)
upper = distance.upper_bounds(models)

figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
image = axes[0].imshow(lower, cmap="viridis")
figure.colorbar(image, ax=axes[0], label="distance")
for boundary in (4.5, 9.5):
    axes[0].axhline(boundary, color="w", linewidth=1)
    axes[0].axvline(boundary, color="w", linewidth=1)
axes[0].set(
    xticks=[2, 7, 12],
    yticks=[2, 7, 12],
    xticklabels=kinds,
    yticklabels=kinds,
    title="15 nets",
)
pairs = np.triu_indices(len(models), 1)
axes[1].plot(lower[pairs], upper[pairs], "o", markersize=3)
axes[1].axline((0, 0), slope=1, color="0.5", linewidth=1)
axes[1].set(
    xlabel="bound from below",
    ylabel="bound from above",
    title="The distance lies between",
)

# %%
# What the bounds cannot see
# --------------------------
#
# Graphs whose rows have the same means have distance 0 from below. A ring of six nodes
# and two rings of three are such graphs.

ring = np.eye(6)[[1, 2, 3, 4, 5, 0]]
two_rings = np.eye(6)[[1, 2, 0, 4, 5, 3]]
print(gw_sorted_bounds(ring + ring.T, two_rings + two_rings.T))

# %%
# A student of teachers of other classes
# --------------------------------------
#
# The student has a hundred labels. One teacher knows digits in an order that nobody
# told; one knows only five groups of digits. Both saw a thousand other images.

X_few, X_many, y_few, y_many = train_test_split(
    X, y, train_size=100, stratify=y, random_state=0
)
renamed = np.random.default_rng(0).permutation(10)
teachers = [
    ("renamed", LogisticRegression(C=0.3, max_iter=300).fit(X_many, renamed[y_many])),
    ("groups", LogisticRegression(C=0.3, max_iter=300).fit(X_many, y_many // 2)),
]
settings = {
    "labels alone": {"lam": 0.0},
    "ULD": {"gld_weight": 0.0},
    "GLD": {"uld_weight": 0.0},
    "ULD and GLD": {},
    "ULD and GLD, lam=0.2": {"lam": 0.2},
}
scores = {name: [] for name in settings}
for seed in range(3):
    for name, params in settings.items():
        student = FusionDistillationClassifier(
            teachers, hidden_layer_sizes=(32,), random_state=seed, **params
        )
        with warnings.catch_warnings():
            # It says that a teacher has as many classes of the same names.
            warnings.simplefilter("ignore", UserWarning)
            student.fit(X_few, y_few)
        scores[name].append(student.score(X_test, y_test))
        if name == "ULD and GLD":
            history = student.history_
for name, accuracies in scores.items():
    print(f"{name:22} {np.mean(accuracies):.3f} ± {np.std(accuracies, ddof=1):.3f}")

# %%
# The student comes to fire as its teachers do. Whether that helps it to tell digits
# apart is another question: the figures above differ by little, and the user guide has
# those of more data. Where a teacher's classes are known, use them.

figure, axes = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
axes[0].plot(history["sft"])
axes[0].set(title="cross-entropy", xlabel="epoch", yscale="log")
for ax, kind in ((axes[1], "uld"), (axes[2], "gld")):
    ax.plot(history[kind], label=[name for name, _ in teachers])
    ax.set(title=kind.upper(), xlabel="epoch", yscale="log")
axes[1].legend(title="teacher")
plt.show()
