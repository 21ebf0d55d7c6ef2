import pickle
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score

from sklogit.metrics import (
    ConfusionMetric,
    confusion_metric_names,
    cost_metric,
    get_confusion_metric,
    soft_confusion,
)

NAMES = confusion_metric_names()


def specificity(y, p, sample_weight=None):
    return sk.recall_score(y, p, pos_label=0, sample_weight=sample_weight)


def geometric(first, second):
    return lambda *args, **kw: np.sqrt(first(*args, **kw) * second(*args, **kw))


# Hard counterparts, by scikit-learn alone.
REFERENCES = {
    "accuracy": sk.accuracy_score,
    "balanced_accuracy": sk.balanced_accuracy_score,
    "cohen_kappa": sk.cohen_kappa_score,
    "f1": sk.f1_score,
    "f2": lambda *a, **k: sk.fbeta_score(*a, beta=2, **k),
    "f0.5": lambda *a, **k: sk.fbeta_score(*a, beta=0.5, **k),
    "fbeta": sk.f1_score,
    "fowlkes_mallows": geometric(sk.precision_score, sk.recall_score),
    "geometric_mean": geometric(sk.recall_score, specificity),
    "informedness": lambda *a, **k: sk.balanced_accuracy_score(*a, adjusted=True, **k),
    "jaccard": sk.jaccard_score,
    "markedness": lambda *a, **k: (
        sk.precision_score(*a, **k) + sk.precision_score(*a, pos_label=0, **k) - 1
    ),
    "matthews_corrcoef": sk.matthews_corrcoef,
    "negative_predictive_value": lambda *a, **k: sk.precision_score(
        *a, pos_label=0, **k
    ),
    "precision": sk.precision_score,
    "recall": sk.recall_score,
    "specificity": specificity,
}
REFERENCES |= {
    "gmean": REFERENCES["geometric_mean"],
    "kappa": REFERENCES["cohen_kappa"],
    "mcc": REFERENCES["matthews_corrcoef"],
    "youden": REFERENCES["informedness"],
}


@pytest.fixture
def labels():
    rng = np.random.default_rng(0)
    y = (rng.random(200) < 0.2).astype(int)
    return y, np.where(rng.random(200) < 0.7, y, 1 - y), rng.integers(0, 4, 200)


@pytest.fixture(params=[(70.0, 11.5, 6.25, 12.0), (3.0, 40.0, 0.5, 0.25)])
def counts(request):
    return request.param


def f_of(name):
    return get_confusion_metric(name).function


# -- values ----------------------------------------------------------------------------


def test_every_name_has_a_reference():
    assert set(REFERENCES) == set(NAMES)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_score_equals_scikit_learn(name, weighted, labels):
    y, predicted, weight = labels
    options = {"sample_weight": weight} if weighted else {}
    found = get_confusion_metric(name).score(y, predicted, **options)
    assert found == pytest.approx(REFERENCES[name](y, predicted, **options), abs=1e-12)


@pytest.mark.parametrize("predicted", [0, 1])
@pytest.mark.parametrize("name", sorted(set(NAMES) - {"cohen_kappa", "kappa"}))
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_undefined_ratios_are_what_scikit_learn_makes_of_them(name, predicted, labels):
    y = labels[0]
    predicted = np.full_like(y, predicted)
    found = get_confusion_metric(name).score(y, predicted)
    assert found == pytest.approx(REFERENCES[name](y, predicted), abs=1e-12)


def test_balanced_accuracy_without_one_class_is_the_recall_of_the_other():
    # scikit-learn leaves the missing class out, with a warning.
    assert get_confusion_metric("balanced_accuracy").score(
        [0, 0, 0, 0], [0, 0, 0, 1]
    ) == pytest.approx(0.75)


