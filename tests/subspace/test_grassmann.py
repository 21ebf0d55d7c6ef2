import pickle
import warnings

import numpy as np
import pytest
from scipy import sparse
from scipy.special import log_softmax, softmax
from sklearn.base import clone
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklogit.subspace import GrassmannClassifier, _training
from sklogit.subspace._geometry import principal_angles

FULL = 10_000  # a batch size above the number of rows


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:900], y[:900], X[900:], y[900:]


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X), y


def classifier(n_components=2, **params):
    return GrassmannClassifier(n_components, **{"random_state": 0, **params})


def projectors(clf):
    return clf.subspaces_ @ clf.subspaces_.mT


def reference_lengths(clf, X, constant):
    """Lengths of projections, by the definition."""
    if constant:
        X = np.column_stack([X, np.full(len(X), constant)])
    X = X / np.linalg.norm(X, axis=1, keepdims=True)
    return np.stack([np.linalg.norm(X @ S, axis=1) for S in clf.subspaces_], axis=1)


# -- what it is ------------------------------------------------------------------------


@pytest.mark.parametrize("constant", [0.0, 2.0])
def test_logits_are_lengths_of_projections(iris, constant):
    X, y = iris
    clf = classifier(fit_intercept=constant > 0, intercept_scaling=constant or 1.0)
    clf.fit(X, y)
    logits = 25.0 * reference_lengths(clf, X, constant)
    np.testing.assert_allclose(clf.decision_function(X), logits, rtol=1e-12)
    np.testing.assert_allclose(clf.predict_proba(X), softmax(logits, 1), rtol=1e-9)
    np.testing.assert_allclose(
        clf.predict_log_proba(X), log_softmax(logits, 1), rtol=1e-9
    )
    np.testing.assert_array_equal(clf.predict(X), logits.argmax(axis=1))


def test_two_classes_have_the_difference_of_the_logits(iris):
    X, y = iris[0][:100], np.array(["no", "yes"])[iris[1][:100]]
    clf = classifier().fit(X, y)
    logits = 25.0 * reference_lengths(clf, X, 1.0)
    scores = clf.decision_function(X)
    assert scores.shape == (100,)
    np.testing.assert_allclose(scores, logits[:, 1] - logits[:, 0], atol=1e-12)
    np.testing.assert_array_equal(clf.predict(X) == "yes", scores > 0)
    np.testing.assert_allclose(clf.predict_proba(X), softmax(logits, 1), rtol=1e-9)


def test_without_intercept_only_the_line_through_a_row_matters(iris):
    X, y = iris
    clf = classifier(fit_intercept=False).fit(X, y)
    expected = clf.decision_function(X)
    scale = np.random.default_rng(0).uniform(0.1, 5, (len(X), 1))
    for same in (X * scale, -X):
        np.testing.assert_allclose(clf.decision_function(same), expected, rtol=1e-10)
    assert expected.min() >= 0
    assert expected.max() <= 25.0 + 1e-10


def test_no_epochs_are_the_principal_subspaces_of_the_classes(digits):
    X, y, X_test, _ = digits
    clf = classifier(4, max_iter=0, fit_intercept=False).fit(X, y)
    lengths = []
    for c in range(10):
        rows = X[y == c] / np.linalg.norm(X[y == c], axis=1, keepdims=True)
        V = np.linalg.svd(rows)[2][:4].T
        np.testing.assert_allclose(projectors(clf)[c], V @ V.T, atol=1e-10)
        lengths.append(np.linalg.norm(X_test @ V, axis=1))
    np.testing.assert_array_equal(clf.predict(X_test), np.argmax(lengths, axis=0))
    assert clf.n_iter_ == 0
    assert len(clf.loss_curve_) == 1


