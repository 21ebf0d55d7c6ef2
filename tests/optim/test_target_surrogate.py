"""The torch optimiser against gradient descent, closed forms and itself resumed."""

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
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
        assert loss == pytest.approx(expected.item(), rel=1e-5)
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


@pytest.mark.parametrize("rule", ["constant", "sqrt", "exponential", "adagrad"])
def test_one_call_an_outer_step(problem, rule):
    net = make_net()
    optimizer = make_optimizer(net, step_rule=rule, inner_steps=3)
    run(net, optimizer, problem, 5)
    assert optimizer.n_oracle_calls == 5
    assert optimizer.n_inner_steps == 15


@pytest.mark.parametrize(
    ("rule", "etas"),
    [
        ("constant", [8.0, 8.0, 8.0]),
        ("sqrt", [8.0, 8.0 / 2**0.5, 8.0 / 3**0.5]),
        ("exponential", [8.0 * 20 ** (-t / 20) for t in (1, 2, 3)]),
    ],
)
def test_step_rule_moves_the_targets_by_its_formula(rule, etas):
    # The model is its targets, half the squared distance to 1 has gradient z - 1,
    # and L-BFGS solves the surrogate: z - 1 shrinks by 1 - eta.
    z = nn.Parameter(torch.full((4, 2), 1.5, dtype=torch.float64))
    optimizer = TargetSurrogate(
        [z],
        eta=8.0,
        step_rule=rule,
        total_steps=20,
        inner_optimizer="lbfgs",
        inner_steps=50,
    )
    expected = 0.5
    for eta in etas:
        optimizer.step(lambda: z * 1.0, lambda t: ((t - 1) ** 2).sum(1).mean() / 2)
        expected *= 1 - eta
        assert (z - 1).flatten().tolist() == pytest.approx([expected] * 8, rel=1e-4)


def test_adagrad_divides_by_the_gradients_so_far():
    z = nn.Parameter(torch.zeros(4, 1, dtype=torch.float64))
    optimizer = TargetSurrogate(
        [z],
        eta=0.5,
        step_rule="adagrad",
        inner_optimizer="lbfgs",
        inner_steps=50,
    )
    expected = 0.0
    for t in range(1, 4):
        # A linear loss of slope 2 for every sample.
        optimizer.step(lambda: z * 1.0, lambda targets: 2 * targets.mean())
        expected -= 0.5 * 2 / (t * 4) ** 0.5
        assert z.flatten().tolist() == pytest.approx([expected] * 4, rel=1e-4)


def test_armijo_rule_finds_the_longest_step_that_keeps_half(problem):
    z = nn.Parameter(torch.zeros(4, 1, dtype=torch.float64))
    optimizer = TargetSurrogate([z], eta=16.0, step_rule="armijo", inner_steps=1)
    # Half of the slope is kept exactly up to eta = 1/L, here 1/2.
    optimizer.step(lambda: z * 1.0, lambda t: ((t - 1) ** 2).mean())
    assert optimizer.n_oracle_calls == 1 + 6  # 16, 8, 4, 2, 1, 1/2
    assert optimizer.param_groups[0]["eta"] == 1.0  # twice it, the next first trial


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


def test_adaptive_step_asks_a_changed_oracle_again(problem):
    X, y = problem
    net = make_net()
    optimizer = make_optimizer(net, step_rule="adaptive", eta=1.0)
    run(net, optimizer, problem, 1)
    assert optimizer.n_oracle_calls == 2
    z = net(X)
    # The targets are those of the accepted trial; their loss is another one now.
    loss = optimizer.step(lambda: net(X), lambda z: F.cross_entropy(z, 2 - y))
    assert loss == pytest.approx(F.cross_entropy(z, 2 - y).item())


def test_adaptive_step_reuses_a_call_by_an_equal_function(problem):
    net = make_net()
    optimizer = make_optimizer(net, step_rule="adaptive", eta=0.1)
    # A new lambda in every step, of the same labels.
    run(net, optimizer, problem, 5)
    assert optimizer.n_oracle_calls == 5 + 1


@pytest.mark.parametrize("kind", ["tensor", "array"])
def test_adaptive_step_notices_labels_changed_in_place(problem, kind):
    X, y = problem[0], problem[1].clone()
    labels = y if kind == "tensor" else y.numpy()
    net = make_net()
    optimizer = make_optimizer(net, step_rule="adaptive", eta=1.0)

    def oracle(z):
        return F.cross_entropy(z, torch.as_tensor(labels))

    optimizer.step(lambda: net(X), oracle)
    z = net(X).detach()
    labels[:] = 2 - labels
    loss = optimizer.step(lambda: net(X), oracle)
    assert loss == pytest.approx(F.cross_entropy(z, y).item())


