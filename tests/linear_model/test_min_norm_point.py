import numpy as np
import pytest
from scipy.optimize import linprog, minimize
from scipy.sparse import csr_array
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sklogit.linear_model._corral import Corral
from sklogit.linear_model._hull_rows import BinaryRows, MulticlassRows
from sklogit.linear_model._min_norm_point import min_norm_point


class Given:
    """Rows as they are."""

    def __init__(self, B):
        self.B, self.n_coordinates = np.asarray(B, dtype=float), np.shape(B)[1]
        self.radius = np.linalg.norm(self.B, axis=1).max()

    def mean(self):
        return self.B.mean(axis=0)

    def lowest(self, theta, size):
        values = self.B @ theta
        order = np.argsort(values)[:size]
        return order, values[order]

    def rows(self, indices):
        return self.B[indices]

    def samples(self, indices):
        return indices


def multiclass_rows(X, y, n_classes):
    """All rows x (e_y - e_j), formed with Kronecker products."""
    unit = np.eye(n_classes)
    return np.array(
        [
            np.kron(x, unit[own] - unit[j])
            for x, own in zip(X, y, strict=True)
            for j in range(n_classes)
            if j != own
        ]
    )


def lp_separable(B):
    """Whether B w >= 1 has a solution, by the simplex method."""
    B = B / (np.abs(B).max() or 1.0)
    result = linprog(
        np.zeros(B.shape[1]), A_ub=-B, b_ub=-np.ones(len(B)), bounds=(None, None)
    )
    assert result.status in (0, 2)
    return result.status == 0


def hull_norm(B):
    """Smallest norm in the convex hull of the rows, by a general QP solver."""
    result = minimize(
        lambda q: np.sum((q @ B) ** 2),
        np.full(len(B), 1 / len(B)),
        jac=lambda q: 2 * B @ (q @ B),
        bounds=[(0, 1)] * len(B),
        constraints={"type": "eq", "fun": lambda q: q.sum() - 1},
        method="SLSQP",
        options={"maxiter": 2000, "ftol": 1e-15},
    )
    return np.linalg.norm(result.x @ B)


def svc_margin(B):
    """Largest margin through the origin: mirrored rows leave no intercept but 0."""
    svc = SVC(kernel="linear", C=1e10, tol=1e-6)
    svc.fit(np.vstack([B, -B]), np.repeat([1, 0], len(B)))
    return 1 / np.linalg.norm(svc.coef_)


def check(B, point):
    """What must hold of any answer; the rows decide."""
    radius = np.linalg.norm(B, axis=1).max()
    assert (point.weights > 0).all()
    assert point.weights.sum() == pytest.approx(1)
    assert len(np.unique(point.indices)) == len(point.indices)
    combination = point.weights @ B[point.indices]
    if point.status == "separable":
        np.testing.assert_allclose(combination, point.theta, atol=1e-9 * radius)
        assert len(point.indices) <= np.linalg.matrix_rank(B)
        margin = (B @ point.theta).min() / np.linalg.norm(point.theta)
        assert margin == pytest.approx(point.lower)
        assert (1 - 1e-5) * point.norm <= margin <= (1 + 1e-9) * point.norm
    else:
        assert point.status == "not separable"
        assert np.linalg.norm(combination) <= 1e-10 * radius
        assert len(point.indices) <= np.linalg.matrix_rank(B) + 1


def random_rows(rng):
    """Rows of many kinds; about half of the sets are separable."""
    n, d = rng.integers(1, 60), rng.integers(1, 12)
    kind = rng.integers(6)
    if kind == 0:
        B = rng.standard_normal((n, d))
    elif kind == 1:  # small integers: duplicates, opposite, zero and collinear rows
        B = rng.integers(-1, 3, size=(n, d)).astype(float)
    elif kind == 2:  # a constant part that separates, or nearly so
        B = rng.standard_normal((n, d)) + rng.uniform(0, 3)
    elif kind == 3:  # low rank
        rank = rng.integers(1, d + 1)
        B = rng.standard_normal((n, rank)) @ rng.standard_normal((rank, d))
    elif kind == 4:  # very different lengths of rows and columns
        B = rng.standard_normal((n, d)) * 10.0 ** rng.uniform(-3, 0, size=(n, 1))
        B *= 10.0 ** rng.uniform(-3, 0, size=d)
        B[:, 0] += rng.uniform(0, 1)
    else:  # rows of a separable set, with repetitions
        w = rng.standard_normal(d)
        B = rng.standard_normal((n, d))
        B *= np.sign(B @ w)[:, np.newaxis]
        B = B[rng.integers(n, size=2 * n)]
    return B


