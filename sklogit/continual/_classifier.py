"""Classifier for streams in which classes arrive over time."""

import warnings
from copy import deepcopy
from numbers import Integral, Real

import numpy as np
from scipy import sparse
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    validate_data,
)

from .._state import restore_on_failure
from ._angle_norm import angle_logits, dot_logits
from ._labels import check_labels, checked_classes
from ._memory import STRATEGIES, ReplayMemory
from ._network import Network
from ._stream import Stream, stratified_order

# Rows of sparse data that are made dense at once for predictions.
_DENSE_ROWS = 1024


class UnbiasedReplayClassifier(CallbackSupportMixin, ClassifierMixin, BaseEstimator):
    r"""Learn from a stream in which classes arrive, and forget less of the old ones.

    A small network with rectifiers turns rows into features h, and each class has a row
    :math:`w_c` of a head. The stream is seen once, in small batches, and a few of its
    rows are kept to be replayed. Plain replay favours the newest classes; that bias
    sits in the angles between features and :math:`w_c` [1]_. So rows of the stream are
    trained on the angle alone, those from the memory on norm and angle,

    .. math:: L = \mathrm{CE}\Big(\frac{\cos(h_t, w_c)}{\tau},\, y_t\Big)
        + \beta \, \mathrm{CE}(w_c^\top h_m + b_c,\, y_m) ,

    with the mean over each part. Predictions use norm and angle.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(128,)
        Widths of the hidden layers; ``()`` makes a linear model.
    memory_size : int, default=200
        Most rows in the memory.
    replay_batch_size : int, default=10
        Rows replayed in each step; fewer if the memory has fewer.
    batch_size : int, default=10
        Rows of the stream in each step.
    temperature : float, default=0.09
        The divisor :math:`\tau` of cosines.
    replay_weight : float, default=1.0
        Weight :math:`\beta` of the replayed rows' loss.
    current_logits : {"angle", "dot", "masked"}, default="angle"
        Logits for rows of the stream: of the angle; of norm and angle; or those of
        norm and angle for the classes of the batch only.
    replay_logits : {"angle", "dot"}, default="dot"
        Logits for replayed rows.
    predict_with : {"dot", "angle"}, default="dot"
        Logits for predictions. With "angle" the bias shows.
    learning_rate_init : float, default=0.1
        Learning rate of stochastic gradient descent.
    momentum : float, default=0.0
        Part of the last step's direction that is kept.
    alpha : float, default=0.0
        Strength of the L2 penalty on weights.
    n_replay_steps : int, default=1
        Steps for each batch of the stream, with other replayed rows each.
    max_iter : int, default=1
        Passes of `fit` over the data.
    shuffle : bool, default=True
        Whether `fit` shuffles the rows, such that each stretch of them has its share
        of every class; `partial_fit` never does.
    fit_intercept : bool, default=True
        Whether logits of norm and angle have intercepts.
    memory : {"reservoir", "class_balanced"} or object, default="reservoir"
        Which rows stay, see :class:`ReplayMemory`; or an object with the methods
        ``update(X, y, sample_weight, rng=rng)`` and ``sample(n, rng=rng)``, which
        returns rows, labels and weights, or three times None. It is copied, with the
        rows that it has; their labels need not come in the stream.
    warm_start : bool, default=False
        Whether `fit` goes on with the network and the memory of the last fit.
    random_state : int, RandomState instance or None, default=None
        Seed of initialisation, shuffling and the memory.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels known so far, sorted.
    coefs_ : list of ndarray of shape (n_in, n_out)
        Weights of the hidden layers.
    intercepts_ : list of ndarray of shape (n_out,)
        Their intercepts.
    head_coef_ : ndarray of shape (n_classes, n_hidden)
        Weights of the classes.
    head_intercept_ : ndarray of shape (n_classes,) or None
        Their intercepts.
    norms_ : ndarray of shape (n_classes,)
        Norms of the rows of `head_coef_`.
    memory_ : ReplayMemory or object
        The memory.
    memory_X_ : ndarray of shape (n_kept, n_features) or None
        Rows in the memory; None as long as it is empty.
    memory_y_ : ndarray of shape (n_kept,) or None
        Their labels.
    n_seen_ : int
        Rows learnt from, repeated ones of several passes included.
    n_iter_ : int
        Passes over data; a call of `partial_fit` is one.
    loss_curve_ : list of float
        Mean loss of the batches of each pass.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if X has any.

    See Also
    --------
    ReplayMemory : The memory.
    class_incremental_splits : Makes a stream of tasks.
    sklogit.metrics.continual_accuracy_matrix : Accuracy on each task over time.
    sklearn.linear_model.SGDClassifier : Needs all classes in its first call.

    Notes
    -----
    Four methods are settings of two parameters, ``(current_logits, replay_logits)``:
    experience replay is ("dot", "dot"), cosine replay ("angle", "angle"), ER-ACE [2]_
    ("masked", "dot"), and unbiased replay ("angle", "dot").

    Angle logits change more by a step than others do, by the factor
    :math:`1 / \tau`; features of norm below 1e-6 have angle logits of zero and change
    nothing. Scale X to about unit variance.

    Weights make weighted means of each part; rows without weight are left out. Labels
    of new classes add rows to the head, unless `classes` says which there are.

    The advantage is one of small memories: with a large one, or none of the classes
    coming late, plain replay is as good. Cosine replay and ER-ACE are serious rivals:
    try all three.

    References
    ----------
    .. [1] "UER: A Heuristic Bias Addressing Approach for Online Continual Learning",
       arXiv:2309.04081.
    .. [2] "New Insights on Reducing Abrupt Representation Change in Online Continual
       Learning", arXiv:2104.05025.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklogit.continual import UnbiasedReplayClassifier
    >>> from sklogit.continual import class_incremental_splits
    >>> X, y = load_digits(return_X_y=True)
    >>> X = X / 16
    >>> clf = UnbiasedReplayClassifier(memory_size=100, random_state=0)
    >>> for rows in class_incremental_splits(y, n_tasks=5, random_state=0):
    ...     clf = clf.partial_fit(X[rows], y[rows])
    >>> clf.classes_.tolist(), clf.memory_X_.shape
    ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], (100, 64))
    >>> bool(clf.score(X, y) > 0.75)
    True
    """

    _parameter_constraints: dict = {
        "hidden_layer_sizes": [
            "array-like",
            Interval(Integral, 1, None, closed="left"),
        ],
        "memory_size": [Interval(Integral, 0, None, closed="left")],
        "replay_batch_size": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "replay_weight": [Interval(Real, 0, None, closed="left")],
        "current_logits": [StrOptions({"angle", "dot", "masked"})],
        "replay_logits": [StrOptions({"angle", "dot"})],
        "predict_with": [StrOptions({"angle", "dot"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "n_replay_steps": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "fit_intercept": ["boolean"],
        "memory": [StrOptions(set(STRATEGIES)), HasMethods(["update", "sample"])],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        hidden_layer_sizes=(128,),
        *,
        memory_size=200,
        replay_batch_size=10,
        batch_size=10,
        temperature=0.09,
        replay_weight=1.0,
        current_logits="angle",
        replay_logits="dot",
        predict_with="dot",
        learning_rate_init=0.1,
        momentum=0.0,
        alpha=0.0,
        n_replay_steps=1,
        max_iter=1,
        shuffle=True,
        fit_intercept=True,
        memory="reservoir",
        warm_start=False,
        random_state=None,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.memory_size = memory_size
        self.replay_batch_size = replay_batch_size
        self.batch_size = batch_size
        self.temperature = temperature
        self.replay_weight = replay_weight
        self.current_logits = current_logits
        self.replay_logits = replay_logits
        self.predict_with = predict_with
        self.learning_rate_init = learning_rate_init
        self.momentum = momentum
        self.alpha = alpha
        self.n_replay_steps = n_replay_steps
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.fit_intercept = fit_intercept
        self.memory = memory
        self.warm_start = warm_start
        self.random_state = random_state

    # -- learning ----------------------------------------------------------------------

    @restore_on_failure
    @_fit_context(prefer_skip_nested_validation=True)
    @with_callbacks
    def fit(self, X, y, sample_weight=None):
        """Learn from data that are all there.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data; sparse ones are made dense batch by batch.
        y : array-like of shape (n_samples,)
            Labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights.

        Returns
        -------
        self : object
            The fitted classifier.

        Raises
        ------
        ValueError
            If y has only one class with weight, a value is not finite, a weight is
            negative, or training diverges.
        """
        warm = self.warm_start and hasattr(self, "_stream")
        X, y, weight = self._check_rows(X, y, sample_weight, first=not warm)
        stream = self._stream.copy() if warm else self._start(X)
        if len(np.union1d(stream.classes, y) if warm else np.unique(y)) < 2:
            raise ValueError(
                f"y must have at least 2 classes, got only one class: {np.unique(y)}."
            )
        stream.meet(y)  # all are there from the first batch on
        context = self._init_callback_context(max_subtasks=self.max_iter)
        context.call_on_fit_task_begin(estimator=self, X=X, y=y)
        losses, stopped = [], False
        while len(losses) < self.max_iter and not stopped:
            rows = stratified_order(y, stream.rng) if self.shuffle else slice(None)
            of_rows = None if weight is None else weight[rows]
            losses.append(stream.follow(X[rows], y[rows], of_rows, self))
            stopped = self._tell_callbacks(context, X, y, stream)
        if warm:  # a callback may still fail
            self.loss_curve_ = self.loss_curve_.copy()
        self._store(stream, losses, first=not warm)
        context.call_on_fit_task_end(
            estimator=self, X=X, y=y, reconstruction_attributes={}
        )
        return self

    def _tell_callbacks(self, context, X, y, stream):
        """Whether one of them ends the training after this pass."""
        if not hasattr(self, "_skl_callbacks"):
            return False
        task = context.subcontext(task_name="pass")
        task.call_on_fit_task_begin(estimator=self, X=X, y=y)
        return task.call_on_fit_task_end(
            estimator=self,
            X=X,
            y=y,
            reconstruction_attributes=self._attributes_of(stream),
        )

    @restore_on_failure
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Learn from the next rows of the stream, in their order.

        The network and the memory are made in the first call, by the parameters that
        there are then.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.
        y : array-like of shape (n_samples,)
            Their labels. New ones add a class, unless `classes` was given.
        classes : array-like of shape (n_classes,), default=None
            All labels that there will be. Once given, it is that of all further calls.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights.

        Returns
        -------
        self : object
            The classifier after the steps. After an error it is as before the call.

        Raises
        ------
        ValueError
            If y has a label that `classes` lacks, `classes` are others than before, a
            value is not finite, a weight is negative, or training diverges.
        """
        first = not hasattr(self, "_stream")
        X, y, weight = self._check_rows(X, y, sample_weight, first=first)
        stream = self._start(X) if first else self._stream.copy()
        if classes is not None:
            stream.fix_classes(checked_classes(classes))
        losses = [stream.follow(X, y, weight, self)] if len(y) else []
        self._store(stream, losses, first=first)
        return self

    def _check_rows(self, X, y, sample_weight, *, first):
        dtype = [np.float64, np.float32] if first else self.head_coef_.dtype
        X, y = validate_data(self, X, y, accept_sparse="csr", dtype=dtype, reset=first)
        check_labels(y)
        if sample_weight is None:
            return X, y, None
        weight = _check_sample_weight(
            sample_weight,
            X,
            dtype=X.dtype,
            ensure_non_negative=True,
            # A batch that counts for nothing is no reason to end a stream.
            allow_all_zero_weights=not first,
        )
        kept = weight > 0
        return X[kept], y[kept], weight[kept]

    def _start(self, X):
        """Make the learner of a new stream."""
        # Its own generator, so that a failure can put it back and a pickle has it.
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        rng = np.random.RandomState(seed)
        network = Network.random(
            X.shape[1], self._layer_sizes(), self.fit_intercept, X.dtype, rng
        )
        if isinstance(self.memory, str):
            memory = ReplayMemory(self.memory_size, self.memory)
            if self.memory_size == 0 and self.current_logits == "angle":
                warnings.warn(
                    "memory_size=0 replays nothing: norms and intercepts are not "
                    "trained; current_logits='dot' would train them.",
                    UserWarning,
                    stacklevel=3,
                )
        elif isinstance(self.memory, type):
            raise TypeError(
                f"memory must be an instance, got the class {self.memory.__name__}."
            )
        else:
            memory = deepcopy(self.memory)
        return Stream(network, memory, rng, np.array([]))

    def _layer_sizes(self):
        sizes = np.ravel(self.hidden_layer_sizes).tolist()
        for size in sizes:
            whole = isinstance(size, Integral) and not isinstance(size, bool)
            if not whole or size < 1:
                raise ValueError(
                    "hidden_layer_sizes must be integers >= 1, got "
                    f"{self.hidden_layer_sizes!r}."
                )
        return sizes

    def _store(self, stream, losses, *, first):
        vars(self).update(self._attributes_of(stream))
        if first:
            self.n_iter_, self.loss_curve_ = 0, []
        self.n_iter_ += len(losses)
        self.loss_curve_.extend(losses)  # in place: a copy a call would be quadratic

    @staticmethod
    def _attributes_of(stream):
        """Fitted attributes, by their names."""
        network = stream.network
        return {
            "_stream": stream,
            "classes_": stream.classes,
            "coefs_": network.coefs,
            "intercepts_": network.intercepts,
            "head_coef_": network.head_coef,
            "head_intercept_": network.head_intercept,
            "memory_": stream.memory,
            "n_seen_": stream.n_seen,
        }

    # -- predictions -------------------------------------------------------------------

    @property
    def norms_(self):
        """Norms of the rows of `head_coef_`."""
        return np.linalg.norm(self.head_coef_, axis=1)

    @property
    def memory_X_(self):
        """Rows in the memory."""
        return self.memory_.X

    @property
    def memory_y_(self):
        """Their labels."""
        return self.memory_.y

    def decision_function(self, X):
        """Compute the logits.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or (n_samples,) for two classes
            Logits; of two classes their difference, positive for the second one.
        """
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict(self, X):
        """Predict labels.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        ndarray of shape (n_samples,)
            The label with the greatest logit.
        """
        best = self._logits(X).argmax(axis=1)
        return self.classes_[best]

    def predict_proba(self, X):
        """Compute the softmax of the logits.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities of the classes known so far; they are not calibrated.
        """
        return softmax(self._logits(X), axis=1)

    def predict_log_proba(self, X):
        """Compute the logarithms of the probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Logarithms, finite where probabilities would be rounded to zero.
        """
        return log_softmax(self._logits(X), axis=1)

    def _logits(self, X):
        check_is_fitted(self)
        X = validate_data(
            self, X, accept_sparse="csr", dtype=self.head_coef_.dtype, reset=False
        )
        if not sparse.issparse(X):
            return self._logits_of_rows(X)
        starts = range(0, X.shape[0], _DENSE_ROWS)
        blocks = (X[start : start + _DENSE_ROWS].toarray() for start in starts)
        return np.concatenate([self._logits_of_rows(block) for block in blocks])

    def _logits_of_rows(self, X):
        H = self._stream.network.activations(X)[-1]
        if self.predict_with == "angle":
            return angle_logits(H, self.head_coef_, self.temperature)
        return dot_logits(H, self.head_coef_, self.head_intercept_)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