def test_one_dimension_is_the_softmax_of_absolute_cosines(iris):
    X, y = iris
    torch = pytest.importorskip("torch")
    params = {"momentum": 0.0, "schedule": "constant", "learning_rate_init": 0.02}
    start = classifier(1, max_iter=0, fit_intercept=False).fit(X, y)
    with pytest.warns(ConvergenceWarning):
        clf = classifier(
            1, fit_intercept=False, max_iter=20, batch_size=FULL, tol=0.0, **params
        ).fit(X, y)
    # Descent on the sphere, written for vectors.
    rows = torch.as_tensor(X / np.linalg.norm(X, axis=1, keepdims=True))
    W = torch.as_tensor(start.subspaces_[:, :, 0]).clone()
    for _ in range(20):
        W.requires_grad_(True)
        logits = 25 * (rows @ W.T).abs()
        torch.nn.functional.cross_entropy(logits, torch.as_tensor(y)).backward()
        with torch.no_grad():
            g = -0.02 * (W.grad - (W.grad * W).sum(1, keepdim=True) * W)
            size = g.norm(dim=1, keepdim=True)
            W = W * size.cos() + g / size * size.sin()
    np.testing.assert_allclose(clf.subspaces_[:, :, 0], W.numpy(), atol=1e-10)


def test_digits_are_classified_better_than_by_a_line_for_each_class():
    X, y = load_digits(return_X_y=True)
    cv = KFold(5, shuffle=True, random_state=0)

    def accuracy(k, **params):
        clf = classifier(k, max_iter=25, **params)
        return cross_val_score(clf, X.astype(np.float32), y, cv=cv).mean()

    assert accuracy(8) > 0.98
    assert accuracy(8, init="random") > 0.978
    assert accuracy(1) < accuracy(2)


def test_training_gains_over_its_start(digits):
    X, y, X_test, y_test = digits
    start = classifier(max_iter=0).fit(X, y)
    clf = classifier(max_iter=20).fit(X, y)
    assert clf.score(X_test, y_test) > start.score(X_test, y_test) + 0.02
    assert clf.loss_curve_[0] == pytest.approx(start.loss_curve_[0])
    assert clf.loss_curve_[-1] < 0.5 * clf.loss_curve_[0]


def test_intercept_tells_apart_what_lies_on_one_line():
    X = np.array([[1.0, 1], [1.1, 1.1], [2, 2], [2.1, 2.1], [-1, -1], [-1.1, -1.1]])
    y = np.array([0, 0, 1, 1, 2, 2])
    assert classifier(1).fit(X, y).score(X, y) == 1
    assert classifier(1, fit_intercept=False).fit(X, y).score(X, y) < 0.7


