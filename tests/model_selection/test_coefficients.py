import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import RFE, SelectKBest, VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    Lasso,
    LogisticRegression,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC, LinearSVC

from sklogit.model_selection import (
    SimplestModelSelector,
    coefficient_report,
    compare_classifiers,
)

from .common import small_data

LR = LogisticRegression(max_iter=1000)


@pytest.fixture(scope="module")
def data():
    X, y = load_breast_cancer(return_X_y=True)
    return X[:, :8], y


def parts(report, column="raw_coef"):
    """Coefficients of shape (n_outputs, n_features), and intercepts."""
    if isinstance(report.index, pd.MultiIndex):
        table = report[column].unstack("feature")
        order = report.index.get_level_values("feature").unique()
        values = table[order].to_numpy()
    else:
        values = report[column].to_numpy()[np.newaxis]
    return values[:, 1:], values[:, 0]


def assert_raw_units(report, pipeline, X, method="decision_function", atol=1e-10):
    coef, intercept = parts(report)
    X = X.toarray() if hasattr(X, "toarray") else np.asarray(X)
    scores = X @ coef.T + intercept
    expected = getattr(pipeline, method)(X)
    scale = np.abs(X) @ np.abs(coef.T) + np.abs(intercept)
    difference = np.abs(scores.reshape(expected.shape) - expected)
    assert (difference <= atol * scale.reshape(expected.shape).clip(1)).all()


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [StandardScaler()],
        [StandardScaler(with_mean=False)],
        [StandardScaler(with_std=False)],
        [MinMaxScaler((-1, 3))],
        [MaxAbsScaler()],
        [RobustScaler()],
        [RobustScaler(with_centering=False, with_scaling=False)],
        [SelectKBest(k=3)],
        [StandardScaler(), SelectKBest(k=3), MinMaxScaler()],
        [SimpleImputer(), StandardScaler()],
        [StandardScaler(), PCA(3)],
        [PCA(3, whiten=True), StandardScaler()],
        [TruncatedSVD(3)],
        ["passthrough", Pipeline([("a", StandardScaler()), ("b", RobustScaler())])],
        [StandardScaler(), RFE(LR, n_features_to_select=3)],
    ],
    ids=lambda steps: "-".join(str(s).partition("(")[0] for s in steps) or "none",
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_raw_coefficients_give_the_decision_function(data, steps):
    X, y = data
    pipeline = make_pipeline(*steps, LR).fit(X, y)
    report = coefficient_report(pipeline)
    assert_raw_units(report, pipeline, X)
    assert list(report.index) == ["(intercept)", *(f"x{j}" for j in range(8))]


def test_standardized_coefficients_are_those_of_the_scaled_features(data):
    X, y = data
    pipeline = make_pipeline(StandardScaler(), LR).fit(X, y)
    coef, intercept = parts(coefficient_report(pipeline), "standardized_coef")
    np.testing.assert_allclose(coef, pipeline[-1].coef_)
    np.testing.assert_allclose(intercept, pipeline[-1].intercept_)


def test_standard_deviations_pass_through_scalers_and_selections_before(data):
    X, y = data
    steps = MinMaxScaler((-1, 3)), SelectKBest(k=8), RobustScaler(), StandardScaler()
    pipeline = make_pipeline(*steps, LR).fit(X, y)
    report = coefficient_report(pipeline)
    measured = coefficient_report(pipeline, X=X)
    pd.testing.assert_frame_equal(report, measured, rtol=1e-8)


@pytest.mark.parametrize("steps", [[], [MinMaxScaler()], [StandardScaler(), PCA(3)]])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_standard_deviations_can_be_taken_from_data(data, steps):
    X, y = data
    pipeline = make_pipeline(*steps, LR).fit(X, y)
    report = coefficient_report(pipeline, X=X)
    coef, intercept = parts(report, "standardized_coef")
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    np.testing.assert_allclose(
        (Z @ coef.T + intercept).ravel(), pipeline.decision_function(X), rtol=1e-8
    )
    sparse = coefficient_report(pipeline, X=csr_array(X))
    pd.testing.assert_frame_equal(report, sparse, rtol=1e-6)


