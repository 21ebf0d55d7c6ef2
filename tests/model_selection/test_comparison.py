import pickle
import sys

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn import config_context
from sklearn.datasets import (
    load_breast_cancer,
    load_iris,
    make_multilabel_classification,
)
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import FitFailedWarning, UnsetMetadataPassedError
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import make_scorer, max_error, roc_auc_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    RepeatedStratifiedKFold,
    ShuffleSplit,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
)
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from sklogit.model_selection import (
    compare_classifiers,
    corrected_resampled_ttest,
    n_parameters,
)
from sklogit.model_selection._paired_tests import holm_adjusted

from .common import Failing, Recording, small_data, small_models


@pytest.fixture(scope="module")
def data():
    return small_data()


@pytest.fixture(scope="module")
def comparison(data):
    models = [*small_models(), ("svm", LinearSVC())]
    return compare_classifiers(models, *data, cv=5, random_state=0)


# -- scores ----------------------------------------------------------------------------


@pytest.mark.parametrize("scoring", ["accuracy", "roc_auc", "neg_log_loss"])
def test_scores_are_those_of_cross_validation_on_the_same_folds(data, scoring):
    cv = RepeatedStratifiedKFold(n_splits=3, n_repeats=2, random_state=0)
    found = compare_classifiers(small_models(), *data, cv=cv, scoring=scoring)
    for scores, (_, model) in zip(found.scores_, small_models()):
        expected = cross_val_score(model, *data, cv=cv, scoring=scoring)
        np.testing.assert_allclose(scores, expected, rtol=1e-12)


def test_default_is_ten_stratified_folds_three_times(data):
    found = compare_classifiers(small_models(), *data, random_state=3)
    cv = RepeatedStratifiedKFold(n_splits=10, n_repeats=3, random_state=3)
    expected = cross_val_score(small_models()[0][1], *data, cv=cv)
    np.testing.assert_array_equal(found.scores_[0], expected)
    assert found.rho_ == pytest.approx(1 / 9)


def test_shuffled_folds_are_drawn_once_for_all_models(data):
    # The splitter without a seed gives other folds at every call.
    twins = {"a": GaussianNB(), "b": GaussianNB()}
    found = compare_classifiers(twins, *data, cv=StratifiedKFold(5, shuffle=True))
    np.testing.assert_array_equal(found.scores_[0], found.scores_[1])
    row = found.tests().iloc[0]
    assert (row["difference"], row["statistic"], row["p_value"]) == (0, 0, 1)
    assert row["p_equivalent"] == 1
    assert not row.isna().any()


def test_integer_cv_is_shuffled_only_with_a_random_state(data):
    plain = compare_classifiers(small_models(), *data, cv=4)
    shuffled = compare_classifiers(small_models(), *data, cv=4, random_state=0)
    model = small_models()[0][1]
    folds = StratifiedKFold(4), StratifiedKFold(4, shuffle=True, random_state=0)
    for found, cv in zip((plain, shuffled), folds):
        expected = cross_val_score(model, *data, cv=cv)
        np.testing.assert_array_equal(found.scores_[0], expected)


def test_rho_is_the_ratio_of_test_to_training_rows(data):
    cv = ShuffleSplit(4, test_size=30, train_size=60, random_state=0)
    found = compare_classifiers(small_models(), *data, cv=cv)
    assert found.rho_ == pytest.approx(0.5)


def test_folds_can_be_masks_or_come_from_a_generator(data):
    rows = list(StratifiedKFold(3).split(*data))
    masks = []
    for split in rows:
        masks.append([np.isin(np.arange(len(data[1])), part) for part in split])
    expected = compare_classifiers(small_models(), *data, cv=rows)
    for cv in (masks, (split for split in rows)):
        found = compare_classifiers(small_models(), *data, cv=cv)
        np.testing.assert_array_equal(found.scores_, expected.scores_)
        assert found.rho_ == expected.rho_


def test_text_goes_to_the_models_as_it_is():
    words = ["good day", "bad day", "good night", "bad night"] * 6
    models = [
        ("nb", make_pipeline(CountVectorizer(), MultinomialNB())),
        ("lr", make_pipeline(CountVectorizer(), LogisticRegression())),
    ]
    found = compare_classifiers(models, words, ["good", "bad"] * 12, cv=3)
    assert (found.scores_ == 1).all()


