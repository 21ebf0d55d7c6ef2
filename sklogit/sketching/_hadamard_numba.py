"""Compiled kernels of the block-wise Hadamard sketch; imported only with numba.

Radix-2 to radix-16 butterflies run over the rows of a block while vector registers
run along its columns. They are emitted as vector instructions: the compiler cannot
prove that the rows of one butterfly do not overlap, and would leave them scalar.
All levels are taken in ascending order of their stride, and no multiplication is
fused with an addition, so that the NumPy path gives the same bits.
"""

from functools import lru_cache

import numpy as np
from llvmlite import binding, ir
from numba import njit, types
from numba.extending import intrinsic

from ._compiled import compile_kernel

# Registers of 64 bytes hold the 16 rows of a butterfly on AVX-512; elsewhere vectors
# of 32 bytes keep 8 rows within the 16 registers of AVX2 (or pairs of those of NEON).
_WIDE = binding.get_host_cpu_features().get("avx512f", False)
_VECTOR_BYTES = 64 if _WIDE else 32
_LAST_LEVELS = 4 if _WIDE else 3
# Rows of this many butterfly levels stay within the first-level cache.
_INNER_LEVELS = 6
_INNER_ROWS = 1 << _INNER_LEVELS
# Bytes of the copy of a tile of columns: half a second-level cache. Rows of many
# columns are worth more than the cache, until the copy takes too much memory.
_TILE_BYTES = 1 << 19
_ROW_BYTES = 1 << 10
_MOST_TILE_BYTES = 1 << 26
# How many rows ahead the block is fetched from memory.
_ROWS_AHEAD = 16
_LINE_BYTES = 64


def _vector_type(array_type):
    item = ir.DoubleType() if array_type.dtype.bitwidth == 64 else ir.FloatType()
    return ir.VectorType(item, 8 * _VECTOR_BYTES // array_type.dtype.bitwidth)


def _vector_at(context, builder, array_type, array, index):
    """Pointer to the vector that starts at a flat index of a contiguous array."""
    data = context.make_array(array_type)(context, builder, array).data
    vector = _vector_type(array_type)
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


def _splat(builder, scalar, vector):
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None)
    return builder.shuffle_vector(first, undefined, lanes)


def _butterfly(builder, rows):
    half = 1
    while half < len(rows):
        for i in range(len(rows)):
            if not i & half:
                a, b = rows[i], rows[i + half]
                rows[i], rows[i + half] = builder.fadd(a, b), builder.fsub(a, b)
        half *= 2
    return rows


def _make_radix(n_rows):
    @intrinsic
    def radix(typingctx, source, start, stride, target, first, step):
        """Transform vectors of source[start::stride] into target[first::step]."""
        index = types.intp
        signature = types.void(source, index, index, target, index, index)

        def codegen(context, builder, signature, args):
            kind, goal = signature.args[0], signature.args[3]
            align = kind.dtype.bitwidth // 8
            rows, at = [], args[1]
            for _ in range(n_rows):
                pointer = _vector_at(context, builder, kind, args[0], at)
                rows.append(builder.load(pointer, align=align))
                at = builder.add(at, args[2])
            at = args[4]
            for row in _butterfly(builder, rows):
                pointer = _vector_at(context, builder, goal, args[3], at)
                builder.store(row, pointer, align=align)
                at = builder.add(at, args[5])

        return signature, codegen

    return radix


_radix2, _radix4, _radix8, _radix16 = map(_make_radix, (2, 4, 8, 16))


@intrinsic
def _scale(typingctx, source, start, factor, valid, target, first):
    """Set a vector of the target to that of the source times a number.

    All but the first `valid` lanes become zero.
    """
    index = types.intp
    signature = types.void(source, index, source.dtype, index, target, index)

    def codegen(context, builder, signature, args):
        kind, goal = signature.args[0], signature.args[4]
        align, vector = kind.dtype.bitwidth // 8, _vector_type(kind)
        pointer = _vector_at(context, builder, kind, args[0], args[1])
        row = builder.load(pointer, align=align)
        row = builder.fmul(row, _splat(builder, args[2], vector))
        lanes = ir.VectorType(args[3].type, vector.count)
        numbers = ir.Constant(lanes, list(range(vector.count)))
        kept = builder.icmp_signed("<", numbers, _splat(builder, args[3], lanes))
        row = builder.select(kept, row, ir.Constant(vector, None))
        pointer = _vector_at(context, builder, goal, args[4], args[5])
        builder.store(row, pointer, align=align)

    return signature, codegen


