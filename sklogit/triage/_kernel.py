"""How much one report says about another, by distance and time."""

from dataclasses import dataclass

import numpy as np

DECAYS = ("exponential", "gaussian", "tophat")


def decay(distance, length, shape):
    """Weight of a distance: 1 at zero, falling over `length` of the same unit.

    Parameters
    ----------
    distance : ndarray
        Distances, not negative.
    length : float or None
        Scale; None or infinity for no decay.
    shape : {"exponential", "gaussian", "tophat"}
        exp(-d / l), exp(-(d / l)^2 / 2), or 1 up to l and 0 beyond.

    Returns
    -------
    ndarray
        Weights between 0 and 1.
    """
    if length is None or np.isinf(length):
        return np.ones_like(distance)
    if shape == "tophat":
        return (distance <= length).astype(np.float64)
    scaled = distance / length
    return np.exp(-scaled if shape == "exponential" else -0.5 * scaled * scaled)


@dataclass(frozen=True)
class Kernel:
    """Influence of a reference on a query.

    Attributes
    ----------
    length_km, length_days : float or None
        Scales in space and time; None for no decay.
    radius_km : float
        Nothing further away counts.
    spatial, temporal : {"exponential", "gaussian", "tophat"}
        Shapes of the decay.
    causal : bool
        Whether only references before the query count.
    max_neighbors : int or None
        Count only this many nearest references of each query.
    """

    length_km: float | None = 10.0
    length_days: float | None = None
    radius_km: float = 60.0
    spatial: str = "exponential"
    temporal: str = "exponential"
    causal: bool = False
    max_neighbors: int | None = None

    @property
    def needs_time(self):
        """Whether the time of reports matters."""
        return self.causal or not (
            self.length_days is None or np.isinf(self.length_days)
        )

    @property
    def counts_nearest_first(self):
        """Whether a reference counts if one counts that is further away."""
        return not self.needs_time or not (self.causal or self.temporal == "tophat")

    def weight(self, km, lag):
        """Weights of pairs at these distances (km) and lags (days, or None)."""
        weight = decay(km, self.length_km, self.spatial)
        if lag is not None:
            # A date that is not known says nothing: no decay.
            lag = np.where(np.isnan(lag), 0.0, np.abs(lag))
            weight = weight * decay(lag, self.length_days, self.temporal)
        return weight
