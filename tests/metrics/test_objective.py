"""The objective for gradient boosting, by itself and in LightGBM."""

import pickle

import numpy as np
import pytest
from scipy.special import expit
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.metrics import f1_score
from sklearn.model_selection import cross_val_score, train_test_split

from sklogit.metrics import (
    amplify,
    confusion_metric_names,
    cost_metric,
    get_confusion_metric,
    metric_objective,
    soft_confusion,
)

AMPLIFIERS = [("logit", 1.0), ("logit", 3.0), ("probability", 1.0), ("probability", 73)]


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return (
        rng.integers(2, size=30),
        2 * rng.standard_normal(30),
        rng.uniform(0.1, 2, 30),
    )


def loss(metric, y, z, weight, amplifier, L):
    """The total weight times one minus the metric."""
    a, _ = amplify(z, amplifier, L)
    counts = soft_confusion(y, a, weight)
    return sum(counts) * (1 - get_confusion_metric(metric, 2.0).value(*counts))


def moved(z, i, step):
    z = z.copy()
    z[i] += step
    return z


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("amplifier", "L"), AMPLIFIERS)
@pytest.mark.parametrize("metric", ["f1", "fbeta", "mcc", "gmean", "kappa", "accuracy"])
def test_gradient_is_that_of_central_differences(data, metric, amplifier, L, weighted):
    y, z, weight = data
    weight = weight if weighted else None
    objective = metric_objective(metric, beta=2.0, amplifier=amplifier, L=L)
    gradient, _ = objective(y, z, weight)
    args = (weight, amplifier, L)
    step = 1e-6
    expected = [
        loss(metric, y, moved(z, i, step), *args)
        - loss(metric, y, moved(z, i, -step), *args)
        for i in range(len(z))
    ]
    np.testing.assert_allclose(
        gradient, np.array(expected) / (2 * step), rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize(("amplifier", "L"), AMPLIFIERS)
def test_second_derivatives_bound_the_curvature_of_every_row(amplifier, L):
    # The soft predictions of a row, over all scores it may get: their slope changes by
    # no more than the bound allows.
    z = np.linspace(-6, 6, 20_001)
    _, slopes = amplify(z, amplifier, L)
    curvature = np.abs(np.diff(slopes) / np.diff(z)).max()
    y = np.arange(len(z)) % 2
    objective = metric_objective("accuracy", amplifier=amplifier, L=L)
    _, hessian = objective(y, z)  # accuracy: the derivative of each row is one
    assert (hessian >= curvature - 1e-9).all()
    # And not by an order of magnitude more, where it matters.
    assert hessian.max() < 4 * curvature


def test_second_derivatives_are_positive_for_every_metric(data):
    y, z, _ = data
    for metric in confusion_metric_names():
        gradient, hessian = metric_objective(metric)(y, 100 * z)
        assert np.isfinite(gradient).all()
        assert (hessian > 0).all()


def test_scale_of_weights_scales_both(data):
    y, z, weight = data
    once = metric_objective("f1")(y, z, weight)
    twice = metric_objective("f1")(y, z, 2 * weight)
    np.testing.assert_allclose(twice, 2 * np.array(once), rtol=1e-12)


def test_rows_count_as_much_as_with_the_logistic_loss(data):
    # Whatever their number.
    y, z, _ = data
    for repeats in (1, 1000):
        gradient, _ = metric_objective("accuracy")(
            np.tile(y, repeats), np.tile(z, repeats)
        )
        logistic = expit(z) - y
        ratio = np.abs(gradient).mean() / np.abs(logistic).mean()
        assert 0.1 < ratio < 10


def test_pickles_and_shows_itself(data):
    y, z, _ = data
    objective = metric_objective("fbeta", beta=2.0, L=2.0)
    copy = pickle.loads(pickle.dumps(objective))
    np.testing.assert_array_equal(copy(y, z), objective(y, z))
    assert "fbeta" in repr(objective)
    assert "L=2.0" in repr(objective)


def test_metric_of_a_user(data):
    y, z, _ = data

    def f1(tn, fp, fn, tp):
        return 2 * tp / (2 * tp + fp + fn)

    np.testing.assert_allclose(
        metric_objective(f1)(y, z), metric_objective("f1")(y, z), rtol=1e-10
    )


@pytest.mark.parametrize(
    ("y", "z", "weight", "message"),
    [
        ([0, 2], [0.0, 1.0], None, r"labels 0 and 1, found \[0 2\]"),
        ([1, 1], [0.0, 1.0], None, r"found \[1\]"),
        ([0, 1], [[0.0, 1.0], [1.0, 0.0]], None, "raw_score must have shape"),
        ([0, 1, 1], [0.0, 1.0], None, "inconsistent"),
        ([0, 1], [0.0, 1.0], [1.0, -1.0], "[Nn]egative"),
        ([0, 1], [0.0, 1.0], [0.0, 0.0], "non-zero"),
    ],
)
def test_wrong_input(y, z, weight, message):
    with pytest.raises(ValueError, match=message):
        metric_objective("f1")(y, z, weight)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"metric": "f3"}, "metric must be one of"),
        ({"metric": "fbeta", "beta": -1.0}, "beta must be positive"),
        ({"metric": "f1", "amplifier": "tanh"}, "amplifier must be one of"),
        ({"metric": "f1", "L": 0.0}, "L must be positive"),
    ],
)
def test_wrong_parameters(kwargs, message):
    with pytest.raises(ValueError, match=message):
        metric_objective(**kwargs)


