"""Gaussian sketches of rows: slow, and what the others are judged by."""

import numpy as np

from ._block_operator import BlockOperator, dense
from ._row_sketch import RowSketch

_BLOCK_SIZE = 256


class GaussianOperator(BlockOperator):
    """Independent normal entries of variance 1/m."""

    @classmethod
    def default_block_size(cls, sketch_size, n_columns):
        """Return a number of rows whose random numbers fit the cache."""
        return _BLOCK_SIZE

    def apply(self, q, Z, out):
        """Add S_q Z to `out`."""
        Z = dense(Z, out.dtype)
        # Row by row, so that a part of a block needs the first numbers only.
        generator = np.random.Generator(self.generator(q))
        S = generator.standard_normal((len(Z), self.sketch_size)).T
        S /= np.sqrt(self.sketch_size)
        out += S.astype(out.dtype, copy=False) @ Z


class GaussianSketch(RowSketch):
    r"""Gaussian sketch of rows that arrive in chunks.

    The entries of S are independent normal variables of mean 0 and variance 1/m. It
    costs 2 m operations for each entry of the data, hundreds of times as much as
    `BlockSRHT`, and is here as what other sketches are compared with: the error of
    sketched least squares is exactly normal, given the sketched design.

    Parameters
    ----------
    sketch_size : int
        Number m of rows of the sketch.
    block_size : int or None, default=None
        Number of rows that share a stream of random numbers; None takes 256.
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
    BlockSRHT : As accurate, and fast.
    sketch_rows : The sketch of a matrix, in one call.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.sketching import GaussianSketch
    >>> A = np.random.default_rng(0).standard_normal((500, 3))
    >>> GaussianSketch(40, random_state=0).update(A).result().shape
    (40, 3)
    """

    _operator_class = GaussianOperator
