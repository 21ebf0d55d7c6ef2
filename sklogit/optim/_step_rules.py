"""Step sizes in target space."""

import math

STEP_RULES = ("constant", "sqrt", "exponential", "armijo", "adagrad", "adaptive")

# Of "armijo". One half of the slope is what a loss with an L-Lipschitz gradient keeps
# at eta = 1/L, so that no smaller step than that is ever needed.
_DECREASE, _SHRINK, _EXPAND, _MAX_TRIALS = 0.5, 0.5, 2.0, 60


def scheduled_eta(rule, eta, n_steps, total_steps, squares):
    r"""Step size of the rules that need no further call of the oracle.

    Parameters
    ----------
    rule : str
        "constant": eta; "sqrt": :math:`\eta / \sqrt t`; "exponential":
        :math:`\eta\, T^{-t/T}`; "adagrad": :math:`\eta / \sqrt{\sum_t \|G_t\|^2}`.
    eta : float
        Base step.
    n_steps : int
        Outer steps so far; t is one more.
    total_steps : int or None
        T of "exponential"; the step stays where it is after T steps.
    squares : float
        Sum over the steps of the samples' mean squared gradient norm, this one's
        included.

    Returns
    -------
    float
        The step size.
    """
    t = n_steps + 1
    if rule == "sqrt":
        return eta / math.sqrt(t)
    if rule == "exponential":
        return eta * total_steps ** (-min(t / total_steps, 1.0))
    if rule == "adagrad":
        return eta / (math.sqrt(squares) + 1e-6)
    return eta


def backtracked_eta(loss_change, square, eta, min_eta):
    """Step size at which a step along the gradient keeps half of what it promises.

    Parameters
    ----------
    loss_change : callable
        Change of the mean loss by a step of the given size; calls the oracle.
    square : float
        Slope: mean squared gradient norm of the samples.
    eta : float
        First trial.
    min_eta : float
        Smallest trial; it is taken even if it fails.

    Returns
    -------
    float
        The step size.
    """
    for _ in range(_MAX_TRIALS):
        if eta <= min_eta or loss_change(eta) <= -_DECREASE * eta * square:
            break
        eta = max(eta * _SHRINK, min_eta)
    return eta


def grown_eta(eta, max_eta):
    """First trial after an accepted step size."""
    return min(eta * _EXPAND, max_eta)


def eta_from_official(stepsize):
    r"""Convert a step size of the authors' research code to `eta`.

    That code adds the gradient of the loss to the plain square of the distance, without
    the factor 1/2 of the surrogate, so that its targets move half as far.

    Parameters
    ----------
    stepsize : float
        Step size in the convention of the research code.

    Returns
    -------
    float
        The same step as `eta` of `TargetSurrogate`.

    Examples
    --------
    >>> from sklogit.optim import eta_from_official
    >>> eta_from_official(2.0)
    1.0
    """
    return stepsize / 2
