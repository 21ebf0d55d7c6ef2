"""Is the simple model good enough: the study, its tests, its rule, and their price.

Claims: with a test that allows for the overlap of training sets, logistic regression
beats a decision tree on the Diagnostic breast-cancer set and does not differ from a
support vector machine; the corrected test rejects a true null hypothesis in at most 6 %
of cases at the 5 % level where the naive one does in more than 15 %; fit and predict of
logistic regression take at most 40 ms on 569 rows of 30 features; and
`SimplestModelSelector` returns the linear model on at least 90 % of linear problems,
and another one on at least 95 % of problems that are not.

Tables (benchmarks/results/):

- simple_linear_models.csv: scores of the candidates, tuned in an inner search, and with
  fixed parameters. The row of the paper is quoted; its data set is another one.
- simple_linear_tests.csv: naive and corrected p-values against logistic regression.
- simple_linear_errors.csv: rejections of two models of equal and unequal worth.
- simple_linear_timing.csv: fit and predict, in turns.
- simple_linear_selection.csv: what the rules select, and the accuracy of what they
  selected on rows that nobody has seen.

    python benchmarks/bench_simple_linear.py [--quick]
"""

import argparse
import warnings

import numpy as np
from _common import cpu_times, report
from scipy.special import expit
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, make_circles
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RepeatedStratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits

from sklogit.model_selection import (
    SimplestModelSelector,
    compare_classifiers,
    corrected_resampled_ttest,
)

PAPER = {"logistic": "97.28", "tree": "93.73", "svm": "96.44"}
RULES = ("paired_one_se", "one_se", "noninferior", "best")


def scaled(model):
    return make_pipeline(StandardScaler(), model)


def tuned(model, **grid):
    name = type(model).__name__.lower()
    grid = {f"{name}__{parameter}": values for parameter, values in grid.items()}
    return GridSearchCV(scaled(model), grid, cv=5)


# -- (a) the study ---------------------------------------------------------------------


def tuned_models(quick):
    depth = {"max_depth": [2, 3, 4, 5, 7, None], "min_samples_leaf": [1, 5]}
    models = {
        "logistic": tuned(LogisticRegression(max_iter=500), C=[0.01, 0.1, 1, 10]),
        "naive Bayes": GaussianNB(),
        "tree": tuned(DecisionTreeClassifier(random_state=0), **depth),
        "neighbours": tuned(KNeighborsClassifier(), n_neighbors=[3, 5, 9, 15]),
        "svm": tuned(SVC(), C=[0.1, 1, 10, 100], gamma=["scale", 0.01]),
    }
    if not quick:
        models["forest"] = RandomForestClassifier(100, random_state=0)
        models["boosting"] = HistGradientBoostingClassifier(
            max_iter=100, random_state=0
        )
    return models


def fixed_models():
    return {
        "logistic": scaled(LogisticRegression()),
        "tree": DecisionTreeClassifier(random_state=0),
        "svm": scaled(SVC()),
        "forest": RandomForestClassifier(50, random_state=0),
    }


def study(quick):
    X, y = load_breast_cancer(return_X_y=True)
    cv = RepeatedStratifiedKFold(
        n_splits=10, n_repeats=1 if quick else 3, random_state=0
    )
    scores, tests = [], []
    for setting, models in (("tuned", tuned_models(quick)), ("fixed", fixed_models())):
        found = compare_classifiers(models, X, y, cv=cv, reference="logistic")
        table = found.summary()
        calibration = found.calibration()
        for name, row in table.iterrows():
            scores.append(
                {
                    "parameters": setting,
                    "model": name,
                    "accuracy_%": f"{100 * row['mean_score']:.2f}",
                    "sd_%": f"{100 * row['std_score']:.2f}",
                    "paper_%": PAPER.get(name, "-") if setting == "tuned" else "-",
                    "fit_ms": 1e3 * row["fit_time"],
                    "fit_iqr_ms": 1e3 * row["fit_time_iqr"],
                    "predict_1000_ms": 1e3 * row["predict_time"],
                    "brier": _or_dash(row["brier_score"]),
                    "slope": _or_dash(calibration.loc[name, "calibration_slope"]),
                    "selected": "x" if name == found.simplest() else "",
                }
            )
        tests += _test_rows(setting, found)
    return scores, tests


