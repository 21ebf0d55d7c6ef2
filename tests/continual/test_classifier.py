"""Learning from a stream: steps, growing classes, failures."""

import pickle
import warnings

import numpy as np
import pytest
from scipy import sparse
from scipy.special import softmax
from sklearn.base import clone
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split

from sklogit.continual import (
    ReplayMemory,
    UnbiasedReplayClassifier,
    class_incremental_splits,
)
from sklogit.continual._network import Network
from sklogit.continual._replay_step import loss_and_gradients
from sklogit.metrics._continual import average_forgetting, continual_accuracy_matrix

from .common import blobs, small

METHODS = {
    "ER": {"current_logits": "dot"},
    "cosine ER": {"replay_logits": "angle"},
    "ER-ACE": {"current_logits": "masked"},
    "UER": {},
}
each_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())


def state(clf):
    """Everything that learning changes, as one vector."""
    arrays = [*clf.coefs_, *clf.intercepts_, clf.head_coef_, clf.head_intercept_]
    memory = [] if clf.memory_X_ is None else [clf.memory_X_, clf.memory_y_]
    numbers = [[clf.n_seen_], clf._stream.rng.get_state()[1]]
    parts = [*arrays, *memory, *numbers]
    return np.concatenate([np.ravel(part).astype(float) for part in parts])


def shuffled_blobs(**kwargs):
    X, y = blobs(**kwargs)
    order = np.random.default_rng(1).permutation(len(y))
    return X[order], y[order]


# -- the loss and its steps ------------------------------------------------------------


@each_method
@pytest.mark.parametrize("hidden", [(), (5,), (5, 4)])
def test_gradients_equal_finite_differences(method, hidden):
    rng = np.random.RandomState(0)
    network = Network.random(3, hidden, True, np.float64, rng)
    network.grow(np.arange(4), rng)
    for intercept in [*network.intercepts, network.head_intercept]:
        intercept[:] = rng.standard_normal(len(intercept))  # 0 may be at a kink
    current = rng.standard_normal((3, 3)), np.array([0, 1, 1]), np.array([1.0, 2, 3])
    replayed = rng.standard_normal((2, 3)), np.array([2, 0]), None
    settings = UnbiasedReplayClassifier(replay_weight=0.7, temperature=0.4, **method)
    _, gradients = loss_and_gradients(network, current, replayed, settings)
    for values, gradient in zip(network.parameters, gradients):
        for place in np.ndindex(values.shape):
            before, losses = values[place], []
            for step in (1e-6, -1e-6):
                values[place] = before + step
                losses.append(
                    loss_and_gradients(network, current, replayed, settings)[0]
                )
            values[place] = before
            slope = (losses[0] - losses[1]) / 2e-6
            assert gradient[place] == pytest.approx(slope, abs=1e-7)


def test_the_start_keeps_the_variance_of_features():
    rng = np.random.RandomState(0)
    network = Network.random(50, (400, 100), True, np.float64, rng)
    network.grow(np.arange(60), rng)
    first, second = (coef.std() for coef in network.coefs)
    assert (first, second) == pytest.approx(((2 / 50) ** 0.5, (2 / 400) ** 0.5), 0.03)
    assert network.head_coef.std() == pytest.approx(100**-0.5, rel=0.05)
    assert not any(values.any() for values in network.parameters[3:])


def test_plain_steps_equal_softmax_regression_by_hand():
    X, y = shuffled_blobs(n_samples=35)
    clf = small(hidden_layer_sizes=(), memory_size=0, current_logits="dot")
    clf.partial_fit(X[:1], y[:1], classes=range(4))
    W, b = clf.head_coef_.copy(), clf.head_intercept_.copy()
    clf.partial_fit(X, y)
    for start in range(0, 35, 10):
        rows = X[start : start + 10]
        G = (softmax(rows @ W.T + b, axis=1) - np.eye(4)[y[start : start + 10]]) / len(
            rows
        )
        W, b = W - 0.05 * G.T @ rows, b - 0.05 * G.sum(axis=0)
    np.testing.assert_allclose(clf.head_coef_, W, rtol=1e-12)
    np.testing.assert_allclose(clf.head_intercept_, b, atol=1e-14)


