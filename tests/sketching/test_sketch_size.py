"""The number of rows of a sketch for a wished accuracy."""

import numpy as np
import pytest
from scipy.stats import norm

from sklogit.sketching import sketch_rows, sketch_size


@pytest.mark.parametrize(("d", "eps", "delta"), [(1, 2.0, 0.5), (7, 0.3, 0.01)])
def test_formula(d, eps, delta):
    z = norm.ppf(1 - delta / (2 * d))
    assert sketch_size(d, eps, delta) == int(np.ceil(d + z**2 * d / eps**2))


def test_documented_values():
    assert [sketch_size(d) for d in (10, 32, 100, 500)] == [326, 1313, 4947, 30774]
    assert sketch_size(100, eps=1) == 1312
    assert sketch_size(100, eps=0.1) == 121257


def test_more_accuracy_and_certainty_take_more_rows():
    assert sketch_size(10, eps=0.1) > sketch_size(10, eps=0.2)
    assert sketch_size(10, delta=0.01) > sketch_size(10, delta=0.1)
    assert sketch_size(20) > sketch_size(10)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("n_features", [0, -1, 2.5, "ten"]),
        ("eps", [0, -0.1, np.nan, None]),
        ("delta", [0, 1, -1, 2]),
    ],
)
def test_values_out_of_range_are_refused(name, values):
    for value in values:
        arguments = {"n_features": 10, name: value}
        with pytest.raises(ValueError, match=f"'{name}' parameter of sketch_size"):
            sketch_size(**arguments)


@pytest.mark.parametrize("method", ["block_srht", "srht", "gaussian_pooled"])
def test_the_rule_keeps_its_promise_on_heavy_tails(method):
    n, d, eps, delta = 2048, 8, 0.5, 0.1
    m, broken, n_seeds = sketch_size(d, eps, delta), 0, 60
    rng = np.random.default_rng(0)
    A = rng.standard_t(1.5, (n, d))
    b = A.sum(axis=1) + rng.standard_t(1.5, n)
    x = np.linalg.lstsq(A, b, rcond=None)[0]
    smallest = np.linalg.svd(A, compute_uv=False)[-1]
    bound = eps / np.sqrt(d) * np.linalg.norm(A @ x - b) / smallest
    for seed in range(n_seeds):
        SAb = sketch_rows(np.column_stack([A, b]), m, method, random_state=seed)
        sketched = np.linalg.lstsq(SAb[:, :d], SAb[:, d], rcond=None)[0]
        broken += np.abs(sketched - x).max() > bound
    # Three standard deviations above the promised share.
    assert broken <= n_seeds * delta + 3 * np.sqrt(n_seeds * delta * (1 - delta))
