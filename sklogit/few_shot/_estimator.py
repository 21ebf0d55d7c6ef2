"""What the classifiers share that learn a linear logit bias."""

import warnings
from numbers import Integral, Real

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions

from ._bias import bias_of
from ._features import class_means
from ._fused_classifier import FusedLogitsClassifier
from ._problem import BiasProblem
from ._uncertainty import KINDS, uncertainty_factor

_ITERATIONS, _EPOCHS, _WEIGHT_DECAY = 500, 50, 0.01


class LogitBiasEstimator(FusedLogitsClassifier):
    """Base of `LogitBiasClassifier` and `LogitBiasClassifierCV`.

    A subclass says by `_choose` how strongly the bias is added and trained.
    """

    _parameter_constraints: dict = {
        **FusedLogitsClassifier._parameter_constraints,
        "alpha": [Interval(Real, 0, None, closed="left")],
        "lambda_merge": [Interval(Real, 0, 1, closed="both")],
        "uncertainty": [StrOptions(set(KINDS)), None],
        "power": [Interval(Real, 0, None, closed="left")],
        "kurtosis_ref": [
            StrOptions({"auto"}),
            Interval(Real, 0, None, closed="neither"),
        ],
        "normalize": [StrOptions({"auto", "row", "scale"}), None],
        "init": [StrOptions({"class_mean", "zeros", "random"}), "array-like"],
        # inf included
        "l2": [StrOptions({"auto"}), Interval(Real, 0, None, closed="both")],
        "max_iter": [Interval(Integral, 0, None, closed="left"), None],
        "tol": [Interval(Real, 0, None, closed="left")],
    }

    def uncertainty_factor(self, X):
        """Compute the factor of the bias from the prior logits in X.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_logits + n_auxiliary)
            Data.

        Returns
        -------
        ndarray of shape (n_samples,)
            The factors; ones with ``n_logits=0``.
        """
        return self._factor(self._split(X)[0])

    # -- steps -------------------------------------------------------------------------

    def _n_iterations(self):
        if self.max_iter is not None:
            return self.max_iter
        return _EPOCHS if self._solver() == "adamw" else _ITERATIONS

    def _l2(self, shots):
        """Strength of the penalty, if it is not searched for."""
        if self.l2 != "auto":
            return float(self.l2)
        if self._solver() == "adamw":
            return _WEIGHT_DECAY
        return self._auto_l2(shots)

    def _auto_l2(self, shots):
        return 4 / (shots.total * shots.n_classes**2)

    def _factor(self, prior, power=None):
        if self.n_logits == 0:
            return np.ones(len(prior), prior.dtype)
        if power is None:
            power = self._strength()[1]
        return uncertainty_factor(prior, self.uncertainty, power, self.kurtosis_ref)

    def _strength(self):
        """Alpha and power, as fitted."""
        return self.alpha, self.power

    def _gain(self, prior):
        return self._strength()[0] * self._factor(prior)

    def _bias(self, features):
        u = np.asarray(features @ self.coef_.T.astype(features.dtype, copy=False))
        return bias_of(u, self.scale_, self.normalize_ == "row")

    def _normalization(self, n_classes):
        by_row = self._solver() == "adamw" and n_classes > 2
        normalize = self.normalize
        if normalize == "auto":
            normalize = "row" if by_row else "scale"
        if normalize == "row" and n_classes == 2:
            raise ValueError(
                "normalize='row' makes +0.707 and -0.707 of any two numbers, so that "
                "nothing can be learnt: use 'scale' or None with two classes."
            )
        if normalize == "row" and isinstance(self.init, str) and self.init == "zeros":
            raise ValueError(
                "normalize='row' cannot standardise the scores of init='zeros', which "
                "are all the same: use 'scale', or another init."
            )
        return normalize

    def _solver(self):
        return "lbfgs"

    def _problem(self, shots, rng):
        """Few shots with their initial coefficients."""
        shots = shots.weighing()
        init = self._init_coef(shots, rng)
        return BiasProblem(shots, init, self._normalization(shots.n_classes))

    def _init_coef(self, shots, rng):
        A = shots.features
        shape = shots.n_classes, A.shape[1]
        if not isinstance(self.init, str):
            return self._given_coef(shape, A.dtype)
        if self.init == "class_mean":
            return class_means(A, shots.y, shots.weight, shape[0])
        if self.init == "zeros":
            return np.zeros(shape, A.dtype)
        # As torch draws the weights of a linear layer.
        bound = 1 / np.sqrt(shape[1])
        return rng.uniform(-bound, bound, shape).astype(A.dtype)

    def _given_coef(self, shape, dtype):
        init = np.asarray(self.init, dtype=dtype)
        if init.shape != shape:
            raise ValueError(
                f"init must have shape {shape}, a row for each class, got {init.shape}."
            )
        if not np.isfinite(init).all():
            raise ValueError("init must be finite, found NaN or infinity.")
        return init[self._columns]

    def _minimise(self, problem, alpha, lambda_merge, power, l2, report):
        """Train by L-BFGS on all shots, and set the fitted attributes."""
        gain = alpha * self._factor(problem.shots.prior, power)

        def on_iteration(coef):
            return report(**self._attributes(problem, coef))

        fit = problem.minimise(
            gain,
            lambda_merge,
            l2,
            self._n_iterations(),
            self.tol,
            on_iteration=None if report is None else on_iteration,
        )
        self._store(problem, problem.coefficients(fit.parameters))
        self._tell(fit)
        return fit

    def _attributes(self, problem, coef):
        normalize = self._normalization(len(coef))
        return {"coef_": coef, "scale_": problem.scale, "normalize_": normalize}

    def _store(self, problem, coef):
        self.init_coef_ = problem.init_coef
        for name, value in self._attributes(problem, coef).items():
            setattr(self, name, value)

    def _tell(self, fit):
        if not fit.converged and fit.interrupt is None and not fit.stopped:
            problem = fit.failure or (
                f"not within tol={self.tol} after {self._n_iterations()} iterations; "
                "raise max_iter or l2"
            )
            warnings.warn(
                f"The loss of the logit bias was not minimised: {problem}.",
                ConvergenceWarning,
                stacklevel=9,
            )
