"""Random signs of a block, compiled; imported only with numba.

Each is a random bit of NumPy's Philox generator (John K. Salmon, Mark A. Moraes, Ron O.
Dror and David E. Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011), whose
Python object alone takes as long to make as a third of a block to sketch.
"""

from functools import lru_cache

import numpy as np
from numba import njit, types

from ._compiled import compile_kernel

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_MULTIPLIERS = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
_KEY_STEPS = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
_ROUNDS = 10


@njit(nogil=True)
def _high(a, b):
    """Upper 64 bits of a product."""
    a_low, a_high, b_low, b_high = a & _LOW, a >> _HALF, b & _LOW, b >> _HALF
    low = a_low * b_low
    middle = a_high * b_low + (low >> _HALF)
    cross = a_low * b_high + (middle & _LOW)
    return a_high * b_high + (middle >> _HALF) + (cross >> _HALF)


@njit(nogil=True)
def _philox(number, block, key):
    """Four random words: those of counter (number, 0, 0, block)."""
    a, b, c, d = number, np.uint64(0), np.uint64(0), block
    k, k2 = key, np.uint64(0)
    for _ in range(_ROUNDS):
        x, y = _MULTIPLIERS[0] * a, _MULTIPLIERS[1] * c
        x_high, y_high = _high(_MULTIPLIERS[0], a), _high(_MULTIPLIERS[1], c)
        a, b, c, d = y_high ^ b ^ k, y, x_high ^ d ^ k2, x
        k += _KEY_STEPS[0]
        k2 += _KEY_STEPS[1]
    return a, b, c, d


@njit(nogil=True)
def _fill(words, n, scale, signs):
    for i in range(len(signs)):
        bit = words[n + (i >> 6)] >> np.uint64(i & 63) & np.uint64(1)
        signs[i] = -scale if bit else scale


def _signs(seed, q, scale, signs, weights):
    """Draw the signs of the rows of a block and of its transform; one more word."""
    c = len(signs)
    n = (c + 63) // 64
    words = np.empty(2 * n + 4, np.uint64)
    for i in range(0, 2 * n + 1, 4):
        # NumPy increments the counter before the first word.
        words[i], words[i + 1], words[i + 2], words[i + 3] = _philox(
            np.uint64(i // 4 + 1), q, seed
        )
    _fill(words, 0, signs.dtype.type(1), signs)
    _fill(words, n, weights.dtype.type(scale), weights)
    return words[2 * n]


@lru_cache
def sign_kernel(dtype):
    """Return the compiled function for float32 or float64 signs."""
    real = types.float64 if dtype == np.float64 else types.float32
    vector = types.Array(real, 1, "C")
    arguments = (types.uint64, types.uint64, types.float64, vector, vector)
    return compile_kernel(_signs, types.uint64(*arguments))
