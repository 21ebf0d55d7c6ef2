"""Losses of a student's and a teacher's logits."""

import math

import numpy as np
import pytest
import torch
from scipy.special import expit, log_expit, log_softmax, xlogy
from torch.autograd import gradcheck, gradgradcheck

from sklogit.losses import (
    BinaryKLLoss,
    BinaryKLNormLoss,
    KDLoss,
    binary_kl_loss,
    binary_kl_norm_loss,
    kd_loss,
)

LOSSES = [binary_kl_loss, binary_kl_norm_loss, kd_loss]
each_loss = pytest.mark.parametrize("loss", LOSSES)


def logits(*shape, seed=0, scale=3.0, grad=False):
    rng = np.random.default_rng(seed)
    values = torch.from_numpy(scale * rng.standard_normal(shape))
    return values.requires_grad_(grad)


def bernoulli_kl(p, q):
    """KL of coins by its definition, in float64."""
    return xlogy(p, p / q) + xlogy(1 - p, (1 - p) / (1 - q))


# The definitions, as numpy and scipy compute them.
REFERENCES = {
    binary_kl_loss: lambda s, t, T: bernoulli_kl(expit(t / T), expit(s / T)),
    binary_kl_norm_loss: lambda s, t, T: bernoulli_kl(0.5, expit((s - t) / T)),
    kd_loss: lambda s, t, T: (
        np.exp(log_softmax(t / T, axis=-1))
        * (log_softmax(t / T, axis=-1) - log_softmax(s / T, axis=-1))
    ),
}


@each_loss
@pytest.mark.parametrize("temperature", [0.5, 2.0, 4.0])
def test_value_is_that_of_the_definition(loss, temperature):
    # Small logits, as the definition has few digits where a probability is near 1.
    s, t = logits(7, 5, scale=1.0), logits(7, 5, seed=1, scale=1.0)
    terms = temperature**2 * REFERENCES[loss](s.numpy(), t.numpy(), temperature)
    value = loss(s, t, temperature, reduction="none")
    np.testing.assert_allclose(value.numpy(), terms, rtol=1e-10, atol=1e-12)
    expected = terms.sum() / 7
    assert loss(s, t, temperature).item() == pytest.approx(expected, rel=1e-12)


def test_norm_loss_is_log_cosh():
    s, t = logits(7, 5), logits(7, 5, seed=1)
    expected = (9 * torch.log(torch.cosh((s - t) / 6))).sum().item() / 7
    assert binary_kl_norm_loss(s, t, 3.0).item() == pytest.approx(expected, rel=1e-12)


@each_loss
def test_gradient_is_the_closed_form(loss):
    T, n = 3.0, 7
    s, t = logits(n, 5, grad=True), logits(n, 5, seed=1)
    loss(s, t, T).backward()
    closed = {
        binary_kl_loss: T / n * (torch.sigmoid(s / T) - torch.sigmoid(t / T)),
        binary_kl_norm_loss: T / (2 * n) * torch.tanh((s - t) / (2 * T)),
        kd_loss: T / n * ((s / T).softmax(1) - (t / T).softmax(1)),
    }[loss]
    torch.testing.assert_close(s.grad, closed.detach(), rtol=1e-10, atol=1e-12)


@each_loss
@pytest.mark.parametrize("reduction", ["batchmean", "none"])
def test_gradcheck(loss, reduction):
    s, t = logits(3, 4, grad=True), logits(3, 4, seed=1)
    weight = torch.tensor([1.0, 0.0, 2.5], dtype=torch.float64)

    def function(s):
        return loss(s, t, 2.0, reduction, weight)

    assert gradcheck(function, s)
    assert gradgradcheck(function, s)


@each_loss
def test_teacher_gets_no_gradient(loss):
    s, t = logits(3, 4, grad=True), logits(3, 4, seed=1, grad=True)
    loss(s, t).backward()
    assert t.grad is None


@each_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_logits_have_loss_and_gradient_zero(loss, dtype):
    t = logits(6, 5, scale=8.0).to(dtype)
    s = t.clone().requires_grad_()
    value = loss(s, t)
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-12)
    torch.testing.assert_close(s.grad, torch.zeros_like(t), rtol=0, atol=1e-7)


# -- the limits of the norm loss ------------------------------------------------------


def test_norm_loss_is_an_eighth_of_the_square_at_high_temperature():
    s, t = logits(7, 5), logits(7, 5, seed=1)
    expected = (s - t).square().sum().item() / 8 / 7
    assert binary_kl_norm_loss(s, t, 1e4).item() == pytest.approx(expected, rel=1e-6)


def test_norm_loss_is_half_the_distance_at_low_temperature():
    s, t = logits(7, 5), logits(7, 5, seed=1)
    expected = 1e-4 / 2 * (s - t).abs().sum().item() / 7
    assert binary_kl_norm_loss(s, t, 1e-4).item() == pytest.approx(expected, rel=1e-3)


