"""Coordinates of logits in the subspace, of rows with missing entries too."""

import numpy as np
from scipy import sparse


def coordinates(auditor, X):
    """Project centred rows.

    Parameters
    ----------
    auditor : LogitLeakageAuditor
        A fitted one.
    X : ndarray or CSR array of shape (n_queries, n_outputs)
        Logits; NaN and what is not stored is missing.

    Returns
    -------
    coords : ndarray of shape (n_queries, rank)
        Coordinates.
    left, energy : ndarray of shape (n_queries,)
        Squared norms of what is outside of the subspace, and of all, of the entries
        that are observed.
    """
    if not sparse.issparse(X) and auditor._seen.all() and not np.isnan(X).any():
        return _of_full_rows(auditor, X)
    coords = np.empty((X.shape[0], len(auditor.components_)))
    left, energy = np.zeros(X.shape[0]), np.zeros(X.shape[0])
    for i in range(X.shape[0]):
        columns, values = _entries(X, i, auditor._seen)
        coords[i], left[i], energy[i] = _of_entries(auditor, columns, values)
    return coords.astype(X.dtype), left, energy


def _of_full_rows(auditor, X):
    rows = X - auditor.mean_.astype(X.dtype)
    if auditor._centers_rows:
        rows -= rows.mean(axis=1, keepdims=True)
    coords = rows @ auditor.components_.T.astype(X.dtype)
    energy = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
    inside = np.einsum("ij,ij->i", coords, coords, dtype=np.float64)
    return coords, np.maximum(energy - inside, 0.0), energy


def _of_entries(auditor, columns, values):
    """Least squares on the entries of one row; its constant is free if centred."""
    target = values - auditor.mean_[columns]
    design = auditor.components_[:, columns].T.astype(np.float64)
    if auditor._centers_rows:
        design = np.column_stack([design, np.ones(len(columns))])
        energy = float(np.sum((target - target.mean()) ** 2)) if len(target) else 0.0
    else:
        energy = float(target @ target)
    solution = np.linalg.lstsq(design, target, rcond=None)[0]
    left = target - design @ solution
    return solution[: len(auditor.components_)], float(left @ left), energy


def _entries(X, i, seen):
    if sparse.issparse(X):
        part = slice(X.indptr[i], X.indptr[i + 1])
        columns, values = X.indices[part], X.data[part]
    else:
        columns = np.flatnonzero(~np.isnan(X[i]))
        values = X[i, columns]
    keep = seen[columns]
    return columns[keep], values[keep].astype(np.float64)
