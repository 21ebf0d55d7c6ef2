"""Chunks: in whatever sizes they come, the result is that of the whole table."""

import tracemalloc

import numpy as np
import pytest
from scipy import sparse

from sklogit.sketching import SketchedLinearRegression
from sklogit.sketching._regression_data import is_chunks

from .regression_common import least_squares

PARAMS = {"sketch_size": 150, "random_state": 3}


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((5000, 6)) * (rng.random((5000, 6)) < 0.5)
    y = X @ rng.standard_normal(6) + rng.standard_normal(5000)
    return X, y, rng.integers(0, 3, 5000).astype(float)


def cut(table, size, container=np.asarray):
    X, y, weight = table
    for i in range(0, len(X), size):
        part = slice(i, i + size)
        yield container(X[part]), y[part], weight[part]


def regression(**params):
    return SketchedLinearRegression(solver="sketch", **{**PARAMS, **params})


def assert_same(first, second, rtol=1e-11):
    for name in ("coef_", "intercept_", "coef_error_", "coef_std_error_"):
        np.testing.assert_allclose(
            getattr(first, name), getattr(second, name), rtol=rtol
        )
    assert first.n_samples_seen_ == second.n_samples_seen_


# -- one pass --------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1000, 777, 64, 5000])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_partial_fit_equals_fit_however_the_rows_are_cut(table, size, container):
    whole = regression().fit(*table)
    parts = regression()
    for X, y, weight in cut(table, size, container):
        parts.partial_fit(X, y, weight)
    assert_same(parts, whole)
    assert parts.n_samples_seen_ == 5000


def test_iterators_and_functions_of_chunks_equal_arrays(table):
    whole = regression().fit(*table)
    assert_same(regression().fit(cut(table, 700)), whole)
    assert_same(regression().fit(lambda: cut(table, 700)), whole)
    assert_same(regression().partial_fit(cut(table, 700)), whole)


def test_iterators_are_told_from_arrays():
    assert is_chunks(iter([]), None)
    assert is_chunks(lambda: None, None)
    assert not is_chunks([[1.0]], None)
    assert not is_chunks([[1.0]], [1.0])


@pytest.mark.parametrize("params", [{}, {"eps": 0.5}, {"solver": "iterative"}])
def test_single_chunks_may_have_no_weight(table, params):
    X, y, weight = table
    weight = np.where(np.arange(5000) < 1400, 0.0, weight + 1.0)
    whole = SketchedLinearRegression(random_state=0, **params).fit(X, y, weight)
    if "solver" in params:
        chunks = SketchedLinearRegression(random_state=0, **params)
        chunks.fit(lambda: cut((X, y, weight), 700))
    else:
        chunks = SketchedLinearRegression(random_state=0, **params)
        chunks.fit(cut((X, y, weight), 700))
    np.testing.assert_allclose(chunks.coef_, whole.coef_, rtol=1e-8)


def test_all_chunks_without_weight_are_refused(table):
    X, y, weight = table
    chunks = (X, y, 0 * weight)
    for given in (cut(chunks, 700), lambda: cut(chunks, 700)):
        for params in ({}, {"solver": "sketch"}):
            reg = SketchedLinearRegression(random_state=0, **params)
            with pytest.raises(ValueError, match="must be positive for one row"):
                reg.fit(given if callable(given) else cut(chunks, 700))


# -- one pass that keeps moments -------------------------------------------------------


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("alpha", [0.0, 2.0])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_well_conditioned_streams_are_solved_exactly(
    table, container, alpha, fit_intercept
):
    X, y, weight = table
    X = X + 10.0 * np.arange(6)
    params = {"alpha": alpha, "fit_intercept": fit_intercept, "random_state": 0}
    reg = SketchedLinearRegression(**params)
    reg.fit(cut((X, y, weight), 700, container))
    whole = SketchedLinearRegression(solver="exact", **params).fit(X, y, weight)
    assert (reg.solver_, reg.n_iter_) == ("cholesky", 1)
    np.testing.assert_allclose(reg.coef_, whole.coef_, rtol=1e-9)
    np.testing.assert_allclose(reg.intercept_, whole.intercept_, rtol=1e-9)
    np.testing.assert_allclose(reg.coef_std_error_, whole.coef_std_error_, rtol=1e-9)
    assert (np.abs(reg.coef_ - whole.coef_) <= reg.coef_error_).all()
    assert reg.coef_error_.max() < 1e-6


