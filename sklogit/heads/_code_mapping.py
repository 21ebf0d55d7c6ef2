"""Mappings of classes to the codes that score them, in NumPy."""

from numbers import Integral, Real

import numpy as np

MOST_CODES = 256  # by default
MAPPINGS = ("weighted_kmeans", "kmeans", "frequency", "random")
# Rows of scores that `ascend` asks for at a time.
_CLASSES_AT_ONCE = 1024


def number_of_codes(n_codes, n_classes):
    """Return how many codes a parameter asks for.

    Parameters
    ----------
    n_codes : int, float or None
        The number itself, a part of the classes, or the default.
    n_classes : int
        Number of classes.

    Returns
    -------
    int
        Number of codes, from 1 to `n_classes`.

    Raises
    ------
    ValueError
        If it is out of range.
    """
    if n_codes is None:
        return min(MOST_CODES, n_classes)
    if isinstance(n_codes, Integral) and not isinstance(n_codes, bool):
        if not 1 <= n_codes <= n_classes:
            raise ValueError(
                f"n_codes must be between 1 and the number of classes, {n_classes}, "
                f"got {n_codes}; None takes min({MOST_CODES}, {n_classes})."
            )
        return int(n_codes)
    if not isinstance(n_codes, Real) or not 0 < n_codes < 1:
        raise ValueError(
            "n_codes must be None, a positive int, or a float between 0 and 1, a part "
            f"of the classes, got {n_codes!r}."
        )
    return max(1, round(n_codes * n_classes))


def given_codes(mapping, n_classes):
    """Check a mapping given as an array, and number its codes from 0.

    Parameters
    ----------
    mapping : array-like of int, of shape (n_classes,)
        Code of each class.
    n_classes : int
        Number of classes.

    Returns
    -------
    ndarray of shape (n_classes,)
        Codes 0, 1, ... in the order of the given ones, without those of no class.

    Raises
    ------
    ValueError
        If it has another length, or entries that are no integers or negative.
    """
    if isinstance(mapping, str):
        raise ValueError(f"mapping must be one of {MAPPINGS}, got {mapping!r}.")
    codes = np.asarray(_on_host(mapping))
    if codes.shape != (n_classes,):
        raise ValueError(
            f"mapping must have a code for each of the {n_classes} classes, got an "
            f"array of shape {codes.shape}."
        )
    if codes.dtype.kind not in "iu":
        raise ValueError(f"mapping must hold integers, got dtype {codes.dtype}.")
    if codes.min() < 0:
        raise ValueError(f"mapping must not be negative, got {codes.min()}.")
    return without_gaps(codes)


def checked_counts(counts, num_classes):
    """Return counts of classes as an array.

    Parameters
    ----------
    counts : array-like or Tensor of shape (num_classes,)
        Rows of each class, or their weights.
    num_classes : int
        Number of classes.

    Returns
    -------
    ndarray of shape (num_classes,)
        The counts in float64.

    Raises
    ------
    ValueError
        If the shape differs, or they are not finite, negative or all zero.
    """
    counts = np.asarray(_on_host(counts), dtype=np.float64)
    if counts.shape != (num_classes,):
        raise ValueError(
            f"class_counts must have the shape ({num_classes},), got {counts.shape}."
        )
    if not (np.isfinite(counts).all() and (counts >= 0).all() and counts.any()):
        raise ValueError("class_counts must be finite, not negative and not all zero.")
    return counts


def _on_host(values):
    """Values of a tensor, wherever it is, as NumPy takes them; others as they are."""
    return values.detach().cpu() if hasattr(values, "detach") else values


def starting_codes(mapping, n_codes, num_classes, counts, permutation):
    """Choose the code of each class, for a head without a trained layer.

    Parameters
    ----------
    mapping, n_codes : object
        As of `VQLogitsHead`.
    num_classes : int
        Number of classes.
    counts : ndarray of shape (num_classes,) or None
        Rows of each class.
    permutation : callable
        Of a number n, returns 0, ..., n - 1 in random order.

    Returns
    -------
    ndarray of shape (num_classes,)
        Codes from 0, each with a class.

    Raises
    ------
    ValueError
        If the mapping or the number of codes is wrong, or counts are needed.
    """
    if not (mapping is None or isinstance(mapping, str)):
        codes = given_codes(mapping, num_classes)
        if n_codes is not None and n_codes != codes.max() + 1:
            raise ValueError(
                f"n_codes must be None or that of the mapping, {codes.max() + 1}, got "
                f"{n_codes!r}."
            )
        return codes
    n_codes = number_of_codes(n_codes, num_classes)
    if mapping is None:
        mapping = "random" if counts is None else "frequency"
    if mapping not in ("frequency", "random"):
        raise ValueError(
            "mapping must be 'frequency', 'random' or an array without a trained layer "
            f"(see from_linear), got {mapping!r}."
        )
    if mapping == "frequency" and counts is None:
        raise ValueError("mapping='frequency' needs class_counts.")
    if n_codes == num_classes:
        return np.arange(num_classes)
    if mapping == "frequency":
        return frequency_codes(counts, n_codes)
    return permutation(num_classes) % n_codes


def without_gaps(codes):
    """Renumber codes so that every one has a class, keeping their order."""
    return np.unique(codes, return_inverse=True)[1]


def in_order_of_rows(codes):
    """Renumber codes by the first row of each: k-means numbers them at random."""
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    return first.argsort().argsort()[inverse]


