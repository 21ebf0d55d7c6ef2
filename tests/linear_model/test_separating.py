"""How the separating classifiers behave as estimators of scikit-learn."""

import pickle

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklogit.linear_model import (
    BatchPerceptron,
    NormalizedLogisticRegression,
    _separating,
    linear_separability,
    normalized_gd_path,
)
from sklogit.linear_model._separation import Problem

from .common import clusters, noise, separable, worst_case

NLR = NormalizedLogisticRegression
QUIET = {"on_nonseparable": "ignore"}
each_class = pytest.mark.parametrize("cls", [NLR, BatchPerceptron])


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# -- scikit-learn's checks of other parameters than the defaults -----------------------

_CLASS_WEIGHT = {
    "check_class_weight_classifiers": (
        "normalised steps do not shrink with the weight of the wrong class: slightly "
        "fewer rows get the heavy class than the check asks for"
    )
}
EXPECTED_FAILED = {("NormalizedLogisticRegression", "diag"): _CLASS_WEIGHT}


def expected_failed_checks(estimator):
    return EXPECTED_FAILED.get((type(estimator).__name__, estimator.preconditioner), {})


@parametrize_with_checks(
    [
        NLR(max_iter=200, multi_class="ovr"),
        NLR(max_iter=200, preconditioner="diag"),
        NLR(max_iter=200, acceleration="dual_momentum"),
        NLR(max_iter=200, normalize=False),
        BatchPerceptron(max_iter=200, normalize=False),
    ],
    expected_failed_checks=expected_failed_checks,
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# -- refused parameters and data -------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("step_size", 0.0),
        ("step_size", -1.0),
        ("step_size", np.inf),
        ("step_size", np.nan),
        ("step_scaling", "other"),
        ("acceleration", "nesterov"),
        ("normalize", "yes"),
        ("stopping", "loss"),
        ("margin_tol", 0.0),
        ("margin_tol", 1.0),
        ("separability_tol", -1e-3),
        ("multi_class", "ovo"),
        ("preconditioner", "cholesky"),
        ("intercept_scaling", 0.0),
        ("intercept_scaling", -1.0),
        ("intercept_scaling", np.inf),
        ("class_weight", "heavy"),
        ("max_iter", 0),
        ("max_iter", 1.5),
        ("keep", "first"),
        ("on_nonseparable", "error"),
    ],
)
def test_parameter_out_of_range_is_refused(rng, name, value):
    with pytest.raises(ValueError, match=f"'{name}' parameter"):
        NLR(**{name: value}).fit(*separable(rng))


def test_acceleration_needs_normalised_steps(rng):
    clf = NLR(acceleration="dual_momentum", normalize=False)
    with pytest.raises(ValueError, match=r"normalize must be True, got False"):
        clf.fit(*separable(rng))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("container", [np.asarray, csr_array])
@each_class
def test_values_that_are_not_finite_are_refused(rng, cls, container, value):
    X, y = separable(rng)
    X[3, 1] = value
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        cls().fit(container(X), y)


@pytest.mark.parametrize(
    ("weight", "match"),
    [
        (-1.0, "[Nn]egative"),
        (np.nan, "NaN"),
        (np.inf, "infinity"),
    ],
)
@each_class
def test_bad_sample_weight_is_refused(rng, cls, weight, match):
    X, y = separable(rng)
    weights = np.ones(len(y))
    weights[4] = weight
    with pytest.raises(ValueError, match=match):
        cls().fit(X, y, weights)


@each_class
def test_weights_that_are_all_zero_are_refused(rng, cls):
    X, y = separable(rng)
    with pytest.raises(ValueError, match=r"weight"):
        cls().fit(X, y, np.zeros(len(y)))
    with pytest.raises(ValueError, match=r"class_weight leave no row"):
        cls(class_weight={0: 0.0, 1: 0.0}).fit(X, y)
    with pytest.raises(ValueError, match=r"class_weight leave no row"):
        cls(class_weight={0: 0.0}).fit(X, y, y == 0)


@pytest.mark.parametrize("weight", [-1.0, np.nan])
def test_bad_class_weight_is_refused(rng, weight):
    with pytest.raises(ValueError, match=r"class_weight must not be negative or NaN"):
        NLR(class_weight={0: weight}).fit(*separable(rng))


