"""Logs of choices of a known model, and the objective as it is written."""

import numpy as np


def make_log(n_groups=200, n_features=3, *, outside=True, seed=0, intercept=-0.5):
    """Impressions of one to five rows, and choices of a known model."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_groups), rng.integers(1, 6, n_groups))
    X = rng.standard_normal((len(groups), n_features))
    utilities = X @ np.linspace(1.0, -1.0, n_features) + intercept
    y = np.zeros(len(groups), dtype=int)
    for g in range(n_groups):
        rows = np.flatnonzero(groups == g)
        noisy = utilities[rows] + rng.gumbel(size=len(rows))
        best = np.argmax(noisy)
        y[rows[best]] = not outside or noisy[best] > rng.gumbel()
    return X, y, groups


def loop_loss(theta, X, y, groups, *, C=1.0, weight=None, outside=True):
    """The objective as it is written in the docstring, impression by impression."""
    beta, intercept = theta[:-1], theta[-1]
    loss = beta @ beta / (2 * C)
    for g in np.unique(groups):
        rows = groups == g
        u = X[rows] @ beta + intercept
        s = 1.0 if weight is None else weight[rows][0]
        loss += s * (np.log(outside + np.exp(u).sum()) - y[rows] @ u)
    return loss