def test_without_a_measure_of_spread_they_are_nan(data):
    report = coefficient_report(make_pipeline(MinMaxScaler(), LR).fit(*data))
    assert report["standardized_coef"].isna().all()
    assert report["raw_coef"].notna().all()


def test_dropped_features_have_zero_in_all_units(data):
    X, y = data
    pipeline = make_pipeline(StandardScaler(), SelectKBest(k=3), LR).fit(X, y)
    report = coefficient_report(pipeline)
    dropped = np.flatnonzero(~pipeline[1].get_support()) + 1
    assert (report.iloc[dropped][["raw_coef", "standardized_coef"]] == 0).all(axis=None)
    first = make_pipeline(SelectKBest(k=3), StandardScaler(), LR).fit(X, y)
    assert coefficient_report(first)["standardized_coef"].notna().all()


def test_constant_and_sparse_columns_divide_by_nothing():
    X, y = small_data()
    X[:, 1] = 7.0
    X[np.abs(X) < 0.5] = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dense = make_pipeline(StandardScaler(), LR).fit(X, y)
        report = coefficient_report(dense)
        assert np.isfinite(report.to_numpy()).all()
        assert_raw_units(report, dense, X)
        scaled = make_pipeline(StandardScaler(with_mean=False), LR).fit(csr_array(X), y)
        report = coefficient_report(scaled)
        assert np.isfinite(report["raw_coef"]).all()
        assert_raw_units(report, scaled, csr_array(X))
        clean = make_pipeline(VarianceThreshold(), StandardScaler(), LR).fit(X, y)
        assert_raw_units(coefficient_report(clean), clean, X)


def test_sparse_coefficients(data):
    X, y = data
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.1)).fit(X, y)
    expected = coefficient_report(pipeline)
    pipeline[-1].sparsify()
    pd.testing.assert_frame_equal(coefficient_report(pipeline), expected)


def test_more_classes_have_a_row_for_each_class_and_feature():
    X, y = load_iris(return_X_y=True, as_frame=True)
    labels = y.map({0: "setosa", 1: "versicolor", 2: "virginica"})
    pipeline = make_pipeline(StandardScaler(), LR).fit(X, labels)
    report = coefficient_report(pipeline)
    assert report.index.names == ["class", "feature"]
    assert list(report.loc["setosa"].index) == ["(intercept)", *X.columns]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert_raw_units(report, pipeline, X)


def test_regression_has_no_odds_and_several_outputs():
    X, y = load_diabetes(return_X_y=True)
    one = make_pipeline(StandardScaler(), Lasso()).fit(X, y)
    report = coefficient_report(one)
    assert list(report.columns) == ["standardized_coef", "raw_coef"]
    assert_raw_units(report, one, X, "predict")
    two = make_pipeline(MinMaxScaler(), Ridge()).fit(X, np.column_stack([y, -y]))
    report = coefficient_report(two)
    assert report.index.names == ["output", "feature"]
    assert_raw_units(report, two, X, "predict")


