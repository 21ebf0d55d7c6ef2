"""VQ-Logits: quality, size and time of heads of codes, beside dense and other heads.

Cases (all by default, each under three minutes of one CPU):
text        the layer of a next-token net converted, without training of the codes
refit       the same codes fitted to the labels, and heads trained on the same features
scratch     nets trained from the start, for equal numbers of steps
mixture     5000 classes by Zipf's law, whose softmax regression is known
time        loss, most probable classes and probabilities; one and 50257 classes
solver      the fit of the codes, beside LogisticRegression
The text is the source of Python's standard library. What "refit" and "scratch" have
measured is kept in the folder of temporary files, so that they may be interrupted.
"""

import json
import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import torch
from _common import cpu_times, report
from _text_windows import (
    N_TOKENS,
    WIDTH,
    WindowNet,
    text_features,
    token_windows,
    train,
)
from scipy.linalg import solve_triangular, svd
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn import functional as F

from sklogit.heads import VQLogitsHead
from sklogit.heads._feature_moments import FeatureMoments
from sklogit.heads._vector_quantize import metric_root
from sklogit.heads._vq_conversion import LinearCodes
from sklogit.neural import VQLogitsClassifier

NUMBERS_OF_CODES = (64, 128, 256, 512, 1024)
MAPPINGS = ("random", "frequency", "kmeans", "weighted_kmeans")
N_METRIC = 10_000  # rows that give the metric


def quality(nll, dense_nll, top1, head_parameters, n_bytes, dense_bytes):
    return {
        "NLL": nll,
        "excess": nll - dense_nll,
        "perplexity ratio": float(np.exp(nll - dense_nll)),
        "top-1": top1,
        "parameters": head_parameters,
        "bytes, dense / head": dense_bytes / n_bytes,
    }


@torch.no_grad()
def of_head(head, X, y, dense_nll, dense_bytes):
    """Quality of a head of codes."""
    head.eval()
    nll = head.nll(X, y).mean().item()
    top1 = (head.predict(X) == y).float().mean().item()
    n_parameters = sum(p.numel() for p in head.parameters())
    n_bytes = sum(t.nbytes for t in head.state_dict().values())
    return quality(nll, dense_nll, top1, n_parameters, n_bytes, dense_bytes)


@torch.no_grad()
def of_logits(logits, X, y, n_parameters, dense_nll, dense_bytes):
    """Quality of a head that makes all logits."""
    nll, right = 0.0, 0
    for rows, target in zip(X.split(1000), y.split(1000)):
        z = logits(rows)
        nll += F.cross_entropy(z, target, reduction="sum").item() / len(y)
        right += (z.argmax(dim=1) == target).sum().item()
    top1, dense_nll = right / len(y), nll if dense_nll is None else dense_nll
    return quality(nll, dense_nll, top1, n_parameters, 4 * n_parameters, dense_bytes)


def as_published(W, b, n_codes):
    """Plain k-means and equal shares, read literally: centroids of unweighted rows."""
    kmeans = KMeans(n_codes, n_init=1, random_state=0).fit(W)
    codes = np.unique(kmeans.labels_, return_inverse=True)[1]
    sizes = np.bincount(codes)
    centroids = np.array([W[codes == k].mean(axis=0) for k in range(len(sizes))])
    # The bias of a class becomes the mean of its code's.
    bias = np.bincount(codes, b) / sizes + np.log(sizes)
    parts = LinearCodes(codes, centroids, bias, -np.log(sizes)[codes])
    like = torch.as_tensor(W)
    return VQLogitsHead._of_parts(parts, like, kind="uniform", smoothing=0.5)


def low_rank(W, b, X, rank):
    """Best layer of low rank for the mean squared error of the logits."""
    moments = FeatureMoments(X)
    root = metric_root(moments.covariance)
    U, s, Vt = svd(W @ root, full_matrices=False)
    left = U[:, :rank] * s[:rank]
    right = solve_triangular(root, Vt[:rank].T, lower=True, trans=1).T
    bias = b + (W - left @ right) @ moments.mean
    left, right, bias = (
        torch.as_tensor(a, dtype=torch.float32) for a in (left, right, bias)
    )
    n_parameters = left.numel() + right.numel() + bias.numel()
    return (lambda rows: F.linear(rows @ right.T, left, bias)), n_parameters


