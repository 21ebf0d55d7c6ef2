"""Training for a metric against tuned thresholds, class weights and resampling.

Claims: of the linear methods AnyLoss has the best mean rank in the metric it trains
for, and gains over a tuned threshold; on data that follow a logistic model it does not.
A fit takes at most three times as long as a logistic regression.

    SKLOGIT_DATA=... python benchmarks/bench_anyloss.py

with `keel`, `regimes`, `steepness`, `time` or `memory` for a part.

Test values of repeated stratified five-fold cross-validation, features standardised
within each training set. "LR + threshold" is TunedThresholdClassifierCV for the metric.
Gradient boosting is no peer but a ceiling, with its threshold tuned for the metric too.
"""

import argparse
import time
import tracemalloc
import warnings
from functools import partial

import numpy as np
from _common import cpu_times, report
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.pipeline import make_pipeline as make_resampling_pipeline
from joblib import Parallel, delayed
from scipy.stats import rankdata, studentized_range, wilcoxon
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, make_classification
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    RepeatedStratifiedKFold,
    StratifiedKFold,
    TunedThresholdClassifierCV,
    cross_val_predict,
)
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from sklogit.datasets import (
    get_data_home,
    keel_imbalanced_names,
    load_keel_imbalanced,
)
from sklogit.linear_model import AnyLossClassifier, AnyLossClassifierCV
from sklogit.metrics import get_confusion_metric, optimal_threshold
from sklogit.model_selection import corrected_resampled_ttest

METRICS = ("f1", "geometric_mean", "matthews_corrcoef", "balanced_accuracy")
FOLDS = 5
REFERENCE = "LR + threshold"
CEILING = "boosting + threshold"


def logistic(**options):
    """Make a logistic regression that converges."""
    return LogisticRegression(max_iter=1000, **options)


# Methods that know nothing of the metric: fitted once for all of them.
BLIND = {
    "LR": logistic,
    "LR balanced": lambda: logistic(class_weight="balanced"),
    "LR oversampled": lambda: make_resampling_pipeline(
        RandomOverSampler(random_state=0), logistic()
    ),
    "LR SMOTE": lambda: make_resampling_pipeline(
        SMOTE(random_state=0, k_neighbors=3), logistic()
    ),
}
PAPER = {
    "amplifier": "probability",
    "L": 73,
    "init": "zeros",
    "alpha": 0,
}
# Methods for one metric.
AIMED = {
    REFERENCE: lambda metric: TunedThresholdClassifierCV(
        logistic(),
        scoring=get_confusion_metric(metric).to_scorer(pos_label=1, average="binary"),
        cv=FOLDS,
    ),
    "AnyLoss": AnyLossClassifier,
    "AnyLoss CV": AnyLossClassifierCV,
    "AnyLoss, L=73 from zero": lambda metric: AnyLossClassifier(metric, **PAPER),
}
METHODS = [*BLIND, *AIMED, CEILING]


def keel_sets():
    """Names of all sets of KEEL, and breast cancer."""
    return [*keel_imbalanced_names(), "breast cancer (scikit-learn)"]


def load(name):
    """Features and labels, 1 for the rare class."""
    if name.startswith("breast cancer (s"):
        X, y = load_breast_cancer(return_X_y=True)
        return X, 1 - y
    data = load_keel_imbalanced(name)
    return data.data, data.target


def evaluate(X, y, repeats, seed=2, ceiling=True):
    """Test values of all methods, (n_metrics, n_methods, n_folds)."""
    warnings.simplefilter("ignore")  # rare classes do not fill inner folds
    folds = RepeatedStratifiedKFold(
        n_splits=FOLDS, n_repeats=repeats, random_state=seed
    )
    with threadpool_limits(1):
        values = [
            _fold(X[train], y[train], X[test], y[test], ceiling)
            for train, test in folds.split(X, y)
        ]
    return np.moveaxis(np.array(values), 0, -1)