def test_norm_loss_is_symmetric_and_sees_a_shift_of_one_side_only():
    s, t = logits(7, 5), logits(7, 5, seed=1)
    value = binary_kl_norm_loss(s, t)
    torch.testing.assert_close(binary_kl_norm_loss(t, s), value)
    torch.testing.assert_close(binary_kl_norm_loss(s + 5, t + 5), value)
    assert abs(binary_kl_norm_loss(s + 5, t) - value) > 0.1


def test_kd_loss_does_not_see_a_shift():
    s, t = logits(7, 5), logits(7, 5, seed=1)
    torch.testing.assert_close(kd_loss(s + 5, t), kd_loss(s, t))


@pytest.mark.parametrize("difference", [40.0, -40.0, 1e3, -1e3, 1e6, -1e6])
def test_norm_loss_of_far_logits_is_finite_with_the_gradient_of_its_limit(difference):
    n, T = 4, 2.0
    s = torch.full((n, 1), difference, requires_grad=True)
    loss = binary_kl_norm_loss(s, torch.zeros(n, 1), T)
    loss.backward()
    expected = T / 2 * abs(difference) - T**2 * math.log(2)
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    gradient = math.copysign(T / 2 / n, difference)
    torch.testing.assert_close(s.grad, torch.full((n, 1), gradient), rtol=1e-6, atol=0)


@each_loss
@pytest.mark.parametrize("pair", [(1e6, -1e6), (-1e6, 1e6), (1e6, 1e6), (88.0, -88.0)])
def test_huge_logits_are_finite(loss, pair):
    s = torch.tensor([[pair[0], 0.0]], requires_grad=True)
    value = loss(s, torch.tensor([[pair[1], 0.0]]))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(s.grad).all()


def test_norm_loss_of_close_logits_keeps_its_digits_in_single_precision():
    difference = torch.tensor([1e-6, 1e-4, 1e-2, 0.3, 1.9, 2.1, 4.0])
    value = binary_kl_norm_loss(difference[:, None], torch.zeros(7, 1), 1.0, "none")
    exact = torch.log1p(torch.sinh(difference.double() / 2).square()) / 2
    torch.testing.assert_close(value[:, 0].double(), exact, rtol=1e-6, atol=0)


@pytest.mark.parametrize("sides", [(-17, 1e4), (17, 1e4), (17, -1e6), (-12, 1e6)])
def test_a_sure_teacher_keeps_its_digits_in_single_precision(sides):
    # 1 - p of a teacher with p near 1, times a large logit of the student.
    t, s = np.array(sides, dtype=np.float64)
    p, q = expit(t), expit(-t)
    exact = p * (log_expit(t) - log_expit(s)) + q * (log_expit(-t) - log_expit(-s))
    student = torch.tensor([[s]], dtype=torch.float32, requires_grad=True)
    value = binary_kl_loss(student, torch.tensor([[t]], dtype=torch.float32), 1.0)
    value.backward()
    assert value.item() == pytest.approx(exact, rel=1e-5)
    gradient = q - expit(-s) if t > 0 else expit(s) - p
    assert student.grad.item() == pytest.approx(gradient, rel=1e-5)


def test_masked_classes_have_no_term_in_kd_loss():
    s, t = logits(4, 5, grad=True), logits(4, 5, seed=1)
    t[:, 3] = -math.inf
    value = kd_loss(s, t)
    value.backward()
    expected = torch.softmax(s.detach() / 4, -1) - torch.softmax(t / 4, -1)
    torch.testing.assert_close(s.grad, expected)  # 4 / 4 rows
    masked = s.detach().clone()
    masked[:, 3] = -math.inf
    few = [0, 1, 2, 4]
    assert kd_loss(masked, t).item() == pytest.approx(
        kd_loss(s.detach()[:, few], t[:, few]).item(), rel=1e-12
    )


# -- reductions, weights, shapes ------------------------------------------------------


@each_loss
def test_reductions(loss):
    s, t = logits(7, 5), logits(7, 5, seed=1)
    terms = loss(s, t, reduction="none")
    assert terms.shape == (7, 5)
    torch.testing.assert_close(loss(s, t, reduction="sum"), terms.sum())
    torch.testing.assert_close(loss(s, t, reduction="batchmean"), terms.sum() / 7)
    torch.testing.assert_close(loss(s, t, reduction="mean"), terms.mean())


@each_loss
@pytest.mark.parametrize("reduction", ["batchmean", "mean", "sum"])
def test_weights_repeat_rows(loss, reduction):
    s, t = logits(4, 5), logits(4, 5, seed=1)
    weight = torch.tensor([2, 0, 1, 3])
    rows = torch.repeat_interleave(torch.arange(4), weight)
    torch.testing.assert_close(
        loss(s, t, reduction=reduction, sample_weight=weight),
        loss(s[rows], t[rows], reduction=reduction),
    )


