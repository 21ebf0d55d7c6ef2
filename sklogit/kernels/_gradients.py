r"""Gradients of the loss, added up tile by tile of the classes.

With respect to the logits of row i the gradient is

.. math:: G_{ij} = \alpha_i S_{ij} - \beta_i [j = y_i] - \gamma_i u_j

with the softmax S, the factors of `RowFactors` and the label smoothing u. It is never
formed: the factors of rows are applied to small matrices, the entries of targets are
added on their own, and the smoothing is a matrix of rank one.
"""

from dataclasses import dataclass, replace

import torch


@dataclass
class RowFactors:
    r"""The factors of some rows.

    Attributes
    ----------
    softmax : Tensor of shape (n,)
        :math:`\alpha`.
    nll : Tensor of shape (n,)
        :math:`\beta`.
    smooth : Tensor of shape (n,) or None
        :math:`\gamma`.
    """

    softmax: torch.Tensor
    nll: torch.Tensor
    smooth: torch.Tensor | None

    @classmethod
    def of(cls, nll, lse, smooth, smoothing):
        """Make them of derivatives of the loss.

        Parameters
        ----------
        nll, lse : Tensor of shape (n,)
            Derivatives by the negative log-likelihoods and by the logarithms of the
            sums.
        smooth : Tensor of shape (n,) or None
            Derivatives by the parts of the label smoothing.
        smoothing : LabelSmoothing or None
            The label smoothing.

        Returns
        -------
        RowFactors
            The factors.
        """
        by_softmax = nll + lse
        if smoothing is not None:
            by_softmax = by_softmax + smoothing.mass * smooth
        return cls(by_softmax, nll, smooth)

    def take(self, rows):
        """Select rows.

        Parameters
        ----------
        rows : slice
            The rows.

        Returns
        -------
        RowFactors
            Their factors.
        """
        smooth = None if self.smooth is None else self.smooth[rows]
        return RowFactors(self.softmax[rows], self.nll[rows], smooth)

    def target_entry(self, nll):
        r"""Compute the entry of the target, :math:`\alpha p - \beta`.

        Parameters
        ----------
        nll : Tensor of shape (n,)
            Negative log-likelihoods.

        Returns
        -------
        Tensor of shape (n,)
            The entries, without the label smoothing. 1 - p is not taken from p, of
            which rows that are sure would leave rounding only.
        """
        p_minus_1 = torch.expm1(-nll)
        return (self.softmax - self.nll) * (1 + p_minus_1) + self.nll * p_minus_1


@dataclass
class Part:
    """A chunk of rows and a tile of classes.

    Attributes
    ----------
    S : Tensor of shape (n, v)
        Softmax without the entries of targets, up to factors of rows.
    norm : Tensor of shape (n, 1)
        These factors: ``norm * S`` is the softmax.
    alpha : Tensor of shape (n, 1)
        What the softmax is multiplied by to be the gradient.
    features : Tensor of shape (n, D)
        Features, in the dtype of the sums.
    weight : Tensor of shape (v, D)
        Tile of the weight.
    rows : Tensor of shape (n,) or None, default=None
        Which rows of the chunk; None for all of them.
    """

    S: torch.Tensor
    norm: torch.Tensor
    alpha: torch.Tensor
    features: torch.Tensor
    weight: torch.Tensor
    rows: torch.Tensor | None = None

    @property
    def scale(self):
        """Factors (n, 1) that make the gradient of S."""
        return self.norm * self.alpha

    def normalised(self):
        """Multiply S by its factors, in place.

        Returns
        -------
        Part
            The same, with the softmax itself as S.
        """
        return replace(self, S=self.S.mul_(self.norm), norm=torch.ones_like(self.norm))

    def take(self, rows):
        """Select rows.

        Parameters
        ----------
        rows : Tensor of shape (k,)
            Indices of rows.

        Returns
        -------
        Part
            A copy of these rows.
        """
        return replace(
            self,
            S=self.S[rows],
            norm=self.norm[rows],
            alpha=self.alpha[rows],
            features=self.features[rows],
            rows=rows,
        )

    def capped(self, slope, smooth):
        """Let the cap of the logits weaken the gradient.

        Parameters
        ----------
        slope : Tensor of shape (n, v)
            What it multiplies a gradient by.
        smooth : Tensor of shape (n, 1) or (n, v), or None
            What label smoothing takes from the gradient: after a cap it is no longer
            of rank one.

        Returns
        -------
        Part
            The weakened gradient.
        """
        if smooth is None:
            return replace(self, S=self.S * slope)
        ones = torch.ones_like(self.scale)
        G = (self.S * self.scale).sub_(smooth).mul_(slope)
        return replace(self, S=G, norm=ones, alpha=ones)