def test_refused_trials_leave_no_trace_in_the_inner_optimiser(problem):
    options = {"step_rule": "adaptive", "inner_optimizer": "adam", "reset_inner": False}
    ours, theirs = make_net(), make_net()
    refused = make_optimizer(ours, eta=1e3, **options)
    run(ours, refused, problem, 1)
    assert refused.n_oracle_calls > 2
    accepted = refused.param_groups[0]["eta"] / 2
    direct = make_optimizer(theirs, eta=accepted, **options)
    run(theirs, direct, problem, 1)
    assert direct.n_oracle_calls == 2
    assert run(ours, refused, problem, 2) == run(theirs, direct, problem, 2)


def test_adaptive_step_takes_an_oracle_with_a_name_not_yet_bound(problem):
    X, y = problem
    net = make_net()
    optimizer = make_optimizer(net, step_rule="adaptive", eta=0.1)

    def oracle(z):
        return F.cross_entropy(z, y) if z.isfinite().all() else bound_below

    losses = [optimizer.step(lambda: net(X), oracle) for _ in range(3)]
    bound_below = None
    assert losses[2] < losses[0]
    assert optimizer.n_oracle_calls == 3 + 1


def test_adaptive_step_refuses_inner_steps_that_diverge(problem):
    net = make_net()
    optimizer = make_optimizer(
        net, lr=50.0, step_rule="adaptive", inner_optimizer="sgd", inner_steps=3
    )
    before = weights(net)
    with pytest.warns(ConvergenceWarning, match="min_eta"):
        run(net, optimizer, problem, 1)
    assert torch.equal(weights(net), before)


@pytest.mark.parametrize("rule", ["constant", "armijo", "adaptive", "adagrad"])
def test_sum_and_mean_give_the_same(problem, rule):
    X, y = problem[0].double(), problem[1]
    nets = []
    for reduction in ("mean", "sum"):
        net = make_net().double()
        optimizer = make_optimizer(net, reduction=reduction, step_rule=rule)
        for _ in range(3):
            optimizer.step(
                lambda net=net: net(X),
                lambda z, r=reduction: F.cross_entropy(z, y, reduction=r),
            )
        nets.append(weights(net))
    torch.testing.assert_close(*nets, rtol=1e-9, atol=1e-9)


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


def test_checkpoint_holds_only_what_torch_loads_safely(problem):
    net = make_net()
    optimizer = make_optimizer(
        net,
        inner_optimizer=torch.optim.RMSprop,
        metric=lambda z, G: torch.ones_like(z),
        reset_inner=False,
    )
    run(net, optimizer, problem, 2)
    buffer = io.BytesIO()
    torch.save(optimizer.state_dict(), buffer)
    buffer.seek(0)
    state = torch.load(buffer, weights_only=True)
    other = make_optimizer(make_net(), inner_optimizer=torch.optim.RMSprop)
    other.load_state_dict(state)
    assert other.n_oracle_calls == 2


def test_optimisers_with_the_same_state_count_on_their_own(problem):
    nets = [make_net(), make_net()]
    first, second = map(make_optimizer, nets)
    run(nets[0], first, problem, 1)
    state = first.state_dict()
    second.load_state_dict(state)
    run(nets[1], second, problem, 3)
    run(nets[0], first, problem, 1)
    assert (first.n_oracle_calls, second.n_oracle_calls) == (2, 4)
    second.load_state_dict(state)
    assert second.n_oracle_calls == 1


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


def test_oracle_draws_new_random_numbers_at_every_step(problem):
    X, y = problem
    net, drawn = make_net(dropout=0.5), []
    optimizer = make_optimizer(net)

    def noisy(z):
        drawn.append(torch.rand(1).item())
        return F.cross_entropy(z, y)

    for _ in range(4):
        optimizer.step(lambda: net(X), noisy)
    assert len(set(drawn)) == 4


def test_buffers_that_targets_depend_on_are_those_of_the_first_pass(problem):
    X, y = problem
    torch.manual_seed(0)
    net, seen = nn.utils.parametrizations.spectral_norm(nn.Linear(5, 3)), []

    def forward():
        seen.append(net(X))
        return seen[-1]

    once = copy.deepcopy(net)
    once(X)
    make_optimizer(net, lr=1e-12, inner_steps=3, inner_optimizer="sgd").step(
        forward, lambda z: F.cross_entropy(z, y)
    )
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[0], seen[2])
    torch.testing.assert_close(dict(net.named_buffers()), dict(once.named_buffers()))


