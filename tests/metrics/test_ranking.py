"""Ranking metrics, against all orders of equal scores."""

from itertools import permutations

import numpy as np
import pytest

from sklogit.metrics import (
    first_hit_rank,
    hit_ranks,
    inspection_curve,
    inspections_to_recall,
    lift_at_k,
    precision_at_k,
    recall_at_k,
)

# Two groups of equal scores, a row between them and one after.
SCORES = np.array([2.0, 3.0, 2.0, 1.0, 3.0, 2.5, 2.0, 0.0])
LABELS = [
    [1, 0, 0, 0, 1, 0, 1, 0],
    [0, 0, 0, 1, 0, 0, 0, 0],
    [1, 1, 1, 0, 1, 0, 0, 1],
    [0, 0, 1, 0, 0, 1, 0, 0],
]


# All orders of inspection that the scores permit: 3! 2! of 8!.
ORDERS = [
    list(order)
    for order in permutations(range(len(SCORES)))
    if (np.diff(SCORES[list(order)]) <= 0).all()
]


def over_all_orders(function, y):
    assert len(ORDERS) == 12
    return np.mean([function(np.array(y)[order]) for order in ORDERS], axis=0)


def ranks_of_positives(ranked):
    return np.flatnonzero(ranked) + 1


@pytest.mark.parametrize("y", LABELS)
def test_precision_is_the_mean_over_all_orders_of_equal_scores(y):
    for k in range(1, 9):
        expected = over_all_orders(lambda ranked, k=k: ranked[:k].mean(), y)
        assert precision_at_k(y, SCORES, k) == pytest.approx(expected)


@pytest.mark.parametrize("y", LABELS)
def test_recall_is_the_mean_over_all_orders_of_equal_scores(y):
    for k in range(1, 9):
        expected = over_all_orders(lambda ranked, k=k: ranked[:k].sum(), y)
        assert recall_at_k(y, SCORES, k) == pytest.approx(expected / np.sum(y))


@pytest.mark.parametrize("y", LABELS)
def test_inspections_are_the_mean_over_all_orders_of_equal_scores(y):
    expected = over_all_orders(ranks_of_positives, y)
    np.testing.assert_allclose(hit_ranks(y, SCORES), expected)
    assert first_hit_rank(y, SCORES) == pytest.approx(expected[0])
    assert inspections_to_recall(y, SCORES) == pytest.approx(expected[-1])


@pytest.mark.parametrize("y", LABELS)
def test_curve_is_the_mean_over_all_orders_of_equal_scores(y):
    n_inspected, found = inspection_curve(y, SCORES)
    np.testing.assert_array_equal(n_inspected, np.arange(9))
    assert found[0] == 0
    np.testing.assert_allclose(found[1:], over_all_orders(np.cumsum, y))


def test_stable_ties_keep_the_order_of_the_rows():
    y, scores = [0, 1, 1, 0, 1], [1.0, 1.0, 1.0, 2.0, 1.0]
    # Ranked: the fourth row, then the others as they stand.
    np.testing.assert_array_equal(hit_ranks(y, scores, ties="stable"), [3, 4, 5])
    assert first_hit_rank(y, scores, ties="stable") == 3
    assert inspections_to_recall(y, scores, 0.5, ties="stable") == 4
    assert precision_at_k(y, scores, 3, ties="stable") == pytest.approx(1 / 3)
    assert recall_at_k(y, scores, 4, ties="stable") == pytest.approx(2 / 3)
    assert lift_at_k(y, scores, 4, ties="stable") == pytest.approx(0.5 / 0.6)
    _, found = inspection_curve(y, scores, ties="stable")
    np.testing.assert_array_equal(found, [0, 0, 0, 1, 2, 3])


def test_perfect_order_finds_everything_first():
    y = np.array([0, 1, 0, 1, 0])
    assert first_hit_rank(y, y) == pytest.approx(1)
    assert first_hit_rank(y, y + np.arange(5) / 10) == 1
    assert inspections_to_recall(y, y) == 2
    assert precision_at_k(y, y, 2) == recall_at_k(y, y, 2) == 1
    assert lift_at_k(y, y, 2) == 2.5


