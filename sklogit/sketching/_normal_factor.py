"""Cholesky factor of centred normal equations."""

from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import cho_solve
from scipy.linalg.lapack import dpocon, dpotrf, dtrtri

from ._frame import Frame


@dataclass
class NormalFactor:
    """Factor L of diag(1/d) (Z'Z - W m m') diag(1/d), with m the mean of Z.

    Attributes
    ----------
    frame : Frame
        What Z is.
    lower : ndarray of shape (n_live, n_live)
        The factor L.
    scale : ndarray of shape (n_live,)
        The diagonal d.
    mean : ndarray of shape (n_columns,)
        The mean m, zero without an intercept.
    total_weight : float
        The sum W of the weights.
    live : ndarray of bool of shape (n_columns,)
        Columns that are not constant, or penalised. The coefficients of the others are
        zero.
    lengths : ndarray of shape (n_features,)
        Norms of the columns of the frame before its transform.
    uncertainty : float
        Relative error that rounding of the moments may cause in solutions.
    has_intercept : bool
        Whether there is a constant column.
    null : ndarray of shape (n_features,) or float
        Part of the norm of the coefficients of X that rounding of the directions which
        are left out may add to each of them.
    start : tuple of ndarray
        A first solution (u, constant).
    n_passes : int
        Passes over the data that `solve` has made: none here.
    """

    frame: Frame
    lower: np.ndarray
    scale: np.ndarray
    mean: np.ndarray
    total_weight: float
    live: np.ndarray
    lengths: np.ndarray
    uncertainty: float
    has_intercept: bool
    null: np.ndarray | float = 0.0
    start: tuple = field(default=(None, None), repr=False)
    n_passes: int = 0
    is_direct = True

    @property
    def rank(self):
        """Number of columns that count."""
        return len(self.lower)

    def solve(self, gradient, sums):
        """Return the step (du, d constant) for a gradient and the sum of residuals."""
        centred = gradient - np.outer(self.mean, sums)
        step = np.zeros_like(gradient)
        if self.rank:
            right = centred[self.live] / self.scale[:, np.newaxis]
            solution = cho_solve((self.lower, True), right, check_finite=False)
            step[self.live] = solution / self.scale[:, np.newaxis]
        return step, self._constant(sums, step)

    def norm(self, u, constant):
        """Return the norm of fitted values, one for each target."""
        fitted = self.lower.T @ (u[self.live] * self.scale[:, np.newaxis])
        squares = np.sum(fitted**2, axis=0)
        if self.has_intercept:
            squares = squares + self.total_weight * (constant + self.mean @ u) ** 2
        return np.sqrt(squares)

    def orthonormal(self):
        """Return B, (n_columns, rank), with orthonormal centred columns of Z B."""
        columns = np.zeros((len(self.mean), self.rank))
        if self.rank:
            inverse, _ = dtrtri(self.lower, lower=1)
            columns[self.live] = inverse.T / self.scale[:, np.newaxis]
        return columns

    def inverse_root(self, orthonormal):
        """Return P for coefficients of X: P P' is the inverse of the moments of [1, X].

        Parameters
        ----------
        orthonormal : ndarray
            What the method of this name returned.

        Returns
        -------
        ndarray of shape (1 + n_features, 1 + rank)
            The first row and column belong to the intercept.
        """
        columns = self.frame.to_columns(orthonormal)
        P = np.zeros((1 + len(columns), 1 + columns.shape[1]))
        P[1:, 1:] = columns
        if self.frame.scale is not None:
            P[1:, 1:] *= self.frame.scale[:, np.newaxis]
        if self.has_intercept:
            P[0, 0] = self.total_weight**-0.5
            P[0, 1:] = -self.mean @ orthonormal
            if self.frame.shift is not None:
                P[0, 1:] -= self.frame.shift @ P[1:, 1:]
        return P

    def _constant(self, sums, step):
        if not self.has_intercept:
            return np.zeros_like(sums)
        return sums / self.total_weight - self.mean @ step


def factor_moments(moments, frame, alpha, has_intercept, eps, lengths=None):
    """Factor the normal equations of given moments.

    Parameters
    ----------
    moments : tuple of ndarray
        As summed by `Moments`.
    frame : Frame
        In which they were summed.
    alpha : float
        Penalty of the squared coefficients of X.
    has_intercept : bool
        Whether the constant column counts.
    eps : float
        Unit roundoff of the moments.
    lengths : ndarray of shape (n_features,) or None
        Norms of the columns before the transform, if there is one.

    Returns
    -------
    NormalFactor or None
        The factor, with the solution as its `start`; None if the equations are
        singular to working precision.
    """
    gram, cross, small = moments
    total_weight = small[0, 0]
    mean = cross[0] / total_weight if has_intercept else np.zeros(len(gram))
    raw = np.diag(gram)
    centred = gram - np.outer(mean, total_weight * mean)
    if alpha:
        with np.errstate(over="ignore", invalid="ignore"):
            centred += alpha * _penalty(frame, len(gram))
        if not np.isfinite(centred).all():  # columns are nothing beside the penalty
            return None
    spread = np.diag(centred)
    # A constant column that is not exactly zero here is noise: not for this method.
    live = (raw > 0) | (spread > 0)
    if (spread[live] <= 0).any():
        return None
    scale = np.sqrt(spread[live])
    lower, uncertainty = np.zeros((0, 0)), eps
    if live.any():
        correlation = centred[np.ix_(live, live)] / np.outer(scale, scale)
        lower, info = dpotrf(correlation, lower=1, clean=1)
        if info:
            return None
        size = np.abs(correlation).sum(axis=0).max()
        reciprocal, _ = dpocon(lower, size, uplo="L")
        cancelled = np.max(raw[live] / spread[live])
        uncertainty = eps * max(1.0, cancelled) / max(reciprocal, 1e-300)
    factor = NormalFactor(
        frame=frame,
        lower=lower,
        scale=scale,
        mean=mean,
        total_weight=total_weight,
        live=live,
        lengths=np.sqrt(raw) if lengths is None else lengths,
        uncertainty=uncertainty,
        has_intercept=has_intercept,
    )
    factor.start = factor.solve(cross[1:].T, small[0, 1:])
    return factor


def _penalty(frame, n_columns):
    """Squared norm of coefficients of X as a quadratic form in those of the frame."""
    columns = frame.to_columns(np.eye(n_columns))
    if frame.scale is not None:
        columns = columns * frame.scale[:, np.newaxis]
    return columns.T @ columns
