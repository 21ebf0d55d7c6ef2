"""Linear cross-entropy against torch's loss of all logits."""

import math
import pickle
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sklogit.kernels import _products, _task, linear_cross_entropy

from .common import dense, gradients, problem

EXACT = ["chunk", "recompute", "reference"]


@pytest.fixture
def small_tiles(monkeypatch):
    """Let small problems have many tiles."""
    monkeypatch.setattr(_task, "_TILE_ENTRIES", 1)
    monkeypatch.setattr(_task, "_MIN_TILE", 16)


def assert_same(ours, theirs, tensors, tolerance, upstream=None):
    """Compare values and gradients, relative to the largest entry."""
    pairs = zip(
        (ours, *gradients(ours, tensors, upstream)),
        (theirs, *gradients(theirs, tensors, upstream)),
    )
    for a, b in pairs:
        assert a.shape == b.shape
        scale = b.abs().max().clamp_min(1e-3) if b.numel() else 1
        torch.testing.assert_close(a / scale, b / scale, rtol=0, atol=tolerance)


# -- the same as torch ---------------------------------------------------------------


@pytest.mark.parametrize("impl", EXACT)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("n_classes", [1, 2, 101, 1000])
@pytest.mark.parametrize("n", [1, 7, 64, 130])
def test_loss_and_gradients_equal_those_of_torch(n, n_classes, bias, impl):
    *head, target = problem(n, n_classes, bias=bias)
    theirs = dense(head[0], head[1], target, head[2])
    for chunk_size in (1, 3, 64, n, "auto"):
        ours = linear_cross_entropy(
            head[0], head[1], target, head[2], chunk_size=chunk_size, impl=impl
        )
        assert_same(ours, theirs, head, 1e-12)


@pytest.mark.parametrize("impl", ["chunk", "recompute"])
@pytest.mark.parametrize("n_features", [1, 8, 65])
def test_single_precision_is_as_exact_as_its_rounding(n_features, impl):
    *head, target = problem(130, 1000, n_features, dtype=torch.float32)
    ours = linear_cross_entropy(head[0], head[1], target, head[2], impl=impl)
    wide = [x.detach().double().requires_grad_() for x in head]
    theirs = dense(wide[0], wide[1], target, wide[2])
    assert ours.dtype == torch.float32
    for a, b in zip((ours, *gradients(ours, head)), (theirs, *gradients(theirs, wide))):
        scale = b.abs().max()
        torch.testing.assert_close(a.double() / scale, b / scale, rtol=0, atol=1e-5)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("impl", EXACT)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("softcap", [None, 2.0])
def test_options_equal_those_of_torch(
    softcap, label_smoothing, impl, reduction, small_tiles
):
    generator = torch.Generator().manual_seed(1)
    class_weight = torch.rand(101, generator=generator, dtype=torch.float64)
    upstream = None
    if reduction == "none":
        upstream = torch.randn(50, generator=generator, dtype=torch.float64)
    for z_loss in (0.0, 0.01):
        for weight in (None, class_weight):
            *head, target = problem(50, 101, 7)
            target[::7] = 3
            parameters = {
                "softcap": softcap,
                "label_smoothing": label_smoothing,
                "reduction": reduction,
                "z_loss": z_loss,
                "class_weight": weight,
                "ignore_index": 3,
            }
            theirs = dense(head[0], head[1], target, head[2], **parameters)
            ours = linear_cross_entropy(
                head[0],
                head[1],
                target,
                head[2],
                impl=impl,
                chunk_size=16,
                **parameters,
            )
            assert_same(ours, theirs, head, 1e-12, upstream)


@pytest.mark.parametrize("impl", EXACT)
def test_a_weight_of_k_is_the_same_as_k_rows(impl):
    features, weight, bias, target = problem(20, 11)
    times = torch.arange(20) % 4
    once = linear_cross_entropy(
        features, weight, target, bias, sample_weight=times.double(), impl=impl
    )
    repeated = linear_cross_entropy(
        features.repeat_interleave(times, dim=0),
        weight,
        target.repeat_interleave(times),
        bias,
        impl=impl,
    )
    assert_same(once, repeated, (features, weight, bias), 1e-13)


