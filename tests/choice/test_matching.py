import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from sklogit.choice import _matching
from sklogit.choice._matching import at_most_k_matching

from .brute_force import placements


def best_gain(gains, k):
    n, m = gains.shape
    return max(sum(gains[pair] for pair in pairs) for pairs in placements(n, m, k))


def square_form(gains, k):
    """Value by dummies for every row and column, of which k real pairs are left."""
    n, m = gains.shape
    k = min(k, n, m)
    table = np.zeros((n + m - k, m + n - k))
    table[:n, :m] = np.maximum(gains, 0)
    table[n:, m:] = -1e9
    rows, cols = linear_sum_assignment(table, maximize=True)
    return table[rows, cols].sum()


def check(gains, k, expected):
    rows, cols = at_most_k_matching(gains, k)
    assert len(rows) == len(cols) <= k
    assert len(set(rows)) == len(set(cols)) == len(rows)
    assert (gains[rows, cols] > 0).all()
    assert gains[rows, cols].sum() == pytest.approx(expected, rel=1e-12, abs=1e-14)


def test_matching_equals_brute_force():
    rng = np.random.default_rng(0)
    for _ in range(300):
        gains = rng.normal(0.3, 1.0, rng.integers(1, 5, 2))
        k = int(rng.integers(0, gains.shape[1] + 1))
        check(gains, k, best_gain(gains, k))


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_matching_of_many_rows_loses_nothing_by_leaving_rows_out(k, monkeypatch):
    monkeypatch.setattr(_matching, "_UNPRUNED_ROWS", 0)
    rng = np.random.default_rng(1)
    for _ in range(50):
        # A few rows are the best of all columns, so that second choices count.
        gains = rng.random((40, 4)) + 2 * rng.random((40, 1)) ** 8
        check(gains, k, square_form(gains, k))


def test_matching_of_more_rows_than_the_bound_for_counting():
    gains = np.random.default_rng(2).normal(size=(400, 5))
    for k in (2, 5):
        check(gains, k, square_form(gains, k))


def test_matching_keeps_its_digits_for_tiny_gains():
    gains = 1e-30 * np.random.default_rng(3).random((6, 4))
    check(1e30 * gains, 2, square_form(1e30 * gains, 2))
    rows, cols = at_most_k_matching(gains, 2)
    assert gains[rows, cols].sum() * 1e30 == pytest.approx(square_form(1e30 * gains, 2))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_matching_of_nothing_is_empty(shape):
    rows, cols = at_most_k_matching(np.zeros(shape), 2)
    assert len(rows) == len(cols) == 0
