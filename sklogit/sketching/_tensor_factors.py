"""The random numbers of products of randomised Hadamard transforms."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse


@dataclass(frozen=True)
class TensorFactors:
    r"""Random numbers of `degree` factors :math:`x \mapsto (H D_q x)_{i_q}`.

    Factor q adds coordinate j, times its sign, to column ``columns[q, j]``, and
    multiplies by Sylvester's Hadamard matrix H of order `width`. Component l is the
    product of row ``indices[q, l]`` of each factor.

    If `is_complex`, the second half of the columns is multiplied by the imaginary unit.
    Row i + width / 2 is then the complex conjugate of row i, so that two transforms of
    half the width make all values.

    Attributes
    ----------
    columns : ndarray of int of shape (degree, n_coordinates)
        Column of every coordinate.
    signs : ndarray of shape (degree, n_coordinates)
        Its sign; zero leaves the coordinate out.
    indices : ndarray of int of shape (degree, n_components)
        Row of H that every component takes of each factor.
    width : int
        Order of H, a power of two.
    is_complex : bool
        Whether the values are complex.
    """

    columns: np.ndarray
    signs: np.ndarray
    indices: np.ndarray
    width: int
    is_complex: bool

    def placement(self, q, dtype):
        """Return the signed columns of factor q as a matrix (width, n_coordinates)."""
        n_coordinates = self.columns.shape[1]
        signs, starts = self.signs[q].astype(dtype), np.arange(n_coordinates + 1)
        shape = self.width, n_coordinates
        return sparse.csc_array((signs, self.columns[q], starts), shape=shape)


def draw_factors(rng, kept, n_components, degree, *, is_complex, max_width=None):
    """Draw the random numbers of a product of factors.

    Parameters
    ----------
    rng : RandomState
        Source of random numbers.
    kept : ndarray of bool of shape (n_coordinates,)
        Coordinates to use; the others get the sign zero.
    n_components : int
        Number of components.
    degree : int
        Number of factors.
    is_complex : bool
        Whether half of the coordinates are multiplied by the imaginary unit.
    max_width : int or None, default=None
        Most columns, a power of two. More coordinates than that share columns.

    Returns
    -------
    TensorFactors
        Random numbers.
    """
    n_kept = int(np.count_nonzero(kept))
    width = max(1 << (n_kept - 1).bit_length(), 2 if is_complex else 1)
    width = min(width, max_width or width)
    columns = np.zeros((degree, len(kept)), dtype=np.int32)
    signs = np.zeros((degree, len(kept)))
    # As many coordinates in either half, and in every column that is shared.
    spread = np.arange(n_kept) * width // n_kept
    for q in range(degree):
        columns[q, kept] = rng.permutation(spread)
        signs[q, kept] = rng.choice([-1.0, 1.0], size=n_kept)
    indices = draw_indices(rng, [width] * degree, n_components)
    return TensorFactors(columns, signs, indices, width, is_complex)


def draw_indices(rng, widths, n_components):
    """Draw the rows that meet in every component.

    Every factor uses all its rows equally often, as far as it goes. The first one meets
    another in a pair of rows a second time only when all pairs were used, and after the
    product of all widths every combination of rows was used once.

    Parameters
    ----------
    rng : RandomState
        Source of random numbers.
    widths : list of int of length degree
        Number of rows of each factor, powers of two; the first is the largest.
    n_components : int
        Number of components.

    Returns
    -------
    ndarray of int of shape (degree, n_components)
        Rows. In turns of as many components as the first factor has rows, each factor
        goes through a permutation, which is rotated from turn to turn.
    """
    component = np.arange(n_components)
    indices = np.empty((len(widths), n_components), dtype=np.intp)
    for q, width in enumerate(widths):
        turn, place = np.divmod(component, widths[0])
        for base in widths[1 : q + 1]:  # the digits of the turn in these bases
            turn, digit = np.divmod(turn, base)
            place += rng.permutation(base)[digit]
        indices[q] = rng.permutation(width)[place % width]
    return indices
