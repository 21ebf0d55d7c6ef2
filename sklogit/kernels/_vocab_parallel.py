"""Linear cross-entropy with the classes spread over the ranks of a process group."""

from numbers import Integral
from zlib import crc32

import torch
import torch.distributed as dist

from ._arguments import check_tensors, checked_weights, make_task
from ._autocast import as_autocast, without_autocast
from ._autograd import RowTerms, needs_gradients, refuse_second_derivative, scaled
from ._gradients import RowFactors
from ._reduction import mean_of_nothing, reduced
from ._shard import Shard, TorchShard, TritonShard
from ._shards import Shards, checksum
from ._task import IGNORED, check_finite, check_targets
from ._triton_statistics import kernels_for

# What must not differ between ranks, besides which classes they hold.
_SAME = (
    "The shape of input",
    "The dtype or device of input",
    "Whether input requires a gradient",
    "target",
    "sample_weight",
    "class_weight",
    "Whether there is a bias",
    "Each of the other parameters",
)


@torch.compiler.disable
def linear_cross_entropy(
    input,
    weight,
    target,
    bias,
    sample_weight,
    class_weight,
    options,
    return_lse,
    process_group,
    shard_start,
):
    r"""Compute the loss where each rank of a group holds some of the classes.

    Every rank calls it with the same rows and its own classes, and gets the same loss.
    Of each chunk of rows two vectors travel: the maxima, and the sums of exponentials
    beside the logits of the targets; and once the gradient of the features. The
    gradients of weight and bias stay where they are. Traffic does not grow with the
    number of classes.

    Parameters
    ----------
    input : Tensor of shape (..., D)
        Features, the same on all ranks.
    weight : Tensor of shape (V_r, D)
        Rows `shard_start` to ``shard_start + V_r`` of the weight; V_r may be 0.
    target : Tensor of shape (...)
        Class indices, counted over all ranks, the same on all of them.
    bias : Tensor of shape (V_r,) or None
        Bias of the rank's classes.
    sample_weight : Tensor of shape (...) or None
        Weights of the rows, the same on all ranks.
    class_weight : Tensor of shape (V,) or None
        Weights of the classes of all ranks, the same on all of them.
    options : Options
        Other parameters.
    return_lse : bool
        Whether to return the logarithms of the sums, too.
    process_group : torch.distributed.ProcessGroup
        The ranks.
    shard_start : int
        First class of this rank.

    Returns
    -------
    Tensor or tuple of Tensor
        As of the public function. On every rank the gradient of `input` is that of the
        whole loss: it must not be summed over the ranks again.

    Raises
    ------
    TypeError, ValueError
        As of the public function; on all ranks if the arguments of one are wrong, if
        they differ where they must not, or if the classes leave gaps or overlap.
    RuntimeError
        If a rank dies or does not answer within the timeout of the group, here or in
        the backward pass.
    """
    _check_group(process_group)
    input, weight, bias = as_autocast(input, weight, bias)
    replicated = input, target, sample_weight, class_weight
    start, n_here, device = 0, 0, torch.device("cpu")
    same, refusal = dict.fromkeys(_SAME, 0), None
    try:
        _check_rank(input, weight, target, bias, options, shard_start)
        sample_weight = checked_weights(
            "sample_weight", sample_weight, target.shape, input
        )
        # How many they must be is known when all ranks have told.
        checked_weights("class_weight", class_weight, None, input)
        same = _same_on_all_ranks(*replicated, bias is not None, options, return_lse)
        start, n_here, device = int(shard_start), len(weight), input.device
    # Whatever it is, the other ranks must not wait for this one.
    except Exception as error:
        refusal = error
    shards = Shards.agree(process_group, start, n_here, device, same, refusal)
    class_weight = checked_weights(
        "class_weight", class_weight, (shards.n_classes,), input
    )
    task, total = make_task(
        options,
        input.dtype,
        shards.n_classes,
        target.reshape(-1),
        sample_weight,
        class_weight,
    )
    check_targets(task.target, shards.n_classes)
    head = input.reshape(target.numel(), input.shape[-1]), weight, bias
    fused = options.impl in ("auto", "chunk") and not return_lse
    if fused and options.reduction != "none":
        loss = ShardedLoss.apply(*head, task, shards, needs_gradients(*head))
        return mean_of_nothing(loss, total, options.reduction)
    terms = RowTerms.apply(*head, task, ShardedTerms(shards, options.impl))
    return reduced(terms, task, total, target.shape, options.reduction, return_lse)