# -- yes or no -------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_answer_is_that_of_linear_programming(seed):
    rng = np.random.default_rng(seed)
    for _ in range(20):
        B = random_rows(rng)
        point = min_norm_point(Given(B))
        check(B, point)
        assert (point.status == "separable") == lp_separable(B)


@pytest.mark.parametrize(
    ("B", "status", "norm"),
    [
        ([[3.0]], "separable", 3.0),
        ([[-2.0]], "separable", 2.0),
        ([[1.0], [-1.0]], "not separable", 0.0),
        ([[1.0], [4.0], [2.0]], "separable", 1.0),
        ([[0.0, 0.0]], "not separable", 0.0),
        ([[1.0, 1.0], [0.0, 0.0]], "not separable", 0.0),
        ([[3.0, 0.0], [0.0, 4.0]], "separable", 2.4),
        ([[3.0, 0.0]] * 5, "separable", 3.0),
        ([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]], "separable", np.sqrt(2)),
        ([[1.0, 1.0], [-2.0, -2.0], [3.0, 3.0]], "not separable", 0.0),
        ([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]], "not separable", 0.0),
        ([[1.0, 1e-3], [-1.0, 1e-3]], "separable", 1e-3),
        ([[1.0, 1e-7], [-1.0, 1e-7]], "separable", 1e-7),
    ],
)
def test_small_cases(B, status, norm):
    point = min_norm_point(Given(B))
    check(np.array(B), point)
    assert point.status == status
    assert point.norm == pytest.approx(norm, rel=1e-9, abs=1e-15)


def test_all_corners_of_a_cube_hold_its_centre():
    corners = np.array(np.meshgrid(*[[-1.0, 1.0]] * 8)).reshape(8, -1).T
    point = min_norm_point(Given(corners))
    check(corners, point)
    assert point.status == "not separable"
    moved = corners + 1.5 * np.eye(8)[0]
    point = min_norm_point(Given(moved))
    check(moved, point)
    np.testing.assert_allclose(point.theta, 0.5 * np.eye(8)[0], atol=1e-12)


def test_certificate_holds_the_one_row_that_contradicts_the_others():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((500, 4))
    y = np.where(X[:, 0] > 0, 1.0, -1.0)
    X = np.vstack([X, X[77]])
    y = np.append(y, -y[77])
    point = min_norm_point(BinaryRows(X, y, 1.0))
    assert point.status == "not separable"
    check(y[:, np.newaxis] * np.column_stack([X, np.ones(501)]), point)
    assert 500 in point.indices
    assert min_norm_point(BinaryRows(X[:-1], y[:-1], 1.0)).status == "separable"


# -- largest margin --------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(10))
def test_norm_is_that_of_a_quadratic_program(seed):
    rng = np.random.default_rng(seed)
    B = rng.standard_normal((25, 4)) + 1.5 * np.eye(4)[0]
    assert min_norm_point(Given(B)).norm == pytest.approx(hull_norm(B), abs=1e-6)


@pytest.mark.parametrize("constant", [0.0, 1.0, 0.3])
def test_direction_has_the_margin_of_the_support_vector_machine(constant):
    X, y = load_iris(return_X_y=True)
    X, y = X[y < 2], np.where(y[y < 2], 1.0, -1.0)
    rows = BinaryRows(X, y, constant)
    B = rows.rows(np.arange(len(X)))
    point = min_norm_point(rows)
    check(B, point)
    assert point.norm == pytest.approx(svc_margin(B), rel=1e-4)


def test_tiny_margin_of_real_data():
    # The margin is 7e-5 of the radius: thousands of gradient steps do not get there.
    X, y = load_breast_cancer(return_X_y=True)
    rows = BinaryRows(StandardScaler().fit_transform(X), np.where(y, 1.0, -1.0), 1.0)
    B = rows.rows(np.arange(len(X)))
    point = min_norm_point(rows)
    check(B, point)
    assert point.status == "separable"
    assert lp_separable(B)


