"""Look for an augmented covariance that is never worse than order 1.

Left against right hand, recordings of PhysioNet's EEG Motor Movement/Imagery data set
under SKLOGIT_DATA (or those that MOABB downloads), 8 to 32 Hz, ROC-AUC of repeated
stratified five-fold cross-validation. Every variant sees the same folds, and
everything that learns does so on the training part of a fold.

    SKLOGIT_DATA=/path/to/data python benchmarks/study_acm_variants.py

writes results/study_acm_variants.csv, and

    ... study_acm_variants.py --finalists --repeats 10

results/study_acm_variants_finalists.csv: a few variants with more repetitions.

Variants were invented, and their constants chosen, on the subjects in EXPLORE. One of
them, FINALIST, was fixed before any variant was run on the other subjects: only its
row, and only its column "confirm", is free of selection. All other rows are published
so that nobody has to try them again. The columns "subjects better" and "subjects worse"
count the subjects in whom the corrected resampled t-test has p < 0.05.

Two generated sets, whose classes differ in time structure only, tell a variant that
uses the lags from one that has fallen back to order 1.
"""

import argparse
import time
import warnings
from typing import NamedTuple

import mne
import numpy as np
from _common import report
from moabb.paradigms import LeftRightImagery, MotorImagery
from scipy.linalg import eigh
from scipy.stats import t as student
from scipy.stats import ttest_1samp, wilcoxon
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from sklogit.covariance import (
    LagStatistics,
    arithmetic_harmonic_mean,
    tangent_vectors,
)
from sklogit.datasets import load_physionet_mi, make_bci_epochs, moabb_sandbox

EXPLORE = (1, 2, 3, 4, 7)
BASELINE = "TS+SVM"
FINALIST = "order 1 + orders 2 at lags 4, 6, 8 on 24 lagged components"
N_SPLITS = 5
# The training sets are separable and a wide margin only hurts (row "C nested"): this is
# a hard margin for kernels whose diagonal is 1 on average.
HARD = 1e3


class View(NamedTuple):
    """An augmented covariance, and the channels or components that it is taken of."""

    order: int = 1
    lag: int = 1
    structure: str | None = None
    # What becomes of the blocks off the diagonal: multiplied by 1 - cross, with a
    # number or the analytic intensity for N ("oas") or effective N ("effective").
    cross: float | str = 0.0
    # Shrinkage towards the identity, with N or the effective N.
    estimator: str = "oas"
    reduction: str | None = None  # strip, pca, csp or lagged
    n_components: int = 0


