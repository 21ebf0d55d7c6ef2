"""The columns of a table of reports, by what they are used for."""

import warnings
from dataclasses import dataclass

import numpy as np

from .._days import to_days
from ._columns import (
    ROLES,
    check_columns_exist,
    column_values,
    frame_columns,
    late_word,
    usual_column,
)
from ._geometry import check_coordinates

_KINDS = ("text", "numeric", "categorical", "probabilities", "image")


@dataclass(frozen=True)
class Layout:
    """Columns of X, each a name of a data frame or a position.

    Attributes
    ----------
    latitude, longitude, submitted, detected : str, int or None
        Place, and date of report and sighting.
    text, numeric, categorical, probabilities, image : list
        Columns of features.
    is_table : bool
        Whether X is a plain table of numbers, all of them features.
    """

    latitude: object = None
    longitude: object = None
    submitted: object = None
    detected: object = None
    text: tuple = ()
    numeric: tuple = ()
    categorical: tuple = ()
    probabilities: tuple = ()
    image: tuple = ()
    is_table: bool = False

    @property
    def has_location(self):
        """Whether reports have a place."""
        return self.latitude is not None

    @property
    def place(self):
        """Columns of latitude, longitude and, if there is one, the time of reports."""
        columns = (self.latitude, self.longitude, self.submitted)
        return [c for c in columns if c is not None]

    @property
    def dates(self):
        """Columns of dates, that of the report first."""
        return [c for c in (self.submitted, self.detected) if c is not None]

    def columns(self):
        """Pairs of what a column is for, and the column."""
        pairs = [(role, getattr(self, role)) for role in ROLES]
        for kind in _KINDS:
            pairs += [(kind, column) for column in getattr(self, kind)]
        return [(role, column) for role, column in pairs if column is not None]

    def as_dict(self):
        """Columns by what they are for, without what there is none for."""
        pairs = {role: getattr(self, role) for role in ROLES}
        pairs |= {kind: list(getattr(self, kind)) for kind in _KINDS}
        return {name: value for name, value in pairs.items() if value not in (None, [])}

    def check(self, X):
        """Raise ValueError if X lacks a column, or one is named twice for one use."""
        check_columns_exist(X, self.columns())
        for kind in _KINDS:
            columns = getattr(self, kind)
            twice = [c for i, c in enumerate(columns) if c in columns[:i]]
            if twice:
                raise ValueError(f"{kind} has the column {twice[0]!r} twice.")

    def places(self, X, missing):
        """Return latitude, longitude (degrees) and days (or None) of reports."""
        coordinates = check_coordinates(
            column_values(X, self.latitude), column_values(X, self.longitude), missing
        )
        days = None
        if self.submitted is not None:
            # The features of dates have refused a wrong format, in fit.
            dates = column_values(X, self.submitted)
            days = to_days(dates, str(self.submitted), some=False)
        return *coordinates, days


def find_layout(X, *, columns, text, numeric, categorical, probabilities, image):
    """Return the layout of X that the parameters of the classifier ask for."""
    features = {
        "numeric": _as_list(numeric),
        "categorical": _as_list(categorical),
        "probabilities": _as_list(probabilities),
        "image": _as_list(image),
    }
    names = frame_columns(X)
    roles = _roles(names, columns)
    if isinstance(text, str) and text == "auto":
        note = usual_column(names, "text")
        text = () if note is None else (note,)
    text = _as_list(text)
    found = "latitude" in roles or text or any(features.values())
    if not found and columns is None:
        return Layout(numeric=tuple(range(X.shape[1])), is_table=True)
    layout = Layout(**roles, text=text, **features)
    layout.check(X)
    return layout


def _as_list(columns):
    if columns is None:
        return ()
    if isinstance(columns, str) or np.isscalar(columns):
        return (columns,)
    return tuple(c.item() if isinstance(c, np.generic) else c for c in columns)


def _roles(names, columns):
    if columns is None:
        roles = {role: usual_column(names, role) for role in ROLES}
    else:
        unknown = [role for role in columns if role not in ROLES]
        if unknown:
            raise ValueError(
                f"columns must be a dict of the keys {ROLES}, got {unknown[0]!r}."
            )
        roles = dict(columns)
    roles = {role: column for role, column in roles.items() if column is not None}
    if ("latitude" in roles) != ("longitude" in roles):
        found = "latitude" if "latitude" in roles else "longitude"
        raise ValueError(
            f"There is a {found} column ({roles[found]!r}), but none of the other "
            "coordinate: name both in columns."
        )
    return roles


def warn_of_late_columns(layout):
    """Warn of columns whose names sound as if written with the verdict."""
    late = [column for _, column in layout.columns() if late_word(column) is not None]
    if late:
        warnings.warn(
            f"The columns {late} sound like a verdict, a comment on it, or something "
            "that was counted while reports were verified. A model that learns from "
            "them looks good, and fails on new reports, where they are not known yet.",
            UserWarning,
            stacklevel=6,
        )
