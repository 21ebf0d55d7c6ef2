"""The loss as a module: its own head, another's, and as a criterion of skorch."""

import copy
import pickle

import numpy as np
import pytest
import torch
from skorch import NeuralNet
from torch import nn
from torch.nn import functional as F

from sklogit.heads import CosineHead, LinearHead
from sklogit.losses import CutCrossEntropyLoss, LinearCrossEntropyLoss


def batch(n=20, n_features=6, n_classes=11, seed=0):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(n, n_features, generator=generator, requires_grad=True)
    return features, torch.randint(n_classes, (n,), generator=generator)


def same_gradients(ours, theirs, tensors):
    for a, b in zip(
        torch.autograd.grad(ours, tensors), torch.autograd.grad(theirs, tensors)
    ):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("bias", [True, False])
def test_its_own_head_is_trained(bias):
    features, target = batch()
    loss = LinearCrossEntropyLoss(6, 11, bias)
    assert not loss.needs_head
    assert len(list(loss.parameters())) == 1 + bias
    ours = loss(features, target)
    theirs = F.cross_entropy(F.linear(features, loss.weight, loss.bias), target)
    torch.testing.assert_close(ours, theirs)
    same_gradients(ours, theirs, [features, *loss.parameters()])


@pytest.mark.parametrize("make", [nn.Linear, LinearHead, CosineHead])
def test_the_weights_of_a_head_are_trained(make):
    features, target = batch()
    head, loss = make(6, 11), LinearCrossEntropyLoss()
    assert loss.needs_head
    assert list(loss.parameters()) == []
    ours = loss(features, target, head=head)
    theirs = F.cross_entropy(head(features), target)
    torch.testing.assert_close(ours, theirs)
    same_gradients(ours, theirs, [features, *head.parameters()])


def test_the_weights_of_a_linear_form():
    features, target = batch()
    head, loss = CosineHead(6, 11), LinearCrossEntropyLoss()
    directions, form = head.linear_form(features)
    torch.testing.assert_close(
        loss(directions, target, head=form), loss(features, target, head=head)
    )


def test_a_parametrised_head():
    features, target = batch()
    head = nn.utils.parametrizations.weight_norm(nn.Linear(6, 11))
    ours = LinearCrossEntropyLoss()(features, target, head=head)
    theirs = F.cross_entropy(head(features), target)
    same_gradients(ours, theirs, [features, *head.parameters()])


def test_its_options_are_those_of_the_function():
    features, target = batch()
    class_weight = torch.linspace(0.5, 1.5, 11)
    loss = LinearCrossEntropyLoss(
        6,
        11,
        ignore_index=3,
        class_weight=class_weight,
        reduction="sum",
        label_smoothing=0.1,
    )
    ours = loss(features, target)
    theirs = F.cross_entropy(
        loss.logits(features),
        target,
        class_weight,
        ignore_index=3,
        reduction="sum",
        label_smoothing=0.1,
    )
    torch.testing.assert_close(ours, theirs)


def test_logits_are_capped_as_the_loss_has_them():
    features, target = batch()
    loss = LinearCrossEntropyLoss(6, 11, softcap=0.5)
    assert loss.logits(features).abs().max() < 0.5
    torch.testing.assert_close(
        loss(features, target), F.cross_entropy(loss.logits(features), target)
    )


def test_weights_of_rows():
    features, target = batch()
    loss = LinearCrossEntropyLoss(6, 11)
    weight = torch.arange(20.0)
    rows = F.cross_entropy(loss.logits(features), target, reduction="none")
    torch.testing.assert_close(
        loss(features, target, sample_weight=weight),
        (weight * rows).sum() / weight.sum(),
    )


def test_weights_start_as_those_of_linear():
    # Uniform up to one over the root of the number of features.
    torch.manual_seed(0)
    loss = LinearCrossEntropyLoss(100, 2000)
    for values in (loss.weight, loss.bias):
        assert values.abs().max() <= 0.1
        assert values.std().item() == pytest.approx(0.1 / np.sqrt(3), rel=0.05)


