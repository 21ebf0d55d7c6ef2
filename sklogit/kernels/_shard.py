"""The classes of one rank: statistics of their logits, and the gradients of these."""

from dataclasses import replace

import torch

from . import _triton
from ._filtering import Filtering
from ._gradients import Sums
from ._row_statistics import RowStatistics
from ._smoothing import LabelSmoothing
from ._softmax import softmax
from ._task import LOG2E
from ._triton_statistics import row_statistics
from ._walk import Walk


class ShardSmoothing(LabelSmoothing):
    """Label smoothing over the classes of all ranks, as one rank sees it.

    Parameters
    ----------
    head : TiledHead
        The head of the rank's classes.
    factors : Tensor of shape (1,) or (V,)
        The factors of its classes.
    mass : Tensor of shape ()
        Sum of the factors of all classes of all ranks.
    """

    def __init__(self, head, factors, mass):
        super().__init__(head, factors)
        self.mass = mass

    def values(self, lse, features, weighted):
        r"""Compute :math:`-\sum_j u_j z_{ij}`: the logarithms come when all is known.

        Parameters
        ----------
        lse, features, weighted
            As of `LabelSmoothing`.

        Returns
        -------
        Tensor of shape (n,)
            The parts.
        """
        return super().values(torch.zeros_like(lse), features, weighted)


