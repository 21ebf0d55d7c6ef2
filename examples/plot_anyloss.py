"""
===============================
Training for the metric itself
===============================

A threshold can only move the line that logistic regression has drawn. Here a few
positives lie far away on the wrong side: they turn the line, and no threshold turns it
back. :class:`~sklogit.linear_model.AnyLossClassifier` trains for F1 and gives those few
up.
"""

# %%
# A rare class, one ninth of it far off
# -------------------------------------

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import TunedThresholdClassifierCV, train_test_split

from sklogit.linear_model import AnyLossClassifier, AnyLossClassifierCV
from sklogit.metrics import MetricThresholdDisplay, SoftMetricDisplay

rng = np.random.default_rng(0)
X = rng.standard_normal((2000, 2))
y = X @ [1.0, -1.0] + 0.5 * rng.standard_normal(2000) > 2.0
X[np.flatnonzero(y)[::9]] += [-9.0, 9.0]
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)

models = {
    "logistic regression": LogisticRegression(),
    "... with a tuned threshold": TunedThresholdClassifierCV(
        LogisticRegression(), scoring="f1"
    ),
    "AnyLoss for F1": AnyLossClassifier("f1"),
    "... with alpha chosen": AnyLossClassifierCV("f1"),
}
for name, model in models.items():
    model.fit(X_train, y_train)
    print(f"{name:27s} test F1 {f1_score(y_test, model.predict(X_test)):.2f}")

# %%
# The lines. That of logistic regression is turned by the points at the upper left.

fig, ax = plt.subplots(figsize=(6.4, 5), layout="constrained")
for label, color in ((False, "0.75"), (True, "tab:red")):
    ax.scatter(*X_test[y_test == label].T, s=12, color=color, label=f"class {label}")
grid = np.linspace(-4, 5, 50)
tuned = models["... with a tuned threshold"]
lines = {
    "threshold": (
        tuned.estimator_.coef_[0],
        tuned.estimator_.intercept_[0]
        - np.log(tuned.best_threshold_ / (1 - tuned.best_threshold_)),
    ),
    "AnyLoss": (
        models["AnyLoss for F1"].coef_[0],
        models["AnyLoss for F1"].intercept_[0],
    ),
}
for (name, (w, b)), style in zip(lines.items(), ("--", "-")):
    ax.plot(grid, -(w[0] * grid + b) / w[1], f"k{style}", label=name)
ax.set(xlim=(-11, 5), ylim=(-5, 11), xlabel="first feature", ylabel="second feature")
ax.legend(frameon=False)

# %%
# Metric against threshold, before and after
# ------------------------------------------
#
# The start is logistic regression at the threshold that is best for the training data.
# Training moves the whole curve, not only the dot on it; of test data both are drawn.

MetricThresholdDisplay.from_estimator(models["AnyLoss for F1"], X_test, y_test)

# %%
# How steep should soft predictions be?
# -------------------------------------
#
# The steeper, the nearer the soft metric is to the hard one. But then hardly a row has
# a slope left to learn from: with the paper's amplifier of probabilities and L = 73 a
# training that starts from a good line cannot move. The default is the logistic
# function of the scores, whose scale is learnt.

scores = models["AnyLoss for F1"].decision_function(X_train)
SoftMetricDisplay.from_predictions(y_train, scores, "f1")
plt.show()
