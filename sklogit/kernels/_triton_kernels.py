"""Triton kernels of the linear cross-entropy; `_triton` launches them.

Every kernel makes a tile of logits from tiles of features and of weights, uses it, and
forgets it. No two programs write to the same place: results are summed over splits in
a fixed order, so that they do not depend on which program comes first.
"""

from .._optional import import_optional

triton = import_optional("triton", "impl='triton'")
tl = import_optional("triton.language", "impl='triton'")

# Thirty arguments, one a line, would hide what a kernel does.
# fmt: off


@triton.jit
def logits_tile(
    input_ptr, weight_ptr, bias_ptr, rows, row_mask, classes, class_mask, n_features,
    input_stride_n, input_stride_d, weight_stride_v, weight_stride_d,
    BLOCK_N: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_D: tl.constexpr,
    ACC: tl.constexpr, PRECISION: tl.constexpr, UPCAST: tl.constexpr,
    HAS_BIAS: tl.constexpr, SOFTCAP: tl.constexpr,
):
    """Logits of some rows and classes, (BLOCK_N, BLOCK_V); garbage where masked."""
    features = tl.arange(0, BLOCK_D)
    left_ptr = (
        input_ptr + rows[:, None] * input_stride_n + features[None, :] * input_stride_d
    )
    right_ptr = (
        weight_ptr
        + classes[None, :] * weight_stride_v
        + features[:, None] * weight_stride_d
    )
    logits = tl.zeros((BLOCK_N, BLOCK_V), dtype=ACC)
    for start in range(0, n_features, BLOCK_D):
        inside = features < n_features - start
        left = tl.load(left_ptr, mask=row_mask[:, None] & inside[None, :], other=0.0)
        right = tl.load(
            right_ptr, mask=inside[:, None] & class_mask[None, :], other=0.0
        )
        if UPCAST:  # the interpreter multiplies the bits of bfloat16 as integers
            left = left.to(ACC)
            right = right.to(ACC)
        logits = tl.dot(left, right, logits, input_precision=PRECISION)
        left_ptr += BLOCK_D * input_stride_d
        right_ptr += BLOCK_D * weight_stride_d
    if HAS_BIAS:
        bias = tl.load(bias_ptr + classes, mask=class_mask, other=0.0)
        logits += bias.to(ACC)[None, :]
    if SOFTCAP is not None:
        # tanh(x) = 2 sigmoid(2x) - 1: libdevice's tanh is not in the interpreter.
        logits = SOFTCAP * (2 * tl.sigmoid(2 * (logits / SOFTCAP)) - 1)
    return logits


@triton.jit
def positions_to_classes(order_ptr, positions, mask, HAS_ORDER: tl.constexpr):
    """Classes at some places of the order in which they are visited, as int64."""
    if HAS_ORDER:
        return tl.load(order_ptr + positions, mask=mask, other=0).to(tl.int64)
    return positions.to(tl.int64)


@triton.jit
def statistics_kernel(
    input_ptr, weight_ptr, bias_ptr, target_ptr, coef_ptr, max_ptr, sum_ptr,
    target_logit_ptr, mean_ptr, n_rows, n_classes, n_features, input_stride_n,
    input_stride_d, weight_stride_v, weight_stride_d, classes_a_split,
    BLOCK_N: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_D: tl.constexpr,
    ACC: tl.constexpr, PRECISION: tl.constexpr, UPCAST: tl.constexpr,
    HAS_BIAS: tl.constexpr, HAS_MEAN: tl.constexpr, SOFTCAP: tl.constexpr,
):
    """Statistics of the logits of BLOCK_N rows over one split of the classes.

    Grid (blocks of rows, splits). The target is left out of maximum and sum: what it
    lacks to probability 1 would be lost in a sum that holds it.
    """
    rows = tl.program_id(0).to(tl.int64) * BLOCK_N + tl.arange(0, BLOCK_N)
    row_mask = rows < n_rows
    target = tl.load(target_ptr + rows, mask=row_mask, other=-1)
    largest = tl.full((BLOCK_N,), float("-inf"), dtype=ACC)
    total = tl.zeros((BLOCK_N,), dtype=ACC)
    target_logit = tl.zeros((BLOCK_N,), dtype=ACC)
    mean = tl.zeros((BLOCK_N,), dtype=ACC)
    first = tl.program_id(1) * classes_a_split
    last = tl.minimum(first + classes_a_split, n_classes)
    for start in range(first, last, BLOCK_V):
        classes = (start + tl.arange(0, BLOCK_V)).to(tl.int64)
        class_mask = classes < n_classes
        logits = logits_tile(
            input_ptr, weight_ptr, bias_ptr, rows, row_mask, classes, class_mask,
            n_features, input_stride_n, input_stride_d, weight_stride_v,
            weight_stride_d, BLOCK_N, BLOCK_V, BLOCK_D, ACC, PRECISION, UPCAST,
            HAS_BIAS, SOFTCAP,
        )
        # A target that another rank holds may equal the number of a padded class.
        is_target = (classes[None, :] == target[:, None]) & class_mask[None, :]
        target_logit += tl.sum(tl.where(is_target, logits, 0.0), 1)
        if HAS_MEAN:
            coef = tl.load(coef_ptr + classes, mask=class_mask, other=0.0).to(ACC)
            counts = class_mask[None, :] & (coef[None, :] != 0)
            mean += tl.sum(tl.where(counts, logits * coef[None, :], 0.0), 1)
        others = tl.where(is_target | (class_mask[None, :] == 0), float("-inf"), logits)
        new = tl.maximum(largest, tl.max(others, 1))
        # exp(-inf - -inf) is nan; there is nothing to scale while all are -inf.
        shift = tl.where(new == float("-inf"), 0.0, new)
        total = total * tl.exp(largest - shift)
        total += tl.sum(tl.exp(others - shift[:, None]), 1)
        largest = new
    out = tl.program_id(1).to(tl.int64) * n_rows + rows
    tl.store(max_ptr + out, largest, mask=row_mask)
    tl.store(sum_ptr + out, total, mask=row_mask)
    tl.store(target_logit_ptr + out, target_logit, mask=row_mask)
    if HAS_MEAN:
        tl.store(mean_ptr + out, mean, mask=row_mask)


