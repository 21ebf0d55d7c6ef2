"""Which output features stand for which power of the deviation from the mean."""

from dataclasses import dataclass
from math import comb

import numpy as np


@dataclass(frozen=True)
class Mirror:
    """Householder reflection of a unit vector onto an axis.

    Attributes
    ----------
    normal : ndarray of shape (n_coordinates,)
        Normal v of the mirror.
    scale : float
        The image of x is ``x - scale * (v @ x) * v``.
    axis : int
        The axis, that of the largest coordinate, so that nothing cancels.
    """

    normal: np.ndarray
    scale: float
    axis: int

    @classmethod
    def of(cls, direction):
        """Return the mirror of a unit vector."""
        axis = int(np.argmax(np.abs(direction)))
        normal = direction.copy()
        normal[axis] += np.copysign(1.0, normal[axis])
        return cls(normal, 2.0 / (normal @ normal), axis)

    def shift(self, X):
        """Return how far each row moves along the normal, negated."""
        return (self.scale * (X @ self.normal.astype(X.dtype))).astype(X.dtype)


@dataclass(frozen=True)
class Split:
    r"""Numbers of output features, by power of the deviation x' from a direction u.

    With :math:`a = \langle u, x \rangle`, :math:`x' = x - a u`, and b, y' likewise,

    .. math:: \langle x, y \rangle^p
        = \sum_{j=0}^{p} \binom{p}{j} (a b)^{p-j} \langle x', y' \rangle^j .

    Attributes
    ----------
    direction : ndarray of shape (n_coordinates,) or None
        Unit vector u; None if all of x is deviation.
    n_linear : int
        Features that hold the first power exactly: n_coordinates - 1, or 0.
    n_sketched : ndarray of int of shape (p + 1,)
        Sketched components of each power; a complex one counts once.
    n_spare : int
        1 if one real feature is left over beside complex ones, else 0.
    """

    direction: np.ndarray | None
    n_linear: int
    n_sketched: np.ndarray
    n_spare: int

    @property
    def degree(self):
        """Power p of the kernel."""
        return len(self.n_sketched) - 1

    @property
    def n_used(self):
        """Components that use each factor, if the highest powers come first."""
        return np.cumsum(self.n_sketched[:0:-1])[::-1]


def plain_split(n_components, degree, unit):
    """Return the split that takes no direction out.

    Parameters
    ----------
    n_components, degree, unit : int
        As for `split_by_mean`.

    Returns
    -------
    Split
        One whose features all stand for the power p of x.
    """
    n_sketched = np.zeros(degree + 1, dtype=int)
    n_sketched[degree] = n_components // unit
    return Split(None, 0, n_sketched, n_components % unit)


def split_by_mean(mean, along, squared_norms, n_components, degree, unit):
    r"""Divide the output features between the powers of the deviation.

    The variance of the kernel of the features is about :math:`\sum_j w_j^2 / m_j`,
    with the share :math:`w_j = \binom{p}{j} E[a^{2(p-j)} |x'|^{2j}]` of power j in the
    diagonal of the kernel. It is least for :math:`m_j` in proportion to :math:`w_j`.

    Parameters
    ----------
    mean : ndarray of shape (n_coordinates,)
        Mean of the rows, which gives the direction.
    along : ndarray of shape (n_rows,)
        Coordinate a of every row.
    squared_norms : ndarray of shape (n_rows,)
        Squared norm of every row.
    n_components : int
        Number of output features.
    degree : int
        Power p of the kernel.
    unit : int
        Real features a component: 2 for complex ones, else 1.

    Returns
    -------
    Split
        One without a direction if the mean is zero or there are too few features.
    """
    norm, n_rest = np.linalg.norm(mean), len(mean) - 1
    if not norm or not n_rest or n_components < 1 + unit * degree:
        return plain_split(n_components, degree, unit)
    shares = _shares(along, squared_norms, degree)
    left, n_linear, first = n_components - 1, 0, 1
    # The first power is without error for as many features as there are coordinates.
    without = left - n_rest
    if degree > 1 and without >= unit * (degree - 1):
        variances = shares[2:].sum() ** 2 / without, shares[1:].sum() ** 2 / left
        if variances[0] < variances[1]:
            left, n_linear, first = without, n_rest, 2
    n_sketched = np.zeros(degree + 1, dtype=int)
    n_sketched[first:] = _in_proportion(shares[first:], left // unit)
    return Split(mean / norm, n_linear, n_sketched, left % unit)


def _shares(along, squared_norms, degree):
    """Share of each power of the deviation in the mean diagonal of the kernel."""
    largest = squared_norms.max()  # powers of numbers up to 1 do not overflow
    squares = along**2 / largest
    rest = np.maximum(squared_norms / largest - squares, 0)
    shares = [
        comb(degree, j) * np.mean(squares ** (degree - j) * rest**j)
        for j in range(degree + 1)
    ]
    return np.array(shares) / sum(shares)


def _in_proportion(weights, total):
    """Positive whole numbers of this sum, about in proportion to the weights."""
    part = weights / (weights.sum() or 1.0)
    numbers = 1 + (part * (total - len(part))).astype(int)
    numbers[np.argmax(part)] += total - numbers.sum()
    return numbers
