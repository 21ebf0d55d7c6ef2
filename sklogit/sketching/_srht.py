"""Subsampled randomised Hadamard transforms of rows, block by block."""

from functools import cached_property

import numpy as np

from ._block_operator import BlockOperator, dense, random_permutations, random_signs
from ._compiled import CompiledKernel
from ._hadamard import add_hadamard_rows, check_power_of_two
from ._row_sketch import RowSketch

_SIGNS = CompiledKernel("_philox_numba", "sign_kernel")
_MIN_BLOCK_SIZE = 1024


class BlockSRHTOperator(BlockOperator):
    """Hadamard transforms of the permuted and signed blocks, signed again and added."""

    def __init__(self, sketch_size, block_size, seed):
        check_power_of_two(block_size, "block_size")
        if block_size < sketch_size:
            raise ValueError(
                "block_size must be at least sketch_size; got "
                f"block_size={block_size} and sketch_size={sketch_size}."
            )
        super().__init__(sketch_size, block_size, seed)

    @classmethod
    def default_block_size(cls, sketch_size, n_columns):
        """Return the next power of two."""
        return max(_MIN_BLOCK_SIZE, 1 << (sketch_size - 1).bit_length())

    def apply(self, q, Z, out):
        """Add S_q Z to `out`."""
        Z = dense(Z, out.dtype)
        slots, targets = self._permutations
        signs, weights, factor, shift = self.draw(q, out.dtype, Z.size)
        add_hadamard_rows(
            Z,
            signs=signs,
            slots=slots,
            factor=factor,
            shift=shift,
            targets=targets,
            weights=weights,
            out=out,
        )

    @cached_property
    def _permutations(self):
        """Order of the rows in the transform, and which of its rows are taken."""
        c, m = self.block_size, self.sketch_size
        slots, order = random_permutations(self.generator(-1).random_raw(c), c)
        targets = np.full(c, -1, dtype=np.int32)
        targets[order[:m]] = np.arange(m)
        return slots, targets

    def draw(self, q, dtype, n_entries):
        """Return signs (c,), weights (c,), factor and shift of a block."""
        c, scale = self.block_size, 1 / np.sqrt(self.sketch_size)
        kernel = _SIGNS.get(dtype, n_entries)
        if kernel is not None:
            signs, weights = np.empty((2, c), dtype=dtype)
            word = kernel(self.seed, q, scale, signs, weights)
        else:
            n_words = -(-c // 64)
            words = self.generator(q).random_raw(2 * n_words + 1)
            signs = random_signs(words[:n_words], c).astype(dtype)
            weights = random_signs(words[n_words:], c) * dtype.type(scale)
            word = int(words[-1])
        return signs, weights, word & 0xFFFFFFFF | 1, word >> 32


class SRHTOperator(BlockSRHTOperator):
    """Rows of one Hadamard transform of all rows, however many there will be.

    Row (i, j) of H_N is row j of the small transform of each block, times entry (i, q)
    of the large matrix of blocks: its weights.
    """

    def draw(self, q, dtype, n_entries):
        """Return signs (c,), weights (c,), factor and shift of a block."""
        signs, _, factor, shift = super().draw(q, dtype, n_entries)
        parity = np.bitwise_count(self._codes & np.uint64(q)) & 1
        scale = dtype.type(1 / np.sqrt(self.sketch_size))
        return signs, np.where(parity, -scale, scale), factor, shift

    @cached_property
    def _codes(self):
        """Upper bits i of the sampled rows of H_N, as many as there may be blocks."""
        c = self.block_size
        return self.generator(-1).random_raw(2 * c)[c:]


class BlockSRHT(RowSketch):
    r"""Block subsampled randomised Hadamard transform of rows that arrive in chunks.

    .. math:: S = \sqrt{1/m} \, [L_1 P H D_1 \Pi_1, L_2 P H D_2 \Pi_2, \ldots]

    Each block of c rows is permuted (:math:`\Pi_q`), multiplied by random signs
    (:math:`D_q`) and by the Hadamard matrix H. The same m of its rows are taken from
    all blocks (P), get other random signs for each (:math:`L_q`), and are added. It
    costs one read of the data and about as many additions as c has binary digits, and
    is a dense sketch: every coefficient of least squares is kept.

    Parameters
    ----------
    sketch_size : int
        Number m of rows of the sketch.
    block_size : int or None, default=None
        Number c of rows of a block: a power of two, at least `sketch_size`. None takes
        the least of these from 1024 on.
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
    SRHT : Rows of one transform of all rows.
    sketch_rows : The sketch of a matrix, in one call.

    Notes
    -----
    The random numbers of a block depend on the seed and on its index alone. So the
    result does not depend on how the rows are cut into chunks, and sketches of one seed
    add up, wherever they were made.

    Without the signs L two rows at the same place of two blocks would meet in every row
    of the sketch. Without the permutations a design of unit rows, such as indicators of
    categories in sorted order, would lose rank: on the first d columns, for d a power
    of two, there are only d different rows of H, and some of these may not be taken.
    Each permutation is uniform; those of two blocks differ by an affine map of the
    indices only, which the independent signs of the blocks make harmless.

    With numba (``pip install 'sklogit[fast]'``) a compiled kernel takes over after the
    first 134 million entries; it gives the same bits.

    References
    ----------
    .. [1] "Block subsampled randomized Hadamard transform for low-rank approximation on
       distributed architectures", arXiv:2210.11295.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.sketching import BlockSRHT
    >>> A = np.random.default_rng(0).standard_normal((20000, 3))
    >>> sketch = BlockSRHT(400, random_state=0)
    >>> for chunk in np.array_split(A, 7):
    ...     sketch = sketch.update(chunk)
    >>> sketch.n_rows_seen_, sketch.result().shape
    (20000, (400, 3))
    >>> one, two = BlockSRHT(400, random_state=0), BlockSRHT(400, random_state=0)
    >>> both = one.update(A[:5000]).merge(two.update(A[5000:], first_row=5000))
    >>> bool(np.allclose(both.result(), sketch.result()))
    True
    """

    _operator_class = BlockSRHTOperator


class SRHT(RowSketch):
    r"""Subsampled randomised Hadamard transform of rows that arrive in chunks.

    .. math:: S = \sqrt{1/m} \, P H_N D \Pi

    A random permutation within the blocks of c rows (:math:`\Pi`), random signs (D),
    the Hadamard matrix of all N rows, and m of its rows without repetition (P). The
    number of rows need not be known: :math:`H_N = H_{N/c} \otimes H_c`, so that the
    transform of each block, with signs from the matrix of blocks, is all it takes.

    Parameters
    ----------
    sketch_size : int
        Number m of rows of the sketch.
    block_size : int or None, default=None
        Number c of rows of a block: a power of two, at least `sketch_size`. None takes
        the least of these from 1024 on.
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
    BlockSRHT : Independent transforms of the blocks.
    sketch_rows : The sketch of a matrix, in one call.

    Notes
    -----
    N is the least power of two that holds all rows; missing ones count as zeros. If
    there are none, :math:`S S^T = (N/m) I`. The rows taken use different rows of the
    small matrix, and any of the large one: each is a uniform draw from all N.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.sketching import SRHT
    >>> S = SRHT(100, block_size=128, random_state=0).toarray(512)
    >>> bool(np.allclose(S @ S.T, 5.12 * np.eye(100)))
    True
    """

    _operator_class = SRHTOperator
