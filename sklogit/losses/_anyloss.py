"""One minus a metric of the confusion matrix, as a loss of torch."""

import math

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from ..metrics import amplify, get_confusion_metric
from ..metrics._confusion_metric import NamedMetric
from ._batch import TINY, checked_batch
from ._metric_slopes import check_differentiable, values_and_slopes
from ._soft_predictions import binary_soft, multiclass_soft

_AVERAGES = ("macro", "weighted")
_DEFAULTS = {
    "beta": 1.0,
    "amplifier": "logit",
    "L": 1.0,
    "average": "macro",
    "momentum": None,
    "mix": None,
    "pos_weight": None,
}


class AnyLoss(nn.Module):
    r"""One minus a metric of the confusion matrix, such as F1 or Matthews correlation.

    Soft predictions :math:`a_i = \sigma(L z_i)` of the logits z make a soft confusion
    matrix of the batch [1]_,

    .. math:: \mathrm{loss} = 1 - M(\mathrm{tn}, \mathrm{fp}, \mathrm{fn}, \mathrm{tp})
        , \qquad \mathrm{tp} = \sum_i s_i y_i a_i, \quad
        \mathrm{fp} = \sum_i s_i (1 - y_i) a_i, \ldots

    With a logit for each class a is their softmax, and the loss is the mean of that of
    each class against the others.

    Parameters
    ----------
    metric : str, callable or ConfusionMetric, default="f1"
        A name of :func:`sklogit.metrics.confusion_metric_names`, or a function of
        (tn, fp, fn, tp). Of functions torch finds the derivatives; those that do not
        take tensors are evaluated with numbers.
    beta : float, default=1.0
        Weight of recall against precision for ``metric="fbeta"``.
    amplifier : {"logit", "probability"}, default="logit"
        Function that makes soft predictions, see :func:`sklogit.metrics.amplify`.
    L : float, default=1.0
        Its steepness. Large ones leave most rows without a gradient.
    average : {"macro", "weighted"}, default="macro"
        With a logit for each class: the plain mean over the classes, or the mean
        weighted by the classes' weights in the batch.
    momentum : float, default=None
        For small batches: the metric is that of a running mean of the counts, of which
        this part is kept at each training step, for instance 0.99. None and 0 take the
        counts of the batch.
    mix : float, default=None
        Weight r between 0 and 1 of the loss beside the cross-entropy,
        ``(1 - r) * cross_entropy + r * (1 - M)``. None is the same as 1.
    pos_weight : float, default=None
        Weight of a positive row in that cross-entropy, as in
        :class:`torch.nn.BCEWithLogitsLoss`; needs `mix`. The metric does without.

    Attributes
    ----------
    metric : ConfusionMetric
        The metric.
    running_counts : Tensor of shape (4, n_outputs) or None
        Running mean of the counts, the tn, fp, fn and tp of a batch; empty before the
        first one, None without `momentum`. It is part of the ``state_dict``.

    See Also
    --------
    sklogit.neural.AnyLossNetBinaryClassifier : Trains a net with it.
    sklogit.linear_model.AnyLossClassifier : A linear model, by an exact solver.

    Notes
    -----
    A metric is not a mean over rows: the loss of small batches is biased, and a batch
    without positives teaches nothing (its gradient is zero for F-beta). Let
    ``batch_size * prevalence`` be 5 or more, spread the positives over the batches
    (:class:`sklogit.neural.StratifiedBatches`), or use `momentum`. With it the value is
    :math:`1 - M(\bar c)`, and the gradient that of the batch with the derivatives of M
    taken at :math:`\bar c`: stochastic compositional gradient descent. In evaluation
    mode the loss is that of the batch, and the running counts stay as they are.

    The gradient is a closed form, finite also where a metric is 0 / 0, which counts as
    0 with the gradient 0; so it is of a batch whose weights are all zero. There is no
    epsilon to choose. The second derivative is not defined. Logits of half precision
    are computed with in single precision. The named metrics never wait for the device.
    Labels and weights are checked on the CPU only; on other devices wrong ones make the
    loss NaN, or raise torch's error of an index out of range.

    References
    ----------
    .. [1] "AnyLoss: Transforming Classification Metrics into Loss Functions",
       arXiv:2405.14745.

    Examples
    --------
    >>> import torch
    >>> from sklogit.losses import AnyLoss
    >>> logits = torch.tensor([-2.0, 0.0, 3.0], requires_grad=True)
    >>> loss = AnyLoss("f1")(logits, torch.tensor([0, 0, 1]))
    >>> loss.backward()
    >>> round(loss.item(), 3), (logits.grad > 0).tolist()
    (0.259, [True, True, False])
    >>> AnyLoss("mcc", momentum=0.99, mix=0.5)
    AnyLoss('matthews_corrcoef', momentum=0.99, mix=0.5)
    """

    def __init__(
        self,
        metric="f1",
        *,
        beta=1.0,
        amplifier="logit",
        L=1.0,
        average="macro",
        momentum=None,
        mix=None,
        pos_weight=None,
    ):
        super().__init__()
        _check_parameters(beta, amplifier, L, average, momentum, mix, pos_weight)
        self.metric = get_confusion_metric(metric, beta)
        self.beta = beta
        self.amplifier = amplifier
        self.L = L
        self.average = average
        self.momentum = momentum
        self.mix = mix
        self.pos_weight = pos_weight
        self.register_buffer("running_counts", None)
        self.reset_running_counts()
        # Metrics of users are probed once, when the weights of the classes are known.
        self._known_differentiable = isinstance(self.metric, NamedMetric)

    def forward(self, logits, target, sample_weight=None):
        """Compute the loss of a batch.

        Parameters
        ----------
        logits : Tensor of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
            Logits, positive for the positive class; or one for each class.
        target : Tensor of shape (n_samples,) or (n_samples, 1)
            Labels 0 and 1, of any dtype; or class indices.
        sample_weight : Tensor of shape (n_samples,), default=None
            Weights, not negative; a weight of 2 is the same as a repeated row.

        Returns
        -------
        Tensor of shape ()
            The loss.

        Raises
        ------
        TypeError, ValueError
            If shapes, dtypes or labels are wrong, or a metric of the user is not finite
            or not differentiable.
        """
        batch = checked_batch(logits, target, sample_weight)
        loss = self._metric_loss(batch)
        if self.mix is None:
            return loss
        return self._mixed(self._entropies(batch) / batch.total, loss)

    def cross_entropy(self, logits, target, sample_weight=None):
        """Compute the cross-entropy alone, with `pos_weight`, as for a warm-up.

        Parameters
        ----------
        logits, target, sample_weight : Tensor
            As of `forward`.

        Returns
        -------
        Tensor of shape ()
            The weighted mean over the rows.
        """
        batch = checked_batch(logits, target, sample_weight)
        return self._entropies(batch) / batch.total

    def backward_in_chunks(self, module, chunks):
        """Add to the parameters' gradients that of the loss of all chunks as one batch.

        For data of which not all logits fit with their graph. Two passes: the first one
        counts, without a graph; the second one takes every chunk's part of the gradient
        back through the module. It equals ``forward`` and ``backward`` of a single
        batch if the logits of a row depend neither on its chunk nor on chance, as with
        batch normalisation and dropout in training mode. `momentum` is not used.

        Parameters
        ----------
        module : callable
            Returns the logits of the first entry of a chunk.
        chunks : iterable of tuple
            Chunks (X, target) or (X, target, sample_weight). It is gone through twice:
            a list or a loader, not a generator.

        Returns
        -------
        Tensor of shape ()
            The loss, without a graph.

        Raises
        ------
        ValueError
            If there are no chunks, or another number of them the second time.

        Examples
        --------
        >>> import torch
        >>> from sklogit.losses import AnyLoss
        >>> X, y = torch.randn(100, 3), torch.arange(100) % 2
        >>> module = torch.nn.Linear(3, 1)
        >>> chunks = list(zip(X.split(30), y.split(30)))
        >>> loss = AnyLoss().backward_in_chunks(module, chunks)
        >>> loss.shape, module.weight.grad.shape
        (torch.Size([]), torch.Size([1, 3]))
        """
        counts, entropies, totals = [], [], []
        with torch.no_grad():
            for X, *labels in chunks:
                batch = checked_batch(module(X), *labels)
                counts.append(batch.counts(self._soft(batch)[0]))
                entropies.append(self._entropies(batch))
                totals.append(batch.total)
        if not counts:
            raise ValueError("chunks must not be empty.")
        total = sum(totals)
        value, derivatives = self._loss_of_counts(torch.stack(counts).sum(dim=0))
        n_chunks = 0
        for X, *labels in chunks:
            batch = checked_batch(module(X), *labels)
            with torch.no_grad():
                to_logits = self._soft(batch)[1]
            loss = _with_gradient(batch, to_logits, value, derivatives)
            if self.mix is not None:
                loss = self._mixed(self._entropies(batch) / total, loss)
            loss.backward()
            n_chunks += 1
        if n_chunks != len(counts):
            raise ValueError(
                f"chunks must be the same in both passes, got {len(counts)} and "
                f"{n_chunks}: pass a list, or a loader."
            )
        return value if self.mix is None else self._mixed(sum(entropies) / total, value)

    def reset_running_counts(self):
        """Forget the running counts, as before training on other data."""
        self.running_counts = None if self.momentum is None else torch.zeros(4, 0)

    def extra_repr(self):
        """Show the metric, and the parameters that are not the defaults.

        Returns
        -------
        str
            The parameters.
        """
        shown = [repr(self.metric.name)]
        for name, default in _DEFAULTS.items():
            if getattr(self, name) != default:
                shown.append(f"{name}={getattr(self, name)!r}")
        return ", ".join(shown)

    # -- steps -------------------------------------------------------------------------

    def _metric_loss(self, batch):
        """One minus the metric; its graph has a single node."""
        with torch.no_grad():
            predictions, to_logits = self._soft(batch)
            counts = self._averaged(batch.counts(predictions))
            value, derivatives = self._loss_of_counts(counts)
        return _with_gradient(batch, to_logits, value, derivatives)

    def _soft(self, batch):
        soft = binary_soft if batch.indices is None else multiclass_soft
        return soft(batch.logits.detach(), self.amplifier, self.L)

    def _loss_of_counts(self, counts):
        """Value of the loss, and its derivatives by tp and by fp of each class."""
        if not self._known_differentiable:
            self._check_differentiable(counts)
        values, slopes = values_and_slopes(self.metric, counts)
        if counts.ndim == 1:
            return 1 - values, -slopes
        share = torch.full_like(values, 1 / len(values))
        if self.average == "weighted":
            share = (counts[2] + counts[3]) / counts.sum(dim=0).clamp_min(TINY)
        return (share * (1 - values)).sum(), -share * slopes

    def _averaged(self, counts):
        """Return the running mean of the counts, of the size of this batch."""
        if self.momentum is None or not self.training:
            return counts
        new = counts.reshape(4, -1)
        old = self.running_counts
        if old.numel() == 0:
            old = torch.zeros_like(new)
        elif old.shape != new.shape:
            raise ValueError(
                f"The running counts are of {old.shape[1]} outputs, the logits of "
                f"{new.shape[1]}: call reset_running_counts."
            )
        old = old.to(new)
        mean = torch.lerp(new, old, self.momentum)
        # As without a batch, when there was an overflow in half precision.
        self.running_counts = torch.where(new.isfinite().all(), mean, old)
        # A mean over batches from zero on is too small by the same factor in the counts
        # and in their sum, the weight of a batch.
        size = new.sum(dim=0) / mean.sum(dim=0).clamp_min(TINY)
        return (mean * size).reshape(counts.shape)

    def _check_differentiable(self, counts):
        tn, fp, fn, tp = counts.reshape(4, -1).sum(dim=1).tolist()
        if tp + fn > 0 and tn + fp > 0:
            check_differentiable(self.metric, tp + fn, tn + fp)
            self._known_differentiable = True

    def _entropies(self, batch):
        """Sum over the rows of the weighted cross-entropy."""
        if batch.indices is None:
            of_rows = F.binary_cross_entropy_with_logits(
                batch.logits,
                batch.y,
                pos_weight=batch.y.new_tensor(self.pos_weight or 1.0),
                reduction="none",
            )
        elif self.pos_weight is not None:
            raise ValueError(
                f"pos_weight={self.pos_weight!r} needs one logit a row, got "
                f"{tuple(batch.logits.shape)}."
            )
        else:
            of_rows = F.cross_entropy(batch.logits, batch.indices, reduction="none")
        return (of_rows if batch.weight is None else of_rows * batch.weight).sum()

    def _mixed(self, entropy, loss):
        return (1 - self.mix) * entropy + self.mix * loss

    def _load_from_state_dict(self, state_dict, prefix, *args):
        # The number of outputs is only known to what was saved.
        saved = state_dict.get(prefix + "running_counts")
        if saved is not None and self.running_counts is not None:
            self.running_counts = torch.zeros_like(saved)
        super()._load_from_state_dict(state_dict, prefix, *args)