def test_automatic_intercept_does_not_depend_on_the_unit():
    X, y = load_wine(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    params = {"intercept_scaling": "auto", "max_iter": 5}
    clf = classifier(**params).fit(X, y)
    assert clf.intercept_scaling_ == pytest.approx(np.sqrt(13) / 2)
    for unit in (1e-200, 1e3):
        same = classifier(**params).fit(unit * X, y)
        np.testing.assert_allclose(
            same.predict_proba(unit * X), clf.predict_proba(X), rtol=1e-6
        )


# -- dimension -------------------------------------------------------------------------


@pytest.mark.parametrize(("n_features", "k"), [(1, 1), (2, 1), (4, 2), (9, 5), (30, 8)])
def test_automatic_dimension_is_half_of_the_features(n_features, k):
    X = np.random.default_rng(0).standard_normal((40, n_features))
    clf = classifier("auto", max_iter=2).fit(X, np.arange(40) % 2)
    assert clf.n_components_ == k
    assert clf.subspaces_.shape == (2, n_features + 1, k)


def test_dimension_of_the_whole_space_is_refused(iris):
    with pytest.raises(ValueError, match="n_components=5 must be less than the 5 feat"):
        classifier(5).fit(*iris)
    with pytest.raises(ValueError, match="n_components=4 must be less than the 4 feat"):
        classifier(4, fit_intercept=False).fit(*iris)
    with pytest.raises(ValueError, match=r"1 feature\(s\), and without an intercept"):
        classifier("auto", fit_intercept=False).fit(iris[0][:, :1], iris[1])
    assert classifier(4, max_iter=1).fit(*iris).n_components_ == 4


# -- weights ---------------------------------------------------------------------------


@pytest.mark.parametrize("scaling", [1.0, "auto"])
def test_weights_are_repetitions(iris, scaling):
    X, y = iris
    times = np.random.default_rng(0).integers(0, 4, len(y))
    params = {"batch_size": FULL, "intercept_scaling": scaling}
    weighted = classifier(**params).fit(X, y, sample_weight=times)
    rows = np.repeat(np.arange(len(y)), times)
    repeated = classifier(**params).fit(X[rows], y[rows])
    np.testing.assert_allclose(
        weighted.decision_function(X), repeated.decision_function(X), rtol=1e-6
    )
    np.testing.assert_allclose(weighted.loss_curve_, repeated.loss_curve_, rtol=1e-6)


def test_class_weights_multiply_sample_weights(iris):
    X, y = iris
    rng = np.random.default_rng(0)
    weight = rng.uniform(0.5, 2, len(y))
    by_class = np.array([1.0, 3.0, 0.5])
    params = {"batch_size": FULL}
    first = classifier(class_weight=dict(enumerate(by_class)), **params)
    second = classifier(**params).fit(X, y, sample_weight=weight * by_class[y])
    np.testing.assert_allclose(
        first.fit(X, y, sample_weight=weight).subspaces_, second.subspaces_, atol=1e-8
    )


def test_balanced_classes_have_equal_weight(iris):
    X, y = iris[0][:120], iris[1][:120]
    share = np.bincount(y)[y]
    params = {"batch_size": FULL}
    balanced = classifier(class_weight="balanced", **params).fit(X, y)
    weighted = classifier(**params).fit(X, y, sample_weight=120 / (3 * share))
    np.testing.assert_allclose(balanced.subspaces_, weighted.subspaces_, atol=1e-8)


def test_class_without_weight_is_refused(iris):
    X, y = iris
    with pytest.raises(ValueError, match="leave weight in every class"):
        classifier().fit(X, y, sample_weight=(y > 0).astype(float))
    with pytest.raises(ValueError, match="leave weight in every class"):
        classifier(class_weight={0: 0.0}).fit(X, y)
    with pytest.raises(ValueError, match="must not be negative"):
        classifier(class_weight={0: -1.0}).fit(X, y)
    with pytest.raises(ValueError, match=r"[Nn]egative"):
        classifier().fit(X, y, sample_weight=np.full(len(y), -1.0))


# -- kinds of data ---------------------------------------------------------------------


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("init", ["pca", "random"])
def test_sparse_rows_give_the_same(digits, fit_intercept, init):
    X, y, X_test, _ = digits
    params = {"init": init, "fit_intercept": fit_intercept, "max_iter": 3}
    dense = classifier(**params).fit(X, y)
    for make in (sparse.csr_matrix, sparse.csc_array):
        clf = classifier(**params).fit(make(X), y)
        np.testing.assert_allclose(clf.subspaces_, dense.subspaces_, atol=1e-8)
        for method in ("decision_function", "transform"):
            np.testing.assert_allclose(
                getattr(clf, method)(make(X_test)),
                getattr(dense, method)(X_test),
                atol=1e-6,
            )


def test_sparse_rows_are_never_made_dense():
    # Densely these would take 16 GB.
    rng = np.random.default_rng(0)
    columns = rng.integers(100_000, size=(20_000, 5))
    columns[:, 0] = np.arange(20_000) % 2  # tells the class
    X = sparse.csr_array(
        (np.ones(100_000), columns.ravel(), np.arange(0, 100_001, 5)),
        shape=(20_000, 100_000),
    )
    y = columns[:, 0]
    clf = classifier(1, max_iter=1, batch_size=10_000).fit(X, y)
    assert clf.score(X, y) == 1


def test_single_precision_stays_single_and_close(digits):
    X, y, X_test, _ = digits
    double = classifier(max_iter=5).fit(X, y)
    single = classifier(max_iter=5).fit(X.astype(np.float32), y)
    assert single.subspaces_.dtype == np.float32
    for method in ("decision_function", "predict_proba", "transform"):
        result = getattr(single, method)(X_test.astype(np.float32))
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, getattr(double, method)(X_test), atol=1e-2)
    S = single.subspaces_
    assert np.abs(S.mT @ S - np.eye(2)).max() < 1e-5


