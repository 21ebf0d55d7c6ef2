r"""Geometry of subspaces: the Grassmann manifold of the k-dimensional ones in R^n.

A subspace is given by a basis S of shape (n, k) with orthonormal columns; S and SQ are
the same subspace for every orthogonal Q. A tangent is a matrix M of shape (n, k) with
:math:`S^\top M = 0`: it says where each basis vector moves. All functions take a stack
of them in the leading axes. Results have their last two axes in Fortran order, so that
the transpose of a stack of bases is one matrix without a copy.
"""

import numpy as np

# A Newton-Schulz step squares an error; from a larger one it would need several.
LARGEST_ERROR_FOR_NEWTON_SCHULZ = 1e-3
# Steps of more radians go round and round: their end says nothing.
LARGEST_ANGLE = 1e4


def project_tangent(S, D):
    r"""Project a matrix onto the tangents at a subspace, :math:`D - S S^\top D`.

    The projection of the Euclidean gradient of a function of the subspace is its
    Riemannian gradient.

    Parameters
    ----------
    S : ndarray of shape (..., n, k)
        Orthonormal bases.
    D : ndarray of shape (..., n, k)
        Matrices, for instance Euclidean gradients.

    Returns
    -------
    ndarray of shape (..., n, k)
        Tangents.
    """
    return (D.mT - (D.mT @ S) @ S.mT).mT


def geodesic(S, M, t):
    r"""Follow the geodesic from a subspace in a direction, and carry that along.

    With the thin singular value decomposition :math:`M = U \Sigma V^\top` the geodesic
    is :math:`S(t) = (S V \cos t\Sigma + U \sin t\Sigma) V^\top`. Its derivative is the
    direction, parallel-transported: :math:`M(t) = (-S V \sin t\Sigma + U \cos t\Sigma)
    \Sigma V^\top`, as long as M, and tangent at S(t).

    No decomposition of an n x k matrix is needed. With :math:`A = M^\top M = V
    \Sigma^2 V^\top` of size k x k, and since cosine, :math:`\sin(t\sigma)/\sigma` and
    :math:`\sigma\sin(t\sigma)` are analytic in :math:`\sigma^2`,

    .. math:: S(t) = S \cos(t\sqrt A) + M \frac{\sin(t\sqrt A)}{\sqrt A}, \qquad
        M(t) = M \cos(t\sqrt A) - S \sqrt A \sin(t\sqrt A) .

    Parameters
    ----------
    S : ndarray of shape (..., n, k)
        Orthonormal bases.
    M : ndarray of shape (..., n, k)
        Tangents at S.
    t : float
        How far to go, in multiples of M; may be negative.

    Returns
    -------
    S_new : ndarray of shape (..., n, k)
        Bases of the subspaces that are reached, orthonormal to rounding.
    M_new : ndarray of shape (..., n, k)
        Directions at the end.

    Raises
    ------
    FloatingPointError
        If angles are not finite, or above 10 000 radians.
    """
    A = (M.mT @ M).astype(np.float64)
    if not np.isfinite(A).all():
        raise FloatingPointError("the direction of a step is not finite.")
    squares, V = np.linalg.eigh(A)
    s = np.sqrt(np.maximum(squares, 0.0))  # rounding makes small negative ones
    angle = t * s
    largest = np.abs(angle).max(initial=0.0)
    if largest > LARGEST_ANGLE:
        raise FloatingPointError(
            f"angles of a step reach {largest:.3g} rad, at most {LARGEST_ANGLE:.0f} "
            "mean something."
        )
    sine = np.sin(angle)
    functions = np.stack([np.cos(angle), t * np.sinc(angle / np.pi), s * sine])
    cosine, sine_over, sine_times = (
        ((V * f[..., np.newaxis, :]) @ V.mT).astype(S.dtype) for f in functions
    )
    # All three are symmetric, so that the transposed products have long rows.
    S_new = cosine @ S.mT + sine_over @ M.mT
    M_new = cosine @ M.mT - sine_times @ S.mT
    return S_new.mT, M_new.mT


def polar_step(S):
    r"""Remove rounding errors from nearly orthonormal bases.

    One Newton-Schulz step :math:`S(\frac32 I - \frac12 S^\top S)` towards the nearest
    orthonormal matrix, the polar factor, squares the error. It changes no subspace, and
    turns no basis vector round, as a plain QR decomposition does: directions stored
    beside S stay valid.

    Parameters
    ----------
    S : ndarray of shape (..., n, k)
        Bases. Those with an error above 1e-3 are orthonormalised by a QR decomposition
        whose signs are corrected.

    Returns
    -------
    ndarray of shape (..., n, k)
        Orthonormal bases of the same subspaces.

    Raises
    ------
    FloatingPointError
        If a basis is not finite.
    """
    error = _deviation(S)
    size = np.abs(error).max(axis=(-2, -1))
    if (size <= LARGEST_ERROR_FOR_NEWTON_SCHULZ).all():
        return (S.mT - 0.5 * (error @ S.mT)).mT
    if not np.isfinite(size).all():
        raise FloatingPointError("a basis of a subspace is not finite.")
    return orthonormalize(S)


def orthonormalize(S):
    """Orthonormal bases of the same subspaces, the signs of their columns kept.

    Parameters
    ----------
    S : ndarray of shape (..., n, k)
        Bases with independent columns.

    Returns
    -------
    ndarray of shape (..., n, k)
        The factor Q of the QR decomposition with a positive diagonal of R.
    """
    Q, R = np.linalg.qr(S)
    signs = np.where(np.diagonal(R, axis1=-2, axis2=-1) < 0, -1, 1).astype(S.dtype)
    return np.ascontiguousarray((Q * signs[..., np.newaxis, :]).mT).mT


def orthonormality_error(S):
    """Largest entry of S^T S - I in absolute value, over all bases.

    Parameters
    ----------
    S : ndarray of shape (..., n, k)
        Bases.

    Returns
    -------
    float
        The error.
    """
    return float(np.abs(_deviation(S)).max())


def _deviation(S):
    return S.mT @ S - np.eye(S.shape[-1], dtype=S.dtype)


def principal_angles(A, B):
    """Principal angles between subspaces, in radians, smallest first.

    Their cosines are the singular values of A^T B; those below 45 degrees are computed
    from their sines, the singular values of B - A A^T B, which are accurate there.

    Parameters
    ----------
    A : ndarray of shape (..., n, k)
        Orthonormal bases.
    B : ndarray of shape (..., n, k)
        Orthonormal bases; leading axes broadcast.

    Returns
    -------
    ndarray of shape (..., k)
        Angles between 0 and pi / 2.
    """
    inner = A.mT @ B
    cosine = np.linalg.svd(inner, compute_uv=False)
    angles = np.arccos(np.minimum(cosine, 1.0))
    close = cosine[..., 0] > np.sqrt(0.5)  # of any pair, the largest cosine is first
    if close.any():
        A = np.broadcast_to(A, (*inner.shape[:-2], *A.shape[-2:]))[close]
        B = np.broadcast_to(B, (*inner.shape[:-2], *B.shape[-2:]))[close]
        residual = B - A @ inner[close]
        sine = np.linalg.svd(residual, compute_uv=False)[..., ::-1]
        small = cosine[close] > np.sqrt(0.5)
        angles[close] = np.where(small, np.arcsin(np.minimum(sine, 1.0)), angles[close])
    return angles
