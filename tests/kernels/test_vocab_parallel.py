"""The loss over the ranks of a process group: real processes, sockets and gloo."""

import datetime
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch
import torch.distributed as dist
from torch.nn import functional as F

from sklogit.kernels import linear_cross_entropy
from sklogit.kernels._shard import TorchShard
from sklogit.kernels._shards import shard_rows

if not (dist.is_available() and dist.is_gloo_available()):
    pytest.skip("needs torch.distributed with gloo", allow_module_level=True)

# In a rank: its groups, by their number of ranks.
GROUPS = {}


class Ranks:
    """Processes of a group, each of which runs what it is sent."""

    def __init__(self, n_ranks):
        # The store takes a free port and keeps it: nobody else can come first.
        self._store = dist.TCPStore(
            "127.0.0.1", 0, is_master=True, wait_for_workers=False
        )
        context = multiprocessing.get_context("spawn")
        self._pools = [
            ProcessPoolExecutor(1, mp_context=context) for _ in range(n_ranks)
        ]
        with pytest.MonkeyPatch.context() as patch:
            # For kernels of Triton; this process must not see it.
            patch.setenv("TRITON_INTERPRET", "1")
            # A rank imports this module to find functions of it.
            patch.syspath_prepend(str(Path(__file__).resolve().parents[2]))
            starts = [
                pool.submit(start_rank, self._store.port, rank, n_ranks)
                for rank, pool in enumerate(self._pools)
            ]
            for start in starts:
                start.result()

    def __call__(self, function, *args):
        """Call a function in all ranks; return results, or what they raised."""
        futures = [pool.submit(function, *args) for pool in self._pools]
        return [future.exception() or future.result() for future in futures]

    def stop(self):
        for pool in self._pools:
            pool.shutdown()


def start_rank(port, rank, n_ranks):
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        store=dist.TCPStore("127.0.0.1", port, is_master=False),
        rank=rank,
        world_size=n_ranks,
        timeout=datetime.timedelta(seconds=30),
    )
    GROUPS[n_ranks] = dist.group.WORLD
    GROUPS[2] = dist.new_group([0, 1])


@pytest.fixture(scope="module")
def ranks():
    """Three processes, the first two of which are a group, too."""
    ranks = Ranks(3)
    yield ranks
    ranks.stop()


def make_tensors(n, v, d=5, dtype=torch.float64, seed=0):
    """Features, weight, bias and targets in all shards."""
    rng = torch.Generator().manual_seed(seed)
    shapes = (n, d), (v, d), (v,)
    parts = [torch.randn(x, generator=rng, dtype=torch.float64) for x in shapes]
    target = torch.arange(n) * 7919 % v if v else torch.zeros(n).long()
    return [*(x.to(dtype) for x in parts), target]


def compute(n_ranks, tensors, options, impl="auto", frozen=()):
    """Loss, log-sum-exp and gradients of this rank, in a rank."""
    rank = dist.get_rank()
    if rank >= n_ranks:
        return None
    input, weight, bias, target = tensors
    start, stop = shard_rows(len(weight), rank, n_ranks)
    parts = [input.clone(), weight[start:stop].clone(), bias[start:stop].clone()]
    for i, part in enumerate(parts):
        part.requires_grad_(i not in frozen)
    found = linear_cross_entropy(
        parts[0],
        parts[1],
        target,
        parts[2],
        process_group=GROUPS[n_ranks],
        shard_start=start,
        impl=impl,
        **options,
    )
    loss, lse = found if options.get("return_lse") else (found, None)
    total = loss.sum() if lse is None else loss.sum() + (lse**2).sum()
    total.backward()
    lse = None if lse is None else lse.detach()
    return loss.detach(), lse, [part.grad for part in parts]