@triton.jit
def merge_kernel(
    max_ptr, sum_ptr, target_logit_ptr, mean_ptr, lse_out_ptr, target_logit_out_ptr,
    mean_out_ptr, n_rows, n_splits, BLOCK_N: tl.constexpr, SPLITS: tl.constexpr,
    HAS_MEAN: tl.constexpr,
):
    """Merge the statistics of the splits of BLOCK_N rows; SPLITS is a power of 2."""
    rows = tl.program_id(0).to(tl.int64) * BLOCK_N + tl.arange(0, BLOCK_N)
    splits = tl.arange(0, SPLITS)
    row_mask = rows < n_rows
    mask = (splits < n_splits)[:, None] & row_mask[None, :]
    parts = splits.to(tl.int64)[:, None] * n_rows + rows[None, :]
    largest = tl.load(max_ptr + parts, mask=mask, other=float("-inf"))
    total = tl.load(sum_ptr + parts, mask=mask, other=0.0)
    new = tl.max(largest, 0)
    shift = tl.where(new == float("-inf"), 0.0, new)
    total = tl.sum(total * tl.exp(largest - shift[None, :]), 0)
    lse = shift + tl.log(total)
    tl.store(lse_out_ptr + rows, lse, mask=row_mask)
    target_logit = tl.load(target_logit_ptr + parts, mask=mask, other=0.0)
    tl.store(target_logit_out_ptr + rows, tl.sum(target_logit, 0), mask=row_mask)
    if HAS_MEAN:
        mean = tl.load(mean_ptr + parts, mask=mask, other=0.0)
        tl.store(mean_out_ptr + rows, tl.sum(mean, 0), mask=row_mask)