def test_chunks_may_be_sparse_or_dense(table):
    X, y, weight = table
    X = X + 10.0
    chunks = list(cut((X, y, weight), 700))
    chunks[3] = (sparse.csr_array(chunks[3][0]), *chunks[3][1:])
    expected = least_squares(X, y, weight)[0][:, 0]
    for given in (chunks, chunks[::-1], chunks[3:] + chunks[:3]):
        for params in ({}, {"solver": "preconditioned_cholesky"}):
            reg = SketchedLinearRegression(random_state=0, **params)
            reg.fit(lambda given=given: iter(given))
            np.testing.assert_allclose(reg.coef_, expected, rtol=1e-10)
        reg = SketchedLinearRegression(random_state=0).fit(iter(given))
        np.testing.assert_allclose(reg.coef_, expected, rtol=1e-9)


def test_dependent_streams_are_solved_by_the_sketch(table):
    X, y, weight = table
    X = np.column_stack([X, X[:, 0] + 1e-9 * X[:, 1]])
    stream = SketchedLinearRegression(random_state=3).fit(cut((X, y, weight), 700))
    whole = SketchedLinearRegression(eps=0.5, random_state=3).fit(X, y, weight)
    assert stream.solver_ == "sketch"
    np.testing.assert_allclose(stream.predict(X), whole.predict(X), rtol=1e-5)


def test_streams_of_moments_merge(table):
    X, y, weight = table
    X = X + 1e4  # the first chunks centre them differently
    left, right = (SketchedLinearRegression(random_state=0) for _ in range(2))
    left.partial_fit(X[:2048], y[:2048], weight[:2048])
    right.partial_fit(X[2048:], y[2048:], weight[2048:], first_row=2048)
    expected = least_squares(X, y, weight)[0][:, 0]
    np.testing.assert_allclose(left.merge(right).coef_, expected, rtol=1e-9)
    assert left.solver_ == "cholesky"
    sketched = SketchedLinearRegression(eps=0.5, random_state=0)
    sketched.partial_fit(X[:2048], y[:2048], weight[:2048])
    with pytest.raises(ValueError, match="eps or solver differ"):
        sketched.merge(right)


# -- merging ---------------------------------------------------------------------------


def test_parts_merge_to_the_whole(table):
    X, y, weight = table
    whole = regression().fit(*table)
    left = regression().partial_fit(X[:2048], y[:2048], weight[:2048])
    right = regression()
    right.partial_fit(X[2048:], y[2048:], weight[2048:], first_row=2048)
    before = right.coef_.copy()
    assert_same(left.merge(right), whole)
    np.testing.assert_array_equal(right.coef_, before)


def test_fit_forgets_what_was_streamed(table):
    X, y, weight = table
    reg = regression().partial_fit(X[:1000], y[:1000])
    assert_same(reg.fit(*table), regression().fit(*table))
    reg.partial_fit(X, y, weight)
    assert reg.n_samples_seen_ == 5000


def test_several_targets(table):
    X, y, weight = table
    Y = np.column_stack([y, -y, X[:, 0]])
    whole = regression().fit(X, Y, weight)
    assert whole.coef_.shape == (3, 6)
    assert_same(regression().fit(cut((X, Y, weight), 700)), whole, rtol=1e-9)


def test_float32_is_sketched_in_float32(table):
    X, y, weight = table
    X = X.astype(np.float32)
    reg = regression().fit(cut((X, y, weight), 700))
    assert reg.coef_.dtype == np.float32
    expected = regression().fit(X.astype(float), y, weight)
    np.testing.assert_allclose(reg.coef_, expected.coef_, rtol=1e-4)