def test_several_labels_a_row_have_scores_and_no_calibration():
    X, Y = make_multilabel_classification(60, random_state=0)
    models = [("knn", KNeighborsClassifier()), ("dt", DecisionTreeClassifier())]
    found = compare_classifiers(models, X, Y, cv=3)
    assert found.scores_.shape == (2, 3)
    with pytest.raises(ValueError, match="keeps no probabilities"):
        found.calibration()
    assert "brier_score" not in found.summary()


def test_two_jobs_give_the_same_scores_and_unreliable_times(data, comparison):
    models = [*small_models(), ("svm", LinearSVC())]
    found = compare_classifiers(models, *data, cv=5, random_state=0, n_jobs=2)
    np.testing.assert_array_equal(found.scores_, comparison.scores_)
    assert comparison.timing_reliable_
    assert not found.timing_reliable_


def test_a_search_as_model_makes_it_nested(data):
    search = GridSearchCV(GaussianNB(), {"var_smoothing": [1e-9, 1e-1]}, cv=3)
    found = compare_classifiers([("nb", search), ("lr", LogisticRegression())], *data)
    assert found.scores_.shape == (2, 30)


def test_times_have_the_shape_of_the_scores_and_are_positive(comparison):
    for name in ("fit_times_", "score_times_", "predict_times_"):
        times = getattr(comparison, name)
        assert times.shape == comparison.scores_.shape == (3, 5)
        assert (times > 0).all()


# -- tables ----------------------------------------------------------------------------


def test_table_of_tests_is_that_of_the_functions(comparison):
    table = comparison.tests("svm", confidence_level=0.9)
    assert list(table.index) == ["lr", "dt"]
    results = [
        corrected_resampled_ttest(
            comparison.scores_[m],
            comparison.scores_[2],
            rho=comparison.rho_,
            confidence_level=0.9,
        )
        for m in (0, 1)
    ]
    for row, result in zip(table.itertuples(), results):
        assert row.difference == pytest.approx(result.mean_difference)
        assert row.statistic == pytest.approx(result.statistic)
        assert row.p_value == pytest.approx(result.pvalue)
        assert (row.ci_low, row.ci_high) == pytest.approx(result.confidence_interval)
        assert row.p_worse + row.p_equivalent + row.p_better == pytest.approx(1)
    expected = holm_adjusted([result.pvalue for result in results])
    np.testing.assert_allclose(table["p_holm"], expected)


def test_reference_is_the_best_unless_named(data, comparison):
    best = comparison.names_[comparison.scores_.mean(axis=1).argmax()]
    assert comparison.best_name_ == best
    assert best not in comparison.tests().index
    named = compare_classifiers(small_models(), *data, cv=3, reference="dt")
    assert list(named.tests().index) == ["lr"]
    with pytest.raises(ValueError, match=r"'best' or one of \['lr', 'dt', 'svm'\]"):
        comparison.tests("forest")


@pytest.mark.parametrize(
    ("table", "arguments", "message"),
    [
        ("tests", {"rope": -0.1}, "rope must be a number >= 0, got -0.1"),
        ("tests", {"confidence_level": 1}, "confidence_level must be between 0 and 1"),
        ("calibration", {"n_bins": 0}, "n_bins must be an integer >= 1, got 0"),
    ],
)
def test_bad_arguments_of_the_tables_are_named(comparison, table, arguments, message):
    with pytest.raises(ValueError, match=message):
        getattr(comparison, table)(**arguments)


def test_summary_has_a_row_a_model(comparison):
    table = comparison.summary()
    assert list(table.index) == comparison.names_
    np.testing.assert_allclose(table["mean_score"], comparison.scores_.mean(axis=1))
    np.testing.assert_allclose(table["fit_time"], np.median(comparison.fit_times_, 1))
    assert table["difference"].isna().tolist() == [
        name == comparison.best_name_ for name in comparison.names_
    ]
    assert table["brier_score"].isna().tolist() == [False, False, True]


def test_repr_tells_names_and_means(comparison):
    text = repr(comparison)
    assert text.startswith("ModelComparison: accuracy on 5 resamples")
    assert f"{comparison.scores_[0].mean():.4f}" in text


