"""Nets that train on the rows that a selector keeps."""

import pickle
from itertools import pairwise

import numpy as np
import pytest
import torch
from skorch.callbacks import Freezer
from torch import nn
from torch.utils.data import TensorDataset

from sklogit.batch_selection import FactoredLogits, UtilityDiversitySelector
from sklogit.neural import (
    LogitClassifier,
    OnlineSelection,
    OnlineSelectionClassifier,
)

from .common import Hidden


class Steps(nn.Module):
    """Features that keep the rows of the training steps and count those of others."""

    def __init__(self, n_inputs=64, n_hidden=16):
        super().__init__()
        self.layer = nn.Linear(n_inputs, n_hidden)
        self.norm = nn.BatchNorm1d(n_hidden)
        self.dropout = nn.Dropout()
        self.steps, self.n_looked_at = [], 0

    def forward(self, X):
        if torch.is_grad_enabled():
            assert self.training
            self.steps.append(X.detach().clone())
        else:
            assert not self.training
            self.n_looked_at += len(X)
        return self.dropout(torch.relu(self.norm(self.layer(X))))


def selecting(module=Steps, **kwargs):
    defaults = {"batch_size": 100, "max_epochs": 2, "random_state": 0}
    return OnlineSelectionClassifier(module, **defaults | kwargs)


def weights(net):
    return np.concatenate(
        [p.detach().numpy().ravel() for p in net.module_.parameters()]
    )


def test_full_budget_is_training_without_selection(digits):
    plain = LogitClassifier(Steps, batch_size=100, max_epochs=2, random_state=0)
    plain.fit(*digits)
    net = selecting(batch_policy__budget=1.0).fit(*digits)
    assert net.history[:, "train_loss"] == plain.history[:, "train_loss"]
    np.testing.assert_array_equal(weights(net), weights(plain))
    assert net.history[-1, "batches", 0, "n_selected"] == 100


@pytest.mark.parametrize(("budget", "n_kept"), [(0.25, 25), (0.301, 31), (7, 7)])
def test_each_step_has_the_rows_of_the_budget(digits, budget, n_kept):
    net = selecting(batch_policy__budget=budget).fit(*digits)
    steps = net.module_.module.steps
    assert [len(step) for step in steps[:17]] == [n_kept] * 17
    batches = net.history[-1, "batches", :, ("n_candidates", "n_selected")]
    assert batches[:17] == [(100, n_kept)] * 17
    assert batches[17][0] == 97
    times = net.history[-1, "batches", :, "selection_time"]
    assert all(0 < time < 60 for time in times)
    selector = net.batch_policy_.selector_
    assert selector.n_seen_ == 2 * len(digits[1])
    assert selector.n_selected_ == sum(map(len, steps))


@pytest.mark.parametrize("one", [1, np.int64(1)])
def test_budget_of_one_row_is_no_share(digits, one):
    net = selecting(Hidden, batch_policy__budget=one, max_epochs=1).fit(*digits)
    assert net.history[-1, "batches", 0, "n_selected"] == 1


def test_rows_are_those_of_the_greatest_scores_in_their_order(digits):
    X, y = (values[:100] for values in digits)
    rule = UtilityDiversitySelector(10, alpha=0, utility="loss", random_state=0)
    net = selecting(
        batch_policy=OnlineSelection(rule), max_epochs=1, iterator_train__shuffle=False
    )
    net.fit(X, y)
    start = selecting(max_epochs=0).fit(X, y)
    loss = nn.functional.cross_entropy(
        torch.from_numpy(start.decision_function(X)),
        torch.from_numpy(y),
        reduction="none",
    )
    rows = loss.topk(10).indices.sort().values
    np.testing.assert_array_equal(net.module_.module.steps[0], X[rows])
    assert not hasattr(rule, "n_steps_")


def test_choice_at_random_needs_no_forward_pass(digits):
    net = selecting(batch_policy__utility="random", batch_policy__alpha=0.0)
    module = net.fit(*digits).module_.module
    assert [len(step) for step in module.steps[:3]] == [25, 25, 25]
    assert module.n_looked_at == 2  # by the look at the shape of features


def test_candidates_leave_no_trace_in_the_net(digits):
    # In evaluation mode: neither batch norm nor dropout know of them.
    net = selecting(max_epochs=1, lr=0.0).fit(*digits)
    norm = net.module_.module.norm
    assert int(norm.num_batches_tracked) == 18
    assert net.module_.module.n_looked_at >= len(digits[1])


