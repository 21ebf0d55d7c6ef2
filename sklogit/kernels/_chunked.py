"""Loss and gradient in one pass: chunks of rows, three products of matrices."""

import torch

from ._autocast import without_autocast
from ._gradients import RowFactors, Sums
from ._softmax import softmax
from ._task import check_finite, check_targets
from ._walk import Walk


@without_autocast
def loss_and_gradients(features, weight, bias, task, needs):
    """Compute the loss and its gradients.

    The exponentials of a chunk of rows are kept until their sums are known, and then
    make the gradient: logits are computed once.

    Parameters
    ----------
    features : Tensor of shape (N, D)
        Features.
    weight : Tensor of shape (V, D)
        Weight of the head.
    bias : Tensor of shape (V,) or None
        Its bias.
    task : Task
        What to compute.
    needs : sequence of bool
        Whether the gradients of features, weight and bias are needed.

    Returns
    -------
    loss : Tensor of shape ()
        The loss, in the dtype of the sums.
    gradients : list of Tensor or None
        Of features, weight and bias, in their dtypes.

    Raises
    ------
    ValueError
        If targets are no classes, or the loss is NaN as something is not finite.
    """
    check_targets(task.target, len(weight))
    walk = Walk(features, weight, bias, task, _weighs(task))
    sums = _empty_sums(walk, needs)
    loss = walk.zeros()
    tiles = [] if any(needs) else None
    for rows, chunk in walk.chunks():
        of_chunk = walk.task.take(rows)
        S = softmax(walk.head, chunk, walk.smoothing, tiles)
        loss += of_chunk.row_losses(S.nll, S.lse, S.smooth).sum()
        if tiles is not None:
            _add_chunk(walk, sums, rows, chunk, of_chunk, S)
    if tiles is not None and walk.smoothing is not None:
        _take_smoothing(walk, sums)
    check_finite(loss, input=features, weight=weight, bias=bias)
    return loss, walk.gradients([sums.features, sums.weight, sums.bias])


def _weighs(task):
    """Whether a row weighs anything; rows that do not count weigh nothing."""
    weighs = task.nll_weight != 0
    for weight in (task.smoothing_weight, task.square_weight):
        if weight is not None:
            weighs |= weight != 0
    return weighs


def _empty_sums(walk, needs):
    weight = walk.head.weight
    # Zeros to add to would be written twice.
    fresh = walk.filtering is None and len(walk.features) > 0
    of_weight = torch.empty if fresh else torch.zeros
    given = {"dtype": walk.head.products.dtype, "device": weight.device}
    return Sums(
        walk.head.products,
        walk.zeros(*walk.features.shape) if needs[0] else None,
        of_weight(weight.shape, **given) if needs[1] else None,
        walk.zeros(len(weight)) if needs[2] else None,
        fresh,
    )


def _add_chunk(walk, sums, rows, chunk, task, S):
    by_lse = 0 if task.square_weight is None else 2 * task.square_weight * S.lse
    factors = RowFactors.of(
        task.nll_weight, by_lse, task.smoothing_weight, walk.smoothing
    )
    entries = factors.target_entry(S.nll)
    for i, tile in enumerate(walk.head.tiles):
        of_part = sums.view(rows, tile)
        walk.add(
            of_part, chunk, i, S.tiles[i], S.norm(i), factors, entries, S.slopes[i]
        )
    sums.fresh = False


def _take_smoothing(walk, sums):
    gamma = walk.task.smoothing_weight
    walk.smoothing.take_from_features(sums.features, gamma)
    features = walk.features.to(gamma.dtype)
    for tile in walk.head.tiles:
        part = sums.view(slice(None), tile)
        walk.smoothing.take_from_head(part.weight, part.bias, tile, gamma, features)
