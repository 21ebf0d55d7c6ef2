"""What linear classifiers trained for a metric share."""

import warnings
from functools import partial
from numbers import Integral, Real

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, _fit_context
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model._base import LinearClassifierMixin, SparseCoefMixin
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .._lbfgs import MinimisationResult, minimise
from .._probability import log_probabilities, probabilities
from .._state import restore_on_failure
from ..metrics import ConfusionMetric, amplify, get_confusion_metric, soft_confusion
from ._anyloss_objective import (
    BinaryObjective,
    MeanOverClasses,
    MulticlassObjective,
    WholeMatrix,
    multiclass_soft,
)
from ._anyloss_start import (
    ROWS_FOR_SCALE,
    best_threshold,
    logistic_start,
    rescaled,
    scores_of_start,
)
from ._labelled_rows import labelled_rows


class AnyLossEstimator(
    CallbackSupportMixin, SparseCoefMixin, LinearClassifierMixin, BaseEstimator
):
    """Base of `AnyLossClassifier` and `AnyLossClassifierCV`.

    A subclass gives alpha, and the threshold of the start or None for that which is
    best for the training data, by `_choose`.
    """

    _parameter_constraints: dict = {
        "metric": [str, callable, ConfusionMetric],
        "beta": [Interval(Real, 0, None, closed="neither")],
        "pos_label": "no_validation",
        "anchor": [StrOptions({"init", "zero"})],
        "init": [StrOptions({"logistic", "balanced", "zeros"})],
        "C": [Interval(Real, 0, None, closed="neither")],
        "amplifier": [StrOptions({"logit", "probability"})],
        "L": [Interval(Real, 0, None, closed="neither")],
        "average": [StrOptions({"macro", "weighted", "multiclass"})],
        "fit_intercept": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
    }

    @_fit_context(prefer_skip_nested_validation=True)
    @with_callbacks
    def fit(self, X, y, sample_weight=None):
        """Fit the classifier.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data; scaled features suit the penalties.
        y : array-like of shape (n_samples,)
            Labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights; a weight of 2 is the same as a repeated row.

        Returns
        -------
        self : object
            The fitted classifier.

        Raises
        ------
        ValueError
            If there is no such metric, or it is not differentiable or not finite; if
            there is only one class, or one without weight; if `pos_label` is no label,
            a value is not finite or a weight negative.
        KeyboardInterrupt
            On Ctrl-C; the classifier then has the coefficients reached until then.
        """
        context = self._init_callback_context(max_subtasks=self.max_iter)
        interrupt = self._fit(X, y, sample_weight, context)
        if interrupt is not None:
            raise interrupt
        return self

    @restore_on_failure
    def _fit(self, X, y, sample_weight, context, groups=None):
        """Fit, and return the KeyboardInterrupt that ended it, or None."""
        metric = get_confusion_metric(self.metric, self.beta)
        labelled, classes, X, y = labelled_rows(self, X, y, sample_weight)
        rows = self._encode(labelled, classes)
        metric.check_differentiable(*_weights_of_classes(rows))
        if self.average == "multiclass" and len(classes) > 2:
            metric.multiclass_form()  # which raises if there is none
        context.call_on_fit_task_begin(estimator=self, X=X, y=y)
        alpha, threshold = self._choose(labelled, classes, metric, groups)
        report = self._reporter(context, classes, X, y)
        start = self._start(rows, classes, metric, threshold)
        fit = self._train_and_store(rows, classes, metric, start, alpha, report)
        try:
            context.call_on_fit_task_end(
                estimator=self, X=X, y=y, reconstruction_attributes={}
            )
        except KeyboardInterrupt as interrupt:  # all is fitted by now
            return interrupt
        self._tell(fit)
        return fit.interrupt

    def predict_proba(self, X):
        """Compute the logistic function, or softmax, of the scores.

        They are not calibrated: wrap the classifier in
        :class:`~sklearn.calibration.CalibratedClassifierCV` for probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Numbers that sum to one, in the order of ``classes_``.
        """
        check_is_fitted(self)
        return probabilities(self.decision_function(X))

    def predict_log_proba(self, X):
        """Compute logarithms of what `predict_proba` returns.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            The logarithms.
        """
        check_is_fitted(self)
        return log_probabilities(self.decision_function(X))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    # -- steps of the fit --------------------------------------------------------------

    def _encode(self, rows, classes):
        """Replace labels by bools (two classes) or indices; drop rows of no weight."""
        if len(classes) == 2:
            encoded = rows.labelled(rows.y == self._positive(classes))
        else:
            if self.pos_label is not None:
                raise ValueError(
                    f"pos_label={self.pos_label!r} needs two classes, found "
                    f"{len(classes)}."
                )
            encoded = rows.labelled(np.searchsorted(classes, rows.y))
        if rows.weight is None:
            return encoded
        of_class = np.bincount(encoded.y, rows.weight, minlength=len(classes))
        if not of_class.all():
            raise ValueError(
                "sample_weight must leave weight in every class, got "
                f"{of_class.tolist()} for {len(classes)} classes."
            )
        return encoded.weighted(rows.weight)

    def _positive(self, classes):
        if self.pos_label is None:
            return classes[1]
        if self.pos_label not in classes.tolist():
            raise ValueError(
                f"pos_label={self.pos_label!r} is not in the classes {classes}."
            )
        return self.pos_label

    def _start(self, rows, classes, metric, threshold=None):
        """Coefficients and intercepts to start from, and the anchor."""
        shape = (1 if len(classes) == 2 else len(classes), rows.X.shape[1])
        if self._starts_warm():
            return self._warm_start(classes, shape)
        if self.init == "zeros":
            coef, intercept = np.zeros(shape), np.zeros(shape[0])
            return _Start(coef, intercept, coef, intercept)
        coef, intercept = logistic_start(
            rows, rows.y, self.C, self.init == "balanced", self.fit_intercept
        )
        start = _Start(coef, intercept, coef, intercept)
        if shape[0] == 1:
            start.scores = scores_of_start(rows, coef, intercept)
            if self.fit_intercept:
                if threshold is None:
                    threshold = best_threshold(rows, start.scores, metric)
                start.shift(threshold)
        return start

    def _starts_warm(self):
        return False

    def _warm_start(self, classes, shape):
        if not np.array_equal(classes, self.classes_):
            raise ValueError(
                f"warm_start needs the same classes: found {classes}, fitted were "
                f"{self.classes_}."
            )
        if self.coef_.shape != shape:
            raise ValueError(
                f"warm_start needs the same shape: coef_ is {self.coef_.shape}, the "
                f"data ask for {shape}."
            )
        coef = self.coef_.toarray() if sparse.issparse(self.coef_) else self.coef_
        attributes = (coef, self.intercept_, self.init_coef_, self.init_intercept_)
        sign = self._sign(classes)
        return _Start(*(sign * np.asarray(a, np.float64) for a in attributes))

    def _sign(self, classes):
        """-1 if the positive class is the first, whose scores are negative."""
        return (
            -1.0 if len(classes) == 2 and self._positive(classes) == classes[0] else 1.0
        )

    def _objective(self, rows, metric, anchor, alpha):
        args = (0.0 if np.isinf(alpha) else alpha, anchor, self.fit_intercept)
        if len(anchor) == 1:
            soft = partial(amplify, amplifier=self.amplifier, L=self.L)
            return BinaryObjective(rows, metric, soft, *args)
        soft = partial(multiclass_soft, amplifier=self.amplifier, L=self.L)
        of_matrix = self._of_matrix(metric, _weights_of_class(rows))
        return MulticlassObjective(rows, metric, soft, *args, of_matrix=of_matrix)

    def _of_matrix(self, metric, n_positive):
        """Make what is maximised, of the matrix of more than two classes."""
        if self.average == "multiclass":
            return WholeMatrix(metric)
        n_classes = len(n_positive)
        share = np.full(n_classes, 1 / n_classes)
        if self.average == "weighted":
            share = n_positive / n_positive.sum()
        return MeanOverClasses(metric, n_positive, share)

    def _train(self, rows, metric, start, alpha, report=None):
        """Minimise the objective."""
        anchor = start.anchor if self.anchor == "init" else 0 * start.anchor
        objective = self._objective(rows, metric, anchor, alpha)
        starts = [objective.join(start.coef, start.intercept)]
        if np.isinf(alpha):
            return MinimisationResult(starts[0], [objective(starts[0])[0]]), objective
        if start.scores is not None and rows.n_rows > ROWS_FOR_SCALE:
            starts.append(
                objective.join(
                    *rescaled(
                        objective, rows, start.scores, start.coef, start.intercept
                    )
                )
            )
        return minimise(objective, starts, self.max_iter, self.tol, report), objective

    def _reporter(self, context, classes, X, y):
        """Return a function to call after each iteration, or None if nobody listens."""
        if not (hasattr(self, "_skl_callbacks") or self.verbose):
            return None

        def report(fit):
            if self.verbose and fit.n_iter & (fit.n_iter - 1) == 0:
                print(f"iteration {fit.n_iter}: objective {fit.loss_curve[-1]:.6g}")
            if not hasattr(self, "_skl_callbacks"):
                return False
            coef, intercept = self._shaped(fit.parameters, classes, X)
            task = context.subcontext(task_name="iteration")
            task.call_on_fit_task_begin(estimator=self, X=X, y=y)
            return task.call_on_fit_task_end(
                estimator=self,
                X=X,
                y=y,
                reconstruction_attributes={
                    "coef_": coef,
                    "intercept_": intercept,
                    "classes_": classes,
                },
            )

        return report

    def _shaped(self, parameters, classes, X):
        """Coefficients and intercepts as attributes have them."""
        n_outputs = 1 if len(classes) == 2 else len(classes)
        W = self._sign(classes) * parameters.reshape(n_outputs, -1)
        d = X.shape[1]
        intercept = W[:, d] if self.fit_intercept else np.zeros(n_outputs)
        return W[:, :d].astype(X.dtype), intercept.astype(X.dtype)

    def _train_and_store(self, rows, classes, metric, start, alpha, report=None):
        """Minimise the objective, and set the fitted attributes."""
        fit, objective = self._train(rows, metric, start, alpha, report)
        self.classes_ = classes
        self.coef_, self.intercept_ = self._shaped(fit.parameters, classes, rows.X)
        self.init_coef_, self.init_intercept_ = self._shaped(
            np.column_stack([start.anchor, start.anchor_intercept])
            if self.fit_intercept
            else start.anchor,
            classes,
            rows.X,
        )
        self.n_iter_ = len(fit.loss_curve)
        self.loss_curve_ = np.array(fit.loss_curve)
        self.loss_ = fit.loss_curve[-1]
        self.metric_value_ = float(objective.metric_value(fit.parameters, self.loss_))
        self.train_metric_ = self._train_metric(
            rows, metric, *objective.split(fit.parameters)
        )
        self.fell_back_ = fit.failure is not None
        return fit

    def _train_metric(self, rows, metric, coef, intercept):
        """Metric of the hard predictions, averaged as in training."""
        scores = np.asarray(rows.X @ coef.T.astype(rows.X.dtype)) + intercept
        if len(coef) == 1:
            counts = soft_confusion(rows.y, scores[:, 0] > 0, rows.weight)
            return metric.value(*counts)
        return metric.score(
            rows.y,
            scores.argmax(axis=1),
            average=self.average,
            sample_weight=rows.weight,
        )

    def _tell(self, fit):
        """Warn if the training failed, or ended before its time."""
        if fit.failure is not None:
            warnings.warn(
                f"Training ended at iteration {fit.n_iter + 1}, and the start was kept:"
                f" {fit.failure}",
                ConvergenceWarning,
                stacklevel=7,
            )
        elif not fit.converged and fit.interrupt is None and not fit.stopped:
            warnings.warn(
                f"The objective was not minimised within tol={self.tol} after "
                f"max_iter={self.max_iter} iterations: scale the data, or raise "
                "max_iter or alpha.",
                ConvergenceWarning,
                stacklevel=7,
            )


class _Start:
    """Where the training starts, and its anchor with the intercept of that."""

    def __init__(self, coef, intercept, anchor, anchor_intercept):
        self.coef, self.intercept = coef, intercept
        self.anchor, self.anchor_intercept = anchor, anchor_intercept
        self.scores, self.threshold = None, 0.0

    def shift(self, threshold):
        """Move the scores so that a threshold becomes zero."""
        self.intercept = self.anchor_intercept = self.intercept - threshold
        self.scores, self.threshold = self.scores - threshold, threshold


def _weights_of_class(rows):
    return np.bincount(rows.y, None if rows.weight is None else rows.weight).astype(
        np.float64
    )


def _weights_of_classes(rows):
    """Weights of the positive class and of the negative one, for probes of a metric."""
    of_class = _weights_of_class(rows)
    return of_class[-1], of_class[:-1].sum()