def test_rows_of_zeros_are_uniform_and_change_nothing(iris):
    X, y = iris
    params = {"fit_intercept": False, "batch_size": FULL, "max_iter": 5}
    clf = classifier(**params).fit(X, y)
    np.testing.assert_allclose(clf.predict_proba(np.zeros((1, 4))), 1 / 3)
    np.testing.assert_array_equal(clf.decision_function(np.zeros((1, 4))), 0)
    zeros = np.zeros((3, 4))
    with_zeros = classifier(**params, learning_rate_init=0.05 * 153 / 150)
    with_zeros.fit(np.concatenate([X, zeros]), np.concatenate([y, [0, 1, 2]]))
    np.testing.assert_allclose(with_zeros.subspaces_, clf.subspaces_, atol=1e-10)


def test_class_with_fewer_rows_than_dimensions(iris):
    X, y = iris
    rows = np.concatenate([np.arange(100), [120]])
    clf = classifier(3).fit(X[rows], y[rows])
    S = clf.subspaces_
    np.testing.assert_allclose(
        S.mT @ S, np.broadcast_to(np.eye(3), (3, 3, 3)), atol=1e-12
    )
    assert clf.predict(X[[120]]) == 2


# -- transform and angles --------------------------------------------------------------


def test_transform_has_the_coordinates_of_the_projections(iris):
    pandas = pytest.importorskip("pandas")
    X, y = iris[0], np.array(["a", "b", "c"])[iris[1]]
    clf = classifier().fit(X, y)
    Z = clf.transform(X)
    assert Z.shape == (150, 6)
    np.testing.assert_allclose(
        25 * np.linalg.norm(Z.reshape(150, 3, 2), axis=2), clf.decision_function(X)
    )
    names = clf.get_feature_names_out()
    assert names.tolist() == [
        f"grassmannclassifier_{label}_{j}" for label in "abc" for j in range(2)
    ]
    clf.set_output(transform="pandas")
    frame = clf.transform(X)
    assert isinstance(frame, pandas.DataFrame)
    assert frame.columns.tolist() == names.tolist()
    with pytest.raises(ValueError, match="input_features"):
        clf.get_feature_names_out(["x"])


def test_subspace_angles_are_the_principal_angles_in_degrees(digits):
    X, y, _, _ = digits
    clf = classifier(3, max_iter=2).fit(X.astype(np.float32), y)
    angles = clf.subspace_angles()
    assert angles.shape == (10, 10, 3)
    np.testing.assert_array_equal(angles, angles.transpose(1, 0, 2))
    np.testing.assert_array_equal(np.diagonal(angles), 0)
    S = clf.subspaces_.astype(float)
    np.testing.assert_allclose(angles[2, 7], np.degrees(principal_angles(S[2], S[7])))


# -- going on --------------------------------------------------------------------------


def test_two_calls_of_partial_fit_are_a_warm_start(digits):
    X, y, _, _ = digits
    chunks = classifier()
    warm = classifier(warm_start=True, schedule="constant", max_iter=1)
    chunks.partial_fit(X, y, classes=np.arange(10)).partial_fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warm.fit(X, y).fit(X, y)
    np.testing.assert_allclose(chunks.subspaces_, warm.subspaces_, atol=1e-10)
    assert chunks.n_iter_ == 2
    assert len(chunks.loss_curve_) == 3


