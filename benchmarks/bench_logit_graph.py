"""Graphs of logits: bounds and speed beside POT, and fusion beside what it replaces.

    SKLOGIT_DATA=... python benchmarks/bench_logit_graph.py PART [PART ...]

Parts: bounds, time, similarity, tokens, and digits, usps, mnist, cifar10 for fusion.
"bounds" and "time" need POT. What was measured of fusion is kept in the folder of
temporary files, and its table is made of all of it: parts may be run one by one, and
seeds, as in "usps:3".

Claims: the bounds hold; without the graph the loss is linear in its nodes, and more
than fifty times as fast as through the graph, or as the solver, at 1,000 nodes. Of
fusion the table says what it gains over labels alone, and that knowing which class is
which, where one can, gains more.
"""

import json
import sys
import tempfile
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import torch
from _common import cpu_times, report
from scipy.stats import spearmanr, t
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import LabelEncoder
from torch import nn
from torch.nn import functional as F

from sklogit.distillation import (
    DualHeadDistillationClassifier,
    FusionDistillationClassifier,
    GromovWassersteinLogitDistance,
)
from sklogit.losses import (
    coactivation_graph,
    graph_features,
    graph_logit_loss,
    gw_sorted_bounds,
)

KEPT = Path(tempfile.gettempdir()) / "sklogit_logit_graph.json"
SEEDS = range(5)
T = 256  # positions of the sequences that are timed


# -- bounds and time -------------------------------------------------------------------


def cost_of(P, C, D, order):
    """Cost of a coupling, by its definition."""
    gaps = np.abs(C[:, None, :, None] - D[None, :, None, :]) ** order
    return np.einsum("ikjl,ik,jl", gaps, P, P, optimize=True)


def random_pair(kind, rng):
    """Two graphs, of 12 nodes or of different sizes, and weights of their nodes."""
    k, m = (12, 12) if kind != "sizes and weights differ" else rng.integers(4, 13, 2)
    if kind == "random symmetric":
        C, D = (A + A.T for A in rng.standard_normal((2, 12, 12)))
    else:
        Z = [rng.standard_normal((64, n)) * rng.gamma(1.0, size=n) for n in (k, m)]
        Z = [-np.sort(-z.astype(float)) for z in Z]
        Z = [np.exp(z) / np.exp(z).sum(axis=1, keepdims=True) for z in Z]
        C, D = map(coactivation_graph, Z)
    p, q = np.full(k, 1 / k), np.full(m, 1 / m)
    if kind == "sizes and weights differ":
        p, q = rng.dirichlet(np.ones(k)), rng.dirichlet(np.ones(m))
    return C, D, p, q


def couplings_of_pot(C, D, p, q, rng, n_starts=2):
    """Couplings that POT finds from several starts."""
    import ot

    starts = [np.outer(p, q)]
    starts += [ot.emd(p, q, rng.random((len(p), len(q)))) for _ in range(n_starts - 1)]
    solve = partial(
        ot.gromov.gromov_wasserstein, C, D, p, q, "square_loss", max_iter=50
    )
    return [solve(G0=start) for start in starts]


def bench_bounds(n_pairs=200):
    rows = []
    for kind in ("logits", "random symmetric", "sizes and weights differ"):
        rng = np.random.default_rng(0)
        found = {1: [], 2: []}
        for _ in range(n_pairs):
            C, D, p, q = random_pair(kind, rng)
            couplings = couplings_of_pot(C, D, p, q, rng)
            for order, values in found.items():
                bounds = gw_sorted_bounds(C, D, p=p, q=q, order=order)
                best = min(cost_of(P, C, D, order) for P in couplings)
                values.append((*bounds, best))
        for order, values in found.items():
            lower, upper, best = np.transpose(values)
            # A coupling of ours may be better than those of the solver.
            least = np.minimum(best, upper)
            rows.append(
                {
                    "graphs": kind,
                    "power": order,
                    "pairs": n_pairs,
                    "violations": int((lower > least * (1 + 1e-9) + 1e-15).sum()),
                    "lower / least, median": float(np.median(lower / least)),
                    "lowest": float((lower / least).min()),
                    "upper / least, median": float(np.median(upper / least)),
                    "rank correlation": float(spearmanr(lower, least)[0]),
                    "coupling as good as POT's": float((upper <= best + 1e-12).mean()),
                }
            )
    report("logit_graph_bounds", rows)


