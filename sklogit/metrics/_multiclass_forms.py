"""Metrics of the confusion matrix of many classes, and their derivatives.

C[k, j] is the weight of the rows of class k that are predicted, or softly so, as j.
"""

import numpy as np


def _ratio(numerator, denominator):
    """Ratio, and 0 where the denominator is 0."""
    out = np.zeros(np.broadcast_shapes(np.shape(numerator), np.shape(denominator)))
    np.divide(numerator, denominator, out=out, where=np.asarray(denominator) != 0)
    return out


class Accuracy:
    """Part of the weight on the diagonal."""

    def value(self, C):
        """Evaluate the metric."""
        return float(_ratio(np.trace(C), C.sum()))

    def partials(self, C):
        """Differentiate by the entries of C."""
        return _ratio(np.eye(len(C)) - self.value(C), C.sum())


class BalancedAccuracy:
    """Mean of the recall of the classes that are there."""

    def value(self, C):
        """Evaluate the metric."""
        of_class = C.sum(axis=1)
        return float(_ratio(np.diag(C), of_class).sum() / max((of_class != 0).sum(), 1))

    def partials(self, C):
        """Differentiate by the entries of C."""
        of_class = C.sum(axis=1)
        recall = _ratio(np.diag(C), of_class)
        moved = np.eye(len(C)) - recall[:, np.newaxis]
        return _ratio(moved, of_class[:, np.newaxis]) / max((of_class != 0).sum(), 1)


def _chance_and_agreement(C):
    """Marginals, total, and T trace(C) - p q with its derivatives."""
    p, q, total = C.sum(axis=1), C.sum(axis=0), C.sum()
    by_chance = q[:, np.newaxis] + p  # derivative of p q by C[k, j]: q[k] + p[j]
    agreement = total * np.trace(C) - p @ q
    by_agreement = total * np.eye(len(C)) + np.trace(C) - by_chance
    return p, q, total, by_chance, agreement, by_agreement


class CohenKappa:
    """Agreement of labels and predictions beyond that of guessing."""

    def value(self, C):
        """Evaluate the metric."""
        p, q, total, _, agreement, _ = _chance_and_agreement(C)
        return float(_ratio(agreement, total**2 - p @ q))

    def partials(self, C):
        """Differentiate by the entries of C."""
        p, q, total, by_chance, _, by_agreement = _chance_and_agreement(C)
        by_most = 2 * total - by_chance
        return _ratio(by_agreement - self.value(C) * by_most, total**2 - p @ q)


class MatthewsCorrelation:
    """Correlation of labels and predictions, of all classes together."""

    def value(self, C):
        """Evaluate the metric."""
        p, q, total, _, agreement, _ = _chance_and_agreement(C)
        spread = np.sqrt(max(total**2 - q @ q, 0.0)) * np.sqrt(
            max(total**2 - p @ p, 0.0)
        )
        return float(_ratio(agreement, spread))

    def partials(self, C):
        """Differentiate by the entries of C."""
        p, q, total, _, _, by_agreement = _chance_and_agreement(C)
        of_true, of_predicted = total**2 - p @ p, total**2 - q @ q
        if min(of_true, of_predicted) <= 0:  # one class only: the value is 0 by choice
            return np.zeros_like(C)
        root = np.sqrt(of_true) * np.sqrt(of_predicted)
        by_spread = (total - q) / of_predicted + (total - p[:, np.newaxis]) / of_true
        return by_agreement / root - self.value(C) * by_spread


MULTICLASS = {
    "accuracy": Accuracy(),
    "balanced_accuracy": BalancedAccuracy(),
    "cohen_kappa": CohenKappa(),
    "matthews_corrcoef": MatthewsCorrelation(),
}