@pytest.mark.parametrize("impl", EXACT)
def test_weights_of_rows_and_of_classes_multiply(impl):
    features, weight, bias, target = problem(20, 11)
    of_rows, of_classes = torch.rand(20).double(), torch.rand(11).double()
    ours = linear_cross_entropy(
        features,
        weight,
        target,
        bias,
        sample_weight=of_rows,
        class_weight=of_classes,
        impl=impl,
    )
    w = of_rows * of_classes[target]
    rows = dense(features, weight, target, bias, reduction="none")
    assert_same(ours, (w * rows).sum() / w.sum(), (features, weight, bias), 1e-12)


def test_positions_of_sequences_are_rows():
    features, weight, bias, target = problem(24, 11)
    flat = linear_cross_entropy(features, weight, target, bias, reduction="none")
    ours = linear_cross_entropy(
        features.reshape(2, 3, 4, 5),
        weight,
        target.reshape(2, 3, 4),
        bias,
        reduction="none",
    )
    torch.testing.assert_close(ours, flat.reshape(2, 3, 4))


def test_one_row_may_have_no_dimension_of_rows():
    features, weight, bias, target = problem(1, 11)
    ours = linear_cross_entropy(features[0], weight, target[0], bias)
    torch.testing.assert_close(ours, dense(features, weight, target, bias))


def test_targets_of_other_integers():
    features, weight, bias, target = problem(9, 11)
    wide = linear_cross_entropy(features, weight, target, bias)
    for dtype in (torch.int32, torch.uint8):
        ours = linear_cross_entropy(features, weight, target.to(dtype), bias)
        torch.testing.assert_close(ours, wide)


