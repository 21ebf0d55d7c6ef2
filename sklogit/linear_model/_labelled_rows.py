"""From what users pass to the rows that are separated."""

from numbers import Number

import numpy as np
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_array,
    check_consistent_length,
    column_or_1d,
    validate_data,
)

from ._rows import DaskRows, Rows


def is_dask_array(X):
    """Whether X is a Dask array; does not import Dask."""
    return type(X).__module__.startswith("dask.array")


def labelled_rows(estimator, X, y, sample_weight, *, classes=None, reset=True):
    """Validate data, before anything is computed.

    Parameters
    ----------
    estimator : estimator
        Its names and number of features are set, or checked if not `reset`.
    X : array-like, sparse matrix or dask array of shape (n_samples, n_features)
        Data.
    y : array-like of shape (n_samples,)
        Labels.
    sample_weight : array-like of shape (n_samples,) or None
        Weights.
    classes : ndarray, default=None
        Labels to expect; default those in y.
    reset : bool, default=True
        Whether this is the first fit.

    Returns
    -------
    rows : Rows or DaskRows
        The rows, with labels as they are.
    classes : ndarray
        The labels, sorted.
    X, y : array
        As validated.

    Raises
    ------
    ValueError
        As `validate_data`, and if y has one class only or labels not in `classes`.
    """
    if is_dask_array(X):
        X, y = _validate_dask(estimator, X, y, reset)
    else:
        X, y = validate_data(
            estimator,
            X,
            y,
            accept_sparse="csr",
            dtype=[np.float64, np.float32],
            reset=reset,
        )
    found = _labels(y)
    if classes is None:
        classes = found
        check_number_of_classes(estimator, classes)
    elif not np.isin(found, classes).all():
        raise ValueError(f"y has labels {found} that are not all in classes {classes}.")
    weight = None
    if sample_weight is not None:
        if not isinstance(sample_weight, Number):
            sample_weight = np.asarray(sample_weight)  # of Dask, perhaps
        weight = _check_sample_weight(
            sample_weight, y, dtype=X.dtype, ensure_non_negative=True
        )
    rows = DaskRows if is_dask_array(X) else Rows
    return rows(X, y, weight), classes, X, y


def check_number_of_classes(estimator, classes):
    """Raise ValueError if there is only one class."""
    if len(classes) < 2:
        raise ValueError(
            f"{type(estimator).__name__} needs samples of at least 2 classes, but the "
            f"data contains only one class: {classes[0]!r}."
        )


def _labels(y):
    """Check that y has labels, and return them sorted."""
    if y.dtype.kind in "bi":
        least, largest = int(y.min()), int(y.max())
        if largest - least < len(y) // 2:
            # Counting is several times as fast as sorting or hashing.
            counts = np.bincount(y.astype(np.intp) - least)
            return (np.flatnonzero(counts) + least).astype(y.dtype)
    check_classification_targets(y)
    return np.unique(y)


def _validate_dask(estimator, X, y, reset):
    """Check shape and type now; values are checked block by block."""
    if X.ndim != 2:
        raise ValueError(f"Expected 2D array, got {X.ndim}D array of shape {X.shape}.")
    if np.isnan(X.shape[0]):
        raise ValueError("X has blocks of unknown size: call X.compute_chunk_sizes().")
    if 0 in X.shape:
        raise ValueError(f"Found array with no samples or no features: {X.shape}.")
    if X.dtype not in (np.float32, np.float64):
        X = X.astype(np.float64)
    y = column_or_1d(np.asarray(y), warn=True)
    check_consistent_length(X, y)
    if reset:
        estimator.__dict__.pop("feature_names_in_", None)
        estimator.n_features_in_ = X.shape[1]
    elif X.shape[1] != estimator.n_features_in_:
        raise ValueError(
            f"X has {X.shape[1]} features, but {type(estimator).__name__} is expecting "
            f"{estimator.n_features_in_} features as input."
        )
    for _ in DaskRows(X, y).map(_check_block):
        pass
    return X, y


def _check_block(X, y, weight):
    check_array(X, accept_sparse="csr", input_name="X")


def encode(rows, classes, multi_class):
    """Replace labels by signs (binary) or class indices; return the kind of margin."""
    if len(classes) == 2:
        signs = np.where(rows.y == classes[1], 1.0, -1.0).astype(rows.X.dtype)
        return rows.labelled(signs), "binary"
    return rows.labelled(np.searchsorted(classes, rows.y)), multi_class
