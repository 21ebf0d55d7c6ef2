"""Classifiers of epochs by their augmented covariances."""

from numbers import Integral, Real

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import softmax
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
    clone,
)
from sklearn.svm import SVC
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    has_fit_parameter,
)

from .._state import restore_on_failure
from ._augmented import AugmentedCovariances, augmented_covariance
from ._mean import check_spd, symmetrize
from ._tangent_space import REFERENCES, SPDTangentSpace, reference_mean
from ._validation import (
    check_full_rank,
    covariance_samples,
    validate_epochs,
    validate_epochs_to_predict,
)


def riemannian_distances(C, references):
    r"""Affine-invariant distances from SPD matrices to a few references.

    .. math:: d(C, M) = \| \log(M^{-1/2} C M^{-1/2}) \|_F

    Parameters
    ----------
    C : ndarray of shape (n_matrices, d, d)
        SPD matrices; not checked.
    references : ndarray of shape (n_references, d, d)
        SPD matrices; each is factored once.

    Returns
    -------
    ndarray of shape (n_matrices, n_references)
        Distances.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.covariance import riemannian_distances
    >>> riemannian_distances(np.array([[[np.e]]]), np.array([[[1.0]]]))
    array([[1.]])
    """
    distances = np.empty((len(C), len(references)))
    for k, M in enumerate(references):
        L = np.linalg.cholesky(M)
        inverse = solve_triangular(L, np.eye(len(L)), lower=True)
        values = np.linalg.eigvalsh(symmetrize(inverse @ C @ inverse.T))
        floor = np.finfo(np.float64).eps * values[:, -1:]
        distances[:, k] = np.linalg.norm(np.log(np.maximum(values, floor)), axis=1)
    return distances


def _classifier_has(method):
    """Whether the inner classifier, fitted or to be fitted, has a method."""

    def check(self):
        inner = getattr(self, "classifier_", None)
        if inner is None:
            inner = self._unfitted_classifier()
        return hasattr(inner, method)

    return check


