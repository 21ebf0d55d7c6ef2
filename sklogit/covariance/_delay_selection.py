"""Choosing the delay of an embedding: autocorrelation and mutual information."""

from numbers import Integral

import numpy as np
from scipy.special import xlogy
from scipy.stats import rankdata
from sklearn.utils._param_validation import Interval, StrOptions, validate_params

from ._validation import check_epochs

# Series whose joint histograms are counted together; bounds the memory of the
# counts to about 512 * n_bins**2 integers.
_SERIES_PER_CHUNK = 512


def _check_signals(X):
    """Return X as float64 of shape (n_epochs, n_channels, n_times)."""
    X = np.reshape(X, (1, -1)) if np.ndim(X) == 1 else X
    X = check_epochs(X).astype(np.float64, copy=False)
    _check_n_times(X.shape[-1])
    return X


def _check_n_times(n_times):
    if n_times < 2:
        raise ValueError(
            f"A delay needs at least 2 samples a signal, found n_times = {n_times} "
            f"(n_features = {n_times} when X is 2-D)."
        )


def _as_series(X):
    """Return every trial of every channel as a row: (n_series, n_times)."""
    X = _check_signals(X)
    return X.reshape(-1, X.shape[-1])


def _first_local_minimum(curve):
    """Index of the first value that its successor does not undercut.

    The last index where the curve falls to its end.
    """
    turns = np.flatnonzero(np.diff(curve) >= 0)
    return int(turns[0]) if turns.size else len(curve) - 1


def _autocorrelation(series, max_lag):
    centred = series - series.mean(axis=1, keepdims=True)
    # The mean of a constant row may be off by one rounding error, which would
    # then count as a perfectly correlated signal.
    centred[np.ptp(series, axis=1) == 0] = 0.0
    peak = np.abs(centred).max()
    if peak == 0:
        return np.eye(1, max_lag + 1)[0]
    centred /= peak  # squares of very small or large units stay representable
    n_times = series.shape[1]
    sums = [
        np.einsum("it,it->", centred[:, : n_times - k], centred[:, k:])
        for k in range(max_lag + 1)
    ]
    return np.array(sums) / sums[0]


def _check_max_lag(max_lag, n_times):
    if max_lag >= n_times:
        raise ValueError(
            f"max_lag = {max_lag} needs more than {max_lag} samples, "
            f"got n_times = {n_times}."
        )


@validate_params(
    {"X": ["array-like"], "max_lag": [Interval(Integral, 1, None, closed="left")]},
    prefer_skip_nested_validation=True,
)
def autocorrelation(X, max_lag=30):
    r"""Pooled normalised autocorrelation of trials and channels.

    .. math:: \rho(k) = \frac{\sum_i \sum_t x_i(t)\, x_i(t+k)}
                             {\sum_i \sum_t x_i(t)^2}

    where every series :math:`x_i` (one trial of one channel) has its own mean
    subtracted. Series count by their power; constant ones count nothing.

    Parameters
    ----------
    X : array-like of shape (n_epochs, n_channels, n_times) or fewer axes
        Signals, in any unit; also (n_epochs, n_times) or (n_times,).
    max_lag : int, default=30
        Largest lag, in samples; smaller than n_times.

    Returns
    -------
    curve : ndarray of shape (max_lag + 1,)
        Value at the lags 0, 1, ..., `max_lag`; 1 at lag 0. Where all the signals
        are constant, 0 at every other lag.

    Raises
    ------
    ValueError
        If `max_lag` is not smaller than n_times; if X has more than three
        dimensions, NaN, infinite or complex values.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.covariance import autocorrelation
    >>> x = np.cos(2 * np.pi * np.arange(1000) / 40)
    >>> autocorrelation(x, max_lag=20)[[0, 5, 20]].round(2)
    array([ 1.  ,  0.7 , -0.98])
    """
    series = _as_series(X)
    _check_max_lag(max_lag, series.shape[1])
    return _autocorrelation(series, max_lag)


def _bin_codes(series, n_bins):
    """Bin of every sample, of equal probability in its own series."""
    ranks = rankdata(series, method="min", axis=1).astype(np.int64) - 1
    return ranks * n_bins // series.shape[1]


def _mutual_information(codes, max_lag, n_bins):
    """Curves of shape (n_series, max_lag + 1) from the bins of the samples."""
    n_series, n_times = codes.shape
    n_pairs = n_times - max_lag
    n_cells = n_bins**2
    first = codes[:, :n_pairs] * n_bins
    first += n_cells * np.arange(n_series)[:, np.newaxis]
    curves = np.empty((n_series, max_lag + 1))
    for lag in range(max_lag + 1):
        cells = first + codes[:, lag : lag + n_pairs]
        joint = np.bincount(cells.ravel(), minlength=n_series * n_cells)
        joint = joint.reshape(n_series, n_bins, n_bins)
        past, present = joint.sum(axis=2), joint.sum(axis=1)
        entropies = xlogy(past, past).sum(1) + xlogy(present, present).sum(1)
        curves[:, lag] = xlogy(joint, joint).sum((1, 2)) - entropies
    return curves / n_pairs + np.log(n_pairs)


def _information_curves(series, max_lag, n_bins=None):
    """Self mutual information of every series: (n_series, max_lag + 1)."""
    if n_bins is None:
        n_bins = max(2, int(np.ceil(np.sqrt(series.shape[1] / 5))))
    chunks = [
        _mutual_information(
            _bin_codes(series[start : start + _SERIES_PER_CHUNK], n_bins),
            max_lag,
            n_bins,
        )
        for start in range(0, len(series), _SERIES_PER_CHUNK)
    ]
    return np.concatenate(chunks)