def test_rows_with_one_target_are_chosen_by_their_loss(digits):
    net = selecting(max_epochs=1).fit(*digits)
    selector = net.batch_policy_.selector_
    assert (selector.utility, selector.normalize) == ("loss", "zscore")
    net.set_params(batch_policy__utility="nuclear").fit(*digits)
    selector = net.batch_policy_.selector_
    assert (selector.utility, selector.normalize) == ("nuclear", None)


def test_random_state_of_the_net_decides_all(digits):
    X, y = digits
    first, second, other = (
        selecting(random_state=seed, batch_policy__utility="random").fit(X, y)
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(weights(first), weights(second))
    assert abs(weights(first) - weights(other)).max() > 0.01


def test_partial_fit_and_pickles_remember_and_fit_forgets(digits):
    X, y = digits
    net = selecting().fit(X, y)
    copy = pickle.loads(pickle.dumps(net))
    for one in (net, copy):
        one.partial_fit(X, y)
    np.testing.assert_array_equal(weights(net), weights(copy))
    assert net.batch_policy_.selector_.n_steps_ == 4 * 18
    assert net.fit(X, y).batch_policy_.selector_.n_steps_ == 2 * 18


class FailsLater(Steps):
    def forward(self, X):
        if len(self.steps) == 50:
            raise RuntimeError("no more memory")
        return super().forward(X)


def test_failure_leaves_the_selector_as_it_was(digits):
    net = selecting(FailsLater).fit(*digits)
    before = net.batch_policy_.selector_.buffer_.numpy().copy()
    with pytest.raises(RuntimeError, match="no more memory"):
        net.partial_fit(*digits)
    selector = net.batch_policy_.selector_
    assert selector.n_steps_ == 2 * 18
    np.testing.assert_array_equal(selector.buffer_, before)


def test_weights_go_with_their_rows(digits):
    X, y = digits
    weight = (np.arange(len(y)) % 2).astype(float)
    net = selecting(max_epochs=1).fit(X, y, sample_weight=weight)
    kept = torch.cat(net.module_.module.steps).numpy()
    heavy = {row.tobytes() for row in X[weight > 0]}
    assert all(row.tobytes() in heavy for row in kept)


def test_dicts_of_data(digits):
    class Sum(Hidden):
        def forward(self, first, second):
            return super().forward(first + second)

    X, y = digits
    net = selecting(Sum).fit({"first": X, "second": 0 * X}, y)
    plain = selecting(Hidden).fit(X, y)
    np.testing.assert_array_equal(weights(net), weights(plain))


def test_candidates_in_half_precision(digits):
    net = selecting(Hidden, batch_policy__autocast=torch.bfloat16, max_epochs=10)
    assert net.fit(*digits).score(*digits) > 0.9


def test_is_a_policy_of_any_net(digits):
    net = LogitClassifier(
        batch_policy=OnlineSelection, batch_policy__budget=0.5, random_state=0
    )
    assert net.fit(*digits).score(*digits) > 0.9


# -- sequences -------------------------------------------------------------------------


class Embedded(nn.Module):
    def __init__(self, n_tokens=40, width=5):
        super().__init__()
        self.table = nn.Embedding(n_tokens, width)
        self.mix = nn.Linear(width, width)

    def forward(self, X):
        return torch.tanh(self.mix(self.table(X)))


@pytest.fixture(scope="module")
def sequences():
    rng = np.random.default_rng(0)
    tokens = torch.from_numpy(rng.integers(40, size=(60, 13)))
    targets = tokens[:, 1:].clone()
    targets[::3, 8:] = -100
    return TensorDataset(tokens[:, :-1], targets)


def language_net(**kwargs):
    defaults = {"classes": range(40), "batch_size": 20, "dtype": "float64"}
    return selecting(Embedded, **defaults | kwargs)


def test_sequences_are_chosen_by_positions_that_have_targets(sequences):
    net = language_net(max_epochs=1, lr=0.0, batch_policy__random_state=0)
    net.set_params(iterator_train__shuffle=False).fit(sequences)
    rule = UtilityDiversitySelector(random_state=0)
    X, y = sequences.tensors
    net.module_.eval()
    for start in range(0, 60, 20):
        rows = slice(start, start + 20)
        with torch.no_grad():
            logits = net.infer_logits(X[rows])
        kept = rule.select(logits, mask=y[rows] != -100)
        assert len(kept) == 5
    torch.testing.assert_close(
        net.batch_policy_.selector_.last_scores_, rule.last_scores_
    )


@pytest.mark.parametrize("trained", [True, False])
def test_linear_heads_need_no_logits(sequences, monkeypatch, trained):
    seen, select = [], UtilityDiversitySelector.select

    def spy(self, logits, *args, **kwargs):
        seen.append(logits)
        return select(self, logits, *args, **kwargs)

    monkeypatch.setattr(UtilityDiversitySelector, "select", spy)
    callbacks = [] if trained else [Freezer("head.*")]
    language_net(callbacks=callbacks).fit(sequences)
    assert [type(logits) for logits in seen] == [FactoredLogits] * 6
    # The factor is made anew only if the head has changed.
    held = [one.factor is other.factor for one, other in pairwise(seen)]
    held += [one.projected[1] is other.projected[1] for one, other in pairwise(seen)]
    assert not any(held) if trained else all(held)


def test_factor_of_a_trained_head_is_not_held_though_its_version_says_so(sequences):
    class ThroughData(torch.optim.SGD):
        @torch.no_grad()
        def step(self, closure=None):
            with torch.enable_grad():
                loss = closure()
            for parameter in self.param_groups[0]["params"]:
                parameter.data.sub_(parameter.grad, alpha=0.5)
            return loss

    kwargs = {"max_epochs": 1, "batch_policy__alpha": 0.0}
    kwargs |= {"iterator_train__shuffle": False}
    net = language_net(optimizer=ThroughData, **kwargs).fit(sequences)
    plain = language_net(optimizer=torch.optim.SGD, lr=0.5, **kwargs).fit(sequences)
    scores, expected = (n.batch_policy_.selector_.last_scores_ for n in (net, plain))
    torch.testing.assert_close(scores, expected)


def test_factored_and_dense_logits_train_the_same_net(sequences, monkeypatch):
    factored = language_net(max_epochs=4).fit(sequences)
    monkeypatch.setattr(OnlineSelection, "_pays_factored", lambda *args: False)
    dense = language_net(max_epochs=4).fit(sequences)
    np.testing.assert_allclose(weights(factored), weights(dense))


def test_loss_of_sequences_needs_their_logits(sequences):
    net = language_net(batch_policy__utility="loss").fit(sequences)
    assert net.batch_policy_.selector_.n_selected_ == 2 * 3 * 5


@pytest.mark.parametrize("alpha", [0.0, 100.0])
def test_rows_without_a_target_are_not_chosen(digits, alpha):
    X, y = digits
    y = torch.from_numpy(np.where(np.arange(len(y)) % 2, y, -100))
    net = selecting(classes=range(10), max_epochs=1, batch_policy__alpha=alpha)
    net.fit(TensorDataset(torch.from_numpy(X), y))
    kept = torch.cat(net.module_.module.steps).numpy()
    without = {row.tobytes() for row in X[::2]}
    assert not any(row.tobytes() in without for row in kept)


def test_loss_says_which_targets_are_ignored(sequences):
    X, y = sequences.tensors
    other = TensorDataset(X, torch.where(y == -100, 39, y))
    net = language_net(loss__ignore_index=39, max_epochs=1, lr=0.0)
    plain = language_net(max_epochs=1, lr=0.0)
    net.fit(other)
    plain.fit(TensorDataset(X, torch.where(other.tensors[1] == 39, -100, y)))
    for name in ("last_scores_", "utility_"):
        first, second = (n.batch_policy_.selector_ for n in (net, plain))
        torch.testing.assert_close(getattr(first, name), getattr(second, name))


def test_positions_of_images_are_positions():
    class Pixels(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 5)

        def forward(self, X):
            return torch.tanh(self.layer(X))

    rng = np.random.default_rng(0)
    X = torch.from_numpy(rng.standard_normal((40, 3, 4, 2))).float()
    y = torch.from_numpy(rng.integers(3, size=(40, 3, 4)))
    net = selecting(Pixels, classes=range(3), batch_size=20, lr=0.0)
    selector = net.fit(TensorDataset(X, y)).batch_policy_.selector_
    assert selector.n_selected_ == 2 * 2 * 5
    assert selector.buffer_.shape[1] == 8 * 3


# -- bad input -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"budget": 0.0}, ValueError, "budget"),
        ({"bugdet": 0.5}, ValueError, "bugdet"),
        ({"selector": "uds"}, TypeError, "selector must be a Utility"),
        ({"autocast": "half"}, TypeError, "autocast must be a torch.dtype"),
    ],
)
def test_wrong_parameters_are_refused_before_training(
    digits, parameters, error, message
):
    with pytest.raises(error, match=message):
        OnlineSelection(**parameters)
    given = {f"batch_policy__{name}": value for name, value in parameters.items()}
    with pytest.raises(error, match=message):
        selecting(**given).fit(*digits)


def test_logits_that_become_infinite_are_refused(digits):
    with pytest.raises(ValueError, match="logits must be finite"):
        selecting(Hidden, optimizer=torch.optim.SGD, lr=1e30).fit(*digits)
