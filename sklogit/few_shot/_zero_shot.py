"""Logits of a zero-shot classifier: similarities to one direction for each class."""

from numbers import Real

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils._param_validation import Interval
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from .._state import restore_on_failure
from .._unit_rows import unit_rows
from ._features import class_means
from ._shots import sorted_classes


class ZeroShotLogits(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    r"""Turn features into logits, by the direction that stands for each class.

    .. math:: z_c = \tau \Big\langle \frac{f}{\|f\|}, \frac{t_c}{\|t_c\|} \Big\rangle

    In an image-text model f is the feature of an image, and :math:`t_c` the embedding
    of a text that names the class.

    Parameters
    ----------
    weights : array-like, default=None
        Directions of shape (n_classes, n_features), for instance text embeddings; or
        (n_classes, n_prompts, n_features), of which the mean over the prompts is taken,
        each of length one. Without weights ``fit`` takes the class means of labelled
        rows: prototypes, for where there are no texts. These rows should not be the few
        shots as well, on which the logits would look too good.
    scale : float, default=100.0
        Factor :math:`\tau`, the inverse temperature; 100 is that of CLIP. Prototypes of
        images are closer together than texts, and want less.
    normalize : bool, default=True
        Whether to scale rows and directions to length one. Without it the logits are
        plain inner products.
    classes : array-like of shape (n_classes,), default=None
        For prototypes: the labels in the order of the logits. By default those of y,
        sorted.

    Attributes
    ----------
    weights_ : ndarray of shape (n_classes, n_features)
        The directions.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if X has any.

    See Also
    --------
    LogitBiasClassifier : Corrects such logits by other features.

    References
    ----------
    .. [1] "Learning Transferable Visual Models From Natural Language Supervision",
       arXiv:2103.00020.

    Examples
    --------
    >>> from sklogit.few_shot import ZeroShotLogits
    >>> zero_shot = ZeroShotLogits([[2.0, 0.0], [0.0, 1.0]], scale=10.0)
    >>> zero_shot.fit_transform([[3.0, 4.0], [1.0, 0.0]])
    array([[ 6.,  8.],
           [10.,  0.]])

    As a column of a model of two views, with logits first:

    >>> from sklearn.compose import make_column_transformer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklogit.few_shot import LogitBiasClassifier
    >>> model = make_pipeline(
    ...     make_column_transformer((zero_shot, [0, 1]), ("passthrough", [2, 3])),
    ...     LogitBiasClassifier(n_logits=2, alpha=5.0),
    ... )
    >>> X = [[3.0, 4.0, 1.0, 0.0], [1.0, 0.0, 0.0, 1.0]]
    >>> model.fit(X, ["cat", "dog"]).predict(X)
    array(['cat', 'dog'], dtype='<U3')
    """

    _parameter_constraints: dict = {
        "weights": ["array-like", None],
        "scale": [Interval(Real, 0, None, closed="neither")],
        "normalize": ["boolean"],
        "classes": ["array-like", None],
    }

    def __init__(self, weights=None, scale=100.0, normalize=True, *, classes=None):
        self.weights = weights
        self.scale = scale
        self.normalize = normalize
        self.classes = classes

    @restore_on_failure
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Check the directions, or take them from labelled rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,), default=None
            Labels; needed without `weights`, else not used.

        Returns
        -------
        self : object
            The fitted transformer.

        Raises
        ------
        ValueError
            If neither weights nor labels are given, or shapes do not fit; if a class of
            `classes` has no row, or a direction has length zero.
        """
        if self.weights is None:
            self.weights_ = self._prototypes(X, y)
        else:
            X = self._validated(X, reset=True)
            self.weights_ = self._given(X.shape[1]).astype(X.dtype)
        return self

    def transform(self, X):
        """Compute logits.

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
        X = self._validated(X, reset=False)
        X = unit_rows(X) if self.normalize else X
        logits = np.asarray(X @ self.weights_.T.astype(X.dtype, copy=False))
        return logits * X.dtype.type(self.scale)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.required = self.weights is None
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @property
    def _n_features_out(self):
        return len(self.weights_)

    def _validated(self, X, *, reset):
        return validate_data(
            self, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=reset
        )

    def _prototypes(self, X, y):
        if y is None:
            raise ValueError(
                "requires y to be passed, but the target y is None: ZeroShotLogits "
                "needs weights, or labels to take class means of."
            )
        X, y = validate_data(
            self, X, y, accept_sparse="csr", dtype=[np.float64, np.float32]
        )
        check_classification_targets(y)
        classes, columns = sorted_classes(self.classes, y)
        missing = np.setdiff1d(classes, y)
        if missing.size:
            raise ValueError(f"y must have rows of all classes, lacks {missing}.")
        rows = unit_rows(X) if self.normalize else X
        weight = np.ones(len(y))
        means = class_means(rows, np.searchsorted(classes, y), weight, len(classes))
        return self._directions(means)[np.argsort(columns)]

    def _given(self, n_features):
        weights = np.asarray(self.weights, dtype=np.float64)
        if weights.ndim not in (2, 3) or weights.shape[-1] != n_features:
            raise ValueError(
                "weights must have shape (n_classes, n_features) or (n_classes, "
                f"n_prompts, n_features) with the {n_features} features of X, got "
                f"{weights.shape}."
            )
        if not np.isfinite(weights).all():
            raise ValueError("weights must be finite, found NaN or infinity.")
        if weights.ndim == 3:
            n_classes, n_prompts, _ = weights.shape
            flat = self._directions(weights.reshape(-1, n_features))
            weights = flat.reshape(n_classes, n_prompts, -1).mean(axis=1)
        return self._directions(weights)

    def _directions(self, weights):
        if not self.normalize:
            return weights
        if not (weights != 0).any(axis=1).all():
            raise ValueError("weights must not have rows of zeros, nor class means be.")
        return unit_rows(weights)
