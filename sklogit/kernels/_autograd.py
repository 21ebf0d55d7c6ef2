"""The loss for autograd."""

import torch

from . import _chunked


class LossWithGradient(torch.autograd.Function):
    """A loss whose gradient is computed with it.

    Once: a second backward pass through the same graph computes it again.
    """

    @staticmethod
    def forward(ctx, features, weight, bias, task, needs):
        loss, ctx.gradients = _chunked.loss_and_gradients(
            features, weight, bias, task, needs
        )
        ctx.save_for_backward(features, weight, bias)
        ctx.task, ctx.needs = task, needs
        return loss

    @staticmethod
    def backward(ctx, upstream):
        refuse_second_derivative()
        # Handed on without a reference left here, they become .grad without a copy.
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is None:
            _, gradients = _chunked.loss_and_gradients(
                *ctx.saved_tensors, ctx.task, ctx.needs
            )
        return *scaled(gradients, upstream), None, None


class RowTerms(torch.autograd.Function):
    """Terms of each row's loss; the gradient is computed by derivatives of the terms.

    The implementation has the functions `forward` and `backward` of `_recompute`.
    """

    @staticmethod
    def forward(ctx, features, weight, bias, task, implementation):
        terms = implementation.forward(features, weight, bias, task)
        ctx.save_for_backward(features, weight, bias, *terms)
        ctx.task, ctx.implementation = task, implementation
        return terms

    @staticmethod
    def backward(ctx, *derivatives):
        refuse_second_derivative()
        features, weight, bias, *terms = ctx.saved_tensors
        gradients = ctx.implementation.backward(
            features,
            weight,
            bias,
            ctx.task,
            terms,
            derivatives,
            ctx.needs_input_grad[:3],
        )
        return *gradients, None, None


def needs_gradients(*tensors):
    """Say which gradients autograd will ask for.

    Parameters
    ----------
    *tensors : Tensor or None
        What goes in.

    Returns
    -------
    tuple of bool
        Of each, whether it will.
    """
    on = torch.is_grad_enabled()
    return tuple(on and x is not None and x.requires_grad for x in tensors)


def scaled(gradients, upstream):
    """Multiply gradients by the one of the loss, in place.

    Parameters
    ----------
    gradients : list of Tensor or None
        The gradients.
    upstream : Tensor of shape ()
        The gradient of the loss.

    Returns
    -------
    list of Tensor or None
        The same tensors.
    """
    # Elsewhere than on the CPU it would cost a wait to know.
    if upstream.device.type == "cpu" and upstream == 1:
        return gradients
    return [g if g is None else g.mul_(upstream) for g in gradients]


def refuse_second_derivative():
    """Raise an error if the gradient is to be differentiated.

    Raises
    ------
    RuntimeError
        If it is.
    """
    if torch.is_grad_enabled():
        raise RuntimeError(
            "linear_cross_entropy can be differentiated once only, and got "
            "create_graph=True: use impl='reference' for second derivatives."
        )