def _or_dash(value):
    return "-" if np.isnan(value) else f"{value:.3f}"


def _test_rows(setting, found):
    reference = found.scores_[found.names_.index("logistic")]
    table = found.tests()
    rows = []
    for name, row in table.iterrows():
        scores = found.scores_[found.names_.index(name)]
        naive = corrected_resampled_ttest(reference, scores, rho=0)
        rows.append(
            {
                "parameters": setting,
                "logistic minus": name,
                "difference": f"{-row['difference']:+.4f}",
                "half_width": f"{(row['ci_high'] - row['ci_low']) / 2:.4f}",
                "p_naive": f"{naive.pvalue:.4f}",
                "p_corrected": f"{row['p_value']:.4f}",
                "p_holm": f"{row['p_holm']:.4f}",
                "P_worse": f"{row['p_better']:.3f}",
                "P_equivalent": f"{row['p_equivalent']:.3f}",
                "P_better": f"{row['p_worse']:.3f}",
            }
        )
    return rows


# -- (b) errors of the tests -----------------------------------------------------------


class TwoViews:
    """Each model sees its own half of the features.

    Both halves carry signal of the same law; the second is diluted with noise by
    `handicap`. At 0 the two models are equal by symmetry.
    """

    def __init__(self, handicap, rng, n=200, d=5):
        self.X = rng.standard_normal((n, 2 * d))
        w = np.ones(d) / np.sqrt(d)
        logits = 1.5 * (self.X[:, :d] @ w + self.X[:, d:] @ w)
        self.y = (rng.uniform(size=n) < expit(logits)).astype(int)
        self.X[:, d:] += handicap * rng.standard_normal((n, d))
        self.views = slice(0, d), slice(d, 2 * d)


class View(LogisticRegression):
    """Logistic regression on one half of the features."""

    def __init__(self, start=0, stop=5, C=1.0):
        super().__init__(C=C)
        self.start, self.stop = start, stop

    def fit(self, X, y):
        """Fit to the half."""
        return super().fit(X[:, self.start : self.stop], y)

    def decision_function(self, X):
        """Return the logits of the half."""
        return super().decision_function(X[:, self.start : self.stop])


def errors(quick):
    repetitions = 40 if quick else 400
    rows = []
    for handicap in (0.0, 0.25, 0.5, 1.0, 2.0):
        rejected, differences = np.zeros(2), []
        for seed in range(repetitions):
            data = TwoViews(handicap, np.random.default_rng(seed))
            cv = RepeatedStratifiedKFold(
                n_splits=10, n_repeats=1 if quick else 3, random_state=seed
            )
            models = {
                "a": View(data.views[0].start, data.views[0].stop),
                "b": View(data.views[1].start, data.views[1].stop),
            }
            a, b = _plain_scores(models.values(), data.X, data.y, cv)
            differences.append((a - b).mean())
            for k, rho in enumerate((0.0, 1 / 9)):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", RuntimeWarning)
                    p = corrected_resampled_ttest(a, b, rho=rho).pvalue
                rejected[k] += p < 0.05
        naive, corrected = 100 * rejected / repetitions
        rows.append(
            {
                "noise of b": handicap,
                "accuracy lost": f"{np.mean(differences):.4f}",
                "naive rejects %": f"{naive:.1f}",
                "corrected rejects %": f"{corrected:.1f}",
                "data sets": repetitions,
            }
        )
    return rows


