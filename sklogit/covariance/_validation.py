"""Checks that the covariance estimators and functions share."""

from numbers import Integral

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted, validate_data

_EPOCHS_CHECK = {"dtype": [np.float64, np.float32], "allow_nd": True}


def check_epochs(X):
    """Validate an array of epochs.

    Parameters
    ----------
    X : array-like of shape (n_epochs, n_channels, n_times) or (n_epochs, n_times)
        A 2-D array is a set of epochs of one channel.

    Returns
    -------
    ndarray of shape (n_epochs, n_channels, n_times)
        float64 or float32.
    """
    return _as_three_d(check_array(X, **_EPOCHS_CHECK, input_name="X"))


def validate_epochs(estimator, X, y="no_validation", *, reset=True):
    """Validate epochs on behalf of an estimator, and its number of channels.

    Parameters
    ----------
    estimator : estimator
        Receives ``n_features_in_`` if `reset`, else it is compared with X.
    X : array-like of shape (n_epochs, n_channels, n_times) or (n_epochs, n_times)
        A 2-D array is a set of epochs of one channel.
    y : array-like of shape (n_epochs,), default="no_validation"
        Targets, validated with X where given.
    reset : bool, default=True
        True while fitting.

    Returns
    -------
    ndarray of shape (n_epochs, n_channels, n_times) or tuple with y
        The validated arrays.
    """
    if y is None or not isinstance(y, str):
        X, y = validate_data(estimator, X, y, reset=reset, **_EPOCHS_CHECK)
        return _as_three_d(X), y
    return _as_three_d(validate_data(estimator, X, reset=reset, **_EPOCHS_CHECK))


def validate_epochs_to_predict(estimator, X):
    """Validate epochs for a fitted estimator.

    Parameters
    ----------
    estimator : estimator
        Must have ``n_channels_``, from fit.
    X : array-like of shape (n_epochs, n_channels, n_times) or (n_epochs, n_times)
        Epochs of as many channels.

    Returns
    -------
    ndarray of shape (n_epochs, n_channels, n_times)
        The validated array.
    """
    check_is_fitted(estimator)
    X = validate_epochs(estimator, X, reset=False)
    if X.shape[1] != estimator.n_channels_:
        raise ValueError(
            f"X has {X.shape[1]} channels, but {type(estimator).__name__} was fitted "
            f"with {estimator.n_channels_} channels."
        )
    return X


def _as_three_d(X):
    if X.ndim == 2:
        return X[:, np.newaxis, :]
    if X.ndim != 3:
        raise ValueError(
            "X must have 3 dimensions (n_epochs, n_channels, n_times), or 2 for epochs "
            f"of one channel; found {X.ndim} dimensions with shape {X.shape}."
        )
    if 0 in X.shape:
        raise ValueError(f"X is empty: found array with shape {X.shape}.")
    return X


def embedded_length(n_times, order, lag, trim="moabb"):
    """Count the samples of the delay embedding of an epoch.

    Parameters
    ----------
    n_times : int
        Samples of the epoch.
    order : int
        Number of delayed copies.
    lag : int
        Delay between two copies, in samples.
    trim : {"moabb", "full"}, default="moabb"
        "full" keeps all ``n_times - (order - 1) * lag`` samples that have every
        copy; "moabb" drops `lag` more when ``order > 1``, as MOABB does.

    Returns
    -------
    int
        At least 2.

    Raises
    ------
    ValueError
        If `order` or `lag` is not an integer >= 1, `trim` is unknown, or the epoch is
        too short.
    """
    for name, value in (("order", order), ("lag", lag)):
        if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name} must be an integer >= 1, found {value!r}.")
    if trim not in ("moabb", "full"):
        raise ValueError(f"trim must be 'moabb' or 'full', found {trim!r}.")
    dropped = order if trim == "moabb" and order > 1 else order - 1
    n_samples = n_times - dropped * lag
    if n_samples < 2:
        raise ValueError(
            f"The epochs are too short for order={order} and lag={lag}: "
            f"n_times={n_times} leaves {n_samples} embedded samples with "
            f"trim={trim!r}, at least 2 are needed. Found array with "
            f"{n_times} feature(s) (n_features = {n_times} when X is 2-D)."
        )
    return n_samples


def covariance_samples(n_times, order, lag, trim="moabb", structure=None):
    """Count the samples that an augmented covariance is the mean of.

    Parameters
    ----------
    n_times, order, lag, trim
        As in `embedded_length`.
    structure : {None, "toeplitz", "circular"}, default=None
        The structured covariances ignore `trim`: they use all samples of an epoch that
        holds every delay.

    Returns
    -------
    int
        At least 2.

    Raises
    ------
    ValueError
        As `embedded_length` does.
    """
    if structure is None:
        return embedded_length(n_times, order, lag, trim)
    embedded_length(n_times, order, lag, "full")
    return n_times


def rank_deficiency(estimator, n_features, n_samples, structure=None):
    """Tell whether covariances are singular by their number of samples.

    Parameters
    ----------
    estimator : str
        Covariance estimator.
    n_features : int
        Size of the matrices.
    n_samples : int
        Samples that each matrix is estimated from, before centring.
    structure : {None, "toeplitz", "circular"}, default=None
        A Toeplitz matrix of biased autocovariances is definite with few samples too.

    Returns
    -------
    str or None
        What is wrong and what to do, or None where the estimator shrinks or has samples
        enough.
    """
    shrinks = estimator not in ("cov", "scm", "corr")
    if shrinks or structure == "toeplitz" or n_samples - 1 >= n_features:
        return None
    return (
        f"Covariances of size {n_features} estimated with estimator={estimator!r} from "
        f"{n_samples} samples are singular (rank <= {n_samples - 1}). Use "
        "estimator='oas', a smaller order, fewer channels or longer epochs."
    )


def check_full_rank(estimator, n_features, n_samples, structure=None):
    """Raise ValueError if `rank_deficiency` finds one; same parameters."""
    problem = rank_deficiency(estimator, n_features, n_samples, structure)
    if problem is not None:
        raise ValueError(problem)
