"""Margins of final coefficients in float64, as certificates must be."""

from functools import partial

import numpy as np
from scipy import sparse

from ._rows import scores_of


def verify(problem, coef, intercept):
    """Count training errors and find the geometric margins.

    Parameters
    ----------
    problem : Problem
        Rows, labels and constant feature.
    coef : ndarray of shape (n_outputs, n_features)
        Coefficients as they will be used.
    intercept : ndarray of shape (n_outputs,)
        Intercepts.

    Returns
    -------
    n_errors : int
        Rows that are not strictly on the right side.
    margins : ndarray of shape (n_problems,)
        Least margin of each problem, divided by the norm of its coefficients together
        with that of the constant feature; -inf if that is zero.
    """
    constant = problem.coordinates.constant
    vectors = coef.astype(np.float64)
    if constant:
        shift = intercept.astype(np.float64)[:, np.newaxis] / constant
        vectors = np.hstack([vectors, shift])
    norms = problem.norm(vectors.T)
    function = partial(_verify_block, kind=problem.kind, coef=coef, intercept=intercept)
    if problem.kind == "binary":
        # Largest possible score: float32 errs by a multiple of it.
        reach = norms.max() * problem.radius if problem.coordinates.is_plain else None
        function = partial(_verify_binary_block, coef[0], intercept[0], reach)
    parts = list(problem.rows.map(function, len(coef)))
    least = np.min([margins for _, margins in parts], axis=0)
    margins = np.full(len(norms), -np.inf)
    np.divide(least, norms, out=margins, where=norms > 0)
    return int(sum(n_errors for n_errors, _ in parts)), margins


def _verify_block(X, y, weight, *, kind, coef, intercept):
    scores = np.asarray(X @ coef.T.astype(np.float64) + intercept)
    rows = np.arange(len(y))
    own = scores[rows, y].copy()
    signed = -scores
    signed[rows, y] = own
    scores[rows, y] = -np.inf
    margins = own - scores.max(axis=1)
    least = signed.min(axis=0) if kind == "ovr" else margins.min(keepdims=True)
    return np.count_nonzero(margins <= 0), least


def _verify_binary_block(coef, intercept, reach, X, y, weight):
    margins = (scores_of(X, coef) + intercept) * y
    if margins.dtype == np.float64:
        return np.count_nonzero(margins <= 0), margins.min(keepdims=True)
    # In float32 only rows near the least margin, or near zero, can be in doubt.
    if reach is None:
        reach = (abs(X) @ abs(coef)).max() + abs(intercept)
    doubt = 2 * (X.shape[1] + 1) * np.finfo(margins.dtype).eps * reach
    low = margins.min() + 2 * doubt
    doubtful = np.flatnonzero((margins <= low) | (abs(margins) <= doubt))
    chosen = X[doubtful]
    chosen = chosen.astype(np.float64) if sparse.issparse(X) else np.float64(chosen)
    exact = (chosen @ np.float64(coef) + np.float64(intercept)) * y[doubtful]
    n_errors = np.count_nonzero(margins < -doubt) + np.count_nonzero(
        (exact <= 0) & (margins[doubtful] >= -doubt)
    )
    return n_errors, exact.min(keepdims=True).astype(np.float64)


def is_certain(problem, coef, intercept):
    """Whether all rows are right by more than rounding errors of their scores.

    Parameters
    ----------
    problem : Problem
        Rows and labels, in plain coordinates.
    coef : ndarray of shape (n_outputs, n_features)
        Coefficients, of float64.
    intercept : ndarray of shape (n_outputs,)
        Intercepts.

    Returns
    -------
    bool
        Whether they are.
    """
    function = partial(
        _least_certain, kind=problem.kind, coef=coef, intercept=intercept
    )
    return all(least > 0 for least in problem.rows.map(function, len(coef)))


def _least_certain(X, y, weight, *, kind, coef, intercept):
    """Least of the margins, each less what rounding may have added to it."""
    scores = np.asarray(X @ coef.T + intercept)
    reach = np.asarray(abs(X) @ abs(coef).T + abs(intercept)).max(axis=1)
    rounding = (X.shape[1] + 2) * np.finfo(np.float64).eps * reach
    if kind == "binary":
        return (scores[:, 0] * y - rounding).min()
    rows = np.arange(len(y))
    own = scores[rows, y]
    scores[rows, y] = -np.inf
    return (own - scores.max(axis=1) - 2 * rounding).min()
