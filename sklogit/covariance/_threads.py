"""Threads over the matrices of a stack, and one thread inside each."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext

from joblib import effective_n_jobs
from sklearn.utils import gen_even_slices

from .._blas_threads import one_blas_thread

# Up to this size one BLAS thread decomposes a matrix as fast as several do, which then
# only wait for each other: two threads took twice the CPU time for the same wall time
# at d = 32, and ten times the wall time when another process had the second core.
_SMALL = 128

# Up to this size BLAS starts no threads of its own, and the limit would cost more than
# the mean of a few matrices.
_TINY = 16


def blas_threads_for(d):
    """Return the context to work on many matrices of size d in one thread."""
    return one_blas_thread if _TINY < d <= _SMALL else nullcontext()


@contextmanager
def threads_over_matrices(n_jobs, n_matrices, d):
    """Share a stack of matrices between threads.

    Parameters
    ----------
    n_jobs : int or None
        Number of threads, as joblib reads it.
    n_matrices : int
        Size of the stack.
    d : int
        Size of a matrix.

    Yields
    ------
    callable
        ``run(function)`` calls ``function(rows)`` with slices that cover the stack, and
        returns the list of its results in order. The slices are the same in every call.
    """
    n_threads = min(effective_n_jobs(n_jobs), n_matrices)
    if n_threads == 1:
        with blas_threads_for(d):
            yield lambda function: [function(slice(0, n_matrices))]
        return
    slices = list(gen_even_slices(n_matrices, n_threads))
    with one_blas_thread, ThreadPoolExecutor(n_threads) as pool:
        yield lambda function: list(pool.map(function, slices))
