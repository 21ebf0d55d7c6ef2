r"""Quick search for a separating vector, by least squares on what margins lack to one.

The loss :math:`\frac12 \sum_i r_i^2` with the residuals
:math:`r_i = \max(0, 1 - \langle b_i, \theta\rangle)` of the signed rows :math:`b_i`
comes to zero exactly if something separates them. To minimise it along a line takes the
products of the rows with the direction only, and no exponentials; its Hessian is the
Gram matrix of the rows that still lack something, which become few. The residuals are
weights too, so that every gradient bounds the largest margin (see `_separation`):

.. math:: \mu \le \Bigl\| \sum_i r_i b_i \Bigr\| \Big/ \sum_i r_i .
"""

from itertools import islice

import numpy as np
from scipy import sparse
from scipy.linalg.lapack import dposv

from ._hull_rows import gram_of_samples
from ._rows import Rows, scores_of, sum_of_rows

# Most steps of conjugate gradients, of two passes each, and of Newton's method.
_GRADIENT_STEPS, _NEWTON_STEPS = 25, 30
# A Hessian costs about one step of conjugate gradients for so many coordinates. First
# come as many of these steps as that; beyond the other size there is no Hessian.
_COORDINATES_A_STEP = 50
_MOST_NEWTON_COORDINATES = 500
# Where no margin is larger than this part of the radius, the exact method decides.
_NO_MARGIN = 1e-10
# Keeps a Hessian with a diagonal of ones positive definite.
_RIDGE = 1e-10
_LINE_STEPS, _LINE_TOL = 8, 0.01
# So many scores may be kept even where the data are fewer numbers.
_FEW_SCORES = 1 << 20


def fits_in_memory(problem):
    """Whether the products of all rows, which the search keeps, are at hand cheaply.

    Not for data that are read from a file or live elsewhere: two passes a step are too
    many there, and where classes are many the products may outgrow the data.
    """
    rows = problem.rows
    if not isinstance(rows, Rows):
        return False
    in_memory = sparse.issparse(rows.X) or rows.is_dense_in_memory
    n_scores = rows.n_rows * problem.n_outputs
    return in_memory and n_scores <= max(rows.X.size, _FEW_SCORES)


