"""Soft predictions, and the confusion matrix that they make."""

import numpy as np

AMPLIFIERS = ("logit", "probability")


def amplify(scores, amplifier="logit", L=1.0):
    r"""Turn scores into soft predictions between 0 and 1, with their derivative.

    .. math:: a = \sigma(L z) \quad\text{("logit")}, \qquad
        a = \sigma\left(L\,(\sigma(z) - 1/2)\right) \quad\text{("probability")}

    Either is above 1/2 where the score is positive, and the larger L is, the nearer
    to 0 and 1. The second one is that of the paper [1]_; it never reaches 0 and 1, and
    its slope vanishes at large scores twice as fast.

    Parameters
    ----------
    scores : array-like of float
        Scores z, positive for the positive class.
    amplifier : {"logit", "probability"}, default="logit"
        The function.
    L : float, default=1.0
        Its steepness, positive.

    Returns
    -------
    predictions : ndarray
        The a, of the shape of the scores, in float64.
    slopes : ndarray
        Their derivatives by the scores; never negative, and accurate where a is near 1.

    Raises
    ------
    ValueError
        If there is no such amplifier, or L is not positive.

    See Also
    --------
    soft_confusion : Counts soft predictions.

    References
    ----------
    .. [1] "AnyLoss: Transforming Classification Metrics into Loss Functions",
       arXiv:2405.14745.

    Examples
    --------
    >>> from sklogit.metrics import amplify
    >>> predictions, slopes = amplify([-40.0, 0.0, 2.0], "probability", L=73)
    >>> predictions.round(3).tolist(), slopes.round(3).tolist()
    ([0.0, 0.5, 1.0], [0.0, 4.562, 0.0])
    """
    if amplifier not in AMPLIFIERS:
        raise ValueError(
            f"amplifier must be one of {list(AMPLIFIERS)}, got {amplifier!r}."
        )
    if not 0 < L < np.inf:
        raise ValueError(f"L must be positive and finite, got {L!r}.")
    scores = np.asarray(scores, dtype=np.float64)
    if amplifier == "logit":
        predictions, slopes = _sigmoid(L * scores if L != 1 else scores)
        return predictions, slopes if L == 1 else L * slopes
    # sigmoid(z) - 1/2 = tanh(z/2) / 2, exact for small z.
    tangent = np.tanh(scores / 2)
    predictions, slopes = _sigmoid(L / 2 * tangent)
    return predictions, slopes * (L / 4) * (1 - tangent) * (1 + tangent)


def _sigmoid(u):
    """Logistic function and its derivative, from one exponential of -|u|.

    1 - a is never formed by subtraction from a rounded a: the derivative keeps its
    relative accuracy on both sides.
    """
    e = np.exp(-np.abs(u))
    larger = 1 / (1 + e)  # the larger of a and 1 - a
    smaller = e * larger
    return np.where(u >= 0, larger, smaller), smaller * larger


def soft_confusion(y_true, predictions, sample_weight=None):
    r"""Count soft predictions in a confusion matrix of two classes.

    With labels y in {0, 1}, predictions a between 0 and 1, and weights s,

    .. math:: \mathrm{tn} = \sum_i s_i (1-y_i)(1-a_i), \quad
        \mathrm{fp} = \sum_i s_i (1-y_i) a_i, \quad
        \mathrm{fn} = \sum_i s_i y_i (1-a_i), \quad
        \mathrm{tp} = \sum_i s_i y_i a_i .

    If all a are 0 or 1 these are the counts of
    :func:`sklearn.metrics.confusion_matrix`. Arithmetic only, so that arrays of NumPy,
    CuPy and torch are treated alike and keep their gradients.

    Parameters
    ----------
    y_true : array of shape (n_samples,) or (n_samples, n_outputs)
        Labels 0 and 1; bool is fine.
    predictions : array of the same shape
        Soft predictions.
    sample_weight : array of shape (n_samples,), default=None
        Weights, not negative.

    Returns
    -------
    tn, fp, fn, tp : scalars, or arrays of shape (n_outputs,)
        The counts, none negative, in the order of the flattened matrix of scikit-learn.

    Raises
    ------
    ValueError
        If the shapes differ.

    See Also
    --------
    ConfusionMetric : What is computed from them.

    References
    ----------
    .. [1] "AnyLoss: Transforming Classification Metrics into Loss Functions",
       arXiv:2405.14745.

    Examples
    --------
    >>> from sklogit.metrics import soft_confusion
    >>> [float(count) for count in soft_confusion([0, 0, 1], [0.0, 0.5, 0.75])]
    [1.5, 0.5, 0.25, 0.75]
    """
    y, a = _array(y_true), _array(predictions)
    if tuple(y.shape) != tuple(a.shape):
        raise ValueError(
            f"y_true and predictions must have the same shape, got {tuple(y.shape)} "
            f"and {tuple(a.shape)}."
        )
    positive, negative = y * 1.0, 1.0 - y * 1.0
    if sample_weight is not None:
        weight = _array(sample_weight)
        if len(weight) != len(a):
            raise ValueError(
                f"sample_weight must have {len(a)} entries, got {len(weight)}."
            )
        weight = weight.reshape((-1,) + (1,) * (a.ndim - 1))
        positive, negative = weight * positive, weight * negative
    miss = 1.0 - a
    return tuple(
        (rows * of).sum(0)
        for rows, of in [
            (negative, miss),
            (negative, a),
            (positive, miss),
            (positive, a),
        ]
    )


def _array(values):
    """Leave arrays of any library alone; make one of anything else."""
    return values if hasattr(values, "reshape") else np.asarray(values)
