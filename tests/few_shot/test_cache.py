"""Tip-Adapter: the cache alone, added to logits, and with trained keys."""

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.callback import ScoringMonitor

from sklogit.few_shot import CacheLogits, TipAdapterClassifier

from .common import mean_log_loss, random_shots, two_views, unit


def cache_by_loops(keys, y, rows, n_classes, beta, weight=None):
    """Sum of affinities, key by key, as the formula has it."""
    weight = np.ones(len(y)) if weight is None else weight
    logits = np.zeros((len(rows), n_classes))
    for i, row in enumerate(unit(rows)):
        for key, label, s in zip(unit(keys), y, weight):
            logits[i, label] += s * np.exp(-beta * (1 - row @ key))
    return logits


@pytest.fixture
def shots():
    _, A, y = random_shots()
    return A, y, np.random.default_rng(5).normal(size=(7, 6))


def test_cache_is_the_sum_over_keys(shots):
    A, y, rows = shots
    found = CacheLogits(alpha=2.0, beta=3.0).fit(A, y).transform(rows)
    np.testing.assert_allclose(found, 2 * cache_by_loops(A, y, rows, 4, 3.0))


def test_blocks_of_rows_give_the_same(shots, monkeypatch):
    from sklogit.few_shot import _cache

    A, y, rows = shots
    expected = CacheLogits().fit(A, y).transform(rows)
    monkeypatch.setattr(_cache, "_BLOCK_ENTRIES", 2 * len(y) + 1)
    np.testing.assert_allclose(CacheLogits().fit(A, y).transform(rows), expected)


def test_weights_of_keys_equal_repeats(shots):
    A, y, rows = shots
    counts = np.arange(len(y)) % 3
    counts[:1] = 1
    weighted = CacheLogits().fit(A, y, sample_weight=counts)
    repeated = np.repeat(np.arange(len(y)), counts)
    plain = CacheLogits().fit(A[repeated], y[repeated])
    np.testing.assert_allclose(weighted.transform(rows), plain.transform(rows))
    assert len(weighted.keys_) == np.count_nonzero(counts)


def test_columns_have_the_order_of_the_classes_that_were_given(shots):
    A, y, rows = shots
    names = np.array(["d", "c", "b", "a"])
    plain = CacheLogits().fit(A, y).transform(rows)
    by_name = CacheLogits(classes=["d", "e", "c", "b", "a"]).fit(A, names[y])
    found = by_name.transform(rows)
    np.testing.assert_allclose(found[:, [0, 2, 3, 4]], plain)
    np.testing.assert_array_equal(found[:, 1], 0)  # a label without rows
    by_default = CacheLogits().fit(A, names[y]).transform(rows)
    np.testing.assert_allclose(by_default, plain[:, ::-1])


def test_sparse_rows_give_the_same(shots):
    A, y, rows = shots
    expected = CacheLogits().fit(A, y).transform(rows)
    cache = CacheLogits().fit(sparse.csr_array(A), y)
    np.testing.assert_allclose(cache.transform(sparse.csr_array(rows)), expected)
    np.testing.assert_allclose(cache.transform(rows), expected)


def test_tip_adapter_adds_the_cache_to_the_logits():
    X, y, X_test, _ = two_views()
    clf = TipAdapterClassifier(10, alpha=1.5, beta=4.0).fit(X, y)
    cache = cache_by_loops(X[:, 10:], y, X_test[:, 10:], 10, 4.0)
    expected = X_test[:, :10] + 1.5 * cache
    np.testing.assert_allclose(clf.decision_function(X_test), expected)
    np.testing.assert_allclose(clf.bias_logits(X_test), cache)
    loss = mean_log_loss(clf.decision_function(X), y)
    assert clf.loss_ == pytest.approx(loss)
    assert clf.n_iter_ == 0


