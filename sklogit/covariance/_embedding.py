"""Choosing order and lag of the augmented covariance without labels."""

from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions, validate_params

from .._state import restore_on_failure
from ._delay_selection import (
    _as_series,
    _check_n_times,
    _check_signals,
    _delay_curve,
    _delay_from_curve,
    _own_lags,
)
from ._dimension_selection import (
    _dimension_curve,
    _dimension_from_curve,
    _nearest_neighbours,
)
from ._validation import validate_epochs


@dataclass(frozen=True)
class MDOPEmbedding:
    """Embedding found by :func:`mdop_embedding`.

    Attributes
    ----------
    order : int
        Mean number of coordinates of a trial, rounded.
    lag : int
        Mean over the trials of the rounded mean delay of a trial, rounded; in samples,
        at least 1.
    delays : tuple of ndarray of shape (n_coordinates,)
        Delay of every coordinate of every trial, in samples; the first is 0.
    channels : tuple of ndarray of shape (n_coordinates,)
        Channel of every coordinate of every trial.
    fnn : tuple of ndarray of shape (n_cycles,)
        Share of false nearest neighbours after every cycle of every trial; the
        coordinate of the last cycle is not part of the embedding.
    theiler : ndarray of shape (n_epochs,)
        Theiler window of every trial, in samples.
    """

    order: int
    lag: int
    delays: tuple
    channels: tuple
    fnn: tuple
    theiler: np.ndarray


