"""Few-shot classification on top of prior logits: a logit bias and what it is up to.

Claims:

1. A learnt bias of other features, added to the logits of a frozen model, is worth more
   than either alone with 1 to 4 labelled rows a class; with 16 a logistic regression
   catches up or wins. Measured for ``caltech101`` and ``pets`` (one view only: stand-in
   prior of class means, see ``_few_shot_data.py``), ``cifar`` (two views, either way
   round) and ``usps`` (a prior of another domain).
2. What each part of the method is worth: factor of uncertainty, class-mean start, two
   losses, choice of numbers by cross-validation.
3. L-BFGS is faster than AdamW.

Every number of every method is fixed beforehand or chosen by cross-validation of the
few shots; no test label is used for that. Defaults of the library that are rules of
thumb were found on validation rows.

    SKLOGIT_DATA=... python benchmarks/bench_few_shot.py accuracy
    SKLOGIT_DATA=... python benchmarks/bench_few_shot.py time

"accuracy" takes names of data sets as further arguments; without any it takes all. It
writes the accuracy of each seed into results/few_shot_seeds.csv, and of these makes
few_shot_accuracy.csv and few_shot_differences.csv, as "tables" does alone. "time"
writes few_shot_time.csv.

Intervals are those of the draws of labelled rows (and, but for usps, of the rows behind
the prior); the test rows are the same in all of them.
"""

import csv
import sys
import warnings
from functools import partial

import numpy as np
from _common import RESULTS, cpu_times, report
from _few_shot_data import cifar_views, clip_views, usps_views
from scipy.stats import t as student
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.preprocessing import normalize

from sklogit.few_shot import (
    LogitBiasClassifier,
    LogitBiasClassifierCV,
    TipAdapterClassifier,
)

SEEDS = RESULTS / "few_shot_seeds.csv"
SHOTS = (1, 2, 4, 8, 16)
N_SEEDS = 5
FOLDS = 3
DATA = {
    "caltech101": partial(clip_views, "caltech101"),
    "pets": partial(clip_views, "oxford_pets"),
    "cifar, network": partial(cifar_views, "network"),
    "cifar, descriptor": partial(cifar_views, "descriptor"),
    "usps": usps_views,
}
ZERO_SHOT = "prior alone"
CHOSEN = "bias, chosen by cv"

MAIN = (
    ZERO_SHOT,
    "logistic regression",
    "logistic regression, both views",
    "linear probe from the prior",
    "logistic regression, prior's rows too",
    "Tip-Adapter",
    "Tip-Adapter-F",
    "bias, class means",
    "bias",
    CHOSEN,
    "bias, AdamW",
)
COMPARED = (
    (CHOSEN, ZERO_SHOT),
    (CHOSEN, "logistic regression"),
    (CHOSEN, "logistic regression, both views"),
    (CHOSEN, "linear probe from the prior"),
    (CHOSEN, "Tip-Adapter-F"),
    (CHOSEN, "bias"),
    ("bias", "bias, AdamW"),
    ("bias", "bias, no factor"),
    ("bias, entropy", "bias, no factor"),
    (CHOSEN, f"{CHOSEN}, no factor"),
    (f"{CHOSEN}, entropy", f"{CHOSEN}, no factor"),
    (f"{CHOSEN}, margin", f"{CHOSEN}, no factor"),
    ("bias, AdamW", "bias, AdamW, no factor"),
    ("bias, AdamW", "bias, AdamW, random start"),
    ("bias, AdamW", "bias, AdamW, fused loss only"),
    ("bias", "bias, fused loss only"),
    ("bias", "bias, own loss only"),
)


def main():
    warnings.simplefilter("ignore", ConvergenceWarning)
    warnings.filterwarnings("ignore", "Nothing can be held out")
    warnings.filterwarnings("ignore", "The number of unique classes is greater")
    task, names = sys.argv[1], sys.argv[2:] or list(DATA)
    if task == "time":
        return report("few_shot_time", times())
    if task == "accuracy":
        for name in names:
            accuracies(name)
        return tables()
    if task == "tables":
        return tables()
    raise SystemExit(f"accuracy, tables or time, got {task!r}")


# -- accuracy --------------------------------------------------------------------------


