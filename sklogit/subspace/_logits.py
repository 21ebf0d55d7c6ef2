"""Logits of subspaces: lengths of the projections of unit rows."""

import numpy as np
from scipy import sparse

from .._cross_entropy import softmax_cross_entropy

# Shortest projection of a unit row by which anything is divided.
_SHORTEST = 1e-12


def projections(rows, S):
    r"""Coordinates of rows in the bases of subspaces, :math:`S_c^\top x`.

    Parameters
    ----------
    rows : {ndarray, CSR} of shape (n_rows, n)
        Rows.
    S : ndarray of shape (n_classes, n, k)
        Orthonormal bases.

    Returns
    -------
    ndarray of shape (n_rows, n_classes, k)
        Coordinates; one matrix product for all subspaces.
    """
    n_classes, n, k = S.shape
    basis = S.mT.reshape(n_classes * k, n)  # a view in Fortran order
    return np.asarray(rows @ basis.T).reshape(-1, n_classes, k)


def lengths(Z):
    """Lengths of projections.

    Parameters
    ----------
    Z : ndarray of shape (n_rows, n_classes, k)
        Coordinates.

    Returns
    -------
    ndarray of shape (n_rows, n_classes)
        Norms over the last axis.
    """
    return np.sqrt(np.einsum("bck,bck->bc", Z, Z))


def cross_entropy(rows, y, weight, S, gamma):
    r"""Mean cross-entropy of the logits of subspaces, and its Euclidean gradient.

    The logits are :math:`l_c = \gamma |S_c^\top x|`, the gradient

    .. math:: D_c = \sum_i \frac{w_i}{\sum_j w_j} (p_{ic} - [y_i = c])
        \frac{\gamma}{|S_c^\top x_i|} x_i x_i^\top S_c ,

    with the softmax p of the logits. A row that is orthogonal to a subspace adds
    nothing to its gradient.

    Parameters
    ----------
    rows : {ndarray, CSR} of shape (n_rows, n)
        Rows of norm one, or zero.
    y : ndarray of int, of shape (n_rows,)
        Class indices.
    weight : ndarray of shape (n_rows,) or None
        Weights, not all zero.
    S : ndarray of shape (n_classes, n, k)
        Orthonormal bases.
    gamma : float
        Largest logit.

    Returns
    -------
    loss : float
        The weighted mean.
    gradient : ndarray of shape (n_classes, n, k)
        Its derivatives by the entries of S.
    """
    Z = projections(rows, S)
    length = lengths(Z)
    loss, slope = softmax_loss(gamma * length, y, weight)
    slope *= gamma / np.maximum(length, _SHORTEST)
    Z *= slope[:, :, np.newaxis]
    flat = Z.reshape(len(Z), -1)
    gradient = (rows.T @ flat).T if sparse.issparse(rows) else flat.T @ rows
    return loss, gradient.reshape(S.shape[0], S.shape[2], S.shape[1]).mT


def softmax_loss(logits, y, weight):
    """Weighted mean of the cross-entropies of logits, and its derivatives by them.

    Parameters
    ----------
    logits : ndarray of shape (n_rows, n_classes)
        Logits.
    y : ndarray of int, of shape (n_rows,)
        Class indices.
    weight : ndarray of shape (n_rows,) or None
        Weights, not all zero.

    Returns
    -------
    loss : float
        The mean.
    slope : ndarray of shape (n_rows, n_classes)
        The derivatives.
    """
    weight = np.ones(len(y)) if weight is None else weight
    return softmax_cross_entropy(logits, y, weight / weight.sum())
