"""LogitClassifier: any module, head, loss and batch policy."""

import copy

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from skorch.dataset import ValidSplit
from torch import nn
from torch.nn import functional as F

from sklogit.heads import CosineHead, LinearHead
from sklogit.neural import LogitClassifier

from .common import CodeHead, Hidden, Ridge, full_batch

# -- what it minimises -----------------------------------------------------------------


def test_full_batch_training_is_the_plain_loop_of_torch(iris):
    X, y = iris
    net = full_batch(module=nn.Linear, module__in_features=4, module__out_features=6)
    net.set_params(max_epochs=0).fit(X, y)
    model = copy.deepcopy(net.module_)
    net.set_params(max_epochs=5).partial_fit(X, y)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        F.cross_entropy(model(torch.tensor(X)), torch.tensor(y)).backward()
        optimizer.step()
    expected = model(torch.tensor(X)).detach().numpy()
    np.testing.assert_allclose(net.decision_function(X), expected, rtol=1e-10)


def test_without_a_module_it_is_multinomial_logistic_regression(iris):
    X, y = iris
    net = full_batch(
        optimizer=torch.optim.LBFGS,
        optimizer__line_search_fn="strong_wolfe",
        optimizer__max_iter=500,
        optimizer__tolerance_change=1e-12,
        lr=1,
        max_epochs=3,
        loss=Ridge,
    )
    net.fit(X, y)
    expected = LogisticRegression(C=1 / (150 * 0.02), tol=1e-10, max_iter=1000)
    np.testing.assert_allclose(
        net.predict_proba(X), expected.fit(X, y).predict_proba(X), atol=1e-5
    )


def test_history_holds_the_loss(iris):
    X, y = iris
    net = full_batch(max_epochs=2, train_split=ValidSplit(5, stratified=True))
    net.fit(X, y)
    train, valid = net.get_split_datasets(X, y)
    assert net.history[-1, "valid_loss"] == pytest.approx(
        log_loss(y[valid.indices], net.predict_proba(X[valid.indices])), rel=1e-6
    )
    assert len(train) == 120
    assert net.history[1, "train_loss"] < net.history[0, "train_loss"]


# -- parts -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        ("linear", LinearHead),
        ("cosine", CosineHead),
        (LinearHead, LinearHead),
        (nn.Linear, nn.Linear),
        (LinearHead(16, 10, bias=False), LinearHead),
    ],
)
def test_head_by_name_class_or_instance_gets_the_sizes_of_the_data(digits, head, kind):
    X, y = digits
    net = LogitClassifier(Hidden, head=head, max_epochs=10, random_state=0).fit(X, y)
    assert type(net.head_) is kind
    assert net.head_ is net.module_.head
    assert net.head_.weight.shape == (10, 16)
    assert net.score(X, y) > 0.9


def test_parameters_of_parts(digits):
    X, y = digits
    net = LogitClassifier(
        Hidden,
        head__bias=False,
        loss__label_smoothing=0.1,
        module__n_hidden=5,
        max_epochs=1,
    )
    net.fit(X, y)
    assert net.head_.weight.shape == (10, 5)
    assert net.head_.bias is None
    assert net.loss_.label_smoothing == 0.1
    assert net.criterion_ is net.loss_


def test_module_may_return_logits_itself(digits):
    X, y = digits
    module = nn.Sequential(nn.Linear(64, 10))
    net = LogitClassifier(module, head=None, max_epochs=20, random_state=0).fit(X, y)
    assert net.score(X, y) > 0.9
    np.testing.assert_allclose(
        net.decision_function(X[:5]),
        module(torch.tensor(X[:5])).detach().numpy(),
        rtol=1e-5,
    )


def test_model_is_a_plain_module_from_inputs_to_logits(digits):
    X, y = digits
    net = LogitClassifier(Hidden, max_epochs=1).fit(X, y)
    logits = net.module_(torch.tensor(X)).detach().numpy()
    np.testing.assert_allclose(net.decision_function(X), logits, rtol=1e-4, atol=1e-5)


def test_forward_of_skorch_gives_features(digits):
    X, y = digits
    net = LogitClassifier(Hidden, max_epochs=1).fit(X, y)
    assert net.forward(X).shape == (len(X), 16)


def test_lazy_modules_become_real_before_the_optimiser_sees_them(digits):
    X, y = digits
    module = nn.Sequential(nn.LazyLinear(12), nn.ReLU())
    net = LogitClassifier(module, max_epochs=10, random_state=0).fit(X, y)
    assert net.module_.module[0].weight.shape == (12, 64)
    assert net.score(X, y) > 0.85


def test_looking_at_the_module_changes_neither_its_statistics_nor_the_data(digits):
    X, y = digits
    module = nn.Sequential(nn.BatchNorm1d(64), nn.Dropout(0.5))
    net = LogitClassifier(module, max_epochs=0).fit(X, y)
    assert net.module_.module[0].num_batches_tracked == 0
    assert net.head_.in_features == 64


def test_head_gets_the_counts_of_the_classes_that_it_asks_for(iris):
    X, y = iris
    net = full_batch(head=CodeHead, max_epochs=1).fit(X[:120], y[:120])
    np.testing.assert_array_equal(net.head_.class_counts, [50, 50, 20])
    net.fit(X, y, sample_weight=np.full(150, 0.5))
    np.testing.assert_array_equal(net.head_.class_counts, [25, 25, 25])


# -- search over parts -----------------------------------------------------------------


