"""Threads over stacks of matrices, and the one BLAS thread inside each."""

from threading import Barrier, Thread, current_thread

import numpy as np
import pytest
from threadpoolctl import OpenBLASController, ThreadpoolController

from sklogit.covariance._threads import one_blas_thread, threads_over_matrices

# From 3.8 on, threadpoolctl ignores all threads but the first that sets a limit of
# OpenBLAS, until that thread ends or this is called.
_disown = getattr(OpenBLASController, "clear_controlling_thread", lambda force: None)


@pytest.fixture
def blas():
    """Give BLAS two threads if it can, and return a function that tells how many."""
    controller = ThreadpoolController().select(user_api="blas")
    _disown(force=True)
    limit = controller.limit(limits=2)
    _disown(force=True)
    yield lambda: [library["num_threads"] for library in controller.info()]
    _disown(force=True)
    limit.restore_original_limits()
    _disown(force=True)


@pytest.mark.parametrize("n_jobs", [None, 1, 2, 5])
@pytest.mark.parametrize("n", [1, 2, 11])
def test_slices_cover_the_stack_in_order_and_repeat(n_jobs, n):
    with threads_over_matrices(n_jobs, n, 3) as run:
        for _ in range(2):
            parts = run(lambda rows: np.arange(n)[rows])
            np.testing.assert_array_equal(np.concatenate(parts), np.arange(n))
            assert len(parts) == min(n_jobs or 1, n)


def test_two_jobs_run_at_the_same_time_and_one_runs_in_the_caller():
    # With fewer than two threads the barrier would break.
    barrier = Barrier(2, timeout=10)
    with threads_over_matrices(2, 4, 3) as run:
        assert sorted(run(lambda rows: barrier.wait())) == [0, 1]
    with threads_over_matrices(1, 4, 3) as run:
        assert run(lambda rows: current_thread()) == [current_thread()]


def test_error_in_a_thread_reaches_the_caller():
    def fail(rows):
        raise ValueError(f"rows from {rows.start}")

    with (
        pytest.raises(ValueError, match="rows from 0"),
        threads_over_matrices(2, 4, 3) as run,
    ):
        run(fail)


@pytest.mark.parametrize(
    ("n_jobs", "d", "limited"),
    [(2, 500, True), (2, 3, True), (1, 40, True), (1, 3, False), (1, 500, False)],
)
def test_blas_has_one_thread_inside_threads_and_for_small_matrices(
    blas, n_jobs, d, limited
):
    before = blas()
    with threads_over_matrices(n_jobs, 4, d) as run:
        inside = run(lambda rows: blas())
    assert all(
        counts == ([1] * len(before) if limited else before) for counts in inside
    )
    assert blas() == before


def test_blas_threads_come_back_when_the_last_overlapping_caller_leaves(blas):
    before = blas()
    entered, left = Barrier(2, timeout=10), Barrier(2, timeout=10)

    def other():
        with one_blas_thread:
            entered.wait()
            left.wait()

    thread = Thread(target=other)
    thread.start()
    with one_blas_thread:
        entered.wait()
    # This caller has left; the other is still inside.
    assert blas() == [1] * len(before)
    left.wait()
    thread.join()
    assert blas() == before


def test_last_caller_to_leave_restores_what_the_first_changed(blas):
    # threadpoolctl 3.8 lets no other living thread undo what one has set.
    before = blas()
    entered, left, done = (Barrier(2, timeout=10) for _ in range(3))

    def first():
        with one_blas_thread:
            entered.wait()
            left.wait()
        done.wait()
        done.wait()

    thread = Thread(target=first)
    thread.start()
    entered.wait()
    one_blas_thread.__enter__()
    left.wait()
    done.wait()
    one_blas_thread.__exit__(None, None, None)
    try:
        assert blas() == before
    finally:
        done.wait()
        thread.join()


def test_blas_threads_come_back_after_an_error(blas):
    before = blas()
    with pytest.raises(KeyboardInterrupt), one_blas_thread:
        raise KeyboardInterrupt
    assert blas() == before
