"""Many steps of the parameters for one call of the loss."""

import math
import warnings
from copy import deepcopy
from typing import NamedTuple

import torch
from sklearn.exceptions import ConvergenceWarning
from torch.optim import Optimizer

from ._inner import InnerProblem, make_inner
from ._oracle_contract import (
    are_same,
    call_oracle,
    check_budget,
    same_oracle_parts,
    split_closure,
)
from ._quadratic import QuadraticSurrogate
from ._repeated_forward import RepeatedForward
from ._step_rules import backtracked_eta, grown_eta, scheduled_eta
from ._validation import check_config, detached_targets, metric_weights

# Key of our own entry in the state of the optimiser, beside those of parameters.
_OWN = "target_surrogate"
_FRESH = {
    "n_oracle_calls": 0,
    "n_inner_steps": 0,
    "n_forward_calls": 0,
    "n_steps": 0,
    "squares": 0.0,
    "last_surrogate_decrease": 0.0,
    "inner": None,
}
_GROUP_SETTINGS = ("lr", "eta")


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
        Learning rate of the inner optimiser; for "armijo" its first trial in every
        outer step, for "lbfgs" without effect. Schedulers act on it.
    eta : float, default=1.0
        Step in target space: 4 is 1/L of the logistic loss, 2 of the softmax
        cross-entropy, 1 of half the squared error. It stands in ``param_groups``, the
        same in all; rules that search for it change it there.
    inner_steps : int, default=10
        Steps of the inner optimiser for each call of the oracle.
    inner_optimizer : {"armijo", "sgd", "adam", "lbfgs"} or class, default="armijo"
        "armijo" is gradient descent with backtracking, "lbfgs" has a line search too:
        these two never increase the surrogate.
    inner_kwargs : dict or None, default=None
        Further arguments of the inner optimiser. Those of "armijo" are "decrease",
        "shrink", "expand" and "max_trials".
    step_rule : str, default="constant"
        How `eta` changes: "constant"; "sqrt" and "exponential" let it decay with the
        number of steps; "adagrad" with the sum of the squared gradients; "armijo"
        backtracks on the loss in target space, "adaptive" takes the step back and
        halves it when the loss exceeds the bound that the surrogate promised, and
        doubles it otherwise. The last two make further, counted calls, and suit losses
        without noise.
    metric : callable or None, default=None
        ``metric(z, G)`` gives positive weights of the quadratic term, of the shape of
        z: a diagonal Newton metric, or sample weights.
    reset_inner : bool, default=True
        Whether the inner optimiser forgets its state at every outer step.
    inner_tol : float or None, default=None
        Stop the inner steps when s, measured from its least possible value, has fallen
        to this part, squared, of its start [2]_.
    reduction : {"mean", "sum"}, default="mean"
        Whether the oracle's loss, and the gradient it returns, is that of the mean or
        of the sum over the samples.
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
        Decrease of the surrogate in the last outer step; with "sgd", "adam" and classes
        as far as the last but one inner iterate, where it was evaluated last.

    See Also
    --------
    sklogit.neural.SurrogateNetClassifier : A net trained by it.
    sklogit.linear_model.TargetSurrogateClassifier : Linear models, without torch.

    Notes
    -----
    When `eta` matters: from the second inner step on. The first gradient of s is that
    of the loss, so with ``inner_steps=1`` and "sgd" this is SGD; the more the inner
    steps minimise s, the more the step becomes one of length `eta` in target space,
    projected on what the model can reach. Above 1/L the bound is lost, but often speed
    is gained; "adaptive" checks it.

    One outer step costs one call of the oracle and, for each inner step, one forward
    and one backward pass, the first of which serves the oracle too; "armijo" adds one
    forward pass, and one for each trial refused.

    The configuration stands in ``defaults``, ``lr`` and ``eta`` in ``param_groups``
    (what else is put there moves to ``defaults`` at the next step), counters and the
    inner optimiser in ``state_dict``: training that is resumed from it, or from a
    pickle, goes on as if it had not been interrupted. Only "adaptive" then repeats the
    one call whose result it would have used again: it does so when the targets of the
    next step, and the tensors, arrays and other objects that the oracle refers to, are
    unchanged. It does not look into lists, modules and the like.

    An error or Ctrl-C within a step leaves the parameters at the last inner iterate
    that was reached, under "adaptive" as they were before the step; never between.

    Under automatic mixed precision the oracle and the surrogate get the targets in
    float32. Gradient scalers do not apply.

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
        config = {
            k: v
            for k, v in locals().items()
            if k not in ("self", "params", "__class__")
        }
        check_config(config)
        super().__init__(params, {name: config[name] for name in _GROUP_SETTINGS})
        # Only now: the groups, which checkpoints hold, need no classes and functions.
        self.defaults.update(config)
        # Made at the first step; a wrong argument must not cost a call until then.
        make_inner(inner_optimizer, self.param_groups, inner_kwargs)

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
        if _OWN not in self.state:
            self.state[_OWN] = dict(_FRESH)
        return self.state[_OWN]

    # -- state -----------------------------------------------------------------------

    def add_param_group(self, param_group):
        """Add a group of parameters.

        Parameters
        ----------
        param_group : dict
            Its "params" and, if they differ, its "lr" and "eta".
        """
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        for name in set(group) & set(self.defaults) - set(_GROUP_SETTINGS):
            del group[name]
        self._inner = self._last = None

    def state_dict(self):
        """Return the state, that of the inner optimiser included.

        Returns
        -------
        dict
            For `load_state_dict`; the counters are copies.
        """
        self._save_inner()
        packed = super().state_dict()
        if _OWN in packed["state"]:
            packed["state"] = packed["state"] | {_OWN: deepcopy(self._own)}
        return packed

    def load_state_dict(self, state_dict):
        """Continue from a state.

        Parameters
        ----------
        state_dict : dict
            From `state_dict` of an optimiser of the same parameters.
        """
        super().load_state_dict(state_dict)
        if _OWN in self.state:
            self.state[_OWN] = deepcopy(self.state[_OWN])
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
        """Return the inner optimiser, made at the first step."""
        config = self.defaults
        if self._inner is None:
            self._inner = make_inner(
                config["inner_optimizer"], self.param_groups, config["inner_kwargs"]
            )
            if self._own["inner"] is not None and not config["reset_inner"]:
                self._inner.load_state_dict(deepcopy(self._own["inner"]))
        if config["reset_inner"]:
            self._inner.reset()
        return self._inner

    def _take_settings_of_groups(self):
        """Give effect to settings that were put into the groups, as skorch does."""
        allowed = set(self.defaults) - set(_GROUP_SETTINGS)
        found = {k: v for g in self.param_groups for k, v in g.items() if k in allowed}
        if not found:
            return
        check_config(self.defaults | found)
        self.defaults.update(found)
        for group in self.param_groups:
            for name in allowed & set(group):
                del group[name]
        if {"inner_optimizer", "inner_kwargs"} & set(found):
            self._inner = self._own["inner"] = None

    # -- the step --------------------------------------------------------------------

    @torch.no_grad()
    def step(self, forward, oracle=None, *, on_gradient=None):
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
        on_gradient : callable or None, default=None
            Called without arguments before each inner step, when the parameters have
            the gradient of the surrogate: the place to clip it.

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
        if not callable(forward):
            raise TypeError(
                "step needs forward(), which returns the targets, and oracle(targets); "
                f"got forward={forward!r}."
            )
        if oracle is None:
            forward, oracle = split_closure(forward)
        self._take_settings_of_groups()
        repeated = RepeatedForward(forward, self._repeats(), self._devices())
        try:
            loss = self._step(repeated, oracle, on_gradient)
        except BaseException:
            self._last = None
            raise
        finally:
            repeated.finish()
            self._own["n_forward_calls"] += repeated.n_calls
        self._own["n_steps"] += 1
        return loss

    def _step(self, forward, oracle, on_gradient):
        targets = forward()
        z = detached_targets(targets)
        loss, gradient = self._loss_at(oracle, z)
        weight = metric_weights(self.defaults["metric"], z, gradient)
        eta = self._eta(oracle, z, loss, gradient, weight)
        if self.defaults["step_rule"] == "adaptive":
            bound = _Bound(z, loss, gradient, weight)
            self._adaptive(forward, targets, oracle, bound, eta, on_gradient)
        else:
            surrogate = QuadraticSurrogate(z, gradient, eta, weight)
            self._minimise(forward, targets, surrogate, on_gradient)
        return loss

    def _minimise(self, forward, targets, surrogate, on_gradient):
        """Take the inner steps on a surrogate."""
        tol, floor = self.defaults["inner_tol"], -math.inf
        if tol is not None:
            floor = (tol**2 - 1) * surrogate.depth
        params = [p for p in self._params() if p.requires_grad]
        problem = InnerProblem(forward, targets, surrogate, params, floor, on_gradient)
        try:
            value = self._inner_optimizer().minimise(
                problem, self.defaults["inner_steps"]
            )
        except BaseException:
            problem.restore()
            raise
        finally:
            self._own["n_inner_steps"] += problem.n_steps
        self._own["last_surrogate_decrease"] = -float(value)

    def _adaptive(self, forward, targets, oracle, bound, eta, on_gradient):
        """Minimise surrogates of smaller steps, until the loss obeys one."""
        params = self._params()
        start = [p.detach().clone() for p in params]
        inner_start = deepcopy(self._inner_optimizer().state_dict())
        while True:
            surrogate = QuadraticSurrogate(bound.z, bound.gradient, eta, bound.weight)
            try:
                self._minimise(forward, targets, surrogate, on_gradient)
                moved = detached_targets(forward())
                new_loss, new_gradient = self._call(oracle, moved)
            except BaseException:
                torch._foreach_copy_(params, start)
                raise
            promise = min(float(surrogate.value(moved)), 0.0)
            rounding = torch.finfo(moved.dtype).eps * abs(bound.loss)
            if self._mean(new_loss - bound.loss - rounding, moved) <= promise:
                parts = same_oracle_parts(oracle)
                self._last = _Evaluation(moved, new_loss, new_gradient, parts)
                self._set_eta(grown_eta(eta, self.defaults["max_eta"]))
                return
            torch._foreach_copy_(params, start)
            self._inner.load_state_dict(deepcopy(inner_start))
            if eta <= self.defaults["min_eta"]:
                self._own["last_surrogate_decrease"] = 0.0
                _warn_no_step(eta)
                return
            eta = max(eta / 2, self.defaults["min_eta"])
            self._set_eta(eta)
            targets = forward()

    # -- loss and step size ----------------------------------------------------------

    def _loss_at(self, oracle, z):
        """Call the oracle, unless it was called at these targets as the last trial."""
        last = self._last
        if (
            last is not None
            and last.z.shape == z.shape
            and torch.equal(last.z, z)
            and are_same(last.oracle_parts, same_oracle_parts(oracle))
        ):
            return last.loss, last.gradient
        return self._call(oracle, z)

    def _call(self, oracle, z, with_gradient=True):
        check_budget(self.n_oracle_calls, self.defaults["max_oracle_calls"], oracle)
        self._own["n_oracle_calls"] += 1
        return call_oracle(oracle, z, self.defaults["reduction"], with_gradient)

    def _eta(self, oracle, z, loss, gradient, weight):
        """Step in target space."""
        rule, eta = self.defaults["step_rule"], self._base_eta()
        if rule not in ("armijo", "adagrad"):
            return scheduled_eta(
                rule, eta, self._own["n_steps"], self.defaults["total_steps"], 0.0
            )
        direction = gradient if weight is None else gradient / weight
        square = float((gradient * direction).sum()) / len(z)
        if rule == "adagrad":
            self._own["squares"] += square
            return scheduled_eta(rule, eta, 0, None, self._own["squares"])

        def loss_change(step):
            trial, _ = self._call(oracle, z - step * direction, with_gradient=False)
            return self._mean(trial - loss, z)

        eta = backtracked_eta(loss_change, square, eta, self.defaults["min_eta"])
        self._set_eta(grown_eta(eta, self.defaults["max_eta"]))
        return eta

    def _base_eta(self):
        etas = {float(group["eta"]) for group in self.param_groups}
        if len(etas) > 1:
            raise ValueError(
                "eta is a step of the targets, which all parameters share; it must be "
                f"the same in all param_groups, got {sorted(etas)}."
            )
        return etas.pop()

    def _set_eta(self, eta):
        for group in self.param_groups:
            group["eta"] = eta

    def _mean(self, value, z):
        return value / len(z) if self.defaults["reduction"] == "sum" else value

    # -- parameters ------------------------------------------------------------------

    def _params(self):
        return [p for group in self.param_groups for p in group["params"]]

    def _devices(self):
        return {p.device for p in self._params()}

    def _repeats(self):
        """Whether repeated forward passes must be made alike: not if there are none."""
        config = self.defaults
        once = config["inner_steps"] == 1 and not (
            config["inner_optimizer"] in ("armijo", "lbfgs", torch.optim.LBFGS)
            or config["step_rule"] == "adaptive"
        )
        return config["deterministic_forward"] and not once


class _Evaluation(NamedTuple):
    """Loss and gradient at targets, and what computed them."""

    z: torch.Tensor
    loss: float
    gradient: torch.Tensor
    oracle_parts: list


class _Bound(NamedTuple):
    """What a surrogate needs to know except its step size."""

    z: torch.Tensor
    loss: float
    gradient: torch.Tensor
    weight: torch.Tensor | None


def _warn_no_step(eta):
    warnings.warn(
        f"No step was taken: the loss exceeds the bound of the surrogate even for "
        f"min_eta={eta}. The loss or its gradient is noisy or wrong, the lr of the "
        "inner steps too large, or a minimum is reached.",
        ConvergenceWarning,
        stacklevel=6,
    )


SSO = TargetSurrogate
