"""Multinomial logit of choices among the rows of an impression."""

import warnings
from numbers import Integral, Real

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, _fit_context
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model._base import LinearClassifierMixin, SparseCoefMixin
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import (
    _check_feature_names_in,
    check_is_fitted,
    validate_data,
)

from .._state import restore_on_failure
from ._callback_metadata import callback_metadata
from ._choice_covariance import Estimates
from ._choice_data import impression_weights, number_of_choices, two_labels
from ._choice_design import choice_design
from ._choice_objective import ChoiceObjective
from ._choice_prediction import ChoicePredictionMixin
from ._choice_probability import null_log_likelihood
from ._lbfgs import lbfgs
from ._left_open import left_open
from ._newton import newton
from ._ranked_impressions import RankedImpressions
from ._summary import ChoiceSummary

# Above, a Hessian costs more than it saves.
_NEWTON_FEATURES = 500


class ConditionalLogit(
    ChoicePredictionMixin,
    CallbackSupportMixin,
    LinearClassifierMixin,
    SparseCoefMixin,
    BaseEstimator,
):
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
        L-BFGS ends when the gradient over the total weight is below it, for features
        in units of their root mean square.
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
    Alternatives that are not available have no row.

    Pass `groups` through meta-estimators by metadata routing, with
    ``set_fit_request(groups=True)``; `choice_log_likelihood` makes a scorer that takes
    them. Without routing ``GridSearchCV.fit(X, y, groups=groups)`` gives them to the
    splitter alone, and the model takes each row for an impression. The callbacks of
    scikit-learn follow the iterations.

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

    @_fit_context(prefer_skip_nested_validation=True)
    @with_callbacks
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
        KeyboardInterrupt
            On Ctrl-C; the model then has the coefficients reached until then.
        """
        context = self._init_callback_context(max_subtasks=self.max_iter)
        interrupt = self._fit(X, y, groups, sample_weight, context)
        if interrupt is not None:
            raise interrupt
        return self

    @restore_on_failure
    def _fit(self, X, y, groups, sample_weight, context):
        """Fit, and return the KeyboardInterrupt that ended it, or None."""
        X, y = validate_data(self, X, y, accept_sparse="csr", dtype=np.float64)
        self.classes_ = two_labels(y)
        impressions = self._impressions(groups, len(y))
        chosen = (y == self.classes_[1]).astype(np.float64)
        weight = impression_weights(sample_weight, X, impressions)
        n_chosen = self._check_choices(impressions, chosen, weight)
        objective, centre = self._objective(X, chosen, impressions, weight)
        metadata = callback_metadata(self, groups, sample_weight)
        task = {"X": X, "y": y, "metadata": metadata}
        context.call_on_fit_task_begin(estimator=self, **task)
        fit = self._solve(objective, self._reporter(context, centre, task))
        if fit.interrupt is not None and fit.n_iter == 0:
            raise fit.interrupt
        estimates = self._store(fit, objective, centre)
        self.log_likelihood_null_ = null_log_likelihood(
            impressions.sizes,
            n_chosen,
            weight,
            self._has_intercept,
            self.outside_option,
        )
        self.n_groups_, self.n_rows_ = impressions.n_groups, impressions.n_rows
        try:
            context.call_on_fit_task_end(
                estimator=self, reconstruction_attributes={}, **task
            )
        except KeyboardInterrupt as interrupt:  # all is fitted by now
            return interrupt
        if fit.interrupt is None and not fit.stopped:
            message = left_open(fit, objective, estimates, self._names_of)
            if message is not None:
                warnings.warn(message, ConvergenceWarning, stacklevel=6)
        return fit.interrupt

    def robust_covariance(
        self, X, y, groups=None, sample_weight=None, *, clusters=None
    ):
        r"""Compute the sandwich covariance of the estimates.

        .. math:: H^{-1} \Big(\sum_c g_c g_c^\top\Big) H^{-1}

        with the Hessian H and the gradients :math:`g_c` of clusters. It needs clusters
        to be independent, but neither the choices inside of one, nor the model to be
        right. Repeated choices of one person are a cluster.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
            The training data.
        y : array-like of shape (n_rows,)
            Their labels.
        groups : array-like of shape (n_rows,), default=None
            Their impressions.
        sample_weight : array-like of shape (n_rows,), default=None
            Their weights, as of a sample that is to stand for a population; they do not
            stand for repeated impressions here.
        clusters : array-like of shape (n_rows,), default=None
            Cluster of each row, the same for all rows of an impression; None makes
            each impression one.

        Returns
        -------
        ndarray of shape (n_coefs, n_coefs)
            Covariance, ordered as ``covariance_``, without a correction for the number
            of clusters. Give it to `summary`.

        Raises
        ------
        ValueError
            As `fit`; or if an impression is in two clusters.

        References
        ----------
        .. [1] H. White, "Maximum likelihood estimation of misspecified models",
           Econometrica 50, 1982.
        """
        check_is_fitted(self)
        X, y = validate_data(
            self, X, y, accept_sparse="csr", dtype=np.float64, reset=False
        )
        self._check_labels(y)
        impressions = self._impressions(groups, len(y))
        chosen = (y == self.classes_[1]).astype(np.float64)
        weight = impression_weights(sample_weight, X, impressions)
        number_of_choices(impressions, impressions.sorted(chosen), self.outside_option)
        objective, centre = self._objective(X, chosen, impressions, weight)
        theta = coef = self._dense_coef()
        if self._has_intercept:
            theta = np.append(coef, self.intercept_[0] + centre @ coef)
        number = np.arange(impressions.n_groups)
        if clusters is not None:
            number = impressions.clusters_of(clusters)
        if isinstance(objective.impressions, RankedImpressions):
            number = number[objective.impressions.groups]
        proba = objective.value(theta)[1]
        scores = np.zeros((number.max() + 1, len(theta)))
        np.add.at(scores, number, objective.scores(proba))
        hessian = objective.hessian(proba)
        return Estimates(hessian, centre, self._has_intercept).sandwich(scores)

    def summary(self, covariance=None):
        """Return the table of coefficients, standard errors and fit.

        Parameters
        ----------
        covariance : ndarray of shape (n_coefs, n_coefs), default=None
            Covariance of the estimates, such as `robust_covariance` returns; None takes
            ``covariance_``.

        Returns
        -------
        ChoiceSummary
            The table; print it, or read its attributes.

        Raises
        ------
        ValueError
            If the model was fitted by L-BFGS, which gives no standard errors; or if the
            covariance is of another shape.
        """
        check_is_fitted(self)
        covariance = self.covariance_ if covariance is None else np.asarray(covariance)
        if covariance is None:
            raise ValueError(
                "summary() needs standard errors, which solver='lbfgs' does not give: "
                "set solver='newton', or give a covariance."
            )
        names, coef = list(_check_feature_names_in(self)), self._dense_coef()
        if self._has_intercept:
            names, coef = [*names, "intercept"], np.append(coef, self.intercept_)
        if covariance.shape != (len(coef), len(coef)):
            raise ValueError(
                f"covariance must have shape {(len(coef), len(coef))}, got "
                f"{covariance.shape}."
            )
        return ChoiceSummary.from_estimates(
            names,
            coef,
            covariance,
            log_likelihood=self.log_likelihood_,
            log_likelihood_null=self.log_likelihood_null_,
            n_groups=self.n_groups_,
            n_rows=self.n_rows_,
            C=self.C,
        )

    @property
    def _has_intercept(self):
        return self.fit_intercept and self.outside_option

    def _dense_coef(self):
        coef = self.coef_.toarray() if sparse.issparse(self.coef_) else self.coef_
        return coef.ravel()

    def _check_choices(self, impressions, chosen, weight):
        n_chosen = number_of_choices(
            impressions, impressions.sorted(chosen), self.outside_option
        )
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
        if not sparse.issparse(X) and RankedImpressions.suits(impressions):
            impressions = RankedImpressions(impressions)
            weight = weight[impressions.groups]
        design, centre = choice_design(
            X, impressions, self._has_intercept, self.outside_option
        )
        penalty = np.full(X.shape[1], 1.0 / self.C)
        if self._has_intercept:
            penalty = np.append(penalty, 0.0)
        objective = ChoiceObjective(
            design,
            impressions.sorted(chosen),
            impressions,
            weight,
            penalty,
            self.outside_option,
        )
        return objective, centre

    def _solve(self, objective, report):
        start = np.zeros(len(objective.penalty))
        if self._solver_name(len(start) - self._has_intercept) == "newton":
            return newton(objective, start, self.max_iter, self.tol, report)
        return lbfgs(objective, start, self.max_iter, self.tol, report)

    def _solver_name(self, n_features):
        if self.solver != "auto":
            return self.solver
        return "newton" if n_features <= _NEWTON_FEATURES else "lbfgs"

    def _reporter(self, context, centre, task):
        """Return a function to call after each iteration, or None if nobody listens."""
        if not hasattr(self, "_skl_callbacks"):
            return None

        def report(fit):
            coef, intercept = self._shaped(fit.theta, centre)
            fitted = {
                "coef_": coef,
                "intercept_": intercept,
                "classes_": self.classes_,
                "n_features_in_": len(centre),
            }
            subtask = context.subcontext(task_name="iteration")
            subtask.call_on_fit_task_begin(estimator=self, **task)
            return subtask.call_on_fit_task_end(
                estimator=self, reconstruction_attributes=fitted, **task
            )

        return report

    def _shaped(self, theta, centre):
        """Coefficients and intercept as attributes have them."""
        d = len(centre)
        intercept = np.zeros(1)
        if self._has_intercept:
            intercept[0] = theta[d] - centre @ theta[:d]
        return theta[np.newaxis, :d].copy(), intercept

    def _names_of(self, coefs):
        names = [*_check_feature_names_in(self), "intercept"]
        return [str(names[i]) for i in coefs]

    def _store(self, fit, objective, centre):
        """Set the fitted attributes; return what is left open, if that is known."""
        self.coef_, self.intercept_ = self._shaped(fit.theta, centre)
        self.loss_curve_ = np.array(fit.curve)
        self.n_iter_ = max(1, fit.n_iter)
        self.covariance_ = None
        if fit.hessian is None:
            self.log_likelihood_ = objective.log_likelihood(fit.theta)
            return None
        self.log_likelihood_ = objective.penalty_of(fit.theta) - fit.curve[-1]
        estimates = Estimates(fit.hessian, centre, self._has_intercept)
        self.covariance_ = estimates.covariance
        return estimates

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.sparse = True
        return tags
