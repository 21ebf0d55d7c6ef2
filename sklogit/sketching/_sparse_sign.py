"""Sparse sign sketches: each row of the data goes to a few rows of the sketch."""

import numpy as np
from scipy import sparse

from ._block_operator import BlockOperator, dense
from ._compiled import CompiledKernel
from ._row_sketch import RowSketch, check_integer

_KERNEL = CompiledKernel("_sparse_sign_numba", "scatter_kernel")
_BLOCK_SIZE = 4096
# Blocks with more entries than this part are multiplied as dense ones.
_DENSE_PART = 0.05


class SparseSignOperator(BlockOperator):
    """Each row goes, with random signs, to one row of each of `nnz` groups.

    Parameters
    ----------
    sketch_size, block_size, seed : int
        As of `BlockOperator`.
    nnz : int, default=8
        Number of groups.
    """

    def __init__(self, sketch_size, block_size, seed, nnz=8):
        if nnz > sketch_size:
            raise ValueError(
                f"nnz must be at most sketch_size; got nnz={nnz} and "
                f"sketch_size={sketch_size}."
            )
        super().__init__(sketch_size, block_size, seed)
        self.nnz = nnz

    @classmethod
    def default_block_size(cls, sketch_size, n_columns):
        """Return a number of rows whose random numbers fit the cache."""
        return _BLOCK_SIZE

    def apply(self, q, Z, out):
        """Add S_q Z to `out`."""
        if sparse.issparse(Z):
            kernel = _KERNEL.get(out.dtype, Z.nnz * self.nnz)
            if kernel is not None:
                Z = Z.tocsr().astype(out.dtype, copy=False)
                parts = (
                    part.astype(np.int32, copy=False) for part in (Z.indices, Z.indptr)
                )
                kernel(Z.data, *parts, *self.draw(q, Z.shape[0], out.dtype), out)
                return
            if Z.nnz <= _DENSE_PART * Z.shape[0] * Z.shape[1]:
                product = self.matrix(q, Z.shape[0], out.dtype) @ Z
                product = product.tocoo()  # has each entry once
                out[product.row, product.col] += product.data
                return
        out += self.matrix(q, Z.shape[0], out.dtype) @ dense(Z, out.dtype)

    def matrix(self, q, n_rows, dtype):
        """Return the first columns of S_q, a CSC matrix."""
        rows, signs = self.draw(q, n_rows, dtype)
        indptr = np.arange(0, n_rows * self.nnz + 1, self.nnz)
        # Columns of S beside rows of A: with CSR it is several times slower.
        parts = signs.ravel(), rows.ravel(), indptr
        return sparse.csc_array(parts, shape=(self.sketch_size, n_rows))

    def draw(self, q, n_rows, dtype):
        """Return rows and values of the nonzeros of each column, (n_rows, nnz)."""
        z, m = self.nnz, self.sketch_size
        starts = np.arange(z + 1, dtype=np.int64) * m // z
        # A row of words for each row of the data: a part of a block needs the first.
        n_words = (z + 1) // 2
        words = self.generator(q).random_raw(n_rows * n_words)
        halves = words.view(np.uint32).reshape(n_rows, 2 * n_words)[:, :z]
        # The upper 31 bits choose the row of the group, the lowest one is the sign.
        rows = (halves >> np.uint32(1)) * np.diff(starts) >> 31
        rows += starts[:-1]
        signs = 1 - 2 * (halves & np.uint32(1)).astype(dtype)
        signs *= dtype.type(1 / np.sqrt(z))
        return rows.astype(np.int32), signs


class SparseSign(RowSketch):
    r"""Sparse sign sketch of rows that arrive in chunks.

    Each row of the data is added, with random signs and divided by the root of z, to z
    rows of the sketch: a random one of each of z groups. It is cheap, works on sparse
    matrices without making them dense, and preserves norms well enough for a
    preconditioner. It does not protect single coefficients.

    Parameters
    ----------
    sketch_size : int
        Number of rows of the sketch.
    nnz : int, default=8
        Number z of nonzeros in each column of S, at most `sketch_size`.
    block_size : int or None, default=None
        Number of rows that share a stream of random numbers; None takes 4096.
    random_state : int, RandomState instance or None, default=None
        An int is the key of the random numbers; else one is drawn, once.

    Attributes
    ----------
    seed : int
        Key of the random numbers: sketches with this `random_state` can be merged.
    n_rows_seen_ : int
        Number of rows sketched so far.
    n_features_in_ : int
        Number of columns of the matrix.
    block_size_ : int
        Number of rows of a block.

    See Also
    --------
    BlockSRHT : Dense, for solutions that are to hold coefficient by coefficient.
    CountSketch : One nonzero a column.

    Notes
    -----
    If a row of a rare category shares a row of the sketch with a row of large residual,
    the coefficient of the category is off by about one over z. That happens often
    unless z is of the order of the root of the number of columns, or the sketch has as
    many rows as the square of it.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import sparse
    >>> from sklogit.sketching import SparseSign
    >>> A = sparse.random_array((1000, 20), density=0.1, rng=0, format="csr")
    >>> SparseSign(100, random_state=0).update(A).result().shape
    (100, 20)
    """

    _operator_class = SparseSignOperator
    _options = ("nnz",)

    def __init__(self, sketch_size, nnz=8, *, block_size=None, random_state=None):
        self.nnz = check_integer(nnz, "nnz", 1)
        super().__init__(sketch_size, block_size=block_size, random_state=random_state)


class CountSketch(RowSketch):
    r"""CountSketch of rows that arrive in chunks.

    Each row of the data is added, with a random sign, to one random row of the sketch.
    It is the cheapest sketch, and needs the most rows.

    Parameters
    ----------
    sketch_size : int
        Number of rows of the sketch.
    block_size : int or None, default=None
        Number of rows that share a stream of random numbers; None takes 4096.
    random_state : int, RandomState instance or None, default=None
        An int is the key of the random numbers; else one is drawn, once.

    Attributes
    ----------
    seed : int
        Key of the random numbers: sketches with this `random_state` can be merged.
    n_rows_seen_ : int
        Number of rows sketched so far.
    n_features_in_ : int
        Number of columns of the matrix.
    block_size_ : int
        Number of rows of a block.

    See Also
    --------
    SparseSign : Several nonzeros a column.
    scipy.linalg.clarkson_woodruff_transform : The same of a matrix in memory.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.sketching import CountSketch
    >>> S = CountSketch(10, random_state=0).toarray(1000)
    >>> int(np.count_nonzero(S)), np.unique(S[S != 0]).tolist()
    (1000, [-1.0, 1.0])
    """

    _operator_class = SparseSignOperator
    _options = ("nnz",)
    nnz = 1
