"""Metrics as functions of a confusion matrix."""

import numpy as np
from sklearn.metrics import confusion_matrix, make_scorer
from sklearn.utils.multiclass import unique_labels
from sklearn.utils.validation import _check_sample_weight, check_consistent_length

from . import _closed_forms
from ._differentiation import check_differentiable, partials_of
from ._multiclass_forms import MULTICLASS
from ._soft_confusion import soft_confusion

_AVERAGES = ("auto", "binary", "macro", "weighted", "multiclass")
_COUNTS = ("tn", "fp", "fn", "tp")


class ConfusionMetric:
    r"""Metric of a binary classifier, as a function of its confusion matrix.

    The counts need not be integers: of soft predictions the metric is differentiable,
    and one minus it is a loss [1]_.

    Parameters
    ----------
    function : callable
        ``function(tn, fp, fn, tp)`` returns the value, larger for better classifiers;
        the order is that of ``confusion_matrix(...).ravel()`` in scikit-learn. Write it
        with arithmetic and NumPy's functions, or give its `gradient`.
    name : str, default=None
        Name in messages and pictures; by default that of the function.
    gradient : callable, default=None
        ``gradient(tn, fp, fn, tp)`` returns the four partial derivatives. By default
        they are found by complex steps, exact to rounding, or by central differences
        where the function does not take complex numbers.

    Attributes
    ----------
    name : str
        The name.
    function : callable
        The function.
    gradient : callable or None
        The gradient.

    See Also
    --------
    get_confusion_metric : The named ones.
    cost_metric : Gains and costs of the four outcomes.
    sklogit.linear_model.AnyLossClassifier : Trains for a metric.

    Notes
    -----
    A metric whose value is not finite, for instance 0 / 0 where nothing is predicted
    positive, raises an error that tells the counts: return a number there, as
    scikit-learn does with ``zero_division``.

    References
    ----------
    .. [1] "AnyLoss: Transforming Classification Metrics into Loss Functions",
       arXiv:2405.14745.

    Examples
    --------
    >>> from sklogit.metrics import ConfusionMetric
    >>> def net_benefit(tn, fp, fn, tp):
    ...     return (tp - fp / 9) / (tn + fp + fn + tp)
    >>> metric = ConfusionMetric(net_benefit)
    >>> metric
    ConfusionMetric('net_benefit')
    >>> float(metric(80, 9, 1, 10))
    0.09
    >>> [round(float(p), 4) for p in metric.partials(80, 9, 1, 10)]
    [-0.0009, -0.002, -0.0009, 0.0091]
    """

    def __init__(self, function, *, name=None, gradient=None):
        if not callable(function):
            raise TypeError(
                "function must be a callable of (tn, fp, fn, tp), got "
                f"{type(function).__name__}; named metrics come from "
                "get_confusion_metric."
            )
        if gradient is not None and not callable(gradient):
            raise TypeError(
                f"gradient must be a callable or None, got {type(gradient).__name__}."
            )
        self.function = function
        self.gradient = gradient
        self.name = name or getattr(function, "__name__", type(function).__name__)

    def __repr__(self):
        return f"{type(self).__name__}({self.name!r})"

    def __call__(self, tn, fp, fn, tp):
        """Evaluate the metric.

        Parameters
        ----------
        tn, fp, fn, tp : float, array or tensor
            The counts.

        Returns
        -------
        float, array or tensor
            Value of the metric, as the function returns it.
        """
        return self.function(tn, fp, fn, tp)

    def value(self, tn, fp, fn, tp):
        """Evaluate the metric at one confusion matrix, and check the value.

        Parameters
        ----------
        tn, fp, fn, tp : float
            The counts.

        Returns
        -------
        float
            Value of the metric.

        Raises
        ------
        TypeError
            If the value is not a real number.
        ValueError
            If the value is not finite.
        """
        counts = [np.float64(count) for count in (tn, fp, fn, tp)]
        with np.errstate(all="ignore"):
            try:
                found = self.function(*counts)
            except ZeroDivisionError:
                found = np.nan
        return self._checked(found, counts)

    def values(self, tn, fp, fn, tp):
        """Evaluate the metric at many confusion matrices.

        Parameters
        ----------
        tn, fp, fn, tp : array-like of shape (n_matrices,)
            The counts.

        Returns
        -------
        ndarray of shape (n_matrices,)
            Values of the metric.

        Raises
        ------
        ValueError
            If a value is not finite.
        """
        counts = [np.asarray(count, dtype=np.float64) for count in (tn, fp, fn, tp)]
        try:
            with np.errstate(all="ignore"):
                found = np.asarray(self.function(*counts), dtype=np.float64)
        except (TypeError, ValueError, ZeroDivisionError):  # an `if` of the function
            found = np.empty(0)
        if found.shape != counts[0].shape:
            return np.array([self.value(*c) for c in zip(*counts)])
        bad = np.flatnonzero(~np.isfinite(found))
        if len(bad):
            self._checked(found[bad[0]], [count[bad[0]] for count in counts])
        return found

    def _checked(self, found, counts):
        try:
            number = float(found)
        except (TypeError, ValueError):
            raise TypeError(
                f"metric {self.name!r} must return a real number, got {found!r}."
            ) from None
        if not np.isfinite(number):
            raise ValueError(
                f"metric {self.name!r} must return a finite number, got {number} for "
                f"{_described(counts)}: return a number there, for instance 0."
            )
        return number

    def partials(self, tn, fp, fn, tp):
        """Partial derivatives of the metric.

        Parameters
        ----------
        tn, fp, fn, tp : float
            The counts; tensors too if the metric is a named one.

        Returns
        -------
        tuple of 4 floats
            Derivatives by tn, fp, fn and tp.

        Raises
        ------
        ValueError
            If a derivative is not finite, or the `gradient` does not return four.
        """
        if self.gradient is None:
            return partials_of(self, (tn, fp, fn, tp))
        found = tuple(self.gradient(tn, fp, fn, tp))
        if len(found) != 4:
            raise ValueError(
                f"gradient of the metric {self.name!r} must return 4 numbers, the "
                f"derivatives by tn, fp, fn and tp, got {len(found)}."
            )
        if not all(np.isfinite(float(derivative)) for derivative in found):
            raise ValueError(
                f"gradient of the metric {self.name!r} must be finite, got {found} for "
                f"{_described((tn, fp, fn, tp))}."
            )
        return found

    def slopes(self, tn, fp, fn, tp):
        """By how much the metric grows with what is predicted positive.

        Predictions move counts between tp and fn within the positive class, and between
        fp and tn within the negative one.

        Parameters
        ----------
        tn, fp, fn, tp : float
            The counts.

        Returns
        -------
        positive, negative : float
            Derivatives by tp at constant tp + fn, and by fp at constant fp + tn.
        """
        by_tn, by_fp, by_fn, by_tp = self.partials(tn, fp, fn, tp)
        return by_tp - by_fn, by_fp - by_tn

    def check_differentiable(self, n_positive, n_negative):
        """Raise if the metric gives a gradient method nothing to follow.

        Parameters
        ----------
        n_positive, n_negative : float
            Weights of the classes.

        Raises
        ------
        ValueError
            If the derivatives are zero, or are not those of the values, all over the
            confusion matrices of such classes.
        """
        check_differentiable(self, n_positive, n_negative)

    def score(
        self, y_true, y_pred, *, pos_label=None, average="auto", sample_weight=None
    ):
        """Evaluate the metric of hard predictions, as scikit-learn's metrics do.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Labels.
        y_pred : array-like of shape (n_samples,)
            Predicted labels.
        pos_label : label, default=None
            The positive class of two; by default the greater label.
        average : {"auto", "binary", "macro", "weighted", "multiclass"}, default="auto"
            With more than two classes the metric is that of one class against the
            others, averaged over the classes, or weighted by their weight in `y_true`.
            "auto" is "binary" for two classes and "macro" for more. "multiclass" is the
            metric of the whole confusion matrix of all classes, as scikit-learn has it:
            for accuracy, balanced accuracy, Cohen's kappa and Matthews correlation.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights.

        Returns
        -------
        float
            Value of the metric.

        Raises
        ------
        ValueError
            If there are more than two labels with ``average="binary"``, if `pos_label`
            is not among them, or cannot be told, or if these are no labels of classes.

        Notes
        -----
        With more than two classes the averages are means of binary metrics. Those of
        F-beta, Jaccard, precision and recall are scikit-learn's; its accuracy, balanced
        accuracy, kappa and Matthews correlation of many classes are other numbers,
        computed from all of their confusion matrix at once: ``average="multiclass"``.
        """
        if average not in _AVERAGES:
            raise ValueError(
                f"average must be one of {list(_AVERAGES)}, got {average!r}."
            )
        y_true, y_pred = _column("y_true", y_true), _column("y_pred", y_pred)
        check_consistent_length(y_true, y_pred, sample_weight)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(
                sample_weight, y_true, dtype=np.float64, ensure_non_negative=True
            )
        labels = _labels(y_true, y_pred)
        if average == "binary" or (average == "auto" and len(labels) <= 2):
            positive = _positive_label(labels, pos_label)
            counts = soft_confusion(
                y_true == positive, y_pred == positive, sample_weight
            )
            return self.value(*counts)
        if average == "multiclass":
            C = confusion_matrix(
                y_true, y_pred, labels=labels, sample_weight=sample_weight
            )
            return self.multiclass_form().value(C.astype(np.float64))
        counts = soft_confusion(
            y_true[:, np.newaxis] == labels,
            y_pred[:, np.newaxis] == labels,
            sample_weight,
        )
        values = self.values(*counts)
        in_y_true = counts[2] + counts[3] if average == "weighted" else None
        return float(np.average(values, weights=in_y_true))

    def multiclass_form(self):
        """Return what evaluates the metric of a confusion matrix of many classes.

        Returns
        -------
        object
            With methods ``value(C)`` and ``partials(C)`` of a matrix C of shape
            (n_classes, n_classes), true classes in its rows.

        Raises
        ------
        ValueError
            If the metric has no such form.
        """
        form = MULTICLASS.get(self.name) if isinstance(self, NamedMetric) else None
        if form is None:
            raise ValueError(
                f"average='multiclass' needs a metric of {sorted(MULTICLASS)}, got "
                f"{self.name!r}: use 'macro' or 'weighted'."
            )
        return form

    def to_scorer(self, *, pos_label=None, average="auto"):
        """Make a scorer for ``scoring`` in scikit-learn.

        Parameters
        ----------
        pos_label : label, default=None
            The positive class of two; by default the greater label.
        average : {"auto", "binary", "macro", "weighted", "multiclass"}, default="auto"
            How classes are averaged, see `score`.

        Returns
        -------
        callable
            ``scorer(estimator, X, y)``; takes `sample_weight`, by metadata routing too.
        """
        return make_scorer(_score_of, metric=self, pos_label=pos_label, average=average)