def test_tables_without_pandas_say_how_to_install_it(monkeypatch, comparison):
    monkeypatch.setitem(sys.modules, "pandas", None)
    for table in (comparison.summary, comparison.tests, comparison.calibration):
        with pytest.raises(ImportError, match=r"needs pandas.*pip install"):
            table()
    assert comparison.best_name_ == comparison.simplest(rule="best")


def test_calibration_is_that_of_pooled_out_of_fold_probabilities(data):
    cv = KFold(4)
    found = compare_classifiers(small_models(), *data, cv=cv)
    pooled = cross_val_predict(
        small_models()[0][1], *data, cv=cv, method="predict_proba"
    )
    row = found.calibration().loc["lr"]
    event = data[1] == 1
    assert row["brier_score"] == pytest.approx(((pooled[:, 1] - event) ** 2).mean())
    assert row["log_loss"] == pytest.approx(
        -np.log(pooled[np.arange(len(event)), data[1]]).mean()
    )


def test_models_without_probabilities_have_nan_calibration(comparison):
    assert comparison.calibration().loc["svm"].isna().all()


def test_calibration_of_three_classes_and_a_class_missing_in_a_fold():
    X, y = load_iris(return_X_y=True)
    keep = np.r_[0:100, 100:104]
    X, y = X[keep], np.array(["b", "c", "a"])[y[keep]]
    # The first fold holds all rows of the class that comes first by name.
    splits = [(np.arange(100), np.arange(100, 104)), (np.arange(4, 104), np.arange(4))]
    models = [("nb", GaussianNB()), ("dt", DecisionTreeClassifier())]
    found = compare_classifiers(models, X, y, cv=splits)
    probabilities = found.out_of_fold_.probabilities[0]
    assert probabilities.shape == (8, 3)
    assert (probabilities[:4, 0] == 0).all()
    expected = GaussianNB().fit(X[:100], y[:100]).predict_proba(X[100:])
    np.testing.assert_array_equal(probabilities[:4, 1:], expected)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert np.isfinite(found.calibration()["brier_score"]).all()


def test_simplest_goes_by_list_or_by_what_complexity_measures(data):
    twins = [("a", DecisionTreeClassifier(max_depth=6)), ("b", GaussianNB())]
    by_list = compare_classifiers(twins, *data, cv=3)
    counted = compare_classifiers(twins, *data, cv=3, complexity=n_parameters)
    timed = compare_classifiers(twins, *data, cv=3, complexity="predict_time")
    np.testing.assert_array_equal(by_list.complexity_, [0, 1])
    assert counted.complexity_[1] == 2 * (6 + 6 + 1)
    np.testing.assert_allclose(timed.complexity_, timed.predict_times_.mean(axis=1))
    with pytest.raises(ValueError, match="rule must be one of"):
        by_list.simplest(rule="smallest")


def test_fitted_models_are_kept_on_demand(data, comparison):
    assert comparison.estimators_ is None
    found = compare_classifiers(small_models(), *data, cv=3, return_estimator=True)
    assert [len(row) for row in found.estimators_] == [3, 3]
    assert found.estimators_[1][0].predict(data[0]).shape == data[1].shape


def test_comparison_can_be_pickled(comparison):
    copy = pickle.loads(pickle.dumps(comparison))
    np.testing.assert_array_equal(copy.scores_, comparison.scores_)
    pd.testing.assert_frame_equal(copy.calibration(), comparison.calibration())


# -- metadata --------------------------------------------------------------------------


def test_weights_reach_fits_and_scores(data):
    X, y = data
    weight = np.random.default_rng(0).uniform(0.1, 2, len(y))
    models = [
        ("pipe", make_pipeline(StandardScaler(), LogisticRegression())),
        ("search", GridSearchCV(LogisticRegression(), {"C": [0.1]}, cv=2)),
    ]
    found = compare_classifiers(models, X, y, cv=3, sample_weight=weight)
    for j, (train, test) in enumerate(StratifiedKFold(3).split(X, y)):
        pipe = make_pipeline(StandardScaler(), LogisticRegression())
        pipe.fit(X[train], y[train], logisticregression__sample_weight=weight[train])
        right = pipe.predict(X[test]) == y[test]
        expected = np.average(right, weights=weight[test])
        assert found.scores_[0, j] == pytest.approx(expected)
        lr = LogisticRegression(C=0.1).fit(X[train], y[train], weight[train])
        right = lr.predict(X[test]) == y[test]
        assert found.scores_[1, j] == pytest.approx(
            np.average(right, weights=weight[test])
        )
    kept = found.out_of_fold_.sample_weight
    order = np.concatenate([test for _, test in StratifiedKFold(3).split(X, y)])
    np.testing.assert_array_equal(kept, weight[order])


