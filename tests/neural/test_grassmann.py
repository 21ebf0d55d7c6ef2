"""LogitClassifier with a Grassmann head, and the estimator named after it."""

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from skorch.callbacks import LRScheduler
from skorch.helper import predefined_split
from torch import nn
from torch.nn import functional as F

from sklogit.heads import GrassmannHead
from sklogit.neural import GrassmannNetClassifier, LogitClassifier
from sklogit.optim import GrassmannAdamW, GrassmannSGD, MixedOptimizer

from .common import Hidden


class Normalised(nn.Module):
    def __init__(self, n_hidden=16):
        super().__init__()
        layers = nn.Linear(64, n_hidden), nn.BatchNorm1d(n_hidden), nn.ReLU()
        self.layers = nn.Sequential(*layers)

    def forward(self, X):
        return self.layers(X)


def net_of(**kwargs):
    defaults = {"head": "grassmann", "head__subspace_dim": 4, "random_state": 0}
    return LogitClassifier(Normalised, **defaults | {"max_epochs": 5} | kwargs)


def error(net):
    S = net.head_.subspaces.detach()
    return (S.mT @ S - torch.eye(S.shape[2], dtype=S.dtype)).abs().max().item()


# -- optimisers ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("optimizer", "made"),
    [
        (torch.optim.Adam, MixedOptimizer),
        (torch.optim.AdamW, MixedOptimizer),
        (torch.optim.SGD, GrassmannSGD),
        (GrassmannSGD, GrassmannSGD),
        (GrassmannAdamW, GrassmannAdamW),
    ],
)
def test_no_optimiser_leaves_the_manifold(digits, optimizer, made):
    net = net_of(optimizer=optimizer, max_epochs=3).fit(*digits)
    assert type(net.optimizer_) is made
    assert error(net) < 1e-5
    start = net.history[0, "train_loss"]
    assert net.history[-1, "train_loss"] < start


def test_the_default_gives_adam_the_module_and_its_own_rate_to_the_subspaces(digits):
    net = net_of(lr=0.003, optimizer__grassmann_lr=0.2, optimizer__betas=(0.8, 0.9))
    net.fit(*digits)
    module, head = net.optimizer_.param_groups
    assert (module["lr"], module["betas"]) == (0.003, (0.8, 0.9))
    assert (head["lr"], head["manifold"]) == (0.2, "grassmann")
    assert [p is net.head_.subspaces for p in head["params"]] == [True]


def test_plain_sgd_moves_subspaces_without_momentum_by_its_own_rate(digits):
    net = net_of(optimizer=torch.optim.SGD, lr=0.02).fit(*digits)
    assert [g["lr"] for g in net.optimizer_.param_groups] == [0.02, 0.02]
    assert [g["momentum"] for g in net.optimizer_.param_groups] == [0.0, 0.0]


def test_an_optimiser_that_needs_a_closure_is_refused(digits):
    with pytest.raises(ValueError, match="LBFGS"):
        net_of(optimizer=torch.optim.LBFGS).fit(*digits)


def test_other_heads_keep_the_optimiser_that_was_chosen(digits):
    net = LogitClassifier(Normalised, head="linear", max_epochs=1).fit(*digits)
    assert type(net.optimizer_) is torch.optim.Adam


def test_steps_are_those_of_a_loop_by_hand(digits):
    X, y = digits[0][:200].astype(np.float64), digits[1][:200]
    module, head = Normalised().double(), GrassmannHead(16, 10, 4).double()
    net = LogitClassifier(
        copy.deepcopy(module),
        head=copy.deepcopy(head),
        optimizer=GrassmannAdamW,
        lr=0.01,
        batch_size=-1,
        max_epochs=3,
        dtype="float64",
        batch_policy="sequential",
    ).fit(X, y)
    model = nn.Sequential(module, head)
    optimizer = GrassmannAdamW(model.parameters(), lr=0.01)
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(model(torch.from_numpy(X)), torch.from_numpy(y)).backward()
        optimizer.step()
    torch.testing.assert_close(net.head_.subspaces, head.subspaces, rtol=0, atol=1e-9)


