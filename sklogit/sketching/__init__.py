"""Tall least squares from row sketches, with an error bar on every coefficient."""

from ._coefficient_display import CoefficientErrorDisplay
from ._gaussian import GaussianSketch
from ._kronecker import kronecker_sketch
from ._lstsq import SketchedLstsqResult, sketched_lstsq
from ._pooled import GaussianPooledHadamard
from ._regression import SketchedLinearRegression
from ._sketch_error_display import SketchErrorDisplay
from ._sketch_rows import sketch_rows
from ._sketch_size import sketch_size
from ._sparse_sign import CountSketch, SparseSign
from ._srht import SRHT, BlockSRHT
from ._tensor_srht import TensorSRHT

__all__ = [
    "SRHT",
    "BlockSRHT",
    "CoefficientErrorDisplay",
    "CountSketch",
    "GaussianPooledHadamard",
    "GaussianSketch",
    "SketchErrorDisplay",
    "SketchedLinearRegression",
    "SketchedLstsqResult",
    "SparseSign",
    "TensorSRHT",
    "kronecker_sketch",
    "sketch_rows",
    "sketch_size",
    "sketched_lstsq",
]
