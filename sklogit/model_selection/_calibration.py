"""How far probabilities can be taken at their word."""

import numpy as np
from scipy.special import logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss

# Trees say 0 and 1; their logits are taken at this distance from them.
_CLIP = 1e-6

CALIBRATION_COLUMNS = (
    "brier_score",
    "log_loss",
    "calibration_error",
    "calibration_slope",
    "calibration_intercept",
)


def calibration_measures(y, probabilities, classes, *, n_bins=10, sample_weight=None):
    r"""Measure the calibration of probabilities.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        Labels.
    probabilities : ndarray of shape (n_samples, n_classes)
        Probabilities of the classes, not of rows the model was fitted to.
    classes : ndarray of shape (n_classes,)
        Labels in the order of the columns.
    n_bins : int, default=10
        Bins of the expected calibration error, with as many rows in each.
    sample_weight : ndarray of shape (n_samples,), default=None
        Weights of the rows.

    Returns
    -------
    dict of float
        The `CALIBRATION_COLUMNS`. With more than two classes, the calibration error,
        slope and intercept are means over the classes, each against the rest.
    """
    weight = np.ones(len(y)) if sample_weight is None else sample_weight
    # Of two classes, one column says it all.
    columns = [1] if len(classes) == 2 else range(len(classes))
    events = [(y == classes[k], probabilities[:, k]) for k in columns]
    errors = [calibration_error(*event, n_bins, weight) for event in events]
    lines = np.array([calibration_line(*event, weight) for event in events])
    slope, intercept = lines.mean(axis=0)
    binary = len(classes) == 2
    return {
        "brier_score": brier_score_loss(
            y,
            probabilities[:, 1] if binary else probabilities,
            sample_weight=weight,
            **({"pos_label": classes[1]} if binary else {"labels": classes}),
        ),
        "log_loss": log_loss(y, probabilities, labels=classes, sample_weight=weight),
        "calibration_error": float(np.mean(errors)),
        "calibration_slope": float(slope),
        "calibration_intercept": float(intercept),
    }


def calibration_error(happened, probability, n_bins, weight):
    """Return the expected calibration error with bins of equally many rows.

    Rows of the same probability are never divided among two bins.
    """
    order = np.argsort(probability, kind="stable")
    p, event, weight = probability[order], happened[order], weight[order]
    cuts = np.linspace(0, len(p), min(n_bins, len(p)) + 1).round().astype(int)[1:-1]
    starts = np.unique(np.searchsorted(p, p[cuts], side="left"))
    starts = np.union1d([0], starts)
    mass = np.add.reduceat(weight, starts)
    gap = np.add.reduceat(weight * (p - event), starts)
    return float(np.abs(gap).sum() / mass.sum())


def calibration_line(happened, probability, weight):
    """Return slope and intercept of the logistic regression of y on logit p.

    (1, 0) is perfect, a slope below 1 is overconfidence. Where the probabilities
    separate the classes there is no finite slope: it is infinite.
    """
    z = logit(np.clip(probability, _CLIP, 1 - _CLIP))
    counts = weight > 0
    z, event, weight = z[counts], happened[counts], weight[counts]
    if event.all() or not event.any():
        return np.nan, np.nan
    if z[event].min() >= z[~event].max():
        # All on the right side, up to one shared value, if there is more than one.
        return (np.inf, np.nan) if z.min() < z.max() else (np.nan, np.nan)
    if z[event].max() <= z[~event].min():
        return -np.inf, np.nan
    center, scale = z.mean(), z.std()
    model = LogisticRegression(
        C=np.inf, solver="newton-cholesky", tol=1e-10, max_iter=200
    )
    model.fit(((z - center) / scale)[:, np.newaxis], event, sample_weight=weight)
    slope = model.coef_[0, 0] / scale
    return slope, model.intercept_[0] - slope * center
