"""Which singular values count as zero."""

import numpy as np

# Rounding of data gives a matrix of lower rank singular values of 0.2 to 16 units, in
# tables of 200 to 100,000 rows and 3 to 200 columns; cond 1e14 is 45 units away.
_UNITS = 24


def rank_tolerance(n_features, dtype):
    """Largest singular value that is rounding, relative to the norm of the matrix.

    It does not grow with the number of rows, unlike ``max(n, p) eps``, which treats a
    table of a million rows and condition number 1e10 as rank deficient.

    Parameters
    ----------
    n_features : int
        Number of columns.
    dtype : dtype
        Type in which the data came.

    Returns
    -------
    float
        The tolerance.
    """
    return max(_UNITS, n_features**0.5) * float(np.finfo(dtype).eps)


def smallest_singular_value(largest, total_weight, mean, tolerance):
    """Smallest singular value of centred columns that is more than rounding.

    Entries are rounded relative to what they were before they were centred, so that is
    the norm that counts.
    """
    size = np.sqrt(total_weight) * norm(mean)
    return tolerance * np.hypot(largest, size)


def column_norms(array):
    """Norms of columns whose squares may overflow or vanish."""
    size = np.abs(array).max(axis=0, initial=0.0)
    scale = np.where((size > 0) & np.isfinite(size), size, 1.0)
    return scale * np.linalg.norm(array / scale, axis=0)


def norm(array):
    """Norm of an array whose squares may overflow or vanish."""
    size = np.abs(array).max(initial=0.0)
    if size == 0 or not np.isfinite(size):
        return size
    return size * np.linalg.norm(array / size)
