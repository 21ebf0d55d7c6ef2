"""Labels of rows, or of the positions of sequences, as a student is trained on them."""

from dataclasses import dataclass

import numpy as np
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, column_or_1d

from ..neural._net import class_indices

IGNORED = -100


@dataclass
class Labels:
    """Class indices and weights.

    Attributes
    ----------
    y : ndarray of shape (n,) or (n, n_positions)
        The labels.
    classes : ndarray of shape (n_classes,)
        Different labels.
    indices : ndarray of the shape of y
        Class indices, 0 where a position is ignored.
    weight : ndarray of the shape of y, or None
        Weights, 0 where a position is ignored.
    """

    y: np.ndarray
    classes: np.ndarray
    indices: np.ndarray
    weight: np.ndarray | None

    @property
    def is_sequence(self):
        """Whether each position has a label."""
        return self.y.ndim == 2


def checked_labels(y, X, classes, sample_weight, dtype):
    """Check labels and weights.

    Parameters
    ----------
    y : ndarray of shape (n,) or (n, n_positions)
        Labels; of sequences integers, -100 where a position does not count.
    X : ndarray of shape (n, ...)
        Data.
    classes : array-like of shape (n_classes,) or None
        All labels; None takes those of y.
    sample_weight : array-like of shape (n,) or None
        Weights of the rows.
    dtype : dtype
        Of the weights.

    Returns
    -------
    Labels
        The labels.

    Raises
    ------
    ValueError
        If they are no labels, or of less than two classes, classes are repeated, or a
        weight is negative.
    """
    if y.ndim == 2 and y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    if y.ndim == 1:
        check_classification_targets(y)
        counts = np.ones(y.shape, dtype=bool)
    else:
        _check_positions(y, X)
        counts = y != IGNORED
    if classes is None:
        classes = np.unique(y[counts])
    classes = np.asarray(classes)
    if classes.ndim != 1 or len(np.unique(classes)) < len(classes):
        raise ValueError(
            f"classes must be different labels, of shape (n_classes,), got {classes}."
        )
    if not counts.any():
        raise ValueError(f"y has no label other than {IGNORED}, which does not count.")
    if len(classes) < 2:
        raise ValueError(f"y needs at least 2 classes, got only one class: {classes}.")
    indices = np.zeros(y.shape, dtype=np.int64)
    indices[counts] = class_indices(y[counts], classes)
    weight = None
    if sample_weight is not None:
        weight = _check_sample_weight(
            sample_weight, X, dtype=dtype, ensure_non_negative=True
        )
        weight = weight.reshape(-1, *[1] * (y.ndim - 1)) * counts
    elif not counts.all():
        weight = counts.astype(dtype)
    return Labels(y, classes, indices, weight)


def _check_positions(y, X):
    if y.ndim != 2 or y.dtype.kind not in "iu":
        raise ValueError(
            "y must be labels of shape (n_samples,), or integers of shape (n_samples, "
            f"n_positions) for sequences, got {y.dtype} of shape {y.shape}: multilabel "
            "targets are not supported."
        )
    if X.ndim < 2 or X.shape[1] != y.shape[1]:
        raise ValueError(
            f"X must have as many positions as y, {y.shape[1]}, got shape {X.shape}."
        )
