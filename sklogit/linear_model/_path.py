"""Gradient descent with large steps and its perceptron limits, iterate by iterate."""

from numbers import Integral, Real

import numpy as np
from scipy.sparse import csr_array, hstack, issparse
from scipy.special import expit, log_expit, softmax
from sklearn.utils import check_X_y
from sklearn.utils._param_validation import Interval, StrOptions, validate_params
from sklearn.utils.extmath import row_norms
from sklearn.utils.multiclass import check_classification_targets

# Every update adds a nonnegative combination of the rows b_i = y_i a_i. A method is
# therefore a rule: margins m = B theta at iteration t -> weights of the rows. A margin
# of exactly 0 counts as an error.


def _lr_gd(margins, t, gamma):
    return gamma / len(margins) * expit(-margins)


def _batch_perceptron(margins, t, gamma):
    # At theta_0 = 0 the sigmoids are 1/2; afterwards their limits are 1 and 0.
    weights = np.full(len(margins), 0.5) if t == 0 else margins <= 0
    return weights / len(margins)


def _perceptron(margins, t, gamma):
    wrong = margins <= 0
    weights = np.zeros(len(margins))
    weights[wrong.argmax()] = wrong.any()
    return weights


def _normalized_batch_perceptron(margins, t, gamma):
    wrong = margins <= 0
    return wrong / max(np.count_nonzero(wrong), 1)


def _normalized_lr_gd(margins, t, gamma):
    # The quotient sigmoid(-m) / sum(sigmoid(-m)) would be 0 / 0 at large margins.
    return gamma * softmax(log_expit(-margins))


def _dual_momentum(radius):
    momentum = 0.0

    def rule(margins, t, gamma):
        nonlocal momentum
        q = softmax(-margins)
        momentum = t / (t + 1) * (momentum + q)
        return (momentum + q) / radius**2

    return rule


_RULES = {
    "lr_gd": _lr_gd,
    "batch_perceptron": _batch_perceptron,
    "perceptron": _perceptron,
    "normalized_batch_perceptron": _normalized_batch_perceptron,
    "normalized_lr_gd": _normalized_lr_gd,
}


