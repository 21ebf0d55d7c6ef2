"""The loss as operators of torch, for modules under ``torch.compile``.

To the compiler they are opaque: it neither breaks the graph at them nor traces their
loops. Outside of compiled modules autograd functions have less to carry.
"""

from dataclasses import fields

import torch

from . import _chunked, _recompute
from ._task import Task

_HEAD = "Tensor features, Tensor weight, Tensor? bias"
_NAMES = tuple(field.name for field in fields(Task))
_TASK = (
    "Tensor target, Tensor nll_weight, Tensor? smoothing, Tensor? smoothing_weight, "
    "Tensor? square_weight, float? softcap, float? filter_eps, "
    "float max_dropped_mass, int? chunk_size"
)
_N_ARGUMENTS = 3 + len(_NAMES)
_OF_THREE = "(Tensor, Tensor, Tensor)"


def loss_of(features, weight, bias, task, needs):
    """Compute the loss.

    Parameters
    ----------
    features, weight, bias : Tensor
        As of `loss_and_gradients`; bias may be None.
    task : Task
        What to compute.
    needs : sequence of bool
        Whether the gradients of features, weight and bias are needed.

    Returns
    -------
    Tensor of shape ()
        The loss, with its gradient.
    """
    loss = torch.ops.sklogit.linear_cross_entropy
    return loss(features, weight, bias, *_arguments(task), list(needs))[0]


def row_terms(features, weight, bias, task):
    """Compute the terms of each row's loss.

    Parameters
    ----------
    features, weight, bias : Tensor
        As of `_recompute.forward`; bias may be None.
    task : Task
        What to compute.

    Returns
    -------
    tuple
        As of `_recompute.forward`, with their gradients.
    """
    terms = torch.ops.sklogit.linear_cross_entropy_terms
    nll, lse, smooth = terms(features, weight, bias, *_arguments(task))
    return nll, lse, None if task.smoothing is None else smooth


def _arguments(task):
    return [getattr(task, name) for name in _NAMES]


def _or_nothing(tensors, like):
    """Tensors, an empty one for each None: operators return tensors only."""
    return tuple(like.new_empty(0) if x is None else x for x in tensors)


def _like(inputs, needs):
    return _or_nothing(
        [
            torch.empty(x.shape, dtype=x.dtype, device=x.device) if needed else None
            for x, needed in zip(inputs, needs)
        ],
        inputs[0],
    )


def _needed(gradients, needs):
    return [gradient if needed else None for gradient, needed in zip(gradients, needs)]


def _loss(features, weight, bias, *rest):
    *of_task, needs = rest
    loss, gradients = _chunked.loss_and_gradients(
        features, weight, bias, Task(*of_task), needs
    )
    return loss, *_or_nothing(gradients, loss)


def _fake_loss(features, weight, bias, target, nll_weight, *rest):
    gradients = _like((features, weight, bias), rest[-1])
    return nll_weight.new_empty(()), *gradients


def _keep_gradients(ctx, inputs, output):
    ctx.needs = inputs[-1]
    ctx.save_for_backward(*output[1:])


def _scaled_gradients(ctx, upstream, *_):
    gradients = [g * upstream.to(g.dtype) for g in ctx.saved_tensors]
    others = [None] * (_N_ARGUMENTS - 3 + 1)
    return *_needed(gradients, ctx.needs), *others


def _terms(features, weight, bias, *of_task):
    terms = _recompute.forward(features, weight, bias, Task(*of_task))
    return _or_nothing(terms, terms[0])


def _fake_terms(features, weight, bias, target, nll_weight, smoothing, *rest):
    terms = [torch.empty_like(nll_weight) for _ in range(3)]
    if smoothing is None:
        terms[2] = None
    return _or_nothing(terms, nll_weight)


def _keep_terms(ctx, inputs, output):
    tensors = [x if isinstance(x, torch.Tensor) else None for x in inputs]
    ctx.save_for_backward(*tensors, *output)
    ctx.numbers = [None if isinstance(x, torch.Tensor) else x for x in inputs]


def _gradients_of_terms(ctx, *derivatives):
    tensors, terms = ctx.saved_tensors[:_N_ARGUMENTS], ctx.saved_tensors[_N_ARGUMENTS:]
    inputs = [y if x is None else x for x, y in zip(tensors, ctx.numbers)]
    needs = list(ctx.needs_input_grad[:3])
    gradients = torch.ops.sklogit.linear_cross_entropy_terms_backward(
        *inputs, list(terms), list(derivatives), needs
    )
    return *_needed(gradients, needs), *[None] * (_N_ARGUMENTS - 3)


def _terms_backward(features, weight, bias, *rest):
    *of_task, terms, derivatives, needs = rest
    task = Task(*of_task)
    if task.smoothing is None:
        derivatives = [*derivatives[:2], None]
    gradients = _recompute.backward(
        features, weight, bias, task, terms, derivatives, needs
    )
    return _or_nothing(gradients, features)


def _fake_terms_backward(features, weight, bias, *rest):
    return _like((features, weight, bias), rest[-1])


def _define(name, schema, implementation, fake):
    name = f"sklogit::{name}"
    torch.library.define(name, schema)
    torch.library.impl(name, "default", implementation)
    torch.library.register_fake(name, fake)
    return name


_name = _define(
    "linear_cross_entropy",
    f"({_HEAD}, {_TASK}, bool[] needs) -> (Tensor, Tensor, Tensor, Tensor)",
    _loss,
    _fake_loss,
)
torch.library.register_autograd(_name, _scaled_gradients, setup_context=_keep_gradients)
_name = _define(
    "linear_cross_entropy_terms",
    f"({_HEAD}, {_TASK}) -> {_OF_THREE}",
    _terms,
    _fake_terms,
)
torch.library.register_autograd(_name, _gradients_of_terms, setup_context=_keep_terms)
_define(
    "linear_cross_entropy_terms_backward",
    f"({_HEAD}, {_TASK}, Tensor[] terms, Tensor[] derivatives, bool[] needs) "
    f"-> {_OF_THREE}",
    _terms_backward,
    _fake_terms_backward,
)
