"""Numba kernels: compiled once they pay, absent where numba is."""

import threading
from contextlib import contextmanager
from importlib import import_module

# Entries that the NumPy twin of a kernel handles first: about half a second of work,
# as long as it takes to import numba and to load the kernel from its cache.
_PATIENCE = 1 << 27


class CompiledKernel:
    """A kernel that has a NumPy twin, and is compiled when that has cost as much.

    A small problem thus never waits for a compiler; a large one waits once. Both twins
    add the same numbers in the same order, so that the switch cannot be seen.

    Parameters
    ----------
    module : str
        Module of this package that needs numba.
    factory : str
        Its function that returns the compiled kernel for a dtype.
    """

    def __init__(self, module, factory):
        self.module = module
        self.factory = factory
        self._kernels = {}
        self._n_entries = {}
        self._lock = threading.Lock()

    def get(self, dtype, n_entries):
        """Return the kernel, or None if NumPy is to handle these entries.

        Parameters
        ----------
        dtype : dtype
            Float32 or float64.
        n_entries : int
            Entries of the matrix that the caller is about to handle.

        Returns
        -------
        callable or None
            The compiled function.
        """
        if _patience == float("inf"):
            return None
        if dtype in self._kernels:
            return self._kernels[dtype]
        total = self._n_entries.get(dtype, 0) + n_entries
        self._n_entries[dtype] = total
        if total < _patience:
            return None
        with self._lock:  # others wait rather than compile a second time
            if dtype not in self._kernels:
                self._kernels[dtype] = self._compile(dtype)
            return self._kernels[dtype]

    def _compile(self, dtype):
        try:
            module = import_module(f".{self.module}", __package__)
        except ImportError:
            return None
        return getattr(module, self.factory)(dtype)


_patience = _PATIENCE


@contextmanager
def compiled_kernels(enabled):
    """Use the compiled kernels from the start (True) or never (False)."""
    global _patience
    before, _patience = _patience, 0 if enabled else float("inf")
    try:
        yield
    finally:
        _patience = before


def compile_kernel(function, signature):
    """Compile a function without the global lock; keep it on disk where possible."""
    from numba import njit

    try:
        return njit(signature, nogil=True, cache=True)(function)
    except (RuntimeError, OSError):  # no folder to write to, or no space
        return njit(signature, nogil=True)(function)
