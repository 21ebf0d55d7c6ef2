"""Losses that compare the logits of a student with those of its teacher."""

import math
from numbers import Real

import torch
from torch import nn
from torch.nn import functional as F

from ._row_weights import check_weight

_REDUCTIONS = ("batchmean", "mean", "sum", "none")


def binary_kl_loss(
    student, teacher, temperature=2.0, reduction="batchmean", sample_weight=None
):
    r"""Compare logits as those of a coin for each class.

    .. math:: L = \frac{T^2}{N} \sum_{i,c} \mathrm{KL}\big(
        \mathrm{Bern}(\sigma(t_{ic}/T)) \,\|\, \mathrm{Bern}(\sigma(s_{ic}/T)) \big),
        \qquad \frac{\partial L}{\partial s} = \frac{T}{N}
        \big(\sigma(s/T) - \sigma(t/T)\big)

    Unlike the softmax, it sees a shift that all logits of a row have in common.

    Parameters
    ----------
    student : Tensor of shape (..., n_classes)
        Logits s, of N rows.
    teacher : Tensor of shape (..., n_classes)
        Logits t; they get no gradient.
    temperature : float, default=2.0
        The temperature T.
    reduction : {"batchmean", "mean", "sum", "none"}, default="batchmean"
        "batchmean" sums over the classes and takes the mean over the rows, "mean"
        divides by the number of classes too, "sum" adds all up, and "none" returns the
        terms of all logits.
    sample_weight : Tensor of shape (...), default=None
        Weights of the rows, not negative: means are divided by their sum.

    Returns
    -------
    Tensor of shape () or (..., n_classes)
        The loss.

    Raises
    ------
    ValueError
        If shapes do not fit, or a parameter or weight is not allowed.
    TypeError
        If something is no tensor of real numbers.

    See Also
    --------
    binary_kl_norm_loss : Does not saturate.
    BinaryKLLoss : The module.

    References
    ----------
    .. [1] "Dual-Head Knowledge Distillation: Enhancing Logits Utilization with an
       Auxiliary Head", arXiv:2411.08937.

    Examples
    --------
    >>> import torch
    >>> from sklogit.losses import binary_kl_loss
    >>> student, teacher = torch.zeros(1, 2), torch.tensor([[0.0, 4.0]])
    >>> round(binary_kl_loss(student, teacher).item(), 4)
    1.3113
    """
    student, teacher = _checked_logits(student, teacher, temperature)
    terms = _CoinDivergence.apply(student / temperature, teacher / temperature)
    return _reduced(terms * temperature**2, reduction, sample_weight)


def binary_kl_norm_loss(
    student, teacher, temperature=2.0, reduction="batchmean", sample_weight=None
):
    r"""Compare each difference of logits with a fair coin: a smooth Huber loss.

    .. math:: L = \frac{T^2}{N} \sum_{i,c} \mathrm{KL}\big( \mathrm{Bern}(\tfrac12) \,\|
        \, \mathrm{Bern}(\sigma(\tfrac{s_{ic} - t_{ic}}{T})) \big)
        = \frac{T^2}{N} \sum_{i,c} \log\cosh \frac{s_{ic} - t_{ic}}{2T}

    It is about :math:`(s - t)^2 / 8` where the difference is small beside T, and
    :math:`T |s - t| / 2` where it is large: no gradient of a logit,
    :math:`\frac{T}{2N} \tanh\frac{s - t}{2T}`, exceeds T / (2 N).

    Parameters
    ----------
    student : Tensor of shape (..., n_classes)
        Logits s, of N rows.
    teacher : Tensor of shape (..., n_classes)
        Logits t; they get no gradient.
    temperature : float, default=2.0
        The temperature T.
    reduction : {"batchmean", "mean", "sum", "none"}, default="batchmean"
        "batchmean" sums over the classes and takes the mean over the rows, "mean"
        divides by the number of classes too, "sum" adds all up, and "none" returns the
        terms of all logits.
    sample_weight : Tensor of shape (...), default=None
        Weights of the rows, not negative: means are divided by their sum.

    Returns
    -------
    Tensor of shape () or (..., n_classes)
        The loss.

    Raises
    ------
    ValueError
        If shapes do not fit, or a parameter or weight is not allowed.
    TypeError
        If something is no tensor of real numbers.

    See Also
    --------
    binary_kl_loss : Compares the coins of the logits themselves.
    BinaryKLNormLoss : The module.

    Notes
    -----
    The closed form on the right is ours. It needs neither sigmoids nor clamping, and is
    finite with the right gradient for any finite logits. Differences of 1e-4 have all
    their digits in single precision.

    References
    ----------
    .. [1] "Dual-Head Knowledge Distillation: Enhancing Logits Utilization with an
       Auxiliary Head", arXiv:2411.08937.

    Examples
    --------
    >>> import torch
    >>> from sklogit.losses import binary_kl_norm_loss
    >>> student = torch.tensor([[0.0, 1000.0]], requires_grad=True)
    >>> loss = binary_kl_norm_loss(student, torch.tensor([[0.0, 0.0]]))
    >>> loss.backward()
    >>> round(loss.item(), 2), student.grad.tolist()
    (997.23, [[0.0, 1.0]])
    """
    student, teacher = _checked_logits(student, teacher, temperature)
    u = (student - teacher) / (2 * temperature)
    return _reduced(_LogCosh.apply(u) * temperature**2, reduction, sample_weight)


