"""What the logits of a row are reduced to, on a device or on one of many ranks."""

from typing import NamedTuple

import torch

# softplus(x) is x from here on: e^-40 is below the precision of float64.
_SOFTPLUS_THRESHOLD = 40.0


class RowStatistics(NamedTuple):
    r"""Statistics of the logits :math:`z_{ij}` of some rows and classes.

    The target is not in the log-sum-exp: what its probability lacks to 1 would be lost
    in a sum that holds it, and with it the loss and gradient of a row that is sure.

    Attributes
    ----------
    lse_others : Tensor of shape (n_rows,)
        :math:`\log \sum_{j \ne y_i} e^{z_{ij}}`; -inf where there is no other class.
    target_logit : Tensor of shape (n_rows,)
        :math:`z_{i y_i}`; 0 where the target is none of the classes.
    mean_logit : Tensor of shape (n_rows,) or None
        :math:`\sum_j m_j z_{ij}` for given coefficients m.
    """

    lse_others: torch.Tensor
    target_logit: torch.Tensor
    mean_logit: torch.Tensor | None = None

    @property
    def nll(self):
        """Negative log-likelihood of the target, to full relative precision."""
        return torch.nn.functional.softplus(
            self.lse_others - self.target_logit, threshold=_SOFTPLUS_THRESHOLD
        )

    @property
    def lse(self):
        """Log-sum-exp of the logits of all classes."""
        return torch.logaddexp(self.lse_others, self.target_logit)
