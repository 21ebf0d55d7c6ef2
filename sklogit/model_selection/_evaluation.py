"""Scores of several models on the same folds, one job a (model, fold) pair."""

import time
import warnings
from dataclasses import dataclass
from inspect import signature

import numpy as np
from joblib import effective_n_jobs
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.utils import Bunch
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    process_routing,
)
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _check_method_params, has_fit_parameter

# Prefix of the models in the routing tables, so that one may be called "scorer".
_MODEL = "model_"


@dataclass
class FoldResult:
    """What one model did on one fold."""

    score: float
    fit_time: float
    score_time: float = np.nan
    predict_time: float = np.nan  # seconds for 1000 rows
    complexity: float = np.nan
    probabilities: np.ndarray | None = None
    estimator: object = None
    error: str | None = None


@dataclass(frozen=True)
class Task:
    """What is the same for all models and folds.

    `score_params` go to the scorer with the rows of the fold. `classes` are given where
    out-of-fold probabilities are wanted.
    """

    X: object
    y: object
    scorer: object
    score_params: dict
    error_score: object = "raise"
    complexity: object = None  # function of a fitted estimator
    classes: np.ndarray | None = None
    return_estimator: bool = False


def check_estimators(estimators, *, at_least=1):
    """Return (name, estimator) pairs after checking names and kinds."""
    pairs = list(estimators.items()) if isinstance(estimators, dict) else estimators
    if not isinstance(pairs, list | tuple) or not all(map(_is_pair, pairs)):
        raise ValueError(
            "estimators must be a list of (name, estimator) pairs, simplest first, got "
            f"{estimators!r}."
        )
    if len(pairs) < at_least:
        raise ValueError(
            f"estimators must hold at least {at_least} models, found {len(pairs)}."
        )
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError(f"estimators must have different names, found {names}.")
    for name, estimator in pairs:
        if not name or "__" in name:
            raise ValueError(
                "estimators must have names that are not empty and without '__', "
                f"found {name!r}."
            )
        if isinstance(estimator, type) or not hasattr(estimator, "fit"):
            raise TypeError(
                "estimators must be instances with a method fit, found "
                f"{estimator!r} under the name {name!r}."
            )
    return [(name, estimator) for name, estimator in pairs]


def _is_pair(item):
    return (
        isinstance(item, tuple | list) and len(item) == 2 and isinstance(item[0], str)
    )


# -- metadata --------------------------------------------------------------------------


def make_router(owner, pairs, scorer, splitter, *, score=False):
    """Return the routing table of a comparison; with `score` also for that method."""
    router = MetadataRouter(owner=owner)
    for name, estimator in pairs:
        router.add(
            **{_MODEL + name: estimator},
            method_mapping=MethodMapping().add(caller="fit", callee="fit"),
        )
    mapping = MethodMapping().add(caller="fit", callee="score")
    if score:
        mapping.add(caller="score", callee="score")
    router.add(scorer=scorer, method_mapping=mapping)
    return router.add(
        splitter=splitter,
        method_mapping=MethodMapping().add(caller="fit", callee="split"),
    )


def routed_by_request(router, pairs, params):
    """Route parameters as models, scorer and splitter request them."""
    routed = process_routing(router, "fit", **params)
    return Bunch(
        fit=[routed[_MODEL + name].fit for name, _ in pairs],
        score=routed.scorer.score,
        split=routed.splitter.split,
    )


def routed_by_name(pairs, scorer, params):
    """Route parameters without requests: groups to the splitter, weights to all else.

    Weights of a pipeline go to its last step; other parameters go to every fit.
    """
    params = dict(params)
    groups = params.pop("groups", None)
    weight = params.pop("sample_weight", None)
    fit = [dict(params) for _ in pairs]
    score = {}
    if weight is not None:
        for (name, estimator), own in zip(pairs, fit):
            own[_weight_name(estimator, name)] = weight
        _check_scorer_takes_weights(scorer)
        score["sample_weight"] = weight
    return Bunch(fit=fit, score=score, split={"groups": groups})


def _weight_name(estimator, name):
    """Return the keyword of fit that takes the weights of samples to the model."""
    if hasattr(estimator, "steps"):
        step, last = estimator.steps[-1]
        return f"{step}__{_weight_name(last, name)}"
    inner = getattr(estimator, "estimator", None)
    forwards = any(
        parameter.kind is parameter.VAR_KEYWORD
        for parameter in signature(estimator.fit).parameters.values()
    )
    if has_fit_parameter(estimator, "sample_weight"):
        return "sample_weight"
    if forwards and hasattr(inner, "fit"):  # a search hands its keywords on
        return _weight_name(inner, name)
    if forwards:
        return "sample_weight"
    raise ValueError(
        f"sample_weight is given, but {type(estimator).__name__} in the model "
        f"{name!r} takes no weights. Leave the model or the weights out."
    )


