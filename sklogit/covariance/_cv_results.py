"""The table of a search, in the format of GridSearchCV."""

import numpy as np
from scipy.stats import rankdata


def make_cv_results(params, fit_time, score_time, scores):
    """Make the ``cv_results_`` of a search.

    Parameters
    ----------
    params : list of dict
        Parameters of the candidates, all with the same keys.
    fit_time, score_time, scores : ndarray of shape (n_candidates, n_splits)
        Seconds, seconds, and scores, nan where a candidate could not be scored.

    Returns
    -------
    dict of ndarrays
        The keys of ``GridSearchCV.cv_results_`` for one metric, without training
        scores.
    """
    results = {}
    for name, values in (("fit_time", fit_time), ("score_time", score_time)):
        results[f"mean_{name}"] = values.mean(axis=1)
        results[f"std_{name}"] = values.std(axis=1)
    for name in params[0]:
        values = [row[name] for row in params]
        dtype = object if isinstance(values[0], str) else None
        results[f"param_{name}"] = np.ma.MaskedArray(
            np.array(values, dtype=dtype), mask=False
        )
    results["params"] = params
    for k in range(scores.shape[1]):
        results[f"split{k}_test_score"] = scores[:, k]
    results["mean_test_score"] = scores.mean(axis=1)
    results["std_test_score"] = scores.std(axis=1)
    results["rank_test_score"] = _rank(results["mean_test_score"])
    return results


def _rank(scores):
    """Rank 1 is the highest; nan shares the last, or the first if all are nan."""
    missing = np.isnan(scores)
    if missing.all():
        return np.ones(len(scores), dtype=np.int32)
    filled = np.where(missing, scores[~missing].min() - 1, scores)
    return rankdata(-filled, method="min").astype(np.int32)
