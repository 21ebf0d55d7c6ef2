"""AnyLoss of torch, against autograd, scikit-learn and the linear classifier."""

import copy
import math
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.special import expit
from sklearn import metrics as skm
from torch import nn
from torch.nn import functional as F

from sklogit.linear_model._anyloss_objective import (
    BinaryObjective,
    MeanOverClasses,
    MulticlassObjective,
)
from sklogit.linear_model._anyloss_objective import multiclass_soft as numpy_soft
from sklogit.linear_model._rows import Rows
from sklogit.losses import AnyLoss
from sklogit.losses._metric_slopes import of_tensors, values_and_slopes
from sklogit.metrics import (
    ConfusionMetric,
    amplify,
    confusion_metric_names,
    cost_metric,
    get_confusion_metric,
)

AMPLIFIERS = [("logit", 1.0), ("logit", 3.0), ("probability", 1.0), ("probability", 73)]


def logits_and_labels(n=40, seed=0, dtype=torch.float64, n_classes=None):
    generator = torch.Generator().manual_seed(seed)
    shape = (n,) if n_classes is None else (n, n_classes)
    logits = 2 * torch.randn(shape, generator=generator, dtype=dtype)
    y = torch.randint(n_classes or 2, (n,), generator=generator)
    return logits.requires_grad_(), y


def loss_and_gradient(loss, logits, *args):
    value = loss(logits, *args)
    (gradient,) = torch.autograd.grad(value, logits)
    return value.detach(), gradient


def naive(metric, logits, y, weight=None, amplifier="logit", L=1.0):
    """The formula, left to autograd."""
    p = torch.sigmoid(logits)
    a = torch.sigmoid(L * (logits if amplifier == "logit" else p - 0.5))
    s = torch.ones_like(a) if weight is None else weight
    counts = [(s * row).sum() for row in ((1 - y) * (1 - a), (1 - y) * a)]
    counts += [(s * row).sum() for row in (y * (1 - a), y * a)]
    return 1 - get_confusion_metric(metric, 2.0).function(*counts)


def naive_multiclass(metric, logits, y, amplifier="logit", L=1.0, share=None):
    a = torch.softmax(L * logits if amplifier == "logit" else logits, dim=1)
    if amplifier == "probability":
        a = torch.sigmoid(L * (a - 0.5))
    Y = F.one_hot(y, logits.shape[1]).to(a)
    losses = []
    for k in range(logits.shape[1]):
        y_k, a_k = Y[:, k], a[:, k]
        rows = ((1 - y_k) * (1 - a_k), (1 - y_k) * a_k, y_k * (1 - a_k), y_k * a_k)
        losses.append(
            1 - get_confusion_metric(metric).function(*(r.sum() for r in rows))
        )
    losses = torch.stack(losses)
    return losses.mean() if share is None else (share * losses).sum()


# -- value and gradient ----------------------------------------------------------------


@pytest.mark.parametrize(("amplifier", "L"), AMPLIFIERS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("metric", confusion_metric_names())
def test_loss_and_gradient_are_those_of_autograd(metric, weighted, amplifier, L):
    logits, y = logits_and_labels()
    weight = torch.linspace(0, 3, len(y), dtype=torch.float64) if weighted else None
    loss = AnyLoss(metric, beta=2.0, amplifier=amplifier, L=L)
    found = loss_and_gradient(loss, logits, y, weight)
    expected = loss_and_gradient(
        lambda z: naive(metric, z, y, weight, amplifier, L), logits
    )
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("amplifier", "L"), AMPLIFIERS)
@pytest.mark.parametrize("metric", ["f1", "mcc", "gmean", "kappa", "balanced_accuracy"])
def test_multiclass_is_the_mean_of_one_against_the_others(metric, amplifier, L):
    logits, y = logits_and_labels(60, n_classes=4)
    loss = AnyLoss(metric, amplifier=amplifier, L=L)
    found = loss_and_gradient(loss, logits, y)
    expected = loss_and_gradient(
        lambda z: naive_multiclass(metric, z, y, amplifier, L), logits
    )
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_weighted_average_has_the_shares_of_the_classes():
    logits, y = logits_and_labels(60, n_classes=3)
    share = torch.bincount(y, minlength=3) / len(y)
    found = loss_and_gradient(AnyLoss("f1", average="weighted"), logits, y)
    expected = loss_and_gradient(
        lambda z: naive_multiclass("f1", z, y, share=share), logits
    )
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("n_classes", [None, 3])
def test_linear_classifier_has_the_same_objective(n_classes):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 3))
    y = rng.integers(n_classes or 2, size=50)
    weight = rng.uniform(0.1, 2, 50)
    W, b = rng.standard_normal((n_classes or 1, 3)), rng.standard_normal(n_classes or 1)
    metric = get_confusion_metric("mcc")
    if n_classes is None:
        rows = Rows(X, y == 1, weight)
        objective = BinaryObjective(rows, metric, amplify, 0.0, W, True)
    else:
        rows = Rows(X, y, weight)
        share = np.full(3, 1 / 3)
        objective = MulticlassObjective(
            rows,
            metric,
            lambda z: numpy_soft(z, "logit", 1.0),
            *(0.0, W, True),
            of_matrix=MeanOverClasses(metric, np.bincount(y, weight), share),
        )
    value, gradient = objective(objective.join(W, b))
    weights = torch.tensor(W, requires_grad=True)
    intercepts = torch.tensor(b, requires_grad=True)
    loss = AnyLoss("mcc")(
        torch.tensor(X) @ weights.T + intercepts, torch.tensor(y), torch.tensor(weight)
    )
    loss.backward()
    assert loss.item() == pytest.approx(value, rel=1e-12)
    found = torch.column_stack([weights.grad, intercepts.grad]).ravel()
    np.testing.assert_allclose(found, gradient, rtol=1e-10, atol=1e-14)


