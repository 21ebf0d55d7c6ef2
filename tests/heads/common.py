"""What the tests of VQLogitsHead share."""

import numpy as np
import pytest
import torch

from sklogit.heads import VQLogitsHead

V, D, K = 17, 5, 4
KINDS = ("prior", "uniform", "learned")
each_kind = pytest.mark.parametrize("kind", KINDS)


def counts_of_classes():
    """Different counts, one of them zero."""
    return np.random.default_rng(1).permutation(V)


def make_head(kind="prior", **kwargs):
    """A head in float64 whose parameters are random, with classes in random codes."""
    options = {
        "n_codes": K,
        "mapping": "random",
        "within": kind,
        "class_counts": counts_of_classes(),
        "dtype": torch.float64,
        **kwargs,
    }
    head = VQLogitsHead(D, V, **options)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.normal_()
    return head


def make_batch(n=12, dtype=torch.float64):
    return torch.randn(n, D, dtype=dtype), torch.randint(V, (n,))


def cluster_data(n=600, seed=0):
    """Classes whose features are those of one of K clusters."""
    rng = np.random.default_rng(seed)
    centres = 4 * rng.standard_normal((K, D))
    y = rng.integers(V, size=n)
    X = centres[y % K] + rng.standard_normal((n, D))
    return torch.as_tensor(X), torch.as_tensor(y)
