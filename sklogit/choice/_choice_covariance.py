"""Covariance of estimated coefficients."""

import numpy as np

from ._newton import invert_scaled, scale_of

# Part of a coefficient in a direction without curvature that is round-off.
_ROUND_OFF = 1e-6


class Estimates:
    """Coefficients at a minimum, and what the choices leave open about them.

    Features may have been shifted for the fit. The coefficients here are those of the
    shifted features, the covariance is that of features as they are.

    Parameters
    ----------
    hessian : ndarray of shape (n_coefs, n_coefs)
        Hessian at the minimum.
    centre : ndarray of shape (n_features,)
        What was subtracted from the features.
    intercept : bool
        Whether the last coefficient is an intercept.

    Attributes
    ----------
    flat : ndarray of shape (n_coefs, n_flat)
        Directions of shifted coefficients without curvature.
    identified : ndarray of bool, shape (n_coefs,)
        Which coefficients are in none of them.
    covariance : ndarray of shape (n_coefs, n_coefs)
        Inverse of the Hessian; NaN for coefficients that are not identified.
    """

    def __init__(self, hessian, centre, intercept):
        self._inverse, self.flat = invert_scaled(hessian)
        self._back = np.eye(len(hessian))
        if intercept:
            self._back[-1, :-1] = -centre
        self.identified = self._identified(scale_of(hessian))
        self.covariance = self._shifted_back(self._inverse)

    def sandwich(self, scores):
        """Covariance from gradients of clusters, (n_clusters, n_coefs)."""
        half = scores @ self._inverse
        return self._shifted_back(half.T @ half)

    def _identified(self, scale):
        # Parts of a sum that cancel: the intercept of two copies of a feature is known.
        size = np.abs(self._back) @ np.abs(self.flat)
        size = np.maximum(size, scale[:, np.newaxis])
        return (np.abs(self._back @ self.flat) <= _ROUND_OFF * size).all(axis=1)

    def _shifted_back(self, covariance):
        """Covariance of the coefficients of features as they are."""
        result = self._back @ covariance @ self._back.T
        lost = ~self.identified
        result[lost], result[:, lost] = np.nan, np.nan
        return result
