"""Memories of a stream: a few of its rows, to replay."""

from numbers import Integral

import numpy as np
from sklearn.utils import check_random_state

STRATEGIES = ("reservoir", "class_balanced")


class ReplayMemory:
    r"""A few rows of a stream, kept to be replayed.

    With "reservoir" every row seen so far is in the memory with the same probability,
    :math:`\mathrm{capacity} / \mathrm{n\_seen}` [1]_. With "class_balanced" rows of
    rare classes stay: a full memory gives up a row of its largest class for one of a
    smaller class, and within the classes that have been largest each row has the same
    probability [2]_.

    Parameters
    ----------
    capacity : int, default=200
        Most rows; 0 keeps none.
    strategy : {"reservoir", "class_balanced"}, default="reservoir"
        Which rows stay.

    Attributes
    ----------
    n_seen : int
        Rows seen so far.
    X : ndarray of shape (n_rows, ...) or None
        Rows in the memory; None before the first.
    y : ndarray of shape (n_rows,) or None
        Their labels.
    sample_weight : ndarray of shape (n_rows,) or None
        Their weights; None as long as there were none.

    Raises
    ------
    ValueError
        If `capacity` is no integer >= 0, or there is no such strategy.

    See Also
    --------
    UnbiasedReplayClassifier : Takes it, or any object with these methods, as `memory`.

    References
    ----------
    .. [1] Vitter, "Random sampling with a reservoir", ACM Transactions on Mathematical
       Software 11 (1985), algorithm R.
    .. [2] Chrysakis and Moens, "Online Continual Learning from Imbalanced Data",
       ICML 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.continual import ReplayMemory
    >>> memory = ReplayMemory(capacity=3)
    >>> rng = np.random.RandomState(0)
    >>> for start in range(0, 100, 10):
    ...     X = np.arange(start, start + 10.0)[:, np.newaxis]
    ...     memory.update(X, X[:, 0] % 2, rng=rng)
    >>> len(memory), memory.n_seen
    (3, 100)
    >>> X, y, sample_weight = memory.sample(2, rng=rng)
    >>> X.shape, sample_weight is None
    ((2, 1), True)
    """

    def __init__(self, capacity=200, strategy="reservoir"):
        whole = isinstance(capacity, Integral) and not isinstance(capacity, bool)
        if not whole or capacity < 0:
            raise ValueError(f"capacity must be an integer >= 0, got {capacity!r}.")
        if strategy not in STRATEGIES:
            raise ValueError(
                f"strategy must be one of {list(STRATEGIES)}, got {strategy!r}."
            )
        self.capacity = int(capacity)
        self.strategy = strategy
        self.n_seen = 0
        self._size = 0
        self._X = self._y = self._weight = None  # with room for more rows
        self._owned = True  # not shared with a copy, so that it can be written to
        self._counts = {}  # of each class: rows seen
        self._been_largest = set()

    def __len__(self):
        return self._size

    @property
    def X(self):
        """Rows in the memory."""
        return None if self._X is None else self._take(self._X, slice(self._size))

    @property
    def y(self):
        """Their labels."""
        return None if self._y is None else self._take(self._y, slice(self._size))

    @property
    def sample_weight(self):
        """Their weights."""
        return None if self._weight is None else self._weight[: self._size]

    def update(self, X, y, sample_weight=None, *, rng=None):
        """Take in rows of the stream.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Rows.
        y : array-like of shape (n,)
            Their labels.
        sample_weight : array-like of shape (n,) or None
            Their weights.
        rng : int, RandomState instance or None, default=None
            Draws which rows stay.

        Raises
        ------
        ValueError
            If there are not as many rows as labels or weights, or they are of another
            shape than earlier ones.
        """
        X, y = self._as_rows(X), self._as_rows(y)
        self._check(X, y, sample_weight)
        if self.capacity:
            places = self._places(self._labels(y), check_random_state(rng))
            self._write(places, X, y, sample_weight)
        self.n_seen += len(y)

    def sample(self, n, rng=None):
        """Draw rows without replacement.

        Parameters
        ----------
        n : int
            Number of rows, at least 0; if the memory has fewer, it gives all.
        rng : int, RandomState instance or None, default=None
            Draws them.

        Returns
        -------
        X : ndarray of shape (n, ...) or None
            Rows; None from an empty memory.
        y : ndarray of shape (n,) or None
            Their labels.
        sample_weight : ndarray of shape (n,) or None
            Their weights, if there are any.

        Raises
        ------
        ValueError
            If n is negative.
        """
        if n < 0:
            raise ValueError(f"n must be >= 0, got {n!r}.")
        if not len(self):
            return None, None, None
        rows = check_random_state(rng).permutation(len(self))[:n]
        weight = None if self._weight is None else self._weight[rows]
        return self._take(self._X, rows), self._take(self._y, rows), weight

    def copy(self):
        """Copy the memory.

        Returns
        -------
        ReplayMemory
            One that changes apart from this; rows are copied when one of both does.
        """
        self._owned = False
        new = object.__new__(type(self))
        vars(new).update(vars(self))
        new._counts, new._been_largest = dict(self._counts), set(self._been_largest)
        return new

    def __deepcopy__(self, memo):
        return self.copy()

    def __getstate__(self):
        # Rows alone, not the room for more; and what loads them may map them read-only.
        state = vars(self) | {"_X": self.X, "_y": self.y, "_weight": self.sample_weight}
        return state | {"_owned": False}

    # -- which place a row gets --------------------------------------------------------

    def _places(self, labels, rng):
        """Return the place of each row, -1 for none."""
        if self.strategy == "reservoir":
            return self._reservoir_places(len(labels), rng)
        return self._balanced_places(labels, rng)

    def _reservoir_places(self, n, rng):
        # Each row has its own number: with that of the batch's first for all, later
        # rows would be too probable.
        numbers = self.n_seen + np.arange(n)
        places = numbers.copy()
        late = numbers >= self.capacity
        if late.any():
            places[late] = rng.randint(0, numbers[late] + 1, dtype=np.int64)
        places[places >= self.capacity] = -1
        return places

    def _balanced_places(self, labels, rng):
        if labels.ndim > 1:
            raise ValueError(
                "strategy='class_balanced' needs one label a row, got y of shape "
                f"{labels.shape}."
            )
        rows_of = {}  # places of each class
        kept = [] if self.y is None else self._labels(self.y).tolist()
        for place, label in enumerate(kept):
            rows_of.setdefault(label, []).append(place)
        places, size = np.full(len(labels), -1), len(kept)
        for i, label in enumerate(labels.tolist()):
            self._counts[label] = self._counts.get(label, 0) + 1
            place = size
            if size == self.capacity:
                place = self._place_in_full(label, rows_of, rng)
            size = min(size + 1, self.capacity)
            if place is not None:
                places[i] = place
                rows_of.setdefault(label, []).append(place)
        return places

    def _place_in_full(self, label, rows_of, rng):
        """Take a place from its class; None if the new row does not stay."""
        most = max(map(len, rows_of.values()))
        largest = [other for other, rows in rows_of.items() if len(rows) == most]
        self._been_largest.update(largest)
        if label not in self._been_largest:
            rows = rows_of[largest[rng.randint(len(largest))]]
        else:
            rows = rows_of.get(label, [])
            if rng.uniform() * self._counts[label] >= len(rows):
                return None
        return rows.pop(rng.randint(len(rows)))

    # -- storing: overridden for other kinds of rows -----------------------------------

    @staticmethod
    def _as_rows(values):
        return np.asarray(values)

    def _check(self, X, y, sample_weight):
        lengths = [self._n_rows(X), len(y)]
        lengths += [] if sample_weight is None else [len(sample_weight)]
        if len(set(lengths)) > 1:
            raise ValueError(
                "X, y and sample_weight must have as many rows, got "
                f"{' and '.join(map(str, lengths))}."
            )
        stored = self.X
        if isinstance(stored, np.ndarray) and X.shape[1:] != stored.shape[1:]:
            raise ValueError(
                f"X must have rows of shape {stored.shape[1:]}, as before, got "
                f"{X.shape[1:]}."
            )

    def _write(self, places, X, y, sample_weight):
        # Of several rows for one place the last one stays.
        places, last = np.unique(places[::-1], return_index=True)
        rows = self._n_rows(X) - 1 - last
        rows, places = rows[places >= 0], places[places >= 0]
        if not len(places):
            return
        if sample_weight is not None or self._weight is not None:
            old = np.ones(self._size) if self._weight is None else self._weight
            new = np.ones(self._n_rows(X)) if sample_weight is None else sample_weight
            self._weight = ReplayMemory._put(self, old, places, np.asarray(new)[rows])
        self._X = self._put(self._X, places, self._take(X, rows))
        self._y = self._put(self._y, places, self._take(y, rows))
        self._size = max(self._size, int(places[-1]) + 1)
        self._owned = True

    def _put(self, store, places, values):
        """Return the store with values at places, in place where it can be."""
        store = values[:0] if store is None else store
        # Longer labels, or numbers of higher precision, need another store.
        dtype = np.result_type(store.dtype, values.dtype)
        room = self._room(len(store), places)
        if room > len(store) or dtype != store.dtype or not self._owned:
            wider = np.empty((room, *values.shape[1:]), dtype)
            wider[: self._size] = store[: self._size]
            store = wider
        store[places] = values
        return store

    def _room(self, n_rows, places):
        needed = int(places[-1]) + 1
        return n_rows if needed <= n_rows else min(self.capacity, 2 * needed)

    @staticmethod
    def _take(store, rows):
        return store[rows]

    @staticmethod
    def _n_rows(X):
        return X.shape[0]

    @staticmethod
    def _labels(y):
        return np.asarray(y)
