"""Picture of the accuracy on each task over time."""

import numpy as np

from .._plotting import one_axes
from ..metrics._continual import average_forgetting, continual_accuracy_matrix


class AccuracyMatrixDisplay:
    r"""Accuracy on each task after training on each of them.

    Rows are the tasks trained so far, columns those that are tested: down a column the
    accuracy on a task fades as it is forgotten.

    Parameters
    ----------
    accuracies : array-like of shape (n_tasks, n_tasks)
        Accuracy after each task (rows) on each task (columns).
    task_names : sequence of str, default=None
        Names of the tasks; by default 1, 2, ...
    estimator_name : str, default=None
        For the title.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the picture.
    figure_ : matplotlib Figure
        Figure of the picture.
    image_ : matplotlib AxesImage
        The matrix; above the diagonal it is empty.
    text_ : list of matplotlib Text
        Its numbers.

    See Also
    --------
    sklogit.metrics.continual_accuracy_matrix : Makes the matrix.
    sklogit.metrics.average_forgetting : What fades, as a number.

    Examples
    --------
    >>> from sklogit.continual import AccuracyMatrixDisplay
    >>> display = AccuracyMatrixDisplay([[1.0, 0.0], [0.4, 1.0]]).plot()
    >>> [text.get_text() for text in display.text_]
    ['1.00', '0.40', '1.00']
    """

    def __init__(self, accuracies, *, task_names=None, estimator_name=None):
        self.accuracies = accuracies
        self.task_names = task_names
        self.estimator_name = estimator_name

    @classmethod
    def from_estimator(
        cls,
        estimator,
        tasks_train,
        tasks_test,
        *,
        classes=None,
        task_names=None,
        ax=None,
        **kwargs,
    ):
        """Train a clone of a classifier on the tasks, and draw its accuracies.

        Parameters
        ----------
        estimator : classifier with partial_fit
            The classifier.
        tasks_train : sequence of (X, y)
            Training data of each task.
        tasks_test : sequence of (X, y)
            Test data of each task.
        classes : array-like of shape (n_classes,), default=None
            Given to the first `partial_fit`, for classifiers that need it.
        task_names : sequence of str, default=None
            Names of the tasks; by default 1, 2, ...
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **kwargs
            Given to `plot`.

        Returns
        -------
        AccuracyMatrixDisplay
            The display.
        """
        accuracies = continual_accuracy_matrix(
            estimator, tasks_train, tasks_test, classes=classes
        )
        name = type(estimator).__name__
        display = cls(accuracies, task_names=task_names, estimator_name=name)
        return display.plot(ax=ax, **kwargs)

    def plot(self, *, ax=None, **image_options):
        """Draw the matrix up to its diagonal, with its numbers.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **image_options
            Given to :meth:`matplotlib.axes.Axes.imshow`.

        Returns
        -------
        AccuracyMatrixDisplay
            The display.

        Raises
        ------
        ValueError
            If the matrix is not square, or there are not as many names.
        """
        forgetting = average_forgetting(self.accuracies)  # checks the matrix
        A = np.asarray(self.accuracies, dtype=float)
        names = self.task_names or [str(i + 1) for i in range(len(A))]
        if len(names) != len(A):
            raise ValueError(
                f"task_names must be {len(A)} names, one for each task, got "
                f"{len(names)}."
            )
        self.ax_ = one_axes(ax, type(self).__name__)
        self.figure_ = self.ax_.figure
        trained = np.tril(np.ones(A.shape, bool))
        options = {"vmin": 0, "vmax": 1, "cmap": "viridis", **image_options}
        self.image_ = self.ax_.imshow(np.where(trained, A, np.nan), **options)
        self.text_ = [self._number(t, j, A[t, j]) for t, j in zip(*np.nonzero(trained))]
        self.figure_.colorbar(self.image_, ax=self.ax_, label="accuracy")
        self._label(names, A[-1].mean(), forgetting)
        return self

    def _number(self, row, column, value):
        # Dark on light and light on dark.
        light = self.image_.norm(value) > 0.5
        color = "black" if light else "white"
        return self.ax_.text(
            column, row, f"{value:.2f}", ha="center", va="center", color=color
        )

    def _label(self, names, final, forgetting):
        places = np.arange(len(names))
        self.ax_.set_xticks(places, names)
        self.ax_.set_yticks(places, names)
        self.ax_.set(xlabel="tested on task", ylabel="after training on task")
        name = f"{self.estimator_name}: " if self.estimator_name else ""
        figures = f"final accuracy {final:.2f}, forgetting {forgetting:.2f}"
        self.ax_.set_title(name + figures, fontsize="medium")
