"""Memories: which rows stay, and what is drawn of them."""

import pickle
from copy import deepcopy

import joblib
import numpy as np
import pytest

from sklogit.continual import ReplayMemory


def stream(n, batch_size=7):
    """Rows that tell their number, in batches."""
    for start in range(0, n, batch_size):
        numbers = np.arange(start, min(n, start + batch_size))
        yield np.column_stack([numbers, -numbers]).astype(float), numbers % 3


def filled(n=50, capacity=10, strategy="reservoir", seed=0):
    memory, rng = ReplayMemory(capacity, strategy), np.random.RandomState(seed)
    for X, y in stream(n):
        memory.update(X, y, rng=rng)
    return memory


@pytest.mark.parametrize(("n", "capacity"), [(30, 6), (4, 1)])
def test_reservoir_keeps_each_row_with_the_same_probability(n, capacity):
    n_runs = 2000
    rng = np.random.RandomState(0)
    times_kept = np.zeros(n)
    for _ in range(n_runs):
        memory = ReplayMemory(capacity)
        for X, y in stream(n):
            memory.update(X, y, rng=rng)
        times_kept[memory.X[:, 0].astype(int)] += 1
    share = capacity / n
    deviation = np.sqrt(share * (1 - share) / n_runs)
    assert np.abs(times_kept / n_runs - share).max() < 5 * deviation


@pytest.mark.parametrize("strategy", ["reservoir", "class_balanced"])
def test_memory_has_different_rows_of_the_stream_with_their_labels(strategy):
    memory, rng = ReplayMemory(10, strategy), np.random.RandomState(0)
    for n_seen, (X, y) in enumerate(stream(70), start=1):
        memory.update(X, y, rng=rng)
        assert memory.n_seen == 7 * n_seen
        assert len(memory) == min(10, 7 * n_seen)
        numbers = memory.X[:, 0]
        assert len(np.unique(numbers)) == len(memory)
        np.testing.assert_array_equal(memory.X[:, 1], -numbers)
        np.testing.assert_array_equal(memory.y, numbers % 3)


@pytest.mark.parametrize("strategy", ["reservoir", "class_balanced"])
def test_memory_goes_on_where_its_rows_are_mapped_read_only(strategy, tmp_path):
    memory = filled(strategy=strategy)
    joblib.dump(memory, tmp_path / "memory")
    mapped = joblib.load(tmp_path / "memory", mmap_mode="r")
    for each in (memory, mapped):
        rng = np.random.RandomState(1)
        for X, y in stream(50):
            each.update(X + 50, y, rng=rng)
    np.testing.assert_array_equal(mapped.X, memory.X)
    assert memory.X.max() > 50


def test_class_balanced_keeps_rare_classes():
    rng = np.random.RandomState(0)
    memory = ReplayMemory(12, "class_balanced")
    y = np.zeros(500, int)
    y[::100], y[50::100] = 1, 2  # five rows each
    for start in range(0, 500, 10):
        rows = slice(start, start + 10)
        memory.update(np.arange(500.0)[rows, np.newaxis], y[rows], rng=rng)
    assert np.bincount(memory.y).tolist() == [4, 4, 4]


def test_class_balanced_keeps_rows_of_a_large_class_with_the_same_probability():
    n, n_runs, rng = 12, 2000, np.random.RandomState(0)
    times_kept = np.zeros(n)
    for _ in range(n_runs):
        memory = ReplayMemory(4, "class_balanced")
        for X, _ in stream(n, batch_size=5):
            memory.update(X, np.zeros(len(X)), rng=rng)
        times_kept[memory.X[:, 0].astype(int)] += 1
    deviation = np.sqrt(1 / 3 * 2 / 3 / n_runs)
    assert np.abs(times_kept / n_runs - 1 / 3).max() < 5 * deviation


def test_sample_draws_without_replacement():
    memory, rng = filled(), np.random.RandomState(0)
    for n, expected in ((4, 4), (10, 10), (25, 10)):
        X, y, weight = memory.sample(n, rng=rng)
        assert len(np.unique(X[:, 0])) == len(y) == expected
        assert np.isin(X[:, 0], memory.X[:, 0]).all()
        np.testing.assert_array_equal(y, X[:, 0] % 3)
        assert weight is None


