"""What the training loop costs a step: LogitClassifier, skorch, plain torch.

    python benchmarks/bench_logit_classifier.py

All train the same model on the same batches; the table has microseconds of CPU time a
step. "skorch" is NeuralNetClassifier with the same module and loss.
"""

from functools import partial

import numpy as np
import torch
from _common import cpu_times, report
from scipy import sparse
from skorch import NeuralNetClassifier
from torch import nn
from torch.nn import functional as F

from sklogit.neural import LogitClassifier

# rows, features, classes, batch
CASES = ((12_800, 20, 10, 128), (12_800, 256, 1000, 128), (12_800, 20, 10, 16))
EPOCHS = 2


def linear(n_features, n_classes):
    torch.manual_seed(0)
    return nn.Linear(n_features, n_classes)


def plain(X, y, batch_size):
    """Train with the least that it takes: index, forward, backward, step."""
    module = linear(X.shape[1], y.max() + 1)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    X, y = torch.from_numpy(X), torch.from_numpy(y)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(y)).split(batch_size):
            optimizer.zero_grad()
            F.cross_entropy(module(X[rows]), y[rows]).backward()
            optimizer.step()


def skorch_net(X, y, batch_size):
    NeuralNetClassifier(
        linear(X.shape[1], y.max() + 1),
        criterion=nn.CrossEntropyLoss,
        iterator_train__shuffle=True,
        **settings(batch_size),
    ).fit(X, y)


def ours(X, y, batch_size):
    LogitClassifier(**settings(batch_size)).fit(X, y)


def ours_weighted(X, y, batch_size):
    weight = np.ones(len(y))
    LogitClassifier(**settings(batch_size)).fit(X, y, sample_weight=weight)


def settings(batch_size):
    return {
        "optimizer": torch.optim.Adam,
        "lr": 0.01,
        "max_epochs": EPOCHS,
        "batch_size": batch_size,
        "train_split": None,
        "verbose": 0,
    }


def main():
    rows = []
    rng = np.random.default_rng(0)
    for n, d, n_classes, batch in CASES:
        X = rng.standard_normal((n, d)).astype(np.float32)
        y = np.arange(n) % n_classes
        # Rows of csr_array are beyond skorch.
        S = sparse.csr_matrix(X * (rng.uniform(size=X.shape) < 0.1))
        runs = {
            "plain torch": partial(plain, X, y, batch),
            "skorch": partial(skorch_net, X, y, batch),
            "LogitClassifier": partial(ours, X, y, batch),
            "LogitClassifier, weights": partial(ours_weighted, X, y, batch),
            "skorch, sparse X": partial(skorch_net, S, y, batch),
            "LogitClassifier, sparse X": partial(ours, S, y, batch),
        }
        times, _ = cpu_times(*runs.values(), repeats=5)
        steps = EPOCHS * -(-n // batch)
        for name, seconds in zip(runs, times):
            rows.append(
                {
                    "features": d,
                    "classes": n_classes,
                    "batch": batch,
                    "loop": name,
                    "microseconds a step": seconds / steps * 1e6,
                    "times plain": seconds / times[0],
                }
            )
    report("logit_classifier_loop", rows)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
