"""What a student says about data, of rows or of sequences."""

import numpy as np
from sklearn.metrics import accuracy_score

from ._labels import IGNORED


class StudentPredictionMixin:
    """Predictions of an estimator with a net, ``net_``, for class indices.

    The estimator has ``_data(X)``, which checks data and makes of them what the net
    takes.
    """

    def predict(self, X):
        """Predict labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Data.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_positions)
            The labels with the greatest logits.
        """
        data = self._data(X)  # first, as it checks that there are classes
        return self.classes_[self.net_.predict(data)]

    def predict_proba(self, X):
        """Compute the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Data.

        Returns
        -------
        ndarray of shape (n_samples, n_classes) or (n_samples, n_positions, n_classes)
            Softmax of the logits, in the order of ``classes_``.
        """
        data = self._data(X)
        return self.net_.predict_proba(data)

    def predict_log_proba(self, X):
        """Compute the logarithm of each class's probability.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Data.

        Returns
        -------
        ndarray of shape (n_samples, n_classes) or (n_samples, n_positions, n_classes)
            Logarithms, finite where probabilities round to 0.
        """
        data = self._data(X)
        return self.net_.predict_log_proba(data)

    def decision_function(self, X):
        """Compute the logits.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Data.

        Returns
        -------
        ndarray of shape (n_samples, n_classes) or (n_samples, n_positions, n_classes)
            Logits; of two classes their difference, without the last dimension.
        """
        data = self._data(X)
        return self.net_.decision_function(data)

    def score(self, X, y, sample_weight=None):
        """Compute the part of the labels that are predicted.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Data.
        y : array-like of shape (n_samples,) or (n_samples, n_positions)
            Labels.
        sample_weight : array-like of shape (n_samples,) or that of y, default=None
            Weights.

        Returns
        -------
        float
            The accuracy; of sequences over all positions whose label is not -100.

        Raises
        ------
        ValueError
            If y has another shape than the predictions, or no position counts.
        """
        predicted = self.predict(X)
        y = np.asarray(y)
        if y.shape == (len(predicted), 1) and predicted.ndim == 1:
            y = y.ravel()
        if y.shape != predicted.shape:
            raise ValueError(
                f"y must have shape {predicted.shape}, as predictions have, got "
                f"{y.shape}."
            )
        if sample_weight is not None:
            weight = np.asarray(sample_weight)
            weight = weight.reshape(*weight.shape, *[1] * (y.ndim - weight.ndim))
            sample_weight = np.broadcast_to(weight, y.shape).ravel()
        counts = np.full(y.size, True) if y.ndim == 1 else y.ravel() != IGNORED
        if not counts.any():
            raise ValueError(f"y must have a label other than {IGNORED}, got none.")
        if sample_weight is not None:
            sample_weight = sample_weight[counts]
        return accuracy_score(
            y.ravel()[counts], predicted.ravel()[counts], sample_weight=sample_weight
        )
