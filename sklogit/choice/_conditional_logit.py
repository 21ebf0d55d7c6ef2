"""Multinomial logit of choices among the rows of an impression."""

import warnings
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model._base import LinearClassifierMixin, SparseCoefMixin
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import (
    _check_feature_names_in,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from .._state import restore_on_failure
from ._choice_data import impression_weights, number_of_choices, two_labels
from ._choice_design import choice_design
from ._choice_objective import ChoiceObjective
from ._choice_probability import choice_probabilities, null_log_likelihood
from ._impressions import Impressions
from ._lbfgs import lbfgs
from ._newton import invert_scaled, newton
from ._summary import ChoiceSummary

# Above, a Hessian costs more than it saves.
_NEWTON_FEATURES = 500


class ConditionalLogit(LinearClassifierMixin, SparseCoefMixin, BaseEstimator):
    r"""Multinomial logit of which row of an impression is chosen, if any.

    A user sees the rows of an impression g together and chooses row r with probability

    .. math:: \frac{e^{u_r}}{1 + \sum_{r' \in g} e^{u_{r'}}}, \qquad
        u_r = x_r^\top \beta + \beta_0

    and nothing with the rest. The model minimises

    .. math:: \sum_g s_g \Big[\log\Big(1 + \sum_{r \in g} e^{u_r}\Big)
        - \sum_{r \in g} y_r u_r\Big] + \frac{1}{2C} \|\beta\|^2.

    With one row an impression it is logistic regression.

    Parameters
    ----------
    C : float, default=1.0
        Inverse strength of the penalty; ``inf`` for none, as choice modellers fit.
    fit_intercept : bool, default=True
        Whether to fit :math:`\beta_0`, the utility of any row over that of choosing
        nothing. Without outside option it has no effect on choices, and is zero.
    solver : {"auto", "newton", "lbfgs"}, default="auto"
        Newton steps with the exact Hessian, or L-BFGS, which gives no standard errors.
        "auto" takes Newton up to 500 features.
    max_iter : int, default=100
        Most iterations.
    tol : float, default=1e-8
        Newton ends once a step promises no larger decrease of the objective, in nats.
        L-BFGS ends when the gradient over the total weight is below it.
    outside_option : bool, default=True
        Whether nothing may be chosen. Otherwise each impression has one choice, and the
        1 in the formulas is left out.

    Attributes
    ----------
    coef_ : ndarray of shape (1, n_features)
        Coefficients :math:`\beta`.
    intercept_ : ndarray of shape (1,)
        Intercept :math:`\beta_0`.
    classes_ : ndarray of shape (2,)
        Labels of rows not chosen, and chosen.
    covariance_ : ndarray of shape (n_coefs, n_coefs) or None
        Inverse of the Hessian at the solution, the intercept last if it was fitted. It
        is the covariance of the estimates for an infinite C, and that of the normal
        approximation of the posterior for a normal prior of variance C. NaN where the
        data do not identify a coefficient; None after L-BFGS.
    log_likelihood_ : float
        Log-likelihood of the training data in nats, without the penalty.
    log_likelihood_null_ : float
        That of the model without features: the intercept alone, or equal shares.
    loss_curve_ : ndarray of shape (n_iter + 1,)
        The objective at the start and after each iteration.
    n_iter_ : int
        Number of iterations.
    n_groups_ : int
        Number of impressions.
    n_rows_ : int
        Number of rows.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if X has any.

    See Also
    --------
    sklogit.choice.PositionAuction : Places what users choose from, and prices it.
    sklearn.linear_model.LogisticRegression : Rows that do not compete.

    Notes
    -----
    Impressions may differ in size, and their rows may stand anywhere in X. Sums over
    impressions run over sorted rows, so no table of impressions by alternatives is
    built. What differs between alternatives, such as their place, is a feature.

    Pass `groups` through meta-estimators by metadata routing, with
    ``set_fit_request(groups=True)``.

    References
    ----------
    .. [1] D. McFadden, "Conditional logit analysis of qualitative choice behavior",
       Frontiers in Econometrics, 1974.

    Examples
    --------
    >>> from sklogit.choice import ConditionalLogit
    >>> X = [[0.0], [1.0], [2.0], [0.5], [1.5], [2.5], [0.0]]
    >>> y = [0, 1, 0, 0, 1, 0, 0]
    >>> groups = ["a", "a", "b", "b", "c", "d", "d"]
    >>> clf = ConditionalLogit().fit(X, y, groups)
    >>> proba = clf.predict_proba(X, groups)[:, 1]
    >>> float(round(proba[0] + proba[1] + clf.no_click_proba(X, groups)[0], 12))
    1.0
    """

    _parameter_constraints: dict = {
        "C": [Interval(Real, 0, None, closed="right")],  # inf included
        "fit_intercept": ["boolean"],
        "solver": [StrOptions({"auto", "newton", "lbfgs"})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "outside_option": ["boolean"],
    }

    def __init__(
        self,
        C=1.0,
        *,
        fit_intercept=True,
        solver="auto",
        max_iter=100,
        tol=1e-8,
        outside_option=True,
    ):
        self.C = C
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol
        self.outside_option = outside_option

    @restore_on_failure
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, groups=None, sample_weight=None):
        """Fit the model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
            A row for each alternative shown.
        y : array-like of shape (n_rows,)
            Two labels; the greater one marks the chosen row.
        groups : array-like of shape (n_rows,), default=None
            Impression of each row, any hashable labels in any order. None makes each
            row an impression.
        sample_weight : array-like of shape (n_rows,), default=None
            Weights, the same for all rows of an impression; a weight of 2 is the same
            as a repeated impression.

        Returns
        -------
        self : object
            The fitted model.

        Raises
        ------
        ValueError
            If y has not two labels, an impression has more than one choice, or none
            without outside option; if weights differ in an impression, are negative, or
            are all zero where something or nothing is chosen; if values are not finite.
        """
        X, y = validate_data(self, X, y, accept_sparse="csr", dtype=np.float64)
        self.classes_ = two_labels(y)
        impressions = self._impressions(groups, len(y))
        chosen = impressions.sorted((y == self.classes_[1]).astype(np.float64))
        weight = impression_weights(sample_weight, X, impressions)
        n_chosen = self._check_choices(impressions, chosen, weight)
        objective, centre = self._objective(X, chosen, impressions, weight)
        self._solve(objective, centre)
        self.log_likelihood_null_ = null_log_likelihood(
            impressions.sizes,
            n_chosen,
            weight,
            self._has_intercept,
            self.outside_option,
        )
        self.n_groups_, self.n_rows_ = impressions.n_groups, impressions.n_rows
        return self

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
        wrong = self.predict(X, groups) != column_or_1d(y)
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
        if not np.isin(y, self.classes_).all():
            raise ValueError(f"y must have the labels {self.classes_}, got others.")
        impressions = self._impressions(groups, len(y))
        chosen = impressions.sorted(y == self.classes_[1])
        weight = impression_weights(sample_weight, utilities, impressions)
        number_of_choices(impressions, chosen, self.outside_option)
        utilities = impressions.sorted(utilities)
        log_sum = choice_probabilities(utilities, impressions, self.outside_option)[2]
        of_chosen = impressions.sum(np.where(chosen, utilities, 0.0))
        return float(weight @ (of_chosen - log_sum))

    def summary(self):
        """Return the table of coefficients, standard errors and fit.

        Returns
        -------
        ChoiceSummary
            The table; print it, or read its attributes.

        Raises
        ------
        ValueError
            If the model was fitted by L-BFGS, which gives no standard errors.
        """
        check_is_fitted(self)
        if self.covariance_ is None:
            raise ValueError(
                "summary() needs standard errors, which solver='lbfgs' does not give: "
                "set solver='newton'."
            )
        names = list(_check_feature_names_in(self))
        coef = self.coef_.ravel()
        if len(self.covariance_) > len(coef):
            names, coef = [*names, "intercept"], np.append(coef, self.intercept_)
        return ChoiceSummary.from_estimates(
            names,
            coef,
            self.covariance_,
            log_likelihood=self.log_likelihood_,
            log_likelihood_null=self.log_likelihood_null_,
            n_groups=self.n_groups_,
            n_rows=self.n_rows_,
            C=self.C,
        )

    @property
    def _has_intercept(self):
        return self.fit_intercept and self.outside_option

    def _impressions(self, groups, n_rows):
        if groups is None and not self.outside_option:
            raise ValueError(
                "groups must be given with outside_option=False: a row that is shown "
                "alone would be chosen always."
            )
        return Impressions.from_labels(groups, n_rows)

    def _probabilities(self, X, groups):
        """Probabilities of rows, in their order, and of choosing nothing."""
        utilities = self.decision_function(X)
        impressions = self._impressions(groups, len(utilities))
        proba, none, _ = choice_probabilities(
            impressions.sorted(utilities), impressions, self.outside_option
        )
        return impressions.unsorted(proba), none

    def _check_choices(self, impressions, chosen, weight):
        n_chosen = number_of_choices(impressions, chosen, self.outside_option)
        if not weight @ n_chosen > 0:
            raise ValueError("sample_weight leaves one class only: no row is chosen.")
        if self._has_intercept and not weight @ (1 - n_chosen) > 0:
            raise ValueError(
                "Every impression of positive weight has a chosen row, which leaves "
                "the outside option as a class without data and the intercept without "
                "bound: set outside_option=False, or fit_intercept=False."
            )
        return n_chosen

    def _objective(self, X, chosen, impressions, weight):
        design, centre = choice_design(
            X, impressions, self._has_intercept, self.outside_option
        )
        penalty = np.full(X.shape[1], 1.0 / self.C)
        if self._has_intercept:
            penalty = np.append(penalty, 0.0)
        sorted_rows = Impressions(impressions.starts, impressions.n_rows)
        objective = ChoiceObjective(
            design, chosen, sorted_rows, weight, penalty, self.outside_option
        )
        return objective, centre

    def _solve(self, objective, centre):
        solver = self.solver
        if solver == "auto":
            solver = "newton" if len(centre) <= _NEWTON_FEATURES else "lbfgs"
        start = np.zeros(len(objective.penalty))
        if solver == "newton":
            result = newton(objective, start, self.max_iter, self.tol)
            theta, curve, converged = result.theta, result.curve, result.converged
            self.covariance_ = self._covariance(result.hessian, centre, converged)
        else:
            theta, curve, converged = lbfgs(objective, start, self.max_iter, self.tol)
            self.covariance_ = None
        if not converged:
            warnings.warn(
                f"The {solver} solver did not converge in max_iter={self.max_iter} "
                "iterations. Choices may be separable by the features, or these of "
                "very different scales: lower C, scale them, or raise max_iter.",
                ConvergenceWarning,
                stacklevel=4,
            )
        d = len(centre)
        self.coef_ = theta[np.newaxis, :d].copy()
        self.intercept_ = np.zeros(1)
        if self._has_intercept:
            self.intercept_[0] = theta[d] - centre @ theta[:d]
        self.log_likelihood_ = objective.log_likelihood(theta)
        self.loss_curve_ = np.array(curve)
        self.n_iter_ = max(1, len(curve) - 1)

    def _covariance(self, hessian, centre, converged):
        inverse, identified = invert_scaled(hessian)
        if converged and not identified.all():
            warnings.warn(
                f"The choices do not identify {np.count_nonzero(~identified)} of "
                f"{len(identified)} coefficients; their covariance is NaN.",
                ConvergenceWarning,
                stacklevel=5,
            )
        if not self._has_intercept:
            return inverse
        back = np.eye(len(inverse))
        back[-1, :-1] = -centre  # the intercept of features as they are
        if identified.all():
            return back @ inverse @ back.T
        known = np.nan_to_num(inverse)
        covariance = back @ known @ back.T
        lost = ~identified
        lost[-1] |= (lost[:-1] & (centre != 0)).any()
        covariance[lost], covariance[:, lost] = np.nan, np.nan
        return covariance

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.sparse = True
        return tags
