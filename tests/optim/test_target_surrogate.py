"""The torch optimiser against gradient descent, closed forms and itself resumed."""

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sklogit._oracle import OracleBudgetExceeded
from sklogit.optim import SSO, TargetSurrogate, eta_from_official

RULES = ["constant", "sqrt", "exponential", "armijo", "adagrad", "adaptive"]
INNER = ["armijo", "sgd", "adam", "lbfgs", torch.optim.RMSprop]


@pytest.fixture
def problem():
    """Data of three classes."""
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(40, 5, generator=generator)
    y = (X @ torch.randn(5, 3, generator=generator)).argmax(dim=1)
    return X, y


def make_net(seed=0, n_hidden=7, dropout=0.0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(5, n_hidden), nn.Tanh(), nn.Dropout(dropout), nn.Linear(n_hidden, 3)
    )


def make_optimizer(net, **kwargs):
    kwargs.setdefault("total_steps", 20)
    return TargetSurrogate(net.parameters(), **kwargs)


def run(net, optimizer, problem, n_steps):
    X, y = problem
    return [
        optimizer.step(lambda: net(X), lambda z: F.cross_entropy(z, y))
        for _ in range(n_steps)
    ]


def weights(net):
    return torch.cat([p.detach().ravel() for p in net.parameters()])


@pytest.mark.parametrize("eta", [0.1, 1.0, 30.0])
def test_one_inner_gradient_step_is_gradient_descent(problem, eta):
    X, y = problem
    ours, plain = make_net(), make_net()
    optimizer = make_optimizer(
        ours, lr=0.3, eta=eta, inner_steps=1, inner_optimizer="sgd"
    )
    sgd = torch.optim.SGD(plain.parameters(), lr=0.3)
    for _ in range(5):
        loss = optimizer.step(lambda: ours(X), lambda z: F.cross_entropy(z, y))
        sgd.zero_grad()
        expected = F.cross_entropy(plain(X), y)
        expected.backward()
        sgd.step()
        assert loss == pytest.approx(float(expected), rel=1e-5)
    torch.testing.assert_close(weights(ours), weights(plain), rtol=1e-4, atol=1e-6)


def test_linear_model_with_exact_inner_solve_steps_to_least_squares(problem):
    X = problem[0].double()
    target = torch.randn(40, 2, dtype=torch.float64)
    net = nn.Linear(5, 2, bias=False).double()
    optimizer = TargetSurrogate(
        net.parameters(),
        lr=1.0,
        eta=1.0,
        inner_optimizer="lbfgs",
        inner_steps=100,
        inner_kwargs={
            "line_search_fn": "strong_wolfe",
            "tolerance_grad": 1e-12,
            "tolerance_change": 0.0,
        },
    )
    optimizer.step(lambda: net(X), lambda z: ((z - target) ** 2).sum(1).mean() / 2)
    expected = np.linalg.lstsq(X.numpy(), target.numpy(), rcond=None)[0]
    np.testing.assert_allclose(net.weight.detach().numpy().T, expected, atol=1e-6)


@pytest.mark.parametrize("inner", ["armijo", "lbfgs"])
@pytest.mark.parametrize("inner_steps", [1, 3, 20])
def test_loss_falls_for_eta_up_to_the_smoothness(problem, inner, inner_steps):
    net = make_net()
    optimizer = make_optimizer(
        net, eta=2.0, inner_optimizer=inner, inner_steps=inner_steps
    )
    losses = run(net, optimizer, problem, 12)
    assert (np.diff(losses) <= 1e-6).all()
    assert losses[-1] < losses[0]


def test_surrogate_bounds_the_loss_from_above(problem):
    X, y = problem
    net = make_net()
    with torch.no_grad():
        z = net(X)
        loss = F.cross_entropy(z, y)
        G = torch.softmax(z, dim=1) - F.one_hot(y, 3)
        for seed in range(20):
            d = make_net(seed)(X) - z
            surrogate = ((G * d).sum() + (d * d).sum() / (2 * 2.0)) / len(z)
            assert F.cross_entropy(z + d, y) <= loss + surrogate + 1e-6


def test_decrease_of_the_surrogate_is_that_of_its_formula(problem):
    X, y = problem
    net = make_net()
    optimizer = make_optimizer(net, eta=1.5, inner_optimizer="sgd", inner_steps=4)
    with torch.no_grad():
        z = net(X)
        G = torch.softmax(z, dim=1) - F.one_hot(y, 3)
    # The value after the last step is not evaluated: take one step more to see it.
    run(net, optimizer, problem, 1)
    again = make_net()
    other = make_optimizer(again, eta=1.5, inner_optimizer="sgd", inner_steps=3)
    run(again, other, problem, 1)
    with torch.no_grad():
        d = again(X) - z
        expected = -((G * d).sum() + (d * d).sum() / (2 * 1.5)) / len(z)
    assert optimizer.last_surrogate_decrease == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("rule", RULES)
