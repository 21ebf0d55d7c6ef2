"""Picture of the error of a sketch: against its size, and against refinement steps."""

import numpy as np
from scipy.special import ndtri
from sklearn.utils import check_random_state, check_X_y

from .._optional import import_optional
from .._plotting import stacked_axes
from ._refinement_path import refinement_path
from ._sketch_rows import sketch_rows

_MEASURES = {
    "prediction": r"$\|A(x - x^*)\| \,/\, \|r\|$",
    "coefficients": r"$\sqrt{d}\,\|x - x^*\|_\infty \,/\, (\|r\| \|A^+\|)$",
}

# With four rows a column chance may push singular values out of the range in which the
# steps of refinement converge.
_ROWS_PER_COLUMN = np.array([8, 16, 32, 64])
# More sketch sizes than these would not find a place for their numbers.
_MOST_TICKS = 8


class SketchErrorDisplay:
    r"""Error of sketched least squares, against sketch size and refinement steps.

    Left, the error of the solution of the sketched problem, against the number of rows
    of the sketch: it falls like the root of their number. Right, the error after some
    steps of refinement, a line for each sketch size: it falls by a factor in each step.
    Dashed lines are theory. Together they say why a larger sketch is a dear way to
    accuracy: a factor of ten takes a hundred times as many rows, or a few more reads of
    the data.

    Two measures of the error of x, with the exact solution :math:`x^*`, its residual r,
    d columns and the pseudo-inverse :math:`A^+`: "prediction" is
    :math:`\|A (x - x^*)\| / \|r\|`, and "coefficients" is
    :math:`\sqrt d \|x - x^*\|_\infty / (\|r\| \|A^+\|)`, which the guarantee says is at
    most ``eps``.

    Parameters
    ----------
    sketch_sizes : array-like of shape (n_sizes,)
        Numbers of rows of the sketches.
    errors : array-like of shape (n_sizes, n_steps + 1, n_repeats)
        Errors of sketch-and-solve and after each step, for independent sketches.
    n_columns : int
        Number d of columns, that of the intercept included; less if some depend on
        others.
    measure : {"prediction", "coefficients"}, default="prediction"
        What `errors` are.
    delta : float, default=0.05
        Probability of failure, for the size rule of "coefficients".
    sketch : str, default=None
        Name of the sketch, for the title.
    marked_size : int, default=None
        Sketch size to mark.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, of shape (2,)
        Panels of the sketch sizes and of the steps.
    figure_ : matplotlib Figure
        Figure of the picture.
    size_line_ : matplotlib Line2D
        Median errors without refinement.
    size_theory_ : matplotlib Line2D
        What theory says of them: :math:`\sqrt{d / (m - d - 1)}`, the root of the mean
        square for a Gaussian sketch of m rows; of "coefficients" what the size rule
        promises.
    step_lines_ : list of matplotlib Line2D
        Median errors against steps, for each sketch size.
    step_theory_ : list of matplotlib Line2D
        The factor :math:`\sqrt{d / m}` for each step.

    See Also
    --------
    sketch_size : The size rule.
    CoefficientErrorDisplay : Error bars of coefficients.

    References
    ----------
    .. [1] "Fast and Forward Stable Randomized Algorithms for Linear Least-Squares
       Problems", arXiv:2311.04362.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from sklogit.sketching import SketchErrorDisplay
    >>> X, y = make_regression(2000, 10, noise=1.0, random_state=0)
    >>> display = SketchErrorDisplay.from_data(X, y, n_repeats=3, random_state=0)
    >>> display.sketch_sizes.tolist()
    [88, 176, 352, 704]
    >>> bool((display.errors[-1, -1] < 1e-6 * display.errors[-1, 0]).all())
    True
    """

    def __init__(
        self,
        sketch_sizes,
        errors,
        *,
        n_columns,
        measure="prediction",
        delta=0.05,
        sketch=None,
        marked_size=None,
    ):
        self.sketch_sizes = sketch_sizes
        self.errors = errors
        self.n_columns = n_columns
        self.measure = measure
        self.delta = delta
        self.sketch = sketch
        self.marked_size = marked_size

    @classmethod
    def from_data(
        cls,
        X,
        y,
        *,
        sketch="block_srht",
        sketch_sizes=None,
        n_steps=12,
        n_repeats=5,
        measure="prediction",
        fit_intercept=True,
        delta=0.05,
        random_state=None,
        ax=None,
        **kwargs,
    ):
        """Sketch data with several sizes, refine, and draw the errors.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples. The exact solution is computed too: they should fit in memory.
        y : array-like of shape (n_samples,)
            Target.
        sketch : str, default="block_srht"
            Name of the sketch, see `sketch_rows`.
        sketch_sizes : sequence of int, default=None
            Numbers of rows of the sketches; None is 8, 16, 32 and 64 times the number
            of columns, as far as these are less than half of the rows.
        n_steps : int, default=12
            Steps of refinement.
        n_repeats : int, default=5
            Independent sketches of each size; lines are medians, bands go from the
            least to the largest error.
        measure : {"prediction", "coefficients"}, default="prediction"
            Measure of the error.
        fit_intercept : bool, default=True
            Whether to append a column of ones to X.
        delta : float, default=0.05
            Probability of failure, for the size rule of "coefficients".
        random_state : int, RandomState instance or None, default=None
            Randomness of the sketches.
        ax : sequence of 2 matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **kwargs
            Given to `plot`.

        Returns
        -------
        SketchErrorDisplay
            The display.

        Raises
        ------
        ValueError
            If a sketch size does not exceed the number of columns, no default size is
            small enough, the sketch or the measure is unknown, or y is fitted without
            residual: then every sketch is exact.
        """
        _check_measure(measure)
        A, b = check_X_y(X, y, dtype=np.float64, y_numeric=True)
        if fit_intercept:
            A = np.column_stack([A, np.ones(len(A))])
        sizes = _sketch_sizes(sketch_sizes, A.shape)
        error, rank = _error_measure(A, b, measure)
        rng = check_random_state(random_state)
        both = np.column_stack([A, b])
        errors = np.empty((len(sizes), n_steps + 1, n_repeats))
        for i, size in enumerate(sizes):
            for j in range(n_repeats):
                seed = rng.randint(np.iinfo(np.int32).max)
                S_both = sketch_rows(both, size, method=sketch, random_state=seed)
                errors[i, :, j] = error(refinement_path(A, b, S_both, n_steps))
        return cls(
            sizes,
            errors,
            n_columns=rank,
            measure=measure,
            delta=delta,
            sketch=sketch,
            marked_size=kwargs.pop("marked_size", None),
        ).plot(ax=ax, **kwargs)

    @classmethod
    def from_estimator(cls, estimator, X, y, *, ax=None, **kwargs):
        """Draw the errors for the sketch of an estimator.

        Parameters
        ----------
        estimator : SketchedLinearRegression
            Gives `sketch`, `fit_intercept`, `delta` and `random_state`; need not be
            fitted. If it is, and by its sketch alone, the size of that is marked.
        X : array-like of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,)
            Target.
        ax : sequence of 2 matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **kwargs
            Given to `from_data`.

        Returns
        -------
        SketchErrorDisplay
            The display.

        Raises
        ------
        TypeError
            If the estimator has no sketch.
        ValueError
            If it has a penalty, or `from_data` refuses its arguments.
        """
        if not hasattr(estimator, "sketch") or not hasattr(estimator, "alpha"):
            raise TypeError(
                "estimator must be a SketchedLinearRegression, got "
                f"{type(estimator).__name__}."
            )
        if estimator.alpha != 0:
            raise ValueError(
                f"alpha must be 0 to draw errors, got {estimator.alpha!r}: they are "
                "those of least squares without a penalty."
            )
        names = ("sketch", "fit_intercept", "delta", "random_state")
        options = {name: getattr(estimator, name) for name in names}
        if getattr(estimator, "solver_", None) == "sketch":
            options["marked_size"] = estimator.sketch_size_
        return cls.from_data(X, y, ax=ax, **{**options, **kwargs})

    def plot(self, *, ax=None, cmap="viridis_r", **line_options):
        """Draw both panels.

        Parameters
        ----------
        ax : sequence of 2 matplotlib Axes, default=None
            Where to draw; None makes a figure.
        cmap : str or Colormap, default="viridis_r"
            Colours of the sketch sizes, in their order.
        **line_options
            Given to the lines of errors.

        Returns
        -------
        SketchErrorDisplay
            The display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If other than two Axes are given, or the measure is unknown.
        """
        _check_measure(self.measure)
        sizes, errors = np.asarray(self.sketch_sizes), np.asarray(self.errors)
        self.axes_ = self._make_axes(ax)
        self.figure_ = self.axes_[0].figure
        name = type(self).__name__
        colormap = import_optional("matplotlib", name).colormaps.get_cmap(cmap)
        colors = colormap(np.linspace(0.2, 0.95, len(sizes)))
        options = {"linewidth": 1.6, "marker": "o", "markersize": 4, **line_options}
        self._draw_sizes(self.axes_[0], sizes, errors[:, 0], options)
        self._draw_steps(self.axes_[1], sizes, errors, colors, options)
        for panel in self.axes_:
            panel.set(yscale="log")
            panel.grid(alpha=0.3)
            panel.legend(fontsize="small", frameon=False)
            panel.spines[["top", "right"]].set_visible(False)
        if ax is None and self.sketch is not None:
            self.figure_.suptitle(f"sketch: {self.sketch}", fontsize="medium")
        return self

    def _make_axes(self, ax):
        name = type(self).__name__
        if ax is not None:
            return stacked_axes(ax, name, 2)
        plt = import_optional("matplotlib.pyplot", name)
        return plt.subplots(1, 2, figsize=(9.5, 4), layout="constrained")[1]

    def _draw_sizes(self, ax, sizes, errors, options):
        style = {"color": "#0072B2", "label": "median and range", **options}
        ax.fill_between(
            sizes, errors.min(axis=1), errors.max(axis=1), color="#0072B2", alpha=0.15
        )
        self.size_line_ = ax.plot(sizes, np.median(errors, axis=1), **style)[0]
        theory, label = self._size_theory(sizes)
        self.size_theory_ = ax.plot(sizes, theory, "k--", linewidth=1, label=label)[0]
        if self.marked_size is not None:
            label = f"fitted with {self.marked_size}"
            ax.axvline(self.marked_size, color="0.4", linestyle=":", label=label)
        ax.set(
            xscale="log", xlabel="rows of the sketch", ylabel=_MEASURES[self.measure]
        )
        if len(sizes) <= _MOST_TICKS:
            ax.set_xticks(sizes, sizes)
            ax.set_xticks([], minor=True)
        ax.set_title("sketch and solve", fontsize="medium")

    def _size_theory(self, sizes):
        d = self.n_columns
        if self.measure == "prediction":
            return np.sqrt(d / (sizes - d - 1.0)), r"$\sqrt{d / (m - d - 1)}$"
        z = ndtri(1 - self.delta / (2 * d))
        label = rf"size rule, $\delta$ = {self.delta:g}"
        return z * np.sqrt(d / (sizes - float(d))), label

    def _draw_steps(self, ax, sizes, errors, colors, options):
        steps = np.arange(errors.shape[1])
        self.step_lines_, self.step_theory_ = [], []
        for size, of_size, color in zip(sizes, errors, colors):
            median = np.median(of_size, axis=1)
            style = {"color": color, "label": f"m = {size}", **options}
            ax.fill_between(
                steps, of_size.min(axis=1), of_size.max(axis=1), color=color, alpha=0.15
            )
            self.step_lines_.append(ax.plot(steps, median, **style)[0])
            theory = median[0] * np.sqrt(self.n_columns / size) ** steps
            # Rounding ends the fall; theory goes on where nothing is left to see.
            theory[theory < 0.3 * errors[errors > 0].min(initial=np.inf)] = np.nan
            style = {"color": color, "linestyle": "--", "linewidth": 1}
            self.step_theory_.append(ax.plot(steps, theory, **style)[0])
        ax.plot([], [], "k--", linewidth=1, label=r"$\sqrt{d / m}$ a step")
        ax.set(xlabel="steps of refinement")
        ax.set_title("refined", fontsize="medium")


