"""Next tokens of the standard library's source text, and features of a small net."""

import random
import re
import sysconfig
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

EXCLUDED = {
    *("encodings", "pydoc_data", "test", "idlelib", "lib2to3"),
    *("site-packages", "dist-packages"),
}
N_TOKENS, N_WORDS, WINDOW = 8000, 900_000, 4
N_TRAIN, N_TEST = 300_000, 20_000
WIDTH = 96
CACHE = Path(tempfile.gettempdir()) / "sklogit_text_windows.npz"


def tokens_of_files():
    """Tokens of each file, the files in a fixed random order."""
    root = Path(sysconfig.get_path("stdlib"))
    files = sorted(
        path
        for path in root.rglob("*.py")
        if not EXCLUDED & set(path.relative_to(root).parts)
    )
    random.Random(0).shuffle(files)
    texts = (path.read_text(encoding="utf8", errors="ignore") for path in files)
    return [re.findall(r"\w+|[^\w\s]", text) for text in texts]


def windows(files):
    """Ids before each place of the files, and the id there; id 0 stands for none."""
    rows = [
        np.lib.stride_tricks.sliding_window_view([0] * WINDOW + ids, WINDOW + 1)
        for ids in files
        if ids
    ]
    return np.concatenate(rows)


def token_windows():
    """Token ids: windows and next tokens, of training and of other files.

    The vocabulary are the most frequent next tokens of the training windows; id 0 are
    all others.
    """
    files, rng = tokens_of_files(), np.random.default_rng(0)
    words = {}
    files = [[words.setdefault(t, len(words) + 1) for t in file] for file in files]
    sizes = np.cumsum([len(file) for file in files])
    first_test = int(np.searchsorted(sizes, N_WORDS)) + 1
    parts = []
    for part, size in ((files[:first_test], N_TRAIN), (files[first_test:], N_TEST)):
        rows = windows(part)
        parts.append(rows[rng.permutation(len(rows))[:size]])
    common = Counter(parts[0][:, -1].tolist()).most_common(N_TOKENS - 1)
    ids = np.zeros(len(words) + 1, dtype=np.int64)
    ids[[word for word, _ in common]] = np.arange(1, N_TOKENS)
    train, test = (ids[part] for part in parts)
    return train[:, :-1], train[:, -1], test[:, :-1], test[:, -1]


class WindowNet(nn.Module):
    """Embeddings of the window, and a hidden layer."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Embedding(N_TOKENS, WIDTH),
            nn.Flatten(),
            nn.Linear(WINDOW * WIDTH, WIDTH),
            nn.Tanh(),
        )

    def forward(self, tokens):
        return self.layers(tokens)


def train(loss, modules, X, y, n_epochs, lr=2e-3, batch_size=1024, after_epoch=None):
    """Adam with half the rate after each epoch; returns seconds of CPU a step."""
    parameters = [p for module in modules for p in module.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=lr)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    n_steps, seconds = 0, 0.0
    for epoch in range(n_epochs):
        start = time.process_time()
        for rows in torch.randperm(len(y)).split(batch_size):
            optimizer.zero_grad(set_to_none=True)
            loss(X[rows], y[rows]).backward()
            optimizer.step()
            n_steps += 1
        schedule.step()
        seconds += time.process_time() - start
        if after_epoch is not None:
            after_epoch(epoch)
    return seconds / n_steps


def text_features():
    """Features and next tokens of a net trained with all logits, and its last layer."""
    if not CACHE.exists():
        torch.manual_seed(0)
        X, y, X_test, y_test = map(torch.as_tensor, token_windows())
        net, head = WindowNet(), nn.Linear(WIDTH, N_TOKENS)
        train(
            lambda rows, target: F.cross_entropy(head(net(rows)), target),
            (net, head),
            *(X, y, 3),
        )
        with torch.no_grad():
            arrays = {
                "features": net(X),
                "target": y,
                "test_features": net(X_test),
                "test_target": y_test,
                "weight": head.weight,
                "bias": head.bias,
            }
        np.savez(
            CACHE, **{name: values.detach().numpy() for name, values in arrays.items()}
        )
    return dict(np.load(CACHE))
