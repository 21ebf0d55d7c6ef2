"""How many numbers a fitted model is made of."""

import numpy as np
from scipy.sparse import issparse

# Attributes of meta-estimators that hold the one model that predicts. Those of
# ensembles hold an unfitted member there: the members come first.
_THE_MODEL = ("best_estimator_", "estimator_", "regressor_")
# Attributes of estimators that memorise or tabulate, and the numbers they hold.
_TABLES = (
    ("feature_log_prob_", "class_log_prior_"),  # discrete naive Bayes
    ("theta_", "var_", "class_prior_"),  # Gaussian naive Bayes
    ("means_", "rotations_", "scalings_", "priors_"),  # quadratic discriminant
    ("centroids_",),
    ("constant_",),
    ("class_prior_",),
)


def n_parameters(estimator):
    """Count the numbers that a fitted model is made of.

    ====================================  ============================================
    linear models                         nonzero coefficients and intercepts
    trees                                 nodes
    forests, boosting, bagging, voting,   sum over their members
    stacking, calibration, one-vs-rest
    support vector machines               support vectors times features
    nearest neighbours                    stored rows times features
    multilayer perceptrons                weights and biases
    naive Bayes, discriminant analysis    numbers in their tables
    pipelines                             those of the last step
    searches, selectors                   those of the chosen model
    ====================================  ============================================

    It is a helper for the parameter `complexity` of `SimplestModelSelector`. The counts
    of different families are not of one currency; where that matters, order the models
    by hand, which is the default there.

    Parameters
    ----------
    estimator : object
        Fitted estimator.

    Returns
    -------
    int
        Number of parameters.

    Raises
    ------
    TypeError
        If it is not known how to count those of this estimator, or if it is not fitted.

    See Also
    --------
    SimplestModelSelector : Takes it as `complexity`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from sklogit.model_selection import n_parameters
    >>> X, y = load_iris(return_X_y=True)
    >>> n_parameters(LogisticRegression(max_iter=500).fit(X, y))
    15
    >>> n_parameters(DecisionTreeClassifier(max_depth=1).fit(X, y))
    3
    """
    if hasattr(estimator, "steps"):
        return n_parameters(estimator.steps[-1][1])
    members = _members(estimator)
    if members is not None:
        return sum(n_parameters(member) for member in members)
    for name in _THE_MODEL:
        if hasattr(getattr(estimator, name, None), "fit"):
            return n_parameters(getattr(estimator, name))
    count = _own_parameters(estimator)
    if count is None:
        raise TypeError(
            f"estimator must be fitted, and of a known kind, got {estimator!r}. Give a "
            "function of your own that counts its parameters."
        )
    return int(count)


def _members(estimator):
    """Return the fitted members of an ensemble, or None."""
    if hasattr(estimator, "calibrated_classifiers_"):
        return [fitted.estimator for fitted in estimator.calibrated_classifiers_]
    members = getattr(estimator, "estimators_", None)
    if members is None:
        return None
    members = [m for m in np.ravel(np.array(members, dtype=object)) if m != "drop"]
    final = getattr(estimator, "final_estimator_", None)
    return members if final is None else [*members, final]


def _own_parameters(estimator):
    """Return the number of parameters of a single model, or None."""
    if hasattr(estimator, "coefs_") and hasattr(estimator, "intercepts_"):
        return sum(map(np.size, [*estimator.coefs_, *estimator.intercepts_]))
    if hasattr(estimator, "coef_"):
        return _nonzero(estimator.coef_) + np.size(getattr(estimator, "intercept_", ()))
    if hasattr(estimator, "tree_"):
        return estimator.tree_.node_count
    if hasattr(estimator, "_predictors"):  # histogram gradient boosting
        trees = [tree for stage in estimator._predictors for tree in stage]
        return sum(len(tree.nodes) for tree in trees)
    if hasattr(estimator, "support_vectors_"):
        return len(estimator.support_) * estimator.n_features_in_
    if hasattr(estimator, "n_samples_fit_"):
        return estimator.n_samples_fit_ * estimator.n_features_in_
    for names in _TABLES:
        tables = [getattr(estimator, n) for n in names if hasattr(estimator, n)]
        if tables and hasattr(estimator, names[0]):
            return sum(_size(table) for table in tables)
    return None


def _nonzero(coef):
    return coef.count_nonzero() if issparse(coef) else np.count_nonzero(coef)


def _size(table):
    if isinstance(table, list):
        return sum(map(np.size, table))
    return np.size(table)
