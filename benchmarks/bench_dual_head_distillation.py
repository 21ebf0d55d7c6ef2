"""Dual-head distillation beside plain training, KD and losses on a single head.

Cases (all by default, each under three minutes of one CPU):
digits      scikit-learn's digits, 898 labels
usps        1,000 labels of USPS, its own test part
mnist       1,000 labels of the MNIST test part, 4,000 others to test
cifar       1,000 labels of the small CIFAR-10, features of an EfficientNet-Lite0
classes     50 classes of a synthetic family, 40 labels a class
normed      the same, students with batch normalisation
few         the same, 8 labels a class for the student, 40 for the teacher
collapse    digits, weights of the losses from 0.1 beside 0.9 to 10 beside 1

Students are small multilayer perceptrons, all trained alike: 60 epochs of SGD, batches
of 128, T = 2 (KD: T = 4), gamma = 1 and alpha of 0.1 and 1. Means over 5 seeds (3 for
the collapse), of which each draws its data, its teacher and its student; "+-" is half
the 95 % interval by Student's t. USPS, MNIST and CIFAR-10 are read from the folder
named by SKLOGIT_DATA.
"""

import csv
import sys
import time
import warnings
from copy import deepcopy

import numpy as np
from _common import RESULTS, report
from scipy.stats import t as student_t
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from torch import nn

from sklogit.datasets import load_cifar10_small, load_mnist_t10k, load_usps
from sklogit.distillation import DualHeadDistillationClassifier

N_SEEDS, N_SWEPT = 5, 3
NAME = "dual_head_distillation"
ONE_HEAD = {"aux_head": None}
METHODS = {
    "cross-entropy": {"alpha": 0.0},
    "KD, T=4": ONE_HEAD | {"logit_loss": "kd", "temperature": 4.0},
    "one head, BinaryKL": ONE_HEAD | {"logit_loss": "binary_kl"},
    "one head, BinaryKL-Norm": ONE_HEAD,
    "two heads (DHKD)": {},
    "two heads, aligned": {"gradient_alignment": True},
    "two heads, mlp, aligned": {"aux_head": "mlp", "gradient_alignment": True},
}
DHKD = "two heads (DHKD)"
ALPHAS = (0.1, 1.0)
SWEPT = ("KD, T=4", *list(METHODS)[2:5])
# alpha and gamma: shares of the teacher in the loss, then weights beside the labels.
WEIGHTS = ((0.1, 0.9), (0.5, 0.5), (0.9, 0.1), (0.99, 0.01), (3, 1), (10, 1))


# -- data ------------------------------------------------------------------------------


def split(X, y, n_train, n_test, random):
    order = random.permutation(len(y))[: n_train + n_test]
    train, test = order[:n_train], order[n_train:]
    return X[train], y[train], X[test], y[test]


def digits(random):
    X, y = load_digits(return_X_y=True)
    return split(X / 16, y, 898, 899, random)


def usps(random):
    X, y = load_usps(subset="train", return_X_y=True)
    X_test, y_test = load_usps(subset="test", return_X_y=True)
    return *split(X, y, 1000, 0, random)[:2], X_test, y_test


def mnist(random):
    X, y = load_mnist_t10k(return_X_y=True)
    return split(X / 255, y, 1000, 4000, random)


def cifar(random):
    of_part = {"features": "efficientnet_lite0", "return_X_y": True}
    X, y = load_cifar10_small(subset="train", **of_part)
    X_test, y_test = load_cifar10_small(subset="test", **of_part)
    X, y, _, _ = split(X, y, 1000, 0, random)
    scaler = StandardScaler().fit(X)
    return scaler.transform(X), y, scaler.transform(X_test), y_test


def family(random, n_labels=40, n_test=3000):
    """50 classes in 10 groups, bent so that no linear rule parts them."""
    groups = random.normal(scale=1.2, size=(10, 40))
    centres = np.repeat(groups, 5, axis=0) + random.normal(scale=0.9, size=(50, 40))
    bend = random.normal(size=(40, 40)) / 6
    y = np.concatenate([np.repeat(np.arange(50), n_labels), np.arange(n_test) % 50])
    X = centres[y] + random.normal(scale=1.6, size=(len(y), 40))
    X = (X + np.tanh(X @ bend)) / 2
    rows = 50 * n_labels
    return X[:rows], y[:rows], X[rows:], y[rows:]


# Data, hidden layers of the teacher and of the student, and share of the teacher's
# rows that the student gets.
CASES = {
    "digits": (digits, (256,), (8,), 1.0),
    "usps": (usps, (256,), (8,), 1.0),
    "mnist": (mnist, (256,), (8,), 1.0),
    "cifar": (cifar, (128,), (8,), 1.0),
    "classes": (family, (256, 256), (24, 24), 1.0),
    "few": (family, (256, 256), (24, 24), 0.2),
    "normed": (family, (256, 256), (24, 24), 1.0),
}
ALL = [*CASES, "collapse"]


# -- students --------------------------------------------------------------------------