def test_rows_of_weight_zero_do_not_count(data):
    X, y = data
    rng = np.random.default_rng(0)
    rows = np.concatenate([np.arange(len(y)), rng.integers(len(y), size=40)])
    labels = np.concatenate([y, 1 - y[rows[len(y) :]]])
    weight = (np.arange(len(rows)) < len(y)).astype(float)
    cut = len(y) // 2
    plain = [(np.arange(cut), np.arange(cut, len(y)))] * 2
    junk = np.arange(len(y), len(rows))
    more = [(np.r_[train, junk], np.r_[test, junk]) for train, test in plain]
    models = [("lr", LogisticRegression()), ("nb", GaussianNB())]
    expected = compare_classifiers(models, X, y, cv=plain)
    found = compare_classifiers(models, X[rows], labels, cv=more, sample_weight=weight)
    np.testing.assert_allclose(found.scores_, expected.scores_)
    pd.testing.assert_frame_equal(
        found.calibration()[["brier_score", "log_loss", "calibration_slope"]],
        expected.calibration()[["brier_score", "log_loss", "calibration_slope"]],
        rtol=1e-2,
    )


def test_groups_reach_the_splitter(data):
    groups = np.arange(len(data[1])) // 10
    found = compare_classifiers(small_models(), *data, cv=GroupKFold(3), groups=groups)
    expected = cross_val_score(
        small_models()[1][1], *data, cv=GroupKFold(3), groups=groups
    )
    np.testing.assert_array_equal(found.scores_[1], expected)


def test_a_scorer_that_is_a_function_gets_weights_if_it_takes_them(data):
    X, y = data
    weight = np.random.default_rng(0).uniform(0.1, 2, len(y))

    def takes(model, X, y, sample_weight):
        return sample_weight.sum()

    found = compare_classifiers(
        small_models(), X, y, cv=3, scoring=takes, sample_weight=weight
    )
    assert found.scores_[0].sum() == pytest.approx(weight.sum())
    with pytest.raises(ValueError, match="takes no weights"):
        compare_classifiers(
            small_models(), X, y, scoring=lambda m, X, y: 0, sample_weight=weight
        )


def test_params_are_split_by_rows(data):
    X, y = data
    models = [("a", Recording()), ("b", Recording())]
    found = compare_classifiers(
        models, X, y, cv=3, params={"extra": np.arange(len(y))}, return_estimator=True
    )
    train, _ = next(StratifiedKFold(3).split(X, y))
    np.testing.assert_array_equal(found.estimators_[0][0].seen_["extra"], train)


def test_model_or_scorer_without_weights_is_named(data):
    weight = np.ones(len(data[1]))
    knn = [("lr", LogisticRegression()), ("knn", KNeighborsClassifier())]
    with pytest.raises(ValueError, match="KNeighborsClassifier in the model 'knn'"):
        compare_classifiers(knn, *data, sample_weight=weight)
    scorer = make_scorer(max_error, greater_is_better=False)
    with pytest.raises(ValueError, match="takes no weights: the"):
        compare_classifiers(small_models(), *data, scoring=scorer, sample_weight=weight)


@pytest.mark.parametrize(
    ("weight", "message"),
    [(-1.0, "[Nn]egative"), (0.0, "zero"), (np.nan, "NaN")],
)
def test_weights_that_make_no_sense_are_refused(data, weight, message):
    weights = np.full(len(data[1]), weight)
    with pytest.raises(ValueError, match=message):
        compare_classifiers(small_models(), *data, sample_weight=weights)


