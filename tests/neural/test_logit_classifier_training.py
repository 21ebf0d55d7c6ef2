"""Training of LogitClassifier, as skorch users know it."""

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    Freezer,
    LoadInitState,
    LRScheduler,
)
from skorch.dataset import Dataset, ValidSplit
from torch import nn

from sklogit.neural import BatchPolicy, LogitClassifier

from .common import Hidden, full_batch


def test_partial_fit_knows_classes_that_come_later(digits):
    X, y = digits
    net = LogitClassifier(max_epochs=1)
    net.partial_fit(X[y < 5], y[y < 5], classes=np.arange(10))
    for _ in range(10):
        net.partial_fit(X, y)
    assert net.score(X, y) > 0.8
    assert len(net.history) == 11
    with pytest.raises(ValueError, match=r"labels \[10\] that are not in"):
        net.partial_fit(X, y + 1)
    with pytest.raises(ValueError, match=r"classes must be those .* got \[0, 1\]"):
        net.partial_fit(X, y, classes=[0, 1])


def test_partial_fit_of_epochs_is_fit(iris):
    X, y = iris
    whole = full_batch(max_epochs=4).fit(X, y)
    net = full_batch(max_epochs=1).fit(X, y)
    for _ in range(3):
        net.partial_fit(X, y)
    np.testing.assert_allclose(net.predict_proba(X), whole.predict_proba(X))


def test_warm_start_continues(iris):
    X, y = iris
    net = full_batch(warm_start=True, max_epochs=2).fit(X, y)
    first = net.module_
    assert net.fit(X, y).module_ is first
    np.testing.assert_allclose(
        net.predict_proba(X), full_batch(max_epochs=4).fit(X, y).predict_proba(X)
    )


def test_saved_parameters_hold_the_head_too(digits, tmp_path):
    X, y = digits
    net = LogitClassifier(Hidden, max_epochs=3).fit(X, y)
    net.save_params(tmp_path / "params.pt", tmp_path / "optimizer.pt")
    other = LogitClassifier(Hidden, head__in_features=16, classes=np.arange(10))
    other.initialize().load_params(tmp_path / "params.pt", tmp_path / "optimizer.pt")
    np.testing.assert_array_equal(other.predict_proba(X), net.predict_proba(X))


def test_training_resumes_from_a_checkpoint(iris, tmp_path):
    X, y = iris
    whole = full_batch(max_epochs=6).fit(X, y)
    checkpoint = Checkpoint(monitor=None, dirname=tmp_path)
    full_batch(max_epochs=4, callbacks=[checkpoint]).fit(X, y)
    resumed = full_batch(max_epochs=2, callbacks=[LoadInitState(checkpoint)])
    resumed.fit(X, y)
    np.testing.assert_allclose(resumed.predict_proba(X), whole.predict_proba(X))
    assert len(resumed.history) == 6


def test_best_epoch_is_restored_with_its_head(digits):
    X, y = digits
    stop = EarlyStopping(patience=3, load_best=True)
    net = LogitClassifier(
        Hidden,
        lr=0.2,
        max_epochs=30,
        train_split=ValidSplit(5, stratified=True),
        callbacks=[stop],
        random_state=0,
    )
    net.fit(X, y)
    valid = net.get_split_datasets(X, y)[1]
    assert net.log_loss(valid) == pytest.approx(
        min(net.history[:, "valid_loss"]), rel=1e-4
    )


class Pickler(Callback):
    """Pickle the net within the loop, as a checkpoint does."""

    def on_epoch_end(self, net, **kwargs):
        self.pickled_ = pickle.dumps(net)


def test_pickled_net_predicts_and_trains_on(digits):
    X, y = digits
    labels = np.array(list("abcdefghij"))[y]
    net = LogitClassifier(
        Hidden, max_epochs=2, callbacks=[("pickler", Pickler())], random_state=0
    )
    net.fit(X, labels)
    within = pickle.loads(dict(net.callbacks_)["pickler"].pickled_)
    after = pickle.loads(pickle.dumps(net))
    for other in (within, after):
        np.testing.assert_array_equal(other.predict_proba(X), net.predict_proba(X))
        np.testing.assert_array_equal(other.predict(X), net.predict(X))
        torch.manual_seed(0)
        other.partial_fit(X, labels)
    torch.manual_seed(0)
    net.partial_fit(X, labels)
    np.testing.assert_array_equal(after.predict_proba(X), net.predict_proba(X))


