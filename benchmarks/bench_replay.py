"""Streams of classes: what replay saves of the old ones, by method and memory.

Five tasks of two classes each, in an order drawn by the seed, one pass, batches of ten
rows and ten replayed ones. Accuracy is that on all tasks at the end, forgetting the
mean loss since the best over all tasks but the last, incremental accuracy the mean over
time of that on the tasks so far; +- are 95 % intervals of the mean over seeds.

Everything has its learning rate (naive Bayes: its smoothing) chosen by the same rule,
of four and for all memories alike, before a test row is seen: the one with the greatest
lower end of the 95 % interval of the mean final accuracy, over ten streams of other
seeds with a memory of 100. Each of them trains on four fifths of the training rows,
drawn anew, and is judged by the rest. It is not the mean that decides, since a rate at
which one stream in ten goes wrong is no good one; a stream that diverges counts as 0.

Beside the four methods, of which two also have a memory that is balanced by class:

* ``Avalanche Replay`` and ``Avalanche ER_ACE``: the same net, begun alike; they know
  where a task begins and ends, and shuffle its rows. Left out without avalanche-lib.
* without memory: scikit-learn's MLPClassifier, and its GaussianNB, which keeps moments
  of each class and so forgets nothing; river's softmax regression, if it is installed,
  on data that it can follow in time.
* ``offline``: the same net fitted to all rows in random order, also in one pass.

Parts, by name on the command line, all of them without names:

``synthetic``, ``digits``, ``mnist``, ``usps``, ``cifar``
    Tables, differences to UER by seed, and mean matrices. The last three need the
    images in the folder that the environment variable SKLOGIT_DATA names.
``summary``
    Puts the tables side by side.
``step``
    CPU time of a step beside that of plain replay.
``time``
    CPU time of a stream beside other packages, and by torch.

``--seeds=N`` takes N seeds instead of 10.
"""

import csv
import sys
import warnings
from functools import partial

import numpy as np
from _common import RESULTS, cpu_times, report
from _replay_peers import (
    as_dicts,
    as_tensors,
    available,
    avalanche_matrix,
    avalanche_strategy,
    avalanche_tasks,
    quiet,
    river_matrix,
    river_model,
)
from scipy.stats import t as student
from sklearn.datasets import load_digits, make_classification
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier

from sklogit.continual import UnbiasedReplayClassifier, class_incremental_splits
from sklogit.datasets import load_cifar10_small, load_mnist_t10k, load_usps
from sklogit.metrics import (
    average_forgetting,
    average_incremental_accuracy,
    continual_accuracy_matrix,
)

N_TASKS = 5
METHODS = {  # logits of rows of the stream, and of replayed ones; the memory
    "ER": ("dot", "dot", "reservoir"),
    "cosine ER": ("angle", "angle", "reservoir"),
    "ER-ACE": ("masked", "dot", "reservoir"),
    "UER": ("angle", "dot", "reservoir"),
    "ER-ACE, balanced": ("masked", "dot", "class_balanced"),
    "UER, balanced": ("angle", "dot", "class_balanced"),
}
MEMORIES = 50, 100, 200, 500
RATES = 0.01, 0.03, 0.1, 0.3
SMOOTHING = 1e-9, 1e-3, 1e-2, 1e-1
TUNING_MEMORY = 100
TUNING_SEEDS = range(100, 110)


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
    return parted((X / 255).astype(np.float32), y)


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
    # They come sorted by class: a task would be one class after the other.
    rows = np.random.default_rng(0).permutation(len(y))
    return (X[rows] - mean) / spread, (X_test - mean) / spread, y[rows], y_test


def parted(X, y, share=0.25, seed=0):
    """Set some rows aside."""
    return train_test_split(X, y, test_size=share, stratify=y, random_state=seed)


PARTS = {  # data, hidden layers
    "synthetic": (synthetic, (128, 128)),
    "digits": (digits, (128,)),
    "mnist": (mnist, (128,)),
    "usps": (usps, (128,)),
    "cifar": (cifar, (128,)),
}