@dataclass
class Targets:
    """The entries of the gradient at the targets that are in a tile.

    Attributes
    ----------
    rows, columns : Tensor of shape (k,)
        Where they are; no row occurs twice.
    entries : Tensor of shape (k,)
        Their values.
    """

    rows: torch.Tensor
    columns: torch.Tensor
    entries: torch.Tensor


@dataclass
class Sums:
    """Where gradients are added to, in the dtype of the sums.

    Attributes
    ----------
    products : Products
        What multiplies.
    features : Tensor of shape (n, D) or None
        Gradient of the features; None if it is not needed.
    weight : Tensor of shape (v, D) or None
        That of the weight.
    bias : Tensor of shape (v,) or None
        That of the bias.
    fresh : bool, default=False
        Whether the one of the weight has no value yet.
    """

    products: object
    features: torch.Tensor | None
    weight: torch.Tensor | None
    bias: torch.Tensor | None
    fresh: bool = False

    def view(self, rows, tile):
        """Take a chunk of rows and a tile of classes.

        Parameters
        ----------
        rows, tile : slice
            Rows and classes.

        Returns
        -------
        Sums
            What is added to it is added to these.
        """
        return replace(
            self,
            features=None if self.features is None else self.features[rows],
            weight=None if self.weight is None else self.weight[tile],
            bias=None if self.bias is None else self.bias[tile],
        )

    def add(self, part):
        """Add the gradient of all entries but those of the targets.

        Parameters
        ----------
        part : Part
            The entries.
        """
        if self.features is not None:
            product = self.products.times(part.S, part.weight)
            self._add_to_features(product, part)
        if self.weight is not None:
            h = part.features * part.scale
            self.products.add_outer(self.weight, part.S, h, self.fresh)
        if self.bias is not None:
            self.bias += _column_sums(part.S, part.scale)

    def add_columns(self, part, columns):
        """Add the gradient of some columns.

        Parameters
        ----------
        part : Part
            The entries.
        columns : Tensor of shape (k,)
            Which of its columns.
        """
        S, W = part.S.index_select(1, columns), part.weight.index_select(0, columns)
        if self.features is not None:
            self._add_to_features(self.products.times(S, W), part)
        if self.weight is not None:
            product = torch.empty(
                W.shape, dtype=self.weight.dtype, device=self.weight.device
            )
            h = part.features * part.scale
            self.products.add_outer(product, S, h, fresh=True)
            self.weight.index_add_(0, columns, product)
        if self.bias is not None:
            self.bias.index_add_(0, columns, _column_sums(S, part.scale))

    def add_targets(self, targets, features, weight):
        """Add the gradient of the entries of the targets.

        Parameters
        ----------
        targets : Targets
            The entries.
        features : Tensor of shape (n, D)
            Features, in the dtype of the sums.
        weight : Tensor of shape (v, D)
            Weight.
        """
        entries = targets.entries.unsqueeze(1)
        if self.features is not None:
            product = weight[targets.columns] * entries
            self.features.index_add_(0, targets.rows, product)
        if self.weight is not None:
            product = features[targets.rows] * entries
            self.weight.index_add_(0, targets.columns, product)
        if self.bias is not None:
            self.bias.index_add_(0, targets.columns, targets.entries)

    def _add_to_features(self, product, part):
        if part.rows is None:
            self.features.addcmul_(product, part.scale)
        else:
            self.features.index_add_(0, part.rows, product.mul_(part.scale))


def add_part(sums, part, targets, slope=None, smooth=None, filtering=None):
    """Add the gradient of a chunk of rows and a tile of classes.

    Parameters
    ----------
    sums : Sums
        Sums of that chunk and that tile.
    part : Part
        All entries but those of the targets.
    targets : Targets
        The entries of the targets.
    slope : Tensor of shape (n, v), default=None
        What the cap of the logits multiplies the gradient by.
    smooth : Tensor of shape (n, 1) or (n, v), default=None
        What label smoothing takes from the gradient of capped logits.
    filtering : Filtering, default=None
        Leaves out negligible entries.
    """
    if slope is not None:
        part = part.capped(slope, smooth)
        at_targets = slope[targets.rows, targets.columns]
        targets = replace(targets, entries=targets.entries * at_targets)
    if filtering is None:
        sums.add(part)
    else:
        filtering.add(sums, part)
    sums.add_targets(targets, part.features, part.weight)


def _column_sums(S, scale):
    # Entries may be narrower than the sums, which index_add_ does not mix.
    return (S.T @ scale.squeeze(1).to(S.dtype)).to(scale.dtype)