def _with_gradient(batch, to_logits, value, derivatives):
    """Give a value the gradient of what its derivatives by the counts make."""
    if not (torch.is_grad_enabled() and batch.logits.requires_grad):
        return value
    with torch.no_grad():
        gradient = to_logits(batch.per_row(derivatives))
    return _GivenGradient.apply(batch.logits, value, gradient)


class _GivenGradient(torch.autograd.Function):
    """A value whose gradient was computed with it."""

    @staticmethod
    def forward(logits, value, gradient):
        return value.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[2])

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):
        (gradient,) = ctx.saved_tensors
        return grad_output * gradient, None, None


def _check_parameters(beta, amplifier, L, average, momentum, mix, pos_weight):
    amplify([0.0], amplifier, L)  # which checks both
    if not 0 < beta < math.inf:
        raise ValueError(f"beta must be positive and finite, got {beta!r}.")
    if average not in _AVERAGES:
        raise ValueError(f"average must be one of {_AVERAGES}, got {average!r}.")
    if momentum is not None and not 0 <= momentum < 1:
        raise ValueError(f"momentum must be None or in [0, 1), got {momentum!r}.")
    if mix is not None and not 0 <= mix <= 1:
        raise ValueError(f"mix must be None or in [0, 1], got {mix!r}.")
    if pos_weight is None:
        return
    if not 0 < pos_weight < math.inf:
        raise ValueError(f"pos_weight must be positive and finite, got {pos_weight!r}.")
    if mix is None:
        raise ValueError(
            f"pos_weight={pos_weight!r} is the weight in a cross-entropy, which "
            "mix=None leaves out: set mix; 1.0 keeps it for a warm-up only."
        )