class NamedMetric(ConfusionMetric):
    """A metric with closed forms of value and derivatives; pickled by its form."""

    def __init__(self, form, name):
        super().__init__(form.value, name=name, gradient=form.partials)

    def partials(self, tn, fp, fn, tp):
        """Partial derivatives, of numbers, arrays or tensors alike; always finite."""
        return self.gradient(tn, fp, fn, tp)

    def check_differentiable(self, n_positive, n_negative):
        """Do nothing: the derivatives are known."""


def _column(name, labels):
    """Return labels as an array of one dimension, at least one of them."""
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or not len(labels):
        raise ValueError(
            f"{name} must be of shape (n_samples,), with one sample or more, got "
            f"{labels.shape}."
        )
    return labels


def _score_of(y_true, y_pred, *, metric, pos_label, average, sample_weight=None):
    return metric.score(
        y_true,
        y_pred,
        pos_label=pos_label,
        average=average,
        sample_weight=sample_weight,
    )


def _described(counts):
    return ", ".join(f"{name}={float(c):g}" for name, c in zip(_COUNTS, counts))


def _labels(y_true, y_pred):
    """All labels, sorted."""
    # Of floats scikit-learn must say whether they are labels: probabilities are not.
    if y_true.dtype == y_pred.dtype and y_true.dtype.kind != "f":
        # Scorers are called hundreds of times where a threshold is tuned, and the
        # checks of scikit-learn take most of that.
        return np.unique(np.concatenate([np.unique(y_true), np.unique(y_pred)]))
    return unique_labels(y_true, y_pred)


