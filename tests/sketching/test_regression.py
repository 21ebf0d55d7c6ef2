"""SketchedLinearRegression is LinearRegression and Ridge, with error bars."""

import pickle

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.callback import ProgressBar
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklogit.sketching import SketchedLinearRegression
from sklogit.sketching._regression import SOLVERS

from .regression_common import least_squares

EXACT = [solver for solver in SOLVERS if solver != "auto"]
each_exact_solver = pytest.mark.parametrize("solver", EXACT)
DENSE = ["block_srht", "srht", "dct", "gaussian_pooled", "gaussian"]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def data(rng, n=2000, p=8, k=None):
    X = rng.standard_normal((n, p)) * 10.0 ** rng.integers(-2, 3, p) + 1.0
    shape = (p,) if k is None else (p, k)
    y = X @ rng.standard_normal(shape) + 3.0
    return X, y + rng.standard_normal(y.shape)


@parametrize_with_checks(
    [
        SketchedLinearRegression(eps=0.5),
        SketchedLinearRegression(solver="preconditioned_cholesky"),
        SketchedLinearRegression(solver="iterative"),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# -- the same as scikit-learn ----------------------------------------------------------


@each_exact_solver
@pytest.mark.parametrize("k", [None, 1, 3])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_equals_linear_regression(rng, solver, k, fit_intercept):
    X, y = data(rng, k=k)
    weight = rng.random(len(X))
    expected = LinearRegression(tol=1e-15, fit_intercept=fit_intercept)
    expected.fit(X, y, weight)
    reg = SketchedLinearRegression(
        solver=solver, fit_intercept=fit_intercept, random_state=0
    ).fit(X, y, weight)
    assert reg.solver_ == solver
    assert reg.coef_.shape == expected.coef_.shape
    np.testing.assert_allclose(reg.coef_, expected.coef_, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(reg.intercept_, expected.intercept_, rtol=1e-9)
    np.testing.assert_allclose(reg.predict(X), expected.predict(X), rtol=1e-9)
    assert reg.score(X, y) == pytest.approx(expected.score(X, y), rel=1e-12)


@each_exact_solver
@pytest.mark.parametrize("alpha", [1e-3, 1.0, 1e6])
def test_equals_ridge(rng, solver, alpha):
    X, y = data(rng, k=2)
    expected = Ridge(alpha=alpha, solver="svd").fit(X, y)
    reg = SketchedLinearRegression(solver=solver, alpha=alpha, random_state=0)
    reg.fit(X, y)
    np.testing.assert_allclose(reg.coef_, expected.coef_, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(reg.intercept_, expected.intercept_, rtol=1e-9)


@each_exact_solver
def test_integer_weights_are_repetitions(rng, solver):
    X, y = data(rng)
    weight = rng.integers(0, 4, len(X))
    weighted = SketchedLinearRegression(solver=solver, random_state=0)
    weighted.fit(X, y, weight)
    repeated = SketchedLinearRegression(solver=solver, random_state=0)
    repeated.fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-9)
    np.testing.assert_allclose(weighted.residual_norm_, repeated.residual_norm_)


def test_solves_where_linear_regression_cuts_off(rng):
    # scikit-learn 1.9 takes singular values below 1e-6 of the largest for zero.
    X = rng.standard_normal((2000, 5))
    X[:, 4] = X[:, 3] + 1e-8 * X[:, 4]
    y = X @ np.ones(5)
    reg = SketchedLinearRegression().fit(X, y)
    np.testing.assert_allclose(reg.predict(X), y, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(reg.coef_, 1.0, atol=1e-6)


@each_exact_solver
@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csc_matrix, "F", "l"])
def test_containers_do_not_matter(rng, solver, container):
    X, y = data(rng, n=500)
    X *= rng.random(X.shape) < 0.4
    expected = least_squares(X, y)[0][:, 0]
    if container == "F":
        held = np.asfortranarray(X)
    else:
        held = X.tolist() if container == "l" else container(X)
    reg = SketchedLinearRegression(solver=solver, random_state=0).fit(held, y)
    np.testing.assert_allclose(reg.coef_, expected, rtol=1e-8, atol=1e-12)
    if container != "l":
        np.testing.assert_allclose(reg.predict(held), reg.predict(X), rtol=1e-9)


@pytest.mark.parametrize("n_jobs", [2, 3])
@pytest.mark.parametrize("solver", [*EXACT, "sketch"])
def test_number_of_jobs_does_not_matter(rng, solver, n_jobs):
    X, y = data(rng, n=9000)
    params = {"solver": solver, "sketch_size": 500, "random_state": 0}
    one = SketchedLinearRegression(**params).fit(X, y)
    more = SketchedLinearRegression(n_jobs=n_jobs, **params).fit(X, y)
    np.testing.assert_allclose(more.coef_, one.coef_, rtol=1e-9, atol=1e-12)


@each_exact_solver
def test_float32_stays_and_is_right_to_its_rounding(rng, solver):
    X, y = data(rng)
    X, y = X.astype(np.float32), y.astype(np.float32)
    expected, intercept = least_squares(X, y)
    reg = SketchedLinearRegression(solver=solver, random_state=0).fit(X, y)
    assert reg.coef_.dtype == reg.intercept_.dtype == reg.predict(X).dtype == np.float32
    np.testing.assert_allclose(reg.coef_, expected[:, 0], rtol=3e-7)
    np.testing.assert_allclose(reg.intercept_, intercept[0], rtol=3e-7)


# -- one pass --------------------------------------------------------------------------


@pytest.mark.parametrize("sketch", DENSE)
def test_error_bars_of_one_pass_cover_exact_coefficients(rng, sketch):
    X, y = data(rng, n=4000)
    exact = SketchedLinearRegression(solver="exact").fit(X, y)
    covered = []
    for seed in range(60):
        reg = SketchedLinearRegression(
            solver="sketch", sketch=sketch, sketch_size=300, random_state=seed
        ).fit(X, y)
        assert (reg.solver_, reg.sketch_size_) == ("sketch", 300)
        error = np.abs(reg.coef_ - exact.coef_)
        covered.append((error <= reg.coef_error_).all())
        assert (error <= reg.linf_bound_).all() or not covered[-1]
    # 57 of 60 are expected, with a standard deviation of 1.7.
    assert 51 <= sum(covered) <= 60


@pytest.mark.parametrize("sketch", DENSE)
def test_error_bars_are_no_wider_than_they_must_be(rng, sketch):
    X, y = data(rng, n=4000)
    exact = SketchedLinearRegression(solver="exact").fit(X, y)
    ratios = []
    for seed in range(40):
        reg = SketchedLinearRegression(
            solver="sketch", sketch=sketch, sketch_size=400, random_state=seed
        ).fit(X, y)
        # Student's t of 391 degrees of freedom, for 8 coefficients: 2.75.
        standard_error = reg.coef_error_ / 2.75
        ratios.append((reg.coef_ - exact.coef_) / standard_error)
    assert np.sqrt(np.mean(np.square(ratios))) == pytest.approx(1.0, abs=0.2)


def test_error_bars_of_half_of_the_rows_are_shorter(rng):
    # Rows of the transform are drawn without replacement: of all of them nothing is
    # left to chance.
    X, y = data(rng, n=2048)
    exact = SketchedLinearRegression(solver="exact").fit(X, y)
    ratios = []
    for seed in range(40):
        reg = SketchedLinearRegression(
            solver="sketch", sketch_size=1024, random_state=seed
        ).fit(X, y)
        standard_error = reg.coef_error_ / 2.74
        ratios.append((reg.coef_ - exact.coef_) / standard_error)
    assert np.sqrt(np.mean(np.square(ratios))) == pytest.approx(1.0, abs=0.2)


def test_error_of_predictions_covers_them(rng):
    X, rows = rng.standard_normal((4000, 8)), 3 * rng.standard_normal((300, 8))
    X, rows = X + 3.0, rows + 3.0
    y = X @ rng.standard_normal((8, 2)) + rng.standard_normal((4000, 2))
    exact = SketchedLinearRegression(solver="exact").fit(X, y)
    assert (exact.predict_error(X) == 0).all()
    covered = []
    for seed in range(40):
        reg = SketchedLinearRegression(
            solver="sketch", sketch_size=400, random_state=seed
        ).fit(X, y)
        error = np.abs(reg.predict(rows) - exact.predict(rows))
        assert reg.predict_error(rows).shape == (300, 2)
        covered.append(np.mean(error <= reg.predict_error(rows)))
    assert 0.92 < np.mean(covered) < 0.98  # 0.95 is meant


def test_more_rows_make_smaller_errors(rng):
    X, y = data(rng, n=20000)
    widths = [
        SketchedLinearRegression(solver="sketch", sketch_size=m, random_state=0)
        .fit(X, y)
        .coef_error_.mean()
        for m in (300, 1200)
    ]
    assert widths[0] / widths[1] == pytest.approx(2.0, rel=0.25)


@pytest.mark.parametrize("sketch", DENSE)
def test_target_in_the_range_of_X_is_recovered(rng, sketch):
    X, _ = data(rng)
    y = X @ np.arange(8.0) + 1.0
    reg = SketchedLinearRegression(
        solver="sketch", sketch=sketch, sketch_size=200, random_state=0
    ).fit(X, y)
    np.testing.assert_allclose(reg.coef_, np.arange(8.0), atol=1e-8)
    assert reg.coef_error_.max() < 1e-8


def test_units_and_shifts_change_coefficients_as_they_should(rng):
    X, y = data(rng, n=4000)
    params = {"solver": "sketch", "sketch_size": 200, "random_state": 0}
    reg = SketchedLinearRegression(**params).fit(X, y)
    scaled = SketchedLinearRegression(**params).fit(X * np.arange(1, 9), y)
    np.testing.assert_allclose(scaled.coef_ * np.arange(1, 9), reg.coef_, rtol=1e-8)
    w = rng.standard_normal(8)
    moved = SketchedLinearRegression(**params).fit(X, 2 * y + X @ w + 5)
    np.testing.assert_allclose(moved.coef_, 2 * reg.coef_ + w, rtol=1e-8)
    assert moved.intercept_ == pytest.approx(2 * reg.intercept_ + 5, rel=1e-8)
    np.testing.assert_allclose(moved.coef_error_, 2 * reg.coef_error_, rtol=1e-7)


def test_zero_weight_is_a_zero_row(rng):
    X, y = data(rng, n=4000)
    weight = rng.integers(0, 2, 4000)
    params = {"solver": "sketch", "sketch_size": 200, "random_state": 0}
    weighted = SketchedLinearRegression(fit_intercept=False, **params)
    weighted.fit(X, y, weight)
    zeroed = SketchedLinearRegression(fit_intercept=False, **params)
    zeroed.fit(X * weight[:, None], y * weight)
    np.testing.assert_allclose(weighted.coef_, zeroed.coef_, rtol=1e-9)


def test_no_more_rows_than_the_sketch_are_solved_exactly(rng):
    X, y = data(rng, n=300)
    reg = SketchedLinearRegression(eps=0.1).fit(X, y)
    assert reg.solver_ == "exact"
    np.testing.assert_allclose(reg.coef_, least_squares(X, y)[0][:, 0], rtol=1e-9)


# -- errors of least squares itself ----------------------------------------------------


@pytest.mark.parametrize("solver", EXACT)
def test_standard_errors_are_those_of_the_textbook(rng, solver):
    X, y = data(rng)
    reg = SketchedLinearRegression(solver=solver, random_state=0).fit(X, y)
    A = np.column_stack([np.ones(len(X)), X])
    variance = np.sum((y - reg.predict(X)) ** 2) / (len(X) - 9)
    expected = np.sqrt(variance * np.diag(np.linalg.inv(A.T @ A)))[1:]
    tolerance = 0.2 if solver == "iterative" else 1e-4
    np.testing.assert_allclose(reg.coef_std_error_, expected, rtol=tolerance)


def test_standard_errors_of_one_pass_estimate_those_of_all_rows(rng):
    X, y = data(rng, n=4000)
    exact = SketchedLinearRegression(solver="exact").fit(X, y)
    found = [
        SketchedLinearRegression(solver="sketch", sketch_size=300, random_state=seed)
        .fit(X, y)
        .coef_std_error_
        for seed in range(20)
    ]
    np.testing.assert_allclose(np.mean(found, axis=0), exact.coef_std_error_, rtol=0.05)


def test_no_degrees_of_freedom_give_no_standard_error(rng):
    X, y = data(rng, n=9)
    reg = SketchedLinearRegression().fit(X, y)
    assert np.isnan(reg.coef_std_error_).all()
    assert (reg.coef_error_ == 0).all()


# -- what people do with estimators ----------------------------------------------------


def test_in_a_pipeline_and_a_grid_search(rng):
    X, y = data(rng, n=500)
    pipeline = make_pipeline(StandardScaler(), SketchedLinearRegression())
    name = "sketchedlinearregression__alpha"
    search = GridSearchCV(pipeline, {name: [1e-3, 1e6]}, cv=3).fit(X, y)
    assert search.best_params_[name] == 1e-3


@pytest.mark.parametrize("params", [{}, {"eps": 1.0}, {"solver": "exact"}])
def test_pickle_and_clone(rng, params):
    X, y = data(rng)
    reg = SketchedLinearRegression(random_state=0, **params).fit(X, y)
    copy = pickle.loads(pickle.dumps(reg))
    np.testing.assert_array_equal(copy.predict_error(X), reg.predict_error(X))
    again = clone(reg)
    assert not hasattr(again, "coef_")
    np.testing.assert_array_equal(again.fit(X, y).coef_, reg.coef_)


def test_data_frames_keep_their_names(rng):
    pd = pytest.importorskip("pandas")
    X, y = data(rng, p=2)
    reg = SketchedLinearRegression().fit(pd.DataFrame(X, columns=["a", "b"]), y)
    assert list(reg.feature_names_in_) == ["a", "b"]


def test_progress_is_told(rng, capsys):
    pytest.importorskip("rich")
    X, y = data(rng)
    reg = SketchedLinearRegression().set_callbacks(ProgressBar())
    plain = SketchedLinearRegression().fit(X, y)
    np.testing.assert_array_equal(reg.fit(X, y).coef_, plain.coef_)
    assert "fit" in capsys.readouterr().out


class _Recorder:
    def __init__(self):
        self.tasks = []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        self.tasks.append(context.task_name)


def test_callbacks_are_told_of_each_pass_and_its_parts(rng):
    X, y = data(rng, n=4000)
    recorder = _Recorder()
    reg = SketchedLinearRegression().set_callbacks(recorder).fit(X, y)
    assert recorder.tasks.count("pass") == reg.n_iter_
    assert recorder.tasks.count("part") == 100 * reg.n_iter_
    assert recorder.tasks[-1] == "fit"


# -- what is refused -------------------------------------------------------------------


@each_exact_solver
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_not_finite_features_are_found_without_a_pass_of_their_own(
    rng, solver, bad, dtype
):
    X, y = data(rng)
    X = X.astype(dtype)
    X[1234, 5] = bad  # not in the sample
    with pytest.raises(ValueError, match="Input X contains"):
        SketchedLinearRegression(solver=solver).fit(X, y)
    with pytest.raises(ValueError, match="Input X contains"):
        SketchedLinearRegression(eps=1.0).fit(X, y)


def test_large_finite_values_are_not_taken_for_infinite(rng):
    X, y = data(rng)
    X[1234, 5] = 1e200  # overflows in float32, and squared
    reg = SketchedLinearRegression().fit(X, y)
    assert np.isfinite(reg.coef_).all()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"eps": 0.0}, "'eps' parameter"),
        ({"delta": 1.0}, "'delta' parameter"),
        ({"sketch": "none"}, "'sketch' parameter"),
        ({"solver": "none"}, "'solver' parameter"),
        ({"alpha": -1.0}, "'alpha' parameter"),
        ({"solver": "sketch", "sketch_size": 9}, "must exceed .* got 9 for 9"),
        ({"solver": "iterative", "sketch_size": 9}, "must exceed .* got 9 for 9"),
    ],
)
def test_bad_parameters_are_refused(rng, params, message):
    with pytest.raises(ValueError, match=message):
        SketchedLinearRegression(**params).fit(*data(rng))


