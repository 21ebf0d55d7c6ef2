"""Tangent space of SPD matrices at a reference."""

from functools import partial
from numbers import Integral, Real

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils import check_array
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from .._state import restore_on_failure
from ._mean import (
    arithmetic_harmonic_mean,
    check_spd,
    log_euclidean_mean,
    normalized_weight,
    riemannian_mean,
    spd_function,
    symmetrize,
)
from ._threads import threads_over_matrices

REFERENCES = ("riemann", "kullback", "logeuclid", "euclid")


def reference_mean(
    C,
    reference="riemann",
    sample_weight=None,
    *,
    tol=1e-8,
    max_iter=50,
    n_jobs=None,
):
    """Find the reference matrix of a set of SPD matrices.

    Parameters
    ----------
    C : array-like of shape (n_matrices, d, d)
        SPD matrices.
    reference : str or array-like of shape (d, d), default="riemann"
        "riemann", "kullback", "logeuclid", "euclid": which mean; or the matrix itself.
    sample_weight : array-like of shape (n_matrices,), default=None
        Weights of the mean.
    tol, max_iter, n_jobs
        As in `riemannian_mean`.

    Returns
    -------
    M : ndarray of shape (d, d)
        The reference.
    n_iter : int
        Iterations; 0 for a closed form.

    Raises
    ------
    ValueError
        If a matrix is not SPD, or the given reference does not fit.
    """
    if not isinstance(reference, str):
        M = check_spd(np.asarray(reference)[np.newaxis], name="reference")[0]
        if M.shape != C.shape[1:]:
            raise ValueError(
                f"reference must have shape {C.shape[1:]} to match X, found {M.shape}."
            )
        return M, 0
    if reference == "riemann":
        M, info = riemannian_mean(
            C,
            sample_weight,
            tol=tol,
            max_iter=max_iter,
            n_jobs=n_jobs,
            return_info=True,
        )
        return M, info.n_iter
    C = check_spd(C)
    weight = normalized_weight(sample_weight, C)
    if reference == "euclid":
        return np.tensordot(weight, C, axes=1), 0
    mean = {"kullback": arithmetic_harmonic_mean, "logeuclid": log_euclidean_mean}
    return mean[reference](C, weight), 0


