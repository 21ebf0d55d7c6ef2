"""A handful of labelled rows: logits of a prior model, and features beside them."""

import warnings
from dataclasses import dataclass
from numbers import Number

import numpy as np
from scipy import sparse
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, validate_data

from .._unit_rows import unit_rows


@dataclass
class FewShots:
    """Labelled rows, ready to learn from.

    Attributes
    ----------
    features : ndarray or CSR of shape (n_rows, n_auxiliary)
        Auxiliary features, of length one.
    prior : ndarray of shape (n_rows, n_classes)
        Logits of the prior model, in the order of the sorted classes; zeros without.
    y : ndarray of shape (n_rows,)
        Class indices.
    weight : ndarray of shape (n_rows,)
        Weights that sum to one.
    has_prior : bool
        Whether there is a prior model.
    total : float
        Sum of the weights as they were given.
    """

    features: object
    prior: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    has_prior: bool
    total: float

    @property
    def n_rows(self):
        """Number of rows."""
        return len(self.y)

    @property
    def n_classes(self):
        """Number of classes."""
        return self.prior.shape[1]

    def part(self, rows):
        """Return some of the rows; weights sum to one again."""
        weight = self.weight[rows]
        return FewShots(
            self.features[rows],
            self.prior[rows],
            self.y[rows],
            weight / weight.sum(),
            self.has_prior,
            self.total * weight.sum(),
        )

    def weighing(self):
        """Return the rows that have a weight."""
        return self if self.weight.all() else self.part(self.weight > 0)


def sorted_classes(classes, y):
    """Find the labels, and where each of them stands in the columns of logits.

    Parameters
    ----------
    classes : array-like or None
        Labels in the order of the columns; None takes those in y, sorted.
    y : ndarray
        Labels of the rows.

    Returns
    -------
    labels : ndarray of shape (n_classes,)
        Sorted labels.
    columns : ndarray of shape (n_classes,)
        Their columns.

    Raises
    ------
    ValueError
        If they are fewer than two, or not different, or lack one of y.
    """
    found = np.unique(y)
    if classes is None:
        labels, columns = found, np.arange(len(found))
    else:
        given = np.asarray(classes)
        labels, columns = np.unique(given, return_index=True)
        if given.ndim != 1 or len(labels) < len(given):
            raise ValueError(f"classes must be different labels, got {classes!r}.")
        unknown = np.setdiff1d(found, labels)
        if unknown.size:
            raise ValueError(
                f"y has labels {unknown.tolist()} that are not in classes "
                f"{given.tolist()}."
            )
    if len(labels) < 2:
        raise ValueError(
            "y needs at least 2 classes, found only one class: "
            f"{labels.tolist()}. If the few shots lack some, pass all as classes."
        )
    return labels, columns


def check_n_logits(n_logits, n_classes, n_features):
    """Raise a ValueError if X cannot have so many logits before its features."""
    if n_logits not in (0, n_classes):
        raise ValueError(
            f"n_logits must be 0, or the number of classes, {n_classes}, got "
            f"{n_logits}. If the few shots lack some classes, pass all as classes."
        )
    if n_features <= n_logits:
        raise ValueError(
            f"X must have auxiliary features after its n_logits={n_logits} columns of "
            f"logits, got {n_features} columns."
        )


def split_columns(X, n_logits, columns):
    """Part X into logits, in the order of the sorted classes, and unit features.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_rows, n_features)
        Logits, then auxiliary features.
    n_logits : int
        Number of columns that are logits.
    columns : ndarray of shape (n_classes,)
        Column of each class.

    Returns
    -------
    prior : ndarray of shape (n_rows, n_classes)
        Logits; zeros if there are none.
    features : ndarray or CSR of shape (n_rows, n_auxiliary)
        Features of length one.
    """
    features = unit_rows(X[:, n_logits:])
    if n_logits == 0:
        return np.zeros((X.shape[0], len(columns)), X.dtype), features
    prior = X[:, columns]
    return prior.toarray() if sparse.issparse(prior) else prior, features


def few_shots(estimator, X, y, sample_weight):
    """Validate training data.

    Parameters
    ----------
    estimator : estimator
        With the parameter ``classes``, and perhaps ``n_logits``; its names and number
        of features are set.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Logits, if any, then auxiliary features.
    y : array-like of shape (n_samples,)
        Labels.
    sample_weight : array-like of shape (n_samples,) or None
        Weights.

    Returns
    -------
    shots : FewShots
        The rows, those without weight too.
    classes : ndarray of shape (n_classes,)
        Sorted labels.
    columns : ndarray of shape (n_classes,)
        Where they stand in the order of ``classes`` that was given.

    Raises
    ------
    ValueError
        If something is wrong with the data, the number of logits or the classes.
    """
    X, y = validate_data(
        estimator, X, y, accept_sparse="csr", dtype=[np.float64, np.float32]
    )
    with warnings.catch_warnings():
        # One row a class is what few shots are, and no sign of a regression.
        warnings.filterwarnings("ignore", "The number of unique classes is greater")
        check_classification_targets(y)
    classes, columns = sorted_classes(estimator.classes, y)
    n_logits = getattr(estimator, "n_logits", 0)
    check_n_logits(n_logits, len(classes), X.shape[1])
    weight, total = _weights(sample_weight, y, X)
    prior, features = split_columns(X, n_logits, columns)
    y = np.searchsorted(classes, y)
    shots = FewShots(features, prior, y, weight, n_logits > 0, total)
    return shots, classes, columns


def _weights(sample_weight, y, X):
    """Weights that sum to one, and what they were divided by."""
    if sample_weight is None:
        return np.full(len(y), 1 / len(y)), float(len(y))
    if not isinstance(sample_weight, Number):
        sample_weight = np.asarray(sample_weight)
    weight = _check_sample_weight(
        sample_weight, X, dtype=np.float64, ensure_non_negative=True
    )
    return weight / weight.sum(), weight.sum()
