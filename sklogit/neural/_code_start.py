"""Where VQLogitsClassifier starts: codes of a linear classifier, or of class means."""

import numpy as np
from scipy import sparse
from sklearn.random_projection import SparseRandomProjection

from ..heads._code_mapping import segment_sums
from ..heads._feature_moments import MOST_FEATURES
from ..heads._linear_parameters import linear_parameters
from ..heads._vq_conversion import (
    COUNT_OF_NONE,
    LinearCodes,
    choose_codes,
    quantize_linear,
)

# Part of a feature's variance that is its least within classes.
_LEAST_WITHIN = 0.01
# Dimensions in which means of more than 2048 features are compared.
_PROJECTED = 512


def start_from_means(rows, n_codes, mass, *, mapping, random_state):
    """Choose codes without a linear classifier; their vectors are zero.

    Parameters
    ----------
    rows : Rows
        The training data.
    n_codes : int
        Most codes.
    mass : ndarray of shape (n_classes,)
        Masses of the classes.
    mapping : str or array-like of int
        As of `VQLogitsClassifier`.
    random_state : int, RandomState or None
        For k-means and random codes.

    Returns
    -------
    LinearCodes
        The codes, with the parts of the mass as biases.
    """
    codes = choose_codes(
        mapping,
        n_codes,
        rows.counts + COUNT_OF_NONE,
        counts=rows.counts,
        plain=lambda: _means(rows.class_sums(), rows.counts),
        comparable=lambda: comparable_means(rows, random_state),
        random_state=random_state,
    )
    total = segment_sums(mass, codes, codes.max() + 1)
    codebook = np.zeros((len(total), rows.X.shape[1]))
    return LinearCodes(codes, codebook, np.log(total / total.sum()), np.log(mass))


def start_from_classifier(classifier, classes, rows, n_codes, *, within, **options):
    """Choose codes, their vectors and biases by a fitted linear classifier.

    Parameters
    ----------
    classifier : classifier
        Has ``coef_``, ``intercept_`` and ``classes_``.
    classes : ndarray of shape (n_classes,)
        Labels that it must have.
    rows : Rows
        The training data.
    n_codes : int
        Most codes.
    within : {"prior", "uniform"}
        How classes share a code.
    **options
        `mapping`, `smoothing` and `random_state` of `VQLogitsClassifier`.

    Returns
    -------
    LinearCodes
        The codes.

    Raises
    ------
    TypeError, ValueError
        If it is no linear classifier of these classes and features.
    """
    if not hasattr(classifier, "coef_"):
        raise TypeError(
            "estimator must be a linear classifier, with coef_ after fit, got "
            f"{type(classifier).__name__}."
        )
    if not np.array_equal(classifier.classes_, classes):
        raise ValueError(
            f"estimator must know the classes of y, {len(classes)}, got "
            f"{len(classifier.classes_)} that are not the same."
        )
    weight, bias = (tensor.numpy() for tensor in linear_parameters(classifier))
    if weight.shape[1] != rows.X.shape[1]:
        raise ValueError(
            f"estimator must have {rows.X.shape[1]} features, as X, got "
            f"{weight.shape[1]}."
        )
    return quantize_linear(
        weight,
        bias,
        n_codes,
        within=within,
        counts=rows.counts,
        moments=rows.moments,
        **options,
    )


def comparable_means(rows, random_state):
    r"""Means of the classes for k-means, as reliable and as large as they are.

    In units of the deviation within classes, and drawn to the mean of all rows by
    :math:`n_v / (n_v + \tau)`, with the variance within classes for each one between
    them as :math:`\tau`: means of few rows are mostly noise (an empirical Bayes
    estimate; without it the codes of a text had .02 nats more, measured). Sparse
    features keep their units, in which rare ones count less.

    Parameters
    ----------
    rows : Rows
        The data.
    random_state : int, RandomState or None
        For the projection of many features.

    Returns
    -------
    ndarray of shape (n_classes, n_dimensions)
        The means.
    """
    sums, counts, moments = rows.class_sums(), rows.counts, rows.moments
    means = _means(sums, counts)
    squares = means.multiply(means) if sparse.issparse(means) else means**2
    between = np.asarray(counts @ squares) / counts.sum() - moments.mean**2
    within = np.maximum(moments.variance - between, _LEAST_WITHIN * moments.variance)
    tau = within.sum() / max(between.sum(), np.finfo(np.float64).tiny)
    kept = (counts / (counts + tau))[:, np.newaxis]
    scale = np.ones(len(within))
    if not sparse.issparse(rows.X):
        scale[within > 0] = 1 / np.sqrt(within[within > 0])
    mean = moments.mean * scale
    means = means * scale
    if rows.X.shape[1] > MOST_FEATURES:
        projection = SparseRandomProjection(_PROJECTED, random_state=random_state)
        means = projection.fit(means).transform(means)
        mean = projection.transform(mean[np.newaxis])[0]
    if sparse.issparse(means):
        means = means.toarray()
    return (kept * (means - mean)).astype(rows.X.dtype)


def _means(sums, counts):
    """Means of the classes, sparse if the sums are; of a class without rows zero."""
    inverse = 1 / np.maximum(counts, np.finfo(np.float64).tiny)
    inverse[counts == 0] = 0.0
    if sparse.issparse(sums):
        return sparse.csr_array(sparse.diags_array(inverse) @ sums)
    return sums * inverse[:, np.newaxis]