@validate_params(
    {
        "X": ["array-like", "sparse matrix"],
        "y": ["array-like"],
        "gamma": [Interval(Real, 0, None, closed="neither")],
        "method": [StrOptions({*_RULES, "dual_momentum"})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "fit_intercept": ["boolean"],
        "stop": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def normalized_gd_path(
    X,
    y,
    *,
    gamma=100.0,
    method="normalized_lr_gd",
    max_iter=1000,
    fit_intercept=False,
    stop=True,
):
    r"""Compute the iterates of gradient descent on the logistic loss or a relative.

    Plain NumPy that follows the formulas, for pictures and as a reference. To classify,
    use the estimators.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Samples.
    y : array-like of shape (n_samples,)
        Labels of two classes; the second in sorted order is the positive one.
    gamma : float, default=100.0
        Step size of "lr_gd" and "normalized_lr_gd", as in the paper: not scaled by the
        data. The other methods have no step size.
    method : str, default="normalized_lr_gd"
        The update: "lr_gd", "batch_perceptron", "perceptron",
        "normalized_batch_perceptron", "normalized_lr_gd" or "dual_momentum", see Notes.
    max_iter : int, default=1000
        Most iterations.
    fit_intercept : bool, default=False
        Whether to append a column of ones to X. The intercept is then the last entry of
        `theta`, and part of the norms and margins.
    stop : bool, default=True
        Whether to stop at the first iterate without training errors.

    Returns
    -------
    dict of ndarray
        For every iterate :math:`t = 0, \dots, T`:

        - "n_errors": samples with a margin :math:`m_i \le 0`,
        - "loss": mean logistic loss,
        - "grad_norm": Euclidean norm of its gradient,
        - "margin_lower": smallest geometric margin
          :math:`\min_i m_i / \|\theta\|`; -inf at :math:`\theta = 0`,
        - "margin_upper": an upper bound of the margin of every separator; inf at
          :math:`t = 0`,
        - "theta": the iterate, shape (T + 1, n_features) or, with an intercept,
          (T + 1, n_features + 1).

    Raises
    ------
    ValueError
        If y does not have two classes, or all samples are zero and the method is
        "dual_momentum".

    See Also
    --------
    sklearn.linear_model.Perceptron : The perceptron, trained in epochs.

    Notes
    -----
    With the signed samples :math:`b_i = y_i a_i` as rows of :math:`B`, the margins are
    :math:`m = B\theta`. All methods start at :math:`\theta_0 = 0` and repeat
    :math:`\theta \leftarrow \theta + B^\top c`, with weights :math:`c \ge 0` from
    :math:`s_i = 1 / (1 + e^{m_i})` and :math:`S = \{i : m_i \le 0\}`:

    - "lr_gd", gradient descent: :math:`c = \gamma s / n`.
    - "batch_perceptron", its limit for :math:`\gamma \to \infty` divided by
      :math:`\gamma`: :math:`c_i = 1/n` on :math:`S`; the first time 1/(2n) everywhere.
    - "perceptron": :math:`c_i = 1` at the first sample of :math:`S`.
    - "normalized_batch_perceptron": :math:`c_i = 1 / |S|` on :math:`S`.
    - "normalized_lr_gd", gradient descent on the logistic loss with its step size
      divided by the mean sigmoid: :math:`c = \gamma s / \sum_i s_i`.
    - "dual_momentum", exponential weights :math:`q = \mathrm{softmax}(-m)` with
      momentum: :math:`p \leftarrow \frac{t}{t+1}(p + q)` and then
      :math:`c = (p + q) / R^2`, where :math:`R = \max_i \|a_i\|`.

    With the sum :math:`C` of all weights so far, :math:`\|\theta\| / C` is the norm of
    a point in the convex hull of the :math:`b_i`. The hull's smallest norm is the
    largest margin :math:`\mu` of separable data, and 0 for others, so that
    "margin_lower" :math:`\le \mu \le` "margin_upper" on separable data.

    "perceptron" and both normalised methods reach zero errors within
    :math:`R^2/\mu^2 + 2 \log(2n - 1) / (\gamma \mu^2)` iterations (perceptrons: the
    first term alone); "lr_gd" and "batch_perceptron" can need :math:`n` times as many.
    For the smallest distance between the bounds take "dual_momentum".

    References
    ----------
    .. [1] "From Logistic Regression to the Perceptron Algorithm: Exploring Gradient
       Descent with Large Step Sizes", arXiv:2412.08424.
    .. [2] "Fast Margin Maximization via Dual Acceleration", arXiv:2107.00595.

    Examples
    --------
    A large loss does not mean slow progress: the second iterate separates.

    >>> from sklogit.linear_model import normalized_gd_path
    >>> path = normalized_gd_path(
    ...     [[1, -1], [-1, -4]], [1, 0], gamma=1e4, method="lr_gd"
    ... )
    >>> path["n_errors"].tolist()
    [2, 1, 0]
    >>> path["loss"].round(2).tolist()
    [0.69, 1250.0, 0.0]
    """
    signed = _signed_rows(X, y, fit_intercept)
    if method == "dual_momentum":
        rule = _dual_momentum(_radius(signed))
    else:
        rule = _RULES[method]
    theta, total = np.zeros(signed.shape[1]), 0.0
    records = []
    for t in range(max_iter + 1):
        margins = signed @ theta
        records.append(_record(signed, theta, margins, total))
        if t == max_iter or (stop and records[-1]["n_errors"] == 0):
            break
        weights = rule(margins, t, gamma)
        theta = theta + signed.T @ weights
        total += weights.sum()
    return {name: np.array([r[name] for r in records]) for name in records[0]}


def _record(signed, theta, margins, total):
    norm = np.linalg.norm(theta)
    return {
        "n_errors": np.count_nonzero(margins <= 0),
        "loss": np.logaddexp(0, -margins).mean(),
        "grad_norm": np.linalg.norm(signed.T @ expit(-margins)) / len(margins),
        "margin_lower": margins.min() / norm if norm > 0 else -np.inf,
        "margin_upper": norm / total if total > 0 else np.inf,
        "theta": theta,
    }


def _signed_rows(X, y, fit_intercept):
    """Rows b_i = y_i a_i, float64, dense or CSR."""
    X, y = check_X_y(X, y, accept_sparse="csr", dtype=np.float64)
    check_classification_targets(y)
    classes, y_index = np.unique(y, return_inverse=True)
    if len(classes) != 2:
        found = "only one class" if len(classes) == 1 else f"{len(classes)} classes"
        raise ValueError(f"y must have two classes, but the data contains {found}.")
    sign = (2.0 * y_index - 1)[:, np.newaxis]
    if issparse(X):
        X = hstack([csr_array(X), np.ones_like(sign)]) if fit_intercept else X
        return csr_array(csr_array(X).multiply(sign))
    return sign * (np.column_stack([X, np.ones_like(sign)]) if fit_intercept else X)


def _radius(signed):
    radius = np.sqrt(row_norms(signed, squared=True).max())
    if radius == 0:
        raise ValueError("method='dual_momentum' needs a sample that is not zero.")
    return radius
