"""Logits of subspaces: lengths of the projections of unit rows."""

import numpy as np
from scipy import sparse
from sklearn.utils.extmath import row_norms

# Shortest projection of a unit row by which anything is divided.
_SHORTEST = 1e-12


def unit_rows(X, constant=0.0):
    """Append a constant to each row, and divide the row by its norm.

    Parameters
    ----------
    X : {ndarray, CSR} of shape (n_rows, n_features)
        Rows.
    constant : float, default=0.0
        The constant; 0 appends none.

    Returns
    -------
    {ndarray, CSR} of shape (n_rows, n_features) or (n_rows, n_features + 1)
        Rows of norm one, and of zeros where the row was zero.
    """
    if constant:
        X = _append(X, np.full(X.shape[0], constant, dtype=X.dtype))
    squares = _squares(X)
    if not _within_range(squares):
        # Those of rows whose largest entry is one are.
        X = _divide(X, _largest(X))
        squares = _squares(X)
    return _divide(X, np.sqrt(squares))


def row_lengths(X):
    """Norms of rows, also of those whose squares leave the range of numbers.

    Parameters
    ----------
    X : {ndarray, CSR} of shape (n_rows, n_features)
        Rows.

    Returns
    -------
    ndarray of shape (n_rows,)
        Norms.
    """
    squares = _squares(X)
    if _within_range(squares):
        return np.sqrt(squares)
    largest = _largest(X)
    return largest * np.sqrt(_squares(_divide(X, largest)))


def _within_range(squares):
    info = np.finfo(squares.dtype)
    return (squares >= info.tiny / info.eps).all() and (squares < info.max).all()


def _append(X, column):
    if not sparse.issparse(X):
        return np.column_stack([X, column])
    ends = X.indptr[1:]
    return sparse.csr_matrix(
        (
            np.insert(X.data, ends, column),
            np.insert(X.indices, ends, X.shape[1]),
            X.indptr + np.arange(len(X.indptr), dtype=X.indptr.dtype),
        ),
        shape=(X.shape[0], X.shape[1] + 1),
    )


def _squares(X):
    with np.errstate(over="ignore", under="ignore"):
        return row_norms(X, squared=True)


def _largest(X):
    if not sparse.issparse(X):
        return np.abs(X).max(axis=1)
    return np.abs(X).max(axis=1).toarray().ravel()


def _divide(X, divisors):
    divisors = np.where(divisors > 0, divisors, 1).astype(X.dtype)
    if not sparse.issparse(X):
        return X / divisors[:, np.newaxis]
    data = X.data / np.repeat(divisors, np.diff(X.indptr))
    return type(X)((data, X.indices, X.indptr), shape=X.shape)


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
    logits = logits - logits.max(axis=1, keepdims=True)
    odds = np.exp(logits)
    total = odds.sum(axis=1)
    each = np.arange(len(y))
    losses = np.log(total) - logits[each, y]
    slope = odds / total[:, np.newaxis]
    slope[each, y] -= 1
    if weight is None:
        slope /= len(y)
        return float(losses.mean(dtype=np.float64)), slope
    share = weight / weight.sum()
    slope *= share[:, np.newaxis]
    return float(losses.astype(np.float64) @ share), slope
