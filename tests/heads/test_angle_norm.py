"""The linear head with logits of norm and angle, or of the angle alone."""

import pickle

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sklogit.continual._angle_norm import angle_loss
from sklogit.heads._angle_norm import AngleNormLinear


@pytest.fixture
def head():
    torch.manual_seed(0)
    head = AngleNormLinear(6, 4).double()
    torch.nn.init.normal_(head.bias)
    return head


@pytest.fixture
def features():
    return torch.randn(5, 6, dtype=torch.float64, requires_grad=True)


def test_dot_logits_are_those_of_a_linear_layer(head, features):
    expected = F.linear(features, head.weight, head.bias)
    torch.testing.assert_close(head(features), expected)
    torch.testing.assert_close(head(features, mode="dot"), expected)


def test_angle_logits_are_cosines_over_the_temperature(head, features):
    expected = F.cosine_similarity(features[:, None], head.weight, dim=-1) / 0.09
    torch.testing.assert_close(head(features, mode="angle"), expected)
    head.mode = "angle"
    torch.testing.assert_close(head(features), expected)


def test_angle_logits_know_no_norms(head, features):
    before = head(features, mode="angle")
    with torch.no_grad():
        head.weight *= torch.tensor([[0.1], [1], [5], [30]])
    torch.testing.assert_close(head(7 * features, mode="angle"), before)
    assert not torch.allclose(head(7 * features), head(features))


def test_angle_gradients_are_orthogonal_to_features_and_weights(head, features):
    loss = F.cross_entropy(head(features, mode="angle"), torch.tensor([0, 1, 2, 3, 1]))
    loss.backward()
    for gradient, vectors in [
        (features.grad, features),
        (head.weight.grad, head.weight),
    ]:
        assert gradient.norm() > 0.1
        torch.testing.assert_close(
            (gradient * vectors).sum(dim=1), torch.zeros(len(vectors)).double()
        )
    assert head.bias.grad is None


def test_autograd_equals_the_closed_form_of_numpy(head, features):
    target = torch.tensor([0, 1, 2, 3, 1])
    loss = F.cross_entropy(head(features, mode="angle"), target)
    loss.backward()
    H, W = features.detach().numpy(), head.weight.detach().numpy()
    value, dH, dW = angle_loss(H, W, target.numpy(), None, 0.09)
    assert value == pytest.approx(loss.item(), rel=1e-12)
    np.testing.assert_allclose(features.grad.numpy(), dH, atol=1e-12)
    np.testing.assert_allclose(head.weight.grad.numpy(), dW, atol=1e-12)


@pytest.mark.parametrize("size", [0.0, 1e-9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_features_without_length_have_logits_and_gradients_of_zero(size, dtype):
    head = AngleNormLinear(3, 2).to(dtype)
    with torch.no_grad():
        head.weight[1] = 0
    features = torch.full((4, 3), size, dtype=dtype, requires_grad=True)
    logits = head(features, mode="angle")
    assert not logits.any()
    F.cross_entropy(logits, torch.tensor([0, 1, 0, 1])).backward()
    assert not features.grad.any()
    assert not head.weight.grad.any()


def test_weights_start_with_the_variance_of_their_width():
    torch.manual_seed(0)
    head = AngleNormLinear(100, 500)
    assert head.weight.std().item() == pytest.approx(0.1, rel=0.02)
    assert not head.bias.any()
    assert AngleNormLinear(3, 2, bias=False).bias is None


@pytest.mark.parametrize("mode", ["dot", "angle"])
def test_topk_is_that_of_the_logits(head, features, mode):
    head.mode = mode
    logits, classes = head.predict_topk(features, 2)
    expected = head(features).topk(2, dim=1)
    torch.testing.assert_close(logits, expected.values)
    assert torch.equal(classes, expected.indices)
    with pytest.raises(ValueError, match="k must be an integer from 1 to 4"):
        head.predict_topk(features, 5)


def test_sequences_have_logits_at_each_position(head):
    features = torch.randn(2, 3, 6).double()
    for mode in ("dot", "angle"):
        torch.testing.assert_close(
            head(features, mode=mode)[1], head(features[1], mode=mode)
        )


def test_it_can_be_pickled(head, features):
    head.mode = "angle"
    torch.testing.assert_close(
        pickle.loads(pickle.dumps(head))(features), head(features)
    )


def test_it_shows_its_parameters():
    text = repr(AngleNormLinear(3, 2, temperature=0.5))
    assert "in_features=3, out_features=2" in text
    assert "temperature=0.5, mode='dot'" in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("in_features", 0),
        ("out_features", 2.5),
        ("temperature", 0),
        ("temperature", float("inf")),
        ("mode", "norm"),
    ],
)
def test_bad_parameters_are_named(name, value):
    given = {"in_features": 3, "out_features": 2} | {name: value}
    with pytest.raises(ValueError, match=f"{name} must be"):
        AngleNormLinear(**given)


def test_unknown_mode_of_a_call_is_refused(head, features):
    with pytest.raises(ValueError, match=r"mode must be one of .*'norm'"):
        head(features, mode="norm")


@pytest.mark.parametrize("bias", [True, False])
def test_new_classes_come_between_the_others(features, bias):
    torch.manual_seed(0)
    head = AngleNormLinear(6, 4, bias=bias, temperature=0.5, mode="angle").double()
    weight, before = head.weight, head(features).detach()
    if bias:
        torch.nn.init.normal_(head.bias)
    dot = head(features, mode="dot").detach()
    head(features).sum().backward()  # leaves gradients of the old shape
    head.insert_classes([5, 0])
    assert head.weight is weight
    assert (head.out_features, head.weight.shape, head.weight.dtype) == (
        6,
        (6, 6),
        torch.float64,
    )
    torch.testing.assert_close(head(features)[:, 1:5], before)
    torch.testing.assert_close(head(features, mode="dot")[:, 1:5], dot)
    if bias:
        assert head.bias[[0, 5]].tolist() == [0, 0]
    head(features).sum().backward()
    assert head.weight.grad.shape == (6, 6)


def test_new_rows_are_drawn_as_the_first_ones():
    torch.manual_seed(0)
    head = AngleNormLinear(50, 2)
    head.insert_classes(np.arange(1, 201))
    assert head.weight[1:201].std().item() == pytest.approx(50**-0.5, rel=0.03)


@pytest.mark.parametrize("places", [[-1], [5, 6], [4, 6]])
def test_places_outside_the_larger_head_are_refused(head, places):
    with pytest.raises(ValueError, match="places must be from 0 to"):
        head.insert_classes(places)
    assert head.out_features == 4
