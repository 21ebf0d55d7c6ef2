"""Verdicts as codes: 1 true, 0 false, -1 not verified."""

import numpy as np
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from .._missing import is_missing


def encode_labels(y, positive_label=None, unlabeled_label=-1):
    """Return codes of labels, and the classes.

    Parameters
    ----------
    y : array-like of shape (n_reports,)
        Labels of two classes, and `unlabeled_label`.
    positive_label : label, default=None
        Label of a true report; by default the greater of the two.
    unlabeled_label : label, default=-1
        Label of a report without a verdict. Labels -1 and 1, and no others, are two
        classes.

    Returns
    -------
    codes : ndarray of int8 of shape (n_reports,)
        1, 0 or -1.
    classes : ndarray of shape (2,)
        Labels, sorted.
    positive : int
        Which of them is that of a true report.

    Raises
    ------
    ValueError
        If there is no true, or no false report, or a third class.
    """
    y = _checked(y)
    labels, index = np.unique(y, return_inverse=True)
    if labels.tolist() != [-1, 1] or unlabeled_label != -1:
        verified = [label != unlabeled_label for label in labels.tolist()]
    else:
        verified = [True, True]
    classes = labels[verified]
    _check_classes(classes, positive_label, unlabeled_label)
    positive = 1
    if positive_label is not None:
        positive = classes.tolist().index(positive_label)
    code_of = np.full(len(labels), -1, dtype=np.int8)
    code_of[verified] = np.arange(2) == positive
    return code_of[index], classes, positive


def _checked(y):
    y = column_or_1d(y, warn=True)
    missing = [is_missing(label) for label in y.tolist()]
    if any(missing):
        raise ValueError(
            f"Input y contains NaN, in {sum(missing)} rows. Reports without a verdict "
            "have the label -1, or another one that unlabeled_label names."
        )
    check_classification_targets(y)
    return y


def _check_classes(classes, positive_label, unlabeled_label):
    if len(classes) > 2:
        raise ValueError(
            "Only binary classification is supported. The type of the target is "
            f"multiclass, with the labels {classes[:5].tolist()}"
            f"{', ...' if len(classes) > 5 else ''} beside the label "
            f"{unlabeled_label!r} of reports without a verdict. For several kinds of "
            "true reports use sklearn.multiclass.OneVsRestClassifier."
        )
    if not len(classes):
        raise ValueError("y has no class: no report has a verdict.")
    found = classes.tolist()
    lone_positive = len(found) == 1 and (
        found[0] == positive_label if positive_label is not None else found[0] == 1
    )
    if lone_positive:
        raise ValueError(
            f"y has one class, and no negative: all reports with a verdict are "
            f"{found[0]!r}. Both classes are needed."
        )
    if len(found) == 1 or (positive_label is not None and positive_label not in found):
        wanted = "" if positive_label is None else f" {positive_label!r}"
        raise ValueError(
            f"y has no positive label{wanted}: {len(found)} class"
            f"{'es' if len(found) > 1 else ''} of reports with a verdict, "
            f"{', '.join(repr(label) for label in found)}. A ranking can be learned "
            "once there is at least one true report."
        )


def encode_known_labels(y, classes, positive, unlabeled_label=-1):
    """Return the codes of labels of classes that are known from an earlier fit."""
    y = column_or_1d(y, warn=True)
    codes = np.full(len(y), -2, dtype=np.int8)
    labels = np.asarray(y).tolist()
    code_of = {label: int(i == positive) for i, label in enumerate(classes.tolist())}
    for i, label in enumerate(labels):
        codes[i] = code_of.get(label, -1 if label == unlabeled_label else -2)
    if (codes == -2).any():
        strange = labels[int(np.flatnonzero(codes == -2)[0])]
        raise ValueError(
            f"y must have the labels {classes.tolist()} or {unlabeled_label!r}, got "
            f"{strange!r}."
        )
    return codes
