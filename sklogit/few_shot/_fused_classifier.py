"""What classifiers share that add a bias to the logits of a prior model."""

from abc import abstractmethod
from numbers import Integral

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data

from .._probability import log_probabilities, probabilities
from .._state import restore_on_failure
from ._shots import few_shots, split_columns


class FusedLogitsClassifier(CallbackSupportMixin, ClassifierMixin, BaseEstimator):
    """Base of the classifiers of X = [logits, features].

    A subclass has the methods `_train`, which sets the fitted attributes, `_bias`, of
    unit features, and `_gain`, of the prior logits.
    """

    _parameter_constraints: dict = {
        "n_logits": [Interval(Integral, 0, None, closed="left")],
        "classes": ["array-like", None],
        "random_state": ["random_state"],
    }

    @_fit_context(prefer_skip_nested_validation=True)
    @with_callbacks
    def fit(self, X, y, sample_weight=None):
        """Fit the classifier to a few labelled rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_logits + n_auxiliary)
            Logits of the prior model, then auxiliary features.
        y : array-like of shape (n_samples,)
            Labels; not all of ``classes`` need to occur.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights; a weight of 2 is the same as a repeated row.

        Returns
        -------
        self : object
            The fitted classifier.

        Raises
        ------
        ValueError
            If ``n_logits`` is neither 0 nor the number of classes, X has no auxiliary
            features, y has labels that are not in ``classes``, or there is only one
            class; if a value is not finite or a weight negative.
        KeyboardInterrupt
            On Ctrl-C; the classifier then has what was reached until then.
        """
        context = self._init_callback_context(max_subtasks=self._n_iterations())
        interrupt = self._fit(X, y, sample_weight, context)
        if interrupt is not None:
            raise interrupt
        return self

    @restore_on_failure
    def _fit(self, X, y, sample_weight, context, **options):
        """Fit, and return the KeyboardInterrupt that ended it, or None."""
        shots, self.classes_, self._columns = few_shots(self, X, y, sample_weight)
        context.call_on_fit_task_begin(estimator=self, X=X, y=y)
        fit = self._train(shots, self._reporter(context, X, y), **options)
        self.loss_curve_ = np.array(fit.loss_curve)
        self.loss_ = float(fit.loss_curve[-1])
        self.n_iter_ = fit.n_iter
        try:
            context.call_on_fit_task_end(
                estimator=self, X=X, y=y, reconstruction_attributes={}
            )
        except KeyboardInterrupt as interrupt:  # all is fitted by now
            return interrupt
        return fit.interrupt

    def zero_shot_logits(self, X):
        """Take the logits of the prior model from X.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_logits + n_auxiliary)
            Data.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Logits, in the order of ``classes_``; zeros with ``n_logits=0``.
        """
        return self._split(X)[0]

    def bias_logits(self, X):
        """Compute the bias, before it is weighed and added.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_logits + n_auxiliary)
            Data.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Logits of the auxiliary features, in the order of ``classes_``.
        """
        return self._bias(self._split(X)[1])

    def decision_function(self, X):
        """Compute the fused logits.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_logits + n_auxiliary)
            Data.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or (n_samples,) for two classes
            Logits, in the order of ``classes_``; of two classes their difference,
            positive for the second one.
        """
        logits = self._fused(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict(self, X):
        """Predict labels.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_logits + n_auxiliary)
            Data.

        Returns
        -------
        ndarray of shape (n_samples,)
            The label with the largest fused logit; of equal ones the first.
        """
        best = self._fused(X).argmax(axis=1)
        return self.classes_[best]

    def predict_proba(self, X):
        """Compute the softmax of the fused logits.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_logits + n_auxiliary)
            Data.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of ``classes_``.
        """
        return probabilities(self._fused(X))

    def predict_log_proba(self, X):
        """Compute logarithms of what `predict_proba` returns.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_logits + n_auxiliary)
            Data.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            The logarithms.
        """
        return log_probabilities(self._fused(X))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    # -- for subclasses ----------------------------------------------------------------

    @abstractmethod
    def _n_iterations(self):
        """Most calls of report."""

    @abstractmethod
    def _train(self, shots, report):
        """Set fitted attributes, call report with them while at it; return the fit."""

    @abstractmethod
    def _bias(self, features):
        """Bias of unit features."""

    @abstractmethod
    def _gain(self, prior):
        """Return what the bias is multiplied by, of shape (n_rows,)."""

    # -- steps -------------------------------------------------------------------------

    def _split(self, X):
        check_is_fitted(self)
        X = validate_data(
            self, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=False
        )
        return split_columns(X, self.n_logits, self._columns)

    def _fused(self, X):
        prior, features = self._split(X)
        gain = self._gain(prior)[:, np.newaxis].astype(prior.dtype, copy=False)
        return prior + gain * self._bias(features)

    def _reporter(self, context, X, y):
        """Return a function to call after each iteration, or None if nobody listens."""
        if not hasattr(self, "_skl_callbacks"):
            return None

        def report(**attributes):
            task = context.subcontext(task_name="iteration")
            task.call_on_fit_task_begin(estimator=self, X=X, y=y)
            return task.call_on_fit_task_end(
                estimator=self,
                X=X,
                y=y,
                reconstruction_attributes={
                    "classes_": self.classes_,
                    "_columns": self._columns,
                    **attributes,
                },
            )

        return report
