"""Logits of norm and angle, or of the angle alone, and their gradients."""

import numpy as np

from .._cross_entropy import softmax_cross_entropy

# Shorter vectors count as zero: their direction is noise, and the derivative of a
# direction grows as the inverse of the length.
EPSILON = 1e-6


def dot_logits(H, W, b=None):
    r"""Compute logits of norm and angle, :math:`w_c^\top h + b_c`.

    Parameters
    ----------
    H : ndarray of shape (n, n_hidden)
        Features.
    W : ndarray of shape (n_classes, n_hidden)
        A row for each class.
    b : ndarray of shape (n_classes,) or None
        Intercepts.

    Returns
    -------
    ndarray of shape (n, n_classes)
        Logits.
    """
    logits = H @ W.T
    return logits if b is None else logits + b


def angle_logits(H, W, temperature):
    r"""Compute logits of the angle alone, :math:`\cos(h, w_c) / \tau`.

    Parameters
    ----------
    H : ndarray of shape (n, n_hidden)
        Features.
    W : ndarray of shape (n_classes, n_hidden)
        A row for each class.
    temperature : float
        The divisor.

    Returns
    -------
    ndarray of shape (n, n_classes)
        Logits; zero where a vector is shorter than 1e-6.
    """
    with np.errstate(over="ignore"):
        return directions(H)[0] @ directions(W)[0].T / temperature


def angle_loss(H, W, targets, weight, temperature):
    """Compute the cross-entropy of angle logits, and its gradients.

    They are orthogonal to the rows that they belong to, and zero for rows shorter than
    1e-6.

    Parameters
    ----------
    H : ndarray of shape (n, n_hidden)
        Features.
    W : ndarray of shape (n_classes, n_hidden)
        A row for each class.
    targets : ndarray of int, of shape (n,)
        Class indices.
    weight : ndarray of shape (n,) or None
        Positive weights.
    temperature : float
        The divisor of cosines.

    Returns
    -------
    loss : float
        Weighted mean of the cross-entropies.
    dH : ndarray of shape (n, n_hidden)
        Gradient with respect to the features.
    dW : ndarray of shape (n_classes, n_hidden)
        Gradient with respect to the weights.
    """
    (U, inverse_h), (V, inverse_w) = directions(H), directions(W)
    cosines = U @ V.T
    loss, G = cross_entropy(cosines / temperature, targets, weight)
    G /= temperature
    dH, dW = _across(G @ V, U), _across(G.T @ U, V)
    dH *= inverse_h
    dW *= inverse_w
    return loss, dH, dW


def _across(A, units):
    """Take from rows what lies along unit vectors, in place."""
    A -= np.vecdot(A, units)[:, None] * units
    return A


def directions(A):
    """Divide rows by their norms.

    Parameters
    ----------
    A : ndarray of shape (n, n_hidden)
        Rows.

    Returns
    -------
    units : ndarray of shape (n, n_hidden)
        Rows of norm 1, or 0 for those shorter than 1e-6.
    inverse_norms : ndarray of shape (n, 1)
        What they were multiplied by.
    """
    norms = np.sqrt(np.vecdot(A, A))
    if len(A) and not norms.max() < np.inf:  # squares beyond the range of float32
        norms = np.linalg.norm(A.astype(np.float64), axis=1).astype(A.dtype)
    inverse = ((norms > EPSILON) / np.maximum(norms, EPSILON))[:, None]
    return A * inverse, inverse


def cross_entropy(Z, targets, weight=None):
    """Compute the weighted mean of the cross-entropies of rows, and its gradient.

    Parameters
    ----------
    Z : ndarray of shape (n, n_classes)
        Logits; minus infinity takes a class out.
    targets : ndarray of int, of shape (n,)
        Class indices.
    weight : ndarray of shape (n,) or None
        Positive weights.

    Returns
    -------
    loss : float
        The mean.
    gradient : ndarray of shape (n, n_classes)
        Its gradient with respect to the logits.
    """
    share = np.full(len(Z), 1 / len(Z)) if weight is None else _shares(weight)
    return softmax_cross_entropy(Z, targets, share.astype(Z.dtype, copy=False))


def _shares(weight):
    weight = weight / weight.max()  # the sum of the largest ones would be infinite
    return weight / weight.sum()
