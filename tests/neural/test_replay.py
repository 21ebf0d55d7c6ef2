"""A net that replays old rows of its stream."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.base import clone
from skorch.callbacks import Callback
from torch import nn

from sklogit.continual import UnbiasedReplayClassifier
from sklogit.continual._memory import ReplayMemory
from sklogit.continual._network import Network
from sklogit.continual._stream import Stream
from sklogit.heads import AngleNormLinear, LinearHead
from sklogit.neural import LogitClassifier, ReplayPolicy, UERNetClassifier
from sklogit.neural._replay import TensorReplayMemory

from .common import Hidden

METHODS = {
    "ER": ("dot", "dot"),
    "cosine ER": ("angle", "angle"),
    "ER-ACE": ("masked", "dot"),
    "UER": ("angle", "dot"),
}
each_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())


def small(method=("angle", "dot"), **kwargs):
    """A net in float64 that draws nothing by chance but its start."""
    defaults = {
        "module": Hidden,
        "classes": range(10),
        "loss__current_logits": method[0],
        "loss__replay_logits": method[1],
        "batch_policy__memory_size": 30,
        "batch_policy__random_state": 0,
        "dtype": "float64",
    }
    torch.manual_seed(0)
    return UERNetClassifier(**defaults | kwargs)


@pytest.fixture
def stream(digits):
    """Sorted rows: classes arrive one after the other."""
    X, y = digits
    order = np.argsort(y[:300], kind="stable")
    return X[:300][order].astype(np.float64), y[:300][order]


def parameters(net):
    return [values.detach().numpy().copy() for values in net.module_.parameters()]


# -- NumPy and torch -------------------------------------------------------------------


class Start(Callback):
    """Keeps the parameters before the first step."""

    def on_train_begin(self, net, **kwargs):
        self.parameters = parameters(net)


@each_method
@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize("weighted", [False, True])
def test_it_learns_what_the_classifier_of_numpy_learns(
    stream, method, momentum, weighted
):
    X, y = stream
    weight = 1 + np.arange(len(y)) % 3 if weighted else None
    start = Start()
    net = small(
        method,
        optimizer__momentum=momentum,
        loss__replay_weight=0.7,
        callbacks=[start],
    )
    net.partial_fit(X, y, sample_weight=weight)
    W, b, head_W, head_b = start.parameters
    network = Network([W.T.copy()], [b], head_W, head_b)
    rng = np.random.RandomState(0)
    twin = Stream(network, ReplayMemory(30), rng, np.arange(10), is_fixed=True)
    settings = UnbiasedReplayClassifier(
        current_logits=method[0],
        replay_logits=method[1],
        replay_weight=0.7,
        momentum=momentum,
    )
    twin.follow(X, y, weight, settings)
    theirs = network.coefs[0].T, network.intercepts[0], network.head_coef
    for mine, other in zip(parameters(net), [*theirs, network.head_intercept]):
        np.testing.assert_allclose(mine, other, rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(net.batch_policy_.memory.X.numpy(), twin.memory.X)


def test_another_head_is_refused(stream):
    with pytest.raises(
        ValueError, match=r"head must be an AngleNormLinear.*LinearHead"
    ):
        small(head=LinearHead).partial_fit(*stream)


# -- the stream ------------------------------------------------------------------------


class Watch(nn.Module):
    """Features of a layer; keeps what came in training."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 4)
        self.batches = []

    def forward(self, X):
        if self.training:
            self.batches.append(X.detach().numpy().copy())
        return self.layer(X)


def test_batches_are_rows_of_the_stream_then_rows_from_before(stream):
    X, y = stream
    net = small(module=Watch, batch_policy__replay_batch_size=6).partial_fit(X, y)
    batches = net.module_.module.batches
    assert [len(batch) for batch in batches] == [10] + 29 * [16]
    for i, batch in enumerate(batches):
        np.testing.assert_array_equal(batch[:10], X[10 * i : 10 * i + 10])
        before = X[: 10 * i]
        assert all((row == before).all(axis=1).any() for row in batch[10:])


def test_memory_has_rows_of_the_stream_with_their_labels(stream):
    X, y = stream
    memory = small().partial_fit(X, y).batch_policy_.memory
    assert (len(memory), memory.n_seen) == (30, 300)
    for row, label in zip(memory.X.numpy(), memory.y.numpy()):
        assert label in y[(row == X).all(axis=1)]


