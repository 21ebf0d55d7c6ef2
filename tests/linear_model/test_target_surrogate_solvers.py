"""The parts below the estimators by target-based surrogates."""

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import check_grad

from sklogit.linear_model._surrogate_design import CenteredDesign
from sklogit.linear_model._surrogate_losses import (
    classification_loss,
    regression_loss,
)
from sklogit.linear_model._surrogate_objective import TargetObjective
from sklogit.linear_model._surrogate_outer import StepSizes, closed_loop
from sklogit.linear_model._surrogate_projection import make_projection
from sklogit.linear_model._surrogate_search import wolfe_search

RNG = np.random.default_rng(0)
LOSSES = {
    "binary": (classification_loss("log_loss", 2), np.arange(20) % 2, 1),
    "multinomial": (classification_loss("log_loss", 4), np.arange(20) % 4, 4),
    "squared_error": (regression_loss("squared_error", 1), RNG.normal(size=(20, 2)), 2),
    "huber": (regression_loss("huber", 0.7), RNG.normal(size=(20, 2)), 2),
    "poisson": (regression_loss("poisson", 1), RNG.poisson(3.0, size=(20, 2)), 2),
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_is_that_of_the_loss(name):
    loss, y, p = LOSSES[name]

    def mean(z):
        return loss.oracle(z.reshape(20, p), y, None)[0]

    def gradient(z):
        return loss.oracle(z.reshape(20, p), y, None)[1].ravel() / 20

    z = np.random.default_rng(1).normal(size=20 * p)
    assert check_grad(mean, gradient, z) < 1e-6


@pytest.mark.parametrize("name", LOSSES)
def test_weights_weigh_the_loss_and_not_the_gradient(name):
    loss, y, p = LOSSES[name]
    Z, weight = np.random.default_rng(2).normal(size=(20, p)), np.arange(20) % 3
    value, G = loss.oracle(Z, y, weight)
    repeated, _ = loss.oracle(np.repeat(Z, weight, axis=0), np.repeat(y, weight, 0))
    assert value == pytest.approx(repeated)
    np.testing.assert_array_equal(G, loss.oracle(Z, y, None)[1])


@pytest.mark.parametrize("name", ["binary", "multinomial", "squared_error", "huber"])
def test_loss_and_surrogate_of_eta_are_an_upper_bound(name):
    loss, y, p = LOSSES[name]
    rng = np.random.default_rng(3)
    for scale in (0.1, 1.0, 10.0):
        for _ in range(100):
            Z, dZ = scale * rng.normal(size=(2, 20, p))
            value, G = loss.oracle(Z, y, None)
            bound = value + np.mean(
                (G * dZ).sum(axis=1) + (dZ**2).sum(axis=1) / (2 * loss.eta)
            )
            assert loss.oracle(Z + dZ, y, None)[0] <= bound + 1e-12


@pytest.mark.parametrize("name", ["binary", "squared_error", "huber"])
def test_eta_cannot_be_larger(name):
    loss, y, p = LOSSES[name]
    # Curvature is largest where the logit, or the error, is zero.
    Z = np.zeros((20, p)) if name == "binary" else y.astype(float)
    value, G = loss.oracle(Z, y, None)
    dZ = np.full_like(Z, 1e-3)
    bound = value + np.mean(
        (G * dZ).sum(axis=1) + (dZ**2).sum(axis=1) / (2.2 * loss.eta)
    )
    assert loss.oracle(Z + dZ, y, None)[0] > bound


def test_poisson_stays_finite_however_long_the_step():
    loss, y, _ = LOSSES["poisson"]
    value, G = loss.oracle(np.full((20, 2), 1e6), y, None)
    assert np.isfinite(value)
    assert np.isfinite(G).all()


# -- the linear model ------------------------------------------------------------------


def data(shape, kind, dtype=np.float64):
    rng = np.random.default_rng(4)
    X = (rng.normal(size=shape) + 1) * (rng.random(shape) < 0.6)
    X[:, -1] = X[:, 0]  # rank deficient
    weight = rng.random(shape[0])
    X = X.astype(dtype)
    return (sparse.csr_matrix(X) if kind == "sparse" else X), X, weight


@pytest.mark.parametrize("kind", ["dense", "sparse"])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_design_maps_parameters_to_targets_and_back(kind, fit_intercept):
    X, dense, weight = data((12, 5), kind)
    design = CenteredDesign(X, weight, fit_intercept)
    coef, intercept = np.random.default_rng(5).normal(size=(2, 5)), np.array([1.0, -2])
    intercept = intercept * fit_intercept
    theta = design.encode(coef, intercept)
    np.testing.assert_allclose(design.apply(theta), dense @ coef.T + intercept)
    for ours, original in zip(design.decode(theta), (coef, intercept)):
        np.testing.assert_allclose(ours, original, atol=1e-14)


@pytest.mark.parametrize("kind", ["dense", "sparse"])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_adjoint_is_the_adjoint(kind, fit_intercept):
    X, _, weight = data((12, 5), kind)
    design = CenteredDesign(X, weight, fit_intercept)
    rng = np.random.default_rng(6)
    theta, G = rng.normal(size=(5 + fit_intercept, 3)), rng.normal(size=(12, 3))
    expected = (weight / weight.sum()) @ (design.apply(theta) * G).sum(axis=1)
    assert np.vdot(theta, design.adjoint(G)) == pytest.approx(expected)
    assert design.inner(design.apply(theta), G) == pytest.approx(expected)


# -- inner solvers ---------------------------------------------------------------------


def brute_force(design, gradient, ridge):
    """Minimum-norm solution by the pseudo-inverse of M, column by column of it."""
    rows = len(gradient)
    M = np.column_stack(
        [design.adjoint(design.apply(e[:, None])) for e in np.eye(rows)]
    )
    M[: design.n_features, : design.n_features] += ridge * np.eye(design.n_features)
    return np.linalg.pinv(M, rcond=1e-11) @ gradient


@pytest.mark.parametrize("kind", ["dense", "sparse"])
@pytest.mark.parametrize("shape", [(40, 6), (6, 40)], ids=["tall", "wide"])
@pytest.mark.parametrize("ridge", [0.0, 0.1])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("inner", ["exact", "cg", "armijo"])
def test_inner_solvers_agree_with_the_pseudo_inverse(
    kind, shape, ridge, fit_intercept, inner
):
    X, _, weight = data(shape, kind)
    design = CenteredDesign(X, weight, fit_intercept)
    G = np.random.default_rng(7).normal(size=(shape[0], 2))
    gradient = design.adjoint(G)
    D = make_projection(design, inner, ridge, 3000)(gradient)
    expected = brute_force(design, gradient, ridge)
    np.testing.assert_allclose(design.apply(D), design.apply(expected), atol=1e-6)
    if inner == "exact":
        np.testing.assert_allclose(D, expected, atol=1e-8)


@pytest.mark.parametrize("shape", [(40, 6), (6, 40)], ids=["tall", "wide"])
def test_ridge_acts_on_what_the_data_do_not_reach(shape):
    # The penalty of a warm start has a gradient in all directions.
    X, _, weight = data(shape, "dense")
    design = CenteredDesign(X, weight, True)
    gradient = np.random.default_rng(12).normal(size=(shape[1] + 1, 2))
    D = make_projection(design, "exact", 0.1, 1)(gradient)
    np.testing.assert_allclose(D, brute_force(design, gradient, 0.1), atol=1e-8)


def test_conjugate_gradients_for_sparse_data_of_many_features():
    X = sparse.random(50, 2100, density=0.02, format="csr", random_state=0)
    design = CenteredDesign(X, None, True)
    gradient = design.adjoint(np.random.default_rng(8).normal(size=(50, 1)))
    D = make_projection(design, "exact", 0.01, 1)(gradient)
    expected = make_projection(
        CenteredDesign(X.toarray(), None, True), "exact", 0.01, 1
    )
    np.testing.assert_allclose(D, expected(gradient), atol=1e-5)


@pytest.mark.parametrize("condition", [1e2, 1e6, 1e10])
def test_exact_solve_keeps_its_accuracy_when_ill_conditioned(condition):
    rng = np.random.default_rng(9)
    U, _ = np.linalg.qr(rng.normal(size=(200, 10)))
    # Turned, as factorisations do not mind the mere scale of a column.
    turn, _ = np.linalg.qr(rng.normal(size=(10, 10)))
    X = U * np.logspace(0, -np.log10(condition), 10) @ turn
    design = CenteredDesign(X, None, False)
    G = rng.normal(size=(200, 1))
    D = make_projection(design, "exact", 0.0, 1)(design.adjoint(G))
    # The projection on the columns of U, which do not depend on the condition.
    # X^T G alone has an error of the machine precision times the condition.
    tolerance = 1e-14 * condition + 1e-12
    np.testing.assert_allclose(design.apply(D), U @ (U.T @ G), atol=tolerance)


def test_one_gradient_step_is_a_multiple_of_the_gradient():
    X, _, weight = data((30, 4), "dense")
    design = CenteredDesign(X, weight, True)
    gradient = design.adjoint(np.random.default_rng(10).normal(size=(30, 1)))
    project = make_projection(design, "armijo", 0.0, 1)
    ratio = project(gradient) / gradient
    np.testing.assert_allclose(ratio, ratio[0, 0])
    # The exact minimiser along the gradient: <g, g> / <Xg, Xg>.
    image = design.apply(gradient)
    expected = np.vdot(gradient, gradient) / design.inner(image, image)
    assert ratio[0, 0] == pytest.approx(expected)
    assert project.n_steps == 1


ALPHA, ETA = 0.2, 4.0


def penalised(inner):
    """A penalised logistic objective, and weights that its tests need."""
    X, _, weight = data((30, 4), "dense")
    design = CenteredDesign(X, weight, True)
    objective = TargetObjective(
        design,
        make_projection(design, inner, ALPHA * ETA, 2),
        LOSSES["binary"][0].oracle,
        np.arange(30) % 2,
        weight,
        alpha=ALPHA,
        ridge=ALPHA * ETA,
        max_calls=100,
    )
    theta = np.random.default_rng(11).normal(size=(5, 1))
    return objective, theta, weight


@pytest.mark.parametrize("inner", ["exact", "cg", "armijo"])
def test_promised_decrease_is_that_of_the_surrogate(inner):
    objective, theta, weight = penalised(inner)
    point = objective.evaluate(theta)
    descent = objective.descent(point)
    new = theta - ETA * descent.D
    dZ = objective.design.apply(new) - point.Z

    def penalty(theta):
        return ALPHA / 2 * (theta[:-1] ** 2).sum()

    rows = (point.G * dZ + dZ**2 / (2 * ETA)).sum(axis=1)
    change = np.average(rows, weights=weight) + penalty(new) - penalty(theta)
    assert ETA * descent.decrease == pytest.approx(-change)


def test_rate_is_the_derivative_along_the_direction():
    objective, theta, _ = penalised("cg")
    start = objective.evaluate(theta)
    descent = objective.descent(start)
    assert objective.rate(start, descent) == pytest.approx(descent.rate)
    here, before, after = (objective.step(start, descent, t) for t in (1, 0.999, 1.001))
    slope = (before.value - after.value) / 0.002
    assert objective.rate(here, descent) == pytest.approx(slope, rel=1e-5)


# -- outer loops -----------------------------------------------------------------------


@pytest.mark.parametrize(("rule", "part"), [("adaptive", 1.0), ("armijo", 0.2)])
def test_checked_steps_keep_their_part_of_the_promise(rule, part):
    objective, theta, _ = penalised("exact")
    promises, descent_of = [], objective.descent

    def recorded(point):
        promises.append(descent_of(point).decrease)
        return descent_of(point)

    objective.descent = recorded
    loop = closed_loop(objective, theta, 500.0, rule)
    iterates = [next(loop) for _ in range(6)]
    for before, after, promise in zip(iterates, iterates[1:], promises):
        assert before.value - after.value >= part * after.eta * promise - 1e-12
    # Twice the first accepted step was refused.
    start = objective.evaluate(theta)
    twice = objective.step(start, descent_of(start), 2 * iterates[1].eta)
    assert start.value - twice.value < part * 2 * iterates[1].eta * promises[0]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("constant", [3, 3, 3, 3]),
        ("sqrt", [3, 3 / 2**0.5, 3 / 3**0.5, 1.5]),
        ("exponential", [3 * 4**-0.25, 1.5, 3 * 4**-0.75, 3 / 4]),
        ("adagrad", [3, 3 / 5**0.5, 1, 3 / 9**0.5]),
    ],
)
def test_step_sizes(rule, expected):
    sizes = StepSizes(rule, 3.0, 4)
    found = [sizes(squared) for squared in (1.0, 4.0, 4.0, 0.0)]
    np.testing.assert_allclose(found, expected)


