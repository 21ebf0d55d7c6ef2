"""Picture of the spread of features within classes."""

from itertools import cycle

import numpy as np

from .._optional import import_optional
from .._plotting import one_axes
from ._variability import class_variability

_LABELS = {
    "angle": "angle to the class mean (degrees)",
    "dimension": "effective dimension of a class",
}


class ClassVariabilityDisplay:
    r"""Spread of features within classes, against the dimension of subspaces.

    A linear head pulls the features of a class onto one vector; subspaces leave them
    room, which makes features more useful for other tasks [1]_. For features of unit
    norm the spread of a class is

    * ``"angle"``: the mean angle to the direction of the class mean, in degrees;
    * ``"dimension"``: the participation ratio :math:`(\sum \lambda)^2 / \sum \lambda^2`
      of the eigenvalues of the class covariance, between 1 and the number of features.

    Parameters
    ----------
    dimensions : sequence of float
        Dimension of the subspaces, for each row of `variability`.
    variability : array-like of shape (n_dimensions, n_classes)
        Spread of each class.
    references : dict, default=None
        Spreads of each class, of shape (n_classes,), for features of other heads, by
        their names in the legend.
    measure : {"angle", "dimension"}, default="angle"
        What the numbers are.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the picture.
    figure_ : matplotlib Figure
        Figure of the picture.
    line_ : matplotlib Line2D
        Mean over the classes.
    class_lines_ : list of matplotlib Line2D
        A thin line for each class.
    reference_lines_ : list of matplotlib Line2D
        A level line for the mean of each reference.

    See Also
    --------
    GrassmannClassifier : The classifier.
    PrincipalAnglesDisplay : The angles between the classes.

    References
    ----------
    .. [1] "Get the Best of Both Worlds: Improving Accuracy and Transferability by
       Grassmann Class Representation", arXiv:2308.01547.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.subspace import ClassVariabilityDisplay
    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(300) % 3
    >>> features = {
    ...     k: 3 * np.eye(3, 20)[y] + rng.normal(size=(300, 20)) * (np.arange(20) < k)
    ...     for k in (1, 4, 16)
    ... }
    >>> display = ClassVariabilityDisplay.from_features(features, y)
    >>> display.variability.mean(axis=1).round().tolist()
    [10.0, 28.0, 51.0]
    """

    def __init__(self, dimensions, variability, *, references=None, measure="angle"):
        self.dimensions = dimensions
        self.variability = variability
        self.references = references
        self.measure = measure

    @classmethod
    def from_features(
        cls, features, y, *, references=None, measure="angle", ax=None, **kwargs
    ):
        """Measure the spread of given features and draw it.

        Parameters
        ----------
        features : dict
            Features, of shape (n_samples, n_features), by the dimension of the
            subspaces with which they were trained.
        y : array-like of shape (n_samples,)
            Labels.
        references : dict, default=None
            Features of other heads by their names, for instance of a linear one.
        measure : {"angle", "dimension"}, default="angle"
            Measure of the spread.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **kwargs
            Given to `plot`.

        Returns
        -------
        ClassVariabilityDisplay
            The display.

        Raises
        ------
        ValueError
            If there are no features, or no such measure.
        """
        if not features:
            raise ValueError("features must hold those for at least one dimension.")
        spreads = [class_variability(features[k], y, measure) for k in sorted(features)]
        references = {
            name: class_variability(others, y, measure)
            for name, others in (references or {}).items()
        }
        display = cls(
            sorted(features),
            np.stack(spreads),
            references=references,
            measure=measure,
        )
        return display.plot(ax=ax, **kwargs)

    @classmethod
    def from_estimators(
        cls, estimators, X, y, *, references=None, measure="angle", ax=None, **kwargs
    ):
        """Measure the spread of what fitted estimators make of X, and draw it.

        Parameters
        ----------
        estimators : dict
            Fitted estimators by the dimension of their subspaces. Their features are
            what `transform` returns: those before the head for a net, and the
            coordinates of the projections for `GrassmannClassifier`.
        X : array-like
            Data.
        y : array-like of shape (n_samples,)
            Labels.
        references : dict, default=None
            Other fitted estimators by their names, for instance with a linear head.
        measure : {"angle", "dimension"}, default="angle"
            Measure of the spread.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **kwargs
            Given to `plot`.

        Returns
        -------
        ClassVariabilityDisplay
            The display.

        Raises
        ------
        TypeError
            If an estimator has no `transform`.
        """
        features, others = (
            {name: _features(estimator, X) for name, estimator in group.items()}
            for group in (estimators, references or {})
        )
        return cls.from_features(
            features, y, references=others, measure=measure, ax=ax, **kwargs
        )

    def plot(self, *, ax=None, **line_options):
        """Draw a thin line for each class, and the mean over the classes.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **line_options
            Given to the line of the mean.

        Returns
        -------
        ClassVariabilityDisplay
            The display.

        Raises
        ------
        ValueError
            If `variability` has not a row for each dimension.
        """
        spreads = np.atleast_2d(self.variability)
        if len(spreads) != len(self.dimensions):
            raise ValueError(
                f"variability must have a row for each of the {len(self.dimensions)} "
                f"dimensions, got shape {spreads.shape}."
            )
        self.ax_ = one_axes(ax, type(self).__name__)
        self.figure_ = self.ax_.figure
        self.class_lines_ = self.ax_.plot(
            self.dimensions, spreads, color="tab:blue", alpha=0.25, linewidth=1
        )
        options = {"color": "tab:blue", "marker": "o", "linewidth": 2, **line_options}
        (self.line_,) = self.ax_.plot(
            self.dimensions, spreads.mean(axis=1), label="subspaces", **options
        )
        self.class_lines_[0].set_label("each class")
        styles = zip(self.references or {}, cycle(("--", ":", "-.")))
        self.reference_lines_ = [
            self.ax_.axhline(
                np.mean(self.references[name]), color="0.3", linestyle=s, label=name
            )
            for name, s in styles
        ]
        self._label()
        return self

    def _label(self):
        self.ax_.set_xscale("log", base=2)
        ticker = import_optional("matplotlib.ticker", type(self).__name__)
        self.ax_.set_xticks(self.dimensions, [f"{k:g}" for k in self.dimensions])
        self.ax_.xaxis.set_minor_locator(ticker.NullLocator())
        self.ax_.set(xlabel="dimension of the subspaces", ylabel=_LABELS[self.measure])
        self.ax_.grid(alpha=0.3)
        self.ax_.legend()


def _features(estimator, X):
    if not hasattr(estimator, "transform"):
        raise TypeError(
            "estimators must have the method transform, got "
            f"{type(estimator).__name__}."
        )
    return estimator.transform(X)
