"""The estimators by target-based surrogates, from outside."""

import pickle
import warnings

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.base import clone
from sklearn.callback import ScoringMonitor
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
)
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklogit.linear_model import (
    OracleBudgetExceeded,
    TargetSurrogateClassifier,
    TargetSurrogateRegressor,
    expensive_oracle,
    finite_difference_oracle,
)


@pytest.fixture
def binary():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((120, 6)) @ np.diag([1, 2, 5, 0.1, 1, 1])
    y = (X @ [1.0, -0.3, 0.1, 2, 0, 0] + 2 * rng.standard_normal(120) > 0).astype(int)
    return X + 3.0, y


@pytest.fixture
def three_classes():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((150, 5))
    scores = X @ rng.standard_normal((5, 3)) + rng.gumbel(size=(150, 3))
    return X, scores.argmax(axis=1)


@pytest.fixture
def values():
    rng = np.random.default_rng(2)
    X = rng.standard_normal((80, 4)) + 1.0
    return X, X @ [1.0, -2.0, 0.5, 0.0] + 3 + 0.3 * rng.standard_normal(80)


def logistic_oracle(Z, y, sample_weight=None):
    """The logistic loss, written independently of the library."""
    losses = np.logaddexp(0, np.where(y == 1, -Z[:, 0], Z[:, 0]))
    return np.average(losses, weights=sample_weight), expit(Z) - y[:, np.newaxis]


class Recorder:
    """An oracle that counts its calls itself, and remembers what it saw."""

    def __init__(self, oracle=logistic_oracle):
        self.oracle, self.n, self.losses, self.Z = oracle, 0, [], []

    def __call__(self, Z, y, sample_weight=None):
        self.n += 1
        self.Z.append(Z.copy())
        loss, G = self.oracle(Z, y, sample_weight)
        self.losses.append(loss)
        return loss, G


CHECKED_RULES = ("adaptive", "armijo")
GIVEN_RULES = ("constant", "sqrt", "exponential", "adagrad")


# -- the same answers as other solvers -------------------------------------------------

SOLVERS = [
    {},
    {"inner": "cg"},
    {"inner": "armijo"},
    {"outer": "momentum", "max_oracle_calls": 2000},
    {"outer": "plain", "max_oracle_calls": 5000},
    {"outer": "plain", "inner": "armijo", "max_oracle_calls": 5000},
    {"outer": "plain", "step_rule": "armijo", "max_oracle_calls": 5000},
    {"outer": "plain", "step_rule": "constant", "max_oracle_calls": 5000},
]


@pytest.mark.parametrize("options", SOLVERS, ids=str)
@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_binary_log_loss_agrees_with_logistic_regression(binary, options, alpha):
    X, y = binary
    C = np.inf if alpha == 0 else 1 / (alpha * len(y))
    peer = LogisticRegression(C=C, tol=1e-10, max_iter=10000).fit(X, y)
    ours = TargetSurrogateClassifier(
        alpha=alpha, tol=1e-7, **{"max_oracle_calls": 400} | options
    ).fit(X, y)
    assert ours.converged_
    np.testing.assert_allclose(ours.coef_, peer.coef_, atol=2e-4)
    np.testing.assert_allclose(ours.intercept_, peer.intercept_, atol=1e-3)
    np.testing.assert_allclose(ours.predict_proba(X), peer.predict_proba(X), atol=1e-4)


@pytest.mark.parametrize("options", SOLVERS, ids=str)
def test_multinomial_log_loss_agrees_with_logistic_regression(three_classes, options):
    X, y = three_classes
    peer = LogisticRegression(C=1 / (0.05 * len(y)), tol=1e-10, max_iter=10000)
    ours = TargetSurrogateClassifier(
        alpha=0.05, tol=1e-7, **{"max_oracle_calls": 400} | options
    )
    expected = peer.fit(X, y).predict_proba(X)
    np.testing.assert_allclose(ours.fit(X, y).predict_proba(X), expected, atol=1e-5)
    np.testing.assert_allclose(
        ours.predict_log_proba(X), np.log(ours.predict_proba(X)), rtol=1e-10
    )


