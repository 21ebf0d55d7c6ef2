"""Problems and an independent form of the loss, shared by the tests of kernels."""

import torch
from torch.nn import functional as F


def problem(n, n_classes, n_features=5, bias=True, dtype=torch.float64, seed=0):
    """Features, weight, bias and targets; the first three require gradients."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        x = torch.randn(shape, generator=generator, dtype=torch.float64)
        return x.to(dtype).requires_grad_()

    features, weight = normal(n, n_features), normal(n_classes, n_features)
    target = torch.randint(n_classes, (n,), generator=generator)
    return features, weight, normal(n_classes) if bias else None, target


def dense(
    features,
    weight,
    target,
    bias=None,
    softcap=None,
    z_loss=0.0,
    class_weight=None,
    reduction="mean",
    **parameters,
):
    """The loss as torch has it, of all logits."""
    z = F.linear(features, weight, bias)
    if softcap is not None:
        z = softcap * torch.tanh(z / softcap)
    loss = F.cross_entropy(z, target, class_weight, reduction=reduction, **parameters)
    w = (target != parameters.get("ignore_index", -100)).to(z.dtype)
    if class_weight is not None:
        w = w * class_weight[target.clamp_min(0)]
    squares = z_loss * w * z.logsumexp(dim=1).square()
    if reduction == "none":
        return loss + squares
    return loss + squares.sum() / (w.sum() if reduction == "mean" else 1)


def gradients(loss, tensors, upstream=None):
    """Gradients by the tensors that are not None."""
    tensors = [x for x in tensors if x is not None]
    return torch.autograd.grad(loss, tensors, upstream, retain_graph=True)