def text_data():
    data = text_features()
    X, y, X_test, y_test, W, b = map(torch.as_tensor, data.values())
    n_bytes = W.nbytes + b.nbytes
    dense = of_logits(
        lambda rows: F.linear(rows, W, b),
        *(X_test, y_test, W.numel() + b.numel(), None, n_bytes),
    )
    return X, y, X_test, y_test, W, b, dense


def text():
    """Conversion without training."""
    X, y, X_test, y_test, W, b, dense = text_data()
    dense_bytes = W.nbytes + b.nbytes
    test = X_test, y_test, dense["NLL"], dense_bytes
    counts = np.bincount(y, minlength=N_TOKENS)
    rows = [{"head": "dense", "codes": N_TOKENS, "shares": "", "seconds": 0.0} | dense]
    p = torch.as_tensor((counts + 0.5) / (counts + 0.5).sum(), dtype=torch.float32)
    one = of_logits(
        lambda rows: p.log().expand(len(rows), -1), X_test, y_test, N_TOKENS, *test[2:]
    )
    rows.append(
        {"head": "class counts only", "codes": 1, "shares": "", "seconds": 0.0} | one
    )
    for rank in (3, 8, 16, 32):
        start = time.process_time()
        logits, size = low_rank(W.numpy(), b.numpy(), X[:N_METRIC].numpy(), rank)
        seconds = time.process_time() - start
        row = {"head": f"rank {rank}", "codes": "", "shares": "", "seconds": seconds}
        rows.append(row | of_logits(logits, X_test, y_test, size, *test[2:]))
    for K in NUMBERS_OF_CODES:
        start = time.process_time()
        head = as_published(W.numpy(), b.numpy(), K)
        row = {"head": "plain k-means, literally", "codes": K, "shares": "uniform"}
        row["seconds"] = time.process_time() - start
        rows.append(row | of_head(head, *test))
        for mapping in MAPPINGS:
            for within in ("uniform", "prior") if K == 128 else ("prior",):
                start = time.process_time()
                head = VQLogitsHead.from_linear(
                    W,
                    b,
                    n_codes=K,
                    mapping=mapping,
                    within=within,
                    class_counts=counts,
                    features=X[:N_METRIC],
                    random_state=0,
                )
                row = {"head": mapping, "codes": len(head.codebook), "shares": within}
                row["seconds"] = time.process_time() - start
                rows.append(row | of_head(head, *test))
    report("vq_logits_text", rows)


class LayerOfNet(BaseEstimator):
    """The layer of the net as a fitted classifier of scikit-learn."""

    def __init__(self, W, b):
        self.coef_, self.intercept_ = W.numpy(), b.numpy()
        self.classes_ = np.arange(len(W))

    def fit(self, X, y):
        """Stay as it is."""
        return self


def refit():
    """Codes fitted to the labels, and other heads trained on the same features."""
    data = text_data()
    rows = [
        {"head": "dense", "codes": N_TOKENS, "start": "", "seconds": 0.0} | data[-1]
    ]
    cases = [("weighted_kmeans", K, "layer", {}) for K in (64, 128, 256)]
    cases += [
        ("weighted_kmeans", 128, "layer", {"C": 0.01}),
        ("weighted_kmeans", 128, "layer", {"mapping_updates": 1}),
        ("weighted_kmeans", 128, "class means", {}),
        *((mapping, 128, "layer", {}) for mapping in MAPPINGS[:3]),
        ("random", 128, "layer", {"mapping_updates": 3}),
    ]
    for case in cases:
        rows.append(remembered(refitted, *case, data=data))
    for name in ("AdaptiveLogSoftmaxWithLoss", "rank 16"):
        rows.append(remembered(trained_head, name, data=data))
    report("vq_logits_refit", rows)


