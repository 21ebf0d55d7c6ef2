"""Negative log-likelihood of choices, with gradient and Hessian."""

import numpy as np
from scipy import sparse

from ._choice_probability import choice_probabilities

# Curvature below this part of what it is a difference of is none.
_ROUND_OFF = 1e-13


class ChoiceObjective:
    r"""Penalised negative log-likelihood of a conditional logit.

    .. math:: \sum_g s_g \Big[\log\Big(1 + \sum_{r \in g} e^{u_r}\Big)
        - \sum_{r \in g} y_r u_r\Big] + \frac12 \sum_j \alpha_j \theta_j^2,
        \qquad u = A \theta

    Without outside option the 1 is left out.

    Parameters
    ----------
    design : ndarray or CSR of shape (n_rows, n_coefs)
        Features, a column of ones for the intercept included, sorted by impression.
    chosen : ndarray of shape (n_rows,)
        1.0 for chosen rows, else 0.0.
    impressions : Impressions
        Which rows are shown together, without order.
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
        self._row_weight = impressions.spread(weight)
        self._starts = np.append(impressions.starts, impressions.n_rows)

    def log_likelihood(self, theta):
        """Log-likelihood, without the penalty."""
        return -self._loss(self.design @ theta)[0]

    def value(self, theta):
        """Compute the objective, and the probabilities of the rows."""
        loss, proba = self._loss(self.design @ theta)
        return loss + 0.5 * float(self.penalty @ theta**2), proba

    def gradient(self, theta, proba):
        """Gradient of shape (n_coefs,), given the probabilities at theta."""
        residual = self._row_weight * (proba - self.chosen)
        return self.design.T @ residual + self.penalty * theta

    def value_and_gradient(self, theta):
        """Compute the objective and its gradient."""
        value, proba = self.value(theta)
        return value, self.gradient(theta, proba)

    def hessian(self, proba):
        """Hessian of shape (n_coefs, n_coefs), given the probabilities."""
        # Rows of M are means of features under the probabilities: one product with a
        # sparse matrix, whatever the sizes of the impressions.
        averages = sparse.csr_array(
            (proba, np.arange(len(proba)), self._starts),
            shape=(self.impressions.n_groups, len(proba)),
        )
        means = averages @ self.design
        hessian = _gram(self.design, self._row_weight * proba)
        round_off = _ROUND_OFF * np.diag(hessian)
        hessian -= _gram(means, self.weight)
        # What is the same for all rows of an impression has no curvature.
        flat = np.diag(hessian) <= round_off
        hessian[flat], hessian[:, flat] = 0.0, 0.0
        hessian[np.diag_indices_from(hessian)] += self.penalty
        return hessian

    def _loss(self, utilities):
        proba, _, log_sum = choice_probabilities(
            utilities, self.impressions, self.outside_option
        )
        chosen = self._row_weight * self.chosen
        return float(self.weight @ log_sum - chosen @ utilities), proba


def _gram(A, weight):
    """A^T diag(weight) A as a dense array."""
    if sparse.issparse(A):
        scaled = A.multiply(weight[:, np.newaxis]).tocsr()
        return np.asarray((A.T @ scaled).todense(), dtype=np.float64)
    root = A * np.sqrt(weight)[:, np.newaxis]
    return root.T @ root  # the same array twice: BLAS computes half of it
