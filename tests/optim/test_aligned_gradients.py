"""Gradients of two losses, of which the second gives way."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sklogit.heads import DualHead
from sklogit.losses import binary_kl_norm_loss
from sklogit.optim import aligned_gradients


def plane(main, aux, scope="shared"):
    """Aligned gradient of losses that are linear in two numbers."""
    w = torch.zeros(2, requires_grad=True, dtype=torch.float64)
    losses = ((torch.tensor(g, dtype=w.dtype) * w).sum() for g in (main, aux))
    return aligned_gradients(*losses, [w], scope)[0].tolist()


class Net(nn.Module):
    """A backbone with two heads, and its losses, which are in conflict."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.backbone = nn.Sequential(nn.Linear(5, 4), nn.Tanh())
        self.head = DualHead(4, 3)
        self.double()

    def losses(self):
        rng = np.random.default_rng(0)
        X = torch.from_numpy(rng.standard_normal((20, 5)))
        y = torch.arange(20) % 3
        self.head.aux.load_state_dict(self.head.main.state_dict())
        z, a = self.head(self.backbone(X))
        # A teacher that wants what raises the cross-entropy of an equal head.
        target = z - 5 * F.one_hot(y, 3)
        return F.cross_entropy(z, y), binary_kl_norm_loss(a, target)

    def flat(self, loss):
        grads = torch.autograd.grad(
            loss, list(self.parameters()), retain_graph=True, allow_unused=True
        )
        return torch.cat(
            [
                torch.zeros_like(p).flatten() if g is None else g.flatten()
                for p, g in zip(self.parameters(), grads)
            ]
        )

    def is_shared(self):
        return torch.cat(
            [
                torch.full((p.numel(),), name.startswith("backbone"))
                for name, p in self.named_parameters()
            ]
        )


def aligned(scope):
    net = Net()
    main, aux = net.losses()
    g0, g1 = net.flat(main), net.flat(aux)
    shared = net.is_shared()
    assert g0 @ g1 < 0, "the losses must be in conflict"
    grads = aligned_gradients(main, aux, net.parameters(), scope)
    return torch.cat([g.flatten() for g in grads]), g0, g1, shared


def test_agreeing_gradients_are_added():
    assert plane([1.0, 0.0], [2.0, 3.0]) == [3.0, 3.0]


def test_orthogonal_gradients_are_added():
    assert plane([1.0, 0.0], [0.0, 3.0]) == [1.0, 3.0]


def test_what_works_against_the_main_gradient_is_taken_out():
    # (-2, 3) less its part along (1, 0) is (0, 3).
    assert plane([1.0, 0.0], [-2.0, 3.0]) == [1.0, 3.0]


def test_the_main_gradient_never_gives_way():
    assert plane([-2.0, 3.0], [1.0, 0.0]) == pytest.approx([-2 + 9 / 13, 3 + 6 / 13])


def test_a_main_gradient_of_zero_corrects_nothing():
    assert plane([0.0, 0.0], [-2.0, 3.0]) == [-2.0, 3.0]


def test_shared_scope_makes_the_gradients_of_the_backbone_orthogonal():
    both, g0, g1, shared = aligned("shared")
    rest = both - g0
    assert abs(rest[shared] @ g0[shared]) < 1e-10
    factor = -(g1[shared] @ g0[shared]) / (g0[shared] @ g0[shared])
    expected = g1[shared] + factor * g0[shared]
    torch.testing.assert_close(rest[shared], expected)


def test_shared_scope_leaves_the_heads_their_own_gradients():
    both, g0, g1, shared = aligned("shared")
    torch.testing.assert_close(both[~shared], (g0 + g1)[~shared])


def test_scope_all_is_the_projection_over_all_coordinates():
    both, g0, g1, _ = aligned("all")
    torch.testing.assert_close(both, g0 + g1 - (g1 @ g0) / (g0 @ g0) * g0)


def test_a_parameter_without_gradient_gets_zeros():
    w, unused = torch.ones(2, requires_grad=True), torch.ones(3, requires_grad=True)
    grads = aligned_gradients(w.sum(), w.prod(), [w, unused])
    assert grads[0].tolist() == [2.0, 2.0]
    assert grads[1].tolist() == [0.0, 0.0, 0.0]


def test_a_loss_without_graph_counts_as_zero():
    w = torch.ones(2, requires_grad=True)
    assert aligned_gradients(w.sum(), torch.tensor(3.0), [w])[0].tolist() == [1.0, 1.0]


def test_wrong_arguments_are_refused():
    w = torch.ones(2, requires_grad=True)
    with pytest.raises(ValueError, match=r"scope must be one of.*'head'"):
        aligned_gradients(w.sum(), w.sum(), [w], scope="head")
    with pytest.raises(ValueError, match="params must have at least one"):
        aligned_gradients(w.sum(), w.sum(), [])
