"""Hadamard transforms of rows, pooled in groups with Gaussian weights."""

import numpy as np

from ._block_operator import BlockOperator, dense, random_permutations, random_signs
from ._hadamard import add_hadamard_rows, check_power_of_two
from ._row_sketch import RowSketch

# Rows of the transform in each group; four were measured to be too few.
_MIN_GROUP = 64


class PooledOperator(BlockOperator):
    """Sums of groups of transformed rows, with Gaussian weights, for each block."""

    def __init__(self, sketch_size, block_size, seed):
        check_power_of_two(block_size, "block_size")
        if block_size < sketch_size:
            raise ValueError(
                "block_size must be at least sketch_size; got "
                f"block_size={block_size} and sketch_size={sketch_size}."
            )
        super().__init__(sketch_size, block_size, seed)

    needs_n_columns = True

    @classmethod
    def default_block_size(cls, sketch_size, n_columns):
        """Return the rows of groups of more than n_columns, a power of two."""
        return _power_of_two(sketch_size) * _power_of_two(
            max(_MIN_GROUP, n_columns + 1)
        )

    def apply(self, q, Z, out):
        """Add S_q Z to `out`."""
        Z, c, m = dense(Z, out.dtype), self.block_size, self.sketch_size
        group = c // m  # rows beyond m groups are left out
        bits = self.generator(q)
        words = bits.random_raw(c + -(-c // 64))
        order, _ = random_permutations(words[:c], c)
        targets = np.full(c, -1, dtype=np.int32)
        targets[order[: m * group]] = np.repeat(np.arange(m, dtype=np.int32), group)
        gaussian = np.random.Generator(bits).standard_normal(c)
        gaussian /= np.sqrt(m * group)
        add_hadamard_rows(
            Z,
            signs=random_signs(words[c:], c).astype(out.dtype),
            slots=np.arange(c, dtype=np.int32),
            targets=targets,
            weights=gaussian.astype(out.dtype, copy=False),
            out=out,
        )


class GaussianPooledHadamard(RowSketch):
    r"""Gaussian-pooled Hadamard transform of rows that arrive in chunks.

    .. math:: S = (m s)^{-1/2} \, B D_\gamma \Pi H D_\sigma

    Random signs (:math:`D_\sigma`), the Hadamard matrix H, a random permutation
    (:math:`\Pi`), independent normal weights (:math:`D_\gamma`), and the sums of m
    groups of s rows each (B). Given signs and permutation, the rows of the sketch are
    independent Gaussian vectors. This is the sketch whose guarantee for every
    coefficient is proved [1]_.

    Parameters
    ----------
    sketch_size : int
        Number m of rows of the sketch.
    block_size : int or None, default=None
        Number c of rows of a block: a power of two, at least `sketch_size`. A group has
        s = floor(c / m) rows of the transform. None takes m, rounded up to a power of
        two, times the least power of two that is at least 64 and exceeds the number of
        columns.
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
    BlockSRHT : Cheaper, and as accurate in all measurements.
    sketch_rows : The sketch of a matrix, in one call.

    Notes
    -----
    The theorem of [1]_ is about one transform of all rows, padded with zeros: that is
    what rows up to `block_size_` get. For more rows, independent transforms of the
    blocks are added. The rows of the sketch stay independent Gaussian vectors given
    signs and permutations, but the theorem does not cover this.

    The theorem's transform has at least
    :math:`C \kappa^{-2} (d + 1) \log^2 (C n m d / \kappa \delta)` rows in a group, with
    constants that make it far larger than the data; groups as large as the number of
    columns were measured to be enough, groups of four too small.

    References
    ----------
    .. [1] "Hadamard Flattening and Gaussian Pooling Sketch for Least Squares with
       Coordinate-wise Guarantee", 2026.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.sketching import GaussianPooledHadamard
    >>> A = np.random.default_rng(0).standard_normal((500, 3))
    >>> sketch = GaussianPooledHadamard(40, random_state=0).update(A)
    >>> sketch.result().shape, sketch.block_size_
    ((40, 3), 4096)
    """

    _operator_class = PooledOperator


def _power_of_two(least):
    return 1 << (least - 1).bit_length()
