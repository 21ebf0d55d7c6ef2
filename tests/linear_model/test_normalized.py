"""The two estimators against the formulas and the bounds of their iterations."""

import numpy as np
import pytest
from scipy.sparse import csr_array, csr_matrix
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from sklogit.linear_model import (
    BatchPerceptron,
    NormalizedLogisticRegression,
    normalized_gd_path,
)

from .common import (
    clusters,
    largest_margin,
    noise,
    separable,
    signed_rows,
    worst_case,
)

NLR = NormalizedLogisticRegression

VARIANTS = {
    "normalized": NLR(),
    "plain": NLR(normalize=False),
    "dual_momentum": NLR(acceleration="dual_momentum"),
    "ovr": NLR(multi_class="ovr"),
    "ovr_dual_momentum": NLR(multi_class="ovr", acceleration="dual_momentum"),
    "perceptron": BatchPerceptron(),
    "perceptron_plain": BatchPerceptron(normalize=False),
    "perceptron_ovr": BatchPerceptron(multi_class="ovr"),
}
each_variant = pytest.mark.parametrize("name", VARIANTS)


def make(name, **params):
    """A fresh estimator of a variant."""
    estimator = VARIANTS[name]
    return type(estimator)(**{**estimator.get_params(), **params})


def after(name, n_iter, **params):
    """An estimator that takes so many steps and keeps the last iterate."""
    rule = {"stopping": "max_iter", "keep": "last", "on_nonseparable": "ignore"}
    return make(name, max_iter=n_iter, **rule, **params)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def assert_same_coef(first, second, **tolerance):
    np.testing.assert_allclose(first.coef_, second.coef_, **tolerance)
    np.testing.assert_allclose(first.intercept_, second.intercept_, **tolerance)


# -- numbers of iterations ------------------------------------------------------------


@pytest.mark.parametrize(
    ("gamma", "normalize", "n_iter"),
    [
        (100.0, True, 2),
        (10.0, True, 2),
        (1.0, True, 16),
        (0.1, True, 157),
        (100.0, False, 308),
    ],
)
def test_worst_case_takes_the_published_number_of_iterations(gamma, normalize, n_iter):
    clf = NLR(
        step_size=gamma, step_scaling="none", normalize=normalize, fit_intercept=False
    ).fit(*worst_case(1000))
    assert clf.n_iter_ == n_iter
    assert clf.separable_ is True


@pytest.mark.parametrize("n", [100, 1000, 5000])
def test_only_the_normalised_count_does_not_grow_with_n(n):
    X, y = worst_case(n)
    params = {"step_size": 100.0, "step_scaling": "none", "fit_intercept": False}
    assert NLR(**params).fit(X, y).n_iter_ == 2
    plain = NLR(**params, normalize=False, max_iter=10_000).fit(X, y)
    assert plain.n_iter_ == pytest.approx(0.308 * n, rel=0.02)


@pytest.mark.parametrize("gamma", [0.1, 1.0, 100.0])
def test_number_of_iterations_stays_within_the_bound(gamma):
    rng = np.random.default_rng(int(10 * gamma))
    for _ in range(100):
        n, d = rng.integers(2, 30), rng.integers(1, 6)
        X, y = separable(rng, n, d, gap=rng.uniform(0.1, 1))
        clf = NLR(
            step_size=gamma, step_scaling="none", fit_intercept=False, max_iter=10**6
        ).fit(X, y)
        mu = largest_margin(signed_rows(X, y, constant=0))
        radius = np.linalg.norm(X, axis=1).max()
        bound = radius**2 / mu**2 + 2 * np.log(2 * n - 1) / (gamma * mu**2)
        assert clf.n_train_errors_ == 0
        assert clf.n_iter_ <= bound + 1e-6


def test_perceptron_stays_within_its_bound(rng):
    for _ in range(100):
        X, y = separable(rng, rng.integers(2, 30), 3, gap=rng.uniform(0.1, 1))
        clf = BatchPerceptron(fit_intercept=False, max_iter=10**6).fit(X, y)
        mu = largest_margin(signed_rows(X, y, constant=0))
        assert clf.n_iter_ <= np.sum(X**2, axis=1).max() / mu**2 + 1e-6


