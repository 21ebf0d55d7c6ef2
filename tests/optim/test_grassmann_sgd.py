"""GrassmannSGD: steps along geodesics, beside plain SGD for other parameters."""

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sklogit.heads import GrassmannHead, GrassmannParameter
from sklogit.optim import GrassmannSGD
from sklogit.optim._grassmann_geometry import geodesic, project_tangent
from sklogit.subspace._descent import GrassmannDescent, LabelledRows


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def bases(*shape, dtype=torch.float64):
    return torch.linalg.qr(torch.randn(*shape, dtype=dtype))[0]


def error(S):
    return (S.mT @ S - torch.eye(S.shape[-1], dtype=S.dtype)).abs().max().item()


def distance(first, second):
    """Largest entry of the difference of the projectors."""
    return (first @ first.mT - second @ second.mT).abs().max().item()


class Rayleigh:
    """The trace of S^T A S, whose extrema are eigenspaces."""

    def __init__(self, n=8, k=2, dtype=torch.float64):
        Q = bases(n, n)
        self.values = torch.arange(1.0, n + 1, dtype=torch.float64)
        self.A = (Q * self.values @ Q.mT).to(dtype)
        self.lowest = Q[:, :k].to(dtype)
        self.S = GrassmannParameter(bases(n, k).to(dtype))

    def loss(self):
        return (self.S.mT @ self.A @ self.S).trace()

    def train(self, optimizer, n_steps):
        for _ in range(n_steps):
            optimizer.zero_grad()
            self.loss().backward()
            optimizer.step()
        return self.S.detach()


# -- steps -----------------------------------------------------------------------------


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("dampening", [0.0, 0.5])
def test_steps_are_those_of_the_definition(momentum, dampening):
    start = bases(4, 9, 3)
    gradients = torch.randn(5, 4, 9, 3, dtype=torch.float64)
    S = GrassmannParameter(start.clone())
    optimizer = GrassmannSGD([S], lr=0.1, momentum=momentum, dampening=dampening)
    expected, M = start, None
    for D in gradients:
        S.grad = D.clone()
        optimizer.step()
        G = project_tangent(expected, D)
        M = G if M is None or not momentum else momentum * M + (1 - dampening) * G
        expected, M = geodesic(expected, M, -0.1)
    torch.testing.assert_close(S.detach(), expected, rtol=0, atol=1e-12)
    if momentum:
        stored = optimizer.state[S]["momentum_buffer"]
        torch.testing.assert_close(stored, M, rtol=0, atol=1e-12)
        assert (S.mT @ stored).abs().max() < 1e-13


def test_training_is_that_of_the_arrays():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60, 10)), np.repeat(np.arange(3), 20)
    weight = rng.uniform(0.5, 2.0, 60)
    X[7] = 0.0
    head = GrassmannHead(10, 3, 2).double()
    start = head.subspaces.detach().numpy().copy()
    descent = GrassmannDescent(start, 25.0, 0.9)
    optimizer = GrassmannSGD(head.parameters(), lr=0.05)
    rows = torch.from_numpy(X), torch.from_numpy(y), torch.from_numpy(weight)
    for chosen in np.array_split(rng.permutation(300) % 60, 20):
        descent.step(LabelledRows(X[chosen], y[chosen], weight[chosen], 0.0), 0.05)
        optimizer.zero_grad()
        features, target, w = (values[chosen] for values in rows)
        loss = F.cross_entropy(head(features), target, reduction="none")
        ((loss * w).sum() / w.sum()).backward()
        optimizer.step()
    np.testing.assert_allclose(head.subspaces.detach(), descent.S, atol=1e-9)
    stored = optimizer.state[head.subspaces]["momentum_buffer"]
    np.testing.assert_allclose(stored, descent.M, atol=1e-8)


