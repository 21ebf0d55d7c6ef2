"""What all solvers of least squares return."""

from dataclasses import dataclass

import numpy as np


@dataclass
class Solution:
    """Solution of a least-squares problem, and how far it may be from the exact one.

    Attributes
    ----------
    coef : ndarray of shape (n_features, n_targets)
        Coefficients.
    intercept : ndarray of shape (n_targets,)
        Intercepts, zero without one.
    residual_norm : ndarray of shape (n_targets,)
        Norms of the weighted residuals (of a one-pass solution: estimates).
    rank : int
        Rank of the centred columns of X.
    solver : str
        Which solver it was.
    n_iter : int
        Passes over the data.
    root : ndarray of shape (1 + n_features, 1 + rank)
        P, with P P' the inverse of the weighted moments of [1, X].
    error : ndarray of shape (n_targets,)
        The error of coefficient j is at most this times the norm of row j of P.
    null_error : ndarray of shape (n_features, n_targets) or float
        What the error of coefficients may be beyond that, in directions that the data
        leave open and the solution of minimum norm does not have.
    sketch_size : int or None
        Rows of the sketch, if there was one.
    degrees_of_freedom : int or None
        Of the residual of a sketched problem; None if the error is not statistical.
    root_is_sketched : bool
        Whether P comes from sketched moments.
    converged : bool
        Whether an iteration reached its tolerance.
    """

    coef: np.ndarray
    intercept: np.ndarray
    residual_norm: np.ndarray
    rank: int
    solver: str
    n_iter: int
    root: np.ndarray
    error: np.ndarray
    null_error: np.ndarray | float = 0.0
    sketch_size: int | None = None
    degrees_of_freedom: int | None = None
    root_is_sketched: bool = False
    converged: bool = True
