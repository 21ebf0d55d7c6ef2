"""Triage of reports: inspections until positives are found, calibration, time, memory.

Training is always on what came in before. Inspections count reports with a verdict, in
the order of a score, equal scores in random order; "first" and "all" are those until
the first and until every positive is found.

Parts, by name on the command line, all of them without names:

``sightings``
    Generated reports, ten seeds, five windows of equally many positives after the
    first thirty: what decides.
``length``
    The same windows, the length of the influence chosen by forward cross-validation.
``leakage``
    The same windows, with and without leave-one-out in the features of places.
``replay``
    Generated reports as a replay with 40 inspections in two weeks, five seeds.
``hornets``
    Real reports, five windows with nine positives: they illustrate, and decide nothing.
    Needs SKLOGIT_DATA.
``weekly``
    Real reports as a replay with two and five inspections a week.
``time``
    Fit and scoring of 4,440 reports.
``stream``
    1e6 reports scored as a stream, with peak memory.

``--seeds=N`` takes N seeds instead of 10.
"""

import heapq
import resource
import subprocess
import sys
import time
import warnings

import numpy as np
from _common import RESULTS, cpu_times, report
from _triage_baselines import (
    BASELINES,
    NearestToLastPositive,
    global_logistic,
    text_only,
)
from scipy.stats import t as student
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklogit.datasets import load_hornet_reports, make_sightings
from sklogit.metrics import (
    hit_ranks,
    inspection_curve,
    make_triage_scorer,
    precision_at_k,
    recall_at_k,
)
from sklogit.metrics._triage_scorer import triage_scores
from sklogit.model_selection import ForwardChainingSplit
from sklogit.triage import (
    InspectionCurveDisplay,
    ReportTriageClassifier,
    SpatioTemporalRateEncoder,
    simulate_triage,
)

PLACE = {"latitude": "latitude", "longitude": "longitude"}
FEATURES = {
    "dates, words": {"encoder": "drop"},
    "place": {"columns": PLACE, "text": None},
    "place, dates": {"text": None},
    "place, dates, words": {},
    "place, dates, words, balanced": {"class_weight": "balanced"},
}
RULES = ("probability", "boost", "mean", "sum")
BEST = "place, dates, words: boost"
# The windows of the replay: nine positives after the first five.
CUTOFFS = ["2020-06-04", "2020-06-14", "2020-08-01", "2020-09-01", "2020-10-01"]


# -- what is measured ------------------------------------------------------------------


