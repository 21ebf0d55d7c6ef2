"""Step sizes in target space."""

import math

STEP_RULES = ("constant", "sqrt", "exponential", "armijo", "adagrad", "adaptive")


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
        T of "exponential".
    squares : float
        Sum of the squared norms of the mean gradients, the present one included.

    Returns
    -------
    float
        The step size.
    """
    t = n_steps + 1
    if rule == "sqrt":
        return eta / math.sqrt(t)
    if rule == "exponential":
        return eta * total_steps ** (-t / total_steps)
    if rule == "adagrad":
        return eta / (math.sqrt(squares) + 1e-6)
    return eta


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
