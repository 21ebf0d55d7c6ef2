"""What a classifier of codes says, at the cost of the codes where that is enough."""

import numpy as np
import torch
from scipy.special import log_softmax
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    validate_data,
)

from ..heads import VQLogitsHead
from ..heads._checks import check_k
from ..heads._top_classes import member_table, top_classes
from ..heads._vq_conversion import LinearCodes
from ._code_softmax import row_blocks
from ._net import class_indices


class CodePredictionMixin:
    """Predictions of a classifier that has ``codes_``, ``codebook_`` and shares."""

    def predict(self, X):
        """Predict labels, at the cost of the codes alone.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        ndarray of shape (n_samples,)
            The most probable labels. Of equal ones that of the lowest code, and of one
            code the first.
        """
        return self.predict_topk(X, k=1)[:, 0]

    def predict_topk(self, X, k=5):
        """Predict the k most probable labels, without probabilities of all.

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
            If k is not between 1 and the number of classes.
        """
        X = self._for_prediction(X)
        check_k(k, len(self.classes_))
        table = member_table(
            torch.as_tensor(self.codes_),
            torch.as_tensor(self.log_within_),
            self.n_codes_,
            k,
        )
        best = np.empty((X.shape[0], k), dtype=np.intp)
        for rows, log_p in self._code_log_proba(X):
            best[rows] = top_classes(torch.as_tensor(log_p), *table, k)[1].numpy()
        return self.classes_[best]

    def predict_log_proba(self, X):
        """Compute the logarithm of each class's probability.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Logarithms, in the order of ``classes_``. For many classes it is large.
        """
        X = self._for_prediction(X)
        values = np.empty((X.shape[0], len(self.classes_)), self.codebook_.dtype)
        for rows, log_p in self._code_log_proba(X):
            np.take(log_p, self.codes_, axis=1, out=values[rows], mode="clip")
            values[rows] += self.log_within_
        return values

    def predict_proba(self, X):
        """Compute the probability of each class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of ``classes_``. For many classes it is large.
        """
        values = self.predict_log_proba(X)
        return np.exp(values, out=values)

    def decision_function(self, X):
        """Compute scores of the classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or (n_samples,) for two classes
            Log-probabilities; of two classes their difference, positive for the second
            one.
        """
        values = self.predict_log_proba(X)
        return values[:, 1] - values[:, 0] if values.shape[1] == 2 else values

    def log_loss(self, X, y, sample_weight=None):
        """Compute the mean of -log p of the labels, at the cost of the codes alone.

        Its exponential is the perplexity.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        y : array-like of shape (n_samples,)
            Labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights.

        Returns
        -------
        float
            The (weighted) mean, in nats.

        Raises
        ------
        ValueError
            If a label was not in the training data, or weights are negative or all
            zero.
        """
        check_is_fitted(self)
        X, y = validate_data(
            self, X, y, accept_sparse="csr", dtype=self.codebook_.dtype, reset=False
        )
        target = class_indices(y, self.classes_)
        losses = -self.log_within_[target].astype(np.float64)
        for rows, log_p in self._code_log_proba(X):
            codes = self.codes_[target[rows]]
            losses[rows] -= log_p[np.arange(len(codes)), codes]
        if sample_weight is not None:
            sample_weight = _check_sample_weight(
                sample_weight, X, ensure_non_negative=True
            )
        return float(np.average(losses, weights=sample_weight))

    def to_head(self):
        """Make a torch head with the same probabilities.

        Returns
        -------
        VQLogitsHead
            The head; its classes are the indices of ``classes_``.
        """
        check_is_fitted(self)
        parts = LinearCodes(
            self.codes_, self.codebook_, self.code_intercept_, self.log_within_
        )
        like = torch.as_tensor(self.codebook_)
        return VQLogitsHead._of_parts(
            parts, like, kind=self.within, smoothing=self.smoothing
        )

    def to_linear(self):
        """Return the coefficients of a dense softmax regression of the same odds.

        Returns
        -------
        coef : ndarray of shape (n_classes, n_features)
            The code vector of each class.
        intercept : ndarray of shape (n_classes,)
            Intercepts of the codes, with the logarithm of the share of the class.
        """
        check_is_fitted(self)
        intercept = self.code_intercept_[self.codes_] + self.log_within_
        return self.codebook_[self.codes_], intercept

    def _for_prediction(self, X):
        check_is_fitted(self)
        return validate_data(
            self, X, accept_sparse="csr", dtype=self.codebook_.dtype, reset=False
        )

    def _code_log_proba(self, X):
        """Pairs (rows, log-probabilities of the codes), block by block."""
        columns = np.ascontiguousarray(self.codebook_.T)
        for rows in row_blocks(X.shape[0], self.n_codes_):
            scores = np.asarray(X[rows] @ columns) + self.code_intercept_
            yield rows, log_softmax(scores, axis=1)
