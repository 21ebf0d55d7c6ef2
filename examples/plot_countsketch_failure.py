"""
=======================================================
Why the default sketch is dense: CountSketch that fails
=======================================================

A sparse sketch adds each row of the data to a few of its own rows, and costs next to
nothing. On most data it does as well as a dense one. On tables with rare categories it
does not: a coefficient can be far off although the loss is near its minimum.
"""

# %%
# The bound for each coefficient
# ------------------------------
# A sketch of m rows is meant to keep every coefficient of d within
#
# .. math:: \frac{\varepsilon}{\sqrt d} \, \|y - X \beta^*\| \, \|X^+\|
#
# of the exact one, with probability 1 - delta. For m = 2048 rows and d = 32 columns the
# size rule promises this epsilon:

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import norm

from sklogit.sketching import sketch_rows, sketch_size

n, d, m, delta = 8192, 32, 2048, 0.05
eps = norm.ppf(1 - delta / (2 * d)) * np.sqrt(d / (m - d))
print(f"eps = {eps:.4f}: the rule asks for {sketch_size(d, eps, delta)} rows")

# %%
# A design that is as rare as can be
# ----------------------------------
# Every feature is a dummy of one single row, and the target is concentrated on k other
# rows: the exact coefficients are zero, residual and pseudo-inverse have norm 1. In
# CountSketch each row goes to one random row of the sketch. If a row of the design and
# one of the target meet there, the coefficient is :math:`1/\sqrt k` in size, which is
# too much as long as :math:`k < d / \varepsilon^2`. With z nonzeros for each row it is
# :math:`1/(z \sqrt k)`.

ks = 2 ** np.arange(10)
sketches = {
    "block SRHT": ("block_srht", {}),
    "SRHT": ("srht", {}),
    "pooled": ("gaussian_pooled", {"block_size": 32 * m}),
    "CountSketch": ("countsketch", {}),
    "sparse, z = 2": ("sparse_sign", {"nnz": 2}),
    "sparse, z = 8": ("sparse_sign", {"nnz": 8}),
}


# The design [I; 0] and, side by side, a target for each k, in random order of rows.
rng = np.random.default_rng(0)
rare = np.zeros((n, d + len(ks)))
rare[:d, :d] = np.eye(d)
for j, k in enumerate(ks):
    rare[d : d + k, d + j] = k**-0.5
rare = rng.permutation(rare)


def violation_rates(A, method, options, n_draws):
    """How often some coefficient breaks the bound, for each k."""
    broken = np.zeros(len(ks))
    for seed in range(n_draws):
        SA = sketch_rows(A, m, method=method, random_state=seed, **options)
        gram = SA.T @ SA
        errors = np.linalg.lstsq(gram[:d, :d], gram[:d, d:])[0]
        broken += np.sqrt(d) * np.abs(errors).max(axis=0) > eps
    return broken / n_draws


# %%
# How often the bound is broken
# -----------------------------
# Dense sketches stay near the five per cent or below, whatever k is. A sparse one
# breaks the bound the more often, the more chances to meet there are, up to its
# threshold. Thin lines are what the argument above predicts,
# :math:`1 - \exp(-d k z^2 / m)`. Beyond the threshold it takes several meetings at
# once.

fig, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
styles = {"block SRHT": "-", "SRHT": "--", "pooled": ":"}
colors = ["#0072B2", "#56B4E9", "#009E73", "#D55E00", "#CC79A7", "#E69F00"]
for (name, (method, options)), color in zip(sketches.items(), colors):
    rates = violation_rates(rare, method, options, n_draws=100)
    ax.plot(ks, rates, styles.get(name, "-"), color=color, marker="o", label=name)
    z = {"countsketch": 1}.get(method, options.get("nnz"))
    if z is not None:
        meets = ks < d / (eps * z) ** 2
        chance = 1 - np.exp(-d * ks[meets] * z**2 / m)
        ax.plot(ks[meets], chance, color=color, linewidth=0.8)
ax.axhline(delta, color="k", linewidth=0.8, linestyle="--", label="delta")
ax.set(xscale="log", xlabel="rows k of the target", ylabel="rate of broken bounds")
ax.set_xticks(ks, ks)
ax.minorticks_off()
fig.legend(loc="outside right upper", frameon=False)
plt.show()

# %%
# On normal data they are all alike
# ---------------------------------
# No row stands out, so that no single collision matters. This is why a benchmark on
# random data does not show the failure.

normal, _ = np.linalg.qr(rng.standard_normal(rare.shape))
for name in ("block SRHT", "CountSketch", "sparse, z = 2", "sparse, z = 8"):
    rates = violation_rates(normal, *sketches[name], n_draws=100)
    print(f"{name:13s} mean rate {rates.mean():.3f}")