def _check_scorer_takes_weights(scorer):
    if hasattr(scorer, "_accept_sample_weight"):
        takes = scorer._accept_sample_weight()
    else:
        takes = "sample_weight" in signature(scorer).parameters
    if not takes:
        raise ValueError(
            f"sample_weight is given, but scoring={scorer!r} takes no weights: the "
            "scores would be those of other data than the fits. Give a scoring that "
            "takes them, e.g. 'accuracy'."
        )


# -- fits ------------------------------------------------------------------------------


def evaluate(
    task, pairs, splits, fit_params, *, n_jobs=None, verbose=0, on_result=None
):
    """Fit and score every model on every fold.

    Parameters
    ----------
    task : Task
        Data and scorer.
    pairs : list of (str, estimator)
        Models.
    splits : list of (ndarray, ndarray)
        Training and test rows, the same for all models.
    fit_params : list of dict
        Keywords of fit, for each model.
    n_jobs : int, default=None
        Jobs of joblib.
    verbose : int, default=0
        Verbosity of joblib.
    on_result : callable, default=None
        Called with the name of a model and the number of a fold that are done.

    Returns
    -------
    results : list of list of FoldResult
        For each model, for each fold.
    timing_reliable : bool
        Whether nothing ran beside what was timed.
    """
    # Folds outside, models inside: drift of the machine hits all models alike, and the
    # slow model does not come last.
    arriving = Parallel(n_jobs=n_jobs, verbose=verbose, return_as="generator")(
        delayed(_fit_and_score)(task, clone(estimator), own, *split)
        for split in splits
        for (_, estimator), own in zip(pairs, fit_params)
    )
    results = [[] for _ in pairs]
    for i, result in enumerate(arriving):
        fold, m = divmod(i, len(pairs))
        results[m].append(result)
        if on_result is not None:
            on_result(pairs[m][0], fold)
    _report_failures(results, [name for name, _ in pairs], task.error_score)
    return results, effective_n_jobs(n_jobs) == 1


def _fit_and_score(task, estimator, fit_params, train, test):
    X_train, y_train = _safe_split(estimator, task.X, task.y, train)
    X_test, y_test = _safe_split(estimator, task.X, task.y, test, train)
    fit_params = _check_method_params(task.X, fit_params, indices=train)
    score_params = _check_method_params(task.X, task.score_params, indices=test)
    start = time.perf_counter()
    fit_time = None
    try:
        estimator.fit(X_train, y_train, **fit_params)
        fit_time = time.perf_counter() - start
        start = time.perf_counter()
        score = task.scorer(estimator, X_test, y_test, **score_params)
        score = _as_number(score, "scoring")
        score_time = time.perf_counter() - start
        return FoldResult(
            score,
            fit_time,
            score_time,
            predict_time=_predict_time(estimator, X_test, len(test)),
            complexity=_complexity(task, estimator),
            probabilities=_probabilities(estimator, X_test, task.classes),
            estimator=estimator if task.return_estimator else None,
        )
    except Exception as error:
        if task.error_score == "raise":
            raise
        elapsed = time.perf_counter() - start if fit_time is None else fit_time
        # As text: not every exception survives the way back from a worker.
        text = f"{type(error).__name__}: {error}"
        return FoldResult(float(task.error_score), elapsed, error=text)


def _as_number(value, parameter):
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{parameter} must return one number, got {value!r}."
        ) from error


def _predict_time(estimator, X, n_rows):
    """Return the seconds that predict takes for 1000 rows."""
    if not hasattr(estimator, "predict"):
        return np.nan
    start = time.perf_counter()
    estimator.predict(X)
    return (time.perf_counter() - start) * 1000 / n_rows


def _complexity(task, estimator):
    if task.complexity is None:
        return np.nan
    return _as_number(task.complexity(estimator), "complexity")


def _probabilities(estimator, X, classes):
    """Return probabilities with a column for each of classes, or None."""
    if classes is None or not hasattr(estimator, "predict_proba"):
        return None
    own = estimator.predict_proba(X)
    # A class without rows in the training set has no column; its probability is zero.
    own_classes = getattr(estimator, "classes_", classes)
    columns = np.searchsorted(classes, own_classes)
    aligned = np.zeros((len(own), len(classes)))
    aligned[:, columns] = own
    return aligned


def _report_failures(results, names, error_score):
    """Warn of the fits that failed; raise if none did not."""
    if error_score == "raise":
        return
    failed = {
        name: [fold.error for fold in folds if fold.error is not None]
        for name, folds in zip(names, results)
    }
    n_failed, n_all = sum(map(len, failed.values())), sum(map(len, results))
    if not n_failed:
        return
    first = next(errors[0] for errors in failed.values() if errors)
    cause = f"The first error: {first}"
    if n_failed == n_all:
        raise ValueError(f"All {n_all} fits failed. {cause}")
    counts = {name: len(errors) for name, errors in failed.items() if errors}
    warnings.warn(
        f"{n_failed} of {n_all} fits failed and score {error_score}, by model: "
        f"{counts}. {cause}",
        FitFailedWarning,
        stacklevel=2,
    )
