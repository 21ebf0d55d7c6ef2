"""A step of momentum SGD on stacks of subspaces, in place."""

import math

import torch

from ..heads._orthonormal import orthonormalize
from ._grassmann_geometry import (
    LARGEST_ERROR_FOR_NEWTON_SCHULZ,
    angle_functions,
    deviation,
)

# Numbers of one of the four arrays of a block: on a CPU blocks stay in its cache.
_BLOCK_ENTRIES = 1 << 17
# Squares of longer normal parts, in radians, would cancel with a loss of digits.
_LARGEST_SQUARE_TO_FOLD = 4.0


def prepare_step(S, D, M, first, lr, settings, reorthogonalize):
    r"""Take up the gradient, and find where the step leads.

    .. math:: M \leftarrow \mu M + (1 - \delta) D, \quad G = M - S S^\top M, \quad
        (S, M) \leftarrow \mathrm{geodesic}(S, G, -\mathrm{lr})

    With the momentum tangent, as the last step left it, that is the step of
    :class:`GrassmannSGD`. G is not computed: S and M move by linear combinations of the
    old ones, whose k x k coefficients hold the projection. That saves a pass.

    Bases are orthonormalised at the start of the step rather than after it: there a
    Newton-Schulz step costs no further pass either. The projection must know of it,
    though: with :math:`S^\top S = I + E` the part of M within the subspace is
    :math:`S (I - E) S^\top M` up to the square of E. Without E, errors of S and normal
    parts of M feed each other, by momentum faster than either is removed.

    Parameters
    ----------
    S : Tensor of shape (m, n, k)
        Orthonormal bases; left as they are, unless they have to be mended by QR.
    D : Tensor of shape (m, n, k)
        Euclidean gradients.
    M : Tensor of shape (m, n, k)
        Momentum, tangent at S; changed in place.
    first : bool
        Whether M has no values yet.
    lr : float
        Learning rate; negative to maximise.
    settings : dict
        "momentum" and "dampening".
    reorthogonalize : {"polar", "qr"} or None
        What to do about rounding errors of this step.

    Returns
    -------
    tuple of 4 Tensor of shape (m, k, k)
        Coefficients for `move`.

    Raises
    ------
    FloatingPointError
        If bases, gradients or angles are not finite, or angles mean nothing.
    """
    if not len(S):
        return (S.new_empty(0, S.shape[2], S.shape[2]),) * 4
    grams, within, errors = [], [], []
    for s, d, m in _blocks(S, D, M):
        E = _errors(s, reorthogonalize)
        if first:
            m.copy_(d)
        else:
            m.mul_(settings["momentum"]).add_(d, alpha=1.0 - settings["dampening"])
        gram, P = _projected(s, m, E, lr)
        grams.append(gram)
        within.append(P)
        errors.append(E)
    cosine, sine_over, sine_times = angle_functions(torch.cat(grams), -lr)
    P = torch.cat(within)
    on_basis = cosine
    if reorthogonalize == "polar":
        on_basis = cosine - 0.5 * (torch.cat(errors) @ cosine)
    return on_basis - P @ sine_over, sine_over, cosine, P @ cosine + sine_times


def _projected(s, m, E, lr):
    r"""Gram matrices of the tangent part of the momentum, and the part within S.

    Returns
    -------
    gram : Tensor of shape (m, k, k)
        :math:`G^\top G`.
    P : Tensor of shape (m, k, k)
        The coefficients in :math:`G = M - S P`.
    """
    inner = s @ m.mT  # of transposes: their rows are long
    if not torch.isfinite(inner.sum()):
        raise FloatingPointError("the gradient is not finite.")
    P = inner if E is None else inner - E @ inner
    if not lr * lr * float(inner.abs().max()) ** 2 <= _LARGEST_SQUARE_TO_FOLD:
        m.baddbmm_(P.mT, s, alpha=-1)
        return m @ m.mT, torch.zeros_like(P)
    return torch.baddbmm(m @ m.mT, inner.mT, P, alpha=-1), P


def _errors(s, reorthogonalize):
    """Errors that are small enough for Newton-Schulz; larger ones are removed now."""
    if reorthogonalize is None:
        return None
    if reorthogonalize == "polar":
        E = deviation(s.mT)
        size = float(E.abs().max())
        if size <= LARGEST_ERROR_FOR_NEWTON_SCHULZ:
            return E
        if not size < math.inf:
            raise FloatingPointError("a basis is not finite.")
    s.copy_(orthonormalize(s.mT).mT)
    return torch.zeros_like(s[:, :, : s.shape[1]])


def move(S, M, coefficients, keep):
    r"""Set S and M to their combinations :math:`S a + M b` and :math:`M c - S d`.

    Parameters
    ----------
    S, M : Tensor of shape (m, n, k)
        Bases and momentum; changed in place.
    coefficients : tuple of 4 Tensor of shape (m, k, k)
        The matrices a, b, c and d.
    keep : bool
        Whether M is needed afterwards.
    """
    size = _block_size(S)
    rows = zip(*(matrix.mT.split(size) for matrix in coefficients))
    for (s, m), (a, b, c, d) in zip(_blocks(S, M), rows):
        moved = (a @ s).baddbmm_(b, m)
        if keep:
            m.copy_((c @ m).baddbmm_(d, s, alpha=-1))
        s.copy_(moved)


def _blocks(*stacks):
    """Transposes of a few matrices at a time, of each stack."""
    size = _block_size(stacks[0])
    return zip(*(stack.mT.split(size) for stack in stacks))


def _block_size(stack):
    m, n, k = stack.shape
    if stack.device.type != "cpu":
        return max(1, m)
    return max(1, _BLOCK_ENTRIES // max(1, n * k))
