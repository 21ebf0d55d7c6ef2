"""Reports with a verdict that others are compared with."""

import numpy as np
from sklearn.utils import Bunch

from .._optional import import_optional
from ._columns import frame_columns


def references(latitude, longitude, days, target, weight, rows=None):
    """Return the reports of some rows as references.

    Parameters
    ----------
    latitude, longitude, days : ndarray of shape (n_reports,) or None
        Place in degrees and time in days; None if there is none.
    target : ndarray of shape (n_reports,)
        Verdicts, 1, 0, or -1 for none.
    weight : ndarray of shape (n_reports,)
        Weights.
    rows : ndarray of int, default=None
        Rows to take; None for all.

    Returns
    -------
    Bunch
        The five arrays by their names.
    """
    bunch = Bunch(
        latitude=latitude, longitude=longitude, days=days, target=target, weight=weight
    )
    if rows is None:
        return bunch
    return Bunch(**{k: None if v is None else v[rows] for k, v in bunch.items()})


def appended(old, new):
    """Return references with others behind them."""
    return Bunch(
        **{
            name: None if old[name] is None else np.append(old[name], new[name])
            for name in old
        }
    )


def stacked(parts):
    """Put the reports, labels and weights of several calls behind each other.

    Parameters
    ----------
    parts : list of tuple
        Table, labels, and weights or None.

    Returns
    -------
    X : DataFrame or ndarray
        All reports.
    y : ndarray
        All labels.
    sample_weight : ndarray or None
        All weights, 1 where none were given; None if that is so everywhere.
    """
    tables, labels, weights = zip(*parts)
    if frame_columns(tables[0]) is not None:
        pandas = import_optional("pandas", "A refit in update")
        X = pandas.concat(tables, ignore_index=True)
    else:
        X = np.concatenate(tables)
    weight = None
    if any(w is not None for w in weights):
        weight = np.concatenate(
            [np.ones(len(y)) if w is None else w for y, w in zip(labels, weights)]
        )
    return X, np.concatenate(labels), weight
