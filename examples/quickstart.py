"""
===================================
Quickstart: the main job in one run
===================================

What ``make quickstart`` runs, on generated data:

1. A MOABB evaluation of the plain and the augmented covariance on generated EEG.
2. scikit-learn's ``check_estimator`` on the estimators.
3. A ``GridSearchCV`` over a pipeline, and the search that does the same much sooner.

Prints one table, writes pictures to ``quickstart_output/``.
"""

import time
import warnings
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import moabb
import numpy as np
from moabb.analysis.plotting import score_plot
from moabb.evaluations import WithinSessionEvaluation
from moabb.paradigms import LeftRightImagery
from sklearn.callback import ProgressBar
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import check_estimator

from sklogit.covariance import (
    AugmentedCovarianceClassifierCV,
    AugmentedCovarianceDisplay,
    AugmentedCovariances,
    DelayEmbedding,
    EmbeddingScoreDisplay,
    EmbeddingSelector,
    SPDTangentSpace,
    pipelines,
)
from sklogit.datasets import SyntheticBCI, make_bci_epochs, moabb_sandbox

OUTPUT = Path("quickstart_output")
rows = []


def step(title):
    """Announce a step; return the clock."""
    print(f"\n{title}", flush=True)
    return time.perf_counter()


def add(job, result, start):
    """Add a row to the table of results."""
    rows.append((job, result, f"{time.perf_counter() - start:.1f} s"))


def moabb_evaluation():
    """Within-session evaluation of two pipelines on generated recordings."""
    start = step("1. MOABB: within-session evaluation on generated EEG")
    moabb.set_log_level("error")
    with moabb_sandbox() as folder:
        evaluation = WithinSessionEvaluation(
            paradigm=LeftRightImagery(),
            datasets=[SyntheticBCI(n_subjects=3, n_sessions=1)],
            hdf5_path=str(folder),
            overwrite=True,
            random_state=42,
        )
        chosen = {name: pipelines()[name] for name in ("TS+SVM", "ACM+TS+SVM")}
        results = evaluation.process(chosen)
    auc = results.groupby("pipeline")["score"].mean()
    summary = ", ".join(f"{name} {auc[name]:.2f}" for name in chosen)
    add("MOABB evaluation, ROC-AUC", summary, start)
    figure, _ = score_plot(results, pipelines=list(chosen))
    figure.axes[0].set(ylim=(0, 105), ylabel="ROC-AUC (%)", xlabel="")
    figure.set_size_inches(9, 5)
    figure.savefig(OUTPUT / "moabb_scores.png", dpi=100, bbox_inches="tight")


def estimator_checks():
    """Run scikit-learn's checks on what takes tables as epochs of one channel.

    Those of three-dimensional epochs only, the classifiers, skip these checks; they are
    run on them at order 1 in the tests.
    """
    start = step("2. scikit-learn: check_estimator on the transformers")
    passed = 0
    for estimator in (
        DelayEmbedding(),
        AugmentedCovariances(),
        EmbeddingSelector(),
    ):
        results = check_estimator(estimator, on_skip=None)
        counts = sum(result["status"] == "passed" for result in results)
        passed += counts
        print(f"   {type(estimator).__name__}: {counts} passed", flush=True)
    add("check_estimator", f"{passed} checks passed", start)


def search():
    """Search order, lag and C twice: by scikit-learn, and without repeated work."""
    X, y = make_bci_epochs(n_epochs=80, freqs=(10.0, 10.6), random_state=0)
    orders, lags, Cs = [1, 2, 3, 4], [1, 2, 4, 6], [0.5, 1.0, 1.5]
    cv = StratifiedKFold(3, shuffle=True, random_state=42)

    start = step("3. GridSearchCV over a pipeline: 48 candidates, 3 folds")
    pipeline = Pipeline(
        [
            ("acm", AugmentedCovariances(estimator="oas")),
            ("tangent", SPDTangentSpace()),
            ("svc", SVC(kernel="linear")),
        ]
    )
    grid = {"acm__order": orders, "acm__lag": lags, "svc__C": Cs}
    peer = GridSearchCV(pipeline, grid, cv=cv)
    peer.set_callbacks(ProgressBar(max_propagation_depth=0)).fit(X, y)
    add("GridSearchCV over the pipeline", f"best {peer.best_score_:.3f}", start)

    start = step("   the same with AugmentedCovarianceClassifierCV")
    ours = AugmentedCovarianceClassifierCV(
        orders, lags, Cs, kernels=("linear",), estimator="oas", cv=cv
    )
    ours.set_callbacks(ProgressBar()).fit(X, y)
    add("AugmentedCovarianceClassifierCV", f"best {ours.best_score_:.3f}", start)
    best = ours.best_params_
    print(f"   order {best['order']}, lag {best['lag']}")
    assert np.isclose(ours.best_score_, peer.best_score_)

    display = EmbeddingScoreDisplay.from_estimator(ours)
    display.ax_.set_title("Accuracy of the ACM over order and lag")
    display.figure_.savefig(OUTPUT / "order_and_lag.png", dpi=100)
    acm = AugmentedCovariances(order=4, lag=4).fit(X)
    display = AugmentedCovarianceDisplay.from_estimator(acm, X[y == y[0]], sfreq=125.0)
    display.ax_.set_title("Augmented correlation of one class")
    display.figure_.savefig(OUTPUT / "augmented_covariance.png", dpi=100)


def main():
    """Run the three steps and print the table."""
    # What MOABB and seaborn have to say to their own maintainers.
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", message="The palette list has more values")
    warnings.filterwarnings("ignore", message="Creating a dataset without passing")
    OUTPUT.mkdir(exist_ok=True)
    begin = time.perf_counter()
    moabb_evaluation()
    estimator_checks()
    search()
    plt.close("all")
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    print(f"\nsklogit quickstart, {time.perf_counter() - begin:.0f} s in all")
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths)))
    pictures = ", ".join(str(path) for path in sorted(OUTPUT.glob("*.png")))
    print(f"Pictures: {pictures}")


if __name__ == "__main__":
    main()