@each_class
def test_one_class_is_refused(rng, cls):
    X, _ = separable(rng)
    with pytest.raises(ValueError, match=rf"{cls.__name__}.*only one class.*7"):
        cls().fit(X, np.full(len(X), 7))


def test_continuous_targets_are_refused(rng):
    X, _ = separable(rng)
    with pytest.raises(ValueError, match=r"[Uu]nknown label type"):
        NLR().fit(X, rng.standard_normal(len(X)))


# -- warm start ------------------------------------------------------------------------


@pytest.mark.parametrize("data", [separable, clusters])
@pytest.mark.parametrize("multi_class", ["multinomial", "ovr"])
@each_class
def test_warm_start_needs_no_further_step(rng, cls, multi_class, data):
    X, y = data(rng)
    clf = cls(warm_start=True, multi_class=multi_class).fit(X, y)
    before = clf.coef_.copy()
    assert clf.fit(X, y).n_iter_ == 0
    assert clf.separable_ is True
    np.testing.assert_array_equal(clf.coef_, before)


def test_warm_start_goes_on_where_the_last_fit_ended(rng):
    X, y = noise(rng)
    params = {"stopping": "max_iter", "keep": "last", **QUIET}
    clf = NLR(warm_start=True, max_iter=3, **params).fit(X, y)
    clf.sparsify()
    clf.fit(X, y)
    expected = NLR(max_iter=6, **params).fit(X, y)
    np.testing.assert_allclose(clf.coef_, expected.coef_, rtol=1e-9)
    np.testing.assert_allclose(clf.intercept_, expected.intercept_, rtol=1e-9)


def test_warm_start_with_other_classes_or_shape_is_refused(rng):
    X, y = separable(rng)
    clf = NLR(warm_start=True).fit(X, y)
    before = pickle.dumps(clf.__dict__)
    with pytest.raises(ValueError, match=r"warm_start.*same classes.*\[1 2\].*\[0 1\]"):
        clf.fit(X, y + 1)
    with pytest.raises(ValueError, match=r"warm_start.*\(1, 4\).*\(1, 3\)"):
        clf.fit(X[:, :3], y)
    assert pickle.dumps(clf.__dict__) == before


# -- partial_fit -----------------------------------------------------------------------


@pytest.mark.parametrize("data", [noise, clusters])
@pytest.mark.parametrize(
    "clf",
    [NLR(), NLR(normalize=False), NLR(multi_class="ovr"), BatchPerceptron()],
    ids=["normalized", "plain", "ovr", "perceptron"],
)
@pytest.mark.parametrize("container", [np.asarray, csr_array])
def test_partial_fit_takes_one_step_of_fit(rng, clf, data, container):
    X, y = data(rng)
    chunks = clone(clf)
    for t in range(1, 4):
        chunks.partial_fit(container(X), y, classes=np.unique(y))
        full = clone(clf).set_params(
            max_iter=t, stopping="max_iter", keep="last", **QUIET
        )
        full.fit(X, y)
        if full.separable_:
            break  # it keeps the best iterate then
        assert chunks.n_iter_ == t
        np.testing.assert_allclose(chunks.coef_, full.coef_, rtol=1e-8)
        np.testing.assert_allclose(chunks.intercept_, full.intercept_, rtol=1e-8)


def test_partial_fit_takes_chunks_with_some_of_the_classes(rng):
    X, y = clusters(rng, n=90)
    clf = NLR()
    for _ in range(5):
        for k in (0, 2, 1):
            rows = y == k
            clf.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
    assert clf.coef_.shape == (3, 4)
    assert np.isfinite(clf.predict_proba(X)).all()
    clf.partial_fit(X, y).partial_fit(X, y)
    assert clf.score(X, y) > 0.9


def test_partial_fit_claims_nothing_about_all_data(rng):
    clf = NLR().partial_fit(*separable(rng), classes=[0, 1])
    assert clf.separable_ is None
    assert not clf.converged_
    assert clf.margin_upper_bound_ == np.inf


def test_partial_fit_continues_a_fit(rng):
    X, y = noise(rng)
    params = {"max_iter": 3, "stopping": "max_iter", "keep": "last", **QUIET}
    expected = NLR(**{**params, "max_iter": 4}).fit(X, y)
    clf = NLR(**params)
    clf.partial_fit(1000 * X, y, classes=[0, 1])  # forgotten by fit, radius and all
    clf.fit(X, y)
    clf.sparsify()
    clf.partial_fit(X, y)
    assert clf.n_iter_ == 4
    np.testing.assert_allclose(clf.coef_, expected.coef_, rtol=1e-8)


