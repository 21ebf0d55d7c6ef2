import numpy as np
import pytest
from scipy.optimize import check_grad, minimize
from scipy.sparse import csr_array
from scipy.special import expit
from sklearn.datasets import load_iris
from sklearn.svm import SVC

from sklogit.linear_model import normalized_gd_path

METHODS = [
    "lr_gd",
    "batch_perceptron",
    "perceptron",
    "normalized_batch_perceptron",
    "normalized_lr_gd",
    "dual_momentum",
]
each_method = pytest.mark.parametrize("method", METHODS)


def worst_case(n):
    """One sample (0.5, -1) against n - 1 samples (-0.5, -1): Theorem 5.1."""
    X = np.full((n, 2), -1.0)
    X[:, 0], X[0, 0] = -0.5, 0.5
    return X, np.arange(n) == 0


def separable(rng, n=None, d=None):
    """Random samples, mirrored and moved apart along a random direction."""
    n = rng.integers(2, 30) if n is None else n
    d = rng.integers(1, 6) if d is None else d
    X, w = rng.standard_normal((n, d)), rng.standard_normal(d)
    y = np.arange(n) % 2
    scores = X @ w / (w @ w)
    gap = rng.uniform(0.1, 1) * np.sign(y - 0.5)
    return X + np.outer(np.where(scores * gap > 0, gap, gap - 2 * scores), w), y


def signed_rows(X, y):
    return np.sign(y - 0.5)[:, np.newaxis] * X


def hull_norm(B):
    """Smallest norm in the convex hull of the rows, by a general QP solver."""
    result = minimize(
        lambda q: np.sum((q @ B) ** 2),
        np.full(len(B), 1 / len(B)),
        jac=lambda q: 2 * B @ (q @ B),
        bounds=[(0, 1)] * len(B),
        constraints={"type": "eq", "fun": lambda q: q.sum() - 1},
        method="SLSQP",
        options={"maxiter": 1000, "ftol": 1e-14},
    )
    return np.linalg.norm(result.x @ B)


def svc_margin(X, y):
    """Largest margin of a hyperplane through the origin."""
    # The mirrored rows in the other class leave the SVM no intercept but 0.
    B = signed_rows(X, y)
    both = np.vstack([B, -B])
    svc = SVC(kernel="linear", C=1e10, tol=1e-5)
    svc.fit(both, np.repeat([1, 0], len(X)))
    return 1 / np.linalg.norm(svc.coef_)


def n_iterations(path):
    return len(path["n_errors"]) - 1


# -- published figures -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "gamma", "expected"),
    [
        ("normalized_lr_gd", 100, 2),
        ("normalized_lr_gd", 10, 2),
        ("normalized_lr_gd", 1, 16),
        ("normalized_lr_gd", 0.1, 157),
        ("lr_gd", 100, 308),
    ],
)
def test_iterations_of_the_papers_worst_case(method, gamma, expected):
    path = normalized_gd_path(*worst_case(1000), method=method, gamma=gamma)
    assert n_iterations(path) == expected
    assert path["n_errors"][-1] == 0
    assert (path["n_errors"][:-1] > 0).all()


def test_loss_and_gradient_grow_on_the_way_to_separation():
    # Theorem 4.1: after one large step the loss is gamma / 8, after the second all is
    # separated.
    gamma = 1e6
    X, y = [[1, -1], [-1, -4]], [1, -1]
    path = normalized_gd_path(X, y, method="lr_gd", gamma=gamma)
    np.testing.assert_allclose(path["theta"][1] / gamma, [1 / 2, 3 / 4])
    np.testing.assert_allclose(path["theta"][2] / gamma, [1, 1 / 4])
    np.testing.assert_allclose(path["loss"][1] / gamma, 1 / 8)
    np.testing.assert_allclose(path["grad_norm"][1], np.sqrt(2) / 2)
    assert path["n_errors"].tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    ("smooth", "limit"),
    [
        ("lr_gd", "batch_perceptron"),
        ("normalized_lr_gd", "normalized_batch_perceptron"),
    ],
)
def test_large_steps_tend_to_the_batch_perceptron(smooth, limit):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60, 5)), np.arange(60) % 3 == 0
    options = {"max_iter": 10, "stop": False}
    path = normalized_gd_path(X, y, method=smooth, gamma=1e9, **options)
    perceptron = normalized_gd_path(X, y, method=limit, **options)
    assert n_iterations(path) == 10
    np.testing.assert_allclose(path["theta"] / 1e9, perceptron["theta"], atol=1e-12)


@pytest.fixture(scope="module")
def separable_sets():
    rng = np.random.default_rng(0)
    return [separable(rng) for _ in range(300)]


