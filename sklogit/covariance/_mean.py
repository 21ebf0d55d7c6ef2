"""Means of symmetric positive definite (SPD) matrices."""

import warnings
from dataclasses import dataclass, field
from numbers import Integral, Real

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array
from sklearn.utils._param_validation import Interval, StrOptions, validate_params
from sklearn.utils.validation import _check_sample_weight

from ._threads import blas_threads_for, threads_over_matrices

_EPS = np.finfo(np.float64).eps

# Newton steps end the search when the next gradient is expected this far below tol:
# the expectation is an extrapolation, so it keeps a margin of ten.
_MARGIN = 0.1

# Norm of the gradient after a Newton step over the square of the norm before it. It was
# 0.003 to 0.05 on EEG of condition numbers from 1e3 to 1e10. The value for the first
# step only; later ones use what the last step showed.
_CURVATURE = 0.1


def check_spd(C, name="C"):
    """Validate a set of SPD matrices.

    Parameters
    ----------
    C : array-like of shape (n_matrices, d, d)
        Matrices.
    name : str, default="C"
        Name in the error messages.

    Returns
    -------
    ndarray of shape (n_matrices, d, d)
        The matrices, float64.

    Raises
    ------
    ValueError
        If a matrix is not square, not finite, not symmetric or not (numerically)
        positive definite.
    """
    C = check_array(C, dtype=np.float64, allow_nd=True, input_name=name)
    if C.ndim != 3 or C.shape[1] != C.shape[2]:
        raise ValueError(
            f"{name} must be square matrices of shape (n_matrices, d, d), found shape "
            f"{C.shape}."
        )
    scale = np.abs(C).max(axis=(1, 2))
    asymmetry = np.abs(C - C.transpose(0, 2, 1)).max(axis=(1, 2))
    # 1e-5 lets float32 matrices through and no asymmetric ones.
    if (asymmetry > 1e-5 * scale).any():
        i = int(np.argmax(asymmetry - 1e-5 * scale))
        raise ValueError(
            f"{name} must be symmetric: matrix {i} differs from its transpose by up to "
            f"{asymmetry[i]:.3g}."
        )
    _check_definite(C, name)
    return C


def _check_definite(C, name):
    d = C.shape[1]
    try:
        with blas_threads_for(d):
            pivots = np.diagonal(np.linalg.cholesky(C), axis1=1, axis2=2) ** 2
    except np.linalg.LinAlgError:
        pivots = None
    if pivots is not None:
        # The smallest pivot bounds the smallest eigenvalue from above, and it is
        # rounding noise when the matrix is singular; the eigenvalues would cost
        # twenty times as much.
        floor = d * _EPS * np.diagonal(C, axis1=1, axis2=2).max(axis=1)
        if (pivots.min(axis=1) > floor).all():
            return
    smallest = np.linalg.eigvalsh(C)
    i = int(np.argmin(smallest[:, 0] / np.maximum(smallest[:, -1], _EPS)))
    raise ValueError(
        f"{name} must be positive definite: matrix {i} of {len(C)} has eigenvalues "
        f"from {smallest[i, 0]:.3g} to {smallest[i, -1]:.3g}. Covariances of few "
        "samples, of flat or of linearly dependent channels are singular: use "
        "estimator='oas'. An epoch that is flat in all channels has none: drop it."
    )


def symmetrize(A):
    """Symmetric part of one or many matrices."""
    return (A + A.swapaxes(-1, -2)) / 2


def spd_function(A, function):
    """Apply a function to the eigenvalues of one or many symmetric matrices."""
    values, vectors = np.linalg.eigh(A)
    return symmetrize((vectors * function(values)[..., None, :]) @ vectors.mT)


def arithmetic_harmonic_mean(C, sample_weight=None):
    r"""Geometric mean of the arithmetic and the harmonic mean.

    It minimises the symmetrised Kullback-Leibler divergence between centred Gaussians,
    has a closed form, and is close to the Riemannian mean.

    Parameters
    ----------
    C : ndarray of shape (n_matrices, d, d)
        SPD matrices; not checked.
    sample_weight : ndarray of shape (n_matrices,), default=None
        Weights that sum to 1; None weights all the same.

    Returns
    -------
    ndarray of shape (d, d)
        The mean.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.covariance import arithmetic_harmonic_mean
    >>> arithmetic_harmonic_mean(np.array([[[1.0]], [[4.0]]]))
    array([[2.]])
    """
    if sample_weight is None:
        sample_weight = np.full(len(C), 1 / len(C))
    arithmetic = symmetrize(np.tensordot(sample_weight, C, axes=1))
    inverse = symmetrize(np.tensordot(sample_weight, np.linalg.inv(C), axes=1))
    L = np.linalg.cholesky(arithmetic)
    # With A = L L^T and H the harmonic mean, A # H = L (L^T H^-1 L)^-1/2 L^T.
    root = spd_function(symmetrize(L.T @ inverse @ L), lambda v: 1 / np.sqrt(v))
    return symmetrize(L @ root @ L.T)


