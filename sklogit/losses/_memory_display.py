"""Picture of the memory that a loss needs, against the number of classes."""

import json
import tempfile
from collections.abc import Mapping
from numbers import Integral
from pathlib import Path

import numpy as np
import torch
from sklearn.utils import check_scalar
from torch.nn import functional as F

from .._plotting import one_axes
from ..kernels import linear_cross_entropy


class LossMemoryDisplay:
    """Peak memory of a loss and its gradients, against the number of classes.

    Measured by torch's own count of what its allocator gives out, not computed from a
    formula: what a loss of yours needs can be drawn beside the losses of this library.
    The features, weights and targets themselves do not count; the gradients do, and a
    line of their own shows them, because less is impossible.

    Parameters
    ----------
    n_classes : sequence of int
        Numbers of classes.
    peak_bytes : dict of str to array-like of shape (len(n_classes),)
        Largest memory in use at once by each loss, in bytes.
    gradient_bytes : array-like of shape (len(n_classes),)
        Memory of the gradients of features, weight and bias, in bytes.
    n_rows, n_features : int
        Rows of the batch, and features.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the picture.
    figure_ : matplotlib Figure
        Figure of the picture.
    lines_ : list of matplotlib Line2D
        A line for each loss, and that of the gradients.

    See Also
    --------
    sklogit.kernels.linear_cross_entropy : The loss that makes the difference.

    Examples
    --------
    >>> from sklogit.losses import LossMemoryDisplay
    >>> display = LossMemoryDisplay.from_losses(
    ...     n_classes=[1000, 10_000], n_rows=256, n_features=16
    ... )
    >>> naive, chunk = display.peak_bytes["all logits"], display.peak_bytes["chunk"]
    >>> bool(chunk[1] < naive[1] / 2)
    True
    """

    def __init__(self, n_classes, peak_bytes, gradient_bytes, *, n_rows, n_features):
        self.n_classes = n_classes
        self.peak_bytes = peak_bytes
        self.gradient_bytes = gradient_bytes
        self.n_rows = n_rows
        self.n_features = n_features

    @classmethod
    def from_losses(
        cls,
        losses=None,
        *,
        n_classes=(1024, 4096, 16384, 65536),
        n_rows=1024,
        n_features=256,
        dtype=torch.float32,
        device="cpu",
        ax=None,
        **kwargs,
    ):
        """Measure losses on random data, and draw.

        Each loss and number of classes takes one step: the loss and its gradients.

        Parameters
        ----------
        losses : dict of str to callable, default=None
            Functions of features (n_rows, n_features), weight (n_classes, n_features),
            bias (n_classes,) and integer target (n_rows,) that return a number, by the
            label in the legend. None takes torch's cross-entropy of all logits and
            :func:`~sklogit.kernels.linear_cross_entropy` in chunks and by computing the
            logits twice.
        n_classes : sequence of int, default=(1024, 4096, 16384, 65536)
            Numbers of classes.
        n_rows, n_features : int, default=1024, 256
            Rows of the batch, and features.
        dtype : torch.dtype, default=torch.float32
            That of features and weights.
        device : str or torch.device, default="cpu"
            Where to measure, a CPU or a CUDA device. On the latter the peak that
            ``torch.cuda.max_memory_allocated`` tells is reset.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **kwargs
            Given to `plot`.

        Returns
        -------
        LossMemoryDisplay
            The display.

        Raises
        ------
        TypeError
            If `losses` is no dict of functions, or a size no integer.
        ValueError
            If a size is smaller than one, or there is none.
        """
        losses = _checked_losses(losses)
        n_classes = list(n_classes)
        if not n_classes:
            raise ValueError("n_classes must have at least one number, got none.")
        for size in n_classes:
            check_scalar(size, "n_classes", Integral, min_val=1)
        check_scalar(n_rows, "n_rows", Integral, min_val=1)
        check_scalar(n_features, "n_features", Integral, min_val=1)
        peaks = {label: [] for label in losses}
        gradients = []
        for size in n_classes:
            head, target = _random_data(n_rows, n_features, size, dtype, device)
            gradients.append(sum(x.nbytes for x in head))
            for label, loss in losses.items():
                peaks[label].append(_peak_bytes(loss, head, target))
        peaks = {label: np.array(values) for label, values in peaks.items()}
        display = cls(
            n_classes, peaks, np.array(gradients), n_rows=n_rows, n_features=n_features
        )
        return display.plot(ax=ax, **kwargs)

    def plot(self, *, ax=None, **line_options):
        """Draw memory against the number of classes, both logarithmic.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **line_options
            Given to the lines of the losses.

        Returns
        -------
        LossMemoryDisplay
            The display.
        """
        self.ax_ = ax = one_axes(ax, type(self).__name__)
        self.figure_ = ax.figure
        self.lines_ = []
        for label, values in self.peak_bytes.items():
            options = {"marker": "o", "markersize": 4, "label": label, **line_options}
            self.lines_ += ax.plot(
                self.n_classes, np.asarray(values) / 2**20, **options
            )
        self.lines_ += ax.plot(
            self.n_classes,
            np.asarray(self.gradient_bytes) / 2**20,
            color="0.4",
            linestyle=":",
            label="gradients alone",
        )
        ax.set(
            xscale="log",
            yscale="log",
            xlabel="classes",
            ylabel="peak memory of loss and gradients, MiB",
            title=f"{self.n_rows} rows, {self.n_features} features",
        )
        ax.grid(alpha=0.3)
        ax.legend()
        return self