def _clip_lag(max_lag, n_times):
    # Beyond half a trial, fewer than half of the samples have a partner.
    return max(1, min(max_lag, n_times // 2))


def _own_lags(series, max_lag, n_bins=None):
    """First minimum of the mutual information of every series by itself."""
    max_lag = _clip_lag(max_lag, series.shape[1])
    curves = _information_curves(series, max_lag, n_bins)
    return np.array([1 + _first_local_minimum(curve[1:]) for curve in curves])


@validate_params(
    {
        "x": ["array-like"],
        "max_lag": [Interval(Integral, 1, None, closed="left")],
        "n_bins": [Interval(Integral, 2, None, closed="left"), None],
    },
    prefer_skip_nested_validation=True,
)
def average_mutual_information(x, max_lag=30, *, n_bins=None):
    r"""Self mutual information of signals, averaged over trials and channels.

    .. math:: I(k) = \sum_{a,b} p_{ab}(k) \log \frac{p_{ab}(k)}{p_a\, p_b(k)}

    where :math:`p_{ab}(k)` is the share of the times t with x(t) in bin a and
    x(t + k) in bin b. Every lag is judged on the same n_times - `max_lag` pairs.
    The bins hold equally many samples of the series, so that the curve does not
    depend on the unit, nor on any increasing transformation, of the signal.

    Parameters
    ----------
    x : array-like of shape (n_epochs, n_channels, n_times) or fewer axes
        Signals, in any unit; also (n_epochs, n_times) or (n_times,).
    max_lag : int, default=30
        Largest lag, in samples; smaller than n_times.
    n_bins : int or None, default=None
        Number of bins of each axis. None takes the root of n_times / 5, rounded
        up: about five samples a cell of the joint histogram.

    Returns
    -------
    curve : ndarray of shape (max_lag + 1,)
        Mutual information at the lags 0, 1, ..., `max_lag`, in nats. A constant
        series has none at any lag.

    Raises
    ------
    ValueError
        If `max_lag` is not smaller than n_times; if `x` has more than three
        dimensions, NaN, infinite or complex values.

    References
    ----------
    A. M. Fraser and H. L. Swinney, "Independent coordinates for strange
    attractors from mutual information", Physical Review A 33, 1986.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.covariance import average_mutual_information
    >>> x = np.tile([0.0, 1.0], 50)
    >>> average_mutual_information(x, max_lag=2, n_bins=2).round(3)
    array([0.693, 0.693, 0.693])
    """
    series = _as_series(x)
    _check_max_lag(max_lag, series.shape[1])
    return _information_curves(series, max_lag, n_bins).mean(axis=0)


def _delay_curve(series, method, max_lag, n_bins=None):
    max_lag = _clip_lag(max_lag, series.shape[1])
    if method == "autocorr":
        return _autocorrelation(series, max_lag)
    return _information_curves(series, max_lag, n_bins).mean(axis=0)


def _delay_from_curve(curve, method):
    if method == "ami":
        return 1 + _first_local_minimum(curve[1:])
    crossings = np.flatnonzero(curve <= 0)
    return int(crossings[0]) if crossings.size else 1 + int(np.argmin(curve[1:]))


@validate_params(
    {
        "X": ["array-like"],
        "method": [StrOptions({"autocorr", "ami"})],
        "max_lag": [Interval(Integral, 1, None, closed="left")],
        "n_bins": [Interval(Integral, 2, None, closed="left"), None],
    },
    prefer_skip_nested_validation=True,
)
def select_delay(X, method="autocorr", max_lag=30, *, n_bins=None):
    """Choose one delay for all trials and channels.

    Parameters
    ----------
    X : array-like of shape (n_epochs, n_channels, n_times) or fewer axes
        Signals, in any unit; also (n_epochs, n_times) or (n_times,).
    method : {"autocorr", "ami"}, default="autocorr"
        - "autocorr": the first lag at which :func:`autocorrelation` is zero or
          negative, a quarter of the period of an oscillation. Where none is, the
          lag of its smallest value.
        - "ami": the first local minimum of :func:`average_mutual_information`,
          that is the first lag whose successor has no less information. Where the
          curve falls to its end, the last lag.
    max_lag : int, default=30
        Largest lag that is tried, in samples. Clipped to n_times // 2, beyond
        which fewer than half of the samples have a partner.
    n_bins : int or None, default=None
        Bins of the mutual information, see :func:`average_mutual_information`.

    Returns
    -------
    lag : int
        Delay in samples, at least 1. Constant signals give 1.

    Raises
    ------
    ValueError
        If n_times is below 2; if X has more than three dimensions, NaN, infinite
        or complex values.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.signal import lfilter
    >>> from sklogit.covariance import select_delay
    >>> noise = np.random.default_rng(0).normal(size=(20, 3, 1000))
    >>> angle = 2 * np.pi * 10 / 250  # 10 Hz, sampled at 250 Hz
    >>> X = lfilter([1], [1, -2 * 0.97 * np.cos(angle), 0.97**2], noise)
    >>> select_delay(X), select_delay(X, method="ami")
    (7, 7)
    """
    series = _as_series(X)
    return _delay_from_curve(_delay_curve(series, method, max_lag, n_bins), method)
