"""Augmented covariances from lagged products, against the embedded samples."""

import numpy as np
import pytest
from moabb.pipelines.features import AugmentedDataset
from pyriemann.estimation import TimeDelayCovariances
from pyriemann.geometry.covariance import covariances
from sklearn.covariance import empirical_covariance, ledoit_wolf, oas

from sklogit.covariance import LagStatistics
from sklogit.covariance import _lag_statistics as module

ESTIMATORS = ["cov", "scm", "oas", "lwf", "corr"]


def coloured(n_epochs, n_channels, n_times, seed=0):
    """Epochs of mixed, smoothed noise: correlated in space and in time."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((n_epochs, n_channels, n_times + 4))
    smooth = sum(w * noise[..., k : n_times + k] for k, w in enumerate((4, 3, 2, 1, 1)))
    mixing = np.eye(n_channels) + 0.3 * rng.standard_normal((n_channels, n_channels))
    return mixing @ smooth + rng.standard_normal((n_epochs, n_channels, 1))


def embed(X, order, lag, trim):
    """Explicit delay embedding, sample by sample."""
    if trim == "moabb":
        return AugmentedDataset(order, lag).transform(X)
    n_samples = X.shape[2] - (order - 1) * lag
    e = [X[:, :, t : t + (order - 1) * lag + 1 : lag] for t in range(n_samples)]
    e = np.stack(e, axis=3).transpose(0, 2, 1, 3)
    return e.reshape(len(X), -1, n_samples)


def relative_error(found, expected):
    scale = np.abs(expected).max(axis=(1, 2), keepdims=True)
    return np.abs((found - expected) / scale).max()


# The exact covariance


@pytest.mark.parametrize("trim", ["moabb", "full"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_all_orders_and_lags_equal_the_covariance_of_the_embedding(estimator, trim):
    X = coloured(2, 3, 150)
    statistics = LagStatistics(X, trim=trim)
    for order in range(1, 11):
        for lag in range(1, 11):
            expected = covariances(embed(X, order, lag, trim), estimator=estimator)
            found = statistics.covariance(order, lag, estimator)
            assert relative_error(found, expected) < 1e-12, (order, lag)


@pytest.mark.parametrize("trim", ["moabb", "full"])
@pytest.mark.parametrize(
    ("estimator", "reference"),
    [
        ("scm", lambda e: empirical_covariance(e, assume_centered=True)),
        # With a known mean there is no degree of freedom to give back.
        ("cov", lambda e: empirical_covariance(e, assume_centered=True)),
        ("oas", lambda e: oas(e, assume_centered=True)[0]),
        ("lwf", lambda e: ledoit_wolf(e, assume_centered=True)[0]),
    ],
    ids=["scm", "cov", "oas", "lwf"],
)
def test_assume_centered_equals_scikit_learn(estimator, reference, trim):
    X = coloured(3, 4, 120)
    statistics = LagStatistics(X, assume_centered=True, trim=trim)
    for order, lag in [(1, 1), (2, 3), (5, 4), (10, 1)]:
        embedded = embed(X, order, lag, trim)
        expected = np.stack([reference(e.T) for e in embedded])
        found = statistics.covariance(order, lag, estimator)
        assert relative_error(found, expected) < 1e-12


@pytest.mark.parametrize(
    ("shape", "order", "lag", "trim"),
    [
        pytest.param((3, 1, 60), 4, 3, "moabb", id="one channel"),
        pytest.param((2, 3, 26), 6, 4, "moabb", id="two samples left"),
        pytest.param((2, 3, 22), 6, 4, "full", id="two samples left, full"),
        pytest.param((2, 2, 24), 2, 11, "moabb", id="lag longer than what is left"),
        pytest.param((1, 4, 90), 5, 2, "moabb", id="one epoch"),
        pytest.param((9, 2, 50), 3, 2, "moabb", id="one more epoch than a block"),
        pytest.param((1, 1, 2), 1, 7, "moabb", id="two samples in all"),
    ],
)
@pytest.mark.parametrize("estimator", ["cov", "scm", "oas", "lwf"])
def test_odd_shapes_equal_the_covariance_of_the_embedding(
    shape, order, lag, trim, estimator
):
    X = coloured(*shape)
    embedded = embed(X, order, lag, trim)
    expected = {
        "cov": lambda e: np.cov(e),
        "scm": lambda e: np.cov(e, bias=True),
        "oas": lambda e: oas(e.T)[0],
        "lwf": lambda e: ledoit_wolf(e.T)[0],
    }[estimator]
    d = order * shape[1]
    expected = np.stack([expected(e).reshape(d, d) for e in embedded])
    found = LagStatistics(X, trim=trim).covariance(order, lag, estimator)
    assert relative_error(found, expected) < 1e-12


def test_two_d_epochs_equal_epochs_of_one_channel():
    X = coloured(3, 1, 60)
    found = LagStatistics(X[:, 0]).covariance(3, 2, "oas")
    np.testing.assert_array_equal(found, LagStatistics(X).covariance(3, 2, "oas"))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_float32_epochs_give_float32_matrices_near_those_of_float64(estimator):
    X = coloured(3, 4, 200)
    found = LagStatistics(X.astype(np.float32)).covariance(6, 3, estimator)
    assert found.dtype == np.float32
    expected = LagStatistics(X).covariance(6, 3, estimator)
    assert relative_error(found, expected) < 1e-5


@pytest.mark.parametrize("structure", [None, "toeplitz", "circular"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_offset_of_a_million_costs_no_digits(estimator, structure):
    # Multiples of 2^-20 stay exact when 1e6 is added, so the matrices must not move.
    X = np.round(coloured(2, 3, 150) * 2**20) / 2**20
    expected = LagStatistics(X).covariance(5, 3, estimator, structure=structure)
    found = LagStatistics(X + 1e6).covariance(5, 3, estimator, structure=structure)
    assert relative_error(found, expected) < 1e-12


@pytest.mark.parametrize("lag", [1, 7, 1000])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_order_one_equals_plain_covariance_for_any_lag(estimator, lag):
    X = coloured(3, 4, 90)
    found = LagStatistics(X).covariance(1, lag, estimator)
    expected = covariances(X, estimator=estimator)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("structure", [None, "toeplitz", "circular"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_matrices_are_symmetric(estimator, structure):
    C = LagStatistics(coloured(2, 3, 80)).covariance(
        7, 2, estimator, structure=structure
    )
    assert relative_error(C, C.transpose(0, 2, 1)) < 1e-14


@pytest.mark.parametrize("structure", [None, "toeplitz", "circular"])
@pytest.mark.parametrize("estimator", ["oas", "lwf"])
def test_shrunk_matrices_are_definite_with_fewer_samples_than_rows(
    estimator, structure
):
    X = np.random.default_rng(0).standard_normal((5, 6, 40))
    C, rho = LagStatistics(X).covariance(
        8, 2, estimator, structure=structure, return_shrinkage=True
    )
    assert C.shape[1] > 40
    assert (rho > 0.01).all()
    smallest = np.linalg.eigvalsh(C)[:, 0]
    assert (smallest > 1e-3 * rho * np.trace(C, axis1=1, axis2=2) / 48).all()


@pytest.mark.parametrize("structure", [None, "toeplitz", "circular"])
@pytest.mark.parametrize("estimator", ["cov", "scm", "oas", "lwf"])
def test_orthogonal_mixing_of_channels_mixes_every_block(estimator, structure):
    # A permutation of channels is one such mixing; no estimator sees the basis.
    X = coloured(2, 4, 100)
    Q = np.linalg.qr(np.random.default_rng(1).standard_normal((4, 4)))[0]
    for A in (Q, np.eye(4)[[2, 0, 3, 1]]):
        found, expected = (
            LagStatistics(x).covariance(3, 2, estimator, structure=structure)
            for x in (A @ X, X)
        )
        full = np.kron(np.eye(3), A)
        assert relative_error(found, full @ expected @ full.T) < 1e-12


@pytest.mark.parametrize("structure", [None, "toeplitz", "circular"])
@pytest.mark.parametrize("estimator", ["cov", "scm"])
def test_any_mixing_of_channels_is_a_congruence(estimator, structure):
    X = coloured(2, 3, 100)
    A = np.array([[2.0, 1.0, 0.0], [0.0, 1.0, -3.0], [1.0, 1.0, 1.0], [0.5, 0.0, 1.0]])
    found = LagStatistics(A @ X).covariance(4, 3, estimator, structure=structure)
    expected = LagStatistics(X).covariance(4, 3, estimator, structure=structure)
    full = np.kron(np.eye(4), A)
    assert relative_error(found, full @ expected @ full.T) < 1e-12


def reverse_blocks(C, order):
    """Block (a, b) becomes block (p - 1 - a, p - 1 - b)."""
    n, d, _ = C.shape
    blocks = C.reshape(n, order, d // order, order, d // order)
    return blocks[:, ::-1, :, ::-1].reshape(n, d, d)


@pytest.mark.parametrize("structure", [None, "toeplitz", "circular"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_time_reversal_reverses_the_blocks(estimator, structure):
    X = coloured(2, 3, 90)
    options = {"estimator": estimator, "structure": structure}
    found = LagStatistics(X[..., ::-1], trim="full").covariance(5, 4, **options)
    expected = LagStatistics(X, trim="full").covariance(5, 4, **options)
    assert relative_error(found, reverse_blocks(expected, 5)) < 1e-12


# The structured variants


def test_toeplitz_equals_the_matrix_of_biased_autocovariances():
    X = coloured(2, 3, 40)
    order, lag = 4, 3
    x = X - X.mean(axis=2, keepdims=True)
    expected = np.zeros((2, 12, 12))
    for i in range(2):
        for a in range(order):
            for b in range(order):
                block = expected[i, 3 * a : 3 * a + 3, 3 * b : 3 * b + 3]
                for t in range(40):
                    s = t + (b - a) * lag
                    if 0 <= s < 40:
                        block += np.outer(x[i, :, t], x[i, :, s]) / 40
    found = LagStatistics(X).covariance(order, lag, "scm", structure="toeplitz")
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("estimator", "reference"), [("oas", oas), ("lwf", ledoit_wolf)]
)
def test_shrunk_toeplitz_equals_scikit_learn_on_the_padded_embedding(
    estimator, reference
):
    # Zeros around the epoch turn the biased autocovariance into a plain covariance of
    # T + (p - 1) lag samples, of which T count.
    X = coloured(2, 3, 40)
    order, lag = 4, 3
    x = X - X.mean(axis=2, keepdims=True)
    pad = (order - 1) * lag
    embedded = embed(np.pad(x, [(0, 0), (0, 0), (pad, pad)]), order, lag, "full")
    found, rho = LagStatistics(X).covariance(
        order, lag, estimator, structure="toeplitz", return_shrinkage=True
    )
    for e, C, r in zip(embedded, found, rho):
        S = e @ e.T / 40
        mu = np.trace(S) / 12
        np.testing.assert_allclose(C, (1 - r) * S + r * mu * np.eye(12), atol=1e-12)
        if estimator == "oas":
            alpha = np.mean(S**2)
            expected = (alpha + mu**2) / (41 * (alpha - mu**2 / 12))
        else:
            spread = np.mean(np.sum(e**2, axis=0) ** 2) * e.shape[1] / 40
            beta = (spread - np.sum(S**2)) / (12 * 40)
            expected = beta / ((np.sum(S**2) - 12 * mu**2) / 12)
        np.testing.assert_allclose(r, expected, rtol=1e-12)


def test_toeplitz_is_definite_on_short_noise():
    X = np.random.default_rng(0).standard_normal((200, 3, 26))
    statistics = LagStatistics(X)
    for order, lag in [(2, 10), (4, 3), (8, 3), (5, 1)]:
        C = statistics.covariance(order, lag, "scm", structure="toeplitz")
        assert np.linalg.eigvalsh(C)[:, 0].min() > 0


@pytest.mark.parametrize("estimator", ["cov", "scm"])
@pytest.mark.parametrize("structure", ["toeplitz", "circular"])
def test_structured_matrices_are_nested_in_order(estimator, structure):
    statistics = LagStatistics(coloured(2, 3, 60))
    large = statistics.covariance(6, 4, estimator, structure=structure)
    for order in range(1, 6):
        small = statistics.covariance(order, 4, estimator, structure=structure)
        np.testing.assert_array_equal(small, large[:, : 3 * order, : 3 * order])


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("lag", [1, 4])
def test_circular_equals_time_delay_covariances_with_the_delays_reversed(
    estimator, lag
):
    # np.roll delays forwards, the embedding backwards.
    X = coloured(3, 4, 70)
    expected = TimeDelayCovariances(
        delays=[lag, 2 * lag, 3 * lag], estimator=estimator
    ).transform(X)
    found = LagStatistics(X).covariance(4, lag, estimator, structure="circular")
    assert relative_error(found, reverse_blocks(expected, 4)) < 1e-12


def test_structured_matrices_use_all_samples_whatever_the_trim():
    # 26 samples leave 26 - 3 * 8 = 2 with "full" and none with "moabb".
    X = coloured(2, 3, 26)
    for structure in ("toeplitz", "circular"):
        moabb, full = (
            LagStatistics(X, trim=trim).covariance(4, 8, structure=structure)
            for trim in ("moabb", "full")
        )
        np.testing.assert_array_equal(moabb, full)


# Shrinkage intensities


@pytest.mark.parametrize(
    ("estimator", "reference"), [("oas", oas), ("lwf", ledoit_wolf)]
)
def test_returned_shrinkage_equals_scikit_learn(estimator, reference):
    X = coloured(10, 3, 60)
    C, rho = LagStatistics(X).covariance(4, 3, estimator, return_shrinkage=True)
    expected = [reference(e.T)[1] for e in embed(X, 4, 3, "moabb")]
    np.testing.assert_allclose(rho, expected, rtol=1e-12)
    assert C.shape == (10, 12, 12)


@pytest.mark.parametrize("estimator", ["cov", "scm", "corr"])
def test_estimators_that_do_not_shrink_return_zeros(estimator):
    statistics = LagStatistics(coloured(4, 3, 60))
    rho = statistics.covariance(2, 3, estimator, return_shrinkage=True)[1]
    np.testing.assert_array_equal(rho, np.zeros(4))


# The cache


@pytest.mark.parametrize("k", [0, 1, 7, 58, 59])
def test_lag_product_equals_the_sum_of_outer_products(k):
    X = coloured(2, 3, 60)
    x = X - X.mean(axis=2, keepdims=True)
    expected = [sum(np.outer(e[:, s], e[:, s + k]) for s in range(60 - k)) for e in x]
    found = LagStatistics(X).lag_product(k)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_lag_product_is_kept():
    statistics = LagStatistics(coloured(2, 3, 60))
    assert statistics.lag_product(4) is statistics.lag_product(4)


def test_grid_of_ten_by_ten_computes_42_lag_products(monkeypatch):
    computed = []

    def count(x, k):
        computed.append(k)
        return original(x, k)

    original = module._lag_product
    monkeypatch.setattr(module, "_lag_product", count)
    statistics = LagStatistics(coloured(1, 1, 150))
    for order in range(1, 11):
        for lag in range(1, 11):
            statistics.covariance(order, lag)
    assert len(computed) == len(set(computed)) == 42


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize(
    "indices",
    [
        pytest.param([4, 0, 0, 7], id="numbers"),
        pytest.param(np.arange(11) % 3 == 0, id="mask"),
        pytest.param(slice(2, 9, 2), id="slice"),
    ],
)
def test_subset_equals_the_statistics_of_the_subset(indices, cached):
    X = coloured(11, 3, 60)
    statistics = LagStatistics(X, trim="full")
    if cached:
        statistics.covariance(5, 2)
    part = statistics.subset(indices)
    expected = LagStatistics(X[indices], trim="full")
    assert part.n_epochs == expected.n_epochs
    for estimator in ESTIMATORS:
        found = part.covariance(4, 3, estimator)
        assert relative_error(found, expected.covariance(4, 3, estimator)) < 1e-14


def test_subset_computes_no_lag_product_again(monkeypatch):
    statistics = LagStatistics(coloured(5, 3, 60))
    statistics.covariance(4, 2)
    part = statistics.subset([0, 3])
    monkeypatch.setattr(module, "_lag_product", None)
    np.testing.assert_array_equal(
        part.covariance(4, 2), statistics.covariance(4, 2)[[0, 3]]
    )


def test_covariances_repeat_exactly_and_leave_the_epochs_alone():
    X = coloured(2, 3, 60)
    for assume_centered in (False, True):
        before = X.copy()
        statistics = LagStatistics(X, assume_centered=assume_centered)
        first = statistics.covariance(3, 2, "oas")
        np.testing.assert_array_equal(X, before)
        np.testing.assert_array_equal(statistics.covariance(3, 2, "oas"), first)


def test_shape_and_repr_tell_what_is_held():
    statistics = LagStatistics(np.ones((5, 3, 60)), trim="full")
    assert (statistics.n_epochs, statistics.n_channels, statistics.n_times) == (
        5,
        3,
        60,
    )
    assert repr(statistics) == (
        "LagStatistics(n_epochs=5, n_channels=3, n_times=60, trim='full')"
    )


# Bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"order": 0}, "order must be an integer >= 1, found 0"),
        ({"lag": 1.5}, "lag must be an integer >= 1, found 1.5"),
        ({"order": 6, "lag": 10}, "n_times=60 leaves 0 embedded samples"),
        ({"estimator": "hub"}, "estimator must be one of .*, found 'hub'"),
        ({"structure": "no"}, "structure must be one of .*, found 'no'"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_computed(arguments, message):
    statistics = LagStatistics(coloured(2, 3, 60))
    with pytest.raises(ValueError, match=message):
        statistics.covariance(**arguments)
    assert not statistics._lag_products


def test_unknown_trim_is_refused_at_once():
    with pytest.raises(ValueError, match="trim must be 'moabb' or 'full'"):
        LagStatistics(np.ones((2, 3, 60)), trim="none")


@pytest.mark.parametrize("value", [0.0, 5.0, 0.1, 0.3, np.pi])
@pytest.mark.parametrize("structure", [None, "toeplitz", "circular"])
@pytest.mark.parametrize("n_times", [60, 150])
def test_correlation_of_a_flat_channel_is_refused_with_its_place(
    value, structure, n_times
):
    # The mean of 60 times 0.1 is not 0.1 to the last digit.
    X = coloured(3, 3, n_times)
    X[1, 2] = value
    with pytest.raises(ValueError, match=r"epoch 1 is undefined: row 2 .* constant"):
        LagStatistics(X).covariance(2, 3, "corr", structure=structure)
