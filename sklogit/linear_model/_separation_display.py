"""Picture of the way to separation: errors, loss and bounds of the margin."""

import numpy as np
from sklearn.utils.extmath import row_norms
from sklearn.utils.validation import check_array

from .._optional import import_optional
from .._plotting import stacked_axes
from ._path import normalized_gd_path

# The loss falls without end after separation; below this nothing is worth drawing.
_LOSS_FLOOR = 1e-6


class SeparationCurveDisplay:
    """Training errors, loss and margin against iterations, a line for each step size.

    With large steps the loss is high and separation close: the picture shows both. A
    dot marks the first iterate without training errors, where the lines of errors and
    loss end; the bounds of the margin go on.

    Parameters
    ----------
    paths : dict
        Paths, as `normalized_gd_path` returns them, by their names in the legend.
    title : str, default=None
        Title of the legend.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, of shape (3,)
        Panels of the errors, the loss and the margin.
    figure_ : matplotlib Figure
        Figure of the picture.
    lines_ : ndarray of matplotlib Line2D, of shape (n_paths, 4)
        For each path the errors, the loss, and the lower and upper bound of the margin.

    See Also
    --------
    normalized_gd_path : Computes the paths.
    NormalizedLogisticRegression : The classifier.

    References
    ----------
    .. [1] "From Logistic Regression to the Perceptron Algorithm: Exploring Gradient
       Descent with Large Step Sizes", arXiv:2412.08424.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklogit.linear_model import SeparationCurveDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> display = SeparationCurveDisplay.from_data(X[:100], y[:100], max_iter=100)
    >>> [ax.get_ylabel() for ax in display.axes_]
    ['training errors', 'mean loss', 'margin']
    """

    def __init__(self, paths, *, title=None):
        self.paths = paths
        self.title = title

    @classmethod
    def from_data(
        cls,
        X,
        y,
        *,
        gammas=(0.1, 1, 10, 100),
        method="normalized_lr_gd",
        max_iter=1000,
        fit_intercept=True,
        stop=False,
        ax=None,
        **kwargs,
    ):
        """Compute the paths of several step sizes and draw them.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,)
            Labels of two classes.
        gammas : sequence of float, default=(0.1, 1, 10, 100)
            Step sizes, not scaled by the data.
        method : str, default="normalized_lr_gd"
            The update, see `normalized_gd_path`.
        max_iter : int, default=1000
            Most iterations.
        fit_intercept : bool, default=True
            Whether to append a column of ones to X.
        stop : bool, default=False
            Whether to end a path where it separates. Otherwise the bounds of the margin
            are followed to `max_iter`.
        ax : sequence of 3 matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **kwargs
            Given to `plot`.

        Returns
        -------
        SeparationCurveDisplay
            The display.
        """
        options = {"max_iter": max_iter, "fit_intercept": fit_intercept, "stop": stop}
        paths = {
            f"{gamma:g}": normalized_gd_path(
                X, y, gamma=gamma, method=method, **options
            )
            for gamma in gammas
        }
        return cls(paths, title=r"step size $\gamma$").plot(ax=ax, **kwargs)

    @classmethod
    def from_estimator(
        cls, estimator, X, y, *, step_sizes=(0.1, 1, 10, 100), ax=None, **kwargs
    ):
        r"""Compute the paths of an estimator with several step sizes and draw them.

        Parameters
        ----------
        estimator : NormalizedLogisticRegression
            Gives the update, `step_scaling`, `fit_intercept` and `max_iter`; need not
            be fitted.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,)
            Labels of two classes.
        step_sizes : sequence of float, default=(0.1, 1, 10, 100)
            Values of its parameter `step_size` c, with :math:`\gamma = c / R^2` if its
            `step_scaling` is "radius".
        ax : sequence of 3 matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **kwargs
            Given to `plot`.

        Returns
        -------
        SeparationCurveDisplay
            The display.

        Raises
        ------
        TypeError
            If the estimator has no step size.
        ValueError
            If it changes the rows (`preconditioner`, `class_weight`,
            `intercept_scaling`): the paths are those of the rows as they are.
        """
        _check_plain(estimator)
        scale = 1.0
        if estimator.step_scaling == "radius":
            X = check_array(X, accept_sparse="csr", dtype=np.float64)
            scale = row_norms(X, squared=True).max() + bool(estimator.fit_intercept)
        options = {
            "max_iter": estimator.max_iter,
            "fit_intercept": estimator.fit_intercept,
            "method": "normalized_lr_gd" if estimator.normalize else "lr_gd",
            "stop": False,
        }
        paths = {
            f"{c:g}": normalized_gd_path(X, y, gamma=c / (scale or 1.0), **options)
            for c in step_sizes
        }
        return cls(paths, title="step_size").plot(ax=ax, **kwargs)

    @classmethod
    def from_paths(cls, paths, *, title=None, ax=None, **kwargs):
        """Draw given paths, for instance those of several methods.

        Parameters
        ----------
        paths : dict
            Paths, as `normalized_gd_path` returns them, by their names in the legend.
        title : str, default=None
            Title of the legend.
        ax : sequence of 3 matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **kwargs
            Given to `plot`.

        Returns
        -------
        SeparationCurveDisplay
            The display.
        """
        return cls(paths, title=title).plot(ax=ax, **kwargs)

    def plot(self, *, ax=None, cmap="viridis_r", **line_options):
        """Draw the three panels over a common logarithmic axis of iterations.

        Parameters
        ----------
        ax : sequence of 3 matplotlib Axes, default=None
            Where to draw; None makes a figure.
        cmap : str or Colormap, default="viridis_r"
            Colours of the paths, in their order.
        **line_options
            Given to the lines.

        Returns
        -------
        SeparationCurveDisplay
            The display.

        Raises
        ------
        ValueError
            If there are no paths, or not three Axes.
        """
        if not self.paths:
            raise ValueError("paths must hold at least one path, got none.")
        name = type(self).__name__
        self.axes_ = stacked_axes(ax, name, 3, figsize=(6.4, 8))
        self.figure_ = self.axes_[0].figure
        colormap = import_optional("matplotlib", name).colormaps.get_cmap(cmap)
        colors = colormap(np.linspace(0.2, 0.95, len(self.paths)))
        options = {"linewidth": 1.6, **line_options}
        self.lines_ = np.array(
            [
                _draw_path(self.axes_, path, color, options)
                for path, color in zip(self.paths.values(), colors, strict=True)
            ]
        )
        self._label()
        for panel in self.axes_[2:] if ax is None else self.axes_:
            panel.set_xlabel("iteration")
        self._add_legends(outside=ax is None)
        return self

    def _label(self):
        errors, loss, margin = self.axes_
        most = max(path["n_errors"].max() for path in self.paths.values())
        # Linear up to one error, so that zero errors have a place.
        errors.set_yscale("symlog", linthresh=1, linscale=0.5)
        decades = 10 ** np.arange(np.floor(np.log10(max(most, 1))) + 1).astype(int)
        errors.set_yticks([0, *decades], ["0", *map(str, decades)])
        errors.set_ylim(-0.35, 2 * most)
        errors.set_ylabel("training errors")
        loss.set(yscale="log", ylabel="mean loss")
        margin.set(yscale="log", ylabel="margin")
        longest = max(len(path["n_errors"]) for path in self.paths.values()) - 1
        for ax in self.axes_:
            ax.set(xscale="log", xlim=(0.8, 1.25 * longest))
            ax.grid(alpha=0.3)

    def _add_legends(self, outside):
        labels = list(self.paths)
        owner, options = self.axes_[0], {"title": self.title}
        if outside:
            owner = self.figure_
            options |= {"loc": "outside upper center", "ncols": min(len(labels), 4)}
        owner.legend(self.lines_[:, 0], labels, **options)
        line = import_optional("matplotlib.lines", type(self).__name__).Line2D
        meaning = {
            "upper bound": {"linestyle": "--"},
            "lower bound": {"linestyle": "-"},
            "first iterate without errors": {"linestyle": "", "marker": "o"},
        }
        handles = [line([], [], color="0.3", **style) for style in meaning.values()]
        self.axes_[2].legend(handles, list(meaning))