REFERENCES = {
    "accuracy": skm.accuracy_score,
    "balanced_accuracy": skm.balanced_accuracy_score,
    "f1": skm.f1_score,
    "f2": lambda y, p: skm.fbeta_score(y, p, beta=2),
    "jaccard": skm.jaccard_score,
    "matthews_corrcoef": skm.matthews_corrcoef,
    "cohen_kappa": skm.cohen_kappa_score,
    "precision": skm.precision_score,
    "recall": skm.recall_score,
    "fowlkes_mallows": lambda y, p: math.sqrt(
        skm.precision_score(y, p) * skm.recall_score(y, p)
    ),
}


@pytest.mark.parametrize("amplifier", ["logit", "probability"])
@pytest.mark.parametrize("metric", REFERENCES)
def test_steep_limit_is_the_metric_of_scikit_learn(metric, amplifier):
    logits, y = logits_and_labels(200)
    loss = AnyLoss(metric, amplifier=amplifier, L=1e9)(logits, y)
    expected = 1 - REFERENCES[metric](y, logits.detach() > 0)
    assert loss.item() == pytest.approx(expected, abs=1e-9)


def test_steep_limit_of_many_classes_is_the_macro_metric():
    logits, y = logits_and_labels(200, n_classes=4)
    predicted = logits.detach().argmax(dim=1)
    for average in ("macro", "weighted"):
        loss = AnyLoss("f1", L=1e9, average=average)(logits, y)
        expected = 1 - skm.f1_score(y, predicted, average=average)
        assert loss.item() == pytest.approx(expected, abs=1e-7)


def test_weights_are_repeated_rows():
    logits, y = logits_and_labels(12)
    weight = torch.arange(12) % 4
    for n_classes in (None, 3):
        logits, y = logits_and_labels(12, n_classes=n_classes)
        repeated = AnyLoss("mcc", mix=0.5)(
            logits.repeat_interleave(weight, dim=0), y.repeat_interleave(weight)
        )
        weighted = AnyLoss("mcc", mix=0.5)(logits, y, weight)
        torch.testing.assert_close(weighted, repeated)


def test_gradient_of_large_logits_keeps_its_precision():
    # In single precision 1 - sigmoid(20) is zero.
    logits = torch.tensor([20.0, 0.0, 1.0], requires_grad=True)
    y = torch.tensor([0, 0, 1])
    _, single = loss_and_gradient(AnyLoss(), logits, y)
    _, double = loss_and_gradient(AnyLoss(), logits.double(), y)
    assert single[0] > 0
    torch.testing.assert_close(single, double.float(), rtol=1e-5, atol=0.0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype):
    logits, y = logits_and_labels(3000, dtype=torch.float32)
    half = logits.detach().to(dtype).requires_grad_()
    loss = AnyLoss("accuracy")(half, y)
    loss.backward()
    assert loss.dtype == torch.float32
    assert half.grad.dtype == dtype
    expected = AnyLoss("accuracy")(half.detach().float(), y)
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0.0)


