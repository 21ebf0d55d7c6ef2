"""Row sketches by name."""

from sklearn.utils._param_validation import StrOptions, validate_params

from ._dct import DCTSketch
from ._gaussian import GaussianSketch
from ._pooled import GaussianPooledHadamard
from ._sparse_sign import CountSketch, SparseSign
from ._srht import SRHT, BlockSRHT

SKETCHES = {
    "block_srht": BlockSRHT,
    "srht": SRHT,
    "dct": DCTSketch,
    "gaussian_pooled": GaussianPooledHadamard,
    "gaussian": GaussianSketch,
    "sparse_sign": SparseSign,
    "countsketch": CountSketch,
}


def make_operator(method, sketch_size, *, block_size=None, seed, n_columns, **options):
    """Return the random matrix S of a method, applied block by block.

    Parameters
    ----------
    method : str
        One of `SKETCHES`.
    sketch_size : int
        Number m of rows of S.
    block_size : int or None, default=None
        Number of rows of a block; None takes the one that suits the method.
    seed : int
        Key of the random numbers.
    n_columns : int
        Number of columns of the matrix to sketch.
    **options
        Options of the method, such as ``nnz`` of "sparse_sign".

    Returns
    -------
    BlockOperator
        S; ``apply(q, Z, out)`` adds S_q Z to `out`.

    Raises
    ------
    ValueError
        If the sizes do not suit the method.
    """
    sketch = SKETCHES[method](
        sketch_size, block_size=block_size, random_state=seed, **options
    )
    return sketch._operator_for(n_columns)


@validate_params(
    {
        "A": ["array-like", "sparse matrix"],
        "method": [StrOptions(set(SKETCHES))],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def sketch_rows(A, sketch_size, method="block_srht", *, random_state=None, **options):
    r"""Return a sketch S A of the rows of a matrix.

    S is a random matrix with the expectation of :math:`S^T S` equal to the identity; it
    is applied in one read of A, and never formed.

    Parameters
    ----------
    A : {array-like, sparse matrix} of shape (n_rows, n_columns)
        Matrix; float32 stays float32. A memory-mapped array is read block by block.
    sketch_size : int
        Number m of rows of the sketch.
    method : str, default="block_srht"
        - ``"block_srht"``: `BlockSRHT`, the fastest dense sketch;
        - ``"srht"``: `SRHT`, rows of one Hadamard transform of all rows;
        - ``"dct"``: as "block_srht", with the cosine transform;
        - ``"gaussian_pooled"``: `GaussianPooledHadamard`, which has a proved guarantee;
        - ``"gaussian"``: `GaussianSketch`, slow;
        - ``"sparse_sign"``: `SparseSign`, the fastest on sparse matrices;
        - ``"countsketch"``: `CountSketch`.
    random_state : int, RandomState instance or None, default=None
        An int is the key of the random numbers; else one is drawn.
    **options
        ``block_size`` of all methods, and ``nnz`` of "sparse_sign".

    Returns
    -------
    ndarray of shape (sketch_size, n_columns)
        S A.

    Raises
    ------
    ValueError
        If the method is unknown, a size does not suit it, or a value is not finite.

    See Also
    --------
    sketch_size : How many rows a wished accuracy takes.
    SketchedLinearRegression : Regression by sketches.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.sketching import sketch_rows
    >>> A = np.random.default_rng(0).standard_normal((10000, 5))
    >>> SA = sketch_rows(A, 1000, random_state=0)
    >>> gram = SA.T @ SA / 10000
    >>> SA.shape, bool(np.abs(gram - A.T @ A / 10000).max() < 0.1)
    ((1000, 5), True)
    """
    sketch = SKETCHES[method](sketch_size, random_state=random_state, **options)
    return sketch.update(A).result()