def test_squared_error_is_least_squares_after_one_call(values):
    X, y = values
    with pytest.warns(ConvergenceWarning, match="budget"):
        ours = TargetSurrogateRegressor(
            outer="plain", step_rule="constant", max_oracle_calls=1
        ).fit(X, y)
    peer = LinearRegression().fit(X, y)
    assert ours.n_oracle_calls_ == 1
    np.testing.assert_allclose(ours.coef_, peer.coef_, atol=1e-12)
    assert ours.intercept_ == pytest.approx(peer.intercept_, abs=1e-12)


def test_default_finds_least_squares_in_two_calls(values):
    X, y = values
    ours = TargetSurrogateRegressor().fit(X, y)
    assert (ours.n_oracle_calls_, ours.converged_) == (2, True)
    np.testing.assert_allclose(ours.coef_, LinearRegression().fit(X, y).coef_)


def test_alpha_is_the_penalty_of_ridge(values):
    X, y = values
    ours = TargetSurrogateRegressor(alpha=0.3, tol=1e-10).fit(X, y)
    peer = Ridge(alpha=0.3 * len(y)).fit(X, y)
    np.testing.assert_allclose(ours.coef_, peer.coef_, atol=1e-8)
    assert ours.intercept_ == pytest.approx(peer.intercept_)


def test_poisson_agrees_with_poisson_regressor(values):
    X, z = values
    y = np.random.default_rng(0).poisson(np.exp(z / 3))
    ours = TargetSurrogateRegressor("poisson", alpha=0.1, tol=1e-8).fit(X, y)
    peer = PoissonRegressor(alpha=0.1, tol=1e-10, max_iter=1000).fit(X, y)
    np.testing.assert_allclose(ours.predict(X), peer.predict(X), rtol=1e-5)


def test_huber_minimises_the_huber_loss(values):
    X, y = values
    y = y + 20 * (np.arange(len(y)) % 10 == 0)
    B = np.column_stack([X, np.ones(len(y))])

    def objective(w):
        r = np.abs(B @ w - y)
        return np.mean(np.where(r <= 0.5, r**2 / 2, 0.5 * (r - 0.25)))

    best = minimize(objective, np.zeros(5), method="BFGS", options={"gtol": 1e-9})
    ours = TargetSurrogateRegressor("huber", delta=0.5, tol=1e-8).fit(X, y)
    assert objective(np.append(ours.coef_, ours.intercept_)) <= best.fun + 1e-10


def test_outputs_are_fitted_as_if_alone(values):
    X, y = values
    Y = np.column_stack([y, -2 * y + X[:, 0] ** 2])
    ours = TargetSurrogateRegressor(tol=1e-10).fit(X, Y)
    assert ours.coef_.shape == (2, 4)
    assert ours.predict(X).shape == Y.shape
    for k in range(2):
        one = LinearRegression().fit(X, Y[:, k])
        np.testing.assert_allclose(ours.coef_[k], one.coef_, atol=1e-10)


def test_without_intercept_nothing_is_added(values):
    X, y = values
    ours = TargetSurrogateRegressor(fit_intercept=False).fit(X, y)
    peer = LinearRegression(fit_intercept=False).fit(X, y)
    np.testing.assert_allclose(ours.coef_, peer.coef_)
    assert ours.intercept_ == 0


