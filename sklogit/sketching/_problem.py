"""A penalised least-squares problem."""

from dataclasses import dataclass

import numpy as np


@dataclass
class Problem:
    """Minimise sum_i w_i (y_i - x_i' b - b0)^2 + alpha |b|^2 over rows of a source.

    Attributes
    ----------
    rows : ArrayRows or another source of rows
        The data.
    alpha : float
        Penalty; the intercept has none.
    fit_intercept : bool
        Whether there is an intercept b0.
    tol : float
        Relative size of errors of fitted values at which refinement ends.
    max_iter : int
        Most passes of refinement.
    seed : int
        Key of random numbers.
    sizes : tuple of ndarray or None
        Sizes of the columns of X and y in all rows, where those in a sample mislead.
    """

    rows: object
    alpha: float = 0.0
    fit_intercept: bool = True
    tol: float = 0.0
    max_iter: int = 100
    seed: int = 0
    sizes: tuple | None = None

    @property
    def n_columns(self):
        """Number of coefficients, the intercept included."""
        return self.rows.n_features + self.fit_intercept

    @property
    def accuracy(self):
        """Relative accuracy to reach: that of the data's type, unless tol is larger."""
        return max(self.tol, float(np.finfo(self.rows.dtype).eps) / 2)
