"""BLAS keeps to one thread where blocks are small."""

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from sklogit._blas_threads import one_blas_thread
from sklogit.sketching import SketchedLinearRegression
from sklogit.sketching import _sums as sums


def blas_threads():
    return {
        library["num_threads"]
        for library in threadpool_info()
        if library["user_api"] == "blas"
    }


def test_the_last_to_leave_restores_the_number_of_threads():
    with threadpool_limits(2, "blas"):
        with one_blas_thread:
            with one_blas_thread:
                assert blas_threads() == {1}
            assert blas_threads() == {1}
        assert blas_threads() == {2}


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_sums_over_blocks_of_rows_use_one_thread_of_blas(monkeypatch, n_jobs):
    seen, add = [], sums.Moments.add

    def watched(self, *args):
        seen.append(blas_threads())
        return add(self, *args)

    monkeypatch.setattr(sums.Moments, "add", watched)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((3000, 8))
    with threadpool_limits(2, "blas"):
        SketchedLinearRegression(solver="cholesky", n_jobs=n_jobs).fit(X, X[:, 0])
        assert blas_threads() == {2}
    assert seen
    assert all(threads == {1} for threads in seen)
