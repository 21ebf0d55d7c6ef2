"""Statistics of the logits of rows, reduced by kernels of Triton."""

from dataclasses import dataclass

import torch

from .._optional import import_optional
from ._row_statistics import RowStatistics

MOST_SPLITS = 64
# Programs for each multiprocessor, whose registers hold one at a time.
_PROGRAMS_A_PROCESSOR = 2


@dataclass(frozen=True)
class Tiles:
    """Sizes of the tiles, powers of 2 from 16 on, and how a program runs.

    Attributes
    ----------
    rows, classes : int
        Size of a tile of logits.
    features : int
        How many features are multiplied at a time.
    num_warps, num_stages : int
        Options of Triton.
    """

    rows: int
    classes: int
    features: int
    num_warps: int = 8
    num_stages: int = 3


def default_tiles(dtype):
    """Return sizes with which ptxas spills next to nothing for sm_80 and sm_90."""
    if dtype.itemsize == 2:
        return Tiles(128, 64, 64)
    return Tiles(64, 128 if dtype == torch.float32 else 64, 16)


@dataclass(frozen=True)
class Operands:
    """What the logits are made of, and how.

    Attributes
    ----------
    input : Tensor of shape (n_rows, n_features)
        Features.
    weight : Tensor of shape (n_classes, n_features)
        Weights, of the same dtype.
    target : int64 Tensor of shape (n_rows,)
        Classes; one outside of ``[0, n_classes)`` belongs to none of them.
    bias : Tensor of shape (n_classes,) or None
        Bias.
    mean_coef : Tensor of shape (n_classes,) or None
        Coefficients of the weighted mean of the logits.
    softcap : float or None
        Logits are ``softcap * tanh(logits / softcap)``.
    tiles : Tiles or None
        Sizes; None for `default_tiles`.
    n_splits : int or None
        Parts of the sums that run beside each other; None to fill the device.
    """

    input: torch.Tensor
    weight: torch.Tensor
    target: torch.Tensor
    bias: torch.Tensor | None = None
    mean_coef: torch.Tensor | None = None
    softcap: float | None = None
    tiles: Tiles | None = None
    n_splits: int | None = None

    def __post_init__(self):
        if self.tiles is None:
            object.__setattr__(self, "tiles", default_tiles(self.input.dtype))

    @property
    def n_rows(self):
        """Number of rows."""
        return self.input.shape[0]

    @property
    def n_classes(self):
        """Number of classes."""
        return self.weight.shape[0]

    @property
    def n_features(self):
        """Number of features."""
        return self.input.shape[1]

    @property
    def accumulator(self):
        """Dtype of sums: float64 for itself, float32 for all others."""
        return torch.promote_types(self.input.dtype, torch.float32)

    def zeros(self, *shape):
        """Return zeros of the accumulator's dtype on the operands' device."""
        return torch.zeros(shape, dtype=self.accumulator, device=self.input.device)

    def arguments(self, kernels):
        """Return the arguments that all kernels of tiles have in common."""
        tiles, vector = self.tiles, lambda x: None if x is None else x.contiguous()
        return {
            "input_ptr": self.input,
            "weight_ptr": self.weight,
            "bias_ptr": vector(self.bias),
            "target_ptr": self.target.contiguous(),
            "coef_ptr": vector(self.mean_coef),
            "n_rows": self.n_rows,
            "n_features": self.n_features,
            "input_stride_n": self.input.stride(0),
            "input_stride_d": self.input.stride(1),
            "weight_stride_v": self.weight.stride(0),
            "weight_stride_d": self.weight.stride(1),
            "BLOCK_N": tiles.rows,
            "BLOCK_V": tiles.classes,
            "BLOCK_D": tiles.features,
            "ACC": getattr(kernels.tl, str(self.accumulator).removeprefix("torch.")),
            "PRECISION": _dot_precision(self.input.device),
            "UPCAST": kernels.INTERPRETED and self.input.dtype == torch.bfloat16,
            "HAS_BIAS": self.bias is not None,
            "HAS_MEAN": self.mean_coef is not None,
            "SOFTCAP": self.softcap,
            "num_warps": tiles.num_warps,
            "num_stages": tiles.num_stages,
        }

    def splits(self, n_own, n_shared, most=MOST_SPLITS):
        """Return into how many splits n_shared blocks fall beside n_own blocks."""
        wanted = self.n_splits or -(-_n_programs(self.input.device) // max(n_own, 1))
        return max(1, min(wanted, n_shared, most))


def row_statistics(operands):
    r"""Reduce the logits of every row to three numbers, without forming them.

    Parameters
    ----------
    operands : Operands
        What the logits :math:`z_{ij}` are made of.

    Returns
    -------
    RowStatistics
        Of the accumulator's dtype; without mean if there are no coefficients.
    """
    n_rows, n_classes = operands.n_rows, operands.n_classes
    outputs = [operands.zeros(n_rows) for _ in range(3)]
    if operands.mean_coef is None:
        outputs[2] = None
    if not n_rows or not n_classes:
        outputs[0].fill_(-torch.inf)
        return RowStatistics(*outputs)
    kernels, tiles = kernels_for(operands.input.device), operands.tiles
    row_blocks, class_blocks = -(-n_rows // tiles.rows), -(-n_classes // tiles.classes)
    n_splits = operands.splits(row_blocks, class_blocks)
    parts = [operands.zeros(n_splits, n_rows) for _ in range(4)]
    with torch.cuda.device_of(operands.input):
        kernels.statistics_kernel[row_blocks, n_splits](
            max_ptr=parts[0],
            sum_ptr=parts[1],
            target_logit_ptr=parts[2],
            mean_ptr=parts[3],
            n_classes=n_classes,
            classes_a_split=-(-class_blocks // n_splits) * tiles.classes,
            **operands.arguments(kernels),
        )
    merge_splits(*parts, out=outputs)
    return RowStatistics(*outputs)


def merge_splits(largest, total, target_logit, mean_logit, *, out):
    """Merge the statistics of the splits, each (n_splits, n_rows), into `out`.

    A split that holds nothing but the target, or nothing, has maximum -inf and sum 0.
    """
    n_splits, n_rows = largest.shape
    block = 128
    kernels = kernels_for(largest.device)
    with torch.cuda.device_of(largest):
        kernels.merge_kernel[(-(-n_rows // block),)](
            max_ptr=largest,
            sum_ptr=total,
            target_logit_ptr=target_logit,
            mean_ptr=mean_logit,
            lse_out_ptr=out[0],
            target_logit_out_ptr=out[1],
            mean_out_ptr=out[2],
            n_rows=n_rows,
            n_splits=n_splits,
            BLOCK_N=block,
            SPLITS=1 << (n_splits - 1).bit_length(),
            HAS_MEAN=out[2] is not None,
        )


def kernels_for(device):
    """Import the kernels, which must be able to run on the device."""
    import_optional("triton", "impl='triton'")
    from . import _triton_kernels as kernels

    if device.type != "cuda" and not kernels.INTERPRETED:
        raise ValueError(
            f"impl='triton' needs tensors on a CUDA device, got them on {device}. Its "
            "kernels run on the CPU, slowly, where TRITON_INTERPRET=1 is set in the "
            "environment before triton is imported."
        )
    return kernels


def _n_programs(device):
    """Return how many programs fill a device; 1 under the interpreter."""
    if device.type != "cuda":
        return 1
    properties = torch.cuda.get_device_properties(device)
    return _PROGRAMS_A_PROCESSOR * properties.multi_processor_count


def _dot_precision(device):
    """Precision of products of float32, as set for all of torch."""
    if device.type != "cuda" or torch.version.hip is not None:
        return "ieee"
    exact = torch.get_float32_matmul_precision() == "highest"
    return "ieee" if exact else "tf32"
