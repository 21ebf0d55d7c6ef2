"""Numeric columns: standardised, with what is missing at the mean and marked."""

import numpy as np
from scipy.special import logit
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import (
    _check_feature_names_in,
    _check_sample_weight,
    check_is_fitted,
    validate_data,
)

# A probability of a model on a picture is not trusted beyond this.
_LEAST_PROBABILITY = 1e-4


class NumberFeatures(TransformerMixin, BaseEstimator):
    """Standardise columns by weighted moments of the values that are there.

    A missing value becomes 0, the mean. Columns with missing values in `fit` get an
    indicator, standardised likewise, so that every feature is a difference from the
    average report: that is what the reasons of a ranking are told against.

    Parameters
    ----------
    probability : bool, default=False
        Whether columns are probabilities, to be taken as logits.

    Attributes
    ----------
    mean_, scale_ : ndarray of shape (n_columns,)
        Moments; the scale of a constant is 1.
    marked_ : ndarray of int
        Columns with an indicator.
    """

    def __init__(self, probability=False):
        self.probability = probability

    def fit(self, X, y=None, sample_weight=None):
        """Learn the moments."""
        X = self._read(X, reset=True)
        weight = _check_sample_weight(sample_weight, X, dtype=X.dtype)
        self.marked_ = np.flatnonzero(np.isnan(X).any(axis=0))
        self.mean_, self.scale_ = _moments(X, weight)
        missing = np.isnan(X[:, self.marked_]).astype(X.dtype)
        self.missing_mean_, self.missing_scale_ = _moments(missing, weight)
        return self

    def transform(self, X):
        """Return the columns, and their indicators."""
        check_is_fitted(self)
        X = self._read(X, reset=False)
        missing = np.isnan(X)
        out = (X - self.mean_) / self.scale_
        out[missing] = 0.0
        if not len(self.marked_):
            return out
        marks = (missing[:, self.marked_] - self.missing_mean_) / self.missing_scale_
        return np.hstack([out, marks])

    def get_feature_names_out(self, input_features=None):
        """Return the names."""
        names = _check_feature_names_in(self, input_features)
        marks = [f"{names[i]}_missing" for i in self.marked_]
        return np.concatenate([names, np.asarray(marks, dtype=object)])

    def _read(self, X, reset):
        X = validate_data(
            self, X, reset=reset, dtype=np.float64, ensure_all_finite="allow-nan"
        )
        if not self.probability:
            return X
        wrong = (X < 0) | (X > 1)
        if wrong.any():
            raise ValueError(
                "probabilities must be columns of values between 0 and 1, got "
                f"{X[wrong][0]:g}."
            )
        return logit(np.clip(X, _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY))


def _moments(X, weight):
    """Weighted means and standard deviations of the values that are there."""
    there = ~np.isnan(X)
    total = weight @ there
    total[total == 0] = 1.0
    mean = weight @ np.where(there, X, 0.0) / total
    variance = weight @ np.where(there, X - mean, 0.0) ** 2 / total
    # Rounding leaves a constant a variance of this size.
    constant = variance <= (1e-10 * np.abs(mean)) ** 2 + np.finfo(float).tiny
    return mean, np.where(constant, 1.0, np.sqrt(variance))
