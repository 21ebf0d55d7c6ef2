"""Nets trained for a metric: skorch's and scikit-learn's ways of using them."""

import copy
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.metrics import f1_score, recall_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import EpochScoring
from skorch.dataset import Dataset, ValidSplit
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from sklogit.losses import AnyLoss
from sklogit.metrics import get_confusion_metric
from sklogit.neural import (
    AnyLossNetBinaryClassifier,
    StratifiedBatches,
    StratifiedDataLoader,
)
from sklogit.neural._stratified import labels_of


class Hidden(nn.Module):
    def __init__(self, n_inputs=3, n_hidden=8, flat=False):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_inputs, n_hidden), nn.Tanh(), nn.Linear(n_hidden, 1)
        )
        self.flat = flat

    def forward(self, X):
        return self.layers(X).squeeze(1) if self.flat else self.layers(X)


@pytest.fixture(scope="module")
def rare():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1000, 3)).astype(np.float32)
    return X, (X[:, 0] + 0.5 * rng.standard_normal(1000) > 1.6).astype(int)


@pytest.fixture(scope="module")
def outliers(rare):
    """Some of the rare class far on the wrong side."""
    X, y = rare[0].copy(), rare[1].copy()
    X[:10, 0], y[:10] = -8.0, 1
    return X, y


def full_batch(**kwargs):
    defaults = {"batch_size": -1, "lr": 0.1, "max_epochs": 30, "random_state": 0}
    return AnyLossNetBinaryClassifier(**{**defaults, **kwargs})


# -- what it trains for ----------------------------------------------------------------


def test_full_batch_training_is_the_plain_loop_of_torch(rare):
    X, y = rare
    net = full_batch(max_epochs=0).fit(X, y)
    module = copy.deepcopy(net.module_)
    net.set_params(max_epochs=5)
    net.partial_fit(X, y)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        AnyLoss("f1")(module(torch.tensor(X)), torch.tensor(y)).backward()
        optimizer.step()
    expected = module(torch.tensor(X)).detach().numpy()[:, 0]
    np.testing.assert_allclose(net.decision_function(X), expected, rtol=1e-4, atol=1e-5)


def test_trains_for_the_metric_that_is_asked_for(outliers):
    X, y = outliers
    entropy = full_batch(criterion=nn.BCEWithLogitsLoss).fit(X, y)
    for metric in ("f1", "gmean", "mcc"):
        score = get_confusion_metric(metric).score
        net = full_batch(criterion__metric=metric).fit(X, y)
        assert score(y, net.predict(X)) > score(y, entropy.predict(X)) + 0.02


def test_loss_of_the_history_is_one_minus_the_metric(rare):
    X, y = rare
    net = full_batch(max_epochs=1).fit(X, y)
    start = full_batch(max_epochs=0).fit(X, y)
    a = 1 / (1 + np.exp(-start.decision_function(X)))
    soft_f1 = 2 * a[y == 1].sum() / (a.sum() + y.sum())
    assert net.history[0, "train_loss"] == pytest.approx(1 - soft_f1, rel=1e-5)


def test_grid_search_over_beta_trades_precision_for_recall(rare):
    X, y = rare
    search = GridSearchCV(
        make_pipeline(StandardScaler(), full_batch(criterion__metric="fbeta")),
        {"anylossnetbinaryclassifier__criterion__beta": [0.1, 10.0]},
        scoring="recall",
        cv=2,
        n_jobs=2,
    )
    search.fit(X, y)
    recalls = search.cv_results_["mean_test_score"]
    assert recalls[1] > recalls[0] + 0.1
    assert search.best_estimator_[-1].criterion_.beta == 10.0


@pytest.mark.parametrize("flat", [False, True])
def test_own_module_with_logits_of_either_shape(rare, flat):
    X, y = rare
    net = full_batch(module=Hidden, module__flat=flat, max_epochs=60).fit(X, y)
    assert net.decision_function(X).shape == (len(X),)
    assert f1_score(y, net.predict(X)) > 0.6


def test_warm_up_minimises_the_cross_entropy(rare):
    X, y = rare
    warm = full_batch(warmup=5, max_epochs=5).fit(X, y)
    entropy = full_batch(criterion=nn.BCEWithLogitsLoss, max_epochs=5).fit(X, y)
    np.testing.assert_allclose(
        warm.decision_function(X), entropy.decision_function(X), rtol=1e-4, atol=1e-5
    )
    # After it the loss is the metric's; further epochs do not warm up again.
    assert warm.history[-1, "train_loss"] < 1
    warm.set_params(max_epochs=1)
    warm.partial_fit(X, y)
    a = 1 / (1 + np.exp(-entropy.decision_function(X)))
    soft_f1 = 2 * a[y == 1].sum() / (a.sum() + y.sum())
    assert warm.history[-1, "train_loss"] == pytest.approx(1 - soft_f1, rel=1e-4)


