"""From scores to probabilities."""

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, log_expit, log_softmax, softmax

_SMALLEST, _LARGEST = -60.0, 60.0  # logarithms of the factor


def fit_scale(kind, scores, y, weight, n_classes):
    """Fit the factor a of the scores by maximum likelihood, with smoothed targets.

    A class of weight N has the target (N + 1) / (N + n_classes) instead of 1, and the
    other classes share the rest: with separated scores and targets of 1 the factor
    would be infinite. The likelihood is concave in a, so that its derivative has one
    sign change.

    Parameters
    ----------
    kind : {"binary", "multinomial", "ovr"}
        Probabilities are sigmoids of the scores, or their softmax ("multinomial").
    scores : ndarray of shape (n_rows,) or (n_rows, n_classes)
        Scores; those of a binary problem multiplied by the sign of the label.
    y : ndarray of shape (n_rows,)
        Class indices.
    weight : ndarray of shape (n_rows,) or None
        Weights.
    n_classes : int
        Number of classes.

    Returns
    -------
    float
        The factor.
    """
    weight = np.ones(len(y)) if weight is None else weight.astype(np.float64)
    mass = np.bincount(y, weights=weight, minlength=n_classes)
    targets = ((mass + 1) / (mass + n_classes))[y]
    size = np.abs(scores).max()
    if size == 0:
        return 1.0
    scores = scores / size
    if kind == "binary":
        slope = _binary_slope(scores, targets, weight)
    elif kind == "multinomial":
        slope = _softmax_slope(scores, y, targets, weight)
    else:
        own = y[:, np.newaxis] == np.arange(n_classes)
        other = 1 - (1 - targets) / (n_classes - 1)
        targets = np.where(own, targets[:, np.newaxis], other[:, np.newaxis])
        signs = np.where(own, 1.0, -1.0)
        slope = _binary_slope(scores * signs, targets, weight[:, np.newaxis])
    if slope(_SMALLEST) <= 0:  # no better than chance
        return float(np.exp(_SMALLEST / 4) / size)
    if slope(_LARGEST) >= 0:
        return float(np.exp(_LARGEST / 4) / size)
    return float(np.exp(brentq(slope, _SMALLEST, _LARGEST, xtol=1e-10)) / size)


def _binary_slope(margins, targets, weight):
    weighted = weight * margins

    def slope(log_factor):
        return np.sum(weighted * (targets - expit(np.exp(log_factor) * margins)))

    return slope


def _softmax_slope(scores, y, targets, weight):
    # A shift of a row's scores changes nothing, and keeps exp from overflowing.
    scores = scores - scores.max(axis=1, keepdims=True)
    own, other = scores[np.arange(len(y)), y], (1 - targets) / (scores.shape[1] - 1)
    wanted = (targets - other) * own + other * scores.sum(axis=1)

    def slope(log_factor):
        odds = np.exp(np.exp(log_factor) * scores)
        found = np.einsum("ij,ij->i", odds, scores) / odds.sum(axis=1)
        return weight @ (wanted - found)

    return slope


def probabilities(scores):
    """Probabilities of the classes, of logits.

    Parameters
    ----------
    scores : ndarray of shape (n_samples,) or (n_samples, n_classes)
        Logits: of the second of two classes, or of each class.

    Returns
    -------
    ndarray of shape (n_samples, n_classes)
        Logistic function, or softmax, of the logits.
    """
    if scores.ndim == 1:
        return np.column_stack([expit(-scores), expit(scores)])
    return softmax(scores, axis=1)


def log_probabilities(scores):
    """Logarithms of what `probabilities` returns, finite where that rounds to 0.

    Parameters
    ----------
    scores : ndarray of shape (n_samples,) or (n_samples, n_classes)
        Logits.

    Returns
    -------
    ndarray of shape (n_samples, n_classes)
        The logarithms.
    """
    if scores.ndim == 1:
        return np.column_stack([log_expit(-scores), log_expit(scores)])
    return log_softmax(scores, axis=1)
