"""A student that learns published logits in the coordinates of their subspace."""

from numbers import Real

import numpy as np
from scipy.special import log_softmax, softmax
from sklearn.base import (
    BaseEstimator,
    MultiOutputMixin,
    RegressorMixin,
    _fit_context,
    clone,
)
from sklearn.neural_network import MLPRegressor
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    process_routing,
)
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from .._state import restore_on_failure
from ._auditor import LogitLeakageAuditor
from ._similarity import hidden_geometry_match

# Part of the metric that weighs all directions alike: without it, those that only move
# improbable outputs would not be learnt at all.
_ISOTROPIC = 0.1


class SubspaceStudent(MultiOutputMixin, RegressorMixin, BaseEstimator):
    r"""Regression of logits through the subspace that they leak.

    It measures how good a copy the published answers allow. An auditor finds the
    orthonormal directions V of the logits, a regression learns the coordinates
    :math:`c = (z - \bar z) V^\top` from the inputs, and :math:`\hat c V + \bar z` is
    the prediction: r targets in place of n_outputs.

    The error of coordinates is that of logits. With a temperature T it is that of
    probabilities, to second order: the coordinates are weighed by the root of the mean
    Fisher information

    .. math:: M = V \, \frac1n \sum_i \bigl(\operatorname{diag}(p_i) - p_i p_i^\top
        \bigr) V^\top, \qquad p_i = \operatorname{softmax}(z_i / T),

    mixed with a tenth of the identity, as
    :math:`2 T^2 \mathrm{KL}(p_T \| q_T) \approx (c - \hat c)^\top M (c - \hat c)`.

    Parameters
    ----------
    estimator : regressor, default=None
        Learns the coordinates. None is
        ``MLPRegressor(hidden_layer_sizes=(128,), random_state=0)``.
    auditor : LogitLeakageAuditor, default=None
        Finds the subspace. None is ``LogitLeakageAuditor(center="columns")``, which
        keeps the constants of the rows.
    temperature : float, default=2.0
        Temperature T; None or infinity is the plain squared error of logits.

    Attributes
    ----------
    estimator_ : regressor
        Fitted to weighed coordinates.
    auditor_ : LogitLeakageAuditor or None
        Fitted to the logits; None if there is one output only.
    components_ : ndarray of shape (rank, n_outputs)
        Directions of the logits.
    mean_ : ndarray of shape (n_outputs,)
        Mean logits.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if X has any.

    See Also
    --------
    LogitLeakageAuditor : The subspace alone.
    hidden_geometry_match : A measure that overstates a copy.

    Notes
    -----
    Rows with withheld logits count with the least-squares coordinates of what is
    published. Where the auditor finds no subspace, there is nothing to learn: fit
    raises.

    References
    ----------
    .. [1] "Clone What You Can't Steal: Black-Box LLM Replication via Logit Leakage and
       Distillation", arXiv:2509.00973.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklogit.audit import SubspaceStudent
    >>> from sklogit.datasets import make_language_logits
    >>> model = make_language_logits(
    ...     600, 100, hidden_dim=8, n_features=5, random_state=0
    ... )
    >>> X, L = model.inputs, model.logits
    >>> student = SubspaceStudent(Ridge()).fit(X[:400], L[:400])
    >>> len(student.components_)
    8
    >>> bool(student.score(X[400:], L[400:]) > 0.2)
    True
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict"]), None],
        "auditor": [HasMethods(["fit", "transform"]), None],
        "temperature": [Interval(Real, 0, None, closed="right"), None],
    }

    def __init__(self, estimator=None, auditor=None, temperature=2.0):
        self.estimator = estimator
        self.auditor = auditor
        self.temperature = temperature

    @restore_on_failure
    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, **fit_params):
        """Find the subspace of the logits, and learn the coordinates.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Inputs of the model.
        y : array-like of shape (n_queries, n_outputs)
            Its published logits; NaN is withheld.
        **fit_params
            Metadata for the estimator, by metadata routing.

        Returns
        -------
        self : object
            The fitted student.

        Raises
        ------
        ValueError
            If the numbers of rows differ, or the auditor finds no subspace.
        """
        X, L = self._validated(X, y)
        routed = process_routing(self, "fit", **fit_params)
        targets = self._coordinates(L)
        self._root = self._metric_root(targets)
        estimator = self.estimator
        if estimator is None:
            estimator = MLPRegressor(hidden_layer_sizes=(128,), random_state=0)
        self.estimator_ = clone(estimator)
        targets = targets @ self._root
        # Many estimators warn of a column vector.
        targets = targets[:, 0] if targets.shape[1] == 1 else targets
        self.estimator_.fit(X, targets, **routed.estimator.fit)
        return self

    def predict(self, X):
        """Predict logits.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        ndarray of shape (n_samples, n_outputs) or (n_samples,)
            Logits; one-dimensional if those of `fit` were.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        predicted = np.asarray(self.estimator_.predict(X)).reshape(len(X), -1)
        coords = np.linalg.solve(self._root.T, predicted.T).T
        logits = coords @ self.components_ + self.mean_
        return logits[:, 0] if self._is_single else logits

    def predict_proba(self, X):
        """Predict probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        ndarray of shape (n_samples, n_outputs)
            Softmax of the logits.
        """
        return softmax(self.predict(X).reshape(len(X), -1), axis=1)

    def score(self, X, y):
        """How often the most likely output is the model's.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Inputs.
        y : array-like of shape (n_samples, n_outputs)
            Logits of the model.

        Returns
        -------
        float
            Agreement between 0 and 1.
        """
        L = _as_columns(y)
        predicted = self.predict(X).reshape(len(L), -1)
        return float(np.mean(np.nanargmax(L, axis=1) == predicted.argmax(axis=1)))

    def report(self, X, y):
        """Measure the copy in ways that belong together.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Inputs.
        y : array-like of shape (n_samples, n_outputs)
            Full logits of the model.

        Returns
        -------
        dict
            "agreement" of the most likely outputs, mean "kl" divergence of the student
            from the model in nats, and "geometry", the `hidden_geometry_match` of the
            coordinates, which alone overstates a copy.
        """
        L = _as_columns(y)
        predicted = self.predict(X).reshape(len(L), -1)
        log_p, log_q = log_softmax(L, axis=1), log_softmax(predicted, axis=1)
        directions = self.components_.T
        return {
            "agreement": float(np.mean(L.argmax(axis=1) == predicted.argmax(axis=1))),
            "kl": float(np.mean(np.sum(np.exp(log_p) * (log_p - log_q), axis=1))),
            "geometry": hidden_geometry_match(L @ directions, predicted @ directions),
        }

    def get_metadata_routing(self):
        """Say what is handed to the estimator.

        Returns
        -------
        MetadataRouter
            Routing of ``fit``.
        """
        estimator = MLPRegressor() if self.estimator is None else self.estimator
        return MetadataRouter(owner=self).add(
            estimator=estimator,
            method_mapping=MethodMapping().add(caller="fit", callee="fit"),
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.single_output = False
        return tags

    def _validated(self, X, y):
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is "
                "None."
            )
        X = validate_data(self, X, dtype=[np.float64, np.float32], ensure_min_samples=2)
        L = _checked(y)
        self._is_single, L = L.ndim == 1, L.reshape(len(L), -1)
        if len(L) != len(X):
            raise ValueError(
                f"X and y must have as many rows each, got {len(X)} and {len(L)}."
            )
        return X, L

    def _coordinates(self, L):
        """Set the subspace; return the coordinates of the logits in it."""
        if L.shape[1] == 1:  # no subspace
            L = check_array(L, input_name="y")
            self.auditor_, self.components_ = None, np.ones((1, 1))
            self.mean_ = L.mean(axis=0)
            return L - self.mean_
        auditor = self.auditor
        if auditor is None:
            auditor = LogitLeakageAuditor(center="columns", random_state=0)
        self.auditor_ = clone(auditor).fit(L)
        if not self.auditor_.rank_:
            raise ValueError(
                "auditor finds no subspace: the rank is "
                f"{self.auditor_.rank_status_}, {self.auditor_.rank_reason_}."
            )
        self.components_, self.mean_ = self.auditor_.components_, self.auditor_.mean_
        return self.auditor_.transform(L)

    def _metric_root(self, coords):
        """Symmetric root of the metric in which errors of coordinates are measured."""
        rank = coords.shape[1]
        if self.temperature is None or np.isinf(self.temperature):
            return np.eye(rank)
        V = self.components_.astype(np.float64)
        P = softmax((coords @ V + self.mean_) / self.temperature, axis=1)
        means = P @ V.T
        fisher = (V * P.mean(axis=0)) @ V.T - means.T @ means / len(P)
        values, vectors = np.linalg.eigh(fisher)
        values = np.maximum(values, 0.0)
        if not values.sum() > 0:  # one output
            return np.eye(rank)
        values = (1 - _ISOTROPIC) * values / values.mean() + _ISOTROPIC
        return (vectors * np.sqrt(values)) @ vectors.T


def _as_columns(y):
    L = _checked(y)
    return L.reshape(len(L), -1)


def _checked(y):
    return check_array(
        y,
        ensure_2d=False,
        ensure_all_finite="allow-nan",
        dtype=[np.float64, np.float32],
        input_name="y",
    )
