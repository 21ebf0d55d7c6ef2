"""Virtual values of bidders, ironed where they fall."""

from itertools import pairwise
from numbers import Real

import numpy as np
from scipy.optimize import brentq

# Quantiles at which a distribution is judged, and ironed.
_GRID = 4097
# Dents of the curve by less than this part of its height are round-off.
_ROUND_OFF = 1e-10
_FLAT = 1e-9


class VirtualValue:
    r"""Marginal revenue of a bidder whose value has a known distribution.

    .. math:: \phi(v) = v - a \frac{1 - F(v)}{f(v)}

    with a = 1 for revenue. A mechanism that maximises the sum of virtual values of
    those it serves maximises expected revenue [1]_. Where :math:`\phi` falls it is
    ironed: replaced by the slope of the concave hull of :math:`q \mapsto
    \int_0^q \phi(F^{-1}(1 - t))\,dt`, which for a = 1 is the revenue
    :math:`q F^{-1}(1 - q)` of selling with probability q.

    Parameters
    ----------
    dist : frozen distribution of scipy.stats, or tuple of 3 callables
        Distribution of values with a density; or its (cdf, pdf, ppf).
    ironing : {"auto", "never"}, default="auto"
        Whether to iron where the virtual value falls; "never" refuses then to be
        inverted.
    revenue_weight : float, default=1.0
        The weight a of revenue, between 0 for welfare and 1 for revenue.

    Attributes
    ----------
    lower, upper : float
        Ends of the support.
    flats : ndarray of shape (n_flats, 3)
        Ironed intervals: their ends, and the virtual value there.
    is_monotone : bool
        Whether it never falls, so that it can be inverted.

    See Also
    --------
    PositionAuction : Takes virtual values as its prior.

    Notes
    -----
    Hulls are those of 4097 quantiles: regular distributions are exact, levels of ironed
    intervals have errors of the grid. Their ends are where the virtual value has the
    level, so that it never falls, as truthful payments need.

    References
    ----------
    .. [1] R. B. Myerson, "Optimal auction design", Mathematics of Operations Research
       6, 1981.

    Examples
    --------
    >>> from scipy.stats import uniform
    >>> from sklogit.choice import VirtualValue
    >>> phi = VirtualValue(uniform())
    >>> float(phi(0.75)), round(float(phi.inverse(0.0)), 12)
    (0.5, 0.5)
    """

    def __init__(self, dist, ironing="auto", *, revenue_weight=1.0):
        if ironing not in ("auto", "never"):
            raise ValueError(f"ironing must be 'auto' or 'never', got {ironing!r}.")
        if not isinstance(revenue_weight, Real) or not 0 <= revenue_weight <= 1:
            raise ValueError(
                f"revenue_weight must be between 0 and 1, got {revenue_weight!r}."
            )
        self.dist = dist
        self.ironing = ironing
        self.revenue_weight = float(revenue_weight)
        self._cdf, self._pdf, self._ppf = _functions_of(dist)
        self.lower, self.upper = (float(self._ppf(q)) for q in (0.0, 1.0))
        if np.isnan(self.lower) or np.isnan(self.upper):
            raise ValueError("dist must have a support, got NaN as its ends.")
        q, values, curve = self._curve()
        flats = self._flats_of(q, values, curve)
        self.is_monotone = ironing == "auto" or not len(flats)
        self.flats = flats if ironing == "auto" else flats[:0]
        self._values = values[::-1]
        # Rising up to round-off and the grid, and searched as if it were.
        self._levels = np.maximum.accumulate(self(self._values))

    def __call__(self, values):
        """Compute virtual values.

        Parameters
        ----------
        values : array-like
            Values; those above the support are their own virtual values, those below
            have -inf.

        Returns
        -------
        ndarray
            Virtual values, of the same shape.
        """
        values = np.asarray(values, dtype=np.float64)
        result = self._plain(values)
        for low, high, level in self.flats:
            result = np.where(values < low, np.minimum(result, level), result)
            result = np.where(values > high, np.maximum(result, level), result)
            result = np.where((values >= low) & (values <= high), level, result)
        return result

    def inverse(self, levels, side="left"):
        """Compute the least value whose virtual value reaches a level.

        Parameters
        ----------
        levels : array-like
            Virtual values.
        side : {"left", "right"}, default="left"
            Whether the level is to be reached, or to be exceeded: they differ where the
            virtual value is flat.

        Returns
        -------
        ndarray
            Values inside the support; above it levels are their own inverse.

        Raises
        ------
        ValueError
            If the virtual value falls somewhere and is not ironed.
        """
        if not self.is_monotone:
            raise ValueError(
                "The virtual value falls somewhere, and ironing='never' keeps it so: "
                "it has no inverse. Set ironing='auto'."
            )
        if side not in ("left", "right"):
            raise ValueError(f"side must be 'left' or 'right', got {side!r}.")
        levels = np.asarray(levels, dtype=np.float64)
        result = np.reshape([self._reach(b) for b in levels.ravel()], levels.shape)
        for low, high, level in self.flats:
            near = np.abs(levels - level) <= _FLAT * max(1.0, abs(level))
            result = np.where(near, low if side == "left" else high, result)
        return result

    def snap(self, level):
        """Find the flat virtual value that a level is, up to round-off.

        Parameters
        ----------
        level : float
            A virtual value.

        Returns
        -------
        float or None
            The level of an ironed interval; None if the level is not one.
        """
        for _, _, flat in self.flats:
            if abs(level - flat) <= _FLAT * max(1.0, abs(flat)):
                return float(flat)
        return None

    def _plain(self, values):
        """Without ironing."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            tail = self.revenue_weight * (1.0 - self._cdf(values))
            result = np.where(tail > 0, values - tail / self._pdf(values), values)
        if self.revenue_weight > 0:
            result = np.where(values < self.lower, -np.inf, result)
        return result

    def _curve(self):
        """Return quantiles, their values and the integral of virtual values."""
        # Equal steps in the middle, ever smaller ones towards both ends.
        q = (1.0 - np.cos(np.linspace(0.0, np.pi, _GRID))) / 2.0
        first, last = 1 - np.isfinite(self.upper), _GRID - 1 + np.isfinite(self.lower)
        q = q[first:last]
        values = self._ppf(1.0 - q)
        revenue = q * values
        steps = np.diff(q) * (values[1:] + values[:-1]) / 2.0
        welfare = revenue[0] + np.concatenate([[0.0], np.cumsum(steps)])
        a = self.revenue_weight
        return q, values, a * revenue + (1.0 - a) * welfare

    def _flats_of(self, q, values, curve):
        flats = []
        for left, right in pairwise(_concave_hull(q, curve)):
            if right - left < 2:  # neighbours on the grid: the curve itself
                continue
            level = (curve[right] - curve[left]) / (q[right] - q[left])
            between = np.arange(left + 1, right)
            line = curve[left] + level * (q[between] - q[left])
            dent = (line - curve[between]).max()
            if dent <= _ROUND_OFF * np.abs(curve).max():
                continue  # a straight piece of the curve
            low = self._crossing(values, right, level)
            high = self._crossing(values, left, level)
            flats.append((low, high, float(level)))
        return np.array(flats[::-1]).reshape(-1, 3)

    def _crossing(self, values, i, level):
        """Value next to one of the grid where the virtual value rises to a level."""
        last = len(values) - 1
        ends = np.array([values[min(i + 1, last)], values[max(i - 1, 0)]])
        below, above = self._plain(ends) - level
        if not (np.isfinite([below, above]).all() and below < 0 < above):
            return float(values[i])  # an end of the support, or a jump
        return brentq(lambda v: float(self._plain(v)) - level, *ends, xtol=1e-15)

    def _reach(self, level):
        """Least value of the support with at least this virtual value."""
        if level > self._levels[-1]:
            low, high = self._values[-1], max(level, self._values[-1])
            if np.isfinite(self.upper):
                return level  # above the support
            while self(high) < level:
                high = 2.0 * high
        else:
            i = int(np.searchsorted(self._levels, level))
            if i == 0:
                return self._values[0]
            low, high = self._values[i - 1 : i + 1]
        excess = self([low, high]) - level  # distributions take arrays in one call
        while high - low > _FLAT and not np.isfinite(excess[0]):
            middle = (low + high) / 2.0
            low, high = (middle, high) if self(middle) < level else (low, middle)
            excess = self([low, high]) - level
        if excess[0] >= 0 or not excess[0] < 0 < excess[1] or excess[0] == -np.inf:
            return low if excess[0] >= 0 else high
        return brentq(lambda v: float(self(v)) - level, low, high, xtol=1e-15)


def _functions_of(dist):
    if all(callable(getattr(dist, name, None)) for name in ("cdf", "pdf", "ppf")):
        return dist.cdf, dist.pdf, dist.ppf
    if isinstance(dist, tuple) and len(dist) == 3 and all(map(callable, dist)):
        return dist
    raise ValueError(
        "dist must be a frozen continuous distribution of scipy.stats, or a tuple of "
        f"the functions (cdf, pdf, ppf), got {dist!r}."
    )


def _concave_hull(x, y):
    """Return the indices of the corners of the concave hull, by increasing x."""
    hull = []
    for i in range(len(x)):
        while len(hull) > 1:
            a, b = hull[-2:]
            if (y[b] - y[a]) * (x[i] - x[a]) > (y[i] - y[a]) * (x[b] - x[a]):
                break
            hull.pop()
        hull.append(i)
    return hull