def test_fixed_hessian_iteration_is_the_constant_rule_with_eta_four(binary):
    X, y = binary
    B = np.column_stack([X, np.ones(len(y))])
    w = np.zeros(B.shape[1])
    for _ in range(15):
        gradient = B.T @ (expit(B @ w) - y)
        w -= np.linalg.solve(B.T @ B / 4, gradient)
    with pytest.warns(ConvergenceWarning):
        ours = TargetSurrogateClassifier(
            outer="plain", step_rule="constant", eta=4.0, max_oracle_calls=15, tol=0
        ).fit(X, y)
    np.testing.assert_allclose(ours.coef_[0], w[:-1], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(ours.intercept_[0], w[-1], rtol=1e-10)


# -- descent and calls -----------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("inner", ["exact", "cg", "armijo"])
@pytest.mark.parametrize("inner_steps", [1, 3, 50])
def test_loss_falls_at_every_step_of_at_most_one_over_l(binary, inner, inner_steps):
    X, y = binary
    for eta in (4.0, 0.5):
        model = TargetSurrogateClassifier(
            outer="plain",
            step_rule="constant",
            eta=eta,
            inner=inner,
            inner_steps=inner_steps,
            max_oracle_calls=30,
        ).fit(X, y)
        assert len(model.loss_curve_) > 2
        assert (np.diff(model.loss_curve_) < 0).all()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("rule", ["adaptive", "armijo"])
@pytest.mark.parametrize("eta", [0.01, 4.0, 1000.0])
def test_checked_steps_never_raise_the_loss(binary, rule, eta):
    X, y = binary
    recorder = Recorder()
    model = TargetSurrogateClassifier(
        recorder, outer="plain", step_rule=rule, eta=eta, max_oracle_calls=40
    ).fit(X, y)
    assert (np.diff(model.loss_curve_) <= 1e-15).all()
    # Each accepted evaluation serves the next step: calls = start + accepted + refused.
    refused = len(recorder.losses) - len(model.loss_curve_)
    assert model.n_oracle_calls_ == 1 + model.n_iter_ + refused
    kept = [loss for loss in recorder.losses if loss in set(model.loss_curve_)]
    np.testing.assert_array_equal(kept, model.loss_curve_)


@pytest.mark.parametrize("eta", [1e-3, 300.0])
def test_budget_that_ends_first_warns_and_keeps_the_best(binary, eta):
    X, y = binary
    recorder = Recorder()
    model = TargetSurrogateClassifier(recorder, max_oracle_calls=3, eta=eta)
    with pytest.warns(ConvergenceWarning, match=r"after 3 calls.*max_oracle_calls=3"):
        model.fit(X, y)
    assert not model.converged_
    Z = model.decision_function(X)[:, np.newaxis]
    assert logistic_oracle(Z, y)[0] == pytest.approx(min(recorder.losses))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("budget", [1, 2, 3, 7, 40])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"outer": "momentum"},
        *(
            {"outer": "plain", "step_rule": rule}
            for rule in (*CHECKED_RULES, *GIVEN_RULES)
        ),
        {"outer": "plain", "step_rule": "sqrt", "batch_size": 32, "inner": "armijo"},
    ],
    ids=str,
)
def test_calls_are_counted_and_never_exceed_the_budget(binary, options, budget):
    X, y = binary
    recorder = Recorder()
    model = TargetSurrogateClassifier(
        recorder, max_oracle_calls=budget, tol=0, eta=50.0, **options
    ).fit(X, y)
    assert model.n_oracle_calls_ == recorder.n <= budget
    if options.get("step_rule") in GIVEN_RULES:
        assert recorder.n == budget == model.n_iter_ == len(model.loss_curve_)


def test_budget_of_the_oracle_itself_keeps_the_best(binary):
    X, y = binary
    oracle = expensive_oracle(logistic_oracle, max_oracle_calls=5)
    with pytest.warns(ConvergenceWarning, match="after 5 calls"):
        model = TargetSurrogateClassifier(oracle, tol=1e-12).fit(X, y)
    assert model.n_oracle_calls_ == oracle.n_calls == 5
    with pytest.raises(OracleBudgetExceeded):
        model.fit(X, y)  # its first call is refused
    assert model.n_oracle_calls_ == 5


def test_cost_of_the_calls(binary):
    model = TargetSurrogateClassifier(oracle_budget_cost=2.5).fit(*binary)
    assert model.oracle_cost_ == 2.5 * model.n_oracle_calls_


