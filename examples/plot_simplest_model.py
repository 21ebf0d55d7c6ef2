"""
==================================
Is the simplest model good enough?
==================================

A paper [1]_ says that logistic regression diagnoses breast cancer better than a
decision tree and a support vector machine: 97.28 % against 93.73 % and 96.44 %. Two
questions decide what can be made of such a table. Would the differences survive a test
that knows that the training sets of cross-validation overlap? And if not, which model
should be deployed? This example repeats the protocol and answers both.
"""

# %%
# What is repeated here, and what is not
# --------------------------------------
# The paper's three means are, within 0.01 points, 465, 448 and 461 of 478 rows. That is
# consistent with the *Original* Wisconsin data (nine features graded 1 to 10) with the
# classes balanced to 239 rows each; its text was not at hand to make sure.
# scikit-learn ships the *Diagnostic* set of the same clinic, with 30 measured features
# of 569 tumours. So the numbers below are not the paper's and cannot be. Its protocol
# is repeated (tuned models, cross-validation, accuracy and time), and the question is
# whether the direction holds.
#
# Each candidate that has something to tune is a pipeline inside a small grid search, so
# that scaling and tuning see training rows only. The list goes from simple to complex:
# that order is the user's statement, the library does not guess it.

import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RepeatedStratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from sklogit.model_selection import (
    SimplestModelSelector,
    coefficient_report,
    compare_classifiers,
    corrected_resampled_ttest,
)

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
y = y.map({0: "malignant", 1: "benign"})


def tuned(model, **grid):
    name = type(model).__name__.lower()
    grid = {f"{name}__{parameter}": values for parameter, values in grid.items()}
    return GridSearchCV(make_pipeline(StandardScaler(), model), grid, cv=5)


candidates = {
    "logistic regression": tuned(
        LogisticRegression(max_iter=500), C=[0.01, 0.1, 1, 10]
    ),
    "naive Bayes": GaussianNB(),
    "decision tree": tuned(DecisionTreeClassifier(random_state=0), max_depth=[2, 4, 7]),
    "nearest neighbours": tuned(KNeighborsClassifier(), n_neighbors=[3, 5, 9, 15]),
    "support vector machine": tuned(SVC(), C=[0.1, 1, 10, 100], gamma=["scale", 0.01]),
}

comparison = compare_classifiers(
    candidates,
    X,
    y,
    cv=RepeatedStratifiedKFold(n_splits=10, n_repeats=3, random_state=0),
    reference="logistic regression",
)
pd.set_option("display.width", 120, "display.max_columns", 20)
print(comparison.summary()[["mean_score", "std_score", "fit_time", "predict_time"]])

# %%
# Differences, with intervals that can be trusted
# -----------------------------------------------
# The reference was named before the scores were seen. Left, the difference of every
# model to it; the band holds differences of at most one percentage point, which nobody
# would pay for. Right, what a fit costs, tuning included.

display = comparison.plot()

# %%
# The naive paired t-test takes the 30 folds for independent. The corrected one knows
# that any two training sets share most of their rows. The last three columns are
# the probabilities that a model is worse than the reference by more than a point,
# within a point, and better by more than a point.

table = comparison.tests()
reference = comparison.scores_[0]
table.insert(
    0,
    "p_naive",
    [
        corrected_resampled_ttest(scores, reference, rho=0).pvalue
        for scores in comparison.scores_[1:]
    ],
)
columns = ["difference", "p_naive", "p_value", "p_holm"]
print(table[[*columns, "p_worse", "p_equivalent", "p_better"]].round(4))

# %%
# The tree and naive Bayes are worse, and that survives the correction. The other half
# of the claim finds no support: the support vector machine is ahead by a third of a
# point here, which is noise. What can be defended is a different sentence: *logistic
# regression is within noise of the best, and it is the simplest*.
#
# A rule instead of a habit
# -------------------------
# :class:`~sklogit.model_selection.SimplestModelSelector` makes this sentence a fitted
# estimator. It scores all candidates on the same folds and keeps the first in the list
# whose loss to the best is at most one standard error of that difference.

pipelines = [
    ("logistic", make_pipeline(StandardScaler(), LogisticRegression())),
    ("tree", DecisionTreeClassifier(max_depth=4, random_state=0)),
    ("svm", make_pipeline(StandardScaler(), SVC())),
]
selector = SimplestModelSelector(pipelines, random_state=0).fit(X, y)
print(f"best mean score: {selector.best_name_}, selected: {selector.selected_name_}")

# %%
# Probabilities and coefficients
# ------------------------------
# A doctor acts on a probability. A slope below one is overconfidence: naive Bayes,
# trees and neighbours have it. The support vector machine gives no probabilities.

print(comparison.calibration().round(3))

# %%
# The fitted model as a table: change of the logit for one standard deviation of a
# feature, and for one unit of it; spread and sign over the folds say which coefficients
# would not survive other data. "benign" is the first class, so positive coefficients
# speak for "malignant". Features that measure the same thing (radius, perimeter, area)
# share their weight: read them together.

folds = compare_classifiers(
    pipelines, X, y, cv=10, random_state=0, return_estimator=True
).estimators_[0]
report = coefficient_report(selector, cv_estimators=folds)
largest = report["standardized_coef"].abs().sort_values(ascending=False).index[:8]
columns = ["standardized_coef", "odds_ratio_sd", "raw_coef", "cv_std", "sign_agreement"]
print(report.loc[largest, columns].round(3))

# %%
# When linear is not enough
# -------------------------
# The rule has no love for linear models. On two interleaved circles the same list gives
# another answer.

from sklearn.datasets import make_circles

circles = make_circles(300, noise=0.1, factor=0.5, random_state=0)
print("circles:", SimplestModelSelector(pipelines, cv=10).fit(*circles).selected_name_)

# %%
# References
# ----------
# .. [1] "The Power Of Simplicity: Why Simple Linear Models Outperform Complex Machine
#    Learning Techniques - Case Of Breast Cancer Diagnosis", arXiv:2306.02449.
