"""AdamW, or any other optimiser, beside geodesic steps."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sklogit.heads import GrassmannHead
from sklogit.optim import GrassmannAdamW, GrassmannSGD, MixedOptimizer


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def model_of():
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), GrassmannHead(5, 3, 2))


def gradients(model, generator=None):
    X = torch.randn(9, 6, generator=generator)
    model.zero_grad()
    F.cross_entropy(model(X), torch.arange(9) % 3).backward()


def apart(model, other, rate, n_steps=4):
    """Train by two optimisers, each for its part of the model."""
    geodesic = GrassmannSGD(model[2].parameters(), lr=rate)
    for _ in range(n_steps):
        gradients(model)
        geodesic.step()
        other.step()
    return model


def together(model, optimizer, n_steps=4):
    for _ in range(n_steps):
        gradients(model)
        optimizer.step()
    return model


def assert_same(first, second):
    for one, other in zip(first.parameters(), second.parameters()):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


def test_it_is_adamw_and_grassmann_sgd_on_their_parts():
    model = model_of()
    other = copy.deepcopy(model)
    options = {"betas": (0.7, 0.9), "eps": 1e-6, "weight_decay": 0.3, "amsgrad": True}
    torch.manual_seed(1)
    together(
        model, GrassmannAdamW(model.parameters(), 0.01, grassmann_lr=0.2, **options)
    )
    torch.manual_seed(1)
    apart(other, torch.optim.AdamW(other[0].parameters(), 0.01, **options), 0.2)
    assert_same(model, other)


@pytest.mark.parametrize("optimizer", [torch.optim.RMSprop, torch.optim.Adagrad])
def test_any_optimiser_can_have_the_other_parameters(optimizer):
    model = model_of()
    other = copy.deepcopy(model)
    torch.manual_seed(1)
    together(
        model, MixedOptimizer(model.parameters(), 0.01, optimizer, grassmann_lr=0.2)
    )
    torch.manual_seed(1)
    apart(other, optimizer(other[0].parameters(), 0.01), 0.2)
    assert_same(model, other)


@pytest.mark.parametrize("how", ["state_dict", "pickle"])
def test_training_that_is_resumed_goes_the_same_way(how):
    model = model_of()
    optimizer = GrassmannAdamW(model.parameters(), 0.01, weight_decay=0.1)
    together(model, optimizer)
    if how == "state_dict":
        resumed = copy.deepcopy(model)
        again = GrassmannAdamW(resumed.parameters(), 5.0)
        again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    else:
        resumed, again = pickle.loads(pickle.dumps((model, optimizer)))
    torch.manual_seed(1)
    together(model, optimizer)
    torch.manual_seed(1)
    together(resumed, again)
    for one, other in zip(model.parameters(), resumed.parameters()):
        assert torch.equal(one, other)


def test_schedulers_scale_both_rates():
    optimizer = GrassmannAdamW(model_of().parameters(), 0.01, grassmann_lr=0.2)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch)
    optimizer.step()
    scheduler.step()
    rates = [group["lr"] for group in optimizer.param_groups]
    assert rates == pytest.approx([0.005, 0.1])


def test_groups_have_their_own_rates():
    model = model_of()
    optimizer = GrassmannAdamW(
        [
            {"params": model[0].parameters(), "lr": 0.3, "weight_decay": 0.0},
            {"params": model[2].parameters(), "lr": 0.4, "grassmann_lr": 0.5},
        ]
    )
    found = [(g["manifold"], g["lr"]) for g in optimizer.param_groups]
    assert found == [(None, 0.3), ("grassmann", 0.5)]
    assert optimizer.param_groups[0]["weight_decay"] == 0.0


def test_groups_may_be_added_later():
    model, head = model_of(), GrassmannHead(4, 3, 2)
    optimizer = GrassmannAdamW(model.parameters())
    optimizer.add_param_group({"params": head.parameters(), "grassmann_lr": 0.7})
    assert optimizer.param_groups[-1]["lr"] == 0.7
    with pytest.raises(ValueError, match="more than one"):
        optimizer.add_param_group({"params": head.parameters()})


def test_hooks_are_called_once_a_step():
    model, calls = model_of(), []
    optimizer = GrassmannAdamW(model.parameters())
    optimizer.register_step_post_hook(lambda *args: calls.append(args))
    together(model, optimizer, 3)
    assert len(calls) == 3


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"lr": -1.0}, "learning rate"),
        ({"grassmann_lr": -1.0}, "lr of bases"),
        ({"momentum": 1.5}, "momentum"),
        ({"betas": (2.0, 0.9)}, "beta"),
    ],
)
def test_settings_that_are_not_allowed_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        GrassmannAdamW(model_of().parameters(), **kwargs)


def test_a_model_without_subspaces_is_refused():
    with pytest.raises(ValueError, match="GrassmannParameter"):
        GrassmannAdamW(nn.Linear(3, 2).parameters())


def test_what_is_no_optimiser_of_torch_is_refused():
    with pytest.raises(TypeError, match="optimizer"):
        MixedOptimizer(model_of().parameters(), 0.1, "adam")
    with pytest.raises(ValueError, match="closure"):
        MixedOptimizer(model_of().parameters(), 0.1, torch.optim.LBFGS)
