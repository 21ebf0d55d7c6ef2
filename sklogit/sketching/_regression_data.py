"""From what users pass to the rows of a regression."""

from collections.abc import Iterable, Iterator
from numbers import Number

import numpy as np
from scipy import sparse
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import (
    _check_sample_weight,
    check_array,
    check_consistent_length,
    validate_data,
)

from ._blocks import ArrayRows
from ._chunks import ChunkRows
from ._dask import DaskRows, is_dask

_DTYPES = [np.float64, np.float32]


def is_chunks(X, y):
    """Whether X is an iterator of chunks, or a function that returns one."""
    return y is None and (callable(X) or isinstance(X, Iterator))


def row_source(estimator, X, y, sample_weight, *, reset=True):
    """Return the rows of a regression; dense data are not yet checked for NaN.

    Finding NaN takes a pass over the data. They show in whatever is summed over the
    rows, and are looked for if that is not finite.

    Parameters
    ----------
    estimator : estimator
        Its names and number of features are set, or checked if not `reset`.
    X : array-like, sparse matrix, dask array or callable
        Features; or a function that returns an iterator of chunks (X, y) or (X, y,
        sample_weight).
    y : array-like of shape (n_samples,) or (n_samples, n_targets), or None
        Targets.
    sample_weight : array-like of shape (n_samples,) or None
        Weights.
    reset : bool, default=True
        Whether this is the first fit.

    Returns
    -------
    rows : ArrayRows, DaskRows or ChunkRows
        The rows.
    is_single : bool
        Whether y has one dimension.

    Raises
    ------
    ValueError
        As `validate_data`; for weights that are negative or all zero.
    """
    n_jobs = getattr(estimator, "n_jobs", None)
    if is_chunks(X, y):
        refuse_weight(sample_weight)
        chunks = Chunks(estimator, reset)
        rows = ChunkRows(lambda: chunks.of(X()), n_jobs)
        return rows, chunks.is_single
    if isinstance(X, Iterator):
        raise ValueError("y must be None when X yields chunks: let each be (X, y).")
    if is_dask(X):
        X, y, weight = _validate_dask(estimator, X, y, sample_weight, reset)
        rows = DaskRows(X, y if y.ndim == 2 else y[:, np.newaxis], weight)
        return rows, y.ndim == 1
    X, y = validate_data(
        estimator,
        X,
        y,
        accept_sparse="csr",
        dtype=_DTYPES,
        ensure_all_finite=False,
        y_numeric=True,
        multi_output=True,
        reset=reset,
    )
    return _array_rows(X, y, sample_weight, n_jobs), y.ndim == 1


def _array_rows(X, y, sample_weight, n_jobs, allow_all_zero_weights=False):
    if sparse.issparse(X):
        assert_all_finite(X, input_name="X")
    if sparse.issparse(y):
        raise TypeError("y is sparse, and must be dense: use y.toarray().")
    if y.dtype.kind not in "fiub":
        y = y.astype(np.float64)
    weight = sample_weight
    if weight is not None:
        if not isinstance(weight, Number):
            weight = np.asarray(weight)
        weight = _check_sample_weight(
            weight,
            X,
            dtype=np.float64,
            ensure_non_negative=True,
            allow_all_zero_weights=allow_all_zero_weights,
        )
    return ArrayRows(X, y.reshape(len(y), -1), weight, n_jobs)