@pytest.mark.parametrize("reorthogonalize", ["polar", "qr"])
@pytest.mark.parametrize("reorth_every", [1, 7])
def test_minimum_of_a_rayleigh_quotient_is_the_eigenspace(
    reorthogonalize, reorth_every
):
    # Its gradient is mostly within the subspace, where errors of the basis and of the
    # momentum can feed each other.
    problem = Rayleigh()
    optimizer = GrassmannSGD([problem.S], 0.02, 0.9, 0.0, reorthogonalize, reorth_every)
    S = problem.train(optimizer, 1500)
    assert distance(S, problem.lowest) < 1e-10
    assert error(S) < 1e-13


def test_maximize_goes_up_as_minimising_the_negative_does():
    problem = Rayleigh()
    other = GrassmannParameter(problem.S.detach().clone())
    up = GrassmannSGD([problem.S], lr=0.02, maximize=True)
    down = GrassmannSGD([other], lr=0.02)
    for _ in range(20):
        up.zero_grad()
        problem.loss().backward()
        up.step()
        down.zero_grad()
        (-(other.mT @ problem.A @ other).trace()).backward()
        down.step()
    torch.testing.assert_close(other, problem.S, rtol=0, atol=1e-12)


def test_a_small_step_without_momentum_decreases_the_loss_as_promised():
    problem = Rayleigh()
    before = problem.loss()
    before.backward()
    G = project_tangent(problem.S.detach(), problem.S.grad)
    GrassmannSGD([problem.S], lr=1e-5, momentum=0.0).step()
    decrease = (before - problem.loss()).item()
    assert decrease == pytest.approx(1e-5 * (G**2).sum().item(), rel=1e-3)


def test_gradient_within_the_subspace_moves_nothing():
    start = bases(3, 6, 2)
    S = GrassmannParameter(start.clone())
    S.grad = start @ torch.randn(3, 2, 2, dtype=torch.float64)
    GrassmannSGD([S], lr=0.1).step()
    torch.testing.assert_close(S.detach(), start, rtol=0, atol=1e-15)


def test_another_basis_of_a_subspace_takes_the_same_way():
    problem = Rayleigh()
    Q = bases(2, 2)
    turned = Rayleigh()
    turned.A, turned.S = problem.A, GrassmannParameter(problem.S.detach() @ Q)
    for one in (problem, turned):
        one.train(GrassmannSGD([one.S], lr=0.05), 30)
    assert distance(problem.S.detach(), turned.S.detach()) < 1e-12


@pytest.mark.parametrize("shape", [(7, 2), (3, 7, 2), (2, 3, 7, 2)])
@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_leading_axes_and_layouts_make_no_difference(shape, layout):
    start = bases(*shape)
    if layout == "columns":
        start = start.mT.contiguous().mT
    S = GrassmannParameter(start.clone())
    optimizer = GrassmannSGD([S], lr=0.1)
    stack = start.reshape(-1, 7, 2)
    M = None
    for _ in range(2):
        D = torch.randn_like(S)
        S.grad = D
        optimizer.step()
        G = project_tangent(stack, D.reshape(-1, 7, 2))
        stack, M = geodesic(stack, G if M is None else 0.9 * M + G, -0.1)
    torch.testing.assert_close(S.detach(), stack.view(shape), rtol=0, atol=1e-13)


def test_blocks_of_a_large_stack_are_all_moved(monkeypatch):
    start, D = bases(50, 7, 2), torch.randn(50, 7, 2, dtype=torch.float64)
    ends = []
    for entries in (1 << 18, 14 * 8):
        monkeypatch.setattr("sklogit.optim._grassmann_step._BLOCK_ENTRIES", entries)
        S = GrassmannParameter(start.clone())
        optimizer = GrassmannSGD([S], lr=0.1)
        for _ in range(3):
            S.grad = D
            optimizer.step()
        ends.append(S.detach())
    torch.testing.assert_close(*ends, rtol=0, atol=1e-14)


