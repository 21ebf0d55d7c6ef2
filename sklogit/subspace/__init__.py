"""Classes as subspaces: a classifier that learns them, and pictures."""

from ._class_variability_display import ClassVariabilityDisplay
from ._grassmann import GrassmannClassifier
from ._principal_angles_display import PrincipalAnglesDisplay

__all__ = [
    "ClassVariabilityDisplay",
    "GrassmannClassifier",
    "PrincipalAnglesDisplay",
]