@pytest.mark.parametrize("average", ["macro", "weighted"])
@pytest.mark.parametrize(
    ("name", "reference"), [("f1", sk.f1_score), ("jaccard", sk.jaccard_score)]
)
def test_averages_over_classes_equal_scikit_learn(name, reference, average):
    rng = np.random.default_rng(1)
    y = rng.choice(["a", "b", "c"], 90, p=[0.6, 0.3, 0.1])
    predicted = np.where(rng.random(90) < 0.6, y, rng.choice(["a", "b", "c"], 90))
    weight = rng.random(90)
    found = get_confusion_metric(name).score(
        y, predicted, average=average, sample_weight=weight
    )
    expected = reference(y, predicted, average=average, sample_weight=weight)
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("accuracy", sk.accuracy_score),
        ("balanced_accuracy", sk.balanced_accuracy_score),
        ("kappa", sk.cohen_kappa_score),
        ("mcc", sk.matthews_corrcoef),
    ],
)
def test_metric_of_the_whole_matrix_equals_scikit_learn(name, reference, weighted):
    rng = np.random.default_rng(2)
    y = rng.choice(["a", "b", "c", "d"], 120, p=[0.5, 0.3, 0.1, 0.1])
    predicted = np.where(
        rng.random(120) < 0.6, y, rng.choice(["a", "b", "c", "d"], 120)
    )
    weight = rng.random(120) if weighted else None
    found = get_confusion_metric(name).score(
        y, predicted, average="multiclass", sample_weight=weight
    )
    expected = reference(y, predicted, sample_weight=weight)
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "kappa", "mcc"])
def test_derivatives_by_the_whole_matrix_equal_differences(name):
    form = get_confusion_metric(name).multiclass_form()
    C, h = np.random.default_rng(0).random((4, 4)) * 10, 1e-5
    found = form.partials(C)
    for k, j in np.ndindex(4, 4):
        step = np.zeros((4, 4))
        step[k, j] = h
        difference = (form.value(C + step) - form.value(C - step)) / (2 * h)
        assert found[k, j] == pytest.approx(difference, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "kappa", "mcc"])
@pytest.mark.parametrize("column", [0, 2])
def test_whole_matrices_at_the_edges(name, column):
    # All rows are predicted as one class, or there is one class only.
    form = get_confusion_metric(name).multiclass_form()
    C = np.zeros((3, 3))
    C[:, column] = [5.0, 2.0, 1.0]
    one = np.zeros((3, 3))
    one[1, 1] = 4.0
    for matrix in (C, one, np.zeros((3, 3))):
        assert np.isfinite(form.value(matrix))
        assert np.isfinite(form.partials(matrix)).all()


def test_other_metrics_have_no_whole_matrix():
    with pytest.raises(ValueError, match=r"'multiclass' needs a metric of.*got 'f1'"):
        get_confusion_metric("f1").score([0, 1, 2], [0, 1, 1], average="multiclass")


def test_auto_average_is_macro_for_more_than_two_classes():
    y, predicted = [0, 1, 2, 2], [0, 2, 2, 2]
    found = get_confusion_metric("f1").score(y, predicted)
    assert found == pytest.approx(sk.f1_score(y, predicted, average="macro"))


def test_fbeta_takes_its_beta(labels):
    y, predicted, _ = labels
    found = get_confusion_metric("fbeta", beta=3.0).score(y, predicted)
    assert found == pytest.approx(sk.fbeta_score(y, predicted, beta=3))


def test_cost_metric_is_the_mean_gain(labels):
    y, predicted, _ = labels
    gains = np.select(
        [(y == 1) & (predicted == 0), (y == 0) & (predicted == 1)], [-7.0, -0.5], 0.25
    )
    metric = cost_metric(tn=0.25, fp=-0.5, fn=-7, tp=0.25)
    assert metric.score(y, predicted) == pytest.approx(gains.mean())


@pytest.mark.parametrize("name", NAMES)
def test_values_of_many_matrices_are_those_of_each(name):
    counts = np.random.default_rng(0).random((4, 30)) * 50
    metric = get_confusion_metric(name)
    expected = [metric.value(*c) for c in counts.T]
    np.testing.assert_allclose(metric.values(*counts), expected, rtol=1e-12)


def test_values_of_a_function_with_branches_are_those_of_each():
    def branching(tn, fp, fn, tp):
        return max(tp, fn) if tp > 2 else 0

    found = ConfusionMetric(branching).values([0, 0], [0, 0], [5, 1], [1, 3])
    np.testing.assert_array_equal(found, [0, 3])