def test_copies_and_states():
    features, target = batch()
    loss = LinearCrossEntropyLoss(6, 11, class_weight=[1.0] * 10 + [2.0])
    expected = loss(features, target)
    for other in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert torch.equal(other(features, target), expected)
    other = LinearCrossEntropyLoss(6, 11, class_weight=torch.ones(11))
    other.load_state_dict(loss.state_dict())
    assert torch.equal(other(features, target), expected)
    assert loss.double().class_weight.dtype == torch.float64


def test_what_it_shows():
    assert repr(LinearCrossEntropyLoss()) == "LinearCrossEntropyLoss()"
    assert repr(LinearCrossEntropyLoss(6, 11, False, softcap=30.0)) == (
        "LinearCrossEntropyLoss(in_features=6, num_classes=11, bias=False, "
        "softcap=30.0)"
    )


def test_the_name_of_the_paper():
    assert CutCrossEntropyLoss is LinearCrossEntropyLoss


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LinearCrossEntropyLoss(6), "num_classes must be an integer >= 1"),
        (lambda: LinearCrossEntropyLoss(None, 6), "in_features must be an integer"),
        (lambda: LinearCrossEntropyLoss(6, 0), "num_classes must be .* got 0"),
        (lambda: LinearCrossEntropyLoss(chunk_size=0), "chunk_size must be an integer"),
        (lambda: LinearCrossEntropyLoss(reduction="max"), "reduction must be one of"),
        (
            lambda: LinearCrossEntropyLoss(6, 11, class_weight=[1.0, 2.0]),
            r"class_weight must have shape \(11,\), got \(2,\)",
        ),
        (
            lambda: LinearCrossEntropyLoss(class_weight=[[1.0], [2.0]]),
            r"class_weight must have shape \(num_classes,\), got \(2, 1\)",
        ),
    ],
)
def test_wrong_parameters_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_class_weights_that_are_no_numbers_are_named():
    with pytest.raises(TypeError, match=r"class_weight must be .* got 'balanced'"):
        LinearCrossEntropyLoss(6, 11, class_weight="balanced")


@pytest.mark.parametrize(
    ("loss", "head", "message"),
    [
        (LinearCrossEntropyLoss(), None, "head must be passed to a loss without"),
        (LinearCrossEntropyLoss(), nn.Bilinear(6, 6, 11), "head must have logits that"),
        (LinearCrossEntropyLoss(), nn.Tanh(), "head must have logits .* got Tanh"),
        (LinearCrossEntropyLoss(), 3, "head must have logits .* got int"),
        (
            LinearCrossEntropyLoss(6, 11),
            nn.Linear(6, 11),
            r"head must be None, .* shape \(11, 6\) itself, got Linear",
        ),
    ],
    ids=["none", "bilinear", "tanh", "int", "two"],
)
def test_wrong_heads_are_named(loss, head, message):
    features, target = batch()
    with pytest.raises(ValueError, match=message):
        loss(features, target, head=head)
    with pytest.raises(ValueError, match=message):
        loss.check_head(head)


def test_logits_need_a_head():
    with pytest.raises(ValueError, match="logits needs in_features and num_classes"):
        LinearCrossEntropyLoss().logits(torch.ones(1, 1))


def test_as_a_criterion_of_skorch():
    # Three clusters: the criterion's weights are trained with the module.
    rng = np.random.default_rng(0)
    y = np.arange(300) % 3
    X = (3 * np.eye(3)[y] + rng.standard_normal((300, 3))).astype("float32")
    torch.manual_seed(0)
    net = NeuralNet(
        nn.Linear,
        module__in_features=3,
        module__out_features=8,
        criterion=LinearCrossEntropyLoss,
        criterion__in_features=8,
        criterion__num_classes=3,
        optimizer=torch.optim.Adam,
        lr=0.05,
        max_epochs=20,
        train_split=None,
        verbose=0,
    )
    net.fit(X, y)
    net = pickle.loads(pickle.dumps(net))
    with torch.no_grad():
        logits = net.criterion_.logits(net.module_(torch.from_numpy(X)))
    assert (logits.argmax(dim=1).numpy() == y).mean() > 0.9
    assert net.history[-1, "train_loss"] < net.history[0, "train_loss"] / 2
