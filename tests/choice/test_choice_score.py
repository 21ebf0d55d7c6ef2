import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, make_scorer

from sklogit.choice import ConditionalLogit, choice_log_likelihood

from .logs import loop_loss, make_log


def utilities(X):
    return X @ np.array([1.0, 0.5, -1.0]) - 0.3


@pytest.mark.parametrize("outside", [True, False])
def test_it_is_the_mean_over_impressions(outside):
    X, y, groups = make_log(outside=outside)
    theta = np.array([1.0, 0.5, -1.0, -0.3])
    expected = -loop_loss(theta, X, y, groups, C=np.inf, outside=outside) / 200
    shuffled = np.random.default_rng(0).permutation(len(y))
    for order in (np.arange(len(y)), shuffled):
        found = choice_log_likelihood(
            y[order],
            utilities(X)[order],
            groups=groups[order],
            outside_option=outside,
        )
        assert found == pytest.approx(expected, rel=1e-12)


def test_it_is_the_mean_of_the_log_likelihood_of_the_model():
    X, y, groups = make_log()
    clf = ConditionalLogit().fit(X, y, groups)
    weight = 1.0 + groups % 3
    found = choice_log_likelihood(
        y, clf.decision_function(X), groups=groups, sample_weight=weight
    )
    total = clf.log_likelihood(X, y, groups, weight)
    of_impressions = weight[np.unique(groups, return_index=True)[1]]
    assert found == pytest.approx(total / of_impressions.sum(), rel=1e-12)


def test_of_single_rows_it_is_the_log_loss_of_logistic_regression():
    X, y, _ = make_log()
    clf = LogisticRegression().fit(X, y)
    scorer = make_scorer(choice_log_likelihood, response_method="decision_function")
    expected = -log_loss(y, clf.predict_proba(X))
    assert scorer(clf, X, y) == pytest.approx(expected, rel=1e-10)


def test_the_model_of_choices_scores_above_that_of_single_rows():
    X, y, groups = make_log(4000)
    half = groups < 2000
    scores = []
    for clf in (ConditionalLogit(), LogisticRegression()):
        params = {"groups": groups[half]} if isinstance(clf, ConditionalLogit) else {}
        fitted = clf.fit(X[half], y[half], **params)
        found = fitted.decision_function(X[~half])
        scores.append(choice_log_likelihood(y[~half], found, groups=groups[~half]))
    assert scores[0] > scores[1] + 0.01


def test_labels_may_have_names_and_a_fold_no_choice():
    X, y, groups = make_log()
    expected = choice_log_likelihood(y, utilities(X), groups=groups)
    named = np.where(y, "yes", "no")
    found = choice_log_likelihood(named, utilities(X), groups=groups, pos_label="yes")
    assert found == expected
    with pytest.raises(ValueError, match="pos_label"):
        choice_log_likelihood(named, utilities(X), groups=groups)
    assert choice_log_likelihood([0, 0], [0.0, 0.0]) == pytest.approx(-np.log(2))


def test_bad_utilities_and_choices_are_refused():
    with pytest.raises(ValueError, match="y_score contains NaN"):
        choice_log_likelihood([0, 1], [0.0, np.nan])
    with pytest.raises(ValueError, match="inconsistent numbers"):
        choice_log_likelihood([0, 1], [0.0])
    with pytest.raises(ValueError, match="more than one chosen row"):
        choice_log_likelihood([1, 1], [0.0, 0.0], groups=[0, 0])
    with pytest.raises(ValueError, match="no chosen row"):
        choice_log_likelihood([0, 0], [0.0, 0.0], groups=[0, 0], outside_option=False)
    with pytest.raises(ValueError, match="sample_weight must be the same"):
        choice_log_likelihood([0, 1], [0.0, 0.0], groups=[0, 0], sample_weight=[1, 2])
