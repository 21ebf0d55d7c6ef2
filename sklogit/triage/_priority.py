"""From probabilities and neighbours to the order of inspections."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ._kernel import Kernel
from ._neighbours import Places, influence_matrix, influence_sums

PRIORITY_RULES = ("boost", "mean", "probability", "sum")


@dataclass(frozen=True)
class Surroundings:
    """Places of open reports, and of reports with a verdict.

    Attributes
    ----------
    pool : Places or None
        Open reports; None if reports have no place.
    references : Places or None
        Reports with a verdict.
    verdict : ndarray of shape (n_references,)
        1 or 0, times the weight of the reference.
    weight : ndarray of shape (n_references,)
        Weights of the references.
    kernel : Kernel
        Influence F.
    """

    pool: Places | None
    references: Places | None
    verdict: np.ndarray
    weight: np.ndarray
    kernel: Kernel

    def of_true(self, n_reports):
        """Sum of the influence of true reports on each open one."""
        if self.pool is None:
            return np.zeros(n_reports)
        true = np.flatnonzero(self.verdict > 0)
        return influence_sums(
            self.pool, self.references[true], self.kernel, [self.verdict[true]]
        )[:, 0]

    def of_pool(self, values):
        """F @ values over the pool, where a report has influence 1 on itself."""
        if self.pool is None:
            return values
        # A report of unknown place has no pairs, but still counts itself.
        own = np.arange(len(self.pool))
        others = influence_sums(self.pool, self.pool, self.kernel, [values], own)[:, 0]
        return values + others

    def pool_matrix(self, n_reports):
        """F of the pool, as CSR."""
        identity = sparse.eye_array(n_reports, format="csr")
        if self.pool is None:
            return identity
        own = np.arange(n_reports)
        others = influence_matrix(self.pool, self.pool, self.kernel, own)
        return sparse.csr_array(identity + others)

    def reference_matrix(self, n_reports):
        """F of the references on the pool, as CSR."""
        if self.pool is None:
            return sparse.csr_array((n_reports, len(self.verdict)))
        return influence_matrix(self.pool, self.references, self.kernel)


def priority_scores(rule, probability, around, kappa, of_true):
    r"""Score reports for inspection.

    Parameters
    ----------
    rule : {"boost", "mean", "probability", "sum"} or callable
        "probability" p; "boost" :math:`p_i (1 + \kappa \sum_r F_{ir} y_r)` over true
        reports r; "sum" :math:`\sum_j F_{ij} p_j` over open reports j; "mean"
        :math:`(\sum_j F_{ij} p_j + \sum_r F_{ir} y_r) / (\sum_j F_{ij} +
        \sum_r F_{ir})`; or a function of p, F_pool, F_reference, y_reference.
    probability : ndarray of shape (n_reports,)
        Probabilities p.
    around : Surroundings
        Neighbours.
    kappa : float
        Strength of "boost".
    of_true : ndarray of shape (n_reports,)
        Influence of true reports.

    Returns
    -------
    scores : ndarray of shape (n_reports,)
        The greater, the sooner.
    """
    n_reports = len(probability)
    if callable(rule):
        scores = rule(
            probability,
            around.pool_matrix(n_reports),
            around.reference_matrix(n_reports),
            (around.verdict > 0).astype(np.float64),
        )
        scores = np.asarray(scores, dtype=np.float64)
        if scores.shape != (n_reports,):
            raise ValueError(
                f"priority_rule must return an array of shape ({n_reports},), got "
                f"{scores.shape}."
            )
        return scores
    if rule == "boost":
        return probability * (1.0 + kappa * of_true)
    if rule == "sum":
        return around.of_pool(probability)
    if rule == "mean":
        return _mean(probability, around)
    return probability


def _mean(probability, around):
    top = around.of_pool(probability)
    bottom = around.of_pool(np.ones_like(probability))
    if around.pool is not None:
        sums = influence_sums(
            around.pool,
            around.references,
            around.kernel,
            [around.verdict, around.weight],
        )
        top, bottom = top + sums[:, 0], bottom + sums[:, 1]
    return top / bottom