@pytest.mark.parametrize("shape", [(10,), (10, 1)])
@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float32])
def test_binary_labels_of_any_dtype_and_both_shapes(shape, dtype):
    logits, y = logits_and_labels(10)
    expected = AnyLoss()(logits, y)
    for y_shape in ((10,), (10, 1)):
        assert (
            AnyLoss()(logits.reshape(shape), y.to(dtype).reshape(y_shape)) == expected
        )


def test_second_derivative_is_refused_rather_than_wrong():
    logits, y = logits_and_labels(10)
    (gradient,) = torch.autograd.grad(AnyLoss()(logits, y), logits, create_graph=True)
    with pytest.raises(RuntimeError, match="does not require grad"):
        gradient.sum().backward()


def test_functional_gradient_of_torch():
    logits, y = logits_and_labels(10)
    _, expected = loss_and_gradient(AnyLoss(), logits, y)
    found = torch.func.grad(AnyLoss())(logits.detach(), y)
    torch.testing.assert_close(found, expected)


# -- degenerate batches ----------------------------------------------------------------


@pytest.mark.parametrize("logit", [-200.0, 0.0, 200.0])
@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("metric", confusion_metric_names())
def test_one_class_gives_a_finite_loss_and_gradient(metric, label, logit):
    logits = torch.full((16,), logit, requires_grad=True)
    y = torch.full((16,), label)
    value, gradient = loss_and_gradient(AnyLoss(metric), logits, y)
    assert value.isfinite()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("metric", ["f1", "f2", "f0.5", "jaccard"])
def test_batch_without_positives_has_no_gradient(metric):
    logits, _ = logits_and_labels(16, dtype=torch.float32)
    value, gradient = loss_and_gradient(
        AnyLoss(metric), logits, torch.zeros(16, dtype=torch.int64)
    )
    assert value == 1
    assert not gradient.any()


@pytest.mark.parametrize("metric", confusion_metric_names())
def test_batch_without_weight_has_no_gradient(metric):
    for n_classes, average in [(None, "macro"), (3, "macro"), (3, "weighted")]:
        logits, y = logits_and_labels(16, n_classes=n_classes)
        loss = AnyLoss(metric, mix=0.5, momentum=0.5, average=average)
        value, gradient = loss_and_gradient(loss, logits, y, torch.zeros(16))
        assert value.isfinite()
        assert not gradient.any()


def test_named_metrics_never_wait_for_the_device():
    # Tensors of this device have no values: anything that asks for one fails.
    for n_classes in (None, 3):
        shape = (8,) if n_classes is None else (8, n_classes)
        logits = torch.empty(shape, device="meta", requires_grad=True)
        y = torch.empty(8, dtype=torch.int64, device="meta")
        for metric in confusion_metric_names():
            loss = AnyLoss(metric, momentum=0.9, mix=0.5)
            loss(logits, y, torch.empty(8, device="meta")).backward()
            assert loss.running_counts.device.type == "meta"


@pytest.mark.parametrize("metric", confusion_metric_names())
def test_named_metrics_are_the_same_on_every_device(metric):
    metric = get_confusion_metric(metric)
    generator = torch.Generator().manual_seed(0)
    counts = torch.rand(4, 20, generator=generator, dtype=torch.float64)
    # Matrices with zeros too, all of them.
    bits = torch.arange(16).unsqueeze(0) >> torch.arange(4).unsqueeze(1) & 1
    counts = torch.column_stack([counts, bits * counts[:, :16]])
    values, (by_tn, by_fp, by_fn, by_tp) = of_tensors(metric, counts)
    expected = values_and_slopes(metric, counts)
    slopes = torch.stack([by_tp - by_fn, by_fp - by_tn])
    torch.testing.assert_close((values, slopes), expected, rtol=1e-12, atol=1e-12)


# -- metrics of users ------------------------------------------------------------------


def arithmetic(tn, fp, fn, tp):
    return (tp - fp / 9) / (tn + fp + fn + tp)


def of_torch(tn, fp, fn, tp):
    return torch.sqrt(tp / (tp + fn) * tn / (tn + fp))


def of_numpy(tn, fp, fn, tp):
    return np.sqrt(tp / (tp + fn) * tn / (tn + fp))