def stream(data, seed):
    """Tasks for training, and for tests."""
    X, X_test, y, y_test = data
    split = partial(class_incremental_splits, n_tasks=N_TASKS, random_state=seed)
    train = [(X[rows], y[rows]) for rows in split(y)]
    return train, [(X_test[rows], y_test[rows]) for rows in split(y_test)]


# -- learners: functions of the rate, a stream and a seed ------------------------------


def replay_matrix(method, hidden, memory, rate, tasks, seed):
    """Matrix of one of our methods."""
    clf = replay_classifier(method, hidden, memory, rate, seed)
    return continual_accuracy_matrix(clf, *tasks)


def replay_classifier(method, hidden, memory, rate, seed):
    """Make a classifier of one of the methods."""
    current, replay, strategy = METHODS[method]
    return UnbiasedReplayClassifier(
        hidden,
        memory_size=memory,
        memory=strategy,
        current_logits=current,
        replay_logits=replay,
        learning_rate_init=rate,
        random_state=seed,
    )


def offline_matrix(hidden, rate, tasks, seed):
    """Accuracy, as a matrix of one task, of a net that gets all rows at once."""
    (X, y), (X_test, y_test) = (
        (np.concatenate([X for X, _ in part]), np.concatenate([y for _, y in part]))
        for part in tasks
    )
    clf = replay_classifier("ER", hidden, 200, rate, seed).fit(X, y)
    return np.array([[clf.score(X_test, y_test)]])


def perceptron_matrix(hidden, rate, tasks, seed):
    """Matrix of scikit-learn's net, without memory."""
    clf = perceptron_classifier(hidden, rate, seed)
    return continual_accuracy_matrix(clf, *tasks, classes=classes_of(tasks))


def perceptron_classifier(hidden, rate, seed):
    """Make scikit-learn's net, with plain steps."""
    return MLPClassifier(
        hidden,
        solver="sgd",
        alpha=0.0,
        batch_size=10,
        learning_rate_init=rate,
        momentum=0.0,
        nesterovs_momentum=False,
        random_state=seed,
    )


def bayes_matrix(smoothing, tasks, _):
    """Matrix of Gaussians of each class."""
    clf = GaussianNB(var_smoothing=smoothing)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # classes to come have a prior of 0
        return continual_accuracy_matrix(clf, *tasks, classes=classes_of(tasks))


def classes_of(tasks):
    """Labels of a stream."""
    return np.unique(np.concatenate([y for _, y in tasks[0]]))


def learners(part, hidden):
    """Yield name, memories, function that makes the learner of one, and settings."""
    for name in METHODS:
        yield name, MEMORIES, partial(partial, replay_matrix, name, hidden), RATES
    if available("avalanche.training"):
        for name in ("Replay", "ER_ACE"):
            make = partial(partial, avalanche_matrix, name, hidden)
            yield f"Avalanche {name}", MEMORIES, make, RATES
    else:
        print("left out: Avalanche, which is not installed")
    without = {
        "MLPClassifier": (partial(perceptron_matrix, hidden), RATES),
        "GaussianNB": (bayes_matrix, SMOOTHING),
        "offline": (partial(offline_matrix, hidden), RATES),
    }
    if part == "digits" and available("river"):  # pure Python: minutes for more
        without["river softmax"] = river_matrix, RATES
    for name, (learner, values) in without.items():
        yield name, ["-"], lambda _, learner=learner: learner, values


# -- tables ----------------------------------------------------------------------------


