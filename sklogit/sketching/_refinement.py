"""Iterative refinement of least-squares solutions by corrected normal equations."""

from itertools import count

import numpy as np

from ._rank import column_norms
from ._solution import Solution
from ._sums import Gradient

# Steps that shrink less than this do not converge to anything.
_SLOWEST = 0.5
# Rounding errors are random, and this much smaller than their bound.
_OVERESTIMATED = 1e-4
_ACCURATE = 1e-10
EPS = np.finfo(np.float64).eps
# Rounding errors of sums are this many units, in the blocks in which they are added.
ROUNDING_UNITS = 4.0


def refine(problem, factor, solver):
    """Correct a solution by its gradient until the correction is rounding.

    A step solves the factored equations with the gradient Z'(y - Zu) of the data as
    right-hand side. Its error is the relative error of the factor, e.g. cond^2 eps,
    times that of the step before, so that a factor from float32 moments serves as well.

    Parameters
    ----------
    problem : Problem
        What is solved.
    factor : NormalFactor
        Factor of the equations, with a first solution.
    solver : str
        Name for the solution.

    Returns
    -------
    Solution or None
        The solution; None if the steps do not shrink.
    """
    floor = Rounding(factor)
    point = Point(factor)
    last, rates = None, []
    for n_iter in count(1):
        step, residual = point.step(problem)
        if not np.isfinite(residual).all():
            return None
        size = factor.norm(*step)
        point.add(*step)
        fitted = np.hypot(point.norm(), residual)
        # The solution of the factored equations was as wrong as the first step is.
        ratio = size / np.where(fitted > 0, fitted, 1) if last is None else size / last
        wanted = problem.accuracy * fitted
        rounding = floor.of_steps(residual)
        small = size <= np.maximum(wanted, rounding)
        if last is not None and not (small | (ratio <= _SLOWEST)).all():
            return None
        rates.append(max(ratio[~small].max(initial=0.0), EPS))
        first = rates[0] if factor.is_direct else 0.0
        rate = max(rates[1:], default=max(first, factor.uncertainty))
        # The first step of an inaccurate factor leaves more than rounding: errors of
        # weak directions that it carried to strong ones.
        if last is not None or factor.uncertainty < _ACCURATE:
            wanted = np.maximum(wanted, _OVERESTIMATED * rounding)
        last = np.where(size > 0, size, 1)
        # Steps of nothing but rounding do not become smaller.
        stalls = small & (ratio > _SLOWEST) & (n_iter > 1)
        converged = ((rate * size <= wanted) | stalls).all()
        if converged or max(n_iter, factor.n_passes) >= problem.max_iter:
            break
    residual = np.sqrt(np.maximum(residual**2 - size**2, 0.0))
    coef, intercept = point.frame.to_coef(point.coef, point.constant)
    error = rate * size + floor.of_steps(residual)
    error += floor.of_residuals(point.coef, residual)
    return Solution(
        coef=coef,
        intercept=intercept,
        residual_norm=residual / point.frame.y_scale,
        rank=factor.rank,
        solver=solver,
        n_iter=1 + n_iter,
        root=floor.root,
        error=error / point.frame.y_scale,
        null_error=np.outer(factor.null * np.ones(len(coef)), column_norms(coef)),
        converged=bool(converged),
    )


class Point:
    """Coefficients that steps are added to, for the columns of a frame.

    The steps are made in the coordinates of its transform. Coefficients that were kept
    there would be rounded relative to the largest terms of the product M u, and not to
    their own size: that costs a factor of the condition number.

    Parameters
    ----------
    factor : NormalFactor
        Factor of the equations, with a first solution.
    """

    def __init__(self, factor):
        self.factor, self.frame = factor, factor.frame
        self.u, self.constant = factor.start
        self.coef = self.frame.to_columns(self.u)

    def step(self, problem):
        """Return a step (du, d constant) and the norms of the residuals, in a pass."""
        gradient, sums, squares = problem.rows.sum(
            Gradient(self.frame, self.coef, self.constant)
        )
        gradient = self.frame.gradient(gradient, self.coef, problem.alpha)
        return self.factor.solve(gradient, sums), np.sqrt(squares)

    def add(self, du, d_constant):
        """Add a step."""
        self.u = self.u + du
        self.coef = self.coef + self.frame.to_columns(du)
        self.constant = self.constant + d_constant

    def norm(self):
        """Norm of the fitted values."""
        return self.factor.norm(self.u, self.constant)


class Rounding:
    """How large steps may be that are nothing but rounding, and the root P.

    Parameters
    ----------
    factor : NormalFactor
        Factor of the equations.
    """

    def __init__(self, factor):
        orthonormal = factor.orthonormal()
        self.lengths = factor.lengths
        self.root = factor.inverse_root(orthonormal)
        basis = factor.frame.to_columns(orthonormal)
        # Products of columns with residuals are rounded relative to their norms, and
        # then taken to an orthonormal basis of the columns.
        self.spread = np.linalg.norm(self.lengths[:, np.newaxis] * basis)

    def of_steps(self, residual):
        """Norm of fitted values that come of rounding in gradients."""
        return ROUNDING_UNITS * EPS * self.spread * residual

    def of_residuals(self, coef, residual):
        """Norm of fitted values that come of rounding in residuals."""
        return ROUNDING_UNITS * EPS * (self.lengths @ np.abs(coef) + residual)
