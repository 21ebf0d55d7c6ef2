"""Distillation of next-character models: real text, a label and logits a position.

The text is Tiny Shakespeare, of the folder named by SKLOGIT_DATA: 400 windows of 64
characters to train, 100 others to test. The teacher is a GRU of 128 units, the students
are GRUs of 24 units on the same windows, 20 epochs of Adam. Means over 3 seeds, each
with its own windows; "+-" is half the 95 % interval by Student's t.
"""

import time

import numpy as np
from _common import report
from bench_dual_head_distillation import interval
from threadpoolctl import threadpool_limits
from torch import nn

from sklogit.datasets import load_text_corpus
from sklogit.distillation import DualHeadDistillationClassifier

N_SEEDS, LENGTH, N_TRAIN, N_TEST = 3, 64, 400, 100
METHODS = {
    "cross-entropy": {"alpha": 0.0},
    "KD, T=2": {"aux_head": None, "logit_loss": "kd", "temperature": 2.0},
    "one head, BinaryKL-Norm": {"aux_head": None, "alpha": 0.1},
    "two heads (DHKD)": {"alpha": 0.1},
    "two heads, average": {"alpha": 0.1, "predict_head": "average"},
}


class Reader(nn.Module):
    """Features of every position, from the characters up to it."""

    def __init__(self, n_characters, size):
        super().__init__()
        self.embedding = nn.Embedding(n_characters, size)
        self.gru = nn.GRU(size, size, batch_first=True)

    def forward(self, tokens):
        """Compute features."""
        return self.gru(self.embedding(tokens))[0]


def windows(random):
    """Draw windows of characters, and what follows each."""
    text = load_text_corpus("tinyshakespeare")
    characters, codes = np.unique(list(text), return_inverse=True)
    places = random.permutation(len(codes) // (LENGTH + 1))[: N_TRAIN + N_TEST]
    rows = codes[: len(codes) // (LENGTH + 1) * (LENGTH + 1)].reshape(-1, LENGTH + 1)
    rows = rows[places]
    known = np.unique(rows[:N_TRAIN, 1:])  # rare characters may be missing
    index = np.full(len(characters), -100)
    index[known] = np.arange(len(known))
    X, y = np.maximum(index[rows[:, :-1]], 0), index[rows[:, 1:]]
    return X[:N_TRAIN], y[:N_TRAIN], X[N_TRAIN:], y[N_TRAIN:], len(known)


def model(n_characters, size, seed, teacher=None, **params):
    return DualHeadDistillationClassifier(
        teacher,
        backbone=lambda: Reader(n_characters, size),
        optimizer="adam",
        lr=0.01,
        weight_decay=0.0,
        max_epochs=20,
        batch_size=32,
        monitor_conflicts=False,
        random_state=seed,
        **params,
    )


def quality(fitted, X, y):
    """Compute bits a character, and the part that is predicted."""
    log_p = fitted.predict_log_proba(X)
    counts = y != -100
    of_labels = np.take_along_axis(log_p, np.maximum(y, 0)[..., None], axis=2)[..., 0]
    bits = -of_labels[counts].mean() / np.log(2)
    return bits, 100 * fitted.score(X, y)


def main():
    found, start = {}, time.process_time()
    for seed in range(N_SEEDS):
        X, y, X_test, y_test, n_characters = windows(np.random.RandomState(seed))
        teacher = model(n_characters, 128, seed, alpha=0.0).fit(X, y)
        found.setdefault("teacher", []).append(quality(teacher, X_test, y_test))
        for method, params in METHODS.items():
            student = model(n_characters, 24, seed, teacher, **params).fit(X, y)
            found.setdefault(method, []).append(quality(student, X_test, y_test))
    print(f"{time.process_time() - start:.0f} s of CPU")
    rows = []
    for method, values in found.items():
        bits, accuracy = np.array(values).T
        rows.append(
            {
                "method": method,
                "bits a character": f"{bits.mean():.3f}",
                "+-": f"{interval(bits):.3f}",
                "next character right, %": f"{accuracy.mean():.2f}",
                "+- of that": f"{interval(accuracy):.2f}",
            }
        )
    report("dual_head_distillation_text", rows)


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
