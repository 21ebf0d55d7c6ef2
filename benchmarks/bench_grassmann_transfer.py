"""Classes as subspaces: accuracy, and what the features are worth for other classes.

    SKLOGIT_DATA=... python benchmarks/bench_grassmann_transfer.py [PART ...]

Parts, by name on the command line; all without names:

``digits``, ``usps``, ``cifar``
    Accuracy of GrassmannClassifier against the rule that it starts from, CLAFIC, and
    against a logistic regression. Claim: training makes subspaces of few dimensions as
    good as principal ones of many; with many, it adds little.
``mnist_usps``, ``mnist_usps_layers``, ``digits_halves``, ``cifar_halves``
    The same backbone, trained for the same number of steps with a linear, a cosine and
    a Grassmann head on one set of classes or images; then a logistic regression on its
    features for another set. The question is whether features keep more room within
    the classes, and whether they transfer better.

Intervals hold 95 %: of Student's t over the seeds, and for the folds of ``digits`` with
the correction for folds that share their training rows. All parts take 14 minutes of
CPU time, ``mnist_usps`` five of them.
"""

import math
import sys
import warnings
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from _common import report
from _transfer_data import cifar_halves, digits_halves, mnist_usps
from scipy import stats
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import LRScheduler
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from sklogit.datasets import load_cifar10_small, load_usps
from sklogit.neural import GrassmannNetClassifier, LogitClassifier
from sklogit.subspace import GrassmannClassifier
from sklogit.subspace._variability import class_variability

SEEDS = 10
RATES = (0.001, 0.003)  # learning rates; all but the subspaces, which have 0.05
TUNING_SEEDS = (100, 101, 102)  # for the choice of one of them, for each head
DIMENSIONS = (1, 2, 4, 8, 16)
BUDGET_K = 8  # "same budget" is that of this dimension


# -- figures -------------------------------------------------------------------------


def half_width(values, test_to_train=0.0):
    """Half of a 95 % interval of the mean.

    Folds share training rows, which the ratio of the sizes of test and training part
    corrects for (Nadeau and Bengio 2003); seeds do not.
    """
    n = len(values)
    error = np.std(values, ddof=1) * np.sqrt(1 / n + test_to_train)
    return stats.t.ppf(0.975, n - 1) * error


def cell(values, signed=False, test_to_train=0.0, digits=4):
    mean = f"{np.mean(values):{'+' if signed else ''}.{digits}f}"
    if len(values) == 1:
        return mean
    return f"{mean} ± {half_width(values, test_to_train):.{digits}f}"


def scaled_logistic(**options):
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, **options))


def tuned_logistic(Cs):
    """Choose C by three folds of what it is fitted to."""
    return GridSearchCV(scaled_logistic(), {"logisticregression__C": Cs}, cv=3)


# -- accuracy ------------------------------------------------------------------------


def bench_digits():
    """Pixels of scikit-learn's digits: five folds, three times."""
    X, y = load_digits(return_X_y=True)
    X = X.astype(np.float32)

    def accuracies(estimator):
        folds = (KFold(5, shuffle=True, random_state=seed) for seed in range(3))
        return np.concatenate([cross_val_score(estimator, X, y, cv=f) for f in folds])

    logistic = accuracies(scaled_logistic())
    # The constant is of no use to pixels, which are not negative.
    plain = partial(GrassmannClassifier, fit_intercept=False, random_state=0)
    rows = []
    for k in (1, 2, 4, 8, 12, 16):
        trained = accuracies(plain(k))
        clafic = accuracies(plain(k, max_iter=0))
        rows.append(
            {
                "k": k,
                "CLAFIC": cell([clafic.mean()]),
                "trained, from CLAFIC": cell([trained.mean()]),
                "trained, from random": cell(
                    [accuracies(plain(k, init="random")).mean()]
                ),
                "trained - CLAFIC": cell(trained - clafic, True, 1 / 4),
                "trained - logistic regression": cell(trained - logistic, True, 1 / 4),
            }
        )
        print(rows[-1], flush=True)
    print("logistic regression", logistic.mean())
    report("grassmann_digits", rows)