def test_new_rates_of_a_net_that_is_trained_go_where_they_are_meant(digits):
    net = net_of(max_epochs=1).fit(*digits)
    for new, expected in (
        ({"lr": 0.5}, [0.5, 0.05]),
        ({"optimizer__grassmann_lr": 0.7}, [0.5, 0.7]),
    ):
        net.set_params(**new)
        assert [g["lr"] for g in net.optimizer_.param_groups] == expected
        assert not any("grassmann_lr" in g for g in net.optimizer_.param_groups)


def test_schedulers_of_skorch_scale_both_rates(digits):
    scheduler = LRScheduler("ExponentialLR", gamma=0.1)
    net = net_of(callbacks=[("schedule", scheduler)], lr=0.01, max_epochs=2)
    net.fit(*digits)
    rates = [g["lr"] for g in net.optimizer_.param_groups]
    assert rates == pytest.approx([1e-4, 5e-4])


# -- the estimator protocol ------------------------------------------------------------


def test_grid_search_over_the_dimension(digits):
    net = net_of(max_epochs=3)
    grid = {"head__subspace_dim": [1, 4], "head__gamma": [10.0, 25.0]}
    search = GridSearchCV(net, grid, cv=2).fit(*digits)
    assert (search.cv_results_["mean_test_score"] > 0.5).all()
    best = search.best_estimator_.head_
    assert best.subspace_dim == search.best_params_["head__subspace_dim"]


def test_grid_search_over_heads(digits):
    search = GridSearchCV(
        LogitClassifier(Normalised, max_epochs=4, random_state=0),
        {"head": ["linear", "cosine", "grassmann"]},
        cv=2,
    ).fit(*digits)
    assert (search.cv_results_["mean_test_score"] > 0.8).all()


@pytest.mark.parametrize("optimizer", [GrassmannSGD, GrassmannAdamW, torch.optim.Adam])
def test_a_pickled_net_trains_on_as_if_it_had_not_been(digits, optimizer):
    X, y = digits
    net = net_of(optimizer=optimizer, max_epochs=2, batch_policy="sequential")
    net.fit(X, y)
    again = pickle.loads(pickle.dumps(net))
    assert again.head_.subspaces.manifold == "grassmann"
    for one in (net, again):
        one.partial_fit(X, y)
    assert error(again) < 1e-5
    assert torch.equal(net.head_.subspaces, again.head_.subspaces)


def test_a_net_that_is_initialised_again_keeps_its_subspaces_on_the_manifold(digits):
    X, y = digits
    net = net_of(max_epochs=1).fit(X, y)
    net.set_params(head__subspace_dim=2, lr=0.005)
    net.partial_fit(X, y)
    assert net.head_.subspace_dim == 2
    assert error(net) < 1e-5
    other = clone(net).fit(X, y)
    assert type(other.optimizer_) is MixedOptimizer


def test_saved_parameters_are_loaded_into_tagged_ones(digits, tmp_path):
    X, y = digits
    net = net_of(max_epochs=1).fit(X, y)
    files = {
        "f_params": tmp_path / "params.pt",
        "f_optimizer": tmp_path / "optimizer.pt",
    }
    net.save_params(**files)
    other = net_of(max_epochs=1, random_state=1).fit(X, y)
    other.load_params(**files)
    np.testing.assert_array_equal(net.predict_proba(X), other.predict_proba(X))
    other.partial_fit(X, y)
    assert error(other) < 1e-5


def test_weights_of_rows_are_repetitions(digits):
    X, y = digits[0][:60], digits[1][:60]
    weight = np.arange(60) % 3
    options = {"batch_size": -1, "dtype": "float64", "max_epochs": 5}
    weighted = LogitClassifier(Hidden, head="grassmann", random_state=0, **options)
    repeated = clone(weighted)
    weighted.fit(X, y, sample_weight=weight)
    repeated.fit(X.repeat(weight, 0), y.repeat(weight))
    np.testing.assert_allclose(
        weighted.predict_proba(X), repeated.predict_proba(X), atol=1e-8
    )


def test_a_class_without_rows_in_a_batch_is_no_trouble(digits):
    X, y = digits
    order = np.argsort(y, kind="stable")
    net = net_of(batch_policy="sequential", batch_size=64, max_epochs=1)
    net.fit(X[order], y[order])
    assert np.isfinite(net.predict_proba(X)).all()
    assert error(net) < 1e-5


