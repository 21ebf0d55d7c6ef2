"""Streams that the tests of replay share."""

import numpy as np

from sklogit.continual import UnbiasedReplayClassifier


def blobs(n_samples=200, n_classes=4, n_features=6, seed=0):
    """Rows around a centre for each class, sorted by class."""
    rng = np.random.default_rng(seed)
    y = np.sort(np.arange(n_samples) % n_classes)
    centres = 2 * rng.standard_normal((n_classes, n_features))
    return centres[y] + rng.standard_normal((n_samples, n_features)), y


def small(**kwargs):
    """A classifier that is fast, and always the same."""
    defaults = {
        "hidden_layer_sizes": (8,),
        "memory_size": 20,
        "learning_rate_init": 0.05,
        "random_state": 0,
    }
    return UnbiasedReplayClassifier(**defaults | kwargs)
