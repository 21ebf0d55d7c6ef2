"""Dynamic programme of the cascade, over ads and sets of positions."""

import numpy as np

# 2^16 sets of positions, for each ad a choice.
MOST_POSITIONS = 16


def best_value_order(weights, ctr, max_ads):
    """Find the best placement of ads that are read by decreasing weight.

    With g(i, S) the value of ads from i on when the positions S are taken,

        g(i, S) = max(g(i + 1, S), max_j p_ij w_i + (1 - p_ij) g(i + 1, S + j)).

    Parameters
    ----------
    weights : ndarray of shape (n_ads,)
        Weights, decreasing.
    ctr : ndarray of shape (n_ads, n_positions)
        Click probabilities.
    max_ads : int
        Most ads to show.

    Returns
    -------
    rows, cols : list of int
        Ads and their positions, in the order of reading.
    n_iter : int
        Number of pairs of an ad and a set of positions.
    """
    n, m = ctr.shape
    # Ads are decided from the last to the first, and read from the first to the last.
    choices = np.full((n, 2**m), -1, dtype=np.int8)
    value = np.zeros(2**m)
    full = _sizes_of_sets(m) >= max_ads
    for i in range(n)[::-1]:
        value = _step(weights[i], ctr[i], value, full, choices[i])
    rows, cols, taken = [], [], 0
    for i in range(n):
        j = int(choices[i, taken])
        if j >= 0:
            rows.append(i)
            cols.append(j)
            taken |= 1 << j
    return rows, cols, n * 2**m


def _step(weight, p, value, full, choice):
    """Return g(i, .) given g(i + 1, .), and write the choices."""
    best = value.copy()
    for j in np.flatnonzero(p > 0):
        # Axis 1 tells whether position j is taken.
        shape = (-1, 2, 1 << j)
        free = (slice(None), 0)
        candidate = p[j] * weight + (1.0 - p[j]) * value.reshape(shape)[:, 1]
        better = candidate > best.reshape(shape)[free]
        better &= ~full.reshape(shape)[free]
        best.reshape(shape)[free][better] = candidate[better]
        choice.reshape(shape)[free][better] = j
    return best


def _sizes_of_sets(m):
    sizes = np.zeros(1, dtype=np.int8)
    for _ in range(m):
        sizes = np.concatenate([sizes, sizes + 1])
    return sizes
