"""Geodesic steps for bases of subspaces, another optimiser's for all else."""

import inspect
import math
from numbers import Integral, Real

import torch
from torch.optim import Optimizer

from ..heads._orthonormal import orthonormality_error
from ._grassmann_geometry import LARGEST_ERROR_FOR_NEWTON_SCHULZ
from ._grassmann_step import move, prepare_step

_REORTHOGONALIZE = ("polar", "qr", None)
_DTYPES = (torch.float32, torch.float64)


def is_grassmann(parameter):
    """Whether a parameter is tagged to hold bases of subspaces.

    Parameters
    ----------
    parameter : Tensor
        The parameter.

    Returns
    -------
    bool
        Whether it is.
    """
    return getattr(parameter, "manifold", None) == "grassmann"


class MixedOptimizer(Optimizer):
    r"""Geodesic steps for tagged parameters, those of a torch optimiser for the others.

    Parameters with ``manifold == "grassmann"``
    (:class:`~sklogit.heads.GrassmannParameter`) hold orthonormal bases S of subspaces.
    They take the steps of :class:`GrassmannSGD`; every other optimiser would leave the
    manifold. Each group of parameters is split into two by that tag, so that one
    optimiser, as skorch and training loops have it, serves the whole model, and
    learning-rate schedulers scale both groups.

    Parameters
    ----------
    params : iterable
        Parameters, named parameters or groups of them. A group with
        ``"manifold": "grassmann"`` holds bases whether they are tagged or not.
    lr : float, default=0.001
        Learning rate of the other parameters.
    optimizer : class, default=torch.optim.Adam
        Optimiser of the other parameters; its step must need no closure.
    grassmann_lr : float, default=0.05
        Learning rate of the bases.
    grassmann_momentum : float, default=0.9
        Momentum of the bases.
    grassmann_dampening : float, default=0.0
        Dampening of that momentum.
    reorthogonalize : {"polar", "qr"} or None, default="polar"
        How rounding errors of the bases are removed, see :class:`GrassmannSGD`.
    reorth_every : int, default=1
        Once in so many steps.
    maximize : bool, default=False
        Whether to maximise.
    **kwargs
        Further arguments of `optimizer`.

    See Also
    --------
    GrassmannSGD : Momentum SGD for both.
    GrassmannAdamW : AdamW for the others.

    Notes
    -----
    Groups may have entries ``grassmann_lr``, ``momentum``, ``dampening``,
    ``reorthogonalize`` and ``reorth_every`` for their tagged parameters, and those of
    `optimizer` for the others. After the split ``param_groups`` has a group of tagged
    parameters, with ``"manifold": "grassmann"`` and its rate as ``lr``, behind each
    group that had some.

    Examples
    --------
    >>> import torch
    >>> from sklogit.heads import GrassmannHead
    >>> from sklogit.optim import MixedOptimizer
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 6), GrassmannHead(6, 3, 2))
    >>> optimizer = MixedOptimizer(model.parameters(), 0.01, torch.optim.SGD)
    >>> [(group["manifold"], group["lr"]) for group in optimizer.param_groups]
    [(None, 0.01), ('grassmann', 0.05)]
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        optimizer=torch.optim.Adam,
        *,
        grassmann_lr=0.05,
        grassmann_momentum=0.9,
        grassmann_dampening=0.0,
        reorthogonalize="polar",
        reorth_every=1,
        maximize=False,
        **kwargs,
    ):
        _check_optimizer(optimizer)
        if maximize:
            kwargs["maximize"] = True
        self._recipe = optimizer, {"lr": lr, **kwargs}
        self._grassmann_defaults = {
            "lr": grassmann_lr,
            "momentum": grassmann_momentum,
            "dampening": grassmann_dampening,
            "reorthogonalize": reorthogonalize,
            "reorth_every": reorth_every,
            "maximize": maximize,
        }
        check_grassmann_group(self._grassmann_defaults)
        self._other = None
        super().__init__(params, {"manifold": None})
        if not self._groups("grassmann"):
            raise ValueError(
                f"params has no parameter for {type(self).__name__}: bases of "
                "subspaces must be a sklogit.heads.GrassmannParameter, or stand in a "
                "group with 'manifold': 'grassmann'."
            )

    # -- groups ------------------------------------------------------------------------

    def add_param_group(self, param_group):
        """Add parameters; the tagged ones get a group of their own.

        Parameters
        ----------
        param_group : dict
            With "params", and settings for them.

        Raises
        ------
        ValueError
            If a tagged parameter is not orthonormal, or a setting not allowed.
        TypeError
            If a tagged parameter is neither float32 nor float64.
        """
        settings = dict(param_group)
        entries = settings.pop("params")
        manifold = settings.pop("manifold", None)
        grassmann_lr = settings.pop("grassmann_lr", None)
        entries = [entries] if isinstance(entries, torch.Tensor) else list(entries)
        if manifold not in (None, "grassmann"):
            raise ValueError(f"manifold must be None or 'grassmann', got {manifold!r}.")
        tagged, others = [], []
        for entry in entries:
            parameter = entry[1] if isinstance(entry, tuple) else entry
            on_manifold = manifold == "grassmann" or is_grassmann(parameter)
            (tagged if on_manifold else others).append(entry)
            if on_manifold:
                _check_bases(parameter)
        defaults = self._other_optimizer().defaults
        if tagged:
            if manifold == "grassmann" and grassmann_lr is None:
                grassmann_lr = settings.get("lr")
            own = self._settings_of_bases(settings, grassmann_lr, defaults)
        if others:
            self._append(others, None, {**defaults, **settings})
        if tagged:
            self._append(tagged, "grassmann", own)

    def _settings_of_bases(self, settings, lr, of_others):
        """Those of a group that bases know, and those that nobody knows."""
        self._check_refused(settings)
        known = self._grassmann_defaults
        kept = {
            name: value
            for name, value in settings.items()
            if name in known or name not in of_others
        }
        own = {**known, **kept, "lr": known["lr"] if lr is None else lr}
        check_grassmann_group(own)
        return own

    def _append(self, entries, manifold, settings):
        group = {"params": entries, "manifold": manifold, **settings}
        super().add_param_group(group)

    def _check_refused(self, settings):
        """Raise an error for settings of a group that bases cannot have."""

    def _groups(self, manifold):
        return [g for g in self.param_groups if g["manifold"] == manifold]

    def _other_optimizer(self):
        """Return the optimiser of the other parameters, with our groups and state."""
        if self._other is None:
            optimizer, kwargs = self._recipe
            # It gets its parameters, which pickles and state dicts replace, below.
            self._other = optimizer([torch.zeros(1, requires_grad=True)], **kwargs)
        self._other.param_groups = self._groups(None)
        self._other.state = self.state
        return self._other

    def __getstate__(self):
        own = ("_recipe", "_grassmann_defaults")
        return super().__getstate__() | {name: vars(self)[name] for name in own}

    def __setstate__(self, state):
        super().__setstate__(state)
        self._other = None

    # -- steps -------------------------------------------------------------------------

    @torch.no_grad()
    def step(self, closure=None):
        """Take a step.

        Parameters
        ----------
        closure : callable, default=None
            Evaluates the loss again, gradients included.

        Returns
        -------
        Tensor or None
            The loss of the closure.

        Raises
        ------
        ValueError
            If gradients are sparse, or a step is so long that its angles mean nothing;
            all parameters stay as they were, the momentum of bases is forgotten.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        found = [
            (parameter, group)
            for group in self._groups("grassmann")
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        if any(parameter.grad.is_sparse for parameter, _ in found):
            raise ValueError(f"{type(self).__name__} takes no sparse gradients.")
        # All of them before any moves: one without a valid step holds up the others.
        steps = [self._prepared(parameter, group) for parameter, group in found]
        for step in steps:
            self._move(*step)
        if self._groups(None):
            self._other_optimizer().step()
        return loss

    def _prepared(self, parameter, group):
        """Add the gradient to the momentum, and find what `_move` needs."""
        state = self.state[parameter]
        M = state.get("momentum_buffer")
        first = M is None
        if first:
            M = torch.empty_like(parameter, memory_format=torch.preserve_format)
        stacks = [_as_stack(v) for v in (parameter.detach(), parameter.grad, M)]
        lr = float(group["lr"])
        due = (state.get("step", 0) + 1) % group["reorth_every"] == 0
        how = group["reorthogonalize"] if due else None
        try:
            coefficients = prepare_step(
                *stacks, first, -lr if group["maximize"] else lr, group, how
            )
        except FloatingPointError as error:
            self._forget_momentum()
            raise ValueError(
                f"Bases of subspaces cannot take a step with lr={lr:.3g}: {error}"
            ) from error
        return parameter, stacks[0], M, stacks[2], coefficients, bool(group["momentum"])

    def _move(self, parameter, S, momentum, M, coefficients, keep):
        keep = keep or "momentum_buffer" in self.state[parameter]
        move(S, M, coefficients, keep)
        state = self.state[parameter]
        state["step"] = state.get("step", 0) + 1
        if keep:
            state["momentum_buffer"] = momentum
        for values, stack in ((parameter.detach(), S), (momentum, M)):
            if values.data_ptr() != stack.data_ptr():  # leading axes did not merge
                values.copy_(stack.view_as(values))

    def _forget_momentum(self):
        """Drop it where it may hold a gradient that no step was taken with."""
        for group in self._groups("grassmann"):
            for parameter in group["params"]:
                self.state[parameter].pop("momentum_buffer", None)


def _as_stack(values):
    """Values of shape (m, n, k); a view where leading axes can be merged."""
    return values.reshape(-1, *values.shape[-2:]) if values.ndim != 3 else values


def _check_optimizer(optimizer):
    if not (isinstance(optimizer, type) and issubclass(optimizer, Optimizer)):
        raise TypeError(f"optimizer must be a class of torch.optim, got {optimizer!r}.")
    closure = list(inspect.signature(optimizer.step).parameters.values())[1:2]
    if closure and closure[0].default is inspect.Parameter.empty:
        raise ValueError(
            f"optimizer={optimizer.__name__} cannot be combined with steps on a "
            "manifold: its own step needs a closure."
        )


def check_grassmann_group(settings):
    """Raise an error for a setting of bases that is not allowed.

    Parameters
    ----------
    settings : dict
        Settings by name.

    Raises
    ------
    ValueError
        If one is not allowed.
    """
    lr, momentum = settings["lr"], settings["momentum"]
    if not (isinstance(lr, Real | torch.Tensor) and 0 <= lr < math.inf):
        raise ValueError(f"lr of bases must be finite and not negative, got {lr!r}.")
    if not (isinstance(momentum, Real) and 0 <= momentum < 1):
        raise ValueError(f"momentum must be in [0, 1), got {momentum!r}.")
    dampening = settings["dampening"]
    if not (isinstance(dampening, Real) and 0 <= dampening <= 1):
        raise ValueError(f"dampening must be in [0, 1], got {dampening!r}.")
    if settings["reorthogonalize"] not in _REORTHOGONALIZE:
        raise ValueError(
            f"reorthogonalize must be among {_REORTHOGONALIZE}, got "
            f"{settings['reorthogonalize']!r}."
        )
    every = settings["reorth_every"]
    if not isinstance(every, Integral) or every < 1:
        raise ValueError(f"reorth_every must be an integer >= 1, got {every!r}.")


def _check_bases(parameter):
    shape = tuple(parameter.shape)
    if parameter.ndim < 2 or shape[-1] > shape[-2]:
        raise ValueError(
            f"bases of subspaces must have shape (..., n, k) with k <= n, got {shape}."
        )
    if parameter.dtype not in _DTYPES:
        raise TypeError(
            f"bases of subspaces must be float32 or float64, got {parameter.dtype}: in "
            "half precision they are not orthonormal; use autocast."
        )
    if parameter.is_meta or not parameter.numel():
        return
    error = orthonormality_error(parameter.detach())
    if not error <= LARGEST_ERROR_FOR_NEWTON_SCHULZ:
        raise ValueError(
            "bases of subspaces must be orthonormal, but S^T S - I has an entry of "
            f"{error:.3g}: replace them by those of torch.linalg.qr."
        )