def bench_split(name, load, **options):
    """Fit to the training part, score on the test part; five seeds of the training."""
    X, y = load(subset="train", return_X_y=True, **options)
    X_test, y_test = load(subset="test", return_X_y=True, **options)
    logistic = tuned_logistic([0.001, 0.01, 0.1]).fit(X, y).score(X_test, y_test)
    rows = [{"model": "logistic regression", "CLAFIC": "", "trained": cell([logistic])}]
    for k in (1, 4, 8, 16):
        clafic = GrassmannClassifier(k, max_iter=0).fit(X, y).score(X_test, y_test)
        net = GrassmannClassifier(k, max_iter=20)
        trained = [
            clone(net).set_params(random_state=seed).fit(X, y).score(X_test, y_test)
            for seed in range(5)
        ]
        rows.append(
            {"model": f"k = {k}", "CLAFIC": cell([clafic]), "trained": cell(trained)}
        )
        print(rows[-1], flush=True)
    report(name, rows)


# -- transfer ------------------------------------------------------------------------


class LayerNet(nn.Sequential):
    """Layers with batch normalisation and rectifiers, up to the features."""

    widths = 256, 128, 64

    def __init__(self, sizes):
        layers = []
        for n_in, n_out in pairwise(sizes):
            layers += [
                nn.Linear(n_in, n_out, bias=False),
                *normed(nn.BatchNorm1d, n_out),
            ]
        super().__init__(*layers)