def refitted(mapping, K, start, options, data):
    X, y, X_test, y_test, W, b, dense = data
    estimator = FrozenEstimator(LayerOfNet(W, b)) if start == "layer" else None
    clf = VQLogitsClassifier(
        K, mapping=mapping, estimator=estimator, max_iter=30, random_state=0, **options
    )
    began = time.process_time()
    clf.fit(X.numpy(), y.numpy())
    seconds = time.process_time() - began
    told = "".join(f", {name}={value}" for name, value in options.items())
    row = {"head": mapping + told, "codes": clf.n_codes_, "start": start}
    test = X_test, y_test, dense["NLL"], W.nbytes + b.nbytes
    return row | {"seconds": seconds} | of_head(clf.to_head(), *test)


def trained_head(name, data, n_epochs=2):
    """Train another head on the features."""
    X, y, X_test, y_test, W, b, dense = data
    counts = torch.bincount(y, minlength=N_TOKENS)
    rank_of = counts.argsort(descending=True, stable=True).argsort()
    torch.manual_seed(0)
    head, began = new_head(name, counts), time.process_time()
    loss, logits = losses(head, rank_of)
    train(loss, [head], X, y, n_epochs, lr=5e-3)
    row = {"head": name, "codes": "", "start": f"random, {n_epochs} epochs"}
    row["seconds"] = time.process_time() - began
    size = sum(p.numel() for p in head.parameters())
    n_bytes = W.nbytes + b.nbytes
    return row | of_logits(logits, X_test, y_test, size, dense["NLL"], n_bytes)


def remembered(measure, *args, **data):
    """Return what is measured, or was by an earlier run."""
    path = Path(tempfile.gettempdir()) / "sklogit_bench_vq_logits.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    key = f"{measure.__name__}{args}"
    if key not in known:
        value = measure(*args, **data)
        known[key] = value
        path.write_text(json.dumps(known))
    return known[key]


def scratch(n_epochs=2):
    """Net and head trained from the start, for the same number of steps."""
    data = [torch.as_tensor(array) for array in token_windows()]
    rows = [remembered(from_start, "dense", n_epochs, None, data=data)]
    for name in (
        "rank 16",
        "AdaptiveLogSoftmaxWithLoss",
        "128 codes, random",
        "128 codes, frequency",
        "128 codes, random, updated after an epoch",
        "128 codes, frequency, updated after an epoch",
    ):
        args = name, n_epochs, rows[0]["NLL"]
        rows.append(remembered(from_start, *args, data=data))
    report("vq_logits_scratch", rows)


def from_start(name, n_epochs, dense_nll, data):
    X, y, X_test, y_test = data
    counts = torch.bincount(y, minlength=N_TOKENS)
    rank_of = counts.argsort(descending=True, stable=True).argsort()
    torch.manual_seed(0)
    net, head = WindowNet(), new_head(name, counts)
    after_epoch = None
    if "updated" in name:
        after_epoch = partial(update, net, head, X, y, n_epochs)
    loss, logits = losses(head, rank_of)
    step = train(
        lambda rows, target: loss(net(rows), target),
        *([net, head], X, y, n_epochs),
        after_epoch=after_epoch,
    )
    with torch.no_grad():
        features = net(X_test)
    n_bytes = 4 * N_TOKENS * (WIDTH + 1)
    if isinstance(head, VQLogitsHead):
        values = of_head(head, features, y_test, dense_nll, n_bytes)
    else:
        size = sum(p.numel() for p in head.parameters())
        values = of_logits(logits, features, y_test, size, dense_nll, n_bytes)
    return {"head": name, "ms a step": 1e3 * step} | values


def new_head(name, counts):
    if name == "dense":
        return nn.Linear(WIDTH, N_TOKENS)
    if name == "rank 16":
        return nn.Sequential(nn.Linear(WIDTH, 16, bias=False), nn.Linear(16, N_TOKENS))
    if name.startswith("Adaptive"):
        return nn.AdaptiveLogSoftmaxWithLoss(WIDTH, N_TOKENS, [500, 2500], div_value=4)
    mapping = "random" if "random" in name else "frequency"
    return VQLogitsHead(
        WIDTH, N_TOKENS, n_codes=128, mapping=mapping, class_counts=counts
    )


