"""
=======================
Classes that are planes
=======================

A linear classifier has one vector for each class. A Grassmann classifier has a
subspace, and scores a row by how much of its length lies inside. Handwritten digits
show what the dimension does, what training adds to the principal subspaces that it
starts from, and what can be looked at afterwards.
"""

# %%
# Accuracy against dimension
# --------------------------
# Without training (``max_iter=0``) the classifier is the classical rule CLAFIC: the
# principal subspace of each class. Training starts there, or at random.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklogit.subspace import (
    ClassVariabilityDisplay,
    GrassmannClassifier,
    PrincipalAnglesDisplay,
)

X, y = load_digits(return_X_y=True)
X = X.astype(np.float32)  # steps take half of the time
cv = StratifiedKFold(4, shuffle=True, random_state=0)
dimensions = [1, 2, 4, 8, 16]
variants = {
    "CLAFIC": {"max_iter": 0},
    "from CLAFIC": {"max_iter": 25},
    "from random": {"max_iter": 25, "init": "random"},
}
accuracy = {
    name: [
        cross_val_score(GrassmannClassifier(k, random_state=0, **params), X, y, cv=cv)
        for k in dimensions
    ]
    for name, params in variants.items()
}
linear = make_pipeline(StandardScaler(), LogisticRegression())
linear_accuracy = cross_val_score(linear, X, y, cv=cv).mean()

fig, ax = plt.subplots(layout="constrained")
for name, scores in accuracy.items():
    ax.plot(dimensions, np.mean(scores, axis=1), marker="o", label=name)
ax.axhline(linear_accuracy, color="0.3", linestyle="--", label="logistic regression")
ax.set_xscale("log", base=2)
ax.set_xticks(dimensions, dimensions)
ax.set(xlabel="dimension of the subspaces", ylabel="accuracy")
ax.grid(alpha=0.3)
ax.legend()
plt.show()

# %%
# Training matters most where the subspaces are small: a plane that is trained is as
# good as a principal subspace of eight dimensions. With eight or more the principal
# subspaces alone are hard to improve; ``max_iter=0`` is always worth a look.
#
# Where the subspaces lie
# -----------------------
# Two subspaces of dimension k are k principal angles apart. Those of the principal
# subspaces, left, are small where digits look alike. Training turns the subspaces of
# digits that are confused away from each other, right.

X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
classifiers = {
    k: GrassmannClassifier(k, random_state=0, max_iter=25).fit(X_train, y_train)
    for k in dimensions
}
clafic = GrassmannClassifier(4, max_iter=0).fit(X_train, y_train)
fig, axes = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
for ax, clf, last in zip(axes, (clafic, classifiers[4]), (False, True)):
    PrincipalAnglesDisplay.from_estimator(clf, ax=ax, colorbar=last, vmin=45, vmax=80)
    ax.set_title(f"mean principal angle, {'trained' if last else 'CLAFIC'}")
plt.show()

# %%
# How much room a class has
# -------------------------
# The coordinates of the projections are features, ``transform`` gives them. The more
# dimensions a class has, the more ways its members can differ. In a network this
# happens to the features before the head, which makes them more useful for other tasks.

features = {k: clf.transform(X_test) for k, clf in classifiers.items()}
ClassVariabilityDisplay.from_features(features, y_test, references={"pixels": X_test})
plt.show()
