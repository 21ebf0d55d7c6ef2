import numpy as np
import pytest
import torch
from scipy.special import expit

from sklogit.metrics import amplify, soft_confusion


@pytest.fixture
def scores():
    return np.concatenate([np.linspace(-8, 8, 81), [-800.0, 800.0, -40.0, 40.0]])


@pytest.mark.parametrize("L", [0.5, 1.0, 5.0, 73.0])
def test_logit_amplifier_is_the_logistic_function(scores, L):
    np.testing.assert_allclose(
        amplify(scores, "logit", L)[0], expit(L * scores), rtol=1e-14
    )


@pytest.mark.parametrize("L", [0.5, 5.0, 73.0])
def test_probability_amplifier_is_that_of_the_paper(scores, L):
    np.testing.assert_allclose(
        amplify(scores, "probability", L)[0],
        1 / (1 + np.exp(-L * (expit(scores) - 0.5))),
        rtol=1e-12,
    )


@pytest.mark.parametrize("amplifier", ["logit", "probability"])
@pytest.mark.parametrize("L", [0.5, 1.0, 5.0, 73.0])
def test_slopes_equal_autograd(scores, amplifier, L):
    z = torch.tensor(scores, requires_grad=True)
    inner = L * z if amplifier == "logit" else L * (torch.sigmoid(z) - 0.5)
    torch.sigmoid(inner).sum().backward()
    np.testing.assert_allclose(
        amplify(scores, amplifier, L)[1], z.grad, rtol=1e-9, atol=1e-12
    )


def test_slopes_stay_accurate_where_predictions_round_to_one():
    _, slopes = amplify([40.0, -40.0])
    np.testing.assert_allclose(slopes, np.exp(-40.0), rtol=1e-12)


def test_nothing_overflows(scores):
    with np.errstate(all="raise", under="ignore"):
        predictions, slopes = amplify(np.append(scores, [1e308, -1e308]))
    assert np.isfinite(predictions).all()
    assert (slopes >= 0).all()


@pytest.mark.parametrize("L", [0.0, -1.0, np.inf, np.nan])
def test_steepness_must_be_positive(L):
    with pytest.raises(ValueError, match="L must be positive"):
        amplify([0.0], L=L)


def test_unknown_amplifier_is_named():
    with pytest.raises(ValueError, match=r"one of \['logit', 'probability'\], got 'x'"):
        amplify([0.0], "x")


@pytest.fixture
def soft():
    rng = np.random.default_rng(0)
    return rng.integers(0, 2, 50), rng.random(50), rng.random(50)


def test_counts_are_their_definition(soft):
    y, a, s = soft
    expected = [
        sum(s[i] * (1 - y[i]) * (1 - a[i]) for i in range(50)),
        sum(s[i] * (1 - y[i]) * a[i] for i in range(50)),
        sum(s[i] * y[i] * (1 - a[i]) for i in range(50)),
        sum(s[i] * y[i] * a[i] for i in range(50)),
    ]
    np.testing.assert_allclose(soft_confusion(y, a, s), expected)
    assert sum(soft_confusion(y, a)) == pytest.approx(50)


def test_integer_weights_repeat_rows(soft):
    y, a, _ = soft
    k = np.arange(50) % 3
    np.testing.assert_allclose(
        soft_confusion(y, a, k), soft_confusion(np.repeat(y, k), np.repeat(a, k))
    )


def test_columns_are_counted_on_their_own(soft):
    y, a, s = soft
    both = soft_confusion(np.column_stack([y, 1 - y]), np.column_stack([a, a]), s)
    np.testing.assert_allclose([c[0] for c in both], soft_confusion(y, a, s))
    np.testing.assert_allclose([c[1] for c in both], soft_confusion(1 - y, a, s))


@pytest.mark.parametrize("label_type", [torch.bool, torch.int64, torch.float64])
def test_tensors_keep_their_gradient(soft, label_type):
    y, a, s = soft
    predictions = torch.tensor(a, requires_grad=True)
    counts = soft_confusion(
        torch.tensor(y).to(label_type), predictions, torch.tensor(s)
    )
    np.testing.assert_allclose(
        [float(c.detach()) for c in counts], soft_confusion(y, a, s)
    )
    counts[3].backward()
    np.testing.assert_allclose(predictions.grad, s * y)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"same shape, got \(2,\) and \(3,\)"):
        soft_confusion([0, 1], [0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="sample_weight must have 2 entries, got 3"):
        soft_confusion([0, 1], [0.1, 0.2], [1, 1, 1])
