"""Rows of length one, also where the squares of entries leave the range of numbers."""

import numpy as np
from scipy import sparse
from sklearn.utils.extmath import row_norms


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
