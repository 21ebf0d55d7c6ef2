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
    scale : ndarray of shape (n_features,), default=None
        Multiplies the features; the rows are those of the scaled samples.

    Attributes
    ----------
    n_coordinates : int
        Length of a row.
    radius : float
        Largest norm of a row.
    """

    def __init__(self, X, y_sign, constant=0.0, scale=None):
        self.X, self.y, self.constant = X, np.asarray(y_sign, np.float64), constant
        self.scale = scale
        self.n_coordinates = X.shape[1] + bool(constant)
        self.radius = _radius(X, constant, scale)

    def mean(self):
        """Return the mean row."""
        signs = self.y[:, np.newaxis]
        total = _sum_of_rows(self.X, signs, self.constant, self.scale)
        return total.ravel() / len(self.y)

    def lowest(self, theta, size):
        """Return indices and values of the rows with the least products with theta."""
        column = theta[:, np.newaxis]

        def values(block, scores):
            return self.y[block] * scores[:, 0]

        return _lowest(self.X, column, self.constant, self.scale, values, size)

    def rows(self, indices):
        """Return rows, as a dense float64 array."""
        A = _samples(self.X, indices, self.constant, self.scale)
        return self.y[indices, np.newaxis] * A

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
    scale : ndarray of shape (n_features,), default=None
        Multiplies the features; the rows are those of the scaled samples.

    Attributes
    ----------
    n_coordinates : int
        Length of a row.
    radius : float
        Largest norm of a row.
    """

    def __init__(self, X, y_index, n_classes, constant=0.0, scale=None):
        self.X, self.y, self.constant = X, np.asarray(y_index), constant
        self.n_classes, self.scale = n_classes, scale
        self.n_coordinates = (X.shape[1] + bool(constant)) * n_classes
        self.radius = np.sqrt(2) * _radius(X, constant, scale)

    def mean(self):
        """Return the mean row."""
        signs = np.full((len(self.y), self.n_classes), -1.0)
        signs[np.arange(len(self.y)), self.y] = self.n_classes - 1
        total = _sum_of_rows(self.X, signs, self.constant, self.scale)
        return total.ravel() / (len(self.y) * (self.n_classes - 1))

    def lowest(self, theta, size):
        """Return indices and values of the rows with the least products with theta."""

        def values(block, scores):
            own = np.arange(len(scores)), self.y[block]
            scores = scores[own][:, np.newaxis] - scores
            scores[own] = np.inf
            return scores.ravel()

        W = theta.reshape(-1, self.n_classes)
        return _lowest(self.X, W, self.constant, self.scale, values, size)

    def rows(self, indices):
        """Return rows, as a dense float64 array."""
        sample, rival = np.divmod(indices, self.n_classes)
        A = _samples(self.X, sample, self.constant, self.scale)
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


def _radius(X, constant, scale):
    squares = []
    for block in _blocks(X, 1):
        A = _float64(X, block).astype(np.float64)
        if scale is not None:
            A = A.multiply(scale).tocsr() if issparse(A) else A * scale
        squares.append(row_norms(A, squared=True).max())
    return float(np.sqrt(max(squares) + constant**2))


def powers_of_two(X):
    """Scale of each feature, a power of two, that brings its largest value near 1."""
    largest = np.zeros(X.shape[1])
    for block in _blocks(X, 1):
        A = abs(_float64(X, block)).max(axis=0)
        np.maximum(largest, A.toarray().ravel() if issparse(A) else A, out=largest)
    return np.exp2(-np.round(np.log2(np.where(largest > 0, largest, 1.0))))


def gram_of_samples(X, indices, constant, radius):
    """Sum of the outer products of samples, divided by a radius first."""
    d = X.shape[1] + bool(constant)
    gram = np.zeros((d, d))
    step = max(1, _BLOCK_BYTES // (8 * d))
    for start in range(0, len(indices), step):
        A = _samples(X, indices[start : start + step], constant, None)
        A /= radius  # before squares leave the range of float64
        gram += A.T @ A
    return gram


def _sum_of_rows(X, D, constant, scale):
    total = sum(_float64(X, b).T @ D[b] for b in _blocks(X, D.shape[1]))
    if scale is not None:
        total = total * scale[:, np.newaxis]
    return np.vstack([total, constant * D.sum(axis=0)]) if constant else total


def _samples(X, indices, constant, scale):
    A = X[indices]
    A = (A.toarray() if issparse(A) else np.asarray(A)).astype(np.float64)
    if scale is not None:
        A *= scale
    return np.column_stack([A, np.full(len(A), constant)]) if constant else A


def _lowest(X, W, constant, scale, values, size):
    """Least values over all rows, in increasing order, without keeping the others."""
    W, shift = (W[:-1], constant * W[-1]) if constant else (W, 0.0)
    if scale is not None:
        W = W * scale[:, np.newaxis]
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