@pytest.fixture(scope="module")
def hull_norms(separable_sets):
    return [hull_norm(signed_rows(X, y)) for X, y in separable_sets]


@pytest.mark.parametrize("gamma", [0.1, 1, 10, 100, 1e6])
def test_iterations_keep_the_bound_of_theorem_6_1(gamma, separable_sets, hull_norms):
    for (X, y), mu in zip(separable_sets, hull_norms, strict=True):
        squared_radius = (X**2).sum(axis=1).max()
        bound = (squared_radius + 2 * np.log(2 * len(X) - 1) / gamma) / mu**2
        limit = min(int(bound), 20_000)
        path = normalized_gd_path(X, y, gamma=gamma, max_iter=limit)
        assert path["n_errors"][-1] == 0


@pytest.mark.parametrize("method", ["perceptron", "normalized_batch_perceptron"])
def test_perceptrons_keep_their_bound(method, separable_sets, hull_norms):
    for (X, y), mu in zip(separable_sets, hull_norms, strict=True):
        bound = (X**2).sum(axis=1).max() / mu**2
        limit = min(int(bound), 20_000)
        path = normalized_gd_path(X, y, method=method, max_iter=limit)
        assert path["n_errors"][-1] == 0


# -- certificates ----------------------------------------------------------------------


@pytest.fixture(scope="module", params=[False, True])
def sets_with_margins(request):
    rng, sets = np.random.default_rng(1), []
    for _ in range(4):
        X, y = separable(rng, n=40, d=3)
        columns = np.column_stack([X, np.ones(40)]) if request.param else X
        sets.append((X, y, request.param, svc_margin(columns, y)))
    return sets


@each_method
def test_bounds_enclose_the_margin_of_the_support_vector_machine(
    method, sets_with_margins
):
    for X, y, fit_intercept, mu in sets_with_margins:
        path = normalized_gd_path(
            X, y, method=method, fit_intercept=fit_intercept, max_iter=300, stop=False
        )
        assert (path["margin_lower"] <= mu * (1 + 1e-5)).all()
        assert (path["margin_upper"] >= mu * (1 - 1e-5)).all()


def test_bounds_of_dual_momentum_close():
    X, y = load_iris(return_X_y=True)
    X, y = X[y < 2], y[y < 2]
    path = normalized_gd_path(
        X, y, method="dual_momentum", fit_intercept=True, max_iter=3000, stop=False
    )
    mu = svc_margin(np.column_stack([X, np.ones(len(X))]), y)
    np.testing.assert_allclose(path["margin_lower"].max(), mu, rtol=0.01)
    np.testing.assert_allclose(path["margin_upper"].min(), mu, rtol=0.01)


def test_upper_bound_vanishes_where_no_hyperplane_separates():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((200, 3)), rng.integers(2, size=200)
    path = normalized_gd_path(X, y, method="dual_momentum", max_iter=3000)
    assert path["margin_upper"][-1] < 1e-4 * np.linalg.norm(X, axis=1).max()


# -- what is recorded ------------------------------------------------------------------


def test_gradient_descent_follows_the_gradient_of_the_recorded_loss():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 4)), rng.integers(2, size=30)
    B = signed_rows(X, y)

    def loss(theta):
        return np.logaddexp(0, -B @ theta).mean()

    def gradient(theta):
        return -(B.T @ expit(-B @ theta)) / len(B)

    path = normalized_gd_path(X, y, method="lr_gd", gamma=2.0, max_iter=5)
    for t in range(5):
        theta = path["theta"][t]
        assert check_grad(loss, gradient, theta) < 1e-6
        np.testing.assert_allclose(path["loss"][t], loss(theta))
        np.testing.assert_allclose(
            path["grad_norm"][t], np.linalg.norm(gradient(theta))
        )
        np.testing.assert_allclose(path["theta"][t + 1] - theta, -2 * gradient(theta))


def test_normalized_step_divides_by_the_mean_sigmoid():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 4)), rng.integers(2, size=30)
    B = signed_rows(X, y)
    path = normalized_gd_path(X, y, gamma=0.7, max_iter=5)
    for theta, following in zip(path["theta"][:-1], path["theta"][1:], strict=True):
        s = expit(-B @ theta)
        expected = 0.7 * (B.T @ s / len(B)) / s.mean()
        np.testing.assert_allclose(following - theta, expected)


