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
    impressions : Impressions or RankedImpressions
        Which rows are shown together.
    intercept : bool
        Whether to append the column.
    outside_option : bool
        Whether nothing may be chosen. If not, only differences in an impression count.

    Returns
    -------
    design : ndarray or CSR of shape (n_rows, n_features + intercept)
        The sorted rows; an array is stored column by column.
    centre : ndarray of shape (n_features,)
        What was subtracted from all rows, if there is an intercept; else zero.
    """
    n, d = X.shape
    centre = np.zeros(d)
    if sparse.issparse(X):
        X = impressions.sorted(X)
        if intercept:
            X = sparse.hstack([X, np.ones((n, 1))], format="csr")
        return X, centre
    # Few columns and many rows: a pass over a column costs less than one over rows.
    columns = np.ones((d + intercept, n))
    columns[:d] = impressions.sorted(X).T
    if not outside_option:
        # From the first row on: what is the same in an impression is zero, exactly.
        first = impressions.first(columns).copy()
        for j in range(d):
            columns[j] -= impressions.spread(first[j])
    elif intercept:
        centre = columns[:d].mean(axis=1)
        columns[:d] -= centre[:, np.newaxis]
    return columns.T, centre
