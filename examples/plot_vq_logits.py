"""
==========================================
Thousands of classes that share some codes
==========================================

VQ-Logits score a row against a few code vectors, and every class takes the score of its
code. That makes the layer of a trained classifier small. How much is lost depends on
what the codes are made of.
"""

# %%
# A trained layer of many classes
# -------------------------------
#
# Classes as frequent as words, around fewer topics; most of a row's features tell the
# topic, and little tells the class within it. That is where codes are at home.

import matplotlib.pyplot as plt
import numpy as np

from sklogit.heads import CodebookUsageDisplay, VQLogitsHead
from sklogit.neural import CutCrossEntropyClassifier, VQLogitsClassifier

rng = np.random.default_rng(0)
n_classes, n_features, n_topics = 2000, 32, 150
share = 1 / np.arange(5, n_classes + 5)
y = rng.choice(n_classes, 24_000, p=share / share.sum())
topics = rng.standard_normal((n_topics, n_features))
centers = topics[rng.integers(n_topics, size=n_classes)]
centers = centers + 0.3 * rng.standard_normal((n_classes, n_features))
X = centers[y] + 0.7 * rng.standard_normal((len(y), n_features))
X, X_test, y, y_test = X[:16_000], X[16_000:], y[:16_000], y[16_000:]
known = np.isin(y_test, y)
X_test, y_test = X_test[known], y_test[known]

dense = CutCrossEntropyClassifier(C=0.3, tol=1e-3).fit(X, y)
print(f"dense layer: loss of test rows {dense.log_loss(X_test, y_test):.3f}")

# %%
# Made into codes
# ---------------
#
# The paper's mapping clusters the rows of the layer as they are. Clusters in the metric
# of the logits that occur, with the frequencies as weights, lose less; so do codes that
# are fitted to the labels, for which the dense layer is not needed at all.

indices = np.searchsorted(dense.classes_, y_test)
counts = np.bincount(np.searchsorted(dense.classes_, y))
sizes = [16, 32, 64, 128, 256]
losses = {"k-means of the rows": [], "k-means of the logits": [], "fitted": []}
for n_codes in sizes:
    plain = VQLogitsHead.from_linear(
        dense, n_codes=n_codes, mapping="kmeans", within="uniform", random_state=0
    )
    weighted = VQLogitsHead.from_linear(
        dense, n_codes=n_codes, class_counts=counts, features=X, random_state=0
    )
    fitted = VQLogitsClassifier(n_codes, random_state=0).fit(X, y)
    for name, head in (("rows", plain), ("logits", weighted)):
        report = head.conversion_report(dense, X_test, indices)
        losses[f"k-means of the {name}"].append(report.nll)
    losses["fitted"].append(fitted.log_loss(X_test, y_test))

fig, ax = plt.subplots(layout="constrained")
for name, values in losses.items():
    ax.plot(sizes, values, marker="o", label=name)
ax.axhline(dense.log_loss(X_test, y_test), color="0.4", ls=":", label="dense layer")
ax.set(xscale="log", xlabel="codes", ylabel="log-loss of test rows")
ax.set_xticks(sizes, [str(size) for size in sizes])
ax.minorticks_off()
ax.grid(alpha=0.3)
ax.legend()
plt.show()

# %%
# Who uses the codes
# ------------------
#
# The third panel tells what no training can mend: a code has one favourite class, and
# rows of its other classes are never predicted right.

CodebookUsageDisplay.from_estimator(VQLogitsClassifier(64, random_state=0).fit(X, y))
plt.show()