def test_targets_that_are_no_numbers_are_refused(rng):
    X, y = data(rng)
    with pytest.raises(TypeError, match="y is sparse"):
        SketchedLinearRegression().fit(X, sparse.csr_array(y[:, None]))
    with pytest.raises(ValueError, match="could not convert string to float"):
        SketchedLinearRegression().fit(X, np.where(y > 0, "yes", "no"))
    assert SketchedLinearRegression().fit(X, y > 0).coef_.dtype == np.float64


@pytest.mark.parametrize("big", [1e200, 1e308])
def test_sketches_that_overflow_are_refused(rng, big):
    X, y = data(rng)
    X[::3] = big
    reg = SketchedLinearRegression(solver="sketch", sketch_size=100)
    if big == 1e200:
        assert np.isfinite(reg.fit(X, y).coef_).all()
        return
    with pytest.raises(ValueError, match="overflow in a sketch of type float64"):
        reg.fit(X, y)


def test_bad_weights_are_refused(rng):
    X, y = data(rng)
    weight = np.ones(len(X))
    weight[3] = -1
    with pytest.raises(ValueError, match=r"[Nn]egative"):
        SketchedLinearRegression().fit(X, y, weight)
    with pytest.raises(ValueError, match="non-zero"):
        SketchedLinearRegression().fit(X, y, 0 * weight)


