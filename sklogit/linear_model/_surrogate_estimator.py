"""What the classifier and the regressor by target-based surrogates share."""

import warnings
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.callback import CallbackSupportMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, validate_data

from .._oracle import oracle_name
from ._surrogate_driver import (
    CLOSED_LOOP,
    OPEN_LOOP,
    SurrogateFit,
    SurrogateOptions,
    fit_minibatches,
    fit_surrogate,
    outer_step,
)
from ._surrogate_outer import StepSizes

# Step rules that each outer loop knows.
_RULES = {
    "lbfgs": ("adaptive",),
    "momentum": ("adaptive", "constant"),
    "plain": CLOSED_LOOP + OPEN_LOOP,
}


class TargetSurrogateEstimator(CallbackSupportMixin, BaseEstimator):
    """Base of the estimators: parameters, checks, fitted attributes."""

    _parameter_constraints: dict = {
        "eta": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "step_rule": [StrOptions({*CLOSED_LOOP, *OPEN_LOOP})],
        "inner": [StrOptions({"exact", "cg", "armijo"})],
        "outer": [StrOptions(set(_RULES))],
        "inner_steps": [Interval(Integral, 1, None, closed="left")],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [None, Interval(Integral, 1, None, closed="left")],
        "max_oracle_calls": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "fit_intercept": ["boolean"],
        "warm_start": ["boolean"],
        "oracle_budget_cost": [None, Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _check_combination(self):
        """Check what parameters mean together."""
        allowed = _RULES[self.outer]
        if self.batch_size is not None:
            if self.outer != "plain":
                raise ValueError(
                    f"batch_size={self.batch_size} needs outer='plain', got "
                    f"outer={self.outer!r}: the others compare losses of one batch "
                    "with those of another."
                )
            allowed = OPEN_LOOP
        if self.step_rule not in allowed:
            batches = "" if self.batch_size is None else " with batch_size"
            raise ValueError(
                f"step_rule={self.step_rule!r} does not go with outer={self.outer!r}"
                f"{batches}; allowed are {list(allowed)}."
            )

    def _check_data(self, X, y, sample_weight, reset=True, **kwargs):
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse="csr",
            dtype=[np.float64, np.float32],
            reset=reset,
            **kwargs,
        )
        if sample_weight is not None:
            sample_weight = _check_sample_weight(
                sample_weight, X, dtype=np.float64, ensure_non_negative=True
            )
        return X, y, sample_weight

    def _options(self, loss):
        automatic = self.eta == "auto"
        return SurrogateOptions(
            inner=self.inner,
            outer=self.outer,
            step_rule=self.step_rule,
            eta=loss.eta if automatic else float(self.eta),
            boost=loss.boost if automatic else 1.0,
            inner_steps=self.inner_steps,
            alpha=float(self.alpha),
            fit_intercept=self.fit_intercept,
            max_oracle_calls=self.max_oracle_calls,
            tol=self.tol,
        )

    def _start(self, X, n_outputs):
        """First iterate: zero, or the fitted one of a warm start."""
        shape = (n_outputs, X.shape[1])
        if not (self.warm_start and hasattr(self, "coef_")):
            return np.zeros(shape, X.dtype), np.zeros(n_outputs, X.dtype)
        coef = np.atleast_2d(self.coef_)
        if coef.shape != shape:
            raise ValueError(
                f"warm_start needs coefficients of the same shape: fitted were "
                f"{coef.shape}, the data ask for {shape}."
            )
        return coef.astype(X.dtype), np.atleast_1d(self.intercept_).astype(X.dtype)

    def _solve(self, X, y, sample_weight, loss, n_outputs, on_iteration):
        """Run the solver from the start."""
        start, options = self._start(X, n_outputs), self._options(loss)
        args = (X, y, sample_weight, loss.oracle, start, options)
        if self.batch_size is None:
            return fit_surrogate(*args, on_iteration)
        rng = check_random_state(self.random_state)
        return fit_minibatches(*args, self.batch_size, rng, on_iteration)

    def _reporter(self, context, X, y, **attributes):
        """Return what tells callbacks of each step, or None if nobody listens."""
        if not hasattr(self, "_skl_callbacks"):
            return None

        def report(fit):
            task = context.subcontext(task_name="outer-step")
            task.call_on_fit_task_begin(estimator=self, X=X, y=y)
            coef, intercept = self._shaped(fit)
            return task.call_on_fit_task_end(
                estimator=self,
                X=X,
                y=y,
                reconstruction_attributes={
                    "coef_": coef,
                    "intercept_": intercept,
                    **attributes,
                },
            )

        return report

    def _shaped(self, fit):
        """Coefficients and intercept in the shape of the attributes."""
        return fit.coef, fit.intercept

    def _store(self, fit):
        """Set the fitted attributes."""
        self._step_sizes = None
        self.coef_, self.intercept_ = self._shaped(fit)
        self.eta_ = fit.eta
        self.loss_curve_ = np.array(fit.loss_curve)
        self.n_iter_ = fit.n_iter
        self.n_oracle_calls_ = fit.n_calls
        self.n_inner_iter_ = fit.n_inner
        self.converged_ = fit.converged
        self.__dict__.pop("oracle_cost_", None)  # of an earlier fit
        if self.oracle_budget_cost is not None:
            self.oracle_cost_ = fit.n_calls * self.oracle_budget_cost

    def _warn(self, fit, oracle):
        """Warn if the fit ended before it converged."""
        if fit.converged or fit.interrupt is not None or fit.ended_by == "callback":
            return
        if fit.ended_by == "budget":
            message = (
                f"The budget of the oracle ended after {fit.n_calls} calls, before tol="
                f"{self.tol} was reached: raise max_oracle_calls="
                f"{self.max_oracle_calls}, or tol."
            )
        elif self.batch_size is not None:
            return  # batches have no test of convergence: the budget always ends them
        else:
            message = (
                f"No step along the gradient of oracle {oracle_name(oracle)} decreased "
                f"its loss (call {fit.n_calls}): the loss is noisy, or the gradient is "
                "not that of the loss."
            )
        warnings.warn(message, ConvergenceWarning, stacklevel=7)

    def _one_step(self, X, y, sample_weight, loss, n_outputs):
        """Take the outer step of a partial fit."""
        options = self._options(loss)
        if hasattr(self, "coef_"):
            fit = self._resumed(X.dtype)
        else:
            start = np.zeros((n_outputs, X.shape[1]), X.dtype)
            fit = SurrogateFit(start, np.zeros(n_outputs, X.dtype), options.eta)
        size_of = getattr(self, "_step_sizes", None)
        if size_of is None:
            rule = self.step_rule if self.step_rule in OPEN_LOOP else "constant"
            size_of = StepSizes(rule, options.eta, self.max_oracle_calls)
        outer_step(fit, X, y, sample_weight, loss.oracle, size_of, options)
        self._store(fit)
        self._step_sizes = size_of

    def _resumed(self, dtype):
        """State of the last partial fit."""
        return SurrogateFit(
            np.atleast_2d(self.coef_).astype(dtype),
            np.atleast_1d(self.intercept_).astype(dtype),
            self.eta_,
            list(self.loss_curve_),
            self.n_iter_,
            self.n_oracle_calls_,
            self.n_inner_iter_,
        )