def of_maximum(tn, fp, fn, tp):
    return max(tp - fp, 0.1 * tp) / (tp + fn)


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")
@pytest.mark.parametrize(
    ("metric", "reference", "tolerance"),
    [
        (arithmetic, arithmetic, 1e-10),
        (of_torch, get_confusion_metric("gmean"), 1e-10),
        (of_numpy, get_confusion_metric("gmean"), 1e-10),
        (of_maximum, of_maximum, 1e-10),
        (cost_metric(fp=-1, fn=-5), cost_metric(fp=-1, fn=-5), 1e-10),
        (
            ConfusionMetric(
                lambda *counts: float(arithmetic(*map(float, counts))),
                gradient=lambda tn, fp, fn, tp: (
                    -arithmetic(tn, fp, fn, tp) / (tn + fp + fn + tp),
                    (-1 / 9 - arithmetic(tn, fp, fn, tp)) / (tn + fp + fn + tp),
                    -arithmetic(tn, fp, fn, tp) / (tn + fp + fn + tp),
                    (1 - arithmetic(tn, fp, fn, tp)) / (tn + fp + fn + tp),
                ),
            ),
            arithmetic,
            1e-10,
        ),
        # Neither tensors nor complex numbers: central differences.
        (lambda *c: float(arithmetic(*map(float, c))), arithmetic, 1e-6),
    ],
)
def test_metric_of_a_user(metric, reference, tolerance):
    logits, y = logits_and_labels()
    found = loss_and_gradient(AnyLoss(metric), logits, y)
    expected = loss_and_gradient(lambda z: naive(reference, z, y), logits)
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def test_metric_of_a_user_for_many_classes():
    logits, y = logits_and_labels(60, n_classes=3)
    found = loss_and_gradient(AnyLoss(of_maximum), logits, y)
    expected = loss_and_gradient(lambda z: naive_multiclass(of_maximum, z, y), logits)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_metric_that_is_not_finite_is_named():
    def precision(tn, fp, fn, tp):
        return tp / (0 * tp)

    with pytest.raises(ValueError, match=r"'precision' must return a finite number"):
        AnyLoss(precision)(*logits_and_labels())


@pytest.mark.parametrize("rounding", [torch.round, lambda tp: round(float(tp))])
def test_metric_without_a_slope_is_named(rounding):
    def rounded(tn, fp, fn, tp):
        return rounding(tp) / 100

    with pytest.raises(ValueError, match="'rounded' is not differentiable"):
        AnyLoss(rounded)(*logits_and_labels())


# -- momentum --------------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [None, 3])
def test_momentum_of_zero_is_none(n_classes):
    without, zero = AnyLoss("mcc"), AnyLoss("mcc", momentum=0)
    for seed in range(3):
        logits, y = logits_and_labels(10 + seed, seed=seed, n_classes=n_classes)
        torch.testing.assert_close(
            loss_and_gradient(zero, logits, y), loss_and_gradient(without, logits, y)
        )


def test_momentum_takes_the_metric_at_the_mean_of_the_counts():
    rho, loss = 0.8, AnyLoss("f1", momentum=0.8)
    batches = [logits_and_labels(16, seed=seed) for seed in range(4)]
    mean = 0.0
    for logits, y in batches:
        value, gradient = loss_and_gradient(loss, logits, y)
        a = torch.sigmoid(logits.detach())
        rates = [(1 - y) * (1 - a), (1 - y) * a, y * (1 - a), y * a]
        mean = rho * mean + (1 - rho) * torch.stack(rates).mean(dim=1)
    # Means from zero on are too small; the batches have the same size.
    mean = mean / (1 - rho ** len(batches))
    f1 = get_confusion_metric("f1")
    by_tp, by_fp = f1.slopes(*(16 * mean))
    assert value.item() == pytest.approx(1 - f1.value(*mean), rel=1e-12)
    expected = -torch.where(y == 1, by_tp, by_fp) * a * (1 - a)
    torch.testing.assert_close(gradient, expected, rtol=1e-10, atol=1e-14)


def test_momentum_makes_the_value_of_small_batches_that_of_all_data():
    logits, _ = logits_and_labels(40_000, dtype=torch.float32)
    logits = logits.detach() - 3
    torch.manual_seed(0)
    y = torch.bernoulli(torch.sigmoid(logits - 1)).long()
    whole = AnyLoss()(logits, y).item()
    means = {}
    for momentum in (None, 0.999):
        loss = AnyLoss(momentum=momentum)
        values = [loss(*b).item() for b in zip(logits.split(16), y.split(16))]
        means[momentum] = np.mean(values[-500:])
    assert abs(means[0.999] - whole) < 0.02
    assert abs(means[None] - whole) > 0.05