def through_the_graph(Z, Y):
    """Compute the distance as its definition has it."""
    f, g = (x.mT @ x / len(x) for x in (Z, Y))
    f, g = (graph.mean(dim=1).sort().values for graph in (f, g))
    return (f - g).abs().mean()


def without_graph(Z, Y):
    f, g = graph_features(Z).sort().values, graph_features(Y).sort().values
    return (f - g).abs().mean()


def with_gradient(function, Z, Y):
    def step():
        Z.grad = None
        function(Z, Y).backward()
        return Z.grad

    return step


def repeated(step, times):
    for _ in range(times):
        step()


def pot_solver(Z, Y, max_iter):
    import ot

    C, D = (coactivation_graph(x.detach().double().numpy()) for x in (Z, Y))
    return ot.gromov.gromov_wasserstein2(
        C, D, loss_fun="square_loss", max_iter=max_iter
    )


def bench_time():
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    rows = []
    for k in (50, 100, 200, 500, 1000, 2000):
        Z, Y = (
            torch.randn(T, k, generator=generator).softmax(dim=1).sort().values
            for _ in range(2)
        )
        Z.requires_grad_()
        fast, slow = (
            with_gradient(f, Z, Y) for f in (without_graph, through_the_graph)
        )
        in_a_row = partial(repeated, fast, 20)
        (cold_s, slow_s), (ours, theirs) = cpu_times(fast, slow, repeats=15)
        (fast_s,), _ = cpu_times(in_a_row, repeats=5)
        fast_s /= 20
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-9)
        row = {
            "nodes": k,
            "fast path, ms": 1e3 * fast_s,
            "with cold caches, ms": 1e3 * cold_s,
            "through the graph, ms": 1e3 * slow_s,
            "graph / fast": slow_s / fast_s,
            "POT, s": "",
            "POT / fast": "",
        }
        if k in (100, 1000):
            solver = partial(pot_solver, Z, Y, 10_000 if k == 100 else 3)
            (pot_s,), _ = cpu_times(solver, repeats=1)
            mark = "" if k == 100 else ">= "  # three iterations only
            row["POT, s"] = f"{mark}{pot_s:.3g}"
            row["POT / fast"] = f"{mark}{pot_s / fast_s:.3g}"
        rows.append(row)
    report("logit_graph_time", rows)
    bench_whole_loss(generator)


def bench_whole_loss(generator):
    """Of logits, with softmax and the k greatest, beside a cross-entropy."""
    rows = []
    n, n_positions, n_classes = 8, 64, 4096
    student, teacher = torch.randn(2, n, n_positions, n_classes, generator=generator)
    student.requires_grad_()
    target = torch.randint(n_classes, (n * n_positions,), generator=generator)

    def cross_entropy(student, _):
        return F.cross_entropy(student.flatten(0, 1), target)

    for k in (10, 100, 1000):

        def graph(student, teacher, k=k):
            return graph_logit_loss(student, teacher, k=k)

        steps = [with_gradient(f, student, teacher) for f in (graph, cross_entropy)]
        (loss_s, ce_s), _ = cpu_times(*steps, repeats=5)
        rows.append(
            {
                "positions": n * n_positions,
                "classes": n_classes,
                "nodes": k,
                "loss with gradient, ms": 1e3 * loss_s,
                "cross-entropy with gradient, ms": 1e3 * ce_s,
                "ratio": loss_s / ce_s,
            }
        )
    report("logit_graph_loss_time", rows)


# -- models that are alike -------------------------------------------------------------


