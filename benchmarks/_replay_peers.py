"""Learners of streams from other packages, for the benchmarks of replay.

Each is a function of the rate, a stream and the seed that returns the matrix of
accuracies, or None if its package is not installed.
"""

import importlib
import io
from contextlib import redirect_stderr
from itertools import pairwise

import numpy as np


def available(package):
    """Whether a package can be imported."""
    try:
        importlib.import_module(package)
    except Exception:  # one that is there, but not for this version of torch, too
        return False
    return True


# -- Avalanche -------------------------------------------------------------------------


def avalanche_matrix(name, hidden, memory, rate, stream, seed):
    """Matrix of a strategy of Avalanche, that knows where a task begins and ends.

    It has the same net, starts it alike, and has as many rows in its batches.
    """
    import torch

    train, test = ([as_tensors(*task) for task in tasks] for tasks in stream)
    strategy, network = avalanche_strategy(name, hidden, memory, rate, stream, seed)
    accuracies = []
    with quiet():
        for experience in avalanche_tasks(train, test):
            strategy.train(experience)
            with torch.no_grad():
                right = [(network(X).argmax(1) == y).float().mean() for X, y in test]
            accuracies.append([float(share) for share in right])
    if not all(values.isfinite().all() for values in network.parameters()):
        raise ValueError(f"{name} diverged.")
    return np.array(accuracies)


def quiet():
    """Silence Avalanche, which warns of its own calls whatever the filters are."""
    return redirect_stderr(io.StringIO())


def as_tensors(X, y):
    """Rows and labels, which have to be numbers from 0 on."""
    import torch

    return torch.as_tensor(np.asarray(X, np.float32)), torch.as_tensor(y).long()


def avalanche_tasks(train, test):
    """Experiences of Avalanche."""
    from avalanche.benchmarks import tensors_benchmark

    return tensors_benchmark(
        train_tensors=train,
        test_tensors=test,
        task_labels=[0] * len(train),
        complete_test_set_only=False,
    ).train_stream


def avalanche_strategy(name, hidden, memory, rate, stream, seed):
    """Make a strategy, and the net that it trains."""
    import torch
    from avalanche import training

    train, _ = stream
    n_classes = 1 + max(int(y.max()) for _, y in train)
    network = perceptron([train[0][0].shape[1], *hidden, n_classes], seed)
    of_replay = {"batch_size_mem": 10} if name == "ER_ACE" else {}
    with quiet():
        strategy = getattr(training, name)(
            model=network,
            optimizer=torch.optim.SGD(network.parameters(), lr=rate),
            criterion=torch.nn.CrossEntropyLoss(),
            mem_size=memory,
            train_mb_size=10,
            train_epochs=1,
            evaluator=None,
            **of_replay,
        )
    return strategy, network


def perceptron(sizes, seed):
    """Make a net of torch, drawn as `UnbiasedReplayClassifier` draws its own."""
    import torch
    from torch import nn

    torch.manual_seed(seed)
    layers = [nn.Linear(*shape) for shape in pairwise(sizes)]
    for layer in layers:
        variance = (1 if layer is layers[-1] else 2) / layer.in_features
        nn.init.normal_(layer.weight, std=variance**0.5)
        nn.init.zeros_(layer.bias)
    parts = [part for layer in layers for part in (layer, nn.ReLU())]
    return nn.Sequential(*parts[:-1])


# -- river -----------------------------------------------------------------------------


def river_matrix(rate, stream, _):
    """Matrix of river's softmax regression: row by row, without a memory."""
    train, test = stream
    test = [(as_dicts(X), y) for X, y in test]
    model, accuracies = river_model(rate), []
    for X, y in train:
        for row, label in zip(as_dicts(X), y):
            model.learn_one(row, int(label))
        found = [[model.predict_one(row) for row in X] for X, _ in test]
        accuracies.append([np.mean(p == y) for p, (_, y) in zip(found, test)])
    return np.array(accuracies)


def river_model(rate):
    """Make a softmax regression of river."""
    from river import linear_model, optim

    return linear_model.SoftmaxRegression(optim.SGD(rate))


def as_dicts(X):
    """Rows as river takes them."""
    return [dict(enumerate(row)) for row in X.tolist()]
