"""An estimator that is the simplest of several within noise of the best."""

import time
from copy import deepcopy
from numbers import Integral, Real

from sklearn import get_config
from sklearn.base import MetaEstimatorMixin, _fit_context, clone
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.metrics import check_scoring, get_scorer_names
from sklearn.utils import get_tags
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metadata_routing import process_routing
from sklearn.utils.metaestimators import _BaseComposition, available_if
from sklearn.utils.validation import check_is_fitted

from .._state import restore_on_failure
from ._evaluation import check_estimators, make_router
from ._plan import TIMES, ComparisonData, Plan, run_comparison
from ._rules import RULES

# Attributes that depend on the data or on refit: none is left of an earlier fit.
_NOT_ALWAYS_SET = (
    "estimator_",
    "refit_time_",
    "classes_",
    "n_features_in_",
    "feature_names_in_",
)


def _delegates(method):
    """Make a test of whether the chosen model, or every candidate, has a method."""

    def has(self):
        if not self.refit:
            raise AttributeError(
                f"This {type(self).__name__} has refit=False and fitted nothing to all "
                "data: fit the model named selected_name_ yourself."
            )
        if hasattr(self, "estimator_"):
            getattr(self.estimator_, method)  # its own AttributeError says why
            return True
        for _, estimator in self.estimators:
            getattr(estimator, method)
        return True

    return available_if(has)