# -- outputs ---------------------------------------------------------------------------


def test_outputs_agree(rare):
    X, y = rare
    net = full_batch().fit(X, y)
    z, p = net.decision_function(X), net.predict_proba(X)
    np.testing.assert_allclose(p[:, 1], 1 / (1 + np.exp(-z)), rtol=1e-5)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(net.predict(X), z > 0)
    net.set_params(threshold=0.9)
    np.testing.assert_array_equal(net.predict(X), p[:, 1] > 0.9)


@pytest.mark.parametrize(
    "labels", [np.array(["no", "yes"]), np.array([False, True]), np.array([-1, 1])]
)
def test_labels_of_any_kind(rare, labels):
    X, y = rare
    net = full_batch().fit(X, labels[y])
    expected = full_batch().fit(X, y)
    np.testing.assert_array_equal(net.classes_, labels)
    np.testing.assert_array_equal(net.predict(X), labels[expected.predict(X)])


def test_positive_label_is_the_last_of_classes(rare):
    X, y = rare
    names = np.array(["other", "hit"])[y]  # the greater one is the frequent one
    net = full_batch(classes=["other", "hit"]).fit(X, names)
    expected = full_batch().fit(X, y)
    np.testing.assert_array_equal(
        net.decision_function(X), expected.decision_function(X)
    )
    np.testing.assert_array_equal(net.predict(X) == "hit", expected.predict(X) == 1)


def test_data_frame_and_doubles(rare):
    X, y = rare
    frame = pd.DataFrame(X.astype(float), columns=["a", "b", "c"])
    net = full_batch().fit(frame, y)
    assert list(net.feature_names_in_) == ["a", "b", "c"]
    expected = full_batch().fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(net.predict_proba(frame), expected)


def test_dataset_of_torch_holds_zero_and_one(rare):
    X, y = rare
    data = TensorDataset(torch.tensor(X), torch.tensor(y))
    net = full_batch(module__in_features=3).fit(data, None)
    np.testing.assert_array_equal(net.classes_, [0, 1])
    expected = full_batch().fit(X, y)
    np.testing.assert_allclose(
        net.decision_function(X), expected.decision_function(X), rtol=1e-3, atol=1e-4
    )


# -- weights ---------------------------------------------------------------------------


def test_weights_are_repeated_rows(rare):
    X, y = rare[0][:200], rare[1][:200]
    weight = np.random.default_rng(0).integers(0, 3, 200)
    for kwargs in ({}, {"warmup": 30}):
        net = full_batch(**kwargs).fit(X, y, sample_weight=weight)
        repeated = full_batch(**kwargs).fit(X.repeat(weight, 0), y.repeat(weight))
        np.testing.assert_allclose(
            net.decision_function(X),
            repeated.decision_function(X),
            rtol=1e-3,
            atol=1e-4,
        )


def test_weights_reach_their_rows_in_batches_and_validation(rare):
    X, y = rare
    # Rows of weight zero have another label: nothing may be learnt from them.
    order = np.random.default_rng(0).permutation(2 * len(y))
    both = np.concatenate([X, X])[order]
    wrong = np.concatenate([y, 1 - y])[order]
    weight = np.repeat([1.0, 0.0], len(y))[order]
    seen = []

    class Loss(AnyLoss):
        def forward(self, logits, target, sample_weight=None):
            seen.append((self.training, target.clone(), sample_weight.clone()))
            return super().forward(logits, target, sample_weight)

    net = AnyLossNetBinaryClassifier(
        criterion=Loss,
        batch_size=500,
        lr=0.1,
        max_epochs=20,
        train_split=ValidSplit(4, stratified=True),
        random_state=0,
    )
    net.fit(both, wrong, sample_weight=weight)
    assert {training for training, *_ in seen} == {False, True}
    assert f1_score(y, net.predict(X)) > 0.6
    assert "valid_loss" in net.history[-1]
    positive_weight = sum(w[t == 1].sum() for training, t, w in seen)
    assert positive_weight == 20 * y.sum()