def reference(tensors, options):
    """Loss, log-sum-exp and gradients from all logits, by autograd."""
    options = dict(options)
    parts = [x.detach().double().requires_grad_() for x in tensors[:3]]
    target = tensors[3]
    logits = F.linear(*parts)
    cap = options.get("softcap")
    if cap is not None:
        logits = cap * torch.tanh(logits / cap)
    counts = target != options.get("ignore_index", -100)
    lse = torch.where(counts, logits.logsumexp(1), 0.0)
    class_weight = options.get("class_weight")
    losses = F.cross_entropy(
        logits,
        target,
        class_weight,
        reduction="none",
        label_smoothing=options.get("label_smoothing", 0.0),
    )
    of_target = counts.double()
    if class_weight is not None:
        of_target = of_target * class_weight[target.clamp(min=0)]
    losses = losses + options.get("z_loss", 0.0) * of_target * lse**2
    sample_weight = options.get("sample_weight", torch.ones(len(target)))
    losses = losses * sample_weight
    reduction = options.get("reduction", "mean")
    loss = losses if reduction == "none" else losses.sum()
    if reduction == "mean":
        loss = loss / (of_target * sample_weight).sum()
    total = loss.sum()
    if options.get("return_lse"):
        total = total + (lse**2).sum()
    total.backward()
    return loss.detach(), lse.detach(), [x.grad for x in parts]


def assert_equal(found, expected, tolerance=1e-12):
    """Compare what the ranks have with the loss and gradients of one process."""
    found = [x for x in found if x is not None]
    for x in found:
        if isinstance(x, Exception):
            raise x
    loss, lse, gradients = expected
    close = {"rtol": tolerance, "atol": tolerance, "check_dtype": False}
    for of_rank in found:
        torch.testing.assert_close(of_rank[0], loss, **close)
        if of_rank[1] is not None:
            torch.testing.assert_close(of_rank[1], lse, **close)
        torch.testing.assert_close(of_rank[2][0], gradients[0], **close)
    for i in (1, 2):
        whole = torch.cat([of_rank[2][i] for of_rank in found])
        torch.testing.assert_close(whole, gradients[i], **close)


# ----------------------------------------------------------------------- equality


@pytest.mark.parametrize("n_ranks", [2, 3])
@pytest.mark.parametrize("n_classes", [101, 64, 2, 1])
@pytest.mark.parametrize("impl", ["auto", "recompute"])
def test_loss_and_gradients_equal_those_of_one_process(ranks, n_ranks, n_classes, impl):
    tensors = make_tensors(13, n_classes)
    found = ranks(compute, n_ranks, tensors, {"chunk_size": 4}, impl)
    assert_equal(found, reference(tensors, {}))


WEIGHTS = torch.linspace(0.5, 2.0, 40, dtype=torch.float64)


@pytest.mark.parametrize("n_ranks", [2, 3])
@pytest.mark.parametrize("impl", ["auto", "recompute"])
@pytest.mark.parametrize(
    "options",
    [
        {"reduction": "sum"},
        {"reduction": "none"},
        {"return_lse": True},
        {"label_smoothing": 0.1},
        {"z_loss": 0.01},
        {"softcap": 2.0},
        {"softcap": 2.0, "label_smoothing": 0.1, "z_loss": 0.01},
        {"class_weight": WEIGHTS},
        {"class_weight": WEIGHTS, "label_smoothing": 0.1, "reduction": "none"},
        {"class_weight": WEIGHTS, "label_smoothing": 0.1, "softcap": 2.0},
        {"sample_weight": WEIGHTS[:13], "z_loss": 0.1},
        {"sample_weight": WEIGHTS[:13] - 0.5, "class_weight": WEIGHTS},
    ],
    ids=lambda options: "-".join(options),
)
def test_options_equal_those_of_one_process(ranks, n_ranks, impl, options):
    tensors = make_tensors(13, 40)
    tensors[3][[2, 7]] = -100
    found = ranks(compute, n_ranks, tensors, {"chunk_size": 5, **options}, impl)
    assert_equal(found, reference(tensors, options))


def test_all_ranks_have_the_same_bits(ranks):
    tensors = make_tensors(30, 101, dtype=torch.float32)
    losses, _, gradients = zip(*ranks(compute, 3, tensors, {}))
    assert len({loss.item() for loss in losses}) == 1
    assert all(torch.equal(gradients[0][0], of_rank[0]) for of_rank in gradients)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)]
)
def test_narrow_numbers_are_summed_in_float32(ranks, dtype, tolerance):
    tensors = make_tensors(13, 40, dtype=dtype)
    found = ranks(compute, 3, tensors, {})
    assert_equal(found, reference(tensors, {}), tolerance)
    loss, _, gradients = found[0]
    assert loss.dtype == torch.float32
    assert [x.dtype for x in gradients] == [dtype] * 3
    # The loss does not round as its gradients do.
    assert abs(loss - reference(tensors, {})[0]) < 1e-5