class _AugmentedCovarianceBase(ClassifierMixin, BaseEstimator):
    """Epochs in, augmented covariances checked and computed."""

    _parameter_constraints: dict = {
        **{
            name: AugmentedCovariances._parameter_constraints[name]
            for name in ("order", "lag", "estimator", "trim", "structure", "n_jobs")
        },
        "reference": [StrOptions(set(REFERENCES)), np.ndarray],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
    }

    def _validate_fit(self, X, y, sample_weight):
        """Validate everything that a fit gets, before heavy work."""
        X, y = validate_epochs(self, X, y)
        check_classification_targets(y)
        self.classes_, y = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"{type(self).__name__} needs at least 2 classes, found "
                f"{len(self.classes_)} class: {self.classes_[0]!r}."
            )
        if sample_weight is not None:
            sample_weight = _check_sample_weight(
                sample_weight, X, dtype=np.float64, ensure_non_negative=True
            )
            present = np.unique(y[sample_weight > 0])
            if len(present) < len(self.classes_):
                missing = np.setdiff1d(np.arange(len(self.classes_)), present)
                raise ValueError(
                    "Each class needs a sample of positive weight; "
                    f"{self.classes_[missing[0]]!r} has none."
                )
        for order, lag in self._embeddings():
            n_samples = covariance_samples(
                X.shape[2], order, lag, self.trim, self.structure
            )
            d = X.shape[1] * order
            check_full_rank(self.estimator, d, n_samples, self.structure)
        self.n_channels_, self.n_times_ = X.shape[1:]
        return X, y, sample_weight

    def _embeddings(self):
        """Pairs (order, lag) that the estimator uses."""
        return [(self.order, self.lag)]

    def _covariances(self, X):
        return augmented_covariance(
            X,
            self.order,
            self.lag,
            self.estimator,
            trim=self.trim,
            structure=self.structure,
            n_jobs=self.n_jobs,
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        # 2-D data are accepted as epochs of one channel, but at the default order and
        # lag they must be longer than the tables that scikit-learn's checks make.
        tags.input_tags.two_d_array = False
        return tags


class _TangentSpaceClassifierBase(_AugmentedCovarianceBase):
    """Prediction by a classifier fitted on the tangent vectors, ``classifier_``."""

    def _fit_classifier(self, features, y, sample_weight):
        inner = self._unfitted_classifier()
        weighted = sample_weight is not None and has_fit_parameter(
            inner, "sample_weight"
        )
        extra = {"sample_weight": sample_weight} if weighted else {}
        self.classifier_ = clone(inner).fit(features, self.classes_[y], **extra)

    def _unfitted_classifier(self):
        return SVC(kernel="linear") if self.classifier is None else self.classifier

    def predict(self, X):
        """Predict the class of epochs.

        Parameters
        ----------
        X : array-like of shape (n_epochs, n_channels, n_times) or (n_epochs, n_times)
            Epochs.

        Returns
        -------
        ndarray of shape (n_epochs,)
            Class labels.
        """
        check_is_fitted(self)
        return self.classifier_.predict(self._features(X))

    @available_if(_classifier_has("decision_function"))
    def decision_function(self, X):
        """Return the logits of the inner classifier.

        Parameters
        ----------
        X : array-like of shape (n_epochs, n_channels, n_times) or (n_epochs, n_times)
            Epochs.

        Returns
        -------
        ndarray of shape (n_epochs,) or (n_epochs, n_classes)
            Logits.
        """
        check_is_fitted(self)
        return self.classifier_.decision_function(self._features(X))

    @available_if(_classifier_has("predict_proba"))
    def predict_proba(self, X):
        """Return the class probabilities of the inner classifier.

        Parameters
        ----------
        X : array-like of shape (n_epochs, n_channels, n_times) or (n_epochs, n_times)
            Epochs.

        Returns
        -------
        ndarray of shape (n_epochs, n_classes)
            Probabilities, columns in the order of `classes_`.
        """
        check_is_fitted(self)
        return self.classifier_.predict_proba(self._features(X))


class AugmentedCovarianceClassifier(_TangentSpaceClassifierBase):
    r"""Classify epochs by their augmented covariance in tangent space (ACM+TS+SVM).

    Epochs are embedded with `order` delayed copies `lag` samples apart; the covariances
    of the embeddings go to the tangent space at their mean, and a linear classifier
    decides. Order 1 is the common tangent-space classifier of spatial covariances;
    higher orders add the temporal structure of the signals.

    Parameters
    ----------
    order : int, default=4
        Number of delayed copies p.
    lag : int, default=4
        Delay between two copies, in samples.
    estimator : str, default="oas"
        Covariance estimator, see `AugmentedCovariances`. "cov" is that of the paper;
        its matrices are singular when an epoch has fewer samples than
        ``n_channels * order``.
    reference : str or ndarray of shape (d, d), default="riemann"
        Reference of the tangent space: "riemann", "kullback", "logeuclid", "euclid" or
        a matrix, see `SPDTangentSpace`.
    classifier : classifier, default=None
        Fitted on the tangent vectors; None is ``SVC(kernel="linear")``.
    tol : float, default=1e-8
        Tolerance of the Riemannian mean.
    max_iter : int, default=50
        Most iterations of the Riemannian mean.
    trim : {"moabb", "full"}, default="moabb"
        Number of embedded samples, see `AugmentedCovariances`.
    structure : {None, "toeplitz", "circular"}, default=None
        Structure of the covariances, see `AugmentedCovariances`.
    n_jobs : int, default=None
        Threads that share the epochs.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    tangent_space_ : SPDTangentSpace
        The fitted tangent space.
    classifier_ : classifier
        The fitted classifier.
    n_iter_ : int
        Iterations of the mean.
    n_channels_ : int
        Channels of the epochs.
    n_times_ : int
        Samples of the training epochs.
    n_features_in_ : int
        Size of the second dimension of X seen during fit.

    See Also
    --------
    AugmentedCovarianceClassifierCV : Chooses order, lag and classifier by nested
        cross-validation.
    AugmentedMDM : Minimum distance to class means.

    Notes
    -----
    With `sample_weight`, the weights enter the mean and, where it takes them, the inner
    classifier.

    References
    ----------
    .. [1] I. Carrara and T. Papadopoulo, "Classification of BCI-EEG based on augmented
       covariance matrix", arXiv:2302.04508.

    Examples
    --------
    >>> from sklogit.covariance import AugmentedCovarianceClassifier
    >>> from sklogit.datasets import make_bci_epochs
    >>> X, y = make_bci_epochs(n_epochs=60, random_state=0)
    >>> clf = AugmentedCovarianceClassifier(order=4, lag=2).fit(X[:40], y[:40])
    >>> clf.score(X[40:], y[40:]) > 0.8
    True
    """

    _parameter_constraints: dict = {
        **_AugmentedCovarianceBase._parameter_constraints,
        "classifier": [HasMethods(["fit", "predict"]), None],
    }

    def __init__(
        self,
        order=4,
        lag=4,
        estimator="oas",
        *,
        reference="riemann",
        classifier=None,
        tol=1e-8,
        max_iter=50,
        trim="moabb",
        structure=None,
        n_jobs=None,
    ):
        self.order = order
        self.lag = lag
        self.estimator = estimator
        self.reference = reference
        self.classifier = classifier
        self.tol = tol
        self.max_iter = max_iter
        self.trim = trim
        self.structure = structure
        self.n_jobs = n_jobs

    @restore_on_failure
    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, sample_weight=None):
        """Fit the tangent space and the classifier.

        Parameters
        ----------
        X : array-like of shape (n_epochs, n_channels, n_times) or (n_epochs, n_times)
            Epochs; a 2-D array is a set of epochs of one channel.
        y : array-like of shape (n_epochs,)
            Class labels.
        sample_weight : array-like of shape (n_epochs,), default=None
            Weights.

        Returns
        -------
        self : object
            The fitted classifier.
        """
        X, y, sample_weight = self._validate_fit(X, y, sample_weight)
        self.tangent_space_ = SPDTangentSpace(
            self.reference, tol=self.tol, max_iter=self.max_iter, n_jobs=self.n_jobs
        )
        C = self._covariances(X)
        features = self.tangent_space_.fit(C, sample_weight=sample_weight).transform(C)
        self._fit_classifier(features, y, sample_weight)
        self.n_iter_ = self.tangent_space_.n_iter_
        return self

    def _features(self, X):
        return self.tangent_space_.transform(
            self._covariances(validate_epochs_to_predict(self, X))
        )


