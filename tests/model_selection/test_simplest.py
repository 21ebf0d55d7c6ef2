import pickle
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn import config_context
from sklearn.base import BaseEstimator, clone, is_classifier, is_regressor
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.datasets import load_diabetes, load_iris, make_circles
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    RepeatedKFold,
    cross_val_score,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils import get_tags

from sklogit.model_selection import (
    SimplestModelSelector,
    compare_classifiers,
    n_parameters,
)

from .common import Failing, Recording, small_data, small_models


def selector(models=None, **params):
    return SimplestModelSelector(models or small_models(), **{"cv": 3, **params})


@pytest.fixture(scope="module")
def data():
    return small_data()


# -- the choice ------------------------------------------------------------------------


def test_choice_is_that_of_the_comparison(data):
    fitted = selector(random_state=0, rule="one_se").fit(*data)
    expected = compare_classifiers(
        small_models(), *data, cv=3, random_state=0, scoring=None
    )
    np.testing.assert_array_equal(fitted.comparison_.scores_, expected.scores_)
    assert fitted.selected_name_ == expected.simplest(rule="one_se")
    assert fitted.best_name_ == expected.best_name_
    assert fitted.selected_index_ == fitted.comparison_.names_.index(
        fitted.selected_name_
    )


def test_linear_data_give_the_linear_model_and_circles_do_not():
    models = [
        ("linear", LogisticRegression()),
        ("svm", make_pipeline(StandardScaler(), SVC())),
    ]
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 5))
    y = X @ [2, -1, 1, 0, 0] + rng.logistic(size=200) > 0
    assert selector(models, cv=10).fit(X, y).selected_name_ == "linear"
    circles = make_circles(200, noise=0.1, factor=0.5, random_state=0)
    assert selector(models, cv=10).fit(*circles).selected_name_ == "svm"


def test_rule_best_takes_the_best_and_the_order_of_the_list_decides_ties(data):
    twins = [("second", GaussianNB()), ("first", GaussianNB())]
    assert selector(twins, rule="best").fit(*data).selected_name_ == "second"
    wide = selector(rule="noninferior", margin=1.0).fit(*data)
    assert wide.selected_index_ == 0


def test_complexity_replaces_the_order_of_the_list(data):
    # Named from large to small: the count of parameters turns the list round.
    models = [
        ("deep", DecisionTreeClassifier(max_depth=8, random_state=0)),
        ("stump", DecisionTreeClassifier(max_depth=1, random_state=0)),
    ]
    tolerant = {"rule": "noninferior", "margin": 1.0}
    assert selector(models, **tolerant).fit(*data).selected_name_ == "deep"
    counted = selector(models, complexity=n_parameters, **tolerant).fit(*data)
    assert counted.selected_name_ == "stump"
    assert counted.comparison_.complexity_[1] == 3


def test_default_folds_are_repeated(data):
    fitted = SimplestModelSelector(small_models(), random_state=0).fit(*data)
    assert fitted.comparison_.scores_.shape == (2, 30)


# -- an estimator like any other -------------------------------------------------------


def test_predictions_are_those_of_the_chosen_model_fitted_to_all_data(data):
    X, y = data
    fitted = selector().fit(X, y)
    plain = clone(dict(small_models())[fitted.selected_name_]).fit(X, y)
    np.testing.assert_array_equal(fitted.predict(X), plain.predict(X))
    np.testing.assert_array_equal(fitted.predict_proba(X), plain.predict_proba(X))
    assert fitted.score(X, y) == plain.score(X, y)
    assert fitted.n_features_in_ == 6
    assert fitted.refit_time_ > 0


def test_methods_are_those_of_the_chosen_model(data):
    models = [("svm", LinearSVC()), ("nb", GaussianNB())]
    unfitted = selector(models)
    # Which model will be chosen is not known yet: only what all can.
    assert not hasattr(unfitted, "predict_proba")
    assert not hasattr(unfitted, "decision_function")
    assert hasattr(unfitted, "predict")
    assert not hasattr(unfitted, "transform")
    chosen = selector(models, rule="noninferior", margin=1.0).fit(*data)
    assert hasattr(chosen, "decision_function")
    assert not hasattr(chosen, "predict_proba")


