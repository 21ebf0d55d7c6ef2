"""The array and the torch implementation are one method."""

import numpy as np
import pytest

from sklogit.subspace._descent import GrassmannDescent, LabelledRows

torch = pytest.importorskip("torch")
from sklogit.heads import GrassmannHead  # noqa: E402
from sklogit.optim import GrassmannSGD  # noqa: E402


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize(("dtype", "tol"), [("float64", 1e-12), ("float32", 1e-4)])
def test_steps_are_those_of_the_torch_head_and_optimiser(momentum, dtype, tol):
    rng = np.random.default_rng(0)
    n_classes, n, k, gamma = 5, 20, 4, 25.0
    S = np.linalg.qr(rng.standard_normal((n_classes, n, k)))[0].astype(dtype)
    X = rng.standard_normal((60, n)).astype(dtype)
    X[3] = 0.0
    y = rng.integers(n_classes, size=60)
    descent = GrassmannDescent(S, gamma, momentum)
    rows = LabelledRows(X, y, None, 0.0)
    head = GrassmannHead(n, n_classes, subspace_dim=k, gamma=gamma)
    head = head.to(getattr(torch, dtype))
    with torch.no_grad():
        head.subspaces.copy_(torch.as_tensor(S))
    optimiser = GrassmannSGD(head.parameters(), lr=0.05, momentum=momentum)
    for _ in range(40):
        batch = rng.permutation(60)[:32]
        loss = descent.step(rows.take(batch), 0.05)
        optimiser.zero_grad()
        logits = head(torch.as_tensor(X[batch]))
        other = torch.nn.functional.cross_entropy(logits, torch.as_tensor(y[batch]))
        other.backward()
        optimiser.step()
        assert loss == pytest.approx(other.item(), rel=tol)
    np.testing.assert_allclose(descent.S, head.subspaces.detach().numpy(), atol=tol)