def test_partial_fit_steps_are_scaled_by_the_largest_radius_so_far(rng):
    X, y = noise(rng)
    clf = NLR(normalize=False, step_size=3.0, fit_intercept=False)
    clf.partial_fit(X, y, classes=[0, 1])
    before = clf.coef_.copy()
    clf.partial_fit(X[:5] / 10, y[:5])
    signs = 2.0 * y[:5] - 1
    s = 1 / (1 + np.exp(signs * (X[:5] / 10 @ before[0])))
    gamma = 3.0 / (X**2).sum(axis=1).max()
    expected = before[0] + gamma * (s * signs) @ (X[:5] / 10) / 5
    np.testing.assert_allclose(clf.coef_[0], expected)


def test_partial_fit_refuses_what_does_not_fit(rng):
    X, y = separable(rng)
    with pytest.raises(ValueError, match=r"classes must be passed"):
        NLR().partial_fit(X, y)
    clf = NLR().partial_fit(X, y, classes=[0, 1])
    before = pickle.dumps(clf.__dict__)
    with pytest.raises(ValueError, match=r"classes=.*is not the same"):
        clf.partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match=r"3 features.*expecting 4"):
        clf.partial_fit(X[:, :3], y)
    with pytest.raises(ValueError, match=r"labels \[0 1 2\].*classes \[0 1\]"):
        clf.partial_fit(X, np.arange(30) % 3)
    with pytest.raises(ValueError, match=r"NaN"):
        clf.partial_fit(np.full((2, 4), np.nan), [0, 1])
    assert pickle.dumps(clf.__dict__) == before
    with pytest.raises(ValueError, match=r"'balanced' needs all data"):
        NLR(class_weight="balanced").partial_fit(X, y, classes=[0, 1])


@pytest.mark.parametrize(
    "params", [{"preconditioner": "diag"}, {"acceleration": "dual_momentum"}]
)
def test_partial_fit_takes_plain_steps_only(params):
    assert not hasattr(NLR(**params), "partial_fit")
    assert hasattr(NLR(), "partial_fit")


# -- interrupted and failed fits -------------------------------------------------------


def raise_at(monkeypatch, call, error):
    """Raise at a call of Problem.evaluate, counted from 1."""
    evaluate, calls = Problem.evaluate, []

    def evaluate_or_raise(self, *args):
        calls.append(args)
        if len(calls) == call:
            raise error
        return evaluate(self, *args)

    monkeypatch.setattr(Problem, "evaluate", evaluate_or_raise)


@pytest.mark.filterwarnings("error")
def test_interrupt_keeps_the_best_iterate(rng, monkeypatch):
    X, y = noise(rng)
    path = normalized_gd_path(X, y, gamma=3.0, max_iter=6, fit_intercept=True)
    raise_at(monkeypatch, 7, KeyboardInterrupt("stop"))
    clf = NLR(step_size=3.0, step_scaling="none")
    with pytest.raises(KeyboardInterrupt, match=r"stop"):
        clf.fit(X, y)
    assert clf.n_iter_ == 6
    assert not clf.converged_
    # The sixth iterate was about to be evaluated.
    assert clf.n_train_errors_ == path["n_errors"][:6].min()
    assert np.count_nonzero(clf.predict(X) != y) == clf.n_train_errors_
    assert clf.predict_proba(X).shape == (40, 2)


def test_interrupt_before_the_first_step_keeps_the_earlier_fit(rng, monkeypatch):
    X, y = separable(rng)
    clf = NLR().fit(X, y)
    before = pickle.dumps(clf.__dict__)
    raise_at(monkeypatch, 1, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X[:, :2], y)
    assert pickle.dumps(clf.__dict__) == before


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_another_error_restores_the_earlier_fit(rng, monkeypatch, method):
    X, y = separable(rng, gap=0.01)
    clf = NLR().fit(X, y)
    before = pickle.dumps(clf.__dict__)
    raise_at(monkeypatch, 2, MemoryError("none left"))
    with pytest.raises(MemoryError, match=r"none left"):
        getattr(clf, method)(X, 1 - y)
    assert pickle.dumps(clf.__dict__) == before


