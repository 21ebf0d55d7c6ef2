import numpy as np
import pytest
from scipy.integrate import quad

from sklogit.audit import (
    estimate_rank,
    gavish_donoho_threshold,
    marchenko_pastur_median,
)
from sklogit.audit._random_matrix import noise_edge


def noisy(n, V, h, std, seed=0):
    rng = np.random.default_rng(seed)
    L = rng.standard_normal((n, h)) @ rng.standard_normal((h, V))
    return np.linalg.svdvals(L + std * rng.standard_normal((n, V)))


@pytest.mark.parametrize("beta", [0.01, 0.1, 0.5, 0.9, 1.0])
def test_median_halves_the_density(beta):
    low, high = (1 - beta**0.5) ** 2, (1 + beta**0.5) ** 2

    def density(x):
        return np.sqrt((high - x) * (x - low)) / (2 * np.pi * beta * x)

    mass = quad(density, low, marchenko_pastur_median(beta), limit=200)[0]
    assert mass == pytest.approx(0.5, abs=1e-6)


def test_median_of_squares_is_the_published_one():
    assert marchenko_pastur_median(1.0) == pytest.approx(0.6528, abs=1e-4)


def test_median_of_real_noise():
    s = np.linalg.svdvals(np.random.default_rng(0).standard_normal((300, 1000)))
    assert np.median(s**2) / 1000 == pytest.approx(
        marchenko_pastur_median(0.3), rel=0.01
    )


def test_thresholds_of_gavish_and_donoho():
    assert gavish_donoho_threshold(1.0, noise_std=1.0, n=1) == pytest.approx(
        4 / np.sqrt(3)
    )
    assert gavish_donoho_threshold(1.0, median_sv=1.0) == pytest.approx(2.858, abs=1e-3)
    # Their polynomial for unknown noise, to its own accuracy.
    for beta in (0.1, 0.4, 0.8):
        poly = 0.56 * beta**3 - 0.95 * beta**2 + 1.82 * beta + 1.43
        assert gavish_donoho_threshold(beta, median_sv=1.0) == pytest.approx(
            poly, abs=0.02
        )
    assert gavish_donoho_threshold(0.5, noise_std=2.0, n=100) == pytest.approx(
        20 * gavish_donoho_threshold(0.5, noise_std=1.0, n=1)
    )


def test_noise_seldom_passes_its_edge():
    rng = np.random.default_rng(0)
    edge = noise_edge(40, 160)
    top = [np.linalg.norm(rng.standard_normal((40, 160)), ord=2) for _ in range(300)]
    assert np.mean(np.array(top) > edge) < 0.01
    # and it is no bound that nothing comes near
    assert np.max(top) > 0.97 * edge


def test_exact_rank_has_a_gap():
    found = estimate_rank(noisy(100, 300, 12, 0.0), (100, 300))
    assert (found.rank, found.status, found.log_gap) == (12, "exact", 12)
    assert found.noise_std < 1e-12


def test_weak_directions_above_round_off_are_counted():
    # matrix_rank would cut at 1.5e-13 * 5e4; a float32 head has weaker directions.
    rng = np.random.default_rng(0)
    U = np.linalg.qr(rng.standard_normal((80, 20)))[0]
    V = np.linalg.qr(rng.standard_normal((40_000, 20)))[0]
    L = (U * np.geomspace(1, 2e-3, 20)) @ V.T
    L = L.astype(np.float32)
    s = np.linalg.svdvals(L.astype(np.float64))
    found = estimate_rank(s, L.shape, eps=np.finfo(np.float32).eps)
    assert (found.rank, found.status) == (20, "exact")
    wrong = estimate_rank(s, L.shape, eps=np.finfo(np.float32).eps, method="numerical")
    assert wrong.rank < 20


