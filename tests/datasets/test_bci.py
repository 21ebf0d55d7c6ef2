"""The generator: its laws in closed form, and what classifiers see of them."""

import numpy as np
import pytest
from scipy.signal import freqz
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from sklogit.datasets import make_bci_epochs
from sklogit.datasets._bci import ar2_with_peak


def _autocovariance(coefs, innovation_variance, n_lags):
    """Autocovariance of an AR(2) process, from its impulse response."""
    response = np.zeros(2000)
    response[0] = 1.0
    for t in range(1, len(response)):
        response[t] = coefs[0] * response[t - 1]
        if t > 1:
            response[t] += coefs[1] * response[t - 2]
    products = [response[: len(response) - k] @ response[k:] for k in range(n_lags)]
    return innovation_variance * np.array(products)


@pytest.mark.parametrize("freq", [0.03, 0.1, 0.25, 0.4])
@pytest.mark.parametrize("pole_radius", [0.0, 0.5, 0.93])
def test_ar2_has_unit_variance(freq, pole_radius):
    coefs, innovation_variance = ar2_with_peak(freq, pole_radius)
    variance = _autocovariance(coefs, innovation_variance, 1)[0]
    assert variance == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize("freq", [5.0, 9.0, 11.0, 30.0])
def test_ar2_spectrum_peaks_at_the_frequency(freq):
    coefs, _ = ar2_with_peak(freq, 0.93, sfreq=125.0)
    grid = np.linspace(0, 62.5, 62501)
    _, response = freqz([1.0], [1.0, *-coefs], worN=grid, fs=125.0)
    assert grid[np.argmax(np.abs(response))] == pytest.approx(freq, abs=2e-3)


def test_sources_follow_the_ar2_law_from_the_first_sample_on():
    n_epochs = 20_000
    X, y, info = make_bci_epochs(
        n_epochs, 1, 4, n_sources=1, n_oscillators=1, noise=0.0, mixing=[[1.0]],
        return_info=True, random_state=0,
    )  # fmt: skip
    for k in range(2):
        x = X[y == k, 0]
        expected = _autocovariance(info.ar_coefs[k], info.innovation_variance[k], 4)
        # Four standard errors of a product of two unit-variance normals.
        atol = 4 * np.sqrt(2 / len(x))
        np.testing.assert_allclose((x[:, :1] * x).mean(axis=0), expected, atol=atol)


def test_covariance_at_lag_zero_is_the_same_in_both_classes():
    X, y, info = make_bci_epochs(400, 6, 500, return_info=True, random_state=0)
    for k in range(2):
        covariance = np.einsum("nct,ndt->cd", X[y == k], X[y == k])
        covariance /= (y == k).sum() * X.shape[2]
        np.testing.assert_allclose(covariance, info.covariance, atol=0.05)


def test_other_sources_and_noise_are_white():
    X, _ = make_bci_epochs(200, 4, 300, n_oscillators=0, random_state=0)
    for lag in (1, 2, 5):
        product = np.einsum("nct,ndt->cd", X[..., lag:], X[..., :-lag])
        product /= X.shape[0] * (X.shape[2] - lag)
        np.testing.assert_allclose(product, 0, atol=0.03)


def test_mixing_is_the_given_one_and_shared_by_all_epochs():
    mixing = np.random.default_rng(0).normal(size=(5, 3))
    X, _, info = make_bci_epochs(
        4, 5, 50, n_sources=3, noise=0.0, mixing=mixing, return_info=True
    )
    assert np.array_equal(info.mixing, mixing)
    stacked = np.concatenate(X, axis=1)
    assert np.linalg.matrix_rank(np.hstack([stacked, mixing])) == 3


def test_random_mixing_gives_every_channel_a_signal_of_variance_one():
    _, _, info = make_bci_epochs(2, 6, 10, noise=0.0, return_info=True)
    np.testing.assert_allclose(np.diag(info.covariance), 1.0)


@pytest.mark.parametrize("freqs", [(9.0, 11.0), (8.0, 10.0, 12.0), (10.0,)])
def test_a_class_per_frequency_in_equal_numbers(freqs):
    X, y = make_bci_epochs(12, 3, 40, freqs=freqs, random_state=0)
    assert X.shape == (12, 3, 40)
    assert np.bincount(y).tolist() == [12 // len(freqs)] * len(freqs)


def test_the_seed_determines_everything():
    first = make_bci_epochs(6, 3, 40, random_state=1)
    second = make_bci_epochs(6, 3, 40, random_state=1)
    other = make_bci_epochs(6, 3, 40, random_state=2)
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_epochs": 0}, "'n_epochs' parameter"),
        ({"n_epochs": 1}, "n_epochs=1 is less than the number of classes, 2"),
        ({"n_channels": 2.5}, "'n_channels' parameter"),
        ({"pole_radius": 1.0}, "'pole_radius' parameter"),
        ({"noise": -1.0}, "'noise' parameter"),
        ({"freqs": (9.0, 70.0)}, "sfreq / 2 = 62.5"),
        ({"freqs": (0.0, 9.0)}, "sfreq / 2 = 62.5"),
        ({"freqs": ()}, "one frequency a class"),
        ({"n_oscillators": 9}, "n_oscillators=9 is more than n_sources=8"),
        ({"mixing": np.eye(3)}, r"\(8, 8\); got \(3, 3\)"),
        ({"mixing": np.full((8, 8), np.nan)}, "mixing contains NaN"),
    ],
)
def test_wrong_parameters_are_named(parameters, message):
    with pytest.raises(ValueError, match=message):
        make_bci_epochs(**parameters)


@pytest.mark.parametrize("seed", range(3))
def test_only_the_augmented_covariance_tells_the_classes_apart(seed):
    """Peers' own code: chance at order 1, nearly perfect at order 4 and lag 2."""
    features = pytest.importorskip("moabb.pipelines.features")
    estimation = pytest.importorskip("pyriemann.estimation")
    tangentspace = pytest.importorskip("pyriemann.tangentspace")
    X, y = make_bci_epochs(120, 8, 500, random_state=seed)

    def score(order, lag):
        pipeline = make_pipeline(
            features.AugmentedDataset(order, lag),
            estimation.Covariances("oas"),
            tangentspace.TangentSpace(),
            SVC(kernel="linear"),
        )
        cv = StratifiedKFold(5, shuffle=True, random_state=0)
        return cross_val_score(pipeline, X, y, cv=cv).mean()

    assert score(order=1, lag=1) <= 0.65
    assert score(order=4, lag=2) >= 0.95
