"""Everything between a feature vector and a decision passes through a logit.

The packages are imported one by one, so that ``import sklogit`` stays light:
``from sklogit.covariance import AugmentedCovariances``.
"""

__version__ = "0.1.0.dev0"

__all__ = ["__version__"]