def test_weights_stay_with_their_rows():
    memory, rng = ReplayMemory(10), np.random.RandomState(0)
    for i, (X, y) in enumerate(stream(49)):
        memory.update(X, y, None if i == 0 else 1 + X[:, 0], rng=rng)
    X, _, weight = memory.sample(10, rng=rng)
    expected = np.where(X[:, 0] < 7, 1, 1 + X[:, 0])
    np.testing.assert_array_equal(weight, expected)


def test_later_labels_may_be_longer():
    memory = ReplayMemory(4)
    memory.update(np.zeros((1, 1)), np.array(["a"]), rng=0)
    memory.update(np.ones((1, 1)), np.array(["brontosaurus"]), rng=0)
    assert memory.y.tolist() == ["a", "brontosaurus"]


def test_empty_memories_give_nothing():
    assert ReplayMemory(5).sample(3, rng=0) == (None, None, None)
    none = ReplayMemory(0)
    none.update(np.zeros((3, 1)), np.zeros(3), rng=0)
    assert none.n_seen == 3
    assert none.sample(3, rng=0) == (None, None, None)


@pytest.mark.parametrize("strategy", ["reservoir", "class_balanced"])
@pytest.mark.parametrize(
    "copy", [deepcopy, ReplayMemory.copy, lambda m: pickle.loads(pickle.dumps(m))]
)
@pytest.mark.parametrize("n", [5, 50])
def test_copies_change_apart_and_alike(copy, strategy, n):
    memory = filled(n, strategy=strategy)
    before = memory.X.copy()
    other = copy(memory)
    rng = np.random.RandomState(1)
    for X, y in stream(30):
        other.update(1000 + X, y, rng=rng)
    np.testing.assert_array_equal(memory.X, before)
    rng = np.random.RandomState(1)
    for X, y in stream(30):
        memory.update(1000 + X, y, rng=rng)
    np.testing.assert_array_equal(memory.X, other.X)
    np.testing.assert_array_equal(memory.y, other.y)


def test_pickle_has_no_room_for_more():
    memory = ReplayMemory(100_000)
    memory.update(np.zeros((60, 10)), np.zeros(60), rng=0)
    assert len(pickle.dumps(memory)) < 8000


@pytest.mark.parametrize("capacity", [-1, 2.5, "3", True, None])
def test_capacity_that_is_none_is_refused(capacity):
    with pytest.raises(ValueError, match=r"capacity must be an integer >= 0"):
        ReplayMemory(capacity)


def test_unknown_strategy_is_refused():
    with pytest.raises(ValueError, match=r"strategy.*class_balanced.*'newest'"):
        ReplayMemory(5, "newest")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"y": [0, 1]}, "as many rows, got 3 and 2"),
        ({"sample_weight": [1.0]}, "as many rows, got 3 and 3 and 1"),
        ({"X": np.zeros((3, 5))}, r"rows of shape \(2,\), as before, got \(5,\)"),
    ],
)
@pytest.mark.parametrize("strategy", ["reservoir", "class_balanced"])
def test_rows_that_do_not_fit_change_nothing(bad, message, strategy):
    memory = filled(strategy=strategy)
    before = pickle.dumps(memory)
    with pytest.raises(ValueError, match=message):
        memory.update(**{"X": np.zeros((3, 2)), "y": [0, 1, 2]} | bad, rng=0)
    assert pickle.dumps(memory) == before


def test_lists_are_rows():
    memory = ReplayMemory(5)
    memory.update([[1.0, 2.0], [3.0, 4.0]], ["a", "b"], [1.0, 2.0], rng=0)
    np.testing.assert_array_equal(memory.X, [[1, 2], [3, 4]])
    assert (memory.y.tolist(), memory.sample_weight.tolist()) == (["a", "b"], [1, 2])


def test_no_fewer_than_none_are_drawn():
    with pytest.raises(ValueError, match="n must be >= 0, got -1"):
        filled().sample(-1)
    assert len(filled().sample(0, rng=0)[1]) == 0