class SquaredHinge:
    """Minimise the loss until the rows are separated.

    Parameters
    ----------
    problem : Problem
        Rows in memory without weights, plain coordinates, and the kind "binary" or
        "multinomial".

    Attributes
    ----------
    theta : ndarray of shape (n_coordinates, n_outputs)
        Last iterate, for rows divided by the largest norm of one.
    upper : float
        No vector has a larger margin.
    n_passes : int
        Passes over the data.
    """

    def __init__(self, problem):
        self.problem = problem
        n, k = problem.rows.n_rows, problem.n_outputs
        self.theta = np.zeros((problem.n_coordinates, k))
        self.upper, self.n_passes = np.inf, 0
        self.residuals = np.ones(n if k == 1 else (n, k))
        if problem.kind == "binary":
            self.signs = problem.rows.y / problem.radius
        else:
            self.own = np.arange(n), problem.rows.y
            self.residuals[self.own] = 0.0
        eps = np.finfo(problem.dtype).eps
        # Errors of sums of n terms grow like the root of n.
        self.rounding = 8 * eps * np.sqrt(problem.n_coordinates)
        self.rounding_of_bound = eps * np.sqrt(n)

    def minimise(self, max_iter):
        """Step until the rows are separated, as far as that can be seen from scores."""
        # What leaves the range of float32 ends the search, and is no error.
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            for direction in islice(self.directions(), max_iter):
                if not self.move_along(direction):
                    break
        return self

    def directions(self):
        """Directions of conjugate gradients, then of Newton's method where it pays."""
        problem = self.problem
        d = problem.n_coordinates
        newton = (
            problem.kind == "binary"
            and not sparse.issparse(problem.rows.X)
            and d <= min(problem.rows.n_rows, _MOST_NEWTON_COORDINATES)
        )
        n_steps = max(1, d // _COORDINATES_A_STEP) if newton else _GRADIENT_STEPS
        yield from islice(self.conjugate_gradients(), n_steps)
        for _ in range(_NEWTON_STEPS if newton else 0):
            gradient = self.gradient()
            if self.upper <= (_NO_MARGIN + 2 * self.rounding_of_bound) * problem.radius:
                return
            yield self.newton(gradient)

    def conjugate_gradients(self):
        """Directions of Polak and Ribiere."""
        gradient = direction = self.gradient()
        while True:
            yield direction
            before, gradient = gradient, self.gradient()
            change = np.vdot(gradient, gradient - before) / np.vdot(before, before)
            direction = gradient + max(change, 0.0) * direction

    def newton(self, gradient):
        """Direction of Newton's method."""
        problem = self.problem
        H = gram_of_samples(
            problem.rows.X,
            np.flatnonzero(self.residuals > 0),
            problem.coordinates.constant,
            problem.radius,
        )
        diagonal = H.diagonal()
        scale = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
        H *= scale
        H *= scale[:, np.newaxis]
        H[np.diag_indices_from(H)] += _RIDGE
        scale = scale[:, np.newaxis]
        # Directly: the checks of SciPy's functions cost more than a small system.
        _, solution, _ = dposv(H, scale * gradient)
        return scale * solution

    def gradient(self):
        """Sum of the rows with their residuals; also bounds the margin."""
        problem = self.problem
        weights = np.maximum(self.residuals, 0)
        total = weights.sum()
        if problem.kind == "binary":
            weights *= self.signs
            rows, constant = self.weighted_sum(weights)
        elif self.n_passes == 0:
            rows, constant = self.sum_of_all()
        else:
            D = np.negative(weights, out=weights)
            D[self.own] = -D.sum(axis=1)
            rows, constant = self.weighted_sum(D)
        gradient = problem.coordinates.from_sums(rows, constant)
        if problem.kind != "binary":
            gradient /= problem.radius
        self.n_passes += 1
        if total > 0:
            bound = problem.norm(gradient)[0] / total + self.rounding_of_bound
            self.upper = min(self.upper, float(bound * problem.radius))
        return gradient

    def weighted_sum(self, D):
        """Sum of samples with their coefficients."""
        X = self.problem.rows.X
        rows = sum_of_rows(X, D.astype(X.dtype, copy=False))
        constant = D.sum(axis=0, keepdims=D.ndim == 1)
        return rows.reshape(X.shape[1], len(constant)), constant

    def sum_of_all(self):
        """Sum of all rows with all rivals, from the sums of the classes."""
        X, y, k = self.problem.rows.X, self.problem.rows.y, self.problem.n_outputs
        members = sparse.csc_array((np.ones(len(y), X.dtype), y, np.arange(len(y) + 1)))
        sums = members @ X
        sums = (sums.toarray() if sparse.issparse(X) else sums).astype(np.float64)
        rows = k * sums.T - sums.sum(axis=0)[:, np.newaxis]
        return rows, k * np.bincount(y) - len(y)

    def products(self, theta):
        """Products of the signed rows with theta; zero for the own class."""
        problem, X = self.problem, self.problem.rows.X
        coef, intercept = problem.coordinates.to_coef(theta)
        self.n_passes += 1
        coef = coef.astype(X.dtype, copy=False)
        if problem.kind == "binary":
            scores = scores_of(X, coef[:, 0]).astype(np.float64, copy=False)
            scores += intercept
            scores *= self.signs
            return scores
        scores = np.asarray(X @ coef, dtype=np.float64)
        scores += intercept
        np.subtract(scores[self.own][:, np.newaxis], scores, out=scores)
        scores /= problem.radius
        return scores

    def move_along(self, direction):
        """Go where the loss is least; say whether there is more to do."""
        products = self.products(direction)
        if self.are_positive(products, direction):  # it separates by itself
            self.theta = direction
            return False
        step = _best_step(self.residuals, products)
        if not 0 < step < np.inf:
            return False
        self.theta = self.theta + step * direction
        products *= step
        self.residuals -= products
        return not 1 - self.residuals.max() > self.doubt(self.theta)

    def are_positive(self, products, theta):
        """Whether all products with rivals are, beyond rounding."""
        if products.ndim == 1:
            return products.min() > self.doubt(theta)
        products[self.own] = np.inf
        least = products.min()
        products[self.own] = 0.0
        return least > self.doubt(theta)

    def doubt(self, theta):
        """Bound rounding errors of products with theta."""
        return self.rounding * self.problem.norm(theta)[0]


def _best_step(residuals, products):
    """Minimise the loss along a line by Newton's method, exact within a piece."""
    step, lacking = 0.0, residuals > 0
    for _ in range(_LINE_STEPS):
        changing = np.where(lacking, products, 0.0)
        curvature = np.vdot(changing, products)
        if not 0 < curvature < np.inf:
            break
        before, step = step, np.vdot(changing, residuals) / curvature
        if abs(step - before) <= _LINE_TOL * abs(step):
            break
        lacking = residuals - step * products > 0
    return step
