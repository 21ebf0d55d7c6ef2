"""Riemannian mean against pyRiemann's, on well and badly conditioned matrices.

Claim: the same mean, never slower, and no fifty iterations on ill-conditioned sets.

    python benchmarks/bench_mean.py
"""

import argparse
import warnings

import numpy as np
from _common import band_passed_noise, cpu_times, report, versions
from pyriemann.geometry.distance import distance_riemann
from pyriemann.geometry.mean import mean_riemann

from sklogit.covariance import augmented_covariance, riemannian_mean

# name, epochs, channels, order, lag, estimator
CASES = [
    ("3 channels, order 1", 50, 3, 1, 1, "oas"),
    ("3 channels, order 8", 50, 3, 8, 4, "oas"),
    ("22 channels, order 1", 50, 22, 1, 1, "oas"),
    ("22 channels, order 4", 50, 22, 4, 4, "oas"),
    ("22 channels, order 8", 50, 22, 8, 4, "oas"),
    ("22 channels, order 4, cov", 50, 22, 4, 4, "cov"),
    ("22 channels, order 8, lag 1, cov", 50, 22, 8, 1, "cov"),
    ("64 channels, order 1", 45, 64, 1, 1, "oas"),
    ("64 channels, order 2", 45, 64, 2, 4, "oas"),
    ("22 channels, order 1, 500 epochs", 500, 22, 1, 1, "oas"),
]


def gradient_norm(M, C):
    """Norm of the gradient at M, by means of nothing but NumPy's eigh."""
    values, vectors = np.linalg.eigh(M)
    root = (vectors / np.sqrt(values)) @ vectors.T
    Z = root @ C @ root
    values, vectors = np.linalg.eigh((Z + Z.mT) / 2)
    logs = (vectors * np.log(values)[:, None, :]) @ vectors.mT
    return float(np.linalg.norm(logs.mean(axis=0)))


def peer(C):
    """Mean of pyRiemann, and whether it warned that it did not converge."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        R = mean_riemann(C)
    return R, any("onverge" in str(warning.message) for warning in caught)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    versions()
    rows = []
    for name, n_epochs, n_channels, order, lag, estimator in CASES:
        X = band_passed_noise(n_epochs, n_channels, 1000)
        C = augmented_covariance(X, order, lag, estimator)
        (a, loose, b), ((M, info), _, (R, warned)) = cpu_times(
            lambda C=C: riemannian_mean(C, return_info=True),
            lambda C=C: riemannian_mean(C, tol=1e-4),
            lambda C=C: peer(C),
            repeats=args.repeats,
        )
        rows.append(
            {
                "matrices": name,
                "d": C.shape[1],
                "condition": float(np.median(np.linalg.cond(C))),
                "sklogit (s)": a,
                "sklogit, tol 1e-4 (s)": loose,
                "pyRiemann (s)": b,
                "ratio": b / a,
                "iterations": info.n_iter,
                "our gradient": gradient_norm(M, C),
                "pyRiemann's gradient": gradient_norm(R, C),
                "distance": float(distance_riemann(M, R)),
                "pyRiemann warned": warned,
            }
        )
        print(f"{name}: {b / a:.1f} times as fast", flush=True)
    report("mean", rows)


if __name__ == "__main__":
    main()
