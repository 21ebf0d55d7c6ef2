"""Gradient filtering: what is left out, and its bound."""

import math

import pytest
import torch

from sklogit.kernels import (
    _chunked,
    _filtering,
    _products,
    _recompute,
    _task,
    linear_cross_entropy,
)
from sklogit.kernels._arguments import Options, make_task

from .common import gradients, problem


def peaked(n=60, n_classes=500, n_features=16):
    """Rows of which all but .002 of the softmax is in 60 frequent classes."""
    features, weight, _, target = problem(n, n_classes, n_features, bias=False)
    with torch.no_grad():
        features[:, 0] = 1
        weight /= math.sqrt(n_features)
        weight[60:, 0] -= 8
    return features, weight, target % 60


def softmax_of(features, weight):
    return (features @ weight.T).softmax(dim=1).detach()


@pytest.fixture
def small_tiles(monkeypatch):
    monkeypatch.setattr(_task, "_TILE_ENTRIES", 1)
    monkeypatch.setattr(_task, "_MIN_TILE", 100)


@pytest.fixture
def filterings(monkeypatch):
    """All the filterings that are made, to look at what they counted."""
    made = []

    class Noted(_filtering.Filtering):
        def __init__(self, *args):
            super().__init__(*args)
            made.append(self)

    from sklogit.kernels import _walk

    monkeypatch.setattr(_walk, "Filtering", Noted)
    return made


def loss_and_gradients(features, weight, target, **parameters):
    loss = linear_cross_entropy(features, weight, target, **parameters)
    return loss, *gradients(loss, (features, weight))


IMPLEMENTATIONS = ["chunk", "recompute"]


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_an_epsilon_of_zero_is_exact(impl):
    problem = peaked()
    exact = loss_and_gradients(*problem, impl=impl)
    ours = loss_and_gradients(*problem, impl=impl, filter_eps=0.0)
    assert all(torch.equal(a, b) for a, b in zip(ours, exact))


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_columns_without_a_large_entry_are_left_out(impl, filterings):
    # Of one chunk and one tile the gradient is that of the kept columns.
    features, weight, target = peaked()
    eps = 1e-4
    S = softmax_of(features, weight)
    S[torch.arange(60), target] = 0
    columns = S.amax(dim=0) > eps
    assert 0.05 < columns.double().mean() < 0.5
    left = torch.where(columns, S, 0)
    own = softmax_of(features, weight).gather(1, target[:, None]).squeeze(1)
    left[torch.arange(60), target] = own - 1
    _, of_features, of_weight = loss_and_gradients(
        features, weight, target, impl=impl, filter_eps=eps, max_dropped_mass=1.0
    )
    torch.testing.assert_close(of_features, left @ weight / 60)
    torch.testing.assert_close(of_weight, left.T @ features / 60)
    filtering = filterings[-1]
    assert filtering.n_entries == 60 * 500
    assert filtering.n_multiplied == 60 * int(columns.sum())


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_the_loss_is_that_of_all_entries(impl):
    problem = peaked()
    exact = linear_cross_entropy(*problem, impl=impl)
    ours = linear_cross_entropy(*problem, impl=impl, filter_eps=0.1)
    assert torch.equal(ours, exact)


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
@pytest.mark.parametrize("limit", [0.0, 1e-4, 1e-3, 2**-7, 0.3])
@pytest.mark.parametrize("eps", [1e-5, 1e-4, 0.1])
def test_no_row_loses_more_than_allowed(eps, limit, impl, small_tiles):
    # The gradient by a bias is the sum of the rows' gradients by logits; with a single
    # row it is that row's, whose entries add up to minus what was left out.
    features, weight, target = peaked()
    bias = torch.zeros(500, dtype=torch.float64, requires_grad=True)
    losses = []
    for row in range(60):
        loss = linear_cross_entropy(
            features[row],
            weight,
            target[row],
            bias,
            filter_eps=eps,
            max_dropped_mass=limit,
            impl=impl,
        )
        losses.append(-gradients(loss, [bias])[0].sum().item())
    assert min(losses) > -1e-12
    assert max(losses) <= limit + 1e-12
    if limit >= 2**-7:
        assert max(losses) > 1e-6  # something was left out


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_a_flat_softmax_is_exact(impl, filterings):
    features, weight, bias, target = problem(40, 300)
    tensors = features, weight, bias
    exact = linear_cross_entropy(features, weight, target, bias, impl=impl)
    ours = linear_cross_entropy(
        features, weight, target, bias, impl=impl, filter_eps=0.5
    )
    for a, b in zip(gradients(ours, tensors), gradients(exact, tensors)):
        torch.testing.assert_close(a, b, rtol=0, atol=2**-7 * b.abs().max().item())
    filtering = filterings[-1]
    assert filtering.n_multiplied > 0.9 * filtering.n_entries