@pytest.mark.parametrize("inner", ["armijo", "adam", "lbfgs"])
def test_targets_of_half_precision_are_compared_in_float32(problem, inner):
    X, y = problem
    net, dtypes = make_net(), set()
    optimizer = make_optimizer(net, lr=0.01, eta=4.0, inner_optimizer=inner)

    def forward():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            z = net(X)
        assert z.dtype == torch.bfloat16
        return z

    def oracle(z):
        dtypes.add(z.dtype)
        return F.cross_entropy(z, y)

    losses = [optimizer.step(forward, oracle) for _ in range(20)]
    assert dtypes == {torch.float32}
    assert losses[-1] < 0.7 * losses[0]


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


def test_groups_have_their_own_learning_rates(problem):
    X, y = problem
    ours, plain = make_net(), make_net()
    groups = [
        [{"params": net[0].parameters(), "lr": 0.5}, {"params": net[3].parameters()}]
        for net in (ours, plain)
    ]
    optimizer = TargetSurrogate(groups[0], 0.1, inner_steps=1, inner_optimizer="sgd")
    sgd = torch.optim.SGD(groups[1], lr=0.1)
    optimizer.step(lambda: ours(X), lambda z: F.cross_entropy(z, y))
    F.cross_entropy(plain(X), y).backward()
    sgd.step()
    torch.testing.assert_close(weights(ours), weights(plain))


def test_groups_share_one_eta(problem):
    net = make_net()
    optimizer = make_optimizer(net)
    optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))], "eta": 3.0})
    with pytest.raises(ValueError, match="eta"):
        run(net, optimizer, problem, 1)


def test_gradients_can_be_clipped_before_each_inner_step(problem):
    X, y = problem
    net = make_net()
    optimizer = make_optimizer(net, lr=1.0, inner_optimizer="sgd", inner_steps=3)
    before, calls = weights(net), []

    def clip():
        calls.append(torch.nn.utils.clip_grad_norm_(net.parameters(), 1e-3))

    oracle = lambda z: F.cross_entropy(z, y)  # noqa: E731
    optimizer.step(lambda: net(X), oracle, on_gradient=clip)
    assert len(calls) == 3
    assert (weights(net) - before).norm() <= 3e-3 + 1e-6


def test_gradients_of_other_parameters_are_left_alone(problem):
    X, y = problem
    first, second = make_net(), nn.Linear(3, 3)
    optimizer = make_optimizer(second)
    optimizer.step(lambda: second(first(X)), lambda z: F.cross_entropy(z, y))
    assert all(p.grad is None for p in first.parameters())


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


def interrupted_at(n_calls, function):
    """The function, with Ctrl-C at its call of that number."""
    calls = []

    def call(*args):
        calls.append(1)
        if len(calls) == n_calls:
            raise KeyboardInterrupt
        return function(*args)

    return call


def test_interrupted_oracle_leaves_the_parameters(problem):
    X, y = problem
    net = make_net()
    before = weights(net)
    oracle = interrupted_at(1, lambda z: F.cross_entropy(z, y))
    with pytest.raises(KeyboardInterrupt):
        make_optimizer(net).step(lambda: net(X), oracle)
    assert torch.equal(weights(net), before)


@pytest.mark.parametrize("inner", ["armijo", "lbfgs"])
@pytest.mark.parametrize("n_calls", range(2, 12))
def test_interrupted_line_search_leaves_no_trial_point(problem, inner, n_calls):
    X, y = problem
    net = make_net()
    # A first trial much too far, so that interrupts fall between trials too.
    optimizer = make_optimizer(net, eta=2.0, lr=1e3, inner_optimizer=inner)
    (start,) = run(make_net(), make_optimizer(make_net()), problem, 1)
    forward = interrupted_at(n_calls, lambda: net(X))
    with pytest.raises(KeyboardInterrupt):
        optimizer.step(forward, lambda z: F.cross_entropy(z, y))
    # eta = 1/L: wherever the surrogate is not above its start, nor is the loss.
    assert F.cross_entropy(net(X), y).item() <= start + 1e-6


