"""Batch policies: which rows a training step gets."""

import pickle

import numpy as np
import pytest
import torch
from skorch.dataset import ValidSplit
from torch import nn
from torch.utils.data import DataLoader

from sklogit.neural import BatchPolicy, LogitClassifier


class Seen(nn.Module):
    """Features as they come; keeps the batches of training."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 3)
        self.batches = []

    def forward(self, X):
        if self.training:
            self.batches.append(X.detach().clone())
        return self.layer(X)


@pytest.mark.parametrize(
    ("policy", "in_order"),
    [("sequential", True), ("shuffle", False), ("stratified", False)],
)
def test_policies_give_every_row_once_an_epoch(digits, policy, in_order):
    X, y = digits
    net = LogitClassifier(Seen, batch_policy=policy, batch_size=100, max_epochs=1)
    batches = net.fit(X, y).module_.module.batches
    assert {len(batch) for batch in batches[:-1]} == {100}
    rows = torch.cat(batches).numpy()
    assert (rows == X).all() == in_order
    order = np.lexsort(X.T), np.lexsort(rows.T)
    np.testing.assert_array_equal(X[order[0]], rows[order[1]])


def test_stratified_batches_have_their_share(digits):
    X, y = digits
    rare = (y == 3) & (np.arange(len(y)) % 4 == 0)
    X = X.copy()
    X[:, 0] = rare
    net = LogitClassifier(Seen, batch_policy="stratified", batch_size=100, max_epochs=2)
    batches = net.fit(X, rare).module_.module.batches
    counts = [batch[:, 0].sum().item() for batch in batches if len(batch) == 100]
    assert max(counts) - min(counts) <= 1


def test_own_loader_is_a_policy(digits):
    X, y = digits
    net = LogitClassifier(
        Seen, batch_policy=DataLoader, iterator_train__drop_last=True, batch_size=1000
    )
    batches = net.set_params(max_epochs=1).fit(X, y).module_.module.batches
    np.testing.assert_array_equal(torch.cat(batches).numpy(), X[:1000])


class Half(BatchPolicy):
    """The first half of each batch; remembers how many it has seen."""

    def __init__(self, n_seen=0):
        self.n_seen = n_seen

    def select(self, net, batch):
        X, y = batch
        self.n_seen += 1
        assert net.infer_logits(X).shape == (len(y), 10)
        return None if len(y) < 100 else (X[:50], y[:50])


def test_policy_selects_rows_of_each_batch(digits):
    X, y = digits
    policy = Half()
    net = LogitClassifier(batch_policy=policy, batch_size=100, max_epochs=2).fit(X, y)
    assert net.batch_policy_.n_seen == 36
    # The last batch of each epoch is smaller, and was skipped.
    assert net.history[-1, "batches", :, "train_batch_size"] == [50] * 17
    # The parameter stays as it was; going on remembers, fitting again does not.
    assert policy.n_seen == 0
    assert pickle.loads(pickle.dumps(net)).batch_policy_.n_seen == 36
    assert net.partial_fit(X, y).batch_policy_.n_seen == 72
    assert net.fit(X, y).batch_policy_.n_seen == 36


def test_selection_does_not_touch_validation(digits):
    X, y = digits
    net = LogitClassifier(
        batch_policy=Half, batch_size=100, max_epochs=1, train_split=ValidSplit(2)
    )
    net.fit(X, y)
    assert sum(net.history[-1, "batches", :, "valid_batch_size"]) == 899


class Nothing(BatchPolicy):
    """The rows of a class that there is not."""

    def select(self, net, batch):
        X, y = batch
        return X[y == 99], y[y == 99]


def test_a_batch_without_rows_is_skipped(digits):
    net = LogitClassifier(batch_policy=Nothing, max_epochs=1, random_state=0).fit(
        *digits
    )
    untrained = LogitClassifier(max_epochs=0, random_state=0).fit(*digits)
    np.testing.assert_array_equal(
        net.predict_proba(digits[0]), untrained.predict_proba(digits[0])
    )


class Wrong(BatchPolicy):
    def select(self, net, batch):
        return batch[0]


def test_a_policy_that_selects_no_pair_is_named(digits):
    with pytest.raises(
        TypeError, match=r"batch_policy=Wrong must select a pair.*Tensor"
    ):
        LogitClassifier(batch_policy=Wrong, max_epochs=1).fit(*digits)