def bench(part, n_seeds):
    """Compare all learners on one data set."""
    make, hidden = PARTS[part]
    try:
        X, X_test, y, y_test = make()
    except FileNotFoundError as error:
        print(f"left out: {part}. {error}")
        return
    tuning = [stream(parted(X, y, 0.2, seed), seed) for seed in TUNING_SEEDS]
    streams = [stream((X, X_test, y, y_test), seed) for seed in range(n_seeds)]
    rows, kept = [], {}
    for name, memories, make, values in learners(part, hidden):
        chosen = tuned(make(TUNING_MEMORY), values, tuning)
        for memory in memories:
            found = matrices(make(memory), chosen, streams, range(n_seeds))
            rows.append(row(memory, name, chosen, found))
            kept[memory, name] = found
    order = [*MEMORIES, "-"]
    rows.sort(key=lambda row: order.index(row["memory"]))
    report(f"replay_{part}", rows)
    report(f"replay_{part}_gains", gains(kept))
    save_matrices(part, kept)


def tuned(learner, values, tasks):
    """Return the value of a setting that other streams are surest of."""
    scores = [final(matrices(learner, v, tasks, TUNING_SEEDS)) for v in values]
    ends = [np.mean(s) - half_width(s) for s in scores]
    return values[int(np.argmax(ends))]


def matrices(learner, value, tasks, seeds):
    """Matrices of a learner with a setting on some streams."""
    return [guarded(learner, value, *pair) for pair in zip(tasks, seeds)]


def guarded(learner, value, tasks, seed):
    """Matrix of a learner on a stream; 0 if it diverges."""
    try:
        with np.errstate(all="ignore"):
            return learner(value, tasks, seed)
    except ValueError as error:
        if "diverged" not in str(error) and "finite" not in str(error):
            raise
        return np.zeros((N_TASKS, N_TASKS))


def final(found):
    """Mean accuracy over tasks at the end of each stream."""
    return np.array([A[-1].mean() for A in found])


def row(memory, name, value, found):
    """Make a row of the table."""
    several = len(found[0]) > 1
    forgetting = interval(map(average_forgetting, found)) if several else "-"
    way = interval(map(average_incremental_accuracy, found)) if several else "-"
    return {
        "memory": memory,
        "method": name,
        "setting": f"{value:g}",
        "accuracy": interval(final(found)),
        "forgetting": forgetting,
        "incremental accuracy": way,
    }


def interval(values):
    """Mean of some runs, and half of its 95 % interval."""
    values = np.array(list(values))
    return f"{values.mean():.3f} +- {half_width(values):.3f}"


def half_width(values):
    """Half of the 95 % interval of the mean."""
    n = len(values)
    return student.ppf(0.975, n - 1) * np.std(values, ddof=1) / n**0.5 if n > 1 else 0


def gains(kept):
    """Rows of what UER gains over the others, stream by stream."""
    rows = []
    for (memory, name), found in kept.items():
        if name == "UER" or (memory, "UER") not in kept:
            continue
        ours = kept[memory, "UER"]
        forgotten = [[average_forgetting(A) for A in each] for each in (ours, found)]
        rows.append(
            {
                "memory": memory,
                "UER less": name,
                "accuracy": interval(final(ours) - final(found)),
                "forgetting": interval(np.subtract(*forgotten)),
            }
        )
    return sorted(rows, key=lambda row: row["memory"])


def save_matrices(part, kept):
    """Write the mean accuracy matrices of streams."""
    rows = [
        {"memory": memory, "method": name, "after": t + 1}
        | {f"task {j + 1}": f"{value:.3f}" for j, value in enumerate(line)}
        for (memory, name), found in kept.items()
        if len(found[0]) > 1
        for t, line in enumerate(np.mean(found, axis=0))
    ]
    report(f"replay_{part}_matrices", rows)


def summary(_):
    """Put the tables of all data side by side, a column a method."""
    tables = {part: read(f"replay_{part}") for part in PARTS}
    for figure in ("accuracy", "forgetting"):
        rows = [
            {"data": part, "memory": memory}
            | {
                row["method"]: row[figure]
                for row in table
                if row["memory"] == str(memory)
            }
            for part, table in tables.items()
            for memory in MEMORIES
            if table
        ]
        report(f"replay_{figure}", rows)
    others = "MLPClassifier", "river softmax", "GaussianNB", "offline"
    rows = []
    for part, table in tables.items():
        found = {row["method"]: row["accuracy"] for row in table}
        if found:
            rows.append(
                {"data": part} | {name: found.get(name, "-") for name in others}
            )
    report("replay_without_memory", rows)


