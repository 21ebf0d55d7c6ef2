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
from ._delay_selection import (
    autocorrelation,
    average_mutual_information,
    select_delay,
)
from ._dimension_selection import (
    cao_e1,
    false_nearest_neighbours,
    select_dimension,
)
from ._display import AugmentedCovarianceDisplay, EmbeddingScoreDisplay
from ._embedding import EmbeddingSelector, MDOPEmbedding, mdop_embedding
from ._lag_statistics import LagStatistics
from ._mean import (
    MeanInfo,
    arithmetic_harmonic_mean,
    log_euclidean_mean,
    riemannian_mean,
)
from ._multi_lag import MultiLagCovarianceClassifier, lagged_component_filters
from ._pipelines import pipelines, pipelines_directory
from ._search import AugmentedCovarianceClassifierCV
from ._siegel import (
    SiegelMDM,
    block_toeplitz,
    reflection_coefficients,
    siegel_distance,
    siegel_mean,
)
from ._tangent_space import SPDTangentSpace, tangent_vectors

__all__ = [
    "AugmentedCovarianceClassifier",
    "AugmentedCovarianceClassifierCV",
    "AugmentedCovarianceDisplay",
    "AugmentedCovariances",
    "AugmentedMDM",
    "DelayEmbedding",
    "EmbeddingScoreDisplay",
    "EmbeddingSelector",
    "LagStatistics",
    "MDOPEmbedding",
    "MeanInfo",
    "MultiLagCovarianceClassifier",
    "SPDTangentSpace",
    "SiegelMDM",
    "arithmetic_harmonic_mean",
    "augmented_covariance",
    "autocorrelation",
    "average_mutual_information",
    "block_toeplitz",
    "cao_e1",
    "delay_embedding",
    "false_nearest_neighbours",
    "lagged_component_filters",
    "log_euclidean_mean",
    "mdop_embedding",
    "pipelines",
    "pipelines_directory",
    "reflection_coefficients",
    "riemannian_distances",
    "riemannian_mean",
    "select_delay",
    "select_dimension",
    "siegel_distance",
    "siegel_mean",
    "tangent_vectors",
]