class Epochs:
    """Epochs of one subject, and the kernels of their views."""

    def __init__(self, X, y):
        self.X, self.y = X, y
        self.n_channels, self.n_times = X.shape[1:]
        self._covariances = {}
        self._kernels = {}

    def kernel(self, view, train):
        """Linear kernel of the tangent vectors at the mean of the training epochs."""
        key = view, train.tobytes()
        if key not in self._kernels:
            C = self._reduced(view, train)
            # The mean costs a twentieth of the Riemannian one; the AUC is the same.
            F = tangent_vectors(C, arithmetic_harmonic_mean(C[train]))
            self._kernels[key] = F @ F.T
        return self._kernels[key]

    def _reduced(self, view, train):
        C = self.covariance(view._replace(reduction=None, n_components=0))
        k = view.n_components
        if view.reduction is None or k >= self.n_channels:
            return C
        p, c = view.order, self.n_channels
        blocks = C.reshape(len(C), p, c, p, c)
        if view.reduction == "strip":
            W = np.eye(c)[:k]  # MOABB puts the 21 electrodes of the motor strip first
        elif view.reduction == "pca":
            spatial = self.covariance(View())[train].mean(axis=0)
            W = np.linalg.eigh(spatial)[1][:, : -k - 1 : -1].T
        elif view.reduction == "csp":
            W = common_spatial_patterns(self.covariance(View()), self.y, train, k)
        else:
            W = lagged_components(blocks, self.y, train, k)
        C = np.einsum("ki,naibj,lj->nakbl", W, blocks, W, optimize=True)
        return C.reshape(len(C), p * len(W), p * len(W))

    def covariance(self, view):
        """Augmented covariances of all channels."""
        if view not in self._covariances:
            self._covariances[view] = self._covariance(view)
        return self._covariances[view]

    def _covariance(self, view):
        statistics = LagStatistics(self.X)
        p, lag = view.order, view.lag
        if view.cross == 0 and view.estimator == "oas":
            return statistics.covariance(p, lag, "oas", structure=view.structure)
        C = statistics.covariance(p, lag, "scm", structure=view.structure)
        n = self.n_times - (p * lag if p > 1 else 0)
        n_effective = n * self.effective_samples() / self.n_times
        if view.cross != 0:
            count = {"oas": n, "effective": n_effective}.get(view.cross)
            shrink_cross_blocks(C, p, view.cross if count is None else None, count)
        return oas(C, n_effective if view.estimator == "effective" else n)

    def effective_samples(self):
        """Independent samples that an epoch is worth, from its autocorrelation."""
        X = self.X - self.X.mean(axis=2, keepdims=True)
        power = np.sum(np.abs(np.fft.rfft(X, 2 * self.n_times)) ** 2, axis=1)
        r = np.fft.irfft(power)[:, : self.n_times // 3]
        r = r / r[:, :1]
        return self.n_times / (1 + 2 * np.sum(r[:, 1:] ** 2, axis=1))

    def forget_kernels(self):
        """Free what the folds of one repetition share."""
        self._kernels.clear()


def oas(S, n_samples):
    """Shrink towards the identity, with a number of samples per matrix."""
    d = S.shape[1]
    mu = np.trace(S, axis1=1, axis2=2) / d
    alpha = np.mean(S**2, axis=(1, 2))
    rho = (alpha + mu**2) / ((n_samples + 1) * (alpha - mu**2 / d))
    rho = np.minimum(rho, 1)[:, np.newaxis, np.newaxis]
    return (1 - rho) * S + rho * mu[:, np.newaxis, np.newaxis] * np.eye(d)


def shrink_cross_blocks(C, order, intensity, n_samples):
    """Shrink towards the block diagonal, in place; analytic if no intensity is given.

    The analytic one divides the expected squared error of the cross blocks of a
    Gaussian, sum_ab (tr C_aa tr C_bb + |C_ab|^2) / N, by their squared norm.
    """
    n, d, _ = C.shape
    blocks = C.reshape(n, order, d // order, order, d // order)
    off = 1 - np.eye(order)
    if intensity is None:
        norm2 = np.einsum("naibj,naibj->nab", blocks, blocks)
        trace = np.einsum("naiai->na", blocks)
        error = norm2 + trace[:, :, np.newaxis] * trace[:, np.newaxis, :]
        error = np.sum(error * off, axis=(1, 2)) / n_samples
        intensity = np.minimum(1, error / np.sum(norm2 * off, axis=(1, 2)))
    keep = 1 - np.broadcast_to(intensity, n)[:, np.newaxis, np.newaxis] * off
    blocks *= keep[:, :, np.newaxis, :, np.newaxis]


def common_spatial_patterns(C, y, train, k):
    """Spatial filters (k, c) whose variance differs most between the classes."""
    first, second = (C[train][y[train] == label].mean(axis=0) for label in (0, 1))
    values, V = eigh(first, first + second)
    return V[:, np.argsort(-np.abs(values - 0.5))[:k]].T


def lagged_components(blocks, y, train, k):
    """Spatial filters (k, c) whose lagged covariances differ most between the classes.

    With W the inverse root of the mean covariance and D_ab the block (a, b) of the
    difference of the class means, the leading eigenvectors U of
    sum_ab W D_ab W (W D_ab W)^T give the filters U^T W: components as CSP finds
    them, but of the whole augmented matrix.
    """
    order = blocks.shape[1]
    spatial = sum(blocks[train][:, a, :, a] for a in range(order)) / order
    values, V = np.linalg.eigh(arithmetic_harmonic_mean(spatial))
    W = (V / np.sqrt(values)) @ V.T
    means = [blocks[train][y[train] == label].mean(axis=0) for label in (0, 1)]
    D = np.einsum("ki,aibj,lj->kabl", W, means[1] - means[0], W, optimize=True)
    D = D.reshape(len(W), -1)
    return np.linalg.eigh(D @ D.T)[1][:, : -k - 1 : -1].T @ W


def normalised(K, train):
    """Kernel with training epochs of mean zero and of mean squared norm one."""
    mean = K[:, train].mean(axis=1)
    K = K - mean - mean[:, np.newaxis] + mean[train].mean()
    return K / np.diagonal(K)[train].mean()


def svm(K, y, train, test, C=HARD):
    model = SVC(C=C, kernel="precomputed").fit(K[np.ix_(train, train)], y[train])
    return model.decision_function(K[np.ix_(test, train)])


# Variants: functions (epochs, train, test) -> scores of the test epochs -------------


def fixed(*views, weights=None):
    """SVM of the sum of the normalised kernels of the views."""

    def variant(epochs, train, test):
        kernels = [normalised(epochs.kernel(view, train), train) for view in views]
        K = np.tensordot(weights or np.ones(len(views)), kernels, axes=1)
        return svm(K, epochs.y, train, test)

    return variant


def svm_c1(view):
    """SVC(kernel="linear") with its defaults, on tangent vectors."""
    return lambda epochs, train, test: svm(
        epochs.kernel(view, train), epochs.y, train, test, C=1.0
    )


def logistic(view):
    """Logistic regression, on coordinates with the same inner products."""

    def variant(epochs, train, test):
        values, V = np.linalg.eigh(epochs.kernel(view, train))
        F = V * np.sqrt(np.maximum(values, 0))
        model = LogisticRegression(max_iter=1000).fit(F[train], epochs.y[train])
        return model.decision_function(F[test])

    return variant


def averaged(*views):
    """Mean of the decisions of SVMs, one a view, scaled on the training epochs."""

    def variant(epochs, train, test):
        total = 0.0
        for view in views:
            K = normalised(epochs.kernel(view, train), train)
            scale = svm(K, epochs.y, train, train).std()
            total = total + svm(K, epochs.y, train, test) / scale
        return total

    return variant


def nested(*variants):
    """Take the variant with the best AUC in the training set, the first if they tie."""

    def variant(epochs, train, test):
        y = epochs.y[train]
        folds = StratifiedKFold(N_SPLITS, shuffle=True, random_state=0).split(y, y)
        scores = np.zeros(len(variants))
        for rest, held in folds:
            rest, held = train[rest], train[held]
            scores += [
                roc_auc_score(epochs.y[held], v(epochs, rest, held)) for v in variants
            ]
        return variants[int(np.argmax(scores.round(9)))](epochs, train, test)

    return variant


def with_c(view, C):
    def variant(epochs, train, test):
        K = normalised(epochs.kernel(view, train), train)
        return svm(K, epochs.y, train, test, C=C)

    return variant


def lagged(order, lag, k=24):
    return View(order, lag, reduction="lagged", n_components=k)


ONE = View()
CS = (0.03, 0.1, 0.3, 1.0, 10.0, HARD)
LAGS = (4, 6, 8)
VARIANTS = {
    BASELINE: svm_c1(ONE),
    "TS+LR": logistic(ONE),
    "TS+SVM, C nested": nested(*(with_c(ONE, C) for C in reversed(CS))),
    "TS+SVM, oas of effective N": fixed(View(estimator="effective")),
    "ACM(2, 2)": svm_c1(View(2, 2)),
    "ACM(2, 4)": svm_c1(View(2, 4)),
    "ACM(2, 8)": svm_c1(View(2, 8)),
    "ACM(3, 3)": svm_c1(View(3, 3)),
    "ACM(2, 4), C nested": nested(*(with_c(View(2, 4), C) for C in reversed(CS))),
    "ACM(2, 4), toeplitz": fixed(View(2, 4, "toeplitz")),
    "ACM(2, 4), cross blocks x 0.75": fixed(View(2, 4, cross=0.25)),
    "ACM(2, 4), cross blocks x 0.5": fixed(View(2, 4, cross=0.5)),
    "ACM(2, 4), cross blocks x 0.25": fixed(View(2, 4, cross=0.75)),
    "ACM(2, 4), cross blocks shrunk, N": fixed(View(2, 4, cross="oas")),
    "ACM(2, 4), cross blocks shrunk, effective N": fixed(View(2, 4, cross="effective")),
    "ACM(2, 4), both shrunk, effective N": fixed(
        View(2, 4, cross="effective", estimator="effective")
    ),
    "order 1 + ACM(2, 4), kernels": fixed(ONE, View(2, 4)),
    "order 1 + ACM(2, 4), decisions": averaged(ONE, View(2, 4)),
    "order 1 + w ACM(2, 4), w nested": nested(
        *(fixed(ONE, View(2, 4), weights=(1.0, w)) for w in (0.0, 0.3, 1.0, 3.0))
    ),
    "order 1, strip": fixed(View(reduction="strip", n_components=21)),
    "ACM(2, 4), strip": fixed(View(2, 4, reduction="strip", n_components=21)),
    "ACM(4, 4), strip": fixed(View(4, 4, reduction="strip", n_components=21)),
    "order 1, 16 PCA": fixed(View(reduction="pca", n_components=16)),
    "ACM(2, 4), 16 PCA": fixed(View(2, 4, reduction="pca", n_components=16)),
    "ACM(4, 4), 16 PCA": fixed(View(4, 4, reduction="pca", n_components=16)),
    "order 1, 16 CSP": fixed(View(reduction="csp", n_components=16)),
    "ACM(2, 4), 16 CSP": fixed(View(2, 4, reduction="csp", n_components=16)),
    "ACM(2, 8), 16 CSP": fixed(View(2, 8, reduction="csp", n_components=16)),
    "order 1, 24 lagged": fixed(lagged(1, 1)),
    **{f"ACM(2, {lag}), 24 lagged": fixed(lagged(2, lag)) for lag in LAGS},
    "ACM(2, 6), 16 lagged": fixed(lagged(2, 6, 16)),
    "ACM(2, 6), 32 lagged": fixed(lagged(2, 6, 32)),
    "ACM(3, 6), 24 lagged": fixed(lagged(3, 6)),
    "order 1 + order 1, 24 lagged": fixed(ONE, lagged(1, 1)),
    "order 1 + ACM(2, 6), 24 lagged": fixed(ONE, lagged(2, 6)),
    FINALIST: fixed(ONE, *(lagged(2, lag) for lag in LAGS)),
    "order 1 or ACM(2, 4/6/8) 24 lagged, nested": nested(
        fixed(ONE), *(fixed(lagged(2, lag)) for lag in LAGS)
    ),
}
FINALISTS = (
    BASELINE,
    "ACM(2, 4)",
    "order 1, 24 lagged",
    "ACM(2, 6), 24 lagged",
    "order 1 + order 1, 24 lagged",
    "order 1 + ACM(2, 6), 24 lagged",
    FINALIST,
)
# For the choice made on the other subjects.
POOL = (
    BASELINE,
    "ACM(2, 2)",
    "ACM(2, 4)",
    "ACM(2, 8)",
    "ACM(3, 3)",
    *(f"ACM(2, {lag}), 24 lagged" for lag in LAGS),
)
CHOSEN = "order, lag, 24 lagged or all: chosen on the other subjects"


# Data, evaluation and statistics -----------------------------------------------------


def data_sets(subjects):
    """Yield names and epochs; names start with S where the two hands are imagined."""
    hands = LeftRightImagery(fmin=8, fmax=32)
    feet = MotorImagery(events=["hands", "feet"], n_classes=2, fmin=8, fmax=32)
    with moabb_sandbox():
        recordings = load_physionet_mi(subjects)
        for subject in recordings.subject_list:
            X, y, _ = hands.get_data(recordings, subjects=[subject])
            yield f"S{subject}", Epochs(X, (y == "right_hand").astype(int))
        try:
            recordings = load_physionet_mi([1, 4], imagery="hands_feet")
        except ValueError:
            recordings = None
        if recordings is not None and subjects is None:
            for subject in recordings.subject_list:
                X, y, _ = feet.get_data(recordings, subjects=[subject])
                yield f"feet S{subject}", Epochs(X, (y == "feet").astype(int))
    yield "generated, 8 ch", Epochs(*make_bci_epochs(120, random_state=0))
    X, y = make_bci_epochs(45, n_channels=64, n_sources=32, random_state=0)
    yield "generated, 64 ch", Epochs(X, y)


def evaluate(variants, epochs, repeats):
    """AUC of each variant, (repeats * N_SPLITS,)."""
    scores = {name: [] for name in variants}
    for seed in range(repeats):
        folds = StratifiedKFold(N_SPLITS, shuffle=True, random_state=seed)
        for train, test in folds.split(epochs.y, epochs.y):
            for name, variant in variants.items():
                decision = variant(epochs, train, test)
                scores[name].append(roc_auc_score(epochs.y[test], decision))
            epochs.forget_kernels()
    return {name: np.array(values) for name, values in scores.items()}


def corrected_p(difference):
    """P-value of the corrected resampled t-test (Nadeau and Bengio) in one subject."""
    n = len(difference)
    variance = difference.var(ddof=1) * (1 / n + 1 / (N_SPLITS - 1))
    if variance == 0:
        return 1.0
    return 2 * student.sf(abs(difference.mean()) / np.sqrt(variance), n - 1)


def over_subjects(differences):
    """Mean with its 95 % interval (t over subjects), and both p-values."""
    mean, n = differences.mean(), len(differences)
    if n < 2 or not differences.any():
        return f"{mean:+.3f}", "", ""
    half = student.ppf(0.975, n - 1) * differences.std(ddof=1) / np.sqrt(n)
    t_p = ttest_1samp(differences, 0).pvalue
    w_p = wilcoxon(differences).pvalue
    text = f"{mean:+.3f} ({mean - half:+.3f} to {mean + half:+.3f})"
    return text, f"{t_p:.2f}", f"{w_p:.2f}"


def add_choice(scores, names):
    """Add the variant of POOL that is best on average on all other subjects."""
    for name in names:
        others = [other for other in names if other != name]
        best = max(
            POOL, key=lambda v: np.mean([scores[other][v].mean() for other in others])
        )
        print(f"{name}: the other subjects choose {best}")
        scores[name][CHOSEN] = scores[name][best]


def table(scores):
    hands = [name for name in scores if name.startswith("S")]
    explore = [name for name in hands if int(name[1:]) in EXPLORE]
    groups = {
        "explore": explore,
        "confirm": [name for name in hands if name not in explore],
        "all": hands,
    }
    rows = []
    for variant in scores[hands[0]]:
        row = {"variant": variant}
        for name in scores:
            found = scores[name].get(variant)
            row[name] = "" if found is None else f"{found.mean():.3f}"
        delta = {n: scores[n][variant] - scores[n][BASELINE] for n in hands}
        for group, members in groups.items():
            if not members:
                continue
            mean = np.mean([scores[n][variant].mean() for n in members])
            means = np.array([delta[n].mean() for n in members])
            text, t_p, w_p = over_subjects(means)
            row[f"{group}: mean"] = f"{mean:.3f}"
            row[f"{group}: minus {BASELINE}"] = text
            row[f"{group}: t p"], row[f"{group}: Wilcoxon p"] = t_p, w_p
        significant = [n for n in hands if corrected_p(delta[n]) < 0.05]
        row["subjects better"] = sum(delta[n].mean() > 0 for n in significant)
        row["subjects worse"] = sum(delta[n].mean() < 0 for n in significant)
        rows.append(row)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=4, help="repetitions of folds")
    parser.add_argument("--subjects", type=int, nargs="*", default=None)
    parser.add_argument("--finalists", action="store_true", help="a few variants only")
    args = parser.parse_args()
    mne.set_log_level("ERROR")
    warnings.filterwarnings("ignore")
    variants = {
        n: v for n, v in VARIANTS.items() if n in FINALISTS or not args.finalists
    }
    scores = {}
    with threadpool_limits(1):
        for name, epochs in data_sets(args.subjects):
            start = time.perf_counter()
            repeats = 1 if name.startswith("generated") else args.repeats
            scores[name] = evaluate(variants, epochs, repeats)
            seconds = time.perf_counter() - start
            mean = scores[name][BASELINE].mean()
            print(f"{name}: {BASELINE} {mean:.3f}, {seconds:.0f} s", flush=True)
    hands = [name for name in scores if name.startswith("S")]
    if len(hands) > 1 and not args.finalists:
        add_choice(scores, hands)
    suffix = "_finalists" if args.finalists else ""
    report(f"study_acm_variants{suffix}", table(scores))


if __name__ == "__main__":
    main()