# -- repeated passes over chunks -------------------------------------------------------


@pytest.mark.parametrize(
    "solver", ["auto", "exact", "cholesky", "preconditioned_cholesky", "iterative"]
)
def test_functions_of_chunks_are_solved_exactly(table, solver):
    reg = SketchedLinearRegression(solver=solver, random_state=0)
    reg.fit(lambda: cut(table, 700))
    X, y, weight = table
    coef, intercept = least_squares(X, y, weight)
    np.testing.assert_allclose(reg.coef_, coef[:, 0], rtol=1e-10)
    np.testing.assert_allclose(reg.intercept_, intercept[0], rtol=1e-10)
    assert reg.n_samples_seen_ == 5000


def test_few_rows_in_chunks_are_solved_too(table):
    reg = SketchedLinearRegression(random_state=0)
    X, y, _ = table
    reg.fit(lambda: iter([(X[:3], y[:3]), (X[3:5], y[3:5])]))
    np.testing.assert_allclose(
        reg.coef_, least_squares(X[:5], y[:5])[0][:, 0], rtol=1e-9, atol=1e-12
    )


def test_a_function_that_yields_other_rows_the_next_time_is_refused(table):
    lengths = iter([10, 10, 9])

    def chunks():
        n = 500 * next(lengths)
        return iter([(table[0][:n], table[1][:n])])

    with pytest.raises(ValueError, match="yields 4500 rows this time, it was 5000"):
        SketchedLinearRegression().fit(chunks)


def test_an_exhausted_iterator_instead_of_a_new_one_is_refused(table):
    chunks = cut(table, 700)
    with pytest.raises(ValueError, match="new iterator"):
        SketchedLinearRegression().fit(lambda: chunks)


# -- failures --------------------------------------------------------------------------


def failing(table, size, n_good, error):
    for number, chunk in enumerate(cut(table, size)):
        if number == n_good:
            raise error
        yield chunk


@pytest.mark.parametrize("error", [OSError("truncated"), KeyboardInterrupt()])
def test_partial_fit_keeps_what_came_before_a_failure_and_resumes(table, error):
    reg = regression()
    with pytest.raises(type(error)):
        reg.partial_fit(failing(table, 700, 3, error))
    assert reg.n_samples_seen_ == 2100
    X, y, weight = table
    so_far = regression().fit(X[:2100], y[:2100], weight[:2100])
    assert_same(reg, so_far)
    reg.partial_fit(cut((X[2100:], y[2100:], weight[2100:]), 500))
    assert_same(reg, regression().fit(*table))


def test_an_interrupted_update_adds_to_no_sum(table, monkeypatch):
    X, y, _ = table
    reg = SketchedLinearRegression(random_state=0).partial_fit(X[:1000], y[:1000])

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(reg._stream.rows), "update", interrupt)
        with pytest.raises(KeyboardInterrupt):
            reg.partial_fit(X[1000:], y[1000:])
    reg.partial_fit(X[1000:], y[1000:])
    whole = SketchedLinearRegression(random_state=0).partial_fit(X, y)
    np.testing.assert_allclose(reg.coef_, whole.coef_, rtol=1e-11)
    assert reg.n_samples_seen_ == 5000


def test_fit_keeps_nothing_of_a_failed_stream_and_says_how_far_it_came(table):
    reg = regression().fit(*table)
    before = reg.coef_.copy()
    with pytest.raises(OSError, match="truncated") as caught:
        reg.fit(failing(table, 700, 3, OSError("truncated")))
    assert any("After 2100 rows" in note for note in caught.value.__notes__)
    np.testing.assert_array_equal(reg.coef_, before)