def test_gradients_long_within_the_subspace_take_the_steps_of_the_definition():
    # Beyond a bound they are projected rather than folded into coefficients.
    expected = bases(4, 9, 3)
    S, M = GrassmannParameter(expected.clone()), None
    optimizer = GrassmannSGD([S], lr=0.1)
    for size in (3.0, 300.0, 3.0):
        D = torch.randn(4, 9, 3, dtype=torch.float64) + size * expected
        S.grad = D.clone()
        optimizer.step()
        G = project_tangent(expected, D)
        expected, M = geodesic(expected, G if M is None else 0.9 * M + G, -0.1)
    torch.testing.assert_close(S.detach(), expected, rtol=0, atol=1e-12)


def test_leading_axes_need_not_merge():
    start = bases(3, 2, 7, 2).transpose(0, 1)
    S, merged = GrassmannParameter(start), GrassmannParameter(start.contiguous())
    assert not start.is_contiguous()
    D = torch.randn(3, 2, 7, 2, dtype=torch.float64).transpose(0, 1)
    S.grad, merged.grad = D, D.clone()
    optimizers = [GrassmannSGD([one], lr=0.1) for one in (S, merged)]
    for _ in range(3):
        for optimizer in optimizers:
            optimizer.step()
    torch.testing.assert_close(S, merged, rtol=0, atol=1e-14)
    assert error(S.detach()) < 1e-13


# -- staying on the manifold -----------------------------------------------------------


@pytest.mark.parametrize("reorthogonalize", ["polar", "qr"])
def test_bases_stay_orthonormal_in_single_precision(reorthogonalize):
    start = bases(3, 20, 4, dtype=torch.float32)
    S = GrassmannParameter(start)
    optimizer = GrassmannSGD([S], lr=0.05, reorthogonalize=reorthogonalize)
    gradients = torch.randn(50, 3, 20, 4)
    for step in range(10_000):
        S.grad = gradients[step % 50]
        optimizer.step()
    assert error(S.detach()) < 1e-5
    assert (S.mT @ optimizer.state[S]["momentum_buffer"]).abs().max() < 1e-3


@pytest.mark.parametrize("how", [None, "polar", "qr"])
def test_none_leaves_errors_as_they_are(how):
    S = GrassmannParameter(bases(6, 2))
    optimizer = GrassmannSGD([S], lr=0.1, reorthogonalize=how)
    S.data *= 1 + 1e-5
    S.grad = torch.zeros_like(S)
    optimizer.step()
    assert (error(S.detach()) < 1e-9) == (how is not None)


def test_reorth_every_counts_the_steps_of_each_parameter():
    S = GrassmannParameter(bases(6, 2))
    optimizer = GrassmannSGD([S], lr=0.0, reorth_every=3)
    S.data *= 1 + 1e-5
    errors = []
    for _ in range(3):
        S.grad = torch.zeros_like(S)
        optimizer.step()
        errors.append(error(S.detach()))
    assert errors[0] == pytest.approx(2e-5, rel=1e-3)
    assert errors[1] == pytest.approx(2e-5, rel=1e-3)
    assert errors[2] < 1e-9


def test_bases_that_were_spoilt_between_steps_are_mended():
    S = GrassmannParameter(bases(6, 2))
    optimizer = GrassmannSGD([S], lr=0.1)
    S.data *= 1.5
    S.grad = torch.randn(6, 2, dtype=torch.float64)
    optimizer.step()
    assert error(S.detach()) < 1e-14


# -- other parameters ------------------------------------------------------------------


