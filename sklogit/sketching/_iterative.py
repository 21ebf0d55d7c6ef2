"""Least squares by matrix-vector products, preconditioned by a sketch."""

from dataclasses import dataclass, fields

import numpy as np

from ._normal_factor import NormalFactor
from ._preconditioner import sketch_preconditioner
from ._refinement import EPS, refine
from ._sums import Gradient

_ROWS_PER_COLUMN = 8
# Relative error of inner solutions: two of them give all digits.
_INNER_ACCURACY = 1e-8
_MORE_PASSES = 4


def solve_iteratively(problem, frame, sketch_size=None):
    """Solve by passes that only multiply the data with vectors.

    Starts from the solution of a sketched problem, and refines it as
    `solve_preconditioned_cholesky` does. The equations of the steps are solved by
    gradient steps with momentum, of which each takes a pass.

    Parameters
    ----------
    problem : Problem
        What to solve.
    frame : Frame
        Shift and scale of its columns.
    sketch_size : int or None
        Rows of the sketch; more than there are columns.

    Returns
    -------
    Solution or None
        The solution; `converged` tells whether it reached the tolerance. None if the
        sketch was no embedding.

    Notes
    -----
    Momentum on the data themselves, as in "Fast and forward stable randomized
    algorithms for linear least-squares problems" (arXiv:2311.04362), takes as many
    passes, but rounding of the gradient enters there in every step, and is carried from
    weak directions to strong ones: with condition number 1e8 the backward error is
    1e-11. Inner iterations, which start from zero, leave that of their right-hand side
    ("Fast randomized least-squares solvers can be just as accurate and stable as
    classical direct solvers", arXiv:2406.03468).
    """
    sketch_size = sketch_size or _ROWS_PER_COLUMN * problem.n_columns + 32
    preconditioner = sketch_preconditioner(problem, frame, sketch_size, keep=1.0)
    factor = MomentumFactor.from_factor(preconditioner.factor(problem), problem)
    solution = refine(problem, factor, "iterative")
    if solution is not None:
        solution.n_iter = 1 + factor.n_passes
        solution.sketch_size = preconditioner.sketch_size
        solution.root_is_sketched = True
    return solution


@dataclass
class MomentumFactor(NormalFactor):
    """The equations of the data, solved by iteration instead of a factor."""

    problem: object = None
    distortion: float = 0.0
    is_direct = False

    @classmethod
    def from_factor(cls, factor, problem):
        """Return one whose preconditioner is the factor of a sketch."""
        values = {f.name: getattr(factor, f.name) for f in fields(factor)}
        condition = np.linalg.norm(
            factor.lengths[:, np.newaxis] * factor.frame.transform
        )
        # Products with the preconditioner are rounded relative to its largest terms.
        inner = max(_INNER_ACCURACY, EPS * condition, problem.tol / 2)
        values["uncertainty"] = min(float(inner), 0.1)
        # The extreme singular values of sketches of few columns vary.
        distortion = factor.uncertainty * (1 + 1 / np.sqrt(factor.rank + 1))
        return cls(**values, problem=problem, distortion=min(distortion, 0.9))

    def solve(self, gradient, sums):
        """Return the step (du, d constant) for a gradient and the sum of residuals.

        Iterates u <- u + a P P' (g - A'A u) + t (u - u_before), where A P has nearly
        orthonormal columns, t = columns / rows of the sketch and a = (1 - t)^2: the
        error shrinks by sqrt(t) in a step.
        """
        self.n_passes += 1  # the one that made the gradient
        t = self.distortion**2
        solution = moved = np.zeros_like(gradient), np.zeros_like(sums)
        step = super().solve(gradient, sums)
        first = size = self.norm(*step)
        # Rounding may keep the steps from becoming that small.
        expected = np.log(self.uncertainty) / np.log(self.distortion)
        last = self.n_passes + int(expected) + _MORE_PASSES
        last = min(last, self.problem.max_iter)
        while True:
            moved = tuple((1 - t) ** 2 * s + t * m for s, m in zip(step, moved))
            solution = tuple(x + m for x, m in zip(solution, moved))
            small = (size <= self.uncertainty * first).all()
            if small or self.n_passes >= last:
                return solution
            step = super().solve(*self._residual(gradient, sums, *solution))
            size = self.norm(*step)

    def _residual(self, gradient, sums, u, constant):
        """Return what the equations leave of a right-hand side."""
        self.n_passes += 1
        coef = self.frame.to_columns(u)
        change, d_sums, _ = self.problem.rows.sum(
            Gradient(self.frame, coef, constant, only_fitted=True)
        )
        change = self.frame.gradient(change, coef, self.problem.alpha)
        return gradient + change, sums + d_sums