def test_constant_scores_are_random_order():
    y = np.zeros(100)
    y[[3, 50, 51, 99]] = 1
    scores = np.full(100, 0.7)
    np.testing.assert_allclose(hit_ranks(y, scores), np.arange(1, 5) * 101 / 5)
    for k in (1, 7, 100):
        assert precision_at_k(y, scores, k) == pytest.approx(0.04)
        assert lift_at_k(y, scores, k) == pytest.approx(1)
    n_inspected, found = inspection_curve(y, scores)
    np.testing.assert_allclose(found, n_inspected * 0.04)


def test_random_scores_have_a_lift_of_one_on_average():
    rng = np.random.default_rng(0)
    y = np.arange(200) < 20
    lifts = [lift_at_k(y, rng.random(200), 20) for _ in range(2000)]
    assert np.mean(lifts) == pytest.approx(1, abs=4 * np.std(lifts) / np.sqrt(2000))


def test_curve_ends_with_all_rows_and_all_positives():
    rng = np.random.default_rng(0)
    y, scores = rng.integers(0, 2, 1000), rng.integers(0, 7, 1000)
    n_inspected, found = inspection_curve(y, scores)
    assert (n_inspected[-1], found[-1]) == (1000, y.sum())
    assert (np.diff(found) >= 0).all()


def test_recall_is_rounded_up_to_a_number_of_positives():
    y, scores = np.ones(100), -np.arange(100.0)
    # 0.07 * 100 is 7.000000000000001 in floating point.
    assert inspections_to_recall(y, scores, 0.07) == 7
    assert inspections_to_recall(y, scores, 0.071) == 8
    assert inspections_to_recall(y, scores, 1e-12) == 1


def test_k_may_be_a_share():
    y, scores = np.arange(40) % 2, np.arange(40.0)
    for metric in (precision_at_k, recall_at_k, lift_at_k):
        assert metric(y, scores, 0.05) == metric(y, scores, 2)
        assert metric(y, scores, 0.051) == metric(y, scores, 3)
        assert metric(y, scores, np.int64(3)) == metric(y, scores, 3)


def test_labels_may_be_names():
    y, scores = np.array(["no", "yes", "no"]), [3.0, 2.0, 1.0]
    assert first_hit_rank(y, scores, pos_label="yes") == 2
    assert precision_at_k(y, scores, 1, pos_label="no") == 1
    assert first_hit_rank([-1, 1, -1], scores) == 2
    assert first_hit_rank([False, True, False], scores) == 2


def test_nothing_to_find_has_precision_but_no_recall():
    y, scores = [0, 0, 0], [0.1, 0.2, 0.3]
    assert precision_at_k(y, scores, 2) == 0
    np.testing.assert_array_equal(inspection_curve(y, scores)[1], np.zeros(4))
    for metric in (hit_ranks, first_hit_rank, inspections_to_recall):
        with pytest.raises(ValueError, match="y_true has no positive: none is 1"):
            metric(y, scores)
    for metric in (recall_at_k, lift_at_k):
        with pytest.raises(ValueError, match="y_true has no positive"):
            metric(y, scores, 2)


@pytest.mark.parametrize("k", [0, -1, 5, 1.0, 1.5, 0.0, True, "2", np.nan])
def test_a_number_of_inspections_out_of_range_is_refused(k):
    with pytest.raises(ValueError, match=r"k must be an integer from 1 to .* 4"):
        precision_at_k([0, 1, 0, 1], [1, 2, 3, 4], k)


@pytest.mark.parametrize("recall", [0, 1.1, -0.5, np.nan, "all"])
def test_a_recall_out_of_range_is_refused(recall):
    with pytest.raises(ValueError, match="recall must be above 0 and at most 1"):
        inspections_to_recall([0, 1], [1, 2], recall)


@pytest.mark.parametrize(
    ("y", "scores", "options", "message"),
    [
        ([0, 1, -1], [1, 2, 3], {}, r"two kinds of labels.*without a label"),
        ([0, 1, 1], [1, np.nan, 3], {}, "y_score must be finite"),
        ([0, 1], [1, 2, 3], {}, "inconsistent numbers of samples"),
        ([0, 1, 1], [1, 2, 3], {"ties": "random"}, "ties must be one of"),
        ([], [], {}, "at least one row"),
        (["no", "yes"], [1, 2], {}, r"pos_label must be one of .* 'yes'., got 1"),
    ],
)
def test_bad_rankings_are_refused(y, scores, options, message):
    with pytest.raises(ValueError, match=message):
        inspection_curve(y, scores, **options)
