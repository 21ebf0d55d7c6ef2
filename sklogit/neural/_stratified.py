"""Batches that all have their share of every class."""

from numbers import Integral

import numpy as np
import torch
from skorch.utils import data_from_dataset, to_numpy
from torch.utils.data import DataLoader, Sampler, Subset


class StratifiedBatches(Sampler):
    """Sampler of batches that have their share of the rare class.

    A pass takes every row once, in random order; rows of the rare class are evenly
    spread over it, so that a batch has as many as its size times their share, rounded
    up or down. Of more than two classes that holds for the rarest, and about for the
    others.

    Parameters
    ----------
    labels : array-like of shape (n_samples,)
        Labels.
    batch_size : int
        Rows of a batch; the last one may be smaller.
    shuffle : bool, default=True
        Whether to draw a new order for each pass. Otherwise each class keeps its order.
    drop_last : bool, default=False
        Whether to leave out a last batch that is smaller.
    generator : torch.Generator, default=None
        Source of the order; by default torch's global one.

    See Also
    --------
    StratifiedDataLoader : The loader with these batches.
    sklogit.losses.AnyLoss : A loss that needs them.

    Examples
    --------
    >>> import torch
    >>> from sklogit.neural import StratifiedBatches
    >>> labels = torch.tensor([1] * 3 + [0] * 9)
    >>> [labels[batch].sum().item() for batch in StratifiedBatches(labels, 4)]
    [1, 1, 1]
    """

    def __init__(
        self, labels, batch_size, *, shuffle=True, drop_last=False, generator=None
    ):
        labels = to_numpy(labels) if isinstance(labels, torch.Tensor) else labels
        labels = np.asarray(labels)
        if labels.ndim != 1:
            raise ValueError(
                f"labels must have shape (n_samples,), got {labels.shape}."
            )
        if not isinstance(batch_size, Integral) or batch_size < 1:
            raise ValueError(f"batch_size must be an integer >= 1, got {batch_size!r}.")
        _, indices, sizes = np.unique(labels, return_inverse=True, return_counts=True)
        by_class = torch.from_numpy(np.argsort(indices, kind="stable"))
        # The rarest first; the most frequent class gets the places that are left.
        self.members = sorted(by_class.split(sizes.tolist()), key=len)
        self.n_samples = len(labels)
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.generator = generator

    def __len__(self):
        n = self.n_samples
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def __iter__(self):
        batches = self._order().split(self.batch_size)
        for batch in batches[: len(self)]:
            yield batch.tolist()

    def _order(self):
        """Order of all rows."""
        order = torch.empty(self.n_samples, dtype=torch.int64)
        free = torch.arange(self.n_samples)
        for members in self.members:
            n_members, n_free = len(members), len(free)
            start = n_free // 2
            if self.shuffle:
                shuffled = torch.randperm(n_members, generator=self.generator)
                members = members[shuffled]
                start = int(torch.randint(n_free, (), generator=self.generator))
            # Integers, at a distance of n_free / n_members >= 1: all different.
            places = (torch.arange(n_members) * n_free + start) // n_members
            order[free[places]] = members
            taken = torch.zeros(n_free, dtype=torch.bool)
            taken[places] = True
            free = free[~taken]
        return order


class StratifiedDataLoader(DataLoader):
    """Loader of batches that have their share of the rare class.

    Parameters
    ----------
    dataset : Dataset of shape (n_samples,)
        Pairs of data and label. Labels of datasets of skorch and torch's
        ``TensorDataset`` are at hand; of others each item is read once, to ask for it.
    batch_size : int, default=1
        Rows of a batch.
    shuffle : bool, default=True
        Whether to draw a new order for each pass.
    drop_last : bool, default=False
        Whether to leave out a last batch that is smaller.
    generator : torch.Generator, default=None
        Source of the order.
    **kwargs
        Further parameters of :class:`torch.utils.data.DataLoader`.

    See Also
    --------
    StratifiedBatches : The sampler.

    Examples
    --------
    >>> import torch
    >>> from torch.utils.data import TensorDataset
    >>> from sklogit.neural import StratifiedDataLoader
    >>> data = TensorDataset(torch.randn(12, 2), torch.tensor([1] * 3 + [0] * 9))
    >>> [y.sum().item() for _, y in StratifiedDataLoader(data, batch_size=4)]
    [1, 1, 1]
    """

    def __init__(
        self,
        dataset,
        batch_size=1,
        shuffle=True,
        *,
        drop_last=False,
        generator=None,
        **kwargs,
    ):
        batches = StratifiedBatches(
            labels_of(dataset),
            batch_size,
            shuffle=shuffle,
            drop_last=drop_last,
            generator=generator,
        )
        super().__init__(dataset, batch_sampler=batches, generator=generator, **kwargs)


def labels_of(dataset):
    """Labels of a dataset, as an array.

    Parameters
    ----------
    dataset : Dataset
        Pairs of data and label.

    Returns
    -------
    ndarray of shape (n_samples,)
        The labels.

    Raises
    ------
    TypeError
        If the dataset is only iterable.
    """
    y = labels_at_hand(dataset)
    if y is None:
        if not hasattr(dataset, "__len__"):
            raise TypeError(
                "dataset must have a length and labels, to be spread over the batches, "
                f"got {type(dataset).__name__}: use iterator_train=DataLoader."
            )
        y = np.array([dataset[i][1] for i in range(len(dataset))])
    return y.reshape(-1)


def labels_at_hand(dataset):
    """Labels of a dataset, or None if it would have to be read for them.

    Parameters
    ----------
    dataset : Dataset
        Pairs of data and label.

    Returns
    -------
    ndarray or None
        The labels.
    """
    if isinstance(dataset, Subset):
        y = labels_at_hand(dataset.dataset)
        return None if y is None else y[np.asarray(dataset.indices)]
    try:
        y = data_from_dataset(dataset)[1]
    except AttributeError:
        return None
    if y is None:
        return None
    return to_numpy(y) if isinstance(y, torch.Tensor) else np.asarray(y)
