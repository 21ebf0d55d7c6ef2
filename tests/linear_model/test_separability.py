"""The verdict on separability against linear programming and support vectors."""

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import linprog
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sklogit.linear_model import _separability as separability
from sklogit.linear_model import linear_separability


def separable_by_linear_program(X, y):
    """Whether scores W with own class ahead of each other by 1 exist."""
    X = np.column_stack([X, np.ones(len(X))])
    classes, y = np.unique(y, return_inverse=True)
    k = len(classes)
    pairs = []
    for j in range(k):
        block = np.zeros((len(X), k, X.shape[1]))
        block[:, j] += X
        block[np.arange(len(X)), y] -= X
        pairs.append(block[y != j].reshape(-1, k * X.shape[1]))
    A = np.vstack(pairs)
    result = linprog(
        np.zeros(A.shape[1]), A_ub=A, b_ub=-np.ones(len(A)), bounds=(None, None)
    )
    return result.status == 0


def signed_rows(X, y, indices):
    signs = np.where(y == np.unique(y)[1], 1.0, -1.0)
    return signs[indices, np.newaxis] * np.column_stack([X, np.ones(len(X))])[indices]


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("n_classes", [2, 3])
def test_answer_is_that_of_linear_programming(seed, n_classes):
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(6, 40)), int(rng.integers(1, 8))
    X = rng.integers(-3, 4, (n, d)).astype(float)  # ties and duplicates
    y = np.arange(n) % n_classes
    X[:, 0] += y * rng.integers(0, 4)
    report = linear_separability(X, y)
    assert report.separable == separable_by_linear_program(X, y)
    assert (report.n_errors == 0) == report.separable


def largest_margin(X, y):
    """Largest margin of signed rows with a constant feature, by support vectors."""
    rows = np.column_stack([X, np.ones(len(X))])
    # The intercept is in the norm: a constant feature, and no free intercept.
    svm = SVC(kernel="precomputed", C=1e10, tol=1e-8)
    svm.fit(rows @ rows.T, y)
    w = svm.dual_coef_[0] @ rows[svm.support_]
    return np.min(np.where(y == 1, 1, -1) * (rows @ w)) / np.linalg.norm(w)


def test_the_exact_method_gets_the_largest_margin():
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    # Sparse: too hard for conjugate gradients, and there is no Newton's method.
    report = linear_separability(sparse.csr_array(X), y)
    assert report.separable
    assert report.margin_lower >= 0.99 * largest_margin(X, y)
    assert report.margin_upper == pytest.approx(report.margin_lower, rel=1e-4)
    signs = np.where(y == 1, 1, -1)
    margins = signs * (X @ report.coef[0] + report.intercept[0])
    norm = np.hypot(np.linalg.norm(report.coef), report.intercept[0])
    assert margins.min() / norm == pytest.approx(report.margin_lower)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("gap", [0.5, 1e-3, 1e-4])