def accuracies(name):
    """Store the accuracies of each (shots, method), of all seeds."""
    found = {}
    for seed in range(N_SEEDS):
        rng = np.random.default_rng(seed)
        views = DATA[name](rng)
        for n_shots in SHOTS:
            few = views.draw(n_shots, rng)
            for method, accuracy in of_methods(views, few, n_shots).items():
                found.setdefault((n_shots, method), []).append(accuracy)
        print(name, "seed", seed, flush=True)
    store(stored() | {(name, *key): np.array(values) for key, values in found.items()})


def of_methods(views, few, n_shots):
    """Accuracy of each method, trained on the same shots."""
    X, X_test = joined(views)
    X, y = X[few], views.y[few]
    A, A_test = normalize(views.features[few]), normalize(views.features_test)
    y_test, n = views.y_test, views.n_classes

    def score(model, X=X, X_test=X_test, y=y):
        return float((model.fit(X, y).predict(X_test) == y_test).mean())

    tip = of_grid(
        TipAdapterClassifier(n),
        {"alpha": [0.5, 1.0, 2.0, 5.0, 10.0], "beta": [1.0, 3.0, 5.5, 10.0]},
        n_shots,
    ).fit(X, y)
    tip = getattr(tip, "best_estimator_", tip)
    trained = clone(tip).set_params(n_epochs=20, random_state=0)
    bias = partial(LogitBiasClassifier, n)
    # Both views as features: the prior's probabilities are of the size of unit rows.
    both, both_test = (
        np.hstack([softmax_of(Z[:, :n]), normalize(Z[:, n:])]) for Z in (X, X_test)
    )
    found = {
        ZERO_SHOT: float((views.logits_test.argmax(axis=1) == y_test).mean()),
        "logistic regression": score(regression(n_shots), A, A_test),
        "logistic regression, both views": score(regression(n_shots), both, both_test),
        "Tip-Adapter": float(tip.score(X_test, y_test)),
        "Tip-Adapter-F": score(trained),
        "bias, class means": score(bias(max_iter=0)),
        "bias": score(bias()),
        CHOSEN: score(LogitBiasClassifierCV(n, cv=FOLDS)),
        "bias, AdamW": score(bias(solver="adamw", random_state=0)),
        "bias, no factor": score(bias(uncertainty=None)),
    }
    if n <= 10:
        found |= {name: score(model) for name, model in parts(bias, n).items()}
    if views.weights is not None:
        probe = LogitBiasClassifierCV(
            cv=FOLDS,
            alphas=(1.0,),
            alpha=1.0,
            lambda_merges=(0.0,),
            lambda_merge=0.0,
            init=views.weights,
            normalize=None,
        )
        found["linear probe from the prior"] = score(probe, A, A_test)
        rows, labels = views.prior_rows
        found["logistic regression, prior's rows too"] = score(
            regression(n_shots + 4),
            np.vstack([A, normalize(rows)]),
            A_test,
            np.concatenate([y, labels]),
        )
    return found


def parts(bias, n):
    """Models that tell what the parts of the method are worth."""
    adamw = partial(bias, solver="adamw", random_state=0)
    return {
        "bias, AdamW, random start": adamw(init="random"),
        "bias, AdamW, fused loss only": adamw(lambda_merge=1),
        "bias, AdamW, no factor": adamw(uncertainty=None),
        "bias, entropy": bias(uncertainty="entropy"),
        "bias, margin": bias(uncertainty="margin"),
        "bias, fused loss only": bias(lambda_merge=1),
        "bias, own loss only": bias(lambda_merge=0),
        **{
            f"{CHOSEN}, {kind or 'no factor'}": LogitBiasClassifierCV(
                n, uncertainty=kind, cv=FOLDS
            )
            for kind in (None, "entropy", "margin")
        },
    }


def joined(views):
    return (
        np.hstack([views.logits, views.features]),
        np.hstack([views.logits_test, views.features_test]),
    )


def softmax_of(logits):
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def regression(n_shots):
    model = LogisticRegression(C=100.0, max_iter=200, tol=1e-3)
    return of_grid(model, {"C": [1.0, 10.0, 100.0, 1000.0]}, n_shots)


def of_grid(model, grid, n_shots):
    """Chosen by the same rule as the bias; with one shot the defaults."""
    if n_shots == 1:
        return model
    cv = StratifiedKFold(min(FOLDS, n_shots))
    return GridSearchCV(model, grid, cv=cv, scoring="neg_log_loss")


