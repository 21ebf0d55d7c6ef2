import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression

from sklogit.subspace import (
    ClassVariabilityDisplay,
    GrassmannClassifier,
    PrincipalAnglesDisplay,
)
from sklogit.subspace._variability import class_variability


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return X, load_iris().target_names[y]


@pytest.fixture(scope="module")
def clf(iris):
    return GrassmannClassifier(2, max_iter=3, random_state=0).fit(*iris)


# -- angles ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statistic", "of"), [("smallest", np.min), ("mean", np.mean), ("largest", np.max)]
)
def test_cells_are_the_statistic_of_the_angles(clf, statistic, of):
    display = PrincipalAnglesDisplay.from_estimator(clf, statistic=statistic)
    shown = display.image_.get_array()
    angles = clf.subspace_angles()
    for i in range(3):
        for j in range(3):
            if i == j:
                assert shown.mask[i, j]
                assert display.text_[i, j] is None
            else:
                assert shown[i, j] == pytest.approx(of(angles[i, j]))
                written = display.text_[i, j].get_text()
                assert written == f"{of(angles[i, j]):.0f}"


def test_angles_carry_the_names_of_the_classes(clf):
    ax = plt.subplots()[1]
    display = PrincipalAnglesDisplay.from_estimator(clf, ax=ax, colorbar=False)
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    assert display.colorbar_ is None
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == ["setosa", "versicolor", "virginica"]


def test_many_classes_have_no_numbers():
    angles = np.random.default_rng(0).uniform(0, 90, (30, 30, 2))
    display = PrincipalAnglesDisplay(angles).plot()
    assert display.text_ is None
    assert len(display.ax_.get_xticks()) < 20
    assert PrincipalAnglesDisplay(angles).plot(include_values=True).text_[0, 1]


def test_angles_refuse_other_estimators_and_statistics(clf, iris):
    with pytest.raises(TypeError, match="subspace_angles, got LogisticRegression"):
        PrincipalAnglesDisplay.from_estimator(LogisticRegression())
    with pytest.raises(NotFittedError):
        PrincipalAnglesDisplay.from_estimator(GrassmannClassifier())
    with pytest.raises(ValueError, match=r"statistic must be one of .*'median'"):
        PrincipalAnglesDisplay.from_estimator(clf, statistic="median")


# -- spread ----------------------------------------------------------------------------


def test_angle_is_that_to_the_direction_of_the_mean():
    # Two rows at 30 degrees to both sides of their mean; lengths do not matter.
    a = np.radians(30)
    rows = np.array([[np.cos(a), np.sin(a)], [np.cos(a), -np.sin(a)], [0, 1], [0, 2]])
    rows *= np.array([[1.0], [5.0], [2.0], [3.0]])
    rows[1] /= 5  # the mean is of unit rows
    np.testing.assert_allclose(
        class_variability(rows, [0, 0, 1, 1]), [30, 0], atol=1e-6
    )


@pytest.mark.parametrize("n_rows", [5, 40])
def test_dimension_is_the_participation_ratio_of_the_covariance(n_rows):
    X = np.random.default_rng(0).standard_normal((n_rows, 8)) + 2
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    values = np.linalg.eigvalsh(np.cov(unit.T))
    expected = values.sum() ** 2 / (values**2).sum()
    found = class_variability(X, np.zeros(n_rows), "dimension")
    np.testing.assert_allclose(found, [expected])
    assert class_variability(np.ones((4, 3)), np.zeros(4), "dimension") == [0]


def test_rows_of_zeros_are_left_out_of_the_spread():
    X = np.random.default_rng(1).standard_normal((10, 4))
    y = np.arange(10) % 2
    expected = class_variability(X, y)
    X = np.concatenate([X, np.zeros((2, 4))])
    np.testing.assert_allclose(class_variability(X, [*y, 0, 1]), expected)
    with pytest.raises(ValueError, match="class 2 must not all be zero"):
        class_variability(X, [*y, 2, 2])


@pytest.mark.parametrize("measure", ["angle", "dimension"])
def test_lines_are_the_spreads_and_their_mean(iris, measure):
    X, y = iris
    features = {4: X, 1: X[:, :2] + 1, 2: X - X.mean(axis=0)}
    display = ClassVariabilityDisplay.from_features(
        features, y, references={"linear": X**2}, measure=measure
    )
    expected = np.stack([class_variability(features[k], y, measure) for k in (1, 2, 4)])
    np.testing.assert_allclose(display.variability, expected)
    np.testing.assert_array_equal(display.line_.get_xdata(), [1, 2, 4])
    np.testing.assert_allclose(display.line_.get_ydata(), expected.mean(axis=1))
    for line, spreads in zip(display.class_lines_, expected.T, strict=True):
        np.testing.assert_allclose(line.get_ydata(), spreads)
    (reference,) = display.reference_lines_
    level = class_variability(X**2, y, measure).mean()
    np.testing.assert_allclose(reference.get_ydata(), level)
    legend = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert sorted(legend) == ["each class", "linear", "subspaces"]


def test_estimators_give_their_transform(iris, clf):
    X, y = iris
    display = ClassVariabilityDisplay.from_estimators(
        {2: clf}, X, y, references={"same": clf}
    )
    expected = class_variability(clf.transform(X), y)
    np.testing.assert_allclose(display.variability, [expected])
    np.testing.assert_allclose(display.references["same"], expected)
    with pytest.raises(TypeError, match="transform, got LogisticRegression"):
        ClassVariabilityDisplay.from_estimators({2: LogisticRegression()}, X, y)


def test_bad_spreads_are_refused(iris):
    X, y = iris
    with pytest.raises(ValueError, match="at least"):
        ClassVariabilityDisplay.from_features({}, y)
    with pytest.raises(ValueError, match=r"measure must be one of .*'width'"):
        ClassVariabilityDisplay.from_features({2: X}, y, measure="width")
    with pytest.raises(ValueError, match="row for each of the 3 dimensions"):
        ClassVariabilityDisplay([1, 2, 4], np.ones((2, 5))).plot()
