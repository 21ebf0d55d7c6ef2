"""Score of choices: the log-likelihood of an impression."""

import numpy as np
from sklearn.utils.validation import (
    _check_pos_label_consistency,
    assert_all_finite,
    check_consistent_length,
    column_or_1d,
)

from ._choice_data import impression_weights, number_of_choices
from ._choice_probability import choice_probabilities
from ._impressions import Impressions


def choice_log_likelihood(
    y_true,
    y_score,
    *,
    groups=None,
    sample_weight=None,
    outside_option=True,
    pos_label=None,
):
    r"""Compute the mean log-likelihood of the choices, given utilities.

    .. math:: \frac{1}{\sum_g s_g} \sum_g s_g \Big[\sum_{r \in g} y_r u_r
        - \log\Big(1 + \sum_{r \in g} e^{u_r}\Big)\Big]

    Utilities are what `decision_function` returns, so it scores a row-wise model, such
    as logistic regression, by the choices that its scores imply, and pipelines too.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Two labels, one of which marks chosen rows.
    y_score : array-like of shape (n_rows,)
        Utilities.
    groups : array-like of shape (n_rows,), default=None
        Impression of each row; None makes each row one.
    sample_weight : array-like of shape (n_rows,), default=None
        Weights, the same for all rows of an impression.
    outside_option : bool, default=True
        Whether nothing may be chosen. Otherwise the 1 in the formula is left out.
    pos_label : int, float, bool or str, default=None
        Label of chosen rows; None takes 1, of labels 0 and 1 or -1 and 1.

    Returns
    -------
    float
        Mean over impressions in nats, 0 at most; greater is better.

    Raises
    ------
    ValueError
        If `pos_label` is needed; if utilities are not finite, an impression has more
        than one choice, or none without outside option; or weights differ in one.

    See Also
    --------
    ConditionalLogit.log_likelihood : The sum over impressions.

    Notes
    -----
    A scorer of it needs metadata routing, because scikit-learn hands groups to scorers
    by nothing else::

        sklearn.set_config(enable_metadata_routing=True)
        scorer = make_scorer(choice_log_likelihood, response_method="decision_function")
        scorer = scorer.set_score_request(groups=True)

    Examples
    --------
    >>> from sklogit.choice import choice_log_likelihood
    >>> y, groups = [0, 1, 0, 0, 0], ["a", "a", "a", "b", "b"]
    >>> round(choice_log_likelihood(y, [0.0] * 5, groups=groups), 6)  # -log(4 * 3) / 2
    -1.242453
    """
    y_true, utilities = column_or_1d(y_true), column_or_1d(y_score, dtype=np.float64)
    check_consistent_length(y_true, utilities)
    assert_all_finite(utilities, input_name="y_score")
    chosen = y_true == _check_pos_label_consistency(pos_label, y_true)
    impressions = Impressions.from_labels(groups, len(utilities))
    weight = impression_weights(sample_weight, utilities, impressions)
    total = log_likelihood_of(utilities, chosen, impressions, weight, outside_option)
    return total / float(weight.sum())


def log_likelihood_of(utilities, chosen, impressions, weight, outside_option):
    """Sum of the log-likelihood over impressions, of rows as they came."""
    utilities, chosen = impressions.sorted(utilities), impressions.sorted(chosen)
    number_of_choices(impressions, chosen, outside_option)
    log_sum = choice_probabilities(utilities, impressions, outside_option)[2]
    of_chosen = impressions.sum(np.where(chosen, utilities, 0.0))
    return float(weight @ (of_chosen - log_sum))