def test_two_classes_one_row_a_step_equal_sgd_on_log_loss():
    # The difference of two softmax rows moves twice as far as one row of logistic
    # regression.
    X, y = shuffled_blobs(n_samples=60, n_classes=2)
    clf = small(
        hidden_layer_sizes=(), memory_size=0, current_logits="dot", batch_size=1
    ).partial_fit(X[:1], y[:1], classes=[0, 1])
    sgd = SGDClassifier(
        loss="log_loss", alpha=0, learning_rate="constant", eta0=0.1, shuffle=False
    ).partial_fit(X[:1], y[:1], classes=[0, 1])
    sgd.coef_ = np.diff(clf.head_coef_, axis=0).copy()
    sgd.intercept_ = np.diff(clf.head_intercept_).copy()
    for start in range(1, 60, 20):
        rows = slice(start, start + 20)
        clf.partial_fit(X[rows], y[rows])
        sgd.partial_fit(X[rows], y[rows])
    np.testing.assert_allclose(clf.decision_function(X), sgd.decision_function(X))


def test_the_first_step_replays_nothing():
    X, y = shuffled_blobs()
    one = small(replay_weight=0).partial_fit(X[:10], y[:10])
    other = small(replay_weight=100).partial_fit(X[:10], y[:10])
    np.testing.assert_array_equal(one.head_coef_, other.head_coef_)
    assert len(one.memory_y_) == 10
    two = one.partial_fit(X[10:20], y[10:20]).head_coef_
    assert not np.allclose(two, other.partial_fit(X[10:20], y[10:20]).head_coef_)


def test_replay_steps_repeat_the_batch_and_draw_other_old_rows():
    X, y = shuffled_blobs()
    settings = {"memory_size": 0, "current_logits": "dot"}
    twice = small(n_replay_steps=2, **settings)
    twice.partial_fit(X[:10], y[:10], classes=range(4))
    once = small(**settings).partial_fit(X[:10], y[:10], classes=range(4))
    once.partial_fit(X[:10], y[:10])
    np.testing.assert_array_equal(twice.head_coef_, once.head_coef_)
    assert (twice.n_seen_, once.n_seen_) == (10, 20)
    assert twice.loss_curve_ == once.loss_curve_[:1]
    drawn = []

    class Watched(ReplayMemory):
        def sample(self, n, rng=None):
            rows = super().sample(n, rng=rng)
            drawn.append(None if rows[0] is None else rows[0].tolist())
            return rows

    small(memory=Watched(50), n_replay_steps=3).partial_fit(X[:100], y[:100])
    assert len(drawn) == 30
    assert drawn[:3] == [None] * 3
    assert drawn[-1] != drawn[-2]


def test_angles_alone_never_shorten_a_class():
    X, y = shuffled_blobs()
    with pytest.warns(UserWarning, match="memory_size=0 replays nothing"):
        clf = small(memory_size=0).partial_fit(X[:10], y[:10], classes=range(4))
    norms = clf.norms_
    for start in range(10, 200, 10):
        clf.partial_fit(X[start : start + 10], y[start : start + 10])
        assert (clf.norms_ >= norms * (1 - 1e-12)).all()
        norms = clf.norms_
    np.testing.assert_array_equal(clf.head_intercept_, 0)


def test_masked_logits_leave_absent_classes_alone():
    X, y = blobs()
    clf = small(current_logits="masked", memory_size=0, hidden_layer_sizes=())
    clf.partial_fit(X[:10], y[:10], classes=range(4))
    before = clf.head_coef_.copy()
    clf.partial_fit(X[y == 1], y[y == 1])
    np.testing.assert_array_equal(clf.head_coef_, before)  # one class: nothing to learn
    both = y < 2
    clf.partial_fit(X[both][45:55], y[both][45:55])
    np.testing.assert_array_equal(clf.head_coef_[2:], before[2:])
    assert not np.allclose(clf.head_coef_[:2], before[:2])