def test_partial_fit_goes_on_with_the_momentum(iris):
    X, y = iris
    params = {"batch_size": FULL, "schedule": "constant"}
    chunks = classifier(**params)
    for _ in range(4):
        chunks.partial_fit(X, y, classes=[0, 1, 2])
    with pytest.warns(ConvergenceWarning):
        whole = classifier(**params, max_iter=4).fit(X, y)
    np.testing.assert_allclose(chunks.subspaces_, whole.subspaces_, atol=1e-12)


def test_partial_fit_learns_classes_that_the_first_chunk_lacks(iris):
    X, y = iris
    clf = classifier().partial_fit(X[:50], y[:50], classes=[0, 1, 2])
    rng = np.random.default_rng(0)
    for _ in range(60):
        clf.partial_fit(X[(rows := rng.integers(150, size=64))], y[rows])
    assert clf.score(X, y) > 0.9


def test_going_on_keeps_the_constant_of_the_first_rows(iris):
    X, y = iris
    clf = classifier(intercept_scaling="auto", warm_start=True, max_iter=1)
    clf.partial_fit(X, y, classes=[0, 1, 2])
    first = clf.intercept_scaling_
    assert clf.partial_fit(10 * X, y).intercept_scaling_ == first
    assert clf.fit(10 * X, y).intercept_scaling_ == first
    assert clf.set_params(warm_start=False).fit(10 * X, y).intercept_scaling_ > first


def test_partial_fit_refuses_what_needs_all_data(iris):
    X, y = iris
    for params in ({"early_stopping": True}, {"class_weight": "balanced"}):
        with pytest.raises(ValueError, match="needs all data"):
            classifier(**params).partial_fit(X, y, classes=[0, 1, 2])
    clf = classifier().partial_fit(X, y, classes=[0, 1, 2])
    before = clf.subspaces_
    with pytest.raises(ValueError, match="not in classes"):
        clf.partial_fit(X, y + 1)
    with pytest.raises(ValueError, match="at least 2 classes"):
        classifier().partial_fit(X, 0 * y, classes=[0])
    assert clf.subspaces_ is before


def test_warm_start_refuses_other_classes_and_dimensions(iris):
    X, y = iris
    clf = classifier(warm_start=True, max_iter=1).fit(X, y)
    with pytest.raises(ValueError, match="same classes"):
        clf.fit(X, y + 1)
    with pytest.raises(ValueError, match=r"same shape: subspaces_ is \(3, 5, 2\)"):
        clf.set_params(n_components=3).fit(X, y)
    with pytest.raises(ValueError, match="same shape"):
        clf.set_params(n_components=2).fit(X[:, :3], y)


def test_pickled_classifier_goes_on_alike(iris):
    X, y = iris
    clf = classifier(batch_size=16).partial_fit(X, y, classes=[0, 1, 2])
    copy = pickle.loads(pickle.dumps(clf)).partial_fit(X, y)
    np.testing.assert_array_equal(copy.subspaces_, clf.partial_fit(X, y).subspaces_)