@triton.jit
def gradient_tile(
    input_ptr, weight_ptr, bias_ptr, rows, row_mask, classes, class_mask, target_ptr,
    coef_ptr, lse_ptr, others_ptr, target_grad_ptr, mean_grad_ptr, probability_ptr, eps,
    n_features, input_stride_n, input_stride_d, weight_stride_v, weight_stride_d,
    BLOCK_N: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_D: tl.constexpr,
    ACC: tl.constexpr, PRECISION: tl.constexpr, UPCAST: tl.constexpr,
    HAS_BIAS: tl.constexpr, HAS_MEAN: tl.constexpr, FILTER: tl.constexpr,
    SOFTCAP: tl.constexpr,
):
    """Gradient with respect to a tile of logits, and what the filter needs to know.

    Returns the gradient, whether to use it, and the probability of the classes other
    than the target in the tile, (BLOCK_N,).
    """
    logits = logits_tile(
        input_ptr, weight_ptr, bias_ptr, rows, row_mask, classes, class_mask,
        n_features, input_stride_n, input_stride_d, weight_stride_v, weight_stride_d,
        BLOCK_N, BLOCK_V, BLOCK_D, ACC, PRECISION, UPCAST, HAS_BIAS, SOFTCAP,
    )
    target = tl.load(target_ptr + rows, mask=row_mask, other=-1)
    lse = tl.load(lse_ptr + rows, mask=row_mask, other=0.0)
    others = tl.load(others_ptr + rows, mask=row_mask, other=0.0)
    target_grad = tl.load(target_grad_ptr + rows, mask=row_mask, other=0.0)
    mask = row_mask[:, None] & class_mask[None, :]
    is_target = (classes[None, :] == target[:, None]) & mask
    # exp(-inf - -inf) is nan, where all classes are ruled out.
    shift = tl.where(lse == float("-inf"), 0.0, lse)
    softmax = tl.exp(logits - shift[:, None])
    softmax = tl.where(mask & (is_target == 0), softmax, 0.0)
    gradient = tl.where(is_target, target_grad[:, None], others[:, None] * softmax)
    if HAS_MEAN:
        mean_grad = tl.load(mean_grad_ptr + rows, mask=row_mask, other=0.0)
        coef = tl.load(coef_ptr + classes, mask=class_mask, other=0.0).to(ACC)
        gradient += mean_grad[:, None] * coef[None, :]
    if SOFTCAP is not None:
        capped = logits / SOFTCAP
        gradient *= 1 - capped * capped
    mass = tl.zeros_like(lse)
    keep = True
    if FILTER:
        probability = tl.load(probability_ptr + rows, mask=row_mask, other=0.0)
        # |softmax - onehot|: of the target it is the probability of all others.
        size = tl.where(is_target, probability[:, None], softmax)
        keep = tl.max(tl.max(size, 1), 0) >= eps
        mass = tl.sum(softmax, 1)
    return gradient, keep, mass


@triton.jit
def input_gradient_kernel(
    input_ptr, weight_ptr, bias_ptr, target_ptr, coef_ptr, order_ptr, lse_ptr,
    others_ptr, target_grad_ptr, mean_grad_ptr, probability_ptr, out_ptr, mass_ptr,
    kept_ptr, n_rows, n_classes, n_features, input_stride_n, input_stride_d,
    weight_stride_v, weight_stride_d, classes_a_split, eps, BLOCK_N: tl.constexpr,
    BLOCK_V: tl.constexpr, BLOCK_D: tl.constexpr, ACC: tl.constexpr,
    PRECISION: tl.constexpr, UPCAST: tl.constexpr, HAS_BIAS: tl.constexpr,
    HAS_MEAN: tl.constexpr, HAS_ORDER: tl.constexpr, FILTER: tl.constexpr,
    WRITE: tl.constexpr, SOFTCAP: tl.constexpr,
):
    """Add G W to BLOCK_N rows of zeros, over one split of the classes.

    Grid (blocks of rows, splits). With FILTER it also stores the kept probability of
    the other classes of every row, and the number of kept tiles.
    """
    rows = tl.program_id(0).to(tl.int64) * BLOCK_N + tl.arange(0, BLOCK_N)
    row_mask = rows < n_rows
    split = tl.program_id(1).to(tl.int64)
    if WRITE:
        out_ptr += split * n_rows * n_features
    kept_mass = tl.zeros((BLOCK_N,), dtype=ACC)
    n_kept = 0
    first = tl.program_id(1) * classes_a_split
    last = tl.minimum(first + classes_a_split, n_classes)
    for start in range(first, last, BLOCK_V):
        positions = start + tl.arange(0, BLOCK_V)
        class_mask = positions < n_classes
        classes = positions_to_classes(order_ptr, positions, class_mask, HAS_ORDER)
        gradient, keep, mass = gradient_tile(
            input_ptr, weight_ptr, bias_ptr, rows, row_mask, classes, class_mask,
            target_ptr, coef_ptr, lse_ptr, others_ptr, target_grad_ptr, mean_grad_ptr,
            probability_ptr, eps, n_features, input_stride_n, input_stride_d,
            weight_stride_v, weight_stride_d, BLOCK_N, BLOCK_V, BLOCK_D, ACC, PRECISION,
            UPCAST, HAS_BIAS, HAS_MEAN, FILTER, SOFTCAP,
        )
        if keep:
            kept_mass += mass
            n_kept += 1
            if WRITE:
                add_product(
                    gradient, weight_ptr, classes, class_mask, weight_stride_v,
                    weight_stride_d, out_ptr, rows, row_mask, n_features, BLOCK_D, ACC,
                    PRECISION, UPCAST,
                )
    if FILTER:
        tl.store(mass_ptr + split * n_rows + rows, kept_mass, mask=row_mask)
        program = tl.program_id(1) * tl.num_programs(0) + tl.program_id(0)
        tl.store(kept_ptr + program, n_kept)


