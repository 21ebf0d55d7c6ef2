"""Subspaces to start from: the principal ones of each class, or random ones."""

import warnings

import numpy as np
from scipy import sparse
from scipy.linalg import eigh
from scipy.sparse.linalg import svds

from .._unit_rows import unit_rows
from ._geometry import orthonormality_error, orthonormalize
from ._threads import threads_for

# Gram matrices up to this order are decomposed; beyond it iterations are cheaper.
_LARGEST_GRAM = 1000
# Rows of a class are read so many numbers at a time.
_BLOCK_ENTRIES = 1 << 22
# Squared singular values below this part of the largest are rounding errors.
_RANK_TOL = 1e-14
# Smallest singular value of independent columns of length one.
_DEPENDENT = 1e-6
# Bases in single precision, or of many steps without correction, are below this.
_LARGEST_ERROR = 1e-3


def random_subspaces(n_classes, n, k, random_state):
    """Draw subspaces from the uniform distribution.

    Parameters
    ----------
    n_classes, n, k : int
        Number of subspaces, of their coordinates, and their dimension.
    random_state : RandomState
        Source of random numbers.

    Returns
    -------
    ndarray of shape (n_classes, n, k)
        Orthonormal bases, float64.
    """
    return orthonormalize(random_state.standard_normal((n_classes, n, k)))


def given_array(init):
    """Make an array of the bases that the user gives.

    Parameters
    ----------
    init : array-like
        Bases.

    Returns
    -------
    ndarray
        The array, of any shape, float64.

    Raises
    ------
    ValueError
        If it is no array of real numbers.
    """
    try:
        S = np.asarray(init)
        if S.dtype.kind in "biuf":
            return S.astype(np.float64)
        found = f"the dtype {S.dtype}"
    except ValueError:  # of ragged lists
        found = "lists of unequal lengths"
    raise ValueError(f"init must be an array of real numbers, got {found}.")


def given_subspaces(init, shape):
    """Check bases that the user gives.

    Parameters
    ----------
    init : array-like of shape (n_classes, n, k)
        Bases.
    shape : tuple of int
        What their shape must be.

    Returns
    -------
    ndarray of shape (n_classes, n, k)
        Orthonormal bases of the same subspaces, float64. If some were not orthonormal,
        to three digits, there is a warning.

    Raises
    ------
    ValueError
        If they are no real numbers, have another shape, are not finite, or have columns
        that depend on each other.
    """
    S = given_array(init)
    if S.shape != shape:
        raise ValueError(
            f"init must have the shape {shape} (n_classes, n_features, n_components), "
            f"the intercept counted as a feature; got {S.shape}."
        )
    if not np.isfinite(S).all():
        raise ValueError("init must not have NaN or infinite entries.")
    sizes = np.linalg.norm(S, axis=1, keepdims=True)
    scaled = S / np.where(sizes > 0, sizes, 1)
    smallest = np.linalg.svd(scaled, compute_uv=False)[:, -1]
    if (smallest < _DEPENDENT).any():
        raise ValueError(
            f"init must have independent columns, those of class number "
            f"{smallest.argmin()} are not."
        )
    if orthonormality_error(S) > _LARGEST_ERROR:
        warnings.warn(
            "init is not orthonormal: the bases of the same subspaces are used.",
            UserWarning,
            stacklevel=8,
        )
    return orthonormalize(S)


def principal_subspaces(X, y, weight, n_classes, k, constant, random_state):
    """Subspaces that hold most of the length of the unit rows of each class.

    They are spanned by the first right singular vectors of the unit rows, not centred,
    each multiplied by the root of its weight. Classification by the longest projection
    on them is CLAFIC.

    Parameters
    ----------
    X : {ndarray, CSR} of shape (n_rows, n_features)
        Rows.
    y : ndarray of int, of shape (n_rows,)
        Class indices.
    weight : ndarray of shape (n_rows,) or None
        Weights.
    n_classes, k : int
        Number of subspaces, and their dimension.
    constant : float
        Appended to each row before its norm is taken; 0 appends none.
    random_state : RandomState
        Source of the directions that the rows of a class do not give, because it has
        fewer than k independent ones.

    Returns
    -------
    ndarray of shape (n_classes, n, k)
        Orthonormal bases, float64. In each column the largest entry is positive.
    """
    bases = []
    for c in range(n_classes):
        chosen = np.flatnonzero(y == c)
        share = None if weight is None else np.sqrt(weight[chosen], dtype=np.float64)
        with threads_for(len(chosen) * X.shape[1] * min(len(chosen), X.shape[1])):
            basis = _principal(X, chosen, share, k, constant, random_state)
        bases.append(_completed(basis, k, random_state))
    return np.ascontiguousarray(np.stack(bases).mT).mT


def _principal(X, chosen, share, k, constant, random_state):
    """At most k first right singular vectors of some of the rows."""
    m, n = len(chosen), X.shape[1] + bool(constant)
    if m == 0:
        return np.zeros((n, 0))
    if n <= min(m, _LARGEST_GRAM):
        step = max(1, _BLOCK_ENTRIES // n)
        gram = np.zeros((n, n))
        for start in range(0, m, step):
            part = slice(start, start + step)
            rows = _scaled_rows(X, chosen[part], share, part, constant)
            product = rows.T @ rows
            gram += product.toarray() if sparse.issparse(product) else product
        return _leading(gram, k)[1]
    rows = _scaled_rows(X, chosen, share, slice(None), constant)
    if m > _LARGEST_GRAM and k < min(m, n):
        v0 = random_state.standard_normal(min(m, n))
        _, s, Vt = svds(rows, k, v0=v0)
        return _signed(Vt[::-1].T[:, s[::-1] ** 2 > _RANK_TOL * s.max() ** 2])
    gram = rows @ rows.T
    squares, U = _leading(gram.toarray() if sparse.issparse(gram) else gram, k)
    return _signed(orthonormalize(np.asarray(rows.T @ U) / np.sqrt(squares)))


def _scaled_rows(X, chosen, share, part, constant):
    rows = unit_rows(X[chosen].astype(np.float64), constant)
    if share is None:
        return rows
    if sparse.issparse(rows):
        return sparse.diags_array(share[part]) @ rows
    return rows * share[part, np.newaxis]


def _leading(gram, k):
    """At most k largest eigenvalues that are not rounding errors, and vectors."""
    n = len(gram)
    values, vectors = eigh(gram, subset_by_index=[max(0, n - k), n - 1])
    values, vectors = values[::-1], vectors[:, ::-1]
    kept = values > max(_RANK_TOL * n * values[0], 0.0)
    return values[kept], _signed(vectors[:, kept])


def _signed(basis):
    """Make the largest entry of each column positive; solvers choose signs freely."""
    largest = np.take_along_axis(basis, np.abs(basis).argmax(axis=0)[np.newaxis], 0)
    return basis * np.where(largest < 0, -1.0, 1.0)


def _completed(basis, k, random_state):
    """Add random orthonormal columns until there are k."""
    n, found = basis.shape
    if found == k:
        return basis
    extra = random_state.standard_normal((n, k - found))
    for _ in range(2):  # once leaves rounding errors
        extra = orthonormalize(extra - basis @ (basis.T @ extra))
    return np.column_stack([basis, extra])
