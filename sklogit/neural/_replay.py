"""Batches of a stream, with rows of a memory behind."""

from numbers import Integral

import numpy as np
import torch
from skorch.utils import to_numpy
from torch.utils.data import DataLoader

from ..continual import ReplayMemory
from ._batch_policy import BatchPolicy, _loader
from ._net import is_dict, split_weight


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

    def renumber(self, numbers):
        """Let class indices be others.

        Parameters
        ----------
        numbers : ndarray of int, of shape (n_classes,)
            The new index of each class. Negative ones, of targets that are ignored,
            stay.
        """
        self._counts = {int(numbers[i]): n for i, n in self._counts.items()}
        self._been_largest = {int(numbers[i]) for i in self._been_largest}
        if self._y is not None:  # which a copy of the memory may share
            y = self._y[: self._size]
            numbers = torch.from_numpy(numbers).to(y)
            self._y = torch.where(y < 0, y, numbers[y.clamp_min(0)])

    @staticmethod
    def _as_rows(values):
        return values

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
        whole = isinstance(replay_batch_size, Integral)
        if not whole or isinstance(replay_batch_size, bool) or replay_batch_size < 1:
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
        self._remember(X, y, weight, rng)
        self.n_current = len(y)
        if replayed[0] is None:
            return batch
        X_replayed, y_replayed, of_replayed = replayed
        X = _joined(X, X_replayed)
        if weight is not None or of_replayed is not None:
            weight = _joined_weights(weight, len(y), of_replayed, len(y_replayed))
            X = (X if is_dict(X) else {"X": X}) | {"sample_weight": weight}
        return X, torch.cat([y, y_replayed])

    def renumber_classes(self, numbers):
        """Let the memory have other class indices, as new classes came between them.

        Parameters
        ----------
        numbers : ndarray of int, of shape (n_classes,)
            The new index of each class.
        """
        self.memory.renumber(numbers)

    def _remember(self, X, y, weight, rng):
        if weight is not None:
            weight = to_numpy(weight)
            rows = np.flatnonzero(weight)  # others would only take places
            X, y = (self.memory._take(values, rows) for values in (X, y))
            weight = weight[rows]
        self.memory.update(X, y, weight, rng=rng)

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