def test_imbalanced_digits_take_far_fewer_normalised_iterations():
    X, y = load_digits(return_X_y=True)
    rows = np.flatnonzero((y != 0) | (np.cumsum(y == 0) <= 20))
    X, y = X[rows] / 16, y[rows] == 0
    params = {"step_size": 1.0, "step_scaling": "none", "max_iter": 10_000}
    normalised = NLR(**params).fit(X, y)
    plain = NLR(**params, normalize=False).fit(X, y)
    assert len(X) == 1639
    assert 10 * normalised.n_iter_ <= plain.n_iter_


# -- the iterates ---------------------------------------------------------------------

PATHS = {
    "normalized": "normalized_lr_gd",
    "plain": "lr_gd",
    "dual_momentum": "dual_momentum",
    "perceptron": "normalized_batch_perceptron",
    "perceptron_plain": "batch_perceptron",
}


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("name", PATHS)
def test_first_iterates_are_those_of_the_formulas(rng, name, fit_intercept):
    X, y = noise(rng)
    path = normalized_gd_path(
        X, y, gamma=3.0, method=PATHS[name], max_iter=10, fit_intercept=fit_intercept
    )
    params = {"fit_intercept": fit_intercept}
    if "step_scaling" in VARIANTS[name].get_params():
        params |= {"step_size": 3.0, "step_scaling": "none"}
    for t in range(1, 11):
        clf = after(name, t, **params).fit(X, y)
        theta = np.append(clf.coef_, clf.intercept_ if fit_intercept else [])
        np.testing.assert_allclose(theta, path["theta"][t], rtol=1e-8, atol=1e-10)
        np.testing.assert_array_equal(clf.train_errors_path_, path["n_errors"][: t + 1])


def test_step_size_is_divided_by_the_squared_radius_with_the_constant(rng):
    X, y = noise(rng)
    square = (X**2).sum(axis=1).max() + 2.0**2
    scaled = after("normalized", 5, step_size=7.0, intercept_scaling=2.0).fit(X, y)
    plain = after(
        "normalized",
        5,
        step_size=7.0 / square,
        step_scaling="none",
        intercept_scaling=2.0,
    ).fit(X, y)
    assert_same_coef(scaled, plain, rtol=1e-9)


def test_intercept_is_the_coefficient_of_a_constant_feature(rng):
    X, y = noise(rng)
    clf = after("normalized", 5, intercept_scaling=3.0).fit(X, y)
    constant = np.column_stack([X, np.full(len(X), 3.0)])
    reference = after("normalized", 5, fit_intercept=False).fit(constant, y)
    np.testing.assert_allclose(clf.coef_, reference.coef_[:, :-1], rtol=1e-9)
    np.testing.assert_allclose(clf.intercept_, 3 * reference.coef_[:, -1], rtol=1e-9)
    assert reference.intercept_ == 0


@pytest.mark.parametrize(
    ("logistic", "perceptron"),
    [("normalized", "perceptron"), ("plain", "perceptron_plain")],
)
def test_perceptron_is_the_limit_of_large_steps(rng, logistic, perceptron):
    X, y = noise(rng)
    steps = {"step_size": 1e9, "step_scaling": "none"}
    large = after(logistic, 10, **steps).fit(X, y)
    limit = after(perceptron, 10).fit(X, y)
    np.testing.assert_allclose(large.coef_ / 1e9, limit.coef_, atol=1e-12)


def test_multinomial_perceptron_is_the_limit_of_large_steps(rng):
    X, y = noise(rng)[0], np.arange(40) % 3
    large = after("normalized", 8, step_size=1e9, step_scaling="none").fit(X, y)
    limit = after("perceptron", 8).fit(X, y)
    np.testing.assert_allclose(large.coef_ / 1e9, limit.coef_, atol=1e-12)


def test_loss_says_nothing_about_separation():
    # Two rows: the second iterate separates, while the loss of the first is huge.
    X, y = np.array([[1.0, -1.0], [-1.0, -4.0]]), np.array([1, 0])
    params = {"step_size": 1e6, "step_scaling": "none", "fit_intercept": False}
    first = after("plain", 1, **params).fit(X, y)
    np.testing.assert_allclose(first.coef_[0] / 1e6, [0.5, 0.75])
    second = NLR(normalize=False, **params).fit(X, y)
    assert second.n_iter_ == 2
    np.testing.assert_allclose(second.coef_[0] / 1e6, [1.0, 0.25], rtol=1e-6)


# -- certificates ---------------------------------------------------------------------


