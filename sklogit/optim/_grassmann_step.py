"""A step of momentum SGD on stacks of subspaces, in place."""

import torch

from ..heads._orthonormal import orthonormalize
from ._grassmann_geometry import (
    LARGEST_ERROR_FOR_NEWTON_SCHULZ,
    angle_functions,
    deviation,
)

# Numbers of one of the four arrays of a block: on a CPU blocks stay in its cache.
_BLOCK_ENTRIES = 1 << 18


def grassmann_step(S, D, M, first, lr, settings, reorthogonalize):
    r"""Move subspaces, and their momentum, in place.

    .. math:: M \leftarrow \mu M + (1 - \delta) (D - S S^\top D), \qquad
        (S, M) \leftarrow \mathrm{geodesic}(S, M, -\mathrm{lr})

    Bases are orthonormalised at the start of the step rather than after it: there a
    Newton-Schulz step costs no further pass, only a factor of a k x k matrix. The
    projection must know of it, though: with :math:`S^\top S = I + E` the part of D
    within the subspace is :math:`S (I - E) S^\top D` up to the square of E. Without E,
    errors of S and normal parts of M feed each other, by momentum faster than either
    is removed.

    Parameters
    ----------
    S : Tensor of shape (m, n, k)
        Orthonormal bases.
    D : Tensor of shape (m, n, k)
        Euclidean gradients.
    M : Tensor of shape (m, n, k) or None
        Momentum, tangent at S; None for none.
    first : bool
        Whether M has no values yet.
    lr : float
        Learning rate; negative to maximise.
    settings : dict
        "momentum", "dampening" and "reorth_every".
    reorthogonalize : {"polar", "qr"} or None
        What to do about rounding errors of this step.

    Raises
    ------
    FloatingPointError
        If gradients or angles are not finite; subspaces are left as they were.
    """
    keep = M is not None
    if not keep:
        M, first = torch.empty_like(S), True
    A, E = _take_gradient(S, D, M, first, settings, reorthogonalize)
    cosine, sine_over, sine_times = angle_functions(A, -lr)
    on_basis = cosine if E is None else cosine - 0.5 * (E @ cosine)
    _move(S, M, on_basis, cosine, sine_over, sine_times, keep)


def _take_gradient(S, D, M, first, settings, reorthogonalize):
    r"""Add the projected gradient to the momentum, and look for errors of the bases.

    Returns
    -------
    A : Tensor of shape (m, k, k)
        Gram matrices of the momentum.
    E : Tensor of shape (m, k, k) or None
        What a Newton-Schulz step has to remove, :math:`S^\top S - I`.
    """
    grams, errors = [], []
    weight = 1.0 - settings["dampening"]
    # Between corrections, parts of the momentum within the subspace grow too.
    tidy = reorthogonalize and settings["reorth_every"] > 1 and not first
    for s, d, m in _blocks(S, D, M):
        E = _errors(s, reorthogonalize)
        inner = d @ s.mT  # of transposes: their rows are long
        if not torch.isfinite(inner.sum()):
            raise FloatingPointError("the gradient is not finite.")
        if E is not None:
            inner = inner - inner @ E
            errors.append(E)
        if tidy:
            m.baddbmm_(m @ s.mT, s, alpha=-1)
        if first:
            torch.baddbmm(d, inner, s, alpha=-1, out=m)
        else:
            m.mul_(settings["momentum"]).add_(d, alpha=weight)
            m.baddbmm_(inner, s, alpha=-weight)
        grams.append(m @ m.mT)
    if not grams:
        return S.new_empty(0, S.shape[2], S.shape[2]), None
    return torch.cat(grams), torch.cat(errors) if errors else None


def _errors(s, reorthogonalize):
    """Errors that are small enough for Newton-Schulz; larger ones are removed now."""
    if reorthogonalize is None:
        return None
    if reorthogonalize == "polar":
        E = deviation(s.mT)
        if float(E.abs().max()) <= LARGEST_ERROR_FOR_NEWTON_SCHULZ:
            return E
    s.copy_(orthonormalize(s.mT).mT)
    return (
        torch.zeros_like(s[:, :, : s.shape[1]]) if reorthogonalize == "polar" else None
    )


def _move(S, M, on_basis, cosine, sine_over, sine_times, keep):
    """S, M <- S on_basis + M sine_over, M cosine - S sine_times."""
    on_basis = on_basis.mT  # the others are symmetric
    start = 0
    for s, m in _blocks(S, M):
        part = slice(start, start + len(s))
        moved = on_basis[part] @ s
        moved.baddbmm_(sine_over[part], m)
        if keep:
            carried = cosine[part] @ m
            m.copy_(carried.baddbmm_(sine_times[part], s, alpha=-1))
        s.copy_(moved)
        start += len(s)


def _blocks(*stacks):
    """Transposes of a few matrices at a time, of each stack."""
    m, n, k = stacks[0].shape
    size = max(1, m)
    if stacks[0].device.type == "cpu":
        size = max(1, _BLOCK_ENTRIES // max(1, n * k))
    return zip(*(stack.mT.split(size) for stack in stacks))