def test_scoring_callbacks_see_labels_of_the_loop(digits):
    X, y = digits
    labels = np.array(list("abcdefghij"))
    net = LogitClassifier(
        Hidden,
        max_epochs=5,
        train_split=ValidSplit(5, stratified=True),
        callbacks=[
            EpochScoring("roc_auc_ovr", lower_is_better=False),
            EpochScoring("neg_log_loss", lower_is_better=False, use_caching=False),
            EpochScoring("accuracy", False, name="train_acc", on_train=True),
        ],
    )
    net.fit(X, labels[y])
    assert net.history[-1, "valid_acc"] > 0.8
    assert net.history[-1, "train_acc"] > 0.8
    assert net.history[-1, "roc_auc_ovr"] > 0.9
    assert -net.history[-1, "neg_log_loss"] == pytest.approx(
        net.history[-1, "valid_loss"], rel=1e-3
    )
    assert set(net.predict(X)) <= set(labels)


class NoisyHead(nn.Linear):
    def forward(self, features):
        assert torch.is_grad_enabled() or not self.training
        noise = torch.randn(len(features), 1) if self.training else 0
        return super().forward(features) + noise


def test_scores_of_training_batches_are_those_of_evaluation_mode(digits):
    net = LogitClassifier(
        head=NoisyHead,
        max_epochs=2,
        callbacks=[EpochScoring("accuracy", False, name="train_acc", on_train=True)],
    )
    net.fit(*digits)
    assert net.history[-1, "train_acc"] > 0.5


def test_other_callbacks_find_parameters_by_part(digits):
    X, y = digits
    net = LogitClassifier(
        Hidden,
        max_epochs=3,
        callbacks=[
            Freezer("module.*"),
            LRScheduler(torch.optim.lr_scheduler.ExponentialLR, gamma=0.5),
        ],
        optimizer__param_groups=[("head.*", {"lr": 0.5})],
        random_state=0,
    )
    net.fit(X, y)
    assert [g["lr"] for g in net.optimizer_.param_groups] == [0.0625, 0.00125]
    untrained = clone(net).set_params(max_epochs=0).fit(X, y)
    for name, value in net.module_.state_dict().items():
        unchanged = torch.equal(value, untrained.module_.state_dict()[name])
        assert unchanged == name.startswith("module.")


def test_net_trimmed_for_prediction_still_predicts(digits):
    X, y = digits
    net = LogitClassifier(Hidden, max_epochs=1).fit(X, y)
    before = net.predict_proba(X)
    net.trim_for_prediction()
    trimmed = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(trimmed.predict_proba(X), before)
    np.testing.assert_array_equal(trimmed.predict(X), net.predict(X))


def test_pipeline_and_cross_validation(iris):
    X, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), full_batch())
    assert cross_val_score(pipeline, X, y, error_score="raise").mean() > 0.9


def test_random_state_decides_and_leaves_the_global_generator(digits):
    X, y = digits
    torch.manual_seed(7)
    before = torch.get_rng_state()
    nets = [LogitClassifier(max_epochs=2, random_state=s).fit(X, y) for s in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), before)
    same, again, other = (net.predict_proba(X) for net in nets)
    np.testing.assert_array_equal(same, again)
    assert not np.array_equal(same, other)


@pytest.mark.parametrize("starts_by", ["fit", "partial_fit"])
def test_random_state_decides_a_stream_that_pickling_interrupts(digits, starts_by):
    X, y = digits
    outputs = []
    for seed, random_state in ((1, 0), (2, 0), (3, 1)):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        net = LogitClassifier(Hidden, max_epochs=1, random_state=random_state)
        getattr(net, starts_by)(X, y)
        net = pickle.loads(pickle.dumps(net.partial_fit(X, y)))
        net.partial_fit(X, y)
        assert torch.equal(torch.get_rng_state(), before)
        outputs.append(net.predict_proba(X))
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert abs(outputs[0] - outputs[2]).max() > 0.01