@pytest.mark.parametrize("std", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("is_known", [True, False])
def test_rank_and_size_of_noise(std, is_known):
    s = noisy(150, 600, 20, std)
    found = estimate_rank(s, (150, 600), noise_std=std if is_known else None)
    assert (found.rank, found.status) == (20, "noisy")
    assert found.noise_std == pytest.approx(std, rel=0.02)
    assert s[19] > found.threshold > s[20]


@pytest.mark.parametrize("noise_std", [1.0, None])
def test_edge_is_that_of_the_noise_left_beside_the_signal(noise_std):
    # The weakest direction has the value 27, below the edge of a whole matrix of noise,
    # 30, and above that of the part without the other directions, 25.
    rng = np.random.default_rng(0)
    U = np.linalg.qr(rng.standard_normal((100, 60)))[0]
    V = np.linalg.qr(rng.standard_normal((400, 60)))[0]
    strengths = np.append(np.linspace(1000, 900, 59), 300**0.5)
    s = np.linalg.svdvals((U * strengths) @ V.T + rng.standard_normal((100, 400)))
    assert noise_edge(100, 400) > s[59] > noise_edge(40, 340) > s[60]
    assert estimate_rank(s, (100, 400), noise_std).rank == 60


def test_fitted_noise_counts_where_most_values_are_signal():
    # The median of all values is signal there: Gavish and Donoho's rule fails.
    s = noisy(100, 600, 70, 0.1)
    assert estimate_rank(s, (100, 600)).rank == 70
    assert estimate_rank(s, (100, 600), method="gavish_donoho").rank < 60


def test_largest_values_and_the_energy_are_enough():
    s = noisy(200, 700, 15, 0.2)
    found = estimate_rank(s[:40], (200, 700), total_energy=s @ s)
    assert (found.rank, found.status) == (15, "noisy")
    assert found.noise_std == pytest.approx(0.2, rel=0.02)


def test_all_kept_values_signal_is_saturated():
    s = noisy(200, 700, 15, 0.2)
    found = estimate_rank(s[:10], (200, 700), 0.2, total_energy=s @ s)
    assert (found.rank, found.status) == (10, "saturated")


def test_pure_noise_has_rank_zero_if_its_size_is_known():
    s = np.linalg.svdvals(np.random.default_rng(0).standard_normal((100, 400)))
    assert estimate_rank(s, (100, 400), noise_std=1.0).rank == 0


@pytest.mark.parametrize("shape", [(100, 400), (400, 100), (200, 200)])
def test_pure_noise_of_unknown_size_is_ambiguous(shape):
    s = np.linalg.svdvals(np.random.default_rng(0).standard_normal(shape))
    assert estimate_rank(s, shape).status == "ambiguous"


def test_as_many_directions_as_rows_or_columns():
    s = noisy(30, 200, 30, 0.0)
    found = estimate_rank(s, (30, 200))
    assert (found.rank, found.status) == (30, "saturated")
    assert estimate_rank(s, (200, 30)).status == "full_width"


def test_zeros_have_rank_zero():
    found = estimate_rank(np.zeros(5), (5, 9))
    assert (found.rank, found.status) == (0, "exact")


@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        (([1.0, 2.0], (3, 4)), {}, "largest value first"),
        (([1.0, -1.0], (3, 4)), {}, "not negative"),
        (([np.nan], (3, 4)), {}, "finite"),
        (([1.0] * 4, (3, 5)), {}, "4 values, more than"),
        (([1.0], (3, 5)), {"noise_std": -1.0}, "noise_std must be None or at least 0"),
        (([1.0], (3, 5)), {"noise_std": np.inf}, "at least 0 and finite, got inf"),
        (([1.0], (3, 5)), {"eps": -1.0}, "eps must be None or at least 0"),
        (([1.0], (3, 5)), {"total_energy": np.nan}, "total_energy must be"),
        (([1.0], (2.5, 3)), {}, "shape must be two integers"),
        (([1.0], (3, 5)), {"method": "elbow"}, "method must be one of"),
        (([1.0], (3, 5)), {"method": "gavish_donoho"}, "needs noise_std, or all"),
    ],
)
def test_wrong_arguments_are_refused(args, options, message):
    with pytest.raises(ValueError, match=message):
        estimate_rank(*args, **options)


@pytest.mark.parametrize("beta", [0.0, -1.0, 1.1, np.nan])
def test_ratios_outside_of_the_unit_interval_are_refused(beta):
    with pytest.raises(ValueError, match="beta must be"):
        marchenko_pastur_median(beta)


def test_threshold_needs_one_way_to_tell_the_noise():
    for options in ({}, {"median_sv": 1.0, "noise_std": 1.0, "n": 2}, {"noise_std": 1}):
        with pytest.raises(ValueError, match="needs either"):
            gavish_donoho_threshold(0.5, **options)


def test_smooth_fall_into_round_off_is_no_rank():
    # A soft cap of one direction: each value is a small part of the one before.
    s = np.maximum(40.0 ** -np.arange(20.0), 1e-16)
    found = estimate_rank(s, (20, 50))
    assert found.status == "ambiguous"
    s[4:] = 1e-16
    assert estimate_rank(s, (20, 50)).status == "exact"


def test_nothing_but_round_off_has_rank_zero():
    s = np.linspace(2e-15, 1e-16, 20)
    found = estimate_rank(s, (20, 50), round_off=1e-14)
    assert (found.rank, found.status) == (0, "exact")


def test_exact_zeros_below_the_rank_are_not_divided_by():
    found = estimate_rank([3.0, 2.0] + [0.0] * 8, (10, 30), method="marchenko_pastur")
    assert found.rank == 2


@pytest.mark.parametrize("options", [{"median_sv": -1.0}, {"noise_std": 1.0, "n": -5}])
def test_negative_sizes_of_noise_are_refused(options):
    with pytest.raises(ValueError, match="at least 0 and finite"):
        gavish_donoho_threshold(0.5, **options)