def test_momentum_and_penalty_are_those_of_textbooks():
    X, y = shuffled_blobs(n_samples=30)
    clf = small(
        hidden_layer_sizes=(),
        memory_size=0,
        current_logits="dot",
        momentum=0.5,
        alpha=0.1,
    )
    rng = np.random.RandomState(np.random.RandomState(0).randint(2**31 - 1))
    W, b = rng.standard_normal((4, 6)) / np.sqrt(6), np.zeros(4)
    velocity_W = velocity_b = 0
    for start in (0, 10, 20):
        rows, labels = X[start : start + 10], y[start : start + 10]
        G = (softmax(rows @ W.T + b, axis=1) - np.eye(4)[labels]) / 10
        velocity_W = 0.5 * velocity_W + G.T @ rows + 0.1 * W
        velocity_b = 0.5 * velocity_b + G.sum(axis=0)  # no penalty on intercepts
        W, b = W - 0.05 * velocity_W, b - 0.05 * velocity_b
        clf.partial_fit(rows, labels, classes=range(4))
        np.testing.assert_allclose(clf.head_coef_, W, rtol=1e-10)
        np.testing.assert_allclose(clf.head_intercept_, b, rtol=1e-10)


def test_logits_without_intercept():
    X, y = blobs()
    clf = small(fit_intercept=False, hidden_layer_sizes=()).partial_fit(X, y)
    assert clf.head_intercept_ is None
    expected = X @ clf.head_coef_.T
    np.testing.assert_allclose(clf.decision_function(X), expected)


# -- the stream ------------------------------------------------------------------------


@each_method
def test_cutting_a_stream_between_batches_changes_nothing(method):
    X, y = blobs()
    whole = small(**method).partial_fit(X, y)
    parts = small(**method).partial_fit(X[:70], y[:70]).partial_fit(X[70:], y[70:])
    np.testing.assert_array_equal(state(whole), state(parts))


@each_method
def test_interrupted_stream_goes_on_after_unpickling(method):
    X, y = blobs()
    clf = small(momentum=0.5, **method).partial_fit(X[:70], y[:70])
    restored = pickle.loads(pickle.dumps(clf))
    clf.partial_fit(X[70:], y[70:])
    restored.partial_fit(X[70:], y[70:])
    np.testing.assert_array_equal(state(clf), state(restored))
    np.testing.assert_array_equal(clf.predict_proba(X), restored.predict_proba(X))


def test_seeds_decide():
    X, y = blobs()
    first, again = (small().partial_fit(X, y) for _ in range(2))
    np.testing.assert_array_equal(state(first), state(again))
    other = small(random_state=1).partial_fit(X, y)
    assert not np.allclose(first.head_coef_, other.head_coef_)


def test_a_generator_of_the_user_is_not_drawn_from_between_calls():
    X, y = blobs()
    rng = np.random.RandomState(3)
    clf = UnbiasedReplayClassifier((8,), random_state=rng).partial_fit(X[:50], y[:50])
    before = rng.get_state()[1].copy()
    clf.partial_fit(X[50:], y[50:])
    np.testing.assert_array_equal(rng.get_state()[1], before)


def test_memory_has_rows_of_the_stream():
    X, y = blobs()
    clf = small().partial_fit(X[:55], y[:55]).partial_fit(X[55:], y[55:])
    assert clf.n_seen_ == 200
    assert clf.memory_X_.shape == (20, 6)
    for row, label in zip(clf.memory_X_, clf.memory_y_):
        assert label == y[(row == X).all(axis=1)][0]


@pytest.mark.parametrize("memory", ["class_balanced", ReplayMemory(7)])
def test_other_memories(memory):
    X, y = blobs()
    clf = small(memory=memory).partial_fit(X, y)
    if isinstance(memory, str):
        assert np.bincount(clf.memory_y_).tolist() == [5, 5, 5, 5]
    else:
        assert len(clf.memory_y_) == 7
        assert len(memory) == 0  # a copy was filled
    pickle.loads(pickle.dumps(clf)).partial_fit(X, y)


class Newest:
    """A memory of one's own: the last rows."""

    def __init__(self):
        self.rows = []

    def update(self, X, y, sample_weight=None, *, rng=None):
        self.rows = [(X.copy(), y.copy())]

    def sample(self, n, rng=None):
        return (*self.rows[0], None) if self.rows else (None, None, None)


def test_memory_of_ones_own():
    X, y = blobs()
    clf = small(memory=Newest()).partial_fit(X, y)
    np.testing.assert_array_equal(clf.memory_.rows[0][0], X[-10:])