def test_rows_that_are_sure_keep_their_relative_accuracy(ranks):
    # The target leads by 18: in float32, softmax gives it probability 1 and loss 0.
    tensors = make_tensors(7, 30, dtype=torch.float32)
    tensors[1].mul_(0.01)
    tensors[3][:] = 17
    tensors[2][17] = 18 + tensors[2].logsumexp(0)
    for of_rank in ranks(compute, 3, tensors, {}):
        loss, _, gradients = reference(tensors, {})
        assert 0 < loss < 1e-7
        assert abs(of_rank[0] - loss) < 1e-4 * loss
        error = (of_rank[2][0] - gradients[0]).abs().max()
        assert error < 1e-4 * gradients[0].abs().max()


@pytest.mark.parametrize("fourth_target", [6, 4])
@pytest.mark.parametrize("impl", ["auto", "recompute"])
def test_bias_may_rule_out_all_classes_of_a_rank(ranks, fourth_target, impl):
    tensors = make_tensors(7, 9)
    tensors[2][3:6] = -torch.inf
    tensors[3][:] = torch.tensor([0, 1, 2, fourth_target, 7, 8, 0])
    expected = reference(tensors, {})
    assert expected[0].isinf() == (fourth_target == 4)
    assert_equal(ranks(compute, 3, tensors, {}, impl), expected)


def compute_sequences(tensors):
    """Loss of three-dimensional features, in a rank."""
    input, weight, bias, target = tensors
    start, stop = shard_rows(len(weight), dist.get_rank(), 3)
    return linear_cross_entropy(
        input.reshape(2, 3, -1),
        weight[start:stop],
        target.reshape(2, 3),
        bias[start:stop],
        reduction="none",
        process_group=GROUPS[3],
        shard_start=start,
    )


def test_sequences_have_a_loss_for_each_token(ranks):
    tensors = make_tensors(6, 20)
    expected = reference(tensors, {"reduction": "none"})[0].reshape(2, 3)
    for found in ranks(compute_sequences, tensors):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("frozen", [(0,), (1, 2), (0, 2)])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_parts_may_be_frozen(ranks, frozen, reduction):
    tensors = make_tensors(13, 40)
    options = {"reduction": reduction}
    expected = reference(tensors, options)[2]
    for rank, (_, _, gradients) in enumerate(
        ranks(compute, 3, tensors, options, "auto", frozen)
    ):
        assert [x is None for x in gradients] == [i in frozen for i in range(3)]
        rows = slice(*shard_rows(40, rank, 3))
        for i, gradient in enumerate(gradients):
            if gradient is not None:
                whole = expected[i] if i == 0 else expected[i][rows]
                torch.testing.assert_close(gradient, whole)


def test_filter_leaves_out_no_more_than_allowed(ranks):
    tensors = make_tensors(64, 600)
    tensors[0].mul_(8)
    exact = reference(tensors, {})
    options = {"filter_eps": 2**-12, "max_dropped_mass": 2**-7}
    loss, _, gradients = zip(*ranks(compute, 3, tensors, options))
    torch.testing.assert_close(loss[0], exact[0])
    bias = torch.cat([x[2] for x in gradients])
    assert not torch.equal(bias, exact[2][2])
    # Each row of the softmax minus its target adds up to 0, but for what was dropped.
    assert bias.sum().abs() <= 2**-7
    assert (bias - exact[2][2]).abs().sum() <= 2**-7


def test_bound_of_the_filter_holds_for_all_ranks_together(ranks):
    # Each rank holds small entries of 0.13 in all, 0.4 on three ranks.
    tensors = make_tensors(8, 600)
    small = 0.4 / 597
    tensors[1].zero_()
    tensors[2][:] = torch.tensor(small).log()
    tensors[2][[0, 200, 400]] = torch.tensor(0.2).log().double()
    tensors[3][:] = 200
    options = {"filter_eps": 0.01, "max_dropped_mass": 0.3}
    assert_equal(ranks(compute, 3, tensors, options), reference(tensors, {}))
    loose = ranks(compute, 3, tensors, {"filter_eps": 0.01, "max_dropped_mass": 0.45})
    assert loose[0][2][2][1] == 0


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_no_rows(ranks, reduction):
    tensors = make_tensors(0, 20)
    for loss, _, gradients in ranks(compute, 3, tensors, {"reduction": reduction}):
        assert torch.equal(
            loss.isnan(),
            torch.tensor([], dtype=torch.bool).reshape(loss.shape)
            if reduction == "none"
            else torch.tensor(reduction == "mean"),
        )
        assert gradients[0].shape == (0, 5)
        assert (gradients[1] == 0).all()


