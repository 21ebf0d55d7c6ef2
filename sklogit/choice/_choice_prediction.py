"""Predictions of a model of choices, row by row and by impression."""

import numpy as np
from sklearn.utils.validation import check_consistent_length, column_or_1d

from ._choice_data import impression_weights
from ._choice_probability import choice_probabilities
from ._choice_score import log_likelihood_of
from ._impressions import Impressions


class ChoicePredictionMixin:
    """Predictions from `decision_function`, ``classes_`` and ``outside_option``."""

    def predict_proba(self, X, groups=None):
        """Compute the probability that rows are chosen.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
            A row for each alternative shown.
        groups : array-like of shape (n_rows,), default=None
            Impression of each row; None shows each row alone.

        Returns
        -------
        ndarray of shape (n_rows, 2)
            Probabilities that the row is not chosen, and that it is.
        """
        proba = self._probabilities(X, groups)[0]
        return np.column_stack([1.0 - proba, proba])

    def predict_log_proba(self, X, groups=None):
        """Compute the logarithm of the probability that rows are chosen.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
            A row for each alternative shown.
        groups : array-like of shape (n_rows,), default=None
            Impression of each row; None shows each row alone.

        Returns
        -------
        ndarray of shape (n_rows, 2)
            Logarithms of what `predict_proba` returns; of chosen rows they are finite
            even where the probability underflows.
        """
        utilities, impressions = self._utilities(X, groups)
        proba, _, log_sum = choice_probabilities(
            utilities, impressions, self.outside_option
        )
        with np.errstate(divide="ignore"):
            log_proba = [np.log1p(-proba), utilities - impressions.spread(log_sum)]
        return impressions.unsorted(np.column_stack(log_proba))

    def predict(self, X, groups=None):
        """Mark the most probable choice of each impression.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
            A row for each alternative shown.
        groups : array-like of shape (n_rows,), default=None
            Impression of each row; None shows each row alone.

        Returns
        -------
        ndarray of shape (n_rows,)
            The label of chosen rows for the best of the impression, unless nothing is
            more probable; the other label for the rest. Of equals the first is marked.
        """
        utilities = self.decision_function(X)
        impressions = self._impressions(groups, len(utilities))
        sorted_utilities = impressions.sorted(utilities)
        best = sorted_utilities == impressions.spread(impressions.max(sorted_utilities))
        if self.outside_option:
            best &= sorted_utilities > 0
        number = impressions.spread(np.arange(impressions.n_groups))
        candidates = np.flatnonzero(best)
        _, first = np.unique(number[candidates], return_index=True)
        chosen = np.zeros(len(utilities), dtype=np.intp)
        chosen[candidates[first]] = 1
        return self.classes_[impressions.unsorted(chosen)]

    def score(self, X, y, sample_weight=None, groups=None):
        """Compute the share of impressions whose choice is predicted.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
            A row for each alternative shown.
        y : array-like of shape (n_rows,)
            Labels.
        sample_weight : array-like of shape (n_rows,), default=None
            Weights, the same for all rows of an impression.
        groups : array-like of shape (n_rows,), default=None
            Impression of each row; None gives the accuracy over rows shown alone.

        Returns
        -------
        float
            Share between 0 and 1.
        """
        predicted, y = self.predict(X, groups), column_or_1d(y)
        check_consistent_length(predicted, y)
        wrong = predicted != y
        impressions = self._impressions(groups, len(wrong))
        weight = impression_weights(sample_weight, wrong, impressions)
        missed = impressions.max(impressions.sorted(wrong))
        return float(np.average(~missed, weights=weight))

    def no_click_proba(self, X, groups=None):
        """Compute the probability that nothing is chosen.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
            A row for each alternative shown.
        groups : array-like of shape (n_rows,), default=None
            Impression of each row; None shows each row alone.

        Returns
        -------
        ndarray of shape (n_groups,)
            Probability for each impression, in the order of their first rows.
        """
        return self._probabilities(X, groups)[1]

    def log_likelihood(self, X, y, groups=None, sample_weight=None):
        """Compute the log-likelihood of choices.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
            A row for each alternative shown.
        y : array-like of shape (n_rows,)
            Labels, of those in ``classes_``.
        groups : array-like of shape (n_rows,), default=None
            Impression of each row; None shows each row alone.
        sample_weight : array-like of shape (n_rows,), default=None
            Weights, the same for all rows of an impression.

        Returns
        -------
        float
            Sum over impressions, in nats, without the penalty.

        Raises
        ------
        ValueError
            As `fit`.
        """
        utilities = self.decision_function(X)
        y = column_or_1d(y)
        check_consistent_length(utilities, y)
        self._check_labels(y)
        impressions = self._impressions(groups, len(y))
        weight = impression_weights(sample_weight, utilities, impressions)
        return log_likelihood_of(
            utilities,
            y == self.classes_[1],
            impressions,
            weight,
            self.outside_option,
        )

    def _impressions(self, groups, n_rows):
        if groups is None and not self.outside_option:
            raise ValueError(
                "groups must be given with outside_option=False: a row that is shown "
                "alone would be chosen always."
            )
        return Impressions.from_labels(groups, n_rows)

    def _utilities(self, X, groups):
        """Utilities of rows sorted by impression, and the impressions."""
        utilities = self.decision_function(X)
        impressions = self._impressions(groups, len(utilities))
        return impressions.sorted(utilities), impressions

    def _probabilities(self, X, groups):
        """Probabilities of rows, in their order, and of choosing nothing."""
        utilities, impressions = self._utilities(X, groups)
        proba, none, _ = choice_probabilities(
            utilities, impressions, self.outside_option
        )
        return impressions.unsorted(proba), none

    def _check_labels(self, y):
        if not np.isin(y, self.classes_).all():
            raise ValueError(f"y must have the labels {self.classes_}, got others.")
