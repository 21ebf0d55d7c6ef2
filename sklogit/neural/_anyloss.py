"""Nets trained for a metric of the confusion matrix, as scikit-learn estimators."""

import warnings

import numpy as np
import torch
from scipy.special import logit
from sklearn.utils.multiclass import type_of_target
from skorch import NeuralNetBinaryClassifier
from skorch.utils import to_numpy, to_tensor
from torch.nn import functional as F

from ..losses import AnyLoss
from ._net import (
    ClassNetMixin,
    LinearLogits,
    restore_net_on_failure,
    seeded,
    split_weight,
    starts_anew,
)
from ._stratified import StratifiedDataLoader, labels_of

# Rows of the rarer class in a batch from which on its loss is about that of all data.
_ENOUGH_IN_A_BATCH = 5


def both_probabilities(logits):
    """Probabilities of the negative and the positive class, each as precise as can be.

    Parameters
    ----------
    logits : Tensor of shape (n_samples,)
        Logits.

    Returns
    -------
    Tensor of shape (n_samples, 2)
        The probabilities.
    """
    return torch.stack([torch.sigmoid(-logits), torch.sigmoid(logits)], dim=1)


class AnyLossNetBinaryClassifier(ClassNetMixin, NeuralNetBinaryClassifier):
    r"""Classify in two classes by a net that is trained for F1 or another metric.

    It is :class:`skorch.NeuralNetBinaryClassifier` with
    :class:`~sklogit.losses.AnyLoss`: minibatches minimise

    .. math:: 1 - M(\mathrm{tn}, \mathrm{fp}, \mathrm{fn}, \mathrm{tp})

    of the soft confusion matrix of the logits. All that skorch offers works as in
    skorch; added are labels of any kind, batches that have their share of the rare
    class, weights and a warm-up.

    Parameters
    ----------
    module : class or instance, default=LinearLogits
        The net, with one logit out, of shape (n,) or (n, 1); by default a linear one.
    *args
        Further positional parameters of :class:`skorch.NeuralNetBinaryClassifier`.
    criterion : class, default=AnyLoss
        The loss; ``criterion__metric``, ``criterion__beta``, ``criterion__momentum``
        and so on are its parameters.
    warmup : int, default=0
        So many epochs, the first ones, minimise the cross-entropy.
    classes : array-like of 2 labels, default=None
        The negative and the positive label. By default the positive one is the greater
        label.
    optimizer : class, default=torch.optim.Adam
        The optimiser.
    lr : float, default=0.01
        Its learning rate.
    max_epochs : int, default=50
        Passes over the data.
    batch_size : int, default=256
        Rows of a minibatch; -1 takes all.
    iterator_train : class, default=StratifiedDataLoader
        Loader of the training batches.
    train_split : callable or None, default=None
        Validation split, such as ``skorch.dataset.ValidSplit(5, stratified=True)``. The
        validation loss is a mean over batches: ``iterator_valid__batch_size=-1`` makes
        it that of the whole part.
    verbose : int, default=0
        1 prints a line an epoch.
    random_state : int, RandomState instance or None, default=None
        Seed of initialisation and minibatches of ``fit``.
    **kwargs
        Further parameters of :class:`skorch.NeuralNetBinaryClassifier`. Of them
        ``threshold``, 0.5 by default, is that of ``predict``.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        The labels, the positive one last.
    module_ : torch.nn.Module
        The trained net.
    criterion_ : AnyLoss
        The loss.
    history_ : skorch.history.History
        Losses of every epoch.

    See Also
    --------
    sklogit.losses.AnyLoss : The loss.
    sklogit.linear_model.AnyLossClassifier : For linear models, and in milliseconds.

    Notes
    -----
    Small batches bias the loss, as a metric is not a mean over rows: of a batch without
    positives F1 teaches nothing. Let ``batch_size`` times the share of the rarer class
    be 5 or more; below it a warning says so, unless ``criterion__momentum`` is set,
    such as 0.99.

    Weights go to ``fit`` as ``sample_weight``, or stand as the entry "sample_weight" of
    a dict X, which the module does not get to see. A module with one input gets it from
    the entry "X".

    A net that is flexible enough, trained by the cross-entropy, with its threshold
    tuned for the metric by :class:`~sklearn.model_selection.TunedThresholdClassifierCV`
    is often as good or better: compare. ``predict_proba`` is the logistic function of
    the logits, and *not* calibrated.

    References
    ----------
    .. [1] "AnyLoss: Transforming Classification Metrics into Loss Functions",
       arXiv:2405.14745.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.metrics import f1_score
    >>> from sklogit.neural import AnyLossNetBinaryClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> net = AnyLossNetBinaryClassifier(lr=0.1, random_state=0)
    >>> net = net.fit(X - X.mean(axis=0), y == 1)  # versicolor, between the others
    >>> round(f1_score(y == 1, net.predict(X - X.mean(axis=0))), 1)
    0.7
    """

    def __init__(
        self,
        module=LinearLogits,
        *args,
        criterion=AnyLoss,
        warmup=0,
        classes=None,
        optimizer=torch.optim.Adam,
        lr=0.01,
        max_epochs=50,
        batch_size=256,
        iterator_train=StratifiedDataLoader,
        train_split=None,
        verbose=0,
        random_state=None,
        **kwargs,
    ):
        kwargs.setdefault("predict_nonlinearity", both_probabilities)
        super().__init__(
            module,
            *args,
            criterion=criterion,
            optimizer=optimizer,
            lr=lr,
            max_epochs=max_epochs,
            batch_size=batch_size,
            iterator_train=iterator_train,
            train_split=train_split,
            verbose=verbose,
            **kwargs,
        )
        self.warmup = warmup
        self.classes = classes
        self.random_state = random_state

    @restore_net_on_failure
    def fit(self, X, y, sample_weight=None, **fit_params):
        """Initialise the net and train it.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...), dict of them, or Dataset
            Data.
        y : array-like of shape (n_samples,) or None
            Labels of two classes; None if X is a Dataset that holds 0 and 1.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative.
        **fit_params : dict
            Passed to skorch.

        Returns
        -------
        AnyLossNetBinaryClassifier
            The fitted net.

        Raises
        ------
        ValueError
            If X, y or a weight has values that are not allowed, or there are not two
            classes.
        """
        X, y = self._check_training_data(X, y, sample_weight, fresh=starts_anew(self))
        with seeded(self.random_state):
            return super().fit(X, y, _checked=True, **fit_params)

    @restore_net_on_failure
    def partial_fit(self, X, y=None, classes=None, sample_weight=None, **fit_params):
        """Train further, without initialising a net that is.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...), dict of them, or Dataset
            Data.
        y : array-like of shape (n_samples,) or None
            Labels.
        classes : array-like of shape (2,) or None
            Both labels, for the first call; default those in y.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative.
        **fit_params : dict
            Passed to skorch.

        Returns
        -------
        AnyLossNetBinaryClassifier
            The trained net.
        """
        # fit of skorch comes here with data that are arrays by then, without names.
        if not fit_params.pop("_checked", False):
            X, y = self._check_training_data(
                X, y, sample_weight, fresh=not self.initialized_, classes=classes
            )
        return super().partial_fit(X, y, classes=classes, **fit_params)

    def initialize_criterion(self):
        """Create the loss; one that was given as an instance forgets earlier data."""
        super().initialize_criterion()
        if isinstance(self.criterion_, AnyLoss):
            self.criterion_.reset_running_counts()
        return self

    def get_iterator(self, dataset, training=False):
        """Make the loader; warn of training batches that are too small."""
        iterator = super().get_iterator(dataset, training=training)
        if training and isinstance(self.criterion_, AnyLoss):
            self._warn_of_small_batches(dataset, iterator)
        return iterator

    def infer(self, x, **fit_params):
        """Compute the logits of a batch."""
        return super().infer(split_weight(x)[0], **fit_params)

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Compute the loss of a batch; in the warm-up it is the cross-entropy."""
        logits = y_pred[0] if isinstance(y_pred, tuple) else y_pred
        y_true = to_tensor(y_true, device=self.device)
        weight = split_weight(X)[1]
        weight = () if weight is None else (to_tensor(weight, device=self.device),)
        # The history counts the epoch that is running.
        if not (training and len(self.history) <= self.warmup):
            return self.criterion_(logits, y_true, *weight)
        if isinstance(self.criterion_, AnyLoss):
            return self.criterion_.cross_entropy(logits, y_true, *weight)
        y_true = y_true.to(logits.dtype)
        return F.binary_cross_entropy_with_logits(logits, y_true, *weight)

    def decision_function(self, X):
        """Compute the logits.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...) or Dataset
            Data.

        Returns
        -------
        ndarray of shape (n_samples,)
            Logits, positive for the positive class.
        """
        batches = self.forward_iter(self._check_for_prediction(X))
        return np.concatenate(
            [to_numpy(z[0] if isinstance(z, tuple) else z) for z in batches]
        )

    def predict_proba(self, X):
        """Compute the logistic function of the logits; it is not calibrated.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...) or Dataset
            Data.

        Returns
        -------
        ndarray of shape (n_samples, 2)
            Numbers that sum to one, in the order of ``classes_``.
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
            The positive label where the logit is above that of ``threshold``, 0.
        """
        indices = (self.decision_function(X) > logit(self.threshold)).astype(np.int64)
        return self.classes_[indices]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def _n_outputs(self):
        return 1

    def _targets(self, indices):
        return indices.astype(np.float32)

    def _classes_of_dataset(self, dataset):
        return np.array([0, 1])

    def _check_classes(self, y):
        n_classes = len(self._labels)
        if n_classes < 2:
            raise ValueError(f"y needs 2 classes, got only one class: {self._labels}.")
        if n_classes > 2:
            raise ValueError(
                "Only binary classification is supported. The type of the target is "
                f"{type_of_target(y)}, with {n_classes} classes."
            )

    def _warn_of_small_batches(self, dataset, iterator):
        size = getattr(iterator.batch_sampler, "batch_size", None)
        if self.criterion_.momentum is not None or size is None or size >= len(dataset):
            return
        positive = labels_of(dataset).mean()
        expected = size * min(positive, 1 - positive)
        if expected < _ENOUGH_IN_A_BATCH:
            warnings.warn(
                f"A batch of {size} rows has {expected:.2g} of the rarer class on "
                "average, which biases the loss: let batch_size be "
                f"{int(np.ceil(_ENOUGH_IN_A_BATCH * size / expected))} or more, or set "
                "criterion__momentum, for instance to 0.99.",
                stacklevel=2,
            )
