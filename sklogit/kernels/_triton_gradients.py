"""Gradients of a loss, made by kernels of Triton from those of the rows' statistics.

The order of all sums is fixed: the same device gives the same bits each time. That
takes two passes over the tiles of the gradient, one for each matrix that multiplies
them, and so one product of matrices more than with atomic additions.
"""

from dataclasses import dataclass

import torch

from ._triton_statistics import MOST_SPLITS, kernels_for

# Partial results of all splits, and gradients that are not of the weight's dtype, are
# held in so many bytes at a time.
_SCRATCH_BYTES = 256 << 20
# How often the filter is tried again with a lower limit before it is given up.
_FILTER_ATTEMPTS = 3


@dataclass(frozen=True)
class Filter:
    """Which tiles of the gradient may be left out.

    Attributes
    ----------
    eps : float
        A tile counts if a probability in it, or what that of a target lacks to 1, is
        not below this.
    max_dropped_mass : float
        Largest probability that may be left out of any row. With more, eps is divided
        by 4, twice at most; then nothing is left out.
    """

    eps: float
    max_dropped_mass: float


@dataclass
class Gradients:
    """Gradients of a loss, and what the filter did.

    Attributes
    ----------
    input, weight, bias : Tensor or None
        The gradients, of the dtypes of what they belong to; None where not wanted.
    kept_tiles : int
        Number of tiles that the filter kept, in its last attempt.
    eps : float or None
        Its limit in the end; None if nothing was left out.
    """

    input: torch.Tensor | None = None
    weight: torch.Tensor | None = None
    bias: torch.Tensor | None = None
    kept_tiles: int | None = None
    eps: float | None = None


@dataclass(frozen=True)
class RowGradients:
    r"""What is known of the gradient of each row's logits.

    It is :math:`\alpha_i e^{z_{ij} - \mathrm{lse}_i} + \mu_i m_j` for the classes that
    are not the target, and :math:`\tau_i + \mu_i m_j` for the target. All are of the
    dtype of the sums.

    Attributes
    ----------
    lse : Tensor of shape (n_rows,)
        Log-sum-exp of the logits of all classes, on whatever rank.
    others_probability : Tensor of shape (n_rows,)
        Probability of all classes but the target; for the filter.
    softmax, target : Tensor of shape (n_rows,)
        :math:`\alpha` and :math:`\tau`.
    mean : Tensor of shape (n_rows,) or None
        :math:`\mu`, with the coefficients m of the mean.
    """

    lse: torch.Tensor
    others_probability: torch.Tensor
    softmax: torch.Tensor
    target: torch.Tensor
    mean: torch.Tensor | None = None


def gradients(
    operands, rows, needs=(True, True, True), tile_filter=None, *, wide=(False,) * 3
):
    """Make the gradients with respect to features, weight and bias.

    Parameters
    ----------
    operands : Operands
        What the logits are made of.
    rows : RowGradients
        The gradients of the logits, in short.
    needs : tuple of 3 bools
        Whether the gradients of features, weight, bias are wanted.
    tile_filter : Filter or None
        None for the exact gradient.
    wide : tuple of 3 bools
        Which of them to return in the dtype of the sums, not that of the operands.

    Returns
    -------
    Gradients
        The gradients.
    """
    parts = operands.input, operands.weight, operands.bias
    dtypes = (operands.accumulator if x else operands.input.dtype for x in wide)
    result = Gradients(
        *(
            x.new_zeros(x.shape, dtype=dtype) if need and x is not None else None
            for x, dtype, need in zip(parts, dtypes, needs)
        )
    )
    if operands.n_rows and operands.n_classes:
        with torch.cuda.device_of(operands.input):
            _Backward(operands, rows, result).run(tile_filter)
    return result


