"""Within-session ROC-AUC on real motor imagery, every pipeline with the same folds.

Left against right hand, recordings of PhysioNet's EEG Motor Movement/Imagery data set
under SKLOGIT_DATA (or those that MOABB downloads), 8 to 32 Hz, MOABB's
WithinSessionEvaluation with five stratified folds, repeated with several seeds.
Order and lag of the pipeline "(CV)" are chosen within each training set.

    SKLOGIT_DATA=/path/to/data python benchmarks/bench_real_eeg.py
"""

import argparse
import os
import time
import warnings

import mne
import moabb
import numpy as np
import pandas as pd
from _common import report
from mne.decoding import CSP
from moabb.evaluations import WithinSessionEvaluation
from moabb.paradigms import LeftRightImagery
from pyriemann.classification import FgMDM
from pyriemann.estimation import Covariances
from pyriemann.tangentspace import TangentSpace
from scipy.stats import t as student
from scipy.stats import wilcoxon
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from sklogit.covariance import pipelines
from sklogit.datasets import get_data_home, load_physionet_mi, moabb_sandbox

MOTOR_STRIP = [
    row + column
    for row, columns in (("FC", "531z246"), ("C", "531z246"), ("CP", "531z246"))
    for column in columns
]
BASELINE = "TS+SVM"


def compared():
    ours = pipelines()
    return {
        "CSP+LDA": make_pipeline(CSP(n_components=6), LinearDiscriminantAnalysis()),
        "FgMDM": make_pipeline(Covariances("oas"), FgMDM()),
        "TS+LR": make_pipeline(
            Covariances("oas"), TangentSpace(), LogisticRegression(max_iter=1000)
        ),
        BASELINE: make_pipeline(
            Covariances("oas"), TangentSpace(), SVC(kernel="linear")
        ),
        **{name: ours[name] for name in ours if name != BASELINE},
    }


def evaluate(dataset, channels, seeds):
    """Scores of all pipelines, one row per pipeline, subject and seed."""
    scores = []
    with moabb_sandbox() as folder:
        for seed in seeds:
            evaluation = WithinSessionEvaluation(
                paradigm=LeftRightImagery(channels=channels),
                datasets=[dataset],
                hdf5_path=str(folder),
                overwrite=True,
                random_state=seed,
            )
            for name, pipeline in compared().items():
                start = time.perf_counter()
                found = evaluation.process({name: pipeline})
                found = found[found["pipeline"] == name].assign(seed=seed)
                scores.append(found[["pipeline", "subject", "score", "seed"]])
                seconds = time.perf_counter() - start
                mean = found["score"].mean()
                print(f"seed {seed} {name:18s} {mean:.3f} {seconds:5.0f} s", flush=True)
    return pd.concat(scores, ignore_index=True).astype({"subject": int})


def summary(scores, n_channels):
    """Rows of the table: means per subject, and the paired difference over them."""
    table = scores.pivot_table("score", "pipeline", "subject")
    rows = []
    for name in compared():
        subjects = table.loc[name]
        difference = (subjects - table.loc[BASELINE]).to_numpy(float)
        n = len(difference)
        half = student.ppf(0.975, n - 1) * difference.std(ddof=1) / np.sqrt(n)
        low, high = difference.mean() - half, difference.mean() + half
        p = wilcoxon(difference).pvalue if difference.any() else 1.0
        rows.append(
            {
                "channels": n_channels,
                "pipeline": name,
                **{f"S{s}": f"{value:.2f}" for s, value in subjects.items()},
                "mean": f"{subjects.mean():.3f}",
                f"minus {BASELINE}": f"{difference.mean():+.3f}",
                "95 % interval": ""
                if name == BASELINE
                else f"{low:+.3f} to {high:+.3f}",
                "Wilcoxon p": "" if name == BASELINE else f"{p:.2f}",
            }
        )
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2, help="repetitions of the folds")
    parser.add_argument("--subjects", type=int, nargs="*", default=None)
    args = parser.parse_args()
    mne.set_log_level("ERROR")
    moabb.set_log_level("error")
    warnings.filterwarnings("ignore")
    os.environ["PYTHONWARNINGS"] = "ignore"
    if args.subjects is None and get_data_home() is None:
        parser.error(
            "set SKLOGIT_DATA to the folder of the recordings, or name the --subjects "
            "that MOABB is to download"
        )
    dataset = load_physionet_mi(subjects=args.subjects)
    rows = []
    for channels in (MOTOR_STRIP, None):
        scores = evaluate(dataset, channels, range(args.seeds))
        rows += summary(scores, 64 if channels is None else len(channels))
    report("real_eeg", rows)


if __name__ == "__main__":
    main()
