"""The simplest model that is within noise of the best, from a table of scores."""

from numbers import Integral, Real

import numpy as np
from scipy.stats import t as student_t
from sklearn.utils._param_validation import Interval, StrOptions, validate_params

from ._paired_tests import mean_and_error

RULES = ("paired_one_se", "one_se", "noninferior", "best")

# Level of the one-sided bound of the rule "noninferior".
_NONINFERIORITY_LEVEL = 0.95


def simplest_acceptable(scores, complexity, *, rule, margin, rho):
    """Return the rows of the simplest acceptable model and of the best one.

    Parameters
    ----------
    scores : ndarray of shape (n_models, n_resamples)
        Scores, higher is better. A model with a nan is out.
    complexity : ndarray of shape (n_models,)
        Smaller is simpler; of equals the earlier row, nan is the most complex.
    rule : {"paired_one_se", "one_se", "noninferior", "best"}
        What is acceptable.
    margin : float
        Tolerated loss of the rule "noninferior".
    rho : float
        Ratio of test to training rows; zero gives naive standard errors.

    Returns
    -------
    selected, best : int
        Rows of `scores`.
    """
    order = np.argsort(complexity, kind="stable")  # nan goes last
    order = order[~np.isnan(scores[order]).any(axis=1)]
    if not len(order):
        raise ValueError("No model has a score on every resample: nothing to select.")
    means = scores[order].mean(axis=1)
    # Means of the same scores can differ by rounding, which is no reason to prefer one.
    tied = means >= means.max() - 1e-12 * max(1.0, abs(means.max()))
    best = order[np.flatnonzero(tied)[0]]
    acceptable = _acceptable(scores[order], scores[best], rule, margin, rho)
    # The best may miss its own margin of zero by nothing but its uncertainty.
    acceptable |= order == best
    return int(order[np.flatnonzero(acceptable)[0]]), int(best)


def _acceptable(scores, best, rule, margin, rho):
    """Return for every row of scores whether it is acceptable beside the best."""
    loss, error, df = mean_and_error(best - scores, rho)
    if rule == "best":
        return np.zeros(len(scores), dtype=bool)
    if rule == "noninferior":
        bound = loss + student_t.ppf(_NONINFERIORITY_LEVEL, df) * error
        return bound <= margin
    if rule == "one_se":
        error = mean_and_error(best, rho)[1]
    return loss <= error


