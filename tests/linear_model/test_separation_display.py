import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.datasets import load_iris

from sklogit.linear_model import (
    BatchPerceptron,
    NormalizedLogisticRegression,
    SeparationCurveDisplay,
    normalized_gd_path,
)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def separable():
    X, y = load_iris(return_X_y=True)
    return X[y < 2], y[y < 2]


@pytest.fixture(scope="module")
def not_separable():
    rng = np.random.default_rng(0)
    return rng.standard_normal((40, 2)), rng.integers(2, size=40)


def first_without_errors(path):
    return int(np.flatnonzero(path["n_errors"] == 0)[0])


def test_a_line_for_each_step_size_in_each_panel(separable):
    display = SeparationCurveDisplay.from_data(
        *separable, gammas=(0.5, 50), max_iter=100
    )
    assert display.lines_.shape == (2, 4)
    panels = [line.axes for line in display.lines_[0]]
    errors, loss, margin = display.axes_
    assert panels == [errors, loss, margin, margin]
    legend = display.figure_.legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["0.5", "50"]
    assert legend.get_title().get_text() == r"step size $\gamma$"
    assert {ax.get_xscale() for ax in display.axes_} == {"log"}


def test_errors_and_loss_are_drawn_up_to_separation(separable):
    X, y = separable
    path = normalized_gd_path(X, y, fit_intercept=True, max_iter=100)
    display = SeparationCurveDisplay.from_data(X, y, gammas=[100], max_iter=100)
    end = first_without_errors(path)
    expected = path["n_errors"], path["loss"].clip(min=1e-6)
    for line, values in zip(display.lines_[0], expected):
        assert line.get_xdata().tolist() == list(range(1, end + 1))
        np.testing.assert_array_equal(line.get_ydata(), values[1:])


def test_dots_mark_the_first_iterate_without_errors(separable):
    X, y = separable
    path = normalized_gd_path(X, y, fit_intercept=True)
    display = SeparationCurveDisplay.from_data(X, y, gammas=[100], max_iter=100)
    for ax in display.axes_:
        dots = [line for line in ax.get_lines() if line.get_marker() == "o"]
        assert [dot.get_xdata().tolist() for dot in dots] == [
            [first_without_errors(path)]
        ]


def test_bounds_are_the_best_so_far_and_close_on_each_other(separable):
    X, y = separable
    paths = {
        "momentum": normalized_gd_path(
            X, y, method="dual_momentum", max_iter=400, stop=False
        )
    }
    *_, lower, upper = SeparationCurveDisplay.from_paths(paths).lines_[0]
    lower, upper = lower.get_ydata(), upper.get_ydata()
    assert len(upper) == 400
    drawn = ~np.isnan(lower)
    assert (np.diff(lower[drawn]) >= 0).all()
    assert (np.diff(upper) <= 0).all()
    assert (lower[drawn] > 0).all()
    assert (lower[drawn] <= upper[drawn]).all()
    assert lower[-1] > 0.9 * upper[-1]


def test_paths_that_stop_end_at_separation(separable):
    display = SeparationCurveDisplay.from_data(*separable, gammas=[10], stop=True)
    path = display.paths["10"]
    assert path["n_errors"][-1] == 0
    assert len(display.lines_[0, 3].get_xdata()) == len(path["n_errors"]) - 1


def test_without_separation_there_are_no_dots_and_no_lower_bound(not_separable):
    display = SeparationCurveDisplay.from_data(*not_separable, max_iter=50)
    for errors, loss, lower, upper in display.lines_:
        assert len(errors.get_xdata()) == len(loss.get_xdata()) == 50
        assert np.isnan(lower.get_ydata()).all()
        assert np.isfinite(upper.get_ydata()).all()
    for ax in display.axes_:
        dots = [line for line in ax.get_lines() if line.get_marker() == "o"]
        assert all(len(dot.get_xdata()) == 0 for dot in dots)