@triton.jit
def weight_gradient_kernel(
    input_ptr, weight_ptr, bias_ptr, target_ptr, coef_ptr, order_ptr, lse_ptr,
    others_ptr, target_grad_ptr, mean_grad_ptr, probability_ptr, out_ptr, bias_out_ptr,
    n_rows, first_class, last_class, n_features, input_stride_n, input_stride_d,
    weight_stride_v, weight_stride_d, rows_a_split, eps, BLOCK_N: tl.constexpr,
    BLOCK_V: tl.constexpr, BLOCK_D: tl.constexpr, ACC: tl.constexpr,
    PRECISION: tl.constexpr, UPCAST: tl.constexpr, HAS_BIAS: tl.constexpr,
    HAS_MEAN: tl.constexpr, HAS_ORDER: tl.constexpr, FILTER: tl.constexpr,
    WRITE: tl.constexpr, WRITE_BIAS: tl.constexpr, SOFTCAP: tl.constexpr,
):
    """Add G^T E to BLOCK_V rows of zeros, over one split of the rows; sum G.

    Grid (blocks of the places first_class to last_class, splits). The results begin
    with the one of place first_class.
    """
    places = tl.program_id(0) * BLOCK_V + tl.arange(0, BLOCK_V)
    positions = first_class + places
    class_mask = positions < last_class
    classes = positions_to_classes(order_ptr, positions, class_mask, HAS_ORDER)
    split = tl.program_id(1).to(tl.int64)
    if WRITE:
        out_ptr += split * (last_class - first_class) * n_features
    if WRITE_BIAS:
        bias_out_ptr += split * (last_class - first_class)
    bias_gradient = tl.zeros((BLOCK_V,), dtype=ACC)
    first = tl.program_id(1) * rows_a_split
    last = tl.minimum(first + rows_a_split, n_rows)
    for start in range(first, last, BLOCK_N):
        rows = (start + tl.arange(0, BLOCK_N)).to(tl.int64)
        row_mask = rows < n_rows
        gradient, keep, _mass = gradient_tile(
            input_ptr, weight_ptr, bias_ptr, rows, row_mask, classes, class_mask,
            target_ptr, coef_ptr, lse_ptr, others_ptr, target_grad_ptr, mean_grad_ptr,
            probability_ptr, eps, n_features, input_stride_n, input_stride_d,
            weight_stride_v, weight_stride_d, BLOCK_N, BLOCK_V, BLOCK_D, ACC, PRECISION,
            UPCAST, HAS_BIAS, HAS_MEAN, FILTER, SOFTCAP,
        )
        if keep:
            bias_gradient += tl.sum(gradient, 0)
            if WRITE:
                add_product(
                    tl.trans(gradient), input_ptr, rows, row_mask, input_stride_n,
                    input_stride_d, out_ptr, places.to(tl.int64), class_mask,
                    n_features, BLOCK_D, ACC, PRECISION, UPCAST,
                )
    if WRITE_BIAS:
        tl.store(bias_out_ptr + places, bias_gradient, mask=class_mask)


@triton.jit
def add_product(
    left, right_ptr, inner, inner_mask, right_stride_n, right_stride_d, out_ptr, rows,
    row_mask, n_features, BLOCK_D: tl.constexpr, ACC: tl.constexpr,
    PRECISION: tl.constexpr, UPCAST: tl.constexpr,
):
    """Add left @ right[inner] to rows of a result that only this program writes."""
    for start in range(0, n_features, BLOCK_D):
        features = start + tl.arange(0, BLOCK_D)
        inside = features < n_features
        right = tl.load(
            right_ptr
            + inner[:, None] * right_stride_n
            + features[None, :] * right_stride_d,
            mask=inner_mask[:, None] & inside[None, :],
            other=0.0,
        )
        if UPCAST:
            # Round to the operands' precision first, as the accelerator does.
            product_left = left.to(right.dtype).to(ACC)
            right = right.to(ACC)
        else:
            product_left = left.to(right.dtype)
        out = out_ptr + rows[:, None] * n_features + features[None, :]
        out_mask = row_mask[:, None] & inside[None, :]
        total = tl.load(out, mask=out_mask, other=0.0)
        total = tl.dot(product_left, right, total, input_precision=PRECISION)
        tl.store(out, total, mask=out_mask)
    # The next tile reads what other threads of this program have written.
    tl.debug_barrier()


# Whether TRITON_INTERPRET=1 was set when triton was imported.
INTERPRETED = not isinstance(add_product, triton.runtime.JITFunction)