def test_other_parameters_move_as_under_sgd():
    model = nn.Sequential(nn.Linear(6, 5), GrassmannHead(5, 3, 2))
    plain = copy.deepcopy(model[0])
    optimizer = GrassmannSGD(model.parameters(), lr=0.1, momentum=0.8, dampening=0.1)
    reference = torch.optim.SGD(plain.parameters(), 0.1, 0.8, 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(model(torch.randn(9, 6)), torch.arange(9) % 3).backward()
        for one, other in zip(plain.parameters(), model[0].parameters()):
            one.grad = other.grad.clone()
        optimizer.step()
        reference.step()
    assert torch.equal(plain.weight, model[0].weight)
    assert torch.equal(plain.bias, model[0].bias)
    assert error(model[1].subspaces.detach()) < 1e-6


def test_parameters_may_have_names():
    model = nn.Sequential(nn.Linear(6, 5), GrassmannHead(5, 3, 2))
    optimizer = GrassmannSGD(model.named_parameters(), lr=0.1)
    names = [group["param_names"] for group in optimizer.param_groups]
    assert names == [["0.weight", "0.bias"], ["1.subspaces"]]


def test_a_group_may_declare_plain_tensors_to_be_bases():
    S = bases(6, 2).requires_grad_()
    optimizer = GrassmannSGD([{"params": S, "manifold": "grassmann", "lr": 0.3}])
    assert [g["lr"] for g in optimizer.param_groups] == [0.3]
    S.grad = torch.randn_like(S)
    optimizer.step()
    assert error(S.detach()) < 1e-13


def test_groups_have_their_own_settings():
    first, second = (GrassmannParameter(bases(6, 2)) for _ in range(2))
    weight = nn.Parameter(torch.ones(2))
    optimizer = GrassmannSGD(
        [
            {"params": [first, weight], "lr": 0.2, "momentum": 0.5},
            {"params": [second], "reorth_every": 4},
        ]
    )
    found = [(g["manifold"], g["lr"], g["momentum"]) for g in optimizer.param_groups]
    assert found == [
        (None, 0.2, 0.5),
        ("grassmann", 0.2, 0.5),
        ("grassmann", 0.05, 0.9),
    ]
    assert optimizer.param_groups[2]["reorth_every"] == 4


def test_a_group_of_other_parameters_may_have_weight_decay():
    S, weight = GrassmannParameter(bases(6, 2)), nn.Parameter(torch.ones(2))
    optimizer = GrassmannSGD(
        [{"params": [S]}, {"params": [weight], "weight_decay": 0.5}], lr=0.1
    )
    S.grad, weight.grad = torch.zeros_like(S), torch.zeros(2)
    optimizer.step()
    torch.testing.assert_close(weight.detach(), torch.full((2,), 0.95))


def test_parameters_without_gradient_stay():
    S = GrassmannParameter(bases(6, 2))
    start = S.detach().clone()
    GrassmannSGD([S]).step()
    assert torch.equal(S.detach(), start)


# -- the protocol of torch -------------------------------------------------------------


def test_closure_is_called_with_gradients_enabled():
    problem = Rayleigh()
    optimizer = GrassmannSGD([problem.S], lr=0.02)

    def closure():
        optimizer.zero_grad()
        loss = problem.loss()
        loss.backward()
        return loss

    before = problem.loss().item()
    assert optimizer.step(closure).item() == pytest.approx(before)
    assert problem.loss().item() < before


@pytest.mark.parametrize("how", ["state_dict", "pickle", "deepcopy"])
def test_training_that_is_resumed_goes_the_same_way(how):
    model = nn.Sequential(nn.Linear(6, 5), GrassmannHead(5, 3, 2))
    optimizer = GrassmannSGD(model.parameters(), lr=0.1, reorth_every=2)

    def train(model, optimizer):
        generator = torch.Generator().manual_seed(1)
        for _ in range(3):
            X = torch.randn(9, 6, generator=generator)
            optimizer.zero_grad()
            F.cross_entropy(model(X), torch.arange(9) % 3).backward()
            optimizer.step()

    train(model, optimizer)
    if how == "state_dict":
        file = io.BytesIO()
        torch.save([model.state_dict(), optimizer.state_dict()], file)
        file.seek(0)
        of_model, of_optimizer = torch.load(file, weights_only=True)
        resumed = nn.Sequential(nn.Linear(6, 5), GrassmannHead(5, 3, 2))
        resumed.load_state_dict(of_model)
        again = GrassmannSGD(resumed.parameters(), lr=7.0)
        again.load_state_dict(of_optimizer)
    elif how == "pickle":
        resumed, again = pickle.loads(pickle.dumps((model, optimizer)))
    else:
        resumed, again = copy.deepcopy((model, optimizer))
    train(model, optimizer)
    train(resumed, again)
    for one, other in zip(model.parameters(), resumed.parameters()):
        assert torch.equal(one, other)


def test_schedulers_scale_all_groups():
    model = nn.Sequential(nn.Linear(6, 5), GrassmannHead(5, 3, 2))
    optimizer = GrassmannSGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 4)
    for _ in range(2):
        optimizer.step()
        scheduler.step()
    assert [g["lr"] for g in optimizer.param_groups] == pytest.approx([0.05, 0.05])