def test_far_fewer_calls_than_in_parameter_space():
    X, y = load_digits(return_X_y=True)
    X, y = X / 16, y % 2
    B = np.column_stack([X, np.ones(len(y))])
    h0, best = np.log(2), 0.1662007  # the infimum, by Newton steps

    def calls(losses):
        close = np.minimum.accumulate(losses) - best <= 1e-3 * (h0 - best)
        return 1 + np.flatnonzero(close)[0] if close.any() else len(losses)

    ours, peer = Recorder(), Recorder()
    TargetSurrogateClassifier(ours, eta=4.0).fit(X, y)

    def objective(w):
        loss, G = peer((B @ w)[:, np.newaxis], y)
        return loss, B.T @ G[:, 0] / len(y)

    minimize(objective, np.zeros(65), jac=True, method="L-BFGS-B")
    assert min(ours.losses) - best <= 1e-3 * (h0 - best)
    assert calls(ours.losses) <= 0.2 * calls(peer.losses)


def test_separable_data_do_not_diverge(binary):
    X, _ = binary
    y = (X[:, 0] > 3).astype(int)
    model = TargetSurrogateClassifier().fit(X, y)
    assert np.isfinite(model.coef_).all()
    assert model.score(X, y) == 1.0


# -- the user's own oracle -------------------------------------------------------------


def test_own_oracle_equals_the_named_loss(binary):
    X, y = binary
    named = TargetSurrogateClassifier(eta=4.0, tol=1e-8).fit(X, y)
    own = TargetSurrogateClassifier(logistic_oracle, eta=4.0, tol=1e-8).fit(X, y)
    assert own.n_oracle_calls_ == named.n_oracle_calls_
    np.testing.assert_allclose(own.coef_, named.coef_, atol=1e-7)


def test_oracle_gets_class_indices_and_columns(three_classes, values):
    X, y = three_classes
    seen = []

    def oracle(Z, y, sample_weight):
        seen.append((Z.shape, Z.dtype, y.copy(), sample_weight))
        return float((Z**2).mean()), 2 * Z / Z.shape[1]

    TargetSurrogateClassifier(oracle).fit(
        X.astype(np.float32), np.array(list("abc"))[y]
    )
    shape, dtype, indices, weight = seen[0]
    assert (shape, dtype, weight) == ((150, 3), np.float32, None)
    np.testing.assert_array_equal(indices, y)
    seen.clear()
    X, y = values
    TargetSurrogateRegressor(oracle).fit(X, y, sample_weight=np.full(80, 2.0))
    assert seen[0][0] == seen[0][2].shape == (80, 1)
    np.testing.assert_array_equal(seen[0][3], 2.0)


def test_oracle_may_overwrite_its_targets(binary):
    X, y = binary

    def careless(Z, y, sample_weight):
        result = logistic_oracle(Z, y, sample_weight)
        Z[:] = np.nan
        return result

    careful = TargetSurrogateClassifier(logistic_oracle).fit(X, y)
    np.testing.assert_array_equal(
        TargetSurrogateClassifier(careless).fit(X, y).coef_, careful.coef_
    )


def test_scale_of_the_loss_does_not_matter(binary):
    X, y = binary

    def scaled(Z, y, sample_weight):
        loss, G = logistic_oracle(Z, y, sample_weight)
        return 1e-6 * loss, 1e-6 * G

    plain = TargetSurrogateClassifier(logistic_oracle, tol=1e-6).fit(X, y)
    small = TargetSurrogateClassifier(scaled, tol=1e-6).fit(X, y)
    assert small.converged_
    np.testing.assert_allclose(small.coef_, plain.coef_, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (lambda Z: 1.0, TypeError, "oracle broken must return a pair"),
        (lambda Z: (1.0, None), TypeError, "gradient G of oracle broken"),
        (lambda Z: (1.0, Z[:, 0]), ValueError, r"broken .*\(120, 1\).* got \(120,\)"),
        (lambda Z: (np.nan, Z), ValueError, "loss of oracle broken must be finite"),
        (lambda Z: (1.0, Z * np.inf), ValueError, "gradient G of oracle broken"),
    ],
)
def test_bad_oracle_is_named_and_leaves_the_earlier_fit(binary, bad, error, message):
    X, y = binary
    calls = []

    def broken(Z, y, sample_weight):
        calls.append(0)
        return logistic_oracle(Z, y) if len(calls) < 3 else bad(Z)

    model = TargetSurrogateClassifier().fit(X, y)
    before = {k: v for k, v in vars(model).items() if k.endswith("_")}
    model.set_params(loss=broken)
    with pytest.raises(error, match=message):
        model.fit(X, y)
    for name, value in before.items():
        assert getattr(model, name) is value


