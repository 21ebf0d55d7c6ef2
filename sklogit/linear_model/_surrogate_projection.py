r"""Inner solvers: project a gradient in target space on what the model can reach.

All of them minimise, exactly or not, the quadratic

.. math:: q(D) = \tfrac12 \langle D, M D\rangle - \langle g, D\rangle ,\qquad
          M = \tfrac1n X^\top X + \rho P ,

with centred weighted features X, the gradient g of the objective by the parameters, and
P the projection on the coefficients (the intercept is not penalised). One such D serves
steps of every size: the surrogate of step eta has its minimum at theta - eta D, or is
decreased there by at least -eta q(D).
"""

import numpy as np
from scipy.linalg import cho_solve, cholesky, eigh, lapack, norm, qr, svd

# Gram matrices of sparse data are formed up to this many features; 2000 x 2000 doubles
# are 32 MB, and their factor costs less than a second.
_LARGEST_SPARSE_GRAM = 2000

# Of the Gram matrix, beyond which its factor gives way to one of the data. A gradient
# solved with a condition of 1e8 keeps eight digits in double precision.
_LARGEST_CONDITION = {np.dtype(np.float64): 1e8, np.dtype(np.float32): 1e4}


def make_projection(design, inner, ridge, inner_steps):
    """Return the inner solver.

    Parameters
    ----------
    design : CenteredDesign
        The model.
    inner : {"exact", "cg", "armijo"}
        Kind of solver; "exact" becomes conjugate gradients run to convergence for
        sparse data of many features.
    ridge : float
        Multiple of the identity added for the coefficients.
    inner_steps : int
        Steps of the inexact solvers.

    Returns
    -------
    projection : callable
        ``projection(g)`` returns D; its ``n_steps`` counts inner steps.
    """
    if inner == "armijo":
        return GradientProjection(design, ridge, inner_steps)
    if inner == "cg":
        return ConjugateGradientProjection(design, ridge, inner_steps)
    if design.sparse and design.n_features > _LARGEST_SPARSE_GRAM:
        return ConjugateGradientProjection(
            design, ridge, 1000, tol=np.sqrt(np.finfo(design.dtype).eps)
        )
    return ExactProjection(design, ridge)


class ExactProjection:
    """Minimise q by a factorisation that all calls share.

    Parameters
    ----------
    design : CenteredDesign
        The model.
    ridge : float
        Multiple of the identity added for the coefficients.
    """

    def __init__(self, design, ridge):
        self.n_steps = 0
        self._n_features = design.n_features
        self._solve = _factor(design, ridge)

    def __call__(self, gradient):
        self.n_steps += 1
        D = gradient.copy()
        D[: self._n_features] = self._solve(gradient[: self._n_features])
        return D


def _factor(design, ridge):
    """Return a solver for the Gram matrix plus ridge: the cheapest that is accurate."""
    if not design.sparse and len(design.X) < design.n_features:
        # M has rank n at most: Q R of the wide matrix's transpose, then n x n only.
        Q, R = qr(design.scaled().T.astype(np.float64), mode="economic")
        U, s, _ = svd(R)
        return _spectral_solver(Q @ U, s**2, ridge, _rank_tol(design) * s.max())
    gram = design.gram().astype(np.float64)
    solve = _cholesky_solver(gram, ridge, _LARGEST_CONDITION[design.dtype])
    if solve is not None:
        return solve
    if design.sparse:
        s2, V = eigh(gram)
        cut = np.sqrt(_rank_tol(design) * max(s2[-1], 0.0))
        return _spectral_solver(V, np.maximum(s2, 0), ridge, cut)
    # Squaring loses half the digits: take singular values of the data instead.
    (R,) = qr(design.scaled().astype(np.float64), mode="r", check_finite=False)
    _, s, Vt = svd(R[: design.n_features])
    return _spectral_solver(Vt.T, s**2, ridge, _rank_tol(design) * s.max())


def _rank_tol(design):
    return max(design.X.shape) * np.finfo(design.dtype).eps