def test_calls_are_counted_and_stay_within_the_budget(problem, rule):
    X, y = problem
    net, calls = make_net(), []
    optimizer = make_optimizer(
        net, step_rule=rule, inner_steps=3, max_oracle_calls=7, eta=8.0
    )

    def oracle(z):
        calls.append(1)
        return F.cross_entropy(z, y)

    def train():
        for _ in range(50):
            optimizer.step(lambda: net(X), oracle)

    with pytest.raises(OracleBudgetExceeded, match="max_oracle_calls=7"):
        train()
    assert len(calls) == optimizer.n_oracle_calls == 7
    if rule in ("constant", "sqrt", "exponential", "adagrad"):
        assert optimizer.n_inner_steps <= 3 * 7


def test_adaptive_step_never_raises_the_loss_and_reuses_accepted_calls(problem):
    X, y = problem
    net, calls = make_net(), []
    optimizer = make_optimizer(
        net, step_rule="adaptive", eta=300.0, inner_steps=10, reduction="sum"
    )

    def oracle(z):
        calls.append(z.clone())
        return F.cross_entropy(z, y, reduction="sum")

    losses = [optimizer.step(lambda: net(X), oracle) for _ in range(10)]
    assert (np.diff(losses) <= 1e-5).all()
    # No targets are ever paid for twice.
    for i, z in enumerate(calls):
        assert not any(torch.equal(z, other) for other in calls[:i])


@pytest.mark.parametrize("rule", ["constant", "armijo", "adaptive", "adagrad"])
def test_sum_and_mean_give_the_same(problem, rule):
    X, y = problem
    nets = []
    for reduction in ("mean", "sum"):
        net = make_net()
        optimizer = make_optimizer(net, reduction=reduction, step_rule=rule)
        for _ in range(3):
            optimizer.step(
                lambda net=net: net(X),
                lambda z, r=reduction: F.cross_entropy(z, y, reduction=r),
            )
        nets.append(weights(net))
    torch.testing.assert_close(*nets, rtol=1e-4, atol=1e-5)


def test_black_box_oracle_gives_what_autograd_gives(problem):
    X, y = problem
    one_hot = np.eye(3)[y.numpy()]

    def black_box(z):
        scores = z.detach().numpy().astype(float)
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        return -np.log((p * one_hot).sum(1)).mean(), (p - one_hot) / len(p)

    ours, autograd = make_net(), make_net()
    first, second = make_optimizer(ours), make_optimizer(autograd)
    for _ in range(3):
        a = first.step(lambda: ours(X), black_box)
        b = second.step(lambda: autograd(X), lambda z: F.cross_entropy(z, y))
        assert a == pytest.approx(b, rel=1e-4)
    torch.testing.assert_close(weights(ours), weights(autograd), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("inner", INNER)
def test_resumed_training_is_uninterrupted_training(problem, inner, rule):
    def make(net):
        return make_optimizer(
            net,
            lr=0.01,
            inner_optimizer=inner,
            step_rule=rule,
            reset_inner=False,
            inner_steps=3,
        )

    whole = make_net()
    expected = run(whole, make(whole), problem, 8)
    net = make_net()
    optimizer = make(net)
    losses = run(net, optimizer, problem, 5)
    state = copy.deepcopy((net.state_dict(), optimizer.state_dict()))
    resumed = make_net(seed=1)
    resumed.load_state_dict(state[0])
    optimizer = make(resumed)
    optimizer.load_state_dict(state[1])
    losses += run(resumed, optimizer, problem, 3)
    np.testing.assert_array_equal(losses, expected)
    assert torch.equal(weights(resumed), weights(whole))


@pytest.mark.parametrize("inner", ["armijo", "adam"])
def test_pickle_and_deepcopy_go_on_identically(problem, inner):
    net = make_net()
    optimizer = make_optimizer(
        net, inner_optimizer=inner, lr=0.01, reset_inner=False, inner_steps=3
    )
    run(net, optimizer, problem, 4)
    copies = [
        copy.deepcopy((net, optimizer)),
        pickle.loads(pickle.dumps((net, optimizer))),
    ]
    buffer = io.BytesIO()
    torch.save((net, optimizer), buffer)
    buffer.seek(0)
    copies.append(torch.load(buffer, weights_only=False))
    expected = run(net, optimizer, problem, 3)
    for other_net, other in copies:
        assert other.n_oracle_calls == 4
        assert run(other_net, other, problem, 3) == expected
        assert torch.equal(weights(other_net), weights(net))


def test_dropout_keeps_its_mask_within_a_step(problem):
    X, y = problem
    net, seen = make_net(dropout=0.5), []

    def forward():
        z = net(X)
        seen.append((weights(net), z.detach().clone()))
        return z

    torch.manual_seed(3)
    make_optimizer(net, inner_steps=4, lr=1e-12, inner_optimizer="sgd").step(
        forward, lambda z: F.cross_entropy(z, y)
    )
    assert len(seen) == 4
    for w, z in seen[1:]:
        assert torch.equal(w, seen[0][0])  # steps of 1e-12 are lost in float32
        assert torch.equal(z, seen[0][1])
    after = torch.rand(1)
    torch.manual_seed(3)
    make_net_again = copy.deepcopy(net)
    make_net_again(X)
    assert torch.equal(after, torch.rand(1))


def test_dropout_masks_differ_without_deterministic_forward(problem):
    X, y = problem
    net, seen = make_net(dropout=0.5), []

    def forward():
        seen.append(net(X))
        return seen[-1]

    optimizer = make_optimizer(
        net,
        inner_steps=2,
        lr=1e-12,
        inner_optimizer="sgd",
        deterministic_forward=False,
    )
    optimizer.step(forward, lambda z: F.cross_entropy(z, y))
    assert not torch.equal(seen[0], seen[1])


def test_running_statistics_move_once(problem):
    X, y = problem
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3))
    once = copy.deepcopy(net)
    once(X)
    make_optimizer(net, inner_steps=6).step(
        lambda: net(X), lambda z: F.cross_entropy(z, y)
    )
    assert net[1].num_batches_tracked == 1
    torch.testing.assert_close(net[1].running_mean, once[1].running_mean)
    torch.testing.assert_close(net[1].running_var, once[1].running_var)