def test_mean_over_ignored_rows_is_nan_as_in_torch(ranks):
    tensors = make_tensors(4, 20)
    tensors[3][:] = -100
    for loss, _, _ in ranks(compute, 3, tensors, {}):
        assert loss.isnan()


def test_triton_makes_a_rank_s_part(ranks):
    pytest.importorskip("triton")
    tensors = make_tensors(13, 40)
    for options in (
        {},
        {"label_smoothing": 0.1, "z_loss": 0.1},
        {"label_smoothing": 0.1, "softcap": 2.0, "reduction": "none"},
        {"return_lse": True},
    ):
        found = ranks(compute, 3, tensors, options, "triton")
        assert_equal(found, reference(tensors, options))


def test_triton_and_a_rank_without_classes(ranks):
    pytest.importorskip("triton")
    tensors = make_tensors(5, 2)
    for options in ({}, {"label_smoothing": 0.1}, {"softcap": 2.0}):
        found = ranks(compute, 3, tensors, options, "triton")
        assert_equal(found, reference(tensors, options))


def compute_under_autocast(tensors, options):
    """The same with automatic bfloat16, in a rank."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return compute(3, tensors, options)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_autocast_narrows_what_goes_in_and_nothing_else(ranks, reduction):
    tensors = make_tensors(13, 40, dtype=torch.float32)
    narrow = [x.bfloat16() if x.is_floating_point() else x for x in tensors]
    options = {"reduction": reduction}
    expected = reference(narrow, options)[0]
    for of_rank in ranks(compute_under_autocast, tensors, options):
        torch.testing.assert_close(of_rank[0].double(), expected, rtol=1e-5, atol=1e-5)
        assert [x.dtype for x in of_rank[2]] == [torch.float32] * 3


# ------------------------------------------------------------------------ traffic


def compute_and_count(tensors, options):
    """How often collectives run, and how many numbers they reduce, in a rank."""
    sizes = []
    all_reduce = dist.all_reduce
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            dist,
            "all_reduce",
            lambda x, *args, **kw: [
                sizes.append(x.numel()),
                all_reduce(x, *args, **kw),
            ],
        )
        compute(3, tensors, options)
    return sizes


def test_traffic_does_not_depend_on_the_number_of_classes(ranks):
    # Of n rows: n maxima, n sums beside n target logits; of all: gradients of features.
    for n_classes in (3, 300):
        tensors = make_tensors(6, n_classes, d=5)
        for sizes in ranks(compute_and_count, tensors, {"chunk_size": 3}):
            assert sizes == [3, 6, 3, 6, 30]


def compute_in_little_memory(tensors):
    """The same with chunks that hold 8 logits, in a rank."""
    from sklogit.kernels import _task

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_task, "_CHUNK_BYTES", 64)
        patch.setattr(_task, "_MIN_ROWS", 1)
        return compute_and_count(tensors, {})


def test_chunks_are_as_long_as_the_largest_shard_allows(ranks):
    # Of 4 classes the ranks hold 2, 1 and 1: 4 rows of logits in one, 8 in others.
    for sizes in ranks(compute_in_little_memory, make_tensors(8, 4)):
        assert sizes == [4, 8, 4, 8, 40]


# ----------------------------------------------------------------------- backward


def backward_twice(tensors, reduction):
    """Gradients of two backward passes through one graph, in a rank."""
    input, weight, _, target = tensors
    start, stop = shard_rows(len(weight), dist.get_rank(), 3)
    parts = [x.clone().requires_grad_() for x in (input, weight[start:stop])]
    loss = linear_cross_entropy(
        *parts, target, reduction=reduction, process_group=GROUPS[3], shard_start=start
    ).sum()
    first = torch.autograd.grad(loss, parts, retain_graph=True)
    return [x.clone() for x in first], torch.autograd.grad(3 * loss, parts)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_second_backward_computes_the_gradient_again(ranks, reduction):
    for first, second in ranks(backward_twice, make_tensors(6, 20), reduction):
        for a, b in zip(first, second):
            torch.testing.assert_close(3 * a, b)


def differentiate_twice(tensors, reduction):
    input, weight, _, target = tensors
    start, stop = shard_rows(len(weight), dist.get_rank(), 3)
    loss = linear_cross_entropy(
        input.requires_grad_(),
        weight[start:stop],
        target,
        reduction=reduction,
        process_group=GROUPS[3],
        shard_start=start,
    ).sum()
    torch.autograd.grad(loss, input, create_graph=True)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_second_derivatives_are_refused(ranks, reduction):
    for error in ranks(differentiate_twice, make_tensors(6, 20), reduction):
        assert isinstance(error, RuntimeError)
        assert "create_graph=True" in str(error)


# ------------------------------------------------------------------------- errors


def call_with(changes, n=6, v=9):
    """Call with arguments that some ranks change, in a rank."""
    rank = dist.get_rank()
    input, weight, bias, target = make_tensors(n, v)
    start, stop = shard_rows(v, rank, 3)
    arguments = {
        "input": input,
        "weight": weight[start:stop],
        "target": target,
        "bias": bias[start:stop],
        "process_group": GROUPS[3],
        "shard_start": start,
        **changes.get(rank, {}),
    }
    return linear_cross_entropy(**arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": torch.ones(6).long()}, "target must be the same on all ranks"),
        ({"input": torch.ones(6, 5)}, "rank 1"),
        ({"sample_weight": torch.ones(6)}, "sample_weight must be the same"),
        ({"class_weight": torch.ones(9)}, "class_weight must be the same"),
        ({"bias": None}, "Whether there is a bias must be the same"),
        ({"z_loss": 0.1}, "Each of the other parameters must be the same"),
        ({"return_lse": True}, "Each of the other parameters must be the same"),
        ({"shard_start": 2}, "but they hold 0:3, 2:5, 6:9"),
        ({"shard_start": 4}, "but they hold 0:3, 4:7, 6:9"),
    ],
    ids=lambda x: "-".join(x) if isinstance(x, dict) else "",
)
def test_ranks_that_differ_have_the_same_error(ranks, change, message):
    errors = ranks(call_with, {1: change})
    if "input" in change:  # of another dtype than the weight
        assert isinstance(errors.pop(1), TypeError)
        message = "Rank 1 of process_group refused its arguments"
    for error in errors:
        assert isinstance(error, ValueError)
        assert message in str(error)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_weight": [1.0] * 9}, "class_weight must be a tensor, got list"),
        (
            {"class_weight": torch.ones(9, requires_grad=True)},
            "class_weight must not require a gradient",
        ),
        ({"weight": torch.ones(0, 5).double(), "bias": [1.0]}, "bias must be a"),
        ({"target": "all"}, "target must be a tensor, got str"),
        ({"shard_start": None}, "shard_start must be an integer >= 0, got None"),
    ],
    ids=lambda x: "-".join(x) if isinstance(x, dict) else "",
)
def test_arguments_that_one_rank_has_wrong_let_no_other_wait(ranks, change, message):
    given = {rank: {"class_weight": torch.ones(9)} for rank in range(3)}
    given[1] |= change
    first, second, third = ranks(call_with, given)
    assert message in str(second)
    for error in (first, third):
        assert "Rank 1 of process_group refused its arguments" in str(error)


def test_weights_of_another_number_of_classes_are_told(ranks):
    # Zeros add nothing to a sum.
    given = {rank: {"class_weight": torch.ones(9)} for rank in range(3)}
    given[2] = {"class_weight": torch.cat([torch.ones(9), torch.zeros(1)])}
    for error in ranks(call_with, given):
        assert "class_weight must be the same on all ranks" in str(error)


def test_rows_of_another_number_are_told(ranks):
    change = {"input": torch.ones(4, 5).double(), "target": torch.ones(4).long()}
    for error in ranks(call_with, {2: change}):
        assert "The shape of input must be the same on all ranks" in str(error)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": torch.full((6,), 9)}, "target must be class indices from 0 to 8"),
        ({"class_weight": torch.ones(3)}, "class_weight must have shape (9,)"),
        ({"impl": "reference"}, "impl='reference' cannot be used with process_group"),
        ({"impl": "triton", "filter_eps": 0.1}, "filter_eps=0.1 cannot be used"),
        ({"shard_start": -1}, "shard_start must be an integer >= 0, got -1"),
        ({"reduction": "median"}, "reduction must be one of"),
    ],
    ids=lambda x: "-".join(x) if isinstance(x, dict) else "",
)
def test_wrong_arguments_are_named(ranks, change, message):
    for error in ranks(call_with, dict.fromkeys(range(3), change)):
        assert isinstance(error, ValueError)
        assert message in str(error)


def test_what_is_no_group_is_refused():
    input, weight, _, target = make_tensors(3, 4)
    with pytest.raises(TypeError, match=r"process_group must be .* got 'gloo'"):
        linear_cross_entropy(input, weight, target, process_group="gloo")


def test_no_rank_has_a_class(ranks):
    for error in ranks(call_with, {}, 4, 0):
        assert "weight must have one class at least on some rank" in str(error)


def test_nan_in_one_rank_is_an_error_in_all(ranks):
    bad = torch.full((3, 5), torch.nan, dtype=torch.float64)
    first, second, third = ranks(call_with, {1: {"weight": bad}})
    assert "weight must be finite" in str(second)
    for error in (first, third):
        assert "of another rank of process_group is not finite" in str(error)


def test_errors_leave_the_group_usable(ranks):
    ranks(call_with, {1: {"target": torch.ones(6).long()}})
    tensors = make_tensors(6, 9)
    assert_equal(ranks(compute, 3, tensors, {}), reference(tensors, {}))


def die_in_second_chunk(tensors):
    """Compute with chunks of 2 rows; rank 1 ends within the second, in a rank."""
    if dist.get_rank() == 1:
        calls = []

        def statistics(self, chunk):
            calls.append(chunk)
            if len(calls) == 2:
                os._exit(1)
            return original(self, chunk)

        original, TorchShard.statistics = TorchShard.statistics, statistics
    return compute(3, tensors, {"chunk_size": 2})


def test_rank_that_dies_is_an_error_in_the_others():
    ranks = Ranks(3)
    try:
        first, second, third = ranks(die_in_second_chunk, make_tensors(6, 9))
    finally:
        ranks.stop()
    assert isinstance(second, BrokenProcessPool)
    for rank, error in ((0, first), (2, third)):
        assert isinstance(error, RuntimeError)
        assert (
            "process_group failed in the all-reduce of the rows' maxima, on rank "
            f"{rank} of 3: another rank died"
        ) in str(error)


def wait_for_a_rank_that_sleeps(tensors):
    """Error of a group whose timeout is a second; rank 1 sleeps, in a rank."""
    group = dist.new_group(timeout=datetime.timedelta(seconds=1))
    start, stop = shard_rows(9, dist.get_rank(), 3)
    if dist.get_rank() == 1:
        time.sleep(3)
        return None
    begin = time.monotonic()
    try:
        linear_cross_entropy(
            tensors[0],
            tensors[1][start:stop],
            tensors[3],
            process_group=group,
            shard_start=start,
        )
    except RuntimeError as error:
        return str(error), time.monotonic() - begin


def test_rank_that_does_not_answer_is_an_error_after_the_timeout(ranks):
    first, _, third = ranks(wait_for_a_rank_that_sleeps, make_tensors(6, 9))
    for message, seconds in (first, third):
        assert "process_group failed in the comparison of their arguments" in message
        assert "did not answer within the group's timeout" in message
        assert seconds < 3


# ------------------------------------------------------------------------- shards


@pytest.mark.parametrize("n_classes", [0, 1, 2, 7, 100])
@pytest.mark.parametrize("n_ranks", [1, 2, 3, 8])
def test_shards_hold_all_classes_and_differ_by_one_at_most(n_classes, n_ranks):
    shards = [shard_rows(n_classes, rank, n_ranks) for rank in range(n_ranks)]
    assert [i for a, b in shards for i in range(a, b)] == list(range(n_classes))
    sizes = [b - a for a, b in shards]
    assert max(sizes) - min(sizes) <= 1
    assert sizes == sorted(sizes, reverse=True)