def test_wrong_gradient_is_told(binary):
    X, y = binary

    def ascending(Z, y, sample_weight):
        loss, G = logistic_oracle(Z, y)
        return loss, -G

    for outer in ("lbfgs", "plain", "momentum"):
        model = TargetSurrogateClassifier(ascending, outer=outer)
        with pytest.warns(ConvergenceWarning, match=r"oracle ascending decreased"):
            model.fit(X, y)
        assert not model.converged_


def test_values_alone_are_enough(binary):
    X, y = binary

    def values_only(Z, y):
        return np.logaddexp(0, np.where(y == 1, -1, 1) * Z[:, 0])

    oracle = finite_difference_oracle(values_only)
    ours = TargetSurrogateClassifier(oracle, eta=4.0).fit(X, y)
    exact = TargetSurrogateClassifier(logistic_oracle, eta=4.0).fit(X, y)
    np.testing.assert_allclose(ours.coef_, exact.coef_, atol=1e-5)
    assert oracle.n_value_calls == 3 * ours.n_oracle_calls_


def test_finite_differences_of_three_logits(three_classes):
    _, y = three_classes
    Z = np.random.default_rng(0).standard_normal((150, 3)).astype(np.float32)

    def cross_entropy(Z, y):
        return np.log(np.exp(Z).sum(axis=1)) - Z[np.arange(len(Z)), y]

    loss, G = finite_difference_oracle(cross_entropy)(Z, y)
    p = np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(G, p - np.eye(3)[y], atol=1e-6)
    assert loss == pytest.approx(cross_entropy(Z, y).mean(), rel=1e-5)


def test_finite_differences_refuse_bad_input():
    with pytest.raises(TypeError, match="loss_values must be a callable, got int"):
        finite_difference_oracle(1)
    with pytest.raises(ValueError, match="step must be positive"):
        finite_difference_oracle(abs, step=0.0)
    oracle = finite_difference_oracle(lambda Z, y: Z)
    with pytest.raises(ValueError, match=r"shape \(3,\), got \(3, 1\)"):
        oracle(np.zeros((3, 1)), None)


# -- weights, sparse data, dtypes ------------------------------------------------------


@pytest.mark.parametrize("loss", ["log_loss", logistic_oracle])
@pytest.mark.parametrize("inner", ["exact", "cg", "armijo"])
def test_weights_are_repeated_rows(binary, loss, inner):
    X, y = binary
    weight = np.arange(len(y)) % 3
    model = TargetSurrogateClassifier(
        loss, inner=inner, eta=4.0, tol=1e-9, max_oracle_calls=300
    )
    repeated = clone(model).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    weighted = model.fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-6)
    np.testing.assert_allclose(weighted.intercept_, repeated.intercept_, atol=1e-6)


def test_weights_all_zero_are_refused(binary):
    X, y = binary
    with pytest.raises(ValueError, match="at least one non-zero"):
        TargetSurrogateClassifier().fit(X, y, sample_weight=np.zeros(len(y)))


@pytest.mark.parametrize("inner", ["exact", "cg", "armijo"])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("shape", [(120, 6), (20, 40)])
def test_sparse_equals_dense(inner, fit_intercept, shape):
    rng = np.random.default_rng(0)
    X = rng.standard_normal(shape) * (rng.random(shape) < 0.4)
    y = rng.standard_normal(shape[0])
    options = {"inner": inner, "fit_intercept": fit_intercept, "alpha": 0.01}
    weight = 0.5 + rng.random(shape[0])
    dense = TargetSurrogateRegressor(tol=1e-9, **options).fit(X, y, weight)
    ours = TargetSurrogateRegressor(tol=1e-9, **options)
    ours.fit(sparse.csr_matrix(X), y, weight)
    np.testing.assert_allclose(ours.coef_, dense.coef_, atol=1e-6)
    np.testing.assert_allclose(ours.predict(sparse.csr_matrix(X)), dense.predict(X))


