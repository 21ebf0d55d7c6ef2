"""Augmented covariances of epochs, and Riemannian tools for them."""

from ._augmented import (
    AugmentedCovariances,
    DelayEmbedding,
    augmented_covariance,
    delay_embedding,
)
from ._classification import (
    AugmentedCovarianceClassifier,
    AugmentedMDM,
    riemannian_distances,
)
from ._lag_statistics import LagStatistics
from ._mean import (
    MeanInfo,
    arithmetic_harmonic_mean,
    log_euclidean_mean,
    riemannian_mean,
)
from ._search import AugmentedCovarianceClassifierCV
from ._tangent_space import SPDTangentSpace, tangent_vectors

__all__ = [
    "AugmentedCovarianceClassifier",
    "AugmentedCovarianceClassifierCV",
    "AugmentedCovariances",
    "AugmentedMDM",
    "DelayEmbedding",
    "LagStatistics",
    "MeanInfo",
    "SPDTangentSpace",
    "arithmetic_harmonic_mean",
    "augmented_covariance",
    "delay_embedding",
    "log_euclidean_mean",
    "riemannian_distances",
    "riemannian_mean",
    "tangent_vectors",
]
