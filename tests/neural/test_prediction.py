"""What LogitClassifier says about data."""

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from torch import nn

from sklogit.neural import LogitClassifier

from .common import CodeHead, Hidden, full_batch


@pytest.mark.parametrize("head", ["linear", "cosine", "vq", nn.Linear, CodeHead])
def test_outputs_agree_with_the_logits(digits, head):
    X, y = digits
    labels = np.array(list("abcdefghij"))
    net = LogitClassifier(Hidden, head=head, max_epochs=3, random_state=0)
    net.fit(X, labels[y])
    logits = net.decision_function(X).astype(np.float64)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_array_equal(net.predict(X), labels[logits.argmax(axis=1)])
    np.testing.assert_allclose(net.predict_proba(X), p, atol=1e-6)
    np.testing.assert_allclose(net.predict_log_proba(X), np.log(p), atol=1e-5)
    order = np.argsort(-logits, axis=1)
    for k in (1, 3, 10):
        np.testing.assert_array_equal(net.predict_topk(X, k), labels[order[:, :k]])
    assert net.log_loss(X, labels[y]) == pytest.approx(
        log_loss(labels[y], p.astype(np.float64)), rel=1e-5
    )
    weight = np.linspace(0, 1, len(y))
    assert net.log_loss(X, labels[y], weight) == pytest.approx(
        log_loss(labels[y], p, sample_weight=weight), rel=1e-5
    )


def test_two_classes_have_one_decision(iris):
    X, y = iris[0][:100], iris[1][:100]
    net = full_batch(max_epochs=3).fit(X, y)
    decision = net.decision_function(X)
    assert decision.shape == (100,)
    np.testing.assert_allclose(
        net.predict_proba(X)[:, 1], 1 / (1 + np.exp(-decision)), rtol=1e-10
    )
    np.testing.assert_array_equal(net.predict(X), decision > 0)


def test_of_equal_logits_the_first_class_is_predicted(iris):
    X, y = iris
    net = full_batch(max_epochs=0).fit(X, y)
    for head in (net.head_, nn.Linear(4, 3).double()):
        net.module_.head = nn.init.zeros_(head.weight) is None or head
        nn.init.zeros_(net.head_.bias)
        np.testing.assert_array_equal(net.predict(X), np.zeros(150))


def test_logits_are_never_held_for_more_rows_than_needed(digits, monkeypatch):
    X, y = digits
    net = LogitClassifier(head=nn.Linear, batch_size=-1, max_epochs=1).fit(X, y)
    expected = net.predict_proba(X)
    monkeypatch.setattr("sklogit.neural._prediction._LOGITS_AT_ONCE", 1000)
    sizes = []
    net.head_.register_forward_hook(lambda _, x, z: sizes.append(z.numel()))
    for method in (net.predict, net.predict_proba, net.decision_function):
        method(X)
    net.predict_topk(X, 2)
    net.log_loss(X, y)
    assert max(sizes) <= 1000
    np.testing.assert_allclose(net.predict_proba(X), expected, atol=1e-6)


def test_logits_of_a_batch_are_never_put_together(digits, monkeypatch):
    X, y = digits
    net = LogitClassifier(batch_size=-1, max_epochs=1).fit(X, y)
    taken = []
    monkeypatch.setattr("sklogit.neural._prediction._LOGITS_AT_ONCE", 1000)
    monkeypatch.setattr(
        "sklogit.neural._prediction.to_numpy",
        lambda values: taken.append(len(values)) or values.numpy(),
    )
    assert net.predict_proba(X).shape == (len(X), 10)
    assert (max(taken), sum(taken)) == (100, len(X))


def test_gradients_are_left_on_for_who_goes_through_the_parts(iris):
    X, y = iris
    net = full_batch(max_epochs=1).fit(X, y)
    for _ in net._parts(X, net._logits):
        assert torch.is_grad_enabled()


def test_nonlinearity_of_the_user(iris):
    X, y = iris
    net = full_batch(max_epochs=2, predict_nonlinearity=torch.sigmoid).fit(X, y)
    np.testing.assert_allclose(
        net.predict_proba(X), 1 / (1 + np.exp(-net.decision_function(X)))
    )


@pytest.mark.parametrize("k", [0, 4])
def test_wrong_k(iris, k):
    net = full_batch(max_epochs=1).fit(*iris)
    with pytest.raises(ValueError, match="k must be an integer from 1 to 3"):
        net.predict_topk(iris[0], k)


def test_log_loss_refuses_unknown_labels(iris):
    X, y = iris
    net = full_batch(max_epochs=1).fit(X, y)
    with pytest.raises(ValueError, match="labels"):
        net.log_loss(X, y + 1)


def test_device_none_leaves_tensors_where_they_are(digits):
    X, y = digits
    net = LogitClassifier(device=None, max_epochs=1, random_state=0).fit(X, y)
    expected = LogitClassifier(max_epochs=1, random_state=0).fit(X, y)
    np.testing.assert_array_equal(net.predict_proba(X), expected.predict_proba(X))
    assert net.log_loss(X, y) == pytest.approx(expected.log_loss(X, y))
