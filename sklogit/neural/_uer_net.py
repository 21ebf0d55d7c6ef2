"""A net for streams in which classes arrive over time, by replay of old rows."""

import warnings

import torch

from ..continual import ReplayMemory
from ..heads import AngleNormLinear
from ..losses import UERLoss
from ._growing_classes import GrowingClassesMixin
from ._logit_classifier import LogitClassifier
from ._replay import ReplayPolicy


class UERNetClassifier(GrowingClassesMixin, LogitClassifier):
    r"""Learn from a stream by a net, and forget less of the classes that came first.

    .. math:: L = \mathrm{CE}\Big(\frac{\cos(h_t, w_c)}{\tau},\, y_t\Big)
        + \beta \, \mathrm{CE}(w_c^\top h_m + b_c,\, y_m)

    Rows t of the stream are trained on the angle between features and the weights of
    the classes; rows m, replayed from a memory, on norm and angle; predictions use
    both [1]_. It is :class:`LogitClassifier` with a head, a loss and a batch policy for
    that, so that any module may make the features h.

    Parameters
    ----------
    module : class, callable, instance or None, default=None
        Makes features of shape (n, in_features); None takes the rows of X, flattened.
    head : class or instance, default=AngleNormLinear
        :class:`~sklogit.heads.AngleNormLinear`; ``head__temperature`` is :math:`\tau`,
        0.09 by default, and ``head__mode="angle"`` predicts by the angle alone.
    loss : class or instance, default=UERLoss
        The loss above. ``loss__current_logits`` may be "angle", "dot" or "masked" (the
        classes of the batch only), ``loss__replay_logits`` "dot" or "angle", and
        ``loss__replay_weight`` is :math:`\beta`, 1 by default.
    batch_policy : class or instance, default=ReplayPolicy
        Adds replayed rows. ``batch_policy__memory_size`` is 200 by default,
        ``batch_policy__replay_batch_size`` 10, ``batch_policy__strategy`` "reservoir"
        (or "class_balanced"), and ``batch_policy__random_state`` draws the rows.
    optimizer : class, default=torch.optim.SGD
        The optimiser.
    lr : float, default=0.1
        Its learning rate.
    max_epochs : int, default=1
        Passes over the data of each call.
    batch_size : int, default=10
        Rows of the stream in a step.
    classes : array-like of shape (n_classes,), default=None
        The labels, in the order of the logits. By default those that came so far,
        sorted: new ones are given rows of the head as they come.
    **kwargs
        All other parameters of :class:`LogitClassifier`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels known so far.
    class_counts_ : ndarray of shape (n_classes,) or None
        Rows of each class, or their weights, in the data of the first call.
    module_ : torch.nn.Module
        The whole model, from inputs to logits; ``module_.module`` makes the features.
    head_ : AngleNormLinear
        The head.
    batch_policy_ : ReplayPolicy
        The policy; ``batch_policy_.memory`` has the rows that are kept.
    history_ : skorch.history.History
        Losses and scores of every epoch.

    See Also
    --------
    sklogit.continual.UnbiasedReplayClassifier : For arrays, without torch.
    LogitClassifier : Any head, loss and batch policy.

    Notes
    -----
    ``partial_fit`` goes through the rows in their order, ``fit`` shuffles them. Labels
    of a call that are new add rows to the head before its first step, unless `classes`
    says which there are; logits of other classes stay as they are, and so does what the
    optimiser remembers. (L-BFGS, and those that keep sums over rows and columns, start
    anew.) Class indices in the memory are those of the larger head.

    Rows without weight do not enter the memory.

    With ``random_state`` a stream begun by ``partial_fit`` is the same each time: it
    decides the start of the net, the rows replayed, those of new classes, and what a
    module draws in training, such as dropout.

    Experience replay is ``loss__current_logits="dot"``, ER-ACE "masked" [2]_, cosine
    replay "angle" for both.

    References
    ----------
    .. [1] "UER: A Heuristic Bias Addressing Approach for Online Continual Learning",
       arXiv:2309.04081.
    .. [2] "New Insights on Reducing Abrupt Representation Change in Online Continual
       Learning", arXiv:2104.05025.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from torch import nn
    >>> from sklogit.continual import class_incremental_splits
    >>> from sklogit.neural import UERNetClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> X = X / 16
    >>> module = nn.Sequential(nn.Linear(64, 128), nn.ReLU())
    >>> net = UERNetClassifier(module, batch_policy__memory_size=100)
    >>> for rows in class_incremental_splits(y, n_tasks=5, random_state=0):
    ...     net = net.partial_fit(X[rows], y[rows])
    >>> net.classes_.tolist()
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    >>> bool(net.score(X, y) > 0.6)
    True
    """

    # Instances hold it only while `fit` runs.
    in_fit_ = False

    def __init__(
        self,
        module=None,
        *,
        head=AngleNormLinear,
        loss=UERLoss,
        batch_policy=ReplayPolicy,
        optimizer=torch.optim.SGD,
        lr=0.1,
        max_epochs=1,
        batch_size=10,
        classes=None,
        **kwargs,
    ):
        super().__init__(
            module,
            head=head,
            loss=loss,
            batch_policy=batch_policy,
            optimizer=optimizer,
            lr=lr,
            max_epochs=max_epochs,
            batch_size=batch_size,
            classes=classes,
            **kwargs,
        )

    def fit(self, X, y=None, sample_weight=None, **fit_params):
        """Initialise the net and train it, on rows in random order.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...), dict, Tensor or Dataset
            Data.
        y : array-like of shape (n_samples,) or None
            Labels; None if X is a Dataset that holds class indices.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative.
        **fit_params : dict
            Passed to skorch.

        Returns
        -------
        UERNetClassifier
            The fitted net.
        """
        self.in_fit_ = True
        try:
            return super().fit(X, y, sample_weight=sample_weight, **fit_params)
        finally:
            del self.in_fit_

    def partial_fit(self, X, y=None, classes=None, sample_weight=None, **fit_params):
        """Learn from the next rows of the stream, in their order.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...), dict, Tensor or Dataset
            The rows.
        y : array-like of shape (n_samples,) or None
            Their labels. New ones add a class, unless classes were given.
        classes : array-like of shape (n_classes,) or None
            All labels that there will be. Once given, it is that of all further calls.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative.
        **fit_params : dict
            Passed to skorch.

        Returns
        -------
        UERNetClassifier
            The trained net. After an error it is as before the call.

        Raises
        ------
        ValueError
            If y has a label that the given classes lack, `classes` lack one that is
            known, or X, y or a weight has values that are not allowed.
        """
        return super().partial_fit(
            X, y, classes=classes, sample_weight=sample_weight, **fit_params
        )

    def initialize(self):
        """Make all parts.

        Returns
        -------
        UERNetClassifier
            The net.
        """
        super().initialize()
        memory = getattr(self.batch_policy_, "memory", None)
        by_angle = getattr(self.loss_, "current_logits", None) == "angle"
        if isinstance(memory, ReplayMemory) and not memory.capacity and by_angle:
            warnings.warn(
                "batch_policy__memory_size=0 replays nothing: norms and biases are not "
                "trained; loss__current_logits='dot' would train them.",
                UserWarning,
                stacklevel=2,
            )
        return self

    def get_iterator(self, dataset, training=False):
        """Make the loader, in training that of the policy.

        Parameters
        ----------
        dataset : Dataset
            Data.
        training : bool, default=False
            Whether it is for training.

        Returns
        -------
        iterable
            Batches.
        """
        if training and isinstance(self.batch_policy_, ReplayPolicy):
            self.batch_policy_.in_order = not self.in_fit_
        return super().get_iterator(dataset, training=training)

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Compute the loss of a batch.

        Parameters
        ----------
        y_pred : Tensor of shape (n, ..., in_features)
            Features.
        y_true : Tensor of shape (n, ...)
            Class indices.
        X : Tensor or dict
            Data of the batch, with the weights.
        training : bool, default=False
            Whether it is for training; else all rows count alike, by the logits that
            predict.

        Returns
        -------
        Tensor of shape ()
            The loss.
        """
        n_current = None
        if training:
            n_current = getattr(self.batch_policy_, "n_current", None)
            n_current = len(y_true) if n_current is None else n_current
            n_current *= y_true[0].numel()  # positions of sequences are rows
        self.loss_.n_current = n_current
        return super().get_loss(y_pred, y_true, X=X, training=training)

    def __getstate__(self):
        # A checkpoint pickled within fit goes on as a stream when loaded.
        return {k: v for k, v in super().__getstate__().items() if k != "in_fit_"}