def test_calls_of_a_stream_have_orders_of_their_own(digits):
    X, y = digits
    orders = []

    class Looks(Callback):
        def on_batch_begin(self, net, batch=None, training=False, **kwargs):
            if training:
                orders.append(batch[1].numpy())

    net = LogitClassifier(
        Hidden, max_epochs=1, batch_size=-1, callbacks=[Looks()], random_state=0
    )
    for _ in range(3):
        net.partial_fit(X, y)
    assert not (orders[0] == orders[1]).all()
    assert not (orders[1] == orders[2]).all()


def test_stream_without_random_state_takes_the_global_generator(digits):
    X, y = digits
    outputs = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        net = LogitClassifier(Hidden, max_epochs=1).partial_fit(X, y)
        outputs.append(net.partial_fit(X, y).predict_proba(X))
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert abs(outputs[0] - outputs[2]).max() > 0.01


def test_compiled_parts_compute_the_same(iris):
    X, y = iris
    net = full_batch(
        module=nn.Linear,
        module__in_features=4,
        module__out_features=3,
        compile=True,
        compile__backend="eager",
        max_epochs=3,
    )
    expected = clone(net).set_params(compile=False).fit(X, y)
    np.testing.assert_allclose(
        net.fit(X, y).predict_proba(X), expected.predict_proba(X)
    )
    pickle.loads(pickle.dumps(net)).partial_fit(X, y)


def test_failed_training_leaves_the_net(digits):
    X, y = digits

    class Stops(Callback):
        active = False

        def on_batch_end(self, net, **kwargs):
            if self.active:
                raise RuntimeError("enough")

    stops = Stops()
    net = LogitClassifier(
        Hidden(), callbacks=[stops], warm_start=True, max_epochs=2, random_state=0
    )
    net.fit(X, y)
    before, n_epochs = net.predict_proba(X), len(net.history)
    state = copy.deepcopy(net.optimizer_.state_dict())
    dict(net.callbacks_)["Stops"].active = True
    for method in (net.fit, net.partial_fit):
        with pytest.raises(RuntimeError, match="enough"):
            method(X, y)
        np.testing.assert_array_equal(net.predict_proba(X), before)
        assert len(net.history) == n_epochs
        torch.testing.assert_close(net.optimizer_.state_dict(), state)
    dict(net.callbacks_)["Stops"].active = False
    assert len(net.partial_fit(X, y).history) == n_epochs + 2


class Fails(Callback):
    """Fail after a step, while it is active."""

    active = False

    def on_batch_end(self, net, **kwargs):
        if self.active:
            raise RuntimeError("enough")


class Counts(BatchPolicy):
    """Remember how many batches there were."""

    def __init__(self):
        self.n_batches = 0

    def select(self, net, batch):
        self.n_batches += 1
        return batch


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_failure_puts_back_a_module_instance_and_the_policy(digits, method):
    X, y = digits
    module = nn.Sequential(nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU())
    net = LogitClassifier(
        module, batch_policy=Counts, callbacks=[("fails", Fails())], max_epochs=2
    )
    net.fit(X, y)
    before, n_batches = net.predict_proba(X), net.batch_policy_.n_batches
    state = copy.deepcopy(module.state_dict())
    dict(net.callbacks_)["fails"].active = True
    net.callbacks[0][1].active = True
    with pytest.raises(RuntimeError, match="enough"):
        getattr(net, method)(X, y)
    # The user's own object, not a copy of it, is as it was and is still the net's.
    assert net.module is module
    assert net.module_.module is module
    torch.testing.assert_close(module.state_dict(), state)
    np.testing.assert_array_equal(net.predict_proba(X), before)
    assert net.batch_policy_.n_batches == n_batches
    dict(net.callbacks_)["fails"].active = False
    net.partial_fit(X, y)
    assert not torch.equal(module[0].weight, state["0.weight"])


