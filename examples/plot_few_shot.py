"""
====================================
A few labels on top of a prior model
====================================

A frozen model already gives logits for the classes, but not good ones. There are other
features of the same items, and a handful of labels. A logit bias learns from the labels
what the other features say, and adds it to the logits.

Here the items are handwritten digits. The prior model only sees the left half of each
image, the other features are the right half.
"""

# %%
# Two views
# ---------
# 500 images make the prior: a direction for each digit, and logits that are cosines.
# Few shots come from 700 other images, and 597 are for testing.

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import softmax
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize

from sklogit.few_shot import (
    LogitBiasClassifier,
    LogitBiasClassifierCV,
    ZeroShotLogits,
    uncertainty_factor,
)

images, y = load_digits(return_X_y=True)
images = images.reshape(-1, 8, 8) / 16


def split(seed):
    """Prior logits beside the right half of each image, for shots and for testing."""
    order = np.random.default_rng(seed).permutation(len(y))
    left, right = images[order, :, :4], images[order, :, 4:]
    left, right = left.reshape(-1, 32), right.reshape(-1, 32)
    prior = ZeroShotLogits(scale=20.0).fit(left[:500], y[order[:500]])
    X = np.hstack([prior.transform(left), right])
    return X[500:1200], y[order[500:1200]], X[1200:], y[order[1200:]], order[1200:]


def draw(y, n_shots):
    """So many rows of each digit."""
    return np.concatenate([np.flatnonzero(y == c)[:n_shots] for c in range(10)])


# %%
# Accuracy by the number of labels
# --------------------------------
# With one label a digit nothing can be held out to choose how strongly the bias is
# added; it then stays at the defaults. From two on, cross-validation on the few shots
# chooses. The regressions get features of length one, the second one the probabilities
# of the prior beside them: that suits it better than logits, or standardised columns.

SHOTS, N_SEEDS = (1, 2, 4, 8, 16), 8


def both_views(X):
    """Probabilities of the prior, and features of length one."""
    return np.hstack([softmax(X[:, :10], axis=1), normalize(X[:, 10:])])


def accuracies(seed, n_shots):
    """Of all methods, with the same labels."""
    X, y, X_test, y_test, _ = split(seed)
    few = draw(y, n_shots)
    bias = LogitBiasClassifier(10) if n_shots == 1 else LogitBiasClassifierCV(10)
    regression = LogisticRegression(C=100)
    both, both_test = both_views(X), both_views(X_test)
    return {
        "prior alone": (X_test[:, :10].argmax(axis=1) == y_test).mean(),
        "regression, right half": regression.fit(both[few, 10:], y[few]).score(
            both_test[:, 10:], y_test
        ),
        "regression, prior and right half": regression.fit(both[few], y[few]).score(
            both_test, y_test
        ),
        "bias of class means, untrained": LogitBiasClassifier(10, max_iter=0)
        .fit(X[few], y[few])
        .score(X_test, y_test),
        "logit bias": bias.fit(X[few], y[few]).score(X_test, y_test),
    }


found = [[accuracies(seed, n_shots) for seed in range(N_SEEDS)] for n_shots in SHOTS]
fig, ax = plt.subplots(figsize=(7.5, 4.8), layout="constrained")
styles = {"prior alone": "--", "bias of class means, untrained": ":"}
for name in found[0][0]:
    values = np.array([[of_seed[name] for of_seed in row] for row in found])
    mean, half = values.mean(axis=1), 2 * values.std(axis=1, ddof=1) / N_SEEDS**0.5
    wide = 2.8 if name == "logit bias" else 1.6
    (line,) = ax.plot(SHOTS, mean, styles.get(name, "-"), label=name, linewidth=wide)
    ax.fill_between(SHOTS, mean - half, mean + half, color=line.get_color(), alpha=0.15)
ax.set_xscale("log", base=2)
ax.set_xticks(SHOTS, SHOTS)
ax.set(xlabel="labels of each digit", ylabel="accuracy", xlim=(1, 16))
ax.grid(alpha=0.3)
ax.legend(loc="lower right")
plt.show()

# %%
# The bias gains most where labels are fewest: with one label a digit it is far better
# than the prior, and than anything that is learnt from ten labels alone. With sixteen a
# plain regression on both views is as good.
#
# Where the bias is added
# -----------------------
# The bias has a factor that grows where the prior is not sure. Left, three kinds of it:
# the kurtosis is that of the paper, but it measures the shape of the probabilities, not
# how sure they are; entropy and margin fall with the largest probability. Right, what
# the bias did: labels that it mended are where the prior was unsure.

X, y_few, X_test, y_test, order = split(0)
few = draw(y_few, 4)
clf = LogitBiasClassifierCV(10).fit(X[few], y_few[few])
logits = clf.zero_shot_logits(X_test)
largest = softmax(logits, axis=1).max(axis=1)
before = clf.classes_[logits.argmax(axis=1)] == y_test
after = clf.predict(X_test) == y_test

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
for kind, color in (("kurtosis", "C0"), ("entropy", "C1"), ("margin", "C2")):
    factor = uncertainty_factor(logits, kind)
    left.scatter(largest, factor, s=8, alpha=0.5, color=color, label=kind)
left.set(xlabel="largest probability of the prior", ylabel="factor of the bias")
left.grid(alpha=0.3)
left.legend()

edges = np.quantile(largest, np.linspace(0, 1, 7))
bins = np.clip(np.digitize(largest, edges) - 1, 0, 5)
mended, broken = (
    np.array([part[bins == k].mean() for k in range(6)])
    for part in (~before & after, before & ~after)
)
right.bar(range(6), mended, color="C2", label="mended")
right.bar(range(6), -broken, color="C3", label="broken")
right.axhline(0, color="0.3", linewidth=0.8)
names = [f"{low:.2f}\nto {high:.2f}" for low, high in pairwise(edges)]
right.set_xticks(range(6), names)
right.set(xlabel="largest probability of the prior", ylabel="share of the rows")
right.legend()
plt.show()

# %%
# Some of the digits that it mended. The prior saw what is left of the line.

fig, axes = plt.subplots(2, 6, figsize=(9, 3.6), layout="constrained")
for ax, row in zip(axes.flat, np.flatnonzero(~before & after)):
    ax.imshow(images[order[row]], cmap="gray_r")
    ax.axvline(3.5, color="C3", linewidth=1.5)
    said = clf.classes_[logits[row].argmax()]
    ax.set_title(f"prior {said}, now {y_test[row]}", fontsize=9)
    ax.axis("off")
plt.show()
