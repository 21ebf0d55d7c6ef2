import numpy as np
import pytest
from scipy import sparse

from sklogit.choice import ConditionalLogit
from sklogit.choice._choice_design import choice_design
from sklogit.choice._choice_objective import ChoiceObjective
from sklogit.choice._impressions import Impressions
from sklogit.choice._ranked_impressions import RankedImpressions

from .logs import make_log


def both(groups):
    plain = Impressions.from_labels(groups, len(groups))
    return plain, RankedImpressions(plain)


LABELS = {
    "sorted": np.repeat(np.arange(50), np.arange(50) % 4 + 1),
    "shuffled": np.random.default_rng(0).integers(0, 40, 300),
    "equal": np.repeat(np.arange(60), 3),
    "single": np.arange(20),
    "one": np.zeros(7, dtype=int),
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_sums_and_maxima_are_those_of_the_impressions(labels):
    plain, ranked = both(labels)
    values = np.random.default_rng(1).normal(size=len(labels))
    table = np.random.default_rng(2).normal(size=(len(labels), 3))
    for name in ("sum", "max", "first"):
        expected = getattr(plain, name)(plain.sorted(values))[ranked.groups]
        found = getattr(ranked, name)(ranked.sorted(values))
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        of_columns = getattr(plain, name)(plain.sorted(table).T)[:, ranked.groups]
        found = getattr(ranked, name)(ranked.sorted(table).T)
        np.testing.assert_allclose(found, of_columns, rtol=1e-12)


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_spread_gives_rows_the_value_of_their_impression(labels):
    plain, ranked = both(labels)
    assert sorted(ranked.order) == list(range(len(labels)))
    assert (np.diff(plain.sizes[ranked.groups]) <= 0).all()
    of_groups = plain.first(plain.sorted(labels))[ranked.groups]
    np.testing.assert_array_equal(ranked.spread(of_groups), ranked.sorted(labels))


def test_few_long_vectors_suit_only():
    def suits(labels):
        return RankedImpressions.suits(Impressions.from_labels(labels, len(labels)))

    assert suits(np.repeat(np.arange(100), 3))
    assert not suits(np.repeat(np.arange(10), 10))
    assert not suits(np.repeat(np.arange(1000), 65))


@pytest.mark.parametrize("outside", [True, False])
@pytest.mark.parametrize("n_features", [3, 20])
@pytest.mark.parametrize("weighted", [True, False])
def test_objective_is_the_same_in_any_order_and_for_sparse_rows(
    outside, n_features, weighted
):
    X, y, groups = make_log(n_features=n_features, outside=outside)
    plain, ranked = both(groups)
    weight = np.ones(200)
    if weighted:
        weight = np.random.default_rng(0).uniform(0.5, 2.0, 200)
    theta = np.random.default_rng(1).normal(size=n_features + outside)
    found = []
    for impressions, rows, s in (
        (plain, X, weight),
        (ranked, X, weight[ranked.groups]),
        (plain, sparse.csr_array(X), weight),
    ):
        design, centre = choice_design(rows, impressions, outside, outside)
        chosen = impressions.sorted(y.astype(float))
        penalty = np.zeros(len(theta))
        objective = ChoiceObjective(design, chosen, impressions, s, penalty, outside)
        # Sparse rows keep their origin; it moves the intercept, the last coefficient.
        shift = np.eye(len(theta))
        if outside:
            shift[-1, :-1] = centre
        value, proba = objective.value(shift @ theta)
        gradient = objective.gradient(shift @ theta, proba)
        scores = objective.scores(proba).sum(axis=0)
        hessian = objective.hessian(proba)
        found.append(
            (value, shift.T @ gradient, shift.T @ scores, shift.T @ hessian @ shift)
        )
    for other in found[1:]:
        for expected, values in zip(found[0], other):
            np.testing.assert_allclose(values, expected, rtol=1e-8, atol=1e-8)


def test_hessian_is_the_change_of_the_gradient():
    for n_features in (3, 20):
        X, y, groups = make_log(n_features=n_features)
        ranked = both(groups)[1]
        weight = np.random.default_rng(0).uniform(0.5, 2.0, 200)[ranked.groups]
        design, _ = choice_design(X, ranked, True, True)
        chosen, penalty = ranked.sorted(y.astype(float)), np.ones(n_features + 1)
        objective = ChoiceObjective(design, chosen, ranked, weight, penalty, True)
        theta = 0.3 * np.ones(n_features + 1)
        hessian = objective.hessian(objective.value(theta)[1])
        for j, step in enumerate(1e-5 * np.eye(n_features + 1)):
            up = objective.value_and_gradient(theta + step)[1]
            down = objective.value_and_gradient(theta - step)[1]
            np.testing.assert_allclose(
                (up - down) / 2e-5, hessian[j], rtol=1e-5, atol=1e-5
            )


def test_large_impressions_are_fitted_as_well():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), np.where(np.arange(40) == 0, 200, 3))
    X = rng.normal(size=(len(groups), 2))
    y = np.zeros(len(groups), dtype=int)
    y[np.unique(groups, return_index=True)[1]] = 1
    clf = ConditionalLogit(outside_option=False).fit(X, y, groups)
    again = ConditionalLogit(outside_option=False).fit(sparse.csr_array(X), y, groups)
    np.testing.assert_allclose(clf.coef_, again.coef_, rtol=1e-8)
    assert clf.log_likelihood(X, y, groups) == pytest.approx(clf.log_likelihood_)