class SimplestModelSelector(MetaEstimatorMixin, CallbackSupportMixin, _BaseComposition):
    r"""Fit the simplest of several models that is within noise of the best.

    All models are scored on the same folds of a repeated cross-validation. With the
    scores :math:`s_{mj}` of model m on fold j of J, the best mean :math:`\bar s_b`, and
    the standard error corrected for the overlap of training sets [1]_

    .. math:: \text{SE}(x) = \text{sd}(x) \sqrt{1/J + \rho}, \qquad
        \rho = n_\text{test} / n_\text{train},

    the first model in order of simplicity is taken that passes the rule, and fitted to
    all data:

    ===============  ==================================================================
    "paired_one_se"  :math:`\bar s_b - \bar s_m \le \text{SE}(s_b - s_m)`
    "one_se"         :math:`\bar s_b - \bar s_m \le \text{SE}(s_b)`
    "noninferior"    the upper one-sided 95 % bound of :math:`\bar s_b - \bar s_m` is
                     at most `margin`
    "best"           :math:`m = b`; of equal means, the simplest
    ===============  ==================================================================

    Parameters
    ----------
    estimators : list of (str, estimator)
        Names and models, simplest first: all classifiers, or all regressors. A model
        may be a pipeline or a search, which makes the cross-validation a nested one.
        Their parameters are reached as ``name__parameter``.
    rule : {"paired_one_se", "one_se", "noninferior", "best"}, default="paired_one_se"
        Which models are good enough.
    margin : float, default=0.01
        Loss that the rule "noninferior" tolerates, in the unit of the score.
    complexity : {"fit_time", "predict_time"} or callable, default=None
        Order of simplicity. None is the order of the list; otherwise smaller is
        simpler: mean seconds, or the mean over the folds of a function of the fitted
        model, e.g. `n_parameters`.
    scoring : str or callable, default=None
        Scorer, higher is better. None is the method ``score`` of the models.
    cv : int, cross-validation generator or iterable, default=None
        Folds. None is ten folds, repeated three times with other shuffles, stratified
        for classifiers. An integer is that many folds, once.
    refit : bool, default=True
        Whether to fit the chosen model to all data.
    n_jobs : int, default=None
        Jobs of joblib that share the pairs of model and fold.
    random_state : int, RandomState instance or None, default=None
        Shuffles the folds of an integer `cv`, and of None; without it the folds of an
        integer are not shuffled. The models keep their own.
    error_score : "raise" or float, default="raise"
        Score of a fit that fails; with a number, a `FitFailedWarning` is given. A
        model with a nan is never chosen.
    verbose : int, default=0
        Verbosity of joblib.

    Attributes
    ----------
    selected_name_ : str
        Name of the chosen model.
    selected_index_ : int
        Its place in `estimators`.
    best_name_ : str
        Name of the model of the best mean score.
    estimator_ : estimator
        The chosen model, fitted to all data. Only if `refit`.
    refit_time_ : float
        Seconds that this took. Only if `refit`.
    comparison_ : ModelComparison
        Scores and times of all models, with tables and a picture. It keeps no
        probabilities.
    scorer_ : callable
        The scorer.
    classes_ : ndarray of shape (n_classes,)
        Labels, of classifiers.
    n_features_in_ : int
        Number of features, if the chosen model counts them.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if X has any.

    See Also
    --------
    compare_classifiers : The comparison alone, with calibration.
    one_standard_error : The same rule within one grid search.

    Notes
    -----
    The scores in `comparison_` are those of models that were compared with each other:
    the mean of the chosen one is slightly optimistic. Put the selector into an outer
    cross-validation to measure the procedure.

    Weights (``sample_weight``) go to every fit, to the last step of a pipeline, and to
    the scorer; ``groups`` go to the splitter. With metadata routing enabled both go
    where they are requested.

    Callbacks of scikit-learn (``ProgressBar``) follow the pairs of model and fold.

    References
    ----------
    .. [1] C. Nadeau and Y. Bengio, "Inference for the Generalization Error", Machine
       Learning 52, 2003.
    .. [2] "The Power Of Simplicity: Why Simple Linear Models Outperform Complex Machine
       Learning Techniques - Case Of Breast Cancer Diagnosis", arXiv:2306.02449.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn.svm import SVC
    >>> from sklogit.model_selection import SimplestModelSelector
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> models = [
    ...     ("logistic", make_pipeline(StandardScaler(), LogisticRegression())),
    ...     ("svm", make_pipeline(StandardScaler(), SVC(C=10))),
    ... ]
    >>> selector = SimplestModelSelector(models, cv=5, random_state=0).fit(X, y)
    >>> selector.selected_name_
    'logistic'
    >>> selector.predict(X[:3])
    array([0, 0, 0])
    """

    _parameter_constraints: dict = {
        "estimators": [list],
        "rule": [StrOptions(set(RULES))],
        "margin": [Interval(Real, 0, None, closed="left")],
        "complexity": [StrOptions(set(TIMES)), callable, None],
        "scoring": [StrOptions(set(get_scorer_names())), callable, None],
        "cv": ["cv_object"],
        "refit": ["boolean"],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "error_score": [StrOptions({"raise"}), Real],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        estimators,
        *,
        rule="paired_one_se",
        margin=0.01,
        complexity=None,
        scoring=None,
        cv=None,
        refit=True,
        n_jobs=None,
        random_state=None,
        error_score="raise",
        verbose=0,
    ):
        self.estimators = estimators
        self.rule = rule
        self.margin = margin
        self.complexity = complexity
        self.scoring = scoring
        self.cv = cv
        self.refit = refit
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.error_score = error_score
        self.verbose = verbose

    def get_params(self, deep=True):
        """Return the parameters, with `deep` those of the models too.

        Parameters
        ----------
        deep : bool, default=True
            Whether to include the models by their names, and their parameters.

        Returns
        -------
        dict
            Values by names.
        """
        return self._get_params("estimators", deep=deep)

    def set_params(self, **params):
        """Set parameters of the selector, of a model, or a whole model by its name.

        Parameters
        ----------
        **params : dict
            Values by names, e.g. ``rule="best"``, ``svm__C=3``, ``svm=SVC()``.

        Returns
        -------
        self : object
            The selector.
        """
        return self._set_params("estimators", **params)

    @restore_on_failure
    @_fit_context(prefer_skip_nested_validation=False)
    @with_callbacks
    def fit(self, X, y, **params):
        """Score all models on the same folds, and fit the chosen one to all data.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_samples, n_features)
            Data. They go to the models as they are.
        y : array-like of shape (n_samples,)
            Targets.
        **params : dict of str -> object
            ``sample_weight``, ``groups``, and other parameters of the fits. What is as
            long as X is split by rows.

        Returns
        -------
        self : object
            The fitted selector.
        """
        pairs = check_estimators(self.estimators)
        self._validate_names([name for name, _ in pairs])
        owner = type(self).__name__
        data = ComparisonData.checked(pairs, X, y, owner)
        plan = Plan.make(
            self, data, pairs, params, self.cv, self.scoring, self.random_state
        )
        for attribute in _NOT_ALWAYS_SET:
            self.__dict__.pop(attribute, None)
        root = self._init_callback_context(max_subtasks=1 + self.refit)
        root.call_on_fit_task_begin(estimator=self, X=X, y=y)
        self.comparison_ = self._compare(data, plan, root)
        self.best_name_ = self.comparison_.best_name_
        self.selected_name_ = self.comparison_.simplest(
            rule=self.rule, margin=self.margin
        )
        self.selected_index_ = self.comparison_.names_.index(self.selected_name_)
        self.scorer_ = plan.scorer
        if data.classes is not None:
            self.classes_ = data.classes
        if self.refit:
            refit = root.subcontext(task_name="refit-of-the-simplest")
            refit.call_on_fit_task_begin(estimator=self, X=X, y=y)
            self._refit(data, plan)
            refit.call_on_fit_task_end(estimator=self, X=X, y=y)
        root.call_on_fit_task_end(
            estimator=self,
            X=X,
            y=y,
            # Monitors score the selector as it stands: it is fitted.
            reconstruction_attributes={} if self.refit else None,
        )
        return self

    def _compare(self, data, plan, root):
        n_fits = len(plan.pairs) * len(plan.splits)
        context = root.subcontext(task_name="compare", max_subtasks=n_fits)
        context.call_on_fit_task_begin(estimator=self)

        def tell(name, fold):
            child = context.subcontext(task_name=f"{name}, fold {fold}")
            child.call_on_fit_task_begin(estimator=self)
            child.call_on_fit_task_end(estimator=self)

        comparison = run_comparison(
            data,
            plan,
            error_score=self.error_score,
            complexity=self.complexity,
            n_jobs=self.n_jobs,
            verbose=self.verbose,
            on_result=tell,
        )
        context.call_on_fit_task_end(estimator=self)
        return comparison

    def _refit(self, data, plan):
        estimator = clone(plan.pairs[self.selected_index_][1])
        start = time.perf_counter()
        estimator.fit(data.X, data.y, **plan.routed.fit[self.selected_index_])
        self.refit_time_ = time.perf_counter() - start
        self.estimator_ = estimator
        for attribute in ("n_features_in_", "feature_names_in_"):
            if hasattr(estimator, attribute):
                setattr(self, attribute, getattr(estimator, attribute))

    @_delegates("predict")
    def predict(self, X):
        """Predict with the chosen model.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels, or values.
        """
        check_is_fitted(self)
        return self.estimator_.predict(X)

    @_delegates("predict_proba")
    def predict_proba(self, X):
        """Return the probabilities of the classes by the chosen model.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, columns in the order of `classes_`.
        """
        check_is_fitted(self)
        return self.estimator_.predict_proba(X)

    @_delegates("predict_log_proba")
    def predict_log_proba(self, X):
        """Return the logarithms of the probabilities by the chosen model.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Log-probabilities, columns in the order of `classes_`.
        """
        check_is_fitted(self)
        return self.estimator_.predict_log_proba(X)

    @_delegates("decision_function")
    def decision_function(self, X):
        """Return the decision function of the chosen model.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            Logits or other scores.
        """
        check_is_fitted(self)
        return self.estimator_.decision_function(X)

    @_delegates("transform")
    def transform(self, X):
        """Transform data with the chosen model.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        {ndarray, sparse matrix} of shape (n_samples, n_outputs)
            Transformed data.
        """
        check_is_fitted(self)
        return self.estimator_.transform(X)

    @_delegates("fit")
    def score(self, X, y, **params):
        """Return the score of the chosen model, by `scoring`.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_samples, n_features)
            Data.
        y : array-like of shape (n_samples,)
            Targets.
        **params : dict of str -> object
            Parameters of the scorer, e.g. ``sample_weight``.

        Returns
        -------
        float
            Score.
        """
        check_is_fitted(self)
        params = {name: value for name, value in params.items() if value is not None}
        if get_config()["enable_metadata_routing"]:
            params = process_routing(self, "score", **params).scorer.score
        return self.scorer_(self.estimator_, X, y, **params)

    def get_metadata_routing(self):
        """Return which parameters go to the models, the scorer and the splitter.

        Returns
        -------
        sklearn.utils.metadata_routing.MetadataRouter
            The routing table.
        """
        pairs = check_estimators(self.estimators)
        scorer = check_scoring(pairs[0][1], self.scoring)
        return make_router(self, pairs, scorer, self.cv, score=True)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        try:
            models = [
                get_tags(estimator)
                for _, estimator in check_estimators(self.estimators)
            ]
        except (TypeError, ValueError):  # fit will say what is wrong
            return tags
        first = models[0]
        for group in (
            "estimator_type",
            "classifier_tags",
            "regressor_tags",
            "transformer_tags",
            "target_tags",
            "input_tags",
        ):
            setattr(tags, group, deepcopy(getattr(first, group)))
        for flag in ("sparse", "allow_nan", "pairwise"):
            every = all(getattr(model.input_tags, flag) for model in models)
            setattr(tags.input_tags, flag, every)
        return tags