def test_fewer_rows_than_coordinates():
    rng = np.random.default_rng(0)
    B = rng.standard_normal((250, 400))
    point = min_norm_point(Given(B))
    check(B, point)
    # Optimality: rows of positive weight have the least product.
    products = B @ point.theta
    np.testing.assert_allclose(products[point.indices], products.min(), rtol=1e-9)


def test_looser_tolerance_still_separates():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((3000, 20))
    X = X[abs(X[:, 0]) > 0.02]
    rows = BinaryRows(X, np.sign(X[:, 0]))
    exact, loose = min_norm_point(rows), min_norm_point(rows, tol=0.5)
    assert exact.status == loose.status == "separable"
    assert loose.n_iter < exact.n_iter
    assert 0.5 * loose.norm <= loose.lower <= exact.norm * (1 + 1e-9)


def test_scale_of_the_rows_does_not_matter():
    rng = np.random.default_rng(0)
    B = rng.standard_normal((50, 4)) + 2 * np.eye(4)[0]
    point = min_norm_point(Given(B))
    for scale in (2.0**-300, 2.0**300):
        scaled = min_norm_point(Given(scale * B))
        assert scaled.status == point.status
        assert scaled.norm == scale * point.norm
        np.testing.assert_array_equal(scaled.indices, point.indices)


def test_good_start_needs_fewer_iterations():
    X, y = load_digits(return_X_y=True)
    rows = BinaryRows(X / 16, np.where(y == 0, 1.0, -1.0), 1.0)
    point = min_norm_point(rows)
    again = min_norm_point(rows, start=point.theta)
    assert again.n_passes < point.n_passes
    assert again.norm == pytest.approx(point.norm, rel=1e-5)


def test_limit_of_iterations_leaves_valid_bounds():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2000, 10))
    X = X[abs(X[:, 0]) > 0.02]
    rows = BinaryRows(X, np.sign(X[:, 0]))
    mu = min_norm_point(rows).norm
    point = min_norm_point(rows, max_iter=5)
    assert point.status == "undecided"
    assert point.n_iter <= 5
    assert point.lower <= 0
    assert point.norm >= mu


# -- rows of data ----------------------------------------------------------------------


@pytest.mark.parametrize("constant", [0.0, 0.5])
@pytest.mark.parametrize("container", [np.asarray, csr_array])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_binary_rows_are_signed_samples(constant, container, dtype):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 4)).astype(dtype)
    X[abs(X) < 0.5] = 0
    y = rng.choice([-1.0, 1.0], size=30)
    rows = BinaryRows(container(X), y, constant)
    columns = [X, np.full((30, 1), constant)] if constant else [X]
    check_rows(rows, y[:, np.newaxis] * np.hstack(columns).astype(np.float64), rng)
    np.testing.assert_array_equal(rows.samples(np.array([4, 2])), [4, 2])


@pytest.mark.parametrize("constant", [0.0, 0.5])
@pytest.mark.parametrize("container", [np.asarray, csr_array])
def test_multiclass_rows_are_kronecker_products(constant, container):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 3)), rng.integers(4, size=20)
    rows = MulticlassRows(container(X), y, 4, constant)
    columns = np.column_stack([X, np.full(20, constant)]) if constant else X
    sample, rival = np.divmod(np.arange(80), 4)
    others = np.flatnonzero(rival != y[sample])
    B = np.zeros((80, 4 * columns.shape[1]))
    B[others] = multiclass_rows(columns, y, 4)
    check_rows(rows, B, rng, others)
    np.testing.assert_array_equal(rows.samples(np.array([9, 2])), [2, 0])


def check_rows(rows, B, rng, valid=None):
    valid = np.arange(len(B)) if valid is None else valid
    assert rows.n_coordinates == B.shape[1]
    np.testing.assert_allclose(rows.rows(valid), B[valid])
    assert rows.radius == pytest.approx(np.linalg.norm(B, axis=1).max())
    np.testing.assert_allclose(rows.mean(), B[valid].mean(axis=0), rtol=1e-5)
    theta = rng.standard_normal(B.shape[1])
    values = np.sort((B @ theta)[valid])
    for size in (1, 7, len(valid) + 5):
        indices, found = rows.lowest(theta, size)
        np.testing.assert_allclose(found, values[:size], rtol=1e-9)
        np.testing.assert_allclose(B[indices] @ theta, found, rtol=1e-9)
        assert np.isin(indices, valid).all()


