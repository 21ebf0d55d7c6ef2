"""Delay embedding and augmented covariances, as functions and as transformers."""

import tracemalloc

import numpy as np
import pytest
from joblib import parallel_config
from moabb.pipelines.features import AugmentedDataset
from pyriemann.classification import MDM
from pyriemann.estimation import Covariances
from pyriemann.geometry.covariance import covariances
from pyriemann.tangentspace import TangentSpace
from sklearn.covariance import ledoit_wolf, oas
from sklearn.pipeline import make_pipeline

from sklogit.covariance import (
    AugmentedCovariances,
    DelayEmbedding,
    augmented_covariance,
    delay_embedding,
)
from sklogit.covariance._augmented import FALLBACK_ESTIMATORS
from sklogit.datasets import make_bci_epochs

ESTIMATORS = ["cov", "scm", "oas", "lwf", "corr"]
STRUCTURES = [None, "toeplitz", "circular"]
TRANSFORMERS = [DelayEmbedding, AugmentedCovariances]


@pytest.fixture(scope="module")
def X():
    """Epochs (20, 4, 125) of two classes, with an offset in each channel."""
    epochs, _ = make_bci_epochs(20, 4, 125, random_state=0)
    return epochs + np.arange(4)[:, np.newaxis]


# Delay embedding


@pytest.mark.parametrize(("order", "lag"), [(1, 3), (2, 1), (4, 5), (10, 10)])
def test_embedding_equals_augmented_dataset(X, order, lag):
    expected = AugmentedDataset(order, lag).transform(X)
    np.testing.assert_array_equal(delay_embedding(X, order, lag), expected)
    found = DelayEmbedding(order, lag).fit_transform(X)
    np.testing.assert_array_equal(found, expected)


def test_full_embedding_holds_every_sample_that_has_all_copies(X):
    embedded = delay_embedding(X, 3, 4, trim="full")
    assert embedded.shape == (20, 12, 125 - 8)
    for t in (0, 50, 116):
        expected = np.concatenate([X[:, :, t + a * 4] for a in range(3)], axis=1)
        np.testing.assert_array_equal(embedded[:, :, t], expected)


def test_embedding_keeps_float32(X):
    assert delay_embedding(X.astype(np.float32), 3, 2).dtype == np.float32


@pytest.mark.parametrize(
    ("order", "lag", "message"),
    [
        (0, 1, "order must be an integer >= 1, found 0"),
        (2, 0, "lag must be an integer >= 1, found 0"),
        (25, 5, "order=25 and lag=5: n_times=125 leaves 0 embedded samples"),
    ],
)
@pytest.mark.parametrize("function", [delay_embedding, augmented_covariance])
def test_functions_refuse_bad_order_and_lag_with_the_numbers(
    X, function, order, lag, message
):
    with pytest.raises(ValueError, match=message):
        function(X, order, lag)


# Augmented covariance


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize(("order", "lag"), [(1, 1), (3, 2), (5, 4)])
def test_transformer_equals_the_moabb_pipeline(X, estimator, order, lag):
    moabb = make_pipeline(AugmentedDataset(order, lag), Covariances(estimator))
    expected = moabb.fit_transform(X, np.zeros(len(X)))
    found = AugmentedCovariances(order, lag, estimator).fit_transform(X)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("trim", ["moabb", "full"])
@pytest.mark.parametrize("assume_centered", [False, True])
def test_transformer_hands_all_parameters_on(X, structure, trim, assume_centered):
    options = {
        "assume_centered": assume_centered,
        "trim": trim,
        "structure": structure,
    }
    found = AugmentedCovariances(3, 2, "lwf", **options).fit_transform(X)
    expected = augmented_covariance(X, 3, 2, "lwf", **options)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("estimator", ["hub", "mcd", "sch", "stu", "tyl"])
@pytest.mark.parametrize("trim", ["moabb", "full"])
def test_fallback_estimators_equal_pyriemann_on_the_embedding(X, estimator, trim):
    X = X[:3, :2]
    kept = 125 - (2 + (trim == "moabb")) * 3
    embedded = np.concatenate([X[..., s : s + kept] for s in (0, 3, 6)], axis=1)
    # MCD draws random subsets from the global generator.
    np.random.seed(0)  # noqa: NPY002
    expected = covariances(embedded, estimator=estimator)
    np.random.seed(0)  # noqa: NPY002
    found = augmented_covariance(X, 3, 3, estimator, trim=trim)
    np.testing.assert_array_equal(found, expected)
    assert estimator in FALLBACK_ESTIMATORS


def test_fallback_estimators_keep_float32(X):
    X = X[:2].astype(np.float32)
    assert augmented_covariance(X, 2, 2, "sch").dtype == np.float32


@pytest.mark.parametrize(
    "option",
    [{"structure": "toeplitz"}, {"return_shrinkage": True}, {"assume_centered": True}],
    ids=lambda option: next(iter(option)),
)
def test_fallback_estimators_refuse_what_they_cannot_do(X, option):
    with pytest.raises(ValueError, match=r"need one of estimator=.*, found 'sch'"):
        augmented_covariance(X, 2, 2, "sch", **option)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"estimator": "no"}, "estimator must be one of .*'cov'.*, found 'no'"),
        ({"structure": "no"}, "structure must be one of .*, found 'no'"),
        ({"trim": "no"}, "trim must be 'moabb' or 'full', found 'no'"),
    ],
)
def test_unknown_options_are_refused(X, options, message):
    with pytest.raises(ValueError, match=message):
        augmented_covariance(X, 2, 2, **options)


