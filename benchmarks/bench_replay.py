"""Streams of classes: what replay saves of the old ones, by method and memory.

Five tasks of two classes each, in an order drawn by the seed, one pass, batches of ten
rows and ten replayed ones. Accuracy is that on all tasks at the end, forgetting the
mean loss since the best over all tasks but the last; +- are 95 % intervals of the mean
over seeds. ``offline`` is the same net fitted to all rows in random order, also in one
pass; ``none`` is scikit-learn's MLPClassifier, without memory.

Parts, by name on the command line, all of them without names:

``synthetic``, ``digits``, ``mnist``, ``usps``, ``cifar``
    Tables, and for the smallest memory of each a picture of the matrices.
``step``
    CPU time of a step beside that of plain replay.

``--seeds=N`` takes N seeds instead of 10.
"""

import sys
from functools import partial

import numpy as np
from _common import RESULTS, cpu_times, report
from scipy.stats import t as student
from sklearn.datasets import load_digits, make_classification
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from sklogit.continual import (
    AccuracyMatrixDisplay,
    UnbiasedReplayClassifier,
    class_incremental_splits,
)
from sklogit.datasets import load_cifar10_small, load_mnist_t10k, load_usps
from sklogit.metrics import average_forgetting, continual_accuracy_matrix

N_TASKS = 5
METHODS = {
    "ER": ("dot", "dot"),
    "cosine ER": ("angle", "angle"),
    "ER-ACE": ("masked", "dot"),
    "UER": ("angle", "dot"),
}


# -- data ------------------------------------------------------------------------------


def synthetic():
    """Ten classes of two clusters each."""
    X, y = make_classification(
        12000,
        64,
        n_informative=30,
        n_redundant=10,
        n_classes=10,
        n_clusters_per_class=2,
        class_sep=2.0,
        random_state=0,
    )
    return parted(X / X.std(), y)


def digits():
    """Digits of scikit-learn."""
    X, y = load_digits(return_X_y=True)
    return parted(X / 16, y)


def mnist():
    """Test digits of MNIST, parted anew."""
    X, y = load_mnist_t10k(return_X_y=True)
    return parted(X / 255, y)


def usps():
    """USPS by its own parts."""
    X, y = load_usps(subset="train", return_X_y=True)
    X_test, y_test = load_usps(subset="test", return_X_y=True)
    return X, X_test, y, y_test


def cifar():
    """Load a piece of CIFAR-10: features of a network, scaled to unit variance."""
    load = partial(load_cifar10_small, features="efficientnet_lite0", return_X_y=True)
    (X, y), (X_test, y_test) = load(subset="train"), load(subset="test")
    mean, spread = X.mean(), X.std()
    return (X - mean) / spread, (X_test - mean) / spread, y, y_test


def parted(X, y):
    """Set a quarter aside."""
    return train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)


PARTS = {  # data, hidden layers, memories
    "synthetic": (synthetic, (128, 128), (50, 100, 200, 500)),
    "digits": (digits, (128,), (50, 100, 200, 500)),
    "mnist": (mnist, (128,), (50, 100, 200, 500)),
    "usps": (usps, (128,), (50, 100, 200, 500)),
    "cifar": (cifar, (128,), (50, 100, 200, 500)),
}


# -- runs ------------------------------------------------------------------------------


def matrix(clf, data, seed, classes=None):
    """Accuracy matrix of a stream."""
    X, X_test, y, y_test = data
    split = partial(class_incremental_splits, n_tasks=N_TASKS, random_state=seed)
    train = [(X[rows], y[rows]) for rows in split(y)]
    test = [(X_test[rows], y_test[rows]) for rows in split(y_test)]
    return continual_accuracy_matrix(clf, train, test, classes=classes)


def offline(clf, data):
    """Accuracy of a net that gets all rows in random order, in one pass."""
    X, X_test, y, y_test = data
    return clf.fit(X, y).score(X_test, y_test)