def test_blocks_of_samples_give_the_rows_of_all(monkeypatch):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((50, 3)), rng.integers(3, size=50)
    theta = rng.standard_normal(9)
    whole = MulticlassRows(X, y, 3)
    monkeypatch.setattr("sklogit.linear_model._hull_rows._BLOCK_BYTES", 8 * 3 * 7)
    monkeypatch.setattr("sklogit.linear_model._hull_rows._BLOCK_SCORES", 3 * 7)
    for X_blocks in (X, csr_array(X)):
        blocks = MulticlassRows(X_blocks, y, 3)
        assert blocks.radius == pytest.approx(whole.radius)
        np.testing.assert_allclose(blocks.mean(), whole.mean())
        for one, other in zip(blocks.lowest(theta, 20), whole.lowest(theta, 20)):
            np.testing.assert_allclose(one, other)


def test_float32_rows_are_summed_in_float64():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 30)).astype(np.float32) * 1e4
    theta = rng.standard_normal(30)
    _, values = BinaryRows(X, np.ones(40)).lowest(theta, 40)
    np.testing.assert_allclose(values, np.sort(X.astype(float) @ theta), rtol=1e-12)


def test_multiclass_answer_on_real_data():
    X, y = load_wine(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    rows = MulticlassRows(X, y, 3, 1.0)
    B = multiclass_rows(np.column_stack([X, np.ones(len(X))]), y, 3)
    point = min_norm_point(rows)
    assert point.status == "separable"
    margin = (B @ point.theta).min() / np.linalg.norm(point.theta)
    assert margin == pytest.approx(point.norm, rel=1e-5)
    assert point.norm == pytest.approx(svc_margin(B), rel=1e-4)
    scores = np.column_stack([X, np.ones(len(X))]) @ point.theta.reshape(14, 3)
    np.testing.assert_array_equal(scores.argmax(axis=1), y)


def test_multiclass_contradiction_names_samples():
    # Without either of the two samples at 0, the classes would stand in their order.
    X, y = np.array([[0.0], [1.0], [2.0], [0.0]]), np.array([0, 1, 2, 1])
    point = min_norm_point(MulticlassRows(X, y, 3, 1.0))
    assert point.status == "not separable"
    assert set(point.indices) == {0, 3}


def test_fewer_passes_than_rows_taken_up():
    X, y = load_digits(return_X_y=True)
    point = min_norm_point(MulticlassRows(X / 16, y, 10, 1.0), tol=0.5)
    assert point.status == "separable"
    assert point.n_passes < 20


# -- corral ----------------------------------------------------------------------------


def test_rows_taken_up_together_give_the_point_of_rows_one_by_one():
    rng = np.random.default_rng(0)
    B = rng.standard_normal((12, 30)) + 1
    one_by_one, together = Corral(30), Corral(30)
    for corral in (one_by_one, together):
        corral.take_up(0, B[0])
    assert together.take_up_block(range(1, 5), B[1:5]) > 0
    for key in range(1, 12):
        for corral in (one_by_one, together):
            if key not in corral.keys and B[key] @ corral.x < corral.norm**2:
                corral.take_up(key, B[key])
    for corral in (one_by_one, together):
        A = B[corral.keys]
        np.testing.assert_allclose(corral.weights @ A, corral.x)
        np.testing.assert_allclose(A @ corral.x, corral.norm**2)
        np.testing.assert_allclose(corral.Q @ corral.R, A.T, atol=1e-12)


def test_dependent_block_leaves_the_corral_alone():
    corral = Corral(5)
    corral.take_up("a", np.eye(5)[0])
    x = corral.x
    assert corral.take_up_block(["b", "c"], np.array([np.eye(5)[1]] * 2)) == 0
    assert corral.keys == ["a"]
    np.testing.assert_array_equal(corral.x, x)
