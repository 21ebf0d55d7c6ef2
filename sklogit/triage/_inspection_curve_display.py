"""Picture of what is found against what is inspected."""

import numpy as np
from scipy.stats import hypergeom
from sklearn.utils.validation import column_or_1d

from .._optional import import_optional
from .._plotting import one_axes
from ..metrics import inspection_curve
from ..metrics._triage_scorer import positive_label, triage_scores


class InspectionCurveDisplay:
    """Positives found against the number of inspections, for one order or several.

    Random order finds a share of the positives that is that of the rows inspected, on
    average; its band has 95 % of random orders at each number of inspections. With few
    positives it is wide: a curve within it may be luck.

    Parameters
    ----------
    curves : dict of str to (n_inspected, found)
        Curves by name, as `sklogit.metrics.inspection_curve` makes them, all of the
        same rows.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the picture.
    figure_ : matplotlib Figure
        Its figure.
    lines_ : list of matplotlib Line2D
        The curves, in their order.
    random_ : matplotlib Line2D
        Expectation of random order.
    band_ : matplotlib PolyCollection or None
        Band of random orders.

    See Also
    --------
    PriorityMapDisplay : Where the reports are.
    sklogit.metrics.inspections_to_recall : A point of the curve.

    Examples
    --------
    >>> from sklogit.triage import InspectionCurveDisplay
    >>> display = InspectionCurveDisplay.from_predictions(
    ...     [1, 0, 1, 0, 0],
    ...     {"good": [0.9, 0.8, 0.7, 0.2, 0.1], "bad": [0.1, 0.2, 0.3, 0.4, 0.5]},
    ... )
    >>> [line.get_label() for line in display.lines_]
    ['good', 'bad']
    """

    def __init__(self, curves):
        self.curves = curves

    @classmethod
    def from_predictions(
        cls,
        y_true,
        y_score,
        *,
        name=None,
        ties="expected",
        pos_label=1,
        ax=None,
        **plot_options,
    ):
        """Draw the curves of scores.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Labels.
        y_score : array-like of shape (n_samples,) or dict of str to array-like
            Scores, the highest inspected first; several by name.
        name : str, default=None
            Name of the only scores.
        ties : {"expected", "stable"}, default="expected"
            As for `sklogit.metrics.precision_at_k`.
        pos_label : label, default=1
            The positive class.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **plot_options
            Given to `plot`.

        Returns
        -------
        InspectionCurveDisplay
            The picture.
        """
        scores = y_score if isinstance(y_score, dict) else {name or "ranked": y_score}
        curves = {
            key: inspection_curve(y_true, values, ties=ties, pos_label=pos_label)
            for key, values in scores.items()
        }
        return cls(curves).plot(ax=ax, **plot_options)

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y,
        *,
        name=None,
        ties="expected",
        pos_label=None,
        unlabeled_label=-1,
        ax=None,
        **plot_options,
    ):
        """Draw the curves of fitted estimators.

        Parameters
        ----------
        estimator : estimator or dict of str to estimator
            Ranks by `priority`, or else by decision function or probabilities; several
            by name.
        X : array-like or DataFrame, of n_samples rows
            Reports, all ranked together.
        y : array-like of shape (n_samples,)
            Labels.
        name : str, default=None
            Name of the only estimator; None takes that of its class.
        ties : {"expected", "stable"}, default="expected"
            As for `sklogit.metrics.precision_at_k`.
        pos_label : label, default=None
            The positive class; None takes the first estimator's, as
            `sklogit.metrics.make_triage_scorer` does.
        unlabeled_label : label or None, default=-1
            Label of rows that are left out after ranking; None leaves out none.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **plot_options
            Given to `plot`.

        Returns
        -------
        InspectionCurveDisplay
            The picture.
        """
        if not isinstance(estimator, dict):
            estimator = {name or type(estimator).__name__: estimator}
        if pos_label is None:
            pos_label = positive_label(next(iter(estimator.values()), None))
        y = column_or_1d(y)
        counts = np.full(len(y), True)
        if unlabeled_label is not None:
            counts &= y != unlabeled_label
        scores = {
            key: triage_scores(one, X, pos_label)[counts]
            for key, one in estimator.items()
        }
        return cls.from_predictions(
            y[counts], scores, ties=ties, pos_label=pos_label, ax=ax, **plot_options
        )

    def plot(self, *, ax=None, budget=None, band=0.95, **line_options):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        budget : float, default=None
            Number of inspections to mark by a line.
        band : float or None, default=0.95
            Share of random orders within the band; None draws none.
        **line_options
            Given to the lines of the curves.

        Returns
        -------
        InspectionCurveDisplay
            This one.

        Raises
        ------
        ValueError
            If there is no curve, curves are not of the same number of rows, or the band
            is not between 0 and 1.
        """
        n, n_positive = self._size()
        if band is not None and not 0 < band < 1:
            raise ValueError(f"band must be between 0 and 1, or None, got {band!r}.")
        self.ax_ = one_axes(ax, type(self).__name__)
        self.figure_ = self.ax_.figure
        self._draw_random(n, n_positive, band)
        self.lines_ = []
        for name, (inspected, found) in self.curves.items():
            options = {"label": name, **line_options}
            self.lines_ += self.ax_.plot(inspected, found, **options)
        if budget is not None:
            self.ax_.axvline(budget, color="0.6", linewidth=0.8, linestyle=":")
        self.ax_.set(
            xlabel="reports inspected",
            ylabel=f"positives found, of {n_positive:g}",
            xlim=(0, n),
            ylim=(0, n_positive * 1.03 or 1),
        )
        ticker = import_optional("matplotlib.ticker", type(self).__name__)
        self.ax_.yaxis.set_major_locator(ticker.MaxNLocator(integer=True))
        self.ax_.legend(frameon=False, loc="lower right")
        self.ax_.spines[["top", "right"]].set_visible(False)
        return self

    def _size(self):
        """Count the rows and positives, the same for all curves."""
        ends = {(curve[0][-1], curve[1][-1]) for curve in self.curves.values()}
        if len(ends) != 1:
            raise ValueError(
                "curves must be one or more of the same rows, found those that end at "
                f"{sorted(ends)}."
            )
        n, n_positive = ends.pop()
        return int(n), round(float(n_positive))

    def _draw_random(self, n, n_positive, band):
        # Hundreds of points are as smooth as a screen can show, on any scale of axes.
        k = np.unique(np.linspace(0, n, 400).round().astype(int))
        style = {"color": "0.45", "linewidth": 1, "linestyle": "--"}
        (self.random_,) = self.ax_.plot(
            k, k * (n_positive / n), label="random order", **style
        )
        self.band_ = None
        if band is None:
            return
        tail = (1 - band) / 2
        lower, upper = (hypergeom.ppf(q, n, n_positive, k) for q in (tail, 1 - tail))
        self.band_ = self.ax_.fill_between(
            k, lower, upper, color="0.5", alpha=0.15, linewidth=0
        )