def test_other_widths_and_unfitted_estimators_are_refused(rng):
    X, y = data(rng)
    reg = SketchedLinearRegression()
    for method in (reg.predict, reg.predict_error):
        with pytest.raises(NotFittedError):
            method(X)
    reg.fit(X, y)
    for method in (reg.predict, reg.predict_error):
        with pytest.raises(ValueError, match="7 features"):
            method(X[:, :7])


@pytest.mark.parametrize("sketch", ["sparse_sign", "countsketch"])
def test_sparse_sketches_warn_of_their_error_bars(rng, sketch):
    reg = SketchedLinearRegression(solver="sketch", sketch=sketch, sketch_size=200)
    with pytest.warns(UserWarning, match="gives no bound on single coefficients"):
        reg.fit(*data(rng))


def test_sketches_that_save_nothing_warn(rng):
    reg = SketchedLinearRegression(solver="sketch", sketch_size=1500)
    with pytest.warns(UserWarning, match="saves no time for 2000 rows"):
        reg.fit(*data(rng))


def test_too_few_passes_warn(rng):
    reg = SketchedLinearRegression(solver="iterative", max_iter=5, random_state=0)
    with pytest.warns(ConvergenceWarning, match="did not reach its tolerance"):
        reg.fit(*data(rng))


def test_a_failed_fit_keeps_the_earlier_one(rng):
    X, y = data(rng)
    reg = SketchedLinearRegression().fit(X, y)
    before = dict(vars(reg))
    with pytest.raises(ValueError, match="NaN"):
        reg.fit(X[:, :3], np.where(y > 0, y, np.nan))
    assert vars(reg).keys() == before.keys()
    np.testing.assert_array_equal(reg.coef_, before["coef_"])
