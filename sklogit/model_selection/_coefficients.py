"""Table of the coefficients of a linear model, in units that can be read."""

from contextlib import suppress

import numpy as np
from scipy.sparse import issparse
from scipy.special import expit, softmax
from sklearn.feature_selection import SelectorMixin
from sklearn.utils.validation import check_array

from .._optional import import_optional
from ._affine import linear_form, pull_back, pull_back_blocks

_INTERCEPT = "(intercept)"


def coefficient_report(pipeline, feature_names=None, *, X=None, cv_estimators=None):
    r"""Make a table of the coefficients of a fitted linear model.

    The affine steps before the model (scalers, feature selection, imputation, PCA) are
    multiplied into its coefficients, so that

    .. math:: \text{logit} = \beta_0 + \sum_j \beta_j x_j
        = \gamma_0 + \sum_j \gamma_j \frac{x_j - \bar x_j}{s_j}, \qquad
        \gamma_j = s_j \beta_j,

    holds in the raw units of the features and in their standard deviations. Steps
    before the first one that is not affine stay as they are: their output is what
    counts as a feature. In a `ColumnTransformer`, scaled blocks are in raw units and
    encoded categories in those of their columns.

    Parameters
    ----------
    pipeline : estimator
        Fitted linear model with ``coef_``, or a pipeline that ends in one, or a search
        or `SimplestModelSelector` that has chosen one.
    feature_names : array-like of str, default=None
        Names of the features; None takes those seen in fit, or x0, x1, ...
    X : {array-like, sparse matrix} of shape (n_samples, n_features), default=None
        Data from which the means and standard deviations are taken, where the pipeline
        has no `StandardScaler` that knows them.
    cv_estimators : list of estimators, default=None
        The same pipeline fitted to the folds of a cross-validation, e.g. a row of
        ``ModelComparison.estimators_``, for the stability of the coefficients.

    Returns
    -------
    pandas.DataFrame
        A row for the intercept and for each feature, with more than two classes for
        each class and feature, and the columns

        - standardized_coef: change of the logit for one standard deviation, nan where
          that is not known; of the intercept, the logit at the means;
        - raw_coef: change of the logit for one unit of the feature;
        - odds_ratio, odds_ratio_sd: their exponentials. Only if the probabilities
          of the model are the logistic (or softmax) function of its scores;
        - cv_mean, cv_std, sign_agreement: over the folds, of the standardized
          coefficients where they are known, else the raw ones; and the part of the
          folds in which the coefficient has the sign that it has here. Only with
          `cv_estimators`.

    Raises
    ------
    ImportError
        If pandas is not installed.
    TypeError
        If the last step has no ``coef_``.
    ValueError
        If the coefficients belong to pairs of classes, or names or folds do not fit.

    See Also
    --------
    compare_classifiers : Keeps the fitted models with ``return_estimator=True``.

    Notes
    -----
    There are no p-values: penalised coefficients have no such distribution. The spread
    over folds is smaller than that over new data sets, as the folds share most rows.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklogit.model_selection import coefficient_report
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y == 2)
    >>> coefficient_report(model)[["standardized_coef", "raw_coef"]].round(2)
                       standardized_coef  raw_coef
    feature
    (intercept)                    -3.80    -11.43
    sepal length (cm)               0.14      0.17
    sepal width (cm)               -0.51     -1.18
    petal length (cm)               2.48      1.41
    petal width (cm)                3.14      4.13
    """
    pandas = import_optional("pandas", "coefficient_report")
    pipeline = _chosen(pipeline)
    form, head, model, in_raw_units = _raw_form(pipeline)
    if X is not None:
        form = _measured(form, head, X, in_raw_units)
    names = _names(feature_names, head, pipeline, form.coef.shape[1])
    raw, standardized = _with_intercept(form)
    table = {"standardized_coef": standardized, "raw_coef": raw}
    if _is_logistic(model, pandas):
        with np.errstate(over="ignore"):
            table["odds_ratio"] = np.exp(raw)
            table["odds_ratio_sd"] = np.exp(standardized)
    if cv_estimators is not None:
        reference = np.where(np.isnan(standardized), raw, standardized)
        table |= _stability(cv_estimators, reference, np.isnan(standardized))
    return pandas.DataFrame(
        {column: values.ravel() for column, values in table.items()},
        index=_index(pandas, names, model, len(raw)),
    )


def _chosen(pipeline):
    """Return the model that a search or a selector has chosen."""
    for name in ("best_estimator_", "estimator_"):
        inner = getattr(pipeline, name, None)
        if hasattr(inner, "fit") and not isinstance(pipeline, SelectorMixin):
            return _chosen(inner)
    return pipeline


