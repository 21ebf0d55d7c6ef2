"""Iterations in the span of the rows, for data with many more features than rows."""

import numpy as np

from ._rows import Rows
from ._weighing import make_evaluation, weigh

# The products of all pairs of rows cost about as much as this part of n_rows sweeps.
_PART_OF_ROWS = 1 / 8


class GramProblem:
    """Evaluate iterates by their coefficients in a span, through its Gram matrix.

    The span is that of some vectors of the iteration (the iterate, its start, its
    momentum) and of all rows; a sweep then costs n_rows^2 instead of
    n_rows * n_features operations.

    Parameters
    ----------
    problem : Problem
        The problem in its own coordinates.
    vectors : list of ndarray of shape (n_coordinates, n_active_outputs)
        Vectors that have to be expressed.
    """

    def __init__(self, problem, vectors):
        self.problem, self.vectors = problem, vectors
        coordinates, X = problem.coordinates, problem.rows.X
        rows = coordinates.transform(np.asarray(X)).astype(np.float64)
        if coordinates.constant:
            rows = np.hstack([rows, np.full((len(X), 1), coordinates.constant)])
        self.basis = np.vstack([v.T for v in vectors] + [rows])
        self.n_vectors = len(self.basis) - len(rows)
        self.matrix = self.basis @ self.basis.T

    @staticmethod
    def pays(problem, n_iter):
        """Whether it is time to change: as many sweeps are done as the change costs."""
        rows = problem.rows
        n, d = rows.X.shape
        in_memory = isinstance(rows, Rows) and rows.is_dense_in_memory
        return in_memory and 2 * n < d and n_iter >= max(8, _PART_OF_ROWS * n)

    def from_theta(self, theta):
        """Coefficients of one of the vectors."""
        (position,) = [i for i, v in enumerate(self.vectors) if v is theta]
        k = theta.shape[1]
        coefficients = np.zeros((len(self.basis), k))
        coefficients[position * k : (position + 1) * k] = np.eye(k)
        return coefficients

    def to_theta(self, coefficients):
        """Vector of given coefficients."""
        return self.basis.T @ coefficients

    def evaluate(self, coefficients, weighting, active):
        """Evaluate an iterate, as `Problem.evaluate` does."""
        problem, rows = self.problem, self.problem.rows
        products = self.matrix[self.n_vectors :] @ coefficients
        scores = products.ravel() if problem.kind == "binary" else products
        D, sums = weigh(problem.kind, weighting, scores, rows.y, rows.weight, active)
        direction = np.zeros_like(coefficients)
        direction[self.n_vectors :] = D.reshape(len(D), -1)
        return make_evaluation(direction, sums, problem.total_weight)

    def norm(self, coefficients):
        """Norm of every problem's vector."""
        squares = (coefficients * (self.matrix @ coefficients)).sum(axis=0)
        if self.problem.kind != "ovr":
            squares = squares.sum(keepdims=True)
        return np.sqrt(np.maximum(squares, 0.0))

    def plain_norm(self, coefficients):
        """Norm of every problem's vector for rows as they are."""
        if self.problem.coordinates.is_plain:
            return self.norm(coefficients)
        return self.problem.plain_norm(self.to_theta(coefficients))
