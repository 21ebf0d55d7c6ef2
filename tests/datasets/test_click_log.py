import numpy as np
import pytest
from scipy.special import expit

from sklogit.datasets import make_click_log


@pytest.mark.parametrize("user_model", ["mnl", "cascade", "independent"])
def test_rows_are_pairs_of_different_ads_in_the_first_positions(user_model):
    log = make_click_log(200, 4, n_ads=9, user_model=user_model, random_state=0)
    np.testing.assert_array_equal(log.X, log.pairs[log.ads * 4 + log.positions])
    for g in range(200):
        rows = log.groups == g
        np.testing.assert_array_equal(log.positions[rows], np.arange(rows.sum()))
        assert len(set(log.ads[rows])) == rows.sum()
        if user_model != "independent":
            assert log.y[rows].sum() <= 1
    assert set(np.bincount(log.groups)) == {1, 2, 3, 4}
    assert log.utilities.shape == (9, 4)
    np.testing.assert_allclose(
        log.utilities.ravel(), log.pairs @ log.coef + log.intercept
    )


def frequencies(user_model):
    """How often each of three positions is clicked, and its utilities."""
    log = make_click_log(
        30_000,
        3,
        n_ads=3,
        n_shown=3,
        scale=0.0,
        intercept=0.3,
        user_model=user_model,
        random_state=0,
    )
    return np.bincount(log.positions, log.y) / 30_000, log.utilities[0]


def test_clicks_of_users_who_see_all_are_a_multinomial_logit():
    found, utilities = frequencies("mnl")
    odds = np.exp(utilities)
    np.testing.assert_allclose(found, odds / (1 + odds.sum()), atol=0.01)


def test_users_of_the_cascade_leave_with_their_first_click():
    found, utilities = frequencies("cascade")
    p = expit(utilities)
    read = np.cumprod(np.append(1.0, 1 - p[:-1]))
    np.testing.assert_allclose(found, read * p, atol=0.01)


def test_independent_users_judge_each_ad_on_its_own():
    found, utilities = frequencies("independent")
    np.testing.assert_allclose(found, expit(utilities), atol=0.01)


def test_the_same_seed_gives_the_same_log():
    first, second = (make_click_log(50, random_state=3) for _ in range(2))
    np.testing.assert_array_equal(first.X, second.X)
    np.testing.assert_array_equal(first.y, second.y)


def test_all_ads_may_be_shown_at_once():
    log = make_click_log(20, 5, n_ads=5, n_shown=5, random_state=0)
    assert (np.bincount(log.groups) == 5).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_impressions": 0}, "n_impressions must be a positive integer"),
        ({"n_shown": 5}, "n_shown must be at most n_positions = 4, got 5"),
        ({"n_ads": 3}, "n_positions must be at most n_ads = 3, got 4"),
        ({"intercept": np.nan}, "intercept must be finite"),
        ({"scale": -1.0}, "scale must not be negative"),
        ({"user_model": "nested"}, "user_model must be one of"),
    ],
)
def test_bad_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make_click_log(**options)