def test_schedulers_may_cycle_the_momentum():
    model = nn.Sequential(nn.Linear(6, 5), GrassmannHead(5, 3, 2))
    optimizer = GrassmannSGD(model.parameters())
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, 10)
    optimizer.step()
    scheduler.step()
    first, second = ((g["lr"], g["momentum"]) for g in optimizer.param_groups)
    assert first == second
    assert 0.85 < first[1] < 0.95


def test_entries_of_groups_that_are_for_others_are_kept():
    S, weight = GrassmannParameter(bases(6, 2)), nn.Parameter(torch.ones(2))
    optimizer = GrassmannSGD([{"params": [weight, S], "tag": "head"}])
    assert [g["tag"] for g in optimizer.param_groups] == ["head", "head"]


def test_a_group_that_is_refused_is_not_added():
    optimizer = GrassmannSGD([GrassmannParameter(bases(6, 2))])
    bad = nn.Parameter(torch.ones(2)), GrassmannParameter(torch.ones(4, 2))
    with pytest.raises(ValueError, match="orthonormal"):
        optimizer.add_param_group({"params": bad})
    assert len(optimizer.param_groups) == 1


def test_two_optimisers_share_nothing():
    problem, other = Rayleigh(), Rayleigh()
    alone = GrassmannParameter(problem.S.detach().clone())
    both = [GrassmannSGD([p.S], lr=0.05, reorth_every=2) for p in (problem, other)]
    single = GrassmannSGD([alone], lr=0.05, reorth_every=2)
    for _ in range(5):
        problem.train(both[0], 1)
        other.train(both[1], 1)
        single.zero_grad()
        (alone.mT @ problem.A @ alone).trace().backward()
        single.step()
    assert torch.equal(alone, problem.S)


# -- bad input -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"weight_decay": 0.1}, "weight_decay"),
        ({"nesterov": True}, "nesterov"),
        ({"lr": -1.0}, "lr"),
        ({"lr": float("nan")}, "lr"),
        ({"momentum": 1.0}, "momentum"),
        ({"dampening": 2.0}, "dampening"),
        ({"reorthogonalize": "svd"}, "reorthogonalize"),
        ({"reorth_every": 0}, "reorth_every"),
    ],
)
def test_settings_that_are_not_allowed_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        GrassmannSGD([GrassmannParameter(bases(6, 2))], **kwargs)
    if message != "lr":
        group = {"params": [GrassmannParameter(bases(6, 2))], **kwargs}
        with pytest.raises(ValueError, match=message):
            GrassmannSGD([group])


@pytest.mark.parametrize(
    ("values", "raised", "message"),
    [
        (torch.ones(6, 2), ValueError, "orthonormal"),
        (torch.ones(6), ValueError, "shape"),
        (torch.eye(2, 6), ValueError, "shape"),
        (torch.eye(6, 2, dtype=torch.bfloat16), TypeError, "bfloat16"),
        (torch.full((6, 2), torch.nan), ValueError, "orthonormal"),
    ],
)
def test_parameters_that_are_no_bases_are_refused(values, raised, message):
    with pytest.raises(raised, match=message):
        GrassmannSGD([GrassmannParameter(values)])


