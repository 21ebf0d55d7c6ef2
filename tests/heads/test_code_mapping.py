"""Mappings of classes to codes, against brute force."""

import itertools

import numpy as np
import pytest
from scipy.special import logsumexp

from sklogit.heads._code_mapping import (
    ascend,
    frequency_codes,
    given_codes,
    log_shares,
    number_of_codes,
    random_codes,
    score_ceiling,
    segment_logsumexp,
    segment_sums,
    weighted_means,
)


@pytest.mark.parametrize(
    ("n_codes", "expected"), [(None, 256), (7, 7), (0.1, 40), (1e-9, 1), (400, 400)]
)
def test_number_of_codes_of_400_classes(n_codes, expected):
    assert number_of_codes(n_codes, 400) == expected


def test_default_is_no_more_than_the_classes():
    assert number_of_codes(None, 3) == 3


@pytest.mark.parametrize("n_codes", [0, -1, 401, 1.0, 0.0, True, "all"])
def test_a_wrong_number_of_codes_is_refused_by_name(n_codes):
    with pytest.raises(ValueError, match="n_codes must be"):
        number_of_codes(n_codes, 400)


def test_given_codes_lose_gaps_and_keep_their_order():
    assert given_codes([7, 2, 7, 5], 4).tolist() == [2, 0, 2, 1]


@pytest.mark.parametrize(
    ("mapping", "match"),
    [
        ([0, 1], "code for each of the 3 classes.*shape"),
        ([0, -1, 1], "negative, got -1"),
        ([0.0, 1.0, 1.0], "integers, got dtype float64"),
        ("nearest", "mapping must be one of.*got 'nearest'"),
    ],
)
def test_a_wrong_mapping_is_refused_by_name(mapping, match):
    with pytest.raises(ValueError, match=match):
        given_codes(mapping, 3)


def test_random_codes_have_equal_sizes():
    sizes = np.bincount(random_codes(23, 5, np.random.RandomState(0)))
    assert sizes.min() == 4
    assert sizes.max() == 5


def test_frequent_classes_have_codes_of_their_own_and_all_codes_are_used():
    counts = np.array([1, 1000, 2, 500, 3, 1, 2, 3])
    codes = frequency_codes(counts, 4)
    assert codes[1] == 0
    assert codes[3] == 1
    rest = np.bincount(codes, counts)[2:]
    assert rest.tolist() == [6, 6]


@pytest.mark.parametrize("n_codes", [1, 2, 7, 19, 20])
@pytest.mark.parametrize("zeros", [0, 12, 20])
def test_frequency_uses_every_code_in_order_of_counts(n_codes, zeros):
    counts = np.random.default_rng(0).zipf(1.5, 20).astype(float)
    counts[:zeros] = 0
    codes = frequency_codes(counts, n_codes)
    assert np.unique(codes).tolist() == list(range(n_codes))
    assert (np.diff(codes[np.argsort(-counts, kind="stable")]) >= 0).all()


def test_sums_means_and_logsumexp_of_codes():
    rng = np.random.default_rng(0)
    codes, values = np.array([1, 0, 2, 1, 1]), rng.standard_normal(5) * 500
    rows, weight = rng.standard_normal((5, 3)), rng.uniform(0.1, 1, 5)
    for k in range(3):
        own = codes == k
        np.testing.assert_allclose(segment_sums(rows, codes, 3)[k], rows[own].sum(0))
        np.testing.assert_allclose(segment_sums(weight, codes, 3)[k], weight[own].sum())
        np.testing.assert_allclose(
            weighted_means(rows, codes, weight)[k],
            np.average(rows[own], axis=0, weights=weight[own]),
        )
        np.testing.assert_allclose(
            segment_logsumexp(values, codes, 3)[k], logsumexp(values[own])
        )
        np.testing.assert_allclose(
            np.exp(log_shares(codes, weight))[own], weight[own] / weight[own].sum()
        )


def test_ceiling_is_the_best_accuracy_of_one_class_a_code():
    # Code 0 has the classes of 5 and 3 rows, code 1 those of 4 and 4.
    assert score_ceiling(np.array([0, 1, 0, 1]), np.array([5, 4, 3, 4])) == 9 / 16


# -- moving classes --------------------------------------------------------------------


def likelihood(codes, counts, mass, scores):
    """The sum that `ascend` raises, by its definition."""
    total = 0.0
    for v, k in enumerate(codes):
        share = mass[v] / mass[codes == k].sum()
        total += counts[v] * (scores[v, k] + np.log(share))
    return total


def problem(seed, n_classes=7, n_codes=3, uniform=False):
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 30, n_classes).astype(float)
    mass = np.ones(n_classes) if uniform else counts + 0.5
    scores = rng.standard_normal((n_classes, n_codes))
    codes = rng.permutation(n_classes) % n_codes
    return codes, counts, mass, scores


@pytest.mark.parametrize("uniform", [False, True])
@pytest.mark.parametrize("seed", range(10))
def test_the_likelihood_rises_with_every_round_to_a_local_maximum(seed, uniform):
    codes, counts, mass, scores = problem(seed, uniform=uniform)
    value, moved = likelihood(codes, counts, mass, scores), True
    while moved:
        new, moved = ascend(codes, counts, mass, scores.__getitem__, 3)
        assert moved == np.count_nonzero(new != codes)
        codes = new
        found = likelihood(codes, counts, mass, scores)
        assert found > value if moved else found == value
        value = found
    for v, k in itertools.product(range(7), range(3)):
        other = codes.copy()
        other[v] = k
        assert likelihood(other, counts, mass, scores) <= value + 1e-9


def test_moving_all_classes_at_once_would_lower_the_likelihood():
    # Both classes prefer the better code 1, as long as the other one stays away.
    counts, mass = np.array([10.0, 10.0]), np.ones(2)
    scores, codes = np.array([[0.0, 0.3], [0.0, 0.3]]), np.array([0, 0])
    moved, _ = ascend(codes, counts, mass, scores.__getitem__, 2)
    assert moved.tolist() == [1, 0]
    assert likelihood(moved, counts, mass, scores) > likelihood(
        np.array([1, 1]), counts, mass, scores
    )


def test_classes_without_rows_stay():
    codes, counts, mass, scores = problem(0)
    counts[2] = 0
    assert ascend(codes, counts, mass, scores.__getitem__, 3)[0][2] == codes[2]


def test_an_empty_code_takes_part():
    counts, mass = np.array([10.0, 10.0]), np.array([10.5, 10.5])
    codes, n_moved = ascend(
        np.array([0, 0]), counts, mass, np.zeros((2, 2)).__getitem__, 2
    )
    assert n_moved == 1
    assert sorted(codes) == [0, 1]
