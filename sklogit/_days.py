"""Dates of any usual kind as days since 1970."""

from datetime import date, datetime

import numpy as np

from ._missing import is_missing

_EPOCH = date(1970, 1, 1).toordinal()
_SECONDS = 86400.0
_MISSING_WORDS = {"", "nan", "nat", "none", "null", "<null>", "na", "n/a", "unknown"}


def to_days(values, name="time", *, some=True):
    """Return dates as days since 1970, NaN for what is none.

    Parameters
    ----------
    values : array-like of shape (n_samples,)
        datetime64 (also of pandas, with or without time zone), `datetime` or `date`
        objects, or strings in ISO 8601; without a zone they are UTC. Numbers are days
        already.
    name : str, default="time"
        What it is, for error messages.
    some : bool, default=True
        Whether values of which none is a date are an error: most likely they have
        another format. False is for few values, which may all be typing errors.

    Returns
    -------
    ndarray of shape (n_samples,), of float64
        Days since 1970-01-01.

    Raises
    ------
    ValueError
        If there are values, none of them is a date, and some should be.

    Examples
    --------
    >>> from sklogit._days import to_days
    >>> to_days(["1970-01-02", "1970-01-03T12:00", "yesterday"])
    array([1. , 2.5, nan])
    """
    if getattr(getattr(values, "dt", None), "tz", None) is not None:
        values = values.dt.tz_convert("UTC").dt.tz_localize(None)
    values = np.asarray(values)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.dtype.kind == "M":
        # Nanoseconds would overflow in 1677, before some dates that people type.
        days = values.astype("datetime64[us]").astype(np.int64) / (_SECONDS * 1e6)
        return np.where(np.isnat(values), np.nan, days)
    if values.dtype.kind in "fiu":
        return values.astype(np.float64)
    days, strange = _days_of_objects(values.tolist())
    if some and strange is not None and np.isnan(days).all():
        raise ValueError(
            f"{name} must hold dates in ISO format (2020-05-27), datetime64 or days as "
            f"numbers; no value is one, e.g. {strange!r}. pandas.to_datetime reads "
            "other formats."
        )
    return days


def checked_days(values, name="time"):
    """Return dates as days since 1970, all of which are there.

    Parameters
    ----------
    values : array-like of shape (n_samples,)
        As for `to_days`.
    name : str, default="time"
        Name of the argument, for error messages.

    Returns
    -------
    ndarray of shape (n_samples,), of float64
        Days since 1970-01-01.

    Raises
    ------
    ValueError
        If a value is missing, infinite or no date, or the array is not flat.

    Examples
    --------
    >>> from sklogit._days import checked_days
    >>> checked_days(["1970-01-02", "1970-01-03T12:00"])
    array([1. , 2.5])
    """
    if np.ndim(values) != 1:
        raise ValueError(
            f"{name} must have one dimension, got shape {np.shape(values)}."
        )
    days = to_days(values, name)
    bad = ~np.isfinite(days)
    if bad.any():
        raise ValueError(
            f"{name} must not be missing, infinite or another format than ISO 8601, "
            f"found that in {bad.sum()} of {len(days)} rows, first in row "
            f"{int(np.argmax(bad))}."
        )
    return days


def day_of_year(days):
    """Part of the year, from 0 to 1, of days since 1970; NaN stays NaN."""
    known = np.where(np.isnan(days), 0.0, np.clip(days, -7e5, 2.9e6))
    dates = np.floor(known).astype(np.int64).astype("datetime64[D]")
    start = dates.astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64)
    return np.where(np.isnan(days), np.nan, (known - start) / 365.25)


def _days_of_objects(values):
    """Days of any objects, and one that is neither missing nor surely a date."""
    # Reports of the same day share their string: each is parsed once.
    known = {}
    days = np.empty(len(values))
    for i, value in enumerate(values):
        try:
            days[i] = known[value]
        except KeyError:
            days[i] = known[value] = _days_of(value)
        except TypeError:  # not hashable, and no date
            days[i] = np.nan
    return days, next((value for value in known if not _is_no_date(value)), None)


def _is_no_date(value):
    if isinstance(value, str):
        return value.strip().lower() in _MISSING_WORDS
    return is_missing(value)


def _days_of(value):
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            return np.nan
    if isinstance(value, np.datetime64):
        return to_days(np.array([value]))[0]
    if is_missing(value):
        return np.nan
    if hasattr(value, "to_timestamp"):  # a period of pandas
        value = value.to_timestamp()
    if isinstance(value, datetime):
        return _days_of_datetime(value)
    if isinstance(value, date):
        return float(value.toordinal() - _EPOCH)
    try:
        return float(value)
    except (TypeError, ValueError):
        return np.nan


def _days_of_datetime(value):
    midnight = value.toordinal() - _EPOCH
    seconds = value.hour * 3600 + value.minute * 60 + value.second
    # Taken off here, as a date in UTC may lie before the year 1.
    zone = value.utcoffset()
    if zone is not None:
        seconds -= zone.total_seconds()
    return midnight + (seconds + value.microsecond * 1e-6) / _SECONDS