class ShardedLoss(torch.autograd.Function):
    """A loss whose gradient is computed with it, over all ranks."""

    @staticmethod
    def forward(ctx, features, weight, bias, task, shards, needs):
        """Return the loss; all ranks have to call it."""
        loss, ctx.gradients = loss_and_gradients(
            features, weight, bias, task, shards, needs
        )
        ctx.save_for_backward(features, weight, bias)
        ctx.rest = task, shards, needs
        return loss

    @staticmethod
    def backward(ctx, upstream):
        """Return the gradients; a second time, all ranks have to call it."""
        refuse_second_derivative()
        # Handed on without a reference left here, they become .grad without a copy.
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is None:
            _, gradients = loss_and_gradients(*ctx.saved_tensors, *ctx.rest)
        return *scaled(gradients, upstream), None, None, None


@without_autocast
def loss_and_gradients(features, weight, bias, task, shards, needs):
    """Compute the loss and its gradients; see `_chunked.loss_and_gradients`.

    Parameters
    ----------
    features, weight, bias, task, needs
        As there, with the classes of this rank, and the task of all ranks.
    shards : Shards
        Where the classes are.

    Returns
    -------
    loss : Tensor of shape ()
        The loss, the same on all ranks.
    gradients : list of Tensor or None
        Of features, weight and bias, in their dtypes.
    """
    # Rows that weigh nothing weigh nothing on all ranks.
    ones = torch.ones_like(task.nll_weight)
    counts = (task.target != IGNORED) & (task.row_losses(ones, ones, ones) != 0)
    shard = _shard("chunk", weight)(features, weight, bias, task, shards, counts, needs)
    walk, task = shard.walk, task if counts.all() else task.take(counts)
    loss = walk.zeros()
    for rows, chunk in shard.blocks():
        of_chunk = task.take(rows)
        terms = _terms(shards.merge(shard.statistics(chunk)), walk.smoothing)
        loss += of_chunk.row_losses(*terms).sum()
        if any(needs):
            factors = _factors(of_chunk, terms, walk.smoothing)
            shard.add(rows, chunk, *terms[:2], factors)
    _check_finite(shards, loss, input=features, weight=weight, bias=bias)
    return loss, _gradients(shard, shards, task.smoothing_weight, needs)


class ShardedTerms:
    """Terms of each row's loss over all ranks, and their gradient, for `RowTerms`.

    Parameters
    ----------
    shards : Shards
        Where the classes are.
    impl : str
        The implementation of a rank's part.
    """

    def __init__(self, shards, impl):
        self.shards, self.impl = shards, impl

    def forward(self, features, weight, bias, task):
        """Compute the terms; see `_recompute.forward`.

        Parameters
        ----------
        features, weight, bias, task
            As there, with the classes of this rank, and the task of all ranks.

        Returns
        -------
        nll, lse, smooth : Tensor of shape (N,)
            As there, the same on all ranks.
        """
        return _terms_of_rows(features, weight, bias, task, self)

    def backward(self, features, weight, bias, task, terms, derivatives, needs):
        """Compute the gradients; see `_recompute.backward`.

        Parameters
        ----------
        features, weight, bias, task, terms, derivatives, needs
            As there, with the classes of this rank, and the task of all ranks.

        Returns
        -------
        list of Tensor or None
            The gradients.
        """
        return _gradients_of_terms(
            features, weight, bias, task, terms, derivatives, needs, self
        )

    def shard(self, features, weight, bias, task, needs):
        """Return this rank's part.

        Parameters
        ----------
        features, weight, bias, task, needs
            As of `backward`.

        Returns
        -------
        Shard
            The part.
        """
        counts = task.target != IGNORED
        make = _shard(self.impl, weight)
        return make(features, weight, bias, task, self.shards, counts, needs)


