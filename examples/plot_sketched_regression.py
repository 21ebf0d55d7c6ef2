"""
=========================================================
Tall least squares, with an error bar on each coefficient
=========================================================

There are two ways to use a random sketch of the rows: as a help, for the exact
coefficients in less time; and as the solution, from a single read of the data, with
error bars that say how far each coefficient may be from the exact one.
"""

# %%
# A table as tables are
# ---------------------
# 200,000 rows: numbers of heavy tails in different units, and dummies for the branches
# of a shop, most of which are rare. The noise has heavy tails too, and grows with the
# first number.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.linear_model import LinearRegression

from sklogit.sketching import (
    CoefficientErrorDisplay,
    SketchedLinearRegression,
    SketchErrorDisplay,
)

rng = np.random.default_rng(0)
n, n_numbers, n_branches = 200_000, 10, 20
units = np.geomspace(0.1, 100, n_numbers)
numbers = rng.standard_t(3, size=(n, n_numbers)) * units
shares = np.geomspace(1, 5e-4, n_branches)
branch = rng.choice(n_branches, size=n, p=shares / shares.sum())
dummies = branch[:, np.newaxis] == np.arange(1, n_branches)
X = pd.DataFrame(
    np.column_stack([numbers, dummies]),
    columns=[f"number {j}" for j in range(n_numbers)]
    + [f"branch {j}" for j in range(1, n_branches)],
)
beta = 3 * rng.standard_normal(X.shape[1])
beta[:n_numbers] /= units
noise = 4 * (1 + np.abs(numbers[:, 0])) * rng.standard_t(4, size=n)
y = X.to_numpy() @ beta + noise
print(f"{X.shape[1]} columns; the rarest branch has {dummies.sum(axis=0).min()} rows")

# %%
# The exact coefficients
# ----------------------
# By default they are those of LAPACK, to rounding, from a few passes over the data.
# What this saves is on :doc:`the benchmark page </benchmarks>`.

exact = SketchedLinearRegression(random_state=0).fit(X, y)
lapack = LinearRegression(tol=1e-15).fit(X, y)
difference = np.abs(exact.coef_ - lapack.coef_).max() / np.abs(lapack.coef_).max()
print(f"{exact.n_iter_} passes of the solver {exact.solver_!r}")
print(f"largest difference {difference:.0e}")

# %%
# One pass, and error bars
# ------------------------
# With ``eps`` the data are read once. All bars together cover the exact coefficients
# with probability .95. They are the wider, the rarer the branch: fewer rows of the data
# tell of it, and fewer of the sketch.

one_pass = SketchedLinearRegression(eps=0.5, random_state=0).fit(X, y)
print(f"{one_pass.sketch_size_} rows instead of {n}")
CoefficientErrorDisplay.from_estimator(
    one_pass, reference=exact, sort_by=None, max_features=None
)
plt.show()

# %%
# Bars of numbers in large units are too short to be seen beside those. Measured by its
# own bar, each coefficient is like the others.

CoefficientErrorDisplay.from_estimator(
    one_pass, reference=exact, kind="deviations", sort_by="deviation"
)
plt.show()

# %%
# In how many of 40 sketches do all bars cover? At least 38 are expected.

covered = 0
for seed in range(40):
    reg = SketchedLinearRegression(eps=0.5, random_state=seed).fit(X, y)
    covered += (np.abs(reg.coef_ - exact.coef_) <= reg.coef_error_).all()
print(f"{covered} of 40")

# %%
# What the bars are not
# ---------------------
# They say how far the sketch is from least squares on all rows, and not how far these
# are from the truth. The bars of least squares itself, at the same level, are shorter
# by the root of the ratio of rows: one pass throws most of the information away.

own_bar = norm.isf(0.05 / (2 * X.shape[1])) * one_pass.coef_std_error_
print(f"{np.median(one_pass.coef_error_ / own_bar):.1f} times as long")
print(f"root of the ratio of rows: {np.sqrt(n / one_pass.sketch_size_):.1f}")

# %%
# A larger sketch, or refinement?
# -------------------------------
# The error falls like the root of the sketch size, left; each further read of the data
# divides it by a factor, right. So a sketch of a few rows a column and some steps is
# the cheap way to accuracy.

SketchErrorDisplay.from_estimator(one_pass, X, y, n_repeats=3, n_steps=10)
plt.show()

# %%
# Chunks
# ------
# The rows may come in chunks. How they are cut does not change the result.

stream = SketchedLinearRegression(eps=0.5, random_state=0)
for start in range(0, n, 30_000):
    rows = slice(start, start + 30_000)
    stream.partial_fit(X[rows], y[rows])
print(f"largest difference {np.abs(stream.coef_ - one_pass.coef_).max():.0e}")