def _fold(X, y, X_test, y_test, ceiling):
    scaler = StandardScaler().fit(X)
    X, X_test = scaler.transform(X), scaler.transform(X_test)
    blind = [make().fit(X, y).predict(X_test) for make in BLIND.values()]
    boosted = _boosting(X, y, X_test) if ceiling else None
    table = []
    for name in METRICS:
        metric = get_confusion_metric(name)
        predictions = [
            *blind,
            *(make(name).fit(X, y).predict(X_test) for make in AIMED.values()),
        ]
        if ceiling:
            held_out, scores = boosted
            threshold, _ = optimal_threshold(y, held_out, metric)
            predictions.append((scores > threshold).astype(int))
        else:
            predictions.append(np.zeros_like(y_test))
        table.append([metric.score(y_test, p, pos_label=1) for p in predictions])
    return table


def _boosting(X, y, X_test):
    """Held-out scores on the training data, and scores on the test data."""
    model = HistGradientBoostingClassifier(random_state=0)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    held_out = cross_val_predict(
        clone(model), X, y, cv=folds, method="decision_function"
    )
    return held_out, model.fit(X, y).decision_function(X_test)


# -- all sets of KEEL ------------------------------------------------------------------


def keel(repeats, n_jobs):
    """Compare all methods on all sets."""
    names = keel_sets()
    sizes, values = [], []
    start = time.perf_counter()
    results = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(_keel_set)(name, repeats) for name in names
    )
    for name, (size, found) in zip(names, results):
        sizes.append(size)
        values.append(found)
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
    values = np.array(values)  # sets, metrics, methods, folds
    _report_means(values)
    _report_tests(values)
    _report_sets(names, sizes, values)


def _keel_set(name, repeats):
    X, y = load(name)
    return (len(y), int(y.sum())), evaluate(X, y, repeats)


def critical_difference(n_methods, n_sets, level=0.05):
    """Difference of mean ranks that is significant, by Nemenyi's test."""
    q = studentized_range.ppf(1 - level, n_methods, np.inf) / np.sqrt(2)
    return q * np.sqrt(n_methods * (n_methods + 1) / (6 * n_sets))


def _report_means(values):
    means = values.mean(axis=-1)
    linear = [m for m in METHODS if m != CEILING]
    rows = []
    for k, metric in enumerate(METRICS):
        of_sets = means[:, k, : len(linear)]
        ranks = rankdata(-of_sets.round(12), axis=1).mean(axis=0)
        for j, method in enumerate(METHODS):
            row = {"metric": metric, "method": method}
            row["mean"] = float(means[:, k, j].mean())
            row["mean rank of linear"] = float(ranks[j]) if method in linear else "-"
            rows.append(row)
    print(f"critical difference {critical_difference(len(linear), len(values)):.2f}")
    report("anyloss_keel", _decimals(rows))


def _report_tests(values):
    """Differences to the tuned threshold: over the sets, and within each of them."""
    reference = METHODS.index(REFERENCE)
    rows = []
    for k, metric in enumerate(METRICS):
        for method in METHODS:
            if method == REFERENCE:
                continue
            ours = values[:, k, METHODS.index(method)]
            theirs = values[:, k, reference]
            difference = (ours - theirs).mean(axis=1)
            significant = [
                np.sign(d) * (_pvalue(a, b) < 0.05)
                for a, b, d in zip(ours, theirs, difference)
            ]
            rows.append(
                {
                    "metric": metric,
                    "method": method,
                    "mean difference": float(difference.mean()),
                    "wins": int((difference > 1e-9).sum()),
                    "ties": int((np.abs(difference) <= 1e-9).sum()),
                    "losses": int((difference < -1e-9).sum()),
                    "Wilcoxon p": float(wilcoxon(difference).pvalue),
                    "significant wins": significant.count(1),
                    "significant losses": significant.count(-1),
                }
            )
    report("anyloss_keel_tests", _decimals(rows))