@pytest.mark.parametrize("fit_intercept", [True, False])
@each_variant
def test_bounds_enclose_the_largest_margin(rng, name, fit_intercept):
    constant = 2.0 if fit_intercept else 0.0
    params = {"fit_intercept": fit_intercept, "intercept_scaling": 2.0}
    for max_iter in (1, 3, 30):
        X, y = separable(rng)
        mu = largest_margin(signed_rows(X, y, constant=constant))
        clf = after(name, max_iter, **params).fit(X, y)
        assert clf.margin_ <= mu * (1 + 1e-6)
        assert clf.margin_upper_bound_ >= mu * (1 - 1e-6)


def test_bounds_enclose_the_largest_multiclass_margin(rng):
    X, y = clusters(rng)
    mu = largest_margin(signed_rows(X, y, "multinomial"))
    for name in ("normalized", "dual_momentum", "perceptron"):
        clf = after(name, 30).fit(X, y)
        assert 0 < clf.margin_ <= mu * (1 + 1e-6)
        assert clf.margin_upper_bound_ >= mu * (1 - 1e-6)


def test_margin_is_the_least_distance_from_the_hyperplane(rng):
    X, y = separable(rng)
    clf = NLR(intercept_scaling=2.0).fit(X, y)
    w = np.append(clf.coef_[0], clf.intercept_ / 2.0)
    distances = signed_rows(X, y, constant=2.0) @ w / np.linalg.norm(w)
    assert clf.margin_ == pytest.approx(distances.min(), rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("multi_class", ["multinomial", "ovr"])
@pytest.mark.parametrize("data", [separable, clusters])
def test_margin_stopping_certifies_the_margin(rng, data, multi_class, dtype):
    X, y = data(rng)
    clf = NLR(
        stopping="margin",
        margin_tol=0.05,
        acceleration="dual_momentum",
        multi_class=multi_class,
        max_iter=20_000,
    ).fit(X.astype(dtype), y)
    assert clf.converged_
    if multi_class == "ovr" and data is clusters:
        margins = [largest_margin(signed_rows(X, y == k)) for k in range(3)]
        assert clf.margin_ >= 0.949 * min(margins)
        return
    kind = "binary" if data is separable else "multinomial"
    assert clf.margin_ >= 0.949 * largest_margin(signed_rows(X, y, kind))
    assert clf.margin_upper_bound_ * 0.949 <= clf.margin_


def test_margin_is_not_converged_without_an_upper_bound(rng):
    # With a preconditioner no bound holds for the rows as they are.
    X, y = separable(rng)
    clf = NLR(stopping="margin", preconditioner="diag", max_iter=50)
    with pytest.warns(ConvergenceWarning, match="no certified upper bound"):
        clf.fit(X, y)
    assert not clf.converged_
    assert clf.separable_ is True
    assert clf.margin_upper_bound_ == np.inf


def test_margin_stopping_does_not_trust_a_warm_start(rng):
    X, y = separable(rng)
    clf = NLR(warm_start=True).fit(X, y)
    clf.set_params(stopping="margin", acceleration="dual_momentum", max_iter=5000)
    clf.fit(X, y)
    assert clf.n_iter_ > 0
    assert clf.margin_ >= 0.9 * largest_margin(signed_rows(X, y)) * (1 - 1e-6)


def test_margin_not_reached_is_told(rng):
    X, y = separable(rng, gap=0.01)
    with pytest.warns(ConvergenceWarning, match="margin_tol=0.001.*dual_momentum"):
        NLR(stopping="margin", margin_tol=1e-3, max_iter=20).fit(X, y)


# -- data that cannot be separated ----------------------------------------------------


@pytest.mark.parametrize("name", PATHS)
def test_best_iterate_has_the_fewest_errors_of_the_path(rng, name):
    X, y = noise(rng)
    params = {}
    if "step_scaling" in VARIANTS[name].get_params():
        params = {"step_size": 3.0, "step_scaling": "none"}
    path = normalized_gd_path(
        X, y, gamma=3.0, method=PATHS[name], max_iter=12, fit_intercept=True
    )
    clf = make(name, max_iter=12, on_nonseparable="ignore", **params).fit(X, y)
    assert clf.n_train_errors_ == path["n_errors"].min()
    assert np.count_nonzero(clf.predict(X) != y) == clf.n_train_errors_
    theta = np.append(clf.coef_, clf.intercept_)
    best = path["theta"][path["n_errors"] == path["n_errors"].min()]
    assert np.isclose(best, theta, rtol=1e-7).all(axis=1).any()


def test_average_is_the_mean_of_the_iterates(rng):
    X, y = noise(rng)
    path = normalized_gd_path(X, y, gamma=3.0, max_iter=6, fit_intercept=True)
    clf = after("normalized", 6, step_size=3.0, step_scaling="none")
    clf.set_params(keep="average").fit(X, y)
    theta = np.append(clf.coef_, clf.intercept_)
    np.testing.assert_allclose(theta, path["theta"][1:].mean(axis=0), rtol=1e-8)


def test_nonseparable_data_warn(rng):
    X, y = noise(rng)
    with pytest.warns(ConvergenceWarning, match=r"\d+ training rows.*after 20 iter"):
        NLR(max_iter=20).fit(X, y)


def test_nonseparable_data_raise_and_leave_nothing(rng):
    X, y = noise(rng)
    clf = NLR(max_iter=20, on_nonseparable="raise")
    with pytest.raises(ValueError, match="training rows are on the wrong side"):
        clf.fit(X, y)
    assert not hasattr(clf, "coef_")


@pytest.mark.filterwarnings("error")
def test_nonseparable_data_can_be_ignored(rng):
    clf = NLR(max_iter=20, on_nonseparable="ignore").fit(*noise(rng))
    assert not clf.converged_
    assert clf.separable_ is not True


def test_conflicting_duplicates_are_refuted(rng):
    X, y = separable(rng)
    X, y = np.vstack([X, X[:1]]), np.append(y, 1 - y[0])
    clf = NLR(separability_tol=1e-2, acceleration="dual_momentum")
    with pytest.warns(ConvergenceWarning, match="not linearly separable"):
        clf.fit(X, y)
    assert clf.separable_ is False
    assert clf.n_iter_ < 1000
    radius = np.sqrt((X**2).sum(axis=1).max() + 1)
    assert clf.margin_upper_bound_ < 1e-2 * radius
    assert clf.n_train_errors_ >= 1


def test_only_duplicates_are_refuted_at_once():
    X = np.array([[1.0, 2.0], [1.0, 2.0]])
    clf = NLR(on_nonseparable="ignore").fit(X, [0, 1])
    assert clf.separable_ is False
    assert clf.n_iter_ <= 1


@pytest.mark.parametrize("container", [np.asarray, csr_array])
@pytest.mark.parametrize("name", ["normalized", "ovr", "perceptron"])
def test_zero_row_without_intercept_is_refuted(rng, name, container):
    X, y = separable(rng)
    X[5] = 0.0
    clf = make(name, fit_intercept=False, on_nonseparable="ignore", max_iter=50)
    clf.fit(container(X), y)
    assert clf.separable_ is False
    assert clf.margin_upper_bound_ == 0.0
    # All others are nevertheless separated.
    assert clf.n_train_errors_ == 1
    assert make(name).fit(container(X), y).separable_ is True


def test_zero_data_without_intercept_are_refuted():
    clf = NLR(fit_intercept=False, on_nonseparable="ignore")
    clf.fit(np.zeros((4, 2)), [0, 1, 0, 1])
    assert clf.separable_ is False
    assert clf.n_train_errors_ == 4
    assert not clf.coef_.any()


def test_exclusive_or_is_refuted():
    X = np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    clf = NLR(acceleration="dual_momentum", separability_tol=1e-2)
    clf.set_params(on_nonseparable="ignore").fit(X, [0, 0, 1, 1])
    assert clf.separable_ is False


# -- weights --------------------------------------------------------------------------


@pytest.mark.parametrize("preconditioner", [None, "diag", "whiten"])
@each_variant
def test_integer_weights_equal_repetition(rng, name, preconditioner):
    X, y = rng.standard_normal((40, 3)), np.arange(40) % 3
    weight = rng.integers(0, 4, 40)
    repeated = np.repeat(np.arange(40), weight)
    params = {"preconditioner": preconditioner}
    weighted = after(name, 4, **params).fit(X, y, weight)
    expected = after(name, 4, **params).fit(X[repeated], y[repeated])
    assert_same_coef(weighted, expected, rtol=1e-7, atol=1e-9)


@each_variant
def test_scale_of_the_weights_does_not_matter(rng, name):
    X, y = noise(rng)
    weight = rng.uniform(1, 2, 40)
    clf = after(name, 5).fit(X, y, weight)
    assert_same_coef(clf, after(name, 5).fit(X, y, 1024 * weight), rtol=1e-12)


def test_class_weight_multiplies_the_weights(rng):
    X, y = noise(rng)
    weight = rng.uniform(1, 2, 40)
    by_class = after("normalized", 5, class_weight={1: 3.0}).fit(X, y, weight)
    by_row = after("normalized", 5).fit(X, y, weight * np.where(y == 1, 3.0, 1.0))
    assert_same_coef(by_class, by_row, rtol=1e-9)


def test_balanced_weights_are_inverse_frequencies(rng):
    X, y = rng.standard_normal((40, 3)), (np.arange(40) < 10).astype(int)
    balanced = after("normalized", 5, class_weight="balanced").fit(X, y)
    by_hand = after("normalized", 5).fit(X, y, np.where(y == 1, 1 / 10, 1 / 30))
    assert_same_coef(balanced, by_hand, rtol=1e-9)


@pytest.mark.filterwarnings("error")
def test_rows_of_weight_zero_count_nowhere(rng):
    X, y = separable(rng)
    outlier = np.vstack([X, 1e6 * np.ones(4)]), np.append(y, 2)
    clf = NLR(class_weight="balanced").fit(*outlier, np.append(np.ones(30), 0))
    assert list(clf.classes_) == [0, 1, 2]
    assert clf.separable_ is True
    assert clf.margin_upper_bound_ < 10


# -- invariances and containers -------------------------------------------------------


@pytest.mark.parametrize("power", [-60, -10, 30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@each_variant
def test_unit_of_the_features_does_not_matter(rng, name, dtype, power):
    X, y = separable(rng, gap=0.05)
    X, scale = X.astype(dtype), dtype(2.0**power)
    params = {"on_nonseparable": "ignore", "max_iter": 200}
    clf = make(name, **params).fit(X, y)
    scaled = make(name, intercept_scaling=float(scale), **params).fit(scale * X, y)
    assert clf.n_iter_ == scaled.n_iter_
    np.testing.assert_array_equal(clf.predict(X), scaled.predict(scale * X))


@pytest.mark.parametrize("scale", [1e-25, 1e25])
def test_squares_may_leave_the_range_of_float32(rng, scale):
    X, y = separable(rng)
    params = {"fit_intercept": False}
    clf = NLR(**params).fit((scale * X).astype(np.float32), y)
    reference = NLR(**params).fit(X.astype(np.float32), y)
    assert clf.separable_ is True
    assert clf.margin_ / scale == pytest.approx(reference.margin_, rel=1e-4)


@pytest.mark.parametrize("container", [csr_array, csr_matrix])
@pytest.mark.parametrize("preconditioner", [None, "diag"])
@each_variant
def test_sparse_equals_dense(rng, name, preconditioner, container):
    X = rng.standard_normal((40, 6)) * (rng.random((40, 6)) < 0.5)
    y = np.arange(40) % 3
    params = {"preconditioner": preconditioner}
    dense = after(name, 5, **params).fit(X, y)
    sparse = after(name, 5, **params).fit(container(X), y)
    assert_same_coef(sparse, dense, rtol=1e-7, atol=1e-9)
    assert sparse.n_train_errors_ == dense.n_train_errors_
    assert sparse.margin_ == pytest.approx(dense.margin_, rel=1e-6)


def test_unsorted_csr_with_duplicates_equals_dense():
    data = np.array([1.0, 2.0, 3.0, 4.0, 1.0, 1.0])
    indices, indptr = np.array([0, 0, 1, 0, 1, 1]), np.array([0, 2, 3, 4, 6])
    X, y = csr_matrix((data, indices, indptr), shape=(4, 2)), [0, 1, 0, 1]
    for preconditioner in (None, "diag"):
        clf = after("normalized", 3, preconditioner=preconditioner).fit(X, y)
        dense = after("normalized", 3, preconditioner=preconditioner)
        assert_same_coef(clf, dense.fit(X.toarray(), y), rtol=1e-9)


@pytest.mark.parametrize("preconditioner", [None, "diag", "whiten"])
@each_variant
def test_float32_stays_float32(rng, name, preconditioner):
    X, y = clusters(rng)
    clf = make(name, preconditioner=preconditioner).fit(X.astype(np.float32), y)
    assert clf.coef_.dtype == clf.intercept_.dtype == np.float32
    assert clf.decision_function(X.astype(np.float32)).dtype == np.float32
    assert clf.predict_proba(X.astype(np.float32)).dtype == np.float32


# -- small and odd data ---------------------------------------------------------------


@pytest.mark.parametrize("fit_intercept", [True, False])
@each_variant
def test_one_feature_and_one_sample_a_class(name, fit_intercept):
    X, y = np.array([[-1.0], [2.0]]), ["no", "yes"]
    clf = make(name, fit_intercept=fit_intercept).fit(X, y)
    assert clf.coef_.shape == (1, 1)
    assert list(clf.predict(X)) == y
    assert clf.separable_ is True
    assert 0 < clf.margin_ <= clf.margin_upper_bound_ * (1 + 1e-12)


@each_variant
def test_one_sample_a_class_of_many(name):
    clf = make(name).fit(np.eye(5), list("abcde"))
    assert list(clf.predict(np.eye(5))) == list("abcde")
    assert clf.coef_.shape == (5, 5)
    assert clf.intercept_.shape == (5,)


@pytest.mark.parametrize(
    "labels",
    [
        [False, True],
        ["b", "a"],
        np.array(["x", "y"], dtype=object),
        [-1, 1],
        np.array([250, 3], dtype=np.uint8),
        np.array([-128, 127], dtype=np.int8),
        [0.5 * 2, 7.0],
    ],
    ids=str,
)
def test_labels_of_any_kind(rng, labels):
    X, y = separable(rng)
    labels = np.asarray(labels)[y]
    clf = NLR().fit(X, labels)
    np.testing.assert_array_equal(clf.predict(X), labels)
    assert clf.classes_.dtype == labels.dtype


def test_constant_feature_changes_no_answer(rng):
    X, y = separable(rng)
    X = np.column_stack([X, np.full(30, 5.0)])
    for preconditioner in (None, "diag", "whiten"):
        clf = NLR(preconditioner=preconditioner).fit(X, y)
        assert clf.separable_ is True
        assert clf.score(X, y) == 1.0


# -- beyond separation ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data", "dtype", "n_iter"),
    [
        ("normalized", separable, np.float64, 10_000),
        ("normalized", clusters, np.float32, 2000),
        ("ovr", clusters, np.float64, 2000),
        ("dual_momentum", separable, np.float32, 2000),
        ("dual_momentum", clusters, np.float64, 2000),
        ("ovr_dual_momentum", clusters, np.float32, 2000),
    ],
)
@pytest.mark.filterwarnings("error")
def test_nothing_overflows_long_after_separation(rng, name, data, dtype, n_iter):
    X, y = data(rng, n=12)
    steps = {} if "momentum" in name else {"step_size": 1e8}
    clf = after(name, n_iter, **steps).fit(X.astype(dtype), y)
    assert clf.n_iter_ == n_iter
    assert clf.separable_ is True
    for value in (clf.coef_, clf.intercept_, clf.margin_upper_bound_):
        assert np.isfinite(value).all()
    assert np.isfinite(clf.predict_proba(X)).all()


def test_plain_steps_end_when_they_vanish(rng):
    X, y = separable(rng)
    clf = after("plain", 100, step_size=1e8).fit(X, y)
    assert clf.n_iter_ < 100
    assert clf.separable_ is True


@pytest.mark.parametrize(
    ("dtype", "step_size"), [(np.float32, 1e40), (np.float64, 1e300)]
)
def test_step_size_beyond_the_range_of_numbers_is_refused(rng, dtype, step_size):
    X, y = separable(rng)
    with pytest.raises(ValueError, match=r"step_size is too large.*float"):
        NLR(step_size=step_size).fit(X.astype(dtype), y)


@pytest.mark.parametrize("scale", [1e-170, 1e-158, 1e160])
def test_rows_beyond_the_range_of_squares_are_refused(rng, scale):
    X, y = separable(rng)
    with pytest.raises(ValueError, match="scale X"):
        NLR(fit_intercept=False).fit(scale * X, y)


def test_perceptron_does_not_blame_a_step_size_that_it_has_not(rng):
    X, y = separable(rng)
    with pytest.raises(ValueError, match=r"rows of norm .* are too large, scale X"):
        BatchPerceptron().fit(np.float32(1e30) * X.astype(np.float32), y)
