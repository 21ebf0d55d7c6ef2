"""Independent references: all placements, tried one by one."""

from itertools import combinations, permutations

import numpy as np


def placements(n, m, k):
    """All matchings of at most k of n ads to m positions, as tuples of pairs."""
    for size in range(min(n, m, k) + 1):
        for rows in combinations(range(n), size):
            for cols in permutations(range(m), size):
                yield tuple(zip(rows, cols))


def mnl_value(weights, utilities, pairs):
    odds = [np.exp(utilities[i, j]) for i, j in pairs]
    return sum(weights[i] * o for (i, _), o in zip(pairs, odds)) / (1 + sum(odds))


def cascade_value(weights, ctr, pairs):
    """Value of pairs that are read in the order in which they stand."""
    value, read = 0.0, 1.0
    for i, j in pairs:
        value += read * ctr[i, j] * weights[i]
        read *= 1 - ctr[i, j]
    return value


def best_mnl(weights, utilities, k):
    n, m = utilities.shape
    return max(mnl_value(weights, utilities, pairs) for pairs in placements(n, m, k))


def best_cascade(weights, ctr, k, order=None):
    """Over all placements, and all orders of reading unless it is given."""
    n, m = ctr.shape
    best = 0.0
    for pairs in placements(n, m, k):
        if order is None:
            orders = permutations(pairs)
        else:
            orders = [sorted(pairs, key=lambda pair: list(order).index(pair[1]))]
        best = max(best, *(cascade_value(weights, ctr, one) for one in orders))
    return best


def random_auction(rng, n, m, *, ineligible=0.2):
    """Weights of both signs and utilities with pairs that are not eligible."""
    weights = rng.normal(1.0, 1.0, n)
    utilities = rng.normal(-0.5, 1.5, (n, m))
    utilities[rng.random((n, m)) < ineligible] = -np.inf
    return weights, utilities
