"""What a linear classifier of many classes says, a few rows of logits at a time."""

import numpy as np
import torch
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    check_is_fitted,
    validate_data,
)

from .._probability import log_probabilities, probabilities
from ._net import class_indices
from ._prediction import check_k, concatenated

# Logits that are held at once, 16 MiB in float64, or those of one row.
_LOGITS_AT_ONCE = 2**21


class BlockPredictionMixin:
    """Predictions of a classifier that has ``classes_``, ``coef_``, ``intercept_``."""

    def decision_function(self, X):
        """Compute the logits.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or (n_samples,) for two classes
            Logits; of two classes that of the second.
        """
        return self._gather(X, _scores)

    def predict_proba(self, X):
        """Compute the probability of each class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of ``classes_``.
        """
        return self._gather(X, lambda logits: probabilities(_scores(logits)))

    def predict_log_proba(self, X):
        """Compute the logarithm of each class's probability.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Logarithms, finite where probabilities round to 0.
        """
        return self._gather(X, lambda logits: log_probabilities(_scores(logits)))

    def predict(self, X):
        """Predict labels.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        ndarray of shape (n_samples,)
            The most probable labels.
        """
        indices = self._gather(X, lambda logits: logits.argmax(axis=1))
        return self.classes_[indices]

    def predict_topk(self, X, k=5):
        """Predict the k most probable labels.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        k : int, default=5
            Number of labels, at most that of the classes.

        Returns
        -------
        ndarray of shape (n_samples, k)
            Labels, the most probable first.

        Raises
        ------
        ValueError
            If there are not k classes.
        """
        check_is_fitted(self)
        check_k(k, len(self.classes_))
        indices = self._gather(
            X, lambda logits: torch.from_numpy(logits).topk(k, dim=1).indices.numpy()
        )
        return self.classes_[indices]

    def log_loss(self, X, y, sample_weight=None):
        """Compute the mean of -log p of the labels.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        y : array-like of shape (n_samples,)
            Labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative, not all zero.

        Returns
        -------
        float
            The (weighted) mean, without the penalty.

        Raises
        ------
        ValueError
            If y has labels that are not in ``classes_``, or weights are wrong.
        """
        check_is_fitted(self)
        indices = class_indices(y, self.classes_)
        check_consistent_length(X, indices)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(
                sample_weight, indices, ensure_non_negative=True
            )
        start, losses = 0, []
        for logits in self._blocks(X):
            rows = np.arange(len(logits))
            own = logits[rows, indices[start + rows]]
            total = torch.from_numpy(logits).logsumexp(dim=1).numpy()
            losses.append(total - own)
            start += len(logits)
        return float(np.average(np.concatenate(losses), weights=sample_weight))

    def _blocks(self, X):
        """Yield logits of a few rows at a time, of all classes."""
        check_is_fitted(self)
        X = validate_data(
            self, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=False
        )
        # Rows of sparse matrices pick rows of it.
        weights = np.ascontiguousarray(self.coef_.T)
        n_rows = max(1, _LOGITS_AT_ONCE // len(self.classes_))
        for start in range(0, X.shape[0], n_rows):
            logits = safe_sparse_dot(X[start : start + n_rows], weights)
            logits += self.intercept_.astype(logits.dtype)
            if len(self.classes_) == 2:
                logits = np.hstack([np.zeros_like(logits), logits])
            yield logits

    def _gather(self, X, of_logits):
        n_rows = X.shape[0] if hasattr(X, "shape") else None
        return concatenated(map(of_logits, self._blocks(X)), n_rows)


def _scores(logits):
    """Logits as scikit-learn has them: of two classes that of the second."""
    return logits[:, 1] if logits.shape[1] == 2 else logits
