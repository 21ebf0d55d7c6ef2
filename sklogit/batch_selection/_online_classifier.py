"""Online batch selection around any classifier that learns by partial_fit."""

import inspect
from copy import deepcopy
from numbers import Integral

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    MetaEstimatorMixin,
    _fit_context,
    clone,
)
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.linear_model import SGDClassifier
from sklearn.utils import check_random_state, get_tags
from sklearn.utils._metadata_requests import _raise_for_params, _routing_enabled
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    process_routing,
)
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_method_params,
    _check_sample_weight,
    check_is_fitted,
    validate_data,
)

from .._state import restore_on_failure
from ._selector import UtilityDiversitySelector


def _estimator_has(method):
    def check(self):
        fitted = hasattr(self, "estimator_")
        getattr(self.estimator_ if fitted else self._estimator(), method)
        return True

    return check


class OnlineBatchSelectionClassifier(
    CallbackSupportMixin, MetaEstimatorMixin, ClassifierMixin, BaseEstimator
):
    r"""Train a classifier on the samples of each batch that are worth it.

    Candidates go through the classifier, batch after batch; only those that the
    selector keeps are passed to its ``partial_fit`` [1]_. The decision values of a
    sample, z, are its logits; of two classes they are :math:`(-z/2, z/2)`.

    Parameters
    ----------
    estimator : classifier, default=None
        One with ``partial_fit``, and ``decision_function`` or ``predict_proba``. None
        is ``SGDClassifier(loss="log_loss")``, seeded by `random_state`.
    selector : UtilityDiversitySelector, default=None
        Chooses from each batch. None is one with ``utility="loss"``,
        ``normalize="zscore"``. Without a `random_state` it gets that of the classifier.
    candidate_batch_size : int, default=32
        Samples in a batch of candidates.
    max_iter : int, default=5
        Passes of ``fit`` over the data.
    shuffle : bool, default=True
        Whether ``fit`` draws a new order for each pass. ``partial_fit`` takes samples
        as they come.
    random_state : int, RandomState instance or None, default=None
        Seed of the order, of the selector unless that has its own, and of the default
        `estimator`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    estimator_ : classifier
        The trained classifier.
    selector_ : UtilityDiversitySelector
        The selector, with what it remembers; ``selector_.n_selected_`` is the number
        of samples trained on, ``n_seen_`` that of the candidates.
    n_features_in_ : int
        Number of features.
    n_iter_ : int
        Passes of ``fit`` that were completed.

    See Also
    --------
    UtilityDiversitySelector : The rule.
    sklogit.neural.OnlineSelectionClassifier : For nets.

    Notes
    -----
    Samples have one position here, of which the nuclear norm is the length of the
    logits: it prefers samples that the classifier is sure of, and is worse than chance
    on clean data. Hence the loss is the default. Wrong labels have the greatest losses,
    however: where a good part of them is wrong, choose at random,
    ``UtilityDiversitySelector(utility="random", alpha=0)``.

    Scoring costs about as much as a step of a linear model: for those the gain is fewer
    steps, not less time. It pays with a classifier whose ``partial_fit`` is dear, or
    where repeats would crowd out the rest.

    Weights of samples multiply utilities, and are passed on for the samples kept if
    the classifier takes them. With scikit-learn's metadata routing they, and whatever
    else it requests for ``partial_fit``, are passed on if it requests them.

    Before its first ``partial_fit`` all logits of a classifier count as 0. A selector
    with ``budget=1.0`` trains it exactly as ``partial_fit`` on all batches would, but
    for batches in which every weight is 0: they are left out.

    References
    ----------
    .. [1] "Utility-Diversity Aware Online Batch Selection for LLM Supervised
       Fine-tuning", arXiv:2510.16882, for the rule; its use here is ours.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.preprocessing import scale
    >>> from sklogit.batch_selection import OnlineBatchSelectionClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = OnlineBatchSelectionClassifier(random_state=0).fit(scale(X), y)
    >>> clf.selector_.n_selected_ / clf.selector_.n_seen_ < 0.3
    True
    >>> clf.score(scale(X), y) > 0.85
    True
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "partial_fit", "predict"]), None],
        "selector": [UtilityDiversitySelector, None],
        "candidate_batch_size": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator=None,
        *,
        selector=None,
        candidate_batch_size=32,
        max_iter=5,
        shuffle=True,
        random_state=None,
    ):
        self.estimator = estimator
        self.selector = selector
        self.candidate_batch_size = candidate_batch_size
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    @with_callbacks
    def fit(self, X, y, sample_weight=None, **fit_params):
        """Train from the start.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data; sparse if the classifier takes it.
        y : array-like of shape (n_samples,)
            Labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative.
        **fit_params : dict
            Metadata for the classifier's ``partial_fit``, with routing enabled.

        Returns
        -------
        self : object
            The trained classifier.

        Raises
        ------
        TypeError
            If the classifier has neither decision values nor probabilities.
        ValueError
            If a parameter, a value or a weight is not allowed, or there is only one
            class.
        KeyboardInterrupt
            On Ctrl-C; the classifier then is what it was trained to until then.
        """
        context = self._init_callback_context(max_subtasks=self.max_iter)
        interrupt = self._fit(X, y, sample_weight, fit_params, context)
        if interrupt is not None:
            raise interrupt
        return self

    @restore_on_failure
    def _fit(self, X, y, sample_weight, fit_params, context):
        """Train, and return the KeyboardInterrupt that ended it, or None."""
        X, y, sample_weight = self._checked(X, y, sample_weight, reset=True)
        params = self._params_to_pass("fit", sample_weight, fit_params)
        rng = self._restart(np.unique(y))
        context.call_on_fit_task_begin(estimator=self, X=X, y=y)
        try:
            for _ in range(self.max_iter):
                task = context.subcontext(task_name="pass")
                task.call_on_fit_task_begin(estimator=self, X=X, y=y)
                order = np.arange(len(y))
                if self.shuffle:
                    rng.shuffle(order)
                self._train(X, y, sample_weight, params, order)
                self.n_iter_ += 1
                if self._tell(task, X, y):
                    break
            self._tell(context, X, y)
        except KeyboardInterrupt as interrupt:
            if not self._is_trained:
                raise
            return interrupt
        return None

    @restore_on_failure
    @_fit_context(prefer_skip_nested_validation=False)
    def partial_fit(self, X, y, classes=None, sample_weight=None, **fit_params):
        """Go on with new data, once, in the order in which they come.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.
        y : array-like of shape (n_samples,)
            Labels.
        classes : array-like of shape (n_classes,), default=None
            All labels, for the first call; by default those in y.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative.
        **fit_params : dict
            Metadata for the classifier's ``partial_fit``, with routing enabled.

        Returns
        -------
        self : object
            The trained classifier.

        Raises
        ------
        ValueError
            As ``fit``, and if y has labels that are not in `classes`.
        """
        first = not hasattr(self, "estimator_")
        X, y, sample_weight = self._checked(X, y, sample_weight, reset=first)
        params = self._params_to_pass("partial_fit", sample_weight, fit_params)
        if first:
            self._restart(np.unique(y if classes is None else classes))
        elif classes is not None and not np.array_equal(
            np.unique(classes), self.classes_
        ):
            raise ValueError(
                f"classes must be those of the first call, {self.classes_}, got "
                f"{classes!r}."
            )
        else:
            # A copy, so that a failure leaves the trained one as it was.
            self.estimator_ = deepcopy(self.estimator_)
            self.selector_ = deepcopy(self.selector_)
        unknown = np.setdiff1d(y, self.classes_)
        if unknown.size:
            raise ValueError(
                f"y must have labels that are in classes, {self.classes_}, got "
                f"{unknown}."
            )
        self._train(X, y, sample_weight, params, np.arange(len(y)))
        return self

    def predict(self, X):
        """Predict labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels.
        """
        X = self._checked_for_prediction(X)
        return self.estimator_.predict(X)

    @available_if(_estimator_has("decision_function"))
    def decision_function(self, X):
        """Compute the decision values of the classifier.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            The values; of two classes those of the second.
        """
        X = self._checked_for_prediction(X)
        return self.estimator_.decision_function(X)

    @available_if(_estimator_has("predict_proba"))
    def predict_proba(self, X):
        """Compute the probabilities of the classifier.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            The probabilities.
        """
        X = self._checked_for_prediction(X)
        return self.estimator_.predict_proba(X)

    def get_metadata_routing(self):
        """Return what ``fit`` takes, and what of that goes to the classifier.

        Returns
        -------
        sklearn.utils.metadata_routing.MetadataRouter
            The routing.
        """
        mapping = MethodMapping()
        for caller in ("fit", "partial_fit"):
            mapping.add(caller=caller, callee="partial_fit")
        router = MetadataRouter(owner=self).add_self_request(self)
        return router.add(estimator=self._estimator(), method_mapping=mapping)

    def _params_to_pass(self, method, sample_weight, fit_params):
        """Return what the classifier's ``partial_fit`` gets, of all samples."""
        weight = {} if sample_weight is None else {"sample_weight": sample_weight}
        if _routing_enabled():
            routed = process_routing(self, method, **weight, **fit_params)
            return dict(routed.estimator.partial_fit)
        _raise_for_params(fit_params, self, method)
        return weight if _takes_weight(self._estimator()) else {}

    def _estimator(self, seed=None):
        if self.estimator is not None:
            return self.estimator
        default = SGDClassifier(loss="log_loss", random_state=seed)
        if _routing_enabled():
            # Nobody else can ask for them on its behalf.
            default.set_partial_fit_request(sample_weight=True)
        return default

    def _restart(self, classes):
        """Start anew, and return the generator of the order."""
        if len(classes) < 2:
            raise ValueError(
                f"y needs at least 2 classes, got only one class: {classes}."
            )
        self.classes_ = classes
        rng = check_random_state(self.random_state)
        # Seeds of their own, which go with pickles.
        seed = self.random_state
        if not isinstance(seed, Integral):
            seed = rng.randint(2**31 - 1)
        self.estimator_ = clone(self._estimator(seed))
        if not hasattr(self.estimator_, "decision_function") and not hasattr(
            self.estimator_, "predict_proba"
        ):
            raise TypeError(
                "estimator must have decision_function or predict_proba, got "
                f"{type(self.estimator_).__name__}."
            )
        selector = self.selector
        if selector is None:
            # With one position the nuclear norm is the length of the logits, which is
            # greatest where the classifier is surest: the wrong samples to train on.
            selector = UtilityDiversitySelector(utility="loss", normalize="zscore")
        self.selector_ = clone(selector)
        if self.selector_.random_state is None:
            self.selector_.random_state = seed
        self._is_trained = False
        self.n_iter_ = 0
        return rng

    def _tell(self, task, X, y):
        """Tell callbacks that a task is done; whether one of them asks to stop."""
        fitted = ("classes_", "estimator_", "selector_", "n_iter_", "_is_trained")
        return task.call_on_fit_task_end(
            estimator=self,
            X=X,
            y=y,
            reconstruction_attributes={name: getattr(self, name) for name in fitted},
        )

    def _train(self, X, y, sample_weight, params, order):
        """Pass through the data in batches of candidates."""
        for start in range(0, len(order), self.candidate_batch_size):
            rows = order[start : start + self.candidate_batch_size]
            weight = None if sample_weight is None else sample_weight[rows]
            indices = np.searchsorted(self.classes_, y[rows])
            chosen = self.selector_.select(
                self._logits(X[rows]), indices, sample_weight=weight
            )
            # In the order in which they came: the rule says which, not when.
            chosen = rows[np.sort(chosen)]
            if sample_weight is not None and not sample_weight[chosen].any():
                continue  # nothing to learn, and many classifiers refuse it
            given = _check_method_params(X, params, chosen)
            if not self._is_trained:
                given["classes"] = self.classes_
            self.estimator_.partial_fit(X[chosen], y[chosen], **given)
            self._is_trained = True

    def _logits(self, X):
        """Logits of candidates, of shape (n_samples, n_classes)."""
        if not self._is_trained:
            return np.zeros((X.shape[0], len(self.classes_)))
        if not hasattr(self.estimator_, "decision_function"):
            proba = self.estimator_.predict_proba(X)
            return np.log(np.maximum(proba, np.finfo(proba.dtype).tiny))
        values = np.asarray(self.estimator_.decision_function(X))
        if values.ndim == 1:
            values = np.stack([-values / 2, values / 2], axis=1)
        return values

    def _checked(self, X, y, sample_weight, *, reset):
        X, y = validate_data(self, X, y, reset=reset, **self._accepted())
        check_classification_targets(y)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(
                sample_weight, X, ensure_non_negative=True
            )
        return X, y, sample_weight

    def _checked_for_prediction(self, X):
        check_is_fitted(self, "estimator_")
        return validate_data(self, X, reset=False, **self._accepted())

    def _accepted(self):
        sparse = get_tags(self._estimator()).input_tags.sparse
        return {
            "accept_sparse": "csr" if sparse else False,
            "dtype": [np.float64, np.float32],
        }

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self._estimator())
        tags.input_tags.sparse = inner.input_tags.sparse
        tags.classifier_tags.poor_score = inner.classifier_tags.poor_score
        tags.non_deterministic = self.random_state is None or inner.non_deterministic
        return tags


def _takes_weight(estimator):
    return "sample_weight" in inspect.signature(estimator.partial_fit).parameters
