"""The kernels of Triton, run by its interpreter in a process of their own.

Triton decides when it is imported whether it interprets, and other tests may have
imported it before.
"""

import dataclasses
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("triton")

import torch

from sklogit.kernels import linear_cross_entropy
from sklogit.kernels._row_statistics import RowStatistics
from sklogit.kernels._triton_gradients import Filter, RowGradients, gradients
from sklogit.kernels._triton_statistics import (
    Operands,
    Tiles,
    merge_splits,
    row_statistics,
)

SMALL = Tiles(16, 32, 16)
ALL = (True, True, True)
# Largest errors, relative to the largest value: rounding of the gradient's tiles to the
# operands' dtype, and of the result.
TOLERANCES = {
    torch.float64: 1e-12,
    torch.float32: 1e-5,
    torch.float16: 1e-3,
    torch.bfloat16: 1e-2,
}


@pytest.fixture(scope="module")
def interpreter():
    """Function that calls a function in a process whose Triton interprets."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        with pytest.MonkeyPatch.context() as patch:
            # This process must not see it: others of its tests import triton, too.
            patch.setenv("TRITON_INTERPRET", "1")
            # The process imports this module to find functions of it.
            patch.syspath_prepend(str(Path(__file__).resolve().parents[2]))
            pool.submit(prepare_process).result()
        yield lambda *call: pool.submit(*call).result()


def prepare_process():
    torch.set_num_threads(1)
    np.seterr(divide="ignore")  # log(0) = -inf is meant


def make_operands(n, v, d, dtype=torch.float64, *, seed=0, mean=False, **options):
    """Random operands whose targets are in all tiles, the last one in particular."""
    rng = torch.Generator().manual_seed(seed)
    input = torch.randn(n, d, generator=rng, dtype=torch.float64).to(dtype)
    weight = (torch.randn(v, d, generator=rng, dtype=torch.float64) / d**0.5).to(dtype)
    bias = torch.randn(v, generator=rng, dtype=torch.float64).to(dtype)
    target = torch.arange(n) * 7919 % v
    target[-1] = v - 1
    coef = torch.rand(v, generator=rng, dtype=torch.float64) if mean else None
    options = {"bias": bias, "tiles": SMALL, "mean_coef": coef, **options}
    return Operands(input, weight, target, **options)


def reference_statistics(input, weight, bias, operands):
    """Statistics by definition, from all logits."""
    logits = input @ weight.T
    if bias is not None:
        logits = logits + bias
    if operands.softcap is not None:
        logits = operands.softcap * torch.tanh(logits / operands.softcap)
    is_target = operands.target[:, None] == torch.arange(len(weight))
    others = logits.masked_fill(is_target, -torch.inf).logsumexp(1)
    target_logit = logits.masked_fill(~is_target, 0.0).sum(1)
    mean = None if operands.mean_coef is None else logits @ operands.mean_coef
    return RowStatistics(others, target_logit, mean)


def in_float64(operands):
    parts = operands.input, operands.weight, operands.bias
    return [None if x is None else x.detach().double().requires_grad_() for x in parts]


def random_rows(operands, seed=1):
    """Random gradients of rows, with the statistics that belong to them."""
    rng = torch.Generator().manual_seed(seed)
    n = operands.n_rows
    values = torch.randn(3, n, generator=rng, dtype=torch.float64) / max(n, 1)
    statistics = reference_statistics(*in_float64(operands), operands)
    rows = RowGradients(
        statistics.lse,
        torch.sigmoid(statistics.lse_others - statistics.target_logit),
        *values[:2],
        None if operands.mean_coef is None else values[2],
    )
    parts = {f.name: getattr(rows, f.name) for f in dataclasses.fields(rows)}
    dtype = operands.accumulator
    return RowGradients(
        **{k: x if x is None else x.detach().to(dtype) for k, x in parts.items()}
    )


def reference_gradients(operands, rows):
    """Gradients by definition, from those of all logits, in float64."""
    input, weight, bias = (x if x is None else x.detach() for x in in_float64(operands))
    logits = input @ weight.T
    if bias is not None:
        logits = logits + bias
    slope, cap = 1.0, operands.softcap
    if cap is not None:
        slope = 1 - torch.tanh(logits / cap) ** 2
        logits = cap * torch.tanh(logits / cap)
    G = rows.softmax[:, None] * torch.exp(logits - rows.lse[:, None])
    is_target = operands.target[:, None] == torch.arange(len(weight))
    G = torch.where(is_target, rows.target[:, None].to(G), G)
    if operands.mean_coef is not None:
        G = G + rows.mean[:, None] * operands.mean_coef
    G = G * slope
    return [G @ weight, G.T @ input, None if bias is None else G.sum(0)]


def assert_close(found, expected, tolerance):
    if expected is None:
        assert found is None
        return
    error = (found.double() - expected.double()).abs().max()
    assert error <= tolerance * expected.abs().max()


# ---------------------------------------------------------------------- statistics


@pytest.mark.parametrize("dtype", list(TOLERANCES))
@pytest.mark.parametrize("softcap", [None, 3.0])
def test_statistics_equal_those_of_all_logits(interpreter, dtype, softcap):
    operands = make_operands(33, 101, 40, dtype, softcap=softcap, mean=True)
    found = interpreter(row_statistics, operands)
    expected = reference_statistics(*in_float64(operands), operands)
    for a, b in zip(found, expected):
        assert a.dtype == operands.accumulator
        # Products of 16-bit numbers are exact in float32, in which they are added.
        assert_close(a, b, 1e-12 if dtype == torch.float64 else 1e-6)


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (1, 2, 1), (16, 32, 16), (17, 33, 5), (3, 70, 17)]
)
def test_sizes_need_not_be_multiples_of_the_tile(interpreter, shape):
    operands = make_operands(*shape)
    found = interpreter(row_statistics, operands)
    expected = reference_statistics(*in_float64(operands), operands)
    torch.testing.assert_close(found.lse_others, expected.lse_others)
    torch.testing.assert_close(found.target_logit, expected.target_logit)


def test_masked_rows_and_classes_add_nothing(interpreter):
    # Logits of zeros would be in the sums of 3 rows and 5 classes below.
    operands = make_operands(3, 5, 4)
    operands.bias.sub_(1000.0)
    found = interpreter(row_statistics, operands)
    expected = reference_statistics(*in_float64(operands), operands)
    torch.testing.assert_close(found.lse_others, expected.lse_others)


@pytest.mark.parametrize("n_splits", [1, 2, 3, 4])
def test_splits_change_nothing(interpreter, n_splits):
    operands = make_operands(17, 101, 8, n_splits=n_splits, mean=True)
    found = interpreter(row_statistics, operands)
    expected = reference_statistics(*in_float64(operands), operands)
    for a, b in zip(found, expected):
        torch.testing.assert_close(a, b)


def merge(*parts):
    """Merge into new tensors, in the other process."""
    out = [parts[0].new_zeros(parts[0].shape[1]) for _ in range(3)]
    merge_splits(*parts, out=out)
    return out


@pytest.mark.parametrize("n_splits", [1, 2, 3, 4])
def test_merge_of_splits_with_one_that_holds_nothing(interpreter, n_splits):
    rng = torch.Generator().manual_seed(n_splits)
    largest, total, target, mean = torch.rand(4, n_splits, 5, generator=rng).double()
    largest *= 1000
    largest[-1], total[-1], target[-1], mean[-1] = -torch.inf, 0.0, 0.0, 0.0
    lse, target_logit, mean_logit = interpreter(merge, largest, total, target, mean)
    torch.testing.assert_close(lse, (largest + total.log()).logsumexp(0))
    torch.testing.assert_close(target_logit, target.sum(0))
    torch.testing.assert_close(mean_logit, mean.sum(0))


def test_target_of_another_rank_is_none_of_the_classes(interpreter):
    # 5 classes in a tile of 32: class 7 is one of the padded ones.
    operands = make_operands(4, 5, 3)
    operands.target[:] = torch.tensor([-2, 1, 5, 7])
    found = interpreter(row_statistics, operands)
    logits = operands.input @ operands.weight.T + operands.bias
    assert found.target_logit[[0, 2, 3]].tolist() == [0.0, 0.0, 0.0]
    torch.testing.assert_close(
        found.lse_others[[0, 2, 3]], logits[[0, 2, 3]].logsumexp(1)
    )


def test_no_classes_have_no_mass(interpreter):
    found = interpreter(row_statistics, make_operands_without_classes())
    assert found.lse_others.tolist() == [-torch.inf] * 3
    assert found.target_logit.tolist() == [0.0] * 3


def make_operands_without_classes():
    target = torch.tensor([0, 1, 2])
    return Operands(torch.ones(3, 2), torch.ones(0, 2), target, torch.ones(0))


def test_strided_operands_are_not_copied_wrongly(interpreter):
    base = make_operands(20, 40, 12)
    strided = Operands(
        base.input.T.contiguous().T,
        base.weight.repeat_interleave(2, 0)[::2],
        base.target.repeat_interleave(2)[::2],
        base.bias.repeat_interleave(2)[::2],
        tiles=SMALL,
    )
    expected = interpreter(row_statistics, base)
    for a, b in zip(interpreter(row_statistics, strided), expected):
        assert a is b is None or torch.equal(a, b)


@pytest.mark.parametrize("value", [1e4, -1e4])
def test_large_logits_neither_overflow_nor_vanish(interpreter, value):
    operands = make_operands(9, 40, 6, torch.float32)
    operands.bias.add_(value)
    found = interpreter(row_statistics, operands)
    expected = reference_statistics(*in_float64(operands), operands)
    torch.testing.assert_close(found.lse_others.double(), expected.lse_others)


def test_classes_with_bias_minus_infinity_have_no_mass(interpreter):
    operands = make_operands(9, 40, 6)
    operands.bias[:35] = -torch.inf  # the whole first tile
    operands.target[:] = 36
    found = interpreter(row_statistics, operands)
    expected = reference_statistics(*in_float64(operands), operands)
    torch.testing.assert_close(found.lse_others, expected.lse_others)
    result = interpreter(gradients, operands, random_rows(operands))
    assert (result.weight[:35] == 0).all()
    assert result.weight.isfinite().all()
    assert result.input.isfinite().all()


def test_nan_stays_in_its_row(interpreter):
    operands = make_operands(20, 40, 6)
    operands.input[3, 2] = torch.nan
    found = interpreter(row_statistics, operands)
    assert torch.nonzero(found.lse_others.isnan()).tolist() == [[3]]
    result = interpreter(gradients, operands, random_rows(operands))
    assert torch.nonzero(result.input.isnan().any(1)).tolist() == [[3]]
    assert result.weight[torch.arange(40) != operands.target[3]].isnan().all()


# ----------------------------------------------------------------------- gradients


@pytest.mark.parametrize("dtype", list(TOLERANCES))
@pytest.mark.parametrize("softcap", [None, 3.0])
def test_gradients_equal_those_of_autograd(interpreter, dtype, softcap):
    operands = make_operands(33, 101, 40, dtype, softcap=softcap, mean=True)
    rows = random_rows(operands)
    found = interpreter(gradients, operands, rows)
    expected = reference_gradients(operands, rows)
    for a, b in zip((found.input, found.weight, found.bias), expected):
        assert a.dtype == dtype
        assert_close(a, b, TOLERANCES[dtype])


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("n_splits", [1, 3])
def test_gradients_of_splits_and_without_bias(interpreter, bias, n_splits):
    operands = make_operands(50, 70, 17, n_splits=n_splits)
    if not bias:
        operands = Operands(
            operands.input, operands.weight, operands.target, None, tiles=SMALL
        )
    rows = random_rows(operands)
    found = interpreter(gradients, operands, rows)
    expected = reference_gradients(operands, rows)
    for a, b in zip((found.input, found.weight, found.bias), expected):
        assert_close(a, b, 1e-12)


def parts_of_splits(operands, rows):
    """Partial results of all splits, in the other process."""
    from sklogit.kernels._triton_gradients import _Backward

    seen, total = [], _Backward.total
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            _Backward,
            "total",
            lambda self, x: [seen.append(x.clone()), total(self, x)][1],
        )
        gradients(operands, rows)
    return seen


def test_no_two_splits_write_to_the_same_place(interpreter):
    # The interpreter runs one program after the other, and would not show a race.
    operands = make_operands(50, 70, 17, n_splits=2)
    for parts in interpreter(parts_of_splits, operands, random_rows(operands)):
        assert len(parts) == 2
        assert all((part != 0).any() for part in parts)


@pytest.mark.parametrize("needed", range(3))
def test_only_the_wanted_gradient_is_made(interpreter, needed):
    operands = make_operands(17, 40, 8)
    rows = random_rows(operands)
    needs = tuple(i == needed for i in range(3))
    found = interpreter(gradients, operands, rows, needs)
    parts = [found.input, found.weight, found.bias]
    assert [x is not None for x in parts] == list(needs)
    assert_close(parts[needed], reference_gradients(operands, rows)[needed], 1e-12)


def test_gradients_come_out_bit_for_bit_the_same(interpreter):
    operands = make_operands(33, 70, 20, torch.float32, n_splits=3)
    rows = random_rows(operands)
    first = interpreter(gradients, operands, rows)
    again = interpreter(gradients, operands, rows)
    assert torch.equal(first.input, again.input)
    assert torch.equal(first.weight, again.weight)


def gradients_with_little_scratch(operands, rows):
    """Gradients made of one tile of classes after the other, in the other process."""
    from sklogit.kernels import _triton_gradients

    patch = pytest.MonkeyPatch()
    patch.setattr(_triton_gradients, "_SCRATCH_BYTES", 1)
    try:
        return gradients(operands, rows)
    finally:
        patch.undo()


def test_weights_are_done_in_parts_that_fit_the_scratch_memory(interpreter):
    operands = make_operands(20, 70, 9, torch.bfloat16)
    rows = random_rows(operands)
    whole = interpreter(gradients, operands, rows)
    parts = interpreter(gradients_with_little_scratch, operands, rows)
    assert torch.equal(whole.weight, parts.weight)
    assert torch.equal(whole.bias, parts.bias)


def test_float16_keeps_gradients_below_its_smallest_number(interpreter):
    operands = make_operands(20, 40, 9, torch.float16)
    operands.input.mul_(1e4)
    operands.weight.mul_(1e-4)
    rows = random_rows(operands)
    rows = dataclasses.replace(
        rows, softmax=rows.softmax * 1e-7, target=rows.target * 0
    )
    found = interpreter(gradients, operands, rows)
    # The features bring the gradient of the weight back into the range of float16.
    assert_close(found.weight, reference_gradients(operands, rows)[1], 1e-2)


# -------------------------------------------------------------------------- filter


def peaked_operands():
    """Rows with nearly all probability in a third of the classes, some in another."""
    operands = make_operands(40, 96, 8)
    operands.bias[:32] -= 4
    operands.bias[32:64] -= 16
    operands.target[:] = 64 + operands.target % 32
    return operands


def kept_by_numpy(operands, eps):
    """Number of tiles that hold an entry of |softmax - onehot| of at least eps."""
    logits = operands.input @ operands.weight.T + operands.bias
    distance = torch.softmax(logits, 1)
    distance[torch.arange(operands.n_rows), operands.target] -= 1
    order = torch.argsort(
        operands.weight @ operands.input.mean(0) + operands.bias,
        descending=True,
        stable=True,
    )
    distance = np.abs(distance[:, order].numpy())
    rows, classes = SMALL.rows, SMALL.classes
    return sum(
        distance[i : i + rows, j : j + classes].max() >= eps
        for i in range(0, distance.shape[0], rows)
        for j in range(0, distance.shape[1], classes)
    )


@pytest.mark.parametrize("eps", [0.5, 0.02, 1e-5, 1e-12])
def test_filter_keeps_the_tiles_that_numpy_counts(interpreter, eps):
    operands = peaked_operands()
    rows = random_rows(operands)
    found = interpreter(gradients, operands, rows, ALL, Filter(eps, 1.0))
    assert found.eps == eps
    assert found.kept_tiles == kept_by_numpy(operands, eps)


def test_exact_gradient_where_the_filter_would_drop_too_much(interpreter):
    # All probabilities are 1/384, below the limit and its quarters.
    operands = make_operands(20, 384, 8)
    operands.weight.zero_()
    operands.bias.zero_()
    rows = random_rows(operands)
    found = interpreter(gradients, operands, rows, ALL, Filter(0.1, 2**-7))
    assert found.eps is None
    expected = reference_gradients(operands, rows)
    for a, b in zip((found.input, found.weight, found.bias), expected):
        assert_close(a, b, 1e-12)


def test_filter_lowers_its_limit_before_it_gives_up(interpreter):
    operands = peaked_operands()
    rows = random_rows(operands)
    first = interpreter(gradients, operands, rows, ALL, Filter(0.016, 1.0))
    found = interpreter(gradients, operands, rows, ALL, Filter(0.016, 0.01))
    assert found.eps in (0.004, 0.001)
    assert found.kept_tiles > first.kept_tiles


@pytest.mark.parametrize("needs", [ALL, (False, True, True)])
def test_filtered_gradient_is_off_by_what_was_dropped(interpreter, needs):
    operands = peaked_operands()
    rows = random_rows(operands)
    found = interpreter(gradients, operands, rows, needs, Filter(1e-3, 2**-7))
    exact = reference_gradients(operands, rows)
    n_tiles = -(-40 // SMALL.rows) * (96 // SMALL.classes)
    assert 0 < found.kept_tiles < n_tiles
    # A dropped entry is below eps times the gradient of its row.
    assert ((found.bias - exact[2]).abs() <= rows.softmax.abs().sum() * 1e-3).all()
    assert not torch.equal(found.weight, exact[1])
    assert (found.input is None) == (not needs[0])


# ------------------------------------------------------------ linear_cross_entropy


def compute(input, weight, target, bias, options, impl="triton"):
    """Loss, or losses, and gradients, in whatever process."""
    parts = [x.detach().requires_grad_() for x in (input, weight, bias)]
    loss = linear_cross_entropy(*parts[:2], target, parts[2], impl=impl, **options)
    total = (
        loss[0].sum() + (loss[1] ** 2).sum() if isinstance(loss, tuple) else loss.sum()
    )
    total.backward()
    loss = loss[0] if isinstance(loss, tuple) else loss
    return loss.detach(), [x.grad for x in parts]


def make_problem(n=20, v=70, d=6, dtype=torch.float64):
    operands = make_operands(n, v, d, dtype)
    return operands.input, operands.weight, operands.target, operands.bias


WEIGHTS = torch.linspace(0.5, 2.0, 70, dtype=torch.float64)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"reduction": "sum", "z_loss": 0.1},
        {"reduction": "none", "class_weight": WEIGHTS},
        {"label_smoothing": 0.2},
        {"label_smoothing": 0.2, "class_weight": WEIGHTS},
        {"label_smoothing": 0.2, "class_weight": WEIGHTS, "softcap": 2.0},
        {"sample_weight": WEIGHTS[:20], "softcap": 2.0},
        {"return_lse": True},
    ],
    ids=lambda options: "-".join(options),
)
def test_loss_and_gradients_equal_the_reference(interpreter, options):
    problem = make_problem()
    problem[2][[1, 5]] = -100
    loss, found = interpreter(compute, *problem, options)
    expected_loss, expected = compute(*problem, options, "reference")
    torch.testing.assert_close(loss, expected_loss, rtol=1e-12, atol=1e-12)
    for a, b in zip(found, expected):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_narrow_numbers_are_summed_in_float32(interpreter, dtype):
    problem = make_problem(dtype=dtype)
    loss, found = interpreter(compute, *problem, {"label_smoothing": 0.1})
    wide = [x.double() if x.is_floating_point() else x for x in problem]
    expected_loss, expected = compute(*wide, {"label_smoothing": 0.1}, "reference")
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), expected_loss, rtol=1e-6, atol=0)
    for a, b in zip(found, expected):
        assert a.dtype == dtype
        assert_close(a, b, TOLERANCES[dtype])


def test_filter_and_label_smoothing_go_together(interpreter):
    problem = make_problem()
    problem[3][:40] -= 30
    problem[2][:] = 40 + problem[2] % 30
    options = {"label_smoothing": 0.2, "filter_eps": 1e-6}
    loss, found = interpreter(compute, *problem, options)
    del options["filter_eps"]
    expected_loss, expected = compute(*problem, options, "reference")
    torch.testing.assert_close(loss, expected_loss)
    _, exact = interpreter(compute, *problem, options)
    for a, b, c in zip(found, expected, exact):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-5)
        assert not torch.equal(a, c)


def test_rows_that_are_sure_keep_their_relative_accuracy(interpreter):
    # The target leads by 18: in float32, softmax gives it probability 1 and loss 0.
    input, weight, target, bias = make_problem(dtype=torch.float32)
    weight *= 0.01
    target[:] = 3
    bias[3] = 18 + bias.logsumexp(0)
    problem = input, weight, target, bias
    loss, found = interpreter(compute, *problem, {})
    wide = [x.double() if x.is_floating_point() else x for x in problem]
    expected_loss, expected = compute(*wide, {}, "reference")
    assert 0 < expected_loss < 1e-7
    torch.testing.assert_close(loss.double(), expected_loss, rtol=1e-4, atol=0)
    for a, b in zip(found, expected):
        assert_close(a, b, 1e-4)


def differentiate_twice(input, weight, target, bias):
    input = input.requires_grad_()
    loss = linear_cross_entropy(input, weight, target, bias, impl="triton")
    torch.autograd.grad(loss, input, create_graph=True)


def test_second_derivatives_are_refused(interpreter):
    with pytest.raises(RuntimeError, match="create_graph=True"):
        interpreter(differentiate_twice, *make_problem())


def run_gradcheck(input, weight, target, bias):
    parts = [x.requires_grad_() for x in (input, weight, bias)]
    return torch.autograd.gradcheck(
        lambda input, weight, bias: linear_cross_entropy(
            input, weight, target, bias, softcap=2.0, return_lse=True, impl="triton"
        ),
        parts,
    )


def test_gradcheck(interpreter):
    assert interpreter(run_gradcheck, *make_problem(3, 5, 2))


@pytest.mark.parametrize("shape", [(0, 5, 3), (4, 0, 3), (4, 5, 0)])
def test_sizes_of_zero(interpreter, shape):
    n, v, d = shape
    input, weight = torch.ones(n, d).double(), torch.ones(v, d).double()
    operands = Operands(input, weight, torch.zeros(n).long(), torch.ones(v).double())
    rows = random_rows(operands)
    found = interpreter(gradients, operands, rows)
    for a, b in zip(
        (found.input, found.weight, found.bias), reference_gradients(operands, rows)
    ):
        torch.testing.assert_close(a, b)


def test_one_class_has_loss_zero(interpreter):
    loss, found = interpreter(compute, *make_problem(4, 1, 3), {})
    assert loss == 0
    assert all((x == 0).all() for x in found)


def test_mean_over_no_rows_is_nan_as_in_torch(interpreter):
    input, weight, target, bias = make_problem(1, 5, 3)
    loss, _ = interpreter(compute, input[:0], weight, target[:0], bias, {})
    assert loss.isnan()


# --------------------------------------------------------------------- the devices


def test_tensors_on_the_cpu_are_refused_without_the_interpreter():
    from sklogit.kernels import _triton_kernels

    if _triton_kernels.INTERPRETED:
        pytest.skip("TRITON_INTERPRET is set")
    with pytest.raises(
        ValueError, match="impl='triton' needs tensors on a CUDA device"
    ):
        row_statistics(make_operands(3, 5, 2))


@pytest.mark.parametrize(
    ("dtype", "arch"),
    [
        (torch.bfloat16, 80),
        (torch.float32, 90),
        (torch.float64, 90),
    ],
)
def test_kernels_compile_for_accelerators(dtype, arch, tmp_path, monkeypatch):
    from sklogit.kernels import _triton_kernels as kernels

    if kernels.INTERPRETED:
        pytest.skip("TRITON_INTERPRET is set")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("TRITON_DEFAULT_FP_FUSION", "1")  # or it warns
    for kernel in (
        kernels.statistics_kernel,
        kernels.merge_kernel,
        kernels.input_gradient_kernel,
        kernels.weight_gradient_kernel,
    ):
        assert "cubin" in compile_kernel(kernel, kernels, dtype, arch).asm


def compile_kernel(kernel, kernels, dtype, arch):
    """Compile for a device that need not be there, with all options on."""
    pytest.importorskip("triton", minversion="3.3")
    from triton import compile
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    operands = make_operands(2, 2, 2, dtype, mean=True, softcap=30.0, tiles=None)
    values = {"SPLITS": 4, **operands.arguments(kernels)}
    options = {name: values[name] for name in ("num_warps", "num_stages")}
    short = {torch.bfloat16: "bf16", torch.float32: "fp32", torch.float64: "fp64"}
    number = short[operands.accumulator]
    kinds = dict.fromkeys(["input_ptr", "weight_ptr", "bias_ptr"], short[dtype])
    kinds |= {"target_ptr": "i64", "order_ptr": "i64", "kept_ptr": "i32"}
    signature, constants = {}, {}
    for place, parameter in enumerate(kernel.params):
        name = parameter.name
        if parameter.is_constexpr:
            signature[name] = "constexpr"
            constants[(place,)] = values.get(name, True)
        elif name.endswith("_ptr"):
            signature[name] = "*" + kinds.get(name, number)
        else:
            signature[name] = "fp32" if name == "eps" else "i32"
    source = ASTSource(kernel, signature, constants)
    return compile(source, target=GPUTarget("cuda", arch, 32), options=options)