def _positive_label(labels, pos_label):
    if len(labels) > 2:
        raise ValueError(
            f"average='binary' needs two labels, found {len(labels)}: {labels}. Use "
            "average='macro' or 'weighted'."
        )
    if pos_label is not None:
        if len(labels) == 2 and pos_label not in labels:
            raise ValueError(f"pos_label={pos_label!r} is not in the labels {labels}.")
        return pos_label
    if len(labels) == 2:
        return labels[1]
    if labels[0] in (0, 1, -1):  # False and True among them
        return 1
    raise ValueError(
        f"Only the label {labels.tolist()[0]!r} is present: give pos_label to tell "
        "whether it is the positive one."
    )


def get_confusion_metric(metric, beta=1.0):
    """Return a metric by its name, or make one of a function.

    Parameters
    ----------
    metric : str, callable or ConfusionMetric
        A name of `confusion_metric_names`, or a function of (tn, fp, fn, tp).
    beta : float, default=1.0
        Weight of recall against precision in "fbeta", positive.

    Returns
    -------
    ConfusionMetric
        The metric.

    Raises
    ------
    ValueError
        If there is no metric of this name, or beta is not positive.
    TypeError
        If `metric` is neither a name nor a callable.

    Examples
    --------
    >>> from sklogit.metrics import get_confusion_metric
    >>> f2 = get_confusion_metric("fbeta", beta=2)
    >>> round(float(f2(tn=5, fp=1, fn=0, tp=2)), 3)
    0.909
    """
    if isinstance(metric, ConfusionMetric):
        return metric
    if not isinstance(metric, str):
        return ConfusionMetric(metric)
    if metric == "fbeta":
        if not 0 < beta < np.inf:
            raise ValueError(f"beta must be positive and finite, got {beta!r}.")
        return NamedMetric(_closed_forms.fbeta(beta), "fbeta")
    name = _closed_forms.ALIASES.get(metric, metric)
    if name not in _closed_forms.NAMED:
        raise ValueError(
            f"metric must be one of {confusion_metric_names()} or a function of "
            f"(tn, fp, fn, tp), got {metric!r}."
        )
    return NamedMetric(_closed_forms.NAMED[name], name)


