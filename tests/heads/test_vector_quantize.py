"""Clusters of rows, against scikit-learn's k-means and the definition of the error."""

import warnings

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from sklogit.heads import _vector_quantize, vector_quantize_rows
from sklogit.heads._feature_moments import FeatureMoments


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    return rng.standard_normal((60, 4)) * [5.0, 2.0, 1.0, 0.5]


def error(W, codebook, codes, metric=None, weight=None):
    R = W - codebook[codes]
    metric = np.eye(W.shape[1]) if metric is None else metric
    squares = np.einsum("vi,ij,vj->v", R, metric, R)
    return np.average(squares, weights=weight)


def test_without_metric_and_weights_it_is_kmeans(rows):
    codebook, codes = vector_quantize_rows(rows, 6, random_state=0)
    kmeans = KMeans(6, n_init=1, max_iter=100, random_state=0).fit(rows)
    assert adjusted_rand_score(codes, kmeans.labels_) == 1
    order = kmeans.labels_[[np.flatnonzero(codes == k)[0] for k in range(6)]]
    np.testing.assert_allclose(codebook, kmeans.cluster_centers_[order], atol=1e-10)


def test_the_identity_as_metric_and_equal_weights_change_nothing(rows):
    plain = vector_quantize_rows(rows, 6, random_state=0)
    weighted = vector_quantize_rows(
        rows, 6, metric=np.eye(4), sample_weight=np.full(60, 3.0), random_state=0
    )
    np.testing.assert_array_equal(plain[1], weighted[1])
    np.testing.assert_allclose(plain[0], weighted[0], atol=1e-12)


def test_metric_and_weights_lower_the_error_they_define(rows):
    rng = np.random.default_rng(1)
    A = rng.standard_normal((4, 4)) * [0.1, 0.5, 2.0, 8.0]
    metric, weight = A.T @ A, rng.zipf(1.5, 60).clip(max=1000).astype(float)
    own = vector_quantize_rows(
        rows, 6, metric=metric, sample_weight=weight, random_state=0
    )
    plain = vector_quantize_rows(rows, 6, random_state=0)
    assert error(rows, *own, metric, weight) < 0.6 * error(rows, *plain, metric, weight)
    assert error(rows, *plain) < error(rows, *own)


def test_code_vectors_are_weighted_means(rows):
    weight = np.arange(60.0)
    codebook, codes = vector_quantize_rows(rows, 5, sample_weight=weight)
    for k, vector in enumerate(codebook):
        own = codes == k
        np.testing.assert_allclose(
            vector, np.average(rows[own], axis=0, weights=weight[own])
        )


def test_weights_repeat_rows(rows):
    weight = np.random.default_rng(0).integers(1, 4, 60)
    repeated = np.repeat(rows, weight, axis=0)
    # From the same start: the random one differs.
    start = rows[:6]
    weighted = KMeans(6, init=start, n_init=1).fit(rows, sample_weight=weight)
    plain = KMeans(6, init=start, n_init=1).fit(repeated)
    expected = error(repeated, plain.cluster_centers_, plain.labels_)
    found = error(rows, weighted.cluster_centers_, weighted.labels_, weight=weight)
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("n_codes", [1, 60])
def test_one_code_and_a_code_for_each_row(rows, n_codes):
    codebook, codes = vector_quantize_rows(rows, n_codes, random_state=0)
    assert codebook.shape == (n_codes, 4)
    if n_codes == 60:
        np.testing.assert_array_equal(codebook[codes], rows)
    else:
        np.testing.assert_allclose(codebook[0], rows.mean(axis=0))


def test_codes_without_rows_are_left_out_in_silence(rows):
    distinct = rows[:5][np.arange(60) % 5]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        codebook, codes = vector_quantize_rows(distinct, 20, random_state=0)
    assert codebook.shape == (5, 4)
    np.testing.assert_allclose(codebook[codes], distinct, atol=1e-12)


def test_a_code_of_rows_without_weight_has_their_mean():
    W = np.array([[0.0], [1.0], [100.0], [102.0]])
    codebook, codes = vector_quantize_rows(
        W, 2, sample_weight=[1, 1, 0, 0], random_state=0
    )
    assert np.isfinite(codebook).all()
    assert np.unique(codes).tolist() == list(range(len(codebook)))


def test_singular_metric(rows):
    metric = np.diag([1.0, 0.0, 0.0, 0.0])
    codebook, codes = vector_quantize_rows(rows, 6, metric=metric, random_state=0)
    first = KMeans(6, n_init=5, random_state=0).fit(rows[:, :1]).inertia_ / 60
    assert error(rows, codebook, codes, metric) < 1.5 * first
    vector_quantize_rows(rows, 6, metric=np.zeros((4, 4)))


