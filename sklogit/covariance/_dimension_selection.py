"""Choosing the dimension of an embedding: Cao's method and false neighbours."""

from numbers import Integral, Real

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions, validate_params

from ._delay_selection import (
    _as_series,
    _clip_lag,
    _first_local_minimum,
    _own_lags,
)

# Elements of a block of the distance matrix. A trial of EEG has too few samples
# (10^2 to 10^3) and too many dimensions for a tree to pay; blocks that stay in the
# second level cache make the plain search the faster one.
_BLOCK_ELEMENTS = 2**15


def _row_blocks(n_rows, n_columns):
    size = max(1, _BLOCK_ELEMENTS // n_columns)
    return [slice(i, min(i + size, n_rows)) for i in range(0, n_rows, size)]


def _squared_differences(values, rows, out):
    np.subtract(values[rows, np.newaxis], values[np.newaxis, :], out=out)
    return np.multiply(out, out, out=out)


def _exclude_in_time(squared, start, theiler):
    """Forbid the neighbours that are at most `theiler` samples away."""
    for row in range(len(squared)):
        centre = start + row
        squared[row, max(0, centre - theiler) : centre + theiler + 1] = np.inf


def _nearest(squared):
    """Column and distance of the nearest neighbour at a positive distance.

    The distance is NaN in rows that have none.
    """
    rows = np.arange(len(squared))
    columns = squared.argmin(axis=1)
    # Samples of equal value (a quantised signal) would divide by zero later.
    ties = np.flatnonzero(squared[rows, columns] == 0)
    if ties.size:
        positive = np.where(squared[ties] > 0, squared[ties], np.inf)
        columns[ties] = positive.argmin(axis=1)
    distances = np.sqrt(squared[rows, columns])
    distances[(distances == 0) | np.isinf(distances)] = np.nan
    return columns, distances


def _nearest_neighbours(points, theiler):
    """Nearest neighbours of the rows of points, of shape (n_points, n_dimensions).

    Returns their indices and Euclidean distances, both of shape (n_points,).
    """
    n_points = len(points)
    coordinates = np.ascontiguousarray(points.T)
    indices, distances = np.empty(n_points, dtype=np.intp), np.empty(n_points)
    for rows in _row_blocks(n_points, n_points):
        shape = (rows.stop - rows.start, n_points)
        squared, term = np.zeros(shape), np.empty(shape)
        for values in coordinates:
            squared += _squared_differences(values, rows, term)
        _exclude_in_time(squared, rows.start, theiler)
        indices[rows], distances[rows] = _nearest(squared)
    return indices, distances


def _delay_neighbours(x, lag, max_dimension, theiler):
    """Nearest neighbours of the delay embeddings of one signal.

    Returns for D = 1, ..., `max_dimension` the distances of the neighbours in D
    dimensions and their differences along the coordinate D + 1; both of shape
    (n_times - D * lag,).
    """
    n_times = len(x)
    counts = [n_times - d * lag for d in range(1, max_dimension + 1)]
    distances = [np.empty(count) for count in counts]
    increases = [np.empty(count) for count in counts]
    for block in _row_blocks(counts[0], counts[0]):
        start, stop = block.start, block.stop
        squared = np.zeros((stop - start, counts[0]))
        _exclude_in_time(squared, start, theiler)
        buffer = np.empty_like(squared)
        for k, count in enumerate(counts):
            rows = slice(start, min(stop, count))
            if start >= count:
                break
            # One dimension more is one term more of the same sum, on fewer points.
            squared = squared[: rows.stop - start, :count]
            term = buffer[: rows.stop - start, :count]
            squared += _squared_differences(x[k * lag : k * lag + count], rows, term)
            columns, distances[k][rows] = _nearest(squared)
            ahead = x[(k + 1) * lag :]
            increases[k][rows] = np.abs(ahead[rows] - ahead[columns])
    return distances, increases


def _mean(values):
    return values.mean() if values.size else np.nan


def _cao_curve(x, lag, max_dimension, theiler=0):
    means = []
    for distance, increase in zip(
        *_delay_neighbours(x, lag, max_dimension + 1, theiler)
    ):
        found = ~np.isnan(distance)
        means.append(_mean(np.hypot(1.0, increase[found] / distance[found])))
    means = np.array(means)
    return means[1:] / means[:-1]


def _false_neighbour_curve(x, lag, max_dimension, theiler=0, rtol=10.0, atol=2.0):
    size = x.std()
    shares = []
    for distance, increase in zip(*_delay_neighbours(x, lag, max_dimension, theiler)):
        found = ~np.isnan(distance)
        distance, increase = distance[found], increase[found]
        grown = np.hypot(distance, increase)
        shares.append(_mean((increase > rtol * distance) | (grown > atol * size)))
    return np.array(shares)


def _check_length(n_times, lag, n_dimensions, theiler):
    # In the middle of the signal 2 * theiler + 1 points are too close in time.
    needed = n_dimensions * lag + 2 * theiler + 2
    if n_times < needed:
        raise ValueError(
            f"{n_dimensions} delays of lag = {lag} samples with theiler = {theiler} "
            f"need at least {needed} samples, got n_times = {n_times}."
        )


_CURVE_CONSTRAINTS = {
    "x": ["array-like"],
    "lag": [Interval(Integral, 1, None, closed="left")],
    "max_dimension": [Interval(Integral, 1, None, closed="left")],
    "theiler": [Interval(Integral, 0, None, closed="left")],
}


@validate_params(_CURVE_CONSTRAINTS, prefer_skip_nested_validation=True)
def cao_e1(x, lag, max_dimension, *, theiler=0):
    r"""Compute Cao's E1 of signals, averaged over trials and channels.

    With the delay vectors :math:`y_D(t) = (x(t), x(t + \tau), ..., x(t + (D-1)\tau))`
    and n(t) the nearest neighbour of :math:`y_D(t)`,

    .. math:: E(D) = \frac{1}{T - D\tau} \sum_t
              \frac{\|y_{D+1}(t) - y_{D+1}(n(t))\|}{\|y_D(t) - y_D(n(t))\|},
              \qquad E_1(D) = E(D + 1) / E(D)

    in the Euclidean norm, where neighbours of equal value are passed over. E1
    saturates near 1 where D is large enough for a deterministic signal.

    Parameters
    ----------
    x : array-like of shape (n_epochs, n_channels, n_times) or fewer axes
        Signals, in any unit; also (n_epochs, n_times) or (n_times,).
    lag : int
        Delay between two coordinates, in samples.
    max_dimension : int
        Largest dimension D.
    theiler : int, default=0
        Theiler window: neighbours at most so many samples away do not count.

    Returns
    -------
    curve : ndarray of shape (max_dimension,)
        E1 at D = 1, ..., `max_dimension`. Constant signals are left out; NaN where
        nothing else is left.

    Raises
    ------
    ValueError
        If n_times is below (`max_dimension` + 1) * `lag` + 2 * `theiler` + 2; if `x`
        has more than three dimensions, NaN, infinite or complex values.

    References
    ----------
    L. Cao, "Practical method for determining the minimum embedding dimension of a
    scalar time series", Physica D 110, 1997.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.covariance import cao_e1
    >>> x = np.sin(np.arange(500))  # its delay vectors lie on an ellipse
    >>> cao_e1(x, lag=2, max_dimension=3).round(2)
    array([0.  , 0.9 , 0.98])
    """
    series = _as_series(x)
    _check_length(series.shape[1], lag, max_dimension + 1, theiler)
    lags = np.full(len(series), lag)
    limits = np.full(len(series), max_dimension)
    return _average_curve(series, lags, limits, _cao_curve, theiler=theiler)


@validate_params(
    {
        **_CURVE_CONSTRAINTS,
        "rtol": [Interval(Real, 0, None, closed="neither")],
        "atol": [Interval(Real, 0, None, closed="neither")],
    },
    prefer_skip_nested_validation=True,
)
def false_nearest_neighbours(x, lag, max_dimension, *, rtol=10.0, atol=2.0, theiler=0):
    """Share of false nearest neighbours, averaged over trials and channels.

    The nearest neighbour of a point in D dimensions is false where the coordinate
    D + 1 separates the two by more than `rtol` times their distance, or where their
    distance in D + 1 dimensions exceeds `atol` standard deviations of the signal.

    Parameters
    ----------
    x : array-like of shape (n_epochs, n_channels, n_times) or fewer axes
        Signals, in any unit; also (n_epochs, n_times) or (n_times,).
    lag : int
        Delay between two coordinates, in samples.
    max_dimension : int
        Largest dimension D.
    rtol : float, default=10.0
        Tolerated growth of the distance.
    atol : float, default=2.0
        Tolerated distance, in standard deviations.
    theiler : int, default=0
        Theiler window: neighbours at most so many samples away do not count.

    Returns
    -------
    curve : ndarray of shape (max_dimension,)
        Share, between 0 and 1, at D = 1, ..., `max_dimension`. Constant signals are
        left out; NaN where nothing else is left.

    Raises
    ------
    ValueError
        If n_times is below `max_dimension` * `lag` + 2 * `theiler` + 2; if `x` has
        more than three dimensions, NaN, infinite or complex values.

    References
    ----------
    M. B. Kennel, R. Brown and H. D. I. Abarbanel, "Determining embedding dimension
    for phase-space reconstruction using a geometrical construction", Physical
    Review A 45, 1992.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.covariance import false_nearest_neighbours
    >>> x = np.sin(np.arange(500))  # its delay vectors lie on an ellipse
    >>> false_nearest_neighbours(x, lag=2, max_dimension=3).round(2)
    array([0.95, 0.  , 0.  ])
    """
    series = _as_series(x)
    _check_length(series.shape[1], lag, max_dimension, theiler)
    return _average_curve(
        series,
        np.full(len(series), lag),
        np.full(len(series), max_dimension),
        _false_neighbour_curve,
        theiler=theiler,
        rtol=rtol,
        atol=atol,
    )


def _in_moderate_units(series):
    """Scale the signals so that squares of their differences are representable.

    By powers of two, which leaves every digit, so that equal values stay equal.
    """
    _, exponents = np.frexp(np.ptp(series, axis=1, keepdims=True))
    return np.ldexp(series, -exponents)


def _average_curve(series, lags, limits, curve_function, **options):
    """Average the curves of the signals that are not constant.

    Signal i has the delay lags[i] and is judged up to the dimension limits[i]. The
    average stops where fewer than half of the signals reach.
    """
    total, counts = np.zeros(limits.max()), np.zeros(limits.max(), dtype=int)
    for x, lag, limit in zip(_in_moderate_units(series), lags, limits):
        curve = curve_function(x, lag, limit, **options) if limit else np.empty(0)
        judged = ~np.isnan(curve)
        total[: len(curve)][judged] += curve[judged]
        counts[: len(curve)] += judged
    reached = np.array([np.mean(limits >= d + 1) for d in range(len(counts))])
    counts, total = counts[reached >= 0.5], total[reached >= 0.5]
    return np.divide(total, counts, out=np.full(len(total), np.nan), where=counts > 0)


_CURVES = {"cao": _cao_curve, "fnn": _false_neighbour_curve}


def _dimension_curve(series, lags, method, max_dimension, theiler=0):
    """Curve of the dimensions that the length of the signals allows to judge."""
    n_times = series.shape[1]
    if n_times // 2 < 2 * theiler + 2:
        return np.empty(0)
    # The vectors of D + 1 dimensions must leave half of the samples as points.
    limits = np.clip(n_times // 2 // lags - 1, 0, max_dimension)
    return _average_curve(series, lags, limits, _CURVES[method], theiler=theiler)


def _dimension_from_curve(curve, method, fnn_threshold=0.05):
    if not np.isfinite(curve).any():
        return 1
    if method == "cao":
        return 1 + _first_local_minimum(-curve)
    small = np.flatnonzero(curve <= fnn_threshold)
    return 1 + int(small[0] if small.size else np.argmin(curve))


@validate_params(
    {
        "X": ["array-like"],
        "lag": [Interval(Integral, 1, None, closed="left"), None],
        "method": [StrOptions({"cao", "fnn"})],
        "max_dimension": [Interval(Integral, 1, None, closed="left")],
        "max_lag": [Interval(Integral, 1, None, closed="left")],
        "fnn_threshold": [Interval(Real, 0, 1, closed="left")],
        "theiler": [Interval(Integral, 0, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def select_dimension(
    X,
    lag=None,
    method="cao",
    max_dimension=30,
    *,
    max_lag=30,
    fnn_threshold=0.05,
    theiler=0,
):
    """Choose one embedding dimension for all trials and channels.

    Dimensions are tried as far as (D + 1) * lag <= n_times // 2, so that at least
    half of the samples are points of the embedding, and as far as half of the
    signals reach.

    Parameters
    ----------
    X : array-like of shape (n_epochs, n_channels, n_times) or fewer axes
        Signals, in any unit; also (n_epochs, n_times) or (n_times,).
    lag : int or None, default=None
        Delay in samples. None gives every trial of every channel its own: the first
        local minimum of its mutual information.
    method : {"cao", "fnn"}, default="cao"
        - "cao": the first local maximum of :func:`cao_e1`, that is the first
          dimension whose successor has no larger E1. Where the curve rises to its
          end, the last dimension.
        - "fnn": the first dimension whose share of :func:`false_nearest_neighbours`
          is at most `fnn_threshold`. Where there is none, the dimension of the
          smallest share.
    max_dimension : int, default=30
        Largest dimension that is tried.
    max_lag : int, default=30
        Largest delay of a signal where `lag` is None. Clipped to n_times // 2.
    fnn_threshold : float, default=0.05
        Tolerated share of false neighbours.
    theiler : int, default=0
        Theiler window: neighbours at most so many samples away do not count.

    Returns
    -------
    dimension : int
        At least 1, which is also the answer where all signals are constant or too
        short to judge any dimension.

    Raises
    ------
    ValueError
        If n_times is below 2; if X has more than three dimensions, NaN, infinite
        or complex values.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.covariance import select_dimension
    >>> x = np.sin(np.arange(500))  # its delay vectors lie on an ellipse
    >>> select_dimension(x, lag=2, method="fnn")
    2
    """
    series = _as_series(X)
    if lag is None:
        lags = _own_lags(series, _clip_lag(max_lag, series.shape[1]))
    else:
        lags = np.full(len(series), lag)
    curve = _dimension_curve(series, lags, method, max_dimension, theiler)
    return _dimension_from_curve(curve, method, fnn_threshold)
