"""Automatic choice of order and lag: delays, dimensions, MDOP and the estimator."""

import numpy as np
import pytest
from scipy import sparse
from scipy.signal import lfilter
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist
from sklearn.base import clone
from sklearn.metrics import mutual_info_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklogit.covariance import (
    EmbeddingSelector,
    autocorrelation,
    average_mutual_information,
    cao_e1,
    false_nearest_neighbours,
    mdop_embedding,
    select_delay,
    select_dimension,
)

METHODS = ["autocorr", "afnn", "mdop"]


@pytest.fixture(scope="module")
def lorenz():
    """First coordinate of the Lorenz system: 5000 samples, 0.02 apart.

    Chaos amplifies rounding: Python's own sums, unlike those of BLAS, are the same on
    every machine.
    """

    def flow(x, y, z):
        return 10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z

    def ahead(state, slope, step):
        return [value + step * change for value, change in zip(state, slope)]

    state, path, step = [1.0, 1.0, 1.0], [], 0.01
    for i in range(12000):  # classical Runge-Kutta
        k1 = flow(*state)
        k2 = flow(*ahead(state, k1, step / 2))
        k3 = flow(*ahead(state, k2, step / 2))
        k4 = flow(*ahead(state, k3, step))
        slope = [(a + 2 * b + 2 * c + d) / 6 for a, b, c, d in zip(k1, k2, k3, k4)]
        if i >= 2000 and i % 2 == 0:
            path.append(state[0])
        state = ahead(state, slope, step)
    return np.array(path)


@pytest.fixture(scope="module")
def rhythm():
    """Epochs (20, 3, 1000) of an AR(2) process at 10 Hz, sampled at 250 Hz."""
    noise = np.random.default_rng(0).normal(size=(20, 3, 1200))
    angle = 2 * np.pi * 10 / 250
    return lfilter([1], [1, -2 * 0.97 * np.cos(angle), 0.97**2], noise)[..., 200:]


@pytest.fixture(scope="module")
def epochs():
    """Short epochs (3, 4, 150) of coloured noise."""
    noise = np.random.default_rng(1).normal(size=(3, 4, 150))
    return lfilter([1, 0.5], [1, -1.2, 0.7], noise)


# Autocorrelation


def test_autocorrelation_equals_correlate(epochs):
    centred = epochs - epochs.mean(axis=-1, keepdims=True)
    sums = sum(np.correlate(x, x, "full")[149:160] for x in centred.reshape(-1, 150))
    np.testing.assert_allclose(autocorrelation(epochs, max_lag=10), sums / sums[0])


@pytest.mark.parametrize("scale", [1e-200, 1e-6, 1e200])
def test_autocorrelation_ignores_unit_and_offset(epochs, scale):
    expected = autocorrelation(epochs)
    np.testing.assert_allclose(autocorrelation(scale * (epochs + 50)), expected)


def test_constant_channel_does_not_change_autocorrelation(epochs):
    constant = np.full((3, 1, 150), 0.1)
    both = np.concatenate([epochs, constant], axis=1)
    np.testing.assert_array_equal(autocorrelation(both), autocorrelation(epochs))


# Mutual information


@pytest.mark.parametrize("lag", [0, 1, 7])
def test_mutual_information_equals_that_of_scikit_learn(lag):
    x = np.random.default_rng(0).normal(size=200).cumsum()
    bins = np.argsort(np.argsort(x)) // 20  # 10 bins of 20 samples, no ties
    past, present = bins[:190], bins[lag : lag + 190]
    curve = average_mutual_information(x, max_lag=10, n_bins=10)
    assert curve[lag] == pytest.approx(mutual_info_score(past, present))


def test_mutual_information_is_invariant_to_increasing_maps(epochs):
    np.testing.assert_array_equal(
        average_mutual_information(np.exp(epochs / 3)),
        average_mutual_information(epochs),
    )


def test_mutual_information_is_averaged_over_trials_and_channels(epochs):
    curves = [average_mutual_information(x) for x in epochs.reshape(-1, 150)]
    np.testing.assert_allclose(
        average_mutual_information(epochs), np.mean(curves, axis=0)
    )


def test_many_series_are_counted_in_chunks():
    X = np.random.default_rng(0).normal(size=(1100, 40))
    curves = [average_mutual_information(x, max_lag=3) for x in X]
    np.testing.assert_allclose(
        average_mutual_information(X, max_lag=3), np.mean(curves, axis=0)
    )


def test_constant_signal_has_no_mutual_information():
    np.testing.assert_allclose(average_mutual_information(np.ones(100)), 0, atol=1e-12)


