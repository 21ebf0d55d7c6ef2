import numpy as np
import pytest
from scipy.special import log_softmax

from sklogit.datasets import make_language_logits


def make(**options):
    return make_language_logits(40, 90, hidden_dim=12, random_state=0, **options)


@pytest.mark.parametrize("norm", [None, "layer", "layer_affine", "rms"])
@pytest.mark.parametrize("n_features", [None, 3])
@pytest.mark.parametrize("bias", [False, True])
def test_logits_are_head_times_hidden_states(norm, n_features, bias):
    m = make(norm=norm, n_features=n_features, bias=bias)
    np.testing.assert_allclose(m.logits, m.hidden @ m.head.T + m.bias, atol=1e-12)
    assert m.logits.shape == (40, 90)
    assert m.bias.any() == bias
    assert (m.inputs is None) == (n_features is None)


def test_normalisations_normalise():
    np.testing.assert_allclose((make(norm="rms").hidden ** 2).mean(axis=1), 1.0)
    layer = make(norm="layer").hidden
    np.testing.assert_allclose(layer.mean(axis=1), 0.0, atol=1e-12)
    np.testing.assert_allclose(layer.std(axis=1), 1.0)
    affine = make(norm="layer_affine").hidden
    assert np.linalg.matrix_rank(affine) == 12
    assert np.linalg.matrix_rank(layer) == 11
    assert np.linalg.matrix_rank(affine - affine.mean(axis=0)) == 11


def test_log_probabilities_and_soft_cap():
    plain = make()
    capped = 2 * np.tanh(plain.logits / 2)
    m = make(softcap=2.0, log_proba=True)
    np.testing.assert_allclose(m.logits, log_softmax(capped, axis=1))


def test_spread_and_decay():
    m = make_language_logits(3000, 200, hidden_dim=20, logit_std=3.0, random_state=0)
    assert m.logits.std() == pytest.approx(3.0)
    s = np.linalg.svdvals(m.hidden)
    np.testing.assert_allclose(s / s[0], np.arange(1, 21) ** -0.5, rtol=0.1)


def test_inputs_determine_hidden_states():
    m = make_language_logits(
        2000, 30, hidden_dim=4, n_features=2, width=8, random_state=0
    )
    near = np.argsort(np.linalg.norm(m.inputs - m.inputs[0], axis=1))[1]
    far = np.linalg.norm(m.hidden - m.hidden[0], axis=1)
    assert far[near] < 0.3 * np.median(far)


def test_same_seed_same_logits():
    np.testing.assert_array_equal(make().logits, make().logits)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_queries": 0}, "n_queries must be a positive integer, got 0"),
        ({"hidden_dim": 2.5}, "hidden_dim must be a positive integer, got 2.5"),
        ({"n_features": 0}, "n_features must be a positive integer, got 0"),
        ({"decay": -1.0}, "decay must be at least 0 and finite, got -1.0"),
        ({"logit_std": np.inf}, "logit_std must be at least 0 and finite, got inf"),
        ({"softcap": "2"}, "softcap must be None or positive, got '2'"),
        ({"norm": "layer", "hidden_dim": 1}, "logits must vary"),
        ({"n_queries": 1, "n_outputs": 1}, "logits must vary"),
        ({"softcap": 0.0}, "softcap must be None or positive, got 0.0"),
        ({"norm": "batch"}, "norm must be one of"),
    ],
)
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make_language_logits(**options)