def _raw_form(pipeline):
    """Return the form in raw units, the steps before it, and the linear model.

    Fourth, a mask of the features that are in other units than the output of the steps
    before: the scaled blocks of a ColumnTransformer.
    """
    steps = [step for _, step in getattr(pipeline, "steps", [("model", pipeline)])]
    model = _chosen(steps[-1])
    if hasattr(model, "steps"):  # a search over a pipeline, in a pipeline
        form, inner_head, model, _ = _raw_form(model)
        if inner_head is not None:
            raise ValueError(
                "pipeline has a step that is not affine inside another pipeline: "
                "put the steps into one pipeline."
            )
    else:
        form = linear_form(model)
    n_head = len(steps) - 1
    while n_head:
        earlier = pull_back(form, steps[n_head - 1])
        if earlier is None:
            form, converted = pull_back_blocks(form, steps[n_head - 1])
            return form, pipeline[:n_head], model, converted
        form, n_head = earlier, n_head - 1
    return form, None, model, np.zeros(form.scale.shape, dtype=bool)


def _measured(form, head, X, in_raw_units):
    """Return the form with means and standard deviations of data."""
    if head is not None:
        X = head.transform(X)
    X = check_array(X, accept_sparse="csc", ensure_all_finite="allow-nan")
    if X.shape[1] != form.coef.shape[1]:
        raise ValueError(
            f"X must have {form.coef.shape[1]} features, found {X.shape[1]}."
        )
    if issparse(X):
        center = np.ravel(X.mean(axis=0))
        squares = np.ravel(X.multiply(X).mean(axis=0))
        scale = np.sqrt(np.maximum(squares - center**2, 0.0))
    else:
        center, scale = np.nanmean(X, axis=0), np.nanstd(X, axis=0)
    return type(form)(
        form.coef,
        form.intercept,
        np.where(in_raw_units, form.scale, scale),
        np.where(in_raw_units, form.center, center),
    )


def _with_intercept(form):
    """Return raw and standardized coefficients, each with its intercept in front."""
    # 0 * nan is no reason to lose an intercept: dropped features have a center of 0.
    at_means = form.intercept + form.coef @ form.center
    raw = np.column_stack([form.intercept, form.coef])
    standardized = np.column_stack([at_means, form.coef * form.scale])
    return raw, standardized


def _names(given, head, pipeline, n_features):
    if given is not None:
        names = list(given)
        if len(names) != n_features:
            raise ValueError(
                f"feature_names must name {n_features} features, found {len(names)}."
            )
        return names
    if head is not None:
        # A step may not say: scikit-learn then has an AttributeError.
        with suppress(AttributeError):
            return list(head.get_feature_names_out())
    names = getattr(pipeline, "feature_names_in_", None)
    if names is not None and len(names) == n_features:
        return list(names)
    return [f"x{j}" for j in range(n_features)]


def _index(pandas, names, model, n_outputs):
    rows = [_INTERCEPT, *names]
    if n_outputs == 1:
        return pandas.Index(rows, name="feature")
    labels = list(getattr(model, "classes_", range(n_outputs)))
    level = "class" if hasattr(model, "classes_") else "output"
    return pandas.MultiIndex.from_product([labels, rows], names=[level, "feature"])


def _is_logistic(model, pandas):
    """Whether the probabilities are the logistic function of the scores."""
    if not hasattr(model, "predict_proba") or not hasattr(model, "decision_function"):
        return False
    # Seen on a few points rather than taken from a list of classes.
    rng = np.random.default_rng(0)
    points = rng.standard_normal((8, model.n_features_in_))
    if hasattr(model, "feature_names_in_"):
        points = pandas.DataFrame(points, columns=model.feature_names_in_)
    scores = model.decision_function(points)
    found = model.predict_proba(points)
    if scores.ndim == 1:
        return np.allclose(found[:, 1], expit(scores), atol=1e-6)
    each = expit(scores)
    one_against_rest = each / each.sum(axis=1, keepdims=True)
    return any(
        np.allclose(found, expected, atol=1e-6)
        for expected in (softmax(scores, axis=1), one_against_rest)
    )


def _stability(estimators, reference, use_raw):
    """Return mean, spread and agreement in sign over the folds."""
    estimators = list(estimators)
    if len(estimators) < 2:
        raise ValueError(
            f"cv_estimators must hold at least 2 models, found {len(estimators)}."
        )
    folds = []
    for estimator in estimators:
        raw, standardized = _with_intercept(_raw_form(_chosen(estimator))[0])
        if raw.shape != reference.shape:
            raise ValueError(
                "cv_estimators must have the coefficients of pipeline: of shape "
                f"{reference.shape} with the intercept, found {raw.shape}."
            )
        folds.append(np.where(use_raw, raw, standardized))
    folds = np.stack(folds)
    return {
        "cv_mean": folds.mean(axis=0),
        "cv_std": folds.std(axis=0, ddof=1),
        "sign_agreement": (np.sign(folds) == np.sign(reference)).mean(axis=0),
    }
