"""AnyLoss in torch: what small batches do to it, what it costs, and gradient boosting.

Medians over the seeds, unless a column says otherwise.

    python benchmarks/bench_anyloss_net.py [bias] [training] [time] [boosting]
"""

import sys
import warnings
from functools import partial

import numpy as np
import torch
from _common import cpu_times, report
from sklearn.datasets import make_classification
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional as F

from sklogit.losses import AnyLoss
from sklogit.metrics import (
    amplify,
    get_confusion_metric,
    metric_objective,
    optimal_threshold,
    soft_confusion,
)
from sklogit.neural import StratifiedBatches

SEEDS = range(7)
BATCH_SIZES = (16, 64, 256, 1024)
PREVALENCE = 0.023


def rare_class(seed, n=40_000, n_features=10):
    """Two bumps of a rare class in noise: halves for training and for testing."""
    rng = np.random.default_rng(seed)
    y = (rng.uniform(size=n) < PREVALENCE).astype(int)
    X = rng.standard_normal((n, n_features))
    centre = np.where(rng.uniform(size=n) < 0.5, 1.0, -1.0)
    X[:, 0] += 2.0 * y
    X[:, 1] += 1.5 * centre * y
    X, y = torch.tensor(X, dtype=torch.float32), torch.tensor(y)
    return X[: n // 2], y[: n // 2], X[n // 2 :], y[n // 2 :]


def mlp(seed, n_inputs=10, n_hidden=16):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(n_inputs, n_hidden), nn.Tanh(), nn.Linear(n_hidden, 1)
    )


def batches(y, batch_size, stratified, seed):
    """Yield indices of batches without end; the smaller last ones are left out."""
    generator = torch.Generator().manual_seed(seed)
    labels = y if stratified else torch.zeros_like(y)
    sampler = StratifiedBatches(labels, batch_size, drop_last=True, generator=generator)
    while True:
        yield from sampler


def train(loss, X, y, seed, batch_size=None, stratified=False, n_steps=1500, lr=0.01):
    """Adam; all rows in each step without batch_size."""
    module = mlp(seed, X.shape[1])
    optimizer = torch.optim.Adam(module.parameters(), lr=lr)
    source = None if batch_size is None else batches(y, batch_size, stratified, seed)
    for _ in range(n_steps):
        rows = slice(None) if source is None else next(source)
        optimizer.zero_grad()
        loss(module(X[rows]), y[rows]).backward()
        optimizer.step()
    return module


def score(metric, module, X, y):
    with torch.no_grad():
        return get_confusion_metric(metric).score(y, module(X)[:, 0] > 0)


