"""Whether data are linearly separable, with a proof of either answer."""

from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, validate_params

from ._hull_rows import powers_of_two
from ._labelled_rows import encode, is_dask_array, labelled_rows
from ._min_norm_point import BinaryRows, MulticlassRows, min_norm_point
from ._preconditioning import Coordinates
from ._separation import DualMomentum, GradientStep, Problem, Stopping, separate
from ._squared_hinge import SquaredHinge, fits_in_memory
from ._verification import is_certain, verify

# Normalised steps before the exact method, for data that are not in memory.
_FIRST_STEPS = 50
_STEP_SIZE = 100.0
# The exact method keeps dense factors of this size squared: seconds, not minutes.
_MOST_COORDINATES = 3000
# Rows in conflict add up to zero if no feature is left with more than this part of its
# largest value; the sum is exact to about 1e-11 of the largest norm of a row.
_NOTHING = 1e-9


@dataclass
class SeparabilityReport:
    """Answer of `linear_separability`, with its proof.

    Attributes
    ----------
    separable : bool or None
        True if `coef` and `intercept` separate the data; False if nothing does, or
        nothing with a margin above the tolerance; None if neither could be shown.
    margin_lower : float
        Geometric margin of `coef`, verified in float64; not positive if it makes
        errors. It is the largest possible only where the exact method was needed.
    margin_upper : float
        No separator has a larger margin.
    n_iter : int
        Passes over the data of all methods.
    coef : ndarray of shape (1, n_features) or (n_classes, n_features)
        Best coefficients found.
    intercept : ndarray of shape (1,) or (n_classes,)
        Their intercepts.
    n_errors : int
        Rows that they put on the wrong side.
    conflict_indices : ndarray of int or None
        Rows that prove by themselves that nothing separates the data, at most one more
        than there are coefficients; None unless that was shown.
    conflict_weights : ndarray or None
        Positive weights, of sum 1, with which these rows (multiplied by their signs)
        add up to zero. Of more than two classes, a row occurs once for each class that
        it is compared with.
    """

    separable: bool | None
    margin_lower: float
    margin_upper: float
    n_iter: int
    coef: np.ndarray
    intercept: np.ndarray
    n_errors: int
    conflict_indices: np.ndarray | None = None
    conflict_weights: np.ndarray | None = None


