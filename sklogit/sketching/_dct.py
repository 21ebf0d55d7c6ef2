"""Subsampled randomised cosine transforms of rows, block by block."""

import numpy as np
from scipy.fft import dct

from ._block_operator import dense
from ._row_sketch import RowSketch
from ._srht import BlockSRHTOperator


class DCTOperator(BlockSRHTOperator):
    """As the block-wise Hadamard transform, with the cosine transform in its place."""

    def apply(self, q, Z, out):
        """Add S_q Z to `out`."""
        Z, c = dense(Z, out.dtype), self.block_size
        slots, targets = self._permutations
        signs, weights, factor, shift = self.draw(q, out.dtype, Z.size)
        places = slots[(factor * np.arange(c) + shift) & (c - 1)]
        signed = np.zeros((c, Z.shape[1]), dtype=out.dtype)
        signed[places[: len(Z)]] = signs[: len(Z), np.newaxis] * Z
        rows = np.flatnonzero(targets >= 0)
        # The orthonormal transform times sqrt(c) takes the place of H.
        weights = weights[rows, np.newaxis] * out.dtype.type(np.sqrt(c))
        out[targets[rows]] += weights * dct(signed, axis=0, norm="ortho")[rows]


class DCTSketch(RowSketch):
    """Sketch by cosine transforms; parameters and attributes are those of `BlockSRHT`.

    Parameters
    ----------
    sketch_size : int
        Number of rows of the sketch.
    block_size : int or None, default=None
        Number of rows of a block.
    random_state : int, RandomState instance or None, default=None
        Source of the random numbers.
    """

    _operator_class = DCTOperator
