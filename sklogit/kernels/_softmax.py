"""The softmax of a chunk of rows, made tile by tile of the classes."""

import math
from dataclasses import dataclass

import torch

from ._products import products_for
from ._task import LOG2E, tiles_of


class TiledHead:
    """A head whose logits are made a tile of the classes at a time.

    Logits are those of base 2, so that exponentials are powers of two: these torch
    computes four times faster than powers of e where MKL computes the latter.

    Parameters
    ----------
    weight : Tensor of shape (V, D)
        Weight.
    bias : Tensor of shape (V,) or None
        Bias.
    softcap : float or None
        Logits are ``softcap * tanh(logits / softcap)``.
    n_rows : int
        Rows of a chunk, to choose the size of tiles.

    Attributes
    ----------
    tiles : list of slice
        The tiles.
    products : Products
        What multiplies.
    """

    def __init__(self, weight, bias, softcap, n_rows):
        self.weight = weight
        self.softcap = softcap
        self.products = products_for(weight)
        self.scale = LOG2E if softcap is None else 1 / softcap
        self.bias = None if bias is None else bias.to(self.products.dtype) * self.scale
        self.tiles = tiles_of(weight, n_rows)

    def rows(self, features, target):
        """Prepare a chunk of rows.

        Parameters
        ----------
        features : Tensor of shape (n, D)
            Features.
        target : Tensor of shape (n,)
            Class indices.

        Returns
        -------
        Rows
            The chunk.
        """
        prepared = self.products.prepare(features, self.scale)
        return Rows(
            features, prepared, _places(target, self.tiles), self.products.dtype
        )

    def logits(self, rows, tile):
        """Compute a tile of the logits.

        Parameters
        ----------
        rows : Rows
            A chunk.
        tile : slice
            Classes.

        Returns
        -------
        z : Tensor of shape (n, v)
            Logits of base 2, a new tensor.
        slope : Tensor of shape (n, v) or None
            What the cap multiplies a gradient by; None without a cap.
        """
        bias = None if self.bias is None else self.bias[tile]
        z = self.products.logits(rows.prepared, self.weight[tile], bias, self.scale)
        if self.softcap is None:
            return z, None
        z.tanh_()
        slope = torch.addcmul(z.new_ones(()), z, z, value=-1)
        return z.mul_(self.softcap * LOG2E), slope


class Rows:
    """A chunk of rows.

    Attributes
    ----------
    features : Tensor of shape (n, D)
        Features, in the dtype of the sums.
    prepared : Tensor of shape (n, D)
        Features as the products take them.
    places : list of tuple of Tensor
        For each tile the rows whose target is in it, and its column there.
    """

    def __init__(self, features, prepared, places, dtype):
        self.prepared = prepared
        self.places = places
        self._features = features
        self._dtype = dtype

    def __len__(self):
        return len(self._features)

    @property
    def features(self):
        """Features, in the dtype of the sums."""
        return self._features.to(self._dtype)


def _places(target, tiles):
    if len(tiles) == 1:
        return [(torch.arange(len(target), device=target.device), target)]
    ordered, rows = target.sort()
    starts = torch.tensor([tile.start for tile in tiles] + [tiles[-1].stop])
    ends = torch.searchsorted(ordered, starts.to(target.device)).tolist()
    return [
        (rows[first:last], ordered[first:last] - tile.start)
        for tile, first, last in zip(tiles, ends, ends[1:])
    ]