def _cholesky_solver(gram, ridge, largest_condition):
    """Return a solver, or None if the matrix is too ill-conditioned for it."""
    M = gram.copy()
    M[np.diag_indices_from(M)] += ridge
    size = norm(M, 1)
    try:
        factor = cholesky(M, overwrite_a=True, check_finite=False)
    except np.linalg.LinAlgError:
        return None
    reciprocal, _ = lapack.dpocon(factor, size)
    if not reciprocal * largest_condition >= 1:
        return None

    def solve(g):
        return cho_solve((factor, False), g, check_finite=False)

    return solve


def _spectral_solver(V, s2, ridge, cut):
    """Return a solver by eigenvectors; directions with s <= cut count as unreachable.

    Without ridge the solution has no part in them (the pseudo-inverse), with one only
    the ridge acts there.
    """
    kept = np.sqrt(s2) > cut
    V, weights = V[:, kept], 1 / (s2[kept] + ridge)

    def solve(g):
        coordinates = V.T @ g
        D = V @ (weights[:, np.newaxis] * coordinates)
        if ridge > 0:
            D += (g - V @ coordinates) / ridge
        return D

    return solve


class _IterativeProjection:
    """What the inexact solvers share: the product with M."""

    def __init__(self, design, ridge, max_steps):
        self.n_steps = 0
        self._design = design
        self._ridge = ridge
        self._max_steps = max_steps

    def _product(self, D):
        product = self._design.adjoint(self._design.apply(D))
        d = self._design.n_features
        product[:d] += self._ridge * D[:d]
        return product


class ConjugateGradientProjection(_IterativeProjection):
    """Decrease q by conjugate gradients from zero, all outputs at once.

    The diagonal of M is the preconditioner: sparse columns differ in their scale. The
    data are only multiplied with, never changed.

    Parameters
    ----------
    design : CenteredDesign
        The model.
    ridge : float
        Multiple of the identity added for the coefficients.
    max_steps : int
        Most steps.
    tol : float, default=0.0
        Relative size of the preconditioned residual at which to stop; steps beyond
        rounding are never taken.
    """

    def __init__(self, design, ridge, max_steps, tol=0.0):
        super().__init__(design, ridge, max_steps)
        self._tol = max(tol, 10 * np.finfo(design.dtype).eps)
        diagonal = design.diagonal() + ridge
        # A constant column has no gradient; any positive number will do for it.
        diagonal[diagonal <= 0] = 1
        if design.fit_intercept:
            diagonal = np.append(diagonal, 1)
        self._inverse = (1 / diagonal).astype(design.dtype)[:, np.newaxis]

    def __call__(self, gradient):
        D = np.zeros_like(gradient)
        r = gradient.copy()
        z = self._inverse * r
        p = z.copy()
        rz = (r * z).sum(axis=0)
        stop = self._tol**2 * rz
        for _ in range(self._max_steps):
            if (rz <= stop).all():
                break
            Mp = self._product(p)
            a = _quotient(rz, (p * Mp).sum(axis=0))
            D += a * p
            r -= a * Mp
            z = self._inverse * r
            previous, rz = rz, (r * z).sum(axis=0)
            p = z + _quotient(rz, previous) * p
            self.n_steps += 1
        return D


class GradientProjection(_IterativeProjection):
    """Decrease q by gradient steps from zero, each with its exact step size.

    On a quadratic the best step <r, r> / <r, M r> is known, so that no step is tried
    twice. One step gives a multiple of the plain gradient.

    Parameters
    ----------
    design : CenteredDesign
        The model.
    ridge : float
        Multiple of the identity added for the coefficients.
    max_steps : int
        Number of steps.
    """

    def __call__(self, gradient):
        D = np.zeros_like(gradient)
        r = gradient.copy()
        for _ in range(self._max_steps):
            size = (r * r).sum(axis=0)
            if not size.any():
                break
            Mr = self._product(r)
            a = _quotient(size, (r * Mr).sum(axis=0))
            D += a * r
            r -= a * Mr
            self.n_steps += 1
        return D


def _quotient(numerator, denominator):
    """Quotient of sums of squares, 0 where the denominator vanishes."""
    positive = denominator > 0
    return np.where(positive, numerator / np.where(positive, denominator, 1), 0)
