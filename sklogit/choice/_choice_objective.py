"""Negative log-likelihood of choices, with gradient and Hessian."""

import numpy as np
from scipy import sparse

from ._choice_probability import choice_probabilities
from ._ranked_impressions import RankedImpressions

# Curvature below this part of what it is a difference of is none.
_ROUND_OFF = 1e-13
# From here on BLAS gains more by computing half of a product than blocks do.
_FEW_COEFS = 16
_BLOCK = 2**17  # numbers, 1 MB


class ChoiceObjective:
    r"""Penalised negative log-likelihood of a conditional logit.

    .. math:: \sum_g s_g \Big[\log\Big(1 + \sum_{r \in g} e^{u_r}\Big)
        - \sum_{r \in g} y_r u_r\Big] + \frac12 \sum_j \alpha_j \theta_j^2,
        \qquad u = A \theta

    Without outside option the 1 is left out.

    Parameters
    ----------
    design : ndarray or CSR of shape (n_rows, n_coefs)
        Features, a column of ones for the intercept included, sorted by impression; an
        array best stored column by column.
    chosen : ndarray of shape (n_rows,)
        1.0 for chosen rows, else 0.0.
    impressions : Impressions or RankedImpressions
        Which rows are shown together, in their order; not ranked for CSR.
    weight : ndarray of shape (n_groups,)
        Weights s of the impressions.
    penalty : ndarray of shape (n_coefs,)
        Penalties :math:`\alpha`.
    outside_option : bool
        Whether nothing may be chosen.
    """

    def __init__(self, design, chosen, impressions, weight, penalty, outside_option):
        self.design = design
        self.chosen = chosen
        self.impressions = impressions
        self.weight = weight
        self.penalty = penalty
        self.outside_option = outside_option
        self._row_weight = None  # all are one
        if (weight != 1.0).any():
            self._row_weight = impressions.spread(weight)
        self._weighted_chosen = self._weighted(chosen)

    def log_likelihood(self, theta):
        """Log-likelihood, without the penalty."""
        return -self._loss(self.design @ theta)[0]

    def value(self, theta):
        """Compute the objective, and the probabilities of the rows."""
        loss, proba = self._loss(self.design @ theta)
        return loss + self.penalty_of(theta), proba

    def penalty_of(self, theta):
        """Compute the penalty."""
        return 0.5 * float(self.penalty @ theta**2)

    def gradient(self, theta, proba):
        """Gradient of shape (n_coefs,), given the probabilities at theta."""
        residual = self._weighted(proba) - self._weighted_chosen
        return self.design.T @ residual + self.penalty * theta

    def value_and_gradient(self, theta):
        """Compute the objective and its gradient."""
        value, proba = self.value(theta)
        return value, self.gradient(theta, proba)

    def units(self):
        """Units of the coefficients, (n_coefs,): features in them have mean square 1.

        The penalty counts too, which is what bounds coefficients of rare features.
        """
        weight = self._weighted(np.ones(len(self.chosen)))
        if sparse.issparse(self.design):
            squares = self.design.multiply(self.design).T @ weight
        else:
            squares = np.einsum("ij,ij,i->j", self.design, self.design, weight)
        squares = squares / max(weight.sum(), np.finfo(np.float64).tiny)
        total = max(self.weight.sum(), np.finfo(np.float64).tiny)
        squares += self.penalty / total
        return 1.0 / np.sqrt(np.where(squares > 0, squares, 1.0))

    def scores(self, proba):
        """Gradients of each impression, (n_groups, n_coefs), without the penalty."""
        residual = self._weighted(proba) - self._weighted_chosen
        scores = self._sums(self._times(residual))
        return (scores.toarray() if sparse.issparse(scores) else scores).T

    def hessian(self, proba):
        """Hessian of shape (n_coefs, n_coefs), given the probabilities."""
        few = self.design.shape[1] <= _FEW_COEFS
        if few and isinstance(self.impressions, RankedImpressions):
            hessian, means = self._moments_by_blocks(proba)
        else:
            hessian = _gram(self.design.T, self._weighted(proba))
            means = self._sums(self._times(proba))
        round_off = _ROUND_OFF * np.diag(hessian)
        hessian -= _gram(means, self.weight)
        # What is the same for all rows of an impression has no curvature.
        flat = np.diag(hessian) <= round_off
        hessian[flat], hessian[:, flat] = 0.0, 0.0
        hessian.flat[:: len(hessian) + 1] += self.penalty
        return hessian

    def _moments_by_blocks(self, proba):
        """Second moments of all features, and the means of impressions, in one pass.

        Blocks stay in the cache, where large products would go through memory.
        """
        columns = self.design.T
        weighted = self._weighted(proba)
        second = np.zeros((len(columns), len(columns)))
        means = np.zeros((len(columns), self.impressions.n_groups))
        for rows, groups in self.impressions.blocks(_BLOCK // len(columns)):
            block = columns[:, rows]
            means[:, groups] += block * proba[rows]
            second += (block * weighted[rows]) @ block.T
        return second, means

    def _weighted(self, values):
        """Values of rows, (..., n_rows), times the weights of their impressions."""
        return values if self._row_weight is None else values * self._row_weight

    def _times(self, values):
        """Features times values of the rows, (n_coefs, n_rows)."""
        columns = self.design.T
        if sparse.issparse(columns):
            return columns.multiply(values).tocsr()
        return columns * values

    def _sums(self, columns):
        """Columns (n_coefs, n_rows), summed over impressions: (n_coefs, n_groups)."""
        if not sparse.issparse(columns):
            return self.impressions.sum(columns)
        n_rows = self.impressions.n_rows
        starts = np.append(self.impressions.starts, n_rows)
        of_impressions = sparse.csr_array((np.ones(n_rows), np.arange(n_rows), starts))
        return (of_impressions @ columns.T).T

    def _loss(self, utilities):
        proba, _, log_sum = choice_probabilities(
            utilities, self.impressions, self.outside_option
        )
        of_chosen = float(self._weighted_chosen @ utilities)
        return float(self.weight @ log_sum) - of_chosen, proba


def _gram(A, weight):
    """Return A diag(weight) A^T as a dense array."""
    if sparse.issparse(A):
        return (A.multiply(weight).tocsr() @ A.T).toarray()
    root = A * np.sqrt(weight)
    return root @ root.T  # the same array twice: BLAS computes half of it
