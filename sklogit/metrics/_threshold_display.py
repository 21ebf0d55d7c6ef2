"""Picture of a metric over the threshold of scores."""

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from .._plotting import one_axes
from ._confusion_metric import get_confusion_metric
from ._soft_confusion import soft_confusion
from ._threshold import checked_scores, cut_counts, positive_rows

# So many cuts make a line; more are drawn no finer.
_MOST_CUTS = 2000
# Part of the thresholds, from below, that a new figure leaves out: with rare positives
# the outliers among the others would take most of it.
_LEFT_OUT = 0.05


class MetricThresholdDisplay:
    """A metric against the threshold of the scores, a line for each set of scores.

    A dot marks the threshold in use, a star the best one.

    Parameters
    ----------
    curves : dict
        Name in the legend -> (thresholds, values), arrays of equal length.
    metric : ConfusionMetric
        The metric.
    in_use : dict
        Name in the legend -> (threshold in use, value there).

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the picture.
    figure_ : matplotlib Figure
        Figure of the picture.
    lines_ : list of matplotlib Line2D
        The curves.

    See Also
    --------
    optimal_threshold : The best threshold.
    sklogit.linear_model.AnyLossClassifier : Moves the direction too.

    Examples
    --------
    >>> from sklogit.metrics import MetricThresholdDisplay
    >>> y, scores = [0, 0, 1, 1], [-1.0, 0.5, 0.25, 2.0]
    >>> display = MetricThresholdDisplay.from_predictions(y, scores, "f1")
    >>> display.ax_.get_ylabel()
    'f1'
    """

    def __init__(self, curves, *, metric, in_use):
        self.curves = curves
        self.metric = metric
        self.in_use = in_use

    @classmethod
    def from_predictions(
        cls,
        y_true,
        scores,
        metric,
        *,
        beta=1.0,
        pos_label=None,
        sample_weight=None,
        used=0.0,
        ax=None,
        **kwargs,
    ):
        """Draw the metric of given scores.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Labels of two classes.
        scores : array-like of shape (n_samples,), or dict of such
            Scores, larger for the positive class; several by their names in the legend.
        metric : str, callable or ConfusionMetric
            See `get_confusion_metric`.
        beta : float, default=1.0
            For "fbeta".
        pos_label : label, default=None
            The positive class; by default the greater label.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights.
        used : float or dict, default=0.0
            Threshold in use; 0.5 for probabilities.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **kwargs
            Given to `plot`.

        Returns
        -------
        MetricThresholdDisplay
            The display.

        Raises
        ------
        ValueError
            If y has not two classes of positive weight, a length differs, a score is
            not finite, a weight negative, or `used` leaves out a name.
        """
        metric = get_confusion_metric(metric, beta)
        if not isinstance(scores, dict):
            scores = {metric.name: scores}
        if not isinstance(used, dict):
            used = dict.fromkeys(scores, used)
        if set(used) != set(scores):
            raise ValueError(f"used must name the scores {list(scores)}, got {used}.")
        curves, in_use = {}, {}
        for name, values in scores.items():
            values, threshold = checked_scores("scores", values), used[name]
            positive, weight = positive_rows(y_true, values, pos_label, sample_weight)
            curves[name] = _curve(positive, values, metric, weight)
            counts = soft_confusion(positive, values > threshold, weight)
            in_use[name] = (threshold, metric.value(*counts))
        return cls(curves, metric=metric, in_use=in_use).plot(ax=ax, **kwargs)

    @classmethod
    def from_estimator(cls, estimator, X, y, *, metric=None, ax=None, **kwargs):
        """Draw the metric of the scores of a classifier.

        Parameters
        ----------
        estimator : classifier
            Fitted, with a `decision_function`. An `AnyLossClassifier`, or a pipeline
            that ends in one, is drawn beside the logistic regression that it started
            from.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        y : array-like of shape (n_samples,)
            Labels of two classes.
        metric : str, callable or ConfusionMetric, default=None
            The metric; by default that of the estimator.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **kwargs
            Given to `from_predictions`.

        Returns
        -------
        MetricThresholdDisplay
            The display.

        Raises
        ------
        ValueError
            If `metric` is None and the estimator has none.
        """
        check_is_fitted(estimator)
        if isinstance(estimator, Pipeline):
            X = estimator[:-1].transform(X) if len(estimator) > 1 else X
            estimator = estimator[-1]
        beta = kwargs.pop("beta", getattr(estimator, "beta", 1.0))
        if metric is None and not hasattr(estimator, "metric"):
            raise ValueError(
                f"metric must be given: {type(estimator).__name__} has none of its own."
            )
        metric = estimator.metric if metric is None else metric
        pos_label = kwargs.pop("pos_label", getattr(estimator, "pos_label", None))
        # Scores are those of the greater label: turn them if the other is positive.
        sign = (
            -1.0
            if pos_label is not None and pos_label == estimator.classes_[0]
            else 1.0
        )
        after = estimator.decision_function(X)
        scores = {type(estimator).__name__: sign * after}
        if hasattr(estimator, "init_coef_"):
            moved = np.asarray(X @ (estimator.coef_ - estimator.init_coef_).T)[:, 0]
            shift = estimator.intercept_ - estimator.init_intercept_
            scores = {"start": sign * (after - moved - shift), **scores}
        return cls.from_predictions(
            y, scores, metric, beta=beta, pos_label=pos_label, ax=ax, **kwargs
        )

    def plot(self, *, ax=None, **line_options):
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **line_options
            Given to the lines.

        Returns
        -------
        MetricThresholdDisplay
            The display.
        """
        self.ax_ = one_axes(ax, type(self).__name__)
        self.figure_ = self.ax_.figure
        self.lines_ = []
        for name, (thresholds, values) in self.curves.items():
            options = {"label": name, "drawstyle": "steps-pre", **line_options}
            (line,) = self.ax_.plot(thresholds, values, **options)
            self.lines_.append(line)
            best = int(np.argmax(values))
            style = {"color": line.get_color(), "zorder": 3}
            self.ax_.plot(*self.in_use[name], "o", **style)
            self.ax_.plot(thresholds[best], values[best], "*", markersize=11, **style)
        self._label()
        return self

    def _label(self):
        handles = [
            self.ax_.plot([], [], marker, color="0.3", linestyle="")[0]
            for marker in "o*"
        ]
        self.ax_.legend(
            [*self.lines_, *handles],
            [*self.curves, "threshold in use", "best threshold"],
            frameon=False,
        )
        self.ax_.set(xlabel="threshold of the score", ylabel=self.metric.name)
        self.ax_.grid(alpha=0.3)
        thresholds = [curve[0] for curve in self.curves.values()]
        self.ax_.set_xlim(left=min(np.quantile(t, _LEFT_OUT) for t in thresholds))


def _curve(positive, scores, metric, weight):
    """Thresholds, rising, and the metric of the rows above each."""
    cuts, counts = cut_counts(positive, scores, weight)
    if len(cuts) > _MOST_CUTS:
        chosen = np.linspace(0, len(cuts) - 1, _MOST_CUTS).astype(int)
        cuts, counts = cuts[chosen], [count[chosen] for count in counts]
    return cuts[::-1], metric.values(*counts)[::-1]
