"""The loss as it is written down: all logits, the gradient left to autograd."""

import torch
from torch.nn import functional as F

from ._autocast import without_autocast
from ._task import IGNORED, check_finite, check_targets


@without_autocast
def forward(features, weight, bias, task):
    r"""Compute the terms of each row's loss.

    For comparison, for second derivatives and for forward-mode differentiation.

    Parameters
    ----------
    features : Tensor of shape (N, D)
        Features.
    weight : Tensor of shape (V, D)
        Weight of the head.
    bias : Tensor of shape (V,) or None
        Its bias.
    task : Task
        What to compute.

    Returns
    -------
    nll, lse : Tensor of shape (N,)
        Negative log-likelihoods and logarithms of the sums of exponentials, in the
        dtype of the sums; 0 for rows that do not count.
    smooth : Tensor of shape (N,) or None
        :math:`\sum_j u_j (\mathrm{lse}_i - z_{ij})`; None without label smoothing.
    """
    compiling = torch.compiler.is_compiling()
    if not compiling:
        check_targets(task.target, len(weight))
    dtype = torch.promote_types(features.dtype, torch.float32)
    wide = (None if x is None else x.to(dtype) for x in (features, weight, bias))
    z = F.linear(*wide)
    if task.softcap is not None:
        z = task.softcap * torch.tanh(z / task.softcap)
    log_p = z.log_softmax(dim=1)
    counts = task.target != IGNORED
    target = torch.where(counts, task.target, 0)
    nll = F.nll_loss(log_p, target, reduction="none")
    terms = [nll, z.logsumexp(dim=1)]
    if task.smoothing is not None:
        terms.append(-(log_p * task.smoothing).sum(dim=1))
    terms = [torch.where(counts, term, 0) for term in terms]
    if not compiling:
        check_finite(terms[0], input=features, weight=weight, bias=bias)
    return (*terms, None)[:3]