class InterruptedUpdate(torch.optim.SGD):
    """Stops after the first of its parameters, at the third step."""

    n_steps = 0

    def step(self, closure=None):
        self.n_steps += 1
        if self.n_steps == 3:
            with torch.no_grad():
                self.param_groups[0]["params"][0].fill_(7.0)
            raise KeyboardInterrupt
        return super().step(closure)


def test_interrupted_update_is_taken_back(problem):
    net, two_steps = make_net(), make_net()
    with pytest.raises(KeyboardInterrupt):
        run(net, make_optimizer(net, inner_optimizer=InterruptedUpdate), problem, 1)
    run(
        two_steps,
        make_optimizer(two_steps, inner_optimizer="sgd", inner_steps=2),
        problem,
        1,
    )
    torch.testing.assert_close(weights(net), weights(two_steps))


def test_budget_within_an_adaptive_step_takes_the_step_back(problem):
    net = make_net()
    optimizer = make_optimizer(net, step_rule="adaptive", max_oracle_calls=1)
    before = weights(net)
    with pytest.raises(OracleBudgetExceeded):
        run(net, optimizer, problem, 1)
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
    ("targets", "message"),
    [
        (lambda net, X: net(X).detach(), "do not depend"),
        (lambda net, X: net(X).sum(), "shape"),
        (lambda net, X: net(X) / 0, "not finite"),
        (lambda net, X: [net(X)], "tensor"),
    ],
)
def test_wrong_targets_are_refused_before_the_oracle_is_called(
    problem, targets, message
):
    net = make_net()
    optimizer = make_optimizer(net)
    with pytest.raises((TypeError, ValueError), match=message):
        optimizer.step(lambda: targets(net, problem[0]), lambda z: z.sum())
    assert optimizer.n_oracle_calls == 0


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
        {"max_oracle_calls": -1},
        {"total_steps": None, "step_rule": "exponential"},
    ],
)
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        make_optimizer(make_net(), **wrong)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"lr": "fast"}, TypeError),
        ({"eta": None}, TypeError),
        ({"metric": 3}, TypeError),
        ({"inner_kwargs": 3}, TypeError),
        ({"inner_kwargs": {"momentum": 0.9}}, ValueError),
        ({"max_eta": 1e-6}, ValueError),
    ],
)
def test_wrong_parameters_are_refused_before_a_call_is_paid_for(wrong, error):
    with pytest.raises(error, match=next(iter(wrong))):
        make_optimizer(make_net(), **wrong)


@pytest.mark.parametrize(
    "spoil", [lambda g: g * 1j, lambda g: g.to_sparse()], ids=["complex", "sparse"]
)
def test_gradient_must_be_dense_and_real(problem, spoil):
    def bad_tensor(z):
        return 1.0, spoil(torch.ones(z.shape))

    net = make_net()
    with pytest.raises(TypeError, match=r"oracle bad_tensor .* dense .* real"):
        make_optimizer(net).step(lambda: net(problem[0]), bad_tensor)


def test_settings_put_into_the_groups_take_effect(problem):
    net = make_net()
    optimizer = make_optimizer(net, inner_steps=10)
    run(net, optimizer, problem, 1)
    optimizer.param_groups[0] |= {"inner_steps": 3, "inner_optimizer": "adam"}
    run(net, optimizer, problem, 1)
    assert optimizer.n_inner_steps == 10 + 3
    fresh = make_net()
    twin = make_optimizer(fresh, inner_steps=3, inner_optimizer="adam")
    optimizer.param_groups[0]["inner_steps"] = 0
    with pytest.raises(ValueError, match="inner_steps"):
        run(net, optimizer, problem, 1)
    del optimizer.param_groups[0]["inner_steps"]
    fresh.load_state_dict(net.state_dict())
    assert run(net, optimizer, problem, 2) == run(fresh, twin, problem, 2)


@pytest.mark.parametrize("rule", RULES)
def test_a_step_on_the_cpu_asks_for_no_cuda(problem, rule, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("asked for CUDA")

    for owner, name in (
        (torch.Tensor, "cuda"),
        (nn.Module, "cuda"),
        (torch.cuda, "_lazy_init"),
        (torch.cuda, "get_rng_state"),
        (torch.cuda, "set_rng_state"),
    ):
        monkeypatch.setattr(owner, name, refuse)
    net = make_net(dropout=0.5)
    run(net, make_optimizer(net, step_rule=rule), problem, 2)


def test_names():
    assert SSO is TargetSurrogate
    # The research code's step of 2 on the logistic loss: targets move by one gradient.
    assert eta_from_official(2.0) == 1.0
