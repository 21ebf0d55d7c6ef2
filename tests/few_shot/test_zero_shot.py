import numpy as np
import pytest
from scipy import sparse

from sklogit.few_shot import ZeroShotLogits

from .common import means_of_classes, unit


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_logits_are_scaled_cosines(rng):
    weights, F = rng.normal(size=(3, 8)), rng.normal(size=(5, 8))
    found = ZeroShotLogits(weights, scale=100.0).fit_transform(F)
    np.testing.assert_allclose(found, 100 * unit(F) @ unit(weights).T)


def test_without_normalisation_they_are_inner_products(rng):
    weights, F = rng.normal(size=(3, 8)), rng.normal(size=(5, 8))
    found = ZeroShotLogits(weights, 2.0, normalize=False).fit_transform(F)
    np.testing.assert_allclose(found, 2 * F @ weights.T)


def test_prompts_of_a_class_are_averaged_as_directions(rng):
    weights, F = rng.normal(size=(3, 4, 8)), rng.normal(size=(5, 8))
    weights[:, 1] *= 100  # which must not count more
    directions = np.array([unit(prompts).mean(axis=0) for prompts in weights])
    found = ZeroShotLogits(weights).fit_transform(F)
    np.testing.assert_allclose(found, 100 * unit(F) @ unit(directions).T)


def test_without_weights_the_directions_are_class_means(rng):
    F, y = rng.normal(size=(12, 8)), np.repeat(["b", "a", "c"], 4)
    zero_shot = ZeroShotLogits(scale=1.0).fit(F, y)
    index = np.searchsorted(["a", "b", "c"], y)
    expected = unit(means_of_classes(F, index, 3))
    np.testing.assert_allclose(zero_shot.weights_, expected)
    given = ZeroShotLogits(scale=1.0, classes=["c", "a", "b"]).fit(F, y)
    np.testing.assert_allclose(given.weights_, expected[[2, 0, 1]])


def test_sparse_rows_and_float32(rng):
    weights, F = (
        rng.normal(size=(3, 8)),
        rng.normal(size=(5, 8)) * (rng.random((5, 8)) > 0.5),
    )
    dense = ZeroShotLogits(weights).fit_transform(F)
    found = ZeroShotLogits(weights).fit_transform(sparse.csr_array(F))
    np.testing.assert_allclose(found, dense)
    single = ZeroShotLogits(weights).fit_transform(F.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, dense, atol=1e-4)


def test_names_of_columns(rng):
    zero_shot = ZeroShotLogits(rng.normal(size=(3, 8))).fit(rng.normal(size=(5, 8)))
    names = zero_shot.get_feature_names_out().tolist()
    assert names == ["zeroshotlogits0", "zeroshotlogits1", "zeroshotlogits2"]


@pytest.mark.parametrize(
    ("weights", "params", "y", "message"),
    [
        (np.ones((3, 7)), {}, None, r"the 8 features of X, got \(3, 7\)"),
        (np.ones(8), {}, None, r"got \(8,\)"),
        (np.full((3, 8), np.nan), {}, None, "finite"),
        (np.zeros((3, 8)), {}, None, "zeros"),
        (None, {}, None, "y to be passed"),
        (None, {"classes": [0, 1, 2]}, np.arange(4) % 2, r"lacks \[2\]"),
        (None, {}, np.zeros(4), "only one class"),
        (np.ones((3, 8)), {"scale": 0.0}, None, "scale"),
    ],
)
def test_wrong_input_is_refused(rng, weights, params, y, message):
    with pytest.raises(ValueError, match=message):
        ZeroShotLogits(weights, **params).fit(rng.normal(size=(4, 8)), y)
