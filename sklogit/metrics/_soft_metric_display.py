"""Picture of what the steepness of soft predictions does to a metric."""

import numpy as np

from .._plotting import stacked_axes
from ._confusion_metric import get_confusion_metric
from ._soft_confusion import AMPLIFIERS, amplify, soft_confusion
from ._threshold import checked_scores, positive_rows

# A row whose slope is below this part of the steepest possible learns nothing.
_VANISHED = 1e-6


class SoftMetricDisplay:
    """Soft and hard metric, and vanishing slopes, against the steepness L.

    The steeper the amplifier, the nearer is the soft metric to the hard one, and the
    fewer rows have a slope to learn from. The best L for training is not the one whose
    soft metric is right.

    Parameters
    ----------
    L : ndarray of shape (n_steps,)
        Steepnesses.
    soft : dict
        Name of the amplifier -> values of the soft metric, of shape (n_steps,).
    vanished : dict
        Name of the amplifier -> share of the rows without slope, of shape (n_steps,).
    hard : float
        The hard metric.
    metric : ConfusionMetric
        The metric.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, of shape (2,)
        Panels of the metric and of the vanished slopes.
    figure_ : matplotlib Figure
        Figure of the picture.
    lines_ : ndarray of matplotlib Line2D, of shape (n_amplifiers, 2)
        The curves of both panels.

    See Also
    --------
    amplify : The amplifiers.

    References
    ----------
    .. [1] "AnyLoss: Transforming Classification Metrics into Loss Functions",
       arXiv:2405.14745.

    Examples
    --------
    >>> from sklogit.metrics import SoftMetricDisplay
    >>> y, scores = [0, 0, 1, 1], [-3.0, 0.5, 0.25, 2.0]
    >>> display = SoftMetricDisplay.from_predictions(y, scores, "f1")
    >>> round(float(display.hard), 2)
    0.8
    """

    def __init__(self, *, L, soft, vanished, hard, metric):
        self.L = L
        self.soft = soft
        self.vanished = vanished
        self.hard = hard
        self.metric = metric

    @classmethod
    def from_predictions(
        cls,
        y_true,
        scores,
        metric,
        *,
        beta=1.0,
        L=None,
        amplifiers=AMPLIFIERS,
        pos_label=None,
        sample_weight=None,
        ax=None,
        **kwargs,
    ):
        """Compute the curves of given scores and draw them.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Labels of two classes.
        scores : array-like of shape (n_samples,)
            Scores, positive for the positive class.
        metric : str, callable or ConfusionMetric
            See `get_confusion_metric`.
        beta : float, default=1.0
            For "fbeta".
        L : array-like of shape (n_steps,), default=None
            Steepnesses; by default 0.5 to 200.
        amplifiers : sequence of str, default=("logit", "probability")
            Amplifiers.
        pos_label : label, default=None
            The positive class; by default the greater label.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights.
        ax : sequence of 2 matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **kwargs
            Given to `plot`.

        Returns
        -------
        SoftMetricDisplay
            The display.

        Raises
        ------
        ValueError
            If y has not two classes of positive weight, a length differs, a score is
            not finite, a weight negative, or there is no such amplifier.
        """
        metric = get_confusion_metric(metric, beta)
        scores = checked_scores("scores", scores)
        positive, weight = positive_rows(y_true, scores, pos_label, sample_weight)
        L = np.geomspace(0.5, 200, 41) if L is None else np.atleast_1d(L).astype(float)
        soft, vanished = {}, {}
        for name in amplifiers:
            made = [amplify(scores, name, steepness) for steepness in L]
            soft[name] = np.array(
                [metric.value(*soft_confusion(positive, a, weight)) for a, _ in made]
            )
            vanished[name] = np.array(
                [
                    np.mean(slopes < _VANISHED * steepness / 4)
                    for (_, slopes), steepness in zip(made, L)
                ]
            )
        hard = metric.value(*soft_confusion(positive, scores > 0, weight))
        display = cls(L=L, soft=soft, vanished=vanished, hard=hard, metric=metric)
        return display.plot(ax=ax, **kwargs)

    def plot(self, *, ax=None, **line_options):
        """Draw both panels over a common logarithmic axis of L.

        Parameters
        ----------
        ax : sequence of 2 matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **line_options
            Given to the lines.

        Returns
        -------
        SoftMetricDisplay
            The display.
        """
        self.axes_ = stacked_axes(ax, type(self).__name__, 2, figsize=(6.4, 6))
        self.figure_ = self.axes_[0].figure
        above, below = self.axes_
        lines = []
        for name in self.soft:
            (line,) = above.plot(self.L, self.soft[name], label=name, **line_options)
            options = {"color": line.get_color(), **line_options}
            lines.append([line, *below.plot(self.L, self.vanished[name], **options)])
        self.lines_ = np.array(lines)
        above.axhline(self.hard, color="0.3", linestyle="--", label="hard predictions")
        above.legend(frameon=False, title="amplifier")
        above.set(ylabel=self.metric.name)
        below.set(
            xscale="log",
            xlabel="steepness L",
            ylabel="rows with vanished slope",
            ylim=(-0.03, 1.03),
        )
        for panel in self.axes_:
            panel.grid(alpha=0.3)
        return self