def test_grid_search_over_all_parts_with_two_jobs(digits):
    X, y = digits
    grid = {
        "head": ["linear", CosineHead, LinearHead(16, 10)],
        "loss": ["cross_entropy", nn.CrossEntropyLoss(label_smoothing=0.1)],
        "batch_policy": ["shuffle", "stratified"],
    }
    net = LogitClassifier(Hidden, max_epochs=8, random_state=0)
    search = GridSearchCV(net, grid, cv=2, n_jobs=2, error_score="raise").fit(X, y)
    assert (search.cv_results_["mean_test_score"] > 0.8).all()
    assert search.best_estimator_.score(X, y) > 0.9


def test_grid_search_over_parameters_of_parts(digits):
    X, y = digits
    grid = {
        "head__bias": [True, False],
        "loss__label_smoothing": [0.0, 0.1],
        "batch_policy__drop_last": [True, False],
        "module__n_hidden": [1, 16],
    }
    net = LogitClassifier(Hidden, max_epochs=5, random_state=0)
    search = GridSearchCV(net, grid, cv=2, error_score="raise").fit(X, y)
    assert search.best_params_["module__n_hidden"] == 16
    assert search.best_estimator_.head_.in_features == 16


def test_clone_of_a_fitted_net_keeps_parts_and_forgets_the_fit(digits):
    head = LinearHead(16, 10)
    net = LogitClassifier(Hidden, head=head, loss__label_smoothing=0.1, max_epochs=1)
    net.fit(*digits)
    copied = clone(net)
    assert not copied.initialized_
    assert copied.loss__label_smoothing == 0.1
    assert isinstance(copied.head, LinearHead)
    assert copied.head is not head


def test_new_parts_of_a_fitted_net_are_made_at_once(digits):
    X, y = digits
    torch.manual_seed(0)
    net = LogitClassifier(Hidden, max_epochs=1).fit(X, y)
    net.set_params(module__n_hidden=7)
    assert net.head_.weight.shape == (10, 7)
    net.set_params(head="cosine")
    assert isinstance(net.head_, CosineHead)
    net.set_params(head__scale=3.0)
    assert net.head_.log_scale.exp().item() == pytest.approx(3)
    net.set_params(loss=nn.CrossEntropyLoss(label_smoothing=0.2))
    assert net.loss_.label_smoothing == 0.2
    net.set_params(loss__label_smoothing=0.3)
    assert net.loss_.label_smoothing == 0.3
    net.set_params(batch_policy="stratified", iterator_train__drop_last=True)
    net.set_params(iterator_valid__batch_size=7)
    net.set_params(max_epochs=30).partial_fit(X, y)
    assert net.score(X, y) > 0.7


# -- errors ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"head": "cubic"}, ValueError, r"head must be one of \['cosine'"),
        ({"loss": "hinge"}, ValueError, r"loss must be one of \['anyloss'"),
        ({"batch_policy": "best"}, ValueError, r"batch_policy must be one of"),
        ({"batch_policy": 3}, TypeError, "batch_policy must be a name"),
        ({"dtype": "float16"}, ValueError, r"dtype must be one of .*'float16'"),
        ({"loss": dict}, TypeError, "loss must make a torch.nn.Module, got dict"),
        ({"head": nn.Linear(3, 5)}, ValueError, r"return 3 logits .*\(2, 5\)"),
        ({"head": None, "module": nn.Linear(4, 2)}, ValueError, "return 3 logits"),
        ({"head": None, "head__bias": False}, ValueError, "head__bias needs a head"),
        ({"module__width": 3}, ValueError, "module__width needs a module"),
        ({"module": nn.Flatten(0)}, ValueError, "module must return features"),
        ({"module": nn.Linear(5, 2)}, ValueError, "module cannot be run"),
        ({"loss": nn.CrossEntropyLoss(reduction="none")}, ValueError, "one number"),
        ({"haed__bias": True}, ValueError, "unexpected argument"),
        ({"module": "Words"}, TypeError, "module must be a class.* got 'Words'"),
        ({"head": 3}, TypeError, "head must be a class.* got 3"),
        ({"head": dict}, TypeError, "head must make a torch.nn.Module, got dict"),
        ({"loss": 3}, TypeError, "loss must be a class.* got 3"),
        ({"optimizer": "adam"}, TypeError, "optimizer must be a class.* got 'adam'"),
        ({"max_epochs": -1}, ValueError, "max_epochs must be an integer >= 0, got -1"),
        ({"max_epochs": 2.0}, ValueError, "max_epochs must be an integer"),
        ({"batch_size": 0}, ValueError, "batch_size must be an integer >= 1, or -1"),
        ({"batch_size": -2}, ValueError, "batch_size must be an integer >= 1, or -1"),
        ({"classes": [0, 1, 1, 2]}, ValueError, "classes must be different labels"),
        ({"classes": 3}, ValueError, "classes must be different labels, got 3"),
    ],
)
def test_parts_that_do_not_fit_are_named(iris, kwargs, error, message):
    kwargs = {"module": nn.Linear(4, 3)} | kwargs
    if "module__width" in kwargs:
        kwargs["module"] = None
    with pytest.raises(error, match=message):
        full_batch(**kwargs).fit(*iris)


@pytest.mark.parametrize(
    ("name", "new"),
    [
        ("criterion", "loss"),
        ("criterion__label_smoothing", "loss__label_smoothing"),
        ("iterator_train", "batch_policy"),
    ],
)
def test_names_of_skorch_point_to_ours(name, new):
    with pytest.raises(TypeError, match=f"{name} is called {new} here"):
        LogitClassifier(**{name: 1})
    with pytest.raises(TypeError, match=f"{name} is called {new} here"):
        LogitClassifier().set_params(**{name: 1})


def test_initialize_without_data_asks_for_the_sizes():
    with pytest.raises(ValueError, match="head__in_features is unknown: pass it"):
        LogitClassifier(Hidden).initialize()
    with pytest.raises(ValueError, match="head__num_classes is unknown: pass it"):
        LogitClassifier(Hidden, head__in_features=16).initialize()