def test_weight_may_stand_in_a_dict(rare):
    X, y = rare
    weight = np.linspace(0, 1, len(y)).astype(np.float32)
    expected = full_batch().fit(X, y, sample_weight=weight)
    net = full_batch(module__in_features=3)
    net.fit({"X": X, "sample_weight": weight}, y)
    np.testing.assert_array_equal(
        net.decision_function({"X": X}), expected.decision_function(X)
    )
    data = Dataset({"X": X, "sample_weight": weight}, y)
    net.fit(data, None)
    np.testing.assert_allclose(
        net.decision_function(X), expected.decision_function(X), rtol=1e-3, atol=1e-4
    )


def test_module_of_two_inputs_takes_weights_too(rare):
    X, y = rare

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 1)

        def forward(self, left, right):
            return self.layer(torch.cat([left, right], dim=1))

    net = full_batch(module=Two, max_epochs=60)
    parts = {"left": X[:, :1], "right": X[:, 1:]}
    net.fit(parts, y, sample_weight=np.ones(len(y)))
    assert f1_score(y, net.predict(parts)) > 0.6


def test_weights_are_routed(rare):
    X, y = rare
    weight = np.where(y == 1, 1.0, 0.01)
    with sklearn.config_context(enable_metadata_routing=True):
        net = full_batch().set_fit_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipeline = make_pipeline(scaler, net)
        pipeline.fit(X, y, sample_weight=weight)
    unweighted = make_pipeline(StandardScaler(), full_batch()).fit(X, y)
    heavy, plain = pipeline.predict(X), unweighted.predict(X)
    assert recall_score(y, heavy) > recall_score(y, plain)


# -- batches ---------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 7, 16, 64, 1000])
@pytest.mark.parametrize("n_rare", [1, 3, 20, 137, 250])
def test_each_batch_has_its_share(n_rare, batch_size):
    labels = np.r_[np.ones(n_rare), np.zeros(500 - n_rare)]
    batches = StratifiedBatches(labels, batch_size)
    for _ in range(3):
        found = list(batches)
        assert len(found) == len(batches)
        assert sorted(row for rows in found for row in rows) == list(range(500))
        for rows in found[:-1]:
            share = batch_size * n_rare / 500
            assert np.floor(share) <= labels[rows].sum() <= np.ceil(share)


def test_batches_of_three_classes():
    labels = np.repeat(["a", "b", "c"], [30, 270, 100])
    for rows in StratifiedBatches(labels, 40):
        names, sizes = np.unique(labels[rows], return_counts=True)
        assert list(names) == ["a", "b", "c"]
        np.testing.assert_allclose(sizes, [3, 27, 10], atol=1)


def test_order_of_batches_is_random_and_seeded():
    labels = np.arange(100) % 10 == 0
    passes = [
        [rows for _ in range(2) for rows in StratifiedBatches(labels, 10, generator=g)]
        for g in (torch.Generator().manual_seed(seed) for seed in (0, 0, 1))
    ]
    assert passes[0] == passes[1] != passes[2]
    assert passes[0][:10] != passes[0][10:]
    fixed = StratifiedBatches(labels, 10, shuffle=False)
    assert list(fixed) == list(fixed)


def test_every_row_can_be_in_every_batch():
    # Also the rare ones, and together with any other.
    labels = np.arange(12) % 4 == 0
    torch.manual_seed(0)
    batches = StratifiedBatches(labels, 4)
    pairs = {
        (rows[i], rows[j])
        for _ in range(400)
        for rows in batches
        for i, j in [(0, 1), (1, 2), (2, 3), (0, 3)]
    }
    assert {a for a, _ in pairs} == set(range(12))
    frequent = [p for p in pairs if not labels[list(p)].any()]
    assert len(frequent) == 9 * 8


def test_smaller_last_batch_can_be_dropped():
    batches = StratifiedBatches(np.arange(25) % 2, 10, drop_last=True)
    assert [len(rows) for rows in batches] == [10, 10]
    assert len(batches) == 2


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, None])
def test_wrong_batch_size(batch_size):
    with pytest.raises(ValueError, match="batch_size must be an integer >= 1"):
        StratifiedBatches([0, 1], batch_size)


def test_labels_of_any_data_set(rare):
    X, y = rare

    class Pairs(torch.utils.data.Dataset):
        def __len__(self):
            return len(y)

        def __getitem__(self, i):
            return X[i], y[i]

    subset = torch.utils.data.Subset(Dataset(X, y), range(10, 30))
    tensors = TensorDataset(torch.tensor(X), torch.tensor(y))
    for data in (Pairs(), Dataset(X, y), tensors):
        np.testing.assert_array_equal(labels_of(data), y)
    np.testing.assert_array_equal(labels_of(subset), y[10:30])

    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter([])

    with pytest.raises(TypeError, match="iterator_train=DataLoader"):
        StratifiedDataLoader(Stream())


