"""Data that LogitClassifier takes."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.base import clone
from skorch.dataset import Dataset
from torch import nn
from torch.utils.data import IterableDataset, TensorDataset

from sklogit.neural import LogitClassifier

from .common import full_batch


class Words(nn.Module):
    """Mean of the vectors of tokens."""

    def __init__(self, n_tokens=50, n_hidden=8):
        super().__init__()
        self.vectors = nn.Embedding(n_tokens, n_hidden)

    def forward(self, X):
        return self.vectors(X).mean(dim=1)


def test_sparse_rows_are_dense_in_the_batch_only(digits):
    X, y = digits
    expected = LogitClassifier(max_epochs=3, random_state=0).fit(X, y)
    for container in (sparse.csr_matrix, sparse.csc_array, sparse.coo_array):
        net = LogitClassifier(max_epochs=3, random_state=0).fit(container(X), y)
        np.testing.assert_allclose(
            net.predict_proba(container(X)), expected.predict_proba(X), atol=1e-6
        )
        net.fit({"X": container(X)}, y)
        np.testing.assert_allclose(
            net.predict_proba({"X": container(X)}), expected.predict_proba(X), atol=1e-6
        )


def test_frames_know_their_columns(iris):
    X, y = iris
    frame = pd.DataFrame(X, columns=list("abcd"))
    net = full_batch(max_epochs=3).fit(frame, pd.Series(y))
    assert list(net.feature_names_in_) == list("abcd")
    np.testing.assert_array_equal(
        net.predict_proba(frame), full_batch(max_epochs=3).fit(X, y).predict_proba(X)
    )
    with pytest.raises(ValueError, match="feature names"):
        net.predict(frame[list("dcba")])


@pytest.mark.parametrize("integer", [np.int32, np.uint8, np.uint16, np.int64, ">i4"])
def test_token_ids_reach_the_module_as_int64(integer):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 50, (300, 6))
    y = (X < 25).sum(axis=1) > 3
    expected = LogitClassifier(Words, max_epochs=30, random_state=0).fit(X, y)
    assert expected.score(X, y) > 0.9
    net = LogitClassifier(Words, max_epochs=30, random_state=0)
    net.fit(X.astype(integer), y)
    np.testing.assert_array_equal(
        net.predict_proba(X.astype(integer)), expected.predict_proba(X)
    )


@pytest.mark.parametrize("real", [np.float16, np.float64, ">f8", np.longdouble, int])
def test_numbers_are_converted_to_the_dtype_of_the_parameters(iris, real):
    X, y = iris
    X = np.round(4 * X)
    for dtype, expected in (("float32", np.float32), ("float64", np.float64)):
        net = LogitClassifier(dtype=dtype, max_epochs=2, random_state=0).fit(X, y)
        other = clone(net).fit(X.astype(real), y)
        assert net.head_.weight.dtype == getattr(torch, dtype)
        assert other.predict_proba(X.astype(real)).dtype == expected
        np.testing.assert_array_equal(other.predict_proba(X), net.predict_proba(X))


def test_images_with_and_without_a_module(digits):
    X, y = digits
    images = X.reshape(-1, 8, 8)
    flat = LogitClassifier(max_epochs=3, random_state=0)
    np.testing.assert_array_equal(
        clone(flat).fit(images, y).predict_proba(images),
        clone(flat).fit(X, y).predict_proba(X),
    )
    convolution = nn.Sequential(
        nn.Unflatten(1, (1, 8)), nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten()
    )
    net = LogitClassifier(convolution, max_epochs=5, random_state=0).fit(images, y)
    assert net.head_.in_features == 8 * 36
    assert net.score(images, y) > 0.9


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(32, 8), nn.Linear(32, 8)

    def forward(self, left, right):
        return torch.cat([self.left(left), self.right(right)], dim=1)


def test_dict_reaches_the_module_as_keywords(digits):
    X, y = digits
    parts = {"left": X[:, :32].astype(np.float64), "right": sparse.csr_array(X[:, 32:])}
    net = LogitClassifier(Pair, max_epochs=5, random_state=0).fit(parts, y)
    assert net.head_.in_features == 16
    assert (net.predict(parts) == y).mean() > 0.9
    weighted = clone(net).fit(parts, y, sample_weight=np.full(len(y), 3.0))
    np.testing.assert_allclose(
        weighted.predict_proba(parts), net.predict_proba(parts), atol=1e-4
    )


def test_tensors(digits):
    X, y = digits
    expected = LogitClassifier(max_epochs=2, random_state=0).fit(X, y)
    net = LogitClassifier(max_epochs=2, random_state=0)
    net.fit(torch.tensor(X), torch.tensor(y))
    np.testing.assert_array_equal(
        net.predict_proba(torch.tensor(X)), expected.predict_proba(X)
    )
    # numpy does not have this dtype.
    net.fit(torch.tensor(X).bfloat16(), torch.tensor(y))
    assert net.predict_proba(torch.tensor(X).bfloat16()).dtype == np.float32
    with pytest.raises(ValueError, match="NaN"):
        net.fit(torch.full((20, 3), torch.nan).bfloat16(), y[:20])


def test_datasets_of_torch_hold_class_indices(digits):
    X, y = digits
    expected = LogitClassifier(max_epochs=2, random_state=0).fit(X, y)
    for data in (
        TensorDataset(torch.tensor(X).double(), torch.tensor(y)),
        Dataset(X, y),
        Dataset({"X": X, "sample_weight": np.ones(len(X))}, y),
    ):
        net = LogitClassifier(max_epochs=2, random_state=0).fit(data, None)
        np.testing.assert_array_equal(net.classes_, np.arange(10))
        np.testing.assert_allclose(
            net.predict_proba(data), expected.predict_proba(X), atol=1e-4
        )
        assert net.log_loss(data) == pytest.approx(expected.log_loss(X, y), rel=1e-3)


class Stream(IterableDataset):
    def __init__(self, X, y):
        self.rows = list(zip(X, y))

    def __iter__(self):
        return iter(self.rows)


def test_streams(digits):
    X, y = digits
    data = Stream(X, y)
    net = LogitClassifier(max_epochs=2, batch_policy="sequential", random_state=0)
    with pytest.raises(ValueError, match="classes must be given"):
        net.fit(data)
    net.set_params(classes=np.arange(10)).fit(data)
    expected = clone(net).fit(X, y)
    np.testing.assert_allclose(net.predict_proba(data), expected.predict_proba(X))
    with pytest.raises(ValueError, match="batch_policy must leave the order"):
        clone(net).set_params(batch_policy="shuffle").fit(data)


class NextToken(nn.Module):
    def __init__(self):
        super().__init__()
        self.vectors = nn.Embedding(7, 8)
        self.memory = nn.GRU(8, 16, batch_first=True)

    def forward(self, X):
        return self.memory(self.vectors(X))  # a tuple: the first entry counts


def test_targets_of_sequences_at_every_position():
    rng = np.random.default_rng(0)
    tokens = (rng.integers(0, 7, (200, 1)) + np.arange(9)) % 7  # each is one more
    X, y = tokens[:, :-1], tokens[:, 1:].copy()
    y[:, 0] = -100  # not to be learnt
    data = TensorDataset(torch.tensor(X), torch.tensor(y))
    net = LogitClassifier(NextToken, max_epochs=10, random_state=0).fit(data)
    assert net.decision_function(X).shape == (200, 8, 7)
    assert (net.predict(X)[:, 1:] == tokens[:, 2:]).all()
    assert net.predict_topk(X, 2).shape == (200, 8, 2)
    log_p = net.predict_log_proba(X)[:, 1:]
    of_targets = np.take_along_axis(log_p, tokens[:, 2:, np.newaxis], axis=2)
    assert net.log_loss(data) == pytest.approx(-of_targets.mean(), rel=1e-4)
    # Weights are of sequences: those without weight teach nothing.
    weight = np.zeros(200, dtype=np.float32)
    weight[:100] = 1
    wrong = y.copy()
    wrong[100:] = 0
    weighted = Dataset({"X": X, "sample_weight": weight}, wrong)
    net = LogitClassifier(NextToken, max_epochs=20, random_state=0).fit(weighted)
    assert (net.predict(X)[:, 1:] == tokens[:, 2:]).all()


def test_many_classes_of_which_the_data_show_a_few(digits):
    X, y = digits
    net = LogitClassifier(classes=range(1000), max_epochs=3).fit(X, y)
    assert net.decision_function(X[:2]).shape == (2, 1000)
    net = LogitClassifier(head__num_classes=50, max_epochs=1)
    net.fit(Dataset(X, y), None)
    np.testing.assert_array_equal(net.classes_, np.arange(50))


# -- loaders ---------------------------------------------------------------------------


def test_workers_load_batches(digits):
    X, y = digits
    net = LogitClassifier(
        iterator_train__num_workers=1, batch_size=600, max_epochs=1, random_state=0
    )
    expected = clone(net).set_params(iterator_train__num_workers=0).fit(X, y)
    np.testing.assert_array_equal(
        net.fit(X, y).predict_proba(X), expected.predict_proba(X)
    )


def test_own_collate_function_gets_rows(digits):
    X, y = digits
    sizes = []

    def collate(rows):
        sizes.append(len(rows))
        return tuple(torch.stack(part) for part in zip(*rows))

    net = LogitClassifier(iterator_train__collate_fn=collate, max_epochs=2)
    net.set_params(random_state=0).fit(X, y)
    expected = LogitClassifier(max_epochs=2, random_state=0).fit(X, y)
    np.testing.assert_array_equal(net.predict_proba(X), expected.predict_proba(X))
    assert sum(sizes) == 2 * len(y)


# -- errors ----------------------------------------------------------------------------


def test_features_of_the_wrong_shape_are_named(digits):
    X, y = digits
    module = nn.Unflatten(1, (8, 8))
    with pytest.raises(ValueError, match=r"features of shape \(128, 'in_features'\)"):
        LogitClassifier(module).fit(X, y)


def test_not_finite_entries_of_a_dict_are_named(digits):
    X, y = digits
    bad = X[:, 32:].copy()
    bad[0, 0] = np.inf
    with pytest.raises(ValueError, match="Input right contains infinity"):
        LogitClassifier(Pair).fit({"left": X[:, :32], "right": bad}, y)


def test_weights_of_a_dataset_stand_in_it(digits):
    X, y = digits
    with pytest.raises(ValueError, match="sample_weight must be None"):
        LogitClassifier().fit(Dataset(X, y), None, sample_weight=np.ones(len(y)))


@pytest.mark.parametrize(
    ("index", "kwargs"), [(10, {}), (-1, {}), (-100, {"loss__ignore_index": -1})]
)
def test_class_indices_of_a_dataset_are_checked_before_training(digits, index, kwargs):
    X, y = digits
    wrong = y.copy()
    wrong[7] = index
    net = LogitClassifier(classes=range(10), **kwargs)
    with pytest.raises(ValueError, match=rf"class indices from 0 to 9.* got {index}"):
        net.fit(Dataset(X, wrong), None)


def test_a_dataset_of_one_class_is_refused(digits):
    X, y = digits
    with pytest.raises(ValueError, match="y needs at least 2 classes"):
        LogitClassifier().fit(Dataset(X, 0 * y), None)


@pytest.mark.parametrize(
    ("data", "y", "weight", "message"),
    [
        ({}, None, None, "y must be given with a dict X, got None"),
        ({"sample_weight": -np.ones(4)}, [0, 1, 0, 1], None, "[Nn]egative"),
        ({"sample_weight": np.ones(3)}, [0, 1, 0, 1], None, "sample_weight"),
        ({"sample_weight": np.ones(4)}, [0, 1, 0, 1], np.ones(4), "got both"),
    ],
)
def test_wrong_entries_of_a_dict_are_named(data, y, weight, message):
    data = {"X": np.eye(4, dtype=np.float32)} | data
    with pytest.raises(ValueError, match=message):
        LogitClassifier().fit(data, y, sample_weight=weight)


def test_weights_are_an_entry_of_a_dict_or_an_argument(iris):
    X, y = iris
    weight = np.linspace(0, 1, 150)
    expected = full_batch(max_epochs=3).fit(X, y, sample_weight=weight)
    net = full_batch(max_epochs=3).fit({"X": X, "sample_weight": weight}, y)
    np.testing.assert_allclose(net.predict_proba(X), expected.predict_proba(X))
    data = {"X": X, "sample_weight": weight}
    assert net.log_loss(data, y) == pytest.approx(net.log_loss(X, y, weight))
    with pytest.raises(ValueError, match="got both"):
        net.log_loss(data, y, weight)


def test_rows_of_another_shape_are_refused(digits):
    images = digits[0].reshape(-1, 8, 8)
    net = LogitClassifier(max_epochs=1).fit(images, digits[1])
    with pytest.raises(ValueError, match=r"rows of shape \(8, 8\), as in fit, got"):
        net.predict(images[:, :, :7])
