import math

import numpy as np
import pytest
from scipy.special import softmax

from sklogit.audit import (
    hidden_geometry_match,
    principal_cosines,
    queries_required,
    topk_identifiable,
    topk_tv_diameter,
)


def test_bound_of_the_completion():
    assert not topk_identifiable(10_000, 50_257, 4568, 768)
    assert topk_identifiable(10_000, 50_257, 4569, 768)


def test_as_many_logits_as_the_width_never_suffice():
    assert not topk_identifiable(10**12, 1000, 64, 64)
    assert queries_required(64, 1000, 64) == math.inf


@pytest.mark.parametrize(("V", "k", "h"), [(100, 12, 8), (1000, 300, 17), (60, 59, 58)])
def test_required_queries_are_the_least_that_may_be_enough(V, k, h):
    n = queries_required(h, V, k)
    assert topk_identifiable(n, V, k, h)
    assert n == h + 1 or not topk_identifiable(n - 1, V, k, h)


def test_full_answers_need_one_more_than_the_width():
    assert queries_required(512, 5000) == 513


def test_biases_buy_full_answers():
    assert queries_required(512, 5000, 5, logit_bias=True) == 641_250
    rank_only = queries_required(512, 5000, 5, logit_bias=True, rank_only=True)
    assert rank_only == 521 * math.ceil(519 / 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: topk_identifiable(0, 5, 2, 2), "n must be a positive integer, got 0"),
        (lambda: topk_identifiable(5, 5, 6, 2), "k must be at most V=5, got 6"),
        (lambda: queries_required(6, 5), "h must be at most V=5, got 6"),
        (lambda: queries_required(2.0, 5), "h must be a positive integer, got 2.0"),
        (lambda: queries_required(2, 5, 1, True), "k must be at least 2"),
    ],
)
def test_wrong_sizes_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_diameter_is_that_of_the_extreme_completions():
    rng = np.random.default_rng(0)
    for k, V in ((3, 6), (1, 10), (5, 7)):
        shown = np.sort(rng.standard_normal(k))[::-1]
        low = np.concatenate([shown, np.full(V - k, -np.inf)])
        high = np.concatenate([shown, np.full(V - k, shown[-1])])
        tv = 0.5 * np.abs(softmax(low) - softmax(high)).sum()
        assert topk_tv_diameter(shown, V) == pytest.approx(tv, rel=1e-12)


def test_published_diameter():
    assert topk_tv_diameter([3, 2, 1], 6) == pytest.approx(0.2126552873, abs=1e-10)


def test_nothing_is_open_if_all_is_shown():
    assert topk_tv_diameter([1.0, 2.0, 3.0], 3) == 0.0


def test_diameters_of_rows_with_missing_entries_and_large_logits():
    values = np.array([[3.0, np.nan, 2.0, 1.0], [1e4, 1e4 - 1, np.nan, 1e4 - 2]])
    np.testing.assert_allclose(topk_tv_diameter(values, 6), 0.2126552873, rtol=1e-9)


@pytest.mark.parametrize("values", [[], [np.nan], [1.0, 2.0, 3.0], [np.inf]])
def test_no_logits_or_too_many_are_refused(values):
    with pytest.raises(ValueError, match="1 to n_outputs=2 finite logits"):
        topk_tv_diameter(values, 2)


def test_cosines_of_known_angles():
    A = np.eye(5)[:, :2]
    B = np.zeros((5, 2))
    B[[0, 2], 0] = np.cos(0.3), np.sin(0.3)
    B[[1, 3], 1] = np.cos(1.1), np.sin(1.1)
    np.testing.assert_allclose(principal_cosines(A, B), np.cos([0.3, 1.1]), rtol=1e-12)


def test_cosines_do_not_depend_on_the_bases():
    rng = np.random.default_rng(0)
    A, B = rng.standard_normal((2, 30, 4))
    mixed = principal_cosines(
        A @ rng.standard_normal((4, 4)), np.c_[B, B @ [1, 2, 3, 4]]
    )
    np.testing.assert_allclose(mixed, principal_cosines(A, B), rtol=1e-10)


def test_spaces_of_different_outputs_are_refused():
    with pytest.raises(ValueError, match="as many rows each, got 3 and 4"):
        principal_cosines(np.eye(3), np.eye(4))


def test_geometry_ignores_rotation_scale_and_shift_only():
    rng = np.random.default_rng(0)
    H = rng.standard_normal((100, 5))
    Q = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    assert hidden_geometry_match(H, 3 * H @ Q + 1) == pytest.approx(1)
    assert hidden_geometry_match(H, H * [1, 1, 1, 1, 9]) < 0.9
    assert hidden_geometry_match(H, rng.standard_normal((100, 5))) < 0.5


def test_geometry_of_constant_states_is_refused():
    with pytest.raises(ValueError, match="must vary"):
        hidden_geometry_match(np.ones((4, 2)), np.eye(4))
    with pytest.raises(ValueError, match="as many samples each, got 4 and 3"):
        hidden_geometry_match(np.eye(4), np.eye(3))
