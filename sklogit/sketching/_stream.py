"""A regression that is sketched chunk by chunk."""

from copy import copy

import numpy as np

from ._error_bars import finite_population
from ._one_pass import solve_sketch
from ._sketch_rows import SKETCHES
from ._sums import weighted_block


class SketchStream:
    """Sketch of [1, X, y] of all rows so far, weighted.

    Parameters
    ----------
    sketch : str
        Name of the sketch.
    sketch_size : int
        Its rows.
    block_size : int or None
        Rows that it takes at a time.
    seed : int
        Key of its random numbers.
    n_features, n_targets : int
        Columns of X and y.
    dtype : dtype
        Type of the first chunk of X; that of the sketch.
    is_single : bool
        Whether y came with one dimension.
    moments : MomentStream or None
        Sums moments beside the sketch, to solve exactly what is well conditioned.

    Attributes
    ----------
    n_rows, n_counted : int
        Rows seen, and those of positive weight.
    """

    def __init__(
        self,
        sketch,
        sketch_size,
        block_size,
        seed,
        n_features,
        n_targets,
        dtype,
        is_single,
        moments=None,
    ):
        self.n_features, self.n_targets = n_features, n_targets
        self.is_single, self.moments = is_single, moments
        self.sketch, self.dtype = sketch, np.dtype(dtype)
        self.rows = SKETCHES[sketch](
            sketch_size, block_size=block_size, random_state=seed
        )
        self.n_rows = self.n_counted = 0

    def update(self, X, y, weight, first_row=None):
        """Add a chunk; a failure leaves everything as it was."""
        block = weighted_block(X, y, weight, self.dtype)
        if self.moments is not None:
            moments = copy(self.moments)
            moments.update(X, y, weight)
        self.rows.update(block, first_row=first_row)
        if self.moments is not None:
            self.moments = moments
        self.n_rows += len(y)
        self.n_counted += len(y) if weight is None else np.count_nonzero(weight)

    def merge(self, other):
        """Add the rows of another stream."""
        if (self.moments is None) != (other.moments is None):
            raise ValueError(
                "eps or solver differ: one stream sums moments, and the other does not."
            )
        self.rows.merge(other.rows)
        if self.moments is not None:
            self.moments.merge(other.moments)
        self.n_rows += other.n_rows
        self.n_counted += other.n_counted

    @np.errstate(over="ignore", invalid="ignore")
    def solve(self, alpha, fit_intercept):
        """Return the solution of the moments, or of the sketched problem."""
        if self.moments is not None:
            solution = self.moments.solve(alpha, self.dtype)
            if solution is not None:
                return solution
        size, block_size = self.rows.sketch_size, self.rows.block_size_
        return solve_sketch(
            self.rows.result(),
            self.n_targets,
            alpha,
            fit_intercept,
            self.dtype,
            finite_population(self.sketch, size, self.n_rows, block_size),
        )