def test_seed_decides(digits):
    X, y, _, _ = digits
    first, same, other = (
        classifier(random_state=seed, init="random", max_iter=2).fit(X, y).subspaces_
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 0.01


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_start_may_be_given(iris, dtype):
    X, y = iris[0].astype(dtype), iris[1]
    first = classifier(3, max_iter=5).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf = GrassmannClassifier(init=first.subspaces_, max_iter=0).fit(X, y)
    assert clf.n_components_ == 3
    assert clf.subspaces_.dtype == dtype
    np.testing.assert_allclose(clf.subspaces_, first.subspaces_, atol=1e-6)


def test_given_start_is_made_orthonormal_with_a_warning(iris):
    X, y = iris
    S = classifier(2, max_iter=5).fit(X, y).subspaces_
    skew = S @ np.array([[2.0, 1.0], [0.0, 3.0]])
    with pytest.warns(UserWarning, match="init is not orthonormal") as record:
        clf = GrassmannClassifier(2, init=skew, max_iter=0).fit(X, y)
    assert record[0].filename == __file__
    np.testing.assert_allclose(clf.subspaces_, S, atol=1e-12)


def test_given_start_is_checked(iris):
    X, y = iris
    S = classifier(2, max_iter=0).fit(X, y).subspaces_
    for bad, message in [
        (S[:, :4], r"init must have the shape \(3, 5, 2\).* got \(3, 4, 2\)"),
        (S[:, :, [0, 0]], "independent columns, those of class number"),
        (S * 0, "independent columns"),
        (S * np.nan, "init must not have NaN"),
    ]:
        with pytest.raises(ValueError, match=message):
            GrassmannClassifier(2, init=bad).fit(X, y)


# -- stopping, warnings, failures ------------------------------------------------------


def test_early_stopping_keeps_the_best_on_rows_set_aside(digits, monkeypatch):
    X, y, X_test, y_test = digits
    held = {}
    split = _training.train_test_split

    def watched(*args, **kwargs):
        held["train"], held["validation"] = split(*args, **kwargs)
        return held["train"], held["validation"]

    monkeypatch.setattr(_training, "train_test_split", watched)
    clf = classifier(early_stopping=True, max_iter=200, schedule="constant").fit(X, y)
    assert clf.n_iter_ < 200
    assert len(clf.validation_loss_curve_) == clf.n_iter_ + 1
    rows = np.sort(held["validation"])
    assert len(rows) == 90
    losses = -clf.predict_log_proba(X[rows])[np.arange(90), y[rows]]
    assert losses.mean() == pytest.approx(clf.validation_loss_curve_.min())
    assert clf.score(X_test, y_test) > 0.9
    clf.set_params(early_stopping=False, max_iter=1, schedule="cosine").fit(X, y)
    assert not hasattr(clf, "validation_loss_curve_")


def test_constant_steps_end_with_the_loss_or_warn(iris):
    X, y = iris
    params = {"schedule": "constant", "tol": 1e-3}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf = classifier(max_iter=500, **params).fit(X, y)
        classifier(max_iter=3).fit(X, y)  # the cosine ends as it was asked to
    assert clf.n_iter_ < 500
    with pytest.warns(ConvergenceWarning, match="max_iter=2 epochs") as record:
        classifier(max_iter=2, **params).fit(X, y)
    assert record[0].filename == __file__


@pytest.mark.parametrize("rate", [1e8, 1e300])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_steps_that_go_round_and_round_are_refused(digits, rate, dtype):
    X, y, *_ = digits
    clf = classifier(4, max_iter=5, learning_rate_init=rate)
    with pytest.raises(ValueError, match=r"learning_rate_init=.*rad, at most 10000"):
        clf.fit(X.astype(dtype), y)
    assert not hasattr(clf, "subspaces_")


@pytest.mark.parametrize("rate", [1e1, 1e2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_steps_too_long_leave_numbers_and_a_warning(digits, rate, dtype):
    X, y, X_test, _ = digits
    clf = classifier(4, max_iter=5, learning_rate_init=rate)
    with pytest.warns(ConvergenceWarning, match="learning_rate_init=.* is too large"):
        clf.fit(X.astype(dtype), y)
    S = clf.subspaces_
    assert np.abs(S.mT @ S - np.eye(4)).max() < 1e-4
    assert np.isfinite(clf.predict_proba(X_test)).all()


def test_short_trainings_and_warm_starts_do_not_warn(iris):
    X, y = iris
    clf = classifier(max_iter=1, warm_start=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for dtype in (np.float32, np.float64):
            classifier(max_iter=1, batch_size=FULL).fit(X.astype(dtype), y)
        for _ in range(30):
            clf.fit(X, y)
    with pytest.warns(ConvergenceWarning, match="too large"):
        clf.set_params(learning_rate_init=100.0, max_iter=5).fit(X, y)


def test_overflow_names_the_learning_rate(iris, monkeypatch):
    def overflow(*args):
        raise FloatingPointError("a basis of a subspace is not finite.")

    clf = classifier().fit(*iris)
    before = clf.subspaces_
    monkeypatch.setattr(_training, "descend", overflow)
    with pytest.raises(ValueError, match=r"learning_rate_init=0\.05 is too large"):
        clf.fit(*iris)
    assert clf.subspaces_ is before


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_components": 0}, "n_components"),
        ({"gamma": 0.0}, "gamma"),
        ({"momentum": 1.0}, "momentum"),
        ({"momentum": -0.1}, "momentum"),
        ({"learning_rate_init": np.inf}, "learning_rate_init"),
        ({"intercept_scaling": 0.0}, "intercept_scaling"),
        ({"init": "zeros"}, "init"),
        ({"max_iter": -1}, "max_iter"),
    ],
)
def test_bad_parameters_are_named(iris, params, message):
    with pytest.raises(ValueError, match=f"'{message}' parameter"):
        GrassmannClassifier(**params).fit(*iris)


class _Interrupt:
    """A callback that interrupts after some epochs."""

    def __init__(self, epochs):
        self.epochs = epochs

    def setup(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context, **kwargs):
        pass

    def on_fit_task_end(self, estimator, context, **kwargs):
        self.epochs -= 1
        if self.epochs == 0:
            raise KeyboardInterrupt
        return False

    def teardown(self, estimator, context):
        pass


def test_interrupt_keeps_the_subspaces_reached(iris):
    X, y = iris
    clf = classifier(batch_size=FULL).set_callbacks(_Interrupt(3))
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X, y)
    assert clf.n_iter_ == 3
    assert clf.score(X, y) > 0.8


def test_callbacks_follow_the_epochs(iris, capsys):
    X, y = iris
    monitor = ScoringMonitor(scoring="accuracy")
    clf = classifier(max_iter=6).set_callbacks(ProgressBar(), monitor).fit(X, y)
    log = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(log) == 6
    assert log[-1]["accuracy"] == pytest.approx(clf.score(X, y))


def test_verbose_prints_ever_rarer(iris, capsys):
    classifier(max_iter=9, verbose=1).fit(*iris)
    epochs = [line.split(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert epochs == [f"epoch {i}" for i in (1, 2, 4, 8)]


def test_works_behind_a_scaler_and_is_cloned_unfitted(iris):
    X, y = iris
    model = make_pipeline(StandardScaler(), classifier(1))
    assert cross_val_score(model, X, y).mean() > 0.9
    assert not hasattr(clone(classifier().fit(X, y)), "subspaces_")


@pytest.mark.parametrize("scale", [1e-320, 1e308])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_only_ratios_of_weights_count(digits, scale, dtype):
    X, y, *_ = digits
    X, weight = X[:200].astype(dtype), np.ones(200)
    fits = [
        classifier(2, max_iter=2).fit(X, y[:200], sample_weight=w)
        for w in (weight, scale * weight)
    ]
    np.testing.assert_array_equal(fits[0].subspaces_, fits[1].subspaces_)


@pytest.mark.parametrize(
    ("init", "found"),
    [
        ([[1.0], [1.0, 2.0]], "unequal lengths"),
        ([["a"]], "<U1"),
        (1j * np.ones((10, 65, 2)), "complex128"),
    ],
)
def test_init_that_is_no_array_of_numbers_is_named(digits, init, found):
    X, y, *_ = digits
    with pytest.raises(ValueError, match=f"init must be .*{found}"):
        classifier(2, init=init).fit(X, y)
