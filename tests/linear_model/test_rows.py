"""Blocks of rows in memory, in files and of Dask change no result."""

import pickle

import numpy as np
import pytest
from scipy.sparse import csr_array

from sklogit.linear_model import (
    BatchPerceptron,
    NormalizedLogisticRegression,
    _rows,
    _separating,
)
from sklogit.linear_model._gram import GramProblem
from sklogit.linear_model._labelled_rows import labelled_rows
from sklogit.linear_model._preconditioning import make_coordinates
from sklogit.linear_model._rows import DaskRows, Rows, sum_of_rows
from sklogit.linear_model._separation import Problem

from .common import clusters, separable

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")

NLR = NormalizedLogisticRegression
PARAMS = {
    "max_iter": 5,
    "stopping": "max_iter",
    "keep": "last",
    "on_nonseparable": "ignore",
}
VARIANTS = [
    NLR(**PARAMS),
    NLR(**PARAMS, acceleration="dual_momentum"),
    NLR(**PARAMS, multi_class="ovr"),
    NLR(**PARAMS, preconditioner="diag"),
    NLR(**PARAMS, preconditioner="whiten"),
    BatchPerceptron(**PARAMS),
]
each_variant = pytest.mark.parametrize(
    "clf", VARIANTS, ids=["plain", "momentum", "ovr", "diag", "whiten", "perceptron"]
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(_rows, "_SINGLE_BLOCK_BYTES", 0)
    monkeypatch.setattr(_rows, "_BLOCK_BYTES", 7 * 4 * 8)
    monkeypatch.setattr(_rows, "_SPARSE_BLOCK_SCORES", 21)


@pytest.fixture
def synchronous():
    with dask.config.set(scheduler="synchronous"):
        yield


def data(rng, n_classes):
    X = rng.standard_normal((60, 4)) * (rng.random((60, 4)) < 0.7)
    return X, rng.integers(0, n_classes, 60), rng.integers(0, 3, 60).astype(float)


def results(clf, X, y, weight=None):
    clf.fit(X, y, weight)
    names = ["coef_", "intercept_", "margin_", "probability_scale_"]
    if np.isfinite(clf.margin_upper_bound_):
        names.append("margin_upper_bound_")
    values = [np.ravel(getattr(clf, name)) for name in names]
    return np.concatenate([*values, clf.train_errors_path_, [clf.n_train_errors_]])


# -- blocks in memory ------------------------------------------------------------------


@pytest.mark.parametrize("container", [np.asarray, np.asfortranarray, csr_array])
def test_blocks_are_all_rows_in_their_order(rng, small_blocks, container):
    X, y, weight = data(rng, 2)
    rows = Rows(container(X), y, weight)
    blocks = list(rows.map(lambda X, y, weight: (X, y, weight), n_outputs=3))
    assert len(blocks) == -(-60 // 7)
    if container is csr_array:
        blocks = [(X.toarray(), *rest) for X, *rest in blocks]
    for found, expected in zip(zip(*blocks), (X, y, weight)):
        np.testing.assert_array_equal(np.concatenate(found), expected)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("container", [np.asarray, csr_array])
@pytest.mark.parametrize("weighted", [False, True])
@each_variant
def test_small_blocks_equal_a_single_one(
    rng, request, clf, container, n_classes, weighted
):
    if container is csr_array and clf.get_params()["preconditioner"] == "whiten":
        pytest.skip("needs dense data")
    X, y, weight = data(rng, n_classes)
    args = container(X), y, weight if weighted else None
    single = results(clf, *args)
    request.getfixturevalue("small_blocks")
    np.testing.assert_allclose(results(clf, *args), single, rtol=1e-7, atol=1e-9)


def test_blocks_far_beyond_separation_keep_their_proportions(rng, small_blocks):
    # Sums of blocks have exponents of their own, up to thousands apart.
    X, y = separable(rng, n=60)
    rows = Rows(X, 2.0 * y - 1)
    problem = Problem(rows, make_coordinates(rows, None, 0.0), "binary", 1)
    theta = 1e3 * NLR(fit_intercept=False).fit(X, y).coef_.T
    for weighting in ("logistic", "exponential"):
        found = problem.evaluate(theta, weighting, None).direction[:, 0]
        margins = (2.0 * y - 1) * (X @ theta[:, 0])
        q = np.exp(margins.min() - margins)
        expected = X.T @ (q * (2.0 * y - 1)) / q.sum()
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_blocks_of_rows_are_views(rng, small_blocks):
    X = rng.standard_normal((60, 4))
    for block in Rows(X, np.ones(60)).map(lambda X, y, weight: X):
        assert np.shares_memory(block, X)
    S = csr_array(X)
    for block in Rows(S, np.ones(60)).map(lambda X, y, weight: X):
        assert np.shares_memory(block.data, S.data)


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_vanishing_weights_may_be_left_out_of_a_sum(rng, dtype, n_outputs):
    X = rng.standard_normal((500, 6)).astype(dtype)
    D = rng.standard_normal((500, n_outputs)).astype(dtype)
    D[rng.random(500) < 0.97] *= dtype(1e-25)
    D = D[:, 0] if n_outputs == 1 else D
    expected = X.T.astype(np.float64) @ D.astype(np.float64)
    tolerance = 20 * np.finfo(dtype).eps
    np.testing.assert_allclose(sum_of_rows(X, D), expected, rtol=1e-4, atol=tolerance)


def test_zero_weights_of_a_sum_do_no_harm():
    X = np.ones((50, 3))
    np.testing.assert_array_equal(sum_of_rows(X, np.zeros(50)), np.zeros(3))


# -- memory-mapped files ---------------------------------------------------------------


def mapped(path, X):
    np.save(path / "X.npy", X)
    return np.load(path / "X.npy", mmap_mode="r")


@pytest.mark.parametrize("n_classes", [2, 3])
@each_variant
def test_memory_mapped_rows_equal_an_array(rng, tmp_path, clf, n_classes):
    X, y, weight = data(rng, n_classes)
    expected = results(clf, X, y, weight)
    np.testing.assert_array_equal(
        results(clf, mapped(tmp_path, X), y, weight), expected
    )


@each_variant
def test_zero_weights_do_not_copy_a_memory_mapped_file(
    rng, tmp_path, small_blocks, monkeypatch, clf
):
    X, y, weight = data(rng, 3)
    assert not weight.all()
    expected = results(clf, X, y, weight)
    separated = []

    def spy(rows, *args):
        separated.append(rows.X)
        return Problem(rows, *args)

    monkeypatch.setattr(_separating, "Problem", spy)
    X = mapped(tmp_path, X)
    found = results(clf, X, y, weight)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    assert np.shares_memory(separated[0], X)


def test_memory_mapped_rows_are_not_copied(rng, tmp_path, small_blocks):
    X, y, _ = data(rng, 2)
    X = mapped(tmp_path, X.astype(np.float32))
    rows = labelled_rows(NLR(), X, y, None)[0].weighted(np.full(60, 2.0))
    assert np.shares_memory(rows.X, X)
    for block in rows.map(lambda X, y, weight: X):
        assert np.shares_memory(block, X)
    assert np.shares_memory(rows.sample(20).X, X)


def test_wide_memory_mapped_rows_get_no_gram_matrix_of_a_copy(rng, tmp_path):
    X, y = rng.standard_normal((10, 50)), np.arange(10) % 2

    def pays(X):
        rows = labelled_rows(NLR(), X, y, None)[0]
        coordinates = make_coordinates(rows, None, 1.0)
        return GramProblem.pays(Problem(rows, coordinates, "binary", 1), 100)

    assert pays(X)
    assert not pays(mapped(tmp_path, X))


# -- Dask ------------------------------------------------------------------------------


@pytest.mark.parametrize("chunks", [(11, 4), (60, 4), (25, 2), ((1, 58, 1), (4,))])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("weighted", [False, True])
@each_variant
def test_dask_equals_numpy(rng, synchronous, clf, n_classes, weighted, chunks):
    X, y, weight = data(rng, n_classes)
    weight = weight if weighted else None
    expected = results(clf, X, y, weight)
    found = results(clf, da.from_array(X, chunks=chunks), y, weight)
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("params", [{}, {"preconditioner": "whiten"}])
def test_dask_array_is_never_held_as_a_whole(rng, synchronous, monkeypatch, params):
    X, y = separable(rng, n=100)
    loaded = []

    def load(block, block_info=None):
        loaded.append(block_info[0]["array-location"][0])
        return X[slice(*loaded[-1])]

    lazy = da.map_blocks(
        load, da.zeros((100, 4), chunks=(20, 4)), dtype=float, meta=np.empty((0, 0))
    )

    def refuse(self, *args, **kwargs):
        raise AssertionError("computes an array")

    monkeypatch.setattr(da.Array, "compute", refuse)
    monkeypatch.setattr(da.Array, "__array__", refuse)
    clf = NLR(**params).fit(lazy, y)
    assert clf.separable_ is True
    blocks = {(i, i + 20) for i in range(0, 100, 20)}
    assert set(loaded) == blocks
    assert set(loaded[:5]) == blocks


def test_functions_sent_to_blocks_carry_no_rows(rng, monkeypatch):
    X, y = rng.standard_normal((5000, 3)), np.arange(5000) % 3
    sizes, apply = [], Rows.map

    def record(self, function, n_outputs=1):
        sizes.append(len(pickle.dumps(function)))
        return apply(self, function, n_outputs)

    monkeypatch.setattr(Rows, "map", record)
    for clf in VARIANTS:
        clf.fit(X, y)
    assert len(sizes) > 10
    assert max(sizes) < 5000


def test_dask_blocks_may_be_empty(rng, synchronous):
    X, y = separable(rng)
    lazy = da.from_array(X, chunks=(10, 4))
    kept = np.r_[np.ones(10), np.zeros(10), np.ones(10)].astype(bool)
    lazy = lazy[da.from_array(kept, chunks=10)]
    with pytest.raises(ValueError, match=r"compute_chunk_sizes"):
        NLR().fit(lazy, y[kept])
    lazy = lazy.compute_chunk_sizes()
    assert 0 in lazy.chunks[0]
    found = NLR().fit(lazy, y[kept])
    np.testing.assert_allclose(found.coef_, NLR().fit(X[kept], y[kept]).coef_)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_one_bad_value_in_a_block_is_found(rng, synchronous, value):
    X, y = separable(rng)
    X[17, 2] = value
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        NLR().fit(da.from_array(X, chunks=(7, 4)), y)


def test_dask_array_of_wrong_shape_is_refused(rng, synchronous):
    X, y = separable(rng)
    lazy = da.from_array(X, chunks=(7, 4))
    with pytest.raises(ValueError, match=r"Expected 2D"):
        NLR().fit(lazy[:, 0], y)
    with pytest.raises(ValueError, match=r"inconsistent"):
        NLR().fit(lazy, y[:-1])
    with pytest.raises(ValueError, match=r"no samples"):
        NLR().fit(lazy[:, :0], y)
    clf = NLR().fit(lazy, y)
    with pytest.raises(ValueError, match=r"3 features.*expecting 4"):
        clf.partial_fit(lazy[:, :3], y)
    assert clf.n_features_in_ == 4


def test_dask_labels_weights_and_integers(rng, synchronous):
    X, y, weight = data(rng, 2)
    X = np.round(3 * X).astype(int)
    clf = VARIANTS[0]
    expected = results(clf, X.astype(float), y, weight)
    found = results(
        clf,
        da.from_array(X, chunks=(11, 4)),
        da.from_array(y, chunks=11),
        da.from_array(weight, chunks=11),
    )
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_dask_float32_stays_float32(rng, synchronous):
    X, y = clusters(rng)
    clf = NLR().fit(da.from_array(X.astype(np.float32), chunks=(9, 4)), y)
    assert clf.coef_.dtype == np.float32
    assert clf.score(X, y) == 1.0


def test_dask_rows_sample_stays_lazy(rng):
    X = da.from_array(rng.standard_normal((30, 2)), chunks=(10, 2))
    sample = DaskRows(X, np.arange(30), np.arange(30.0)).sample(10)
    assert isinstance(sample.X, da.Array)
    np.testing.assert_array_equal(sample.y, np.arange(0, 30, 3))
    np.testing.assert_array_equal(sample.weight, np.arange(0, 30, 3))


def test_dask_predictions_as_the_user_guide_says(rng, synchronous):
    X, y, _ = data(rng, 3)
    names = np.array(["a", "bb", "ccc"])[y]
    clf = NLR(**PARAMS).fit(X, names)
    predictions = da.from_array(X, chunks=(17, 4)).map_blocks(
        clf.predict, drop_axis=1, dtype=clf.classes_.dtype, meta=clf.classes_[:0]
    )
    np.testing.assert_array_equal(predictions.compute(), clf.predict(X))
