"""Minimisers of the surrogate: gradient steps, Armijo's rule, torch's optimisers."""

import math

import torch

_BY_NAME = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}
ARMIJO_DEFAULTS = {"decrease": 0.1, "shrink": 0.5, "expand": 10.0, "max_trials": 30}
# A parabola through two values and a slope may put its minimum anywhere; nearer than
# this to the start it is not believed.
_LEAST_SHRINK = 0.1


class InnerProblem:
    """The surrogate as a function of the parameters.

    Parameters
    ----------
    forward : callable
        Returns the targets with their graph.
    targets : Tensor
        Targets at the present parameters, with the graph of the first gradient.
    surrogate : QuadraticSurrogate
        Surrogate of the targets.
    params : list of Tensor
        Parameters.
    floor : float
        Value at which the surrogate counts as minimised.
    on_gradient : callable or None
        Called when the parameters have a new gradient.
    """

    def __init__(self, forward, targets, surrogate, params, floor, on_gradient):
        self.forward, self.targets, self.surrogate = forward, targets, surrogate
        self.params, self.floor, self.on_gradient = params, floor, on_gradient
        self.kept = None
        self.n_steps = 0
        self.last_value = 0.0

    def value(self, targets):
        """Evaluate the surrogate, as a tensor without a graph."""
        return self.surrogate.value(targets)

    def is_solved(self, value):
        """Whether further steps are not worth it."""
        return self.floor > -math.inf and float(value) <= self.floor

    def gradients(self, steps):
        """Prepare one gradient after another; stop early if the problem is solved.

        Parameters
        ----------
        steps : int
            Most gradients.

        Yields
        ------
        None
            When the parameters have their gradient; they change before the next one.
        """
        targets = self.targets
        for k in range(steps):
            if k:
                targets = self.forward()
            # Else nobody asks for it: small nets would spend a tenth of their time so.
            if k == steps - 1 or self.floor > -math.inf:
                self.last_value = float(self.value(targets))
                if self.is_solved(self.last_value):
                    return
            self.backward(targets)
            yield
            self.n_steps += 1

    def backward(self, targets):
        """Put the gradient of the surrogate into the parameters."""
        for param in self.params:
            param.grad = None
        # Into these parameters only: m steps would add up in those of others.
        torch.autograd.backward(
            targets, self.surrogate.derivative(targets), inputs=self.params
        )
        if self.on_gradient is not None:
            self.on_gradient()

    def keep(self):
        """Note the parameters as those to go back to."""
        if self.kept is None:
            self.kept = [param.detach().clone() for param in self.params]
        else:
            torch._foreach_copy_(self.kept, self.params)

    def restore(self):
        """Go back to the parameters noted last, if any were."""
        if self.kept is not None:
            torch._foreach_copy_(self.params, self.kept)


class GradientDescent:
    """Plain gradient steps."""

    def __init__(self, param_groups):
        self.param_groups = param_groups

    def reset(self):
        """Forget nothing: there is no state."""

    def state_dict(self):
        """Return the state, which is empty."""
        return {}

    def load_state_dict(self, state):
        """Take an empty state."""

    def minimise(self, problem, steps):
        """Take the steps; return the last known value of the surrogate."""
        for _ in problem.gradients(steps):
            params, _, directions = _directions(self.param_groups)
            # One call for all parameters, which no interrupt can fall into.
            torch._foreach_sub_(params, directions)
        return problem.last_value


class Armijo:
    r"""Gradient steps whose size is reduced until the decrease is sufficient.

    Accepts a when :math:`s(\theta - a g) \le s(\theta) - c\,a \|g\|^2`. The parabola
    through the values and the slope proposes the next size, whether it was accepted or
    not. The forward pass of an accepted trial serves the next gradient.

    Parameters
    ----------
    param_groups : list of dict
        Groups of parameters; their "lr" is the first trial.
    **settings
        ``decrease`` (c), ``shrink``, ``expand``, ``max_trials``.
    """

    def __init__(self, param_groups, **settings):
        unknown = set(settings) - set(ARMIJO_DEFAULTS)
        if unknown:
            raise ValueError(
                f"inner_kwargs of inner_optimizer='armijo' allows "
                f"{sorted(ARMIJO_DEFAULTS)}, got {sorted(unknown)}."
            )
        self.param_groups = param_groups
        self.settings = ARMIJO_DEFAULTS | settings
        self.reset()

    def reset(self):
        """Start from the learning rates again."""
        self.scale = 1.0

    def state_dict(self):
        """Return the present size, as a multiple of the learning rates."""
        return {"scale": self.scale}

    def load_state_dict(self, state):
        """Set the size."""
        self.scale = state["scale"]

    def minimise(self, problem, steps):
        """Take the steps; return the value of the surrogate after them."""
        targets, value = problem.targets, 0.0
        for _ in range(steps):
            if problem.is_solved(value):
                break
            problem.backward(targets)
            problem.keep()
            found = self._search(problem, value)
            if found is None:
                problem.restore()
                self.reset()
                break
            targets, value = found
            problem.n_steps += 1
        problem.keep()
        return value

    def _search(self, problem, value):
        params, grads, directions = _directions(self.param_groups)
        slope = sum(float(g.ravel() @ d.ravel()) for g, d in zip(grads, directions))
        for _ in range(self.settings["max_trials"] if slope > 0 else 0):
            torch._foreach_add_(params, directions, alpha=-self.scale)
            targets = problem.forward()
            trial = float(problem.value(targets))
            promised = self.scale * slope
            # Of the parabola, in units of the step just tried.
            curvature = trial - value + promised
            best = promised / (2 * curvature) if curvature > 0 else math.inf
            if trial <= value - self.settings["decrease"] * promised:
                self.scale *= min(best, self.settings["expand"])
                return targets, trial
            problem.restore()
            self.scale *= min(max(best, _LEAST_SHRINK), self.settings["shrink"])
        return None