def test_perceptron_adds_the_first_wrong_sample():
    X, y = np.array([[1.0, 0.0], [-1.0, 0.5], [0.0, 1.0]]), np.array([1, 1, 0])
    B = signed_rows(X, y)
    theta = normalized_gd_path(X, y, method="perceptron", max_iter=40)["theta"]
    wrong = [np.flatnonzero(B @ w <= 0)[0] for w in theta[:-1]]
    np.testing.assert_array_equal(np.diff(theta, axis=0), B[wrong])
    assert wrong[:2] == [0, 1]


def test_dual_momentum_follows_its_recursion():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 3)), rng.integers(2, size=20)
    B = signed_rows(X, y)
    squared_radius = (X**2).sum(axis=1).max()
    theta, g, G, C = np.zeros(3), np.zeros(3), 0.0, 0.0
    path = normalized_gd_path(X, y, method="dual_momentum", max_iter=6, stop=False)
    for t in range(6):
        q = np.exp(-B @ theta)
        u, b = B.T @ q / q.sum(), t / (t + 1)
        g, G = b * (g + u), b * (G + 1)
        theta, C = theta + (g + u) / squared_radius, C + (G + 1) / squared_radius
        np.testing.assert_allclose(path["theta"][t + 1], theta)
        np.testing.assert_allclose(
            path["margin_upper"][t + 1], np.linalg.norm(theta) / C
        )


@each_method
def test_path_starts_at_zero_where_every_sample_is_an_error(method):
    X, y = worst_case(10)
    path = normalized_gd_path(X, y, method=method, max_iter=1)
    assert not path["theta"][0].any()
    assert path["n_errors"][0] == 10
    assert path["loss"][0] == pytest.approx(np.log(2))
    assert path["margin_lower"][0] == -np.inf
    assert path["margin_upper"][0] == np.inf


@each_method
def test_path_stops_at_the_first_iterate_without_errors(method):
    X, y = load_iris(return_X_y=True)
    X, y = X[y < 2], y[y < 2]
    path = normalized_gd_path(X, y, method=method, max_iter=500)
    assert n_iterations(path) < 500
    assert np.flatnonzero(path["n_errors"] == 0).tolist() == [n_iterations(path)]
    longer = normalized_gd_path(X, y, method=method, max_iter=500, stop=False)
    assert n_iterations(longer) == 500
    for name, values in path.items():
        np.testing.assert_array_equal(values, longer[name][: len(values)])


@each_method
def test_nothing_overflows_long_after_separation(method):
    X, y = worst_case(20)
    path = normalized_gd_path(
        X, y, method=method, gamma=1e8, max_iter=10_000, stop=False
    )
    assert n_iterations(path) == 10_000
    assert path["n_errors"][-1] == 0
    for values in path.values():
        assert np.isfinite(values[1:]).all()


# -- input -----------------------------------------------------------------------------


def test_second_label_in_sorted_order_is_the_positive_class():
    X, y = worst_case(20)
    path = normalized_gd_path(X, y)
    labels = normalized_gd_path(X, np.where(y, "b", "a"))
    np.testing.assert_array_equal(labels["theta"], path["theta"])
    assert ((X @ path["theta"][-1] > 0) == y).all()


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_sparse_samples_give_the_path_of_dense_ones(fit_intercept):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 5)), rng.integers(2, size=30)
    X[rng.random(X.shape) < 0.6] = 0
    options = {"fit_intercept": fit_intercept, "max_iter": 8, "method": "dual_momentum"}
    dense = normalized_gd_path(X, y, **options)
    sparse = normalized_gd_path(csr_array(X), y, **options)
    for name, values in dense.items():
        np.testing.assert_allclose(sparse[name], values, rtol=1e-9)


def test_intercept_is_the_coefficient_of_a_column_of_ones():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 5)), rng.integers(2, size=30)
    path = normalized_gd_path(X, y, fit_intercept=True, max_iter=5)
    ones = normalized_gd_path(np.column_stack([X, np.ones(30)]), y, max_iter=5)
    np.testing.assert_array_equal(path["theta"], ones["theta"])


@pytest.mark.parametrize(
    ("y", "found"), [([1, 1, 1], "only one class"), ([0, 1, 2], "3 classes")]
)
def test_other_numbers_of_classes_are_refused(y, found):
    with pytest.raises(ValueError, match=f"two classes.*{found}"):
        normalized_gd_path(np.eye(3), y)


@pytest.mark.parametrize("gamma", [0, -1, np.inf, np.nan])
def test_step_size_must_be_positive_and_finite(gamma):
    with pytest.raises(ValueError, match="'gamma' parameter"):
        normalized_gd_path(np.eye(2), [0, 1], gamma=gamma)


def test_zero_samples_have_no_radius():
    with pytest.raises(ValueError, match="dual_momentum"):
        normalized_gd_path(np.zeros((2, 2)), [0, 1], method="dual_momentum")
