"""Why a report stands where it stands in a ranking."""

import numpy as np
from scipy import sparse
from scipy.special import logit

_LEAST = 1e-12


def linear_coefficients(classifier):
    """Coefficients of a linear classifier of two classes, or None."""
    coef = getattr(classifier, "coef_", None)
    if coef is None:
        # Those of self-training are one level down.
        coef = getattr(getattr(classifier, "estimator_", None), "coef_", None)
    if coef is None:
        return None
    coef = coef.toarray() if sparse.issparse(coef) else np.asarray(coef)
    return coef.ravel()


def contributions(classifier, Z, blocks):
    """Split the log-odds of reports into parts of features, or of blocks of them.

    Parameters
    ----------
    classifier : estimator
        Fitted to features of which zero is the average report, or a missing word.
    Z : {ndarray, CSR} of shape (n_reports, n_features)
        Features.
    blocks : list of (str, slice)
        Names and columns of the blocks.

    Returns
    -------
    parts : CSR of shape (n_reports, n_parts)
        A linear classifier's coefficient times the feature; for any other what the
        log-odds lose when a block is set to zero.
    is_linear : bool
        Whether a part is a feature.
    """
    coef = linear_coefficients(classifier)
    if coef is not None:
        return sparse.csr_array(sparse.csr_array(Z) * coef[np.newaxis, :]), True
    base = _log_odds(classifier, Z)
    parts = np.empty((Z.shape[0], len(blocks)))
    for k, (_, columns) in enumerate(blocks):
        parts[:, k] = base - _log_odds(classifier, _with_zeros(Z, columns))
    return sparse.csr_array(parts), False


def _with_zeros(Z, columns):
    if not sparse.issparse(Z):
        Z = Z.copy()
        Z[:, columns] = 0.0
        return Z
    kept = np.ones(Z.shape[1])
    kept[columns] = 0.0
    return sparse.csr_array(sparse.csr_array(Z) * kept[np.newaxis, :])


def _log_odds(classifier, Z):
    p = classifier.predict_proba(Z)[:, 1]
    return logit(np.clip(p, _LEAST, 1.0 - _LEAST))


def largest_parts(parts, names, n_reasons):
    """Describe the largest parts of each report, with their signs.

    Parameters
    ----------
    parts : CSR of shape (n_reports, n_parts)
        Parts of the log-odds.
    names : sequence of str
        Their names.
    n_reasons : int
        How many to tell.

    Returns
    -------
    list of str
        Such as "location: nearest +2.10; text: hive +0.80".
    """
    reasons = []
    for start, stop in zip(parts.indptr[:-1], parts.indptr[1:]):
        values, index = parts.data[start:stop], parts.indices[start:stop]
        largest = np.argsort(-np.abs(values), kind="stable")[:n_reasons]
        reasons.append(
            "; ".join(
                f"{_readable(names[index[i]])} {values[i]:+.2f}"
                for i in largest
                if abs(values[i]) >= 0.005
            )
        )
    return reasons


def _readable(name):
    return str(name).replace("__", ": ", 1)
