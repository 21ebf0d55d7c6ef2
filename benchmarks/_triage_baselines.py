"""What reports would be ranked by without sklogit: rules of thumb and scikit-learn.

All take the DataFrames of ``make_sightings`` and ``load_hornet_reports``.
"""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import haversine_distances
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

EARTH_KM = 6371.0088
PLACE = ["latitude", "longitude"]


def distances_km(X, others):
    """Distances on the sphere, of shape (n_samples, n_others)."""
    a, b = (np.radians(table[PLACE].to_numpy()) for table in (X, others))
    return EARTH_KM * haversine_distances(a, b)


class _Rule(ClassifierMixin, BaseEstimator):
    """Remembers the positives, in order of submission."""

    def fit(self, X, y):
        self.classes_ = np.array([0, 1])
        self.positives_ = X[np.asarray(y) == 1].sort_values("submitted", kind="stable")
        return self


class NearestToLastPositive(_Rule):
    """Closest to what was confirmed last goes first."""

    def decision_function(self, X):
        return -distances_km(X, self.positives_.iloc[-1:])[:, 0]


class NearestToPositive(_Rule):
    """Closest to anything that was confirmed goes first."""

    def decision_function(self, X):
        return -distances_km(X, self.positives_).min(axis=1)


class ContestPrior(_Rule):
    """Sum of exp(-d^2 / (2 * 50^2 km^2)) exp(-days / 180) over confirmed positives.

    The risk prior of public solutions of the contest.
    """

    def decision_function(self, X):
        distance = distances_km(X, self.positives_)
        days = (
            X["submitted"].to_numpy()[:, None] - self.positives_["submitted"].to_numpy()
        )
        days = np.abs(days / np.timedelta64(1, "D"))
        return (np.exp(-(distance**2) / 5000) * np.exp(-days / 180)).sum(axis=1)


def dates_and_length(X):
    """Season, delay and length of the note."""
    angle = 2 * np.pi * X["submitted"].dt.dayofyear / 365.25
    delay = (X["submitted"] - X["detected"]).dt.days.clip(lower=0)
    length = X["notes"].str.len()
    return np.column_stack(
        [np.sin(angle), np.cos(angle), np.log1p(delay), np.log1p(length)]
    )


def text_only():
    """Words and logistic regression."""
    words = TfidfVectorizer(min_df=3, sublinear_tf=True, stop_words="english")
    return make_pipeline(
        make_column_transformer((words, "notes")), LogisticRegression(max_iter=1000)
    )


def global_logistic():
    """Coordinates, dates, length and words, all linear."""
    words = TfidfVectorizer(min_df=3, sublinear_tf=True, stop_words="english")
    numbers = make_pipeline(FunctionTransformer(dates_and_length), StandardScaler())
    return make_pipeline(
        make_column_transformer(
            (StandardScaler(), PLACE),
            (numbers, ["submitted", "detected", "notes"]),
            (words, "notes"),
        ),
        LogisticRegression(max_iter=1000),
    )


def boosted_trees():
    """Coordinates, dates and length in scikit-learn's boosted trees."""
    return make_pipeline(
        make_column_transformer(
            ("passthrough", PLACE),
            (FunctionTransformer(dates_and_length), ["submitted", "detected", "notes"]),
        ),
        HistGradientBoostingClassifier(random_state=0),
    )


BASELINES = {
    "random order": DummyClassifier,
    "nearest to last positive": NearestToLastPositive,
    "nearest to any positive": NearestToPositive,
    "contest prior": ContestPrior,
    "text only": text_only,
    "logistic regression, all columns": global_logistic,
    "boosted trees, all but words": boosted_trees,
}
