"""Weights of rare true reports, and probabilities freed of them."""

import warnings

import numpy as np
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.utils.validation import has_fit_parameter


def class_weights(class_weight, codes, classes, positive, sample_weight):
    """Return the weights of a false and of a true report.

    Parameters
    ----------
    class_weight : dict, "balanced" or None
        As in scikit-learn.
    codes : ndarray of shape (n_reports,)
        1 and 0, of reports with a verdict.
    classes : ndarray of shape (2,)
        Labels.
    positive : int
        Which one is that of a true report.
    sample_weight : ndarray or None
        Weights of reports.

    Returns
    -------
    weights : tuple of float
        Of a false, and a true report.
    """
    if class_weight is None:
        return 1.0, 1.0
    if class_weight == "balanced":
        total = np.bincount(codes, weights=sample_weight, minlength=2)
        return tuple((total.sum() / (2.0 * total)).tolist())
    labels = classes.tolist()
    false, true = labels[1 - positive], labels[positive]
    unknown = [label for label in class_weight if label not in (false, true)]
    if unknown:
        raise ValueError(
            f"class_weight must have the labels {classes.tolist()} as keys, got "
            f"{unknown[0]!r}."
        )
    weights = float(class_weight.get(false, 1.0)), float(class_weight.get(true, 1.0))
    if min(weights) <= 0:
        raise ValueError(f"class_weight must be positive, got {class_weight!r}.")
    return weights


def without_weight(probability, ratio):
    r"""Undo the weight of true reports in the probabilities of a classifier.

    To weight them by w multiplies their odds by w, whatever the features, so that

    .. math:: p^* = \frac{p}{p + w (1 - p)}

    is the probability without the weight, exactly where the model is right. The order
    of the reports stays.

    Parameters
    ----------
    probability : ndarray
        Of a classifier trained with weights.
    ratio : float
        Weight of a true report by that of a false one, w.

    Returns
    -------
    ndarray
        Probabilities.
    """
    if ratio == 1.0:
        return probability
    return probability / (probability + ratio * (1.0 - probability))


def fit_classifier(estimator, Z, codes, weights, sample_weight, calibration, cv):
    """Fit a classifier with class weights to features, and calibrate it by folds.

    Parameters
    ----------
    estimator : estimator
        Classifier.
    Z : {ndarray, CSR} of shape (n_reports, n_features)
        Features, without own verdicts.
    codes : ndarray of shape (n_reports,)
        1 and 0.
    weights : tuple of float
        Of a false, and a true report.
    sample_weight : ndarray or None
        Weights of reports.
    calibration : {"prior", "sigmoid", "isotonic", None}
        Method.
    cv : cross-validation splitter or None
        Folds for "sigmoid" and "isotonic".

    Returns
    -------
    estimator
        Fitted.
    """
    estimator = clone(estimator)
    has_weights = weights[0] != weights[1] or weights[0] != 1.0
    if "class_weight" in estimator.get_params(deep=False):
        estimator.set_params(
            class_weight=_weight_dict(weights) if has_weights else None
        )
    elif has_weights and calibration in ("sigmoid", "isotonic"):
        # Folds would calibrate to the weights too.
        raise ValueError(
            f"calibration={calibration!r} with class_weight needs an estimator with a "
            f"parameter class_weight; {type(estimator).__name__} has none."
        )
    elif has_weights:
        factor = np.where(codes == 1, weights[1], weights[0])
        sample_weight = factor if sample_weight is None else factor * sample_weight
    if calibration in ("sigmoid", "isotonic"):
        estimator = CalibratedClassifierCV(estimator, method=calibration, cv=cv)
    return _fit_weighted(estimator, Z, codes, sample_weight)


def fit_self_training(estimator, Z, codes, weights):
    """Fit to features of which some have no verdict (-1), guessing those it is sure of.

    The class weights are those of the verdicts, whatever is guessed.
    """
    estimator = clone(estimator)
    if weights != (1.0, 1.0):
        if "class_weight" not in estimator.get_params(deep=False):
            raise ValueError(
                "unlabeled='self_training' with class_weight needs an estimator with a "
                f"parameter class_weight; {type(estimator).__name__} has none."
            )
        estimator.set_params(class_weight=_weight_dict(weights))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "y contains no unlabeled samples")
        return SelfTrainingClassifier(estimator).fit(Z, codes.astype(np.int64))


def _weight_dict(weights):
    return {0: weights[0], 1: weights[1]}


def _fit_weighted(estimator, Z, codes, sample_weight):
    codes = codes.astype(np.int64)
    if sample_weight is None:
        return estimator.fit(Z, codes)
    if not has_fit_parameter(estimator, "sample_weight"):
        raise ValueError(
            f"Weights need an estimator whose fit takes sample_weight; "
            f"{type(estimator).__name__} does not."
        )
    # Without routing, calibration hands weights on to a classifier that was not asked.
    with config_context(enable_metadata_routing=False):
        return estimator.fit(Z, codes, sample_weight=sample_weight)