def test_float32_stays_float32(rows):
    codebook, _ = vector_quantize_rows(rows.astype(np.float32), 6, metric=np.eye(4))
    assert codebook.dtype == np.float32


def test_many_rows_start_on_the_heavy_ones(monkeypatch):
    rng = np.random.default_rng(0)
    centres = 20 * rng.standard_normal((5, 3))
    W = centres[rng.integers(5, size=3000)] + rng.standard_normal((3000, 3))
    weight = rng.exponential(size=3000)
    plain = vector_quantize_rows(W, 5, sample_weight=weight, random_state=0)
    monkeypatch.setattr(_vector_quantize, "_MANY_DISTANCES", 1000)
    sizes = []

    class Recorder(KMeans):
        def fit(self, X, y=None, sample_weight=None):
            sizes.append(len(X))
            return super().fit(X, y, sample_weight)

    monkeypatch.setattr(_vector_quantize, "KMeans", Recorder)
    fast = vector_quantize_rows(W, 5, sample_weight=weight, random_state=0)
    assert sizes == [100, 3000]
    assert error(W, *fast, weight=weight) < 1.01 * error(W, *plain, weight=weight)


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"n_codes": 61}, "n_codes must be at most the number of rows, 60, got 61"),
        ({"n_codes": 0}, "n_codes"),
        ({"metric": np.eye(3)}, r"metric must have the shape \(4, 4\), got \(3, 3\)"),
        ({"metric": np.triu(np.ones((4, 4)))}, "metric must be symmetric"),
        ({"metric": -np.eye(4)}, "metric must be positive semi-definite"),
        ({"metric": np.full((4, 4), np.nan)}, "metric"),
        ({"sample_weight": np.zeros(60)}, "at least one non-zero"),
        ({"sample_weight": -np.ones(60)}, "[Nn]egative"),
        ({"sample_weight": np.ones(3)}, "sample_weight"),
    ],
)
def test_wrong_arguments_are_refused_by_name(rows, kwargs, match):
    with pytest.raises(ValueError, match=match):
        vector_quantize_rows(rows, **{"n_codes": 5, **kwargs})


def test_nan_is_refused(rows):
    rows[3, 1] = np.nan
    with pytest.raises(ValueError, match="W contains NaN"):
        vector_quantize_rows(rows, 5)


# -- the metric of the logits ----------------------------------------------------------


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_distances_are_mean_squares_of_differences_of_logits(centred, weighted):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 3)) + np.array([1.0, -2.0, 0.0])
    W = rng.standard_normal((4, 3))
    weight = rng.uniform(0, 2, 50) if weighted else None
    rows = FeatureMoments(X, weight).rows_in_logits(W, centred=centred)
    for u, v in [(0, 1), (2, 3)]:
        difference = X @ (W[u] - W[v])
        mean = np.average(difference, weights=weight) if centred else 0.0
        expected = np.average((difference - mean) ** 2, weights=weight)
        assert np.sum((rows[u] - rows[v]) ** 2) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("as_sparse", [False, True])
def test_rows_of_the_data_stand_in_for_the_covariance_of_many_features(as_sparse):
    from scipy.sparse import random_array

    X = random_array((5000, 2100), density=0.01, rng=0, format="csr")
    W = np.random.default_rng(0).standard_normal((5, 2100))
    moments = FeatureMoments(X if as_sparse else X.toarray())
    assert moments.covariance is None
    rows = moments.rows_in_logits(W, centred=True)
    expected = np.var(X @ (W[0] - W[1]))
    assert np.sum((rows[0] - rows[1]) ** 2) == pytest.approx(expected, rel=0.15)
    np.testing.assert_allclose(moments.variance, X.toarray().var(axis=0), atol=1e-12)


def test_sparse_moments_are_dense_ones():
    from scipy.sparse import random_array

    X = random_array((40, 6), density=0.3, rng=0, format="csr")
    weight = np.random.default_rng(0).uniform(0, 2, 40)
    dense, own = FeatureMoments(X.toarray(), weight), FeatureMoments(X, weight)
    np.testing.assert_allclose(own.mean, dense.mean)
    np.testing.assert_allclose(own.covariance, dense.covariance, atol=1e-14)
    np.testing.assert_allclose(
        own.covariance, np.cov(X.toarray().T, aweights=weight, ddof=0), atol=1e-12
    )
