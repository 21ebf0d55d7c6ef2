"""Free text of reports: notes may be missing or empty, all of them even."""

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.utils.validation import check_is_fitted

from .._missing import is_missing

# What vectorizers of scikit-learn say where no word is left.
_NO_WORDS = ("empty vocabulary", "no terms remain", "than min_df")


def as_texts(values):
    """Return a list of strings; what is missing is an empty one."""
    values = np.asarray(values, dtype=object).ravel().tolist()
    return [
        v if isinstance(v, str) else "" if is_missing(v) else str(v) for v in values
    ]


class NoteFeatures(TransformerMixin, BaseEstimator):
    """A vectorizer of scikit-learn for one column of notes that may lack words.

    Parameters
    ----------
    vectorizer : estimator, default=None
        Any vectorizer of a list of strings; None for TF-IDF of words in three notes at
        least, without English stop words.

    Attributes
    ----------
    vectorizer_ : estimator or None
        The fitted vectorizer; None if no word was left, and so no feature.
    """

    def __init__(self, vectorizer=None):
        self.vectorizer = vectorizer

    def fit(self, X, y=None):
        """Learn the words."""
        self.fit_transform(X, y)
        return self

    def fit_transform(self, X, y=None):
        """Learn the words, and return their weights."""
        vectorizer = self.vectorizer
        if vectorizer is None:
            vectorizer = TfidfVectorizer(
                min_df=3, sublinear_tf=True, stop_words="english"
            )
        texts = as_texts(X)
        self.vectorizer_ = clone(vectorizer)
        try:
            return self.vectorizer_.fit_transform(texts, y)
        except ValueError as error:
            if not any(words in str(error) for words in _NO_WORDS):
                raise
        self.vectorizer_ = None
        return sparse.csr_array((len(texts), 0))

    def transform(self, X):
        """Return the weights of the words."""
        check_is_fitted(self, "vectorizer_")
        texts = as_texts(X)
        if self.vectorizer_ is None:
            return sparse.csr_array((len(texts), 0))
        return self.vectorizer_.transform(texts)

    def get_feature_names_out(self, input_features=None):
        """Return the words."""
        if self.vectorizer_ is None:
            return np.array([], dtype=object)
        return np.asarray(self.vectorizer_.get_feature_names_out(), dtype=object)


class NoteLength(TransformerMixin, BaseEstimator):
    """Logarithm of one plus the number of characters of a note."""

    def fit(self, X, y=None):
        """Learn nothing."""
        return self

    def transform(self, X):
        """Return one column."""
        return np.log1p([[float(len(text))] for text in as_texts(X)])

    def get_feature_names_out(self, input_features=None):
        """Return the name."""
        return np.array(["length"], dtype=object)

    def __sklearn_is_fitted__(self):
        return True
