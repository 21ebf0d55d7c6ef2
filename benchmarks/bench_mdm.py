"""Minimum distance to mean: the Siegel metric against the affine-invariant one.

Question: is the metric of block-Toeplitz matrices as accurate, and cheaper?

    SKLOGIT_DATA=/path/to/data python benchmarks/bench_mdm.py

Without SKLOGIT_DATA the recordings are left out.
"""

import argparse
import time
import warnings

import mne
import moabb
import numpy as np
from _common import report, versions
from moabb.paradigms import LeftRightImagery
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import LabelEncoder
from threadpoolctl import threadpool_limits

from sklogit.covariance import AugmentedMDM, SiegelMDM
from sklogit.datasets import (
    get_data_home,
    load_physionet_mi,
    make_bci_epochs,
    moabb_sandbox,
)

MOTOR_STRIP = [row + column for row in ("FC", "C", "CP") for column in "531z246"]


def generated(n_sets, **params):
    return [make_bci_epochs(random_state=seed, **params) for seed in range(n_sets)]


def recorded():
    """Epochs and labels of each subject at hand, motor strip."""
    mne.set_log_level("ERROR")
    moabb.set_log_level("error")
    dataset = load_physionet_mi()
    paradigm = LeftRightImagery(channels=MOTOR_STRIP)
    sets = []
    with moabb_sandbox():
        for subject in dataset.subject_list:
            X, y, _ = paradigm.get_data(dataset, [subject])
            sets.append((X, LabelEncoder().fit_transform(y)))
    return sets


def classifiers(order, lag):
    return {
        "AugmentedMDM": AugmentedMDM(order, lag),
        "AugmentedMDM, toeplitz": AugmentedMDM(order, lag, structure="toeplitz"),
        "AugmentedMDM, kullback": AugmentedMDM(order, lag, reference="kullback"),
        "SiegelMDM": SiegelMDM(order, lag),
    }


def evaluate(clf, X, y):
    """Mean ROC-AUC, median CPU milliseconds of fit and of predict, of five folds."""
    scores, fits, predicts = [], [], []
    for train, test in StratifiedKFold(5, shuffle=True, random_state=0).split(X, y):
        start = time.process_time()
        clf.fit(X[train], y[train])
        middle = time.process_time()
        proba = clf.predict_proba(X[test])[:, 1]
        predicts.append(time.process_time() - middle)
        fits.append(middle - start)
        scores.append(roc_auc_score(y[test], proba))
    return np.mean(scores), 1e3 * np.median(fits), 1e3 * np.median(predicts)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=8, help="generated data sets")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    versions()
    few = generated(args.sets)
    noisy = generated(args.sets, n_epochs=60, n_channels=12, n_times=200, noise=0.5)
    cases = [
        ("generated, 8 channels", few, 4, 2),
        ("generated, 12 channels, noisy, short", noisy, 4, 2),
    ]
    if get_data_home() is not None:
        real = recorded()
        cases += [
            (f"real, 21 channels, {len(real)} subjects", real, 2, 4),
            (f"real, 21 channels, {len(real)} subjects", real, 4, 4),
            (f"real, 21 channels, {len(real)} subjects", real, 8, 4),
        ]
    rows = []
    with threadpool_limits(1):
        for name, sets, order, lag in cases:
            for label, clf in classifiers(order, lag).items():
                figures = np.mean([evaluate(clf, X, y) for X, y in sets], axis=0)
                rows.append(
                    {
                        "data": name,
                        "order, lag": f"{order}, {lag}",
                        "classifier": label,
                        "ROC-AUC": f"{figures[0]:.3f}",
                        "fit (ms)": float(figures[1]),
                        "predict (ms)": float(figures[2]),
                    }
                )
                print(f"{name} {order},{lag} {label} {figures[0]:.3f}", flush=True)
    report("mdm", rows)


if __name__ == "__main__":
    main()
