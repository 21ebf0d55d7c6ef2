import numpy as np
import pytest
import torch

from sklogit._cross_entropy import softmax_cross_entropy


def test_cross_entropy_equals_torch_for_logits_of_any_size():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(6, 4)) * [[1], [1], [1e3], [1e3], [1e-3], [1]]
    y, weight = np.array([0, 3, 2, 1, 0, 2]), rng.uniform(size=6)
    tensor = torch.tensor(logits, requires_grad=True)
    losses = torch.nn.functional.cross_entropy(
        tensor, torch.tensor(y), reduction="none"
    )
    expected = (torch.tensor(weight) * losses).sum()
    expected.backward()
    value, gradient = softmax_cross_entropy(logits, y, weight)
    assert value == pytest.approx(expected.item())
    np.testing.assert_allclose(gradient, tensor.grad, atol=1e-15)


def test_single_precision_is_kept():
    logits = np.array([[1.0, 0.0], [0.0, 200.0]], dtype=np.float32)
    value, gradient = softmax_cross_entropy(logits, np.array([0, 0]), np.full(2, 0.5))
    assert gradient.dtype == np.float32
    assert value == pytest.approx(0.5 * np.log1p(np.exp(-1)) + 100)