@pytest.mark.parametrize("curve", [autocorrelation, average_mutual_information])
def test_lag_as_long_as_the_signal_is_refused(curve):
    with pytest.raises(ValueError, match=r"max_lag = 20 .* n_times = 20"):
        curve(np.arange(20.0), max_lag=20)


# Delay


@pytest.mark.parametrize("method", ["autocorr", "ami"])
def test_delay_of_a_rhythm_is_a_quarter_of_its_period(rhythm, method):
    assert select_delay(rhythm, method=method) == 7  # 25 / 4 = 6.25, rounded up


def test_delay_of_lorenz(lorenz):
    # About a sixth of the period of a loop, 0.75; its minimum is flat.
    assert select_delay(lorenz, method="ami") in (7, 8, 9)


def test_autocorr_without_a_zero_takes_the_smallest_value():
    x = np.cos(2 * np.pi * np.arange(400) / 40)
    assert select_delay(x, max_lag=6) == 6


def test_ami_that_only_falls_takes_the_last_lag(lorenz):
    assert select_delay(lorenz, method="ami", max_lag=5) == 5


@pytest.mark.parametrize("method", ["autocorr", "ami"])
def test_delay_is_clipped_to_half_of_the_signal(method):
    assert select_delay(np.arange(9.0) ** 3, method=method, max_lag=30) <= 4


@pytest.mark.parametrize("method", ["autocorr", "ami"])
def test_delay_of_constant_signals_is_one(method):
    assert select_delay(np.full((3, 2, 50), 0.1), method=method) == 1


def test_delay_of_a_single_sample_is_refused():
    with pytest.raises(ValueError, match="n_times = 1 "):
        select_delay(np.ones((5, 1)))


def test_four_dimensions_are_refused():
    with pytest.raises(ValueError, match="4 dimensions"):
        select_delay(np.ones((2, 2, 2, 20)))


# Dimension


def embed(x, lag, dimension, n_points):
    return np.stack([x[d * lag : d * lag + n_points] for d in range(dimension)], 1)


def brute_force_neighbours(points, theiler):
    """Nearest neighbour at a positive distance, one row at a time."""
    distances = cdist(points, points)
    indices = np.arange(len(points))
    near_in_time = np.abs(indices[:, None] - indices) <= theiler
    distances[near_in_time | (distances == 0)] = np.inf
    nearest = distances.argmin(axis=1)
    return nearest, distances[indices, nearest]


def brute_force_growth(x, lag, dimension, theiler):
    n_points = len(x) - dimension * lag
    points = embed(x, lag, dimension, n_points)
    further = embed(x, lag, dimension + 1, n_points)
    nearest, distances = brute_force_neighbours(points, theiler)
    return distances, np.linalg.norm(further - further[nearest], axis=1)


@pytest.mark.parametrize("theiler", [0, 5])
@pytest.mark.parametrize("lag", [1, 3])
def test_cao_equals_brute_force(epochs, lag, theiler):
    x = epochs[0, 0]
    growth = [brute_force_growth(x, lag, d, theiler) for d in range(1, 7)]
    means = np.array([np.mean(after / before) for before, after in growth])
    np.testing.assert_allclose(
        cao_e1(x, lag, 5, theiler=theiler), means[1:] / means[:-1]
    )


def test_cao_of_a_long_signal_equals_a_tree_search(lorenz):
    means = []
    for d in (1, 2, 3):
        n_points = 5000 - d * 8
        further = embed(lorenz, 8, d + 1, n_points)
        distances, indices = cKDTree(further[:, :d]).query(further[:, :d], k=2)
        after = np.linalg.norm(further - further[indices[:, 1]], axis=1)
        means.append(np.mean(after / distances[:, 1]))
    expected = np.divide(means[1:], means[:-1])
    np.testing.assert_allclose(cao_e1(lorenz, 8, 2), expected)


def test_cao_of_lorenz(lorenz):
    # Two coordinates cannot unfold the attractor, three can: its dimension is 2.06.
    two, three, four = cao_e1(lorenz, 8, 4)[1:]
    assert two < 0.5
    np.testing.assert_allclose([three, four], [0.92, 0.94], atol=0.03)


def test_cao_passes_over_neighbours_of_equal_value(epochs):
    x = np.round(epochs[0, 0])
    growth = [brute_force_growth(x, 1, d, 0) for d in range(1, 4)]
    means = np.array([np.mean(after / before) for before, after in growth])
    np.testing.assert_allclose(cao_e1(x, 1, 2), means[1:] / means[:-1])


