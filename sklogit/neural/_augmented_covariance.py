"""AugmentedCovarianceNet as a scikit-learn classifier, trained by skorch."""

import numpy as np
import torch
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from skorch import NeuralNetClassifier
from skorch.utils import is_dataset, to_device
from torch import nn

from ..heads import AugmentedCovarianceNet
from ._net import (
    as_torch_takes_it,
    class_indices,
    restore_net_on_failure,
    seeded,
    starts_anew,
)


class AugmentedCovarianceNetClassifier(NeuralNetClassifier):
    r"""Classify epochs by a net on their augmented covariance.

    It is :class:`skorch.NeuralNetClassifier` around
    :class:`~sklogit.heads.AugmentedCovarianceNet`: minimises the cross-entropy

    .. math:: \frac1n \sum_i -\log \mathrm{softmax}(\mathrm{net}(X_i))_{y_i}

    by minibatches. All that skorch offers works as in skorch: callbacks, ``history``,
    devices, ``set_params(module__order=2)``. Added are what the net needs to know of
    the data (number of channels and classes, the reference of its tangent space,
    computed from the training part before the first epoch) and labels of any kind.

    Parameters
    ----------
    module : class or instance, default=AugmentedCovarianceNet
        The net, or a subclass of it. Its parameters are ``module__order``,
        ``module__lag``, ``module__estimator``, ``module__trim``, ``module__n_filters``.
        An instance is trained in place, from the weights it has; ``fit`` computes its
        reference anew unless ``warm_start=True``, ``partial_fit`` keeps one it has.
    *args
        Further positional parameters of :class:`skorch.NeuralNetClassifier`.
    criterion : class, default=torch.nn.CrossEntropyLoss
        Loss of logits and class indices.
    optimizer : class, default=torch.optim.SGD
        Optimiser. The steps of gradient descent, unlike the coordinate-wise ones of
        Adam, do not depend on the basis of the tangent space, which is arbitrary.
    lr : float, default=0.5
        Learning rate. It suits features of norm 1 to 10, as tangent vectors are; the
        rates known from Adam (0.01 and less) would need more epochs.
    max_epochs : int, default=50
        Passes over the data.
    batch_size : int, default=32
        Epochs (trials) in a minibatch; they are shuffled unless
        ``iterator_train__shuffle=False``.
    train_split : callable or None, default=None
        Validation split. None trains on all data; early stopping on the validation
        loss needs one, such as ``skorch.dataset.ValidSplit(5, stratified=True)``.
    verbose : int, default=0
        1 prints a line an epoch.
    random_state : int, RandomState instance or None, default=None
        Seed of the initialisation and of the minibatches of ``fit``. None, and
        ``partial_fit`` always, use torch's global generator, to be seeded by
        ``torch.manual_seed``.
    **kwargs
        Further parameters of :class:`skorch.NeuralNetClassifier`. ``classes`` lists
        the labels when they cannot be found in the data; the order of the logits
        then follows it.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    n_channels_ : int
        Number of channels seen in the first fit.
    module_ : AugmentedCovarianceNet
        The trained net.
    history_ : skorch.history.History
        Losses and scores of every epoch.

    See Also
    --------
    sklogit.heads.AugmentedCovarianceNet : The module.

    Notes
    -----
    X is an array of shape (n_epochs, n_channels, n_times), or (n_epochs, n_times) for
    one channel, of any real dtype; the net computes in float32. A torch ``Dataset`` is
    accepted too, its labels must be the integers from 0 to n_classes - 1.

    While the training loop runs, ``predict`` returns class indices, so that scoring
    callbacks compare them with the encoded labels of the loop; before and after it
    returns labels.

    A fit that raises an error leaves the net as it was before: weights, optimiser and
    history are put back from copies, so ``module_`` and, if it was given as an
    instance, ``module`` are then other objects, with the old values. Ctrl-C during the
    training loop is no failure: skorch catches it, ends the training and keeps what
    was learnt so far.

    References
    ----------
    .. [1] "Classification of BCI-EEG based on augmented covariance matrix",
       arXiv:2302.04508.

    Examples
    --------
    >>> from sklogit.datasets import make_bci_epochs
    >>> from sklogit.neural import AugmentedCovarianceNetClassifier
    >>> X, y = make_bci_epochs(n_epochs=60, random_state=0)
    >>> net = AugmentedCovarianceNetClassifier(
    ...     module__order=4, module__lag=2, max_epochs=10, random_state=0
    ... )
    >>> net.fit(X[:40], y[:40]).score(X[40:], y[40:]) > 0.8
    True
    """

    # Instances hold it only while their training loop runs.
    in_training_loop_ = False

    def __init__(
        self,
        module=AugmentedCovarianceNet,
        *args,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        lr=0.5,
        max_epochs=50,
        batch_size=32,
        train_split=None,
        verbose=0,
        random_state=None,
        **kwargs,
    ):
        kwargs.setdefault("iterator_train__shuffle", True)
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
        self.random_state = random_state

    @restore_net_on_failure
    def fit(self, X, y, **fit_params):
        """Initialise the net for the data and train it.

        Parameters
        ----------
        X : array-like of shape (n_epochs, n_channels, n_times) or Dataset
            Signals; (n_epochs, n_times) for one channel.
        y : array-like of shape (n_epochs,) or None
            Labels; None if X is a Dataset that holds them.
        **fit_params : dict
            Passed to skorch.

        Returns
        -------
        AugmentedCovarianceNetClassifier
            The fitted net.

        Raises
        ------
        ValueError
            If X or y has a wrong shape or values that are not finite, or y has fewer
            than two classes.
        """
        fresh = starts_anew(self)
        X, y = self._check_training_data(X, y, fresh=fresh)
        if not self.warm_start:
            self._reset_reference_of_instance()
        with seeded(self.random_state):
            return super().fit(X, y, **fit_params)

    @restore_net_on_failure
    def partial_fit(self, X, y=None, classes=None, **fit_params):
        """Train further, without initialising a net that is.

        Parameters
        ----------
        X : array-like of shape (n_epochs, n_channels, n_times) or Dataset
            Signals.
        y : array-like of shape (n_epochs,) or None
            Labels.
        classes : array-like of shape (n_classes,) or None
            All labels, for the first call; default those in y.
        **fit_params : dict
            Passed to skorch.

        Returns
        -------
        AugmentedCovarianceNetClassifier
            The trained net.
        """
        X, y = self._check_training_data(
            X, y, fresh=not self.initialized_, classes=classes
        )
        return super().partial_fit(X, y, classes=classes, **fit_params)

    def initialize_module(self):
        """Create the net, with the shapes seen in the data unless they were given."""
        kwargs = self.get_params_for("module")
        if not isinstance(self.module, nn.Module):
            seen = {"n_channels": getattr(self, "n_channels_", None)}
            seen["n_classes"] = len(getattr(self, "classes_", ())) or None
            for name, value in seen.items():
                if kwargs.setdefault(name, value) is None:
                    raise ValueError(
                        f"module__{name} is unknown: pass it, or call fit instead of "
                        "initialize."
                    )
        self.module_ = self.initialized_instance(self.module, kwargs)
        return self

    def check_data(self, X, y=None):
        """Nothing left to check: fit and partial_fit did, before initialising."""

    def get_split_datasets(self, X, y=None, **fit_params):
        """Split into training and validation data, with labels as class indices."""
        if y is not None:
            y = class_indices(y, self.classes_)
        return super().get_split_datasets(X, y, **fit_params)

    def fit_loop(self, X, y=None, epochs=None, **fit_params):
        """Run the training loop of skorch; see the Notes of the class."""
        self.in_training_loop_ = True
        try:
            return super().fit_loop(X, y, epochs, **fit_params)
        finally:
            del self.in_training_loop_

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Set the reference of a new net from its training data, not the validation."""
        super().on_epoch_begin(net, dataset_train, dataset_valid, **kwargs)
        if not self.module_.has_reference:
            batches = self.get_iterator(dataset_train, training=False)
            self.module_.fit_reference(to_device(X, self.device) for X, _ in batches)

    def predict_proba(self, X):
        """Compute the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n_epochs, n_channels, n_times) or Dataset
            Signals.

        Returns
        -------
        ndarray of shape (n_epochs, n_classes)
            Probabilities, in the order of ``classes_``.
        """
        check_is_fitted(self)
        return super().predict_proba(self._check_signals(X))

    def predict(self, X):
        """Predict the label of each epoch.

        Parameters
        ----------
        X : array-like of shape (n_epochs, n_channels, n_times) or Dataset
            Signals.

        Returns
        -------
        ndarray of shape (n_epochs,)
            Labels.
        """
        indices = self.predict_proba(X).argmax(axis=1)
        return indices if self.in_training_loop_ else self.classes_[indices]

    def __getstate__(self):
        # A checkpoint pickled within the loop must predict labels when loaded.
        return {
            k: v for k, v in super().__getstate__().items() if k != "in_training_loop_"
        }

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.non_deterministic = self.random_state is None
        return tags

    def _check_training_data(self, X, y, *, fresh, classes=None):
        """Check X and y; if fresh, note their channels and classes on the net."""
        if is_dataset(X):
            if fresh:
                super().check_data(X, y)
                self.n_channels_ = _n_channels(np.asarray(X[0][0])[None])
            return X, y
        # scikit-learn looks at the features of 2-D X only: there they are samples.
        X, y = validate_data(
            self, X, y, reset=fresh, allow_nd=True, ensure_min_features=1 + fresh
        )
        X = as_torch_takes_it(X)
        check_classification_targets(y)
        if fresh:
            self.classes_inferred_ = np.unique(y if classes is None else classes)
            self.n_channels_ = _n_channels(X)
        if len(self.classes_) < 2:
            raise ValueError(
                f"y needs at least 2 classes, got only one class: {self.classes_}."
            )
        class_indices(y, self.classes_)
        return X, y

    def _check_signals(self, X):
        """Check X for prediction; datasets and tensors are the net's own business."""
        if is_dataset(X) or isinstance(X, torch.Tensor):
            return X
        return as_torch_takes_it(validate_data(self, X, reset=False, allow_nd=True))

    def _reset_reference_of_instance(self):
        """Drop the reference of a module given as an instance: it is of other data."""
        # With parameters of its own skorch makes a new module, of the instance's type.
        if isinstance(self.module, nn.Module) and not self.get_params_for("module"):
            self.module.reset_reference()


def _n_channels(X):
    """Return the number of channels of X, (n, c, T), or (n, T) of one channel."""
    if X.ndim not in (2, 3):
        raise ValueError(
            "X must have shape (n_epochs, n_channels, n_times) or (n_epochs, n_times), "
            f"got {X.ndim} dimensions: {X.shape}."
        )
    return X.shape[1] if X.ndim == 3 else 1
