"""Linear and cosine heads, compared with torch's own layers."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sklogit.heads import CosineHead, LinearHead


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_linear_head_is_linear_of_torch():
    torch.manual_seed(0)
    expected = nn.Linear(5, 7)
    torch.manual_seed(0)
    head = LinearHead(5, 7)
    assert isinstance(head, nn.Linear)
    assert head.num_classes == 7
    features = torch.randn(2, 3, 5)
    assert torch.equal(head(features), expected(features))
    assert head.load_state_dict(expected.state_dict())
    assert repr(head) == "LinearHead(in_features=5, num_classes=7, bias=True)"


def test_linear_head_without_bias_in_double():
    head = LinearHead(5, 7, bias=False, dtype=torch.float64)
    assert head.bias is None
    features = torch.randn(4, 5, dtype=torch.float64)
    torch.testing.assert_close(head(features), features @ head.weight.T)


@pytest.mark.parametrize("head_class", [LinearHead, CosineHead])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("k", [1, 3, 40])
def test_topk_by_blocks_is_topk_of_the_logits(head_class, bias, k, monkeypatch):
    head = head_class(6, 101).double()
    if head_class is LinearHead and not bias:
        head = LinearHead(6, 101, bias=False).double()
    features = torch.randn(9, 6, dtype=torch.float64)
    expected = head(features).topk(k, dim=1)
    for n_at_once in (9, 9 * 10, 9 * 60, 10**6):
        monkeypatch.setattr("sklogit.heads._linear._LOGITS_AT_ONCE", n_at_once)
        logits, classes = head.predict_topk(features, k)
        assert torch.equal(classes, expected.indices)
        torch.testing.assert_close(logits, expected.values)


def test_topk_of_one_takes_the_first_of_equal_logits(monkeypatch):
    head = LinearHead(2, 30)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    for n_at_once in (8, 10**6):
        monkeypatch.setattr("sklogit.heads._linear._LOGITS_AT_ONCE", n_at_once)
        assert head.predict_topk(torch.randn(4, 2), 1)[1].tolist() == [[0]] * 4


def test_topk_of_no_rows():
    logits, classes = LinearHead(3, 5).predict_topk(torch.randn(0, 3), 2)
    assert logits.shape == classes.shape == (0, 2)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((0, 3), "in_features must be .* got 0"),
        ((3, 2.5), "num_classes must be"),
        ((3, True), "num_classes must be an integer >= 1, got True"),
    ],
)
@pytest.mark.parametrize("head_class", [LinearHead, CosineHead])
def test_wrong_sizes(head_class, sizes, message):
    with pytest.raises(ValueError, match=message):
        head_class(*sizes)


@pytest.mark.parametrize("softcap", [0.0, -1.0, math.inf, "all"])
def test_wrong_softcap(softcap):
    with pytest.raises(ValueError, match="softcap must be None, or positive"):
        LinearHead(5, 7, softcap=softcap)


@pytest.mark.parametrize("k", [0, 8, 1.5, True, "2"])
@pytest.mark.parametrize("head_class", [LinearHead, CosineHead])
def test_wrong_k(head_class, k):
    with pytest.raises(
        ValueError, match=f"k must be an integer from 1 to 7.*got {k!r}"
    ):
        head_class(5, 7).predict_topk(torch.zeros(2, 5), k)


def test_cosine_head_is_the_scaled_cosine():
    head = CosineHead(5, 7, scale=3.0).double()
    features = torch.randn(2, 4, 5, dtype=torch.float64)
    expected = 3.0 * F.cosine_similarity(features[..., None, :], head.weight, dim=-1)
    torch.testing.assert_close(head(features), expected)
    assert head(torch.zeros(1, 5, dtype=torch.float64)).abs().max() == 0


def test_directions_of_the_cosine_head_start_at_about_length_one():
    # Adam turns a row of length r by an angle of the order of lr / r a step.
    lengths = CosineHead(100, 1000).weight.detach().norm(dim=1)
    assert lengths.mean().item() == pytest.approx(1.0, abs=0.02)
    assert lengths.min() > 0.6


def test_cosine_head_learns_directions_and_its_scale():
    head = CosineHead(5, 3, scale=2.0)
    assert {name for name, _ in head.named_parameters()} == {"weight", "log_scale"}
    fixed = CosineHead(5, 3, scale=2.0, learn_scale=False)
    assert {name for name, _ in fixed.named_parameters()} == {"weight"}
    assert fixed.state_dict()["log_scale"].item() == pytest.approx(math.log(2))
    loss = F.cross_entropy(head(torch.randn(8, 5)), torch.arange(8) % 3)
    loss.backward()
    # Lengths do not matter: the gradient is orthogonal to the weights.
    np.testing.assert_allclose(
        (head.weight * head.weight.grad).sum(dim=1).detach(), 0, atol=1e-6
    )


def test_linear_form_gives_the_logits():
    head = CosineHead(5, 7)
    features = torch.randn(4, 5)
    directions, form = head.linear_form(features)
    torch.testing.assert_close(directions @ form.weight.T, head(features))
    assert form.bias is None


@pytest.mark.parametrize("scale", [0.0, -1.0, math.inf, None])
def test_wrong_scale(scale):
    with pytest.raises(ValueError, match="scale must be positive and finite"):
        CosineHead(5, 7, scale=scale)


@pytest.mark.parametrize("head_class", [LinearHead, CosineHead])
def test_heads_copy_and_pickle(head_class):
    head = head_class(5, 7)
    features = torch.randn(4, 5)
    for other in (copy.deepcopy(head), pickle.loads(pickle.dumps(head))):
        assert torch.equal(other(features), head(features))