@pytest.mark.parametrize("is_first", [True, False])
def test_a_bad_chunk_changes_nothing(table, is_first):
    X, y, weight = table
    reg = regression()
    if not is_first:
        reg.partial_fit(X[:1000], y[:1000])
    before = vars(reg).copy()
    bad = X[1000:2000].copy()
    bad[3, 3] = np.nan
    for args, message in [
        ((bad, y[1000:2000]), "NaN"),
        ((X[1000:2000], y[1000:2000], -weight[1000:2000] - 1), "[Nn]egative"),
        ((X[1000:2000], y[1000:1999]), "inconsistent"),
    ]:
        with pytest.raises(ValueError, match=message):
            reg.partial_fit(*args)
        assert vars(reg).keys() == before.keys()
    if is_first:
        return
    for args, message in [
        ((X[1000:2000, :5], y[1000:2000]), "5 features"),
        ((X[1000:2000], np.column_stack([y, y])[1000:2000]), "2 targets"),
    ]:
        with pytest.raises(ValueError, match=message):
            reg.partial_fit(*args)
    reg.partial_fit(X[1000:], y[1000:])
    assert_same(reg, regression().fit(X, y))


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        (iter([]), "yields no chunk"),
        (iter([1.0]), "chunk 0 is float"),
        (iter([(np.ones((3, 2)),)]), "must be \\(X, y\\)"),
    ],
)
def test_what_is_no_chunk_is_refused(chunks, message):
    with pytest.raises(ValueError, match=message):
        regression().fit(chunks)


def test_a_function_that_returns_no_iterator_is_refused():
    with pytest.raises(ValueError, match="must return an iterator of chunks"):
        SketchedLinearRegression().fit(lambda: 3)


def test_targets_belong_into_the_chunks(table):
    with pytest.raises(ValueError, match="y must be None when X yields chunks"):
        SketchedLinearRegression().fit(cut(table, 700), table[1])


def test_weights_belong_into_the_chunks(table):
    with pytest.raises(ValueError, match="sample_weight must be None"):
        SketchedLinearRegression().fit(lambda: cut(table, 700), None, table[2])
    with pytest.raises(ValueError, match="sample_weight must be None"):
        regression().fit(cut(table, 700), None, table[2])


def test_solvers_that_read_again_refuse_iterators(table):
    reg = SketchedLinearRegression(solver="cholesky")
    with pytest.raises(ValueError, match="can be read once"):
        reg.fit(cut(table, 700))
    assert not hasattr(reg, "partial_fit")


@pytest.mark.parametrize("params", [{"random_state": 4}, {"sketch_size": 160}])
def test_sketches_of_other_seeds_or_sizes_do_not_merge(table, params):
    X, y, _ = table
    left = regression().partial_fit(X[:2048], y[:2048])
    right = regression(**params).partial_fit(X[2048:], y[2048:], first_row=2048)
    before = left.coef_.copy()
    with pytest.raises(ValueError, match=r"seed|size"):
        left.merge(right)
    np.testing.assert_array_equal(left.coef_, before)


def test_sketches_of_the_same_rows_do_not_merge(table):
    X, y, _ = table
    left = regression().partial_fit(X[:2048], y[:2048])
    right = regression().partial_fit(X[2048:], y[2048:])  # no first_row
    with pytest.raises(ValueError, match="have been sketched already"):
        left.merge(right)


def test_exact_fits_do_not_merge(table):
    exact = SketchedLinearRegression().fit(*table)
    with pytest.raises(ValueError, match="merge needs sketches"):
        exact.merge(exact)


# -- memory ----------------------------------------------------------------------------


def test_memory_does_not_grow_with_the_rows(tmp_path):
    rng = np.random.default_rng(0)
    X = np.memmap(tmp_path / "X", dtype=float, shape=(200_000, 20), mode="w+")
    for i in range(0, len(X), 20_000):
        X[i : i + 20_000] = rng.standard_normal((20_000, 20))
    y = rng.standard_normal(len(X))
    peaks = []
    for n in (50_000, 200_000):
        tracemalloc.start()
        SketchedLinearRegression(random_state=0).fit(X[:n], y[:n])
        SketchedLinearRegression(eps=1.0, random_state=0).fit(X[:n], y[:n])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # The table has 8 and 32 MB; a block, moments and sketch have less than 6.
    assert max(peaks) < 8e6
    assert peaks[1] - peaks[0] < 1e6
