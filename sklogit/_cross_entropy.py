"""Cross-entropy of the softmax of logits."""

import numpy as np


def softmax_cross_entropy(logits, y, weight):
    """Compute the cross-entropy of logits, and its gradient by them.

    Parameters
    ----------
    logits : ndarray of shape (n_rows, n_classes)
        Logits, float32 or float64.
    y : ndarray of int, of shape (n_rows,)
        Class indices.
    weight : ndarray of shape (n_rows,)
        Weights.

    Returns
    -------
    value : float
        Weighted sum over the rows.
    gradient : ndarray of shape (n_rows, n_classes)
        Its gradient, of the dtype of the logits.
    """
    rows = np.arange(len(y))
    gradient = logits - logits.max(axis=1, keepdims=True)
    own = gradient[rows, y]
    np.exp(gradient, out=gradient)
    total = gradient.sum(axis=1)
    value = float((np.log(total) - own).astype(np.float64, copy=False) @ weight)
    gradient /= total[:, np.newaxis]
    gradient[rows, y] -= 1
    gradient *= weight[:, np.newaxis]
    return value, gradient
