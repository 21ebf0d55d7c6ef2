"""Orthonormal bases as tensors."""

import torch

# Bases with a larger error are not those that the user wanted, up to rounding.
_ROUNDING = {torch.float64: 1e-10, torch.float32: 1e-4}


def orthonormalize(S):
    """Orthonormal bases of the same subspaces, the signs of their columns kept.

    Parameters
    ----------
    S : Tensor of shape (..., n, k)
        Bases with independent columns.

    Returns
    -------
    Tensor of shape (..., n, k)
        The factor Q of the QR decomposition with a positive diagonal of R, laid out as
        `packed` does.
    """
    Q, R = torch.linalg.qr(S)
    signs = torch.where(R.diagonal(dim1=-2, dim2=-1) < 0, -1, 1).to(Q.dtype)
    return packed(Q * signs.unsqueeze(-2))


def packed(S):
    """Lay bases out so that their transposes are one matrix without a copy.

    Parameters
    ----------
    S : Tensor of shape (..., n, k)
        Bases.

    Returns
    -------
    Tensor of shape (..., n, k)
        The same values; the columns of each basis are rows in memory.
    """
    return S.mT.contiguous().mT


def orthonormality_error(S):
    """Largest entry of S^T S - I in absolute value, over all bases.

    Parameters
    ----------
    S : Tensor of shape (..., n, k)
        Bases.

    Returns
    -------
    float
        The error.
    """
    identity = torch.eye(S.shape[-1], dtype=S.dtype, device=S.device)
    return float((S.mT @ S - identity).abs().max())


def is_orthonormal(S):
    """Whether bases are orthonormal up to rounding of their dtype.

    Parameters
    ----------
    S : Tensor of shape (..., n, k)
        Bases.

    Returns
    -------
    bool
        Whether they are.
    """
    return orthonormality_error(S) <= _ROUNDING.get(S.dtype, 1e-1)