@pytest.mark.parametrize("shape", [(200, 3), (60, 20), (40, 100)])
def test_bounds_hold_the_largest_margin(dtype, gap, shape):
    rng = np.random.default_rng(0)
    X = rng.standard_normal(shape)
    y = (X[:, 0] > 0).astype(int)
    X[:, 0] += np.where(y, gap, -gap)
    X = np.repeat(X, 2, axis=0).astype(dtype)  # each row twice
    y = np.repeat(y, 2)
    report = linear_separability(X, y)
    margin = largest_margin(X.astype(float), y)
    assert report.separable
    assert report.n_errors == 0
    assert 0 < report.margin_lower <= (1 + 1e-5) * margin
    assert margin <= (1 + 1e-5) * report.margin_upper


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tiny_margins_are_told_from_none(seed, flipped, dtype):
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(50, 200)), int(rng.integers(2, 12))
    X, w = rng.standard_normal((n, d)), rng.standard_normal(d)
    score = X @ w
    y = (score > np.median(score)).astype(int)
    order = np.argsort(score)
    if flipped:  # one pair of rows on the wrong side, just so
        y[order[[n // 2 - 1, n // 2]]] = y[order[[n // 2, n // 2 - 1]]]
    X = X.astype(dtype)
    report = linear_separability(X, y)
    assert report.separable == separable_by_linear_program(X.astype(float), y)
    assert (report.n_errors == 0) == report.separable


@pytest.mark.parametrize("n_classes", [3, 12])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_bounds_hold_a_margin_of_many_classes(n_classes, container):
    rng = np.random.default_rng(0)
    W = rng.standard_normal((6, n_classes))
    W /= np.linalg.norm(W)
    X = rng.standard_normal((400, 6))
    scores = np.sort(X @ W, axis=1)
    X = X[scores[:, -1] - scores[:, -2] > 0.01]
    y = (X @ W).argmax(axis=1)
    report = linear_separability(container(X), y, fit_intercept=False)
    scores = X @ report.coef.T
    norm = np.linalg.norm(report.coef)
    own = scores[np.arange(len(y)), y].copy()
    scores[np.arange(len(y)), y] = -np.inf
    assert report.separable
    assert (own - scores.max(axis=1)).min() / norm == pytest.approx(report.margin_lower)
    assert 0 < report.margin_lower <= report.margin_upper
    assert report.margin_upper >= 0.01  # that of W


def test_conflicting_rows_prove_that_nothing_separates():
    X, y = load_digits(return_X_y=True)
    y = y == 8
    report = linear_separability(X, y)
    assert report.separable is False
    assert report.margin_upper == 0
    rows = signed_rows(X, y, report.conflict_indices)
    assert len(rows) <= X.shape[1] + 2
    assert (report.conflict_weights > 0).all()
    assert report.conflict_weights.sum() == pytest.approx(1)
    radius = np.linalg.norm(X, axis=1).max()
    assert np.linalg.norm(report.conflict_weights @ rows) < 1e-9 * radius
    # By themselves these rows cannot be separated either.
    i = report.conflict_indices
    assert not separable_by_linear_program(X[i], y[i])


@pytest.fixture
def no_exact_method(monkeypatch):
    def not_needed(*args, **kwargs):
        raise RuntimeError("exact method called")

    monkeypatch.setattr(separability, "min_norm_point", not_needed)


def test_easy_data_need_the_first_steps_only(no_exact_method):
    X, y = load_wine(return_X_y=True)
    assert linear_separability(StandardScaler().fit_transform(X), y).separable


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scaled", [False, True])
def test_newtons_method_reaches_tiny_margins(no_exact_method, dtype, scaled):
    X, y = load_breast_cancer(return_X_y=True)
    X = (StandardScaler().fit_transform(X) if scaled else X).astype(dtype)
    report = linear_separability(X, y)
    assert report.separable
    assert np.all(np.where(y, 1, -1) * (X @ report.coef[0] + report.intercept) > 0)


def test_wide_data_need_conjugate_gradients_only(no_exact_method):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((100, 600)), rng.integers(0, 2, 100)
    report = linear_separability(X, y)
    assert report.separable
    assert report.n_iter < 20
    margin = largest_margin(X, y)
    assert report.margin_lower <= margin <= report.margin_upper


def test_a_file_is_read_by_normalised_steps(tmp_path, monkeypatch):
    def not_for_files(*args, **kwargs):
        raise RuntimeError("kept products of all rows")

    monkeypatch.setattr(separability, "SquaredHinge", not_for_files)
    X, y = load_digits(return_X_y=True)
    file = np.memmap(tmp_path / "X", np.float64, "w+", shape=X.shape)
    file[:] = X
    assert linear_separability(file, y == 0).separable is True
    assert linear_separability(file, y == 8).separable is False


def test_more_than_two_classes():
    X, y = load_iris(return_X_y=True)
    assert linear_separability(X, y).separable is False
    assert linear_separability(X[y != 2], y[y != 2]).separable
    X, y = load_digits(return_X_y=True)
    report = linear_separability(X, y)
    scores = X @ report.coef.T + report.intercept
    assert report.separable
    np.testing.assert_array_equal(scores.argmax(axis=1), y)


def test_sparse_data_give_the_answer_of_dense_data():
    X, y = load_digits(return_X_y=True)
    for target in (y == 1, y == 8):
        dense = linear_separability(X, target)
        csr = linear_separability(sparse.csr_array(X), target)
        assert csr.separable == dense.separable
        assert csr.margin_lower <= dense.margin_upper + 1e-9
        assert dense.margin_lower <= csr.margin_upper + 1e-9


def test_without_intercept_the_origin_counts():
    X, y = [[1.0], [2.0]], [0, 1]
    assert linear_separability(X, y).separable
    assert linear_separability(X, y, fit_intercept=False).separable is False


def test_same_row_with_two_labels_is_the_conflict():
    X = np.random.default_rng(0).standard_normal((30, 5))
    X[20] = X[7]
    y = np.array([0] * 15 + [1] * 15)
    X[y == 1] += 50.0
    X[20] = X[7]
    report = linear_separability(X, y)
    assert report.separable is False
    np.testing.assert_array_equal(report.conflict_indices, [7, 20])
    np.testing.assert_allclose(report.conflict_weights, [0.5, 0.5])


def test_rows_of_zeros_cannot_be_separated_without_intercept():
    report = linear_separability(np.zeros((4, 2)), [0, 1, 0, 1], fit_intercept=False)
    assert report.separable is False


def test_tolerance_decides_when_the_exact_method_may_not():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((400, 3)), rng.integers(0, 2, 400)
    undecided = linear_separability(X, y, tol=1e-12, max_iter=2)
    assert undecided.separable is None
    assert undecided.margin_lower <= 0 < undecided.margin_upper
    coarse = linear_separability(X, y, tol=0.9, max_iter=2)
    assert coarse.separable is False


def test_one_class_and_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="only one class"):
        linear_separability([[0.0], [1.0]], [1, 1])
    with pytest.raises(ValueError, match="NaN"):
        linear_separability([[0.0], [np.nan]], [0, 1])
    with pytest.raises(ValueError, match="tol"):
        linear_separability([[0.0], [1.0]], [0, 1], tol=-1)


def test_many_coefficients_are_left_to_accelerated_steps(monkeypatch):
    monkeypatch.setattr(separability, "_MOST_COORDINATES", 10)
    X, y = load_digits(return_X_y=True)
    # Sparse: the first steps do not do.
    hard = linear_separability(sparse.csr_array(X / 16), y == 1, tol=1e-5)
    assert hard.n_iter > 50
    assert hard.separable
    assert hard.n_errors == 0
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((300, 12))
    report = linear_separability(noise, rng.integers(0, 2, 300))
    assert report.separable is False
    assert report.conflict_indices is None
    assert 0 < report.margin_upper < 1e-3 * np.linalg.norm(noise, axis=1).max() * 1.1


@pytest.mark.parametrize("unit", [1e-150, 1e-20, 1e-12, 1e12])
@pytest.mark.parametrize("features", [slice(None), slice(1)])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_units_of_the_features_do_not_matter(unit, features, n_classes, container):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 4))
    y = np.digitize(X[:, 0], [0, 0.8][: n_classes - 1])
    X[:, 0] += 0.02 * y
    X[:, features] *= unit
    report = linear_separability(container(X), y)
    assert report.separable is True
    scores = X @ report.coef.T + report.intercept
    found = scores.argmax(axis=1) if n_classes > 2 else (scores[:, 0] > 0).astype(int)
    np.testing.assert_array_equal(found, y)
    assert 0 < report.margin_lower <= report.margin_upper