def test_zero_errors_are_inside_the_panel(separable):
    errors = SeparationCurveDisplay.from_data(*separable, max_iter=50).axes_[0]
    assert errors.get_ylim()[0] < 0
    assert errors.get_yticklabels()[0].get_text() == "0"


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("normalize", [False, True])
def test_estimator_gives_the_update_and_the_scale_of_the_step(
    separable, fit_intercept, normalize
):
    X, y = separable
    estimator = NormalizedLogisticRegression(
        fit_intercept=fit_intercept, normalize=normalize, max_iter=30
    )
    display = SeparationCurveDisplay.from_estimator(estimator, X, y, step_sizes=[5])
    squared_radius = (X**2).sum(axis=1).max() + fit_intercept
    path = normalized_gd_path(
        X,
        y,
        gamma=5 / squared_radius,
        method="normalized_lr_gd" if normalize else "lr_gd",
        fit_intercept=fit_intercept,
        max_iter=30,
        stop=False,
    )
    np.testing.assert_allclose(display.paths["5"]["theta"], path["theta"], atol=1e-9)


def test_path_of_the_estimator_separates_when_its_fit_does(separable):
    X, y = separable
    estimator = NormalizedLogisticRegression(step_size=2.0, max_iter=200).fit(X, y)
    display = SeparationCurveDisplay.from_estimator(estimator, X, y, step_sizes=[2])
    assert first_without_errors(display.paths["2"]) == estimator.n_iter_


def test_unscaled_steps_of_the_estimator_are_the_step_sizes(separable):
    estimator = NormalizedLogisticRegression(step_scaling="none", max_iter=20)
    ours = SeparationCurveDisplay.from_estimator(estimator, *separable)
    raw = SeparationCurveDisplay.from_data(*separable, max_iter=20)
    for name, path in raw.paths.items():
        np.testing.assert_array_equal(ours.paths[name]["theta"], path["theta"])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"preconditioner": "diag"}, "preconditioner must be None .* got 'diag'"),
        ({"class_weight": "balanced"}, "class_weight must be None .* got 'balanced'"),
        ({"intercept_scaling": 2.0}, "intercept_scaling must be 1 .* got 2.0"),
        ({"acceleration": "dual_momentum"}, "no step size to vary"),
    ],
)
def test_estimators_that_change_the_rows_are_refused(separable, params, message):
    estimator = NormalizedLogisticRegression(**params)
    with pytest.raises(ValueError, match=message):
        SeparationCurveDisplay.from_estimator(estimator, *separable)


def test_estimators_without_a_step_size_are_refused(separable):
    with pytest.raises(TypeError, match="got BatchPerceptron"):
        SeparationCurveDisplay.from_estimator(BatchPerceptron(), *separable)


def test_draws_on_given_axes(separable):
    figure, axes = plt.subplots(1, 3)
    display = SeparationCurveDisplay.from_data(*separable, max_iter=20, ax=axes)
    assert list(display.axes_) == list(axes)
    assert display.figure_ is figure
    assert len(axes[0].get_legend().get_texts()) == 4
    assert {ax.get_xlim() for ax in axes} == {axes[0].get_xlim()}
    assert {ax.get_xlabel() for ax in axes} == {"iteration"}


def test_other_numbers_of_axes_are_refused(separable):
    _, axes = plt.subplots(1, 2)
    with pytest.raises(ValueError, match=r"3 Axes .* got 2"):
        SeparationCurveDisplay.from_data(*separable, max_iter=5, ax=axes)


def test_options_go_to_the_lines(separable):
    display = SeparationCurveDisplay.from_data(*separable, max_iter=5, linewidth=3.5)
    assert {line.get_linewidth() for line in display.lines_.ravel()} == {3.5}


def test_no_paths_are_refused():
    with pytest.raises(ValueError, match="at least one path"):
        SeparationCurveDisplay.from_paths({})