def _plain_scores(models, X, y, cv):
    """Accuracies by fold, without what compare_classifiers measures besides."""
    splits = list(cv.split(X, y))
    return [
        np.array(
            [
                np.mean(clone(m).fit(X[train], y[train]).predict(X[test]) == y[test])
                for train, test in splits
            ]
        )
        for m in models
    ]


# -- (c) timing ------------------------------------------------------------------------


def timing(quick):
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    models = {
        "logistic": LogisticRegression(),
        "naive Bayes": GaussianNB(),
        "tree": DecisionTreeClassifier(random_state=0),
        "neighbours": KNeighborsClassifier(),
        "svm": SVC(),
        "forest": RandomForestClassifier(100, random_state=0),
        "boosting": HistGradientBoostingClassifier(max_iter=100, random_state=0),
    }
    fits = [lambda m=m: m.fit(X, y) for m in models.values()]
    fit_times, fitted = cpu_times(*fits, repeats=3 if quick else 15)
    calls = [lambda m=m: m.predict(X) for m in fitted]
    predict_times, _ = cpu_times(*calls, repeats=3 if quick else 15)
    return [
        {
            "model": name,
            "fit_ms": 1e3 * fit,
            "predict_569_rows_ms": 1e3 * predict,
            "both_ms": 1e3 * (fit + predict),
        }
        for name, fit, predict in zip(models, fit_times, predict_times)
    ]


# -- (d) what is selected --------------------------------------------------------------


def linear_problem(seed, n):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 8))
    w = rng.standard_normal(8)
    return X, (rng.uniform(size=n) < expit(2 * X @ w)).astype(int)


def xor_problem(seed, n):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 4))
    y = (X[:, 0] * X[:, 1] > 0) ^ (rng.uniform(size=n) < 0.1)
    return X, y.astype(int)


def circles_problem(seed, n):
    return make_circles(n, noise=0.15, factor=0.5, random_state=seed)


def selection(quick):
    n_problems = 5 if quick else 50
    candidates = [
        ("logistic", scaled(LogisticRegression())),
        ("tree", DecisionTreeClassifier(max_depth=5, random_state=0)),
        ("svm", scaled(SVC())),
    ]
    rows = []
    problems = {
        "linear": linear_problem,
        "xor": xor_problem,
        "circles": circles_problem,
    }
    for name, make in problems.items():
        chosen = {rule: [] for rule in RULES}
        accuracy = {rule: [] for rule in RULES}
        for seed in range(n_problems):
            X, y = make(seed, 300 + 2000)
            X_test, y_test = X[300:], y[300:]
            X, y = X[:300], y[:300]
            fitted = SimplestModelSelector(candidates, refit=False, random_state=seed)
            comparison = fitted.fit(X, y).comparison_
            on_test = {
                model: clone(estimator).fit(X, y).score(X_test, y_test)
                for model, estimator in candidates
            }
            for rule in RULES:
                selected = comparison.simplest(rule=rule)
                chosen[rule].append(selected)
                accuracy[rule].append(on_test[selected])
        for rule in RULES:
            counts = {m: chosen[rule].count(m) for m, _ in candidates}
            rows.append(
                {
                    "problem": name,
                    "rule": rule,
                    **{f"{m} %": 100 * c // n_problems for m, c in counts.items()},
                    "accuracy_unseen": f"{np.mean(accuracy[rule]):.4f}",
                    "problems": n_problems,
                }
            )
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few repeats, no files")
    quick = parser.parse_args().quick
    warnings.simplefilter("ignore", ConvergenceWarning)
    with threadpool_limits(1):  # several BLAS threads only disturb small fits
        scores, tests = study(quick)
        tables = {
            "models": scores,
            "tests": tests,
            "errors": errors(quick),
            "timing": timing(quick),
            "selection": selection(quick),
        }
    for name, rows in tables.items():
        if quick:
            print(name, *rows, sep="\n")
        else:
            report(f"simple_linear_{name}", rows)


if __name__ == "__main__":
    main()