def test_errors_in_float64_are_not_called_converged(rng, monkeypatch):
    # Iterations in float32 can end with a margin that float64 finds negative.
    monkeypatch.setattr(_separating, "verify", lambda *args: (1, np.array([-1e-9])))
    X, y = separable(rng)
    with pytest.warns(ConvergenceWarning, match=r"1 training rows"):
        clf = NLR().fit(X.astype(np.float32), y)
    assert not clf.converged_
    assert clf.separable_ is None


@pytest.mark.parametrize(
    "params", [{}, {"acceleration": "dual_momentum"}, {"multi_class": "ovr"}], ids=str
)
def test_a_margin_that_only_float32_sees_does_not_end_the_steps(params):
    # Of small integers a margin of zero comes out as 1e-8 in about one of 80 such fits.
    for seed in range(400):
        rng = np.random.default_rng(seed)
        n = rng.integers(6, 12)
        X = np.unique(rng.integers(-1, 2, (n, n + 6)), axis=0).astype(np.float32)
        y = np.arange(len(X)) % (2 + seed % 2)
        if not linear_separability(X.astype(float), y).separable:
            continue
        clf = NLR(**params, max_iter=5000, **QUIET).fit(X, y)
        assert clf.separable_ is True, seed
        assert (clf.predict(X.astype(float)) == y).all(), seed


# -- callbacks and messages ------------------------------------------------------------


class Recorder:
    """A callback that keeps what it sees, and may end the iterations."""

    def __init__(self, stop_at=None, error=None):
        self.stop_at, self.error, self.tasks, self.seen = stop_at, error, [], []

    def setup(self, estimator, context):
        self.tasks.append("setup")

    def teardown(self, estimator, context):
        self.tasks.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None):
        self.tasks.append(f"begin {context.task_name}")

    def on_fit_task_end(
        self, estimator, context, *, X=None, y=None, fitted_estimator=None
    ):
        self.tasks.append(f"end {context.task_name}")
        if context.task_name != "iteration":
            return False
        self.seen.append(np.append(fitted_estimator.coef_, fitted_estimator.intercept_))
        fitted_estimator.predict(X)
        if self.error is not None and len(self.seen) == 3:
            raise self.error
        return len(self.seen) == self.stop_at


def test_callbacks_see_one_task_an_iteration_and_its_iterate(rng):
    X, y = noise(rng)
    path = normalized_gd_path(X, y, gamma=3.0, max_iter=5, fit_intercept=True)
    recorder = Recorder()
    clf = NLR(step_size=3.0, step_scaling="none", max_iter=5, **QUIET)
    clf.set_callbacks(recorder).fit(X, y)
    assert recorder.tasks == [
        "setup",
        f"begin {recorder.tasks[1][6:]}",
        *["begin iteration", "end iteration"] * 5,
        f"end {recorder.tasks[1][6:]}",
        "teardown",
    ]
    np.testing.assert_allclose(recorder.seen, path["theta"][1:], rtol=1e-8)


def test_callback_that_asks_to_stop_stops():
    X, y = worst_case(1000)
    clf = NLR(step_size=1.0, step_scaling="none", fit_intercept=False, **QUIET)
    assert clf.set_callbacks(Recorder(stop_at=4)).fit(X, y).n_iter_ == 4
    assert clf.train_errors_path_.shape == (5,)
    # The last iterate counts, be it the one that separates.
    assert clf.set_callbacks(Recorder(stop_at=16)).fit(X, y).separable_ is True


def test_interrupt_in_a_callback_keeps_the_best_iterate(rng):
    X, y = noise(rng)
    recorder = Recorder(error=KeyboardInterrupt())
    clf = NLR().set_callbacks(recorder)
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X, y)
    assert clf.n_iter_ == 3
    assert recorder.tasks[-1] == "teardown"
    assert clf.score(X, y) == 1 - clf.n_train_errors_ / len(y)