def interval(values):
    """Mean of some runs, and half of its 95 % interval."""
    values = np.asarray(values)
    n = len(values)
    half = student.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n) if n > 1 else 0
    return f"{values.mean():.3f} +- {half:.3f}"


def row(name, memory, matrices):
    """Make a row of the table."""
    return {
        "memory": memory,
        "method": name,
        "accuracy": interval([A[-1].mean() for A in matrices]),
        "forgetting": interval([average_forgetting(A) for A in matrices]),
    }


def bench(part, n_seeds):
    """Compare all methods on one data set."""
    make, hidden, memories = PARTS[part]
    data = make()
    seeds = range(n_seeds)
    new = partial(UnbiasedReplayClassifier, hidden)
    best = [offline(new(current_logits="dot", random_state=s), data) for s in seeds]
    rows, kept = [], {}
    for memory in memories:
        for name, (current, replay) in METHODS.items():
            settings = {"current_logits": current, "replay_logits": replay}
            clf = partial(new, memory_size=memory, **settings)
            found = [matrix(clf(random_state=s), data, s) for s in seeds]
            rows.append(row(name, memory, found))
            kept[f"{name}, {memory}"] = np.mean(found, axis=0)
    mlp = partial(
        MLPClassifier, hidden, solver="sgd", learning_rate_init=0.1, batch_size=10
    )
    settings = {"momentum": 0.0, "nesterovs_momentum": False, "alpha": 0.0}
    found = [
        matrix(mlp(random_state=s, **settings), data, s, np.unique(data[2]))
        for s in seeds
    ]
    rows.append(row("none", 0, found))
    rows.append(
        {"memory": "-", "method": "offline", "accuracy": interval(best)}
        | {"forgetting": "-"}
    )
    report(f"replay_{part}", rows)
    save_matrices(part, kept)
    draw(part, memories[0], kept)


def save_matrices(part, matrices):
    """Write the mean accuracy matrices."""
    rows = [
        {"method": name, "after": t + 1}
        | {f"task {j + 1}": f"{value:.3f}" for j, value in enumerate(line)}
        for name, A in matrices.items()
        for t, line in enumerate(A)
    ]
    report(f"replay_{part}_matrices", rows)


def draw(part, memory, matrices):
    """Draw the mean matrices of one memory."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(METHODS), figsize=(18, 4), layout="constrained")
    for ax, name in zip(axes, METHODS):
        A = matrices[f"{name}, {memory}"]
        AccuracyMatrixDisplay(A, estimator_name=name).plot(ax=ax)
    figure.savefig(RESULTS / f"replay_{part}.png", dpi=80)
    plt.close(figure)
    print(f"wrote {RESULTS.name}/replay_{part}.png")


def bench_step(_):
    """Compare the time of a step."""
    X, _, y, _ = digits()
    rows = []
    for hidden in ((), (128,), (128, 128)):

        def stream(settings, hidden=hidden):
            current, replay = settings
            UnbiasedReplayClassifier(
                hidden,
                current_logits=current,
                replay_logits=replay,
                learning_rate_init=0.01,
                random_state=0,
            ).partial_fit(X, y)

        runs = [partial(stream, settings) for settings in METHODS.values()]
        times, _ = cpu_times(*runs, repeats=5)
        for name, seconds in zip(METHODS, times):
            rows.append(
                {
                    "hidden layers": " ".join(map(str, hidden)) or "none",
                    "method": name,
                    "us a step": 1e6 * seconds / -(-len(y) // 10),
                    "of ER": seconds / times[0],
                }
            )
    report("replay_step", rows)


if __name__ == "__main__":
    options = [a for a in sys.argv[1:] if a.startswith("--seeds=")]
    n_seeds = int(options[0].partition("=")[2]) if options else 10
    names = [a for a in sys.argv[1:] if not a.startswith("--")]
    for part in names or [*PARTS, "step"]:
        if part == "step":
            bench_step(n_seeds)
        else:
            bench(part, n_seeds)