def random_codes(n_classes, n_codes, rng):
    """Codes of equal size, give or take one class, at random."""
    return rng.permutation(n_classes) % n_codes


def frequency_codes(counts, n_codes):
    """Codes of about equal counts, of classes sorted by count.

    Classes that fill a code have it alone, and what is left is shared by the others:
    all codes are used, unlike bins of fixed width.

    Parameters
    ----------
    counts : ndarray of shape (n_classes,)
        Counts of the classes.
    n_codes : int
        Number of codes, at most that of classes.

    Returns
    -------
    ndarray of shape (n_classes,)
        Codes; 0 has the most frequent class.
    """
    order = np.argsort(-counts, kind="stable")
    below = np.concatenate([[0.0], np.cumsum(counts[order], dtype=np.float64)])
    codes, start = np.empty(len(counts), dtype=np.intp), 0
    for code in range(n_codes):
        left = n_codes - code
        goal = below[start] + (below[-1] - below[start]) / left
        # The cut next to the goal; at least one class stays for each code to come.
        end = np.searchsorted(below, goal)
        if end - 1 > start and goal - below[end - 1] < below[end] - goal:
            end -= 1
        end = min(max(end, start + 1), len(counts) - left + 1)
        codes[order[start : len(counts) if left == 1 else end]] = code
        start = end
    return codes


def segment_sums(values, codes, n_codes):
    """Sum of the values (n_classes,) or (n_classes, d) of the classes of each code."""
    if values.ndim == 1:
        return np.bincount(codes, values, minlength=n_codes)
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(n_codes))
    return np.add.reduceat(values[order], starts, axis=0)


def segment_logsumexp(values, codes, n_codes):
    """Logarithm of the sum of exponentials (n_codes,) of values (n_classes,)."""
    top = np.full(n_codes, -np.inf)
    np.maximum.at(top, codes, values)
    return top + np.log(np.bincount(codes, np.exp(values - top[codes]), n_codes))


def weighted_means(rows, codes, weight):
    """Weighted mean (n_codes, d) of the rows (n_classes, d) of each code."""
    n_codes = codes.max() + 1
    total = segment_sums(weight, codes, n_codes)
    sums = segment_sums(rows * weight[:, np.newaxis], codes, n_codes)
    return (sums / total[:, np.newaxis]).astype(rows.dtype)


def log_shares(codes, mass):
    """Logarithm of the part that each class has of the mass of its code."""
    return np.log(mass) - np.log(np.bincount(codes, mass)[codes])


def score_ceiling(codes, counts):
    """Largest accuracy of any classifier that gives one class a code.

    Parameters
    ----------
    codes : ndarray of shape (n_classes,)
        Code of each class.
    counts : ndarray of shape (n_classes,)
        Rows of each class.

    Returns
    -------
    float
        Part of the rows whose class is the most frequent one of its code.
    """
    largest = np.zeros(codes.max() + 1)
    np.maximum.at(largest, codes, counts)
    return float(largest.sum() / counts.sum())


def ascend(codes, counts, mass, scores, n_codes):
    r"""Move classes to other codes, one after the other, where the likelihood rises.

    With the code scores fixed, the log-likelihood depends on the mapping M by

    .. math:: \sum_v n_v\, s_{v, M(v)} - \sum_k N_k \log Q_k, \qquad
        N_k = \sum_{v \in k} n_v, \quad Q_k = \sum_{v \in k} m_v

    with the counts n, the masses m of which each class has its part within the code,
    and the mean :math:`s_{vk}` of the score of code k over the rows of class v. Every
    move is judged by its exact gain, so the sum never falls. Moving all classes at once
    by the first-order gain, as is usual, may lower it.

    Parameters
    ----------
    codes : ndarray of shape (n_classes,)
        Code of each class.
    counts : ndarray of shape (n_classes,)
        Rows of each class; those without stay where they are.
    mass : ndarray of shape (n_classes,)
        Positive masses.
    scores : callable
        Of an array of classes, their mean scores of shape (len, n_codes).
    n_codes : int
        Number of codes. One without classes takes part, with the score it has.

    Returns
    -------
    codes : ndarray of shape (n_classes,)
        The new codes; some may have no class any more.
    n_moved : int
        Number of classes that have another one.
    """
    codes = codes.copy()
    N, Q = (np.bincount(codes, values, n_codes) for values in (counts, mass))
    # An empty code costs nothing: log 1 instead of the log 0 that rounding may miss.
    size = np.bincount(codes, minlength=n_codes)
    before = codes.copy()
    frequent_first = np.argsort(-counts, kind="stable")
    frequent_first = frequent_first[counts[frequent_first] > 0]
    for start in range(0, len(frequent_first), _CLASSES_AT_ONCE):
        block = frequent_first[start : start + _CLASSES_AT_ONCE]
        gains = counts[block, np.newaxis] * scores(block)
        for v, gain in zip(block, gains):
            own, n, m = codes[v], counts[v], mass[v]
            size[own] -= 1
            N[own], Q[own] = (N[own] - n, Q[own] - m) if size[own] else (0.0, 0.0)
            gain -= (N + n) * np.log(Q + m) - N * np.log(np.where(size > 0, Q, 1.0))
            best = int(gain.argmax())
            # Equal but for rounding is not better.
            if gain[best] - gain[own] <= 1e-12 * abs(gain[own]):
                best = own
            codes[v] = best
            size[best] += 1
            N[best] += n
            Q[best] += m
    return codes, int(np.count_nonzero(codes != before))