# -- derivatives -----------------------------------------------------------------------


def differences(metric, counts, step=1e-4):
    counts = np.array(counts)
    unit = step * np.eye(4)
    return [
        (metric.value(*(counts + u)) - metric.value(*(counts - u))) / (2 * step)
        for u in unit
    ]


@pytest.mark.parametrize("name", NAMES)
def test_partials_equal_differences(name, counts):
    metric = get_confusion_metric(name)
    np.testing.assert_allclose(
        metric.partials(*counts), differences(metric, counts), rtol=1e-6, atol=1e-10
    )


@pytest.mark.parametrize("name", NAMES)
def test_complex_steps_equal_closed_forms(name, counts):
    closed = get_confusion_metric(name)
    found = ConfusionMetric(closed.function).partials(*counts)
    np.testing.assert_allclose(found, closed.partials(*counts), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", NAMES)
def test_partials_of_tensors_equal_autograd(name, counts):
    metric = get_confusion_metric(name)
    tensors = [torch.tensor(c, dtype=torch.float64, requires_grad=True) for c in counts]
    expected = torch.autograd.grad(metric(*tensors), tensors, allow_unused=True)
    found = metric.partials(*(t.detach() for t in tensors))
    for partial, reference in zip(found, expected):
        reference = 0.0 if reference is None else float(reference)
        assert float(partial) == pytest.approx(reference, rel=1e-10, abs=1e-14)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "counts", [(5.0, 0, 2, 0), (0, 5.0, 0, 2), (5.0, 0, 0, 0), (0, 0, 0, 3.0)]
)
def test_derivatives_are_finite_at_the_edges(name, counts):
    metric = get_confusion_metric(name)
    assert np.isfinite(metric.value(*counts))
    assert np.isfinite(np.array(metric.partials(*counts), dtype=float)).all()


def test_a_metric_without_defined_value_has_no_derivative():
    np.testing.assert_array_equal(
        get_confusion_metric("f1").partials(5.0, 0.0, 0.0, 0.0), 0.0
    )


def test_slopes_are_derivatives_within_the_classes(counts):
    metric = get_confusion_metric("mcc")
    tn, fp, fn, tp = counts
    h = 1e-5
    positive, negative = metric.slopes(*counts)
    of_positive = metric.value(tn, fp, fn - h, tp + h) - metric.value(*counts)
    of_negative = metric.value(tn - h, fp + h, fn, tp) - metric.value(*counts)
    assert positive == pytest.approx(of_positive / h, rel=1e-3)
    assert negative == pytest.approx(of_negative / h, rel=1e-3)


@pytest.mark.parametrize(
    "function",
    [
        lambda tn, fp, fn, tp: abs(tp / (tp + fn) - 2) - fp / (fp + tn),
        lambda tn, fp, fn, tp: np.maximum(tp / (tp + fn), 0.1) * tn,
        lambda tn, fp, fn, tp: min(float(tp) / (tp + fn), 0.9) - float(fp),
    ],
)
def test_functions_that_drop_imaginary_parts_are_differentiated_too(function, counts):
    metric = ConfusionMetric(function)
    np.testing.assert_allclose(
        metric.partials(*counts), differences(metric, counts), rtol=1e-5, atol=1e-7
    )


def test_gradient_of_the_user_is_taken():
    metric = ConfusionMetric(
        lambda tn, fp, fn, tp: tp, gradient=lambda tn, fp, fn, tp: (0, 0, 0, 1.0)
    )
    assert metric.partials(1, 2, 3, 4) == (0, 0, 0, 1.0)


@pytest.mark.parametrize(
    "function",
    [
        lambda tn, fp, fn, tp: float(tp / (tp + fn) > 0.7),
        lambda tn, fp, fn, tp: np.round(4 * tp / (tp + fn)),
        lambda tn, fp, fn, tp: 1.0,
    ],
    ids=["threshold", "round", "constant"],
)
def test_a_metric_without_slopes_is_named(function):
    metric = ConfusionMetric(function, name="steps")
    with pytest.raises(ValueError, match="metric 'steps' is not differentiable"):
        metric.check_differentiable(30, 200)