@pytest.mark.parametrize(
    "optimizer", [torch.optim.Adam, torch.optim.LBFGS, torch.optim.SGD]
)
def test_training_after_a_failure_is_that_without_it(digits, optimizer):
    X, y = digits
    found = []
    for fails in (False, True):
        net = LogitClassifier(
            Hidden,
            optimizer=optimizer,
            lr=0.1,
            batch_size=600,
            batch_policy="sequential",
            callbacks=[("fails", Fails())],
            max_epochs=1,
            random_state=0,
        )
        if optimizer is torch.optim.SGD:
            net.set_params(optimizer__momentum=0.9)
        net.fit(X, y)
        dict(net.callbacks_)["fails"].active = fails
        if fails:
            with pytest.raises(RuntimeError, match="enough"):
                net.partial_fit(X, y)
        dict(net.callbacks_)["fails"].active = False
        found.append(net.partial_fit(X, y).predict_proba(X))
    np.testing.assert_array_equal(*found)


def test_failed_first_fit_leaves_a_lazy_instance_lazy(digits):
    X, y = digits
    module = nn.Sequential(nn.LazyLinear(8), nn.ReLU())
    with pytest.raises(ValueError, match="head must be one of"):
        LogitClassifier(module, head="cubic").fit(X, y)
    net = LogitClassifier(module, max_epochs=1)
    net.fit(X[:, :30], y)
    assert module[0].weight.shape == (8, 30)


def test_refused_data_leave_the_very_parts(digits):
    X, y = digits
    net = LogitClassifier(Hidden, max_epochs=1).fit(X, y)
    module = net.module_
    for method in (net.fit, net.partial_fit):
        with pytest.raises(ValueError, match="NaN"):
            method(np.full_like(X, np.nan), y)
        assert net.module_ is module


def test_net_initialised_by_hand_learns_its_classes(iris):
    X, y = iris
    labels = np.array(list("abc"))[y]
    net = full_batch(module=nn.Linear(4, 3), head=None).initialize()
    assert net.predict_proba(X).shape == (150, 3)
    net.partial_fit(X, labels)
    np.testing.assert_array_equal(net.classes_, list("abc"))
    assert net.n_features_in_ == 4
    assert (net.predict(X) == labels).mean() > 0.9
    pickle.loads(pickle.dumps(net)).partial_fit(X, labels)
    narrow = full_batch(module=nn.Linear(4, 2), head=None).initialize()
    with pytest.raises(ValueError, match="must return 3 logits"):
        narrow.partial_fit(X, labels)


def test_new_optimiser_or_dataset_of_a_fitted_net(digits):
    X, y = digits
    net = LogitClassifier(Hidden, max_epochs=1, random_state=0).fit(X, y)
    before = net.predict_proba(X)
    net.set_params(optimizer=torch.optim.SGD, lr=0.25, dataset=Dataset)
    assert type(net.optimizer_) is torch.optim.SGD
    assert net.optimizer_.param_groups[0]["lr"] == 0.25
    np.testing.assert_array_equal(net.predict_proba(X), before)
    net.partial_fit(X, y)
    assert not np.array_equal(net.predict_proba(X), before)


def test_interrupt_keeps_what_was_learnt_as_in_skorch(digits):
    X, y = digits

    class Interrupts(Callback):
        def on_epoch_end(self, net, **kwargs):
            if len(net.history) == 4:
                raise KeyboardInterrupt

    net = LogitClassifier(max_epochs=10, callbacks=[Interrupts()], random_state=0)
    net.fit(X, y)
    expected = LogitClassifier(max_epochs=4, random_state=0).fit(X, y)
    np.testing.assert_array_equal(net.predict_proba(X), expected.predict_proba(X))


@pytest.mark.parametrize("policy", ["shuffle", "sequential", "stratified"])
def test_a_last_batch_of_one_row_can_be_dropped_for_batch_norm(digits, policy):
    X, y = digits[0][:129], digits[1][:129]
    net = LogitClassifier(
        nn.Sequential(nn.Linear(64, 8), nn.BatchNorm1d(8)),
        batch_policy=policy,
        iterator_train__drop_last=True,
        max_epochs=2,
    )
    net.fit(X, y)
    assert net.history[:, "batches", :, "train_batch_size"] == [[128], [128]]
