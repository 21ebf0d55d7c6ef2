import numpy as np
import pytest
from sklearn.metrics import f1_score, matthews_corrcoef

from sklogit.metrics import get_confusion_metric, optimal_threshold
from sklogit.metrics._threshold import cut_counts

NAMES = ["accuracy", "balanced_accuracy", "f1", "gmean", "mcc", "jaccard", "kappa"]


def brute_force(y, scores, name, weight=None):
    metric = get_confusion_metric(name)
    cuts = np.concatenate([scores, [scores.min() - 1]])
    return max(
        metric.score(y, (scores > cut).astype(int), pos_label=1, sample_weight=weight)
        for cut in cuts
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_no_cut_is_better(name, ties, weighted):
    rng = np.random.default_rng(3)
    y = (rng.random(60) < 0.3).astype(int)
    scores = rng.standard_normal(60) + y
    scores = scores.round(0) if ties else scores
    weight = rng.integers(0, 4, 60).astype(float) if weighted else None
    threshold, value = optimal_threshold(y, scores, name, sample_weight=weight)
    assert value == pytest.approx(brute_force(y, scores, name, weight), abs=1e-12)
    at_it = get_confusion_metric(name).score(
        y, (scores > threshold).astype(int), pos_label=1, sample_weight=weight
    )
    assert at_it == pytest.approx(value, abs=1e-12)


def test_it_agrees_with_scikit_learn_at_the_threshold():
    rng = np.random.default_rng(0)
    y = rng.choice(["no", "yes"], 80, p=[0.8, 0.2])
    scores = rng.standard_normal(80) + (y == "yes")
    threshold, value = optimal_threshold(y, scores, "f1")
    predicted = np.where(scores > threshold, "yes", "no")
    assert value == pytest.approx(f1_score(y, predicted, pos_label="yes"))


def test_threshold_lies_between_the_scores():
    assert optimal_threshold([0, 1], [1.0, 3.0], "f1") == (2.0, 1.0)


def test_neighbouring_numbers_are_still_cut():
    low = 1.0
    for _ in range(
        2
    ):  # the middle rounds to even: up of the one pair, down of the other
        high = np.nextafter(low, 2.0)
        threshold, value = optimal_threshold([0, 1], [low, high], "accuracy")
        assert value == 1.0
        assert (low > threshold, high > threshold) == (False, True)
        low = high


@pytest.mark.parametrize("y", [[1, 0], [0, 1]])
def test_everything_or_nothing_can_be_best(y):
    # The score is no use: all positive is best for F1, nothing for the accuracy of
    # a wrong order.
    scores = np.array([2.0, 1.0])
    threshold, _ = optimal_threshold(y, scores, "recall")
    assert (scores > threshold)[np.array(y) == 1].all()
    threshold, value = optimal_threshold([0, 1], [2.0, 1.0], "specificity")
    assert (value, (scores > threshold).any()) == (1.0, False)


def test_first_of_equal_values_is_the_largest_threshold():
    # All cuts below the positives have a precision of one.
    found = optimal_threshold([0, 1, 1], [1.0, 2.0, 3.0], "precision")
    assert found == (2.5, 1.0)


def test_pos_label_turns_the_classes():
    y, scores = np.array([0, 0, 1, 1]), np.array([3.0, 2.0, 1.0, 0.0])
    assert optimal_threshold(y, scores, "f1", pos_label=0) == (1.5, 1.0)


def test_function_of_the_user():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 40)
    scores = rng.standard_normal(40) + y

    def correlation(tn, fp, fn, tp):
        below = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
        return 0.0 if below == 0 else (tp * tn - fp * fn) / below**0.5

    threshold, value = optimal_threshold(y, scores, correlation)
    assert value == pytest.approx(matthews_corrcoef(y, scores > threshold))
    assert value == pytest.approx(brute_force(y, scores, "mcc"))


def test_counts_of_all_cuts():
    cuts, counts = cut_counts(np.array([True, False, True]), np.array([2.0, 1.0, 1.0]))
    np.testing.assert_array_equal(counts, [[1, 1, 0], [0, 0, 1], [2, 1, 0], [0, 1, 2]])
    assert len(cuts) == 3


def test_rows_of_weight_zero_make_no_cuts():
    found = optimal_threshold([0, 0, 1], [0.0, 1.0, 2.0], "f1", sample_weight=[1, 0, 1])
    assert found == optimal_threshold([0, 1], [0.0, 2.0], "f1") == (1.0, 1.0)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"y_true": [1, 1]}, "two classes of positive weight"),
        ({"sample_weight": [1.0, 0.0]}, "two classes of positive weight"),
        ({"y_score": [0.0, np.nan]}, "y_score must be finite"),
        ({"y_score": [0.0]}, "inconsistent numbers of samples"),
        ({"pos_label": 7}, "pos_label=7 is not in the labels"),
        ({"metric": "nope"}, "metric must be one of"),
    ],
)
def test_bad_input(kwargs, message):
    given = {"y_true": [0, 1], "y_score": [0.0, 1.0], "metric": "f1", **kwargs}
    with pytest.raises(ValueError, match=message):
        optimal_threshold(**given)
