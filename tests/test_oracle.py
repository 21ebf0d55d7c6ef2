"""Oracles: counted, limited, delayed, and checked."""

import copy
import pickle
import time

import numpy as np
import pytest

from sklogit._oracle import check_oracle_output, oracle_name
from sklogit.linear_model import OracleBudgetExceeded, expensive_oracle


def half_square(Z, y=0.0, sample_weight=None):
    return float(np.mean((Z - y) ** 2) / 2), Z - y


def test_arguments_and_result_pass_through():
    received = []

    def loss(*args, **kwargs):
        received.append((args, kwargs))
        return "result"

    assert expensive_oracle(loss)(1, "a", weight=None) == "result"
    assert received == [((1, "a"), {"weight": None})]


def test_calls_are_counted_and_told_to_the_counter():
    told = []
    oracle = expensive_oracle(half_square, counter=told.append)
    for _ in range(3):
        oracle(np.zeros((2, 1)))
    assert oracle.n_calls == 3
    assert told == [1, 2, 3]


def test_budget_stops_before_the_call():
    made = []
    oracle = expensive_oracle(made.append, max_oracle_calls=2)
    oracle(0), oracle(1)
    with pytest.raises(OracleBudgetExceeded, match=r"call 3 .*max_oracle_calls=2"):
        oracle(2)
    assert made == [0, 1]
    assert oracle.n_calls == 2


def test_budget_error_is_a_runtime_error():
    assert issubclass(OracleBudgetExceeded, RuntimeError)


def test_cost_is_waited_for_and_counted(monkeypatch):
    waited = []
    monkeypatch.setattr(time, "sleep", waited.append)
    oracle = expensive_oracle(half_square, cost_s=0.25)
    oracle(np.zeros((2, 1)))
    assert waited == [0.25]
    assert oracle.seconds > 0


def test_failed_call_is_counted():
    oracle = expensive_oracle(half_square)
    with pytest.raises(TypeError):
        oracle("text", "text")
    assert oracle.n_calls == 1


def test_reset_forgets_the_calls():
    oracle = expensive_oracle(half_square, max_oracle_calls=1)
    oracle(np.zeros((2, 1)))
    assert oracle.reset() is oracle
    assert (oracle.n_calls, oracle.seconds) == (0, 0.0)
    oracle(np.zeros((2, 1)))


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))]
)
def test_copies_keep_their_counts_and_count_alone(duplicate):
    oracle = expensive_oracle(half_square, max_oracle_calls=3)
    oracle(np.zeros((2, 1)))
    other = duplicate(oracle)
    other(np.zeros((2, 1)))
    assert (oracle.n_calls, other.n_calls) == (1, 2)
    assert other.max_oracle_calls == 3


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"loss": 3}, TypeError, "loss must be a callable, got int"),
        ({"counter": 3}, TypeError, "counter must be a callable or None"),
        ({"cost_s": "1"}, TypeError, "cost_s must be a number, got '1'"),
        ({"cost_s": -1.0}, ValueError, "cost_s must be at least 0, got -1.0"),
        ({"cost_s": float("nan")}, ValueError, "cost_s must be at least 0, got nan"),
        ({"max_oracle_calls": 1.5}, TypeError, "max_oracle_calls must be an int"),
        ({"max_oracle_calls": -1}, ValueError, "max_oracle_calls must be at least 0"),
    ],
)
def test_bad_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        expensive_oracle(**{"loss": half_square} | arguments)


def test_name_looks_through_the_wrapper():
    assert oracle_name(expensive_oracle(expensive_oracle(half_square))) == "half_square"


# -- what an oracle must return --------------------------------------------------------

Z = np.zeros((3, 2), dtype=np.float32)


def test_good_output_comes_back_in_the_dtype_of_the_targets():
    loss, G = check_oracle_output((np.float64(2), np.ones((3, 2))), Z, "f")
    assert loss == 2.0
    assert type(loss) is float
    assert G.dtype == np.float32


def test_gradient_is_a_copy():
    buffer = np.ones((3, 2), dtype=np.float32)
    _, G = check_oracle_output((1.0, buffer), Z, "f")
    buffer[:] = 7
    assert (G == 1).all()


@pytest.mark.parametrize(
    ("output", "error", "message"),
    [
        (1.0, TypeError, r"oracle scorer must return a pair .* got float"),
        (None, TypeError, r"oracle scorer must return a pair .* got NoneType"),
        ((1.0,), TypeError, r"got tuple of length 1"),
        ((1.0, None), TypeError, r"gradient G of oracle scorer .* real numbers"),
        (("a", np.ones((3, 2))), TypeError, r"loss of oracle scorer .* got str"),
        ((1j, np.ones((3, 2))), TypeError, r"loss of oracle scorer .* real numbers"),
        ((np.ones(3), np.ones((3, 2))), ValueError, r"one number, got shape \(3,\)"),
        ((1.0, np.ones(3)), ValueError, r"shape \(3, 2\) of Z .* got \(3,\)"),
        ((1.0, np.ones((2, 3))), ValueError, r"scorer .* got \(2, 3\)"),
        ((np.nan, np.ones((3, 2))), ValueError, r"loss of oracle scorer .* got nan"),
        ((np.inf, np.ones((3, 2))), ValueError, r"must be finite, got inf"),
        ((1.0, np.diag([1, np.nan, 2])[:, :2]), ValueError, r"scorer .* in row 1; 1 "),
    ],
)
def test_bad_output_is_named_with_the_oracle(output, error, message):
    with pytest.raises(error, match=message):
        check_oracle_output(output, Z, "scorer")