@pytest.mark.parametrize(
    ("estimator", "reference"), [("oas", oas), ("lwf", ledoit_wolf)]
)
def test_returned_shrinkage_equals_scikit_learn(X, estimator, reference):
    C, rho = augmented_covariance(X, 3, 2, estimator, return_shrinkage=True)
    expected = [reference(e.T) for e in AugmentedDataset(3, 2).transform(X)]
    np.testing.assert_allclose(rho, [r for _, r in expected], rtol=1e-12)
    np.testing.assert_allclose(C, [c for c, _ in expected], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("n_epochs", [1, 2, 17, 20])
@pytest.mark.parametrize("estimator", ["cov", "lwf"])
def test_two_threads_give_the_same_matrices(X, estimator, n_epochs):
    X = X[:n_epochs]
    one = augmented_covariance(X, 4, 3, estimator, return_shrinkage=True)
    two = augmented_covariance(X, 4, 3, estimator, return_shrinkage=True, n_jobs=2)
    for found, expected in zip(two, one):
        np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13)


def test_threads_are_used_under_a_process_backend(X):
    # The function writes into one array: processes would lose what they write.
    expected = augmented_covariance(X, 2, 2)
    with parallel_config("loky", n_jobs=2):
        found = augmented_covariance(X, 2, 2, n_jobs=2)
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13)


def test_memory_above_the_output_stays_small():
    # The embedded epochs alone would take 167 MB.
    X = np.random.default_rng(0).standard_normal((100, 22, 1000))
    tracemalloc.start()
    C = augmented_covariance(X, 10, 5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert C.shape == (100, 220, 220)
    assert peak - C.nbytes < 100e6


@pytest.mark.parametrize("structure", ["toeplitz", "circular"])
def test_structured_transformer_needs_only_the_samples_that_structure_needs(structure):
    # The trim is ignored there: 26 samples hold 4 copies 8 samples apart.
    X = np.random.default_rng(0).standard_normal((3, 2, 26))
    C = AugmentedCovariances(4, 8, structure=structure).fit_transform(X)
    expected = augmented_covariance(X, 4, 8, structure=structure)
    np.testing.assert_array_equal(C, expected)


# The transformers


@pytest.mark.parametrize("transformer", TRANSFORMERS)
def test_fit_records_channels_and_samples(X, transformer):
    fitted = transformer(2, 3).fit(X)
    assert (fitted.n_channels_, fitted.n_times_, fitted.n_features_in_) == (4, 125, 4)
    fitted = transformer(2, 3).fit(X[:, 0])
    assert (fitted.n_channels_, fitted.n_times_) == (1, 125)


@pytest.mark.parametrize("transformer", TRANSFORMERS)
def test_epochs_of_another_length_may_be_transformed(X, transformer):
    found = transformer(2, 3).fit(X).transform(X[..., :80])
    expected = transformer(2, 3).fit_transform(X[..., :80])
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("transformer", TRANSFORMERS)
def test_another_number_of_channels_is_refused_with_both_numbers(X, transformer):
    with pytest.raises(ValueError, match=r"X has 3 features, .* expecting 4 features"):
        transformer().fit(X).transform(X[:, :3])
    # 2-D epochs of 4 samples have the size that fit recorded, but one channel.
    with pytest.raises(ValueError, match=r"X has 1 channels, .* with 4 channels"):
        transformer().fit(X).transform(X[:, 0, :4])


@pytest.mark.parametrize("transformer", TRANSFORMERS)
def test_too_short_epochs_are_refused_in_fit_and_keep_the_earlier_fit(X, transformer):
    fitted = transformer(4, 5).fit(X)
    with pytest.raises(ValueError, match="n_times=20 leaves 0 embedded samples"):
        fitted.fit(X[:, :2, :20])
    assert (fitted.n_channels_, fitted.n_times_) == (4, 125)


@pytest.mark.parametrize(
    "parameter", ["order", "lag", "trim", "estimator", "structure"]
)
def test_bad_parameters_of_the_transformer_are_named(X, parameter):
    with pytest.raises(ValueError, match=f"'{parameter}' parameter"):
        AugmentedCovariances(**{parameter: "bad"}).fit(X)


def test_matrices_work_with_pyriemann_unchanged(X):
    y = np.arange(len(X)) % 2
    embedded = AugmentedDataset(2, 2).transform(X)
    C = Covariances("oas").transform(embedded)
    acm = AugmentedCovariances(2, 2, "oas")
    np.testing.assert_allclose(
        make_pipeline(acm, MDM()).fit(X, y).transform(X), MDM().fit(C, y).transform(C)
    )
    np.testing.assert_allclose(
        make_pipeline(acm, TangentSpace()).fit_transform(X, y),
        TangentSpace().fit_transform(C),
        atol=1e-10,
    )
