"""
==============================
Few calls of an expensive loss
==============================

A loss that runs a simulator or asks a remote service is called as rarely as possible.
Here the service is a function that takes its time; the classifier in front of it is
linear, and learns from every call as much as it can.
"""

# %%
# A slow scorer of our own
# ------------------------
# An oracle returns the mean loss and the gradient of every sample's loss at the given
# scores. :func:`~sklogit.linear_model.expensive_oracle` counts the calls, and sets a
# budget.

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.datasets import load_digits

from sklogit.linear_model import TargetSurrogateClassifier, expensive_oracle

X, y = load_digits(return_X_y=True)
X, y = X / 16, y % 2


seen = []  # the loss at every call, trials of line searches included


def scorer(Z, y, sample_weight=None):
    sign = np.where(y == 1, 1.0, -1.0)[:, np.newaxis]
    loss = np.logaddexp(0, -sign * Z).mean()
    seen.append(loss)
    return loss, -sign * expit(-sign * Z)


# %%
# Loss against calls
# ------------------
# L-BFGS on the coefficients calls the scorer once an evaluation. The surrogate takes
# the features into account, which cost nothing to look at.

curves = {}
ones = np.column_stack([X, np.ones(len(X))])


def of_coefficients(w):
    loss, G = scorer((ones @ w)[:, np.newaxis], y)
    return loss, ones.T @ G[:, 0] / len(y)


minimize(of_coefficients, np.zeros(65), jac=True, method="L-BFGS-B")
curves["L-BFGS on the coefficients"] = seen.copy()
for outer in ("lbfgs", "plain"):
    seen.clear()
    oracle = expensive_oracle(scorer, cost_s=0.001)
    model = TargetSurrogateClassifier(
        loss=oracle, outer=outer, max_oracle_calls=100, tol=1e-3
    ).fit(X, y)
    curves[f"target surrogate, outer={outer!r}"] = seen.copy()
    print(f"{outer}: {model.n_oracle_calls_} calls, accuracy {model.score(X, y):.3f}")

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for name, curve in curves.items():
    best = np.minimum.accumulate(curve)
    ax.plot(np.arange(1, len(best) + 1), best, label=name)
ax.set(xlabel="calls of the scorer", ylabel="lowest loss so far", xscale="log")
ax.legend()
plt.show()