@pytest.mark.parametrize("n_positive", [30, 10_000, 1_000_000])
def test_a_metric_that_rounds_counts_is_named_in_data_of_any_size(n_positive):
    metric = ConfusionMetric(lambda tn, fp, fn, tp: int(tp) / (tp + fn), name="steps")
    with pytest.raises(ValueError, match="metric 'steps' is not differentiable"):
        metric.check_differentiable(n_positive, 3 * n_positive)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ((0.0, 0.0, 1.0), "must return 4 numbers, .* got 3"),
        ((0.0, 0.0, np.nan, 1.0), "must be finite, got .* for tn=1, fp=2, fn=3, tp=4"),
    ],
)
def test_a_gradient_that_is_none_is_named(found, message):
    metric = ConfusionMetric(f_of("f1"), name="mine", gradient=lambda *counts: found)
    with pytest.raises(ValueError, match=f"gradient of the metric 'mine' {message}"):
        metric.partials(1, 2, 3, 4)


def test_threads_take_turns_to_change_the_filters_of_warnings():
    inside, most = [], []

    def f1(tn, fp, fn, tp):
        if any(isinstance(count, complex) for count in (tn, fp, fn, tp)):
            inside.append(1)
            most.append(len(inside))
            time.sleep(1e-3)  # to let the other thread come
            inside.pop()
        return 2 * tp / (2 * tp + fp + fn)

    metric = ConfusionMetric(f1)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda k: metric.partials(1, 2, 3, k), range(1, 9)))
    assert max(most) == 1


def test_a_wrong_gradient_is_named():
    metric = ConfusionMetric(
        f_of("f1"), name="mine", gradient=lambda tn, fp, fn, tp: (0, 0, 0, -1.0)
    )
    with pytest.raises(ValueError, match="metric 'mine': its gradient is not that"):
        metric.check_differentiable(30, 200)


def test_a_metric_with_kinks_passes():
    metric = ConfusionMetric(
        lambda tn, fp, fn, tp: min(tp / (tp + fn), tn / (tn + fp)), name="worst"
    )
    assert metric.check_differentiable(30, 200) is None


# -- scorer ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["f1", "balanced_accuracy", "matthews_corrcoef"])
def test_scorer_equals_that_of_scikit_learn(name, labels):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 3)) + labels[0][:, np.newaxis]
    scorer = get_confusion_metric(name).to_scorer()
    found = cross_val_score(LogisticRegression(), X, labels[0], scoring=scorer)
    expected = cross_val_score(LogisticRegression(), X, labels[0], scoring=name)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_scorer_works_in_a_search_with_two_jobs(labels):
    X = np.random.default_rng(0).standard_normal((200, 3)) + labels[0][:, np.newaxis]
    y = np.where(labels[0], "yes", "no")
    search = GridSearchCV(
        LogisticRegression(),
        {"C": [0.1, 1]},
        scoring=get_confusion_metric("gmean").to_scorer(pos_label="yes"),
        n_jobs=2,
    ).fit(X, y)
    assert 0 < search.best_score_ <= 1


def test_scorer_takes_weights(labels):
    X = np.random.default_rng(0).standard_normal((200, 3)) + labels[0][:, np.newaxis]
    y, _, weight = labels
    model = LogisticRegression().fit(X, y)
    found = get_confusion_metric("f1").to_scorer()(model, X, y, sample_weight=weight)
    expected = sk.f1_score(y, model.predict(X), sample_weight=weight)
    assert found == pytest.approx(expected)


def test_pos_label_chooses_the_positive_class(labels):
    y, predicted, _ = labels
    found = get_confusion_metric("f1").score(y, predicted, pos_label=0)
    assert found == pytest.approx(sk.f1_score(y, predicted, pos_label=0))


@pytest.mark.parametrize(("label", "expected"), [(1, 1.0), (0, 0.0), (-1, 0.0)])
def test_of_a_single_label_one_is_the_positive(label, expected):
    assert get_confusion_metric("f1").score([label] * 3, [label] * 3) == expected


