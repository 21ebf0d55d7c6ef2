"""Delay embedding of epochs and its covariance."""

import warnings
from numbers import Integral

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions

from .._optional import import_optional
from .._state import restore_on_failure
from ._lag_statistics import _BLOCK, FAST_ESTIMATORS, STRUCTURES, LagStatistics
from ._threads import threads_over_matrices
from ._validation import (
    check_epochs,
    covariance_samples,
    embedded_length,
    rank_deficiency,
    validate_epochs,
    validate_epochs_to_predict,
)

# Estimators that need the embedded samples themselves; pyRiemann has them.
FALLBACK_ESTIMATORS = ("hub", "mcd", "sch", "stu", "tyl")


def delay_embedding(X, order=1, lag=1, *, trim="moabb"):
    """Stack delayed copies of the channels of every epoch.

    Parameters
    ----------
    X : array-like of shape (n_epochs, n_channels, n_times) or (n_epochs, n_times)
        Epochs; a 2-D array is a set of epochs of one channel.
    order : int, default=1
        Number of copies p.
    lag : int, default=1
        Delay between two copies, in samples.
    trim : {"moabb", "full"}, default="moabb"
        "full" keeps the ``n_times - (order - 1) * lag`` samples that have every copy;
        "moabb" drops `lag` more when ``order > 1``, as MOABB does.

    Returns
    -------
    ndarray of shape (n_epochs, n_channels * order, n_samples)
        Rows ``a * n_channels`` to ``(a + 1) * n_channels`` are the channels from sample
        ``a * lag`` on.

    Raises
    ------
    ValueError
        If `order` or `lag` is not an integer >= 1, or the epochs are too short.

    Examples
    --------
    >>> from sklogit.covariance import delay_embedding
    >>> delay_embedding([[[1.0, 2.0, 3.0, 4.0]]], order=2, lag=1, trim="full")
    array([[[1., 2., 3.],
            [2., 3., 4.]]])
    """
    X = check_epochs(X)
    n_samples = embedded_length(X.shape[2], order, lag, trim)
    starts = range(0, order * lag, lag)
    return np.concatenate([X[:, :, s : s + n_samples] for s in starts], axis=1)


def augmented_covariance(
    X,
    order=1,
    lag=1,
    estimator="cov",
    *,
    assume_centered=False,
    trim="moabb",
    structure=None,
    n_jobs=None,
    return_shrinkage=False,
):
    """Covariance of the delay embedding of every epoch, without embedding it.

    Parameters
    ----------
    X : array-like of shape (n_epochs, n_channels, n_times) or (n_epochs, n_times)
        Epochs; a 2-D array is a set of epochs of one channel.
    order : int, default=1
        Number of delayed copies p; 1 gives the spatial covariance.
    lag : int, default=1
        Delay between two copies, in samples.
    estimator : str, default="cov"
        "cov" (division by N - 1), "scm" (by N), "oas" (oracle approximating shrinkage),
        "lwf" (Ledoit-Wolf shrinkage) or "corr" (correlation). These five come from lag
        statistics, see `LagStatistics`; "hub", "mcd", "sch", "stu" and "tyl" embed the
        epochs and call pyRiemann.
    assume_centered : bool, default=False
        If False, the covariances are centred with the mean of each embedded row.
    trim : {"moabb", "full"}, default="moabb"
        See `delay_embedding`.
    structure : {None, "toeplitz", "circular"}, default=None
        None is the exact covariance of the embedded samples. "toeplitz" has the biased
        autocovariances on its block diagonals (the matrix of the Yule-Walker
        equations), always positive semi-definite; "circular" wraps the delays around,
        as `pyriemann.estimation.TimeDelayCovariances` does.
    n_jobs : int, default=None
        Threads that share the epochs.
    return_shrinkage : bool, default=False
        Whether to return the shrinkage intensities too.

    Returns
    -------
    C : ndarray of shape (n_epochs, n_channels * order, n_channels * order)
        Covariances; float32 if X was.
    shrinkage : ndarray of shape (n_epochs,)
        Only if `return_shrinkage`; 0 for estimators that do not shrink.

    Raises
    ------
    ValueError
        If a parameter is out of range, the epochs are too short, or `structure` or
        `return_shrinkage` is asked of an estimator that pyRiemann computes.
    ImportError
        If one of these estimators is asked for and pyRiemann is not installed.

    References
    ----------
    .. [1] I. Carrara and T. Papadopoulo, "Classification of BCI-EEG based on augmented
       covariance matrix", arXiv:2302.04508.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.covariance import augmented_covariance
    >>> X = np.random.default_rng(0).standard_normal((10, 3, 200))
    >>> C, rho = augmented_covariance(X, 4, 2, "oas", return_shrinkage=True)
    >>> C.shape, rho.shape
    ((10, 12, 12), (10,))
    """
    X = check_epochs(X)
    options = {"structure": structure, "return_shrinkage": True}

    def block(rows):
        statistics = LagStatistics(X[rows], assume_centered=assume_centered, trim=trim)
        return statistics.covariance(order, lag, estimator, **options)

    if estimator in FALLBACK_ESTIMATORS:
        if structure is not None or return_shrinkage or assume_centered:
            raise ValueError(
                f"structure, return_shrinkage and assume_centered need one of "
                f"estimator={FAST_ESTIMATORS}, found {estimator!r}."
            )
        covariances = import_optional(
            "pyriemann.geometry.covariance", f"estimator={estimator!r}"
        ).covariances
        embedded = delay_embedding(X, order, lag, trim=trim)
        return covariances(embedded, estimator=estimator).astype(X.dtype, copy=False)

    # Blocks of epochs bound the memory: no more than a block is ever held twice.
    C = np.empty((len(X),) + (X.shape[1] * order,) * 2, dtype=X.dtype)
    shrinkage = np.empty(len(X))

    def fill(rows):
        for start in range(rows.start, rows.stop, _BLOCK):
            part = slice(start, min(start + _BLOCK, rows.stop))
            C[part], shrinkage[part] = block(part)

    with threads_over_matrices(n_jobs, len(X), C.shape[1]) as run:
        run(fill)
    return (C, shrinkage) if return_shrinkage else C


