"""A student with a head for the labels and a head for the teacher."""

import pickle
import sys
import warnings
from subprocess import run

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC
from skorch.callbacks import Callback
from skorch.dataset import ValidSplit
from torch import nn
from torch.nn import functional as F

from sklogit.losses import binary_kl_norm_loss, kd_loss
from sklogit.neural import LogitClassifier

from .common import LOGITS, X, Y, assert_same_weights, full_batch, student, weights

# -- what is minimised ----------------------------------------------------------------


class Backbone(nn.Module):
    """Features that can be computed by hand."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 4)

    def forward(self, X):
        return torch.tanh(self.layer(X))


def steps_by_hand(model, n_steps, loss_of, lr=0.1):
    """Parameters after steps of plain gradient descent, by autograd."""
    backbone = Backbone().double()
    main, aux = nn.Linear(4, 3).double(), nn.Linear(4, 3).double()
    start = model.net_.initial
    for part, name in ((backbone, "module"), (main, "head.main"), (aux, "head.aux")):
        prefix = f"{name}."
        part.load_state_dict(
            {k[len(prefix) :]: v for k, v in start.items() if k.startswith(prefix)}
        )
    params = [p for part in (backbone, main, aux) for p in part.parameters()]
    for _ in range(n_steps):
        h = backbone(torch.from_numpy(X))
        grads = torch.autograd.grad(loss_of(main(h), aux(h)), params, allow_unused=True)
        with torch.no_grad():
            for p, g in zip(params, grads):
                if g is not None:
                    p -= lr * g
    return backbone, main, aux


class KeepStart(Callback):
    def on_train_begin(self, net, **kwargs):
        net.initial = {k: v.clone() for k, v in net.module_.state_dict().items()}


def trained(n_steps=3, **params):
    plain = {"momentum": 0.0, "weight_decay": 0.0, "lr_milestones": (), "lr": 0.1}
    model = full_batch(
        backbone=Backbone, callbacks=[KeepStart()], max_epochs=n_steps, **plain | params
    )
    return model.fit(X, Y, teacher_logits=LOGITS)


def assert_steps_match(model, loss_of):
    backbone, main, aux = steps_by_hand(model, model.n_iter_, loss_of)
    assert_same_weights(model.net_.module_.module, backbone, rtol=1e-8, atol=1e-12)
    assert_same_weights(model.net_.head_.main, main, rtol=1e-8, atol=1e-12)
    assert_same_weights(model.net_.head_.aux, aux, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("monitor", [False, True])
def test_training_minimises_the_weighted_sum_of_both_losses(monitor):
    model = trained(alpha=0.3, gamma=0.7, temperature=3.0, monitor_conflicts=monitor)
    y, t = torch.from_numpy(Y), torch.from_numpy(LOGITS)
    assert_steps_match(
        model,
        lambda z, a: 0.7 * F.cross_entropy(z, y) + 0.3 * binary_kl_norm_loss(a, t, 3.0),
    )


def test_logit_loss_may_be_a_function():
    def square(student, teacher, sample_weight=None):
        return (student - teacher).square().mean()

    model = trained(logit_loss=square)
    y, t = torch.from_numpy(Y), torch.from_numpy(LOGITS)
    assert_steps_match(
        model, lambda z, a: F.cross_entropy(z, y) + (a - t).square().mean()
    )


def test_without_a_second_head_both_losses_are_on_the_main_one():
    model = trained(aux_head=None, logit_loss="kd", temperature=4.0)
    start, t = model.net_.initial, torch.from_numpy(LOGITS)
    backbone, main = Backbone().double(), nn.Linear(4, 3).double()
    backbone.load_state_dict({k[7:]: v for k, v in start.items() if "module" in k})
    main.load_state_dict({k[5:]: v for k, v in start.items() if "head" in k})
    params = [*backbone.parameters(), *main.parameters()]
    for _ in range(3):
        z = main(backbone(torch.from_numpy(X)))
        loss = F.cross_entropy(z, torch.from_numpy(Y)) + kd_loss(z, t, 4.0)
        for p, g in zip(params, torch.autograd.grad(loss, params)):
            p.data -= 0.1 * g
    assert_same_weights(model.module_.module, backbone, rtol=1e-8, atol=1e-12)
    assert_same_weights(model.net_.head_, main, rtol=1e-8, atol=1e-12)


def step_against_the_labels(**params):
    """Gradients of a first step whose teacher says the opposite of the labels."""
    logits = -8 * np.eye(3)[Y]
    plain = {"momentum": 0.0, "weight_decay": 0.0, "lr": 0.1, "max_epochs": 1}
    model = full_batch(
        backbone=Backbone, callbacks=[KeepStart()], random_state=1, **plain | params
    ).fit(X, Y, teacher_logits=logits)
    assert model.history_["conflict_rate"] == [1.0], "the case under test"
    start = model.net_.initial
    return {
        name: (start[name] - value).flatten() / 0.1
        for name, value in model.net_.module_.state_dict().items()
    }


def of_part(gradients, part):
    return torch.cat([g for name, g in gradients.items() if name.startswith(part)])


def test_alignment_takes_out_what_works_against_the_labels():
    alone = step_against_the_labels(alpha=1e-9)  # the labels' gradient
    plain, aligned = (
        step_against_the_labels(gradient_alignment=align) for align in (False, True)
    )
    labels, both = of_part(alone, "module"), of_part(aligned, "module")
    assert (of_part(plain, "module") - labels) @ labels < -1e-4
    assert abs((both - labels) @ labels) < 1e-8
    for head in ("head.main", "head.aux"):
        torch.testing.assert_close(of_part(aligned, head), of_part(plain, head))


def test_alignment_everywhere_scales_the_step_of_the_main_head():
    alone = step_against_the_labels(alpha=1e-9)
    aligned = step_against_the_labels(gradient_alignment=True, alignment_scope="all")
    factors = of_part(aligned, "head.main") / of_part(alone, "head.main")
    assert factors.min() == pytest.approx(factors.max().item(), rel=1e-6)
    assert factors.min() > 1


# -- the ends of the weights ----------------------------------------------------------


@pytest.mark.parametrize("aux_head", ["linear", "mlp"])
def test_alpha_zero_is_plain_training_bit_for_bit(aux_head):
    params = {"max_epochs": 4, "batch_size": 16, "lr": 0.1, "random_state": 3}
    model = student(alpha=0, aux_head=aux_head, lr_milestones=(), **params).fit(X, Y)
    seed = int(np.random.RandomState(3).randint(2**31 - 1))
    plain = LogitClassifier(
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(5, 6), nn.ReLU()),
        optimizer=torch.optim.SGD,
        optimizer__momentum=0.9,
        optimizer__weight_decay=5e-4,
        **params | {"random_state": seed},
    ).fit(X, Y)
    assert_same_weights(model.module_, plain.module_)


def test_alpha_zero_asks_no_teacher():
    def refuse(X):
        raise AssertionError("the teacher was asked")

    model = student(teacher=refuse, alpha=0).fit(X, Y)
    assert model.teacher_ is None
    assert np.isnan(model.history_["logit_loss"]).all()


def test_alpha_zero_does_not_train_the_auxiliary_head():
    model = trained(alpha=0)
    start = model.net_.initial
    for name, value in model.net_.head_.aux.state_dict().items():
        torch.testing.assert_close(value, start[f"head.aux.{name}"], rtol=0, atol=0)


def test_gamma_zero_does_not_train_the_main_head():
    model = trained(gamma=0)
    start, head = model.net_.initial, model.net_.head_
    for name, value in head.main.state_dict().items():
        torch.testing.assert_close(value, start[f"head.main.{name}"], rtol=0, atol=0)
    assert not torch.equal(head.aux.weight, start["head.aux.weight"])


def test_after_distill_until_only_the_labels_count():
    model = trained(n_steps=4, distill_until=2)
    assert np.isfinite(model.history_["logit_loss"]).tolist() == [
        True,
        True,
        False,
        False,
    ]
    assert np.isfinite(model.history_["ce_loss"]).all()
    two = trained(n_steps=2)
    assert_same_weights(model.net_.head_.aux, two.net_.head_.aux)
    ends = [weights(m.net_.head_.main)[0] for m in (model, two)]
    assert not np.allclose(*ends)


def test_learning_rate_falls_at_the_milestones():
    rates = []

    class Keep(Callback):
        def on_batch_begin(self, net, training=False, **kwargs):
            rates.append(net.optimizer_.param_groups[0]["lr"])

    full_batch(
        callbacks=[Keep()], lr=1.0, lr_milestones=(0.3, 0.9), lr_gamma=0.5, max_epochs=5
    ).fit(X, Y, teacher_logits=LOGITS)
    assert rates == [1.0, 1.0, 0.5, 0.5, 0.5]


def test_adam_may_train_it():
    model = student(optimizer="adam", weight_decay=0.125).fit(
        X, Y, teacher_logits=LOGITS
    )
    assert isinstance(model.net_.optimizer_, torch.optim.AdamW)
    assert model.net_.optimizer_.param_groups[0]["weight_decay"] == 0.125


# -- conflicts ------------------------------------------------------------------------


def flat_gradient(loss, module):
    grads = torch.autograd.grad(loss, list(module.parameters()), retain_graph=True)
    return torch.cat([g.flatten() for g in grads])


def test_conflicts_are_those_of_the_gradients():
    found, expected = [], []
    y, t = torch.from_numpy(Y), torch.from_numpy(LOGITS)
    for seed in range(12):
        # A great temperature, with which the losses disagree about half of the time.
        model = trained(n_steps=1, temperature=50.0, random_state=seed)
        backbone, main, aux = steps_by_hand(model, 0, None)
        h = backbone(torch.from_numpy(X))
        entropy, of_aux = (
            F.cross_entropy(main(h), y),
            binary_kl_norm_loss(aux(h), t, 50.0),
        )
        of_main = binary_kl_norm_loss(main(h), t, 50.0)
        shared = [flat_gradient(loss, backbone) for loss in (entropy, of_aux)]
        head = [flat_gradient(loss, main) for loss in (entropy, of_main)]
        expected.append([float(a @ b < 0) for a, b in (shared, head)])
        rates = ("conflict_rate", "head_conflict_rate")
        found.append([model.history_[rate][0] for rate in rates])
    assert found == expected
    assert len({pair[0] for pair in found}) == 2, "both must occur"


@pytest.mark.parametrize(("sign", "rate"), [(1, 0.0), (-1, 1.0)])
def test_a_teacher_of_the_labels_agrees_and_one_against_them_does_not(sign, rate):
    logits = sign * 20 * np.eye(3)[Y]
    model = full_batch(max_epochs=3, aux_head=None).fit(X, Y, teacher_logits=logits)
    assert model.history_["conflict_rate"].tolist() == [rate] * 3
    assert model.history_["head_conflict_rate"].tolist() == [rate] * 3


def test_history_is_of_all_epochs_and_weighs_batches_by_their_rows():
    model = student(batch_size=64, max_epochs=2, lr=1e-12, weight_decay=0.0)
    model.fit(X, Y, teacher_logits=LOGITS)  # with batches of 64 and 26 rows
    logits = model.net_.decision_function(X)
    expected = F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(Y)).item()
    assert model.history_["ce_loss"] == pytest.approx([expected] * 2, rel=1e-5)
    assert {len(v) for v in model.history_.values()} == {model.n_iter_} == {2}


def test_nobody_looks_without_monitoring():
    model = student(monitor_conflicts=False).fit(X, Y, teacher_logits=LOGITS)
    assert np.isnan(model.history_["conflict_rate"]).all()
    assert np.isfinite(model.history_["logit_loss"]).all()


# -- what predicts --------------------------------------------------------------------


@pytest.mark.parametrize("aux_head", ["linear", "mlp"])
def test_the_student_alone_is_backbone_and_main_head(aux_head):
    model = student(aux_head=aux_head).fit(X, Y, teacher_logits=LOGITS)
    assert model.n_params_inference_ == (5 * 6 + 6) + (6 * 3 + 3)
    aux = sum(p.numel() for p in model.net_.head_.aux.parameters())
    assert model.n_params_ == model.n_params_inference_ + aux
    logits = model.module_(torch.from_numpy(X).float()).detach().numpy()
    np.testing.assert_allclose(model.decision_function(X), logits, rtol=1e-6)
    assert not any("aux" in name for name, _ in model.module_.named_parameters())


def test_predict_head_chooses_the_logits():
    models = {
        head: student(predict_head=head).fit(X, Y, teacher_logits=LOGITS)
        for head in ("main", "aux", "average")
    }
    p = {head: model.predict_proba(X) for head, model in models.items()}
    np.testing.assert_allclose(p["average"], (p["main"] + p["aux"]) / 2, rtol=1e-5)
    assert models["average"].n_params_inference_ == models["average"].n_params_
    logits = models["average"].module_(torch.from_numpy(X).float()).exp().detach()
    np.testing.assert_allclose(logits, p["average"], rtol=1e-5)


def test_two_classes_have_one_decision():
    y = Y > 0
    model = student().fit(X, y, teacher_logits=X[:, 0])
    d, p = model.decision_function(X), model.predict_proba(X)
    assert d.shape == (90,)
    np.testing.assert_allclose(p[:, 1], 1 / (1 + np.exp(-d)), rtol=1e-5)
    np.testing.assert_array_equal(model.predict(X), d > 0)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), p, rtol=1e-5)


def test_pickle_and_clone():
    model = student(aux_head="mlp").fit(X, Y, teacher_logits=LOGITS)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(copy.history_["ce_loss"], model.history_["ce_loss"])
    copy.partial_fit(X, Y, teacher_logits=LOGITS)
    assert (copy.n_iter_, model.n_iter_) == (4, 3)
    assert not hasattr(clone(model), "net_")


def test_nothing_is_there_before_fit():
    model = student()
    assert not hasattr(model, "history_")
    assert not hasattr(model, "module_")
    with pytest.raises(NotFittedError):
        model.predict(X)


# -- teachers -------------------------------------------------------------------------


def test_a_fitted_classifier_is_taken_as_it_is():
    teacher = LogisticRegression().fit(X[:40], Y[:40])
    model = student(teacher=teacher).fit(X, Y)
    assert model.teacher_ is teacher
    given = student().fit(X, Y, teacher_logits=teacher.decision_function(X))
    assert_same_weights(model.module_, given.module_, rtol=1e-4, atol=1e-6)


def test_an_unfitted_classifier_is_cloned_and_fitted():
    teacher = LogisticRegression()
    model = student(teacher=teacher).fit(X, Y)
    assert not hasattr(teacher, "coef_")
    np.testing.assert_allclose(model.teacher_.coef_, teacher.fit(X, Y).coef_)


def test_prefit_may_be_said():
    teacher = LogisticRegression().fit(X[:40], Y[:40])
    again = student(teacher=teacher, teacher_prefit=False).fit(X, Y)
    assert not np.allclose(again.teacher_.coef_, teacher.coef_)
    with pytest.raises(NotFittedError, match="FrozenEstimator"):
        student(teacher=LogisticRegression(), teacher_prefit=True).fit(X, Y)


def test_the_default_teacher_is_wider_and_seeded():
    model = student().fit(X, Y)
    assert isinstance(model.teacher_, MLPClassifier)
    assert list(model.teacher_.hidden_layer_sizes) == [24]
    assert_same_weights(model.module_, student().fit(X, Y).module_)


def test_a_module_and_a_function_and_given_logits_are_teachers():
    module = nn.Linear(5, 3).double()

    def logits_of(X):
        return module(torch.from_numpy(X))

    by_module = student(teacher=module).fit(X, Y)
    for teacher in (logits_of, logits_of(X).detach().numpy()):
        model = student(teacher=teacher).fit(X, Y)
        assert_same_weights(model.module_, by_module.module_, rtol=1e-4, atol=1e-6)


def test_a_teacher_gets_the_frame():
    frame = pd.DataFrame(X, columns=list("abcde"))
    teacher = LogisticRegression().fit(frame, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of names that the teacher would miss
        model = student(teacher=teacher).fit(frame, Y)
    assert model.feature_names_in_.tolist() == list("abcde")
    assert model.predict(frame).shape == (90,)


def test_order_of_the_teachers_classes_makes_no_difference():
    plain = student().fit(X, Y, teacher_logits=LOGITS)
    turned = student(teacher_classes=[2, 0, 1])
    turned.fit(X, Y, teacher_logits=LOGITS[:, [2, 0, 1]])
    assert_same_weights(plain.module_, turned.module_)


def test_a_teacher_may_know_more_classes():
    more = np.column_stack([np.full(90, 9.0), LOGITS])
    plain = student().fit(X, Y, teacher_logits=LOGITS)
    model = student(teacher_classes=[7, 0, 1, 2]).fit(X, Y, teacher_logits=more)
    assert_same_weights(plain.module_, model.module_)


def test_labels_may_be_strings():
    names = np.array(["x", "y", "z"])
    plain = student().fit(X, Y, teacher_logits=LOGITS)
    named = student().fit(X, names[Y], teacher_logits=LOGITS)
    np.testing.assert_array_equal(named.predict(X), names[plain.predict(X)])


# -- weights, seeds, search -----------------------------------------------------------


def test_weights_repeat_rows():
    weight = np.random.default_rng(0).integers(0, 3, 90)
    rows = np.repeat(np.arange(90), weight)
    weighted = full_batch().fit(X, Y, weight, teacher_logits=LOGITS)
    repeated = full_batch().fit(X[rows], Y[rows], teacher_logits=LOGITS[rows])
    assert_same_weights(
        weighted.net_.module_, repeated.net_.module_, rtol=1e-9, atol=1e-12
    )


def test_the_seed_decides_all_and_leaves_torch_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = student(batch_size=16).fit(X, Y, teacher_logits=LOGITS)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    again = student(batch_size=16).fit(X, Y, teacher_logits=LOGITS)
    assert_same_weights(first.module_, again.module_)
    other = student(batch_size=16, random_state=1).fit(X, Y, teacher_logits=LOGITS)
    assert not np.allclose(weights(first.module_)[0], weights(other.module_)[0])


def test_partial_fit_trains_an_epoch_and_is_seeded():
    def trained_in_parts():
        model = student(batch_size=16)
        for rows in (slice(0, 50), slice(50, 90), slice(0, 90)):
            model.partial_fit(X[rows], Y[rows], [0, 1, 2], teacher_logits=LOGITS[rows])
        return model

    model = trained_in_parts()
    assert model.n_iter_ == len(model.history_["ce_loss"]) == 3
    assert_same_weights(model.module_, trained_in_parts().module_)


def test_partial_fit_keeps_the_classes_and_a_fitted_default_teacher():
    model = student().partial_fit(X, Y)
    teacher = model.teacher_
    few = Y < 2
    model.partial_fit(X[few], Y[few])
    assert model.teacher_ is teacher
    with pytest.raises(ValueError, match=r"labels \[5\] that are not in"):
        model.partial_fit(X, np.where(Y == 0, 5, Y))
    with pytest.raises(ValueError, match="classes must be those of the first call"):
        model.partial_fit(X, Y, classes=[0, 1])


def test_fit_asks_a_new_default_teacher_each_time():
    model = student().fit(X, Y)
    again = model.fit(X[:, :3], Y + 5)  # which the first teacher does not know
    assert again.teacher_.n_features_in_ == 3
    assert list(again.teacher_.classes_) == [5, 6, 7]
    assert_same_weights(again.module_, student().fit(X[:, :3], Y + 5).module_)


def test_partial_fit_fits_a_teacher_once():
    source = LogisticRegression()
    model = student(teacher=source).partial_fit(X, Y)
    teacher = model.teacher_
    few = Y < 2  # a teacher that is fitted to these does not know all classes
    assert model.partial_fit(X[few], Y[few]).teacher_ is teacher
    model.set_params(teacher=GaussianNB()).partial_fit(X, Y)
    assert isinstance(model.teacher_, GaussianNB)


class Interrupt(Callback):
    def on_batch_end(self, net, **kwargs):
        raise KeyboardInterrupt


def test_an_interrupted_fit_keeps_the_earlier_one():
    model = student().fit(X, Y, teacher_logits=LOGITS)
    before = model.predict_proba(X)
    model.set_params(callbacks=[Interrupt()])
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, teacher_logits=LOGITS)
    np.testing.assert_array_equal(model.predict_proba(X), before)
    model.net_.callbacks_.append(("interrupt", Interrupt()))
    with pytest.raises(KeyboardInterrupt):
        model.partial_fit(X, Y, teacher_logits=LOGITS)
    np.testing.assert_array_equal(model.predict_proba(X), before)
    assert len(model.history_["ce_loss"]) == model.n_iter_ == 3


def test_training_that_diverges_is_an_error():
    with pytest.raises(ValueError, match=r"diverged.*smaller lr than 1e\+30"):
        student(lr=1e30, max_epochs=5).fit(X, Y, teacher_logits=LOGITS)


def test_grid_search_over_what_matters():
    grid = {
        "alpha": [0.0, 0.5],
        "temperature": [2.0, 8.0],
        "gradient_alignment": [False, True],
    }
    teacher = FrozenEstimator(SVC().fit(X, Y))
    search = GridSearchCV(student(teacher=teacher, max_epochs=1), grid, cv=2).fit(X, Y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_grid_search_slices_given_logits():
    search = GridSearchCV(student(max_epochs=1), {"alpha": [0.5]}, cv=2)
    search.fit(X, Y, teacher_logits=LOGITS)
    assert search.best_estimator_.teacher_ is None


def test_weights_are_routed_to_the_teacher():
    weight = np.linspace(0, 1, 90)
    with config_context(enable_metadata_routing=True):
        teacher = LogisticRegression().set_fit_request(sample_weight=True)
        model = student(teacher=teacher).fit(X, Y, sample_weight=weight)
    expected = LogisticRegression().fit(X, Y, weight).coef_
    np.testing.assert_allclose(model.teacher_.coef_, expected)


def test_validation_measures_the_main_head():
    split = ValidSplit(3, stratified=True)
    model = student(train_split=split, max_epochs=2, batch_size=16)
    model.fit(X, Y, teacher_logits=LOGITS)
    history = model.net_.history
    assert np.isfinite(history[:, "valid_loss"]).all()
    assert 0 <= history[-1, "valid_acc"] <= 1


def test_a_batch_of_one_row_trains_the_mlp():
    model = student(aux_head="mlp", batch_size=89).fit(X, Y, teacher_logits=LOGITS)
    assert np.isfinite(model.decision_function(X)).all()


def test_huge_teacher_logits_make_no_nan():
    model = student().fit(X, Y, teacher_logits=1000 * LOGITS)
    assert np.isfinite(model.decision_function(X)).all()
    assert np.isfinite(model.history_["logit_loss"]).all()


def test_columns_of_labels_are_flattened_with_a_warning():
    with pytest.warns(DataConversionWarning):
        model = student().fit(X, Y[:, None], teacher_logits=LOGITS)
    assert model.predict(X).shape == (90,)


def test_a_given_backbone_is_not_changed():
    backbone = nn.Linear(5, 4)
    before = backbone.weight.detach().clone()
    model = student(backbone=backbone).fit(X, Y, teacher_logits=LOGITS)
    assert torch.equal(backbone.weight, before)
    assert not torch.equal(model.module_.module.weight, before)


# -- what is refused, before training -------------------------------------------------


class NeverTrained(Callback):
    def on_train_begin(self, net, **kwargs):
        raise AssertionError("training began")


class NeverFitted(GaussianNB):
    def fit(self, X, y, sample_weight=None):
        raise AssertionError("the teacher was fitted")


NAN = np.where(np.arange(90)[:, None] == 4, np.nan, LOGITS)
REFUSED = {
    "classes": (
        {"teacher": LogisticRegression().fit(X[Y < 2], Y[Y < 2])},
        {},
        r"teacher must know all classes of y, but it lacks \[2\]",
    ),
    "columns": ({}, {"teacher_logits": LOGITS[:, :2]}, r"shape \(90, 3\).*\(90, 2\)"),
    "rows": ({}, {"teacher_logits": LOGITS[:9]}, "as many rows as X, 90, got 9"),
    "nan logits": ({}, {"teacher_logits": NAN}, "1 of 90 rows, the first.*row 4"),
    "all-nan rows": ({"teacher": lambda X: NAN * np.nan}, {}, "90 of 90 rows"),
    "one class": ({}, {"y": np.zeros(90)}, "at least 2 classes"),
    "nan in X": ({}, {"X": X * np.nan}, "contains NaN"),
    "negative weight": ({}, {"sample_weight": -np.ones(90)}, "[Nn]egative"),
    "multilabel": ({}, {"y": np.eye(3, dtype=int)[Y]}, "Multilabel"),
    "temperature": ({"temperature": 0}, {}, "'temperature' parameter"),
    "alpha": ({"alpha": -1}, {}, "'alpha' parameter"),
    "scope": ({"alignment_scope": "heads"}, {}, "'alignment_scope' parameter"),
    "size that is no number": (
        {"hidden_layer_sizes": (True,), "teacher": NeverFitted()},
        {},
        r"hidden_layer_sizes must be integers >= 1, got \(True,\)",
    ),
    "default teacher's size": (
        {"hidden_layer_sizes": (2.5,), "teacher": None},
        {},
        "hidden_layer_sizes must be integers >= 1",
    ),
    "repeated classes": (
        {"teacher": LOGITS, "teacher_classes": [0, 1, 1]},
        {},
        r"different classes, got \[0, 1, 1\]",
    ),
    "sizes": ({"hidden_layer_sizes": (6, 0)}, {}, r"hidden_layer_sizes.*\(6, 0\)"),
    "milestones": ({"lr_milestones": (20,)}, {}, r"lr_milestones.*\(20,\)"),
    "predict_head": (
        {"aux_head": None, "predict_head": "aux"},
        {},
        "predict_head must be 'main' with aux_head=None, got 'aux'",
    ),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_bad_input_is_refused_before_training(case):
    params, data, message = REFUSED[case]
    model = student(callbacks=[NeverTrained()], **params)
    data = {"X": X, "y": Y} | data
    if "teacher" not in params:
        data.setdefault("teacher_logits", LOGITS)
    with pytest.raises(ValueError, match=message):
        model.fit(**data)
    assert not hasattr(model, "net_")


@pytest.mark.parametrize("loss", [lambda a, b: (a - b).square(), lambda a, b: "x"])
def test_a_loss_that_is_no_number_is_refused(loss):
    def logit_loss(a, b, sample_weight=None):
        return loss(a, b)

    with pytest.raises(ValueError, match="logit_loss must return a tensor of one num"):
        student(logit_loss=logit_loss).fit(X, Y, teacher_logits=LOGITS)


def test_what_is_no_teacher_is_refused():
    with pytest.raises(TypeError, match="teacher must be a classifier"):
        student(teacher="svc").fit(X, Y)


def test_images_need_a_teacher():
    with pytest.raises(
        ValueError, match="teacher must be given for X of more than two"
    ):
        student().fit(X.reshape(90, 5, 1), Y)


def test_a_failed_fit_keeps_the_earlier_one():
    model = student().fit(X, Y, teacher_logits=LOGITS)
    before = model.predict_proba(X)
    for call in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match="finite"):
            call(X, Y, teacher_logits=NAN)
        np.testing.assert_array_equal(model.predict_proba(X), before)


def test_import_without_the_extra_names_it():
    code = "import sys; sys.modules['skorch'] = None; import sklogit.distillation"
    found = run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.returncode == 1
    assert "pip install 'sklogit[torch]'" in found.stderr