def test_small_batches_are_warned_of(rare):
    X, y = rare
    net = AnyLossNetBinaryClassifier(batch_size=32, max_epochs=1, random_state=0)
    share = y.mean()
    with pytest.warns(UserWarning, match=rf"let batch_size be {int(5 / share) + 1} or"):
        net.fit(X, y)
    for kwargs in (
        {"criterion__momentum": 0.99},
        {"batch_size": int(5 / share) + 1},
        {"batch_size": -1},
        {"criterion": nn.BCEWithLogitsLoss},
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            clone(net).set_params(**kwargs).fit(X, y)


def test_plain_loader_can_be_chosen(rare):
    X, y = rare
    net = AnyLossNetBinaryClassifier(
        iterator_train=DataLoader,
        iterator_train__shuffle=True,
        batch_size=200,
        lr=0.05,
        random_state=0,
    )
    assert f1_score(y, net.fit(X, y).predict(X)) > 0.6


def test_momentum_starts_anew_with_each_fit(rare):
    X, y = rare
    loss = AnyLoss("f1", momentum=0.9)
    net = AnyLossNetBinaryClassifier(criterion=loss, max_epochs=3, random_state=0)
    first = net.fit(X, y).decision_function(X)
    np.testing.assert_array_equal(net.fit(X, y).decision_function(X), first)


# -- skorch's and scikit-learn's ways --------------------------------------------------


def test_pickled_net_predicts_and_trains_on(rare):
    X, y = rare
    net = full_batch(criterion__momentum=0.5).fit(X, y)
    other = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(net.predict_proba(X), other.predict_proba(X))
    for each in (net, other):
        each.partial_fit(X, y)
    np.testing.assert_allclose(
        net.predict_proba(X), other.predict_proba(X), rtol=1e-4, atol=1e-6
    )


def test_checkpoint_holds_the_running_counts(rare, tmp_path):
    X, y = rare
    path = tmp_path / "criterion.pt"
    net = full_batch(criterion__momentum=0.9).fit(X, y)
    net.save_params(f_criterion=path)
    other = full_batch(criterion__momentum=0.9, max_epochs=0).fit(X, y)
    other.load_params(f_criterion=path)
    torch.testing.assert_close(
        other.criterion_.running_counts, net.criterion_.running_counts
    )


def test_scoring_callbacks_see_labels_of_the_loop(rare):
    X, y = rare
    net = full_batch(
        train_split=ValidSplit(4, stratified=True),
        callbacks=[
            EpochScoring("f1", lower_is_better=False),
            EpochScoring("roc_auc", lower_is_better=False),
        ],
    )
    net.fit(X, np.array(["no", "yes"])[y])
    assert net.history[-1, "f1"] > 0.5
    assert net.history[-1, "roc_auc"] > 0.7
    assert set(net.predict(X)) == {"no", "yes"}


def test_failed_fit_leaves_the_net(rare):
    X, y = rare
    net = full_batch().fit(X, y)
    before = net.predict_proba(X)
    net.set_params(criterion__metric="gmean")

    def broken(tn, fp, fn, tp):
        return np.nan

    net.criterion__metric = broken
    with pytest.raises(ValueError, match="'broken'"):
        net.fit(X, y)
    np.testing.assert_array_equal(net.predict_proba(X), before)


def test_more_or_fewer_than_two_classes_are_refused(rare):
    X, y = rare
    with pytest.raises(ValueError, match="only one class"):
        full_batch().fit(X, np.zeros(len(X)))
    with pytest.raises(ValueError, match="Only binary classification is supported"):
        full_batch().fit(X, np.arange(len(X)) % 3)
    net = full_batch(max_epochs=1).fit(X, y)
    with pytest.raises(ValueError, match="labels"):
        net.partial_fit(X, y + 1)


@pytest.mark.parametrize(
    ("weight", "message"),
    [(-1.0, "[Nn]egative"), (np.nan, "NaN"), (0.0, "non-zero")],
)
def test_wrong_weights(rare, weight, message):
    X, y = rare
    with pytest.raises(ValueError, match=message):
        full_batch().fit(X, y, sample_weight=np.full(len(y), weight))


def test_unknown_metric_is_named(rare):
    with pytest.raises(ValueError, match="metric must be one of"):
        full_batch(criterion__metric="f3").fit(*rare)