class _Backward:
    """The two passes over all tiles of the gradient."""

    def __init__(self, operands, rows, result):
        self.operands, self.result = operands, result
        self.kernels = kernels_for(operands.input.device)
        self.probability = rows.others_probability.contiguous()
        self.scale = _scale_of(rows, operands.input.dtype)
        self.row_arguments = {
            "lse_ptr": rows.lse.contiguous(),
            "others_ptr": self.scaled(rows.softmax),
            "target_grad_ptr": self.scaled(rows.target),
            "mean_grad_ptr": self.scaled(rows.mean),
            "probability_ptr": self.probability,
        }
        self.order = None

    def scaled(self, values):
        """Divide gradients of rows by the scale of the tiles."""
        if values is None or self.scale is None:
            return values if values is None else values.contiguous()
        return values / self.scale

    def run(self, tile_filter):
        """Fill the result."""
        result = self.result
        if tile_filter is not None:
            self.order = _class_order(self.operands)
            result.eps = self.filter(tile_filter)
        if result.eps is None:
            self.order = None
            if result.input is not None:
                self.input_pass(None)
        if result.weight is not None or result.bias is not None:
            self.weight_pass(result.eps)

    def filter(self, tile_filter):
        """Return the limit with which the filter drops little enough, or None."""
        for attempt in range(_FILTER_ATTEMPTS):
            eps = tile_filter.eps / 4**attempt
            kept = self.input_pass(eps)
            dropped = (self.probability - kept).max()
            if dropped <= tile_filter.max_dropped_mass:  # not if it is nan
                return eps
        return None

    def arguments(self, eps):
        """Return the arguments that both passes have in common."""
        return {
            **self.operands.arguments(self.kernels),
            **self.row_arguments,
            "order_ptr": self.order,
            "HAS_ORDER": self.order is not None,
            "eps": 0.0 if eps is None else eps,
            "FILTER": eps is not None,
        }

    def input_pass(self, eps):
        """Make the gradient of the features; return the kept probabilities of rows."""
        operands, tiles, result = self.operands, self.operands.tiles, self.result
        n_rows, n_features = operands.input.shape
        row_blocks = -(-n_rows // tiles.rows)
        class_blocks = -(-operands.n_classes // tiles.classes)
        most = self.most_splits(operands.input.numel())
        n_splits = operands.splits(row_blocks, class_blocks, most)
        write, filtering = result.input is not None, eps is not None
        out = operands.zeros(n_splits, n_rows, n_features) if write else None
        mass = operands.zeros(n_splits, n_rows) if filtering else None
        kept = operands.zeros(n_splits, row_blocks).int() if filtering else None
        self.kernels.input_gradient_kernel[row_blocks, n_splits](
            out_ptr=out,
            mass_ptr=mass,
            kept_ptr=kept,
            n_classes=operands.n_classes,
            classes_a_split=-(-class_blocks // n_splits) * tiles.classes,
            WRITE=write,
            **self.arguments(eps),
        )
        if write:
            result.input.copy_(self.total(out))
        if not filtering:
            return None
        result.kept_tiles = int(kept.sum())
        return mass.sum(0)

    def weight_pass(self, eps):
        """Make the gradients of weight and bias, of some classes at a time."""
        operands, tiles = self.operands, self.operands.tiles
        row_size = operands.n_features * operands.accumulator.itemsize
        step = max(1, _SCRATCH_BYTES // max(row_size, 1) // tiles.classes)
        step *= tiles.classes
        row_blocks = -(-operands.n_rows // tiles.rows)
        for first in range(0, operands.n_classes, step):
            last = min(first + step, operands.n_classes)
            most = self.most_splits((last - first) * operands.n_features)
            blocks = -(-(last - first) // tiles.classes)
            n_splits = operands.splits(blocks, row_blocks, most)
            self.weight_block(first, last, blocks, n_splits, row_blocks, eps)

    def weight_block(self, first, last, blocks, n_splits, row_blocks, eps):
        """Make the gradients of weight and bias of the places first to last."""
        operands, result = self.operands, self.result
        write, write_bias = result.weight is not None, result.bias is not None
        size = last - first
        out = operands.zeros(n_splits, size, operands.n_features) if write else None
        bias_out = operands.zeros(n_splits, size) if write_bias else None
        self.kernels.weight_gradient_kernel[blocks, n_splits](
            out_ptr=out,
            bias_out_ptr=bias_out,
            first_class=first,
            last_class=last,
            rows_a_split=-(-row_blocks // n_splits) * operands.tiles.rows,
            WRITE=write,
            WRITE_BIAS=write_bias,
            **self.arguments(eps),
        )
        places = slice(first, last)
        where = places if self.order is None else self.order[places]
        if write:
            result.weight[where] = self.total(out).to(result.weight.dtype)
        if write_bias:
            result.bias[where] = self.total(bias_out).to(result.bias.dtype)

    def total(self, parts):
        """Sum over the splits, in their order, in the scale of the loss."""
        total = parts[0] if len(parts) == 1 else parts.sum(0)
        return total if self.scale is None else total.mul_(self.scale)

    def most_splits(self, n_values):
        """How many partial results of this size fit the scratch memory."""
        size = n_values * self.operands.accumulator.itemsize
        return max(1, min(MOST_SPLITS, _SCRATCH_BYTES // max(size, 1)))


def _scale_of(rows, dtype):
    """Return what gradients of rows are divided by before they meet the operands.

    The tiles of the gradient take the operands' precision, and float16 ends at 6e-8:
    not far below the gradient of a mean over 1000 rows.
    """
    if dtype != torch.float16:
        return None
    largest = torch.maximum(rows.softmax.abs().max(), rows.target.abs().max())
    return torch.where((largest > 0) & largest.isfinite(), largest, 1.0)


def _class_order(operands):
    """Classes in the order of their mean logit, so that large ones share tiles.

    The mean of linear scores is the score of the mean: no pass over the logits.
    """
    mean = operands.input.to(operands.accumulator).mean(0).to(operands.weight.dtype)
    score = operands.weight @ mean
    if operands.bias is not None:
        score = score + operands.bias
    return torch.argsort(score, descending=True, stable=True)
