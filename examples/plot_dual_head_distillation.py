"""
=====================================
A small student with a second head
=====================================

A student of eight hidden units learns from labels and from the logits of a large
teacher. Both losses may meet on one head; or a second head, which is thrown away after
training, takes the teacher's part. Which is better can be measured.
"""

# %%
# Four students of one teacher
# ----------------------------
#
# The first one learns from the labels alone. The next two have both losses on their
# only head: the cross-entropy of the labels, and KD, which compares the softmax with
# that of the teacher, or BinaryKL, which compares the logits. The last one has a head
# for the labels and one for the logits. All cost the same to predict.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from sklogit.distillation import (
    DistillationHistoryDisplay,
    DualHeadDistillationClassifier,
)

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X / 16, y, test_size=0.5, random_state=0)
teacher = MLPClassifier((256,), alpha=1e-3, random_state=0).fit(X, y)
teacher = FrozenEstimator(teacher)
print(f"teacher: {teacher.score(X_test, y_test):.3f}")

METHODS = {
    "labels alone": {"alpha": 0.0},
    "KD": {"aux_head": None, "logit_loss": "kd", "temperature": 4.0},
    "one head, BinaryKL": {"aux_head": None, "logit_loss": "binary_kl"},
    "two heads": {},
}


def student(seed=0, **params):
    made = DualHeadDistillationClassifier(
        teacher,
        hidden_layer_sizes=(8,),
        max_epochs=60,
        batch_size=128,
        random_state=seed,
        **params,
    )
    return made.fit(X, y)


students = {
    name: [student(seed, **params) for seed in range(5)]
    for name, params in METHODS.items()
}
for name, (first, *_) in students.items():
    print(
        f"{name}: {first.n_params_} weights trained, {first.n_params_inference_} used"
    )

# %%
# Each point is a student of another seed.

ax = plt.subplots(layout="constrained", figsize=(6, 2.6))[1]
for place, fitted in enumerate(students.values()):
    scores = [100 * model.score(X_test, y_test) for model in fitted]
    ax.plot(scores, [place] * len(scores), "o", alpha=0.6)
    ax.plot(np.mean(scores), place, "k|", markersize=18)
ax.axvline(100 * teacher.score(X_test, y_test), color="0.5", linestyle=":")
ax.set(
    yticks=range(len(students)), yticklabels=students, xlabel="test accuracy, %",
    ylim=(3.5, -0.5), title="dotted: the teacher"
)  # fmt: skip
ax.grid(axis="x", alpha=0.3)

# %%
# Is a second head needed?
# ------------------------
#
# The student with two heads has recorded both losses, and in how many batches their
# gradients pointed against each other: in the layers that both train, and in the head,
# if one had to take both.

DistillationHistoryDisplay.from_estimator(students["two heads"][0])

# %%
# The weight of the teacher
# -------------------------
#
# BinaryKL on a single head gets worse the more it weighs: its logits cannot be those of
# the teacher and right as well. With two heads it does no harm until the labels, from
# which alone the main head learns, have next to no weight. KD hardly depends on it: try
# it as well before you settle for two heads.

SHARES = [0.1, 0.5, 0.9, 0.99]
ax = plt.subplots(layout="constrained")[1]
for name in list(METHODS)[1:]:
    scores = [
        [student(seed, alpha=w, gamma=1 - w, **METHODS[name]) for seed in range(2)]
        for w in SHARES
    ]
    scores = [[100 * model.score(X_test, y_test) for model in row] for row in scores]
    ax.plot(SHARES, np.mean(scores, axis=1), "o-", label=name)
plain = np.mean([model.score(X_test, y_test) for model in students["labels alone"]])
ax.axhline(100 * plain, color="0.5", linestyle=":", label="labels alone")
ax.set(xlabel="share of the teacher in the loss", ylabel="test accuracy, %")
ax.legend()
ax.grid(alpha=0.3)