def test_sparse_data_are_never_made_dense(monkeypatch):
    X = sparse.random(300, 5000, density=0.01, format="csr", random_state=0)
    y = np.arange(300) % 2

    def refuse(*args, **kwargs):
        raise AssertionError("densified")

    for name in ("toarray", "todense"):
        monkeypatch.setattr(sparse.csr_matrix, name, refuse)
    model = TargetSurrogateClassifier(alpha=0.01).fit(X, y)
    assert model.score(X, y) > 0.9


@pytest.mark.parametrize("sparse_input", [False, True])
def test_float32_stays_float32(three_classes, sparse_input):
    X, y = three_classes
    single = X.astype(np.float32)
    single = sparse.csr_matrix(single) if sparse_input else single
    model = TargetSurrogateClassifier(alpha=0.05).fit(single, y)
    assert model.coef_.dtype == model.intercept_.dtype == np.float32
    assert model.predict_proba(single).dtype == np.float32
    double = TargetSurrogateClassifier(alpha=0.05).fit(X, y)
    np.testing.assert_allclose(model.coef_, double.coef_, atol=2e-3)


# -- interruption, state, callbacks ----------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [{}, {"outer": "momentum"}, {"outer": "plain"}],
    ids=str,
)
def test_interrupt_keeps_the_best_iterate_and_goes_on(binary, options):
    X, y = binary
    recorder = Recorder()

    def interrupted(Z, y, sample_weight):
        if recorder.n == 6:
            raise KeyboardInterrupt
        return recorder(Z, y, sample_weight)

    model = TargetSurrogateClassifier(interrupted, eta=300.0, tol=0, **options)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    Z = model.decision_function(X)[:, np.newaxis]
    assert logistic_oracle(Z, y)[0] == pytest.approx(min(recorder.losses))
    assert model.n_oracle_calls_ == 7  # the interrupted one was paid for
    assert not model.converged_


def test_interrupt_of_constant_steps_keeps_the_best_evaluated(binary):
    X, y = binary
    recorder = Recorder()

    def interrupted(Z, y, sample_weight):
        if recorder.n == 6:
            raise KeyboardInterrupt
        return recorder(Z, y, sample_weight)

    model = TargetSurrogateClassifier(interrupted, outer="plain", step_rule="constant")
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    best = recorder.Z[int(np.argmin(recorder.losses))]
    np.testing.assert_allclose(model.decision_function(X), best[:, 0], atol=1e-9)


def test_interrupt_of_the_first_call_leaves_the_earlier_fit(binary):
    X, y = binary

    def interrupted(Z, y, sample_weight):
        raise KeyboardInterrupt

    model = TargetSurrogateClassifier().fit(X, y)
    before = model.coef_
    with pytest.raises(KeyboardInterrupt):
        model.set_params(loss=interrupted).fit(X, y)
    assert model.coef_ is before


def test_pickle_keeps_model_and_counts(binary):
    X, y = binary
    oracle = expensive_oracle(logistic_oracle)
    model = TargetSurrogateClassifier(oracle).fit(X, y)
    copy = pickle.loads(pickle.dumps(model))
    assert copy.loss.n_calls == model.n_oracle_calls_
    np.testing.assert_array_equal(copy.decision_function(X), model.decision_function(X))


def test_grid_search_in_two_processes_with_an_expensive_oracle(binary):
    X, y = binary
    model = make_pipeline(
        StandardScaler(),
        TargetSurrogateClassifier(expensive_oracle(logistic_oracle, cost_s=1e-4)),
    )
    grid = {"targetsurrogateclassifier__alpha": [0.001, 10.0]}
    search = GridSearchCV(model, grid, cv=3, n_jobs=2).fit(X, y)
    best = search.best_estimator_[-1]
    assert best.alpha == 0.001
    assert best.loss.n_calls == best.n_oracle_calls_


