"""Folds that train on the past and test on what came next."""

from itertools import pairwise
from numbers import Integral, Real

import numpy as np
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples, column_or_1d

from .._days import checked_days

_BALANCES = ("rows", "positives")


class ForwardChainingSplit(BaseCrossValidator):
    """Cross-validation in order of time, with enough positives to train on.

    The first test window begins as soon as `min_train_positives` are known. The time
    from there on is cut into `n_splits` windows, and each is tested by what lies before
    it. Rows of the same time are never parted. Unlike
    `sklearn.model_selection.TimeSeriesSplit` the rows may stand in any order, times may
    be unevenly spaced, and positives may be rare.

    Parameters
    ----------
    n_splits : int, default=5
        Number of test windows; does not count where there are `cutoffs`.
    time : str, int or array-like of shape (n_samples,), default=None
        Times of all rows, or the column of X that has them; ``None`` takes the
        `groups` that are given to `split`. datetime64, ISO strings or days. It should
        be the time when a report came in: when something was seen is known only later.
    min_train_positives : int, default=3
        Positives that each training set has at least.
    gap_days : float, default=0
        Days before a test window that are not trained on: as long as it takes until a
        verdict is there.
    window : float, default=None
        Days of a training set; None trains on all the past.
    balance : {"rows", "positives"}, default="rows"
        Of what the test windows have equally many, nearly. With "positives" cuts lie in
        the middle between two positives, and each window has at least one.
    cutoffs : array-like of shape (n_windows,), default=None
        Times at which test windows begin, rising; the last one reaches to the end.
    pos_label : label, default=1
        The positive class.

    See Also
    --------
    sklearn.model_selection.TimeSeriesSplit : By the order of the rows.
    sklogit.metrics.make_triage_scorer : Scores in numbers of inspections.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.model_selection import ForwardChainingSplit
    >>> X, y = np.zeros((8, 1)), [1, 0, 0, 1, 0, 1, 0, 0]
    >>> days = [7, 6, 5, 4, 3, 2, 1, 0]
    >>> cv = ForwardChainingSplit(2, time=days, min_train_positives=1)
    >>> for train, test in cv.split(X, y):
    ...     print(train, test)
    [5 6 7] [3 4]
    [3 4 5 6 7] [0 1 2]
    """

    # Where metadata are routed, groups come here without being asked for.
    __metadata_request__split = {"groups": True}

    def __init__(
        self,
        n_splits=5,
        *,
        time=None,
        min_train_positives=3,
        gap_days=0,
        window=None,
        balance="rows",
        cutoffs=None,
        pos_label=1,
    ):
        self.n_splits = n_splits
        self.time = time
        self.min_train_positives = min_train_positives
        self.gap_days = gap_days
        self.window = window
        self.balance = balance
        self.cutoffs = cutoffs
        self.pos_label = pos_label

    def get_n_splits(self, X=None, y=None, groups=None):
        """Return the number of folds.

        Parameters
        ----------
        X : object, default=None
            Ignored.
        y : object, default=None
            Ignored.
        groups : object, default=None
            Ignored.

        Returns
        -------
        int
            Number of folds.
        """
        return self.n_splits if self.cutoffs is None else len(self.cutoffs)

    def split(self, X, y=None, groups=None):
        """Generate training and test rows.

        Parameters
        ----------
        X : array-like or DataFrame, of n_samples rows
            Data.
        y : array-like of shape (n_samples,), default=None
            Labels; may be left out if no positives are asked for. Rows with other
            labels, such as -1 for none, are in the folds as well.
        groups : array-like of shape (n_samples,), default=None
            Times, where the parameter `time` is None.

        Yields
        ------
        train : ndarray of int
            Rows before the window.
        test : ndarray of int
            Rows in the window.

        Raises
        ------
        ValueError
            If a time is missing or of unknown kind, a parameter is out of range, there
            are too few positives or times, or cut-offs do not rise or leave a window
            empty.
        """
        self._check_parameters()
        days = self._days(X, groups)
        positive = self._positive(y, days)
        starts = self._starts(days, positive)
        for start, end in pairwise([*starts, np.inf]):
            last = start - self.gap_days
            first = -np.inf if self.window is None else last - self.window
            train = np.flatnonzero((days >= first) & (days < last))
            test = np.flatnonzero((days >= start) & (days < end))
            self._check_fold(train, test, positive)
            yield train, test

    def _days(self, X, groups):
        time = groups if self.time is None else self.time
        if time is None:
            raise ValueError("time must be given, or groups=times to split.")
        if isinstance(time, str | Integral):
            time = _safe_indexing(X, time, axis=1)
        days = checked_days(time)
        if len(days) != _num_samples(X):
            raise ValueError(
                f"time must have a value for each of {_num_samples(X)} rows, got "
                f"{len(days)}."
            )
        return days

    def _positive(self, y, days):
        if y is None:
            if self.min_train_positives or self.balance == "positives":
                raise ValueError("y must be given where positives are counted.")
            return np.zeros(len(days), dtype=bool)
        return np.broadcast_to(column_or_1d(y) == self.pos_label, days.shape)

    def _starts(self, days, positive):
        """Find the times at which test windows begin, rising."""
        if self.cutoffs is not None:
            starts = checked_days(self.cutoffs, "cutoffs")
            if not (np.diff(starts) > 0).all():
                raise ValueError("cutoffs must rise.")
            return starts
        times = np.unique(days)
        times = times[times >= self._earliest_start(times, days, positive)]
        if self.balance == "rows":
            return self._balanced_starts(times, days)
        return self._starts_between_positives(times, np.sort(days[positive]))

    def _earliest_start(self, times, days, positive):
        """First time before which, and before the gap, there are enough positives."""
        seen = np.sort(days[positive])
        if len(seen) < self.min_train_positives:
            raise ValueError(
                f"min_train_positives={self.min_train_positives}, but y has only "
                f"{len(seen)} positives, of pos_label={self.pos_label!r}."
            )
        last_needed = seen[self.min_train_positives - 1 : self.min_train_positives]
        # Something must be trained on, even if it need not be positive.
        before = max([times[0], *last_needed]) + self.gap_days
        return np.nextafter(before, np.inf)

    def _balanced_starts(self, times, days):
        self._check_enough(len(times), "times")
        # Whole times go to windows, so that at least one is left for each to come.
        upto = np.searchsorted(np.sort(days), times)
        chosen = [0]
        for i in range(1, self.n_splits):
            left = self.n_splits - i
            begin = upto[chosen[-1]]
            aim = begin + (len(days) - begin) / (left + 1)
            nearest = int(np.argmin(np.abs(upto - aim)))
            chosen.append(int(np.clip(nearest, chosen[-1] + 1, len(times) - left)))
        return times[chosen]

    def _starts_between_positives(self, times, seen):
        """Cuts in the middle, in numbers of times, between two positives."""
        to_find = np.unique(seen[seen >= times[0]]) if len(times) else times
        self._check_enough(len(to_find), "times of positives")
        parts = np.array_split(to_find, self.n_splits)
        starts = [times[0]]
        for before, after in pairwise(parts):
            lower, upper = np.searchsorted(times, [before[-1], after[0]])
            starts.append(times[(lower + upper + 1) // 2])
        return np.array(starts)

    def _check_enough(self, count, what):
        if count < self.n_splits:
            raise ValueError(
                f"n_splits={self.n_splits} windows need as many different {what} after "
                f"the first {self.min_train_positives} positives and the gap, found "
                f"{count}."
            )

    def _check_fold(self, train, test, positive):
        if not len(test) or not len(train):
            raise ValueError(
                f"A fold has {len(train)} rows to train on and {len(test)} to test."
            )
        found = positive[train].sum()
        if found < self.min_train_positives:
            raise ValueError(
                f"A training set has {found} positives, min_train_positives="
                f"{self.min_train_positives}: take a longer window, later cutoffs or "
                "fewer."
            )

    def _check_parameters(self):
        for name, least in (("n_splits", 1), ("min_train_positives", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Integral):
                raise ValueError(f"{name} must be an integer, got {value!r}.")
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}.")
        if not isinstance(self.gap_days, Real) or not 0 <= self.gap_days < np.inf:
            raise ValueError(f"gap_days must be 0 or more, got {self.gap_days!r}.")
        window = self.window
        if window is not None and (not isinstance(window, Real) or not window > 0):
            raise ValueError(f"window must be positive or None, got {window!r}.")
        if self.balance not in _BALANCES:
            raise ValueError(
                f"balance must be one of {[*_BALANCES]}, got {self.balance!r}."
            )