def kd_loss(
    student, teacher, temperature=4.0, reduction="batchmean", sample_weight=None
):
    r"""Compare the softmax of logits, softened by a temperature.

    .. math:: L = \frac{T^2}{N} \sum_i \mathrm{KL}\big( \mathrm{softmax}(t_i/T) \,\|\,
        \mathrm{softmax}(s_i/T) \big), \qquad \frac{\partial L}{\partial s} =
        \frac{T}{N} \big(\mathrm{softmax}(s/T) - \mathrm{softmax}(t/T)\big)

    The ordinary loss of knowledge distillation [1]_. A shift that all logits of a row
    have in common makes no difference.

    Parameters
    ----------
    student : Tensor of shape (..., n_classes)
        Logits s, of N rows.
    teacher : Tensor of shape (..., n_classes)
        Logits t; they get no gradient. A class that is masked by minus infinity has a
        probability, and a term, of 0.
    temperature : float, default=4.0
        The temperature T.
    reduction : {"batchmean", "mean", "sum", "none"}, default="batchmean"
        "batchmean" sums over the classes and takes the mean over the rows, "mean"
        divides by the number of classes too, "sum" adds all up, and "none" returns the
        terms of all logits.
    sample_weight : Tensor of shape (...), default=None
        Weights of the rows, not negative: means are divided by their sum.

    Returns
    -------
    Tensor of shape () or (..., n_classes)
        The loss.

    Raises
    ------
    ValueError
        If shapes do not fit, or a parameter or weight is not allowed.
    TypeError
        If something is no tensor of real numbers.

    See Also
    --------
    binary_kl_norm_loss : Sees the common shift of the logits.
    KDLoss : The module.

    References
    ----------
    .. [1] "Distilling the Knowledge in a Neural Network", arXiv:1503.02531.

    Examples
    --------
    >>> import torch
    >>> from sklogit.losses import kd_loss
    >>> teacher = torch.tensor([[1.0, 2.0, 3.0]])
    >>> round(kd_loss(teacher + 10.0, teacher).item(), 6)
    0.0
    """
    student, teacher = _checked_logits(student, teacher, temperature)
    log_p = (teacher / temperature).log_softmax(dim=-1)
    log_q = (student / temperature).log_softmax(dim=-1)
    p = log_p.exp()
    # 0 log 0 is 0: masked classes would give NaN.
    terms = p * torch.where(p > 0, log_p - log_q, 0.0)
    return _reduced(terms * temperature**2, reduction, sample_weight)


class _LogitLoss(nn.Module):
    """A loss of two tensors of logits, with its temperature and reduction."""

    def __init__(self, temperature, reduction):
        super().__init__()
        _check_temperature(temperature)
        _check_reduction(reduction)
        self.temperature = temperature
        self.reduction = reduction

    def extra_repr(self):
        """Show the parameters.

        Returns
        -------
        str
            The parameters.
        """
        return f"temperature={self.temperature}, reduction={self.reduction!r}"