def test_routing_by_request(data):
    X, y = data
    weight = np.random.default_rng(0).uniform(0.1, 2, len(y))
    groups = np.arange(len(y)) // 10
    with config_context(enable_metadata_routing=True):
        models = [
            ("a", Recording().set_fit_request(sample_weight=True, extra=False)),
            ("b", Recording().set_fit_request(sample_weight=False, extra=True)),
        ]
        scorer = make_scorer(roc_auc_score).set_score_request(sample_weight=False)
        found = compare_classifiers(
            models,
            X,
            y,
            cv=GroupKFold(3),
            scoring=scorer,
            groups=groups,
            sample_weight=weight,
            params={"extra": np.arange(len(y))},
            return_estimator=True,
        )
        train, _ = next(GroupKFold(3).split(X, y, groups))
        a, b = (row[0].seen_ for row in found.estimators_)
        np.testing.assert_array_equal(a["sample_weight"], weight[train])
        assert a["extra"] is None
        assert b["sample_weight"] is None
        np.testing.assert_array_equal(b["extra"], train)
        with pytest.raises(UnsetMetadataPassedError):
            compare_classifiers(
                [("a", Recording()), ("b", Recording())], X, y, sample_weight=weight
            )


# -- failures and bad input ------------------------------------------------------------


@pytest.fixture
def failing_data():
    X, y = small_data()
    X[0, 0] = 0.0  # row 0 is in the training rows of all folds but one
    return X, y


def test_a_failure_is_raised_by_default(failing_data):
    with pytest.raises(RuntimeError, match="no luck"):
        compare_classifiers([*small_models(), ("bad", Failing())], *failing_data)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_a_failed_model_has_nan_and_is_never_the_best(failing_data, n_jobs):
    models = [("bad", Failing()), *small_models()]
    with pytest.warns(FitFailedWarning, match=r"'bad': \d.*RuntimeError: no luck"):
        found = compare_classifiers(
            models, *failing_data, cv=3, error_score=np.nan, n_jobs=n_jobs
        )
    assert np.isnan(found.scores_[0]).any()
    assert np.isfinite(found.scores_[1:]).all()
    assert found.best_name_ != "bad"
    assert found.simplest() != "bad"
    assert found.tests().loc["bad"].isna().all()
    assert np.isnan(found.summary().loc["bad", "mean_score"])
    with pytest.raises(ValueError, match="'bad' failed"):
        found.tests("bad")


def test_all_fits_failing_is_an_error(failing_data):
    splits = [(np.arange(60), np.arange(60, 120))] * 2
    with pytest.raises(ValueError, match=r"All 4 fits failed.*no luck"):
        compare_classifiers(
            [("a", Failing()), ("b", Failing())],
            *failing_data,
            cv=splits,
            error_score=np.nan,
        )


LR = LogisticRegression()


@pytest.mark.parametrize(
    ("estimators", "message"),
    [
        ([("lr", LR)], "at least 2 models, found 1"),
        ([("lr", LR), ("lr", LR)], "different names"),
        ([("a__b", LR), ("c", LR)], "'a__b'"),
        ([("", LR), ("c", LR)], "not empty"),
        ([LR, LR], "list of \\(name, estimator\\) pairs"),
        ([("lr", LR), ("ridge", Ridge())], "'ridge' is a regressor"),
    ],
)
def test_bad_models_are_named(data, estimators, message):
    with pytest.raises(ValueError, match=message):
        compare_classifiers(estimators, *data)


@pytest.mark.parametrize("model", [LogisticRegression, object(), "lr", None])
def test_models_are_instances_with_fit(data, model):
    with pytest.raises(TypeError, match="instances with a method fit"):
        compare_classifiers([("lr", LR), ("x", model)], *data)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reference": "forest"}, "'best' or one of"),
        ({"scoring": "acuracy"}, "scoring"),
        ({"cv": 1}, "n_splits"),
        ({"cv": ShuffleSplit(1)}, "at least 2 folds, found 1"),
        ({"error_score": "ignore"}, "error_score"),
        ({"complexity": "size"}, "complexity"),
        ({"groups": np.arange(3)}, "[Ii]nconsistent"),
        ({"sample_weight": np.ones(3)}, "sample_weight"),
        (
            {"sample_weight": np.ones(120), "params": {"sample_weight": np.ones(120)}},
            "sample_weight must be given once",
        ),
        ({"scoring": lambda model, X, y: "good"}, "scoring .*number, got 'good'"),
        ({"complexity": lambda model: None}, "complexity .*number, got None"),
    ],
)
def test_bad_arguments_are_named(data, arguments, message):
    with pytest.raises(ValueError, match=message):
        compare_classifiers(small_models(), *data, **arguments)