def test_transform_is_delegated(data):
    models = [("a", LinearDiscriminantAnalysis()), ("b", LinearDiscriminantAnalysis())]
    assert selector(models).fit(*data).transform(data[0]).shape == (120, 1)


def test_without_refit_there_is_a_name_and_nothing_to_predict_with(data):
    fitted = selector(refit=False).fit(*data)
    assert fitted.selected_name_ in ("lr", "dt")
    assert not hasattr(fitted, "predict")
    with pytest.raises(AttributeError, match="score") as caught:
        fitted.score(*data)
    assert "refit=False" in str(caught.value.__cause__)


def test_not_fitted_says_so(data):
    for method in (selector().predict, selector().predict_proba):
        with pytest.raises(NotFittedError):
            method(data[0])
    with pytest.raises(NotFittedError):
        selector().score(*data)


def test_parameters_of_the_models_are_reached_by_their_names():
    model = selector([("lr", LogisticRegression()), ("svm", SVC())])
    model.set_params(svm__C=3, rule="best", lr=GaussianNB())
    assert dict(model.estimators)["svm"].C == 3
    assert isinstance(dict(model.estimators)["lr"], GaussianNB)
    assert model.get_params()["svm__C"] == 3
    assert "svm" not in model.get_params(deep=False)


def test_search_over_the_selector_with_two_jobs(data):
    grid = {"rule": ["best", "one_se"], "dt__max_depth": [1, 3]}
    search = GridSearchCV(selector(), grid, cv=2, n_jobs=2).fit(*data)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_estimator_.selected_name_ in ("lr", "dt")


def test_pickle_and_clone(data):
    fitted = selector().fit(*data)
    copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copy.predict(data[0]), fitted.predict(data[0]))
    assert not hasattr(clone(fitted), "estimator_")


def test_tags_follow_the_models(data):
    assert is_classifier(selector())
    assert get_tags(selector()).input_tags.sparse is False  # the pipeline of lr
    both = selector([("a", LogisticRegression()), ("b", LinearSVC())])
    assert get_tags(both).input_tags.sparse
    dense = both.fit(*data).comparison_.scores_
    sparse = both.fit(csr_array(data[0]), data[1]).comparison_.scores_
    np.testing.assert_allclose(dense, sparse)
    gaps = selector([("a", DecisionTreeClassifier()), ("b", DecisionTreeClassifier())])
    assert get_tags(gaps).input_tags.allow_nan
    mixed = selector([("a", DecisionTreeClassifier()), ("b", LogisticRegression())])
    assert not get_tags(mixed).input_tags.allow_nan


def test_gaps_go_to_models_that_take_them(data):
    X, y = data[0].copy(), data[1]
    X[::5, 0] = np.nan
    models = [(f"d{d}", DecisionTreeClassifier(max_depth=d)) for d in (1, 4)]
    assert selector(models).fit(X, y).predict(X).shape == y.shape
    with pytest.raises(ValueError, match="NaN"):
        selector().fit(X, y)


def test_frames_and_strings():
    X, y = load_iris(return_X_y=True, as_frame=True)
    names = y.map({0: "setosa", 1: "versicolor", 2: "virginica"})
    fitted = selector(random_state=0).fit(X, names)
    assert list(fitted.feature_names_in_) == list(X.columns)
    assert list(fitted.classes_) == ["setosa", "versicolor", "virginica"]
    assert set(fitted.predict(X)) <= set(names)
    with pytest.raises(ValueError, match="feature names"):
        fitted.predict(X.rename(columns=str.upper))


def test_regressors():
    X, y = load_diabetes(return_X_y=True)
    models = [
        ("ols", LinearRegression()),
        ("ridge", Ridge()),
        ("tree", DecisionTreeRegressor(max_depth=4, random_state=0)),
    ]
    model = SimplestModelSelector(models, random_state=0)
    assert is_regressor(model)
    fitted = model.fit(X, y)
    assert fitted.selected_name_ == "ols"
    assert not hasattr(fitted, "classes_")
    cv = RepeatedKFold(n_splits=10, n_repeats=3, random_state=0)
    np.testing.assert_allclose(
        fitted.comparison_.scores_[0], cross_val_score(LinearRegression(), X, y, cv=cv)
    )
    two = np.column_stack([y, -y])
    assert selector(models[:2]).fit(X, two).predict(X).shape == two.shape


