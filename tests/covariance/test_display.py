import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from sklogit.covariance import (
    AugmentedCovarianceClassifierCV,
    AugmentedCovarianceDisplay,
    AugmentedCovariances,
    EmbeddingScoreDisplay,
    SPDTangentSpace,
)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def epochs():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((24, 2, 80)), np.arange(24) % 2
    X[y == 1, 0, 1:] += X[y == 1, 0, :-1]
    return X, y


@pytest.fixture(scope="module")
def search(epochs):
    return AugmentedCovarianceClassifierCV(
        orders=[1, 3], lags=[2, 4, 5], Cs=[0.1, 1.0], kernels=["linear"], cv=2
    ).fit(*epochs)


def test_score_map_holds_the_best_classifier_of_each_pair(search):
    display = EmbeddingScoreDisplay.from_estimator(search)
    results = search.cv_results_
    for i, order in enumerate([1, 3]):
        for j, lag in enumerate([2, 4, 5]):
            rows = (results["param_order"] == order) & (results["param_lag"] == lag)
            assert display.scores[i, j] == results["mean_test_score"][rows].max()
    assert display.scores.max() == search.best_score_


def test_score_map_reads_a_grid_search_over_a_pipeline(epochs, search):
    pipeline = make_pipeline(
        AugmentedCovariances(), SPDTangentSpace(tol=1e-4), SVC(kernel="linear")
    )
    grid = {
        "augmentedcovariances__order": [1, 3],
        "augmentedcovariances__lag": [2, 4, 5],
        "svc__C": [0.1, 1.0],
    }
    peer = GridSearchCV(pipeline, grid, cv=2).fit(*epochs)
    np.testing.assert_array_equal(
        EmbeddingScoreDisplay.from_estimator(peer).scores,
        EmbeddingScoreDisplay.from_estimator(search).scores,
    )


def test_score_map_frames_the_best_cell_and_names_the_axes(search):
    display = EmbeddingScoreDisplay.from_estimator(search)
    frame = display.ax_.patches[0]
    row, column = np.unravel_index(display.scores.argmax(), display.scores.shape)
    assert frame.get_xy() == (column - 0.5, row - 0.5)
    assert [tick.get_text() for tick in display.ax_.get_xticklabels()] == list("245")
    assert [tick.get_text() for tick in display.ax_.get_yticklabels()] == list("13")


def test_score_map_leaves_cells_that_failed_empty():
    scores = np.array([[0.5, 0.6], [0.7, np.nan]])
    display = EmbeddingScoreDisplay(scores, orders=[1, 2], lags=[1, 9]).plot()
    assert display.text_[1, 1] is None
    assert display.text_[1, 0].get_text() == "0.70"
    assert display.im_.get_array().mask[1, 1]


def test_score_map_without_values_draws_on_the_given_axes(search):
    _, ax = plt.subplots()
    display = EmbeddingScoreDisplay.from_estimator(search, ax=ax, include_values=False)
    assert display.ax_ is ax
    assert display.text_ is None


def test_score_map_refuses_an_unfitted_search():
    with pytest.raises(NotFittedError):
        EmbeddingScoreDisplay.from_estimator(AugmentedCovarianceClassifierCV())


def test_score_map_refuses_a_search_without_order(epochs):
    X, y = epochs
    search = GridSearchCV(SVC(), {"C": [1.0]}, cv=2).fit(X[:, 0], y)
    with pytest.raises(ValueError, match=r"no parameter named 'order'; found \['C'\]"):
        EmbeddingScoreDisplay.from_estimator(search)


def test_matrix_is_the_mean_augmented_correlation(epochs):
    X, _ = epochs
    acm = AugmentedCovariances(order=3, lag=2, estimator="scm").fit(X)
    display = AugmentedCovarianceDisplay.from_estimator(acm, X)
    mean = acm.transform(X).mean(axis=0)
    std = np.sqrt(np.diag(mean))
    np.testing.assert_allclose(display.covariance, mean / std / std[:, np.newaxis])
    raw = AugmentedCovarianceDisplay.from_estimator(acm, X, normalize=False)
    np.testing.assert_allclose(raw.covariance, mean)


def test_matrix_has_a_line_between_all_blocks_and_delays_in_milliseconds(epochs):
    X, _ = epochs
    acm = AugmentedCovariances(order=3, lag=2).fit(X)
    ax = AugmentedCovarianceDisplay.from_estimator(acm, X, sfreq=125.0).ax_
    assert len(ax.lines) == 2 * (3 - 1)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["0", "16", "32"]
    assert "ms" in ax.get_xlabel()


def test_matrix_has_a_symmetric_colour_scale(epochs):
    X, _ = epochs
    acm = AugmentedCovariances(order=2, lag=1).fit(X)
    display = AugmentedCovarianceDisplay.from_estimator(acm, X)
    assert display.im_.get_clim() == pytest.approx((-1.0, 1.0))
    assert display.plot(vmax=0.5).im_.get_clim() == (-0.5, 0.5)


def test_matrix_keeps_the_centring_of_the_estimator(epochs):
    X, _ = epochs
    acm = AugmentedCovariances(order=2, assume_centered=True).fit(X + 100.0)
    display = AugmentedCovarianceDisplay.from_estimator(acm, X + 100.0, normalize=False)
    np.testing.assert_allclose(
        display.covariance, acm.transform(X + 100.0).mean(axis=0)
    )


def test_matrix_of_a_search_is_that_of_its_best(epochs, search):
    display = AugmentedCovarianceDisplay.from_estimator(search, epochs[0])
    assert display.order == search.best_params_["order"]


def test_matrix_of_a_flat_channel_has_no_nan(epochs):
    X = epochs[0].copy()
    X[:, 1] = 0.0
    acm = AugmentedCovariances(order=2, estimator="cov").fit(X)
    display = AugmentedCovarianceDisplay.from_estimator(acm, X)
    assert np.isfinite(display.covariance).all()


def test_matrix_refuses_what_has_no_order_and_blocks_that_do_not_fit(epochs):
    with pytest.raises(TypeError, match="one order and one lag, found SVC"):
        AugmentedCovarianceDisplay.from_estimator(SVC(), epochs[0])
    with pytest.raises(ValueError, match=r"order=2 .* found shape \(5, 5\)"):
        AugmentedCovarianceDisplay(np.eye(5), order=2, lag=1).plot()