@pytest.mark.parametrize("impl", ["chunk", "recompute"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tensors_need_not_be_contiguous(dtype, impl, small_tiles):
    features, weight, bias, target = problem(40, 101, 6, dtype=dtype)
    expected = linear_cross_entropy(features, weight, target, bias, impl=impl)
    expected = (expected, *gradients(expected, (features, weight, bias)))
    columns = features.detach().T.contiguous().T.requires_grad_()
    spaced = torch.zeros(202, 12, dtype=dtype)[::2, ::2].copy_(weight.detach())
    spaced = spaced.detach().requires_grad_()
    apart = torch.zeros(101, 2, dtype=dtype)[:, 0].copy_(bias.detach())
    apart = apart.detach().requires_grad_()
    every_other = torch.zeros(80, dtype=torch.long)[::2].copy_(target)
    assert not any(x.is_contiguous() for x in (columns, spaced, apart, every_other))
    ours = linear_cross_entropy(columns, spaced, every_other, apart, impl=impl)
    ours = (ours, *gradients(ours, (columns, spaced, apart)))
    torch.testing.assert_close(ours, expected)


# -- what must not matter ------------------------------------------------------------


@pytest.mark.parametrize("impl", ["chunk", "recompute"])
def test_tiles_and_chunks_do_not_matter(impl, monkeypatch):
    *head, target = problem(60, 300)
    losses = []
    for size in (1, 7, 64, 1000):
        monkeypatch.setattr(_task, "_TILE_ENTRIES", 1)
        monkeypatch.setattr(_task, "_MIN_TILE", size)
        for chunk_size in (1, 13, 60):
            losses.append(
                linear_cross_entropy(
                    head[0], head[1], target, head[2], impl=impl, chunk_size=chunk_size
                )
            )
    for loss in losses[1:]:
        assert_same(loss, losses[0], head, 1e-13)


def test_logits_that_grow_from_tile_to_tile(small_tiles):
    # Each tile has greater logits than all before, by more than exp can hold.
    features = torch.ones(3, 1, dtype=torch.float64, requires_grad=True)
    weight = (100.0 * torch.arange(160.0).double() - 1e4).unsqueeze(1).requires_grad_()
    target = torch.tensor([159, 158, 0])
    for impl in ("chunk", "recompute"):
        ours = linear_cross_entropy(features, weight, target, impl=impl)
        assert_same(ours, dense(features, weight, target), (features, weight), 1e-12)


def test_the_order_of_the_classes_does_not_matter():
    features, weight, bias, target = problem(30, 50)
    order = torch.randperm(50)
    place = order.argsort()
    loss = linear_cross_entropy(features, weight, target, bias)
    other = linear_cross_entropy(features, weight[order], place[target], bias[order])
    assert_same(other, loss, (features, weight, bias), 1e-13)


def test_a_constant_in_the_bias_does_not_matter():
    features, weight, bias, target = problem(30, 50)
    loss = linear_cross_entropy(features, weight, target, bias)
    torch.testing.assert_close(
        linear_cross_entropy(features, weight, target, bias + 5.0), loss
    )


@pytest.mark.parametrize("impl", ["chunk", "recompute"])
def test_gradients_of_the_classes_add_up_to_zero(impl):
    *head, target = problem(30, 50)
    loss = linear_cross_entropy(
        head[0], head[1], target, head[2], label_smoothing=0.1, impl=impl
    )
    _, of_weight, of_bias = gradients(loss, head)
    assert of_weight.sum(dim=0).abs().max() < 1e-15
    assert abs(of_bias.sum()) < 1e-15


# -- autograd ------------------------------------------------------------------------


@pytest.mark.parametrize("impl", EXACT)
@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("softcap", [None, 3.0])
def test_gradcheck(softcap, reduction, impl):
    features, weight, bias, target = problem(6, 9, 3)
    target[2] = -100

    def loss(features, weight, bias):
        return linear_cross_entropy(
            features,
            weight,
            target,
            bias,
            reduction=reduction,
            softcap=softcap,
            label_smoothing=0.1,
            z_loss=0.01,
            chunk_size=4,
            impl=impl,
        )

    assert torch.autograd.gradcheck(loss, (features, weight, bias))


def test_lse_can_be_differentiated():
    features, weight, bias, target = problem(6, 9, 3)
    target[2] = -100

    def both(features, weight, bias):
        return linear_cross_entropy(
            features, weight, target, bias, return_lse=True, chunk_size=4
        )

    assert torch.autograd.gradcheck(both, (features, weight, bias))
    lse = both(features, weight, bias)[1]
    expected = F.linear(features, weight, bias).logsumexp(dim=1)
    expected[2] = 0
    torch.testing.assert_close(lse, expected)


@pytest.mark.parametrize("impl", ["chunk", "recompute"])
@pytest.mark.parametrize("needed", range(1, 8))
def test_only_the_gradients_that_are_needed(needed, impl):
    *head, target = problem(20, 11)
    for i, tensor in enumerate(head):
        tensor.requires_grad_(bool(needed >> i & 1))
    trained = [x for x in head if x.requires_grad]
    ours = linear_cross_entropy(head[0], head[1], target, head[2], impl=impl)
    theirs = dense(head[0], head[1], target, head[2])
    assert_same(ours, theirs, trained, 1e-12)


def test_without_gradients_there_is_no_graph():
    features, weight, bias, target = problem(20, 11)
    with torch.no_grad():
        assert not linear_cross_entropy(features, weight, target, bias).requires_grad
    frozen = [x.detach() for x in (features, weight, bias)]
    loss = linear_cross_entropy(frozen[0], frozen[1], target, frozen[2])
    assert not loss.requires_grad
    torch.testing.assert_close(loss, dense(*frozen[:2], target, frozen[2]))


@pytest.mark.parametrize("impl", ["chunk", "recompute"])
def test_a_second_backward_pass_gives_the_same(impl):
    *head, target = problem(20, 11)
    loss = linear_cross_entropy(head[0], head[1], target, head[2], impl=impl)
    passes = [torch.autograd.grad(loss, head, retain_graph=True) for _ in range(3)]
    assert all(torch.equal(a, b) for p in passes[1:] for a, b in zip(p, passes[0]))


def test_a_gradient_is_multiplied_by_what_comes_in():
    *head, target = problem(20, 11)
    loss = linear_cross_entropy(head[0], head[1], target, head[2])
    thrice = torch.autograd.grad(3 * loss, head, retain_graph=True)
    twice = torch.autograd.grad(2 * loss, head, retain_graph=True)
    once = torch.autograd.grad(loss, head)
    for a, b, c in zip(once, twice, thrice):
        torch.testing.assert_close(b, 2 * a)
        torch.testing.assert_close(c, 3 * a)


@pytest.mark.parametrize("impl", ["chunk", "recompute"])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_second_derivatives_are_refused(reduction, impl):
    *head, target = problem(6, 9, 3)
    loss = linear_cross_entropy(
        head[0], head[1], target, head[2], reduction=reduction, impl=impl
    )
    with pytest.raises(RuntimeError, match=r"create_graph=True.*impl='reference'"):
        torch.autograd.grad(loss.sum(), head, create_graph=True)


def test_the_reference_has_second_derivatives():
    features, weight, bias, target = problem(4, 5, 3)

    def loss(features, weight, bias):
        return linear_cross_entropy(features, weight, target, bias, impl="reference")

    assert torch.autograd.gradgradcheck(loss, (features, weight, bias))


def test_a_weight_that_is_used_twice():
    # As with embeddings that are tied to the head.
    _, weight, bias, target = problem(9, 11)
    tokens = torch.arange(9)

    def loss(function):
        return function(torch.tanh(weight[tokens]), weight, target, bias)

    assert_same(loss(linear_cross_entropy), loss(dense), (weight, bias), 1e-12)


# -- extremes ------------------------------------------------------------------------


@pytest.mark.parametrize("impl", ["chunk", "recompute"])
def test_large_logits(impl):
    features, weight, bias, target = problem(20, 30)
    with torch.no_grad():
        features *= 1e4
    ours = linear_cross_entropy(features, weight, target, bias, impl=impl)
    assert ours > 1e3
    # Logits of 1e4 are themselves rounded by 1e-12.
    assert_same(
        ours, dense(features, weight, target, bias), (features, weight, bias), 1e-11
    )


@pytest.mark.parametrize("impl", EXACT)
def test_a_bias_of_minus_infinity_rules_a_class_out(impl, small_tiles):
    features, weight, _, target = problem(20, 60, bias=False)
    target = 33 + target % 27
    theirs = dense(features, weight[33:], target - 33)
    for others in (0.0, -5000.0):
        out = torch.full((60,), others, dtype=torch.float64)
        out[:33] = -math.inf  # the first tiles altogether
        ours = linear_cross_entropy(features, weight, target, out, impl=impl)
        assert_same(ours, theirs, (features, weight), 1e-11)


@pytest.mark.parametrize("impl", EXACT)
def test_the_loss_of_a_class_ruled_out_is_infinite(impl):
    features, weight, bias, _ = problem(2, 5)
    with torch.no_grad():
        bias[3] = -math.inf
    target = torch.tensor([3, 1])
    assert linear_cross_entropy(features, weight, target, bias, impl=impl) == math.inf


@pytest.mark.parametrize("impl", ["chunk", "recompute"])
def test_one_class_has_the_loss_zero(impl):
    *head, target = problem(20, 1)
    loss = linear_cross_entropy(head[0], head[1], target, head[2], impl=impl)
    assert loss == 0
    assert all((x == 0).all() for x in gradients(loss, head))


@pytest.mark.parametrize("impl", EXACT)
@pytest.mark.parametrize("nothing", ["no rows", "all ignored", "no weight"])
def test_nothing_to_average(nothing, impl):
    n = 0 if nothing == "no rows" else 4
    *head, target = problem(n, 11)
    target[:] = -100 if nothing == "all ignored" else 0
    weight = torch.zeros(n) if nothing == "no weight" else None
    for reduction, expected in (("mean", math.nan), ("sum", 0.0)):
        loss = linear_cross_entropy(
            head[0],
            head[1],
            target,
            head[2],
            sample_weight=weight,
            reduction=reduction,
            impl=impl,
        )
        assert loss.item() == pytest.approx(expected, nan_ok=True)
        found = gradients(loss, head)
        assert [x.shape for x in found] == [x.shape for x in head]
        assert all((x == 0).all() for x in found)
    none = linear_cross_entropy(
        head[0], head[1], target, head[2], reduction="none", impl=impl
    )
    assert none.shape == (n,)


@pytest.mark.parametrize("impl", ["chunk", "recompute"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_features_leave_the_bias(dtype, impl, monkeypatch):
    # Which oneDNN refuses to multiply.
    monkeypatch.setattr(_products, "_onednn_is_faster", lambda: True)
    _, _, bias, target = problem(12, 7, dtype=dtype)
    features, weight = bias.new_zeros(12, 0), bias.new_zeros(7, 0)
    ours = linear_cross_entropy(features, weight, target, bias, impl=impl)
    expected = F.cross_entropy(bias.expand(12, 7), target)
    assert_same(ours, expected, (bias,), 8 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("impl", ["chunk", "recompute"])
@pytest.mark.parametrize("gap", [16.0, 22.0, 40.0])
def test_confident_rows_keep_their_precision(gap, impl):
    # log-softmax rounds the loss of such rows to zero.
    weight = torch.eye(50, 8).requires_grad_()
    features = (gap * torch.eye(8)).requires_grad_()
    target = torch.arange(8)
    loss = linear_cross_entropy(features, weight, target, impl=impl)
    others = 49 * math.exp(-gap)
    assert loss.item() == pytest.approx(math.log1p(others), rel=2e-6)
    (of_features,) = torch.autograd.grad(loss, [features])
    expected = -others / (1 + others) / 8
    assert of_features.diagonal().tolist() == pytest.approx([expected] * 8, rel=2e-6)


def test_rows_that_do_not_count_are_not_looked_at():
    features, weight, bias, target = problem(4, 5)
    with torch.no_grad():
        features[1] = math.nan
        features[2] = math.inf
    target[1] = -100
    sample_weight = torch.tensor([1.0, 1.0, 0.0, 1.0])
    loss = linear_cross_entropy(
        features, weight, target, bias, sample_weight=sample_weight
    )
    kept = [0, 3]
    torch.testing.assert_close(loss, dense(features[kept], weight, target[kept], bias))


# -- half precision ------------------------------------------------------------------


@pytest.mark.parametrize("impl", ["chunk", "recompute"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_as_exact_as_its_rounding(dtype, impl):
    *head, target = problem(200, 700, 16, dtype=dtype)
    with torch.no_grad():
        head[0] *= 4  # logits of up to 60, which bfloat16 rounds by 0.1
    loss = linear_cross_entropy(
        head[0], head[1], target, head[2], impl=impl, chunk_size=64
    )
    assert loss.dtype == torch.float32
    wide = [x.detach().float().requires_grad_() for x in head]
    exact = dense(wide[0], wide[1], target, wide[2])
    torch.testing.assert_close(loss, exact, rtol=1e-5, atol=0)
    rounding = torch.finfo(dtype).eps
    for ours, theirs in zip(gradients(loss, head), gradients(exact, wide)):
        assert ours.dtype == dtype
        assert (ours.float() - theirs).norm() < rounding * theirs.norm()


@pytest.mark.parametrize("onednn", [True, False])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_autocasting_is_that_of_linear(reduction, onednn, monkeypatch):
    # And what is computed within is not cast once more.
    monkeypatch.setattr(_products, "_onednn_is_faster", lambda: onednn)
    *head, target = problem(20, 11, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = linear_cross_entropy(
            head[0], head[1], target, head[2], reduction=reduction
        )
    half = [x.detach().bfloat16().requires_grad_() for x in head]
    theirs = linear_cross_entropy(
        half[0], half[1], target, half[2], reduction=reduction
    )
    torch.testing.assert_close(ours, theirs)
    for a, b in zip(gradients(ours.sum(), head), gradients(theirs.sum(), half)):
        assert a.dtype == torch.float32
        torch.testing.assert_close(a, b.float())


@pytest.mark.parametrize("given", [torch.float16, torch.bfloat16, torch.float64])
def test_autocasting_casts_the_other_half_but_not_double(given):
    features, weight, _, target = problem(20, 11, dtype=given)
    parts = [features, weight if given == torch.float64 else weight.float()]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = linear_cross_entropy(*parts, target)
        logits = F.linear(*parts)
    used = torch.float64 if given == torch.float64 else torch.bfloat16
    assert logits.dtype == used
    assert ours.dtype == torch.promote_types(used, torch.float32)
    torch.testing.assert_close(
        ours, linear_cross_entropy(*(x.to(used) for x in parts), target)
    )


# -- torch.compile -------------------------------------------------------------------


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"reduction": "none"},
        {"return_lse": True, "label_smoothing": 0.1},
        {"label_smoothing": 0.1, "z_loss": 0.01, "softcap": 3.0},
        {"filter_eps": 1e-3, "ignore_index": 2},
        {"impl": "reference"},
    ],
    ids=str,
)
def test_a_compiled_module_has_no_graph_break(parameters):
    features, weight, bias, target = problem(20, 11)
    body = nn.Linear(5, 5, dtype=torch.float64)

    def loss(features, weight, bias, target):
        values = linear_cross_entropy(
            body(features), weight, target, bias, **parameters
        )
        if isinstance(values, tuple):
            values = values[0] + values[1].sum()
        return values.sum()

    torch._dynamo.reset()
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    tensors = features, weight, bias, body.weight
    ours = compiled(features, weight, bias, target)
    assert_same(ours, loss(features, weight, bias, target), tensors, 1e-14)
    with torch.no_grad():
        torch.testing.assert_close(compiled(features, weight, bias, target), ours)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_operators_of_torch_are_sound(reduction):
    from sklogit.kernels._arguments import Options, make_task
    from sklogit.kernels._compiled import _arguments

    features, weight, bias, target = problem(6, 9, 3)
    options = Options(reduction=reduction, label_smoothing=0.1)
    task, _ = make_task(options, features.dtype, 9, target, None, None)
    arguments = (features, weight, bias, *_arguments(task))
    if reduction == "mean":
        operator = torch.ops.sklogit.linear_cross_entropy
        arguments = (*arguments, [True, True, True])
    else:
        operator = torch.ops.sklogit.linear_cross_entropy_terms
    torch.library.opcheck(
        operator.default,
        arguments,
        test_utils=("test_schema", "test_faketensor", "test_autograd_registration"),
    )


@pytest.mark.parametrize("impl", EXACT)
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_tensors_without_data_have_a_shape(reduction, impl):
    *head, target = problem(20, 11)
    meta = [x.detach().to("meta").requires_grad_() for x in head]
    target = target.to("meta")
    loss = linear_cross_entropy(
        meta[0], meta[1], target, meta[2], reduction=reduction, impl=impl
    )
    assert loss.device.type == "meta"
    assert loss.shape == (() if reduction == "mean" else (20,))
    found = gradients(loss.sum(), meta)
    assert [x.shape for x in found] == [x.shape for x in head]


# -- memory --------------------------------------------------------------------------

MEMORY = """
import resource, sys, torch
from sklogit.kernels import linear_cross_entropy
torch.set_num_threads(1)
N, D, V = 512, 32, 40_000
features = torch.randn(N, D, requires_grad=True)
weight = torch.randn(V, D, requires_grad=True)
target = torch.randint(V, (N,))
small = [x[:64].detach().requires_grad_() for x in (features, weight)]
linear_cross_entropy(*small, target[:64] % 64).backward()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
linear_cross_entropy(features, weight, target, impl=sys.argv[1]).backward()
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print((after - before) * 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="units of ru_maxrss")
@pytest.mark.parametrize(("impl", "chunks"), [("chunk", 2), ("recompute", 0)])
def test_memory_is_that_of_the_gradients_and_two_chunks(impl, chunks):
    run = subprocess.run(
        [sys.executable, "-c", MEMORY, impl],
        capture_output=True,
        text=True,
        check=True,
    )
    gradients, chunk = 40_000 * 32 * 4 + 512 * 32 * 4, 512 * 40_000 * 4
    # The logits are 82 MB, and with their gradient and log-softmax 246 MB.
    assert int(run.stdout) < gradients + chunks * chunk + 30e6


# -- bad input -----------------------------------------------------------------------


def call(**changed):
    features, weight, bias, target = problem(4, 5, 3)
    given = {"input": features, "weight": weight, "target": target, "bias": bias}
    return linear_cross_entropy(**{**given, **changed})


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"input": [[1.0]]}, TypeError, "input must be a tensor, got list"),
        ({"input": torch.ones(4, 3).long()}, TypeError, "input must hold real numbers"),
        ({"input": torch.ones(4, 2).double()}, ValueError, r"input must have shape"),
        ({"input": torch.ones(4, 3)}, TypeError, "weight must have the dtype of input"),
        ({"bias": torch.ones(5)}, TypeError, "bias must have the dtype of input"),
        ({"bias": torch.ones(4).double()}, ValueError, r"bias must have shape \(5,\)"),
        ({"weight": torch.ones(3).double()}, ValueError, "weight must have shape"),
        (
            {"weight": torch.ones(0, 3).double(), "bias": None},
            ValueError,
            "one class at least",
        ),
        (
            {"weight": torch.ones(5, 3, device="meta").double()},
            ValueError,
            "weight must be on the device of input, cpu, got meta",
        ),
        ({"target": torch.zeros(3).long()}, ValueError, r"target must have shape \(4,"),
        ({"target": torch.zeros(4)}, TypeError, "target must be class indices"),
        ({"target": torch.ones(4).bool()}, TypeError, "target must be class indices"),
        (
            {"target": torch.tensor([0, 5, 9, 1])},
            ValueError,
            r"target must be class indices from 0 to 4, .* found \[5, 9\]",
        ),
        ({"target": torch.tensor([0, -1, 1, 1])}, ValueError, r"found \[-1\]"),
        # What NaN becomes.
        (
            {"target": torch.tensor([0, torch.iinfo(torch.int64).min, 1, 1])},
            ValueError,
            r"target must be class indices .* found \[-9223372036854775807\]",
        ),
        (
            {"input": torch.ones(4, 3).double().to_sparse()},
            TypeError,
            "input must be a dense tensor, got torch.sparse_coo",
        ),
        (
            {"sample_weight": torch.ones(3)},
            ValueError,
            r"sample_weight must have shape \(4,\), got \(3,\)",
        ),
        (
            {"sample_weight": torch.tensor([1.0, -2.0, 1.0, 1.0])},
            ValueError,
            "sample_weight must be finite and not negative, found -2",
        ),
        (
            {"sample_weight": torch.ones(4, requires_grad=True)},
            ValueError,
            "sample_weight must not require a gradient.*reduction='none'",
        ),
        ({"class_weight": torch.ones(4)}, ValueError, r"class_weight must have shape"),
        (
            {"class_weight": torch.full((5,), math.nan)},
            ValueError,
            "class_weight must be finite",
        ),
        ({"reduction": "max"}, ValueError, r"reduction must be one of .* got 'max'"),
        ({"impl": "fast"}, ValueError, r"impl must be one of .* got 'fast'"),
        ({"label_smoothing": 1.5}, ValueError, r"label_smoothing .* \[0, 1\], got 1.5"),
        ({"z_loss": -1}, ValueError, "z_loss must be"),
        ({"softcap": 0}, ValueError, "softcap must be"),
        ({"softcap": 1e-40}, ValueError, "softcap must be .* got 1e-40"),
        ({"softcap": 1e300}, ValueError, r"softcap must be .* got 1e\+300"),
        ({"filter_eps": 1.0}, ValueError, "filter_eps must be"),
        ({"filter_eps": "small"}, ValueError, "filter_eps must be"),
        ({"max_dropped_mass": 2}, ValueError, "max_dropped_mass must be"),
        ({"chunk_size": 0}, ValueError, "chunk_size must be an integer >= 1 or 'auto'"),
        ({"chunk_size": 2.5}, ValueError, "chunk_size must be an integer"),
        ({"ignore_index": 0.5}, ValueError, "ignore_index must be an integer"),
        ({"ignore_index": 2**70}, ValueError, "ignore_index must be .* of 64 bits"),
        (
            {"shard_start": 5},
            ValueError,
            "shard_start must be 0 without process_group.* got 5",
        ),
        (
            {"filter_eps": 0.1, "impl": "reference"},
            ValueError,
            "filter_eps=0.1 cannot be used with impl='reference'",
        ),
        (
            {"filter_eps": 0.1, "softcap": 1.0, "label_smoothing": 0.1},
            ValueError,
            "cannot be used with both softcap and label_smoothing",
        ),
    ],
)
def test_wrong_arguments_are_named(changed, error, message):
    with pytest.raises(error, match=message):
        call(**changed)


@pytest.mark.parametrize("impl", EXACT)
@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("input", math.nan),
        ("input", math.inf),
        ("weight", math.nan),
        ("bias", math.nan),
        ("bias", math.inf),
    ],
)
def test_numbers_that_are_not_finite_are_named(name, value, reduction, impl):
    features, weight, bias, target = problem(4, 5, 3)
    given = {"input": features, "weight": weight, "bias": bias}
    with torch.no_grad():
        given[name][(2, 1)[: given[name].ndim]] = value
    where = r"\(2, 1\)" if name != "bias" else r"\(2,\)"
    with pytest.raises(ValueError, match=f"{name} must be finite, found .* at {where}"):
        linear_cross_entropy(target=target, reduction=reduction, impl=impl, **given)


def test_a_loss_can_be_pickled_by_name():
    assert pickle.loads(pickle.dumps(linear_cross_entropy)) is linear_cross_entropy
