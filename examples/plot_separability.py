"""
================================
Can my data be separated at all?
================================

Unpenalised logistic regression has no solution on data that a hyperplane separates, and
a solver says little about it. :func:`~sklogit.linear_model.linear_separability` answers
yes or no, with a proof that can be checked by hand: a separating hyperplane with its
margin, or a few rows that contradict each other.
"""

# %%
# Two pictures of the answer
# --------------------------
# Left, a separating line. Right, one more row is enough: the marked rows prove that no
# line separates, because the segments between those of equal colour cross.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.preprocessing import StandardScaler

from sklogit.linear_model import linear_separability

rng = np.random.default_rng(3)
X = rng.standard_normal((60, 2)) * 0.8
y = np.arange(60) % 2
X += np.where(y == 1, 1.6, -1.6)[:, np.newaxis]
X_bad = np.vstack([X, [1.4, 1.9]])
y_bad = np.append(y, 0)

fig, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained", sharey=True)
for ax, points, labels in zip(axes, (X, X_bad), (y, y_bad)):
    report = linear_separability(points, labels)
    ax.scatter(*points.T, c=labels, cmap="coolwarm", edgecolor="k", s=30)
    ax.set(xlabel="first feature", aspect="equal", xlim=(-4, 4), ylim=(-4, 4))
    if report.separable:
        x = np.array([-4.0, 4.0])
        (w,), (b,) = report.coef, report.intercept
        ax.plot(x, -(w[0] * x + b) / w[1], "k-")
        ax.set_title(f"separable, margin {report.margin_lower:.2f}")
    else:
        conflict = points[report.conflict_indices]
        ax.scatter(*conflict.T, s=180, facecolor="none", edgecolor="k", linewidth=2)
        ax.set_title(f"not separable: {len(conflict)} rows in conflict")
axes[0].set_ylabel("second feature")

# %%
# Real data
# ---------
# The first vector that separates is left at that, so that the bounds of the margin
# differ. Breast cancer is separable by a hair's breadth, which gradient steps do not
# find in thousands of iterations; Newton steps do. Digits are separable as one problem
# of ten classes, while the eight alone cannot be separated from the rest.

for name, load, task in [
    ("breast cancer", load_breast_cancer, None),
    ("wine, 3 classes", load_wine, None),
    ("iris, 3 classes", load_iris, None),
    ("digits, 10 classes", load_digits, None),
    ("digits, 8 or not", load_digits, 8),
]:
    data, target = load(return_X_y=True)
    target = target if task is None else target == task
    report = linear_separability(StandardScaler().fit_transform(data), target)
    conflict = report.conflict_indices
    proof = (
        f"margin between {report.margin_lower:.5f} and {report.margin_upper:.5f}"
        if report.separable
        else f"{len(conflict)} rows in conflict, the first is row {conflict[0]}"
    )
    print(f"{name:20} {report.separable!s:6} {proof}")

# %%
# The proof of a no can be checked without the library: with the weights of the report
# the conflicting rows, multiplied by their signs, add up to zero. A hyperplane with all
# of them on its right side would make the same sum positive.

data, target = load_digits(return_X_y=True)
report = linear_separability(data, target == 8)
rows = np.column_stack([data, np.ones(len(data))])[report.conflict_indices]
signs = np.where(target[report.conflict_indices] == 8, 1.0, -1.0)
total = (report.conflict_weights * signs) @ rows
print(f"norm of the sum: {np.linalg.norm(total):.1e}, of a row: 50 to 80")
