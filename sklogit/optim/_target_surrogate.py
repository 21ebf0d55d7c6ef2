"""Many steps of the parameters for one call of the loss."""

from collections.abc import Callable

import torch
from torch.optim import Optimizer

from ._inner import Armijo, check_inner, make_inner
from ._oracle_contract import call_oracle, check_budget, split_closure
from ._repeated_forward import RepeatedForward
from ._step_rules import STEP_RULES, scheduled_eta

# Key of our own entry in the state of the optimiser, beside those of parameters.
_OWN = "target_surrogate"
# Sufficient decrease in target space, of step_rule="armijo".
_DECREASE, _SHRINK, _MAX_TRIALS = 0.1, 0.5, 60


class TargetSurrogate(Optimizer):
    r"""Minimise a loss that is expensive to call, through surrogates in target space.

    One call of the oracle at the targets :math:`z = f(\theta_t)` (logits, means) gives
    the gradient :math:`G_i` of every sample's loss. Then `inner_steps` steps of an
    inner optimiser decrease

    .. math:: s(\theta) = \frac1n \sum_i \langle G_i, f_i(\theta) - z_i\rangle
        + \frac{1}{2\eta} \|f_i(\theta) - z_i\|^2 ,

    without any further call [1]_. If each loss has an L-Lipschitz gradient and
    :math:`\eta \le 1/L`, every decrease of s is one of the loss. With one inner
    gradient step it is gradient descent of learning rate `lr`, whatever `eta` is.

    Parameters
    ----------
    params : iterable
        Parameters or groups of parameters.
    lr : float, default=0.1
        Learning rate of the inner optimiser; "armijo" finds its own. Schedulers act on
        it.
    eta : float, default=1.0
        Step in target space: 4 is 1/L of the logistic loss, 2 of the softmax
        cross-entropy, 1 of half the squared error. Kept in ``param_groups[0]["eta"]``.
    inner_steps : int, default=10
        Steps of the inner optimiser for each call of the oracle.
    inner_optimizer : {"armijo", "sgd", "adam", "lbfgs"} or class, default="armijo"
        "armijo" is gradient descent with backtracking.
    inner_kwargs : dict or None, default=None
        Further arguments of the inner optimiser.
    step_rule : str, default="constant"
        How `eta` changes: "constant"; "sqrt" and "exponential" let it decay with the
        number of steps; "adagrad" with the sum of the squared gradients; "armijo"
        backtracks on the loss in target space, "adaptive" halves it when the loss after
        the step exceeds the bound that the surrogate promised, and doubles it
        otherwise. The last two make further, counted calls, and suit losses without
        noise.
    metric : callable or None, default=None
        ``metric(z, G)`` gives positive weights of the quadratic term, of the shape of
        z: a diagonal Newton metric.
    reset_inner : bool, default=True
        Whether the inner optimiser forgets its state at every outer step.
    inner_tol : float or None, default=None
        Stop the inner steps when s, measured from its least possible value, has fallen
        to this part, squared, of its start [2]_.
    reduction : {"mean", "sum"}, default="mean"
        Whether the oracle's loss is the mean or the sum over the samples.
    max_eta, min_eta : float, default=1e4 and 1e-4
        Limits of `eta` under "armijo" and "adaptive".
    total_steps : int or None, default=None
        Steps planned; needed by "exponential".
    deterministic_forward : bool, default=True
        Whether dropout keeps its mask within one outer step, and running statistics
        move once.
    max_oracle_calls : int or None, default=None
        Budget: a call beyond it raises `OracleBudgetExceeded` instead.

    Attributes
    ----------
    n_oracle_calls : int
        Calls of the oracle so far.
    n_inner_steps : int
        Inner steps so far.
    n_forward_calls : int
        Forward passes so far.
    last_surrogate_decrease : float
        Decrease of the surrogate in the last outer step.

    See Also
    --------
    sklogit.neural.SurrogateNetClassifier : A net trained by it.
    sklogit.linear_model.TargetSurrogateClassifier : Linear models, without torch.

    Notes
    -----
    The configuration stands in ``defaults`` and ``param_groups``, counters and the
    inner optimiser in ``state_dict``: training that is resumed from it, or from a
    pickle, goes on as if it had not been interrupted.

    An error or Ctrl-C within a step leaves the parameters as they were before it.

    References
    ----------
    .. [1] "Target-based Surrogates for Stochastic Optimization", arXiv:2302.02607.
    .. [2] "Solving Hidden Monotone Variational Inequalities with Surrogate Losses",
       arXiv:2411.05228.

    Examples
    --------
    >>> import torch
    >>> from sklogit.optim import TargetSurrogate
    >>> _ = torch.manual_seed(0)
    >>> X = torch.randn(50, 3)
    >>> y = X @ torch.tensor([[1.0], [-2.0], [0.5]])
    >>> net = torch.nn.Linear(3, 1)
    >>> optimizer = TargetSurrogate(net.parameters(), eta=1.0, inner_steps=20)
    >>> for _ in range(3):
    ...     loss = optimizer.step(
    ...         lambda: net(X), lambda z: ((z - y) ** 2).sum(dim=1).mean() / 2
    ...     )
    >>> optimizer.n_oracle_calls, loss < 1e-3
    (3, True)
    """

    def __init__(
        self,
        params,
        lr=0.1,
        *,
        eta=1.0,
        inner_steps=10,
        inner_optimizer="armijo",
        inner_kwargs=None,
        step_rule="constant",
        metric=None,
        reset_inner=True,
        inner_tol=None,
        reduction="mean",
        max_eta=1e4,
        min_eta=1e-4,
        total_steps=None,
        deterministic_forward=True,
        max_oracle_calls=None,
    ):
        defaults = {k: v for k, v in locals().items() if k not in ("self", "params")}
        defaults.pop("__class__", None)
        _check(defaults)
        super().__init__(params, defaults)
        self._inner = None
        self._last = None

    # -- counters --------------------------------------------------------------------

    @property
    def n_oracle_calls(self):
        """Calls of the oracle so far."""
        return self._own["n_oracle_calls"]

    @property
    def n_inner_steps(self):
        """Inner steps so far."""
        return self._own["n_inner_steps"]

    @property
    def n_forward_calls(self):
        """Forward passes so far."""
        return self._own["n_forward_calls"]

    @property
    def last_surrogate_decrease(self):
        """Decrease of the surrogate in the last outer step."""
        return self._own["last_surrogate_decrease"]

    @property
    def _own(self):
        return self.state.setdefault(
            _OWN,
            {
                "n_oracle_calls": 0,
                "n_inner_steps": 0,
                "n_forward_calls": 0,
                "n_steps": 0,
                "squares": 0.0,
                "last_surrogate_decrease": 0.0,
                "inner": None,
            },
        )

    # -- state -----------------------------------------------------------------------

    def state_dict(self):
        """Return the state, that of the inner optimiser included.

        Returns
        -------
        dict
            For `load_state_dict`.
        """
        self._save_inner()
        return super().state_dict()

    def load_state_dict(self, state_dict):
        """Continue from a state.

        Parameters
        ----------
        state_dict : dict
            From `state_dict` of an optimiser of the same parameters.
        """
        super().load_state_dict(state_dict)
        self._inner = self._last = None

    def __getstate__(self):
        self._save_inner()
        return super().__getstate__()

    def __setstate__(self, state):
        super().__setstate__(state)
        self._inner = self._last = None

    def _save_inner(self):
        if self._inner is not None and not self.defaults["reset_inner"]:
            self._own["inner"] = self._inner.state_dict()

    def _inner_optimizer(self):
        """Return the inner optimiser with the present learning rates."""
        config = self.defaults
        if self._inner is None or config["reset_inner"]:
            self._inner = make_inner(
                config["inner_optimizer"], self.param_groups, config["inner_kwargs"]
            )
            saved = self._own["inner"]
            if saved is not None and not config["reset_inner"]:
                self._inner.load_state_dict(saved)
        if isinstance(self._inner, Optimizer):
            for inner, outer in zip(self._inner.param_groups, self.param_groups):
                inner["lr"] = outer["lr"]
        return self._inner

    # -- the step --------------------------------------------------------------------

    def step(self, forward, oracle=None):
        """Call the oracle once and take the inner steps.

        Parameters
        ----------
        forward : callable
            ``forward()`` returns the targets, a tensor whose first axis is that of the
            samples, with their graph. Or, if `oracle` is None, a closure that returns a
            pair of targets and oracle.
        oracle : callable or None, default=None
            ``oracle(z)`` returns the loss of detached targets z as a tensor, or a pair
            of the loss and its gradient with respect to z, as tensors or arrays.

        Returns
        -------
        float
            The loss before the step.

        Raises
        ------
        TypeError, ValueError
            If the oracle returns something else or a value that is not finite.
        OracleBudgetExceeded
            If the budget is spent.
        """
        if not isinstance(forward, Callable):
            raise TypeError(
                "step needs forward(), which returns the targets, and oracle(targets); "
                f"got forward={forward!r}."
            )
        if oracle is None:
            forward, oracle = split_closure(forward)
        start = [p.detach().clone() for p in self._params()]
        repeated = RepeatedForward(forward, self.defaults["deterministic_forward"])
        try:
            loss = self._step(repeated, oracle, start)
        except BaseException:
            self._set_params(start)
            self._last = None
            raise
        finally:
            repeated.restore()
            self._own["n_forward_calls"] += repeated.n_calls
        self._own["n_steps"] += 1
        return loss

    def _step(self, forward, oracle, start):
        targets = forward()
        z = targets.detach().clone()
        loss, gradient = self._call(oracle, z, reuse=True)
        eta = self._eta(oracle, z, loss, gradient)
        while True:
            decrease = self._minimise(forward, targets, z, gradient, eta)
            self._own["last_surrogate_decrease"] = decrease
            if self.defaults["step_rule"] != "adaptive":
                return loss
            moved = forward().detach().clone()
            if self._keeps_promise(oracle, z, loss, gradient, moved, eta):
                self.param_groups[0]["eta"] = min(2 * eta, self.defaults["max_eta"])
                return loss
            self._set_params(start)
            if eta <= self.defaults["min_eta"]:
                return loss
            eta = max(eta / 2, self.defaults["min_eta"])
            self.param_groups[0]["eta"] = eta
            targets = forward()

    def _call(self, oracle, z, reuse=False):
        """Call the oracle, unless the last accepted trial was made at these targets."""
        if reuse and self._last is not None and torch.equal(self._last[0], z):
            return self._last[1:]
        check_budget(self.n_oracle_calls, self.defaults["max_oracle_calls"], oracle)
        self._own["n_oracle_calls"] += 1
        return call_oracle(oracle, z, self.defaults["reduction"])

    def _eta(self, oracle, z, loss, gradient):
        """Step in target space."""
        rule, eta = self.defaults["step_rule"], self.param_groups[0]["eta"]
        square = float((gradient * gradient).sum()) / len(z)
        self._own["squares"] += square
        if rule == "armijo":
            return self._backtracked_eta(oracle, z, loss, gradient, square, eta)
        return scheduled_eta(
            rule,
            eta,
            self._own["n_steps"],
            self.defaults["total_steps"],
            self._own["squares"],
        )

    def _backtracked_eta(self, oracle, z, loss, gradient, square, eta):
        for _ in range(_MAX_TRIALS):
            trial, _ = self._call(oracle, z - eta * gradient)
            if self._mean(trial - loss, z) <= -_DECREASE * eta * square:
                break
            if eta <= self.defaults["min_eta"]:
                break
            eta = max(eta * _SHRINK, self.defaults["min_eta"])
        self.param_groups[0]["eta"] = min(eta / _SHRINK, self.defaults["max_eta"])
        return eta

    def _keeps_promise(self, oracle, z, loss, gradient, moved, eta):
        new_loss, new_gradient = self._call(oracle, moved)
        step = moved - z
        bound = float((gradient * step + step * step / (2 * eta)).sum()) / len(z)
        kept = self._mean(new_loss - loss, z) <= bound + 1e-12 + 1e-6 * abs(bound)
        if kept:
            self._last = (moved, new_loss, new_gradient)
        return kept

    def _mean(self, value, z):
        return value / len(z) if self.defaults["reduction"] == "sum" else value

    def _minimise(self, forward, targets, z, gradient, eta):
        """Take the inner steps; return by how much the surrogate has fallen."""
        # AMP may give targets of half precision, too coarse for their differences.
        wide = torch.promote_types(z.dtype, torch.float32)
        weight = self._weight(z, gradient)
        goal = z.to(wide) - eta * gradient.to(wide) / weight

        def value_of(targets):
            error = targets.to(wide) - goal
            return (weight * error * error).sum() / (2 * eta * len(z))

        inner = self._inner_optimizer()
        first = float(value_of(z))
        stop = -1.0
        if self.defaults["inner_tol"] is not None:
            stop = self.defaults["inner_tol"] ** 2 * first
        last = self._inner_steps(inner, forward, targets, value_of, stop)
        return first - last

    def _inner_steps(self, inner, forward, targets, value_of, stop):
        """Run the inner optimiser; return the last known value of the surrogate."""
        steps = self.defaults["inner_steps"]
        if isinstance(inner, torch.optim.LBFGS):
            return self._lbfgs(inner, forward, value_of, steps)
        value = value_of(targets)
        for k in range(steps):
            inner_value = float(value.detach())
            if inner_value <= stop:
                break
            self.zero_grad(set_to_none=True)
            value.backward()
            self._own["n_inner_steps"] += 1
            if isinstance(inner, Armijo):
                value = inner.step(inner_value, lambda: value_of(forward()))
                if value is None:
                    return inner_value
            else:
                inner.step()
                if k + 1 < steps:
                    value = value_of(forward())
        return float(value.detach())

    def _lbfgs(self, inner, forward, value_of, steps):
        inner.param_groups[0]["max_iter"] = steps
        inner.param_groups[0]["max_eval"] = steps * 5 // 4
        last = None

        def closure():
            nonlocal last
            self.zero_grad(set_to_none=True)
            value = value_of(forward())
            value.backward()
            last = float(value.detach())
            return value

        inner.step(closure)
        self._own["n_inner_steps"] += steps
        return last

    def _weight(self, z, gradient):
        """Weights of the quadratic term."""
        metric = self.defaults["metric"]
        if metric is None:
            return 1.0
        weight = metric(z, gradient)
        if not (isinstance(weight, torch.Tensor) and weight.shape == z.shape):
            found = getattr(weight, "shape", type(weight).__name__)
            raise ValueError(
                f"metric must return a tensor of shape {tuple(z.shape)}, got {found}."
            )
        if not ((weight > 0) & torch.isfinite(weight)).all():
            raise ValueError("metric must return positive finite weights.")
        return weight.detach()

    def _params(self):
        return [p for group in self.param_groups for p in group["params"]]

    @torch.no_grad()
    def _set_params(self, values):
        for param, value in zip(self._params(), values):
            param.copy_(value)


def _check(config):
    """Raise ValueError for a parameter that is not allowed."""
    check_inner(config["inner_optimizer"])
    for name, allowed in (("step_rule", STEP_RULES), ("reduction", ("mean", "sum"))):
        if config[name] not in allowed:
            raise ValueError(f"{name} must be among {allowed}, got {config[name]!r}.")
    for name in ("lr", "eta", "min_eta", "max_eta", "inner_steps"):
        if not config[name] > 0:
            raise ValueError(f"{name} must be positive, got {config[name]!r}.")
    if int(config["inner_steps"]) != config["inner_steps"]:
        raise ValueError(
            f"inner_steps must be an integer, got {config['inner_steps']!r}."
        )
    tol = config["inner_tol"]
    if tol is not None and not 0 < tol < 1:
        raise ValueError(f"inner_tol must be None or between 0 and 1, got {tol!r}.")
    if config["step_rule"] == "exponential" and not config["total_steps"]:
        raise ValueError("step_rule='exponential' needs total_steps, got None.")
    if config["step_rule"] == "adaptive" and config["metric"] is not None:
        raise ValueError("step_rule='adaptive' allows no metric.")


SSO = TargetSurrogate
