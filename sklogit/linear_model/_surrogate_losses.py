"""Losses in target space: value and gradient of every sample's loss."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import expit, logsumexp, softmax

# Above it the exponential of the Poisson loss goes on as its tangent: a trial step that
# is far too long must give a finite loss, to be told how much too long it was.
_LARGEST_LOG_MEAN = 80.0


@dataclass(frozen=True)
class TargetLoss:
    """A loss as an oracle, with what its smoothness L says about steps.

    Attributes
    ----------
    oracle : callable
        ``oracle(Z, y, sample_weight)`` returns the mean loss and the gradients.
    eta : float
        1/L; 1 where no L is known.
    boost : float
        Factor of `eta` for the first trial of a line search. Curvature reaches L only
        at the decision boundary, so that steps of 2/L decrease the logistic losses.
    """

    oracle: Callable
    eta: float = 1.0
    boost: float = 1.0


def mean_loss(losses, sample_weight):
    """Weighted mean of the samples' losses, accumulated in double precision.

    Parameters
    ----------
    losses : ndarray of shape (n_samples,)
        Loss of every sample.
    sample_weight : ndarray of shape (n_samples,) or None
        Weights.

    Returns
    -------
    float
        The mean.
    """
    return float(np.average(losses.astype(np.float64), weights=sample_weight))


def binary_log_loss(Z, y, sample_weight=None):
    """Logistic loss log(1 + exp(-s z)), s = 2 y - 1, of class indices y.

    Parameters
    ----------
    Z : ndarray of shape (n_samples, 1)
        Logits of class 1.
    y : ndarray of shape (n_samples,)
        Class indices, 0 or 1.
    sample_weight : ndarray of shape (n_samples,) or None
        Weights of the mean.

    Returns
    -------
    loss : float
        Mean loss.
    G : ndarray of shape (n_samples, 1)
        Gradient of every sample's loss.
    """
    sign = np.where(y == 1, 1, -1).astype(Z.dtype)[:, np.newaxis]
    margins = sign * Z
    losses = np.logaddexp(0, -margins[:, 0])
    return mean_loss(losses, sample_weight), -sign * expit(-margins)


def multinomial_log_loss(Z, y, sample_weight=None):
    """Cross-entropy logsumexp(z) - z_y of class indices y.

    Parameters
    ----------
    Z : ndarray of shape (n_samples, n_classes)
        Logits.
    y : ndarray of shape (n_samples,)
        Class indices.
    sample_weight : ndarray of shape (n_samples,) or None
        Weights of the mean.

    Returns
    -------
    loss : float
        Mean loss.
    G : ndarray of shape (n_samples, n_classes)
        Gradient of every sample's loss.
    """
    rows = np.arange(len(Z))
    losses = logsumexp(Z, axis=1) - Z[rows, y]
    G = softmax(Z, axis=1)
    G[rows, y] -= 1
    return mean_loss(losses, sample_weight), G


def squared_error(Z, y, sample_weight=None):
    """Half the squared error, summed over outputs.

    Parameters
    ----------
    Z : ndarray of shape (n_samples, n_outputs)
        Predictions.
    y : ndarray of shape (n_samples, n_outputs)
        True values.
    sample_weight : ndarray of shape (n_samples,) or None
        Weights of the mean.

    Returns
    -------
    loss : float
        Mean loss.
    G : ndarray of shape (n_samples, n_outputs)
        Gradient of every sample's loss.
    """
    error = Z - y
    return mean_loss((error**2).sum(axis=1) / 2, sample_weight), error


def huber(Z, y, sample_weight=None, *, delta):
    """Huber loss: half the squared error up to delta, linear beyond.

    Parameters
    ----------
    Z : ndarray of shape (n_samples, n_outputs)
        Predictions.
    y : ndarray of shape (n_samples, n_outputs)
        True values.
    sample_weight : ndarray of shape (n_samples,) or None
        Weights of the mean.
    delta : float
        Error at which it becomes linear.

    Returns
    -------
    loss : float
        Mean loss.
    G : ndarray of shape (n_samples, n_outputs)
        Gradient of every sample's loss.
    """
    error = Z - y
    G = np.clip(error, -delta, delta)
    return mean_loss((G * (error - G / 2)).sum(axis=1), sample_weight), G


def poisson(Z, y, sample_weight=None):
    """Half the Poisson deviance up to a constant: exp(z) - y z.

    Parameters
    ----------
    Z : ndarray of shape (n_samples, n_outputs)
        Logarithms of the predicted means.
    y : ndarray of shape (n_samples, n_outputs)
        Counts, or other non-negative values.
    sample_weight : ndarray of shape (n_samples,) or None
        Weights of the mean.

    Returns
    -------
    loss : float
        Mean loss.
    G : ndarray of shape (n_samples, n_outputs)
        Gradient of every sample's loss.
    """
    excess = np.maximum(Z - _LARGEST_LOG_MEAN, 0)
    mean = np.exp(np.minimum(Z, _LARGEST_LOG_MEAN))
    losses = (mean * (1 + excess) - y * Z).sum(axis=1)
    return mean_loss(losses, sample_weight), mean - y


def classification_loss(loss, n_classes):
    """Return the loss of a classifier by name, or around a callable.

    Parameters
    ----------
    loss : {"log_loss"} or callable
        The loss.
    n_classes : int
        Number of classes.

    Returns
    -------
    TargetLoss
        The loss.
    """
    if callable(loss):
        return TargetLoss(loss)
    if n_classes == 2:
        return TargetLoss(binary_log_loss, eta=4.0, boost=2.0)
    return TargetLoss(multinomial_log_loss, eta=2.0, boost=2.0)


def regression_loss(loss, delta):
    """Return the loss of a regressor by name, or around a callable.

    Parameters
    ----------
    loss : {"squared_error", "huber", "poisson"} or callable
        The loss.
    delta : float
        Of the Huber loss.

    Returns
    -------
    TargetLoss
        The loss.
    """
    if callable(loss):
        return TargetLoss(loss)
    if loss == "huber":
        return TargetLoss(partial(huber, delta=delta))
    return TargetLoss({"squared_error": squared_error, "poisson": poisson}[loss])
