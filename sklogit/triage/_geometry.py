"""Places on the globe: checked coordinates, unit vectors, great-circle distances."""

import numpy as np

from .._missing import is_missing

EARTH_RADIUS_KM = 6371.0088
HALF_CIRCUMFERENCE_KM = np.pi * EARTH_RADIUS_KM


def check_coordinates(latitude, longitude, missing="error"):
    """Return coordinates in degrees as float64.

    Parameters
    ----------
    latitude, longitude : array-like of shape (n_reports,)
        Degrees. Longitudes are taken from -180 to 180.
    missing : {"error", "impute"}
        Whether NaN is an error, or marks a place that is not known.

    Returns
    -------
    latitude, longitude : ndarray of shape (n_reports,)
        The coordinates; both NaN where one of them is missing.
    """
    latitude = _as_float(latitude, "latitude")
    longitude = _as_float(longitude, "longitude")
    for name, values, limit in (
        ("latitude", latitude, 90),
        ("longitude", longitude, 180),
    ):
        beyond = np.abs(values) > limit
        if beyond.any():
            raise ValueError(
                f"{name} must be between -{limit} and {limit} degrees, got "
                f"{values[beyond][0]:g} ({beyond.sum()} such values); infinity is no "
                "coordinate either."
            )
    unknown = np.isnan(latitude) | np.isnan(longitude)
    if unknown.any():
        if missing == "error":
            raise ValueError(
                f"The coordinates of {unknown.sum()} reports contain NaN. Leave them "
                "out, or set missing_location='impute'."
            )
        latitude = np.where(unknown, np.nan, latitude)
        longitude = np.where(unknown, np.nan, longitude)
    return latitude, longitude


def _as_float(values, name):
    values = np.asarray(values).ravel()
    if values.dtype.kind == "O":
        values = [np.nan if is_missing(value) else value for value in values.tolist()]
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be degrees as numbers: {error}") from error


def unit_vectors(latitude, longitude):
    """Return places as unit vectors of shape (n_reports, 3); NaN stays NaN.

    The distance along a great circle grows with that through the globe, so a tree of
    points in space finds neighbours across poles and the antimeridian alike.
    """
    phi, lam = np.radians(latitude), np.radians(longitude)
    level = np.cos(phi)
    return np.column_stack([level * np.cos(lam), level * np.sin(lam), np.sin(phi)])


def km_of_chord(chord):
    """Great-circle distance of two points at this distance in space, on a unit globe.

    It is the haversine formula, whose square root is half the chord.
    """
    return 2.0 * EARTH_RADIUS_KM * np.arcsin(np.minimum(1.0, 0.5 * chord))


def chord_of_km(km):
    """Distance in space, on a unit globe, of points that are `km` apart."""
    half_angle = 0.5 * min(km, HALF_CIRCUMFERENCE_KM) / EARTH_RADIUS_KM
    return 2.0 * np.sin(half_angle)


def widest_km(vectors):
    """Bound of the distances between places: twice the largest from their centre."""
    known = vectors[~np.isnan(vectors[:, 0])]
    if not len(known):
        return HALF_CIRCUMFERENCE_KM
    centre = known.mean(axis=0)
    norm = np.linalg.norm(centre)
    if norm < 1e-9:  # all around the globe
        return HALF_CIRCUMFERENCE_KM
    chord = np.linalg.norm(known - centre / norm, axis=1).max()
    return min(2.0 * float(km_of_chord(chord)), HALF_CIRCUMFERENCE_KM)
