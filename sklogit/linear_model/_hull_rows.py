"""Signed rows of labelled data, whose convex hull decides on separability."""

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.extmath import row_norms

# A block of rows in float64 stays in the cache; scores of sparse rows are dense.
_BLOCK_BYTES = 2 << 20
_BLOCK_SCORES = 1 << 22


class BinaryRows:
    r"""Rows :math:`b_i = y_i (a_i, c)`.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_samples, n_features)
        Samples :math:`a_i`; any float, all sums are float64.
    y_sign : ndarray of shape (n_samples,)
        Signs +1 and -1.
    constant : float
        The constant feature c; none if 0.

    Attributes
    ----------
    n_coordinates : int
        Length of a row.
    radius : float
        Largest norm of a row.
    """

    def __init__(self, X, y_sign, constant=0.0):
        self.X, self.y, self.constant = X, np.asarray(y_sign, np.float64), constant
        self.n_coordinates = X.shape[1] + bool(constant)
        self.radius = _radius(X, constant)

    def mean(self):
        """Return the mean row."""
        total = _sum_of_rows(self.X, self.y[:, np.newaxis], self.constant)
        return total.ravel() / len(self.y)

    def lowest(self, theta, size):
        """Return indices and values of the rows with the least products with theta."""
        column = theta[:, np.newaxis]

        def values(block, scores):
            return self.y[block] * scores[:, 0]

        return _lowest(self.X, column, self.constant, values, size)

    def rows(self, indices):
        """Return rows, as a dense float64 array."""
        return self.y[indices, np.newaxis] * _samples(self.X, indices, self.constant)

    def samples(self, indices):
        """Return the samples that rows belong to."""
        return indices


class MulticlassRows:
    r"""Rows :math:`(a_i, c) \otimes (e_{y_i} - e_j)` of all classes j but the own.

    Row ``i * n_classes + j`` compares sample i with class j. As coefficients, a row is
    an array of shape (n_features, n_classes), flattened; only rows asked for are ever
    formed.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_samples, n_features)
        Samples :math:`a_i`; any float, all sums are float64.
    y_index : ndarray of shape (n_samples,)
        Indices of the classes.
    n_classes : int
        Number of classes.
    constant : float
        The constant feature c; none if 0.

    Attributes
    ----------
    n_coordinates : int
        Length of a row.
    radius : float
        Largest norm of a row.
    """

    def __init__(self, X, y_index, n_classes, constant=0.0):
        self.X, self.y, self.constant = X, np.asarray(y_index), constant
        self.n_classes = n_classes
        self.n_coordinates = (X.shape[1] + bool(constant)) * n_classes
        self.radius = np.sqrt(2) * _radius(X, constant)

    def mean(self):
        """Return the mean row."""
        signs = np.full((len(self.y), self.n_classes), -1.0)
        signs[np.arange(len(self.y)), self.y] = self.n_classes - 1
        total = _sum_of_rows(self.X, signs, self.constant)
        return total.ravel() / (len(self.y) * (self.n_classes - 1))

    def lowest(self, theta, size):
        """Return indices and values of the rows with the least products with theta."""

        def values(block, scores):
            own = np.arange(len(scores)), self.y[block]
            scores = scores[own][:, np.newaxis] - scores
            scores[own] = np.inf
            return scores.ravel()

        W = theta.reshape(-1, self.n_classes)
        return _lowest(self.X, W, self.constant, values, size)

    def rows(self, indices):
        """Return rows, as a dense float64 array."""
        sample, rival = np.divmod(indices, self.n_classes)
        A = _samples(self.X, sample, self.constant)
        rows, each = np.zeros((*A.shape, self.n_classes)), np.arange(len(A))
        rows[each, :, self.y[sample]] = A
        rows[each, :, rival] = -A
        return rows.reshape(len(A), self.n_coordinates)

    def samples(self, indices):
        """Return the samples that rows belong to."""
        return indices // self.n_classes


def _blocks(X, n_outputs):
    if issparse(X):
        step = max(1, _BLOCK_SCORES // n_outputs)
    else:
        step = max(1, _BLOCK_BYTES // (8 * max(X.shape[1], n_outputs)))
    return [slice(i, min(i + step, X.shape[0])) for i in range(0, X.shape[0], step)]


def _float64(X, block):
    if issparse(X):
        return X if block.stop - block.start == X.shape[0] else X[block]
    return np.asarray(X[block], dtype=np.float64)


def _radius(X, constant):
    squares = [
        row_norms(_float64(X, block).astype(np.float64), squared=True).max()
        for block in _blocks(X, 1)
    ]
    return float(np.sqrt(max(squares) + constant**2))


def _sum_of_rows(X, D, constant):
    total = sum(_float64(X, b).T @ D[b] for b in _blocks(X, D.shape[1]))
    return np.vstack([total, constant * D.sum(axis=0)]) if constant else total


def _samples(X, indices, constant):
    A = X[indices]
    A = (A.toarray() if issparse(A) else np.asarray(A)).astype(np.float64)
    return np.column_stack([A, np.full(len(A), constant)]) if constant else A


def _lowest(X, W, constant, values, size):
    """Least values over all rows, in increasing order, without keeping the others."""
    W, shift = (W[:-1], constant * W[-1]) if constant else (W, 0.0)
    indices, found, start = [], [], 0
    for block in _blocks(X, W.shape[1]):
        new = values(block, np.asarray(_float64(X, block) @ W) + shift)
        chosen = _smallest(new, size)
        indices.append(start + chosen)
        found.append(new[chosen])
        start += len(new)
    indices, found = np.concatenate(indices), np.concatenate(found)
    chosen = _smallest(found, size)
    chosen = chosen[np.argsort(found[chosen], kind="stable")]
    chosen = chosen[np.isfinite(found[chosen])]
    return indices[chosen], found[chosen]


def _smallest(values, size):
    if size >= len(values):
        return np.arange(len(values))
    return np.argpartition(values, size)[:size]
