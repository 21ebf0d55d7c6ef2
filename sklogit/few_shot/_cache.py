"""Similarities to labelled rows as logits: the cache model of Tip-Adapter."""

from numbers import Real

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils import gen_batches
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data

from .._state import restore_on_failure
from .._unit_rows import unit_rows
from ._shots import few_shots

# Entries of the affinities that are in memory at a time.
_BLOCK_ENTRIES = 2**24


def affinities(features, keys, beta):
    """Compute exp(-beta (1 - similarity)) of unit features and keys, dense."""
    similarity = features @ keys.T
    if not isinstance(similarity, np.ndarray):
        similarity = similarity.toarray()
    return np.exp(beta * (similarity - 1))


def cache_logits(features, keys, key_class, key_weight, n_classes, beta):
    r"""Sum the affinities to the keys of each class.

    .. math:: b_c = \sum_{k : y_k = c} s_k\, e^{-\beta (1 - \langle f, F_k \rangle)}

    Parameters
    ----------
    features : ndarray or sparse matrix of shape (n_rows, n_features)
        Features of length one.
    keys : ndarray or sparse matrix of shape (n_keys, n_features)
        Keys F, as a rule of length one.
    key_class, key_weight : ndarray of shape (n_keys,)
        Class indices of the keys, and their weights s.
    n_classes : int
        Number of classes.
    beta : float
        Sharpness.

    Returns
    -------
    ndarray of shape (n_rows, n_classes)
        The sums, of the dtype of the features.
    """
    values = np.zeros((len(key_class), n_classes), features.dtype)
    values[np.arange(len(key_class)), key_class] = key_weight
    n_rows = features.shape[0]
    logits = np.empty((n_rows, n_classes), features.dtype)
    for rows in gen_batches(n_rows, max(1, _BLOCK_ENTRIES // len(key_class))):
        logits[rows] = affinities(features[rows], keys, beta) @ values
    return logits


class CacheLogits(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    r"""Logits that are similarities to a few labelled rows, without any training.

    .. math:: b_c = \alpha \sum_{k : y_k = c} s_k\,
        \exp\!\big(-\beta (1 - \langle f, F_k \rangle)\big)

    The rows of the few shots, of length one, are the keys F of a cache, their labels
    its values [1]_. Added to zero-shot logits of the same features that is Tip-Adapter:
    :class:`TipAdapterClassifier` does so, this transformer gives the columns alone.
    Each row that it was fitted to is its own key: columns of these rows are better than
    those of new rows, and a poor thing to learn from.

    Parameters
    ----------
    alpha : float, default=1.0
        Factor of the sums.
    beta : float, default=5.5
        Sharpness: how fast the influence of a key falls with its distance.
    classes : array-like of shape (n_classes,), default=None
        All labels, in the order of the columns that are returned; by default those in
        y, sorted. A label without rows has a column of zeros.

    Attributes
    ----------
    keys_ : ndarray or CSR of shape (n_keys, n_features)
        Rows of length one.
    key_class_ : ndarray of shape (n_keys,)
        Column of each key.
    key_weight_ : ndarray of shape (n_keys,)
        Weights, 1 without ``sample_weight``.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if X has any.

    See Also
    --------
    TipAdapterClassifier : Adds them to the logits of a prior model.
    LogitBiasClassifier : A linear bias, of other features.

    References
    ----------
    .. [1] "Tip-Adapter: Training-free Adaption of CLIP for Few-shot Classification",
       arXiv:2207.09519.

    Examples
    --------
    >>> from sklogit.few_shot import CacheLogits
    >>> cache = CacheLogits(beta=2.0).fit([[1.0, 0.0], [0.0, 2.0]], ["a", "b"])
    >>> cache.transform([[3.0, 0.0]]).round(3)
    array([[1.   , 0.135]])
    """

    _parameter_constraints: dict = {
        "alpha": [Interval(Real, 0, None, closed="left")],
        "beta": [Interval(Real, 0, None, closed="left")],
        "classes": ["array-like", None],
    }

    def __init__(self, alpha=1.0, beta=5.5, *, classes=None):
        self.alpha = alpha
        self.beta = beta
        self.classes = classes

    @restore_on_failure
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Store the rows as keys.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,)
            Labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights; a weight of 2 is the same as a repeated row.

        Returns
        -------
        self : object
            The fitted transformer.

        Raises
        ------
        ValueError
            If y has labels that are not in `classes`, there is only one class, a value
            is not finite or a weight negative.
        """
        shots, labels, columns = few_shots(self, X, y, sample_weight)
        shots = shots.weighing()
        self.keys_ = shots.features
        self.key_class_ = columns[shots.y]
        self.key_weight_ = shots.weight * shots.total
        self._n_features_out = len(labels)
        return self

    def transform(self, X):
        """Compute the similarities to the classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Logits, of the dtype of X.
        """
        check_is_fitted(self)
        X = validate_data(
            self, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=False
        )
        logits = cache_logits(
            unit_rows(X),
            self.keys_,
            self.key_class_,
            self.key_weight_,
            self._n_features_out,
            self.beta,
        )
        return logits * X.dtype.type(self.alpha)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