class _EpochTransformer(TransformerMixin, BaseEstimator):
    """What the stateless transformers of epochs share."""

    @restore_on_failure
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Check the parameters against the epochs; nothing is estimated.

        Parameters
        ----------
        X : array-like of shape (n_epochs, n_channels, n_times) or (n_epochs, n_times)
            Epochs; a 2-D array is a set of epochs of one channel.
        y : None
            Ignored.

        Returns
        -------
        self : object
            The transformer.
        """
        X = validate_epochs(self, X)
        self.n_channels_, self.n_times_ = X.shape[1:]
        self._check_length()
        return self

    def _check_length(self):
        embedded_length(self.n_times_, self.order, self.lag, self.trim)

    def set_output(self, *, transform=None):
        """Do nothing: the output has three dimensions, and stays an array.

        It exists so that ``set_output`` of a pipeline can reach the later steps.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, default=None
            Ignored.

        Returns
        -------
        self : object
            The transformer.
        """
        return self

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.requires_fit = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class DelayEmbedding(_EpochTransformer):
    r"""Stack delayed copies of the channels of every epoch.

    An epoch x of c channels becomes the signal
    :math:`e(t) = [x(t), x(t + \tau), \dots, x(t + (p - 1)\tau)]` of pc channels.

    Parameters
    ----------
    order : int, default=1
        Number of copies p; 1 leaves the epochs as they are.
    lag : int, default=1
        Delay between two copies, in samples.
    trim : {"moabb", "full"}, default="moabb"
        "full" keeps the ``n_times - (order - 1) * lag`` samples that have every copy;
        "moabb" drops `lag` more when ``order > 1``, as MOABB's `AugmentedDataset`
        does, which this transformer can stand in for.

    Attributes
    ----------
    n_channels_ : int
        Channels of the epochs seen during fit.
    n_times_ : int
        Samples of the epochs seen during fit.
    n_features_in_ : int
        Size of the second dimension of X seen during fit.

    See Also
    --------
    AugmentedCovariances : Covariance of the embedding, without forming it.

    References
    ----------
    .. [1] I. Carrara and T. Papadopoulo, "Classification of BCI-EEG based on augmented
       covariance matrix", arXiv:2302.04508.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.covariance import DelayEmbedding
    >>> X = np.random.default_rng(0).standard_normal((10, 3, 200))
    >>> DelayEmbedding(order=4, lag=2).fit_transform(X).shape
    (10, 12, 192)
    """

    _parameter_constraints: dict = {
        "order": [Interval(Integral, 1, None, closed="left")],
        "lag": [Interval(Integral, 1, None, closed="left")],
        "trim": [StrOptions({"moabb", "full"})],
    }

    def __init__(self, order=1, lag=1, trim="moabb"):
        self.order = order
        self.lag = lag
        self.trim = trim

    def transform(self, X):
        """Embed epochs.

        Parameters
        ----------
        X : array-like of shape (n_epochs, n_channels, n_times) or (n_epochs, n_times)
            Epochs.

        Returns
        -------
        ndarray of shape (n_epochs, n_channels * order, n_samples)
            Embedded epochs.
        """
        X = validate_epochs_to_predict(self, X)
        return delay_embedding(X, self.order, self.lag, trim=self.trim)


class AugmentedCovariances(_EpochTransformer):
    r"""Augmented covariance matrix of every epoch.

    The covariance of the delay embedding of an epoch holds its spatial covariance and
    its lagged cross-covariances. It is computed exactly, but from lagged products
    instead of the embedding (see `LagStatistics`): p times fewer operations at
    order p, and no copy of the signals.

    Parameters
    ----------
    order : int, default=1
        Number of delayed copies p; 1 gives the spatial covariance.
    lag : int, default=1
        Delay between two copies, in samples.
    estimator : str, default="cov"
        "cov" (division by N - 1) reproduces the paper. Its matrices are badly
        conditioned at high orders, and singular when an epoch has fewer samples than
        the matrix has rows: prefer "oas" (oracle approximating shrinkage) or "lwf"
        (Ledoit-Wolf shrinkage) there. "scm" divides by N, "corr" gives correlations.
        "hub", "mcd", "sch", "stu" and "tyl" embed the epochs and call pyRiemann (extra
        `eeg`).
    assume_centered : bool, default=False
        If False, the covariances are centred with the mean of each embedded row.
    trim : {"moabb", "full"}, default="moabb"
        "full" uses the ``n_times - (order - 1) * lag`` samples that have every copy;
        "moabb" drops `lag` more when ``order > 1``, as MOABB does.
    structure : {None, "toeplitz", "circular"}, default=None
        None is the exact covariance of the embedded samples; "toeplitz" the
        block-Toeplitz matrix of biased autocovariances; "circular" that of circular
        shifts.
    n_jobs : int, default=None
        Threads that share the epochs.

    Attributes
    ----------
    n_channels_ : int
        Channels of the epochs seen during fit.
    n_times_ : int
        Samples of the epochs seen during fit.
    n_features_in_ : int
        Size of the second dimension of X seen during fit.

    See Also
    --------
    SPDTangentSpace : Turns the matrices into feature vectors.
    augmented_covariance : The function behind; returns the shrinkage intensities too.

    References
    ----------
    .. [1] I. Carrara and T. Papadopoulo, "Classification of BCI-EEG based on augmented
       covariance matrix", arXiv:2302.04508.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.svm import SVC
    >>> from sklogit.covariance import AugmentedCovariances, SPDTangentSpace
    >>> from sklogit.datasets import make_bci_epochs
    >>> X, y = make_bci_epochs(n_epochs=60, random_state=0)
    >>> acm = make_pipeline(
    ...     AugmentedCovariances(order=4, lag=2, estimator="oas"),
    ...     SPDTangentSpace(),
    ...     SVC(kernel="linear"),
    ... )
    >>> acm.fit(X[:40], y[:40]).score(X[40:], y[40:]) > 0.8
    True
    """

    _parameter_constraints: dict = {
        **DelayEmbedding._parameter_constraints,
        "estimator": [StrOptions({*FAST_ESTIMATORS, *FALLBACK_ESTIMATORS})],
        "assume_centered": ["boolean"],
        "structure": [StrOptions({s for s in STRUCTURES if s}), None],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        order=1,
        lag=1,
        estimator="cov",
        *,
        assume_centered=False,
        trim="moabb",
        structure=None,
        n_jobs=None,
    ):
        self.order = order
        self.lag = lag
        self.estimator = estimator
        self.assume_centered = assume_centered
        self.trim = trim
        self.structure = structure
        self.n_jobs = n_jobs

    def _check_length(self):
        n_samples = covariance_samples(
            self.n_times_, self.order, self.lag, self.trim, self.structure
        )
        d = self.n_channels_ * self.order
        problem = rank_deficiency(self.estimator, d, n_samples, self.structure)
        if problem is not None:
            # No error: a singular covariance is what was asked for, and has its uses.
            warnings.warn(problem, UserWarning, stacklevel=5)

    def transform(self, X):
        """Compute the augmented covariances of epochs.

        Parameters
        ----------
        X : array-like of shape (n_epochs, n_channels, n_times) or (n_epochs, n_times)
            Epochs.

        Returns
        -------
        ndarray of shape (n_epochs, n_channels * order, n_channels * order)
            Symmetric positive (semi-)definite matrices.
        """
        X = validate_epochs_to_predict(self, X)
        return augmented_covariance(
            X,
            self.order,
            self.lag,
            self.estimator,
            assume_centered=self.assume_centered,
            trim=self.trim,
            structure=self.structure,
            n_jobs=self.n_jobs,
        )
