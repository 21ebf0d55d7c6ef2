"""How many threads of BLAS a product is worth."""

from contextlib import nullcontext

from .._blas_threads import one_blas_thread

# Below this number of multiplications threads cost more than they bring.
_WORTH_THREADS = 1 << 24


def threads_for(multiplications):
    """Context for products of this size: one thread of BLAS unless they are large.

    Parameters
    ----------
    multiplications : int
        Number of them in one product.

    Returns
    -------
    context manager
        The context.
    """
    return one_blas_thread if multiplications < _WORTH_THREADS else nullcontext()