@without_autocast
def _terms_of_rows(features, weight, bias, task, sharded):
    shard = sharded.shard(features, weight, bias, task, (False,) * 3)
    walk, terms = shard.walk, []
    for _, chunk in shard.blocks():
        merged = sharded.shards.merge(shard.statistics(chunk))
        terms.append(_terms(merged, walk.smoothing))
    n_terms = 2 if walk.smoothing is None else 3
    terms = [torch.cat(of_chunks) for of_chunks in list(zip(*terms))[:n_terms]]
    terms = terms or [walk.zeros(0)] * n_terms
    _check_finite(sharded.shards, terms[0], input=features, weight=weight, bias=bias)
    return (*(walk.spread(term) for term in terms), None)[:3]


@without_autocast
def _gradients_of_terms(
    features, weight, bias, task, terms, derivatives, needs, sharded
):
    shard = sharded.shard(features, weight, bias, task, needs)
    walk = shard.walk
    nll, lse = (walk.pick(term) for term in terms[:2])
    factors = RowFactors.of(*map(walk.pick, derivatives), walk.smoothing)
    for rows, chunk in shard.blocks():
        shard.prepare(chunk)
        shard.add(rows, chunk, nll[rows], lse[rows], factors.take(rows))
    return _gradients(shard, sharded.shards, factors.smooth, needs)


def _shard(impl, weight):
    if impl == "triton":
        return TritonShard
    return TorchShard if len(weight) else Shard


def _terms(merged, smoothing):
    """Terms of the losses of some rows, from the statistics of all ranks."""
    smooth = None
    if smoothing is not None:
        smooth = smoothing.mass * merged.lse - merged.mean_logit
    return merged.nll, merged.lse, smooth


def _factors(task, terms, smoothing):
    by_lse = 0 if task.square_weight is None else 2 * task.square_weight * terms[1]
    return RowFactors.of(task.nll_weight, by_lse, task.smoothing_weight, smoothing)


def _gradients(shard, shards, gamma, needs):
    sums = shard.sums(gamma)
    if needs[0]:
        shards.sum_(sums[0])
    return shard.walk.gradients(sums)


def _check_finite(shards, values, **tensors):
    """Raise an error on all ranks, if the loss is NaN by what went in on one."""
    if values.device.type != "cpu" or not values.isnan().any():
        return
    error = None
    try:
        check_finite(values, **tensors)
    except ValueError as found:
        error = found
    if shards.any(error is not None, values.device):
        raise error or ValueError(
            "The loss is NaN, as weight or bias of another rank of process_group is "
            "not finite."
        )


def _check_group(group):
    if not dist.is_available() or not isinstance(group, dist.ProcessGroup):
        raise TypeError(
            "process_group must be a torch.distributed.ProcessGroup of which this "
            f"process is a member, got {group!r}."
        )


def _check_rank(input, weight, target, bias, options, shard_start):
    """Check what a rank can know by itself."""
    _check_options(options)
    if not isinstance(shard_start, Integral) or shard_start < 0:
        raise ValueError(f"shard_start must be an integer >= 0, got {shard_start!r}.")
    if isinstance(weight, torch.Tensor) and weight.ndim == 2 and not len(weight):
        if isinstance(bias, torch.Tensor) and bias.shape == (0,):
            bias = bias.new_zeros(1)
        weight = weight.new_zeros(1, weight.shape[1])
    check_tensors(input, weight, target, bias)
    if options.impl == "triton":
        kernels_for(input.device)


def _check_options(options):
    if options.impl == "reference":
        raise ValueError(
            "impl='reference' cannot be used with process_group: it forms the logits "
            "of all classes."
        )
    if options.impl == "triton" and options.filter_eps:
        raise ValueError(
            f"filter_eps={options.filter_eps!r} cannot be used with both process_group "
            "and impl='triton': its bound holds for the classes of one rank."
        )


def _same_on_all_ranks(
    input, target, sample_weight, class_weight, has_bias, options, return_lse
):
    """Return what must not differ between ranks, as integers."""
    values = [
        crc32(repr(tuple(input.shape)).encode()),
        crc32(repr((input.dtype, input.device.type)).encode()),
        needs_gradients(input)[0],
        checksum(target),
        checksum(sample_weight),
        checksum(class_weight),
        has_bias,
        crc32(repr((options, return_lse)).encode()),
    ]
    return dict(zip(_SAME, values))