def test_scoring_is_used_by_fit_and_score(data):
    X, y = data
    fitted = selector(scoring="roc_auc").fit(X, y)
    from sklearn.metrics import roc_auc_score

    expected = roc_auc_score(y, fitted.predict_proba(X)[:, 1])
    assert fitted.score(X, y) == pytest.approx(expected)
    np.testing.assert_allclose(
        fitted.comparison_.scores_[1],
        cross_val_score(small_models()[1][1], X, y, cv=3, scoring="roc_auc"),
    )


# -- metadata --------------------------------------------------------------------------


def test_weights_and_groups_reach_refit_splitter_and_score(data):
    X, y = data
    weight = np.random.default_rng(0).uniform(0.1, 2, len(y))
    groups = np.arange(len(y)) // 10
    models = [("a", Recording()), ("b", Recording())]
    fitted = selector(models, cv=GroupKFold(3))
    fitted.fit(X, y, sample_weight=weight, groups=groups)
    np.testing.assert_array_equal(fitted.estimator_.seen_["sample_weight"], weight)
    _, test = next(GroupKFold(3).split(X, y, groups))
    assert fitted.comparison_.scores_[0, 0] == pytest.approx(
        np.average(y[test] == 0, weights=weight[test])
    )
    assert fitted.score(X, y, sample_weight=weight) == pytest.approx(
        np.average(y == 0, weights=weight)
    )


def test_metadata_routing_through_a_search(data):
    X, y = data
    weight = np.random.default_rng(0).uniform(0.1, 2, len(y))
    groups = np.arange(len(y)) // 10
    with config_context(enable_metadata_routing=True):
        models = [
            ("a", Recording().set_fit_request(sample_weight=True, extra=True)),
            ("b", Recording().set_fit_request(sample_weight=False, extra=False)),
        ]
        scorer = make_scorer(accuracy_score).set_score_request(sample_weight=True)
        model = selector(models, cv=GroupKFold(3), scoring=scorer)
        model.fit(X, y, sample_weight=weight, groups=groups, extra=np.arange(len(y)))
        np.testing.assert_array_equal(model.estimator_.seen_["sample_weight"], weight)
        expected = np.average(model.predict(X) == y, weights=weight)
        assert model.score(X, y, sample_weight=weight) == pytest.approx(expected)
        search = GridSearchCV(model, {"rule": ["best"]}, cv=GroupKFold(2))
        search.fit(X, y, sample_weight=weight, groups=groups, extra=np.arange(len(y)))
        seen = search.best_estimator_.estimator_.seen_
        np.testing.assert_array_equal(seen["extra"], np.arange(len(y)))


# -- callbacks -------------------------------------------------------------------------


class Counting:
    """Notes the tasks that begin and end."""

    def __init__(self):
        self.events = []

    def setup(self, estimator, context):
        self.events.append(("setup", context.task_name))

    def on_fit_task_begin(self, estimator, context, **kwargs):
        self.events.append(("begin", context.task_name))

    def on_fit_task_end(self, estimator, context, **kwargs):
        self.events.append(("end", context.task_name))

    def teardown(self, estimator, context):
        self.events.append(("teardown", context.task_name))


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_callbacks_follow_models_and_folds(data, n_jobs):
    callback = Counting()
    selector(n_jobs=n_jobs).set_callbacks(callback).fit(*data)
    done = [name for event, name in callback.events if event == "end"]
    fits = [f"{model}, fold {fold}" for fold in range(3) for model in ("lr", "dt")]
    assert done[:6] == fits
    assert done[6:8] == ["compare", "refit-of-the-simplest"]
    begun = [name for event, name in callback.events if event == "begin"]
    assert sorted(begun) == sorted(done)


def test_progress_bar_and_monitor(data, capsys):
    pytest.importorskip("rich")
    monitor = ScoringMonitor(scoring="accuracy")
    selector().set_callbacks(ProgressBar(), monitor).fit(*data)
    assert "100%" in capsys.readouterr().out


# -- failures --------------------------------------------------------------------------