class AugmentedMDM(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, _AugmentedCovarianceBase
):
    """Classify epochs by the nearest class mean of augmented covariances (ACM+MDM).

    Parameters
    ----------
    order : int, default=4
        Number of delayed copies p.
    lag : int, default=4
        Delay between two copies, in samples.
    estimator : str, default="oas"
        Covariance estimator, see `AugmentedCovariances`.
    reference : {"riemann", "kullback", "logeuclid", "euclid"}, default="riemann"
        Which mean represents a class; the distance is always the affine-invariant one.
    tol : float, default=1e-8
        Tolerance of the Riemannian means.
    max_iter : int, default=50
        Most iterations of a Riemannian mean.
    trim : {"moabb", "full"}, default="moabb"
        Number of embedded samples, see `AugmentedCovariances`.
    structure : {None, "toeplitz", "circular"}, default=None
        Structure of the covariances, see `AugmentedCovariances`.
    n_jobs : int, default=None
        Threads that share the epochs.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    means_ : ndarray of shape (n_classes, d, d)
        Mean of each class.
    n_iter_ : int
        Most iterations that a mean took.
    n_channels_ : int
        Channels of the epochs.
    n_times_ : int
        Samples of the training epochs.
    n_features_in_ : int
        Size of the second dimension of X seen during fit.

    See Also
    --------
    AugmentedCovarianceClassifier : Usually more accurate.

    References
    ----------
    .. [1] I. Carrara and T. Papadopoulo, "Classification of BCI-EEG based on augmented
       covariance matrix", arXiv:2302.04508.

    Examples
    --------
    >>> from sklogit.covariance import AugmentedMDM
    >>> from sklogit.datasets import make_bci_epochs
    >>> X, y = make_bci_epochs(n_epochs=60, random_state=0)
    >>> AugmentedMDM(order=4, lag=2).fit(X[:40], y[:40]).transform(X[40:]).shape
    (20, 2)
    """

    _parameter_constraints: dict = {
        **_AugmentedCovarianceBase._parameter_constraints,
        "reference": [StrOptions(set(REFERENCES))],
    }

    def __init__(
        self,
        order=4,
        lag=4,
        estimator="oas",
        *,
        reference="riemann",
        tol=1e-8,
        max_iter=50,
        trim="moabb",
        structure=None,
        n_jobs=None,
    ):
        self.order = order
        self.lag = lag
        self.estimator = estimator
        self.reference = reference
        self.tol = tol
        self.max_iter = max_iter
        self.trim = trim
        self.structure = structure
        self.n_jobs = n_jobs

    @restore_on_failure
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Find the mean of each class.

        Parameters
        ----------
        X : array-like of shape (n_epochs, n_channels, n_times) or (n_epochs, n_times)
            Epochs; a 2-D array is a set of epochs of one channel.
        y : array-like of shape (n_epochs,)
            Class labels.
        sample_weight : array-like of shape (n_epochs,), default=None
            Weights of the means.

        Returns
        -------
        self : object
            The fitted classifier.
        """
        X, y, sample_weight = self._validate_fit(X, y, sample_weight)
        # Checked here, so that a message counts epochs and not those of a class.
        C = check_spd(self._covariances(X), name="The covariances of X")
        means, iterations = [], []
        for k in range(len(self.classes_)):
            mean, n_iter = reference_mean(
                C[y == k],
                self.reference,
                None if sample_weight is None else sample_weight[y == k],
                tol=self.tol,
                max_iter=self.max_iter,
                n_jobs=self.n_jobs,
            )
            means.append(mean)
            iterations.append(n_iter)
        self.means_ = np.stack(means)
        self._n_features_out = len(means)
        self.n_iter_ = max(iterations)
        return self

    def transform(self, X):
        """Return the distances from epochs to the class means.

        Parameters
        ----------
        X : array-like of shape (n_epochs, n_channels, n_times) or (n_epochs, n_times)
            Epochs.

        Returns
        -------
        ndarray of shape (n_epochs, n_classes)
            Affine-invariant distances.
        """
        C = self._covariances(validate_epochs_to_predict(self, X))
        check_spd(C, name="The covariances of X")
        return riemannian_distances(C, self.means_)

    def predict(self, X):
        """Predict the class of epochs.

        Parameters
        ----------
        X : array-like of shape (n_epochs, n_channels, n_times) or (n_epochs, n_times)
            Epochs.

        Returns
        -------
        ndarray of shape (n_epochs,)
            Class labels.
        """
        nearest = np.argmin(self.transform(X), axis=1)
        return self.classes_[nearest]

    def predict_proba(self, X):
        """Return probabilities: softmax of minus the squared distances.

        Parameters
        ----------
        X : array-like of shape (n_epochs, n_channels, n_times) or (n_epochs, n_times)
            Epochs.

        Returns
        -------
        ndarray of shape (n_epochs, n_classes)
            Probabilities, columns in the order of `classes_`.
        """
        return softmax(-(self.transform(X) ** 2), axis=1)
