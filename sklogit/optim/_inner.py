"""Minimisers of the surrogate: torch's, and gradient steps by Armijo's rule."""

import torch

_BY_NAME = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "lbfgs": torch.optim.LBFGS,
}
ARMIJO_DEFAULTS = {
    "initial_step": 10.0,
    "decrease": 0.1,
    "shrink": 0.5,
    "expand": 2.0,
    "max_trials": 60,
}


class Armijo:
    r"""Gradient steps whose size is halved until the decrease is sufficient.

    Accepts a when :math:`s(\theta - a g) \le s(\theta) - c\,a \|g\|^2`, and tries a
    larger step the next time. The forward pass of the accepted trial is the one that
    the next gradient is computed from.

    Parameters
    ----------
    params : list of Tensor
        Parameters.
    **settings
        ``initial_step``, ``decrease`` (c), ``shrink``, ``expand``, ``max_trials``.
    """

    def __init__(self, params, **settings):
        unknown = set(settings) - set(ARMIJO_DEFAULTS)
        if unknown:
            raise ValueError(
                f"inner_kwargs of inner_optimizer='armijo' allows "
                f"{sorted(ARMIJO_DEFAULTS)}, got {sorted(unknown)}."
            )
        self.params = params
        self.settings = ARMIJO_DEFAULTS | settings
        self.size = self.settings["initial_step"]

    def state_dict(self):
        """Return the present step size."""
        return {"size": self.size}

    def load_state_dict(self, state):
        """Set the step size."""
        self.size = state["size"]

    def step(self, value, surrogate):
        """Take one step; return the surrogate there, with its graph, or None.

        Parameters
        ----------
        value : float
            Surrogate before the step; the gradients are in the parameters.
        surrogate : callable
            Evaluates the surrogate.
        """
        params = [p for p in self.params if p.grad is not None]
        grads = [p.grad.detach().clone() for p in params]
        start = [p.detach().clone() for p in params]
        square = float(sum((g * g).sum() for g in grads))
        accepted = False
        try:
            for _ in range(self.settings["max_trials"]):
                _move(params, start, grads, self.size)
                trial = surrogate()
                wanted = value - self.settings["decrease"] * self.size * square
                if float(trial.detach()) <= wanted:
                    accepted = True
                    self.size *= self.settings["expand"]
                    return trial
                self.size *= self.settings["shrink"]
            return None
        finally:
            if not accepted:
                _move(params, start, grads, 0.0)


@torch.no_grad()
def _move(params, start, grads, size):
    torch._foreach_copy_(params, start)
    if size:
        torch._foreach_add_(params, grads, alpha=-size)


def make_inner(name, param_groups, kwargs):
    """Build an inner optimiser over the parameters of an outer one.

    Parameters
    ----------
    name : str or type
        "armijo", "sgd", "adam", "lbfgs", or a class of torch optimisers.
    param_groups : list of dict
        Groups of the outer optimiser, with its "lr".
    kwargs : dict or None
        Further arguments.

    Returns
    -------
    Armijo or torch.optim.Optimizer
        The inner optimiser.
    """
    kwargs = dict(kwargs or {})
    params = [p for group in param_groups for p in group["params"]]
    if name == "armijo":
        return Armijo(params, **kwargs)
    cls = _BY_NAME.get(name, name)
    if cls is torch.optim.LBFGS:
        # It takes one group; an outer step sets the number of its iterations.
        return cls(params, lr=param_groups[0]["lr"], **kwargs)
    groups = [{"params": g["params"], "lr": g["lr"]} for g in param_groups]
    return cls(groups, **kwargs)


def check_inner(name):
    """Raise if there is no such inner optimiser."""
    is_class = isinstance(name, type) and issubclass(name, torch.optim.Optimizer)
    if name != "armijo" and name not in _BY_NAME and not is_class:
        raise ValueError(
            "inner_optimizer must be 'armijo', 'sgd', 'adam', 'lbfgs' or a class of "
            f"torch optimisers, got {name!r}."
        )
