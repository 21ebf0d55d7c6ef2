"""Replay of reports as they came in, with a budget of inspections."""

from datetime import timedelta
from numbers import Integral, Real

import numpy as np
from sklearn.base import clone
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples, column_or_1d

from .._days import checked_days
from .._optional import import_optional
from ..metrics._triage_scorer import triage_scores


def simulate_triage(
    estimator,
    X,
    y,
    time,
    *,
    budget,
    period="7D",
    start=None,
    refit=True,
    pass_unlabeled=False,
    pos_label=1,
    unlabeled_label=-1,
):
    """Replay time: rank open reports, inspect the first, learn from the verdicts.

    At the end of each period all reports that have come in and were not inspected are
    ranked. The first `budget` of them are inspected, and only their labels are
    revealed. Until a positive and a negative are known there is no model, and reports
    are inspected in order of arrival; ties are broken by it as well.

    Parameters
    ----------
    estimator : classifier
        Ranks by `priority`, or else by its decision function or probabilities. A clone
        of it is fitted.
    X : array-like or DataFrame, of n_samples rows
        Reports, in any order.
    y : array-like of shape (n_samples,)
        Labels of two classes, and `unlabeled_label`.
    time : array-like of shape (n_samples,)
        When they came in: datetime64, ISO strings or days.
    budget : int
        Inspections in a period.
    period : str, timedelta or float, default="7D"
        Length of a period, as pandas understands it, or in days.
    start : datetime64, str or float, default=None
        When the replay begins: all labels of earlier reports are known then. None
        begins with the first report, and nothing is known.
    refit : bool, default=True
        Whether to fit to all known labels after each period that gave new ones.
        Without it the estimator is fitted once; later verdicts go to its method
        `update`, or else `partial_fit`, if it has one.
    pass_unlabeled : bool, default=False
        Whether `fit` gets the open reports, too, with `unlabeled_label`.
    pos_label : label, default=1
        The positive class.
    unlabeled_label : label, default=-1
        Label of reports whose truth is unknown: they are never inspected.

    Returns
    -------
    DataFrame
        A row for each period: "period", from 1 on; "end", its end in the kind of
        `time`; "n_new" and "n_open", reports that came in and that were open when it
        ended; "n_inspected" and "n_found"; "total_inspected" and "total_found", sums
        since the start; "fitted", whether a model ranked; and "inspected", a tuple of
        rows of X in order of inspection.

    Raises
    ------
    ValueError
        If a time is missing, budget or period is not positive, lengths differ, no label
        is `pos_label`, or no report comes in after `start`.
    ImportError
        If pandas is missing.

    See Also
    --------
    sklogit.model_selection.ForwardChainingSplit : Where all of the past is known.

    Notes
    -----
    The labels of reports that are never inspected have no influence. Inspections depend
    on the model, and what it learns on inspections: a model that never looks elsewhere
    finds nothing there.

    Examples
    --------
    >>> from sklearn.compose import make_column_transformer
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklogit.datasets import make_sightings
    >>> from sklogit.triage import simulate_triage
    >>> X, y, _ = make_sightings(1000, prevalence=0.1, random_state=0)
    >>> places = make_column_transformer(("passthrough", ["latitude", "longitude"]))
    >>> near = make_pipeline(places, KNeighborsClassifier(5))
    >>> trace = simulate_triage(
    ...     near, X, y, X["submitted"], budget=5, start="2020-04-01"
    ... )
    >>> trace[["n_new", "n_open", "n_inspected", "fitted"]].head(2)
       n_new  n_open  n_inspected  fitted
    0     35      35            5    True
    1     40      70            5    True
    """
    pandas = import_optional("pandas", "simulate_triage")
    length = _period_days(pandas, period)
    _check_budget(budget)
    days = checked_days(time)
    y = column_or_1d(y)
    if not len(days) == len(y) == _num_samples(X):
        raise ValueError(
            f"X, y and time must have equally many rows, got {_num_samples(X)}, "
            f"{len(y)} and {len(days)}."
        )
    if not np.any(y == pos_label):
        raise ValueError(f"y has no positive: none is pos_label={pos_label!r}.")
    begin = days.min() if start is None else checked_days([start], "start")[0]
    if not (days >= begin).any():
        raise ValueError(f"No report comes in after start={start!r}.")
    labels = pos_label, unlabeled_label
    agency = _Agency(estimator, X, y, days, refit, pass_unlabeled, *labels)
    agency.reveal(np.flatnonzero(days < begin))
    rows = []
    for number in range(1, int((days.max() - begin) // length) + 2):
        before, end = begin + (number - 1) * length, begin + number * length
        rows.append(
            {"period": number, "end": end, **agency.one_period(before, end, budget)}
        )
    return _table(pandas, rows, time)


class _Agency:
    """What is known at some time, and the model that was learnt from it."""

    def __init__(
        self, estimator, X, y, days, refit, pass_unlabeled, pos_label, unlabeled_label
    ):
        self.estimator = estimator
        self.X = X
        self.y = y
        self.days = days
        self.refit = refit
        self.pass_unlabeled = pass_unlabeled
        self.pos_label = pos_label
        self.unlabeled_label = unlabeled_label
        self.model = None
        self.has_label = y != unlabeled_label
        self.known = np.zeros(len(y), dtype=bool)
        self.unlearnt = np.array([], dtype=np.intp)
        self.by_arrival = np.argsort(days, kind="stable")

    def reveal(self, rows):
        """Note verdicts; the model learns them before it ranks again."""
        rows = rows[self.has_label[rows]]
        self.known[rows] = True
        self.unlearnt = np.append(self.unlearnt, rows)

    def one_period(self, before, end, budget):
        """Rank what is open, inspect the first of it, and tell what happened."""
        new = self.has_label & (self.days >= before) & (self.days < end)
        is_open = self.has_label & ~self.known & (self.days < end)
        pool = self.by_arrival[is_open[self.by_arrival]]
        self.learn(end)
        if self.model is not None and len(pool):
            scores = triage_scores(
                self.model, _safe_indexing(self.X, pool), self.pos_label
            )
            ranked = pool[np.argsort(-scores, kind="stable")]
        else:
            ranked = pool
        inspected = ranked[:budget]
        self.reveal(inspected)
        return {
            "n_new": int(new.sum()),
            "n_open": len(pool),
            "n_inspected": len(inspected),
            "n_found": int((self.y[inspected] == self.pos_label).sum()),
            "fitted": self.model is not None,
            "inspected": tuple(inspected.tolist()),
        }

    def learn(self, end):
        """Bring the model up to what is known."""
        positive = self.y[self.known] == self.pos_label
        if not np.any(positive) or np.all(positive):
            return
        rows, self.unlearnt = self.unlearnt, self.unlearnt[:0]
        if self.model is None or self.refit:
            if self.model is None or len(rows) or self.pass_unlabeled:
                self.model = clone(self.estimator).fit(*self._training_data(end))
            return
        update = getattr(self.model, "update", None)
        update = update or getattr(self.model, "partial_fit", None)
        if update is not None and len(rows):
            update(_safe_indexing(self.X, rows), self.y[rows])

    def _training_data(self, end):
        chosen, y = self.known, self.y
        if self.pass_unlabeled:
            chosen = chosen | (self.days < end)
            y = np.where(self.known, y, self.unlabeled_label)
        rows = np.flatnonzero(chosen)
        return _safe_indexing(self.X, rows), y[rows]


def _table(pandas, rows, time):
    table = pandas.DataFrame(rows)
    if np.asarray(time).dtype.kind not in "iuf":
        table["end"] = pandas.to_datetime(table["end"], unit="D")
    sums = table[["n_inspected", "n_found"]].cumsum()
    place = table.columns.get_loc("fitted")
    table.insert(place, "total_inspected", sums["n_inspected"])
    table.insert(place + 1, "total_found", sums["n_found"])
    return table


def _period_days(pandas, period):
    if isinstance(period, Real) and not isinstance(period, bool):
        days = float(period)
    elif isinstance(period, str | timedelta | np.timedelta64):
        days = pandas.Timedelta(period) / pandas.Timedelta(1, "D")
    else:
        days = np.nan
    if not 0 < days < np.inf:
        raise ValueError(
            f"period must be a positive length of time such as '7D', got {period!r}."
        )
    return days


def _check_budget(budget):
    if isinstance(budget, bool) or not isinstance(budget, Integral) or budget < 1:
        raise ValueError(f"budget must be a positive integer, got {budget!r}.")
