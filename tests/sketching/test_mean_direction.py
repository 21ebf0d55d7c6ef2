from itertools import product
from math import comb

import numpy as np
import pytest

from sklogit.sketching._mean_direction import Mirror, plain_split, split_by_mean


def rows(n_features, spread, seed=0):
    """Rows about one direction, and what is needed of them."""
    rng = np.random.default_rng(seed)
    X = 1.0 + spread * rng.standard_normal((200, n_features))
    mean = X.mean(axis=0)
    return mean, X @ mean / np.linalg.norm(mean), (X**2).sum(axis=1)


def variance(moments, degree, n_features):
    """Variance of the kernel, but for a factor, with these features a power."""
    _, along, squared_norms = moments
    rest = squared_norms - along**2
    total = 0.0
    for power in range(1, degree + 1):
        if n_features[power] < np.inf:
            share = np.mean(along ** (2 * (degree - power)) * rest**power)
            total += (comb(degree, power) * share) ** 2 / n_features[power]
    return total


def by_power(split, unit):
    numbers = unit * split.n_sketched.astype(float)
    if split.n_linear:
        numbers[1] = np.inf
    return numbers


@pytest.mark.parametrize("spread", [0.05, 0.5, 5.0])
@pytest.mark.parametrize("n_components", [20, 41])
@pytest.mark.parametrize("unit", [1, 2])
def test_division_is_nearly_the_best_one(spread, n_components, unit):
    degree, moments = 3, rows(6, spread)
    found = by_power(split_by_mean(*moments, n_components, degree, unit), unit)
    best = np.inf
    for numbers in product(range(1, n_components), repeat=degree):
        if unit * sum(numbers) < n_components:
            candidate = np.array([0, *numbers]) * float(unit)
            best = min(best, variance(moments, degree, candidate))
        if not numbers[0] - 1 and unit * sum(numbers[1:]) < n_components - 5:
            candidate = np.array([0, np.inf, *(unit * np.array(numbers[1:]))])
            best = min(best, variance(moments, degree, candidate))
    # Every power has one component at least, also where it does not deserve it.
    assert variance(moments, degree, found) < 1.35 * best


@pytest.mark.parametrize("spread", [0.1, 3.0])
def test_large_numbers_are_in_proportion_to_the_shares(spread):
    degree, moments = 4, rows(8, spread)
    _, along, squared_norms = moments
    split = split_by_mean(*moments, 10**6, degree, 1)
    rest = squared_norms - along**2
    shares = [
        comb(degree, j) * np.mean(along ** (2 * (degree - j)) * rest**j)
        for j in range(2, degree + 1)
    ]
    expected = np.array(shares) / np.sum(shares)
    np.testing.assert_allclose(split.n_sketched[2:] / 10**6, expected, atol=1e-4)


@pytest.mark.parametrize("n_components", [7, 8, 50, 51])
@pytest.mark.parametrize("unit", [1, 2])
@pytest.mark.parametrize("spread", [0.01, 1.0, 100.0])
def test_all_features_are_used(n_components, unit, spread):
    split = split_by_mean(*rows(9, spread), n_components, 3, unit)
    used = 1 + split.n_linear + unit * split.n_sketched.sum() + split.n_spare
    assert used == n_components
    assert (split.n_sketched[1 if not split.n_linear else 2 :] > 0).all()
    assert split.n_sketched[0] == 0
    assert split.n_linear in (0, 8)
    assert split.n_spare < unit


def test_large_norms_do_not_overflow():
    mean, along, squared_norms = rows(5, 1.0)
    split = split_by_mean(mean, along, squared_norms, 60, 6, 2)
    huge = split_by_mean(1e80 * mean, 1e80 * along, 1e160 * squared_norms, 60, 6, 2)
    np.testing.assert_array_equal(split.n_sketched, huge.n_sketched)
    np.testing.assert_allclose(split.direction, huge.direction)


def test_rows_without_deviation_leave_something_for_every_power():
    mean = np.array([3.0, 4.0])
    split = split_by_mean(mean, np.full(5, 5.0), np.full(5, 25.0), 21, 3, 2)
    assert (split.n_sketched[2:] > 0).all()
    np.testing.assert_allclose(split.direction, [0.6, 0.8])


def test_plain_split_gives_all_to_the_highest_power():
    split = plain_split(9, 3, 2)
    assert split.direction is None
    assert split.n_sketched.tolist() == [0, 0, 0, 4]
    assert split.n_spare == 1


def test_highest_powers_use_all_factors():
    split = split_by_mean(*rows(40, 2.0), 30, 3, 1)
    first, second, third = split.n_sketched[1:]
    assert split.n_used.tolist() == [
        third + second + first,
        third + second,
        third,
    ]


@pytest.mark.parametrize("seed", range(3))
def test_mirror_turns_the_direction_into_an_axis(seed):
    direction = np.random.default_rng(seed).standard_normal(7)
    direction /= np.linalg.norm(direction)
    mirror = Mirror.of(direction)
    image = direction - mirror.shift(direction[np.newaxis])[0] * mirror.normal
    expected = np.zeros(7)
    expected[mirror.axis] = -np.sign(direction[mirror.axis])
    np.testing.assert_allclose(image, expected, atol=1e-15)
    assert mirror.axis == np.argmax(np.abs(direction))
