"""Which rows a training step gets: loaders of batches, and choices within them."""

from copy import deepcopy
from functools import partial

from torch.utils.data import DataLoader, IterableDataset

from ._row_dataset import RowDataset
from ._stratified import StratifiedDataLoader


class BatchPolicy:
    """Decides which rows a training step gets.

    Subclasses draw batches their own way, by ``loader``, or change a batch that was
    drawn, by ``select``; this class draws rows in random order and keeps them all.

    See Also
    --------
    LogitClassifier : Takes it as `batch_policy`.
    StratifiedDataLoader : Batches that have their share of every class.

    Notes
    -----
    A net makes the policy anew when it is initialised, and keeps it through
    ``partial_fit`` and in pickles: what a policy remembers of the data, such as rows
    to replay, are its attributes.

    Examples
    --------
    Train on the half of each batch that has the greatest loss:

    >>> import torch
    >>> from sklearn.datasets import load_digits
    >>> from torch.nn.functional import cross_entropy
    >>> from sklogit.neural import BatchPolicy, LogitClassifier
    >>> class Hardest(BatchPolicy):
    ...     def __init__(self, share=0.5):
    ...         self.share = share
    ...
    ...     def select(self, net, batch):
    ...         X, y = batch
    ...         with torch.no_grad():
    ...             loss = cross_entropy(net.infer_logits(X), y, reduction="none")
    ...         rows = loss.topk(int(self.share * len(y))).indices
    ...         return X[rows], y[rows]
    >>> X, y = load_digits(return_X_y=True)
    >>> net = LogitClassifier(
    ...     batch_policy=Hardest, batch_policy__share=0.25, lr=0.01, random_state=0
    ... )
    >>> net.fit(X / 16, y).score(X / 16, y) > 0.95
    True
    """

    def loader(self, dataset, **kwargs):
        """Make the loader of an epoch's batches.

        Parameters
        ----------
        dataset : Dataset
            Training data.
        **kwargs : dict
            Parameters of :class:`torch.utils.data.DataLoader`: ``batch_size``,
            ``collate_fn`` and the net's ``iterator_train__*``.

        Returns
        -------
        iterable
            Batches, pairs of data and class indices, anew each time.
        """
        return _loader(DataLoader, dataset, {"shuffle": True, **kwargs})

    def select(self, net, batch):
        """Choose, or add to, the rows of a batch before its training step.

        Parameters
        ----------
        net : LogitClassifier
            The net; its ``infer`` and ``infer_logits`` give the features and logits of
            the data of a batch.
        batch : tuple of (Tensor or dict, Tensor)
            Data and class indices. Data with weights are a dict.

        Returns
        -------
        tuple of (Tensor or dict, Tensor), or None
            The batch to train on; None skips it.
        """
        return batch


class LoaderPolicy(BatchPolicy):
    """Draw batches by a loader, keep their rows.

    Parameters
    ----------
    loader_class : class or callable
        ``loader_class(dataset, batch_size=..., ...)`` iterates over batches.
    **kwargs : dict
        Its parameters.
    """

    def __init__(self, loader_class, **kwargs):
        self.loader_class = loader_class
        self.kwargs = kwargs

    def loader(self, dataset, **kwargs):
        """Make the loader of an epoch's batches.

        Parameters
        ----------
        dataset : Dataset
            Training data.
        **kwargs : dict
            Further parameters of the loader.

        Returns
        -------
        iterable
            Batches.
        """
        return _loader(self.loader_class, dataset, {**self.kwargs, **kwargs})


def _loader(loader_class, dataset, kwargs):
    if isinstance(dataset, IterableDataset) and kwargs.get("shuffle"):
        raise ValueError(
            "batch_policy must leave the order to an IterableDataset: use "
            "'sequential', or iterator_train__shuffle=False."
        )
    of_torch = isinstance(loader_class, type) and issubclass(loader_class, DataLoader)
    if not of_torch and kwargs.get("collate_fn") is RowDataset.collate:
        del kwargs["collate_fn"]
    return loader_class(dataset, **kwargs)


BATCH_POLICIES = {
    "shuffle": partial(LoaderPolicy, DataLoader, shuffle=True),
    "sequential": partial(LoaderPolicy, DataLoader),
    "stratified": partial(LoaderPolicy, StratifiedDataLoader),
}


def make_batch_policy(value, kwargs):
    """Make a policy by its name, of a class, or from an instance.

    Parameters
    ----------
    value : str, class, callable or instance
        The policy, or a class of loaders.
    kwargs : dict
        Its parameters.

    Returns
    -------
    BatchPolicy
        A new policy.

    Raises
    ------
    ValueError, TypeError
        If it is none.
    """
    if isinstance(value, str):
        if value not in BATCH_POLICIES:
            raise ValueError(
                f"batch_policy must be one of {sorted(BATCH_POLICIES)}, a class or an "
                f"instance, got {value!r}."
            )
        value = BATCH_POLICIES[value]
    if isinstance(value, BatchPolicy):
        # A copy, so that what it will remember is not a parameter's.
        return type(value)(**kwargs) if kwargs else deepcopy(value)
    if isinstance(value, type) and issubclass(value, BatchPolicy):
        return value(**kwargs)
    if isinstance(value, partial) and value.func is LoaderPolicy:
        return value(**kwargs)
    if not callable(value):
        raise TypeError(
            "batch_policy must be a name, a BatchPolicy or a class of loaders, got "
            f"{type(value).__name__}."
        )
    return LoaderPolicy(value, **kwargs)


class BatchPolicyMixin:
    """A net whose training batches are those of its policy."""

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """Go through an epoch, of batches as the policy selects them in training.

        Parameters
        ----------
        iterator : iterable or None
            Batches.
        training : bool
            Whether it is training.
        prefix : str
            Of the names in the history.
        step_fn : callable
            Called with each batch.
        **fit_params : dict
            Passed to it.
        """
        if training and iterator is not None:
            iterator = self._selected(iterator)
        super().run_single_epoch(iterator, training, prefix, step_fn, **fit_params)

    def _make_batch_policy(self):
        kwargs = self.get_params_for("batch_policy")
        return make_batch_policy(self.batch_policy, kwargs)

    def _selected(self, batches):
        for batch in batches:
            batch = self.batch_policy_.select(self, batch)
            if batch is None:
                continue
            if not (isinstance(batch, tuple | list) and len(batch) == 2):
                raise TypeError(
                    f"batch_policy={type(self.batch_policy_).__name__} must select a "
                    f"pair of data and class indices, or None, got a "
                    f"{type(batch).__name__}."
                )
            if len(batch[1]):
                yield batch