def test_cao_is_averaged_over_trials_and_channels(epochs):
    curves = [cao_e1(x, 2, 4) for x in epochs.reshape(-1, 150)]
    np.testing.assert_allclose(cao_e1(epochs, 2, 4), np.mean(curves, axis=0))


def test_cao_leaves_constant_channels_out(epochs):
    both = np.concatenate([epochs, np.ones((3, 1, 150))], axis=1)
    np.testing.assert_array_equal(cao_e1(both, 2, 4), cao_e1(epochs, 2, 4))


@pytest.mark.parametrize("curve", [cao_e1, false_nearest_neighbours])
@pytest.mark.parametrize("exponent", [-700, 700])
def test_curve_ignores_the_unit(epochs, curve, exponent):
    scaled = np.ldexp(epochs, exponent)  # squares would under- or overflow
    np.testing.assert_array_equal(curve(scaled, 2, 4), curve(epochs, 2, 4))


@pytest.mark.parametrize("curve", [cao_e1, false_nearest_neighbours])
def test_curve_of_a_constant_signal_is_undefined(curve):
    assert np.isnan(curve(np.ones(50), 2, 3)).all()


@pytest.mark.parametrize("theiler", [0, 5])
def test_false_neighbours_equal_brute_force(epochs, theiler):
    x, expected = epochs[0, 0], []
    for d in (1, 2, 3):
        before, after = brute_force_growth(x, 2, d, theiler)
        growth = np.sqrt(after**2 - before**2) / before
        expected.append(np.mean((growth > 4) | (after > 0.5 * x.std())))
    shares = false_nearest_neighbours(x, 2, 3, rtol=4.0, atol=0.5, theiler=theiler)
    np.testing.assert_allclose(shares, expected)


def test_false_neighbours_of_lorenz(lorenz):
    shares = false_nearest_neighbours(lorenz, 8, 3)
    np.testing.assert_allclose(shares[1:], [0.06, 0.0], atol=0.01)


@pytest.mark.parametrize(
    ("curve", "needed"), [(cao_e1, 5 * 4 + 2), (false_nearest_neighbours, 4 * 4 + 2)]
)
def test_curve_needs_one_neighbour_for_every_point(curve, needed):
    x = np.random.default_rng(0).normal(size=needed)
    assert np.isfinite(curve(x, 4, 4)).all()
    with pytest.raises(ValueError, match=f"at least {needed} samples"):
        curve(x[:-1], 4, 4)


def test_false_neighbours_choose_three_dimensions_for_lorenz(lorenz):
    assert select_dimension(lorenz, 8, method="fnn", max_dimension=5) == 3


def test_false_neighbours_above_threshold_take_the_smallest_share():
    x = np.random.default_rng(0).normal(size=300)
    shares = false_nearest_neighbours(x, 1, 3)
    chosen = select_dimension(x, 1, "fnn", max_dimension=3, fnn_threshold=0.0)
    assert shares.min() > 0
    assert chosen == 1 + shares.argmin()


def test_cao_chooses_its_first_local_maximum(epochs):
    curve = cao_e1(epochs, 1, 20)
    chosen = select_dimension(epochs, 1, max_dimension=20)
    assert (np.diff(curve[:chosen]) > 0).all()
    assert curve[chosen] <= curve[chosen - 1]


def test_cao_that_only_rises_takes_the_last_dimension(lorenz):
    assert select_dimension(lorenz, 8, max_dimension=3) == 3


def test_every_series_has_its_own_delay_by_default(lorenz):
    fast, slow = lorenz[:2000:4], lorenz[:500]
    lags = [select_delay(x, method="ami") for x in (fast, slow)]
    assert lags[0] != lags[1]
    curve = np.mean([cao_e1(x, k, 8) for x, k in zip((fast, slow), lags)], axis=0)
    falls = np.flatnonzero(np.diff(curve) <= 0)
    first_maximum = 1 + int(falls[0]) if len(falls) else 8
    assert select_dimension(np.stack([fast, slow]), max_dimension=8) == first_maximum


@pytest.mark.parametrize("method", ["cao", "fnn"])
def test_signal_too_short_for_any_dimension_gives_one(method):
    assert select_dimension(np.arange(9.0), lag=4, method=method) == 1


# MDOP


