"""Updates of the mapping: the likelihood never falls."""

import copy
import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from .common import (
    K,
    V,
    cluster_data,
    counts_of_classes,
    each_kind,
    make_head,
)


def fitted(head, X, y, n_steps=60):
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=n_steps)

    def closure():
        optimizer.zero_grad()
        loss = head.nll(X, y).mean() + 1e-3 * head.codebook.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return closure().item()


@each_kind
def test_fits_and_updates_by_turns_never_lose_likelihood(kind):
    X, y = cluster_data()
    counts = torch.bincount(y, minlength=V)
    head = make_head(kind, class_counts=counts)
    losses = []
    for _ in range(4):
        losses.append(fitted(head, X, y))
        head.update_mapping([(X, y)])
        with torch.no_grad():
            updated = head.nll(X, y).mean() + 1e-3 * head.codebook.square().sum()
        losses.append(updated.item())
    assert (np.diff(losses) <= 1e-6).all()
    assert losses[-1] < losses[0] - 0.1


@each_kind
def test_after_updates_no_move_of_a_class_is_better(kind):
    X, y = cluster_data(200)
    head = make_head(kind, class_counts=torch.bincount(y, minlength=V)).eval()
    while head.update_mapping([(X[:50], y[:50]), (X[50:], y[50:])]):
        pass
    best = _nll_with_own_shares(head, X, y)
    for v, code in itertools.product(range(V), range(K)):
        other = copy.deepcopy(head)
        other.codes[v] = code
        assert _nll_with_own_shares(other, X, y) >= best - 1e-9


def _nll_with_own_shares(head, X, y):
    """Negative log-likelihood, with the shares that its mapping asks for."""
    if head.kind != "learned":
        mass = torch.ones(V, dtype=torch.float64)
        if head.kind == "prior":
            mass = torch.bincount(y, minlength=V) + head.smoothing
        total = torch.zeros(K, dtype=torch.float64).index_add_(
            0, head.codes, mass.double()
        )
        head.within.log_shares.copy_((mass / total[head.codes.long()]).log())
    return head.nll(X, y).mean().item()


def test_update_returns_the_number_of_moved_classes_and_sets_the_shares():
    X, y = cluster_data()
    head = make_head()
    before = head.codes.clone()
    assert head.update_mapping([(X, y)]) == (head.codes != before).sum() > 0
    mass = torch.bincount(y, minlength=V) + 0.5
    shares = head.within(head.codes).exp()
    for code in head.codes.unique():
        own = head.codes == code
        torch.testing.assert_close(shares[own], (mass[own] / mass[own].sum()).double())


@each_kind
@pytest.mark.parametrize("counted", [False, True])
def test_a_code_that_loses_its_classes_does_no_harm(kind, counted):
    X, y = cluster_data()
    head = make_head(kind, class_counts=None if counted else counts_of_classes())
    with torch.no_grad():
        head.code_bias[1] = -1e3  # nothing wants this code
        head.codebook[1] = 0
    head.update_mapping([(X, y)])
    empty = torch.bincount(head.codes, minlength=K) == 0
    assert empty[1]
    nll = head.nll(X, y)
    nll.mean().backward()
    expected = F.cross_entropy(head(X), y, reduction="none")
    torch.testing.assert_close(nll, expected)
    for parameter in head.parameters():
        assert parameter.grad.isfinite().all()
    assert not head.codebook.grad[empty].any()
    head.eval()
    order = head.log_prob(X).argsort(dim=1, descending=True, stable=True)
    values, classes = head.predict_topk(X, V)
    torch.testing.assert_close(values, head.log_prob(X).gather(1, order))
    assert (classes.sort(dim=1).values == torch.arange(V)).all()
    torch.testing.assert_close(head.to_linear()(X), head(X))
    # Whatever its bias, until it comes back.
    with torch.no_grad():
        head.code_bias[1] = 1e3
    total = head.log_prob(X).exp().sum(dim=1)
    torch.testing.assert_close(total, torch.ones_like(total))
    head.update_mapping([(X, y)])
    assert torch.bincount(head.codes, minlength=K)[1] > 0
    assert head.nll(X, y).isfinite().all()


def test_update_needs_trained_biases_and_rows():
    X, y = cluster_data(10)
    with pytest.raises(ValueError, match="update_mapping needs trained biases"):
        make_head(bias=False).update_mapping([(X, y)])
    with pytest.raises(ValueError, match="batches must hold at least one row"):
        make_head().update_mapping([])