class ShardWalk(Walk):
    """A walk over all rows that count and the classes of one rank.

    Parameters
    ----------
    features : Tensor of shape (N, D)
        Features.
    weight : Tensor of shape (V, D)
        Weight of the rank's classes; there may be none.
    bias : Tensor of shape (V,) or None
        Their bias.
    task : Task
        What to compute, with the classes of all ranks.
    shards : Shards
        Where they are.
    counts : Tensor of shape (N,)
        Which rows count.
    """

    def __init__(self, features, weight, bias, task, shards, counts):
        is_empty = len(weight) == 0
        here = slice(shards.start, shards.start + len(weight))
        local = replace(
            task,
            target=task.target - shards.start,
            smoothing=None,
            filter_eps=None,
            chunk_size=shards.rows_of_chunk(task, weight),
        )
        # A head must have classes; of a rank without any it is never used.
        head = weight, bias
        if is_empty:
            of_bias = None if bias is None else bias.new_zeros(1)
            head = weight.new_zeros(1, weight.shape[1]), of_bias
        super().__init__(features, *head, local, counts)
        if task.smoothing is not None:
            alike = is_empty or len(task.smoothing) == 1
            factors = task.smoothing[:1] if alike else task.smoothing[here]
            mass = task.smoothing.sum() * (shards.n_classes // len(task.smoothing))
            self.smoothing = ShardSmoothing(self.head, factors, mass)
        if task.filter_eps is not None:
            self.filtering = Filtering(
                task.filter_eps, task.max_dropped_mass, shards.n_classes
            )

    def chunks(self):
        """Go through the chunks; targets of other ranks have no place in them.

        Yields
        ------
        slice
            Which of the rows that count.
        Rows
            The chunk.
        """
        for rows, chunk in super().chunks():
            chunk.places = [
                _inside(place, tile)
                for place, tile in zip(chunk.places, self.head.tiles)
            ]
            yield rows, chunk


def _inside(place, tile):
    rows, columns = place
    here = (columns >= 0) & (columns < tile.stop - tile.start)
    return rows[here], columns[here]


class Shard:
    """One rank's part of the computation; this one is for a rank without classes.

    Parameters
    ----------
    features, weight, bias, task, shards, counts
        As of `ShardWalk`.
    needs : sequence of bool
        Whether the gradients of features, weight and bias are needed.

    Attributes
    ----------
    walk : ShardWalk
        The rows that count.
    """

    def __init__(self, features, weight, bias, task, shards, counts, needs):
        self.walk = ShardWalk(features, weight, bias, task, shards, counts)
        self.weight, self.bias, self.needs = weight, bias, needs
        self._sums = None

    def blocks(self):
        """Return slices of the rows that count, each with its chunk.

        Returns
        -------
        iterator of tuple (slice, Rows)
            The same number on all ranks.
        """
        return self.walk.chunks()

    def statistics(self, chunk):
        """Reduce the logits of a chunk; keep what `add` needs.

        Parameters
        ----------
        chunk : Rows
            The chunk.

        Returns
        -------
        RowStatistics
            With the label smoothing's weighted sum of logits as mean.
        """
        nothing = self.walk.zeros(len(chunk))
        mean = None if self.walk.smoothing is None else nothing
        return RowStatistics(torch.full_like(nothing, -torch.inf), nothing, mean)

    def prepare(self, chunk):
        """Make again what `add` needs of a chunk.

        Parameters
        ----------
        chunk : Rows
            The chunk.
        """

    def add(self, rows, chunk, nll, lse, factors):
        """Add the gradient of the chunk that was the last one.

        Parameters
        ----------
        rows, chunk
            As of `blocks`.
        nll, lse : Tensor of shape (n,)
            Negative log-likelihoods and logarithms of the sums, of all ranks.
        factors : RowFactors
            Factors of the rows.
        """

    def sums(self, gamma):
        """Return the sums of the gradients.

        Parameters
        ----------
        gamma : Tensor of shape (n,) or None
            Factors of the label smoothing, of all rows that count.

        Returns
        -------
        list of Tensor or None
            This rank's part of the gradient of the features that count, in the dtype
            of the sums, and the gradients of its weight and bias.
        """
        shapes = self.walk.features.shape, self.weight.shape, self.weight.shape[:1]
        zeros = self.walk.zeros
        return [zeros(*x) if need else None for x, need in zip(shapes, self.needs)]


class TorchShard(Shard):
    """One rank's part, by chunks of rows whose exponentials are kept."""

    def __init__(self, *args):
        super().__init__(*args)
        self._tiles = [] if any(self.needs) else None
        self._sums = Sums(self.walk.head.products, *super().sums(None))

    def statistics(self, chunk):
        """Reduce the logits of a chunk; see `Shard`."""
        smoothing = self.walk.smoothing
        S = self._softmax = softmax(self.walk.head, chunk, smoothing, self._tiles)
        is_here = torch.zeros_like(S.lse, dtype=torch.bool)
        for rows, _ in chunk.places:
            is_here[rows] = True
        # Where all classes are ruled out, so is the target; -inf + inf is nan.
        some = S.lse != -torch.inf
        own = torch.where(some, S.lse - S.nll, S.lse)
        others = torch.where(some, S.lse + torch.log(-torch.expm1(-S.nll)), S.lse)
        return RowStatistics(
            torch.where(is_here, others, S.lse),
            torch.where(is_here, own, 0),
            None if smoothing is None else -S.smooth,
        )

    def prepare(self, chunk):
        """Make the exponentials of a chunk again; see `Shard`."""
        self.statistics(chunk)

    def add(self, rows, chunk, nll, lse, factors):
        """Add the gradient of the chunk that was the last one; see `Shard`."""
        S, entries = self._softmax, factors.target_entry(nll)
        lse = lse.unsqueeze(1) * LOG2E
        for i, tile in enumerate(self.walk.head.tiles):
            norm = torch.exp2(S.shifts[i] - lse)
            sums = self._sums.view(rows, tile)
            self.walk.add(
                sums, chunk, i, S.tiles[i], norm, factors, entries, S.slopes[i]
            )

    def sums(self, gamma):
        """Return the sums of the gradients; see `Shard`."""
        sums, smoothing = self._sums, self.walk.smoothing
        if smoothing is not None:
            smoothing.take_from_features(sums.features, gamma)
            features = self.walk.features.to(gamma.dtype)
            for tile in self.walk.head.tiles:
                part = sums.view(slice(None), tile)
                smoothing.take_from_head(part.weight, part.bias, tile, gamma, features)
        return [sums.features, sums.weight, sums.bias]


class TritonShard(Shard):
    """One rank's part, by kernels of Triton for all rows at once."""

    def blocks(self):
        """Return one slice of all rows; see `Shard`."""
        n_rows = len(self.walk.features)
        return iter([(slice(None), None)] if n_rows else [])

    def statistics(self, chunk):
        """Reduce the logits of all rows; see `Shard`."""
        operands = _triton.operands_of(self.walk, self.weight, self.bias)
        others, target_logit, weighted = row_statistics(operands)
        smoothing = self.walk.smoothing
        if smoothing is not None:
            features = self.walk.features.to(others.dtype)
            weighted = -smoothing.values(others, features, weighted)
        return RowStatistics(others, target_logit, weighted)

    def add(self, rows, chunk, nll, lse, factors):
        """Make the gradients; see `Shard`."""
        self._sums = _triton.gradients_of(
            self.walk,
            self.weight,
            self.bias,
            nll,
            lse,
            factors,
            self.needs,
            wide_features=True,
        )

    def sums(self, gamma):
        """Return the gradients; see `Shard`."""
        return super().sums(gamma) if self._sums is None else self._sums