def bias(n_batches=1000):
    """Mean of the batches' losses, beside the loss of all rows at once."""
    found = {}
    for seed in SEEDS:
        X, y, *_ = rare_class(seed)
        module = train(AnyLoss(), X, y, seed, n_steps=150)
        logits = module(X)[:, 0].detach()
        for size in BATCH_SIZES:
            row = found.setdefault(size, [])
            values = {"soft F1 of all rows": 1 - AnyLoss()(logits, y).item()}
            for name, stratified, momentum in METHODS:
                loss, means = AnyLoss(momentum=momentum), []
                source = batches(y, size, stratified, seed)
                for _ in range(n_batches):
                    rows = next(source)
                    means.append(1 - loss(logits[rows], y[rows]).item())
                # The running mean has settled in the second half.
                values[f"mean of batches, {name}"] = np.mean(means[n_batches // 2 :])
            source = batches(y, size, False, seed)
            empty = [not y[next(source)].any() for _ in range(n_batches)]
            values["batches without positives"] = np.mean(empty)
            row.append(values)
    report(
        "anyloss_net_bias", [medians({"batch": size}, r) for size, r in found.items()]
    )


METHODS = (
    ("plain", False, None),
    ("stratified", True, None),
    ("momentum .99", False, 0.99),
    ("stratified and momentum", True, 0.99),
)


def medians(head, rows):
    return head | {k: float(np.median([row[k] for row in rows])) for k in rows[0]}


def training():
    """Test value after 1500 steps of Adam."""
    rows = []
    for metric in ("f1", "matthews_corrcoef"):
        full = [full_batch(metric, seed) for seed in SEEDS]
        for size in BATCH_SIZES:
            found = []
            for seed in SEEDS:
                X, y, X_test, y_test = rare_class(seed)
                values = {}
                for name, stratified, momentum in METHODS:
                    loss = AnyLoss(metric, momentum=momentum)
                    module = train(loss, X, y, seed, size, stratified)
                    values[name] = score(metric, module, X_test, y_test)
                found.append(values)
            head = {"test value of": metric, "batch": size}
            rows.append(medians(head, found) | medians({}, full))
    report("anyloss_net_training", rows)


def full_batch(metric, seed):
    """All rows in each step; and cross-entropy with its best training threshold."""
    X, y, X_test, y_test = rare_class(seed)
    module = train(AnyLoss(metric), X, y, seed, n_steps=300, lr=0.03)
    values = {"full batch, 300 steps": score(metric, module, X_test, y_test)}
    entropy = train(AnyLoss(mix=0.0), X, y, seed, 256)
    values["cross-entropy, batch 256"] = score(metric, entropy, X_test, y_test)
    with torch.no_grad():
        z, z_test = (entropy(part)[:, 0].numpy() for part in (X, X_test))
    threshold, _ = optimal_threshold(y, z, metric)
    values["and its best threshold"] = get_confusion_metric(metric).score(
        y_test, z_test > threshold
    )
    return values


def time():
    """Forward and backward of a loss alone, beside the cross-entropy of torch."""
    rows = []
    for n in (256, 10_000, 1_000_000):
        logits = torch.randn(n, requires_grad=True)
        y = (torch.rand(n) < PREVALENCE).float()
        losses = {
            "binary_cross_entropy_with_logits": F.binary_cross_entropy_with_logits,
            "AnyLoss f1": AnyLoss(),
            "AnyLoss f1, momentum": AnyLoss(momentum=0.99),
            "AnyLoss mcc": AnyLoss("mcc"),
            "AnyLoss of a function": AnyLoss(
                lambda tn, fp, fn, tp: tp / (tp + fp + fn)
            ),
            "the formula of f1, by autograd": naive_f1,
        }
        n_calls = max(3, min(500, 3_000_000 // n))
        runs = [partial(repeat, loss, logits, y, n_calls) for loss in losses.values()]
        times, _ = cpu_times(*runs, repeats=7)
        for name, seconds in zip(losses, times):
            rows.append(
                {
                    "rows": n,
                    "loss": name,
                    "microseconds": seconds / n_calls * 1e6,
                    "times cross-entropy": seconds / times[0],
                }
            )
    report("anyloss_net_time", rows)


def naive_f1(logits, y):
    a = torch.sigmoid(logits)
    tp = (y * a).sum()
    return 1 - 2 * tp / (y.sum() + a.sum())


def repeat(loss, logits, y, n_calls):
    for _ in range(n_calls):
        logits.grad = None
        loss(logits, y).backward()


def curvature_of(metric, kind):
    """Make the objective with other second derivatives."""
    objective, value = metric_objective(metric), get_confusion_metric(metric)

    def other(y, z, weight=None):
        gradient, bound = objective(y, z, weight)
        a, slopes = amplify(z)
        by_tp, by_fp = value.slopes(*soft_confusion(y, a, weight))
        size = len(y) * np.abs(np.where(y == 1, by_tp, by_fp))
        hessian = {
            "bound of second derivative (ours)": bound,
            "its absolute value": size * np.abs(slopes * (1 - 2 * a)),
            "a (1 - a)": size * slopes,
            "one": np.ones_like(z),
        }[kind]
        return gradient, np.maximum(hessian, 1e-6)

    return other


def boosting(n=6000):
    """LightGBM with the objective, for choices of the second derivatives."""
    import lightgbm

    warnings.filterwarnings("ignore", category=UserWarning)
    settings = {"num_leaves": 15, "n_estimators": 100, "verbose": -1, "n_jobs": 1}
    kinds = (
        "bound of second derivative (ours)",
        "its absolute value",
        "a (1 - a)",
        "one",
    )
    rows = []
    for metric in ("f1", "matthews_corrcoef", "geometric_mean"):
        value = get_confusion_metric(metric).score
        for prevalence in (0.03, 0.1):
            found = []
            for seed in SEEDS:
                X, X_test, y, y_test = hard_classes(n, prevalence, seed)
                plain = lightgbm.LGBMClassifier(**settings).fit(X, y)
                p_test = plain.predict_proba(X_test)[:, 1]
                held_out = out_of_fold(lightgbm.LGBMClassifier(**settings), X, y)
                threshold, _ = optimal_threshold(y, held_out, metric)
                values = {
                    "logistic loss": value(y_test, p_test > 0.5),
                    "and tuned threshold": value(y_test, p_test > threshold),
                }
                for kind in kinds:
                    model = lightgbm.LGBMClassifier(
                        objective=curvature_of(metric, kind), **settings
                    ).fit(X, y)
                    raw = model.predict(X_test, raw_score=True)
                    values[kind] = value(y_test, raw > 0)
                found.append(values)
            rows.append(medians({"metric": metric, "positives": prevalence}, found))
    report("anyloss_boosting", rows)


def hard_classes(n, prevalence, seed):
    X, y = make_classification(
        n,
        n_features=10,
        n_informative=5,
        n_clusters_per_class=3,
        weights=[1 - prevalence],
        flip_y=0.02,
        class_sep=0.8,
        random_state=seed,
    )
    return train_test_split(X, y, test_size=0.5, stratify=y, random_state=seed)


def out_of_fold(model, X, y):
    from sklearn.model_selection import cross_val_predict

    return cross_val_predict(model, X, y, cv=5, method="predict_proba")[:, 1]


CASES = {"bias": bias, "training": training, "time": time, "boosting": boosting}

if __name__ == "__main__":
    torch.set_num_threads(1)
    for case in sys.argv[1:] or CASES:
        CASES[case]()
