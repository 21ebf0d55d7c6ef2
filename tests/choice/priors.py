"""Distributions of values that have to be ironed."""

import numpy as np


class TwoGroups:
    """Most buyers value it at 0 to 1, a few at 2 to 3."""

    def cdf(self, v):
        v = np.asarray(v, dtype=float)
        return 0.75 * np.clip(v, 0, 1) + 0.25 * np.clip(v - 2, 0, 1)

    def pdf(self, v):
        v = np.asarray(v, dtype=float)
        return np.where((v >= 0) & (v <= 1), 0.75, 0.0) + np.where(
            (v >= 2) & (v <= 3), 0.25, 0.0
        )

    def ppf(self, q):
        q = np.asarray(q, dtype=float)
        return np.where(q <= 0.75, q / 0.75, 2 + (q - 0.75) / 0.25)
