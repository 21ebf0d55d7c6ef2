"""What classifiers that separate their training data share."""

import warnings
from functools import partial
from numbers import Integral, Real

import numpy as np
from scipy import sparse
from scipy.special import expit
from sklearn.base import BaseEstimator, _fit_context
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model._base import LinearClassifierMixin, SparseCoefMixin
from sklearn.utils import compute_class_weight
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call
from sklearn.utils.validation import check_is_fitted

from .._probability import fit_scale, probabilities
from .._state import restore_on_failure
from ._labelled_rows import check_number_of_classes, encode, labelled_rows
from ._preconditioning import Coordinates, make_coordinates
from ._separation import Problem, Stopping, separate
from ._verification import verify

# The scale of the probabilities is one number: so many scores tell it well enough.
_SCORES_FOR_SCALE = 10_000


def _takes_plain_steps(self):
    for name in ("preconditioner", "acceleration"):
        if getattr(self, name, None) is not None:
            raise AttributeError(
                f"partial_fit takes plain steps: {name} must be None, got "
                f"{getattr(self, name)!r}."
            )
    return True


def _scores(coef, intercept, X, y, weight):
    return X @ coef.T + intercept


class SeparatingClassifier(
    CallbackSupportMixin, SparseCoefMixin, LinearClassifierMixin, BaseEstimator
):
    """Base of `NormalizedLogisticRegression` and `BatchPerceptron`.

    A subclass gives the update by `_make_step` and may have a `step_size`.
    """

    _parameter_constraints: dict = {
        "normalize": ["boolean"],
        "stopping": [StrOptions({"separation", "margin", "max_iter"})],
        "margin_tol": [Interval(Real, 0, 1, closed="neither")],
        "separability_tol": [Interval(Real, 0, None, closed="left")],
        "multi_class": [StrOptions({"multinomial", "ovr"})],
        "preconditioner": [StrOptions({"diag", "whiten"}), None],
        "fit_intercept": ["boolean"],
        "intercept_scaling": [Interval(Real, 0, None, closed="neither")],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "keep": [StrOptions({"best", "last", "average"})],
        "on_nonseparable": [StrOptions({"warn", "ignore", "raise"})],
        "verbose": ["verbose"],
    }

    @_fit_context(prefer_skip_nested_validation=True)
    @with_callbacks
    def fit(self, X, y, sample_weight=None):
        """Separate the training data.

        Parameters
        ----------
        X : {array-like, sparse matrix, dask array} of shape (n_samples, n_features)
            Training data. A memory-mapped array is read block by block, a Dask array
            where its blocks live; neither is held as a whole.
        y : array-like of shape (n_samples,)
            Labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights; rows of weight zero are left out.

        Returns
        -------
        self : object
            The fitted classifier.

        Raises
        ------
        ValueError
            If there is only one class, a value is not finite or a weight negative; or
            if the data were not separated and ``on_nonseparable="raise"``.
        KeyboardInterrupt
            On Ctrl-C; the classifier then has the coefficients reached until then.
        """
        self._check_parameters()
        context = self._init_callback_context(max_subtasks=self.max_iter)
        interrupt = self._fit(X, y, sample_weight, context)
        if interrupt is not None:
            raise interrupt
        return self

    @restore_on_failure
    def _fit(self, X, y, sample_weight, context):
        """Fit, and return the KeyboardInterrupt that ended it, or None."""
        rows, classes, X, y = labelled_rows(self, X, y, sample_weight)
        rows = self._weigh_classes(rows, y, classes)
        rows, kind = encode(rows, classes, self.multi_class)
        coordinates = self._coordinates(rows)
        n_outputs = 1 if kind == "binary" else len(classes)
        start = self._start(coordinates, classes, n_outputs)
        problem = Problem(rows, coordinates, kind, n_outputs)
        self._radius = problem.radius if coordinates.is_plain else 0.0
        context.call_on_fit_task_begin(estimator=self, X=X, y=y)
        solution = separate(
            problem,
            self._make_step(problem),
            Stopping(
                self.stopping, self.margin_tol, self.separability_tol, self.max_iter
            ),
            start=start,
            on_iteration=self._reporter(context, problem, classes, X, y),
        )
        if solution.interrupt is not None and solution.n_iter == 0:
            raise solution.interrupt
        self.classes_ = classes
        self._store(problem, solution)
        try:
            context.call_on_fit_task_end(
                estimator=self, X=X, y=y, reconstruction_attributes={}
            )
        except KeyboardInterrupt as interrupt:  # all is fitted by now
            return interrupt
        if solution.interrupt is None:
            self._tell()
        return solution.interrupt

    @available_if(_takes_plain_steps)
    @restore_on_failure
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Take one step on a chunk of data.

        It is a heuristic: the bounds on the number of steps and the certificates hold
        for steps on all data, and there is no stop test. Available only without
        preconditioner and acceleration.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            A chunk.
        y : array-like of shape (n_samples,)
            Its labels.
        classes : array-like of shape (n_classes,), default=None
            All labels; needed in the first call.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights.

        Returns
        -------
        self : object
            The classifier after the step.

        Raises
        ------
        ValueError
            If `classes` is missing or differs from that of an earlier call, or y has
            other labels.
        """
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' needs all data, partial_fit has a chunk: give "
                "the weights as a dict."
            )
        first = _check_partial_fit_first_call(self, classes)
        check_number_of_classes(self, self.classes_)
        rows, _, _, y = labelled_rows(
            self, X, y, sample_weight, classes=self.classes_, reset=first
        )
        rows = self._weigh_classes(rows, y, self.classes_)
        rows, kind = encode(rows, self.classes_, self.multi_class)
        coordinates = self._coordinates(rows)
        problem = Problem(
            rows, coordinates, kind, 1 if kind == "binary" else len(self.classes_)
        )
        self._radius = problem.radius = max(
            problem.radius, 0.0 if first else getattr(self, "_radius", 0.0)
        )
        theta = np.zeros((problem.n_coordinates, problem.n_outputs))
        if not first:
            theta = coordinates.from_coef(self._dense_coef().T, self.intercept_)
        n_iter = 1 if first else self.n_iter_ + 1
        solution = separate(
            problem,
            self._make_step(problem),
            Stopping("max_iter", max_iter=1),
            start=theta,
        )
        solution.best, solution.exact = solution.theta, False
        self._store(problem, solution)
        self.n_iter_ = n_iter
        # All of these speak of one chunk only.
        self.separable_, self.converged_ = None, False
        self.margin_upper_bound_ = np.inf
        return self

    def predict_proba(self, X):
        """Compute probabilities, from scores of one fitted scale.

        The scale of the coefficients of a separated problem is arbitrary. One positive
        factor is fitted to the training scores, with targets as in Platt's scaling;
        that is optimistic where the training data are separated. For probabilities to
        rely on use :class:`~sklearn.calibration.CalibratedClassifierCV`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of ``classes_``.
        """
        check_is_fitted(self)
        scores = self.probability_scale_ * self.decision_function(X)
        if scores.ndim == 1 or self.multi_class == "multinomial":
            return probabilities(scores)
        positive = np.maximum(expit(scores), np.finfo(scores.dtype).tiny)
        return positive / positive.sum(axis=1, keepdims=True)

    def predict_log_proba(self, X):
        """Compute the logarithms of the probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Logarithms of what `predict_proba` returns.
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _check_parameters(self):
        """Check what parameters mean together."""

    def _weigh_classes(self, rows, y, classes):
        """Multiply the weights by those of the classes; drop rows of weight zero."""
        weight = rows.weight
        if self.class_weight is not None:
            with np.errstate(divide="ignore"):  # a class without weight
                of_class = compute_class_weight(
                    self.class_weight, classes=classes, y=y, sample_weight=weight
                )
            if not (of_class >= 0).all():
                raise ValueError(
                    f"class_weight must not be negative or NaN, got {of_class} for "
                    f"the classes {classes}."
                )
            of_row = of_class[np.searchsorted(classes, y)]
            if weight is not None:
                of_row = np.multiply(
                    weight, of_row, out=np.zeros(len(y)), where=weight > 0
                )
            weight = of_row
        if weight is None:
            return rows
        if not weight.any():
            raise ValueError("sample_weight and class_weight leave no row: all are 0.")
        return rows.weighted(weight, lazily=True)

    def _coordinates(self, rows):
        constant = float(self.intercept_scaling) if self.fit_intercept else 0.0
        if self.preconditioner == "whiten" and sparse.issparse(rows.X):
            raise ValueError(
                "preconditioner='whiten' needs dense data, got a sparse matrix; use "
                "'diag' or None."
            )
        if self.preconditioner is None:
            return Coordinates(constant)
        return make_coordinates(rows, self.preconditioner, constant)

    def _start(self, coordinates, classes, n_outputs):
        """First iterate of a warm start, or None."""
        if not (self.warm_start and hasattr(self, "coef_")):
            return None
        if not np.array_equal(classes, self.classes_):
            raise ValueError(
                f"warm_start needs the same classes: found {classes}, fitted were "
                f"{self.classes_}."
            )
        coef = self._dense_coef()
        if coef.shape != (n_outputs, self.n_features_in_):
            raise ValueError(
                f"warm_start needs the same shape: coef_ is {coef.shape}, the data ask "
                f"for {(n_outputs, self.n_features_in_)}."
            )
        return coordinates.from_coef(coef.T, self.intercept_)

    def _dense_coef(self):
        coef = self.coef_.toarray() if sparse.issparse(self.coef_) else self.coef_
        return coef.astype(np.float64)

    def _reporter(self, context, problem, classes, X, y):
        """Return a function to call after each step, or None if nobody listens."""
        if not (hasattr(self, "_skl_callbacks") or self.verbose):
            return None

        def report(solution):
            known = solution.n_iter - 1  # the new iterate is not yet evaluated
            if self.verbose and known and known & (known - 1) == 0:
                print(f"iteration {known}: {solution.errors_path[-1]} training errors")
            if not hasattr(self, "_skl_callbacks"):
                return False
            coef, intercept = problem.coordinates.to_coef(solution.theta)
            task = context.subcontext(task_name="iteration")
            task.call_on_fit_task_begin(estimator=self, X=X, y=y)
            return task.call_on_fit_task_end(
                estimator=self,
                X=X,
                y=y,
                reconstruction_attributes={
                    "coef_": coef.T.astype(problem.dtype),
                    "intercept_": intercept.astype(problem.dtype),
                    "classes_": classes,
                    "probability_scale_": 1.0,
                },
            )

        return report

    def _store(self, problem, solution):
        """Set the fitted attributes."""
        separated = not solution.n_errors.any()
        theta = solution.best
        if self.keep != "best" and not separated and solution.n_iter:
            theta = solution.theta if self.keep == "last" else solution.mean
        coef, intercept = problem.coordinates.to_coef(theta)
        self.coef_ = np.ascontiguousarray(coef.T, dtype=problem.dtype)
        self.intercept_ = intercept.astype(problem.dtype)
        if solution.exact and theta is solution.best:
            self.n_train_errors_, margins = int(solution.n_errors[0]), solution.lower
        else:
            self.n_train_errors_, margins = verify(problem, self.coef_, self.intercept_)
        self.margin_ = float(margins.min())
        upper = float(solution.upper.min())
        self.margin_upper_bound_ = upper if problem.coordinates.is_plain else np.inf
        self.separable_ = None
        if (margins > 0).all():
            self.separable_ = True
        elif solution.refuted.any():
            self.separable_ = False
        # What float32 says is solved may have errors in float64.
        self.converged_ = bool(solution.solved.all() and self.separable_)
        self.n_iter_ = solution.n_iter
        self.train_errors_path_ = np.array(solution.errors_path)
        self.probability_scale_ = self._probability_scale(problem)

    def _probability_scale(self, problem):
        """Factor of the scores, fitted to evenly spaced training rows."""
        n_outputs = len(self.coef_)
        rows = problem.rows.sample(max(_SCORES_FOR_SCALE // n_outputs, 1000))
        y, weight = rows.y, rows.weight
        weight = np.ones(len(y)) if weight is None else weight.astype(np.float64)
        weight *= problem.total_weight / weight.sum()  # they stand for all rows
        function = partial(_scores, self.coef_, self.intercept_)
        scores = np.concatenate(list(rows.map(function, n_outputs)), dtype=np.float64)
        if problem.kind == "binary":
            scores = scores[:, 0] * y
            y = (y > 0).astype(int)
        return fit_scale(problem.kind, scores, y, weight, len(self.classes_))

    def _tell(self):
        """Warn or raise if the data were not separated, or the rule not met."""
        if self.on_nonseparable == "ignore" or self.converged_:
            return
        if self.separable_ and self.stopping != "margin":
            return
        if self.separable_:
            warnings.warn(
                f"The margin is known to lie between {self.margin_:.3g} and "
                f"{self.margin_upper_bound_:.3g} after {self.n_iter_} iterations, not "
                f"within margin_tol={self.margin_tol}. Increase max_iter"
                + self._advice_for_margin(),
                ConvergenceWarning,
                stacklevel=7,
            )
            return
        found = f"{self.n_train_errors_} training rows are on the wrong side"
        if self.multi_class == "ovr" and not self.n_train_errors_:
            found = "Some one-versus-rest problems are not separated"
        message = f"{found} after {self.n_iter_} iterations. "
        if self.separable_ is False:
            message += (
                "The data are not linearly separable with a margin above "
                f"separability_tol={self.separability_tol} times their radius."
            )
        else:
            if np.isfinite(self.margin_upper_bound_):
                message += (
                    f"No separating margin can exceed {self.margin_upper_bound_:.3g}. "
                )
            scaling = ""
            if self.preconditioner is None:
                scaling = ", scale the data (preconditioner='diag')"
            message += (
                f"Increase max_iter{scaling}, or ask linear_separability whether any "
                "classifier separates them."
            )
        if self.on_nonseparable == "raise":
            raise ValueError(message)
        warnings.warn(message, ConvergenceWarning, stacklevel=7)

    def _advice_for_margin(self):
        if self.preconditioner is not None:
            return "; with a preconditioner the margin has no certified upper bound."
        if getattr(self, "acceleration", "") is None:
            return " or use acceleration='dual_momentum'."
        return "."
