"""Label smoothing without logits: of most heads it is linear."""

import torch

from ._task import LOG2E


class LabelSmoothing:
    r"""The part :math:`\sum_j u_j (\mathrm{lse}_i - z_{ij})` of a row's loss.

    Unless the logits are capped, their sum is
    :math:`\langle h_i, \sum_j u_j W_j \rangle + \sum_j u_j b_j`: one row of weights is
    enough, and the gradient is a matrix of rank one.

    Parameters
    ----------
    head : TiledHead
        The head.
    factors : Tensor of shape (1,) or (V,)
        The factors u, of all classes alike or of each.

    Attributes
    ----------
    factors : Tensor of shape (1,) or (V,)
        The same.
    mass : Tensor of shape ()
        Their sum over the classes.
    is_linear : bool
        Whether the logits are not capped.
    row : Tensor of shape (D,) or None
        :math:`\sum_j u_j W_j`; None if they are capped.
    """

    def __init__(self, head, factors):
        self.factors = factors
        n_classes = len(head.weight)
        self.mass = factors.sum() * (n_classes // len(factors))
        self.is_linear = head.softcap is None
        self.row = self._bias = None
        if self.is_linear:
            self.row = _weighted_row(head, factors)
            self._bias = torch.zeros_like(self.mass)
            if head.bias is not None:
                self._bias = (factors * head.bias).sum() / head.scale

    def of_tile(self, tile):
        """Take the factors of a tile.

        Parameters
        ----------
        tile : slice
            Classes.

        Returns
        -------
        Tensor of shape (1,) or (v,)
            Their factors.
        """
        return self.factors if len(self.factors) == 1 else self.factors[tile]

    def sum_of_logits(self, z, tile):
        r"""Compute :math:`\sum_j u_j z_{ij}` over a tile.

        Parameters
        ----------
        z : Tensor of shape (n, v)
            Logits of base 2.
        tile : slice
            Their classes.

        Returns
        -------
        Tensor of shape (n,)
            The sum, of natural logits.
        """
        return (z * self.of_tile(tile)).sum(dim=1) / LOG2E

    def values(self, lse, features, weighted):
        """Compute the part of each row.

        Parameters
        ----------
        lse : Tensor of shape (n,)
            Logarithms of the sums of exponentials.
        features : Tensor of shape (n, D)
            Features.
        weighted : Tensor of shape (n,) or None
            The weighted sums of capped logits.

        Returns
        -------
        Tensor of shape (n,)
            The parts.
        """
        if self.is_linear:
            weighted = features @ self.row + self._bias
        return lse * self.mass - weighted

    def taken(self, gamma, tile):
        r"""Compute what capped logits of a tile have taken from their gradient.

        Parameters
        ----------
        gamma : Tensor of shape (n,)
            Factors of the rows.
        tile : slice
            Classes.

        Returns
        -------
        Tensor of shape (n, 1) or (n, v), or None
            :math:`\gamma_i u_j`; None if the logits are not capped.
        """
        return None if self.is_linear else gamma.unsqueeze(1) * self.of_tile(tile)

    def take_from_features(self, total, gamma):
        """Take its gradient from that of the features.

        Parameters
        ----------
        total : Tensor of shape (n, D) or None
            Gradient of the features, changed in place.
        gamma : Tensor of shape (n,)
            Factors of the rows.
        """
        if total is not None and self.is_linear:
            total.addr_(gamma, self.row, alpha=-1)

    def take_from_head(self, of_weight, of_bias, tile, gamma, features):
        """Take its gradient from that of a tile of the head.

        Parameters
        ----------
        of_weight : Tensor of shape (v, D) or None
            Gradient of the weight, changed in place.
        of_bias : Tensor of shape (v,) or None
            That of the bias, changed in place.
        tile : slice
            Classes.
        gamma : Tensor of shape (n,)
            Factors of the rows.
        features : Tensor of shape (n, D)
            Features, in the dtype of the sums.
        """
        if not self.is_linear:
            return
        factors = self.of_tile(tile)
        if of_weight is not None:
            of_weight.addcmul_(factors.unsqueeze(1), gamma @ features, value=-1)
        if of_bias is not None:
            of_bias.addcmul_(factors, gamma.sum(), value=-1)


def _weighted_row(head, factors):
    # Tile by tile: a whole weight in another dtype would be large.
    tiles = ((tile, head.weight[tile].to(head.products.dtype)) for tile in head.tiles)
    if len(factors) == 1:
        return factors * sum(W.sum(dim=0) for _, W in tiles)
    return sum(factors[tile] @ W for tile, W in tiles)