def test_memory_may_be_filled_before():
    X, y = blobs()
    memory = ReplayMemory(30)
    memory.update(X[y % 2 == 0], y[y % 2 == 0], rng=0)
    clf = small(memory=memory, n_replay_steps=2)
    clf.partial_fit(X[y % 2 == 1], y[y % 2 == 1])
    assert clf.classes_.tolist() == [0, 1, 2, 3]
    assert clf.score(X, y) > 0.7
    once = small(memory=memory, current_logits="masked", replay_weight=0)
    rows = np.r_[50:55, 150:155]  # in the only step the memory brings the others
    once.partial_fit(X[rows], y[rows])
    assert once.head_intercept_[[1, 3]].all()
    assert not once.head_intercept_[[0, 2]].any()
    with pytest.raises(ValueError, match=r"y has labels \[0 2\] that are not in"):
        small(memory=memory).partial_fit(X[y == 1], y[y == 1], classes=[1, 3])


# -- classes that arrive ---------------------------------------------------------------


def test_new_classes_leave_the_logits_of_others_as_they_are():
    X, y = blobs()
    clf = small(momentum=0.5).partial_fit(X[y % 2 == 1], y[y % 2 == 1])
    before = clf.decision_function(X)
    stream = clf._stream.copy()
    stream.meet(np.array([0, 2, 9]))
    assert stream.classes.tolist() == [0, 1, 2, 3, 9]
    after = stream.network.activations(X)[-1] @ stream.network.head_coef.T
    after = after + stream.network.head_intercept
    np.testing.assert_allclose(after[:, 3] - after[:, 1], before)
    assert [v.shape for v in stream.network.velocities] == [
        p.shape for p in stream.network.parameters
    ]
    np.testing.assert_array_equal(stream.network.velocities[1][[0, 2, 4]], 0)


def test_labels_may_be_strings_and_longer_ones_may_follow():
    X, y = blobs()
    names = np.array(["b", "a", "longer", "c"])
    clf = small()
    for task in ([0, 1], [2, 3]):
        rows = np.isin(y, task)
        clf.partial_fit(X[rows], names[y[rows]])
    assert clf.classes_.tolist() == ["a", "b", "c", "longer"]
    assert set(clf.memory_y_.tolist()) <= set(names.tolist())
    numbers = small()
    for task in ([0, 1], [2, 3]):
        rows = np.isin(y, task)
        numbers.partial_fit(X[rows], np.array([1, 0, 3, 2])[y[rows]])
    np.testing.assert_array_equal(
        clf.predict(X), np.array(["a", "b", "c", "longer"])[numbers.predict(X)]
    )


def test_a_single_class_so_far():
    X, y = blobs()
    clf = small().partial_fit(X[y == 2], y[y == 2])
    assert clf.predict(X[:3]).tolist() == [2, 2, 2]
    np.testing.assert_array_equal(clf.predict_proba(X[:3]), np.ones((3, 1)))
    assert clf.partial_fit(X, y).classes_.tolist() == [0, 1, 2, 3]


def test_a_class_may_be_missing_and_come_back():
    X, y = blobs()
    clf = small().partial_fit(X[y < 2], y[y < 2]).partial_fit(X[y > 1], y[y > 1])
    head = clf.head_coef_.shape
    clf.partial_fit(X[y == 0], y[y == 0])
    assert clf.head_coef_.shape == head
    assert clf.classes_.tolist() == [0, 1, 2, 3]


def test_given_classes_are_all_there_are():
    X, y = blobs()
    clf = small().partial_fit(X[y < 2], y[y < 2], classes=[2, 1, 0])
    assert clf.predict_proba(X).shape == (200, 3)
    with pytest.raises(ValueError, match=r"y has labels \[3\] that are not in"):
        clf.partial_fit(X, y)
    with pytest.raises(ValueError, match=r"classes must be \[0 1 2\], got \[0 1 2 3\]"):
        clf.partial_fit(X, y, classes=range(4))


