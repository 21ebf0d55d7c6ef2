"""Map of reports, coloured by priority."""

import numpy as np
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import column_or_1d

from .._plotting import one_axes
from ..metrics._triage_scorer import triage_scores


class PriorityMapDisplay:
    """Reports where they are, coloured by priority, beside the confirmed ones.

    A degree of longitude is drawn as wide as it is in the middle of the map, shorter
    than one of latitude by the cosine of the latitude. Longitudes may run across 180
    degrees.

    Parameters
    ----------
    coordinates : array-like of shape (n_samples, 2)
        Latitude and longitude of the reports [degrees].
    priority : array-like of shape (n_samples,)
        Their priorities.
    confirmed : array-like of shape (n_confirmed, 2), default=None
        Latitude and longitude of confirmed positives [degrees].

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the picture.
    figure_ : matplotlib Figure
        Its figure.
    points_ : matplotlib PathCollection
        Reports, the most urgent on top.
    confirmed_ : matplotlib PathCollection or None
        Confirmed positives.
    texts_ : list of matplotlib Text
        Ranks of the first reports.

    See Also
    --------
    InspectionCurveDisplay : What is found in this order.

    Examples
    --------
    >>> from sklogit.triage import PriorityMapDisplay
    >>> display = PriorityMapDisplay(
    ...     [[48.9, -122.7], [47.6, -122.3]], [0.8, 0.1], [[49.0, -122.7]]
    ... ).plot(n_ranks=1)
    >>> display.texts_[0].get_text()
    '1'
    """

    def __init__(self, coordinates, priority, confirmed=None):
        self.coordinates = coordinates
        self.priority = priority
        self.confirmed = confirmed

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        *,
        latitude=None,
        longitude=None,
        confirmed=None,
        pos_label=None,
        ax=None,
        **plot_options,
    ):
        """Draw the priorities of reports.

        Parameters
        ----------
        estimator : fitted estimator
            Ranks by `priority`, or else by decision function or probabilities.
        X : array-like or DataFrame, of n_samples rows
            Open reports.
        latitude : str or int, default=None
            Column of the latitude [degrees]; None for that of the estimator, if it
            tells by `columns_`, else "latitude".
        longitude : str or int, default=None
            Column of the longitude [degrees]; None likewise.
        confirmed : array-like or DataFrame, default=None
            Reports that are confirmed, with the columns of X.
        pos_label : label, default=None
            The positive class; None takes the estimator's, as
            `sklogit.metrics.make_triage_scorer` does.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **plot_options
            Given to `plot`.

        Returns
        -------
        PriorityMapDisplay
            The picture.
        """
        priority = triage_scores(estimator, X, pos_label)
        known = getattr(estimator, "columns_", {})
        if latitude is None:
            latitude = known.get("latitude", "latitude")
        if longitude is None:
            longitude = known.get("longitude", "longitude")
        places = _places(X, latitude, longitude)
        if confirmed is not None:
            confirmed = _places(confirmed, latitude, longitude)
        return cls(places, priority, confirmed).plot(ax=ax, **plot_options)

    def plot(self, *, ax=None, n_ranks=10, colorbar=True, norm=None, **point_options):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        n_ranks : int, default=10
            How many of the most urgent reports get their rank written beside them.
        colorbar : bool, default=True
            Whether to draw the scale of colours.
        norm : str or matplotlib Normalize, default=None
            Scale of the colours, such as "linear"; None takes "log" where all
            priorities are positive.
        **point_options
            Given to ``ax.scatter`` for the reports.

        Returns
        -------
        PriorityMapDisplay
            This one.

        Raises
        ------
        ValueError
            If shapes differ, or a coordinate or priority is not finite.
        """
        coordinates, priority, confirmed = self._checked()
        self.ax_ = one_axes(ax, type(self).__name__)
        self.figure_ = self.ax_.figure
        seam = _seam(np.concatenate([coordinates[:, 1], confirmed[:, 1]]))
        latitude, longitude = coordinates[:, 0], _unwrapped(coordinates[:, 1], seam)
        # Drawn from the least on, so that the urgent ones are on top.
        order = np.argsort(priority, kind="stable")
        if norm is None and priority.min() > 0:
            norm = "log"
        options = {"s": 12, "cmap": "viridis_r", "linewidths": 0, **point_options}
        self.points_ = self.ax_.scatter(
            longitude[order], latitude[order], c=priority[order], norm=norm, **options
        )
        if colorbar:
            self.figure_.colorbar(self.points_, ax=self.ax_, label="priority")
        self._draw_confirmed(confirmed, seam)
        self._write_ranks(
            longitude, latitude, np.argsort(-priority, kind="stable"), n_ranks
        )
        middle = np.radians((latitude.min() + latitude.max()) / 2)
        self.ax_.set_aspect(1 / max(np.cos(middle), 1e-3), adjustable="datalim")
        self.ax_.set(xlabel="longitude [degrees]", ylabel="latitude [degrees]")
        self.ax_.xaxis.set_major_formatter(lambda value, _: f"{_wrapped(value):.6g}")
        return self

    def _draw_confirmed(self, confirmed, seam):
        self.confirmed_ = None
        if not len(confirmed):
            return
        self.confirmed_ = self.ax_.scatter(
            _unwrapped(confirmed[:, 1], seam),
            confirmed[:, 0],
            marker="*",
            s=80,
            facecolor="none",
            edgecolor="#D55E00",
            linewidths=0.9,
            label="confirmed",
            zorder=0.9,  # below the reports, which lie close by where it matters
        )
        self.ax_.legend(frameon=False)

    def _write_ranks(self, longitude, latitude, order, n_ranks):
        self.texts_ = [
            self.ax_.annotate(
                str(rank),
                (longitude[row], latitude[row]),
                (3, 3),
                textcoords="offset points",
                fontsize="x-small",
                zorder=4,
            )
            for rank, row in enumerate(order[:n_ranks], start=1)
        ]

    def _checked(self):
        priority = column_or_1d(self.priority, dtype=np.float64)
        places = _finite_places(self.coordinates, "coordinates")
        confirmed = np.empty((0, 2))
        if self.confirmed is not None and len(self.confirmed):
            confirmed = _finite_places(self.confirmed, "confirmed")
        if len(places) != len(priority) or not len(places):
            raise ValueError(
                f"There must be a priority for each of the reports, got {len(places)} "
                f"places and {len(priority)} priorities."
            )
        if not np.isfinite(priority).all():
            raise ValueError("priority must be finite.")
        return places, priority, confirmed


def _places(X, latitude, longitude):
    columns = [_safe_indexing(X, name, axis=1) for name in (latitude, longitude)]
    return np.column_stack([np.asarray(column, dtype=np.float64) for column in columns])


def _finite_places(places, name):
    places = np.asarray(places, dtype=np.float64)
    if places.ndim != 2 or places.shape[1] != 2 or not np.isfinite(places).all():
        raise ValueError(
            f"{name} must be finite latitudes and longitudes of shape (n, 2), got an "
            f"array of shape {places.shape}."
        )
    return places


def _seam(longitudes):
    """Where the map is cut open: in the middle of the widest gap of longitudes."""
    longitudes = np.unique(_wrapped(longitudes))
    gaps = np.diff(longitudes, append=longitudes[0] + 360)
    widest = int(np.argmax(gaps))
    if widest == len(longitudes) - 1:
        return -180.0  # as maps are cut anyway
    return longitudes[widest] + gaps[widest] / 2


def _wrapped(longitude):
    """Longitudes from -180 to 180; those that are there keep all their digits."""
    inside = (longitude >= -180) & (longitude < 180)
    return np.where(inside, longitude, (longitude + 180) % 360 - 180)


def _unwrapped(longitude, seam):
    """Longitudes that rise to the east, from the seam on."""
    longitude = _wrapped(longitude)
    return longitude + 360 * (longitude < seam)
