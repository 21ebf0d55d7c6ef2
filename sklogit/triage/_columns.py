"""Which column of a table is the latitude, the date, the note."""

import re
from numbers import Integral

import numpy as np
from sklearn.utils import _safe_indexing

# Usual names, in lower case with underscores.
_USUAL_NAMES = {
    "latitude": ("latitude", "lat"),
    "longitude": ("longitude", "lon", "lng", "long"),
    "submitted": (
        "submitted",
        "submission_date",
        "submission_time",
        "reported",
        "report_date",
        "time",
        "date",
        "timestamp",
    ),
    "detected": ("detected", "detection_date", "observed", "observation_date"),
    "text": ("notes", "note", "text", "description"),
}
ROLES = ("latitude", "longitude", "submitted", "detected")

# Words in the name of a column that was most likely written with, or after, the
# verdict, or that says how a report came to be verified.
_LATE_WORDS = {
    "verdict",
    "comment",
    "comments",
    "lab",
    "status",
    "outcome",
    "result",
    "results",
    "determination",
    "diagnosis",
    "verified",
    "confirmed",
    "label",
    "attachments",
    "nfiles",
    "files",
}


def frame_columns(X):
    """Names of the columns of a data frame, or None for an array."""
    if hasattr(X, "columns") and hasattr(X, "shape"):
        return list(X.columns)
    return None


def usual_column(names, role):
    """Return the column with a usual name for a role, or None."""
    plain = {}
    for name in names or ():
        if isinstance(name, str):
            plain.setdefault(re.sub(r"[\s\-]+", "_", name.strip().lower()), name)
    return next((plain[n] for n in _USUAL_NAMES[role] if n in plain), None)


def check_columns_exist(X, columns):
    """Raise ValueError for a name that X lacks, or a position beyond its columns."""
    names = frame_columns(X)
    for role, column in columns:
        if isinstance(column, bool) or not isinstance(column, str | Integral):
            raise ValueError(
                f"A {role} column must be a name or a position, got {column!r}."
            )
        if isinstance(column, str):
            if names is None:
                raise ValueError(
                    f"The {role} column is named {column!r}, but X is an array without "
                    "names. Pass a DataFrame, or positions of columns."
                )
            if column not in names:
                raise ValueError(
                    f"X has no column {column!r} ({role}); its columns are {names}."
                )
            if names.count(column) > 1:
                raise ValueError(f"X has several columns {column!r} ({role}).")
        elif not -X.shape[1] <= column < X.shape[1]:
            raise ValueError(
                f"The {role} column is {column}, but X has {X.shape[1]} columns."
            )


def column_values(X, column):
    """Return one column of a frame or an array."""
    return _safe_indexing(X, column, axis=1)


def as_array(X):
    """Return X if it is a frame or has a shape, or an array of it.

    Strings become objects, as numbers may stand beside notes.
    """
    X = X if hasattr(X, "shape") else np.asarray(X)
    if isinstance(X, np.ndarray) and X.dtype.kind in "US":
        return X.astype(object)
    return X


def late_word(column):
    """Return the word that makes the name of a column suspicious, or None."""
    if not isinstance(column, str):
        return None
    words = re.split(r"[^a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", column).lower())
    return next((word for word in words if word in _LATE_WORDS), None)
