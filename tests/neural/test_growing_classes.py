"""A net that meets new classes while it learns."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback
from torch import nn
from torch.utils.data import TensorDataset

from sklogit.continual import UnbiasedReplayClassifier
from sklogit.continual._memory import ReplayMemory
from sklogit.continual._network import Network
from sklogit.continual._stream import Stream
from sklogit.heads import LinearHead
from sklogit.neural import UERNetClassifier
from sklogit.neural._replay import TensorReplayMemory

from .common import Hidden

# Classes that come before, between and after those that are known.
TASKS = [4, 7], [1], [5, 4, 9, 0]


def small(**kwargs):
    """A net in float64 that draws nothing by chance but its start."""
    defaults = {
        "module": Hidden,
        "batch_policy__memory_size": 30,
        "batch_policy__random_state": 0,
        "dtype": "float64",
    }
    torch.manual_seed(0)
    return UERNetClassifier(**defaults | kwargs)


@pytest.fixture
def stream(digits):
    X, y = digits
    rows = [np.flatnonzero(np.isin(y[:300], task)) for task in TASKS]
    return [(X[each].astype(np.float64), y[each]) for each in rows]


def parameters(net):
    return [values.detach().numpy().copy() for values in net.module_.parameters()]


def fitted(net, stream):
    for X, y in stream:
        net.partial_fit(X, y)
    return net


class Starts(Callback):
    """Keeps the parameters before the first step of each call."""

    def on_train_begin(self, net, **kwargs):
        self.parameters = parameters(net)


@pytest.mark.parametrize("strategy", ["reservoir", "class_balanced"])
@pytest.mark.parametrize("current", ["angle", "masked"])
def test_it_learns_what_the_classifier_of_numpy_learns(stream, strategy, current):
    starts = Starts()
    net = small(
        optimizer__momentum=0.5,
        loss__current_logits=current,
        batch_policy__strategy=strategy,
        callbacks=[starts],
    )
    settings = UnbiasedReplayClassifier(momentum=0.5, current_logits=current)
    twin = None
    for X, y in stream:
        net.partial_fit(X, y)
        W, b, head_W, head_b = starts.parameters
        if twin is None:
            rng = np.random.RandomState(0)
            network = Network([W.T.copy()], [b], np.zeros((0, 16)), np.zeros(0))
            twin = Stream(network, ReplayMemory(30, strategy), rng, np.array([]))
        draws, twin.rng = twin.rng, np.random.RandomState(9)
        new = ~np.isin(np.union1d(twin.classes, y), twin.classes)
        twin.meet(y)
        twin.rng = draws
        network.head_coef[new] = head_W[new]  # as they were drawn there
        np.testing.assert_array_equal(head_b[new], 0)
        twin.follow(X, y, None, settings)
        theirs = network.coefs[0].T, network.intercepts[0], network.head_coef
        for mine, other in zip(parameters(net), [*theirs, network.head_intercept]):
            np.testing.assert_allclose(mine, other, rtol=1e-6, atol=1e-9)
        np.testing.assert_array_equal(net.classes_, twin.classes)
        memory = net.batch_policy_.memory
        np.testing.assert_array_equal(net.classes_[memory.y], twin.memory.y)


def test_new_classes_leave_the_logits_of_others_as_they_are(stream):
    (X, y), _, _ = stream
    net = small().partial_fit(X, y)
    before = net.predict_log_proba(X)
    net.set_params(lr=0.0).partial_fit(X[:1], [2])
    assert net.classes_.tolist() == [2, 4, 7]
    after = net.predict_log_proba(X)[:, 1:]
    after = after - np.logaddexp.reduce(after, axis=1)[:, np.newaxis]
    np.testing.assert_allclose(after, before, rtol=1e-10)


def test_rows_of_new_classes_are_drawn_anew_each_time(stream):
    X, y = stream[0]
    net = small(lr=0.0).partial_fit(X, y)
    for label in (3, 2):  # each the first row by then
        net.partial_fit(X[:1], [label])
    rows = net.head_.weight.detach()
    assert not torch.isclose(rows[0], rows[1]).any()


def test_memory_keeps_its_labels(stream):
    net = small()
    for i, (X, y) in enumerate(stream):
        net.partial_fit(X, y)
        memory = net.batch_policy_.memory
        so_far = [np.concatenate(parts) for parts in zip(*stream[: i + 1])]
        for row, index in zip(memory.X.numpy(), memory.y.numpy()):
            assert net.classes_[index] in so_far[1][(row == so_far[0]).all(axis=1)]


@pytest.mark.parametrize(
    "optimizer", [torch.optim.Adam, torch.optim.Adagrad, torch.optim.Adafactor]
)
def test_other_optimisers_go_on(stream, optimizer):
    net = fitted(small(optimizer=optimizer, lr=0.01), stream)
    assert net.classes_.tolist() == [0, 1, 4, 5, 7, 9]
    assert all(np.isfinite(values).all() for values in parameters(net))
    for parameter, state in net.optimizer_.state.items():
        shapes = {v.shape for v in state.values() if isinstance(v, torch.Tensor)}
        if optimizer is not torch.optim.Adafactor:
            assert shapes - {()} == {parameter.shape}


def test_lbfgs_starts_anew(stream):
    net = small(optimizer=torch.optim.LBFGS, lr=0.1, optimizer__max_iter=2)
    assert fitted(net, stream).head_.out_features == 6


def test_what_the_optimiser_remembers_stays(stream):
    (X, y), (X_new, y_new), _ = stream
    net = small(optimizer__momentum=0.9).partial_fit(X, y)
    weight = net.head_.weight
    before = net.optimizer_.state[weight]["momentum_buffer"].clone()
    net.set_params(max_epochs=0).partial_fit(X_new, y_new)
    assert net.head_.weight is weight
    after = net.optimizer_.state[weight]["momentum_buffer"]
    assert torch.equal(after[[1, 2]], before)
    assert not after[0].any()


def test_interrupted_stream_goes_on_after_unpickling(stream):
    net = small(optimizer__momentum=0.5).partial_fit(*stream[0])
    restored = pickle.loads(pickle.dumps(net))
    for each in (net, restored):
        fitted(each, stream[1:])
    for mine, theirs in zip(parameters(net), parameters(restored)):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(net.classes_, restored.classes_)


def test_a_seed_decides_a_stream(stream):
    settings = {"batch_policy__random_state": None, "random_state": 3}
    net = fitted(small(**settings), stream)
    again = small(**settings)
    torch.manual_seed(1)
    fitted(again, stream)
    for mine, theirs in zip(parameters(net), parameters(again)):
        np.testing.assert_array_equal(mine, theirs)
    assert torch.equal(net.batch_policy_.memory.X, again.batch_policy_.memory.X)
    other = fitted(small(**settings | {"random_state": 4}), stream)
    assert not np.allclose(parameters(net)[0], parameters(other)[0])
    assert not torch.equal(net.batch_policy_.memory.X, other.batch_policy_.memory.X)


def test_a_failure_after_growth_changes_nothing(stream, monkeypatch):
    net = small(optimizer__momentum=0.5).partial_fit(*stream[0])
    untouched = pickle.loads(pickle.dumps(net))
    update, calls = TensorReplayMemory.update, []

    def fails(*args, **kwargs):
        calls.append(1)
        if len(calls) == 5:
            raise MemoryError
        update(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(TensorReplayMemory, "update", fails)
        with pytest.raises(MemoryError):
            net.partial_fit(*stream[2])
    assert net.classes_.tolist() == [4, 7]
    assert net.head_.out_features == 2
    for each in (net, untouched):
        fitted(each, stream[1:])
    for mine, theirs in zip(parameters(net), parameters(untouched)):
        np.testing.assert_array_equal(mine, theirs)


def test_a_single_class_so_far(stream):
    (X, y), (X_one, y_one), _ = stream
    net = small().partial_fit(X_one, y_one)
    assert net.predict(X[:3]).tolist() == [1, 1, 1]
    np.testing.assert_array_equal(net.predict_proba(X[:3]), np.ones((3, 1)))
    assert net.partial_fit(X, y).classes_.tolist() == [1, 4, 7]
    with pytest.raises(ValueError, match="at least 2 classes, got only one"):
        small().fit(X_one, y_one)


def test_labels_may_be_strings_and_longer_ones_may_follow(stream):
    names = np.array([f"{i}" + i * "x" for i in range(10)])
    net, twin = fitted(small(), stream), small()
    torch.manual_seed(0)
    fitted(twin, [(X, names[y]) for X, y in stream])
    assert twin.classes_.tolist() == names[net.classes_].tolist()
    X = stream[0][0]
    np.testing.assert_array_equal(twin.predict(X), names[net.predict(X)])


@pytest.mark.parametrize("when", ["constructor", "first call", "later"])
def test_given_classes_are_all_there_are(stream, when):
    X, y = stream[0]
    if when == "constructor":
        net = small(classes=[4, 7, 8]).partial_fit(X, y)
    elif when == "first call":
        net = small().partial_fit(X, y, classes=[8, 7, 4])
    else:
        net = small().partial_fit(X, y).partial_fit(X, y, classes=[8, 7, 4])
    assert net.predict_proba(X).shape == (len(X), 3)
    with pytest.raises(ValueError, match=r"labels \[1\] that are not in"):
        net.partial_fit(*stream[1])
    if when == "constructor":
        return
    with pytest.raises(ValueError, match="classes must be those that the net has"):
        net.partial_fit(X, y, classes=range(10))
    # fit begins another stream
    assert net.fit(X, y).partial_fit(*stream[1]).classes_.tolist() == [1, 4, 7]


def test_classes_given_later_must_include_those_known(stream):
    X, y = stream[0]
    net = small().partial_fit(X, y)
    with pytest.raises(ValueError, match=r"classes must include \[4 7\], got \[4 5\]"):
        net.partial_fit(X, y, classes=[4, 5])
    assert net.head_.out_features == 2


@pytest.mark.parametrize("classes", [[4, 7, np.nan], [4, 7, 7.5], [[4, 7]], 7])
@pytest.mark.parametrize("first", [True, False])
def test_given_classes_must_be_labels(stream, classes, first):
    X, y = stream[0]
    net = small()
    if not first:
        net.partial_fit(X, y)
    with pytest.raises(ValueError, match=r"NaN|Unknown label type|1d array"):
        net.partial_fit(X, y, classes=classes)


def test_classes_grow_after_fit(stream):
    net = small(random_state=0).fit(*stream[2])
    assert net.partial_fit(*stream[0]).classes_.tolist() == [0, 4, 5, 7, 9]
    warm = small(random_state=0, warm_start=True).fit(*stream[0]).fit(*stream[1])
    assert warm.classes_.tolist() == [1, 4, 7]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array(["a", "b"] * 5), "labels .* that are not in"),
        (np.linspace(0, 1, 10), "Unknown label type"),
        (np.full(10, np.nan), "NaN"),
    ],
)
def test_labels_that_are_none_are_refused(stream, labels, message):
    X, y = stream[0]
    net = small().partial_fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=message):
            net.partial_fit(X[:10], labels)
    assert net.head_.out_features == 2
    assert net.batch_policy_.memory.n_seen == len(y)


def test_heads_that_cannot_grow_say_so(stream):
    X, y = stream[0]
    net = small(head=LinearHead, loss=nn.CrossEntropyLoss).partial_fit(X, y)
    with pytest.raises(ValueError, match=r"labels \[1\] that are not in"):
        net.partial_fit(*stream[1])


def test_indices_of_datasets_may_grow(stream):
    net = small()
    for n_classes in (2, 5):
        X = torch.randn(40, 64, dtype=torch.float64)
        net.partial_fit(TensorDataset(X, torch.arange(40) % n_classes))
    assert net.classes_.tolist() == [0, 1, 2, 3, 4]
    assert net.predict_proba(X).shape == (40, 5)
    net.partial_fit(TensorDataset(X, torch.full((40,), 7)))  # 5 and 6 are to come
    assert net.classes_.tolist() == list(range(8))


def test_ignored_targets_of_sequences_stay_ignored():
    torch.manual_seed(0)
    net = small(module=nn.Embedding(9, 6), batch_size=5, dtype="float32")
    tokens = torch.randint(0, 4, (20, 3))
    net.partial_fit(
        TensorDataset(tokens, tokens.clone().index_fill_(1, torch.tensor([0]), -100))
    )
    net.partial_fit(TensorDataset(tokens + 3, tokens + 3))
    y = net.batch_policy_.memory.y
    assert set(y[:, 1:].unique().tolist()) <= set(range(7))
    assert -100 in y[:, 0]


def test_counts_are_those_of_the_first_call(stream):
    (X, y), *_ = stream
    net = small().partial_fit(X, y)
    n_4, n_7 = net.class_counts_
    fitted(net, stream[1:])
    assert net.class_counts_.tolist() == [0, 0, n_4, 0, n_7, 0]


def test_clones_know_no_classes(stream):
    net = fitted(small(), stream)
    torch.manual_seed(0)
    assert clone(net).partial_fit(*stream[0]).classes_.tolist() == [4, 7]
