"""Table of a fitted choice model."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm


@dataclass(frozen=True, repr=False)
class ChoiceSummary:
    """Coefficients with standard errors, and how well the model fits.

    Printing it gives a table.

    Attributes
    ----------
    names : list of str
        Names of the coefficients, the intercept last.
    coef : ndarray of shape (n_coefs,)
        Estimates.
    std_err : ndarray of shape (n_coefs,)
        Standard errors; NaN where the data do not identify the coefficient.
    z : ndarray of shape (n_coefs,)
        Estimates in units of their standard errors.
    p_value : ndarray of shape (n_coefs,)
        Two-sided probabilities of a z as large, were the coefficient zero.
    log_likelihood : float
        Log-likelihood of the data, in nats, without the penalty.
    log_likelihood_null : float
        That of the model without features: the intercept alone, or equal shares.
    n_groups : int
        Number of impressions.
    n_rows : int
        Number of rows.
    C : float
        Inverse strength of the penalty; with a finite one standard errors are those of
        penalised estimates.
    """

    names: list
    coef: np.ndarray
    std_err: np.ndarray
    z: np.ndarray
    p_value: np.ndarray
    log_likelihood: float
    log_likelihood_null: float
    n_groups: int
    n_rows: int
    C: float

    @classmethod
    def from_estimates(cls, names, coef, covariance, **fit):
        """Compute the table from estimates and their covariance.

        Parameters
        ----------
        names : list of str
            Names of the coefficients.
        coef : ndarray of shape (n_coefs,)
            Estimates.
        covariance : ndarray of shape (n_coefs, n_coefs)
            Their covariance.
        **fit
            The other attributes.

        Returns
        -------
        ChoiceSummary
            The table.
        """
        std_err = np.sqrt(np.diag(covariance))
        z = coef / std_err
        return cls(list(names), coef, std_err, z, 2 * norm.sf(np.abs(z)), **fit)

    @property
    def mcfadden_r2(self):
        """McFadden's pseudo R2, 1 - log-likelihood / log-likelihood of the null."""
        if self.log_likelihood_null == 0:
            return np.nan
        return 1.0 - self.log_likelihood / self.log_likelihood_null

    @property
    def aic(self):
        """Akaike's criterion, 2 n_coefs - 2 log-likelihood."""
        return 2.0 * len(self.coef) - 2.0 * self.log_likelihood

    @property
    def bic(self):
        """Bayesian criterion, n_coefs log(n_groups) - 2 log-likelihood."""
        return len(self.coef) * np.log(self.n_groups) - 2.0 * self.log_likelihood

    def __str__(self):
        width = max(len("coefficient"), *map(len, self.names))
        head = f"{'coefficient':<{width}} {'estimate':>12} {'std err':>12}"
        head += f" {'z':>9} {'P>|z|':>7}"
        columns = zip(self.names, self.coef, self.std_err, self.z, self.p_value)
        rows = [
            f"{name:<{width}} {b:12.5g} {se:12.5g} {z:9.3f} {p:7.3f}"
            for name, b, se, z, p in columns
        ]
        facts = [
            f"impressions: {self.n_groups}    rows: {self.n_rows}    C: {self.C:g}",
            f"log-likelihood: {self.log_likelihood:.4f}"
            f"    null: {self.log_likelihood_null:.4f}"
            f"    McFadden R2: {self.mcfadden_r2:.4f}",
            f"AIC: {self.aic:.3f}    BIC: {self.bic:.3f}",
        ]
        rule = "-" * len(head)
        title = "Conditional logit"
        return "\n".join([title, *facts, rule, head, rule, *rows, rule])

    __repr__ = __str__