def read(name):
    """Rows of a table that was written, none if it was not."""
    path = RESULTS / f"{name}.csv"
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf8") as file:
        return list(csv.DictReader(file))


# -- time ------------------------------------------------------------------------------


def bench_step(_):
    """Compare the time of a step."""
    X, _, y, _ = digits()
    rows = []
    for hidden in ((), (128,), (128, 128)):

        def learn(method, hidden=hidden):
            replay_classifier(method, hidden, 200, 0.01, 0).partial_fit(X, y)

        runs = [partial(learn, method) for method in METHODS]
        times, _ = cpu_times(*runs, repeats=9)
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


def bench_time(_):
    """Compare the time in which packages learn the stream of digits."""
    data = digits()
    tasks = stream(data, 0)
    runs = dict(timed_learners(tasks))
    times, _ = cpu_times(*runs.values(), repeats=5)
    n_rows = sum(len(y) for _, y in tasks[0])
    rows = [
        {"learner": name, "ms": 1e3 * seconds, "us a row": 1e6 * seconds / n_rows}
        for name, seconds in zip(runs, times)
    ]
    report("replay_time", rows)


def timed_learners(tasks):
    """Yield names, and functions that learn a stream without being tested."""
    train, test = tasks
    for name in ("ER", "UER"):
        clf = partial(replay_classifier, name, (128,), 100, 0.03, 0)
        yield f"{name}, NumPy", partial(follow, clf, train)
    by_batch = {
        "UER, NumPy, a call a step": clf,
        "MLPClassifier, a call a step": partial(perceptron_classifier, (128,), 0.03, 0),
    }
    for name, new in by_batch.items():
        yield name, partial(follow_batches, new, train)
    if available("skorch"):
        yield "UER, torch", partial(follow, torch_classifier, train)
    if available("avalanche.training"):
        for name in ("Replay", "ER_ACE"):
            yield f"Avalanche {name}", partial(follow_avalanche, name, train, test)
    if available("river"):
        yield "river softmax", partial(follow_river, train)


def follow(new, train):
    """Learn task after task."""
    clf = new()
    for X, y in train:
        clf.partial_fit(X, y)


def follow_batches(new, train):
    """Learn a batch a call; a call of scikit-learn's net is a step."""
    clf = new()
    for X, y in train:
        for start in range(0, len(y), 10):
            rows = slice(start, start + 10)
            clf.partial_fit(X[rows], y[rows], classes=range(10))


def torch_classifier():
    """Make the net of torch that learns the same."""
    from torch import nn

    from sklogit.neural import UERNetClassifier

    module = nn.Sequential(nn.Linear(64, 128), nn.ReLU())
    return UERNetClassifier(
        module, lr=0.03, batch_policy__memory_size=100, classes=range(10)
    )


def follow_avalanche(name, train, test):
    """Let Avalanche learn."""
    pair = train, test
    strategy, _ = avalanche_strategy(name, (128,), 100, 0.03, pair, 0)
    parts = [[as_tensors(*task) for task in part] for part in pair]
    with quiet():
        for experience in avalanche_tasks(*parts):
            strategy.train(experience)


def follow_river(train):
    """Let river learn."""
    model = river_model(0.03)
    for X, y in train:
        for row_, label in zip(as_dicts(X), y.tolist()):
            model.learn_one(row_, label)


TIMES = {"summary": summary, "step": bench_step, "time": bench_time}

if __name__ == "__main__":
    options = [a for a in sys.argv[1:] if a.startswith("--seeds=")]
    n_seeds = int(options[0].partition("=")[2]) if options else 10
    names = [a for a in sys.argv[1:] if not a.startswith("--")]
    for part in names or [*PARTS, *TIMES]:
        if part in TIMES:
            TIMES[part](n_seeds)
        else:
            bench(part, n_seeds)
