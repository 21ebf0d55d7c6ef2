"""One thread of BLAS for work that is shared out, or too small, for more."""

from functools import cache
from threading import Lock

from threadpoolctl import OpenBLASController, ThreadpoolController


@cache
def _controller():
    # Finding the libraries takes milliseconds, longer than the mean of small matrices.
    return ThreadpoolController()


# From 3.8 on threadpoolctl lets only the thread that set a limit of OpenBLAS set it
# again, and ignores the others: without this, neither could the last thread to leave
# restore the limit, nor could anybody else in the process change it afterwards.
_clear_controlling_thread = getattr(
    OpenBLASController, "clear_controlling_thread", lambda force: None
)


class _OneBlasThread:
    """Reentrant context: BLAS has one thread while any caller is inside.

    The number of BLAS threads belongs to the process, so the first thread that enters
    sets it and the last that leaves restores it. Independent limits would restore each
    other's value.
    """

    def __init__(self):
        self._lock = Lock()
        self._inside = 0
        self._limit = None

    def __enter__(self):
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                _clear_controlling_thread(force=True)
                self._limit = _controller().limit(limits=1, user_api="blas")

    def __exit__(self, *exception):
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                _clear_controlling_thread(force=True)
                self._limit.restore_original_limits()
                _clear_controlling_thread(force=True)


one_blas_thread = _OneBlasThread()