def test_classes_given_later_must_include_those_known():
    X, y = blobs()
    clf = small().partial_fit(X[y < 2], y[y < 2])
    with pytest.raises(ValueError, match=r"classes must include \[0 1\], got \[1 2\]"):
        clf.partial_fit(X, y, classes=[1, 2])
    assert (
        clf.partial_fit(X[y < 2], y[y < 2], classes=range(5)).head_coef_.shape[0] == 5
    )


@pytest.mark.parametrize("classes", [[0, 1, 2, 3, np.nan], [0, 0.5, 1, 2, 3], [[0, 1]]])
def test_given_classes_must_be_labels(classes):
    X, y = blobs()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=r"NaN|Unknown label type|1d array"):
            small().partial_fit(X, y, classes=classes)


def test_many_classes_are_no_reason_to_warn():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((40, 6)), np.arange(40)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf = small().partial_fit(X[:30], y[:30], classes=y).partial_fit(X, y)
        tasks = list(class_incremental_splits(y, 4))
    assert len(clf.classes_) == 40
    assert len(tasks) == 4


def test_labels_of_two_kinds_are_refused():
    X, y = blobs()
    clf = small().partial_fit(X, y)
    with pytest.raises(ValueError, match="labels of one kind"):
        clf.partial_fit(X, y.astype(str))


# -- bad and odd input -----------------------------------------------------------------


@each_method
@pytest.mark.parametrize("hidden", [(), (8,)])
def test_features_of_zeros_are_no_trouble(method, hidden):
    X, y = blobs()
    zeros = np.zeros_like(X)
    clf = small(hidden_layer_sizes=hidden, **method).partial_fit(zeros, y)
    clf.partial_fit(X, y).partial_fit(zeros, y)
    assert np.isfinite(state(clf)).all()
    assert np.isfinite(clf.predict_proba(zeros)).all()


@each_method
def test_one_row_at_a_time(method):
    X, y = shuffled_blobs()
    clf = small(batch_size=1, **method)
    for row, label in zip(X[:40], y[:40]):
        clf.partial_fit(row[np.newaxis], [label])
    assert clf.n_seen_ == 40
    assert clf.score(X, y) > 0.6


def test_memory_may_be_smaller_than_the_replay_batch():
    X, y = blobs()
    clf = small(memory_size=3, replay_batch_size=10).partial_fit(X, y)
    assert len(clf.memory_y_) == 3


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"X": np.full((10, 6), np.nan)}, "NaN"),
        ({"X": np.zeros((10, 5))}, "5 features.*expecting 6"),
        ({"y": np.linspace(0, 1, 10)}, "Unknown label type"),
        ({"sample_weight": -np.ones(10)}, "[Nn]egative"),
        ({"y": [np.nan] * 10}, "NaN"),
    ],
)
def test_a_bad_batch_changes_nothing(bad, message):
    X, y = blobs()
    clf = small().partial_fit(X, y)
    before = state(clf).copy()
    with pytest.raises(ValueError, match=message):
        clf.partial_fit(**{"X": X[:10], "y": y[:10]} | bad)
    np.testing.assert_array_equal(state(clf), before)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("method", ["partial_fit", "fit"])
def test_a_failure_amid_the_stream_changes_nothing(error, method, monkeypatch):
    X, y = blobs()
    clf = small(momentum=0.5, warm_start=True).partial_fit(X[:50], y[:50])
    untouched = pickle.loads(pickle.dumps(clf))
    update, calls = ReplayMemory.update, []

    def fails(*args, **kwargs):
        calls.append(1)
        if len(calls) == 5:
            raise error
        update(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(ReplayMemory, "update", fails)
        with pytest.raises(error):
            getattr(clf, method)(X[50:], y[50:])
    np.testing.assert_array_equal(state(clf), state(untouched))
    assert clf.loss_curve_ == untouched.loss_curve_
    clf.partial_fit(X[50:], y[50:])
    untouched.partial_fit(X[50:], y[50:])
    np.testing.assert_array_equal(state(clf), state(untouched))


def test_divergence_is_told_and_undone():
    X, y = blobs()
    clf = small().partial_fit(X, y)
    before = state(clf).copy()
    with pytest.raises(ValueError, match=r"diverged.*learning_rate_init"):
        clf.partial_fit(1e200 * X, y)
    np.testing.assert_array_equal(state(clf), before)


def test_a_last_step_that_diverges_is_told():
    X, y = shuffled_blobs()
    clf = small(learning_rate_init=1e10, current_logits="dot")
    with pytest.raises(ValueError, match=r"diverged.*got 10000000000"):
        clf.partial_fit(1e300 * X[:10], y[:10])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("memory_size", -1),
        ("temperature", 0),
        ("replay_batch_size", 0),
        ("batch_size", 0),
        ("learning_rate_init", 0),
        ("current_logits", "norm"),
        ("replay_logits", "masked"),
        ("memory", "newest"),
        ("memory", 5),
        ("momentum", 1.0),
        ("hidden_layer_sizes", 0),
        ("hidden_layer_sizes", (8, 0)),
        ("hidden_layer_sizes", (2.5,)),
        ("hidden_layer_sizes", (True,)),
    ],
)
def test_bad_parameters_are_named(name, value):
    X, y = blobs()
    with pytest.raises(ValueError, match=name):
        small(**{name: value}).partial_fit(X, y)


