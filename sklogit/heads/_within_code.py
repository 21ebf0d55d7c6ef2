"""How the classes of one code share its probability."""

import torch
from torch import nn

KINDS = ("prior", "uniform", "learned")


def in_single_at_least(values):
    """Return a tensor of half precision in single, others as they are."""
    half = values.dtype in (torch.float16, torch.bfloat16)
    return values.float() if half else values


class FixedShares(nn.Module):
    """Shares that do not change in training.

    Parameters
    ----------
    log_shares : Tensor of shape (n_classes,)
        Logarithm of the part that each class has of its code.
    """

    def __init__(self, log_shares):
        super().__init__()
        self.register_buffer("log_shares", log_shares)

    def observe(self, target, codes):
        """See targets in training."""

    def forward(self, codes):
        """Logarithms of all shares, (n_classes,)."""
        return self.log_shares

    def of(self, target, codes):
        """Logarithms of the shares of some classes."""
        return self.log_shares[target]


class CountedShares(nn.Module):
    """Shares by the counts of the classes that training has shown so far.

    They are what maximum likelihood gives, so nothing about them needs a gradient.

    Parameters
    ----------
    n_classes, n_codes : int
        Sizes.
    smoothing : float
        Added to each count.
    like : Tensor
        Gives the device and, if it is not half, the precision; both follow the module.
    """

    def __init__(self, n_classes, n_codes, smoothing, like):
        super().__init__()
        self.smoothing, self.n_codes = smoothing, n_codes
        zeros = torch.zeros(n_classes, dtype=torch.int64, device=like.device)
        self.register_buffer("class_counts", zeros)
        nothing = torch.empty(0, dtype=like.dtype, device=like.device)
        self.register_buffer("like", nothing, persistent=False)

    def observe(self, target, codes):
        """Count targets."""
        self.class_counts.index_add_(0, target, torch.ones_like(target))

    def forward(self, codes):
        """Logarithms of all shares, (n_classes,)."""
        mass, total = self._masses(codes)
        return mass.log() - total.log()[codes]

    def of(self, target, codes):
        """Logarithms of the shares of some classes."""
        mass, total = self._masses(codes)
        return mass[target].log() - total[codes[target]].log()

    def _masses(self, codes):
        dtype = in_single_at_least(self.like).dtype
        mass = self.class_counts.to(dtype) + self.smoothing
        return mass, mass.new_zeros(self.n_codes).index_add_(0, codes, mass)


class LearnedShares(nn.Module):
    """Shares that are the softmax, within a code, of a parameter for each class.

    Parameters
    ----------
    log_mass : Tensor of shape (n_classes,)
        Start.
    n_codes : int
        Number of codes.
    """

    def __init__(self, log_mass, n_codes):
        super().__init__()
        self.n_codes = n_codes
        self.log_mass = nn.Parameter(log_mass)

    def observe(self, target, codes):
        """See targets in training."""

    def forward(self, codes):
        """Logarithms of all shares, (n_classes,)."""
        return self.log_mass - self._log_total(codes)[codes]

    def of(self, target, codes):
        """Logarithms of the shares of some classes."""
        return self.log_mass[target] - self._log_total(codes)[codes[target]]

    def _log_total(self, codes):
        mass, index = in_single_at_least(self.log_mass), codes.long()
        # The largest of a code is subtracted, so that no exponential overflows.
        top = mass.new_zeros(self.n_codes)
        top.scatter_reduce_(0, index, mass.detach(), "amax", include_self=False)
        total = torch.zeros_like(top).index_add_(0, index, (mass - top[index]).exp())
        # The logarithm of an empty code's sum, 0, would have an infinite slope.
        return torch.where(total > 0, total, 1.0).log() + top