class ConvNet(nn.Sequential):
    """Two convolutions and a layer, for images of 16 x 16 pixels."""

    widths = 16, 32, 64

    def __init__(self, sizes):
        n_pixels, *channels, n_features = sizes
        side = math.isqrt(n_pixels)
        layers = [nn.Unflatten(1, (1, side, side))]
        for n_in, n_out in pairwise([1, *channels]):
            layers.append(nn.Conv2d(n_in, n_out, 3, padding=1, bias=False))
            layers += [*normed(nn.BatchNorm2d, n_out), nn.MaxPool2d(2)]
        last = nn.Linear(channels[-1] * (side // 4) ** 2, n_features, bias=False)
        layers += [nn.Flatten(), last, *normed(nn.BatchNorm1d, n_features)]
        super().__init__(*layers)


def normed(norm, width):
    return norm(width), nn.ReLU()


def n_parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


@dataclass
class Variant:
    """A head, and what is before it."""

    name: str
    head: str
    backbone: type
    widths: tuple
    k: int | None = None
    lr: float = RATES[0]


def variants(backbone, n_features, n_classes):
    """Make all heads, and a linear one with wider backbones, of the budget of k = 8."""
    plain = backbone.widths

    def size(widths, of_head):
        return n_parameters(backbone((n_features, *widths))) + of_head * n_classes

    budget = size(plain, BUDGET_K * plain[-1])

    def widened(layer):
        widths = list(plain)
        while size(widths, widths[-1] + 1) < budget:
            widths[layer] += 1
        return tuple(widths)

    hidden, last = widened(1), widened(2)
    made = [("linear", "linear", plain), ("cosine", "cosine", plain)]
    made += [(f"Grassmann, k = {k}", "grassmann", plain, k) for k in DIMENSIONS]
    made.append((f"linear, hidden layer of {hidden[1]}", "linear", hidden))
    made.append((f"linear, {last[2]} features", "linear", last))
    return [Variant(name, head, backbone, *rest) for name, head, *rest in made]


def make_net(variant, n_features, n_steps, seed, **options):
    schedule = LRScheduler(CosineAnnealingLR, T_max=n_steps, step_every="batch")
    options |= {
        "module__sizes": (n_features, *variant.widths),
        "callbacks": [schedule],
        "lr": variant.lr,
        "random_state": seed,
    }
    if variant.head == "grassmann":
        options["head__subspace_dim"] = variant.k
        return GrassmannNetClassifier(variant.backbone, **options)
    # The optimiser that GrassmannAdamW is, but for the subspaces.
    options["optimizer"] = torch.optim.AdamW
    return LogitClassifier(variant.backbone, head=variant.head, **options)


def trained(variant, source, seed, batch_size, max_epochs):
    n_steps = max_epochs * -(-len(source.y) // batch_size)
    options = {"batch_size": batch_size, "max_epochs": max_epochs}
    net = make_net(variant, source.X.shape[1], n_steps, seed, **options)
    return net.fit(source.X, source.y)


def probe(features, target):
    """Accuracy of a logistic regression on features, C by cross-validation."""
    model = tuned_logistic([0.001, 0.01, 0.1, 1.0, 10.0])
    model.fit(features(target.X), target.y)
    return model.score(features(target.X_test), target.y_test)


def measure(variant, source, target, seed, **training):
    net = trained(variant, source, seed, **training)
    spread = partial(class_variability, net.transform(source.X_test), source.y_test)
    return {
        "source": net.score(source.X_test, source.y_test),
        "target": probe(net.transform, target),
        "angle": spread("angle").mean(),
        "dimension": spread("dimension").mean(),
        "head": n_parameters(net.head_),
        "all": n_parameters(net.module_),
    }


def best_rate(variant, data, **training):
    """Choose a learning rate by the accuracy on the source, with other seeds."""

    def accuracy(lr):
        total = 0.0
        for seed in TUNING_SEEDS:
            source, _ = data(seed)
            net = trained(replace(variant, lr=lr), source, seed, **training)
            total += net.score(source.X_test, source.y_test)
        return total

    return max(RATES, key=accuracy)


def bench_transfer(name, data, backbone=LayerNet, **training):
    """Train each variant with each seed, which also draws the data."""
    source, _ = data(0)
    made = variants(backbone, source.X.shape[1], len(np.unique(source.y)))
    tuned = {
        v.head: v for v in made if v.name in ("linear", "cosine", "Grassmann, k = 8")
    }
    rates = {head: best_rate(v, data, **training) for head, v in tuned.items()}
    print(name, "learning rates", rates, flush=True)
    found, inputs = {}, []
    for seed in range(SEEDS):
        source, target = data(seed)
        inputs.append(probe(np.asarray, target))
        for variant in made:
            variant.lr = rates[variant.head]
            values = measure(variant, source, target, seed, **training)
            found.setdefault(variant.name, []).append(values | {"lr": variant.lr})
        print(name, "seed", seed, flush=True)
    report(f"grassmann_{name}", rows_of(found, inputs))


def rows_of(found, inputs):
    def column(name, what):
        return np.array([values[what] for values in found[name]])

    def minus(name, what, other):
        if name == other:
            return ""
        return cell(column(name, what) - column(other, what), True)

    rows = []
    for name, values in found.items():
        rows.append(
            {
                "head": name,
                "parameters of the head": values[0]["head"],
                "of all": values[0]["all"],
                "learning rate": values[0]["lr"],
                "source": cell(column(name, "source")),
                "source - linear": minus(name, "source", "linear"),
                "target": cell(column(name, "target")),
                "target - linear": minus(name, "target", "linear"),
                "target - k = 1": minus(name, "target", "Grassmann, k = 1"),
                "angle": cell(column(name, "angle"), digits=1),
                "dimension": cell(column(name, "dimension"), digits=2),
            }
        )
    no_net = dict.fromkeys(rows[0], "")
    return [no_net | {"head": "none: the inputs", "target": cell(inputs)}, *rows]


# -- all -----------------------------------------------------------------------------

PARTS = {
    "digits": bench_digits,
    "usps": partial(bench_split, "grassmann_usps", load_usps),
    "cifar": partial(
        bench_split,
        "grassmann_cifar",
        load_cifar10_small,
        features="efficientnet_lite0",
    ),
    "mnist_usps": partial(
        bench_transfer, "mnist_usps", mnist_usps, ConvNet, batch_size=128, max_epochs=8
    ),
    "mnist_usps_layers": partial(
        bench_transfer, "mnist_usps_layers", mnist_usps, batch_size=128, max_epochs=8
    ),
    "digits_halves": partial(
        bench_transfer, "digits_halves", digits_halves, batch_size=64, max_epochs=30
    ),
    "cifar_halves": partial(
        bench_transfer, "cifar_halves", cifar_halves, batch_size=64, max_epochs=20
    ),
}

if __name__ == "__main__":
    warnings.simplefilter("ignore", ConvergenceWarning)
    torch.set_num_threads(1)
    for part in sys.argv[1:] or PARTS:
        PARTS[part]()
