import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.preprocessing import StandardScaler

from sklogit.linear_model import BatchPerceptron, NormalizedLogisticRegression
from sklogit.linear_model._preconditioning import Coordinates, make_coordinates
from sklogit.linear_model._rows import Rows

from .common import separable

NLR = NormalizedLogisticRegression


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def scaled_data(rng, n=60):
    """Separable data whose features differ in size, correlate and are not centred."""
    X, y = separable(rng, n=n, gap=0.1)
    return X @ rng.standard_normal((4, 4)) * [1e-3, 1.0, 30.0, 1e3] + [1, 0, -5, 0], y


def whiten(X, fit_intercept):
    """The data in coordinates of identity covariance, and the map to them."""
    mean = X.mean(axis=0) if fit_intercept else np.zeros(X.shape[1])
    # Any square root will do: the iterates do not depend on a rotation.
    root = np.linalg.cholesky((X - mean).T @ (X - mean) / len(X))

    def transform(X):
        return np.linalg.solve(root, (X - mean).T).T

    return transform


def standardise(X, fit_intercept):
    if fit_intercept:
        return StandardScaler().fit(X).transform
    return lambda Z: Z / np.sqrt((X**2).mean(axis=0))


REFERENCE = {"diag": standardise, "whiten": whiten}
PARAMS = {"max_iter": 6, "stopping": "max_iter", "on_nonseparable": "ignore"}


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("preconditioner", REFERENCE)
@pytest.mark.parametrize(
    ("cls", "params"),
    [
        (NLR, {}),
        (NLR, {"acceleration": "dual_momentum"}),
        (NLR, {"multi_class": "ovr"}),
        (BatchPerceptron, {}),
    ],
)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_predictions_are_those_of_explicitly_transformed_data(
    rng, cls, params, preconditioner, fit_intercept, n_classes
):
    X, y = scaled_data(rng)
    y = y if n_classes == 2 else rng.integers(0, 3, len(y))
    new = scaled_data(rng)[0]
    transform = REFERENCE[preconditioner](X, fit_intercept)
    params = {**params, **PARAMS, "fit_intercept": fit_intercept, "keep": "last"}
    clf = cls(preconditioner=preconditioner, **params).fit(X, y)
    explicit = cls(**params).fit(transform(X), y)
    np.testing.assert_allclose(
        clf.decision_function(new),
        explicit.decision_function(transform(new)),
        rtol=1e-6,
        atol=1e-8,
    )
    assert clf.n_train_errors_ == explicit.n_train_errors_


@pytest.mark.parametrize("preconditioner", ["diag", "whiten"])
def test_margin_is_that_of_the_rows_as_they_are(rng, preconditioner):
    X, y = scaled_data(rng)
    clf = NLR(preconditioner=preconditioner, intercept_scaling=2.0).fit(X, y)
    w = np.append(clf.coef_[0], clf.intercept_ / 2)
    A = np.column_stack([X, np.full(len(X), 2.0)]) * (2 * y - 1)[:, np.newaxis]
    assert clf.margin_ == pytest.approx((A @ w).min() / np.linalg.norm(w), rel=1e-6)
    assert clf.margin_upper_bound_ == np.inf