def test_diverging_training_names_lr_and_keeps_the_earlier_fit(digits):
    X, y = digits
    net = net_of(max_epochs=1).fit(X, y)
    before = net.predict_proba(X)
    net.set_params(warm_start=True, optimizer__grassmann_lr=1e12)
    with pytest.raises(ValueError, match="lr=1e"):
        net.fit(X, y)
    np.testing.assert_array_equal(net.predict_proba(X), before)


# -- features --------------------------------------------------------------------------


def test_transform_gives_what_the_head_gets(digits):
    X, y = digits
    net = net_of().fit(X, y)
    found = net.transform(X)
    with torch.no_grad():
        expected = net.module_.module.eval()(torch.from_numpy(X))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    logits = net.head_(torch.from_numpy(found)).detach()
    np.testing.assert_allclose(net.decision_function(X), logits, atol=1e-4)


@pytest.mark.parametrize("head", ["linear", "cosine"])
def test_every_head_has_features_in_front_of_it(digits, head):
    X, y = digits
    net = LogitClassifier(Normalised, head=head, max_epochs=1).fit(X, y)
    assert net.transform(X).shape == (len(X), 16)


def test_features_have_names(digits):
    pytest.importorskip("pandas")
    X, y = digits
    net = net_of(max_epochs=1).fit(X, y).set_output(transform="pandas")
    names = list(net.transform(X[:3]).columns)
    assert names == list(net.get_feature_names_out())
    assert names[:2] == ["logitclassifier0", "logitclassifier1"]
    assert len(names) == 16


def test_features_of_some_classes_serve_a_linear_model_of_others(digits):
    X, y = digits
    seen = y < 5
    net = net_of(module__n_hidden=32, max_epochs=10).fit(X[seen], y[seen])
    probe = make_pipeline(net, LogisticRegression(max_iter=1000))
    probe.steps[0] = ("net", _Frozen(net))
    unseen = np.flatnonzero(~seen)
    probe.fit(X[unseen[::2]], y[unseen[::2]])
    assert probe.score(X[unseen[1::2]], y[unseen[1::2]]) > 0.8


class _Frozen:
    def __init__(self, net):
        self.net = net

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return self.net.transform(X)

    def __sklearn_is_fitted__(self):
        return True


# -- GrassmannNetClassifier ------------------------------------------------------------


def test_the_named_estimator_learns_digits(digits):
    X, y = digits
    net = GrassmannNetClassifier(
        Normalised, module__n_hidden=64, max_epochs=10, random_state=0
    )
    net.fit(X[:1300], y[:1300])
    assert net.score(X[1300:], y[1300:]) > 0.9
    assert net.head_.subspace_dim == 8
    assert type(net.optimizer_) is GrassmannAdamW
    assert net.head_.subspace_angles().shape == (10, 10, 8)


def test_the_named_estimator_is_the_general_one_with_its_defaults(digits):
    X, y = digits
    options = {"max_epochs": 2, "random_state": 0}
    named = GrassmannNetClassifier(Normalised, head__subspace_dim=4, **options)
    general = net_of(optimizer=GrassmannAdamW, lr=0.001, **options)
    np.testing.assert_array_equal(
        named.fit(X, y).predict_proba(X), general.fit(X, y).predict_proba(X)
    )


def test_rows_get_a_constant_so_that_opposite_ones_differ(iris):
    X, y = iris
    with_constant = GrassmannNetClassifier(
        max_epochs=60, random_state=0, optimizer__grassmann_lr=0.1
    ).fit(X, y)
    without = clone(with_constant).set_params(module=None).fit(X, y)
    assert with_constant.transform(X).shape == (150, 5)
    assert (with_constant.transform(X)[:, -1] == 1).all()
    assert with_constant.score(X, y) > without.score(X, y) + 0.1
    np.testing.assert_allclose(
        without.decision_function(X), without.decision_function(-X), atol=1e-4
    )


def test_validation_data_and_history_work_as_in_skorch(digits):
    X, y = digits
    valid = torch.utils.data.TensorDataset(
        torch.from_numpy(X[:100]), torch.from_numpy(y[:100])
    )
    net = net_of(train_split=predefined_split(valid), max_epochs=2)
    net.fit(X[100:], y[100:])
    assert len(net.history[:, "valid_loss"]) == 2


def test_too_many_dimensions_are_told_by_name(digits):
    with pytest.raises(ValueError, match="subspace_dim=16"):
        net_of(head__subspace_dim=16).fit(*digits)
