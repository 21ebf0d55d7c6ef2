"""Multinomial logistic regression for many classes."""

import warnings
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import compute_class_weight
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call
from sklearn.utils.validation import (
    _check_sample_weight,
    validate_data,
)

from .._state import restore_on_failure
from ._block_prediction import BlockPredictionMixin
from ._lbfgs import minimise
from ._linear_net import (
    coefficients_of,
    ended_early,
    linear_net,
    objectives,
    set_penalty,
)
from ._net import check_labels, class_indices, seeded
from ._softmax_objective import softmax_objective

_AUTO_OR_POSITIVE = [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")]


def _trains_by_adam(estimator):
    if estimator.solver != "adam":
        raise AttributeError(
            f"partial_fit needs solver='adam', got {estimator.solver!r}."
        )
    return True


class CutCrossEntropyClassifier(
    BlockPredictionMixin, CallbackSupportMixin, ClassifierMixin, BaseEstimator
):
    r"""Multinomial logistic regression for thousands of classes.

    It minimises what :class:`~sklearn.linear_model.LogisticRegression` does,

    .. math:: \min_{W, b}\; \frac{1}{\sum_i s_i} \Big( \sum_i s_i\,
        \big(\log \textstyle\sum_j e^{z_{ij}} - z_{i y_i}\big)
        + \frac{1}{2C} \|W\|^2 \Big), \qquad z_{ij} = \langle w_j, x_i \rangle + b_j,

    but never forms the matrix of logits z [1]_: memory is that of the coefficients, not
    of samples times classes.

    Parameters
    ----------
    C : float, default=1.0
        Inverse of the strength of the penalty; infinity for none.
    fit_intercept : bool, default=True
        Whether there are intercepts b; they are not penalised.
    solver : {"lbfgs", "adam"}, default="lbfgs"
        "lbfgs" takes all rows in each iteration and finds the optimum. "adam" takes
        minibatches and comes near; it can go on with ``partial_fit``.
    max_iter : int, default=100
        Most iterations, or passes over the data of "adam".
    tol : float, default=1e-4
        "lbfgs" stops when no entry of the gradient is greater. "adam" divides the
        learning rate by 5 when the objective was not less by as much for three epochs,
        and the fourth time stops.
    batch_size : int or "auto", default="auto"
        Rows of a minibatch of "adam"; "auto" is 512.
    learning_rate_init : float, default=0.001
        Learning rate of "adam".
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, not negative, which multiply those of the rows.
    label_smoothing : float, default=0.0
        Part of the target that is spread over all classes.
    chunk_size : int or "auto", default="auto"
        Rows whose logits are made at a time.
    filter_eps : float, "auto" or None, default=None
        Entries of the softmax below it may be left out of the gradient of "adam", see
        :func:`sklogit.kernels.linear_cross_entropy`. None is exact.
    dtype : {"auto", "float32", "float64"}, default="auto"
        In which to compute; "auto" is that of X.
    warm_start : bool, default=False
        Whether `fit` starts from the coefficients of the last one, which must have the
        same classes and number of features.
    random_state : int, RandomState instance or None, default=None
        Order of the rows in minibatches.
    verbose : int, default=0
        1 prints the objective after iterations 1, 2, 4, 8, ...

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    coef_ : ndarray of shape (n_classes, n_features), or (1, n_features)
        Coefficients; of two classes those of the second.
    intercept_ : ndarray of shape (n_classes,) or (1,)
        Intercepts.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if X had any.
    n_iter_ : int
        Iterations, or epochs.
    loss_curve_ : ndarray of shape (n_points,)
        The objective at the start and after each iteration; with "adam" for each epoch
        the mean loss of its minibatches, and the penalty at its end.
    net_ : LogitClassifier
        The net that "adam" trains; only there.
    weight_seen_ : float
        Total weight of the rows of all calls of `fit` and `partial_fit` by "adam", by
        which the penalty is divided; only there.

    See Also
    --------
    sklogit.kernels.linear_cross_entropy : The loss.
    LogitClassifier : With a module in front of it.
    VQLogitsClassifier : With far fewer coefficients.

    Notes
    -----
    L-BFGS runs with a preconditioner of the covariance of the features and the shares
    of the classes, which saves half of its iterations and more where features or
    classes are not balanced. Its memory of 10 to 30 pairs is kept in single precision.

    In single precision the last digits of the objective are rounding, and iterations
    end where they hide any decrease, which may be before `tol`.

    ``decision_function``, ``predict_proba`` and ``predict_log_proba`` return arrays of
    samples times classes; ``predict``, ``predict_topk``, ``score`` and ``log_loss``
    hold a few rows of them at a time. Sparse rows are never made dense by "lbfgs", and
    by "adam" only those of a minibatch. Set the number of threads by
    ``torch.set_num_threads``.

    References
    ----------
    .. [1] "Cut Your Losses in Large-Vocabulary Language Models", arXiv:2411.09009.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklogit.neural import CutCrossEntropyClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> X /= 16
    >>> clf = CutCrossEntropyClassifier(C=0.01, tol=1e-5).fit(X, y)
    >>> expected = LogisticRegression(C=0.01, tol=1e-5).fit(X, y)
    >>> bool(abs(clf.predict_proba(X) - expected.predict_proba(X)).max() < 1e-3)
    True
    >>> clf.predict_topk(X[:2], 2)
    array([[0, 9],
           [1, 8]])
    """

    _parameter_constraints: dict = {
        "C": [Interval(Real, 0, None, closed="right")],
        "fit_intercept": ["boolean"],
        "solver": [StrOptions({"lbfgs", "adam"})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "batch_size": _AUTO_OR_POSITIVE,
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "label_smoothing": [Interval(Real, 0, 1, closed="both")],
        "chunk_size": _AUTO_OR_POSITIVE,
        "filter_eps": [
            StrOptions({"auto"}),
            Interval(Real, 0, 1, closed="left"),
            None,
        ],
        "dtype": [StrOptions({"auto", "float32", "float64"})],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        C=1.0,
        *,
        fit_intercept=True,
        solver="lbfgs",
        max_iter=100,
        tol=1e-4,
        batch_size="auto",
        learning_rate_init=0.001,
        class_weight=None,
        label_smoothing=0.0,
        chunk_size="auto",
        filter_eps=None,
        dtype="auto",
        warm_start=False,
        random_state=None,
        verbose=0,
    ):
        self.C = C
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.class_weight = class_weight
        self.label_smoothing = label_smoothing
        self.chunk_size = chunk_size
        self.filter_eps = filter_eps
        self.dtype = dtype
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

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
        CutCrossEntropyClassifier
            The fitted classifier.

        Raises
        ------
        ValueError
            If a value is not finite, a weight negative, all weights zero, or there is
            only one class; if features are too large to be squared in single precision;
            if `filter_eps` is given for "lbfgs"; if `warm_start` finds coefficients of
            other classes or features.
        KeyboardInterrupt
            On Ctrl-C. After one iteration the classifier has the coefficients reached
            until then, before that those of an earlier fit.
        """
        context = self._init_callback_context(max_subtasks=self.max_iter)
        interrupt = self._fit(X, y, sample_weight, context)
        if interrupt is not None:
            raise interrupt
        return self

    @available_if(_trains_by_adam)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Pass over some data once, by "adam".

        It goes on from the coefficients of an earlier fit, by whatever solver.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data.
        y : array-like of shape (n_samples,)
            Labels.
        classes : array-like of shape (n_classes,), default=None
            All labels; needed in the first call.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights.

        Returns
        -------
        CutCrossEntropyClassifier
            The classifier.

        Raises
        ------
        ValueError
            If `classes` are missing in the first call, or y has others.
        KeyboardInterrupt
            On Ctrl-C; the classifier then has the coefficients reached until then,
            unless it was the first call.
        """
        interrupt = self._partial_fit(X, y, classes, sample_weight)
        if interrupt is not None:
            raise interrupt
        return self

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.non_deterministic = self.solver == "adam" and self.random_state is None
        return tags

    # -- steps of the fit --------------------------------------------------------------

    @restore_on_failure
    def _partial_fit(self, X, y, classes, sample_weight):
        """Pass over data once; return the KeyboardInterrupt that ended it, or None."""
        first = _check_partial_fit_first_call(self, classes)
        if isinstance(self.class_weight, str):
            raise ValueError(
                f"class_weight={self.class_weight!r} needs all data: use a dict in "
                "partial_fit."
            )
        X, y, weight = self._checked(X, y, sample_weight, reset=first)
        indices = class_indices(y, self.classes_)
        weight = self._with_class_weight(weight, y)
        self._check_number_of_classes()
        self.weight_seen_ = _total(weight, y) + getattr(self, "weight_seen_", 0)
        penalty = self._penalty(self.weight_seen_)
        if hasattr(self, "net_"):
            set_penalty(self.net_, penalty)
        else:
            start = self._start(X, self.classes_, warm=True)
            self.net_ = linear_net(self, *start, penalty, max_epochs=1)
        n_before = len(objectives(self.net_)) if self.net_.initialized_ else 0
        with seeded(self.random_state):
            self.net_.partial_fit(X, indices, sample_weight=weight, epochs=1)
        return self._store_net(n_before + 1)

    @restore_on_failure
    def _fit(self, X, y, sample_weight, context):
        """Fit, and return the KeyboardInterrupt that ended it, or None."""
        if self.solver == "lbfgs" and self.filter_eps is not None:
            raise ValueError(
                f"filter_eps={self.filter_eps!r} needs solver='adam': with an inexact "
                "gradient the line search of 'lbfgs' would fail."
            )
        X, y, weight = self._checked(X, y, sample_weight, reset=True)
        before = getattr(self, "classes_", None)
        self.classes_, indices = np.unique(y, return_inverse=True)
        self._check_number_of_classes()
        weight = self._with_class_weight(weight, y)
        context.call_on_fit_task_begin(estimator=self, X=X, y=y)
        start = self._start(X, before, self.warm_start)
        report = self._reporter(context, X, y)
        if self.solver == "adam":
            interrupt = self._fit_adam(X, indices, weight, start, report)
        else:
            interrupt = self._fit_lbfgs(X, indices, weight, start, report)
        try:
            context.call_on_fit_task_end(
                estimator=self, X=X, y=y, reconstruction_attributes={}
            )
        except KeyboardInterrupt as late:  # all is fitted by now
            return late
        return interrupt

    def _fit_lbfgs(self, X, y, weight, start, report):
        objective = softmax_objective(
            X,
            y,
            weight,
            len(self.classes_),
            self._penalty(_total(weight, y)),
            fit_intercept=self.fit_intercept,
            label_smoothing=self.label_smoothing,
            chunk_size=self.chunk_size,
        )

        def on_iteration(found):
            return report(found.loss_curve, lambda: objective.coefficients(found.theta))

        found = minimise(
            objective, objective.join(*start), self.max_iter, self.tol, on_iteration
        )
        if found.interrupt is not None and found.n_iter < 1:
            raise found.interrupt
        self._store(*objective.coefficients(found.theta))
        self.loss_curve_ = np.array(found.loss_curve)
        self.n_iter_ = found.n_iter
        for of_adam in ("net_", "weight_seen_"):
            self.__dict__.pop(of_adam, None)
        ended = found.converged or found.stopped or found.interrupt is not None
        self._warn_unless(ended)
        return found.interrupt

    def _fit_adam(self, X, y, weight, start, report):
        penalty = self._penalty(_total(weight, y))
        self.net_ = linear_net(
            self, *start, penalty, max_epochs=self.max_iter, report=report
        )
        self.net_.fit(X, y, sample_weight=weight)
        self.weight_seen_ = _total(weight, y)
        interrupt = self._store_net(self.max_iter)
        self._warn_unless(interrupt is not None or ended_early(self.net_))
        return interrupt

    def _store_net(self, n_epochs):
        """Store what is trained; return a KeyboardInterrupt if epochs are missing."""
        curve = objectives(self.net_)
        # skorch ends the training by it without a word.
        interrupt = None
        if len(curve) < n_epochs and not ended_early(self.net_):
            interrupt = KeyboardInterrupt()
        if not curve:
            raise interrupt
        self._store(*coefficients_of(self.net_))
        self.loss_curve_, self.n_iter_ = np.array(curve), len(curve)
        return interrupt

    def _checked(self, X, y, sample_weight, reset):
        dtype = [np.float64, np.float32] if self.dtype == "auto" else self.dtype
        X, y = validate_data(self, X, y, accept_sparse="csr", dtype=dtype, reset=reset)
        check_labels(y)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(
                sample_weight, X, dtype=X.dtype, ensure_non_negative=True
            )
        return X, y, sample_weight

    def _check_number_of_classes(self):
        if len(self.classes_) < 2:
            raise ValueError(
                f"{type(self).__name__} needs samples of at least 2 classes, but the "
                f"data contains only one class: {self.classes_.tolist()[0]!r}."
            )

    def _with_class_weight(self, weight, y):
        if self.class_weight is None:
            return weight
        _check_class_weight(self.class_weight)
        of_class = compute_class_weight(
            self.class_weight, classes=self.classes_, y=y, sample_weight=weight
        )
        of_class = of_class[np.searchsorted(self.classes_, y)]
        weight = of_class if weight is None else weight * of_class
        if not weight.any():
            raise ValueError(
                f"class_weight={self.class_weight!r} and sample_weight must leave one "
                "row at least with a weight above zero."
            )
        return weight

    def _penalty(self, total):
        # Two rows of coefficients, one the negative of the other, have half the square
        # of their difference, which is what is penalised.
        return (2 if len(self.classes_) == 2 else 1) / (self.C * total)

    def _start(self, X, classes_before, warm):
        """Coefficients (n_classes, n_features) and intercepts to start from."""
        shape = len(self.classes_), X.shape[1]
        if not (warm and hasattr(self, "coef_")):
            return np.zeros(shape, X.dtype), np.zeros(shape[0], X.dtype)
        coef, intercept = self.coef_, self.intercept_
        if len(coef) == 1:
            coef, intercept = (np.concatenate([-a, a]) / 2 for a in (coef, intercept))
        if coef.shape != shape or not np.array_equal(classes_before, self.classes_):
            raise ValueError(
                "warm_start needs the same classes and number of features: fitted were "
                f"coefficients of shape {coef.shape} and classes {classes_before}, the "
                f"data ask for {shape} and {self.classes_}."
            )
        return coef.astype(X.dtype), intercept.astype(X.dtype)

    def _store(self, W, b):
        """Set the attributes of coefficients of all classes."""
        self.coef_, self.intercept_ = self._shaped(W, b)

    def _shaped(self, W, b):
        if len(self.classes_) == 2:
            return W[1:] - W[:1], b[1:] - b[:1]
        # The same vector added to all rows changes no probability: this is the choice
        # of the smallest norm.
        return W - W.mean(axis=0), b - b.mean()

    def _reporter(self, context, X, y):
        """Return a function to call after each iteration."""
        listened = hasattr(self, "_skl_callbacks")

        def report(loss_curve, coefficients):
            n_iter = len(loss_curve) - (self.solver == "lbfgs")
            if self.verbose and n_iter & (n_iter - 1) == 0:
                print(f"iteration {n_iter}: objective {loss_curve[-1]:.6g}")
            if not listened:
                return False
            coef, intercept = self._shaped(*coefficients())
            task = context.subcontext(task_name="iteration")
            task.call_on_fit_task_begin(estimator=self, X=X, y=y)
            return task.call_on_fit_task_end(
                estimator=self,
                X=X,
                y=y,
                reconstruction_attributes={
                    "coef_": coef,
                    "intercept_": intercept,
                    "classes_": self.classes_,
                },
            )

        return report

    def _warn_unless(self, ended):
        if not ended:
            warnings.warn(
                f"solver={self.solver!r} did not converge in max_iter={self.max_iter} "
                "iterations: increase max_iter or tol, or scale the features.",
                ConvergenceWarning,
                stacklevel=4,
            )


def _check_class_weight(class_weight):
    if isinstance(class_weight, str):
        return
    for label, value in class_weight.items():
        if not (isinstance(value, Real) and 0 <= value < np.inf):
            raise ValueError(
                "class_weight must hold finite numbers that are not negative, got "
                f"{value!r} for class {label!r}."
            )


def _total(weight, y):
    return float(len(y) if weight is None else weight.sum(dtype=np.float64))
