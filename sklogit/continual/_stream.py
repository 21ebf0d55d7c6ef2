"""The learner of a stream: network, memory and random numbers, batch after batch."""

from copy import deepcopy
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ._replay_step import loss_and_gradients


@dataclass
class Stream:
    """All that learning from a stream changes.

    Attributes
    ----------
    network : Network
        The network.
    memory : object
        With the methods `update` and `sample` of `ReplayMemory`.
    rng : RandomState
        Draws new rows of the head, replayed rows, and which rows are kept.
    classes : ndarray of shape (n_classes,)
        Labels known so far, sorted.
    is_fixed : bool
        Whether there will be no others.
    n_seen : int
        Rows seen so far.
    """

    network: object
    memory: object
    rng: np.random.RandomState
    classes: np.ndarray
    is_fixed: bool = False
    n_seen: int = 0

    def copy(self):
        """Copy the learner, so that a failure leaves this one as it is.

        Returns
        -------
        Stream
            One that changes apart from this.
        """
        rng = np.random.RandomState(0)  # without a seed it would ask the system
        rng.set_state(self.rng.get_state())
        copy_memory = getattr(self.memory, "copy", lambda: deepcopy(self.memory))
        return Stream(
            self.network.copy(),
            copy_memory(),
            rng,
            self.classes,
            self.is_fixed,
            self.n_seen,
        )

    def fix_classes(self, classes):
        """Let these be all classes.

        Parameters
        ----------
        classes : ndarray of shape (n_classes,)
            Sorted labels.

        Raises
        ------
        ValueError
            If known ones are missing, or others were fixed before.
        """
        missing = np.setdiff1d(self.classes, classes)
        if len(missing) or (self.is_fixed and len(classes) > len(self.classes)):
            kind = "be" if self.is_fixed else "include"
            raise ValueError(f"classes must {kind} {self.classes}, got {classes}.")
        self.meet(classes)
        self.is_fixed = True

    def meet(self, labels):
        """Let the head have a row for each of some labels.

        Parameters
        ----------
        labels : ndarray
            Labels, some of them perhaps new.

        Raises
        ------
        ValueError
            If a label is new and the classes are fixed, or of another kind.
        """
        new = np.setdiff1d(labels, self.classes)
        if not len(new):
            return
        if self.is_fixed:
            raise ValueError(f"y has labels {new} that are not in {self.classes}.")
        if len(self.classes) and _kind(new) != _kind(self.classes):
            raise ValueError(
                f"y must have labels of one kind in all calls, got {new} after "
                f"{self.classes}."
            )
        classes = np.union1d(self.classes, new) if len(self.classes) else new
        self.network.grow(np.flatnonzero(np.isin(classes, new)), self.rng)
        self.classes = classes

    def follow(self, X, y, weight, settings):
        """Learn from rows in their order, batch after batch.

        Parameters
        ----------
        X : {ndarray, CSR} of shape (n, n_features)
            Rows.
        y : ndarray of shape (n,)
            Labels.
        weight : ndarray of shape (n,) or None
            Positive weights.
        settings : UnbiasedReplayClassifier
            The parameters.

        Returns
        -------
        float
            Mean loss of the batches, each before its step.

        Raises
        ------
        ValueError
            If losses or parameters become infinite.
        """
        losses = []
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for start in range(0, len(y), settings.batch_size):
                rows = slice(start, start + settings.batch_size)
                batch = X[rows].toarray() if sparse.issparse(X) else X[rows]
                of_batch = None if weight is None else weight[rows]
                losses.append(self.learn(batch, y[rows], of_batch, settings))
            sums = [np.sum(values) for values in self.network.parameters]
        if not np.isfinite([*losses, *sums]).all():
            raise ValueError(
                "Training diverged: the loss is not finite. Scale X, or set a smaller "
                f"learning_rate_init, got {settings.learning_rate_init}."
            )
        return float(np.mean(losses))

    def learn(self, X, y, weight, settings):
        """Take the steps of a batch, then let the memory have it.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            Rows.
        y : ndarray of shape (n,)
            Labels.
        weight : ndarray of shape (n,) or None
            Positive weights.
        settings : UnbiasedReplayClassifier
            The parameters.

        Returns
        -------
        float
            The loss before the first step.
        """
        codes, losses = self._codes(y), []
        for _ in range(settings.n_replay_steps):
            n_known = len(self.classes)
            replayed = self._replayed(settings)
            if len(self.classes) > n_known:  # a memory that was filled before
                codes = self._codes(y)
            loss, gradients = loss_and_gradients(
                self.network, (X, codes, weight), replayed, settings
            )
            self.network.descend(
                gradients,
                settings.learning_rate_init,
                settings.momentum,
                settings.alpha,
            )
            losses.append(loss)
        self.memory.update(X, y, weight, rng=self.rng)
        self.n_seen += len(y)
        return losses[0]

    def _codes(self, y):
        """Class indices of labels, some of which may be new."""
        codes = np.searchsorted(self.classes, y)
        known = len(self.classes) and codes.max() < len(self.classes)
        if known and (self.classes[codes] == y).all():
            return codes
        self.meet(y)
        return np.searchsorted(self.classes, y)

    def _replayed(self, settings):
        X, y, weight = self.memory.sample(settings.replay_batch_size, rng=self.rng)
        if X is None or not len(y):
            return None
        X = X.astype(self.network.head_coef.dtype, copy=False)
        return X, self._codes(y), weight


def _kind(labels):
    return "number" if labels.dtype.kind in "iufb" else "string"


def stratified_order(y, rng):
    """Shuffle rows so that every stretch of them has its share of each class.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Labels.
    rng : RandomState
        Shuffles.

    Returns
    -------
    ndarray of int, of shape (n,)
        Order of the rows.
    """
    order = rng.permutation(len(y))
    _, codes, counts = np.unique(y[order], return_inverse=True, return_counts=True)
    by_class = np.argsort(codes, kind="stable")
    ranks = np.empty(len(y))
    ranks[by_class] = np.arange(len(y)) - np.repeat(np.cumsum(counts) - counts, counts)
    # Somewhere in its part of the class, so that classes do not come in turn.
    return order[np.argsort((ranks + rng.uniform(size=len(y))) / counts[codes])]