def log_euclidean_mean(C, sample_weight=None):
    """Exponential of the mean logarithm of SPD matrices.

    Parameters
    ----------
    C : ndarray of shape (n_matrices, d, d)
        SPD matrices; not checked.
    sample_weight : ndarray of shape (n_matrices,), default=None
        Weights that sum to 1; None weights all the same.

    Returns
    -------
    ndarray of shape (d, d)
        The mean.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.covariance import log_euclidean_mean
    >>> log_euclidean_mean(np.array([[[1.0]], [[4.0]]])).round(12)
    array([[2.]])
    """
    if sample_weight is None:
        sample_weight = np.full(len(C), 1 / len(C))
    return spd_function(np.tensordot(sample_weight, spd_function(C, np.log), 1), np.exp)


@dataclass
class MeanInfo:
    """How the search for a Riemannian mean went.

    Attributes
    ----------
    n_iter : int
        Gradients evaluated, each with one eigendecomposition of every matrix.
    gradient_norms : list of float
        Frobenius norm of each gradient. After the last of them one more step may have
        been taken.
    converged : bool
        Whether `tol`, or the floor that rounding sets, was reached.
    """

    n_iter: int = 0
    gradient_norms: list = field(default_factory=list)
    converged: bool = False


@validate_params(
    {
        "C": ["array-like"],
        "sample_weight": ["array-like", None],
        "init": [StrOptions({"ahm", "euclid"}), "array-like"],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "n_jobs": [Integral, None],
        "return_info": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def riemannian_mean(
    C,
    sample_weight=None,
    *,
    init="ahm",
    tol=1e-8,
    max_iter=50,
    n_jobs=None,
    return_info=False,
):
    r"""Mean of SPD matrices for the affine-invariant Riemannian distance.

    It minimises :math:`\frac12 \sum_i w_i \, \|\log(M^{-1/2} C_i M^{-1/2})\|_F^2`.
    With :math:`M = F F^T` and the eigendecompositions
    :math:`F^{-1} C_i F^{-T} = V_i e^{\Lambda_i} V_i^T`, the gradient at M is minus

    .. math:: J = \sum_i w_i V_i \Lambda_i V_i^T

    and the Hessian maps a symmetric P to

    .. math:: \sum_i w_i V_i \left(H_i \circ V_i^T P V_i\right) V_i^T , \quad
              (H_i)_{ab} = \delta \coth \delta, \quad
              \delta = (\Lambda_{i,aa} - \Lambda_{i,bb}) / 2 .

    Every iteration takes a Newton step :math:`F \leftarrow F e^{P/2}` with P found
    by conjugate gradients. These need matrix products only, in single precision, and
    reuse the eigenvectors that the gradient has paid for; two to four
    eigendecompositions of each matrix suffice where gradient descent takes eight or
    more.

    Parameters
    ----------
    C : array-like of shape (n_matrices, d, d)
        SPD matrices.
    sample_weight : array-like of shape (n_matrices,), default=None
        Weights >= 0, scaled to the sum 1; None weights all the same.
    init : {"ahm", "euclid"} or array-like of shape (d, d), default="ahm"
        Where the search starts: `arithmetic_harmonic_mean`, the arithmetic mean, or
        a given SPD matrix.
    tol : float, default=1e-8
        The search ends when the Frobenius norm of the gradient is, or is after the
        last step expected to be, at most `tol`. The norm bounds the distance to the
        mean from above.
    max_iter : int, default=50
        Most gradients to evaluate.
    n_jobs : int, default=None
        Threads that share the matrices.
    return_info : bool, default=False
        Whether to return how the search went.

    Returns
    -------
    M : ndarray of shape (d, d)
        The mean, float64.
    info : MeanInfo
        Only if `return_info`.

    Raises
    ------
    ValueError
        If a matrix is not symmetric positive definite, or the weights are not valid.

    Warns
    -----
    ConvergenceWarning
        If the search ended before `tol` and above a thousandth of the dispersion of
        the matrices. When rounding keeps the gradient from reaching `tol`, the search
        ends at that floor without a warning.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.covariance import riemannian_mean
    >>> C = np.array([np.diag([1.0, 4.0]), np.diag([4.0, 1.0])])
    >>> riemannian_mean(C).round(6)
    array([[2., 0.],
           [0., 2.]])
    """
    C = check_spd(C)
    weight = normalized_weight(sample_weight, C)
    # A matrix without weight has no say, and must cost no eigendecomposition.
    C, weight = C[weight > 0], weight[weight > 0]
    with threads_over_matrices(n_jobs, len(C), C.shape[1]) as run:
        F, info = _newton(C, weight, _start(C, weight, init), tol, max_iter, run)
        M = symmetrize(F @ F.T)
    if not info.converged:
        warnings.warn(
            f"riemannian_mean did not converge: the norm of the gradient is "
            f"{info.gradient_norms[-1]:.3g} after {info.n_iter} iterations, "
            f"tol={tol:.3g}. Increase max_iter, or shrink the matrices "
            "(estimator='oas').",
            ConvergenceWarning,
            stacklevel=3,
        )
    return (M, info) if return_info else M


def normalized_weight(sample_weight, C):
    """Weights that sum to 1.

    Parameters
    ----------
    sample_weight : array-like of shape (n_matrices,) or None
        Weights.
    C : ndarray of shape (n_matrices, d, d)
        What they weight.

    Returns
    -------
    ndarray of shape (n_matrices,)
        The weights divided by their sum.
    """
    weight = _check_sample_weight(
        sample_weight, C, dtype=np.float64, ensure_non_negative=True
    )
    return weight / weight.sum()


def _start(C, weight, init):
    """Factor F of the matrix F F^T that the search starts at."""
    if not isinstance(init, str):
        init = check_spd(np.asarray(init)[np.newaxis], name="init")[0]
        if init.shape != C.shape[1:]:
            raise ValueError(f"init must have shape {C.shape[1:]}, found {init.shape}.")
        return np.linalg.cholesky(init)
    if init == "ahm":
        try:
            return np.linalg.cholesky(arithmetic_harmonic_mean(C, weight))
        except np.linalg.LinAlgError:
            # The inverse of a nearly singular matrix is rounding noise; the arithmetic
            # mean is farther from the solution, but sure.
            pass
    return np.linalg.cholesky(symmetrize(np.tensordot(weight, C, axes=1)))


def _newton(C, weight, F, tol, max_iter, run):
    """Search the mean from F F^T; return the factor of the result and a MeanInfo."""
    info = MeanInfo()
    norms = info.gradient_norms
    curvature = _CURVATURE
    stalled = 0
    step = None
    start = np.inf  # norm of the gradient where the last step began
    while len(norms) < max_iter:
        model = _LocalModel(C, weight, F, run)
        norm = np.linalg.norm(model.gradient)
        norms.append(float(norm))
        if norm <= tol:
            info.converged = True
            break
        if len(norms) > 1:
            near = norm <= 1e-3 * model.dispersion
            if norm > start and not near:
                # The Newton step overshot: go back half of the way. The norm falls
                # along the step at first, so some fraction of it will do.
                step = step / 2
                F = F @ spd_function(-step / 2, np.exp)
                continue
            stalled = stalled + 1 if norm > start / 2 else 0
            if near and (stalled == 2 or (stalled and norm < 1e-6 * model.dispersion)):
                info.converged = True
                break
            curvature = norm / start**2
        start = norm
        accuracy = _cg_accuracy(norm, curvature, tol)
        step = model.newton_step(accuracy)
        F = F @ spd_function(step / 2, np.exp)
        # A Newton step squares the norm, up to a constant.
        if accuracy * norm + curvature * norm**2 <= _MARGIN * tol:
            info.converged = True
            break
    info.n_iter = len(norms)
    # Short of tol, but as near as the scatter of the matrices gives reason to ask.
    info.converged |= bool(norms[-1] <= 1e-3 * model.dispersion)
    return F, info


def _cg_accuracy(norm, curvature, tol):
    """Relative residual at which conjugate gradients may stop.

    What is left of the linear system adds to the next gradient, so it should be small
    beside the quadratic term or beside tol, and no smaller.
    """
    quadratic = 0.1 * curvature * norm
    enough = 0.5 * _MARGIN * tol / norm
    return float(np.clip(max(quadratic, enough), 1e-6, 0.1))


class _LocalModel:
    """Gradient and Hessian of half the mean squared distance at M = F F^T.

    Parameters
    ----------
    C : ndarray of shape (n_matrices, d, d)
        SPD matrices.
    weight : ndarray of shape (n_matrices,)
        Weights that sum to 1.
    F : ndarray of shape (d, d)
        Factor of M.
    run : callable
        Calls a function on slices of the matrices, see `threads_over_matrices`.
    """

    def __init__(self, C, weight, F, run):
        self.weight = weight
        self._run = run
        inverse = np.linalg.inv(F)
        parts = self._run(lambda rows: _spectrum(C[rows], weight[rows], inverse))
        self.gradient = symmetrize(sum(part[0] for part in parts))
        self._logs = np.concatenate([part[1] for part in parts])
        # Single precision halves the cost of the products of conjugate gradients,
        # whose relative accuracy is never asked below 1e-5.
        self._vectors = np.concatenate([part[2] for part in parts])
        self.dispersion = np.sqrt(weight @ np.sum(self._logs**2, axis=1))
        self._curvatures = None

    def newton_step(self, accuracy, max_iter=20):
        """Solve Hessian(P) = gradient for P, to the given relative residual."""
        self._curvatures = np.concatenate(self._run(self._curvature))
        mean = float(self._curvatures.sum(dtype=np.float64))
        # The Hessian is its mean curvature times the identity, plus a small rest.
        P = self.gradient * (self.gradient.shape[0] ** 2 / mean)
        residual = self.gradient - self._hessian(P)
        direction = residual
        norm2 = np.sum(residual**2)
        target = (accuracy * np.linalg.norm(self.gradient)) ** 2
        for _ in range(max_iter):
            if norm2 <= target:
                break
            image = self._hessian(direction)
            alpha = norm2 / np.sum(direction * image)
            P = P + alpha * direction
            residual = residual - alpha * image
            before, norm2 = norm2, np.sum(residual**2)
            direction = residual + (norm2 / before) * direction
        return symmetrize(P)

    def _curvature(self, rows):
        """Weighted d coth d of half the differences of logarithmic eigenvalues."""
        logs = self._logs[rows].astype(np.float32)
        delta = (logs[:, :, np.newaxis] - logs[:, np.newaxis, :]) / 2
        np.abs(delta, out=delta)
        tanh = np.tanh(delta)
        # Below 1e-3 the quotient is 1 to single precision.
        np.maximum(delta, np.float32(1e-3), out=delta)
        np.maximum(tanh, np.float32(1e-3), out=tanh)
        delta /= tanh
        delta *= self.weight[rows, np.newaxis, np.newaxis].astype(np.float32)
        return delta

    def _hessian(self, P):
        P = P.astype(np.float32)

        def product(rows):
            V = self._vectors[rows]
            W = (V.mT @ P) @ V
            W *= self._curvatures[rows]
            W = (V @ W).transpose(1, 0, 2).reshape(len(P), -1)
            return W @ V.transpose(1, 0, 2).reshape(len(P), -1).T

        return sum(self._run(product)).astype(np.float64)


def _spectrum(C, weight, inverse):
    """Weighted sum of logarithms of the whitened C, log eigenvalues, eigenvectors."""
    n, d, _ = C.shape
    total = np.zeros((d, d))
    logs = np.empty((n, d))
    vectors = np.empty((n, d, d), dtype=np.float32)
    block = max(1, 2**17 // d**2)  # 1 MB of matrices at a time stays in the cache
    for start in range(0, n, block):
        rows = slice(start, start + block)
        values, V = np.linalg.eigh(symmetrize(inverse @ C[rows] @ inverse.T))
        # Rounding may leave eigenvalues of a nearly singular matrix at or below 0.
        logs[rows] = np.log(np.maximum(values, _EPS * values[:, -1:]))
        V_wide = V.transpose(1, 0, 2).reshape(d, -1)
        scales = (weight[rows, np.newaxis] * logs[rows]).ravel()
        total += (V_wide * scales) @ V_wide.T
        vectors[rows] = V
    return total, logs, vectors
