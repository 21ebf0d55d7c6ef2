"""Nets trained by target surrogates: skorch's and scikit-learn's ways of using them."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import EpochScoring, GradientNormClipping, LRScheduler
from torch import nn

from sklogit.linear_model import expensive_oracle
from sklogit.neural import SurrogateNetClassifier, SurrogateNetRegressor


class Hidden(nn.Module):
    def __init__(self, n_inputs=64, n_hidden=16, n_outputs=10):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_inputs, n_hidden), nn.ReLU(), nn.Linear(n_hidden, n_outputs)
        )

    def forward(self, X):
        return self.layers(X)


def cross_entropy(z, y):
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    rows = np.arange(len(y))
    loss = -np.log(p[rows, y]).mean()
    p[rows, y] -= 1
    return loss, p / len(y)


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X / 16, y


def test_one_oracle_call_a_batch_is_recorded(digits):
    X, y = digits
    net = SurrogateNetClassifier(Hidden, max_epochs=3, batch_size=300, random_state=0)
    net.fit(X, y)
    assert net.history[:, "n_oracle_calls"] == [6, 12, 18]
    assert net.optimizer_.n_inner_steps > 6 * 3


def test_fewer_calls_than_gradient_descent(digits):
    X, y = digits
    scores = {}
    for steps in (1, 20):
        net = SurrogateNetClassifier(
            Hidden,
            max_epochs=10,
            batch_size=-1,
            optimizer__inner_steps=steps,
            random_state=0,
        )
        scores[steps] = net.fit(X, y).score(X, y)
    assert scores[20] > scores[1] + 0.1


def test_user_oracle_gives_what_the_criterion_gives(digits):
    X, y = digits
    nets = [
        SurrogateNetClassifier(oracle=oracle, max_epochs=2, random_state=0).fit(X, y)
        for oracle in (None, cross_entropy)
    ]
    probabilities = [net.predict_proba(X) for net in nets]
    np.testing.assert_allclose(*probabilities, atol=1e-3)


def test_oracle_gets_class_indices_of_string_labels():
    X, y = load_iris(return_X_y=True)
    names = np.array(["c", "a", "b"])[y]
    seen = []

    def oracle(z, labels):
        seen.append((z.shape, set(labels.tolist())))
        return cross_entropy(z, labels)

    net = SurrogateNetClassifier(
        oracle=oracle, batch_size=-1, max_epochs=5, random_state=0
    )
    net.fit(X, names)
    assert seen == [((150, 3), {0, 1, 2})] * 5
    assert set(net.predict(X)) <= {"a", "b", "c"}


def test_budget_ends_training_and_keeps_what_was_learnt(digits):
    X, y = digits
    net = SurrogateNetClassifier(
        batch_size=-1, optimizer__max_oracle_calls=4, random_state=0
    )
    with pytest.warns(ConvergenceWarning, match="max_oracle_calls=4"):
        net.fit(X, y)
    assert net.optimizer_.n_oracle_calls == 4
    four = SurrogateNetClassifier(batch_size=-1, max_epochs=4, random_state=0)
    np.testing.assert_allclose(net.predict_proba(X), four.fit(X, y).predict_proba(X))


def test_budget_of_the_oracle_itself_ends_training_too(digits):
    X, y = digits
    oracle = expensive_oracle(cross_entropy, max_oracle_calls=3)
    net = SurrogateNetClassifier(oracle=oracle, batch_size=-1, random_state=0)
    with pytest.warns(ConvergenceWarning, match="max_oracle_calls=3"):
        net.fit(X, y)
    assert oracle.n_calls == 3


def test_grid_search_over_parameters_of_the_optimiser(digits):
    X, y = digits
    search = GridSearchCV(
        make_pipeline(
            StandardScaler(), SurrogateNetClassifier(max_epochs=2, random_state=0)
        ),
        {
            "surrogatenetclassifier__optimizer__inner_steps": [1, 10],
            "surrogatenetclassifier__optimizer__eta": [0.01, 4.0],
        },
        cv=2,
        n_jobs=2,
    )
    search.fit(X[:400], y[:400])
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_params_["surrogatenetclassifier__optimizer__inner_steps"] == 10


def test_checkpoint_goes_on_identically(digits, tmp_path):
    X, y = digits
    files = {
        "f_params": tmp_path / "params.pt",
        "f_optimizer": tmp_path / "optimizer.pt",
        "f_history": tmp_path / "history.json",
    }

    def make():
        return SurrogateNetClassifier(
            batch_size=-1,
            max_epochs=3,
            lr=0.05,
            optimizer__inner_optimizer="adam",
            optimizer__reset_inner=False,
            iterator_train__shuffle=False,
            random_state=0,
        )

    net = make().fit(X, y)
    net.save_params(**files)
    net.partial_fit(X, y)
    other = make()
    other.partial_fit(X[:20], y[:20])
    other.load_params(**files)
    other.partial_fit(X, y)
    assert other.optimizer_.n_oracle_calls == net.optimizer_.n_oracle_calls == 6
    np.testing.assert_array_equal(other.predict_proba(X), net.predict_proba(X))


def test_pickled_net_predicts_and_trains_on(digits):
    X, y = digits
    net = SurrogateNetClassifier(
        max_epochs=1, batch_size=-1, iterator_train__shuffle=False, random_state=0
    ).fit(X, y)
    other = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(net.predict(X), other.predict(X))
    for each in (net, other):
        each.partial_fit(X, y)
    np.testing.assert_array_equal(net.predict_proba(X), other.predict_proba(X))


def test_callbacks_see_the_training(digits):
    X, y = digits
    scoring = EpochScoring("accuracy", on_train=True, name="train_acc")
    net = SurrogateNetClassifier(max_epochs=3, callbacks=[scoring], random_state=0)
    net.fit(X, y)
    assert len(net.history[:, "train_acc"]) == 3
    assert net.history[-1, "train_acc"] > 0.5


def test_callbacks_clip_the_gradient_of_every_inner_step(digits):
    X, y = digits
    net = SurrogateNetClassifier(
        max_epochs=1,
        batch_size=-1,
        lr=1.0,
        optimizer__inner_optimizer="sgd",
        optimizer__inner_steps=4,
        callbacks=[GradientNormClipping(1e-3)],
        random_state=0,
    )
    net.fit(X, y)
    after = net.module_.weight.detach().clone()
    start = SurrogateNetClassifier(max_epochs=0, random_state=0).fit(X, y)
    # Four steps of norm 1e-3 each.
    assert 0 < (after - start.module_.weight).norm() <= 4.001e-3


def test_learning_rate_scheduler_of_skorch(digits):
    X, y = digits
    net = SurrogateNetClassifier(
        max_epochs=3,
        batch_size=-1,
        lr=0.8,
        callbacks=[LRScheduler("StepLR", step_size=1, gamma=0.5)],
        random_state=0,
    ).fit(X, y)
    assert net.optimizer_.param_groups[0]["lr"] == pytest.approx(0.1)


def test_adaptive_rule_pays_once_for_what_it_accepts(digits):
    X, y = digits
    net = SurrogateNetClassifier(
        max_epochs=5,
        batch_size=-1,
        iterator_train__shuffle=False,
        optimizer__step_rule="adaptive",
        optimizer__eta=0.01,
        random_state=0,
    ).fit(X, y)
    assert net.optimizer_.n_oracle_calls == 5 + 1


def test_interrupted_training_keeps_what_was_learnt(digits):
    X, y = digits
    calls = []

    def oracle(z, labels):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return cross_entropy(z, labels)

    net = SurrogateNetClassifier(oracle=oracle, batch_size=-1, random_state=0)
    three = SurrogateNetClassifier(batch_size=-1, max_epochs=3, random_state=0)
    np.testing.assert_allclose(
        net.fit(X, y).predict_proba(X), three.fit(X, y).predict_proba(X), atol=1e-3
    )


def test_regressor_takes_an_oracle():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((100, 3))
    y = X @ [1.0, -2.0, 0.5] + 1.0

    def squared(z, target):
        assert z.shape == target.shape == (100, 1)
        return ((z - target) ** 2).mean(), 2 * (z - target) / len(z)

    net = SurrogateNetRegressor(
        oracle=squared, batch_size=-1, max_epochs=30, random_state=0
    )
    np.testing.assert_allclose(net.fit(X, y).predict(X), y, atol=1e-2)


def test_data_frame_of_doubles_is_what_its_array_is(digits):
    X, y = digits
    net = SurrogateNetClassifier(max_epochs=1, random_state=0)
    frame = pd.DataFrame(X).add_prefix("pixel")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        of_frame = net.fit(frame, y).predict_proba(frame)
    assert list(net.feature_names_in_) == list(frame.columns)
    np.testing.assert_array_equal(of_frame, net.fit(X, y).predict_proba(X))


def test_other_optimisers_are_refused(digits):
    with pytest.raises(TypeError, match="inner_optimizer"):
        SurrogateNetClassifier(optimizer=torch.optim.Adam).fit(*digits)


def test_failed_fit_leaves_the_net(digits):
    X, y = digits
    net = SurrogateNetClassifier(max_epochs=1, random_state=0).fit(X, y)
    before = net.predict_proba(X)
    net.set_params(oracle=lambda z, y: (np.nan, np.zeros_like(z)))
    with pytest.raises(ValueError, match="finite"):
        net.partial_fit(X, y)
    np.testing.assert_array_equal(net.predict_proba(X), before)


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_linear_regression_is_that_of_least_squares(n_outputs):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 4))
    Y = X @ rng.standard_normal((4, n_outputs)) + 0.1 * rng.standard_normal((300, 1))
    Y = Y.ravel() if n_outputs == 1 else Y
    net = SurrogateNetRegressor(
        batch_size=-1, max_epochs=30, optimizer__inner_steps=30, random_state=0
    ).fit(X, Y)
    expected = LinearRegression().fit(X, Y).predict(X)
    assert net.predict(X).shape == Y.shape
    np.testing.assert_allclose(net.predict(X), expected, atol=1e-3)


def test_own_module_takes_data_of_any_shape():
    torch.manual_seed(0)
    X = np.random.default_rng(0).standard_normal((60, 4, 5)).astype(np.float32)
    y = (X[:, 0].sum(axis=1) > 0).astype(int)
    net = SurrogateNetClassifier(
        nn.Sequential(nn.Flatten(), nn.Linear(20, 2)), max_epochs=10, random_state=0
    )
    assert net.fit(X, y).score(X, y) > 0.9


def test_one_class_and_unknown_labels_are_refused(digits):
    X, y = digits
    with pytest.raises(ValueError, match="only one class"):
        SurrogateNetClassifier().fit(X, np.zeros(len(X)))
    net = SurrogateNetClassifier(max_epochs=1).fit(X[y < 5], y[y < 5])
    with pytest.raises(ValueError, match="labels"):
        net.partial_fit(X, y)


def test_oracle_is_named_in_its_errors(digits):
    def remote_scorer(z, y):
        return 1.0, z[:, :1]

    with pytest.raises(ValueError, match="oracle remote_scorer must have the shape"):
        SurrogateNetClassifier(oracle=remote_scorer).fit(*digits)
    with pytest.raises(TypeError, match="oracle must be a callable or None, got int"):
        SurrogateNetClassifier(oracle=3).fit(*digits)


def test_parameters_of_the_optimiser_set_later_take_effect(digits):
    net = SurrogateNetClassifier(max_epochs=1, batch_size=-1, random_state=0)
    net.fit(*digits).set_params(optimizer__inner_steps=3).partial_fit(*digits)
    assert net.optimizer_.n_inner_steps == 10 + 3