@dataclass
class Softmax:
    r"""The softmax of a chunk, not normalised.

    Entries are :math:`2^{z_{ij} - m_i^{(t)}}` with the greatest logit so far, m, of
    tile t. A later tile may have a greater one: its rows are scaled when they are used,
    which is cheaper than to scale the entries. The entry of the target is kept apart,
    and zero in the tile: so the mass of the others does not cancel.

    Attributes
    ----------
    nll, lse : Tensor of shape (n,)
        Negative log-likelihood and logarithm of the sum, natural.
    smooth : Tensor of shape (n,) or None
        :math:`\sum_j u_j (\mathrm{lse}_i - z_{ij})` with label smoothing.
    shift : Tensor of shape (n, 1)
        The greatest logit of each row.
    total : Tensor of shape (n, 1)
        Sum of the row's entries, of the final shift.
    tiles, shifts, slopes : list of Tensor
        Of each tile: entries (n, v), shift (n, 1) and, with a cap, slopes (n, v).
    """

    nll: torch.Tensor
    lse: torch.Tensor
    smooth: torch.Tensor | None
    shift: torch.Tensor
    total: torch.Tensor
    tiles: list
    shifts: list
    slopes: list

    def norm(self, i):
        """Compute what normalises tile i.

        Parameters
        ----------
        i : int
            Number of the tile.

        Returns
        -------
        Tensor of shape (n, 1)
            Factor of each row.
        """
        return torch.exp2(self.shifts[i] - self.shift) / self.total


def softmax(head, rows, smoothing=None, tiles=None):
    """Compute the softmax of a chunk.

    Parameters
    ----------
    head : TiledHead
        The head.
    rows : Rows
        The chunk.
    smoothing : LabelSmoothing or None, default=None
        Label smoothing.
    tiles : list or None, default=None
        Where to keep the tiles; they replace those of the chunk before one by one, so
        that the memory of a tile is the next one's. None keeps nothing.

    Returns
    -------
    Softmax
        The softmax.
    """
    state = _Running(len(rows), rows.prepared.device, head.products.dtype)
    shifts, slopes = [], []
    weighted = None
    for i, tile in enumerate(head.tiles):
        z, slope = head.logits(rows, tile)
        if smoothing is not None and not smoothing.is_linear:
            part = smoothing.sum_of_logits(z, tile)
            weighted = part if weighted is None else weighted + part
        state.add(z, rows.places[i])
        if tiles is None:
            continue
        keep(tiles, i, z.to(head.products.tile_dtype))
        shifts.append(state.greatest)
        slopes.append(slope)
    nll, lse, total = state.result()
    smooth = None
    if smoothing is not None:
        smooth = smoothing.values(lse, rows.features, weighted)
    return Softmax(nll, lse, smooth, state.shift, total, tiles, shifts, slopes)


def keep(tiles, i, tile):
    """Put a tile in the place of its predecessor.

    Parameters
    ----------
    tiles : list of Tensor
        Tiles.
    i : int
        Number of the tile.
    tile : Tensor
        The tile.
    """
    if i == len(tiles):
        tiles.append(tile)
    else:
        tiles[i] = tile


class _Running:
    """Sums of exponentials over the tiles so far, relative to the greatest logit."""

    def __init__(self, n_rows, device, dtype):
        self.others = torch.zeros(n_rows, 1, device=device, dtype=dtype)
        self.own = torch.zeros_like(self.others)
        self.own_logit = torch.zeros_like(self.others)
        self.greatest = torch.full_like(self.others, -math.inf)

    @property
    def shift(self):
        """The greatest logit; of rows of minus infinity only any finite number does."""
        return torch.where(self.greatest == -math.inf, 0, self.greatest)

    def add(self, z, places):
        """Turn a tile of logits into exponentials, in place, and add them."""
        before = self.greatest
        self.greatest = torch.maximum(before, z.amax(dim=1, keepdim=True))
        shift = self.shift
        rows, columns = places
        self.own_logit[rows, 0] = z[rows, columns]
        z.sub_(shift).exp2_()
        decay = torch.exp2(before - shift)
        self.own.mul_(decay)[rows, 0] = z[rows, columns]
        z[rows, columns] = 0
        self.others.mul_(decay).add_(z.sum(dim=1, keepdim=True))

    def result(self):
        """Return nll and lse (n,), and the total (n, 1)."""
        total = self.others + self.own
        lse = self.shift + total.log2()
        # Of a confident row the logarithm of the sum cancels against the logit.
        nll = torch.where(
            self.others < self.own,
            torch.log1p(self.others / self.own),
            (lse - self.own_logit) / LOG2E,
        )
        return nll.squeeze(1), lse.squeeze(1) / LOG2E, total