def confusion_metric_names():
    """List the names of metrics.

    Returns
    -------
    list of str
        Names that `get_confusion_metric` knows, aliases included.

    Examples
    --------
    >>> from sklogit.metrics import confusion_metric_names
    >>> "matthews_corrcoef" in confusion_metric_names()
    True
    """
    return sorted([*_closed_forms.NAMED, *_closed_forms.ALIASES, "fbeta"])


def cost_metric(*, tn=0.0, fp=-1.0, fn=-1.0, tp=0.0):
    """Make a metric of the gains and costs of the four outcomes.

    Its value is the mean gain of a row, so costs are negative.

    Parameters
    ----------
    tn, fp, fn, tp : float
        Gain of each outcome.

    Returns
    -------
    ConfusionMetric
        The metric.

    Raises
    ------
    ValueError
        If a gain is not finite, or all are zero.

    Examples
    --------
    Missing a positive costs ten times as much as a false alarm:

    >>> from sklogit.metrics import cost_metric
    >>> float(cost_metric(fp=-1, fn=-10)(tn=80, fp=5, fn=1, tp=14))
    -0.15
    """
    gains = {"tn": tn, "fp": fp, "fn": fn, "tp": tp}
    for name, gain in gains.items():
        if not np.isfinite(gain):
            raise ValueError(f"{name} must be finite, got {gain!r}.")
    if not any(gains.values()):
        raise ValueError("One of tn, fp, fn and tp must not be 0, got 0 for all.")
    return NamedMetric(_closed_forms.gain(**gains), "cost")