def _draw_path(axes, path, color, options):
    # At t = 0 all paths are the same, and a logarithmic axis has no zero.
    t = np.arange(1, len(path["n_errors"]))
    separated = np.flatnonzero(path["n_errors"][1:] == 0)[:1]
    end = separated[0] + 1 if len(separated) else None
    # A bound holds from the iterate on that proves it. A margin that is not positive
    # has no place on a logarithmic axis: its line starts at separation.
    lower = np.maximum.accumulate(path["margin_lower"])[1:]
    upper = np.minimum.accumulate(path["margin_upper"])[1:]
    curves = [
        (axes[0], path["n_errors"][1:][:end], "-"),
        (axes[1], path["loss"][1:][:end].clip(_LOSS_FLOOR), "-"),
        (axes[2], np.where(lower > 0, lower, np.nan), "-"),
        (axes[2], upper, "--"),
    ]
    for ax, values, _ in curves[:3]:
        ax.plot(t[separated], values[separated], "o", color=color, markersize=6)
    return [
        ax.plot(
            t[: len(values)],
            values,
            **{"color": color, "linestyle": style, **options},
        )[0]
        for ax, values, style in curves
    ]


def _check_plain(estimator):
    if not hasattr(estimator, "step_size") or not hasattr(estimator, "step_scaling"):
        raise TypeError(
            "estimator must be a NormalizedLogisticRegression, got "
            f"{type(estimator).__name__}."
        )
    if estimator.acceleration is not None:
        raise ValueError(
            f"acceleration={estimator.acceleration!r} has no step size to vary: draw "
            "its path with from_paths."
        )
    allowed = {"preconditioner": None, "class_weight": None, "intercept_scaling": 1}
    for name, value in allowed.items():
        found = getattr(estimator, name)
        if found != value:
            raise ValueError(f"{name} must be {value} to draw paths, got {found!r}.")