def test_learning_rate_schedulers_reach_the_inner_steps(problem):
    net = make_net()
    optimizer = make_optimizer(net, lr=0.5, inner_optimizer="sgd", inner_steps=2)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.0)
    run(net, optimizer, problem, 1)
    scheduler.step()
    before = weights(net)
    run(net, optimizer, problem, 1)
    assert torch.equal(weights(net), before)


def test_metric_of_ones_changes_nothing_and_others_do(problem):
    results = []
    for metric in (None, lambda z, G: torch.ones_like(z), lambda z, G: 0 * z + 4.0):
        net = make_net()
        run(net, make_optimizer(net, metric=metric), problem, 2)
        results.append(weights(net))
    torch.testing.assert_close(results[0], results[1])
    assert not torch.allclose(results[0], results[2])


def test_inner_tolerance_saves_inner_steps(problem):
    counts = []
    for tol in (None, 0.9):
        net = make_net()
        optimizer = make_optimizer(net, inner_tol=tol, inner_steps=50, eta=1.0)
        run(net, optimizer, problem, 2)
        counts.append(optimizer.n_inner_steps)
    assert counts[1] < counts[0]


@pytest.mark.parametrize("where", ["oracle", "forward"])
def test_interrupted_step_leaves_the_parameters(problem, where):
    X, y = problem
    net = make_net()
    optimizer = make_optimizer(net, inner_steps=5)
    run(net, optimizer, problem, 2)
    before, calls = weights(net), []

    def forward():
        calls.append(1)
        if where == "forward" and len(calls) == 3:
            raise KeyboardInterrupt
        return net(X)

    def oracle(z):
        if where == "oracle":
            raise KeyboardInterrupt
        return F.cross_entropy(z, y)

    with pytest.raises(KeyboardInterrupt):
        optimizer.step(forward, oracle)
    assert torch.equal(weights(net), before)


def test_closure_of_targets_and_loss(problem):
    X, y = problem
    net, other = make_net(), make_net()
    first = make_optimizer(net)
    loss = first.step(lambda: (net(X), lambda z: F.cross_entropy(z, y)))
    (expected,) = run(other, make_optimizer(other), problem, 1)
    assert loss == expected
    assert torch.equal(weights(net), weights(other))


def test_closure_of_a_loss_is_refused(problem):
    X, y = problem
    net = make_net()
    with pytest.raises(TypeError, match="forward, oracle"):
        make_optimizer(net).step(lambda: F.cross_entropy(net(X), y))


def bad_nan(z):
    return (z * float("nan")).sum()


def bad_shape(z):
    return 1.0, np.zeros((2, 2))


def bad_float(z):
    return 3.0


def bad_detached(z):
    return z.detach().sum()


def bad_vector(z):
    return z.sum(dim=1)


def bad_infinite_gradient(z):
    return 0.0, np.full(z.shape, np.inf)


@pytest.mark.parametrize(
    ("oracle", "message"),
    [
        (bad_nan, "finite"),
        (bad_shape, "shape"),
        (bad_float, "loss tensor or a pair"),
        (bad_detached, "differentiate"),
        (bad_vector, "one number"),
        (bad_infinite_gradient, "finite"),
    ],
)
def test_what_an_oracle_does_wrong_is_told_by_name(problem, oracle, message):
    net = make_net()
    before = weights(net)
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        make_optimizer(net).step(lambda: net(problem[0]), oracle)
    assert oracle.__name__ in str(caught.value)
    assert torch.equal(weights(net), before)


@pytest.mark.parametrize(
    "wrong",
    [
        {"eta": 0.0},
        {"lr": -1.0},
        {"inner_steps": 0},
        {"inner_steps": 1.5},
        {"inner_optimizer": "newton"},
        {"step_rule": "never"},
        {"reduction": "none"},
        {"inner_tol": 2.0},
        {"step_rule": "exponential", "total_steps": None},
    ],
)
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        make_optimizer(make_net(), **wrong)


def test_names():
    assert SSO is TargetSurrogate
    # The research code's step of 2 on the logistic loss: targets move by one gradient.
    assert eta_from_official(2.0) == 1.0
