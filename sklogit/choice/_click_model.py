"""What an auction wants of the model of clicks that it is given."""

import numpy as np
from scipy.special import expit

from ._checks import utilities_of

# Scores are log odds if they give the probabilities of the model up to this.
_ROUND_OFF = 1e-6


def check_click_model(model):
    """Raise ValueError for a model that does not tell how probable a click is.

    Parameters
    ----------
    model : estimator
        The model, which need not be fitted.
    """
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    if not getattr(last, "outside_option", True):
        raise ValueError(
            "click_model must have an outside option: with outside_option=False it "
            "learns what is clicked, but not how often nothing is."
        )
    if not hasattr(model, "predict_proba"):
        raise ValueError(
            f"click_model must have predict_proba, which {type(model).__name__} has "
            "not: prices are right for probabilities, not for scores. "
            "sklearn.calibration.CalibratedClassifierCV adds it to a classifier."
        )


def check_click_labels(classes):
    """Raise ValueError for labels other than not clicked, and clicked."""
    if len(classes) != 2:
        raise ValueError(
            "y must have two labels, not clicked and clicked, got "
            f"{len(classes)}: {classes}."
        )


def predicted_utilities(model, X):
    """Log odds of clicks on pairs that are shown alone.

    Parameters
    ----------
    model : classifier
        The fitted model.
    X : {array-like, sparse matrix} of shape (n_pairs, n_features)
        Features of the pairs.

    Returns
    -------
    ndarray of shape (n_pairs,)
        Scores of the model where they are log odds, which keeps their digits near a
        probability of one; else the log odds of its probabilities.
    """
    proba = np.asarray(model.predict_proba(X)[:, 1], dtype=np.float64)
    if hasattr(model, "decision_function"):
        scores = np.asarray(model.decision_function(X), dtype=np.float64)
        if np.abs(expit(scores) - proba).max() <= _ROUND_OFF:
            return scores
    return utilities_of(proba)
