"""Symmetric positive definite matrices in torch: logarithm, mean, vectorisation."""

import math

import torch


def spd_log(A, *, check_positive=True):
    r"""Logarithm of symmetric positive definite matrices, safe to differentiate.

    With :math:`A = V \operatorname{diag}(\lambda) V^\top` the value is
    :math:`V \operatorname{diag}(\log \lambda) V^\top`, and the gradient is, for an
    incoming symmetric :math:`G`,

    .. math:: V \bigl(K \circ (V^\top G V)\bigr) V^\top, \qquad
        K_{ij} = \frac{\log \lambda_i - \log \lambda_j}{\lambda_i - \lambda_j}, \quad
        K_{ii} = 1 / \lambda_i .

    Differentiating the eigenvectors instead would divide by
    :math:`\lambda_i - \lambda_j` and break down on close or repeated eigenvalues.

    Parameters
    ----------
    A : Tensor of shape (..., d, d)
        The matrices, float32 or float64; the symmetric part is used.
    check_positive : bool, default=True
        Whether to look at the eigenvalues before taking their logarithm. Looking needs
        their values on the host, so a GPU is waited for; the eigendecomposition itself
        waits for it too. With False a matrix that is not positive definite gives NaN
        or infinite entries.

    Returns
    -------
    Tensor of shape (..., d, d)
        The logarithms; differentiable once.

    Raises
    ------
    ValueError
        If an eigenvalue is not positive; the message holds the smallest one.
    NotImplementedError
        In the backward pass through a gradient, if a second derivative is asked for.

    Examples
    --------
    >>> import torch
    >>> from sklogit.heads import spd_log
    >>> A = (2 * torch.eye(2)).requires_grad_()
    >>> spd_log(A).trace().backward()
    >>> A.grad
    tensor([[0.5000, 0.0000],
            [0.0000, 0.5000]])
    """
    # eigh reads one triangle only; symmetrising outside the Function lets autograd
    # spread the gradient over both.
    return _SPDLog.apply(_symmetric(A), check_positive)


class _SPDLog(torch.autograd.Function):
    """Matrix logarithm of symmetric input with the Daleckii-Krein derivative."""

    @staticmethod
    def forward(ctx, A, check_positive):
        eigenvalues, V = torch.linalg.eigh(A)
        if check_positive:
            _check_positive(eigenvalues)
        ctx.save_for_backward(A, eigenvalues, V)
        return (V * eigenvalues.log().unsqueeze(-2)) @ V.mT

    @staticmethod
    def backward(ctx, grad):
        return _SPDLogGradient.apply(*ctx.saved_tensors, _symmetric(grad)), None


class _SPDLogGradient(torch.autograd.Function):
    """The gradient, tied to A so that a second derivative fails aloud.

    torch's ``once_differentiable`` would treat it as a constant wherever the incoming
    gradient is one, and a gradient penalty would silently be wrong.
    """

    @staticmethod
    def forward(ctx, A, eigenvalues, V, grad):
        inner = _log_divided_differences(eigenvalues) * (V.mT @ grad @ V)
        return V @ inner @ V.mT

    @staticmethod
    def backward(ctx, grad):
        raise NotImplementedError("spd_log can be differentiated only once.")


def _log_divided_differences(x):
    """Divided differences (..., d, d) of the logarithm at positive x (..., d).

    For close arguments log a - log b cancels, but a - b does not, so there the same
    number is taken from log(a / b) = 2 artanh(r), r = (a - b) / (a + b). For distant
    ones r is close to 1, where artanh amplifies the rounding of r.
    """
    a, b = x.unsqueeze(-1), x.unsqueeze(-2)
    difference, total = a - b, a + b
    r = difference / total
    near = r.abs() < 0.5
    one = torch.ones_like(r)
    artanh_ratio = torch.where(
        r == 0, one, torch.atanh(torch.where(near, r, 0.0)) / torch.where(r == 0, 1, r)
    )
    direct = (a.log() - b.log()) / torch.where(near, one, difference)
    return torch.where(near, 2 * artanh_ratio / total, direct)


def arithmetic_harmonic_mean(arithmetic, harmonic):
    r"""Geometric mean of the arithmetic and the harmonic mean of SPD matrices.

    .. math:: A \# H = A^{1/2} (A^{-1/2} H A^{-1/2})^{1/2} A^{1/2},

    the Kullback mean, a cheap stand-in for the Riemannian mean that keeps its
    invariance under congruence and under inversion.

    Parameters
    ----------
    arithmetic, harmonic : Tensor of shape (d, d)
        :math:`A = \frac1n \sum C_i` and :math:`H = (\frac1n \sum C_i^{-1})^{-1}`.

    Returns
    -------
    Tensor of shape (d, d)
        The mean.

    Raises
    ------
    ValueError
        If one of the two is not positive definite.

    Examples
    --------
    >>> import torch
    >>> from sklogit.heads._spd import arithmetic_harmonic_mean
    >>> arithmetic_harmonic_mean(4 * torch.eye(2), torch.eye(2))
    tensor([[2., 0.],
            [0., 2.]])
    """
    root, inverse_root = spd_power(arithmetic, 0.5), spd_power(arithmetic, -0.5)
    middle = spd_power(inverse_root @ harmonic @ inverse_root, 0.5)
    return _symmetric(root @ middle @ root)


def spd_power(A, exponent):
    """Real power of SPD matrices (..., d, d), for constants: not made for gradients."""
    eigenvalues, V = torch.linalg.eigh(_symmetric(A))
    _check_positive(eigenvalues)
    return (V * eigenvalues.pow(exponent).unsqueeze(-2)) @ V.mT


def upper_vector(S):
    r"""Upper triangle of symmetric matrices as vectors of the same Frobenius norm.

    Entries off the diagonal are multiplied by :math:`\sqrt 2`, so inner products of
    the vectors are those of the matrices, :math:`\operatorname{tr}(S S')`.

    Parameters
    ----------
    S : Tensor of shape (..., d, d)
        The matrices; only the upper triangle is read.

    Returns
    -------
    Tensor of shape (..., d * (d + 1) / 2)
        The vectors, row by row of the triangle.

    Examples
    --------
    >>> import torch
    >>> from sklogit.heads import upper_vector
    >>> upper_vector(torch.ones(2, 2))
    tensor([1.0000, 1.4142, 1.0000])
    """
    rows, columns = torch.triu_indices(*S.shape[-2:], device=S.device)
    weights = torch.full(rows.shape, math.sqrt(2), dtype=S.dtype, device=S.device)
    return S[..., rows, columns] * weights.masked_fill(rows == columns, 1)


def _symmetric(A):
    return (A + A.mT) / 2


def _check_positive(eigenvalues):
    """Raise ValueError unless every eigenvalue (..., d) is positive (NaN is not)."""
    positive = eigenvalues > 0
    if not positive.all():
        bad = (~positive).any(dim=-1)
        raise ValueError(
            f"{int(bad.sum())} of {bad.numel()} matrices are not positive definite: "
            f"the smallest eigenvalue is {eigenvalues.min().item():.3g}, it must be "
            "> 0. A covariance with fewer samples than rows is singular: use a "
            "shrinkage estimator such as 'oas'."
        )
