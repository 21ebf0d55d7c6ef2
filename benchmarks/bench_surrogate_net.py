"""Nets: calls of the loss until it is low, target surrogates against Adam and SGD.

Ours has the same settings everywhere; of the peers the best learning rate of a grid
counts, chosen anew for every level of the loss. Medians of the seeds.

    python benchmarks/bench_surrogate_net.py [full_batch] [batches] [imitation] [time]
"""

import sys
from functools import partial

import numpy as np
import torch
from _common import cpu_times, report
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

from sklogit.optim import TargetSurrogate

SEEDS = range(5)
OURS = {"lr": 0.01, "inner_optimizer": "adam", "reset_inner": False}
ADAM_LRS = (0.003, 0.01, 0.02, 0.03, 0.05, 0.1)
SGD_LRS = (0.1, 0.3, 1.0, 2.0)


def mlp(seed, n_inputs, n_hidden, n_outputs):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(n_inputs, n_hidden), nn.ReLU(), nn.Linear(n_hidden, n_outputs)
    )


def digits():
    X, y = load_digits(return_X_y=True)
    return torch.tensor(X / 16, dtype=torch.float32), torch.tensor(y)


def make_step(optimizer):
    """One call of the loss, as the optimiser takes it."""

    def step(forward, loss_of):
        if isinstance(optimizer, TargetSurrogate):
            return optimizer.step(forward, loss_of)
        optimizer.zero_grad()
        loss = loss_of(forward())
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def contestants(ms, eta, momenta=(0.0, 0.9)):
    """Name of each method, and the optimisers whose best result counts as its."""
    methods = {
        f"TargetSurrogate m={m}": [
            partial(TargetSurrogate, inner_steps=m, eta=eta, **OURS)
        ]
        for m in ms
    }
    methods["Adam"] = [partial(torch.optim.Adam, lr=lr) for lr in ADAM_LRS]
    methods["SGD"] = [
        partial(torch.optim.SGD, lr=lr * (1 - momentum), momentum=momentum)
        for lr in SGD_LRS
        for momentum in momenta
    ]
    return methods


def calls_to_levels(losses_and_calls, levels):
    """Count the calls after which the loss was at most each level, at first."""
    needed = dict.fromkeys(levels, np.inf)
    for loss, calls in losses_and_calls:
        for level in levels:
            if loss <= level:
                needed[level] = min(needed[level], calls)
        if np.isfinite(list(needed.values())).all() or not np.isfinite(loss):
            break
    return list(needed.values())


def race(name, run, ms, eta, levels, what):
    """Run every method, print and write the table."""
    rows = []
    for method, optimizers in contestants(ms, eta).items():
        medians = [
            np.median([calls_to_levels(run(o, seed), levels) for seed in SEEDS], axis=0)
            for o in optimizers
        ]
        best = np.min(medians, axis=0)
        rows.append({"method": method, "settings tried": len(optimizers)})
        rows[-1] |= {f"{what} <= {lvl}": float(n) for lvl, n in zip(levels, best)}
    adam = next(row for row in rows if row["method"] == "Adam")
    key = [k for k in adam if k.startswith(what) and np.isfinite(adam[k])][-1]
    for row in rows:
        row["of Adam's calls, its last level"] = row[key] / adam[key]
    report(name, rows)


def full_batch(make_optimizer, seed, n_calls=250):
    X, y = digits()
    net = mlp(seed, 64, 64, 10)
    step = make_step(make_optimizer(net.parameters()))
    for calls in range(n_calls):
        # The loss that a step returns is that before it.
        yield step(lambda: net(X), lambda z: F.cross_entropy(z, y)), calls


