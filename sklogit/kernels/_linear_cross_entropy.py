"""Cross-entropy of a linear head that never forms the matrix of logits."""

import torch

from . import _autograd, _compiled, _recompute, _reference
from ._arguments import (
    Options,
    check_tensors,
    checked_weights,
    make_task,
)
from ._autocast import as_autocast
from ._autograd import needs_gradients
from ._reduction import mean_of_nothing, reduced


def linear_cross_entropy(
    input,
    weight,
    target,
    bias=None,
    *,
    sample_weight=None,
    class_weight=None,
    ignore_index=-100,
    reduction="mean",
    label_smoothing=0.0,
    z_loss=0.0,
    softcap=None,
    filter_eps=None,
    max_dropped_mass=2**-7,
    chunk_size="auto",
    return_lse=False,
    process_group=None,
    shard_start=0,
    impl="auto",
):
    r"""Cross-entropy of the logits of a linear head, without the matrix of logits.

    It is the same number, and the same gradient, as
    ``F.cross_entropy(F.linear(input, weight, bias), target)``,

    .. math:: \mathrm{nll}_i = \mathrm{lse}_i - z_{i y_i}, \quad
        z_{ij} = \langle h_i, W_j \rangle + b_j, \quad
        \mathrm{lse}_i = \log \sum_{j=1}^V e^{z_{ij}},

    but the N x V logits are made a chunk of rows at a time, and turned into the
    gradient before the next chunk [1]_. Memory is that of the gradients and of one
    chunk.

    Parameters
    ----------
    input : Tensor of shape (..., D)
        Features h: N rows, in as many dimensions as `target` has.
    weight : Tensor of shape (V, D)
        A row W for each class, of the same dtype and device.
    target : Tensor of shape (...)
        Class indices from 0 to V - 1, integers, or `ignore_index`.
    bias : Tensor of shape (V,), default=None
        Biases b. Minus infinity rules a class out.
    sample_weight : Tensor of shape (...), default=None
        Weights s of the rows, not negative; a weight of 2 is the same as a repeated
        row. Rows that weigh 0 cost nothing.
    class_weight : Tensor of shape (V,), default=None
        Weights w of the classes, not negative, as ``weight`` of
        :func:`torch.nn.functional.cross_entropy`.
    ignore_index : int, default=-100
        Target of rows that do not count. No logits are made of them.
    reduction : {"mean", "sum", "none"}, default="mean"
        "mean" divides the sum by the total weight :math:`\sum_i s_i w_{y_i}`.
    label_smoothing : float, default=0.0
        Part of the target that is spread over all classes, between 0 and 1.
    z_loss : float, default=0.0
        Factor of :math:`\mathrm{lse}_i^2`, which is added to each row's loss before
        it is weighed, and keeps logits from drifting.
    softcap : float, default=None
        Logits become :math:`c \tanh(z / c)`, with c from 1e-10 to 1e10.
    filter_eps : float or "auto", default=None
        Entries of the softmax below it may be left out of the gradient (not of the
        loss), see the notes. None is exact, "auto" the machine epsilon of the dtype of
        `input` divided by 32.
    max_dropped_mass : float, default=2**-7
        The most of a row's softmax that filtering may leave out, between 0 and 1.
    chunk_size : int or "auto", default="auto"
        Rows of a chunk. "auto" takes as many as 128 MiB hold, from 128 to 512.
    return_lse : bool, default=False
        Whether to return lse too. Both can be differentiated then.
    process_group : torch.distributed.ProcessGroup, default=None
        Processes of which each holds a part of the classes, see the notes.
    shard_start : int, default=0
        The first class that this process holds; 0 without `process_group`.
    impl : {"auto", "chunk", "recompute", "reference", "triton"}, default="auto"
        "chunk" computes the gradient with the loss, in three products of matrices, if
        the weights of the rows are known by then: not with ``reduction="none"`` or
        `return_lse`, which "recompute" does. "recompute" makes the logits again in the
        backward pass: a product more, and the least memory. "reference" forms all
        logits, and can be differentiated twice. "triton" takes kernels of Triton,
        which were compiled for GPUs, but were run by Triton's interpreter only.

    Returns
    -------
    loss : Tensor of shape () or (...)
        The loss, in single precision or better. The mean over no rows is NaN.
    lse : Tensor of shape (...)
        Only if `return_lse`; 0 where rows do not count.

    Raises
    ------
    TypeError
        If a tensor has the wrong dtype.
    ValueError
        If shapes, devices or parameters are wrong; on the CPU also if targets are no
        classes, weights are negative, or the loss is NaN because of numbers that are
        not finite. Elsewhere looking at values would wait for the device.
    RuntimeError
        In the backward pass, if ``create_graph=True``; with `process_group` if another
        rank dies, or does not answer within the timeout of the group.

    See Also
    --------
    sklogit.losses.LinearCrossEntropyLoss : The same as a module.

    Notes
    -----
    The entry of the target is never subtracted from the sum that contains it: loss and
    gradient of rows that are sure of their class keep their relative precision, which
    log-softmax rounds to zero.

    Logits are of single precision also for float16 and bfloat16, and so is the sum of
    the gradient over chunks. On CPUs that have no instructions for bfloat16 all
    products are of single precision, as torch's emulated ones are many times slower.
    Under autocasting input, weight and bias are cast as those of
    :func:`torch.nn.functional.linear` are.

    Filtering multiplies only columns of the softmax that hold an entry of at least
    `filter_eps`. In each tile of v of the V classes a row whose smaller entries add up
    to more than ``max_dropped_mass * v / V`` is computed exactly. What is left out
    biases the gradient: classes that are never probable get gradients as targets only.
    Use it where the softmax is peaked, as in fine-tuning, and not early in training.

    With `process_group` every rank passes the same `input` and `target`, and weights of
    all rows; `weight` and `bias` hold the classes from `shard_start` on, `class_weight`
    all classes of all ranks. Targets count over all ranks. Every rank returns the same
    loss. The gradient of `input` is complete on every rank and must not be summed over
    them again; those of `weight` and `bias` are of the rank's own classes. There is no
    ``impl="reference"`` then, and ``torch.compile`` breaks the graph at the call.

    Under ``torch.compile`` it is an operator that the compiler does not look into, and
    no graph break; the gradient then needs its memory twice. A second backward pass
    through the same graph computes the gradient again.

    References
    ----------
    .. [1] "Cut Your Losses in Large-Vocabulary Language Models", arXiv:2411.09009.

    Examples
    --------
    >>> import torch
    >>> from sklogit.kernels import linear_cross_entropy
    >>> features = torch.randn(64, 32, requires_grad=True)
    >>> weight = torch.randn(10_000, 32, requires_grad=True)
    >>> target = torch.randint(10_000, (64,))
    >>> loss = linear_cross_entropy(features, weight, target)
    >>> loss.backward()
    >>> full = torch.nn.functional.cross_entropy(features @ weight.T, target)
    >>> torch.allclose(loss, full), weight.grad.shape
    (True, torch.Size([10000, 32]))
    """
    options = Options(
        ignore_index,
        reduction,
        label_smoothing,
        z_loss,
        softcap,
        filter_eps,
        max_dropped_mass,
        chunk_size,
        impl,
    )
    if process_group is not None:
        from . import _vocab_parallel

        return _vocab_parallel.linear_cross_entropy(
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
        )
    _check_no_shard(shard_start)
    input, weight, bias = as_autocast(input, weight, bias)
    check_tensors(input, weight, target, bias)
    sample_weight = checked_weights("sample_weight", sample_weight, target.shape, input)
    class_weight = checked_weights("class_weight", class_weight, (len(weight),), input)
    task, total = make_task(
        options,
        input.dtype,
        len(weight),
        target.reshape(-1),
        sample_weight,
        class_weight,
    )
    head = input.reshape(target.numel(), input.shape[-1]), weight, bias
    if impl in ("auto", "chunk") and reduction != "none" and not return_lse:
        return mean_of_nothing(_loss(*head, task), total, reduction)
    terms = _row_terms(*head, task, impl)
    return reduced(terms, task, total, target.shape, reduction, return_lse)


def _check_no_shard(shard_start):
    if shard_start != 0:
        raise ValueError(
            "shard_start must be 0 without process_group, as weight then holds all "
            f"classes, got {shard_start!r}."
        )


def _is_traced(tensor):
    """Whether nothing is computed yet: only operators know what it will look like."""
    return torch.compiler.is_compiling() or tensor.device.type == "meta"


def _loss(features, weight, bias, task):
    """Loss whose gradient is computed with it."""
    needs = needs_gradients(features, weight, bias)
    compute = _autograd.LossWithGradient.apply
    if _is_traced(features):
        compute = _compiled.loss_of
    return compute(features, weight, bias, task, needs)


def _row_terms(features, weight, bias, task, impl):
    """Terms of each row's loss, whose gradient makes the logits again."""
    if impl == "reference":
        return _reference.forward(features, weight, bias, task)
    if impl == "triton":
        from . import _triton

        return _autograd.RowTerms.apply(features, weight, bias, task, _triton)
    if _is_traced(features):
        return _compiled.row_terms(features, weight, bias, task)
    return _autograd.RowTerms.apply(features, weight, bias, task, _recompute)