def stored():
    """Accuracies that were measured, by (data, shots, method)."""
    if not SEEDS.exists():
        return {}
    with open(SEEDS, newline="", encoding="utf8") as file:
        _, *lines = csv.reader(file)
    return {
        (name, int(shots), method): np.array(values, dtype=float)
        for name, shots, method, *values in lines
    }


def store(found):
    with open(SEEDS, "w", newline="", encoding="utf8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ["data", "labels a class", "method", *(f"seed {i}" for i in range(N_SEEDS))]
        )
        for key, values in found.items():
            writer.writerow([*key, *(f"{value:.5f}" for value in values)])


def tables():
    """Write means with 95 % intervals, and paired differences of methods."""
    means, pairs, everything = [], [], stored()
    for name in DATA:
        found = {key[1:]: v for key, v in everything.items() if key[0] == name}
        means += table_of(name, {m: m for m in MAIN}, found.get)
        differences = {
            f"{method} - {other}": (method, other) for method, other in COMPARED
        }
        pairs += table_of(name, differences, partial(difference, found))
    report("few_shot_accuracy", means)
    report("few_shot_differences", pairs)


def table_of(name, entries, values_of):
    """Rows of means with their intervals, a column for each number of shots."""
    rows = []
    for label, key in entries.items():
        row = {"data": name, "method": label}
        for shots in SHOTS:
            values = values_of((shots, key))
            if values is None:  # left out, as it takes long
                break
            mean, half = interval(values)
            sign = "+" if isinstance(key, tuple) else ""
            row[f"{shots} label" + "s" * (shots > 1)] = f"{mean:{sign}.3f} ± {half:.3f}"
        else:
            rows.append(row)
    return rows


def difference(found, key):
    shots, (method, other) = key
    if (shots, method) in found and (shots, other) in found:
        return found[shots, method] - found[shots, other]
    return None


def interval(values):
    """Mean, and half the width of its 95 % interval."""
    n = len(values)
    half = student.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n)
    return float(values.mean()), float(half)


# -- time ------------------------------------------------------------------------------


def times():
    import torch

    torch.set_num_threads(1)
    rows = []
    for name in ("pets", "caltech101", "usps"):
        views = DATA[name](np.random.default_rng(0))
        X, X_test = joined(views)
        for n_shots in (1, 4, 16):
            few = views.draw(n_shots, np.random.default_rng(1))
            rows += times_of(name, n_shots, X[few], views.y[few], X_test, views)
    return rows


def times_of(name, n_shots, X, y, X_test, views):
    n = views.n_classes
    models = {
        "class means": LogitBiasClassifier(n, max_iter=0),
        "L-BFGS": LogitBiasClassifier(n),
        "AdamW": LogitBiasClassifier(n, solver="adamw", random_state=0),
        "chosen by cv": LogitBiasClassifierCV(n),
    }
    functions = [partial(clone(model).fit, X, y) for model in models.values()]
    functions.append(partial(as_published, X, y, n))
    repeats = 2 if n_shots == 16 else 3
    seconds, fitted = cpu_times(*functions, repeats=repeats)
    slowest = seconds[-1]
    rows = []
    for method, model, cost in zip([*models, "AdamW in torch"], fitted, seconds):
        accuracy = (
            model.decision_function(X_test).argmax(axis=1) == views.y_test
        ).mean()
        row = {"data": name, "labels a class": n_shots, "method": method}
        row |= {"seconds": cost, "times faster than torch": slowest / cost}
        rows.append(row | {"accuracy": float(accuracy)})
    return rows


def as_published(X, y, n_classes):
    """Train as the paper's recipe says, 50 epochs of batches of 8, by plain torch."""
    import torch

    from sklogit.heads import LogitBiasHead
    from sklogit.losses import LogitBiasLoss

    torch.manual_seed(0)
    features, target = torch.as_tensor(X), torch.as_tensor(y)
    head, loss = LogitBiasHead(X.shape[1], n_classes), LogitBiasLoss()
    head.set_class_means(features, target)
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3, eps=1e-4)
    n_steps = 50 * -(-len(y) // 8)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    for _ in range(50):
        for batch in torch.randperm(len(y)).split(8):
            optimizer.zero_grad()
            loss(features[batch], target[batch], head=head).backward()
            optimizer.step()
            schedule.step()
    return _Trained(head)


class _Trained:
    def __init__(self, head):
        self.head = head

    def decision_function(self, X):
        import torch

        with torch.no_grad():
            return self.head(torch.as_tensor(X)).numpy()


if __name__ == "__main__":
    main()