def test_one_class_and_unequal_lengths_are_refused(data):
    X, y = data
    with pytest.raises(ValueError, match="at least 2 classes, found 1 class: 'a'"):
        compare_classifiers(small_models(), X, np.full(len(X), "a"))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        compare_classifiers(small_models(), X, y[:-1])
    with pytest.raises(ValueError, match="Unknown label type"):
        compare_classifiers(small_models(), X, X[:, 0])


# -- kinds of data ---------------------------------------------------------------------


def test_frames_strings_and_gaps_go_to_the_models_as_they_are():
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    X = X.iloc[::3, :4].copy()
    y = y.iloc[::3].map({0: "malignant", 1: "benign"})
    X.iloc[::7, 0] = np.nan

    class Named(DecisionTreeClassifier):
        def fit(self, X, y):
            assert X.columns[0] == "mean radius"
            assert X.isna().to_numpy().any()
            return super().fit(X, y)

    models = [("a", Named(max_depth=1)), ("b", Named(max_depth=3))]
    found = compare_classifiers(models, X, y, cv=3)
    assert (found.scores_ > 0.7).all()
    assert np.isfinite(found.calibration()["brier_score"]).all()


def test_sparse_data(data):
    X, y = data
    models = [("lr", LogisticRegression()), ("svm", LinearSVC())]
    dense = compare_classifiers(models, X, y, cv=3)
    sparse = compare_classifiers(models, csr_array(X), y, cv=3)
    np.testing.assert_allclose(sparse.scores_, dense.scores_)


def test_precomputed_kernels_are_cut_on_both_sides(data):
    X, y = data
    kernel = X @ X.T
    models = [("a", SVC(kernel="precomputed")), ("b", SVC(kernel="precomputed", C=10))]
    found = compare_classifiers(models, kernel, y, cv=3)
    expected = cross_val_score(SVC(kernel="linear"), X, y, cv=3)
    np.testing.assert_array_equal(found.scores_[0], expected)


# -- what the method is for ------------------------------------------------------------


def test_selection_inside_the_pipeline_does_not_leak_and_outside_does():
    honest, leaked = [], []
    for seed in range(15):
        rng = np.random.default_rng(seed)
        X, y = rng.standard_normal((80, 300)), np.arange(80) % 2
        options = {"scoring": "roc_auc", "cv": 5, "random_state": seed}
        selected = make_pipeline(SelectKBest(k=10), LogisticRegression())
        inside = [("selected", selected), ("bayes", GaussianNB())]
        honest.append(compare_classifiers(inside, X, y, **options).scores_[0])
        chosen = SelectKBest(k=10).fit_transform(X, y)
        plain = [("a", LogisticRegression()), ("b", LogisticRegression(C=0.1))]
        leaked.append(compare_classifiers(plain, chosen, y, **options).scores_)
    assert np.mean(honest) == pytest.approx(0.5, abs=0.05)
    assert np.mean(leaked) > 0.7


def test_study_linear_model_is_within_noise_of_the_best_and_naive_test_overconfident():
    # "The Power Of Simplicity", on the Diagnostic set, fixed parameters.
    X, y = load_breast_cancer(return_X_y=True)
    models = {
        "logistic": make_pipeline(StandardScaler(), LogisticRegression()),
        "tree": DecisionTreeClassifier(random_state=0),
        "svm": make_pipeline(StandardScaler(), SVC()),
        "forest": RandomForestClassifier(50, random_state=0),
    }
    cv = RepeatedStratifiedKFold(n_splits=10, n_repeats=2, random_state=0)
    found = compare_classifiers(models, X, y, cv=cv, reference="logistic")
    mean = dict(zip(found.names_, found.scores_.mean(axis=1)))
    assert mean["logistic"] == pytest.approx(0.9766, abs=0.004)
    assert found.simplest() == "logistic"
    table = found.tests()
    # It beats the tree; it does not beat the support vector machine.
    assert table.loc["tree", "p_holm"] < 0.05
    assert table.loc["tree", "difference"] < -0.02
    assert table.loc["svm", "p_value"] > 0.2
    # The naive test would also let it beat the forest.
    logistic, forest = found.scores_[0], found.scores_[3]
    naive = corrected_resampled_ttest(logistic, forest, rho=0)
    assert naive.pvalue < 0.01
    assert table.loc["forest", "p_value"] > 0.05