def test_warm_start_goes_on_where_the_last_fit_ended(binary):
    X, y = binary
    model = TargetSurrogateClassifier(tol=1e-8, warm_start=True).fit(X, y)
    coef = model.coef_
    model.fit(X, y)
    assert model.n_oracle_calls_ <= 3
    np.testing.assert_allclose(model.coef_, coef, atol=1e-6)


def test_warm_start_refuses_other_shapes(binary, three_classes, values):
    model = TargetSurrogateClassifier(warm_start=True).fit(*binary)
    with pytest.raises(ValueError, match="warm_start needs the same classes"):
        model.fit(*three_classes)
    X, y = values
    model = TargetSurrogateRegressor(warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match=r"warm_start .* \(1, 4\).* \(1, 3\)"):
        model.fit(X[:, :3], y)


def test_partial_fit_is_one_outer_step_for_one_call(binary):
    X, y = binary
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        full = TargetSurrogateClassifier(
            outer="plain", step_rule="sqrt", max_oracle_calls=4, tol=0
        ).fit(X, y)
    steps = TargetSurrogateClassifier(outer="plain", step_rule="sqrt")
    for t in range(4):
        steps.partial_fit(X, y, classes=[0, 1])
        assert steps.n_oracle_calls_ == steps.n_iter_ == t + 1
    np.testing.assert_allclose(steps.coef_, full.coef_, rtol=1e-12)


def test_partial_fit_goes_on_after_pickling(values):
    X, y = values
    model = TargetSurrogateRegressor("huber", step_rule="adagrad", outer="plain")
    model.partial_fit(X[:40], y[:40])
    copy = pickle.loads(pickle.dumps(model))
    for m in (model, copy):
        m.partial_fit(X[40:], y[40:]).partial_fit(X[:40], y[:40])
    np.testing.assert_array_equal(model.coef_, copy.coef_)


def test_partial_fit_refuses_unknown_labels_and_outputs(binary, values):
    X, y = binary
    model = TargetSurrogateClassifier()
    with pytest.raises(ValueError, match="classes must be passed"):
        model.partial_fit(X, y)
    with pytest.raises(ValueError, match=r"labels that classes has not: \[7\]"):
        model.partial_fit(X, np.where(y == 1, 7, 0), classes=[0, 1])
    X, y = values
    model = TargetSurrogateRegressor().partial_fit(X, y)
    with pytest.raises(ValueError, match="y has 2 outputs"):
        model.partial_fit(X, np.column_stack([y, y]))


def test_batches_learn(three_classes):
    X, y = three_classes
    model = TargetSurrogateClassifier(
        outer="plain",
        step_rule="sqrt",
        inner="armijo",
        inner_steps=5,
        batch_size=32,
        random_state=0,
        max_oracle_calls=60,
    ).fit(X, y)
    full = LogisticRegression().fit(X, y)
    assert model.score(X, y) > full.score(X, y) - 0.05
    again = clone(model).fit(X, y)
    np.testing.assert_array_equal(model.coef_, again.coef_)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 16}, r"batch_size=16 needs outer='plain', got outer='lbfgs'"),
        ({"step_rule": "sqrt"}, r"step_rule='sqrt' does not go with outer='lbfgs'"),
        ({"outer": "momentum", "step_rule": "armijo"}, r"allowed are \['adaptive'"),
        ({"outer": "plain", "batch_size": 16}, r"with batch_size; allowed are"),
    ],
)
def test_parameters_that_contradict_are_refused(binary, options, message):
    with pytest.raises(ValueError, match=message):
        TargetSurrogateClassifier(**options).fit(*binary)


def test_probabilities_need_the_log_loss(binary):
    model = TargetSurrogateClassifier(logistic_oracle).fit(*binary)
    assert not hasattr(model, "predict_proba")


def test_poisson_refuses_negative_values(values):
    X, y = values
    with pytest.raises(ValueError, match="poisson' needs y >= 0"):
        TargetSurrogateRegressor("poisson").fit(X, y - 100)


class CountingCallback:
    """Records the name of each task at its end; may ask to stop."""

    def __init__(self, stop_after=None):
        self.tasks, self.stop_after = [], stop_after

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        self.tasks.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        self.tasks.append(context.task_name)
        return len(self.tasks) == self.stop_after