class Chunks:
    """Chunks of one regression, validated as they come.

    Parameters
    ----------
    estimator : estimator
        Its names and number of features are set by the first chunk if `reset`; all
        other chunks are checked against them.
    reset : bool
        Whether the first chunk belongs to a new fit.

    Attributes
    ----------
    is_single : bool or None
        Whether y has one dimension; None before the first chunk.
    n_rows : int
        Rows seen so far, in all calls.
    """

    def __init__(self, estimator, reset=True):
        self.estimator, self.reset = estimator, reset
        self.is_single, self.n_targets, self.n_rows = None, None, 0

    def of(self, chunks):
        """Yield (X, y, weight) for each chunk, with 2-D y."""
        if not isinstance(chunks, Iterable):
            raise ValueError(
                "X must return an iterator of chunks (X, y) or (X, y, sample_weight), "
                f"got {type(chunks).__name__}."
            )
        for number, chunk in enumerate(chunks):
            yield self.validated(chunk, f"chunk {number}")

    def validated(self, chunk, name):
        """Return a chunk as (X, y, weight)."""
        if not isinstance(chunk, tuple | list) or len(chunk) not in (2, 3):
            raise ValueError(
                f"Each chunk must be (X, y) or (X, y, sample_weight); {name} is "
                f"{type(chunk).__name__}."
            )
        X, y = validate_data(
            self.estimator,
            *chunk[:2],
            accept_sparse="csr",
            dtype=_DTYPES,
            y_numeric=True,
            multi_output=True,
            reset=self.reset,
        )
        weight = chunk[2] if len(chunk) == 3 else None
        rows = _array_rows(X, y, weight, None, allow_all_zero_weights=True)
        if self.is_single is None:
            self.is_single, self.n_targets = y.ndim == 1, rows.n_targets
        elif rows.n_targets != self.n_targets:
            raise ValueError(
                f"y has {rows.n_targets} targets in {name}, {self.n_targets} before."
            )
        self.reset = False
        self.n_rows += rows.n_rows
        return rows.X, rows.y, rows.weight


def refuse_weight(sample_weight):
    """Raise ValueError if there are weights beside chunks."""
    if sample_weight is not None:
        raise ValueError(
            "sample_weight must be None when X yields chunks: let each be "
            "(X, y, sample_weight)."
        )


def _validate_dask(estimator, X, y, weight, reset):
    """Check shape and type now; values are checked when sums are not finite."""
    X = X.to_dask_array(lengths=True) if hasattr(X, "to_dask_array") else X
    if X.ndim != 2:
        raise ValueError(f"Expected 2D array, got {X.ndim}D array of shape {X.shape}.")
    if np.isnan(X.shape[0]):
        raise ValueError("X has blocks of unknown size: call X.compute_chunk_sizes().")
    if 0 in X.shape:
        raise ValueError(f"Found array with no samples or no features: {X.shape}.")
    if y is None:
        raise ValueError("y must not be None when X is a Dask array.")
    if X.dtype not in _DTYPES:
        X = X.astype(np.float64)
    y = _dask_or_array(y, "y")
    if y.ndim not in (1, 2):
        raise ValueError(f"y must have one or two dimensions, got shape {y.shape}.")
    check_consistent_length(X, y)
    if reset:
        estimator.__dict__.pop("feature_names_in_", None)
        estimator.n_features_in_ = X.shape[1]
    elif X.shape[1] != estimator.n_features_in_:
        raise ValueError(
            f"X has {X.shape[1]} features, but {type(estimator).__name__} is expecting "
            f"{estimator.n_features_in_} features as input."
        )
    if weight is not None:
        weight = _dask_or_array(weight, "sample_weight")
        if weight.shape != (X.shape[0],):
            raise ValueError(
                f"sample_weight has shape {weight.shape}, expected {(X.shape[0],)}."
            )
        least, total = weight.min(), weight.sum()
        if not float(least) >= 0 or not 0 < float(total) < np.inf:
            raise ValueError(
                "sample_weight must be finite, not negative and not all zero; found a "
                f"minimum of {float(least)} and a sum of {float(total)}."
            )
    return X, y, weight


def _dask_or_array(array, name):
    if is_dask(array):
        if hasattr(array, "to_dask_array"):
            array = array.to_dask_array(lengths=True)
        return array if array.dtype.kind == "f" else array.astype(np.float64)
    return check_array(array, ensure_2d=False, dtype=_DTYPES, input_name=name)