def _pvalue(a, b):
    if np.array_equal(a, b):
        return 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # folds that differ by a constant
        return corrected_resampled_ttest(a, b, rho=1 / (FOLDS - 1)).pvalue


def _report_sets(names, sizes, values):
    means = values.mean(axis=-1)
    chosen = [REFERENCE, "AnyLoss", "AnyLoss CV"]
    rows = []
    for name, (n, positive), of_set in zip(names, sizes, means):
        row = {"set": name, "n": n, "positive": positive}
        for k, metric in enumerate(METRICS):
            for method in chosen:
                row[f"{metric}: {method}"] = float(of_set[k, METHODS.index(method)])
        rows.append(row)
    report("anyloss_keel_sets", _decimals(rows))


def _decimals(rows, digits=4):
    """Print numbers with fixed digits: differences of .001 count."""
    return [
        {
            name: f"{value:.{digits}f}" if isinstance(value, float) else value
            for name, value in row.items()
        }
        for row in rows
    ]


# -- where it helps, and where not -----------------------------------------------------


def logistic_data(rng, n, d):
    """Labels that follow a logistic model, 10 % positive or so."""
    X = rng.standard_normal((n, d))
    w = 2 * rng.standard_normal(d) / np.sqrt(d)
    return X, (X @ w + rng.logistic(size=n) > 3.0).astype(int)


def outliers(rng, n, d=5):
    """Move every ninth positive of such data far away, on the wrong side."""
    X, y = logistic_data(rng, n, d)
    w = LogisticRegression().fit(X, y).coef_[0]
    X[np.flatnonzero(y)[::9]] -= 12 * w / np.linalg.norm(w)
    return X, y


def clusters(rng, n, k):
    """Positives in k clusters, of which a line can have only some."""
    X, y = make_classification(
        n,
        5,
        n_informative=4,
        n_redundant=0,
        n_clusters_per_class=k,
        weights=[0.9],
        flip_y=0.02,
        random_state=int(rng.integers(2**31)),
    )
    return X, y


REGIMES = {
    "logistic, n=200, d=20": partial(logistic_data, n=200, d=20),
    "logistic, n=1000, d=5": partial(logistic_data, n=1000, d=5),
    "logistic, n=5000, d=20": partial(logistic_data, n=5000, d=20),
    "outliers, n=1000": partial(outliers, n=1000),
    "2 clusters, n=1000": partial(clusters, n=1000, k=2),
    "4 clusters, n=1000": partial(clusters, n=1000, k=4),
}


def regimes(n_sets, n_jobs):
    """Compare on generated data of known nature."""
    rows = []
    for name, make in REGIMES.items():
        sets = [make(np.random.default_rng(seed)) for seed in range(n_sets)]
        values = Parallel(n_jobs=n_jobs)(
            delayed(evaluate)(X, y, 1, ceiling=False) for X, y in sets
        )
        means = np.array(values).mean(axis=-1)
        for k, metric in enumerate(METRICS):
            row = {"data": name, "metric": metric}
            for method in METHODS:
                if method != CEILING:
                    of_sets = means[:, k, METHODS.index(method)]
                    row[method] = float(of_sets.mean())
            difference = (
                means[:, k, METHODS.index("AnyLoss")]
                - (means[:, k, METHODS.index(REFERENCE)])
            )
            row["AnyLoss - threshold"] = float(difference.mean())
            row["+-"] = float(2 * difference.std(ddof=1) / np.sqrt(n_sets))
            rows.append(row)
    report("anyloss_regimes", _decimals(rows, 3))


