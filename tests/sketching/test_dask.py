"""Dask arrays: the same results, and nothing but sums travels."""

import pickle

import numpy as np
import pytest

from sklogit.sketching import SketchedLinearRegression, _dask, sketched_lstsq
from sklogit.sketching._blocks import ArrayRows
from sklogit.sketching._dask import DaskRows

from .regression_common import least_squares

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")

SOLVERS = ["auto", "exact", "cholesky", "preconditioned_cholesky", "iterative"]


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((4000, 6))
    y = X @ rng.standard_normal(6) + rng.standard_normal(4000)
    return X, y, rng.integers(0, 3, 4000).astype(float)


@pytest.fixture(autouse=True)
def threads():
    with dask.config.set(scheduler="threads"):
        yield


def chunked(X, rows=900, columns=4):
    return da.from_array(X, chunks=(rows, columns) if X.ndim == 2 else rows)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("y_is_dask", [True, False])
def test_exact_solvers_give_the_solution_of_arrays(table, solver, y_is_dask):
    X, y, weight = table
    reg = SketchedLinearRegression(solver=solver, random_state=0)
    if y_is_dask:
        reg.fit(chunked(X), chunked(y, 700), chunked(weight, 500))
    else:
        reg.fit(chunked(X), y, weight)
    coef, intercept = least_squares(X, y, weight)
    np.testing.assert_allclose(reg.coef_, coef[:, 0], rtol=1e-10)
    np.testing.assert_allclose(reg.intercept_, intercept[0], rtol=1e-10)
    plain = SketchedLinearRegression(solver=solver, random_state=0).fit(X, y, weight)
    np.testing.assert_allclose(reg.coef_std_error_, plain.coef_std_error_, rtol=1e-3)


@pytest.mark.parametrize("rows", [900, 4000, 17, (1, 3000, 999)])
def test_the_sketch_does_not_depend_on_the_chunks(table, rows):
    X, y, weight = table
    reg = SketchedLinearRegression(eps=1.0, random_state=0)
    whole = reg.fit(X, y, weight).coef_
    found = reg.fit(chunked(X, rows), chunked(y, rows), weight)
    assert found.solver_ == "sketch"
    np.testing.assert_allclose(found.coef_, whole, rtol=1e-10)


def test_several_targets_and_float32(table):
    X, y, _ = table
    X, Y = X.astype(np.float32), np.column_stack([y, -y])
    reg = SketchedLinearRegression().fit(chunked(X), chunked(Y, 700, 1))
    assert reg.coef_.shape == (2, 6)
    assert reg.coef_.dtype == np.float32
    np.testing.assert_allclose(reg.coef_, least_squares(X, Y)[0].T, rtol=1e-6)


def test_predictions_stay_lazy(table):
    X, y, weight = table
    reg = SketchedLinearRegression(eps=1.0, random_state=0).fit(X, y, weight)
    for method in (reg.predict, reg.predict_error):
        lazy = method(chunked(X))
        assert isinstance(lazy, da.Array)
        np.testing.assert_allclose(lazy.compute(), method(X), rtol=1e-12)


def test_data_frames_of_dask(table):
    pd = pytest.importorskip("pandas")
    dd = pytest.importorskip("dask.dataframe")
    X, y, _ = table
    frame = dd.from_pandas(pd.DataFrame(X, columns=list("abcdef")), npartitions=3)
    target = dd.from_pandas(pd.Series(y), npartitions=3)
    reg = SketchedLinearRegression().fit(frame, target)
    np.testing.assert_allclose(reg.coef_, least_squares(X, y)[0][:, 0], rtol=1e-10)


def test_sketched_lstsq_takes_dask_arrays(table):
    X, y, _ = table
    x, info = sketched_lstsq(chunked(X), chunked(y))
    np.testing.assert_allclose(x, np.linalg.lstsq(X, y)[0], rtol=1e-10)
    assert info.rank == 6


