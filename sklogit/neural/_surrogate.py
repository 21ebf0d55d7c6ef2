"""Nets trained by few calls of their loss, as scikit-learn estimators."""

import warnings
from functools import partial

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import check_classification_targets
from skorch import NeuralNetClassifier, NeuralNetRegressor
from skorch.dataset import unpack_data
from skorch.utils import is_dataset, to_numpy
from torch import nn

from .._oracle import OracleBudgetExceeded, oracle_name
from ..optim import TargetSurrogate
from ._net import (
    ArrayNetMixin,
    LinearLogits,
    class_indices,
    restore_net_on_failure,
    seeded,
    starts_anew,
)


class SurrogateTrainMixin(ArrayNetMixin):
    """Training steps by `TargetSurrogate`, for a net of skorch.

    The forward pass and the loss go to the optimiser apart. With `oracle` the loss is
    the user's, called with arrays.
    """

    def train_step(self, batch, **fit_params):
        """Let the optimiser take one outer step on a batch."""
        self._set_training(True)
        Xi, yi = unpack_data(batch)
        seen = []

        def forward():
            seen.append(self.infer(Xi, **fit_params))
            return seen[-1]

        def loss_of(targets):
            if self.oracle is None:
                return self.get_loss(targets, yi, X=Xi, training=True)
            return self.oracle(to_numpy(targets.detach()), to_numpy(yi))

        # Errors name what the user knows.
        own = self.criterion_ if self.oracle is None else self.oracle
        loss_of.__name__ = oracle_name(own)
        # Before each inner step, so that callbacks can clip the gradient.
        notify = partial(self._notify_of_gradient, batch)
        loss = self.optimizer_.step(forward, loss_of, on_gradient=notify)
        return {"loss": torch.tensor(loss), "y_pred": seen[0].detach()}

    def initialize_optimizer(self, *args, **kwargs):
        """Create the optimiser, which must be a TargetSurrogate."""
        if self.oracle is not None and not callable(self.oracle):
            raise TypeError(
                f"oracle must be a callable or None, got {type(self.oracle).__name__}."
            )
        super().initialize_optimizer(*args, **kwargs)
        if not isinstance(self.optimizer_, TargetSurrogate):
            raise TypeError(
                "optimizer must be TargetSurrogate or a subclass of it, got "
                f"{type(self.optimizer_).__name__}; others are what "
                "optimizer__inner_optimizer takes."
            )
        return self

    def _notify_of_gradient(self, batch):
        self.notify(
            "on_grad_computed",
            named_parameters=list(self.get_all_learnable_params()),
            batch=batch,
            training=True,
        )

    def fit_loop(self, X, y=None, epochs=None, **fit_params):
        """Run the training loop; a spent budget of oracle calls ends it."""
        try:
            return super().fit_loop(X, y, epochs, **fit_params)
        except OracleBudgetExceeded as error:
            warnings.warn(
                f"Training ended before max_epochs={self.max_epochs}: {error}.",
                ConvergenceWarning,
                stacklevel=4,
            )
            return self

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Record the number of oracle calls in the history."""
        super().on_epoch_end(net, dataset_train, dataset_valid, **kwargs)
        self.history.record("n_oracle_calls", self.optimizer_.n_oracle_calls)


class SurrogateNetClassifier(SurrogateTrainMixin, NeuralNetClassifier):
    r"""Classify by a net that is trained with few calls of its loss.

    It is :class:`skorch.NeuralNetClassifier` with
    :class:`~sklogit.optim.TargetSurrogate` as its optimiser: every minibatch calls the
    loss once, at the logits :math:`z`, and moves the parameters several times towards
    :math:`z - \eta G`. Made for losses that are expensive: a simulator, a remote
    scorer, a search. For a cheap loss use Adam.

    Parameters
    ----------
    module : class or instance, default=LinearLogits
        The net, logits out; by default a linear layer of the shape of the data.
    *args
        Further positional parameters of :class:`skorch.NeuralNetClassifier`.
    criterion : class, default=torch.nn.CrossEntropyLoss
        Loss of logits and class indices.
    oracle : callable or None, default=None
        Loss to use in training instead: ``oracle(z, y)`` gets arrays of logits and
        class indices and returns a pair of the loss and its gradient with respect to
        z, both of the mean over the samples. `criterion` remains the loss of the
        validation part.
    optimizer : class, default=TargetSurrogate
        The optimiser; ``optimizer__eta``, ``optimizer__inner_steps`` and so on are its
        parameters.
    lr : float, default=0.1
        Learning rate of the inner optimiser, if it needs one.
    max_epochs : int, default=20
        Passes over the data.
    batch_size : int, default=128
        Samples in a minibatch; -1 takes all.
    train_split : callable or None, default=None
        Validation split.
    verbose : int, default=0
        1 prints a line an epoch.
    random_state : int, RandomState instance or None, default=None
        Seed of initialisation and minibatches of ``fit``.
    **kwargs
        Further parameters of :class:`skorch.NeuralNetClassifier`. ``optimizer__eta`` is
        2 by default, the inverse of the smoothness of the cross-entropy.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    module_ : torch.nn.Module
        The trained net.
    optimizer_ : TargetSurrogate
        The optimiser, with its counters.
    history_ : skorch.history.History
        Losses and ``n_oracle_calls`` of every epoch.

    See Also
    --------
    sklogit.optim.TargetSurrogate : The optimiser.
    sklogit.linear_model.expensive_oracle : Counts and limits the calls.

    Notes
    -----
    With ``optimizer__max_oracle_calls`` the training ends when the budget is spent,
    with a `ConvergenceWarning`; what was learnt until then is kept, as after Ctrl-C.
    Sample weights are not supported: put them into the oracle.

    Callbacks hear of ``on_grad_computed`` before each inner step, so those that clip
    gradients work. The step rule "adaptive" saves calls if the batches repeat
    unchanged: ``batch_size=-1, iterator_train__shuffle=False``.

    References
    ----------
    .. [1] "Target-based Surrogates for Stochastic Optimization", arXiv:2302.02607.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklogit.neural import SurrogateNetClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> net = SurrogateNetClassifier(max_epochs=4, random_state=0).fit(X / 16, y)
    >>> net.optimizer_.n_oracle_calls, net.score(X / 16, y) > 0.9
    (60, True)
    """

    def __init__(
        self,
        module=LinearLogits,
        *args,
        criterion=nn.CrossEntropyLoss,
        oracle=None,
        optimizer=TargetSurrogate,
        lr=0.1,
        max_epochs=20,
        batch_size=128,
        train_split=None,
        verbose=0,
        random_state=None,
        **kwargs,
    ):
        kwargs.setdefault("iterator_train__shuffle", True)
        if optimizer is TargetSurrogate:
            kwargs.setdefault("optimizer__eta", 2.0)
        super().__init__(
            module,
            *args,
            criterion=criterion,
            optimizer=optimizer,
            lr=lr,
            max_epochs=max_epochs,
            batch_size=batch_size,
            train_split=train_split,
            verbose=verbose,
            **kwargs,
        )
        self.oracle = oracle
        self.random_state = random_state

    @restore_net_on_failure
    def fit(self, X, y, **fit_params):
        """Initialise the net and train it.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...) or Dataset
            Data.
        y : array-like of shape (n_samples,) or None
            Labels; None if X is a Dataset that holds class indices.
        **fit_params : dict
            Passed to skorch.

        Returns
        -------
        SurrogateNetClassifier
            The fitted net.

        Raises
        ------
        ValueError
            If X or y has values that are not finite, or there is only one class.
        """
        fresh = starts_anew(self)
        X, y = self._check_training_data(X, y, fresh=fresh)
        with seeded(self.random_state):
            return super().fit(X, y, _checked=True, **fit_params)

    @restore_net_on_failure
    def partial_fit(self, X, y=None, classes=None, **fit_params):
        """Train further, without initialising a net that is.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...) or Dataset
            Data.
        y : array-like of shape (n_samples,) or None
            Labels.
        classes : array-like of shape (n_classes,) or None
            All labels, for the first call; default those in y.
        **fit_params : dict
            Passed to skorch.

        Returns
        -------
        SurrogateNetClassifier
            The trained net.
        """
        # fit of skorch comes here with data that are arrays by then, without names.
        if not fit_params.pop("_checked", False):
            fresh = not self.initialized_
            X, y = self._check_training_data(X, y, fresh=fresh, classes=classes)
        return super().partial_fit(X, y, classes=classes, **fit_params)

    def get_split_datasets(self, X, y=None, **fit_params):
        """Split into training and validation data, with labels as class indices."""
        if y is not None:
            y = class_indices(y, self.classes_)
        return super().get_split_datasets(X, y, **fit_params)

    def predict_proba(self, X):
        """Compute the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...) or Dataset
            Data.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of ``classes_``.
        """
        return super().predict_proba(self._check_for_prediction(X))

    def predict(self, X):
        """Predict labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...) or Dataset
            Data.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels; class indices while the training loop runs.
        """
        indices = self.predict_proba(X).argmax(axis=1)
        return indices if self.in_training_loop_ else self.classes_[indices]

    def _n_outputs(self):
        return len(getattr(self, "classes_", ())) or None

    def _check_training_data(self, X, y, *, fresh, classes=None):
        if is_dataset(X):
            return X, y
        X, y = self._validated(X, y, reset=fresh)
        check_classification_targets(y)
        if fresh:
            self.classes_inferred_ = np.unique(y if classes is None else classes)
        if len(self.classes_) < 2:
            raise ValueError(
                f"y needs at least 2 classes, got only one class: {self.classes_}."
            )
        class_indices(y, self.classes_)
        return X, y


class SurrogateNetRegressor(SurrogateTrainMixin, NeuralNetRegressor):
    r"""Predict numbers by a net that is trained with few calls of its loss.

    It is :class:`skorch.NeuralNetRegressor` with
    :class:`~sklogit.optim.TargetSurrogate` as its optimiser; see
    :class:`SurrogateNetClassifier`.

    Parameters
    ----------
    module : class or instance, default=LinearLogits
        The net; by default a linear layer of the shape of the data.
    *args
        Further positional parameters of :class:`skorch.NeuralNetRegressor`.
    criterion : class, default=torch.nn.MSELoss
        Loss of predictions and targets, both of shape (n_samples, n_outputs).
    oracle : callable or None, default=None
        Loss to use in training instead: ``oracle(z, y)`` gets arrays and returns a pair
        of the loss and its gradient, of the mean over the samples.
    optimizer : class, default=TargetSurrogate
        The optimiser.
    lr : float, default=0.1
        Learning rate of the inner optimiser, if it needs one.
    max_epochs : int, default=20
        Passes over the data.
    batch_size : int, default=128
        Samples in a minibatch; -1 takes all.
    train_split : callable or None, default=None
        Validation split.
    verbose : int, default=0
        1 prints a line an epoch.
    random_state : int, RandomState instance or None, default=None
        Seed of initialisation and minibatches of ``fit``.
    **kwargs
        Further parameters of :class:`skorch.NeuralNetRegressor`. ``optimizer__eta`` is
        0.5 by default, the inverse of the smoothness of the squared error.

    Attributes
    ----------
    module_ : torch.nn.Module
        The trained net.
    optimizer_ : TargetSurrogate
        The optimiser, with its counters.
    history_ : skorch.history.History
        Losses and ``n_oracle_calls`` of every epoch.

    See Also
    --------
    sklogit.optim.TargetSurrogate : The optimiser.

    References
    ----------
    .. [1] "Target-based Surrogates for Stochastic Optimization", arXiv:2302.02607.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.neural import SurrogateNetRegressor
    >>> X = np.random.default_rng(0).standard_normal((200, 3))
    >>> net = SurrogateNetRegressor(random_state=0).fit(X, X @ [1.0, -2.0, 0.5])
    >>> net.score(X, X @ [1.0, -2.0, 0.5]) > 0.99
    True
    """

    def __init__(
        self,
        module=LinearLogits,
        *args,
        criterion=nn.MSELoss,
        oracle=None,
        optimizer=TargetSurrogate,
        lr=0.1,
        max_epochs=20,
        batch_size=128,
        train_split=None,
        verbose=0,
        random_state=None,
        **kwargs,
    ):
        kwargs.setdefault("iterator_train__shuffle", True)
        if optimizer is TargetSurrogate:
            kwargs.setdefault("optimizer__eta", 0.5)
        super().__init__(
            module,
            *args,
            criterion=criterion,
            optimizer=optimizer,
            lr=lr,
            max_epochs=max_epochs,
            batch_size=batch_size,
            train_split=train_split,
            verbose=verbose,
            **kwargs,
        )
        self.oracle = oracle
        self.random_state = random_state

    @restore_net_on_failure
    def fit(self, X, y, **fit_params):
        """Initialise the net and train it.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...) or Dataset
            Data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), or None
            Targets; None if X is a Dataset that holds them.
        **fit_params : dict
            Passed to skorch.

        Returns
        -------
        SurrogateNetRegressor
            The fitted net.
        """
        fresh = starts_anew(self)
        X, y = self._check_training_data(X, y, fresh=fresh)
        with seeded(self.random_state):
            return super().fit(X, y, _checked=True, **fit_params)

    @restore_net_on_failure
    def partial_fit(self, X, y=None, classes=None, **fit_params):
        """Train further, without initialising a net that is.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...) or Dataset
            Data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), or None
            Targets.
        classes : None
            Not used.
        **fit_params : dict
            Passed to skorch.

        Returns
        -------
        SurrogateNetRegressor
            The trained net.
        """
        # fit of skorch comes here with data that are arrays by then, without names.
        if not fit_params.pop("_checked", False):
            X, y = self._check_training_data(X, y, fresh=not self.initialized_)
        return super().partial_fit(X, y, classes=classes, **fit_params)

    def predict(self, X):
        """Predict targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...) or Dataset
            Data.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predictions, of as many dimensions as the targets had.
        """
        predictions = self.predict_proba(X)
        return predictions.ravel() if self.targets_ndim_ == 1 else predictions

    def predict_proba(self, X):
        """Evaluate the net; skorch's name for predictions that are not processed.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...) or Dataset
            Data.

        Returns
        -------
        ndarray of shape (n_samples, n_outputs)
            Outputs of the module.
        """
        return super().predict_proba(self._check_for_prediction(X))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _n_outputs(self):
        return getattr(self, "n_outputs_", None)

    def _check_training_data(self, X, y, *, fresh):
        if is_dataset(X):
            self.targets_ndim_ = getattr(self, "targets_ndim_", 2)
            return X, y
        X, y = self._validated(X, y, reset=fresh, multi_output=True, y_numeric=True)
        if fresh:
            self.targets_ndim_ = y.ndim
            self.n_outputs_ = 1 if y.ndim == 1 else y.shape[1]
        return X, y.reshape(len(y), -1).astype(np.float32)
