import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.linear_model import LinearRegression

from sklogit.sketching import (
    CoefficientErrorDisplay,
    SketchedLinearRegression,
    SketchErrorDisplay,
    sketch_rows,
    sketch_size,
)
from sklogit.sketching._refinement_path import refinement_path

BLUE, RED = "#0072B2", "#D55E00"


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def tall():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((4000, 6)) * [1, 10, 1, 1, 0.1, 1]
    y = X @ [3.0, 0.05, -1.0, 0.5, 20.0, 0.0] + rng.standard_normal(4000)
    return X, y


@pytest.fixture(scope="module")
def fitted(tall):
    params = {"solver": "sketch", "sketch_size": 400, "random_state": 0}
    return SketchedLinearRegression(**params).fit(*tall)


@pytest.fixture(scope="module")
def two_targets(tall):
    X, y = tall
    params = {"solver": "sketch", "sketch_size": 400, "random_state": 0}
    return SketchedLinearRegression(**params).fit(X, np.column_stack([y, X[:, 5]]))


def names(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def legend_texts(display):
    (legend,) = display.figure_.legends
    return [text.get_text() for text in legend.get_texts()]


def hex_colors(collection):
    from matplotlib.colors import to_hex

    return [to_hex(color).upper() for color in collection.get_colors()]


class TestCoefficients:
    def test_bars_have_the_half_widths_of_the_estimator(self, fitted):
        display = CoefficientErrorDisplay.from_estimator(fitted, sort_by=None)
        (bars,) = display.bars_
        segments = np.array(bars.get_segments())
        np.testing.assert_allclose(
            segments[:, 0, 0], fitted.coef_ - fitted.coef_error_, rtol=1e-12
        )
        np.testing.assert_allclose(
            segments[:, 1, 0], fitted.coef_ + fitted.coef_error_, rtol=1e-12
        )
        np.testing.assert_array_equal(segments[:, :, 1].T, [range(6)] * 2)
        points = display.points_[0].get_offsets()
        np.testing.assert_allclose(points[:, 0], fitted.coef_)
        assert names(display.axes_[0]) == [f"x{j}" for j in range(6)]
        assert display.references_ == []
        assert legend_texts(display) == ["95 % simultaneous error bar"]

    def test_fitted_reference_is_drawn_beside(self, tall, fitted):
        exact = LinearRegression().fit(*tall)
        display = CoefficientErrorDisplay.from_estimator(fitted, reference=exact)
        drawn = display.references_[0].get_offsets()
        np.testing.assert_allclose(drawn[:, 0], exact.coef_[display.features_])
        assert legend_texts(display)[1:] == ["misses the reference", "reference"]

    def test_colour_says_whether_the_bar_covers_the_reference(self):
        display = CoefficientErrorDisplay(
            [1.0, 2.0, 3.0], [0.5, 0.5, 0.1], reference=[1.4, 2.6, 2.95]
        ).plot(sort_by=None)
        assert hex_colors(display.bars_[0]) == [BLUE, RED, BLUE]
        display.plot(kind="deviations", sort_by=None)
        drawn = display.points_[0].get_offsets()[:, 0]
        np.testing.assert_allclose(drawn, [-0.8, -1.2, 0.5])
        assert display.bars_ == display.references_ == []
        low, high = display.axes_[0].get_xlim()
        assert low < -1.2
        assert high > 1

    def test_bars_without_width_cover_what_is_equal_to_rounding(self):
        coef = np.array([1.0, 1e-3, 2.0])
        display = CoefficientErrorDisplay(
            coef, np.zeros(3), reference=coef + np.array([0.0, 1e-17, 1e-9])
        ).plot(sort_by=None)
        assert hex_colors(display.bars_[0]) == [BLUE, BLUE, RED]

    def test_coefficients_that_are_all_zero_can_miss_too(self):
        display = CoefficientErrorDisplay([0.0, 0.0], [0, 0], reference=[0.0, 1.0])
        assert hex_colors(display.plot(sort_by=None).bars_[0]) == [BLUE, RED]

    @pytest.mark.parametrize(
        ("sort_by", "order"),
        [
            ("magnitude", [2, 0, 1, 3]),
            ("error", [1, 3, 0, 2]),
            ("deviation", [3, 2, 0, 1]),
            (None, [0, 1, 2, 3]),
        ],
    )
    def test_features_are_sorted(self, sort_by, order):
        display = CoefficientErrorDisplay(
            [3.0, 1.0, -5.0, 0.5],
            [0.2, 0.8, 0.1, 0.4],
            reference=[3.1, 1.0, -5.1, 1.5],
            feature_names=list("abcd"),
        ).plot(sort_by=sort_by)
        assert display.features_.tolist() == order
        assert names(display.axes_[0]) == ["abcd"[j] for j in order]
        low, high = display.axes_[0].get_ylim()
        assert low > high  # the first on top

    def test_many_features_are_limited_and_the_label_says_so(self):
        rng = np.random.default_rng(0)
        coef = rng.standard_normal(500)
        display = CoefficientErrorDisplay(coef, np.ones(500)).plot(max_features=7)
        largest = np.argsort(-np.abs(coef))[:7]
        assert display.features_.tolist() == largest.tolist()
        assert display.axes_[0].get_ylabel() == (
            "7 of 500 features,\nlargest coefficients first"
        )
        assert len(display.bars_[0].get_segments()) == 7
        display.plot(max_features=None, sort_by=None)
        assert display.features_.tolist() == list(range(500))
        assert display.axes_[0].get_ylabel() == ""

    def test_each_target_has_a_panel(self, two_targets):
        display = CoefficientErrorDisplay.from_estimator(two_targets, sort_by=None)
        assert [ax.get_title() for ax in display.axes_] == ["target 0", "target 1"]
        for points, coef in zip(display.points_, two_targets.coef_):
            np.testing.assert_allclose(points.get_offsets()[:, 0], coef)

    def test_targets_of_small_scale_count_as_much_in_the_order(self):
        coef = [[5.0, 4.0, 1.0], [1e-4, 1e-5, 9e-3]]
        display = CoefficientErrorDisplay(
            coef, np.zeros((2, 3)), target_names=["a", "b"]
        ).plot()
        assert display.features_.tolist() == [0, 2, 1]
        assert [ax.get_title() for ax in display.axes_] == ["a", "b"]

    def test_many_targets_are_limited_and_the_label_says_so(self):
        coef = np.arange(12.0).reshape(6, 2)
        display = CoefficientErrorDisplay(coef, coef / 10).plot(max_targets=2)
        assert len(display.axes_) == len(display.bars_) == 2
        assert display.axes_[0].get_ylabel().startswith("2 of 6 targets")
        assert len(display.plot(max_targets=None).axes_) == 6

    def test_names_come_from_the_data_frame_or_the_caller(self, tall, fitted):
        X, y = tall
        frame = pd.DataFrame(X, columns=list("uvwxyz"))
        reg = SketchedLinearRegression().fit(frame, y)
        display = CoefficientErrorDisplay.from_estimator(reg, sort_by=None)
        assert names(display.axes_[0]) == list("uvwxyz")
        display = CoefficientErrorDisplay.from_estimator(
            reg, sort_by=None, feature_names=list("abcdef")
        )
        assert names(display.axes_[0]) == list("abcdef")

    def test_bars_of_a_refined_fit_are_called_bounds(self, tall):
        reg = SketchedLinearRegression().fit(*tall)
        display = CoefficientErrorDisplay.from_estimator(reg)
        assert legend_texts(display) == ["bound of the error"]

    def test_draws_on_given_axes_and_hands_options_to_the_bars(self, fitted):
        figure, ax = plt.subplots()
        display = CoefficientErrorDisplay.from_estimator(fitted, ax=ax, linewidth=4.5)
        assert display.axes_.tolist() == [ax]
        assert display.figure_ is figure
        assert display.bars_[0].get_linewidth() == 4.5
        assert len(ax.get_legend().get_texts()) == 1

    def test_other_numbers_of_axes_are_refused(self, two_targets):
        _, ax = plt.subplots()
        with pytest.raises(ValueError, match=r"ax must be 2 Axes .* got 1"):
            CoefficientErrorDisplay.from_estimator(two_targets, ax=ax)

    def test_estimators_without_error_bars_are_refused(self, tall):
        with pytest.raises(TypeError, match="got LinearRegression without coef_error_"):
            CoefficientErrorDisplay.from_estimator(LinearRegression().fit(*tall))
        with pytest.raises(TypeError, match="must be a fitted"):
            CoefficientErrorDisplay.from_estimator(SketchedLinearRegression())

    @pytest.mark.parametrize(
        ("arguments", "options", "message"),
        [
            ({}, {"kind": "bars"}, "kind must be one of .* got 'bars'"),
            ({}, {"sort_by": "size"}, "sort_by must be one of .* got 'size'"),
            ({}, {"kind": "deviations"}, "deviations need a reference, got None"),
            ({}, {"sort_by": "deviation"}, "deviations need a reference, got None"),
            ({"reference": [1.0]}, {}, r"reference .* shape .* \(2,\), got \(1,\)"),
            ({"feature_names": ["a"]}, {}, "feature_names must be 2 names, got 1"),
            ({"target_names": "ab"}, {}, "target_names must be 1 names, got 2"),
        ],
    )
    def test_wrong_arguments_are_refused(self, arguments, options, message):
        display = CoefficientErrorDisplay([1.0, 2.0], [0.1, 0.1], **arguments)
        with pytest.raises(ValueError, match=message):
            display.plot(**options)


class TestRefinementPath:
    @pytest.fixture(scope="class")
    @classmethod
    def problem(cls):
        rng = np.random.default_rng(3)
        A, b = rng.standard_normal((600, 5)), rng.standard_normal(600)
        return A, b, rng.standard_normal((60, 600)) / np.sqrt(60)

    def test_starts_at_the_solution_of_the_sketch(self, problem):
        A, b, S = problem
        path = refinement_path(A, b, S @ np.column_stack([A, b]), 0)
        assert path.shape == (1, 5)
        np.testing.assert_allclose(path[0], np.linalg.lstsq(S @ A, S @ b)[0])

    def test_steps_are_those_of_the_heavy_ball(self, problem):
        A, b, S = problem
        path = refinement_path(A, b, S @ np.column_stack([A, b]), 4)
        inverse = np.linalg.inv(A.T @ S.T @ S @ A)
        before = x = path[0]
        for iterate in path[1:]:
            gradient = inverse @ (A.T @ (b - A @ x))
            x, before = x + (1 - 5 / 60) ** 2 * gradient + 5 / 60 * (x - before), x
            np.testing.assert_allclose(iterate, x, rtol=1e-9)

    def test_ends_at_the_minimum_norm_solution(self, problem):
        A, b, S = problem
        A = np.column_stack([A, A[:, 0], np.zeros(600)])
        path = refinement_path(A, b, S @ np.column_stack([A, b]), 60)
        np.testing.assert_allclose(path[-1], np.linalg.pinv(A) @ b, atol=1e-13)


class TestSketchErrors:
    @pytest.fixture(scope="class")
    @classmethod
    def display(cls, tall):
        return SketchErrorDisplay.from_data(
            *tall, sketch="gaussian", n_repeats=8, n_steps=4, random_state=0
        )

    def test_errors_are_those_of_the_sketched_solutions(self, tall):
        X, y = tall
        display = SketchErrorDisplay.from_data(
            X, y, sketch_sizes=[50, 90], n_repeats=1, n_steps=0, random_state=3
        )
        A = np.column_stack([X, np.ones(len(X))])
        exact = np.linalg.lstsq(A, y)[0]
        seeds = np.random.RandomState(3).randint(np.iinfo(np.int32).max, size=2)
        for m, seed, error in zip([50, 90], seeds, display.errors[:, 0, 0]):
            both = sketch_rows(np.column_stack([A, y]), m, random_state=int(seed))
            x = np.linalg.lstsq(both[:, :-1], both[:, -1])[0]
            distance = np.linalg.norm(A @ (x - exact)) / np.linalg.norm(y - A @ exact)
            assert error == pytest.approx(distance, rel=1e-9)

    def test_coefficients_are_measured_as_the_guarantee_does(self, tall):
        X, y = tall
        options = {"sketch_sizes": [60], "n_repeats": 1, "n_steps": 0}
        display = SketchErrorDisplay.from_data(
            X, y, measure="coefficients", fit_intercept=False, random_state=5, **options
        )
        seed = np.random.RandomState(5).randint(np.iinfo(np.int32).max)
        both = sketch_rows(np.column_stack([X, y]), 60, random_state=int(seed))
        error = np.linalg.lstsq(both[:, :-1], both[:, -1])[0] - np.linalg.pinv(X) @ y
        residual = np.linalg.norm(y - X @ (np.linalg.pinv(X) @ y))
        norm_of_inverse = np.linalg.norm(np.linalg.pinv(X), 2)
        expected = np.sqrt(6) * np.abs(error).max() / (residual * norm_of_inverse)
        assert display.errors[0, 0, 0] == pytest.approx(expected, rel=1e-9)

    def test_lines_are_medians(self, display):
        assert display.errors.shape == (4, 5, 8)
        np.testing.assert_array_equal(display.sketch_sizes, 7 * 2 ** np.arange(3, 7))
        line = display.size_line_
        np.testing.assert_array_equal(line.get_xdata(), display.sketch_sizes)
        np.testing.assert_allclose(
            line.get_ydata(), np.median(display.errors[:, 0], axis=1)
        )
        for line, errors in zip(display.step_lines_, display.errors):
            assert line.get_xdata().tolist() == list(range(5))
            np.testing.assert_allclose(line.get_ydata(), np.median(errors, axis=1))
        assert {ax.get_yscale() for ax in display.axes_} == {"log"}

    def test_sketch_and_solve_agrees_with_theory(self, display):
        m = display.sketch_sizes
        theory = display.size_theory_.get_ydata()
        np.testing.assert_allclose(theory, np.sqrt(7 / (m - 8)))
        rms = np.sqrt(np.mean(display.errors[:, 0] ** 2, axis=1))
        np.testing.assert_allclose(rms, theory, rtol=0.35)

    def test_steps_fall_by_the_theoretical_factor(self, display):
        for m, line in zip(display.sketch_sizes, display.step_lines_):
            factor = (line.get_ydata()[-1] / line.get_ydata()[0]) ** (1 / 4)
            assert factor == pytest.approx(np.sqrt(7 / m), rel=0.4)
        line = display.step_theory_[-1].get_ydata()
        np.testing.assert_allclose(line[1:] / line[:-1], np.sqrt(1 / 64))

    def test_theory_of_coefficients_is_the_size_rule(self):
        display = SketchErrorDisplay(
            [sketch_size(16, eps, 0.1) for eps in (1, 0.5, 0.25)],
            np.ones((3, 1, 1)),
            n_columns=16,
            measure="coefficients",
            delta=0.1,
        ).plot()
        promised = display.size_theory_.get_ydata()
        np.testing.assert_allclose(promised, [1, 0.5, 0.25], rtol=0.01)
        assert norm.ppf(1 - 0.1 / 32) == pytest.approx(
            promised[0] * np.sqrt((display.sketch_sizes[0] - 16) / 16)
        )

    def test_estimator_gives_its_sketch_and_the_size_to_mark(self, tall, fitted):
        options = {"n_repeats": 1, "n_steps": 1}
        display = SketchErrorDisplay.from_estimator(fitted, *tall, **options)
        assert display.sketch == "block_srht"
        assert display.marked_size == 400
        same = SketchErrorDisplay.from_data(*tall, random_state=0, **options)
        np.testing.assert_array_equal(display.errors, same.errors)
        legend = [t.get_text() for t in display.axes_[0].get_legend().get_texts()]
        assert "fitted with 400" in legend

    def test_refined_estimators_have_no_size_to_mark(self, tall):
        reg = SketchedLinearRegression(random_state=0).fit(*tall)
        display = SketchErrorDisplay.from_estimator(reg, *tall, n_repeats=1, n_steps=1)
        assert display.marked_size is None

    def test_rank_deficient_data_are_drawn_too(self, tall):
        X, y = tall
        X = np.column_stack([X, X[:, :2], np.zeros(len(X))])
        display = SketchErrorDisplay.from_data(
            X, y, n_repeats=2, n_steps=6, random_state=0
        )
        assert display.n_columns == 7
        assert (display.errors[-1, -1] < 1e-4 * display.errors[-1, 0]).all()

    def test_draws_on_given_axes_and_hands_options_to_the_lines(self, tall):
        figure, axes = plt.subplots(2, 1)
        display = SketchErrorDisplay.from_data(
            *tall, n_repeats=1, n_steps=1, ax=axes, linewidth=3.5
        )
        assert display.axes_.tolist() == axes.tolist()
        assert display.figure_ is figure
        lines = [display.size_line_, *display.step_lines_]
        assert {line.get_linewidth() for line in lines} == {3.5}

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"sketch_sizes": [100, 8]}, r"numbers above 8.* got \[100, 8\]"),
            ({"sketch_sizes": []}, r"numbers above 8.* got \[\]"),
            ({"measure": "loss"}, "measure must be one of .* got 'loss'"),
            ({"sketch": "fft"}, "fft"),
        ],
    )
    def test_wrong_arguments_are_refused(self, tall, options, message):
        with pytest.raises(ValueError, match=message):
            SketchErrorDisplay.from_data(*tall, **options)

    def test_default_sizes_are_less_than_half_of_the_rows(self, tall):
        X, y = tall
        options = {"n_repeats": 1, "n_steps": 1, "random_state": 0}
        display = SketchErrorDisplay.from_data(X[:220], y[:220], **options)
        assert display.sketch_sizes.tolist() == [56]
        display = SketchErrorDisplay.from_data(X[:230], y[:230], **options)
        assert display.sketch_sizes.tolist() == [56, 112]

    def test_short_data_are_refused(self, tall):
        X, y = tall
        with pytest.raises(ValueError, match=r"more than 112 rows .* got 50"):
            SketchErrorDisplay.from_data(X[:50], y[:50])

    def test_targets_without_residual_are_refused(self, tall):
        X, _ = tall
        with pytest.raises(ValueError, match="every sketch is exact"):
            SketchErrorDisplay.from_data(X, X @ np.ones(6) + 2)

    def test_penalised_estimators_are_refused(self, tall):
        with pytest.raises(ValueError, match=r"alpha must be 0 .* got 2.0"):
            SketchErrorDisplay.from_estimator(
                SketchedLinearRegression(alpha=2.0), *tall
            )

    def test_estimators_without_a_sketch_are_refused(self, tall):
        with pytest.raises(TypeError, match="got LinearRegression"):
            SketchErrorDisplay.from_estimator(LinearRegression(), *tall)
