"""
===========================================================
Logit leakage: the defence that costs honest users least
===========================================================

For owners of a model, who publish logits and ask what these give away. Everything here
works on arrays that the owner has; nothing is asked over a network.
"""

# %%
# A model of 2000 outputs and width 64
# ------------------------------------
# Logits are ``W h(x) + b``: 300 answers make a matrix of rank 64, however deep the
# model is. The auditor subtracts the means of rows and columns, reads the rank off the
# singular values, and compares their directions with the columns of W.

import matplotlib.pyplot as plt

from sklogit.audit import (
    LeakageFrontierDisplay,
    LogitExposure,
    LogitLeakageAuditor,
    SingularValueDisplay,
    audit_exposures,
    queries_required,
)
from sklogit.datasets import make_language_logits

model = make_language_logits(
    300, 2000, hidden_dim=64, norm="rms", bias=True, logit_std=2.0, random_state=0
)
auditor = LogitLeakageAuditor(random_state=0).fit(model.logits)
print(auditor.summary())
print(f"least cosine with the head: {auditor.subspace_overlap(model.head).min():.6f}")

# %%
# Rounding moves the floor, not the cliff
# ---------------------------------------
# Rounding to one decimal is noise of standard deviation 0.029. All 64 directions stand
# above it. The soft cap, at 3
# here, bends the matrix: there is no gap any more, and the auditor says so instead of
# telling a number. Who knows the cap can undo it (parameter ``softcap``).

panels = {
    "as they are": LogitExposure(),
    "one decimal": LogitExposure(decimals=1),
    "soft cap of 3": LogitExposure(softcap=3.0),
}
fig, axes = plt.subplots(1, 3, figsize=(11, 3.5), layout="constrained")
for ax, (name, exposure) in zip(axes, panels.items()):
    answers = exposure.fit_transform(model.logits)
    found = LogitLeakageAuditor(random_state=0).fit(answers)
    SingularValueDisplay.from_estimator(found, ax=ax)
    ax.set_title(name, fontsize="medium")
plt.show()

# %%
# What protects, and what it costs
# --------------------------------
# Cost is the divergence of what an honest user sees from the model's distribution.
# Leakage is the share of the head's subspace in the answers, for one who already knows
# the width. Colours say whether the width itself is known.

exposures = {
    "full": LogitExposure(),
    "2 decimals": LogitExposure(decimals=2),
    "1 decimal": LogitExposure(decimals=1),
    "integers": LogitExposure(decimals=0),
    "noise 0.1": LogitExposure(noise_std=0.1, random_state=0),
    "noise 0.3": LogitExposure(noise_std=0.3, random_state=0),
    "noise 1": LogitExposure(noise_std=1.0, random_state=0),
    "noise 2": LogitExposure(noise_std=2.0, random_state=0),
    "top 20": LogitExposure(top_k=20),
    "top 60": LogitExposure(top_k=60),
    "top 60, 1 decimal": LogitExposure(top_k=60, decimals=1),
}
audits = audit_exposures(model.logits, exposures, model.head)
print("                     rank  status          leakage    KL   other first answer")
for row in audits:
    print(
        f"{row['name']:20s} {row['rank']:4d}  {row['rank_status']:14s} "
        f"{row['leakage']:8.3f} {row['kl']:6.3f} {row['top1_change']:8.1%}"
    )

fig, ax = plt.subplots(figsize=(8, 4.8), layout="constrained")
display = LeakageFrontierDisplay(audits).plot(ax=ax)
plt.show()
print("best for their cost:", ", ".join(display.best_))

# %%
# So the answer for this model is to publish the 60 largest logits: noise of 1 costs
# twice the divergence and half of the first answers, and still shows most of the
# subspace. Rounding is for free and protects nothing.
#
# Fewer than h logits of each answer tell neither width nor subspace, whatever is done
# with them, as long as users cannot shift logits: with a bias for each request, k = 5
# gives everything away, and only the number of requests stands in the way.

for k, biased in ((20, False), (65, False), (5, True)):
    n = queries_required(64, 2000, k, logit_bias=biased)
    print(f"top {k:2d}, {'with' if biased else 'without'} a bias: {n} queries at least")