def test_batch_without_positives_teaches_with_momentum():
    loss = AnyLoss("f1", momentum=0.9)
    loss(*logits_and_labels(16))
    logits, _ = logits_and_labels(16, seed=1)
    _, gradient = loss_and_gradient(loss, logits, torch.zeros(16, dtype=torch.int64))
    assert (gradient > 0).all()


def test_evaluation_is_that_of_the_batch_and_changes_nothing():
    loss = AnyLoss("f1", momentum=0.9)
    loss(*logits_and_labels(16))
    before = loss.running_counts.clone()
    logits, y = logits_and_labels(16, seed=1)
    assert loss.eval()(logits, y) == AnyLoss("f1")(logits, y)
    torch.testing.assert_close(loss.running_counts, before, rtol=0, atol=0)


def test_running_counts_are_in_the_state_and_can_be_reset():
    loss, other = AnyLoss("f1", momentum=0.9), AnyLoss("f1", momentum=0.9)
    logits, y = logits_and_labels(16, n_classes=3)
    first = loss(logits, y)
    other.load_state_dict(loss.state_dict())
    torch.testing.assert_close(other.running_counts, loss.running_counts)
    logits_2, y_2 = logits_and_labels(16, seed=1, n_classes=3)
    assert other(logits_2, y_2) == loss(logits_2, y_2)
    with pytest.raises(ValueError, match="reset_running_counts"):
        loss(*logits_and_labels(16))
    loss.reset_running_counts()
    assert loss(logits, y) == first
    assert not AnyLoss().state_dict()


def test_an_overflow_does_not_stay_in_the_running_counts():
    loss = AnyLoss(momentum=0.9)
    logits, y = logits_and_labels(16)
    loss(logits, y)
    assert loss(logits * torch.nan, y).isnan()
    assert loss(logits, y).isfinite()


# -- mixture with the cross-entropy ----------------------------------------------------


def test_mix_is_a_weighted_sum():
    logits, y = logits_and_labels()
    weight = torch.linspace(0, 2, len(y), dtype=torch.float64)
    entropy = F.binary_cross_entropy_with_logits(
        logits,
        y.double(),
        weight,
        reduction="sum",
        pos_weight=torch.tensor(3.0),
    )
    expected = 0.3 * entropy / weight.sum() + 0.7 * AnyLoss("f1")(logits, y, weight)
    found = AnyLoss("f1", mix=0.7, pos_weight=3.0)(logits, y, weight)
    torch.testing.assert_close(found, expected)
    logits, y = logits_and_labels(n_classes=3)
    expected = 0.3 * F.cross_entropy(logits, y) + 0.7 * AnyLoss("f1")(logits, y)
    torch.testing.assert_close(AnyLoss("f1", mix=0.7)(logits, y), expected)


def test_cross_entropy_alone():
    logits, y = logits_and_labels()
    expected = F.binary_cross_entropy_with_logits(logits, y.double())
    torch.testing.assert_close(AnyLoss().cross_entropy(logits, y), expected)
    torch.testing.assert_close(AnyLoss(mix=0.0)(logits, y), expected)


# -- chunks ----------------------------------------------------------------------------


@pytest.mark.parametrize("kwargs", [{}, {"mix": 0.4}, {"L": 5.0}])
@pytest.mark.parametrize("n_classes", [None, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_chunks_have_the_gradient_of_one_batch(n_classes, weighted, kwargs):
    torch.manual_seed(0)
    X = torch.randn(101, 4)
    y = torch.randint(n_classes or 2, (101,))
    data = [X, y, torch.rand(101)] if weighted else [X, y]
    module = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, n_classes or 1))
    other = copy.deepcopy(module)
    loss = AnyLoss("mcc", **kwargs)
    value = loss(module(X), *data[1:])
    value.backward()
    chunks = list(zip(*(part.split(17) for part in data)))
    torch.testing.assert_close(loss.backward_in_chunks(other, chunks), value.detach())
    for p, q in zip(module.parameters(), other.parameters()):
        torch.testing.assert_close(q.grad, p.grad, rtol=1e-4, atol=1e-6)


def test_chunks_that_can_be_read_once_are_refused():
    X, y = torch.randn(10, 2), torch.arange(10) % 2
    module = nn.Linear(2, 1)
    with pytest.raises(ValueError, match=r"same in both passes, got 2 and 0"):
        AnyLoss().backward_in_chunks(module, zip(X.split(5), y.split(5)))
    with pytest.raises(ValueError, match="empty"):
        AnyLoss().backward_in_chunks(module, [])