def test_empty_blocks_are_skipped(table):
    X, y, _ = table
    held = da.from_array(X, chunks=((1500, 0, 2500), 6))
    assert held.chunks[0] == (1500, 0, 2500)
    for params in ({}, {"eps": 1.0}, {"solver": "preconditioned_cholesky"}):
        reg = SketchedLinearRegression(random_state=0, **params)
        expected = reg.fit(X, y).coef_
        np.testing.assert_allclose(reg.fit(held, y).coef_, expected, rtol=1e-9)


@pytest.mark.parametrize("where", ["X", "y"])
@pytest.mark.parametrize("params", [{}, {"eps": 1.0}, {"solver": "exact"}])
def test_values_that_are_not_finite_are_found(table, where, params):
    X, y, _ = table
    (X if where == "X" else y)[3456] = np.nan
    with pytest.raises(ValueError, match=f"Input {where} contains NaN"):
        SketchedLinearRegression(**params).fit(chunked(X), chunked(y))


def test_what_does_not_fit_is_refused(table):
    X, y, weight = table
    reg = SketchedLinearRegression()
    X, y = chunked(X), chunked(y)
    for args, message in [
        ((X, None), "y must not be None"),
        ((X[:, 0], y), "Expected 2D array"),
        ((X[:0], y[:0]), "no samples"),
        ((X, y[:100]), "inconsistent"),
        ((X[X[:, 0] > 0], y), "unknown size"),
        ((X, y, weight[:100]), "sample_weight has shape"),
        ((X, y, weight - 1), "not negative"),
        ((X, y, 0 * weight), "not all zero"),
    ]:
        with pytest.raises(ValueError, match=message):
            reg.fit(*args)
    reg.fit(X, y)
    with pytest.raises(ValueError, match="expecting 6 features"):
        reg.predict(X[:, :3])


def test_only_small_arrays_leave_the_blocks(table, monkeypatch):
    X, y, weight = table
    sizes, sent = [], []
    original = _dask._sum_of_block

    def spy(reduction, first_row, *block):
        total = original(reduction, first_row, *block)
        sent.append(len(pickle.dumps(reduction)))
        sizes.append(sum(array.nbytes for array in total))
        return total

    monkeypatch.setattr(_dask, "_sum_of_block", spy)
    for solver in SOLVERS[2:]:
        reg = SketchedLinearRegression(solver=solver, random_state=0)
        reg.fit(chunked(X, 1000), chunked(y, 1000), weight)
        moments = 8 * (6 * 6 + 2 * 6 + 2 * 2)
        sketch = 8 * (reg.sketch_size_ or 0) * 8
        assert max(sizes) <= max(moments, sketch)
        assert max(sent) < 4000
        # Each block contributes once a pass.
        assert len(sizes) == 4 * reg.n_iter_
        sizes.clear()


def test_totals_are_added_in_a_tree(table):
    X, y, _ = table

    class Count:
        block_rows = None

        def zeros(self):
            return (np.zeros(2),)

        def add(self, total, index, X, y, weight):
            total[0][:] += len(X), 1

    rows = DaskRows(chunked(X, 100), y[:, None])
    (total,) = rows.sum(Count())
    np.testing.assert_array_equal(total, [4000, 40])
    (plain,) = ArrayRows(X, y[:, None]).sum(Count())
    assert plain[0] == 4000


def test_on_a_cluster_of_two_processes(table):
    distributed = pytest.importorskip("dask.distributed")
    X, y, weight = table
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster),
        dask.config.set(scheduler="distributed"),
    ):
        lazy = chunked(X, 500).persist()
        for params in ({}, {"solver": "iterative"}, {"eps": 1.0}):
            reg = SketchedLinearRegression(random_state=0, **params)
            expected = reg.fit(X, y, weight).coef_
            found = reg.fit(lazy, chunked(y, 500), weight).coef_
            np.testing.assert_allclose(found, expected, rtol=1e-10)
            prediction = reg.predict(lazy).compute()
            np.testing.assert_allclose(prediction, reg.predict(X), rtol=1e-10)
