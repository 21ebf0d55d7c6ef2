"""Picture of a distillation: both losses, and how often they are in conflict."""

import numpy as np

from .._plotting import stacked_axes

_LOSSES = {"ce_loss": "cross-entropy", "logit_loss": "loss of the logits"}
_RATES = {
    "conflict_rate": "at the shared parameters",
    "head_conflict_rate": "within one head for both",
}


class DistillationHistoryDisplay:
    """Losses and conflict rates of a distillation, epoch by epoch.

    Above the means of the cross-entropy and of the loss of the logits, below the shares
    of batches in which their gradients point against each other: at the parameters that
    both losses depend on, and within the main head, if it had to take both. The latter
    is what a second head is for.

    Parameters
    ----------
    history : dict of array-like of shape (n_epochs,)
        "ce_loss", "logit_loss", "conflict_rate" and "head_conflict_rate", with NaN
        where nothing was recorded. Those missing are not drawn.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, of shape (2,)
        Panels of the losses and of the conflict rates.
    figure_ : matplotlib Figure
        Figure of the picture.
    lines_ : dict of matplotlib Line2D
        The curves, by their names in `history`.

    See Also
    --------
    DualHeadDistillationClassifier : Records the history.

    References
    ----------
    .. [1] "Dual-Head Knowledge Distillation: Enhancing Logits Utilization with an
       Auxiliary Head", arXiv:2411.08937.

    Examples
    --------
    >>> from sklogit.distillation import DistillationHistoryDisplay
    >>> history = {"ce_loss": [2.0, 0.5], "conflict_rate": [0.25, 0.5]}
    >>> display = DistillationHistoryDisplay(history).plot()
    >>> sorted(display.lines_)
    ['ce_loss', 'conflict_rate']
    """

    def __init__(self, history):
        self.history = history

    @classmethod
    def from_estimator(cls, estimator, *, ax=None, **line_options):
        """Draw the history of a student.

        Parameters
        ----------
        estimator : DualHeadDistillationClassifier
            A fitted student.
        ax : sequence of 2 matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **line_options
            Given to the lines.

        Returns
        -------
        DistillationHistoryDisplay
            The display.

        Raises
        ------
        TypeError
            If the estimator has no such history.
        """
        history = getattr(estimator, "history_", None)
        if not isinstance(history, dict) or "ce_loss" not in history:
            raise TypeError(
                "estimator must be a fitted DualHeadDistillationClassifier, got a "
                f"{type(estimator).__name__} without such a history_."
            )
        return cls(history).plot(ax=ax, **line_options)

    def plot(self, *, ax=None, **line_options):
        """Draw the curves.

        Parameters
        ----------
        ax : sequence of 2 matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **line_options
            Given to the lines.

        Returns
        -------
        DistillationHistoryDisplay
            The display.

        Raises
        ------
        ValueError
            If there are not 2 axes.
        """
        self.axes_ = stacked_axes(ax, type(self).__name__, 2)
        self.figure_ = self.axes_[0].figure
        self.lines_ = {}
        panels = zip(self.axes_, (_LOSSES, _RATES))
        for panel, curves in panels:
            for name, label in curves.items():
                self._draw(panel, name, {"label": label, **line_options})
            panel.grid(alpha=0.3)
            if panel.lines:
                panel.legend()
        losses, rates = self.axes_
        if any((line.get_ydata() > 0).any() for line in losses.lines):
            losses.set_yscale("log")
        losses.set_ylabel("loss")
        rates.set(xlabel="epoch", ylabel="share of batches\nin conflict")
        rates.set_ylim(-0.03, 1.03)
        return self

    def _draw(self, panel, name, options):
        values = np.asarray(self.history.get(name, ()), dtype=float)
        if np.isfinite(values).any():
            epochs = np.arange(1, len(values) + 1)
            (self.lines_[name],) = panel.plot(epochs, values, **options)
