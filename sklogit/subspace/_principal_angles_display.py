"""Heat map of the angles between the subspaces of classes."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._optional import import_optional
from .._plotting import one_axes

_STATISTICS = {
    "smallest": lambda angles: angles[..., 0],
    "mean": lambda angles: angles.mean(axis=-1),
    "largest": lambda angles: angles[..., -1],
}
# Numbers in the cells of more classes are too small to read.
_MOST_CLASSES_WITH_NUMBERS = 12


class PrincipalAnglesDisplay:
    """Heat map of the angles between the subspaces of all pairs of classes.

    Classes whose subspaces are close share directions of features, and are the ones to
    be confused. Two subspaces of dimension k have k principal angles, of which a cell
    shows the smallest, the mean or the largest.

    Parameters
    ----------
    angles : ndarray of shape (n_classes, n_classes, n_components)
        Principal angles in degrees, the smallest of a pair first, as
        `GrassmannClassifier.subspace_angles` returns them.
    class_names : sequence of str, default=None
        Names of the classes; None numbers them.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the picture.
    figure_ : matplotlib Figure
        Figure of the picture.
    image_ : matplotlib AxesImage
        The cells; those of a class with itself are empty.
    text_ : ndarray of matplotlib Text, of shape (n_classes, n_classes), or None
        Numbers in the cells.
    colorbar_ : matplotlib Colorbar or None
        Scale of the colours.

    See Also
    --------
    GrassmannClassifier : The classifier.
    ClassVariabilityDisplay : The width of the classes.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklogit.subspace import GrassmannClassifier, PrincipalAnglesDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = GrassmannClassifier(4, max_iter=0).fit(X, y)
    >>> display = PrincipalAnglesDisplay.from_estimator(clf)
    >>> display.ax_.get_title()
    'mean principal angle'
    """

    def __init__(self, angles, *, class_names=None):
        self.angles = angles
        self.class_names = class_names

    @classmethod
    def from_estimator(cls, estimator, *, ax=None, **kwargs):
        """Draw the angles of a fitted classifier.

        Parameters
        ----------
        estimator : estimator
            Fitted, with `subspace_angles` and `classes_`, such as
            `GrassmannClassifier`.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **kwargs
            Given to `plot`.

        Returns
        -------
        PrincipalAnglesDisplay
            The display.

        Raises
        ------
        TypeError
            If the estimator has no subspaces.
        """
        if not hasattr(estimator, "subspace_angles"):
            raise TypeError(
                "estimator must have the method subspace_angles, got "
                f"{type(estimator).__name__}."
            )
        check_is_fitted(estimator)
        display = cls(estimator.subspace_angles(), class_names=estimator.classes_)
        return display.plot(ax=ax, **kwargs)

    def plot(
        self,
        *,
        statistic="mean",
        ax=None,
        cmap="viridis",
        colorbar=True,
        include_values=None,
        **image_options,
    ):
        """Draw the heat map.

        Parameters
        ----------
        statistic : {"smallest", "mean", "largest"}, default="mean"
            What of the angles of a pair to show.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        cmap : str or Colormap, default="viridis"
            Colours.
        colorbar : bool, default=True
            Whether to draw their scale.
        include_values : bool, default=None
            Whether to write the degrees into the cells; None does so for up to 12
            classes.
        **image_options
            Given to ``imshow``.

        Returns
        -------
        PrincipalAnglesDisplay
            The display.

        Raises
        ------
        ValueError
            If there is no such statistic.
        """
        if statistic not in _STATISTICS:
            raise ValueError(
                f"statistic must be one of {list(_STATISTICS)}, got {statistic!r}."
            )
        self.ax_ = one_axes(ax, type(self).__name__)
        self.figure_ = self.ax_.figure
        values = _STATISTICS[statistic](np.asarray(self.angles, dtype=np.float64))
        # A class is at no angle to itself, which would take half of the colours.
        values = np.ma.masked_array(values, np.eye(len(values), dtype=bool))
        self.image_ = self.ax_.imshow(values, cmap=cmap, **image_options)
        self.colorbar_ = None
        if colorbar:
            self.colorbar_ = self.figure_.colorbar(
                self.image_, ax=self.ax_, label="degrees"
            )
        self._label(statistic, len(values))
        if include_values is None:
            include_values = len(values) <= _MOST_CLASSES_WITH_NUMBERS
        self.text_ = self._write(values) if include_values else None
        return self

    def _label(self, statistic, n_classes):
        names = range(n_classes) if self.class_names is None else self.class_names
        names = [str(name) for name in names]
        if n_classes <= 2 * _MOST_CLASSES_WITH_NUMBERS:
            long = max(map(len, names)) > 3
            rotation = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
            self.ax_.set_xticks(range(n_classes), names, **(rotation if long else {}))
            self.ax_.set_yticks(range(n_classes), names)
        else:
            ticker = import_optional("matplotlib.ticker", type(self).__name__)
            for axis in (self.ax_.xaxis, self.ax_.yaxis):
                axis.set_major_locator(ticker.MaxNLocator(integer=True))
        self.ax_.set(xlabel="class", ylabel="class")
        self.ax_.set_title(f"{statistic} principal angle")

    def _write(self, values):
        text = np.empty(values.shape, dtype=object)
        cells = self.image_.cmap(self.image_.norm(values.filled(0.0)))
        light = cells[..., :3] @ [0.3, 0.6, 0.1] > 0.5
        for i, j in np.argwhere(~np.ma.getmaskarray(values)):
            text[i, j] = self.ax_.text(
                j,
                i,
                f"{values[i, j]:.0f}",
                ha="center",
                va="center",
                color="black" if light[i, j] else "white",
            )
        return text
