"""Picture of a comparison: differences with intervals, beside the times of fit."""

import numpy as np

from .._optional import import_optional
from .._plotting import stacked_axes
from ._paired_tests import (
    holm_adjusted,
    interval_half_width,
    mean_and_error,
    p_value,
)

# Colours of Okabe and Ito, which colour-blind readers can tell apart.
_COLORS = {"worse": "#D55E00", "no difference shown": "#0072B2", "better": "#009E73"}


class ModelComparisonDisplay:
    """Forest plot of differences to a reference, beside the times of fit.

    Left, for every model the mean difference of its score to that of the reference,
    with the confidence interval that is corrected for the overlap of training sets, and
    a band of differences that do not matter. The colour says on which side of zero the
    interval lies. Right, the median time of a fit with its interquartile range on a
    logarithmic axis.

    Parameters
    ----------
    names : list of str
        Names of the models, from top to bottom.
    differences : ndarray of shape (n_models,)
        Mean differences to the reference, nan for a model that failed.
    half_widths : ndarray of shape (n_models,)
        Halves of the widths of the intervals.
    fit_times : ndarray of shape (n_models, n_resamples)
        Seconds.
    reference : str
        Name of the reference.
    p_values : ndarray of shape (n_models,), default=None
        Adjusted p-values, written beside the intervals; nan for none.
    rope : float, default=0.01
        Half the width of the band; 0 for none.
    confidence_level : float, default=0.95
        Level of the intervals, for the label.
    scoring : str, default="score"
        Name of the score, for the label.
    timing_reliable : bool, default=True
        False adds to the label that the times were measured in parallel.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, of shape (2,)
        Panels of the differences and of the times.
    figure_ : matplotlib Figure
        Figure of the picture.
    intervals_ : list of matplotlib ErrorbarContainer
        Differences with their intervals, without the reference and failed models.
    times_ : list of matplotlib ErrorbarContainer
        Times with their ranges.

    See Also
    --------
    compare_classifiers : Makes the comparison.
    ModelComparison.plot : Draws it.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from sklogit.model_selection import ModelComparisonDisplay, compare_classifiers
    >>> X, y = load_iris(return_X_y=True)
    >>> models = {"bayes": GaussianNB(), "logistic": LogisticRegression(max_iter=500)}
    >>> comparison = compare_classifiers(models, X, y, cv=5, random_state=0)
    >>> display = ModelComparisonDisplay.from_comparison(comparison)
    >>> [ax.get_xscale() for ax in display.axes_]
    ['linear', 'log']
    """

    def __init__(
        self,
        names,
        differences,
        half_widths,
        fit_times,
        *,
        reference,
        p_values=None,
        rope=0.01,
        confidence_level=0.95,
        scoring="score",
        timing_reliable=True,
    ):
        self.names = names
        self.differences = differences
        self.half_widths = half_widths
        self.fit_times = fit_times
        self.reference = reference
        self.p_values = p_values
        self.rope = rope
        self.confidence_level = confidence_level
        self.scoring = scoring
        self.timing_reliable = timing_reliable

    @classmethod
    def from_comparison(
        cls,
        comparison,
        *,
        reference=None,
        rope=0.01,
        confidence_level=0.95,
        ax=None,
        **kwargs,
    ):
        """Draw a comparison.

        Parameters
        ----------
        comparison : ModelComparison
            What `compare_classifiers` returns.
        reference : str, default=None
            Name of a model, or "best"; None is the one of the comparison.
        rope : float, default=0.01
            Half the width of the band of differences that do not matter; 0 for none.
        confidence_level : float, default=0.95
            Level of the intervals.
        ax : sequence of 2 matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **kwargs
            Given to `plot`.

        Returns
        -------
        ModelComparisonDisplay
            The display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If there is no such reference, or it failed on some fold.
        """
        name, differences = comparison.differences(reference=reference)
        mean, error, df = mean_and_error(differences, comparison.rho_)
        others = np.array([model != name for model in comparison.names_])
        p_values = np.where(others, p_value(mean, error, df), np.nan)
        return cls(
            comparison.names_,
            mean,
            interval_half_width(error, df, confidence_level),
            comparison.fit_times_,
            reference=name,
            p_values=holm_adjusted(p_values),
            rope=rope,
            confidence_level=confidence_level,
            scoring=comparison.scoring,
            timing_reliable=comparison.timing_reliable_,
        ).plot(ax=ax, **kwargs)

    def plot(self, *, ax=None, **point_options):
        """Draw both panels.

        Parameters
        ----------
        ax : sequence of 2 matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **point_options
            Given to ``Axes.errorbar`` of both panels.

        Returns
        -------
        ModelComparisonDisplay
            The display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If other than two Axes are given.
        """
        self.axes_ = self._make_axes(ax)
        self.figure_ = self.axes_[0].figure
        options = {"fmt": "o", "markersize": 6, "linewidth": 1.8, **point_options}
        self.intervals_ = self._draw_differences(self.axes_[0], options)
        self.times_ = self._draw_times(self.axes_[1], options)
        left, right = self.axes_
        left.set_yticks(range(len(self.names)), self.names)
        if right.get_shared_y_axes().joined(left, right):
            right.tick_params(axis="y", left=False, labelleft=False)
        else:
            right.set_yticks(range(len(self.names)), self.names)
        for panel in self.axes_:
            panel.set_ylim(len(self.names) - 0.5, -0.5)  # the first on top
            panel.grid(axis="x", alpha=0.3)
            panel.spines[["top", "right"]].set_visible(False)
        self._add_legend(outside=ax is None, verdicts="color" not in point_options)
        return self

    def _make_axes(self, ax):
        name = type(self).__name__
        if ax is not None:
            return stacked_axes(ax, name, 2)
        plt = import_optional("matplotlib.pyplot", name)
        figure, axes = plt.subplots(
            1,
            2,
            sharey=True,
            figsize=(9, 1.8 + 0.42 * len(self.names)),
            width_ratios=(3, 2),
            layout="constrained",
        )
        figure.get_layout_engine().set(w_pad=0.12, h_pad=0.06)
        return axes

    def _draw_differences(self, ax, options):
        if self.rope > 0:
            ax.axvspan(-self.rope, self.rope, color="0.9", zorder=0)
        ax.axvline(0, color="0.4", linewidth=1, zorder=1)
        drawn = []
        rows = zip(self.names, self.differences, self.half_widths)
        for row, (name, difference, half) in enumerate(rows):
            if name == self.reference:
                ax.plot(0, row, "D", color="0.25", markerfacecolor="w", markersize=7)
                self._note(ax, row, "reference")
            elif np.isnan(difference):
                self._note(ax, row, "failed")
            else:
                color = _COLORS[_verdict(difference, half)]
                bar = ax.errorbar(
                    difference, row, xerr=half, **{"color": color, **options}
                )
                drawn.append(bar)
                if self.p_values is not None:
                    self._note(ax, row, _p_text(self.p_values[row]))
        if self.p_values is not None and drawn:
            self._note(ax, -0.5, "Holm's p")
        ax.locator_params(axis="x", nbins=7)
        level = f"{100 * self.confidence_level:g} %"
        ax.set_xlabel(
            f"{_short(self.scoring)} minus that of {self.reference},\n"
            f"{level} interval corrected for overlap"
        )
        return drawn

    def _note(self, ax, row, text):
        # On the right edge of the panel, in units of its width and of rows.
        ax.annotate(
            text,
            (1.02, row),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize="small",
            color="0.3",
        )

    def _draw_times(self, ax, options):
        drawn = []
        low, median, high = np.percentile(self.fit_times, [25, 50, 75], axis=1)
        for row in range(len(self.names)):
            around = [[median[row] - low[row]], [high[row] - median[row]]]
            bar = ax.errorbar(
                median[row], row, xerr=around, **{"color": "0.25", **options}
            )
            drawn.append(bar)
            ax.annotate(
                _time_text(median[row]),
                (median[row], row),
                xytext=(0, 6),
                textcoords="offset points",
                ha="center",
                fontsize="small",
                color="0.3",
            )
        ax.set_xscale("log")
        # Room for the labels of the extremes, and a decade at least.
        spread = max(high.max() / low.min(), 10.0) ** 0.15
        ax.set_xlim(low.min() / spread, high.max() * spread)
        how = "median and quartiles" if self.timing_reliable else "measured in parallel"
        label = f"time of one fit (s),\n{how}"
        ax.set_xlabel(label)
        return drawn

    def _add_legend(self, outside, verdicts):
        name = type(self).__name__
        line = import_optional("matplotlib.lines", name).Line2D
        patch = import_optional("matplotlib.patches", name).Patch
        shown = {
            _verdict(difference, half)
            for model, difference, half in zip(
                self.names, self.differences, self.half_widths
            )
            if model != self.reference and not np.isnan(difference)
        }
        handles = [
            line([], [], color=color, marker="o", label=verdict)
            for verdict, color in _COLORS.items()
            if verdicts and verdict in shown
        ]
        if self.rope > 0:
            handles.append(patch(color="0.9", label=f"within ±{self.rope:g}"))
        if not handles:
            return
        if outside:
            options = {"loc": "outside upper center", "ncols": 4, "frameon": False}
            self.figure_.legend(handles=handles, **options)
        else:
            self.axes_[0].legend(handles=handles, fontsize="small")


def _verdict(difference, half):
    if difference + half < 0:
        return "worse"
    return "better" if difference - half > 0 else "no difference shown"


def _short(scoring):
    return scoring.replace("_", " ") if len(scoring) < 30 else "score"


def _p_text(p):
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def _time_text(seconds):
    if seconds >= 1:
        return f"{seconds:.3g} s"
    return f"{1e3 * seconds:.3g} ms" if seconds >= 1e-3 else f"{1e6 * seconds:.3g} µs"
