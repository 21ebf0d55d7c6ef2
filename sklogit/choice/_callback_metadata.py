"""What the callbacks of a fit are told beside the data."""

from sklearn import get_config
from sklearn.utils.metadata_routing import get_routing_for_object


def callback_metadata(estimator, groups, sample_weight):
    """Return what callbacks are told, or None.

    Groups are told with metadata routing only, without which scorers do not take them;
    and not to monitors of scores none of which asks for them, since scikit-learn takes
    what nobody asked for as an error.

    Parameters
    ----------
    estimator : estimator
        What is fitted, after its callbacks were set up.
    groups : array-like or None
        Impressions.
    sample_weight : array-like or None
        Weights.

    Returns
    -------
    dict or None
        What is given of them.
    """
    known = {"sample_weight": sample_weight}
    if get_config()["enable_metadata_routing"] and _takes_groups(estimator):
        known["groups"] = groups
    return {key: value for key, value in known.items() if value is not None} or None


def _takes_groups(estimator):
    callbacks = getattr(estimator, "_skl_callbacks", ())
    # ScoringMonitor has no public way to ask for its scorer.
    scorers = [getattr(c, "_estimator_scorers", {}).get(estimator) for c in callbacks]
    scorers = [scorer for scorer in scorers if scorer is not None]
    return not scorers or any(
        get_routing_for_object(scorer).consumes("score", ["groups"])
        for scorer in scorers
    )