@pytest.mark.parametrize(
    ("model", "logistic"),
    [
        (LR, True),
        (LinearDiscriminantAnalysis(), True),
        (SGDClassifier(loss="log_loss", random_state=0), True),
        (SGDClassifier(loss="modified_huber", random_state=0), False),
        (LinearSVC(), False),
        (RidgeClassifier(), False),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_odds_ratios_only_where_scores_are_logits(model, logistic, n_classes):
    X, y = small_data(n_classes)
    pipeline = make_pipeline(StandardScaler(), model).fit(X, y)
    report = coefficient_report(pipeline)
    assert ("odds_ratio" in report) == logistic
    if logistic:
        np.testing.assert_allclose(report["odds_ratio"], np.exp(report["raw_coef"]))


def test_odds_ratio_is_what_one_unit_does_to_the_odds(data):
    X, y = data
    pipeline = make_pipeline(StandardScaler(), LR).fit(X, y)
    moved = X.copy()
    moved[:, 2] += 0.5
    odds = [p[:, 1] / p[:, 0] for p in map(pipeline.predict_proba, (X, moved))]
    ratio = coefficient_report(pipeline)["odds_ratio"].iloc[3]
    keep = (odds[0] > 1e-6) & (odds[0] < 1e6)
    np.testing.assert_allclose((odds[1] / odds[0])[keep], ratio**0.5, rtol=1e-6)


# -- steps that are not affine ---------------------------------------------------------


def test_features_are_those_after_the_last_step_that_is_not_affine(data):
    X, y = data
    pipeline = make_pipeline(
        StandardScaler(),
        PolynomialFeatures(2, include_bias=False),
        StandardScaler(),
        LR,
    ).fit(X, y)
    report = coefficient_report(pipeline)
    assert report.index[9] == "x0^2"
    coef, intercept = parts(report)
    features = pipeline[:2].transform(X)
    np.testing.assert_allclose(
        (features @ coef.T + intercept).ravel(), pipeline.decision_function(X)
    )


def test_scaled_blocks_of_a_column_transformer_are_in_raw_units():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": rng.uniform(20, 80, 200),
            "dose": rng.uniform(0, 1, 200),
            "ward": rng.choice(["a", "b", "c"], 200),
            "rest": rng.standard_normal(200),
        }
    )
    y = frame["age"] / 30 + (frame["ward"] == "b") + rng.standard_normal(200) > 2
    columns = ColumnTransformer(
        [
            ("num", make_pipeline(SimpleImputer(), StandardScaler()), ["age"]),
            ("unit", MinMaxScaler(), ["dose"]),
            ("cat", OneHotEncoder(), ["ward"]),
            ("nothing", "drop", ["rest"]),
        ],
        remainder="passthrough",
    )
    pipeline = make_pipeline(columns, LR).fit(frame, y)
    report = coefficient_report(pipeline)
    names = ["num__age", "unit__dose", "cat__ward_a", "cat__ward_b", "cat__ward_c"]
    assert list(report.index) == ["(intercept)", *names]
    raw = np.column_stack(
        [frame["age"], frame["dose"], *(frame["ward"] == w for w in "abc")]
    )
    coef, intercept = parts(report)
    np.testing.assert_allclose(
        (raw @ coef.T + intercept).ravel(), pipeline.decision_function(frame)
    )
    scale = frame["age"].std(ddof=0)
    assert report.loc["num__age", "standardized_coef"] == pytest.approx(
        report.loc["num__age", "raw_coef"] * scale
    )
    # Data tell the spread of the encoded columns, but not of what was rescaled.
    measured = coefficient_report(pipeline, X=frame)["standardized_coef"]
    assert measured["cat__ward_b"] == pytest.approx(
        report.loc["cat__ward_b", "raw_coef"] * raw[:, 3].std()
    )
    assert np.isnan(measured["unit__dose"])


def test_column_transformer_with_passthrough_and_slices(data):
    X, y = data
    columns = make_column_transformer(
        (RobustScaler(), [3, 1]), ("passthrough", [0]), (FunctionTransformer(), [2])
    )
    pipeline = make_pipeline(columns, LR).fit(X, y)
    coef, intercept = parts(coefficient_report(pipeline))
    np.testing.assert_allclose(
        (X[:, [3, 1, 0, 2]] @ coef.T + intercept).ravel(),
        pipeline.decision_function(X),
    )


# -- names, folds, choices -------------------------------------------------------------


