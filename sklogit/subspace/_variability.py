"""How widely the features of a class are spread over directions."""

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_array, check_consistent_length, column_or_1d

from .._unit_rows import unit_rows


def angle_to_the_mean(rows):
    """Mean angle between unit rows and the direction of their mean, in degrees.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
        Rows of norm one.

    Returns
    -------
    float
        The angle.
    """
    mean = rows.mean(axis=0, keepdims=True)
    cosine = rows @ unit_rows(mean)[0]
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))).mean())


def participation_ratio(rows):
    r"""Effective dimension of centred rows.

    With the eigenvalues of their covariance it is :math:`(\sum \lambda)^2 / \sum
    \lambda^2`: d for d equal ones, 1 where a single direction holds all variance.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
        Rows.

    Returns
    -------
    float
        The dimension; 0 for equal rows.
    """
    centred = rows - rows.mean(axis=0)
    trace = np.vdot(centred, centred)
    if trace <= len(rows) * np.finfo(rows.dtype).eps ** 2:
        return 0.0
    few = centred.shape[0] < centred.shape[1]
    gram = centred @ centred.T if few else centred.T @ centred
    return float(trace**2 / np.vdot(gram, gram))


MEASURES = {"angle": angle_to_the_mean, "dimension": participation_ratio}


def class_variability(features, y, measure="angle"):
    """Spread of the directions of the features of each class.

    Parameters
    ----------
    features : array-like of shape (n_samples, n_features)
        Features; rows of zeros are left out.
    y : array-like of shape (n_samples,)
        Labels.
    measure : {"angle", "dimension"}, default="angle"
        Mean angle to the direction of the mean, or participation ratio.

    Returns
    -------
    ndarray of shape (n_classes,)
        The measure of each class, in the order of the sorted labels.

    Raises
    ------
    ValueError
        If there is no such measure, or a class has zeros only.
    """
    if measure not in MEASURES:
        raise ValueError(f"measure must be one of {list(MEASURES)}, got {measure!r}.")
    features = check_array(features, accept_sparse="csr", input_name="features")
    if sparse.issparse(features):
        features = features.toarray()
    y = column_or_1d(y)
    check_consistent_length(features, y)
    rows = unit_rows(features.astype(np.float64))
    used = rows.any(axis=1)
    spreads = []
    for label in np.unique(y):
        of_class = rows[used & (y == label)]
        if not len(of_class):
            raise ValueError(f"features of the class {label} must not all be zero.")
        spreads.append(MEASURES[measure](of_class))
    return np.array(spreads)
