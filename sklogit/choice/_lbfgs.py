"""L-BFGS, where there are too many features for a Hessian."""

import numpy as np
from scipy import optimize


def lbfgs(objective, start, max_iter, tol):
    """Minimise a `ChoiceObjective`; return it, the curve and success."""
    total = max(objective.weight.sum(), np.finfo(np.float64).tiny)
    curve = [objective.value(start)[0]]

    def mean_loss(theta):
        value, gradient = objective.value_and_gradient(theta)
        return value / total, gradient / total

    result = optimize.minimize(
        mean_loss,
        start,
        jac=True,
        method="L-BFGS-B",
        callback=lambda intermediate_result: curve.append(
            intermediate_result.fun * total
        ),
        options={"maxiter": max_iter, "gtol": tol, "ftol": 0.0, "maxls": 50},
    )
    # A line search that fails has met round-off; far from the minimum it is a failure.
    reached = np.abs(result.jac).max() <= max(tol, 1e-7)
    return result.x, curve, bool(result.success or reached)
