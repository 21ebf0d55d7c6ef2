"""Linear cross-entropy as a module, with a head of its own or another's."""

import math
from numbers import Integral

import torch
from torch import nn

from ..kernels import linear_cross_entropy
from ..kernels._arguments import Options

_DEFAULTS = {
    "ignore_index": -100,
    "reduction": "mean",
    "label_smoothing": 0.0,
    "z_loss": 0.0,
    "softcap": None,
    "filter_eps": None,
    "max_dropped_mass": 2**-7,
    "chunk_size": "auto",
    "impl": "auto",
}


class LinearCrossEntropyLoss(nn.Module):
    r"""Cross-entropy of a linear head and features, without the matrix of logits.

    The same number and gradient as the cross-entropy of the logits
    :math:`h W^T + b`, with the memory of the gradients and of a chunk of rows: see
    :func:`sklogit.kernels.linear_cross_entropy`.

    With `in_features` and `num_classes` it owns weight and bias: the module that is
    trained with it returns features, not logits. Without them it computes with the
    weight of a head that it is called with.

    Parameters
    ----------
    in_features : int or None, default=None
        Number of features, D; None to work on a head.
    num_classes : int or None, default=None
        Number of classes, V; None to work on a head.
    bias : bool, default=True
        Whether its own head has a bias.
    ignore_index : int, default=-100
        Target of rows that do not count.
    class_weight : Tensor of shape (V,), default=None
        Weights of the classes, not negative.
    reduction : {"mean", "sum", "none"}, default="mean"
        "mean" divides by the total weight.
    label_smoothing : float, default=0.0
        Part of the target that is spread over all classes.
    z_loss : float, default=0.0
        Factor of the squared logarithm of the sum of exponentials.
    softcap : float, default=None
        Logits become :math:`c \tanh(z / c)`. A head that is trained with it has to
        cap its logits too.
    filter_eps : float or "auto", default=None
        Entries of the softmax below it may be left out of the gradient; None is exact.
    max_dropped_mass : float, default=2**-7
        The most of a row's softmax that may be left out.
    chunk_size : int or "auto", default="auto"
        Rows of a chunk.
    impl : {"auto", "chunk", "recompute", "reference", "triton"}, default="auto"
        How to compute it.
    device : torch.device or None, default=None
        Device of its own weight and bias.
    dtype : torch.dtype or None, default=None
        Their dtype.

    Attributes
    ----------
    weight : Parameter of shape (num_classes, in_features) or None
        Its own weight, drawn as those of :class:`torch.nn.Linear`.
    bias : Parameter of shape (num_classes,) or None
        Its own bias.
    needs_head : bool
        Whether it has to be called with a head.

    See Also
    --------
    sklogit.kernels.linear_cross_entropy : The function, with a description of the
        parameters.
    sklogit.neural.LogitClassifier : Trains a module, a head and a loss.
    torch.nn.CrossEntropyLoss : Of logits.

    Notes
    -----
    As a criterion of skorch its parameters are trained with those of the module. Only
    nets that know of its head, as :class:`sklogit.neural.LogitClassifier`, predict
    with it; its logits are those of ``logits``.

    References
    ----------
    .. [1] "Cut Your Losses in Large-Vocabulary Language Models", arXiv:2411.09009.

    Examples
    --------
    >>> import torch
    >>> from sklogit.losses import LinearCrossEntropyLoss
    >>> features, target = torch.randn(8, 16), torch.randint(1000, (8,))
    >>> loss = LinearCrossEntropyLoss(16, 1000)
    >>> loss(features, target).backward()
    >>> loss.weight.grad.shape
    torch.Size([1000, 16])

    With the weights of a head:

    >>> head = torch.nn.Linear(16, 1000)
    >>> value = LinearCrossEntropyLoss()(features, target, head=head)
    >>> torch.allclose(value, torch.nn.CrossEntropyLoss()(head(features), target))
    True
    """

    def __init__(
        self,
        in_features=None,
        num_classes=None,
        bias=True,
        *,
        ignore_index=-100,
        class_weight=None,
        reduction="mean",
        label_smoothing=0.0,
        z_loss=0.0,
        softcap=None,
        filter_eps=None,
        max_dropped_mass=2**-7,
        chunk_size="auto",
        impl="auto",
        device=None,
        dtype=None,
    ):
        super().__init__()
        _check_sizes(in_features, num_classes)
        self.in_features = in_features
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.label_smoothing = label_smoothing
        self.z_loss = z_loss
        self.softcap = softcap
        self.filter_eps = filter_eps
        self.max_dropped_mass = max_dropped_mass
        self.chunk_size = chunk_size
        self.impl = impl
        Options(**self._options())  # Raises what is wrong with them.
        self.register_buffer("class_weight", _class_weight(class_weight, num_classes))
        self._make_head(bias, {"device": device, "dtype": dtype})

    @property
    def needs_head(self):
        """Whether it has to be called with a head."""
        return self.weight is None

    def forward(self, input, target, *, head=None, sample_weight=None):
        """Compute the loss.

        Parameters
        ----------
        input : Tensor of shape (..., in_features)
            Features.
        target : Tensor of shape (...)
            Class indices.
        head : torch.nn.Module, default=None
            The head, if the loss has no weight of its own: a
            :class:`torch.nn.Linear`, or what has ``linear_form``. Its ``forward``, and
            hooks on it, are not called.
        sample_weight : Tensor of shape (...), default=None
            Weights of the rows, not negative.

        Returns
        -------
        Tensor of shape () or (...)
            The loss.

        Raises
        ------
        ValueError
            If there is no head, or two of them, or one whose logits are not linear.
        TypeError, ValueError
            As of :func:`sklogit.kernels.linear_cross_entropy`.
        """
        self.check_head(head)
        weight, bias = self.weight, self.bias
        if head is not None:
            if hasattr(head, "linear_form"):
                input, head = head.linear_form(input)
            weight, bias = head.weight, head.bias
        return linear_cross_entropy(
            input,
            weight,
            target,
            bias,
            sample_weight=sample_weight,
            class_weight=self.class_weight,
            **self._options(),
        )

    def check_head(self, head):
        """Raise an error if the loss cannot work on a head.

        Parameters
        ----------
        head : object
            The head; None for the loss's own.

        Raises
        ------
        ValueError
            If there is no head, or two of them, or one whose logits are not linear.
        """
        if not self.needs_head:
            if head is not None:
                raise ValueError(
                    f"head must be None, as the loss has a weight of shape "
                    f"{tuple(self.weight.shape)} itself, got {type(head).__name__}."
                )
            return
        if head is None:
            raise ValueError(
                "head must be passed to a loss without weight: call it with head=, or "
                "make it with in_features and num_classes."
            )
        linear = isinstance(head, nn.Linear) or hasattr(head, "linear_form")
        # Weights alone say what they mean; of other modules forward does.
        weights = hasattr(head, "weight") and hasattr(head, "bias")
        if not linear and (isinstance(head, nn.Module) or not weights):
            raise ValueError(
                "head must have logits that are linear: a torch.nn.Linear, or a head "
                f"with linear_form, got {type(head).__name__}."
            )

    def logits(self, input):
        """Compute the logits of its own head, all of them.

        Parameters
        ----------
        input : Tensor of shape (..., in_features)
            Features.

        Returns
        -------
        Tensor of shape (..., num_classes)
            The logits, capped if there is a `softcap`.

        Raises
        ------
        ValueError
            If it has no head.
        """
        if self.needs_head:
            raise ValueError("logits needs in_features and num_classes, got None.")
        z = nn.functional.linear(input, self.weight, self.bias)
        if self.softcap is not None:
            z = self.softcap * torch.tanh(z / self.softcap)
        return z

    def reset_parameters(self):
        """Draw weight and bias anew, as :class:`torch.nn.Linear` does."""
        if self.weight is None:
            return
        bound = 1 / math.sqrt(self.in_features)
        nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -bound, bound)

    def extra_repr(self):
        """Show the sizes, and the parameters that are not the defaults.

        Returns
        -------
        str
            The parameters.
        """
        shown = []
        if not self.needs_head:
            shown = [f"in_features={self.in_features}"]
            shown += [f"num_classes={self.num_classes}"]
            shown += [] if self.bias is not None else ["bias=False"]
        for name, default in _DEFAULTS.items():
            if getattr(self, name) != default:
                shown.append(f"{name}={getattr(self, name)!r}")
        return ", ".join(shown)

    # -- steps -------------------------------------------------------------------------

    def _options(self):
        return {name: getattr(self, name) for name in _DEFAULTS}

    def _make_head(self, bias, given):
        weight = of_classes = None
        if self.in_features is not None:
            shape = self.num_classes, self.in_features
            weight = nn.Parameter(torch.empty(shape, **given))
            if bias:
                of_classes = nn.Parameter(torch.empty(self.num_classes, **given))
        self.register_parameter("weight", weight)
        self.register_parameter("bias", of_classes)
        self.reset_parameters()


def _check_sizes(in_features, num_classes):
    if in_features is None and num_classes is None:
        return
    for name, size in (("in_features", in_features), ("num_classes", num_classes)):
        if not isinstance(size, Integral) or isinstance(size, bool) or size < 1:
            raise ValueError(
                f"{name} must be an integer >= 1, or both in_features and num_classes "
                f"None, got {size!r}."
            )


def _class_weight(values, num_classes):
    """Make a tensor of weights; of a head that comes later the length is not known."""
    if values is None:
        return None
    try:
        weights = torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"class_weight must be a tensor or numbers, got {values!r}."
        ) from error
    if weights.ndim != 1 or num_classes not in (None, len(weights)):
        length = "num_classes" if num_classes is None else num_classes
        raise ValueError(
            f"class_weight must have shape ({length},), got {tuple(weights.shape)}."
        )
    return weights


# The name of the paper.
CutCrossEntropyLoss = LinearCrossEntropyLoss