def test_metrics_can_be_pickled(counts):
    for metric in (get_confusion_metric("mcc"), cost_metric(fn=-3)):
        copy = pickle.loads(pickle.dumps(metric))
        assert copy.value(*counts) == metric.value(*counts)
        assert copy.name == metric.name


# -- bad input -------------------------------------------------------------------------


def test_unknown_name_lists_the_known():
    with pytest.raises(ValueError, match=r"one of \['accuracy'.*got 'f3'"):
        get_confusion_metric("f3")


@pytest.mark.parametrize("beta", [0.0, -1.0, np.inf, np.nan])
def test_beta_must_be_positive(beta):
    with pytest.raises(ValueError, match="beta must be positive"):
        get_confusion_metric("fbeta", beta)


def test_a_metric_that_is_no_function():
    with pytest.raises(TypeError, match="function must be a callable"):
        get_confusion_metric(3)
    with pytest.raises(TypeError, match="gradient must be a callable"):
        ConfusionMetric(len, gradient=1)


@pytest.mark.parametrize(
    "function",
    [lambda tn, fp, fn, tp: tp / (tp + fp), lambda tn, fp, fn, tp: 1 / int(tp)],
    ids=["nan", "ZeroDivisionError"],
)
def test_a_value_that_is_not_finite_names_metric_and_counts(function):
    metric = ConfusionMetric(function, name="naive")
    message = "metric 'naive' must return a finite number.*tn=5, fp=0, fn=2, tp=0"
    with pytest.raises(ValueError, match=message):
        metric.value(5, 0, 2, 0)
    with pytest.raises(ValueError, match=message):
        metric.values([5, 5], [1, 0], [1, 2], [1, 0])


def test_a_value_that_is_no_number():
    metric = ConfusionMetric(lambda tn, fp, fn, tp: "good", name="word")
    with pytest.raises(TypeError, match="metric 'word' must return a real number"):
        metric.value(1, 1, 1, 1)


def test_bad_arguments_of_score(labels):
    metric = get_confusion_metric("f1")
    with pytest.raises(ValueError, match="average must be one of"):
        metric.score([0, 1], [0, 1], average="micro")
    with pytest.raises(ValueError, match="needs two labels, found 3"):
        metric.score([0, 1, 2], [0, 1, 2], average="binary")
    with pytest.raises(ValueError, match="pos_label='x' is not in the labels"):
        metric.score([0, 1], [0, 1], pos_label="x")
    with pytest.raises(ValueError, match="Only the label 'a' is present"):
        metric.score(["a"], ["a"])
    with pytest.raises(ValueError, match=r"[Nn]egative"):
        metric.score([0, 1], [0, 1], sample_weight=[1, -1])
    with pytest.raises(ValueError, match=r"y_true must be of shape .* got \(0,\)"):
        metric.score([], [])
    with pytest.raises(ValueError, match=r"y_pred must be of shape .* got \(2, 2\)"):
        metric.score([0, 1], [[0, 1], [1, 0]])


def test_probabilities_are_no_labels():
    metric = get_confusion_metric("f1")
    for y in ([0, 1, 1], [0.0, 1.0, 1.0]):
        with pytest.raises(ValueError, match="continuous"):
            metric.score(y, [0.2, 0.7, 0.6])
    assert metric.score([0.0, 1.0, 1.0], [0.0, 1.0, 1.0]) == 1.0


def test_columns_of_labels_are_taken(labels):
    y, predicted, _ = labels
    metric = get_confusion_metric("f1")
    found = metric.score(y[:, np.newaxis], predicted[:, np.newaxis])
    assert found == metric.score(y, predicted)


@pytest.mark.parametrize("gains", [{"fp": np.nan}, {"fp": 0, "fn": 0}])
def test_bad_gains(gains):
    with pytest.raises(ValueError, match=r"must be finite|must not be 0"):
        cost_metric(**gains)


def test_hard_predictions_make_the_confusion_matrix(labels):
    y, predicted, weight = labels
    expected = sk.confusion_matrix(y, predicted, sample_weight=weight).ravel()
    np.testing.assert_allclose(soft_confusion(y, predicted, weight), expected)