@validate_params(
    {
        "X": ["array-like", "sparse matrix"],
        "y": ["array-like"],
        "tol": [Interval(Real, 0, 1, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "fit_intercept": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def linear_separability(X, y, *, tol=1e-3, max_iter=10000, fit_intercept=True):
    r"""Say whether a linear classifier can make no error on the data.

    The squared hinge loss, minimised by conjugate gradients and, with two classes and
    few features, by Newton's method, comes to zero where the data can be separated, and
    is left at the first iterate that does. What that leaves open is decided by Wolfe's
    algorithm for the point of least norm in the convex hull of the signed rows, which
    is finite: the point is either the normal of the largest margin, or zero, and then a
    few rows contradict each other.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Data.
    y : array-like of shape (n_samples,)
        Labels. With more than two classes, separable means that one linear score a
        class puts the own class of every row strictly first.
    tol : float, default=1e-3
        Where the exact method gives no answer, the data count as not separable when no
        margin above ``tol * R`` is possible, with the largest norm R of a row.
    max_iter : int, default=10000
        Most iterations of each method.
    fit_intercept : bool, default=True
        Whether to append a constant feature of 1. It counts in the margins.

    Returns
    -------
    SeparabilityReport
        Answer, bounds of the margin, coefficients, and rows in conflict.

    Raises
    ------
    ValueError
        If there is only one class, or a value is not finite.

    See Also
    --------
    NormalizedLogisticRegression : The classifier.

    Notes
    -----
    The largest margin of a unit vector is the least norm in the convex hull of the
    signed rows :math:`y_i a_i`. It is zero, up to rounding, exactly if nothing
    separates the data (Gordan's theorem). Features in units so different that rounding
    of one hides another are scaled before the answer is no.

    Memory-mapped files and Dask arrays get 50 steps of `NormalizedLogisticRegression`
    instead of the squared hinge loss, which reads the data twice a step. With more than
    3000 coefficients, and on Dask arrays, the exact method is left out, and accelerated
    steps of `NormalizedLogisticRegression` decide within `tol`.

    References
    ----------
    .. [1] "From Logistic Regression to the Perceptron Algorithm: Exploring Gradient
       Descent with Large Step Sizes", arXiv:2412.08424.

    Examples
    --------
    >>> from sklogit.linear_model import linear_separability
    >>> linear_separability([[0.0], [1.0], [3.0]], [0, 0, 1]).separable
    True
    >>> report = linear_separability([[0.0], [1.0], [3.0]], [0, 1, 0])
    >>> report.separable, report.conflict_indices
    (False, array([0, 1, 2]))
    """
    rows, classes, *_ = labelled_rows(BaseEstimator(), X, y, None)
    rows, kind = encode(rows, classes, "multinomial")
    n_outputs = 1 if kind == "binary" else len(classes)
    coordinates = Coordinates(1.0 if fit_intercept else 0.0)
    problem = Problem(rows, coordinates, kind, n_outputs)
    report = _Search(problem)
    report.try_first_steps(max_iter)
    small = problem.n_coordinates * n_outputs <= _MOST_COORDINATES
    if report.separable is None and small and not is_dask_array(rows.X):
        report.solve_exactly(max_iter)
    if report.separable is None:
        report.step(
            DualMomentum(1.0 / problem.radius**2),
            Stopping(separability_tol=tol, max_iter=max_iter),
        )
    return report.result()


class _Search:
    """What is known so far."""

    def __init__(self, problem):
        self.problem = problem
        self.separable, self.upper, self.n_iter = None, np.inf, 0
        self.conflict = (None, None)

    def take(self, theta):
        """Take coefficients for the best that are known, and verify their margin."""
        self.theta = theta
        coef, intercept = self.problem.coordinates.to_coef(theta)
        self.n_errors, margins = verify(self.problem, coef.T, intercept)
        self.lower = float(margins.min())

    def try_first_steps(self, max_iter):
        """Try what is quick: squared hinge loss in memory, else normalised steps."""
        problem = self.problem
        if not problem.radius:  # nothing but zeros
            self.take(np.zeros((problem.n_coordinates, problem.n_outputs)))
        elif fits_in_memory(problem):
            fit = SquaredHinge(problem).minimise(max_iter)
            self.upper, self.n_iter = fit.upper, fit.n_passes
            self.take(fit.theta)
            self.separable = True if self.is_certain() else None
        else:
            self.step(
                GradientStep(_STEP_SIZE / problem.radius**2),
                Stopping(separability_tol=0.0, max_iter=min(_FIRST_STEPS, max_iter)),
            )
        if problem.has_zero_row:  # zero is in the convex hull
            self.separable, self.upper = False, 0.0

    def step(self, step, stopping):
        """Iterate from zero, and note what the iterates show."""
        solution = separate(self.problem, step, stopping)
        if solution.interrupt is not None:
            raise solution.interrupt
        self.n_iter += solution.n_iter
        self.upper = min(self.upper, float(solution.upper.min()))
        self.take(solution.best)
        if solution.solved.all() and self.is_certain():
            self.separable = True
        elif solution.refuted.any():
            self.separable = False

    def solve_exactly(self, max_iter):
        """Find the point of least norm in the hull of the rows."""
        # From the mean: theta would save passes where the margin is small, but proves
        # with many more rows that there is none (155 instead of 2 of w8a).
        point = self.least_norm(max_iter)
        self.upper = min(self.upper, point.norm)
        scale = None
        if point.status == "not separable":
            scale = powers_of_two(self.problem.rows.X)
            if self.adds_up_to_nothing(point.theta, scale):
                scale = None
            else:
                point = self.least_norm(max_iter, scale)
        if point.status == "not separable":
            self.separable, self.upper = False, 0.0
            self.conflict = _counting(point.indices, point.weights)
        elif point.lower > 0:
            theta = point.theta.reshape(self.theta.shape)
            if scale is not None:
                theta[: len(scale)] *= scale[:, np.newaxis]
            self.take(theta)
            self.separable = True if self.is_certain() else None

    def least_norm(self, max_iter, scale=None):
        """Point of least norm in the hull of the rows, their features scaled."""
        rows, constant = self.problem.rows, self.problem.coordinates.constant
        if self.problem.kind == "binary":
            hull = BinaryRows(rows.X, rows.y, constant, scale)
        else:
            k = self.problem.n_outputs
            hull = MulticlassRows(rows.X, rows.y, k, constant, scale)
        point = min_norm_point(hull, max_iter=max_iter)
        self.n_iter += point.n_passes
        return point

    def adds_up_to_nothing(self, total, scale):
        """Whether a sum of rows is zero in every feature, for what is large in it."""
        if self.problem.coordinates.constant:
            scale = np.append(scale, 1.0)
        total = total.reshape(self.theta.shape)
        return (abs(total) * scale[:, np.newaxis] <= _NOTHING).all()

    def is_certain(self):
        """Whether the coefficients separate beyond doubt."""
        # So large a margin no rounding can make up; else it takes another pass to see.
        large = 8 * np.finfo(np.float64).eps * self.problem.n_coordinates
        if not 0 < self.lower <= large * self.problem.radius:
            return self.lower > 0
        coef, intercept = self.problem.coordinates.to_coef(self.theta)
        return is_certain(self.problem, coef.T, intercept)

    def result(self):
        """Return the report."""
        coef, intercept = self.problem.coordinates.to_coef(self.theta)
        return SeparabilityReport(
            separable=self.separable,
            margin_lower=self.lower,
            margin_upper=max(self.upper, self.lower),
            n_iter=self.n_iter,
            coef=coef.T,
            intercept=intercept,
            n_errors=self.n_errors,
            conflict_indices=self.conflict[0],
            conflict_weights=self.conflict[1],
        )


def _counting(indices, weights):
    """Return the rows that count, in order: a weight of rounding size is none."""
    counts = weights > len(weights) * np.finfo(np.float64).eps
    order = np.argsort(indices[counts], kind="stable")
    weights = weights[counts][order]
    return indices[counts][order], weights / weights.sum()
