"""Linear classification with few calls of an expensive loss."""

import numpy as np
from sklearn.base import _fit_context
from sklearn.callback import with_callbacks
from sklearn.linear_model._base import LinearClassifierMixin
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import (
    _check_partial_fit_first_call,
    check_classification_targets,
)
from sklearn.utils.validation import check_is_fitted

from .._probability import log_probabilities, probabilities
from .._state import restore_on_failure
from ._surrogate_estimator import TargetSurrogateEstimator
from ._surrogate_losses import classification_loss


def _has_probabilities(self):
    if self.loss != "log_loss":
        raise AttributeError(
            f"probabilities need loss='log_loss', got loss={self.loss!r}"
        )
    return True


class TargetSurrogateClassifier(LinearClassifierMixin, TargetSurrogateEstimator):
    r"""Linear classifier for a loss that is expensive to call.

    The loss is an oracle: called with the logits of all samples it returns the loss and
    its gradient by the logits. All that the parameters learn from a call costs no
    further one, so that few calls are needed; they are counted, and never exceed
    `max_oracle_calls`.

    Parameters
    ----------
    loss : {"log_loss"} or callable, default="log_loss"
        Logistic loss, cross-entropy of the softmax with more than two classes; or
        ``oracle(Z, y, sample_weight) -> (loss, G)``, see Notes.
    eta : "auto" or float, default="auto"
        First step in target space. "auto" is 1/L, L the smoothness of a sample's loss
        by its targets (4 for two
        classes, 2 for more), and 1 for a callable.
    step_rule : str, default="adaptive"
        One of "adaptive", "armijo", "constant", "sqrt", "exponential" and "adagrad".
        "adaptive" checks each step and adapts it: with ``outer="plain"`` it is halved
        until the loss falls as the surrogate promised, and doubled when it can be;
        "armijo" is content with a fifth of that. The others take what `eta` says, one
        oracle call a step: `eta`; eta/sqrt(t); eta T^(-t/T), T = `max_oracle_calls`;
        eta over the root of the sum of all mean squared gradients. They are for
        ``outer="plain"``, "constant" for "momentum" too.
    inner : {"exact", "cg", "armijo"}, default="exact"
        How the surrogate is minimised; none of them calls the oracle. "exact": by one
        factorisation for the whole fit, Cholesky, or QR and SVD where that is
        inaccurate, of the dual if there are fewer samples than features; sparse data of
        more than 2000 features use conjugate gradients to convergence. "cg":
        `inner_steps` conjugate gradient steps. "armijo": `inner_steps` gradient steps;
        the exact step size on the quadratic replaces the backtracking of the paper.
    outer : {"lbfgs", "momentum", "plain"}, default="lbfgs"
        What is done with the surrogates. "lbfgs": L-BFGS in coordinates in which the
        features are white, with a Wolfe line search whose trials are oracle calls.
        "momentum": accelerated steps with restarts. "plain": minimise one surrogate
        after the other. The last two suit noisy oracles.
    inner_steps : int, default=20
        Steps of the inner solvers "cg" and "armijo".
    alpha : float, default=0.0
        Penalty alpha/2 ||coef||^2, added to the mean loss without asking the oracle.
    batch_size : int or None, default=None
        Rows of an outer step; None is all. Batches need ``outer="plain"`` and a step
        rule that does not check. Prefer ``inner="armijo"`` and few `inner_steps`, about
        5: an exact solve fits its batch and forgets the others.
    max_oracle_calls : int, default=100
        Most calls of the oracle in a fit, trials of the line search included.
    tol : float, default=1e-4
        The fit has converged when the part of the gradient in target space that the
        model can follow is `tol` times the largest gradient met; few inner steps find
        less of it, and end the fit sooner.
    fit_intercept : bool, default=True
        Whether to fit an intercept; it is not penalised.
    warm_start : bool, default=False
        Whether `fit` starts from the coefficients of the last one.
    oracle_budget_cost : float or None, default=None
        Cost of one oracle call, in any unit; gives ``oracle_cost_``.
    random_state : int, RandomState instance or None, default=None
        Shuffles the batches.

    Attributes
    ----------
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Coefficients of the logits.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts.
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    n_oracle_calls_ : int
        Calls of the oracle, failed trials included.
    oracle_cost_ : float
        Their cost; only with `oracle_budget_cost`.
    n_iter_ : int
        Outer steps.
    n_inner_iter_ : int
        Steps of the inner solver; exact solves count as one.
    loss_curve_ : ndarray
        Objective (loss and penalty) at the start and after each outer step; for step
        rules that do not check, at each call of the oracle.
    eta_ : float
        Last step in target space; of L-BFGS the multiple of the inner solver's inverse.
    converged_ : bool
        Whether `tol` was reached, or the accuracy of the numbers.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, if X had any.

    See Also
    --------
    TargetSurrogateRegressor : The same for regression.
    expensive_oracle : Counts, limits and delays the calls of an oracle.
    finite_difference_oracle : Makes an oracle of a loss without gradients.

    Notes
    -----
    With the targets :math:`Z = f(\theta) = X W + 1 b^\top` of the current model, one
    call of the oracle gives the loss and the gradient :math:`G_i` of every sample's
    loss. The surrogate

    .. math:: s(\theta) = \frac1n \sum_i \langle G_i, f_i(\theta) - z_i\rangle
              + \frac{1}{2\eta} \|f_i(\theta) - z_i\|^2

    needs no more calls, and is minimised by
    :math:`W - \eta (X^\top X)^{+} X^\top G`: the conditioning of X drops out. For
    :math:`\eta \le 1/L` loss plus surrogate is an upper bound of the new loss. L-BFGS
    starts from the same preconditioner; on easy problems, or against L-BFGS on features
    whitened beforehand, it saves nothing. For a cheap loss use an ordinary solver.

    The oracle is called with a copy of the logits Z in the dtype of X, of shape
    (n_samples, 1) for two classes and (n_samples, n_classes) for more, and with the
    classes as indices into ``classes_``: y holds 0, 1, ...
    `sample_weight` is what was passed to `fit`, None without. The oracle returns the
    pair (loss, G): the (weighted) mean loss, and the gradient of every sample's own
    loss, neither weighted nor divided by n, of the shape of Z. Row i of G may depend on
    row i of Z only. What is returned is checked, and every call is
    counted. When the budget ends first, or the oracle itself refuses a call with
    `OracleBudgetExceeded`, the best iterate is kept, with a `ConvergenceWarning`.

    Ctrl-C keeps the best iterate as the fitted state and raises on; after other errors
    the estimator is as before. Callbacks of scikit-learn (`ProgressBar`,
    `ScoringMonitor`) follow the outer steps.

    References
    ----------
    .. [1] "Target-based Surrogates for Stochastic Optimization", arXiv:2302.02607.

    Examples
    --------
    A remote service scores the logits by its own rules. It charges for every call, so
    there is a budget; it never sees the model or the features:

    >>> import numpy as np
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklogit.linear_model import TargetSurrogateClassifier, expensive_oracle
    >>> def remote_scorer(Z, y, sample_weight):
    ...     sign = np.where(y == 1, 1.0, -1.0)[:, np.newaxis]
    ...     cost = np.where(y == 1, 1.0, 5.0)[:, np.newaxis]  # of an error
    ...     loss = (cost * np.logaddexp(0, -sign * Z)).mean()
    ...     return loss, -cost * sign / (1 + np.exp(sign * Z))
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> X = StandardScaler().fit_transform(X)
    >>> scorer = expensive_oracle(remote_scorer, max_oracle_calls=40)
    >>> model = TargetSurrogateClassifier(scorer, alpha=0.01).fit(X, y)
    >>> scorer.n_calls == model.n_oracle_calls_
    True
    >>> bool(model.score(X, y) > 0.95)
    True
    """

    _parameter_constraints: dict = {
        "loss": [StrOptions({"log_loss"}), callable],
        **TargetSurrogateEstimator._parameter_constraints,
    }

    def __init__(
        self,
        loss="log_loss",
        *,
        eta="auto",
        step_rule="adaptive",
        inner="exact",
        outer="lbfgs",
        inner_steps=20,
        alpha=0.0,
        batch_size=None,
        max_oracle_calls=100,
        tol=1e-4,
        fit_intercept=True,
        warm_start=False,
        oracle_budget_cost=None,
        random_state=None,
    ):
        self.loss = loss
        self.eta = eta
        self.step_rule = step_rule
        self.inner = inner
        self.outer = outer
        self.inner_steps = inner_steps
        self.alpha = alpha
        self.batch_size = batch_size
        self.max_oracle_calls = max_oracle_calls
        self.tol = tol
        self.fit_intercept = fit_intercept
        self.warm_start = warm_start
        self.oracle_budget_cost = oracle_budget_cost
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    @with_callbacks
    def fit(self, X, y, sample_weight=None):
        """Fit the classifier.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data.
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
        TypeError
            If the oracle returns no pair of real numbers.
        ValueError
            If parameters contradict each other, there is only one class, or the
            oracle returns a wrong shape or a value that is not finite.
        OracleBudgetExceeded
            If the oracle refuses its first call.
        KeyboardInterrupt
            On Ctrl-C; the estimator then has the best coefficients found until then.
        """
        self._check_combination()
        context = self._init_callback_context(max_subtasks=self.max_oracle_calls)
        interrupt = self._fit(X, y, sample_weight, context)
        if interrupt is not None:
            raise interrupt
        return self

    @restore_on_failure
    def _fit(self, X, y, sample_weight, context):
        """Fit, and return the KeyboardInterrupt that ended it, or None."""
        X, y, sample_weight = self._check_data(X, y, sample_weight)
        check_classification_targets(y)
        classes, indices = np.unique(y, return_inverse=True)
        self._check_classes(classes)
        loss = classification_loss(self.loss, len(classes))
        context.call_on_fit_task_begin(estimator=self, X=X, y=y)
        fit = self._solve(
            X,
            indices,
            sample_weight,
            loss,
            _n_outputs(classes),
            self._reporter(context, X, y, classes_=classes),
        )
        self.classes_ = classes
        self._store(fit)
        try:
            context.call_on_fit_task_end(
                estimator=self, X=X, y=y, reconstruction_attributes={}
            )
        except KeyboardInterrupt as interrupt:  # all is fitted by now
            return interrupt
        self._warn(fit, loss.oracle)
        return fit.interrupt

    def _check_number_of_classes(self, classes):
        if len(classes) < 2:
            raise ValueError(
                f"{type(self).__name__} needs at least 2 classes, found "
                f"{len(classes)} class: {classes[0]!r}."
            )

    def _check_classes(self, classes):
        self._check_number_of_classes(classes)
        fitted = getattr(self, "classes_", classes) if self.warm_start else classes
        if not np.array_equal(classes, fitted):
            raise ValueError(
                f"warm_start needs the same classes: found {classes}, fitted were "
                f"{fitted}."
            )

    @restore_on_failure
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Take one outer step on a chunk of data, with one oracle call.

        It is a plain step of size `eta`, or what `step_rule` gives if it does not check
        steps, whatever `outer` is. The counts go on from step to step;
        `max_oracle_calls` limits `fit` only.

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
        _check_partial_fit_first_call(self, classes)
        self._check_number_of_classes(self.classes_)
        X, y, sample_weight = self._check_data(
            X, y, sample_weight, reset=not hasattr(self, "coef_")
        )
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(f"y has labels that classes has not: {unknown}.")
        indices = np.searchsorted(self.classes_, y)
        loss = classification_loss(self.loss, len(self.classes_))
        self._one_step(X, indices, sample_weight, loss, _n_outputs(self.classes_))
        return self

    @available_if(_has_probabilities)
    def predict_proba(self, X):
        """Compute probabilities, by the softmax of the logits.

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
        return probabilities(self.decision_function(X))

    @available_if(_has_probabilities)
    def predict_log_proba(self, X):
        """Compute logarithms of the probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Logarithms of what `predict_proba` returns.
        """
        check_is_fitted(self)
        return log_probabilities(self.decision_function(X))


def _n_outputs(classes):
    return 1 if len(classes) == 2 else len(classes)
