import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklogit.linear_model import AnyLossClassifier
from sklogit.metrics import (
    MetricThresholdDisplay,
    SoftMetricDisplay,
    amplify,
    get_confusion_metric,
    soft_confusion,
)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 3))
    return X, (X[:, 0] + rng.standard_normal(300) > 1.2).astype(int)


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


# -- metric against threshold ----------------------------------------------------------


def test_curve_is_the_metric_at_each_threshold(data):
    X, y = data
    scores = LogisticRegression().fit(X, y).decision_function(X)
    display = MetricThresholdDisplay.from_predictions(y, scores, "f1")
    ((thresholds, values),) = display.curves.values()
    assert (np.diff(thresholds) > 0).all()
    for k in (0, 40, 150, 299):
        assert values[k] == pytest.approx(f1_score(y, scores > thresholds[k]))
    np.testing.assert_array_equal(display.lines_[0].get_xydata()[:, 1], values)


def marked(display, marker):
    lines = [line for line in display.ax_.lines if line.get_marker() == marker]
    return [tuple(line.get_xydata()[0]) for line in lines if len(line.get_xdata())]


def test_dots_are_the_thresholds_in_use_and_stars_the_best(data):
    X, y = data
    scores = LogisticRegression().fit(X, y).decision_function(X)
    display = MetricThresholdDisplay.from_predictions(y, scores, "f1", used=-0.5)
    assert marked(display, "o") == [(-0.5, pytest.approx(f1_score(y, scores > -0.5)))]
    ((_, best),) = marked(display, "*")
    assert best == next(iter(display.curves.values()))[1].max()


def test_anyloss_is_drawn_beside_its_start(data):
    X, y = data
    clf = AnyLossClassifier("f1").fit(X, y)
    display = MetricThresholdDisplay.from_estimator(clf, X, y)
    assert list(display.curves) == ["start", "AnyLossClassifier"]
    start = X @ clf.init_coef_[0] + clf.init_intercept_[0]
    in_use = marked(display, "o")
    assert in_use[0][1] == pytest.approx(f1_score(y, start > 0))
    assert in_use[1][1] == pytest.approx(clf.train_metric_)
    assert in_use[0] == marked(display, "*")[0] or in_use[0][1] == pytest.approx(
        marked(display, "*")[0][1]
    )


def test_the_positive_class_of_the_estimator_is_respected(data):
    X, y = data
    clf = AnyLossClassifier("f1", pos_label=0).fit(X, y)
    display = MetricThresholdDisplay.from_estimator(clf, X, y)
    assert marked(display, "o")[1][1] == pytest.approx(clf.train_metric_)


def test_any_classifier_with_a_metric(data):
    X, y = data
    model = LogisticRegression().fit(X, y)
    _, ax = plt.subplots()
    display = MetricThresholdDisplay.from_estimator(model, X, y, metric="mcc", ax=ax)
    assert display.ax_ is ax
    assert ax.get_ylabel() == "matthews_corrcoef"
    with pytest.raises(ValueError, match="metric must be given: LogisticRegression"):
        MetricThresholdDisplay.from_estimator(model, X, y)


def test_a_pipeline_is_drawn_beside_its_start(data):
    X, y = data
    model = make_pipeline(StandardScaler(), AnyLossClassifier("mcc")).fit(X, y)
    display = MetricThresholdDisplay.from_estimator(model, X, y)
    Z = model[0].transform(X)
    expected = MetricThresholdDisplay.from_estimator(model[-1], Z, y)
    assert display.metric.name == "matthews_corrcoef"
    assert display.in_use == expected.in_use
    assert list(display.curves) == ["start", "AnyLossClassifier"]


def test_many_cuts_are_thinned():
    rng = np.random.default_rng(0)
    scores = rng.standard_normal(9000)
    display = MetricThresholdDisplay.from_predictions(scores > 1, scores, "f1")
    ((thresholds, _),) = display.curves.values()
    assert len(thresholds) == 2000


# -- soft against hard -----------------------------------------------------------------


def test_soft_metric_is_that_of_the_amplified_scores(data):
    X, y = data
    scores = LogisticRegression().fit(X, y).decision_function(X)
    L = [0.5, 3.0, 50.0]
    display = SoftMetricDisplay.from_predictions(y, scores, "mcc", L=L)
    metric = get_confusion_metric("mcc")
    for name in ("logit", "probability"):
        for k, steepness in enumerate(L):
            a, slopes = amplify(scores, name, steepness)
            expected = metric.value(*soft_confusion(y, a))
            assert display.soft[name][k] == pytest.approx(expected)
            share = np.mean(slopes < 1e-6 * steepness / 4)
            assert display.vanished[name][k] == share
    assert display.hard == pytest.approx(metric.score(y, (scores > 0).astype(int)))


def test_steep_predictions_end_at_the_hard_metric(data):
    X, y = data
    scores = LogisticRegression().fit(X, y).decision_function(X)
    display = SoftMetricDisplay.from_predictions(
        y, scores, "f1", L=[1.0, 1e5], amplifiers=["logit"]
    )
    assert display.soft["logit"][1] == pytest.approx(display.hard, abs=1e-3)
    assert display.vanished["logit"][1] > 0.9 > display.vanished["logit"][0]
    assert display.lines_.shape == (1, 2)


@pytest.mark.parametrize("display", [MetricThresholdDisplay, SoftMetricDisplay])
def test_bad_input(display):
    with pytest.raises(ValueError, match="two classes"):
        display.from_predictions([1, 1], [0.0, 1.0], "f1")
    with pytest.raises(ValueError, match="pos_label=3 is not in the labels"):
        display.from_predictions([0, 1], [0.0, 1.0], "f1", pos_label=3)
    with pytest.raises(ValueError, match="scores must be finite"):
        display.from_predictions([0, 1], [0.0, np.nan], "f1")
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        display.from_predictions([0, 1, 1], [0.0, 1.0], "f1")
    for weight in ([1.0], [1.0, -1.0]):
        with pytest.raises(ValueError, match="sample_weight"):
            display.from_predictions([0, 1], [0.0, 1.0], "f1", sample_weight=weight)


def test_every_curve_has_a_threshold_in_use():
    with pytest.raises(ValueError, match="used must name the scores"):
        MetricThresholdDisplay.from_predictions(
            [0, 1], {"a": [0.0, 1.0], "b": [1.0, 2.0]}, "f1", used={"a": 0.5}
        )


def test_one_steepness_is_enough():
    display = SoftMetricDisplay.from_predictions([0, 1], [-1.0, 1.0], "f1", L=3.0)
    assert display.L.tolist() == [3.0]
