"""How heads, losses and weights meet."""

import pickle

import numpy as np
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.metrics import f1_score, log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.dataset import Dataset
from torch import nn
from torch.nn import functional as F

from sklogit.losses import AnyLoss, LinearCrossEntropyLoss

from .common import CodeHead, LinearOnly, full_batch


def test_head_with_nll_gives_the_cross_entropy_itself(iris):
    X, y = iris
    weight = np.linspace(0, 1, len(y))
    for given in (None, weight):
        net = full_batch(head=CodeHead, max_epochs=5).fit(X, y, sample_weight=given)
        expected = full_batch(head=nn.Linear, max_epochs=5).fit(X, y, given)
        np.testing.assert_allclose(net.predict_proba(X), expected.predict_proba(X))
    assert net.head_.n_calls == 5
    assert net.log_loss(X, y) == pytest.approx(log_loss(y, net.predict_proba(X)))


def test_head_with_nll_is_used_by_its_logits_for_other_losses(iris):
    net = full_batch(head=CodeHead, loss__label_smoothing=0.1)
    with pytest.raises(AssertionError, match="logits were made in training"):
        net.fit(*iris)


def test_loss_that_needs_the_head_gets_it(iris):
    X, y = iris
    seen = []

    class Loss(nn.Module):
        needs_head = True

        def forward(self, features, target, head, sample_weight=None):
            seen.append((features, head, sample_weight))
            return F.cross_entropy(F.linear(features, head.weight, head.bias), target)

    net = full_batch(loss=Loss, max_epochs=5).fit(X, y)
    expected = full_batch(max_epochs=5).fit(X, y)
    np.testing.assert_allclose(net.predict_proba(X), expected.predict_proba(X))
    assert {(head is net.head_, weight) for _, head, weight in seen} == {(True, None)}


def test_loss_can_refuse_heads_before_training(iris):
    net = full_batch(loss=LinearOnly, head=CodeHead)
    with pytest.raises(ValueError, match="head must be linear, got CodeHead"):
        net.fit(*iris)
    assert full_batch(loss=LinearOnly).fit(*iris).score(*iris) > 0.9


def test_vector_quantised_head_trains_by_its_exact_loss(iris):
    X, y = iris
    codes = {"head__mapping": [0, 1, 1], "head__within": "uniform"}
    net = full_batch(head="vq", **codes).fit(X, y)
    assert net.head_.codebook.shape == (2, 4)
    logits = torch.tensor(net.decision_function(X))
    expected = F.cross_entropy(logits, torch.tensor(y)).item()
    net.set_params(max_epochs=1).partial_fit(X, y)
    assert net.history[-1, "train_loss"] == pytest.approx(expected)
    # Two classes of one code are never told apart.
    assert 0.6 < net.score(X, y) <= 2 / 3
    counts = full_batch(head="vq", head__n_codes=2).fit(X[:120], y[:120])
    assert counts.head_.codes.tolist() in ([0, 1, 1], [1, 0, 0], [0, 0, 1], [1, 1, 0])


@pytest.mark.parametrize("head", ["linear", "cosine", nn.Linear])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cut_cross_entropy_is_the_cross_entropy(iris, head, smoothing):
    X, y = iris
    weight = np.linspace(0, 1, len(y))
    for given in (None, weight):
        nets = [
            full_batch(head=head, loss=loss, loss__label_smoothing=smoothing)
            for loss in ("cross_entropy", "linear_cross_entropy")
        ]
        expected, found = (
            net.fit(X, y, sample_weight=given).predict_proba(X) for net in nets
        )
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_cut_cross_entropy_refuses_heads_that_are_not_linear(iris):
    net = full_batch(head=CodeHead, loss="linear_cross_entropy")
    with pytest.raises(ValueError, match=r"logits that are linear.* got CodeHead"):
        net.fit(*iris)


def test_cut_cross_entropy_with_capped_logits(iris):
    X, y = iris
    net = full_batch(loss="linear_cross_entropy", loss__softcap=2.0)
    with pytest.raises(ValueError, match=r"head__softcap must be .* 2.0.* got None"):
        net.fit(X, y)
    net.set_params(head__softcap=2.0).fit(X, y)
    expected = full_batch(head__softcap=2.0).fit(X, y)
    np.testing.assert_allclose(
        net.decision_function(X), expected.decision_function(X), rtol=1e-9
    )
    assert abs(net.decision_function(X)).max() < 2


def test_loss_with_a_head_of_its_own(iris):
    X, y = iris
    torch.manual_seed(0)
    loss = LinearCrossEntropyLoss(4, 3)
    net = full_batch(head=None, loss=loss, max_epochs=5)
    untrained = loss.logits(torch.tensor(X).float()).detach().numpy()
    found = clone(net).set_params(max_epochs=0).fit(X, y).decision_function(X)
    np.testing.assert_allclose(found, untrained, rtol=1e-4, atol=1e-6)
    weight = np.linspace(0, 1, len(y))
    net.set_params(max_epochs=50).fit(X, y, sample_weight=weight)
    logits = net.loss_.logits(torch.tensor(X)).detach().numpy()
    np.testing.assert_allclose(net.decision_function(X), logits)
    assert net.score(X, y) > 0.9
    copied = pickle.loads(pickle.dumps(net))
    assert copied.head_.loss is copied.loss_
    with pytest.raises(ValueError, match="head must be None"):
        clone(net).set_params(head="linear").fit(X, y)
    with pytest.raises(ValueError, match="must return 3 logits"):
        clone(net).set_params(loss="cross_entropy").fit(X, y)