def totals(windows):
    """Figures over windows, each of labels, scores, and probabilities or None."""
    ranks = [hit_ranks(y, scores) for y, scores, _ in windows]
    n = sum(y.sum() for y, _, _ in windows)
    top = sum(recall_at_k(y, scores, 0.05) * y.sum() for y, scores, _ in windows)
    return {
        "AP": np.mean([average_precision_score(y, s) for y, s, _ in windows]),
        "precision@20": np.mean([precision_at_k(y, s, 20) for y, s, _ in windows]),
        "found in 5 %": top / n,
        "first": np.mean([one[0] for one in ranks]),
        "half": np.mean([one[(len(one) - 1) // 2] for one in ranks]),
        "all": np.mean([one[-1] for one in ranks]),
    }


def calibration(windows):
    """Figures of the probabilities of all windows together."""
    y = np.concatenate([w[0] for w in windows])
    if windows[0][2] is None:
        return dict.fromkeys(("Brier x 1000", "log loss", "mean p"), np.nan)
    p = np.concatenate([w[2] for w in windows])
    return {
        "Brier x 1000": 1e3 * brier_score_loss(y, p),
        "log loss": log_loss(y, p, labels=[0, 1]),
        "mean p": float(p.mean()),
    }


def forward(X, y, folds, features=FEATURES, rules=RULES):
    """Labels, scores and probabilities of each window, from what came before it."""
    windows = {}

    def note(name, model, X_test, y_test):
        scores, p = triage_scores(model, X_test), probabilities(model, X_test)
        windows.setdefault(name, []).append((y_test, scores, p))

    for train, test in folds:
        X_train, X_test = X.iloc[train], X.iloc[test]
        for name, make in BASELINES.items():
            note(name, fitted(make(), X_train, y[train]), X_test, y[test])
        for name, settings in features.items():
            model = fitted(ReportTriageClassifier(**settings), X_train, y[train])
            for rule in rules if "words" in name else rules[:1]:
                model.set_params(priority_rule=rule)
                note(f"{name}: {rule}", model, X_test, y[test])
    return windows


def probabilities(model, X):
    """Probabilities of a model that has them, else None."""
    if not hasattr(model, "predict_proba") or isinstance(model, DummyClassifier):
        return None
    return model.predict_proba(X)[:, 1]


def fitted(model, X, y):
    """Fit, without the warnings of few positives."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return model.fit(X, y)


def interval(values):
    """Mean over seeds and half of its 95 % interval."""
    values = np.asarray(values, dtype=float)
    if np.isnan(values).any():
        return "-"
    n = len(values)
    half = student.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n) if n > 1 else 0.0
    return f"{values.mean():.3g} +- {half:.2g}"


def table_of(by_method):
    """Make rows from measures of several seeds."""
    return [
        {"method": name}
        | {key: interval([one[key] for one in found]) for key in found[0]}
        for name, found in by_method.items()
    ]


# -- generated reports -----------------------------------------------------------------


def generated(seed):
    """Return reports with their truth, and folds of equally many positives."""
    b = make_sightings(return_bunch=True, random_state=seed)
    cv = ForwardChainingSplit(
        5, time="submitted", min_train_positives=30, balance="positives"
    )
    return b, list(cv.split(b.data, b.target))


def bench_sightings(n_seeds):
    """Compare all methods on generated reports."""
    by_method, pooled = {}, {}
    for seed in range(n_seeds):
        b, folds = generated(seed)
        found = forward(b.data, b.target, folds)
        p = b.probability
        found["the truth"] = [(b.target[test], p[test], p[test]) for _, test in folds]
        for name, windows in found.items():
            figures = totals(windows) | calibration(windows)
            by_method.setdefault(name, []).append(figures)
            pooled.setdefault(name, []).extend((y, p) for y, _, p in windows)
        print(f"seed {seed} is done", flush=True)
    report("triage_sightings", table_of(by_method))
    report_differences(by_method)
    report_reliability("triage_reliability", pooled)


def report_differences(by_method):
    """Compare seed by seed."""
    rows = []
    for other in by_method:
        if other in (BEST, "the truth"):
            continue
        pairs = list(zip(by_method[BEST], by_method[other]))
        rows.append(
            {
                "boost against": other,
                "AP, difference": interval([a["AP"] - b["AP"] for a, b in pairs]),
                "AP, ratio of means": np.mean([a["AP"] for a, _ in pairs])
                / np.mean([b["AP"] for _, b in pairs]),
                "all, ratio of means": np.mean([a["all"] for a, _ in pairs])
                / np.mean([b["all"] for _, b in pairs]),
                "seeds won": sum(a["AP"] > b["AP"] for a, b in pairs),
            }
        )
    report("triage_differences", rows)


def report_reliability(name, pooled):
    """Share of positives in bins of the probability, over all seeds."""
    edges = np.array([0, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0])
    shown = (
        "text only",
        "logistic regression, all columns",
        "boosted trees, all but words",
        BEST,
        "place, dates, words, balanced: boost",
        "the truth",
    )
    rows = []
    for method in shown:
        y = np.concatenate([one for one, _ in pooled[method]])
        p = np.concatenate([one for _, one in pooled[method]])
        which = np.clip(np.searchsorted(edges, p, side="right") - 1, 0, len(edges) - 2)
        for b in range(len(edges) - 1):
            rows_in = which == b
            if rows_in.any():
                rows.append(
                    {
                        "method": method.partition(":")[0],
                        "probability": f"{edges[b]:g} to {edges[b + 1]:g}",
                        "reports": int(rows_in.sum()),
                        "mean probability": float(p[rows_in].mean()),
                        "share of positives": float(y[rows_in].mean()),
                    }
                )
    report(name, rows)
    draw_reliability(name, rows)


def draw_reliability(name, rows):
    """Draw the share of positives against the probability."""
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(6, 5), layout="constrained")
    ax.plot([1e-5, 1], [1e-5, 1], color="0.5", linewidth=1, linestyle="--")
    for method in dict.fromkeys(row["method"] for row in rows):
        points = [
            (row["mean probability"], row["share of positives"])
            for row in rows
            if row["method"] == method and row["share of positives"] > 0
        ]
        ax.plot(*zip(*points), marker="o", label=method)
    ax.set(xscale="log", yscale="log", xlabel="mean probability")
    ax.set_ylabel("share of positives")
    ax.grid(alpha=0.3)
    ax.legend(frameon=False, fontsize="small")
    figure.savefig(RESULTS / f"{name}.png", dpi=80)
    plt.close(figure)
    print(f"wrote {RESULTS.name}/{name}.png")


def bench_length(n_seeds):
    """Compare the default length with one that is chosen within each training set."""
    search = GridSearchCV(
        ReportTriageClassifier(),
        {"length_km": [2.5, 5.0, 10.0, 20.0]},
        cv=ForwardChainingSplit(2, time="submitted", balance="positives"),
        scoring=make_triage_scorer("average_precision"),
    )
    by_method = {}
    for seed in range(min(n_seeds, 5)):
        b, folds = generated(seed)
        windows = {}
        for train, test in folds:
            X, y = b.data.iloc[train], b.target[train]
            X_test, y_test = b.data.iloc[test], b.target[test]
            chosen = fitted(search, X, y).best_estimator_
            for km in (2.5, 5.0, 10.0, 20.0, "chosen"):
                model = chosen
                if km != "chosen":
                    model = fitted(ReportTriageClassifier(length_km=km), X, y)
                p = probabilities(model, X_test)
                one = (y_test, model.priority(X_test), p)
                windows.setdefault(f"length_km = {km}", []).append(one)
        for name, found in windows.items():
            figures = totals(found) | calibration(found)
            by_method.setdefault(name, []).append(figures)
    report("triage_length", table_of(by_method))


# -- leakage ---------------------------------------------------------------------------


def bench_leakage(n_seeds):
    """Features of the neighbourhood that see the own verdict, or do not."""
    by_method = {}
    for seed in range(n_seeds):
        b, folds = generated(seed)
        for features in (
            ("log_odds",),
            ("nearest",),
            ("log_odds", "density", "nearest"),
        ):
            for own in ("without", "with"):
                windows = [window_of(features, own, b, *fold) for fold in folds]
                key = f"{', '.join(features)}; {own} own verdict"
                found = totals(windows) | calibration(windows)
                by_method.setdefault(key, []).append(found)
    report("triage_leakage", table_of(by_method))


def window_of(features, own, b, train, test):
    """Logistic regression of the encoder's features alone."""
    encoder = SpatioTemporalRateEncoder(features=features)
    X, y = b.data.iloc[train], b.target[train]
    Z = encoder.fit_transform(X, y)
    if own == "with":
        Z = encoder.transform(X)
    clf = make_pipeline(StandardScaler(), LogisticRegression()).fit(Z, y)
    p = clf.predict_proba(encoder.transform(b.data.iloc[test]))[:, 1]
    return b.target[test], p, p


# -- replay ----------------------------------------------------------------------------


def replayed(make, X, y, start, **options):
    """Replay reports, without the warnings of few positives."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return simulate_triage(make(), X, y, X["submitted"], start=start, **options)


REPLAYED = {
    "order of arrival": lambda: DummyClassifier(strategy="prior"),
    "nearest to last positive": NearestToLastPositive,
    "text only": text_only,
    "logistic regression, all columns": global_logistic,
    "probability": lambda: ReportTriageClassifier(priority_rule="probability"),
    "boost": ReportTriageClassifier,
    "sum": lambda: ReportTriageClassifier(priority_rule="sum"),
}


def bench_replay(n_seeds):
    """Found with 40 inspections in two weeks, after 60 days of known verdicts."""
    start = np.datetime64("2020-03-01")
    found = {name: [] for name in REPLAYED}
    for seed in range(min(n_seeds, 5)):
        X, y, _ = make_sightings(random_state=seed)
        n = y[(X["submitted"] >= start).to_numpy()].sum()
        for name, make in REPLAYED.items():
            trace = replayed(make, X, y, start, budget=40, period="14D")
            found[name].append(trace["total_found"].iloc[-1] / n)
    inspected = trace["total_inspected"].iloc[-1]
    rows = [
        {
            "method": name,
            "share of positives found": interval(shares),
            "inspections": int(inspected),
        }
        for name, shares in found.items()
    ]
    report("triage_replay", rows)


# -- real reports ----------------------------------------------------------------------


def hornets(with_files=False):
    """Return real reports with a verdict."""
    reports = load_hornet_reports(return_leaky=with_files)
    rows = reports.target >= 0
    return reports.data[rows].reset_index(drop=True), reports.target[rows]


def bench_hornets(_):
    """Compare all methods on five windows of real reports."""
    X, y = hornets(with_files=True)
    cv = ForwardChainingSplit(time="submitted", cutoffs=CUTOFFS)
    folds = list(cv.split(X, y))
    features = FEATURES | {
        "place, dates, words, files (leaks)": {"numeric": ["n_files"]}
    }
    curves = forward(X, y, folds, features)
    n = sum(len(test) for _, test in folds)
    print(f"{n} reports in {len(folds)} windows")
    rows = [
        {"method": name} | window_figures(windows) for name, windows in curves.items()
    ]
    report("triage_hornets", rows)
    draw_windows(curves)


def window_figures(windows, n_bootstrap=300):
    """Write figures with bootstrap intervals."""
    rng = np.random.default_rng(0)
    drawn = [totals([resampled(rng, *w) for w in windows]) for _ in range(n_bootstrap)]
    out = {}
    for key, value in totals(windows).items():
        if key in ("precision@20", "half"):  # of one to three positives a window
            continue
        low, high = np.quantile([one[key] for one in drawn], [0.025, 0.975])
        out[key] = f"{value:.3g} ({low:.2g} to {high:.2g})"
    firsts = [hit_ranks(y, scores)[0] for y, scores, _ in windows]
    out["first in each window"] = " ".join(f"{one:.3g}" for one in firsts)
    found = calibration(windows)
    return out | {key: "-" if np.isnan(v) else v for key, v in found.items()}


def resampled(rng, y, scores, p):
    """Draw as many positives and negatives with replacement."""
    rows = np.concatenate(
        [rng.choice(np.flatnonzero(y == c), (y == c).sum()) for c in (0, 1)]
    )
    return y[rows], scores[rows], None if p is None else p[rows]


def draw_windows(curves):
    """Draw what is found in all windows, of which equal shares are inspected."""
    import matplotlib.pyplot as plt

    shares = np.linspace(0, 1, 1001)
    shown = {}
    for name in (
        "nearest to last positive",
        "contest prior",
        "text only",
        "logistic regression, all columns",
        "place, dates, words: sum",
        BEST,
    ):
        found = 0.0
        for y, scores, _ in curves[name]:
            inspected, hits = inspection_curve(y, scores)
            found = found + np.interp(shares * inspected[-1], inspected, hits)
        n = sum(len(y) for y, _, _ in curves[name])
        shown[name] = shares * n, found
    display = InspectionCurveDisplay(shown).plot()
    display.ax_.set(
        xscale="log", xlim=(3, n), title="five windows of 2020, nine positives"
    )
    display.ax_.legend(frameon=False, loc="upper left", fontsize="small")
    display.figure_.savefig(RESULTS / "triage_hornets.png", dpi=80)
    plt.close(display.figure_)
    print(f"wrote {RESULTS.name}/triage_hornets.png")


def bench_weekly(_):
    """Replay of real reports with a verdict, from June on."""
    X, y = hornets()
    rows = []
    for budget in (2, 5):
        for name, make in REPLAYED.items():
            trace = replayed(make, X, y, CUTOFFS[0], budget=budget)
            weeks = trace.loc[trace["n_found"] > 0, "period"]
            rows.append(
                {
                    "inspections a week": budget,
                    "method": name,
                    "found of 9": int(trace["total_found"].iloc[-1]),
                    "inspections": int(trace["total_inspected"].iloc[-1]),
                    "weeks of the finds": " ".join(map(str, weeks)),
                }
            )
    report("triage_weekly", rows)


# -- time and memory -------------------------------------------------------------------


def bench_time(_):
    """Fit and scoring of as many reports as the real ones, and a stream."""
    X, y, _ = make_sightings(4440, random_state=0)
    model = fitted(ReportTriageClassifier(), X, y)
    functions = {
        "fit, all have a verdict": lambda: ReportTriageClassifier().fit(X, y),
        "priority, boost": lambda: model.priority(X),
        "priority, sum": lambda: model.set_params(priority_rule="sum").priority(X),
        "rank with reasons": lambda: model.set_params(priority_rule="boost").rank(X),
        "fit of text only": lambda: text_only().fit(X, y),
        "fit of logistic regression, all columns": lambda: global_logistic().fit(X, y),
    }
    times, _ = cpu_times(*functions.values())
    rows = [
        {"what": name, "reports": len(X), "CPU [s]": seconds}
        for name, seconds in zip(functions, times)
    ]
    try:
        reports = load_hornet_reports()
    except FileNotFoundError:
        print("no real reports: SKLOGIT_DATA is not set")
    else:
        for unlabeled in ("ignore", "density"):
            (seconds,), _ = cpu_times(
                lambda unlabeled=unlabeled: fitted(
                    ReportTriageClassifier(unlabeled=unlabeled),
                    reports.data,
                    reports.target,
                )
            )
            name = f"fit of the real reports, unlabeled={unlabeled!r}"
            rows.append({"what": name, "reports": 4440, "CPU [s]": seconds})
    report("triage_time", rows)


def bench_stream(_):
    """Peak memory of a stream of reports, each in a process of its own."""
    rows = []
    for n in (20_000, 100_000, 1_000_000):
        command = [sys.executable, __file__, f"--stream={n}"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        before, peak, generated, scored = map(float, done.stdout.split()[-4:])
        rows.append(
            {
                "reports": n,
                "peak [MB]": peak,
                "above that of the fit [MB]": peak - before,
                "CPU to score [s]": scored,
                "reports a second": n / scored,
                "CPU to generate [s]": generated,
            }
        )
    report("triage_stream", rows)


def stream(n, chunk=20_000, k=1000):
    """Score reports chunk by chunk and keep the k most urgent."""
    X, y, _ = make_sightings(4440, random_state=0)
    model = fitted(ReportTriageClassifier(), X, y)
    before, urgent, generated, scored = peak_mb(), [], 0.0, 0.0
    for number in range(n // chunk):
        start = time.process_time()
        reports, _, _ = make_sightings(chunk, random_state=1 + number)
        middle = time.process_time()
        scores = model.priority(reports)
        rows = np.arange(number * chunk, (number + 1) * chunk)
        urgent = heapq.nlargest(k, [*urgent, *zip(scores.tolist(), rows.tolist())])
        generated += middle - start
        scored += time.process_time() - middle
    print(before, peak_mb(), generated, scored)


def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


PARTS = {
    "sightings": bench_sightings,
    "length": bench_length,
    "leakage": bench_leakage,
    "replay": bench_replay,
    "hornets": bench_hornets,
    "weekly": bench_weekly,
    "time": bench_time,
    "stream": bench_stream,
}


def main():
    n_seeds, names = 10, []
    for argument in sys.argv[1:]:
        if argument.startswith("--stream="):
            return stream(int(argument.partition("=")[2]))
        if argument.startswith("--seeds="):
            n_seeds = int(argument.partition("=")[2])
        else:
            names.append(argument)
    for name in names or PARTS:
        PARTS[name](n_seeds)
    return None


if __name__ == "__main__":
    main()