# -- use and misuse --------------------------------------------------------------------


def test_pickles_copies_and_shows_itself():
    loss = AnyLoss("fbeta", beta=2.0, momentum=0.9)
    logits, y = logits_and_labels()
    value = loss(logits, y)
    for twin in (pickle.loads(pickle.dumps(loss)), copy.deepcopy(loss)):
        twin.reset_running_counts()
        assert twin(logits, y) == value
    assert repr(loss) == "AnyLoss('fbeta', beta=2.0, momentum=0.9)"


def test_training_a_line_for_f1_beats_the_cross_entropy_on_outliers():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2000, 2))
    y = (rng.uniform(size=2000) < expit(2 * X[:, 0] - 3)).astype(int)
    X[:40], y[:40] = [-8.0, 0.0], 1  # positives far on the wrong side
    X, y = torch.tensor(X, dtype=torch.float32), torch.tensor(y)
    scores = {}
    for name, loss in (("f1", AnyLoss()), ("entropy", AnyLoss(mix=0.0))):
        torch.manual_seed(0)
        module = nn.Linear(2, 1)
        optimizer = torch.optim.Adam(module.parameters(), lr=0.1)
        for _ in range(200):
            optimizer.zero_grad()
            loss(module(X), y).backward()
            optimizer.step()
        scores[name] = skm.f1_score(y, module(X).detach().squeeze() > 0)
    assert scores["f1"] > scores["entropy"] + 0.1


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"metric": "f3"}, r"metric must be one of .*'f1'"),
        ({"beta": 0}, "beta must be positive"),
        ({"amplifier": "tanh"}, "amplifier must be one of"),
        ({"L": -1.0}, "L must be positive"),
        ({"average": "micro"}, "average must be one of"),
        ({"momentum": 1.0}, r"momentum must be None or in \[0, 1\), got 1.0"),
        ({"mix": 1.5}, r"mix must be None or in \[0, 1\], got 1.5"),
        ({"mix": 0.5, "pos_weight": -1.0}, "pos_weight must be positive"),
        ({"pos_weight": 3.0}, "set mix"),
    ],
)
def test_wrong_parameters(kwargs, message):
    with pytest.raises(ValueError, match=message):
        AnyLoss(**kwargs)


@pytest.mark.parametrize(
    ("logits", "target", "weight", "error", "message"),
    [
        ([0, 1], [0, 1], None, TypeError, "logits must be a tensor of real numbers"),
        (
            torch.ones(2, 3, 4),
            torch.ones(2),
            None,
            ValueError,
            "logits must have shape",
        ),
        (torch.ones(0), torch.ones(0), None, ValueError, "none of them 0"),
        (torch.ones(3), torch.ones(2), None, ValueError, r"shape \(3,\), .*\(2,\)"),
        (torch.ones(3), [0, 1, 1], None, TypeError, "target must be a tensor"),
        (
            torch.ones(3),
            torch.tensor([0, 1, 2]),
            None,
            ValueError,
            r"0 and 1, found \[2",
        ),
        (torch.ones(2), torch.tensor([-1, 1]), None, ValueError, "0 and 1"),
        (torch.ones(2), torch.tensor([0.5, 1]), None, ValueError, "0 and 1"),
        (
            torch.ones(2, 3),
            torch.tensor([0, 3]),
            None,
            ValueError,
            "0 to 2, .* 0 to 3",
        ),
        (torch.ones(2, 3), torch.ones(2), None, TypeError, "must be class indices"),
        (
            torch.ones(2, 3),
            torch.ones(2, 3),
            None,
            ValueError,
            "target must have shape",
        ),
        (torch.ones(2), torch.ones(2), torch.ones(3), ValueError, "sample_weight must"),
        (torch.ones(2), torch.ones(2), -torch.ones(2), ValueError, "not negative"),
    ],
)
def test_wrong_input(logits, target, weight, error, message):
    with pytest.raises(error, match=message):
        AnyLoss()(logits, target, weight)


def test_pos_weight_is_for_one_logit_a_row():
    with pytest.raises(ValueError, match="needs one logit a row"):
        AnyLoss(mix=0.5, pos_weight=2.0)(torch.ones(2, 3), torch.tensor([0, 1]))


def test_import_without_torch_names_the_extra():
    code = "import sys; sys.modules['torch'] = None; import sklogit.losses"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 1
    assert "sklogit.losses needs torch" in run.stderr
