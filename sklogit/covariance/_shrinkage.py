"""Shrinkage intensities of covariance matrices, from the matrices themselves.

With S the empirical covariance (division by N) of N samples in R^f and
mu = tr(S) / f, both estimators return (1 - rho) S + rho mu I. They need no pass over
the samples, apart from one number per matrix for Ledoit-Wolf.
"""

import numpy as np


def oas_shrinkage(S, n_samples):
    """Intensity of the oracle approximating shrinkage.

    Parameters
    ----------
    S : ndarray of shape (n_matrices, f, f)
        Empirical covariances (divided by `n_samples`).
    n_samples : int
        Number of samples of each.

    Returns
    -------
    ndarray of shape (n_matrices,)
        rho in [0, 1].
    """
    n_features = S.shape[-1]
    if n_features == 1:
        return np.zeros(len(S))
    alpha = np.einsum("nij,nij->n", S, S) / n_features**2
    mu2 = (np.trace(S, axis1=1, axis2=2) / n_features) ** 2
    denominator = (n_samples + 1) * (alpha - mu2 / n_features)
    rho = np.ones(len(S))
    np.divide(alpha + mu2, denominator, out=rho, where=denominator != 0)
    return np.minimum(rho, 1.0)


def ledoit_wolf_shrinkage(S, n_samples, sum_norm4):
    """Intensity of Ledoit and Wolf.

    Parameters
    ----------
    S : ndarray of shape (n_matrices, f, f)
        Empirical covariances (divided by `n_samples`).
    n_samples : int
        Number of samples of each.
    sum_norm4 : ndarray of shape (n_matrices,)
        Sum over the samples of the fourth power of their (centred) norm.

    Returns
    -------
    ndarray of shape (n_matrices,)
        rho in [0, 1].
    """
    n_features = S.shape[-1]
    if n_features == 1:
        return np.zeros(len(S))
    norm2 = np.einsum("nij,nij->n", S, S)
    mu2 = (np.trace(S, axis1=1, axis2=2) / n_features) ** 2
    delta = (norm2 - n_features * mu2) / n_features
    beta = (sum_norm4 / n_samples - norm2) / (n_features * n_samples)
    beta = np.minimum(np.maximum(beta, 0.0), delta)  # rounding may leave -1e-17
    rho = np.zeros(len(S))
    np.divide(beta, delta, out=rho, where=(beta != 0) & (delta != 0))
    return rho


def shrink_(S, rho):
    """Shrink covariances towards the scaled identity, in place.

    Parameters
    ----------
    S : ndarray of shape (n_matrices, f, f)
        Overwritten with (1 - rho) S + rho tr(S) / f I.
    rho : ndarray of shape (n_matrices,)
        Intensities.
    """
    n_features = S.shape[-1]
    mu = np.trace(S, axis1=1, axis2=2) / n_features
    S *= (1.0 - rho)[:, np.newaxis, np.newaxis]
    S.reshape(len(S), -1)[:, :: n_features + 1] += (rho * mu)[:, np.newaxis]
