"""Updates of the codes of the classes during training."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ._code_mapping import ascend, log_shares
from ._within_code import FixedShares


class MappingUpdateMixin:
    """A head of codes whose classes can move to other codes."""

    @torch.no_grad()
    def update_mapping(self, batches):
        """Move classes to codes under which the data are more likely.

        One round of coordinate ascent: with the codebook as it is, classes move one
        after the other where the exact gain is largest, so that the likelihood of the
        data does not fall. Call it between epochs. It needs a temporary matrix of shape
        (num_classes, in_features), for the mean features of the classes.

        Parameters
        ----------
        batches : iterable of (features, target)
            Features (..., in_features) and class indices (...), as of `nll`.

        Returns
        -------
        int
            Number of classes that were moved.

        Raises
        ------
        TypeError, ValueError
            As of `nll`; if there is no row; or if the biases are not trained.

        Notes
        -----
        Shares by counts or biases become those by the counts of these data. A code may
        lose all its classes; it then stays as a candidate for the next round. After a
        few rounds the likelihood of other data may fall while that of these rises.
        """
        if not isinstance(self.code_bias, nn.Parameter):
            raise ValueError("update_mapping needs trained biases: bias=True.")
        sums, counts = self._class_sums(batches)
        host_counts = counts.cpu().numpy()
        if self.kind == "uniform":
            mass = np.ones(self.num_classes)
        elif self.kind == "learned":
            mass = self.within.log_mass.double().cpu().numpy()
            mass = np.exp(mass - mass.max())
        else:
            mass = host_counts + self.smoothing
        means = sums / counts.clamp(min=1).unsqueeze(1).to(sums)

        def scores(block):
            rows = means[torch.as_tensor(block, device=means.device)]
            scores = F.linear(rows, self.codebook, self.code_bias)
            return scores.double().cpu().numpy()

        n_codes = len(self.codebook)
        codes, n_moved = ascend(
            self.codes.cpu().numpy(), host_counts, mass, scores, n_codes
        )
        self.codes.copy_(torch.as_tensor(codes))
        empty = np.bincount(codes, minlength=n_codes) == 0
        self.code_mask.copy_(self._like(np.where(empty, -np.inf, 0.0)))
        if isinstance(self.within, FixedShares):
            self.within.log_shares.copy_(self._like(log_shares(codes, mass)))
        return n_moved

    def _class_sums(self, batches):
        """Sum of the features and number of the rows of each class."""
        sums = torch.zeros_like(self.weight)
        counts = torch.zeros(self.num_classes, dtype=torch.int64, device=sums.device)
        for features, target in batches:
            target = self._checked_target(target, features).reshape(-1).long()
            sums.index_add_(0, target, features.reshape(len(target), -1).to(sums))
            counts.index_add_(0, target, torch.ones_like(target))
        if not counts.any():
            raise ValueError("batches must hold at least one row, got none.")
        return sums, counts