# -- weights, kinds of data, fit -------------------------------------------------------


def test_rows_without_weight_are_left_out():
    X, y = blobs()
    weight = np.arange(200) % 3.0
    kept = weight > 0
    weighted = small().partial_fit(X, y, sample_weight=weight)
    fewer = small().partial_fit(X[kept], y[kept], sample_weight=weight[kept])
    np.testing.assert_array_equal(state(weighted), state(fewer))
    nothing = pickle.loads(pickle.dumps(fewer))
    nothing.partial_fit(X, y, sample_weight=np.zeros(200))
    np.testing.assert_array_equal(state(nothing), state(fewer))
    assert nothing.loss_curve_ == fewer.loss_curve_
    with pytest.raises(ValueError, match="at least one non-zero"):
        small().partial_fit(X, y, sample_weight=np.zeros(200))


def test_weights_are_replayed_with_their_rows():
    X, y = blobs()
    clf = small().partial_fit(X, y, sample_weight=1 + y)
    np.testing.assert_array_equal(clf.memory_.sample_weight, 1 + clf.memory_y_)


@each_method
def test_sparse_rows_are_rows(method):
    X, y = blobs()
    X[np.abs(X) < 1] = 0
    dense, of_sparse = small(**method), small(**method)
    dense.partial_fit(X, y)
    of_sparse.partial_fit(sparse.csr_array(X), y)
    np.testing.assert_array_equal(state(dense), state(of_sparse))
    np.testing.assert_allclose(
        dense.predict_proba(X), of_sparse.predict_proba(sparse.csr_array(X))
    )


@pytest.mark.parametrize("dtype", [object, "string", "category"])
def test_frames_have_names_and_labels_of_any_kind(dtype):
    pd = pytest.importorskip("pandas")
    X, y = blobs()
    names = np.array(["a", "bb", "c", "dd"])
    frame, labels = pd.DataFrame(X, columns=list("uvwxyz")), pd.Series(names[y])
    clf = small()
    for rows in (slice(100), slice(100, None)):
        clf.partial_fit(frame[rows], labels[rows].astype(dtype))
    plain = (
        small()
        .partial_fit(X[:100], names[y[:100]])
        .partial_fit(X[100:], names[y[100:]])
    )
    assert clf.feature_names_in_.tolist() == list("uvwxyz")
    np.testing.assert_array_equal(clf.head_coef_, plain.head_coef_)
    np.testing.assert_array_equal(clf.predict(frame), plain.predict(X))
    with pytest.raises(ValueError, match="feature names"):
        clf.partial_fit(frame[list("zyxwvu")], labels)


@each_method
def test_float32_stays(method):
    X, y = blobs()
    weight = 1 + np.arange(200.0)
    clf = small(momentum=0.5, alpha=0.1, **method)
    clf.partial_fit(X.astype(np.float32), y, sample_weight=weight).partial_fit(X, y)
    arrays = [*clf.coefs_, *clf.intercepts_, clf.head_coef_, clf.head_intercept_]
    assert {a.dtype for a in arrays} == {np.dtype(np.float32)}
    assert clf.memory_X_.dtype == clf.predict_proba(X).dtype == np.float32