def prepared(case, seed):
    """Draw data, and fit the teacher; the last entry is its accuracy."""
    make, wide, _, share = CASES[case]
    X, y, X_test, y_test = make(np.random.RandomState(seed))
    teacher = MLPClassifier(wide, alpha=1e-3, max_iter=60, random_state=seed)
    teacher.fit(X, y)
    accuracy = teacher.score(X_test, y_test)
    if share < 1:  # labels come sorted
        keep = np.concatenate(
            [np.flatnonzero(y == c)[: int(share * (y == c).sum())] for c in set(y)]
        )
        X, y = X[keep], y[keep]
    return X, y, X_test, y_test, teacher, accuracy


def normed():
    """Make the layers of a student, with batch normalisation."""
    return nn.Sequential(
        *(nn.Linear(40, 24), nn.BatchNorm1d(24), nn.ReLU()),
        *(nn.Linear(24, 24), nn.BatchNorm1d(24), nn.ReLU()),
    )


def trained(case, method, seed, data, **params):
    X, y, _, _, teacher, _ = data
    student = DualHeadDistillationClassifier(
        teacher,
        hidden_layer_sizes=CASES[case][2],
        max_epochs=60,
        batch_size=128,
        random_state=seed,
        backbone=normed if case == "normed" else None,
        **{"monitor_conflicts": False} | METHODS[method] | params,
    )
    return student.fit(X, y)


def averaged(student):
    """Let a copy of a student predict by the mean of both heads."""
    student = deepcopy(student)
    student.net_.head_.output = "average"
    return student


def accuracies(case):
    """Test accuracies in %, by methods and weights, and conflict rates."""
    found, rates = {}, {}
    for seed in range(N_SEEDS):
        data = prepared(case, seed)
        X_test, y_test = data[2:4]
        found.setdefault(("teacher", 0), []).append(data[5])
        for method, params in METHODS.items():
            for alpha in (0,) if "alpha" in params else ALPHAS:
                watched = {"monitor_conflicts": True} if method == DHKD else {}
                student = trained(case, method, seed, data, alpha=alpha, **watched)
                key = method, alpha
                found.setdefault(key, []).append(student.score(X_test, y_test))
                if watched:
                    rates.setdefault(key, []).append(student.history_)
                    both = averaged(student).score(X_test, y_test)
                    found.setdefault(("two heads, average", alpha), []).append(both)
    return {key: 100 * np.array(values) for key, values in found.items()}, rates


def interval(values):
    """Half the width of the 95 % interval of the mean."""
    n = len(values)
    return float(student_t.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n))


def row(case, method, alpha, gamma, values, plain, histories=()):
    rates = {
        name: np.mean([history[name] for history in histories]) if histories else np.nan
        for name in ("conflict_rate", "head_conflict_rate")
    }
    return {
        "case": case,
        "method": method,
        "alpha": alpha,
        "gamma": gamma,
        "accuracy, %": f"{np.mean(values):.2f}",
        "+-": f"{interval(values):.2f}",
        "less cross-entropy": f"{np.mean(values - plain):+.2f}",
        "+- of that": f"{interval(values - plain):.2f}",
        "conflicts, backbone": f"{rates['conflict_rate']:.2f}",
        "conflicts, one head": f"{rates['head_conflict_rate']:.2f}",
    }


def compare(case):
    found, histories = accuracies(case)
    plain = found["cross-entropy", 0]
    return [
        row(case, *key, 1, values, plain, histories.get(key, ()))
        for key, values in found.items()
    ]


def collapse(case="digits"):
    found = {}
    for seed in range(N_SWEPT):
        data = prepared(case, seed)
        for alpha, gamma in WEIGHTS:
            for method in SWEPT:
                weights = {"alpha": alpha, "gamma": gamma}
                student = trained(case, method, seed, data, **weights)
                score = 100 * student.score(*data[2:4])
                found.setdefault((method, alpha, gamma), []).append(score)
        plain = trained(case, "cross-entropy", seed, data)
        found.setdefault(("cross-entropy", 0, 1), []).append(
            100 * plain.score(*data[2:4])
        )
    plain = np.array(found["cross-entropy", 0, 1])
    return [
        row("collapse", *key, np.array(scores), plain)
        for key, scores in sorted(found.items(), key=lambda item: item[0][0])
    ]


def kept(cases):
    """Rows of earlier runs, of other cases."""
    path = RESULTS / f"{NAME}.csv"
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf8") as file:
        return [row for row in csv.DictReader(file) if row["case"] not in cases]


def main(cases):
    warnings.simplefilter("ignore", ConvergenceWarning)  # of teachers
    rows = []
    with threadpool_limits(1):
        for case in cases:
            start = time.process_time()
            rows += collapse() if case == "collapse" else compare(case)
            print(f"{case}: {time.process_time() - start:.0f} s of CPU", flush=True)
    rows = sorted(kept(cases) + rows, key=lambda row: ALL.index(row["case"]))
    report(NAME, rows)


if __name__ == "__main__":
    main(sys.argv[1:] or ALL)
