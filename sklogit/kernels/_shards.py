"""Classes spread over the ranks of a process group, and what its ranks tell each other.

Only here do collectives of torch.distributed run. Every rank of the group has to call
each of these functions, in the same order.
"""

from contextlib import contextmanager
from dataclasses import dataclass
from zlib import crc32

import torch
import torch.distributed as dist

from ._row_statistics import RowStatistics


def shard_rows(n_classes, rank, n_ranks):
    """Return the first class of a rank, and the one after its last.

    The first ``n_classes % n_ranks`` ranks hold one class more than the others.

    Parameters
    ----------
    n_classes : int
        Number of classes; may be below the number of ranks.
    rank : int
        The rank.
    n_ranks : int
        Number of ranks.

    Returns
    -------
    start, stop : int
        The rank holds rows ``start:stop`` of the weight.

    Examples
    --------
    >>> [shard_rows(5, rank, 3) for rank in range(3)]
    [(0, 2), (2, 4), (4, 5)]
    """
    size, extra = divmod(n_classes, n_ranks)
    start = rank * size + min(rank, extra)
    return start, start + size + (rank < extra)


@dataclass(frozen=True)
class Shards:
    """The classes of all ranks.

    Attributes
    ----------
    group : ProcessGroup
        Ranks that hold the classes.
    start : int
        First class of this rank.
    n_classes : int
        Number of classes of all ranks.
    largest : int
        Largest number of classes of a rank.
    """

    group: object
    start: int
    n_classes: int
    largest: int

    @classmethod
    def agree(cls, group, start, n_here, device, same, refusal=None):
        """Return the shards after all ranks have said that they mean the same problem.

        Parameters
        ----------
        group : ProcessGroup
            Ranks.
        start, n_here : int
            First class of this rank, and how many it holds.
        device : torch.device
            Where collectives run.
        same : dict of str to int
            What must not differ between ranks.
        refusal : Exception or None, default=None
            What is wrong with this rank's arguments.

        Returns
        -------
        Shards
            The shards.

        Raises
        ------
        ValueError
            On all ranks, if they differ, if their classes leave gaps or overlap, or if
            another rank refuses its arguments.
        RuntimeError
            If a rank does not answer.
        Exception
            The refusal.
        """
        mine = [refusal is not None, start, n_here, *same.values()]
        everyone = _gather(group, mine, device)
        refused, starts, sizes, *values = zip(*everyone)
        if refusal is not None:
            raise refusal
        if any(refused):
            raise ValueError(
                f"Rank {refused.index(1)} of process_group refused its arguments of "
                "linear_cross_entropy, and says there why."
            )
        _check_same(dict(zip(same, values)))
        return cls(group, start, _check_tiling(starts, sizes), max(sizes))

    def rows_of_chunk(self, task, weight):
        """Return how many rows make a chunk: on all ranks those of the largest shard.

        Parameters
        ----------
        task : Task
            What to compute.
        weight : Tensor of shape (V_r, D)
            Weight of this rank's classes.

        Returns
        -------
        int
            Number of rows.
        """
        return task.rows_of_chunk(weight.new_empty(1, 1).expand(self.largest, 1))

    def any(self, flag, device):
        """Return whether a flag is set on any rank.

        Parameters
        ----------
        flag : bool
            The flag of this rank.
        device : torch.device
            Where collectives run.

        Returns
        -------
        bool
            The same on all ranks.
        """
        return any(flag for (flag,) in _gather(self.group, [flag], device))

    def merge(self, statistics):
        """Return the statistics of the logits of all ranks, from those of each.

        Two collectives: the maximum, and one sum of everything that is a sum.
        """
        if not len(statistics.lse_others):
            return statistics
        largest = statistics.lse_others.clone()
        with _naming_failures(self.group, "the all-reduce of the rows' maxima"):
            dist.all_reduce(largest, dist.ReduceOp.MAX, group=self.group)
        # exp(-inf - -inf) is nan; there is nothing to scale while all are -inf.
        shift = torch.where(largest == -torch.inf, 0.0, largest)
        sums = [(statistics.lse_others - shift).exp(), *statistics[1:]]
        sums = torch.stack([part for part in sums if part is not None])
        self.sum_(sums, "the all-reduce of the rows' sums")
        return RowStatistics(sums[0].log() + shift, *sums[1:])

    def sum_(self, values, what="the all-reduce of the gradient of input"):
        """Replace values by their sum over the ranks."""
        if not values.numel():
            return
        with _naming_failures(self.group, what):
            dist.all_reduce(values, group=self.group)


@contextmanager
def _naming_failures(group, what):
    """Say what a failed collective was for, and which end of it this is."""
    rank, n_ranks = dist.get_rank(group), dist.get_world_size(group)
    try:
        yield
    except RuntimeError as error:  # all errors of torch.distributed are
        raise RuntimeError(
            f"process_group failed in {what}, on rank {rank} of {n_ranks}: another "
            "rank died, raised an error of its own, or did not answer within the "
            "group's timeout. The group cannot be used any more. The backend said: "
            f"{error}"
        ) from error


def checksum(tensor):
    """Return a number that differs, almost surely, for other values, order or shape.

    Parameters
    ----------
    tensor : Tensor or None
        Numbers; floats count bit by bit.

    Returns
    -------
    int
        The number; 0 for None.
    """
    if tensor is None:
        return 0
    flat = tensor.detach().reshape(-1).contiguous()
    if flat.is_floating_point():
        flat = flat.view(
            {2: torch.int16, 4: torch.int32, 8: torch.int64}[flat.itemsize]
        )
    places = torch.arange(len(flat), device=flat.device)
    # Of the shape, as zeros add nothing to the sum.
    of_shape = crc32(repr(tuple(tensor.shape)).encode()) + 1
    return int((flat.long() * (2 * places + 1)).sum() + of_shape)


def _gather(group, values, device):
    """Return the integers of all ranks, one list each."""
    mine = torch.tensor([int(x) for x in values], device=device)
    everyone = [torch.empty_like(mine) for _ in range(dist.get_world_size(group))]
    with _naming_failures(group, "the comparison of their arguments"):
        dist.all_gather(everyone, mine, group=group)
    return [values.tolist() for values in everyone]


def _check_same(values):
    for name, everyone in values.items():
        if len(set(everyone)) > 1:
            raise ValueError(
                f"{name} must be the same on all ranks of process_group, but differs. "
                "Each rank holds some of the classes, and needs all rows."
            )


def _check_tiling(starts, sizes):
    """Return the number of classes if the shards cover it without gap or overlap."""
    end = 0
    for start, size in sorted(zip(starts, sizes)):
        if size and start != end:
            found = [f"{a}:{a + n}" for a, n in zip(starts, sizes)]
            raise ValueError(
                "shard_start and the lengths of weight must make the ranks of "
                "process_group hold all classes, from 0 on, without gap or overlap, "
                f"but they hold {', '.join(found)}."
            )
        end += size
    if not end:
        raise ValueError(
            "weight must have one class at least on some rank of process_group."
        )
    return end
