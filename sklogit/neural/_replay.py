"""A net for streams in which classes arrive over time, by replay of old rows."""

import numpy as np
import torch
from skorch.utils import to_numpy
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from ..continual import ReplayMemory
from ..heads._angle_norm import AngleNormLinear
from ._batch_policy import BatchPolicy, _loader
from ._logit_classifier import LogitClassifier
from ._net import is_dict, split_weight

_LOGITS = {
    "current_logits": ("angle", "dot", "masked"),
    "replay_logits": ("angle", "dot"),
}
# Instead of a weight of zero, to divide by.
_TINY = 1e-30


class TensorReplayMemory(ReplayMemory):
    """Memory of tensors, or of dicts or lists of tensors, a row a sample."""

    def _put(self, store, places, values):
        if is_dict(values):
            return {
                name: self._put(None if store is None else store[name], places, part)
                for name, part in values.items()
            }
        if isinstance(values, list | tuple):
            stores = [None] * len(values) if store is None else store
            return [self._put(s, places, part) for s, part in zip(stores, values)]
        return self._put_tensor(store, places, values.detach())

    def _put_tensor(self, store, places, values):
        store = values[:0] if store is None else store
        dtype = torch.promote_types(store.dtype, values.dtype)
        room = self._room(len(store), places)
        if room > len(store) or dtype != store.dtype or not self._owned:
            wider = values.new_empty((room, *values.shape[1:]), dtype=dtype)
            wider[: self._size] = store[: self._size]
            store = wider
        store[torch.from_numpy(places)] = values.to(dtype)
        return store

    @classmethod
    def _take(cls, store, rows):
        if is_dict(store):
            return {name: cls._take(part, rows) for name, part in store.items()}
        if isinstance(store, list | tuple):
            return [cls._take(part, rows) for part in store]
        # Rows in reverse order are no view of a tensor: they are given as numbers.
        return store[rows if isinstance(rows, slice) else torch.from_numpy(rows)]

    @classmethod
    def _n_rows(cls, X):
        while not isinstance(X, torch.Tensor):
            X = next(iter(X.values())) if is_dict(X) else X[0]
        return len(X)

    @staticmethod
    def _labels(y):
        return to_numpy(y)


class ReplayPolicy(BatchPolicy):
    """Add rows of a memory to each batch of a stream.

    Parameters
    ----------
    memory_size : int, default=200
        Most rows in the memory.
    replay_batch_size : int, default=10
        Rows added to each batch; fewer if the memory has fewer.
    strategy : {"reservoir", "class_balanced"}, default="reservoir"
        Which rows stay, see :class:`sklogit.continual.ReplayMemory`.
    random_state : int, RandomState instance or None, default=None
        Draws rows; None takes a seed from torch's generator.

    Attributes
    ----------
    memory : ReplayMemory
        The memory, of tensors; it lasts as long as the net.
    n_current : int or None
        Rows of the last batch that came from the stream; the others follow them.

    See Also
    --------
    UERNetClassifier : Trains these and those by logits of their own.

    Notes
    -----
    The order of the rows is left to the loader: :class:`UERNetClassifier` has them
    shuffled in ``fit`` only, for other nets they come as they are.

    Examples
    --------
    Plain experience replay for any head and loss:

    >>> from sklearn.datasets import load_digits
    >>> from sklogit.neural import LogitClassifier, ReplayPolicy
    >>> X, y = load_digits(return_X_y=True)
    >>> net = LogitClassifier(
    ...     batch_policy=ReplayPolicy,
    ...     batch_policy__memory_size=50,
    ...     batch_size=10,
    ...     max_epochs=1,
    ...     classes=range(10),
    ... )
    >>> for digit in range(10):
    ...     net = net.partial_fit(X[y == digit] / 16, y[y == digit])
    >>> len(net.batch_policy_.memory), net.batch_policy_.memory.n_seen
    (50, 1797)
    """

    def __init__(
        self,
        memory_size=200,
        replay_batch_size=10,
        strategy="reservoir",
        random_state=None,
    ):
        if not isinstance(replay_batch_size, int) or replay_batch_size < 1:
            raise ValueError(
                f"replay_batch_size must be an integer >= 1, got {replay_batch_size!r}."
            )
        self.memory = TensorReplayMemory(memory_size, strategy)
        self.replay_batch_size = replay_batch_size
        self.random_state = random_state
        self.n_current = None
        self.in_order = True
        self._rng = None

    def loader(self, dataset, **kwargs):
        """Make the loader of an epoch's batches.

        Parameters
        ----------
        dataset : Dataset
            Training data.
        **kwargs : dict
            Parameters of :class:`torch.utils.data.DataLoader`.

        Returns
        -------
        iterable
            Batches: in `partial_fit` in the order of the rows, in `fit` in random
            order.
        """
        return _loader(DataLoader, dataset, {"shuffle": not self.in_order, **kwargs})

    def select(self, net, batch):
        """Add replayed rows to a batch, and let the memory have its own.

        Parameters
        ----------
        net : LogitClassifier
            The net.
        batch : tuple of (Tensor or dict, Tensor)
            Data and class indices.

        Returns
        -------
        tuple of (Tensor or dict, Tensor)
            The same, with replayed rows behind.
        """
        X, y = batch
        X, weight = split_weight(X)
        rng = self._generator()
        replayed = self.memory.sample(self.replay_batch_size, rng=rng)
        # Its rows come too late for this step: none is replayed when it arrives.
        kept = None if weight is None else to_numpy(weight)
        self.memory.update(X, y, kept, rng=rng)
        self.n_current = len(y)
        if replayed[0] is None:
            return batch
        X_replayed, y_replayed, of_replayed = replayed
        X = _joined(X, X_replayed)
        if weight is not None or of_replayed is not None:
            weight = _joined_weights(weight, len(y), of_replayed, len(y_replayed))
            X = (X if is_dict(X) else {"X": X}) | {"sample_weight": weight}
        return X, torch.cat([y, y_replayed])

    def _generator(self):
        if self._rng is None:
            seed = self.random_state
            if seed is None:
                seed = int(torch.randint(2**31 - 1, ()))
            given = isinstance(seed, np.random.RandomState)
            # Its own, so that nothing else draws from it between two batches.
            self._rng = np.random.RandomState(
                seed.randint(2**31 - 1) if given else seed
            )
        return self._rng