def _check_measure(measure):
    if measure not in _MEASURES:
        raise ValueError(f"measure must be one of {[*_MEASURES]}, got {measure!r}.")


def _sketch_sizes(sizes, shape):
    n_rows, n_columns = shape
    if sizes is None:
        candidates = n_columns * _ROWS_PER_COLUMN
        sizes = candidates[2 * candidates < n_rows]
        if not len(sizes):
            raise ValueError(
                f"X must have more than {2 * candidates[0]} rows for {n_columns} "
                f"columns, got {n_rows}; or give sketch_sizes."
            )
    sizes = np.array(sizes)
    if sizes.ndim != 1 or not len(sizes) or sizes.min() <= n_columns + 1:
        raise ValueError(
            f"sketch_sizes must be numbers above {n_columns + 1}, the columns and one, "
            f"got {sizes.tolist()}."
        )
    return sizes


def _error_measure(A, b, measure):
    """Return a function for the errors of iterates, one in each row, and the rank."""
    exact, _, rank, singular = np.linalg.lstsq(A, b)
    residual = np.linalg.norm(b - A @ exact)
    rounding = np.finfo(np.float64).eps * max(A.shape)
    if residual <= rounding * np.linalg.norm(b):
        raise ValueError("y is a linear function of X: every sketch is exact.")
    scale = np.sqrt(rank) * singular[rank - 1] / residual

    def prediction(path):
        return np.linalg.norm((path - exact) @ A.T, axis=1) / residual

    def coefficients(path):
        return scale * np.abs(path - exact).max(axis=1)

    return (prediction if measure == "prediction" else coefficients), rank