@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array])
def test_trained_keys_are_those_of_autograd_and_torch(convert):
    z, A, y = random_shots()
    params = {"alpha": 2.0, "beta": 3.0, "n_epochs": 4, "batch_size": 16}
    clf = TipAdapterClassifier(4, **params, learning_rate=0.05, random_state=0)
    clf.fit(convert(np.hstack([z, A])), y)
    F, prior, target = torch.tensor(unit(A)), torch.tensor(z), torch.tensor(y)
    keys, values = F.clone().requires_grad_(), torch.eye(4, dtype=F.dtype)[target]
    optimizer = torch.optim.AdamW([keys], lr=0.05, weight_decay=0.01, eps=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 4 * 2)
    order_rng = np.random.RandomState(0)
    for _ in range(4):
        for batch in torch.tensor(order_rng.permutation(30)).split(16):
            optimizer.zero_grad()
            affinity = torch.exp(-3.0 * (1 - F[batch] @ keys.T))
            logits = prior[batch] + 2.0 * affinity @ values
            torch.nn.functional.cross_entropy(logits, target[batch]).backward()
            optimizer.step()
            schedule.step()
    np.testing.assert_allclose(clf.keys_, keys.detach(), atol=1e-12)
    assert clf.n_iter_ == len(clf.loss_curve_) == 4


def test_training_lowers_the_loss_and_leaves_the_data_alone():
    X, y, *_ = two_views()
    before = X.tobytes()
    plain = TipAdapterClassifier(10).fit(X, y)
    trained = TipAdapterClassifier(10, n_epochs=20, batch_size=8, random_state=0)
    trained.fit(X, y)
    losses = [mean_log_loss(clf.decision_function(X), y) for clf in (plain, trained)]
    assert losses[1] < losses[0]
    assert X.tobytes() == before


def test_a_class_without_rows_keeps_its_prior_logit():
    X, y, X_test, _ = two_views()
    few = y != 2
    clf = TipAdapterClassifier(10, classes=np.arange(10)).fit(X[few], y[few])
    np.testing.assert_array_equal(clf.decision_function(X_test)[:, 2], X_test[:, 2])


def test_float32_stays_float32():
    X, y, X_test, _ = (a.astype(np.float32) if a.ndim == 2 else a for a in two_views())
    for n_epochs in (0, 3):
        clf = TipAdapterClassifier(10, n_epochs=n_epochs, random_state=0).fit(X, y)
        assert clf.keys_.dtype == np.float32
        assert clf.decision_function(X_test).dtype == np.float32
    assert CacheLogits().fit(X, y).transform(X_test).dtype == np.float32


def test_callbacks_follow_the_epochs():
    X, y, *_ = two_views()
    monitor = ScoringMonitor(scoring="accuracy")
    clf = TipAdapterClassifier(10, n_epochs=3, random_state=0).set_callbacks(monitor)
    clf.fit(X, y)
    log = [row for row in monitor.get_logs().data if row["task_name"] == "iteration"]
    assert len(log) == 3
    assert log[-1]["accuracy"] == pytest.approx(clf.score(X, y))


def test_interrupt_of_the_first_epoch_keeps_the_rows_as_keys(monkeypatch):
    from sklogit.few_shot import _tip_adapter

    X, y, *_ = two_views()
    original, calls = _tip_adapter.softmax_cross_entropy, []

    def interrupt_first(*args):
        calls.append(args)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(_tip_adapter, "softmax_cross_entropy", interrupt_first)
    clf = TipAdapterClassifier(10, n_epochs=3, random_state=0)
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X, y)
    plain = TipAdapterClassifier(10).fit(X, y)
    np.testing.assert_array_equal(clf.keys_, plain.keys_)
    assert clf.loss_ == pytest.approx(plain.loss_)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_logits": 3}, "n_logits must be 0, or the number of classes, 10"),
        ({"beta": -1.0}, "beta"),
        ({"alpha": -1.0}, "alpha"),
        ({"n_epochs": -1}, "n_epochs"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_wrong_parameters_are_named(change, message):
    X, y, *_ = two_views()
    clf = TipAdapterClassifier(10).set_params(**change)
    with pytest.raises(ValueError, match=message):
        clf.fit(X, y)