def line(function):
    """An objective in one parameter t >= 0 along which a search can run."""
    design = CenteredDesign(np.ones((1, 1)), None, False)

    def oracle(Z, y, sample_weight):
        value, slope = function(float(Z[0, 0]))
        return value, np.array([[slope]])

    objective = TargetObjective(
        design,
        make_projection(design, "exact", 0.0, 1),
        oracle,
        None,
        None,
        max_calls=50,
    )
    point = objective.evaluate(np.zeros((1, 1)))
    descent = objective.along(np.array([[-1.0]]), objective.gradient(point))
    return objective, point, descent


@pytest.mark.parametrize(
    "function",
    [
        lambda t: ((t - 1) ** 2, 2 * (t - 1)),
        lambda t: ((t - 1e-4) ** 2, 2 * (t - 1e-4)),
        lambda t: ((t - 1e4) ** 2, 2 * (t - 1e4)),
        lambda t: (np.logaddexp(0, -t), -1 / (1 + np.exp(t))),
        lambda t: (np.exp(t) - 2 * t, np.exp(t) - 2),
        lambda t: (np.cos(10 * t) - t, -10 * np.sin(10 * t) - 1),
    ],
)
def test_line_search_meets_the_wolfe_conditions(function):
    objective, point, descent = line(function)
    new = wolfe_search(objective, point, descent)
    t, (start, slope) = float(new.theta[0, 0]), function(0.0)
    value, new_slope = function(t)
    assert value <= start + 1e-4 * t * slope
    assert new_slope >= 0.9 * slope


def test_line_search_takes_one_call_where_the_first_trial_is_good():
    objective, point, descent = line(lambda t: ((t - 1) ** 2, 2 * (t - 1)))
    wolfe_search(objective, point, descent)
    assert objective.n_calls == 2  # the start, and the trial


def test_line_search_gives_up_where_nothing_decreases():
    objective, point, descent = line(lambda t: (t, -1.0))
    assert wolfe_search(objective, point, descent) is None
