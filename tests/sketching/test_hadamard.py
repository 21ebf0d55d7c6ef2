"""The fast Hadamard transform, by NumPy and compiled."""

import threading
import time

import numpy as np
import pytest
from scipy.linalg import hadamard as scipy_hadamard

from sklogit.sketching import _compiled
from sklogit.sketching._compiled import CompiledKernel, compiled_kernels
from sklogit.sketching._hadamard import add_hadamard_rows, fwht, hadamard

DTYPES = [np.float64, np.float32]


def tolerance(dtype, c):
    return {"rtol": 0, "atol": 40 * c * np.finfo(dtype).eps}


@pytest.fixture(params=[False, True], ids=["numpy", "numba"])
def compiled(request):
    if request.param:
        pytest.importorskip("numba")
    with compiled_kernels(request.param):
        yield request.param


@pytest.fixture
def no_patience(monkeypatch):
    monkeypatch.setattr(_compiled, "_patience", 100)


def random_block(rng, c, d, n_rows, dtype=np.float64):
    """Arguments of `add_hadamard_rows`, two thirds of whose rows are taken."""
    m = max(1, 2 * c // 3)
    targets = np.full(c, -1, dtype=np.int32)
    targets[rng.permutation(c)[:m]] = np.arange(m)
    return {
        "Z": rng.standard_normal((n_rows, d)).astype(dtype),
        "signs": rng.choice([-1.0, 1.0], c).astype(dtype),
        "slots": rng.permutation(c).astype(np.int32),
        "targets": targets,
        "weights": rng.standard_normal(c).astype(dtype),
        "out": rng.standard_normal((m, d)).astype(dtype),
        "factor": int(rng.integers(1 << 31)) * 2 + 1,
        "shift": int(rng.integers(1 << 32)),
    }


def by_definition(Z, *, signs, slots, targets, weights, out, factor, shift):
    """What `add_hadamard_rows` leaves in `out`, from the matrix itself."""
    c, W = len(signs), np.zeros((len(signs), Z.shape[1]))
    for j, row in enumerate(Z):
        W[slots[(factor * j + shift) % c]] = signs[j] * row.astype(float)
    transformed = scipy_hadamard(c) @ W
    expected = out.astype(float)
    for i in range(c):
        if targets[i] >= 0:
            expected[targets[i]] += weights[i] * transformed[i]
    return expected


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("c", [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 2048])
def test_fwht_is_the_product_with_sylvesters_matrix(c, dtype, compiled):
    X = np.random.default_rng(c).standard_normal((c, 5)).astype(dtype)
    transformed = fwht(X)
    assert transformed.dtype == dtype
    np.testing.assert_allclose(
        transformed, scipy_hadamard(c) @ X, **tolerance(dtype, c)
    )


def test_hadamard_is_sylvesters_matrix():
    for order in (1, 2, 16, 64):
        np.testing.assert_array_equal(hadamard(order), scipy_hadamard(order))
    assert hadamard(4, np.float32).dtype == np.float32


def test_fwht_twice_multiplies_by_the_length(compiled):
    X = np.random.default_rng(0).standard_normal((256, 7))
    np.testing.assert_allclose(fwht(fwht(X)), 256 * X, atol=1e-10)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_fwht_of_any_axis(axis, compiled):
    X = np.random.default_rng(0).standard_normal((4, 8, 16))
    H = scipy_hadamard(X.shape[axis])
    expected = np.moveaxis(np.tensordot(H, np.moveaxis(X, axis, 0), 1), 0, axis)
    np.testing.assert_allclose(fwht(X, axis), expected, atol=1e-12)


def test_fwht_of_integers_and_vectors_does_not_change_them(compiled):
    x = np.arange(8)
    np.testing.assert_allclose(fwht(x), scipy_hadamard(8) @ x)
    np.testing.assert_array_equal(x, np.arange(8))
    X = np.ones((8, 3))
    fwht(X)
    np.testing.assert_array_equal(X, 1)


@pytest.mark.parametrize("n", [0, 3, 12])
def test_fwht_refuses_other_lengths(n):
    with pytest.raises(ValueError, match=rf"axis 1 must be a power of two; got {n}"):
        fwht(np.ones((2, n)), axis=1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("c", "d", "n_rows"),
    [
        (1, 3, 1),
        (8, 1, 5),
        (64, 50, 64),
        (128, 9, 1),
        (1024, 17, 1000),
        (1024, 300, 1024),  # several tiles of columns
        (8192, 40, 8000),  # passes between the first and the last
    ],
)
def test_rows_of_a_block_are_those_of_the_definition(c, d, n_rows, dtype, compiled):
    block = random_block(np.random.default_rng(c + d), c, d, n_rows, dtype)
    expected = by_definition(**block)
    add_hadamard_rows(**block)
    np.testing.assert_allclose(block["out"], expected, **tolerance(dtype, c))


def test_several_rows_of_the_transform_can_share_a_target(compiled):
    block = random_block(np.random.default_rng(0), 128, 6, 100)
    block["targets"] = np.random.default_rng(1).permutation(128).astype(np.int32) % 11
    block["targets"][::17] = -1
    block["out"] = np.zeros((11, 6))
    expected = by_definition(**block)
    add_hadamard_rows(**block)
    np.testing.assert_allclose(block["out"], expected, atol=1e-10)


@pytest.mark.parametrize("c", [32, 512, 4096])
@pytest.mark.parametrize("dtype", DTYPES)
def test_numba_and_numpy_give_the_same_bits(c, dtype):
    pytest.importorskip("numba")
    block = random_block(np.random.default_rng(c), c, 70, c - 3, dtype)
    outputs = []
    for enabled in (False, True):
        out = block["out"].copy()
        with compiled_kernels(enabled):
            add_hadamard_rows(**{**block, "out": out})
        outputs.append(out)
    np.testing.assert_array_equal(*outputs)


def in_memory_of_a_file(Z):
    """Rows that start at an odd address."""
    raw = np.zeros(Z.nbytes + 1, dtype=np.uint8)
    view = raw[1:].view(Z.dtype).reshape(Z.shape)
    view[...] = Z
    return view


def read_only(Z):
    Z = Z.copy()
    Z.flags.writeable = False
    return Z


@pytest.mark.parametrize(
    "layout",
    [
        np.asfortranarray,
        lambda Z: np.repeat(Z, 2, axis=0)[::2],
        lambda Z: np.repeat(Z, 2, axis=1)[:, ::2],
        lambda Z: Z[::-1].copy()[::-1],
        lambda Z: np.pad(Z, ((0, 0), (2, 3)), constant_values=np.nan)[:, 2:-3],
        in_memory_of_a_file,
        read_only,
    ],
    ids=["fortran", "rows", "columns", "reversed", "slice", "unaligned", "read-only"],
)
def test_layout_of_the_block_does_not_matter(layout, compiled):
    block = random_block(np.random.default_rng(0), 128, 21, 120)
    expected = by_definition(**block)
    block["Z"] = layout(block["Z"])
    before = block["Z"].copy()
    add_hadamard_rows(**block)
    np.testing.assert_allclose(block["out"], expected, atol=1e-10)
    np.testing.assert_array_equal(block["Z"], before)


def test_one_row_repeated_by_a_stride_of_zero(compiled):
    block = random_block(np.random.default_rng(0), 64, 5, 1)
    block["Z"] = np.broadcast_to(block["Z"], (64, 5))
    expected = by_definition(**block)
    add_hadamard_rows(**block)
    np.testing.assert_allclose(block["out"], expected, atol=1e-10)


def test_no_rows_and_no_columns_add_nothing(compiled):
    block = random_block(np.random.default_rng(0), 64, 5, 0)
    before = block["out"].copy()
    add_hadamard_rows(**block)
    np.testing.assert_array_equal(block["out"], before)
    assert fwht(np.ones((8, 0))).shape == (8, 0)


def test_nothing_beyond_the_block_is_read(compiled, tmp_path):
    # The last row ends with the last page of a file: to read on would be a crash.
    block = random_block(np.random.default_rng(0), 512, 5, 512)
    np.asarray(block["Z"]).tofile(tmp_path / "rows")
    assert (tmp_path / "rows").stat().st_size % 4096 == 0
    expected = by_definition(**block)
    block["Z"] = np.memmap(tmp_path / "rows", mode="r", shape=(512, 5), dtype=float)
    add_hadamard_rows(**block)
    np.testing.assert_allclose(block["out"], expected, atol=1e-10)


def test_nothing_beyond_the_sum_is_written(compiled):
    block = random_block(np.random.default_rng(0), 64, 5, 64)
    block["weights"] = np.abs(block["weights"])
    m = len(block["out"])
    memory = np.full(m * 5 + 100, -0.0)
    block["out"] = memory[: m * 5].reshape(m, 5)
    add_hadamard_rows(**block)
    # Even a zero, added, would take the sign away.
    assert np.signbit(memory[m * 5 :]).all()


def test_threads_do_not_disturb_each_other(compiled):
    blocks = [random_block(np.random.default_rng(i), 512, 30, 512) for i in range(4)]
    expected = [by_definition(**block) for block in blocks]

    def work(block):
        first = block["out"].copy()
        for _ in range(20):
            block["out"][...] = first
            add_hadamard_rows(**block)

    threads = [threading.Thread(target=work, args=(block,)) for block in blocks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for block, result in zip(blocks, expected):
        np.testing.assert_allclose(block["out"], result, atol=1e-10)


# -- when a kernel is compiled ---------------------------------------------------------


def test_a_kernel_is_compiled_when_numpy_has_done_enough(no_patience):
    pytest.importorskip("numba")
    kernel = CompiledKernel("_philox_numba", "sign_kernel")
    dtype = np.dtype(np.float64)
    assert kernel.get(dtype, 60) is None
    assert kernel.get(dtype, 39) is None
    assert callable(kernel.get(dtype, 1))
    assert callable(kernel.get(dtype, 0))
    # Each type is compiled for itself.
    assert kernel.get(np.dtype(np.float32), 60) is None


def test_without_numba_numpy_does_all(no_patience):
    kernel = CompiledKernel("_a_module_whose_import_fails", "factory")
    for _ in range(3):
        assert kernel.get(np.dtype(np.float64), 1000) is None


def test_a_kernel_is_compiled_once_by_many_threads(no_patience, monkeypatch):
    kernel = CompiledKernel("module", "factory")
    made = []

    def compile_slowly(dtype):
        time.sleep(0.05)
        made.append(dtype)
        return print

    monkeypatch.setattr(kernel, "_compile", compile_slowly)

    def get():
        assert kernel.get(np.dtype(np.float64), 1000) is print

    threads = [threading.Thread(target=get) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1


def test_a_folder_that_cannot_be_written_to_only_costs_the_cache(monkeypatch):
    numba = pytest.importorskip("numba")
    njit = numba.njit

    def refuse_to_cache(*args, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(*args, **options)

    monkeypatch.setattr(numba, "njit", refuse_to_cache)
    signature = numba.types.float64(numba.types.float64)
    assert _compiled.compile_kernel(lambda x: x + 1, signature)(1.0) == 2.0