@validate_params(
    {
        "cv_results": [dict],
        "complexity": [str, callable],
        "metric": [str],
        "rule": [StrOptions(set(RULES))],
        "se": [StrOptions({"corrected", "naive"})],
        "rho": [Interval(Real, 0, None, closed="left"), None],
        "margin": [Interval(Real, 0, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def one_standard_error(
    cv_results,
    *,
    complexity,
    metric="score",
    rule="one_se",
    se="corrected",
    rho=None,
    margin=0.01,
):
    r"""Choose the simplest candidate of a search that is within noise of the best.

    Give it to a search with the direction of simplicity filled in::

        GridSearchCV(..., refit=partial(one_standard_error, complexity="param_C"))

    With the scores :math:`s_{mj}` of candidate m on fold j of J, the best mean
    :math:`\bar s_b` and :math:`\text{SE}(x) = \text{sd}(x) \sqrt{1/J + \rho}`, it is
    the simplest candidate with

    ===============  ==================================================================
    "one_se"         :math:`\bar s_b - \bar s_m \le \text{SE}(s_b)`
    "paired_one_se"  :math:`\bar s_b - \bar s_m \le \text{SE}(s_b - s_m)`
    "noninferior"    the upper one-sided 95 % bound of :math:`\bar s_b - \bar s_m` at
                     most `margin`
    "best"           :math:`m = b`; of equal means, the simplest
    ===============  ==================================================================

    Parameters
    ----------
    cv_results : dict of ndarrays
        Attribute ``cv_results_`` of a search.
    complexity : str or callable
        Name of a column, e.g. ``"param_C"`` or ``"mean_fit_time"``: smaller values are
        simpler. With a minus in front, e.g. ``"-param_alpha"``, larger ones are. Only
        the order counts, not the scale. Values that a candidate does not have
        (masked), None and nan are taken for the most complex.
        A function gets `cv_results` and returns one number a candidate, smaller is
        simpler.
    metric : str, default="score"
        Name of the metric in a search with several.
    rule : {"one_se", "paired_one_se", "noninferior", "best"}, default="one_se"
        What is acceptable. "paired_one_se" is the sharper one for candidates that err
        on the same rows, as those of one grid do: what makes a fold hard for all
        cancels.
    se : {"corrected", "naive"}, default="corrected"
        Whether the standard errors allow for the overlap of the training sets.
    rho : float, default=None
        Ratio of test to training rows. None takes ``1 / (J - 1)``, which is right for
        J folds without repetitions. For k folds repeated r times give
        ``1 / (k - 1)``: the results of a search do not tell k.
    margin : float, default=0.01
        Tolerated loss of the rule "noninferior", in the unit of the score.

    Returns
    -------
    int
        Row of the candidate in `cv_results`.

    Raises
    ------
    ValueError
        If a column does not exist or has no order, if there are fewer than two folds,
        or if every candidate has a nan among its scores.

    See Also
    --------
    SimplestModelSelector : The same among different models.

    References
    ----------
    .. [1] L. Breiman, J. Friedman, R. Olshen and C. Stone, "Classification and
       Regression Trees", 1984, section 3.4.3.

    Examples
    --------
    >>> from functools import partial
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklogit.model_selection import one_standard_error
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), LogisticRegression())
    >>> column = "param_logisticregression__C"
    >>> search = GridSearchCV(
    ...     model,
    ...     {"logisticregression__C": [0.01, 0.1, 1, 10, 100]},
    ...     cv=10,
    ...     refit=partial(one_standard_error, complexity=column),
    ... ).fit(X, y)
    >>> search.best_params_
    {'logisticregression__C': 0.1}
    """
    scores = _fold_scores(cv_results, metric)
    n_folds = scores.shape[1]
    if n_folds < 2:
        raise ValueError(f"cv_results must hold at least 2 folds, found {n_folds}.")
    if se == "naive":
        rho = 0.0
    elif rho is None:
        rho = 1.0 / (n_folds - 1)
    order = _candidate_complexity(cv_results, complexity, len(scores))
    selected, _ = simplest_acceptable(scores, order, rule=rule, margin=margin, rho=rho)
    return selected


def _fold_scores(cv_results, metric):
    """Return the scores of all candidates, of shape (n_candidates, n_folds)."""
    columns = []
    while (key := f"split{len(columns)}_test_{metric}") in cv_results:
        columns.append(np.asarray(cv_results[key], dtype=np.float64))
    if not columns:
        start = "split0_test_"
        found = sorted(k.removeprefix(start) for k in cv_results if k.startswith(start))
        raise ValueError(
            f"metric must be among {found}, the metrics of cv_results, got {metric!r}."
        )
    return np.column_stack(columns)


def _candidate_complexity(cv_results, complexity, n_candidates):
    """Return one number a candidate, smaller is simpler, nan for the most complex."""
    if callable(complexity):
        values, sign = complexity(cv_results), 1.0
    else:
        name = complexity.removeprefix("-")
        sign = -1.0 if name != complexity else 1.0
        if name not in cv_results:
            found = sorted(k for k in cv_results if k.startswith("param_"))
            raise ValueError(
                f"complexity must name a column of cv_results, as one of {found}, got "
                f"{complexity!r}."
            )
        values = cv_results[name]
    mask = np.ma.getmaskarray(np.ma.asanyarray(values))
    values = np.ma.getdata(values)
    if values.shape != (n_candidates,):
        raise ValueError(
            f"complexity must give one number for each of {n_candidates} candidates, "
            f"got shape {values.shape}."
        )
    numbers = [
        np.nan if hidden or value is None else _as_number(value, complexity)
        for value, hidden in zip(values, mask)
    ]
    return sign * np.array(numbers, dtype=np.float64)


def _as_number(value, complexity):
    if isinstance(value, Integral | Real | np.bool_):
        return float(value)
    raise ValueError(
        f"complexity={complexity!r} must hold numbers, found {value!r}: give a "
        "function of cv_results that returns numbers in order of complexity."
    )