def _mdop_beta(points, signals, max_delay, theiler):
    """Mean log10 of the slope of every delayed signal between neighbours.

    Returns an array of shape (n_channels, max_delay + 1).
    """
    points = points[: len(points) - max_delay]
    neighbours, distances = _nearest_neighbours(points, theiler)
    found = np.flatnonzero(~np.isnan(distances))
    if not found.size:
        return np.full((len(signals), max_delay + 1), -np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(signals, max_delay + 1, axis=1)
    steps = windows[:, found] - windows[:, neighbours[found]]
    # Below the rounding error of a standardised signal there is nothing to compare;
    # one pair of equal samples must not make the whole mean -inf.
    np.maximum(np.abs(steps, out=steps), np.finfo(float).eps, out=steps)
    return np.log10(steps, out=steps).mean(axis=1) - np.log10(distances[found]).mean()


def _false_share(before, after, r):
    """Share of the close neighbours that a further coordinate drives apart.

    It is 1 where no neighbour is false: the official code, whose choices this
    function reproduces, does not tell "none is false" from "none is close".
    """
    close = before < 1 / r
    n_false = np.count_nonzero(close & (after > r * before))
    return n_false / np.count_nonzero(close) if n_false else 1.0


def _first_pair(signals, max_delay, theiler):
    """Start channel, second channel and its delay: the largest beta of all."""
    betas = np.stack(
        [_mdop_beta(x[:, np.newaxis], signals, max_delay, theiler) for x in signals]
    )
    return np.unravel_index(betas.argmax(), betas.shape)


def _mdop_trial(signals, max_delay, r, fnn_threshold, max_cycles, theiler):
    """Delays, channels and shares of false neighbours of one trial.

    `signals` has shape (n_channels, n_times) and standardised rows.
    """
    n_times = signals.shape[1]
    first, channel, delay = _first_pair(signals, max_delay, theiler)
    delays, channels, shares = [0], [first], []
    points = signals[first][:, np.newaxis]
    before = _nearest_neighbours(points, theiler)[1]
    while True:
        n_points = min(len(points), n_times - delay)
        added = signals[channel, delay : delay + n_points]
        points = np.column_stack([points[:n_points], added])
        after = _nearest_neighbours(points, theiler)[1]
        shares.append(_false_share(before[:n_points], after, r))
        rises = len(shares) > 1 and shares[-1] > shares[-2]
        if shares[-1] <= fnn_threshold or rises or len(shares) == max_cycles:
            return delays, channels, shares
        delays.append(delay)
        channels.append(channel)
        beta = _mdop_beta(points, signals, max_delay, theiler)
        channel, delay = np.unravel_index(beta.argmax(), beta.shape)
        before = after


def _embed_trial(trial, max_delay, theiler, **options):
    """Delays, channels, shares of false neighbours and Theiler window of a trial."""
    varying = np.flatnonzero(np.ptp(trial, axis=1) > 0)
    if not varying.size or not max_delay:
        return [0], [0], [], theiler or 0
    signals = trial[varying]
    if theiler is None:
        # Half of the points must be left for the sample in the middle.
        largest = (trial.shape[1] - 2 * max_delay) // 2 - 1
        theiler = int(min(_own_lags(signals, max_delay).max(), largest))
    signals = signals - signals.mean(axis=1, keepdims=True)
    signals /= signals.std(axis=1, ddof=1, keepdims=True)
    delays, chosen, shares = _mdop_trial(signals, max_delay, theiler=theiler, **options)
    return delays, varying[chosen], shares, theiler


def _check_theiler(theiler, n_times, max_delay):
    largest = (n_times - 2 * max_delay) // 2 - 1
    if theiler is not None and theiler > largest:
        raise ValueError(
            f"theiler = {theiler} leaves some samples without a neighbour: at most "
            f"{largest} is possible for n_times = {n_times} and delays up to "
            f"{max_delay}."
        )


@validate_params(
    {
        "X": ["array-like"],
        "max_delay": [Interval(Integral, 1, None, closed="left")],
        "r": [Interval(Real, 1, None, closed="neither")],
        "fnn_threshold": [Interval(Real, 0, 1, closed="left")],
        "max_cycles": [Interval(Integral, 1, None, closed="left")],
        "theiler": [Interval(Integral, 0, None, closed="left"), None],
    },
    prefer_skip_nested_validation=True,
)
def mdop_embedding(
    X, max_delay=50, r=2.0, fnn_threshold=0.05, max_cycles=50, theiler=None
):
    r"""Embed every trial by maximising derivatives on projection (MDOP).

    Each cycle adds to the embedding Y of a trial the channel c and delay
    :math:`\tau` with the largest

    .. math:: \beta_c(\tau) = \operatorname{mean}_t \log_{10}
              \frac{|x_c(t + \tau) - x_c(n(t) + \tau)|}{\|Y(t) - Y(n(t))\|}

    where n(t) is the nearest neighbour of Y(t) outside the Theiler window. The first
    cycle also chooses the channel that Y starts with, at delay 0. The cycles end
    when the share of false nearest neighbours, that is of the neighbours closer than
    1 / `r` whose distance grows more than `r`-fold (1 where there are none), is at
    most `fnn_threshold` or rises. The coordinate of that last cycle is dropped.
    Every channel of a trial is standardised first.

    Parameters
    ----------
    X : array-like of shape (n_epochs, n_channels, n_times) or fewer axes
        Signals, in any unit; also (n_epochs, n_times) or (n_times,).
    max_delay : int, default=50
        Largest delay that is tried, in samples. Clipped to n_times // 4, so that
        half of the samples are left as points.
    r : float, default=2.0
        Growth of a distance that makes a neighbour false.
    fnn_threshold : float, default=0.05
        Tolerated share of false nearest neighbours.
    max_cycles : int, default=50
        Largest number of cycles of a trial.
    theiler : int or None, default=None
        Theiler window: neighbours at most so many samples away do not count. None
        takes in every trial the largest of its channels' first minima of the mutual
        information (up to `max_delay`), as far as its length allows.

    Returns
    -------
    embedding : MDOPEmbedding
        Delays, channels and false neighbours of every trial, and the order and lag
        that summarise them. Constant channels are never chosen; a trial that has
        none but constant channels, or fewer than 4 samples, gets the order 1.

    Raises
    ------
    ValueError
        If n_times is below 2 or too small for `theiler`; if X has more than three
        dimensions, NaN, infinite or complex values.

    References
    ----------
    C. Nichkawde, "Optimal state-space reconstruction using derivatives on projected
    manifold", Physical Review E 87, 2013.

    I. Carrara and T. Papadopoulo, "Classification of BCI-EEG based on augmented
    covariance matrix", arXiv:2302.04508.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.covariance import mdop_embedding
    >>> x = np.sin(0.3 * np.arange(300)) + np.sin(0.3 * 2**0.5 * np.arange(300))
    >>> embedding = mdop_embedding(x, max_delay=20)
    >>> embedding.order, embedding.delays[0], embedding.fnn[0].round(2)
    (3, array([ 0, 19, 15]), array([1.  , 0.53, 0.03]))
    """
    X = _check_signals(X)
    n_times = X.shape[-1]
    max_delay = min(max_delay, n_times // 4)
    _check_theiler(theiler, n_times, max_delay)
    options = {"r": r, "fnn_threshold": fnn_threshold, "max_cycles": max_cycles}
    trials = [_embed_trial(trial, max_delay, theiler, **options) for trial in X]
    delays, channels, shares, windows = zip(*trials)
    # The nested rounding is the official aggregation.
    lag = round(np.mean([round(np.mean(delay)) for delay in delays]))
    return MDOPEmbedding(
        order=round(np.mean([len(delay) for delay in delays])),
        lag=max(1, lag),
        delays=tuple(np.array(delay, dtype=int) for delay in delays),
        channels=tuple(np.array(channel, dtype=int) for channel in channels),
        fnn=tuple(np.array(share, dtype=float) for share in shares),
        theiler=np.array(windows, dtype=int),
    )


class EmbeddingSelector(BaseEstimator):
    """Choose order and lag of the augmented covariance from the signals alone.

    No labels are used, and one order and one lag serve all trials and channels.

    .. warning::
        The authors of the method report [1]_ that automatic choices of this kind lose
        most of its gain over the plain covariance, and that they may pick far too
        large matrices (n_channels * order): the best embedding for prediction
        of the signal is not the best one for telling classes apart, and it differs
        between subjects. Where labels are at hand, prefer a nested cross-validated
        search. This estimator is a cheap start for it.

    Parameters
    ----------
    method : {"autocorr", "afnn", "mdop"}, default="autocorr"
        - "autocorr": lag = first zero of the pooled autocorrelation; order = first
          local maximum of Cao's E1 [2]_ at that lag.
        - "afnn": the traditional choice. lag = first local minimum of the average
          mutual information [3]_; order = first local maximum of Cao's E1, where
          every trial of every channel has the delay of its own first minimum.
        - "mdop": both from :func:`mdop_embedding` [4]_.
    max_lag : int or None, default=None
        Largest delay that is tried, in samples. None takes 30, and 50 for "mdop", as
        in the experiments of [1]_. Clipped to half of the samples of a trial (a
        quarter for "mdop").
    max_order : int, default=10
        Largest order; the experiments of [1]_ search E1 up to 30. Clipped so that
        ``n_times - order * lag >= 2``, and to what `select_dimension` can judge.

    Attributes
    ----------
    order_ : int
        Chosen order, at least 1.
    lag_ : int
        Chosen lag in samples, at least 1.
    delay_curve_ : ndarray of shape (n_lags + 1,) or None
        Autocorrelation or average mutual information (nats) at the lags
        0, 1, ..., n_lags; None for "mdop".
    dimension_curve_ : ndarray of shape (n_dimensions,) or None
        Cao's E1 at D = 1, 2, ..., n_dimensions; None for "mdop".
    embedding_ : MDOPEmbedding or None
        Embedding of every trial for "mdop", else None.
    n_features_in_ : int
        Size of the second dimension of X seen during fit.

    See Also
    --------
    select_delay : The lag alone.
    select_dimension : The order alone.

    Notes
    -----
    Constant channels carry no information on either parameter and are left out;
    where all of them are constant, order and lag are 1.

    The time grows with the square of n_times, and linearly with trials, channels and
    `max_order`; "mdop" also grows with the square of the number of channels.

    References
    ----------
    .. [1] I. Carrara and T. Papadopoulo, "Classification of BCI-EEG based on augmented
       covariance matrix", arXiv:2302.04508.
    .. [2] L. Cao, "Practical method for determining the minimum embedding dimension of
       a scalar time series", Physica D 110, 1997.
    .. [3] A. M. Fraser and H. L. Swinney, "Independent coordinates for strange
       attractors from mutual information", Physical Review A 33, 1986.
    .. [4] C. Nichkawde, "Optimal state-space reconstruction using derivatives on
       projected manifold", Physical Review E 87, 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.signal import lfilter
    >>> from sklogit.covariance import EmbeddingSelector
    >>> noise = np.random.default_rng(0).normal(size=(20, 3, 500))
    >>> angle = 2 * np.pi * 10 / 250  # 10 Hz, sampled at 250 Hz
    >>> X = lfilter([1], [1, -2 * 0.97 * np.cos(angle), 0.97**2], noise)
    >>> selector = EmbeddingSelector(max_order=6).fit(X)
    >>> selector.order_, selector.lag_
    (6, 7)
    """

    _parameter_constraints: dict = {
        "method": [StrOptions({"autocorr", "afnn", "mdop"})],
        "max_lag": [Interval(Integral, 1, None, closed="left"), None],
        "max_order": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, method="autocorr", *, max_lag=None, max_order=10):
        self.method = method
        self.max_lag = max_lag
        self.max_order = max_order

    @restore_on_failure
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Choose order and lag.

        Parameters
        ----------
        X : array-like of shape (n_epochs, n_channels, n_times) or (n_epochs, n_times)
            Epochs, in any unit; a 2-D array is a set of epochs of one channel.
        y : Ignored
            Present for the conventions of scikit-learn.

        Returns
        -------
        self : EmbeddingSelector
            Fitted estimator.

        Raises
        ------
        ValueError
            If a parameter is out of its range; if n_times is below 2; if X has other
            than 2 or 3 dimensions, NaN, infinite or complex values.
        TypeError
            If X is sparse.
        """
        X = validate_epochs(self, X)
        _check_n_times(X.shape[-1])
        self.delay_curve_ = self.dimension_curve_ = self.embedding_ = None
        choose = self._choose_mdop if self.method == "mdop" else self._choose_delay
        order, self.lag_ = choose(X)
        longest = max(1, (X.shape[-1] - 2) // self.lag_)
        self.order_ = min(order, self.max_order, longest)
        return self

    def _choose_mdop(self, X):
        self.embedding_ = mdop_embedding(X, max_delay=self.max_lag or 50)
        return self.embedding_.order, self.embedding_.lag

    def _choose_delay(self, X):
        series, max_lag = _as_series(X), self.max_lag or 30
        method = "ami" if self.method == "afnn" else "autocorr"
        self.delay_curve_ = _delay_curve(series, method, max_lag)
        lag = _delay_from_curve(self.delay_curve_, method)
        if self.method == "afnn":
            lags = _own_lags(series, max_lag)
        else:
            lags = np.full(len(series), lag)
        self.dimension_curve_ = _dimension_curve(series, lags, "cao", self.max_order)
        return _dimension_from_curve(self.dimension_curve_, "cao"), lag
