"""Imbalanced data sets of two classes, from the repository of KEEL."""

import zipfile
from io import TextIOWrapper

import numpy as np
from sklearn.utils import Bunch

from .._optional import import_optional
from ._data_home import get_data_home

_ARCHIVE = ("keel_imbalanced", "keel_imbalanced.zip")


def keel_imbalanced_names(data_home=None):
    """List the imbalanced data sets of KEEL that are on disk.

    Parameters
    ----------
    data_home : path-like, default=None
        Folder of the data; ``None`` asks the environment variable ``SKLOGIT_DATA``.

    Returns
    -------
    list of str
        Names for `load_keel_imbalanced`, sorted.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or no archive in it.

    Examples
    --------
    >>> from sklogit.datasets import keel_imbalanced_names
    >>> try:
    ...     keel_imbalanced_names("no-such-folder")
    ... except FileNotFoundError:
    ...     print("not here")
    not here
    """
    with _open_archive(data_home) as archive:
        names = [name for name in archive.namelist() if name.endswith(".dat")]
    return sorted(name.removesuffix(".dat") for name in names)


def load_keel_imbalanced(name, *, data_home=None):
    """Load one of the imbalanced data sets of KEEL.

    They were made of UCI sets by taking one class, or a few, against others; studies of
    imbalance use them [1]_. Nothing is downloaded.

    Parameters
    ----------
    name : str
        A name of `keel_imbalanced_names`.
    data_home : path-like, default=None
        Folder of the data; ``None`` asks the environment variable ``SKLOGIT_DATA``.

    Returns
    -------
    Bunch
        ``data`` of shape (n_samples, n_features), categories one-hot; ``target`` of
        shape (n_samples,), 1 for the class that the file calls positive, which is the
        rare one but in "ecoli-0_vs_1"; ``feature_names``.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or no archive in it.
    ValueError
        If there is no set of this name.
    ImportError
        If pandas is missing.

    References
    ----------
    .. [1] "KEEL Data-Mining Software Tool: Data Set Repository, Integration of
       Algorithms and Experimental Analysis Framework", Journal of Multiple-Valued Logic
       and Soft Computing 17, 2011.

    Examples
    --------
    >>> from sklogit.datasets import load_keel_imbalanced
    >>> try:
    ...     load_keel_imbalanced("yeast4", data_home="no-such-folder")
    ... except FileNotFoundError:
    ...     print("not here; else 1484 samples, 51 of them positive")
    not here; else 1484 samples, 51 of them positive
    """
    pandas = import_optional("pandas", "load_keel_imbalanced")
    with _open_archive(data_home) as archive:
        if f"{name}.dat" not in archive.namelist():
            raise ValueError(
                f"There is no set {name!r}; keel_imbalanced_names lists them."
            )
        with archive.open(f"{name}.dat") as file:
            table = pandas.read_csv(
                TextIOWrapper(file, "utf8"), header=None, skipinitialspace=True
            )
    features = pandas.get_dummies(table.iloc[:, :-1], dtype=float)
    return Bunch(
        data=features.to_numpy(dtype=np.float64),
        target=(table.iloc[:, -1].str.strip() == "positive").to_numpy().astype(int),
        feature_names=[str(column) for column in features.columns],
    )


def _open_archive(data_home):
    folder = get_data_home(data_home)
    if folder is None:
        raise FileNotFoundError(
            "The data sets of KEEL need data_home, or the environment variable "
            "SKLOGIT_DATA."
        )
    path = folder.joinpath(*_ARCHIVE)
    if not path.is_file():
        raise FileNotFoundError(f"There is no {'/'.join(_ARCHIVE)} in {folder}.")
    return zipfile.ZipFile(path)
