"""What is compared: checked data, folds, scorer, and which parameters go where."""

from dataclasses import dataclass
from numbers import Integral

import numpy as np
from sklearn import get_config
from sklearn.base import is_classifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import (
    KFold,
    RepeatedKFold,
    RepeatedStratifiedKFold,
    StratifiedKFold,
    check_cv,
)
from sklearn.utils import indexable
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import (
    _check_method_params,
    _check_sample_weight,
    _num_samples,
    column_or_1d,
)

from ._comparison import ModelComparison, OutOfFold
from ._evaluation import (
    Task,
    evaluate,
    make_router,
    routed_by_name,
    routed_by_request,
)

# Complexities that are measured for every fold anyway.
TIMES = ("fit_time", "predict_time")


@dataclass(frozen=True)
class ComparisonData:
    """Data of a comparison; `classes` is None without one label a row."""

    X: object
    y: object
    classification: bool
    classes: np.ndarray | None

    @classmethod
    def checked(cls, pairs, X, y, owner):
        """Check targets and kinds of models; X is left to the models."""
        if y is None:
            raise ValueError(
                f"{owner} requires y to be passed, but the target y is None."
            )
        X, y = indexable(X, y)
        if _num_samples(X) == 0:
            raise ValueError("X must hold at least 1 sample, found 0.")
        classification = is_classifier(pairs[0][1])
        for name, estimator in pairs[1:]:
            if is_classifier(estimator) != classification:
                kind = "classifier" if classification else "regressor"
                raise ValueError(
                    f"estimators must be of one kind: {pairs[0][0]!r} is a {kind}, "
                    f"{name!r} is not."
                )
        if not classification:
            return cls(X, y, False, None)
        check_classification_targets(y)
        if type_of_target(y).startswith("multilabel"):
            return cls(X, y, True, None)
        y = column_or_1d(y, warn=True)
        classes = np.unique(y)
        if len(classes) < 2:
            raise ValueError(
                f"{owner} needs at least 2 classes, found 1 class: "
                f"{classes.tolist()[0]!r}."
            )
        return cls(X, y, True, classes)


@dataclass(frozen=True)
class Plan:
    """Models, folds, scorer, and which parameters go where."""

    pairs: list
    splits: list
    scorer: object
    routed: object
    scoring: str
    sample_weight: np.ndarray | None

    @classmethod
    def make(cls, owner, data, pairs, params, cv, scoring, random_state):
        """Resolve scorer and folds, and route the parameters."""
        scorer = check_scoring(pairs[0][1], scoring)
        cv = resolve_cv(cv, data, random_state)
        params = dict(_check_method_params(data.X, params))
        if params.get("sample_weight") is not None:
            n_rows = _num_samples(data.X)
            params["sample_weight"] = _check_sample_weight(
                params["sample_weight"],
                np.empty((n_rows, 0)),
                dtype=np.float64,
                ensure_non_negative=True,
            )
        if get_config()["enable_metadata_routing"]:
            router = make_router(owner, pairs, scorer, cv)
            routed = routed_by_request(router, pairs, params)
        else:
            routed = routed_by_name(pairs, scorer, params)
        splits = [
            tuple(map(_as_rows, split))
            for split in cv.split(data.X, data.y, **routed.split)
        ]
        if len(splits) < 2:
            raise ValueError(
                f"cv must give at least 2 folds, found {len(splits)} from {cv!r}."
            )
        weight = routed.score.get("sample_weight")
        return cls(pairs, splits, scorer, routed, _score_name(scoring), weight)

    @property
    def rho(self):
        """Mean number of test rows over mean number of training rows."""
        n_train, n_test = (sum(map(len, rows)) for rows in zip(*self.splits))
        return n_test / n_train


def resolve_cv(cv, data, random_state):
    """Return the splitter that `cv` and `random_state` stand for."""
    stratified = data is not None and data.classes is not None
    if cv is None:
        splitter = RepeatedStratifiedKFold if stratified else RepeatedKFold
        return splitter(n_splits=10, n_repeats=3, random_state=random_state)
    if isinstance(cv, Integral) and random_state is not None:
        splitter = StratifiedKFold if stratified else KFold
        return splitter(int(cv), shuffle=True, random_state=random_state)
    return check_cv(cv, data.y, classifier=data.classification)


def _as_rows(rows):
    """Return the numbers of rows that may be given as a mask."""
    rows = np.asarray(rows)
    return np.flatnonzero(rows) if rows.dtype == bool else rows


def _score_name(scoring):
    if scoring is None:
        return "score"
    return scoring if isinstance(scoring, str) else repr(scoring)


def run_comparison(
    data,
    plan,
    *,
    reference="best",
    error_score="raise",
    complexity=None,
    return_estimator=False,
    keep_probabilities=False,
    n_jobs=None,
    verbose=0,
    on_result=None,
):
    """Fit and score all models of a plan; parameters as in `compare_classifiers`.

    `on_result` is called with the name of a model and the number of a fold.
    """
    keep_probabilities = keep_probabilities and data.classes is not None
    task = Task(
        X=data.X,
        y=data.y,
        scorer=plan.scorer,
        score_params=plan.routed.score,
        error_score=error_score,
        complexity=complexity if callable(complexity) else None,
        classes=data.classes if keep_probabilities else None,
        return_estimator=return_estimator,
    )
    results, reliable = evaluate(
        task,
        plan.pairs,
        plan.splits,
        plan.routed.fit,
        n_jobs=n_jobs,
        verbose=verbose,
        on_result=on_result,
    )

    def table(field):
        return np.array([[getattr(fold, field) for fold in row] for row in results])

    return ModelComparison(
        names_=[name for name, _ in plan.pairs],
        scores_=table("score"),
        fit_times_=table("fit_time"),
        score_times_=table("score_time"),
        predict_times_=table("predict_time"),
        complexity_=_mean_complexity(complexity, table),
        rho_=plan.rho,
        scoring=plan.scoring,
        reference=reference,
        timing_reliable_=reliable,
        estimators_=(
            [[fold.estimator for fold in row] for row in results]
            if return_estimator
            else None
        ),
        out_of_fold_=_pool(data, plan, results) if keep_probabilities else None,
    )


def _mean_complexity(complexity, table):
    if complexity is None:
        return np.arange(len(table("score")), dtype=np.float64)
    column = complexity if complexity in TIMES else "complexity"
    return table(column).mean(axis=1)


def _pool(data, plan, results):
    """Put the test rows of all folds below each other."""
    rows = np.concatenate([test for _, test in plan.splits])
    weight = plan.sample_weight
    return OutOfFold(
        y=np.asarray(data.y)[rows],
        classes=data.classes,
        probabilities=[
            None
            if any(fold.probabilities is None for fold in row)
            else np.concatenate([fold.probabilities for fold in row])
            for row in results
        ],
        sample_weight=None if weight is None else np.asarray(weight)[rows],
    )