def test_flat_rows_do_not_spoil_the_others(filterings):
    # Rows that lose too much are multiplied in full, and only they; columns that are
    # large for them only are not multiplied with the other rows.
    features, weight, target = peaked(n_classes=5000)
    with torch.no_grad():
        features[:6, 0] = 0
    large = softmax_of(features, weight)[:6] > 3e-4
    assert large.any(dim=0).double().mean() > 0.5
    assert large.double().mean() < 0.5
    exact = loss_and_gradients(features, weight, target)
    ours = loss_and_gradients(
        features, weight, target, filter_eps=3e-4, max_dropped_mass=0.1
    )
    torch.testing.assert_close(ours[1][:6], exact[1][:6])
    assert not torch.allclose(ours[1][6:], exact[1][6:])
    filtering = filterings[-1]
    assert 0.1 < filtering.n_multiplied / filtering.n_entries < 0.2


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_filtering_with_the_other_options(impl, small_tiles):
    # With a tiny epsilon the gradient is the exact one up to it.
    features, weight, target = peaked()
    target[3] = -100
    bias = torch.zeros(500, dtype=torch.float64, requires_grad=True)
    class_weight = torch.linspace(0.5, 1.5, 500).double()
    for options in (
        {"label_smoothing": 0.1, "z_loss": 0.01, "class_weight": class_weight},
        {"softcap": 5.0},
        {"softcap": 5.0, "reduction": "sum", "sample_weight": torch.rand(60)},
    ):
        found = []
        for eps in (None, 1e-9):
            loss = linear_cross_entropy(
                features,
                weight,
                target,
                bias,
                impl=impl,
                chunk_size=25,
                filter_eps=eps,
                **options,
            )
            found.append(gradients(loss, (features, weight, bias)))
        for a, b in zip(*found):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-6 * b.abs().max().item())


def test_the_automatic_epsilon_is_that_of_the_dtype():
    # As published: 2**-12 for bfloat16.
    options = Options(filter_eps="auto")
    assert options.filter_eps_of(torch.bfloat16) == 2**-12
    assert options.filter_eps_of(torch.float32) == 2**-28


@pytest.mark.parametrize("module", [_chunked, _recompute])
def test_half_precision_is_filtered_too(module):
    features, weight, target = (
        x.detach().bfloat16() if x.is_floating_point() else x for x in peaked()
    )
    found = []
    for eps in (None, "auto"):
        options = Options(filter_eps=eps)
        task, _ = make_task(options, torch.bfloat16, 500, target, None, None)
        if module is _chunked:
            _, found_now = module.loss_and_gradients(
                features, weight, None, task, (True, True, False)
            )
        else:
            terms = module.forward(features, weight, None, task)
            derivatives = task.nll_weight, torch.zeros_like(task.nll_weight), None
            found_now = module.backward(
                features, weight, None, task, terms, derivatives, (True, True, False)
            )
        found.append(found_now[:2])
    for a, b in zip(*found):
        assert (a - b).float().norm() < 0.02 * b.float().norm()


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_bias_is_filtered_where_products_are_of_half_precision(impl, monkeypatch):
    monkeypatch.setattr(_products, "_has_bfloat16_instructions", lambda: True)
    features, weight, target = (
        x.detach().bfloat16() if x.is_floating_point() else x for x in peaked()
    )
    bias = torch.zeros(500, dtype=torch.bfloat16, requires_grad=True)
    (exact, ours) = (
        gradients(
            linear_cross_entropy(
                features, weight, target, bias, impl=impl, filter_eps=eps
            ),
            [bias],
        )[0].float()
        for eps in (None, "auto")
    )
    assert (ours - exact).norm() < 0.02 * exact.norm()