def test_preconditioning_helps_where_features_differ_in_size(rng):
    X, y = scaled_data(rng, n=200)
    counts = [
        NLR(preconditioner=name, max_iter=3000, on_nonseparable="ignore")
        .fit(X, y)
        .n_iter_
        for name in ("whiten", None)
    ]
    assert 5 * counts[0] < counts[1]


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("with_weight", [False, True])
def test_sparse_variances_equal_dense_ones(rng, fit_intercept, with_weight):
    X = rng.standard_normal((50, 6)) * (rng.random((50, 6)) < 0.3)
    X[:, 3] = 0
    weight = rng.uniform(0.5, 2, 50) if with_weight else None
    constant = float(fit_intercept)
    args = np.arange(50) % 2, weight
    dense = make_coordinates(Rows(X, *args), "diag", constant)
    sparse = make_coordinates(Rows(csr_array(X), *args), "diag", constant)
    np.testing.assert_allclose(sparse.matrix, dense.matrix)
    np.testing.assert_allclose(
        sparse.squared_norms(csr_array(X)), dense.squared_norms(X)
    )
    mean = np.average(X, axis=0, weights=weight) if fit_intercept else 0
    variance = np.average((X - mean) ** 2, axis=0, weights=weight)
    kept = variance > 0
    np.testing.assert_allclose(dense.matrix[kept], variance[kept] ** -0.5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("preconditioner", ["diag", "whiten"])
@pytest.mark.parametrize("value", [0.0, 1 / 3, 1e6])
def test_constant_feature_does_no_harm(
    rng, preconditioner, fit_intercept, value, dtype
):
    X, y = separable(rng, gap=0.5)
    X = np.column_stack([X, np.full(len(X), value)]).astype(dtype)
    params = {"preconditioner": preconditioner, "fit_intercept": fit_intercept}
    clf = NLR(**params, on_nonseparable="ignore").fit(X, y)
    assert np.isfinite(clf.coef_).all()
    if value < 1e6 or fit_intercept:
        assert clf.score(X, y) == 1.0


@pytest.mark.parametrize("preconditioner", ["diag", "whiten"])
def test_data_without_any_variance_do_no_harm(preconditioner):
    clf = NLR(preconditioner=preconditioner, max_iter=5, on_nonseparable="ignore")
    clf.fit(np.ones((6, 3)), np.arange(6) % 2)
    assert np.isfinite(clf.coef_).all()
    assert clf.separable_ is not True


def test_whitening_needs_fewer_directions_than_features(rng):
    # Two equal features and more features than rows: a singular covariance.
    X, y = separable(rng, n=12, d=20)
    X[:, 1] = X[:, 0]
    clf = NLR(preconditioner="whiten").fit(X, y)
    assert clf.separable_ is True
    assert clf.coef_[0, 0] == pytest.approx(clf.coef_[0, 1])


def test_whitening_of_sparse_data_is_refused(rng):
    X, y = separable(rng)
    with pytest.raises(ValueError, match="preconditioner='whiten' needs dense data"):
        NLR(preconditioner="whiten").fit(csr_array(X), y)


@pytest.mark.parametrize("preconditioner", [None, "diag", "whiten"])
@pytest.mark.parametrize("constant", [0.0, 2.0])
def test_coordinates_map_coefficients_there_and_back(rng, preconditioner, constant):
    X = scaled_data(rng)[0]
    rows = Rows(X, np.ones(len(X)))
    coordinates = make_coordinates(rows, preconditioner, constant)
    theta = rng.standard_normal((coordinates.n_coordinates(4), 3))
    coef, intercept = coordinates.to_coef(theta)
    np.testing.assert_allclose(coordinates.from_coef(coef, intercept), theta)
    # Scores are the same in both coordinates.
    T = coordinates.transform(X)
    if constant:
        T = np.column_stack([T, np.full(len(X), constant)])
    np.testing.assert_allclose(X @ coef + intercept, T @ theta, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(coordinates.squared_norms(X), (T**2).sum(axis=1))
    # And sums of rows are sums of transformed rows.
    D = rng.standard_normal((len(X), 3))
    sums = coordinates.from_sums(X.T @ D, D.sum(axis=0))
    np.testing.assert_allclose(sums, T.T @ D, rtol=1e-6, atol=1e-8)


def test_plain_coordinates_append_only_the_constant():
    coordinates = Coordinates(2.0)
    coef, intercept = coordinates.to_coef(np.array([[1.0], [3.0], [5.0]]))
    np.testing.assert_array_equal(coef, [[1.0], [3.0]])
    np.testing.assert_array_equal(intercept, [10.0])


@pytest.mark.parametrize("preconditioner", ["diag", "whiten"])
def test_warm_start_keeps_the_separating_coefficients(rng, preconditioner):
    X, y = scaled_data(rng)
    clf = NLR(preconditioner=preconditioner, warm_start=True).fit(X, y)
    before = clf.coef_.copy()
    assert clf.fit(X, y).n_iter_ == 0
    np.testing.assert_allclose(clf.coef_, before, rtol=1e-6)
