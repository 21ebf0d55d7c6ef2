"""Clusters of the rows of an output layer, in the metric of its logits."""

import warnings
from numbers import Integral

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array, check_random_state
from sklearn.utils._param_validation import Interval, validate_params
from sklearn.utils.validation import _check_sample_weight

from ._code_mapping import in_order_of_rows, weighted_means

# Part of the mean eigenvalue that is added to a metric, so that it has a root.
_RIDGE = 1e-6
# Above this many distances k-means starts on the heaviest rows only: half the time,
# for an inertia 1 % above (50257 rows, 1024 codes).
_MANY_DISTANCES = 20_000_000
_HEAVY_ROWS_PER_CODE = 20
_MAX_ITER, _MAX_ITER_OF_MANY = 100, 20


@validate_params(
    {
        "W": ["array-like"],
        "n_codes": [Interval(Integral, 1, None, closed="left")],
        "metric": ["array-like", None],
        "sample_weight": ["array-like", None],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def vector_quantize_rows(
    W, n_codes, *, metric=None, sample_weight=None, random_state=None
):
    r"""Replace the rows of a matrix by a few code vectors.

    k-means that minimises

    .. math:: \sum_v s_v (W_v - C_{M(v)})^\top S (W_v - C_{M(v)})

    over the codebook C and the codes M. If W are the weights of a linear classifier, s
    counts its classes and S is the covariance of its features, that is the squared
    error of the logits that occur; without both it is plain k-means, whose error may be
    in classes and directions that never occur.

    Parameters
    ----------
    W : array-like of shape (n_rows, n_features)
        The rows.
    n_codes : int
        Number of codes, at most that of rows.
    metric : array-like of shape (n_features, n_features), default=None
        Symmetric, positive semi-definite S; None is the identity.
    sample_weight : array-like of shape (n_rows,), default=None
        Weights s; None are ones.
    random_state : int, RandomState or None, default=None
        Starts k-means.

    Returns
    -------
    codebook : ndarray of shape (n_codes, n_features)
        Weighted mean of the rows of each code. Codes without rows are left out.
    codes : ndarray of shape (n_rows,)
        Code of each row.

    Raises
    ------
    ValueError
        If a value is not finite, a shape does not fit, there are more codes than rows,
        a weight is negative or all are zero, or the metric is not symmetric or not
        positive semi-definite.

    See Also
    --------
    VQLogitsHead.from_linear : Makes a head of codes out of a linear classifier.
    sklearn.cluster.KMeans : The algorithm.

    Examples
    --------
    >>> from sklogit.heads import vector_quantize_rows
    >>> W = [[0.0, 0.0], [0.1, 9.0], [5.0, 1.0], [5.1, 8.0]]
    >>> vector_quantize_rows(W, 2, random_state=0)[1].tolist()  # by the second feature
    [0, 1, 0, 1]
    >>> metric = [[1.0, 0.0], [0.0, 0.01]]  # which hardly varies
    >>> codebook, codes = vector_quantize_rows(W, 2, metric=metric, random_state=0)
    >>> codes.tolist()
    [0, 0, 1, 1]
    """
    W = check_array(W, dtype=[np.float64, np.float32], input_name="W")
    if n_codes > len(W):
        raise ValueError(
            f"n_codes must be at most the number of rows, {len(W)}, got {n_codes}."
        )
    weight = _check_sample_weight(
        sample_weight, W, dtype=W.dtype, ensure_non_negative=True
    )
    rows = W if metric is None else W @ metric_root(_checked_metric(metric, W))
    codes = cluster_rows(rows, n_codes, weight, random_state)
    # A code of weightless rows has their plain mean.
    light = np.bincount(codes, weight)[codes] == 0
    return weighted_means(W, codes, np.where(light, 1.0, weight)), codes


def _checked_metric(metric, W):
    metric = check_array(metric, dtype=W.dtype, input_name="metric")
    d = W.shape[1]
    if metric.shape != (d, d):
        raise ValueError(f"metric must have the shape {(d, d)}, got {metric.shape}.")
    size = np.abs(metric).max()
    if not np.allclose(metric, metric.T, rtol=0, atol=1e-5 * size):
        raise ValueError("metric must be symmetric.")
    if size and np.linalg.eigvalsh(metric)[0] < -1e-5 * size * d:
        raise ValueError("metric must be positive semi-definite.")
    return metric


def metric_root(S):
    """Return a matrix L with L L^T equal to S but for a small ridge."""
    d = len(S)
    ridge = _RIDGE * np.trace(S) / d
    return np.linalg.cholesky(S + (ridge or 1.0) * np.eye(d, dtype=S.dtype))


def cluster_rows(rows, n_codes, weight, random_state):
    """Cluster rows by weighted k-means.

    Mini-batches draw rows without regard to their weight and find an inertia 30 %
    higher (measured with weights of Zipf's law), so there are none. A start for many
    rows is found on the heaviest.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
        The rows.
    n_codes : int
        Number of codes, at most that of rows.
    weight : ndarray of shape (n_rows,) or None
        Weights.
    random_state : int, RandomState or None
        For the start.

    Returns
    -------
    ndarray of shape (n_rows,)
        Codes from 0, each with a row, in the order of their first rows.
    """
    if n_codes == len(rows):
        return np.arange(n_codes)
    rng = check_random_state(random_state)
    settings = {"n_clusters": n_codes, "n_init": 1, "random_state": rng}
    n_heavy = _HEAVY_ROWS_PER_CODE * n_codes
    with warnings.catch_warnings():
        # Fewer distinct rows than codes are no fault: empty codes are left out.
        warnings.simplefilter("ignore", ConvergenceWarning)
        if len(rows) * n_codes <= _MANY_DISTANCES or len(rows) <= n_heavy:
            kmeans = KMeans(max_iter=_MAX_ITER, **settings)
        else:
            kmeans = KMeans(max_iter=_MAX_ITER_OF_MANY, **settings)
            by_weight = rng.permutation(len(rows))  # equal weights in random order
            if weight is not None:
                by_weight = by_weight[np.argsort(-weight[by_weight], kind="stable")]
            heavy = by_weight[:n_heavy]
            kmeans.fit(rows[heavy], sample_weight=_part(weight, heavy))
            kmeans.set_params(init=kmeans.cluster_centers_)
        kmeans.fit(rows, sample_weight=weight)
    return in_order_of_rows(kmeans.labels_)


def _part(weight, rows):
    return None if weight is None else weight[rows]
