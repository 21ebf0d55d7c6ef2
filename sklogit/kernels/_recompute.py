"""Terms of each row's loss; their gradient makes the logits again: four products.

For when the weights of the rows are only known in the backward pass, and for the least
memory: a tile is all that is ever kept.
"""

import torch

from ._autocast import without_autocast
from ._gradients import RowFactors, Sums
from ._softmax import softmax
from ._task import IGNORED, LOG2E, check_finite, check_targets
from ._walk import Walk


@without_autocast
def forward(features, weight, bias, task):
    r"""Compute the terms of each row's loss.

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

    Returns
    -------
    nll, lse : Tensor of shape (N,)
        Negative log-likelihoods and logarithms of the sums of exponentials, in the
        dtype of the sums; 0 for rows that do not count.
    smooth : Tensor of shape (N,) or None
        :math:`\sum_j u_j (\mathrm{lse}_i - z_{ij})`; None without label smoothing.

    Raises
    ------
    ValueError
        If targets are no classes, or a term is NaN as something is not finite.
    """
    check_targets(task.target, len(weight))
    walk = Walk(features, weight, bias, task, task.target != IGNORED)
    n_terms = 2 if walk.smoothing is None else 3
    terms = [walk.zeros(len(walk.features)) for _ in range(n_terms)]
    for rows, chunk in walk.chunks():
        S = softmax(walk.head, chunk, walk.smoothing)
        for term, of_chunk in zip(terms, (S.nll, S.lse, S.smooth)):
            term[rows] = of_chunk
    check_finite(terms[0], input=features, weight=weight, bias=bias)
    terms = [walk.spread(term) for term in terms]
    return (*terms, None)[:3]


@without_autocast
def backward(features, weight, bias, task, terms, derivatives, needs):
    """Compute the gradients, given the derivatives of the loss by the terms.

    Parameters
    ----------
    features, weight, bias, task
        As of `forward`.
    terms : tuple of Tensor of shape (N,)
        What it returned.
    derivatives : tuple of Tensor of shape (N,)
        By nll, by lse, and by smooth (None without label smoothing).
    needs : sequence of bool
        Whether the gradients of features, weight and bias are needed.

    Returns
    -------
    list of Tensor or None
        The gradients, in the dtypes of the inputs.
    """
    walk = Walk(features, weight, bias, task, _moves(task, derivatives))
    nll, lse = (walk.pick(term) for term in terms[:2])
    factors = RowFactors.of(*map(walk.pick, derivatives), walk.smoothing)
    entries = factors.target_entry(nll)
    of_features = walk.zeros(*walk.features.shape) if needs[0] else None
    of_weight = torch.empty_like(weight) if needs[1] else None
    of_bias = torch.empty_like(bias) if needs[2] else None
    chunks = list(walk.chunks())
    for i, tile in enumerate(walk.head.tiles):
        sums = _sums_of_tile(walk, tile, needs)
        for rows, chunk in chunks:
            S, slope = _softmax_of_tile(walk.head, chunk, i, lse[rows])
            sums.features = None if of_features is None else of_features[rows]
            ones = torch.ones_like(S[:, :1])
            part = factors.take(rows)
            walk.add(sums, chunk, i, S, ones, part, entries[rows], slope)
        _finish_tile(walk, sums, tile, factors, of_weight, of_bias)
    if walk.smoothing is not None:
        walk.smoothing.take_from_features(of_features, factors.smooth)
    return walk.gradients([of_features, of_weight, of_bias])


def _moves(task, derivatives):
    """Whether the loss depends on a row."""
    moves = torch.zeros_like(task.target, dtype=torch.bool)
    for derivative in derivatives:
        if derivative is not None:
            moves |= derivative != 0
    return moves & (task.target != IGNORED)


def _sums_of_tile(walk, tile, needs):
    n_classes, n_features = walk.head.weight[tile].shape
    return Sums(
        walk.head.products,
        None,
        walk.zeros(n_classes, n_features) if needs[1] else None,
        walk.zeros(n_classes) if needs[2] else None,
    )


def _softmax_of_tile(head, chunk, i, lse):
    """Compute a tile of the softmax, with zeros for the targets."""
    z, slope = head.logits(chunk, head.tiles[i])
    z.sub_(lse.unsqueeze(1) * LOG2E).exp2_()
    z[chunk.places[i]] = 0
    return z, slope


def _finish_tile(walk, sums, tile, factors, of_weight, of_bias):
    if walk.smoothing is not None:
        features = walk.features.to(walk.head.products.dtype)
        walk.smoothing.take_from_head(
            sums.weight, sums.bias, tile, factors.smooth, features
        )
    if of_weight is not None:
        of_weight[tile] = sums.weight
    if of_bias is not None:
        of_bias[tile] = sums.bias
