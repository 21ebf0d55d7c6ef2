"""Logs of clicks on ads that compete, from a model that is known."""

from numbers import Integral, Real

import numpy as np
from scipy import special
from sklearn.utils import Bunch, check_random_state

_USER_MODELS = ("mnl", "cascade", "independent")


def make_click_log(
    n_impressions=1000,
    n_positions=4,
    *,
    n_ads=50,
    n_features=6,
    n_shown=None,
    user_model="mnl",
    intercept=-1.0,
    scale=1.0,
    position_effect=0.5,
    random_state=None,
):
    r"""Generate impressions of ads with clicks of users whose model is known.

    The utility of ad i in position j is

    .. math:: \rho_{ij} = x_i^\top \beta - a\,j + b

    with the features :math:`x_i` of the ad, of normal distribution, position effect a
    and intercept b. Each impression shows random ads, as an experiment would, in the
    first of its positions.

    Parameters
    ----------
    n_impressions : int, default=1000
        Number of impressions.
    n_positions : int, default=4
        Number of positions; most ads of an impression.
    n_ads : int, default=50
        Number of ads, at least as many as positions.
    n_features : int, default=6
        Features of an ad.
    n_shown : int, default=None
        Ads of an impression; None draws from 1 to `n_positions` for each.
    user_model : {"mnl", "cascade", "independent"}, default="mnl"
        Users who click at most one of all they see, with odds :math:`e^{\rho}`; who
        read from the first position on and leave with their first click; or who judge
        each ad on its own, and may click several. The last two click with probability
        :math:`1 / (1 + e^{-\rho})` what they read.
    intercept : float, default=-1.0
        Utility b of an average ad in the first position.
    scale : float, default=1.0
        Standard deviation of the utilities of ads.
    position_effect : float, default=0.5
        Utility a that each further position takes away.
    random_state : int, RandomState instance or None, default=None
        Seed.

    Returns
    -------
    Bunch
        With the fields ``X`` (n_rows, n_features + 1), features of the ad shown and
        its position; ``y`` (n_rows,), 1 for clicks; ``groups`` (n_rows,), the
        impression; ``ads`` and ``positions`` (n_rows,); ``ad_features`` (n_ads,
        n_features); ``coef`` (n_features + 1,) and ``intercept``, the truth;
        ``utilities`` (n_ads, n_positions), those of all pairs; and ``pairs`` (n_ads *
        n_positions, n_features + 1), features of all pairs, ad by ad.

    Raises
    ------
    ValueError
        If a size is not positive or does not fit, a number is not finite, or the user
        model is unknown.

    See Also
    --------
    sklogit.choice.ConditionalLogit : Learns the model from such logs.
    sklogit.choice.PositionAuction : Sells the positions.

    Examples
    --------
    >>> from sklogit.choice import ConditionalLogit
    >>> from sklogit.datasets import make_click_log
    >>> log = make_click_log(20000, random_state=0)
    >>> clf = ConditionalLogit().fit(log.X, log.y, log.groups)
    >>> bool(abs(clf.coef_ - log.coef).max() < 0.1)
    True
    """
    sizes = {
        "n_impressions": n_impressions,
        "n_positions": n_positions,
        "n_ads": n_ads,
        "n_features": n_features,
        "n_shown": 1 if n_shown is None else n_shown,
    }
    numbers = {
        "intercept": intercept,
        "scale": scale,
        "position_effect": position_effect,
    }
    _check(sizes, numbers, user_model)
    rng = check_random_state(random_state)
    ad_features = rng.standard_normal((n_ads, n_features))
    beta = rng.standard_normal(n_features)
    beta *= scale / np.linalg.norm(beta)
    coef = np.append(beta, -position_effect)
    if n_shown is None:
        counts = rng.randint(1, n_positions + 1, n_impressions)
    else:
        counts = np.full(n_impressions, n_shown)
    groups = np.repeat(np.arange(n_impressions), counts)
    positions = np.concatenate([np.arange(n) for n in counts])
    ads = np.concatenate([_drawn(rng, n_ads, n) for n in counts])
    X = np.column_stack([ad_features[ads], positions])
    y = _clicks(X @ coef + intercept, groups, positions, user_model, rng)
    pairs = np.column_stack(
        [
            np.repeat(ad_features, n_positions, axis=0),
            np.tile(np.arange(n_positions), n_ads),
        ]
    )
    return Bunch(
        X=X,
        y=y,
        groups=groups,
        ads=ads,
        positions=positions,
        ad_features=ad_features,
        coef=coef,
        intercept=float(intercept),
        utilities=(pairs @ coef + intercept).reshape(n_ads, n_positions),
        pairs=pairs,
    )


def _drawn(rng, n_ads, n):
    """Different ads, in random order, without a permutation of all."""
    while True:
        ads = rng.randint(n_ads, size=n)
        if len(set(ads.tolist())) == n:
            return ads
        if 2 * n > n_ads:
            return rng.permutation(n_ads)[:n]


def _clicks(utilities, groups, positions, user_model, rng):
    if user_model == "mnl":
        return _best_of_noisy(utilities, groups, rng)
    clicks = rng.uniform(size=len(utilities)) < special.expit(utilities)
    if user_model == "cascade":
        # Rows of an impression stand in the order in which they are read.
        before = np.cumsum(clicks) - clicks
        start = np.flatnonzero(positions == 0)
        clicks &= before == np.repeat(before[start], np.diff(start, append=len(groups)))
    return clicks.astype(np.intp)


def _best_of_noisy(utilities, groups, rng):
    """Mark the row of largest utility with Gumbel noise, if it beats that of none."""
    noisy = utilities + rng.gumbel(size=len(utilities))
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    best = np.maximum.reduceat(noisy, starts)
    best = np.maximum(best, rng.gumbel(size=len(starts)))
    return (noisy == best[groups]).astype(np.intp)


def _check(sizes, numbers, user_model):
    for name, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
            raise ValueError(f"{name} must be a positive integer, got {value!r}.")
    for name in ("n_shown", "n_positions"):
        most = "n_positions" if name == "n_shown" else "n_ads"
        if sizes[name] > sizes[most]:
            raise ValueError(
                f"{name} must be at most {most} = {sizes[most]}, got {sizes[name]}."
            )
    for name, value in numbers.items():
        if not isinstance(value, Real) or not np.isfinite(value):
            raise ValueError(f"{name} must be finite, got {value!r}.")
    if numbers["scale"] < 0:
        raise ValueError(f"scale must not be negative, got {numbers['scale']!r}.")
    if user_model not in _USER_MODELS:
        raise ValueError(
            f"user_model must be one of {[*_USER_MODELS]}, got {user_model!r}."
        )
