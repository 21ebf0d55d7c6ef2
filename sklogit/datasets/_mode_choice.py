"""How 210 persons travelled from Sydney to Melbourne."""

import numpy as np
from sklearn.utils import Bunch

from .._optional import import_optional


def load_mode_choice():
    """Load the choices of travel mode between Sydney, Canberra and Melbourne.

    Each of 210 persons chose among four modes. It is the data set on which conditional
    logits are compared, as statsmodels holds it. Persons were sampled by their choice,
    few of those who drove, so that constants of the modes are not those of travellers.

    Returns
    -------
    Bunch
        With the fields ``X`` (840, 6); ``y`` (840,), 1 for the mode chosen; ``groups``
        (840,), the person; ``mode`` (840,), of "air", "train", "bus" and "car"; and
        ``feature_names``: the waiting time in the terminal [min], the generalised cost
        [$], three that are 1 for a mode and 0 for the others, and the household income
        [1000 $] of who may fly.

    Raises
    ------
    ImportError
        If statsmodels is not installed.

    See Also
    --------
    sklogit.choice.ConditionalLogit : Fits these choices, without outside option.

    References
    ----------
    .. [1] W. H. Greene, "Econometric Analysis", conditional logit of travel modes.

    Examples
    --------
    >>> from sklogit.choice import ConditionalLogit
    >>> from sklogit.datasets import load_mode_choice
    >>> data = load_mode_choice()
    >>> clf = ConditionalLogit(C=float("inf"), outside_option=False)
    >>> round(clf.fit(data.X, data.y, data.groups).log_likelihood_, 4)
    -199.1284
    """
    source = import_optional("statsmodels.datasets.modechoice", "load_mode_choice")
    table = source.load_pandas().data
    mode = table["mode"].to_numpy().astype(int)
    is_mode = [(mode == number).astype(float) for number in (1, 2, 3)]
    waiting, cost, income = (
        table[name].to_numpy(dtype=float) for name in ("ttme", "gc", "hinc")
    )
    return Bunch(
        X=np.column_stack([waiting, cost, *is_mode, is_mode[0] * income]),
        y=table["choice"].to_numpy().astype(int),
        groups=table["individual"].to_numpy().astype(int),
        mode=np.array(["air", "train", "bus", "car"])[mode - 1],
        feature_names=[
            "waiting_time",
            "cost",
            "air",
            "train",
            "bus",
            "air_income",
        ],
    )
