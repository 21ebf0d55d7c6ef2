r"""Steps on the Grassmann manifold, as functions of tensors.

A subspace of dimension k is given by a basis S of shape (n, k) with orthonormal
columns, a tangent by a matrix M of that shape with :math:`S^\top M = 0`. All functions
take stacks of them. Their counterparts for arrays are those of
``sklogit.subspace._geometry``.
"""

import math

import torch

from ..heads._orthonormal import orthonormalize
from ..subspace._geometry import LARGEST_ANGLE, LARGEST_ERROR_FOR_NEWTON_SCHULZ

# Up to this bound of the squared angles, series are shorter than an eigendecomposition.
_LARGEST_SQUARE_FOR_SERIES = 1.0


def project_tangent(S, D):
    r"""Project matrices onto the tangents at subspaces, :math:`D - S S^\top D`.

    Parameters
    ----------
    S : Tensor of shape (..., n, k)
        Orthonormal bases.
    D : Tensor of shape (..., n, k)
        Matrices, for instance Euclidean gradients.

    Returns
    -------
    Tensor of shape (..., n, k)
        Tangents.
    """
    return D - S @ (S.mT @ D)


def geodesic(S, M, t):
    r"""Follow geodesics in a direction, and carry that along.

    With the singular value decomposition :math:`M = U \Sigma V^\top`, the geodesic is
    :math:`S(t) = (S V \cos t\Sigma + U \sin t\Sigma) V^\top`, and its derivative M(t)
    is the parallel transport of M. With :math:`A = M^\top M`,

    .. math:: S(t) = S \cos(t\sqrt A) + M \frac{\sin(t\sqrt A)}{\sqrt A}, \qquad
        M(t) = M \cos(t\sqrt A) - S \sqrt A \sin(t\sqrt A) ,

    so only k x k matrices are decomposed.

    Parameters
    ----------
    S : Tensor of shape (..., n, k)
        Orthonormal bases.
    M : Tensor of shape (..., n, k)
        Tangents at S.
    t : float
        How far to go, in multiples of M; may be negative.

    Returns
    -------
    S_new : Tensor of shape (..., n, k)
        Bases of the subspaces that are reached.
    M_new : Tensor of shape (..., n, k)
        Directions at the end, as long as M and tangent there.
    """
    cosine, sine_over, sine_times = angle_functions(M.mT @ M, t)
    return S @ cosine + M @ sine_over, M @ cosine - S @ sine_times


def angle_functions(A, t):
    r"""Compute the matrices that a geodesic is made of.

    They are analytic in A. For small angles that is used: their Taylor series, cut
    where the rest is below rounding, needs a few products of k x k matrices and no
    eigenvectors.

    Parameters
    ----------
    A : Tensor of shape (..., k, k)
        Gram matrices of the tangents.
    t : float
        How far to go.

    Returns
    -------
    cosine, sine_over, sine_times : Tensor of shape (..., k, k)
        :math:`\cos(t\sqrt A)`, :math:`\sin(t\sqrt A) / \sqrt A` and
        :math:`\sqrt A \sin(t\sqrt A)`, of the dtype of A.

    Raises
    ------
    FloatingPointError
        If angles are not finite, or above 10 000 radians.
    """
    exact = A.double()
    X = exact * (t * t)
    # The sum of absolute values of a row bounds the eigenvalues.
    bound = float(X.abs().sum(dim=-1).max()) if X.numel() else 0.0
    if not bound <= LARGEST_ANGLE**2:
        raise FloatingPointError(
            f"angles of a step reach {math.sqrt(bound):.3g} rad, at most "
            f"{LARGEST_ANGLE:.0f} mean something."
        )
    if bound <= _LARGEST_SQUARE_FOR_SERIES:
        rounding = 0.1 * torch.finfo(A.dtype).eps
        cosine, sinc = _series(X, bound, rounding)
        sine_over = t * sinc
        sine_times = exact @ sine_over
    else:
        cosine, sine_over, sine_times = _by_eigenvectors(exact, t)
    return tuple(f.to(A.dtype) for f in (cosine, sine_over, sine_times))


def _series(X, bound, rounding):
    """Taylor series of cos(sqrt X) and sin(sqrt X) / sqrt X, from the same powers."""
    identity = torch.eye(X.shape[-1], dtype=X.dtype, device=X.device)
    cosine, sinc, power = identity - X / 2, identity - X / 6, X
    degree = 1
    while bound ** (degree + 1) / math.factorial(2 * degree + 2) > rounding:
        degree += 1
        power = -(power @ X)
        cosine = torch.add(cosine, power, alpha=-1 / math.factorial(2 * degree))
        sinc = torch.add(sinc, power, alpha=-1 / math.factorial(2 * degree + 1))
    return cosine, sinc


def _by_eigenvectors(A, t):
    squares, V = torch.linalg.eigh(A)
    s = squares.clamp_min(0).sqrt()  # rounding makes small negative ones
    angle = t * s
    sine = torch.sin(angle)
    functions = torch.cos(angle), t * torch.sinc(angle / math.pi), s * sine
    return tuple((V * f.unsqueeze(-2)) @ V.mT for f in functions)


def polar_step(S):
    r"""Remove rounding errors from nearly orthonormal bases.

    One Newton-Schulz step :math:`S(\frac32 I - \frac12 S^\top S)` towards the polar
    factor squares the error. It changes no subspace, and turns no basis vector round,
    as a plain QR decomposition does: momentum stored beside S stays valid.

    Parameters
    ----------
    S : Tensor of shape (..., n, k)
        Bases. If an error exceeds 1e-3, they are orthonormalised by a QR decomposition
        whose signs are corrected.

    Returns
    -------
    Tensor of shape (..., n, k)
        Orthonormal bases of the same subspaces.
    """
    E = deviation(S)
    if float(E.abs().max()) > LARGEST_ERROR_FOR_NEWTON_SCHULZ:
        return orthonormalize(S)
    return S - 0.5 * (S @ E)


def deviation(S):
    """Compute S^T S - I.

    Parameters
    ----------
    S : Tensor of shape (..., n, k)
        Bases.

    Returns
    -------
    Tensor of shape (..., k, k)
        What they lack to be orthonormal.
    """
    return S.mT @ S - torch.eye(S.shape[-1], dtype=S.dtype, device=S.device)
