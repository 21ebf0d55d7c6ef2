"""GrassmannSGD beside geoopt and geotorch, which have other rules for the same."""

import pytest
import torch
from torch import nn

from sklogit.heads import GrassmannParameter
from sklogit.optim import GrassmannSGD


@pytest.fixture
def problem():
    """A symmetric matrix, the eigenspace of its least values, and a start."""
    generator = torch.Generator().manual_seed(0)

    def orthonormal(n, k):
        X = torch.randn(n, k, generator=generator, dtype=torch.float64)
        return torch.linalg.qr(X)[0]

    Q = orthonormal(7, 7)
    values = torch.arange(1.0, 8.0, dtype=torch.float64)
    return (Q * values) @ Q.mT, Q[:, :2], orthonormal(7, 2)


def distance(first, second):
    return (first @ first.mT - second @ second.mT).abs().max().item()


def trained(S, A, optimizer, n_steps):
    for _ in range(n_steps):
        optimizer.zero_grad()
        (S.mT @ A @ S).trace().backward()
        optimizer.step()
    return S.detach()


def ours(A, start, lr, momentum, n_steps):
    S = GrassmannParameter(start.clone())
    return trained(S, A, GrassmannSGD([S], lr=lr, momentum=momentum), n_steps)


def of_geoopt(A, start, lr, momentum, n_steps):
    geoopt = pytest.importorskip("geoopt")
    S = geoopt.ManifoldParameter(start.clone(), geoopt.Stiefel(canonical=False))
    optimizer = geoopt.optim.RiemannianSGD([S], lr=lr, momentum=momentum)
    return trained(S, A, optimizer, n_steps)


def test_geoopt_has_no_grassmann_manifold():
    geoopt = pytest.importorskip("geoopt")
    assert not hasattr(geoopt, "Grassmann")


def test_a_step_is_that_of_geoopt_on_stiefel_to_second_order(problem):
    # The gradient of a function of the subspace is the same on both manifolds. geoopt
    # retracts by QR, to the span of S + tG: the angles are atan(ts), ours are ts.
    A, _, start = problem
    apart = [
        distance(of_geoopt(A, start, t, 0.0, 1), ours(A, start, t, 0.0, 1))
        for t in (0.02, 0.01, 0.005)
    ]
    assert apart[0] < 1e-2
    assert apart[0] / apart[1] == pytest.approx(8, rel=0.2)
    assert apart[1] / apart[2] == pytest.approx(8, rel=0.1)


def test_short_steps_with_momentum_follow_those_of_geoopt(problem):
    # The first step of geoopt is longer by its momentum.
    A, _, start = problem
    apart = []
    for lr in (2e-3, 1e-3):
        S = GrassmannParameter(start.clone())
        optimizer = GrassmannSGD([S], lr=lr, momentum=0.5)
        trained(S, 1.5 * A, optimizer, 1)
        trained(S, A, optimizer, 9)
        apart.append(distance(of_geoopt(A, start, lr, 0.5, 10), S.detach()))
    assert apart[1] < 1e-4
    assert apart[0] / apart[1] > 3.5  # second order at least


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_geoopt_and_we_reach_the_same_minimum(problem, momentum):
    A, lowest, start = problem
    assert distance(ours(A, start, 0.02, momentum, 1500), lowest) < 1e-8
    assert distance(of_geoopt(A, start, 0.02, momentum, 1500), lowest) < 1e-6


def test_the_parametrisation_of_geotorch_reaches_the_same_minimum(problem):
    geotorch = pytest.importorskip("geotorch")
    A, lowest, start = problem
    layer = nn.Linear(2, 7, bias=False).double()
    geotorch.grassmannian(layer, "weight")
    layer.weight = start
    assert distance(layer.weight.detach(), start) < 1e-10
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.02, momentum=0.9)
    for _ in range(500):
        optimizer.zero_grad()
        W = layer.weight
        (W.mT @ A @ W).trace().backward()
        optimizer.step()
    found = layer.weight.detach()
    assert distance(found, lowest) < 1e-4
    assert distance(found, ours(A, start, 0.02, 0.9, 1500)) < 1e-4
