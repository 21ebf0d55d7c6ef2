"""Features as the solver of choices wants them."""

import numpy as np
from scipy import sparse


def choice_design(X, impressions, intercept, outside_option):
    """Sort rows by impression, move their origin and append a column of ones.

    Choices do not depend on the origin of the features, and the Hessian keeps its
    digits when features have a mean that is large beside their spread. Sparse rows stay
    where they are.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_rows, n_features)
        Features.
    impressions : Impressions
        Which rows are shown together.
    intercept : bool
        Whether to append the column.
    outside_option : bool
        Whether nothing may be chosen. If not, only differences in an impression count.

    Returns
    -------
    design : ndarray or CSR of shape (n_rows, n_features + intercept)
        The sorted rows.
    centre : ndarray of shape (n_features,)
        What was subtracted from all rows, if there is an intercept; else zero.
    """
    X = impressions.sorted(X)
    n, d = X.shape
    centre = np.zeros(d)
    if sparse.issparse(X):
        if intercept:
            X = sparse.hstack([X, np.ones((n, 1))], format="csr")
        return X, centre
    if not outside_option:
        # From the first row on: what is the same in an impression is zero, exactly.
        return X - X[impressions.spread(impressions.starts)], centre
    if not intercept:
        return X, centre
    centre = X.mean(axis=0)
    design = np.ones((n, d + 1))
    np.subtract(X, centre, out=design[:, :d])
    return design, centre
