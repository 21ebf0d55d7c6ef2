"""Cost of classes that are subspaces.

Parts, by name on the command line; ``step`` without names:

``step``
    CPU time of a training step, head and optimiser, at 1,000 classes x 8 dimensions x
    512 features and batches of 256: beside a linear head with as many rows, geoopt's
    Riemannian SGD on the Stiefel manifold, and geodesics by the SVD of the tangents.
``quick``
    The same without geoopt, which takes minutes; writes another table.
"""

import sys

import torch
from _common import cpu_times, report
from torch.nn import functional as F

from sklogit.heads import GrassmannHead
from sklogit.optim import GrassmannSGD
from sklogit.optim._grassmann_geometry import polar_step, project_tangent

N_CLASSES, N_FEATURES, K, BATCH = 1000, 512, 8, 256
LR, MOMENTUM, STEPS = 0.05, 0.9, 4
CANONICAL = "geoopt, Stiefel, canonical (its default)"


class GeodesicBySVD:
    """The same rule, by a decomposition of every tangent."""

    def __init__(self, S):
        self.S, self.M = S, None

    def zero_grad(self):
        """Forget the gradient."""
        self.S.grad = None

    @torch.no_grad()
    def step(self):
        """Take a step."""
        S = self.S
        G = project_tangent(S, S.grad)
        M = G if self.M is None else MOMENTUM * self.M + G
        U, s, Vh = torch.linalg.svd(M, full_matrices=False)
        cosine = torch.cos(-LR * s).unsqueeze(-2)
        sine = torch.sin(-LR * s).unsqueeze(-2)
        SV = S @ Vh.mT
        self.M = ((-SV * sine + U * cosine) * s.unsqueeze(-2)) @ Vh
        S.copy_(polar_step((SV * cosine + U * sine) @ Vh))


def trained(forward, target, optimizer):
    """Make a function that takes some steps."""

    def steps():
        for _ in range(STEPS):
            optimizer.zero_grad()
            F.cross_entropy(forward(), target).backward()
            optimizer.step()

    return steps


def methods(with_geoopt):
    """Make steps of each method, by name; those not installed are missing."""
    features = torch.randn(BATCH, N_FEATURES)
    target = torch.randint(0, N_CLASSES, (BATCH,))

    def by(name, make_optimizer):
        head = GrassmannHead(N_FEATURES, N_CLASSES, K)
        optimizer = make_optimizer(head)
        return name, trained(lambda: head(features), target, optimizer)

    linear = torch.nn.Linear(N_FEATURES, N_CLASSES * K, bias=False)
    sgd = torch.optim.SGD(linear.parameters(), LR, MOMENTUM)
    rows = torch.randint(0, N_CLASSES * K, (BATCH,))
    found = dict(
        [
            (
                "linear head of as many rows",
                trained(lambda: linear(features), rows, sgd),
            ),
            by("GrassmannSGD", lambda h: GrassmannSGD(h.parameters(), LR, MOMENTUM)),
            by(
                "GrassmannSGD, polar each 8th",
                lambda h: GrassmannSGD(h.parameters(), LR, MOMENTUM, reorth_every=8),
            ),
            by("geodesic by SVD", lambda h: GeodesicBySVD(h.subspaces)),
        ]
    )
    if not with_geoopt:
        return found
    try:
        import geoopt
    except ImportError:
        return found

    def on_stiefel(manifold):
        def optimizer(head):
            S = geoopt.ManifoldParameter(head.subspaces.detach(), manifold)
            del head._parameters["subspaces"]
            head.register_parameter("subspaces", S)
            return geoopt.optim.RiemannianSGD([S], lr=LR, momentum=MOMENTUM)

        return optimizer

    peers = [
        by("geoopt, Stiefel, QR", on_stiefel(geoopt.EuclideanStiefel())),
        by(CANONICAL, on_stiefel(geoopt.CanonicalStiefel())),
    ]
    return found | dict(peers)


def bench_step(name="grassmann_step", with_geoopt=True):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    functions = methods(with_geoopt)
    canonical = functions.pop(CANONICAL, None)
    for function in functions.values():
        function()  # makes the momentum
    times, _ = cpu_times(*functions.values(), repeats=7)
    times = dict(zip(functions, times))
    if canonical is not None:  # solves 512 x 512 systems: half a minute
        (times[CANONICAL],), _ = cpu_times(canonical, repeats=1)
    rows = [
        {
            "method": method,
            "ms a step": 1e3 * seconds / STEPS,
            "times ours": seconds / times["GrassmannSGD"],
        }
        for method, seconds in times.items()
    ]
    report(name, rows)


PARTS = {
    "step": bench_step,
    "quick": lambda: bench_step("grassmann_step_quick", with_geoopt=False),
}

if __name__ == "__main__":
    for part in sys.argv[1:] or ["step"]:
        PARTS[part]()
