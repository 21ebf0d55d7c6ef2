"""The surrogate: first order in the loss, second order in the targets."""

import torch


class QuadraticSurrogate:
    r"""Upper bound of the change of a loss, as a function of the targets.

    .. math:: s(f) = \frac1n \sum_i \langle G_i, f_i - z_i\rangle
        + \frac{1}{2\eta} \sum_j w_{ij} (f_{ij} - z_{ij})^2

    It is zero at z, and at least :math:`-\mathrm{depth}` anywhere.

    Parameters
    ----------
    z, gradient : Tensor of shape (n, ...)
        Targets, and the gradient of each sample's own loss there.
    eta : float
        Step size.
    weight : Tensor of shape (n, ...) or None
        Weights w of the quadratic term; None stands for ones.
    """

    def __init__(self, z, gradient, eta, weight=None):
        self.z, self.gradient, self.eta = z, gradient, eta
        self.curvature = 1 / eta if weight is None else weight / eta

    @property
    def depth(self):
        """Distance from the value at z to the least value of all targets."""
        return float((self.gradient * self.gradient / self.curvature).sum()) / (
            2 * len(self.z)
        )

    def value(self, targets):
        """Return the surrogate as a tensor without a graph."""
        # Of differences, not of distances to the goal: at z it is exactly zero.
        step = targets.detach().to(self.z.dtype) - self.z
        slope = torch.add(self.gradient, self.curvature * step, alpha=0.5)
        return (slope * step).sum() / len(self.z)

    def derivative(self, targets):
        """Return the gradient with respect to the targets, in their dtype."""
        step = targets.detach().to(self.z.dtype) - self.z
        slope = self.gradient + self.curvature * step
        return slope.div_(len(self.z)).to(targets.dtype)