class TorchInner:
    """Steps of an optimiser of torch.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        Has one group for each of `param_groups`.
    param_groups : list of dict
        Groups whose "lr" it follows.
    """

    def __init__(self, optimizer, param_groups):
        self.optimizer, self.param_groups = optimizer, param_groups
        self.state_dict = optimizer.state_dict
        self.load_state_dict = optimizer.load_state_dict

    def reset(self):
        """Forget momentum and the like."""
        self.optimizer.state.clear()

    def minimise(self, problem, steps):
        """Take the steps; return the last known value of the surrogate."""
        for inner, outer in zip(self.optimizer.param_groups, self.param_groups):
            inner["lr"] = outer["lr"]
        for _ in problem.gradients(steps):
            # An interrupt may fall between two parameters of its step.
            problem.keep()
            self.optimizer.step()
        problem.keep()
        return problem.last_value


class _Solved(Exception):
    """Ends the iterations of L-BFGS from within its closure."""


class LBFGS:
    """Iterations of L-BFGS with a line search.

    Parameters
    ----------
    params : list of Tensor
        Parameters.
    **kwargs
        Further arguments of :class:`torch.optim.LBFGS`.
    """

    def __init__(self, params, **kwargs):
        self.optimizer = torch.optim.LBFGS(
            params, **({"line_search_fn": "strong_wolfe"} | kwargs)
        )
        self.state_dict = self.optimizer.state_dict
        self.load_state_dict = self.optimizer.load_state_dict

    def reset(self):
        """Forget the curvature."""
        self.optimizer.state.clear()

    def minimise(self, problem, steps):
        """Iterate; end at the least value seen, and return it."""
        (group,) = self.optimizer.param_groups
        group["max_iter"], group["max_eval"] = steps, 2 * steps + 1
        best = None

        def closure():
            nonlocal best
            targets = problem.targets if best is None else problem.forward()
            value = float(problem.value(targets))
            if best is None or value < best:
                best = value
                problem.keep()
            if problem.is_solved(value):
                raise _Solved
            problem.backward(targets)
            return value

        before = self._n_iterations()
        try:
            with torch.enable_grad():
                self.optimizer.step(closure)
        except _Solved:
            pass
        problem.restore()
        problem.n_steps += self._n_iterations() - before
        return best

    def _n_iterations(self):
        return sum(state.get("n_iter", 0) for state in self.optimizer.state.values())


def _directions(param_groups):
    """Return parameters, their gradients, and these times the learning rates."""
    params, grads, directions = [], [], []
    for group in param_groups:
        moved = [p for p in group["params"] if p.grad is not None]
        if moved:
            params += moved
            grads += [p.grad for p in moved]
            directions += torch._foreach_mul([p.grad for p in moved], group["lr"])
    return params, grads, directions


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
    GradientDescent, Armijo, TorchInner or LBFGS
        The inner optimiser.
    """
    kwargs = dict(kwargs or {})
    if name == "armijo":
        return Armijo(param_groups, **kwargs)
    if name == "sgd" and not kwargs:
        return GradientDescent(param_groups)
    if name in ("lbfgs", torch.optim.LBFGS):
        return LBFGS([p for g in param_groups for p in g["params"]], **kwargs)
    groups = [{"params": g["params"], "lr": g["lr"]} for g in param_groups]
    return TorchInner(_BY_NAME.get(name, name)(groups, **kwargs), param_groups)


def check_inner(name):
    """Raise if there is no such inner optimiser."""
    is_class = isinstance(name, type) and issubclass(name, torch.optim.Optimizer)
    if not is_class and name not in ("armijo", "sgd", "adam", "lbfgs"):
        raise ValueError(
            "inner_optimizer must be 'armijo', 'sgd', 'adam', 'lbfgs' or a class of "
            f"torch optimisers, got {name!r}."
        )
