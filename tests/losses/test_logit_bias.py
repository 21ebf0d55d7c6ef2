"""The two losses of a logit bias, alone and in a net."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sklogit.few_shot import LogitBiasClassifier
from sklogit.heads import LinearHead, LogitBiasHead
from sklogit.losses import LogitBiasLoss
from sklogit.neural import LogitClassifier

RNG = np.random.default_rng(0)
Y = np.concatenate([np.arange(4), RNG.integers(4, size=56)])
X = np.hstack([RNG.normal(size=(60, 4)), RNG.normal(size=(60, 6)) + np.eye(6)[Y]])


@pytest.fixture
def head():
    torch.manual_seed(0)
    return LogitBiasHead(10, 4).double()


@pytest.mark.parametrize("lambda_merge", [0.0, 0.35, 1.0])
def test_loss_is_the_weighted_sum_of_both(head, lambda_merge):
    features, y = torch.tensor(X), torch.tensor(Y)
    loss = LogitBiasLoss(lambda_merge)(features, y, head=head)
    fused = F.cross_entropy(head(features), y)
    alone = F.cross_entropy(head.bias_logits(features[:, 4:]), y)
    expected = lambda_merge * fused + (1 - lambda_merge) * alone
    torch.testing.assert_close(loss, expected)


def test_weights_equal_repeats(head):
    features, y = torch.tensor(X), torch.tensor(Y)
    counts = torch.tensor(RNG.integers(0, 4, size=60))
    loss = LogitBiasLoss()(features, y, head=head, sample_weight=counts)
    rows = torch.arange(60).repeat_interleave(counts)
    repeated = LogitBiasLoss()(features[rows], y[rows], head=head)
    torch.testing.assert_close(loss, repeated)


def test_labels_are_smoothed_in_both_terms(head):
    features, y = torch.tensor(X), torch.tensor(Y)
    loss = LogitBiasLoss(0.35, label_smoothing=0.2)(features, y, head=head)
    bias = head.bias_logits(features[:, 4:])
    expected = sum(
        share * F.cross_entropy(logits, y, label_smoothing=0.2)
        for share, logits in ((0.35, head(features)), (0.65, bias))
    )
    torch.testing.assert_close(loss, expected)


def test_reductions_are_those_of_torch(head):
    features, y = torch.tensor(X), torch.tensor(Y)
    weight = torch.tensor(RNG.uniform(size=60))
    none, total, mean = (
        LogitBiasLoss(reduction=name)(features, y, head=head, sample_weight=weight)
        for name in ("none", "sum", "mean")
    )
    assert none.shape == (60,)
    torch.testing.assert_close(none.sum(), total)
    torch.testing.assert_close(total / weight.sum(), mean)
    one_by_one = [
        LogitBiasLoss()(features[i : i + 1], y[i : i + 1], head=head) for i in range(60)
    ]
    torch.testing.assert_close(none, weight * torch.stack(one_by_one))
    with pytest.raises(ValueError, match="reduction must be one of"):
        LogitBiasLoss(reduction="batchmean")


def test_it_needs_a_head_with_a_bias():
    for head in (None, LinearHead(10, 4)):
        with pytest.raises(ValueError, match="head must be a LogitBiasHead"):
            LogitBiasLoss()(torch.tensor(X), torch.tensor(Y), head=head)
    with pytest.raises(ValueError, match="head must be a LogitBiasHead"):
        LogitClassifier(head="linear", loss=LogitBiasLoss, max_epochs=1).fit(X, Y)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "half"])
def test_wrong_share_is_refused(value):
    with pytest.raises(ValueError, match="lambda_merge must be a number from 0 to 1"):
        LogitBiasLoss(value)


def test_net_of_fixed_features_reaches_the_minimum_of_the_estimator():
    shared = {"alpha": 1.0, "normalize": "scale"}
    clf = LogitBiasClassifier(4, l2=0, lambda_merge=0.5, tol=1e-4, **shared)
    clf.set_params(max_iter=1000).fit(X, Y)
    net = LogitClassifier(
        head=LogitBiasHead,
        loss=LogitBiasLoss(0.5),
        head__weight=clf.init_coef_,
        head__scale=clf.scale_,
        head__alpha=1.0,
        head__normalize="scale",
        optimizer=torch.optim.Adam,
        lr=0.3,
        max_epochs=300,
        batch_size=-1,
        dtype="float64",
        random_state=0,
    ).fit(X, Y)
    assert net.history_[-1, "train_loss"] == pytest.approx(clf.loss_, abs=0.01)
    np.testing.assert_array_equal(net.classes_, clf.classes_)
    head = net.head_
    expected = head(torch.tensor(X)).detach().numpy()
    np.testing.assert_allclose(net.decision_function(X), expected, atol=1e-12)
    assert net.score(X, Y) == pytest.approx(clf.score(X, Y), abs=0.05)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_head_and_loss_have_names(n_classes):
    few = n_classes > Y
    rows = np.hstack([X[few, :n_classes], X[few, 4:]])
    net = LogitClassifier(head="logit_bias", loss="logit_bias", random_state=0)
    net.fit(rows, Y[few])
    assert isinstance(net.head_, LogitBiasHead)
    assert isinstance(net.loss_, LogitBiasLoss)
    assert net.predict_proba(rows).shape == (few.sum(), n_classes)


class Encoder(nn.Module):
    """Passes the logits on, and makes features of the rest that are learnt."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 8)

    def forward(self, X):
        return torch.cat([X[:, :4], self.linear(X[:, 4:])], dim=1)


def test_an_encoder_before_the_head_is_trained_with_weights():
    net = LogitClassifier(
        Encoder, head=LogitBiasHead, loss=LogitBiasLoss, max_epochs=2, random_state=0
    )
    net.fit(X, Y, sample_weight=np.ones(60))
    before = net.module_.module.linear.weight.detach().clone()
    net.partial_fit(X, Y, sample_weight=np.arange(60) % 3)
    assert not torch.equal(net.module_.module.linear.weight, before)
    assert net.predict_proba(X).shape == (60, 4)