def batches(make_optimizer, seed, n_calls=500, batch_size=64, every=5):
    X, y = digits()
    net = mlp(seed, 64, 64, 10)
    step = make_step(make_optimizer(net.parameters()))
    generator = torch.Generator().manual_seed(seed)
    calls = 0
    while calls < n_calls:
        for rows in torch.randperm(len(X), generator=generator).split(batch_size):
            if len(rows) < batch_size:
                continue
            Xb, yb = X[rows], y[rows]
            step(lambda Xb=Xb: net(Xb), lambda z, yb=yb: F.cross_entropy(z, yb))
            calls += 1
            if calls % every == 0:
                with torch.no_grad():
                    yield F.cross_entropy(net(X), y).item(), calls


# x' = A x + B u: a double integrator with some drift.
A = torch.tensor([[1.0, 0.1], [0.05, 1.0]])
B = torch.tensor([[0.0], [0.1]])


def expert(states):
    """Linear feedback that saturates."""
    return (states @ torch.tensor([[-3.0], [-3.0]])).clamp(-1.0, 1.0)


@torch.no_grad()
def visited(policies, generator, n_starts=20, n_steps=25):
    """States on the way, each start under one of the policies in turn."""
    states = torch.randn(n_starts, 2, generator=generator)
    path = []
    for _ in range(n_steps):
        path.append(states)
        actions = torch.cat(
            [policies[i % len(policies)](states[i : i + 1]) for i in range(n_starts)]
        )
        states = states @ A.T + actions @ B.T
    return torch.cat(path)


def imitation(make_optimizer, seed, n_rounds=120):
    """Every round visits states and asks the expert about them once."""
    net = mlp(seed, 2, 32, 1)
    step = make_step(make_optimizer(net.parameters()))
    generator = torch.Generator().manual_seed(seed)
    test = visited([expert], torch.Generator().manual_seed(1000 + seed))
    for queries in range(1, n_rounds + 1):
        states = visited([net, expert], generator)
        actions = expert(states)
        step(
            lambda states=states: net(states),
            lambda z, actions=actions: ((z - actions) ** 2).mean() / 2,
        )
        with torch.no_grad():
            yield ((net(test) - expert(test)) ** 2).mean().item(), queries


def step_time(n_steps=100):
    """CPU time of a step on a small net, beside plain SGD of torch."""
    X, y = digits()
    X, y = X[:64], y[:64]

    def runner(make_optimizer):
        net = mlp(0, 64, 64, 10)
        step = make_step(make_optimizer(net.parameters()))

        def run():
            for _ in range(n_steps):
                step(lambda: net(X), lambda z: F.cross_entropy(z, y))

        return run

    methods = {"torch.optim.SGD": partial(torch.optim.SGD, lr=0.1)}
    for m in (1, 10):
        for inner in ("sgd", "armijo", "adam", "lbfgs"):
            methods[f"TargetSurrogate m={m}, {inner}"] = partial(
                TargetSurrogate, inner_steps=m, inner_optimizer=inner
            )
    times, _ = cpu_times(*map(runner, methods.values()), repeats=5)
    report(
        "surrogate_net_time",
        [
            {
                "step": name,
                "microseconds": seconds / n_steps * 1e6,
                "times SGD": seconds / times[0],
            }
            for name, seconds in zip(methods, times)
        ],
    )


CASES = {
    "full_batch": partial(
        race,
        "surrogate_net_full_batch",
        full_batch,
        (1, 10, 30),
        8.0,  # above 1/L = 2 of the cross-entropy: faster, and legal as it is measured
        (0.5, 0.2, 0.1, 0.05),
        "CE",
    ),
    "batches": partial(
        race,
        "surrogate_net_batches",
        batches,
        (1, 5),
        8.0,
        (0.5, 0.2, 0.1, 0.05),
        "CE",
    ),
    "imitation": partial(
        race,
        "surrogate_net_imitation",
        imitation,
        (1, 10, 30),
        1.0,  # 1/L of half the squared error: the target is the action of the expert
        (0.1, 0.03, 0.01, 0.005),
        "error",
    ),
    "time": step_time,
}

if __name__ == "__main__":
    torch.set_num_threads(1)
    for case in sys.argv[1:] or CASES:
        CASES[case]()
