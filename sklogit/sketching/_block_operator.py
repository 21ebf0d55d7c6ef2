"""The contract of row sketches that act block by block."""

from abc import ABC, abstractmethod

import numpy as np


class BlockOperator(ABC):
    """Random matrix S = [S_0, S_1, ...] whose blocks S_q have `block_size` columns.

    It is scaled so that the expectation of S^T S is the identity. The randomness of S_q
    depends on the seed and on q alone, so that blocks can be sketched in any order, by
    anyone, and added. Operators are small to pickle, and threads can share them.

    Parameters
    ----------
    sketch_size : int
        Number m of rows of S.
    block_size : int
        Number c of columns of each block.
    seed : int
        Key of the random numbers, 0 <= seed < 2^64.
    """

    # Whether the default block size depends on the number of columns.
    needs_n_columns = False

    def __init__(self, sketch_size, block_size, seed):
        self.sketch_size = sketch_size
        self.block_size = block_size
        self.seed = seed

    @classmethod
    @abstractmethod
    def default_block_size(cls, sketch_size, n_columns):
        """Return the block size for a matrix of that many columns."""

    @abstractmethod
    def apply(self, q, Z, out):
        """Add S_q Z to `out`.

        Parameters
        ----------
        q : int
            Index of the block.
        Z : ndarray or sparse array of shape (n_rows, d)
            At most `block_size` rows, in C or F order; missing rows count as zeros.
        out : ndarray of shape (sketch_size, d)
            Sum to add to: C-contiguous, and of the dtype of Z.
        """

    def __getstate__(self):
        # What can be drawn again does not travel.
        return {k: v for k, v in self.__dict__.items() if not k.startswith("_")}

    def generator(self, q):
        """Return the bit generator of a block, or, for -1, of what blocks share."""
        # The lowest word of the counter numbers the outputs of the block itself.
        counter = (0, 0, 0, q) if q >= 0 else (0, 0, 1, 0)
        return np.random.Philox(key=self.seed, counter=np.array(counter, np.uint64))


def random_signs(words, size):
    """Return the first bits of random words as +-1 (bit 0 is +1), of dtype int8."""
    octets = words.astype("<u8", copy=False).view(np.uint8)
    bits = np.unpackbits(octets, count=size, bitorder="little")
    return 1 - 2 * bits.view(np.int8)


def random_permutations(words, size):
    """Return two permutations: those that sort the halves of random words."""
    # Sorting numbers that carry their index is much faster than argsort; 32 random
    # bits are enough that ties, which stay in order, do not matter.
    index, low = np.arange(size, dtype=np.uint64), np.uint64(0xFFFFFFFF)
    keys = np.array([words & ~low, words << np.uint64(32)]) | index
    keys.sort(axis=1)
    return (keys & low).astype(np.int32)


def dense(Z, dtype):
    """Return a block as an ndarray of that dtype."""
    Z = Z.toarray() if hasattr(Z, "toarray") else Z
    return Z.astype(dtype, copy=False)