def all_logits(features, weight, bias, target):
    """Cross-entropy as it is usually computed: of the matrix of all logits."""
    return F.cross_entropy(F.linear(features, weight, bias), target)


def _default_losses():
    def chunk(features, weight, bias, target):
        return linear_cross_entropy(features, weight, target, bias, impl="chunk")

    def recompute(features, weight, bias, target):
        return linear_cross_entropy(features, weight, target, bias, impl="recompute")

    return {"all logits": all_logits, "chunk": chunk, "recompute": recompute}


def _checked_losses(losses):
    if losses is None:
        return _default_losses()
    if not (
        isinstance(losses, Mapping) and losses and all(map(callable, losses.values()))
    ):
        raise TypeError(
            "losses must be a dict of labels to functions of features, weight, bias "
            f"and target, got {losses!r}."
        )
    return losses


def _random_data(n_rows, n_features, n_classes, dtype, device):
    generator = torch.Generator().manual_seed(0)
    shapes = (n_rows, n_features), (n_classes, n_features)
    features, weight = (torch.randn(s, generator=generator) for s in shapes)
    head = features, weight / n_features**0.5, torch.zeros(n_classes)
    head = [x.to(device, dtype).requires_grad_() for x in head]
    target = torch.randint(n_classes, (n_rows,), generator=generator)
    return head, target.to(device)


def _peak_bytes(loss, head, target):
    """Run a step, and return the growth of memory at its peak."""

    def step():
        # Kept, as an optimiser would need them.
        return torch.autograd.grad(loss(*head, target), head)

    if target.device.type == "cuda":
        return _peak_on_cuda(step, target.device)
    return _peak_on_cpu(step)


def _peak_on_cuda(step, device):
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    step()
    return torch.cuda.max_memory_allocated(device) - before


def _peak_on_cpu(step):
    cpu = torch.profiler.ProfilerActivity.CPU
    with torch.profiler.profile(activities=[cpu], profile_memory=True) as profile:
        step()
    # The trace is the profiler's only public way to tell what was in use when.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profile.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding="utf8"))["traceEvents"]
    events = [event for event in events if event.get("name") == "[memory]"]
    events.sort(key=lambda event: event["ts"])
    changes = [event["args"]["Bytes"] for event in events]
    return int(np.cumsum(changes).max(initial=0))
