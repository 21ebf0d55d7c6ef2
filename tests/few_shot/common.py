"""Data and references that the tests of few-shot learning share."""

import numpy as np
from scipy.special import log_softmax
from sklearn.datasets import load_digits

from sklogit.few_shot import ZeroShotLogits


def two_views(n_shots=4, seed=0, scale=20.0):
    """Digits: logits of the left half of each image, then the right half.

    Returns few-shot data and test data, (X, y, X_test, y_test).
    """
    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(y))
    images, y = X[order].reshape(-1, 8, 8) / 16, y[order]
    left, right = images[:, :, :4].reshape(-1, 32), images[:, :, 4:].reshape(-1, 32)
    prior = ZeroShotLogits(scale=scale).fit(left[:500], y[:500])
    X = np.hstack([prior.transform(left), right])
    few = [500 + np.flatnonzero(y[500:1200] == c)[:n_shots] for c in range(10)]
    few = np.concatenate(few)
    return X[few], y[few], X[1200:], y[1200:]


def random_shots(n_rows=30, n_classes=4, n_features=6, seed=0):
    """Random logits and features, with labels that occur unequally often."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n_rows, n_classes))
    A = rng.normal(size=(n_rows, n_features))
    y = np.concatenate([np.arange(n_classes), rng.integers(n_classes, size=n_rows)])
    return z, A, np.sort(y[:n_rows])


def unit(A):
    return A / np.linalg.norm(A, axis=1, keepdims=True)


def means_of_classes(A, y, n_classes):
    """Class means of unit rows, one after the other."""
    return np.array([unit(A)[y == c].mean(axis=0) for c in range(n_classes)])


def mean_log_loss(logits, y, weight=None):
    own = log_softmax(logits, axis=1)[np.arange(len(y)), y]
    return -np.average(own, weights=weight)