@pytest.mark.parametrize("options", [{}, {"outer": "plain"}], ids=str)
def test_callbacks_follow_the_outer_steps(values, options):
    X, y = values
    callback = CountingCallback()
    model = TargetSurrogateRegressor("huber", **options).set_callbacks(callback)
    model.fit(X, y)
    assert callback.tasks[-1] == "teardown"
    assert callback.tasks.count("outer-step") == model.n_iter_ > 0


def test_callback_can_stop_the_fit(binary):
    model = TargetSurrogateClassifier().set_callbacks(CountingCallback(stop_after=2))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        model.fit(*binary)
    assert model.n_iter_ == 2


def test_scoring_monitor_scores_every_step(three_classes):
    monitor = ScoringMonitor(scoring="neg_log_loss")
    X, y = three_classes
    model = TargetSurrogateClassifier().set_callbacks(monitor).fit(X, y)
    log = monitor.get_logs(select="most_recent").data_as_pandas
    steps = log[log["task_name"] == "outer-step"]["neg_log_loss"]
    np.testing.assert_allclose(-steps, model.loss_curve_[1:], rtol=1e-6)


def test_progress_bar_follows_the_steps(binary, capsys):
    pytest.importorskip("rich")
    from sklearn.callback import ProgressBar

    TargetSurrogateClassifier().set_callbacks(ProgressBar()).fit(*binary)
    assert "TargetSurrogateClassifier" in capsys.readouterr().out


@pytest.mark.parametrize("inner", ["exact", "cg", "armijo"])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_features_whose_squares_overflow_are_refused(binary, inner, container):
    X, y = binary
    with pytest.raises(ValueError, match=r"X has values up to .*scale X"):
        TargetSurrogateClassifier(inner=inner).fit(container(1e160 * X), y)


def test_steps_that_diverge_are_not_blamed_on_the_oracle(binary):
    X, y = binary
    oracle = Recorder(lambda Z, y, sample_weight: (1.0, expit(Z) - y[:, np.newaxis]))
    model = TargetSurrogateClassifier(
        oracle, outer="plain", step_rule="constant", eta=3e38
    )
    with (
        np.errstate(over="ignore", invalid="ignore"),
        pytest.raises(ValueError, match=r"targets for oracle Recorder .*smaller eta"),
    ):
        model.fit(X.astype(np.float32), y)
    assert oracle.n > 0
    assert all(np.isfinite(Z).all() for Z in oracle.Z)


def test_gradient_that_single_precision_cannot_hold_is_refused(binary):
    X, y = binary

    def huge(Z, y, sample_weight):
        return 1.0, np.full(Z.shape, 1e39)

    with pytest.raises(ValueError, match=r"gradient G of oracle huge.*finite"):
        TargetSurrogateClassifier(huge).fit(X.astype(np.float32), y)


def test_cost_of_an_earlier_fit_is_forgotten(binary):
    model = TargetSurrogateClassifier(oracle_budget_cost=2.0).fit(*binary)
    model.set_params(oracle_budget_cost=None).fit(*binary)
    assert not hasattr(model, "oracle_cost_")


def test_partial_fit_of_a_single_class_is_refused(binary):
    model = TargetSurrogateClassifier()
    with pytest.raises(ValueError, match="at least 2 classes"):
        model.partial_fit(binary[0], np.zeros(120), classes=[0])
    assert not hasattr(model, "classes_")


@pytest.mark.parametrize("cls", [TargetSurrogateClassifier, TargetSurrogateRegressor])
def test_interrupt_in_a_callback_at_the_end_keeps_the_fit(binary, cls):
    class AtTheEnd(CountingCallback):
        def on_fit_task_end(self, estimator, context):
            if context.task_name != "outer-step":
                raise KeyboardInterrupt

    model = cls().set_callbacks(AtTheEnd())
    with pytest.raises(KeyboardInterrupt):
        model.fit(*binary)
    np.testing.assert_array_equal(model.coef_, cls().fit(*binary).coef_)