class BinaryKLLoss(_LogitLoss):
    """Module of :func:`binary_kl_loss`.

    Parameters
    ----------
    temperature : float, default=2.0
        The temperature.
    reduction : {"batchmean", "mean", "sum", "none"}, default="batchmean"
        How the terms are put together.

    See Also
    --------
    binary_kl_loss : The function, with the formula.

    Examples
    --------
    >>> import torch
    >>> from sklogit.losses import BinaryKLLoss
    >>> BinaryKLLoss(temperature=4.0)(torch.zeros(5, 3), torch.zeros(5, 3))
    tensor(0.)
    """

    def __init__(self, temperature=2.0, reduction="batchmean"):
        super().__init__(temperature, reduction)

    def forward(self, student, teacher, sample_weight=None):
        """Compute the loss.

        Parameters
        ----------
        student : Tensor of shape (..., n_classes)
            Logits of the student.
        teacher : Tensor of shape (..., n_classes)
            Logits of the teacher.
        sample_weight : Tensor of shape (...), default=None
            Weights of the rows.

        Returns
        -------
        Tensor of shape () or (..., n_classes)
            The loss.
        """
        return binary_kl_loss(
            student, teacher, self.temperature, self.reduction, sample_weight
        )


class BinaryKLNormLoss(_LogitLoss):
    """Module of :func:`binary_kl_norm_loss`.

    Parameters
    ----------
    temperature : float, default=2.0
        The temperature.
    reduction : {"batchmean", "mean", "sum", "none"}, default="batchmean"
        How the terms are put together.

    See Also
    --------
    binary_kl_norm_loss : The function, with the formula.

    Examples
    --------
    >>> import torch
    >>> from sklogit.losses import BinaryKLNormLoss
    >>> BinaryKLNormLoss()(torch.zeros(5, 3), torch.zeros(5, 3))
    tensor(0.)
    """

    def __init__(self, temperature=2.0, reduction="batchmean"):
        super().__init__(temperature, reduction)

    def forward(self, student, teacher, sample_weight=None):
        """Compute the loss.

        Parameters
        ----------
        student : Tensor of shape (..., n_classes)
            Logits of the student.
        teacher : Tensor of shape (..., n_classes)
            Logits of the teacher.
        sample_weight : Tensor of shape (...), default=None
            Weights of the rows.

        Returns
        -------
        Tensor of shape () or (..., n_classes)
            The loss.
        """
        return binary_kl_norm_loss(
            student, teacher, self.temperature, self.reduction, sample_weight
        )


class KDLoss(_LogitLoss):
    """Module of :func:`kd_loss`.

    Parameters
    ----------
    temperature : float, default=4.0
        The temperature.
    reduction : {"batchmean", "mean", "sum", "none"}, default="batchmean"
        How the terms are put together.

    See Also
    --------
    kd_loss : The function, with the formula.

    Examples
    --------
    >>> import torch
    >>> from sklogit.losses import KDLoss
    >>> KDLoss()(torch.zeros(5, 3), torch.zeros(5, 3))
    tensor(0.)
    """

    def __init__(self, temperature=4.0, reduction="batchmean"):
        super().__init__(temperature, reduction)

    def forward(self, student, teacher, sample_weight=None):
        """Compute the loss.

        Parameters
        ----------
        student : Tensor of shape (..., n_classes)
            Logits of the student.
        teacher : Tensor of shape (..., n_classes)
            Logits of the teacher.
        sample_weight : Tensor of shape (...), default=None
            Weights of the rows.

        Returns
        -------
        Tensor of shape () or (..., n_classes)
            The loss.
        """
        return kd_loss(
            student, teacher, self.temperature, self.reduction, sample_weight
        )


