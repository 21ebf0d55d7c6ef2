"""What of a loss is to be computed, whatever computes it."""

import math
from dataclasses import dataclass, replace

import torch

LOG2E = 1 / math.log(2)

# Target of a row that does not count.
IGNORED = torch.iinfo(torch.int64).min

# Bytes of the exponentials that are kept for a chunk of rows.
_CHUNK_BYTES = 2**27
_MIN_ROWS, _MAX_ROWS = 128, 512
# Entries of a tile for each thread: 2 MiB of float32, which stay in the cache.
_TILE_ENTRIES = 2**19
_MIN_TILE = 256


@dataclass(frozen=True)
class Task:
    r"""Targets, and the weights of the parts of the loss.

    .. math:: \sum_i a_i\, \mathrm{nll}_i + \sum_i c_i \sum_j u_j
        (\mathrm{lse}_i - z_{ij}) + \sum_i q_i\, \mathrm{lse}_i^2

    with the logits z, :math:`\mathrm{lse}_i = \log \sum_j \exp z_{ij}` and
    :math:`\mathrm{nll}_i = \mathrm{lse}_i - z_{i y_i}`. All tensors of numbers have
    the dtype of the sums.

    Attributes
    ----------
    target : Tensor of shape (N,)
        Class indices, int64; `IGNORED` for rows that do not count.
    nll_weight : Tensor of shape (N,)
        The weights a, zero for rows that do not count.
    smoothing : Tensor of shape (1,) or (V,), or None
        Label smoothing u, of all classes alike or of each.
    smoothing_weight : Tensor of shape (N,) or None
        The weights c.
    square_weight : Tensor of shape (N,) or None
        The weights q.
    softcap : float or None
        Logits are ``softcap * tanh(logits / softcap)``.
    filter_eps : float or None
        Softmax entries below it may be left out of the gradient.
    max_dropped_mass : float
        The most of a row's softmax that may be left out.
    chunk_size : int or None
        Rows of a chunk.
    """

    target: torch.Tensor
    nll_weight: torch.Tensor
    smoothing: torch.Tensor | None = None
    smoothing_weight: torch.Tensor | None = None
    square_weight: torch.Tensor | None = None
    softcap: float | None = None
    filter_eps: float | None = None
    max_dropped_mass: float = 2**-7
    chunk_size: int | None = None

    def take(self, rows):
        """Return the task of some rows.

        Parameters
        ----------
        rows : slice or Tensor of shape (n,)
            The rows.

        Returns
        -------
        Task
            A task of n rows.
        """
        of_rows = ("target", "nll_weight", "smoothing_weight", "square_weight")
        values = {name: getattr(self, name) for name in of_rows}
        return replace(
            self, **{k: v if v is None else v[rows] for k, v in values.items()}
        )

    def row_losses(self, nll, lse, smooth):
        r"""Weigh the parts of the loss.

        Parameters
        ----------
        nll, lse : Tensor of shape (N,)
            Negative log-likelihoods, and logarithms of the sums of exponentials.
        smooth : Tensor of shape (N,) or None
            :math:`\sum_j u_j (\mathrm{lse}_i - z_{ij})`; None without smoothing.

        Returns
        -------
        Tensor of shape (N,)
            The loss of each row.
        """
        loss = self.nll_weight * nll
        if self.smoothing is not None:
            loss = loss + self.smoothing_weight * smooth
        if self.square_weight is not None:
            loss = loss + self.square_weight * lse.square()
        return loss

    def rows_of_chunk(self, weight):
        """Return the number of rows whose exponentials are kept at a time.

        Parameters
        ----------
        weight : Tensor of shape (V, D)
            The weight of the head.

        Returns
        -------
        int
            `chunk_size`, or what 128 MiB hold, between 128 and 512. Fewer rows cost
            time, as the gradient of the weight is added to for each chunk; more gain
            nothing.
        """
        if self.chunk_size is not None:
            return self.chunk_size
        itemsize = torch.promote_types(weight.dtype, torch.float32).itemsize
        # On a GPU more rows are needed to be busy. Not measured there.
        many = 1 if weight.device.type == "cpu" else 8
        n_rows = many * _CHUNK_BYTES // (itemsize * len(weight))
        return min(max(n_rows, many * _MIN_ROWS), many * _MAX_ROWS)


def tiles_of(weight, n_rows):
    """Cut the classes into tiles that stay in the cache.

    Parameters
    ----------
    weight : Tensor of shape (V, D)
        The weight of the head.
    n_rows : int
        Rows of a chunk.

    Returns
    -------
    list of slice
        One for all classes on a GPU, which has other means.
    """
    n_classes, n_features = weight.shape
    size = n_classes
    if weight.device.type == "cpu":
        entries = _TILE_ENTRIES * torch.get_num_threads()
        size = max(_MIN_TILE, entries // max(n_rows, n_features, 1))
    return [
        slice(start, min(start + size, n_classes))
        for start in range(0, n_classes, size)
    ]


def check_targets(target, n_classes):
    """Raise an error if targets are no classes. On the CPU only: it needs the values.

    Parameters
    ----------
    target : Tensor of shape (N,)
        Class indices, or `IGNORED`.
    n_classes : int
        Number of classes.

    Raises
    ------
    ValueError
        If one is negative or too large.
    """
    if target.device.type != "cpu":
        return
    wrong = (target != IGNORED) & ((target < 0) | (target >= n_classes))
    if wrong.any():
        raise ValueError(
            f"target must be class indices from 0 to {n_classes - 1}, or ignore_index, "
            f"found {target[wrong].unique().tolist()[:5]}."
        )


def check_finite(values, **tensors):
    """Raise an error if a loss is NaN, as something that went in was not finite.

    On the CPU only: elsewhere it would wait for the device, and NaN is returned.

    Parameters
    ----------
    values : Tensor
        Losses.
    **tensors : Tensor or None
        What went in, by name.

    Raises
    ------
    ValueError
        It names the first tensor that is not finite.
    """
    if values.device.type != "cpu" or not values.isnan().any():
        return
    for name, tensor in tensors.items():
        if tensor is None:
            continue
        # A bias of minus infinity rules a class out.
        wrong = tensor.isnan() | (tensor == math.inf)
        if name != "bias":
            wrong |= tensor == -math.inf
        if wrong.any():
            raise ValueError(
                f"{name} must be finite, found {tensor[wrong][0].item()} at "
                f"{tuple(wrong.nonzero()[0].tolist())}."
            )