@pytest.mark.parametrize("unit", [1e-150, 1e-12, 1.0, 1e12])
@pytest.mark.parametrize("features", [slice(None), slice(1)])
def test_rows_in_conflict_cancel_in_every_unit(unit, features):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60, 4)), np.arange(60) % 2
    X[:, features] *= unit
    report = linear_separability(X, y)
    assert report.separable is False
    rows = report.conflict_weights[:, np.newaxis] * signed_rows(
        X, y, report.conflict_indices
    )
    assert (abs(rows.sum(axis=0)) <= 1e-8 * abs(rows).sum(axis=0)).all()


def test_time_stamps_hide_no_other_feature():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.standard_normal((60, 3)), 1.7e18 + rng.random(60) * 1e16])
    y = X[:, 0] > 0
    X[:, 0] += np.where(y, 0.01, -0.01)
    assert linear_separability(X, y).separable is True


def test_integers_of_single_precision_are_decided():
    # With more features than rows all is separable, but scores of zero are common:
    # single precision may call them positive, and rounding in double as well.
    for seed in range(400):
        rng = np.random.default_rng(seed)
        n = rng.integers(6, 12)
        X = np.unique(rng.integers(-1, 2, (n, n + 6)), axis=0).astype(np.float32)
        answer = linear_separability(X, np.arange(len(X)) % (2 + seed % 2)).separable
        assert answer is not None, seed
