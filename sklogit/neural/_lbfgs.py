"""L-BFGS for many parameters, with a preconditioner."""

import math
from collections import deque
from dataclasses import dataclass, field

import torch

from ..linear_model._surrogate_search import wolfe_search

# Memory of the pairs, which are kept in single precision: they only shape the search
# direction. More pairs than the least need fewer iterations.
_PAIR_BYTES = 48 * 2**20
_FEWEST_PAIRS, _MOST_PAIRS = 10, 30
# Iterations in which rounding hides any decrease, and the gradient does not get smaller
# either: then the objective is as low as it gets.
_FLAT_ITERATIONS = 5


@dataclass
class Point:
    """A point of the search.

    Attributes
    ----------
    theta : Tensor of shape (n_parameters,)
        Parameters.
    value : float
        Objective.
    gradient : Tensor of shape (n_parameters,)
        Its gradient.
    """

    theta: torch.Tensor
    value: float
    gradient: torch.Tensor


@dataclass
class Descent:
    """A direction.

    Attributes
    ----------
    D : Tensor of shape (n_parameters,)
        Steps go along -D.
    rate : float
        By which the objective falls at first.
    """

    D: torch.Tensor
    rate: float


@dataclass
class Minimum:
    """Result of `minimise`.

    Attributes
    ----------
    theta : Tensor of shape (n_parameters,)
        The last point, which is the best.
    loss_curve : list of float
        Objective at the start and after each iteration.
    converged : bool
        Whether there was nothing left to gain.
    interrupt : KeyboardInterrupt or None
        What ended the iterations early.
    stopped : bool
        Whether `on_iteration` ended them.
    """

    theta: torch.Tensor
    loss_curve: list = field(default_factory=list)
    converged: bool = False
    interrupt: BaseException | None = None
    stopped: bool = False

    @property
    def n_iter(self):
        """Number of iterations."""
        return len(self.loss_curve) - 1


class _Line:
    """The objective, as the line search wants it."""

    def __init__(self, objective):
        self.objective = objective

    def point(self, theta):
        return Point(theta, *self.objective(theta))

    def step(self, point, descent, t):
        return self.point(torch.sub(point.theta, descent.D, alpha=t))

    def rate(self, point, descent):
        return _dot(point.gradient, descent.D)

    def rounding(self, point):
        # The value is a sum of many terms: its last digits are not to be trusted.
        return 8 * torch.finfo(point.theta.dtype).eps * abs(point.value)


def minimise(objective, theta, max_iter, tol, on_iteration=None):
    """Minimise a smooth objective.

    Parameters
    ----------
    objective : callable
        Returns value and gradient at theta; its ``precondition(gradient)`` is a
        product with a positive definite matrix near the inverse Hessian.
    theta : Tensor of shape (n_parameters,)
        Start.
    max_iter : int
        Most iterations.
    tol : float
        Largest entry of the gradient at the end.
    on_iteration : callable, default=None
        Called with the `Minimum` after each iteration; a true value stops.

    Returns
    -------
    Minimum
        Where it ended.
    """
    result = Minimum(theta)
    try:
        for point in _iterates(_Line(objective), theta, tol, result):
            result.theta = point.theta
            result.loss_curve.append(point.value)
            if result.n_iter == 0:
                continue
            if on_iteration is not None and on_iteration(result):
                result.stopped = True
                break
            if result.n_iter == max_iter:
                result.converged = _largest_entry(point) <= tol
                break
    except KeyboardInterrupt as interrupt:
        result.interrupt = interrupt
    return result


def _iterates(line, theta, tol, result):
    """Yield points; mark the result as converged at the end."""
    pairs = deque(maxlen=_number_of_pairs(theta))
    point = line.point(theta)
    scale, n_flat = 1.0, 0
    steepest = smallest = _largest_entry(point)
    yield point
    while steepest > tol and n_flat < _FLAT_ITERATIONS:
        descent = _descent(line.objective, pairs, point, scale)
        new = wolfe_search(line, point, descent)
        if new is None and pairs:  # rounding may have spoiled them
            pairs.clear()
            new = wolfe_search(line, point, _descent(line.objective, pairs, point, 1.0))
        if new is None:
            break
        scale = _remember(pairs, line.objective, point, new, scale)
        steepest = _largest_entry(new)
        better = new.value < point.value - line.rounding(point)
        better |= steepest < 0.9 * smallest
        n_flat = 0 if better else n_flat + 1
        smallest = min(smallest, steepest)
        point = new
        yield point
    # Where numbers overflow, the line search fails without an optimum.
    result.converged = math.isfinite(steepest)


def _largest_entry(point):
    return float(point.gradient.abs().max())


def _number_of_pairs(theta):
    fit_in = _PAIR_BYTES // (2 * 4 * max(1, len(theta)))
    return int(min(max(fit_in, _FEWEST_PAIRS), _MOST_PAIRS))


def _descent(objective, pairs, point, scale):
    D = _two_loop(objective, pairs, point.gradient.float(), scale)
    D = D.to(point.theta.dtype)
    rate = _dot(point.gradient, D)
    if pairs and not rate > 0:
        pairs.clear()
        return _descent(objective, pairs, point, scale)
    return Descent(D, rate)


def _two_loop(objective, pairs, gradient, scale):
    """Product of the L-BFGS matrix with the gradient."""
    q, factors = gradient.clone(), []
    for s, y, sy in reversed(pairs):
        factors.append(_dot(s, q) / sy)
        q.sub_(y, alpha=factors[-1])
    D = objective.precondition(q).mul_(scale)
    for (s, y, sy), a in zip(pairs, reversed(factors)):
        D.add_(s, alpha=a - _dot(y, D) / sy)
    return D


def _remember(pairs, objective, old, new, scale):
    """Keep a pair, and return the factor of the preconditioner that it suggests."""
    s = (new.theta - old.theta).float()
    y = (new.gradient - old.gradient).float()
    sy, yy = _dot(s, y), _dot(y, objective.precondition(y))
    if not (sy > 0 and 0 < yy < math.inf):
        return scale
    pairs.append((s, y, sy))
    return sy / yy


def _dot(a, b):
    return float(torch.dot(a, b))
