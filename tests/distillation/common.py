"""What the tests of students share."""

import numpy as np
from sklearn.datasets import make_blobs

from sklogit.distillation import DualHeadDistillationClassifier

X, Y = make_blobs(90, n_features=5, centers=3, cluster_std=3.0, random_state=0)
X = X / 5
LOGITS = np.random.default_rng(1).standard_normal((90, 3)) + 3 * np.eye(3)[Y]


def student(**params):
    """A small student of given logits that trains fast."""
    defaults = {"hidden_layer_sizes": (6,), "max_epochs": 3, "alpha": 1.0}
    defaults |= {"random_state": 0}
    return DualHeadDistillationClassifier(**defaults | params)


def full_batch(**params):
    """Nothing random but the start: for comparisons."""
    defaults = {"batch_size": -1, "dtype": "float64", "max_epochs": 8}
    return student(**defaults | params)


def weights(module):
    return [p.detach().numpy() for p in module.parameters()]


def assert_same_weights(first, second, **tolerance):
    for a, b in zip(weights(first), weights(second), strict=True):
        np.testing.assert_allclose(a, b, **{"rtol": 0, "atol": 0} | tolerance)