def brute_force_mdop(trial, max_delay, theiler, r=2, threshold=0.05, max_cycles=50):
    """The published algorithm, with explicit loops over channels, delays and times."""
    signals = (trial - trial.mean(1, keepdims=True)) / trial.std(
        1, ddof=1, keepdims=True
    )
    n_channels, n_times = signals.shape

    def best(points):
        n = len(points) - max_delay
        nearest, distances = brute_force_neighbours(points[:n], theiler)
        betas = {}
        for c in range(n_channels):
            for tau in range(max_delay + 1):
                steps = [
                    abs(signals[c, j + tau] - signals[c, nearest[j] + tau])
                    for j in range(n)
                ]
                betas[c, tau] = np.mean(np.log10(np.array(steps) / distances))
        return max(betas.items(), key=lambda item: item[1])

    starts = [(*best(x[:, None]), c) for c, x in enumerate(signals)]
    (channel, tau), _, first = max(starts, key=lambda start: start[1])
    delays, channels, shares = [0], [first], []
    points = signals[first][:, None]
    while True:
        n = min(len(points), n_times - tau)
        before = brute_force_neighbours(points, theiler)[1][:n]
        points = np.column_stack([points[:n], signals[channel, tau : tau + n]])
        after = brute_force_neighbours(points, theiler)[1]
        false = (after / before > r) & (before < 1 / r)
        shares.append(false.sum() / (before < 1 / r).sum() if false.any() else 1.0)
        if (
            shares[-1] <= threshold
            or shares[-1] > min(shares[-2:])
            or len(shares) == max_cycles
        ):
            return delays, channels, shares
        delays.append(tau)
        channels.append(channel)
        (channel, tau), _ = best(points)


@pytest.mark.parametrize("theiler", [0, 3])
def test_mdop_equals_the_published_algorithm(epochs, theiler):
    embedding = mdop_embedding(epochs, max_delay=6, theiler=theiler)
    for i, trial in enumerate(epochs):
        delays, channels, shares = brute_force_mdop(trial, 6, theiler)
        np.testing.assert_array_equal(embedding.delays[i], delays)
        np.testing.assert_array_equal(embedding.channels[i], channels)
        np.testing.assert_allclose(embedding.fnn[i], shares)


def test_mdop_summarises_the_trials(epochs):
    embedding = mdop_embedding(epochs, max_delay=6)
    means = [np.rint(np.mean(delays)) for delays in embedding.delays]
    assert embedding.lag == max(1, np.rint(np.mean(means)))
    assert embedding.order == np.rint(np.mean([len(d) for d in embedding.delays]))


def test_mdop_theiler_window_is_the_longest_delay_of_the_channels(epochs):
    embedding = mdop_embedding(epochs, max_delay=6)
    for trial, window in zip(epochs, embedding.theiler):
        assert window == max(select_delay(x, "ami", max_lag=6) for x in trial)


def test_mdop_stops_after_max_cycles_without_the_last_coordinate(epochs):
    embedding = mdop_embedding(epochs, max_delay=6, max_cycles=2, fnn_threshold=0.0)
    assert [len(delays) for delays in embedding.delays] == [2, 2, 2]


def test_mdop_is_invariant_to_the_units_of_the_channels(epochs):
    units = np.array([1e-6, 1.0, 1e3, 8.0])[:, np.newaxis]
    plain = mdop_embedding(epochs, max_delay=6)
    scaled = mdop_embedding(units * (epochs + 1), max_delay=6)
    for a, b in zip(plain.delays + plain.channels, scaled.delays + scaled.channels):
        np.testing.assert_array_equal(a, b)


def test_mdop_never_chooses_constant_channels(epochs):
    with_constant = np.insert(epochs, 1, 0.1, axis=1)
    plain = mdop_embedding(epochs, max_delay=6)
    embedding = mdop_embedding(with_constant, max_delay=6)
    for a, b in zip(plain.channels, embedding.channels):
        np.testing.assert_array_equal(np.array([0, 2, 3, 4])[a], b)


@pytest.mark.parametrize("X", [np.full((2, 3, 50), 0.1), np.eye(3)])
def test_mdop_of_constant_or_very_short_trials_is_order_one(X):
    embedding = mdop_embedding(X)
    assert (embedding.order, embedding.lag) == (1, 1)


def test_mdop_accepts_quantised_signals(epochs):
    embedding = mdop_embedding(np.round(epochs), max_delay=6)
    assert all(np.isfinite(shares).all() for shares in embedding.fnn)


def test_mdop_refuses_a_theiler_window_without_neighbours():
    x = np.random.default_rng(0).normal(size=40)
    assert mdop_embedding(x, max_delay=5, theiler=14).theiler[0] == 14
    with pytest.raises(ValueError, match=r"theiler = 15 .* at most 14"):
        mdop_embedding(x, max_delay=5, theiler=15)


