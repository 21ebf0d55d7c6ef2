"""
=====================================
A high loss can mean fast convergence
=====================================

Gradient descent on the logistic loss of separable data is usually run with small
steps, so that the loss falls. With large steps the loss jumps, and the training errors
vanish sooner. Divided by the mean of its weights, the gradient needs a number of steps
that does not depend on the number of rows either.
"""

# %%
# Threes and fives
# ----------------
# Errors, loss, and the certified bounds of the margin, for four step sizes. Steps of 10
# let loss and errors grow tenfold at first, and then separate in a quarter of the
# iterations of steps of 1, whose loss falls all the way. The largest step is fastest.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from sklogit.linear_model import (
    NormalizedLogisticRegression,
    SeparationCurveDisplay,
    normalized_gd_path,
)

X, y = load_digits(return_X_y=True)
chosen = np.isin(y, (3, 5))
X, y = X[chosen] / 16, y[chosen]
SeparationCurveDisplay.from_data(X, y, gammas=(0.1, 1, 10, 100), method="lr_gd")
plt.show()

# %%
# The same with normalised steps: the step size hardly matters from 1 on.

SeparationCurveDisplay.from_data(X, y, gammas=(0.1, 1, 10, 100))
plt.show()

# %%
# A rare class
# ------------
# One row against n - 1: the steps that plain gradient descent needs grow with n, those
# of the normalised one do not.

print("rows  plain  normalised")
for n in (100, 1000, 10000):
    rare = np.full((n, 2), [-0.5, -1.0])
    rare[0] = 0.5, -1.0
    labels = np.arange(n) == 0
    steps = [
        len(normalized_gd_path(rare, labels, method=m, max_iter=10000)["n_errors"]) - 1
        for m in ("lr_gd", "normalized_lr_gd")
    ]
    print(f"{n:5d}  {steps[0]:5d}  {steps[1]:10d}")

# %%
# The estimator
# -------------
# It stops at the first iterate without errors. For the larger margin let it run until
# the bounds agree, with momentum.

for params in ({}, {"stopping": "margin", "acceleration": "dual_momentum"}):
    clf = NormalizedLogisticRegression(**params).fit(X, y)
    print(
        f"{clf.n_iter_:4d} iterations, {clf.n_train_errors_} errors, margin "
        f"{clf.margin_:.4f} of at most {clf.margin_upper_bound_:.4f}"
    )