def test_plain_tensors_alone_are_refused_rather_than_moved_off_the_manifold():
    with pytest.raises(ValueError, match="GrassmannParameter"):
        GrassmannSGD([nn.Parameter(bases(6, 2))])


def test_sparse_gradients_are_refused():
    S = GrassmannParameter(bases(6, 2))
    S.grad = torch.zeros(6, 2, dtype=torch.float64).to_sparse()
    with pytest.raises(ValueError, match="sparse"):
        GrassmannSGD([S]).step()


def test_sparse_gradients_of_one_leave_the_momentum_of_another():
    both = [GrassmannParameter(bases(6, 2)) for _ in range(2)]
    optimizer = GrassmannSGD(both)
    for S in both:
        S.grad = torch.randn_like(S)
    optimizer.step()
    before = optimizer.state[both[0]]["momentum_buffer"].clone()
    both[1].grad = torch.zeros(6, 2, dtype=torch.float64).to_sparse()
    with pytest.raises(ValueError, match="sparse"):
        optimizer.step()
    assert torch.equal(optimizer.state[both[0]]["momentum_buffer"], before)


@pytest.mark.parametrize("value", [1e30, float("inf"), float("nan")])
def test_a_step_without_meaning_names_lr_and_moves_nothing(value):
    weight = nn.Parameter(torch.ones(2))
    S = GrassmannParameter(bases(6, 2, dtype=torch.float32))
    start = S.detach().clone()
    optimizer = GrassmannSGD([weight, S], lr=10.0)
    weight.grad, S.grad = torch.ones(2), torch.full((6, 2), value)
    S.grad[0] = 0
    with pytest.raises(ValueError, match="lr=10"):
        optimizer.step()
    assert torch.equal(S.detach(), start)
    assert torch.equal(weight.detach(), torch.ones(2))
    # Of a gradient that is not finite the momentum knows nothing either.
    if not np.isfinite(value):
        S.grad = torch.zeros(6, 2)
        optimizer.step()
        assert torch.equal(S.detach(), start) or error(S.detach()) < 1e-6


def test_a_huge_learning_rate_keeps_bases_orthonormal():
    problem = Rayleigh(dtype=torch.float32)
    problem.train(GrassmannSGD([problem.S], lr=50.0), 20)
    assert error(problem.S.detach()) < 1e-5


def test_no_parameter_moves_if_one_cannot():
    both = [GrassmannParameter(bases(6, 2)) for _ in range(2)]
    starts = [S.detach().clone() for S in both]
    optimizer = GrassmannSGD(both, lr=0.1)
    both[0].grad, both[1].grad = (
        torch.randn_like(both[0]),
        1e9 * torch.randn(6, 2).double(),
    )
    with pytest.raises(ValueError, match=r"lr=0.1.*at most 10000"):
        optimizer.step()
    assert all(torch.equal(S, start) for S, start in zip(both, starts))
    assert not any("step" in optimizer.state[S] for S in both)


def test_a_step_that_was_refused_leaves_nothing_in_the_momentum():
    S, other = (GrassmannParameter(bases(6, 2)) for _ in range(2))
    D = torch.randn_like(S)
    with torch.no_grad():
        other.copy_(S)
    optimizer, fresh = GrassmannSGD([S], lr=0.1), GrassmannSGD([other], lr=0.1)
    for factor in (0.0, 1e9):
        S.grad = factor * D
        if factor:
            with pytest.raises(ValueError, match="rad"):
                optimizer.step()
        else:
            optimizer.step()
    S.grad, other.grad = D, D
    optimizer.step()
    fresh.step()
    torch.testing.assert_close(S.detach(), other.detach(), rtol=0, atol=1e-14)


def test_bases_that_are_not_finite_are_named():
    S = GrassmannParameter(bases(6, 2))
    optimizer = GrassmannSGD([S])
    S.data[0, 0] = torch.nan
    S.grad = torch.zeros_like(S)
    with pytest.raises(ValueError, match="basis is not finite"):
        optimizer.step()