def test_cutting_a_stream_between_batches_changes_nothing(stream):
    X, y = stream
    whole = small().partial_fit(X, y)
    parts = small().partial_fit(X[:70], y[:70])
    parts.partial_fit(X[70:], y[70:])
    for mine, theirs in zip(parameters(parts), parameters(whole)):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("strategy", ["reservoir", "class_balanced"])
def test_interrupted_stream_goes_on_after_unpickling(stream, strategy):
    X, y = stream
    net = small(optimizer__momentum=0.5, batch_policy__strategy=strategy)
    net.partial_fit(X[:70], y[:70])
    restored = pickle.loads(pickle.dumps(net))
    net.partial_fit(X[70:], y[70:])
    restored.partial_fit(X[70:], y[70:])
    for mine, theirs in zip(parameters(net), parameters(restored)):
        np.testing.assert_array_equal(mine, theirs)
    memory, other = net.batch_policy_.memory, restored.batch_policy_.memory
    assert torch.equal(memory.X, other.X)


def test_a_failure_amid_the_stream_changes_nothing(stream, monkeypatch):
    X, y = stream
    net = small(optimizer__momentum=0.5).partial_fit(X[:70], y[:70])
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
            net.partial_fit(X[70:], y[70:])
    assert net.batch_policy_.memory.n_seen == 70
    net.partial_fit(X[70:], y[70:])
    untouched.partial_fit(X[70:], y[70:])
    for mine, theirs in zip(parameters(net), parameters(untouched)):
        np.testing.assert_array_equal(mine, theirs)


def test_policies_without_a_seed_follow_the_generator_of_torch(stream):
    X, y = stream
    nets = [small(batch_policy__random_state=None).partial_fit(X, y) for _ in range(2)]
    for mine, theirs in zip(*map(parameters, nets)):
        np.testing.assert_array_equal(mine, theirs)


class Dropping(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Dropout())

    def forward(self, X):
        return self.features(X)


@pytest.mark.parametrize("pickled", [False, True])
def test_random_state_decides_all_of_a_stream(stream, pickled):
    X, y = stream
    nets = []
    for seed in (1, 2):
        net = small(
            module=Dropping,
            batch_policy__random_state=None,
            classes=None,
            random_state=0,
        )
        for rows in np.array_split(np.arange(len(y)), 4):
            torch.manual_seed(seed)  # decides nothing
            net.partial_fit(X[rows], y[rows])
            if pickled and seed == 2:
                net = pickle.loads(pickle.dumps(net))
        nets.append(net)
    for mine, theirs in zip(*map(parameters, nets)):
        np.testing.assert_array_equal(mine, theirs)


def test_fit_shuffles_and_partial_fit_does_not(stream):
    X, y = stream
    net = small(module=Watch, random_state=0).fit(X, y)
    rows = np.concatenate([batch[:10] for batch in net.module_.module.batches])
    assert not np.array_equal(rows, X)
    np.testing.assert_array_equal(np.sort(rows.sum(1)), np.sort(X.sum(1)))
    net.module_.module.batches.clear()
    net.partial_fit(X, y)
    rows = np.concatenate([batch[:10] for batch in net.module_.module.batches])
    np.testing.assert_array_equal(rows, X)
    ordered = small(module=Watch, iterator_train__shuffle=False).fit(X, y)
    rows = np.concatenate([batch[:10] for batch in ordered.module_.module.batches])
    np.testing.assert_array_equal(rows, X)


class Pickled(Callback):
    """Pickles the net within training."""

    def on_epoch_end(self, net, **kwargs):
        callbacks, net.callbacks_ = net.callbacks_, []
        self.bytes = pickle.dumps(net)
        net.callbacks_ = callbacks


def test_a_checkpoint_of_fit_goes_on_as_a_stream(stream):
    X, y = stream
    kept = Pickled()
    small(module=Watch, callbacks=[kept]).fit(X, y)
    net = pickle.loads(kept.bytes)
    net.module_.module.batches.clear()
    net.partial_fit(X, y)
    rows = np.concatenate([batch[:10] for batch in net.module_.module.batches])
    np.testing.assert_array_equal(rows, X)


def test_validation_loss_is_that_of_predictions(stream):
    X, y = stream
    net = small(lr=1e-12).fit(X, y)
    iterator = net.get_iterator(net.get_dataset(X, y))
    losses = [
        net.validation_step(batch)["loss"].item() * len(batch[1]) for batch in iterator
    ]
    assert sum(losses) / len(y) == pytest.approx(net.log_loss(X, y), rel=1e-6)