def test_a_failing_model_can_be_left_out_but_not_chosen(data):
    X, y = data[0].copy(), data[1]
    X[0, 0] = 0.0
    models = [("bad", Failing()), *small_models()]
    with pytest.raises(RuntimeError, match="no luck"):
        selector(models, rule="noninferior", margin=1.0).fit(X, y)
    tolerant = selector(models, rule="noninferior", margin=1.0, error_score=np.nan)
    with pytest.warns(FitFailedWarning):
        assert tolerant.fit(X, y).selected_name_ == "lr"


class Interrupted(BaseEstimator):
    """Ctrl-C in fit where told so."""

    def __init__(self, now=False):
        self.now = now

    def __sklearn_tags__(self):
        return get_tags(LogisticRegression())

    def fit(self, X, y):
        if self.now:
            raise KeyboardInterrupt
        self.model_ = GaussianNB().fit(X, y)
        self.classes_ = self.model_.classes_
        return self

    def predict(self, X):
        return self.model_.predict(X)

    def score(self, X, y):
        return self.model_.score(X, y)


def test_interrupt_leaves_the_earlier_fit(data):
    X, y = data
    model = selector([("a", Interrupted()), ("b", GaussianNB())]).fit(X, y)
    before, state = model.predict(X), dict(model.__dict__)
    model.set_params(a__now=True)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X[::2], y[::2])
    np.testing.assert_array_equal(model.predict(X), before)
    assert model.comparison_ is state["comparison_"]


def test_refit_to_other_data_leaves_no_trace(data):
    fitted = selector().fit(*data)
    fitted.set_params(refit=False).fit(data[0][:, :4], data[1])
    for attribute in ("estimator_", "n_features_in_", "refit_time_"):
        assert not hasattr(fitted, attribute)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"estimators": []}, ValueError, "at least 1 models, found 0"),
        ({"estimators": [("rule", GaussianNB())]}, ValueError, "conflict"),
        ({"estimators": [("a__b", GaussianNB())]}, ValueError, "__"),
        ({"estimators": [("a", GaussianNB())] * 2}, ValueError, "different names"),
        ({"estimators": {"a": GaussianNB()}}, ValueError, "estimators"),
        ({"estimators": [("a", GaussianNB)]}, TypeError, "instances"),
        ({"estimators": [("a", GaussianNB()), ("b", Ridge())]}, ValueError, "one kind"),
        ({"rule": "two_se"}, ValueError, "rule"),
        ({"margin": -0.1}, ValueError, "margin"),
        ({"complexity": "size"}, ValueError, "complexity"),
        ({"cv": 1}, ValueError, "n_splits"),
        ({"scoring": "acuracy"}, ValueError, "scoring"),
    ],
)
def test_bad_parameters_are_named_before_anything_is_fitted(
    data, params, error, message
):
    with pytest.raises(error, match=message):
        selector().set_params(**params).fit(*data)


def test_bad_targets(data):
    X, y = data
    with pytest.raises(ValueError, match="at least 2 classes, found 1 class: 'a'"):
        selector().fit(X, np.full(len(X), "a"))
    rare = np.where(np.arange(len(y)) < 2, 2, y)
    with pytest.warns(UserWarning, match="least populated class"):
        selector().fit(X, rare)
    with pytest.raises(ValueError, match="n_splits=70 greater"):
        selector(cv=70).fit(X[:60], y[:60])


def test_one_model_alone_is_allowed(data):
    only = selector([("nb", GaussianNB())]).fit(*data)
    assert only.selected_name_ == only.best_name_ == "nb"


def test_fit_needs_neither_pandas_nor_matplotlib():
    code = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("pandas", "matplotlib"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
from sklearn.datasets import load_iris
from sklearn.naive_bayes import GaussianNB
from sklogit.model_selection import SimplestModelSelector
models = [("a", GaussianNB()), ("b", GaussianNB(var_smoothing=0.1))]
fitted = SimplestModelSelector(models, cv=3).fit(*load_iris(return_X_y=True))
print(fitted.selected_name_)
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "a"


def test_partial_of_a_complexity_function_works_with_jobs(data):
    count = partial(n_parameters)
    fitted = selector(complexity=count, n_jobs=2).fit(*data)
    assert fitted.comparison_.complexity_[0] == 7
