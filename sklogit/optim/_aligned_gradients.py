"""Gradients of two losses, of which the second never works against the first."""

from functools import cached_property

import torch

SCOPES = ("shared", "all")


def aligned_gradients(loss_main, loss_aux, params, scope="shared"):
    r"""Sum the gradients of two losses, without what would undo the first.

    With the gradients :math:`g_0` of the main loss and :math:`g_1` of the auxiliary one

    .. math:: g_1' = g_1 - \frac{\langle g_1, g_0 \rangle}{|g_0|^2} \, g_0
        \quad \text{if } \langle g_1, g_0 \rangle < 0, \qquad g_1' = g_1
        \text{ otherwise}

    and the result is :math:`g_0 + g_1'`: a step along it lowers the main loss as the
    main gradient alone does, to first order.

    Parameters
    ----------
    loss_main : Tensor of shape ()
        The loss that is never given way. Its graph stays.
    loss_aux : Tensor of shape ()
        The loss whose gradient is corrected.
    params : iterable of Tensor
        Parameters, any of which either loss may not depend on.
    scope : {"shared", "all"}, default="shared"
        Where inner products are taken and gradients corrected: at the parameters that
        both losses depend on, or at all, where those missing count as zeros.

    Returns
    -------
    list of Tensor
        A gradient for each parameter, of its shape; zeros if it has none.

    Raises
    ------
    ValueError
        If the scope is unknown, or there are no parameters.

    See Also
    --------
    sklogit.distillation.DualHeadDistillationClassifier : Trains with it.

    Notes
    -----
    Unlike in PCGrad the main gradient stays as it is. With two heads on one backbone
    "all" changes the main head as well, where :math:`g_1` is zero: its gradient grows
    by the factor :math:`1 + |c|`, c being the quotient above. That is how the official
    code of [1]_ has it; "shared" leaves heads alone.

    References
    ----------
    .. [1] "Dual-Head Knowledge Distillation: Enhancing Logits Utilization with an
       Auxiliary Head", arXiv:2411.08937.

    Examples
    --------
    >>> import torch
    >>> from sklogit.optim import aligned_gradients
    >>> w = torch.zeros(2, requires_grad=True)
    >>> main, aux = w[0], 3 * w[1] - 2 * w[0]
    >>> aligned_gradients(main, aux, [w])[0].tolist()
    [1.0, 3.0]
    """
    check_scope(scope)
    pair = gradient_pair(loss_main, loss_aux, params)
    return combined(pair, scope, align=True)


class GradientPair:
    """Gradients of two losses, and whether they are in conflict.

    Parameters
    ----------
    params : list of Tensor
        The parameters.
    main, aux : list of Tensor or None
        Gradients, None where a loss does not depend on a parameter.
    """

    def __init__(self, params, main, aux):
        self.params = params
        self.main = main
        self.aux = aux

    def shared(self):
        """Pairs of gradients of the parameters that both losses depend on."""
        return [
            (a, b) for a, b in zip(self.main, self.aux) if not (a is None or b is None)
        ]

    @cached_property
    def dot(self):
        """Inner product of both gradients, as a tensor; missing ones are zeros."""
        # Tensor by tensor: a flat copy of all gradients would double their memory.
        products = [torch.sum(a * b) for a, b in self.shared()]
        return sum(products) if products else torch.zeros(())


def gradient_pair(loss_main, loss_aux, params):
    """Differentiate both losses.

    Parameters
    ----------
    loss_main, loss_aux : Tensor of shape ()
        Losses, which may share a graph.
    params : iterable of Tensor
        Parameters.

    Returns
    -------
    GradientPair
        Their gradients.

    Raises
    ------
    ValueError
        If there are no parameters.
    """
    params = list(params)
    if not params:
        raise ValueError("params must have at least one tensor, got none.")
    main, aux = (
        torch.autograd.grad(loss, params, retain_graph=retain, allow_unused=True)
        if loss.requires_grad
        else [None] * len(params)
        for loss, retain in ((loss_main, True), (loss_aux, False))
    )
    return GradientPair(params, main, aux)


def combined(pair, scope, *, align):
    """Add up two gradients, the second corrected if both are in conflict.

    Parameters
    ----------
    pair : GradientPair
        The gradients.
    scope : {"shared", "all"}
        As of `aligned_gradients`.
    align : bool
        Whether to correct.

    Returns
    -------
    list of Tensor
        A gradient for each parameter.
    """
    factor = _projection(pair, scope) if align else None
    sums = []
    for param, main, aux in zip(pair.params, pair.main, pair.aux):
        corrects = factor is not None and main is not None
        if corrects and (scope == "all" or aux is not None):
            aux = factor * main if aux is None else aux + factor * main
        if main is None or aux is None:
            gradient = main if aux is None else aux
            sums.append(torch.zeros_like(param) if gradient is None else gradient)
        else:
            sums.append(main + aux)
    return sums


def check_scope(scope):
    """Raise an error if there is no such scope.

    Parameters
    ----------
    scope : str
        The scope.

    Raises
    ------
    ValueError
        If there is none.
    """
    if scope not in SCOPES:
        raise ValueError(f"scope must be one of {SCOPES}, got {scope!r}.")


def _projection(pair, scope):
    """Factor of the main gradient that is added to the other one, or None."""
    dot = pair.dot
    if not dot < 0:
        return None
    mains = [a for a in pair.main if a is not None]
    if scope == "shared":
        mains = [a for a, _ in pair.shared()]
    square = sum(a.square().sum() for a in mains)
    return -dot / square if square > 0 else None  # it may underflow