# -- kinds of data ---------------------------------------------------------------------


def test_weights_may_come_and_go(stream):
    X, y = stream
    net = small().partial_fit(X[:100], y[:100])
    net.partial_fit(X[100:200], y[100:200], sample_weight=np.full(100, 2.0))
    net.partial_fit(X[200:], y[200:])
    memory = net.batch_policy_.memory
    places = [np.flatnonzero((row == X).all(axis=1))[0] for row in memory.X.numpy()]
    expected = np.where((np.array(places) // 100) == 1, 2.0, 1.0)
    np.testing.assert_array_equal(memory.sample_weight, expected)
    assert all(np.isfinite(values).all() for values in parameters(net))


@pytest.mark.parametrize("weighted", [(True, False), (False, True)])
def test_rows_without_weights_weigh_1(stream, weighted):
    X, y = stream
    plain, net = small(), small()
    plain.partial_fit(X, y)
    torch.manual_seed(0)
    for rows, has_weights in zip((slice(100), slice(100, None)), weighted):
        weight = np.ones(len(y[rows])) if has_weights else None
        net.partial_fit(X[rows], y[rows], sample_weight=weight)
    for mine, theirs in zip(parameters(net), parameters(plain)):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-9)


def test_rows_without_weight_take_no_place_in_the_memory(stream):
    X, y = stream
    weight = np.arange(300) % 3.0
    memory = small().partial_fit(X, y, sample_weight=weight).batch_policy_.memory
    assert (len(memory), memory.n_seen) == (30, 200)
    assert (memory.sample_weight > 0).all()
    net = small().partial_fit(X, y, sample_weight=np.where(y < 2, 0, 1))
    assert net.batch_policy_.memory.y.min() == 2


def test_sparse_rows_are_rows(stream):
    X, y = stream
    dense, of_sparse = small(), small()
    dense.partial_fit(X, y)
    torch.manual_seed(0)
    of_sparse.partial_fit(sparse.csr_matrix(X), y)
    for mine, theirs in zip(parameters(dense), parameters(of_sparse)):
        np.testing.assert_allclose(mine, theirs)


class Two(nn.Module):
    """Features of two inputs, with batch norm."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(32, 8), nn.Linear(32, 8)
        self.norm = nn.BatchNorm1d(16)

    def forward(self, left, right):
        return self.norm(torch.cat([self.left(left), self.right(right)], dim=1)).relu()


def test_dicts_of_inputs(stream):
    X, y = stream
    inputs = {"left": X[:, :32], "right": X[:, 32:]}
    net = small(module=Two).partial_fit(inputs, y)
    memory = net.batch_policy_.memory
    assert {name: part.shape for name, part in memory.X.items()} == {
        "left": (30, 32),
        "right": (30, 32),
    }
    assert net.predict(inputs).shape == y.shape


class Convolution(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()
        )

    def forward(self, X):
        return self.layers(X)


def test_images(stream):
    X, y = stream
    images = X.reshape(-1, 1, 8, 8)
    net = small(module=Convolution, dtype="float32").partial_fit(images, y)
    assert net.batch_policy_.memory.X.shape == (30, 1, 8, 8)
    assert net.predict(images).shape == y.shape


def test_sequences_with_a_target_at_each_position():
    torch.manual_seed(0)
    tokens = torch.randint(0, 5, (40, 7))
    data = torch.utils.data.TensorDataset(tokens, tokens.roll(1, dims=1))
    net = small(module=nn.Embedding(5, 6), classes=range(5), dtype="float32")
    net.partial_fit(data)
    assert net.batch_policy_.memory.y.shape == (30, 7)
    net.batch_policy_.n_current = 2  # of three sequences
    features, target = torch.randn(3, 7, 6), tokens[:3]
    found = net.get_loss(features, target, tokens[:3], training=True)
    new, old = features[:2].reshape(14, 6), features[2]
    by_angle = net.head_(new, mode="angle")
    expected = nn.functional.cross_entropy(by_angle, target[:2].reshape(14))
    expected = expected + nn.functional.cross_entropy(net.head_(old), target[2])
    torch.testing.assert_close(found, expected)


def test_memory_of_lists_of_tensors():
    memory, rng = TensorReplayMemory(6), np.random.RandomState(0)
    for start in range(0, 40, 4):
        numbers = torch.arange(start, start + 4)
        memory.update([numbers.double(), {"n": -numbers[:, None]}], numbers, rng=rng)
    (first, second), y, _ = memory.sample(4, rng=rng)
    assert torch.equal(first, y.double())
    assert torch.equal(second["n"][:, 0], -y)
    assert len(y.unique()) == 4


def test_balanced_memories_need_one_label_a_row():
    memory = TensorReplayMemory(6, "class_balanced")
    with pytest.raises(ValueError, match=r"one label a row, got y of shape \(2, 3\)"):
        memory.update(torch.zeros(2, 3), torch.zeros(2, 3, dtype=int), rng=0)


def test_a_generator_of_the_user_is_drawn_from_once(stream):
    rng, same = np.random.RandomState(3), np.random.RandomState(3)
    net = UERNetClassifier(Hidden, batch_policy=ReplayPolicy, classes=range(10))
    policy = ReplayPolicy(random_state=rng)
    batch = torch.zeros(5, 2), torch.zeros(5, dtype=int)
    for _ in range(3):
        policy.select(net, batch)
    same.randint(2**31 - 1)
    assert rng.randint(1000) == same.randint(1000)


def test_labels_may_be_strings(stream):
    X, y = stream
    names = np.array(list("jihgfedcba"))
    net = small(classes=None).partial_fit(X, names[y], classes=names)
    assert net.classes_.tolist() == sorted(names)
    assert set(net.predict(X)) <= set(names)


def test_odd_batches_are_no_trouble(stream):
    X, y = stream
    net = small(batch_size=1).partial_fit(X[:5], y[:5])
    net.partial_fit(np.zeros_like(X[:20]), y[:20])
    net.partial_fit(X[-3:], y[-3:])
    assert all(np.isfinite(values).all() for values in parameters(net))
    assert net.batch_policy_.memory.n_seen == 28


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"X": np.full((10, 64), np.nan)}, "NaN"),
        ({"X": np.zeros((10, 5))}, "5 features"),
        ({"y": np.full(10, 11)}, r"labels \[11\] that are not"),
        ({"sample_weight": -np.ones(10)}, "[Nn]egative"),
    ],
)
def test_a_bad_batch_changes_nothing(stream, bad, message):
    X, y = stream
    net = small().partial_fit(X, y)
    before = parameters(net)
    with pytest.raises(ValueError, match=message):
        net.partial_fit(**{"X": X[:10], "y": y[:10]} | bad)
    for mine, theirs in zip(parameters(net), before):
        np.testing.assert_array_equal(mine, theirs)
    assert net.batch_policy_.memory.n_seen == 300


# -- parts -----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 2.5, True])
def test_bad_replay_batches_are_named(size):
    with pytest.raises(ValueError, match="replay_batch_size must be an integer >= 1"):
        ReplayPolicy(replay_batch_size=size)


def test_sizes_may_be_integers_of_numpy():
    policy = ReplayPolicy(*np.array([30, 5]))
    assert (policy.memory.capacity, policy.replay_batch_size) == (30, 5)


def test_no_memory_is_training_on_the_stream_alone(stream):
    X, y = stream
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net = small(("dot", "dot"), batch_policy__memory_size=0).partial_fit(X, y)
    plain = LogitClassifier(
        Hidden,
        head=AngleNormLinear,
        batch_policy="sequential",
        optimizer=torch.optim.SGD,
        lr=0.1,
        max_epochs=1,
        batch_size=10,
        classes=range(10),
        dtype="float64",
    )
    torch.manual_seed(0)
    plain.partial_fit(X, y)
    for mine, theirs in zip(parameters(net), parameters(plain)):
        np.testing.assert_allclose(mine, theirs, rtol=1e-10, atol=1e-12)


def test_another_policy_trains_all_rows_as_new(stream):
    X, y = stream
    with pytest.warns(UserWarning, match="memory_size=0 replays nothing"):
        none = small(batch_policy__memory_size=0).partial_fit(X, y)
    torch.manual_seed(0)
    net = UERNetClassifier(
        Hidden, batch_policy="sequential", classes=range(10), dtype="float64"
    )
    net.partial_fit(X, y)
    for mine, theirs in zip(parameters(net), parameters(none)):
        np.testing.assert_allclose(mine, theirs)


def test_an_instance_of_a_policy_is_copied(stream):
    policy = ReplayPolicy(memory_size=5, random_state=0)
    net = UERNetClassifier(Hidden, batch_policy=policy, classes=range(10))
    net.partial_fit(*stream)
    assert len(net.batch_policy_.memory) == 5
    assert len(policy.memory) == 0
    assert clone(net).batch_policy is not net.batch_policy_
