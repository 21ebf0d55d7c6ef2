"""Comparison of several classifiers on the same folds."""

from numbers import Integral, Real

from sklearn.base import is_regressor
from sklearn.metrics import get_scorer_names
from sklearn.utils._param_validation import StrOptions, validate_params

from ._evaluation import check_estimators
from ._plan import TIMES, ComparisonData, Plan, run_comparison


@validate_params(
    {
        "estimators": [list, tuple, dict],
        "y": ["array-like"],
        "cv": ["cv_object"],
        "scoring": [StrOptions(set(get_scorer_names())), callable, None],
        "reference": [str],
        "groups": ["array-like", None],
        "sample_weight": ["array-like", None],
        "params": [dict, None],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "error_score": [StrOptions({"raise"}), Real],
        "complexity": [StrOptions(set(TIMES)), callable, None],
        "return_estimator": ["boolean"],
        "verbose": ["verbose"],
    },
    prefer_skip_nested_validation=False,
)
def compare_classifiers(
    estimators,
    X,
    y,
    *,
    cv=None,
    scoring="accuracy",
    reference="best",
    groups=None,
    sample_weight=None,
    params=None,
    n_jobs=None,
    random_state=None,
    error_score="raise",
    complexity=None,
    return_estimator=False,
    verbose=0,
):
    """Compare classifiers by cross-validation: scores, tests, times, calibration.

    All models see the same folds. Everything that learns from data (scalers, feature
    selection, a search over parameters) belongs inside the models, so that it sees the
    training rows only; a model that is a `GridSearchCV` makes the cross-validation a
    nested one.

    Parameters
    ----------
    estimators : list of (str, estimator) or dict
        Names and models, simplest first.
    X : {array-like, sparse matrix, DataFrame} of shape (n_samples, n_features)
        Data. They go to the models as they are.
    y : array-like of shape (n_samples,)
        Labels.
    cv : int, cross-validation generator or iterable, default=None
        Folds. None is ten stratified folds, repeated three times with other shuffles.
        An integer is that many folds, once.
    scoring : str or callable, default="accuracy"
        Scorer, higher is better. None is the method ``score`` of the models.
    reference : str, default="best"
        Name of the model that the others are compared with, or "best" for the one of
        the best mean.
    groups : array-like of shape (n_samples,), default=None
        Groups for the splitter.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights for the fits (the last step of a pipeline) and for the scores. With
        metadata routing enabled they go where they are requested.
    params : dict, default=None
        More parameters of fit, split by rows if they are as long as X. With metadata
        routing enabled they go where they are requested.
    n_jobs : int, default=None
        Jobs of joblib that share the pairs of model and fold. More than one makes the
        times unreliable.
    random_state : int, RandomState instance or None, default=None
        Shuffles the folds of an integer `cv`, and of None; without it the folds of an
        integer are not shuffled.
    error_score : "raise" or float, default="raise"
        Score of a fit that fails; with a number, a `FitFailedWarning` is given. A
        model with a nan is never the best.
    complexity : {"fit_time", "predict_time"} or callable, default=None
        Order of simplicity. None is the order of the list; "fit_time" and
        "predict_time" are means over the folds, as is a function of the fitted model,
        e.g. `n_parameters`.
    return_estimator : bool, default=False
        Whether to keep the fitted models of all folds, for `coefficient_report`.
    verbose : int, default=0
        Verbosity of joblib.

    Returns
    -------
    ModelComparison
        Scores, times and out-of-fold probabilities, with tables and a picture.

    Raises
    ------
    ValueError
        If there are fewer than two models, names repeat or contain "__", the reference
        is none of them, there are fewer than two folds or two classes, or a model or
        the scorer takes no weights that are given.
    TypeError
        If a model is not an instance with ``fit``.

    See Also
    --------
    SimplestModelSelector : An estimator that chooses by such a comparison.
    corrected_resampled_ttest : The test of two models.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from sklogit.model_selection import compare_classifiers
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> models = {
    ...     "logistic": make_pipeline(StandardScaler(), LogisticRegression()),
    ...     "tree": DecisionTreeClassifier(random_state=0),
    ... }
    >>> comparison = compare_classifiers(models, X, y, cv=10, random_state=0)
    >>> comparison.best_name_
    'logistic'
    >>> comparison.tests()[["difference", "p_holm"]].round(3)
                              difference  p_holm
    model (against logistic)
    tree                          -0.055   0.025
    """
    pairs = check_estimators(estimators, at_least=2)
    for name, estimator in pairs:
        if is_regressor(estimator):
            raise ValueError(
                f"estimators must be classifiers, {name!r} is a regressor."
            )
    names = [name for name, _ in pairs]
    if reference != "best" and reference not in names:
        raise ValueError(
            f"reference must be 'best' or one of {names}, got {reference!r}."
        )
    params = _merged(params, groups=groups, sample_weight=sample_weight)
    data = ComparisonData.checked(pairs, X, y, "compare_classifiers")
    plan = Plan.make(
        "compare_classifiers", data, pairs, params, cv, scoring, random_state
    )
    return run_comparison(
        data,
        plan,
        reference=reference,
        error_score=error_score,
        complexity=complexity,
        return_estimator=return_estimator,
        keep_probabilities=True,
        n_jobs=n_jobs,
        verbose=verbose,
    )


def _merged(params, **named):
    """Return the parameters with the named ones that are given."""
    params = dict(params or {})
    for name, value in named.items():
        if value is not None and name in params:
            raise ValueError(f"{name} must be given once, found it in params too.")
        if value is not None:
            params[name] = value
    return params