def tangent_vectors(C, reference, *, n_jobs=None):
    r"""Map SPD matrices to the tangent space of the affine-invariant metric.

    The feature vector of C is the upper triangle, row by row, of
    :math:`\log(M^{-1/2} C M^{-1/2})` with the entries off the diagonal multiplied by
    :math:`\sqrt 2`, so that its Euclidean norm is the distance from C to M.

    Parameters
    ----------
    C : ndarray of shape (n_matrices, d, d)
        SPD matrices; not checked.
    reference : ndarray of shape (d, d)
        The point M of the tangent space, SPD.
    n_jobs : int, default=None
        Threads that share the matrices.

    Returns
    -------
    ndarray of shape (n_matrices, d * (d + 1) / 2)
        Feature vectors, of the dtype of C.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.covariance import tangent_vectors
    >>> C = np.array([np.diag([np.e, 1.0])])
    >>> tangent_vectors(C, np.eye(2)).round(12) + 0.0
    array([[1., 0., 0.]])
    """
    rows, columns = np.triu_indices(len(reference))
    scale = np.where(rows == columns, 1.0, np.sqrt(2.0))
    flat = rows * len(reference) + columns
    features = np.empty((len(C), len(flat)), dtype=C.dtype)
    block = max(1, 2**17 // len(reference) ** 2)

    def fill(part, whitener):
        for start in range(part.start, part.stop, block):
            span = slice(start, min(start + block, part.stop))
            Z = symmetrize(whitener @ C[span] @ whitener)
            values, V = np.linalg.eigh(Z.astype(np.float64, copy=False))
            floor = np.finfo(np.float64).eps * values[:, -1:]
            logs = np.log(np.maximum(values, floor))
            S = (V * logs[:, np.newaxis, :]) @ V.mT
            features[span] = S.reshape(len(S), -1)[:, flat] * scale

    with threads_over_matrices(n_jobs, len(C), len(reference)) as run:
        whitener = spd_function(reference, lambda v: 1 / np.sqrt(v))
        run(partial(fill, whitener=whitener))
    return features


class SPDTangentSpace(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    r"""Turn SPD matrices into feature vectors at a common reference.

    The features of a matrix C are the upper triangle of
    :math:`\log(M^{-1/2} C M^{-1/2})`, entries off the diagonal times
    :math:`\sqrt 2`, with M a mean of the training matrices. Any linear classifier
    can follow.

    Parameters
    ----------
    reference : str or ndarray of shape (d, d), default="riemann"
        The reference M: the mean of the training matrices for the affine-invariant
        distance ("riemann"), for the symmetrised Kullback-Leibler divergence
        ("kullback"), for the log-Euclidean distance ("logeuclid"), the arithmetic mean
        ("euclid"), or a given matrix. The map is
        always that of the affine-invariant metric: only the point M is cheaper with
        "kullback" or "logeuclid", by an order of magnitude.
    tol : float, default=1e-8
        Tolerance of `riemannian_mean`.
    max_iter : int, default=50
        Most iterations of `riemannian_mean`.
    n_jobs : int, default=None
        Threads that share the matrices.

    Attributes
    ----------
    reference_ : ndarray of shape (d, d)
        The reference M.
    n_iter_ : int
        Iterations of the mean; 0 for a closed form.
    n_features_in_ : int
        d.

    See Also
    --------
    pyriemann.tangentspace.TangentSpace : The same features, without the checks.

    References
    ----------
    .. [1] A. Barachant, S. Bonnet, M. Congedo and C. Jutten, "Multiclass Brain-Computer
       Interface Classification by Riemannian Geometry", IEEE Transactions on Biomedical
       Engineering, 2012.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.covariance import AugmentedCovariances, SPDTangentSpace
    >>> X = np.random.default_rng(0).standard_normal((20, 3, 100))
    >>> C = AugmentedCovariances(order=2, lag=1).fit_transform(X)
    >>> SPDTangentSpace().fit_transform(C).shape
    (20, 21)
    """

    _parameter_constraints: dict = {
        "reference": [StrOptions(set(REFERENCES)), np.ndarray],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "n_jobs": [Integral, None],
    }

    def __init__(self, reference="riemann", *, tol=1e-8, max_iter=50, n_jobs=None):
        self.reference = reference
        self.tol = tol
        self.max_iter = max_iter
        self.n_jobs = n_jobs

    @restore_on_failure
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Find the reference.

        Parameters
        ----------
        X : array-like of shape (n_matrices, d, d)
            SPD matrices.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_matrices,), default=None
            Weights of the mean.

        Returns
        -------
        self : object
            The fitted transformer.
        """
        C = self._check(X, reset=True)
        self.reference_, self.n_iter_ = reference_mean(
            C,
            self.reference,
            sample_weight,
            tol=self.tol,
            max_iter=self.max_iter,
            n_jobs=self.n_jobs,
        )
        d = len(self.reference_)
        self._n_features_out = d * (d + 1) // 2
        return self

    def transform(self, X):
        """Map matrices to feature vectors.

        Parameters
        ----------
        X : array-like of shape (n_matrices, d, d)
            SPD matrices.

        Returns
        -------
        ndarray of shape (n_matrices, d * (d + 1) / 2)
            Feature vectors.
        """
        check_is_fitted(self)
        C = self._check(X, reset=False)
        check_spd(C, name="X")
        return tangent_vectors(C, self.reference_, n_jobs=self.n_jobs)

    def inverse_transform(self, X):
        """Map feature vectors back to SPD matrices.

        Parameters
        ----------
        X : array-like of shape (n_matrices, d * (d + 1) / 2)
            Feature vectors.

        Returns
        -------
        ndarray of shape (n_matrices, d, d)
            SPD matrices.
        """
        check_is_fitted(self)
        X = check_array(X, dtype=[np.float64, np.float32])
        if X.shape[1] != self._n_features_out:
            raise ValueError(
                f"X has {X.shape[1]} features, but {type(self).__name__} makes "
                f"{self._n_features_out} of matrices of size {len(self.reference_)}."
            )
        d = len(self.reference_)
        rows, columns = np.triu_indices(d)
        S = np.zeros((len(X), d, d))
        S[:, rows, columns] = np.where(rows == columns, X, X / np.sqrt(2.0))
        S[:, columns, rows] = S[:, rows, columns]
        root = spd_function(self.reference_, np.sqrt)
        C = symmetrize(root @ spd_function(S, np.exp) @ root)
        return C.astype(X.dtype, copy=False)

    def _check(self, X, reset):
        X = validate_data(
            self, X, reset=reset, dtype=[np.float64, np.float32], allow_nd=True
        )
        if X.ndim != 3 or X.shape[1] != X.shape[2]:
            raise ValueError(
                f"X must be SPD matrices of shape (n_matrices, d, d), found shape "
                f"{X.shape}. Put AugmentedCovariances before {type(self).__name__}."
            )
        return X

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.two_d_array = False
        tags.input_tags.positive_only = False
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