def _joined(first, second):
    if is_dict(first):
        return {name: _joined(part, second[name]) for name, part in first.items()}
    if isinstance(first, list | tuple):
        return [_joined(*parts) for parts in zip(first, second)]
    return torch.cat([first, second])


def _joined_weights(current, n_current, replayed, n_replayed):
    current = torch.ones(n_current) if current is None else torch.as_tensor(current)
    if replayed is None:
        replayed = np.ones(n_replayed)
    return torch.cat([current, torch.as_tensor(replayed).to(current)])


class UERLoss(nn.Module):
    r"""Cross-entropy of new rows by one kind of logits, of replayed ones by another.

    Parameters
    ----------
    current_logits : {"angle", "dot", "masked"}, default="angle"
        Logits for rows of the stream: of the angle; of norm and angle; or those of
        norm and angle for the classes of the batch only.
    replay_logits : {"angle", "dot"}, default="dot"
        Logits for replayed rows.
    replay_weight : float, default=1.0
        Weight of the replayed rows' mean.

    Attributes
    ----------
    n_current : int or None
        Rows from the stream, the first ones; None takes all rows by the logits that
        predict. :class:`UERNetClassifier` sets it.

    See Also
    --------
    UERNetClassifier : Trains by it.

    References
    ----------
    .. [1] "UER: A Heuristic Bias Addressing Approach for Online Continual Learning",
       arXiv:2309.04081.

    Examples
    --------
    >>> import torch
    >>> from sklogit.heads import AngleNormLinear
    >>> from sklogit.neural import UERLoss
    >>> head, features = AngleNormLinear(4, 3), torch.randn(5, 4)
    >>> loss = UERLoss()
    >>> loss.n_current = 3  # the other two are replayed
    >>> loss(features, torch.tensor([0, 1, 1, 2, 0]), head=head).shape
    torch.Size([])
    """

    needs_head = True

    def __init__(self, current_logits="angle", replay_logits="dot", replay_weight=1.0):
        super().__init__()
        given = {"current_logits": current_logits, "replay_logits": replay_logits}
        for name, value in given.items():
            if value not in _LOGITS[name]:
                raise ValueError(
                    f"{name} must be one of {list(_LOGITS[name])}, got {value!r}."
                )
        if not replay_weight >= 0:
            raise ValueError(f"replay_weight must be >= 0, got {replay_weight!r}.")
        self.current_logits = current_logits
        self.replay_logits = replay_logits
        self.replay_weight = replay_weight
        self.n_current = None

    def check_head(self, head):
        """Refuse a head that cannot tell norm and angle apart.

        Parameters
        ----------
        head : torch.nn.Module
            The head.

        Raises
        ------
        ValueError
            If it is no AngleNormLinear.
        """
        if not isinstance(head, AngleNormLinear):
            raise ValueError(
                "head must be an AngleNormLinear for this loss, got "
                f"{type(head).__name__}."
            )

    def forward(self, features, target, head, sample_weight=None):
        """Compute the loss.

        Parameters
        ----------
        features : Tensor of shape (n, in_features)
            Features.
        target : Tensor of shape (n,)
            Class indices.
        head : AngleNormLinear
            The head.
        sample_weight : Tensor of shape (n,), default=None
            Weights.

        Returns
        -------
        Tensor of shape ()
            Mean over the rows of the stream, and `replay_weight` times that over the
            others.
        """
        if self.n_current is None:
            return _mean_loss(head(features), target, sample_weight)
        new, old = slice(self.n_current), slice(self.n_current, None)
        loss = self._part(
            new, self.current_logits, features, target, head, sample_weight
        )
        if self.n_current < len(target):
            part = self._part(
                old, self.replay_logits, features, target, head, sample_weight
            )
            loss = loss + self.replay_weight * part
        return loss

    @staticmethod
    def _part(rows, kind, features, target, head, weight):
        target = target[rows]
        logits = head(features[rows], mode="angle" if kind == "angle" else "dot")
        if kind == "masked":
            absent = torch.ones(logits.shape[1], dtype=torch.bool, device=logits.device)
            absent[target] = False
            logits = logits.masked_fill(absent, -torch.inf)
        return _mean_loss(logits, target, None if weight is None else weight[rows])


def _mean_loss(logits, target, weight):
    if weight is None:
        return F.cross_entropy(logits, target)
    rows = F.cross_entropy(logits, target, reduction="none")
    return (weight * rows).sum() / weight.sum().clamp_min(_TINY)


class UERNetClassifier(LogitClassifier):
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
    **kwargs
        All parameters of :class:`LogitClassifier`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
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
    sklogit.continual.UnbiasedReplayClassifier : For arrays, with classes that need not
        be known before.
    LogitClassifier : Any head, loss and batch policy.

    Notes
    -----
    ``partial_fit`` goes through the rows in their order. All `classes` have to be
    known in its first call, or when the net is made. ``fit`` shuffles.

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
    >>> net = UERNetClassifier(module, classes=range(10), batch_policy__memory_size=100)
    >>> for rows in class_incremental_splits(y, n_tasks=5, random_state=0):
    ...     net = net.partial_fit(X[rows], y[rows])
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
