"""Splits of rows into tasks of different classes."""

import numpy as np
import pytest

from sklogit.continual import class_incremental_splits


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(("n_tasks", "sizes"), [(1, [7]), (3, [3, 2, 2]), (7, [1] * 7)])
def test_tasks_part_the_classes(n_tasks, sizes, shuffle):
    y = np.random.default_rng(0).permutation(np.arange(100) % 7)
    tasks = list(class_incremental_splits(y, n_tasks, shuffle=shuffle, random_state=0))
    assert [len(np.unique(y[rows])) for rows in tasks] == sizes
    np.testing.assert_array_equal(np.sort(np.concatenate(tasks)), np.arange(100))
    assert all((np.diff(rows) > 0).all() for rows in tasks)
    if not shuffle:
        assert [y[rows].min() for rows in tasks] == np.cumsum([0, *sizes[:-1]]).tolist()


def test_training_and_test_data_get_the_same_tasks():
    y, y_test = np.repeat(list("abcdefgh"), 3), np.array(list("hgfedcba"))
    tasks = zip(
        class_incremental_splits(y, 4, random_state=5),
        class_incremental_splits(y_test, 4, random_state=5),
    )
    for rows, rows_test in tasks:
        assert np.unique(y[rows]).tolist() == np.unique(y_test[rows_test]).tolist()


def test_seeds_give_other_orders():
    y = np.arange(10)
    orders = {
        tuple(np.concatenate(list(class_incremental_splits(y, 10, random_state=s))))
        for s in range(5)
    }
    assert len(orders) == 5


@pytest.mark.parametrize("n_tasks", [0, 4, 1.5, True])
def test_impossible_numbers_of_tasks_are_refused_at_once(n_tasks):
    with pytest.raises(ValueError, match=r"n_tasks must be an integer from 1 to 3"):
        class_incremental_splits([0, 1, 2], n_tasks)


def test_numbers_that_are_no_labels_are_refused():
    with pytest.raises(ValueError, match="Unknown label type"):
        class_incremental_splits([0.5, 1.3, 2.7], 2)
