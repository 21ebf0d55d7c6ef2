"""The tests of the method's specification: formulas, minimum, what it is good for."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from sklogit.few_shot import (
    LogitBiasClassifier,
    uncertainty_factor,
)

from .common import mean_log_loss, means_of_classes, random_shots, two_views, unit

EXACT = {"tol": 1e-12, "max_iter": 3000}


def mean_deviation(u):
    return u.std(axis=1, ddof=1).mean()


@pytest.fixture
def views():
    return two_views()


@pytest.fixture
def binary():
    """Two classes: logits that are right in 75 % of the rows, and telling features."""
    rng = np.random.default_rng(0)
    y = np.arange(400) % 2
    margin = (2 * y - 1) * np.where(rng.uniform(size=400) < 0.75, 1, -1)
    z = np.column_stack([-margin, margin]) * rng.uniform(0.2, 1, (400, 1))
    A = rng.normal(size=(400, 5))
    A[:, 0] += 3 * (2 * y - 1)
    return np.hstack([z, A]), y


# -- training free ---------------------------------------------------------------------


@pytest.mark.parametrize("normalize", ["row", "scale", None])
def test_training_free_is_the_formula_with_class_means(views, normalize):
    X, y, X_test, _ = views
    clf = LogitBiasClassifier(10, alpha=0.7, max_iter=0, normalize=normalize).fit(X, y)
    W = means_of_classes(X[:, 10:], y, 10)
    u = unit(X_test[:, 10:]) @ W.T
    b = {
        "row": (u - u.mean(axis=1, keepdims=True)) / u.std(1, ddof=1, keepdims=True),
        "scale": u / mean_deviation(unit(X[:, 10:]) @ W.T),
        None: u,
    }[normalize]
    factor = uncertainty_factor(X_test[:, :10])
    expected = X_test[:, :10] + 0.7 * factor[:, None] * b
    np.testing.assert_allclose(clf.coef_, W, atol=1e-14)
    np.testing.assert_allclose(clf.bias_logits(X_test), b, atol=1e-12)
    np.testing.assert_allclose(clf.uncertainty_factor(X_test), factor)
    np.testing.assert_allclose(clf.decision_function(X_test), expected, atol=1e-12)
    np.testing.assert_array_equal(clf.predict(X_test), expected.argmax(axis=1))
    probabilities = softmax(expected, axis=1)
    np.testing.assert_allclose(clf.predict_proba(X_test), probabilities, atol=1e-12)
    np.testing.assert_allclose(np.exp(clf.predict_log_proba(X_test)), probabilities)
    assert clf.n_iter_ == 0


def test_without_prior_and_training_it_is_the_nearest_class_mean(views):
    X, y, X_test, _ = (a[:, 10:] if a.ndim == 2 else a for a in views)
    clf = LogitBiasClassifier(max_iter=0, normalize=None).fit(X, y)
    products = unit(X_test) @ means_of_classes(X, y, 10).T
    np.testing.assert_array_equal(clf.predict(X_test), products.argmax(axis=1))
    np.testing.assert_array_equal(clf.zero_shot_logits(X_test), 0)
    np.testing.assert_array_equal(clf.uncertainty_factor(X_test), 1)


def test_alpha_zero_predicts_what_the_prior_does(views):
    X, y, X_test, _ = views
    clf = LogitBiasClassifier(10, alpha=0).fit(X, y)
    np.testing.assert_array_equal(clf.predict(X_test), X_test[:, :10].argmax(axis=1))
    np.testing.assert_array_equal(clf.decision_function(X_test), X_test[:, :10])
    np.testing.assert_array_equal(clf.zero_shot_logits(X_test), X_test[:, :10])


def test_unequal_numbers_of_rows_start_from_true_class_means():
    z, A, y = random_shots()
    assert len(set(np.bincount(y))) > 1
    clf = LogitBiasClassifier(4, max_iter=0).fit(np.hstack([z, A]), y)
    np.testing.assert_allclose(clf.init_coef_, means_of_classes(A, y, 4), atol=1e-14)


def test_scale_makes_initial_biases_of_deviation_one(views):
    X, y, *_ = views
    clf = LogitBiasClassifier(10, max_iter=0).fit(X, y)
    assert mean_deviation(clf.bias_logits(X)) == pytest.approx(1)


# -- the minimum -----------------------------------------------------------------------


def minimum_by_torch(X, y, n_classes, alpha, lambda_merge, l2):
    """Coefficients that minimise the objective as the documentation writes it."""
    z, A = torch.tensor(X[:, :n_classes]), torch.tensor(unit(X[:, n_classes:]))
    target = torch.tensor(y)
    start = torch.tensor(means_of_classes(X[:, n_classes:], y, n_classes))
    scale = (A @ start.T).std(dim=1).mean()
    gain = torch.tensor(alpha * uncertainty_factor(X[:, :n_classes]))[:, None]
    W = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [W],
        max_iter=2000,
        tolerance_grad=1e-12,
        tolerance_change=1e-16,
        line_search_fn="strong_wolfe",
    )

    def closure():
        optimizer.zero_grad()
        b = A @ W.T / scale
        cross_entropy = torch.nn.functional.cross_entropy
        loss = lambda_merge * cross_entropy(z + gain * b, target)
        loss = loss + (1 - lambda_merge) * cross_entropy(b, target)
        loss = loss + l2 / 2 * (((W - start) / scale) ** 2).sum()
        loss.backward()
        return loss

    loss = optimizer.step(closure)
    closure()
    return W.detach().numpy(), closure().item(), loss


@pytest.mark.parametrize("n_features", [6, 200])  # fewer and more than rows
def test_lbfgs_finds_the_minimum_that_torch_finds(n_features):
    z, A, y = random_shots(n_features=n_features)
    X = np.hstack([z, A])
    clf = LogitBiasClassifier(4, alpha=0.8, lambda_merge=0.6, **EXACT).fit(X, y)
    W, loss, _ = minimum_by_torch(X, y, 4, 0.8, 0.6, 4 / (30 * 16))
    np.testing.assert_allclose(clf.coef_, W, atol=1e-5)
    assert clf.loss_ == pytest.approx(loss, abs=1e-8)


def test_without_prior_and_start_it_is_logistic_regression():
    _, A, y = random_shots(n_rows=60)
    l2 = 1e-3
    clf = LogitBiasClassifier(
        init="zeros", lambda_merge=0, normalize=None, l2=l2, **EXACT
    ).fit(A, y)
    expected = LogisticRegression(
        fit_intercept=False, C=1 / (60 * l2), tol=1e-10, max_iter=5000
    ).fit(unit(A), y)
    centred = expected.coef_ - expected.coef_.mean(axis=0)
    np.testing.assert_allclose(clf.coef_, centred, atol=1e-4)


def test_lambda_zero_learns_nothing_from_the_prior():
    z, A, y = random_shots()
    params = {"lambda_merge": 0, **EXACT}
    first = LogitBiasClassifier(4, **params).fit(np.hstack([z, A]), y)
    other = LogitBiasClassifier(4, **params).fit(np.hstack([-5 * z, A]), y)
    np.testing.assert_allclose(first.coef_, other.coef_, atol=1e-8)


def test_an_infinite_penalty_keeps_the_class_means(views):
    X, y, *_ = views
    clf = LogitBiasClassifier(10, l2=np.inf).fit(X, y)
    np.testing.assert_array_equal(clf.coef_, clf.init_coef_)
    nearly = LogitBiasClassifier(10, l2=1e6).fit(X, y)
    np.testing.assert_allclose(nearly.coef_, clf.coef_, atol=1e-5)
    adamw = LogitBiasClassifier(10, l2=np.inf, solver="adamw").fit(X, y)
    np.testing.assert_array_equal(adamw.coef_, clf.coef_)


def test_coefficients_may_start_from_and_shrink_to_given_ones():
    z, A, y = random_shots()
    X, init = np.hstack([z, A]), np.random.default_rng(3).normal(size=(4, 6))
    classes = [2, 0, 3, 1]
    clf = LogitBiasClassifier(4, init=init, l2=np.inf, classes=classes).fit(X, y)
    np.testing.assert_array_equal(clf.coef_[classes], init)
    with pytest.raises(ValueError, match=r"init must have .*\(4, 6\).*\(6, 4\)"):
        LogitBiasClassifier(4, init=init.T).fit(X, y)
    with pytest.raises(ValueError, match="init must be finite"):
        LogitBiasClassifier(4, init=np.full((4, 6), np.nan)).fit(X, y)


def test_rows_may_be_standardised_with_lbfgs_too(views):
    X, y, X_test, y_test = views
    clf = LogitBiasClassifier(10, normalize="row", l2=0.01).fit(X, y)
    assert clf.loss_ < clf.loss_curve_[0]
    expected = 0.35 * mean_log_loss(clf.decision_function(X), y)
    expected += 0.65 * mean_log_loss(clf.bias_logits(X), y)
    unit_of_penalty = mean_deviation(unit(X[:, 10:]) @ clf.init_coef_.T)
    moved = (clf.coef_ - clf.init_coef_) / unit_of_penalty
    assert clf.loss_ == pytest.approx(expected + 0.005 * (moved**2).sum())
    assert clf.score(X_test, y_test) > 0.75


def test_adamw_trains_what_autograd_and_torch_train(views):
    X, y, *_ = views
    params = {"alpha": 1.0, "solver": "adamw", "max_iter": 3, "learning_rate": 0.01}
    clf = LogitBiasClassifier(10, **params, random_state=0).fit(X, y)
    z, A, target = (
        torch.tensor(X[:, :10]),
        torch.tensor(unit(X[:, 10:])),
        torch.tensor(y),
    )
    W = torch.tensor(means_of_classes(X[:, 10:], y, 10)).requires_grad_()
    gain = torch.tensor(uncertainty_factor(X[:, :10]))[:, None]
    optimizer = torch.optim.AdamW([W], lr=0.01, weight_decay=0.01, eps=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 3 * 5)
    order_rng, entropy = np.random.RandomState(0), torch.nn.functional.cross_entropy
    for _ in range(3):
        for batch in torch.tensor(order_rng.permutation(40)).split(8):
            optimizer.zero_grad()
            u = A[batch] @ W.T
            b = (u - u.mean(1, keepdim=True)) / u.std(1, keepdim=True)
            fused = z[batch] + gain[batch] * b
            loss = 0.35 * entropy(fused, target[batch]) + 0.65 * entropy(
                b, target[batch]
            )
            loss.backward()
            optimizer.step()
            schedule.step()
    assert clf.normalize_ == "row"
    np.testing.assert_allclose(clf.coef_, W.detach(), atol=1e-10)


def test_adamw_is_repeatable_and_its_epochs_are_counted(views):
    X, y, *_ = views
    params = {"solver": "adamw", "max_iter": 4, "random_state": 3}
    first, again = (LogitBiasClassifier(10, **params).fit(X, y) for _ in range(2))
    np.testing.assert_array_equal(first.coef_, again.coef_)
    assert first.n_iter_ == len(first.loss_curve_) == 4
    other = LogitBiasClassifier(10, **params | {"random_state": 4}).fit(X, y)
    assert not np.array_equal(first.coef_, other.coef_)


# -- what it is good for ---------------------------------------------------------------


def test_one_shot_beats_the_prior_and_the_features_alone():
    gains = []
    for seed in range(3):
        X, y, X_test, y_test = two_views(1, seed)
        clf = LogitBiasClassifier(10, alpha=1.0).fit(X, y)
        prior = (X_test[:, :10].argmax(axis=1) == y_test).mean()
        alone = LogisticRegression().fit(X[:, 10:], y).score(X_test[:, 10:], y_test)
        gains.append(clf.score(X_test, y_test) - max(prior, alone))
    assert np.mean(gains) >= 0.04


def test_class_means_are_a_better_start_than_chance():
    # For the recipe of the paper, which does not train to the end.
    params = {"alpha": 1.0, "solver": "adamw", "max_iter": 30, "random_state": 0}
    gains = []
    for seed in range(3):
        X, y, X_test, y_test = two_views(1, seed)
        scores = [
            LogitBiasClassifier(10, init=init, **params).fit(X, y).score(X_test, y_test)
            for init in ("class_mean", "random")
        ]
        gains.append(scores[0] - scores[1])
    assert np.mean(gains) > 0.01


def test_two_classes_learn(binary):
    X, y = binary
    clf = LogitBiasClassifier(2, alpha=1.0).fit(X[:20], y[:20])
    prior = (X[20:, :2].argmax(axis=1) == y[20:]).mean()
    assert clf.score(X[20:], y[20:]) > prior + 0.15
    logits = clf.decision_function(X)
    assert logits.shape == (400,)
    np.testing.assert_allclose(clf.predict_proba(X)[:, 1], 1 / (1 + np.exp(-logits)))
    np.testing.assert_array_equal(clf.predict(X), logits > 0)
    np.testing.assert_array_equal(
        clf.uncertainty_factor(X), uncertainty_factor(X[:, :2], "entropy")
    )


@pytest.mark.parametrize("solver", ["lbfgs", "adamw"])
def test_two_classes_are_never_standardised_by_row(binary, solver):
    X, y = binary
    with pytest.raises(ValueError, match="two classes"):
        LogitBiasClassifier(2, normalize="row", solver=solver).fit(X, y)
    clf = LogitBiasClassifier(2, solver=solver, max_iter=5, tol=0.1).fit(X, y)
    assert clf.normalize_ == "scale"


def test_zeros_cannot_be_standardised_by_row(views):
    X, y, *_ = views
    with pytest.raises(ValueError, match="init='zeros'"):
        LogitBiasClassifier(10, normalize="row", init="zeros").fit(X, y)
