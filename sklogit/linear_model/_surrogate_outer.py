"""Outer loops: what to ask the oracle next. Each yields after every outer step.

What they yield and return is an `Iterate`; they end when the model is stationary or no
step decreases the objective, and the budget of the oracle may end them at any call.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np

from ._surrogate_search import wolfe_search

# Pairs that L-BFGS remembers. They cost memory of the parameters, nothing else; on
# separable data 30 pairs took 40 % fewer oracle calls than 10, and 50 no fewer.
_MEMORY = 30

# Smallest and largest step in target space, as multiples of the first.
_SMALLEST, _LARGEST = 1e-10, 1e10

# Part of the surrogate's decrease that a step must reach, by step rule.
_SUFFICIENT = {"adaptive": 1.0, "armijo": 0.2}


@dataclass
class Iterate:
    """State after an outer step.

    Attributes
    ----------
    theta : ndarray of shape (n_parameters, n_outputs)
        Parameters.
    value : float
        Objective there, or where the oracle was called last.
    eta : float
        Step in target space.
    """

    theta: np.ndarray
    value: float
    eta: float


class StepSizes:
    """Step sizes given beforehand, or by the gradients met so far.

    Parameters
    ----------
    rule : {"constant", "sqrt", "exponential", "adagrad"}
        eta; eta/sqrt(t); eta * n_steps^(-t/n_steps); eta over the root of the sum of
        all mean ||G||^2; with t = 1, 2, ...
    eta : float
        First step size.
    n_steps : int
        Number of steps of the exponential rule.
    """

    def __init__(self, rule, eta, n_steps):
        self.rule = rule
        self.eta = eta
        self.n_steps = n_steps
        self.t = 0
        self.total = 0.0

    def __call__(self, squared_size):
        """Return the next step size, given the mean of ||G||^2."""
        self.t += 1
        self.total += squared_size
        if self.rule == "sqrt":
            return self.eta / np.sqrt(self.t)
        if self.rule == "exponential":
            return self.eta * self.n_steps ** (-self.t / self.n_steps)
        if self.rule == "adagrad" and self.total > 0:
            return self.eta / np.sqrt(self.total)
        return self.eta


def open_loop(objective, theta, size_of):
    """Take steps of sizes given beforehand, one oracle call each.

    Parameters
    ----------
    objective : TargetObjective
        The objective.
    theta : ndarray of shape (n_parameters, n_outputs)
        Start.
    size_of : StepSizes
        The sizes.

    Yields
    ------
    Iterate
        After each step. Its value is that before the step.
    """
    while True:
        point = objective.evaluate(theta)
        descent = objective.descent(point)
        if objective.is_stationary(descent.rate):
            return True
        eta = float(size_of(objective.design.inner(point.G, point.G)))
        theta = theta - theta.dtype.type(eta) * descent.D
        yield Iterate(theta, point.value, eta)


def closed_loop(objective, theta, eta, rule):
    """Take only steps that keep what the surrogate promised.

    The step is halved until the objective falls by the surrogate's decrease ("adaptive"
    rule; a fifth of it for "armijo"), and doubled when it falls by so much more that
    twice the step would have done. The call that found the step good serves the next
    step too.

    Parameters
    ----------
    objective : TargetObjective
        The objective.
    theta : ndarray of shape (n_parameters, n_outputs)
        Start.
    eta : float
        First step to try.
    rule : {"adaptive", "armijo"}
        How much decrease is enough.

    Yields
    ------
    Iterate
        After each step.
    """
    smallest, largest = _SMALLEST * eta, _LARGEST * eta
    first = eta
    point = objective.evaluate(theta)
    yield Iterate(point.theta, point.value, eta)
    while True:
        descent = objective.descent(point)
        if objective.is_stationary(descent.rate):
            return True
        promised = _SUFFICIENT[rule] * descent.decrease
        while True:
            new = objective.step(point, descent, eta)
            if new.value <= point.value - eta * promised + objective.rounding(point):
                break
            eta /= 2
            if eta < smallest:
                return objective.is_flat(point, descent.rate, first)
        fall = point.value - new.value
        point = new
        yield Iterate(point.theta, point.value, eta)
        # If the loss bends as little as this fall says, twice the step is good as well.
        if fall >= eta * (descent.decrease + promised / 2):
            eta = min(2 * eta, largest)


def momentum(objective, theta, eta, rule):
    """Accelerated steps (FISTA), restarted from the best point when the loss rises.

    Parameters
    ----------
    objective : TargetObjective
        The objective.
    theta : ndarray of shape (n_parameters, n_outputs)
        Start.
    eta : float
        Step size.
    rule : {"constant", "adaptive"}
        Whether a step without momentum that raises the loss halves `eta`.

    Yields
    ------
    Iterate
        After each step: the extrapolated point, at which the oracle was called.
    """
    smallest, first = _SMALLEST * eta, eta
    point = objective.evaluate(theta)
    yield Iterate(point.theta, point.value, eta)
    previous, k = point.theta, 1.0
    while True:
        descent = objective.descent(point)
        if objective.is_stationary(descent.rate):
            return True
        stepped = point.theta - theta.dtype.type(eta) * descent.D
        k_next = (1 + np.sqrt(1 + 4 * k * k)) / 2
        factor = theta.dtype.type((k - 1) / k_next)
        new = objective.evaluate(stepped + factor * (stepped - previous))
        if new.value <= point.value + objective.rounding(point):
            point, previous, k = new, stepped, k_next
        elif rule == "constant":
            # Noise may have raised it: go on from there, without momentum.
            point, previous, k = new, new.theta, 1.0
        else:
            if k == 1.0:
                eta /= 2
                if eta < smallest:
                    return objective.is_flat(point, descent.rate, first)
            # Once more from the same point, now without momentum.
            previous, k = point.theta, 1.0
        yield Iterate(point.theta, point.value, eta)


def lbfgs(objective, theta, eta, boost=1.0):
    r"""L-BFGS in target space: in coordinates in which the features are white.

    With :math:`M = L L^\top` these are :math:`v = L^\top \theta`; the method is written
    in theta, where the initial inverse Hessian is a multiple of the inner solver's
    inverse of M. So it needs one inner solve a step, and no other coordinates.

    Parameters
    ----------
    objective : TargetObjective
        The objective.
    theta : ndarray of shape (n_parameters, n_outputs)
        Start.
    eta : float
        Step in target space to begin with.
    boost : float, default=1.0
        Factor of `eta` for the very first trial.

    Yields
    ------
    Iterate
        After each step. Its eta is the multiple.
    """
    pairs = deque(maxlen=_MEMORY)
    scale = boost * eta
    point = objective.evaluate(theta)
    yield Iterate(point.theta, point.value, scale)
    gradient = objective.gradient(point)
    projected = objective.project(gradient)
    while True:
        rate = float(np.vdot(gradient, projected))
        if objective.is_stationary(rate):
            return True
        D = _two_loop(pairs, gradient, projected, scale)
        descent = objective.along(D, gradient)
        if not descent.rate > 0:
            # An inexact inner solve, or rounding, spoiled the pairs: forget them.
            pairs.clear()
            descent = objective.along(theta.dtype.type(scale) * projected, gradient)
        new = wolfe_search(objective, point, descent)
        if new is None:
            return objective.is_flat(point, rate, eta)
        new_gradient = objective.gradient(new)
        new_projected = objective.project(new_gradient)
        s, y = new.theta - point.theta, new_gradient - gradient
        v = new_projected - projected
        sy, yv = float(np.vdot(s, y)), float(np.vdot(y, v))
        if sy > 0 and yv > 0:
            pairs.append((s, y, v, sy))
            scale = sy / yv
        point, gradient, projected = new, new_gradient, new_projected
        yield Iterate(point.theta, point.value, scale)


def _two_loop(pairs, gradient, projected, scale):
    """Product of the L-BFGS matrix with the gradient; v are the projected y."""
    q, base = gradient.copy(), projected.copy()
    dtype = gradient.dtype.type
    factors = []
    for s, y, v, sy in reversed(pairs):
        a = dtype(np.vdot(s, q) / sy)
        factors.append(a)
        q -= a * y
        base -= a * v
    D = dtype(scale) * base
    for (s, y, _, sy), a in zip(pairs, reversed(factors)):
        D += (a - dtype(np.vdot(y, D) / sy)) * s
    return D
