"""The logit bias: from scores of features to numbers of the size of logits."""

import numpy as np

_TINY = 1e-12


def row_std(u):
    """Sample deviation of each row, at least a tiny number; of shape (n_rows, 1)."""
    return np.maximum(u.std(axis=1, ddof=1, keepdims=True), _TINY)


def standardise_rows(u):
    r"""Subtract the mean of each row, and divide by its sample deviation.

    Parameters
    ----------
    u : ndarray of shape (n_rows, n_classes)
        Scores.

    Returns
    -------
    b : ndarray of shape (n_rows, n_classes)
        Standardised scores.
    std : ndarray of shape (n_rows, 1)
        The deviations.
    """
    std = row_std(u)
    return (u - u.mean(axis=1, keepdims=True)) / std, std


def standardise_rows_backward(g, b, std):
    r"""Take a gradient back through `standardise_rows`.

    .. math:: \frac{\partial L}{\partial u} = \frac{1}{\mathrm{std}}
        \left(g - \bar g - b\, \frac{b \cdot g}{C - 1}\right)

    Parameters
    ----------
    g : ndarray of shape (n_rows, n_classes)
        Gradient by the standardised scores.
    b, std : ndarray
        What `standardise_rows` returned.

    Returns
    -------
    ndarray of shape (n_rows, n_classes)
        Gradient by the scores.
    """
    along = (g * b).sum(axis=1, keepdims=True) / (b.shape[1] - 1)
    return (g - g.mean(axis=1, keepdims=True) - b * along) / std


def bias_of(u, scale, by_row):
    """Standardise scores by row, or divide them all by one number."""
    return standardise_rows(u)[0] if by_row else u / u.dtype.type(scale)


def mean_row_std(u, weight):
    """Weighted mean of the deviations of the rows; 1 where the rows are constant."""
    scale = float(np.average(u.std(axis=1, ddof=1), weights=weight))
    return scale if scale > _TINY else 1.0
