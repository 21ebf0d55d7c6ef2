"""The objective behind a counted oracle, and the points at which it was asked."""

from dataclasses import dataclass

import numpy as np

from .._oracle import OracleBudgetExceeded, check_oracle_output, oracle_name


@dataclass
class Point:
    """Parameters at which the oracle was called.

    Attributes
    ----------
    theta : ndarray of shape (n_parameters, n_outputs)
        Parameters.
    Z : ndarray of shape (n_samples, n_outputs)
        Their targets.
    value : float
        Objective: the loss of the oracle plus the penalty.
    G : ndarray of shape (n_samples, n_outputs)
        Gradient of every sample's loss by its targets.
    """

    theta: np.ndarray
    Z: np.ndarray
    value: float
    G: np.ndarray


@dataclass
class Descent:
    """A direction of descent from a point.

    Attributes
    ----------
    D : ndarray of shape (n_parameters, n_outputs)
        Theta moves along -D.
    A : ndarray of shape (n_samples, n_outputs)
        Targets move along -A.
    rate : float
        Scalar product of the gradient with D: how fast the objective falls.
    decrease : float
        The surrogate with step eta falls by eta times this.
    """

    D: np.ndarray
    A: np.ndarray
    rate: float
    decrease: float


class TargetObjective:
    r"""Objective loss(Z(theta)) + alpha/2 ||W||^2, one oracle call an evaluation.

    Parameters
    ----------
    design : CenteredDesign
        The model.
    project : callable
        Inner solver, see `make_projection`.
    oracle : callable
        ``oracle(Z, y, sample_weight)`` returns the loss and the gradients.
    y : ndarray
        Passed to the oracle.
    sample_weight : ndarray of shape (n_samples,) or None
        Passed to the oracle.
    alpha : float
        Penalty.
    ridge : float
        The penalty in the inner solver's quadratic: alpha times eta.
    max_calls : int
        Most oracle calls.
    tol : float
        See `is_stationary`.
    """

    def __init__(
        self,
        design,
        project,
        oracle,
        y,
        sample_weight,
        *,
        alpha=0.0,
        ridge=0.0,
        max_calls=1,
        tol=0.0,
    ):
        self.design = design
        self.project = project
        self.oracle = oracle
        self.name = oracle_name(oracle)
        self.y = y
        self.sample_weight = sample_weight
        self.alpha = alpha
        self.ridge = ridge
        self.max_calls = max_calls
        self.tol = tol
        self.n_calls = 0
        self.best = None
        self._largest_gradient = 0.0

    def evaluate(self, theta, Z=None):
        """Call the oracle, once.

        Raises `OracleBudgetExceeded` instead of a call beyond the budget.
        """
        if self.n_calls >= self.max_calls:
            raise OracleBudgetExceeded(
                f"oracle {self.name}: max_oracle_calls={self.max_calls} reached"
            )
        Z = self.design.apply(theta) if Z is None else Z
        if not np.isfinite(Z).all():  # not the oracle's fault, nor worth a call
            raise ValueError(
                f"the targets for oracle {self.name} are not finite after "
                f"{self.n_calls} calls: the steps diverge; take a smaller eta, or "
                "scale X."
            )
        # A copy, as an oracle may work in place. Counted before it runs: a call that
        # fails or is interrupted was paid for.
        self.n_calls += 1
        try:
            output = self.oracle(Z.copy(), self.y, self.sample_weight)
        except OracleBudgetExceeded:
            self.n_calls -= 1
            raise
        loss, G = check_oracle_output(output, Z, self.name)
        coef = theta[: self.design.n_features]
        penalty = self.alpha / 2 * float(np.vdot(coef, coef)) if self.alpha else 0.0
        point = Point(theta, Z, loss + penalty, G)
        if self.best is None or point.value < self.best.value:
            self.best = point
        size = np.sqrt(self.design.inner(G, G))
        self._largest_gradient = max(self._largest_gradient, size)
        return point

    def gradient(self, point):
        """Gradient of the objective by theta."""
        gradient = self.design.adjoint(point.G)
        if self.alpha:
            d = self.design.n_features
            gradient[:d] += self.alpha * point.theta[:d]
        return gradient

    def descent(self, point):
        """Direction to the minimum of the surrogate, by the inner solver."""
        gradient = self.gradient(point)
        return self.along(self.project(gradient), gradient)

    def along(self, D, gradient):
        """Describe the direction -D."""
        A = self.design.apply(D)
        coef = D[: self.design.n_features]
        rate = float(np.vdot(gradient, D))
        curvature = self.design.inner(A, A) + self.ridge * float(np.vdot(coef, coef))
        return Descent(D, A, rate, rate - curvature / 2)

    def rate(self, point, descent):
        """How fast the objective falls along -D at another point."""
        d = self.design.n_features
        rate = self.design.inner(point.G, descent.A)
        return rate + self.alpha * float(np.vdot(point.theta[:d], descent.D[:d]))

    def is_stationary(self, rate):
        r"""Whether the model can follow next to nothing of the gradient G.

        The rate is that along the inner solver's direction. With an exact solver its
        root is the size of the part of G that the model can follow; it must be `tol`
        times the largest size of G met so far. This depends neither on the scale of the
        loss nor on that of the features.
        """
        return np.sqrt(max(rate, 0.0)) <= self.tol * self._largest_gradient

    def is_flat(self, point, rate, eta):
        """Whether the surrogate promises no more than rounding errors.

        Asked after no step decreased the objective: then it tells a minimum found as
        accurately as the numbers allow from an oracle whose gradient is wrong.
        """
        return eta * rate <= 100 * self.rounding(point)

    def step(self, point, descent, size):
        """Call the oracle at a point further along -D."""
        size = point.Z.dtype.type(size)
        return self.evaluate(point.theta - size * descent.D, point.Z - size * descent.A)

    def rounding(self, point):
        """Differences of the objective below this mean nothing."""
        return 10 * np.finfo(point.Z.dtype).eps * abs(point.value)
