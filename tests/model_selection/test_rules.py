from functools import partial

import numpy as np
import pytest
from scipy.stats import t as student_t
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RepeatedStratifiedKFold
from sklearn.svm import SVC

from sklogit.model_selection import one_standard_error
from sklogit.model_selection._rules import RULES, simplest_acceptable


def results(scores, **columns):
    """A cv_results_ with these scores, of shape (n_candidates, n_folds)."""
    scores = np.asarray(scores, dtype=float)
    table = {f"split{j}_test_score": scores[:, j] for j in range(scores.shape[1])}
    return {**table, **{name: np.asarray(v) for name, v in columns.items()}}


def brute_force(scores, order, rule, margin, rho):
    """The rule as it is written, one model after the other."""
    n = scores.shape[1]
    factor = np.sqrt(1 / n + rho)
    best = max(order, key=lambda m: scores[m].mean())
    for m in order:
        d = scores[best] - scores[m]
        if rule == "one_se" and d.mean() <= scores[best].std(ddof=1) * factor:
            return m
        if rule == "paired_one_se" and d.mean() <= d.std(ddof=1) * factor:
            return m
        bound = d.mean() + student_t.ppf(0.95, n - 1) * d.std(ddof=1) * factor
        if rule == "noninferior" and bound <= margin:
            return m
        if m == best:
            return m
    raise AssertionError


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(20))
def test_rules_are_as_written(rule, seed):
    rng = np.random.default_rng(seed)
    fold = rng.normal(scale=0.05, size=10)
    level = rng.uniform(0.8, 0.85, size=(6, 1))
    scores = level + fold + rng.normal(scale=0.01, size=(6, 10))
    complexity = rng.permutation(6).astype(float)
    found, best = simplest_acceptable(
        scores, complexity, rule=rule, margin=0.02, rho=1 / 9
    )
    order = np.argsort(complexity)
    assert found == brute_force(scores, order, rule, 0.02, 1 / 9)
    assert best == scores.mean(axis=1).argmax()


@pytest.mark.parametrize("rule", RULES)
def test_of_two_identical_models_the_simpler_is_taken(rule):
    row = [0.8, 0.9, 0.7, 0.85]
    cv_results = results([row, row], param_C=[10, 1])
    pick = partial(one_standard_error, complexity="param_C", rule=rule, margin=0)
    assert pick(cv_results) == 1


@pytest.mark.parametrize("rule", RULES)
def test_a_model_ten_standard_errors_worse_is_never_taken(rule):
    rng = np.random.default_rng(0)
    best = 0.9 + 0.02 * rng.standard_normal(10)
    error = best.std(ddof=1) * np.sqrt(1 / 10 + 1 / 9)
    worse = best - 10 * error + 0.1 * error * rng.standard_normal(10)
    cv_results = results([worse, best], param_C=[1, 10])
    assert one_standard_error(cv_results, complexity="param_C", rule=rule) == 1


def test_the_paired_rule_is_sharper_where_folds_differ_in_difficulty():
    fold = np.array([0.1, -0.1, 0.05, -0.05, 0.0])
    noise = np.array([1, -1, 1, -1, 0]) * 1e-3
    cv_results = results([0.80 + fold + noise, 0.82 + fold], param_C=[1, 10])
    pick = partial(one_standard_error, cv_results, complexity="param_C")
    assert pick(rule="one_se") == 0
    assert pick(rule="paired_one_se") == 1


def test_noninferior_with_margin_zero_takes_the_best():
    rng = np.random.default_rng(0)
    scores = 0.9 + 0.01 * rng.standard_normal((3, 10))
    cv_results = results(scores, param_C=[1, 2, 3])
    pick = partial(one_standard_error, complexity="param_C", rule="noninferior")
    assert pick(cv_results, margin=0) == scores.mean(axis=1).argmax()
    assert pick(cv_results, margin=1) == 0


def test_naive_errors_are_smaller_and_rho_is_that_of_the_folds():
    # Five folds: the corrected error of the best is 1.5 times the naive one.
    best = np.array([0.88, 0.92, 0.9, 0.86, 0.94])
    naive = best.std(ddof=1) / np.sqrt(5)
    assert np.sqrt(1 / 5 + 1 / 4) / np.sqrt(1 / 5) == 1.5
    cv_results = results([best - 1.4 * naive, best], param_C=[1, 2])
    pick = partial(one_standard_error, cv_results, complexity="param_C")
    assert pick() == pick(rho=1 / 4) == 0
    assert pick(se="naive") == pick(rho=0) == 1