def test_metric_that_is_not_finite_is_named(data):
    def broken(tn, fp, fn, tp):
        return np.nan

    with pytest.raises(ValueError, match="'broken' must return a finite number"):
        metric_objective(broken)(*data)


# -- LightGBM --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rare():
    X, y = make_classification(
        4000,
        n_features=8,
        n_informative=5,
        n_clusters_per_class=3,
        weights=[0.96],
        class_sep=0.8,
        random_state=0,
    )
    return train_test_split(X, y, test_size=0.5, stratify=y, random_state=0)


def booster(**kwargs):
    lightgbm = pytest.importorskip("lightgbm")
    defaults = {"n_estimators": 50, "num_leaves": 15, "verbose": -1, "n_jobs": 1}
    return lightgbm.LGBMClassifier(**{**defaults, **kwargs})


def test_lightgbm_trains_for_the_metric(rare):
    X, X_test, y, y_test = rare
    plain = booster().fit(X, y)
    model = booster(objective=metric_objective("f1")).fit(X, y)
    score = f1_score(y_test, model.predict(X_test, raw_score=True) > 0)
    assert score > f1_score(y_test, plain.predict(X_test)) + 0.02


def test_lightgbm_takes_costs_weights_and_other_labels(rare):
    X, X_test, y, _ = rare
    names = np.array(["no", "yes"])[y]
    found = []
    for fn in (-1.0, -50.0):
        model = booster(objective=metric_objective(cost_metric(fp=-1.0, fn=fn)))
        model.fit(X, names, sample_weight=np.ones(len(y)))
        found.append((model.predict(X_test, raw_score=True) > 0).mean())
    # The dearer it is to miss a positive, the more are found.
    assert found[1] > found[0] + 0.05


def test_lightgbm_is_cloned_and_scored_in_parallel(rare):
    X, _, y, _ = rare
    model = clone(booster(objective=metric_objective("f1")))

    def f1(estimator, X, y):
        return f1_score(y, estimator.predict(X, raw_score=True) > 0)

    scores = cross_val_score(model, X, y, scoring=f1, cv=2, n_jobs=1)
    assert (scores > 0).all()
    copy = pickle.loads(pickle.dumps(model.fit(X, y)))
    np.testing.assert_array_equal(
        copy.predict(X, raw_score=True), model.predict(X, raw_score=True)
    )
