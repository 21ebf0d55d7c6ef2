"""The loss of a stream: new rows by one kind of logits, replayed ones by another."""

import pytest
import torch
from torch.nn import functional as F

from sklogit.heads import AngleNormLinear, LinearHead
from sklogit.losses import UERLoss


def test_loss_parts_new_rows_from_replayed_ones():
    torch.manual_seed(0)
    head, features = AngleNormLinear(4, 3), torch.randn(5, 4)
    target = torch.tensor([0, 1, 1, 2, 0])
    loss = UERLoss(replay_weight=0.5)
    loss.n_current = 3
    new = F.cross_entropy(head(features[:3], mode="angle"), target[:3])
    old = F.cross_entropy(head(features[3:], mode="dot"), target[3:])
    torch.testing.assert_close(loss(features, target, head), new + 0.5 * old)
    loss.n_current = 5
    new = F.cross_entropy(head(features, mode="angle"), target)
    torch.testing.assert_close(loss(features, target, head), new)
    loss.n_current = None
    torch.testing.assert_close(
        loss(features, target, head), F.cross_entropy(head(features), target)
    )


def test_masked_logits_are_those_of_the_batch():
    torch.manual_seed(0)
    head, features = AngleNormLinear(4, 5), torch.randn(3, 4)
    target = torch.tensor([4, 1, 4])
    loss = UERLoss("masked")
    loss.n_current = 3
    expected = F.cross_entropy(head(features)[:, [1, 4]], torch.tensor([1, 0, 1]))
    torch.testing.assert_close(loss(features, target, head), expected)


@pytest.mark.parametrize("kind", ["angle", "dot", "masked"])
@pytest.mark.parametrize("weighted", [False, True])
def test_rows_whose_target_is_ignored_do_not_count(kind, weighted):
    torch.manual_seed(0)
    head, features = AngleNormLinear(4, 3), torch.randn(6, 4, requires_grad=True)
    target = torch.tensor([1, -100, 2, -100, 0, 2])
    weight = torch.tensor([1.0, 7, 2, 7, 3, 1]) if weighted else None
    loss = UERLoss(kind)
    loss.n_current = 4
    value = loss(features, target, head, weight)
    kept = target >= 0
    of_kept = weight[kept] if weighted else None
    loss.n_current = 2
    expected = loss(features[kept], target[kept], head, of_kept)
    torch.testing.assert_close(value, expected)
    loss.n_current = 4
    target[:4] = -100
    (gradient,) = torch.autograd.grad(loss(features, target, head, weight), features)
    assert not gradient[:4].any()
    loss.n_current = 0
    old = loss(features[4:], target[4:], head, None if weight is None else weight[4:])
    loss.n_current = 4
    torch.testing.assert_close(loss(features, target, head, weight), old)


@pytest.mark.parametrize(
    ("name", "value"),
    [("current_logits", "norm"), ("replay_logits", "masked"), ("replay_weight", -1)],
)
def test_bad_parameters_of_the_loss_are_named(name, value):
    with pytest.raises(ValueError, match=f"{name} must be"):
        UERLoss(**{name: value})


def test_weights_make_weighted_means_of_each_part():
    torch.manual_seed(0)
    head, features = AngleNormLinear(4, 3), torch.randn(5, 4)
    target, weight = torch.tensor([0, 1, 1, 2, 0]), torch.tensor([1.0, 2, 0, 3, 1])
    loss = UERLoss()
    loss.n_current = 3
    rows, old = [0, 1, 1], [3, 3, 3, 4]  # as often as they weigh
    new = F.cross_entropy(head(features[rows], mode="angle"), target[rows])
    old = F.cross_entropy(head(features[old]), target[old])
    torch.testing.assert_close(loss(features, target, head, weight), new + old)
    nothing = torch.tensor([0.0, 0, 0, 3, 1])
    torch.testing.assert_close(loss(features, target, head, nothing), old)


def test_a_head_without_angles_is_refused():
    with pytest.raises(
        ValueError, match=r"head must be an AngleNormLinear.*LinearHead"
    ):
        UERLoss().check_head(LinearHead(4, 3))
