"""What a row sketch costs for each entry of the data, beside one read of them.

Claims: the block-wise Hadamard sketch, its random numbers included, costs about one
nanosecond an entry: as much as some reads of the data, or as CountSketch, and less
than the Gram matrix at any number of columns. Without numba it is much slower. On
sparse rows, compiled sparse signs are several times faster than SciPy's products.

    python benchmarks/bench_row_sketches.py
"""

import argparse
from functools import partial

import numpy as np
from _common import cpu_times, report, versions
from scipy import sparse
from scipy.linalg import clarkson_woodruff_transform

from sklogit.sketching import sketch_rows
from sklogit.sketching._compiled import compiled_kernels

# 50 MB to 100 MB: more than the caches hold.
SHAPES = [(1 << 18, 50), (1 << 17, 100), (1 << 16, 200), (1 << 14, 500)]
PARTS = {
    "one read": None,
    "Gram matrix": None,
    "SciPy's CountSketch": None,
    "block_srht": {},
    "block_srht, float32": {"dtype": np.float32},
    "block_srht, Fortran order": {"order": "F"},
    "block_srht, no numba": {"compiled": False},
    "srht": {"method": "srht"},
    "gaussian_pooled, one block": {"method": "gaussian_pooled", "block_size": True},
    "dct": {"method": "dct"},
    "sparse_sign": {"method": "sparse_sign"},
    "countsketch": {"method": "countsketch"},
    "gaussian": {"method": "gaussian", "share": 16},
}


def part(
    A,
    m,
    *,
    method="block_srht",
    dtype=np.float64,
    order="C",
    compiled=True,
    block_size=False,
    share=1,
):
    """Return a function that sketches A, or an evenly sized share of it."""
    rows = A[: len(A) // share].astype(dtype, order=order, copy=False)
    options = {"block_size": len(A)} if block_size else {}

    def sketch():
        with compiled_kernels(compiled):
            return sketch_rows(rows, m, method, random_state=0, **options)

    sketch()  # compiles
    return sketch


def dense(shapes, repeats):
    """Nanoseconds of CPU time for each entry of dense matrices."""
    table = {name: {"": name} for name in PARTS}
    for n, d in shapes:
        A, m = np.random.default_rng(0).standard_normal((n, d)), 4 * d + 36
        functions = {
            "one read": partial(A.sum, axis=0),
            "Gram matrix": lambda A=A: A.T @ A,
            "SciPy's CountSketch": partial(clarkson_woodruff_transform, A, m, rng=0),
        }
        for name, options in PARTS.items():
            if options is not None:
                functions[name] = part(A, m, **options)
        times, _ = cpu_times(*functions.values(), repeats=repeats)
        for name, seconds in zip(functions, times):
            share = (PARTS[name] or {}).get("share", 1)
            table[name][f"d={d}"] = seconds * share / A.size * 1e9
    report("row_sketches", list(table.values()))


def chunk_sizes(n, d, repeats):
    """Nanoseconds for each entry against the number of rows of the sketch."""
    A = np.random.default_rng(0).standard_normal((n, d))
    rows = []
    for m in (250, 1000, 4000, 16000):
        times, _ = cpu_times(part(A, m), part(A, m, compiled=False), repeats=repeats)
        numba, numpy = (seconds / A.size * 1e9 for seconds in times)
        rows.append({"rows of the sketch": m, "numba": numba, "no numba": numpy})
    report("row_sketch_sizes", rows)


def sparse_rows(repeats, n=100_000, d=2000, density=0.005):
    """Nanoseconds for each stored entry of a sparse matrix, ten in a row."""
    A = sparse.random_array((n, d), density=density, format="csr", rng=0)
    columns = A.tocsc()
    m, rows = 400, []
    for name, method, nnz in (
        ("sparse_sign", "sparse_sign", 8),
        ("countsketch", "sparse_sign", 1),
    ):
        functions = [
            part_of_sparse(A, m, method, compiled, nnz) for compiled in (True, False)
        ]
        if nnz == 1:
            functions.append(partial(clarkson_woodruff_transform, columns, m, rng=0))
        times, _ = cpu_times(*functions, repeats=repeats)
        numba, numpy, *scipy = (seconds / A.nnz * 1e9 for seconds in times)
        row = {"sketch": name, "numba": numba, "no numba": numpy}
        rows.append({**row, "SciPy's CountSketch, CSC": scipy[0] if scipy else ""})
    report("row_sketches_sparse", rows)


def part_of_sparse(A, m, method, compiled, nnz):
    """Return a function that sketches a sparse matrix."""

    def sketch():
        with compiled_kernels(compiled):
            return sketch_rows(A, m, method, random_state=0, nnz=nnz)

    sketch()
    return sketch


def main():
    """Run all; --quick for a look."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    versions()
    repeats = 1 if quick else 5
    dense([(n >> 4, d) for n, d in SHAPES] if quick else SHAPES, repeats)
    chunk_sizes(1 << (14 if quick else 17), 100, repeats)
    sparse_rows(repeats, n=10_000 if quick else 100_000)


if __name__ == "__main__":
    main()
