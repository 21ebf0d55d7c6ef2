"""
========================================
Many classes without a matrix of logits
========================================

With tens of thousands of classes the matrix of logits is the largest array of the
training. :func:`~sklogit.kernels.linear_cross_entropy` computes the same loss and the
same gradients in slices, and keeps none of it.
"""

# %%
# The same numbers
# ----------------

import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch.nn import functional as F

from sklogit.kernels import linear_cross_entropy
from sklogit.losses import LossMemoryDisplay
from sklogit.neural import CutCrossEntropyClassifier

torch.manual_seed(0)
features = torch.randn(512, 64, requires_grad=True)
weight = (torch.randn(20_000, 64) / 8).requires_grad_()
target = torch.randint(20_000, (512,))

usual = F.cross_entropy(features @ weight.T, target)
cut = linear_cross_entropy(features, weight, target)
of_usual, of_cut = (torch.autograd.grad(loss, weight)[0] for loss in (usual, cut))
print(f"loss {usual:.6f} and {cut:.6f}")
print(f"largest difference of the gradients {(of_usual - of_cut).abs().max():.1e}")

# %%
# Memory
# ------
#
# "chunk", the default, keeps the exponentials of some hundred rows; "recompute" makes
# the logits twice, and keeps none. Below the dotted line no training by gradients goes.

LossMemoryDisplay.from_losses(n_classes=(1000, 4000, 16_000, 64_000), n_features=64)
plt.show()

# %%
# Logistic regression with two thousand classes
# ---------------------------------------------
#
# :class:`~sklogit.neural.CutCrossEntropyClassifier` minimises what
# :class:`~sklearn.linear_model.LogisticRegression` minimises. Its classes are as
# frequent as words are.

rng = np.random.default_rng(0)
n_classes, n_features = 2000, 24
share = 1 / np.arange(10, n_classes + 10)
y = rng.choice(n_classes, 12_000, p=share / share.sum())
centers = rng.standard_normal((n_classes, n_features))
X = centers[y] + 0.8 * rng.standard_normal((len(y), n_features))
X, X_test, y, y_test = X[:8000], X[8000:], y[:8000], y[8000:]
known = np.isin(y_test, y)
X_test, y_test = X_test[known], y_test[known]

for clf in (LogisticRegression(tol=1e-3), CutCrossEntropyClassifier(tol=1e-3)):
    start = time.process_time()
    clf.fit(X, y)
    seconds = time.process_time() - start
    print(
        f"{type(clf).__name__}: {seconds:.1f} s, {np.max(clf.n_iter_)} iterations, "
        f"test accuracy {clf.score(X_test, y_test):.3f}"
    )

# %%
# The five most probable classes of a row, without probabilities of all two thousand:

for label, top in zip(y_test[:4], clf.predict_topk(X_test[:4], 5)):
    print(f"class {label:4d}, predicted {top}")

# %%
# How often the class is among the k first
# ----------------------------------------

top = clf.predict_topk(X_test, 100)
found = np.cumsum(top == y_test[:, None], axis=1).mean(axis=0)
fig, ax = plt.subplots(layout="constrained")
ax.plot(np.arange(1, 101), found)
ax.set(
    xscale="log", ylim=(0, 1), xlabel="k", ylabel="rows with their class among the k"
)
ax.grid(alpha=0.3)
plt.show()