# Estimator


@parametrize_with_checks([EmbeddingSelector(method) for method in METHODS])
def test_scikit_learn_api(estimator, check):
    check(estimator)


def test_autocorr_selector_joins_delay_and_cao(epochs):
    selector = EmbeddingSelector("autocorr").fit(epochs)
    assert selector.lag_ == select_delay(epochs)
    assert selector.order_ == select_dimension(epochs, selector.lag_, max_dimension=10)
    np.testing.assert_array_equal(selector.delay_curve_, autocorrelation(epochs, 30))


def test_afnn_selector_joins_ami_and_cao_at_own_delays(epochs):
    selector = EmbeddingSelector("afnn", max_order=30).fit(epochs)
    assert selector.lag_ == select_delay(epochs, method="ami")
    assert selector.order_ == select_dimension(epochs, max_dimension=30)
    np.testing.assert_array_equal(
        selector.delay_curve_, average_mutual_information(epochs, 30)
    )


def test_mdop_selector_reports_its_embedding(epochs):
    selector = EmbeddingSelector("mdop", max_lag=6).fit(epochs)
    expected = mdop_embedding(epochs, max_delay=6)
    assert (selector.order_, selector.lag_) == (expected.order, expected.lag)
    np.testing.assert_array_equal(selector.embedding_.fnn[0], expected.fnn[0])


@pytest.mark.parametrize("method", METHODS)
def test_two_dimensions_are_epochs_of_one_channel(epochs, method):
    flat = EmbeddingSelector(method).fit(epochs[:, 0])
    deep = EmbeddingSelector(method).fit(epochs[:, :1])
    assert (flat.order_, flat.lag_) == (deep.order_, deep.lag_)


@pytest.mark.parametrize("method", METHODS)
def test_limits_are_kept(epochs, method):
    selector = EmbeddingSelector(method, max_lag=2, max_order=2).fit(epochs)
    assert 1 <= selector.order_ <= 2
    assert 1 <= selector.lag_ <= 2


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n_times", [2, 3, 4, 7, 20])
def test_embedding_fits_into_short_epochs(method, n_times):
    X = np.random.default_rng(0).normal(size=(6, 2, n_times))
    selector = EmbeddingSelector(method).fit(X)
    assert selector.order_ == 1 or n_times - selector.order_ * selector.lag_ >= 2


@pytest.mark.parametrize("method", METHODS)
def test_constant_epochs_give_order_and_lag_one(method):
    selector = EmbeddingSelector(method).fit(np.full((4, 2, 60), 0.1))
    assert (selector.order_, selector.lag_) == (1, 1)


@pytest.mark.parametrize("method", METHODS)
def test_a_constant_channel_does_not_change_the_choice(epochs, method):
    both = np.concatenate([epochs, np.full((3, 1, 150), 0.1)], axis=1)
    a, b = (EmbeddingSelector(method).fit(X) for X in (epochs, both))
    assert (a.order_, a.lag_) == (b.order_, b.lag_)


@pytest.mark.parametrize("method", METHODS)
def test_choice_is_deterministic(epochs, method):
    selector = EmbeddingSelector(method).fit(epochs)
    again = clone(selector).fit(epochs)
    assert (selector.order_, selector.lag_) == (again.order_, again.lag_)


def test_float32_epochs_give_the_same_choice(epochs):
    a, b = (EmbeddingSelector().fit(epochs.astype(t)) for t in ("f4", "f8"))
    assert (a.order_, a.lag_) == (b.order_, b.lag_)


@pytest.mark.parametrize("shape", [(5, 1), (5, 3, 1)])
def test_one_sample_a_signal_is_refused(shape):
    with pytest.raises(ValueError, match="n_times = 1 "):
        EmbeddingSelector().fit(np.ones(shape))


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1j])
def test_invalid_values_are_refused(epochs, bad):
    X = epochs.astype(type(bad))
    X[0, 0, 0] = bad
    with pytest.raises(ValueError, match=r"NaN|infinity|[Cc]omplex"):
        EmbeddingSelector().fit(X)


def test_sparse_input_is_refused():
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        EmbeddingSelector().fit(sparse.eye_array(20, format="csr"))


def test_failed_fit_leaves_the_earlier_one(epochs):
    selector = EmbeddingSelector().fit(epochs)
    before = dict(vars(selector))
    with pytest.raises(ValueError, match="n_times = 1 "):
        selector.fit(np.ones((3, 2, 1)))
    assert vars(selector) == before