def losses(head, rank_of):
    """Loss of a batch of features, and log-probabilities, of any of the heads."""
    if isinstance(head, VQLogitsHead):
        return (lambda rows, target: head.nll(rows, target).mean()), head.log_prob
    if isinstance(head, nn.AdaptiveLogSoftmaxWithLoss):
        return (
            lambda rows, target: head(rows, rank_of[target]).loss,
            lambda rows: head.log_prob(rows)[:, rank_of],
        )
    return (lambda rows, target: F.cross_entropy(head(rows), target)), head


@torch.no_grad()
def update(net, head, X, y, n_epochs, epoch):
    if epoch + 1 < n_epochs:  # the codes need steps to follow
        head.update_mapping((net(X[rows]), y[rows]) for rows in chunks(len(y)))


def chunks(n, size=8192):
    return torch.arange(n).split(size)


def zipf_mixture(spread, n_classes=5000, d=32, n=40_000, n_test=10_000):
    """Gaussian classes by Zipf's law: means, log-priors, and rows of two samples."""
    rng = np.random.default_rng(0)
    p = rng.permutation(1 / np.arange(1, n_classes + 1))
    p /= p.sum()
    means = rng.standard_normal((n_classes, d)) * np.exp(-np.arange(d) / 6)
    means *= spread
    y = np.concatenate([np.arange(n_classes), rng.choice(n_classes, n + n_test, p=p)])
    X = (means[y] + rng.standard_normal((len(y), d))).astype(np.float32)
    return means, np.log(p), X[:-n_test], y[:-n_test], X[-n_test:], y[-n_test:]


def mixture():
    """Codes of softmax regressions that are known to be right."""
    rows = []
    for spread in (1.0, 2.5):
        rows += of_mixture(spread)
    report("vq_logits_mixture", rows)


def of_mixture(spread):
    means, log_p, *arrays = zipf_mixture(spread)
    # Log-odds of Gaussians of unit covariance are linear.
    W = torch.as_tensor(means, dtype=torch.float32)
    b = torch.as_tensor(log_p - (means**2).sum(axis=1) / 2, dtype=torch.float32)
    X, y, X_test, y_test = map(torch.as_tensor, arrays)
    dense = of_logits(
        lambda rows: F.linear(rows, W, b),
        *(X_test, y_test, W.numel() + b.numel(), None, W.nbytes + b.nbytes),
    )
    test = X_test, y_test, dense["NLL"], W.nbytes + b.nbytes
    head = {"spread of the means": spread}
    yield head | {"head": "dense, true", "codes": len(W), "seconds": 0.0} | dense
    prior = torch.as_tensor(log_p, dtype=torch.float32)
    values = of_logits(
        lambda rows: prior.expand(len(rows), -1), X_test, y_test, len(W), *test[2:]
    )
    yield head | {"head": "priors only", "codes": 1, "seconds": 0.0} | values
    for rank in (4, 8, 16):
        began = time.process_time()
        logits, size = low_rank(W.numpy(), b.numpy(), X.numpy(), rank)
        row = {"head": f"rank {rank}", "codes": ""}
        row["seconds"] = time.process_time() - began
        yield head | row | of_logits(logits, X_test, y_test, size, *test[2:])
    for K in (128, 512):
        for name in ("plain k-means, literally", *MAPPINGS, "VQLogitsClassifier"):
            began = time.process_time()
            codes = codes_of_mixture(name, K, X, y, W, b)
            row = {"head": name, "codes": len(codes.codebook)}
            row["seconds"] = time.process_time() - began
            yield head | row | of_head(codes, *test)


def codes_of_mixture(name, K, X, y, W, b):
    if name == "VQLogitsClassifier":
        clf = VQLogitsClassifier(K, max_iter=30, random_state=0)
        return clf.fit(X.numpy(), y.numpy()).to_head()
    if name not in MAPPINGS:
        return as_published(W.numpy(), b.numpy(), K)
    return VQLogitsHead.from_linear(
        *(W, b),
        n_codes=K,
        mapping=name,
        class_counts=torch.bincount(y, minlength=len(W)),
        features=X[:N_METRIC],
        random_state=0,
    )