@intrinsic
def _add_scaled(typingctx, source, start, factor, target, first):
    """Add a vector of the source times a number to that of the target."""
    index = types.intp
    signature = types.void(source, index, source.dtype, target, index)

    def codegen(context, builder, signature, args):
        kind, goal = signature.args[0], signature.args[3]
        align = kind.dtype.bitwidth // 8
        pointer = _vector_at(context, builder, kind, args[0], args[1])
        factor = _splat(builder, args[2], _vector_type(kind))
        row = builder.fmul(builder.load(pointer, align=align), factor)
        pointer = _vector_at(context, builder, goal, args[3], args[4])
        row = builder.fadd(builder.load(pointer, align=align), row)
        builder.store(row, pointer, align=align)

    return signature, codegen


@intrinsic
def _prefetch(typingctx, array, index):
    """Ask for the cache line of an element; it may lie beyond the array."""
    signature = types.void(array, types.intp)

    def codegen(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        pointer = builder.bitcast(builder.gep(data, [args[1]]), byte)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        # To be read, with the highest locality, from the data cache.
        builder.call(prefetch, [pointer, *(ir.Constant(word, k) for k in (0, 3, 1))])

    return signature, codegen


@njit(nogil=True, error_model="numpy")
def _load(Z, first, width, signs, slots, factor, shift, tile, pitch, gap):
    """Write signed rows of a tile of columns, permuted, into its copy."""
    n_rows, c = Z.shape[0], len(signs)
    lanes, line = _VECTOR_BYTES // Z.itemsize, _LINE_BYTES // Z.itemsize
    stride = Z.strides[0] // Z.itemsize
    # Vectors may read on into the next row, but not beyond the last one.
    end = (n_rows - 1) * stride + Z.shape[1]
    n_whole = (end - first - pitch) // stride + 1 if stride else 0
    n_whole = min(n_rows, max(0, n_whole))
    for i in range(n_whole):
        to = _place(slots, i, factor, shift, c, pitch, gap)
        at = i * stride + first
        ahead = at + _ROWS_AHEAD * stride
        for j in range(0, width, line):
            _prefetch(Z, ahead + j)
        for j in range(0, pitch, lanes):
            _scale(Z, at + j, signs[i], width - j, tile, to + j)
    for i in range(n_whole, c):
        to = _place(slots, i, factor, shift, c, pitch, gap)
        for j in range(pitch):
            inside = i < n_rows and j < width
            tile[to + j] = signs[i] * Z[i, first + j] if inside else 0


@njit(nogil=True, error_model="numpy")
def _place(slots, i, factor, shift, c, pitch, gap):
    """Start in the tile of row i: an odd factor permutes the integers modulo c."""
    return _start(slots[(factor * i + shift) & (c - 1)], pitch, gap)


@njit(nogil=True, error_model="numpy")
def _start(row, pitch, gap):
    return (row >> _INNER_LEVELS) * gap + (row & (_INNER_ROWS - 1)) * pitch


@njit(nogil=True, error_model="numpy")
def _passes(tile, start, first, last, n_rows, pitch, gap, lanes):
    """Transform some rows: the levels of strides from the first to below the last."""
    half = first
    while half < last:
        radix = min(8, last // half)
        step = half * pitch if half < _INNER_ROWS else (half >> _INNER_LEVELS) * gap
        for group in range(start, start + n_rows, radix * half):
            for i in range(group, group + half):
                at = _start(i, pitch, gap)
                for j in range(at, at + pitch, lanes):
                    if radix == 8:
                        _radix8(tile, j, step, tile, j, step)
                    elif radix == 4:
                        _radix4(tile, j, step, tile, j, step)
                    else:
                        _radix2(tile, j, step, tile, j, step)
        half *= radix


@njit(nogil=True, error_model="numpy")
def _last(tile, half, radix, rows, pitch, gap, lanes, i):
    """Transform rows i, i + half, ... of the tile into `rows`."""
    step = half * pitch if half < _INNER_ROWS else (half >> _INNER_LEVELS) * gap
    at = _start(i, pitch, gap)
    for j in range(0, pitch, lanes):
        if radix == 16:
            _radix16(tile, at + j, step, rows, j, pitch)
        elif radix == 8:
            _radix8(tile, at + j, step, rows, j, pitch)
        elif radix == 4:
            _radix4(tile, at + j, step, rows, j, pitch)
        elif radix == 2:
            _radix2(tile, at + j, step, rows, j, pitch)
        else:
            _scale(tile, at + j, tile.dtype.type(1), lanes, rows, j)


@njit(nogil=True, error_model="numpy")
def _picked(targets, half):
    """List the rows with a target, in the order in which the last pass makes them."""
    rows = np.empty(len(targets), np.int32)
    starts = np.empty(half + 1, np.int64)
    starts[0] = n = 0
    for i in range(half):
        for row in range(i, len(targets), half):
            # No branch: whether a row is taken cannot be predicted.
            rows[n] = row
            n += targets[row] >= 0
        starts[i + 1] = n
    return rows, starts


@njit(nogil=True, error_model="numpy")
def _add(rows, picked, part, level, targets, weights, out, first, width, pitch):
    """Add weighted rows of a last pass to their targets."""
    flat, d = out.reshape(-1), out.shape[1]
    lanes = _VECTOR_BYTES // out.itemsize
    for p in range(part[0], part[1]):
        row = picked[p]
        weight = weights[row]
        at = targets[row] * d + first
        start = (row >> level) * pitch
        if at + pitch <= len(flat):
            # The columns past the width are zeros: what follows stays as it is.
            for j in range(0, pitch, lanes):
                _add_scaled(rows, start + j, weight, flat, at + j)
        else:
            for j in range(width):
                flat[at + j] += weight * rows[start + j]


@njit(nogil=True, error_model="numpy")
def _first_passes(tile, c, half, pitch, gap, lanes):
    """Transform the tile, but for the levels of strides from `half` on."""
    inner = min(c, _INNER_ROWS)
    for start in range(0, c, inner):
        _passes(tile, start, 1, inner, inner, pitch, gap, lanes)
    _passes(tile, 0, inner, half, c, pitch, gap, lanes)


def _block(Z, signs, slots, factor, shift, targets, weights, out):
    c, d = len(signs), Z.shape[1]
    lanes = _VECTOR_BYTES // Z.itemsize
    row_bytes = min(_ROW_BYTES, max(_MOST_TILE_BYTES // c, _VECTOR_BYTES))
    most = max(_TILE_BYTES // c, row_bytes) // Z.itemsize
    n_tiles = (d + most - 1) // most
    share = (d + n_tiles - 1) // n_tiles  # tiles as equal as whole vectors allow
    most = (share + lanes - 1) // lanes * lanes
    inner = min(c, _INNER_ROWS)
    gap = inner * most + lanes  # not a power of two, or all rows would share a line
    half = max(inner, c >> _LAST_LEVELS)
    tile = np.empty(c // inner * gap, Z.dtype)
    rows = np.empty(c // half * most, Z.dtype)
    picked, starts = _picked(targets, half)
    level = 0
    while 1 << level < half:
        level += 1
    for first in range(0, d, most):
        width = min(most, d - first)
        pitch = (width + lanes - 1) // lanes * lanes
        _load(Z, first, width, signs, slots, factor, shift, tile, pitch, gap)
        _first_passes(tile, c, half, pitch, gap, lanes)
        for i in range(half):
            _last(tile, half, c // half, rows, pitch, gap, lanes, i)
            part = starts[i], starts[i + 1]
            _add(rows, picked, part, level, targets, weights, out, first, width, pitch)


@lru_cache
def block_kernel(dtype):
    """Return the compiled `add_hadamard_rows` for float32 or float64."""
    real = types.float64 if dtype == np.float64 else types.float32
    # One layout for all blocks, of any order and also of read-only files.
    block = types.Array(real, 2, "A", readonly=True)
    factors = types.Array(real, 1, "C", readonly=True)
    indices = types.Array(types.int32, 1, "C", readonly=True)
    arguments = (block, factors, indices, types.int64, types.int64, indices, factors)
    return compile_kernel(_block, types.void(*arguments, types.Array(real, 2, "C")))
