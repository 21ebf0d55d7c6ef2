"""What an iterative fit of choices has reached, and who watches it."""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class ChoiceFit:
    """A point of the search for coefficients.

    Attributes
    ----------
    theta : ndarray of shape (n_coefs,)
        Coefficients.
    curve : list of float
        The objective at the start and after each iteration.
    step : ndarray of shape (n_coefs,)
        Last move of the coefficients.
    hessian : ndarray of shape (n_coefs, n_coefs) or None
        Hessian at theta, if the solver has it.
    converged : bool
        Whether theta is the minimiser, to the tolerance.
    interrupt : KeyboardInterrupt or None
        What ended the iterations early.
    stopped : bool
        Whether a callback ended them.
    """

    theta: np.ndarray
    curve: list
    step: np.ndarray = field(default=None)
    hessian: np.ndarray | None = None
    converged: bool = False
    interrupt: BaseException | None = None
    stopped: bool = False

    @property
    def n_iter(self):
        """Iterations done."""
        return len(self.curve) - 1

    def advance(self, theta, value, on_iteration):
        """Move to the next iterate, and ask the watcher whether to stop."""
        self.step = theta - self.theta
        self.theta = theta
        self.curve.append(float(value))
        if on_iteration is not None:
            self.stopped = bool(on_iteration(self))
        return self.stopped