def timing():
    """Milliseconds of what a head does, beside the dense layer, in turns."""
    rows = []
    for V, d, K, n in (
        (8000, 96, 128, 1024),
        (50257, 512, 1024, 512),
        (50257, 512, 1024, 1),
    ):
        torch.manual_seed(0)
        X, y = torch.randn(n, d, requires_grad=True), torch.randint(V, (n,))
        cut = [2000, 10_000] if V > 8000 else [500, 2500]
        heads = {
            "dense": nn.Linear(d, V),
            "AdaptiveLogSoftmaxWithLoss": nn.AdaptiveLogSoftmaxWithLoss(
                d, V, cut, div_value=4
            ),
            f"{K} codes": VQLogitsHead(
                d, V, n_codes=K, class_counts=1 / torch.arange(1, V + 1)
            ),
        }
        found = {name: {} for name in heads}
        tasks = ("loss", "loss and gradient", "10 best", "all probabilities")
        for task in tasks:
            runs = [partial(do, task, head, X, y) for head in heads.values()]
            times, _ = cpu_times(*runs, repeats=5 if n > 1 else 50)
            for name, seconds in zip(heads, times):
                found[name][task] = 1e3 * seconds
        for name, values in found.items():
            row = {"classes": V, "features": d, "rows": n, "head": name}
            for task in tasks:
                row[f"{task}, ms"] = values[task]
                row[f"{task}, dense / head"] = found["dense"][task] / values[task]
            rows.append(row)
    report("vq_logits_time", rows)


def do(task, head, X, y):
    loss, _ = losses(head, torch.arange(int(y.max()) + 1))
    if task == "loss and gradient":
        loss(X, y).backward()
        return
    with torch.no_grad():
        if task == "loss":
            loss(X, y)
        elif task == "all probabilities":
            of_codes = isinstance(head, VQLogitsHead | nn.AdaptiveLogSoftmaxWithLoss)
            head.log_prob(X).exp() if of_codes else head(X).softmax(dim=1)
        elif isinstance(head, VQLogitsHead):
            head.predict_topk(X, 10)
        else:
            z = head(X) if isinstance(head, nn.Linear) else head.log_prob(X)
            z.topk(10)


def solver(n=60_000, K=128):
    """Fit codes, beside LogisticRegression on the same codes."""
    X, y, *_ = text_data()
    X, y = X[:n].numpy(), y[:n].numpy()
    mapped = VQLogitsClassifier(K, max_iter=1, random_state=0).fit(X, y)
    classes, codes = mapped.classes_, mapped.codes_
    target = codes[np.searchsorted(classes, y)]
    rows = []
    for max_iter in (10, 30, 100):
        ours = VQLogitsClassifier(mapping=codes, max_iter=max_iter, tol=0)
        peer = LogisticRegression(max_iter=max_iter, tol=1e-12)
        times, fitted = cpu_times(
            lambda ours=ours: ours.fit(X, y),
            lambda peer=peer: peer.fit(X, target),
            repeats=1,
        )
        for name, seconds, clf in zip(("ours", "LogisticRegression"), times, fitted):
            W = clf.codebook_ if name == "ours" else clf.coef_
            b = clf.code_intercept_ if name == "ours" else clf.intercept_
            z = torch.as_tensor(X.astype(np.float64) @ W.T + b)
            value = F.cross_entropy(z, torch.as_tensor(target, dtype=torch.int64))
            value = value.item() + (W.astype(np.float64) ** 2).sum() / (2 * n)
            rows.append(
                {
                    "fit": name,
                    "iterations": max_iter,
                    "seconds": seconds,
                    "objective": f"{value:.5f}",
                }
            )
    report("vq_logits_solver", rows)


CASES = {
    "text": text,
    "refit": refit,
    "scratch": scratch,
    "mixture": mixture,
    "time": timing,
    "solver": solver,
}

if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=ConvergenceWarning)
    torch.set_num_threads(1)
    for case in sys.argv[1:] or CASES:
        CASES[case]()