def test_a_minus_turns_the_order_round():
    cv_results = results(np.full((3, 4), 0.9), param_alpha=[1.0, 100.0, 10.0])
    assert one_standard_error(cv_results, complexity="param_alpha") == 0
    assert one_standard_error(cv_results, complexity="-param_alpha") == 1


def test_complexity_can_be_a_function_of_the_results():
    cv_results = results(np.full((3, 4), 0.9), param_a=[1, 2, 3], param_b=[9, 1, 5])
    pick = one_standard_error(
        cv_results, complexity=lambda r: r["param_a"] * r["param_b"]
    )
    assert pick == 1


@pytest.mark.parametrize("sign", ["", "-"])
def test_missing_values_are_the_most_complex(sign):
    depth = np.ma.masked_array([7, None, 3, 5], [True, False, False, False], object)
    cv_results = {**results(np.full((4, 4), 0.9)), "param_depth": depth}
    found = one_standard_error(cv_results, complexity=f"{sign}param_depth")
    assert found == (3 if sign else 2)


def test_candidates_with_nan_are_out():
    scores = np.full((3, 4), 0.9)
    scores[0, 1] = np.nan
    cv_results = results(scores, param_C=[1, 2, 3])
    assert one_standard_error(cv_results, complexity="param_C") == 1
    all_bad = results(np.full((2, 4), np.nan), param_C=[1, 2])
    with pytest.raises(ValueError, match="No model has a score"):
        one_standard_error(all_bad, complexity="param_C")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"complexity": "param_D"}, r"\['param_C'\].*'param_D'"),
        ({"complexity": "param_C", "metric": "auc"}, r"\['score'\].*'auc'"),
        ({"complexity": lambda r: [1.0]}, r"each of 2 candidates, got shape \(1,\)"),
        ({"complexity": "param_C", "rule": "two_se"}, "rule"),
        ({"complexity": "param_C", "margin": -1}, "margin"),
        ({"complexity": "param_C", "rho": -1}, "rho"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        one_standard_error(results(np.full((2, 4), 0.9), param_C=[1, 2]), **arguments)


def test_values_without_an_order_ask_for_a_function():
    cv_results = results(np.full((2, 4), 0.9), param_kernel=["rbf", "linear"])
    with pytest.raises(ValueError, match=r"found .*'rbf'.*: give a function"):
        one_standard_error(cv_results, complexity="param_kernel")


def test_one_fold_is_refused():
    with pytest.raises(ValueError, match="at least 2 folds, found 1"):
        one_standard_error(
            results([[0.9], [0.8]], param_C=[1, 2]), complexity="param_C"
        )


# -- inside a search -------------------------------------------------------------------


@pytest.fixture(scope="module")
def data():
    X, y = load_breast_cancer(return_X_y=True)
    return (X - X.mean(axis=0)) / X.std(axis=0), y


def test_it_is_the_refit_of_a_grid_search(data):
    grid = {"C": [1e-3, 1e-2, 0.1, 1, 10, 100]}
    refit = partial(one_standard_error, complexity="param_C")
    search = GridSearchCV(LogisticRegression(max_iter=500), grid, cv=10, refit=refit)
    search.fit(*data)
    table = search.cv_results_
    scores = np.column_stack([table[f"split{j}_test_score"] for j in range(10)])
    expected = brute_force(scores, range(6), "one_se", 0, 1 / 9)
    assert search.best_index_ == expected < scores.mean(axis=1).argmax()
    assert search.predict(data[0]).shape == data[1].shape


def test_masked_columns_and_several_metrics(data):
    # gamma has no value for the linear kernel: its column is masked there.
    grid = [{"kernel": ["linear"]}, {"kernel": ["rbf"], "gamma": [1e-3, 0.03, 10.0]}]
    search = GridSearchCV(
        SVC(),
        grid,
        cv=RepeatedStratifiedKFold(n_splits=3, n_repeats=2, random_state=0),
        scoring=["accuracy", "roc_auc"],
        refit=partial(
            one_standard_error, complexity="param_gamma", metric="roc_auc", rho=1 / 2
        ),
    ).fit(*data)
    table = search.cv_results_
    scores = np.column_stack([table[f"split{j}_test_roc_auc"] for j in range(6)])
    assert table["param_gamma"].mask.tolist() == [True, False, False, False]
    assert search.best_index_ == brute_force(scores, [1, 2, 3, 0], "one_se", 0, 1 / 2)
