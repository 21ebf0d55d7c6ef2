import numpy as np
import pytest
import sklearn
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.metrics import make_scorer

from sklogit.choice import ConditionalLogit, choice_log_likelihood

from .logs import make_log

SOLVERS = pytest.mark.parametrize("solver", ["newton", "lbfgs"])


class Recorder:
    """A callback that keeps what it sees, and may end the iterations."""

    def __init__(self, stop_at=None, error=None, at_the_end=None):
        self.stop_at, self.error, self.at_the_end = stop_at, error, at_the_end
        self.tasks, self.likelihoods = [], []

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
            if self.at_the_end is not None:
                raise self.at_the_end
            return False
        groups = make_log()[2]
        self.likelihoods.append(fitted_estimator.log_likelihood(X, y, groups))
        if self.error is not None and len(self.likelihoods) == 2:
            raise self.error
        return len(self.likelihoods) == self.stop_at


@SOLVERS
def test_callbacks_see_one_task_an_iteration_and_its_coefficients(solver):
    X, y, groups = make_log()
    recorder = Recorder()
    clf = ConditionalLogit(C=np.inf, solver=solver).set_callbacks(recorder)
    clf.fit(X, y, groups)
    steps = recorder.tasks[2:-2]
    assert steps == ["begin iteration", "end iteration"] * clf.n_iter_
    assert (recorder.tasks[0], recorder.tasks[-1]) == ("setup", "teardown")
    # Without a penalty the objective is the negative log-likelihood.
    np.testing.assert_allclose(recorder.likelihoods, -clf.loss_curve_[1:], rtol=1e-10)


@SOLVERS
def test_a_callback_may_stop_the_fit_in_silence(solver):
    X, y, groups = make_log()
    clf = ConditionalLogit(solver=solver).set_callbacks(Recorder(stop_at=2))
    assert clf.fit(X, y, groups).n_iter_ == 2
    assert clf.log_likelihood(X, y, groups) == pytest.approx(clf.log_likelihood_)


@SOLVERS
def test_an_interrupt_keeps_the_coefficients_reached(solver):
    X, y, groups = make_log()
    recorder = Recorder(error=KeyboardInterrupt())
    clf = ConditionalLogit(solver=solver).set_callbacks(recorder)
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X, y, groups)
    assert clf.n_iter_ == 2
    assert recorder.tasks[-1] == "teardown"
    assert clf.log_likelihood(X, y, groups) == recorder.likelihoods[-1]


def test_an_interrupt_at_the_end_keeps_the_fit():
    X, y, groups = make_log()
    clf = ConditionalLogit().set_callbacks(Recorder(at_the_end=KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X, y, groups)
    expected = ConditionalLogit().fit(X, y, groups)
    np.testing.assert_array_equal(clf.coef_, expected.coef_)


def test_any_other_error_leaves_an_earlier_fit():
    X, y, groups = make_log()
    clf = ConditionalLogit().fit(X, y, groups)
    before = clf.coef_.copy()
    clf.set_callbacks(Recorder(error=RuntimeError()))
    with pytest.raises(RuntimeError):
        clf.fit(-X, y, groups)
    np.testing.assert_array_equal(clf.coef_, before)


def test_monitors_score_every_iteration_by_impressions():
    X, y, groups = make_log()
    with sklearn.config_context(enable_metadata_routing=True):
        scorer = make_scorer(choice_log_likelihood, response_method="decision_function")
        monitor = ScoringMonitor(scoring=scorer.set_score_request(groups=True))
        clf = ConditionalLogit(C=np.inf).set_callbacks(monitor).fit(X, y, groups)
        log = monitor.get_logs().data
    scores = [row["score"] for row in log if row["task_name"] == "iteration"]
    np.testing.assert_allclose(scores, -clf.loss_curve_[1:] / 200, rtol=1e-10)


def monitored(monitor, **options):
    X, y, groups = make_log()
    with sklearn.config_context(enable_metadata_routing=True):
        clf = ConditionalLogit().set_callbacks(monitor).fit(X, y, groups, **options)
        log = monitor.get_logs().data
    return clf, [row for row in log if row["task_name"] == "iteration"]


@pytest.mark.parametrize("scoring", ["accuracy", ["accuracy", "neg_log_loss"]])
def test_monitors_of_scores_without_groups_run_with_routing(scoring):
    X, y, _ = make_log()
    clf, log = monitored(ScoringMonitor(scoring=scoring))
    assert log[-1]["accuracy"] == (clf.predict(X) == y).mean()


def test_a_monitor_gives_groups_to_those_of_its_scores_that_ask():
    X, y, groups = make_log()
    scorer = make_scorer(choice_log_likelihood, response_method="decision_function")
    with sklearn.config_context(enable_metadata_routing=True):
        scorer.set_score_request(groups=True)
    monitor = ScoringMonitor(scoring={"choices": scorer, "rows": "accuracy"})
    clf, log = monitored(monitor)
    mean = clf.log_likelihood(X, y, groups) / 200
    assert log[-1]["choices"] == pytest.approx(mean, rel=1e-10)
    assert log[-1]["rows"] == (clf.predict(X) == y).mean()


def test_monitors_without_routing_score_rows():
    X, y, groups = make_log()
    monitor = ScoringMonitor(scoring="accuracy")
    clf = ConditionalLogit().set_callbacks(monitor).fit(X, y, groups)
    log = [row for row in monitor.get_logs().data if row["task_name"] == "iteration"]
    assert log[-1]["accuracy"] == (clf.predict(X) == y).mean()


def test_progress_bar_runs():
    pytest.importorskip("rich")
    X, y, groups = make_log()
    assert ConditionalLogit().set_callbacks(ProgressBar()).fit(X, y, groups).n_iter_ > 1