def test_names_are_those_of_the_frame_or_given(data):
    X, y = data
    frame = pd.DataFrame(X, columns=list("abcdefgh"))
    for model in (LR, make_pipeline(StandardScaler(), LR)):
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            report = coefficient_report(model.fit(frame, y))
        assert list(report.index[1:]) == list("abcdefgh")
        given = coefficient_report(model, feature_names=list("ABCDEFGH"))
        assert list(given.index[1:]) == list("ABCDEFGH")
    with pytest.raises(ValueError, match="name 8 features, found 2"):
        coefficient_report(model, ["a", "b"])


def test_searches_and_selectors_report_what_they_chose(data):
    pipeline = make_pipeline(StandardScaler(), LR)
    search = GridSearchCV(pipeline, {"logisticregression__C": [0.1, 1]}, cv=3)
    expected = coefficient_report(search.fit(*data).best_estimator_)
    pd.testing.assert_frame_equal(coefficient_report(search), expected)
    inner = make_pipeline(StandardScaler(), GridSearchCV(LR, {"C": [0.1, 1]}, cv=3))
    assert_raw_units(coefficient_report(inner.fit(*data)), inner, data[0])
    selector = SimplestModelSelector([("a", pipeline)], cv=3).fit(*data)
    expected = coefficient_report(pipeline.fit(*data))
    pd.testing.assert_frame_equal(coefficient_report(selector), expected)


def test_stability_over_folds(data):
    models = [("a", make_pipeline(StandardScaler(), LR)), ("b", LR)]
    found = compare_classifiers(models, *data, cv=5, return_estimator=True)
    folds = found.estimators_[0]
    report = coefficient_report(models[0][1].fit(*data), cv_estimators=folds)
    coef = np.array([fold[-1].coef_[0] for fold in folds])
    np.testing.assert_allclose(report["cv_mean"][1:], coef.mean(axis=0))
    np.testing.assert_allclose(report["cv_std"][1:], coef.std(axis=0, ddof=1))
    sign = np.sign(report["standardized_coef"].to_numpy()[1:])
    np.testing.assert_allclose(
        report["sign_agreement"][1:], (np.sign(coef) == sign).mean(axis=0)
    )
    raw = coefficient_report(LR.fit(*data), cv_estimators=found.estimators_[1])
    coef = np.array([fold.coef_[0] for fold in found.estimators_[1]])
    np.testing.assert_allclose(raw["cv_mean"][1:], coef.mean(axis=0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cv_estimators": []}, "at least 2 models, found 0"),
        ({"X": np.ones((5, 3))}, "X must have 8 features, found 3"),
    ],
)
def test_bad_arguments_are_named(data, arguments, message):
    with pytest.raises(ValueError, match=message):
        coefficient_report(clone(LR).fit(*data), **arguments)


def test_folds_of_another_model_are_refused(data):
    X, y = data
    other = clone(LR).fit(X[:, :3], y)
    with pytest.raises(ValueError, match=r"\(1, 9\).*found \(1, 4\)"):
        coefficient_report(clone(LR).fit(X, y), cv_estimators=[other] * 2)


def test_models_without_coefficients_a_class_are_refused():
    X, y = load_iris(return_X_y=True)
    for model in (RandomForestClassifier(2), SVC()):
        with pytest.raises(TypeError, match="linear model with coef_"):
            coefficient_report(make_pipeline(StandardScaler(), model).fit(X, y))
    with pytest.raises(TypeError, match="linear model with coef_"):
        coefficient_report(LogisticRegression())
    with pytest.raises(ValueError, match="pairs of classes"):
        coefficient_report(SVC(kernel="linear").fit(X, y))
    two = SVC(kernel="linear").fit(X[:100], y[:100])
    assert_raw_units(coefficient_report(two), two, X)


def test_without_pandas_it_says_how_to_install_it(monkeypatch, data):
    model = clone(LR).fit(*data)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"coefficient_report.*needs pandas"):
        coefficient_report(model)