def bench_similarity():
    X, y = load_digits(return_X_y=True)
    X = X / 16
    X_train, X_seen, y_train, _ = train_test_split(X, y, test_size=500, random_state=0)
    turned = X_train.reshape(-1, 8, 8).transpose(0, 2, 1).reshape(-1, 64)
    fewer = np.random.default_rng(0).permutation(len(y_train))[:100]
    families = {
        "digits": (X_train, y_train),
        "digits modulo 5": (X_train, y_train % 5),
        "digits, turned": (turned, y_train),
        "100 digits": (X_train[fewer], y_train[fewer]),
    }
    models, of = [], []
    for family, (X_family, y_family) in enumerate(families.values()):
        for seed in range(5):
            net = MLPClassifier((64,), max_iter=40, random_state=seed)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                net.fit(X_family, y_family)
            p = np.maximum(net.predict_proba(X_seen), 1e-12)
            models.append(np.log(p))
            of.append(family)
    same = np.equal.outer(of, of)[np.triu_indices(len(of), 1)]
    rows = []
    for transform in ("softmax", "zscore", "center"):
        distance = GromovWassersteinLogitDistance(logit_transform=transform)
        pairs = distance.fit_transform(models)[np.triu_indices(len(of), 1)]
        row = {"transform": transform, "models": len(of), "families": len(families)}
        row["AUC, same family against others"] = roc_auc_score(same, -pairs)
        rows.append(row)
    report("logit_graph_similarity", rows)


# -- fusion ----------------------------------------------------------------------------


def data_of(name):
    """Load data from 0 to 1, or standardised features, and labels."""
    if name == "digits":
        X, y = load_digits(return_X_y=True)
        return (X / 16).astype(np.float32), y
    from sklogit import datasets

    if name == "usps":
        return datasets.load_usps(return_X_y=True)
    if name == "mnist":
        X, y = datasets.load_mnist_t10k(return_X_y=True)
        return (X / 255).astype(np.float32), y
    X, y = datasets.load_cifar10_small(features="efficientnet_lite0", return_X_y=True)
    return ((X - X.mean(axis=0)) / X.std(axis=0)).astype(np.float32), y


