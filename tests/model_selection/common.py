"""Models that count, fail or ask for metadata, and small data."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier


def small_data(n_classes=2, n_samples=120, seed=0):
    return make_classification(
        n_samples=n_samples,
        n_features=6,
        n_informative=4,
        n_classes=n_classes,
        flip_y=0.1,
        random_state=seed,
    )


def small_models():
    return [
        ("lr", make_pipeline(StandardScaler(), LogisticRegression())),
        ("dt", DecisionTreeClassifier(random_state=0)),
    ]


class Failing(ClassifierMixin, BaseEstimator):
    """Fails where the first training row is the first of all."""

    def fit(self, X, y):
        if X[0, 0] == 0.0:
            raise RuntimeError("no luck")
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


class Recording(ClassifierMixin, BaseEstimator):
    """Predicts the first class, and keeps what fit was given."""

    def fit(self, X, y, sample_weight=None, extra=None):
        self.classes_ = np.unique(y)
        self.seen_ = {"X": X, "y": y, "sample_weight": sample_weight, "extra": extra}
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])
