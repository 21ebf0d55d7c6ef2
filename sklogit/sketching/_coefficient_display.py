"""Picture of coefficients with the error bars of a sketch, beside exact ones."""

import numpy as np

from .._optional import import_optional
from .._plotting import stacked_axes

# Colours of Okabe and Ito, which colour-blind readers can tell apart.
_COLORS = {False: "#0072B2", True: "#D55E00"}  # inside, outside of the bar

_ORDERS = {
    "magnitude": "largest coefficients first",
    "error": "widest bars first",
    "deviation": "largest deviations first",
    None: "in their order",
}
_KINDS = ("coefficients", "deviations")


class CoefficientErrorDisplay:
    """Coefficients with their error bars, beside those of a reference.

    A row for each feature, a panel for each target. With a reference, such as the exact
    fit, the colour says whether the bar covers it. The bars are simultaneous: with the
    probability in the legend all bars of a target cover the coefficients of exact least
    squares. They tell how far the sketch may be from these, and not how far these are
    from the truth.

    Parameters
    ----------
    coef : array-like of shape (n_features,) or (n_targets, n_features)
        Coefficients.
    half_widths : array-like of the same shape
        Half the width of each bar, in units of the coefficient.
    reference : array-like of the same shape, default=None
        Coefficients to compare with; None for none.
    feature_names : sequence of str, default=None
        Names of the rows; None is x0, x1, ...
    target_names : sequence of str, default=None
        Titles of the panels; None is target 0, target 1, ..., or no title if there is
        only one.
    label : str, default="error bar"
        What the bars are, for the legend.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, of shape (n_panels,)
        A panel for each target drawn.
    figure_ : matplotlib Figure
        Figure of the picture.
    features_ : ndarray of shape (n_rows,)
        Indices of the features drawn, from top to bottom.
    bars_ : list of matplotlib LineCollection
        Bars of each panel; empty if deviations are drawn.
    points_ : list of matplotlib PathCollection
        Coefficients of each panel, or their deviations.
    references_ : list of matplotlib PathCollection
        Those of the reference, of each panel; empty without one.

    See Also
    --------
    SketchedLinearRegression : Gives ``coef_`` and ``coef_error_``.
    SketchErrorDisplay : Error against the size of the sketch.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from sklogit.sketching import (
    ...     CoefficientErrorDisplay,
    ...     SketchedLinearRegression,
    ... )
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((5000, 4))
    >>> y = X @ [3.0, -1.0, 0.0, 2.0] + rng.standard_normal(5000)
    >>> reg = SketchedLinearRegression(sketch_size=500, solver="sketch", random_state=0)
    >>> display = CoefficientErrorDisplay.from_estimator(
    ...     reg.fit(X, y), reference=LinearRegression().fit(X, y)
    ... )
    >>> [label.get_text() for label in display.axes_[0].get_yticklabels()]
    ['x0', 'x3', 'x1', 'x2']
    """

    def __init__(
        self,
        coef,
        half_widths,
        *,
        reference=None,
        feature_names=None,
        target_names=None,
        label="error bar",
    ):
        self.coef = coef
        self.half_widths = half_widths
        self.reference = reference
        self.feature_names = feature_names
        self.target_names = target_names
        self.label = label

    @classmethod
    def from_estimator(
        cls, estimator, *, reference=None, feature_names=None, ax=None, **kwargs
    ):
        """Draw the coefficients of a fitted regression.

        Parameters
        ----------
        estimator : SketchedLinearRegression
            Fitted regression.
        reference : estimator or array-like, default=None
            Fitted linear regression, or coefficients of the shape of ``coef_``, to
            compare with.
        feature_names : sequence of str, default=None
            Names of the features; None is ``feature_names_in_``, or x0, x1, ...
        ax : Axes, or sequence of Axes, default=None
            Where to draw, one for each target drawn; None makes a figure.
        **kwargs
            Given to `plot`.

        Returns
        -------
        CoefficientErrorDisplay
            The display.

        Raises
        ------
        TypeError
            If the estimator has no ``coef_error_``: it is not fitted, or not sketched.
        ValueError
            If shapes differ, or `plot` refuses its arguments.
        """
        if not hasattr(estimator, "coef_error_"):
            raise TypeError(
                "estimator must be a fitted SketchedLinearRegression, got "
                f"{type(estimator).__name__} without coef_error_."
            )
        if feature_names is None:
            feature_names = getattr(estimator, "feature_names_in_", None)
        return cls(
            estimator.coef_,
            estimator.coef_error_,
            reference=getattr(reference, "coef_", reference),
            feature_names=feature_names,
            label=_bar_label(estimator),
        ).plot(ax=ax, **kwargs)

    def plot(
        self,
        *,
        ax=None,
        kind="coefficients",
        sort_by="magnitude",
        max_features=20,
        max_targets=4,
        **bar_options,
    ):
        """Draw a panel for each target.

        Parameters
        ----------
        ax : Axes, or sequence of Axes, default=None
            Where to draw, one for each target drawn; None makes a figure.
        kind : {"coefficients", "deviations"}, default="coefficients"
            Coefficients with their bars, or their deviations from the reference in
            units of half a bar, which shows bars too short to be seen; the grey band is
            the bar.
        sort_by : {"magnitude", "error", "deviation"} or None, default="magnitude"
            Order of the features: by absolute coefficients, by the widths of bars, or
            by deviations in units of the bar, the largest first; None keeps theirs. Of
            several targets each is scaled to a maximum of 1, and the largest value
            counts. Coefficients of features of different units do not compare:
            "deviation" is free of units.
        max_features : int, default=20
            Most features drawn, the first in this order; None draws all.
        max_targets : int, default=4
            Most targets drawn, the first; None draws all.
        **bar_options
            Given to ``Axes.hlines``, which draws the bars.

        Returns
        -------
        CoefficientErrorDisplay
            The display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If shapes differ, an option is unknown, deviations are asked for without a
            reference, or another number of Axes is given than targets are drawn.
        """
        coef, half_widths, reference = self._checked(kind, sort_by)
        shown = slice(max_targets)
        deviation = _deviation(coef, half_widths, reference)
        keys = {"magnitude": coef, "error": half_widths, "deviation": deviation}
        order = _order(keys[sort_by][shown]) if sort_by else np.arange(coef.shape[1])
        self.features_ = order[:max_features]
        n_targets = len(coef[shown])
        self.axes_ = self._make_axes(ax, n_targets)
        self.figure_ = self.axes_[0].figure
        self.bars_, self.points_, self.references_ = [], [], []
        for k, panel in enumerate(self.axes_):
            values = [coef[k], half_widths[k], None, deviation[k]]
            if reference is not None:
                values[2] = reference[k]
            if kind == "deviations":
                values = [deviation[k], np.ones_like(deviation[k]), None, deviation[k]]
            rows = [v if v is None else v[self.features_] for v in values]
            self._draw(panel, *rows, bars=kind == "coefficients", options=bar_options)
        self._label(kind, sort_by, coef.shape)
        self._add_legend(kind, outside=ax is None)
        return self

    def _checked(self, kind, sort_by):
        if kind not in _KINDS:
            raise ValueError(f"kind must be one of {_KINDS}, got {kind!r}.")
        if sort_by not in _ORDERS:
            raise ValueError(f"sort_by must be one of {[*_ORDERS]}, got {sort_by!r}.")
        if self.reference is None and "deviation" in (kind.removesuffix("s"), sort_by):
            raise ValueError("deviations need a reference, got None.")
        coef = np.atleast_2d(np.asarray(self.coef, dtype=np.float64))
        arrays = {"half_widths": self.half_widths, "reference": self.reference}
        for name, values in arrays.items():
            if values is not None:
                arrays[name] = np.atleast_2d(np.asarray(values, dtype=np.float64))
                if arrays[name].shape != coef.shape:
                    raise ValueError(
                        f"{name} must have the shape of coef, {np.shape(self.coef)}, "
                        f"got {np.shape(values)}."
                    )
        names = self.feature_names
        if names is not None and len(names) != coef.shape[1]:
            raise ValueError(
                f"feature_names must be {coef.shape[1]} names, got {len(names)}."
            )
        names = self.target_names
        if names is not None and len(names) != coef.shape[0]:
            raise ValueError(
                f"target_names must be {coef.shape[0]} names, got {len(names)}."
            )
        return coef, arrays["half_widths"], arrays["reference"]

    def _make_axes(self, ax, n_targets):
        name = type(self).__name__
        if ax is not None:
            return stacked_axes(ax, name, n_targets)
        plt = import_optional("matplotlib.pyplot", name)
        size = (min(4.2 + 2.6 * n_targets, 13), 1.6 + 0.26 * len(self.features_))
        return plt.subplots(
            1, n_targets, sharey=True, squeeze=False, figsize=size, layout="constrained"
        )[1][0]

    def _draw(self, ax, values, half_widths, reference, deviation, bars, options):
        rows = np.arange(len(values))
        colors = [_COLORS[bool(missed)] for missed in np.abs(deviation) > 1]
        if not bars:
            ax.axvspan(-1, 1, color="0.9", zorder=0)
            ax.set_xlim(*np.array([-1.1, 1.1]) * max(1, np.abs(values).max(initial=0)))
        ax.axvline(0, color="0.6", linewidth=0.8, zorder=1)
        if bars:
            ends = values - half_widths, values + half_widths
            style = {"colors": colors, "linewidth": 1.8, **options}
            self.bars_.append(ax.hlines(rows, *ends, **style))
        self.points_.append(ax.scatter(values, rows, s=22, color=colors, zorder=3))
        if reference is not None:
            style = {"marker": "D", "facecolor": "none", "edgecolor": "k", "zorder": 4}
            self.references_.append(ax.scatter(reference, rows, s=34, **style))
        ax.set_ylim(len(values) - 0.5, -0.5)  # the first on top
        ax.grid(axis="x", alpha=0.3)
        ax.spines[["top", "right"]].set_visible(False)

    def _label(self, kind, sort_by, shape):
        n_targets, n_features = shape
        names = self.feature_names
        if names is None:
            names = [f"x{j}" for j in range(n_features)]
        titles = self.target_names
        if titles is None and n_targets > 1:
            titles = [f"target {k}" for k in range(n_targets)]
        label = "coefficient"
        if kind == "deviations":
            label = "deviation from the reference\nin half widths of the bar"
        for k, ax in enumerate(self.axes_):
            ax.set_yticks(
                range(len(self.features_)), [names[j] for j in self.features_]
            )
            ax.set_xlabel(label)
            if titles is not None:
                ax.set_title(titles[k], fontsize="medium")
            if k and ax.get_shared_y_axes().joined(ax, self.axes_[0]):
                ax.tick_params(axis="y", left=False, labelleft=False)
        counts = [
            f"{shown} of {n} {what}"
            for shown, n, what in (
                (len(self.features_), n_features, "features"),
                (len(self.axes_), n_targets, "targets"),
            )
            if shown < n
        ]
        if counts:
            self.axes_[0].set_ylabel(f"{', '.join(counts)},\n{_ORDERS[sort_by]}")

    def _add_legend(self, kind, outside):
        name = type(self).__name__
        line = import_optional("matplotlib.lines", name).Line2D
        patch = import_optional("matplotlib.patches", name).Patch
        dot = {"marker": "o", "linestyle": ""}
        missed = line([], [], color=_COLORS[True], label="misses the reference", **dot)
        if kind == "deviations":
            inside = line([], [], color=_COLORS[False], label="coefficient", **dot)
            handles = [patch(color="0.9", label=self.label), inside, missed]
        else:
            handles = [line([], [], color=_COLORS[False], marker="o", label=self.label)]
        if self.references_:
            hollow = {"color": "k", "marker": "D", "markerfacecolor": "none"}
            handles += [missed, line([], [], linestyle="", label="reference", **hollow)]
        if outside:
            place = {"loc": "outside upper center", "ncols": len(handles)}
            self.figure_.legend(handles=handles, frameon=False, **place)
        else:
            self.axes_[0].legend(handles=handles, fontsize="small")


def _bar_label(estimator):
    if getattr(estimator, "solver_", "sketch") != "sketch":
        return "bound of the error"
    return f"{100 * (1 - estimator.delta):g} % simultaneous error bar"


def _deviation(coef, half_widths, reference):
    """Differences to the reference in half widths, zeros without a reference."""
    if reference is None:
        return np.zeros_like(coef)
    # No coefficient is known better than to rounding, whatever its bar says.
    size = np.maximum(np.abs(coef), np.abs(reference)).max(axis=1, keepdims=True)
    rounding = np.finfo(np.float64).eps * size
    width = np.maximum(half_widths, rounding)
    return np.divide(coef - reference, width, where=width > 0, out=np.zeros_like(coef))


def _order(values):
    """Features by their largest absolute value, where each target has maximum 1."""
    size = np.abs(values)
    largest = size.max(axis=1, keepdims=True)
    score = np.divide(size, largest, where=largest > 0, out=np.zeros_like(size))
    return np.argsort(-score.max(axis=0), kind="stable")