@pytest.mark.parametrize("data", [noise, clusters])
@pytest.mark.parametrize("multi_class", ["multinomial", "ovr"])
def test_scoring_monitor_logs_every_iteration(rng, data, multi_class):
    X, y = data(rng)
    monitor = ScoringMonitor(scoring="accuracy")
    clf = NLR(
        max_iter=5,
        stopping="max_iter",
        keep="last",
        multi_class=multi_class,
        preconditioner="diag",
        **QUIET,
    )
    clf.set_callbacks(monitor).fit(X, y)
    log = [row for row in monitor.get_logs().data if row["task_name"] == "iteration"]
    assert len(log) == clf.n_iter_ == 5
    errors = [round((1 - row["accuracy"]) * len(y)) for row in log]
    if len(clf.classes_) == 2:
        assert errors == clf.train_errors_path_[1:].tolist()
    assert min(errors) <= clf.n_train_errors_ <= max(errors)


def test_progress_bar_runs(rng):
    pytest.importorskip("rich")
    X, y = separable(rng)
    clf = NLR(max_iter=5, **QUIET).set_callbacks(ProgressBar())
    assert clf.fit(X, y).score(X, y) > 0.5


def test_verbose_prints_the_errors_of_the_iterations(capsys):
    X, y = worst_case(1000)
    clf = NLR(step_size=1.0, step_scaling="none", fit_intercept=False, verbose=1)
    path = clf.fit(X, y).train_errors_path_
    expected = [f"iteration {t}: {path[t]} training errors" for t in (1, 2, 4, 8)]
    assert capsys.readouterr().out.splitlines() == expected


# -- composition -----------------------------------------------------------------------


@each_class
def test_grid_search_over_a_pipeline_in_two_processes(rng, cls):
    X, y = clusters(rng, n=60, spread=1.0)
    pipeline = make_pipeline(StandardScaler(), cls(max_iter=20, **QUIET))
    name = cls.__name__.lower()
    grid = {f"{name}__max_iter": [5, 20]}
    if cls is NLR:
        grid = {f"{name}__step_size": [0.1, 100.0]}
    search = GridSearchCV(pipeline, grid, n_jobs=2, cv=3, error_score="raise")
    search.fit(X, y)
    alone = GridSearchCV(pipeline, grid, cv=3).fit(X, y)
    scores = "mean_test_score"
    np.testing.assert_allclose(search.cv_results_[scores], alone.cv_results_[scores])


@each_class
def test_pickle_of_a_fitted_classifier(rng, cls):
    X, y = clusters(rng)
    clf = cls().fit(X, y)
    copy = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(copy.predict_proba(X), clf.predict_proba(X))
    assert copy.margin_ == clf.margin_


def test_sparse_coefficients_predict_the_same(rng):
    X, y = clusters(rng)
    clf = NLR().fit(X, y)
    expected = clf.predict_proba(X)
    np.testing.assert_allclose(clf.sparsify().predict_proba(X), expected)
    np.testing.assert_allclose(clf.densify().predict_proba(X), expected)


@pytest.mark.parametrize("cls", [NLR, BatchPerceptron])
def test_partial_fit_of_a_single_class_is_refused(rng, cls):
    clf = cls()
    with pytest.raises(ValueError, match="only one class"):
        clf.partial_fit(np.ones((3, 2)), [1, 1, 1], classes=[1])
    assert not hasattr(clf, "classes_")


def test_interrupt_in_a_callback_at_the_end_keeps_the_fit(rng):
    class AtTheEnd(Recorder):
        def on_fit_task_end(
            self, estimator, context, *, X=None, y=None, fitted_estimator=None
        ):
            if context.task_name != "iteration":
                raise KeyboardInterrupt

    X, y = separable(rng)
    clf = NLR().set_callbacks(AtTheEnd())
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X, y)
    np.testing.assert_array_equal(clf.coef_, NLR().fit(X, y).coef_)


def test_one_number_may_be_the_weight_of_all(rng):
    X, y = separable(rng)
    clf = NLR().fit(X, y, sample_weight=2)
    np.testing.assert_array_equal(clf.coef_, NLR().fit(X, y).coef_)


def test_advice_does_not_repeat_what_is_done(rng):
    X, y = noise(rng)
    with pytest.warns(ConvergenceWarning, match=r"preconditioner='diag'.*, or ask lin"):
        NLR(max_iter=20).fit(X, y)
    with pytest.warns(ConvergenceWarning, match=r"Increase max_iter, or ask lin"):
        NLR(max_iter=20, preconditioner="whiten").fit(X, y)
