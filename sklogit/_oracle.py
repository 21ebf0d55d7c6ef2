"""Loss oracles: counted calls, a budget of calls, and what an oracle must return."""

import time
from numbers import Integral, Real

import numpy as np


class OracleBudgetExceeded(RuntimeError):
    """Raised instead of a call of an oracle beyond its `max_oracle_calls`.

    Examples
    --------
    >>> from sklogit.linear_model import OracleBudgetExceeded, expensive_oracle
    >>> oracle = expensive_oracle(abs, max_oracle_calls=1)
    >>> oracle(-2.0)
    2.0
    >>> try:
    ...     oracle(-2.0)
    ... except OracleBudgetExceeded as error:
    ...     print(error)
    oracle abs: call 2 refused, max_oracle_calls=1
    """


class ExpensiveOracle:
    """What `expensive_oracle` returns; see there."""

    def __init__(self, loss, cost_s=0.0, counter=None, max_oracle_calls=None):
        self.loss = loss
        self.cost_s = cost_s
        self.counter = counter
        self.max_oracle_calls = max_oracle_calls
        self.reset()

    def reset(self):
        """Forget the calls made so far.

        Returns
        -------
        self : ExpensiveOracle
            The oracle.
        """
        self.n_calls = 0
        self.seconds = 0.0
        return self

    def __call__(self, *args, **kwargs):
        limit = self.max_oracle_calls
        if limit is not None and self.n_calls >= limit:
            raise OracleBudgetExceeded(
                f"oracle {oracle_name(self)}: call {self.n_calls + 1} refused, "
                f"max_oracle_calls={limit}"
            )
        # Counted before it runs: a call that fails or is interrupted was paid for.
        self.n_calls += 1
        if self.counter is not None:
            self.counter(self.n_calls)
        start = time.perf_counter()
        try:
            if self.cost_s > 0:
                time.sleep(self.cost_s)
            return self.loss(*args, **kwargs)
        finally:
            self.seconds += time.perf_counter() - start

    def __repr__(self):
        return (
            f"expensive_oracle({oracle_name(self)}, cost_s={self.cost_s!r}, "
            f"max_oracle_calls={self.max_oracle_calls!r})"
        )


def expensive_oracle(loss, *, cost_s=0.0, counter=None, max_oracle_calls=None):
    """Wrap a loss so that its calls are counted, limited, and cost time.

    It stands in for an oracle that is truly expensive (a simulator, a remote scorer) in
    benchmarks and tests, and puts a hard budget on a real one.

    Parameters
    ----------
    loss : callable
        The oracle; it receives all arguments unchanged, and its result is returned
        unchanged: arrays and tensors alike.
    cost_s : float, default=0.0
        Seconds to wait in every call.
    counter : callable or None, default=None
        Called with the number of calls, this one included, before each call.
    max_oracle_calls : int or None, default=None
        Most calls; None sets no limit.

    Returns
    -------
    oracle : callable
        Has attributes `n_calls`, calls so far, failed ones included, `seconds`, the
        time they took, and a method `reset` that sets both to zero. It can be pickled
        if `loss` and `counter` can; copies start from the counts of the original and
        count on their own, so what parallel workers count stays in the workers.

    Raises
    ------
    TypeError
        If `loss` or `counter` cannot be called, or a number is not one.
    ValueError
        If `cost_s` or `max_oracle_calls` is negative.
    OracleBudgetExceeded
        By the oracle, instead of a call beyond `max_oracle_calls`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.linear_model import expensive_oracle
    >>> def half_squared_error(Z, y, sample_weight=None):
    ...     error = Z - y
    ...     return np.mean(error**2) / 2, error
    >>> oracle = expensive_oracle(half_squared_error, cost_s=0.001)
    >>> loss, gradient = oracle(np.array([[1.0], [3.0]]), np.array([[1.0], [1.0]]))
    >>> float(loss), gradient.tolist(), oracle.n_calls
    (1.0, [[0.0], [2.0]], 1)
    """
    if not callable(loss):
        raise TypeError(f"loss must be a callable, got {type(loss).__name__}.")
    if counter is not None and not callable(counter):
        raise TypeError(
            f"counter must be a callable or None, got {type(counter).__name__}."
        )
    _check_number("cost_s", cost_s, Real, "a number")
    if max_oracle_calls is not None:
        _check_number("max_oracle_calls", max_oracle_calls, Integral, "an int or None")
    return ExpensiveOracle(loss, cost_s, counter, max_oracle_calls)


def _check_number(name, value, kind, allowed):
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{name} must be {allowed}, got {value!r}.")
    if not value >= 0:
        raise ValueError(f"{name} must be at least 0, got {value!r}.")


def oracle_name(oracle):
    """Name of an oracle for messages, looking through `expensive_oracle`.

    Parameters
    ----------
    oracle : callable
        The oracle.

    Returns
    -------
    name : str
        Name of the function or of the class.
    """
    while isinstance(oracle, ExpensiveOracle):
        oracle = oracle.loss
    return getattr(oracle, "__name__", type(oracle).__name__)


def check_oracle_output(output, Z, name):
    """Validate what an oracle returned for the targets Z, both as ndarrays.

    Parameters
    ----------
    output : object
        Should be a pair (loss, G).
    Z : ndarray of shape (n_samples, n_outputs)
        Targets that the oracle was called with.
    name : str
        Name of the oracle, for the messages.

    Returns
    -------
    loss : float
        The finite loss.
    G : ndarray of shape (n_samples, n_outputs)
        The finite gradients of the samples' losses, in the dtype of Z.

    Raises
    ------
    TypeError
        If the output is not a pair, or holds no real numbers.
    ValueError
        If the shape is wrong or a value is not finite.
    """
    if not isinstance(output, (tuple, list)) or len(output) != 2:
        found = type(output).__name__
        if isinstance(output, (tuple, list)):
            found += f" of length {len(output)}"
        raise TypeError(
            f"oracle {name} must return a pair (loss, G) of a float and an array of "
            f"shape {Z.shape}, got {found}."
        )
    loss = _real_array(output[0], f"the loss of oracle {name}")
    G = _real_array(output[1], f"the gradient G of oracle {name}")
    if loss.size != 1:
        raise ValueError(
            f"the loss of oracle {name} must be one number, got shape {loss.shape}."
        )
    if G.shape != Z.shape:
        raise ValueError(
            f"the gradient G of oracle {name} must have the shape {Z.shape} of Z "
            f"(one row a sample), got {G.shape}."
        )
    loss = float(loss.reshape(()))
    if not np.isfinite(loss):
        raise ValueError(f"the loss of oracle {name} must be finite, got {loss}.")
    with np.errstate(over="ignore"):  # a double may be infinite in the dtype of Z
        G = np.array(G, dtype=Z.dtype)
    finite = np.isfinite(G)
    if not finite.all():
        row = int(np.flatnonzero(~finite.all(axis=1))[0])
        raise ValueError(
            f"the gradient G of oracle {name} must be finite, got {G[row]} in row {row}"
            f"; {int((~finite).sum())} of {G.size} values are not."
        )
    return loss, G


def _real_array(value, what):
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"{what} must hold real numbers, got {type(value).__name__} "
            f"of dtype {array.dtype}."
        )
    return array
