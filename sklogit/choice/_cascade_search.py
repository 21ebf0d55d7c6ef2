"""Greedy, enumerating and bounded searches for placements of the cascade."""

from itertools import combinations, permutations

import numpy as np


def greedy_value_order(weights, ctr, max_ads):
    """Add the pair that gains most until none gains; arguments as the programme's.

    The value of a set of pairs is monotone and submodular, and matchings are the
    intersection of two matroids: a third of the best value is certain.
    """
    n, m = ctr.shape
    position = np.full(n, -1)
    n_iter = 0
    while np.count_nonzero(position >= 0) < min(max_ads, n, m):
        gains = _gains(weights, ctr, position)
        n_iter += 1
        i, j = np.unravel_index(np.argmax(gains), gains.shape)
        if gains[i, j] <= 0:
            break
        position[i] = j
    rows = np.flatnonzero(position >= 0)
    return list(rows), list(position[rows]), n_iter


def _gains(weights, ctr, position):
    """Gain of each pair, if it is read at the place that its weight gives it."""
    shown = position >= 0
    p = np.where(shown, ctr[np.arange(len(ctr)), position], 0.0)
    read = np.concatenate([[1.0], np.cumprod(1.0 - p)])[:-1]
    after = 0.0  # value of the ads after the one at hand, given that they are read
    rest = np.zeros(len(ctr))
    for i in range(len(ctr))[::-1]:
        rest[i] = after
        after = p[i] * weights[i] + (1.0 - p[i]) * after
    gains = (read * (weights - rest))[:, np.newaxis] * ctr
    gains[shown] = 0.0
    gains[:, position[shown]] = 0.0
    return gains


def best_fixed_order(weights, ctr, max_ads, order):
    """Find the best placement of ads that are read in a given order of positions.

    A search from the first position on that leaves a branch once ads could be shown
    twice and still bring no more than the best found.
    """
    n, m = ctr.shape
    k = min(max_ads, n, m)
    p = ctr[:, order]
    bound = _bounds(weights, p, k)
    best = {"value": 0.0, "pairs": (), "visited": 0}

    def visit(t, left, read, value, pairs):
        best["visited"] += 1
        if value > best["value"]:
            best["value"], best["pairs"] = value, pairs
        if t == m or left == 0:
            return
        then = bound[left - 1][t + 1]
        hopes = p[:, t] * weights + (1.0 - p[:, t]) * then
        for i in np.argsort(-hopes, kind="stable"):
            if value + read * max(hopes[i], bound[left][t + 1]) <= best["value"]:
                break
            if p[i, t] > 0 and all(i != row for row, _ in pairs):
                clicked = read * p[i, t]
                visit(
                    t + 1,
                    left - 1,
                    read - clicked,
                    value + clicked * weights[i],
                    (*pairs, (i, order[t])),
                )
        if value + read * bound[left][t + 1] > best["value"]:
            visit(t + 1, left, read, value, pairs)

    visit(0, k, 1.0, 0.0, ())
    return [i for i, _ in best["pairs"]], [j for _, j in best["pairs"]], best["visited"]


def _bounds(weights, p, k):
    """Value of positions from t on with `left` ads, if ads may be shown twice."""
    m = p.shape[1]
    bound = np.zeros((k + 1, m + 1))
    for left in range(1, k + 1):
        for t in range(m)[::-1]:
            then = bound[left - 1, t + 1]
            shown = p[:, t] * weights + (1.0 - p[:, t]) * then
            bound[left, t] = max(bound[left, t + 1], shown.max(initial=0.0))
    return bound


def best_by_enumeration(weights, ctr, max_ads, order):
    """Try all matchings, and all orders of reading if the order is free."""
    n, m = ctr.shape
    best, found, visited = 0.0, ((), ()), 0
    for size in range(1, min(max_ads, n, m) + 1):
        for cols in _orders_of_positions(m, size, order):
            for rows in permutations(range(n), size):
                visited += 1
                value, read = 0.0, 1.0
                for i, j in zip(rows, cols):
                    value += read * ctr[i, j] * weights[i]
                    read *= 1.0 - ctr[i, j]
                if value > best:
                    best, found = value, (rows, cols)
    return list(found[0]), list(found[1]), visited


def _orders_of_positions(m, size, order):
    if order is None:
        return permutations(range(m), size)
    return combinations([int(j) for j in order], size)