def steepness(n_jobs):
    """Test F1 and trained rows of the paper's amplifier for rising L."""
    names = [name for name in keel_imbalanced_names() if load(name)[1].sum() >= 15]
    rows = []
    variants = {
        f"{amplifier}, {init}": {"amplifier": amplifier, "init": init}
        for amplifier in ("logit", "probability")
        for init in ("logistic", "zeros")
    }
    for L in (1, 5, 15, 30, 73, 110):
        row = {"L": L}
        for variant, options in variants.items():
            alpha = 3.0 if options["init"] == "logistic" else 0.0
            make = partial(AnyLossClassifier, "f1", L=L, alpha=alpha, **options)
            values = Parallel(n_jobs=n_jobs)(
                delayed(_test_f1)(name, make) for name in names
            )
            row[variant] = float(np.mean(values))
        rows.append(row)
    report("anyloss_steepness", _decimals(rows, 3))


def _test_f1(name, make):
    warnings.simplefilter("ignore")
    X, y = load(name)
    metric = get_confusion_metric("f1")
    values = []
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=2)
    for train, test in folds.split(X, y):
        scaler = StandardScaler().fit(X[train])
        model = make().fit(scaler.transform(X[train]), y[train])
        predicted = model.predict(scaler.transform(X[test]))
        values.append(metric.score(y[test], predicted, pos_label=1))
    return np.mean(values)


# -- time ------------------------------------------------------------------------------


def fit_time(repeats):
    """CPU time of a fit beside that of a logistic regression."""
    rows = []
    for n, d in ((1000, 20), (10_000, 50), (100_000, 30), (1_000_000, 20)):
        rng = np.random.default_rng(0)
        w = rng.standard_normal(d) / np.sqrt(d)
        X = rng.standard_normal((n, d))
        y = X @ w + rng.standard_normal(n) > 2
        far = X.copy()
        noise = 2 * rng.standard_normal((y.sum(), 1)) * rng.standard_normal(d)
        far[y] += noise  # the positives stretch along a line of their own
        for kind, features in (("probit", X), ("misspecified", far)):
            for metric in METRICS:
                rows.append(_times(n, d, kind, features, y, metric, repeats))
    report("anyloss_time", rows)


def _times(n, d, kind, X, y, metric, repeats):
    models = (LogisticRegression(), AnyLossClassifier(metric))
    (plain, ours), fitted = cpu_times(
        *(partial(model.fit, X, y) for model in models),
        repeats=repeats if n < 10**6 else 2,
    )
    return {
        "n": n,
        "d": d,
        "data": kind,
        "metric": metric,
        "LogisticRegression (ms)": 1e3 * plain,
        "AnyLossClassifier (ms)": 1e3 * ours,
        "ratio": ours / plain,
        "iterations": fitted[1].n_iter_,
    }


def memory():
    """Peak memory of a fit beyond the data, in numbers of double precision a row."""
    rows = []
    for n, d in ((10_000, 50), (100_000, 30), (1_000_000, 20)):
        rng = np.random.default_rng(0)
        X = rng.standard_normal((n, d))
        y = X @ rng.standard_normal(d) > 2 * np.sqrt(d) * rng.random(n)
        row = {"n": n, "d": d}
        for model in (LogisticRegression(), AnyLossClassifier()):
            tracemalloc.start()
            model.fit(X, y)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            row[f"{type(model).__name__} (doubles a row)"] = peak / 8 / n
        row["of X"] = row["AnyLossClassifier (doubles a row)"] / d
        rows.append(row)
    report("anyloss_memory", rows)


def main():
    """Run the parts that are named, or all."""
    parts = ("keel", "regimes", "steepness", "time", "memory")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(parts))
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--sets", type=int, default=20, help="of each regime")
    parser.add_argument("--n-jobs", type=int, default=1)
    args = parser.parse_args()
    runs = {
        "keel": lambda: keel(args.repeats, args.n_jobs),
        "regimes": lambda: regimes(args.sets, args.n_jobs),
        "steepness": lambda: steepness(args.n_jobs),
        "time": lambda: fit_time(5),
        "memory": memory,
    }
    for part in args.parts:
        if part in ("keel", "steepness") and get_data_home() is None:
            print(f"{part}: left out, SKLOGIT_DATA names no folder")
            continue
        runs[part]()


if __name__ == "__main__":
    main()