def test_fit_shuffles_sorted_rows_and_goes_over_them():
    X, y = blobs()
    clf = small(max_iter=5).fit(X, y)
    assert clf.score(X, y) > 0.95
    assert (clf.n_iter_, clf.n_seen_, len(clf.loss_curve_)) == (5, 1000, 5)
    assert clf.loss_curve_[-1] < clf.loss_curve_[0]
    assert small(shuffle=False, max_iter=5).fit(X, y).score(X, y) < clf.score(X, y)


def test_batches_of_fit_have_their_share_of_each_class():
    X, y = blobs()

    class Batches(Newest):
        def update(self, X, y, sample_weight=None, *, rng=None):
            self.rows.append((X, y))

        def sample(self, n, rng=None):
            return None, None, None

    clf = small(memory=Batches(), batch_size=20).fit(X, y)
    counts = np.array([np.bincount(y, minlength=4) for _, y in clf.memory_.rows])
    assert (np.abs(counts - 5) <= 2).all()


def test_fit_starts_anew_unless_it_is_told_to_go_on():
    X, y = blobs()
    once = small().fit(X, y)
    np.testing.assert_array_equal(state(clone(once).fit(X, y)), state(once.fit(X, y)))
    warm = small(warm_start=True).fit(X, y).fit(X, y)
    assert (warm.n_seen_, warm.n_iter_) == (400, 2)
    warm.fit(X[y == 1], y[y == 1])  # the other classes are known
    assert warm.classes_.tolist() == [0, 1, 2, 3]
    assert once.n_seen_ == 200


def test_callbacks_follow_the_passes(capsys):
    X, y = blobs()
    monitor = ScoringMonitor(scoring="accuracy")
    clf = small(max_iter=4).set_callbacks(ProgressBar(), monitor).fit(X, y)
    plain = small(max_iter=4).fit(X, y)
    np.testing.assert_array_equal(state(clf), state(plain))
    log = [row for row in monitor.get_logs().data if row["task_name"] == "pass"]
    assert len(log) == 4
    assert log[-1]["accuracy"] == pytest.approx(clf.score(X, y))
    assert log[0]["accuracy"] == pytest.approx(small().fit(X, y).score(X, y))


def test_a_class_is_no_memory():
    X, y = blobs()
    with pytest.raises(TypeError, match=r"memory must be an instance.*ReplayMemory"):
        small(memory=ReplayMemory).fit(X, y)


def test_fit_needs_two_classes():
    X, _ = blobs()
    with pytest.raises(ValueError, match="at least 2 classes, got only one class"):
        small().fit(X, np.zeros(200))


def test_no_memory_warns_once_and_only_if_norms_are_untrained():
    X, y = blobs()
    with pytest.warns(UserWarning, match="memory_size=0"):
        clf = small(memory_size=0).partial_fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf.partial_fit(X, y)
        small(memory_size=0, current_logits="dot").partial_fit(X, y)


def test_predictions_by_angle_are_cosines():
    X, y = blobs()
    clf = small(hidden_layer_sizes=()).partial_fit(X, y)
    clf.predict_with = "angle"
    W = clf.head_coef_
    cosines = X @ W.T / np.outer(np.linalg.norm(X, axis=1), np.linalg.norm(W, axis=1))
    np.testing.assert_allclose(clf.decision_function(X), cosines / 0.09)
    np.testing.assert_allclose(
        np.exp(clf.predict_log_proba(X)), softmax(cosines / 0.09, axis=1)
    )


# -- what it is for --------------------------------------------------------------------


def test_unbiased_replay_forgets_less_than_plain_replay():
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X / 16, y, random_state=0, stratify=y)
    results = {"ER": [], "UER": []}
    for seed in range(3):
        tasks, tests = (
            [(X[r], y[r]) for r in class_incremental_splits(y, 5, random_state=seed)]
            for X, y in ((X, y), (X_test, y_test))
        )
        for name, found in results.items():
            clf = UnbiasedReplayClassifier(
                memory_size=50, random_state=seed, **METHODS[name]
            )
            A = continual_accuracy_matrix(clf, tasks, tests)
            found.append((A[-1].mean(), average_forgetting(A)))
    gain = np.mean(results["UER"], axis=0) - np.mean(results["ER"], axis=0)
    assert gain[0] > 0.01
    assert gain[1] < -0.05
