"""Checks that the covariance estimators and functions share."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator

from sklogit.covariance._validation import (
    check_epochs,
    check_full_rank,
    embedded_length,
    validate_epochs,
)

# check_epochs


def test_three_d_epochs_pass_unchanged_and_uncopied():
    X = np.zeros((2, 3, 5))
    assert check_epochs(X) is X


def test_two_d_epochs_become_epochs_of_one_channel():
    X = np.arange(10.0).reshape(2, 5)
    np.testing.assert_array_equal(check_epochs(X), X.reshape(2, 1, 5))


@pytest.mark.parametrize(
    ("given", "expected"),
    [("float64", "float64"), ("float32", "float32"), ("int16", "float64")],
)
def test_precision_of_floats_is_kept_and_other_numbers_become_double(given, expected):
    assert check_epochs(np.ones((2, 3, 4), dtype=given)).dtype == expected


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_epochs_that_are_not_finite_are_refused(value):
    X = np.ones((2, 3, 4))
    X[1, 2, 3] = value
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        check_epochs(X)


@pytest.mark.parametrize("shape", [(4,), (1, 2, 3, 4)])
def test_other_numbers_of_dimensions_are_refused_with_the_number(shape):
    with pytest.raises(ValueError, match=rf"{len(shape)} dimensions|1D array"):
        check_epochs(np.ones(shape))


def test_complex_epochs_are_refused():
    with pytest.raises(ValueError, match="Complex data not supported"):
        check_epochs(np.ones((2, 3, 4), dtype=complex))


def test_sparse_epochs_are_refused_with_a_type_error():
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        check_epochs(sparse.eye_array(3))


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4), (2, 3, 0), (0, 4), (2, 0)])
def test_empty_epochs_are_refused_with_their_shape(shape):
    with pytest.raises(ValueError, match=r"shape=?\s?\(" + ", ".join(map(str, shape))):
        check_epochs(np.ones(shape))


# validate_epochs


def test_fit_records_the_size_of_the_second_dimension():
    estimator = BaseEstimator()
    assert validate_epochs(estimator, np.ones((2, 3, 5))).shape == (2, 3, 5)
    assert estimator.n_features_in_ == 3
    assert validate_epochs(estimator, np.ones((2, 5))).shape == (2, 1, 5)
    assert estimator.n_features_in_ == 5


def test_prediction_compares_with_the_recorded_size():
    estimator = BaseEstimator()
    validate_epochs(estimator, np.ones((2, 3, 5)))
    validate_epochs(estimator, np.ones((4, 3, 9)), reset=False)
    with pytest.raises(ValueError, match=r"X has 4 features, .* expecting 3 features"):
        validate_epochs(estimator, np.ones((2, 4, 5)), reset=False)


def test_targets_are_validated_with_the_epochs():
    X, y = validate_epochs(BaseEstimator(), np.ones((2, 5)), ["a", "b"])
    assert X.shape == (2, 1, 5)
    np.testing.assert_array_equal(y, ["a", "b"])
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[2, 3\]"):
        validate_epochs(BaseEstimator(), np.ones((2, 5)), [0, 1, 1])
    with pytest.raises(ValueError, match="requires y to be passed"):
        validate_epochs(_NeedsTarget(), np.ones((2, 5)), None)


class _NeedsTarget(BaseEstimator):
    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


# embedded_length


@pytest.mark.parametrize("n_times", [12, 33, 100])
@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("lag", [1, 2])
def test_embedded_length_counts_the_samples_that_have_every_copy(n_times, order, lag):
    has_every_copy = [t for t in range(n_times) if t + (order - 1) * lag < n_times]
    expected = len(has_every_copy)
    assert embedded_length(n_times, order, lag, "full") == expected
    dropped = lag if order > 1 else 0
    assert embedded_length(n_times, order, lag, "moabb") == expected - dropped


@pytest.mark.parametrize(
    ("trim", "order", "lag", "left"),
    [
        ("moabb", 4, 5, 1),
        ("moabb", 10, 10, -79),
        ("full", 5, 5, 1),
        ("full", 2, 30, -9),
    ],
)
def test_too_short_epochs_are_refused_with_all_numbers(trim, order, lag, left):
    with pytest.raises(ValueError, match="too short") as caught:
        embedded_length(21, order, lag, trim)
    for part in (f"order={order}", f"lag={lag}", "n_times=21", f"leaves {left} ", trim):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("trim", "order", "lag"), [("moabb", 4, 5), ("full", 5, 5), ("moabb", 1, 99)]
)
def test_two_embedded_samples_are_enough(trim, order, lag):
    assert embedded_length(22 if order > 1 else 2, order, lag, trim) == 2


@pytest.mark.parametrize("value", [0, -1, 1.0, 2.5, "2", True, None, np.float64(2)])
@pytest.mark.parametrize("name", ["order", "lag"])
def test_order_and_lag_must_be_positive_integers(name, value):
    parameters = {"order": 2, "lag": 2, name: value}
    with pytest.raises(ValueError, match=f"{name} must be an integer >= 1, found"):
        embedded_length(100, **parameters)


def test_numpy_integers_are_integers():
    assert embedded_length(100, np.int64(3), np.int32(2)) == 94


def test_unknown_trim_is_refused():
    with pytest.raises(ValueError, match="trim must be 'moabb' or 'full', found 'no'"):
        embedded_length(100, 1, 1, "no")


# check_full_rank


@pytest.mark.parametrize("estimator", ["cov", "scm", "corr"])
@pytest.mark.parametrize("n_features", [1, 7, 48])
def test_rank_is_refused_exactly_where_the_covariance_is_singular(
    estimator, n_features
):
    rng = np.random.default_rng(n_features)
    for n_samples in (n_features, n_features + 1):
        x = rng.standard_normal((n_features, max(n_samples, 2)))[:, :n_samples]
        centred = x - x.mean(axis=1, keepdims=True)
        if np.linalg.matrix_rank(centred) == n_features:
            check_full_rank(estimator, n_features, n_samples)
            continue
        with pytest.raises(ValueError, match="singular") as caught:
            check_full_rank(estimator, n_features, n_samples)
        message = str(caught.value)
        assert f"size {n_features} " in message
        assert f"from {n_samples} samples" in message
        assert f"rank <= {n_samples - 1}" in message
        assert "Use estimator='oas'" in message


@pytest.mark.parametrize("estimator", ["oas", "lwf", "sch", "hub"])
def test_estimators_that_regularise_may_have_few_samples(estimator):
    check_full_rank(estimator, 48, 10)