class _CoinDivergence(torch.autograd.Function):
    """KL of the coins of t from those of s, softplus(s) - softplus(t) - p (s - t).

    Of each coin the less likely side is looked at, as 1 - p has no digits left where p
    is near 1. The gradient is exactly 0 where both agree.
    """

    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def forward(s, t):
        sign = _less_likely(t)
        s, t = sign * s, sign * t
        return _softplus(s) - _softplus(t) - torch.sigmoid(t) * (s - t)

    @staticmethod
    def backward(ctx, gradient):
        s, t = ctx.saved_tensors
        sign = _less_likely(t)
        difference = torch.sigmoid(sign * s) - torch.sigmoid(sign * t)
        return gradient * sign * difference, None


def _less_likely(t):
    return torch.where(t > 0, -1.0, 1.0).to(t.dtype)


def _softplus(x):
    # That of torch is linear above a threshold, which is too low for double precision.
    return x.clamp_min(0) + torch.log1p(torch.exp(-x.abs()))


class _LogCosh(torch.autograd.Function):
    """log cosh u, with all its digits near 0, and the gradient tanh u.

    The graph of the formula would keep six tensors for the backward pass, and lose the
    digits of small gradients.
    """

    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)  # apart from forward, for torch.func

    @staticmethod
    def forward(u):
        size = u.abs()
        large = size + F.softplus(-2 * size) - math.log(2.0)
        # log cosh u = log(1 + sinh(u)^2) / 2; clamped where sinh would overflow.
        small = torch.log1p(torch.sinh(size.clamp(max=1.0)).square()) / 2
        return torch.where(size < 1.0, small, large)

    @staticmethod
    def backward(ctx, gradient):
        (u,) = ctx.saved_tensors
        return gradient * torch.tanh(u)  # recorded, so that it has a second derivative


def _checked_logits(student, teacher, temperature):
    """Both, in single precision or better, the teacher's without their graph."""
    _check_temperature(temperature)
    for name, logits in (("student", student), ("teacher", teacher)):
        if not isinstance(logits, torch.Tensor) or not logits.is_floating_point():
            is_tensor = isinstance(logits, torch.Tensor)
            found = logits.dtype if is_tensor else type(logits).__name__
            raise TypeError(f"{name} must be a tensor of real numbers, got {found}.")
    shapes = tuple(student.shape), tuple(teacher.shape)
    if student.ndim < 1 or shapes[0] != shapes[1] or shapes[0][-1] == 0:
        raise ValueError(
            "student and teacher must be logits of the same shape (..., n_classes), "
            f"of at least one class, got {shapes[0]} and {shapes[1]}."
        )
    teacher = teacher.detach()
    if student.dtype in (torch.float16, torch.bfloat16):
        student = student.float()
    return student, teacher.to(student.dtype)


def _check_temperature(temperature):
    allowed = isinstance(temperature, Real) and 0 < temperature < math.inf
    if not allowed:
        raise ValueError(
            f"temperature must be positive and finite, got {temperature!r}."
        )


def _check_reduction(reduction):
    if reduction not in _REDUCTIONS:
        raise ValueError(f"reduction must be one of {_REDUCTIONS}, got {reduction!r}.")


def _reduced(terms, reduction, weight):
    """Terms of all logits, put together as `reduction` says."""
    _check_reduction(reduction)
    n_rows = max(1, terms[..., 0].numel())
    if weight is not None:
        if not isinstance(weight, torch.Tensor):
            raise TypeError(
                f"sample_weight must be a tensor, got {type(weight).__name__}."
            )
        if weight.shape != terms.shape[:-1]:
            raise ValueError(
                f"sample_weight must have shape {tuple(terms.shape[:-1])}, one weight "
                f"for each row of logits, got {tuple(weight.shape)}."
            )
        check_weight("sample_weight", weight)
        weight = weight.to(terms.dtype)
        terms = terms * weight.unsqueeze(-1)
        # Of no rows the loss is 0, with gradients of 0.
        n_rows = weight.sum().clamp_min(torch.finfo(terms.dtype).tiny)
    if reduction == "none":
        return terms
    total = terms.sum()
    if reduction == "sum":
        return total
    if reduction == "mean":
        n_rows = n_rows * terms.shape[-1]
    return total / n_rows