def teachers_of(X, y, seed):
    """Three classifiers of one label set, each of a third of the data."""
    kinds = (
        LogisticRegression(C=0.1, max_iter=200),
        RandomForestClassifier(100, min_samples_leaf=2, random_state=seed),
        MLPClassifier((100,), max_iter=30, early_stopping=True, random_state=seed),
    )
    thirds = np.array_split(np.random.default_rng(seed).permutation(len(y)), 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [kind.fit(X[rows], y[rows]) for kind, rows in zip(kinds, thirds)]


def foreign_teachers_of(X, y, seed):
    """Two of other label sets: five coarse classes, and thirty fine ones."""
    rng = np.random.default_rng(seed)
    coarse = rng.permutation(10)[y] // 2
    direction = rng.standard_normal(X.shape[1])
    fine = 3 * y
    for label in range(10):
        rows = np.flatnonzero(y == label)
        position = np.argsort(np.argsort(X[rows] @ direction))
        fine[rows] += position * 3 // len(rows)
    return [
        LogisticRegression(C=0.1, max_iter=200).fit(X, coarse),
        LogisticRegression(C=0.1, max_iter=200).fit(X, fine),
    ]


def log_probabilities(teacher, X):
    return np.log(np.maximum(teacher.predict_proba(X), 1e-6))


def fusion_scores(name, seed, n_labels=100):
    """Accuracies on the test part, of a student with few labels."""
    X, y = data_of(name)
    y = LabelEncoder().fit_transform(y)
    n_test = min(2000, len(y) // 4)
    X, X_test, y, y_test = train_test_split(
        X, y, test_size=n_test, stratify=y, random_state=seed
    )
    X_rest, X, y_rest, y = train_test_split(
        X, y, test_size=n_labels, stratify=y, random_state=seed
    )
    X_rest, y_rest = X_rest[:4000], y_rest[:4000]
    teachers = teachers_of(X_rest, y_rest, seed)
    logits = [log_probabilities(teacher, X) for teacher in teachers]
    rng = np.random.default_rng(seed)
    shuffled = [part[:, rng.permutation(10)] for part in logits]
    foreign = foreign_teachers_of(X_rest, y_rest, seed)
    foreign = [log_probabilities(teacher, X) for teacher in foreign]
    probabilities = [teacher.predict_proba(X_test) for teacher in teachers]
    accuracies = [(p.argmax(axis=1) == y_test).mean() for p in probabilities]
    average = np.mean(probabilities, axis=0).argmax(axis=1)
    scores = {
        "best teacher (needs its classes)": max(accuracies),
        "average of the teachers (needs their classes)": (average == y_test).mean(),
    }

    def student(teacher_logits, **params):
        net = FusionDistillationClassifier(random_state=seed, **SHARED, **params)
        if teacher_logits is None:
            return net.set_params(lam=0).fit(X, y).score(X_test, y_test)
        return net.fit(X, y, teacher_logits=teacher_logits).score(X_test, y_test)

    best = int(np.argmax(accuracies))
    scores["labels alone"] = student(None)
    scores["ULD, best teacher"] = student(shuffled[best], gld_weight=0)
    scores["ULD, three teachers"] = student(shuffled, gld_weight=0)
    scores["GLD, three teachers"] = student(shuffled, uld_weight=0)
    scores["ULD + GLD, three teachers"] = student(shuffled)
    scores["ULD + GLD, three teachers, lam=0.2"] = student(shuffled, lam=0.2)
    scores["ULD + GLD, teachers of other classes"] = student(foreign)
    kd = DualHeadDistillationClassifier(
        aux_head=None,
        logit_loss="kd",
        temperature=4.0,
        gamma=0.5,
        alpha=0.5,
        lr_milestones=(),
        monitor_conflicts=False,
        random_state=seed,
        **SHARED,
    )
    mean_logits = np.log(np.mean(np.exp(logits), axis=0))
    kd.fit(X, y, teacher_logits=mean_logits)
    scores["KD of the average (needs their classes)"] = kd.score(X_test, y_test)
    return {method: 100 * float(score) for method, score in scores.items()}


SHARED = {"hidden_layer_sizes": (32,), "max_epochs": 60}


def bench_fusion(name, seeds=SEEDS):
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    torch.set_num_threads(1)
    for seed in seeds:
        kept.setdefault(name, {})[str(seed)] = fusion_scores(name, seed)
        KEPT.write_text(json.dumps(kept))
    report_fusion({name: list(scores.values()) for name, scores in kept.items()})


def half_interval(values):
    """Half of the 95 % interval of a mean, by Student's t."""
    n = len(values)
    if n < 2:
        return np.full(values.shape[1:], np.nan)
    return t.ppf(0.975, n - 1) * values.std(axis=0, ddof=1) / n**0.5


def report_fusion(kept):
    rows = []
    for method in next(iter(kept.values()))[0]:
        row = {"method": method}
        for name, scores in kept.items():
            values = np.array([s[method] for s in scores])
            gain = values - np.array([s["labels alone"] for s in scores])
            row[f"{name}, %"] = f"{values.mean():.1f}"
            half = half_interval(gain)
            row[f"{name}, gain"] = (
                "" if method == "labels alone" else f"{gain.mean():+.1f} ± {half:.1f}"
            )
        rows.append(row)
    report("logit_graph_fusion", rows)


# -- next tokens -----------------------------------------------------------------------


class CharacterNet(nn.Module):
    """Features of each position, from the four characters before the next."""

    def __init__(self, n_tokens, width):
        super().__init__()
        self.embedding = nn.Embedding(n_tokens, 16)
        self.layers = nn.Sequential(nn.Conv1d(16, width, 4), nn.ReLU())

    def forward(self, tokens):
        """Compute features of shape (n, n_positions, width)."""
        e = self.embedding(tokens).mT
        return self.layers(F.pad(e, (3, 0))).mT


small, large = partial(CharacterNet, 128, 48), partial(CharacterNet, 128, 192)


def windows(text, folded, length=64):
    """Sequences of character codes and of the next ones; folded has one case."""
    codes = np.frombuffer(text.encode("ascii", "replace"), np.uint8).astype(np.int64)
    if folded:
        lower = text.lower()
        codes = np.frombuffer(lower.encode("ascii", "replace"), np.uint8)
        codes = codes.astype(np.int64)
    n = (len(codes) - 1) // length
    X, y = codes[: n * length], codes[1 : n * length + 1]
    return X.reshape(n, length), y.reshape(n, length)


def bench_tokens():
    """Students of little text; the teacher has other tokens, without upper case."""
    from sklogit.datasets import load_text_corpus

    torch.set_num_threads(1)
    texts = load_text_corpus("tinyshakespeare")
    train, rest, test = texts[:13_000], texts[100_000:300_000], texts[-30_000:]
    characters = np.unique(windows(texts, False)[0])
    shared = {"batch_size": 16, "lr": 0.1, "random_state": 0}
    teacher = FusionDistillationClassifier(
        lam=0, backbone=large, max_epochs=2, **shared
    ).fit(*windows(rest, True))
    X, y = windows(train, False)
    X_test, y_test = windows(test, False)
    logits = teacher.predict_log_proba(windows(train, True)[0])
    known = np.isin(y_test, characters)
    y_test = np.where(known, y_test, -100)
    runs = {}
    for seed in SEEDS:
        for method, params in {
            "labels alone": {"lam": 0},
            "ULD": {"gld_weight": 0},
            "GLD": {"uld_weight": 0},
            "ULD + GLD": {},
            "ULD + GLD, lam=0.2": {"lam": 0.2},
        }.items():
            params = shared | params | {"random_state": seed}
            student = FusionDistillationClassifier(
                backbone=small, max_epochs=10, classes=characters, **params
            )
            given = {} if params.get("lam") == 0 else {"teacher_logits": logits}
            student.fit(X, y, **given)
            runs.setdefault(method, []).append(token_scores(student, X_test, y_test))
        report_tokens(runs)  # after each seed, as all of them take a while


def report_tokens(runs):
    rows = []
    for method, scores in runs.items():
        scores = np.array(scores)
        gain = scores - np.array(runs["labels alone"])
        half = half_interval(gain)
        rows.append(
            {
                "method": method,
                "seeds": len(scores),
                "accuracy, %": f"{scores[:, 0].mean():.2f}",
                "gain": f"{gain[:, 0].mean():+.2f} ± {half[0]:.2f}",
                "loss, nats": f"{scores[:, 1].mean():.3f}",
                "change of the loss": f"{gain[:, 1].mean():+.3f} ± {half[1]:.3f}",
            }
        )
    report("logit_graph_tokens", rows)


def token_scores(student, X, y):
    """Accuracy and loss of the positions that count."""
    log_p = student.predict_log_proba(X)
    counts = y >= 0
    columns = np.searchsorted(student.classes_, np.where(counts, y, y.max()))
    nll = -np.take_along_axis(log_p, columns[..., None], axis=2)[..., 0]
    hits = log_p.argmax(axis=2) == columns
    return 100 * hits[counts].mean(), nll[counts].mean()


PARTS = {
    "bounds": bench_bounds,
    "time": bench_time,
    "similarity": bench_similarity,
    "tokens": bench_tokens,
}

if __name__ == "__main__":
    for part in sys.argv[1:] or [*PARTS, "digits", "usps", "mnist", "cifar10"]:
        name, _, seed = part.partition(":")
        if name in PARTS:
            PARTS[name]()
        else:
            bench_fusion(name, [int(seed)] if seed else SEEDS)
