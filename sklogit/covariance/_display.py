"""Pictures of augmented covariances and of the search for their parameters."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._optional import import_optional
from .._plotting import one_axes
from ._validation import check_epochs


class EmbeddingScoreDisplay:
    """Score of a cross-validated search over order and lag.

    Parameters
    ----------
    scores : ndarray of shape (n_orders, n_lags)
        Mean score of the best classifier at each (order, lag); nan where none could be
        fitted.
    orders : ndarray of shape (n_orders,)
        Orders, increasing.
    lags : ndarray of shape (n_lags,)
        Lags in samples, increasing.
    score_name : str, default="score"
        What the scores are, for the colour bar.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the picture.
    figure_ : matplotlib Figure
        Figure of the picture.
    im_ : matplotlib AxesImage
        The map.
    text_ : ndarray of matplotlib Text or None
        The values written into the cells.

    See Also
    --------
    AugmentedCovarianceClassifierCV : The search.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.covariance import EmbeddingScoreDisplay
    >>> display = EmbeddingScoreDisplay(
    ...     np.array([[0.5, 0.5], [0.8, 0.9]]), orders=np.array([1, 2]),
    ...     lags=np.array([1, 2]), score_name="accuracy",
    ... )
    >>> display.plot().ax_.get_xlabel()
    'lag (samples)'
    """

    def __init__(self, scores, *, orders, lags, score_name="score"):
        self.scores = scores
        self.orders = orders
        self.lags = lags
        self.score_name = score_name

    @classmethod
    def from_estimator(cls, estimator, *, ax=None, **kwargs):
        """Draw the scores of a fitted search.

        Parameters
        ----------
        estimator : AugmentedCovarianceClassifierCV or GridSearchCV
            Fitted search whose candidates have parameters named, or ending in,
            ``order`` and ``lag``.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **kwargs
            Given to `plot`.

        Returns
        -------
        EmbeddingScoreDisplay
            The display.

        Raises
        ------
        ValueError
            If the search has no parameter for the order or the lag.
        """
        check_is_fitted(estimator, "cv_results_")
        results = estimator.cv_results_
        order, lag = (_parameter(results, name) for name in ("order", "lag"))
        orders, rows = np.unique(order, return_inverse=True)
        lags, columns = np.unique(lag, return_inverse=True)
        scores = np.full((len(orders), len(lags)), np.nan)
        # fmax ignores nan: candidates that could not be fitted.
        np.fmax.at(scores, (rows, columns), results["mean_test_score"])
        scoring = getattr(estimator, "scoring", None)
        name = scoring if isinstance(scoring, str) else "score"
        display = cls(scores, orders=orders, lags=lags, score_name=name)
        return display.plot(ax=ax, **kwargs)

    def plot(
        self, *, ax=None, cmap="viridis", include_values=True, values_format=".2f"
    ):
        """Draw the map of scores; the best cell has a frame.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        cmap : str or Colormap, default="viridis"
            Colour map.
        include_values : bool, default=True
            Whether to write the scores into the cells.
        values_format : str, default=".2f"
            Format of these.

        Returns
        -------
        EmbeddingScoreDisplay
            The display.
        """
        ax = one_axes(ax, type(self).__name__)
        scores = np.ma.masked_invalid(self.scores)
        self.im_ = ax.imshow(scores, cmap=cmap, origin="lower", aspect="auto")
        ax.grid(False)  # styles that draw one would cross the cells
        ax.set(xlabel="lag (samples)", ylabel="order")
        ax.set_xticks(range(len(self.lags)), self.lags)
        ax.set_yticks(range(len(self.orders)), self.orders)
        ax.figure.colorbar(
            self.im_, ax=ax, label=f"mean {self.score_name}, inner folds"
        )
        self.text_ = None
        if include_values:
            middle = (scores.min() + scores.max()) / 2
            self.text_ = np.empty(scores.shape, dtype=object)
            for (i, j), value in np.ndenumerate(self.scores):
                if np.isfinite(value):
                    self.text_[i, j] = ax.text(
                        j,
                        i,
                        format(value, values_format),
                        ha="center",
                        va="center",
                        color=self.im_.cmap(1.0 if value < middle else 0.0),
                    )
        i, j = np.unravel_index(np.nanargmax(self.scores), self.scores.shape)
        patches = import_optional("matplotlib.patches", type(self).__name__)
        ax.add_patch(
            patches.Rectangle(
                (j - 0.5, i - 0.5), 1, 1, fill=False, edgecolor="tab:red", linewidth=2.5
            )
        )
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _parameter(results, name):
    for key in results:
        if key.startswith("param_") and key.split("_")[-1] == name:
            return np.asarray(results[key], dtype=int)
    found = [key.removeprefix("param_") for key in results if key.startswith("param_")]
    raise ValueError(f"The search has no parameter named {name!r}; found {found}.")


class AugmentedCovarianceDisplay:
    """An augmented covariance matrix with its block structure.

    Parameters
    ----------
    covariance : ndarray of shape (n_channels * order, n_channels * order)
        The matrix.
    order : int
        Number of blocks in a row.
    lag : int
        Delay between two blocks, in samples.
    sfreq : float, default=None
        Sampling frequency in hertz; the delays are then given in milliseconds.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the picture.
    figure_ : matplotlib Figure
        Figure of the picture.
    im_ : matplotlib AxesImage
        The matrix.

    See Also
    --------
    AugmentedCovariances : Computes the matrices.

    Examples
    --------
    >>> import numpy as np
    >>> from sklogit.covariance import AugmentedCovarianceDisplay, AugmentedCovariances
    >>> X = np.random.default_rng(0).standard_normal((20, 3, 200))
    >>> acm = AugmentedCovariances(order=4, lag=2).fit(X)
    >>> AugmentedCovarianceDisplay.from_estimator(acm, X).covariance.shape
    (12, 12)
    """

    def __init__(self, covariance, *, order, lag, sfreq=None):
        self.covariance = covariance
        self.order = order
        self.lag = lag
        self.sfreq = sfreq

    @classmethod
    def from_estimator(
        cls, estimator, X, *, normalize=True, sfreq=None, ax=None, **kwargs
    ):
        """Draw the average augmented covariance of epochs.

        Parameters
        ----------
        estimator : estimator
            Gives order, lag and covariance estimator: AugmentedCovariances,
            AugmentedCovarianceClassifier, AugmentedMDM or a fitted
            AugmentedCovarianceClassifierCV.
        X : array-like of shape (n_epochs, n_channels, n_times) or (n_epochs, n_times)
            Epochs.
        normalize : bool, default=True
            Whether to draw correlations, so that channels of different power and delays
            compare.
        sfreq : float, default=None
            Sampling frequency in hertz; the delays are then given in milliseconds.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **kwargs
            Given to `plot`.

        Returns
        -------
        AugmentedCovarianceDisplay
            The display.
        """
        from ._augmented import augmented_covariance

        estimator = getattr(estimator, "best_estimator_", estimator)
        if not hasattr(estimator, "order") or not hasattr(estimator, "lag"):
            raise TypeError(
                "estimator must have one order and one lag, found "
                f"{type(estimator).__name__}."
            )
        mean = augmented_covariance(
            check_epochs(X),
            estimator.order,
            estimator.lag,
            estimator.estimator,
            assume_centered=getattr(estimator, "assume_centered", False),
            trim=estimator.trim,
            structure=estimator.structure,
        ).mean(axis=0)
        if normalize:
            std = np.sqrt(np.diagonal(mean))
            # The correlations of a flat channel are undefined: drawn as zeros.
            mean = mean / np.outer(std, std).clip(np.finfo(mean.dtype).tiny)
        display = cls(mean, order=estimator.order, lag=estimator.lag, sfreq=sfreq)
        return display.plot(ax=ax, **kwargs)

    def plot(self, *, ax=None, cmap="RdBu_r", vmax=None):
        """Draw the matrix; lines separate the blocks.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        cmap : str or Colormap, default="RdBu_r"
            Colour map, centred at 0.
        vmax : float, default=None
            End of the colour scale; None is the largest absolute value.

        Returns
        -------
        AugmentedCovarianceDisplay
            The display.
        """
        d = len(self.covariance)
        if np.ndim(self.covariance) != 2 or d % self.order:
            raise ValueError(
                f"covariance must be a square matrix of order={self.order} blocks in a "
                f"row, found shape {np.shape(self.covariance)}."
            )
        ax = one_axes(ax, type(self).__name__)
        c = d // self.order
        limit = np.abs(self.covariance).max() if vmax is None else vmax
        self.im_ = ax.imshow(self.covariance, cmap=cmap, vmin=-limit, vmax=limit)
        ax.grid(False)  # styles that draw one would look like blocks
        for edge in range(c, d, c):
            ax.axhline(edge - 0.5, color="0.3", linewidth=0.8)
            ax.axvline(edge - 0.5, color="0.3", linewidth=0.8)
        delays = np.arange(self.order) * self.lag
        labels, unit = [str(k) for k in delays], "samples"
        if self.sfreq is not None:
            labels, unit = [f"{1e3 * k / self.sfreq:.3g}" for k in delays], "ms"
        centres = np.arange(self.order) * c + (c - 1) / 2
        ax.set_xticks(centres, labels)
        ax.set_yticks(centres, labels)
        name = f"delay of the {c} channels ({unit})"
        ax.set(xlabel=name, ylabel=name)
        ax.figure.colorbar(self.im_, ax=ax)
        self.ax_, self.figure_ = ax, ax.figure
        return self