@each_loss
def test_no_weight_at_all_is_a_loss_of_zero(loss):
    s, t = logits(4, 5, grad=True), logits(4, 5, seed=1)
    value = loss(s, t, sample_weight=torch.zeros(4))
    value.backward()
    assert value.item() == 0
    assert (s.grad == 0).all()


@each_loss
def test_no_rows_at_all_are_a_loss_of_zero(loss):
    assert loss(torch.zeros(0, 3), torch.zeros(0, 3)).item() == 0


@each_loss
def test_functions_of_torch_transform_it(loss):
    s, t = logits(4, 5, grad=True), logits(4, 5, seed=1)
    loss(s, t).backward()
    found = torch.func.grad(loss)(s.detach(), t)
    torch.testing.assert_close(found, s.grad)
    rows = torch.func.vmap(loss)(s.detach(), t)
    torch.testing.assert_close(rows, loss(s, t, reduction="none").sum(dim=1).detach())


@each_loss
def test_it_compiles_to_one_graph(loss):
    s, t, weight = logits(4, 5), logits(4, 5, seed=1), torch.rand(4)
    compiled = torch.compile(loss, backend="eager", fullgraph=True)
    torch.testing.assert_close(
        compiled(s, t, sample_weight=weight), loss(s, t, sample_weight=weight)
    )


@each_loss
def test_positions_of_sequences_are_rows(loss):
    s, t = logits(3, 4, 5), logits(3, 4, 5, seed=1)
    torch.testing.assert_close(loss(s, t), loss(s.flatten(0, 1), t.flatten(0, 1)))
    weight = torch.rand(3, 4)
    torch.testing.assert_close(
        loss(s, t, sample_weight=weight),
        loss(s.flatten(0, 1), t.flatten(0, 1), sample_weight=weight.flatten()),
    )


@each_loss
def test_half_precision_is_computed_in_single(loss):
    s, t = logits(4, 5).half(), logits(4, 5, seed=1).half()
    value = loss(s, t)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(s.float(), t.float()))


@pytest.mark.parametrize(
    ("module", "function"),
    [
        (BinaryKLLoss, binary_kl_loss),
        (BinaryKLNormLoss, binary_kl_norm_loss),
        (KDLoss, kd_loss),
    ],
)
def test_modules_are_the_functions(module, function):
    s, t, weight = logits(4, 5), logits(4, 5, seed=1), torch.rand(4)
    torch.testing.assert_close(module()(s, t), function(s, t))
    made = module(temperature=3.0, reduction="sum")
    assert "temperature=3.0" in repr(made)
    torch.testing.assert_close(made(s, t, weight), function(s, t, 3.0, "sum", weight))


# -- wrong input ----------------------------------------------------------------------


@each_loss
@pytest.mark.parametrize("temperature", [0, -1.0, math.inf, math.nan, "2", None])
def test_temperature_must_be_positive(loss, temperature):
    with pytest.raises(ValueError, match="temperature must be positive"):
        loss(logits(2, 3), logits(2, 3), temperature)


@pytest.mark.parametrize("module", [BinaryKLLoss, BinaryKLNormLoss, KDLoss])
def test_modules_refuse_parameters_when_they_are_made(module):
    with pytest.raises(ValueError, match=r"temperature must be positive.*-1"):
        module(temperature=-1)
    with pytest.raises(ValueError, match=r"reduction must be one of.*'median'"):
        module(reduction="median")


@each_loss
def test_wrong_shapes_are_refused(loss):
    with pytest.raises(ValueError, match=r"same shape.*\(2, 3\) and \(3, 2\)"):
        loss(logits(2, 3), logits(3, 2))
    with pytest.raises(ValueError, match=r"sample_weight must have shape \(2,\)"):
        loss(logits(2, 3), logits(2, 3), sample_weight=torch.ones(3))
    with pytest.raises(ValueError, match="reduction must be one of"):
        loss(logits(2, 3), logits(2, 3), reduction="median")


@each_loss
@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf])
def test_weights_that_are_not_allowed_are_refused(loss, weight):
    weight = torch.tensor([1.0, weight])
    with pytest.raises(ValueError, match="sample_weight must be finite and not neg"):
        loss(logits(2, 3), logits(2, 3), sample_weight=weight)
    with pytest.raises(TypeError, match="sample_weight must be a tensor, got ndarray"):
        loss(logits(2, 3), logits(2, 3), sample_weight=np.ones(2))


@each_loss
def test_no_classes_are_refused(loss):
    with pytest.raises(ValueError, match="at least one class"):
        loss(torch.zeros(2, 0), torch.zeros(2, 0))


@each_loss
def test_what_is_no_tensor_of_reals_is_refused(loss):
    with pytest.raises(TypeError, match="teacher must be a tensor of real numbers"):
        loss(logits(2, 3), torch.zeros(2, 3, dtype=torch.int64))
    with pytest.raises(TypeError, match=r"student must be a tensor.*ndarray"):
        loss(np.zeros((2, 3)), torch.zeros(2, 3))