def test_loss_for_a_metric_of_two_classes_gets_the_difference_of_logits(iris):
    X, y = iris
    y = (y == 1).astype(int)
    net = full_batch(loss="anyloss", loss__metric="f1", max_epochs=1)
    start = clone(net).set_params(max_epochs=0).fit(X, y)
    a = 1 / (1 + np.exp(-start.decision_function(X)))
    soft_f1 = 2 * a[y == 1].sum() / (a.sum() + y.sum())
    assert net.fit(X, y).history[0, "train_loss"] == pytest.approx(1 - soft_f1)
    net.set_params(max_epochs=100).fit(X, y)
    entropy = full_batch(max_epochs=100).fit(X, y)
    assert f1_score(y, net.predict(X)) > f1_score(y, entropy.predict(X)) + 0.02


def test_loss_for_a_metric_of_many_classes_gets_all_logits(iris):
    X, y = iris
    net = full_batch(loss="anyloss", max_epochs=1)
    logits = clone(net).set_params(max_epochs=0).fit(X, y).decision_function(X)
    expected = AnyLoss()(torch.tensor(logits), torch.tensor(y)).item()
    assert net.fit(X, y).history[0, "train_loss"] == pytest.approx(expected)


# -- weights ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"loss__label_smoothing": 0.1},
        {"loss__weight": torch.tensor([1.0, 2.0, 5.0])},
        {"loss": nn.MultiMarginLoss},
        {"loss": "anyloss"},
        {"loss__reduction": "sum", "lr": 0.01},
        {"module": nn.Linear, "module__in_features": 4, "module__out_features": 3},
    ],
    ids=["plain", "smooth", "class weights", "margin", "metric", "sum", "module"],
)
def test_weights_are_repeated_rows(iris, kwargs):
    X, y = iris
    weight = np.random.default_rng(0).integers(0, 3, 150)
    weighted = full_batch(**kwargs).fit(X, y, sample_weight=weight)
    repeated = full_batch(**kwargs).fit(X.repeat(weight, 0), y.repeat(weight))
    np.testing.assert_allclose(
        weighted.decision_function(X), repeated.decision_function(X), rtol=1e-6
    )


def test_ignored_rows_have_no_share_in_a_weighted_mean(iris):
    X, y = iris
    ignored = y.copy()
    ignored[::3] = -100
    weight = np.linspace(1, 2, 150)
    data = Dataset({"X": X, "sample_weight": weight}, ignored)
    kept = ignored >= 0
    expected = full_batch().fit(X[kept], y[kept], sample_weight=weight[kept])
    for head in ("linear", CodeHead):
        net = full_batch(head=head).fit(data, None)
        np.testing.assert_allclose(
            net.predict_proba(X), expected.predict_proba(X), atol=1e-8
        )


@pytest.mark.parametrize("loss", ["cross_entropy", "linear_cross_entropy", "anyloss"])
def test_batch_without_weight_teaches_nothing(iris, loss):
    X, y = iris
    weight = np.r_[np.zeros(100), np.ones(50)]
    net = full_batch(loss=loss, batch_size=50, batch_policy="sequential", max_epochs=2)
    net.fit(X, y, sample_weight=weight)
    assert np.isfinite(net.predict_proba(X)).all()
    assert net.history[0, "batches", :, "train_loss"][:2] == [0, 0]
    assert (net.predict(X[100:]) == 2).mean() > 0.9


def test_weights_are_routed(iris):
    X, y = iris
    weight = np.where(y == 1, 1.0, 0.01)
    with sklearn.config_context(enable_metadata_routing=True):
        net = full_batch().set_fit_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipeline = make_pipeline(scaler, net).fit(X, y, sample_weight=weight)
    plain = make_pipeline(StandardScaler(), full_batch()).fit(X, y)
    assert (pipeline.predict(X) == 1).sum() > (plain.predict(X) == 1).sum() + 20


def test_running_counts_of_a_loss_start_anew_with_each_fit(iris):
    X, y = iris
    loss = AnyLoss("f1", momentum=0.9)
    net = full_batch(loss=loss, batch_size=30, max_epochs=3)
    first = net.fit(X, y).decision_function(X)
    np.testing.assert_array_equal(net.fit(X, y).decision_function(X), first)
    net.fit(X[:100], y[:100])  # of another number of outputs


class NoWeights(nn.Module):
    def forward(self, logits, target):
        return F.cross_entropy(logits, target)


def test_loss_that_cannot_take_weights_says_so(iris):
    X, y = iris
    net = full_batch(loss=NoWeights).fit(X, y)
    with pytest.raises(ValueError, match=r"sample_weight cannot.*loss=NoWeights"):
        net.fit(X, y, sample_weight=np.ones(150))


@pytest.mark.parametrize(
    ("weight", "message"), [(-1.0, "[Nn]egative"), (np.nan, "NaN"), (0.0, "non-zero")]
)
def test_wrong_weights(iris, weight, message):
    X, y = iris
    with pytest.raises(ValueError, match=message):
        full_batch().fit(X, y, sample_weight=np.full(len(y), weight))
